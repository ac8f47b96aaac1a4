"""``mfmi plot``: a sweep as a figure, in a file or in characters."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfmi.arguments.ranges import Range
from mfmi.cli import plot_page
from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.options import Real, Word, network_option
from mfmi.cli.progress import ProgressDisplay, showing
from mfmi.cli.sink import Sink
from mfmi.cli.terminal import terminal
from mfmi.errors import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from mfmi.activations import Activation
    from mfmi.columns import Column
    from mfmi.report.figure_choice import Wishes
    from mfmi.report.figure_data import Figure

AXES = ("sigma_w", "sigma_b", "depth", "skip", "branch", "sigma_noise", "input_variance")
KINDS = ("auto", "heat", "curves", "ranking")
SUFFIXES = (".png", ".svg", ".pdf", ".html")
MOST_ROWS = 20_000_000


@make_command(
    name="plot",
    examples=(
        "mfmi plot build/demo.parquet",
        "mfmi plot build/demo.parquet --x depth --by sigma_w -o build/depth.pdf --data build/depth.csv",
        "mfmi plot build/demo.parquet -o build/demo.html",
        "mfmi plot build/demo.parquet --terminal",
    ),
)
@click.argument("file", type=click.Path())
@click.option(
    "-o",
    "--output",
    metavar="FIG",
    type=click.Path(),
    help="PNG, SVG, PDF, or HTML: a page to explore the rows.  [default: FILE with .png]",
)
@click.option("--terminal", "in_terminal", is_flag=True, help="In characters, here; needs no matplotlib.")
@click.option(
    "--kind",
    type=Word(KINDS),
    default="auto",
    show_default=True,
    help="Heat map, curves, or activations ranked.",
)
@click.option("--x", type=Word(AXES), metavar="COLUMN", help=f"What runs to the right: {', '.join(AXES)}.")
@click.option("--y", type=Word(AXES), metavar="COLUMN", help="What runs upwards in a heat map.")
@click.option("--by", type=Word(AXES), metavar="COLUMN", help="Column whose values have curves of different colour.")
@click.option(
    "--quantity",
    "quantities",
    multiple=True,
    metavar="COLUMN",
    help="What is drawn, repeatable.  [default: the linearly readable and the total information]",
)
@click.option("--where", metavar="CONDITION", help="Only rows where this is true, as in mfmi show.")
@click.option("--width", type=Real(Range(2, 20)), metavar="INCHES", help="[default: 3.4, or 7 for many panels]")
@network_option(
    "activation",
    required=False,
    help="A function of your own that the file names, for its edge of chaos: a file does not run code by itself.",
)
@click.option("--data", metavar="FILE", type=click.Path(), help="Data of the figure: CSV, JSON, Parquet.")
@click.option("--force", is_flag=True, help="Replace existing files.")
def command(
    file: str,
    output: str | None,
    in_terminal: bool,
    kind: str,
    x: str | None,
    y: str | None,
    by: str | None,
    quantities: tuple[str, ...],
    where: str | None,
    width: float | None,
    activation: Activation | None,
    data: str | None,
    force: bool,
) -> None:
    """Draw a sweep: FILE is its Parquet file, or the .parts folder of one that is under way.

    Two axes with four values or more make a heat map with the edge of chaos, the phases and the largest values; else
    curves are drawn against the longest axis, the bounds as a band. Every activation, ensemble, place of the noise and
    kind of norm has a panel; --kind ranking sorts the activations instead, each at its best standard deviations. The
    figure is as wide as a column of a paper.

    The file of an audit (mfmi audit ... -o audit.parquet) is drawn as a strip of layers: sigma_w against the edge of
    chaos, singular values against the random bulk, information, coloured by step.

    -o page.html makes a page for a browser, in one file that works without a network: menus and sliders for all axes
    and columns, and every column of the row under the pointer.
    """
    from mfmi.report import figure_choice
    from mfmi.report.edge_lines import unknown_activations

    if in_terminal and output is not None:
        raise click.UsageError("--terminal draws here; -o draws into a file.")
    path = None if in_terminal else _figure_path(file, output, force)
    is_page = path is not None and path.suffix.lower() == plot_page.SUFFIX
    if is_page:
        plot_page.refuse_width(width)
    sink = Sink.of("auto", data, force) if data is not None else None
    if sink is not None:
        sink.check()
    described = _columns(file)
    if "singular_max" in described:
        _refuse_choices(kind, x, y, by, quantities)
        from mfmi.cli.plot_audit import draw_audit, read_strip, write_data

        strip = read_strip(file, described, where)
        if is_page and path is not None:
            plot_page.write_audit(file, described, where, path, force)
        else:
            draw_audit(strip, path, width, force)
        if sink is not None:
            write_data(strip, described, sink)
        if path is None:
            following("plot", file, "-o", "figure.pdf", same=True, without=("--terminal",))
        return
    _check_quantities(quantities, described)
    wishes = figure_choice.Wishes(kind, x, y, by, quantities)
    units = {name: column.unit for name, column in described.items()}
    with ProgressDisplay(terminal()):
        rows = _read(file, described, quantities, where)
    with showing("edges of chaos and phases"):
        figure = _figure(rows, wishes, units, _refined(file))
    unknown = unknown_activations(rows["activation"])
    for note in (*(() if is_page else figure.choice.notes), *unknown):
        terminal().note(note)
    if is_page and path is not None:
        plot_page.write_sweep(file, described, rows, figure.choice, where, path, force, unknown)
    elif path is None:
        from mfmi.cli.plot_view import draw_figure

        Sink("table").draw(functools.partial(draw_figure, figure))
    else:
        _write(figure, path, width, force)
    if sink is not None:
        from mfmi.report.figure_data import to_block

        block, columns = to_block(figure)
        sink.write(block, columns)
    if path is None:
        following("plot", file, "-o", "figure.pdf", same=True, without=("--terminal",))
    else:
        following("show", file, "--about", remark="what the figure rests on, for its caption")


def _figure_path(file: str, output: str | None, force: bool) -> Path:
    """Return the output path of the figure; refuse a bad one before the work is done."""
    from mfmi.report.figures import available
    from mfmi.storage.atomic import refuse_existing

    path = Path(output) if output is not None else Path(file.rstrip("/").removesuffix(".parts")).with_suffix(".png")
    if path.suffix.lower() not in SUFFIXES:
        raise click.BadParameter(f"{str(path)!r} must end with one of {', '.join(SUFFIXES)}.", param_hint="'-o'")
    if path.suffix.lower() == plot_page.SUFFIX:
        plot_page.refuse_without_library()
    elif not available():
        raise click.UsageError("mfmi plot needs matplotlib: pip install matplotlib. With --terminal it does not.")
    refuse_existing(path, force)
    return path


def _columns(file: str) -> dict[str, Column]:
    from mfmi.errors import OutputError
    from mfmi.report.source import read_columns

    found = {column.name: column for column in read_columns(file)}
    if "singular_max" in found:  # an audit
        return found
    missing = [name for name in _needed() if name not in found]
    if missing:
        raise OutputError(f"cannot draw {file}: it is no sweep, for it has no column {missing[0]!r}")
    return found


def _needed() -> list[str]:
    """Columns that every sweep has and every figure looks at."""
    from mfmi.report.figure_choice import NUMBERS, WORDS
    from mfmi.report.network_words import COLUMNS, NETWORK

    return [name for name in dict.fromkeys((*WORDS, *NUMBERS, *COLUMNS, "phase")) if name != NETWORK]


def _refuse_choices(kind: str, *chosen: object) -> None:
    """Refuse choices of axes where the figure is that of an audit."""
    if kind != "auto" or any(chosen):
        raise click.UsageError(
            "the figure of an audit has its axes: --kind, --x, --y, --by and --quantity do not apply."
        )


def _check_quantities(quantities: Sequence[str], columns: dict[str, Column]) -> None:
    drawable = [name for name, column in columns.items() if column.dtype == "float64" and name not in AXES]
    for name in quantities:
        if name not in drawable:
            hint = did_you_mean(name, drawable) or f" Columns: {', '.join(drawable)}."
            raise click.BadParameter(f"no column of numbers {name!r}.{hint}", param_hint="'--quantity'")


def _read(file: str, columns: dict[str, Column], quantities: Sequence[str], where: str | None) -> pd.DataFrame:
    """Read the columns a figure may need of the rows that meet the condition."""
    import pyarrow as pa

    from mfmi.cli.condition import nothing_meets, parsed
    from mfmi.report.figure_choice import SANDWICH
    from mfmi.storage.parquet import read_batches

    wanted = (*_needed(), "message", *(name for name in SANDWICH if name in columns), *quantities)
    names = list(dict.fromkeys(wanted))
    condition = parsed(where, columns)
    read = list(dict.fromkeys((*names, *sorted(condition.columns if condition else ()))))
    tables: list[Any] = []
    total = 0
    for batch in read_batches(file, read):
        table = pa.Table.from_batches([batch])
        if condition is not None:
            table = table.filter(condition.expression)
        tables.append(table.select(names))
        total += table.num_rows
        if total > MOST_ROWS:
            raise click.UsageError(f"more than {MOST_ROWS:,} rows to draw: narrow them with --where.")
    if not total:
        raise click.UsageError(nothing_meets(file, condition))
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas(use_threads=False)
    return frame


def _refined(file: str) -> dict[str, bool]:
    """Axes that an adaptive sweep has refined, and whether by ratios."""
    from mfmi.report.scattered import refined_axes
    from mfmi.report.source import read_origin

    return refined_axes(read_origin(file))


def _figure(rows: pd.DataFrame, wishes: Wishes, units: dict[str, str], refined: dict[str, bool]) -> Figure:
    from mfmi.report.figure_choice import choose
    from mfmi.report.figure_data import build

    try:
        choice = choose(rows, wishes, refined)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    return build(rows, choice, units)


def _write(figure: Figure, path: Path, width: float | None, force: bool) -> None:
    from mfmi.report.figures import FORMATS, draw
    from mfmi.storage.atomic import atomic_path

    with showing("draw"):
        image = draw(figure, FORMATS[path.suffix.lower()], width)
    with atomic_path(path, force) as draft, open(draft, "wb") as file:
        file.write(image)
    click.echo(f"wrote {path}")
