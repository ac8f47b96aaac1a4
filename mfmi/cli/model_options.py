"""Options for what holds for all networks of a command alike: their layers' shape, their input, what is observed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mfmi.arguments.ranges import NUMBERS, WIDEST_DRAWN
from mfmi.cli.architecture import ShapeType, WidthList
from mfmi.cli.generic import ParamType
from mfmi.cli.options import Count, Real, Word
from mfmi.cli.terminal import terminal
from mfmi.names import OBSERVABLES, PRIORS

if TYPE_CHECKING:
    from mfmi.networks.convolution import Convolution
    from mfmi.networks.model import Model
    from mfmi.networks.weights import Weights


Function = TypeVar("Function", bound=Callable[..., Any])


class NumberList(ParamType[tuple[float, ...]]):
    """Numbers of an argument's range with commas between them, such as 0.5,2."""

    def __init__(self, argument: str, name: str) -> None:
        self.name, self._number = name, Real(NUMBERS[argument])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return the numbers, or say what is wrong with them."""
        if isinstance(value, tuple):
            return value
        return tuple(self._number.convert(part, param, ctx) for part in str(value).split(","))


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what a `mfmi.networks.model.Model` is made of; the function receives it as `model`."""

    @click.option(
        "--widths", type=WidthList(), metavar="N,N,...", help="Units of the input and of every layer; else all alike."
    )
    @click.option(
        "--alpha",
        type=NumberList("alpha", "ratios"),
        metavar="A,A,...",
        help="Ratios of the units of each layer to those before it.",
    )
    @click.option(
        "--inputs", type=click.Path(), metavar="FILE", help="Real inputs (.npy, .csv, .parquet): adds pairwise bounds."
    )
    @click.option(
        "--width",
        type=Count(1, WIDEST_DRAWN),
        metavar="N",
        help="Units of every layer of the networks for --inputs.",
    )
    @click.option("--prior", type=Word(PRIORS), default="gaussian", show_default=True, help="Law of an input entry.")
    @click.option(
        "--sparsity", type=Real(NUMBERS["sparsity"]), metavar="S", help="Share of spike_slab's entries not 0."
    )
    @click.option(
        "--input-spectrum",
        type=click.Path(),
        metavar="FILE",
        help="Eigenvalues of a gaussian input's covariance, or samples of it; their variance unless --qx is given.",
    )
    @convolution_options
    @click.option(
        "--observe",
        type=Word(OBSERVABLES),
        default=OBSERVABLES[0],
        show_default=True,
        help="What is known of the observed layer, its noise included.",
    )
    @functools.wraps(function)
    def with_model(
        *args: Any,
        widths: tuple[int, ...] | None,
        alpha: tuple[float, ...] | None,
        inputs: str | None,
        width: int | None,
        prior: str,
        sparsity: float | None,
        input_spectrum: str | None,
        convolution: Convolution | None,
        observe: str,
        **options: Any,
    ) -> Any:
        if input_spectrum is not None or prior != "gaussian" or sparsity is not None:
            if inputs is not None or width is not None:
                raise click.UsageError("--inputs are what they are; they go with no --prior or --input-spectrum.")
            model = _with_law(_model(widths, alpha).alpha, prior, sparsity, input_spectrum)
        elif inputs is not None or width is not None:
            model = _of_data(inputs, width, widths or alpha)
        else:
            model = _model(widths, alpha)
        with argument_errors():
            model = replace(model if convolution is None else model.with_convolution(convolution), observe=observe)
        return function(*args, model=model, **options)

    return with_model


