"""The hyperbolic tangent."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations._arguments import PAIR_MOMENTS
from mfmi.activations._base import Activation
from mfmi.arguments.arrays import FloatArray

# From this mean on 1 - tanh is averaged instead of tanh: saturation then costs no relative accuracy.
_SATURATED = 3.0
_LARGEST_EXPONENT = 700.0

_LOG_SERIES_BELOW = 5.0


class Tanh(Activation):
    """phi(u) = tanh(u): no closed forms; poles at +-i pi/2 set the steps of the rules."""

    citation: str = "quadrature: trapezoidal rules after u = (pi/2) sinh(t), pair moments tabulated"
    odd = True
    pole: float = 0.5 * math.pi
    tabulated = PAIR_MOMENTS

    def __init__(self) -> None:
        super().__init__("tanh")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return tanh(u)."""
        return np.tanh(np.asarray(u, dtype=np.float64))

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 1 / cosh(u)^2, accurate in the tails too."""
        decay = np.exp(-2.0 * np.abs(np.asarray(u, dtype=np.float64)))
        return 4.0 * decay / (1.0 + decay) ** 2

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return -2 ln cosh(u)."""
        x = np.abs(np.asarray(u, dtype=np.float64))
        near = np.log1p(np.sinh(np.minimum(x, _LOG_SERIES_BELOW)) ** 2)
        far = 2.0 * (x - math.log(2.0) + np.log1p(np.exp(-2.0 * x)))
        return -np.where(x < _LOG_SERIES_BELOW, near, far)[()]

    def conditional_values(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return tanh(u) and its derivative; relative accuracy of the latter is lost in saturation."""
        value = np.tanh(u)
        return value, 1.0 - value * value

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        size = np.abs(m)
        result = np.empty((4, m.size))
        for members, phi, limit in ((size < _SATURATED, self, 0.0), (size >= _SATURATED, _SATURATING, 1.0)):
            rows = np.flatnonzero(members)
            result[:, rows] = Activation._conditional(phi, size[rows], v[rows], refine)
            result[0, rows] += limit
        result[0] = np.copysign(result[0], m)
        return result


class _FromAbove(Tanh):
    """tanh(u) - 1, for means deep in the positive saturation."""

    def conditional_values(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        growth = np.exp(np.minimum(2.0 * u, _LARGEST_EXPONENT))
        below = 1.0 / (1.0 + growth)
        return -2.0 * below, 4.0 * growth * below * below


_SATURATING = _FromAbove()
