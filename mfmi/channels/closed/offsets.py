"""Offsets of a neuron at which the closed channels are averaged: nodes where their integrands have their structure.

At high precision a closed channel sees the logarithm of a moment that all but vanishes somewhere: the variance of u at
a turning point of phi or on a flat side of a kink, the residual of the best linear fit where phi has no curvature. Each
is a valley as wide as the inner noise, however smooth phi is, and nodes have to be graded towards it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.gaussian import blocked_rules, blocks, legendre_rule
from mfmi.quadrature.normal import folded_density

_TOLERANCE = 1e-9
# Standard deviations of the offset that are looked at for valleys.
_REACH = 8.0
# Share of a wave's period from which on offsets are folded on it, nodes there, and the width of a valley in that of
# the inner noise.
_FOLDED, _FOLDED_NODES, _TRANSITION = 0.1, 64, 1.4


def offset_blocks(
    phi: Activation,
    tau: FloatArray,
    s: FloatArray,
    *,
    valleys: float = 1.0,
    curvature: bool = False,
    pole: float = 1.0,
    refine: float = 1.0,
) -> Iterator[tuple[NDArray[np.int64], FloatArray, FloatArray]]:
    """Nodes and weights of `omega ~ N(0, s - tau)`, block by block of rows that need equally many.

    For an odd or even activation they are those of a mean over both signs.

    Parameters
    ----------
    phi
        The activation.
    tau, s : ndarray, shape (n,)
        Inner and whole variance, 0 < tau <= s.
    valleys
        Factor on the number of nodes where there are some, at kinks and turning points; the deeper they are, the more
        it takes. With 0 kinks are transitions and no more.
    curvature
        Whether it has them where phi has no curvature, too.
    pole
        Factor on the distance of phi's complex singularities, where there are no valleys.
    refine
        Factor on the number of nodes; another value than 1 gives a second opinion.

    Yields
    ------
    rows : ndarray of int64, shape (b,)
        Row numbers.
    omega, weight : ndarray, shape (b, M)
        Their nodes and weights.
    """
    deviation, width = np.sqrt(np.maximum(s - tau, 0.0)), np.sqrt(tau)
    wave = valleys > 0.0 and phi.wave_turning is not None
    folds = wave & (deviation > _FOLDED * phi.period)
    nodes = round(_FOLDED_NODES * max(valleys, 1.0) * refine)
    for _, rows in blocks(folds.astype(np.int64), lambda _: 2 * nodes):
        if folds[rows[0]]:
            yield rows, *_folded(phi, deviation[rows], width[rows], nodes, curvature)
    plain = np.flatnonzero(~folds)
    if not len(plain):
        return
    places = _valleys(phi, _REACH * float(deviation[plain].max()), curvature) if valleys > 0.0 else phi.kinks
    finer = refine * (valleys if valleys > 0.0 and places else 1.0)
    if wave:
        rules = blocked_rules(
            deviation[plain],
            width[plain],
            places,
            pole * phi.pole,
            tolerance=_TOLERANCE,
            refine=finer,
            half=phi.odd or phi.even,
        )
    else:
        rules = phi.offset_rules(
            deviation[plain] ** 2, width[plain], tolerance=_TOLERANCE, places=places, pole=pole, refine=finer
        )
    for rows, omega, weight in rules:
        yield plain[rows], omega, weight


def _valleys(phi: Activation, reach: float, curvature: bool) -> tuple[float, ...]:
    """Kinks, turning points and, where they matter, places without curvature; a wave's at least up to a distance."""
    first = phi.wave_turning
    if first is None:
        return tuple(sorted({*phi.kinks, *phi.slope_zeros, *(phi.curvature_zeros if curvature else ())}))
    steps = math.ceil(2.0 * reach / phi.period)
    turning = 2 * np.arange(-steps - (1 if first else 0), steps + 1) * 0.25 * phi.period + first
    between = turning[:-1] + 0.25 * phi.period
    return tuple(np.sort(np.concatenate((turning, between))) if curvature else turning)


def _folded(
    phi: Activation, deviation: FloatArray, width: FloatArray, nodes: int, curvature: bool
) -> tuple[FloatArray, FloatArray]:
    """Offsets wider than a wave's period, by their distance from the next turning point, up to a quarter of it."""
    x, w = legendre_rule(nodes)
    quarter = 0.25 * phi.period
    scale = np.minimum(_TRANSITION * width, phi.period)[:, None]
    length = 0.5 * quarter if curvature else quarter
    reach = np.arcsinh(length / scale)
    distance, measure = scale * np.sinh(reach * x), np.cosh(reach * x) * w
    if curvature:
        # The other half is graded towards the place without curvature.
        distance, measure = np.hstack((distance, quarter - distance)), np.hstack((measure, measure))
    first = phi.wave_turning or 0.0
    mirror = first - distance if first else 0.5 * phi.period - distance
    mass = sum(folded_density(phi, side, deviation[:, None]) for side in (first + distance, mirror))
    mass = mass * measure
    return first + distance, mass / mass.sum(axis=1, keepdims=True)
