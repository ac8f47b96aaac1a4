"""The initialisation that carries most information and keeps gradients: a bounded search over sigma_w and sigma_b."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.convolutional import KNOWN as OF_CORRELATED
from mfmi.bounds.structured import COUPLED
from mfmi.meanfield import edge_of_chaos
from mfmi.names import QUANTITIES, STRUCTURED_ESTIMATORS, TOTAL
from mfmi.networks.ends import edge_of_normalised
from mfmi.networks.structure import ratio_alone, unused
from mfmi.processes.progress import Stage, stage
from mfmi.recommendation.gradients import kept, places_that_keep, swing_of
from mfmi.recommendation.results import NetworkFamily, NoOptimumError, Optimum
from mfmi.recommendation.stencil import Stencil

# The search: sigma_w between these multiples of what keeps the largest slope at 1, and sigma_b up to this.
WEIGHTS_WITHIN = (0.1, 5.0)
BIASES_UP_TO = 1.0
# Values of sigma_w and sigma_b of the grid that comes first; the total information has broader peaks and costs more.
_GRID = {"linear": (17, 5)}
_BROAD_GRID = (13, 3)
# Share of the time that the grid takes, about.
_GRID_SHARE = 0.4
# Layers after which the places where gradients are kept are looked for.
_RIDGE_DEPTH = 200
# So many of the grid's peaks are followed.
_PEAKS = 3
# A peak is followed while it reaches this share of the highest; a stencil near a peak misses less than that.
FOLLOWED = 0.9
_TOLERANCE, ROUGH = 1e-4, 2e-3
_MOST_ROUNDS = 40

# After an even activation what is not more than this is rounding.
_FAINT = 1e-20

# The plateau holds what is within this share of the best.
PLATEAU = 0.01


@dataclass
class Search:
    """A quantity over (sigma_w, sigma_b) with memory; -inf where it has no value or variances grow without bound.

    `known` is what counts of it, the whole or what `kept` leaves of it; `whole` is the quantity itself.
    """

    network: NetworkFamily
    quantity: str
    gradients: str = "any"
    known: dict[tuple[float, float], float] = field(default_factory=dict)
    whole: dict[tuple[float, float], float] = field(default_factory=dict)

    def __call__(self, sigma_w: ArrayLike, sigma_b: ArrayLike) -> FloatArray:
        """The part of the quantity that counts at some places, shape (n,)."""
        w, b = (np.atleast_1d(part).astype(float) for part in np.broadcast_arrays(sigma_w, sigma_b))
        keys = list(zip(w.tolist(), b.tolist(), strict=True))
        new = [key for key in dict.fromkeys(keys) if key not in self.known]
        if new:
            places = np.array(new)
            values = self._values(places)
            counted = values.copy()
            if self.gradients == "kept":
                there = np.isfinite(values)
                counted[there] *= kept(self.network.gradient(*places[there].T))
            self.whole |= dict(zip(new, values.tolist(), strict=True))
            self.known |= dict(zip(new, counted.tolist(), strict=True))
        return np.array([self.known[key] for key in keys])

    def _values(self, places: FloatArray) -> FloatArray:
        w, b = places.T
        net = self.network
        bounded = np.flatnonzero(net.bounded(w, b))
        values = np.full(len(w), -np.inf)
        if len(bounded):
            found = net.values(self.quantity, w[bounded], b[bounded])
            values[bounded] = np.where(np.isnan(found), -np.inf, found)
        return values

    @property
    def best(self) -> tuple[float, float]:
        """The point of largest value among all seen; of several that of the smallest standard deviations."""
        return min(self.known, key=lambda place: (-self.known[place], place))


def optimum(
    network: NetworkFamily,
    quantity: str,
    sigma_b: float | None = None,
    *,
    tolerance: float = _TOLERANCE,
    plateau: bool = True,
    gradients: str = "any",
) -> Optimum:
    """Maximise a quantity over sigma_w, and over sigma_b unless it is given.

    A coarse grid with the points of the edge of chaos on it; then around each of its highest peaks a stencil and a
    quadratic of the logarithm through it, whose maximum is the middle of the next, smaller one. All stencils of a round
    are evaluated at once. Networks whose variances grow without bound are left out.

    Parameters
    ----------
    network, quantity, sigma_b
        As in `mfmi.recommendation.recommend.recommend`.
    tolerance
        Relative accuracy of sigma_w, about; that of sigma_b is ten times coarser.
    plateau
        Whether to look for the plateau too.
    gradients
        As in `mfmi.recommendation.recommend.recommend`.

    Raises
    ------
    ValueError
        The quantity is unknown, or has no value anywhere for this network.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, not {quantity!r}")
    if quantity == "linear" and hides_sign(network):
        # E phi' = 0: what comes out is uncorrelated with what goes in, and any value of it is rounding.
        raise NoOptimumError(
            f"no linear decoder reads anything after {network.activation.name}, which is even: maximise the total "
            "instead (by replica, or by total for its lower bound)"
        )
    if not (network.is_stack or quantity in (*STRUCTURED_ESTIMATORS, TOTAL)):
        known = ", ".join((*STRUCTURED_ESTIMATORS, TOTAL))
        at = ", and mfmi bound --estimator replica tells its value at one point" if quantity == "replica" else ""
        raise NoOptimumError(
            f"{quantity} is searched in dense networks without skips and with one matrix per layer only; in others "
            f"there are {known}{at}"
        )
    if network.model.mixes and quantity not in (*OF_CORRELATED, TOTAL):
        known = ", ".join(one for one in QUANTITIES if one in (*OF_CORRELATED, TOTAL))
        raise NoOptimumError(f"{quantity} is {COUPLED}; of such there are {known}")
    if gradients == "kept" and not (network.is_plain and network.activation.differentiable):
        raise NoOptimumError(
            "how far gradients are kept is known of plain networks of differentiable activations: search with any"
        )
    search = Search(network, quantity, gradients)
    within, sigma_b = searched(network, sigma_b)
    with stage(f"search {network.activation.name}, {quantity}", 1.0) as work:
        return _found(search, within, sigma_b, tolerance, plateau, work)


