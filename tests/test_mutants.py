"""The table of faults applies to the code as it stands; `make mutants` examines whether the tests notice them."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "mutants"))

import run  # noqa: E402
from table import EXPLAINED, MUTANTS, TESTS_OF, Mutant  # noqa: E402


@pytest.mark.slow
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


def test_explained_survivors_are_in_the_table_and_in_the_documentation() -> None:
    assert set(EXPLAINED) <= {mutant.name for mutant in MUTANTS}
    text = (ROOT / "docs" / "testing.md").read_text() if EXPLAINED else ""
    for name in EXPLAINED:
        assert name in text


def test_a_fault_that_does_not_fit_the_code_is_told(tmp_path: Path) -> None:
    assert run.misplaced(MUTANTS[0]) == ""
    gone = Mutant("gone", MUTANTS[0].file, "what stands nowhere", "")
    assert run.misplaced(gone) == f"gone: found 0 times in {gone.file}"
    twice = Mutant("twice", MUTANTS[0].file, "return", "yield")
    assert "twice: found" in run.misplaced(twice)


def test_a_copy_has_all_that_the_tests_need(tmp_path: Path) -> None:
    run.copy_project(tmp_path)
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()} | {".git"}
    assert {path.name for path in ROOT.iterdir()} - ignored == {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_the_runner_tells_a_fault_from_none() -> None:
    fault = next(mutant for mutant in MUTANTS if mutant.file == "mfmi/quadrature/gaussian.py")
    assert run.check_unchanged([fault], near=True) == ""
    assert "test_gaussian.py" in run.examine(fault, near=True).caught_by
    none = Mutant("none", fault.file, fault.original, f"({fault.original})")
    assert run.examine(none, near=True).caught_by == ""
