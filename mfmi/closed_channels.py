"""Closed bounds on the scalar channel of a layer (theory (15)-(17)): one average over the neuron's known offset.

Each class is a channel for `channel_tables.ChannelTable`; with `omega ~ N(0, s - tau)` and `u = phi(omega + sqrt(tau)
g)` it bounds `I(u; sqrt(r) u + n)` from one side by moments of u given omega.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from mfmi.activations import Activation
from mfmi.gaussian import even_rule, legendre_rule, offset_rule
from mfmi.scalar_channel import folded_density

Array = NDArray[np.float64]

# Elements of a (points, nodes, precisions) work array.
_BLOCK = 1 << 18


def _offsets(phi: Activation, tau: Array, s: Array, finer: float = 1.0) -> tuple[Array, Array, Array]:
    """Nodes and weights of omega, and tau beside each node, all of shape (n, M).

    For an odd or even activation the bounds are even in omega, and half of the nodes do.
    """
    pole = phi.pole / finer
    omega, weight = offset_rule(s - tau, np.sqrt(tau), phi.kinks, pole, tolerance=1e-9, period=phi.period)
    if phi.odd or phi.even:
        omega, weight = even_rule(omega, weight)
    return omega, weight, np.broadcast_to(tau[:, None], omega.shape)


def _mean(log: Callable[[slice], Array], weight: Array, precisions: int) -> Array:
    """`E log(rows)` over the nodes, block by block; `log` returns shape (rows, M, R), the result has shape (n, R)."""
    out = np.empty((len(weight), precisions))
    step = max(1, _BLOCK // (weight.shape[1] * precisions))
    for start in range(0, len(weight), step):
        rows = slice(start, start + step)
        out[rows] = np.matmul(weight[rows, None, :], log(rows))[:, 0]
    return out


@dataclass(frozen=True)
class GaussianUpper:
    """Maximum entropy: `J <= E_omega ln(1 + r Var(u|omega)) / 2` (theory (15))."""

    name: str = "gaussian"

    def information(self, phi: Activation, r: Array, tau: Array, s: Array) -> Array:
        """See `channel_tables.Channel.information`."""
        omega, weight, inner = _offsets(phi, tau, s)
        power = phi.conditional(omega, inner).variance
        return 0.5 * _mean(lambda rows: np.log1p(r[rows, None, :] * power[rows, :, None]), weight, r.shape[1])


@dataclass(frozen=True)
class LinearLower:
    """Best linear reading: `J >= E_omega ln(1 + r kappa^2 tau / (1 + r d)) / 2` (theory (16))."""

    name: str = "linear"

    def information(self, phi: Activation, r: Array, tau: Array, s: Array) -> Array:
        """See `channel_tables.Channel.information`."""
        # Where the curvature of phi vanishes the residual does too, and at high precision that is a narrow peak.
        omega, weight, inner = _offsets(phi, tau, s, finer=4.0)
        moments = phi.conditional(omega, inner)
        signal, residual = np.square(moments.kappa) * inner, moments.residual

        def log(rows: slice) -> Array:
            # One logarithm: a difference of two would cancel where the residual dominates.
            precision = r[rows, None, :]
            return np.asarray(np.log1p(precision * signal[rows, :, None] / (1.0 + precision * residual[rows, :, None])))

        return 0.5 * _mean(log, weight, r.shape[1])


@dataclass(frozen=True)
class EntropyPowerLower:
    """Entropy power on every piece: `J >= E_omega sum_s p_s ln(1 + r N_s) / 2` (theory (17)).

    The pieces must have disjoint images, so that the piece is known from u.
    """

    name: str = "entropy_power"

    def information(self, phi: Activation, r: Array, tau: Array, s: Array) -> Array:
        """See `channel_tables.Channel.information`."""
        omega, weight, inner = _offsets(phi, tau, s)
        share, power = phi.entropy_powers(omega, inner)
        total = np.zeros_like(r)
        for piece in range(share.shape[-1]):
            n_s = power[..., piece]
            total += _mean(
                lambda rows, n_s=n_s: np.log1p(r[rows, None, :] * n_s[rows, :, None]),  # type: ignore[misc]
                weight * share[..., piece],
                r.shape[1],
            )
        return 0.5 * total


# Widest cells in ln t on which the curvature is integrated over the variance t, and Gauss nodes in each.
_CELL, _CELL_NODES = 0.45, 4
# Share of s below which the activation is linear on the scale of sqrt(t): what a kink adds is of the order of its root.
_STRAIGHT = 1e-14
# Spacing in ln r of the interpolation between precisions, and variances t that share one set of offsets.
_LOG_PRECISION_STEP, _TOGETHER = 0.2, 32
# Share of a wave's period from which on offsets are folded on it, nodes there, and the width of a transition in that of
# the inner noise.
_FOLDED, _FOLDED_NODES, _TRANSITION = 0.1, 64, 1.4


@dataclass(frozen=True)
class FisherLower:
    """Cramer-Rao at every variance on the way: `J >= int_0^tau E_omega r kappa^2 / (1 + r Var(u|omega)) dt / 2`.

    This is theory (17b). The curvature `A = 2 dJ/dtau` of theory (14) is the Fisher information of the offset in
    `y = sqrt(r) u + n`, and J is half its integral over the inner variance t from 0 to tau, with omega ~ N(0, s - t).
    The mean of y moves with the offset at the rate `sqrt(r) kappa`, so the Fisher information is at least
    `r kappa^2 / (1 + r Var(u|omega))`, with kappa and Var at variance t. That is concave in r, as theory (13) wants it,
    and any activation has it.
    """

    name: str = "fisher"

    def information(self, phi: Activation, r: Array, tau: Array, s: Array) -> Array:
        """See `channel_tables.Channel.information`."""
        out = np.empty_like(r)
        for variance in np.unique(s):
            rows = np.flatnonzero(s == variance)
            out[rows] = _along_ladder(phi, r[rows], tau[rows], float(variance))
        return out


def _along_ladder(phi: Activation, r: Array, tau: Array, s: float) -> Array:
    """The channel of `FisherLower` at one s: one ladder of variances t and one of precisions serve all its points."""
    steps = _ladder(tau, s)
    log_r = np.log(r)
    margin = 4.0 * _LOG_PRECISION_STEP
    sites = np.arange(log_r.min() - margin, log_r.max() + margin, _LOG_PRECISION_STEP)
    precision = np.exp(sites)
    node, share = legendre_rule(_CELL_NODES)
    width = np.log(steps[1:, None] / steps[:-1, None])
    t = np.minimum(steps[:-1, None] * np.exp(node * width), s)
    # Below the ladder Var(u|omega) is kappa^2 t but next to kinks, and the integral is that of a linear activation.
    start = LinearLower().information(phi, precision[None, :], steps[:1], np.array([s]))
    curvature = np.concatenate([_curvature(phi, precision, some, s) for some in _split(t.ravel())])
    cells = np.einsum("cn,cnr->cr", share * width * t, curvature.reshape(*t.shape, len(precision)))
    total = np.cumsum(np.concatenate((start, 0.5 * cells)), axis=0)
    logs = np.log(total[np.searchsorted(steps, tau)])
    rows = [make_interp_spline(sites, row, k=5)(x) for row, x in zip(logs, log_r, strict=True)]
    return np.asarray(np.exp(np.stack(rows)))


def _ladder(tau: Array, s: float) -> Array:
    """Ends of the cells in t: all values of tau, nowhere too far apart, from where the activation is linear."""
    stops = np.unique(np.append(tau, min(float(tau.min()), _STRAIGHT * s)))
    parts = [
        np.geomspace(low, high, int(np.ceil(np.log(high / low) / _CELL)) + 1)[:-1] for low, high in pairwise(stops)
    ]
    return np.append(np.concatenate(parts), stops[-1]) if parts else stops


def _split(t: Array) -> list[Array]:
    return np.array_split(t, max(1, len(t) // _TOGETHER))


def _resolving_offsets(phi: Activation, t: Array, s: float) -> tuple[Array, Array]:
    """Nodes and weights of omega, (n, M), that resolve what is seen of a turning point at high precision.

    Next to a turning point kappa vanishes on the scale of the inner noise: a hole in the curvature as wide as a kink's
    transition, and treated as one.
    """
    deviation, width = np.sqrt(s - t), np.sqrt(t)
    if deviation.min() > _FOLDED * phi.period:
        return _folded_offsets(phi, deviation, width)
    points = [*phi.kinks, *_turning_points(phi, 8.0 * float(deviation.max()))]
    omega, weight = offset_rule(s - t, width, sorted(points), phi.pole / 4.0, tolerance=1e-9)
    return even_rule(omega, weight) if phi.odd or phi.even else (omega, weight)


def _turning_points(phi: Activation, reach: float) -> Array:
    """Zeros of phi' at least up to a distance; those of a wave lie half a period apart."""
    if not math.isfinite(phi.period):
        return np.asarray(phi.slope_zeros)
    count = math.ceil(2.0 * reach / phi.period)
    steps = np.arange(-count - (0 if phi.even else 1), count + 1)
    return np.asarray(_first_turning(phi) + 0.5 * phi.period * steps)


