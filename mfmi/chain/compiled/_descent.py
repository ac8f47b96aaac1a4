"""Newton's method for one chain at a time: what `chain.newton` does for arrays, written for a compiler.

No array is made here, because counting the references to arrays costs more than the arithmetic between them.
"""

from __future__ import annotations

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.chain.compiled._channel import (
    A_V,
    E_R,
    E_V,
    REST_R,
    REST_V,
    A,
    E,
    J,
    evaluate_layer,
    layer_error,
    layer_information,
)
from mfmi.chain.compiled._state import Found, Known, PackedPoints, Work
from mfmi.chain.ensembles import (
    gaussian_bracket,
    gaussian_precision,
    gaussian_variance,
    rotated_bracket,
    rotated_precision,
    rotated_variance,
)
from mfmi.chain.equations import (
    R_BY_R,
    R_BY_V,
    R_GAP,
    V_BY_R,
    V_BY_V,
    V_GAP,
    Rules,
    close_to_minimum,
    damping,
    lead,
    newton_step,
    precision_condition,
    settled,
    to_first_order,
    variance_condition,
    with_rounding,
)
from mfmi.channels.elementwise import gaussian_input, gaussian_output, information_of

_TINY = float(np.finfo(np.float64).tiny)


def descend(points: PackedPoints, rules: Rules, known: Known, work: Work, found: Found) -> None:
    """Search every point's minimum from one start; see `chain.newton.descend`."""
    for point in range(points.length.size):
        depth: int = points.length[point]
        for matrix in range(depth):
            work.r[matrix] = 0.0
        _forward(points, point, work)
        usable = True
        for matrix in range(depth):
            usable = usable and 0.0 < work.v[matrix] < np.inf
        found.residual[point], found.value[point], found.rest[point] = np.inf, np.nan, np.nan
        found.error[point] = found.mmse[point] = found.pivot[point] = np.nan
        found.known[point] = -1
        for matrix in range(depth):
            work.log_r[matrix] = work.log_v[matrix] = np.nan
        if work.v[depth - 1] < rules.least_variance:
            _to_first_order(points, rules, point, work, found)
        elif usable:
            _begin(points, rules, point, work)
            _search(points, rules, known, point, work, found)
        for matrix in range(depth):
            found.r[point, matrix], found.v[point, matrix] = np.exp(work.log_r[matrix]), np.exp(work.log_v[matrix])


def _to_first_order(points: PackedPoints, rules: Rules, point: int, work: Work, found: Found) -> None:
    """See `chain.newton._to_first_order`; `work` is that of a forward pass without precisions."""
    depth, units = points.length[point], 1.0
    for matrix in range(depth):
        units *= points.alpha[matrix]
        work.log_r[matrix], work.log_v[matrix] = -np.inf, np.log(work.v[matrix])
    value = units * work.m[depth, J]
    found.rest[point], found.mmse[point] = 1.0, work.m[0, E]
    _output(points, point, rules.faintest, work.m[depth])
    error, faint = to_first_order(rules, units, value, work.m[depth, J])
    if faint:
        found.residual[point], found.pivot[point], found.value[point], found.error[point] = 0.0, 1.0, value, error


def _begin(points: PackedPoints, rules: Rules, point: int, work: Work) -> None:
    depth: int = points.length[point]
    if rules.share < 1.0:
        for matrix in range(depth):
            work.v[matrix] = max(work.v[matrix] * rules.share, _TINY)
        _sweep(points, point, work)
    _sweep(points, point, work)
    for matrix in range(depth):
        work.step_r[matrix] = work.step_v[matrix] = 0.0


def _sweep(points: PackedPoints, point: int, work: Work) -> None:
    """Precisions from variances and variances from precisions: one pass from the output inwards and one back."""
    _backward(points, point, work)
    _forward(points, point, work)
    for matrix in range(points.length[point]):
        work.v[matrix] = max(work.v[matrix], _TINY)
        work.log_r[matrix], work.log_v[matrix] = np.log(work.r[matrix]), np.log(work.v[matrix])


