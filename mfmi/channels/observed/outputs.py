"""Observation of the last layer, as a chain needs it (theory section 3).

Either the noisy pre-activation `T = y + eps`, or the activation of it, `T = phi(y + eps)`. A strictly monotone phi
hides nothing, and its activation is as good as the pre-activation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.channels.elementwise import gaussian_output, information_over
from mfmi.channels.observed.activation import OutputChannel, observation_error, observed_activation
from mfmi.channels.protocols import ClosedForm

Rows = NDArray[np.intp] | slice


class Output(Protocol):
    """End of the chain: the channel from the observed layer's pre-activation to the observation."""

    def derivatives(self, v: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`A = 2 J_out'(V)`, `dA/dV` and `1 - A V`, each of shape (n,)."""
        ...

    def information(self, v: FloatArray) -> FloatArray:
        """`J_out(V)` in nats, shape (n,)."""
        ...

    def error(self, v: FloatArray) -> FloatArray:
        """Estimated error of `J_out(V)` in nats, shape (n,): 0 in closed form, NaN where there is no estimate."""
        ...

    def take(self, rows: Rows) -> Output:
        """The output channel of some of the points."""
        ...


@dataclass(frozen=True)
class GaussianOutput(ClosedForm):
    """The observed layer: `J_out = ln(1 + V / sigma_o^2) / 2`, with `noise` the variance `sigma_o^2`, shape (n,)."""

    noise: FloatArray

    def derivatives(self, v: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `Output.derivatives`."""
        return gaussian_output(v, self.noise)

    def information(self, v: FloatArray) -> FloatArray:
        """See `Output.information`."""
        return information_over(v, self.noise)

    def take(self, rows: Rows) -> GaussianOutput:
        """See `Output.take`."""
        return GaussianOutput(self.noise[rows])


@dataclass(frozen=True)
class ActivationOutput:
    """The observed layer where its activation is observed, `T = phi(y + eps)`: `activation.observed_activation`.

    Attributes
    ----------
    phi : the activation.
    noise : `sigma_o^2`, shape (n,).
    total : variance `q^L` of the pre-activation, shape (n,).
    """

    phi: Activation
    noise: FloatArray
    total: FloatArray

    def derivatives(self, v: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `Output.derivatives`."""
        found = self._evaluate(v)
        return found.a, found.a_v, found.rest

    def information(self, v: FloatArray) -> FloatArray:
        """See `Output.information`."""
        return self._evaluate(v).j

    def _evaluate(self, v: FloatArray) -> OutputChannel:
        """The channel where V is a number; a step of the solver that leaves the domain ends in NaN."""
        good = np.isfinite(v) & np.isfinite(self.total)
        total = np.where(good, self.total, 1.0)
        # A closed bound can ask for more variance than there is on its way to a solution.
        inside = np.where(good, np.clip(v, 0.0, total), total)
        found = observed_activation(self.phi, inside, self.noise, total)
        return OutputChannel(*(np.where(good, part, np.nan) for part in found))

    def error(self, v: FloatArray) -> FloatArray:
        """See `Output.error`: from a second quadrature."""
        good = np.isfinite(v) & np.isfinite(self.total)
        total = np.where(good, self.total, 1.0)
        found = observation_error(self.phi, np.where(good, np.clip(v, 0.0, total), total), self.noise, total)
        return np.where(good, found, np.nan)

    def take(self, rows: Rows) -> ActivationOutput:
        """See `Output.take`."""
        return ActivationOutput(self.phi, self.noise[rows], self.total[rows])


@dataclass(frozen=True)
class LinearOutput(ClosedForm):
    """The best linear reading of an observed activation: theory (16) at infinite precision.

    By theory (18) the activation of a neuron of offset m is `kappa(m) (y + eps)` and a residual of variance `d(m)`,
    which is noise to a linear decoder: `J = E_m ln(1 + h_m V) / 2` with `h_m = kappa^2 / (kappa^2 sigma_o^2 + d)`.

    Attributes
    ----------
    gain : `h_m` at the nodes of m, shape (n, M).
    weight : of the nodes, shape (n, M).
    """

    gain: FloatArray
    weight: FloatArray

    def derivatives(self, v: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `Output.derivatives`."""
        rest = 1.0 / (1.0 + self.gain * v[:, None])
        left = self.gain * rest
        a, a_v, rest = (np.einsum("nm,nm->n", self.weight, part) for part in (left, -left * left, rest))
        return a, a_v, rest

    def information(self, v: FloatArray) -> FloatArray:
        """See `Output.information`."""
        return np.asarray(0.5 * np.einsum("nm,nm->n", self.weight, np.log1p(self.gain * v[:, None])))

    def take(self, rows: Rows) -> LinearOutput:
        """See `Output.take`."""
        return LinearOutput(self.gain[rows], self.weight[rows])
