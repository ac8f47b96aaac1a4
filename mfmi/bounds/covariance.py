"""Bounds on the total information of networks with normalisation and skips, without replicas (theory (38)-(39))."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.estimate import Estimate, closed
from mfmi.chain.ensembles import ensemble_of
from mfmi.chain.potential import Chain
from mfmi.chain.search import solve
from mfmi.channels.layers import Surrogate
from mfmi.channels.observed.outputs import GaussianOutput
from mfmi.channels.sources import FirstLayer
from mfmi.meanfield import Architecture, Stream, block_sigma_w2
from mfmi.quadrature import gaussian
from mfmi.quadrature.normal import interval_probability

Reasons = NDArray[np.str_]

# Pieces within reach of the noise from which on their entropy is bounded instead of summed up.
_MOST_PIECES = 400
_REACH = 9.0
# Relative accuracy of the average over what is known of a unit.
_OFFSETS = 1e-9

APPLIES = ""
NOT_MONOTONE = "the activation is not strictly monotone"
NOISY = "there is noise in hidden layers"
NO_SKIP = "a skip of 0 among others"
FOLDS = "a branch is no contraction relative to its skip: the stream may fold"
OVERFLOWS = "a variance overflows"
DEGENERATE = "an eigenvalue of the input's covariance is 0"


def covariance_upper(network: Architecture, weights: str, stream: Stream, full: Estimate) -> Estimate:
    """Upper bound by the entropy of a gaussian of the observed covariance (theory (38)).

    A theorem given that the network's second moments are those of its linear surrogate; no replica formula. Of hidden
    noise, the part that surely reaches the observed layer is taken off: that of the last layer or, in plain networks of
    a strictly monotone activation, of all.

    Parameters
    ----------
    network : n networks.
    weights : "gaussian" or "orthogonal".
    stream : their mean field.
    full : `Phi_full`, see `readable`.

    Returns
    -------
    Estimate
        In nats per input dimension. To the safe side by the error of `full`; where that is not known, maximum entropy
        alone. With noise in the branch alone the bound may grow with depth, and so may the information.

    Notes
    -----
    Noise in front of a layer's norm moves the norm too; the bound holds in the limit of wide layers only.
    """
    observed = stream.output_noise[:, -1]
    crude = 0.5 * np.log1p(stream.path.offset_gap[:, -1] / observed)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        surely = 0.5 * np.log1p(_noise_power(network, weights, stream) / observed)
    surely = np.fmax(np.where(np.isfinite(surely), surely, 0.0), _last_noise(network, weights, stream))
    raised = np.where(full.converged, full.value + full.error, np.inf)
    value = np.maximum(np.fmin(raised, crude) - surely, 0.0)
    found = closed(value)
    sharp = full.converged & (raised < crude)
    return found._replace(error=np.where(sharp, full.error, 0.0), converged=np.isfinite(value))


def _last_noise(network: Architecture, weights: str, stream: Stream) -> FloatArray:
    """Lower bound on the information about the last hidden noise, all else being known, in nats, shape (n,).

    The generalised entropy power inequality: given `h` and the piece that every unit falls on, the outputs of phi have
    the entropy powers N of (17) and are independent, and the observed layer knows no less than of gaussian ones,
    `E ln det(1 + g^2 W diag(N) W^T / sigma_o^2) / 2`: the potential of one layer.
    """
    n, layer = network.size, network.depth - 2
    nothing = np.zeros(n)
    if layer < 0 or network.matrices == 2 or network.noise_in == "stream" or not network.phi.images_disjoint:
        return nothing
    noise = stream.hidden_noise[:, layer] / stream.scale2[:, layer]
    total = stream.seen[:, layer]
    scale = block_sigma_w2(network, stream, layer) * stream.gain2[:, layer]
    rows = np.flatnonzero((noise > 0.0) & np.isfinite(total) & (total < np.inf) & (scale > 0.0) & np.isfinite(scale))
    if not len(rows) or not network.phi.differentiable:
        return nothing
    noise, known = noise[rows], np.maximum(total[rows] - noise[rows], 0.0)
    units = _pieces(network.phi, known, noise)
    if units is None:
        return nothing
    matrices = ensemble_of(scale[rows, None], np.ones(1), np.full(1, weights == "orthogonal"))
    source, output = FirstLayer(units, np.zeros(len(rows))), GaussianOutput(stream.output_noise[rows, -1])
    found = solve(Chain(source, matrices, None, output, np.ones(len(rows), dtype=np.intp)), unique=True)
    value = nothing.copy()
    value[rows] = np.where(found.converged, np.maximum(found.value - found.error, 0.0), 0.0)
    return value


def _pieces(phi: Activation, known: FloatArray, noise: FloatArray) -> Surrogate | None:
    """Units that are gaussian of the entropy powers (17), as a channel; None where (17) does not apply."""
    parts = []
    for rows, m, weight in phi.offset_rules(known, np.sqrt(noise), tolerance=_OFFSETS):
        share, power = phi.entropy_powers(m, np.broadcast_to(noise[rows, None], m.shape))
        if not share.shape[-1]:
            return None
        parts.append((rows, (weight[..., None] * share).reshape(len(rows), -1), power.reshape(len(rows), -1)))
    most = max(weight.shape[1] for _, weight, _ in parts)
    weights, powers = np.zeros((2, len(noise), 1, most))
    for rows, weight, power in parts:
        weights[rows, 0, : weight.shape[1]], powers[rows, 0, : weight.shape[1]] = weight, power
    return Surrogate(np.zeros_like(powers), powers, weights, np.zeros((len(noise), 1)))


def _noise_power(network: Architecture, weights: str, stream: Stream) -> FloatArray:
    """Entropy power of what hidden noise does to the observed layer at least, shape (n,)."""
    n, depth = stream.path.q.shape
    power = np.zeros(n)
    if depth == 1:
        return power
    plain = (network.skip[:, : depth - 1] == 0.0).all(axis=1)
    accumulates = plain & network.phi.strictly_monotone & (network.matrices == 1)
    for layer in range(depth - 1):
        before = np.where(accumulates, power, 0.0)
        passed = _passed_on(network, weights, stream, layer, before)
        power = np.where(accumulates | (layer == depth - 2), passed, 0.0)
    if network.noise_in == "stream":
        carried = network.skip[:, depth - 2] ** 2 * stream.hidden_noise[:, depth - 2]
        kept = np.where(contracts(network, weights, stream)[:, -1], carried, 0.0)
        power = np.where(plain, power, kept)
    return power


def _passed_on(network: Architecture, weights: str, stream: Stream, layer: int, before: FloatArray) -> FloatArray:
    """Entropy power after a branch of noise in front of it, by the entropy power inequality."""
    if network.matrices == 2 and network.hidden_ratio != 1.0:
        return np.zeros(len(before))
    loss = 1.0 if weights == "gaussian" else 0.0
    noise = (before + stream.hidden_noise[:, layer]) / stream.scale2[:, layer]
    spread = stream.hidden_noise[:, layer] / stream.scale2[:, layer]
    if network.matrices == 2:
        first = network.sigma_w2[:, layer]
        noise, spread = noise * first * math.exp(-loss), spread * first
    seen = stream.seen[:, layer]
    good = np.isfinite(seen) & (noise > 0.0)
    found = np.zeros(len(before))
    if not (network.phi.differentiable and good.any()):
        return found
    exponent = np.asarray(network.phi.log_slope(np.where(good, seen, 1.0)))
    if not network.phi.strictly_monotone:
        exponent = exponent - 2.0 * piece_entropy(network.phi, np.where(good, seen, 1.0), np.where(good, spread, 0.5))
    scale = block_sigma_w2(network, stream, layer) * stream.gain2[:, layer] * math.exp(-loss)
    found[good] = (scale * noise * np.exp(exponent))[good]
    return found


def piece_entropy(phi: Activation, total: FloatArray, noise: FloatArray) -> FloatArray:
    """Entropy of the monotone piece that `h + eps` falls on, h being known: an upper bound, in nats, shape (n,).

    Parameters
    ----------
    phi : the activation.
    total, noise : variances of `h + eps` and of eps, shape (n,).

    Returns
    -------
    ndarray
        inf where a piece is flat, or where the pieces are not known.
    """
    infinite = np.full(len(total), np.inf)
    if any(piece.kind == "flat" for piece in phi.pieces):
        return infinite
    if phi.pieces:
        ends = np.array([piece.lower for piece in phi.pieces[1:]])
        return _entropy_of(phi, total, noise, lambda x: ends)
    if phi.wave_turning is None:
        return infinite
    half, first = 0.5 * phi.period, phi.wave_turning
    reach = np.sqrt(noise) / half
    # A whole number of standard deviation d has at most the entropy of a gaussian of variance d^2 + 1/12 (Massey);
    # rounding adds at most a half to d.
    bound = 0.5 * np.log(2.0 * math.pi * math.e * ((reach + 0.5) ** 2 + 1.0 / 12.0))
    few = 2.0 * _REACH * reach + 2.0 < _MOST_PIECES
    found = bound.copy()
    if few.any():
        count = math.ceil(_REACH * float(reach[few].max())) + 2
        steps = half * np.arange(-count, count + 1)

        def ends_around(x: FloatArray) -> FloatArray:
            return first + half * np.round((x - first) / half)[..., None] + steps

        found[few] = np.minimum(bound[few], _entropy_of(phi, total[few], noise[few], ends_around))
    return found


def _entropy_of(
    phi: Activation, total: FloatArray, noise: FloatArray, ends: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Average over h of the entropy of the intervals between `ends(h)`."""
    sigma = np.sqrt(noise)

    def integrand(x: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
        scale = sigma[rows, None, None]
        places = (ends(x) - x[..., None]) / scale
        p = interval_probability(places)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(p > 0.0, -p * np.log(p), 0.0)
        return np.asarray(terms.sum(axis=-1)[None])

    kinks = phi.kinks if math.isinf(phi.period) else ()
    spread = np.sqrt(np.maximum(total - noise, 0.0))
    found = gaussian.expectation(integrand, spread, sigma, kinks, phi.pole, tolerance=1e-9, period=phi.period)
    return np.asarray(found[0])


def contracts(network: Architecture, weights: str, stream: Stream) -> NDArray[np.bool_]:
    """Condition of (39), `g ||W|| Lip(phi_l) < a`, for the branch after every layer but the last, shape (n, L - 1)."""
    before = slice(0, network.depth - 1)
    outer = np.sqrt(network.outer[0][:, before])
    # A stream that has died has no norm, and comes out as no contraction.
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = network.phi.lipschitz * np.sqrt(stream.gain2[:, before] / stream.scale2[:, before])
    alpha = network.hidden_ratio
    if network.matrices == 1:
        norm = outer * (2.0 if weights == "gaussian" else 1.0)
    else:
        norm = outer * np.sqrt(network.sigma_w2[:, before])
        norm = norm * (
            (1.0 + math.sqrt(alpha)) * (1.0 + math.sqrt(1.0 / alpha))
            if weights == "gaussian"
            else math.sqrt(max(1.0, alpha) * max(1.0, 1.0 / alpha))
        )
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.abs(stream.branch[:, before]) * norm * slope < network.skip[:, before])


