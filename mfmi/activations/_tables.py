"""Tables of pair moments: tensor Chebyshev interpolation on tiles of (standard deviation, angle), built on first use.

A tile depends on the activation and on its place alone, never on what was asked for, so that results do not depend on
the order of work or on the number of processes. Each tile carries the error measured when it was built, between its
nodes and against direct quadrature; a tile that misses the accuracy wanted is not used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import _quadrature
from mfmi.activations._quadrature import Integrand
from mfmi.arguments.arrays import FloatArray
from mfmi.processes.progress import staged

# Rows of a tile's coefficients.
DECORRELATION, ODD, EVEN, SLOPE, MIRROR_SLOPE = range(5)

# Edges of the bands in t = arcsinh(sigma / scale). The functions are smooth but not analytic at sigma = 0, where terms
# like exp(-scale^2 / (2 s)) begin, hence the narrow first bands; far out they are power series in 1 / sigma. A band is
# cut into panels at most so wide in arcsinh(sigma theta / scale), and each panel is a tile, built on first use. The far
# bands serve networks without bound, and are coarse enough for functions of linear growth only.
_EDGES = np.array(
    [0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.75, 3.5, 4.5, 5.5, 6.5, 7.5, 10.0, 12.5, 15.0, 17.5, 20.0]
)
_WIDTHS = np.where(_EDGES[1:] <= 7.5, 0.7, 1.4)
_PANELS = np.append(np.ceil(np.arcsinh(0.5 * np.pi * np.sinh(_EDGES[1:])) / _WIDTHS), 0.0).astype(np.int64)
_NODES = (14, 16)
_CHECKS = (4, 5)
_MOST_PANELS = 64
_ALMOST_ONE = 0.999

# Tiles are filled with the first multiple of the ordinary number of nodes and checked against the second. Rules of
# equal steps have more nodes than others, and are chosen by their accuracy.
_FINE, _FINER = 1.25, 1.6
_FINE_UNIFORM, _FINER_UNIFORM = 1.0, 1.25

# A tile with a larger relative error is left to direct quadrature.
_WANTED = 2e-10
_SAFETY = 4.0
_TABLE_ROUNDING = 1e-14


class Tabulated(Integrand, Protocol):
    """An activation of which the pair moments are tabulated."""

    @property
    def name(self) -> str: ...
    def __hash__(self) -> int: ...
    def _second_moment(self, s: FloatArray, refine: float = 1.0, /) -> FloatArray: ...


@dataclass(frozen=True)
class PairTile:
    """Part of a table.

    Attributes
    ----------
    coefficients : ndarray, shape (5, nodes in t, nodes in y)
        Chebyshev coefficients.
    relative, absolute : ndarray, shape (5,)
        Errors of the five functions: relative for those that are positive, absolute for those that may vanish.
    usable : ndarray of bool, shape (5,)
        Which are as accurate as wanted.
    """

    coefficients: FloatArray
    relative: FloatArray
    absolute: FloatArray
    usable: NDArray[np.bool_]


class PairTable:
    """Pair moments of one activation at covariance k >= 0 as functions of sigma and the angle, cos(theta) = k / s.

    The five functions are smooth and of order one over each tile: V - K over s - k, the odd part of K over k, the even
    part of K over V, and E phi' phi' at covariances k and -k.

    Parameters
    ----------
    phi : Activation
        The activation; pair moments come from its `conditional`.
    """

    def __init__(self, phi: Tabulated) -> None:
        self._phi = phi
        finite = [phi.pole, *(0.5 * abs(kink) for kink in phi.kinks if kink != 0.0)]
        length = min(finite)
        self._scale = length if math.isfinite(length) else 1.0
        self._tiles: dict[tuple[int, int], PairTile] = {}

    def evaluate(self, s: FloatArray, near: FloatArray, function: int) -> tuple[FloatArray, FloatArray]:
        """Interpolate one of the five functions.

        Parameters
        ----------
        s, near : ndarray, shape (n,)
            Variance and s - |k|, 0 <= near <= s.
        function : int
            One of the constants of this module.

        Returns
        -------
        value, error : ndarray, shape (n,)
            Value and estimated absolute error; both NaN where the tile is not accurate enough to be used.
        """
        sigma = np.sqrt(s) / self._scale
        place = np.arcsinh(sigma)
        index = np.searchsorted(_EDGES, place, side="right") - 1
        y = _fraction(sigma, 2.0 * np.arctan2(np.sqrt(near), np.sqrt(2.0 * s - near)))
        value, error = np.full((2, s.size), np.nan)
        # Both bases are built for all points at once, in the order of their panels, which are then slices.
        panel = np.minimum((y * _PANELS[index]).astype(np.int64), _PANELS[index] - 1)
        group = index * _MOST_PANELS + panel
        order = np.argsort(group, kind="stable")
        order = order[panel[order] >= 0]
        if order.size == 0:
            return value, error
        # Numpy sums a lone column in another order than one among others, and the last bit would tell who came along:
        # every slice below has two columns at least, the last one doubled for that.
        order = np.append(order, order[-1])
        at, columns = index[order], panel[order]
        low = _EDGES[at]
        left = _basis(2.0 * (place[order] - low) / (_EDGES[at + 1] - low) - 1.0, _NODES[0])
        right = _basis(2.0 * (y[order] * _PANELS[at] - columns) - 1.0, _NODES[1])
        bounds = [*np.flatnonzero(np.diff(group[order[:-1]], prepend=-1)).tolist(), order.size - 1]
        self._prepare([(int(at[start]), int(columns[start])) for start in bounds[:-1]])
        for start, stop in itertools.pairwise(bounds):
            tile = self._tile(int(at[start]), int(columns[start]))
            if not tile.usable[function]:
                continue
            rows = order[start:stop]
            wide = slice(start, max(stop, start + 2))
            partial = np.einsum("ij,in->jn", tile.coefficients[function], left[:, wide])
            found = np.einsum("jn,jn->n", partial, right[:, wide])[: rows.size]
            value[rows] = found
            error[rows] = tile.relative[function] * np.abs(found) + tile.absolute[function]
        return value, error

    def _prepare(self, places: Sequence[tuple[int, int]]) -> None:
        """Build the tiles that are not there, and say how far that is."""
        missing = [place for place in places if place not in self._tiles]
        for place in staged(f"tabulate pairs of {self._phi.name}", missing, "tiles"):
            self._tile(*place)

    def _tile(self, index: int, panel: int) -> PairTile:
        tile = self._tiles.get((index, panel))
        if tile is None:
            tile = self._tiles[index, panel] = self._build(index, panel)
        return tile

    def _build(self, index: int, panel: int) -> PairTile:
        fine, finer = (_FINE_UNIFORM, _FINER_UNIFORM) if self._phi.uniform else (_FINE, _FINER)
        values = self._sample(index, panel, _chebyshev_nodes(_NODES[0]), _chebyshev_nodes(_NODES[1]), fine)
        coefficients = np.einsum("ai,fij->faj", _transform(_NODES[0]), values)
        coefficients = np.einsum("bj,faj->fab", _transform(_NODES[1]), coefficients)
        places = [_ALMOST_ONE * np.cos(np.pi * np.arange(n) / (n - 1)) for n in _CHECKS]
        exact = self._sample(index, panel, places[0], places[1], finer)
        left, right = (_basis(place, n) for place, n in zip(places, _NODES, strict=True))
        table = np.einsum("ai,bj,fab->fij", left, right, coefficients)
        return PairTile(np.ascontiguousarray(coefficients), *_errors(table, exact))

    def _sample(self, index: int, panel: int, left: FloatArray, right: FloatArray, refine: float) -> FloatArray:
        """Direct values at the product of places in [-1, 1], shape (5, left, right)."""
        low, high = _EDGES[index : index + 2]
        sigma = np.sinh(low + (high - low) * 0.5 * (1.0 + left))[:, None]
        y = (panel + 0.5 + 0.5 * right) / _PANELS[index]
        theta = np.sinh(y * np.arcsinh(0.5 * np.pi * sigma)) / sigma
        s = (self._scale * sigma) ** 2
        k, gap = (s * np.cos(theta)).ravel(), (2.0 * s * np.sin(0.5 * theta) ** 2).ravel()
        power = np.repeat(self._phi._second_moment(s.ravel()), y.size)
        difference, even, odd, slope_even, slope_odd = _quadrature.pair_moments(self._phi, k, gap, refine)
        # A function that is 0 around 0 has no power there to divide by, and the tile is not used.
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            parts = difference / gap, odd / k, even / power, slope_even + slope_odd, slope_even - slope_odd
        values = np.where(np.isfinite(parts), parts, np.nan)
        return values.reshape(5, left.size, right.size)


def _errors(table: FloatArray, exact: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Relative and absolute errors, and which functions are accurate enough, from values at the check points.

    The even part of K over V and the slope correlation at -k may vanish; their errors are absolute and judged against 1
    and the slope correlation at k.
    """
    difference = np.abs(table - exact)
    size = np.abs(exact)
    size[EVEN], size[MIRROR_SLOPE] = 1.0, np.abs(exact[SLOPE])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratio = np.where(difference == 0.0, 0.0, difference / size)
        worst = _SAFETY * ratio.reshape(5, -1).max(axis=1) + _TABLE_ROUNDING
    absolute = _SAFETY * difference.reshape(5, -1).max(axis=1) + _TABLE_ROUNDING * size.reshape(5, -1).max(axis=1)
    vanishing = np.isin(np.arange(5), (EVEN, MIRROR_SLOPE))
    return np.where(vanishing, 0.0, worst), np.where(vanishing, absolute, 0.0), worst <= _WANTED


