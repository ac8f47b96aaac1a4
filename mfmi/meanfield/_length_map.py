"""Fixed points of the length map: all of them, and the one that a given input reaches (theory (3)).

With hidden noise the map of `s = q + sigma_h^2` is `s -> sigma_w^2 V(s) + sigma_b^2 + sigma_h^2`. Its only function is
V, so V on one grid of s serves all networks with one activation.

`sqrt(s) V(s)` increases for every activation, being an integral of `phi(u)^2 exp(-u^2 / 2 s)`. In logarithms the map
therefore falls by less than half of what its argument rises by: wherever it comes down through the diagonal it
attracts, no two variances can follow each other in turns, and so (Coppel 1955) every input ends at a fixed point or
grows without bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.roots import Brackets, blocks, brackets, merged, signs, solve

# Below the first a fixed point counts as zero, beyond the last as absent unless V hardly grows there.
S_MIN, S_MAX = 1e-60, 1e12
# Between the first and `SCALE` every activation is V(0) + V'(0) s to twelve digits.
SCALE = 1e-12
_PER_DECADE = 24

# V hardly grows where it does so more slowly than this power of s, which makes its map a contraction.
_SATURATED = 0.25

# What V(s)/s may be off by, relatively, where two rules agree on V; a map that leaves s alone up to what V is off by
# leaves it alone. Where they differ, by this many times the largest difference nearby; the second is so much finer.
MAP_ROUNDING = 32.0 * np.finfo(np.float64).eps
_DIFFERENCES = 4.0
_REFINE = 1.25

# A slope of a homogeneous map so close to 1 that two roundings of sigma_w^2 explain the difference.
_MARGINAL = 8.0 * np.finfo(np.float64).eps

# A tangent construction that comes this close to zero, relative to the ends of its cell, is looked at more closely.
_NEAR = 0.5

# Steps after which iterates of a map that falls somewhere, which close in on a point by half, no longer swing.
_STEPS = 100


@dataclass(frozen=True)
class LengthMapGrid:
    """Moments of an activation on the grid of s that fixed points are looked for on, each of shape (m,).

    Attributes
    ----------
    s : the nodes; the last lies below `S_MAX` where an activation overflows or has no value beyond.
    second_moment, slope, slope_moment : V(s), V'(s) and `E phi'^2`.
    noise : relative error of V(s).
    increasing : whether V increases throughout.
    beyond : where a variance that grows beyond the last node ends: inf, or NaN where V has no value there.
    """

    s: FloatArray
    second_moment: FloatArray
    slope: FloatArray
    slope_moment: FloatArray
    noise: FloatArray
    increasing: bool
    beyond: float

    @property
    def known_up_to(self) -> float:
        """The variance beyond which V has no value; inf where variances beyond the last node only grow."""
        return float(self.s[-1]) if np.isnan(self.beyond) else np.inf


@lru_cache(maxsize=64)
def length_map_grid(phi: Activation) -> LengthMapGrid:
    """The grid of an activation, computed once."""
    tiny = np.geomspace(S_MIN, SCALE, round(np.log10(SCALE / S_MIN)) + 1)[:-1]
    s = np.concatenate((tiny, np.geomspace(SCALE, S_MAX, round(np.log10(S_MAX / SCALE)) * _PER_DECADE + 1)))
    with np.errstate(over="ignore", invalid="ignore"):
        second = np.asarray(phi.second_moment(s))
        # Where V has no value its rule may have millions of nodes.
        finer = np.full_like(s, np.nan)
        finer[np.isfinite(second)] = phi._second_moment(s[np.isfinite(second)], _REFINE)
        slope, slope_error = phi.with_error("second_moment_slope", s)
        noise = maximum_filter1d(np.nan_to_num(np.abs(finer / second - 1.0), posinf=0.0), _PER_DECADE + 1)
        gain = np.asarray(phi.slope_moment(s)) if phi.differentiable else np.full_like(s, np.nan)
    bad = ~(np.isfinite(second) & np.isfinite(slope))
    end = int(np.argmax(bad)) if bad.any() else len(s)
    noise = np.maximum(MAP_ROUNDING, _DIFFERENCES * noise[:end])
    increasing = bool(np.all(slope[:end] >= -(noise * second[:end] / s[:end] + slope_error[:end])))
    beyond = np.nan if bad.any() and not np.isposinf(second[end]) else np.inf
    return LengthMapGrid(s[:end], second[:end], slope[:end], gain[:end], noise, increasing, beyond)


def unsearched(phi: Activation, w2: FloatArray, shift: FloatArray) -> FloatArray:
    """Variance from which on `s -> w2 V(s) + shift` may have fixed points that are not known; inf where it has none."""
    none = np.full_like(w2, np.inf)
    if phi.homogeneous:
        return none
    grid = length_map_grid(phi)
    if np.isinf(grid.known_up_to):
        return none
    # Without weights the map is known everywhere; a shift beyond the last node is not looked at.
    out_of_reach = _grows_on(grid, w2, shift) | (w2 == 0.0) & (shift <= grid.s[-1])
    return np.where(out_of_reach, np.inf, grid.known_up_to)


def _grows_on(grid: LengthMapGrid, w2: FloatArray, shift: FloatArray) -> NDArray[np.bool_]:
    """Whether no variance between the last node and `S_MAX` is a fixed point, whatever V is there.

    `sqrt(s) V(s)` increases, hence so much of V is left that the map lies above the diagonal up to the two thirds power
    of `w2 V sqrt(s)` at the last node.
    """
    s, second = grid.s[-1], grid.second_moment[-1]
    return np.asarray((w2 * second + shift > s) & (w2 * second * np.sqrt(s) > S_MAX**1.5))


class Roots(NamedTuple):
    """Fixed points of length maps, sorted by row and then by s.

    Attributes
    ----------
    row : which map, shape (m,).
    s : the fixed point, shape (m,); 0 is one where neither bias nor noise nor phi(0) keeps it away.
    attracting : whether it attracts its neighbourhood, shape (m,).
    """

    row: NDArray[np.intp]
    s: FloatArray
    attracting: NDArray[np.bool_]


class Ends(NamedTuple):
    """Fixed point of the variance that inputs reach.

    Attributes
    ----------
    s : fixed point reached, shape (n,); inf where there is none, NaN where V has no value on the way.
    n_stable : number of attracting fixed points, shape (n,).
    """

    s: FloatArray
    n_stable: NDArray[np.int64]


def reached(
    phi: Activation, w2: FloatArray, shift: FloatArray, s_1: FloatArray, kept: FloatArray | None = None
) -> Ends:
    """Fixed point of `s -> w2 V(s) + shift` that the first layer's variance leads to.

    Parameters
    ----------
    phi : the activation.
    w2, shift, s_1 : `sigma_w^2`, `sigma_b^2 + sigma_h^2` and the variance seen by the first layer, shape (n,).
    kept : share of its variance that a layer keeps on its way, below 1; none by default.
    """
    if phi.homogeneous:
        return _reached_homogeneous(phi, w2, shift, s_1)
    kept = np.zeros_like(w2) if kept is None else kept
    grid = length_map_grid(phi)
    ends = Ends(np.empty_like(w2), np.empty(len(w2), dtype=np.int64))
    for rows in blocks(len(w2), len(grid.s)):
        part = _reached(phi, grid, w2[rows], shift[rows], s_1[rows], kept[rows])
        ends.s[rows], ends.n_stable[rows] = part
    return ends


def roots(phi: Activation, w2: FloatArray, shift: FloatArray, s_1: FloatArray) -> Roots:
    """Every fixed point of `s -> w2 V(s) + shift`; of a continuum (relu at `w2 = 2`) the start's."""
    if phi.homogeneous:
        s, _ = _reached_homogeneous(phi, w2, shift, s_1)
        slope = w2 * phi.slope_at_zero_squared
        repelling = (slope > 1.0 + _MARGINAL) & (shift == 0.0)
        row = np.flatnonzero(np.isfinite(s) | repelling)
        return Roots(row, np.where(repelling, 0.0, s)[row], ~repelling[row])
    grid = length_map_grid(phi)
    found = []
    for rows in blocks(len(w2), len(grid.s)):
        excess = _excess(grid, w2[rows], shift[rows])
        crossings = _crossings(phi, grid, excess, w2[rows], shift[rows])
        part = _roots(phi, excess, crossings, w2[rows], shift[rows])
        found.append(part._replace(row=part.row + rows.start))
    return Roots(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _roots(phi: Activation, excess: FloatArray, crossings: Brackets, w2: FloatArray, shift: FloatArray) -> Roots:
    first = signs(excess)[:, 0]
    at_zero = np.flatnonzero((first < 0) | ((w2 * float(phi.second_moment(0.0)) + shift == 0.0) & (first > 0)))
    row = np.concatenate((at_zero, crossings.row))
    s = np.concatenate((np.zeros(len(at_zero)), _solved(phi, crossings, w2, shift)))
    attracting = np.concatenate((first[at_zero] < 0, crossings.falling))
    order = np.lexsort((s, row))
    return Roots(row[order], s[order], attracting[order])


def _excess(grid: LengthMapGrid, w2: FloatArray, shift: FloatArray) -> FloatArray:
    """`map(s) / s - 1` at every node, 0 where it is rounding or the error of V; shape (n, m)."""
    signal, constant = w2[:, None] * (grid.second_moment / grid.s), shift[:, None] / grid.s
    excess: FloatArray = signal + constant - 1.0
    excess[np.abs(excess) <= grid.noise * signal + MAP_ROUNDING * (constant + 1.0)] = 0.0
    return excess


def _mismatch(phi: Activation, s: FloatArray, w2: FloatArray, shift: FloatArray) -> FloatArray:
    return np.asarray(w2 * np.asarray(phi.second_moment(s)) + shift - s) / s


def _solved(phi: Activation, crossings: Brackets, w2: FloatArray, shift: FloatArray) -> FloatArray:
    def mismatch(s: FloatArray, weight: FloatArray, constant: FloatArray) -> FloatArray:
        return _mismatch(phi, s, weight, constant)

    return solve(mismatch, crossings.lower, crossings.upper, w2[crossings.row], shift[crossings.row])


def _crossings(phi: Activation, grid: LengthMapGrid, excess: FloatArray, w2: FloatArray, shift: FloatArray) -> Brackets:
    """Changes of sign between nodes, and pairs of them within one cell: at a fold two fixed points lie close."""
    plain = brackets(grid.s, excess)
    bend = w2[:, None] * (grid.slope - grid.second_moment / grid.s) - shift[:, None] / grid.s
    left, right = excess[:, :-1], excess[:, 1:]
    sign = np.sign(left)
    turning = (sign * np.sign(right) > 0.0) & (sign * bend[:, :-1] < 0.0) & (sign * bend[:, 1:] > 0.0)
    row, cell = np.nonzero(turning)
    if not len(row):
        return plain
    a, b, da, db = (part[row, cell] for part in (left, right, bend[:, :-1], bend[:, 1:]))
    width = np.log(grid.s[cell + 1] / grid.s[cell])
    # Of a function that turns once in a cell, the end tangents meet beyond its turning point.
    tangents = a + da * (b - a - db * width) / (da - db)
    close = np.sign(a) * tangents <= _NEAR * np.minimum(np.abs(a), np.abs(b))
    row, cell, sign = row[close], cell[close], np.sign(a[close])

    def turn(s: FloatArray, weight: FloatArray, constant: FloatArray) -> FloatArray:
        moments = np.asarray(phi.second_moment_slope(s)) - np.asarray(phi.second_moment(s)) / s
        return np.asarray(weight * moments - constant / s)

    lower, upper = grid.s[cell], grid.s[cell + 1]
    middle = solve(turn, lower, upper, w2[row], shift[row])
    # Where the two ends of a cell turned the same way after all, the bend between them was rounding.
    turns = ~np.isnan(middle)
    row, sign = row[turns], sign[turns]
    lower, middle, upper = lower[turns], middle[turns], upper[turns]
    split = sign * _mismatch(phi, middle, w2[row], shift[row]) < 0.0
    first, second = Brackets(row, lower, middle, sign > 0.0), Brackets(row, middle, upper, sign < 0.0)
    return merged(plain, first.take(split), second.take(split))


def _reached(
    phi: Activation,
    grid: LengthMapGrid,
    w2: FloatArray,
    shift: FloatArray,
    s_1: FloatArray,
    kept: FloatArray,
) -> Ends:
    excess = _excess(grid, w2, shift)
    crossings = _crossings(phi, grid, excess, w2, shift)
    start = s_1 if grid.increasing else _settled(phi, w2, shift, s_1, kept)
    sign = signs(excess)
    rests_at_zero, grows_beyond = sign[:, 0] < 0, sign[:, -1] > 0
    row, _, _, attracts = crossings
    far = _far(phi, grid, w2, shift, grows_beyond)
    n_stable = np.bincount(row[attracts], minlength=len(w2)) + rests_at_zero + np.isfinite(far)
    # Iterates of an increasing map move in one direction, up to the first fixed point on their way, which attracts.
    first = _mismatch(phi, np.where(np.isnan(start), 1.0, np.maximum(start, S_MIN)), w2, shift)
    # A start beyond the last node comes down no further than to the fixed point there, if there is one.
    rising = (first > 0.0) | (start >= grid.s[-1]) & grows_beyond
    number = np.arange(len(row))
    ahead = attracts & rising[row] & (crossings.upper >= start[row])
    after = attracts & ~rising[row] & (crossings.lower <= start[row])
    chosen = np.full(len(w2), len(row))
    np.minimum.at(chosen, row[ahead], number[ahead])
    last = np.full(len(w2), -1)
    np.maximum.at(last, row[after], number[after])
    chosen = np.where(rising, np.where(chosen < len(row), chosen, -1), last)
    s = np.where(rising, far, 0.0)
    has = np.flatnonzero(chosen >= 0)
    s[has] = _solved(phi, crossings.take(chosen[has]), w2, shift)
    # A start beyond what is known of V, or one that is led there.
    lost = np.isnan(start) | (start > grid.known_up_to)
    s[lost] = np.where(_grows_on(grid, w2, shift), np.inf, np.nan)[lost]
    # A variance of 0 that nothing raises, and a map that leaves every variance alone, up to rounding.
    nothing = (s_1 <= 0.0) & (w2 * float(phi.second_moment(0.0)) + shift == 0.0)
    idle = ~excess.any(axis=1)
    return Ends(np.where(idle & (s_1 <= grid.known_up_to) | nothing, s_1, s), n_stable + idle)


def _far(
    phi: Activation, grid: LengthMapGrid, w2: FloatArray, shift: FloatArray, rising: NDArray[np.bool_]
) -> FloatArray:
    """Fixed point beyond the last node, where the map of a saturated V contracts; else what the grid says of beyond."""
    s = np.where(_grows_on(grid, w2, shift), np.inf, grid.beyond)
    if not grid.slope[-1] * grid.s[-1] <= _SATURATED * grid.second_moment[-1]:
        return s
    rows = np.flatnonzero(rising & ~np.isnan(s))
    s[rows] = grid.s[-1]
    for _ in range(_STEPS if len(rows) else 0):
        s[rows] = w2[rows] * np.asarray(phi.second_moment(s[rows])) + shift[rows]
    return s


def _reached_homogeneous(phi: Activation, w2: FloatArray, shift: FloatArray, s_1: FloatArray) -> Ends:
    """`V(s) = V(1) s`: the map is a straight line, and at slope 1 without offset every variance stays where it is."""
    slope = w2 * phi.slope_at_zero_squared
    marginal = np.abs(slope - 1.0) <= _MARGINAL
    with np.errstate(divide="ignore", invalid="ignore"):
        line = np.where(slope < 1.0, shift / (1.0 - slope), np.inf)
    steep = np.where((shift > 0.0) | (s_1 > 0.0), np.inf, 0.0)
    level = np.where(shift > 0.0, np.inf, s_1)
    s = np.where(marginal, level, np.where(slope > 1.0, steep, line))
    attracts = marginal & (shift == 0.0) | ~marginal & (slope < 1.0)
    return Ends(s, attracts.astype(np.int64))


def _settled(phi: Activation, w2: FloatArray, shift: FloatArray, s_1: FloatArray, kept: FloatArray) -> FloatArray:
    """If V decreases, iterates may jump over fixed points: follow them until they approach one from one side."""
    s = s_1
    for _ in range(_STEPS):
        with np.errstate(over="ignore", invalid="ignore"):
            known = np.isfinite(s)
            moved = w2 * np.asarray(phi.second_moment(np.where(known, s, 1.0))) + shift
            s = np.where(known, np.minimum(kept * s + (1.0 - kept) * moved, S_MAX), s)
    return s
