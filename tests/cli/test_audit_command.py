"""The command `mfmi audit`: rows, findings, exit codes."""

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from checkpoint_files import save, trained, uniform
from conftest import Outcome

import mfmi

CommandLine = Callable[..., Outcome]
Process = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    tensors = {
        "0.weight": uniform((256, 64), 64),
        "0.bias": uniform((256,), 64, seed=1),
        "1.weight": uniform((100, 256), 256, 4 / 3, seed=2),
        "norm.weight": np.ones(256, np.float32),
    }
    return save(tmp_path / "a.safetensors", tensors)


def test_rows_are_exact(command_line: CommandLine, checkpoint: Path) -> None:
    done = command_line("audit", checkpoint)
    assert (done.code, done.err) == (0, "")
    rows = [json.loads(line) for line in done.out.splitlines()]
    first = {row["name"]: row for row in rows}["0.weight"]
    assert (first["layer"], first["fan_in"], first["fan_out"], first["outliers"]) == (1, 64, 256, 0)
    assert first["sigma_w"] == uniform((256, 64), 64).astype(np.float64).std() * 8
    gone = {row["name"]: row for row in rows}["norm.weight"]
    assert (gone["kind"], gone["layer"], gone["sigma_w"]) == ("skipped", None, None)
    assert gone["message"] == "gain or shift of a normalisation"


def test_a_table_ends_with_findings(command_line: CommandLine, checkpoint: Path) -> None:
    done = command_line("audit", checkpoint, "--format", "table")
    assert done.out.splitlines()[0].split()[:2] == ["layer", "name"]
    assert "1 tensor skipped" in done.out
    assert "odd: 1.weight: sigma_w" in done.out or "bad: 1.weight: sigma_w" in done.out


def test_strict_is_4_when_something_is_badly_off(command_line: CommandLine, tmp_path: Path, checkpoint: Path) -> None:
    good = save(tmp_path / "b.safetensors", {"0.weight": uniform((256, 64), 64)})
    assert command_line("audit", good, "--strict").code == 0
    bad = save(tmp_path / "c.safetensors", {"0.weight": uniform((256, 64), 256)})
    assert command_line("audit", bad).code == 0
    done = command_line("audit", bad, "--strict")
    assert done.code == 4
    assert json.loads(done.out)["name"] == "0.weight"


def test_quick_leaves_the_singular_values_out(command_line: CommandLine, checkpoint: Path) -> None:
    rows = [json.loads(line) for line in command_line("audit", checkpoint, "--quick").out.splitlines()]
    assert all(row["singular_max"] is None for row in rows)
    assert {row["init"] for row in rows} >= {"torch.nn.Linear"}


def test_two_checkpoints_stand_side_by_side(command_line: CommandLine, tmp_path: Path, checkpoint: Path) -> None:
    other = save(tmp_path / "b.safetensors", {"0.weight": trained(256, 64), "1.weight": uniform((100, 256), 256)})
    done = command_line("audit", checkpoint, "--compare", other)
    row = json.loads(done.out.splitlines()[0])
    assert row["sigma_w_ratio"] == row["sigma_w"] / row["sigma_w_other"]
    assert (row["law"], row["law_other"]) == ("uniform", "trained")


