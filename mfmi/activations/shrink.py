"""Shrinkage: softshrink and hardshrink, which are 0 around 0, and tanhshrink, u - tanh(u)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfc, gamma, gammaincc, ndtr

from mfmi.activations import _quadrature
from mfmi.activations._affine import Affine
from mfmi.activations._arguments import ONE_POINT, PAIR_MOMENTS, checked_parameter
from mfmi.activations._base import Activation, Piece
from mfmi.activations.hard_tanh import HardTanh
from mfmi.activations.linear import Linear
from mfmi.activations.tanh import Tanh
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.normal import ramp_mean, ramp_moments

_DEFAULT = 0.5

# tanh(u) by its continued fraction below this size, where so many levels reach rounding error.
_FRACTION_BELOW, _FRACTION_DEPTH = 1.0, 10

# Probability beyond the last node of a rule, with a margin for what is averaged there.
_TAILS = 1e-14

_HARD_TANH = HardTanh()
_TANH = Tanh()
_PIECES = (Piece(-math.inf, -1.0, "increasing"), Piece(-1.0, 1.0, "flat"), Piece(1.0, math.inf, "increasing"))
_SOFT_CITATION = "Donoho 1995, De-noising by soft-thresholding"
_HARD_CITATION = "Donoho & Johnstone 1994, Ideal spatial adaptation by wavelet shrinkage"


class _Shrink(Activation):
    """Threshold 1: slope 1 outside [-1, 1], 0 inside."""

    odd = True
    kinks: tuple[float, ...] = (-1.0, 1.0)
    strictly_monotone = False
    pieces: tuple[Piece, ...] = _PIECES
    slope_at_zero_squared: float = 0.0

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 1 outside [-1, 1), else 0."""
        x = np.asarray(u, dtype=np.float64)
        return np.where((x < -1.0) | (x >= 1.0), 1.0, 0.0)[()]

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.full_like(s, -np.inf)

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.where(v > 0.0, -np.inf, self.log_abs_derivative(m))

    def _piece_log_slope(self, m: FloatArray, v: FloatArray, piece: Piece) -> FloatArray:
        return np.zeros_like(m)

    def _rounding(self, moment: str, value: FloatArray, *arguments: Any) -> FloatArray:
        """Add the tails that quadrature leaves out: within the dead zone they are all there is."""
        if moment in self.closed:
            return super()._rounding(moment, value, *arguments)
        variance = arguments[1] if moment == "conditional" else arguments[0]
        tails: FloatArray = _TAILS * np.maximum(1.0, variance)
        return super()._rounding(moment, value, *arguments) + tails


