"""The exact channel and its derivatives where they are asked for, without a table (theory (14)).

A tenth of a millisecond to some milliseconds a value, by two rules: one to search with, good to some 1e-8, and a finer
one, to which what the first is off by is the estimated error. Both are functions of r, tau and s alone. It needs numba.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.exact import direct_code
from mfmi.channels.exact.cells import activation_cells
from mfmi.channels.exact.channel import CELL_SPACING, folded_range, offset_scale
from mfmi.channels.exact.direct_code import ROWS, SUMS, VALUES
from mfmi.channels.exact.piecewise_linear import linear_segments
from mfmi.processes.machine_code import machine_code, version
from mfmi.quadrature.normal import folded_density
from mfmi.quadrature.panels import REACH, IntArray, ScalarFunction, legendre, panel_nodes, partition, ragged_range

_SOURCES = ("channels/exact/direct_code.py",)

CELL_TOLERANCE = 1e-9
PANEL, IMAGE = 2.0, 3.0
"""Longest panel in x in standard deviations, and longest image of one in noise widths."""
MOST_PLAIN = 160
"""Offsets up to which equal steps are taken; beyond, panels that are graded towards phi's features."""
FEATURE_GRADING = np.array([0.0, 1.0, 2.0, 3.2, 4.6, 6.4, REACH, 12.0])
PRIOR_GRADING = np.array([0.0, 1.2, 2.4, 3.7, 5.2, 6.8, REACH])
FOLDED, LEAST_STEP = 0.5, 0.5
"""A signal that the inner noise folds by more than that many noise widths asks for steps of the offset down to half."""
TURNS_WITHIN, ASIDE = 5, 1e-3
"""Binary logarithm of the range in which turning points are looked for, and how far from them their slope is read."""
LEVELS = 48
"""Twofold steps away from a turning point, where the channel has features of all widths from the inner noise's."""
NODES_AT_ONCE = 400_000
MOST_NODES = 3_000_000
"""Nodes of a single law beyond which there is no value: some 1e6 noise widths of a signal."""
SMALLEST_SIGNAL = 1e-7
"""r tau below which J is proportional to r."""


class Rule(NamedTuple):
    """Resolution of a quadrature.

    Attributes
    ----------
    order : nodes of a panel.
    output : step of y in noise widths.
    reach : of y beyond the signal, in noise widths.
    input : standard deviations of the inner noise and of the offset after which their laws are dropped.
    offset, prior : step of the offset, in lengths on which the channel varies and in standard deviations of its law.
    graded : nodes of a panel of offsets, where the steps are not equal.
    faint : range of a signal, in noise widths, up to which its first order will do.
    """

    order: int
    output: float
    reach: float
    input: float
    offset: float
    prior: float
    graded: int
    faint: float


ROUGH = Rule(4, 0.65, 6.0, 6.0, 0.9, 0.8, 4, 1e-2)
SECOND = Rule(6, 0.5, REACH, REACH, 0.7, 0.65, 6, 1e-4)
FINE = Rule(9, 0.36, REACH, REACH, 0.45, 0.5, 8, 1e-5)
"""To search with, good to some 1e-5; that by which the error of the last is told; and that whose values are told."""


class DirectValue(NamedTuple):
    """J, E = 2 dJ/dr, A = 2 dJ/dtau, E_r, E_tau = A_r, A_tau, 1 - r E and 1 - tau A; arrays of one shape."""

    j: FloatArray
    e: FloatArray
    a: FloatArray
    e_r: FloatArray
    e_v: FloatArray
    a_v: FloatArray
    rest_r: FloatArray
    rest_tau: FloatArray


@dataclass(frozen=True)
class _Code:
    lay: Callable[..., None]
    values: Callable[..., None]


@lru_cache(maxsize=1)
def _compiled() -> _Code:
    values = machine_code(direct_code.law_values, direct_code.INNER, _SOURCES, free=direct_code.FREE)
    return _Code(machine_code(direct_code.lay_panels, (), _SOURCES), values)


def has_small_table(phi: ScalarFunction) -> bool:
    """Whether an activation is a step or another homogeneous function, of whose table one axis, or two, are a point."""
    segments = linear_segments(phi, phi.kinks)
    return segments is not None and (segments.homogeneous_degree is not None or not any(segments.slope))


def can_be_direct(phi: ScalarFunction) -> bool:
    """Whether the channel of an activation is computed here; else, as always without numba, its table is faster."""
    return not has_small_table(phi) and version() is not None


