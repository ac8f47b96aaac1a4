"""``mfmi.evaluate``: broadcasting, the columns of the contract, and arguments that cannot be."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mfmi
from mfmi.api import CHUNK_ROWS
from mfmi.columns import COLUMNS


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
    count = CHUNK_ROWS + 3
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
        ({"depth": 2**31}, "depth: 2147483648 is not in 1.."),
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


def test_a_point_without_an_answer_is_a_row() -> None:
    frame = evaluate(activation="relu", sigma_w=[1.0, 2.0], sigma_b=0.5, depth=3)
    assert frame["status"].tolist() == ["ok", "unbounded"]
    assert np.isnan(frame["q_star"].iloc[1])
