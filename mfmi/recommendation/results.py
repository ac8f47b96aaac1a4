"""Networks whose initialisation is searched for, their optima, and initialisations of others beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.evaluate import SEARCHED, evaluate_points, has_missed
from mfmi.meanfield import NUMBER_FORMATS, FixedPoint, StreamEnds, fixed_point, is_bounded, stream_ends
from mfmi.names import DEFAULT_ESTIMATORS, LOWER_BOUNDS, SIGMA_NOISE, TOTAL
from mfmi.networks.convolution import Convolution
from mfmi.networks.model import SQUARE, Model
from mfmi.networks.points import Points
from mfmi.networks.settings import Settings
from mfmi.networks.structure import architecture, check
from mfmi.recommendation.gradients import gradient_factor

# The bounds whose best is the total.
_OF_TOTAL = tuple(name for name in LOWER_BOUNDS if name in DEFAULT_ESTIMATORS)

# A network of width 1000 misses the first variance by some percent; more than so many times that leads elsewhere.
STEADY = 10.0


@dataclass(frozen=True)
class NetworkFamily:
    """Network whose best initialisation is searched for.

    Attributes
    ----------
    activation : the activation.
    depth : the observed layer.
    weights, noise_at : ensemble and place of the noise.
    sigma_noise, input_variance : standard deviation of the noise, variance of an input entry.
    unit : "nats" or "bits" per input dimension.
    structure : norms, skips and the scale of the noise, those that were given, by the keywords of `mfmi.evaluate`.
    convolution : positions that the layers are convolutions over; None of dense layers.
    """

    activation: Activation
    depth: int
    weights: str = "gaussian"
    noise_at: str = "output"
    sigma_noise: float | str = SIGMA_NOISE
    input_variance: float = 1.0
    unit: str = "nats"
    structure: Mapping[str, Any] = field(default_factory=dict)
    convolution: Convolution | None = None

    @cached_property
    def model(self) -> Model:
        """The other properties that all networks of the family share."""
        return SQUARE if self.convolution is None else SQUARE.with_convolution(self.convolution)

    @property
    def is_plain(self) -> bool:
        """Whether nothing was said of norms, skips and relative noise."""
        return not self.structure and not isinstance(self.sigma_noise, str)

    @cached_property
    def is_stack(self) -> bool:
        """Whether layers are dense, of one matrix and without skips: of such every estimator is known."""
        if self.is_plain:
            return True
        own = self.points(1.0, 0.0).structured
        return not self.model.mixes and bool((own.skip == 0.0).all() and (own.branch_matrices == 1).all())

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise; of a number format the share of the signal that it stands for."""
        if isinstance(self.sigma_noise, str):
            return float(np.sqrt(NUMBER_FORMATS[self.sigma_noise].share))
        return self.sigma_noise

    @property
    def hidden_noise(self) -> float:
        """Standard deviation of the noise in the hidden layers."""
        return self.deviation if self.noise_at == "every" else 0.0

    def points(self, sigma_w: ArrayLike, sigma_b: ArrayLike, weights: str | Sequence[str] = "", **also: Any) -> Points:
        """The networks of some standard deviations, and of further settings of norms and skips.

        Raises
        ------
        ValueError
            The settings contradict each other; it names one.
        """
        points = Points.of(
            self.activation.name,
            sigma_w,
            sigma_b=sigma_b,
            sigma_noise=self.deviation,
            weights=weights or self.weights,
            noise_at=self.noise_at,
            input_variance=self.input_variance,
        )
        if self.is_plain and not also:
            return points
        settings, _ = Settings.of(self.sigma_noise, **{**self.structure, **also})
        known = {name: np.broadcast_to(array, len(points)) for name, array in settings.broadcast.items()}
        structure = settings.structure(known | {"sigma_w": points.sigma_w, "sigma_b": points.sigma_b})
        settings.check(structure)
        found = replace(points, structure=structure)
        check(found)
        return found

    def ends(self, sigma_w: ArrayLike, sigma_b: ArrayLike) -> FixedPoint | StreamEnds:
        """Fixed points and phases of networks of such layers without end."""
        if self.is_plain:
            return fixed_point(
                self.activation,
                sigma_w=sigma_w,
                sigma_b=sigma_b,
                sigma_noise=self.hidden_noise,
                input_variance=self.input_variance,
            )
        return stream_ends(architecture(self.activation, self.points(sigma_w, sigma_b), self.depth))

    def bounded(self, sigma_w: ArrayLike, sigma_b: ArrayLike) -> NDArray[np.bool_]:
        """Whether variances stay bounded in networks of such layers without end, shape (n,)."""
        if self.is_plain:
            return np.atleast_1d(is_bounded(self.activation, sigma_w, sigma_b, self.hidden_noise, self.input_variance))
        return np.asarray(np.isfinite(np.atleast_1d(self.ends(sigma_w, sigma_b).q_star)))

    def values(self, quantity: str, sigma_w: ArrayLike, sigma_b: ArrayLike) -> FloatArray:
        """Information at some standard deviations, shape (n,); NaN where there is no value."""
        return self.table((quantity,), sigma_w, sigma_b)[quantity]

    def gradient(self, sigma_w: ArrayLike, sigma_b: ArrayLike) -> FloatArray:
        """Factor by which gradients change from the last layer to the first, NaN where it is not known."""
        w, b = (np.atleast_1d(part).astype(float) for part in np.broadcast_arrays(sigma_w, sigma_b))
        if not self.is_plain:
            return np.full(len(w), np.nan)
        return gradient_factor(self.activation, self.depth, w, b, self.hidden_noise, self.input_variance)

    def variance(self, sigma_w: ArrayLike, sigma_b: ArrayLike) -> FloatArray:
        """Pre-activation variance of the observed layer, shape (n,); inf where it leaves the numbers."""
        points = self.points(sigma_w, sigma_b)
        return np.asarray(evaluate_points(points, [self.depth], ("linear",), self.unit, model=self.model)["q"])

    def table(
        self, quantities: Sequence[str], sigma_w: ArrayLike, sigma_b: ArrayLike, weights: str | Sequence[str] = ""
    ) -> dict[str, FloatArray]:
        """Several quantities at some points, each of shape (n,); `weights` of each, by default the network's."""
        points = self.points(sigma_w, sigma_b, weights)
        estimators = [q for q in quantities if q != TOTAL]
        estimators += [name for name in _OF_TOTAL if TOTAL in quantities and name not in estimators]
        # An upper bound tells where a search has missed a minimum; what it has found instead must not win.
        if set(quantities) & set(SEARCHED) and "gaussian_upper" not in estimators:
            estimators.append("gaussian_upper")
        found = evaluate_points(points, [self.depth], estimators, self.unit, model=self.model)
        table = {q: np.asarray(found["mi_lower" if q == TOTAL else f"mi_{q}"]) for q in quantities}
        return {q: np.where(has_missed(q, found["message"]), np.nan, values) for q, values in table.items()}