def direct_channel(
    phi: ScalarFunction, r: FloatArray, tau: FloatArray, s: FloatArray, rule: Rule, moments: bool = True
) -> DirectValue:
    """The exact channel and its derivatives up to the second.

    Parameters
    ----------
    phi : the activation.
    r : precisions >= 0, shape (n,).
    tau, s : inner and whole variances, 0 < tau <= s, shape (n,).
    rule : the quadrature.
    moments : whether more than J is wanted; the rest is NaN otherwise.

    Returns
    -------
    DirectValue
        Of shape (n,); NaN where a variance or a precision is no number, or the signal is too strong to be resolved.
    """
    least = SMALLEST_SIGNAL / np.where(tau > 0.0, tau, 1.0)
    seen = np.maximum(r, least)
    good = np.flatnonzero(np.isfinite(seen) & np.isfinite(s) & (tau > 0.0) & (s >= tau * (1.0 - 1e-9)))
    out = np.full((VALUES, len(r)), np.nan)
    if len(good):
        row, omega, mass = offsets(phi, seen[good], tau[good], s[good], rule)
        at = good[row]
        laws = np.sqrt(seen[at]), np.sqrt(tau[at]), omega
        starts = np.searchsorted(row, np.arange(len(good)))
        values = law_values(phi, laws, rule, moments)
        out[: len(values), good] = np.add.reduceat(mass * values, starts, axis=1)
    value = DirectValue(*out)
    # Of the first order in r.
    weak = r < least
    share = np.where(weak, r / seen, 1.0)
    j = value.j * share
    return DirectValue(
        j,
        np.where(weak, 2.0 * value.j / seen, value.e),
        value.a * share,
        np.where(weak, 0.0, value.e_r),
        np.where(weak, value.a / seen, value.e_v),
        value.a_v * share,
        np.where(weak, 1.0 - 2.0 * j, value.rest_r),
        np.where(weak, 1.0 - tau * value.a * share, value.rest_tau),
    )


def law_values(
    phi: ScalarFunction, laws: tuple[FloatArray, FloatArray, FloatArray], rule: Rule, moments: bool = True
) -> FloatArray:
    """Values of neurons whose offsets are known.

    Parameters
    ----------
    phi : the activation.
    laws : roots of r and of tau, and offsets, shape (n,).
    rule : the quadrature.
    moments : whether more than J is wanted.

    Returns
    -------
    ndarray
        Shape (VALUES, n) or (1, n), as `direct_code.law_values` has it.
    """
    code, count = _compiled(), len(laws[0])
    laws = tuple(np.ascontiguousarray(part, dtype=np.float64) for part in laws)  # type: ignore[assignment]
    far = float(np.max(np.abs(laws[2]) + rule.input * laws[1]))
    cells = _cells_with_slopes(phi, max(3, int(np.ceil(np.log2(far)))))
    sizes, nodes = (rule.input, PANEL, IMAGE), legendre(rule.order)
    start, nothing = np.zeros(count + 1, dtype=np.int64), np.empty(0)
    code.lay(laws, cells, sizes, nodes, start, nothing, nothing)
    out = np.full((VALUES if moments else 1, count), np.nan)
    begin = 0
    while begin < count:
        end = max(begin + 1, int(np.searchsorted(start, start[begin] + NODES_AT_ONCE, side="right")) - 1)
        size = start[end] - start[begin]
        if size <= MOST_NODES:
            some = tuple(part[begin:end] for part in laws)
            own, x, mass = np.zeros(end - begin + 1, dtype=np.int64), *np.empty((2, size))
            code.lay(some, cells, sizes, nodes, own, x, mass)
            u = np.asarray(phi(x), dtype=np.float64)
            work = *(np.empty(int(np.max(np.diff(own)))) for _ in range(ROWS)), np.empty(SUMS)
            found = np.empty((len(out), end - begin))
            code.values(some, own, x, mass, u, rule.output, rule.reach, rule.faint, work, found)
            out[:, begin:end] = found
        begin = end
    return out


@lru_cache(maxsize=64)
def _cells_with_slopes(phi: ScalarFunction, level: int) -> tuple[FloatArray, FloatArray]:
    """Edges of phi's cells, and its steepest slope before, between and after them."""
    edges = activation_cells(phi, level, CELL_TOLERANCE).edges
    inside = np.linspace(1e-6, 1.0 - 1e-6, 9)
    slope = np.abs(phi.derivative(edges[:-1, None] + np.diff(edges)[:, None] * inside)).max(axis=1)
    return np.ascontiguousarray(edges), np.concatenate((slope[:1], slope, slope[-1:]))


