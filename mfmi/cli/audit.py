"""``mfmi audit``: the layers of a checkpoint, their laws, and what is off."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

import click

from mfmi.cli.command import command as make_command
from mfmi.cli.options import Word
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.terminal import terminal

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.checkpoints import Audit, Axes

AXES = ("oi", "io")
SHOWN = ("layer", "name", "kind", "shape", "sigma_w", "sigma_b", "law", "init", "outliers")
STRICT = 4


@make_command(
    name="audit",
    examples=(
        "mfmi audit model.safetensors",
        "mfmi audit checkpoints/ --quick --format csv -o build/steps.csv",
        "mfmi audit model.h5 --compare model.onnx --strict",
    ),
)
@click.argument("checkpoints", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option(
    "--layers",
    "layers",
    multiple=True,
    metavar="NAME",
    help="Only tensors of this name, in this order; repeatable, NAME* for a beginning.",
)
@click.option(
    "--axes",
    type=Word(AXES),
    help="Axes if names and shapes do not decide: oi (output, input, as torch) or io (as Keras).",
)
@click.option("--quick", is_flag=True, help="Leave the singular values out: as fast as the disk.")
@click.option("--compare", metavar="OTHER", type=click.Path(), help="Another file, its layers of the same name beside.")
@click.option("--strict", is_flag=True, help="Exit with 4 when something is badly off.")
@output_options
def command(
    checkpoints: tuple[str, ...],
    layers: tuple[str, ...],
    axes: str | None,
    quick: bool,
    compare: str | None,
    strict: bool,
    sink: Sink,
) -> None:
    """Audit the weights of a checkpoint: which law, which library's initialisation, by what factor off.

    Reads .safetensors, .npz, .pt, .pth, .h5, .keras and .onnx, never running what is in a file; a directory or several
    files are steps of one training. A row per matrix that multiplies a signal; what is skipped is a row that says why.
    Findings are in words, worst first, in the table; -v puts them on standard error for the other formats.
    """
    from mfmi.checkpoints import audit_files

    found = audit_files(checkpoints, axes=cast("Axes", axes), layers=layers or None, quick=quick, compare=compare)
    about = {"audit": {"findings": [finding.text for finding in found.findings]}}
    sink.write(found.block, found.columns, table=functools.partial(draw, found), shown=SHOWN, about=about)
    if sink.format != "table" and terminal().verbosity:
        for finding in found.findings:
            terminal().note(finding.text)
    if strict and found.is_bad:
        raise click.exceptions.Exit(STRICT)


def draw(found: Audit, console: Console) -> None:
    """Draw the matrices as a table, and the findings below."""
    from mfmi.checkpoints import LEVELS
    from mfmi.cli.table import plain_table

    block = found.block
    files = dict.fromkeys(block["file"])
    shown = (*(("step",) if len(files) > 1 else ()), *SHOWN)
    names = [column for column in found.columns if column.name not in ("file", "status", "message")]
    if len(files) == 1:
        names = [column for column in names if column.name != "step"]
    kept = [place for place, status in enumerate(block["status"]) if status != "skipped"]
    widest = max(console.width // 3, 16)
    rows = [[_cell(block[column.name][place], widest) for column in names] for place in kept]
    if rows:
        plain_table(console, names, rows, shown=shown)
    skipped = found.layers[1]
    if skipped:
        console.print(f"{skipped} tensors skipped; why: --format csv", style="dim", soft_wrap=True)
    failed = [place for place in kept if block["status"][place] == "failed"]
    for place in failed:
        console.print(f"failed: {block['name'][place]}: {block['message'][place]}", style="red", soft_wrap=True)
    console.print()
    for finding in found.findings:
        console.print(f"{LEVELS[finding.level]}: {finding.text}", soft_wrap=True, markup=False)
    if not found.findings and not failed:
        console.print("nothing is off", soft_wrap=True)


def _cell(value: object, widest: int) -> object:
    """Return a cell of the table: nulls as None, long names without their middle."""
    if isinstance(value, str) and len(value) > widest:
        half = (widest - 3) // 2
        return f"{value[:half]}...{value[len(value) - (widest - 3 - half) :]}"
    return None if value != value else value
