"""``mfmi phase`` of networks with norms, skips and relative noise."""

import json
from collections.abc import Callable

import pytest
from conftest import Outcome

import mfmi

CommandLine = Callable[..., Outcome]


def rows(command_line: CommandLine, *arguments: str) -> list[dict[str, object]]:
    done = command_line("phase", "--act", "tanh", *arguments, "--format", "json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert isinstance(found, list)
    return found


def test_a_point_is_that_of_python(command_line: CommandLine) -> None:
    (row,) = rows(command_line, "--sw", "1.5", "--norm", "layernorm", "--sn", "bfloat16", "--noise-at", "every")
    found = mfmi.fixed_point("tanh", sigma_w=1.5, sigma_noise="bfloat16", normalization="layernorm")
    for name in ("q_star", "c_star", "chi_1", "chi_q", "xi_q", "xi_c", "xi_grad", "phase"):
        assert row[name] == found[name]
    assert (row["normalization"], row["norm_at"], row["noise_scale"]) == ("layernorm", "activation", "relative")
    assert row["sigma_noise"] == pytest.approx(1.6588e-3, rel=1e-4)


def test_a_stream_of_one_shows_exponents(command_line: CommandLine) -> None:
    done = command_line(
        "phase", "--act", "tanh", "--sw", "1.5", "--residual", "--norm", "layernorm", "--format", "table"
    )
    assert done.code == 0, done.err
    assert "chaotic: a stream of skip 1, which goes by powers of the depth l" in done.out
    assert "exponent_grad      1.178" in done.out
    assert "xi_c" not in done.out
    grid = rows(command_line, "--sw", "1,2", "--sb", "0,0.3", "--residual")
    assert [row["phase"] for row in grid] == ["unbounded"] * 4
    assert {row["xi_c"] for row in grid} == {None}
    assert {row["law"] for row in grid} == {"stretched"}


def test_the_edge_after_a_norm(command_line: CommandLine) -> None:
    found = rows(command_line, "--curve", "--sb", "0,0.1,0.5", "--norm", "layernorm")
    assert [row["sigma_w"] for row in found] == pytest.approx([0.377672, 1.888361], rel=1e-6)
    drawn = command_line("phase", "--act", "relu", "--curve", "--sb", "0,0.1", "--norm", "rmsnorm", "--format", "table")
    assert drawn.out.splitlines()[2].split() == ["0", "any"]


def test_a_map_is_drawn(command_line: CommandLine) -> None:
    options = ("--sw", "0.5:3:9", "--sb", "0:1:5", "--norm", "layernorm")
    done = command_line("phase", "--act", "tanh", *options, "--format", "table")
    assert done.code == 0, done.err
    assert "normalization layernorm" in done.out.splitlines()[0]
    assert "ordered" in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sw", "1", "--norm", "batchnorm", "--norm-at", "output"), "--norm-at: batchnorm after the activation"),
        (("--sw", "1", "--residual", "--branch", "1/sqrt(depth)"), "--branch: 1/sqrt(depth) needs a depth"),
        (("--sw", "1", "--residual", "--all"), "--all is known of plain networks only"),
        (("--sb", "0.1", "--curve", "--residual"), "the edge of chaos is known of plain networks"),
        (("--sw", "1", "--curve", "--residual"), "the edge of chaos is known of plain networks"),
        (("--sw", "1", "--curve", "--norm", "layernorm"), "--curve of a normalised network goes by --sb"),
    ],
)
def test_what_is_not_known_is_a_usage_error(command_line: CommandLine, options: tuple[str, ...], said: str) -> None:
    done = command_line("phase", "--act", "tanh", *options)
    assert done.code == 2
    assert said in " ".join(done.err.split())


def test_a_number_format_at_the_output_leaves_the_maps_alone(command_line: CommandLine) -> None:
    """Also at a terminal, which showed exponents that a plain network has not."""
    given = ("phase", "--act", "tanh", "--sw", "1.5", "--format", "table", "--sn")
    plain, rounded = (command_line(*given, noise) for noise in ("0.1", "bfloat16"))
    assert (plain.code, rounded.code) == (0, 0)
    assert rounded.out == plain.out
    every = command_line(*given, "bfloat16", "--noise-at", "every")
    assert "noise 0.00165883 equivalent to bfloat16 in every layer" in every.out
    wrong = command_line(*given, "bfloat16", "--norm", "layernorm", "--noise-scale", "absolute")
    assert wrong.code == 2
    assert "--noise-scale: 'absolute' contradicts sigma_noise 'bfloat16'" in " ".join(wrong.err.split())
