"""Pairwise bounds (theory (20)): against finite networks, by hand at layer 1, and what must hold anyway."""

import tracemalloc
from math import log

import numpy as np
import pytest

import mfmi
from mfmi.datasets import _bounds, equicorrelated_bounds, mean_field_distances, pair_factors, pairwise_bounds


def network_information(outputs, noise_variance, rng, repeats):
    """Estimate the information about which row of `outputs` it was, from its noisy copy, by Monte Carlo in nats."""
    squared = np.sum((outputs[:, None] - outputs[None]) ** 2, axis=2)
    values = []
    for _ in range(repeats):
        noise = rng.normal(size=outputs.shape) * np.sqrt(noise_variance)
        cross = np.sum(noise * outputs, axis=1)[:, None] - noise @ outputs.T
        exponent = -(squared + 2.0 * cross) / (2.0 * noise_variance)
        top = exponent.max(axis=1)
        values.append(log(len(outputs)) - np.mean(top + np.log(np.exp(exponent - top[:, None]).sum(axis=1))))
    return np.mean(values)


def random_matrix(rng, rows, columns, sigma_w2, weights):
    matrix = rng.normal(size=(max(rows, columns),) * 2)
    if weights == "gaussian":
        return matrix[:rows, :columns] * np.sqrt(sigma_w2 / columns)
    return np.linalg.qr(matrix)[0][:rows, :columns] * np.sqrt(sigma_w2 * max(1.0, rows / columns))


def average_information(phi, data, n, depth, sigma_w2, sigma_b2, noise_variance, weights, rng, networks=80):
    """Average over networks, with its standard error."""
    values = []
    for _ in range(networks):
        y = data
        for layer in range(depth):
            x = y if layer == 0 else phi(y)
            y = x @ random_matrix(rng, n, x.shape[1], sigma_w2, weights).T + rng.normal(size=n) * np.sqrt(sigma_b2)
        values.append(network_information(y, noise_variance, rng, 4))
    return np.mean(values), np.std(values) / np.sqrt(networks)


# activation, weights, N, n_0, n, depth, sigma_w2, sigma_b2, noise variance,
# where neither bound is near ln N or 0.
FINITE = [
    ("tanh", "gaussian", 16, 8, 8, 1, 1.5, 0.0, 0.5),
    ("tanh", "gaussian", 64, 24, 64, 3, 1.5, 0.1, 2.0),
    ("relu", "gaussian", 40, 16, 16, 2, 2.0, 0.0, 0.3),
    ("relu", "gaussian", 24, 16, 16, 8, 2.0, 0.0, 0.3),
    ("relu", "gaussian", 2, 4, 4, 4, 2.0, 0.1, 0.3),
    ("hard_tanh", "gaussian", 16, 8, 32, 4, 1.5, 0.1, 1.0),
    ("relu", "orthogonal", 48, 16, 16, 6, 2.0, 0.0, 0.3),
    ("tanh", "orthogonal", 40, 24, 12, 1, 1.5, 0.1, 0.3),
    ("tanh", "orthogonal", 16, 8, 16, 4, 2.0, 0.1, 1.0),
]


@pytest.mark.parametrize(("name", "weights", "count", "n_0", "n", "depth", "sigma_w2", "sigma_b2", "noise"), FINITE)
def test_bounds_bracket_finite_networks(name, weights, count, n_0, n, depth, sigma_w2, sigma_b2, noise):
    """Honest: never beyond the average over networks by more than its scatter."""
    rng = np.random.default_rng(depth + n)
    phi, data = mfmi.activation(name), rng.normal(size=(count, n_0))
    network = {"sigma_w2": sigma_w2, "sigma_b2": sigma_b2, "noise_variance": noise, "weights": weights}
    bounds = pairwise_bounds(phi, data, width=n, depths=[depth], **network)
    value, scatter = average_information(phi, data, n, depth, sigma_w2, sigma_b2, noise, weights, rng)
    assert bounds.lower[0] <= value + 3.0 * scatter
    assert bounds.upper[0] >= value - 3.0 * scatter
    assert bounds.lower[0] >= 0.55 * value  # tight: these are the cases between nothing and ln N


