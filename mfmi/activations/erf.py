"""The error function as an activation, phi(u) = erf(u)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf

from mfmi.activations._arguments import CLOSED
from mfmi.activations._base import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian

_SLOPE = 2.0 / math.sqrt(math.pi)

# Nodes for the conditional variance, a smooth integral over an angle up to pi / 2; 1e-13 up to h^2 = 1400.
_ARC_NODES = 28
_LARGEST_SQUARE = 700.0


class Erf(Activation):
    """phi(u) = erf(u): moments by the arcsine law.

    The conditional variance is the integral of the bivariate density over its correlation (Plackett 1954), in the
    angle psi, sin(psi) = correlation: (2 / pi) int exp(-h^2 / (1 + sin psi)) d psi: there is no difference to cancel.
    The residual is the same integral with the part that kappa^2 v is taken out under the integral sign.
    """

    citation: str = "Williams 1997, Computing with infinite networks; Plackett 1954 for the conditional variance"
    odd = True
    pole: float = 1.0
    lipschitz = _SLOPE
    slope_at_zero_squared: float = _SLOPE**2
    closed: frozenset[str] = CLOSED

    def __init__(self) -> None:
        super().__init__("erf")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return erf(u)."""
        return erf(np.asarray(u, dtype=np.float64))

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 2 exp(-u^2) / sqrt(pi)."""
        x = np.asarray(u, dtype=np.float64)
        return _SLOPE * np.exp(-x * x)

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln(2 / sqrt(pi)) - u^2."""
        x = np.asarray(u, dtype=np.float64)
        return math.log(_SLOPE) - x * x

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 2.0 / np.pi * np.arctan2(2.0 * s, np.sqrt(1.0 + 4.0 * s))

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return _SLOPE**2 / ((1.0 + 2.0 * s) * np.sqrt(1.0 + 4.0 * s))

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return float(_SLOPE ** (2.0 * k)) / np.sqrt(1.0 + 4.0 * k * s)

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 2.0 * math.log(_SLOPE) - 2.0 * s

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        cosine = np.sqrt((1.0 + 2.0 * (s - k)) * (1.0 + 2.0 * (s + k)))
        return 2.0 / np.pi * np.arctan2(2.0 * k, cosine)

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        total = 1.0 + 2.0 * s
        upper, lower = 2.0 * s / total, 2.0 * (s - gap) / total
        upper_cosine = np.sqrt(1.0 + 4.0 * s) / total
        lower_cosine = np.sqrt((1.0 + 2.0 * gap) * (1.0 + 4.0 * s - 2.0 * gap)) / total
        plain = upper * lower_cosine - lower * upper_cosine
        with np.errstate(divide="ignore", invalid="ignore"):
            conjugate = 2.0 * gap / total * ((upper + lower) / (upper * lower_cosine + lower * upper_cosine))
        sine = np.where((lower > 0.0) & (s > 0.0), conjugate, plain)
        return 2.0 / np.pi * np.arctan2(sine, upper_cosine * lower_cosine + upper * lower)

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return _SLOPE**2 / np.sqrt((1.0 + 2.0 * gap) * (1.0 + 4.0 * s - 2.0 * gap))

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        scale = 1.0 + 2.0 * v
        square = np.minimum(2.0 * m * m / scale, _LARGEST_SQUARE)
        mean = erf(m / np.sqrt(scale))
        kappa = _SLOPE / np.sqrt(scale) * np.exp(-m * m / scale)
        arc = np.arctan2(2.0 * v, np.sqrt(1.0 + 4.0 * v))
        x, w = gaussian.legendre_rule(_ARC_NODES)
        residual = np.empty_like(m)
        for _, rows in gaussian.blocks(np.zeros(m.size, dtype=np.int64), lambda _: _ARC_NODES):
            psi = arc[rows, None] * x
            sine = np.sin(psi)
            excess = np.expm1(square[rows, None] * sine / (1.0 + sine)) + 2.0 * np.sin(0.5 * psi) ** 2
            residual[rows] = np.einsum("ij,j->i", excess, w)
        residual *= 2.0 / np.pi * arc * np.exp(-square)
        return np.stack([mean, kappa * kappa * v + residual, kappa, residual])

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return math.log(_SLOPE) - (m * m + v)
