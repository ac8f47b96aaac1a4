"""Columns after the contract's: asked for by config, command line and Python; mmse, Jacobian moments, efficiency."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Outcome
from exact_laws import deep_linear
from replica_cases import NAMES, SQUARE

import mfmi
from mfmi.bounds.evaluate import evaluate_points
from mfmi.bounds.optional_columns import DERIVED, REGISTRY
from mfmi.bounds.structured import EXPONENTS
from mfmi.columns import COLUMNS, OPTIONAL, OPTIONAL_NAMES, columns_with
from mfmi.jacobian import jacobian_moments
from mfmi.meanfield import trajectory
from mfmi.networks.model import Model
from mfmi.networks.points import Points

CommandLine = Callable[..., Outcome]

CONFIG = """\
version: 1
sweep: {activation: [linear], sigma_w: [1.0, 1.5], depth: [1, 2]}
estimators: linear
columns: [mmse]
"""
CONTRACT = [column.name for column in COLUMNS]


def mmse(act, depth, w2, o2, weights="gaussian", b2=0.0, noise_at="output", input_variance=1.0):
    points = Points.of(
        act,
        np.sqrt(w2),
        sigma_b=np.sqrt(b2),
        sigma_noise=np.sqrt(o2),
        weights=weights,
        noise_at=noise_at,
        input_variance=input_variance,
    )
    found = evaluate_points(points, depth, [], "nats", ["mmse"])
    assert set(found["status"]) <= {"ok", "unbounded"}
    return found["mmse"][0]


def test_every_column_is_described_and_computed():
    assert set(REGISTRY) | set(DERIVED) | set(EXPONENTS) == set(OPTIONAL_NAMES)
    assert not set(REGISTRY) & set(DERIVED)
    assert not set(OPTIONAL_NAMES) & set(CONTRACT)
    assert all(column.description and column.unit and column.status for column in OPTIONAL)


def test_they_stand_after_the_contract_s_in_their_own_order():
    found = evaluate_points(Points.of("tanh", 1.2), 1, ["linear"], "nats", OPTIONAL_NAMES[::-1])
    assert list(found) == [*CONTRACT, *OPTIONAL_NAMES]
    assert [column.name for column in columns_with(OPTIONAL_NAMES[::-1])] == list(found)
    with pytest.raises(ValueError, match=r"columns must be one of mmse.*'mse'"):
        evaluate_points(Points.of("tanh", 1.2), 1, ["linear"], "nats", ["mse"])


@pytest.mark.thorough
@pytest.mark.parametrize("case", SQUARE, ids=lambda case: case["id"])
def test_mmse_of_the_reference(case):
    kind, _, scale = case["weights"][0]
    found = mmse(NAMES[case["layers"][0][0]], len(case["layers"]), scale, case["layers"][-1][1], kind)
    assert found == pytest.approx(case["mmse"], abs=1e-6)


@pytest.mark.parametrize(("depth", "w2", "o2", "q_x"), [(1, 1.0, 0.1, 1.0), (3, 1.3, 0.01, 2.0), (6, 0.8, 1.0, 0.3)])
def test_mmse_of_linear_networks(depth, w2, o2, q_x):
    expected = q_x * deep_linear(q_x * w2**depth / o2, [1.0] * depth)[1]
    assert mmse("linear", depth, w2, o2, input_variance=q_x) == pytest.approx(expected, rel=1e-9)
    orthogonal = mmse("linear", depth, w2, o2, "orthogonal", input_variance=q_x)
    assert orthogonal == pytest.approx(q_x / (1.0 + q_x * w2**depth / o2), rel=1e-9)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_mmse_with_noise_in_every_layer(weights):
    """Noise of a linear network's hidden layer passes on as noise of variance sigma_w^2 W W^T at the next."""
    w2, o2 = 1.4, 0.2
    found = mmse("linear", 2, w2, o2, weights, noise_at="every")
    if weights == "orthogonal":
        expected = 1.0 / (1.0 + w2 * w2 / (w2 * o2 + o2))
    else:
        rng = np.random.default_rng(5)
        n = 400
        one, two = rng.normal(size=(2, n, n)) * np.sqrt(w2 / n)
        noise = o2 * (two @ two.T + np.eye(n))
        through = two @ one
        precision = np.eye(n) + through.T @ np.linalg.solve(noise, through)
        expected = np.trace(np.linalg.inv(precision)) / n
    assert found == pytest.approx(expected, rel=1e-9 if weights == "orthogonal" else 3e-3)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_nothing_is_learned_where_nothing_passes(weights):
    assert mmse("tanh", 2, 0.0, 0.1, weights, b2=0.1, input_variance=1.7) == 1.7
    assert mmse("tanh", 1, 0.0, 0.1, weights, b2=0.1, input_variance=1.7) == 1.7


