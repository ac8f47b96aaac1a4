"""The Gaussian error linear unit in its exact form, phi(u) = u Phi(u)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from mfmi.activations._arguments import PAIR_MOMENTS
from mfmi.activations._base import Activation, Piece
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.normal import inverse_mills
from mfmi.quadrature.panels import normal_density

_MINIMUM_AT = -0.75179152469356445
_STEEPEST = 1.1289041451202054

_TWO_PI = 2.0 * math.pi
_LOG_SQRT_TWO_PI = 0.5 * math.log(_TWO_PI)

# Coefficients of x^2, x^4, ... in x / sin(x) - 1, and where their sum reaches rounding error.
_SERIES = (1.0 / 6.0, 7.0 / 360.0, 31.0 / 15120.0, 127.0 / 604800.0, 73.0 / 3421440.0, 1414477.0 / 653837184000.0)
_SMALL_ANGLE = 0.05


class Gelu(Activation):
    """phi(u) = u Phi(u), Phi the normal distribution function.

    With a = 1 + s, P = E normal_density(u) normal_density(v) = 1 / (2 pi sqrt(a^2 - k^2)) and E Phi(u) Phi(v) =
    arccos(-k / a) / (2 pi), Stein's lemma gives

        K   = k E Phi Phi + P [s^2 + k^2 + s (s^2 - k^2)] / a
        K'  = E Phi Phi + k P [2 / a + 1 / (a^2 - k^2)].
    """

    citation: str = "Hendrycks & Gimpel 2016; kernel as in Tsuchida et al. 2021, by Stein's lemma"
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
    closed: frozenset[str] = PAIR_MOMENTS | {"second_moment", "second_moment_slope"}

    def __init__(self) -> None:
        super().__init__("gelu")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u Phi(u)."""
        x = np.asarray(u, dtype=np.float64)
        return x * ndtr(x)

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return Phi(u) + u normal_density(u)."""
        x = np.asarray(u, dtype=np.float64)
        return ndtr(x) + x * normal_density(x)

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln|phi'(u)|, in the lower tail from the ratio of Phi to the density."""
        x = np.asarray(u, dtype=np.float64)
        below = np.minimum(x, 0.0)
        with np.errstate(divide="ignore"):
            tail = np.log(np.abs(inverse_mills(below) + below)) - 0.5 * below * below - _LOG_SQRT_TWO_PI
            return np.where(x < 0.0, tail, np.log(np.maximum(self.derivative(x), 0.5)))[()]

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        root = np.sqrt(1.0 + 2.0 * s)
        return s * np.arctan2(root, -s) / _TWO_PI + s * s / (np.pi * (1.0 + s) * root)

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        a, b = 1.0 + s, 1.0 + 2.0 * s
        return np.arctan2(np.sqrt(b), -s) / _TWO_PI + s / (np.pi * a * np.sqrt(b)) * (2.5 - s / a - s / b)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        if k == 1.0:
            return self._slope_correlation_gap(s, np.zeros_like(s))
        return super()._slope_moment(s, k, refine)

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        a = 1.0 + s
        root = np.sqrt((a - k) * (a + k))
        numerator = s * s + k * k + s * (s - k) * (s + k)
        return k * np.arctan2(root, -k) / _TWO_PI + numerator / (_TWO_PI * a * root)

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        """V - K over the gap, with what cancels for small gaps and for large s cancelled by hand.

        With R(k)^2 = a^2 - k^2 and delta = arcsin(s/a) - arcsin(k/a), sin(delta) = gap (s + k) / (s R(k) + k R(s)), it
        is 1/4 + [arcsin(s/a) + k delta / gap + F] / (2 pi), and k sin(delta) / gap + F is the sum called `rest`. A
        negative covariance adds k / 2, twice the odd part of K.
        """
        near = np.minimum(gap, 2.0 * s - gap)
        k = s - near
        a = 1.0 + s
        root_s = np.sqrt(1.0 + 2.0 * s)
        root_k = np.sqrt((1.0 + near) * (1.0 + 2.0 * s - near))
        mixed = s * root_k + k * root_s
        sine = (s + k) / np.maximum(mixed, np.finfo(np.float64).tiny)
        delta = np.arctan2(near * sine, (root_s * root_k + s * k) / a**2)
        rest = (s + k) / (root_s + root_k) / (root_s * root_k)
        rest += sine * (2.0 * k * root_s + root_k * (s + k - s * near)) / (a * (root_s + root_k))
        slope = 0.25 + (np.arctan2(s, root_s) + rest + k * sine * _angle_over_sine_less_one(delta)) / _TWO_PI
        result: FloatArray = near * slope + np.where(gap > s, 0.5 * k, 0.0)
        return result

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        k, a = s - gap, 1.0 + s
        determinant = (1.0 + gap) * (1.0 + 2.0 * s - gap)
        root = np.sqrt(determinant)
        return np.arctan2(root, -k) / _TWO_PI + k / (_TWO_PI * root) * (2.0 / a + 1.0 / determinant)


def _angle_over_sine_less_one(x: FloatArray) -> FloatArray:
    """Return x / sin(x) - 1 for 0 <= x < pi, about x^2 / 6 for small x."""
    square = x * x
    series = np.zeros_like(x)
    for coefficient in reversed(_SERIES):
        series = (series + coefficient) * square
    plain = np.where(x < _SMALL_ANGLE, 0.5, x)
    return np.where(x < _SMALL_ANGLE, series, plain / np.sin(plain) - 1.0)
