"""Ways to run the command line: inside this process, which is fast, and for real."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mfmi.cli.main import main
from mfmi.processes.threads import ask_for_one_thread

# As the command line and the workers of a sweep have it; two workers of the tests with two threads each would spend
# nine tenths of their time waiting for each other in products of small matrices.
ask_for_one_thread()

# A shell starts what runs in the background with SIGINT ignored, and children inherit that; the tests that interrupt a
# program need it as it is in a terminal.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files that come first. Two workers take a file each in turn: while one has the solver compiled, which takes a cold
# machine twenty seconds, the other has files that need none. Then those that take longest, for neither worker shall end
# with one of them.
FIRST = (
    "bounds/test_sandwich.py",
    "activations/test_activations_invariants.py",
    "bounds/test_observed_activation.py",
    "activations/test_activations_user.py",
    "networks/test_rectangular.py",
    "activations/test_activations_registry.py",
    "test_documentation.py",
    "sweep/test_run.py",
    "sweep/test_resume.py",
    "bounds/test_problems.py",
    "networks/test_weight_ensembles.py",
)

SETTINGS = ("NO_COLOR", "FORCE_COLOR", "MFMI_DEBUG", "COLUMNS", "TERM", "_MFMI_COMPLETE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    places = {folder / name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(FIRST)))


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def command_line(capsys: pytest.CaptureFixture[str], plain_environment: None) -> Callable[..., Outcome]:
    """Run the program inside this process: arguments in; exit code, standard output and error out."""

    def run(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(left.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the program for real, in an empty folder."""

    def run(
        *arguments: str | Path, env: dict[str, str] | None = None, **settings: object
    ) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | (env or {})
        options: dict[str, object] = {"capture_output": True, "text": True, "cwd": tmp_path, "timeout": 120}
        if "stdout" in settings or "stderr" in settings:
            del options["capture_output"]
            options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-m", "mfmi", *map(str, arguments)]
        done: subprocess.CompletedProcess[str] = subprocess.run(command, env=environment, **(options | settings))  # type: ignore[call-overload]
        return done

    return run
