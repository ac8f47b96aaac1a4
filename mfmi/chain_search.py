"""The stationary point of a chain's potential, vectorised over points (theory (8)-(9)).

Layer l turns `(r_l, V_l)` into the next variance and the previous precision, so the linearised equations are block
tridiagonal and one Newton step costs one evaluation of the channels and two passes over the layers. Newton, because
plain iteration needs hundreds of steps at low noise; on logarithms, because the unknowns span twenty orders of
magnitude.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.chain import Chain, messages, potential
from mfmi.ensembles import Gaussian
from mfmi.interfaces import Surrogate
from mfmi.point_solver import Found, Rules, search
from mfmi.spectral_layers import Interleaved

Array = NDArray[np.float64]

MAX_STEPS = 300
# Mismatch of a logarithm at which the search ends, or from which on it ends where a step gains less than a digit:
# rounding, and a table's second derivatives, can keep Newton's method from more.
TOLERANCE, ENOUGH = 1e-12, 1e-9
# It also ends where the mismatch is at most NEAR and its product with the next step at most CLOSE: the value is
# stationary, and its error of the order of that product, times 1 / (1 - A V) for orthogonal matrices. The unknowns
# themselves take the step, and what is left of their error is the square of it.
NEAR, CLOSE = 1e-6, 1e-20
# A smaller pivot means a maximum of the potential, or nothing but rounding.
LEAST_PIVOT = 1e-12
# Shares of the prior variances at which a search begins that must not miss a minimum. Closed lower bounds have up to
# four at low noise: of 98 orthogonal tanh networks of 49 layers the outer two starts missed the smallest in five, by up
# to 63 %, all three in none, and in one of 98 with four layers, by 0.15 % (the smallest being that of ten searches).
STARTS = (1.0, 0.1, 1e-6)
# Singular values in between make for more of them: of 288 tanh networks to 60 layers with lognormal eigenvalues these
# missed the smallest of thirteen searches in one, those above in 25, once to land above the upper bound.
STARTS_AROUND_GAINS = (1.0, 0.1, 0.01, 1e-9, 1e-12)
# An upper bound needs a minimum, not the smallest, and where there is none another bound takes its place.
UPPER_START, UPPER_STEPS = 1e-2, 60
# A step in the logarithm beyond this leaves the region where the linearisation says anything.
LARGEST_STEP = 3.0
# A search that it leads out of the domain begins again with a quarter of that step, down to this: orthogonal networks
# of exact channels from about seven layers on need it where they begin at small variances.
SHORTEST_STEP = 0.05
# Steps after which that limit is halved, again and again: far from the solution Newton's steps can go in circles.
PATIENCE = 25
# After so many limits the first holds again: a minimum of a deep chain can lie further off than they reach together.
LIMITS = 4
# Passes of plain iteration in a row after which each goes twice as far ahead as the one before. A boundary between two
# solutions wanders half a layer in a plain pass, which would take thousands in a chain of a thousand layers.
PASSES = 10
# A smaller variance at the observed layer counts as none: products with it underflow.
LEAST_VARIANCE = 1e-290


class Solution(NamedTuple):
    """Stationary point of the potential of a chain.

    Attributes
    ----------
    value : potential in nats per unit of the source, shape (n,).
    mmse : remaining variance `E_0` of the source, shape (n,).
    residual : largest mismatch of a logarithm in the stationarity conditions, shape (n,).
    converged : whether the residual is below the tolerance, shape (n,).
    r, v : precisions `r_0..r_{L-1}` and variances `V_1..V_L`, shape (n, L).
    coexisting : whether two minima exist, shape (n,): a first-order transition lies near.
    """

    value: Array
    mmse: Array
    residual: Array
    converged: NDArray[np.bool_]
    r: Array
    v: Array
    coexisting: NDArray[np.bool_]


def solve(chain: Chain, unique: bool = False) -> Solution:
    """Stationary point of the potential of least value, and that value (theory (8)-(9)).

    Parameters
    ----------
    chain : the network, n points and L matrices.
    unique : one minimum will do, because there is only one or because any is a bound; else the search begins from the
        prior variances, from somewhat smaller and from small ones, and the smallest value counts.

    Returns
    -------
    Solution
        `value` is NaN and `converged` False where a variance overflows or no start converges; where less than
        `LEAST_VARIANCE` reaches the observed layer the value is exactly 0.
    """
    found: Solution | None = None
    for rules in _searches(chain, unique):
        other = _descend(chain, rules)
        found = other if found is None else _lower(found, other)
    assert found is not None
    return found


def _searches(chain: Chain, unique: bool) -> list[Rules]:
    """Where to begin: a channel that is a bound can have several minima."""
    if not unique:
        around_gains = isinstance(chain.layers, Interleaved) and chain.layers.is_bound
        return [_rules(share) for share in (STARTS_AROUND_GAINS if around_gains else STARTS)]
    if isinstance(chain.layers, Surrogate | None) or (isinstance(chain.layers, Interleaved) and chain.layers.is_linear):
        return [_rules(1.0)]
    if not isinstance(chain.ensemble, Gaussian):
        # At the prior variances maximum entropy leaves the range of A V < 1, and there is no way on from there.
        return [_rules(UPPER_START, UPPER_STEPS)]
    return [_rules(1.0, UPPER_STEPS)]


def _rules(share: float, steps: int = MAX_STEPS) -> Rules:
    return Rules(
        share,
        steps,
        PATIENCE,
        TOLERANCE,
        ENOUGH,
        NEAR,
        CLOSE,
        LEAST_PIVOT,
        LARGEST_STEP,
        LIMITS,
        PASSES,
        LEAST_VARIANCE,
    )


def _lower(one: Solution, other: Solution) -> Solution:
    """The solution of smaller value at every point; two values mean two minima.

    Both searches must have ended: the minimum that one of them missed may be the smaller.
    """
    better = other.value < one.value
    beside = better[:, None]
    both = one.converged & other.converged
    distinct = both & (np.abs(one.value - other.value) > 1e-7 * np.abs(one.value))
    return Solution(
        value=np.where(better, other.value, one.value),
        mmse=np.where(better, other.mmse, one.mmse),
        residual=np.maximum(one.residual, other.residual),
        converged=both,
        r=np.where(beside, other.r, one.r),
        v=np.where(beside, other.v, one.v),
        coexisting=distinct | one.coexisting | other.coexisting,
    )


def _descend(chain: Chain, rules: Rules) -> Solution:
    """Search from one start; what leaves the domain for good begins again with shorter steps."""
    found = _descend_once(chain, rules)
    while rules.largest_step > SHORTEST_STEP:
        lost = np.flatnonzero(np.isposinf(found.residual))
        if not len(lost):
            break
        rules = rules._replace(largest_step=0.25 * rules.largest_step)
        for whole, part in zip(found, _descend_once(chain.part(lost), rules), strict=True):
            whole[lost] = part
    converged = np.isfinite(found.value) & (found.pivot > 0.0) & (found.rest > 0.0)
    nowhere = np.zeros(chain.size, dtype=bool)
    value = np.where(np.isfinite(found.residual), found.value, np.nan)
    return Solution(value, found.mmse, found.residual, converged, found.r, found.v, nowhere)


def _descend_once(chain: Chain, rules: Rules) -> Found:
    """Compiled code where there is some for the parts of this chain, else all points at once."""
    found = search(chain.source, chain.ensemble, chain.layers, chain.output, chain.length, rules)
    if found is None:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = _descend_together(chain, rules)
    return found


@dataclass(frozen=True)
class _Linearisation:
    """Mismatch of the logarithms of V and r, and the slopes of the two maps of every layer, each of shape (n, L).

    Column l of `v_by_r`, `v_by_v` belongs to `V_{l+1}` as a function of `(r_l, V_l)`; column l of `r_by_r`, `r_by_v`
    to `r_l` as a function of `(r_{l+1}, V_{l+1})`.
    """

    v_gap: Array
    r_gap: Array
    v_by_r: Array
    v_by_v: Array
    r_by_r: Array
    r_by_v: Array


def _descend_together(chain: Chain, rules: Rules) -> Found:
    """Newton's method, with plain iteration where the linearisation points to no minimum, for all points at once."""
    start = _forward_pass(chain, np.zeros((chain.size, chain.depth)))
    silent = start[chain.last] < rules.least_variance
    rows = np.flatnonzero(np.all(np.isfinite(start) & (start > 0.0), axis=1) & ~silent)
    log_v, log_r = np.full(start.shape, np.nan), np.full(start.shape, np.nan)
    residual, least, ended = np.full(len(start), np.inf), np.full(len(start), np.nan), np.zeros(len(start), dtype=bool)
    last_r, last_v = np.zeros_like(start), np.zeros_like(start)
    active = chain.part(rows)
    if len(rows):
        log_r[rows], log_v[rows] = _begin(active, start[rows], rules.share)
    step_r, step_v = np.zeros((len(rows), chain.depth)), np.zeros((len(rows), chain.depth))
    passes = np.zeros(len(start), dtype=np.intp)
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
        ended[rows] = done
        last_r[rows[close]], last_v[rows[close]] = new_r[close], new_v[close]
        no_minimum = ~done & np.isfinite(mismatch) & ~minimum
        passes[rows] = np.where(no_minimum, passes[rows] + 1, 0)
        plain = np.flatnonzero(no_minimum)
        if len(plain):
            there = rows[plain]
            log_r[there], log_v[there] = _pass(active.part(plain), rules, log_v[there], passes[there])
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
        active = active.part(np.flatnonzero(moving))
    found = _evaluate(chain, log_r, log_v, last_r, last_v)
    log_v[silent] = np.log(start[silent])
    found.value[~ended], found.rest[~ended] = np.nan, np.nan
    found.value[silent], found.rest[silent], residual[silent], least[silent] = 0.0, 1.0, 0.0, 1.0
    found.r[silent], found.v[silent] = 0.0, start[silent]
    found.mmse[silent] = chain.source.derivatives(np.zeros(chain.size))[0][silent]
    return found._replace(residual=residual, pivot=least)


