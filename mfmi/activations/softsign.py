"""The softsign."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations._arguments import PAIR_MOMENTS
from mfmi.activations._base import Activation
from mfmi.arguments.arrays import FloatArray


class Softsign(Activation):
    """phi(u) = u / (1 + |u|): phi'' jumps at 0, and the halves have their poles at distance 1."""

    citation = "Glorot & Bengio 2010; quadrature split at 0, pair moments tabulated"
    odd = True
    kinks: tuple[float, ...] = (0.0,)
    pole: float = 1.0
    tabulated = PAIR_MOMENTS

    def __init__(self) -> None:
        super().__init__("softsign")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u / (1 + |u|)."""
        x = np.asarray(u, dtype=np.float64)
        return x / (1.0 + np.abs(x))

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 1 / (1 + |u|)^2."""
        return (1.0 + np.abs(np.asarray(u, dtype=np.float64))) ** -2.0

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return -2 ln(1 + |u|)."""
        return -2.0 * np.log1p(np.abs(np.asarray(u, dtype=np.float64)))
