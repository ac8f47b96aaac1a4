"""The ramp that stops at 6, phi(u) = min(max(u, 0), 6)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations._arguments import ONE_POINT, PAIR_MOMENTS
from mfmi.activations._base import Activation, Piece
from mfmi.activations.hard_tanh import HardTanh
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.normal import ramp_mean

_TOP = 6.0

_HARD_TANH = HardTanh()


class Relu6(Activation):
    """phi(u) = min(max(u, 0), 6): half of the hard tanh of limit 6 by symmetry, the hard tanh of limit 3 around 3."""

    citation = "Howard et al. 2017, MobileNets; normal and chi-square laws, pair moments tabulated"
    kinks: tuple[float, ...] = (0.0, _TOP)
    strictly_monotone = False
    pieces: tuple[Piece, ...] = (
        Piece(-math.inf, 0.0, "flat"),
        Piece(0.0, _TOP, "increasing"),
        Piece(_TOP, math.inf, "flat"),
    )
    slope_at_zero_squared: float = 0.5
    tabulated = PAIR_MOMENTS
    closed: frozenset[str] = ONE_POINT

    def __init__(self) -> None:
        super().__init__("relu6")

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return u limited to [0, 6]."""
        return np.clip(np.asarray(u, dtype=np.float64), 0.0, _TOP)

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return 1 in [0, 6), else 0."""
        x = np.asarray(u, dtype=np.float64)
        return np.where((x >= 0.0) & (x < _TOP), 1.0, 0.0)[()]

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 0.5 * _TOP**2 * _HARD_TANH._second_moment(s / _TOP**2)

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 0.5 * _HARD_TANH._second_moment_slope(s / _TOP**2)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return 0.5 * _HARD_TANH._slope_moment(s / _TOP**2, k) if k > 0.0 else np.ones_like(s)

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.full_like(s, -np.inf)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        half = 0.5 * _TOP
        _, variance, kappa, residual = _HARD_TANH._conditional(m / half - 1.0, v / half**2, refine)
        sigma = np.sqrt(v)
        mean = ramp_mean(m, sigma) - ramp_mean(m - _TOP, sigma)
        return np.stack([mean, half**2 * variance, kappa, half**2 * residual])

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return np.where(v > 0.0, -np.inf, self.log_abs_derivative(m))

    def _piece_log_slope(self, m: FloatArray, v: FloatArray, piece: Piece) -> FloatArray:
        return np.zeros_like(m)
