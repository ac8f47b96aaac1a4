"""Finite convolutions: what they compute, and the theory (40)-(41) against them."""

from dataclasses import replace

import numpy as np
import pytest

import mfmi
from mfmi.activations import get
from mfmi.jacobian import residual_moments
from mfmi.meanfield import pair_gaps, propagate, trajectory
from mfmi.networks.convolution import Convolution
from mfmi.networks.points import Points
from mfmi.networks.settings import with_settings
from mfmi.networks.structure import architecture
from mfmi.simulate import (
    ConvolutionLaw,
    ConvolutionStreamLaw,
    NetworkLaw,
    average,
    measure_convolution_decoder,
    measure_decoder,
    measure_stream_maps,
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


STREAMS = {
    "layernorm": ("tanh", "gaussian", {"normalization": "layernorm"}),
    "batchnorm": ("relu", "gaussian", {"normalization": "batchnorm"}),
    "stream": ("tanh", "gaussian", {"skip": 1}),
    "stream noise": ("relu", "gaussian", {"skip": 1, "branch": 0.7, "noise_in": "stream"}),
    "two matrices": ("relu", "orthogonal", {"skip": 1, "normalization": "rmsnorm", "branch_matrices": 2}),
}


def stream_law(kind, channels, depth, positions=8, kernel=3):
    act, weights, given = STREAMS[kind]
    placement = "every" if kind == "stream noise" else "output"
    points = Points.of([get(act)], 2**0.5, sigma_b=0.3, weights=[weights], noise_at=placement)
    network = architecture(get(act), with_settings(points, 0.05**0.5, given), depth)
    return ConvolutionStreamLaw(network, weights, channels, Convolution.of(positions, 0.6), kernel)


@pytest.mark.parametrize("positions", [8, (3, 4)])
def test_streams_are_circular_convolutions_with_norms_over_channels(positions):
    rng = np.random.default_rng(0)
    network = stream_law("layernorm", 5, 2, positions).draw(rng)
    x = network.gaussian_inputs(4, rng)
    axes = tuple(range(1, 1 + np.size(positions)))

    def convolved(waves, signal):
        taps = np.fft.ifftn(waves.reshape(*np.atleast_1d(positions), 5, 5), axes=[axis - 1 for axis in axes]).real
        shaped, out = signal.reshape(4, *np.atleast_1d(positions), 5), 0.0
        for place in np.argwhere(np.abs(taps).max(axis=(-2, -1)) > 1e-12):
            out = out + np.roll(shaped, place, axis=axes) @ taps[tuple(place)].T
        return out.reshape(signal.shape)

    first, second = (step.held for step in network.steps(x, rng))
    np.testing.assert_allclose(first, convolved(network.first, x) + network.first_bias, atol=1e-12)
    centred = first - first.mean(axis=2, keepdims=True)
    noisy = np.tanh(centred / np.sqrt(np.mean(centred**2, axis=2, keepdims=True)))
    block = network.blocks[0]
    np.testing.assert_allclose(second, convolved(block.outer, noisy) + block.bias, atol=1e-12)


def test_batchnorm_learns_from_positions_too():
    network = stream_law("batchnorm", 30, 2).draw(np.random.default_rng(0))
    x = network.gaussian_inputs(500, np.random.default_rng(1))
    (mean, scale), first = network.batch[0], next(network.steps(x, np.random.default_rng(2))).held
    np.testing.assert_allclose(first.mean(axis=(0, 1)), mean, atol=0.2)
    np.testing.assert_allclose(first.std(axis=(0, 1)), scale, rtol=0.1)
    assert mean.shape == (30,)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STREAMS)
def test_decoders_of_streams_agree_with_the_theory(kind):
    act, weights, given = STREAMS[kind]
    depth, channels = 3, 64
    law = stream_law(kind, channels, depth)
    rows = mfmi.evaluate(
        act, 2**0.5, 0.3, 0.05**0.5, depth=range(1, depth + 1), weights=weights, positions=8, input_correlation=0.6,
        noise_at="every" if kind == "stream noise" else "output", estimators=["linear"], columns=["mi_linear_error"],
        **given,
    )  # fmt: skip
    theory = (rows["mi_linear"] + rows["mi_linear_error"]).to_numpy()
    drawn = [measure_convolution_decoder(law, network_seed(1, channels, i), samples=2000).information for i in range(6)]
    found = average(np.array(drawn))
    # What is left at 64 channels is of order 1 / 64, a layernorm's the largest.
    assert (np.abs(found.mean - theory) < 4 * found.standard_error + 1.2 / channels).all()
    maps = average(np.array([measure_stream_maps(law, network_seed(2, channels, i)).q for i in range(6)]))
    assert (np.abs(maps.mean / rows["q"].to_numpy() - 1.0) < 0.04).all()


@pytest.mark.thorough
@pytest.mark.parametrize("kernel", [1, 3])
def test_the_jacobian_of_a_stream_has_the_moments_of_a_dense_one(kernel):
    """Theory (34), whatever the kernel: with correlated positions, slopes of one channel are correlated too."""
    depth, channels, count = 4, 48, 6
    law = replace(stream_law("stream", channels, depth, count, kernel), convolution=Convolution.of(count, 0.9))
    network, rng, size = law.draw(np.random.default_rng(3)), np.random.default_rng(4), count * channels
    basis = np.eye(size).reshape(size, count, channels)

    def dense(kernel):
        return network._through(kernel, basis).reshape(size, size).T

    found = []
    for _ in range(2):
        jacobian = dense(network.first)
        for step, block in zip(network.steps(network.gaussian_inputs(1, rng), rng), network.blocks, strict=False):
            jacobian = jacobian + dense(block.outer) @ (step.slopes.ravel()[:, None] * jacobian)
        squares = np.linalg.svd(jacobian, compute_uv=False) ** 2
        found.append((squares.mean(), squares.var() / squares.mean() ** 2))
    moments = residual_moments(law.network, "gaussian", propagate(law.network))
    mean, variance = moments.mean[0, -1], moments.variance[0, -1]
    expected = mean, variance / mean**2
    np.testing.assert_allclose(np.mean(found, axis=0), expected, rtol=0.12)
