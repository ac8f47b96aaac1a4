"""Mish, phi(u) = u tanh(softplus(u))."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations._arguments import PAIR_MOMENTS
from mfmi.activations._base import Activation, Piece
from mfmi.activations.relu import relu
from mfmi.arguments.arrays import FloatArray

_MINIMUM_AT = -1.1924312145154952
_STEEPEST = 1.0884981612517279


class Mish(Activation):
    """phi(u) = u tanh(ln(1 + e^u)): falls to its minimum near u = -1.19, then rises.

    tanh(ln(1 + e^u)) = (e^2u + 2 e^u) / (e^2u + 2 e^u + 2) has its nearest poles at e^u = -1 +- i, which is
    u = ln(2) / 2 +- 3 pi i / 4.
    """

    citation = "Misra 2019; quadrature, pair moments tabulated"
    pole: float = 2.2
    pieces: tuple[Piece, ...] = (
        Piece(-math.inf, _MINIMUM_AT, "decreasing"),
        Piece(_MINIMUM_AT, math.inf, "increasing"),
    )
    images_disjoint = False
    strictly_monotone = False
    lipschitz = _STEEPEST
    slope_at_zero_squared: float = 0.36
    slope_zeros: tuple[float, ...] = (_MINIMUM_AT,)
    far: Activation | None = relu()
    tabulated = PAIR_MOMENTS

    def __init__(self) -> None:
        super().__init__("mish")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u tanh(softplus(u))."""
        return self.conditional_values(np.asarray(u, dtype=np.float64))[0]

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return w + u (1 - w^2) sigma(u), w = tanh(softplus(u)), sigma the sigmoid."""
        return self.conditional_values(np.asarray(u, dtype=np.float64))[1]

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln|phi'(u)|, in the lower tail with e^u taken out."""
        x = np.asarray(u, dtype=np.float64)
        below = np.minimum(x, 0.0)
        decay = np.exp(below)
        denominator = decay * decay + 2.0 * decay + 2.0
        bracket = (decay + 2.0 + below * 4.0 * (1.0 + decay) / denominator) / denominator
        with np.errstate(divide="ignore"):
            return np.where(x < 0.0, below + np.log(np.abs(bracket)), np.log(np.maximum(self.derivative(x), 0.5)))[()]

    def conditional_values(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return phi(u) and phi'(u) from one exponential."""
        decay = np.exp(-np.abs(u))
        above = u > 0.0
        square = decay * decay
        denominator = np.where(above, 1.0 + 2.0 * decay + 2.0 * square, square + 2.0 * decay + 2.0)
        gate = np.where(above, 1.0 + 2.0 * decay, square + 2.0 * decay) / denominator
        rise = 4.0 * np.where(above, square, decay) * (1.0 + decay) / denominator**2
        return u * gate, gate + u * rise
