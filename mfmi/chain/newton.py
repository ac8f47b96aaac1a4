"""Newton's method for all points of a chain at once, with plain iteration where that points to no minimum.

Layer l turns `(r_l, V_l)` into the next variance and the previous precision, so the linearised equations are block
tridiagonal and one Newton step costs one evaluation of the channels and two passes over the layers. Newton, because
plain iteration needs hundreds of steps at low noise; on logarithms, because the unknowns span twenty orders of
magnitude.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.chain.compiled import Found, Known, Rules
from mfmi.chain.potential import Chain, information, messages, potential, potential_error


@dataclass(frozen=True)
class _Linearisation:
    """Mismatch of the logarithms of V and r, and the slopes of the two maps of every layer, each of shape (n, L).

    Column l of `v_by_r`, `v_by_v` belongs to `V_{l+1}` as a function of `(r_l, V_l)`; column l of `r_by_r`, `r_by_v`
    to `r_l` as a function of `(r_{l+1}, V_{l+1})`.
    """

    v_gap: FloatArray
    r_gap: FloatArray
    v_by_r: FloatArray
    v_by_v: FloatArray
    r_by_r: FloatArray
    r_by_v: FloatArray


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

    Returns
    -------
    Found
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
        mismatch = np.maximum(np.abs(linear.v_gap), np.abs(linear.r_gap)).max(axis=1)
        new_r, new_v, pivot = _newton_step(linear)
        largest = np.maximum(np.abs(new_r), np.abs(new_v)).max(axis=1)
        settled = (mismatch <= rules.enough) & (mismatch > 0.1 * residual[rows])
        residual[rows] = np.where(np.isfinite(mismatch), mismatch, np.inf)
        least[rows] = pivot
        minimum = pivot > rules.least_pivot
        close = minimum & (mismatch <= rules.near) & (mismatch * largest <= rules.close)
        done = (mismatch <= rules.tolerance) | settled | close
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
        longest = rules.largest_step * 0.5 ** (step // rules.patience % rules.limits)
        damping = np.minimum(1.0, longest / np.maximum(largest, longest))[:, None]
        step_r = np.where(outside[:, None], 0.25 * step_r, damping * new_r)
        step_v = np.where(outside[:, None], 0.25 * step_v, damping * new_v)
        step_r[plain] = step_v[plain] = 0.0
        moving = ~(done | lost)
        rows, step_r, step_v = rows[moving], step_r[moving], step_v[moving]
        log_r[rows] += step_r
        log_v[rows] += step_v
        active = active.take(np.flatnonzero(moving))
    found = _evaluate(chain, log_r, log_v, last_r, last_v)
    found.value[~ended], found.error[~ended], found.rest[~ended] = np.nan, np.nan, np.nan
    _to_first_order(chain, rules, start, silent, found)
    settled = silent & np.isfinite(found.value)
    residual[settled], least[settled] = 0.0, 1.0
    return found._replace(residual=residual, pivot=least, known=met)


def _to_first_order(chain: Chain, rules: Rules, start: FloatArray, silent: NDArray[np.bool_], found: Found) -> None:
    """Write the results of points whose signal is too faint to search: its first order, in which no layer is known.

    The observed layer then has information about its prior variance; if that is not small it is not the first order.
    """
    rows = np.flatnonzero(silent)
    if not len(rows):
        return
    units, output = np.cumprod(chain.ensemble.alpha)[chain.length - 1][rows], chain.output.take(rows)
    value = units * output.information(start[chain.last][rows])
    error = units * output.information(np.full(len(rows), rules.faintest)) + rules.rounding * value
    faint = value <= rules.rounding
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
        ahead = np.minimum(2.0 ** (passes[many] - rules.passes), rules.largest_step / np.abs(way).max(axis=1))
        further = log_v[many] + np.maximum(ahead, 1.0)[:, None] * way
        log_r[many], after[many] = _sweep(chain.take(many), np.exp(further))
    return log_r, after


def _sweep(chain: Chain, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Logarithms of the precisions that belong to variances, and of the variances that belong to these."""
    log_r = _backward_start(chain, np.log(v))
    return log_r, np.log(np.maximum(_forward_pass(chain, np.exp(log_r)), np.finfo(np.float64).tiny))


