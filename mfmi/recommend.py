"""The initialisation that carries most information: a bounded search over the deviations of weights and biases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.columns import Points
from mfmi.evaluation import evaluate_points
from mfmi.meanfield import edge_of_chaos, fixed_point
from mfmi.names import DEFAULT_ESTIMATORS, ESTIMATORS, LOWER_BOUNDS

Array = NDArray[np.float64]

# What can be maximised: an estimator, or "total", the best of the lower bounds.
TOTAL = "total"
QUANTITIES = (*ESTIMATORS, TOTAL)

# The bounds whose best is the total.
_OF_TOTAL = tuple(name for name in LOWER_BOUNDS if name in DEFAULT_ESTIMATORS)

# Standard deviations of weights and biases that others recommend, at square layers and large width: Glorot and Bengio
# 2010 and LeCun et al. 1998 agree there; PyTorch's nn.Linear draws both uniformly with variance 1 / (3 fan_in).
BASELINES: Mapping[str, tuple[float, float]] = {
    "Glorot, LeCun": (1.0, 0.0),
    "He": (math.sqrt(2.0), 0.0),
    "PyTorch default": (math.sqrt(1.0 / 3.0), 0.0),
}

# The search: sigma_w between these multiples of what keeps the largest slope at 1, and sigma_b up to this.
WEIGHTS_WITHIN = (0.1, 5.0)
BIASES_UP_TO = 1.0
_COARSE_W, _COARSE_B = 17, 5
_INTERIOR = 5
_TOLERANCE, _ROUGH = 1e-4, 2e-3
_MOST_ROUNDS = 60

# The plateau holds what is within this share of the best.
PLATEAU = 0.01


@dataclass(frozen=True)
class Network:
    """What an initialisation is looked for.

    Attributes
    ----------
    activation : the activation.
    depth : the observed layer.
    weights, noise_at : ensemble and place of the noise.
    sigma_noise, input_variance : deviation of the noise, variance of an input entry.
    unit : "nats" or "bits" per input dimension.
    """

    activation: Activation
    depth: int
    weights: str = "gaussian"
    noise_at: str = "output"
    sigma_noise: float = 0.1
    input_variance: float = 1.0
    unit: str = "nats"

    @property
    def hidden_noise(self) -> float:
        """Deviation of the noise in the hidden layers."""
        return self.sigma_noise if self.noise_at == "every" else 0.0

    def values(self, quantity: str, sigma_w: Array, sigma_b: Array, weights: str | None = None) -> Array:
        """Information at some deviations, shape (n,); NaN where there is no value."""
        points = Points.of(
            self.activation.name,
            sigma_w,
            sigma_b=sigma_b,
            sigma_noise=self.sigma_noise,
            weights=weights or self.weights,
            noise_at=self.noise_at,
            input_variance=self.input_variance,
        )
        estimators = _OF_TOTAL if quantity == TOTAL else (quantity,)
        column = "mi_lower" if quantity == TOTAL else f"mi_{quantity}"
        return np.asarray(evaluate_points(points, [self.depth], estimators, self.unit)[column])


@dataclass(frozen=True)
class Optimum:
    """Where a quantity is largest.

    Attributes
    ----------
    quantity : what was maximised, of `QUANTITIES`.
    sigma_w, sigma_b : the deviations.
    value : the quantity there, in the network's unit.
    plateau : smallest and largest sigma_w around it, at the same sigma_b, within `PLATEAU` of the value; None where it
        was not asked for.
    phase, chi_1, xi_c : as in `FixedPoint`.
    edge : the nearest sigma_w of an attracting edge of chaos at that sigma_b, NaN where there is none.
    limits : what stopped the search there: "sigma_w" or "sigma_b" for an end of the range, "unbounded" for the phase
        beyond, which is never recommended; empty for a maximum inside.
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

    @property
    def trainable_depth(self) -> float:
        """`6 xi_c` layers, to which such networks train (Schoenholz et al. 2017)."""
        return 6.0 * self.xi_c


@dataclass(frozen=True)
class Baseline:
    """An initialisation of others; `values` by quantity, NaN where there is none."""

    name: str
    sigma_w: float
    sigma_b: float
    weights: str
    phase: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Recommendation:
    """The best initialisation by one quantity, beside the best by another and those of others.

    Attributes
    ----------
    network : what it is for.
    best : the recommendation.
    other : the optimum of the other kind of information, linearly readable or total; they lie at different places.
    crossed : by quantity of the one, its value at the other's place.
    baselines : initialisations of others, in both quantities.
    """

    network: Network
    best: Optimum
    other: Optimum
    crossed: Mapping[str, float]
    baselines: tuple[Baseline, ...]


