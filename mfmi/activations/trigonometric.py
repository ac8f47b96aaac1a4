"""Periodic activations: sin and cos."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import comb

from mfmi.activations._affine import Affine
from mfmi.activations._arguments import CLOSED, checked_parameter
from mfmi.activations._base import Activation, Piece
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian

# From this variance on the Fourier series of ln|cos| is summed; below, at most one of its poles is within reach.
_SERIES_FROM = 0.02
_HARMONICS = 32

# Below this variance high powers of a slope that vanishes at 0 are averaged directly, as their series cancels.
_SMALL = 0.5

_SINGULAR = 1e-14

# ln of the least positive number: a node that falls on a zero of the slope has no weight, but must not be -inf.
_LOWEST = -745.0
_SERIES_COEFFICIENTS = [1.0 / math.factorial(2 * n + 1) for n in range(8, 0, -1)]


class Wave(Activation):
    """phi(u) = sin(u + phase), phase 0 for sin and pi/2 for cos.

    Every moment is a sum of E exp(i n u) = exp(-n^2 s / 2); differences are written with expm1 and sums of squares.
    """

    citation: str = "Gaussian characteristic function; Hermite series for the residual"
    pole: float = 1.5
    period: float = 2.0 * math.pi
    slope_period: float = 2.0 * math.pi
    pieces: tuple[Piece, ...] = ()
    images_disjoint = False
    strictly_monotone = False
    closed: frozenset[str] = CLOSED - {"slope_moment", "log_slope", "conditional_log_slope"}
    sign: float

    def __init__(self, name: str, odd: bool) -> None:
        super().__init__(
            name, odd=odd, even=not odd, sign=1.0 if odd else -1.0, slope_at_zero_squared=1.0 if odd else 0.0
        )

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return the sine or cosine of u."""
        return (np.sin if self.odd else np.cos)(np.asarray(u, dtype=np.float64))

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return the cosine or minus the sine of u."""
        x = np.asarray(u, dtype=np.float64)
        return np.cos(x) if self.odd else -np.sin(x)

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln|phi'(u)|; -inf at the extrema."""
        x = np.asarray(u, dtype=np.float64)
        slope = np.abs(self.derivative(x))
        with np.errstate(divide="ignore"):
            # Near an extremum of the slope its logarithm is small, and needs what the slope lacks to 1.
            return np.where(slope > 0.5, 0.5 * np.log1p(-(self(x) ** 2)), np.log(slope))[()]

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return -0.5 * np.expm1(-2.0 * s) if self.odd else 0.5 * (1.0 + np.exp(-2.0 * s))

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return self.sign * np.exp(-2.0 * s)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        """Mean of an even power of the slope by the binomial theorem."""
        if k != round(k):
            raise ValueError(f"k must be an integer for {self.name}, got {k!r}")
        power = int(k)
        total = np.full_like(s, comb(2 * power, power))
        for j in range(1, power + 1):
            total += 2.0 * self.sign**j * comb(2 * power, power - j) * np.exp(-2.0 * j * j * s)
        total *= 0.25**power
        small = s < _SMALL
        if not self.odd and small.any():
            total[small] = super()._slope_moment(s[small], k, refine)
        return total

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 2.0 * self._conditional_log_slope(np.zeros_like(s), s, refine)

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        """Sum ln|2 cos x| = sum (-1)^(n+1) cos(2 n x) / n, or for small v split the integral at the one near pole."""
        n = np.arange(1, _HARMONICS + 1)
        signs = np.where(n % 2 == 1, 1.0, -1.0) if self.odd else -np.ones(n.size)
        result = np.full_like(m, -math.log(2.0))
        for harmonic, sign in zip(n.tolist(), signs.tolist(), strict=True):
            result += sign / harmonic * np.exp(-2.0 * harmonic**2 * v) * np.cos(2.0 * harmonic * m)
        still = v == 0.0
        result[still] = self.log_abs_derivative(m[still])
        small = np.flatnonzero((v < _SERIES_FROM) & ~still)
        if small.size:
            centre = m[small]
            shift = 0.5 * np.pi if self.odd else 0.0
            zero = shift + np.pi * np.round((centre - shift) / np.pi)
            places = np.sort(np.stack([zero - centre, np.zeros_like(centre)], axis=1), axis=1)
            result[small] = gaussian.expectation(
                lambda x, rows: np.maximum(self.log_abs_derivative(centre[rows, None] + x), _LOWEST)[None],
                np.sqrt(v[small]),
                0.0,
                places,
                _SINGULAR,
                refine=refine,
            )[0]
        return result

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        """exp(-s) sinh(k) or exp(-s) cosh(k)."""
        if self.odd:
            return _damped_sinh(s, k)
        return 0.5 * (np.exp(k - s) + np.exp(-k - s))

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        other = np.exp(gap - 2.0 * s) + 1.0 if self.odd else -np.expm1(gap - 2.0 * s)
        return -0.5 * np.expm1(-gap) * other

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        if self.odd:
            return 0.5 * (np.exp(-gap) + np.exp(gap - 2.0 * s))
        return _damped_sinh(s, s - gap)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        """Conditional moments; the residual sums the Hermite orders from 2 on, even ones in phi^2, odd in phi'^2."""
        value, slope = self(m), self.derivative(m)
        decay = np.exp(-0.5 * v)
        # exp(-v) (cosh v - 1) and exp(-v) (sinh v - v).
        even = 0.5 * np.expm1(-v) ** 2
        odd = np.where(v < 1.0, decay * decay * _sinh_less_argument(v), -0.5 * np.expm1(-2.0 * v) - v * np.exp(-v))
        kappa = decay * slope
        residual = even * value * value + odd * slope * slope
        return np.stack([decay * value, kappa * kappa * v + residual, kappa, residual])


def sine(frequency: float = 1.0) -> Activation:
    """Build sin(frequency u).

    Parameters
    ----------
    frequency : float
        Angular frequency, positive; 30 in SIREN (Sitzmann et al. 2020).
    """
    return _of_frequency(Wave("sin", odd=True), frequency)


def cosine(frequency: float = 1.0) -> Activation:
    """Build cos(frequency u).

    Parameters
    ----------
    frequency : float
        Angular frequency, positive.
    """
    return _of_frequency(Wave("cos", odd=False), frequency)


def _of_frequency(wave: Wave, frequency: float) -> Activation:
    checked_parameter(wave.name, "frequency", frequency)
    if frequency == 1.0:
        return wave
    return Affine(f"{wave.name}({frequency!r})", wave, 1.0, 1.0 / frequency, citation="Sitzmann et al. 2020, SIREN")


def _damped_sinh(s: FloatArray, k: FloatArray) -> FloatArray:
    """Return exp(-s) sinh(k) for |k| <= s."""
    size = np.abs(k)
    return -0.5 * np.sign(k) * np.expm1(-2.0 * size) * np.exp(size - s)


def _sinh_less_argument(v: FloatArray) -> FloatArray:
    """Return sinh(v) - v by its series, for 0 <= v < 1."""
    square = np.minimum(v, 1.0) ** 2
    total = np.zeros_like(v)
    for coefficient in _SERIES_COEFFICIENTS:
        total = (total + coefficient) * square
    return v * total
