"""Activations with two straight halves: relu, leaky_relu and abs, phi(u) = p u + r |u|."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from mfmi.activations._arguments import CLOSED
from mfmi.activations._base import WHOLE_LINE, Activation, Piece
from mfmi.activations._hermite import polynomials
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.normal import ramp_moments, ramp_residual
from mfmi.quadrature.panels import normal_density

# Below this angle sin - angle cos is summed as a series, which reaches rounding error within its terms.
_SMALL_ANGLE = 0.5
# Standard deviations from which on a kink is out of reach.
_FAR_OUT = 40.0
_SERIES = [(-1.0) ** (n + 1) * 2 * n / math.factorial(2 * n + 1) for n in range(8, 0, -1)]


class TwoSlopes(Activation):
    """phi(u) = right u for u > 0 and left u for u < 0: the sum of a linear function and a multiple of |u|.

    The pair moments follow from those of |u|: K = p^2 k + r^2 E|u||v| with p, r half the sum and difference of the
    slopes. In terms of the angle between the two inputs, cos(theta) = k / s, E|u||v| / s is
    (2 / pi) (sin(theta) + (pi/2 - theta) cos(theta)).
    """

    citation: str = "Cho & Saul 2009, Kernel methods for deep learning, arc-cosine kernel of degree 1"
    kinks: tuple[float, ...] = (0.0,)
    homogeneous = True
    closed: frozenset[str] = CLOSED
    left: float
    right: float

    def __init__(self, name: str, left: float, right: float) -> None:
        flat = Piece(-math.inf, 0.0, "flat")
        falling = Piece(-math.inf, 0.0, "decreasing")
        rising = Piece(0.0, math.inf, "increasing")
        pieces = WHOLE_LINE if left > 0.0 else (flat if left == 0.0 else falling, rising)
        super().__init__(
            name,
            left=left,
            right=right,
            pieces=pieces,
            images_disjoint=left >= 0.0,
            strictly_monotone=left > 0.0,
            even=left == -right,
            lipschitz=max(abs(left), abs(right)),
            slope_at_zero_squared=0.5 * (left * left + right * right),
        )

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return phi(u)."""
        x = np.asarray(u, dtype=np.float64)
        return np.where(x > 0.0, self.right * x, self.left * x)[()]

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return phi'(u), the slope of the right half at 0."""
        return np.where(np.asarray(u, dtype=np.float64) >= 0.0, self.right, self.left)[()]

    @property
    def _linear_part(self) -> float:
        return 0.5 * (self.right + self.left)

    @property
    def _even_part(self) -> float:
        return 0.5 * (self.right - self.left)

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return self.slope_at_zero_squared * s

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.full_like(s, self.slope_at_zero_squared)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return np.full_like(s, 0.5 * (abs(self.left) ** (2.0 * k) + abs(self.right) ** (2.0 * k)))

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.full_like(s, _log(self.left) + _log(self.right))

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        theta = _angle(s, s - np.abs(k))
        absolute = 2.0 / np.pi * s * (np.sin(theta) + (0.5 * np.pi - theta) * np.cos(theta))
        return self._linear_part**2 * k + self._even_part**2 * absolute

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        near = np.minimum(gap, 2.0 * s - gap)
        absolute = near - 2.0 / np.pi * s * _sine_minus_angle_cosine(_angle(s, near))
        return self._linear_part**2 * gap + self._even_part**2 * absolute

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        signs = 1.0 - 2.0 / np.pi * _angle(s, gap)
        return self._linear_part**2 + self._even_part**2 * signs

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        sigma = np.sqrt(v)
        t = _offset(m, sigma)
        size = np.abs(t)
        _, excess, _ = ramp_moments(-size)
        mean = self._linear_part * m + self._even_part * (np.abs(m) + 2.0 * sigma * excess)
        kappa = self.right * ndtr(t) + self.left * ndtr(-t)
        residual = 4.0 * self._even_part**2 * v * ramp_residual(size)
        return np.stack([mean, kappa * kappa * v + residual, kappa, residual])

    def hermite(self, m: FloatArray, v: FloatArray, count: int) -> FloatArray:
        """Coefficients as `Activation.hermite` has them, from the jump of the slope at 0."""
        sigma = np.sqrt(v)
        t = _offset(m, sigma)
        result = np.empty((m.size, count))
        mean, _, kappa, _ = self._conditional(m, v)
        result[:, :2] = np.stack([mean, sigma * kappa], axis=1)[:, :count]
        n = np.arange(2, count)
        # The density outgrows every polynomial of the offset.
        near = np.clip(t, -_FAR_OUT, _FAR_OUT)
        he = polynomials(-near, max(count - 2, 1))[: count - 2].T
        result[:, 2:] = 2.0 * self._even_part * (sigma * normal_density(near))[:, None] * he / np.sqrt(n * (n - 1.0))
        return result

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        t = _offset(m, np.sqrt(v))
        with np.errstate(invalid="ignore"):
            parts = np.stack([_log(self.right) * ndtr(t), _log(self.left) * ndtr(-t)])
        total: FloatArray = np.where(np.isnan(parts), 0.0, parts).sum(axis=0)
        return total

    def _piece_log_slope(self, m: FloatArray, v: FloatArray, piece: Piece) -> FloatArray:
        if piece in WHOLE_LINE:
            return self._conditional_log_slope(m, v)
        return np.full_like(m, _log(self.right))


def relu() -> TwoSlopes:
    """Build max(u, 0)."""
    return TwoSlopes("relu", 0.0, 1.0)


def absolute() -> TwoSlopes:
    """Build |u|."""
    return TwoSlopes("abs", -1.0, 1.0)


def leaky_relu(slope: float = 0.01) -> TwoSlopes:
    """Build max(u, 0) + slope min(u, 0).

    Parameters
    ----------
    slope : float
        Slope for u < 0, in (0, 1).
    """
    if not 0.0 < slope < 1.0:
        raise ValueError(f"leaky_relu: slope must be in (0, 1), got {slope!r}")
    return TwoSlopes("leaky_relu" if slope == 0.01 else f"leaky_relu({slope!r})", slope, 1.0)


def prelu(slope: float = 0.25) -> TwoSlopes:
    """Build the parametric ramp as it starts, leaky_relu with slope 0.25 (He et al. 2015).

    Parameters
    ----------
    slope : float
        Slope for u < 0, in (0, 1).
    """
    return leaky_relu(slope)


def _log(slope: float) -> float:
    return math.log(abs(slope)) if slope else -math.inf


def _offset(m: FloatArray, sigma: FloatArray) -> FloatArray:
    """Return m / sigma, at sigma = 0 an infinity of m's sign (0 for m = 0)."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        t = m / sigma
    return np.clip(np.where(np.isnan(t), 0.0, t), -1e100, 1e100)


def _angle(s: FloatArray, gap: FloatArray) -> FloatArray:
    """Angle between two inputs of variance s, 2 sin^2(theta / 2) = gap / s; 0 for s = 0."""
    return 2.0 * np.arctan2(np.sqrt(gap), np.sqrt(2.0 * s - gap))


def _sine_minus_angle_cosine(theta: FloatArray) -> FloatArray:
    """Return sin(theta) - theta cos(theta) with relative accuracy, about theta^3 / 3 for small angles."""
    square = theta * theta
    series = np.zeros_like(theta)
    for coefficient in _SERIES:
        series = (series + coefficient) * square
    return np.where(theta < _SMALL_ANGLE, theta * series, np.sin(theta) - theta * np.cos(theta))