def _found(
    search: Search, within: tuple[float, float], sigma_b: float | None, tolerance: float, plateau: bool, work: Stage
) -> Optimum:
    """Look at the grid, climb its peaks and describe the highest."""
    network, quantity = search.network, search.quantity
    probes = _probes(search, within, sigma_b)
    work.reach(_GRID_SHARE)
    if not np.isfinite(max(search.known.values())):
        raise NoOptimumError(
            f"{quantity} has no value for {network.activation.name} with {network.weights} weights at any sigma_w"
        )
    if max(search.whole.values()) <= (_FAINT if hides_sign(network) else 0.0):
        raise NoOptimumError(
            f"{quantity} is 0 up to rounding after {network.activation.name} at any sigma_w: maximise by replica"
        )
    climb(search, probes, tolerance, work)
    return _described(search, within, sigma_b is None, tolerance, plateau)


def searched(network: NetworkFamily, sigma_b: float | None) -> tuple[tuple[float, float], float | None]:
    """The sigma_w between which is searched, and the sigma_b; what changes nothing is 1, or 0, and not searched."""
    within = weight_range(network.activation)
    if network.is_plain:
        return within, sigma_b
    probe = network.points(1.0, 0.5 if sigma_b is None else sigma_b)
    idle = {name for names, where, _ in unused(probe) for name in names if where[0]}
    if "sigma_b" in idle:
        sigma_b = sigma_b or 0.0
    # Of a ratio that counts alone one side is enough: that which is free.
    if "sigma_w" in idle or (ratio_alone(probe)[0] and sigma_b is None):
        within = 1.0, 1.0
    return within, sigma_b


def hides_sign(network: NetworkFamily) -> bool:
    """Whether an even activation leaves nothing to read linearly."""
    return network.activation.even and network.depth > 1


def weight_range(phi: Activation) -> tuple[float, float]:
    """The sigma_w between which is searched, in proportion to what makes the largest mean squared slope 1."""
    gain = float(np.max(phi.slope_moment(np.geomspace(1e-3, 1e2, 51)))) if phi.differentiable else 1.0
    scale = 1.0 / math.sqrt(gain)
    return WEIGHTS_WITHIN[0] * scale, WEIGHTS_WITHIN[1] * scale


def _edges(network: NetworkFamily, biases: FloatArray) -> tuple[FloatArray, FloatArray]:
    if not network.activation.differentiable:
        return np.empty(0), np.empty(0)
    if not network.is_plain:
        try:
            found = edge_of_normalised(network.activation, biases, network.hidden_noise, dict(network.structure))
        except ValueError:  # an edge is known after a norm before the activation alone
            return np.empty(0), np.empty(0)
        there = found > 0.0
        return found[there], biases[there]
    edge = edge_of_chaos(network.activation, biases, network.hidden_noise, input_variance=network.input_variance)
    return edge.sigma_w[edge.reached], edge.sigma_b[edge.reached]


