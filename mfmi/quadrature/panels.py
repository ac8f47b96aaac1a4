"""Composite Gauss-Legendre rules over ragged panels: every row has its own break points, no row waits for another.

The scalar channels integrate densities that carry features of very different widths (noise, posterior, prior, kinks),
at places that differ from point to point. Break points that resolve every feature, and a fixed Gauss-Legendre rule
between two neighbours, give geometric convergence without any adaptive loop; all rows lie end to end in flat arrays.
"""

from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray

IntArray = NDArray[np.int64]

REACH = 8.5
"""Standard deviations after which a Gaussian weight is dropped (mass 2e-17)."""

HALF_LN_TWO_PI_E = 0.5 * float(np.log(2.0 * np.pi * np.e))
SQRT_TWO_PI = float(np.sqrt(2.0 * np.pi))
TINY = 1e-300
"""Floor of a density under a logarithm, where 0 ln 0 = 0."""
SMALL = 1e-3
"""Relative difference of densities below which its logarithm is a series."""


class ScalarFunction(Protocol):
    """Interface that the channel requires of an activation."""

    @property
    def name(self) -> str:
        """Canonical name."""
        ...

    @property
    def identity(self) -> str | None:
        """Text that differs between different functions, the same in every process; None if there is none."""
        ...

    @property
    def kinks(self) -> tuple[float, ...]:
        """Points where phi or its derivative is not smooth."""
        ...

    @property
    def odd(self) -> bool:
        """Whether phi(-u) = -phi(u)."""
        ...

    @property
    def even(self) -> bool:
        """Whether phi(-u) = phi(u)."""
        ...

    @property
    def period(self) -> float:
        """Period, inf if there is none."""
        ...

    def __hash__(self) -> int:
        """Hash of the function, equal for equal functions."""
        ...

    def __call__(self, u: FloatArray) -> FloatArray:
        """Evaluate phi."""
        ...

    def derivative(self, u: FloatArray) -> FloatArray:
        """Evaluate phi'."""
        ...


