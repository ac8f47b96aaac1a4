"""``mfmi recommend``: the initialisation that carries most information, and code for it."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import click

from mfmi.arguments.ranges import DEVIATION
from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.options import InitialiserType, Word, network_option, network_options
from mfmi.cli.progress import ProgressDisplay
from mfmi.cli.sink import Sink, raw_output_options
from mfmi.cli.terminal import terminal
from mfmi.cli.values import Values
from mfmi.cli.waiting import announce_tables
from mfmi.names import ESTIMATORS

if TYPE_CHECKING:
    import numpy as np

    from mfmi.activations import Activation
    from mfmi.columns import Column
    from mfmi.initialisers import Preset
    from mfmi.recommendation.results import Baseline, NetworkFamily, Optimum, Recommendation

    Block = dict[str, np.ndarray[Any, Any]]

QUANTITIES = (*ESTIMATORS, "total")
# The columns of the comparison, each with its heading there.
HEADINGS = {"name": "name", "sigma_w": "sigma_w", "sigma_b": "sigma_b", "information": "linear, total"}
HEADINGS |= {"of_best": "of best", "chi_1": "chi_1", "xi_c": "xi_c", "trainable_depth": "6 xi_c", "phase": "phase"}
LIBRARIES = ("torch", "jax", "linen", "nnx", "equinox", "keras", "numpy")


@make_command(
    name="recommend",
    examples=(
        "mfmi recommend --act tanh --depth 20",
        "mfmi recommend --act relu --depth 10 --sb 0 --noise-at every --emit torch",
        "mfmi recommend --all-activations --depth 5 --sb 0",
    ),
)
@network_option("activation", required=False)
@network_option("depth", default=20, show_default="20")
@click.option(
    "--sb",
    "sigma_b",
    type=Values(DEVIATION),
    metavar="S",
    help="Standard deviation of the biases; of several, such as 0,0.1 or 0:1:11, the best for each is ranked.  "
    "[default: searched for, 0 to 1]",
)
@network_options("weights", "sigma_noise", "noise_at", "input_variance")
@click.option(
    "--by",
    type=Word(QUANTITIES),
    default="linear",
    show_default=True,
    metavar="NAME",
    help=f"What to maximise: {', '.join(QUANTITIES)} (the best lower bound).",
)
@click.option(
    "--init",
    "presets",
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
    sigma_noise: float,
    noise_at: str,
    input_variance: float,
    by: str,
    presets: tuple[Preset, ...],
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
    the initialisers of libraries have to be given for it: gains, scales with the truncation counted in, deviations.
    """
    from mfmi.activations import get, names
    from mfmi.recommendation.results import NetworkFamily
    from mfmi.recommendation.search import recommend

    if (activation is None) != all_activations:
        raise click.UsageError("name one activation with --act, or rank them with --all-activations.")
    if all_activations and emit is not None:
        raise click.UsageError("--emit writes the code for one activation: name it with --act.")
    biases: tuple[float | None, ...] = sigma_b or (None,)
    if presets and (all_activations or len(biases) > 1):
        raise click.UsageError("--init stands beside one recommendation: name one activation and at most one --sb.")
    if len(biases) > 1 and emit is not None:
        raise click.UsageError("--emit writes the code for one initialisation: give one --sb.")
    sink = Sink("table", output, force) if emit is not None else Sink.of(output_format, output, force)
    sink.check()

    def network(phi: Activation) -> NetworkFamily:
        return NetworkFamily(phi, depth, weights, noise_at, sigma_noise, input_variance, unit)

    if activation is None or len(biases) > 1:
        phis = [activation] if activation else [get(name) for name in names()]
        best = _rank([(network(phi), one) for phi in phis for one in biases], by, sink)
        if best is not None:
            chosen = () if activation else ("--act", best.activation.name)
            without = ("--all-activations", "--sb")
            following("recommend", *chosen, same=True, without=without, remark="the best in detail")
        return
    announce_tables(activation, (by,))
    try:
        with ProgressDisplay(terminal()):
            found = recommend(network(activation), by, biases[0], presets)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    if emit is not None:
        from mfmi.recommendation.code import code

        sink.write_text(code(found, emit))
        return
    from mfmi.cli.recommend_view import draw

    block, columns = _block(found)
    sink.write(block, columns, table=functools.partial(draw, found), headings=HEADINGS)
    place = ("--sw", f"{found.best.sigma_w:.4f}", "--sb", f"{found.best.sigma_b:.4f}")
    following("bound", *place, same=True, without=("--sb", "--init"), remark="layer by layer")


def _rank(candidates: list[tuple[NetworkFamily, float | None]], by: str, sink: Sink) -> NetworkFamily | None:
    """Find the best initialisation of every network, at its sigma_b where that is given; show them, return the best."""
    from mfmi.cli.recommend_view import draw_ranking
    from mfmi.recommendation.results import NoOptimumError
    from mfmi.recommendation.search import optimum
    from mfmi.sweep.progress import Clock

    found: list[tuple[NetworkFamily, Optimum]] = []
    missing: list[str] = []
    with ProgressDisplay(terminal()) as progress:
        clock = Clock(progress, len(candidates))
        for done, (network, sigma_b) in enumerate(candidates):
            clock.tell(f"rank {network.activation.name}", done)
            try:
                found.append((network, optimum(network, by, sigma_b, tolerance=2e-3, plateau=False)))
            except NoOptimumError:
                missing.append(network.activation.name)
    if missing:
        terminal().note(f"without {by}: {', '.join(dict.fromkeys(missing))}")
    found.sort(key=lambda pair: -pair[1].value)
    rows = [_optimum_row(network, best, "best") for network, best in found]
    block, columns = _table(rows, candidates[0][0].unit)
    headings = {name: name for name in ("activation", "information", "sigma_w", "sigma_b", "chi_1")}
    headings |= {"information": candidates[0][0].unit, "trainable_depth": "6 xi_c", "phase": "phase"}
    sink.write(block, columns, table=functools.partial(draw_ranking, found), headings=headings)
    return found[0][0] if found else None


