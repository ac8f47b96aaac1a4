"""Means over the offsets of neurons, deep in a network: exact, and no dearer the deeper."""

import tracemalloc

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.bounds.evaluate import MeanFields
from mfmi.bounds.offsets import linear_moments, most_offsets
from mfmi.bounds.propagation import Propagation
from mfmi.meanfield import trajectory


def propagation(activation: str, depth: int, sigma_h: float = 0.0) -> Propagation:
    phi = get(activation)
    sigma_w = np.array([0.8, 1.0, 1.2])
    path = trajectory(phi, sigma_w**2, 0.1, sigma_h**2, 1.0, 0.5, depth)
    return Propagation(phi, path, np.full(3, sigma_h**2))


@pytest.mark.thorough
@pytest.mark.parametrize("activation", ["relu", "leaky_relu(0.1)", "hard_tanh", "abs", "elu", "selu"])
@pytest.mark.parametrize("sigma_h", [0.0, 1e-3])
def test_signal_and_noise_of_a_linear_network_are_what_the_gap_becomes(activation: str, sigma_h: float) -> None:
    found = propagation(activation, 300, sigma_h)
    inner = (found.path.offset_gap + found.hidden_noise[:, None])[:, :-1]
    surrogate = found.surrogate
    power = surrogate.gain * inner[:, :, None] + surrogate.residual
    mean = np.sum(power * surrogate.weight, axis=2)
    exact = np.asarray(found.phi.decorrelation(found.path.s[:, :-1], inner))
    sure = inner > 1e-290
    assert sure.sum() > 300
    np.testing.assert_allclose(mean[sure], exact[sure], rtol=1e-9)
    np.testing.assert_allclose(surrogate.weight.sum(axis=2), 1.0, rtol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "erf", "sigmoid", "hard_tanh"])
def test_neurons_far_from_saturation_are_found_among_immense_biases(activation: str) -> None:
    """E kappa^2 is the share of offsets within reach of the slope, and falls like 1 / sigma_b however small it is."""
    phi, sigma_b = get(activation), np.array([1e6, 1e13, 1e20, 1e50])
    path = trajectory(phi, 2.25, sigma_b**2, 0.0, 1e-3, 0.5, 2)
    surrogate = Propagation(phi, path, np.zeros(4)).surrogate
    share = np.sum(surrogate.gain * surrogate.weight, axis=2)[:, 0] * sigma_b
    np.testing.assert_allclose(share, share[0], rtol=1e-8)
    offsets = np.linspace(-12.0, 12.0, 200_001)
    reach = np.sum(phi.conditional(offsets, 2.25e-3).kappa ** 2) * (offsets[1] - offsets[0])
    assert share[0] == pytest.approx(reach / np.sqrt(2.0 * np.pi), rel=1e-4)


def test_nodes_do_not_grow_with_the_depth() -> None:
    shallow, deep = (propagation("relu", depth).surrogate.weight.shape[2] for depth in (60, 600))
    assert propagation("relu", 600).path.offset_gap.min() < 1e-60
    assert deep <= max(shallow, 800)


def test_a_row_has_its_own_nodes() -> None:
    alone, beside = (propagation("relu", depth).surrogate for depth in (5, 300))
    count = alone.weight.shape[2]
    np.testing.assert_array_equal(alone.gain, beside.gain[:, :4, :count])
    assert not beside.weight[:, :4, count:].any()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu(0.1)", "hard_tanh", "relu6"])
def test_few_nodes_of_a_piecewise_linear_activation_are_as_good_as_many(activation: str) -> None:
    phi = get(activation)
    inner = np.array([1e-4, 1e-6, 1e-9, 1e-14, 1e-20])
    gain, residual, weight = linear_moments(phi, np.ones(5), inner)
    assert weight.shape[1] <= most_offsets(phi, 10_000)
    power = gain * inner[:, None] + residual
    for snr in (1.0, 1e3):
        found = np.sum(weight * np.log1p(snr / inner[:, None] * power), axis=1)
        for rows, m, many in phi.offset_rules(1.0 - inner, np.sqrt(inner), tolerance=1e-12, refine=2.0):
            moments = phi.conditional(m, np.broadcast_to(inner[rows, None], m.shape))
            signal = np.square(moments.kappa) * inner[rows, None] + moments.residual
            exact = np.sum(many * np.log1p(snr / inner[rows, None] * signal), axis=1)
            np.testing.assert_allclose(found[rows], exact, rtol=1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_the_memory_of_offsets_is_that_of_three_arrays_and_a_half(activation: str) -> None:
    tracemalloc.start()
    _, _, weight = linear_moments(get(activation), np.ones(4000), np.logspace(-20, -22, 4000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4.5 * weight.nbytes


def test_offsets_of_networks_that_are_done_are_let_go() -> None:
    fields, settings = MeanFields(3), np.array([[1.2, 0.3, 0.0, 1.0, 0.5]])
    first, _ = fields.of(get("relu"), settings)
    gain = first.surrogate.gain
    second, _ = fields.of(get("relu"), 1.1 * settings)
    assert "surrogate" not in first.__dict__
    assert "surrogate" not in second.__dict__
    np.testing.assert_array_equal(first.surrogate.gain, gain)
    assert fields.of(get("relu"), 1.1 * settings)[0] is second
    assert "surrogate" not in first.__dict__
