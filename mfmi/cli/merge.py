"""``mfmi merge``: the shares of a divided sweep put together."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfmi.cli.command import command as make_command
from mfmi.cli.explanation import explain_option
from mfmi.cli.options import Word
from mfmi.cli.progress import ProgressDisplay
from mfmi.cli.sink import FORMATS, Sink
from mfmi.cli.sweep import Publisher
from mfmi.cli.terminal import program, terminal
from mfmi.columns import columns_with
from mfmi.processes.progress import duration

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.report.summary import Summary
    from mfmi.sweep.progress import SweepResult


@make_command(
    name="merge",
    examples=(
        "mfmi sweep configs/tiny.yaml -o build/tiny.parquet --shard 1/1 && mfmi merge build/tiny.parquet",
        "mfmi sweep configs/tiny.yaml -o build/a.csv --shard 1/1 && mfmi merge build/b.csv build/a.csv.parts",
    ),
)
@click.argument("output", type=click.Path())
@click.argument("parts", nargs=-1, type=click.Path())
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option(
    "--format",
    "output_format",
    type=Word([name for name in FORMATS if name != "table"]),
    default="auto",
    help="What to write where the suffix of OUTPUT does not say.  [default: auto]",
)
@explain_option
def command(output: str, parts: tuple[str, ...], force: bool, output_format: str) -> None:
    """Put the shares of `mfmi sweep --shard` together.

    OUTPUT is the file that the sweeps were to write; their finished chunks are in the folder OUTPUT.parts, or in the
    PARTS named, such as those copied from several machines. The folders are removed once the file is there. Chunks that
    are missing are named, with their share, and nothing is written.
    """
    from mfmi.cli.summary_view import columns_of
    from mfmi.sweep.merge import merge_parts

    sink = Sink.of(output_format, output, force)
    if sink.path is None:
        raise click.UsageError("merge writes to a file, not to standard output.")
    sink.check()
    about = _provenance(output, parts)
    unit = about["units"]["information"].split()[0]
    columns = columns_with(tuple(about.get("columns", ())))
    publisher = None if sink.format == "parquet" else Publisher(sink, unit, columns)
    with ProgressDisplay(terminal()) as progress:
        result = merge_parts(output, parts, force=force, on_progress=progress, publish=publisher)
    for note in result.notes:
        terminal().note(f"mfmi: {note}")
    summary = publisher.summary() if publisher else _read_summary(output)
    Sink("table").draw(functools.partial(_draw, result, summary, unit, output), columns_of(summary, unit))


def _provenance(output: str, parts: tuple[str, ...]) -> dict[str, Any]:
    """Return what the chunks say about where they came from."""
    from mfmi.errors import OutputError
    from mfmi.sweep.parts import folder_of, peek

    folder = Path(parts[0]) if parts else folder_of(output)
    record = peek(folder)
    if record is None:
        raise OutputError(f"cannot merge {folder}: it holds no sweep")
    provenance: dict[str, Any] = record["provenance"]
    return provenance


def _read_summary(path: str) -> Summary:
    from mfmi.report.summary import NEEDED, summarise
    from mfmi.storage.parquet import read_batches

    return summarise(read_batches(path, NEEDED))


def _draw(result: SweepResult, summary: Summary, unit: str, path: str, console: Console) -> None:
    from mfmi.cli.summary_view import draw, say

    merged = f"{result.n_chunks:,} chunks, {result.points:,} points, {result.rows:,} rows"
    say(console, f"{merged} merged in {duration(result.seconds)}")
    draw(console, summary, unit, path)
    say(console, f"wrote {path}", "bold")
    say(console, f"next: {program()} show {shlex.quote(path)}", "dim")
