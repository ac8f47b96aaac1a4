"""Arrow schema, Parquet bytes, provenance and reading back."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_sweep import FakePlan, rows

from mfmi.columns import COLUMNS, INFORMATION
from mfmi.errors import OutputError
from mfmi.networks.points import Points
from mfmi.storage import parquet as store
from mfmi.storage.frames import to_frame
from mfmi.sweep.chunks import provenance_of

ABOUT = provenance_of(FakePlan())


def block(n: int = 20, start: int = 0, depths: tuple[int, ...] = (1, 2, 5)) -> dict[str, np.ndarray]:
    points = FakePlan(n_grid=start + n).points(start, start + n)
    return rows(points, depths, ("linear",))


def written(tables: list[pa.Table], about: dict | None = ABOUT) -> bytes:
    buffer = io.BytesIO()
    store.write_tables(buffer, tables, about)
    return buffer.getvalue()


def test_schema_is_the_contract() -> None:
    schema = store.to_table(block()).schema
    assert schema.names == [column.name for column in COLUMNS]
    assert schema.field("point").type == pa.int64()
    assert schema.field("depth").type == pa.int32()
    for name in ("activation", "weights", "noise_at", "phase", "status", "message"):
        assert schema.field(name).type == pa.string()
    floats = [field.name for field in schema if field.type == pa.float64()]
    assert set(floats) == {column.name for column in COLUMNS if column.dtype == "float64"}
    for column in COLUMNS:
        metadata = schema.field(column.name).metadata
        assert metadata == {b"unit": column.unit.encode(), b"description": column.description.encode()}
        assert schema.field(column.name).nullable == (column.name not in ("point", "depth"))


def test_bits_are_said_to_be_bits() -> None:
    units = {column.name: column.unit for column in store.columns_in("bits")}
    assert units["mi_linear"] == "bits per input dimension"
    assert units["sigma_w"] == "1"
    assert {column.unit for column in store.columns_in("nats")} >= {INFORMATION}


def test_nan_and_none_become_nulls_and_come_back(tmp_path: Path) -> None:
    rows_in = block()
    rows_in["mi_linear"][3] = np.nan
    rows_in["mi_upper"][:] = np.nan
    rows_in["mi_upper"][1] = np.inf
    path = tmp_path / "a.parquet"
    store.write_blocks(path, [rows_in], COLUMNS, ABOUT)
    table = pq.read_table(path)
    assert table.column("mi_linear").null_count == 1
    assert table.column("mi_linear")[3].as_py() is None
    assert table.column("mi_replica").null_count == table.num_rows
    assert table.column("mi_upper")[1].as_py() == np.inf
    back = store.to_block(table)
    assert list(back) == list(rows_in)
    for name, values in rows_in.items():
        if values.dtype.kind == "O":
            assert list(back[name]) == list(values)
        else:
            np.testing.assert_array_equal(back[name], values)


def test_frame_of_a_block_is_the_frame_that_pandas_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    store.write_blocks(path, [block()], COLUMNS, ABOUT)
    frame = to_frame(block())
    assert frame["point"].dtype == np.int64
    assert frame["depth"].dtype == np.int32
    pd.testing.assert_frame_equal(frame, pd.read_parquet(path), check_dtype=True)


def test_provenance_stands_in_the_schema_and_in_the_attributes_of_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    store.write_blocks(path, [block()], COLUMNS, ABOUT)
    about = store.read_provenance(path)
    assert about == ABOUT == json.loads(pq.read_schema(path).metadata[b"mfmi"])
    assert pd.read_parquet(path).attrs == {"mfmi": ABOUT}
    assert about["schema_version"] == 1
    assert set(about["versions"]) - {"numba"} == {"mfmi", "numpy", "scipy", "pandas", "pyarrow"}
    assert about["config"]["text"] == "version: 1\n"
    assert len(about["config"]["sha256"]) == 64
    assert about["seed"] == 0
    assert about["units"] == {"information": INFORMATION}
    assert about["estimators"] == {"linear": "theorem given Gaussian equivalence of second moments"}


def test_row_groups_follow_from_the_tables_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ROW_GROUP_ROWS", 100)
    tables = [store.to_table(block(20, 20 * i)) for i in range(6)]
    whole = store.Table.from_batches([b for table in tables for b in table.to_batches()])
    file = pq.ParquetFile(io.BytesIO(written(tables)))
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    counts = [table.num_rows for table in tables]
    expected, held = [], 0
    for count in counts:
        held += count
        if held >= 100:
            expected.append(held)
            held = 0
    assert sizes == expected + [held] * (held > 0)
    assert file.read().equals(whole)
    assert written(tables) == written(tables)


def test_empty_chunks_leave_no_trace_unless_all_are_empty() -> None:
    empty = store.to_table(block(0))
    full = store.to_table(block())
    assert written([empty, full, empty]) == written([full])
    file = pq.ParquetFile(io.BytesIO(written([empty, empty])))
    assert file.metadata.num_rows == 0
    assert file.schema_arrow.names == full.schema.names


def test_blocks_and_tables_give_the_same_bytes(tmp_path: Path) -> None:
    store.write_blocks(tmp_path / "a", [block(10), block(10, 10)], COLUMNS, ABOUT)
    assert (tmp_path / "a").read_bytes() == written([store.to_table(block(10)), store.to_table(block(10, 10))])


def test_blocks_with_some_columns_or_none(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    store.write_blocks(
        path, [{"sigma_w": np.ones(2), "phase": np.array(["ordered", None], dtype=object)}], COLUMNS, None
    )
    table = pq.read_table(path)
    assert table.column_names == ["sigma_w", "phase"]
    assert b"mfmi" not in (table.schema.metadata or {})
    store.write_blocks(path, [], COLUMNS, ABOUT)
    assert pq.read_table(path).num_rows == 0
    assert pq.read_table(path).column_names == [column.name for column in COLUMNS]


def test_a_chunk_comes_back_as_it_was() -> None:
    table = store.to_table(block())
    data = store.encode(table)
    assert store.decode(data).equals(table)
    assert store.decode(data).schema.equals(table.schema, check_metadata=True)
    assert store.rows_of(data) == table.num_rows
    assert store.encode(store.decode(data)) == data


def test_reading_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = store.to_table(block(50))
    store.write_tables(path, [table], ABOUT)
    batches = list(store.read_batches(path, ["point", "mi_linear"], batch_rows=40))
    assert max(batch.num_rows for batch in batches) == 40
    assert (
        pa.Table.from_batches(batches)
        .column("mi_linear")
        .equals(pa.chunked_array([table.column("mi_linear").combine_chunks()]))
    )


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not Parquet at all" * 100])
def test_what_is_not_parquet_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    for read in (store.read_provenance, lambda path: list(store.read_batches(path))):
        with pytest.raises(OutputError, match=r"cannot read .*a\.parquet: ") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    store.write_blocks(path, [block(200)], COLUMNS, ABOUT)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(OutputError, match="cannot read"):
        list(store.read_batches(path))


def test_missing_files_columns_and_provenance(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        list(store.read_batches(tmp_path / "nowhere.parquet"))
    with pytest.raises(OutputError, match="No such file"):
        store.read_provenance(tmp_path / "nowhere.parquet")
    path = tmp_path / "a.parquet"
    store.write_blocks(path, [block()], COLUMNS, None)
    with pytest.raises(OutputError, match="no column mi_linaer"):
        list(store.read_batches(path, ["point", "mi_linaer"]))
    with pytest.raises(OutputError, match="which sweep"):
        store.read_provenance(path)


def test_tally_does_not_depend_on_how_rows_are_cut(tmp_path: Path) -> None:
    points = Points.of("tanh", np.linspace(1, 2, 30))
    rows_in = rows(points, [1, 2, 5], ("linear",))
    rows_in["status"][rows_in["point"] == 20] = "failed"
    rows_in["status"][rows_in["point"] > 26] = "failed"
    rows_in["status"][0] = "unbounded"
    table = store.to_table(rows_in)
    whole = store.Tally()
    whole.add(table)
    assert (whole.rows, whole.points) == (90, 30)
    assert whole.statuses == {"ok": 90 - 1 - 3 - 12, "unbounded": 1, "unconverged": 3, "failed": 12}
    assert whole.phases == {"ordered": 10, "chaotic": 20}
    assert [failure.point for failure in whole.failures] == [12, 20, 27]
    assert [failure.status for failure in whole.failures] == ["unconverged", "failed", "failed"]
    for size in (1, 2, 7, 50):
        cut = store.Tally()
        for batch in table.to_batches(max_chunksize=size):
            cut.add(batch)
        for name in ("rows", "points", "statuses", "phases", "failures"):
            assert getattr(cut, name) == getattr(whole, name)
