"""The stationary point of a chain's potential, vectorised over points (theory (8)-(9)).

The potential can have several minima, and the smallest counts: here is where searches begin, what becomes of those that
do not end, and which minimum is taken. One search is `chain.newton`, or compiled `chain.compiled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.chain.compiled import Found, Known, pack
from mfmi.chain.ensembles import Gaussian
from mfmi.chain.equations import Rules
from mfmi.chain.newton import descend
from mfmi.chain.potential import POTENTIAL_ROUNDING, Chain, carries
from mfmi.channels.elementwise import FAINTEST
from mfmi.channels.gains import Interleaved
from mfmi.channels.layers import Surrogate

MAX_STEPS = 300
# Mismatch of a logarithm at which the search ends, or from which on it ends where a step gains less than a digit:
# rounding, and a table's second derivatives, can keep Newton's method from more.
TOLERANCE, ENOUGH = 1e-12, 1e-9
# It also ends where the mismatch is at most NEAR and its product with the next step at most CLOSE: the value is
# stationary, and its error of the order of that product, times 1 / (1 - A V) for orthogonal matrices. The unknowns
# themselves take the step, and what is left of their error is the square of it.
NEAR, CLOSE = 1e-6, 1e-20
# A rough quadrature need not be searched beyond its own jumps, of some 1e-5 where it takes one panel more.
ROUGH_TOLERANCE, ROUGH_ENOUGH, ROUGH_NEAR, ROUGH_CLOSE = 1e-7, 1e-3, 1e-4, 1e-12
# The finer one goes on from there; its own jumps are of some 1e-9.
FINE_STEPS, FINE_ENOUGH = 20, 1e-8
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
# A search ends on its way to a minimum that another has found: within this distance of it in the logarithms, where
# Newton's step leads to it up to this share of the distance. What is left of the way is a third of all steps.
NEAR_KNOWN, ONTO_KNOWN = 0.5, 0.1
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
# Of a smaller variance at the observed layer products underflow, and the value is that of the first order in it.
LEAST_VARIANCE = 1e-290


class Solution(NamedTuple):
    """Stationary point of the potential of a chain.

    Attributes
    ----------
    value : potential in nats per unit of the source, shape (n,).
    error : estimated error of the value, shape (n,), see `chain.potential.potential_error`.
    mmse : remaining variance `E_0` of the source, shape (n,).
    residual : largest mismatch of a logarithm in the stationarity conditions, shape (n,).
    converged : whether the residual is below the tolerance, shape (n,).
    r, v : precisions `r_0..r_{L-1}` and variances `V_1..V_L`, shape (n, L).
    coexisting : whether two minima exist, shape (n,): a first-order transition lies near.
    """

    value: FloatArray
    error: FloatArray
    mmse: FloatArray
    residual: FloatArray
    converged: NDArray[np.bool_]
    r: FloatArray
    v: FloatArray
    coexisting: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> Solution:
        """The solutions of some of the points."""
        chosen: list[Any] = [whole[rows] for whole in self]
        return Solution(*chosen)


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
        Not `converged` where a variance overflows or a start does not converge; the value is then that of the smallest
        minimum found, or NaN. Where less than `LEAST_VARIANCE` reaches the observed layer it is that of first order.
    """
    search = _Search(chain)
    first, *others = _starts(chain, unique)
    return _least(search, search.descend(first), others)


def known_at_source(chain: Chain, found: Solution) -> FloatArray:
    """`r_0 E_0` of a chain that has been solved: how much of the source's variance is known, in units of what is left.

    NaN where only the first order of the signal is known, in which there is no `r_0`; shape (n,).
    """
    precision = found.r[:, 0]
    known = np.where(carries(chain, found.r, found.v), precision, 0.0) * found.mmse
    return np.where(precision > 0.0, known, np.nan)


