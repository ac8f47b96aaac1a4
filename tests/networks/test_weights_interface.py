"""Weights of one's own by every way to ask for them: config, command line, Python."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Outcome

import mfmi
from mfmi.config.config import load_config
from mfmi.errors import ConfigError
from mfmi.networks.spectrum import WeightSpectrum
from mfmi.networks.weights import Weights

CommandLine = Callable[..., Outcome]
EIGENVALUES = np.array([0.0, 0.5, 1.0, 2.5])
MATRIX = np.random.default_rng(0).standard_normal((3, 4))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("e.npy", EIGENVALUES)
    np.savetxt("e.csv", EIGENVALUES)
    np.save("w.npy", MATRIX)
    np.save("below.npy", np.array([1.0, -1.0]))
    return tmp_path


def config(weights: str, rest: str = "", depth: str = "[1, 2]") -> str:
    return f"version: 1\nsweep:\n  activation: relu\n  sigma_w: 1.4\n  weights: {weights}\n  depth: {depth}\n{rest}"


def test_a_config_names_files_and_layers(folder: Path) -> None:
    found = load_config(
        config("[gaussian, {spectrum: e.npy}, {layers: [orthogonal, {spectrum: e.csv}, gaussian]}]"), "c.yaml"
    )
    labels = ["gaussian", "spectrum(e.npy)", "orthogonal,spectrum(e.csv),gaussian"]
    axis = next(axis for axis in found.axes if axis.name == "weights")
    assert axis.at(np.arange(3)).tolist() == labels
    assert [one.label for one in found.model.weights] == labels[1:]
    assert found.model.weights[0] == Weights.from_spectrum(EIGENVALUES, "e.npy")
    assert found.model.weights_of("gaussian").layers == ("gaussian",)
    about = found.canonical()["weights"]
    assert about["spectrum(e.npy)"]["sha256"] == about["spectrum(e.csv)"]["sha256"]


def test_one_ensemble_is_a_constant_and_points_have_their_own(folder: Path) -> None:
    constant = load_config(config("{spectrum: e.npy}"), "c.yaml")
    assert constant.grid.size == 1
    text = "version: 1\nsweep:\n  mode: points\n  activation: relu\n  points:\n"
    text += "    - {sigma_w: 1, weights: {layers: [{matrix: w.npy}, gaussian]}}\n    - {sigma_w: 2}\n  depth: 2\n"
    points = load_config(text + "network: {widths: [4, 3, 3]}\n", "c.yaml")
    axis = next(axis for axis in points.axes if axis.name == "weights")
    assert axis.at(np.arange(2)).tolist() == ["matrix(w.npy),gaussian", "gaussian"]
    assert points.model.weights[0].at(1) == WeightSpectrum.from_matrix(MATRIX, "w.npy")


def test_excluded_by_file(folder: Path) -> None:
    weights = "[gaussian, {spectrum: e.npy}]\n  exclude: [{weights: {spectrum: e.npy}}]"
    assert load_config(config(weights), "c.yaml").grid.kept(0, 2).tolist() == [0]
    with pytest.raises(ConfigError, match=r"exclude\[0\]\.weights: no point has weights spectrum\(e\.csv\)"):
        load_config(config(weights.replace("e.npy}}", "e.csv}}")), "c.yaml")


@pytest.mark.parametrize(
    ("weights", "rest", "message"),
    [
        ("{spectrum: none.npy}", "", r"c\.yaml:5:23: error: sweep\.weights\.spectrum: cannot read none\.npy: No such"),
        ("[gaussian, {spectrum: below.npy}]", "", r"sweep\.weights\[1\]\.spectrum: eigenvalues .* at least 0, not -1"),
        ("{spectrum: w.npy}", "", r"w\.npy: holds an array of shape \(3, 4\), not a row or column of eigenvalues"),
        ("{matrix: e.npy}", "", r"a weight matrix has rows and columns, not the shape \(4,\)"),
        ("{matrix: w.npy}", "", r"5:12: .*sweep\.weights: matrix\(w\.npy\) has 3 rows and 4 columns, a ratio of 0\.75"),
        ("{spectrum: e.npy}", "network: {alpha: [0.5, 1]}", r"share of 0\.25 of the eigenvalues .* at least 0\.5"),
        ("{layers: [gaussian, gaussian, gaussian]}", "network: {alpha: [1, 1]}", "of 3 layers in a network of 2"),
        ("{spectrun: e.npy}", "", r"sweep\.weights\.spectrun: unknown key \(did you mean spectrum\?\)"),
        ("{spectrum: e.npy, matrix: w.npy}", "", "needs exactly one of the keys spectrum, matrix, layers"),
        ("{layers: []}", "", r"sweep\.weights\.layers: the list is empty"),
        ("{layers: [{layers: [gaussian]}]}", "", r"layers\[0\]\.layers: unknown key; the keys here are spectrum"),
        ("orthogonl", "", r"got the text 'orthogonl' \(did you mean orthogonal\?\)"),
        ("3", "", "expected gaussian, orthogonal or a mapping with spectrum or matrix or layers, got 3"),
        ("[{spectrum: e.npy}, {spectrum: e.npy}]", "", r"spectrum\(e\.npy\) stands at \[0\] already"),
    ],
)
def test_what_is_wrong_with_them_is_said_where_it_is(folder: Path, weights: str, rest: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(config(weights, rest), "c.yaml")


def test_a_sweep_by_jobs_says_where_its_weights_are_from(folder: Path, command_line: CommandLine) -> None:
    Path("c.yaml").write_text(config("[orthogonal, {layers: [{spectrum: e.npy}, gaussian]}]"))
    for jobs in ("1", "2"):
        found = command_line("sweep", "c.yaml", "-o", f"{jobs}.parquet", "--jobs", jobs)
        assert found.code == 0, found.err
    assert Path("1.parquet").read_bytes() == Path("2.parquet").read_bytes()
    table = pq.read_table("1.parquet")
    about = json.loads(table.schema.metadata[b"mfmi"])["config"]["resolved"]["weights"]
    assert about["spectrum(e.npy)"]["eigenvalues"] == 4
    own = table.filter(np.array(table["weights"]) == "spectrum(e.npy),gaussian")
    expected = mfmi.evaluate(
        "relu",
        1.4,
        weights=mfmi.Weights.from_layers([mfmi.Weights.from_spectrum(EIGENVALUES), "gaussian"]),
        depth=[1, 2],
    )
    np.testing.assert_allclose(own["mi_lower"], expected["mi_lower"], rtol=1e-12)
    shown = command_line("show", "1.parquet", "--where", "weights == 'spectrum(e.npy),gaussian'", "--format", "jsonl")
    assert shown.code == 0
    assert "spectrum(e.npy),gaussian" in shown.out


def test_resuming_with_another_spectrum_is_refused(folder: Path, command_line: CommandLine) -> None:
    Path("c.yaml").write_text(config("{spectrum: e.npy}", "output: {path: o.parquet}\n"))
    assert command_line("sweep", "c.yaml", "--jobs", "1").code == 0
    np.save("e.npy", EIGENVALUES + 1.0)
    again = command_line("sweep", "c.yaml", "--jobs", "1", "--resume")
    assert again.code == 6


def test_bound_takes_files(folder: Path, command_line: CommandLine) -> None:
    arguments = ("bound", "--act", "relu", "--sw", "1.4", "--depth", "2", "--weights")
    found = command_line(*arguments, "matrix:w.npy,gaussian", "--widths", "4,3,3", "--format", "jsonl")
    assert found.code == 0, found.err
    rows = [json.loads(line) for line in found.out.splitlines()]
    expected = mfmi.evaluate(
        "relu",
        1.4,
        weights=Weights.from_layers([Weights.from_matrix(MATRIX), "gaussian"]),
        depth=[1, 2],
        widths=[4, 3, 3],
    )
    assert [row["weights"] for row in rows] == ["matrix(w.npy),gaussian"] * 2
    np.testing.assert_allclose([row["mi_lower"] for row in rows], expected["mi_lower"], rtol=1e-12)
    table = command_line(*arguments, "matrix:w.npy,gaussian", "--widths", "4,3,3", "--format", "table").out
    sigma_w = np.sqrt(4 * np.mean(MATRIX**2))
    assert f"matrix(w.npy): 3 x 4, sigma_w {sigma_w:.4g} of its own" in table
    assert "spectrum(e.csv): 4 eigenvalues" in command_line(*arguments, "spectrum:e.csv", "--format", "table").out


@pytest.mark.parametrize(
    ("weights", "code", "message"),
    [
        ("spectrum:none.npy", 5, "none.npy: No such file"),
        ("spectrum:below.npy", 2, "below.npy: eigenvalues of W^T W are at least 0, not -1."),
        ("spectrum:", 2, "spectrum: needs a file"),
        ("spektrum:e.npy", 2, "Did you mean 'spectrum'?"),
        ("gaussian,", 2, "'' is not one of 'gaussian', 'orthogonal', 'spectrum:FILE', 'matrix:FILE'."),
        ("matrix:w.npy", 2, "in a layer of ratio 1; layers are square but for --widths or --alpha."),
    ],
)
def test_wrong_weights_on_the_command_line(
    folder: Path, command_line: CommandLine, weights: str, code: int, message: str
) -> None:
    found = command_line("bound", "--act", "relu", "--sw", "1.4", "--weights", weights)
    assert found.code == code
    assert message in found.err


@pytest.mark.thorough
def test_verify_draws_matrices_with_these_singular_values(folder: Path, command_line: CommandLine) -> None:
    found = command_line(
        "verify", "--act", "relu", "--sw", "1.4", "--depth", "2", "--weights", "spectrum:e.npy,gaussian",
        "--width", "80", "--seeds", "6", "--jobs", "1", "--format", "jsonl", "--strict",
    )  # fmt: skip
    assert found.code == 0, found.err
    first = [json.loads(line) for line in found.out.splitlines()]
    spread = [row for row in first if row["quantity"] == "jacobian_relative_variance" and row["layer"] == 1]
    assert spread[0]["theory"] == pytest.approx(np.mean(EIGENVALUES**2) - 1.0)
    assert spread[0]["measured"] == pytest.approx(np.mean(EIGENVALUES**2) - 1.0)


def test_arrays_are_spectra_in_python() -> None:
    by_array = mfmi.evaluate("relu", 1.4, weights=EIGENVALUES, depth=2, estimators="linear")
    named = mfmi.evaluate(
        "relu", 1.4, weights=mfmi.Weights.from_spectrum(EIGENVALUES, "mine"), depth=2, estimators="linear"
    )
    assert named["weights"].tolist() == ["spectrum(mine)"]
    assert by_array["mi_linear"].tolist() == named["mi_linear"].tolist()
    by_matrix = mfmi.evaluate("relu", 1.4, weights=MATRIX, depth=1, widths=[4, 3], estimators="linear")
    values = np.linalg.svd(MATRIX, compute_uv=False) ** 2
    expected = 0.5 * np.sum(np.log1p(1.4**2 * 0.75 * values / (values.sum() / 4) / 0.01)) / 4
    assert by_matrix["mi_linear"][0] == pytest.approx(expected, rel=1e-12)


def test_weights_broadcast_beside_words() -> None:
    own = mfmi.Weights.from_layers(["orthogonal", "gaussian"])
    found = mfmi.evaluate("relu", [[1.0], [1.4]], weights=["gaussian", own], depth=[1, 2], estimators="linear")
    assert found["weights"].tolist() == (["gaussian"] * 2 + ["orthogonal,gaussian"] * 2) * 2


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("uniform", "weights: 'uniform' is not one of gaussian, orthogonal, nor mfmi.Weights"),
        ([None], "weights: None is not one of"),
        (np.array([1.0, -1.0]), "weights: eigenvalues of W.* at least 0"),
        (np.array([1.0, np.nan]), "weights: nan is not finite"),
        (MATRIX, "weights: matrix.* has 3 rows and 4 columns"),
        (
            [Weights.from_spectrum([1.0], "a"), Weights.from_spectrum([1.0, 2.0], "a")],
            "two different ones have the name",
        ),
    ],
)
def test_wrong_weights_in_python(weights: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mfmi.evaluate("relu", 1.0, weights=weights)
