"""The examples in the docstrings of public functions run and print what stands there."""

import doctest
import inspect
from pathlib import Path

import numpy as np
import pytest
from python_reference import page

import mfmi

ROOT = Path(__file__).parents[2]
PUBLIC = {name: getattr(mfmi, name) for name in mfmi.__all__ if name != "initialisers"}
FUNCTIONS = [name for name, one in PUBLIC.items() if inspect.isfunction(one)]


@pytest.mark.thorough
@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_run(name: str) -> None:
    """Under numpy's usual way to print, which others may have changed."""
    found = doctest.DocTestFinder(recurse=False).find(PUBLIC[name], name, globs={})
    assert sum(len(test.examples) for test in found) > 1
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    with np.printoptions(precision=8, suppress=False):
        for test in found:
            runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_everything_public_says_what_it_is(name: str) -> None:
    one = PUBLIC[name]
    assert isinstance(one, str) or len(inspect.getdoc(one) or "") > 30


def test_the_reference_is_current() -> None:
    """If not: make docs."""
    assert (ROOT / "docs" / "python.md").read_text() == page()


def test_the_reference_has_all_that_is_public() -> None:
    missing = [name for name in mfmi.__all__ if f"mfmi.{name}" not in page() and name != "__version__"]
    assert not missing
