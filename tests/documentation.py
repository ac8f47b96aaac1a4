"""The documentation as a program: its blocks are run, and what they print is compared with what stands below them.

    python tests/documentation.py [--fast] README.md docs/*.md docs/howto/*.md

puts what the commands print today in place of what differs.

In a document's fenced blocks

- a line that begins with ``$ `` is a command for bash, at a terminal of 80 columns, without colour. A trailing
  backslash or pipe, an open quote, or a here-document carries it on; the lines after it are what it prints, standard
  output first;
- ``python`` is run with the names of the document's blocks above it; a block without a language right after it is
  what it prints;
- ``yaml`` is a config, or the keys of one that matter, and must be accepted;
- ``sh`` and ``bash`` are scripts that must succeed; ``make``, which would install the project, only rehearses (-n);
- ``text`` is not run.

All blocks of a document run in one folder, which has ``configs/`` and an empty ``build/``, from top to bottom. The word
``slow`` after the language leaves a block to the slow tests, which run the whole document. In what is printed, a line
of three dots stands for any number of lines; numbers of more than ten digits may differ from the tenth on; and what
`VOLATILE` names may be any other of its kind. Everything else must be the same.
"""

import argparse
import contextlib
import fcntl
import io
import math
import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
COLUMNS, LINES = 80, 40
MOST_SECONDS = 900.0
LANGUAGES = ("", "console", "python", "yaml", "sh", "bash", "text")
SETTINGS = ("FORCE_COLOR", "MFMI_DEBUG", "COLUMNS", "LINES", "_MFMI_COMPLETE", "PYTEST_CURRENT_TEST")

# What is another every time, or on every machine: name -> pattern.
VOLATILE = {
    "time": r"(?<![\w.,])\d+(?:\.\d+)? (?:ms|s|min(?: \d+ s)?|h(?: \d+ min)?)(?![\w/])",
    "rate": r"(?<![\w.,])[\d,]+ rows/s\b",
    "jobs": r"(?<![\w.,])\d+ jobs?\b",
    "size": r"(?<![\w.,])\d+(?:\.\d+)? [kMG]?B\b",
    "version": r"(?<![\w.,])\d+\.\d+\.\d+(?:\.?[a-z]+\d+)?(?![\w.])",
    "digest": r"\b(?=\d*[a-f])[0-9a-f]{16,64}\b",
}
# What a wait says of itself, and only where there is one: here, the first use of a table.
PROGRESS = re.compile(
    r"mfmi: (?:[\w ().,=;%]+ \d+/\d+\b|nothing is finished yet)|replica tabulates the exact channel of "
)
LONG_NUMBER = re.compile(r"(?<![\w.])-?(?=(?:\d\.?){11})\d*\.?\d+(?:[eE][+-]?\d+)?(?!\w)")

# A config around the keys that a document shows.
BASE_CONFIG: dict[str, Any] = {"version": 1, "sweep": {"activation": "tanh", "sigma_w": 1.0}}


# Documents that need stand-ins for what a machine may not have, and the test that runs them.
RUN_ELSEWHERE = {"docs/howto/cluster.md": "sweep/test_scaling_recipes.py"}


