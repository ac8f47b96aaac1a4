"""The count of false and missed findings of "never trained"."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mfmi.initialisers import table
from studies import never_trained
from studies.never_trained import Drawn, Trained, drawn_matrix, draws, of_draws, of_trainings, trainings

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
TORCH = pytest.mark.parametrize("here", [name for name in ["torch"] if find_spec(name)])


@pytest.mark.parametrize(
    ("law", "reference"),
    [("normal", stats.norm()), ("uniform", stats.uniform(-1, 2)), ("truncated_normal", stats.truncnorm(-2, 2))],
)
def test_draws_have_their_law_and_scale(law: str, reference: object) -> None:
    values = drawn_matrix(law, 0.1, (300, 200), np.random.default_rng(0)).ravel()
    assert values.std() == pytest.approx(0.1, rel=0.02)
    assert stats.kstest(values / 0.1 * reference.std(), reference.cdf).pvalue > 1e-4  # type: ignore[attr-defined]


def test_hardly_a_fresh_draw_is_missed() -> None:
    found = list(draws(table()[::12], shapes=[(128, 96)], seeds=[3]))
    assert len(found) > 10
    assert {one.law for one in found} >= {"normal", "uniform"}
    assert all(one.said for one in found)


@pytest.mark.slow
@TORCH
def test_what_was_trained_is_not_called_untouched(here: str) -> None:
    found = list(trainings(optimisers={"SGD": (1e-2,), "Adam": (1e-2,)}, steps=(1000,), seeds=[4]))
    assert len(found) == 4 * 2 * 3
    assert min(one.change for one in found) > 0.1
    # What moved by less than the finding says would show may pass.
    assert not [one for one in found if one.said and one.change > 2.0 * one.entries**-0.25 + 0.1]
    assert sum(one.said for one in found) <= 3


def test_tables_count() -> None:
    found = [Drawn("normal", 100, True), Drawn("normal", 100, False), Drawn("uniform", 100, True)]
    assert "| normal | 1 of 2 |" in of_draws(found)
    moved = [Trained("normal", "SGD", 0.1, 1, 0, 100, change, change < 0.01) for change in (0.005, 0.05, 0.5)]
    assert "| 0.001 to 0.01 | 0 of 0 | 1 of 1 |" in of_trainings(moved)
    assert "| 0.1 or more | 0 of 0 | 0 of 1 |" in of_trainings(moved)


def test_the_page_has_places_for_both_tables() -> None:
    page = PAGE.read_text()
    filled = never_trained.fill(page, {"draws": "A\n", "trainings": "B\n"})
    assert "<!-- table draws -->\nA\n<!-- end -->" in filled
    assert "<!-- table trainings -->\nB\n<!-- end -->" in filled
