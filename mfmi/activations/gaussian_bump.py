"""The Gaussian as an activation, phi(u) = exp(-u^2 / (2 a^2))."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gamma

from mfmi.activations._affine import Affine
from mfmi.activations._arguments import CLOSED, checked_parameter
from mfmi.activations._base import Activation, Piece
from mfmi.arguments.arrays import FloatArray

_CITATION = "Ramasinghe & Lucey 2022, Beyond periodicity"


class Gaussian(Activation):
    """phi(u) = exp(-u^2 / 2): a Gaussian weight changes the covariance of the pair, and all pair moments are closed.

    With D = (1 + s)^2 - k^2 = (1 + gap)(1 + 2 s - gap) the kernel is K = D^(-1/2) and K' = k D^(-3/2).
    """

    citation = f"{_CITATION}; Gaussian integrals"
    pole: float = 1.5
    even = True
    pieces: tuple[Piece, ...] = (Piece(-math.inf, 0.0, "increasing"), Piece(0.0, math.inf, "decreasing"))
    images_disjoint = False
    strictly_monotone = False
    lipschitz: float = math.exp(-0.5)
    slope_at_zero_squared: float = 0.0
    slope_zeros: tuple[float, ...] = (0.0,)
    closed: frozenset[str] = CLOSED - {"conditional", "conditional_log_slope"}

    def __init__(self) -> None:
        super().__init__("gaussian")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return exp(-u^2 / 2)."""
        x = np.asarray(u, dtype=np.float64)
        value: FloatArray = np.exp(-0.5 * x * x)
        return value

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return -u exp(-u^2 / 2)."""
        x = np.asarray(u, dtype=np.float64)
        return -x * np.exp(-0.5 * x * x)

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln|u| - u^2 / 2."""
        x = np.asarray(u, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return np.log(np.abs(x)) - 0.5 * x * x

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 1.0 / np.sqrt(1.0 + 2.0 * s)

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        slope: FloatArray = -((1.0 + 2.0 * s) ** -1.5)
        return slope

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        """E |u|^(2k) exp(-k u^2): moments of a Gaussian of variance s / (1 + 2 k s)."""
        widened = 1.0 + 2.0 * k * s
        power: FloatArray = (2.0 * s / widened) ** k / np.sqrt(widened)
        return float(gamma(k + 0.5)) / math.sqrt(math.pi) * power

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.log(0.5 * s) - np.euler_gamma - s

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        return 1.0 / np.sqrt((1.0 + s - k) * (1.0 + s + k))

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        """Difference of two inverse roots, over their sum: D(k) - D(s) = gap (2 s - gap)."""
        root_s = np.sqrt(1.0 + 2.0 * s)
        left = np.maximum(2.0 * s - gap, 0.0)
        root_k = np.sqrt((1.0 + gap) * (1.0 + left))
        difference: FloatArray = (gap / root_k) * (left / root_s) / (root_s + root_k)
        return difference

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        determinant = (1.0 + gap) * (1.0 + np.maximum(2.0 * s - gap, 0.0))
        slopes: FloatArray = (s - gap) / determinant / np.sqrt(determinant)
        return slopes


def gaussian(a: float = 1.0) -> Activation:
    """Build exp(-u^2 / (2 a^2)).

    Parameters
    ----------
    a : float
        Width, positive; sqrt(1/2) gives exp(-u^2).
    """
    checked_parameter("gaussian", "a", a)
    return Gaussian() if a == 1.0 else Affine(f"gaussian(a={a!r})", Gaussian(), 1.0, a, citation=_CITATION)
