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


@pytest.mark.thorough
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
        (
            {"activation": "erf", "sigma_noise": "float17"},
            "sigma_noise: 'float17' is neither a number nor one of float16",
        ),
        ({"activation": "erf", "sigma_noise": -1}, "sigma_noise: -1.0 is not greater than 0"),
        ({"activation": "erf", "sigma_noise": None}, "sigma_noise: None is not a number"),
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


@pytest.mark.thorough
def test_code_of_a_recommendation_is_the_commands(command_line: CommandLine) -> None:
    done = command_line("recommend", "--act", "erf", "--depth", "2", "--sb", "0", "--emit", "numpy")
    assert mfmi.recommend("erf", depth=2, sigma_b=0, emit=np.str_("numpy")).attrs["code"] == done.out


# ---- isometry, verify, audit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        (("--act", "relu", "--sw", "1.4", "--depth", "2"), {"activation": "relu", "sigma_w": 1.4, "depth": 2}),
        (
            ("--act", "hard_tanh", "--sw", "1.1", "--depth", "2", "--density", "--weights", "orthogonal"),
            {"activation": "hard_tanh", "sigma_w": 1.1, "depth": 2, "density": True, "weights": "orthogonal"},
        ),
        (
            ("--act", "tanh", "--init", "he", "--depth", "2", "--residual", "--branch", "0.5", "--sn", "bfloat16"),
            {"activation": "tanh", "init": "he", "depth": 2, "skip": 1, "branch": 0.5, "sigma_noise": "bfloat16"},
        ),
        (("--act", "sign", "--sw", "1", "--depth", "2"), {"activation": "sign", "sigma_w": 1, "depth": 2}),
    ],
    ids=["rows", "density", "stream", "step"],
)
def test_an_isometry_is_the_commands(
    command_line: CommandLine, tmp_path: Path, options: tuple[str, ...], keywords: dict[str, Any]
) -> None:
    same(mfmi.isometry(**keywords), read(command_line, tmp_path, "isometry", *options))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        (("--widths", "8,16"), {"widths": [16, 8]}),
        (("--width", "16", "--weights", "orthogonal", "--unit", "bits"), {"width": 16, "weights": "orthogonal"}),
        (("--width", "8", "--norm", "rmsnorm", "--residual"), {"width": 8, "normalization": "rmsnorm", "skip": 1.0}),
    ],
    ids=["widths", "orthogonal", "stream"],
)
def test_a_verification_is_the_commands(
    command_line: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    keywords: dict[str, Any],
) -> None:
    def in_this_process(task: Any, numbers: Any, jobs: int) -> Any:
        return ((number, task.run(number)) for number in numbers)

    monkeypatch.setattr("mfmi.verification._compare.run_processes", in_this_process)
    shared = ("--act", "tanh", "--sw", "1.5", "--depth", "2", "--seeds", "3", "--seed", "1", "--estimator", "linear")
    unit = "bits" if "bits" in options else "nats"
    file = read(command_line, tmp_path, "verify", *shared, *options)
    told: list[mfmi.Progress] = []
    frame = mfmi.verify(
        "tanh", 1.5, depth=2, seeds=3, seed=1, estimators="linear", unit=unit, progress=told.append, **keywords
    )
    same(frame, file)
    assert (told[-1].stage, told[-1].chunks_done) == ("measure", told[-1].n_chunks)
    assert frame.attrs["mfmi"]["network"]["sigma_w"] == 1.5


@pytest.mark.thorough
def test_functions_without_a_name_are_verified_in_this_process() -> None:
    frame = mfmi.verify(lambda u: np.tanh(u), 1.5, depth=2, width=8, seeds=2, estimators="mean_field")
    named = mfmi.verify("tanh", 1.5, depth=2, width=8, seeds=2, estimators="mean_field", jobs=1)
    np.testing.assert_allclose(frame.measured, named.measured, rtol=1e-9)