def _begin(chain: Chain, start: Array, share: float) -> tuple[Array, Array]:
    """Logarithms of precisions and variances to begin with, at a share of the prior variances `start`."""
    tiny = np.finfo(np.float64).tiny
    if share < 1.0:
        start = np.exp(_sweep(chain, np.maximum(share * start, tiny))[1])
    return _sweep(chain, start)


def _pass(chain: Chain, rules: Rules, log_v: Array, passes: NDArray[np.intp]) -> tuple[Array, Array]:
    """Logarithms of r and V after a pass of plain iteration, the `passes`-th in a row, from those of V."""
    log_r, after = _sweep(chain, np.exp(log_v))
    many = np.flatnonzero(passes > rules.passes)
    if len(many):
        way = after[many] - log_v[many]
        ahead = np.minimum(2.0 ** (passes[many] - rules.passes), rules.largest_step / np.abs(way).max(axis=1))
        further = log_v[many] + np.maximum(ahead, 1.0)[:, None] * way
        log_r[many], after[many] = _sweep(chain.part(many), np.exp(further))
    return log_r, after


def _sweep(chain: Chain, v: Array) -> tuple[Array, Array]:
    """Logarithms of the precisions that belong to variances, and of the variances that belong to these."""
    log_r = _backward_start(chain, np.log(v))
    return log_r, np.log(np.maximum(_forward_pass(chain, np.exp(log_r)), np.finfo(np.float64).tiny))


