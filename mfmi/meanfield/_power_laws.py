"""Depth scales of residual streams of skip 1, whose exponentials become powers of the depth (theory (32)-(33))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.meanfield._architecture import Architecture
from mfmi.meanfield._correlation_map import correlation_fixed_point
from mfmi.quadrature.roots import solve

# Where an activation that saturates has done so, and the variance at which E phi'^2 is its limit over the deviation.
_FAR, _FARTHER, _WIDE = 1e6, 1e7, 1e8
_ALMOST_ONE = 1.0 - 1e-12


@dataclass(frozen=True)
class PowerLaws:
    """Asymptotic laws of streams of skip 1, l being the layer; each field of shape (n,).

    Attributes
    ----------
    law : "power", `prod chi ~ l^exponent_grad`; "stretched", `ln prod chi ~ rate sqrt(l)`; "exponential",
        `q ~ exp(rate l)` and `prod chi` likewise; "none" where the skip is not 1 or no law is known.
    growth : `q ~ l^growth`; inf for the exponential law.
    c_star : correlation two inputs end at.
    exponent_c : `|c - c*| ~ l^(-exponent_c)`; 0 on the edge of chaos, where it falls with powers of ln l.
    exponent_grad : see `law`; NaN for the other laws.
    rate : see `law`; NaN for power laws.
    """

    law: NDArray[np.str_]
    growth: FloatArray
    c_star: FloatArray
    exponent_c: FloatArray
    exponent_grad: FloatArray
    rate: FloatArray


def power_laws(network: Architecture) -> PowerLaws:
    """Exponents of streams of skip 1, from the constants of their first layer.

    Parameters
    ----------
    network : n networks with the same constants in all layers; with two matrices per branch, laws are known after a
        norm and of what grows exponentially.
    """
    n = network.size
    found = PowerLaws(np.full(n, "none", dtype="<U11"), *(np.full(n, np.nan) for _ in range(5)))
    rows = np.flatnonzero((network.skip[:, 0] == 1.0) & (network.branch[:, 0] != 0.0) & (network.sigma_w2[:, 0] > 0.0))
    known = network.noise_in == "branch" and network.phi.differentiable
    if not len(rows) or not known:
        return found
    some = network.take(rows)
    if network.is_normalised:
        if network.norm_at == "activation":
            _put(found, rows, "power", _normalised(some))
        return found
    end = network.phi if network.phi.homogeneous else network.phi.far
    if network.noise_scale == "relative" and (network.hidden_noise[:, 0] > 0.0).any():
        return found
    if isinstance(end, Activation):
        _put(found, rows, "exponential", _homogeneous(some, end))
    elif network.matrices == 1 and _saturates(network.phi):
        _put(found, rows, "stretched", _saturating(some))
    return found


def _put(found: PowerLaws, rows: NDArray[np.intp], law: str, values: tuple[FloatArray, ...]) -> None:
    found.law[rows] = law
    parts = (found.growth, found.c_star, found.exponent_c, found.exponent_grad, found.rate)
    for whole, part in zip(parts, values, strict=True):
        whole[rows] = part


def _normalised(network: Architecture) -> tuple[FloatArray, ...]:
    """Theory (32): the plain normalised network, of which the depth is the logarithm of the variance."""
    phi, n = network.phi, network.size
    # Beside a stream that grows, noise of a given size is none.
    h2 = network.hidden_noise[:, 0] if network.noise_scale == "relative" else np.zeros(n)
    weight, bias = (part[:, 0] for part in network.outer)
    two = network.matrices == 2
    inner = network.sigma_w2[:, 0] if two else np.ones(n)
    level = network.sigma_b2[:, 0] if two else np.zeros(n)
    t, nothing = inner * (1.0 + h2) + level, np.full(n, np.nan)
    slope = weight * inner * np.asarray(phi.slope_moment(t))
    if network.is_centred:
        # A pair of independent inputs shares the offsets between the two matrices alone.
        apart = inner * (1.0 + h2)
        variance = weight * np.asarray(phi.decorrelation(t, apart))
        shared = weight * inner * np.asarray(phi.slope_correlation_gap(t, apart))
        return np.ones(n), np.zeros(n), 1.0 - shared / variance, slope / variance, nothing
    beta = weight * np.asarray(phi.second_moment(t)) + bias
    found = correlation_fixed_point(phi, weight * inner / beta, level + bias, inner * h2, t, inner, slope / beta)
    return np.ones(n), found[0], 1.0 - found[1], slope / beta, nothing


def _homogeneous(network: Architecture, phi: Activation) -> tuple[FloatArray, ...]:
    """A stream that grows by a constant factor; all inputs align, as the square of the depth if phi has a kink."""
    n = network.size
    weight = network.outer[0][:, 0] * (network.sigma_w2[:, 0] if network.matrices == 2 else 1.0)
    gain = network.branch[:, 0] ** 2 * weight * float(phi.second_moment(1.0))
    exponent = np.full(n, 2.0 if phi.kinks else np.nan)
    return np.full(n, np.inf), np.full(n, 1.0 if phi.kinks else np.nan), exponent, np.full(n, np.nan), np.log1p(gain)


def _saturates(phi: Activation) -> bool:
    ends = np.asarray(phi(np.array([-_FARTHER, -_FAR, _FAR, _FARTHER])))
    return bool(np.isfinite(ends).all() and np.allclose(ends[[0, 2]], ends[[1, 3]]) and ends[0] != ends[3])


def _saturating(network: Architecture) -> tuple[FloatArray, ...]:
    """Theory (33): an activation that is a step to a stream of growing variance."""
    n, w2, b2 = network.size, network.sigma_w2[:, 0], network.sigma_b2[:, 0]
    low, high = np.asarray(network.phi(np.array([-_FARTHER, _FARTHER])))
    mean2, half2 = (0.5 * (high + low)) ** 2, (0.5 * (high - low)) ** 2
    beta = w2 * (mean2 + half2) + b2

    def excess(c: FloatArray, weight: FloatArray, bias: FloatArray, total: FloatArray) -> FloatArray:
        return np.asarray((weight * (mean2 + half2 * (2.0 / np.pi) * np.arcsin(c)) + bias) / total - c)

    c_star = np.zeros(n)
    moves = np.flatnonzero(excess(c_star, w2, b2, beta) > 0.0)
    if len(moves):
        ends = np.full(len(moves), np.finfo(np.float64).tiny), np.full(len(moves), _ALMOST_ONE)
        c_star[moves] = solve(excess, *ends, w2[moves], b2[moves], beta[moves])
    slope = w2 * half2 * (2.0 / np.pi) / np.sqrt(1.0 - c_star**2) / beta
    steep = np.sqrt(_WIDE) * float(network.phi.slope_moment(_WIDE))
    rate = 2.0 * steep * w2 * np.abs(network.branch[:, 0]) / np.sqrt(beta)
    return np.ones(n), c_star, 1.0 - slope, np.full(n, np.nan), rate
