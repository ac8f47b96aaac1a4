"""Newton's method for all points of a chain at once, with plain iteration where that points to no minimum.

Layer l turns `(r_l, V_l)` into the next variance and the previous precision, so the linearised equations are block
tridiagonal and one Newton step costs one evaluation of the channels and two passes over the layers. Newton, because
plain iteration needs hundreds of steps at low noise; on logarithms, because the unknowns span twenty orders of
magnitude.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.chain.compiled import Found, Known
from mfmi.chain.equations import (
    R_GAP,
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
)
from mfmi.chain.potential import Chain, information, messages, potential, potential_error

Place = tuple[FloatArray, FloatArray]
"""Logarithms of precisions and variances, each of shape (n, L)."""


def descend(chain: Chain, rules: Rules, known: Known, place: Place | None = None) -> Found:
    """Search every point's minimum from one start, all points at once.

    Parameters
    ----------
    chain : n points and at most L matrices.
    rules : where the search begins and how it ends.
    known : minima at which it ends as soon as it is on its way to one of them.
    place : where it begins, if not at a share of the prior variances.
    """
    start = _forward_pass(chain, np.zeros((chain.size, chain.depth))) if place is None else np.exp(place[1])
    silent = start[chain.last] < rules.least_variance
    rows = np.flatnonzero(np.all(np.isfinite(start) & (start > 0.0), axis=1) & ~silent)
    log_v, log_r = np.full(start.shape, np.nan), np.full(start.shape, np.nan)
    residual, least, ended = np.full(len(start), np.inf), np.full(len(start), np.nan), np.zeros(len(start), dtype=bool)
    last_r, last_v = np.zeros_like(start), np.zeros_like(start)
    active = chain.take(rows)
    if len(rows):
        begin = _begin(active, start[rows], rules.share) if place is None else (place[0][rows], place[1][rows])
        log_r[rows], log_v[rows] = begin
    step_r, step_v = np.zeros((len(rows), chain.depth)), np.zeros((len(rows), chain.depth))
    passes, met = np.zeros(len(start), dtype=np.intp), np.full(len(start), -1, dtype=np.int64)
    for step in range(rules.max_steps):
        if not len(rows):
            break
        linear = _linearise(active, log_r[rows], log_v[rows])
        mismatch = np.maximum(np.abs(linear[V_GAP]), np.abs(linear[R_GAP])).max(axis=1)
        new_r, new_v, pivot = _newton_step(linear)
        largest = np.maximum(np.abs(new_r), np.abs(new_v)).max(axis=1)
        done = (mismatch <= rules.tolerance) | settled(rules, mismatch, residual[rows])
        residual[rows] = np.where(np.isfinite(mismatch), mismatch, np.inf)
        least[rows] = pivot
        minimum = pivot > rules.least_pivot
        close = close_to_minimum(rules, pivot, mismatch, largest)
        done |= close
        if step == rules.max_steps - 1:
            here = minimum & (largest <= rules.near)
            done |= here & (_gradient(active, log_r[rows], log_v[rows], linear) <= rules.tolerance)
        ended[rows] = done
        last_r[rows[close]], last_v[rows[close]] = new_r[close], new_v[close]
        ahead = _ahead(rules, known, rows, (log_r[rows], log_v[rows]), (new_r, new_v))
        met[rows] = np.where(minimum & ~done, ahead, -1)
        done |= met[rows] >= 0
        no_minimum = ~done & np.isfinite(mismatch) & ~minimum
        passes[rows] = np.where(no_minimum, passes[rows] + 1, 0)
        plain = np.flatnonzero(no_minimum)
        if len(plain):
            there = rows[plain]
            log_r[there], log_v[there] = _pass(active.take(plain), rules, log_v[there], passes[there])
        # A step that left the domain is taken back and retried at a quarter of its length.
        outside = ~np.isfinite(largest)
        outside[plain] = False
        lost = outside & (np.maximum(np.abs(step_r), np.abs(step_v)).max(axis=1) == 0.0)
        log_r[rows[outside]] -= step_r[outside]
        log_v[rows[outside]] -= step_v[outside]
        share = damping(rules, step, largest)[:, None]
        step_r = np.where(outside[:, None], 0.25 * step_r, share * new_r)
        step_v = np.where(outside[:, None], 0.25 * step_v, share * new_v)
        step_r[plain] = step_v[plain] = 0.0
        moving = ~(done | lost)
        rows, step_r, step_v = rows[moving], step_r[moving], step_v[moving]
        log_r[rows] += step_r
        log_v[rows] += step_v
        active = active.take(np.flatnonzero(moving))
    found = _evaluate(chain, log_r, log_v, last_r, last_v)
    found.value[~ended], found.error[~ended], found.rest[~ended] = np.nan, np.nan, np.nan
    _to_first_order(chain, rules, start, silent, found)
    faint = silent & np.isfinite(found.value)
    residual[faint], least[faint] = 0.0, 1.0
    return found._replace(residual=residual, pivot=least, known=met)


def _to_first_order(chain: Chain, rules: Rules, start: FloatArray, silent: NDArray[np.bool_], found: Found) -> None:
    """Write the results of points whose signal is too faint to search: its first order, in which no layer is known.

    The observed layer then has information about its prior variance; if that is not small it is not the first order.
    """
    rows = np.flatnonzero(silent)
    if not len(rows):
        return
    units = np.asarray(np.cumprod(chain.ensemble.alpha)[chain.length - 1][rows], dtype=np.float64)
    output = chain.output.take(rows)
    value = units * output.information(start[chain.last][rows])
    error, faint = to_first_order(rules, units, value, output.information(np.full(len(rows), rules.faintest)))
    found.value[rows], found.error[rows] = np.where(faint, value, np.nan), np.where(faint, error, np.nan)
    found.rest[rows], found.r[rows], found.v[rows] = 1.0, 0.0, start[rows]
    found.mmse[rows] = chain.source.derivatives(np.zeros(chain.size))[0][rows]


def _ahead(
    rules: Rules,
    known: Known,
    rows: NDArray[np.intp],
    place: tuple[FloatArray, FloatArray],
    step: tuple[FloatArray, FloatArray],
) -> NDArray[np.int64]:
    """Number of the known minimum that lies near every point's place and where its next step leads, or -1."""
    found = np.full(len(rows), -1, dtype=np.int64)
    for one in range(len(known.log_r) - 1, -1, -1):
        way_r, way_v = known.log_r[one][rows] - place[0], known.log_v[one][rows] - place[1]
        here = np.maximum(np.abs(way_r), np.abs(way_v)).max(axis=1)
        there = np.maximum(np.abs(way_r - step[0]), np.abs(way_v - step[1])).max(axis=1)
        found[(here <= rules.near_known) & (there <= rules.onto_known * here)] = one
    return found


