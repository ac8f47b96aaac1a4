"""``mfmi recommend``: the initialisation that carries most information, and code for it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from mfmi.arguments.ranges import DEVIATION, NUMBERS
from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.model_options import convolution_options, say_white
from mfmi.cli.options import InitialiserType, Real, Word, network_option, network_options
from mfmi.cli.progress import ProgressDisplay
from mfmi.cli.sink import Sink, raw_output_options
from mfmi.cli.structure_options import noise_option, structure_options, usage_errors
from mfmi.cli.terminal import terminal
from mfmi.cli.values import Values
from mfmi.cli.waiting import announce_tables
from mfmi.names import GRADIENTS, KEEP, LIBRARIES, QUANTITIES, RECOMMENDED_DEPTH

if TYPE_CHECKING:
    from mfmi.activations import Activation
    from mfmi.api.recommend import Wish
    from mfmi.initialisers import Preset
    from mfmi.networks.convolution import Convolution
    from mfmi.recommendation.results import NetworkFamily
    from mfmi.storage.frames import Answer

# The columns of the comparison, each with its heading there.
HEADINGS = {"name": "name", "sigma_w": "sigma_w", "sigma_b": "sigma_b", "information": "linear, total"}
HEADINGS |= {
    "of_best": "of best",
    "gradient": "gradient",
    "chi_1": "chi_1",
    "xi_c": "xi_c",
    "trainable_depth": "6 xi_c",
    "phase": "phase",
}

STREAM_HEADINGS = {"name": "name", "branch": "branch", "information": "linear", "kept": "kept"}
STREAM_HEADINGS |= {"mi_lower": "at least", "mi_upper": "at most", "variance_ratio": "variance"}


@make_command(
    name="recommend",
    examples=(
        "mfmi recommend --act tanh --depth 20",
        "mfmi recommend --act relu --depth 10 --sb 0 --noise-at every --emit torch",
        "mfmi recommend --all-activations --depth 5 --sb 0",
        "mfmi recommend --act gelu --depth 24 --residual --norm layernorm --branch-matrices 2 --hidden-ratio 4",
    ),
)
@network_option("activation", required=False)
@network_option("depth", default=RECOMMENDED_DEPTH)
@click.option(
    "--sb",
    "sigma_b",
    type=Values(DEVIATION),
    metavar="S",
    help="Standard deviation of the biases; of several, such as 0,0.1 or 0:1:11, the best for each is ranked.  "
    "[default: searched for, 0 to 1]",
)
@network_options("weights")
@noise_option
@network_options("noise_at", "input_variance")
@structure_options
@convolution_options
@click.option(
    "--keep",
    type=Real(NUMBERS["keep"]),
    metavar="SHARE",
    help="Of a residual network: share of the first layer's readable information that layer N should keep.  "
    f"[default: {KEEP:g}]",
)
@click.option(
    "--by",
    type=Word(QUANTITIES),
    default="linear",
    show_default=True,
    metavar="NAME",
    help=f"What to maximise: {', '.join(QUANTITIES)} (the best lower bound).",
)
@click.option(
    "--gradients",
    type=Word(GRADIENTS),
    default="any",
    show_default=True,
    metavar="KIND",
    help="any: information counts whole; kept: of a plain network it counts for less the more gradients grow or shrink "
    "over the depth.",
)
@click.option(
    "--init",
    "init",
    type=InitialiserType(),
    multiple=True,
    metavar="NAME",
    help="A library's initialiser to compare with as well, by its name in mfmi inits; repeatable.",
)
@click.option("--emit", type=Word(LIBRARIES), help="Print the code of the initialisation instead.")
@click.option("--all-activations", is_flag=True, help="Rank all activations by their best initialisation.")
@network_options("unit")
@raw_output_options
def command(
    activation: Activation | None,
    depth: int,
    sigma_b: tuple[float, ...] | None,
    weights: str,
    sigma_noise: float | str,
    noise_at: str,
    input_variance: float,
    structure: dict[str, Any],
    convolution: Convolution | None,
    keep: float | None,
    by: str,
    gradients: str,
    init: tuple[Preset, ...],
    emit: str | None,
    all_activations: bool,
    unit: str,
    output_format: str,
    output: str | None,
    force: bool,
) -> None:
    """Find the standard deviations of weights and biases that carry most information to layer N.

    By default the linearly readable information is maximised, which is largest near the edge of chaos; the total
    information is largest elsewhere, often deep in chaos, and is shown beside it. Networks whose variances grow without
    bound are never recommended. What recipes and libraries start with is shown in the same units, and the numbers that
    the initialisers of libraries have to be given for it: gains, scales with the truncation counted in, standard
    deviations.

    Of a residual network, the branch scale is found instead: the largest that keeps a share of what the first layer
    tells, for the less a branch does the more is left. What a norm makes of no effect is not searched.
    """
    from mfmi.api.recommend import Wish, wished_activations
    from mfmi.recommendation import results

    def network(phi: Activation) -> NetworkFamily:
        return results.NetworkFamily(phi, depth, weights, noise_at, sigma_noise, input_variance, unit, own, convolution)

    own = {name: value for name, value in structure.items() if value is not None}
    with usage_errors(own):
        given = None if activation is None else (activation,)
        wish = Wish(wished_activations(given, all_activations), network, by, sigma_b, init, emit, keep, gradients)
    sink = Sink("table", output, force) if emit is not None else Sink.of(output_format, output, force)
    sink.check()
    say_white(convolution)
    if wish.ranks:
        first = _rank(wish, sink)
        if first is not None:
            chosen = () if activation else ("--act", first.activation.name)
            without = ("--all-activations", "--sb")
            following("recommend", *chosen, same=True, without=without, remark="the best in detail")
        return
    assert activation is not None
    announce_tables(activation, (by,))
    with usage_errors(own), ProgressDisplay(terminal()) as progress:
        answer: Answer[Any] = wish.stream(progress) if wish.is_stream else wish.recommendation(progress)
    if emit is not None:
        from mfmi.recommendation.code import code

        with usage_errors(own):
            text = code(answer.found, emit)
        sink.write_text(text)
        return
    if wish.is_stream:
        from mfmi.cli.recommend_stream_view import draw_stream

        table = functools.partial(draw_stream, answer.found)
        sink.write(answer.block, answer.columns, table=table, headings=STREAM_HEADINGS, about=answer.about)
        stream = answer.found
        scales = {"--sw": stream.sigma_w, "--sb": stream.sigma_b, "--branch": stream.best.scale}
        scales |= {"--sigma-w-out": stream.sigma_w_out} if structure["branch_matrices"] == 2 else {}
        words = [word for flag, value in scales.items() for word in (flag, f"{value:.4g}")]
        replaced = ("--sb", "--keep", "--branch", "--sigma-w-out")
        following("bound", *words, same=True, without=replaced, remark="layer by layer")
        return
    from mfmi.cli.recommend_view import draw

    table = functools.partial(draw, answer.found)
    sink.write(answer.block, answer.columns, table=table, headings=HEADINGS, about=answer.about)
    best = answer.found.best
    place = ("--sw", f"{best.sigma_w:.4f}", "--sb", f"{best.sigma_b:.4f}")
    following("bound", *place, same=True, without=("--sb", "--init"), remark="layer by layer")


def _rank(wish: Wish, sink: Sink) -> NetworkFamily | None:
    """Show the networks, best first; return the best."""
    from mfmi.cli.recommend_view import draw_ranking

    with ProgressDisplay(terminal()) as progress:
        answer = wish.ranking(progress)
    found = answer.found
    if found.missing:
        terminal().note(f"without {found.by}: {', '.join(found.missing)}")
    headings = {name: name for name in ("activation", "information", "sigma_w", "sigma_b", "chi_1")}
    headings |= {"information": found.unit, "trainable_depth": "6 xi_c", "phase": "phase"}
    table = functools.partial(draw_ranking, found.found)
    sink.write(answer.block, answer.columns, table=table, headings=headings, about=answer.about)
    return found.found[0][0] if found.found else None
