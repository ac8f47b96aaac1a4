"""The Gaussian error linear unit by its tanh formula, which libraries call approximate."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit

from mfmi.activations._arguments import PAIR_MOMENTS
from mfmi.activations._base import Activation, Piece
from mfmi.activations.gelu import Gelu
from mfmi.activations.relu import relu
from mfmi.arguments.arrays import FloatArray

_CUBIC = 0.044715
_RATE = 2.0 * math.sqrt(2.0 / math.pi)

_MINIMUM_AT = -0.75246142207101626
_STEEPEST = 1.1289930686587718

# Beyond this size the sigmoid is 0 or 1, and cubes are kept from overflowing.
_LARGEST = 1e100


class GeluTanh(Activation):
    """phi(u) = u (1 + tanh(y / 2)) / 2 = u sigma(y), y = 2 sqrt(2 / pi) (u + 0.044715 u^3), sigma the sigmoid."""

    citation = "Hendrycks & Gimpel 2016, the approximation with tanh; quadrature, pair moments tabulated"
    pole: float = 1.5
    pieces: tuple[Piece, ...] = (
        Piece(-math.inf, _MINIMUM_AT, "decreasing"),
        Piece(_MINIMUM_AT, math.inf, "increasing"),
    )
    images_disjoint = False
    strictly_monotone = False
    lipschitz = _STEEPEST
    slope_at_zero_squared: float = 0.25
    slope_zeros: tuple[float, ...] = (_MINIMUM_AT,)
    far: Activation | None = relu()
    tabulated = PAIR_MOMENTS

    def __init__(self) -> None:
        super().__init__("gelu_tanh")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u sigma(y)."""
        x = np.asarray(u, dtype=np.float64)
        return x * expit(_argument(x)[0])

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return sigma(y) (1 + u y' sigma(-y))."""
        return self.conditional_values(np.asarray(u, dtype=np.float64))[1]

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln|phi'(u)| = ln sigma(y) + ln|1 + u y' sigma(-y)|."""
        x = np.asarray(u, dtype=np.float64)
        y, slope = _argument(x)
        with np.errstate(divide="ignore"):
            return log_expit(y) + np.log(np.abs(1.0 + x * slope * expit(-y)))

    def conditional_values(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return phi(u) and phi'(u) from one argument of the sigmoid."""
        y, slope = _argument(u)
        sigma = expit(y)
        return u * sigma, sigma * (1.0 + u * slope * expit(-y))


def _argument(u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return y and dy/du."""
    x = np.clip(u, -_LARGEST, _LARGEST)
    square = _CUBIC * x * x
    return _RATE * x * (1.0 + square), _RATE * (1.0 + 3.0 * square)


def gelu(approximate: str = "none") -> Activation:
    """Build the Gaussian error linear unit, exact or by its tanh formula.

    Parameters
    ----------
    approximate : str
        "none" or "false" for u Phi(u), "tanh" or "true" for the formula: PyTorch's words, JAX's and Keras's.
    """
    word = approximate.lower()
    if word not in {"none", "false", "tanh", "true"}:
        raise ValueError(f"gelu: approximate must be none or tanh (or False, True), got {approximate!r}")
    return GeluTanh() if word in {"tanh", "true"} else Gelu()
