"""Properties of a function of one variable estimated from its values: kinks, slope, monotone pieces."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from mfmi.arguments.arrays import FloatArray

Function = Callable[[FloatArray], FloatArray]

REACH = 30.0

_STEP = 0.01
_FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0])

# A fourth difference over steps of 0.01 above this is suspicious: it is 1e-8 phi'''' for a smooth function, 1e-4 times
# the jump of phi'' at a kink of second order.
_SUSPICIOUS = 1e-5
_REFINEMENTS = 14
_SHRINK = 4

# How fourth differences scale with the step: as its power 4 for a smooth function, 0, 1, 2 for a jump in phi, phi' or
# phi''.
_SMOOTH_POWER = 2.6
_JUMP_POWER = 0.5
_LAST = 4

# Step from which kinks are looked for that lie too close together for `_STEP`.
_CLOSE = 1e-4

# Half of the step of slopes that are compared, and share of the largest change that is rounding.
_SHORT_STEP, _NO_CURVATURE = 1e-4, 1e-6

# Found places are moved to a decimal number this close.
_SNAP = 1e-6
_SNAP_DIGITS = 4

_CENTRAL = np.array([4.0 / 5.0, -1.0 / 5.0, 4.0 / 105.0, -1.0 / 280.0])
_ONE_SIDED = np.array(
    [-761.0 / 280.0, 8.0, -14.0, 56.0 / 3.0, -35.0 / 2.0, 56.0 / 5.0, -14.0 / 3.0, 8.0 / 7.0, -1.0 / 8.0]
)


def find_kinks(f: Function) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Find where f, its slope or its second derivative jumps within [-30, 30].

    Parameters
    ----------
    f : callable
        Vectorised function.

    Returns
    -------
    kinks, jumps : tuple of float
        All such places, and those where f itself jumps.
    """
    # An offset that no decimal kink shares, so that none falls on a grid point.
    grid = np.arange(-REACH, REACH, _STEP) + 0.37 * _STEP
    fourth = _fourth_difference(f, grid, _STEP)
    values = np.abs(f(grid))
    suspicious = np.flatnonzero(fourth > _SUSPICIOUS * np.maximum(1.0, values))
    clusters = np.split(suspicious, np.flatnonzero(np.diff(suspicious) > 4) + 1)
    return _classified(f, [float(grid[part[np.argmax(fourth[part])]]) for part in clusters if part.size], _STEP)


