"""The option --explain: what the columns of a table are, said where a person sees it and no pipe does."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mfmi.cli.terminal import Terminal

if TYPE_CHECKING:
    from mfmi.columns import Column

Function = TypeVar("Function", bound=Callable[..., Any])
WIDEST = 120


def _set_explain(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Terminal).explains = True


def explain_option(function: Function) -> Function:
    """Add --explain."""
    return click.option(
        "--explain",
        is_flag=True,
        expose_value=False,
        callback=_set_explain,
        help="Say on standard error what each column is.",
    )(function)


def explain(columns: Iterable[Column], headings: Mapping[str, str] | None = None) -> None:
    """Say on standard error what columns are: name, description and unit.

    Parameters
    ----------
    columns
        What each column is.
    headings
        Columns by name, each with its heading in the table, in their order there; others are left out. None: all
        columns, under their own names.
    """
    by_name = {column.name: column for column in columns}
    shown = {name: name for name in by_name} if headings is None else headings
    entries = [(_label(name, heading), _text(by_name[name])) for name, heading in shown.items() if name in by_name]
    if not entries or sys.stderr is None:
        return
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else WIDEST
    formatter = click.HelpFormatter(width=min(width, WIDEST), max_width=WIDEST)
    with formatter.section("columns"):
        formatter.write_dl(entries)
    click.echo(f"\n{formatter.getvalue()}", err=True, nl=False)


def _label(name: str, heading: str) -> str:
    return name if heading == name else f"{heading} ({name})"


def _text(column: Column) -> str:
    return column.description if column.unit in ("", "1") else f"{column.description} [{column.unit}]"
