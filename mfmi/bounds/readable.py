"""Linearly readable information of networks with normalisation and skips, and the covariance of what they show.

Plain networks are chains of per-layer constants (theory (24)-(27)); where layers share a site the channel is that of a
stream (theory (35)-(37)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.estimate import Estimate, closed
from mfmi.bounds.propagation import offset_moments
from mfmi.chain.compiled import compiled_sites
from mfmi.chain.ensembles import Gaussian, Orthogonal
from mfmi.chain.links import Links, Matrices, OneMatrixLinks, TwoMatrixLinks
from mfmi.chain.potential import Chain, carries
from mfmi.chain.search import Solution, solve
from mfmi.chain.stream import TOLERANCE, ResidualStream, StreamChannel, StreamPotential
from mfmi.channels.layers import Surrogate
from mfmi.channels.observed.outputs import GaussianOutput
from mfmi.channels.protocols import Source
from mfmi.channels.sources import FirstLayer, GaussianInput
from mfmi.channels.stream.one_matrix import OneMatrix
from mfmi.channels.stream.sites import sites
from mfmi.channels.stream.two_matrices import TwoMatrices
from mfmi.meanfield import Architecture, Stream, propagate
from mfmi.networks.structure import SITES

RowNumbers = NDArray[np.intp]

# Sites at which its search begins, and the mismatch at which it ends: the value is off by about its square, far less
# than by the sites.
_COARSE, _SITE_TOLERANCE = 8, 3e-5
# Below this the difference of two potentials has lost digits, and a short integral takes its place.
_FAINT = 1e-4
# Nodes of that integral on (0, 1), and what a mismatch may be multiplied by on its way into the integrand.
_NODES = (0.5 - np.sqrt(1.0 / 12.0), 0.5 + np.sqrt(1.0 / 12.0))
_FAINT_SHARE = 100.0
# Numbers in the sites of the points that are solved together.
_ELEMENTS = 1 << 21
# Groups into which the sites are parted to see what their number changes, and by how much that may be too little.
_GROUPS, _CAUTION = 4, 1.5


class Readable(NamedTuple):
    """Information at the observed layer of n networks.

    Attributes
    ----------
    linear : `Phi_full - Phi_known`, what a linear decoder finds of the input (theory (36)-(37)): a theorem given that
        the network's second moments are those of its linear surrogate.
    full : `Phi_full`, half the logarithm of the determinant of the observed covariance over the noise.
    """

    linear: Estimate
    full: Estimate


def readable(network: Architecture, weights: str, stream: Stream | None = None, *, count: int = SITES) -> Readable:
    """Linearly readable information at the last layer, in nats per input dimension.

    Parameters
    ----------
    network : n square networks.
    weights : "gaussian" or "orthogonal".
    stream : their mean field, if it is known already.
    count : sites at which a stream with offsets is averaged, a power of 2.

    Returns
    -------
    Readable
        A value is NaN and not converged where a variance is not finite or the search did not end. The error counts
        sites, cut series and what is left of the search.

    Raises
    ------
    ValueError
        If `weights` is neither word, or `count` no power of 2 from 8 on.
    """
    if weights not in ("gaussian", "orthogonal"):
        raise ValueError(f"weights must be gaussian or orthogonal, not {weights!r}")
    if count < _COARSE or count & (count - 1):
        raise ValueError(f"count must be a power of 2 from {_COARSE} on, not {count!r}")
    stream = propagate(network) if stream is None else stream
    depth = network.depth
    found = Readable(*(_nothing(network.size) for _ in range(2)))
    alive = np.isfinite(stream.path.q).all(axis=1) & np.isfinite(stream.path.offset_gap).all(axis=1)
    alive &= (stream.output_noise[:, -1] > 0.0) & np.isfinite(stream.seen[:, : depth - 1]).all(axis=1)
    plain = alive & (network.skip[:, : depth - 1] == 0.0).all(axis=1) & (network.matrices == 1 or depth == 1)
    groups: list[tuple[NDArray[np.bool_], Callable[..., Readable], int]] = [(plain, _plain, 1)]
    if network.matrices == 2:
        groups.append((alive & ~plain, _of_stream, 1))
    else:
        groups.append((alive & ~plain & network.without_offset, _of_stream, 1))
        groups.append((alive & ~plain & ~network.without_offset, _of_stream, count))
    for members, method, number in groups:
        for rows in _batches(np.flatnonzero(members), number * depth * depth):
            part = method(network.take(rows), weights, stream.take(rows), number)
            for whole, some in zip(found, part, strict=True):
                for array, values in zip(whole, some, strict=True):
                    array[rows] = values
    return found


def _nothing(n: int) -> Estimate:
    found = closed(np.full(n, np.nan))
    return found._replace(converged=np.zeros(n, dtype=bool), error=np.full(n, np.nan))


def _batches(rows: RowNumbers, elements: int) -> Iterator[RowNumbers]:
    step = max(1, _ELEMENTS // elements)
    return (rows[start : start + step] for start in range(0, len(rows), step))


def _ensemble(weights: str, sigma_w2: FloatArray, alpha: float = 1.0) -> Matrices:
    return (Orthogonal if weights == "orthogonal" else Gaussian)(sigma_w2, np.full(sigma_w2.shape[1], alpha))


# ---- plain networks: a chain ----------------------------------------------------------------------------------------


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def _plain(network: Architecture, weights: str, stream: Stream, count: int) -> Readable:
    """Networks without skips: one site per layer and neuron."""
    chains = _Chains(network, weights, stream)
    variance = network.input_variance
    solution = chains.solve(chains.source(variance))
    if solution is None:
        first = variance * network.input_sigma_w2
        full = closed(GaussianOutput(stream.output_noise[:, -1]).information(first))
    else:
        full = _estimate(solution, solution.value)
    if network.depth == 1:
        return Readable(full, full)
    known = chains.solve(chains.known)
    assert known is not None
    value = np.maximum(full.value - known.value, 0.0)
    linear = _estimate(known, value)._replace(
        converged=full.converged & known.converged,
        residual=np.maximum(full.residual, known.residual),
        error=full.error + known.error,
        mmse=full.mmse,
    )
    faint = linear.converged & (value < _FAINT)
    if faint.any():
        short = np.zeros(len(value))
        for node in _NODES:
            short += 0.25 * chains.precision(node * variance) / node
        faint &= ~np.isnan(short)
        linear.value[faint], linear.error[faint] = short[faint], 0.0
    return Readable(linear, full)


def _estimate(solution: Solution, value: FloatArray) -> Estimate:
    converged = solution.converged & np.isfinite(value)
    return Estimate(
        np.where(converged, value, np.nan),
        solution.residual,
        converged,
        np.full(len(value), np.nan),
        solution.coexisting,
        solution.error,
    )


class _Chains:
    """The chains that a plain network is, with and without its input."""

    def __init__(self, network: Architecture, weights: str, stream: Stream) -> None:
        self.network, self.depth = network, network.depth
        hidden = self.depth - 1
        self.rotates = weights == "orthogonal"
        after = stream.branch[:, :hidden] ** 2 * network.sigma_w2[:, :hidden]
        self.after = _ensemble(weights, after)
        self.all = _ensemble(weights, np.hstack((network.input_sigma_w2[:, None], after)))
        self.output = GaussianOutput(stream.output_noise[:, -1])
        self.layers = _surrogate(network, stream) if hidden else None

    @property
    def known(self) -> Source:
        """The source where the input is given."""
        return self._first(np.zeros(self.network.size))

    def source(self, variance: FloatArray) -> Source:
        """The source of inputs of a given variance: a rotation turns them into independent pre-activations."""
        if self.rotates and self.layers is not None:
            return self._first(variance * self.network.input_sigma_w2)
        return GaussianInput(variance)

    def _first(self, variance: FloatArray) -> Source:
        assert self.layers is not None
        return FirstLayer(self.layers.take(slice(None), slice(0, 1)), variance)

    def precision(self, variance: FloatArray) -> FloatArray:
        """`r_0 E_0`: how much of the input's variance is known, in units of what is left; NaN at first order."""
        chain = self._chain(self.source(variance))
        assert chain is not None
        found = solve(chain, unique=True)
        if self.rotates:
            # The chain begins after the rotation, of which A V = r_0 E_0 is 1 less what is left of the variance.
            assert self.layers is not None
            first = (variance * self.network.input_sigma_w2)[:, None]
            after = self.layers.take(slice(None), slice(0, 1)).derivatives(found.r[:, :1], first)
            known = first[:, 0] * after.a[:, 0]
        else:
            known = found.r[:, 0] * found.mmse
        return np.where(found.r[:, 0] > 0.0, np.where(carries(chain, found.r, found.v), known, 0.0), np.nan)

    def solve(self, source: Source) -> Solution | None:
        """The potential from a source, or None for one rotation, which is known in closed form."""
        chain = self._chain(source)
        return None if chain is None else solve(chain, unique=True)

    def _chain(self, source: Source) -> Chain | None:
        if isinstance(source, GaussianInput):
            if self.rotates:
                return None
            ensemble, layers = self.all, self.layers
        else:
            assert self.layers is not None
            ensemble, layers = self.after, self.layers.take(slice(None), slice(1, None)) if self.depth > 2 else None
        length = np.full(self.network.size, len(ensemble.alpha), dtype=np.intp)
        return Chain(source, ensemble, layers, self.output, length)


