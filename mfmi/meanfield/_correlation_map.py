"""Fixed point of the correlation map and its slope there (theory (5))."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.roots import solve

# |chi_1 - 1| within which a network is critical: what a sigma_w given to twelve digits leaves undecided.
CRITICAL = 1e-10

# Relative to q*: gaps below the first are none, and a mismatch at k = 0 below the second is rounding.
_LEAST_GAP = 1e-30
_GAP_ROUNDING = 1e-14

# The distance of chi_c from 1 below which its relative error is looked at, the error from which on the moments are
# computed anew, and how much finer than usual.
_STEEP = 0.1
_ACCURATE = 1e-12
_REFINE = 1.25


def correlation_fixed_point(
    phi: Activation,
    w2: FloatArray,
    b2: FloatArray,
    h2: FloatArray,
    s: FloatArray,
    q_star: FloatArray,
    chi_1: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Fixed point of the correlation of two inputs, and the slope of the map there.

    In `c` the map is `sum_n a_n^2 c^n` with an offset, convex and increasing on [0, 1]: there is one fixed point below
    1 where the slope at 1 exceeds 1 or hidden noise pulls the map down at 1, and none otherwise. Inputs of negative
    correlation end there too, unless they are opposite under an odd activation without biases.

    Parameters
    ----------
    phi : the activation.
    w2, b2, h2 : variances of weights, biases and hidden noise, shape (n,).
    s, q_star, chi_1 : fixed point of the length map with and without the hidden noise, and the slope at correlation 1,
        shape (n,); `q_star` NaN where there is none.

    Returns
    -------
    c_star, chi_c : ndarray, shape (n,)
        `c_star` is 1 where `q_star` is 0; NaN where `q_star` is.
    """
    c_star = np.where(np.isnan(q_star), np.nan, 1.0)
    chi_c = np.where(np.isnan(q_star), np.nan, chi_1)
    below = (h2 > 0.0) | ~(chi_1 <= 1.0 + CRITICAL)
    rows = np.flatnonzero((q_star > 0.0) & (w2 > 0.0) & below)
    if not len(rows):
        return c_star, chi_c
    gap = _gap(phi, w2[rows], b2[rows], h2[rows], s[rows], q_star[rows])
    # With hardly any weight the gap is below the search, and what the noise alone makes of it.
    lone = w2[rows] * np.asarray(phi.decorrelation(s[rows], np.minimum(h2[rows], 2.0 * s[rows])))
    gap = np.where(np.isnan(gap) & (lone <= _GAP_ROUNDING * q_star[rows]), lone, gap)
    c_star[rows] = 1.0 - gap / q_star[rows]
    chi_c[rows] = np.nan
    found = ~np.isnan(gap)
    rows, gap = rows[found], gap[found]
    if phi.differentiable and len(rows):
        chi_c[rows] = w2[rows] * np.asarray(phi.slope_correlation_gap(s[rows], np.minimum(gap + h2[rows], 2 * s[rows])))
        _polish(phi, (w2, h2, s, q_star), rows, gap, c_star, chi_c)
    return c_star, chi_c


def _polish(
    phi: Activation,
    network: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    rows: NDArray[np.intp],
    gap: FloatArray,
    c_star: FloatArray,
    chi_c: FloatArray,
) -> None:
    """If the slope is close to 1, an error of the map is amplified by 1 / (1 - chi_c)^2 in xi_c.

    Tables of pair moments are good to about 1e-12; where that is not enough, one Newton step with moments by direct
    quadrature follows.
    """
    distance = 1.0 - chi_c[rows]
    steep = np.abs(distance) < _STEEP
    if not phi.tabulated or not steep.any():
        return
    rows, gap, distance = rows[steep], gap[steep], distance[steep]
    w2, h2, s, q_star = (part[rows] for part in network)
    inner = np.minimum(gap + h2, 2.0 * s)
    _, error = phi.with_error("decorrelation", s, inner)
    _, slope_error = phi.with_error("slope_correlation_gap", s, inner)
    # Where k* is 0, as under an odd activation without biases, only the slope has an error.
    moves = gap < q_star
    wrong = w2 * np.maximum(np.asarray(error) / q_star * moves, np.asarray(slope_error) * np.abs(distance))
    off = np.flatnonzero(wrong > _ACCURATE * distance**2)
    if not len(off):
        return
    rows, moves = rows[off], moves[off]
    w2, h2, s, q_star, gap, distance = (part[off] for part in (w2, h2, s, q_star, gap, distance))
    inner = np.minimum(gap + h2, 2.0 * s)
    better = np.where(moves, gap + (w2 * phi._decorrelation(s, inner, _REFINE) - gap) / distance, gap)
    inner = np.minimum(better + h2, 2.0 * s)
    c_star[rows] = 1.0 - better / q_star
    chi_c[rows] = w2 * phi._slope_correlation_gap(s, inner, _REFINE)


def _gap(
    phi: Activation, w2: FloatArray, b2: FloatArray, h2: FloatArray, s: FloatArray, q_star: FloatArray
) -> FloatArray:
    """`q* - k*`, the root of `sigma_w^2 (V(s) - K(s, s - gap - sigma_h^2)) = gap`."""

    def mismatch(gap: FloatArray, weight: FloatArray, noise: FloatArray, total: FloatArray) -> FloatArray:
        inner = np.minimum(gap + noise, 2.0 * total)
        return np.asarray(weight * np.asarray(phi.decorrelation(total, inner))) / gap - 1.0

    gap = q_star.copy()
    # At k = 0 the map leads to (E phi)^2 and the bias: nothing for an odd activation without one.
    uncorrelated = (b2 == 0.0) if phi.odd else np.zeros(len(gap), dtype=bool)
    uncorrelated = uncorrelated | (mismatch(q_star, w2, h2, s) >= -_GAP_ROUNDING)
    search = np.flatnonzero(~uncorrelated)
    arguments = tuple(part[search] for part in (w2, h2, s))
    lower, upper = _bracket(mismatch, q_star[search], arguments)
    gap[search] = solve(mismatch, lower, upper, *arguments)
    return gap


def _bracket(
    mismatch: Callable[..., FloatArray], top: FloatArray, arguments: tuple[FloatArray, ...]
) -> tuple[FloatArray, FloatArray]:
    """A decade that holds the root: few gaps are small, and a table of moments grows with every region visited."""
    upper, lower = top.copy(), 0.1 * top
    rows = np.flatnonzero(lower > 0.0)
    while len(rows):
        rows = rows[mismatch(lower[rows], *(part[rows] for part in arguments)) <= 0.0]
        rows = rows[lower[rows] > _LEAST_GAP * top[rows]]
        upper[rows] = lower[rows]
        lower[rows] *= 0.1
    return lower, upper