def entropy_power(
    network: Architecture, weights: str, stream: Stream, log_volume: float = 0.0
) -> tuple[Estimate, Reasons]:
    """Lower bound by the entropy power of what the network makes of its input (theory (19), (39)).

    A theorem in the limit of wide layers: of a plain network with a strictly monotone activation, and of a residual one
    without hidden noise whose branches are contractions relative to their skips, so that the stream is a
    homeomorphism of the input. A finite network may tell less: it obeys the same line with its own determinant.

    Parameters
    ----------
    network : n networks.
    weights : "gaussian" or "orthogonal".
    stream : their mean field.
    log_volume : mean logarithm of the eigenvalues of the input's covariance, over its variance.

    Returns
    -------
    Estimate
        In nats per input dimension, closed form; NaN where it does not apply.
    reason : ndarray of str, shape (n,)
        Why it does not apply, or "".
    """
    depth = network.depth
    before = slice(0, depth - 1)
    loss = 1.0 if weights == "gaussian" else 0.0
    observed = np.log(stream.output_noise[:, -1])
    with np.errstate(divide="ignore", invalid="ignore"):
        log_power = np.log(network.input_variance * network.input_sigma_w2) + log_volume - loss
        plain = (network.skip[:, before] == 0.0).all(axis=1) & ((network.matrices == 1) | (depth == 1))
        carried = log_power + np.log(np.square(network.skip[:, before])).sum(axis=1)
        chained = _plain_log_power(network, loss, stream, log_power) if plain.any() else log_power
        value = 0.5 * (np.logaddexp(np.where(plain, chained, carried), observed) - observed)
        value -= np.where(plain, 0.5 * np.log1p(stream.path.noise_gap[:, -1] / stream.output_noise[:, -1]), 0.0)
    reason: Reasons = np.full(network.size, APPLIES, dtype="<U80")
    folds = ~contracts(network, weights, stream).all(axis=1)
    noisy = (network.hidden_noise[:, before] > 0.0).any(axis=1)
    skipless = (network.skip[:, before] == 0.0).any(axis=1)
    for wrong, why in (
        (~plain & folds, FOLDS),
        (~plain & noisy, NOISY),
        (~plain & skipless, NO_SKIP),
        (plain & (depth > 1) & (not network.phi.strictly_monotone), NOT_MONOTONE),
        (np.full(network.size, np.isneginf(log_volume)), DEGENERATE),
        (~np.isfinite(stream.path.q).all(axis=1), OVERFLOWS),
    ):
        reason[wrong] = why
    applies = reason == APPLIES
    found = closed(np.where(applies, np.maximum(value, 0.0), np.nan))
    return found._replace(converged=applies & np.isfinite(value)), reason


def _plain_log_power(network: Architecture, loss: float, stream: Stream, first: FloatArray) -> FloatArray:
    """Logarithm of theory (19) through the layers, which shares its steps with the noise of `covariance_upper`."""
    log_power = first
    for layer in range(network.depth - 1):
        seen = stream.seen[:, layer]
        slope = np.asarray(network.phi.log_slope(np.where(np.isfinite(seen), seen, 1.0)))
        scale = block_sigma_w2(network, stream, layer) * stream.gain2[:, layer]
        noisy = np.logaddexp(log_power, np.log(stream.hidden_noise[:, layer]))
        log_power = noisy + np.log(scale / stream.scale2[:, layer]) + slope - loss
    return log_power
