"""The output sink: exact numbers in every format, nulls as nulls, files whole or not at all."""

import csv
import io
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfmi.cli.sink import _WRITERS, SUFFIXES, Sink
from mfmi.columns import Column
from mfmi.errors import OutputError
from mfmi.storage.atomic import atomic_path, refuse_existing

COLUMNS = (
    Column("point", "int64", "1", "which"),
    Column("activation", "string", "", "what"),
    Column("mi_linear", "float64", "nats per input dimension", "how much"),
    Column("message", "string", "", "why"),
    Column("never", "float64", "1", "not in the block"),
)
BLOCK: dict[str, np.ndarray[Any, Any]] = {
    "point": np.array([0, 1, 2**53 + 1], dtype=np.int64),
    "activation": np.array(["tanh", "leaky_relu(0.1)", 'a,"b"\n'], dtype=object),
    "mi_linear": np.array([0.1 + 0.2, math.nan, math.inf]),
    "message": np.array([None, "", "σ → ∞"], dtype=object),
}
ROWS = [
    {"point": 0, "activation": "tanh", "mi_linear": 0.1 + 0.2, "message": None},
    {"point": 1, "activation": "leaky_relu(0.1)", "mi_linear": None, "message": ""},
    {"point": 2**53 + 1, "activation": 'a,"b"\n', "mi_linear": math.inf, "message": "σ → ∞"},
]


JSON_ROWS = [*ROWS[:2], ROWS[2] | {"mi_linear": "Infinity"}]


def written(path: Path, blocks: Any = BLOCK) -> bytes:
    Sink.of("auto", str(path)).write(blocks, COLUMNS, about={"seed": 0})
    return path.read_bytes()


def test_json_lines_are_exact(tmp_path: Path) -> None:
    lines = written(tmp_path / "rows.jsonl").decode().splitlines()
    assert [json.loads(line) for line in lines] == JSON_ROWS


def test_json_is_one_list(tmp_path: Path) -> None:
    assert json.loads(written(tmp_path / "rows.json")) == JSON_ROWS


