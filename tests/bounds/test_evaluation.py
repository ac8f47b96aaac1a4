"""Points in, columns out: the contract's table."""

import numpy as np
import pytest

from mfmi.bounds import evaluate as evaluation
from mfmi.bounds.evaluate import evaluate_points
from mfmi.columns import COLUMNS, INFORMATION
from mfmi.names import DEFAULT_ESTIMATORS, LOWER_BOUNDS
from mfmi.networks.points import Points

CONTRACT = """
    point activation weights noise_at sigma_w sigma_b sigma_noise input_variance init normalization norm_at noise_scale
    skip branch branch_matrices depth q c chi q_star c_star chi_1 xi_q xi_c phase mi_mean_field mi_linear
    mi_entropy_power mi_layerwise mi_fisher mi_gaussian_upper mi_covariance_upper mi_replica mi_lower mi_upper status
    message
""".split()  # noqa: SIM905


def test_columns_are_those_of_the_contract():
    assert [column.name for column in COLUMNS] == CONTRACT
    found = evaluate_points(Points.of("tanh", [1.0, 1.5]), [1, 3], ["linear"])
    assert list(found) == CONTRACT
    assert all(len(values) == 4 for values in found.values())
    np.testing.assert_array_equal(found["point"], [0, 0, 1, 1])
    np.testing.assert_array_equal(found["depth"], [1, 3, 1, 3])
    assert found["depth"].dtype == np.int32
    assert found["point"].dtype == np.int64


def test_what_was_not_asked_for_is_missing():
    found = evaluate_points(Points.of("tanh", 1.2), 2, ["linear"])
    for name in (*DEFAULT_ESTIMATORS, "replica"):
        assert np.isnan(found[f"mi_{name}"][0]) == (name != "linear")
    assert found["mi_lower"][0] == found["mi_linear"][0]
    assert np.isnan(found["mi_upper"][0])


def test_the_best_of_the_bounds():
    points = Points.of("relu", [0.8, 1.4, 1.3], sigma_b=0.3, noise_at=["every", "output", "every"])
    found = evaluate_points(points, [1, 2, 4, 8], DEFAULT_ESTIMATORS)
    rows = {name: found[f"mi_{name}"].reshape(3, 4) for name in (*DEFAULT_ESTIMATORS, "lower", "upper")}
    lower = [rows[name] for name in LOWER_BOUNDS if name in DEFAULT_ESTIMATORS]
    np.testing.assert_array_equal(rows["lower"], np.fmax.reduce(lower))
    assert np.any(rows["lower"] > np.fmin.reduce(lower) + 0.01)
    # With noise in every layer what a shallower layer cannot know no deeper one can.
    so_far = [[np.min(row[: depth + 1]) for depth in range(4)] for row in rows["gaussian_upper"]]
    np.testing.assert_array_equal(rows["upper"][[0, 2]], np.array(so_far)[[0, 2]])
    np.testing.assert_array_equal(rows["upper"][1], rows["gaussian_upper"][1])


def test_deviations_become_variances():
    found = evaluate_points(Points.of("tanh", 1.5, sigma_b=0.3, input_variance=2.0), [1], ["linear"])
    assert found["q"][0] == pytest.approx(1.5**2 * 2.0 + 0.3**2, rel=1e-14)
    assert found["c"][0] == pytest.approx((1.5**2 * 2.0 * 0.5 + 0.3**2) / found["q"][0], rel=1e-14)


def test_bits():
    points = Points.of("tanh", 1.2)
    nats, bits = (evaluate_points(points, 3, DEFAULT_ESTIMATORS, unit) for unit in ("nats", "bits"))
    for column in COLUMNS:
        if column.unit == INFORMATION and column.name.removeprefix("mi_") in (*DEFAULT_ESTIMATORS, "lower", "upper"):
            assert bits[column.name][0] == pytest.approx(nats[column.name][0] / np.log(2.0), rel=1e-14)
    assert bits["q"][0] == nats["q"][0]


