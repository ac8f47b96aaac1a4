"""Norms, skips and relative noise as axes of a sweep: points, contradictions and where, what changes nothing."""

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Outcome

import mfmi
from mfmi.config.config import LocatedConfigError, load_config
from mfmi.sweep.chunks import Task
from mfmi.sweep.plan import Plan

CommandLine = Callable[..., Outcome]


def plan(sweep: str, rest: str = "") -> Plan:
    return Plan.from_config(load_config(f"version: 1\nsweep: {{{sweep}}}\n{rest}", "c.yaml"))


def errors(sweep: str, rest: str = "") -> list[tuple[str, str]]:
    with pytest.raises(LocatedConfigError) as caught:
        plan(sweep, rest)
    return [(error.path, error.message) for error in caught.value.errors]


def test_every_setting_is_an_axis() -> None:
    axes = {
        "normalization": ["none", "layernorm"], "norm_at": ["activation", "output"], "skip": [0.5, 1.0],
        "branch": [0.5, "1/sqrt(depth)"], "branch_matrices": [1, 2], "hidden_ratio": [1.0, 4.0],
        "sigma_w_in": [0.5, 1.0], "sigma_b_in": [0.0, 0.2], "sigma_w_out": [1.0, 2.0], "sigma_b_out": [0.0, 0.1],
        "noise_scale": ["absolute", "relative"], "noise_in": ["branch", "stream"],
    }  # fmt: skip
    text = ", ".join(f"{name}: {json.dumps(values)}" for name, values in axes.items())
    found = plan(f"activation: tanh, sigma_w: 1.5, noise_at: every, {text}")
    assert found.n_points == 2**12
    points = found.points(0, found.n_grid)
    own = points.structured
    given = dict(zip(axes, zip(*itertools.product(*axes.values()), strict=True), strict=True))
    for name in ("normalization", "skip", "branch_matrices", "hidden_ratio", "sigma_w_in", "sigma_b_out", "noise_in"):
        assert getattr(own, name).tolist() == list(given[name])
    assert own.branch_by_depth.tolist() == [one == "1/sqrt(depth)" for one in given["branch"]]
    # The place of a norm that is not there is none.
    places = zip(given["normalization"], given["norm_at"], strict=True)
    assert own.norm_at.tolist() == [None if norm == "none" else place for norm, place in places]


def test_ranges_formats_and_zip() -> None:
    found = plan(
        "mode: zip, activation: tanh, sigma_w: 1, skip: {start: 0, stop: 1, num: 3},"
        " branch: [1, 0.5, 1/sqrt(depth)], sigma_noise: [0.1, bfloat16, 0.2]"
    )
    points = found.points(0, 3)
    assert points.structured.skip.tolist() == [0.0, 0.5, 1.0]
    assert points.structured.number_format.tolist() == [None, "bfloat16", None]
    assert points.structured.noise_scale.tolist() == ["absolute", "relative", "absolute"]
    assert points.structured.noise_in.tolist() == ["branch", "stream", "branch"]
    assert points.sigma_noise[1] == pytest.approx(0.21233 * 2.0**-7, rel=1e-4)
    assert points.is_plain.tolist() == [True, False, False]


def test_points_that_say_nothing_are_plain() -> None:
    found = plan(
        "mode: points, activation: tanh, points: [{sigma_w: 1}, {sigma_w: 2, normalization: layernorm},"
        " {sigma_w: 1.5, skip: 1, sigma_w_in: 0.5}]"
    )
    points = found.points(0, 3)
    assert points.is_plain.tolist() == [True, False, False]
    assert points.structured.sigma_w_in.tolist() == [1.0, 2.0, 0.5]
    assert points.structured.norm_at.tolist() == [None, "activation", None]
    plain = ["mean_field", "linear", "entropy_power", "fisher", "gaussian_upper"]
    assert list(found.estimators) == [*plain, "covariance_upper"]


@pytest.mark.parametrize(
    ("sweep", "path", "said"),
    [
        ("normalization: [layernorm, batchnorm], norm_at: [output, stream], skip: 1", "norm_at[0]", "batchnorm after"),
        ("normalization: [layernorm, batchnorm], norm_at: [activation, stream], skip: 1", "norm_at[1]", "batchnorm of"),
        ("normalization: layernorm, norm_at: stream, skip: [0, 1]", "norm_at", "and skip is 0"),
        ("norm_at: output", "norm_at", "give normalization"),
        ("hidden_ratio: 4", "hidden_ratio", "give branch_matrices 2"),
        ("sigma_noise: [0.1, bfloat16], noise_scale: absolute", "noise_scale", "rounding is relative"),
        ("sigma_noise: bfloat16, skip: 1, noise_in: [stream, branch]", "noise_in[1]", "the skip is rounded too"),
        ("skip: [0, 1], weights: [{layers: [gaussian, orthogonal]}]", "skip[1]", "need gaussian or orthogonal weights"),
        ("branch: [0.5, 1/sqrt(depht)]", "branch[1]", "expected a number or 1/sqrt(depth)"),
        ("branch: {start: 1/sqrt(depth), stop: 1, num: 3}", "branch.start", "expected a number"),
        ("branch_matrices: 3", "branch_matrices", "must be at most 2"),
        ("skip: -1", "skip", "a skip cannot be negative"),
    ],
)
def test_contradictions_have_a_place(sweep: str, path: str, said: str) -> None:
    (where, message), *others = errors(f"activation: tanh, sigma_w: [1, 2], {sweep}")
    assert len(others) == (path == "norm_at[0]")
    assert where == f"sweep.{path}"
    assert said in message


