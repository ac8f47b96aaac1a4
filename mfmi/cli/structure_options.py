"""Options for norms, skips and relative noise, the keywords of `mfmi.evaluate` by the same names."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mfmi.arguments.ranges import NUMBERS
from mfmi.cli.generic import ParamType
from mfmi.cli.numbers import number
from mfmi.cli.options import Count, Real, Word, network_option
from mfmi.errors import ArgumentError, did_you_mean
from mfmi.names import BY_DEPTH, NOISE_PATHS, NOISE_SCALES, NORM_PLACES, NORMALIZATIONS, NUMBER_FORMATS, STRUCTURE

if TYPE_CHECKING:
    from mfmi.networks.points import Points


Function = TypeVar("Function", bound=Callable[..., Any])


class NumberOrWord(ParamType[float | str]):
    """A number of an argument's range, or one of a few words in its place.

    Parameters
    ----------
    argument
        Whose range.
    words
        Words that are taken.
    """

    number: Real
    words: tuple[str, ...]

    name = "number"

    def __init__(self, argument: str, words: tuple[str, ...]) -> None:
        self.number, self.words = Real(NUMBERS[argument]), words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Return the number or the word, or say what is wrong with it."""
        if value in self.words:
            return str(value)
        try:
            float(value)
        except (TypeError, ValueError):
            known = ", ".join(self.words)
            self.fail(f"{value!r} is neither a number nor {known}.{did_you_mean(str(value), self.words)}", param, ctx)
        return self.number.convert(value, param, ctx)


NOISE = NumberOrWord("sigma_noise", NUMBER_FORMATS)
"""Standard deviation of the noise, or a number format whose rounding it stands for."""
noise_option = network_option(
    "sigma_noise",
    type=NOISE,
    help="Standard deviation of the noise, or a number format whose rounding it stands for.",
)


def _real(argument: str) -> Callable[[Function], Function]:
    helps = {
        "skip": "Factor a of the skip: h' = a h + g W phi(norm(h)).  [default: 0]",
        "hidden_ratio": "Width between two matrices over the stream's.  [default: 1]",
        "sigma_w_in": "Standard deviation of the first matrix, as --sw.  [default: --sw]",
        "sigma_b_in": "Standard deviation of the first biases.  [default: --sb]",
        "sigma_w_out": "Standard deviation of the second matrix of a branch.  [default: --sw]",
        "sigma_b_out": "Standard deviation of its biases.  [default: --sb]",
    }
    flag = f"--{argument.replace('_', '-')}"
    metavar = "A" if argument == "skip" else "R" if argument == "hidden_ratio" else "S"
    return click.option(flag, type=Real(NUMBERS[argument]), metavar=metavar, help=helps[argument])


def structure_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the function receives `structure`, the keywords that were given.

    Raises
    ------
    click.UsageError
        --residual beside another --skip.
    """

    @click.option(
        "--normalization",
        "--norm",
        "normalization",
        type=Word(NORMALIZATIONS),
        help="Norm of every layer.  [default: none]",
    )
    @click.option(
        "--norm-at",
        type=Word(NORM_PLACES),
        help="Before the activation, after it, or in the stream.  [default: activation]",
    )
    @_real("skip")
    @click.option("--residual", is_flag=True, help="Short for --skip 1.")
    @click.option(
        "--branch",
        type=NumberOrWord("branch", (BY_DEPTH,)),
        metavar="G",
        help=f"Factor g of the branch, a number or {BY_DEPTH}.  [default: 1]",
    )
    @click.option("--branch-matrices", type=Count(1, 2), metavar="N", help="2 for W_2 phi(W_1 norm(h)).  [default: 1]")
    @_real("hidden_ratio")
    @_real("sigma_w_in")
    @_real("sigma_b_in")
    @_real("sigma_w_out")
    @_real("sigma_b_out")
    @click.option(
        "--noise-scale",
        type=Word(NOISE_SCALES),
        help="Relative: --sn is a share of the signal's standard deviation.  [default: absolute]",
    )
    @click.option("--noise-in", type=Word(NOISE_PATHS), help="Whether the skip carries noise too.  [default: branch]")
    @functools.wraps(function)
    def with_structure(*args: Any, residual: bool, **options: Any) -> Any:
        given = {name: options.pop(name) for name in STRUCTURE}
        if residual:
            if given["skip"] not in (None, 1.0):
                raise click.UsageError(f"--residual is --skip 1; --skip {given['skip']:g} contradicts it.")
            given["skip"] = 1.0
        return function(*args, structure=given, **options)

    return with_structure


def structure_text(row: Mapping[str, Any], branch: str | None = None, ratio: float | None = None) -> str:
    """Say which norms and skips a row's network has, "" for neither.

    A word for the branch stands in place of its number, and the ratio of the widths is that between two matrices.
    """
    parts = []
    if row["normalization"] != "none":
        parts.append(f"{row['normalization']} at {row['norm_at']}")
    if row["skip"] != 0.0 or row["branch"] != 1.0:
        parts.append(f"skip {number(row['skip'])}, branch {branch or number(row['branch'])}")
    if row["branch_matrices"] == 2:
        parts.append("2 matrices a branch" if ratio is None else f"2 matrices of ratio {number(ratio)}")
    return "".join(f" · {part}" for part in parts)


def noise_text(points: Points) -> str:
    """Say how large the noise of a command's one point is, and what it stands for or is a share of."""
    own, size = points.structured, f"noise {points.sigma_noise[0]:g}"
    if own.number_format[0] is not None:
        return f"{size} equivalent to {own.number_format[0]}"
    return f"{size} of the signal" if own.noise_scale[0] == "relative" else size


def with_structure(points: Points, sigma_noise: float | str, given: Mapping[str, Any]) -> Points:
    """The one point of a command with the norms, skips and noise that its options say.

    Raises
    ------
    click.UsageError
        The options contradict each other.
    """
    from mfmi.networks.settings import with_settings

    with usage_errors(given):
        return with_settings(points, sigma_noise, given)


@contextlib.contextmanager
def usage_errors(given: Collection[str] = ()) -> Iterator[None]:
    """Turn what is wrong with arguments, those of the names in `given`, into a usage error that names the options."""
    try:
        yield
    except ArgumentError as error:
        value = "" if error.value is None or isinstance(error.value, bool) else f" {error.value}"
        raise click.UsageError(f"{_flag(error.argument)}{value} {_with_flags(error.reason)}.") from error
    except ValueError as error:
        argument, colon, rest = str(error).partition(": ")
        text = f"{_flag(argument)}: {rest}" if colon and argument in given else _with_flags(str(error))
        raise click.UsageError(f"{text}.") from error


def _flag(argument: str) -> str:
    """The option that fills an argument of the function of a command's name."""
    for parameter in click.get_current_context().command.params:
        flags = [*parameter.opts, f"--{parameter.name}"]
        if argument in (flag.lstrip("-").replace("-", "_") for flag in flags):
            return parameter.opts[0]
    return f"--{argument.replace('_', '-')}"


def _with_flags(reason: str) -> str:
    """Options in place of arguments between backquotes."""
    return re.sub(r"`(\w+)`", lambda found: _flag(found[1]), reason)
