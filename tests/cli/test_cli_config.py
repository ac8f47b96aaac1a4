"""`mfmi config` from the outside."""

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

from mfmi.config.config import json_schema, load_config

CommandLine = Callable[..., Outcome]
Process = Callable[..., subprocess.CompletedProcess[str]]
CONFIGS = Path(__file__).parents[2] / "configs"

SMALL = (
    "version: 1\nsweep:\n  activation: [tanh, relu]\n  sigma_w: [1, 0.1]\n  depth: [2, 3]\n"
    "  exclude: [{activation: relu, sigma_w: 1}]\n"
)
HEADER = [
    *("point", "activation", "weights", "noise_at"),
    *("sigma_w", "sigma_b", "sigma_noise", "input_variance", "init", "depth"),
]
ROWS = [
    ["0", "tanh", "gaussian", "output", "1.0", "0.0", "0.1", "1.0", "", "2"],
    ["0", "tanh", "gaussian", "output", "1.0", "0.0", "0.1", "1.0", "", "3"],
    ["1", "tanh", "gaussian", "output", "0.1", "0.0", "0.1", "1.0", "", "2"],
    ["1", "tanh", "gaussian", "output", "0.1", "0.0", "0.1", "1.0", "", "3"],
    ["3", "relu", "gaussian", "output", "0.1", "0.0", "0.1", "1.0", "", "2"],
    ["3", "relu", "gaussian", "output", "0.1", "0.0", "0.1", "1.0", "", "3"],
]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_check_says_in_one_line_what_is_in_it(command_line: CommandLine, small: Path) -> None:
    done = command_line("config", "check", small, "--set", "estimators=[replica, linear]")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{small}: 3 points (1 excluded); 6 rows; 1 chunk; estimators linear, replica\n"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_pass(command_line: CommandLine, path: Path) -> None:
    assert command_line("config", "check", path).code == 0


@pytest.mark.parametrize("command", ["check", "expand"])
def test_mistakes_exit_with_3_and_go_to_standard_error(command_line: CommandLine, small: Path, command: str) -> None:
    small.write_text(SMALL.replace("tanh", "tanhh").replace("depth: [2", "depth: [0"))
    done = command_line("config", command, small, "--set", "output.unit=bit")
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines() == [
        f"{small}:3:16: error: sweep.activation[0]: unknown activation tanhh (did you mean tanh?)",
        "  activation: [tanhh, relu]",
        "               ^",
        f"{small}:5:11: error: sweep.depth[0]: must be at least 1, got 0",
        "  depth: [0, 3]",
        "          ^",
        "--set output.unit:1:13: error: output.unit: expected nats or bits, got the text 'bit' (did you mean bits?)",
        "output.unit=bit",
        "            ^",
    ]


def test_unreadable_file_is_5(command_line: CommandLine, tmp_path: Path) -> None:
    for name in (tmp_path / "missing.yaml", tmp_path):
        done = command_line("config", "check", name)
        assert (done.code, done.out) == (5, "")
        assert len(done.err.splitlines()) == 1
        assert "cannot read" in done.err


@pytest.mark.thorough
def test_config_from_standard_input(process: Process) -> None:
    done = process("config", "check", "-", input=SMALL)
    assert done.returncode == 0
    assert done.stdout.startswith("<stdin>: 3 points (1 excluded); 6 rows;")
    done = process("config", "check", "-", input="version: 2")
    assert done.returncode == 3
    assert done.stderr.startswith("<stdin>:1:1: error: sweep: missing")