def _linearise(chain: Chain, log_r: Array, log_v: Array) -> _Linearisation:
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
    # Behind the observed layer nothing moves.
    return _Linearisation(*(np.where(chain.inside, part, 0.0) for part in parts))


def _newton_step(m: _Linearisation) -> tuple[Array, Array, Array]:
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


def _backward_start(chain: Chain, log_v: Array) -> Array:
    """Precisions that belong to the variances of a start: one pass from the output inwards."""
    log_r = np.zeros_like(log_v)
    v = np.exp(log_v)
    a_out, _, rest_out = chain.output.derivatives(v[chain.last])
    a, rest = a_out, rest_out
    everyone = slice(None)
    for layer in range(chain.depth - 1, -1, -1):
        observed, inside = chain.length - 1 == layer, layer < chain.length
        a, rest = np.where(observed, a_out, a), np.where(observed, rest_out, rest)
        matrix = chain.ensemble.part(everyone, slice(layer, layer + 1))
        found = matrix.precision(a[:, None], v[:, layer : layer + 1], rest[:, None]).log[:, 0]
        log_r[:, layer] = np.where(inside, found, 0.0)
        if layer and chain.layers is not None:
            here = chain.layers.part(everyone, slice(layer - 1, layer))
            d = here.derivatives(np.exp(log_r[:, layer : layer + 1]), v[:, layer - 1 : layer])
            a, rest = d.a[:, 0], d.rest_v[:, 0]
    return log_r


def _forward_pass(chain: Chain, r: Array) -> Array:
    """Variances that belong to given precisions: one pass from the source outwards, shape (n, L)."""
    everyone = slice(None)
    e, _, rest = (part[:, None] for part in chain.source.derivatives(r[:, 0]))
    v = np.empty((chain.size, chain.depth))
    for layer in range(chain.depth):
        matrix = chain.ensemble.part(everyone, slice(layer, layer + 1))
        v[:, layer : layer + 1] = np.exp(matrix.variance(e, rest).log)
        if chain.layers is not None and layer + 1 < chain.depth:
            here = chain.layers.part(everyone, slice(layer, layer + 1))
            d = here.derivatives(r[:, layer + 1 : layer + 2], v[:, layer : layer + 1])
            e, rest = d.e, d.rest_r
    return np.where(chain.inside, v, 1.0)


def _evaluate(chain: Chain, log_r: Array, log_v: Array, last_r: Array, last_v: Array) -> Found:
    """The potential where the search has ended; r, V and the error of the source one last step further."""
    r, v = np.exp(log_r), np.exp(log_v)
    m = messages(chain, r, v)
    value = potential(chain, r, v, m)
    # `1 - A V` is positive for every channel that exists; a closed upper bound can leave that range.
    rest = np.where(chain.inside, m.rest_v, np.inf).min(axis=1)
    mmse = m.e[:, 0] + m.e_r[:, 0] * r[:, 0] * last_r[:, 0]
    unknown = np.full(chain.size, np.nan)
    return Found(value, mmse, unknown, unknown, rest, np.exp(log_r + last_r), np.exp(log_v + last_v))
