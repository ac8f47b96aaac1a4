"""Scalar channels of a hidden layer and of the input: what the potential needs to know of them (theory (14)-(18)).

A layer channel takes the precision `r` that observes its output and the remaining variance `V` of its pre-activation
and returns the information `J` and its derivatives. Arrays have shape (n, K): points and hidden layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.channel_coordinates import remaining
from mfmi.exact_tables import ExactTable, TableValue
from mfmi.priors import InputChannel, InputPrior

Array = NDArray[np.float64]
Rows = NDArray[np.intp] | slice

# Elements of a work array that fits the second-level cache with its companions.
_BLOCK = 1 << 15

# A smaller variance of a pre-activation is none: below 1e-308 numbers lose digits.
FAINTEST = 1e-300


class Derivatives(NamedTuple):
    """First and second derivatives of a layer channel, each of shape (n, K).

    Attributes
    ----------
    e : `E = 2 dJ/dr`, remaining variance of the layer's output.
    a : `A = 2 dJ/dV`, curvature seen from the input.
    e_r, e_v, a_v : `dE/dr`, `dE/dV = dA/dr`, `dA/dV`.
    rest_r, rest_v : `1 - r E` and `1 - A V`, without cancellation.
    """

    e: Array
    a: Array
    e_r: Array
    e_v: Array
    a_v: Array
    rest_r: Array
    rest_v: Array


class LayerChannel(Protocol):
    """The channels of K consecutive hidden layers of n networks."""

    @property
    def has_noise(self) -> NDArray[np.bool_]:
        """Whether a layer's output is uncertain when its input is known, shape (n,)."""

    def derivatives(self, r: Array, v: Array) -> Derivatives:
        """Derivatives at precisions `r` and variances `v`, both of shape (n, K)."""

    def information(self, r: Array, v: Array) -> Array:
        """`J(r, V)` in nats, shape (n, K)."""

    def error(self, r: Array, v: Array) -> Array:
        """Estimated error of `J(r, V)` in nats, shape (n, K): 0 in closed form, NaN where there is no estimate."""

    def part(self, rows: Rows, layers: slice) -> LayerChannel:
        """The channels of some of the points and layers."""


class Source(Protocol):
    """Where the chain begins: the channel from the input to its noisy observation."""

    def derivatives(self, r: Array) -> tuple[Array, Array, Array]:
        """`E = 2 J_0'(r)`, `dE/dr` and `1 - r E`, each of shape (n,)."""

    def information(self, r: Array) -> Array:
        """`J_0(r)` in nats, shape (n,)."""

    def error(self, r: Array) -> Array:
        """Estimated error of `J_0(r)` in nats, shape (n,), beyond rounding."""

    def part(self, rows: Rows) -> Source:
        """The source of some of the points."""


@dataclass(frozen=True)
class GaussianInput:
    """Gaussian input entries of the given variance, shape (n,): `J_0 = ln(1 + q_x r) / 2`."""

    variance: Array

    def derivatives(self, r: Array) -> tuple[Array, Array, Array]:
        """See `Source.derivatives`."""
        rest = 1.0 / (1.0 + self.variance * r)
        e = self.variance * rest
        return e, -e * e, rest

    def information(self, r: Array) -> Array:
        """See `Source.information`."""
        return 0.5 * np.log1p(self.variance * r)

    def error(self, r: Array) -> Array:
        """See `Source.error`: there is none."""
        return np.zeros_like(r)

    def part(self, rows: Rows) -> GaussianInput:
        """See `Source.part`."""
        return GaussianInput(self.variance[rows])


@dataclass(frozen=True)
class CorrelatedInput:
    """Gaussian input whose covariance has given eigenvalues: `J_0 = E_mu ln(1 + r mu) / 2`.

    Attributes
    ----------
    variance : mean eigenvalue, shape (n,).
    relative, share : distinct eigenvalues over their mean, and how often each occurs, shape (K,).
    """

    variance: Array
    relative: Array
    share: Array

    def derivatives(self, r: Array) -> tuple[Array, Array, Array]:
        """See `Source.derivatives`."""
        left = self._left(r)
        e = left * self.relative * self.variance[:, None]
        return e @ self.share, -((e * e) @ self.share), left @ self.share

    def information(self, r: Array) -> Array:
        """See `Source.information`."""
        return np.asarray(-0.5 * (np.log(self._left(r)) @ self.share))

    def _left(self, r: Array) -> Array:
        return 1.0 / (1.0 + (self.variance * r)[:, None] * self.relative)

    def error(self, r: Array) -> Array:
        """See `Source.error`: there is none."""
        return np.zeros_like(r)

    def part(self, rows: Rows) -> CorrelatedInput:
        """See `Source.part`."""
        return CorrelatedInput(self.variance[rows], self.relative, self.share)


