"""The replica value of residual streams: values of the theory, exact limits, and where there is none."""

import numpy as np
import pytest

import mfmi
from mfmi.activations import get
from mfmi.bounds.readable import readable
from mfmi.bounds.stream_total import replica
from mfmi.channels.stream import lattice, total
from mfmi.meanfield import Architecture, propagate

# Values of the theory: two layers, skip 1, no biases; the replica value there is good to 3e-4.
VALUES = {
    ("tanh", 1.5, 0.3, 1.0, "gaussian"): 0.7706,
    ("tanh", 1.5, 0.3, 1.0, "orthogonal"): 0.9475,
    ("tanh", 2.5, 0.1, 1.0, "gaussian"): 1.3674,
    ("relu", 1.5, 0.3, 1.0, "gaussian"): 0.7813,
    ("relu", 1.5, 0.3, 1.0, "orthogonal"): 0.9566,
    ("relu", 2.5, 0.1, 1.0, "gaussian"): 1.4053,
    ("tanh", 1.5, 0.02, 0.35, "gaussian"): 1.7745,
    ("tanh", 1.5, 0.02, 0.7, "orthogonal"): 2.1680,
    ("relu", 1.5, 0.02, 0.35, "gaussian"): 1.7755,
    ("relu", 1.5, 0.02, 0.7, "orthogonal"): 2.1688,
}


def row(act, depth, w2, o2, **given):
    settings = {"skip": 1.0, "estimators": ["linear", "replica", "covariance_upper"], "columns": ["mi_replica_error"]}
    return mfmi.evaluate(act, w2**0.5, sigma_noise=o2**0.5, depth=depth, **{**settings, **given}).iloc[-1]


@pytest.mark.parametrize(("act", "w2", "o2", "branch", "weights"), VALUES)
def test_two_layers_are_those_of_the_theory(act, w2, o2, branch, weights):
    found = row(act, 2, w2, o2, branch=branch, weights=weights)
    assert found.status == "ok"
    assert 0.0 < found.mi_replica_error < 0.01
    assert abs(found.mi_replica - VALUES[act, w2, o2, branch, weights]) < found.mi_replica_error + 3e-4
    assert found.mi_linear < found.mi_replica < found.mi_covariance_upper


def test_linear_streams_are_known_exactly():
    """All of what a linear stream says is linearly readable, whatever the sampled paths make of it."""
    found = row("linear", 4, 1.0, 0.1, branch=0.5)
    assert found.mi_replica == pytest.approx(found.mi_linear, rel=1e-9)


NOWHERE = np.array([-np.inf]), np.array([np.inf])


def unheld(name, depth, weights, **settings):
    """A network's replica value and its error, without the bounds that hold it."""
    network = Architecture.of(get(name), depth, **{"output_noise": 0.1, "skip": 1.0, "sigma_w2": [1.0]} | settings)
    found, reason = replica(network, weights, propagate(network), NOWHERE, tables=False)
    assert reason.tolist() == [""]
    assert found.converged.all()
    return found.value[0], found.error[0], readable(network, weights).linear.value[0]


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(
    "settings",
    [
        {"branch": 0.5},
        {"branch": 0.01},
        {"branch": 0.5, "hidden_noise": 0.1},
        {"branch": 0.5, "hidden_noise": 0.1, "noise_in": "stream"},
        {"branch": 0.5, "hidden_noise": 1e-4},
        {"branch": 1.0, "hidden_noise": 10.0, "skip": 0.7},
    ],
)
def test_the_average_over_paths_of_a_linear_stream_is_exact(weights, settings):
    """As above, without the bounds that hold it, and with noise on the way."""
    value, error, exact = unheld("linear", 3, weights, **settings)
    assert 0.0 < abs(value - exact) < error < 0.02


def test_a_branch_of_next_to_nothing_adds_nothing():
    value, error, _ = unheld("tanh", 6, "gaussian", branch=1e-5)
    assert value == pytest.approx(unheld("linear", 1, "gaussian")[2], abs=error)


