"""Bring the count and the table of faults in docs/testing.md up to date (make docs)."""

import re
from pathlib import Path

from table import MUTANTS, TESTS_OF

DOCUMENT = Path(__file__).parents[2] / "docs" / "testing.md"
HEAD = "| file | faults | nearest tests |\n|---|---|---|\n"


def current(text: str) -> str:
    """The document with the faults as they are."""
    before, head, after = text.partition(HEAD)
    if not head:
        raise ValueError(f"no table of faults in {DOCUMENT.name}")
    rows = "".join(_row(file, tests) for file, tests in TESTS_OF.items())
    before = re.sub(r"has \d+ small faults", f"has {len(MUTANTS)} small faults", before)
    return before + HEAD + rows + re.sub(r"\A(?:\|[^\n]*\n)+", "", after)


def _row(file: str, tests: tuple[str, ...]) -> str:
    names = "; ".join(mutant.name for mutant in MUTANTS if mutant.file == file)
    return f"| `{file.removeprefix('mfmi/')}` | {names} | {', '.join(f'`{Path(test).name}`' for test in tests)} |\n"


if __name__ == "__main__":
    DOCUMENT.write_text(current(DOCUMENT.read_text()))