class SoftShrink(_Shrink):
    """phi(u) = u - min(1, max(-1, u)): two ramps, with the residual of the hard tanh."""

    citation = f"{_SOFT_CITATION}; normal law, pair moments tabulated"
    tabulated = PAIR_MOMENTS
    closed: frozenset[str] = ONE_POINT

    def __init__(self) -> None:
        super().__init__("softshrink(lambd=1.0)")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return what of u lies outside [-1, 1]."""
        x = np.asarray(u, dtype=np.float64)
        return x - np.clip(x, -1.0, 1.0)

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 2.0 * s * ramp_moments(-_inverse_root(s))[2]

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        """E[phi'^2 + phi phi''], where phi phi'' is 0."""
        return self._slope_moment(s, 1.0)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return erfc(_inverse_root(s) / math.sqrt(2.0)) if k > 0.0 else np.ones_like(s)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        sigma = np.sqrt(v)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            right, left = (
                np.clip(np.nan_to_num((side * m - 1.0) / sigma, nan=0.0), -1e100, 1e100) for side in (1.0, -1.0)
            )
        kappa = ndtr(right) + ndtr(left)
        residual = _HARD_TANH._conditional(m, v, refine)[3]
        return np.stack(
            [ramp_mean(m - 1.0, sigma) - ramp_mean(-m - 1.0, sigma), kappa * kappa * v + residual, kappa, residual]
        )


class HardShrink(_Shrink):
    """phi(u) = u outside [-1, 1], 0 inside; it jumps, so that E phi'^2 does not exist."""

    citation = f"{_HARD_CITATION}; gamma laws, pair moments by quadrature split at the jumps"
    jumps: tuple[float, ...] = (-1.0, 1.0)
    differentiable = False
    lipschitz: float = math.inf
    slope_at_zero_squared: float = math.nan
    closed: frozenset[str] = ONE_POINT

    def __init__(self) -> None:
        super().__init__("hardshrink(lambd=1.0)")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u where |u| > 1, else 0."""
        x = np.asarray(u, dtype=np.float64)
        return np.where(np.abs(x) > 1.0, x, 0.0)[()]

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return s * gammaincc(1.5, 0.5 * _inverse_root(s) ** 2)

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        half_square = 0.5 * _inverse_root(s) ** 2
        jump = half_square**1.5 * np.exp(-half_square) / gamma(1.5)
        return np.asarray(gammaincc(1.5, half_square) + np.nan_to_num(jump, nan=0.0), dtype=np.float64)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return np.full_like(s, np.nan)

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        equal = (gap == 0.0) | (gap == 2.0 * s)
        # Two equal inputs jump together.
        result = np.where(s > 0.0, np.where(gap == 0.0, np.inf, -np.inf), 0.0)
        result[~equal] = super()._slope_correlation_gap(s[~equal], gap[~equal], refine)
        return result

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return _quadrature.conditional(self, m, v, refine, stein_split=True)


class TanhShrink(Activation):
    """phi(u) = u - tanh(u): about u^3 / 3 near 0, u -+ 1 far away."""

    citation = "quadrature as for tanh, pair moments tabulated"
    odd = True
    pole: float = 0.5 * math.pi
    slope_at_zero_squared: float = 0.0
    slope_zeros: tuple[float, ...] = (0.0,)
    far: Activation | None = Linear()
    tabulated = PAIR_MOMENTS

    def __init__(self) -> None:
        super().__init__("tanhshrink")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u - tanh(u), near 0 from the continued fraction of tanh, u / (1 + c), as u c / (1 + c)."""
        x = np.asarray(u, dtype=np.float64)
        small = np.clip(x, -_FRACTION_BELOW, _FRACTION_BELOW)
        square = small * small
        tail = np.zeros_like(square)
        for level in range(_FRACTION_DEPTH, 0, -1):
            tail = square / (2.0 * level + 1.0 + tail)
        return np.where(np.abs(x) < _FRACTION_BELOW, x * tail / (1.0 + tail), x - np.tanh(x))[()]

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return tanh(u)^2."""
        return np.tanh(np.asarray(u, dtype=np.float64)) ** 2

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return 2 ln|tanh(u)|, far from 0 from what tanh lacks to 1."""
        decay = np.exp(-2.0 * np.abs(np.asarray(u, dtype=np.float64)))
        with np.errstate(divide="ignore"):
            return 2.0 * (np.log(-np.expm1(-2.0 * np.abs(np.asarray(u, dtype=np.float64)))) - np.log1p(decay))


def softshrink(lambd: float = _DEFAULT) -> Activation:
    """Build u -+ lambd outside [-lambd, lambd], 0 inside.

    Parameters
    ----------
    lambd : float
        Threshold, positive.
    """
    return _stretched("softshrink", SoftShrink(), lambd, _SOFT_CITATION)


def hardshrink(lambd: float = _DEFAULT) -> Activation:
    """Build u outside [-lambd, lambd], 0 inside.

    Parameters
    ----------
    lambd : float
        Threshold, positive.
    """
    return _stretched("hardshrink", HardShrink(), lambd, _HARD_CITATION)


def _stretched(name: str, inner: Activation, lambd: float, citation: str) -> Activation:
    checked_parameter(name, "lambd", lambd)
    if lambd == 1.0:
        return inner
    full = name if lambd == _DEFAULT else f"{name}(lambd={lambd!r})"
    return Affine(full, inner, lambd, lambd, citation=citation)


def _inverse_root(s: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", over="ignore"):
        return np.minimum(s**-0.5, 1e100)
