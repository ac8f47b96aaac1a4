"""Sites of a residual stream with one matrix per branch: offsets, gains and residual covariances (theory (35)).

A site is a neuron with its copies `h^1..h^L` in all layers; given its offsets it is linear with gains `kappa_l(m^l)`
and residuals that are correlated over the layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.channels.stream.site_code import SiteCode
from mfmi.meanfield import Stream
from mfmi.networks.convolution import ROUNDING, Modes

# Orders of the Hermite series that are followed one by one; what is left decays like the second order after them.
ORDERS = 24
_BITS = 30
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Sites:
    """S sites of each of n streams of L layers.

    Attributes
    ----------
    gain : `kappa_l(m)`, and 1 at the observed layer, shape (n, S, L).
    skip, branch2 : `a_l`, and `g^2` of the matrix in front of the layer, shape (n, L).
    carried : what of `h^l` is in `h^k`, `a_l..a_{k-1}`, shape (n, L, L); column l belongs to `h^l`.
    residual : `C_0`, residual covariances with the hidden noise, shape (n, S, L, L).
    tail : variance of the Hermite orders that are not followed, shape (n, S, L - 1).
    decay, limit : how the tail is taken to be correlated over the layers, and how little it may be, shape
        (n, L - 1, L - 1).
    """

    gain: FloatArray
    skip: FloatArray
    branch2: FloatArray
    carried: FloatArray
    residual: FloatArray
    tail: FloatArray
    decay: FloatArray
    limit: FloatArray

    def take(self, rows: NDArray[np.intp] | slice, count: int) -> Sites:
        """The first sites of some of the points."""
        each = (np.ascontiguousarray(a[rows, :count]) for a in (self.gain, self.residual, self.tail))
        gain, residual, tail = each
        shared = (a[rows] for a in (self.skip, self.branch2, self.carried, self.decay, self.limit))
        skip, branch2, carried, decay, limit = shared
        return Sites(gain, skip, branch2, carried, residual, tail, decay, limit)


def sites(
    phi: Activation,
    stream: Stream,
    noise_in: str,
    centred: bool,
    count: int,
    code: SiteCode | None,
    modes: Modes | None = None,
) -> Sites:
    """Sites at Sobol points of the offset's law; one site suffices where there is no offset.

    Parameters
    ----------
    phi : the activation.
    stream : n streams of at least two layers.
    noise_in : "branch" or "stream".
    centred : whether the norm takes the offsets away.
    count : number of sites, a power of 2, or 1 for no offset.
    code : the sums over sites as machine code; without it numpy does them.
    modes : frequencies of convolutions, with whose pairs the streams were worked out; None of others.

    Returns
    -------
    Sites
        Of every frequency of a convolution, a stream's one after the other.
    """
    path = stream.path
    n, depth = path.q.shape
    noise = stream.hidden_noise[:, :-1]
    inner = path.offset_gap[:, :-1]
    products = skip_products(stream.skip)
    carried = inner + noise if noise_in == "stream" else inner
    total = inner + noise
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = products[:, :-1, :-1] * (carried[:, None, :] / np.sqrt(total[:, None, :] * total[:, :, None]))
    rho = np.tril(np.nan_to_num(rho), -1)
    rho += np.swapaxes(rho, 1, 2)
    offset = _paths(products, path.q - path.offset_gap, count) if count > 1 else np.zeros((n, 1, depth - 1))
    scale = np.sqrt(stream.scale2[:, None, :-1])
    seen = np.broadcast_to(stream.seen_inner[:, None, :-1], offset.shape)
    m, v = (offset / scale).ravel(), seen.ravel()
    moments = phi.conditional(m, v)
    out = np.sqrt(stream.gain2[:, None, :-1])
    gain = np.ones((n, offset.shape[1], depth))
    gain[:, :, :-1] = out * moments.kappa.reshape(offset.shape) / scale
    own = out**2 * moments.residual.reshape(offset.shape)
    series = out[..., None] * phi.hermite(m, v, ORDERS + 1).reshape(*offset.shape, -1)
    residual = np.zeros((*gain.shape, depth))
    noise = gain[:, :, :-1] ** 2 * noise[:, None] if noise_in == "branch" else np.zeros_like(own)
    orders = _bounded(series, own)
    tail = _correlated(orders, own, rho, noise, residual, code)
    if noise_in == "stream":
        _spread_noise(residual, gain, products, stream.hidden_noise)
    decay, limit = np.abs(rho) ** (ORDERS + 2), np.abs(rho) ** (3 * ORDERS)
    branch = np.concatenate((np.ones((n, 1)), stream.branch[:, :-1]), axis=1)
    skip = np.ascontiguousarray(stream.skip)
    found = Sites(gain, skip, branch**2, products, residual, tail, decay, limit)
    if modes is None:
        return found
    lags = inner[:, :, None] - stream.pair_gaps[:, :-1]
    return _at_frequencies(found, modes, orders, own, [_between(products, lags[..., u], total) for u in _each(modes)])


def _each(modes: Modes) -> range:
    return range(len(modes.correlation))


def _between(products: FloatArray, shared: FloatArray, total: FloatArray) -> FloatArray:
    """Correlations of layers at two positions whose streams share a variance around the offset, shape (n, K, K)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = products[:, :-1, :-1] * (shared[:, None, :] / np.sqrt(total[:, None, :] * total[:, :, None]))
    rho = np.clip(np.tril(np.nan_to_num(rho)), -1.0, 1.0)
    return np.asarray(rho + np.swapaxes(np.tril(rho, -1), 1, 2))


