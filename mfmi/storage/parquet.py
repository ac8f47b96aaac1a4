"""Rows as Arrow tables and Parquet files: schema, deterministic bytes, reading in bounded memory."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mfmi.columns import COLUMNS, INFORMATION, TOTAL, Column
from mfmi.errors import OutputError
from mfmi.processes.progress import stage, staged
from mfmi.storage.provenance import information_unit

if TYPE_CHECKING:
    pass

Block = dict[str, np.ndarray[Any, Any]]
Table: TypeAlias = pa.Table

METADATA_KEY = b"mfmi"

# A row group takes whole chunks until it holds this many rows: the layout follows from the plan alone, and the footer
# of a file of 10^9 rows stays at tens of megabytes, which a group per chunk would not give.
ROW_GROUP_ROWS = 65_536

_TYPES = {"int64": pa.int64(), "int32": pa.int32(), "float64": pa.float64(), "string": pa.string(), "bool": pa.bool_()}
_REQUIRED = {"point", "depth"}
_REPEATING = ("activation", "weights", "noise_at", "sigma_w", "sigma_b", "sigma_noise", "input_variance", "depth")
_REPEATING_TEXT = ("init", "phase", "status", "message")


def columns_in(unit: str, columns: Sequence[Column] = COLUMNS) -> tuple[Column, ...]:
    """Return the columns with the information in "nats" or "bits"."""
    here = {INFORMATION: information_unit(unit), TOTAL: unit}
    return tuple(replace(column, unit=here.get(column.unit, column.unit)) for column in columns)


def schema_of(columns: Sequence[Column], about: Mapping[str, Any] | None = None) -> pa.Schema:
    """Arrow schema of columns, in their order.

    Parameters
    ----------
    columns
        What the columns are; ``unit`` and ``description`` become metadata of the fields.
    about
        The `provenance` to carry under the key ``mfmi`` and, for pandas, ``PANDAS_ATTRS``.
    """
    fields = [
        pa.field(
            column.name,
            _TYPES[column.dtype],
            nullable=column.name not in _REQUIRED,
            metadata={"unit": column.unit, "description": column.description},
        )
        for column in columns
    ]
    schema = pa.schema(fields)
    return schema if about is None else schema.with_metadata(_metadata(about))


def _metadata(about: Mapping[str, Any]) -> dict[str, str]:
    return {"mfmi": json.dumps(about), "PANDAS_ATTRS": json.dumps({"mfmi": about})}


def to_table(block: Mapping[str, Any], columns: Sequence[Column] = COLUMNS) -> pa.Table:
    """Arrow table of one block of rows: NaN in a float column and None become null.

    Parameters
    ----------
    block
        Arrays of one length by column name, as `evaluate_points` returns them.
    columns
        What the columns are, in the order of the table; those that the block lacks are left out.
    """
    schema = schema_of([column for column in columns if column.name in block])
    arrays = [
        pa.array(block[part.name], type=part.type, from_pandas=pa.types.is_floating(part.type)) for part in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def to_block(table: pa.Table | pa.RecordBatch) -> Block:
    """Undo `to_table`: nulls of float columns as NaN, strings as object arrays."""
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    return {name: table.column(name).to_numpy() for name in table.column_names}


def encode(table: pa.Table) -> bytes:
    """Return a chunk's table as the bytes of a small Parquet file."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, **_encoding(table.schema, level=1)) as writer:
        writer.write_table(table, row_group_size=max(table.num_rows, 1))
    return buffer.getvalue()


# Arrow's own threads read nothing here or elsewhere: one that is still starting when a short program ends aborts it.
def decode(data: bytes) -> pa.Table:
    """Return the table whose bytes `encode` made."""
    return pq.ParquetFile(io.BytesIO(data), pre_buffer=False).read(use_threads=False)


def rows_of(data: bytes) -> int:
    """Return the number of rows in a chunk's bytes, from the footer alone."""
    return int(pq.ParquetFile(io.BytesIO(data)).metadata.num_rows)


def _encoding(schema: pa.Schema, level: int = 3) -> dict[str, Any]:
    """Everything that shapes the bytes, spelt out so that no default of a later pyarrow changes them."""
    repeating = [name for name in (*_REPEATING, *_REPEATING_TEXT) if name in schema.names]
    return {
        "version": "2.6",
        "data_page_version": "1.0",
        "compression": "zstd",
        "compression_level": level,
        "use_dictionary": repeating,
        "write_statistics": True,
        "write_page_checksum": True,
    }