@dataclass(frozen=True)
class PriorInput:
    """Independent input entries of another law than the Gaussian, of the given variance, shape (n,)."""

    prior: InputPrior
    variance: Array

    def derivatives(self, r: Array) -> tuple[Array, Array, Array]:
        """See `Source.derivatives`."""
        found = self._evaluate(r)
        # Between two atoms E underflows.
        e, e_r, _ = remaining(r, found.j, found.e, found.e_r, np.zeros_like(r))
        return e, e_r, 1.0 - r * e

    def information(self, r: Array) -> Array:
        """See `Source.information`."""
        return self._evaluate(r).j

    def _evaluate(self, r: Array) -> InputChannel:
        """The channel where r is a number; a step of the solver that leaves the domain ends in NaN."""
        good = np.isfinite(r)
        found = self.prior.channel(np.where(good, r, 1.0), self.variance)
        return InputChannel(*(np.where(good, part, np.nan) for part in found))

    def error(self, r: Array) -> Array:
        """See `Source.error`: `priors` computes to rounding."""
        return np.zeros_like(r)

    def part(self, rows: Rows) -> PriorInput:
        """See `Source.part`."""
        return PriorInput(self.prior, self.variance[rows])


@dataclass(frozen=True)
class FirstLayer:
    """A chain that begins with a layer channel at a given variance of its pre-activations, shape (n,).

    At variance 0 this is a network whose input is given: the potential drops `J_0` and the first bracket (theory
    section 3). At the prior variance it is a network whose first pre-activations are independent gaussian variables,
    as an orthogonal matrix makes them of gaussian inputs.
    """

    layer: LayerChannel
    variance: Array

    def derivatives(self, r: Array) -> tuple[Array, Array, Array]:
        """See `Source.derivatives`."""
        d = self.layer.derivatives(r[:, None], self.variance[:, None])
        return d.e[:, 0], d.e_r[:, 0], d.rest_r[:, 0]

    def information(self, r: Array) -> Array:
        """See `Source.information`."""
        return self.layer.information(r[:, None], self.variance[:, None])[:, 0]

    def error(self, r: Array) -> Array:
        """See `Source.error`."""
        return self.layer.error(r[:, None], self.variance[:, None])[:, 0]

    def part(self, rows: Rows) -> FirstLayer:
        """See `Source.part`."""
        return FirstLayer(self.layer.part(rows, slice(None)), self.variance[rows])


