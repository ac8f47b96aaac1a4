"""The hard tanh, phi(u) = min(1, max(-1, u)), and the hard sigmoid, which is one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, erfc, gammainc, ndtr

from mfmi.activations._affine import Affine
from mfmi.activations._arguments import ONE_POINT, PAIR_MOMENTS, checked_parameter
from mfmi.activations._base import Activation, Piece
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian
from mfmi.quadrature.normal import ramp_moments, ramp_residual

# From this noise variance on the closed residual, a difference of two ramps, has lost three digits.
_WIDE = 100.0

_STRIP_NODES = 64
# exp of minus this is below rounding.
_FADED = 40.0

# exp of minus this is 0.
_CERTAIN = 1e4


class HardTanh(Activation):
    """phi(u) = min(1, max(-1, u)): a difference of two ramps, moments by the normal law and its two-dimensional kin."""

    citation: str = (
        "normal and chi-square laws; pair slopes by Owen 1956, Tables for computing bivariate normal probabilities"
    )
    odd = True
    kinks: tuple[float, ...] = (-1.0, 1.0)
    strictly_monotone = False
    pieces: tuple[Piece, ...] = (
        Piece(-math.inf, -1.0, "flat"),
        Piece(-1.0, 1.0, "increasing"),
        Piece(1.0, math.inf, "flat"),
    )
    tabulated: frozenset[str] = PAIR_MOMENTS - {"slope_correlation_gap"}
    closed: frozenset[str] = ONE_POINT

    def __init__(self) -> None:
        super().__init__("hard_tanh")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u limited to [-1, 1]."""
        return np.clip(np.asarray(u, dtype=np.float64), -1.0, 1.0)

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 1 inside (-1, 1), else 0."""
        return np.where(np.abs(np.asarray(u, dtype=np.float64)) < 1.0, 1.0, 0.0)[()]

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        half_square = _half_square(s)
        return s * gammainc(1.5, half_square) + erfc(np.sqrt(half_square))

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.asarray(gammainc(1.5, _half_square(s)), dtype=np.float64)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return erf(np.sqrt(_half_square(s))) if k > 0.0 else np.ones_like(s)

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.where(s > 0.0, -np.inf, 0.0)

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        """P(|u| < 1, |v| < 1) = 1 - 4 [T(1/sqrt(s), a) + T(1/sqrt(s), 1/a)] with Owen's T, a = tan(theta / 2).

        As one integral of 1 - exp over x = tan(psi), graded by x = sinh(y), it keeps its accuracy for large s: the
        integrand rises like exp(y) to where the exponent is 1, and falls like exp(-y) from there.
        """
        result = np.empty_like(s)
        x, w = gaussian.legendre_rule(round(_STRIP_NODES * refine))
        half = np.minimum(_half_square(s), _CERTAIN)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.sqrt(gap / (2.0 * s - gap))
        ratio = np.clip(np.nan_to_num(ratio, nan=1.0), 1e-160, 1e160)
        with np.errstate(divide="ignore"):
            peak = np.arccosh(np.clip(1.0 / np.sqrt(half), 1.0, 1e160))
        for _, rows in gaussian.blocks(np.zeros(s.size, dtype=np.int64), lambda _: 2 * _STRIP_NODES):
            total = np.zeros(rows.size)
            for end in (ratio[rows], 1.0 / ratio[rows]):
                reach = np.arcsinh(end)
                middle = np.minimum(reach, peak[rows])
                for low, high in (
                    (np.maximum(middle - _FADED, 0.0), middle),
                    (middle, np.minimum(middle + _FADED, reach)),
                ):
                    cosh = np.cosh(low[:, None] + (high - low)[:, None] * x)
                    values = -np.expm1(-half[rows, None] * cosh * cosh) / cosh
                    total += (high - low) * np.einsum("ij,j->i", values, w)
            result[rows] = 2.0 / np.pi * total
        return np.where(s > 0.0, result, 1.0)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        wide = v > _WIDE
        result = np.empty((4, m.size))
        result[:, wide] = super()._conditional(m[wide], v[wide], refine)
        result[:, ~wide] = self._difference_of_ramps(m[~wide], v[~wide])
        return result

    def _difference_of_ramps(self, m: FloatArray, v: FloatArray) -> FloatArray:
        """Closed conditional moments, phi + 1 = (u + 1)_+ - (u - 1)_+ for |m|, every large term cancelled by hand.

        With t = (|m| -+ 1) / sigma the residual is that of each ramp less twice their residual covariance,
        Phi(-upper) Phi(lower) - I1(-upper) I1(lower), where I1(t) = E (z + t)_+.
        """
        sigma = np.sqrt(v)
        size = np.abs(m)
        with np.errstate(divide="ignore", invalid="ignore"):
            lower = np.clip(np.nan_to_num((size - 1.0) / sigma, nan=0.0), -1e100, 1e100)
            upper = np.clip((size + 1.0) / sigma, -1e100, 1e100)
        past_upper, missing_upper, _ = ramp_moments(-upper)
        past_lower, over_lower, _ = ramp_moments(lower)
        _, excess, _ = ramp_moments(-np.abs(lower))
        mean = np.minimum(size, 1.0) + sigma * (missing_upper - excess)
        kappa = ndtr(-lower) - past_upper
        covariance = past_upper * past_lower - missing_upper * over_lower
        residual = v * np.maximum(ramp_residual(upper) + ramp_residual(lower) - 2.0 * covariance, 0.0)
        return np.stack([np.copysign(mean, m), kappa * kappa * v + residual, kappa, residual])

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        outside = (v > 0.0) | (np.abs(m) >= 1.0)
        return np.where(outside, -np.inf, 0.0)

    def _piece_log_slope(self, m: FloatArray, v: FloatArray, piece: Piece) -> FloatArray:
        return np.zeros_like(m)


def hard_sigmoid(slope: float = 1.0 / 6.0) -> Affine:
    """Build min(1, max(0, slope u + 1/2)).

    Parameters
    ----------
    slope : float
        Slope at 0, positive: 1/6 in PyTorch, JAX and Keras 3, 0.2 in Keras 2.
    """
    checked_parameter("hard_sigmoid", "slope", slope)
    usual = abs(6.0 * slope - 1.0) < 1e-15
    name = "hard_sigmoid" if usual else f"hard_sigmoid(slope={slope!r})"
    length = 3.0 if usual else 0.5 / slope
    return Affine(name, HardTanh(), 0.5, length, offset=0.5, citation="Courbariaux et al. 2015, BinaryConnect")


def _half_square(s: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", over="ignore"):
        return 0.5 / s
