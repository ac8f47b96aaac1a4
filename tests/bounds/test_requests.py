"""A row is a function of its point: nothing that is asked for beside it changes a number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfmi.bounds.evaluate import evaluate_points
from mfmi.names import DEFAULT_ESTIMATORS
from mfmi.networks.points import Points

# What speaks of all estimators that were asked for.
SUMMARIES = ("mi_lower", "mi_upper", "status", "message", "point")
# Sums over nodes are in another order where a row has more of them beside it, and so is rounding.
ACCURACY = 1e-12

SETTINGS = st.tuples(
    st.sampled_from(["tanh", "relu"]),
    st.floats(0.3, 3.0),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([1e-3, 0.1, 1.0]),
    st.sampled_from(["output", "every"]),
    st.sampled_from(["gaussian", "orthogonal"]),
)


NOISES = [(1e-3, "output"), (0.1, "every")]


def points_of(chosen):
    act, sigma_w, sigma_b, noise, place, weights = zip(*chosen, strict=True)
    return Points.of(
        list(act),
        np.array(sigma_w),
        sigma_b=np.array(sigma_b),
        sigma_noise=np.array(noise),
        noise_at=list(place),
        weights=list(weights),
    )


@given(
    st.lists(SETTINGS, min_size=1, max_size=4),
    st.lists(st.integers(1, 24), min_size=1, max_size=4),
    st.lists(st.sampled_from(DEFAULT_ESTIMATORS), min_size=1, unique=True),
    st.data(),
)
@settings(max_examples=15, deadline=None)
def test_a_row_is_the_same_whatever_is_asked_for_beside_it(chosen, depths, estimators, data):
    whole = evaluate_points(points_of(chosen), depths, estimators)
    row, layer = (data.draw(st.integers(0, len(values) - 1)) for values in (chosen, depths))
    own = data.draw(st.lists(st.sampled_from(estimators), min_size=1, unique=True))
    alone = evaluate_points(points_of(chosen[row : row + 1]), [depths[layer]], own)
    entry = row * len(depths) + layer
    others = {f"mi_{name}" for name in set(DEFAULT_ESTIMATORS) - set(own)} | {"point"}
    compared = set(alone) - others - (set() if set(own) == set(estimators) else set(SUMMARIES))
    assert {f"mi_{name}" for name in own} | {"q_star", "chi_1"} <= compared
    for name in compared:
        values = alone[name]
        if values.dtype == object:
            assert values[0] == whole[name][entry]
        else:
            np.testing.assert_allclose(values[0], whole[name][entry], rtol=ACCURACY, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("sigma_noise", [0.03, 0.3])
def test_the_best_upper_bound_is_that_of_its_layer(sigma_noise):
    """Deep in the ordered phase of relu the bound rises with depth, and no shallower layer may lend its own."""
    points = Points.of("relu", 1.2, sigma_noise=sigma_noise, noise_at="every")
    whole = evaluate_points(points, [1, 8, 16, 24], ["gaussian_upper"])
    alone = evaluate_points(points, [24], ["gaussian_upper"])
    assert whole["mi_upper"][3] > whole["mi_upper"][2]
    assert whole["mi_upper"][3] == pytest.approx(alone["mi_upper"][0], rel=1e-12)
    np.testing.assert_array_equal(whole["mi_upper"], whole["mi_gaussian_upper"])


@pytest.mark.thorough
@pytest.mark.parametrize("estimator", ["fisher", "replica"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_a_row_of_the_slow_estimators_is_the_same_alone(estimator, weights):
    chosen = [("relu", w, b, noise, place, weights) for w, b in ((0.6, 0.0), (1.4, 0.3)) for noise, place in NOISES]
    whole = evaluate_points(points_of(chosen), [2, 3, 7], [estimator, "linear"])
    assert (whole["status"] == "ok").all()
    for row in range(len(chosen)):
        alone = evaluate_points(points_of(chosen[row : row + 1]), [7], [estimator])
        expected = whole[f"mi_{estimator}"][3 * row + 2]
        np.testing.assert_allclose(alone[f"mi_{estimator}"][0], expected, rtol=ACCURACY, atol=1e-13)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("act", ["tanh", "relu"])
@pytest.mark.parametrize("sigma_noise", [0.03, 0.3])
def test_no_layer_knows_more_than_is_left_of_an_earlier_one(act, weights, sigma_noise):
    """With noise in every layer the layers are a Markov chain: bounds of different layers must not contradict it."""
    sigma_w = np.array([0.5, 1.0, 1.4, 2.5])
    points = Points.of(act, sigma_w, sigma_b=0.1, sigma_noise=sigma_noise, noise_at="every", weights=weights)
    depths = [1, 2, 4, 8, 16]
    found = evaluate_points(points, depths, DEFAULT_ESTIMATORS)
    lower, upper = (found[name].reshape(len(sigma_w), len(depths)) for name in ("mi_lower", "mi_upper"))
    assert np.isfinite(lower).all()
    assert (lower[:, 0] > 0.0).all()
    least = np.minimum.accumulate(upper, axis=1)
    assert (lower <= least * (1.0 + 1e-9)).all()
