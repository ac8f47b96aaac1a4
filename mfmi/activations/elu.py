"""Exponential linear units: elu, selu and celu."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfcx, ndtr

from mfmi.activations._affine import Affine
from mfmi.activations._arguments import PAIR_MOMENTS, checked_parameter
from mfmi.activations._base import Activation
from mfmi.activations.relu import TwoSlopes
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.normal import ramp_moments

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946

# Below this variance the closed second moment is a small difference of exponential moments, and quadrature is used.
_CLOSED_FROM = 0.5


class Elu(Activation):
    """phi(u) = scale u for u > 0 and scale alpha (e^u - 1) for u < 0.

    With E_n = E[e^(n u); u < 0] = erfcx(n sqrt(s / 2)) / 2 the one-dimensional moments are closed; conditional ones are
    quadrature split at the kink, and pair moments a table over them.
    """

    citation: str = "truncated lognormal moments; Clevert et al. 2016 (elu), Klambauer et al. 2017 (selu)"
    kinks: tuple[float, ...] = (0.0,)
    pole: float = 2.5
    tabulated = PAIR_MOMENTS
    closed: frozenset[str] = frozenset({"second_moment_slope", "slope_moment", "log_slope", "conditional_log_slope"})
    alpha: float
    scale: float

    def __init__(self, name: str, alpha: float, scale: float = 1.0) -> None:
        super().__init__(
            name,
            alpha=alpha,
            scale=scale,
            lipschitz=scale * max(1.0, alpha),
            slope_at_zero_squared=0.5 * scale**2 * (1.0 + alpha**2),
            far=TwoSlopes("relu" if scale == 1.0 else f"{scale!r} relu", 0.0, scale),
        )

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return phi(u)."""
        x = np.asarray(u, dtype=np.float64)
        return (self.scale * np.where(x > 0.0, x, self.alpha * np.expm1(np.minimum(x, 0.0))))[()]

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return phi'(u), the slope of the right half at 0."""
        x = np.asarray(u, dtype=np.float64)
        return (self.scale * np.where(x >= 0.0, 1.0, self.alpha * np.exp(np.minimum(x, 0.0))))[()]

    def conditional_values(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return phi(u) and phi'(u) from one exponential."""
        below = np.expm1(np.minimum(u, 0.0))
        left = self.scale * self.alpha
        value = np.where(u > 0.0, self.scale * u, left * below)
        return value, np.where(u > 0.0, self.scale, left * (1.0 + below))

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln phi'(u)."""
        x = np.asarray(u, dtype=np.float64)
        return (math.log(self.scale) + np.where(x >= 0.0, 0.0, math.log(self.alpha) + np.minimum(x, 0.0)))[()]

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        closed = self.scale**2 * (0.5 * s + self.alpha**2 * (_below(s, 2.0) - 2.0 * _below(s, 1.0) + 0.5))
        small = s < _CLOSED_FROM
        if small.any():
            closed[small] = super()._second_moment(s[small], refine)
        return closed

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return self.scale**2 * (0.5 + self.alpha**2 * (2.0 * _below(s, 2.0) - _below(s, 1.0)))

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        powers = float(self.scale ** (2.0 * k)), float(self.alpha ** (2.0 * k))
        return powers[0] * (0.5 + powers[1] * _below(s, 2.0 * k))

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 2.0 * math.log(self.scale) + math.log(self.alpha) - np.sqrt(2.0 * s / np.pi)

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        sigma = np.sqrt(v)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            t = np.clip(np.nan_to_num(m / sigma, nan=0.0), -1e100, 1e100)
        _, excess, _ = ramp_moments(-np.abs(t))
        below = np.minimum(m, 0.0) - sigma * excess
        return math.log(self.scale) + math.log(self.alpha) * ndtr(-t) + below


def elu(alpha: float = 1.0) -> Elu:
    """Build u for u > 0, alpha (e^u - 1) for u < 0.

    Parameters
    ----------
    alpha : float
        Limit of -phi for u -> -inf, positive.
    """
    checked_parameter("elu", "alpha", alpha)
    return Elu("elu" if alpha == 1.0 else f"elu(alpha={alpha!r})", alpha)


def selu() -> Elu:
    """Build the self-normalising elu with the constants of Klambauer et al. 2017."""
    return Elu("selu", _SELU_ALPHA, _SELU_SCALE)


def celu(alpha: float = 1.0) -> Activation:
    """Build u for u > 0, alpha (e^(u / alpha) - 1) for u < 0, which has no kink of slope.

    Parameters
    ----------
    alpha : float
        Limit of -phi for u -> -inf, positive.

    Returns
    -------
    Activation
        With alpha 1 it is elu.
    """
    checked_parameter("celu", "alpha", alpha)
    if alpha == 1.0:
        return elu()
    return Affine(
        f"celu(alpha={alpha!r})", elu(), alpha, alpha, citation="Barron 2017, Continuously differentiable elu"
    )


def _below(s: FloatArray, n: float) -> FloatArray:
    """E[e^(n u); u < 0] for u ~ N(0, s)."""
    return 0.5 * erfcx(n * np.sqrt(0.5 * s))
