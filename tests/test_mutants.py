"""The table of faults applies to the code as it stands; `make mutants` examines whether the tests notice them."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "mutants"))

import document  # noqa: E402
from table import EXPLAINED, MUTANTS, TESTS_OF, Mutant  # noqa: E402


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.name}")
def test_fault_applies_to_the_code_as_it_stands(mutant: Mutant) -> None:
    before = (ROOT / mutant.file).read_text()
    after = mutant.applied_to(before)
    assert after != before
    compile(after, mutant.file, "exec")


def test_the_table_is_what_the_project_promises() -> None:
    assert len(MUTANTS) >= 60
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert {mutant.file for mutant in MUTANTS} <= set(TESTS_OF)


@pytest.mark.parametrize("file", TESTS_OF)
def test_the_tests_named_beside_a_file_exist(file: str) -> None:
    assert (ROOT / file).is_file()
    for test in TESTS_OF[file]:
        assert (ROOT / test).is_file(), test


def test_the_documentation_counts_the_faults_as_they_are() -> None:
    text = document.DOCUMENT.read_text()
    assert text == document.current(text), "make docs"
    assert f"has {len(MUTANTS)} small faults" in text
    assert f"| `chain.py` | {sum(mutant.file == 'mfmi/chain.py' for mutant in MUTANTS)} |" in text


def test_explained_survivors_are_in_the_table_and_in_the_documentation() -> None:
    assert set(EXPLAINED) <= {mutant.name for mutant in MUTANTS}
    text = (ROOT / "docs" / "testing.md").read_text() if EXPLAINED else ""
    for name in EXPLAINED:
        assert name in text