def test_batchnorm_is_layernorm_before_an_odd_activation():
    """Sites without offsets are the same sites."""
    for hidden in (0.0, 0.05):
        settings = {"sigma_w2": [1.5], "branch": 0.5, "noise_scale": "relative", "hidden_noise": hidden}
        one, other = (unheld("tanh", 3, "orthogonal", norm=norm, **settings)[0] for norm in ("batchnorm", "layernorm"))
        assert one == pytest.approx(other, rel=1e-9)


BLOCK = {"matrices": 2, "sigma_w2": [1.5], "sigma_b2": 0.1, "branch": 0.6}


@pytest.mark.parametrize("hidden", [{}, {"hidden_noise": 0.05}, {"hidden_noise": 0.05, "noise_in": "stream"}])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_two_matrices_around_linear_units_are_exact(weights, hidden):
    value, error, exact = unheld("linear", 4, weights, hidden_ratio=2.0, norm="layernorm", **BLOCK, **hidden)
    assert value == pytest.approx(exact, abs=1e-9)
    assert error < 1e-7


def test_two_matrices_of_other_units():
    """Exact scalar channels: more than the linear ones tell, and without an average that leaves an error."""
    for name, settings in (
        ("tanh", {"hidden_noise": 0.05, "noise_in": "stream"}),
        ("relu", {"norm": "batchnorm", "hidden_ratio": 0.5}),
        ("gelu", {"norm": "rmsnorm", "norm_at": "output"}),
    ):
        value, error, linear = unheld(name, 3, "gaussian", **BLOCK, **settings)
        assert error < 1e-5
        assert linear + 0.01 < value


def test_a_block_that_is_read_through_its_second_matrix_alone_is_a_plain_network():
    block = Architecture.of(get("tanh"), 2, sigma_w2=[1.2], output_noise=0.1, matrices=2, input_sigma_w2=1.0)
    found, _ = replica(block, "orthogonal", propagate(block), NOWHERE, tables=False)
    plain = mfmi.evaluate("tanh", 1.2**0.5, depth=2, sigma_noise=0.1**0.5, weights="orthogonal", estimators=["replica"],
                          columns=["mi_replica_error"], input_variance=1.0 )  # fmt: skip
    # A rotation of the input is none.
    error = found.error[0] + plain.mi_replica_error[0]
    assert found.value[0] == pytest.approx(plain.mi_replica[0], abs=2.0 * error + 1e-7)


@pytest.mark.parametrize("given", [{"normalization": "layernorm"}, {"normalization": "layernorm", "norm_at": "stream"}])
def test_norms_and_biases(given):
    found = row("tanh", 3, 1.5, 0.05, branch=0.6, sigma_b=0.3, **given)
    assert found.status == "ok"
    assert found.mi_linear < found.mi_replica < found.mi_covariance_upper


@pytest.mark.parametrize("given", [{}, {"noise_at": "every", "branch": 0.05}])
def test_a_finer_grid_changes_nothing(given, monkeypatch):
    coarse = row("relu", 3, 2.0, 0.05, **given)
    for room in (lattice, total):
        monkeypatch.setattr(room, "STEP", 0.35)
    monkeypatch.setattr(lattice, "_LEAST_SIDE", 32)
    assert row("relu", 3, 2.0, 0.05, **given).mi_replica == pytest.approx(coarse.mi_replica, abs=2e-4)


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
        ("tanh", 51, {}, "of one matrix per branch and up to 50 layers"),
        ("sign", 2, {}, "of one matrix per branch without jumps"),
        ("sign", 2, {"branch_matrices": 2}, "units of few values are known exactly are not searched"),
    ],
)
def test_elsewhere_it_is_null_and_says_why(act, depth, given, why):
    found = row(act, depth, 1.5, 0.3, **given)
    assert np.isnan(found.mi_replica)
    assert found.status == "ok"
    assert why in found.message


def test_one_layer_is_exact_and_rows_are_functions_of_their_points():
    rows = mfmi.evaluate("relu", [1.0, 1.4], sigma_noise=0.4, depth=[1, 2], skip=1, estimators=["linear", "replica"])
    assert rows.mi_replica[0] == pytest.approx(rows.mi_linear[0], rel=1e-9)
    alone = mfmi.evaluate("relu", 1.4, sigma_noise=0.4, depth=2, skip=1, estimators=["replica"])
    assert alone.mi_replica[0] == pytest.approx(rows.mi_replica[3], rel=1e-6)