def kinks_near(f: Function, places: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """As `find_kinks`, close to places where f is known not to be smooth on a length of `_CLOSE`."""
    ordered = np.sort(places)
    groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > 2.0 * _CLOSE) + 1)
    return _classified(f, [float(group[group.size // 2]) for group in groups if group.size], _CLOSE)


def _classified(f: Function, starts: list[float], step: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    kinks, jumps = [], []
    for start in starts:
        place, power = _locate(f, start, step)
        if power < _SMOOTH_POWER:
            kinks.append(place)
        if power < _JUMP_POWER:
            jumps.append(place)
    return tuple(dict.fromkeys(kinks)), tuple(dict.fromkeys(jumps))


def slope(f: Function, u: FloatArray, kinks: tuple[float, ...], step: float) -> FloatArray:
    """Differentiate numerically, eighth order, one-sided near kinks.

    Parameters
    ----------
    f : callable
        Vectorised function.
    u : ndarray
        Where; at a kink the right-hand slope.
    kinks : tuple of float
        Places that no stencil may cross.
    step : float
        Step of the differences.

    Returns
    -------
    ndarray, shape of u
    """
    x = np.ascontiguousarray(u, dtype=np.float64).ravel()
    places = np.array([-np.inf, *kinks, np.inf])
    right = np.searchsorted(places, x, side="right")
    to_left, to_right = x - places[right - 1], places[right] - x
    reach = 4.0 * step
    result = np.empty_like(x)
    central = (to_left > reach) & (to_right > reach)
    if central.any():
        offsets = np.arange(1, 5) * step
        at = x[central, None]
        # Where f overflows it has no slope: NaN.
        with np.errstate(over="ignore", invalid="ignore"):
            result[central] = (f(at + offsets) - f(at - offsets)) @ _CENTRAL / step
    for rows, sign in ((~central & (to_left <= to_right), 1.0), (~central & (to_left > to_right), -1.0)):
        if rows.any():
            room = np.minimum(step, np.maximum(to_left, to_right)[rows] / 9.0)[:, None]
            # The kink itself belongs to the right: a backward stencil starts just short of it anyway.
            points = x[rows, None] + sign * room * np.arange(9)
            with np.errstate(over="ignore", invalid="ignore"):
                # Of differences, so that what is constant has the slope 0 however short the step is.
                values = f(points)
                result[rows] = sign * ((values - values[:, :1]) @ _ONE_SIDED) / room[:, 0]
    return result.reshape(np.shape(u))


def sign_changes(g: Function, lower: float, upper: float, points: int = 4001, noise: float = 1e-9) -> list[float]:
    """Zeros of g in (lower, upper) with a change of sign, by bisection from a grid.

    Parameters
    ----------
    g : callable
        Vectorised continuous function.
    lower, upper : float
        Finite interval.
    points : int
        Points of the grid.
    noise : float
        Values below this fraction of the largest count as zero.

    Returns
    -------
    list of float
    """
    grid = np.linspace(lower, upper, points)[1:-1]
    values = g(grid)
    # Where g is zero to rounding (saturation) its sign means nothing.
    certain = np.flatnonzero(np.abs(values) > noise * np.max(np.abs(values), initial=0.0))
    signs = np.sign(values[certain])
    changes = np.flatnonzero(signs[:-1] != signs[1:])
    left, right = grid[certain[changes]], grid[certain[changes + 1]]
    for _ in range(60):
        middle = 0.5 * (left + right)
        same = np.sign(g(middle)) == signs[changes]
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    return [float(place) for place in 0.5 * (left + right)]


def curvature_zeros(derivative: Function, kinks: tuple[float, ...]) -> tuple[float, ...]:
    """Places within 30 of the origin where a slope has an extremum and no kink is near."""
    found = sign_changes(
        lambda u: derivative(u + _SHORT_STEP) - derivative(u - _SHORT_STEP), -REACH, REACH, noise=_NO_CURVATURE
    )
    places = [0.0 if abs(place) < _SHORT_STEP else place for place in found]
    return tuple(x for x in places if all(abs(x - kink) > 2.0 * _SHORT_STEP for kink in kinks))


def images_disjoint(f: Function, pieces: list[tuple[float, float]], reach: float) -> bool:
    """Whether the images of monotone pieces, each from its lower to its upper end, overlap at most in end points.

    Parameters
    ----------
    f : callable
        Vectorised function.
    pieces : list of tuple of float
        Ends of the pieces, possibly infinite.
    reach : float
        Distance from 0 at which the function is looked at where a piece has no end.
    """
    step = 1e-9
    ends = np.array([(max(lower, -reach) + step, min(upper, reach) - step) for lower, upper in pieces])
    images = sorted(tuple(sorted(row)) for row in f(ends).tolist())
    slack = 1e-7 * max(1.0, *(abs(value) for image in images for value in image))
    return all(later[0] >= earlier[1] - slack for earlier, later in itertools.pairwise(images))


def _fourth_difference(f: Function, x: FloatArray, step: float) -> FloatArray:
    difference: FloatArray = f(x[:, None] + step * np.arange(-2, 3)) @ _FOURTH
    return np.abs(difference)


def _locate(f: Function, place: float, step: float) -> tuple[float, float]:
    """Narrow down where the fourth difference is largest, and how that scales with the step in the end."""
    sizes = [float(_fourth_difference(f, np.array([place]), step)[0])]
    for _ in range(_REFINEMENTS):
        candidates = place + step * np.linspace(-2.5, 2.5, 10 * _SHRINK + 2)
        sharp = _fourth_difference(f, candidates, step / _SHRINK)
        best = int(np.argmax(sharp))
        noise = 200.0 * np.finfo(np.float64).eps * max(1.0, abs(float(f(candidates[best : best + 1])[0])))
        if not sharp[best] >= max(noise, np.finfo(np.float64).tiny):
            break
        place, step = float(candidates[best]), step / _SHRINK
        sizes.append(float(sharp[best]))
    if len(sizes) < 3 or sizes[0] == 0.0:
        return place, 4.0
    # Steps longer than a spike or a steep place is wide see a kink there.
    last = sizes[-_LAST:]
    power = float(np.log(last[0] / last[-1]) / np.log(_SHRINK) / (len(last) - 1))
    snapped = round(place, _SNAP_DIGITS)
    return (snapped if abs(snapped - place) < max(_SNAP, 4.0 * step) else place) + 0.0, power
