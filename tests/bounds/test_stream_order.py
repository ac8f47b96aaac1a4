"""The order of the bounds of residual streams, and data processing, on networks drawn all over the place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.bounds.covariance import covariance_upper, entropy_power
from mfmi.bounds.readable import readable
from mfmi.bounds.stream_total import replica
from mfmi.meanfield import Architecture, propagate

NETWORKS, SEED = 300, 16
NAMES = ("tanh", "relu", "gelu", "sin", "cos", "abs", "gaussian", "erf", "leaky_relu", "silu")
NOWHERE = np.array([-np.inf]), np.array([np.inf])
# Of the replica value the error is a standard error, times 1.5; among 300 some are off by two of them.
ERRORS = 2.5


class Values(NamedTuple):
    """Information of one network with the error of each number; NaN for what is null."""

    linear: float
    linear_error: float
    power: float
    replica: float
    replica_error: float
    upper: float


def settings_of(rng: np.random.Generator) -> tuple[str, str, dict[str, Any]]:
    """Activation, weights and settings; hidden noise of up to ten times the signal in two thirds of the networks."""
    name, weights = str(rng.choice(NAMES)), str(rng.choice(["gaussian", "orthogonal"]))
    found: dict[str, Any] = {
        "sigma_w2": [rng.uniform(0.2, 4.0)],
        "sigma_b2": rng.choice([0.0, 0.1, 1.0]),
        "output_noise": 10.0 ** rng.uniform(-2.5, 1.0),
        "skip": rng.choice([0.5, 1.0, 1.2]),
        "branch": rng.choice([0.03, 0.3, 1.0]),
        "matrices": int(rng.integers(1, 3)),
        "norm": str(rng.choice(["none", "none", "layernorm", "batchnorm"])),
        "noise_in": str(rng.choice(["branch", "stream"])),
        "noise_scale": str(rng.choice(["absolute", "relative"])),
    }
    if rng.random() < 0.67:
        found["hidden_noise"] = 10.0 ** rng.uniform(-3.0, 1.0)
    if found["noise_in"] == "stream" and rng.random() < 0.5:
        found["hidden_noise"] = found["output_noise"]
    if found["norm"] == "layernorm":
        found["norm_at"] = str(rng.choice(["activation", "output", "stream"]))
        if found["norm_at"] == "stream":
            found["noise_in"] = "stream"
    if found["matrices"] == 2:
        found["hidden_ratio"] = float(rng.choice([0.5, 1.0, 4.0]))
    return name, weights, found


def values_of(name: str, weights: str, depth: int, settings: dict[str, Any]) -> Values:
    network = Architecture.of(get(name), depth, **settings)
    stream = propagate(network)
    found = readable(network, weights, stream)
    upper = covariance_upper(network, weights, stream, found.full)
    power, _ = entropy_power(network, weights, stream)
    total, reason = replica(network, weights, stream, NOWHERE, tables=False)
    assert found.linear.converged.all()
    assert total.converged.all() or reason[0] != "", (name, weights, depth, settings, total.residual)
    linear, error = found.linear.value[0], found.linear.error[0]
    value = total.value[0] if total.converged[0] else np.nan
    return Values(linear, error, power.value[0], value, total.error[0], upper.value[0])


def processes(settings: dict[str, Any]) -> bool:
    """Whether the next observed layer is made of this one: the stream itself has the noise that it is observed with."""
    return settings["noise_in"] == "stream" and settings.get("hidden_noise") == settings["output_noise"]


def networks(count: int) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    rng = np.random.default_rng(SEED)
    for _ in range(count):
        name, weights, settings = settings_of(rng)
        yield name, weights, int(rng.integers(2, 5)), settings


def check(name: str, weights: str, depth: int, settings: dict[str, Any]) -> Values:
    """Hold a network's numbers against each other, and against those of a layer more where they cannot grow."""
    case = (name, weights, depth, settings)
    found = values_of(*case)
    assert found.linear <= found.upper + found.linear_error + 1e-9, (case, found)
    if np.isfinite(found.power):
        assert found.power <= found.upper + 1e-9, (case, found)
    if np.isfinite(found.replica):
        slack = ERRORS * found.replica_error + 1e-7
        assert found.linear - found.linear_error <= found.replica + slack, (case, found)
        assert found.replica <= found.upper + slack, (case, found)
        if np.isfinite(found.power):
            assert found.power <= found.replica + slack, (case, found)
    if processes(settings):
        deeper = values_of(name, weights, depth + 1, settings)
        assert deeper.linear <= found.linear + deeper.linear_error + found.linear_error + 1e-9, (case, found, deeper)
        if np.isfinite(found.replica + deeper.replica):
            slack = ERRORS * (found.replica_error + deeper.replica_error) + 1e-7
            assert deeper.replica <= found.replica + slack, (case, found, deeper)
    return found


@pytest.mark.slow
def test_bounds_hold_the_total_of_random_residual_networks() -> None:
    found = [check(*case) for case in networks(NETWORKS)]
    known = np.isfinite([one.replica for one in found])
    assert len(found) == NETWORKS
    assert known.mean() > 0.95


@pytest.mark.thorough
def test_bounds_hold_the_total_of_a_few_networks() -> None:
    assert sum(np.isfinite(check(*case).replica) for case in networks(12)) >= 11
