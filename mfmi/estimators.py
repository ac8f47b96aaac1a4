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
from mfmi.chain import Chain, solve
from mfmi.channel_tables import Channel, table
from mfmi.closed_channels import EntropyPowerLower, GaussianUpper, LinearLower
from mfmi.ensembles import ENSEMBLES, Ensemble
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
        m, weight = self.phi.offset_rule(flat_offset, flat_inner, tolerance=1e-11)
        moments = self.phi.conditional(m, np.broadcast_to(flat_inner[:, None], m.shape))
        shape = (*inner.shape, m.shape[1])
        gain, residual = np.square(moments.kappa), moments.residual
        return Surrogate(
            gain.reshape(shape), residual.reshape(shape), weight.reshape(shape), self.hidden_noise[:, None]
        )


@dataclass(frozen=True)
class Problem:
    """n points with one activation and one ensemble, to be cut at any layer up to D.

    Attributes
    ----------
    propagation : mean field of the networks.
    rows : which network of `propagation` each point is, shape (n,).
    weights : name of the ensemble.
    sigma_w2, output_noise, input_variance : shape (n,).
    """

    propagation: Propagation
    rows: NDArray[np.intp]
    weights: str
    sigma_w2: Array
    output_noise: Array
    input_variance: Array

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

    def part(self, chosen: NDArray[np.intp]) -> Problem:
        """The problem of some of the points."""
        arrays = (a[chosen] for a in (self.sigma_w2, self.output_noise, self.input_variance))
        return Problem(self.propagation, self.rows[chosen], self.weights, *arrays)


class Estimate(NamedTuple):
    """A value per point, in nats per input dimension.

    Attributes
    ----------
    value : shape (n,); NaN where the estimator does not exist or did not converge.
    residual : mismatch of the stationarity conditions, shape (n,); 0 for closed forms.
    converged : shape (n,).
    """

    value: Array
    residual: Array
    converged: NDArray[np.bool_]


def _closed(value: Array) -> Estimate:
    return Estimate(value, np.zeros_like(value), np.ones(len(value), dtype=bool))


def mean_field(problem: Problem, depth: int) -> Estimate:
    """The classic mean-field value (theory (17a)): an approximation, for gaussian weights above the truth.

    Parameters
    ----------
    problem : the points.
    depth : the observed layer.

    Returns
    -------
    Estimate
        Closed form.
    """
    path = problem.path
    before = slice(0, depth - 1)
    inner = path.offset_gap[:, before] + problem.hidden_noise[:, None]
    finite = np.isfinite(inner) & np.isfinite(path.s[:, before])
    s, gap = (np.where(finite, a, 1.0) for a in (path.s[:, before], inner))
    slope = problem.sigma_w2[:, None] * np.asarray(problem.propagation.phi.slope_correlation_gap(s, gap))
    signal = problem.input_variance * problem.sigma_w2 * np.prod(slope, axis=1)
    total = path.offset_gap[:, depth - 1] + problem.output_noise
    return _closed(-0.5 * np.log1p(-np.minimum(signal / total, 1.0)))


def linear(problem: Problem, depth: int) -> Estimate:
    """Linearly readable information: lower bound by the best linear decoder (theory 4.1).

    A theorem given that the network's second moments are those of its linear surrogate.
    """
    surrogate = problem.propagation.surrogate.part(problem.rows, slice(0, depth - 1))
    found = _difference(problem, depth, surrogate, [surrogate])
    faint = np.flatnonzero(found.converged & (found.value < _FAINT))
    if depth > 1 and len(faint):
        found.value[faint] = _faint(problem.part(faint), depth, surrogate.part(faint, slice(None)))
    return found


# Below this the difference of two potentials has lost digits, and the signal is weak enough for a short integral.
_FAINT = 1e-4


def _faint(problem: Problem, depth: int, surrogate: Surrogate) -> Array:
    """`Phi_full - Phi_known` of a linear network without cancellation.

    The known potential is the full one at input variance 0, and by stationarity the potential changes with the input
    variance t only through `J_0`: the difference is the integral of `r_0 / (1 + t r_0) / 2` over t up to `q_x`. At weak
    signals `r_0` hardly depends on t, and two Gauss nodes are exact to the fifth order of the signal.
    """
    value = np.zeros(len(problem.rows))
    for node in (0.5 - np.sqrt(1.0 / 12.0), 0.5 + np.sqrt(1.0 / 12.0)):
        variance = node * problem.input_variance
        chain = Chain(GaussianInput(variance), problem.ensemble(depth), surrogate, GaussianOutput(problem.output_noise))
        r = solve(chain, unique=True).r[:, 0]
        value += 0.25 * problem.input_variance * r / (1.0 + variance * r)
    return value