def _at_frequencies(
    found: Sites, modes: Modes, orders: FloatArray, own: FloatArray, between: list[FloatArray]
) -> Sites:
    """The sites of every frequency, from those of one position and the correlations between positions (theory (41))."""
    n, _, depth = found.gain.shape
    size = len(modes.share)

    def spread(values: FloatArray) -> FloatArray:
        return np.repeat(values, size, axis=0)

    residual, decay, limit = (spread(values) for values in (found.residual, found.decay, found.limit))
    by_mode, decay_of, limit_of = (a.reshape(n, size, *a.shape[1:]) for a in (residual, decay, limit))
    root = np.sqrt(found.tail)
    for u, rho in enumerate(between):
        wave = modes.wave[:, u]
        by_mode[..., :-1, :-1] += wave[:, None, None, None] * _covariances(orders, root, rho)[:, None]
        decay_of += wave[:, None, None] * (np.abs(rho) ** (ORDERS + 2))[:, None]
        limit_of += wave[:, None, None] * (np.abs(rho) ** (3 * ORDERS))[:, None]
    # Positions that are as good as equal leave some frequencies nothing but rounding.
    index = np.arange(depth - 1)
    least = ROUNDING * (1.0 + np.abs(modes.wave).sum(axis=1).max(initial=0.0)) * own
    by_mode[..., index, index] = np.maximum(by_mode[..., index, index], least[:, None])
    gain, skip, branch2, carried, tail = (
        spread(values) for values in (found.gain, found.skip, found.branch2, found.carried, found.tail)
    )
    return Sites(gain, skip, branch2, carried, residual, tail, decay, limit)


def _covariances(orders: FloatArray, root: FloatArray, rho: FloatArray) -> FloatArray:
    """Covariances beyond linear functions, at correlations of the layers; the roots are of the tail's variance."""
    found = root[..., :, None] * root[..., None, :] * rho[:, None]
    for order in range(orders.shape[2] - 1, -1, -1):
        c = orders[:, :, order]
        found = rho[:, None] * found + c[..., :, None] * c[..., None, :]
    found *= np.square(rho)[:, None]
    return np.asarray(found)


def skip_products(skip: FloatArray) -> FloatArray:
    """Products `a_l..a_{k-1}` of the skips between layers, shape (n, L, L): 1 on the diagonal, 0 above."""
    n, depth = skip.shape
    found = np.zeros((n, depth, depth))
    for layer in range(depth):
        if layer:
            found[:, layer, :layer] = skip[:, layer - 1, None] * found[:, layer - 1, :layer]
        found[:, layer, layer] = 1.0
    return found


def _bounded(series: FloatArray, own: FloatArray) -> FloatArray:
    """Coefficients of orders 2, 3, ..., never more than the residual together, shape (n, S, N, L - 1)."""
    orders = np.ascontiguousarray(np.moveaxis(series[..., 2:], -1, 2))
    # Rounding in the coefficients of next to nothing must not outgrow what there is.
    power = np.square(orders).sum(axis=2)
    orders *= np.sqrt(np.divide(own, power, out=np.ones_like(own), where=power > own))[:, :, None]
    return orders


def _correlated(
    orders: FloatArray,
    own: FloatArray,
    rho: FloatArray,
    noise: FloatArray,
    residual: FloatArray,
    code: SiteCode | None,
) -> FloatArray:
    """Fill in the covariances of what no linear function explains, of which the tail's variance is returned."""
    tail = np.empty_like(own)
    if code is not None:
        code.covariances(orders, own, rho, noise, tail, residual)
        return tail
    tail = np.maximum(own - np.square(orders).sum(axis=2), 0.0)
    found = _covariances(orders, np.sqrt(tail), rho)
    index = np.arange(own.shape[-1])
    found[..., index, index] = own + noise
    residual[..., :-1, :-1] = found
    return np.asarray(tail)


def _spread_noise(residual: FloatArray, gain: FloatArray, products: FloatArray, noise: FloatArray) -> None:
    """Add the hidden noise of a stream, which the skips carry on to all later layers."""
    hidden = noise.copy()
    hidden[:, -1] = 0.0
    spread = np.einsum("nkl,nl,njl->nkj", products, hidden, products)
    residual += gain[..., :, None] * gain[..., None, :] * spread[:, None]


def _paths(products: FloatArray, offset: FloatArray, count: int) -> FloatArray:
    """Offsets of a neuron through the layers 1 to L - 1, at Sobol points of their principal components."""
    variance = np.maximum(offset[:, :-1], 0.0)
    lower = products[:, :-1, :-1] * variance[:, None, :]
    covariance = np.tril(lower) + np.swapaxes(np.tril(lower, -1), 1, 2)
    value, vector = np.linalg.eigh(covariance)
    root = np.sqrt(np.maximum(value, 0.0))[:, ::-1]
    normal = normal_points(count, variance.shape[1])
    return np.asarray(np.einsum("nlc,nc,sc->nsl", vector[:, :, ::-1], root, normal))


@lru_cache(maxsize=16)
def normal_points(count: int, dimensions: int) -> FloatArray:
    """Sobol points with a fixed digital shift, as standard normal variables, shape (count, dimensions)."""
    points = qmc.Sobol(dimensions, scramble=False, bits=_BITS).random(count)
    shift = np.floor((np.arange(1, dimensions + 1) * _GOLDEN % 1.0) * 2.0**_BITS).astype(np.int64)
    digits = (points * 2.0**_BITS).astype(np.int64) ^ shift
    found = ndtri((digits + 0.5) / 2.0**_BITS)
    found.flags.writeable = False
    return np.asarray(found)
