"""The slope of the length map of a function that jumps."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mfmi.activations._quadrature import SMALLEST_VARIANCE, Integrand, second_moment_slope
from mfmi.arguments.arrays import FloatArray

# Distance from a jump, relative to its place, at which the function is taken to be beside it.
_BESIDE = 1e-9


class Jumping(Integrand, Protocol):
    """Interface of one that jumps at some of its kinks."""

    jumps: tuple[float, ...]


def jumping_moment_slope(phi: Jumping, s: FloatArray, refine: float) -> FloatArray:
    """V'(s) of a function that jumps.

    It is `second_moment_slope` and, for the rise d of phi^2 at each jump t, d t exp(-t^2 / 2 s) / sqrt(8 pi s^3): the
    part of E[(phi^2)' u] / 2 s that the slope beside a jump does not have. As V itself it ignores phi(t).
    """
    places = np.asarray(phi.jumps)
    below, above = (_beside(phi, places, sign) for sign in (-1.0, 1.0))
    rise = places * (above * above - below * below)
    # Without rise there is nothing to add, however narrow the density at 0.
    places, rise = places[rise != 0.0], rise[rise != 0.0]
    at = np.maximum(s, SMALLEST_VARIANCE)[:, None]
    with np.errstate(under="ignore", over="ignore"):
        jumped = rise * np.exp(-0.5 * places * (places / at)) / np.sqrt(8.0 * np.pi * at) / at
    # exp(-t^2 / 2 s) is 0 long before 1 / s overflows.
    added: FloatArray = np.nan_to_num(jumped, nan=0.0, posinf=0.0, neginf=0.0).sum(axis=1)
    return second_moment_slope(phi, s, refine) + added


def _beside(phi: Jumping, places: FloatArray, sign: float) -> FloatArray:
    """Limits of phi towards places from one side, extrapolated from outside the error that a place was found with."""
    step = sign * _BESIDE * np.maximum(np.abs(places), 1.0)
    return np.asarray(2.0 * phi(places + step) - phi(places + 2.0 * step))
