"""Frequencies of convolutions of correlated inputs, as networks of their own (theory (40)-(41)).

A circular convolution of random kernels is at every frequency one matrix of independent entries between the channels,
and second moments are block diagonal in frequency. A channel's gain is the same at all positions and so at all
frequencies; what its activation adds that no linear function explains is correlated from position to position, and so
is another at each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.offsets import assembled, conditional, offset_rules
from mfmi.bounds.propagation import Propagation
from mfmi.channels.layers import Surrogate
from mfmi.networks.convolution import ROUNDING, Modes

# Orders of the Hermite series that are followed at most, those that the quadrature of its coefficients resolves, and
# the share of the residual below which the orders beyond are none.
_MOST_ORDERS, _CUT = 63, 1e-13
# Numbers that are worked on together.
_ELEMENTS = 1 << 21


@dataclass(frozen=True)
class ModePropagation(Propagation):
    """Mean field of u networks at each of F frequencies, a network's one after the other: `path` has u F rows.

    Attributes
    ----------
    waves : the frequencies.
    lag_gap : `q - k` between positions of each correlation, shape (u, D, U).
    """

    waves: Modes = field(kw_only=True)
    lag_gap: FloatArray = field(kw_only=True)

    @classmethod
    def of(cls, whole: Propagation, waves: Modes, lag_gap: FloatArray) -> ModePropagation:
        """The frequencies of networks of which the covariances between positions are known."""
        repeated = np.repeat(np.arange(len(whole.hidden_noise)), len(waves.share))
        path, noise = whole.path.take(repeated), whole.hidden_noise[repeated]
        return cls(whole.phi, path, noise, waves=waves, lag_gap=lag_gap)

    @property
    def count(self) -> int:
        """Number of frequencies F."""
        return len(self.waves.share)

    @cached_property
    def spread(self) -> FloatArray:
        """Variance of `y^l` around the offset at every frequency, shape (u F, D)."""
        gap = self.path.offset_gap[:: self.count]
        k = gap[:, :, None] - self.lag_gap
        found = gap[:, None, :] + np.einsum("udk,fk->ufd", k, self.waves.wave)
        return np.asarray(np.maximum(found, 0.0).reshape(self.path.q.shape))

    @cached_property
    def surrogate(self) -> Surrogate:
        """Linear networks with the same second moments at every frequency."""
        return self._surrogates[0]

    @property
    def blunt(self) -> Surrogate | None:
        """As `surrogate` with the orders beyond the series uncorrelated; None where there are as good as none."""
        return self._surrogates[1]

    @cached_property
    def _surrogates(self) -> tuple[Surrogate, Surrogate | None]:
        first = slice(None, None, self.count)
        noise = self.hidden_noise[first, None]
        inner = (self.path.offset_gap[first] + noise)[:, :-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            rho = (self.path.offset_gap[first, :-1, None] - self.lag_gap[:, :-1]) / inner[:, :, None]
        found = mode_moments(self.phi, self.path.s[first, :-1], inner, rho, self.waves)
        noise = self.hidden_noise[:, None]
        best = Surrogate(found.gain, found.residual, found.weight, noise)
        return best, None if found.blunt is None else Surrogate(found.gain, found.blunt, found.weight, noise)


class ModeMoments(NamedTuple):
    """Moments of the activation given a neuron's offset at each of F frequencies, shape (u F, K, M).

    Attributes
    ----------
    gain, residual : `kappa(m)^2` and `d(f; m)`.
    blunt : `d(f; m)` with the orders beyond the series uncorrelated; None where there are as good as none.
    weight : of the offsets.
    """

    gain: FloatArray
    residual: FloatArray
    blunt: FloatArray | None
    weight: FloatArray


def mode_moments(phi: Activation, total: FloatArray, inner: FloatArray, rho: FloatArray, waves: Modes) -> ModeMoments:
    """Moments of K layers of u networks at each frequency, a network's frequencies one after the other.

    Parameters
    ----------
    phi : the activation.
    total, inner : variance of what it sees, and what of it varies around the offset, shape (u, K).
    rho : correlation around the offset between positions of each of the U correlations, shape (u, K, U).
    waves : the frequencies.
    """
    shape, count = (*inner.shape, len(waves.share)), len(waves.share)
    total, within = total.ravel(), inner.ravel()
    rho = np.clip(np.nan_to_num(rho), -1.0, 1.0).reshape(len(within), rho.shape[-1])
    orders = _orders(float(np.abs(rho).max(initial=0.0)))
    parts: list[list[FloatArray]] = [[], [], [], []]
    places, cut = [], False
    for rows, m, weight in _blocked(offset_rules(phi, total, within), orders):
        moments = conditional(phi, within[rows], m)
        c = _series(phi, m, within[rows], moments.residual, orders)
        followed, beyond = _covariances(c, moments.residual, rho[rows])
        # Of equal positions all orders are known.
        sure = np.where(rho[rows, None] < 1.0, 0.0, beyond)
        cut |= bool((np.abs(beyond - sure).max(axis=2, initial=0.0) > _CUT * moments.residual).any())
        own = moments.residual[:, None]
        # Positions that are as good as equal or opposite leave some frequencies nothing. What rounding may have
        # left is taken for a residual, which is on the safe side of bounds on either side.
        least = ROUNDING * count * own
        sharp, blunt = (
            np.maximum(own + np.einsum("bmk,fk->bfm", followed + part, waves.wave), least) for part in (beyond, sure)
        )
        places.append((rows[:, None] * count + np.arange(count)).ravel())
        gain = np.broadcast_to(np.square(moments.kappa)[:, None], sharp.shape)
        weights = np.broadcast_to(weight[:, None], sharp.shape)
        for part, values in zip(parts, (gain, sharp, blunt, weights), strict=True):
            part.append(values.reshape(-1, m.shape[1]))
    gain, sharp, blunt, weights = (_by_mode(assembled(part, places, shape)) for part in parts)
    return ModeMoments(gain, sharp, blunt if cut else None, weights)


def _by_mode(values: FloatArray) -> FloatArray:
    """Entries (u, K, F, M) as those of networks (u F, K, M)."""
    u, layers, modes, nodes = values.shape
    return np.ascontiguousarray(np.swapaxes(values, 1, 2)).reshape(u * modes, layers, nodes)


def _orders(largest: float) -> int:
    """Order of the series from which on nothing is left at a correlation."""
    if largest <= 0.0:
        return 2
    return _MOST_ORDERS if largest >= 1.0 else min(_MOST_ORDERS, max(2, math.ceil(math.log(_CUT) / math.log(largest))))


def _blocked(
    rules: Iterator[tuple[NDArray[np.int64], FloatArray, FloatArray]], orders: int
) -> Iterator[tuple[NDArray[np.int64], FloatArray, FloatArray]]:
    """The rules in parts whose coefficients fit the memory."""
    for rows, m, weight in rules:
        step = max(1, _ELEMENTS // (m.shape[1] * (orders + 1)))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            yield rows[part], m[part], weight[part]


def _series(phi: Activation, m: FloatArray, v: FloatArray, residual: FloatArray, orders: int) -> FloatArray:
    """Squared Hermite coefficients of orders 2 to `orders`, never more than the residual together; (b, M, orders-1)."""
    variance = np.broadcast_to(np.where(np.isfinite(v), v, 1.0)[:, None], m.shape)
    c = phi.hermite(m.ravel(), variance.ravel(), orders + 1)[:, 2:].reshape(*m.shape, -1)
    power = np.square(c)
    total = power.sum(axis=2)
    # Rounding in the coefficients of next to nothing must not outgrow what there is.
    power *= np.divide(residual, total, out=np.ones_like(total), where=total > residual)[..., None]
    return np.asarray(power)


def _covariances(power: FloatArray, residual: FloatArray, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Covariances of the residuals at correlations `rho` (b, U): of the series, and of the orders beyond; (b, M, U)."""
    followed = np.zeros((*residual.shape, rho.shape[1]))
    for order in range(power.shape[2] - 1, -1, -1):
        followed = rho[:, None] * followed + power[:, :, order, None]
    followed *= np.square(rho)[:, None]
    tail = np.maximum(residual - power.sum(axis=2), 0.0)
    return followed, tail[..., None] * (rho ** (power.shape[2] + 3))[:, None]
