"""``mfmi inits``: what libraries really start with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.sink import Sink, output_options
from mfmi.errors import did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from mfmi.columns import Column
    from mfmi.initialisers import Initialiser

    Row = dict[str, Any]
    Block = dict[str, np.ndarray[Any, Any]]

SHOWN = ("init", "version", "law", "sigma_w", "sigma_b", "fan", "sigma_w2_formula")


@make_command(
    name="inits",
    examples=(
        "mfmi inits --library torch",
        "mfmi inits keras.layers.MultiHeadAttention@3.14 he glorot",
        "mfmi inits --library transformers --format csv",
    ),
)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--library", metavar="NAME", help="Only this library; recipe: the rules of the literature.")
@output_options
def command(names: tuple[str, ...], library: str | None, sink: Sink) -> None:
    """Show what libraries really start with, measured in installed packages.

    sigma_w is the standard deviation of an entry times the root of the true fan-in, whatever fan the library counts.
    Without sizes it is that of square, wide layers; a law that depends on the width needs them: NAME(INPUTS, OUTPUTS),
    then others by name, as in 'timm.ConvNeXt.depthwise(96, window=49)'. Where releases differ, NAME@VERSION.
    """
    from mfmi.initialisers import get, libraries, table

    if library is not None and library not in libraries():
        hint = did_you_mean(library, libraries()) or f" Libraries: {', '.join(libraries())}."
        raise click.BadParameter(f"{library!r} is not in the table.{hint}", param_hint="'--library'")
    whole = next((name for name in names if name in libraries()), None)
    if whole is not None:
        raise click.BadParameter(f"{whole!r} is a library, all of which --library {whole} shows.", param_hint="'NAME'")
    try:
        presets = [get(name) for name in names]
    except ValueError as error:
        raise click.BadParameter(f"{error}.".replace("?.", "?"), param_hint="'NAME'") from None
    if presets:
        rows = [_row(one.label, one.initialiser, one.sigma_w, one.sigma_b) for one in presets]
        kept = [library in (None, one.initialiser.library) for one in presets]
        rows = [row for row, keep in zip(rows, kept, strict=True) if keep]
    else:
        rows = [_of_table(one) for one in table() if library in (None, one.library)]
    columns = _columns()
    sink.write(_block(rows, columns), columns, shown=SHOWN)
    usable = [str(row["init"]) for row in rows if row["sigma_w"] > 0.0]
    if usable:
        following("bound", "--act", "NAME", "--init", usable[0], remark="a network that starts so")


def _of_table(one: Initialiser) -> Row:
    """Return the row of a law in wide layers; its values are null where it depends on the width."""
    from mfmi.initialisers import get

    label = f"{one.name}@{one.version}" if one.since else one.name
    try:
        preset = get(label)
    except ValueError:
        return _row(label, one, math.nan, math.nan)
    return _row(label, one, preset.sigma_w, preset.sigma_b)


def _row(label: str, one: Initialiser, sigma_w: float, sigma_b: float) -> Row:
    return {
        "init": label,
        "library": one.library,
        "version": one.version or None,
        "layer": one.layer,
        "law": one.law,
        "sigma_w": sigma_w,
        "sigma_b": math.nan if one.sigma_b2_formula is None else sigma_b,
        "sigma_w2_formula": one.sigma_w2_formula,
        "sigma_b2_formula": one.sigma_b2_formula,
        "fan": one.fan,
        "note": one.note or None,
    }


def _columns() -> list[Column]:
    from mfmi.columns import Column

    return [
        Column("init", "string", "", "name of the initialiser, as --init takes it"),
        Column("library", "string", "", "library; recipe for a rule of the literature"),
        Column("version", "string", "", "release in which it was measured"),
        Column("layer", "string", "", "the layer, with the arguments that matter"),
        Column("law", "string", "", "law of the weights: uniform, normal, truncated_normal, orthogonal, zeros, other"),
        Column("sigma_w", "float64", "1", "standard deviation of the weights, times sqrt(true fan-in)"),
        Column("sigma_b", "float64", "1", "root mean square of the biases; null without biases"),
        Column("sigma_w2_formula", "string", "", "its square as a formula of the layer's sizes"),
        Column("sigma_b2_formula", "string", "", "mean square of the biases as a formula of the layer's sizes"),
        Column("fan", "string", "", "fan that the library counts"),
        Column("note", "string", "", "what else is to know"),
    ]


def _block(rows: list[Row], columns: list[Column]) -> Block:
    import numpy as np

    return {
        column.name: np.array(
            [row[column.name] for row in rows], dtype=object if column.dtype == "string" else column.dtype
        )
        for column in columns
    }