def offsets(
    phi: ScalarFunction, r: FloatArray, tau: FloatArray, s: FloatArray, rule: Rule
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Offsets omega ~ N(0, s - tau) that the channel is averaged over.

    Parameters
    ----------
    phi : the activation.
    r, tau, s : precisions, inner and whole variances, shape (n,).
    rule : the quadrature.

    Returns
    -------
    tuple of ndarray
        Row of every offset, in ascending order, the offsets, and their mass.
    """
    width, deviation = np.sqrt(tau), np.sqrt(np.maximum(s - tau, 0.0))
    segments = linear_segments(phi, phi.kinks)
    scale = offset_scale(phi, width, segments)
    low, high = folded_range(phi, rule.input * deviation)
    spread = deviation > 0.0
    folded = np.sqrt(r) * tau * _sharpest_turn(phi)
    finer = np.clip(FOLDED / np.maximum(folded, FOLDED), LEAST_STEP, 1.0)
    step = np.where(spread, np.minimum(rule.offset * finer * scale, rule.prior * deviation), 1.0)
    count = np.where(spread, np.ceil((high - low) / step), 0.0)
    plain, graded = np.flatnonzero(count <= MOST_PLAIN), np.flatnonzero(count > MOST_PLAIN)
    which, number = ragged_range(np.zeros(len(plain), dtype=np.int64), count[plain].astype(np.int64) + 1)
    row = plain[which]
    step = (high - low)[row] / np.maximum(count[row], 1.0)
    omega = low[row] + step * number
    # At the ends the law is as good as 0, or goes on as its mirror image.
    mass = np.where((number == 0) | (number == count[row]), 0.5, 1.0) * step
    mass = np.where(spread[row], mass * folded_density(phi, omega, np.where(spread, deviation, 1.0)[row]), 1.0)
    if not len(graded):
        return row, omega, mass
    panel, lower, upper = _graded(phi, width[graded], deviation[graded], (low[graded], high[graded]), scale[graded])
    nodes, weights = panel_nodes(lower, upper, rule.graded)
    own = np.repeat(graded[panel], rule.graded)
    row, omega = np.concatenate((row, own)), np.concatenate((omega, nodes.ravel()))
    more = weights * folded_density(phi, nodes, deviation[graded][panel, None])
    order = np.argsort(row, kind="stable")
    return row[order], omega[order], np.concatenate((mass, more.ravel()))[order]


@lru_cache(maxsize=64)
def _sharpest_turn(phi: ScalarFunction) -> float:
    """Largest curvature of phi where it turns, 0 where it does not."""
    turning = activation_cells(phi, TURNS_WITHIN, CELL_TOLERANCE).turning
    sides = turning[:, None] + np.array([-ASIDE, ASIDE])
    return float(np.max(np.abs(phi.derivative(sides)), initial=0.0)) / ASIDE if len(turning) else 0.0


def _graded(
    phi: ScalarFunction,
    width: FloatArray,
    deviation: FloatArray,
    ends: tuple[FloatArray, FloatArray],
    scale: FloatArray,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Panels of offsets, narrow about the features of phi, which the inner noise blurs."""
    cuts = [deviation[:, None] * _both_sides(PRIOR_GRADING)]
    cuts += [kink + width[:, None] * _both_sides(FEATURE_GRADING) for kink in phi.kinks]
    if linear_segments(phi, phi.kinks) is None:
        cells = activation_cells(phi, max(3, int(np.ceil(np.log2(max(float(np.max(ends[1])), 1.0))))), CELL_TOLERANCE)
        bins = np.floor(cells.edges / CELL_SPACING)
        coarse = cells.edges[np.flatnonzero(np.diff(bins, prepend=-np.inf))]
        cuts.append(np.broadcast_to(coarse, (len(width), len(coarse))))
        far = FEATURE_GRADING[-1] * 2.0 ** np.arange(1, LEVELS)
        dyadic = _both_sides(np.concatenate((FEATURE_GRADING, far)))
        cuts += [point + width[:, None] * dyadic for point in cells.turning]
    cut = np.concatenate(cuts, axis=1)
    spacing = np.minimum(0.5 * scale, 0.3 * deviation)
    rows = np.repeat(np.arange(len(width)), cut.shape[1])
    return partition(rows, cut.ravel(), *ends, spacing)


def _both_sides(grading: FloatArray) -> FloatArray:
    return np.concatenate((-grading[:0:-1], grading))
