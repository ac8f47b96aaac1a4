"""Handwritten digits through finite networks: the theory with their covariance against the white one."""

from math import log

import numpy as np
import pytest
from sklearn.datasets import load_digits

import mfmi
from mfmi.attainable import InputCovariance
from mfmi.simulate import NetworkLaw, measure_real_inputs
from mfmi.verification import compare_real_inputs


@pytest.fixture(scope="module")
def digits():
    """1797 inputs of 64 entries between 0 and 1."""
    return load_digits().data / 16.0


@pytest.mark.parametrize(
    ("name", "weights", "depth"),
    [
        ("relu", "gaussian", 2),
        pytest.param("relu", "orthogonal", 2, marks=pytest.mark.slow),
        pytest.param("tanh", "gaussian", 3, marks=pytest.mark.slow),
        pytest.param("tanh", "orthogonal", 3, marks=pytest.mark.slow),
    ],
)
def test_the_covariance_of_the_inputs_predicts_better(name, weights, depth, digits):
    """Layer by layer, of the linearly readable and of the total information; the white theory is too high."""
    network = {"sigma_b": 0.3, "sigma_noise": 1.0, "weights": weights, "depth": depth}
    rows = compare_real_inputs(mfmi.activation(name), digits[::2], 1.5, **network, networks=16)
    layers = range(1, depth + 1)
    assert [(row.layer, row.quantity) for row in rows] == [(k, q) for k in layers for q in ("linear", "total")]
    for row in rows:
        assert abs(row.measured - row.with_covariance) < abs(row.measured - row.white)
        assert row.white > row.measured + 2.0 * row.standard_error
        if row.quantity == "linear":
            assert row.measured == pytest.approx(row.with_covariance, abs=3.0 * row.standard_error + 0.02 * row.white)


def test_first_layer_is_exact(digits):
    """An orthogonal matrix keeps all that a Gaussian input of that covariance has; twice as wide, twice the signal."""
    covariance = InputCovariance.from_samples(digits).eigenvalues
    for width, gain in ((64, 1.0), (128, 2.0)):
        (linear,) = compare_real_inputs(
            mfmi.activation("tanh"),
            digits,
            1.5,
            sigma_noise=0.2,
            weights="orthogonal",
            width=width,
            depth=1,
            networks=2,
            quantities=["linear"],
        )
        exact = 0.5 * np.log1p(gain * 1.5**2 / 0.2**2 * covariance).sum() / 64
        assert linear.measured == pytest.approx(exact, rel=1e-9)
        assert linear.with_covariance == pytest.approx(exact, rel=1e-9)
        assert linear.white > 1.4 * exact


def test_little_noise_leaves_the_covariance_nearer_too(digits):
    """The decoder's information is far from linear here, and the covariance predicts it to an eighth."""
    rows = compare_real_inputs(
        mfmi.activation("tanh"), digits, 1.5, sigma_b=0.3, weights="orthogonal", networks=3, quantities=["linear"]
    )
    assert {row.quantity for row in rows} == {"linear"}
    for row in rows:
        assert row.measured == pytest.approx(row.with_covariance, rel=0.13)
        assert row.white > 1.4 * row.measured


def test_total_information_of_two_inputs():
    """Two inputs are one bit, less what noise confuses; a single coordinate tells them apart."""
    law = NetworkLaw(mfmi.activation("linear"), (1, 1), 1.0, sigma_noise=0.7, weights="orthogonal")
    inputs = np.array([[-1.0], [1.0]])
    many = [measure_real_inputs(law, inputs, np.random.SeedSequence(seed)) for seed in range(1500)]
    x = np.linspace(-8.0, 8.0, 4001)
    density = 0.5 * (np.exp(-((x - 1.0) ** 2) / 0.98) + np.exp(-((x + 1.0) ** 2) / 0.98)) / np.sqrt(0.98 * np.pi)
    exact = -np.trapezoid(density * np.log(density), x) - 0.5 * log(2.0 * np.pi * np.e * 0.49)
    assert np.mean([one.total for one in many]) == pytest.approx(exact, abs=0.016)
    assert np.mean([one.total_error for one in many]) > 0.05


def test_far_apart_is_everything_and_drowned_is_nothing(digits):
    law = NetworkLaw(mfmi.activation("relu"), (64, 64, 64), 1.5, sigma_noise=1e-3)
    clear = measure_real_inputs(law, digits[:200], np.random.SeedSequence(0))
    assert clear.total == pytest.approx([log(200)] * 2, abs=1e-9)
    law = NetworkLaw(mfmi.activation("relu"), (64, 64, 64), 1.5, sigma_noise=1e3)
    drowned = measure_real_inputs(law, digits[:200], np.random.SeedSequence(0))
    assert drowned.total == pytest.approx([0.0, 0.0], abs=1e-2)
    assert drowned.linear == pytest.approx([0.0, 0.0], abs=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": np.ones(5)}, "inputs"),
        ({"inputs": np.ones((5, 3))}, "vary"),
        ({"inputs": np.eye(3), "networks": 1}, "networks"),
        ({"inputs": np.eye(3), "quantities": ["mean_field"]}, "quantities"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        compare_real_inputs(mfmi.activation("relu"), sigma_w=1.0, **change)


def test_hidden_noise_is_refused():
    law = NetworkLaw(mfmi.activation("relu"), (2, 2), 1.0, noise_at="every")
    with pytest.raises(ValueError, match="noise_at"):
        measure_real_inputs(law, np.eye(2), np.random.SeedSequence(0))
    with pytest.raises(ValueError, match="inputs"):
        measure_real_inputs(NetworkLaw(mfmi.activation("relu"), (3, 2), 1.0), np.eye(2), np.random.SeedSequence(0))
