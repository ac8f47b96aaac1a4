"""The named bounds on the information between input and observed layer (theory section 4).

Each is a few lines: which scalar channel, in which chain. Values are rates in nats per input dimension (theory (2)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.activations.linear import Linear
from mfmi.chain import Chain, Solution, solve
from mfmi.channel_tables import Channel, table
from mfmi.closed_channels import EntropyPowerLower, GaussianUpper, LinearLower
from mfmi.ensembles import ENSEMBLES, Ensemble
from mfmi.exact_tables import exact_table
from mfmi.gaussian import even_rule
from mfmi.interfaces import FirstLayer, GaussianInput, GaussianOutput, LayerChannel, Source, Surrogate, Tabulated
from mfmi.meanfield import Trajectory

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Propagation:
    """Mean field of u networks through their layers, shared by all points that differ only in weights or output noise.

    Attributes
    ----------
    phi : the activation.
    path : mean-field trajectory, fields of shape (u, D).
    hidden_noise : `sigma_h^2`, shape (u,).
    """

    phi: Activation
    path: Trajectory
    hidden_noise: Array

    @cached_property
    def surrogate(self) -> Surrogate:
        """Linear network with the same second moments, layers 1 to D - 1 (theory (18))."""
        inner = (self.path.offset_gap + self.hidden_noise[:, None])[:, :-1]
        # A variance that has overflowed has no moments; its rows are marked by their q and any number will do.
        finite = np.isfinite(inner) & np.isfinite(self.path.s[:, :-1])
        inner = np.where(finite, inner, 1.0)
        offset = np.where(finite, np.maximum(self.path.s[:, :-1] - inner, 0.0), 1.0)
        flat_offset, flat_inner = offset.ravel(), inner.ravel()
        m, weight = self.phi.offset_rule(flat_offset, flat_inner, tolerance=1e-10)
        if self.phi.odd or self.phi.even:
            m, weight = even_rule(m, weight)
        moments = self.phi.conditional(m, np.broadcast_to(flat_inner[:, None], m.shape))
        shape = (*inner.shape, m.shape[1])
        gain, residual = np.square(moments.kappa), moments.residual
        return Surrogate(
            gain.reshape(shape), residual.reshape(shape), weight.reshape(shape), self.hidden_noise[:, None]
        )


@dataclass(frozen=True)
class Problem:
    """n points with one activation and one ensemble, each cut at a layer of its own up to D.

    Attributes
    ----------
    propagation : mean field of the networks.
    rows : which network of `propagation` each point is, shape (n,).
    weights : name of the ensemble.
    sigma_w2, output_noise, input_variance : shape (n,).
    depth : the observed layer of each point, shape (n,).
    """

    propagation: Propagation
    rows: NDArray[np.intp]
    weights: str
    sigma_w2: Array
    output_noise: Array
    input_variance: Array
    depth: NDArray[np.intp]

    @cached_property
    def deepest(self) -> int:
        """The deepest observed layer."""
        return int(self.depth.max())

    def observed(self, values: Array) -> Array:
        """Entries of an array of shape (n, D) at every point's observed layer."""
        return values[np.arange(len(self.rows)), self.depth - 1]

    @cached_property
    def path(self) -> Trajectory:
        """Mean-field trajectory of every point, fields of shape (n, D)."""
        return self.propagation.path.take(self.rows)

    @cached_property
    def hidden_noise(self) -> Array:
        """`sigma_h^2`, shape (n,)."""
        return self.propagation.hidden_noise[self.rows]

    def ensemble(self, count: int) -> Ensemble:
        """`count` square weight matrices."""
        return ENSEMBLES[self.weights](self.sigma_w2[:, None], np.ones(count))

    def tabulated(self, channel: Channel) -> Tabulated:
        """A nonlinear scalar channel in layers 1 to D - 1 (theory (14)-(17))."""
        return Tabulated(table(self.propagation.phi, channel), self.path.s[:, :-1], self.hidden_noise[:, None])

    def exact(self) -> LayerChannel:
        """The exact scalar channel in layers 1 to D - 1 (theory (14)); in closed form where phi is linear."""
        if isinstance(self.propagation.phi, Linear):
            return self.propagation.surrogate.part(self.rows, slice(None))
        return Tabulated(exact_table(self.propagation.phi), self.path.s[:, :-1], self.hidden_noise[:, None])

    @cached_property
    def posterior(self) -> Estimate:
        """What the observed layer knows of the input and of all noise together, by the exact channel."""
        return _everything(self, self.exact())

    def part(self, chosen: NDArray[np.intp]) -> Problem:
        """The problem of some of the points."""
        return Problem(
            self.propagation,
            self.rows[chosen],
            self.weights,
            self.sigma_w2[chosen],
            self.output_noise[chosen],
            self.input_variance[chosen],
            self.depth[chosen],
        )


