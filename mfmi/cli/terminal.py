"""Verbosity, colours and streams of the output."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

import click

from mfmi.errors import MfmiWarning

if TYPE_CHECKING:
    from rich.console import Console

COLOR_CHOICES = ("auto", "always", "never")


@dataclass
class Terminal:
    """The wishes of whoever runs the program about colour and noise.

    Attributes
    ----------
    color
        What --color said.
    quiet
        -q: no progress, no notes; warnings and errors stay.
    verbosity
        How many -v; 2 shows tracebacks.
    explains
        --explain: say what the columns of a table are.
    arguments
        The command line after the program's name.
    """

    color: str = "auto"
    quiet: bool = False
    verbosity: int = 0
    explains: bool = False
    arguments: tuple[str, ...] = ()

    def wants_color(self, stream: TextIO) -> bool:
        """Say whether `stream` gets colour: --color over NO_COLOR over FORCE_COLOR over TERM=dumb over isatty."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        if os.environ.get("TERM") == "dumb":
            return False
        return stream.isatty()

    @property
    def shows_tracebacks(self) -> bool:
        """Say whether an error comes with its traceback: -vv, or MFMI_DEBUG=1."""
        return self.verbosity >= 2 or os.environ.get("MFMI_DEBUG", "") not in ("", "0")

    def console(self, stream: TextIO | None = None) -> Console:
        """Return a console that writes to `stream`, by default standard output."""
        from rich.console import Console

        class PipeConsole(Console):
            """A console that leaves it to the caller what a closed pipe means."""

            def on_broken_pipe(self) -> NoReturn:
                raise BrokenPipeError

        out: TextIO = stream or sys.stdout
        color = self.wants_color(out)
        return PipeConsole(
            file=out,
            force_terminal=color or out.isatty(),
            no_color=not color,
            color_system="standard" if color else None,
            highlight=False,
            emoji=False,
            markup=False,
        )

    def note(self, message: str) -> None:
        """Say something useful on standard error unless -q."""
        if not self.quiet:
            click.echo(message, err=True)

    def warn(self, message: str) -> None:
        """Say on standard error what the reader must not miss."""
        self._label("warning", "yellow", message)

    def error(self, message: str) -> None:
        """Say on standard error why the program stops."""
        self._label("error", "red", message)

    @contextlib.contextmanager
    def warnings_shown(self) -> Iterator[None]:
        """Show every `MfmiWarning` once, as one line; what other warnings there are stays as it is."""
        shown: set[str] = set()
        with warnings.catch_warnings():
            warnings.simplefilter("always", MfmiWarning)
            others = warnings.showwarning

            def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
                if not issubclass(category, MfmiWarning):
                    others(message, category, *place, **more)
                elif str(message) not in shown:
                    shown.add(str(message))
                    self.warn(str(message))

            warnings.showwarning = cast(Any, show)
            yield

    def _label(self, label: str, color: str, message: str) -> None:
        if sys.stderr is None:
            return
        wants_color = self.wants_color(sys.stderr)
        label = click.style(f"{label}:", fg=color, bold=True) if wants_color else f"{label}:"
        click.echo(f"mfmi: {label} {message}", err=True, color=wants_color)


def program() -> str:
    """Return how the reader calls this program: its name where the shell finds it, else the path that was called."""
    called = sys.argv[0]
    if Path(called).name != "mfmi":
        return "mfmi"
    found = shutil.which("mfmi")
    return "mfmi" if found is not None and Path(found).resolve() == Path(called).resolve() else shlex.quote(called)


def terminal() -> Terminal:
    """Return the settings of the running command; the defaults where none runs."""
    context = click.get_current_context(silent=True)
    return context.ensure_object(Terminal) if context else Terminal()


def can_show(console: Console, text: str) -> bool:
    """Say whether a terminal's encoding has all characters of a text."""
    try:
        text.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