@pytest.mark.parametrize("network", [False, True])
def test_an_audit_is_the_commands(command_line: CommandLine, tmp_path: Path, network: bool) -> None:
    checkpoint = tmp_path / "net.npz"
    weights = np.random.default_rng(0).normal(0.0, 0.2, (20, 30))
    np.savez(checkpoint, **{"0.weight": weights, "1.weight": weights.T, "step": np.array(3)})
    options = ("--act", "tanh", "--estimator", "linear") if network else ()
    keywords: dict[str, Any] = {"activation": "tanh", "estimators": "linear"} if network else {}
    file = read(command_line, tmp_path, "audit", str(checkpoint), *options)
    told: list[mfmi.Progress] = []
    frame = mfmi.audit(checkpoint, **keywords, progress=told.append)
    same(frame, file)
    assert ("audit net.npz", 3, 3) in [(one.stage, one.chunks_done, one.n_chunks) for one in told]
    assert frame.attrs["findings"] == frame.attrs["mfmi"]["audit"]["findings"] != []
    assert frame.fan_in.tolist()[:2] == [30, 20]


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        ("isometry", {"sigma_w": [1.0, 2.0]}, r"sigma_w: \[1.0, 2.0\] is not a single number"),
        ("isometry", {"sigma_w": 1, "activation": ["tanh", "relu"]}, "is not a single activation"),
        ("isometry", {}, "sigma_w: None is not a number; give sigma_w, or init in its place"),
        ("isometry", {"init": ["he", "glorot"]}, "is not a single name"),
        ("isometry", {"sigma_w": 1, "density": 2}, "density: 2 is neither True nor False"),
        ("isometry", {"sigma_w": 1, "skip": 1, "density": True}, "density: True needs the whole spectrum"),
        ("isometry", {"sigma_w": 1, "skip": [1, 2]}, r"skip: \[1, 2\] is not a single value"),
        ("isometry", {"sigma_w": 1, "norm_at": "output"}, "norm_at: 'output' is the place of a norm"),
        ("isometry", {"sigma_w": 1, "sigma_noise": ["float16"]}, "sigma_noise: .* is not a single number or number f"),
        ("isometry", {"sigma_w": 1, "weights": "spase"}, "weights: 'spase' is not one of"),
        ("verify", {"sigma_w": 1, "widths": [8, 8]}, r"widths: \[8, 8\] names a width twice"),
        ("verify", {"sigma_w": 1, "width": 3}, "width: 3 is not in 4.."),
        ("verify", {"sigma_w": 1, "seeds": 1}, "seeds: 1 is not in 2.."),
        ("verify", {"sigma_w": 1, "width": 20, "samples": 83}, "samples: 83 is less than 84, four for every unit"),
        ("verify", {"sigma_w": 1, "jobs": "all"}, "jobs: 'all' is not one of auto"),
        ("verify", {"sigma_w": 1, "jobs": 2, "activation": lambda u: np.tanh(u) + u}, "jobs: 2 is too many: only this"),
        ("verify", {"sigma_w": 1, "weights": ["gaussian", "orthogonal"]}, "not those of a single network"),
        ("verify", {"sigma_w": 1, "inputs": [1.0, 2.0]}, "inputs: a finite table of at least two rows"),
        ("verify", {"sigma_w": 1, "skip": 1, "inputs": np.eye(4)}, "need gaussian inputs, not `inputs`"),
        ("audit", {"checkpoint": 3}, "checkpoint: 3 is not a path"),
        ("audit", {"checkpoint": []}, "checkpoint is empty"),
        ("audit", {"checkpoint": "a.npz", "layers": "0.weight"}, "layers: '0.weight' is not a sequence of names"),
        ("audit", {"checkpoint": "a.npz", "quick": "no"}, "quick: 'no' is neither True nor False"),
        ("audit", {"checkpoint": "a.npz", "axes": "xy"}, "axes: 'xy' is not one of oi, io"),
        ("audit", {"checkpoint": "a.npz", "compare": 1}, "compare: 1 is not a path"),
    ],
)
def test_wrong_arguments_are_named(function: str, arguments: dict[str, Any], words: str) -> None:
    first = {} if function == "audit" else {"activation": "tanh", "depth": 2}
    with pytest.raises(ValueError, match=words):
        getattr(mfmi, function)(**first | arguments)


