"""Convolutions at the terminal: ``mfmi bound`` and ``mfmi verify`` with ``--positions``."""

import json
from collections.abc import Callable

import pytest
from conftest import Outcome

import mfmi

CommandLine = Callable[..., Outcome]
NETWORK = ("--act", "tanh", "--sw", "1.2", "--depth", "2")


def test_options_are_the_keywords(command_line: CommandLine) -> None:
    done = command_line("bound", *NETWORK, "--positions", "4x3", "--input-correlation", "0.6", "--format", "json")
    assert done.code == 0, done.err
    expected = mfmi.evaluate("tanh", 1.2, layers=2, positions=[4, 3], input_correlation=0.6)
    for name in ("mi_linear", "mi_entropy_power", "mi_covariance_upper", "message"):
        assert [row[name] for row in json.loads(done.out)] == expected[name].tolist()


def test_the_headline_says_so(command_line: CommandLine) -> None:
    done = command_line("bound", *NETWORK, "--positions", "8", "--input-correlation", "0.6,0.2", "--format", "table")
    assert done.out.splitlines()[0].endswith("convolution over 8 positions, neighbours correlated by 0.6")
    done = command_line("bound", *NETWORK, "--positions", "8", "--format", "table")
    assert done.out.splitlines()[0].endswith("convolution over 8 positions")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("bound", "--input-correlation", "0.5"), "--input-correlation is that between positions"),
        (("bound", "--positions", "0"), "numbers begin at 1"),
        (("bound", "--positions", "8", "--input-correlation", "0.9,0"), "--input-correlation: inputs cannot be"),
        (("bound", "--positions", "8", "--input-correlation", "0.5", "--observe", "activation"), "--observe: 'activ"),
        (("verify", "--kernel", "3"), "--kernel 3 is that of a convolution: give --positions"),
        (("verify", "--positions", "4", "--kernel", "5"), "--kernel 5 is more than the 4 positions"),
    ],
)
def test_contradictions_are_usage_errors(command_line: CommandLine, options: tuple[str, ...], said: str) -> None:
    done = command_line(options[0], *NETWORK, *options[1:])
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert done.out == ""


@pytest.mark.thorough
def test_verify_samples_convolutions(command_line: CommandLine) -> None:
    options = "--positions 4 --input-correlation 0.6 --widths 8,16 --seeds 6 --estimator linear --jobs 1 --format jsonl"
    done = command_line("verify", *NETWORK, *options.split())
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert {row["quantity"] for row in rows} == {"q", "c", "chi", "mi_linear"}
    expected = mfmi.evaluate("tanh", 1.2, layers=2, positions=4, input_correlation=0.6)["mi_linear"]
    limits = [row for row in rows if row["quantity"] == "mi_linear" and row["width"] is None]
    assert [row["theory"] for row in limits] == pytest.approx(expected.tolist(), rel=1e-6)
    assert all(abs(row["z"]) < 3 for row in limits)


@pytest.mark.thorough
def test_verify_samples_convolutions_with_norms_and_skips(command_line: CommandLine) -> None:
    options = "--positions 4 --input-correlation 0.6 --widths 8,16 --seeds 6 --estimator linear --jobs 1 --format jsonl"
    done = command_line("verify", *NETWORK, *options.split(), "--residual", "--norm", "rmsnorm")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert {row["quantity"] for row in rows} == {"q", "c", "chi", "mi_linear"}
    given = {"positions": 4, "input_correlation": 0.6, "skip": 1, "normalization": "rmsnorm"}
    found = mfmi.evaluate("tanh", 1.2, layers=2, columns=["mi_linear_error"], **given)
    limits = [row for row in rows if row["quantity"] == "mi_linear" and row["width"] is None]
    expected = (found["mi_linear"] + found["mi_linear_error"]).tolist()
    assert [row["theory"] for row in limits] == pytest.approx(expected, rel=1e-6)
    assert all(abs(row["z"]) < 3 for row in limits)
