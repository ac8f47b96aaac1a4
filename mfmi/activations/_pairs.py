"""Moments of a pair of pre-activations without closed form: from the table where it is accurate, else by quadrature."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import _quadrature
from mfmi.activations._tables import DECORRELATION, EVEN, MIRROR_SLOPE, ODD, SLOPE, Tabulated, pair_table
from mfmi.arguments.arrays import FloatArray

PairMoment = Literal["decorrelation", "slope_correlation_gap", "correlation"]


# Standard deviation, in scales of variation, from which an activation is replaced by the homogeneous one that it
# resembles from afar, and the relative error allowed for that: the two differ with a probability of one over it.
_FAR = 1e8
_FAR_ERROR = 1e-7


class FarActivation(Protocol):
    """Closed pair moments of a homogeneous activation."""

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0, /) -> FloatArray: ...
    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0, /) -> FloatArray: ...
    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0, /) -> FloatArray: ...


class PairActivation(Tabulated, Protocol):
    """Interface that pair moments require of an activation."""

    tabulated: frozenset[str]

    @property
    def far(self) -> FarActivation | None: ...


def value(phi: PairActivation, moment: PairMoment, s: FloatArray, x: FloatArray, refine: float) -> FloatArray:
    """Evaluate a pair moment.

    Parameters
    ----------
    phi : Activation
        The activation.
    moment : str
        Which moment.
    s, x : ndarray, shape (n,)
        Variance and second argument of the moment: the gap, or the covariance for "correlation".
    refine : float
        Multiplies the nodes of direct quadrature; the table is used for 1 only.

    Returns
    -------
    ndarray, shape (n,)
    """
    if refine != 1.0 or moment not in phi.tabulated:
        return _direct(phi, moment, s, x, refine)
    result, _ = _from_table(phi, moment, s, x)
    far = _is_far(phi, s)
    if phi.far is not None and far.any():
        result[far] = _of_far(phi.far, moment, s[far], x[far])
    missing = np.isnan(result)
    if missing.any():
        result[missing] = _direct(phi, moment, s[missing], x[missing], refine)
    return result


def error(phi: PairActivation, moment: PairMoment, s: FloatArray, x: FloatArray, result: FloatArray) -> FloatArray:
    """Estimate the absolute error of `value`: the table's own, or the difference of two rules.

    Parameters
    ----------
    phi, moment, s, x
        As in `value`.
    result : ndarray, shape (n,)
        What `value` returned.

    Returns
    -------
    ndarray, shape (n,)
    """
    estimate = np.full_like(result, np.nan)
    if moment in phi.tabulated:
        _, estimate = _from_table(phi, moment, s, x)
    far = _is_far(phi, s)
    estimate[far] = _FAR_ERROR * np.abs(result[far])
    missing = np.isnan(estimate)
    if missing.any():
        finer = _direct(phi, moment, s[missing], x[missing], _quadrature.SECOND_OPINION)
        estimate[missing] = _quadrature.SAFETY * np.abs(result[missing] - finer)
    return estimate


def _is_far(phi: PairActivation, s: FloatArray) -> NDArray[np.bool_]:
    if phi.far is None:
        return np.zeros(s.shape, dtype=np.bool_)
    return s > (_FAR * phi.pole) ** 2


def _of_far(far: FarActivation, moment: PairMoment, s: FloatArray, x: FloatArray) -> FloatArray:
    if moment == "correlation":
        return far._correlation(s, x)
    return far._decorrelation(s, x) if moment == "decorrelation" else far._slope_correlation_gap(s, x)


def _from_table(phi: PairActivation, moment: PairMoment, s: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Value and error from the table, NaN where no tile is accurate enough."""
    table = pair_table(phi)
    negative = x < 0.0 if moment == "correlation" else x > s
    k = np.abs(x) if moment == "correlation" else np.abs(s - x)
    near = s - k if moment == "correlation" else np.minimum(x, 2.0 * s - x)
    if moment == "slope_correlation_gap":
        result, estimate = table.evaluate(s, near, SLOPE)
        if negative.any():
            result[negative], estimate[negative] = table.evaluate(s[negative], near[negative], MIRROR_SLOPE)
        return result, estimate
    if moment == "decorrelation":
        result, estimate = (near * part for part in table.evaluate(s, near, DECORRELATION))
        factor, rows = 2.0 * k, np.flatnonzero(negative)
    else:
        power = phi._second_moment(s)
        result, estimate = (power * part for part in table.evaluate(s, near, EVEN))
        factor, rows = np.where(negative, -k, k), np.arange(s.size)
    if rows.size:
        odd, odd_error = table.evaluate(s[rows], near[rows], ODD)
        result[rows] += factor[rows] * odd
        estimate[rows] += np.abs(factor[rows]) * odd_error
    return result, estimate


def _direct(phi: PairActivation, moment: PairMoment, s: FloatArray, x: FloatArray, refine: float) -> FloatArray:
    if moment == "correlation":
        moments = _quadrature.pair_moments(phi, np.abs(x), s - np.abs(x), refine)
        result: FloatArray = moments[1] + np.sign(x) * moments[2]
        return result
    near = np.minimum(x, 2.0 * s - x)
    moments = _quadrature.pair_moments(phi, s - near, near, refine)
    if moment == "decorrelation":
        result = moments[0] + np.where(x > s, 2.0 * moments[2], 0.0)
    else:
        result = moments[3] + np.where(x > s, -moments[4], moments[4])
    return result
