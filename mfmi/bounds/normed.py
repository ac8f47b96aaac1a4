"""Plain networks with norms or relative noise as points that the estimators take (theory (24)-(29))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mfmi.activations.linear import Linear
from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.estimate import Estimate, closed
from mfmi.bounds.estimators import fisher, gaussian_upper, layerwise, replica, unread
from mfmi.bounds.frequencies import surrogates
from mfmi.bounds.optional_columns import REGISTRY as OPTIONAL_REGISTRY
from mfmi.bounds.problem import LOUDEST, Channels, Problem
from mfmi.bounds.propagation import Propagation
from mfmi.channels.closed.table import Channel, table
from mfmi.channels.elementwise import information_over
from mfmi.channels.exact.direct import can_be_direct
from mfmi.channels.exact.table import exact_table
from mfmi.channels.layers import Direct, Scaled, Tabulated
from mfmi.channels.protocols import ChannelValues
from mfmi.meanfield import Architecture, Stream, block_sigma_w2, layer_sigma_w2
from mfmi.networks.model import SQUARE


@dataclass(frozen=True)
class NormedProblem(Problem):
    """n plain networks whose layers have norms and noise of their own, the last layer observed.

    Attributes
    ----------
    network, stream : the networks and their mean field, a row per point.
    """

    network: Architecture = field(kw_only=True)
    stream: Stream = field(kw_only=True)

    @classmethod
    def of(cls, network: Architecture, weights: str, stream: Stream, tables: bool) -> NormedProblem:
        """The points of networks of no skips and one matrix per layer."""
        n = network.size
        noise = stream.hidden_noise[:, : network.depth - 1].max(axis=1, initial=0.0)
        return cls(
            Propagation(network.phi, stream.path, noise),
            np.arange(n),
            weights,
            np.ones(n),
            stream.output_noise[:, -1],
            network.input_variance,
            np.full(n, network.depth, dtype=np.intp),
            replace(SQUARE, tables=tables),
            network=network,
            stream=stream,
        )

    @cached_property
    def layer_sigma_w2(self) -> FloatArray:
        """Variances of the weights of layers 1 to D with the factor of their branch, shape (n, D)."""
        return layer_sigma_w2(self.network, self.stream)

    def exact(self) -> Channels:
        """See `Problem.exact`."""
        if isinstance(self.network.phi, Linear):
            return self.linear()._replace(exact=True)
        return Channels(exact_units(self.network, self.stream, self.model.tables is not False), self.output, exact=True)

    def tabulated(self, channel: Channel) -> Channels:
        """See `Problem.tabulated`."""
        if isinstance(self.network.phi, Linear):
            return self.exact()
        known = _tabulated(table(self.network.phi, channel), self.stream)
        return Channels(_scaled(known, self.network, self.stream), self.output)

    def linear(self) -> Channels:
        """See `Problem.linear`."""
        return Channels(surrogates(self.network, self.stream, None)[0], self.output)

    @cached_property
    def decoded(self) -> Estimate | None:
        """See `Problem.decoded`: units of few values are not taken."""
        return None

    def take(self, chosen: NDArray[np.intp]) -> NormedProblem:
        """The problem of some of the points."""
        tables = self.model.tables is not False
        return NormedProblem.of(self.network.take(chosen), self.weights, self.stream.take(chosen), tables)


def exact_units(network: Architecture, stream: Stream, tables: bool) -> Scaled:
    """The exact channel of the units of phi in layers 1 to L - 1 (theory (14)).

    Parameters
    ----------
    network, stream : n networks.
    tables : whether it is tabulated, which pays for many networks, and where hidden layers are loud.
    """
    before = slice(0, network.depth - 1)
    gain = block_sigma_w2(network, stream, before) * stream.gain2[:, before]
    loud = bool((gain * stream.seen[:, before] > LOUDEST**2 * stream.output_noise[:, -1:]).any())
    if tables or loud or not can_be_direct(network.phi):
        return _scaled(_tabulated(exact_table(network.phi), stream), network, stream)
    total = stream.seen[:, :-1]
    inner = Direct(network.phi, total, np.zeros((network.size, 1)), np.ones(total.shape, dtype=bool))
    return _scaled(inner, network, stream)


def _tabulated(known: ChannelValues, stream: Stream) -> Tabulated:
    return Tabulated(known, stream.seen[:, :-1], np.zeros((len(stream.seen), 1)))


def _scaled(inner: Tabulated | Direct, network: Architecture, stream: Stream) -> Scaled:
    """Channels in units of the layers; with two matrices the norm and the noise are in front of the first."""
    gain, scale = stream.gain2[:, :-1], stream.scale2[:, :-1]
    if network.matrices == 2:
        return Scaled(inner, gain, np.ones_like(scale), np.zeros_like(scale))
    return Scaled(inner, gain, scale, stream.hidden_noise[:, :-1])


def mean_field(network: Architecture, stream: Stream) -> Estimate:
    """The classic mean-field value (theory (17a)), an approximation: the gains of the layers with norms and skips.

    Every matrix is independent of the stream before it, so that the variances of what the skip and the branch carry of
    the input add up.
    """
    before = slice(0, network.depth - 1)
    finite = np.isfinite(stream.seen[:, before]) & np.isfinite(stream.seen_inner[:, before])
    seen, inner = (np.where(finite, part[:, before], 1.0) for part in (stream.seen, stream.seen_inner))
    gain = block_sigma_w2(network, stream, before) * stream.gain2[:, before] / stream.scale2[:, before]
    if network.matrices == 2:
        gain = gain * network.sigma_w2[:, before]
    kept = np.square(network.skip[:, before]) + gain * np.asarray(network.phi.slope_correlation_gap(seen, inner))
    signal = network.input_variance * network.input_sigma_w2 * kept.prod(axis=1)
    noise = unread(stream.path.offset_gap[:, -1], signal, network.depth) + stream.output_noise[:, -1]
    value = information_over(signal, noise)
    return closed(value)._replace(converged=np.isfinite(value) & finite.all(axis=1))


REGISTRY: dict[str, Callable[[Problem], Estimate]] = {
    "mi_layerwise": layerwise,
    "mi_fisher": fisher,
    "mi_gaussian_upper": gaussian_upper,
    "mi_replica": replica,
    **{
        name: OPTIONAL_REGISTRY[name]
        for name in ("mi_replica_error", "mi_layerwise_error", "mi_fisher_error", "mi_gaussian_upper_error", "mmse")
    },
}
"""Columns of plain networks with norms or relative noise that are not known of streams, or of these by other means."""