def entropy_power(problem: Problem, depth: int) -> Estimate:
    """Lower bound by the entropy power inequality (theory (19)); a theorem in the mean-field limit.

    Strictly monotone activations and square layers only, else null.
    """
    phi, path = problem.propagation.phi, problem.path
    if not phi.strictly_monotone:
        return _closed(np.full(len(problem.rows), np.nan))
    loss = 1.0 if problem.weights == "gaussian" else 0.0
    scale = np.log(problem.sigma_w2) - loss
    log_power = np.log(problem.input_variance) + scale
    for layer in range(depth - 1):
        noisy = np.logaddexp(log_power, np.log(problem.hidden_noise))
        log_power = noisy + np.asarray(phi.log_slope(path.s[:, layer])) + scale
    noise = np.log(problem.output_noise)
    floor = np.log(path.noise_gap[:, depth - 1] + problem.output_noise)
    return _closed(np.maximum(0.5 * (np.logaddexp(log_power, noise) - floor), 0.0))


def layerwise(problem: Problem, depth: int) -> Estimate:
    """Lower bound by closed scalar channels: the larger of theory (16) and (17), each on all layers.

    Rests on the replica formula.
    """
    known: list[LayerChannel] = [problem.tabulated(GaussianUpper())]
    found = [_difference(problem, depth, problem.tabulated(channel), known) for channel in _lower_channels(problem)]
    return _best(found, np.fmax)


def gaussian_upper(problem: Problem, depth: int) -> Estimate:
    """Upper bound by maximum entropy in every layer (theory (15)); rests on the replica formula.

    With hidden noise, what the layer knows of the noise is bounded from below by theory (16) and (17). Never above
    maximum entropy at the observed layer alone, `ln(1 + (q - a) / sigma_o^2) / 2`, which needs no replica formula.
    """
    cruder = 0.5 * np.log1p(problem.path.offset_gap[:, depth - 1] / problem.output_noise)
    found = _everything(problem, depth, problem.tabulated(GaussianUpper()))
    value = np.fmin(np.where(found.converged, found.value, np.inf), cruder)
    noisy = np.flatnonzero(problem.hidden_noise > 0.0)
    if depth > 1 and len(noisy):
        some, nothing = problem.part(noisy), np.zeros(len(noisy))
        noise = [_from_first_layer(some, depth, some.tabulated(channel), nothing) for channel in _lower_channels(some)]
        # A term that did not converge is left out: it can only be subtracted.
        known = np.fmax.reduce([np.where(e.converged, e.value, 0.0) for e in noise])
        value[noisy] = np.maximum(value[noisy] - known, 0.0)
    return _closed(value)


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
    return Estimate(value, np.minimum.reduce([e.residual for e in found]), converged)


def _difference(problem: Problem, depth: int, full: LayerChannel, known: list[LayerChannel]) -> Estimate:
    """`Phi_full - Phi_known`: what the observed layer knows of everything, less what it knows of the noise.

    Several channels for the second term: the largest value counts, which is the tightest where they are lower bounds.
    """
    found = _everything(problem, depth, full)
    noisy = np.flatnonzero(known[0].has_noise)
    if depth == 1 or not len(noisy):
        return found
    some = problem.part(noisy)
    nothing = np.zeros(len(noisy))
    channels = [channel.part(noisy, slice(None)) for channel in known]
    noise = _best([_from_first_layer(some, depth, channel, nothing) for channel in channels], np.fmax)
    value, residual, converged = found.value.copy(), found.residual.copy(), found.converged.copy()
    value[noisy] = np.maximum(value[noisy] - noise.value, 0.0)
    residual[noisy] = np.maximum(residual[noisy], noise.residual)
    converged[noisy] &= noise.converged
    return Estimate(value, residual, converged)


def _everything(problem: Problem, depth: int, channel: LayerChannel) -> Estimate:
    """`Phi_full`: information about the input and all noise on the way."""
    if depth > 1 and problem.weights == "orthogonal":
        # An orthogonal matrix leaves gaussian inputs independent and gaussian, so the first matrix drops out.
        return _from_first_layer(problem, depth, channel, problem.sigma_w2 * problem.input_variance)
    layers = channel.part(slice(None), slice(0, depth - 1)) if depth > 1 else None
    return _solve(problem, GaussianInput(problem.input_variance), depth, layers)


def _from_first_layer(problem: Problem, depth: int, channel: LayerChannel, variance: Array) -> Estimate:
    """Potential of a chain that begins with the first hidden layer at a given variance."""
    first = FirstLayer(channel.part(slice(None), slice(0, 1)), variance)
    rest = channel.part(slice(None), slice(1, depth - 1)) if depth > 2 else None
    return _solve(problem, first, depth - 1, rest)


def _solve(problem: Problem, source: Source, count: int, layers: LayerChannel | None) -> Estimate:
    chain = Chain(source, problem.ensemble(count), layers, GaussianOutput(problem.output_noise))
    # A linear network's potential has one minimum; that of a bound on a nonlinear channel need not.
    first = source.layer if isinstance(source, FirstLayer) else layers
    solution = solve(chain, unique=first is None or isinstance(first, Surrogate))
    return Estimate(np.where(solution.converged, solution.value, np.nan), solution.residual, solution.converged)


REGISTRY: dict[str, Callable[[Problem, int], Estimate]] = {
    "mean_field": mean_field,
    "linear": linear,
    "entropy_power": entropy_power,
    "layerwise": layerwise,
    "gaussian_upper": gaussian_upper,
}
