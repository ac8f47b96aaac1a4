"""An audit drawn: the file's rows read, a figure written or characters shown."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfmi.cli.numbers import known, number

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from mfmi.cli.sink import Sink
    from mfmi.columns import Column
    from mfmi.report.audit_strip import Strip

WIDTH = 40


def read_strip(file: str, columns: dict[str, Column], where: str | None) -> Strip:
    """Read the rows of an audit that meet a condition as the numbers of its figure."""
    from mfmi.report.audit_strip import strip_of

    rows = _read(file, columns, where)
    try:
        return strip_of(rows, columns["mi_linear"].unit)
    except ValueError as error:
        raise click.UsageError(f"nothing to draw in {file}: {error}.") from None


def draw_audit(strip: Strip, path: Path | None, width: float | None, force: bool) -> None:
    """Draw an audit into a file or, without a path, on the terminal."""
    from mfmi.cli.sink import Sink

    if path is None:
        Sink("table").draw(functools.partial(show, strip))
        return
    from mfmi.report.audit_strip import draw
    from mfmi.report.figures import FORMATS
    from mfmi.storage.atomic import atomic_path

    image = draw(strip, FORMATS[path.suffix.lower()], width)
    with atomic_path(path, force) as draft, open(draft, "wb") as target:
        target.write(image)
    click.echo(f"wrote {path}")


def write_data(strip: Strip, columns: dict[str, Column], sink: Sink) -> None:
    """Write the numbers that the figure shows, a row per step and layer."""
    import numpy as np

    from mfmi.report.audit_strip import NUMBERS

    count = len(strip.names)
    block: dict[str, Any] = {
        "step": np.repeat(strip.steps, count),
        "name": np.array(strip.names * len(strip.steps), dtype=object),
        **{name: strip.values[name].ravel() for name in NUMBERS if name in columns},
    }
    sink.write(block, [columns[name] for name in block])


def _read(file: str, columns: dict[str, Column], where: str | None) -> pd.DataFrame:
    import pyarrow as pa

    from mfmi.cli.condition import nothing_meets, parsed
    from mfmi.report.audit_strip import NEEDED
    from mfmi.storage.parquet import read_batches

    condition = parsed(where, columns)
    present = [name for name in NEEDED if name in columns]
    wanted = list(dict.fromkeys((*present, *sorted(condition.columns if condition else ()))))
    tables = [pa.Table.from_batches([batch]) for batch in read_batches(file, wanted)]
    table = pa.concat_tables(tables)
    if condition is not None:
        table = table.filter(condition.expression)
    if not table.num_rows:
        raise click.UsageError(nothing_meets(file, condition))
    frame: pd.DataFrame = table.select(present).to_pandas(use_threads=False)
    return frame.reindex(columns=list(NEEDED))


def show(strip: Strip, console: Console) -> None:
    """Draw the last step in characters: each sigma_w and edge on one scale, then the readable information."""
    import numpy as np
    from rich.text import Text

    sigma_w, edge = strip.values["sigma_w"][-1], strip.values["sigma_w_edge"][-1]
    both = np.concatenate([sigma_w, edge])
    both = both[np.isfinite(both) & (both > 0.0)]
    room = max(16, min(WIDTH, console.width - 40))
    low, high = (float(np.log(both.min())), float(np.log(both.max()))) if both.size else (0.0, 1.0)
    span = max(high - low, 1e-9)

    def place(value: float) -> int | None:
        inside = known(value) and value > 0.0
        return round((float(np.log(value)) - low) / span * (room - 1)) if inside else None

    widest = min(max(len(name) for name in strip.names), 24)
    step = f", step {strip.steps[-1]}" if len(strip.steps) > 1 else ""
    console.print(f"sigma_w (o) against the edge of chaos (|), to a logarithmic scale{step}", style="bold")
    for at, name in enumerate(strip.names):
        cells = [" "] * room
        for mark, value in (("|", edge[at]), ("o", sigma_w[at])):
            if (where := place(float(value))) is not None:
                cells[where] = mark
        shown = name if len(name) <= widest else f"{name[: widest - 3]}..."
        readable = number(strip.values["mi_linear"][-1][at])
        console.print(Text(f"{shown:<{widest}} {number(sigma_w[at]):>7} {''.join(cells)} {readable:>7}".rstrip()))
    if strip.has_information:
        console.print(f"right: linearly readable information, {strip.unit}", style="dim")
