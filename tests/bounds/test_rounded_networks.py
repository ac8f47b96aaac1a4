"""Plain networks whose pre-activations are really rounded, beside the relative noise that stands for it (29)."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import mfmi
from mfmi.activations import get
from mfmi.simulate._decoder import wishart_log_det
from mfmi.simulate._network import draw_matrix

NETWORKS = (
    ("tanh", 1, "orthogonal", 1.5, 0.0),
    ("tanh", 2, "gaussian", 1.5, 0.09),
    ("tanh", 3, "orthogonal", 1.5, 0.09),
    ("relu", 1, "orthogonal", 2.0, 0.0),
    ("relu", 2, "gaussian", 2.0, 0.09),
    ("relu", 3, "orthogonal", 2.0, 0.09),
)
# Values of the theory, `linear` of these networks.
VALUES = {
    "float8_e5m2": (2.9373, 0.8056, 0.8854, 2.9373, 0.4905, 0.3726),
    "float8_e4m3fn": (3.6294, 0.8518, 0.9053, 3.6294, 0.5134, 0.3793),
    "bfloat16": (6.4016, 0.8930, 0.9122, 6.4016, 0.5343, 0.3816),
}


@pytest.mark.parametrize("name", VALUES)
def test_rows_of_a_format_are_those_of_the_theory(name: str) -> None:
    found = []
    for act, depth, weights, w2, b2 in NETWORKS:
        rows = mfmi.evaluate(act, w2**0.5, b2**0.5, sigma_noise=name, noise_at="every", weights=weights, depth=depth)
        found.append(rows.mi_linear[0])
    # Averages over offsets were taken there to a digit less.
    np.testing.assert_allclose(found, VALUES[name], atol=1.2e-4)


def measured(case: tuple[str, int, str, float, float], dtype: str, n: int, samples: int, seed: int) -> float:
    """Linear information per input entry of one network in which every pre-activation is rounded, the observed too."""
    name, depth, weights, w2, b2 = case
    rng, phi = np.random.default_rng(seed), get(name)
    x = rng.standard_normal((samples, n))
    u = x
    for layer in range(depth):
        matrix = draw_matrix(weights, n, n, w2**0.5, rng)
        y = u @ matrix.T + b2**0.5 * rng.standard_normal(n)
        y = y.astype(getattr(ml_dtypes, dtype)).astype(np.float64)
        u = phi(y) if layer < depth - 1 else y
    x, u = x - x.mean(axis=0), u - u.mean(axis=0)
    own, cross, inputs = u.T @ u, u.T @ x, x.T @ x
    rest = own - cross @ np.linalg.solve(inputs, cross.T)
    whole = np.linalg.slogdet(own)[1] - wishart_log_det(n, samples - 1)
    left = np.linalg.slogdet(rest)[1] - wishart_log_det(n, samples - 1 - n)
    return float((whole - left) / (2 * n))


def compare(name: str, n: int, samples: int, networks: int, allowed: float) -> None:
    """A finite width may cost or add some hundredths of a nat after a nonlinear layer, rounding less."""
    for case, expected in zip(NETWORKS, VALUES[name], strict=True):
        drawn = np.array([measured(case, name, n, samples, seed) for seed in range(networks)])
        scatter = 3.0 * drawn.std(ddof=1) / networks**0.5
        width = 0.02 if case[1] == 1 else allowed / n
        assert drawn.mean() == pytest.approx(expected, abs=scatter + width), (case, name, drawn)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["float8_e4m3fn", "bfloat16"])
def test_rounded_networks_agree(name: str) -> None:
    compare(name, 40, 8_000, 3, 1.8)


@pytest.mark.slow
@pytest.mark.parametrize("name", VALUES)
def test_wider_rounded_networks_agree_better(name: str) -> None:
    compare(name, 100, 40_000, 4, 1.8)