@cache
def legendre(order: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the Gauss-Legendre rule on [0, 1].

    Parameters
    ----------
    order : int
        Number of nodes.

    Returns
    -------
    tuple of ndarray
        Nodes and weights, each of shape (order,); the weights sum to 1.
    """
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return 0.5 * (1.0 + nodes), 0.5 * weights


def ragged_range(starts: IntArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Concatenate the ranges start, start + 1, ..., start + count - 1.

    Parameters
    ----------
    starts, counts : ndarray of int, shape (n,)
        First member and length of every range.

    Returns
    -------
    tuple of ndarray of int
        The number of the range that each member belongs to, and the members themselves, both of shape (sum of counts,).
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) - first[owner] + starts[owner]


def sum_by_row(row: IntArray, values: FloatArray, n_rows: int) -> FloatArray:
    """Sum values by row.

    Parameters
    ----------
    row : ndarray of int, shape (m,)
        Row of every value.
    values : ndarray, shape (m,)
    n_rows : int

    Returns
    -------
    ndarray, shape (n_rows,)
    """
    return np.asarray(np.bincount(row, weights=values, minlength=n_rows), dtype=np.float64)


def partition(
    row: IntArray, position: FloatArray, lower: FloatArray, upper: FloatArray, spacing: FloatArray | None = None
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Cut [lower, upper] of every row at the given positions.

    Parameters
    ----------
    row : ndarray of int, shape (m,)
        Row of every candidate position.
    position : ndarray, shape (m,)
        Candidate break points in any order; those outside the row's interval are moved to its ends.
    lower, upper : ndarray, shape (n,)
        The interval of every row.
    spacing : ndarray, shape (n,), optional
        Keep one break point per bin of this width, so that crowded candidates do not make needless panels.

    Returns
    -------
    tuple of ndarray
        Row, lower and upper end of every panel, rows in ascending order; panels of no length are left out.
    """
    n_rows = len(lower)
    every = np.arange(n_rows)
    owner = np.concatenate([row, every, every])
    cut = np.concatenate([np.clip(position, lower[row], upper[row]), lower, upper])
    order = np.lexsort((cut, owner))
    owner, cut = owner[order], cut[order]
    if spacing is not None:
        bins = np.floor((cut - lower[owner]) / spacing[owner])
        keep = np.ones(len(cut), dtype=bool)
        keep[1:] = (owner[1:] != owner[:-1]) | (bins[1:] != bins[:-1])
        # the end of a row is never thinned away; its neighbour is, if it shares the bin
        last = np.append(owner[1:] != owner[:-1], True)
        keep |= last
        owner, cut = owner[keep], cut[keep]
    joined = (owner[1:] == owner[:-1]) & (cut[1:] > cut[:-1])
    return owner[:-1][joined], cut[:-1][joined], cut[1:][joined]


def panel_nodes(lower: FloatArray, upper: FloatArray, order: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes and weights on every panel.

    Parameters
    ----------
    lower, upper : ndarray, shape (m,)
        Ends of the panels.
    order : int
        Nodes per panel.

    Returns
    -------
    tuple of ndarray
        Nodes and weights, each of shape (m, order).
    """
    nodes, weights = legendre(order)
    length = upper - lower
    return lower[:, None] + length[:, None] * nodes, length[:, None] * weights


def normal_density(z: FloatArray) -> FloatArray:
    """Density of the standard normal law.

    Parameters
    ----------
    z : ndarray

    Returns
    -------
    ndarray
        Same shape as `z`.
    """
    return np.asarray(np.exp(-0.5 * z * z) / SQRT_TWO_PI)


def information_of_density(
    density: FloatArray, y: FloatArray, weights: FloatArray, row: IntArray, ratio: FloatArray, mean: FloatArray
) -> FloatArray:
    """Mutual information h(y | omega) - h(n) from the density of y, relatively accurate for weak signals.

    Parameters
    ----------
    density : ndarray, shape (m, order) or (m, order, k)
        p(y | omega), in the latter case of k laws that share the nodes.
    y, weights : ndarray, shape (m, order)
        Nodes and weights; y ascends within a row.
    row : ndarray of int, shape (m,)
        Row of every panel, in ascending order; every row has one.
    ratio : ndarray, shape (n,) or (n, k)
        Signal-to-noise ratio r Var(u | omega).
    mean : ndarray
        Mean of y, of the shape of `ratio`.

    Returns
    -------
    ndarray
        In nats, of the shape of `ratio`.
    """
    n = len(ratio)
    p, snr, centre = density.reshape(*y.shape, -1), ratio.reshape(n, -1), mean.reshape(n, -1)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    ends = np.append(starts[1:], len(row)) - 1
    # a rare far atom has a small variance too, but its log ratio to the Gaussian is huge and would drown the rest
    extent = np.maximum(y[ends, -1, None] - centre, centre - y[starts, 0, None])
    weak = (snr < 0.5) & (extent < 30.0)
    result = np.empty(snr.shape)
    some = np.flatnonzero(np.any(weak, axis=1)[row])
    if len(some):
        at = row[some]
        lost = _divergence_from_gaussian(p[some], y[some, :, None] - centre[at, None, :], snr[at, None, :])
        whole = 0.5 * np.log1p(snr) - _sum_over_panels(weights[some], lost, at, n)
        result[weak] = whole[weak]
    some = np.flatnonzero(~np.all(weak, axis=1)[row])
    if len(some):
        strong = p[some]
        log = np.log(np.maximum(strong, TINY))
        entropy = -_sum_over_panels(weights[some], strong * log, row[some], n)
        result[~weak] = np.maximum(entropy[~weak] - HALF_LN_TWO_PI_E, 0.0)
    return result.reshape(ratio.shape)


def _sum_over_panels(weights: FloatArray, values: FloatArray, row: IntArray, n_rows: int) -> FloatArray:
    """Integrals of values of shape (m, order, k), shape (n_rows, k); rows ascend, and one without panels has 0."""
    result = np.zeros((n_rows, values.shape[2]))
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    result[row[starts]] = np.add.reduceat(np.einsum("mo,mok->mk", weights, values), starts, axis=0)
    return result


def _divergence_from_gaussian(density: FloatArray, deviation: FloatArray, ratio: FloatArray) -> FloatArray:
    """Integrand p ln(p/q) - p + q >= 0 of the divergence from the Gaussian q of variance 1 + ratio."""
    gaussian = np.exp(deviation * deviation * (-0.5 / (1.0 + ratio)))
    # far from a weak signal's law, where this is 0, only a strong one that shares its panels has a density
    gaussian = np.maximum(gaussian * (1.0 / np.sqrt(2.0 * np.pi * (1.0 + ratio))), TINY)
    x = (density - gaussian) / gaussian
    small = np.clip(x, -SMALL, SMALL)
    series = small * small * (0.5 - small * (1.0 / 6.0 - small * (1.0 / 12.0 - small / 20.0)))
    direct = (1.0 + x) * np.log(np.maximum(1.0 + x, TINY)) - x
    return np.asarray(gaussian * np.where(np.abs(x) < SMALL, series, direct))
