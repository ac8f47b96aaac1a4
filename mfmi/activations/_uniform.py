"""Gaussian rules with steps of one length, for functions that vary as fast far away as near 0.

Without kinks the rule is the trapezoidal one. For exp(i r u) under a Gaussian of standard deviation sigma its error is
exp(-(2 pi / h - r)^2 sigma^2 / 2) at the step h, so that a square of waves up to the rate 1 / pole asks for
2 pi / h = 2 / pole + _BELL / sigma. With kinks within reach it is composite Gauss-Legendre, cut at the kinks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian

RowArray = NDArray[np.int64]

TAIL = 8.7

# From this ratio of standard deviation to period on a Gaussian is folded on one period: harmonics from
# `HARMONICS` + 1 on are below 1e-26 of the first there.
FAR = 0.25
HARMONICS = 7
_BELL = 8.0
_ORDER = 12
# A panel is at most so many standard deviations and so many lengths of variation wide.
_PANEL_DEVIATIONS, _PANEL_POLES = 3.0, 5.0

# Around a smoothed kink panels of so many widths grow by this factor, so many times.
_NEAREST, _GRADE, _GRADES = 2.0, 4.0, 16

# Logarithms of moments have singularities nearer than the moments'.
_FINER = 0.5

# Largest numbers of nodes of one rule, without and with kinks: a moment of a pair takes their square, and what asks for
# more is not resolved.
_LARGEST_SMOOTH, _LARGEST_KINKED = 1 << 11, 1 << 10

# Labels of classes hold the number of panels and that of cuts, which is below this.
_CUTS = 1 << 24


def largest_variance(pole: float, kinked: bool) -> float:
    """Largest variance at which a function of this length of variation is resolved within the nodes of one rule."""
    if kinked:
        sigma = (_LARGEST_KINKED / _ORDER) * _PANEL_POLES * pole / (2.0 * TAIL)
    else:
        sigma = 0.5 * pole * (np.pi * _LARGEST_SMOOTH / TAIL - _BELL)
    return float(sigma * sigma)


def wrapped(x: FloatArray, sigma: FloatArray, period: float) -> FloatArray:
    """Density of N(0, sigma^2) folded on one period, times the period; sigma at least `FAR` periods, shape (n, 1)."""
    density = np.ones(np.broadcast_shapes(x.shape, sigma.shape))
    for harmonic in range(1, HARMONICS + 1):
        rate = 2.0 * np.pi * harmonic / period
        density += 2.0 * np.exp(-0.5 * (rate * sigma) ** 2) * np.cos(rate * x)
    return density


def mean(
    f: Callable[[FloatArray, RowArray], FloatArray],
    sigma: FloatArray,
    width: FloatArray,
    kinks: FloatArray,
    pole: float,
) -> FloatArray:
    """E f(x), x ~ N(0, sigma^2), f made of moments of functions with kinks that a noise has smoothed.

    Parameters
    ----------
    f : callable
        Takes nodes, shape (b, M), and the numbers of their rows; returns values of that shape.
    sigma, width : ndarray, shape (n,)
        Standard deviations of x and of the noise.
    kinks : ndarray, shape (n, K)
        Places of the kinks.
    pole : float
        As in `rules`.

    Returns
    -------
    ndarray, shape (n,)
    """
    found = np.empty(sigma.shape)
    for rows, x, w in rules(sigma, transitions(kinks, sigma, width, tails=False), pole, 1.0):
        found[rows] = np.einsum("ij,ij->i", f(x, rows)[0], w)
    return found


def transitions(
    kinks: tuple[float, ...] | FloatArray, sigma: FloatArray, width: FloatArray, *, tails: bool
) -> FloatArray:
    """Places to cut the integral over a shared part at: kinks smoothed to a width are transitions of that width.

    Parameters
    ----------
    kinks : tuple of float, or ndarray of shape (n, K)
        Kinks of the function.
    sigma, width : ndarray, shape (n,)
        Standard deviation of the shared part and of what smooths the kinks.
    tails : bool
        Whether what a kink leaves far away matters, as in a logarithm; in a moment it is below rounding from `TAIL`
        widths on.

    Returns
    -------
    ndarray, shape (n, K)
        Sorted along the last axis.
    """
    at = np.broadcast_to(np.asarray(kinks, dtype=np.float64), (sigma.size, np.shape(kinks)[-1]))
    if not at.size:
        return np.empty((sigma.size, 0))
    if tails:
        narrow = (width > 0.0) & (width < TAIL * sigma)
        ratio = np.max(sigma[narrow] / width[narrow], initial=0.0)
        levels = 0 if ratio == 0.0 else min(_GRADES, 1 + max(0, math.ceil(math.log(TAIL * ratio) / math.log(_GRADE))))
        grades = _NEAREST * _GRADE ** np.arange(levels)
    else:
        grades = np.array([_NEAREST, 0.5 * TAIL, TAIL])
    offsets = np.concatenate([-grades[::-1], [0.0], grades])
    places = at[:, :, None] + width[:, None, None] * offsets
    return np.sort(places.reshape(sigma.size, -1), axis=1)


def rules(
    sigma: FloatArray, kinks: FloatArray, pole: float, refine: float, period: float = math.inf
) -> Iterator[tuple[RowArray, FloatArray, FloatArray]]:
    """Iterate over blocks of rows.

    Parameters
    ----------
    sigma : ndarray, shape (n,)
        Standard deviations.
    kinks : ndarray, shape (n, K)
        Where the integrand of each row is not smooth, relative to the row's mean; sorted.
    pole : float
        Length on which the function varies: the inverse of its largest angular frequency.
    refine : float
        Multiplies the number of nodes.
    period : float
        Period of the integrand; from `FAR` times that standard deviation on the rule covers one period.

    Yields
    ------
    rows : ndarray of int64, shape (b,)
        Row numbers.
    x, w : ndarray, shape (b, M)
        Nodes relative to the mean, and weights that add up to 1.
    """
    far = sigma >= FAR * period
    reach = np.where(far, 0.5 * period, TAIL * sigma)
    inside = np.count_nonzero(np.abs(kinks) < reach[:, None], axis=1)
    members = np.flatnonzero(far)
    for label, at in gaussian.blocks(inside[members], lambda cuts: _period_nodes(cuts, pole, period)):
        yield members[at], *_period_rule(sigma[members[at]], kinks[members[at]], label, pole, refine, period)
    for split in (False, True):
        members = np.flatnonzero(((inside > 0) == split) & ~far)
        if not members.size:
            continue
        if split:
            panels = 2.0 * TAIL * np.maximum(1.0 / _PANEL_DEVIATIONS, sigma[members] / (_PANEL_POLES * pole))
            labels = _classes(panels) * _CUTS + inside[members]
        else:
            labels = _classes(TAIL * (2.0 * sigma[members] / pole + _BELL) / (2.0 * np.pi))
        for label, at in gaussian.blocks(labels, lambda label: _elements(label, split)):  # noqa: B023
            rows = members[at]
            if split:
                z = kinks[rows] / sigma[rows, None]
                nodes, w = _panel_rule(z, TAIL, label // _CUTS, label % _CUTS, refine)
                w *= np.exp(-0.5 * nodes * nodes)
                yield rows, sigma[rows, None] * nodes, w / w.sum(axis=1, keepdims=True)
            else:
                yield rows, *_equal_rule(sigma[rows], max(4, round(label * refine)))


def offset_rules(
    sigma: FloatArray, width: FloatArray, places: tuple[float, ...], pole: float, refine: float, period: float
) -> Iterator[tuple[RowArray, FloatArray, FloatArray]]:
    """As `rules`, for functions such as ln(1 + r kappa^2) of moments that `width` has smoothed.

    Parameters
    ----------
    sigma, width : ndarray, shape (n,)
        Standard deviation of the offset and of the noise inside.
    places : tuple of float
        Where there are transitions of that width.
    pole, refine, period
        As in `rules`.

    Yields
    ------
    rows, x, w : ndarray
        As in `rules`.
    """
    # A wave is folded on a period as soon as more of them are within reach.
    near = (FAR * TAIL + 1.0) * period
    cuts = transitions(tuple(place for place in places if abs(place) <= near), sigma, width, tails=True)
    return rules(sigma, cuts, _FINER * pole, refine, period)


def _elements(label: int, split: bool) -> int:
    return (label // _CUTS + label % _CUTS) * _ORDER if split else 2 * label + 1


def _classes(needed: FloatArray) -> NDArray[np.int64]:
    """Round up to a power of 2^(1/4), so that rows fall in few classes."""
    return np.ceil(2.0 ** (np.ceil(4.0 * np.log2(needed)) / 4.0)).astype(np.int64)


def _equal_rule(sigma: FloatArray, nodes: int) -> tuple[FloatArray, FloatArray]:
    z = np.arange(-nodes, nodes + 1) * (TAIL / nodes)
    w = np.exp(-0.5 * z * z)
    return sigma[:, None] * z, np.broadcast_to(w / w.sum(), (sigma.size, z.size))


def _period_nodes(cuts: int, pole: float, period: float) -> int:
    if not cuts:
        return math.ceil(16.0 + 2.0 * period / (np.pi * pole))
    return (math.ceil(period / (_PANEL_POLES * pole)) + cuts) * _ORDER


def _period_rule(
    sigma: FloatArray, kinks: FloatArray, cuts: int, pole: float, refine: float, period: float
) -> tuple[FloatArray, FloatArray]:
    """One period, in equal steps or cut at the `cuts` kinks of every row within it, under the folded density."""
    if cuts:
        panels = math.ceil(period / (_PANEL_POLES * pole))
        x, w = _panel_rule(kinks, 0.5 * period, panels, cuts, refine)
    else:
        count = math.ceil(refine * _period_nodes(0, pole, period))
        x = np.broadcast_to(period * (np.arange(count) / count - 0.5), (sigma.size, count))
        w = np.ones_like(x)
    w = np.maximum(wrapped(x, sigma[:, None], period), 0.0) * w
    return x, w / w.sum(axis=1, keepdims=True)


def _panel_rule(
    places: FloatArray, reach: float, panels: int, cuts: int, refine: float
) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre on [-reach, reach] between equal steps and the `cuts` places of every row within it."""
    first = np.argmax(places > -reach, axis=1)
    inner = np.take_along_axis(places, first[:, None] + np.arange(cuts), axis=1)
    lattice = np.broadcast_to(np.linspace(-reach, reach, panels + 1), (len(places), panels + 1))
    edges = np.sort(np.concatenate([lattice, inner], axis=1), axis=1)
    t, weight = gaussian.legendre_rule(math.ceil(_ORDER * refine))
    width = np.diff(edges, axis=1)[:, :, None]
    nodes = (edges[:, :-1, None] + width * t).reshape(len(places), -1)
    return nodes, (width * weight).reshape(len(places), -1)