def convolution_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --positions and --input-correlation; the function receives `convolution`, None without."""

    @click.option(
        "--positions",
        type=ShapeType(),
        metavar="N[xN]",
        help="Positions of circular convolutions, on a ring or along each axis; widths are channels.",
    )
    @click.option(
        "--input-correlation",
        type=NumberList("correlation", "correlations"),
        metavar="R[,R...]",
        help="r, for positions correlated by r^distance; or, on a ring, at the distances 1, 2, ...  [default: 0]",
    )
    @functools.wraps(function)
    def with_convolution(
        *args: Any,
        positions: tuple[int, ...] | None,
        input_correlation: tuple[float, ...] | None,
        **options: Any,
    ) -> Any:
        if positions is None:
            if input_correlation is not None:
                raise click.UsageError("--input-correlation is that between positions of a convolution: --positions.")
            return function(*args, convolution=None, **options)
        from mfmi.networks.convolution import Convolution

        given: Any = input_correlation or 0.0
        with argument_errors():
            found = Convolution.of(positions, given[0] if isinstance(given, tuple) and len(given) == 1 else given)
        return function(*args, convolution=found, **options)

    return with_convolution


@contextlib.contextmanager
def argument_errors() -> Iterator[None]:
    """Turn a `ValueError` that begins with an argument's name into a usage error that begins with the option's."""
    try:
        yield
    except ValueError as error:
        argument, _, text = str(error).partition(": ")
        raise click.UsageError(f"--{argument.replace('_', '-')}: {text}.") from error


def say_idle(convolution: Convolution | None, what: str) -> None:
    """Say that positions change nothing of what a command shows, where some were given."""
    if convolution is not None:
        terminal().note(f"--positions changes nothing here: {what} of convolutions are those of dense layers")


def say_white(convolution: Convolution | None) -> None:
    """Say that positions change nothing where their inputs are not correlated."""
    if convolution is not None and convolution.is_white:
        from mfmi.networks.convolution import IDLE

        terminal().note(f"--positions {IDLE} (--input-correlation)")


def convolution_text(convolution: Convolution) -> str:
    """Say over which positions a network's layers are convolutions."""
    positions = "x".join(map(str, convolution.positions))
    if convolution.is_white:
        return f"convolution over {positions} positions"
    return f"convolution over {positions} positions, neighbours correlated by {convolution.by_distance[1]:g}"


def with_weights(model: Model, given: str | Weights) -> Model:
    """The model with the ensembles that ``--weights`` names, if it has to know them."""
    if isinstance(given, str):
        return model
    try:
        return replace(model, weights=(given,))
    except ValueError as error:
        hint = "." if model.alpha else "; layers are square but for --widths or --alpha."
        raise click.BadParameter(f"{error}{hint}", param_hint="--weights") from error


def _model(widths: tuple[int, ...] | None, alpha: tuple[float, ...] | None) -> Model:
    from mfmi.networks.model import Model, ratios_of

    if widths is None:
        return Model(alpha or ())
    if alpha is not None:
        raise click.UsageError("--alpha and --widths contradict each other: the widths give the ratios.")
    if len(widths) < 2:
        raise click.UsageError("--widths needs two numbers at least: the units of the input, then those of the layers.")
    return Model(ratios_of(widths))


def _with_law(alpha: tuple[float, ...], prior: str, sparsity: float | None, spectrum: str | None) -> Model:
    from mfmi.networks.model import Model
    from mfmi.storage.arrays import read_spectrum

    try:
        if spectrum is None:
            return Model.with_input(prior, alpha, sparsity)
        if prior != "gaussian" or sparsity is not None:
            raise click.UsageError("--input-spectrum is that of a gaussian input.")
        return Model.with_spectrum(read_spectrum(spectrum), alpha)
    except ValueError as error:
        raise click.UsageError(f"{'--input-spectrum' if spectrum else '--prior'}: {error}.") from error


def _of_data(inputs: str | None, width: int | None, shape: object) -> Model:
    from mfmi.networks.model import DataSet, Model
    from mfmi.storage.arrays import read_inputs

    if inputs is None or width is None:
        raise click.UsageError("--inputs and --width go together: inputs and the units of the layers they go through.")
    if shape is not None:
        raise click.UsageError("--width is that of all layers; it does not go with --widths or --alpha.")
    try:
        return Model(data=DataSet.of(read_inputs(inputs), width))
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--inputs") from error
