"""The scalar channel of a step from -1 to 1, whose information saturates: what is left to learn, without cancellation.

With x = omega / sqrt(tau), u = 1 has probability p = Phi(x). The equivocation H(u | y, omega) falls like exp(-r/2), far
below the rounding of the information itself, and E = 2 dJ/dr with it, theory (14). With t the posterior log odds and a
those before y, both are sqrt(p (1-p)) exp(-r/2) times a mean over t ~ N(a, 4 r) of an even positive function of t.
"""

import numpy as np
from scipy.special import log_ndtr

from mfmi.arguments.arrays import FloatArray

_SIZE = np.abs(np.arange(-240, 241) / 3.0)
_TAIL = np.log1p(np.exp(-_SIZE))
LOG_ODDS = np.arange(-240, 241) / 3.0
"""Nodes of a trapezoidal rule over t: its error is exp(-6 pi^2)."""
EQUIVOCATION = np.exp(0.5 * _SIZE) * _TAIL + np.exp(-0.5 * _SIZE) * (_SIZE + _TAIL)
"""exp(t/2) ln(1 + exp(-t)) + exp(-t/2) ln(1 + exp(t)) at the nodes."""
REMAINING = 2.0 / np.cosh(0.5 * _SIZE)
"""Its integrand after d/dr, by the heat equation: 2 / cosh(t/2)."""


def step_entropy(x: FloatArray) -> FloatArray:
    """Entropy of u before y is seen.

    Parameters
    ----------
    x : ndarray
        Offset over inner standard deviation.

    Returns
    -------
    ndarray
        In nats, the shape of `x`.
    """
    up, down = log_ndtr(x), log_ndtr(-x)
    return np.asarray(-np.exp(up) * up - np.exp(down) * down)


def scaled_equivocation(r: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """H(u | y, omega) and E[Var(u | y, omega)], both times exp(r/2), for r >= 1.

    Parameters
    ----------
    r : ndarray
        Precision.
    x : ndarray
        Offset over inner standard deviation; broadcasts with `r`.

    Returns
    -------
    tuple of ndarray
        Of the broadcast shape.
    """
    up, down = log_ndtr(x), log_ndtr(-x)
    width = 2.0 * np.sqrt(r)
    z = (LOG_ODDS - np.asarray(up - down)[..., None]) / width[..., None]
    law = np.exp(-0.5 * z * z)
    scale = np.exp(0.5 * (up + down)) * (LOG_ODDS[1] - LOG_ODDS[0]) / (np.sqrt(2.0 * np.pi) * width)
    return np.sum(law * EQUIVOCATION, axis=-1) * scale, np.sum(law * REMAINING, axis=-1) * scale
