"""``mfmi isometry``: rows, density, drawing."""

import json
from collections.abc import Callable
from math import sqrt
from typing import Any

import pytest
from conftest import Outcome

import mfmi
from mfmi.cli.isometry_view import sketch

CommandLine = Callable[..., Outcome]


def rows(command_line: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    done = command_line("isometry", *arguments, "--format", "json")
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def test_a_row_per_layer(command_line: CommandLine) -> None:
    found = rows(command_line, "--act", "relu", "--sw", repr(sqrt(2.0)), "--weights", "orthogonal", "--depth", "3")
    assert [row["depth"] for row in found] == [1, 2, 3]
    assert [row["jacobian_mean"] for row in found] == pytest.approx([2.0, 2.0, 2.0])
    assert [row["jacobian_variance"] for row in found] == pytest.approx([0.0, 4.0, 8.0], abs=1e-12)
    assert [row["zero_mass"] for row in found] == [None, None, pytest.approx(0.5)]
    assert found[2]["spectrum_upper"] == pytest.approx(8.0)
    assert found[2]["spectrum_error"] < 1e-6
    assert found[2]["condition_number"] == "Infinity"
    assert [row["isometric_sigma_w"] for row in found] == pytest.approx([1.0, 2.0**0.25, 2.0 ** (1 / 3)])
    assert {row["status"] for row in found} == {"ok"}


def test_every_layer(command_line: CommandLine) -> None:
    found = rows(command_line, "--act", "linear", "--sw", "1", "--depth", "2", "--every-layer")
    assert [row["spectrum_upper"] for row in found] == pytest.approx([4.0, 6.75])


def test_hidden_noise_counts_only_where_it_is(command_line: CommandLine) -> None:
    network = ("--act", "tanh", "--sw", "1.5", "--sn", "1", "--depth", "2")
    quiet, loud = (
        rows(command_line, *network, "--noise-at", place)[1]["jacobian_mean"] for place in ("output", "every")
    )
    assert loud < quiet


def test_density_rows_hold_the_whole_mass(command_line: CommandLine) -> None:
    found = rows(
        command_line, "--act", "hard_tanh", "--sw", "1.1", "--weights", "orthogonal", "--depth", "3", "--density"
    )
    assert {row["kind"] for row in found} == {"atom", "density"}
    assert sum(row["mass"] for row in found) == pytest.approx(1.0, abs=1e-6)
    assert {row["depth"] for row in found} == {3}
    assert all((row["density"] is None) == (row["kind"] == "atom") for row in found)


def test_no_derivative_is_said(command_line: CommandLine) -> None:
    first, second = rows(command_line, "--act", "sign", "--sw", "1.5", "--depth", "2")
    assert first["status"] == "ok"
    assert first["jacobian_mean"] == pytest.approx(2.25)
    assert second["status"] == "failed"
    assert "derivative" in second["message"]
    assert second["jacobian_mean"] is None
    assert second["isometric_sigma_w"] is None


def test_the_drawing(command_line: CommandLine) -> None:
    done = command_line("isometry", "--act", "relu", "--sw", "1.4", "--depth", "3", "--format", "table")
    assert done.code == 0
    assert "relu · sigma_w 1.4 · sigma_b 0 · no hidden noise · gaussian weights" in done.out
    assert "layer 3: share 0.5000 at 0" in done.out
    assert "the mean is 1 at sigma_w 1.2599" in done.out
    assert "█" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_the_sketch() -> None:
    assert sketch([0.0, 1.0, 2.0], 2, " .#") == ["  #", " ##"]
    assert sketch([0.0, 0.0], 1, " #") == [""]


@pytest.mark.thorough
def test_networks_with_skips_have_mean_and_variance(command_line: CommandLine) -> None:
    options = ("--act", "relu", "--sw", "1.4", "--residual", "--branch", "1/sqrt(depth)", "--depth", "3")
    found = rows(command_line, *options)
    expected = mfmi.evaluate(
        "relu", 1.4, layers=3, skip=1, branch="1/sqrt(depth)", estimators=["linear"],
        columns=["jacobian_mean", "jacobian_variance"],
    )  # fmt: skip
    for name in ("branch", "jacobian_mean", "jacobian_variance"):
        assert [row[name] for row in found] == expected[name].tolist()
    drawn = command_line("isometry", *options, "--format", "table")
    assert "skip 1.000, branch 1/sqrt(depth)" in drawn.out
    assert "the spectrum is known of plain networks only" in drawn.out
    refused = command_line("isometry", *options, "--density")
    assert refused.code == 2
    assert "--density needs the whole spectrum, which is known of plain networks only" in refused.err
