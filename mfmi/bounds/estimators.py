"""The named bounds on the information between input and observed layer (theory section 4).

Each is a few lines: which scalar channel, in which chain. Values are rates in nats per input dimension (theory (2)).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.estimate import FAINT, Estimate, closed, faint_information, smaller
from mfmi.bounds.noise import less_noise, phi_known
from mfmi.bounds.problem import Channels, Problem, chain_of, phi_full
from mfmi.chain.search import known_at_source, solve
from mfmi.channels.closed.bounds import EntropyPowerLower, FisherLower, GaussianUpper, LinearLower
from mfmi.channels.closed.table import Channel
from mfmi.channels.elementwise import information_over
from mfmi.channels.priors import negentropy
from mfmi.networks.priors import MixturePrior


def mean_field(problem: Problem) -> Estimate:
    """The classic mean-field value (theory (17a)): an approximation, for gaussian weights above the truth.

    All directions count as alike: the signal fills as many as the narrowest layer lets through, singular values of 0
    not counted, the noise all of them.

    Parameters
    ----------
    problem : the points and their observed layers.

    Returns
    -------
    Estimate
        Closed form.
    """
    path, before = problem.path, slice(0, problem.deepest - 1)
    inner = path.offset_gap[:, before] + problem.hidden_noise[:, None]
    finite = np.isfinite(inner) & np.isfinite(path.s[:, before])
    s, gap = (np.where(finite, a, 1.0) for a in (path.s[:, before], inner))
    w2 = np.broadcast_to(problem.layer_sigma_w2, (len(problem.rows), problem.deepest))
    slope = w2[:, 1:] * np.asarray(problem.propagation.phi.slope_correlation_gap(s, gap))
    first = problem.input_variance[:, None] * w2[:, :1]
    gains = np.asarray(np.cumprod(np.hstack((first, slope)), axis=1), dtype=np.float64)
    signal = problem.observed(gains)
    gap = problem.observed(problem.propagation.spread[problem.rows])
    noise = unread(gap, signal, problem.depth) + problem.output_noise
    if not problem.hides_nothing:
        total = gap + problem.output_noise
        s, gap = (
            np.where(np.isfinite(total), part, 1.0) for part in (problem.observed(path.q) + problem.output_noise, total)
        )
        signal = signal * np.asarray(problem.propagation.phi.slope_correlation_gap(s, gap))
        noise = np.maximum(np.asarray(problem.propagation.phi.decorrelation(s, gap)) - signal, 0.0)
    narrowest = np.minimum.accumulate(problem.ranks)[problem.depth - 1]
    value = narrowest * information_over(signal * problem.beta / narrowest, noise)
    # A slope at variances near 1e300 may overflow.
    return closed(value)._replace(converged=np.isfinite(value))


# Share of a variance that rounding makes of the difference of two ways to it, for every layer.
_DIFFERENCE = 8.0 * np.finfo(np.float64).eps


def unread(gap: FloatArray, signal: FloatArray, depth: NDArray[np.intp] | int) -> FloatArray:
    """The share of a variance that is no signal: nothing where all layers are linear and the difference is rounding."""
    difference = gap - signal
    return np.where(difference > _DIFFERENCE * depth * gap, difference, 0.0)


def linear(problem: Problem) -> Estimate:
    """Linearly readable information: lower bound by the best linear decoder (theory 4.1).

    A theorem given that the network's second moments are those of its linear surrogate. The decoder bounds what is left
    of the input by the entropy of a gaussian error; from an input that is not gaussian itself, that is less than it
    has by its negentropy. Null where the input has atoms.
    """
    prior = problem.model.prior
    if isinstance(prior, MixturePrior):
        found = linear(problem.gaussian_input)
        return found._replace(value=np.maximum(found.value - negentropy(prior), 0.0))
    return linear_by(problem, problem.linear())


def linear_by(problem: Problem, channels: Channels) -> Estimate:
    """Information that linear channels say of a gaussian input."""
    found = less_noise(problem, channels, phi_full(problem, channels, unique=True), unique=True)
    faint = np.flatnonzero(found.converged & (found.value < FAINT) & (problem.depth > 1))
    if len(faint):
        _put_faint(found, faint, _faint(problem.take(faint), channels.take(faint), unique=True))
    return found


def _faint(problem: Problem, channels: Channels, unique: bool) -> Estimate:
    """`Phi_full - Phi_known` of a faint signal, see `faint_information`.

    Its error is that of `r_0`, a product of one slope of every layer: of each as large a share as of the potential.
    NaN where the search has only the first order of the signal, in which there is no `r_0`.
    """
    relative, converged = np.zeros(len(problem.rows)), np.ones(len(problem.rows), dtype=bool)

    def known(share: float) -> FloatArray:
        chain = chain_of(problem, problem.source(share * problem.input_variance), channels)
        found = solve(chain, unique)
        np.maximum(relative, found.error / found.value, out=relative)
        np.logical_and(converged, found.converged, out=converged)
        return known_at_source(chain, found)

    value = faint_information(known)
    return closed(value)._replace(converged=converged, error=problem.length * relative * value)


def _put_faint(found: Estimate, rows: NDArray[np.intp], better: Estimate) -> None:
    """Write what `_faint` has found for some of the points."""
    # In the first order of the signal there is no noise to subtract.
    known = ~np.isnan(better.value)
    found.value[rows] = np.where(known, better.value, found.value[rows])
    found.error[rows] = np.where(known, better.error, found.error[rows])
    found.converged[rows] = better.converged


def entropy_power(problem: Problem) -> Estimate:
    """Lower bound by the entropy power inequality (theory (19)); a theorem in the mean-field limit.

    Strictly monotone activations only, and layers that do not widen, but for the observed one; else null. A narrowing
    layer costs nothing: a random matrix of fewer rows than columns keeps a random part of its input's dimensions, whose
    entropy per dimension is on average no smaller than that of the whole (Han's inequality). A widening one confines
    its output to a subspace, where it is no matter if noise alone comes after it, but not if an activation does; so
    do weights with singular values of 0.
    """
    path = problem.path
    if not problem.propagation.phi.strictly_monotone:
        return closed(np.full(len(problem.rows), np.nan))
    scale, slope = problem.log_volume, problem.propagation.log_slope[problem.rows]
    log_power = np.empty((len(problem.rows), problem.deepest))
    # An entry's entropy power is less than its variance by twice the negentropy; an atom has none.
    log_power[:, 0] = np.log(problem.input_variance) - 2.0 * negentropy(problem.model.prior) + scale[:, 0]
    for layer in range(problem.deepest - 1):
        noisy = np.logaddexp(log_power[:, layer], np.log(problem.hidden_noise))
        log_power[:, layer + 1] = noisy + slope[:, layer] + scale[:, layer + 1]
    log_noise = np.log(problem.output_noise)
    log_ratio = problem.observed(log_power) - log_noise
    # What rounding may make of a sum of logarithms; the bound is equal to the truth where all layers are rotations.
    sizes = np.where(np.isfinite(log_power), 2.0 + np.abs(log_power), 0.0)
    lost = np.finfo(np.float64).eps * (problem.observed(np.cumsum(sizes, axis=1)) + np.abs(log_noise))
    total, known = np.logaddexp(0.0, log_ratio), problem.maximum_entropy(problem.observed(path.noise_gap))
    value = 0.5 * problem.rank * total - known
    error = lost * (0.5 * problem.rank * -np.expm1(-total) + known)
    value = np.maximum(value - error, 0.0)
    confines = (problem.alpha > 1.0) | (problem.factors.rank < 1.0)
    before: FloatArray = np.cumsum(confines) - confines
    return closed(np.where(before[problem.depth - 1] > 0, np.nan, value))


def layerwise(problem: Problem) -> Estimate:
    """Lower bound by closed scalar channels: the larger of theory (16) and (17), each on all layers.

    Rests on the replica formula. With hidden noise, what the layer knows of the noise is bounded from above by theory
    (15), and never by more than maximum entropy at the observed layer, `ln(1 + (q - rho) / sigma_o^2) / 2`.
    """
    return problem.once("layerwise", lambda: _from_below(problem, _lower_channels(problem)))


def fisher(problem: Problem) -> Estimate:
    """Lower bound by the Fisher information of the offset in every layer: tighter than `layerwise`, for any activation.

    The scalar channel is `closed.bounds.FisherLower`. Rests on the replica formula; hidden noise as in `layerwise`.
    """
    return problem.once("fisher", lambda: _from_below(problem, [FisherLower()]))


def _from_below(problem: Problem, channels: list[Channel]) -> Estimate:
    """The best bound by any of the closed channels, each on all layers, less what the layer knows of the noise.

    A table may lie above its channel: a bound is less by its estimated error.
    """
    found = _lowered(phi_full(problem, *(problem.tabulated(channel) for channel in channels)))
    noisy = np.flatnonzero((problem.hidden_noise > 0.0) & (problem.depth > 1))
    if len(noisy):
        some = problem.take(noisy)
        known = phi_known(some, some.tabulated(GaussianUpper()), unique=True)
        cruder = closed(some.maximum_entropy(some.observed(some.path.noise_gap)))
        less = _least(_raised(known), cruder)
        found.value[noisy] -= less.value
        found.error[noisy] += less.error
    value, converged = np.maximum(found.value, 0.0), found.converged
    if problem.decoded is not None:
        # Below every minimum of the exact potential, and these are not among those of the closed channels.
        value, converged = np.minimum(value, problem.decoded.value), converged & problem.decoded.converged
    return found._replace(value=value, converged=converged)


def gaussian_upper(problem: Problem) -> Estimate:
    """Upper bound by maximum entropy in every layer (theory (15)); rests on the replica formula.

    With hidden noise, what the layer knows of the noise is bounded from below by theory (16) and (17). Never above
    maximum entropy at the observed layer alone, `ln(1 + (q - a) / sigma_o^2) / 2`, which needs no replica formula, nor
    above the entropy of an input with finitely many values. More by the estimated error of the tables.
    """
    return problem.once("gaussian_upper", lambda: _from_above(problem))


def _from_above(problem: Problem) -> Estimate:
    cruder = closed(problem.maximum_entropy(problem.observed(problem.path.offset_gap)))
    full = phi_full(problem, problem.tabulated(GaussianUpper()), unique=True)
    # Where it underflows to 0 the cruder bound does not yet.
    full = full._replace(converged=full.converged & (full.value > 0.0))
    found = _least(_raised(full), cruder)
    noisy = np.flatnonzero((problem.hidden_noise > 0.0) & (problem.depth > 1))
    if len(noisy):
        some = problem.take(noisy)
        known = _lowered(phi_known(some, *(some.tabulated(channel) for channel in _lower_channels(some))))
        # A term without a value is left out: it can only be subtracted.
        subtracted = known.value > 0.0
        found.value[noisy] = np.maximum(found.value[noisy] - np.where(subtracted, known.value, 0.0), 0.0)
        found.error[noisy] += np.where(subtracted, known.error, 0.0)
    value = np.minimum(found.value, problem.model.prior.entropy)
    return found._replace(value=value, residual=np.zeros_like(value), converged=np.isfinite(value))


def covariance_upper(problem: Problem) -> Estimate:
    """Upper bound by the entropy of a gaussian of the observed covariance (theory (38)), of any weights and input.

    `Phi_full` of the linear surrogate: half the logarithm of the determinant of the observed covariance over the noise,
    more by its error. It needs no replica formula, only that the network's second moments are those of the surrogate,
    and so holds for inputs of any law with these. Hidden noise counts as signal. Never above maximum entropy without
    the covariance between units, nor above the entropy of an input with finitely many values.
    """
    crude = closed(problem.maximum_entropy(problem.observed(problem.path.offset_gap)))
    alike = problem.gaussian_input if isinstance(problem.model.prior, MixturePrior) else problem
    found = _least(_raised(phi_full(alike, alike.linear(), unique=True)), crude)
    value = np.minimum(found.value, problem.model.prior.entropy)
    return found._replace(value=value, residual=np.zeros_like(value), converged=np.isfinite(value))


def replica(problem: Problem) -> Estimate:
    """The replica value: the exact scalar channel in every layer (theory (14)).

    A theorem for two layers with gaussian weights, a conjecture beyond. Both ends of the range of variances are
    searched for a minimum of the potential, and the smaller one counts; so do those where the input or a layer of
    finitely many values is as good as known. Of what is not more than the error of that difference of two potentials,
    see `_faint`.
    """
    return problem.once("replica", lambda: _exactly(problem))


def _exactly(problem: Problem) -> Estimate:
    channels = problem.exact()
    found = less_noise(problem, channels, problem.posterior)
    noisy = channels.hidden.has_noise & (problem.depth > 1)
    lost = np.flatnonzero(noisy & found.converged & ~(found.value > found.error))
    if len(lost):
        _put_faint(found, lost, _faint(problem.take(lost), channels.take(lost), unique=False))
    return found


def _lower_channels(problem: Problem) -> list[Channel]:
    """The closed lower bounds on the scalar channel that the activation admits."""
    disjoint = problem.propagation.phi.images_disjoint
    return [LinearLower(), EntropyPowerLower()] if disjoint else [LinearLower()]


def _lowered(found: Estimate) -> Estimate:
    """An estimate less by its error."""
    return found._replace(value=found.value - found.error)


def _raised(found: Estimate) -> Estimate:
    """An estimate more by its error."""
    return found._replace(value=found.value + found.error)


def _least(one: Estimate, other: Estimate) -> Estimate:
    """The smaller of two upper bounds on one quantity, where either is known."""
    known = (found._replace(value=np.where(found.converged, found.value, np.inf)) for found in (one, other))
    return smaller(*known)._replace(converged=one.converged | other.converged)


REGISTRY: dict[str, Callable[[Problem], Estimate]] = {
    "mi_mean_field": mean_field,
    "mi_linear": linear,
    "mi_entropy_power": entropy_power,
    "mi_layerwise": layerwise,
    "mi_gaussian_upper": gaussian_upper,
    "mi_covariance_upper": covariance_upper,
    "mi_replica": replica,
    "mi_fisher": fisher,
}