def test_two_networks_stand_side_by_side_worst_difference_first(
    command_line: CommandLine, tmp_path: Path, checkpoint: Path
) -> None:
    tensors = {"0.weight": uniform((256, 64), 64), "1.weight": uniform((100, 256), 256, 3.0, seed=2)}
    other = save(tmp_path / "b.safetensors", {**tensors, "2.weight": uniform((50, 100), 100)})
    arguments = ("--act", "tanh", "--estimator", "linear")
    done = command_line("audit", checkpoint, "--compare", other, *arguments)
    alone = {row["name"]: row for row in map(json.loads, command_line("audit", other, *arguments).out.splitlines())}
    rows = {row["name"]: row for row in map(json.loads, done.out.splitlines())}
    for name in ("q", "c", "chi", "mi_linear", "mi_lower"):
        assert rows["1.weight"][f"{name}_other"] == alone["1.weight"][name]
    assert rows["1.weight"]["status_other"] == "ok"
    assert rows["norm.weight"]["q_other"] is None
    assert "mi_replica_other" not in rows["0.weight"]
    table = command_line("audit", checkpoint, "--compare", other, *arguments, "--format", "table").out
    said = table.split("worst difference first:\n")[1].splitlines()
    own, theirs = rows["1.weight"]["chi"], alone["1.weight"]["chi"]
    wanted = f"chi: {own:.4g} at 1.weight, {theirs:.4g} in {other}, {own / theirs:.3g} times"
    assert said[0] == f"{wanted}; 1 % or more apart in 2 of 2 layers"
    assert [line.partition(":")[0] for line in said[:2]] == ["chi", "q"]
    assert said[-1] == f"only in {other}: 2.weight"
    assert done.code == 0
    same = command_line("audit", other, "--compare", other, *arguments, "--format", "table").out
    assert same.splitlines()[-1] == "no difference of 1 % or more in any layer"


def test_differences_are_in_files_and_in_python(command_line: CommandLine, tmp_path: Path, checkpoint: Path) -> None:
    other = save(tmp_path / "b.safetensors", {"0.weight": trained(256, 64), "1.weight": uniform((100, 256), 256)})
    command_line("audit", checkpoint, "--compare", other, "-o", tmp_path / "a.parquet")
    about = json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"mfmi"])["audit"]
    frame = mfmi.audit(checkpoint, compare=other)
    assert about["other"] == str(other)
    assert about["differences"] == frame.attrs["differences"]
    assert "law: uniform where the other file has trained: 0.weight" in about["differences"]
    assert "differences" not in mfmi.audit(checkpoint).attrs


def test_a_network_that_does_not_fit_the_inputs_is_named(
    command_line: CommandLine, tmp_path: Path, checkpoint: Path
) -> None:
    other = save(tmp_path / "b.safetensors", {"0.weight": uniform((256, 32), 32)})
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(400, 64)))
    done = command_line("audit", checkpoint, "--compare", other, "--act", "tanh", "--inputs", tmp_path / "x.npy")
    assert done.code == 5
    assert done.err == (f"mfmi: error: {other}: {tmp_path / 'x.npy'}: 64 columns, where 0.weight reads 32 inputs\n")


def test_parquet_carries_the_findings(command_line: CommandLine, tmp_path: Path, checkpoint: Path) -> None:
    done = command_line("audit", checkpoint, "-o", tmp_path / "a.parquet")
    assert (done.code, done.err) == (0, "")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["fan_in"].to_pylist()[:2] == [64, 256]
    assert json.loads(table.schema.metadata[b"mfmi"])["audit"]["findings"]


def test_notes_of_other_formats_come_with_v(command_line: CommandLine, checkpoint: Path) -> None:
    assert "sigma_w" in command_line("audit", checkpoint, "-v").err


def test_steps_are_a_column(command_line: CommandLine, tmp_path: Path) -> None:
    for step in (5, 10):
        save(tmp_path / f"net{step}.safetensors", {"0.weight": uniform((256, 64), 64)})
    done = command_line("audit", tmp_path, "--format", "csv")
    assert [line.split(",")[1] for line in done.out.splitlines()] == ["step", "5", "10"]
    assert "step" in command_line("audit", tmp_path, "--format", "table").out.splitlines()[0]


