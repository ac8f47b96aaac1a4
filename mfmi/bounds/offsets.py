"""Offsets of neurons at which the linear network of the same second moments is averaged (theory (18))."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation, Conditional
from mfmi.arguments.arrays import FloatArray
from mfmi.channels.exact.piecewise_linear import linear_segments
from mfmi.quadrature.gaussian import _MAP_KINK_WIDTH, _panels, _tail, blocks, legendre_rule

Rule = tuple[NDArray[np.int64], FloatArray, FloatArray]

# Relative error aimed at in a mean over offsets, and the narrowest transition, in standard deviations of the offset.
_TOLERANCE, _NARROWEST = 1e-10, 1e-11
# Offsets of a layer near a kink, at most: where the transition is wide, for every layer before it, and where it is as
# narrow as it gets.
_WIDE, _EACH, _GRADED = 100, 20, 730
# Widths of a transition after which nothing of it is left in double precision, nodes up to there and beyond, for each
# e-folding of the distance besides, and the largest share of the way to the next kink that it may take.
_REACH, _WITHIN, _BEYOND, _EACH_FOLD, _SHARE = 38.0, 65, 19, 2.3, 0.25


def most_offsets(phi: Activation, depth: int) -> int:
    """Number of offsets, about, that a layer may have in networks of that depth; 1 of activations without kinks."""
    if not phi.kinks:
        return 1
    sides = 1 if phi.odd or phi.even else max(1, len(phi.kinks))
    graded = _split_nodes(_NARROWEST) * 2 if _straight(phi) else _GRADED
    return sides * min(_WIDE + _EACH * depth, graded)


def linear_moments(phi: Activation, total: FloatArray, inner: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gains `kappa^2` and residuals given a neuron's offset, and the offsets' weights, each of shape (*shape, M).

    Parameters
    ----------
    phi : the activation.
    total, inner : variance of what it sees, and what of it varies around the offset, of one shape.
    """
    parts: tuple[list[FloatArray], ...] = ([], [], [])
    places = []
    within = inner.ravel()
    for rows, m, weight in offset_rules(phi, total.ravel(), within):
        moments = conditional(phi, within[rows], m)
        places.append(rows)
        # A copy, for the residual is a view that keeps the other moments.
        for part, values in zip(parts, (np.square(moments.kappa), moments.residual.copy(), weight), strict=True):
            part.append(values)
    gain, residual, weights = (assembled(part, places, inner.shape) for part in parts)
    return gain, residual, weights


def offset_rules(phi: Activation, total: FloatArray, inner: FloatArray) -> Iterator[Rule]:
    """Offsets of neurons and their weights, block by block of rows that need equally many.

    Deep in the ordered phase the variance around an offset falls like a power of the depth, and with it the width of
    the transition at a kink; nodes graded towards it would grow in number without end. Below `_NARROWEST` of the
    offset's standard deviation, or of the stretch on which the activation does something if that is shorter, a
    transition is taken for as wide as that: it holds no more than that share of the offsets that count, and all moments
    are bounded there, so that no mean is off by more. A jump has moments that are not, and is followed to the end.

    Away from its transitions a piecewise linear activation has one slope and no residual, and needs few nodes.
    """
    finite = np.isfinite(inner) & np.isfinite(total)
    variance = np.where(finite, np.maximum(total - inner, 0.0), 1.0)
    width = np.sqrt(np.where(finite, inner, 1.0))
    if not phi.differentiable:
        return phi.offset_rules(variance, width, tolerance=_TOLERANCE)
    lengths = [abs(place) for place in (*phi.kinks, phi.pole) if place != 0.0 and np.isfinite(place)]
    stretch = np.minimum(np.sqrt(variance), max(lengths, default=np.inf))
    width = np.where(width > 0.0, np.maximum(width, _NARROWEST * stretch), 0.0)
    if not _straight(phi):
        return phi.offset_rules(variance, width, tolerance=_TOLERANCE)
    return _straight_rules(phi, variance, width)


