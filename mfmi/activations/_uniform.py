"""Gaussian rules with steps of one length, for functions that vary as fast far away as near 0.

Without kinks the rule is the trapezoidal one. For exp(i r u) under a Gaussian of standard deviation sigma its error is
exp(-(2 pi / h - r)^2 sigma^2 / 2) at the step h, so that a square of waves up to the rate 1 / pole asks for
2 pi / h = 2 / pole + _BELL / sigma. With kinks within reach it is composite Gauss-Legendre, cut at the kinks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian

RowArray = NDArray[np.int64]

TAIL = 8.7

# From this ratio of standard deviation to period on the phase of a periodic function is uniform to 1e-19.
FAR = 1.5
_BELL = 8.0
_ORDER = 20
# A panel is at most so many standard deviations and so many lengths of variation wide.
_PANEL_DEVIATIONS, _PANEL_POLES = 2.0, 5.0

# Around a smoothed kink panels grow by this factor, so many times.
_GRADE, _GRADES = 4.0, 16

# Largest number of nodes of one rule; what asks for more is not resolved.
_LARGEST = 1 << 17

# Labels of classes hold the number of panels and that of cuts, which is below this.
_CUTS = 1 << 24


def largest_variance(pole: float) -> float:
    """Largest variance at which a function of this length of variation is resolved within the nodes of one rule."""
    panels = (_LARGEST / _ORDER) * _PANEL_POLES * pole / (2.0 * TAIL)
    return panels * panels


def transitions(kinks: tuple[float, ...], sigma: FloatArray, width: FloatArray) -> FloatArray:
    """Places to cut the integral over a shared part at: kinks smoothed to a width are transitions of that width.

    Parameters
    ----------
    kinks : tuple of float
        Kinks of the function.
    sigma, width : ndarray, shape (n,)
        Standard deviation of the shared part and of what smooths the kinks.

    Returns
    -------
    ndarray, shape (n, K)
        Sorted along the last axis.
    """
    if not kinks:
        return np.empty((sigma.size, 0))
    narrow = (width > 0.0) & (width < TAIL * sigma)
    ratio = np.max(sigma[narrow] / width[narrow], initial=0.0)
    levels = 0 if ratio == 0.0 else min(_GRADES, 1 + max(0, math.ceil(math.log(TAIL * ratio) / math.log(_GRADE))))
    grades = 2.0 * _GRADE ** np.arange(levels)
    offsets = np.concatenate([-grades[::-1], [0.0], grades])
    places = np.asarray(kinks)[:, None] + width[:, None, None] * offsets
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
        Period of an integrand without kinks; at `FAR` times that standard deviation its phase is uniform.

    Yields
    ------
    rows : ndarray of int64, shape (b,)
        Row numbers.
    x, w : ndarray, shape (b, M)
        Nodes relative to the mean, and weights that add up to 1.
    """
    inside = np.count_nonzero(np.abs(kinks) < TAIL * sigma[:, None], axis=1)
    far = sigma >= FAR * period
    if far.any():
        count = math.ceil(refine * (16.0 + 2.0 * period / (np.pi * pole)))
        x, w = period * (np.arange(count) / count - 0.5), np.full(count, 1.0 / count)
        for _, at in gaussian.blocks(np.full(np.count_nonzero(far), count), lambda label: label):
            shape = at.size, count
            yield np.flatnonzero(far)[at], np.broadcast_to(x, shape), np.broadcast_to(w, shape)
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
                yield rows, *_panel_rule(sigma[rows], kinks[rows], label // _CUTS, label % _CUTS, refine)
            else:
                yield rows, *_equal_rule(sigma[rows], max(4, round(label * refine)))


def _elements(label: int, split: bool) -> int:
    return (label // _CUTS + label % _CUTS) * _ORDER if split else 2 * label + 1


def _classes(needed: FloatArray) -> NDArray[np.int64]:
    """Round up to a power of 2^(1/4), so that rows fall in few classes."""
    return np.ceil(2.0 ** (np.ceil(4.0 * np.log2(needed)) / 4.0)).astype(np.int64)


def _equal_rule(sigma: FloatArray, nodes: int) -> tuple[FloatArray, FloatArray]:
    z = np.arange(-nodes, nodes + 1) * (TAIL / nodes)
    w = np.exp(-0.5 * z * z)
    return sigma[:, None] * z, np.broadcast_to(w / w.sum(), (sigma.size, z.size))


def _panel_rule(
    sigma: FloatArray, kinks: FloatArray, panels: int, inside: int, refine: float
) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre between equal steps and the `inside` kinks of every row that are within reach."""
    z = kinks / sigma[:, None]
    first = np.argmax(z > -TAIL, axis=1)
    cuts = np.take_along_axis(z, first[:, None] + np.arange(inside), axis=1)
    lattice = np.broadcast_to(np.linspace(-TAIL, TAIL, panels + 1), (sigma.size, panels + 1))
    edges = np.sort(np.concatenate([lattice, cuts], axis=1), axis=1)
    t, weight = gaussian.legendre_rule(math.ceil(_ORDER * refine))
    width = np.diff(edges, axis=1)[:, :, None]
    nodes = (edges[:, :-1, None] + width * t).reshape(sigma.size, -1)
    w = (width * weight).reshape(sigma.size, -1) * np.exp(-0.5 * nodes * nodes)
    return sigma[:, None] * nodes, w / w.sum(axis=1, keepdims=True)