@dataclass
class _Search:
    """A quantity over (sigma_w, sigma_b) with memory; -inf where it has no value or variances grow without bound."""

    network: Network
    quantity: str
    known: dict[tuple[float, float], float] = field(default_factory=dict)

    def __call__(self, sigma_w: Any, sigma_b: Any) -> Array:
        w, b = (np.atleast_1d(part).astype(float) for part in np.broadcast_arrays(sigma_w, sigma_b))
        keys = list(zip(w.tolist(), b.tolist(), strict=True))
        new = [key for key in dict.fromkeys(keys) if key not in self.known]
        if new:
            self.known |= dict(zip(new, self._values(np.array(new)).tolist(), strict=True))
        return np.array([self.known[key] for key in keys])

    def _values(self, places: Array) -> Array:
        w, b = places.T
        net = self.network
        end = fixed_point(net.activation, w, b, net.hidden_noise, net.input_variance)
        bounded = np.flatnonzero(np.isfinite(end.q_star))
        values = np.full(len(w), -np.inf)
        if len(bounded):
            found = net.values(self.quantity, w[bounded], b[bounded])
            values[bounded] = np.where(np.isnan(found), -np.inf, found)
        return values

    @property
    def best(self) -> tuple[float, float]:
        """Of all places seen the one of the largest value; of several the one of the smallest deviations."""
        return min(self.known, key=lambda place: (-self.known[place], place))


def recommend(network: Network, by: str = "linear", sigma_b: float | None = None) -> Recommendation:
    """Find the initialisation that carries most information.

    Parameters
    ----------
    network
        What it is for.
    by
        What to maximise, of `QUANTITIES`; the linearly readable information by default.
    sigma_b
        Deviation of the biases; searched for between 0 and `BIASES_UP_TO` where None.

    Returns
    -------
    Recommendation

    Raises
    ------
    ValueError
        The quantity is unknown, or has no value anywhere for this network.
    """
    best = optimum(network, by, sigma_b)
    counterpart = "linear" if by != "linear" else TOTAL
    other = optimum(network, counterpart, sigma_b, tolerance=_ROUGH, plateau=False)
    quantities = (by, counterpart)
    crossed = {
        by: float(network.values(by, np.array([other.sigma_w]), np.array([other.sigma_b]))[0]),
        counterpart: float(network.values(counterpart, np.array([best.sigma_w]), np.array([best.sigma_b]))[0]),
    }
    return Recommendation(network, best, other, crossed, baselines(network, quantities))


def baselines(network: Network, quantities: tuple[str, ...]) -> tuple[Baseline, ...]:
    """What the initialisations of others carry; their weights are independent, also beside an orthogonal ensemble."""
    w, b = (np.array(part) for part in zip(*BASELINES.values(), strict=True))
    end = fixed_point(network.activation, w, b, network.hidden_noise, network.input_variance)
    found = {name: network.values(name, w, b, "gaussian") for name in quantities}
    return tuple(
        Baseline(
            name, float(w[i]), float(b[i]), "gaussian", str(end.phase[i]), {q: float(v[i]) for q, v in found.items()}
        )
        for i, name in enumerate(BASELINES)
    )


