"""Squared ramps: squared_relu and star_relu, phi(u) = scale max(u, 0)^2 + bias."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gamma

from mfmi.activations._arguments import CLOSED, checked_parameter
from mfmi.activations._base import Activation, Piece
from mfmi.activations.relu import relu
from mfmi.arguments.arrays import FloatArray

_STAR_SCALE, _STAR_BIAS = 0.8944, -0.4472

# Below this angle x - sin(x) is summed as a series, which reaches rounding error within its terms.
_SMALL_ANGLE = 0.5
_SERIES_FACTORS = [(2 * n) * (2 * n + 1) for n in range(8, 1, -1)]

_RELU = relu()


class SquaredRelu(Activation):
    """phi(u) = scale u^2 + bias for u > 0, bias for u < 0; its slope is a ramp, and grows without limit.

    In terms of the angle between the two inputs, cos(theta) = k / s, the kernel without bias is
    scale^2 s^2 [3 sin(theta) cos(theta) + (pi - theta) (1 + 2 cos(theta)^2)] / (2 pi).
    """

    citation = (
        "Cho & Saul 2009, arc-cosine kernel of degree 2; So et al. 2021 (squared_relu), Yu et al. 2024 (star_relu)"
    )
    kinks: tuple[float, ...] = (0.0,)
    pieces: tuple[Piece, ...] = (Piece(-math.inf, 0.0, "flat"), Piece(0.0, math.inf, "increasing"))
    strictly_monotone = False
    lipschitz: float = math.inf
    slope_at_zero_squared: float = 0.0
    closed: frozenset[str] = CLOSED - {"conditional"}
    scale: float
    bias: float

    def __init__(self, name: str, scale: float, bias: float) -> None:
        super().__init__(name, scale=scale, bias=bias)

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return phi(u)."""
        x = np.maximum(np.asarray(u, dtype=np.float64), 0.0)
        return self.scale * x * x + self.bias

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 2 scale max(u, 0)."""
        return 2.0 * self.scale * np.maximum(np.asarray(u, dtype=np.float64), 0.0)

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        ramp = self.scale * s
        return ramp * (1.5 * ramp + self.bias) + self.bias**2

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return self.scale * (3.0 * self.scale * s + self.bias)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        if k == 0.0:
            return np.ones_like(s)
        size = 0.5 * gamma(k + 0.5) / math.sqrt(math.pi)
        return size * (8.0 * self.scale**2 * s) ** k

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.full_like(s, -np.inf)

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        return self._second_moment(s) - self._decorrelation(s, s - k)

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        """V - K: with theta - sin(theta) cos(theta) and sin(theta)^2 every term is positive."""
        theta = 2.0 * np.arctan2(np.sqrt(gap), np.sqrt(2.0 * s - gap))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(s > 0.0, gap / s, 0.0)
        sine_squared = ratio * (2.0 - ratio)
        bracket = 1.5 * _less_sine(2.0 * theta) + 2.0 * (np.pi - theta) * sine_squared
        return (self.scale * s) ** 2 * bracket / (2.0 * np.pi)

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return 4.0 * self.scale**2 * (_RELU._second_moment(s) - _RELU._decorrelation(s, gap))

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.where(v > 0.0, -np.inf, self.log_abs_derivative(m))


def squared_relu() -> SquaredRelu:
    """Build max(u, 0)^2."""
    return SquaredRelu("squared_relu", 1.0, 0.0)


def star_relu(scale: float = _STAR_SCALE, bias: float = _STAR_BIAS) -> SquaredRelu:
    """Build scale max(u, 0)^2 + bias, with the constants that give a standard normal input mean 0 and variance 1.

    Parameters
    ----------
    scale : float
        Factor, positive.
    bias : float
        Constant added.
    """
    checked_parameter("star_relu", "scale", scale)
    if not math.isfinite(bias):
        raise ValueError(f"star_relu: bias must be a finite number, got {bias!r}")
    usual = (scale, bias) == (_STAR_SCALE, _STAR_BIAS)
    return SquaredRelu("star_relu" if usual else f"star_relu(scale={scale!r}, bias={bias!r})", scale, bias)


def _less_sine(x: FloatArray) -> FloatArray:
    """Return x - sin(x) with relative accuracy, about x^3 / 6 for small x."""
    square = x * x
    series = np.ones_like(x)
    for factor in _SERIES_FACTORS:
        series = 1.0 - series * square / factor
    return np.where(x < _SMALL_ANGLE, x * square / 6.0 * series, x - np.sin(x))
