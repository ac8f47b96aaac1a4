"""The theory in docs/ is complete: what the code cites is in it, and what it names is in the code."""

import importlib
import re
from pathlib import Path

import pytest

from mfmi.names import ESTIMATORS

ROOT = Path(__file__).parent.parent
THEORY = (ROOT / "docs" / "theory.md").read_text()
ARCHITECTURES = (ROOT / "docs" / "theory_architectures.md").read_text()
SOURCES = sorted([*(ROOT / "mfmi").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md")])
NUMBERED = re.findall(r"^(?:    |>).* \((\d+[ab]?)\)$", f"{THEORY}\n{ARCHITECTURES}", re.MULTILINE)
SECTIONS = re.findall(r"^##+ (\d+(?:\.\d+)?)\.? ", THEORY, re.MULTILINE)
TABLE = THEORY.partition("## 11. Symbols")[2] + ARCHITECTURES.partition("## Symbols")[2]
NAMES = sorted(set(re.findall(r"`(mfmi\.[\w.]+)`", TABLE)))


def cited(paths: list[Path]) -> list[tuple[str, str]]:
    """Places that cite an equation or section, and its number; a range counts as all that it spans."""
    found = []
    for path in paths:
        text = " ".join(path.read_text().split())
        for first, last in re.findall(r"\btheory \((\d+[ab]?)\)(?:(?:-| to )\((\d+)\))?", text):
            span = range(int(first), int(last) + 1) if last else (first,)
            found += [(path.name, f"({number})") for number in span]
        found += [(path.name, number) for number in re.findall(r"\btheory (?:section )?(\d+(?:\.\d+)?)\b", text)]
    return found


def test_equations_are_numbered_once_and_in_order() -> None:
    assert [number for number in NUMBERED if number.isdecimal()] == [str(number) for number in range(1, 42)]
    assert [number for number in NUMBERED if not number.isdecimal()] == ["17b", "17a"]


def test_what_is_cited_is_there() -> None:
    places = cited(SOURCES)
    assert len(places) > 100
    known = {f"({number})" for number in NUMBERED} | set(SECTIONS)
    assert [(name, number) for name, number in places if number not in known] == []


def test_every_equation_is_cited_where_it_is_computed() -> None:
    used = {number for _, number in cited(sorted((ROOT / "mfmi").rglob("*.py")))}
    assert {f"({number})" for number in NUMBERED} - used == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_the_table_of_symbols_exists(name: str) -> None:
    module, rest = name, []
    while True:
        try:
            found = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
    for part in rest:
        found = getattr(found, part)
    assert found.__doc__
    assert callable(found)


def test_every_row_of_the_table_names_a_function() -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("| ") and "symbol | meaning" not in line]
    assert len(rows) > 30
    assert [row for row in rows if "`mfmi." not in row.rpartition(" | ")[2]] == []


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_is_explained(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|.*\|.*\|$", THEORY, re.MULTILINE)
    assert re.search(rf"`mfmi\.bounds\.(estimators|covariance)\.{name}`", TABLE)
