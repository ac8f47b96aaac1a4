"""The one place where results leave the program: rows as a table, JSON, CSV or Parquet, to a stream or a file."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import click

from mfmi.cli.explanation import explain, explain_option
from mfmi.cli.options import Word
from mfmi.cli.terminal import terminal
from mfmi.errors import OutputError

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from mfmi.columns import Column

    Block = Mapping[str, "np.ndarray[Any, Any]"]

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")

FORMATS = ("auto", "table", "json", "jsonl", "csv", "tsv", "parquet")
SUFFIXES = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
TABLE_ROWS = 1000


@dataclass(frozen=True)
class Sink:
    """Destination and format of the rows.

    Attributes
    ----------
    format
        table, json, jsonl, csv, tsv or parquet.
    path
        The file, or None for standard output.
    force
        Whether an existing file may be replaced.
    """

    format: str
    path: str | None = None
    force: bool = False

    @classmethod
    def of(cls, output_format: str = "auto", output: str | None = None, force: bool = False) -> Sink:
        """Decide the format: the suffix of a file, a table on a terminal, JSON lines in a pipe.

        Raises
        ------
        click.BadParameter
            A suffix that says nothing or contradicts --format, or Parquet to a terminal.
        """
        if output is None or output == "-":
            on_terminal = sys.stdout is not None and sys.stdout.isatty()
            if output_format == "auto":
                output_format = "table" if on_terminal else "jsonl"
            if output_format == "parquet" and on_terminal:
                raise click.BadParameter("Parquet is not for a terminal; name a file with -o.", param_hint="'--format'")
            return cls(output_format)
        suffix = Path(output).suffix.lower()
        by_suffix = SUFFIXES.get(suffix)
        if by_suffix is None and output_format == "auto":
            known = ", ".join(SUFFIXES)
            raise click.BadParameter(
                f"{output!r} does not say its format: end it with one of {known}, or give --format.", param_hint="'-o'"
            )
        if by_suffix is not None and output_format not in ("auto", by_suffix):
            raise click.BadParameter(
                f"{output_format!r} contradicts the suffix of {output!r}, which means {by_suffix}.",
                param_hint="'--format'",
            )
        return cls(by_suffix or output_format, output, force)

    def check(self) -> None:
        """Refuse now what `write` would refuse after the work is done."""
        if self.path is not None:
            from mfmi.storage.atomic import refuse_existing

            refuse_existing(self.path, self.force)

    def write(
        self,
        blocks: Block | Iterable[Block],
        columns: Sequence[Column],
        *,
        table: Callable[[Console], Sequence[str] | None] | None = None,
        headings: Mapping[str, str] | None = None,
        shown: Sequence[str] = (),
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Write rows; with --explain say what their columns are.

        Parameters
        ----------
        blocks
            Columns by name, as arrays of one length in which NaN and None mean null; or an iterator of such blocks,
            of which one at a time is held in memory.
        columns
            What the columns are, in the order in which they are written; those that no block has are left out.
        table
            Draws the result for people on a console, in place of the plain table; it may return the names of the
            columns that it had room for.
        headings
            The columns that `table` draws, each with its heading there; None: those that have a value.
        shown
            The columns that matter most in a plain table, in that order.
        about
            Provenance, for the formats that can carry it.
        """
        if self.format == "table" and table is not None:
            block = cast("Block", blocks) if isinstance(blocks, Mapping) else None
            filled = [column for column in columns if block is None or _has_value(block, column)]
            self.draw(table, columns if headings else filled, headings)
            return
        if isinstance(blocks, Mapping):
            blocks = iter((cast("Block", blocks),))
        names: dict[str, None] = {}
        noted = (names.update(dict.fromkeys(block)) or block for block in blocks)
        writer = functools.partial(_WRITERS[self.format], noted, columns, shown=shown, about=about)
        fitting = self._send(writer)
        if terminal().explains:
            present = [column for column in columns if column.name in names]
            explain(present, None if fitting is None else {name: name for name in fitting})

    def draw(
        self,
        table: Callable[[Console], Sequence[str] | None],
        columns: Sequence[Column] = (),
        headings: Mapping[str, str] | None = None,
    ) -> None:
        """Let `table` draw for people; with --explain say what the `columns` are that it draws, as of `write`."""
        fitting = self._send(functools.partial(_draw, table))
        if terminal().explains:
            explain(columns, headings if fitting is None else {name: name for name in fitting})

    def write_text(self, text: str) -> None:
        """Write text as it is."""
        self._send(lambda file: file.write(text.encode()))

    def _send(self, write: Callable[[IO[bytes]], Any]) -> Any:
        """Let `write` write to the file or to standard output; return what it returns."""
        if self.path is not None:
            from mfmi.storage.atomic import atomic_path

            with atomic_path(self.path, self.force) as draft, open(draft, "wb") as file:
                return write(file)
        elif sys.stdout is None:
            raise OutputError("cannot write: standard output is closed")
        else:
            sys.stdout.flush()
            found = write(sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return found


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format, -o, --force and --explain; the function receives a `Sink` as `sink`."""

    @raw_output_options
    @functools.wraps(function)
    def with_sink(*args: Any, output_format: str, output: str | None, force: bool, **options: Any) -> Any:
        sink = Sink.of(output_format, output, force)
        sink.check()
        return function(*args, sink=sink, **options)

    return with_sink


def raw_output_options(function: Function) -> Function:
    """Add --format, -o, --force and --explain; the function receives `output_format`, `output` and `force`."""
    options: tuple[Callable[[Function], Function], ...] = (
        explain_option,
        click.option("--force", is_flag=True, help="Replace an existing file."),
        click.option(
            "-o",
            "--output",
            metavar="FILE",
            type=click.Path(),
            help="Write to a file; its suffix decides the format. - is standard output.",
        ),
        click.option(
            "--format",
            "output_format",
            type=Word(FORMATS),
            default="auto",
            help="auto is a table on a terminal and jsonl in a pipe.  [default: auto]",
        ),
    )
    for option in options:
        function = option(function)
    return function


def _has_value(block: Block, column: Column) -> bool:
    return column.name in block and any(cell is not None for cell in _cells(block[column.name]))


def _present(columns: Sequence[Column], block: Block) -> list[Column]:
    return [column for column in columns if column.name in block]


def _rows(block: Block, columns: Sequence[Column]) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a block as Python values, null as None."""
    return zip(*(_cells(block[column.name]) for column in columns), strict=True)


def _cells(array: np.ndarray[Any, Any]) -> list[Any]:
    cells: list[Any] = array.tolist()
    if array.dtype.kind in "fO":  # only NaN differs from itself
        return [None if cell is None or cell != cell else cell for cell in cells]
    return cells


def _json_cell(cell: Any) -> str:
    if isinstance(cell, float) and math.isinf(cell):
        return (
            '"Infinity"' if cell > 0 else '"-Infinity"'
        )  # JSON has no such number; float() and Number() read the word
    return json.dumps(cell)


def _write_jsonl(
    blocks: Iterable[Block], columns: Sequence[Column], file: IO[bytes], *, opening: str = "", **_: Any
) -> None:
    for block in blocks:
        present = _present(columns, block)
        keys = [f"{json.dumps(column.name)}: " for column in present]
        lines = (
            "{" + ", ".join(key + _json_cell(cell) for key, cell in zip(keys, row, strict=True)) + "}\n"
            for row in _rows(block, present)
        )
        file.write("".join(lines).encode())
        file.flush()  # the next block may take its time


def _write_json(blocks: Iterable[Block], columns: Sequence[Column], file: IO[bytes], **_: Any) -> None:
    separator = "[\n"
    for block in blocks:
        lines = io.BytesIO()
        _write_jsonl([block], columns, lines)
        for line in lines.getvalue().splitlines():
            file.write(separator.encode() + line)
            separator = ",\n"
    file.write(b"\n]\n" if separator == ",\n" else b"[]\n")


def _write_separated(
    blocks: Iterable[Block], columns: Sequence[Column], file: IO[bytes], *, dialect: str, **_: Any
) -> None:
    def send(rows: Iterable[Iterable[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, dialect, lineterminator="\n").writerows(rows)
        file.write(text.getvalue().encode())

    headed = False
    for block in blocks:
        present = _present(columns, block)
        if not headed:
            send([[column.name for column in present]])
            headed = True
        send(_rows(block, present))
        file.flush()  # the next block may take its time
    if not headed:
        send([[column.name for column in columns]])


def _write_parquet(
    blocks: Iterable[Block], columns: Sequence[Column], file: IO[bytes], *, about: Mapping[str, Any] | None, **_: Any
) -> None:
    from mfmi.storage.parquet import write_blocks

    write_blocks(file, blocks, columns, about)


def _write_table(
    blocks: Iterable[Block], columns: Sequence[Column], file: IO[bytes], *, shown: Sequence[str], **_: Any
) -> Sequence[str]:
    """Write a table for people; return the names of the columns that fit."""
    from mfmi.cli.table import plain_table

    rows: list[tuple[Any, ...]] = []
    present: list[Column] = []
    left_out = 0
    for block in blocks:
        present = present or _present(columns, block)
        new = list(_rows(block, present))
        room = TABLE_ROWS - len(rows)
        rows += new[:room]
        left_out += len(new[room:])
    return _draw(lambda console: plain_table(console, present, rows, shown=shown, rows_left_out=left_out), file)


def _draw(table: Callable[[Console], Result], file: IO[bytes]) -> Result:
    """Let `table` draw on a console that ends in `file`; return what it returns."""
    out = sys.stdout
    on_stdout = out is not None and file is out.buffer
    encoding = out.encoding if out is not None and on_stdout else "utf-8"
    text = io.TextIOWrapper(file, encoding=encoding, errors="replace", write_through=True)
    try:
        return table(terminal().console(text))
    finally:
        text.detach()


_WRITERS: dict[str, Callable[..., Sequence[str] | None]] = {
    "table": _write_table,
    "json": _write_json,
    "jsonl": _write_jsonl,
    "csv": functools.partial(_write_separated, dialect="excel"),
    "tsv": functools.partial(_write_separated, dialect="excel-tab"),
    "parquet": _write_parquet,
}
