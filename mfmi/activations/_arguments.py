"""Checks of what an activation's moments are asked for: clear errors for numbers that no gaussian has."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray

# The moments by which an activation enters the theory.
MOMENTS = (
    "second_moment",
    "second_moment_slope",
    "slope_moment",
    "log_slope",
    "correlation",
    "slope_correlation",
    "decorrelation",
    "slope_correlation_gap",
    "conditional",
    "conditional_log_slope",
)
# Those of two inputs, which an activation without closed forms for them keeps in a table.
PAIR_MOMENTS = frozenset({"decorrelation", "slope_correlation_gap", "correlation"})
# Those that can be in closed form; a slope correlation is asked for by its gap.
CLOSED = frozenset(MOMENTS) - {"slope_correlation"}
ONE_POINT = CLOSED - PAIR_MOMENTS - {"conditional"}

# Arguments may exceed their limits by this many units in the last place: the caller's own rounding.
_SLACK = 8.0 * np.finfo(np.float64).eps


def unresolved(name: str, largest: float) -> str:
    """Say that an activation's moments are not known beyond a variance."""
    return f"the moments of {name} cannot be resolved at variances above {largest:.4g}"


def checked_finite(name: str, value: ArrayLike) -> FloatArray:
    """The value as an array; a ValueError names the first entry that is no number."""
    array = np.asarray(value, dtype=np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(f"{name} must be finite, got {float(array[bad].flat[0])}")
    return array


def checked_variance(name: str, value: ArrayLike) -> FloatArray:
    """The value as an array; a ValueError names the first entry that is no variance."""
    array = np.asarray(value, dtype=np.float64)
    bad = ~(np.isfinite(array) & (array >= 0.0))
    if bad.any():
        raise ValueError(f"{name} must be a finite variance >= 0, got {float(array[bad].flat[0])}")
    return array


def checked_covariance(s: ArrayLike, k: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Variances and covariances of one shape, |k| <= s but for rounding, which is cut off."""
    variance, covariance = np.broadcast_arrays(checked_variance("s", s), checked_finite("k", k))
    bad = np.abs(covariance) > variance * (1.0 + _SLACK)
    if bad.any():
        raise ValueError(f"k must satisfy |k| <= s = {float(variance[bad][0])}, got {float(covariance[bad][0])}")
    return variance, np.clip(covariance, -variance, variance)


def checked_gap(s: ArrayLike, gap: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Variances and s - k of one shape, from 0 to 2 s but for rounding, which is cut off."""
    variance, difference = np.broadcast_arrays(checked_variance("s", s), checked_finite("gap", gap))
    bad = (difference < 0.0) | (difference > 2.0 * variance * (1.0 + _SLACK))
    if bad.any():
        raise ValueError(f"gap must be in [0, 2 s] with s = {float(variance[bad][0])}, got {float(difference[bad][0])}")
    return variance, np.minimum(difference, 2.0 * variance)


def checked_parameter(activation: str, name: str, value: float) -> None:
    """Refuse a parameter of an activation that is no positive finite number."""
    if not (np.isfinite(value) and value > 0.0):
        raise ValueError(f"{activation}: {name} must be a finite number > 0, got {value!r}")


def checked_moment(
    moment: str, first: ArrayLike, second: Any = 1.0
) -> tuple[str, tuple[FloatArray, ...], tuple[float, ...]]:
    """Return the private moment that serves a public one, its checked arrays, and its other arguments."""
    if moment in ("correlation", "slope_correlation"):
        s, k = checked_covariance(first, second)
        return ("correlation", (s, k), ()) if moment == "correlation" else ("slope_correlation_gap", (s, s - k), ())
    if moment in ("decorrelation", "slope_correlation_gap"):
        return moment, checked_gap(first, second), ()
    if moment in ("conditional", "conditional_log_slope"):
        return moment, (checked_finite("m", first), checked_variance("v", second)), ()
    if moment != "slope_moment":
        return moment, (checked_variance("s", first),), ()
    if not (np.ndim(second) == 0 and math.isfinite(second) and second >= 0):
        raise ValueError(f"k must be a finite number >= 0, got {second!r}")
    return moment, (checked_variance("s", first),), (float(second),)