def _probes(search: Search, within: tuple[float, float], sigma_b: float | None) -> list[Stencil]:
    """Look at the grid and at the edge of chaos, and put a stencil on each of the highest peaks."""
    count_w, count_b = _GRID.get(search.quantity, _BROAD_GRID)
    biases = np.linspace(0.0, BIASES_UP_TO, count_b) if sigma_b is None else np.array([float(sigma_b)])
    coarse = np.geomspace(*within, count_w)
    w, b = np.meshgrid(coarse, biases)
    edge_w, edge_b = _edges(search.network, biases)
    inside = (edge_w >= within[0]) & (edge_w <= within[1])
    # Ridges of deep networks are narrow; where they lie hardly moves beyond so many layers.
    shallow = replace(search.network, depth=min(search.network.depth, _RIDGE_DEPTH))
    even_w, even_b = places_that_keep(shallow.gradient, within, biases)
    search(np.concatenate((w.ravel(), edge_w[inside], even_w)), np.concatenate((b.ravel(), edge_b[inside], even_b)))
    step = math.log(within[1] / within[0]) / (count_w - 1)
    apart = BIASES_UP_TO / (count_b - 1) if sigma_b is None else 0.0
    bounds = (
        (math.log(within[0]), math.log(within[1])),
        (0.0, BIASES_UP_TO) if sigma_b is None else (sigma_b, sigma_b),
    )
    probes: list[Stencil] = []
    for w_at, b_at in sorted(search.known, key=lambda place: (-search.known[place], place)):
        at = (math.log(w_at), b_at)
        higher = [p for p in probes if abs(p.middle[0] - at[0]) < 1.5 * step and abs(p.middle[1] - b_at) <= 1.5 * apart]
        if not higher and len(probes) < _PEAKS and math.isfinite(search.known[w_at, b_at]):
            probes.append(Stencil(at, (0.5 * step, 0.5 * apart), bounds))
    return probes


def climb(search: Search, probes: list[Stencil], tolerance: float, work: Stage) -> None:
    """Let all stencils move and shrink, except those that lag far below, until they are small."""
    first = max((probe.size for probe in probes), default=tolerance)
    for _ in range(_MOST_ROUNDS):
        if not probes:
            return
        # Stencils shrink by factors.
        left = _halvings(max(probe.size for probe in probes), tolerance) / max(_halvings(first, tolerance), 1.0)
        work.reach(_GRID_SHARE + (1.0 - _GRID_SHARE) * (1.0 - min(left, 1.0)))
        looked_at = [probe.places for probe in probes]
        ends = np.cumsum([len(w) for w, _ in looked_at])[:-1]
        values = np.split(search(*(np.concatenate(part) for part in zip(*looked_at, strict=True))), ends)
        best = max(float(part.max()) for part in values)
        moved = [probe.next(part) for probe, part in zip(probes, values, strict=True) if part.max() >= FOLLOWED * best]
        probes = [probe for probe in moved if probe.size > tolerance]


def _halvings(size: float, tolerance: float) -> float:
    """Number of halvings after which a stencil is as small as the tolerance."""
    return math.log2(max(size, tolerance) / tolerance)


def _described(
    search: Search, within: tuple[float, float], searched_b: bool, tolerance: float, plateau: bool
) -> Optimum:
    w, b = search.best
    value = search.whole[w, b]
    net = search.network
    end = net.ends(w, b)
    edge_w, _ = _edges(net, np.array([b]))
    edge = float(edge_w[np.argmin(np.abs(edge_w - w))]) if len(edge_w) else math.nan
    close = 1.0 + 3.0 * tolerance
    limits = []
    if within[0] < within[1] and (w <= within[0] * close or w >= within[1] / close):
        limits.append("sigma_w")
    if searched_b and b >= BIASES_UP_TO - 20.0 * tolerance:
        limits.append("sigma_b")
    if np.ravel(net.ends(w * close, b).phase)[0] == "unbounded":
        limits.append("unbounded")
    ends = _plateau(search, within) if plateau and within[0] < within[1] else None
    chi_1, xi_c = float(np.ravel(end.chi_1)[0]), float(np.ravel(end.xi_c)[0])
    swing, phase = swing_of(net, w, b), np.ravel(end.phase)[0] or "unknown"
    gradient = float(net.gradient(w, b)[0])
    return Optimum(search.quantity, w, b, value, ends, phase, chi_1, xi_c, edge, tuple(limits), swing, gradient)


def _plateau(search: Search, within: tuple[float, float]) -> tuple[float, float]:
    """The sigma_w on both sides up to which the value stays within `PLATEAU` of the best."""
    w, b = search.best
    least = (1.0 - PLATEAU) * search.known[w, b]
    here = math.log(w)
    far = np.log(within) - here  # how far the two sides reach
    # Ever wider steps out, then a bracket narrowed; in shares of the reach, and both sides in one round.
    shares = np.tile(np.concatenate(([0.0], np.geomspace(1e-3, 1.0, 13))), (2, 1))
    while True:
        fails = (search(np.exp(here + shares * far[:, None]).ravel(), b) < least).reshape(shares.shape)
        fails[:, 0] = False  # the best itself, whatever the rounding of its logarithm
        outer = np.where(fails.any(axis=1), fails.argmax(axis=1), shares.shape[1] - 1)
        inner = np.where(fails.any(axis=1), outer - 1, outer)
        ends = np.stack([np.take_along_axis(shares, at[:, None], axis=1)[:, 0] for at in (inner, outer)])
        if np.max((ends[1] - ends[0]) * np.abs(far)) <= ROUGH:
            low, high = np.exp(here + ends[0] * far)
            return float(low), float(high)
        shares = np.linspace(ends[0], ends[1], 7, axis=1)
