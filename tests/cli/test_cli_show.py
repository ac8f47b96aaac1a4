"""``mfmi show``: a small sweep looked at in every way."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Outcome

from mfmi.columns import COLUMNS
from mfmi.storage.parquet import encode, to_table, write_tables
from mfmi.storage.provenance import provenance

CommandLine = Callable[..., Outcome]

TEXT = "version: 1\nsweep: {}\n"


def block() -> dict[str, np.ndarray[Any, Any]]:
    """Two activations, three sigma_w, two depths; information that is largest at sigma_w 1 and at 2."""
    rows: list[dict[str, Any]] = []
    for name in ("tanh", "relu"):
        for sigma_w in (0.5, 1.0, 2.0):
            for depth in (1, 20):
                row: dict[str, Any] = dict.fromkeys((column.name for column in COLUMNS), np.nan)
                row |= {column.name: "" for column in COLUMNS if column.dtype == "string"}
                row |= {
                    "normalization": "none",
                    "noise_scale": "absolute",
                    "skip": 0.0,
                    "branch": 1.0,
                    "branch_matrices": 1,
                }
                row |= {"point": len(rows) // 2, "activation": name, "weights": "gaussian", "noise_at": "output"}
                row |= {"sigma_w": sigma_w, "sigma_b": 0.1, "sigma_noise": 0.1, "input_variance": 1.0, "depth": depth}
                row |= {"mi_linear": 1.0 / (1.0 + abs(sigma_w - 1.0)) / depth, "mi_lower": sigma_w / depth}
                row |= {"chi_1": sigma_w**2, "phase": "chaotic" if sigma_w > 1 else "ordered", "status": "ok"}
                rows.append(row)
    kinds = {"int64": np.int64, "int32": np.int32, "float64": np.float64, "string": object}
    return {column.name: np.array([row[column.name] for row in rows], kinds[column.dtype]) for column in COLUMNS}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    about = provenance({"seed": 3}, TEXT, "f" * 64, ["linear", "entropy_power"])
    write_tables(tmp_path / "rows.parquet", [to_table(block())], about)
    return tmp_path / "rows.parquet"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    folder = tmp_path / "rows.parquet.parts"
    folder.mkdir()
    table = to_table(block())
    for number in range(3):
        name = f"chunk-{number:08d}-{number + 1:016x}.parquet"
        (folder / name).write_bytes(encode(table.slice(4 * number, 4)))
    about = provenance({"seed": 3}, TEXT, "f" * 64, ["linear"])
    (folder / "_plan.json").write_text(json.dumps({"provenance": about}))
    return folder


def lines(command_line: CommandLine, *arguments: str | Path) -> list[dict[str, Any]]:
    done = command_line("show", *arguments, "--format", "jsonl")
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def test_the_summary_for_people(command_line: CommandLine, file: Path) -> None:
    done = command_line("show", file, "--format", "table")
    assert done.code == 0
    assert "best mi_linear, linearly readable" in done.out
    assert "tanh · gaussian weights · noise at the output" in done.out
    assert "points: ordered 4 (66.7 %), chaotic 2 (33.3 %)" in done.out


def test_the_summary_for_programs(command_line: CommandLine, file: Path) -> None:
    found = lines(command_line, file)
    assert [(line["activation"], line["depth"]) for line in found] == [
        ("tanh", 1),
        ("tanh", 20),
        ("relu", 1),
        ("relu", 20),
    ]
    assert {line["best_linear_sigma_w"] for line in found} == {1.0}
    assert {line["best_lower_sigma_w"] for line in found} == {2.0}
    assert found[2]["best_linear_edge"] is None


def test_a_folder_of_parts_is_as_good(command_line: CommandLine, file: Path, parts: Path) -> None:
    assert lines(command_line, parts) == lines(command_line, file)
    assert lines(command_line, parts, "--rows") == lines(command_line, file, "--rows")
    assert command_line("show", parts, "--about", "--format", "json").code == 0


def test_where(command_line: CommandLine, file: Path) -> None:
    (line,) = lines(command_line, file, "--where", "depth == 20 and activation == 'tanh' and sigma_w < 1")
    assert line["best_linear_sigma_w"] == 0.5
    assert lines(command_line, file, "--where", "depth == 3") == []
    assert command_line("show", file, "--where", "depth == 3", "--format", "table").out == "no rows\n"
    done = command_line("show", file, "--where", 'phase == "chaotik"', "--rows")
    assert done.code == 0
    assert done.out == ""
    assert "no row has the phase 'chaotik'. Did you mean 'chaotic'?" in done.err


def test_group_by(command_line: CommandLine, file: Path) -> None:
    found = lines(command_line, file, "--group-by", "sigma_w, activation")
    assert [(line["sigma_w"], line["activation"]) for line in found] == [
        (0.5, "tanh"),
        (1.0, "tanh"),
        (2.0, "tanh"),
        (0.5, "relu"),
        (1.0, "relu"),
        (2.0, "relu"),
    ]


def test_sort_and_top_of_the_summary(command_line: CommandLine, file: Path) -> None:
    ascending = [line["mi_lower"] for line in lines(command_line, file, "--sort", "mi_lower")]
    assert ascending == sorted(ascending)
    descending = [line["mi_lower"] for line in lines(command_line, file, "--sort", "-mi_lower")]
    assert descending == sorted(descending, reverse=True)
    assert len(lines(command_line, file, "--top", "1")) == 1
    last = lines(command_line, file, "--sort", "-best_linear_edge")[-1]
    assert last["best_linear_edge"] is None


def test_rows(command_line: CommandLine, file: Path) -> None:
    found = lines(command_line, file, "--rows", "--where", "depth == 1")
    assert len(found) == 6
    assert list(found[0]) == [column.name for column in COLUMNS]
    assert {row["mi_replica"] for row in found} == {None}


def test_rows_sorted_and_cut(command_line: CommandLine, file: Path, parts: Path) -> None:
    for source in (file, parts):
        top = lines(command_line, source, "--rows", "--top", "3")
        assert [row["mi_linear"] for row in top] == [1.0, 1.0, 2 / 3]
        assert [row["point"] for row in top] == [1, 4, 0]
        by_chi = lines(command_line, source, "--rows", "--sort", "chi_1", "--top", "5")
        assert [row["chi_1"] for row in by_chi] == [0.25, 0.25, 0.25, 0.25, 1.0]
    whole = lines(command_line, file, "--rows", "--sort", "-mi_lower")
    assert [row["mi_lower"] for row in whole] == sorted((row["mi_lower"] for row in whole), reverse=True)
    assert len(whole) == 12


def test_nothing_to_sort(command_line: CommandLine, file: Path) -> None:
    done = command_line("show", file, "--rows", "--where", "depth == 3", "--top", "2", "--format", "csv")
    assert done.code == 0
    assert done.out == ",".join(column.name for column in COLUMNS) + "\n"


def test_rows_as_csv_and_as_a_table(command_line: CommandLine, file: Path) -> None:
    text = command_line("show", file, "--rows", "--format", "csv").out
    assert [row["sigma_w"] for row in csv.DictReader(io.StringIO(text))][:3] == ["0.5", "0.5", "1.0"]
    table = command_line("show", file, "--rows", "--format", "table").out.splitlines()
    assert table[0].split()[:2] == ["point", "activation"]
    assert table[-1].endswith("--format csv")
    assert max(map(len, table[:-1])) <= 80


def test_filtered_rows_stay_a_file_of_their_own(command_line: CommandLine, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "deep.parquet"
    assert command_line("show", file, "--rows", "--where", "depth == 20", "-o", path).code == 0
    whole, deep = pq.read_table(file), pq.read_table(path)
    assert deep.num_rows == 6
    assert deep.schema.equals(whole.schema, check_metadata=True)
    assert len(lines(command_line, path)) == 2


def test_about(command_line: CommandLine, file: Path) -> None:
    text = command_line("show", file, "--about", "--format", "table").out
    assert "seed           3" in text
    assert "linear         theorem given Gaussian equivalence" in text
    assert TEXT in text
    origin = json.loads(command_line("show", file, "--about", "--format", "json").out)
    assert origin["config"]["text"] == TEXT
    assert command_line("show", file, "--about", "--format", "csv").code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--where", "detph == 1"], "'--where': no column 'detph' (did you mean 'depth'?)"),
        (["--where", "depth = 1"], "'--where': cannot read"),
        (["--group-by", "actvation"], "no column 'actvation'. Did you mean 'activation'?"),
        (["--sort", "mi_liner"], "no column 'mi_liner'. Did you mean 'mi_linear'?"),
        (["--rows", "--sort", "-chi"], ""),
        (["--rows", "--sort", "mi_liner"], "no column 'mi_liner'"),
        (["--top", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be(command_line: CommandLine, file: Path, arguments: list[str], words: str) -> None:
    done = command_line("show", file, *arguments)
    assert done.code == (2 if words else 0)
    assert words in done.err


def test_files_that_are_none(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no Parquet at all")
    (tmp_path / "empty.parts").mkdir()
    for name, words in (
        ("missing.parquet", "No such file or directory"),
        ("text.parquet", "cannot read"),
        ("empty.parts", "no finished chunk"),
    ):
        done = command_line("show", tmp_path / name)
        assert done.code == 5
        assert words in done.err
        assert len(done.err.splitlines()) == 1


def test_a_damaged_file_is_5(command_line: CommandLine, file: Path, tmp_path: Path) -> None:
    data = bytearray(file.read_bytes())
    data[60:120] = bytes(60)
    (tmp_path / "damaged.parquet").write_bytes(data)
    assert command_line("show", tmp_path / "damaged.parquet").code == 5


def test_parts_without_their_plan(command_line: CommandLine, parts: Path) -> None:
    (parts / "_plan.json").unlink()
    assert command_line("show", parts).code == 0
    assert command_line("show", parts, "--about").code == 5
    (parts / "_plan.json").write_text("[" * 100_000)
    assert command_line("show", parts, "--about").code == 5


def test_a_copy_elsewhere_is_as_good(command_line: CommandLine, file: Path, tmp_path: Path) -> None:
    (tmp_path / "else where").mkdir()
    copy = shutil.copy(file, tmp_path / "else where" / "a copy.parquet")
    assert lines(command_line, Path(copy)) == lines(command_line, file)
