"""Closed bounds on the scalar channel of a layer (theory (15)-(17)): one average over the neuron's known offset.

Each class is a channel for `channel_tables.ChannelTable`; with `omega ~ N(0, s - tau)` and `u = phi(omega + sqrt(tau)
g)` it bounds `I(u; sqrt(r) u + n)` from one side by moments of u given omega.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.gaussian import even_rule, offset_rule

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