def solve_rivals(chains: Sequence[Chain]) -> list[Solution]:
    """Least values of several chains of the same points, of which the largest is wanted.

    Further starts can only lower a value, so that a chain whose first minimum already lies below another chain's
    smallest needs no more of them.

    Parameters
    ----------
    chains : each of n points, with starts of its own.

    Returns
    -------
    list of Solution
        For every chain as `solve` has it at the points where its value is the largest. At others the value is that of
        some minimum of the chain, no larger than that one, and `converged`; a chain that could be the largest, but for
        a search that did not end, is not converged.
    """
    searches, starts = [_Search(chain) for chain in chains], [_starts(chain, False) for chain in chains]
    found = [search.descend(rules[0]) for search, rules in zip(searches, starts, strict=True)]
    # What a chain's least value is at most, and the largest of those whose searches have all ended.
    hope, largest = _at_most(found), np.full(chains[0].size, -np.inf)
    for _ in chains:
        which, highest = hope.argmax(axis=0), hope.max(axis=0)
        for number, chain in enumerate(chains):
            rows = np.flatnonzero((which == number) & (highest > largest))
            if len(rows):
                least = _least(_Search(chain.take(rows)), found[number].take(rows), starts[number][1:])
                _put(found[number], rows, least)
                largest[rows] = np.where(least.converged, np.maximum(least.value, largest[rows]), largest[rows])
        hope[which, np.arange(len(which))] = -np.inf
    known = _at_most(found) <= largest
    return [one._replace(converged=one.converged | below) for one, below in zip(found, known, strict=True)]


def _at_most(found: Sequence[Solution]) -> FloatArray:
    """Upper bound on the least value of every chain, shape (chains, n): a minimum of it, if one is known."""
    return np.stack([np.where(np.isnan(one.value), np.inf, one.value) for one in found])


def _least(search: _Search, first: Solution, starts: Sequence[Rules]) -> Solution:
    """The smallest of the minima that are found from a first start and from others."""
    least, known = first, [first]
    for rules in starts:
        other = search.descend(rules, known)
        least = _lower(least, other)
        known.append(other)
    return least


def _starts(chain: Chain, unique: bool) -> list[Rules]:
    """Choose the starting points; the potential of a channel that is a bound can have several minima."""
    if not unique:
        around_gains = isinstance(chain.layers, Interleaved) and chain.layers.is_bound
        shares = STARTS_AROUND_GAINS if around_gains else STARTS
        return [_rules(share, rough=chain.refined is not None) for share in shares]
    if isinstance(chain.layers, Surrogate | None) or (isinstance(chain.layers, Interleaved) and chain.layers.is_linear):
        return [_rules(1.0)]
    if not isinstance(chain.ensemble, Gaussian):
        # At the prior variances maximum entropy leaves the range of A V < 1, and there is no way on from there.
        return [_rules(UPPER_START, UPPER_STEPS)]
    return [_rules(1.0, UPPER_STEPS)]


def _rules(share: float, steps: int = MAX_STEPS, rough: bool = False) -> Rules:
    rules = Rules(
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
        FAINTEST,
        POTENTIAL_ROUNDING,
        NEAR_KNOWN,
        ONTO_KNOWN,
    )
    if not rough:
        return rules
    return rules._replace(tolerance=ROUGH_TOLERANCE, enough=ROUGH_ENOUGH, near=ROUGH_NEAR, close=ROUGH_CLOSE)


def _lower(one: Solution, other: Solution) -> Solution:
    """The solution of smaller value at every point; two values mean two minima.

    Both searches must have ended: the minimum that one of them missed may be the smaller. Where one has not, the value
    is that of the other.
    """
    better = (other.value < one.value) | np.isnan(one.value)
    beside = better[:, None]
    both = one.converged & other.converged
    distinct = both & (np.abs(one.value - other.value) > 1e-7 * np.abs(one.value))
    return Solution(
        value=np.where(better, other.value, one.value),
        error=np.where(better, other.error, one.error),
        mmse=np.where(better, other.mmse, one.mmse),
        residual=np.maximum(one.residual, other.residual),
        converged=both,
        r=np.where(beside, other.r, one.r),
        v=np.where(beside, other.v, one.v),
        coexisting=distinct | one.coexisting | other.coexisting,
    )


