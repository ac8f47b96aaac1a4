"""The table of initialisers: formulas beside what was measured, names, and the command."""

import json
import math
from collections.abc import Callable

import pytest
from conftest import Outcome

import mfmi
from mfmi.initialisers import get, libraries, names, table
from mfmi.initialisers._formula import evaluated, limit, variables

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