def test_mean_field_distances_alone_break_the_lower_bound():
    """Why hidden layers are sampled: eight layers of width 16 lie far below (20) at their typical distances."""
    rng = np.random.default_rng(1)
    phi, data = mfmi.activation("relu"), rng.normal(size=(32, 16))
    value, scatter = average_information(phi, data, 16, 8, 2.0, 0.0, 0.3, "gaussian", rng, networks=40)
    norms = np.mean(data**2, axis=1)
    i, j = np.triu_indices(32, 1)
    distance = np.mean((data[i] - data[j]) ** 2, axis=1)
    v = mean_field_distances(phi, norms[i], norms[j], distance, sigma_w2=2.0, sigma_b2=0.0, depth=8)[:, -1]
    kernel = np.eye(32)
    kernel[i, j] = kernel[j, i] = (1.0 + v / 1.2) ** -8.0
    typical = -np.mean(np.log(kernel.mean(axis=1)))
    assert typical > value + 5.0 * scatter
    bounds = pairwise_bounds(phi, data, sigma_w2=2.0, sigma_b2=0.0, noise_variance=0.3, width=16, depths=[8])
    assert bounds.lower[0] < value


def test_first_layer_is_the_formula():
    rng = np.random.default_rng(4)
    data = rng.normal(size=(30, 6)) * rng.uniform(0.1, 3.0, size=(30, 1))
    bounds = pairwise_bounds(
        mfmi.activation("tanh"), data, sigma_w2=1.3, sigma_b2=0.4, noise_variance=0.7, width=5, depths=[1]
    )
    v = 1.3 * np.mean((data[:, None] - data[None]) ** 2, axis=2)
    lower = -np.mean(np.log(np.mean((1.0 + v / 2.8) ** -2.5, axis=1)))
    upper = -np.mean(np.log(np.mean(np.exp(-5.0 * v / 1.4), axis=1)))
    assert bounds.lower[0] == pytest.approx(lower, rel=1e-9)
    assert bounds.upper[0] == pytest.approx(upper, rel=1e-9)
    assert bounds.interpolation_error[0] < 1e-9


def test_one_correlation_is_the_short_formula():
    phi = mfmi.activation("relu")
    network = {"sigma_w2": [1.0, 2.0], "sigma_b2": 0.1, "noise_variance": 0.5, "width": 20}
    lower, upper = equicorrelated_bounds(phi, 50, input_variance=2.0, correlation=0.3, depth=3, **network)
    assert lower.shape == upper.shape == (2, 3)
    v = np.array([1.0, 2.0]) * 2.0 * 2.0 * 0.7
    assert lower[:, 0] == pytest.approx(log(50) - np.log1p(49 * (1.0 + v / 2.0) ** -10.0), rel=1e-12)
    assert upper[:, 0] == pytest.approx(log(50) - np.log1p(49 * np.exp(-20.0 * v)), rel=1e-12)
    assert (lower <= upper).all()
    assert (np.diff(upper, axis=0) >= -1e-12).all()


def test_equal_norms_and_angles_agree_with_the_table():
    phi, n_0 = mfmi.activation("tanh"), 12
    data = np.sqrt(n_0) * np.eye(n_0)  # one norm, all pairs orthogonal
    network = {"sigma_w2": 1.8, "sigma_b2": 0.2, "noise_variance": 2.0, "width": 16}
    bounds = pairwise_bounds(phi, data, depths=[1, 3], **network)
    lower, upper = equicorrelated_bounds(phi, n_0, input_variance=1.0, correlation=0.0, depth=3, **network)
    assert bounds.lower == pytest.approx(lower[0, [0, 2]], abs=0.02)
    assert bounds.upper == pytest.approx(upper[0, [0, 2]], abs=0.02)


def test_twins_count_once_and_all_apart_is_everything():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(20, 10))
    network = {"sigma_w2": 1.5, "sigma_b2": 0.1, "noise_variance": 1e-4, "width": 200, "depths": [1, 4]}
    phi = mfmi.activation("tanh")
    apart = pairwise_bounds(phi, data, **network)
    twins = pairwise_bounds(phi, np.concatenate([data, data]), **network)
    assert apart.lower == pytest.approx([log(20)] * 2, abs=1e-6)
    assert twins.lower == pytest.approx([log(20)] * 2, abs=1e-6)
    assert twins.upper == pytest.approx([log(20)] * 2, abs=1e-6)
    assert (apart.upper <= log(20)).all()


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_equal_inputs_stay_equal_whatever_the_biases(weights):
    phi = mfmi.activation("tanh")
    setting = {"sigma_w2": 2.0, "sigma_b2": 1.0, "noise_variance": 0.5, "width": 12, "depth": 4, "weights": weights}
    found = pair_factors(phi, 1.0, 1.0, [0.0, 0.4], **setting)
    assert np.all(np.abs(found.mean[0]) < 1e-12)
    assert np.all(np.abs(found.annealed[0]) < 1e-12)
    assert np.all(found.mean[1] > 0.01)


