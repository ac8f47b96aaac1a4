"""``mfmi capacity``: the most that an architecture can carry, and which layer limits it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from mfmi.arguments.ranges import MOST_ENTRIES, NUMBERS
from mfmi.cli.architecture import LAYER_FORMS, LayerType, ShapeType, WidthList, architecture_of
from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.numbers import number
from mfmi.cli.options import Word, initialiser_option, network_option, network_options, refuse_beside_init
from mfmi.cli.progress import showing
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.values import Values
from mfmi.errors import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from mfmi.activations import Activation
    from mfmi.attainable import Architecture, Capacity, InputCovariance, Layer
    from mfmi.columns import Column
    from mfmi.initialisers import Preset

    Block = dict[str, np.ndarray[Any, Any]]

LN2 = 0.6931471805599453
SYMMETRY_AT = ("output", "first")


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
    from mfmi.attainable import capacity

    architecture = architecture_of(widths, shape, layers)
    if architecture.n_0 > MOST_ENTRIES:
        hint = "'--widths'" if widths is not None else "'--shape'"
        raise click.BadParameter(f"an input of more than {MOST_ENTRIES:,} entries is too large.", param_hint=hint)
    with showing("covariance of the input"):
        covariance = _covariance(architecture, input_variance, inputs, spectrum)
    if init is not None:
        refuse_beside_init(sigma_w=sigma_w)
    limits = _gains(architecture, init.sigma_w if init is not None else sigma_w, weights, gains)
    with showing("symmetry"):
        invariant = _projected(architecture, covariance, symmetry)
    try:
        with showing("capacity"):
            found = capacity(
                architecture,
                limits,
                activation.lipschitz,
                sigma_noise**2,
                invariant,
                ceiling_covariance=covariance if symmetry_at == "output" else invariant,
            )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    block = _layer_block(found, unit) if every_layer else _block(found, unit)
    sink.write(block, _columns(block, unit), table=functools.partial(_draw, found, unit, every_layer))
    if widths is not None and gains is None:
        following("bound", same=True, remark="what of it each layer keeps")
    elif not every_layer:
        following("capacity", "--every-layer", same=True, remark="what each layer allows on its own")


def _covariance(
    architecture: Architecture, input_variance: float, inputs: str | None, spectrum: str | None
) -> InputCovariance:
    from mfmi.attainable import InputCovariance
    from mfmi.storage.arrays import read_inputs

    if inputs is not None and spectrum is not None:
        raise click.UsageError("The input is given by --inputs or by --spectrum, not by both.")
    try:
        if inputs is not None:
            return InputCovariance.from_samples(read_inputs(inputs))
        if spectrum is not None:
            return InputCovariance.from_spectrum(_eigenvalues(spectrum))
        return InputCovariance.white(architecture.n_0, input_variance)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


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


def _gains(architecture: Architecture, sigma_w: float | None, weights: str, gains: tuple[float, ...] | None) -> Any:
    if (sigma_w is None) == (gains is None):
        raise click.UsageError("The weights are limited by --sw, --init or --gains; give one of them.")
    if gains is not None:
        return gains * len(architecture.stages) if len(gains) == 1 else gains
    assert sigma_w is not None
    if sigma_w == 0:
        raise click.BadParameter("weights of standard deviation 0 carry no information.", param_hint="--sw")
    return architecture.initial_gains(weights, sigma_w**2)


def _projected(architecture: Architecture, covariance: InputCovariance, symmetry: str | None) -> InputCovariance:
    from mfmi.attainable import NAMED_GROUPS, named_group, orbits

    if symmetry is None:
        return covariance
    try:
        if symmetry in NAMED_GROUPS:
            sizes = architecture.sizes or (architecture.channels,)
            channels = architecture.channels if architecture.sizes else 1
            return covariance.projected(named_group(symmetry, sizes, channels))
        return covariance.projected(orbits(_generators(symmetry)))
    except FileNotFoundError:
        known = ", ".join(NAMED_GROUPS)
        hint = did_you_mean(symmetry, NAMED_GROUPS)
        raise click.BadParameter(
            f"{symmetry!r} is no file, and none of {known}.{hint}", param_hint="--symmetry"
        ) from None
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


def _scale(unit: str) -> float:
    return LN2 if unit == "bits" else 1.0


def _block(found: Capacity, unit: str) -> Block:
    import numpy as np

    scale = _scale(unit)
    return {
        "inputs": np.array([found.n_0]),
        "log_gain": np.array([found.log_gain]),
        "capacity": np.array([found.attained / scale]),
        "ceiling": np.array([found.ceiling / scale]),
        "capacity_per_input": np.array([found.attained / scale / found.n_0]),
        "is_supremum": np.array([found.is_supremum]),
        "bottleneck": np.array([found.bottleneck], dtype=np.int32),
    }


def _layer_block(found: Capacity, unit: str) -> Block:
    import numpy as np

    return {
        "layer": np.array([layer.layer for layer in found.layers], dtype=np.int32),
        "kind": np.array([layer.kind for layer in found.layers], dtype=object),
        "width": np.array([layer.width for layer in found.layers]),
        "rank": np.array([layer.rank for layer in found.layers]),
        "gain": np.array([layer.gain for layer in found.layers]),
        "limit": np.array([layer.limit for layer in found.layers]) / _scale(unit),
        "bottleneck": np.array([layer.layer == found.bottleneck for layer in found.layers]),
    }


def _columns(block: Block, unit: str) -> list[Column]:
    from mfmi.columns import Column

    known = [
        Column("layer", "int32", "1", "number of the layer; 0 is the input"),
        Column("kind", "string", "", "input, dense or convolution"),
        Column("width", "int64", "1", "units"),
        Column("rank", "int64", "1", "input directions that the layer lets through"),
        Column("gain", "float64", "1", "limit on the largest squared singular value of its weights"),
        Column("limit", "float64", unit, "capacity if no other layer dropped a direction"),
        Column("inputs", "int64", "1", "number of input entries"),
        Column("log_gain", "float64", "1", "logarithm of the largest squared singular value of the whole network"),
        Column("capacity", "float64", unit, "supremum over linear networks"),
        Column("ceiling", "float64", unit, "what no network exceeds if the input is Gaussian"),
        Column("capacity_per_input", "float64", f"{unit} per input dimension", "capacity over the number of inputs"),
        Column("is_supremum", "bool", "", "false where short kernels may not attain the capacity"),
    ]
    is_mark = "layer" in block
    known.append(
        Column("bottleneck", "bool", "", "whether this layer limits most")
        if is_mark
        else Column("bottleneck", "int32", "1", "number of the layer that limits most")
    )
    return [column for column in known if column.name in block]


def _draw(found: Capacity, unit: str, every_layer: bool, console: Console) -> None:
    """Say the two numbers and the layer that limits them."""
    scale = _scale(unit)
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
