"""Pairwise bounds as columns: of bound, sweep and Python, from files of every kind, and what is wrong with them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import Outcome

import mfmi
from mfmi.columns import COLUMNS, DATA_NAMES
from mfmi.config.config import load_config
from mfmi.datasets import pairwise_bounds
from mfmi.networks.model import DataSet
from mfmi.storage.arrays import read_inputs
from mfmi.sweep.plan import Plan

CommandLine = Callable[..., Outcome]
NETWORK = ("--estimator", "linear", "--act", "tanh", "--sw", "1.5", "--sb", "0.2", "--sn", "0.8", "--depth", "3")
CONFIG = """\
version: 1
sweep: {activation: tanh, sigma_w: [0.7, 1.5], sigma_b: 0.2, sigma_noise: 0.8, depth: [1, 3]}
estimators: linear
network: {width: 20}
input: {dataset: data.npy}
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A data set, in files of every kind in the working directory."""
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(1).normal(size=(30, 6)) * 1.3
    np.save("data.npy", values)
    np.savetxt("data.csv", values, delimiter=",", fmt="%.17g")
    frame = pd.DataFrame(values, columns=list("abcdef"))
    frame.to_csv("named.csv", index=False)
    frame.to_csv("data.tsv", index=False, sep="\t")
    frame.to_parquet("data.parquet")
    return values


def expected(data: np.ndarray, sigma_w: float, depths: list[int], weights: str = "gaussian", seed: int = 0):
    return pairwise_bounds(
        mfmi.activation("tanh"),
        data,
        sigma_w2=sigma_w**2,
        sigma_b2=0.2**2,
        noise_variance=0.8**2,
        width=20,
        depths=depths,
        weights=weights,
        seed=seed,
    )


@pytest.mark.filterwarnings("ignore:.*taken for names:mfmi.errors.MfmiWarning")
@pytest.mark.parametrize("name", ["data.npy", "data.csv", "named.csv", "data.tsv", "data.parquet"])
def test_files_of_every_kind(name: str, data: np.ndarray) -> None:
    assert read_inputs(name) == pytest.approx(data, rel=1e-15)


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_bound(command_line: CommandLine, data: np.ndarray, weights: str) -> None:
    options = (*NETWORK, "--weights", weights, "--inputs", "data.npy", "--width", "20")
    done = command_line("bound", *options, "--format", "json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert tuple(rows[0])[-2:] == DATA_NAMES
    bounds = expected(data, 1.5, [1, 2, 3], weights)
    assert [row["mi_pairwise_lower"] for row in rows] == bounds.lower.tolist()
    assert [row["mi_pairwise_upper"] for row in rows] == bounds.upper.tolist()
    assert [row["input_variance"] for row in rows] == pytest.approx([np.mean(data**2)] * 3)
    in_bits = json.loads(command_line("bound", *options, "--unit", "bits", "--format", "json").out)
    assert in_bits[2]["mi_pairwise_upper"] == pytest.approx(bounds.upper[2] / np.log(2.0))


def test_noise_in_every_layer_has_no_pairwise_bounds(command_line: CommandLine, data: np.ndarray) -> None:
    done = command_line(
        "bound", *NETWORK, "--noise-at", "every", "--inputs", "data.npy", "--width", "20", "--format", "json"
    )
    assert {row[name] for row in json.loads(done.out) for name in DATA_NAMES} == {None}


def test_the_drawing(command_line: CommandLine, data: np.ndarray) -> None:
    done = command_line("bound", *NETWORK, "--inputs", "data.csv", "--width", "20", "--format", "table")
    assert "which of the 30 inputs it was, at width 20, in nats altogether" in done.out
    assert f"    3{expected(data, 1.5, [3]).lower[0]:>9.3f} ≤ I ≤" in done.out
    assert max(map(len, done.out.splitlines()[2:])) <= 80


@pytest.mark.thorough
def test_sweep(command_line: CommandLine, data: np.ndarray) -> None:
    Path("c.yaml").write_text(CONFIG + "columns: [efficiency]\nseed: 3\n")
    assert command_line("sweep", "c.yaml", "-o", "a.parquet", "--jobs", "1").code == 0
    table = pq.read_table("a.parquet")
    assert table.column_names == [column.name for column in COLUMNS] + ["efficiency", *DATA_NAMES]
    lower = np.concatenate([expected(data, sigma_w, [1, 3], seed=3).lower for sigma_w in (0.7, 1.5)])
    np.testing.assert_array_equal(table["mi_pairwise_lower"].to_numpy(), lower)
    assert table.schema.field("mi_pairwise_upper").metadata[b"unit"] == b"nats"
    origin = json.loads(table.schema.metadata[b"mfmi"])
    assert set(origin["columns"]) == {"efficiency", *DATA_NAMES}
    about = origin["config"]["resolved"]["input.dataset"]
    assert (about["inputs"], about["entries"]) == (30, 6)
    assert about["sha256"] == DataSet.of(data, 20).sha256
    assert origin["config"]["resolved"]["input.variance"] == pytest.approx(np.mean(data**2))
    assert command_line("sweep", "c.yaml", "-o", "b.parquet", "--jobs", "2").code == 0
    assert Path("a.parquet").read_bytes() == Path("b.parquet").read_bytes()


def test_other_inputs_are_another_sweep(data: np.ndarray) -> None:
    first = load_config(CONFIG, "c.yaml").canonical()
    assert load_config(CONFIG.replace("data.npy", "data.parquet"), "c.yaml").canonical() == first
    np.save("data.npy", data[::-1])
    assert load_config(CONFIG, "c.yaml").canonical() != first


def test_python(data: np.ndarray) -> None:
    frame = mfmi.evaluate("tanh", 1.5, 0.2, 0.8, depth=[3, 1], estimators="linear", inputs=data, width=20)
    bounds = expected(data, 1.5, [3, 1])
    assert frame["mi_pairwise_lower"].tolist() == bounds.lower.tolist()
    assert frame["mi_pairwise_upper"].tolist() == bounds.upper.tolist()
    assert (frame["input_variance"] == np.mean(data**2)).all()


def test_many_inputs_make_small_chunks(data: np.ndarray) -> None:
    def chunk_size(inputs: np.ndarray) -> int:
        np.save("data.npy", inputs)
        return Plan.from_config(load_config(CONFIG, "c.yaml")).chunk_size

    assert chunk_size(data) == 2048
    assert chunk_size(np.random.default_rng(0).normal(size=(5000, 2))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--inputs", "data.npy"], "--inputs and --width go together"),
        (["--width", "20"], "--inputs and --width go together"),
        (["--inputs", "data.npy", "--width", "20", "--widths", "6,4"], "--widths"),
        (["--inputs", "data.npy", "--width", "20", "--qx", "2"], "--qx"),
        (["--inputs", "none.npy", "--width", "20"], "none.npy"),
        (["--inputs", "zeros.npy", "--width", "20"], "must not all be 0"),
        (["--inputs", "data.txt", "--width", "20"], "inputs are read from"),
    ],
)
def test_what_does_not_fit_is_said(
    command_line: CommandLine, data: np.ndarray, options: list[str], message: str
) -> None:
    np.save("zeros.npy", np.zeros((3, 3)))
    done = command_line("bound", *NETWORK[:-2], *options)
    assert done.code in (2, 5)
    assert message in done.err


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        (("network: {width: 20}\n", ""), "input.dataset", "needs network.width"),
        (("input: {dataset: data.npy}\n", ""), "network.width", "input.dataset names none"),
        (("{width: 20}", "{width: 20, widths: [6, 4, 4, 4]}"), "network.widths", "that of all layers already"),
        (("{dataset: data.npy}", "{dataset: data.npy, variance: 2}"), "input.variance", "gives it already"),
        (("data.npy", "none.npy"), "input.dataset", "cannot read none.npy: No such file"),
        (("data.npy", "broken.csv"), "input.dataset", "broken.csv: line 2, column 1 is no number: 'x'"),
        (("data.npy", "holes.parquet"), "input.dataset", "column 'a' is null in row 2"),
        (("{width: 20}", "{width: 0}"), "network.width", "at least 1"),
    ],
)
def test_configs_that_do_not_fit(data: np.ndarray, change: tuple[str, str], path: str, message: str) -> None:
    Path("broken.csv").write_text("1,2\nx,4\n5,6\n")
    pd.DataFrame({"a": [1.0, None, 2.0], "b": [1.0, 2.0, 3.0]}).to_parquet("holes.parquet")
    with pytest.raises(mfmi.errors.ConfigError) as raised:
        load_config(CONFIG.replace(*change), "c.yaml")
    (error,) = raised.value.errors
    assert error.path == path
    assert message in error.message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": np.eye(3)}, "width"),
        ({"width": 3}, "width"),
        ({"inputs": np.eye(3), "width": 2.5}, "width"),
        ({"inputs": np.eye(3), "width": 3, "input_variance": 1.0}, "input_variance"),
        ({"inputs": np.eye(3), "width": 3, "alpha": [1.0]}, "alpha"),
        ({"inputs": [1.0, 2.0], "width": 3}, "inputs"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mfmi.evaluate("tanh", 1.0, **arguments)
