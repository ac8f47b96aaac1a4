"""From trained networks and the theory to rank correlations, case by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mfmi.arguments.arrays import FloatArray
from studies.evidence.data import Split
from studies.evidence.design import Case
from studies.evidence.predictors import PREDICTORS
from studies.evidence.ranking import Resample, at_best_rate, drawn_correlations, interval, rank, scores, spearman
from studies.evidence.runs import Run, array

LOSS, ACCURACY = "train_loss", "test_accuracy"
# Whose correlations are compared draw by draw: does training follow what is linearly readable, or all there is?
RIVALS = ("linear", "replica")


class Finding(NamedTuple):
    """Agreement of a predictor's ranking with the networks of a case.

    Attributes
    ----------
    data_set, activation, depth : the case.
    quantity : by what the networks are ranked: "train_loss" (the less the better) or "test_accuracy".
    predictor : of `PREDICTORS`, or "linear - replica", whose correlation is the difference of the two.
    points, spearman, low, high : as in `Ranking`.
    picked : sigma_w where the predictor is largest.
    there, best : the quantity at that sigma_w, and the best at any; NaN for the difference.
    """

    data_set: str
    activation: str
    depth: int
    quantity: str
    predictor: str
    points: int
    spearman: float
    low: float
    high: float
    picked: float
    there: float
    best: float


class Trained(NamedTuple):
    """Training results of the networks of a case, by sigma_w.

    Attributes
    ----------
    sigma_w : shape (n,).
    loss : training loss at the best learning rate, mean over seeds, at most that of guessing, shape (n,).
    accuracy : test accuracy at the same learning rate, shape (n,).
    """

    sigma_w: FloatArray
    loss: FloatArray
    accuracy: FloatArray


def trained(runs: Sequence[Run], split: Split) -> Trained:
    """Reduce the runs of a case to one number a sigma_w."""
    loss, accuracy = array(runs, LOSS), array(runs, ACCURACY)
    sigma_w = np.array(sorted({run.sigma_w for run in runs}))
    return Trained(sigma_w, -scores(loss, split.guess), at_best_rate(accuracy, loss, split.guess, split.guessed_right))


def findings(case: Case, runs: Sequence[Run], split: Split, said: Mapping[str, FloatArray]) -> list[Finding]:
    """Rank the networks of a case by every predictor.

    Parameters
    ----------
    case, runs
        The case and its trained networks.
    split
        Its data.
    said
        By predictor its values, shape (sigma_w,), in ascending order of sigma_w.
    """
    loss, accuracy = array(runs, LOSS), array(runs, ACCURACY)
    found = trained(runs, split)
    resample = Resample.of(loss.shape[0], loss.shape[2])
    drawn = resample.take(loss)
    observed = {
        LOSS: (-found.loss, scores(drawn, split.guess)),
        ACCURACY: (
            found.accuracy,
            at_best_rate(resample.take(accuracy), drawn, split.guess, split.guessed_right),
        ),
    }
    shown = {LOSS: found.loss, ACCURACY: found.accuracy}
    rows = []
    for quantity, (values, replicates) in observed.items():
        best = float(shown[quantity][np.argmax(values)])
        for name in PREDICTORS:
            ranking = rank(said[name], values, replicates, resample)
            place = int(np.nanargmax(said[name]))
            picked, there = float(found.sigma_w[place]), float(shown[quantity][place])
            ends = (ranking.spearman, ranking.low, ranking.high)
            rows.append(Finding(*case, quantity, name, ranking.points, *ends, picked, there, best))
        rows.append(_difference(case, quantity, values, replicates, resample, said))
    return rows


def _difference(
    case: Case,
    quantity: str,
    values: FloatArray,
    replicates: FloatArray,
    resample: Resample,
    said: Mapping[str, FloatArray],
) -> Finding:
    """The correlation of the one rival less that of the other, over the points where both have a value."""
    both = ~np.any([np.isnan(said[name]) for name in RIVALS], axis=0)
    one, other = (np.where(both, said[name], np.nan) for name in RIVALS)
    draws = [drawn_correlations(part, replicates, resample) for part in (one, other)]
    difference = float(spearman(one[both], values[both]) - spearman(other[both], values[both]))
    nothing = (np.nan, np.nan, np.nan)
    ends = interval(draws[0] - draws[1])
    return Finding(*case, quantity, " - ".join(RIVALS), int(both.sum()), difference, *ends, *nothing)