def test_shapes_and_inputs_are_those_of_plain_networks() -> None:
    shape = "network: {widths: [4, 4, 2]}"
    assert errors("activation: tanh, sigma_w: 1, normalization: layernorm", shape) == [
        ("sweep.normalization", "networks with norms, skips or relative noise need layers of one width")
    ]
    # The first matrix like the others is a plain network.
    assert plan("activation: tanh, sigma_w: 1, sigma_w_in: 1", shape).n_points == 1


def test_contradictions_that_are_left_out_are_none() -> None:
    grid = "activation: tanh, sigma_w: {start: 1, stop: 2, num: 1000}, normalization: [layernorm, batchnorm]"
    grid += ", norm_at: [activation, stream], skip: 1"
    found = plan(f"{grid}, exclude: [{{normalization: batchnorm, norm_at: stream}}]")
    assert found.n_points == 3000
    # All but one of them is not all of them.
    partly = f"{grid}, exclude: [{{normalization: batchnorm, norm_at: stream, sigma_w: 1}}]"
    assert errors(partly)[0][0] == "sweep.norm_at[1]"


def test_a_range_that_contains_no_skip_is_found() -> None:
    stream = "activation: tanh, sigma_w: 1, normalization: layernorm, norm_at: stream"
    whole = f"{stream}, skip: {{start: 0, stop: 1, num: 1000000001}}"
    assert "skip is 0" in errors(whole)[0][1]
    assert plan(f"{whole}, exclude: [{{skip: 0}}]").n_points == 10**9


def test_what_changes_nothing_is_said_once() -> None:
    found = plan(
        "activation: [tanh, relu], sigma_w: [1, 2], sigma_b: [0, 0.1], normalization: [none, layernorm, rmsnorm],"
        " norm_at: [activation, output], noise_scale: relative"
    )
    assert found.config.networks.notes == (
        "sweep.norm_at changes nothing where normalization is none",
        "sweep.sigma_w changes nothing with a norm, relative noise and no biases",
        "sweep.sigma_w changes nothing with relative noise, no biases and an activation that has no scale of its own",
        "sweep.sigma_w and sweep.sigma_b: only their ratio changes anything with a norm and relative noise",
        "sweep.normalization: layernorm and rmsnorm are the same before the activation and in the stream",
    )
    assert plan("activation: tanh, sigma_w: [1, 2]").config.networks.notes == ()
    white = plan("activation: tanh, sigma_w: [1, 2]", "network: {convolution: {positions: 8}}")
    assert [note.partition(":")[0] for note in white.config.networks.notes] == [
        "network.convolution changes nothing where the inputs of different positions are not correlated"
    ]
    correlated = "network: {convolution: {positions: 8, input_correlation: 0.5}}"
    assert plan("activation: tanh, sigma_w: [1, 2]", correlated).config.networks.notes == ()


def test_chunks_of_streams_are_small() -> None:
    deep = "activation: tanh, sigma_w: {start: 1, stop: 2, num: 100}, depth: 50"
    assert plan(deep).chunk_size == 100 or plan(deep).n_chunks == 1
    assert plan(f"{deep}, sigma_b: 0.1, skip: [0, 1]").chunk_size == 12
    assert plan(f"mode: zip, {deep}, sigma_b: 0.1, skip: 1").chunk_size == 12
    # Without offsets there is one site, and with two matrices none that holds pairs of layers.
    assert plan(f"{deep}, skip: [0, 1]").chunk_size == 600
    assert plan(f"{deep}, sigma_b: 0.1, skip: 1, branch_matrices: 2").chunk_size == 600


def test_rows_are_those_of_python_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "activation: tanh, sigma_w: [1, 1.5], skip: [0, 1], branch: [0.5, 1/sqrt(depth)], depth: [1, 3],"
        " normalization: layernorm, noise_at: every, sigma_noise: [0.2, bfloat16]"
    )
    expected = mfmi.evaluate(
        "tanh", sigma_w=np.repeat([1.0, 1.5], 8), skip=np.tile(np.repeat([0, 1], 4), 2), depth=[1, 3],
        branch=np.tile(np.repeat(np.array([0.5, "1/sqrt(depth)"], dtype=object), 2), 4), normalization="layernorm",
        noise_at="every", sigma_noise=np.tile(np.array([0.2, "bfloat16"], dtype=object), 8),
    )  # fmt: skip
    whole = pq.read_table(io.BytesIO(Task(plan(text)).run(0))).to_pandas()
    for name in ("normalization", "norm_at", "noise_scale", "message"):
        assert whole[name].tolist() == expected[name].tolist()
    for name in ("skip", "branch", "sigma_noise", "q", "mi_linear", "mi_entropy_power", "mi_covariance_upper"):
        np.testing.assert_array_equal(whole[name].to_numpy(), expected[name].to_numpy())
    monkeypatch.setattr("mfmi.networks.model.SITE_PAIRS_AT_ONCE", 30)
    parts = plan(text)
    assert parts.n_chunks == 6
    rows = [pq.read_table(io.BytesIO(Task(parts).run(i))).to_pandas() for i in range(parts.n_chunks)]
    for name in ("mi_linear", "mi_covariance_upper", "message"):
        assert [value for part in rows for value in part[name].tolist()] == whole[name].tolist()


def test_the_command_says_what_it_would_compute(command_line: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "version: 1\nsweep: {activation: tanh, sigma_w: 1, normalization: [none, layernorm],"
        " norm_at: [activation, output], branch: [1, 1/sqrt(depth)], skip: 1}\n"
    )
    done = command_line("sweep", str(file), "--dry-run")
    assert done.code == 0, done.err
    assert "8 points, 8 rows" in done.out
    assert "branch: 1, 1/sqrt(depth)" in done.out
    assert "estimators: linear, entropy_power, covariance_upper" in done.out
    assert done.err.count("sweep.norm_at changes nothing where normalization is none") == 1
