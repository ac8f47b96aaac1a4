"""``mfmi bound`` of networks with norms, skips and relative noise."""

import json
import math
from collections.abc import Callable

import pytest
from conftest import Outcome

import mfmi

CommandLine = Callable[..., Outcome]
NETWORK = ("bound", "--act", "tanh", "--sw", "1.2", "--depth", "3")


def test_options_are_the_keywords(command_line: CommandLine) -> None:
    options = (
        "--residual --norm layernorm --branch 1/sqrt(depth) --branch-matrices 2 --hidden-ratio 4 --sigma-w-out 0.5"
    )
    done = command_line(*NETWORK, *options.split(), "--format", "json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    expected = mfmi.evaluate(
        "tanh",
        1.2,
        layers=3,
        skip=1,
        normalization="layernorm",
        branch="1/sqrt(depth)",
        branch_matrices=2,
        hidden_ratio=4,
        sigma_w_out=0.5,
    )
    for name in ("branch", "q", "mi_linear", "mi_upper", "message"):
        assert [row[name] for row in rows] == expected[name].tolist()
    assert [row["xi_c"] for row in rows] == [None] * 3
    assert "a stream of skip 1 has no xi" in rows[0]["message"]
    assert rows[0]["norm_at"] == "activation"


def test_a_number_format_is_named_an_equivalent(command_line: CommandLine) -> None:
    done = command_line(*NETWORK, "--sn", "bfloat16", "--noise-at", "every", "--format", "table")
    assert done.code == 0, done.err
    assert "equivalent to bfloat16 in every layer" in done.out.splitlines()[0]
    text = "sigma_noise: the relative noise that rounding to bfloat16 is equivalent to, an approximation"
    assert done.out.count(text) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--norm", "batchnorm", "--norm-at", "stream", "--residual"), "batchnorm of the stream"),
        (("--norm-at", "output"), "--norm-at: 'output' is the place of a norm"),
        (("--residual", "--skip", "0.5"), "--residual is --skip 1; --skip 0.5 contradicts it"),
        (("--residual", "--widths", "4,4,4,2"), "need layers of one width"),
        (("--residual", "--weights", "orthogonal,gaussian"), "need gaussian or orthogonal weights in all layers"),
        (("--sn", "bfloat"), "neither a number nor"),
        (("--sn", "0"), "is not greater than 0"),
        (("--branch", "1/sqrt(depht)"), "neither a number nor 1/sqrt(depth)"),
        (("--skip", str(-math.inf)), "is not finite"),
    ],
)
def test_contradictions_are_usage_errors(command_line: CommandLine, options: tuple[str, ...], said: str) -> None:
    done = command_line(*NETWORK, *options)
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert done.out == ""
