"""Options shared by the commands that take a network, each defined once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from mfmi.arguments.ranges import DEEPEST, NUMBERS, Range
from mfmi.cli.generic import Choice, ParamType
from mfmi.columns import OPTIONAL_NAMES
from mfmi.errors import did_you_mean, shown
from mfmi.names import (
    CORRELATION,
    DEFAULT_ESTIMATORS,
    DEPTH,
    ESTIMATORS,
    INPUT_VARIANCE,
    NOISE_PLACEMENTS,
    SIGMA_B,
    SIGMA_NOISE,
    UNITS,
    WEIGHTS,
)

if TYPE_CHECKING:
    from mfmi.activations import Activation
    from mfmi.initialisers import Preset
    from mfmi.networks.weights import Weights


QUOTES = "'"
LONGEST_COUNT = 30
FILES = ("spectrum", "matrix")
Function = TypeVar("Function", bound=Callable[..., Any])


class Real(ParamType[float]):
    """A finite number, such as 1.5 or 1e-3, within bounds.

    Parameters
    ----------
    within
        The numbers that are taken.
    """

    name = "number"

    def __init__(self, within: Range) -> None:
        self.within = within

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or say what is wrong with it."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            self.fail(f"{shown(value)} is not a number.", param, ctx)
        objection = self.within.objection(number)
        if objection is not None:
            self.fail(f"{shown(value).strip(QUOTES)} {objection}.", param, ctx)
        return number + 0.0  # no negative zero


class Count(click.IntRange):
    """A whole number within bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or say what is wrong with it, which may have a great many digits."""
        text: Any = value if len(str(value)) < LONGEST_COUNT else shown(value)
        try:
            int(text)
        except ValueError:
            self.fail(f"{text!r} is not a whole number.", param, ctx)
        return super().convert(text, param, ctx)


class Word(Choice[str]):
    """One of a few words; for another one the nearest is suggested."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word, or say which there are."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(error.message + did_you_mean(str(value), tuple(self.choices)), param, ctx)