def _surrogate(network: Architecture, stream: Stream) -> Surrogate:
    """The linear networks with the same second moments, hidden layers with their noise among the residuals."""
    moments, weight = offset_moments(network.phi, stream.seen[:, :-1].ravel(), stream.seen_inner[:, :-1].ravel())
    shape = (network.size, network.depth - 1, weight.shape[1])
    out = stream.gain2[:, :-1, None]
    gain = np.square(moments.kappa).reshape(shape) * (out / _in_front(network, stream))
    residual = moments.residual.reshape(shape) * out
    if network.matrices == 1:
        residual = residual + gain * stream.hidden_noise[:, :-1, None]
    return Surrogate(gain, residual, weight.reshape(shape), np.zeros((network.size, 1)))


def _in_front(network: Architecture, stream: Stream) -> FloatArray | float:
    """Square of the norm in front of phi; with two matrices the norm is in front of the first."""
    return stream.scale2[:, :-1, None] if network.matrices == 1 else 1.0


# ---- streams --------------------------------------------------------------------------------------------------------


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def _of_stream(network: Architecture, weights: str, stream: Stream, count: int) -> Readable:
    """Networks with skips, of which the layers share their sites."""
    first = _ensemble(weights, network.input_sigma_w2[:, None])
    links = _links(network, weights, stream)
    variance = network.input_variance
    begin = _prior(network, stream)
    if network.matrices == 2:
        channel: OneMatrix | TwoMatrices = TwoMatrices.of(stream, network.noise_in)
    else:
        code = compiled_sites()
        found = sites(network.phi, stream, network.noise_in, network.is_centred, count, code)
        channel = OneMatrix(found, stream.output_noise[:, -1], code)
        if count > _COARSE:
            few = ResidualStream(
                variance, first, OneMatrix(found.take(slice(None), _COARSE), channel.noise, code), links
            )
            begin = _begin(few.full(*begin, _SITE_TOLERANCE), begin)
    residual = ResidualStream(variance, first, channel, links)
    tolerance = TOLERANCE if count == 1 else _SITE_TOLERANCE
    full = residual.full(*begin, tolerance)
    quiet = _is_quiet(channel, links)
    known = residual.known(*_begin(full, begin), tolerance, ~quiet)
    value = np.where(quiet[:, None], full.value, full.value - known.value)
    linear = _of_potential(full, value)
    linear = linear._replace(
        value=np.maximum(linear.value, 0.0),
        converged=full.converged & (known.converged | quiet),
        residual=np.where(quiet, full.residual, np.maximum(full.residual, known.residual)),
        error=_spread(value) + np.where(quiet, full.error, full.error + known.error + np.abs(full.tail - known.tail)),
    )
    linear = _checked(linear)
    faint = np.flatnonzero(linear.converged & (linear.value < _FAINT))
    if len(faint):
        short = np.zeros(len(value))
        for node in _NODES:
            some = residual.full(full.log_v, full.log_r, tolerance, node * variance)
            short += 0.25 * np.exp(some.log_r[:, 0]) * some.mmse / node
        # Of the integrand the mismatch is a share.
        share = np.minimum(1.0, short / _FAINT) * _spread(value) + _FAINT_SHARE * full.residual * short
        linear.error[faint] = share[faint]
        linear.value[faint] = short[faint]
    return Readable(linear, _checked(_of_potential(full, full.value)))


