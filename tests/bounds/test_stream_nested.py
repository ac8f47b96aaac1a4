"""The total of small residual networks by brute force, against the replica value beyond two layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streams import FiniteStream

from mfmi.activations import get
from mfmi.bounds.readable import readable
from mfmi.bounds.stream_total import replica
from mfmi.meanfield import Architecture, propagate

WIDTH, OUTER, INNER = 6, 250, 40_000
CASES: dict[str, tuple[str, int, str, dict[str, Any]]] = {
    "tanh, four layers": ("tanh", 4, "gaussian", {"branch": 0.7}),
    "relu, three rotations": ("relu", 3, "orthogonal", {"branch": 1.0}),
    "tanh, eight layers, biases": ("tanh", 8, "gaussian", {"branch": 8**-0.5, "sigma_b2": 0.2}),
    "noise in the stream": ("tanh", 3, "orthogonal", {"branch": 0.7, "hidden_noise": 0.3, "noise_in": "stream"}),
    "noise in the branch": ("relu", 3, "gaussian", {"branch": 1.0, "hidden_noise": 0.3}),
    "two matrices": ("relu", 3, "gaussian", {"branch": 1.0, "matrices": 2, "hidden_ratio": 2.0}),
}


def log_density(seen: np.ndarray, centres: np.ndarray, noise: float) -> np.ndarray:
    """Logarithm of the density of every observation among gaussian clouds around `centres`, but for the constant."""
    away = np.square(seen).sum(axis=1)[:, None] + np.square(centres).sum(axis=1) - 2.0 * seen @ centres.T
    exponent = -0.5 * away / noise
    most = exponent.max(axis=1)
    return np.asarray(most + np.log(np.exp(exponent - most[:, None]).mean(axis=1)))


def information(finite: FiniteStream) -> tuple[float, float]:
    """Total information per dimension of one network, and half the log determinant of what it shows over the noise.

    The density of an observation is an average over inputs, and over hidden noise where the input is given.
    """
    network, n = finite.network, finite.n
    noise = float(finite.stream.output_noise[0, -1])

    scale = np.sqrt(network.input_variance[0])
    cloud = finite.last_layer(scale * finite.rng.standard_normal((INNER, n)))
    chosen = scale * finite.rng.standard_normal((OUTER, n))
    clean = finite.last_layer(chosen)
    seen = clean + np.sqrt(noise) * finite.rng.standard_normal((OUTER, n))
    marginal = log_density(seen, cloud, noise)
    if network.hidden_noise.any():
        given = np.array([
            log_density(one[None], finite.last_layer(np.tile(at, (INNER // 20, 1))), noise)[0]
            for one, at in zip(seen, chosen, strict=True)
        ])  # fmt: skip
    else:
        given = -0.5 * np.square(seen - clean).sum(axis=1) / noise
    total = float(np.mean(given - marginal)) / n
    full = np.linalg.slogdet(np.eye(n) + np.cov(cloud, rowvar=False) / noise)[1] / (2 * n)
    return total, float(full)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_replica_value_is_the_total_of_small_networks(case: str) -> None:
    """The difference of a network's determinant from its mean is taken off: it varies with the total."""
    name, depth, weights, settings = CASES[case]
    network = Architecture.of(get(name), depth, sigma_w2=[1.5], output_noise=0.3, skip=1.0, **settings)
    found, _ = replica(network, weights, propagate(network), (np.array([-np.inf]), np.array([np.inf])), tables=False)
    expected = readable(network, weights)
    drawn = np.array([information(FiniteStream(network, weights, WIDTH, seed)) for seed in range(24)])
    # With noise on the way the determinant is that of the noise too, and the total follows a share of it alone.
    slope = np.cov(drawn.T)[0, 1] / drawn[:, 1].var(ddof=1)
    less = drawn[:, 0] - slope * (drawn[:, 1] - expected.full.value[0])
    scatter = less.std(ddof=1) / np.sqrt(len(less))
    assert scatter < 0.012
    assert less.mean() == pytest.approx(found.value[0], abs=3.0 * scatter + found.error[0] + 0.05 / WIDTH)
    assert less.mean() > expected.linear.value[0] + 3.0 * scatter
