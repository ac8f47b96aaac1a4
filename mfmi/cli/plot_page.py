"""A page written: the file's rows read, as many as there is room for, and the document put together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from mfmi.columns import Column
    from mfmi.report.figure_choice import Choice

SUFFIX = ".html"
MOST_BYTES = 5_900_000
# Rows that are tried first; most tables of so many take less than the bytes above.
MOST_ROWS = 400_000


def refuse_without_library() -> None:
    """Say what a page needs, if it is not installed."""
    from mfmi.report.page import available

    if not available():
        raise click.UsageError("a page needs Bokeh: pip install 'mfmi[web]'. PNG, SVG and PDF do not.")


def refuse_width(width: float | None) -> None:
    """Refuse an option that means nothing for a page."""
    if width is not None:
        raise click.UsageError("a page is as wide as its window: --width is for PNG, SVG and PDF.")


def write_sweep(
    file: str,
    columns: Mapping[str, Column],
    rows: pd.DataFrame,
    choice: Choice,
    where: str | None,
    path: Path,
    force: bool,
    remarks: Sequence[str] = (),
) -> None:
    """Write the page of a sweep.

    Parameters
    ----------
    file, columns
        The file and its columns.
    rows
        Those columns that choose a picture, of the rows that meet `where`.
    choice
        The picture with which the page starts.
    where
        Condition on rows.
    path, force
        Where it goes, and whether an existing file is replaced.
    remarks
        What else is said on the page.
    """
    from mfmi.report.page import compose, sweep_page
    from mfmi.report.page.thinning import thinned

    most = MOST_ROWS
    while True:
        try:
            keep, notes = thinned(rows, choice, most)
        except ValueError as error:
            raise click.UsageError(f"{error}: narrow them with --where.") from None
        shown = int(keep.sum())
        page = sweep_page(
            read_rows(file, columns, where, keep),
            choice,
            list(columns.values()),
            _origin(file),
            title=Path(file).name,
            summary=_summary(file, len(rows), shown, where),
            notes=(*notes, *remarks, _digits()),
        )
        document = compose(page)
        if len(document) <= MOST_BYTES:
            break
        share = MOST_BYTES / len(document)
        most = min(int(shown * share * 0.95), shown - 1)
    _write(document, path, force, None if shown == len(rows) else f"{shown:,} of {len(rows):,} rows")


def write_audit(file: str, columns: Mapping[str, Column], where: str | None, path: Path, force: bool) -> None:
    """Write the page of an audit; arguments as of `write_sweep`."""
    from mfmi.report.page import audit_page, compose
    from mfmi.report.page.thinning import thinned_audit

    rows = read_rows(file, columns, where)
    most = int(rows["layer"].notna().sum())
    while True:
        keep, notes = thinned_audit(rows, most)
        shown = int(keep.sum())
        try:
            page = audit_page(
                rows[keep],
                list(columns.values()),
                _origin(file),
                title=Path(file).name,
                summary=_summary(file, len(rows), shown, where),
                notes=(*notes, _digits()),
            )
        except ValueError as error:
            raise click.UsageError(f"nothing to draw in {file}: {error}.") from None
        document = compose(page)
        if len(document) <= MOST_BYTES:
            break
        if most <= 1:
            raise click.UsageError(
                f"a page with a single layer of {file} would have {len(document):,} bytes: too many."
            )
        most = max(1, int(most * min(MOST_BYTES / len(document), 0.95) * 0.95))
    _write(document, path, force, None if shown == len(rows) else f"{shown:,} of {len(rows):,} rows")


def read_rows(file: str, columns: Mapping[str, Column], where: str | None, keep: Any = None) -> pd.DataFrame:
    """Read all columns of the rows that meet a condition, and of these the ones to keep."""
    import pyarrow as pa

    from mfmi.cli.condition import nothing_meets, parsed
    from mfmi.storage.parquet import read_batches

    condition = parsed(where, columns)
    tables: list[Any] = []
    start = 0
    for batch in read_batches(file):
        table = pa.Table.from_batches([batch])
        if condition is not None:
            table = table.filter(condition.expression)
        count = table.num_rows
        tables.append(table if keep is None else table.filter(pa.array(keep[start : start + count])))
        start += count
    if not start:
        raise click.UsageError(nothing_meets(file, condition))
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas(use_threads=False)
    return frame


def _origin(file: str) -> Mapping[str, Any] | None:
    from mfmi.errors import OutputError
    from mfmi.report.source import read_origin

    try:
        return read_origin(file)
    except OutputError:  # the page says that the file has none
        return None


def _summary(file: str, total: int, shown: int, where: str | None) -> tuple[str, ...]:
    rows = f"{total:,} rows" if shown == total else f"{shown:,} of {total:,} rows"
    said = f"{rows} of {Path(file).name}" + (f" where {where}" if where is not None else "")
    unfinished = " It is under way: more rows may follow." if Path(file).is_dir() else ""
    return (f"{said}.{unfinished}",)


def _digits() -> str:
    from mfmi.report.page.packing import DIGITS

    return f"Numbers on this page have {DIGITS} significant digits; those of the file have all."


def _write(document: bytes, path: Path, force: bool, part: str | None) -> None:
    from mfmi.storage.atomic import atomic_path

    with atomic_path(path, force) as draft, open(draft, "wb") as target:
        target.write(document)
    click.echo(f"wrote {path} ({len(document) / 1e6:.1f} MB{', ' + part if part else ''})")
