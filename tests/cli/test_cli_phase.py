"""``mfmi phase``: one point, a grid, the edge of chaos; in words, in characters, in files."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

import mfmi
from mfmi.cli.phase import command
from mfmi.cli.phase_view import EDGE_MARKS, PHASE_MARKS, REPELLING_MARKS
from mfmi.meanfield import fixed_points

CommandLine = Callable[..., Outcome]
SCALES = ["q_star", "c_star", "chi_1", "chi_q", "chi_c", "xi_q", "xi_c", "xi_grad", "phase", "n_stable"]
STATUS = ["status", "message"]
NETWORK = ["activation", "noise_at", "sigma_w", "sigma_b", "sigma_noise", "input_variance"]


def rows(command_line: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    done = command_line("phase", *arguments, "--format", "json")
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def test_one_point(command_line: CommandLine) -> None:
    (row,) = rows(command_line, "--act", "tanh", "--sw", "1.5", "--sb", "0.1")
    expected = mfmi.fixed_point("tanh", sigma_w=1.5, sigma_b=0.1)
    assert list(row) == NETWORK + SCALES + STATUS
    assert {name: row[name] for name in SCALES + STATUS} == {name: expected[name] for name in SCALES + STATUS}


def test_hidden_noise_counts_and_noise_at_the_output_does_not(command_line: CommandLine) -> None:
    network = ["--act", "tanh", "--sw", "1.5", "--sb", "0.1", "--sn", "0.3"]
    (output,) = rows(command_line, *network)
    (every,) = rows(command_line, *network, "--noise-at", "every")
    assert output["q_star"] == mfmi.fixed_point("tanh", sigma_w=1.5, sigma_b=0.1).q_star
    assert every["q_star"] == mfmi.fixed_point("tanh", sigma_w=1.5, sigma_b=0.1, sigma_noise=0.3).q_star


def test_a_grid_has_a_row_per_point(command_line: CommandLine) -> None:
    found = rows(command_line, "--act", "erf", "--sw", "0.5:2:4", "--sb", "0,0.3")
    assert [(row["sigma_w"], row["sigma_b"]) for row in found] == [
        (w, b) for w in (0.5, 1.0, 1.5, 2.0) for b in (0.0, 0.3)
    ]
    expected = mfmi.fixed_point(
        "erf", sigma_w=[row["sigma_w"] for row in found], sigma_b=[row["sigma_b"] for row in found]
    )
    assert [row["q_star"] for row in found] == expected.q_star.tolist()


def test_a_range_is_numpys(command_line: CommandLine) -> None:
    found = rows(command_line, "--act", "erf", "--sw", "0.1:2.7:27")
    assert [row["sigma_w"] for row in found] == np.linspace(0.1, 2.7, 27).tolist()


def test_every_format_has_the_same_numbers(command_line: CommandLine, tmp_path: Path) -> None:
    # Infinite depth scales at 1, no numbers in the unbounded phase.
    arguments = ["phase", "--act", "relu", "--sw", f"1,{math.sqrt(2.0)!r},2"]
    for suffix in ("json", "csv", "parquet"):
        assert command_line(*arguments, "-o", tmp_path / f"rows.{suffix}").code == 0
    csv, parquet = pd.read_csv(tmp_path / "rows.csv"), pd.read_parquet(tmp_path / "rows.parquet")
    assert csv["phase"].tolist() == parquet["phase"].tolist() == ["ordered", "critical", "unbounded"]
    for name in SCALES[:-2]:
        assert csv[name].to_numpy() == pytest.approx(parquet[name].to_numpy(), rel=0, abs=0, nan_ok=True)
    assert parquet["xi_c"].tolist()[1] == math.inf
    assert parquet["q_star"].isna().tolist() == [False, False, True]
    infinite, unbounded = json.loads((tmp_path / "rows.json").read_text())[1:]
    assert float(infinite["xi_c"]) == math.inf
    assert unbounded["q_star"] is None


def test_every_fixed_point(command_line: CommandLine) -> None:
    found = rows(command_line, "--act", "gelu", "--sw", "1.5", "--sb", "0.1", "--all")
    expected = fixed_points("gelu", sigma_w=1.5, sigma_b=0.1)
    assert [row["q_star"] for row in found] == expected.q_star.tolist()
    assert [(row["stable"], row["reached"]) for row in found] == [(True, False), (False, False)]


def test_the_curve_by_biases_and_by_weights(command_line: CommandLine) -> None:
    found = rows(command_line, "--act", "silu", "--curve", "--sb", "0,0.3,1")
    edge = mfmi.edge_of_chaos("silu", [0.0, 0.3, 1.0])
    assert [row["sigma_w"] for row in found] == edge.sigma_w.tolist()
    assert [row["stable"] for row in found] == edge.stable.tolist()
    assert [row["kind"] for row in found] == ["zero", "interior", "interior"]
    back = rows(command_line, "--act", "silu", "--curve", "--sw", repr(found[2]["sigma_w"]))
    assert min(abs(row["sigma_b"] - 1.0) for row in back) < 1e-9


def test_a_curve_that_does_not_exist_is_empty(command_line: CommandLine) -> None:
    assert rows(command_line, "--act", "relu", "--curve", "--sb", "0.1") == []
    done = command_line("phase", "--act", "relu", "--curve", "--sb", "0.1", "--format", "table")
    assert "no edge of chaos" in done.out


def test_what_lies_beyond_the_known_variances_is_not_denied(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bells.py").write_text("import numpy as np\ndef bell(u): return np.exp(np.minimum(u * u / 20, 300))\n")
    monkeypatch.syspath_prepend(tmp_path)
    limit = "up to a variance of 1, beyond which"
    for arguments in (["--curve", "--sb", "0.2"], ["--curve", "--sw", "0.2"], ["--all", "--sw", "3"]):
        done = command_line("phase", "--act", "bells:bell", *arguments, "--format", "json")
        (row,) = json.loads(done.out)
        assert (row["status"], row["q_star"]) == ("unconverged", None)
        assert row["message"].startswith("no ")
        assert limit in row["message"]
        assert row["message"] in done.err
    table = command_line("phase", "--act", "bells:bell", "--curve", "--sb", "0.2", "--format", "table").out
    assert f"no edge of chaos at any of these sigma_b {limit}" in table
    table = command_line("phase", "--act", "bells:bell", "--sw", "0.3", "--sb", "0.2", "--format", "table").out
    assert f"no edge of chaos at this sigma_b {limit}" in table
    assert f"n_stable counts fixed points {limit}" in table


# ---- what a person sees ----------------------------------------------------------------------------------------------


def test_a_point_in_words(command_line: CommandLine) -> None:
    out = command_line("phase", "--act", "tanh", "--sw", "1.5", "--sb", "0.1", "--format", "table").out
    assert "chaotic: chi_1 1.129; the edge of chaos is at sigma_w 1.1934" in out
    assert "6 xi_c" in out
    assert "fixed points" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_point_with_several_fixed_points(command_line: CommandLine) -> None:
    network = ["phase", "--act", "gelu", "--sw", "1.4134453781512606", "--sb", "0.33810395644809677"]
    out = command_line(*network, "--format", "table").out
    assert out.count("attracts") == 2
    assert out.count("repels") >= 1
    assert out.count("reached from input variance 1") == 1
    out = command_line("phase", "--act", "gelu", "--sw", "1.5", "--sb", "0.1", "--format", "table").out
    assert out.startswith("gelu")
    assert "unbounded" in out
    assert "An input of variance 1 grows without bound." in out


@pytest.mark.parametrize("activation", ["sign", "relu", "cos", "softplus"])
def test_other_points_in_words(command_line: CommandLine, activation: str) -> None:
    done = command_line("phase", "--act", activation, "--sw", "1", "--format", "table")
    assert done.code == 0
    assert "nan" not in done.out


def drawn_map(out: str) -> list[str]:
    return [line.split("│", 1)[1] for line in out.splitlines() if "│" in line]


def test_a_map_in_characters(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = command_line("phase", "--act", "erf", "--sw", "0.5:3:41", "--sb", "0:1:21", "--format", "table")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    lines = drawn_map(done.out)
    assert len(lines) >= 14
    for line in lines:
        ordered, chaotic, edge = PHASE_MARKS["ordered"][0], PHASE_MARKS["chaotic"][0], EDGE_MARKS[0]
        first, last = line.index(edge), line.rindex(edge)
        assert set(line[:first]) <= {ordered}
        assert set(line[last + 1 :]) <= {chaotic}
    # The edge moves to larger weights with the biases.
    assert lines[0].index(EDGE_MARKS[0]) > lines[-1].index(EDGE_MARKS[0])


def test_unbounded_regions_and_repelling_edges_are_marked(command_line: CommandLine) -> None:
    out = command_line("phase", "--act", "gelu", "--sw", "1:2:41", "--sb", "0:1:21", "--format", "table").out
    text = "".join(drawn_map(out))
    for marks in (PHASE_MARKS["unbounded"], EDGE_MARKS, REPELLING_MARKS):
        assert marks[0] in text
    assert "edge that repels" in out


def test_a_map_in_ascii(process: Callable[..., Any]) -> None:
    arguments = ["phase", "--act", "erf", "--sw", "0.5:3:41", "--sb", "0:1:21", "--format", "table"]
    done = process(*arguments, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "?" not in done.stdout
    assert {".", "%", "#"} <= set(done.stdout)


def test_colour_is_optional(command_line: CommandLine) -> None:
    arguments = ["phase", "--act", "erf", "--sw", "0.5:3:9", "--sb", "0:1:5", "--format", "table"]
    plain, coloured = command_line(*arguments).out, command_line(*arguments, "--color", "always").out
    assert "\x1b" not in plain
    assert "\x1b[34m" in coloured


# ---- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sw", "3:1:4"], "'3:1:4' does not go up"),
        (["--sw", "1:2"], "'1:2' is not start:stop:num"),
        (["--sw", "1:2:x"], "'x', the number of values of the range '1:2:x', is not a whole number"),
        (["--sw", "1:2:1"], "is not in 2.."),
        (["--sw", "1,x"], "'x' is not a number"),
        (["--sb", "-1"], "-1 is less than 0"),
        (["--sw", "inf"], "inf is not finite"),
        (["--curve", "--sw", "1", "--sb", "1"], "not by both"),
        (["--curve", "--all"], "--all is about points"),
    ],
)
def test_mistakes_are_told(command_line: CommandLine, arguments: list[str], words: str) -> None:
    done = command_line("phase", "--act", "tanh", *arguments)
    assert done.code == 2
    assert words in done.err
    assert done.out == ""


def test_a_step_has_no_curve(command_line: CommandLine) -> None:
    done = command_line("phase", "--act", "sign", "--curve")
    assert done.code == 2
    assert "sign has no derivative" in done.err


@pytest.mark.parametrize("example", command.examples)
def test_the_examples_run(command_line: CommandLine, example: str) -> None:
    program, *arguments = example.split()
    assert program == "mfmi"
    done = command_line(*arguments)
    assert done.code == 0
    assert done.out
