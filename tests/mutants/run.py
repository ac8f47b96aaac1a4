"""Apply small faults to the numerical modules one at a time, and report which the fast tests do not catch.

    python tests/mutants/run.py [--only WORD] [--jobs N]        (make mutants)

Each fault of the table (tests/mutants/table.py) goes into a copy of the project in a temporary folder. The tests named
beside its file run first; what survives them meets the whole fast suite. Exit 1 if a fault survives without an
explanation in docs/testing.md, or if the unchanged copy fails its own tests.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from table import CACHED, EXPLAINED, MUTANTS, TESTS_OF, Mutant

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "build", "dist", "__pycache__", ".*_cache", ".hypothesis")
MOST_SECONDS = 1800
WHOLE = ("-n", "2", "--dist", "loadfile", "tests")
LEFT_OUT = ("--deselect", "tests/test_mutants.py")  # a fault that is in place does not match its own snippet


@dataclass(frozen=True)
class Outcome:
    mutant: Mutant
    caught_by: str
    seconds: float


def copy_project(folder: Path) -> None:
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED, dirs_exist_ok=True)


def run_tests(folder: Path, tests: tuple[str, ...], cached: bool = True) -> str:
    """Run tests in a copy; return the first that fails, or nothing."""
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    if not cached:
        environment["MFMI_CACHE_DIR"] = ""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "not slow",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        *LEFT_OUT,
        *tests,
    ]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=MOST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"more than {MOST_SECONDS} s"
    if done.returncode == 0:
        return ""
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return (
        failed[0].split(" - ")[0]
        if failed
        else f"exit code {done.returncode}: {done.stdout[-400:]}{done.stderr[-400:]}"
    )


def examine(mutant: Mutant, near: bool = False) -> Outcome:
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        copy_project(folder)
        target = folder / mutant.file
        target.write_text(mutant.applied_to(target.read_text()))
        cached = mutant.file not in CACHED
        caught_by = run_tests(folder, TESTS_OF[mutant.file], cached)
        if not caught_by and not near:
            caught_by = run_tests(folder, WHOLE, cached)
    return Outcome(mutant, caught_by, time.monotonic() - start)


def misplaced(mutant: Mutant) -> str:
    """Return the reason why a fault cannot be applied to the code as it is; empty if it can."""
    try:
        mutant.applied_to((ROOT / mutant.file).read_text())
    except ValueError as error:
        return str(error)
    return ""


def check_unchanged(mutants: list[Mutant], near: bool) -> str:
    """Run on an unchanged copy what faults will meet: a test that fails anyway catches nothing."""
    tests = tuple(sorted({test for mutant in mutants for test in TESTS_OF[mutant.file]})) if near else WHOLE
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        copy_project(Path(name))
        return run_tests(Path(name), tests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="WORD", help="faults whose name or file contains it")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="faults examined at a time")
    parser.add_argument("--near", action="store_true", help="leave out the whole suite for what the nearest tests miss")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in f"{mutant.file} {mutant.name}"]
    moved = [fault for mutant in chosen if (fault := misplaced(mutant))]
    if moved:
        sys.exit("the table does not fit the code:\n" + "\n".join(moved))
    broken = check_unchanged(chosen, options.near)
    if broken:
        sys.exit(f"the unchanged project fails: {broken}")
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = []
        for outcome in pool.map(partial(examine, near=options.near), chosen):
            outcomes.append(outcome)
            verdict = f"caught by {outcome.caught_by}" if outcome.caught_by else "SURVIVES"
            print(f"{outcome.mutant.file}: {outcome.mutant.name}: {verdict} ({outcome.seconds:.0f} s)", flush=True)
    survivors = [outcome.mutant.name for outcome in outcomes if not outcome.caught_by]
    new = [name for name in survivors if name not in EXPLAINED]
    print(f"{len(outcomes)} faults, {len(survivors)} survive, {len(new)} of them without an explanation")
    sys.exit(1 if new else 0)


if __name__ == "__main__":
    main()