def _search(points: PackedPoints, rules: Rules, known: Known, point: int, work: Work, found: Found) -> None:
    depth, passes = points.length[point], 0
    for step in range(rules.max_steps):
        mismatch = _linearise(points, point, work)
        done = mismatch <= rules.tolerance or settled(rules, mismatch, found.residual[point])
        found.residual[point] = mismatch if np.isfinite(mismatch) else np.inf
        elimination = (work.slope, work.shift, work.pivot)
        pivot = newton_step(depth, work.linear, elimination, work.new_r, work.new_v)
        found.pivot[point] = pivot
        minimum = pivot > rules.least_pivot
        largest = _largest(work.new_r, work.new_v, depth)
        close = close_to_minimum(rules, pivot, mismatch, largest)
        done = done or close
        if step == rules.max_steps - 1 and minimum and largest <= rules.near:
            done = done or _gradient(depth, work) <= rules.tolerance
        if done:
            _evaluate(points, rules, point, work, found, close)
            return
        found.known[point] = _ahead(rules, known, point, depth, work) if minimum else -1
        if found.known[point] >= 0:
            return
        if np.isfinite(mismatch) and not minimum:
            passes += 1
            _pass(points, rules, point, passes, work)
            for matrix in range(depth):
                work.step_r[matrix] = work.step_v[matrix] = 0.0
            continue
        passes = 0
        if np.isfinite(largest):
            share = damping(rules, step, largest)
            for matrix in range(depth):
                work.step_r[matrix], work.step_v[matrix] = share * work.new_r[matrix], share * work.new_v[matrix]
        else:
            # A step that left the domain is taken back and retried at a quarter of its length.
            if _largest(work.step_r, work.step_v, depth) == 0.0:
                return
            for matrix in range(depth):
                work.log_r[matrix] -= work.step_r[matrix]
                work.log_v[matrix] -= work.step_v[matrix]
                work.step_r[matrix] *= 0.25
                work.step_v[matrix] *= 0.25
        for matrix in range(depth):
            work.log_r[matrix] += work.step_r[matrix]
            work.log_v[matrix] += work.step_v[matrix]
            work.r[matrix], work.v[matrix] = np.exp(work.log_r[matrix]), np.exp(work.log_v[matrix])
        _messages(points, point, work)


def _ahead(rules: Rules, known: Known, point: int, depth: int, work: Work) -> int:
    """See `chain.newton._ahead`."""
    for one in range(known.log_r.shape[0]):
        here, there, near = 0.0, 0.0, True
        for matrix in range(depth):
            way_r = known.log_r[one, point, matrix] - work.log_r[matrix]
            way_v = known.log_v[one, point, matrix] - work.log_v[matrix]
            here = max(here, abs(way_r), abs(way_v))
            there = max(there, abs(way_r - work.new_r[matrix]), abs(way_v - work.new_v[matrix]))
            near = near and abs(way_r) <= rules.near_known and abs(way_v) <= rules.near_known
            if not near:
                break
        if near and there <= rules.onto_known * here:
            return one
    return -1


def _pass(points: PackedPoints, rules: Rules, point: int, passes: int, work: Work) -> None:
    """See `chain.newton._pass`."""
    depth, before, longest = points.length[point], work.step_v, 0.0
    for matrix in range(depth):
        before[matrix] = work.log_v[matrix]
    _sweep(points, point, work)
    if passes <= rules.passes:
        return
    for matrix in range(depth):
        longest = max(longest, abs(work.log_v[matrix] - before[matrix]))
    ahead = lead(rules, passes, longest)
    for matrix in range(depth):
        work.v[matrix] = np.exp(before[matrix] + ahead * (work.log_v[matrix] - before[matrix]))
    _sweep(points, point, work)


def _largest(r: FloatArray, v: FloatArray, depth: int) -> float:
    """Largest absolute entry; NaN where there is one."""
    largest = 0.0
    for matrix in range(depth):
        size = max(abs(r[matrix]), abs(v[matrix])) if v[matrix] == v[matrix] and r[matrix] == r[matrix] else np.nan
        if not size <= largest:
            largest = size
        if largest != largest:
            break
    return largest


def _source(points: PackedPoints, point: int, r: float, out: FloatArray) -> None:
    """See `channels.protocols.Source`."""
    if points.from_layer:
        evaluate_layer(points.first, point, 0, r, points.source[point], out)
        return
    variance = points.source[point]
    out[E], out[E_R], out[REST_R] = gaussian_input(r, variance)
    out[J] = information_of(variance * r)


def _output(points: PackedPoints, point: int, v: float, out: FloatArray) -> None:
    """See `channels.observed.outputs.GaussianOutput`."""
    noise = points.noise[point]
    out[A], out[A_V], out[REST_V] = gaussian_output(v, noise)
    out[E_V], out[J] = 0.0, information_of(v / noise)


def _variance(points: PackedPoints, point: int, matrix: int, message: FloatArray) -> tuple[float, float, float]:
    """See `ensembles.Ensemble.variance`."""
    scale, alpha = points.sigma_w2[point, matrix], points.alpha[matrix]
    if points.rotates[matrix]:
        return rotated_variance(scale, alpha, message[E], message[REST_R])
    return gaussian_variance(scale, message[E]), 1.0, 0.0


def _precision(
    points: PackedPoints, point: int, matrix: int, message: FloatArray, v: float
) -> tuple[float, float, float]:
    """See `ensembles.Ensemble.precision`."""
    alpha = points.alpha[matrix]
    scale = alpha * points.sigma_w2[point, matrix]
    if points.rotates[matrix]:
        return rotated_precision(scale, alpha, message[A], v, message[REST_V])
    return gaussian_precision(scale, message[A], v)


