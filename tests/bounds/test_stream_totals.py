"""The replica value of residual streams: values of the theory, exact limits, and where there is none."""

import numpy as np
import pytest

import mfmi
from mfmi.activations import get
from mfmi.bounds.stream_total import replica
from mfmi.channels.stream import total
from mfmi.meanfield import Architecture, propagate

# Values of the theory: two layers, skip 1, no biases; the replica value there is good to 3e-4.
VALUES = {
    ("tanh", 1.5, 0.3, "gaussian"): 0.7706,
    ("tanh", 1.5, 0.3, "orthogonal"): 0.9475,
    ("tanh", 2.5, 0.1, "gaussian"): 1.3674,
    ("relu", 1.5, 0.3, "gaussian"): 0.7813,
    ("relu", 1.5, 0.3, "orthogonal"): 0.9566,
    ("relu", 2.5, 0.1, "gaussian"): 1.4053,
}


def row(act, depth, w2, o2, **given):
    settings = {"skip": 1.0, "estimators": ["linear", "replica", "covariance_upper"], "columns": ["mi_replica_error"]}
    return mfmi.evaluate(act, w2**0.5, sigma_noise=o2**0.5, depth=depth, **{**settings, **given}).iloc[-1]


@pytest.mark.parametrize(("act", "w2", "o2", "weights"), VALUES)
def test_two_layers_are_those_of_the_theory(act, w2, o2, weights):
    found = row(act, 2, w2, o2, weights=weights)
    assert found.status == "ok"
    assert 0.0 < found.mi_replica_error < 0.01
    assert abs(found.mi_replica - VALUES[act, w2, o2, weights]) < found.mi_replica_error + 3e-4
    assert found.mi_linear < found.mi_replica < found.mi_covariance_upper


def test_linear_streams_are_known_exactly():
    """All of what a linear stream says is linearly readable, whatever the sampled paths make of it."""
    found = row("linear", 4, 1.0, 0.1, branch=0.5)
    assert found.mi_replica == pytest.approx(found.mi_linear, rel=1e-9)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_the_average_over_paths_of_a_linear_stream_is_exact(weights):
    """As above, without the bounds that hold it."""
    network = Architecture.of(get("linear"), 4, sigma_w2=np.ones(1), output_noise=0.1, skip=1.0, branch=0.5)
    nowhere = np.array([-np.inf]), np.array([np.inf])
    found, reason = replica(network, weights, propagate(network), nowhere)
    assert reason.tolist() == [""]
    exact = row("linear", 4, 1.0, 0.1, branch=0.5, weights=weights).mi_linear
    assert 0.0 < abs(found.value[0] - exact) < found.error[0] < 0.01


@pytest.mark.parametrize("given", [{"normalization": "layernorm"}, {"normalization": "layernorm", "norm_at": "stream"}])
def test_norms_and_biases(given):
    found = row("tanh", 3, 1.5, 0.05, branch=0.6, sigma_b=0.3, **given)
    assert found.status == "ok"
    assert found.mi_linear < found.mi_replica < found.mi_covariance_upper


def test_a_finer_grid_changes_nothing(monkeypatch):
    coarse = row("relu", 3, 2.0, 0.05)
    monkeypatch.setattr(total, "_STEP", 0.35)
    assert row("relu", 3, 2.0, 0.05).mi_replica == pytest.approx(coarse.mi_replica, abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_twenty_layers_lie_between_the_bounds(weights):
    found = row("tanh", 20, 1.5, 0.05, branch="1/sqrt(depth)", weights=weights, sigma_b=0.1)
    assert found.status == "ok"
    assert found.mi_linear + found.mi_replica_error < found.mi_replica < found.mi_covariance_upper
    assert found.mi_replica_error < 0.05


@pytest.mark.parametrize(
    ("act", "depth", "given", "why"),
    [
        ("tanh", 2, {"noise_at": "every"}, "without hidden noise"),
        ("tanh", 21, {}, "of up to 20 layers"),
        ("tanh", 2, {"branch_matrices": 2}, "with one matrix per branch"),
        ("tanh", 2, {"normalization": "batchnorm"}, "without batchnorm"),
        ("sign", 2, {}, "of activations without jumps"),
        ("tanh", 2, {"skip": 0, "normalization": "layernorm"}, "with skips"),
        ("tanh", 3, {"branch": 1e-4}, "too small for a grid"),
    ],
)
def test_elsewhere_it_is_null_and_says_why(act, depth, given, why):
    found = row(act, depth, 1.5, 0.3, **given)
    assert np.isnan(found.mi_replica)
    assert why in found.message


def test_one_layer_is_exact_and_rows_are_functions_of_their_points():
    rows = mfmi.evaluate("relu", [1.0, 1.4], sigma_noise=0.4, depth=[1, 2], skip=1, estimators=["linear", "replica"])
    assert rows.mi_replica[0] == pytest.approx(rows.mi_linear[0], rel=1e-9)
    alone = mfmi.evaluate("relu", 1.4, sigma_noise=0.4, depth=2, skip=1, estimators=["replica"])
    assert alone.mi_replica[0] == pytest.approx(rows.mi_replica[3], rel=1e-6)
