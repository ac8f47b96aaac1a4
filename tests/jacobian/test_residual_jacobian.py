"""Mean and variance of the Jacobian of networks with normalisation and skips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streams import REFERENCE, FiniteStream, architecture

from mfmi.activations import get
from mfmi.jacobian import jacobian_moments, residual_moments
from mfmi.meanfield import Architecture, propagate, trajectory


@pytest.mark.parametrize("case", REFERENCE["jacobian"], ids=lambda case: f"{case['activation']}-{case['depth']}")
def test_jacobian_moments(case: dict[str, Any]) -> None:
    network = architecture(case)
    found = residual_moments(network, case["weights"], propagate(network))
    relative = found.variance[0, -1] / found.mean[0, -1] ** 2
    # tanh at L = 16: the reference's quadrature is good to 2.5e-4 there.
    assert relative == pytest.approx(case["relative_variance"], abs=5e-5 if case["depth"] < 16 else 3e-4)
    if case["mean"] is not None:
        assert found.mean[0, -1] == pytest.approx(case["mean"], abs=5e-5)


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_the_jacobian_of_a_plain_network(name: str, weights: str) -> None:
    network = Architecture.of(get(name), 6, sigma_w2=[1.3, 2.0], sigma_b2=0.1, hidden_noise=0.05)
    found = residual_moments(network, weights, propagate(network))
    path = trajectory(get(name), [1.3, 2.0], 0.1, 0.05, 1.0, 0.0, 6)
    mean, variance = jacobian_moments(get(name), path, [1.3, 2.0], weights)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-9)


@pytest.mark.parametrize(("weights", "ratio"), [("gaussian", 2.0), ("orthogonal", 0.5)])
def test_two_matrices_beside_finite_networks(weights: str, ratio: float) -> None:
    network = Architecture.of(
        get("relu"), 3, sigma_w2=[1.5], out_sigma_w2=1.2, input_sigma_w2=1.0, skip=0.8, branch=1.0, matrices=2,
        hidden_ratio=ratio, norm="layernorm",
    )  # fmt: skip
    found = residual_moments(network, weights, propagate(network))
    drawn = np.array([FiniteStream(network, weights, 200, seed).jacobian() for seed in range(4)])
    mean, relative = drawn.mean(axis=0)
    assert mean == pytest.approx(found.mean[0, -1], rel=0.06)
    assert relative == pytest.approx(found.variance[0, -1] / found.mean[0, -1] ** 2, rel=0.08)


def test_a_step_has_no_jacobian() -> None:
    network = Architecture.of(get("sign"), 3, sigma_w2=[1.0], skip=1.0)
    found = residual_moments(network, "gaussian", propagate(network))
    assert np.isnan(found.mean[0, -1])
    assert np.isnan(found.variance[0, -1])
    with pytest.raises(ValueError, match="gaussian or orthogonal"):
        residual_moments(network, "sparse", propagate(network))


def test_post_norm_is_measured_in_what_a_layer_holds() -> None:
    """Beside a sampled network with the norms themselves, whose own derivatives are of order 1 / n."""
    rng, n, phi = np.random.default_rng(0), 300, get("tanh")
    network = Architecture.of(
        phi, 4, sigma_w2=[1.5], sigma_b2=0.09, skip=1.0, branch=0.8, norm="layernorm", norm_at="stream",
        noise_scale="relative",
    )  # fmt: skip
    found = residual_moments(network, "gaussian", propagate(network))
    measured = []
    for _ in range(4):
        weights = [np.sqrt(1.5 / n) * rng.standard_normal((n, n)) for _ in range(4)]
        x = rng.standard_normal(n)
        h, jacobian = weights[0] @ (x * np.sqrt(n) / np.linalg.norm(x)) + 0.3 * rng.standard_normal(n), weights[0]
        moments = [np.array([np.trace(jacobian @ jacobian.T) / n, np.sum((jacobian @ jacobian.T) ** 2) / n])]
        for weight in weights[1:]:
            size = h.std()
            u = (h - h.mean()) / size
            jacobian = (jacobian - jacobian.mean(axis=0)) / size - np.outer(u, u @ jacobian) / (n * size)
            h = u + 0.8 * (weight @ phi(u) + 0.3 * rng.standard_normal(n))
            jacobian = jacobian + 0.8 * weight @ (phi.derivative(u)[:, None] * jacobian)
            gram = jacobian @ jacobian.T
            moments.append(np.array([np.trace(gram) / n, np.sum(gram**2) / n]))
        measured.append(moments)
    mean, second = np.mean(measured, axis=0).T
    np.testing.assert_allclose(mean, found.mean[0], rtol=0.06)
    np.testing.assert_allclose(second - mean**2, found.variance[0], rtol=0.1)
