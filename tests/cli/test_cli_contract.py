"""Contract for scripts: exit codes, streams, colour, signals."""

import io
import os
import pty
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from conftest import Outcome

from mfmi.cli.terminal import Terminal
from mfmi.errors import ConfigError, MfmiError, NumericsError, OutputError, ResumeError
from mfmi.processes.threads import THREAD_LIMITS

CommandLine = Callable[..., Outcome]
Process = Callable[..., subprocess.CompletedProcess[str]]

BOUND = ("bound", "--act", "linear", "--sw", "1", "--depth", "3", "--estimator", "linear")


def test_success_is_0(command_line: CommandLine) -> None:
    assert command_line("version").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bond"], "No such command 'bond'. Did you mean 'bound'?"),
        (["zzzz"], "No such command 'zzzz'. Commands: bound, sweep, "),
        (["version", "--color", "red"], "'red' is not one of 'auto', 'always', 'never'"),
        (["bound", "--act", "tanh", "--sw", "1", "--weights", "normal"], "'gaussian', 'orthogonal'"),
        (["bound", "--act", "tanh", "--sw", "1", "--noise-at", "input"], "'output', 'every'"),
        (["bound", "--act", "tanh", "--sw", "1", "--unit", "hartleys"], "'nats', 'bits'"),
        (["bound", "--act", "tanh", "--sw", "1", "--estimator", "linaer"], "'mean_field', 'linear', 'entropy_power'"),
        (["bound", "--act", "tanh", "--sw", "1", "--estimator", "linaer"], "Did you mean 'linear'?"),
        (["bound", "--act", "tanh", "--sw", "1", "--format", "xml"], "'table', 'json', 'jsonl', 'csv'"),
        (["bound", "--act", "tanh", "--sw", "-1"], "'--sw': -1 is less than 0"),
        (["bound", "--act", "tanh", "--sw", "nan"], "'--sw': nan is not finite"),
        (["bound", "--act", "tanh", "--sw", "inf"], "'--sw': inf is not finite"),
        (["bound", "--act", "tanh", "--sw", "one"], "'--sw': 'one' is not a number"),
        (
            ["bound", "--act", "tanh", "--sw", "1", "--sn", "0"],
            "'--sn': 0 is not greater than 0, and without noise the information is infinite.",
        ),
        (["bound", "--act", "tanh", "--sw", "1", "--qx", "-1e-3"], "'--qx': -1e-3 is not greater than 0"),
        (["bound", "--act", "tanh", "--sw", "1", "--c0", "1.5"], "'--c0': 1.5 is greater than 1"),
        (["bound", "--act", "tanh", "--sw", "1", "--depth", "0"], "'--depth': 0 is not in the range"),
        (["bound", "--act", "tanh", "--sw", "1", "--depth", "1.5"], "'--depth': '1.5' is not a whole number."),
        (["isometry", "--act", "tanh", "--depth", "nope"], "'--depth': 'nope' is not a whole number."),
        (["bound", "--act", "tahn", "--sw", "1"], "'--act': "),
        (["bound", "--act", "tanh"], "Missing option '--sw'"),
        (["bound", "--act", "tanh", "--sw", "1", "-o", "rows.xls"], "does not say its format"),
        (["completion", "tcsh"], "'bash', 'zsh', 'fish'"),
    ],
)
def test_usage_is_2_and_names_what_is_allowed(command_line: CommandLine, arguments: list[str], words: str) -> None:
    done = command_line(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert words in done.err
    assert "Traceback" not in done.err
    assert done.err.splitlines()[0].startswith("Usage: mfmi ")
    assert done.err.splitlines()[-1].startswith("mfmi: error: ")


def test_an_unknown_option_is_met_with_the_nearest(command_line: CommandLine) -> None:
    done = command_line("version", "--colour", "never")
    assert done.code == 2
    # what stands around the names differs between versions of click
    assert re.search(r"No such option\b.*--colour\b.* Did you mean .*--color\b", done.err)


def test_an_unknown_activation_is_met_with_the_nearest(command_line: CommandLine) -> None:
    assert "tanh" in command_line("bound", "--act", "tahn", "--sw", "1").err


def test_no_command_shows_the_help_and_is_2(command_line: CommandLine) -> None:
    done = command_line()
    assert done.code == 2
    assert "Commands:" in done.err
    assert done.out == ""


class Meeting:
    """Makes `mfmi version` meet with an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        def meet() -> None:
            raise error

        monkeypatch.setattr("mfmi.cli.version.command.callback", meet)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("too many points"), 3, "mfmi: error: too many points"),
        (NumericsError("no root"), 1, "mfmi: error: this is a bug: NumericsError: no root (PLACE)"),
        (MfmiError("no"), 1, "mfmi: error: this is a bug: MfmiError: no (PLACE)"),
        (OutputError("cannot write x"), 5, "mfmi: error: cannot write x"),
        (FileNotFoundError(2, "No such file or directory", "x"), 5, "mfmi: error: x: No such file or directory"),
        (OSError(28, "No space left on device"), 5, "mfmi: error: No space left on device"),
        (ResumeError("another config"), 6, "mfmi: error: another config"),
        (click.exceptions.Exit(4), 4, ""),
    ],
)
def test_each_error_has_its_line_and_code(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, line: str
) -> None:
    monkeypatch.setattr("mfmi.cli.exits._abandon_stdout", lambda: None)
    Meeting(monkeypatch, error)
    done = command_line("version")
    shown = re.sub(
        r"\(mfmi/cli/main\.py:\d+\)\nRun again with MFMI_DEBUG=1 [a-z ]+\.$", "(PLACE)", done.err.rstrip("\n")
    )
    assert (done.code, shown, done.out) == (code, line, "")


def test_located_errors_stand_as_they_are(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ConfigError("two errors")
    error.errors = ["a.yaml:1:2: error: x", "a.yaml:3:4: error: y"]  # type: ignore[attr-defined]
    Meeting(monkeypatch, error)
    done = command_line("version")
    assert done.code == 3
    assert done.err == "a.yaml:1:2: error: x\na.yaml:3:4: error: y\n"


def test_a_bug_is_1_and_says_how_to_see_more(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    Meeting(monkeypatch, KeyError("lost"))
    done = command_line("version")
    assert done.code == 1
    assert re.search(r"this is a bug: KeyError: 'lost' \(mfmi/\S+\.py:\d+\)\n", done.err)
    assert "MFMI_DEBUG=1" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("error", [KeyError("lost"), OutputError("lost"), ConfigError("lost")])
@pytest.mark.parametrize("way", ["-vv", "-v -v", "MFMI_DEBUG"])
def test_tracebacks_come_on_demand(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, error: Exception, way: str
) -> None:
    Meeting(monkeypatch, error)
    if way == "MFMI_DEBUG":
        monkeypatch.setenv("MFMI_DEBUG", "1")
        done = command_line("version")
    else:
        done = command_line("version", *way.split())
    assert "Traceback" in done.err
    assert "lost" in done.err


@pytest.mark.thorough
@pytest.mark.parametrize(
    "arguments",
    [
        (*line, "--quiet")
        for line in (["version"], BOUND, [*BOUND, "--format", "table"], [*BOUND, "--format", "parquet"])
    ],
)
def test_a_closed_pipe_is_no_failure(process: Process, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = process(*arguments, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broken_pipe_that_is_not_ours_is_a_bug(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    Meeting(monkeypatch, BrokenPipeError(32, "Broken pipe"))
    assert command_line("version").code == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_5(process: Process) -> None:
    with open("/dev/full", "wb") as full:
        done = process("version", stdout=full)
    assert done.returncode == 5
    assert done.stderr == "mfmi: error: No space left on device\n"


@pytest.mark.thorough
def test_a_closed_output_is_5(tmp_path: Path) -> None:
    script = f"{sys.executable} -m mfmi bound --act linear --sw 1 --estimator linear >&-"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 5
    assert done.stderr == "mfmi: error: cannot write: standard output is closed\n"


def test_a_place_that_cannot_be_written_is_5(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "rows.csv"
    done = command_line("bound", "--act", "linear", "--sw", "1", "--estimator", "linear", "-o", path)
    assert done.code == 5
    assert done.err == f"mfmi: error: cannot write {path}: No such file or directory\n"


SLOW_PROGRAM = """
import sys, time
import mfmi.cli.version
from mfmi.cli.main import main
from mfmi.storage.atomic import atomic_path
def wait():
    with atomic_path("rows.csv") as draft:
        print("ready", flush=True)
        time.sleep(60)
mfmi.cli.version.command.callback = wait
main(["version"])
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_the_cause_of_death_and_leaves_nothing(tmp_path: Path, signum: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        running.send_signal(signum)
        _, err = running.communicate(timeout=30)
    assert running.returncode == -signum
    assert err == ""
    assert list(tmp_path.iterdir()) == []


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("color", "environment", "terminal", "expected"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"TERM": "xterm"}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "1", "TERM": "dumb"}, False, True),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_who_decides_on_colour(
    monkeypatch: pytest.MonkeyPatch,
    plain_environment: None,
    color: str,
    environment: dict[str, str],
    terminal: bool,
    expected: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Stream(terminal)
    settings = Terminal(color=color)
    assert settings.wants_color(stream) == expected
    settings.console(stream).print("word", style="red")
    assert ("\x1b[31m" in stream.getvalue()) == expected


def test_color_stands_before_or_after_the_command(command_line: CommandLine) -> None:
    for arguments in (["--color", "always", "bond"], ["bound", "--color", "always", "--sw", "x"]):
        assert "\x1b[" in command_line(*arguments).err
    assert "\x1b[" not in command_line("--color", "always", "bound", "--color", "never", "--sw", "x").err


def on_a_terminal(*arguments: str, columns: int = 80, **environment: str) -> str:
    """Run the program with standard output on a terminal, and return what appears there."""
    leader, follower = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "mfmi", *arguments],
        stdout=follower,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"COLUMNS": str(columns), "TERM": "xterm"} | environment,
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the last one has closed the terminal
            break
        if not chunk:
            break
        seen += chunk
    os.close(leader)
    assert running.wait(timeout=60) == 0
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.thorough
def test_a_terminal_gets_a_table_and_a_pipe_json_lines(process: Process) -> None:
    table = on_a_terminal(*BOUND)
    assert "linear · sigma_w 1" in table
    # Colours and styles end in m; what takes more than a second moves the cursor for its progress besides.
    colours = re.compile(r"\x1b\[[0-9;]*m")
    assert colours.search(table)
    assert not colours.search(on_a_terminal(*BOUND, NO_COLOR="1"))
    assert process(*BOUND).stdout.startswith('{"activation": "linear"')


