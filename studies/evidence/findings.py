"""From trained networks to findings: how well predictors rank the grid, and recommendations beside usual recipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.arguments.arrays import FloatArray
from studies.evidence.design import Case
from studies.evidence.predictors import predictions
from studies.evidence.ranking import Resample, learnt, rank
from studies.evidence.recommended import RECOMMENDED
from studies.evidence.runs import Run
from studies.evidence.starts import RECIPES


class Ranked(NamedTuple):
    """Agreement of a predictor with the test losses over the grid of a case.

    Attributes
    ----------
    predictor : of `PREDICTORS`.
    points, spearman, low, high : as in `Ranking`.
    sigma_w, sigma_b : place where the predictor is largest.
    regret : test loss there less the smallest on the grid.
    best : that smallest.
    """

    case: Case
    predictor: str
    points: int
    spearman: float
    low: float
    high: float
    sigma_w: float
    sigma_b: float
    regret: float
    best: float


class Compared(NamedTuple):
    """A start beside the recipe that did best in its case.

    Attributes
    ----------
    start : a recommendation of `RECOMMENDED`, or a recipe.
    loss, scatter : test loss, mean and standard deviation over the seeds.
    recipe : the recipe of smallest test loss; for a recipe, the best of the others.
    theirs, their_scatter : its loss.
    """

    case: Case
    start: str
    loss: float
    scatter: float
    recipe: str
    theirs: float
    their_scatter: float

    @property
    def verdict(self) -> str:
        """Of `VERDICTS`."""
        return VERDICTS[int(verdicts(self.loss, self.scatter, self.theirs, self.their_scatter))]


VERDICTS = ("better", "within", "worse", "far worse")


def verdicts(loss: ArrayLike, scatter: ArrayLike, theirs: ArrayLike, their_scatter: ArrayLike) -> NDArray[np.intp]:
    """Verdicts as places in `VERDICTS`: a loss less another, in scatters of a difference of two networks."""
    apart = np.subtract(loss, theirs)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where(apart == 0.0, 0.0, apart / np.hypot(scatter, their_scatter))
    return np.searchsorted([-1.0, 1.0, 2.0], difference, side="left")


def losses(runs: Sequence[Run], guess: float) -> dict[tuple[str, float, float], FloatArray]:
    """Test losses of the seeds of every start: by its name and place."""
    found: dict[tuple[str, float, float], list[float]] = {}
    for run in runs:
        place = (run.start, round(run.sigma_w, 7), run.sigma_b) if run.start == "grid" else (run.start, 0.0, 0.0)
        found.setdefault(place, []).append(run.test_loss)
    return {place: learnt(np.array(values), guess) for place, values in found.items()}


def ranked(case: Case, runs: Sequence[Run], guess: float) -> list[Ranked]:
    """Rank the grid of a plain case by every predictor; nothing where the case has no grid."""
    grid = {place: values for place, values in losses(runs, guess).items() if place[0] == "grid"}
    if not grid or case.network != "plain":
        return []
    w, b = (np.array([place[k] for place in grid]) for k in (1, 2))
    loss = np.array(list(grid.values()))
    resample, mean = Resample.of(*loss.shape), loss.mean(axis=1)
    found = []
    for name, values in predictions(case, w, b).items():
        at = int(np.nanargmax(values))
        place = (float(w[at]), float(b[at]), float(mean[at] - mean.min()), float(mean.min()))
        found.append(Ranked(case, name, *rank(values, loss, resample), *place))
    return found


def compared(case: Case, runs: Sequence[Run], guess: float) -> list[Compared]:
    """Every start of a case that is no place of the grid, beside the best recipe."""
    known = {place[0]: values for place, values in losses(runs, guess).items() if place[0] != "grid"}
    found = []
    for name in (*RECOMMENDED, *RECIPES):
        others = {one: known[one] for one in RECIPES if one in known and one != name}
        if name in known and others:
            recipe = min(others, key=lambda one: float(others[one].mean()))
            mine, theirs = ((float(one.mean()), float(one.std(ddof=1))) for one in (known[name], others[recipe]))
            found.append(Compared(case, name, *mine, recipe, *theirs))
    return found
