"""``python -m studies.presets LIBRARY...``: install, draw, save, audit, compare."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mfmi.errors import did_you_mean
from studies.presets.rounds import MAKERS, requirements, rounds, summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Go through the libraries that are asked for; the exit code is 1 where a row is not named."""
    parser = argparse.ArgumentParser(prog="python -m studies.presets", description=__doc__)
    parser.add_argument("library", nargs="+", help=f"of {', '.join(MAKERS)}")
    parser.add_argument("--build", type=Path, default=Path("build/presets"), help="environments and files")
    parser.add_argument("--python", help="an interpreter that has the libraries; without it they are installed")
    given = parser.parse_args(arguments)
    for library in given.library:
        if library not in MAKERS:
            parser.error(f"{library} is none that can be made.{did_you_mean(library, list(MAKERS), 3)}")
    whole = True
    for library in given.library:
        folder = (given.build / library).resolve()
        shutil.rmtree(folder / "files", ignore_errors=True)
        found = rounds(library, given.python or _installed(library, folder), folder / "files")
        print(summary(found), flush=True)
        whole = whole and all(one.named for one in found)
    return 0 if whole else 1


def _installed(library: str, folder: Path) -> str:
    """Make an environment of a library's own, and return its interpreter."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements(library)]
    subprocess.run(command, check=True)
    return str(python)


if __name__ == "__main__":
    sys.exit(main())
