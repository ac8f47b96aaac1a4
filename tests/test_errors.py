"""Suggestions for misspelt names: one helper, and every door that a name comes in by asks it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

import mfmi
from mfmi.columns import BY_NAME
from mfmi.errors import closest, did_you_mean, likeliest
from mfmi.names import ESTIMATORS, NUMBER_FORMATS, WEIGHTS

CommandLine = Callable[..., Outcome]


@pytest.mark.parametrize(
    ("word", "options", "found"),
    [
        ("Tanhh", mfmi.activation_names(), "tanh"),
        ("rel", mfmi.activation_names(), "relu"),
        ("Leaky-ReLU", mfmi.activation_names(), "leaky_relu"),
        ("orth", WEIGHTS, "orthogonal"),
        ("normal", WEIGHTS, None),
        ("bf16", NUMBER_FORMATS, "bfloat16"),
        ("upper", ESTIMATORS, "gaussian_upper"),
        ("mi_lin", BY_NAME, "mi_linear"),
        ("sigmaw", BY_NAME, "sigma_w"),
        ("Linear", ["haiku.Linears", "torch.nn.Linear", "haiku.Linear"], "torch.nn.Linear"),
        ("", ESTIMATORS, None),
        (100 * "linear", ESTIMATORS, None),
    ],
)
def test_the_likeliest(word: str, options: tuple[str, ...], found: str | None) -> None:
    assert likeliest(word, options) == found


def test_several_are_suggested_in_order_and_none_where_none_is_close() -> None:
    assert closest("relu", ["tanh", "elu", "relu6"], 3) == ("relu6", "elu")
    assert did_you_mean("relu", ["tanh", "elu", "relu6"], 3) == " Did you mean 'relu6' or 'elu'?"
    assert did_you_mean("relu", ["tanh"]) == ""


SWEEP = "version: 1\nsweep: {activation: tanh, sigma_w: [1, 2], depth: 2}\nestimators: [linear]\n"
BOUND = ("bound", "--act", "tanh", "--sw", "1")


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["bond"], "bound"),
        (["bound", "--acct", "tanh"], "--act"),
        (["bound", "--act", "tahn", "--sw", "1"], "tanh"),
        (["bound", "--act", "leaky_relu(slop=0.1)", "--sw", "1"], "slope"),
        (["bound", "--act", "user_functions:softsine", "--sw", "1"], "softsign"),
        (["bound", "--act", "tanh", "--init", "torch.nn.Linaer"], "torch.nn.Linear"),
        ([*BOUND, "--estimator", "linaer"], "linear"),
        ([*BOUND, "--column", "mmsee"], "mmse"),
        ([*BOUND, "--weights", "orthogonall"], "orthogonal"),
        ([*BOUND, "--sn", "bf16"], "bfloat16"),
        ([*BOUND, "--norm", "layer-norm"], "layernorm"),
        (["inits", "--library", "kears"], "keras"),
        (["inits", "gloroth"], "glorot"),
        (["capacity", "--act", "tanh", "--sw", "1", "--widths", "4,4", "--symmetry", "reflection"], "reflections"),
        (["config", "chek", "sweep.yaml"], "check"),
        (["config", "check", "sweep.yaml", "--set", "sweep.sigmaw=1"], "sigma_w"),
        (["config", "check", "sweep.yaml", "--set", "estimators=[linaer]"], "linear"),
        (["config", "check", "sweep.yaml", "--set", "sweep.activation=tahn"], "tanh"),
        (["config", "check", "sweep.yaml", "--set", "columns=[mmsee]"], "mmse"),
        (["show", "sweep.parquet", "--where", "detph == 2"], "depth"),
        (["show", "sweep.parquet", "--rows", "--sort", "mi_linaer"], "mi_linear"),
        (["show", "sweep.parquet", "--group-by", "detph"], "depth"),
        (["plot", "sweep.parquet", "--terminal", "--quantity", "mi_linaer"], "mi_linear"),
        (["plot", "sweep.parquet", "--terminal", "--x", "detph"], "depth"),
    ],
)
def test_every_door_of_the_command_line_suggests_the_nearest(
    arguments: list[str], near: str, command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    if "sweep.parquet" in arguments:
        assert command_line("-q", "sweep", "sweep.yaml", "-o", "sweep.parquet", "--jobs", "1").code == 0
    done = command_line(*arguments)
    assert done.code in (2, 3)
    assert done.out == ""
    *_, hint = done.err.lower().partition("did you mean")
    assert near.lower() in hint


@pytest.mark.parametrize(
    ("call", "near"),
    [
        (lambda: mfmi.activation("tahn"), "tanh"),
        (lambda: mfmi.evaluate("tanh", init="torch.nn.Linaer"), "torch.nn.Linear"),
        (lambda: mfmi.evaluate("tanh", 1.0, estimators=["linaer"]), "linear"),
        (lambda: mfmi.evaluate("tanh", 1.0, columns="mmsee"), "mmse"),
        (lambda: mfmi.evaluate("tanh", 1.0, unit="bit"), "bits"),
        (lambda: mfmi.evaluate("tanh", 1.0, sigma_noise="bf16"), "bfloat16"),
        (lambda: mfmi.evaluate("tanh", 1.0, normalization="layer-norm"), "layernorm"),
    ],
)
def test_every_door_of_python_suggests_the_nearest(call: Callable[[], object], near: str) -> None:
    with pytest.raises(ValueError, match=rf"(?i)did you mean .*{near}"):
        call()


def test_a_misspelt_function_is_left_to_python_to_suggest() -> None:
    with pytest.raises(AttributeError) as caught:
        mfmi.evaluat  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("evaluat", mfmi)