# ---- capacity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        (("--sw", "1.5", "--widths", "8,2,8"), {"sigma_w": 1.5, "widths": [8, 2, 8]}),
        (
            ("--gains", "2", "--shape", "1x4x4", "--layer", "conv:3:2x2:2", "--layer", "dense:2", "--every-layer"),
            {"gains": 2, "shape": (1, 4, 4), "layers": ["conv:3:2x2:2", "dense:2"], "every_layer": True},
        ),
        (
            ("--init", "he", "--widths", "4,3", "--symmetry", "reflections", "--unit", "bits", "--qx", "2"),
            {"init": "he", "widths": [4, 3], "symmetry": "reflections", "unit": "bits", "input_variance": 2},
        ),
        (("--gains", "1,2", "--widths", "3,2,2", "--spectrum", "3,2,1"),
         {"gains": [1, 2], "widths": np.array([3, 2, 2]), "spectrum": [3, 2, 1]}),
    ],
    ids=["dense", "layers", "symmetry", "spectrum"],
)  # fmt: skip
def test_a_capacity_is_the_commands(
    command_line: CommandLine, tmp_path: Path, options: tuple[str, ...], keywords: dict[str, Any]
) -> None:
    same(mfmi.capacity("tanh", **keywords), read(command_line, tmp_path, "capacity", "--act", "tanh", *options))


def test_permutations_generate_a_symmetry() -> None:
    swaps = [[1, 0, 2, 3], [0, 1, 3, 2]]
    found = [
        mfmi.capacity("tanh", gains=1, widths=[4, 4], symmetry=one).capacity[0]
        for one in (swaps, np.array(swaps), [np.eye(4)[one] for one in swaps], "reflections")
    ]
    assert found[0] == found[1] == found[2] == pytest.approx(found[3], rel=1e-12)
    one = mfmi.capacity("tanh", gains=1, widths=[4, 4], symmetry=swaps[0]).capacity[0]
    assert one == pytest.approx(found[0] * 1.5, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sigma_w": 1}, "a network is given by `widths`, or by `shape` and `layers`"),
        ({"widths": [3, 2]}, "the weights are limited by `sigma_w`, `init` or `gains`"),
        ({"widths": [3, 2], "sigma_w": 0}, "sigma_w: 0.0 is too small"),
        ({"widths": [3, 2], "sigma_w": 1, "init": "he"}, "sigma_w: 1 is not asked for; init gives"),
        ({"widths": [3], "sigma_w": 1}, "at least one layer"),
        ({"widths": [3, 0], "sigma_w": 1}, "widths: 0 is not in 1.."),
        ({"widths": "3,2", "sigma_w": 1}, "widths: '3,2' is not an integer"),
        ({"widths": [10**8, 2], "sigma_w": 1}, "widths: .* has an input of more than 10,000,000 entries"),
        ({"shape": (1, 5), "layers": ["pool:2"], "sigma_w": 1}, "layers: 'pool:2' is not dense:UNITS"),
        ({"shape": (1, 5), "layers": [3], "sigma_w": 1}, "layers: 3 is no layer"),
        ({"widths": [3, 2], "gains": [1, 2]}, r"gains must be 1 positive numbers, not \[1.0, 2.0\]"),
        ({"widths": [3, 2], "gains": -1}, "gains: -1.0 is not greater than 0"),
        ({"widths": [3, 2], "gains": 1, "spectrum": [1, 2, 3], "inputs": np.eye(3)}, "spectrum: .*with `inputs`"),
        ({"widths": [3, 2], "gains": 1, "spectrum": [1, 2, 3], "input_variance": 2}, "input_variance: 2.0 does not go"),
        ({"widths": [3, 2], "gains": 1, "symmetry": "rotations"}, "symmetry: 'rotations' is not one of translations"),
        ({"widths": [3, 2], "gains": 1, "symmetry": [[0, 0, 1]]}, "symmetry: generators must be permutations"),
        ({"widths": [3, 2], "gains": 1, "symmetry": 3}, "symmetry: 3 is neither the name of a group"),
        ({"widths": [3, 2], "gains": 1, "symmetry_at": "last"}, "symmetry_at: 'last' is not one of output, first"),
    ],
)
def test_wrong_arguments_of_a_capacity_are_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mfmi.capacity("tanh", **arguments)
