"""The best place of a grid, chosen by its test losses: more than any recommendation of such weights can know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from studies.evidence.data import load
from studies.evidence.design import ENSEMBLES, Case
from studies.evidence.findings import Compared, losses
from studies.evidence.runs import Run
from studies.evidence.starts import RECIPES


class Place(NamedTuple):
    """The place of a grid with the smallest mean test loss.

    Attributes
    ----------
    weights : ensemble of the grid.
    places : how many it was chosen from.
    sigma_w, sigma_b : where it is.
    found : it beside the best recipe of the case.
    """

    weights: str
    places: int
    sigma_w: float
    sigma_b: float
    found: Compared


def best_places(cases: Mapping[Case, Sequence[Run]]) -> list[Place]:
    """The best place of every grid of plain networks that has recipes beside it.

    Recipes are the same whatever the ensemble of a grid: they are those of the case of gaussian weights.
    """
    return [
        _best(case, weights, runs, cases[case._replace(weights=weights)])
        for case, runs in cases.items()
        if case.network == "plain" and case.weights == "gaussian" and any(run.start in RECIPES for run in runs)
        for weights in ENSEMBLES
        if any(run.start == "grid" for run in cases.get(case._replace(weights=weights), ()))
    ]


def _best(case: Case, weights: str, runs: Sequence[Run], of_grid: Sequence[Run]) -> Place:
    guess = load(case.data_set).guess
    rivals = {place[0]: values for place, values in losses(runs, guess).items() if place[0] in RECIPES}
    recipe = min(rivals, key=lambda name: float(rivals[name].mean()))
    grid = {place[1:]: values for place, values in losses(of_grid, guess).items() if place[0] == "grid"}
    place = min(grid, key=lambda at: float(grid[at].mean()))
    mine, theirs = ((float(one.mean()), float(one.std(ddof=1))) for one in (grid[place], rivals[recipe]))
    found = Compared(case, f"grid, {weights}", *mine, recipe, *theirs)
    return Place(weights, len(grid), *place, found)