def write_tables(
    file: IO[bytes] | str | os.PathLike[str], tables: Iterable[pa.Table], about: Mapping[str, Any] | None
) -> None:
    """Write tables, in order, as one Parquet file with a row-group layout that depends on their sizes alone.

    Parameters
    ----------
    file
        Path or open binary file; not atomic by itself, see `mfmi.storage.atomic`.
    tables
        Tables of one schema, at least one. `ROW_GROUP_ROWS` rows and one table more are held in memory at most.
    about
        The `provenance` to write.
    """
    groups = _row_groups(tables)
    first = next(groups)
    schema = first.schema if about is None else first.schema.with_metadata(_metadata(about))
    where = os.fspath(file) if isinstance(file, (str, os.PathLike)) else file
    with pq.ParquetWriter(where, schema, **_encoding(schema)) as writer:
        for group in itertools.chain([first], groups):
            writer.write_table(group.cast(schema), row_group_size=max(group.num_rows, 1))


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Whole tables put together until they reach `ROW_GROUP_ROWS`; empty ones are passed on only if all are."""
    held: list[pa.Table] = []
    rows = 0
    written = False
    for table in tables:
        if rows == 0:
            held = []
        held.append(table)
        rows += table.num_rows
        if rows >= ROW_GROUP_ROWS:
            yield pa.concat_tables(held)
            held, rows, written = [], 0, True
    if rows or (held and not written):
        yield pa.concat_tables(held)


def write_blocks(
    file: IO[bytes] | str | os.PathLike[str],
    blocks: Iterable[Mapping[str, Any]],
    columns: Sequence[Column],
    about: Mapping[str, Any] | None,
) -> None:
    """Write blocks of rows as one Parquet file, with the bytes that `write_tables` gives.

    Parameters
    ----------
    file
        Path or open binary file; not atomic by itself, see `mfmi.storage.atomic`.
    blocks
        Blocks with the same columns each; without any the file has all columns and no rows.
    columns
        What the columns are, in the order of the file; those that the blocks lack are left out.
    about
        Provenance for the metadata key ``mfmi``.
    """
    tables = (to_table(block, columns) for block in blocks)
    first = next(tables, None)
    if first is None:
        first = schema_of(columns).empty_table()
    write_tables(file, itertools.chain([first], tables), about)


def read_batches(
    path: str | os.PathLike[str], names: Sequence[str] | None = None, batch_rows: int = ROW_GROUP_ROWS
) -> Iterator[pa.RecordBatch]:
    """Read a finished file, or the chunks that a parts folder holds, in order and in bounded memory.

    Parameters
    ----------
    path
        A Parquet file, or a folder of finished chunks.
    names
        Columns to read; all of them by default.
    batch_rows
        Most rows in a batch.

    Yields
    ------
    pyarrow.RecordBatch
        With the schema of the file.

    Raises
    ------
    OutputError
        The file cannot be read, is not Parquet, or lacks a column.
    """
    place = Path(path)
    if not place.is_dir():
        yield from _read_file(place, names, batch_rows)
        return
    for file in staged(f"read {place}", sorted(place.glob("chunk-*.parquet")), "chunks"):
        yield from _read_file(file, names, batch_rows)


def _read_file(path: Path, names: Sequence[str] | None, batch_rows: int) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            lacking = [name for name in names or () if name not in file.schema_arrow.names]
            if lacking:
                raise OutputError(f"cannot read {path}: no column {', '.join(lacking)}")
            with stage(f"read {path}", file.metadata.num_rows, "rows") as work:
                for batch in file.iter_batches(batch_size=batch_rows, columns=names, use_threads=False):
                    yield batch
                    work.advance(batch.num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise OutputError(f"cannot read {path}: {_reason(error)}") from error


def read_numbers(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """Read all columns of a Parquet file side by side, shape (rows, columns).

    Raises
    ------
    ValueError
        The file is not Parquet, or a column is null somewhere or not of numbers.
    """
    table = pq.read_table(path, use_threads=False, pre_buffer=False)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not _is_numeric(column.type):
            raise ValueError(f"column {name!r} is of {column.type}, not of numbers")
        if column.null_count:
            raise ValueError(f"column {name!r} is null in row {pc.index(column.is_null(), value=True).as_py() + 1}")
    return _side_by_side(table)


def read_text_numbers(
    path: str | os.PathLike[str], separator: str, *, has_names: bool, skip_empty: bool
) -> np.ndarray[Any, Any] | None:
    """Read all columns of a text table side by side, shape (rows, columns).

    Parameters
    ----------
    path, separator
        The file and what stands between its cells.
    has_names
        Whether the first line is to be passed over.
    skip_empty
        Whether empty lines are to be passed over; else one counts as an empty cell.

    Returns
    -------
    ndarray or None
        None where a cell is not a number, or rows differ in length.
    """
    reading = pa_csv.ReadOptions(use_threads=False, autogenerate_column_names=True, skip_rows=int(has_names))
    parsing = pa_csv.ParseOptions(delimiter=separator, ignore_empty_lines=skip_empty)
    try:
        table = pa_csv.read_csv(_lines(path), reading, parsing, pa_csv.ConvertOptions(null_values=[]))
    except pa.ArrowInvalid:
        return None
    return _side_by_side(table) if all(map(_is_numeric, table.schema.types)) else None


def _lines(path: str | os.PathLike[str]) -> Any:
    """The file, or its text where that is one line without an end, which pyarrow (26.0) takes for an empty block."""
    with open(path, "rb") as file:
        first = file.readline()
        is_all = not file.read(1)
    return pa.BufferReader(first + b"\n") if is_all and first.strip() and not first.endswith(b"\n") else path


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _side_by_side(table: pa.Table) -> np.ndarray[Any, Any]:
    return np.column_stack([column.to_numpy() for column in table.columns])


def read_provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the provenance that a Parquet file carries.

    Raises
    ------
    OutputError
        The file cannot be read, is not Parquet, or was not written by this program.
    """
    try:
        metadata = pq.read_schema(os.fspath(path)).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise OutputError(f"cannot read {os.fspath(path)}: {_reason(error)}") from error
    try:
        origin = json.loads(metadata[METADATA_KEY])
    except (KeyError, ValueError, RecursionError) as error:
        raise OutputError(f"cannot read {os.fspath(path)}: it does not say which sweep it came from") from error
    if not isinstance(origin, dict):
        raise OutputError(f"cannot read {os.fspath(path)}: it does not say which sweep it came from")
    return origin


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).splitlines()[0]


