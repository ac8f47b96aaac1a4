"""``mfmi show``: a sweep looked at again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from mfmi.cli.command import command as make_command
from mfmi.cli.condition import nothing_meets, parsed
from mfmi.cli.following import following
from mfmi.cli.numbers import known
from mfmi.cli.options import Count, network_option
from mfmi.cli.progress import ProgressDisplay
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.terminal import terminal
from mfmi.errors import did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from mfmi.activations import Activation
    from mfmi.columns import Column
    from mfmi.report.where import Condition

SHOWN = (
    "point",
    "activation",
    "weights",
    "noise_at",
    "sigma_w",
    "sigma_b",
    "depth",
    "mi_linear",
    "mi_lower",
    "mi_upper",
)
SORTED_ROWS = 1_000_000


@make_command(
    name="show",
    examples=(
        "mfmi show build/demo.parquet",
        "mfmi show build/demo.parquet --where 'depth == 20 and phase == \"chaotic\"' --rows --top 5",
    ),
)
@click.argument("file", type=click.Path())
@click.option("--where", "where", metavar="CONDITION", help="Only rows where this is true (see below).")
@click.option(
    "--group-by", metavar="COLUMNS", help="Best point of each group.  [default: activation,weights,noise_at,depth]"
)
@click.option("--rows", is_flag=True, help="The rows themselves instead of their summary.")
@click.option("--sort", metavar="COLUMN", help="Sort by a column; -COLUMN from the largest down.")
@click.option("--top", type=Count(1), metavar="N", help="The first N; without --sort those with most mi_linear.")
@click.option("--all", "everything", is_flag=True, help="Every line of the summary, however many.")
@click.option(
    "--about", is_flag=True, help="Where the file comes from: config, versions, units, what the bounds rest on."
)
@network_option(
    "activation",
    required=False,
    help="A function of your own that the file names, for its edge of chaos: a file does not run code by itself.",
)
@output_options
def command(
    file: str,
    where: str | None,
    group_by: str | None,
    rows: bool,
    sort: str | None,
    top: int | None,
    everything: bool,
    about: bool,
    activation: Activation | None,
    sink: Sink,
) -> None:
    """Summarise a finished sweep, or the .parts folder of one that is under way.

    For each group of rows, the best point by linearly readable information and the best by total information. They
    peak at different places. A CONDITION is made of columns, numbers, quoted text, and, or, not, in, comparisons,
    + - * /, abs() and "is null": 'abs(chi_1 - 1) < 0.05 and sigma_b in [0, 0.1] and mi_lower is not null'.
    """
    from mfmi.report.source import read_columns
    from mfmi.report.summary import GROUP_BY

    if about:
        _show_about(file, sink)
        return
    columns = {column.name: column for column in read_columns(file)}
    condition = parsed(where, columns)
    by = tuple(name.strip() for name in group_by.split(",")) if group_by else GROUP_BY
    for name in by:
        _check_column(name, columns, "--group-by")
    if rows:
        _show_rows(file, columns, condition, sort, top, sink)
    else:
        _show_summary(file, columns, condition, by, sort, top, everything or top is not None, sink)
    following("plot", file, same=True)


def _show_about(file: str, sink: Sink) -> None:
    """Write the provenance: for people line by line, for programs as JSON."""
    from mfmi.report.source import read_origin

    origin = read_origin(file)
    if sink.format == "table":
        sink.write_text(_about_text(origin))
    elif sink.format in ("json", "jsonl"):
        sink.write_text(json.dumps(origin, indent=2 if sink.format == "json" else None) + "\n")
    else:
        raise click.UsageError(f"--about is text or JSON, not {sink.format}: --format table or json")


def _about_text(origin: Mapping[str, Any]) -> str:
    config = origin["config"]
    lines = [
        f"config sha256  {config['sha256']}",
        f"seed           {origin['seed']}",
        f"information    {origin['units']['information']}",
        f"versions       {_versions(origin['versions'])}",
        *(f"{name:<15}{status}" for name, status in origin["estimators"].items()),
        "",
        config["text"].rstrip("\n"),
        "",
    ]
    return "\n".join(lines)


def _versions(versions: Mapping[str, str]) -> str:
    """Program and version, three a line."""
    words = [f"{name} {version}" for name, version in versions.items()]
    return f",\n{'':15}".join(", ".join(words[start : start + 3]) for start in range(0, len(words), 3))


def _check_column(name: str, columns: Mapping[str, Column], option: str) -> None:
    if name not in columns:
        hint = did_you_mean(name, list(columns)) or f" Columns: {', '.join(columns)}."
        raise click.BadParameter(f"no column {name!r}.{hint}", param_hint=f"'{option}'")


def _matching(file: str, names: Sequence[str], condition: Condition | None) -> Iterator[pa.RecordBatch]:
    """Read the columns `names` of the rows that meet the condition, a batch at a time."""
    import pyarrow as pa

    from mfmi.storage.parquet import read_batches

    if condition is None:
        yield from read_batches(file, names)
        return
    read = [*names, *sorted(condition.columns.difference(names))]
    total = 0
    for batch in read_batches(file, read):
        found = pa.Table.from_batches([batch]).filter(condition.expression).select(list(names))
        total += found.num_rows
        yield from found.to_batches()
    if not total:
        terminal().note(nothing_meets(file, condition))


def _show_summary(
    file: str,
    columns: Mapping[str, Column],
    condition: Condition | None,
    by: tuple[str, ...],
    sort: str | None,
    top: int | None,
    everything: bool,
    sink: Sink,
) -> None:
    from dataclasses import replace

    from mfmi.cli.summary_view import columns_of, draw
    from mfmi.report.summary import NEEDED, information_unit, summarise, to_block

    needed = list(dict.fromkeys((*NEEDED, *by)))
    try:
        with ProgressDisplay(terminal()):
            wanted = condition is not None and "phase" in condition.columns
            summary = summarise(_matching(file, needed, condition), by, wanted)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    block, described = to_block(summary, columns)
    if sort or top:
        order = _order(block, {column.name: column for column in described}, sort or "-mi_linear")[:top]
        summary = replace(summary, lines=tuple(summary.lines[i] for i in order))
        block = {name: values[order] for name, values in block.items()}

    if sink.format != "table":
        sink.write(block, described)
        return
    unit = information_unit(columns.values())

    def table(console: Console) -> None:
        draw(console, summary, unit, file, everything=everything)

    sink.draw(table, columns_of(summary, unit))


def _show_rows(
    file: str,
    columns: Mapping[str, Column],
    condition: Condition | None,
    sort: str | None,
    top: int | None,
    sink: Sink,
) -> None:
    from mfmi.report.source import read_origin
    from mfmi.storage.parquet import to_block

    batches = _matching(file, list(columns), condition)
    if sort or top:
        sort = sort or "-mi_linear"
        _check_column(sort.removeprefix("-"), columns, "--sort")
        blocks = map(to_block, _sorted(batches, sort, top))
    else:
        blocks = map(to_block, batches)
    sink.write(blocks, list(columns.values()), shown=SHOWN, about=read_origin(file))


def _sorted(batches: Iterator[pa.RecordBatch], sort: str, top: int | None) -> Iterator[pa.Table]:
    """Sort rows, nulls last, into one table if there are any; with `top` only so many are kept on the way."""
    import pyarrow as pa

    direction = "descending" if sort.startswith("-") else "ascending"
    kept: pa.Table | None = None
    for batch in batches:
        table = pa.Table.from_batches([batch])
        whole: Any = table if kept is None else pa.concat_tables([kept, table])
        kept = whole
        if top is not None:
            kept = whole.take(_stable_order(whole, sort.removeprefix("-"), direction)[:top])
        elif whole.num_rows > SORTED_ROWS:
            raise click.UsageError(f"more than {SORTED_ROWS} rows to sort: narrow them with --where or --top.")
    if kept is not None:
        yield kept.take(_stable_order(kept, sort.removeprefix("-"), direction))


def _stable_order(table: pa.Table, name: str, direction: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = pa.table({"key": table.column(name), "row": pa.array(range(table.num_rows), pa.int64())})
    return pc.sort_indices(keys, sort_keys=[("key", direction), ("row", "ascending")])


def _order(block: Mapping[str, Any], columns: Mapping[str, Column], sort: str) -> list[int]:
    """Return the order of the lines of a summary, those without a value last."""
    name = sort.removeprefix("-")
    _check_column(name, columns, "--sort")
    values = block[name]
    present = [i for i in range(len(values)) if known(values[i])]
    missing = [i for i in range(len(values)) if not known(values[i])]
    return sorted(present, key=lambda i: values[i], reverse=sort.startswith("-")) + missing