def optimum(
    network: Network,
    quantity: str,
    sigma_b: float | None = None,
    *,
    tolerance: float = _TOLERANCE,
    plateau: bool = True,
) -> Optimum:
    """Maximise a quantity over sigma_w, and over sigma_b unless it is given.

    A coarse grid with the points of the edge of chaos on it, then rounds of points around the best, all of a round
    evaluated at once. Networks whose variances grow without bound are left out.

    Parameters
    ----------
    network, quantity, sigma_b
        As in `recommend`.
    tolerance
        Relative accuracy of sigma_w, about; that of sigma_b is ten times coarser.
    plateau
        Whether to look for the plateau too.

    Raises
    ------
    ValueError
        The quantity is unknown, or has no value anywhere for this network.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, not {quantity!r}")
    search = _Search(network, quantity)
    low, high = weight_range(network.activation)
    biases = np.linspace(0.0, BIASES_UP_TO, _COARSE_B) if sigma_b is None else np.array([float(sigma_b)])
    coarse = np.geomspace(low, high, _COARSE_W)
    w, b = (part.ravel() for part in np.meshgrid(coarse, biases))
    edge_w, edge_b = _edges(network, biases)
    inside = (edge_w >= low) & (edge_w <= high)
    search(np.concatenate((w, edge_w[inside])), np.concatenate((b, edge_b[inside])))
    if not np.isfinite(max(search.known.values())):
        raise ValueError(
            f"{quantity} has no value for {network.activation.name} with {network.weights} weights at any sigma_w"
        )
    step = math.log(high / low) / (_COARSE_W - 1)
    if sigma_b is None:
        _descend(search, (low, high), step, tolerance)
    _refine(search, (low, high), step, tolerance)
    return _described(search, (low, high), sigma_b is None, tolerance, plateau)


def weight_range(phi: Activation) -> tuple[float, float]:
    """The sigma_w between which is searched, in proportion to what makes the largest mean squared slope 1."""
    gain = float(np.max(phi.slope_moment(np.geomspace(1e-3, 1e2, 51)))) if phi.differentiable else 1.0
    scale = 1.0 / math.sqrt(gain)
    return WEIGHTS_WITHIN[0] * scale, WEIGHTS_WITHIN[1] * scale


def _edges(network: Network, biases: Array) -> tuple[Array, Array]:
    if not network.activation.differentiable:
        return np.empty(0), np.empty(0)
    edge = edge_of_chaos(network.activation, biases, network.hidden_noise)
    return edge.sigma_w[edge.stable], edge.sigma_b[edge.stable]


def _descend(search: _Search, within: tuple[float, float], step: float, tolerance: float) -> None:
    """Look at the eight neighbours of the best place, move there or halve the distance, until it is small."""
    step_w, step_b = step, BIASES_UP_TO / (_COARSE_B - 1)
    for _ in range(_MOST_ROUNDS):
        if max(step_w, step_b) < 10.0 * tolerance:
            return
        w, b = search.best
        i, j = (part.ravel() for part in np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]))
        around_w = np.clip(w * np.exp(step_w * i), *within)
        around_b = np.clip(b + step_b * j, 0.0, BIASES_UP_TO)
        search(around_w, around_b)
        if search.best == (w, b):
            step_w, step_b = 0.5 * step_w, 0.5 * step_b


def _refine(search: _Search, within: tuple[float, float], step: float, tolerance: float) -> None:
    """Narrow the bracket in sigma_w at the best sigma_b, a few points a round."""
    w, b = search.best
    lower, upper = w * math.exp(-step), w * math.exp(step)
    for _ in range(_MOST_ROUNDS):
        lower, upper = max(lower, within[0]), min(upper, within[1])
        if upper / lower - 1.0 < tolerance:
            return
        inner = np.geomspace(lower, upper, _INTERIOR + 2)
        values = search(inner, b)
        at = int(np.argmax(values))
        lower, upper = inner[max(at - 1, 0)], inner[min(at + 1, len(inner) - 1)]


def _described(
    search: _Search, within: tuple[float, float], searched_b: bool, tolerance: float, plateau: bool
) -> Optimum:
    w, b = search.best
    value = search.known[w, b]
    net = search.network
    end = fixed_point(net.activation, w, b, net.hidden_noise, net.input_variance)
    edge_w, _ = _edges(net, np.array([b]))
    edge = float(edge_w[np.argmin(np.abs(edge_w - w))]) if len(edge_w) else math.nan
    close = 1.0 + 3.0 * tolerance
    limits = []
    if w <= within[0] * close or w >= within[1] / close:
        limits.append("sigma_w")
    if searched_b and b >= BIASES_UP_TO - 20.0 * tolerance:
        limits.append("sigma_b")
    beyond = fixed_point(net.activation, w * close, b, net.hidden_noise, net.input_variance)
    if beyond.phase == "unbounded":
        limits.append("unbounded")
    ends = (_plateau(search, within[0]), _plateau(search, within[1])) if plateau else None
    chi_1, xi_c = float(end.chi_1), float(end.xi_c)
    return Optimum(search.quantity, w, b, value, ends, str(end.phase), chi_1, xi_c, edge, tuple(limits))


def _plateau(search: _Search, limit: float) -> float:
    """The sigma_w furthest towards `limit` up to which the value stays within `PLATEAU` of the best."""
    w, b = search.best
    least = (1.0 - PLATEAU) * search.known[w, b]
    here, there = math.log(w), math.log(limit)
    if abs(there - here) < _TOLERANCE:
        return w
    # Ever wider steps out, then a bracket narrowed as in the search itself.
    shares = np.geomspace(1e-3, 1.0, 13)
    fails = search(np.exp(here + shares * (there - here)), b) < least
    if not fails.any():
        return limit
    first = int(np.argmax(fails))
    inner, outer = (0.0 if first == 0 else float(shares[first - 1])), float(shares[first])
    while (outer - inner) * abs(there - here) > _ROUGH:
        places = np.linspace(inner, outer, _INTERIOR + 2)
        fails = search(np.exp(here + places * (there - here)), b) < least
        first = int(np.argmax(fails))
        inner, outer = float(places[max(first - 1, 0)]), float(places[first])
    return math.exp(here + inner * (there - here))
