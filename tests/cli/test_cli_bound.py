"""``mfmi bound``: the values of the literature, the rows of the contract, and the drawing."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

import mfmi
from mfmi.cli.bound import command
from mfmi.cli.bound_view import BARS
from mfmi.cli.numbers import number
from mfmi.columns import COLUMNS
from mfmi.names import ALL_UP_TO, DEFAULT_ESTIMATORS, ESTIMATORS, STRUCTURED_ESTIMATORS, usual_estimators

CommandLine = Callable[..., Outcome]


def rows(command_line: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    done = command_line("bound", *arguments, "--format", "json")
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


# Theory section 8: activation, depth, variances of weights, biases, output and hidden noise; gaussian, orthogonal.
LINEAR = [
    ("tanh", 2, 1.5, 0.0, 0.01, 0.0, 0.7604, 1.1169),
    ("tanh", 4, 2.0, 0.3, 0.01, 0.0, 0.2815, 0.5548),
    ("relu", 2, 2.0, 0.05, 0.05, 0.05, 0.4031, 0.5896),
    ("relu", 4, 1.5, 0.0, 0.01, 0.0, 0.1369, 0.2236),
]


@pytest.mark.parametrize(("act", "depth", "w2", "b2", "noise2", "hidden2", "gaussian", "orthogonal"), LINEAR)
def test_linearly_readable_information_to_four_decimals(
    command_line: CommandLine,
    act: str,
    depth: int,
    w2: float,
    b2: float,
    noise2: float,
    hidden2: float,
    gaussian: float,
    orthogonal: float,
) -> None:
    network = ["--act", act, "--sw", repr(math.sqrt(w2)), "--sb", repr(math.sqrt(b2)), "--sn", repr(math.sqrt(noise2))]
    network += ["--noise-at", "every" if hidden2 else "output", "--depth", str(depth), "--estimator", "linear"]
    for weights, expected in (("gaussian", gaussian), ("orthogonal", orthogonal)):
        last = rows(command_line, *network, "--weights", weights)[-1]
        assert last["depth"] == depth
        assert round(last["mi_linear"], 4) == expected


def test_marchenko_pastur(command_line: CommandLine) -> None:
    network = ["--act", "linear", "--sw", "1", "--sn", repr(math.sqrt(0.1)), "--depth", "1", "--estimator", "linear"]
    (row,) = rows(command_line, *network)
    gamma = 10.0
    root = math.sqrt(1 + 4 * gamma)
    exact = math.log((1 + root) / 2) - (root - 1) ** 2 / (8 * gamma)
    assert row["mi_linear"] == pytest.approx(exact, abs=1e-9)
    assert round(exact, 5) == 0.94383


def test_the_rows_are_the_contract(command_line: CommandLine) -> None:
    found = rows(command_line, "--act", "tanh", "--sw", "1.5", "--depth", "3", "--estimator", "linear")
    assert [row["depth"] for row in found] == [1, 2, 3]
    names = [column.name for column in COLUMNS if column.name != "point"]
    for row in found:
        assert list(row) == names
        asked = {name: row[f"mi_{name}"] for name in (*DEFAULT_ESTIMATORS, "replica")}
        assert asked.pop("linear") > 0
        assert set(asked.values()) == {None}
        assert row["mi_upper"] is None
        assert row["mi_lower"] == row["mi_linear"]


def test_by_default_everything_of_a_small_request() -> None:
    """At one layer more the estimators are those of large ones."""
    assert usual_estimators(True, False, ALL_UP_TO) == ESTIMATORS
    assert usual_estimators(True, False, ALL_UP_TO + 1) == usual_estimators(True, False) == DEFAULT_ESTIMATORS
    assert usual_estimators(False, True, 1) == STRUCTURED_ESTIMATORS


def test_without_a_value_there_is_an_i_between_the_bounds(command_line: CommandLine) -> None:
    chosen = ("--estimator", "linear", "--estimator", "gaussian_upper")
    lines = drawing(command_line, "--act", "tanh", "--sw", "1.5", "--depth", "2", *chosen)
    assert "0.719 ≤ I ≤ 1.639" in lines[5]
    assert lines[-2].startswith("█ linearly readable  ▓ lower  ▒ upper   ")


def test_estimators_come_in_the_order_of_their_columns() -> None:
    (option,) = (option for option in command.params if option.name == "estimators")
    for given, meant in (((), DEFAULT_ESTIMATORS), (("replica", "linear", "linear"), ("linear", "replica"))):
        assert option.callback is not None
        assert option.callback(None, None, given) == meant  # type: ignore[arg-type]


def test_bits_are_nats_over_ln_2(command_line: CommandLine) -> None:
    network = ["--act", "tanh", "--sw", "1.2", "--depth", "2", "--estimator", "linear"]
    nats, bits = (rows(command_line, *network, "--unit", unit)[-1]["mi_linear"] for unit in ("nats", "bits"))
    assert bits == pytest.approx(nats / math.log(2.0), rel=1e-15)


def test_python_and_the_command_line_say_the_same(command_line: CommandLine) -> None:
    found = rows(command_line, "--act", "tanh", "--sw", "1.5", "--sb", "0.3", "--depth", "4", "--estimator", "linear")
    frame = mfmi.evaluate("tanh", 1.5, 0.3, depth=range(1, 5), estimators="linear")
    assert frame["mi_linear"].tolist() == [row["mi_linear"] for row in found]
    assert frame["q"].tolist() == [row["q"] for row in found]


def test_a_file_instead_of_the_terminal(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    network = ["--act", "linear", "--sw", "1", "--depth", "2", "--estimator", "linear", "--unit", "bits"]
    done = command_line("bound", *network, "-o", path)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert pd.read_parquet(path)["depth"].tolist() == [1, 2]
    again = command_line("bound", *network, "-o", path)
    assert again.code == 5
    assert again.err == f"mfmi: error: {path} exists: --force replaces it\n"
    assert command_line("bound", *network, "-o", path, "--force").code == 0


def test_an_activation_of_ones_own(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_activations.py").write_text("import numpy as np\n\n\ndef wave(u):\n    return np.tanh(u)\n")
    monkeypatch.chdir(tmp_path)
    network = ["--sw", "1.2", "--depth", "2", "--estimator", "linear"]
    own = rows(command_line, "--act", "my_activations:wave", *network)[-1]
    known = rows(command_line, "--act", "tanh", *network)[-1]
    assert own["activation"] == "my_activations:wave"
    assert own["mi_linear"] == pytest.approx(known["mi_linear"], rel=1e-6)


def drawing(command_line: CommandLine, *arguments: str) -> list[str]:
    done = command_line("bound", *arguments, "--format", "table")
    assert done.code == 0, done.err
    return done.out.splitlines()


def test_the_drawing_fits_80_columns(command_line: CommandLine) -> None:
    lines = drawing(command_line, "--act", "tanh", "--sw", "1.5", "--depth", "2")
    assert lines[0] == "tanh · sigma_w 1.5 · sigma_b 0 · noise 0.1 at the output · gaussian weights"
    assert lines[1] == "chaotic: chi_1 1.139, q* 0.793; the edge of chaos is at sigma_w 1.000"
    assert max(map(len, lines)) <= 80
    assert re.search(r"^ +2 +1\.216 +0\.450 +0\.968 +0\.719 +1\.51\d ≤ 1\.52\d ≤ 1\.639 +█+▓+┃▒+$", lines[5])
    assert lines[-2] == "lower: the best of linear, entropy_power, layerwise, fisher   value: replica"
    assert lines[-1] == "upper: the best of gaussian_upper, covariance_upper"


@pytest.mark.parametrize(
    ("width", "more", "missing"),
    [
        (100, ("--column", "mmse"), ""),
        (80, ("--column", "mmse"), ""),
        (80, ("--column", "mmse", "--column", "jacobian_mean"), "c, chi"),
        (60, (), "c, chi"),
        (40, (), "q, c, chi, bars"),
    ],
)
def test_rows_fit_the_terminal(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, width: int, more: tuple[str, ...], missing: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    chosen = ("--estimator", "linear", "--estimator", "gaussian_upper", *more)
    lines = drawing(command_line, "--act", "tanh", "--sw", "1.5", "--depth", "3", *chosen)
    rows = [line for line in lines if re.match(r" *(layer|[123]) ", line)]
    assert len(rows) == 4
    assert max(map(len, rows)) <= width
    absent = {
        name
        for line in lines
        if line.startswith("no room for ")
        for name in re.findall(r"\w+", line[12:].split(":")[0])
    }
    assert absent == set(re.findall(r"\w+", missing))
    assert set(rows[0].split()) >= {"layer", "linear", *(name for name in ("q", "c", "chi") if name not in absent)}
    assert ("█" in rows[1]) != ("bars" in absent)


def test_zeros_for_want_of_rows_are_not_counted(command_line: CommandLine, tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).standard_normal((10, 256))
    np.save(tmp_path / "w.npy", matrix)
    lines = drawing(
        command_line, "--act", "tanh", "--sw", "1", "--weights", f"matrix:{tmp_path / 'w.npy'}", "--widths", "256,10"
    )
    squares = np.linalg.svd(matrix, compute_uv=False) ** 2
    (about,) = [line for line in lines if "of its own" in line]
    assert f"10 eigenvalues; the largest is {squares[0] / squares.mean():.3f} times their mean" in about


def test_eigenvalues_that_are_0_are_counted(command_line: CommandLine, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "e.csv", [0.0, 1.0, 3.0, 0.0])
    lines = drawing(
        command_line, "--act", "tanh", "--sw", "1", "--weights", f"spectrum:{tmp_path / 'e.csv'}", "--depth", "1"
    )
    assert any("4 eigenvalues, 2 of them 0; the largest is 3.000 times their mean" in line for line in lines)


def test_bars_are_in_proportion(command_line: CommandLine) -> None:
    lines = drawing(command_line, "--act", "tanh", "--sw", "1.5", "--depth", "5", "--estimator", "linear")
    lengths = [sum(line.count(mark) for mark in BARS) for line in lines[4:9]]
    values = [float(line.split()[4]) for line in lines[4:9]]
    for length, value in zip(lengths, values, strict=True):
        assert length == pytest.approx(value / values[0] * lengths[0], abs=0.51)


def test_colour_changes_nothing_but_colour(command_line: CommandLine) -> None:
    network = ["--act", "tanh", "--sw", "1.5", "--depth", "3", "--estimator", "linear"]
    coloured = "\n".join(drawing(command_line, *network, "--color", "always"))
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == "\n".join(drawing(command_line, *network, "--color", "never"))


def test_what_is_unbounded_is_said(command_line: CommandLine) -> None:
    lines = drawing(command_line, "--act", "relu", "--sw", "2", "--sb", "0.5", "--depth", "2", "--estimator", "linear")
    assert lines[1].startswith("unbounded: no finite q*; there is no edge of chaos that it could reach")


def test_a_fixed_point_that_is_not_known_is_not_denied(command_line: CommandLine) -> None:
    options = ["--act", "numpy:exp", "--sw", "1", "--depth", "1", "--estimator", "linear", "--format", "table"]
    title = command_line("bound", *options).out.splitlines()[1]
    assert title.startswith("phase unknown: q* is not known; there is no edge of chaos that it could reach")
    assert title.endswith("up to a variance of 1, beyond which the activation's moments are not known")


def test_an_edge_that_no_network_reaches_is_not_quoted(command_line: CommandLine) -> None:
    for name in ("silu", "gelu"):
        lines = drawing(command_line, "--act", name, "--sw", "2", "--depth", "1", "--estimator", "linear")
        assert "2.000" not in lines[1]
        assert "no edge of chaos that it could reach" in lines[1]


def test_one_sided_bounds(command_line: CommandLine) -> None:
    upper = drawing(command_line, "--act", "tanh", "--sw", "1", "--depth", "1", "--estimator", "gaussian_upper")[4]
    assert "I ≤" in upper
    assert "≤ I" not in upper
    neither = drawing(command_line, "--act", "tanh", "--sw", "1", "--depth", "1", "--estimator", "mean_field")[4]
    assert "≤" not in neither


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (math.nan, ""),
        (0.0, "0.000"),
        (1.23456, "1.235"),
        (9.9996, "10.00"),
        (99.996, "100.0"),
        (12.345, "12.35"),
        (1234.56, "1234.6"),
        (12345.6, "1.2e+04"),
        (1e-9, "1.0e-09"),
        (-0.5, "-0.500"),
        (math.inf, "inf"),
    ],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number(value) == text
