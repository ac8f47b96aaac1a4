"""Scalar channels of the input, with which a chain begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.closed.coordinates import remaining
from mfmi.channels.elementwise import gaussian_input, information_of
from mfmi.channels.priors import InputChannel, input_channel
from mfmi.channels.protocols import ClosedForm, LayerChannel, Rows
from mfmi.networks.priors import InputPrior, MixturePrior


@dataclass(frozen=True)
class GaussianInput(ClosedForm):
    """Gaussian input entries of the given variance, shape (n,): `J_0 = ln(1 + q_x r) / 2`."""

    variance: FloatArray

    def derivatives(self, r: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `Source.derivatives`."""
        return gaussian_input(r, self.variance)

    def information(self, r: FloatArray) -> FloatArray:
        """See `Source.information`."""
        return information_of(self.variance * r)

    def take(self, rows: Rows) -> GaussianInput:
        """See `Source.take`."""
        return GaussianInput(self.variance[rows])


@dataclass(frozen=True)
class CorrelatedInput(ClosedForm):
    """Gaussian input whose covariance has given eigenvalues: `J_0 = E_mu ln(1 + r mu) / 2`.

    Attributes
    ----------
    variance : mean eigenvalue, shape (n,).
    relative, share : distinct eigenvalues over their mean, and how often each occurs, shape (K,).
    """

    variance: FloatArray
    relative: FloatArray
    share: FloatArray

    def derivatives(self, r: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `Source.derivatives`."""
        left = self._left(r)
        e = left * self.relative * self.variance[:, None]
        return e @ self.share, -((e * e) @ self.share), left @ self.share

    def information(self, r: FloatArray) -> FloatArray:
        """See `Source.information`."""
        return np.asarray(-0.5 * (np.log(self._left(r)) @ self.share))

    def _left(self, r: FloatArray) -> FloatArray:
        return 1.0 / (1.0 + (self.variance * r)[:, None] * self.relative)

    def take(self, rows: Rows) -> CorrelatedInput:
        """See `Source.take`."""
        return CorrelatedInput(self.variance[rows], self.relative, self.share)


@dataclass(frozen=True)
class PriorInput(ClosedForm):
    """Independent input entries of another law than the Gaussian, of the given variance, shape (n,)."""

    prior: InputPrior
    variance: FloatArray

    def derivatives(self, r: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `Source.derivatives`."""
        found = self._evaluate(r)
        # Between two atoms E underflows.
        e, e_r, _ = remaining(r, found.j, found.e, found.e_r, np.zeros_like(r))
        return e, e_r, 1.0 - r * e

    def information(self, r: FloatArray) -> FloatArray:
        """See `Source.information`."""
        return self._evaluate(r).j

    def _evaluate(self, r: FloatArray) -> InputChannel:
        """The channel where r is a number; a step of the solver that leaves the domain ends in NaN."""
        good = np.isfinite(r)
        found = input_channel(self.prior, np.where(good, r, 1.0), self.variance)
        return InputChannel(*(np.where(good, part, np.nan) for part in found))

    def take(self, rows: Rows) -> PriorInput:
        """See `Source.take`."""
        return PriorInput(self.prior, self.variance[rows])


def source_of(prior: InputPrior, variance: FloatArray) -> GaussianInput | CorrelatedInput | PriorInput:
    """The channel of an input of a law, its entries of the given variance, shape (n,)."""
    if isinstance(prior, MixturePrior):
        return PriorInput(prior, variance)
    if prior.is_white:
        return GaussianInput(variance)
    values, counts = np.unique(np.asarray(prior.eigenvalues), return_counts=True)
    return CorrelatedInput(variance, values, counts / len(prior.eigenvalues))


@dataclass(frozen=True)
class FirstLayer:
    """A chain that begins with a layer channel at a given variance of its pre-activations, shape (n,).

    At variance 0 this is a network whose input is given: the potential drops `J_0` and the first bracket (theory
    section 3). At the prior variance it is a network whose first pre-activations are independent gaussian variables,
    as an orthogonal matrix makes them of gaussian inputs.
    """

    layer: LayerChannel
    variance: FloatArray

    def derivatives(self, r: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `Source.derivatives`."""
        d = self.layer.derivatives(r[:, None], self.variance[:, None])
        return d.e[:, 0], d.e_r[:, 0], d.rest_r[:, 0]

    def information(self, r: FloatArray) -> FloatArray:
        """See `Source.information`."""
        return self.layer.information(r[:, None], self.variance[:, None])[:, 0]

    def error(self, r: FloatArray) -> FloatArray:
        """See `Source.error`."""
        return self.layer.error(r[:, None], self.variance[:, None])[:, 0]

    def take(self, rows: Rows) -> FirstLayer:
        """See `Source.take`."""
        return FirstLayer(self.layer.take(rows, slice(None)), self.variance[rows])
