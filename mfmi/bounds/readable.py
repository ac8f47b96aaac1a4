"""Linearly readable information of networks with normalisation and skips, and the covariance of what they show.

Plain networks are chains of per-layer constants (theory (24)-(27)); where layers share a site the channel is that of a
stream (theory (35)-(37)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.estimate import FAINT, Estimate, closed, faint_information, mean_of, together
from mfmi.bounds.frequencies import at_frequencies, surrogates
from mfmi.bounds.offsets import most_offsets
from mfmi.bounds.stacks import Readable, doubted, ensemble_of_kind, stacked
from mfmi.chain.compiled import compiled_sites
from mfmi.chain.links import Links, OneMatrixLinks, TwoMatrixLinks
from mfmi.chain.stream import TOLERANCE, ResidualStream, StreamChannel, StreamPotential
from mfmi.channels.protocols import LayerChannel
from mfmi.channels.stream.one_matrix import OneMatrix
from mfmi.channels.stream.sites import sites
from mfmi.channels.stream.two_matrices import TwoMatrices
from mfmi.meanfield import Architecture, Stream, block_sigma_w2, propagate
from mfmi.networks.convolution import Modes
from mfmi.networks.structure import SITES

RowNumbers = NDArray[np.intp]
_Method = Callable[[Architecture, str, Stream, int, Modes | None], Readable]

# Sites at which its search begins, and the mismatch at which it ends: the value is off by about its square, far less
# than by the sites.
_COARSE, _SITE_TOLERANCE = 8, 3e-5
# What a mismatch may be multiplied by on its way into the integrand of a faint signal.
_FAINT_SHARE = 100.0
# Numbers in the sites of the points that are solved together.
_ELEMENTS = 1 << 21
# Groups into which the sites are parted to see what their number changes, and by how much that may be too little.
_GROUPS, _CAUTION = 4, 1.5


def readable(
    network: Architecture,
    weights: str,
    stream: Stream | None = None,
    *,
    count: int = SITES,
    modes: Modes | None = None,
) -> Readable:
    """Linearly readable information at the last layer, in nats per input dimension.

    Parameters
    ----------
    network : n square networks.
    weights : "gaussian" or "orthogonal".
    stream : their mean field, if it is known already; of convolutions with the pairs of `modes`.
    modes : frequencies of convolutions of correlated inputs; None of others.
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
    if stream is None:
        stream = propagate(network, pairs=() if modes is None else modes.correlation)
    depth = network.depth
    found = Readable(*(_nothing(network.size) for _ in range(2)))
    alive = np.isfinite(stream.path.q).all(axis=1) & np.isfinite(stream.path.offset_gap).all(axis=1)
    alive &= (stream.output_noise[:, -1] > 0.0) & np.isfinite(stream.seen[:, : depth - 1]).all(axis=1)
    plain = alive & (network.skip[:, : depth - 1] == 0.0).all(axis=1) & (network.matrices == 1 or depth == 1)
    groups: list[tuple[NDArray[np.bool_], _Method, int]] = [(plain, stacked, 1)]
    if network.matrices == 2:
        groups.append((alive & ~plain, _of_stream, 1))
    else:
        groups.append((alive & ~plain & network.without_offset, _of_stream, 1))
        groups.append((alive & ~plain & ~network.without_offset, _of_stream, count))
    for members, method, number in groups:
        size = number * depth * (max(depth, 2 * most_offsets(network.phi, depth)) if method is stacked else depth)
        parts = [None] if modes is None else [*modes.parts(max(1, _ELEMENTS // size))]
        for rows in _batches(np.flatnonzero(members), size * (1 if parts[0] is None else len(parts[0].share))):
            some = network.take(rows), weights, stream.take(rows), number
            means = [_of_part(method(*some, part), part) for part in parts]
            for place, whole in enumerate(found):
                for array, values in zip(whole, together([mean[place] for mean in means]), strict=True):
                    array[rows] = values
    return found


def _of_part(found: Readable, part: Modes | None) -> Readable:
    """Contribution of some of the frequencies to a mean."""
    return found if part is None else Readable(*(mean_of(one, part.share) for one in found))


def _nothing(n: int) -> Estimate:
    found = closed(np.full(n, np.nan))
    return found._replace(converged=np.zeros(n, dtype=bool), error=np.full(n, np.nan))


def _batches(rows: RowNumbers, elements: int) -> Iterator[RowNumbers]:
    step = max(1, _ELEMENTS // elements)
    return (rows[start : start + step] for start in range(0, len(rows), step))


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def _of_stream(network: Architecture, weights: str, stream: Stream, count: int, modes: Modes | None) -> Readable:
    """Networks with skips, of which the layers share their sites."""
    many, streams, silent = at_frequencies(network, stream, modes)
    begin = _prior(many, streams)
    if network.matrices == 2:
        channel = TwoMatrices.of(streams, network.noise_in)
        sharp, blunt = surrogates(network, stream, modes)
        best = _streamed(many, weights, channel, _two_links(many, weights, sharp), begin, silent)
        if blunt is None:
            return best
        return doubted(best, _streamed(many, weights, channel, _two_links(many, weights, blunt), begin, silent))
    code = compiled_sites()
    found = sites(network.phi, stream, network.noise_in, network.is_centred, count, code, modes)
    site = OneMatrix(found, streams.output_noise[:, -1], code)
    links = OneMatrixLinks(ensemble_of_kind(weights, many.sigma_w2[:, :-1]))
    if count > _COARSE:
        first = ensemble_of_kind(weights, many.input_sigma_w2[:, None])
        coarse = OneMatrix(found.take(slice(None), _COARSE), site.noise, code)
        few = ResidualStream(many.input_variance, first, coarse, links)
        begin = _begin(few.full(*begin, _SITE_TOLERANCE), begin)
    if count == 1:
        return _streamed(many, weights, site, links, begin, silent)
    best = _streamed(many, weights, site, links, begin, silent, _SITE_TOLERANCE)
    # Of stronger signals the parts of the sites differ by more than that.
    missed = np.where(best.linear.value < FAINT, _missed(many, streams, found.gain) * best.linear.value, 0.0)
    return best._replace(linear=best.linear._replace(error=best.linear.error + missed))


def _missed(network: Architecture, stream: Stream, gain: FloatArray) -> FloatArray:
    """Share of the signal that the sites miss, or have too much, shape (n,); `gain` is theirs, shape (n, S, L).

    Where a neuron's offset varies much more than what is around it, the turn at a kink lies between the sites, whose
    parts then agree with each other and not with the mean over all offsets, which is known.
    """
    before = slice(0, network.depth - 1)
    if not network.phi.differentiable:
        return np.zeros(network.size)
    seen, inner = stream.seen[:, before], stream.seen_inner[:, before]
    finite = np.isfinite(seen) & np.isfinite(inner)
    seen, inner = (np.where(finite, part, 1.0) for part in (seen, inner))
    scale = stream.gain2[:, before] / stream.scale2[:, before]
    mean = scale * np.asarray(network.phi.slope_correlation_gap(seen, inner))
    variance = block_sigma_w2(network, stream, before)
    kept = np.square(network.skip[:, before]) + variance * mean
    apart = variance * np.abs(np.square(gain[:, :, :-1]).mean(axis=1) - mean)
    return np.asarray(np.where(kept > 0.0, apart / kept, 0.0).sum(axis=1))


def _streamed(
    network: Architecture,
    weights: str,
    channel: OneMatrix | TwoMatrices,
    links: Links,
    begin: tuple[FloatArray, FloatArray],
    silent: NDArray[np.bool_],
    tolerance: float = TOLERANCE,
) -> Readable:
    """The difference of the potentials with and without the input, from a start."""
    variance = network.input_variance
    residual = ResidualStream(variance, ensemble_of_kind(weights, network.input_sigma_w2[:, None]), channel, links)
    full = residual.full(*begin, tolerance)
    quiet = _is_quiet(channel, links)
    known = residual.known(*_begin(full, begin), tolerance, ~quiet)
    full.value[silent] = np.where(quiet[:, None], 0.0, known.value)[silent]
    value = np.where(quiet[:, None], full.value, full.value - known.value)
    linear = _of_potential(full, value)
    linear = linear._replace(
        value=np.maximum(linear.value, 0.0),
        converged=full.converged & (known.converged | quiet),
        residual=np.where(quiet, full.residual, np.maximum(full.residual, known.residual)),
        error=_spread(value) + np.where(quiet, full.error, full.error + known.error + np.abs(full.tail - known.tail)),
    )
    linear = _checked(linear)
    faint = np.flatnonzero(linear.converged & (linear.value < FAINT) & ~silent)
    if len(faint):

        def known_of(share: float) -> FloatArray:
            some = residual.full(full.log_v, full.log_r, tolerance, share * variance)
            return np.asarray(np.exp(some.log_r[:, 0]) * some.mmse)

        short = faint_information(known_of)
        # Of the integrand the mismatch is a share.
        share = np.minimum(1.0, short / FAINT) * _spread(value) + _FAINT_SHARE * full.residual * short
        linear.error[faint] = share[faint]
        linear.value[faint] = short[faint]
    return Readable(linear, _checked(_of_potential(full, full.value)))


def stream_potential(
    network: Architecture,
    weights: str,
    stream: Stream,
    channel: StreamChannel | None = None,
    units: LayerChannel | None = None,
) -> tuple[ResidualStream, tuple[FloatArray, FloatArray]]:
    """The potential of streams with channels of one's own for their sites or hidden units, and a start of a search.

    Parameters
    ----------
    network, weights, stream : as in `readable`.
    channel : the sites; of two matrices per branch they are what they are.
    units : hidden units between the two matrices; by default linear ones of the same second moments.
    """
    first = ensemble_of_kind(weights, network.input_sigma_w2[:, None])
    sites_of = TwoMatrices.of(stream, network.noise_in) if channel is None else channel
    potential = ResidualStream(network.input_variance, first, sites_of, _links(network, weights, stream, units))
    return potential, _prior(network, stream)


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


def _links(network: Architecture, weights: str, stream: Stream, units: LayerChannel | None = None) -> Links:
    if network.matrices == 1:
        return OneMatrixLinks(ensemble_of_kind(weights, network.sigma_w2[:, :-1]))
    return _two_links(network, weights, surrogates(network, stream, None)[0] if units is None else units)


def _two_links(network: Architecture, weights: str, units: LayerChannel) -> TwoMatrixLinks:
    inner, outer, alpha = network.sigma_w2[:, :-1], network.outer[0][:, :-1], network.hidden_ratio
    return TwoMatrixLinks(ensemble_of_kind(weights, inner, alpha), ensemble_of_kind(weights, outer, 1.0 / alpha), units)


def _is_quiet(channel: OneMatrix | TwoMatrices, links: Links) -> NDArray[np.bool_]:
    """Points at which nothing varies once the input is given."""
    if isinstance(channel, OneMatrix):
        return np.asarray(~(channel.sites.residual > 0.0).any(axis=(1, 2, 3)))
    assert isinstance(links, TwoMatrixLinks)
    return np.asarray(~((channel.hidden_noise[:, :-1] > 0.0).any(axis=1) | links.units.has_noise))