def test_bytes_that_are_no_text_get_one_line(process: Process, tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(b"version: \xff\x00")
    done = process("config", "check", "some.yaml")
    assert done.returncode == 3
    assert done.stderr == "some.yaml:1:10: error: not UTF-8 text: byte 0xff at offset 9\nversion: \n         ^\n"


def test_expand_lists_the_rows_in_every_format(command_line: CommandLine, small: Path, tmp_path: Path) -> None:
    done = command_line("config", "expand", small, "--format", "csv")
    header, *rows = csv.reader(io.StringIO(done.out))
    assert header == HEADER
    assert rows == ROWS
    lines = command_line("config", "expand", small, "--format", "jsonl").out.splitlines()
    assert [["" if cell is None else str(cell) for cell in json.loads(line).values()] for line in lines] == rows
    assert json.loads(command_line("config", "expand", small, "--format", "json").out)[5]["sigma_w"] == 0.1
    assert command_line("config", "expand", small, "--format", "tsv").out.splitlines()[1] == "\t".join(ROWS[0])
    assert "relu" in command_line("config", "expand", small, "--format", "table").out
    assert command_line("config", "expand", small, "-o", tmp_path / "rows.parquet").code == 0

    import pyarrow.parquet

    table = pyarrow.parquet.read_table(tmp_path / "rows.parquet")
    assert [["" if cell is None else str(cell) for cell in row.values()] for row in table.to_pylist()] == rows
    assert str(table.schema.field("depth").type) == "int32"


def test_expand_where_the_depth_is_an_axis(command_line: CommandLine, small: Path) -> None:
    small.write_text("version: 1\nsweep: {mode: zip, activation: tanh, sigma_w: [1, 2], depth: [4, 3]}")
    rows = [json.loads(line) for line in command_line("config", "expand", small, "--format", "jsonl").out.splitlines()]
    assert [(row["point"], row["sigma_w"], row["depth"]) for row in rows] == [(0, 1.0, 4), (1, 2.0, 3)]


def test_expand_of_a_huge_grid_starts_at_once(process: Process, tmp_path: Path) -> None:
    (tmp_path / "huge.yaml").write_text(
        "version: 1\nsweep:\n  activation: tanh\n  sigma_w: {start: 0, stop: 1, num: 1e4}\n"
        "  sigma_b: {start: 0, stop: 1, num: 1e5}\n"
    )
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | head -n 1', "-", *process_command("config", "expand", "huge.yaml")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["point"] == 0


def process_command(*arguments: str) -> list[str]:
    import sys

    return [sys.executable, "-m", "mfmi", *arguments]


def test_init_writes_a_config_that_passes(command_line: CommandLine, tmp_path: Path) -> None:
    done = command_line("config", "init")
    assert done.code == 0
    assert load_config(done.out, "starter.yaml").depths == (1, 2, 5, 10, 20)
    path = tmp_path / "mine.yaml"
    assert command_line("config", "init", "-o", path).code == 0
    assert path.read_text() == done.out
    assert command_line("config", "check", path).code == 0


def test_init_overwrites_only_by_force(command_line: CommandLine, small: Path) -> None:
    done = command_line("config", "init", "-o", small)
    assert done.code == 5
    assert "--force" in done.err
    assert small.read_text() == SMALL
    assert command_line("config", "init", "-o", small, "--force").code == 0
    assert small.read_text() != SMALL


def test_init_into_a_missing_folder_is_5(command_line: CommandLine, tmp_path: Path) -> None:
    assert command_line("config", "init", "-o", tmp_path / "missing" / "mine.yaml").code == 5


def test_schema_is_the_one_that_validates(command_line: CommandLine, tmp_path: Path) -> None:
    done = command_line("config", "schema")
    assert done.code == 0
    assert json.loads(done.out) == json_schema()
    assert command_line("config", "schema", "-o", tmp_path / "schema.json").code == 0
    assert (tmp_path / "schema.json").read_text() == done.out


def test_own_activation_from_the_command_line_only(process: Process, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import numpy as np\n\n\ndef phi(u):\n    return np.tanh(u)\n")
    (tmp_path / "some.yaml").write_text("version: 1\nsweep: {activation: 'own:phi', sigma_w: 1}")
    done = process("config", "check", "some.yaml")
    assert done.returncode == 3
    assert "a config runs no code of its own" in done.stderr