def _linearise(chain: Chain, log_r: FloatArray, log_v: FloatArray) -> _Linearisation:
    r, v = np.exp(log_r), np.exp(log_v)
    m = messages(chain, r, v)
    zero = np.zeros((len(r), 1))
    # The variance that enters layer l of the forward map is V_l, the precision that enters the backward map r_{l+1}.
    v_before, r_after = np.hstack((zero, v[:, :-1])), np.hstack((r[:, 1:], zero))
    forward = chain.ensemble.variance(m.e, m.rest_r)
    backward = chain.ensemble.precision(m.a, v, m.rest_v)
    # Where A vanishes its message is held, and its logarithm has no slope.
    a = np.where(m.a == 0.0, 1.0, m.a)
    parts = (
        forward.log - log_v,
        backward.log - log_r,
        forward.by_message * r * m.e_r / m.e + forward.by_conjugate,
        forward.by_message * v_before * m.e_v / m.e,
        backward.by_message * r_after * m.a_r / a,
        backward.by_message * v * m.a_v / a + backward.by_conjugate,
    )
    # After the observed layer nothing moves.
    return _Linearisation(*(np.where(chain.inside, part, 0.0) for part in parts))


def _gradient(chain: Chain, log_r: FloatArray, log_v: FloatArray, linear: _Linearisation) -> FloatArray:
    """Largest slope of the potential in a logarithm, relative to the largest share of the variance that is known.

    A mismatch counts with the share r E or A V of its layer: of a layer that is as good as known either is rounding,
    which keeps its logarithm from coming to rest and changes nothing.
    """
    r, v = np.exp(log_r), np.exp(log_v)
    m = messages(chain, r, v)
    by_r, by_v = np.where(chain.inside, np.abs(r * m.e), 0.0), np.where(chain.inside, np.abs(m.a * v), 0.0)
    slope = np.maximum(by_r * np.abs(linear.v_gap), by_v * np.abs(linear.r_gap)).max(axis=1)
    return np.asarray(slope / np.maximum(by_r, by_v).max(axis=1))


def _newton_step(m: _Linearisation) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Solve the block tridiagonal system: eliminate the precisions from the output inwards, substitute outwards.

    Returns the steps of log r and log V, and the smallest pivot: positive at a minimum of the potential over the
    remaining variances, and at most 0 where the linearisation points to a maximum between two minima.
    """
    depth = m.v_gap.shape[1]
    slope, shift, pivot = (np.empty_like(m.v_gap) for _ in range(3))
    # The step of log r_l is written slope_l * (step of log V_{l+1}) + shift_l.
    slope[:, -1], shift[:, -1] = m.r_by_v[:, -1], m.r_gap[:, -1]
    for layer in range(depth - 1, -1, -1):
        pivot[:, layer] = 1.0 - m.v_by_r[:, layer] * slope[:, layer]
        if layer == 0:
            break
        through = slope[:, layer] / pivot[:, layer]
        slope[:, layer - 1] = m.r_by_v[:, layer - 1] + m.r_by_r[:, layer - 1] * through * m.v_by_v[:, layer]
        constant = shift[:, layer] + through * (m.v_by_r[:, layer] * shift[:, layer] + m.v_gap[:, layer])
        shift[:, layer - 1] = m.r_gap[:, layer - 1] + m.r_by_r[:, layer - 1] * constant
    step_v, step_r = np.empty_like(m.v_gap), np.empty_like(m.v_gap)
    before = np.zeros(len(slope))
    for layer in range(depth):
        driven = m.v_by_v[:, layer] * before + m.v_by_r[:, layer] * shift[:, layer] + m.v_gap[:, layer]
        before = driven / pivot[:, layer]
        step_v[:, layer] = before
        step_r[:, layer] = slope[:, layer] * before + shift[:, layer]
    return step_r, step_v, pivot.min(axis=1)


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
