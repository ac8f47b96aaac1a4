"""Uniform cubic splines: their coefficients and weights, and what they miss between the sites.

Of a function with a bounded fourth derivative the cubic interpolant at uniform sites misses at most `h^4 f'''' / 384`
between them, and the fourth differences of its own coefficients are `h^4 f''''`. Where the function is not resolved
they are as large as what is missed. Along several axes the misses add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from mfmi.arguments.arrays import FloatArray, Number

_CUBIC = 384.0

Four = tuple[Number, Number, Number, Number]
SplineWeights = tuple[Four[Number], Four[Number], Four[Number]]
"""Of the four splines of a cell: values, first and second derivatives."""


def weights_of(t: Number, cells: int) -> SplineWeights[Number]:
    """Weights of the splines at a share t of a cell; for arrays and, compiled, for numbers."""
    o = 1.0 - t
    t_2, o_2 = t * t, o * o
    square = float(cells * cells)
    value = (
        o_2 * o * (1.0 / 6.0),
        (4.0 - 6.0 * t_2 + 3.0 * t_2 * t) * (1.0 / 6.0),
        (4.0 - 6.0 * o_2 + 3.0 * o_2 * o) * (1.0 / 6.0),
        t_2 * t * (1.0 / 6.0),
    )
    first = -0.5 * cells * o_2, cells * (1.5 * t_2 - 2.0 * t), cells * (2.0 * o - 1.5 * o_2), 0.5 * cells * t_2
    return value, first, (square * o, square * (3.0 * t - 2.0), square * (3.0 * o - 2.0), square * t)


@dataclass(frozen=True)
class SplineAxis:
    """Uniform cubic B-splines on [0, 1], and the points where their coefficients are found from values."""

    cells: int

    @property
    def sites(self) -> FloatArray:
        """Collocation points: the grid, and the middle of the first and last cell, shape (cells + 3,)."""
        grid = np.linspace(0.0, 1.0, self.cells + 1)
        return np.sort(np.concatenate((grid, [0.5 / self.cells, 1.0 - 0.5 / self.cells])))

    @cached_property
    def coefficients(self) -> FloatArray:
        """Matrix from values at the sites to coefficients, shape (cells + 3, cells + 3)."""
        knots = np.arange(-3, self.cells + 4) / self.cells
        return np.asarray(np.linalg.inv(BSpline.design_matrix(self.sites, knots, 3).toarray()), dtype=np.float64)

    def locate(self, x: FloatArray) -> tuple[NDArray[np.intp], SplineWeights[FloatArray]]:
        """Cell of each x in [0, 1], and the weights of its splines there."""
        position = x * self.cells
        cell = np.clip(position.astype(np.intp), 0, self.cells - 1)
        return cell, weights_of(position - cell, self.cells)


def missed_between_sites(coefficients: FloatArray) -> FloatArray:
    """Estimate how far a tensor of cubic splines is from what it interpolates, in every cell.

    Parameters
    ----------
    coefficients : ndarray
        Of uniform cubic B-splines, `cells + 3` along every axis; an axis of length 1 is constant.

    Returns
    -------
    ndarray
        Absolute error, of shape `cells` (1 along a constant axis).
    """
    splined = [axis for axis, size in enumerate(coefficients.shape) if size > 1]
    total = np.zeros(1)
    for axis in splined:
        # The third derivative jumps between two cells; each sees the jumps at both of its ends.
        jumps = np.abs(np.diff(coefficients, 4, axis=axis))
        beside = [(1, 1) if other == axis else (0, 0) for other in range(coefficients.ndim)]
        jumps = _largest_of(np.pad(jumps, beside, mode="edge"), 2, axis)
        total = total + largest_around(jumps, [other for other in splined if other != axis]) / _CUBIC
    return np.asarray(total)


def largest_around(coefficients: FloatArray, axes: list[int]) -> FloatArray:
    """Largest of the four coefficients that a cell sees along each of some axes, shape `cells` along them."""
    for axis in axes:
        coefficients = _largest_of(coefficients, 4, axis)
    return coefficients


def _largest_of(values: FloatArray, count: int, axis: int) -> FloatArray:
    """Largest of every `count` neighbours along an axis."""
    size = values.shape[axis] - count + 1
    before = (slice(None),) * axis
    return reduce(np.maximum, (values[(*before, slice(first, first + size))] for first in range(count)))


def from_coarse_sites(values: FloatArray, sites: list[NDArray[np.intp]], cells: tuple[int, ...]) -> FloatArray:
    """Carry what was found at some of the sites to the cells between them: the larger of both neighbours.

    Parameters
    ----------
    values : ndarray
        One axis per entry of `sites`.
    sites : list of ndarray
        Numbers of the sites in ascending order, the first and the last cell within their range, or a single one for
        all.
    cells : tuple of int
        Number of cells along every axis.

    Returns
    -------
    ndarray, shape `cells`
    """
    for axis, (known, count) in enumerate(zip(sites, cells, strict=True)):
        above = np.minimum(np.searchsorted(known, np.arange(count) + 1), len(known) - 1)
        below = np.maximum(above - 1, 0)
        values = np.maximum(np.take(values, above, axis=axis), np.take(values, below, axis=axis))
    return values
