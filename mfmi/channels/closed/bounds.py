"""Closed bounds on the scalar channel of a layer (theory (15)-(17)): one average over the neuron's known offset.

Each class is a channel for `closed.table.ChannelTable`; with `omega ~ N(0, s - tau)` and `u = phi(omega + sqrt(tau)
g)` it bounds `I(u; sqrt(r) u + n)` from one side by moments of u given omega.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import make_interp_spline

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.channels.closed.offsets import offset_blocks
from mfmi.quadrature.gaussian import legendre_rule

# Elements of a (points, nodes, precisions) work array.
_BLOCK = 1 << 18
# Share of the distance of phi's singularities at which those of ratios of its moments lie.
_FINER_POLE = 0.25
# Nodes around a place where a variance vanishes within a logarithm, over those that resolve a transition of that width.
_DEEP = 1.5


def _mean(log: Callable[[slice], FloatArray], weight: FloatArray, precisions: int) -> FloatArray:
    """`E log(rows)` over the nodes, block by block; `log` returns shape (rows, M, R), the result has shape (n, R)."""
    out = np.empty((len(weight), precisions))
    step = max(1, _BLOCK // (weight.shape[1] * precisions))
    for start in range(0, len(weight), step):
        rows = slice(start, start + step)
        out[rows] = np.matmul(weight[rows, None, :], log(rows))[:, 0]
    return out


def _capacities(r: FloatArray, power: FloatArray) -> Callable[[slice], FloatArray]:
    """`ln(1 + r power)` at some of the rows, for `_mean`."""
    return lambda rows: np.log1p(r[rows, None, :] * power[rows, :, None])


def _beside(omega: FloatArray, tau: FloatArray) -> FloatArray:
    """The inner variance at every node."""
    return np.broadcast_to(tau[:, None], omega.shape)


@dataclass(frozen=True)
class GaussianUpper:
    """Maximum entropy: `J <= E_omega ln(1 + r Var(u|omega)) / 2` (theory (15))."""

    name: str = "gaussian"

    def information(
        self, phi: Activation, r: FloatArray, tau: FloatArray, s: FloatArray, refine: float = 1.0
    ) -> FloatArray:
        """See `channels.closed.table.Channel.information`."""
        out = np.empty_like(r)
        for rows, omega, weight in offset_blocks(phi, tau, s, valleys=_DEEP, refine=refine):
            power = phi.conditional(omega, _beside(omega, tau[rows])).variance
            out[rows] = 0.5 * _mean(_capacities(r[rows], power), weight, r.shape[1])
        return out


@dataclass(frozen=True)
class LinearLower:
    """Best linear reading: `J >= E_omega ln(1 + r kappa^2 tau / (1 + r d)) / 2` (theory (16))."""

    name: str = "linear"

    def information(
        self, phi: Activation, r: FloatArray, tau: FloatArray, s: FloatArray, refine: float = 1.0
    ) -> FloatArray:
        """See `channels.closed.table.Channel.information`."""
        out = np.empty_like(r)
        for rows, omega, weight in offset_blocks(phi, tau, s, curvature=True, pole=_FINER_POLE, refine=refine):
            inner = _beside(omega, tau[rows])
            moments = phi.conditional(omega, inner)
            readings = _readings(r[rows], np.square(moments.kappa) * inner, moments.residual)
            out[rows] = 0.5 * _mean(readings, weight, r.shape[1])
        return out


def _readings(r: FloatArray, signal: FloatArray, residual: FloatArray) -> Callable[[slice], FloatArray]:
    """`ln(1 + r signal / (1 + r residual))` at some of the rows: one logarithm, for a difference of two cancels."""

    def log(rows: slice) -> FloatArray:
        precision = r[rows, None, :]
        return np.asarray(np.log1p(precision * signal[rows, :, None] / (1.0 + precision * residual[rows, :, None])))

    return log


@dataclass(frozen=True)
class EntropyPowerLower:
    """Entropy power on every piece: `J >= E_omega sum_s p_s ln(1 + r N_s) / 2` (theory (17)).

    The pieces must have disjoint images, so that the piece is known from u.
    """

    name: str = "entropy_power"

    def information(
        self, phi: Activation, r: FloatArray, tau: FloatArray, s: FloatArray, refine: float = 1.0
    ) -> FloatArray:
        """See `channels.closed.table.Channel.information`."""
        out = np.zeros_like(r)
        for rows, omega, weight in offset_blocks(phi, tau, s, valleys=0.0, refine=refine):
            share, power = phi.entropy_powers(omega, _beside(omega, tau[rows]))
            for piece in range(share.shape[-1]):
                capacities = _capacities(r[rows], power[..., piece])
                out[rows] += 0.5 * _mean(capacities, weight * share[..., piece], r.shape[1])
        return out


# Widest cells in ln t on which the curvature is integrated over the variance t, and Gauss nodes in each.
_CELL, _CELL_NODES = 0.45, 4
# Share of s below which the activation is linear on the scale of sqrt(t): what a kink adds is of the order of its root.
_STRAIGHT = 1e-14
# Spacing in ln r of the interpolation between precisions.
_LOG_PRECISION_STEP = 0.2


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

    def information(
        self, phi: Activation, r: FloatArray, tau: FloatArray, s: FloatArray, refine: float = 1.0
    ) -> FloatArray:
        """See `channels.closed.table.Channel.information`."""
        out = np.full_like(r, np.nan)
        # A table goes on to variances at which the moments of a user's function, hence its precisions, have no value.
        known = np.isfinite(r).all(axis=1)
        for variance in np.unique(s[known]):
            rows = np.flatnonzero(known & (s == variance))
            out[rows] = _along_ladder(phi, r[rows], tau[rows], float(variance), refine)
        return out


def _along_ladder(phi: Activation, r: FloatArray, tau: FloatArray, s: float, refine: float) -> FloatArray:
    """The channel of `FisherLower` at one s: one ladder of variances t and one of precisions serve all its points."""
    steps = _ladder(tau, s)
    log_r = np.log(r)
    spacing = _LOG_PRECISION_STEP / refine
    margin = 4.0 * spacing
    sites = np.arange(log_r.min() - margin, log_r.max() + margin, spacing)
    precision = np.exp(sites)
    node, share = legendre_rule(round(_CELL_NODES * refine))
    width = np.log(steps[1:, None] / steps[:-1, None])
    t = np.minimum(steps[:-1, None] * np.exp(node * width), s)
    # Below the ladder Var(u|omega) is kappa^2 t but next to kinks, and the integral is that of a linear activation.
    start = LinearLower().information(phi, precision[None, :], steps[:1], np.array([s]), refine)
    curvature = _curvature(phi, precision, t.ravel(), s, refine)
    cells = np.einsum("cn,cnr->cr", share * width * t, curvature.reshape(*t.shape, len(precision)))
    total = np.cumsum(np.concatenate((start, 0.5 * cells)), axis=0)
    logs = np.log(total[np.searchsorted(steps, tau)])
    rows = [make_interp_spline(sites, row, k=5)(x) for row, x in zip(logs, log_r, strict=True)]
    return np.asarray(np.exp(np.stack(rows)))


def _ladder(tau: FloatArray, s: float) -> FloatArray:
    """Ends of the cells in t: all values of tau, nowhere too far apart, from where the activation is linear."""
    stops = np.unique(np.append(tau, min(float(tau.min()), _STRAIGHT * s)))
    parts = [
        np.geomspace(low, high, int(np.ceil(np.log(high / low) / _CELL)) + 1)[:-1] for low, high in pairwise(stops)
    ]
    return np.append(np.concatenate(parts), stops[-1]) if parts else stops


def _curvature(phi: Activation, precision: FloatArray, t: FloatArray, s: float, refine: float) -> FloatArray:
    """`E_omega r kappa^2 / (1 + r Var(u|omega))` at every variance t and precision r, shape (t, r)."""
    out = np.empty((len(t), len(precision)))
    for block, omega, mass in offset_blocks(phi, t, np.full_like(t, s), pole=_FINER_POLE, refine=refine):
        moments = phi.conditional(omega, _beside(omega, t[block]))
        speed, power = np.square(moments.kappa), moments.variance

        def information(rows: slice, speed: FloatArray = speed, power: FloatArray = power) -> FloatArray:
            return np.asarray(precision * speed[rows, :, None] / (1.0 + precision * power[rows, :, None]))

        out[block] = _mean(information, mass, len(precision))
    return out