def test_parquet_is_kept_off_a_terminal(process: Process) -> None:
    leader, follower = pty.openpty()
    try:
        done = process(*BOUND, "--format", "parquet", stdout=follower)
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 2
    assert "Parquet is not for a terminal" in done.stderr


@pytest.mark.thorough
def test_parquet_goes_through_a_pipe(process: Process) -> None:
    done = process(*BOUND, "--format", "parquet", text=False)
    assert done.stdout[:4] == done.stdout[-4:] == b"PAR1"  # type: ignore[comparison-overlap]


def test_help_starts_at_once() -> None:
    """Time on the processor, which a busy machine does not stretch."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "mfmi", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.3


def test_threads_are_limited_before_numpy_is_there(monkeypatch: pytest.MonkeyPatch, command_line: CommandLine) -> None:
    for name in THREAD_LIMITS:
        monkeypatch.delenv(name, raising=False)
    command_line("version")
    assert {os.environ.get(name) for name in THREAD_LIMITS} == {"1"}


STOPPED_DURING_AN_IMPORT = """
import os, signal, sys, time
sys.path.insert(0, {folder!r})
from mfmi.cli.exits import run
from mfmi.cli.terminal import Terminal
from mfmi.storage.atomic import atomic_path

def program():
    with atomic_path({folder!r} + "/rows.csv"):
        work()

