"""No lower bound and no replica value exceeds the ceiling (23) at the gains of the same initialisation.

Nor what an isometry of the same Jacobian mean carries, which is less.
"""

import numpy as np
import pytest

import mfmi
from mfmi.attainable import attained
from mfmi.bounds.evaluate import evaluate_points
from mfmi.jacobian import isometry_ceiling
from mfmi.names import WEIGHTS
from mfmi.networks.points import Points

CLOSED = ("linear", "entropy_power", "layerwise")  # whose tables take no time to speak of

# Ranges of sigma_w, of the noise's deviation and of the input's variance. The exact channel's tables of a smooth
# activation take a processor second a few points; in the smaller box many points share them.
WIDE = (0.3, 3.0), (0.01, 3.0), (0.35, 3.0)
SHARED = (0.8, 1.6), (0.3, 1.0), (0.1, 1.0)


def shares_of_the_ceiling(name, count, seed, estimators, deepest, box=WIDE):
    """Return the values asked for over the lesser ceiling, at random points and depths, shape (estimators, count)."""
    rng = np.random.default_rng([seed, *name.encode()])
    sigma_w, sigma_noise, input_variance = (np.exp(rng.uniform(*np.log(ends), size=count)) for ends in box)
    points = Points.of(
        name,
        sigma_w,
        sigma_b=rng.choice([0.0, 0.1, 0.5, 1.0], size=count),
        sigma_noise=sigma_noise,
        weights=rng.choice(WEIGHTS, size=count).tolist(),
        noise_at=rng.choice(["output", "every"], size=count).tolist(),
        input_variance=input_variance,
    )
    depths = rng.integers(1, deepest + 1, size=(count, 1))
    rows = evaluate_points(points, depths, estimators, "nats", ["jacobian_mean"])
    ceiling = np.empty(count)
    for weights in WEIGHTS:
        own = points.weights == weights
        ceiling[own] = attained(
            weights,
            points.sigma_w[own] ** 2,
            mfmi.activation(name).lipschitz,
            points.sigma_noise[own] ** 2,
            points.input_variance[own],
            depths[own, 0],
        )
    isometry = isometry_ceiling(rows["jacobian_mean"], points.input_variance, points.sigma_noise**2)
    assert (isometry <= ceiling * (1.0 + 1e-12)).all()
    ceiling = isometry
    return np.array([rows[f"mi_{estimator}"] for estimator in estimators], dtype=np.float64) / ceiling


def check(shares):
    known = np.isfinite(shares)
    assert known.any(axis=0).all()  # something was compared at every point
    assert shares[known].max() <= 1.0 + 1e-9
    return shares[known].max()


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["tanh", "relu", "linear", "sin"])
def test_no_lower_bound_exceeds_the_ceiling(name):
    assert check(shares_of_the_ceiling(name, 15, 11, CLOSED, 6)) > 0.99  # one orthogonal layer attains it


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["relu", "leaky_relu(0.2)", "linear"])
def test_no_replica_value_exceeds_the_ceiling(name):
    assert check(shares_of_the_ceiling(name, 14, 3, ("replica",), 4)) > 0.7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count", "box", "estimators"),
    [
        ("relu", 170, WIDE, (*CLOSED, "fisher")),
        ("leaky_relu(0.2)", 100, WIDE, (*CLOSED, "fisher")),
        ("linear", 70, WIDE, (*CLOSED, "fisher")),
        ("hard_tanh", 40, WIDE, CLOSED),
        ("tanh", 60, SHARED, CLOSED),
        ("erf", 60, SHARED, CLOSED),
    ],
)
def test_nothing_exceeds_the_ceiling_on_500_points(name, count, box, estimators):
    check(shares_of_the_ceiling(name, count, 5, (*estimators, "replica"), 3, box))