def test_rows_do_not_depend_on_what_else_is_asked_for():
    points = Points.of(
        ["tanh", "relu", "tanh", "erf", "tanh", "relu"],
        [1.0, 1.4, 1.0, 0.9, 2.0, 0.5],
        sigma_b=[0.0, 0.1, 0.0, 0.2, 0.3, 0.0],
        weights=["gaussian", "orthogonal", "orthogonal", "gaussian", "gaussian", "gaussian"],
        noise_at=["every", "output", "output", "every", "output", "every"],
    )
    together = evaluate_points(points, [1, 2, 4], DEFAULT_ESTIMATORS)
    assert {f"mi_{name}" for name in DEFAULT_ESTIMATORS} < set(together)
    for row in range(len(points)):
        alone = evaluate_points(points[row : row + 1], [1, 2, 4], DEFAULT_ESTIMATORS)
        assert set(alone) == set(together)
        for name, values in alone.items():
            expected = together[name].reshape(6, 3)[row]
            if values.dtype == object:
                assert list(values) == list(expected)
            else:
                np.testing.assert_allclose(values.astype(float), expected.astype(float), rtol=1e-9, atol=1e-14)


def test_depths_of_their_own():
    points = Points.of("tanh", [1.0, 1.5, 1.5])
    found = evaluate_points(points, np.array([[2], [3], [2]]), ["linear"])
    same = evaluate_points(points, [2, 3], ["linear"])["mi_linear"].reshape(3, 2)
    np.testing.assert_allclose(found["mi_linear"], [same[0, 0], same[1, 1], same[2, 0]], rtol=1e-12)
    np.testing.assert_array_equal(found["depth"], [2, 3, 2])


def test_unbounded_phase_is_said_and_never_a_number():
    found = evaluate_points(Points.of("relu", 1.6), [1, 5], ["linear"])
    assert list(found["phase"]) == ["unbounded"] * 2
    assert list(found["status"]) == ["unbounded"] * 2
    assert all(found["message"])
    assert np.isnan(found["q_star"]).all()
    assert np.isfinite(found["mi_linear"]).all()


def test_an_overflow_is_a_failed_row_beside_good_ones():
    found = evaluate_points(Points.of("linear", [1e10, 1.0]), [1, 20], ["linear", "mean_field"])
    assert list(found["status"]) == ["unbounded", "failed", "ok", "ok"]
    assert np.isnan(found["mi_linear"][1])
    assert "overflow" in found["message"][1]
    assert np.isfinite(found["mi_linear"][2:]).all()


def test_no_weights_carry_nothing():
    found = evaluate_points(Points.of("tanh", 0.0, sigma_b=0.5), [1, 3], DEFAULT_ESTIMATORS)
    np.testing.assert_array_equal(found["mi_lower"], 0.0)
    np.testing.assert_allclose(found["mi_upper"], 0.0, atol=1e-12)
    assert set(found["status"]) == {"ok"}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"depths": [0]}, "depth"),
        ({"depths": [1.5]}, "depth"),
        ({"estimators": ["linaer"]}, "linaer"),
        ({"unit": "bytes"}, "bytes"),
        ({"points": Points.of("tanh", 1.0, weights="sparse")}, "sparse"),
        ({"points": Points.of("tanh", 1.0, noise_at="input")}, "input"),
        ({"points": Points.of("tanhh", 1.0)}, "tanhh"),
    ],
)
def test_bad_arguments_are_named(change, word):
    arguments = {"points": Points.of("tanh", 1.0), "depths": [1], "estimators": ["linear"], "unit": "nats"} | change
    with pytest.raises(ValueError, match=word):
        evaluate_points(**arguments)


@pytest.mark.parametrize(("name", "above"), [("layerwise", "gaussian_upper"), ("fisher", "replica")])
def test_a_value_above_another_that_cannot_be_smaller_is_told_and_never_the_best(monkeypatch, name, above):
    estimate = evaluation.REGISTRY[f"mi_{above}"]
    factors = np.array([1.0 + 1e-4, 1.0, 1.0 + 1e-6])

    def missed(problem):
        found = estimate(problem)
        return found._replace(value=found.value * factors[problem.rows])

    monkeypatch.setitem(evaluation.REGISTRY, f"mi_{name}", missed)
    points = Points.of("relu", [0.8, 1.2, 1.3])
    found = evaluate_points(points, 2, ["linear", name, above])
    assert list(found["status"]) == ["unconverged", "ok", "ok"]
    assert found["message"][0] == f"{name}: the search missed a minimum, for it ended above {above}"
    np.testing.assert_array_equal(found["mi_lower"][1:], found[f"mi_{name}"][1:])
    assert found["mi_lower"][0] == found["mi_linear"][0] < found[f"mi_{name}"][0]
    # The column is what it is without the other one.
    np.testing.assert_array_equal(evaluate_points(points, 2, [name])[f"mi_{name}"], found[f"mi_{name}"])
