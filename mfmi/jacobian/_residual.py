"""Mean and variance of the Jacobian of networks with normalisation and skips (theory (34))."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mfmi.activations import Activation
from mfmi.activations._hermite import coefficients
from mfmi.arguments.arrays import FloatArray
from mfmi.meanfield import Architecture, Stream, block_sigma_w2, units
from mfmi.quadrature import gaussian

# Orders of the Hermite series of phi'^2 that are followed.
_ORDERS = 64
# A pair of layers of which the series may miss a larger share is integrated instead, and to which accuracy.
_MISSED, _PAIR_TOLERANCE = 1e-7, 1e-9


class ResidualMoments(NamedTuple):
    """Moments of the squared singular values of the Jacobian at every layer, each of shape (n, L).

    Attributes
    ----------
    mean, variance : NaN for an activation without derivative and where a variance is not finite.
    error : of the variance, from series that are cut; 0 where they are not.
    """

    mean: FloatArray
    variance: FloatArray
    error: FloatArray


def residual_moments(network: Architecture, weights: str, stream: Stream) -> ResidualMoments:
    """Mean and variance of the squared singular values of `d h^l / d x` at every layer (theory (34)).

    Slopes of one neuron at different depths are correlated, so that the variance is no sum over layers; with two
    matrices in the branch the hidden units of different blocks are different neurons, and it is.

    Parameters
    ----------
    network : n square networks.
    weights : "gaussian" or "orthogonal".
    stream : their mean field.

    Raises
    ------
    ValueError
        If `weights` is neither word.
    """
    if weights not in ("gaussian", "orthogonal"):
        raise ValueError(f"weights must be gaussian or orthogonal, not {weights!r}")
    n, depth = stream.seen.shape
    rotates = weights == "orthogonal"
    with np.errstate(all="ignore"):
        chi = stream.path.chi
        steps = np.concatenate((np.ones((n, 1)), chi[:, : depth - 1]), axis=1)
        mean = network.input_sigma_w2[:, None] * np.cumprod(steps, axis=1) / units(network, stream)
        relative, error = np.empty((2, n, depth))
        relative[:, 0], error[:, 0] = 0.0 if rotates else 1.0, 0.0
        walk = _two_matrices if network.matrices == 2 else _one_matrix
        if depth > 1:
            walk(network, rotates, stream, relative, error)
        scale = mean**2
        variance = np.where(mean == 0.0, 0.0, relative * scale)
        return ResidualMoments(mean, variance, np.where(mean == 0.0, 0.0, error * scale))


def _one_matrix(network: Architecture, rotates: bool, stream: Stream, relative: FloatArray, error: FloatArray) -> None:
    """The recursion of (34): `c` and, per layer, the weight `e_j` of the slopes of that layer's neurons."""
    n, depth = stream.seen.shape
    first, second = _slope_moments(network.phi, stream)
    nu, missed = _slope_pairs(network, stream, second)
    power = block_sigma_w2(network, stream, slice(None))
    c, wrong = relative[:, 0].copy(), np.zeros(n)
    e = np.zeros((n, depth - 1))
    for layer in range(depth - 1):
        chi, a2 = stream.path.chi[:, layer], network.skip[:, layer] ** 2
        share = power[:, layer] / chi
        c = c + 2.0 * share * (e[:, :layer] * nu[:, layer, :layer]).sum(axis=1)
        c = c + share**2 * (second[:, layer] - (first[:, layer] ** 2 if rotates else 0.0))
        wrong = wrong + 2.0 * share * (e[:, :layer] * missed[:, layer, :layer]).sum(axis=1)
        e[:, :layer] *= (a2 / chi)[:, None]
        e[:, layer] = a2 * power[:, layer] / chi**2
        relative[:, layer + 1] = c + 2.0 * (e * first).sum(axis=1)
        error[:, layer + 1] = wrong


def _two_matrices(
    network: Architecture, rotates: bool, stream: Stream, relative: FloatArray, error: FloatArray
) -> None:
    """Branches that are free of all that comes before: their spread adds up."""
    first, second = _slope_moments(network.phi, stream)
    alpha = network.hidden_ratio
    add = 0.0 if rotates else 1.0
    # Relative second moments over the rows after every factor, as `jacobian_moments` has them.
    hidden = alpha + (add if not rotates else max(0.0, 1.0 - alpha)) + second / first**2 - 1.0
    spread = hidden / alpha + (add if not rotates else max(0.0, 1.0 - 1.0 / alpha)) - 1.0
    before = slice(0, -1)
    power = block_sigma_w2(network, stream, before) * network.sigma_w2[:, before] * first
    a2, chi = network.skip[:, :-1] ** 2, stream.path.chi[:, :-1]
    added = (2.0 * a2 * power + power**2 * spread) / chi**2
    relative[:, 1:] = relative[:, :1] + np.cumsum(added, axis=1)
    error[:, 1:] = 0.0