class ActivationType(ParamType["Activation"]):
    """The name of an activation, with parameters if it has any, or a function of one's own as module:function."""

    name = "activation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Activation:
        """Return the activation, or say which there are."""
        from mfmi.activations import Activation, get

        if isinstance(value, Activation):
            return value
        try:
            return get(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the activations that begin with what has been typed."""
        from mfmi.activations import names

        return [CompletionItem(name) for name in names() if name.startswith(incomplete)]


class WeightsType(ParamType["str | Weights"]):
    """An ensemble, or one for each layer with commas between them; singular values from a file."""

    name = "weights"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Weights:
        """Return the word, or the ensembles, their files read."""
        if value in WEIGHTS:
            return str(value)
        from mfmi.networks.weights import Weights
        from mfmi.storage.arrays import read_ensemble

        if isinstance(value, Weights):
            return value
        layers: list[Any] = []
        for part in str(value).split(","):
            kind, colon, path = part.partition(":")
            if part not in WEIGHTS and not (kind in FILES and path):
                forms = ", ".join(repr(form) for form in (*WEIGHTS, *(f"{kind}:FILE" for kind in FILES)))
                hint = f" {kind}: needs a file." if kind in FILES else did_you_mean(kind, (*WEIGHTS, *FILES))
                self.fail(f"{part!r} is not one of {forms}.{hint}", param, ctx)
            try:
                layers.append(read_ensemble(kind, path) if colon else part)
            except ValueError as error:
                self.fail(f"{path}: {error}.", param, ctx)
        return Weights(tuple(layers))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the ensembles that begin with what has been typed after the last comma, then files."""
        before, comma, last = incomplete.rpartition(",")
        kind, colon, _ = last.partition(":")
        if colon and kind in FILES:
            return [CompletionItem("", type="file")]
        words = (*WEIGHTS, *(f"{kind}:" for kind in FILES))
        return [CompletionItem(before + comma + word) for word in words if word.startswith(last)]


def _estimators(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Put the estimators asked for in column order, once each."""
    return tuple(name for name in ESTIMATORS if name in (values or DEFAULT_ESTIMATORS))


def _further(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Put the optional columns in their order, once each."""
    return tuple(name for name in OPTIONAL_NAMES if name in values)


def _option(flag: str, **settings: Any) -> tuple[str, dict[str, Any]]:
    return flag, {"show_default": "default" in settings, **settings}


# Keyed by the name of the argument that the command's function receives.
_OPTIONS = {
    "activation": _option(
        "--act",
        type=ActivationType(),
        required=True,
        metavar="NAME",
        help="Activation: tanh, leaky_relu(0.1), my_module:phi; docs/activations.md lists all.",
    ),
    "sigma_w": _option(
        "--sw",
        type=Real(NUMBERS["sigma_w"]),
        required=True,
        metavar="S",
        help="Standard deviation of the weights, times sqrt(fan-in).",
    ),
    "sigma_b": _option(
        "--sb", type=Real(NUMBERS["sigma_b"]), default=SIGMA_B, metavar="S", help="Standard deviation of the biases."
    ),
    "sigma_noise": _option(
        "--sn",
        type=Real(NUMBERS["sigma_noise"]),
        default=SIGMA_NOISE,
        metavar="S",
        help="Standard deviation of the noise.",
    ),
    "noise_at": _option(
        "--noise-at",
        type=Word(NOISE_PLACEMENTS),
        default="output",
        help="Noise where the layer is observed, or in every layer.",
    ),
    "weights": _option("--weights", type=Word(WEIGHTS), default="gaussian", help="Weight ensemble."),
    "ensembles": _option(
        "--weights",
        type=WeightsType(),
        default="gaussian",
        metavar="NAME[,NAME...]",
        help="gaussian, orthogonal, spectrum:FILE of eigenvalues of W^T W or matrix:FILE, at the scale of --sw;"
        " or one for each layer, the last for all after it.",
    ),
    "depth": _option("--depth", type=Count(1, DEEPEST), default=DEPTH, metavar="N", help="Number of layers."),
    "input_variance": _option(
        "--qx",
        type=Real(NUMBERS["input_variance"]),
        default=INPUT_VARIANCE,
        metavar="V",
        help="Variance of an input entry.",
    ),
    "correlation": _option(
        "--c0",
        type=Real(NUMBERS["correlation"]),
        default=CORRELATION,
        metavar="C",
        help="Correlation of the tracked pair of inputs.",
    ),
    "estimators": _option(
        "--estimator",
        type=Word(ESTIMATORS),
        multiple=True,
        callback=_estimators,
        metavar="NAME",
        help=f"Repeatable: {', '.join(ESTIMATORS)}.  [default: {', '.join(DEFAULT_ESTIMATORS)}]",
    ),
    "optional": _option(
        "--column",
        type=Word(OPTIONAL_NAMES),
        multiple=True,
        callback=_further,
        metavar="NAME",
        help=f"Add a column; repeatable: {', '.join(OPTIONAL_NAMES)}.",
    ),
    "unit": _option("--unit", type=Word(UNITS), default="nats", help="Unit of information."),
}


class InitialiserType(ParamType["Preset"]):
    """The name of a library's initialiser, with a version and sizes where they matter."""

    name = "initialiser"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Preset:
        """Return the initialiser, or say what is wrong with the name."""
        from mfmi.initialisers import Preset, get

        if isinstance(value, Preset):
            return value
        try:
            return get(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin with what has been typed."""
        from mfmi.initialisers import names

        return [CompletionItem(name) for name in names() if name.startswith(incomplete)]


def initialiser_option(function: Function) -> Function:
    """Add --init; the function receives `init`, a preset or None."""
    return click.option(
        "--init",
        type=InitialiserType(),
        metavar="NAME",
        help="A library's initialiser, in place of --sw and --sb: see mfmi inits.",
    )(function)


def refuse_beside_init(**given: object) -> None:
    """Refuse standard deviations beside --init, those that are not None.

    Raises
    ------
    click.UsageError
        One of `sigma_w` and `sigma_b` was given.
    """
    for argument, flag in (("sigma_w", "--sw"), ("sigma_b", "--sb")):
        if given.get(argument) is not None:
            raise click.UsageError(f"--init gives the standard deviations; {flag} does not go with it.")


def scale_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --sw, --sb and --init in their place; the function receives `sigma_w`, `sigma_b` and `init`, a name or None.

    Raises
    ------
    click.UsageError
        Neither --sw nor --init, or --init beside one of the two.
    """

    @network_option("sigma_w", required=False)
    @network_option("sigma_b")
    @initialiser_option
    @functools.wraps(function)
    def with_scales(*args: Any, sigma_w: float | None, sigma_b: float, init: Preset | None, **options: Any) -> Any:
        context = click.get_current_context()
        if init is None:
            if sigma_w is None:
                missing = next(option for option in context.command.params if option.name == "sigma_w")
                raise click.MissingParameter(ctx=context, param=missing)
            return function(*args, sigma_w=sigma_w, sigma_b=sigma_b, init=None, **options)
        given = {"sigma_w": sigma_w, "sigma_b": sigma_b}
        source = context.get_parameter_source
        refuse_beside_init(
            **{name: value for name, value in given.items() if source(name) is ParameterSource.COMMANDLINE}
        )
        return function(*args, sigma_w=init.sigma_w, sigma_b=init.sigma_b, init=init.label, **options)

    return with_scales


def network_option(argument: str, **changes: Any) -> Callable[[Function], Function]:
    """Return the shared option that fills `argument`, with `changes` to its definition where a command needs any."""
    flag, settings = _OPTIONS[argument]
    return click.option(flag, argument, **{**settings, **changes})


def network_options(*arguments: str) -> Callable[[Function], Function]:
    """Return the shared options that fill `arguments` as one decorator.

    Parameters
    ----------
    *arguments
        Among activation, sigma_w, sigma_b, sigma_noise, noise_at, weights or ensembles, depth, input_variance,
        correlation, estimators, further, unit; the function receives each under that name.
    """

    def decorate(function: Function) -> Function:
        for argument in reversed(arguments):
            function = network_option(argument)(function)
        return function

    return decorate