def _forward(points: PackedPoints, point: int, work: Work) -> None:
    """Variances that belong to given precisions, and all messages: one pass from the source outwards."""
    depth: int = points.length[point]
    _source(points, point, work.r[0], work.m[0])
    for matrix in range(depth):
        work.v[matrix] = np.exp(_variance(points, point, matrix, work.m[matrix])[0])
        if matrix + 1 < depth:
            evaluate_layer(points.layers, point, matrix, work.r[matrix + 1], work.v[matrix], work.m[matrix + 1])
    _output(points, point, work.v[depth - 1], work.m[depth])


def _backward(points: PackedPoints, point: int, work: Work) -> None:
    """Precisions that belong to given variances: one pass from the output inwards."""
    depth: int = points.length[point]
    _output(points, point, work.v[depth - 1], work.m[depth])
    for matrix in range(depth - 1, -1, -1):
        work.r[matrix] = np.exp(_precision(points, point, matrix, work.m[matrix + 1], work.v[matrix])[0])
        if matrix:
            evaluate_layer(points.layers, point, matrix - 1, work.r[matrix], work.v[matrix - 1], work.m[matrix])


def _messages(points: PackedPoints, point: int, work: Work) -> None:
    """See `chain.potential.messages`."""
    depth: int = points.length[point]
    _source(points, point, work.r[0], work.m[0])
    for matrix in range(1, depth):
        evaluate_layer(points.layers, point, matrix - 1, work.r[matrix], work.v[matrix - 1], work.m[matrix])
    _output(points, point, work.v[depth - 1], work.m[depth])


def _linearise(points: PackedPoints, point: int, work: Work) -> float:
    """See `chain.newton._linearise`; returns the largest mismatch, NaN where there is one."""
    depth, linear = points.length[point], work.linear
    for matrix in range(depth):
        before, after, v = work.m[matrix], work.m[matrix + 1], work.v[matrix]
        v_before = work.v[matrix - 1] if matrix else 0.0
        r_after = work.r[matrix + 1] if matrix + 1 < depth else 0.0
        linear[V_GAP, matrix], linear[V_BY_R, matrix], linear[V_BY_V, matrix] = variance_condition(
            _variance(points, point, matrix, before),
            work.log_v[matrix],
            work.r[matrix],
            v_before,
            (before[E], before[E_R], before[E_V]),
        )
        linear[R_GAP, matrix], linear[R_BY_R, matrix], linear[R_BY_V, matrix] = precision_condition(
            _precision(points, point, matrix, after, v),
            work.log_r[matrix],
            v,
            r_after,
            (after[A], after[A_V], after[E_V]),
        )
    return _largest(linear[V_GAP], linear[R_GAP], depth)


def _gradient(depth: int, work: Work) -> float:
    """See `chain.newton._gradient`."""
    slope = largest = 0.0
    for matrix in range(depth):
        by_r, by_v = abs(work.r[matrix] * work.m[matrix, E]), abs(work.m[matrix + 1, A] * work.v[matrix])
        slope = max(slope, by_r * abs(work.linear[V_GAP, matrix]), by_v * abs(work.linear[R_GAP, matrix]))
        largest = max(largest, by_r, by_v)
    return slope / largest


def _evaluate(points: PackedPoints, rules: Rules, point: int, work: Work, found: Found, stepped: bool) -> None:
    """The potential where the search has ended and its error, see `chain.potential.potential_error`.

    r, V and the mean squared error of the source are those after one more step if `stepped`.
    """
    depth, rest, ratio, matrices, error = points.length[point], np.inf, 1.0, 0.0, 0.0
    value = work.m[0, J]
    if points.from_layer:
        value = layer_information(points.first, point, 0, work.r[0], points.source[point], work.m[0])
        error = layer_error(points.first, 0, work.m[0])
    total = value
    for matrix in range(depth):
        before, after, v, r = work.m[matrix], work.m[matrix + 1], work.v[matrix], work.r[matrix]
        alpha = points.alpha[matrix]
        if points.rotates[matrix]:
            bracket = rotated_bracket(alpha, after[A], v, after[REST_V])
        else:
            bracket = gaussian_bracket(points.sigma_w2[point, matrix], alpha, r, before[E], after[A], v)
        value -= 0.5 * ratio * bracket
        matrices += ratio
        ratio *= alpha
        information = after[J]
        if matrix + 1 < depth:
            information = layer_information(points.layers, point, matrix, work.r[matrix + 1], v, after)
            error += ratio * layer_error(points.layers, matrix, after)
        value += ratio * information
        total += ratio * information
        rest = min(rest, after[REST_V])
    found.value[point], found.rest[point], found.mmse[point] = value, rest, work.m[0, E]
    found.error[point] = with_rounding(error, total, matrices, rules.rounding)
    if stepped:
        found.mmse[point] += work.m[0, E_R] * work.r[0] * work.new_r[0]
        for matrix in range(depth):
            work.log_r[matrix] += work.new_r[matrix]
            work.log_v[matrix] += work.new_v[matrix]