def test_mmse_follows_from_the_information_as_a_function_of_the_input_variance():
    """I-MMSE: a linear network's information depends on q_x through the signal-to-noise ratio alone."""
    step = 1e-5
    values = evaluate_points(
        Points.of("linear", 1.1, sigma_noise=0.3, input_variance=[1.0 - step, 1.0, 1.0 + step]),
        3,
        ["replica"],
        "nats",
        ["mmse"],
    )
    slope = (values["mi_replica"][2] - values["mi_replica"][0]) / (2.0 * step)
    assert values["mmse"][1] == pytest.approx(1.0 - 2.0 * slope, rel=1e-6)


def test_jacobian_moments_are_those_of_theory_21():
    points = Points.of("tanh", [0.9, 1.6], sigma_b=0.3, sigma_noise=0.2, weights=["gaussian", "orthogonal"])
    found = evaluate_points(points, [1, 4], [], "nats", ["jacobian_mean", "jacobian_variance"])
    phi = mfmi.activation("tanh")
    path = trajectory(phi, np.square([0.9, 1.6]), 0.09, 0.0, 1.0, 0.5, 4)
    mean, variance = jacobian_moments(phi, path, np.square([0.9, 1.6]), ["gaussian", "orthogonal"])
    assert found["jacobian_mean"].reshape(2, 2) == pytest.approx(mean[:, [0, 3]], rel=1e-13)
    assert found["jacobian_variance"].reshape(2, 2) == pytest.approx(variance[:, [0, 3]], rel=1e-13)


@pytest.mark.thorough
def test_a_step_has_no_jacobian_and_no_capacity():
    found = evaluate_points(Points.of("sign", 1.0), [1, 2], ["linear"], "nats", OPTIONAL_NAMES)
    assert found["jacobian_mean"][0] == 1.0
    for name in ("jacobian_mean", "jacobian_variance", "efficiency"):
        assert np.isnan(found[name][1])
    assert set(found["status"]) == {"ok"}


@pytest.mark.thorough
def test_efficiency_by_hand():
    """One linear orthogonal layer attains the capacity; one gaussian layer has the gain 4 sigma_w^2."""
    points = Points.of("linear", 1.2, sigma_noise=0.5, weights=["orthogonal", "gaussian"], input_variance=2.0)
    found = evaluate_points(points, 1, ["linear"], "nats", ["efficiency"])
    assert found["efficiency"][0] == pytest.approx(1.0, rel=1e-12)
    ceiling = 0.5 * np.log1p(4.0 * 1.44 * 2.0 / 0.25)
    assert found["efficiency"][1] == pytest.approx(found["mi_linear"][1] / ceiling, rel=1e-12)
    tanh = Points.of("sigmoid", [2.0, 3.0], sigma_noise=0.3, weights="orthogonal", noise_at="every")
    for unit in ("nats", "bits"):
        found = evaluate_points(tanh, [2, 3], ["linear", "layerwise"], unit, ["efficiency"])
        w2, depth = np.repeat([4.0, 9.0], 2), np.tile([2, 3], 2)
        ceiling = (
            0.5 * np.log1p(w2**depth * 0.25 ** (2 * (depth - 1)) / 0.09) / (1.0 if unit == "nats" else np.log(2.0))
        )
        assert found["efficiency"] == pytest.approx(found["mi_lower"] / ceiling, rel=1e-12)
    narrow = evaluate_points(points, 1, ["linear"], "nats", ["efficiency"], Model((0.5,)))
    assert narrow["efficiency"][0] == pytest.approx(1.0, rel=1e-12)
    none = evaluate_points(tanh, 2, ["gaussian_upper"], "nats", ["efficiency"])
    assert np.isnan(none["efficiency"]).all()


