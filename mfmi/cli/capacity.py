"""``mfmi capacity``: the most that an architecture can carry, and which layer limits it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mfmi.arguments.ranges import NUMBERS
from mfmi.cli.architecture import LayerType, ShapeType, WidthList
from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.numbers import number
from mfmi.cli.options import Word, initialiser_option, network_option, network_options, refuse_beside_init
from mfmi.cli.progress import showing
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.structure_options import usage_errors
from mfmi.cli.values import Values
from mfmi.errors import did_you_mean
from mfmi.names import LAYER_FORMS, SYMMETRY_AT

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.activations import Activation
    from mfmi.attainable import Capacity, Layer
    from mfmi.initialisers import Preset


@make_command(
    name="capacity",
    examples=(
        "mfmi capacity --act tanh --sw 1.5 --widths 784,100,200,10 --every-layer",
        "mfmi capacity --act relu --init he --widths 784,100,10",
        "mfmi capacity --act relu --sw 1.4 --shape 3x32x32 --layer conv:16:3x3:2 --layer dense:10",
    ),
)
@network_options("activation")
@network_option(
    "sigma_w", required=False, help="Standard deviation of the weights; the gains at initialisation are used."
)
@initialiser_option
@network_options("sigma_noise", "weights", "input_variance")
@click.option("--widths", type=WidthList(), metavar="N,N,...", help="Units of a dense network, the input first.")
@click.option(
    "--shape", type=ShapeType(), metavar="CxHxW", help="Shape of an image, channels first, or CxN of a signal."
)
@click.option("--layer", "layers", type=LayerType(), multiple=True, metavar="LAYER", help=f"Repeatable: {LAYER_FORMS}.")
@click.option(
    "--gains",
    type=Values(NUMBERS["gains"]),
    metavar="G,G,...",
    help="Largest squared singular value of each weight matrix, or one for all, in place of --sw.",
)
@click.option("--inputs", metavar="FILE", type=click.Path(), help="Real inputs, a row each: their covariance.")
@click.option("--spectrum", metavar="FILE|V,V,...", help="Eigenvalues of the input's covariance.")
@click.option(
    "--symmetry",
    metavar="GROUP",
    help="What the network ignores: translations, permutations, reflections, or a file with generators.",
)
@click.option(
    "--symmetry-at",
    type=Word(SYMMETRY_AT),
    default="output",
    show_default=True,
    help="Whether the network as a whole ignores it, or its first weight matrix already.",
)
@click.option("--every-layer", is_flag=True, help="A row per layer: what each allows on its own.")
@network_options("unit")
@output_options
def command(
    activation: Activation,
    sigma_w: float | None,
    init: Preset | None,
    sigma_noise: float,
    weights: str,
    input_variance: float,
    widths: tuple[int, ...] | None,
    shape: tuple[int, ...] | None,
    layers: tuple[Layer, ...],
    gains: tuple[float, ...] | None,
    inputs: str | None,
    spectrum: str | None,
    symmetry: str | None,
    symmetry_at: str,
    every_layer: bool,
    unit: str,
    sink: Sink,
) -> None:
    """Show the largest information that an architecture can carry, whatever its weights.

    The capacity is what linear networks within the limits attain; the ceiling is what no network within them exceeds if
    the input is Gaussian. The limits are the largest singular value of each weight matrix and the steepest slope of the
    activation. Convolutions are periodic.
    """
    from mfmi.api.capacity import capacity_of
    from mfmi.attainable import architecture_of, covariance_of, gains_of
    from mfmi.storage.arrays import read_inputs

    if init is not None:
        refuse_beside_init(sigma_w=sigma_w)
    is_given = click.get_current_context().get_parameter_source("input_variance") is ParameterSource.COMMANDLINE
    eigenvalues = None if spectrum is None else _eigenvalues(spectrum)
    samples = None if inputs is None else read_inputs(inputs)
    with usage_errors():
        architecture = architecture_of(widths, shape, layers)
        given = input_variance if is_given else None
        with showing("covariance of the input"):
            covariance = covariance_of(architecture.n_0, given, samples, eigenvalues, input_variance)
        limits = gains_of(architecture, init.sigma_w if init is not None else sigma_w, weights, gains)
        with showing("capacity"):
            answer = capacity_of(
                architecture,
                activation,
                limits,
                sigma_noise,
                covariance,
                symmetry=_symmetry(symmetry),
                symmetry_at=symmetry_at,
                every_layer=every_layer,
                unit=unit,
            )
    table = functools.partial(_draw, answer.found, unit, every_layer)
    sink.write(answer.block, answer.columns, table=table, about=answer.about)
    if widths is not None and gains is None:
        following("bound", same=True, remark="what of it each layer keeps")
    elif not every_layer:
        following("capacity", "--every-layer", same=True, remark="what each layer allows on its own")


def _eigenvalues(text: str) -> Any:
    """Read eigenvalues from a list of numbers or from a file."""
    from mfmi.storage.arrays import is_number, read_spectrum

    if "." in text and not is_number(text.split(",")[0]):
        found = read_spectrum(text)
        if found.ndim > 1:
            shape = " x ".join(map(str, found.shape))
            raise click.BadParameter(
                f"{text}: a table of {shape} numbers holds samples, not eigenvalues in one row or column; "
                "give samples as --inputs.",
                param_hint="--spectrum",
            )
        if (found < 0.0).any():
            raise click.BadParameter(
                f"{text}: number {int((found < 0.0).argmax()) + 1} is {found[found < 0.0][0]:g}, and eigenvalues of a "
                "covariance are not negative.",
                param_hint="--spectrum",
            )
        return found
    try:
        return Values(NUMBERS["eigenvalues"]).convert(text, None, None)
    except click.BadParameter as error:
        raise click.BadParameter(error.message, param_hint="'--spectrum'") from error


def _symmetry(given: str | None) -> Any:
    """Return the name of a group, or the generators that a file holds."""
    from mfmi.attainable import NAMED_GROUPS

    if given is None or given in NAMED_GROUPS:
        return given
    try:
        return _generators(given)
    except FileNotFoundError:
        known = ", ".join(NAMED_GROUPS)
        hint = did_you_mean(given, NAMED_GROUPS)
        text = f"{given!r} is no file, and none of {known}.{hint}"
        raise click.BadParameter(text, param_hint="--symmetry") from None
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--symmetry") from error


def _generators(path: str) -> Any:
    """Read permutations, one a row, or a stack of permutation matrices."""
    import numpy as np

    from mfmi.storage.arrays import is_number

    if path.endswith(".npy"):
        found = np.load(path, allow_pickle=False)
        return [found] if found.ndim == 1 else list(found)
    generators = []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            cells = line.replace(",", " ").split()
            wrong = [column for column, cell in enumerate(cells, 1) if not is_number(cell)]
            if wrong:
                raise ValueError(f"{path}: line {number}, number {wrong[0]} is no number: {cells[wrong[0] - 1][:40]!r}")
            generators += [np.array([float(cell) for cell in cells])] if cells else []
    return generators


def _draw(found: Capacity, unit: str, every_layer: bool, console: Console) -> None:
    """Say the two numbers and the layer that limits them."""
    from mfmi.attainable import scale_of

    scale = scale_of(unit)
    worst = found.layers[found.bottleneck]
    share = found.attained / scale / found.n_0
    console.print(f"capacity {found.attained / scale:.6g} {unit}, {number(share)} per input dimension", soft_wrap=True)
    console.print(
        f"ceiling  {found.ceiling / scale:.6g} {unit} for any network, if the input is Gaussian", soft_wrap=True
    )
    name = "the input" if worst.layer == 0 else f"layer {worst.layer} ({worst.kind})"
    console.print(f"bottleneck: {name}, which lets {worst.rank} of {found.n_0} directions pass", soft_wrap=True)
    if not found.is_supremum:
        console.print("note: no linear network exceeds the capacity; short kernels may not attain it", soft_wrap=True)
    if every_layer:
        console.print()
        console.print(f"{'layer':>5}  {'kind':<12}{'width':>9}{'rank':>9}{'gain':>9}  limit, {unit}", style="bold")
        for layer in found.layers:
            cells = f"{layer.layer:>5}  {layer.kind:<12}{layer.width:>9}{layer.rank:>9}{number(layer.gain):>9}"
            mark = "  bottleneck" if layer.layer == found.bottleneck else ""
            style = "bold" if mark else ""
            console.print(f"{cells}  {layer.limit / scale:<12.6g}{mark}".rstrip(), style=style, soft_wrap=True)