@dataclass(frozen=True)
class Beyond:
    """A place beyond a limit of the search: said, never recommended.

    Attributes
    ----------
    limits : the limits of the search that it lies beyond, as in `Optimum`.
    sigma_w, sigma_b : the standard deviations.
    value : the quantity there.
    rises : whether it still rises where looking beyond ends too; without meaning beyond "unbounded".
    growth : variance of the observed layer over that at the recommended place.
    """

    limits: tuple[str, ...]
    sigma_w: float
    sigma_b: float
    value: float
    rises: bool
    growth: float


@dataclass(frozen=True)
class Optimum:
    """Maximum of a quantity, or of what of it counts where gradients are to be kept.

    Attributes
    ----------
    quantity : what was maximised, of `mfmi.names.QUANTITIES`.
    sigma_w, sigma_b : the standard deviations.
    value : the quantity there, in the network's unit.
    plateau : smallest and largest sigma_w around it, at the same sigma_b, within `PLATEAU` of the value; None where it
        was not asked for. Where gradients are to be kept, within `PLATEAU` of what counts of it.
    phase, chi_1, xi_c : as in `FixedPoint`.
    edge : the nearest sigma_w of an edge of chaos that the network reaches at that sigma_b, NaN where there is none.
    limits : what stopped the search there: "sigma_w" or "sigma_b" for an end of the range, "unbounded" for the phase
        beyond, which is never recommended; empty for a maximum inside.
    swing : by how much a small relative error of the first layer's variance has grown, at most, on the way to the
        observed layer. Beside a repelling fixed point it is large, and no finite width stays there.
    gradient : factor by which gradients change from the last layer to the first; NaN where it is not known.
    replica : all information there, by the replica value; NaN where it is not known or the network is a deep one.
    beyond : what lies beyond `limits`, where it was looked for.
    """

    quantity: str
    sigma_w: float
    sigma_b: float
    value: float
    plateau: tuple[float, float] | None
    phase: str
    chi_1: float
    xi_c: float
    edge: float
    limits: tuple[str, ...]
    swing: float
    gradient: float
    replica: float = math.nan
    beyond: tuple[Beyond, ...] = ()

    @property
    def trainable_depth(self) -> float:
        """`6 xi_c` layers, to which such networks train (Schoenholz et al. 2017)."""
        return 6.0 * self.xi_c

    @property
    def steady(self) -> bool:
        """Whether networks of finite width keep to the variances that this rests on."""
        return self.swing <= STEADY


@dataclass(frozen=True)
class Baseline:
    """An initialisation of others, named as in `mfmi.initialisers`.

    Attributes
    ----------
    values : by quantity, NaN where there is none.
    gradient, replica : as in `Optimum`; of the others the names of `FixedPoint`.
    """

    name: str
    sigma_w: float
    sigma_b: float
    weights: str
    phase: str
    chi_1: float
    xi_c: float
    values: Mapping[str, float]
    gradient: float
    replica: float = math.nan

    @property
    def trainable_depth(self) -> float:
        """`6 xi_c` layers, to which such networks train (Schoenholz et al. 2017)."""
        return 6.0 * self.xi_c


@dataclass(frozen=True)
class Recommendation:
    """The best initialisation by one quantity, beside the best by another and those of others.

    Attributes
    ----------
    network : what it is for.
    gradients : whether gradients were to be "kept", or "any" do.
    best : the recommendation.
    other : the optimum of the other kind of information, linearly readable or total; they lie at different places. None
        where that kind has none.
    rotated : what was maximised there with orthogonal weights in place of gaussian ones; NaN where they are no others.
    crossed : by quantity of the one, its value at the other's place; NaN without it.
    baselines : initialisations of others, in both quantities.
    """

    network: NetworkFamily
    gradients: str
    best: Optimum
    other: Optimum | None
    rotated: float
    crossed: Mapping[str, float]
    baselines: tuple[Baseline, ...]


class NoOptimumError(ValueError):
    """A quantity that has no optimum for a network."""
