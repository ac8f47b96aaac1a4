"""Initial weights: places of the grid, usual recipes, LSUV, AnyInit and recommendations, from the same draws."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mfmi.activations import get
from mfmi.arguments.arrays import FloatArray
from mfmi.recommendation.search import WEIGHTS_WITHIN, weight_range
from studies.evidence.design import BIASES, WEIGHTS, Case

Pair = tuple[FloatArray, FloatArray]

RECIPES = ("he", "glorot", "lecun", "orthogonal", "torch", "lsuv", "anyinit")
# Mishkin and Matas 2016: what the variance of a layer's output may differ from 1, and the most corrections.
LSUV_TOLERANCE, LSUV_ROUNDS = 0.1, 10


@dataclass(frozen=True)
class Start:
    """Starting points of networks.

    Attributes
    ----------
    name : "grid", a recipe of `RECIPES`, or what a recommendation maximises.
    sigma_w, sigma_b : deviations of the layers (theory (1)); of a recipe with several, or one that reads the data, NaN.
    weights : "gaussian", "orthogonal".
    layers : sigma_w of the first layer and of the others, where they differ.
    fitted : whether the layers are rescaled to unit variance on examples, one after the other (LSUV).
    """

    name: str
    sigma_w: float
    sigma_b: float = 0.0
    weights: str = "gaussian"
    layers: tuple[float, float] | None = field(default=None)
    fitted: bool = False


def unit_of(activation: str) -> float:
    """The sigma_w that keeps the largest mean squared slope of an activation at 1: the unit of the grid's."""
    return weight_range(get(activation))[0] / WEIGHTS_WITHIN[0]


def grid(case: Case) -> list[Start]:
    """The places of the grid; of normalised networks, whose weights matter less, fewer and further apart."""
    factors: tuple[float, ...] = WEIGHTS if case.network == "plain" else (0.35, 0.7, 1.0, 1.4, 2.8)
    biases: tuple[float, ...] = BIASES if case.network == "plain" else BIASES[:2]
    if case.width > 64:
        factors, biases = WEIGHTS[1:-1], BIASES[:2]
    unit = unit_of(case.activation)
    return [Start("grid", unit * factor, b, case.weights) for b in biases for factor in factors]


def recipes(case: Case, inputs: int) -> list[Start]:
    """The usual recipes as they are for a network of these sizes."""
    glorot = 1.0 if inputs == case.width else math.sqrt(2.0 * inputs / (inputs + case.width))
    found = [
        Start("he", math.sqrt(2.0)),
        Start("glorot", 1.0, layers=(glorot, 1.0)),
        # In square layers Glorot's is LeCun's.
        *([] if glorot == 1.0 else [Start("lecun", 1.0)]),
        # Orthonormal rows where it widens, which makes their entries smaller.
        Start("orthogonal", 1.0, weights="orthogonal", layers=(min(1.0, math.sqrt(inputs / case.width)), 1.0)),
        # Deviations of its uniform weights and biases, of variance 1 / (3 fan-in); the first biases as all others.
        Start("torch", math.sqrt(1.0 / 3.0), math.sqrt(1.0 / (3.0 * case.width))),
    ]
    if case.network == "plain":
        found += [Start("lsuv", math.nan, weights="orthogonal", fitted=True)]
        found += [Start("anyinit", math.nan, layers=anyinit(case.activation))]
    return found


@functools.cache
def anyinit(activation: str) -> tuple[float, float]:
    """The sigma_w that AnyInit gives the first layer and the others of a network of square layers.

    Its analytic mode has no say in the draws, so that its deviations are enough to run it.
    """
    import anyinit as package
    import torch

    from studies.evidence.training import module

    # A name of its own per activation, for the package keeps what it has measured.
    kind = type(f"Phi_{activation}", (torch.nn.Module,), {"forward": lambda self, u: module(activation)(u)})
    package.register_activation(kind)
    layers = [torch.nn.Linear(64, 64)]
    for _ in range(3):
        layers += [kind(), torch.nn.Linear(64, 64)]
    model = torch.nn.Sequential(*layers)
    package.initialize(model, "analytic", (64, 64), seed=0)
    # The last layer is linear. The deviation of 4096 draws is known to 1 %; that of the hidden layers is the same.
    spread = [float(layer.weight.detach().std()) * 8.0 for layer in model if isinstance(layer, torch.nn.Linear)]
    return spread[0], float(np.mean(spread[1:-1]))


def draws(sizes: Sequence[int], seed: int, orthogonal: bool) -> list[Pair]:
    """Standard weights and biases of one network: entries of variance 1 / fan-in, normal or orthogonal, and of 1."""
    pairs = []
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        draw = np.random.default_rng((seed, layer))
        weights = draw.standard_normal((fan_in, fan_out))
        biases = draw.standard_normal((1, fan_out))
        pairs.append((_orthogonal(weights) if orthogonal else weights / math.sqrt(fan_in), biases))
    return pairs


def _orthogonal(draw: FloatArray) -> FloatArray:
    """Entries of variance 1 / fan-in, as of the gaussian ones, of a matrix whose shorter side is orthogonal."""
    fan_in, fan_out = draw.shape
    q, r = np.linalg.qr(draw if fan_in >= fan_out else draw.T)
    q = q * np.sign(np.diag(r))
    return np.asarray(q if fan_in >= fan_out else q.T * math.sqrt(fan_out / fan_in))


def deviations(start: Start, layers: int) -> FloatArray:
    """Factors of the standard weights and biases of every hidden layer, shape (layers, 2)."""
    first, rest = start.layers or (start.sigma_w, start.sigma_w)
    weights = np.array([first] + [rest] * (layers - 1))
    return np.stack([np.where(np.isnan(weights), 1.0, weights), np.full(layers, start.sigma_b)], axis=1)