@dataclass(frozen=True)
class Failure:
    """A row that is failed or unconverged, as far as a summary names it."""

    point: int
    activation: str
    weights: str
    noise_at: str
    sigma_w: float
    sigma_b: float
    depth: int
    status: str
    message: str


TALLIED = (*Failure.__dataclass_fields__, "phase")


@dataclass
class Tally:
    """Counts over rows, added table by table in order.

    Attributes
    ----------
    rows, points : numbers of rows and of points.
    statuses : rows by status.
    phases : points by phase.
    failures : of the first three points with failed or unconverged rows, the first such row.
    """

    rows: int = 0
    points: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    NAMED: ClassVar[int] = 3
    _last_point: int = -1
    _last_failed: int = -1

    def add(self, table: pa.Table | pa.RecordBatch) -> None:
        """Count the rows of the next table, which has the columns `TALLIED` at least."""
        self.rows += table.num_rows
        if not table.num_rows:
            return
        points = table.column("point").to_numpy()
        first = np.diff(points, prepend=self._last_point) != 0
        self._last_point = int(points[-1])
        self.points += int(first.sum())
        self.statuses.update(_counts(table.column("status")))
        self.phases.update(_counts(table.column("phase").filter(pa.array(first))))
        if len(self.failures) < self.NAMED:
            self._name(table.filter(pc.is_in(table.column("status"), pa.array(["failed", "unconverged"]))))

    def _name(self, bad: pa.Table | pa.RecordBatch) -> None:
        """Take the first row of every failed point, until there are enough."""
        points = bad.column("point").to_numpy()
        first = np.diff(points, prepend=self._last_failed) != 0
        self._last_failed = int(points[-1]) if len(points) else self._last_failed
        rows = bad.select(list(Failure.__dataclass_fields__)).filter(pa.array(first))
        for row in rows.slice(0, self.NAMED - len(self.failures)).to_pylist():
            self.failures.append(Failure(**{**row, "message": row["message"] or ""}))


def _counts(column: Any) -> dict[str, int]:
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(column.drop_null()).to_pylist()}