def stream_potential(
    network: Architecture, weights: str, stream: Stream, channel: StreamChannel
) -> tuple[ResidualStream, tuple[FloatArray, FloatArray]]:
    """The potential of streams with a channel of one's own for their sites, and where a search may begin."""
    first = _ensemble(weights, network.input_sigma_w2[:, None])
    return ResidualStream(network.input_variance, first, channel, _links(network, weights, stream)), _prior(
        network, stream
    )


def _of_potential(found: StreamPotential, value: FloatArray) -> Estimate:
    error = _spread(value) + found.error + np.abs(found.tail)
    nowhere = np.zeros(len(error), dtype=bool)
    return Estimate(value.mean(axis=1), found.residual, found.converged.copy(), found.mmse, nowhere, error)


def _checked(found: Estimate) -> Estimate:
    converged = found.converged & np.isfinite(found.value)
    value, error = (np.where(converged, part, np.nan) for part in (found.value, found.error))
    return found._replace(value=value, error=error, converged=converged)


def _spread(value: FloatArray) -> FloatArray:
    """Error from the number of sites: the standard error of the means over parts of them, shape (n,)."""
    n, count = value.shape
    if count == 1:
        return np.zeros(n)
    means = value.reshape(n, _GROUPS, -1).mean(axis=2)
    return np.asarray(_CAUTION * means.std(axis=1, ddof=1) / np.sqrt(_GROUPS))