def test_sampled_averages_err_on_the_safe_side():
    phi = mfmi.activation("tanh")
    setting = {"sigma_w2": 2.0, "sigma_b2": 0.1, "noise_variance": 1.0, "width": 8, "depth": 3}
    true = pair_factors(phi, 1.0, 1.0, 1.0, **setting, chains=100_000, seed=1)
    for seed in range(2, 22):
        found = pair_factors(phi, 1.0, 1.0, 1.0, **setting, chains=200, seed=seed)
        assert np.all(found.mean[:, 1:] > true.mean[:, 1:] * 0.999)
        assert np.all(found.mean[:, 1:] < true.mean[:, 1:] * 1.4)
        assert np.all(found.annealed[:, 1:] < true.annealed[:, 1:] * 1.001)


def test_silent_inputs_and_noise_that_drowns():
    data = np.vstack([np.zeros((2, 4)), np.eye(4)])
    phi = mfmi.activation("relu")
    network = {"sigma_w2": 1.5, "sigma_b2": 0.0, "width": 30, "depths": [1, 2]}
    loud = pairwise_bounds(phi, data, noise_variance=1e8, **network)
    assert (loud.lower >= 0.0).all()
    assert loud.upper == pytest.approx([0.0, 0.0], abs=1e-5)
    clear = pairwise_bounds(phi, data, noise_variance=1e-3, **network)
    expected = log(6.0) - 2.0 / 6.0 * log(2.0)
    assert clear.upper[0] == pytest.approx(expected, abs=1e-6)
    assert clear.lower[0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("sigma_w2", [0.0, 1e-16, 1e-300])
def test_weights_that_are_hardly_there_tell_nothing(sigma_w2):
    data = np.random.default_rng(3).normal(size=(12, 4))
    bounds = pairwise_bounds(
        mfmi.activation("relu"), data, sigma_w2=sigma_w2, sigma_b2=0.2, noise_variance=1.0, width=6, depths=[1, 3]
    )
    assert bounds.lower == pytest.approx([0.0, 0.0], abs=1e-12)
    assert bounds.upper == pytest.approx([0.0, 0.0], abs=1e-12)


def test_blocks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(2)
    data = rng.normal(size=(45, 7))
    network = {"sigma_w2": 1.5, "sigma_b2": 0.1, "noise_variance": 1.0, "width": 10, "depths": [1, 3]}
    whole = pairwise_bounds(mfmi.activation("relu"), data, **network)
    monkeypatch.setattr(_bounds, "_SIDE", 7)
    parts = pairwise_bounds(mfmi.activation("relu"), data, **network)
    assert parts.lower == pytest.approx(whole.lower, rel=1e-10)
    assert parts.upper == pytest.approx(whole.upper, rel=1e-10)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pairs():
    data = np.random.default_rng(0).normal(size=(6000, 16))
    tracemalloc.start()
    bounds = pairwise_bounds(
        mfmi.activation("relu"), data, sigma_w2=1.5, sigma_b2=0.1, noise_variance=3.0, width=64, depths=[2]
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert bounds.n_inputs == 6000
    assert peak < 150e6  # one table of all pairs would be 288 MB


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": [[1.0, 2.0]]}, "inputs"),
        ({"inputs": [[1.0, np.nan], [0.0, 1.0]]}, "inputs"),
        ({"noise_variance": 0.0}, "noise_variance"),
        ({"sigma_w2": -1.0}, "sigma_w2"),
        ({"width": 0}, "width"),
        ({"depths": []}, "depths"),
        ({"depths": [0]}, "depths"),
        ({"weights": "uniform"}, "weights"),
    ],
)
def test_bad_arguments_are_named(change, message):
    good = {
        "inputs": np.eye(3),
        "sigma_w2": 1.0,
        "sigma_b2": 0.0,
        "noise_variance": 1.0,
        "width": 4,
        "depths": [1],
        "weights": "gaussian",
    }
    with pytest.raises(ValueError, match=message):
        pairwise_bounds(mfmi.activation("relu"), **(good | change))


def test_bad_ensembles_of_inputs_are_named():
    network = {"sigma_w2": 1.0, "sigma_b2": 0.0, "noise_variance": 1.0, "width": 4, "depth": 1}
    with pytest.raises(ValueError, match="n_inputs"):
        equicorrelated_bounds(mfmi.activation("relu"), 1, input_variance=1.0, correlation=0.0, **network)
    with pytest.raises(ValueError, match="correlation"):
        equicorrelated_bounds(mfmi.activation("relu"), 2, input_variance=1.0, correlation=1.5, **network)
