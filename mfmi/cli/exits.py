"""Exit codes, and how each way to fail becomes one line on standard error and one of them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

import click

from mfmi.cli.terminal import Terminal
from mfmi.errors import ConfigError, OutputError, ResumeError, place_of
from mfmi.processes.interruption import is_uninterruptible

OK = 0
BUG = 1
USAGE = 2
CONFIG = 3
STRICT = 4
OUTPUT = 5
RESUME = 6


class Signalled(KeyboardInterrupt):
    """A request to stop, raised where the program stands so that everything is left tidy.

    Attributes
    ----------
    signum : the signal that will be the cause of death.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def run(program: Callable[[], None], settings: Terminal) -> NoReturn:
    """Run `program` and leave the process as the contract says: exit code, or death by the signal."""
    try:
        with _signals_raised() as received:
            code = _code_of(program, settings)
            if received:  # its exception was lost on the way, or has become another one
                raise Signalled(received[0])
    except KeyboardInterrupt as stop:
        _die_by(getattr(stop, "signum", signal.SIGINT))
    try:
        _flush_stdout()
    except OSError:  # the code says already what went wrong first
        _abandon_stdout()
    sys.exit(code)


def _code_of(program: Callable[[], None], settings: Terminal) -> int:
    try:
        try:
            program()
            code = OK
        except click.exceptions.Exit as leave:
            code = leave.exit_code
        _flush_stdout()
        return code
    except click.ClickException as error:
        return _usage(error, settings)
    except (ConfigError, OutputError, ResumeError) as error:
        return _refusal(error, settings)
    except BrokenPipeError as error:
        if _is_closed_pipe(1) or _is_closed_pipe(2):
            _abandon_stdout()
            return OK
        return _bug(error, settings)
    except OSError as error:
        _abandon_stdout()
        return _refusal(error, settings)
    except Exception as error:
        return _bug(error, settings)


def _refusal(error: ConfigError | OutputError | ResumeError | OSError, settings: Terminal) -> int:
    """Report something that the user can mend."""
    if settings.shows_tracebacks:
        traceback.print_exception(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        settings.error(f"{where}{error.strerror or error}")
        return OUTPUT
    located = getattr(error, "errors", None)
    if located:  # each entry carries its own file, line and column
        click.echo("\n".join(str(entry) for entry in located), err=True)
    else:
        settings.error(str(error))
    if isinstance(error, ConfigError):
        return CONFIG
    if isinstance(error, OutputError):
        return OUTPUT
    return RESUME


def _usage(error: click.ClickException, settings: Terminal) -> int:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return USAGE
    if context is not None:
        click.echo(context.get_usage(), err=True)
    message = error.format_message()
    if context is not None:
        message = f"{message} (see {context.command_path} --help)"
    settings.error(message)
    return OUTPUT if isinstance(error, click.FileError) else USAGE


def _bug(error: Exception, settings: Terminal) -> int:
    if settings.shows_tracebacks:
        traceback.print_exception(error)
    message = " ".join(str(error).split())
    settings.error(f"this is a bug: {type(error).__name__}: {message} ({place_of(error)})")
    if not settings.shows_tracebacks:
        click.echo("Run again with MFMI_DEBUG=1 to see how it came to that.", err=True)
    return BUG


def _stop(signum: int, frame: FrameType | None) -> None:
    """Turn a signal into an exception, or die by it in the middle of an import or a compilation.

    An exception raised while a compiled module sets itself up comes out of it as an ImportError, after a traceback that
    the module prints, and a caller that can do without the module catches it: the request would be lost. While numba
    compiles, LLVM calls Python, which can hand it no exception: it is printed and dropped, or the code is incomplete.
    """
    if _is_importing(frame) or is_uninterruptible():
        _tidy()
        _die_by(signum)
    raise Signalled(signum)


def _tidy() -> None:
    """Undo what open blocks would have undone; a module that is not there yet has nothing open."""
    for module, name in (("mfmi.storage.atomic", "discard_drafts"), ("mfmi.cli.progress", "wipe")):
        undo = getattr(sys.modules.get(module), name, None)
        if undo is not None:
            undo()


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def _signals_raised() -> Iterator[list[int]]:
    """Turn SIGTERM into an exception, so that drafts are removed and finished chunks kept as with Ctrl-C.

    Yields
    ------
    received : the signals that have come, whatever became of their exceptions.
    """
    received: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        _stop(signum, frame)

    handled = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as in the background
        handled.append(signal.SIGINT)
    before = {signum: signal.signal(signum, note) for signum in handled}
    try:
        yield received
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _die_by(signum: int) -> NoReturn:
    """End as if the signal had not been caught, so that a shell loop around the program ends too."""
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
    sys.exit(128 + signum)  # where the signal is blocked


def _flush_stdout() -> None:
    """Write out now what would fail, unnoticed, when the interpreter ends."""
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def _abandon_stdout() -> None:
    """Send what is still in the buffer nowhere: the interpreter would complain about it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        if stream is not None and (descriptor == 1 or _is_closed_pipe(descriptor)):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _is_closed_pipe(descriptor: int) -> bool:
    """Say whether nobody reads from the other end; pipes to worker processes break for reasons that are not fine."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
