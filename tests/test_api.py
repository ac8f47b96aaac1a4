"""``mfmi.evaluate``: broadcasting, the columns of the contract, and arguments that cannot be."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mfmi
from mfmi.arguments.ranges import DEEPEST, ROWS_AT_ONCE
from mfmi.bounds.evaluate import evaluate_points
from mfmi.columns import COLUMNS
from mfmi.networks.model import SQUARE, Model
from mfmi.networks.points import Points


def evaluate(**changes: Any) -> pd.DataFrame:
    return mfmi.evaluate(**{"activation": "linear", "sigma_w": 1.0, "depth": 2, "estimators": ["linear"]} | changes)


def test_the_columns_and_their_types() -> None:
    frame = evaluate(sigma_w=[1.0, 1.5], depth=[1, 5])
    assert list(frame.columns) == [column.name for column in COLUMNS]
    for column in COLUMNS:
        if column.dtype != "string":
            assert frame[column.name].dtype == column.dtype
    assert frame["point"].tolist() == [0, 0, 1, 1]
    assert frame["depth"].tolist() == [1, 5, 1, 5]
    assert frame["sigma_w"].tolist() == [1.0, 1.0, 1.5, 1.5]


def test_what_was_not_asked_for_is_null() -> None:
    frame = evaluate()
    assert frame["mi_replica"].isna().all()
    assert frame["mi_upper"].isna().all()
    assert frame["mi_linear"].notna().all()


def test_deviations_broadcast() -> None:
    frame = evaluate(sigma_w=[[1.0], [1.5]], sigma_b=[0.0, 0.1, 0.2], depth=1)
    assert frame["sigma_w"].tolist() == [1.0] * 3 + [1.5] * 3
    assert frame["sigma_b"].tolist() == [0.0, 0.1, 0.2] * 2


def test_names_broadcast_too() -> None:
    frame = evaluate(activation=["linear", "tanh"], weights=["gaussian", "orthogonal"], noise_at="every", depth=1)
    assert frame["activation"].tolist() == ["linear", "tanh"]
    assert frame["weights"].tolist() == ["gaussian", "orthogonal"]


def test_an_activation_may_be_given_as_itself() -> None:
    assert evaluate(activation=mfmi.activation("tanh"))["activation"].tolist() == ["tanh"]


def test_chunks_do_not_show() -> None:
    count = ROWS_AT_ONCE + 3
    frame = evaluate(sigma_w=np.linspace(0.5, 1.5, count), depth=1)
    assert frame["point"].tolist() == list(range(count))
    single = evaluate(sigma_w=frame["sigma_w"].iloc[-1], depth=1)
    assert frame["mi_linear"].iloc[-1] == pytest.approx(single["mi_linear"].iloc[0], rel=1e-14)


def test_estimators_come_once_and_in_any_order() -> None:
    one = evaluate(activation="tanh", estimators=["linear", "mean_field", "linear"])
    other = evaluate(activation="tanh", estimators=("mean_field", "linear"))
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(evaluate(estimators="linear"), evaluate(estimators=["linear"]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sigma_w": -1.0}, "sigma_w: -1.0 is less than 0"),
        ({"sigma_w": [1.0, np.nan]}, "sigma_w: nan is not finite"),
        ({"sigma_w": "wide"}, "sigma_w: 'wide' is not a number"),
        ({"sigma_w": []}, "sigma_w is empty"),
        ({"sigma_b": -0.1}, "sigma_b: -0.1 is less than 0"),
        ({"sigma_b": np.inf}, "sigma_b: inf is not finite"),
        ({"sigma_noise": 0.0}, "sigma_noise: 0.0 is not greater than 0"),
        ({"input_variance": 0}, "input_variance: 0.0 is not greater than 0"),
        ({"correlation": 1.1}, "correlation: 1.1 is greater than 1"),
        ({"correlation": -2}, "correlation: -2.0 is less than -1"),
        ({"depth": 0}, "depth: 0 is not in 1.."),
        ({"depth": [1, -3]}, "depth: -3 is not in 1.."),
        ({"depth": 1.5}, "depth: 1.5 is not an integer"),
        ({"depth": []}, "depth: [] is not an integer"),
        ({"depth": 2**31}, "depth: 2147483648 is not in 1..10000"),
        ({"depth": 10**400}, "depth: 1000000"),
        ({"depth": True}, "depth: True is not an integer"),
        ({"depth": None, "layers": 10**8}, "layers: 100000000 is not in 1..10000"),
        ({"depth": None, "layers": [3]}, "layers: [3] is not a single integer"),
        ({"layers": 3}, "layers: 3 are all up to that one; give depth or layers, not both"),
        ({"sigma_w": 1e200}, "sigma_w: 1e+200 is greater than 1e+100"),
        ({"sigma_w": 10**400}, "sigma_w: 1000000"),
        ({"sigma_w": 1e-200}, "sigma_w: 1e-200 is less than 1e-100 and not 0"),
        ({"sigma_w": None}, "sigma_w: None is not a number"),
        ({"sigma_w": True}, "sigma_w: True is not a number"),
        ({"sigma_w": "1.5"}, "sigma_w: '1.5' is not a number"),
        ({"sigma_w": [[1.0], [1.0, 2.0]]}, "sigma_w: [[1.0], [1.0, 2.0]] is not a number"),
        ({"sigma_noise": 1e-200}, "sigma_noise: 1e-200 is less than 1e-100"),
        ({"sigma_noise": 0}, "is not greater than 0, and without noise the information is infinite"),
        ({"input_variance": 1e308}, "input_variance: 1e+308 is greater than 1e+100"),
        ({"alpha": 1e200}, "alpha: 1e+200 is greater than 1e+09"),
        ({"alpha": "half"}, "alpha: 'half' is not a number"),
        ({"widths": 10}, "widths: 10 is not a sequence of two integers"),
        ({"widths": 1.5}, "widths: 1.5 is not an integer or a sequence"),
        ({"widths": [10, 10**12]}, "widths: 1000000000000 is not in 1..1000000000"),
        ({"sparsity": "half"}, "sparsity: 'half' is not a number"),
        ({"prior": 3}, "prior: 3 is not one of gaussian, rademacher, spike_slab"),
        ({"input_spectrum": [1e200, 1.0]}, "input_spectrum: 1e+200 is greater than 1e+100"),
        ({"input_spectrum": [1e-200, 1e-200]}, "input_spectrum: the mean eigenvalue, 1e-200, is less than 1e-100"),
        ({"inputs": [[1e200, 1.0], [0.0, 1.0]], "width": 4}, "inputs: 1e+200 is greater than 1e+100"),
        ({"inputs": [[1e-200], [2e-200]], "width": 4}, "inputs: the largest entry, 2e-200, is less than 1e-100"),
        ({"inputs": [[1.0], [2.0]], "width": 1e3}, "width: 1000.0 is not an integer"),
        ({"inputs": [[1.0], [2.0]], "width": 4, "seed": -1}, "seed: -1 is not in 0.."),
        ({"inputs": "digits.npy", "width": 4}, "inputs: 'digits.npy' is not a number"),
        ({"weights": 3}, "weights: eigenvalues must be a list of numbers"),
        ({"weights": [1e200, 1.0]}, "weights: 1e+200 is greater than 1e+100"),
        ({"weights": None}, "weights: None is not one of gaussian, orthogonal"),
        ({"noise_at": None}, "noise_at: None is not one of output, every"),
        ({"observe": ["activation"]}, "observe: ['activation'] is not a single word"),
        ({"unit": None}, "unit: None is not one of nats, bits"),
        ({"estimators": 3}, "estimators: 3 is not one of mean_field"),
        ({"columns": 3}, "columns: 3 is not one of"),
        ({"weights": "normal"}, "weights: 'normal' is not one of gaussian, orthogonal"),
        ({"noise_at": ["output", "input"]}, "noise_at: 'input' is not one of output, every"),
        ({"estimators": ["linaer"]}, "estimators: 'linaer' is not one of mean_field, linear"),
        ({"unit": "hartleys"}, "unit: 'hartleys' is not one of nats, bits"),
        ({"activation": "tahn"}, "tahn"),
        (
            {"sigma_w": [1.0, 2.0], "sigma_b": [0.0, 0.1, 0.2]},
            "the shapes do not broadcast: sigma_w (2,), sigma_b (3,)",
        ),
    ],
)
def test_bad_arguments_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        evaluate(**changes)


def test_arrays_without_axes_and_numpy_strings_are_scalars() -> None:
    plain = evaluate(sigma_w=1.5, weights="orthogonal", noise_at="every")
    numpy = evaluate(
        activation=np.array("linear"),
        sigma_w=np.array(1.5),
        depth=np.array(2),
        weights=np.str_("orthogonal"),
        noise_at=np.array("every"),
        estimators=np.array(["linear"]),
        unit=np.str_("nats"),
    )
    pd.testing.assert_frame_equal(plain, numpy)
    pd.testing.assert_frame_equal(evaluate(alpha=0.5, depth=1), evaluate(alpha=[0.5], depth=1))


def test_layers_are_all_up_to_one() -> None:
    pd.testing.assert_frame_equal(evaluate(depth=None, layers=3), evaluate(depth=[1, 2, 3]))
    assert evaluate(depth=3)["depth"].tolist() == [3]


def test_residual_streams_are_taken_apart_by_their_pairs_of_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a sweep: 4,096 streams of 100 layers at once would hold 40 million pairs."""
    sizes = []

    def noted(points: Points, *arguments: Any) -> Any:
        sizes.append(len(points))
        return evaluate_points(points, *arguments)

    monkeypatch.setattr("mfmi.api.evaluate.evaluate_points", noted)
    monkeypatch.setattr("mfmi.networks.model.SITE_PAIRS_AT_ONCE", 30_000)
    found = mfmi.evaluate("tanh", np.linspace(0.8, 1.2, 7), skip=1.0, depth=100, estimators=["covariance_upper"])
    assert len(found) == sum(sizes) == 7
    assert max(sizes) == SQUARE.points_at_once([100], sites=1) == 3


def test_a_deep_network_is_taken_apart_into_chunks() -> None:
    model = Model()
    assert model.points_at_once([1]) == ROWS_AT_ONCE
    assert model.points_at_once([1, 5000]) == 6
    assert model.points_at_once([DEEPEST]) == 3


def test_a_point_without_an_answer_is_a_row() -> None:
    frame = evaluate(activation="relu", sigma_w=[1.0, 2.0], sigma_b=0.5, depth=3)
    assert frame["status"].tolist() == ["ok", "unbounded"]
    assert np.isnan(frame["q_star"].iloc[1])