class _Search:
    """Descents of one chain from several starts, compiled where there is code for its parts."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._packed = pack(chain.source, chain.ensemble, chain.layers, chain.output, chain.length)

    def descend(self, rules: Rules, known: Sequence[Solution] = ()) -> Solution:
        """Search from one start; what leaves the domain for good, or goes in circles, begins again with shorter steps.

        Where the search was on its way to one of the `known` minima that is what it has found.
        """
        found = self._once(rules, known)
        while rules.largest_step > SHORTEST_STEP:
            lost = np.flatnonzero(np.isposinf(found.residual) | self._circling(found, rules))
            if not len(lost):
                break
            rules = rules._replace(largest_step=0.25 * rules.largest_step)
            again = _Search(self._chain.take(lost))._once(rules, [one.take(lost) for one in known])
            _put(found, lost, again)
        finer, solution = self._chain.refined, _solution_of(found)
        if finer is not None:
            rows = np.flatnonzero(found.known < 0)
            _put(solution, rows, _refined(finer.take(rows), solution.take(rows), rules.share))
        for number, one in enumerate(known):
            rows = np.flatnonzero(found.known == number)
            _put(solution, rows, one.take(rows))
        return solution

    @staticmethod
    def _circling(found: Found, rules: Rules) -> NDArray[np.bool_]:
        """Points whose search has used up its steps; one of few steps is for a bound that another can replace."""
        return np.isnan(found.value) & (found.known < 0) & (rules.max_steps == MAX_STEPS)

    def _once(self, rules: Rules, known: Sequence[Solution]) -> Found:
        minima = _logarithms(known, (len(known), self._chain.size, self._chain.depth))
        if self._packed is not None:
            return self._packed.search(rules, minima)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return descend(self._chain, rules, minima)


def _refined(chain: Chain, rough: Solution, share: float) -> Solution:
    """Minima of a chain near those of a rough quadrature of its channels, searched from the start where that has none.

    Of what is too faint to be searched there is the first order alone, in which no hidden layer has a word.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        place = np.log(rough.r), np.log(rough.v)
        faint = rough.converged & (rough.r[:, 0] == 0.0)
        rules = _rules(share, FINE_STEPS)._replace(enough=FINE_ENOUGH)
        none = _logarithms((), (0, chain.size, chain.depth))
        at = np.where(rough.converged & ~faint, 1.0, np.nan)[:, None]
        found = _solution_of(descend(chain, rules, none, (at * place[0], at * place[1])))
    # What is left of a mismatch counts in full: rotations are off by as much.
    found = found._replace(error=found.error + found.residual)
    _put(found, np.flatnonzero(faint), rough.take(np.flatnonzero(faint)))
    lost = np.flatnonzero(~found.converged)
    if len(lost):
        _put(found, lost, _Search(chain.take(lost)).descend(_rules(share)))
    return found


def _solution_of(found: Found) -> Solution:
    """The result of a search, NaN where it has not ended at a minimum."""
    converged = np.isfinite(found.residual) & np.isfinite(found.value) & (found.pivot > 0.0) & (found.rest > 0.0)
    value, nowhere = np.where(converged, found.value, np.nan), np.zeros(len(converged), dtype=bool)
    return Solution(value, found.error, found.mmse, found.residual, converged, found.r, found.v, nowhere)


def _put(found: tuple[NDArray[Any], ...], rows: NDArray[np.intp], part: tuple[NDArray[Any], ...]) -> None:
    """Write the results of some of the points among those of all."""
    for whole, values in zip(found, part, strict=True):
        whole[rows] = values


def _logarithms(known: Sequence[Solution], shape: tuple[int, int, int]) -> Known:
    """Positions of the known minima."""
    log_r, log_v = np.empty(shape), np.empty(shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        for number, one in enumerate(known):
            log_r[number] = np.where(one.converged[:, None], np.log(one.r), np.nan)
            log_v[number] = np.log(one.v)
    return Known(log_r, log_v)