def test_a_network_is_a_table_of_its_signal(command_line: CommandLine, tmp_path: Path, checkpoint: Path) -> None:
    inputs = np.random.default_rng(0).normal(size=(200, 64))
    np.save(tmp_path / "x.npy", inputs)
    arguments = ("audit", checkpoint, "--act", "linear", "--estimator", "linear", "--inputs", tmp_path / "x.npy")
    done = command_line(*arguments, "--format", "table")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].split()[:6] == ["layer", "name", "sigma_w", "sigma_w_edge", "q", "q_measured"]
    rows = [json.loads(line) for line in command_line(*arguments).out.splitlines()]
    assert rows[0]["q"] == pytest.approx(rows[0]["q_measured"], rel=0.1)
    assert rows[0]["mi_linear_measured"] is None
    assert "200 inputs are too few for a layer of 256" in rows[0]["message"]
    assert rows[1]["freeness"] == pytest.approx(1.0, abs=5 * rows[1]["freeness_error"])


def test_a_file_says_what_network_it_was_taken_for(command_line: CommandLine, tmp_path: Path, checkpoint: Path) -> None:
    done = command_line(
        "audit", checkpoint, "--act", "linear", "--estimator", "linear", "--unit", "bits", "-o", tmp_path / "a.parquet"
    )
    assert done.code == 0
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert json.loads(schema.metadata[b"mfmi"])["audit"]["activation"] == "linear"
    assert schema.field("mi_linear").metadata[b"unit"] == b"bits per input dimension"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sn", "0.2"), "--sn says something of a network, whose activation is missing"),
        (("--residual",), "--residual says something of a network"),
        (("--act", "tanh", "--sigma-w-in", "1"), "--sigma-w-in does not go with audit"),
        (("--act", "tanh", "--norm-at", "stream"), "--norm-at: 'stream' is the place of a norm"),
        (("--act", "tanh", "--qx", "2", "--inputs", "x.npy"), "--qx does not go with --inputs"),
    ],
)
def test_options_of_a_network_that_contradict(
    command_line: CommandLine, checkpoint: Path, options: tuple[str, ...], words: str
) -> None:
    done = command_line("audit", checkpoint, *options)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_a_matrix_that_cannot_be_read_is_5_after_the_rows(command_line: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **{"0.weight": uniform((64, 64), 64), "1.weight": uniform((64, 64), 64, seed=1)})
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("1.weight.npy")
    content = bytearray(path.read_bytes())
    for place in range(entry.header_offset + 2000, entry.header_offset + 2100):
        content[place] ^= 0xFF
    path.write_bytes(bytes(content))
    done = command_line("audit", path)
    assert done.code == 5
    assert [json.loads(line)["status"] for line in done.out.splitlines()] == ["ok", "failed"]
    assert done.err.startswith(f"mfmi: error: {path}: 1.weight.npy cannot be read")
    assert len(done.err.splitlines()) == 1


def test_an_archive_without_arrays_is_empty(command_line: CommandLine, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz")
    done = command_line("audit", tmp_path / "a.npz")
    assert (done.code, done.err) == (
        5,
        f"mfmi: error: {tmp_path / 'a.npz'}: the archive is empty: it holds no arrays\n",
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"not a checkpoint at all", "damaged, or not the safetensors file"),
        ((2**40).to_bytes(8, "little") + b"{}", "a safetensors header of 1099511627776 bytes"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 40, "is a hdf5 file, not the safetensors file that its name says"),
    ],
)
def test_no_checkpoint_is_5_in_one_line(command_line: CommandLine, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    done = command_line("audit", tmp_path / "a.safetensors")
    assert (done.code, done.out) == (5, "")
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_a_missing_file_is_5(command_line: CommandLine, tmp_path: Path) -> None:
    done = command_line("audit", tmp_path / "none.npz")
    assert (done.code, done.err) == (5, f"mfmi: error: {tmp_path / 'none.npz'}: No such file or directory\n")


def test_an_empty_folder_is_5(command_line: CommandLine, tmp_path: Path) -> None:
    assert "no file in it ends with" in command_line("audit", tmp_path).err


@pytest.mark.thorough
def test_the_program_runs_for_real(process: Process, checkpoint: Path) -> None:
    done = process("audit", checkpoint, "--format", "csv")
    assert done.returncode == 0
    assert done.stdout.startswith("file,step,layer,name,kind,shape,fan_in,fan_out,sigma_w,sigma_b,mean,law,init,")