@dataclass(frozen=True)
class Block:
    """A fenced block: the line of its fence, its language, the words after it, the lines in it."""

    line: int
    language: str
    words: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Step:
    """Something to run: where it stands, how, and the lines it is said to print (None: nothing is said).

    `below` is the number of lines of the document above what it prints; `fenced` says whether that has a place yet.
    """

    line: int
    kind: str
    source: str
    shown: tuple[str, ...] | None
    slow: bool
    below: int
    fenced: bool = True


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a document; a ValueError where one does not end or has an unknown language."""
    found: list[Block] = []
    opening, inside = None, []
    for number, line in enumerate(text.splitlines(), start=1):
        fence = re.fullmatch(r"```(.*)", line)
        if opening is None and fence:
            opening, inside = (number, fence[1].split()), []
        elif opening is not None and line == "```":
            language, *words = opening[1] or [""]
            if language not in LANGUAGES or set(words) - {"slow"}:
                raise ValueError(f"line {opening[0]}: {' '.join(opening[1])!r} is not {', '.join(LANGUAGES)} or slow")
            found.append(Block(opening[0], language, tuple(words), tuple(inside)))
            opening = None
        elif opening is not None:
            inside.append(line)
    if opening is not None:
        raise ValueError(f"line {opening[0]}: the block does not end")
    return found


def steps(text: str) -> list[Step]:
    """Return the blocks of a document to run, in order; ValueError for a block without a mark of its check."""
    found: list[Step] = []
    lines = text.splitlines()
    before: Block | None = None
    for block in blocks(text):
        slow = "slow" in block.words
        if block.language in ("", "console") and block.text.startswith("$ "):
            found.extend(_commands(block, slow))
        elif block.language in ("python", "yaml", "sh", "bash"):
            kind = {"python": "python", "yaml": "config"}.get(block.language, "script")
            end = block.line + len(block.lines) + 1
            shown = () if kind == "python" else None
            found.append(Step(block.line, kind, block.text, shown, slow, end, fenced=False))
        elif block.language == "" and before is not None and before.language == "python":
            python = found.pop()
            if any(line.strip() for line in lines[python.below : block.line - 1]):
                raise ValueError(f"line {block.line}: there is text between a Python block and what it prints")
            found.append(replace(python, shown=block.lines, below=block.line, fenced=True))
        elif block.language != "text":
            raise ValueError(f"line {block.line}: neither a command nor what a Python block prints")
        before = block
    return found


def _commands(block: Block, slow: bool) -> Iterator[Step]:
    lines, at = block.lines, 0
    while at < len(lines):
        start, command = at, lines[at].removeprefix("$ ")
        while _goes_on(command):
            at += 1
            if at == len(lines):
                raise ValueError(f"line {block.line + 1 + start}: the command does not end")
            command += "\n" + lines[at]
        at += 1
        first = at
        while at < len(lines) and not lines[at].startswith("$ "):
            at += 1
        yield Step(block.line + 1 + start, "shell", command, lines[first:at], slow, block.line + first)


def _goes_on(command: str) -> bool:
    here = re.search(r"<<-?\s*(['\"]?)(\w+)\1", command)
    if here:
        return command.splitlines()[-1] != here[2]
    if command.rstrip().endswith(("\\", "|", "&&")):
        return True
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def shell_environment() -> dict[str, str]:
    """The environment of a document's commands."""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return environment | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NO_COLOR": "1",
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        "MAKEFLAGS": "n",
    }


@dataclass
class Session:
    """One document being run: its folder, where its program is, and its Python names."""

    folder: Path
    programs: Path | None = None
    names: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shutil.copytree(ROOT / "configs", self.folder / "configs")
        (self.folder / "build").mkdir()
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, self.folder)

    def run(self, step: Step) -> list[str]:
        """Run a step; return the lines that it prints. A script or a config that fails is a RuntimeError."""
        if step.kind == "python":
            return self._python(step).splitlines()
        if step.kind == "config":
            source = yaml.safe_dump(_completed(yaml.safe_load(step.source)))
            printed, code = self._shell(f"mfmi config check - <<'END'\n{source}END\n")
        else:
            script = f"set -e\n{step.source}" if step.kind == "script" else step.source
            printed, code = self._shell(script)
        if code and step.kind != "shell":
            raise RuntimeError(f"line {step.line}: exit code {code}: {printed}")
        return [line for line in printed.splitlines() if not PROGRESS.match(line)]

    def _python(self, step: Step) -> str:
        printed, before, path, environment = io.StringIO(), Path.cwd(), list(sys.path), dict(os.environ)
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile("\n" * step.line + step.source, "<documentation>", "exec"), self.names)
        finally:
            os.chdir(before)
            sys.path[:] = path
            os.environ.clear()  # some libraries leave settings for others when they are imported
            os.environ.update(environment)
        return printed.getvalue()

    def _shell(self, command: str) -> tuple[str, int]:
        """Run a command at a terminal; return standard output with standard error after it, and the exit code."""
        environment = shell_environment()
        if self.programs is not None:
            environment["PATH"] = f"{self.programs}{os.pathsep}{environment['PATH']}"
        screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        mode = termios.tcgetattr(terminal)
        mode[1] &= ~termios.OPOST  # no carriage returns
        termios.tcsetattr(terminal, termios.TCSANOW, mode)
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                ["bash", "-o", "pipefail", "-c", command],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=errors,
                start_new_session=True,
            )
            os.close(terminal)
            printed = _read(screen, process)
            code = process.wait()
            errors.seek(0)
            return (printed + errors.read()).decode(), code


