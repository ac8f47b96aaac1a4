"""Snake, phi(u) = u + sin(a u)^2 / a."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import comb

from mfmi.activations._affine import Affine
from mfmi.activations._arguments import CLOSED, checked_parameter
from mfmi.activations._base import Activation
from mfmi.activations.trigonometric import Wave
from mfmi.arguments.arrays import FloatArray

_CITATION = "Ziyin et al. 2020, Neural networks fail to learn periodic functions and how to fix it"
_COSINE = Wave("cos", odd=False)


class Snake(Activation):
    """phi(u) = u + sin(u)^2 = u + (1 - cos(2 u)) / 2, of slope 1 + sin(2 u) = 2 sin(u + pi/4)^2, 0 at single points.

    Every moment is a sum of E exp(i n u) = exp(-n^2 s / 2); the residual and ln phi' are those of a cosine.
    """

    citation = f"{_CITATION}; Gaussian characteristic function"
    pole: float = 0.75
    uniform = True
    slope_period: float = math.pi
    trend: float = 1.0
    lipschitz: float = 2.0
    closed: frozenset[str] = CLOSED - {"log_slope", "conditional_log_slope"}

    def __init__(self) -> None:
        super().__init__("snake")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u + sin(u)^2."""
        x = np.asarray(u, dtype=np.float64)
        value: FloatArray = x + np.sin(x) ** 2
        return value

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 2 sin(u + pi/4)^2."""
        return 2.0 * np.sin(np.asarray(u, dtype=np.float64) + 0.25 * np.pi) ** 2

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return s + _fourth_power(s)

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 1.0 + np.exp(-2.0 * s) - np.exp(-8.0 * s)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        """Mean of 4^k sin(u + pi/4)^(4 k) by the binomial theorem."""
        if 2.0 * k != round(2.0 * k):
            raise ValueError(f"2 k must be an integer for {self.name}, got k = {k!r}")
        power = round(2.0 * k)
        total = np.full_like(s, comb(2 * power, power))
        for j in range(2, power + 1, 2):
            total += 2.0 * (-1.0) ** (j // 2) * comb(2 * power, power - j) * np.exp(-2.0 * j * j * s)
        return total * 0.5**power

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 2.0 * self._conditional_log_slope(np.zeros_like(s), s, refine)

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return math.log(2.0) + 2.0 * _COSINE._conditional_log_slope(m + 0.25 * np.pi, v, refine)

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        return k + (_fourth_power(s) - 0.25 * _COSINE._decorrelation(4.0 * s, 4.0 * (s - k)))

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return gap + 0.25 * _COSINE._decorrelation(4.0 * s, 4.0 * gap)

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return 1.0 + _COSINE._slope_correlation_gap(4.0 * s, 4.0 * gap)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        _, _, slope, residual = _COSINE._conditional(2.0 * m, 4.0 * v)
        kappa = 1.0 - slope
        mean = m + np.exp(-2.0 * v) * np.sin(m) ** 2 - 0.5 * np.expm1(-2.0 * v)
        return np.stack([mean, kappa * kappa * v + 0.25 * residual, kappa, 0.25 * residual])


def _fourth_power(s: FloatArray) -> FloatArray:
    """E sin(u)^4 = (3 - 4 exp(-2 s) + exp(-8 s)) / 8, written with t = 1 - exp(-2 s)."""
    t = -np.expm1(-2.0 * s)
    power: FloatArray = t * t * (6.0 - 4.0 * t + t * t) / 8.0
    return power


def snake(a: float = 1.0) -> Activation:
    """Build u + sin(a u)^2 / a.

    Parameters
    ----------
    a : float
        Angular frequency, positive.
    """
    checked_parameter("snake", "a", a)
    return Snake() if a == 1.0 else Affine(f"snake(a={a!r})", Snake(), 1.0 / a, 1.0 / a, citation=_CITATION)