@dataclass(frozen=True)
class Surrogate:
    """The linear network with the same second moments (theory (18)).

    `J = E_m ln(1 + r P_m) / 2` with `P_m = gain_m (V + sigma_h^2) + residual_m`; the average over the neuron's offset
    m is a sum over nodes and stays outside the logarithm: taking the mean of the gain instead breaks the bound.

    Attributes
    ----------
    gain, residual, weight : `kappa(m)^2`, `d(m)` and the weights of the nodes, shape (n, K, M).
    hidden_noise : `sigma_h^2`, shape (n, 1).
    """

    gain: Array
    residual: Array
    weight: Array
    hidden_noise: Array

    @property
    def has_noise(self) -> NDArray[np.bool_]:
        """See `LayerChannel.has_noise`: the residual of a nonlinear layer counts as noise."""
        return np.asarray((self.hidden_noise[:, 0] > 0.0) | np.any(self.residual > 0.0, axis=(1, 2)))

    def derivatives(self, r: Array, v: Array) -> Derivatives:
        """See `LayerChannel.derivatives`."""
        out = np.empty((7, *r.shape))
        for rows in self._blocks():
            out[:, rows] = self._derivatives(rows, r[rows], v[rows])
        return Derivatives(*out)

    def _derivatives(self, rows: slice, r: Array, v: Array) -> tuple[Array, ...]:
        weight, precision = self.weight[rows], r[:, :, None]
        power = self.gain[rows] * (v + self.hidden_noise[rows])[:, :, None]
        power += self.residual[rows]
        left = precision * power
        left += 1.0
        np.reciprocal(left, out=left)
        gain = self.gain[rows] * left
        power *= left
        noise = power - gain * v[:, :, None]
        noise *= precision
        noise += left

        def mean(one: Array, other: Array | None = None) -> Array:
            if other is None:
                return np.asarray(np.einsum("nkm,nkm->nk", weight, one))
            return np.asarray(np.einsum("nkm,nkm,nkm->nk", weight, one, other))

        a_v = -(r * r) * mean(gain, gain)
        return mean(power), r * mean(gain), -mean(power, power), mean(gain, left), a_v, mean(left), mean(noise)

    def information(self, r: Array, v: Array) -> Array:
        """See `LayerChannel.information`."""
        out = np.empty_like(r)
        for rows in self._blocks():
            power = self.gain[rows] * (v[rows] + self.hidden_noise[rows])[:, :, None] + self.residual[rows]
            out[rows] = 0.5 * np.einsum("nkm,nkm->nk", self.weight[rows], np.log1p(r[rows, :, None] * power))
        return out

    def error(self, r: Array, v: Array) -> Array:
        """See `LayerChannel.error`."""
        return np.zeros_like(r)

    def part(self, rows: Rows, layers: slice) -> Surrogate:
        """See `LayerChannel.part`."""
        if isinstance(rows, np.ndarray) and np.array_equal(rows, np.arange(len(self.gain))):
            rows = slice(None)  # all of them, without a copy
        return Surrogate(
            self.gain[rows, layers], self.residual[rows, layers], self.weight[rows, layers], self.hidden_noise[rows]
        )

    def _blocks(self) -> Iterator[slice]:
        """Stretches of points whose work arrays stay in the cache."""
        n, layers, nodes = self.gain.shape
        step = max(1, _BLOCK // max(1, layers * nodes))
        return (slice(start, start + step) for start in range(0, n, step))


class Table(Protocol):
    """A scalar channel over (r, tau, s), as `channel_tables` and `exact_tables` have it."""

    def evaluate(self, r: Array, tau: Array, s: Array) -> TableValue:
        """`J` and its derivatives up to the second, arrays of one shape; NaN outside the table."""

    def error(self, r: Array, tau: Array, s: Array) -> Array:
        """Estimated error of `J`: in nats, of the exact channel's table relative; NaN outside the table."""


@dataclass(frozen=True)
class Tabulated:
    """A nonlinear scalar channel in every layer, by its table (theory (14)-(17)).

    Attributes
    ----------
    table : the channel of one activation.
    total : variances `s^l` of the layers, shape (n, K).
    hidden_noise : `sigma_h^2`, shape (n, 1).
    """

    table: Table
    total: Array
    hidden_noise: Array

    @property
    def has_noise(self) -> NDArray[np.bool_]:
        """See `LayerChannel.has_noise`."""
        return np.asarray(self.hidden_noise[:, 0] > 0.0)

    def _evaluate(self, r: Array, v: Array) -> TableValue:
        tau = v + self.hidden_noise
        # A closed bound can ask for more variance than there is on its way to a solution.
        inside = np.clip(tau, np.finfo(np.float64).tiny, self.total)
        found = self.table.evaluate(r, inside, self.total)
        # Without uncertainty nothing is carried, and nothing remains.
        nothing = (tau == 0.0) | (self.total < FAINTEST)
        j, e, a, e_r, e_v, a_v = (np.where(nothing, 0.0, part) for part in found[:-1])
        return TableValue(j, e, a, e_r, e_v, a_v, np.where(nothing, 1.0, found.rest_r))

    def derivatives(self, r: Array, v: Array) -> Derivatives:
        """See `LayerChannel.derivatives`."""
        found = self._evaluate(r, v)
        e, e_r, e_v = remaining(r, found.j, found.e, found.e_r, found.e_v)
        return Derivatives(e, found.a, e_r, e_v, found.a_v, found.rest_r, 1.0 - found.a * v)

    def information(self, r: Array, v: Array) -> Array:
        """See `LayerChannel.information`."""
        return self._evaluate(r, v).j

    def error(self, r: Array, v: Array) -> Array:
        """See `LayerChannel.error`: that of the table."""
        uncertain = np.minimum(v + self.hidden_noise, self.total)
        found = self.table.error(r, uncertain, self.total)
        if isinstance(self.table, ExactTable):
            found = found * self.information(r, v)
        return np.where((uncertain == 0.0) | (self.total < FAINTEST), 0.0, found)

    def part(self, rows: Rows, layers: slice) -> Tabulated:
        """See `LayerChannel.part`."""
        return Tabulated(self.table, self.total[rows, layers], self.hidden_noise[rows])
