"""Panels on which a function is a polynomial to rounding, found by bisection, and reference moments from them.

The rules that moments are computed with are chosen by comparison with these moments. They share nothing with the rules:
their nodes are dense where the function asks for it, and every panel is checked at points between its nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from mfmi.activations import _probe
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian

Function = Callable[[FloatArray], FloatArray]

# Panels to start with: of one width within reach of the probes, where the function is looked at in steps of `_SIGHT`,
# and growing with the distance further out.
_WIDTH, _GROWTH, _SHELL = 0.25, 1.25, 3
_SIGHT = 1e-4
_FEWEST_CHECKS = 41
_FARTHEST = 1e4

_ORDER = 20
_ACCURACY = 1e-10
# A panel this narrow that is no polynomial holds a kink.
_NARROWEST = 1e-6
_MOST_PANELS = 1 << 14

# Of the reference moments: standard deviations, and deviations per panel.
_TAIL = 9.0
_PANEL = 1.0


@dataclass(frozen=True)
class Panels:
    """A partition of a stretch around 0.

    Attributes
    ----------
    lower, upper : ndarray, shape (n,)
        Panels in ascending order, on each of which the function is a polynomial of degree 19 to 1e-10 of its size.
    reach : float
        They cover [-reach, reach].
    unresolved : ndarray
        Places within the probes' reach where the function is no polynomial however narrow the panel.
    """

    lower: FloatArray
    upper: FloatArray
    reach: float
    unresolved: FloatArray

    def places(self, within: float) -> FloatArray:
        """Points in every panel that begins within a distance of 0, more where panels are narrow."""
        near = np.abs(self.lower) < within
        lower, width = self.lower[near, None], (self.upper - self.lower)[near, None]
        points: FloatArray = (lower + width * np.array([0.13, 0.37, 0.61, 0.89])).ravel()
        return points

    def difficulty(self) -> str:
        """The place where it varies fastest, in words."""
        if self.unresolved.size:
            place = float(self.unresolved[np.argmin(np.abs(self.unresolved))])
            return f"at u = {place:.6g} it is no smooth function between kinks, however closely one looks"
        narrowest = int(np.argmin(self.upper - self.lower))
        return f"it varies fastest near u = {float(self.lower[narrowest]):.6g}"

    def rule(self, m: float, sigma: float) -> tuple[FloatArray, FloatArray] | None:
        """Nodes and weights for E f(m + sigma g), f as smooth as the square of the function; None out of reach."""
        low, high = m - _TAIL * sigma, m + _TAIL * sigma
        if max(-low, high) > self.reach:
            return None
        first, last = np.searchsorted(self.upper, low, side="right"), np.searchsorted(self.lower, high)
        lower, upper = np.maximum(self.lower[first:last], low), np.minimum(self.upper[first:last], high)
        parts = np.maximum(np.ceil((upper - lower) / (_PANEL * sigma)), 2.0).astype(np.int64)
        width = np.repeat((upper - lower) / parts, parts)
        start = np.repeat(lower, parts) + width * (np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts))
        t, w = gaussian.legendre_rule(_ORDER)
        x = (start[:, None] + width[:, None] * t).ravel()
        z = (x - m) / sigma
        weights = (width[:, None] * w).ravel() * np.exp(-0.5 * z * z)
        return x, weights / weights.sum()


def resolve(f: Function, kinks: tuple[float, ...]) -> Panels:
    """Bisect panels until the function is resolved on every one.

    Parameters
    ----------
    f : callable
        Vectorised function.
    kinks : tuple of float
        Where it is known not to be smooth.
    """
    size = float(np.max(np.abs(f(np.linspace(-1.0, 1.0, 101)))))
    near = _partition(f, np.arange(-_probe.REACH, _probe.REACH + _WIDTH, _WIDTH), kinks, size, _SIGHT)
    done, failed = near
    unresolved = np.unique(0.5 * (failed[0] + failed[1]))
    if unresolved.size:
        inner = float(np.min(np.abs(unresolved), initial=_probe.REACH))
        return Panels(*done, inner, unresolved)
    sides, reach = [done], _probe.REACH
    while reach < _FARTHEST and sum(lower.size for lower, _ in sides) < _MOST_PANELS:
        outward: FloatArray = reach * _GROWTH ** np.arange(_SHELL + 1, dtype=np.float64)
        shells = [_partition(f, edges, kinks, size, math.inf) for edges in (outward, -outward[::-1])]
        sides.extend(resolved for resolved, _ in shells)
        stops = [np.abs(place) for _, failed in shells for place in failed]
        reach = float(np.min(np.concatenate(stops), initial=outward[-1]))
        if reach < outward[-1]:
            break
    lower, upper = (np.concatenate(parts) for parts in zip(*sides, strict=True))
    order = np.argsort(lower)
    return Panels(lower[order], upper[order], reach, unresolved)


def _partition(
    f: Function, edges: FloatArray, kinks: tuple[float, ...], size: float, sight: float
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """Resolved panels between the first edge and the last, and those that are too narrow or too many."""
    places = np.asarray([kink for kink in kinks if edges[0] < kink < edges[-1]])
    edges = np.unique(np.concatenate([edges, places]))
    lower, upper = edges[:-1], edges[1:]
    resolved: list[tuple[FloatArray, FloatArray]] = []
    failed: list[tuple[FloatArray, FloatArray]] = []
    count = 0
    while lower.size:
        smooth = np.concatenate([_smooth(f, a, b, size, sight) for a, b in _chunks(lower, upper, sight)])
        resolved.append((lower[smooth], upper[smooth]))
        count += int(smooth.sum())
        lower, upper = lower[~smooth], upper[~smooth]
        floor = _NARROWEST * np.maximum(1.0, np.abs(lower))
        stop = (upper - lower < floor) | (count + 2 * lower.size > _MOST_PANELS)
        failed.append((lower[stop], upper[stop]))
        lower, upper = lower[~stop], upper[~stop]
        middle = 0.5 * (lower + upper)
        lower, upper = np.concatenate([lower, middle]), np.concatenate([middle, upper])
    parts = [tuple(np.concatenate(side) for side in zip(*blocks, strict=True)) for blocks in (resolved, failed)]
    order = np.argsort(parts[0][0])
    return (parts[0][0][order], parts[0][1][order]), (parts[1][0], parts[1][1])


def _chunks(lower: FloatArray, upper: FloatArray, sight: float) -> list[tuple[FloatArray, FloatArray]]:
    each = max(1, (1 << 18) // _checks(lower, upper, sight))
    return [(lower[i : i + each], upper[i : i + each]) for i in range(0, lower.size, each)]


def _checks(lower: FloatArray, upper: FloatArray, sight: float) -> int:
    return max(_FEWEST_CHECKS, math.ceil(float(np.max(upper - lower)) / sight))


def _smooth(f: Function, lower: FloatArray, upper: FloatArray, size: float, sight: float) -> NDArray[np.bool_]:
    """Whether the polynomial through the Gauss nodes of a panel is the function between them."""
    t, w = gaussian.legendre_rule(_ORDER)
    degrees = np.arange(_ORDER)
    to_coefficients = legendre.legvander(2.0 * t - 1.0, _ORDER - 1) * w[:, None] * (2.0 * degrees + 1.0)
    checks = (np.arange(_checks(lower, upper, sight)) + 0.5) / _checks(lower, upper, sight)
    width = (upper - lower)[:, None]
    values = f(lower[:, None] + width * t)
    between = f(lower[:, None] + width * checks)
    largest = np.maximum(np.max(np.abs(values), axis=1), size)
    # A panel in which the function overflows is not resolved.
    with np.errstate(invalid="ignore", over="ignore"):
        found = values @ to_coefficients @ legendre.legvander(2.0 * checks - 1.0, _ORDER - 1).T
        close: NDArray[np.bool_] = np.max(np.abs(found - between), axis=1) <= _ACCURACY * largest
    return close
