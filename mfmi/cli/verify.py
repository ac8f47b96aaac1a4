"""``mfmi verify``: the theory of one network beside finite networks drawn at random."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from mfmi.arguments.ranges import MOST_NETWORKS, MOST_POSITIONS, MOST_SAMPLES, MOST_SEED, WIDEST_SQUARE
from mfmi.cli.command import command as make_command
from mfmi.cli.exits import STRICT
from mfmi.cli.following import following
from mfmi.cli.generic import ParamType
from mfmi.cli.model_options import convolution_options, convolution_text, with_weights
from mfmi.cli.numbers import number
from mfmi.cli.options import Count, network_options, scale_options
from mfmi.cli.progress import ProgressDisplay
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.structure_options import noise_option, noise_text, structure_options, structure_text, usage_errors
from mfmi.cli.sweep import Jobs
from mfmi.cli.terminal import can_show, terminal
from mfmi.errors import shown
from mfmi.names import VERIFIED_NETWORKS, VERIFIED_WIDTH

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.activations import Activation
    from mfmi.networks.convolution import Convolution
    from mfmi.verification import Effort, Row, Setting


LEAST_WIDTH = 2
SIGNS = {"equal": "=", "at most": "≤", "at least": "≥"}
SIGNS_ASCII = {"equal": "=", "at most": "<=", "at least": ">="}
# What the table calls quantities of long names, so that two widths fit 80 columns.
LABELS = {"jacobian_mean": "Jacobian mean", "jacobian_relative_variance": "Jacobian var/mean²"}


class Widths(ParamType[tuple[int, ...]]):
    """Different widths, such as 100,200,400."""

    name = "widths"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the widths in increasing order."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(
            part.strip().isdecimal() and len(part) <= 20 and LEAST_WIDTH <= int(part) <= WIDEST_SQUARE for part in parts
        ):
            between = f"from {LEAST_WIDTH} to {WIDEST_SQUARE:,}"
            self.fail(f"{shown(value)} is not a list of whole numbers {between}, such as 100,200,400.", param, ctx)
        widths = sorted(int(part) for part in parts)
        if len(set(widths)) < len(widths):
            self.fail(f"{value!r} names a width twice.", param, ctx)
        return tuple(widths)


@make_command(
    name="verify",
    examples=(
        "mfmi verify --act tanh --sw 1.5 --depth 5 --width 400",
        "mfmi verify --act tanh --sw 1.4 --sb 0.3 --sn 0.5 --depth 2 --widths 4,8,16 --estimator replica --strict",
        "mfmi verify --act relu --sw 1.4 --residual --norm layernorm --branch 0.5 --depth 4 --width 200",
        "mfmi verify --act relu --sw 1.4 --positions 8 --input-correlation 0.6 --depth 3 --width 64",
    ),
)
@network_options("activation")
@scale_options
@noise_option
@network_options("noise_at", "ensembles")
@structure_options
@convolution_options
@click.option(
    "--kernel",
    type=Count(1, MOST_POSITIONS),
    metavar="K",
    help="Taps of gaussian kernels along each axis; others have one.  [default: 3, or all positions]",
)
@network_options("depth", "input_variance", "correlation", "estimators", "unit")
@click.option(
    "--width",
    type=Count(2 * LEAST_WIDTH, WIDEST_SQUARE),
    default=VERIFIED_WIDTH,
    show_default=str(VERIFIED_WIDTH),
    metavar="N",
    help="Units per layer; half of it is measured too, for the 1/n trend.",
)
@click.option("--widths", type=Widths(), metavar="N,N,...", help="All the widths to measure, in place of --width.")
@click.option(
    "--seeds",
    type=Count(2, MOST_NETWORKS),
    default=VERIFIED_NETWORKS,
    show_default=str(VERIFIED_NETWORKS),
    metavar="K",
    help="Independent networks per width.",
)
@click.option(
    "--seed", type=Count(0, MOST_SEED), default=0, show_default="0", metavar="S", help="Seed of all networks."
)
@click.option(
    "--samples",
    type=Count(1, MOST_SAMPLES),
    metavar="N",
    help="Inputs per network for the linear decoder.  [default: 6 times the width]",
)
@click.option(
    "--inputs",
    type=click.Path(),
    metavar="FILE",
    help="Real inputs (.npy, .csv, .parquet), a row each, in place of Gaussian ones: measures q, c and chi.",
)
@click.option(
    "--jobs", type=Jobs(), default="auto", show_default=True, metavar="N|auto", help="Number of worker processes."
)
@click.option("--strict", is_flag=True, help="Exit with 4 if theory and measurement disagree.")
@output_options
def command(
    activation: Activation,
    sigma_w: float,
    sigma_b: float,
    init: str | None,
    sigma_noise: float | str,
    noise_at: Any,
    ensembles: Any,
    structure: dict[str, Any],
    convolution: Convolution | None,
    kernel: int | None,
    depth: int,
    input_variance: float,
    correlation: float,
    estimators: tuple[str, ...],
    unit: str,
    width: int,
    widths: tuple[int, ...] | None,
    seeds: int,
    seed: int,
    samples: int | None,
    inputs: str | None,
    jobs: int,
    strict: bool,
    sink: Sink,
) -> None:
    """Measure finite random networks and set the theory beside them.

    Length and correlation maps, Jacobian moments and the best linear decoder's information, layer by layer: averages
    over networks, extrapolated to infinite width by their 1/n trend, with a standard error and the deviation z in
    standard errors. What deviates by more than 3 is measured again on four times as many fresh networks and marked if
    it still does. Up to width 32, bounds and replica value are held against the true information of the last layer, of
    plain networks. Of a branch that depends on the depth, that of the last layer counts.
    """
    from mfmi.api.verify import verification_of
    from mfmi.networks.model import SQUARE
    from mfmi.storage.arrays import read_inputs
    from mfmi.verification import Effort, Setting, chosen_pairs, kernel_of

    with usage_errors():
        effort = Effort.at(width, widths, seeds, seed, samples, estimators)
    pairs = chosen_pairs(read_inputs(inputs), seed) if inputs else None
    own = {name: value for name, value in structure.items() if value is not None}
    scales = sigma_w, sigma_b, sigma_noise, noise_at
    setting = Setting(activation, *scales, ensembles, depth, input_variance, correlation, pairs, own)
    with_weights(SQUARE, ensembles)  # all layers are
    with usage_errors(own):
        setting = replace(setting, convolution=convolution, kernel=kernel_of(convolution, kernel))
        setting.check()
    with ProgressDisplay(terminal()) as progress:
        answer = verification_of(setting, effort, unit, jobs, progress)
    rows = answer.found
    headings = {name: name for name in ("quantity", "layer", "theory", "relation")}
    headings |= {"measured": "n = ...", "standard_error": "s.e.", "z": "z", "flag": "flag"}
    table = functools.partial(_draw, setting, effort, rows, unit)
    sink.write(answer.block, answer.columns, table=table, headings=headings, about=answer.about)
    if setting.plain:
        following("recommend", same=True, without=("--widths",), remark="the best weights for such a network")
    else:
        following("bound", same=True, without=("--widths", "--width", "--inputs"), remark="the bounds of every layer")
    if strict and (bad := [row for row in rows if row.disagrees]):
        quantities = ", ".join(dict.fromkeys(row.quantity for row in bad))
        values = "1 value" if len(bad) == 1 else f"{len(bad)} values"
        terminal().error(f"theory and measurement disagree in {values}: {quantities}")
        raise click.exceptions.Exit(STRICT)


def _draw(setting: Setting, effort: Effort, rows: Sequence[Row], unit: str, console: Console) -> None:
    """Draw the comparison: a line per quantity and layer, the widths side by side."""
    import numpy as np

    unicode, points = can_show(console, "·≤≥∞²"), setting.points()
    where = "at the output" if setting.noise_at == "output" else "in every layer"
    title = (
        f"{setting.activation.name} · sigma_w {setting.sigma_w:g} · sigma_b {setting.sigma_b:g}"
        f" · {noise_text(points)} {where} · {setting.label} weights"
    )
    settings = points.settings(np.array([[setting.depth]]))
    title += structure_text({name: values[0, 0] for name, values in settings.items()})
    if setting.convolution is not None:
        title += f" · {convolution_text(setting.convolution)}"
    console.print(title if unicode else title.replace("·", "-"), soft_wrap=True)
    inputs = f"{len(setting.pairs[0])} pairs of real inputs" if setting.pairs else f"information in {unit}"
    console.print(f"{effort.networks} networks per width, seed {effort.seed}; {inputs}", soft_wrap=True)
    console.print()
    signs, limit = (SIGNS, "n = ∞") if unicode else (SIGNS_ASCII, "n = inf")
    labels = {row.quantity: LABELS.get(row.quantity, row.quantity) for row in rows}
    if not unicode:
        labels = {quantity: label.replace("²", "2") for quantity, label in labels.items()}
    room = max(len("quantity"), *map(len, labels.values()))
    # label, layer, theory, relation, limit, standard error, z and flag; the largest widths take what is left
    flag = max((len(f"  {row.flag}") for row in rows if row.flag), default=0)
    shown = max(0, (console.width - room - 6 - 9 - 3 - 9 - 9 - 7 - flag) // 9)
    left_out = effort.widths[: max(0, len(effort.widths) - shown)]
    heads = [*(f"n = {n}" for n in effort.widths[len(left_out) :]), limit, "s.e."]
    cells = "".join(f"{head:>9}" for head in heads)
    console.print(f"{'quantity':<{room}}{'layer':>6}{'theory':>9}   {cells}{'z':>7}", style="bold", soft_wrap=True)
    for _, lines in groupby(rows, key=lambda row: (row.quantity, row.relation, row.layer)):
        *_, last = measured = [row for row in lines if row.width not in left_out]
        cells = "".join(f"{number(row.measured):>9}" for row in measured)
        z = f"{last.z:.1f}" if abs(last.z) < 1e4 else number(last.z)
        line = (
            f"{labels[last.quantity]:<{room}}{last.layer:>6}{number(last.theory):>9} {signs[last.relation]:>2}{cells}"
        )
        line += f"{number(last.standard_error):>9}{z:>7}  {last.flag}"
        console.print(line.rstrip(), style="bold red" if last.disagrees else "", soft_wrap=True)
    if left_out:
        names = ", ".join(f"n = {n}" for n in left_out)
        console.print(f"no room for {names}: a wider terminal, or --format csv", style="dim", soft_wrap=True)
    console.print()
    limits = [row for row in rows if row.width is None]
    bad = sum(row.disagrees for row in limits)
    agree = f"all {len(limits)} values agree within 3 standard errors"
    verdict = f"{bad} of {len(limits)} values disagree with the theory" if bad else agree
    console.print(verdict, style="bold red" if bad else "bold", soft_wrap=True)