def _begin(found: StreamPotential, otherwise: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Start of a search: the solution of one like it, if that converged."""
    good = found.converged[:, None]
    return np.where(good, found.log_v, otherwise[0]), np.where(good, found.log_r, otherwise[1])


def _prior(network: Architecture, stream: Stream) -> tuple[FloatArray, FloatArray]:
    """Logarithms of the variances before anything is observed, and of precisions as one layer alone would have them."""
    depth = network.depth
    added = np.square(stream.branch[:, : depth - 1])
    gap = stream.path.offset_gap
    first = network.input_sigma_w2 * network.input_variance
    inside = np.maximum(gap[:, 1:] - network.skip[:, : depth - 1] ** 2 * gap[:, :-1], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        v = np.hstack((first[:, None], np.where(added > 0.0, inside / added, 1.0)))
        log_v = np.log(np.maximum(v, 1e-12 * first[:, None]))
        weight = np.hstack((network.input_sigma_w2[:, None], network.outer[0][:, : depth - 1]))
        log_r = np.log(weight / (stream.output_noise[:, -1:] + gap))
    return np.nan_to_num(log_v, neginf=-300.0), np.nan_to_num(log_r, neginf=-300.0)


def _links(network: Architecture, weights: str, stream: Stream) -> Links:
    inner = network.sigma_w2[:, :-1]
    if network.matrices == 1:
        return OneMatrixLinks(_ensemble(weights, inner))
    outer, alpha = network.outer[0][:, :-1], network.hidden_ratio
    units = _surrogate(network, stream)
    return TwoMatrixLinks(_ensemble(weights, inner, alpha), _ensemble(weights, outer, 1.0 / alpha), units)


def _is_quiet(channel: OneMatrix | TwoMatrices, links: Links) -> NDArray[np.bool_]:
    """Points at which nothing varies once the input is given."""
    if isinstance(channel, OneMatrix):
        return np.asarray(~(channel.sites.residual > 0.0).any(axis=(1, 2, 3)))
    assert isinstance(links, TwoMatrixLinks)
    return np.asarray(~((channel.hidden_noise[:, :-1] > 0.0).any(axis=1) | links.units.has_noise))
