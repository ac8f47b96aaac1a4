"""``mfmi audit``: the layers of a checkpoint, their laws, and what is off."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from mfmi.arguments.ranges import MOST_ENTRIES
from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.options import Count, Word, network_option, network_options
from mfmi.cli.progress import ProgressDisplay
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.structure_options import NOISE, structure_options, with_structure
from mfmi.cli.terminal import terminal
from mfmi.cli.waiting import announce_tables
from mfmi.errors import OutputError
from mfmi.names import STRUCTURED_ESTIMATORS

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.activations import Activation
    from mfmi.checkpoints import Audit, Axes, FileNetwork

AXES = ("oi", "io")
OF_FILE = ("hidden_ratio", "sigma_w_in", "sigma_b_in", "sigma_w_out", "sigma_b_out")
"""Settings of a network that its weights have."""
OF_NETWORK = (
    *("sigma_noise", "noise_at", "inputs", "input_variance", "correlation", "estimators", "unit", "residual"),
    *("normalization", "norm_at", "skip", "branch", "branch_matrices", "noise_scale", "noise_in", *OF_FILE),
)
"""Arguments that say nothing without an activation."""
SHOWN = ("layer", "name", "kind", "shape", "sigma_w", "sigma_b", "law", "init", "outliers")
SHOWN_OF_NETWORK = (
    *("layer", "name", "sigma_w", "sigma_w_edge", "q", "q_measured", "chi", "mi_linear", "mi_linear_measured"),
    *("mi_replica", "mi_lower", "mi_upper", "freeness", "c", "c_measured", "phase", "sigma_b", "law", "init"),
)
STRICT = 4


@make_command(
    name="audit",
    examples=(
        "mfmi audit model.safetensors",
        "mfmi audit checkpoints/ --quick --format csv -o build/steps.csv",
        "mfmi audit model.h5 --compare model.onnx --strict",
        "mfmi audit mlp.npz --act tanh --inputs digits.npy",
        "mfmi audit gpt2.safetensors --layers 'h.*.mlp.*' --act gelu --residual --norm layernorm --branch-matrices 2",
    ),
)
@click.argument("checkpoints", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option(
    "--layers",
    "layers",
    multiple=True,
    metavar="NAME",
    help="Only tensors of this name, in this order; repeatable, * for anything.",
)
@click.option(
    "--axes",
    type=Word(AXES),
    help="Axes if names and shapes do not decide: oi (output, input, as torch) or io (as Keras).",
)
@click.option(
    "--heads",
    type=Count(1, MOST_ENTRIES),
    metavar="N",
    help="Heads of attention, where query, key and value of each follow each other, as in GPT-NeoX and BLOOM.",
)
@click.option("--quick", is_flag=True, help="Leave the singular values out: as fast as the disk.")
@click.option(
    "--compare",
    metavar="OTHER",
    type=click.Path(),
    help="Another file: its layers of the same names beside, and in words where the two differ most.",
)
@network_option(
    "activation",
    required=False,
    help="Activation between the layers, for the mean field and the information of the network that they are.",
)
@network_option(
    "sigma_noise",
    type=NOISE,
    help="Standard deviation of the noise, or a number format, whose rounding it stands for.",
)
@network_options("noise_at")
@structure_options
@click.option(
    "--inputs",
    type=click.Path(),
    metavar="FILE",
    help="Real inputs (.npy, .csv, .parquet): their covariance is the input's, and columns *_measured stand beside.",
)
@network_options("input_variance", "correlation", "estimators", "unit")
@click.option("--strict", is_flag=True, help="Exit with 4 when something is badly off.")
@output_options
def command(
    checkpoints: tuple[str, ...],
    layers: tuple[str, ...],
    axes: str | None,
    heads: int | None,
    quick: bool,
    compare: str | None,
    strict: bool,
    sink: Sink,
    **of_network: Any,
) -> None:
    """Audit the weights of a checkpoint: which law, which library's initialisation, by what factor off.

    Reads .safetensors, .npz, .pt, .pth, .h5, .keras, .onnx, .gguf, .msgpack (Flax), .eqx (Equinox) and folders of
    orbax, never running what is in a file; a directory or several files are steps of one training. A row per matrix
    that multiplies a signal; what is skipped is a row that says why. Findings are in words, worst first, in the table;
    -v puts them on standard error for the other formats.

    With --act the matrices are a network, in their order: q, c, chi, phase and information up to each layer, with its
    own singular values and biases, and how far neighbouring matrices are from independent rotations.
    """
    from mfmi.api.audit import answer_of
    from mfmi.checkpoints import audit_files

    network = _network(**of_network)
    with ProgressDisplay(terminal()):
        found = audit_files(
            checkpoints,
            axes=cast("Axes", axes),
            heads=heads,
            layers=layers or None,
            quick=quick,
            compare=compare,
            network=network,
        )
    answer = answer_of(found, network, compare)
    table = functools.partial(draw, found, compare)
    sink.write(answer.block, answer.columns, table=table, shown=SHOWN, about=answer.about)
    if sink.format != "table" and terminal().verbosity:
        for text in (*(finding.text for finding in found.findings), *found.differences):
            terminal().note(text)
    if found.unread:
        raise OutputError("; ".join(found.unread))
    _say_next(checkpoints, network is not None, sink)
    if strict and found.is_bad:
        raise click.exceptions.Exit(STRICT)


def _say_next(checkpoints: tuple[str, ...], has_network: bool, sink: Sink) -> None:
    if sink.path is not None and sink.format == "parquet":
        following("plot", sink.path)
    elif not has_network:
        following("audit", *checkpoints, "--act", "NAME", same=True, remark="what the network does to a signal")
    else:
        following("audit", *checkpoints, "-o", "audit.parquet", same=True, remark="then mfmi plot audit.parquet")


def _network(
    activation: Activation | None,
    sigma_noise: float | str,
    noise_at: str,
    structure: dict[str, Any],
    inputs: str | None,
    input_variance: float,
    correlation: float,
    estimators: tuple[str, ...],
    unit: str,
) -> FileNetwork | None:
    """Return what the options say of the network, or None without an activation.

    Raises
    ------
    click.UsageError
        Options of a network without --act, or such as contradict the file or each other.
    """
    given = _given()
    if activation is None:
        if given:
            flag = next(iter(given.values()))
            raise click.UsageError(f"{flag} says something of a network, whose activation is missing: add --act NAME.")
        return None
    for name in OF_FILE:
        if name in given:
            raise click.UsageError(f"{given[name]} does not go with audit: the weights of the file say it.")
    for name in ("input_variance", "correlation"):
        if inputs is not None and name in given:
            raise click.UsageError(f"{given[name]} does not go with --inputs, which say it themselves.")
    from mfmi.checkpoints import FileNetwork
    from mfmi.networks.points import Points
    from mfmi.storage.arrays import read_inputs

    points = Points.of(activation.name, 1.0, noise_at=noise_at, input_variance=input_variance, correlation=correlation)
    points = with_structure(points, sigma_noise, structure)
    if not points.is_plain.all() and "estimators" not in given:
        estimators = STRUCTURED_ESTIMATORS
    announce_tables(activation, estimators)
    if inputs is None:
        return FileNetwork(points, estimators, unit)
    return FileNetwork(points, estimators, unit, read_inputs(inputs), inputs)


def _given() -> dict[str, str]:
    """Return the options of a network on the command line, the flag of each by its argument."""
    context = click.get_current_context()
    source = context.get_parameter_source
    names = [(str(option.name), option.opts[0]) for option in context.command.params]
    return {name: flag for name, flag in names if name in OF_NETWORK and source(name) is ParameterSource.COMMANDLINE}


def draw(found: Audit, compare: str | None, console: Console) -> list[str]:
    """Draw the matrices as a table, the findings below, last the differences from another file.

    Returns the columns that there was room for.
    """
    from mfmi.checkpoints import LEVELS, NETWORK_COLUMNS
    from mfmi.cli.table import plain_table

    block = found.block
    files = dict.fromkeys(block["file"])
    has_network = any(value is not None and value == value for value in block["q"])
    shown = (*(("step",) if len(files) > 1 else ()), *(SHOWN_OF_NETWORK if has_network else SHOWN))
    if compare is not None:
        shown = tuple(itertools.chain.from_iterable((name, f"{name}_other") for name in shown))
    of_network = {column.name for column in NETWORK_COLUMNS}
    names = [column for column in found.columns if column.name not in ("file", "status", "message")]
    names = [column for column in names if column.name not in of_network or not _is_null(block[column.name])]
    if len(files) == 1:
        names = [column for column in names if column.name != "step"]
    kept = [place for place, status in enumerate(block["status"]) if status != "skipped"]
    widest = max(console.width // 3, 16)
    rows = [[_cell(block[column.name][place], widest) for column in names] for place in kept]
    fitting = plain_table(console, names, rows, shown=shown) if rows else []
    skipped = found.layers[1]
    if skipped:
        tensors = "tensor" if skipped == 1 else "tensors"
        console.print(f"{skipped} {tensors} skipped; why: --format csv", style="dim", soft_wrap=True)
    failed = [place for place in kept if block["status"][place] == "failed"]
    for place in failed:
        console.print(f"failed: {block['name'][place]}: {block['message'][place]}", style="red", soft_wrap=True)
    console.print()
    for finding in found.findings:
        console.print(f"{LEVELS[finding.level]}: {finding.text}", soft_wrap=True, markup=False)
    if not found.findings and not failed:
        console.print("nothing is off", soft_wrap=True)
    if compare is not None:
        console.print(f"\nbeside {compare}, worst difference first:", soft_wrap=True, markup=False)
        for text in found.differences:
            console.print(text, soft_wrap=True, markup=False)
    return fitting


def _is_null(values: Iterable[object]) -> bool:
    return all(value is None or value != value for value in values)


def _cell(value: object, widest: int) -> object:
    """Return a cell of the table: nulls as None, long names without their middle."""
    if isinstance(value, str) and len(value) > widest:
        half = (widest - 3) // 2
        return f"{value[:half]}...{value[len(value) - (widest - 3 - half) :]}"
    return None if value != value else value
