"""Steepest slope of a function of which only values are known, near 0 and as far out as it can be followed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mfmi.activations import _probe
from mfmi.arguments.arrays import FloatArray

Function = Callable[[FloatArray], FloatArray]

# Shells beyond the probes' reach, each twice as far out as the one before, and places in each half of one.
_SHELLS, _PLACES = 9, 257
# Growth of the steepest slope, relative to it, that may be rounding, and by which slopes may differ that are resolved.
_GROWTH, _RESOLVED = 1e-6, 1e-3
# Where growth from shell to shell shrinks no faster than by this factor it is taken to have no end: that of a logarithm
# is 1, that of a power above it, and of what approaches a limit as 1/u it is one half.
_ENDLESS = 0.9


def refined(slope: Function, grid: FloatArray, size: FloatArray) -> float:
    """Refine the largest |slope| on a grid by two finer grids around it."""
    for _ in range(2):
        at = int(np.argmax(size))
        grid = np.linspace(grid[max(at - 1, 0)], grid[min(at + 1, grid.size - 1)], 201)
        size = np.abs(slope(grid))
    return float(size.max())


def supremum(slope: Function, second: Function, inner: float) -> float:
    """Extrapolate sup |slope| over the whole line from what it is within growing distances of 0.

    Parameters
    ----------
    slope, second : callable
        The slope, and the slope by another step: where the two differ, neither counts.
    inner : float
        Largest |slope| within the probes' reach.

    Returns
    -------
    float
        inf where it grows without a sign of an end; never below `inner`.
    """
    largest = [inner]
    for shell in range(_SHELLS):
        places = _probe.REACH * np.linspace(2.0**shell, 2.0 ** (shell + 1), _PLACES)
        places = np.concatenate([-places[::-1], places])
        with np.errstate(all="ignore"):
            found, other = slope(places), second(places)
        size = float(np.max(np.abs(found)))
        if not np.max(np.abs(found - other)) <= _RESOLVED * max(size, inner):
            break
        largest.append(max(largest[-1], size))
    growth = np.diff(largest)
    if not growth.size or growth[-1] <= _GROWTH * largest[-1]:
        return largest[-1]
    shrinks = growth[-1] / growth[-2] if growth.size > 1 and growth[-2] > 0.0 else math.inf
    if shrinks >= _ENDLESS:
        return math.inf
    return float(largest[-1] + growth[-1] * shrinks / (1.0 - shrinks))
