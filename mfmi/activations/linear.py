"""The linear activation, phi(u) = u."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations._arguments import CLOSED
from mfmi.activations._base import Activation
from mfmi.arguments.arrays import FloatArray


class Linear(Activation):
    """phi(u) = u: every moment is elementary."""

    citation: str = "elementary"
    odd = True
    homogeneous = True
    closed: frozenset[str] = CLOSED

    def __init__(self) -> None:
        super().__init__("linear")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u."""
        return np.asarray(u, dtype=np.float64) + 0.0

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 1."""
        return np.ones_like(np.asarray(u, dtype=np.float64))[()]

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return s + 0.0

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.ones_like(s)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return np.ones_like(s)

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.zeros_like(s)

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        return k + 0.0

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return gap + 0.0

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.ones_like(s)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.stack([m, v, np.ones_like(m), np.zeros_like(m)])

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.zeros_like(m)