@lru_cache(maxsize=64)
def _straight(phi: Activation) -> bool:
    """Whether the activation is piecewise linear, and continuous."""
    linear = phi.differentiable and bool(phi.kinks) and not phi.uniform and not np.isfinite(phi.period)
    return linear and linear_segments(phi, phi.kinks) is not None


def _straight_rules(phi: Activation, variance: FloatArray, width: FloatArray) -> Iterator[Rule]:
    """Rules of a piecewise linear activation: panels across narrow transitions apart from those between them."""
    deviation = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = width / deviation
        nearest = np.min(np.diff(phi.kinks), initial=np.inf) * _SHARE
    narrow = (width > 0.0) & (_REACH * share < _SHARE) & (_REACH * width < nearest)
    wide = np.flatnonzero(~narrow)
    if len(wide):
        for rows, m, weight in phi.offset_rules(variance[wide], width[wide], tolerance=_TOLERANCE):
            yield wide[rows], m, weight
    some = np.flatnonzero(narrow)
    # In steps of a decade, so that rows fall in few classes.
    decades = np.floor(np.log10(share[some])).astype(np.int64)
    for decade, at in blocks(decades, lambda decade: 2 * len(phi.kinks) * _split_nodes(10.0**decade)):
        rows = some[at]
        yield rows, *_split_panels(phi, deviation[rows], width[rows], _split_nodes(10.0**decade))


def _split_panels(
    phi: Activation, deviation: FloatArray, width: FloatArray, nodes: int
) -> tuple[FloatArray, FloatArray]:
    """Panels from every kink half way to the next as `quadrature.gaussian` grades them, cut where the kink is over."""
    starts, length = _panels(deviation, phi.kinks, _tail(_TOLERANCE))
    if phi.odd or phi.even:
        count = len(phi.kinks)
        right = np.concatenate([2 * np.arange(count) > count - 1, 2 * np.arange(count) >= count - 1])
        starts, length = starts[:, right], length[:, right]
    scale = (_MAP_KINK_WIDTH * width / deviation)[:, None]
    end = np.arcsinh(np.abs(length) / scale)
    cut = np.minimum(np.arcsinh(_REACH / _MAP_KINK_WIDTH), end)
    places, weights = [], []
    for low, high, count in ((0.0 * cut, cut, _WITHIN), (cut, end, nodes - _WITHIN)):
        x, w = legendre_rule(count)
        t = low[:, :, None] + (high - low)[:, :, None] * x
        z = starts[:, :, None] + (np.sign(length) * scale)[:, :, None] * np.sinh(t)
        places.append(z.reshape(len(width), -1))
        weights.append((np.exp(-0.5 * z * z) * np.cosh(t) * (high - low)[:, :, None] * w).reshape(len(width), -1))
    weight = np.hstack(weights)
    return deviation[:, None] * np.hstack(places), weight / weight.sum(axis=1, keepdims=True)


def _split_nodes(share: float) -> int:
    """Nodes on one side of a transition whose width is that share of the offset's standard deviation, or more."""
    return _WITHIN + _BEYOND + math.ceil(_EACH_FOLD * max(0.0, -math.log(share)))


def conditional(phi: Activation, inner: FloatArray, m: FloatArray) -> Conditional:
    """Moments of phi given offsets of shape (k, M), the variance around them being of shape (k,)."""
    # A variance that has overflowed has no moments; its rows are marked by their q and any number will do.
    within = np.where(np.isfinite(inner), inner, 1.0)
    return phi.conditional(m, np.broadcast_to(within[:, None], m.shape))


def assembled(parts: list[FloatArray], places: list[NDArray[np.int64]], shape: tuple[int, ...]) -> FloatArray:
    """Rows of different length as one array of shape (*shape, M), with zeros after the shorter; empties `parts`."""
    found = np.zeros((int(np.prod(shape)), max((part.shape[1] for part in parts), default=1)))
    for rows in places:
        part = parts.pop(0)
        found[rows, : part.shape[1]] = part
    return found.reshape(*shape, found.shape[1])
