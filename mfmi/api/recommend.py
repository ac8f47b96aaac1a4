"""``mfmi.recommend``: the initialisation that carries most information."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from mfmi.activations import Activation, get, names
from mfmi.api.arguments import activations_of, one_noise, one_structure, presets_of, structure_of
from mfmi.arguments.checks import flag, number, numbers, whole_number, word
from mfmi.arguments.ranges import DEEPEST, NUMBERS
from mfmi.errors import ArgumentError
from mfmi.initialisers import Preset
from mfmi.names import (
    GRADIENTS,
    INPUT_VARIANCE,
    KEEP,
    LIBRARIES,
    NOISE_PLACEMENTS,
    QUANTITIES,
    RECOMMENDED_DEPTH,
    SIGMA_NOISE,
    UNITS,
    WEIGHTS,
)
from mfmi.networks.convolution import convolution_of
from mfmi.processes.progress import Clock, OnProgress
from mfmi.processes.reporting import reporting
from mfmi.recommendation.branches import StreamRecommendation, is_stream, recommend_branch
from mfmi.recommendation.code import code
from mfmi.recommendation.ranking import Ranking, rank
from mfmi.recommendation.recommend import recommend as search
from mfmi.recommendation.results import NetworkFamily, Recommendation
from mfmi.recommendation.table import columns_of, columns_of_stream, rows_of, rows_of_ranking, rows_of_stream
from mfmi.storage.frames import Answer
from mfmi.storage.provenance import information_unit, provenance_of_command

if TYPE_CHECKING:
    from mfmi.api.frames import RecommendationFrame


@dataclass(frozen=True)
class Wish:
    """Request for a recommendation; one that contradicts itself is an `ArgumentError`.

    Attributes
    ----------
    activations : those to initialise; of several the best of each is ranked. None for all that have a name.
    family : makes the network of an activation.
    by : what to maximise.
    sigma_b : standard deviations of the biases, of several the best for each is ranked; None to search for it.
    init : initialisations of libraries to compare with besides.
    emit : the library to write code for.
    keep : of a residual network, the share of the first layer's information that the last one should keep.
    gradients : of a plain network, "any" or "kept", as of `mfmi.recommend`.
    """

    activations: tuple[Activation, ...] | None
    family: Callable[[Activation], NetworkFamily]
    by: str
    sigma_b: tuple[float, ...] | None = None
    init: tuple[Preset, ...] = ()
    emit: str | None = None
    keep: float | None = None
    gradients: str = "any"

    def __post_init__(self) -> None:
        self._check_stream()
        if not self.ranks:
            return
        several = self.activations is None or len(self.activations) > 1
        if self.emit is not None and several:
            raise ArgumentError("emit", self.emit, "writes the code for one activation: name it with `activation`")
        if self.emit is not None:
            raise ArgumentError("emit", self.emit, "writes the code for one initialisation: give one `sigma_b`")
        if self.init:
            labels = ", ".join(one.label for one in self.init)
            reason = "stands beside one recommendation: name one `activation` and at most one `sigma_b`"
            raise ArgumentError("init", labels, reason)

    @cached_property
    def is_stream(self) -> bool:
        """Whether the network is a residual one, whose branch scale is looked for."""
        return is_stream(self.family(get("tanh")).structure)

    def _check_stream(self) -> None:
        """Refuse what belongs to networks of the other kind."""
        if self.gradients == "kept" and not self.family(get("tanh")).is_plain:
            reason = "is for plain networks, without norms, skips, positions and relative noise"
            raise ArgumentError("gradients", self.gradients, reason)
        if not self.is_stream:
            if self.keep is not None:
                raise ArgumentError("keep", self.keep, "is that of a residual network: give `skip`")
            return
        if self.ranks:
            raise ArgumentError("skip", 1, "is that of one network: name one `activation` and at most one `sigma_b`")
        if self.by != "linear":
            reason = "does not choose a branch scale: the linearly readable information does"
            if self.by == "replica":
                reason += "; what a network holds in all, mfmi bound --estimator replica tells"
            raise ArgumentError("by", self.by, reason)
        if self.init:
            labels = ", ".join(one.label for one in self.init)
            raise ArgumentError("init", labels, "has no branch scale: it does not go with `skip`")
        if self.keep is not None and self.family(get("tanh")).structure.get("branch") is not None:
            raise ArgumentError(
                "keep", self.keep, "is for a branch scale that is looked for: it does not go with `branch`"
            )

    @property
    def ranks(self) -> bool:
        """Whether several initialisations are looked for."""
        one_activation = self.activations is not None and len(self.activations) == 1
        return not one_activation or (self.sigma_b is not None and len(self.sigma_b) > 1)

    @property
    def biases(self) -> tuple[float | None, ...]:
        """The standard deviations of the biases, None for one that is searched for."""
        return self.sigma_b or (None,)

    def stream(self, on_progress: OnProgress | None = None) -> Answer[StreamRecommendation]:
        """Find the branch scale of a residual network."""
        phi, sigma_b = self._one(on_progress)
        found = recommend_branch(self.family(phi), sigma_b, KEEP if self.keep is None else self.keep)
        answer = self._answer(rows_of_stream(found), found.network.unit, [phi.name], found)
        return replace(answer, columns=columns_of_stream(found.network.unit))

    def _one(self, on_progress: OnProgress | None) -> tuple[Activation, float | None]:
        assert self.activations is not None
        (phi,), (sigma_b,) = self.activations, self.biases
        if on_progress is not None:
            Clock(on_progress, 1).tell(f"recommend {phi.name}", 0)
        return phi, sigma_b

    def recommendation(self, on_progress: OnProgress | None = None) -> Answer[Recommendation]:
        """Find the one initialisation."""
        phi, sigma_b = self._one(on_progress)
        found = search(self.family(phi), self.by, sigma_b, self.init, self.gradients)
        return self._answer(rows_of(found), found.network.unit, [phi.name], found)

    def ranking(self, on_progress: OnProgress | None = None) -> Answer[Ranking]:
        """Find the best of each."""
        phis = [get(name) for name in names()] if self.activations is None else self.activations
        candidates = [(self.family(phi), one) for phi in phis for one in self.biases]
        clock = Clock(on_progress, len(candidates))

        def before_each(done: int, network: NetworkFamily) -> None:
            clock.tell(f"rank {network.activation.name}", done)

        found = rank(candidates, self.by, before_each, self.gradients)
        return self._answer(rows_of_ranking(found.found, found.unit), found.unit, [phi.name for phi in phis], found)

    def _answer(self, block: Any, unit: str, activations: Sequence[str], found: Any) -> Answer[Any]:
        about = provenance_of_command(
            "recommend",
            activations,
            information=information_unit(unit),
            estimators=(self.by,),
            by=self.by,
            network=self.family(get("tanh")).model.described() or None,
        )
        return Answer(block, columns_of(unit), about, found)


def wished_activations(given: Sequence[Activation] | None, everything: bool) -> tuple[Activation, ...] | None:
    """The activations of a `Wish`; an `ArgumentError` unless they are named, or all are asked for."""
    if given is None and not everything:
        raise ArgumentError("activation", None, "is missing: name one, or rank all of them with `all_activations`")
    if given is not None and everything:
        raise ArgumentError("all_activations", True, "ranks all of them: it does not go with `activation`")
    return None if given is None else tuple(given)


def recommend(
    activation: str | Activation | Callable[..., Any] | Iterable[str | Activation | Callable[..., Any]] | None = None,
    *,
    depth: int = RECOMMENDED_DEPTH,
    sigma_b: ArrayLike | None = None,
    weights: str = "gaussian",
    sigma_noise: float | str = SIGMA_NOISE,
    noise_at: str = "output",
    input_variance: float = INPUT_VARIANCE,
    by: str = "linear",
    gradients: str = "any",
    init: str | Iterable[str] = (),
    emit: str | None = None,
    all_activations: bool = False,
    unit: str = "nats",
    keep: float | None = None,
    normalization: str | None = None,
    norm_at: str | None = None,
    skip: float | None = None,
    branch: float | str | None = None,
    branch_matrices: int | None = None,
    hidden_ratio: float | None = None,
    sigma_w_in: float | None = None,
    sigma_b_in: float | None = None,
    sigma_w_out: float | None = None,
    sigma_b_out: float | None = None,
    noise_scale: str | None = None,
    noise_in: str | None = None,
    positions: ArrayLike | None = None,
    input_correlation: ArrayLike | None = None,
    progress: bool | OnProgress = False,
) -> RecommendationFrame:
    """Find the standard deviations of weights and biases that carry most information to a layer.

    The function of ``mfmi recommend``. Networks whose variances grow without bound are never recommended. Of a residual
    network it finds the branch scale: the largest whose last layer keeps a share of what the first one tells.

    Parameters
    ----------
    activation
        A name such as "tanh", a vectorised function, or an activation; of several the best of each is ranked.
    depth
        The observed layer, from 1 to 10,000.
    sigma_b
        Standard deviation of the biases; of several the best for each is ranked. By default it is searched for between
        0 and 1.
    weights
        "gaussian" or "orthogonal".
    sigma_noise
        Standard deviation of the noise; greater than 0. Or a number format, as in `mfmi.evaluate`.
    noise_at
        "output" (noise at the observed layer only) or "every" (the same in every layer).
    input_variance
        Variance of an input entry; greater than 0.
    by
        What to maximise: an estimator among `mfmi.names.ESTIMATORS`, or "total", the best of the lower bounds.
    gradients
        "any": information counts whole; "kept": of a plain network by ``1 / (1 + log2(g)**2 / 2)``, g being the factor
        by which gradients change from the last layer to the first (column `gradient`).
    init
        Names of library initialisers (see `mfmi.initialisers`) to compare with, besides the usual ones.
    emit
        "torch", "jax", "linen", "nnx", "equinox", "keras" or "numpy": code of the initialisation for that library,
        as ``attrs["code"]``.
    all_activations
        Rank all activations that have a name, in place of `activation`.
    unit
        "nats" or "bits", per input dimension.
    keep
        Of a residual network, the share of the first layer's linearly readable information that the last layer should
        keep, above 0 and below 1; by default one half.
    normalization, norm_at, skip, branch, branch_matrices, hidden_ratio
        Norms and skips, as of `mfmi.evaluate`: one network. What its norm makes of no effect is not searched.
    sigma_w_in, sigma_b_in, sigma_w_out, sigma_b_out, noise_scale, noise_in
        As of `mfmi.evaluate`, of one network.
    positions, input_correlation
        Of layers that are circular convolutions, as of `mfmi.evaluate`.
    progress
        True to say on standard error how far it is, or a function that is called with a `mfmi.Progress`.

    Returns
    -------
    pandas.DataFrame
        The recommendation ("best"), the best by the other kind of information ("other") and the initialisations of
        libraries ("baseline"), as the column `role` says; of a ranking the best of each, best first, and in
        ``attrs["missing"]`` the activations that have none. ``attrs["mfmi"]`` says where the rows came from. A
        notebook shows it as a summary.

    Raises
    ------
    ValueError
        An argument out of range, or a quantity that has no value for the network; the message names it.

    Examples
    --------
    >>> import mfmi
    >>> found = mfmi.recommend("erf", depth=3, sigma_b=0.0)
    >>> print(found.role[0], found.sigma_w.round(3)[0], found.phase[0])
    best 0.858 ordered
    >>> print(mfmi.recommend("erf", depth=3, sigma_b=0.0, emit="numpy").attrs["code"][:41])
    \"\"\"Most linearly readable information for
    """
    structure = structure_of(locals())
    chosen = None if activation is None else activations_of(activation)
    biases = None
    if sigma_b is not None:
        biases = tuple(numbers("sigma_b", sigma_b, NUMBERS["sigma_b"]).ravel().tolist())
        if not biases:
            raise ValueError("sigma_b is empty")
    settings: tuple[Any, ...] = (
        whole_number("depth", depth, DEEPEST),
        word("weights", weights, WEIGHTS),
        word("noise_at", noise_at, NOISE_PLACEMENTS),
        one_noise(sigma_noise),
        number("input_variance", input_variance, NUMBERS["input_variance"]),
        word("unit", unit, UNITS),
        one_structure(structure),
        convolution_of(positions, input_correlation),
    )
    wish = Wish(
        wished_activations(chosen, flag("all_activations", all_activations)),
        lambda phi: NetworkFamily(phi, *settings),
        word("by", by, QUANTITIES),
        biases,
        presets_of("init", init),
        None if emit is None else word("emit", emit, LIBRARIES),
        None if keep is None else number("keep", keep, NUMBERS["keep"]),
        word("gradients", gradients, GRADIENTS),
    )
    from mfmi.api.frames import RecommendationFrame

    with reporting(progress) as on_progress:
        if wish.ranks:
            ranking = wish.ranking(on_progress)
            frame = ranking.to_frame(RecommendationFrame)
            frame.attrs["missing"] = list(ranking.found.missing)
            return frame
        answer: Answer[Any] = wish.stream(on_progress) if wish.is_stream else wish.recommendation(on_progress)
    frame = answer.to_frame(RecommendationFrame)
    if wish.emit is not None:
        frame.attrs["code"] = code(answer.found, wish.emit)
    return frame
