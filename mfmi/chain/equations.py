"""The stationarity conditions of a chain linearised, Newton's step, and when a search ends (theory (9)).

One text for the searches of all points at once and, compiled, of one point at a time: what has a place for every
matrix is a number there, and an array over the points here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mfmi.arguments.arrays import FloatArray, Number
from mfmi.channels.elementwise import chosen

_EPSILON = float(np.finfo(np.float64).eps)

# Rows of the linearised equations: mismatch of the logarithms of V and r, and the slopes of both maps of a matrix in
# its two arguments. Place l of the V rows belongs to V_{l+1} as a function of (r_l, V_l), that of the r rows to r_l as
# a function of (r_{l+1}, V_{l+1}).
V_GAP, R_GAP, V_BY_R, V_BY_V, R_BY_R, R_BY_V = range(6)


class Rules(NamedTuple):
    """Step sizes and stopping criteria of a descent; the constants of `chain.search`."""

    share: float
    max_steps: int
    patience: int
    tolerance: float
    enough: float
    near: float
    close: float
    least_pivot: float
    largest_step: float
    limits: int
    passes: int
    least_variance: float
    faintest: float
    rounding: float
    near_known: float
    onto_known: float


def variance_condition(
    mapped: Any, log_v: Number, r: Number, v_before: Number, message: tuple[Number, Number, Number]
) -> tuple[Number, Number, Number]:
    """Mismatch of `ln V` after a matrix, and its slopes in `ln r` and `ln V` before it.

    `mapped` is the ensemble's map of `message`, which is E, dE/dr and dE/dV, as in `ensembles.LogMap`.
    """
    log, by_message, by_conjugate = mapped
    e, e_r, e_v = message
    return log - log_v, by_message * r * e_r / e + by_conjugate, by_message * v_before * e_v / e


def precision_condition(
    mapped: Any, log_r: Number, v: Number, r_after: Number, message: tuple[Number, Number, Number]
) -> tuple[Number, Number, Number]:
    """Mismatch of `ln r` before a matrix, and its slopes in `ln r` and `ln V` after it.

    `mapped` is the ensemble's map of `message`, which is A, dA/dV and dA/dr.
    """
    log, by_message, by_conjugate = mapped
    a, a_v, a_r = message
    # Where A vanishes its message is held, and its logarithm has no slope.
    a = chosen(a != 0.0, a, 1.0)
    return log - log_r, by_message * r_after * a_r / a, by_message * v * a_v / a + by_conjugate


def newton_step(
    depth: int,
    linear: FloatArray,
    elimination: tuple[FloatArray, FloatArray, FloatArray],
    step_r: FloatArray,
    step_v: FloatArray,
) -> Any:
    """Solve the block tridiagonal system: eliminate the precisions from the output inwards, substitute outwards.

    Parameters
    ----------
    depth : number of matrices L.
    linear : the linearised equations, (6, L) and the shape of the points.
    elimination : space for slopes, shifts and pivots: the step of log r_l is slope_l times that of log V_{l+1}, and
        shift_l.
    step_r, step_v : steps of log r and log V; written.

    Returns
    -------
    float or ndarray
        The smallest pivot: positive at a minimum of the potential over the remaining variances, and at most 0 where the
        linearisation points to a maximum between two minima; NaN where a pivot is.
    """
    slope, shift, pivot = elimination
    slope[depth - 1], shift[depth - 1] = linear[R_BY_V, depth - 1], linear[R_GAP, depth - 1]
    for matrix in range(depth - 1, -1, -1):
        pivot[matrix] = 1.0 - linear[V_BY_R, matrix] * slope[matrix]
        if matrix > 0:
            through = slope[matrix] / pivot[matrix]
            slope[matrix - 1] = (
                linear[R_BY_V, matrix - 1] + linear[R_BY_R, matrix - 1] * through * linear[V_BY_V, matrix]
            )
            constant = shift[matrix] + through * (linear[V_BY_R, matrix] * shift[matrix] + linear[V_GAP, matrix])
            shift[matrix - 1] = linear[R_GAP, matrix - 1] + linear[R_BY_R, matrix - 1] * constant
    least = pivot[0]
    step_v[0] = (linear[V_BY_R, 0] * shift[0] + linear[V_GAP, 0]) / pivot[0]
    step_r[0] = slope[0] * step_v[0] + shift[0]
    for matrix in range(1, depth):
        least = np.minimum(least, pivot[matrix])
        driven = linear[V_BY_V, matrix] * step_v[matrix - 1] + linear[V_BY_R, matrix] * shift[matrix]
        step_v[matrix] = (driven + linear[V_GAP, matrix]) / pivot[matrix]
        step_r[matrix] = slope[matrix] * step_v[matrix] + shift[matrix]
    return least


def close_to_minimum(rules: Rules, pivot: Number, mismatch: Number, largest: Number) -> Any:
    """Whether the value is that of a minimum, by the least pivot, the mismatch and the largest of the next steps."""
    return (pivot > rules.least_pivot) & (mismatch <= rules.near) & (mismatch * largest <= rules.close)


def settled(rules: Rules, mismatch: Number, before: Number) -> Any:
    """Whether a step has gained less than a digit, small as the mismatch is already."""
    return (mismatch <= rules.enough) & (mismatch > 0.1 * before)


def damping(rules: Rules, step: int, largest: Number) -> Number:
    """Share of Newton's step that is taken, by its largest entry."""
    longest = rules.largest_step * 0.5 ** (step // rules.patience % rules.limits)
    share: Any = np.minimum(1.0, longest / np.maximum(largest, longest))
    found: Number = share
    return found


def lead(rules: Rules, passes: Any, longest: Number) -> Number:
    """Length of the step after a pass of plain iteration, in steps of that pass, the `passes`-th in a row."""
    ahead: Any = np.maximum(np.minimum(2.0 ** (passes - rules.passes), rules.largest_step / longest), 1.0)
    found: Number = ahead
    return found


def with_rounding(error: Number, total: Number, matrices: Number, rounding: float) -> Number:
    """Error of the potential with that of rounding.

    It counts with `rounding` of all information that is summed up, and with that of a number near 1 for every matrix,
    whose bracket is the logarithm of one.
    """
    least: Any = np.minimum(matrices, 2.0 * total)
    found: Number = error + rounding * total + _EPSILON * least
    return found


def to_first_order(rules: Rules, units: Number, value: Number, faintest: Number) -> tuple[Number, Any]:
    """Error of a potential of first order in a signal too faint to search, and whether it is of that order.

    `faintest` is the observed layer's information about the smallest variance that is told from nothing.
    """
    return units * faintest + rules.rounding * value, value <= rules.rounding