class Estimate(NamedTuple):
    """A value per point, in nats per input dimension.

    Attributes
    ----------
    value : shape (n,); NaN where the estimator does not exist or did not converge.
    residual : mismatch of the stationarity conditions, shape (n,); 0 for closed forms.
    converged : shape (n,).
    mmse : mean squared error that is left of an input entry, shape (n,); NaN where the estimator has none.
    coexisting : whether the potential has two minima, the sign of a first-order transition nearby, shape (n,).
    """

    value: Array
    residual: Array
    converged: NDArray[np.bool_]
    mmse: Array
    coexisting: NDArray[np.bool_]


def closed(value: Array) -> Estimate:
    """An estimate in closed form."""
    nowhere = np.zeros(len(value), dtype=bool)
    return Estimate(value, np.zeros_like(value), ~nowhere, np.full_like(value, np.nan), nowhere)


def mean_field(problem: Problem) -> Estimate:
    """The classic mean-field value (theory (17a)): an approximation, for gaussian weights above the truth.

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
    slope = problem.sigma_w2[:, None] * np.asarray(problem.propagation.phi.slope_correlation_gap(s, gap))
    first = (problem.input_variance * problem.sigma_w2)[:, None]
    gains = np.asarray(np.cumprod(np.hstack((first, slope)), axis=1), dtype=np.float64)
    signal = problem.observed(gains)
    total = problem.observed(path.offset_gap) + problem.output_noise
    return closed(-0.5 * np.log1p(-np.minimum(signal / total, 1.0)))


def linear(problem: Problem) -> Estimate:
    """Linearly readable information: lower bound by the best linear decoder (theory 4.1).

    A theorem given that the network's second moments are those of its linear surrogate.
    """
    surrogate = problem.propagation.surrogate.part(problem.rows, slice(0, problem.deepest - 1))
    found = _less_noise(problem, surrogate, _everything(problem, surrogate, unique=True), unique=True)
    faint = np.flatnonzero(found.converged & (found.value < _FAINT) & (problem.depth > 1))
    if len(faint):
        found.value[faint] = _faint(problem.part(faint), surrogate.part(faint, slice(None)))
    return found


# Below this the difference of two potentials has lost digits, and the signal is weak enough for a short integral.
_FAINT = 1e-4


def _faint(problem: Problem, surrogate: Surrogate) -> Array:
    """`Phi_full - Phi_known` of a linear network without cancellation.

    The known potential is the full one at input variance 0, and by stationarity the potential changes with the input
    variance t only through `J_0`: the difference is the integral of `r_0 / (1 + t r_0) / 2` over t up to `q_x`. At weak
    signals `r_0` hardly depends on t, and two Gauss nodes are exact to the fifth order of the signal.
    """
    value = np.zeros(len(problem.rows))
    for node in (0.5 - np.sqrt(1.0 / 12.0), 0.5 + np.sqrt(1.0 / 12.0)):
        variance = node * problem.input_variance
        r = solve(_chain(problem, GaussianInput(variance), surrogate), unique=True).r[:, 0]
        value += 0.25 * problem.input_variance * r / (1.0 + variance * r)
    return value


def entropy_power(problem: Problem) -> Estimate:
    """Lower bound by the entropy power inequality (theory (19)); a theorem in the mean-field limit.

    Strictly monotone activations and square layers only, else null.
    """
    phi, path = problem.propagation.phi, problem.path
    if not phi.strictly_monotone:
        return closed(np.full(len(problem.rows), np.nan))
    loss = 1.0 if problem.weights == "gaussian" else 0.0
    scale = np.log(problem.sigma_w2) - loss
    log_power = np.empty((len(problem.rows), problem.deepest))
    log_power[:, 0] = np.log(problem.input_variance) + scale
    for layer in range(problem.deepest - 1):
        noisy = np.logaddexp(log_power[:, layer], np.log(problem.hidden_noise))
        s = np.where(np.isfinite(path.s[:, layer]), path.s[:, layer], 1.0)
        log_power[:, layer + 1] = noisy + np.asarray(phi.log_slope(s)) + scale
    floor = np.log(problem.observed(path.noise_gap) + problem.output_noise)
    total = np.logaddexp(problem.observed(log_power), np.log(problem.output_noise))
    return closed(np.maximum(0.5 * (total - floor), 0.0))


def layerwise(problem: Problem) -> Estimate:
    """Lower bound by closed scalar channels: the larger of theory (16) and (17), each on all layers.

    Rests on the replica formula. With hidden noise, what the layer knows of the noise is bounded from above by theory
    (15), and never by more than maximum entropy at the observed layer, `ln(1 + (q - rho) / sigma_o^2) / 2`.
    """
    full = [_everything(problem, problem.tabulated(channel)) for channel in _lower_channels(problem)]
    found = _best(full, np.fmax)
    noisy = np.flatnonzero((problem.hidden_noise > 0.0) & (problem.depth > 1))
    if len(noisy):
        some = problem.part(noisy)
        known = _from_first_layer(some, some.tabulated(GaussianUpper()), np.zeros(len(noisy)), unique=True)
        cruder = 0.5 * np.log1p(some.observed(some.path.noise_gap) / some.output_noise)
        less = np.fmin(np.where(known.converged, known.value, np.inf), cruder)
        found.value[noisy] = np.maximum(found.value[noisy] - less, 0.0)
    return found


def gaussian_upper(problem: Problem) -> Estimate:
    """Upper bound by maximum entropy in every layer (theory (15)); rests on the replica formula.

    With hidden noise, what the layer knows of the noise is bounded from below by theory (16) and (17). Never above
    maximum entropy at the observed layer alone, `ln(1 + (q - a) / sigma_o^2) / 2`, which needs no replica formula.
    """
    cruder = 0.5 * np.log1p(problem.observed(problem.path.offset_gap) / problem.output_noise)
    found = _everything(problem, problem.tabulated(GaussianUpper()), unique=True)
    value = np.fmin(np.where(found.converged, found.value, np.inf), cruder)
    noisy = np.flatnonzero((problem.hidden_noise > 0.0) & (problem.depth > 1))
    if len(noisy):
        some, nothing = problem.part(noisy), np.zeros(len(noisy))
        noise = [_from_first_layer(some, some.tabulated(channel), nothing) for channel in _lower_channels(some)]
        # A term that did not converge is left out: it can only be subtracted.
        known = np.fmax.reduce([np.where(e.converged, e.value, 0.0) for e in noise])
        value[noisy] = np.maximum(value[noisy] - known, 0.0)
    return closed(value)


def replica(problem: Problem) -> Estimate:
    """The replica value: the exact scalar channel in every layer (theory (14)).

    A theorem for two layers with gaussian weights, a conjecture beyond. Both ends of the range of variances are
    searched for a minimum of the potential, and the smaller one counts.
    """
    return _less_noise(problem, problem.exact(), problem.posterior)


def _lower_channels(problem: Problem) -> list[Channel]:
    """The closed lower bounds on the scalar channel that the activation admits."""
    disjoint = problem.propagation.phi.images_disjoint
    return [LinearLower(), EntropyPowerLower()] if disjoint else [LinearLower()]


def _best(found: list[Estimate], choose: Callable[[Array, Array], Array]) -> Estimate:
    """The best of several estimates of one quantity; converged where any is, for each is a bound on its own."""
    value = found[0].value
    for other in found[1:]:
        value = choose(value, other.value)
    converged = np.logical_or.reduce([e.converged for e in found])
    residual = np.minimum.reduce([e.residual for e in found])
    return closed(value)._replace(residual=residual, converged=converged)


def _less_noise(problem: Problem, channel: LayerChannel, full: Estimate, unique: bool = False) -> Estimate:
    """`Phi_full - Phi_known`: what the observed layer knows of everything, less what it knows of the noise."""
    noisy = np.flatnonzero(channel.has_noise & (problem.depth > 1))
    if not len(noisy):
        return full
    value, residual, converged = full.value.copy(), full.residual.copy(), full.converged.copy()
    some, nothing = problem.part(noisy), np.zeros(len(noisy))
    noise = _from_first_layer(some, channel.part(noisy, slice(None)), nothing, unique)
    value[noisy] = np.maximum(value[noisy] - noise.value, 0.0)
    residual[noisy] = np.maximum(residual[noisy], noise.residual)
    converged[noisy] &= noise.converged
    coexisting = full.coexisting.copy()
    coexisting[noisy] |= noise.coexisting
    return full._replace(value=value, residual=residual, converged=converged, coexisting=coexisting)


def _everything(problem: Problem, channel: LayerChannel, unique: bool = False) -> Estimate:
    """`Phi_full`: information about the input and all noise on the way.

    With `unique` one minimum of the potential will do: a linear network has no other, and of an upper bound any
    minimum is an upper bound. A lower bound must not miss the smallest.
    """
    if problem.weights != "orthogonal":
        return _solve(problem, GaussianInput(problem.input_variance), channel, unique)
    # An orthogonal matrix leaves gaussian inputs independent and gaussian, so the first matrix drops out.
    first = problem.sigma_w2 * problem.input_variance
    found = closed(0.5 * np.log1p(first / problem.output_noise))
    found = found._replace(mmse=problem.input_variance / (1.0 + first / problem.output_noise))
    deep = np.flatnonzero(problem.depth > 1)
    if len(deep):
        rest = _from_first_layer(problem.part(deep), channel.part(deep, slice(None)), first[deep], unique)
        # The chain begins behind the matrix: its error is one of the layer's output, and that of the input is
        # `q_x (1 - A_1 V_1)`, as theory (11) gives it where V_1 is the prior variance.
        rest = rest._replace(mmse=problem.input_variance[deep] * rest.mmse)
        for whole, part in zip(found, rest, strict=True):
            whole[deep] = part
    return found


def _from_first_layer(problem: Problem, channel: LayerChannel, variance: Array, unique: bool = False) -> Estimate:
    """Potential of chains that begin with the first hidden layer at a given variance; all depths above 1.

    The `mmse` of the result is the share `1 - A_1 V_1` of the variance that is left of a pre-activation.
    """
    layer = channel.part(slice(None), slice(0, 1))
    solution = solve(_chain(problem, FirstLayer(layer, variance), channel.part(slice(None), slice(1, None))), unique)
    return _estimate_of(solution, layer.derivatives(solution.r[:, :1], variance[:, None]).rest_v[:, 0])


def _solve(problem: Problem, source: Source, layers: LayerChannel, unique: bool) -> Estimate:
    solution = solve(_chain(problem, source, layers), unique)
    return _estimate_of(solution, solution.mmse)


def _estimate_of(solution: Solution, mmse: Array) -> Estimate:
    value = np.where(solution.converged, solution.value, np.nan)
    return Estimate(value, solution.residual, solution.converged, mmse, solution.coexisting)


def _chain(problem: Problem, source: Source, layers: LayerChannel) -> Chain:
    """The points' networks behind a source, which stands for the first layer where it is one."""
    gone = 1 if isinstance(source, FirstLayer) else 0
    count = problem.deepest - gone
    hidden = layers.part(slice(None), slice(0, count - 1)) if count > 1 else None
    output = GaussianOutput(problem.output_noise)
    return Chain(source, problem.ensemble(count), hidden, output, problem.depth - gone)


REGISTRY: dict[str, Callable[[Problem], Estimate]] = {
    "mean_field": mean_field,
    "linear": linear,
    "entropy_power": entropy_power,
    "layerwise": layerwise,
    "gaussian_upper": gaussian_upper,
    "replica": replica,
}
