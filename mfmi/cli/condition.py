"""The option --where of the commands that read a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from mfmi.errors import did_you_mean

if TYPE_CHECKING:
    from mfmi.columns import Column
    from mfmi.report.where import Condition


def parsed(where: str | None, columns: Mapping[str, Column]) -> Condition | None:
    """Return the condition, or say what is wrong with it."""
    from mfmi.report.where import parse

    if where is None:
        return None
    try:
        return parse(where, {name: column.dtype for name, column in columns.items()})
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="'--where'") from None


def nothing_meets(file: str, condition: Condition | None) -> str:
    """Say that there are no rows, and which words of the condition occur nowhere in the file."""
    from mfmi.storage.parquet import read_batches

    if condition is None:
        return f"there are no rows in {file}."
    for name, word in condition.words:
        known = {one for batch in read_batches(file, [name]) for one in batch.column(0).unique().to_pylist() if one}
        if word not in known:
            hint = did_you_mean(word, sorted(known)) or f" It is one of {', '.join(sorted(known))}."
            return f"no rows meet --where: no row has the {name} {word!r}.{hint}"
    return "no rows meet --where."
