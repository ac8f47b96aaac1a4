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


def test_recommend_takes_positions(command_line: CommandLine) -> None:
    options = ("--act", "linear", "--depth", "2", "--sb", "0", "--positions", "4", "--input-correlation", "0.6")
    done = command_line("recommend", *options, "--format", "json")
    assert done.code == 0, done.err
    best, *_ = json.loads(done.out)
    frame = mfmi.recommend("linear", depth=2, sigma_b=0.0, positions=4, input_correlation=0.6)
    assert best["information"] == frame["information"][0]
    given = {"positions": 4, "input_correlation": 0.6, "estimators": ["linear"]}
    assert best["information"] == mfmi.evaluate("linear", best["sigma_w"], depth=2, **given)["mi_linear"][0]
    assert frame.attrs["mfmi"]["network"]["network.convolution"]["positions"] == [4]
    shown = command_line("recommend", *options, "--format", "table")
    assert "convolution over 4 positions, neighbours correlated by 0.6" in " ".join(shown.out.split())


def test_recommend_of_streams_takes_positions() -> None:
    own = {"skip": 1, "branch_matrices": 2, "noise_scale": "relative", "positions": 4, "input_correlation": 0.6}
    found = mfmi.recommend("relu", depth=4, **own)
    best = found.iloc[0]
    given = {name: best[name] for name in ("sigma_w", "branch", "sigma_w_out")}
    rows = mfmi.evaluate("relu", depth=[1, 4], estimators=["linear"], **own, **given)
    assert best["information"] == rows["mi_linear"][1]
    assert 0.5 <= rows["mi_linear"][1] / rows["mi_linear"][0] < 0.502


@pytest.mark.parametrize(
    ("command", "what"), [("phase", "fixed points, phases and depth scales"), ("isometry", "singular values")]
)
def test_what_positions_do_not_change_is_said_once(command_line: CommandLine, command: str, what: str) -> None:
    options = (command, "--act", "relu", "--sw", "1.2", "--norm", "layernorm", "--format", "json")
    plain = command_line(*options)
    done = command_line(*options, "--positions", "8x8", "--input-correlation", "0.9")
    assert (done.code, done.out) == (0, plain.out)
    assert done.err.count("--positions changes nothing here") == 1
    assert what in done.err
    wrong = command_line(*options, "--input-correlation", "0.9")
    assert wrong.code == 2


@pytest.mark.parametrize("command", ["bound", "recommend"])
def test_uncorrelated_positions_are_said_to_change_nothing(command_line: CommandLine, command: str) -> None:
    options = ("--act", "linear", "--depth", "2", *(("--sw", "1") if command == "bound" else ("--sb", "0")))
    options = (command, *options, "--format", "json")
    done = command_line(*options, "--positions", "8")
    assert (done.code, done.out) == (0, command_line(*options).out)
    assert done.err.count("--positions changes nothing where the inputs of different positions") == 1
