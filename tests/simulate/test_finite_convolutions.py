"""Finite convolutions: what they compute, and the theory (40)-(41) against them."""

import numpy as np
import pytest

import mfmi
from mfmi.activations import get
from mfmi.meanfield import pair_gaps, trajectory
from mfmi.networks.convolution import Convolution
from mfmi.simulate import (
    ConvolutionLaw,
    NetworkLaw,
    average,
    measure_convolution_decoder,
    measure_decoder,
    network_seed,
)


def law(act, channels, depth, weights="gaussian", kernel=3, noise_at="output", **given):
    convolution = Convolution.of(**({"positions": 8, "input_correlation": 0.6} | given))
    widths = (channels,) * (depth + 1)
    own = NetworkLaw(get(act), widths, 2**0.5, 0.3, 0.05**0.5, noise_at=noise_at, weights=weights)
    return ConvolutionLaw(own, convolution, kernel)


def test_layers_are_circular_convolutions():
    rng = np.random.default_rng(0)
    network = law("relu", 3, 2).draw(rng)
    x = rng.standard_normal((5, 24))
    taps = [np.fft.ifft(kernel, axis=0).real for kernel in network.kernels]
    assert len(taps) == 2
    signal = x.reshape(5, 3, 8)
    for (y, _), kernel, bias in zip(network.propagate(x, rng), taps, network.biases, strict=True):
        assert np.abs(kernel[3:]).max() < 1e-12  # of three taps
        expected = sum(np.einsum("ij,bjp->bip", kernel[tap], np.roll(signal, tap, axis=2)) for tap in range(3))
        np.testing.assert_allclose(y.reshape(5, 3, 8), expected + bias[:, None], atol=1e-12)
        signal = np.maximum(y.reshape(5, 3, 8), 0.0)


@pytest.mark.parametrize("positions", [8, (3, 4)])
def test_inputs_are_correlated_as_they_should_be(positions):
    drawn = law("relu", 200, 1, positions=positions).draw(np.random.default_rng(0))
    x = drawn.gaussian_inputs(500, np.random.default_rng(1)).reshape(-1, drawn.law.convolution.count)
    np.testing.assert_allclose(x.T @ x[:, 0] / len(x), drawn.law.convolution.correlation, atol=0.02)


@pytest.mark.thorough
def test_positions_decorrelate_lag_by_lag():
    """Theory (40), whatever the kernel."""
    phi, depth, channels = get("relu"), 4, 600
    lags = np.array([0.6, 0.36, 0.6**3, 0.6**4])
    path = trajectory(phi, 2.0, 0.09, 0.0, 1.0, 0.0, depth)
    k = path.q[0, :, None] - pair_gaps(phi, path, np.full(1, 2.0), np.zeros(1), np.ones(1), lags)[0]
    away = np.full((2, depth, len(lags)), np.nan)
    for kernel in (1, 3):
        rng = np.random.default_rng(kernel)
        network = law("relu", channels, depth, kernel=kernel).draw(rng)
        x = network.gaussian_inputs(20, rng)
        for layer, (y, _) in enumerate(network.propagate(x, rng)):
            shaped = y.reshape(20, channels, 8)
            covariance = np.array([np.mean(shaped * np.roll(shaped, lag, axis=2)) for lag in range(5)])
            away[kernel // 2, layer] = covariance[1:] / covariance[0] - k[layer] / path.q[0, layer]
    assert np.abs(away).max() < 0.04


def test_one_position_is_a_dense_network():
    dense = law("tanh", 12, 2, positions=1).channels
    found = [
        average(np.array([measure(one, network_seed(0, 12, i), samples=400).information for i in range(12)]))
        for measure, one in (
            (measure_convolution_decoder, law("tanh", 12, 2, positions=1)),
            (measure_decoder, dense),
        )
    ]
    away = np.abs(found[0].mean - found[1].mean) / np.hypot(found[0].standard_error, found[1].standard_error)
    assert (away < 3.5).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "weights", "noise_at", "kernel"),
    [("tanh", "gaussian", "output", 3), ("tanh", "orthogonal", "every", 1), ("relu", "gaussian", "every", 1)],
)
def test_decoders_agree_with_the_theory(act, weights, noise_at, kernel):
    depth = 3
    theory = mfmi.evaluate(
        act, 2**0.5, 0.3, 0.05**0.5, depth=range(1, depth + 1), weights=weights, noise_at=noise_at, positions=8,
        input_correlation=0.6, estimators=["linear"],
    )["mi_linear"].to_numpy()  # fmt: skip
    found = average(
        np.array(
            [
                measure_convolution_decoder(
                    law(act, 48, depth, weights, kernel, noise_at), network_seed(1, 48, i), samples=2000
                ).information
                for i in range(6)
            ]
        )
    )
    # What is left at 48 channels is of order 1 / 48.
    assert (np.abs(found.mean - theory) < 4 * found.standard_error + 0.3 / 48).all()
