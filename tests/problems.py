"""Named problems with the best known value of the information, and what makes each hard for a bound.

Values come from exact laws evaluated here, from independent programs (tests/data/replica.json, and the numbers to four
decimals that docs/theory.md section 8 lists), and from nested Monte Carlo over finite networks
(tests/data/problems/monte_carlo.py). Nothing here was computed by the estimators it is held against.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from mfmi.activations import get
from mfmi.bounds.evaluate import evaluate_points
from mfmi.names import ESTIMATORS, LOWER_BOUNDS, UPPER_BOUNDS
from mfmi.networks.points import Points

DATA = Path(__file__).parent / "data"
TAGS = {
    "exact": "no gap is allowed: the bound is the value",
    "kink": "phi' jumps",
    "jump": "phi jumps, there is no slope",
    "flat": "phi has flat pieces: part of the signal is lost",
    "saturating": "the signal reaches the tails of phi",
    "low noise": "what a residual does at high precision decides",
    "high noise": "little information: bounds must not go below zero or above the linear channel",
    "bias": "neurons have offsets: an average over them taken too early breaks the bound",
    "hidden noise": "the value is a difference of two potentials",
    "not monotone": "several inputs of a unit have the same output",
    "deep": "errors pile up over layers",
    "amplitude": "the input is far from unit variance",
}


@dataclass(frozen=True)
class Problem:
    """A wide square network, what makes it hard, and where its information lies, in nats per input dimension."""

    name: str
    activation: str
    depth: int
    sigma_w2: float
    sigma_b2: float
    noise2: float
    hard: str
    source: str
    low: float
    high: float
    error: float
    noise_at: str = "output"
    weights: str = "gaussian"
    input_variance: float = 1.0


def deep_linear(depth: int, snr: float) -> float:
    """Exact information of square Gaussian linear layers without hidden noise, docs/theory.md section 8."""

    def log_snr(u: float) -> float:
        return np.log(u) - (depth + 1) * np.log1p(-u)

    top = brentq(lambda u: log_snr(u) - np.log(snr), 1e-12, 1 - 1e-15, xtol=1e-15, rtol=1e-14)
    return 0.5 * (top * np.log(snr) - quad(log_snr, 0, top, epsabs=1e-13, epsrel=1e-13)[0])


def rotation_chain(depth: int, sigma_w2: float, noise2: float, hidden2: float, input_variance: float) -> float:
    """Exact information of square orthogonal linear layers: one scalar channel, repeated."""
    noise = noise2 + hidden2 * sum(sigma_w2**layer for layer in range(1, depth))
    return 0.5 * np.log1p(input_variance * sigma_w2**depth / noise)


def exact_laws() -> Iterator[Problem]:
    def known(name: str, value: float, activation: str, depth: int, **setting: float | str) -> Problem:
        full = {"sigma_w2": 1.0, "sigma_b2": 0.0, "noise2": 0.1} | setting
        return Problem(
            name, activation, depth, hard="exact", source="exact law", low=value, high=value, error=1e-9, **full
        )

    yield known("one layer of anything", deep_linear(1, 15.0), "tanh", 1, sigma_w2=1.5)
    yield known("one biased layer", deep_linear(1, 15.0), "relu", 1, sigma_w2=1.5, sigma_b2=0.7)
    yield known("one layer, every noise", deep_linear(1, 15.0), "sign", 1, sigma_w2=1.5, noise_at="every")
    yield known("one rotation", 0.5 * np.log1p(15.0), "gelu", 1, sigma_w2=1.5, weights="orthogonal")
    for depth, sigma_w2, noise2 in ((2, 1.0, 0.01), (3, 2.0, 0.5), (10, 1.0, 0.01), (30, 1.1, 0.1)):
        value = deep_linear(depth, sigma_w2**depth / noise2)
        yield known(f"{depth} linear layers", value, "linear", depth, sigma_w2=sigma_w2, noise2=noise2)
    value = deep_linear(4, 3.0 * 0.7**4 / 0.2)
    yield known("linear, biased, loud", value, "linear", 4, sigma_w2=0.7, sigma_b2=0.5, noise2=0.2, input_variance=3.0)
    value = deep_linear(3, 1e8)
    yield known("linear at 80 dB", value, "linear", 3, noise2=1e-8)
    for depth, sigma_w2, noise2, noise_at, q_x in (
        (3, 1.3, 0.1, "output", 1.0),
        (5, 0.9, 0.2, "every", 1.0),
        (20, 1.1, 0.01, "every", 2.0),
    ):
        value = rotation_chain(depth, sigma_w2, noise2, noise2 if noise_at == "every" else 0.0, q_x)
        yield known(
            f"{depth} rotations, {noise_at} noise",
            value,
            "linear",
            depth,
            sigma_w2=sigma_w2,
            noise2=noise2,
            noise_at=noise_at,
            weights="orthogonal",
            input_variance=q_x,
        )


REFERENCE_NAMES = {
    "Linear": "linear",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu(0.1)",
    "HardTanh": "hard_tanh",
    "Probit": "sign",
}
REFERENCE_TAGS = {"linear": "exact", "relu": "flat", "leaky_relu(0.1)": "kink", "hard_tanh": "kink", "sign": "jump"}


def reference_programs() -> Iterator[Problem]:
    """Square cases of tests/data/replica.json: white Gaussian input, noise at the output, a pre-activation observed."""
    for case in json.loads((DATA / "replica.json").read_text())["cases"]:
        (prior, *moments), layers, weights = case["prior"], case["layers"], case["weights"]
        hidden, (last, noise2, *_) = layers[:-1], layers[-1]
        kinds = {tuple(layer) for layer in hidden}
        plain = prior == "Normal" and moments == [0.0, 1.0] and last == "Linear" and len(kinds) <= 1
        if not plain or any(alpha != 1.0 for _, alpha, _ in weights) or len({tuple(w) for w in weights}) > 1:
            continue
        if any(layer[1] != 0.0 for layer in hidden) or "meaning" in case:
            continue
        activation = REFERENCE_NAMES[hidden[0][0]] if hidden else "linear"
        ensemble, _, scale = weights[0]
        tag = REFERENCE_TAGS[activation]
        if tag in ("kink", "flat") and noise2 <= 1e-4:
            tag = "low noise"
        yield Problem(
            case["id"],
            activation,
            len(layers),
            scale,
            0.0,
            noise2,
            hard="deep" if tag in ("kink", "flat") and len(layers) > 3 else tag,
            source="replica reference",
            low=case["mi"],
            high=case["mi"],
            error=1e-9 if case["confidence"] == "exact" else 3e-7,
            weights=ensemble,
        )


def listed_values() -> Iterator[Problem]:
    """Replica values that docs/theory.md section 8 lists to four decimals, good to about 1e-4."""
    for activation, depth, sigma_w2, sigma_b2, noise2, noise_at, weights, value, hard in (
        ("tanh", 2, 1.5, 0.0, 0.01, "output", "gaussian", 1.3805, "saturating"),
        ("tanh", 2, 1.5, 0.0, 0.01, "output", "orthogonal", 1.8581, "saturating"),
        ("tanh", 2, 2.0, 0.05, 0.05, "every", "gaussian", 0.7852, "hidden noise"),
        ("tanh", 2, 2.0, 0.05, 0.05, "every", "orthogonal", 1.0882, "hidden noise"),
        ("tanh", 3, 1.0, 0.0, 0.1, "output", "gaussian", 0.3731, "deep"),
        ("tanh", 3, 1.0, 0.0, 0.1, "output", "orthogonal", 0.5794, "deep"),
        ("relu", 2, 1.5, 0.0, 0.01, "output", "gaussian", 1.2765, "flat"),
        ("relu", 2, 2.0, 0.3, 0.01, "output", "gaussian", 1.4329, "bias"),
        ("tanh", 2, 2.0, 0.1, 0.5, "output", "orthogonal", 0.5281, "high noise"),
        ("tanh", 3, 1.6, 0.1, 0.3, "output", "gaussian", 0.3162, "bias"),
        ("relu", 3, 1.6, 0.1, 0.3, "output", "gaussian", 0.3057, "bias"),
    ):
        yield Problem(
            f"listed {activation}-{depth}-{sigma_w2:g}-{sigma_b2:g}-{weights}-{noise_at}",
            activation,
            depth,
            sigma_w2,
            sigma_b2,
            noise2,
            hard,
            "replica reference",
            value,
            value,
            1.5e-4,
            noise_at,
            weights,
        )


MONTE_CARLO_TAGS = {
    "gelu": "not monotone",
    "sign": "jump",
    "abs": "not monotone",
    "sin": "not monotone",
    "biased_tanh": "bias",
    "large_input": "amplitude",
    "noisy_tanh": "hidden noise",
    "noisy_hard_tanh": "hidden noise",
    "noisy_relu": "hidden noise",
    "elu": "bias",
    "biased_relu": "flat",
}


def finite_networks() -> Iterator[Problem]:
    for name, case in json.loads((DATA / "problems" / "monte_carlo.json").read_text()).items():
        low, high = case.pop("low"), case.pop("high")
        error = max(case.pop("low_error"), case.pop("high_error"))
        setting = {key: value for key, value in case.items() if not key.endswith("_by_width")}
        yield Problem(
            f"measured {name}",
            hard=MONTE_CARLO_TAGS[name],
            source="Monte Carlo",
            low=low,
            high=high,
            error=error,
            **setting,
        )


SOURCES = {
    "exact law": exact_laws,
    "replica reference": lambda: (*reference_programs(), *listed_values()),
    "Monte Carlo": finite_networks,
}
PROBLEMS = {problem.name: problem for make in SOURCES.values() for problem in make()}

# Activations whose tables are quick to build; the others' problems are for the slow suite.
FAST = ("linear", "relu", "tanh")
# The exact channel of tanh takes half a minute to tabulate where all its problems need it, and seconds for these.
FAST_REPLICA_OF_TANH = (
    "one layer of anything",
    "listed tanh-3-1-0-gaussian-output",
    "listed tanh-3-1-0-orthogonal-output",
)

# Standard errors (Monte Carlo) or stated errors (references) that a bound may be beyond the best known value.
ALLOWANCE = {"exact law": 1.0, "replica reference": 1.0, "Monte Carlo": 3.0}


def best_value(problem: Problem) -> Problem:
    """The problem with its interval widened to what its source can vouch for."""
    margin = ALLOWANCE[problem.source] * problem.error
    return replace(problem, low=problem.low - margin, high=problem.high + margin)


def applies(estimator: str, problem: Problem) -> bool:
    """Whether the bound exists: entropy powers need a strictly monotone activation."""
    return estimator != "entropy_power" or get(problem.activation).strictly_monotone


def is_fast(problem: Problem, estimator: str) -> bool:
    """Whether a value is for the fast suite."""
    if (problem.activation, estimator) == ("tanh", "replica"):
        return problem.name in FAST_REPLICA_OF_TANH
    return problem.activation in FAST


@cache
def estimates(names: tuple[str, ...], estimators: tuple[str, ...]) -> dict[tuple[str, str], float]:
    """Values of problems that have one activation, by (problem, estimator)."""
    problems = [PROBLEMS[name] for name in names]
    points = Points.of(
        problems[0].activation,
        np.sqrt([problem.sigma_w2 for problem in problems]),
        sigma_b=np.sqrt([problem.sigma_b2 for problem in problems]),
        sigma_noise=np.sqrt([problem.noise2 for problem in problems]),
        noise_at=[problem.noise_at for problem in problems],
        weights=[problem.weights for problem in problems],
        input_variance=[problem.input_variance for problem in problems],
    )
    depths = np.array([[problem.depth] for problem in problems])
    columns = evaluate_points(points, depths, estimators)
    return {
        (problem.name, estimator): float(columns[f"mi_{estimator}"][row])
        for row, problem in enumerate(problems)
        for estimator in estimators
    }


def estimate(estimator: str, problem: Problem) -> float:
    """One estimator's value of one problem, nats per input dimension; NaN where it gives none."""
    together = ("replica",) if estimator == "replica" else tuple(name for name in ESTIMATORS if name != "replica")
    alike = tuple(
        name
        for name, other in PROBLEMS.items()
        if other.activation == problem.activation and is_fast(other, estimator) == is_fast(problem, estimator)
    )
    return estimates(alike, together)[problem.name, estimator]


def tightness(problem: str, estimator: str) -> float:
    """The bound over the best known value, or the value over the upper bound: 1 where there is no gap."""
    best, value = PROBLEMS[problem], estimate(estimator, PROBLEMS[problem])
    return value / best.high if estimator in LOWER_BOUNDS else best.low / value


def pairs() -> list[tuple[str, str]]:
    """Every problem with every bound that exists for it, by name.

    The bound by the covariance is above `gaussian_upper` for plain networks; test_streams holds it to account.
    """
    return [
        (name, estimator)
        for name, problem in PROBLEMS.items()
        for estimator in (*LOWER_BOUNDS, *UPPER_BOUNDS)
        if estimator != "covariance_upper" and applies(estimator, problem)
    ]
