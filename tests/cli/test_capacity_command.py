"""``mfmi capacity``: networks as options, files, symmetries, and what is said of them."""

import json
from collections.abc import Callable
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Outcome

CommandLine = Callable[..., Outcome]


def answer(command_line: CommandLine, *arguments: str | Path) -> list[dict[str, Any]]:
    done = command_line("capacity", *arguments, "--format", "json")
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def test_a_bottleneck(command_line: CommandLine) -> None:
    network = ("--act", "tanh", "--gains", "2,3", "--sn", "1", "--widths", "4,2,4", "--qx", "2")
    (row,) = answer(command_line, *network)
    assert row["capacity"] == pytest.approx(log(13.0))
    assert row["ceiling"] == pytest.approx(2.0 * log(7.0))
    assert row["bottleneck"] == 1
    (bits,) = answer(command_line, *network, "--unit", "bits")
    assert bits["capacity"] == pytest.approx(np.log2(13.0))


def test_explain(command_line: CommandLine) -> None:
    found = answer(
        command_line, "--act", "relu", "--sw", "1", "--weights", "orthogonal", "--widths", "6,3,9", "--every-layer"
    )
    assert [row["kind"] for row in found] == ["input", "dense", "dense"]
    assert [row["rank"] for row in found] == [6, 3, 9]
    assert [row["gain"] for row in found] == [None, 1.0, 3.0]
    assert [row["bottleneck"] for row in found] == [False, True, False]
    assert found[1]["limit"] == pytest.approx(1.5 * log(301.0))


def test_a_convolution(command_line: CommandLine) -> None:
    network = ("--act", "relu", "--gains", "1", "--sn", "1", "--shape", "2x4x4")
    (row,) = answer(command_line, *network, "--layer", "conv:3:2x2:2", "--layer", "dense:20")
    assert row["capacity"] == pytest.approx(0.5 * 12 * log(2.0))
    assert row["bottleneck"] == 1


def test_files(command_line: CommandLine, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(40, 3))
    spectrum = np.linalg.eigvalsh(np.cov(samples.T, ddof=0))
    np.save(tmp_path / "samples.npy", samples)
    np.savetxt(tmp_path / "samples.csv", samples, delimiter=",")
    np.save(tmp_path / "spectrum.npy", spectrum)
    network = ("--act", "tanh", "--gains", "1", "--sn", "1", "--widths", "3,2")
    expected = 0.5 * np.log1p(np.sort(spectrum)[-2:]).sum()
    for option, name in (("--inputs", "samples.npy"), ("--inputs", "samples.csv"), ("--spectrum", "spectrum.npy")):
        (row,) = answer(command_line, *network, option, tmp_path / name)
        assert row["capacity"] == pytest.approx(expected)
    (row,) = answer(command_line, *network, "--spectrum", ",".join(map(repr, spectrum.tolist())))
    assert row["capacity"] == pytest.approx(expected)


def test_symmetries(command_line: CommandLine, tmp_path: Path) -> None:
    network = ("--act", "tanh", "--gains", "1", "--sn", "1", "--widths", "6,6")
    (tmp_path / "group.csv").write_text("1,0,2,3,4,5\n0,1,3,2,4,5\n")
    np.save(tmp_path / "group.npy", np.eye(6)[None, [1, 0, 2, 3, 4, 5]])
    ranks = {"permutations": 1, "translations": 1, "reflections": 3, "group.csv": 4, "group.npy": 5}
    for name, rank in ranks.items():
        group = str(tmp_path / name) if "." in name else name
        (row,) = answer(command_line, *network, "--symmetry", group)
        assert row["capacity"] == pytest.approx(0.5 * rank * log(2.0))
        assert row["ceiling"] == pytest.approx(3.0 * log(2.0))
        (row,) = answer(command_line, *network, "--symmetry", group, "--symmetry-at", "first")
        assert row["ceiling"] == pytest.approx(3.0 * log(1.0 + rank / 6.0))


def test_the_drawing(command_line: CommandLine) -> None:
    done = command_line(
        "capacity", "--act", "tanh", "--sw", "1", "--widths", "8,2,8", "--every-layer", "--format", "table"
    )
    assert done.code == 0
    assert "bottleneck: layer 1 (dense), which lets 2 of 8 directions pass" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sw", "1"], "--widths"),
        (["--sw", "1", "--widths", "3,2", "--shape", "3x4"], "--widths"),
        (["--sw", "1", "--widths", "3"], "at least one layer"),
        (["--sw", "1", "--widths", "3,x"], "whole numbers"),
        (["--sw", "1", "--widths", "3,0"], "'3,0' holds a 0: numbers begin at 1"),
        (["--widths", "3,2"], "--gains"),
        (["--sw", "1", "--gains", "1", "--widths", "3,2"], "--gains"),
        (["--sw", "0", "--widths", "3,2"], "deviation 0"),
        (["--gains", "1,2", "--widths", "3,2"], "gains"),
        (["--sw", "1", "--shape", "1x5", "--layer", "conv:2:3:2"], "stride"),
        (["--sw", "1", "--shape", "1x5", "--layer", "pool:2"], "conv:CHANNELS"),
        (["--sw", "1", "--widths", "3,2", "--symmetry", "reflections", "--spectrum", "3,2,1"], "spectrum"),
        (["--sw", "1", "--widths", "3,2", "--spectrum", "2,1"], "covariance"),
    ],
)
def test_what_does_not_fit_is_said(command_line: CommandLine, arguments: list[str], message: str) -> None:
    done = command_line("capacity", "--act", "tanh", *arguments)
    assert done.code == 2
    assert message in done.err


def test_an_initialiser_stands_for_its_scale(command_line: CommandLine) -> None:
    network = ("capacity", "--act", "relu", "--widths", "50,30,10", "--format", "csv")
    named = command_line(*network, "--init", "torch.nn.Linear")
    assert named.code == 0, named.err
    assert named.out == command_line(*network, "--sw", str((1.0 / 3.0) ** 0.5)).out
    both = command_line(*network, "--init", "he", "--sw", "1")
    assert both.code == 2
    assert "--init gives the standard deviations; --sw does not go with it" in both.err
    neither = command_line(*network)
    assert "the weights are limited by --sw, --init or --gains; give one of them" in neither.err
    assert command_line(*network, "--init", "he", "--gains", "1").code == 2
