"""No bound from below and no replica value exceeds the ceiling (23) at the gains of the same initialisation."""

import numpy as np
import pytest

import mfmi
from mfmi.capacity import attained
from mfmi.columns import Points
from mfmi.evaluation import evaluate_points
from mfmi.names import LOWER_BOUNDS, WEIGHTS

ACTIVATIONS = ("tanh", "erf", "hard_tanh", "relu", "leaky_relu(0.2)", "elu", "linear", "sin")


def shares_of_the_ceiling(count, seed, estimators, activations, deepest):
    """Return the values asked for over the ceiling, at random points and depths."""
    rng = np.random.default_rng(seed)
    points = Points.of(
        rng.choice(activations, size=count).tolist(),
        np.exp(rng.uniform(np.log(0.3), np.log(3.0), size=count)),
        sigma_b=rng.choice([0.0, 0.1, 0.5, 1.0], size=count),
        sigma_noise=np.exp(rng.uniform(np.log(0.01), np.log(3.0), size=count)),
        weights=rng.choice(WEIGHTS, size=count).tolist(),
        noise_at=rng.choice(["output", "every"], size=count).tolist(),
        input_variance=np.exp(rng.uniform(-1.0, 1.0, size=count)),
    )
    depths = rng.integers(1, deepest + 1, size=(count, 1))
    rows = evaluate_points(points, depths, estimators)
    slopes = np.array([mfmi.activation(name).lipschitz for name in points.activation])
    ceiling = np.empty(count)
    for weights in WEIGHTS:
        own = points.weights == weights
        ceiling[own] = attained(
            weights,
            points.sigma_w[own] ** 2,
            slopes[own],
            points.sigma_noise[own] ** 2,
            points.input_variance[own],
            depths[own, 0],
        )
    return np.array([rows[f"mi_{name}"] for name in estimators], dtype=np.float64) / ceiling


def check(shares):
    known = np.isfinite(shares)
    assert (known.mean(axis=1) > 0.2).all()
    assert shares[known].max() <= 1.0 + 1e-9
    return shares[known].max()


def test_no_lower_bound_exceeds_the_ceiling():
    shares = shares_of_the_ceiling(40, 11, LOWER_BOUNDS, ("tanh", "relu", "linear"), 6)
    assert check(shares) > 0.99  # one linear orthogonal layer attains it


def test_no_replica_value_exceeds_the_ceiling():
    check(shares_of_the_ceiling(6, 3, ("replica",), ("tanh", "relu"), 2))


@pytest.mark.slow
def test_nothing_exceeds_the_ceiling_on_500_points():
    check(shares_of_the_ceiling(500, 5, (*LOWER_BOUNDS, "replica"), ACTIVATIONS, 3))
