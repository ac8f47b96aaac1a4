"""The branch scale of a residual network: the largest whose last layer keeps a share of what the first one tells.

The less a branch does the more is left to read, down to a branch that does nothing: information has no maximum over the
branch scale, and what it costs has to be limited. Weights and branch scale multiply; of the two the weights are such
that a branch gives signals of variance 1 the variance 1, and the scale is searched for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.evaluate import evaluate_points
from mfmi.errors import ArgumentError
from mfmi.names import BY_DEPTH, STRUCTURED_ESTIMATORS
from mfmi.recommendation.results import NetworkFamily, NoOptimumError

# The branch scales between which is searched, and so many of them at first, then between two neighbours.
WITHIN = (1e-3, 1.0)
_COARSE, _FINE, _ROUNDS = 19, 5, 3
# What the scale is compared with: powers of the depth.
OTHERS: Mapping[str, float] = {BY_DEPTH: -0.5, "1": 0.0, "1/depth": -1.0}


@dataclass(frozen=True)
class Branch:
    """A branch scale and what it leaves.

    Attributes
    ----------
    name : where it is from.
    scale : the factor g of theory (30).
    value : linearly readable information at the last layer, in the network's unit.
    kept : its share of that at the first layer.
    lower, upper : bounds on the information at the last layer.
    growth : variance of the last layer over that of the first.
    """

    name: str
    scale: float
    value: float
    kept: float
    lower: float
    upper: float
    growth: float


@dataclass(frozen=True)
class StreamRecommendation:
    """Weights and branch scale of a residual network.

    Attributes
    ----------
    network : what it is for, the weights of its second matrices included.
    sigma_w, sigma_b : of the weights and biases in a branch, of the first matrix where there are two.
    keep : share of the first layer's information that the last one should keep; None where the scale was given.
    best : the recommendation.
    others : other scales.
    limits : "branch" where the search ended at the largest scale that it looks at, "keep" where none keeps the share:
        `best` keeps the most of those that were looked at.
    """

    network: NetworkFamily
    sigma_w: float
    sigma_b: float
    keep: float | None
    best: Branch
    others: tuple[Branch, ...]
    limits: tuple[str, ...]

    @property
    def sigma_w_out(self) -> float:
        """Of the matrix that a branch ends with."""
        return float(self.network.structure.get("sigma_w_out", self.sigma_w))

    @property
    def sigma_b_out(self) -> float:
        """Of its biases."""
        return float(self.network.structure.get("sigma_b_out", self.sigma_b))


def is_stream(structure: Mapping[str, Any]) -> bool:
    """Whether settings are those of a residual network."""
    return bool(structure.get("skip"))


def recommend_branch(network: NetworkFamily, sigma_b: float | None = None, keep: float = 0.5) -> StreamRecommendation:
    """Find the largest branch scale that keeps a share of the linearly readable information; none larger is looked at.

    Parameters
    ----------
    network
        A residual network. A branch scale among its settings is kept, and judged.
    sigma_b
        Standard deviation of the biases; 0 where None.
    keep
        Share of the first layer's information that the last layer should keep, between 0 and 1.

    Raises
    ------
    ValueError
        What is linearly readable of the network is not known, or the biases leave the weights nothing.
    """
    b = 0.0 if sigma_b is None else sigma_b
    w, network = _with_gain(network, b)
    first = _first(network, w, b)
    given = network.structure.get("branch")
    if given is not None:
        g, aim = _given(given, network.depth), None
        limits: tuple[str, ...] = ()
    else:
        g, limits = _largest(network, w, b, keep, first)
        aim = keep
    scales = {"given" if aim is None else "keeps most" if "keep" in limits else "recommended": g} | {
        name: float(network.depth) ** power for name, power in OTHERS.items()
    }
    best, *others = _judged(network, w, b, first, scales)
    return StreamRecommendation(network, w, b, aim, best, tuple(others), limits)


def _given(branch: object, depth: int) -> float:
    return float(depth**-0.5) if branch == BY_DEPTH else float(branch)  # type: ignore[arg-type]


def _with_gain(network: NetworkFamily, sigma_b: float) -> tuple[float, NetworkFamily]:
    """The standard deviation with which a branch gives signals of variance 1 that variance, and the network with it."""
    settings = dict(network.structure)
    left = 1.0 - settings.get("sigma_b_out", sigma_b) ** 2
    if left <= 0.0:
        raise ArgumentError("sigma_b", sigma_b, "is all that a branch of variance 1 may have: give less than 1")
    second = 1.0 if settings.get("norm_at") == "output" else float(network.activation.second_moment(1.0))
    gain = math.sqrt(left / second)
    if settings.get("branch_matrices") != 2:
        return gain, network
    settings.setdefault("sigma_w_out", gain)
    # In front of the activation signals of variance 1 stay so, biases included.
    if sigma_b >= 1.0:
        raise ArgumentError("sigma_b", sigma_b, "is all that a pre-activation of variance 1 may have: give less than 1")
    return math.sqrt(1.0 - sigma_b**2), replace(network, structure=settings)


def _first(network: NetworkFamily, w: float, b: float) -> float:
    found = evaluate_points(network.points(w, b, branch=1.0), [1], ("linear",), network.unit, model=network.model)
    return float(found["mi_linear"][0])


def _largest(network: NetworkFamily, w: float, b: float, keep: float, first: float) -> tuple[float, tuple[str, ...]]:
    """The largest scale that keeps that share of what the first layer tells, before the first that does not again.

    Where none does, the one that keeps the most.
    """

    def values(some: FloatArray) -> FloatArray:
        points = network.points(np.full(len(some), w), b, branch=some)
        rows = evaluate_points(points, [network.depth], ("linear",), network.unit, model=network.model)
        return np.asarray(rows["mi_linear"])

    scales = np.geomspace(*WITHIN, _COARSE)
    known = values(scales)
    if np.isnan(known).all():
        text = f"linear has no value for {network.activation.name} with {network.weights} weights at any branch scale"
        raise NoOptimumError(text)
    fits = known >= keep * first
    if not fits.any():
        return float(scales[np.nanargmax(known)]), ("keep",)
    begin = int(np.argmax(fits))
    ends = np.flatnonzero(~fits[begin:])
    if not len(ends):
        return WITHIN[1], ("branch",)
    place = begin + int(ends[0]) - 1
    for _ in range(_ROUNDS):
        # Both ends are known.
        scales = np.geomspace(scales[place], scales[place + 1], _FINE + 2)
        fails = ~(values(scales[1:-1]) >= keep * first)
        place = int(np.argmax(fails)) if fails.any() else _FINE
    return float(scales[place]), ()


def _judged(network: NetworkFamily, w: float, b: float, first: float, scales: Mapping[str, float]) -> list[Branch]:
    g = np.array(list(scales.values()))
    points = network.points(np.full(len(g), w), b, branch=g)
    rows = evaluate_points(points, [1, network.depth], STRUCTURED_ESTIMATORS, network.unit, model=network.model)
    last = {name: values.reshape(len(g), 2)[:, 1] for name, values in rows.items()}
    q = rows["q"].reshape(len(g), 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        growth = q[:, 1] / q[:, 0]
    return [
        Branch(name, float(g[i]), value := float(last["mi_linear"][i]), value / first,
               float(last["mi_lower"][i]), float(last["mi_upper"][i]), float(growth[i]))
        for i, name in enumerate(scales)
    ]  # fmt: skip
