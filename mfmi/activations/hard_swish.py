"""The hard swish, phi(u) = u min(max(u + 3, 0), 6) / 6."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations._arguments import PAIR_MOMENTS
from mfmi.activations._base import Activation, Piece
from mfmi.arguments.arrays import FloatArray

_EDGE = 3.0


class HardSwish(Activation):
    """phi(u) = 0 for u < -3, u (u + 3) / 6 up to 3, then u: a parabola between straight lines, with a jump of slope.

    Between its kinks it is a polynomial, so that quadrature split there is right to rounding.
    """

    citation = "Howard et al. 2019, Searching for MobileNetV3; quadrature split at its kinks, pair moments tabulated"
    kinks: tuple[float, ...] = (-_EDGE, _EDGE)
    pieces: tuple[Piece, ...] = (
        Piece(-math.inf, -_EDGE, "flat"),
        Piece(-_EDGE, -0.5 * _EDGE, "decreasing"),
        Piece(-0.5 * _EDGE, math.inf, "increasing"),
    )
    images_disjoint = False
    strictly_monotone = False
    lipschitz: float = 1.5
    slope_at_zero_squared: float = 0.25
    slope_zeros: tuple[float, ...] = (-0.5 * _EDGE,)
    tabulated = PAIR_MOMENTS
    closed: frozenset[str] = frozenset({"log_slope", "conditional_log_slope"})

    def __init__(self) -> None:
        super().__init__("hard_swish")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u min(max(u + 3, 0), 6) / 6."""
        x = np.asarray(u, dtype=np.float64)
        return x * (np.clip(x + _EDGE, 0.0, 2.0 * _EDGE) / (2.0 * _EDGE))

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return u / 3 + 1/2 between -3 and 3, 0 below and 1 above."""
        x = np.asarray(u, dtype=np.float64)
        inside = np.clip(x, -_EDGE, _EDGE) / _EDGE + 0.5
        return np.where(x < -_EDGE, 0.0, np.where(x >= _EDGE, 1.0, inside))[()]

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 2.0 * self._conditional_log_slope(np.zeros_like(s), s)

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.where(v > 0.0, -np.inf, self.log_abs_derivative(m))
