"""The logistic function and its kin: sigmoid, softplus (its integral) and silu (u times it)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit

from mfmi.activations import _quadrature
from mfmi.activations._base import PAIR_MOMENTS, Activation, Piece
from mfmi.activations.relu import relu
from mfmi.activations.tanh import Tanh
from mfmi.arguments.arrays import FloatArray

_SILU_MINIMUM_AT = -1.2784645427610738
_SILU_STEEPEST = 1.0998393194954884

_LOG_QUARTER = math.log(0.25)

_TANH = Tanh()


class Sigmoid(Activation):
    """phi(u) = 1 / (1 + e^-u) = (1 + tanh(u / 2)) / 2: every moment is one of tanh at a quarter of the variance."""

    citation: ClassVar[str] = "the moments of tanh"
    pole = math.pi
    lipschitz = 0.25
    slope_at_zero_squared = 0.0625

    def __init__(self) -> None:
        super().__init__("sigmoid")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return 1 / (1 + exp(-u))."""
        return expit(np.asarray(u, dtype=np.float64))

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return phi(u) (1 - phi(u))."""
        return 0.25 * _TANH.derivative(0.5 * np.asarray(u, dtype=np.float64))

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln phi'(u)."""
        return _LOG_QUARTER + _TANH.log_abs_derivative(0.5 * np.asarray(u, dtype=np.float64))

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 0.25 + 0.25 * _TANH._second_moment(0.25 * s, refine)

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 0.0625 * _TANH._second_moment_slope(0.25 * s, refine)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return float(0.0625**k) * _TANH._slope_moment(0.25 * s, k, refine)

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 2.0 * _LOG_QUARTER + _TANH._log_slope(0.25 * s, refine)

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        return 0.25 + 0.25 * _TANH._correlation(0.25 * s, 0.25 * k, refine)

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return 0.25 * _TANH._decorrelation(0.25 * s, 0.25 * gap, refine)

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return 0.0625 * _TANH._slope_correlation_gap(0.25 * s, 0.25 * gap, refine)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        mean, variance, kappa, residual = _TANH._conditional(0.5 * m, 0.25 * v, refine)
        return np.stack([0.5 + 0.5 * mean, 0.25 * variance, 0.25 * kappa, 0.25 * residual])

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return _LOG_QUARTER + _TANH._conditional_log_slope(0.5 * m, 0.25 * v, refine)


class Softplus(Activation):
    """phi(u) = ln(1 + e^u); its slope is the sigmoid, so that slope correlations are those of tanh."""

    citation: ClassVar[str] = "quadrature; slope correlation from tanh, the other pair moments tabulated"
    pole = math.pi
    slope_at_zero_squared = 0.25
    far = relu()
    tabulated = PAIR_MOMENTS - {"slope_correlation_gap"}

    def __init__(self) -> None:
        super().__init__("softplus")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return ln(1 + exp(u))."""
        x = np.asarray(u, dtype=np.float64)
        return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 1 / (1 + exp(-u))."""
        return expit(np.asarray(u, dtype=np.float64))

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return -ln(1 + exp(-u))."""
        return -self(-np.asarray(u, dtype=np.float64))

    def conditional_values(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return phi(u) and phi'(u) from one exponential."""
        decay = np.exp(-np.abs(u))
        total = 1.0 + decay
        return np.maximum(u, 0.0) + np.log1p(decay), np.where(u > 0.0, 1.0, decay) / total

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        """E[phi'^2 + phi phi''], a sum of positive terms."""

        def integrand(x: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
            value, slope = self.conditional_values(x)
            return slope * slope + value * 0.25 * _TANH.derivative(0.5 * x)

        return _quadrature.one_dimension(self, s, integrand, refine)

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return 0.25 + 0.25 * _TANH._correlation(0.25 * s, 0.25 * (s - gap), refine)


class Silu(Activation):
    """phi(u) = u / (1 + e^-u), also called swish: falls to its minimum near u = -1.28, then rises."""

    citation: ClassVar[str] = "quadrature: trapezoidal rules after u = pi sinh(t), pair moments tabulated"
    pole = math.pi
    pieces = (Piece(-math.inf, _SILU_MINIMUM_AT, "decreasing"), Piece(_SILU_MINIMUM_AT, math.inf, "increasing"))
    images_disjoint = False
    strictly_monotone = False
    lipschitz = _SILU_STEEPEST
    slope_at_zero_squared = 0.25
    slope_zeros = (_SILU_MINIMUM_AT,)
    far = relu()
    tabulated = PAIR_MOMENTS

    def __init__(self) -> None:
        super().__init__("silu")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u / (1 + exp(-u))."""
        x = np.asarray(u, dtype=np.float64)
        return x * expit(x)

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return sigma(u) (1 + u sigma(-u)), sigma the sigmoid."""
        return self.conditional_values(np.asarray(u, dtype=np.float64))[1]

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln|phi'(u)| = ln sigma(u) + ln|1 + u sigma(-u)|."""
        x = np.asarray(u, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return log_expit(x) + np.log(np.abs(1.0 + x * expit(-x)))

    def conditional_values(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return phi(u) and phi'(u) from one exponential."""
        decay = np.exp(-np.abs(u))
        upper = 1.0 / (1.0 + decay)
        sigma = np.where(u > 0.0, upper, decay * upper)
        return u * sigma, sigma + u * decay * upper * upper
