"""Order of the bounds on random networks of every activation, and laws of the replica value (theory 3-5)."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from activation_choice import chosen

from mfmi.activations import get, names
from mfmi.bounds.evaluate import evaluate_points
from mfmi.channels.exact.channel import exact_channel
from mfmi.names import LOWER_BOUNDS
from mfmi.networks.points import Points

# Rounding of an information of a nat, or of a larger value that is compared with its equal. The bounds are to the safe
# side of what their tables may lose, and what the replica value may have lost it says itself.
ULPS = 4.0 * np.finfo(np.float64).eps
# Tables of a smooth activation take a minute for ten networks; the replica value of one hidden layer does without.
QUICK = tuple(name for name in names() if get(name).homogeneous)
OTHERS = tuple(name for name in names() if name not in QUICK)
ENSEMBLES = ("gaussian", "orthogonal")


@dataclass(frozen=True)
class Draw:
    """Random networks of one activation with their depths."""

    points: Points
    depth: np.ndarray

    @classmethod
    def of(cls, name: str, count: int, seed: int, deepest: int, least_noise: float) -> "Draw":
        rng = np.random.default_rng([seed, *name.encode()])
        bounded = get(name).second_moment(100.0) < 2.0
        points = Points.of(
            name,
            rng.uniform(0.7, 3.0 if bounded else 1.5, count),
            sigma_b=rng.uniform(0.0, 0.8, count),
            sigma_noise=np.exp(rng.uniform(np.log(least_noise), 0.0, count)),
            noise_at=rng.choice(["output", "every"], count).astype(object),
            input_variance=rng.uniform(0.5, 2.0, count),
        )
        return cls(points, rng.integers(1, deepest + 1, count)[:, None])

    def with_weights(self, weights: str) -> Points:
        return replace(self.points, weights=np.full(len(self.points), weights, dtype=object))


def assert_order(found: dict[str, np.ndarray], value: np.ndarray, error: np.ndarray | float) -> None:
    """Lower bounds below the replica value, upper bounds above, within its error."""
    rounding = ULPS * np.maximum(value, 1.0)
    above, below = value + rounding + error, value - rounding - error
    for name in LOWER_BOUNDS:
        bound = found[f"mi_{name}"]
        known = np.isfinite(bound)
        assert np.all((bound[known] >= 0.0) & (bound[known] <= above[known])), name
        if name != "entropy_power":
            assert np.all(known | (found["status"] == "unconverged"))
        # The potential of `layerwise` can have no minimum where (16) is poor, as for even activations, and that of
        # `fisher` after layers of two values that can be decoded (docs/bounds.md).
        if name == "linear" or (name == "fisher" and found["activation"][0] != "sign"):
            assert np.all(known)
    assert np.all(found["mi_gaussian_upper"] >= below)
    assert np.all(found["mi_upper"] >= below)


def check(draw: Draw) -> None:
    """Order of the bounds for both ensembles; orthogonal above gaussian; noise in every layer only loses.

    A network that folds its pre-activations many times, with noise in every layer, is no place for the second: see
    `test_orthogonal_weights_carry_noise_as_well`.
    """
    pairs = []
    for weights in ENSEMBLES:
        depths = np.hstack([draw.depth, draw.depth + 1])
        estimators = [*LOWER_BOUNDS, "gaussian_upper", "replica"]
        found = evaluate_points(draw.with_weights(weights), depths, estimators, "nats", ["mi_replica_error"])
        value, error = found["mi_replica"], found["mi_replica_error"]
        assert np.all(np.isfinite(value))
        assert np.all(error <= 1e-6 * np.maximum(value, 1.0))
        assert_order(found, value, error)
        every = found["noise_at"][::2] == "every"
        assert np.all(value[1::2][every] <= (value + error)[::2][every] + error[1::2][every])
        folded = (found["noise_at"] == "every") & np.isfinite(get(found["activation"][0]).period)
        pairs.append((value, error, found["mi_linear"]))
    (gaussian, error, linear), (orthogonal, other, linear_orthogonal) = pairs
    assert np.all(folded | (orthogonal + other >= gaussian - error))
    assert np.all(linear_orthogonal >= linear * (1.0 - 1e-9))


@pytest.mark.parametrize("name", names())
def test_the_value_lies_between_the_bounds_that_need_no_table(name):
    """Every activation, both ensembles, noise at the output and in every layer."""
    weights, noise_at = zip(*itertools.product(ENSEMBLES, ("output", "every")), strict=True)
    points = Points.of(name, 1.3, sigma_b=0.3, sigma_noise=0.5, weights=weights, noise_at=noise_at)
    estimators = ["linear", "entropy_power", "covariance_upper", "replica"]
    found = evaluate_points(points, [2], estimators, "nats", ["mi_replica_error"])
    assert set(found["status"]) <= {"ok", "unbounded"}
    value, error = found["mi_replica"], found["mi_replica_error"] + ULPS * found["mi_replica"]
    assert np.all(error <= 1e-6 * value)
    assert np.all(found["mi_lower"] <= value + error)
    assert np.all(value - error <= found["mi_upper"])
    assert np.all(value[2:] >= value[:2] - error[2:])  # orthogonal weights tell more
    assert np.all(value[1::2] <= value[::2] + error[::2])  # noise in every layer takes away


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "linear" else [pytest.mark.thorough]) for name in QUICK]
)
def test_piecewise_linear_networks_to_twenty_layers(name):
    check(Draw.of(name, 10, seed=1, deepest=19, least_noise=0.03))


def replica_of_two_layers(points: Points) -> np.ndarray:
    """The replica value after one hidden layer, noise at the output, by plain iteration over the quadrature itself."""
    phi, orthogonal = get(points.activation[0]), points.weights[0] == "orthogonal"
    w2, noise, q_x = points.sigma_w**2, points.sigma_noise**2, points.input_variance
    q = w2 * q_x + points.sigma_b**2
    v_1, v_2 = w2 * q_x, w2 * phi.second_moment(q)
    for _ in range(200):
        a_2 = 1.0 / (noise + v_2)
        r_1 = w2 * a_2 / (1.0 - v_2 * a_2) if orthogonal else w2 * a_2
        j, e, a = exact_channel(phi, r_1, v_1, q, order=5)
        # Orthogonal weights leave gaussian inputs as they are, and V_1 is the prior variance.
        r_0 = w2 * a
        new_1 = v_1 if orthogonal else w2 * q_x / (1.0 + q_x * r_0)
        new_2 = w2 * e / (1.0 - r_1 * e) if orthogonal else w2 * e
        moved = np.max(np.abs(np.log(new_2 / v_2)) + np.abs(np.log(new_1 / v_1)))
        v_1, v_2 = new_1, new_2
        if moved < 1e-4:  # the value is stationary: its error is of the order of the square
            break
    else:
        raise AssertionError("no convergence")
    value = j + 0.5 * np.log1p(v_2 / noise)
    if orthogonal:
        return value + 0.5 * np.log(1.0 - v_2 / (noise + v_2))
    e_0 = q_x / (1.0 + q_x * r_0)
    return value + 0.5 * np.log1p(q_x * r_0) - 0.5 * (r_0 * e_0 + v_2 / (noise + v_2))


@pytest.mark.thorough
@pytest.mark.parametrize("name", chosen(OTHERS))
def test_other_activations_after_one_hidden_layer(name):
    draw = Draw.of(name, 2, seed=1, deepest=1, least_noise=0.3)
    points = replace(draw.points, noise_at=np.full(2, "output", dtype=object))
    values = []
    for weights in ENSEMBLES:
        points = replace(points, weights=np.full(2, weights, dtype=object))
        found = evaluate_points(points, [2], [*LOWER_BOUNDS, "gaussian_upper"])
        values.append(replica_of_two_layers(points))
        assert_order(found, values[-1], 0.0)
    assert np.all(values[1] > values[0])


def test_the_iteration_is_the_estimator():
    points = Points.of("relu", [0.9, 1.4], sigma_b=[0.0, 0.5], sigma_noise=[0.3, 0.6], input_variance=[1.0, 2.0])
    for weights in ENSEMBLES:
        points = replace(points, weights=np.full(2, weights, dtype=object))
        found = evaluate_points(points, [2], ["replica"])["mi_replica"]
        np.testing.assert_allclose(replica_of_two_layers(points), found, rtol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_five_hundred_networks(name):
    check(Draw.of(name, 500 // len(names()) + 1, seed=2, deepest=19, least_noise=0.2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b", "noise"), [("cos", 2.7216, 0.629, 0.2939), ("sin", 2.97, 0.6611, 0.3833)]
)
def test_orthogonal_weights_carry_noise_as_well(name, sigma_w, sigma_b, noise):
    """They tell more of input and noise together, and so much more of the noise that less is left for the input."""
    values = {}
    for noise_at in ("output", "every"):
        points = Points.of(name, sigma_w, sigma_b=sigma_b, sigma_noise=noise, noise_at=noise_at)
        for weights in ENSEMBLES:
            found = evaluate_points(replace(points, weights=np.full(1, weights, dtype=object)), [4], ["replica"])
            assert found["status"][0] == "ok"
            values[noise_at, weights] = found["mi_replica"][0]
    assert values["output", "orthogonal"] > values["output", "gaussian"]
    assert values["every", "orthogonal"] < 0.8 * values["every", "gaussian"]


def test_enough_networks_are_drawn():
    assert len(names()) * (500 // len(names()) + 1) >= 500
    assert 10 * len(QUICK) + 2 * len(OTHERS) >= 60


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ENSEMBLES)
@pytest.mark.parametrize("name", ["relu", "abs"])
def test_noise_in_every_layer_loses_information_from_layer_to_layer(name, weights):
    points = Points.of(name, [0.8, 1.3], sigma_b=0.3, sigma_noise=0.2, weights=weights, noise_at="every")
    value = evaluate_points(points, np.arange(1, 9), ["replica"])["mi_replica"].reshape(2, 8)
    assert np.all(np.diff(value, axis=1) < 0.0)