def _begin(chain: Chain, start: FloatArray, share: float) -> tuple[FloatArray, FloatArray]:
    """Logarithms of precisions and variances to begin with, at a share of the prior variances `start`."""
    tiny = np.finfo(np.float64).tiny
    if share < 1.0:
        start = np.exp(_sweep(chain, np.maximum(share * start, tiny))[1])
    return _sweep(chain, start)


def _pass(chain: Chain, rules: Rules, log_v: FloatArray, passes: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
    """Logarithms of r and V after a pass of plain iteration, the `passes`-th in a row, from those of V."""
    log_r, after = _sweep(chain, np.exp(log_v))
    many = np.flatnonzero(passes > rules.passes)
    if len(many):
        way = after[many] - log_v[many]
        further = log_v[many] + lead(rules, passes[many], np.abs(way).max(axis=1))[:, None] * way
        log_r[many], after[many] = _sweep(chain.take(many), np.exp(further))
    return log_r, after


def _sweep(chain: Chain, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Logarithms of the precisions that belong to variances, and of the variances that belong to these."""
    log_r = _backward_start(chain, np.log(v))
    return log_r, np.log(np.maximum(_forward_pass(chain, np.exp(log_r)), np.finfo(np.float64).tiny))


def _linearise(chain: Chain, log_r: FloatArray, log_v: FloatArray) -> FloatArray:
    """The linearised equations, see `equations`, shape (6, n, L)."""
    r, v = np.exp(log_r), np.exp(log_v)
    m = messages(chain, r, v)
    zero = np.zeros((len(r), 1))
    # The variance that enters layer l of the forward map is V_l, the precision that enters the backward map r_{l+1}.
    v_before, r_after = np.hstack((zero, v[:, :-1])), np.hstack((r[:, 1:], zero))
    forward, backward = chain.ensemble.variance(m.e, m.rest_r), chain.ensemble.precision(m.a, v, m.rest_v)
    v_gap, v_by_r, v_by_v = variance_condition(forward, log_v, r, v_before, (m.e, m.e_r, m.e_v))
    r_gap, r_by_r, r_by_v = precision_condition(backward, log_r, v, r_after, (m.a, m.a_v, m.a_r))
    # After the observed layer nothing moves.
    parts = (v_gap, r_gap, v_by_r, v_by_v, r_by_r, r_by_v)
    return np.stack([np.where(chain.inside, part, 0.0) for part in parts])


def _gradient(chain: Chain, log_r: FloatArray, log_v: FloatArray, linear: FloatArray) -> FloatArray:
    """Largest slope of the potential in a logarithm, relative to the largest share of the variance that is known.

    A mismatch counts with the share r E or A V of its layer: of a layer that is as good as known either is rounding,
    which keeps its logarithm from coming to rest and changes nothing.
    """
    r, v = np.exp(log_r), np.exp(log_v)
    m = messages(chain, r, v)
    by_r, by_v = np.where(chain.inside, np.abs(r * m.e), 0.0), np.where(chain.inside, np.abs(m.a * v), 0.0)
    slope = np.maximum(by_r * np.abs(linear[V_GAP]), by_v * np.abs(linear[R_GAP])).max(axis=1)
    return np.asarray(slope / np.maximum(by_r, by_v).max(axis=1))


def _newton_step(linear: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Steps of log r and log V, shape (n, L), and the smallest pivots, see `equations.newton_step`."""
    slope, shift, pivot, step_r, step_v = np.empty((5, *linear.shape[1:])).transpose(0, 2, 1)
    least = newton_step(linear.shape[2], linear.transpose(0, 2, 1), (slope, shift, pivot), step_r, step_v)
    return step_r.T, step_v.T, least


def _backward_start(chain: Chain, log_v: FloatArray) -> FloatArray:
    """Precisions that belong to the variances of a start: one pass from the output inwards."""
    log_r = np.zeros_like(log_v)
    v = np.exp(log_v)
    a_out, _, rest_out = chain.output.derivatives(v[chain.last])
    a, rest = a_out, rest_out
    everyone = slice(None)
    for layer in range(chain.depth - 1, -1, -1):
        observed, inside = chain.length - 1 == layer, layer < chain.length
        a, rest = np.where(observed, a_out, a), np.where(observed, rest_out, rest)
        matrix = chain.ensemble.take(everyone, slice(layer, layer + 1))
        found = matrix.precision(a[:, None], v[:, layer : layer + 1], rest[:, None]).log[:, 0]
        log_r[:, layer] = np.where(inside, found, 0.0)
        if layer and chain.layers is not None:
            here = chain.layers.take(everyone, slice(layer - 1, layer))
            d = here.derivatives(np.exp(log_r[:, layer : layer + 1]), v[:, layer - 1 : layer])
            a, rest = d.a[:, 0], d.rest_v[:, 0]
    return log_r


def _forward_pass(chain: Chain, r: FloatArray) -> FloatArray:
    """Variances that belong to given precisions: one pass from the source outwards, shape (n, L)."""
    everyone = slice(None)
    e, _, rest = (part[:, None] for part in chain.source.derivatives(r[:, 0]))
    v = np.empty((chain.size, chain.depth))
    for layer in range(chain.depth):
        matrix = chain.ensemble.take(everyone, slice(layer, layer + 1))
        v[:, layer : layer + 1] = np.exp(matrix.variance(e, rest).log)
        if chain.layers is not None and layer + 1 < chain.depth:
            here = chain.layers.take(everyone, slice(layer, layer + 1))
            d = here.derivatives(r[:, layer + 1 : layer + 2], v[:, layer : layer + 1])
            e, rest = d.e, d.rest_r
    return np.where(chain.inside, v, 1.0)


def _evaluate(chain: Chain, log_r: FloatArray, log_v: FloatArray, last_r: FloatArray, last_v: FloatArray) -> Found:
    """The potential where the search has ended; r, V and the error of the source one last step further."""
    r, v = np.exp(log_r), np.exp(log_v)
    m = messages(chain, r, v)
    total = information(chain, r, v)
    value, error = potential(chain, r, v, m, total), potential_error(chain, r, v, total)
    # `1 - A V` is positive for every channel that exists; a closed upper bound can leave that range.
    rest = np.where(chain.inside, m.rest_v, np.inf).min(axis=1)
    mmse = m.e[:, 0] + m.e_r[:, 0] * r[:, 0] * last_r[:, 0]
    unknown, none = np.full(chain.size, np.nan), np.full(chain.size, -1, dtype=np.int64)
    r, v = np.exp(log_r + last_r), np.exp(log_v + last_v)
    return Found(value, error, mmse, unknown, unknown, rest, r, v, none)