def test_in_python():
    frame = mfmi.evaluate("tanh", [1.0, 1.5], depth=[1, 2], estimators="replica", columns="mmse")
    assert list(frame.columns) == [*CONTRACT, "mmse"]
    assert frame["mmse"].between(0.0, 1.0).all()
    with pytest.raises(ValueError, match="columns: 'mse' is not one of mmse"):
        mfmi.evaluate("tanh", 1.0, columns=["mse"])


@pytest.mark.parametrize("way", ["key", "option"])
def test_in_a_sweep(way: str, command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG if way == "key" else CONFIG.replace("columns: [mmse]\n", ""))
    more = [] if way == "key" else ["--column", "mmse"]
    assert command_line("sweep", "c.yaml", "-o", "a.parquet", "--jobs", "1", *more).code == 0
    table = pq.read_table("a.parquet")
    assert table.column_names == [*CONTRACT, "mmse"]
    about = table.schema.field("mmse").metadata
    assert about[b"unit"] == b"squared input units"
    assert b"mean squared error" in about[b"description"]
    origin = json.loads(table.schema.metadata[b"mfmi"])
    assert origin["columns"] == {"mmse": "rests on the replica formula"}
    assert origin["config"]["resolved"]["columns"] == ["mmse"]
    expected = evaluate_points(Points.of("linear", [1.0, 1.5]), [1, 2], [], "nats", ["mmse"])["mmse"]
    np.testing.assert_array_equal(table["mmse"].to_numpy(), expected)


def test_in_every_format_and_in_shares(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG)
    piped = command_line("sweep", "c.yaml", "-o", "-", "--format", "jsonl", "--jobs", "1")
    assert all("mmse" in json.loads(line) for line in piped.out.splitlines())
    for share in ("1/2", "2/2"):
        assert command_line("sweep", "c.yaml", "-o", "m.csv", "--shard", share, "--jobs", "1").code == 0
    assert command_line("merge", "m.csv").code == 0
    header, first, *_ = Path("m.csv").read_text().splitlines()
    assert header.split(",")[-1] == "mmse"
    assert float(first.split(",")[-1]) == json.loads(piped.out.splitlines()[0])["mmse"]
    assert "optional columns: mmse" in command_line("sweep", "c.yaml", "-n").out
    assert "; optional columns mmse" in command_line("config", "check", "c.yaml").out


def test_in_bound(command_line: CommandLine) -> None:
    done = command_line("bound", "--act", "tanh", "--sw", "1.5", "--depth", "2", "--column", "mmse", "--format", "json")
    rows = json.loads(done.out)
    assert list(rows[0])[-1] == "mmse"
    assert 0.0 < rows[0]["mmse"] < rows[1]["mmse"] < 1.0
    wrong = command_line("bound", "--act", "tanh", "--sw", "1.5", "--column", "mse")
    assert wrong.code == 2
    assert "Did you mean 'mmse'?" in " ".join(wrong.err.split())
    assert "--column" in command_line("bound", "--help").out


def test_a_point_that_fails_keeps_its_columns() -> None:
    from mfmi.sweep.chunks import evaluate_guarded

    def failing(*_: object) -> dict[str, np.ndarray]:
        raise ArithmeticError("no luck")

    block = evaluate_guarded(failing, Points.of("tanh", [1.0, 1.5]), [1, 2], ["linear"], "nats", ["mmse"])
    assert list(block) == [*CONTRACT, "mmse"]
    assert np.isnan(block["mmse"]).all()
    assert set(block["status"]) == {"failed"}