@lru_cache(maxsize=64)
def pair_table(phi: Tabulated) -> PairTable:
    """Return the table of an activation, one per activation and process."""
    return PairTable(phi)


def _fraction(sigma: FloatArray, theta: FloatArray) -> FloatArray:
    """Place in [0, 1] of an angle in [0, pi/2]: graded to the angle at which the pair differs by the scale."""
    small = sigma < 1e-8
    at = np.where(small, 1.0, sigma)
    return np.where(small, theta / (0.5 * np.pi), np.arcsinh(at * theta) / np.arcsinh(0.5 * np.pi * at))


def _chebyshev_nodes(n: int) -> FloatArray:
    return np.cos(np.pi * (np.arange(n) + 0.5) / n)


def _transform(n: int) -> FloatArray:
    """Matrix from values at the Chebyshev nodes to coefficients."""
    matrix = np.cos(np.pi / n * np.arange(n)[:, None] * (np.arange(n) + 0.5)) * (2.0 / n)
    matrix[0] *= 0.5
    return matrix


def _basis(x: FloatArray, n: int) -> FloatArray:
    """Chebyshev polynomials of degree < n at x, shape (n, x.size), by their recurrence."""
    bounded = np.clip(x, -1.0, 1.0)
    basis = np.empty((n, x.size))
    basis[0], basis[1] = 1.0, bounded
    twice = 2.0 * bounded
    for degree in range(2, n):
        np.multiply(twice, basis[degree - 1], out=basis[degree])
        basis[degree] -= basis[degree - 2]
    return basis
