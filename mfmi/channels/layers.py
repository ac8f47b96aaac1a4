"""Scalar channels of a hidden layer and of the input: what the potential needs to know of them (theory (14)-(18)).

A layer channel takes the precision `r` that observes its output and the remaining variance `V` of its pre-activation
and returns the information `J` and its derivatives. Arrays have shape (n, K): points and hidden layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.closed.coordinates import clamped, remaining
from mfmi.channels.elementwise import (
    FAINTEST,
    carries_nothing,
    inside_norm,
    linear_derivatives,
    linear_power,
    linear_unit,
    outside_norm,
)
from mfmi.channels.exact.channel import CHANNEL_ROUNDING
from mfmi.channels.exact.direct import FINE, ROUGH, SECOND, DirectValue, Rule, direct_channel
from mfmi.channels.exact.table import LARGEST_RATIO, SMALLEST_SHARE, ExactTable, carried_on
from mfmi.channels.protocols import ChannelValues, ClosedForm, Derivatives, Rows, TableValue
from mfmi.quadrature.panels import ScalarFunction

# Elements of a work array that fits the second-level cache with its companions.
_BLOCK = 1 << 15

# Places at which values of the exact channel are remembered during a search, a hundred bytes each.
_PLACES = 20_000


@dataclass(frozen=True)
class Surrogate(ClosedForm):
    """The linear network with the same second moments (theory (18)).

    `J = E_m ln(1 + r P_m) / 2` with `P_m = gain_m (V + sigma_h^2) + residual_m`; the average over the neuron's offset
    m is a sum over nodes and stays outside the logarithm: taking the mean of the gain instead breaks the bound.

    Attributes
    ----------
    gain, residual, weight : `kappa(m)^2`, `d(m)` and the weights of the nodes, shape (n, K, M).
    hidden_noise : `sigma_h^2`, shape (n, 1).
    """

    gain: FloatArray
    residual: FloatArray
    weight: FloatArray
    hidden_noise: FloatArray

    @property
    def has_noise(self) -> NDArray[np.bool_]:
        """See `LayerChannel.has_noise`: the residual of a nonlinear layer counts as noise."""
        return np.asarray((self.hidden_noise[:, 0] > 0.0) | np.any(self.residual > 0.0, axis=(1, 2)))

    def derivatives(self, r: FloatArray, v: FloatArray) -> Derivatives:
        """See `LayerChannel.derivatives`."""
        out = np.empty((7, *r.shape))
        for block in self._blocks():
            out[:, *block] = self._derivatives(block, r[block], v[block])
        return Derivatives(*out)

    def _derivatives(self, block: tuple[slice, slice], r: FloatArray, v: FloatArray) -> tuple[FloatArray, ...]:
        weight, variance = self.weight[block], v[:, :, None]
        power, gain, left, noise = linear_unit(r[:, :, None], variance, self._power(block, v), self.gain[block])

        def mean(one: FloatArray, other: FloatArray | None = None) -> FloatArray:
            if other is None:
                return np.asarray(np.einsum("nkm,nkm->nk", weight, one))
            return np.asarray(np.einsum("nkm,nkm,nkm->nk", weight, one, other))

        squares = mean(power, power), mean(gain, gain)
        e, a, e_r, a_v = linear_derivatives(r, mean(power), mean(gain), *squares)
        return e, a, e_r, mean(gain, left), a_v, mean(left), mean(noise)

    def information(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `LayerChannel.information`."""
        out = np.empty_like(r)
        for block in self._blocks():
            power = self._power(block, v[block])
            out[block] = 0.5 * np.einsum("nkm,nkm->nk", self.weight[block], np.log1p(r[block][:, :, None] * power))
        return out

    def _power(self, block: tuple[slice, slice], v: FloatArray) -> FloatArray:
        noise = self.hidden_noise[block[0], :, None]
        return linear_power(v[:, :, None], noise, self.gain[block], self.residual[block])

    def take(self, rows: Rows, layers: slice) -> Surrogate:
        """See `LayerChannel.take`."""
        if isinstance(rows, np.ndarray) and np.array_equal(rows, np.arange(len(self.gain))):
            rows = slice(None)  # all of them, without a copy
        return Surrogate(
            self.gain[rows, layers], self.residual[rows, layers], self.weight[rows, layers], self.hidden_noise[rows]
        )

    def _blocks(self) -> Iterator[tuple[slice, slice]]:
        """Stretches of points, and of the layers of deep ones, whose work arrays stay in the cache."""
        n, layers, nodes = self.gain.shape
        step = max(1, _BLOCK // max(1, layers * nodes))
        some = max(1, min(layers, _BLOCK // max(1, nodes)))
        for start in range(0, n, step):
            for first in range(0, layers, some):
                yield slice(start, start + step), slice(first, first + some)


@dataclass(frozen=True)
class Tabulated:
    """A nonlinear scalar channel in every layer, by its table (theory (14)-(17)).

    Attributes
    ----------
    table : the channel of one activation.
    total : variances `s^l` of the layers, shape (n, K).
    hidden_noise : `sigma_h^2`, shape (n, 1).
    """

    table: ChannelValues
    total: FloatArray
    hidden_noise: FloatArray

    @property
    def has_noise(self) -> NDArray[np.bool_]:
        """See `LayerChannel.has_noise`."""
        return np.asarray(self.hidden_noise[:, 0] > 0.0)

    def _evaluate(self, r: FloatArray, v: FloatArray) -> TableValue:
        tau = v + self.hidden_noise
        found = self.table.evaluate(r, clamped(tau, self.total), self.total)
        # Without uncertainty nothing is carried, and nothing remains.
        nothing = carries_nothing(tau, self.total)
        j, e, a, e_r, e_v, a_v = (np.where(nothing, 0.0, part) for part in found[:-1])
        return TableValue(j, e, a, e_r, e_v, a_v, np.where(nothing, 1.0, found.rest_r))

    def derivatives(self, r: FloatArray, v: FloatArray) -> Derivatives:
        """See `LayerChannel.derivatives`."""
        found = self._evaluate(r, v)
        e, e_r, e_v = remaining(r, found.j, found.e, found.e_r, found.e_v)
        return Derivatives(e, found.a, e_r, e_v, found.a_v, found.rest_r, 1.0 - found.a * v)

    def information(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `LayerChannel.information`."""
        return self._evaluate(r, v).j

    def error(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `LayerChannel.error`: that of the table."""
        uncertain = np.minimum(v + self.hidden_noise, self.total)
        found = self.table.error(r, uncertain, self.total)
        if isinstance(self.table, ExactTable):
            found = found * self.information(r, v)
        return np.where(carries_nothing(uncertain, self.total), 0.0, found)

    def take(self, rows: Rows, layers: slice) -> Tabulated:
        """See `LayerChannel.take`."""
        return Tabulated(self.table, self.total[rows, layers], self.hidden_noise[rows])


@dataclass(frozen=True)
class Direct:
    """The exact channel in every layer, by quadrature where it is asked for (theory (14)).

    Attributes
    ----------
    phi : the activation.
    total : variances `s^l` of the layers, shape (n, K).
    hidden_noise : `sigma_h^2`, shape (n, 1).
    present : whether a point has that layer, shape (n, K); values of others are 0.
    rule : the quadrature.
    """

    phi: ScalarFunction
    total: FloatArray
    hidden_noise: FloatArray
    present: NDArray[np.bool_]
    rule: Rule = ROUGH
    _known: dict[bytes, FloatArray] = field(default_factory=dict, compare=False, repr=False)

    @property
    def has_noise(self) -> NDArray[np.bool_]:
        """See `LayerChannel.has_noise`."""
        return np.asarray(self.hidden_noise[:, 0] > 0.0)

    @property
    def refined(self) -> Direct:
        """The same channels by the finer quadrature, in which values are told."""
        return replace(self, rule=FINE, _known={}) if self.rule is ROUGH else self

    def _evaluate(self, r: FloatArray, v: FloatArray) -> DirectValue:
        tau = v + self.hidden_noise
        known = self.present & (tau > 0.0) & (self.total >= FAINTEST)
        precision, total = r[known], self.total[known]
        wanted = np.minimum(tau[known], total)
        inside = np.maximum(wanted, total / LARGEST_RATIO)
        out = np.zeros((8, *r.shape))
        # Without uncertainty nothing is carried, and nothing remains.
        out[6:] = 1.0
        beyond = np.flatnonzero(wanted < inside)
        # The second rule tells J alone, but what is carried on needs its slopes.
        found = self._at(precision, inside, total, self.rule is not SECOND or len(beyond) > 0)
        if len(beyond):
            fainter = np.maximum(wanted, SMALLEST_SHARE * total)[beyond]
            found[:7, beyond] = carried_on(found[:7, beyond], precision[beyond], inside[beyond], fainter)
            found[7, beyond] = 1.0 - fainter * found[2, beyond]
        out[:, known] = found
        return DirectValue(*out)

    def _at(self, r: FloatArray, tau: FloatArray, s: FloatArray, moments: bool) -> FloatArray:
        """Values by the rule, those of places where a search has been not computed again; shape (8, n)."""
        keys = [place.tobytes() for place in np.stack((r, tau, s), axis=1)]
        new = np.array([i for i, key in enumerate(keys) if key not in self._known], dtype=np.intp)
        if len(self._known) > _PLACES:
            self._known.clear()
            new = np.arange(len(keys))
        found = np.stack(direct_channel(self.phi, r[new], tau[new], s[new], self.rule, moments), axis=1)
        self._known.update(zip((keys[i] for i in new), found, strict=True))
        return np.array([self._known[key] for key in keys]).reshape(-1, 8).T

    def derivatives(self, r: FloatArray, v: FloatArray) -> Derivatives:
        """See `LayerChannel.derivatives`."""
        found = self._evaluate(r, v)
        e, e_r, e_v = remaining(r, found.j, found.e, found.e_r, found.e_v)
        rest_v = found.rest_tau + found.a * self.hidden_noise
        return Derivatives(e, found.a, e_r, e_v, found.a_v, found.rest_r, rest_v)

    def information(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `LayerChannel.information`."""
        return self._evaluate(r, v).j

    def error(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `LayerChannel.error`: what two quadratures differ by; 0 of the rough one, of which nothing is told."""
        if self.rule is ROUGH:
            return np.zeros_like(r)
        j = self.information(r, v)
        other = replace(self, rule=SECOND, _known={}).information(r, v)
        return np.asarray(np.abs(j - other) + CHANNEL_ROUNDING * j)

    def take(self, rows: Rows, layers: slice) -> Direct:
        """See `LayerChannel.take`."""
        at = rows, layers
        return Direct(self.phi, self.total[at], self.hidden_noise[rows], self.present[at], self.rule, self._known)


@dataclass(frozen=True)
class Scaled:
    """Channels of layers with norms: phi sees `(h + eps) / D`, and its output is multiplied before it is observed.

    Attributes
    ----------
    inner : the channels of what phi sees, without noise.
    factor : square of what the output is multiplied by, shape (n, K).
    scale : `D^2`, shape (n, K).
    noise : variance of eps, shape (n, K).
    """

    inner: Tabulated | Direct
    factor: FloatArray
    scale: FloatArray
    noise: FloatArray

    @property
    def has_noise(self) -> NDArray[np.bool_]:
        """See `LayerChannel.has_noise`."""
        return np.asarray((self.noise > 0.0).any(axis=1))

    @property
    def refined(self) -> Scaled:
        """The same channels by the finer quadrature, if they have one."""
        return replace(self, inner=self.inner.refined) if isinstance(self.inner, Direct) else self

    def _inside(self, r: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        return inside_norm(r, v, self.factor, self.scale, self.noise)

    def derivatives(self, r: FloatArray, v: FloatArray) -> Derivatives:
        """See `LayerChannel.derivatives`."""
        d = self.inner.derivatives(*self._inside(r, v))
        e, a, e_r, e_v, a_v = outside_norm(self.factor, self.scale, d.e, d.a, d.e_r, d.e_v, d.a_v)
        return Derivatives(e, a, e_r, e_v, a_v, d.rest_r, d.rest_v + a * self.noise)

    def information(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `LayerChannel.information`."""
        return self.inner.information(*self._inside(r, v))

    def error(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `LayerChannel.error`."""
        return self.inner.error(*self._inside(r, v))

    def take(self, rows: Rows, layers: slice) -> Scaled:
        """See `LayerChannel.take`."""
        at = rows, layers
        return Scaled(self.inner.take(rows, layers), self.factor[at], self.scale[at], self.noise[at])
