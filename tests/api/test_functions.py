"""The commands as functions: rows and provenance of the command's file, wrong arguments, notebooks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

import mfmi

CommandLine = Callable[..., Outcome]


def read(command_line: CommandLine, folder: Path, *arguments: str) -> pd.DataFrame:
    path = folder / "rows.parquet"
    done = command_line(*arguments, "-o", path, "--force")
    assert done.code == 0, done.err
    return pd.read_parquet(path)


def same(frame: pd.DataFrame, file: pd.DataFrame) -> None:
    """Rows, types of columns and provenance are those of the command's file."""
    pd.testing.assert_frame_equal(file, pd.DataFrame(frame), check_like=False)
    assert frame.attrs["mfmi"] == file.attrs["mfmi"]
    json.dumps(frame.attrs)
    assert list(frame.attrs["units"]) == list(frame.attrs["descriptions"]) == list(frame.columns)


def test_a_recommendation_is_the_commands(command_line: CommandLine, tmp_path: Path) -> None:
    file = read(command_line, tmp_path, "recommend", "--act", "erf", "--depth", "3", "--sb", "0", "--unit", "bits")
    frame = mfmi.recommend("erf", depth=3, sigma_b=0, unit="bits")
    same(frame, file)
    assert frame.attrs["units"]["information"] == "bits per input dimension"
    assert frame.attrs["mfmi"]["estimators"] == {"linear": mfmi.names.STATUS["linear"]}


def test_a_ranking_is_the_commands(command_line: CommandLine, tmp_path: Path) -> None:
    options = ("--act", "erf", "--depth", "2", "--sb", "0,0.5", "--noise-at", "every")
    file = read(command_line, tmp_path, "recommend", *options)
    same(mfmi.recommend("erf", depth=2, sigma_b=[0, 0.5], noise_at="every"), file)
    ranked = mfmi.recommend(["erf", np.abs], depth=2, sigma_b=0)
    assert ranked.activation.tolist() == ["erf"]
    assert ranked.attrs["missing"] == ["numpy:absolute"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "activation: None is missing: name one, or rank all of them with `all_activations`"),
        ({"activation": "erf", "all_activations": True}, "all_activations: True ranks all of them"),
        ({"activation": "erf", "all_activations": 1}, "all_activations: 1 is neither True nor False"),
        ({"activation": []}, "activation is empty"),
        ({"activation": "erff"}, "unknown activation 'erff'"),
        ({"activation": "erf", "depth": 0}, "depth: 0 is not in 1..10000"),
        ({"activation": "erf", "depth": [1, 2]}, r"depth: \[1, 2\] is not a single integer"),
        ({"activation": "erf", "sigma_b": -1.0}, "sigma_b: -1.0 is less than 0"),
        ({"activation": "erf", "sigma_b": []}, "sigma_b is empty"),
        ({"activation": "erf", "sigma_noise": "float16"}, "sigma_noise: 'float16' is not a number"),
        ({"activation": "erf", "weights": "gausian"}, "weights: 'gausian' is not one of gaussian, orthogonal"),
        ({"activation": "erf", "by": "linaer"}, "by: 'linaer' is not one of"),
        ({"activation": "erf", "emit": "caffe"}, "emit: 'caffe' is not one of torch"),
        ({"activation": ["erf", "tanh"], "emit": "torch"}, "emit: 'torch' writes the code for one activation"),
        ({"activation": "erf", "sigma_b": [0, 1], "emit": "torch"}, "emit: 'torch' writes the code for one init"),
        ({"activation": "erf", "sigma_b": [0, 1], "init": "he"}, "init: 'he' stands beside one recommendation"),
        ({"activation": "erf", "init": "hee"}, "init: 'hee' is not a name"),
        ({"activation": "erf", "progress": 3}, "progress: 3 is neither True nor False"),
        ({"activation": "abs", "depth": 2}, "no linear decoder reads anything after abs"),
    ],
)
def test_wrong_arguments_of_a_recommendation_are_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mfmi.recommend(**arguments)


def test_code_of_a_recommendation_is_the_commands(command_line: CommandLine) -> None:
    done = command_line("recommend", "--act", "erf", "--depth", "2", "--sb", "0", "--emit", "numpy")
    assert mfmi.recommend("erf", depth=2, sigma_b=0, emit=np.str_("numpy")).attrs["code"] == done.out