# ---- as a table ------------------------------------------------------------------------------------------------------


def _described(unit: str) -> list[Column]:
    from mfmi.columns import COLUMNS, Column

    known = {column.name: column for column in COLUMNS}
    information = f"{unit} per input dimension"
    return [
        Column("role", "string", "", "best, other (the optimum of the other kind of information) or baseline"),
        Column("name", "string", "", "what was maximised, or whose initialisation it is"),
        *(known[name] for name in ("activation", "weights", "noise_at", "sigma_w", "sigma_b", "sigma_noise")),
        *(known[name] for name in ("input_variance", "depth")),
        Column("quantity", "string", "", "the kind of information in the column information"),
        Column("information", "float64", information, "information of that kind at the observed layer"),
        Column("of_best", "float64", "1", "its share of the recommendation's"),
        Column("plateau_low", "float64", "1", "smallest sigma_w within 1 % of the best"),
        Column("plateau_high", "float64", "1", "largest sigma_w within 1 % of the best"),
        *(known[name] for name in ("phase", "chi_1", "xi_c")),
        Column("trainable_depth", "float64", "layers", "layers to which such networks train, 6 xi_c"),
        Column("edge", "float64", "1", "sigma_w of the nearest edge of chaos that is reached at that sigma_b"),
        Column("swing", "float64", "1", "growth of a relative error of the first variance; large where it repels"),
        Column("limits", "string", "", "what stopped the search: sigma_w, sigma_b or unbounded; empty inside"),
        Column("gain", "float64", "1", "gain of torch.nn.init.xavier_normal_ or orthogonal_ in square layers: sigma_w"),
        Column("scale", "float64", "1", "scale of VarianceScaling by fan-in, of keras and jax: sigma_w^2"),
        Column("stddev_of_cut", "float64", "1", "stddev of TruncatedNormal, which is cut after, times sqrt(fan-in)"),
    ]


def _network_row(network: NetworkFamily, weights: str) -> dict[str, Any]:
    return {
        "activation": network.activation.name,
        "weights": weights,
        "noise_at": network.noise_at,
        "sigma_noise": network.sigma_noise,
        "input_variance": network.input_variance,
        "depth": network.depth,
    }


def _optimum_row(network: NetworkFamily, best: Optimum, role: str) -> dict[str, Any]:
    low, high = best.plateau or (math.nan, math.nan)
    return {
        **_network_row(network, network.weights),
        "role": role,
        "name": best.quantity,
        "sigma_w": best.sigma_w,
        "sigma_b": best.sigma_b,
        "quantity": best.quantity,
        "information": best.value,
        "of_best": 1.0 if role == "best" else math.nan,
        "plateau_low": low,
        "plateau_high": high,
        "phase": best.phase,
        "chi_1": best.chi_1,
        "xi_c": best.xi_c,
        "trainable_depth": best.trainable_depth,
        "edge": best.edge,
        "swing": best.swing,
        "limits": " ".join(best.limits),
        **_given(best.sigma_w, network.weights),
    }


def _given(sigma_w: float, weights: str) -> dict[str, float]:
    """Return the numbers that the initialisers of libraries are given."""
    from mfmi.initialisers import CUT_DEVIATION

    found = {"gain": sigma_w}
    return (
        found if weights == "orthogonal" else {**found, "scale": sigma_w**2, "stddev_of_cut": sigma_w / CUT_DEVIATION}
    )


def _baseline_rows(network: NetworkFamily, baseline: Baseline, best: Optimum) -> list[dict[str, Any]]:
    place = {"role": "baseline", "name": baseline.name, "sigma_w": baseline.sigma_w, "sigma_b": baseline.sigma_b}
    return [
        {
            **_network_row(network, baseline.weights),
            **place,
            **_given(baseline.sigma_w, baseline.weights),
            "phase": baseline.phase,
            "chi_1": baseline.chi_1,
            "xi_c": baseline.xi_c,
            "trainable_depth": baseline.trainable_depth,
            "quantity": quantity,
            "information": value,
            "of_best": value / best.value if quantity == best.quantity else math.nan,
        }
        for quantity, value in baseline.values.items()
    ]


def _block(found: Recommendation) -> tuple[Block, list[Column]]:
    rows = [_optimum_row(found.network, found.best, "best")]
    if found.other is not None:
        rows.append(_optimum_row(found.network, found.other, "other"))
    for baseline in found.baselines:
        rows += _baseline_rows(found.network, baseline, found.best)
    return _table(rows, found.network.unit)


def _table(rows: list[dict[str, Any]], unit: str) -> tuple[Block, list[Column]]:
    import numpy as np

    columns = _described(unit)
    block: Block = {}
    for column in columns:
        if column.dtype == "string":
            block[column.name] = np.array([row.get(column.name) for row in rows], dtype=object)
        else:
            block[column.name] = np.array([row.get(column.name, math.nan) for row in rows], dtype=column.dtype)
    return block, columns