def _read(screen: int, process: subprocess.Popen[bytes]) -> bytes:
    """Read a terminal until its last writer is gone; a TimeoutError after `MOST_SECONDS`."""
    printed, end = b"", time.monotonic() + MOST_SECONDS
    try:
        while True:
            ready, _, _ = select.select([screen], [], [], max(end - time.monotonic(), 0.0))
            if not ready:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise TimeoutError(f"more than {MOST_SECONDS:.0f} s")
            try:
                part = os.read(screen, 1 << 16)
            except OSError:  # Linux says so when the last writer is gone
                return printed
            if not part:
                return printed
            printed += part
    finally:
        os.close(screen)


def _completed(config: Any) -> Any:
    """The keys of a config with what else one needs."""
    whole = {**BASE_CONFIG, **config}
    sweep = config.get("sweep", {})
    if sweep.get("mode", "product") == "product":
        whole["sweep"] = {**BASE_CONFIG["sweep"], **sweep}
        for name in ("sigma_w2", "sigma_b2"):
            if name in sweep:
                whole["sweep"].pop(name.removesuffix("2"), None)
        if "init" in sweep:
            whole["sweep"].pop("sigma_w")
    return whole


def agrees(shown: tuple[str, ...] | list[str], printed: tuple[str, ...] | list[str]) -> bool:
    """Say whether lines are those that a document shows, up to the rules above."""
    shown, printed = [[line.rstrip() for line in lines] for lines in (shown, printed)]
    while printed and not printed[-1]:
        printed.pop()
    while shown and not shown[-1]:
        shown.pop()
    if "..." not in shown:
        return len(shown) == len(printed) and all(map(_same_line, shown, printed))
    cut = shown.index("...")
    if len(printed) < cut or not all(map(_same_line, shown[:cut], printed)):
        return False
    rest = shown[cut + 1 :]
    return any(agrees(rest, printed[start:]) for start in range(cut, len(printed) + 1))


def _same_line(shown: str, printed: str) -> bool:
    (shown_text, shown_numbers), (text, numbers) = _skeleton(shown), _skeleton(printed)
    return shown_text == text and all(
        math.isclose(a, b, rel_tol=1e-9) for a, b in zip(shown_numbers, numbers, strict=True)
    )


def _skeleton(line: str) -> tuple[str, list[float]]:
    """A line with names in place of what may differ, and its long numbers."""
    for name, pattern in VOLATILE.items():
        line = re.sub(pattern, f"<{name}>", line)
    numbers = [float(number) for number in LONG_NUMBER.findall(line)]
    # Columns are as wide as what they hold.
    return re.sub(r" +", " ", LONG_NUMBER.sub("<number>", line)) if "<" in line or numbers else line, numbers


@dataclass(frozen=True)
class Difference:
    """A step that prints something else than the document shows."""

    step: Step
    printed: tuple[str, ...]

    def __str__(self) -> str:
        shown, printed = ("\n".join(f"    {line}" for line in lines) for lines in (self.step.shown or (), self.printed))
        return f"line {self.step.line}: {self.step.source}\n  shown:\n{shown}\n  printed:\n{printed}"


def differences(document: Path, folder: Path, *, slow: bool, programs: Path | None = None) -> list[Difference]:
    """Run a document, without its slow blocks or with them; return where it is wrong.

    `programs` is a folder of programs that come before all others.
    """
    session = Session(folder, programs)
    found = []
    for step in steps(document.read_text()):
        if step.slow and not slow:
            continue
        printed = session.run(step)
        if step.shown is not None and not agrees(step.shown, printed):
            found.append(Difference(step, tuple(printed)))
    return found


def corrected(text: str, found: list[Difference]) -> str:
    """The document with what is printed today where it differs."""
    lines = text.splitlines()
    for difference in reversed(found):
        step, printed = difference.step, list(difference.printed)
        end = step.below + len(step.shown or ())
        lines[step.below : end] = printed if step.fenced else ["", "```", *printed, "```"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Put what commands print today in place of what documents show.")
    parser.add_argument("--fast", action="store_true", help="leave the slow blocks as they are")
    parser.add_argument("documents", nargs="+", metavar="FILE")
    options = parser.parse_args()
    for name in options.documents:
        if name in RUN_ELSEWHERE:
            print(f"{name}: left to {RUN_ELSEWHERE[name]}")
            continue
        path = Path(name)
        with tempfile.TemporaryDirectory() as folder:
            found = differences(path, Path(folder), slow=not options.fast)
        path.write_text(corrected(path.read_text(), found))
        for difference in found:
            print(f"{name}: {difference}")


if __name__ == "__main__":
    main()
