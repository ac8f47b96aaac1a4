"""The sign of u, a step: its slope exists only on average."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, ndtr

from mfmi.activations._arguments import CLOSED
from mfmi.activations._base import Activation, Piece
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.panels import normal_density


class Sign(Activation):
    """phi(u) = 1 for u >= 0, -1 for u < 0.

    Moments of the derivative are infinite and returned as NaN. Means of it are finite and returned: kappa, which is
    Cov(phi, g) / sqrt(v), and the slope correlation, which is dK/dk and infinite only at |k| = s.
    """

    citation: str = "Sheppard 1899; Cho & Saul 2009, arc-cosine kernel of degree 0"
    kinks: tuple[float, ...] = (0.0,)
    jumps: tuple[float, ...] = (0.0,)
    pieces: tuple[Piece, ...] = (Piece(-math.inf, 0.0, "flat"), Piece(0.0, math.inf, "flat"))
    strictly_monotone = False
    odd = True
    differentiable = False
    lipschitz: float = math.inf
    slope_at_zero_squared: float = math.nan
    closed: frozenset[str] = CLOSED

    def __init__(self) -> None:
        super().__init__("sign")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return 1 for u >= 0, else -1."""
        return np.where(np.asarray(u, dtype=np.float64) >= 0.0, 1.0, -1.0)[()]

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 0, the slope on either side of the step."""
        return np.zeros_like(np.asarray(u, dtype=np.float64))[()]

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.ones_like(s)

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.zeros_like(s)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return np.full_like(s, np.nan)

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.full_like(s, -np.inf)

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.where(s > 0.0, 2.0 / np.pi * np.arctan2(k, np.sqrt((s - k) * (s + k))), 1.0)

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return 4.0 / np.pi * np.arctan2(np.sqrt(gap), np.sqrt(2.0 * s - gap))

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        with np.errstate(divide="ignore"):
            return 2.0 / (np.pi * np.sqrt(gap) * np.sqrt(2.0 * s - gap))

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        sigma = np.sqrt(v)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            t = np.where(v > 0.0, m / sigma, np.inf * self(m))
            kappa = np.where(v > 0.0, 2.0 * normal_density(t) / sigma, 0.0)
        variance = 4.0 * ndtr(t) * ndtr(-t)
        residual = np.maximum(variance - 4.0 * normal_density(t) ** 2, 0.0)
        return np.stack([erf(t / math.sqrt(2.0)), variance, kappa, residual])

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.full_like(m, -np.inf)
