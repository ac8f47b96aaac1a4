"""The logistic function and its kin: sigmoid, softplus and logsigmoid (its integrals), silu and quick_gelu."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit

from mfmi.activations import _quadrature
from mfmi.activations._affine import Affine
from mfmi.activations._arguments import PAIR_MOMENTS, checked_parameter
from mfmi.activations._base import Activation, Piece
from mfmi.activations.relu import relu
from mfmi.activations.tanh import Tanh
from mfmi.arguments.arrays import FloatArray

_SILU_MINIMUM_AT = -1.2784645427610738
_SILU_STEEPEST = 1.0998393194954884

_TANH = Tanh()


class Sigmoid(Affine):
    """phi(u) = 1 / (1 + e^-u) = (1 + tanh(u / 2)) / 2: every moment is one of tanh at a quarter of the variance."""

    def __init__(self) -> None:
        super().__init__("sigmoid", _TANH, 0.5, 2.0, offset=0.5, citation="Cox 1958, the logistic function")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return 1 / (1 + exp(-u)), which keeps its relative accuracy in the lower tail."""
        return expit(np.asarray(u, dtype=np.float64))


class Softplus(Activation):
    """phi(u) = ln(1 + e^u); its slope is the sigmoid, so that slope correlations are those of tanh."""

    citation: str = "quadrature; slope correlation from tanh, the other pair moments tabulated"
    pole: float = math.pi
    slope_at_zero_squared: float = 0.25
    far: Activation | None = relu()
    tabulated: frozenset[str] = PAIR_MOMENTS - {"slope_correlation_gap"}

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

    citation: str = "quadrature: trapezoidal rules after u = pi sinh(t), pair moments tabulated"
    pole: float = math.pi
    pieces: tuple[Piece, ...] = (
        Piece(-math.inf, _SILU_MINIMUM_AT, "decreasing"),
        Piece(_SILU_MINIMUM_AT, math.inf, "increasing"),
    )
    images_disjoint = False
    strictly_monotone = False
    lipschitz = _SILU_STEEPEST
    slope_at_zero_squared: float = 0.25
    slope_zeros: tuple[float, ...] = (_SILU_MINIMUM_AT,)
    far: Activation | None = relu()
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


def softplus(beta: float = 1.0) -> Activation:
    """Build ln(1 + e^(beta u)) / beta.

    Parameters
    ----------
    beta : float
        Sharpness, positive.
    """
    checked_parameter("softplus", "beta", beta)
    if beta == 1.0:
        return Softplus()
    citation = "Dugas et al. 2001, Incorporating second-order functional knowledge"
    return Affine(f"softplus(beta={beta!r})", Softplus(), 1.0 / beta, 1.0 / beta, citation=citation)


def logsigmoid() -> Affine:
    """Build ln sigma(u) = -ln(1 + e^-u)."""
    return Affine("logsigmoid", Softplus(), -1.0, -1.0, citation="Cox 1958, the logistic function")


def quick_gelu() -> Affine:
    """Build u sigma(1.702 u)."""
    rate = 1.702
    citation = "Hendrycks & Gimpel 2016, the approximation with the sigmoid"
    return Affine("quick_gelu", Silu(), 1.0 / rate, 1.0 / rate, citation=citation)
