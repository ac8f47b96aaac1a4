"""Spearman's rank correlation between a number known before training and the training results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from mfmi.arguments.arrays import FloatArray

REPLICATES = 1000
LEVEL = 0.95


class Ranking(NamedTuple):
    """A rank correlation and its bootstrap interval.

    Attributes
    ----------
    points : number of places that took part, those at which the predictor has a value.
    spearman : the correlation, NaN where one side is constant.
    low, high : ends of the interval of `LEVEL`, NaN where fewer than that share of the replicates has a correlation.
    """

    points: int
    spearman: float
    low: float
    high: float


def learnt(loss: FloatArray, guess: float) -> FloatArray:
    """Losses, those of networks that diverged or are worse than a guess being that of guessing: they tie."""
    return np.minimum(np.where(np.isnan(loss), guess, loss), guess)


def spearman(x: FloatArray, y: FloatArray) -> FloatArray:
    """Spearman's rank correlation along the last axis, ties sharing their mean rank; NaN where a side is constant."""
    a, b = (rankdata(part, axis=-1) for part in (x, y))
    a, b = (part - part.mean(axis=-1, keepdims=True) for part in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(axis=-1) / np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1)))


class Resample(NamedTuple):
    """Bootstrap draws, the same for all predictors: places, and for each of them its seeds.

    Attributes
    ----------
    points : shape (replicates, n).
    seeds : shape (replicates, n, seeds).
    """

    points: NDArray[np.intp]
    seeds: NDArray[np.intp]

    @classmethod
    def of(cls, points: int, seeds: int, replicates: int = REPLICATES) -> Resample:
        """Draw places with replacement, and for each of them its seeds with replacement."""
        random = np.random.default_rng(0)
        return cls(
            random.integers(points, size=(replicates, points)), random.integers(seeds, size=(replicates, points, seeds))
        )

    def take(self, values: FloatArray) -> FloatArray:
        """Replicates of values of shape (n, seeds): shape (replicates, n, seeds)."""
        return np.asarray(values[self.points[:, :, None], self.seeds])


def rank(predictor: FloatArray, loss: FloatArray, resample: Resample) -> Ranking:
    """Rank correlation of a predictor with minus the mean loss.

    Parameters
    ----------
    predictor
        Larger for what it says trains better, shape (n,); places where it is NaN are left out.
    loss
        Shape (n, seeds).
    resample
        The draws.
    """
    known = ~np.isnan(predictor)
    if known.sum() < 3:
        return Ranking(int(known.sum()), np.nan, np.nan, np.nan)
    found = float(spearman(predictor[known], -loss[known].mean(axis=1)))
    drawn, losses = predictor[resample.points], resample.take(loss).mean(axis=2)
    replicates = [spearman(x[here], -y[here]) for x, y, here in zip(drawn, losses, ~np.isnan(drawn), strict=True)]
    low, high = interval(np.array(replicates))
    return Ranking(int(known.sum()), found, low, high)


def interval(values: FloatArray) -> tuple[float, float]:
    """Percentile interval of `LEVEL`; NaN where too many of the draws have no correlation to say anything."""
    known = values[~np.isnan(values)]
    if len(known) < LEVEL * len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return float(low), float(high)
