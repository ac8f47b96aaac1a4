"""Plain tables for people: rounded numbers, as many columns as fit, and a word about the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.columns import Column

GAP = 2


def rounded(cell: Any) -> str:
    """Return a value as a table shows it: four significant digits, nothing for null."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return str(cell)


def plain_table(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Any]],
    *,
    shown: Sequence[str] = (),
    rows_left_out: int = 0,
) -> list[str]:
    """Print rows in aligned columns.

    Parameters
    ----------
    console
        Where to.
    columns
        What each entry of a row is.
    rows
        The values.
    shown
        The names that matter most: they come first, and the others follow while there is room.
    rows_left_out
        How many rows there are beyond those given.

    Returns
    -------
    list of str
        The names of the columns that fit.
    """
    from rich.table import Table

    texts = [[rounded(row[i]) for row in rows] for i in range(len(columns))]
    filled = [i for i in range(len(columns)) if any(texts[i])]
    order = {name: rank for rank, name in enumerate(shown)}
    filled.sort(key=lambda i: order.get(columns[i].name, len(order)))

    fitting, room = [], console.width
    for i in filled:
        width = max(len(columns[i].name), *map(len, texts[i]))
        if width + GAP <= room + GAP:
            fitting.append(i)
            room -= width + GAP
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for i in fitting:
        numeric = columns[i].dtype != "string"
        table.add_column(columns[i].name, justify="right" if numeric else "left", no_wrap=True)
    for j in range(len(rows)):
        table.add_row(*(texts[i][j] for i in fitting))
    console.print(table)
    missing = [columns[i].name for i in range(len(columns)) if i not in fitting]
    if rows_left_out:
        console.print(f"{rows_left_out} more rows: --format csv", style="dim")
    if missing:
        console.print(f"{len(missing)} more columns ({', '.join(missing)}): --format csv", style="dim", soft_wrap=True)
    return [columns[i].name for i in fitting]