def _first_turning(phi: Activation) -> float:
    return 0.0 if phi.even else 0.25 * phi.period


def _folded_offsets(phi: Activation, deviation: Array, width: Array) -> tuple[Array, Array]:
    """Nodes and weights of offsets wider than a wave's period, by their distance from the next turning point."""
    x, w = legendre_rule(_FOLDED_NODES)
    scale = np.minimum(_TRANSITION * width, phi.period)[:, None]
    reach = np.arcsinh(0.25 * phi.period / scale)
    distance = scale * np.sinh(reach * x)
    first = _first_turning(phi)
    mirror = first - distance if first else 0.5 * phi.period - distance
    mass = sum(folded_density(phi, side, deviation[:, None]) for side in (first + distance, mirror))
    mass = mass * np.cosh(reach * x) * w
    return first + distance, mass / mass.sum(axis=1, keepdims=True)


def _curvature(phi: Activation, precision: Array, t: Array, s: float) -> Array:
    """`E_omega r kappa^2 / (1 + r Var(u|omega))` at every variance t and precision r, shape (t, r)."""
    omega, mass = _resolving_offsets(phi, t, s)
    moments = phi.conditional(omega, np.broadcast_to(t[:, None], omega.shape))
    speed, power = np.square(moments.kappa), moments.variance

    def information(rows: slice) -> Array:
        return np.asarray(precision * speed[rows, :, None] / (1.0 + precision * power[rows, :, None]))

    return _mean(information, mass, len(precision))
