"""Spearman's rank correlation between a number known before training and the training results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from mfmi.arguments.arrays import FloatArray

REPLICATES = 2000
LEVEL = 0.95


class Ranking(NamedTuple):
    """A rank correlation and its bootstrap interval.

    Attributes
    ----------
    points : number of sigma_w that took part, those at which the predictor has a value.
    spearman : the correlation, NaN where one side is constant.
    low, high : ends of the interval of `LEVEL`, NaN where fewer than that share of the replicates has a correlation.
    """

    points: int
    spearman: float
    low: float
    high: float


def scores(loss: FloatArray, guess: float) -> FloatArray:
    """Training result, larger is better: minus the training loss at the best learning rate.

    Parameters
    ----------
    loss
        Training loss, shape (..., learning rates, seeds); NaN where training diverged.
    guess
        Loss of guessing. Whatever is worse, and what diverged, has learnt nothing and ties there.

    Returns
    -------
    numpy.ndarray
        Shape (...): the mean over the seeds, at the learning rate where it is best.
    """
    return np.asarray(-_learnt(loss, guess).mean(axis=-1).min(axis=-1))


def at_best_rate(quantity: FloatArray, loss: FloatArray, guess: float, fallback: float) -> FloatArray:
    """Mean over the seeds of another quantity at the learning rate of the best training loss.

    Parameters
    ----------
    quantity, loss
        Shape (..., learning rates, seeds).
    guess
        As in `scores`.
    fallback
        Value of the quantity for a network that diverged.
    """
    best = _learnt(loss, guess).mean(axis=-1).argmin(axis=-1)
    means = np.where(np.isnan(quantity), fallback, quantity).mean(axis=-1)
    return np.asarray(np.take_along_axis(means, best[..., None], axis=-1)[..., 0])


def _learnt(loss: FloatArray, guess: float) -> FloatArray:
    return np.minimum(np.where(np.isnan(loss), guess, loss), guess)


def spearman(x: FloatArray, y: FloatArray) -> FloatArray:
    """Spearman's rank correlation along the last axis, ties sharing their mean rank; NaN where a side is constant."""
    a, b = (rankdata(part, axis=-1) for part in (x, y))
    a, b = (part - part.mean(axis=-1, keepdims=True) for part in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(axis=-1) / np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1)))


class Resample(NamedTuple):
    """Bootstrap draws, the same for all predictors so that their differences can be told: points and their seeds.

    Attributes
    ----------
    points : shape (replicates, n).
    seeds : shape (replicates, n, seeds).
    """

    points: NDArray[np.intp]
    seeds: NDArray[np.intp]

    @classmethod
    def of(cls, points: int, seeds: int, replicates: int = REPLICATES) -> Resample:
        """Draw points with replacement, and for each of them its seeds with replacement."""
        random = np.random.default_rng(0)
        return cls(
            random.integers(points, size=(replicates, points)), random.integers(seeds, size=(replicates, points, seeds))
        )

    def take(self, values: FloatArray) -> FloatArray:
        """Replicates of values of shape (n, learning rates, seeds): shape (replicates, n, learning rates, seeds)."""
        rates = np.arange(values.shape[1])[None, None, :, None]
        return np.asarray(values[self.points[:, :, None, None], rates, self.seeds[:, :, None, :]])


def rank(predictor: FloatArray, observed: FloatArray, replicates: FloatArray, resample: Resample) -> Ranking:
    """Rank correlation of a predictor with what was observed.

    Parameters
    ----------
    predictor
        Larger for what it says trains better, shape (n,); points where it is NaN are left out.
    observed
        Shape (n,), larger for what trained better.
    replicates
        The same for the draws, shape (replicates, n).
    resample
        The draws.
    """
    known = ~np.isnan(predictor)
    if known.sum() < 3:
        return Ranking(int(known.sum()), np.nan, np.nan, np.nan)
    found = float(spearman(predictor[known], observed[known]))
    low, high = interval(drawn_correlations(predictor, replicates, resample))
    return Ranking(int(known.sum()), found, low, high)


def drawn_correlations(predictor: FloatArray, replicates: FloatArray, resample: Resample) -> FloatArray:
    """Rank correlation in every draw, shape (replicates,), over those of its points where the predictor has a value."""
    drawn = predictor[resample.points]
    if not np.isnan(predictor).any():
        return spearman(drawn, replicates)
    found = np.full(len(drawn), np.nan)
    for row, (x, y) in enumerate(zip(drawn, replicates, strict=True)):
        known = ~np.isnan(x)
        if known.sum() > 2:
            found[row] = spearman(x[known], y[known])
    return found


def interval(values: FloatArray) -> tuple[float, float]:
    """Percentile interval of `LEVEL`; NaN where too many of the draws have no correlation to say anything."""
    known = values[~np.isnan(values)]
    if len(known) < LEVEL * len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return float(low), float(high)