def work():
    try:
        import slow_to_start
    except BaseException as error:
        print("interrupted by", type(error).__name__)
        raise
    os.write(1, b"imported" * slow_to_start.ready)
    for _ in range(200):
        time.sleep(0.05)
    print("never stopped")

run(program, Terminal(arguments=()))
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_ends_the_program_during_an_import(signum, tmp_path):
    """A compiled module that is interrupted while it sets itself up raises ImportError in place of the interruption."""
    (tmp_path / "slow_to_start.py").write_text(
        f"import os, time\n"
        f"try:\n    os.kill(os.getpid(), {int(signum)})\n    time.sleep(0.2)\n"
        f"except BaseException:\n    raise ImportError('failed to import') from None\n"
        f"ready = True\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_DURING_AN_IMPORT.format(folder=str(tmp_path))],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stderr, done.returncode) == ("", -signum)
    assert done.stdout == ""
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} == {".py"}  # no draft of rows.csv


STOPPED_WHILE_COMPILING = """
import os, sys
from numba.core import event

class Interrupts(event.Listener):
    # As when it comes while LLVM has called Python to dispose of something: nobody receives the exception there.
    def on_start(self, event):
        if sys._getframe(1).f_code.co_name != "__del__":
            self.send()
    def on_end(self, event):
        pass
    def send(self):
        try:
            os.kill(os.getpid(), {signum})
            sum(range(1000))
        except BaseException:
            pass

event.register("numba:llvm_lock", Interrupts())
{program}
"""
PROGRAMS = {
    "command": 'from mfmi.cli.main import main; main(["bound", "--act", "tanh", "--sw", "1.5", "-o", "rows.csv"])',
    "Python": 'import mfmi; mfmi.evaluate("tanh", 1.5); print("never stopped")',
}


@pytest.mark.thorough
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=list(PROGRAMS))
def test_a_request_to_stop_during_a_compilation_is_not_lost(program: str, tmp_path: Path) -> None:
    pytest.importorskip("numba")
    code = STOPPED_WHILE_COMPILING.format(signum=int(signal.SIGINT), program=program)
    environment = os.environ | {"MFMI_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.stdout, done.returncode) == ("", -signal.SIGINT)
    assert not (tmp_path / "rows.csv").exists()


def test_a_request_that_the_work_has_swallowed_still_ends_the_program() -> None:
    code = (
        "import os, signal\n"
        "from mfmi.cli.exits import run\n"
        "from mfmi.cli.terminal import Terminal\n"
        "def program():\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n        sum(range(1000))\n"
        "    except BaseException:\n        raise RuntimeError('another error') from None\n"
        "run(program, Terminal(arguments=()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGINT
