"""Points as the estimators get them: networks of one activation and one ensemble, and the chains that they are.

Information is a difference of two potentials (theory section 3): what the observed layer knows of everything, less what
it knows of the noise on the way. Both are rates in nats per input dimension (theory (2)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.activations.linear import Linear
from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.estimate import Estimate, closed, largest, smaller
from mfmi.bounds.factors import Factors, factors_of
from mfmi.bounds.offsets import linear_moments
from mfmi.bounds.propagation import Propagation
from mfmi.chain.ensembles import Ensemble, ensemble_of
from mfmi.chain.potential import POTENTIAL_ROUNDING, Chain, refined
from mfmi.chain.search import Solution, solve, solve_rivals
from mfmi.channels.closed.table import Channel, table
from mfmi.channels.elementwise import information_over
from mfmi.channels.exact.direct import can_be_direct
from mfmi.channels.exact.table import exact_table
from mfmi.channels.gains import Interleaved
from mfmi.channels.layers import Direct, Surrogate, Tabulated
from mfmi.channels.observed.activation import is_step
from mfmi.channels.observed.outputs import ActivationOutput, GaussianOutput, LinearOutput, Output
from mfmi.channels.protocols import ChannelValues, LayerChannel, Source
from mfmi.channels.sources import FirstLayer, source_of
from mfmi.meanfield import Trajectory
from mfmi.networks.model import GAUSSIAN, SQUARE, Model
from mfmi.networks.priors import MixturePrior
from mfmi.networks.weights import Weights

# Signal of the last hidden layer in noise widths up to which its channel is computed without a table.
LOUDEST = 3e3


class Channels(NamedTuple):
    """Choice of the channel that stands for each layer of n points.

    Attributes
    ----------
    hidden : channels of layers 1 to D - 1.
    output : channel of every point's observed layer.
    exact : whether they are no bounds, so that what they leave of the input means something.
    """

    hidden: LayerChannel
    output: Output
    exact: bool = False

    def take(self, chosen: NDArray[np.intp]) -> Channels:
        """The channels of some of the points."""
        return Channels(self.hidden.take(chosen, slice(None)), self.output.take(chosen), self.exact)


@dataclass(frozen=True)
class Problem:
    """n points with one activation and one ensemble, each cut at a layer of its own up to D.

    Attributes
    ----------
    propagation : mean field of the networks.
    rows : which network of `propagation` each point is, shape (n,).
    weights : label of the layers' ensembles.
    sigma_w2, output_noise, input_variance : of the points, shape (n,).
    depth : the observed layer of each point, shape (n,).
    model : what all networks have in common.
    """

    propagation: Propagation
    rows: NDArray[np.intp]
    weights: str
    sigma_w2: FloatArray
    output_noise: FloatArray
    input_variance: FloatArray
    depth: NDArray[np.intp]
    model: Model = SQUARE

    @cached_property
    def deepest(self) -> int:
        """The deepest observed layer."""
        return int(self.depth.max())

    def observed(self, values: FloatArray) -> FloatArray:
        """Entries of an array of shape (n, D) at every point's observed layer."""
        return values[np.arange(len(self.rows)), self.depth - 1]

    @cached_property
    def path(self) -> Trajectory:
        """Mean-field trajectory of every point, fields of shape (n, D)."""
        return self.propagation.path.take(self.rows)

    @cached_property
    def hidden_noise(self) -> FloatArray:
        """`sigma_h^2`, shape (n,)."""
        return self.propagation.hidden_noise[self.rows]

    @cached_property
    def layer_sigma_w2(self) -> FloatArray:
        """`sigma_w^2` of layers 1 to D, shape (n, D); (n, 1) where all layers are alike."""
        return np.asarray(self.sigma_w2[:, None] * self.model.variances(self.deepest)[0])

    @cached_property
    def alpha(self) -> FloatArray:
        """`alpha_l = n_l / n_{l-1}` of layers 1 to D."""
        return self.model.ratios(self.deepest)

    @cached_property
    def beta(self) -> FloatArray:
        """`beta_l = n_l / n_0` of every point's observed layer, shape (n,)."""
        return np.asarray(np.cumprod(self.alpha), dtype=np.float64)[self.depth - 1]

    @cached_property
    def layer_weights(self) -> Weights:
        """Ensemble of every layer's weights."""
        return self.model.weights_of(self.weights)

    @cached_property
    def factors(self) -> Factors:
        """The matrices that the weights of layers 1 to D are made of."""
        return factors_of(self.layer_weights, self.alpha)

    @cached_property
    def length(self) -> NDArray[np.intp]:
        """Number of matrices up to every point's observed layer, shape (n,)."""
        return np.asarray(self.factors.last[self.depth - 1] + 1)

    @cached_property
    def ranks(self) -> FloatArray:
        """Dimensions that the weights of layers 1 to D pass on, over the input's: at most the narrower side's."""
        return np.cumprod(self.alpha) / np.maximum(1.0, self.alpha) * self.factors.rank

    @property
    def rank(self) -> FloatArray:
        """Dimensions that every point's observed layer passes on, over the input's, shape (n,)."""
        return np.asarray(self.ranks[self.depth - 1])

    @cached_property
    def log_volume(self) -> FloatArray:
        """Mean logarithm of the squared singular values of each layer's weights that are above 0, shape (n, D)."""
        starts = np.concatenate(([0], self.factors.last[:-1] + 1))
        return np.add.reduceat(self.ensemble(0).log_volume(), starts, axis=1) + self.factors.log_volume

    def maximum_entropy(self, variance: FloatArray) -> FloatArray:
        """Upper bound on the observed layer's information about signals of that variance per pre-activation.

        Their covariance has the rank of the layer's matrix, and information is largest where all directions are alike.
        Where the activation is observed, the layer knows no more than its units would of independent signals.
        """
        per_direction = variance * self.beta / self.rank
        found = self.rank * information_over(per_direction, self.output_noise)
        if self.hides_nothing:
            return found
        return np.fmin(found, self.beta * self.output.information(np.minimum(variance, self.observed(self.path.q))))

    def source(self, variance: FloatArray) -> Source:
        """The input's channel, its entries of the given variance."""
        return source_of(self.model.prior, variance)

    @cached_property
    def by_mode(self) -> Problem:
        """The frequencies of convolutions as points of their own, a point's one after the other."""
        convolution, propagation = self.model.convolution, self.propagation.modes
        assert convolution is not None
        assert propagation is not None
        waves = convolution.modes
        count = len(waves.share)
        repeated = np.repeat(np.arange(len(self.rows)), count)
        which = np.tile(np.arange(count), len(self.rows))
        model = replace(self.model, convolution=None, prior=GAUSSIAN)
        each = replace(self.take(repeated), propagation=propagation, model=model)
        return replace(
            each, rows=each.rows * count + which, input_variance=each.input_variance * waves.eigenvalue[which]
        )

    @property
    def gaussian_input(self) -> Problem:
        """The same networks where the input's entries are gaussian, of the same covariance."""
        if isinstance(self.model.prior, MixturePrior):
            return replace(self, model=replace(self.model, prior=GAUSSIAN))
        return self

    def ensemble(self, before: int) -> Ensemble:
        """The matrices of layers 1 to D but for the first `before`."""
        factors, scale = self.factors, self.layer_sigma_w2
        if scale.shape[1] > 1:
            scale = scale[:, np.searchsorted(factors.last, np.arange(before, len(factors.alpha)))]
        if not factors.scaled.all():
            scale = np.where(factors.scaled[before:], scale, 1.0)
        return ensemble_of(scale, factors.alpha[before:], factors.rotates[before:])

    def _interleaved(self, activations: LayerChannel) -> LayerChannel:
        """The channels of layers 1 to D - 1, with those of the singular values of their weights between them."""
        linear = self.factors.linear
        return Interleaved(activations, self.factors.gains, linear) if linear.any() else activations

    @property
    def hides_nothing(self) -> bool:
        """Whether the observation determines the noisy pre-activation, as with a strictly monotone activation."""
        return self.model.observe == "pre-activation" or self.propagation.phi.strictly_monotone

    @cached_property
    def output(self) -> Output:
        """The exact channel of the observed layers."""
        if self.hides_nothing:
            return GaussianOutput(self.output_noise)
        return ActivationOutput(self.propagation.phi, self.output_noise, self.observed(self.path.q))

    def tabulated(self, channel: Channel) -> Channels:
        """A bound on the channel in layers 1 to D - 1 (theory (15)-(17)); the channel itself if phi is linear."""
        if isinstance(self.propagation.phi, Linear):
            return self.exact()
        return self._with_table(table(self.propagation.phi, channel))

    def exact(self) -> Channels:
        """The exact scalar channel in layers 1 to D - 1 (theory (14)); in closed form where phi is linear."""
        if isinstance(self.propagation.phi, Linear):
            return self.linear()._replace(exact=True)
        if self.model.tables is False and can_be_direct(self.propagation.phi) and not self.is_quiet.any():
            total, hidden = self._hidden
            channels = Direct(self.propagation.phi, total, self.hidden_noise[:, None], hidden)
            return Channels(self._interleaved(channels), self.output, exact=True)
        return self._with_table(exact_table(self.propagation.phi))._replace(exact=True)

    @property
    def is_quiet(self) -> NDArray[np.bool_]:
        """Whether the observed layer's noise is so small beside its signal that only a table is fast, shape (n,)."""
        before = self.path.s[np.arange(len(self.rows)), np.maximum(self.depth - 2, 0)]
        scale = np.broadcast_to(self.layer_sigma_w2, (len(self.rows), self.deepest))
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(self.observed(scale) * before > LOUDEST**2 * self.output_noise)

    @property
    def _hidden(self) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Variances of layers 1 to D - 1 and whether a point has that layer, shape (n, D - 1).

        What lies after a point's observed layer is ignored, and must not ask for a tile of its own.
        """
        total, hidden = self.path.s[:, : self.deepest - 1], np.arange(1, self.deepest) < self.depth[:, None]
        return np.where(hidden, total, np.min(total, where=hidden, initial=np.inf)), hidden

    def _with_table(self, known: ChannelValues) -> Channels:
        channels = Tabulated(known, self._hidden[0], self.hidden_noise[:, None])
        return Channels(self._interleaved(channels), self.output)

    def linear(self) -> Channels:
        """Information read by a linear decoder, all layers linearised (theory (18))."""
        return self._linear(self.propagation.surrogate)

    def blunt(self) -> Channels | None:
        """A second opinion on `linear` where that is not exact, else None."""
        return None if self.propagation.blunt is None else self._linear(self.propagation.blunt)

    def _linear(self, surrogate: Surrogate) -> Channels:
        layers = self._interleaved(surrogate.take(self.rows, slice(0, self.deepest - 1)))
        if self.hides_nothing:
            return Channels(layers, self.output)
        inner = self.observed(self.path.offset_gap) + self.output_noise
        total = self.observed(self.path.q) + self.output_noise
        signal, residual, weight = linear_moments(self.propagation.phi, total, inner)
        noise = signal * self.output_noise[:, None] + residual
        # Far out on a flat piece both vanish, and there is nothing to read.
        return Channels(layers, LinearOutput(signal / np.where(noise > 0.0, noise, np.inf), weight))

    @cached_property
    def posterior(self) -> Estimate:
        """Information of the observed layer about the input and all noise together, by the exact channel."""
        found = phi_full(self, self.exact())
        return found if self.decoded is None else smaller(found, self.decoded)

    @cached_property
    def decoded(self) -> Estimate | None:
        """Least potential of the networks where the input or a layer of finitely many values is as good as known.

        At such a minimum nothing after that layer matters, and what is known is its entropy: the potential of the
        network that ends there. Without noise on the way the observed layer cannot know more (data processing). None
        where no layer and no input has finitely many values.
        """
        quiet = self.hidden_noise == 0.0
        known = np.where(quiet, self.model.prior.entropy, np.inf)
        least = closed(known)._replace(mmse=np.zeros_like(known))
        if not is_step(self.propagation.phi):
            return least if np.isfinite(known).any() else None
        settings = np.stack([self.rows, self.sigma_w2, self.input_variance])
        _, networks, which = np.unique(settings, axis=1, return_index=True, return_inverse=True)
        different = self.take(networks)
        for layer in range(1, self.deepest if quiet.any() else 1):
            rows = np.flatnonzero(quiet & (self.depth > layer))
            found = different._cut_at(layer).take(which.ravel()[rows])
            for whole, part in zip(least, smaller(found, least.take(rows)), strict=True):
                whole[rows] = part
        return least

    def _cut_at(self, layer: int) -> Estimate:
        """Potential of the same networks with the units of an earlier layer observed without noise, for all depths."""
        parts = self.rows, self.sigma_w2, self.input_variance
        key = self.weights, self.model.prior, layer, *(part.tobytes() for part in parts)
        if key not in self.propagation.cuts:
            depth, noise = np.full_like(self.depth, layer), np.zeros_like(self.output_noise)
            model = replace(self.model, observe="activation")
            cut = replace(self, depth=depth, output_noise=noise, model=model)
            self.propagation.cuts[key] = phi_full(cut, cut.exact())
        return self.propagation.cuts[key]

    @cached_property
    def _found(self) -> dict[str, Estimate]:
        return {}

    def once(self, name: str, estimator: Callable[[], Estimate]) -> Estimate:
        """Return the result of an estimator, computed once for the columns of its value and of its error."""
        if name not in self._found:
            self._found[name] = estimator()
        return self._found[name]

    def take(self, chosen: NDArray[np.intp]) -> Problem:
        """The problem of some of the points."""
        arrays = ("rows", "sigma_w2", "output_noise", "input_variance", "depth")
        return replace(self, **{name: getattr(self, name)[chosen] for name in arrays})


def phi_full(problem: Problem, *rivals: Channels, unique: bool = False) -> Estimate:
    """`Phi_full`: information about the input and all noise on the way, the largest by any of the channels.

    With `unique` one minimum of the potential will do: a linear network has no other, and of an upper bound any
    minimum is an upper bound. A lower bound must not miss the smallest.
    """
    wide = problem.factors.alpha[0]
    if not problem.factors.rotates[0] or wide > 1.0 or not problem.model.has_plain_input:
        source = problem.source(problem.input_variance)
        chains = [chain_of(problem, source, channels) for channels in rivals]
        solutions = _solve(chains, unique)
        return largest(_estimate_of(solution, 1.0, solution.mmse) for solution in solutions)
    # The rows of an orthogonal matrix turn gaussian inputs into independent gaussian variables, and it drops out.
    first = problem.layer_sigma_w2[:, 0] * problem.input_variance
    output = rivals[0].output
    _, _, left = output.derivatives(first)
    found = closed(wide * output.information(first))
    found = found._replace(
        mmse=problem.input_variance * (1.0 - wide + wide * left), error=POTENTIAL_ROUNDING * found.value
    )
    deep = np.flatnonzero(problem.length > 1)
    if len(deep):
        rest = phi_after(1, problem.take(deep), [channels.take(deep) for channels in rivals], first[deep], unique)
        # The chain begins after the matrix: its error is one of the layer's pre-activations, and that of the input is
        # `q_x (1 - alpha_1 A_1 V_1)`, as theory (12) gives it where V_1 is the prior variance.
        rest = rest._replace(mmse=problem.input_variance[deep] * (1.0 - wide + wide * rest.mmse))
        for whole, part in zip(found, rest, strict=True):
            whole[deep] = part
    return found


def phi_after(gone: int, problem: Problem, rivals: Sequence[Channels], variance: FloatArray, unique: bool) -> Estimate:
    """Potential of networks with a given variance after the first `gone` of their matrices; all longer than that.

    The `mmse` of the result is the share `1 - A V` that is left of that variance, NaN for a bound.
    """
    every = slice(None)
    layers = [channels.hidden.take(every, slice(gone - 1, gone)) for channels in rivals]
    rest = [channels._replace(hidden=channels.hidden.take(every, slice(gone, None))) for channels in rivals]
    chains = [
        chain_of(problem, FirstLayer(layer, variance), channels, gone)
        for layer, channels in zip(layers, rest, strict=True)
    ]
    # The potential of this chain is one per unit of that layer.
    units = float(np.prod(problem.factors.alpha[:gone]))
    found = []
    for channels, layer, solution in zip(rivals, layers, _solve(chains, unique), strict=True):
        left = np.full_like(variance, np.nan)
        if channels.exact:
            left = refined(layer).derivatives(solution.r[:, :1], variance[:, None]).rest_v[:, 0]
        found.append(_estimate_of(solution, units, left))
    return largest(found)


def _solve(chains: Sequence[Chain], unique: bool) -> list[Solution]:
    alone = unique or len(chains) == 1
    return [solve(chain, unique) for chain in chains] if alone else solve_rivals(chains)


def _estimate_of(solution: Solution, units: float, mmse: FloatArray) -> Estimate:
    """An estimate from a chain whose source has that many units per input dimension."""
    value = np.where(solution.converged, units * solution.value, np.nan)
    return Estimate(value, solution.residual, solution.converged, mmse, solution.coexisting, units * solution.error)


def chain_of(problem: Problem, source: Source, channels: Channels, gone: int = 0) -> Chain:
    """The points' networks after a source, which stands for the first `gone` of their matrices as well."""
    count = len(problem.factors.alpha) - gone
    hidden = channels.hidden.take(slice(None), slice(0, count - 1)) if count > 1 else None
    return Chain(source, problem.ensemble(gone), hidden, channels.output, problem.length - gone)
