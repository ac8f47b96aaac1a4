"""The verdicts by chance alone: a start of the very law of the best recipe, drawn again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mfmi.arguments.arrays import FloatArray
from studies.evidence.data import load
from studies.evidence.design import Case
from studies.evidence.findings import VERDICTS, losses, verdicts
from studies.evidence.ranking import learnt
from studies.evidence.runs import Run
from studies.evidence.starts import RECIPES

# Experiments that are made up for each case.
EXPERIMENTS = 1000


def same_law(case: Case, runs: Sequence[Run]) -> FloatArray:
    """Shares of the verdicts, in the order of `VERDICTS`, of a start that is the best recipe under another name.

    All recipes, and that start, are drawn anew with as many seeds as were trained: normal, with the mean and the
    standard deviation of those seeds. The best recipe is found anew each time, from its draws, as in the comparison:
    the luckiest of all. What is worse than a guess counts as a guess, as there.
    """
    guess, random = load(case.data_set).guess, np.random.default_rng(0)
    known = [values for (name, _, _), values in losses(runs, guess).items() if name in RECIPES]
    drawn = [_drawn(values, guess, random) for values in known]
    mine = _drawn(min(known, key=lambda values: float(values.mean())), guess, random)
    means, scatters = (np.stack([part[k] for part in drawn]) for k in (0, 1))
    best = means.argmin(axis=0)[None]
    theirs, their_scatter = (np.take_along_axis(part, best, axis=0)[0] for part in (means, scatters))
    found = verdicts(mine[0], mine[1], theirs, their_scatter)
    return np.bincount(found, minlength=len(VERDICTS)) / EXPERIMENTS


def _drawn(values: FloatArray, guess: float, random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of made-up seeds of a start, each of shape (EXPERIMENTS,)."""
    draws = values.mean() + values.std(ddof=1) * random.standard_normal((EXPERIMENTS, len(values)))
    draws = learnt(draws, guess)
    return draws.mean(axis=1), draws.std(axis=1, ddof=1)
