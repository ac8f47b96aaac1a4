"""The table of initialisers: formulas beside what was measured, names, and the command."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome

import mfmi
from mfmi.config.config import read_config
from mfmi.errors import ConfigError
from mfmi.initialisers import get, libraries, names, table
from mfmi.initialisers._formula import evaluated, limit, variables
from mfmi.sweep.plan import Plan

THIRD = 1 / math.sqrt(3)
CommandLine = Callable[..., Outcome]
MEASURED = [row for row in table() if row.library != "recipe"]


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: f"{row.name}@{row.version}")
def test_formulas_are_what_was_measured(row: mfmi.initialisers.Initialiser) -> None:
    value, bias = row.variances({"inputs": 1.0, **row.sizes} if row.role == "embedding" else row.sizes)
    assert value == pytest.approx(row.measured, rel=0.035 if row.entries else 0.01)
    assert bias is None or bias >= 0.0


def test_the_table_is_whole() -> None:
    assert len(MEASURED) == 189
    assert len(libraries()) >= 40
    keys = [(row.name, row.version) for row in table()]
    assert len(set(keys)) == len(keys)
    assert {row.law for row in table()} == {
        "normal",
        "uniform",
        "truncated_normal",
        "orthogonal",
        "zeros",
        "other",
    }


@pytest.mark.parametrize(
    ("specification", "sigma_w2", "sigma_b2"),
    [
        ("torch.nn.Linear", 1 / 3, 0.0),
        ("torch.nn.Linear(512)", 1 / 3, 1 / 1536),
        ("torch.nn.Linear(inputs=512, outputs=10)", 1 / 3, 1 / 1536),
        ("torch.nn.Conv2d(64, 128, window=9, groups=4)", 1 / 3, 1 / (3 * 16 * 9)),
        ("torch.nn.LSTM(64, 256)", 64 / 768, 2 / 768),
        ("torch.nn.MultiheadAttention", 0.5, 0.0),
        ("keras.layers.Dense", 1.0, 0.0),
        ("keras.layers.Dense(512, 256)", 4 / 3, 0.0),
        ("keras.layers.MultiHeadAttention", 1.0, 0.0),
        ("keras.layers.MultiHeadAttention@3.15", 1.0, 0.0),
        ("keras.layers.MultiHeadAttention@3.14", 1 / 36, 0.0),
        ("keras.layers.MultiHeadAttention@3.8.0", 1 / 36, 0.0),
        ("keras.layers.MultiHeadAttention@3.14.0(512, heads=4, head=128)", 2 / 132, 0.0),
        ("keras.layers.DepthwiseConv2D(512)", 2 / 513, 0.0),
        ("timm.ConvNeXt.depthwise(96, window=49)", 0.0196, 0.0),
        ("haiku.Linear", 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)), 0.0),
        ("haiku.Linear@0.0.17", 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)), 0.0),
        ("thinc.Softmax", 0.0, 0.0),
        ("he", 2.0, 0.0),
        ("glorot", 1.0, 0.0),
        ("lecun", 1.0, 0.0),
    ],
)
def test_names(specification: str, sigma_w2: float, sigma_b2: float) -> None:
    preset = get(specification)
    assert preset.sigma_w**2 == pytest.approx(sigma_w2, rel=1e-11)
    assert preset.sigma_b**2 == pytest.approx(sigma_b2, rel=1e-11, abs=0.0)
    assert get(preset.label) == preset


@pytest.mark.parametrize(
    ("specification", "words"),
    [
        ("torch.nn.Linaer", "Did you mean 'torch.nn.Linear'"),
        ("Linear", "Did you mean 'torch.nn.Linear'"),
        ("TORCH.NN.LINEAR", "Did you mean 'torch.nn.Linear'"),
        ("", "is not NAME"),
        ("torch.nn.Linear(3", "is not NAME"),
        ("torch.nn.Linear@1.13", "has not been measured at 1.13; it was at 2.13.0"),
        ("keras.layers.MultiHeadAttention@3.7", "it was at 3.15.1, 3.8.0 to 3.14.0"),
        ("he@1", "it was at no release"),
        ("torch.nn.Linear(0)", "inputs '0' is not a whole number from 1"),
        ("torch.nn.Linear(1.5)", "inputs '1.5' is not a whole number"),
        ("torch.nn.Linear()", "inputs is missing"),
        ("torch.nn.Linear(3, 4, 5)", "'5' needs a name"),
        ("torch.nn.Linear(3, inputs=4)", "inputs is given twice"),
        ("torch.nn.Linear(3, heads=4)", "'heads' is not one of its sizes: inputs, outputs"),
        ("torch.nn.ConvTranspose2d(64, 128)", "window is missing"),
        ("transformers.GPT2Model", "depends on the width"),
        ("keras.layers.DepthwiseConv2D", "depends on the width"),
        ("timm.EfficientNet.classifier", "such as 'timm.EfficientNet.classifier(1280, classes=10)'"),
        ("haiku.Embed", "multiplies no signal"),
    ],
)
def test_what_is_wrong_is_said(specification: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        get(specification)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", names())
def test_every_name_has_a_value_or_says_what_it_needs(name: str) -> None:
    """The names that an error proposes are valid."""
    try:
        preset = get(name)
    except ValueError as error:
        if "no signal" in str(error):
            return
        preset = get(str(error).split("such as '")[1].removesuffix("'"))
    assert 0.0 < preset.sigma_w < 10.0 or preset.initialiser.law == "zeros"


def test_formulas() -> None:
    assert variables("2*inputs/(inputs+sqrt(heads))") == {"inputs", "heads"}
    assert evaluated("2*inputs/(inputs+sqrt(heads))**2", {"inputs": 2.0, "heads": 4.0}) == 0.25
    assert limit("2*inputs/(inputs+4*outputs)", {}) == pytest.approx(0.4)
    assert limit("0.02**2*fan_in", {}) == math.inf
    assert limit("1/(3*inputs**2)", {}) == 0.0


@pytest.mark.parametrize("formula", ["__import__('os')", "inputs.real", "inputs - 1", "'a'", "[1]", "sqrt(1, 2)"])
def test_a_formula_is_arithmetic_and_nothing_else(formula: str) -> None:
    with pytest.raises(ValueError, match="is neither"):
        evaluated(formula, {"inputs": 1.0})


def test_the_command(command_line: CommandLine) -> None:
    done = command_line("inits", "--library", "keras", "--format", "json")
    assert (done.code, done.err) == (0, "")
    rows = {row["init"]: row for row in json.loads(done.out)}
    assert rows["keras.layers.MultiHeadAttention@3.14.0"]["sigma_w"] == pytest.approx(1 / 6)
    assert rows["keras.layers.MultiHeadAttention"]["sigma_w"] == 1.0
    assert rows["keras.layers.DepthwiseConv2D"]["sigma_w"] is None
    assert rows["keras.layers.LSTM.state"]["law"] == "orthogonal"
    assert {row["library"] for row in rows.values()} == {"keras"}


def test_the_command_takes_names(command_line: CommandLine) -> None:
    done = command_line("inits", "torch.nn.Linear(100)", "he", "--format", "json")
    assert [row["init"] for row in json.loads(done.out)] == ["torch.nn.Linear(100)", "he"]
    assert json.loads(done.out)[0]["sigma_b"] == pytest.approx(1 / math.sqrt(300))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--library", "torhc"], "Did you mean 'torch'"),
        (["--library", "zzz"], "Libraries: recipe, torch"),
        (["torch.nn.Linaer"], "Did you mean 'torch.nn.Linear'"),
        (["he", "torch"], "'torch' is a library, all of which --library torch shows."),
    ],
)
def test_the_command_says_what_is_wrong(command_line: CommandLine, arguments: list[str], words: str) -> None:
    done = command_line("inits", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_every_label_of_the_command_is_a_name(command_line: CommandLine) -> None:
    rows = [json.loads(line) for line in command_line("inits").out.splitlines()]
    assert len(rows) == len(table())
    for row in rows:
        if row["sigma_w"] is not None:
            assert get(row["init"]).sigma_w == row["sigma_w"]


def test_it_is_part_of_the_package() -> None:
    assert mfmi.initialisers.get("he").sigma_w == math.sqrt(2.0)


# ---- in place of sigma_w and sigma_b --------------------------------------------------------------------------------


def test_a_network_starts_as_a_library_does(command_line: CommandLine) -> None:
    network = ("bound", "--act", "tanh", "--depth", "3", "--estimator", "linear", "--format", "json")
    own = json.loads(command_line(*network, "--sw", "1").out)
    named = json.loads(command_line(*network, "--init", "torch.nn.Linear(  inputs=100)").out)
    assert {row["init"] for row in own} == {None}
    assert {row["init"] for row in named} == {"torch.nn.Linear(inputs=100)"}
    assert named[0]["sigma_b"] == pytest.approx(0.1 * THIRD)
    scales = ("--sw", repr(named[0]["sigma_w"]), "--sb", repr(named[0]["sigma_b"]))
    same = json.loads(command_line(*network, *scales).out)
    assert [row | {"init": None} for row in named] == same


@pytest.mark.parametrize("command", ["bound", "isometry", "verify"])
def test_every_command_that_takes_one_network_takes_its_initialiser(command_line: CommandLine, command: str) -> None:
    assert (
        "--init gives the standard deviations; --sw does not"
        in command_line(command, "--act", "tanh", "--init", "he", "--sw", "1").err
    )
    assert "--sb does not" in command_line(command, "--act", "tanh", "--init", "he", "--sb", "1").err
    assert "Missing option '--sw'" in command_line(command, "--act", "tanh").err
    assert "Did you mean 'torch.nn.Linear'" in command_line(command, "--act", "tanh", "--init", "torch.nn.Linaer").err


def test_the_phase_of_a_library(command_line: CommandLine) -> None:
    row = json.loads(command_line("phase", "--act", "relu", "--init", "torch.nn.Linear(100)", "--format", "json").out)[
        0
    ]
    assert (row["phase"], row["chi_1"]) == ("ordered", pytest.approx(1 / 6))
    assert (row["sigma_w"], row["sigma_b"]) == (pytest.approx(THIRD), pytest.approx(0.1 * THIRD))
    for beside, words in (("--sw", "--sw does not go"), ("--sb", "--sb does not go")):
        assert words in command_line("phase", "--act", "relu", "--init", "he", beside, "1").err
    assert "--curve takes --sw" in command_line("phase", "--act", "relu", "--init", "he", "--curve").err


def test_the_headline_names_the_initialiser(command_line: CommandLine) -> None:
    done = command_line(
        "bound", "--act", "relu", "--init", "he", "--depth", "1", "--estimator", "linear", "--format", "table"
    )
    assert done.out.startswith("relu · he · sigma_w 1.41421 · ")


def test_evaluate_takes_initialisers() -> None:
    frame = mfmi.evaluate("tanh", init=["he", "lecun", "torch.nn.Linear(100)"], depth=[1, 2], estimators=["linear"])
    assert list(frame.init) == ["he", "he", "lecun", "lecun", "torch.nn.Linear(100)", "torch.nn.Linear(100)"]
    own = mfmi.evaluate("tanh", sigma_w=[math.sqrt(2), 1.0], depth=[1, 2], estimators=["linear"])
    assert own.init.isna().all()
    assert list(frame.mi_linear[:4]) == list(own.mi_linear)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "sigma_w: None is not a number; give sigma_w, or init"),
        ({"init": "he", "sigma_w": 1.0}, "sigma_w: 1.0 is not asked for; init gives"),
        ({"init": "he", "sigma_b": 0.0}, "sigma_b: 0.0 is not asked for; init gives"),
        ({"init": "hee"}, "init: 'hee' is not a name"),
        ({"init": 3}, "init: 3 is not a name"),
    ],
)
def test_evaluate_says_what_is_wrong(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"^(sigma|init)") as caught:
        mfmi.evaluate("tanh", **arguments)
    assert words in str(caught.value)


CONFIG = "version: 1\nsweep:\n  activation: [tanh, relu]\n"
CONFIG += "  init: [torch.nn.Linear, 'keras.layers.MultiHeadAttention@3.14']\n"


def plan(tmp_path: Path, text: str) -> Plan:
    (tmp_path / "a.yaml").write_text(text)
    return Plan.from_config(read_config(str(tmp_path / "a.yaml")))


def test_initialisers_are_an_axis_of_a_sweep(tmp_path: Path) -> None:
    points = plan(tmp_path, CONFIG).points(0, 4)
    assert list(points.initialisers) == ["torch.nn.Linear", "keras.layers.MultiHeadAttention@3.14"] * 2
    assert list(points.sigma_w) == pytest.approx([THIRD, 1 / 6] * 2)
    assert list(points.sigma_b) == [0.0] * 4
    assert list(points[1:3].initialisers) == ["keras.layers.MultiHeadAttention@3.14", "torch.nn.Linear"]


def test_points_have_initialisers_of_their_own(tmp_path: Path) -> None:
    text = "version: 1\nsweep:\n  mode: points\n  activation: tanh\n"
    text += "  points: [{init: he}, {init: 'torch.nn.Linear(100)'}]\n"
    points = plan(tmp_path, text).points(0, 2)
    assert list(points.sigma_w) == pytest.approx([math.sqrt(2), THIRD])
    assert list(points.sigma_b) == pytest.approx([0.0, 0.1 * THIRD])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("  init: he\n  sigma_w: 1\n", "4:3: error: sweep.sigma_w: init on line 3 stands for it".replace("4:3", "5:3")),
        ("  init: he\n  sigma_b2: [0, 1]\n", "sweep.sigma_b2: init on line 4 stands for it; give one of the two"),
        (
            "  init: torch.nn.Linaer\n",
            "sweep.init: 'torch.nn.Linaer' is not a name of `mfmi inits` (did you mean torch.nn.Linear?)",
        ),
        ("  init: transformers.GPT2Model\n", "depends on the width"),
        ("  init: 3\n", "expected a name of mfmi inits, got 3"),
        ("  init: [he, he]\n", "stands at [0] already"),
        ("", "sweep.sigma_w: missing: give sigma_w or sigma_w2 or init"),
    ],
)
def test_a_config_says_what_is_wrong(tmp_path: Path, lines: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(tmp_path, f"version: 1\nsweep:\n  activation: tanh\n{lines}")
    text = "\n".join(str(error) for error in getattr(caught.value, "errors", [caught.value]))
    assert words.replace("line 3", "line 4") in text


def test_a_mixture_of_points_is_refused(tmp_path: Path) -> None:
    text = "version: 1\nsweep:\n  mode: points\n  activation: tanh\n  points: [{init: he}, {sigma_w: 1}]\n"
    with pytest.raises(ConfigError) as caught:
        plan(tmp_path, text)
    assert "sweep.points[1].sigma_w: init on line 5 stands for it" in str(
        getattr(caught.value, "errors", caught.value)[0]
    )


def test_a_sweep_over_initialisers(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CONFIG + "  depth: [1, 2]\nestimators: [linear]\n")
    done = command_line("sweep", tmp_path / "a.yaml", "-o", tmp_path / "a.parquet", "--jobs", "1")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in command_line("show", tmp_path / "a.parquet", "--rows").out.splitlines()]
    assert len(rows) == 8
    found = {(row["init"], round(row["sigma_w"], 6)) for row in rows}
    assert found == {("torch.nn.Linear", 0.57735), ("keras.layers.MultiHeadAttention@3.14", 0.166667)}