def _slope_moments(phi: Activation, stream: Stream) -> tuple[FloatArray, FloatArray]:
    """`E phi_l'^2` and `E phi_l'^4` of the layers in front of the last, with the scales of their norms."""
    seen = stream.seen[:, :-1]
    first, second = np.full((2, *seen.shape), np.nan)
    known = np.isfinite(seen)
    if phi.differentiable and known.any():
        first[known], second[known] = phi.slope_moment(seen[known], 1), phi.slope_moment(seen[known], 2)
    scale = (stream.gain2 / stream.scale2)[:, :-1]
    return first * scale, second * scale**2


def _slope_pairs(network: Architecture, stream: Stream, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """`E phi_j'^2 phi_l'^2` of one neuron at layers j < l, and how far off it may be, shape (n, L - 1, L - 1)."""
    phi, n, count = network.phi, *second.shape
    rho = _correlations(network, stream)
    scale = (stream.gain2 / stream.scale2)[:, :-1]
    outer = scale[:, :, None] * scale[:, None, :]
    if phi.homogeneous:
        right, left = float(phi.derivative(1.0)) ** 2, float(phi.derivative(-1.0)) ** 2
        mean, half = 0.5 * (right + left), 0.5 * (right - left)
        return outer * (mean**2 + half**2 * (2.0 / np.pi) * np.arcsin(rho)), np.zeros_like(rho)
    if not phi.differentiable:
        return np.full_like(rho, np.nan), np.zeros_like(rho)
    seen = np.where(np.isfinite(stream.seen[:, :-1]), stream.seen[:, :-1], 1.0).ravel()
    b = coefficients(phi, np.zeros_like(seen), seen, _ORDERS, squared_slope=True).reshape(n, count, _ORDERS)
    nu = np.zeros_like(rho)
    for order in range(_ORDERS - 1, -1, -1):
        nu = rho * nu + b[:, :, None, order] * b[:, None, :, order]
    rest = np.maximum(second / scale**2 - np.square(b).sum(axis=2), 0.0)
    rest[rest < 1e-12 * np.square(b).sum(axis=2)] = 0.0
    tail = np.sqrt(rest[:, :, None] * rest[:, None, :]) * np.abs(rho) ** _ORDERS
    missed = tail * (1.0 - np.abs(rho) ** (3 * _ORDERS))
    nu += tail
    slow = np.nonzero(np.tril(missed > _MISSED * nu, -1))
    if len(slow[0]):
        point, later, earlier = slow
        first, other = (seen[point * count + layer] for layer in (earlier, later))
        nu[slow] = _by_quadrature(phi, first, other, rho[slow])
        missed[slow] = _MISSED * nu[slow]
    return outer * nu, outer * missed


def _by_quadrature(phi: Activation, first: FloatArray, second: FloatArray, rho: FloatArray) -> FloatArray:
    """`E phi'(u)^2 phi'(v)^2` of pairs of variances `first`, `second`, where the series converges slowly."""
    found = np.empty(len(rho))
    inner = second * np.maximum(1.0 - rho**2, 0.0)
    slope = rho * np.sqrt(second / first)
    for rows, x, w in gaussian.blocked_rules(np.sqrt(first), 0.0, phi.kinks, phi.pole, tolerance=_PAIR_TOLERANCE):
        m = (slope[rows, None] * x).ravel()
        v = np.repeat(inner[rows], x.shape[1])
        later = coefficients(phi, m, v, 1, squared_slope=True).reshape(x.shape)
        found[rows] = (np.square(phi.derivative(x)) * later * w).sum(axis=1)
    return found


def _correlations(network: Architecture, stream: Stream) -> FloatArray:
    """Correlation of what one neuron's phi sees at two layers, lower triangle, shape (n, L - 1, L - 1)."""
    path = stream.path
    level = path.offset_gap if network.is_centred else path.q
    total = (level + stream.hidden_noise)[:, :-1]
    passed = (total if network.noise_in == "stream" else level[:, :-1]).copy()
    n, count = total.shape
    rho = np.zeros((n, count, count))
    for layer in range(1, count):
        passed[:, :layer] *= network.skip[:, layer - 1, None]
        rho[:, layer, :layer] = passed[:, :layer] / np.sqrt(total[:, :layer] * total[:, layer, None])
    return np.clip(np.nan_to_num(rho), -1.0, 1.0)