def test_json_is_strict(tmp_path: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    assert json.loads(written(tmp_path / "rows.json"), parse_constant=refuse) == JSON_ROWS
    with pytest.raises(AssertionError, match="NaN is not JSON"):
        json.loads("[NaN]", parse_constant=refuse)


@pytest.mark.parametrize(("suffix", "dialect"), [("csv", "excel"), ("tsv", "excel-tab")])
def test_separated_values_are_exact(tmp_path: Path, suffix: str, dialect: str) -> None:
    rows = list(csv.DictReader(io.StringIO(written(tmp_path / f"rows.{suffix}").decode(), newline=""), dialect=dialect))
    assert [row["activation"] for row in rows] == [row["activation"] for row in ROWS]
    assert [int(row["point"]) for row in rows] == [0, 1, 2**53 + 1]
    assert [row["mi_linear"] for row in rows] == ["0.30000000000000004", "", "inf"]
    assert list(rows[0]) == ["point", "activation", "mi_linear", "message"]


def test_parquet_has_nulls_units_and_provenance(tmp_path: Path) -> None:
    written(tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.to_pylist() == ROWS
    assert table.schema.field("mi_linear").metadata == {
        b"unit": b"nats per input dimension",
        b"description": b"how much",
    }
    assert json.loads(table.schema.metadata[b"mfmi"]) == {"seed": 0}
    assert pd.read_parquet(tmp_path / "rows.parquet").attrs == {"mfmi": {"seed": 0}}


@pytest.mark.parametrize("suffix", sorted(set(SUFFIXES)))
def test_blocks_are_written_one_after_the_other(tmp_path: Path, suffix: str) -> None:
    parts = [{name: values[i : i + 1] for name, values in BLOCK.items()} for i in range(3)]
    whole = written(tmp_path / f"whole{suffix}")
    in_parts = written(tmp_path / f"parts{suffix}", iter(parts))
    if suffix in (".parquet", ".pq"):
        assert pq.read_table(tmp_path / f"parts{suffix}").to_pylist() == ROWS
    else:
        assert whole == in_parts


def test_pandas_reads_what_was_written(tmp_path: Path) -> None:
    written(tmp_path / "rows.jsonl")
    written(tmp_path / "rows.csv")
    for frame in (pd.read_json(tmp_path / "rows.jsonl", lines=True), pd.read_csv(tmp_path / "rows.csv")):
        # the fast parsers of some versions are off by a bit in the last place
        np.testing.assert_allclose(frame["mi_linear"].astype(float), BLOCK["mi_linear"], rtol=4e-16)


def test_no_blocks_at_all(tmp_path: Path) -> None:
    assert written(tmp_path / "rows.jsonl", iter([])) == b""
    assert json.loads(written(tmp_path / "rows.json", iter([]))) == []


@given(st.floats())
def test_every_float_survives_json_and_csv(value: float) -> None:
    block = {"mi_linear": np.array([value])}
    for name in ("jsonl", "csv"):
        file = io.BytesIO()
        _WRITERS[name]([block], COLUMNS, file, shown=(), about=None)
        text = file.getvalue().decode()
        back = json.loads(text)["mi_linear"] if name == "jsonl" else text.splitlines()[1].strip('"')
        if math.isnan(value):
            assert back in (None, "")
        else:
            assert np.float64(back).tobytes() == np.float64(value).tobytes()


@pytest.mark.parametrize(
    ("output_format", "output", "expected"),
    [
        ("auto", "a.parquet", "parquet"),
        ("auto", "a.b/c.CSV", "csv"),
        ("csv", "a.csv", "csv"),
        ("jsonl", "rows", "jsonl"),
        ("auto", None, "jsonl"),
        ("auto", "-", "jsonl"),
        ("parquet", None, "parquet"),
    ],
)
def test_the_format(output_format: str, output: str | None, expected: str) -> None:
    assert Sink.of(output_format, output).format == expected


@pytest.mark.parametrize(
    ("output_format", "output", "words"),
    [("auto", "rows.xlsx", "does not say its format"), ("csv", "rows.parquet", "contradicts the suffix")],
)
def test_a_format_that_cannot_be(output_format: str, output: str, words: str) -> None:
    with pytest.raises(click.BadParameter, match=words):
        Sink.of(output_format, output)


def test_an_existing_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists: --force replaces it"):
        Sink.of("auto", str(path)).check()
    with pytest.raises(OutputError, match="exists"):
        written(path)
    assert path.read_text() == "precious"
    Sink.of("auto", str(path), force=True).write(BLOCK, COLUMNS)
    assert path.read_text().startswith("point,")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    seen: list[bool] = []

    def failing() -> Any:
        yield BLOCK
        seen.append(path.exists())
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        written(path, failing())
    assert seen == [False]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_turns_up_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"

    def write_too_late() -> None:
        with atomic_path(path) as draft:
            draft.write_text("new")
            path.write_text("precious")

    with pytest.raises(OutputError, match="made while this ran"):
        write_too_late()
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_force_replaces_and_keeps_the_old_file_until_then(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("old")
    with atomic_path(path, force=True) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "real" / "rows.csv")
    with atomic_path(link) as draft:
        draft.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "rows.csv").read_text() == "new"


def test_permissions_are_those_of_an_ordinary_new_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_text("")
    with atomic_path(tmp_path / "rows.csv") as draft:
        draft.write_text("new")
    assert stat.S_IMODE((tmp_path / "rows.csv").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_a_device_is_written_and_not_replaced() -> None:
    with atomic_path(os.devnull) as draft:
        assert draft == Path(os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_directory_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a directory"):
        refuse_existing(tmp_path, force=True)


@pytest.mark.parametrize("place", ["missing/rows.csv", "file/rows.csv"])
def test_a_place_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*rows.csv: (No such file|Not a directory)"):
        written(tmp_path / place)
