"""``mfmi phase``: fixed points, phases and depth scales, and the edge of chaos."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from mfmi.arguments.ranges import DEVIATION
from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.model_options import convolution_options, say_idle
from mfmi.cli.options import initialiser_option, network_option, network_options, refuse_beside_init
from mfmi.cli.progress import showing
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.structure_options import noise_option, noise_text, structure_options, usage_errors, with_structure
from mfmi.cli.terminal import terminal
from mfmi.cli.values import Values

if TYPE_CHECKING:
    import numpy as np

    from mfmi.activations import Activation
    from mfmi.columns import Column
    from mfmi.initialisers import Preset
    from mfmi.networks.convolution import Convolution
    from mfmi.networks.points import Points

    Block = dict[str, np.ndarray[Any, Any]]

MAP_SIGMA_W, MAP_SIGMA_B = "0.5:3:101", "0:1:31"
BLOCK_POINTS = 4096
# Fewer values than this along an axis make a table rather than a map.
MAP_LEAST = 4


@make_command(
    name="phase",
    examples=(
        "mfmi phase --act tanh --sw 1.5 --sb 0.1",
        "mfmi phase --act tanh --sw 0.5:3:101 --sb 0:1:31 --noise-at every --sn 0.2",
        "mfmi phase --act silu --curve --sb 0,0.1,0.5,1",
        "mfmi phase --act tanh --sw 1.5 --norm layernorm --residual",
    ),
)
@network_options("activation")
@click.option(
    "--sw",
    "sigma_w",
    type=Values(DEVIATION),
    metavar="S",
    help="Standard deviation of the weights: 1.5, or 1,1.5,2, or 0.5:3:101, both ends included.",
)
@click.option(
    "--sb", "sigma_b", type=Values(DEVIATION), metavar="S", help="Standard deviation of the biases, likewise."
)
@initialiser_option
@noise_option
@network_option(
    "noise_at", help="Noise of the hidden layers changes the maps; noise at the output, the default, does not."
)
@structure_options
@convolution_options
@network_options("input_variance")
@click.option("--curve", is_flag=True, help="The edge of chaos at the given --sb, or at the given --sw; every branch.")
@click.option("--all", "everything", is_flag=True, help="Every fixed point of the length map, attracting or not.")
@output_options
def command(
    activation: Activation,
    sigma_w: tuple[float, ...] | None,
    sigma_b: tuple[float, ...] | None,
    init: Preset | None,
    sigma_noise: float | str,
    noise_at: str,
    structure: dict[str, Any],
    convolution: Convolution | None,
    input_variance: float,
    curve: bool,
    everything: bool,
    sink: Sink,
) -> None:
    """Show where a wide random network's signals end, and how fast.

    One point, a grid of points or, with --curve, the edge of chaos. Variances that grow without bound are reported as
    the phase "unbounded" and have no numbers. A depth scale may be infinite: inf in CSV and Parquet, "Infinity" in
    JSON. Without --sw and --sb the map from sigma_w 0.5 to 3 and sigma_b 0 to 1 is drawn. A residual stream of skip 1
    has no depth scale: what a plain network does exponentially it does by powers of the depth, whose exponents are
    shown.
    """
    say_idle(convolution, "fixed points, phases and depth scales")
    network: dict[str, Any] = {"sigma_noise": sigma_noise, "noise_at": noise_at, "input_variance": input_variance}
    own = {name: value for name, value in structure.items() if value is not None}
    if own or (isinstance(sigma_noise, str) and noise_at == "every"):
        network["structure"] = own
    if init is not None:
        refuse_beside_init(sigma_w=sigma_w, sigma_b=sigma_b)
        if curve:
            raise click.UsageError("--init is a point; --curve takes --sw or --sb.")
        sigma_w, sigma_b = (init.sigma_w,), (init.sigma_b,)
    if curve:
        if everything:
            raise click.UsageError("--all is about points; --curve has every branch anyway.")
        _curve(activation, sigma_w, sigma_b, network, sink)
        _say_next(network)
        return
    sigma_b = sigma_b or (Values(DEVIATION).convert(MAP_SIGMA_B, None, None) if sigma_w is None else (0.0,))
    sigma_w = sigma_w or Values(DEVIATION).convert(MAP_SIGMA_W, None, None)
    if everything and "structure" in network:
        raise click.UsageError("--all is known of plain networks only.")
    if everything:
        _every_fixed_point(activation, sigma_w, sigma_b, network, sink)
    elif len(sigma_w) == len(sigma_b) == 1:
        _point(activation, sigma_w[0], sigma_b[0], network, sink)
        following("bound", same=True, remark="what each layer of it keeps of the input")
        return
    else:
        _grid(activation, sigma_w, sigma_b, network, sink)
    _say_next(network)


def _say_next(network: Mapping[str, Any]) -> None:
    """Say what comes after many points: a choice among them."""
    if "structure" in network:
        following("config", "init", remark="a sweep to start from: norms and skips are axes of it")
    else:
        following("recommend", same=True, without=("--sb", "--init"), remark="the best of all of them")


def _columns(*names: str) -> list[Column]:
    from mfmi.columns import COLUMNS, OPTIONAL, Column

    known = {column.name: column for column in (*COLUMNS, *OPTIONAL)}
    for column in (
        Column("law", "string", "", "of a stream of skip 1, how it goes with depth: power, stretched or exponential"),
        Column("rate", "float64", "1", "stretched: ln of squared gradients over sqrt(depth); exponential: over depth"),
        Column("chi_q", "float64", "1", "slope of the length map at q_star; above 1 it repels"),
        Column("chi_c", "float64", "1", "slope of the correlation map at c_star"),
        Column("xi_grad", "float64", "layers", "depth scale of gradients; negative where they grow"),
        Column("n_stable", "int64", "1", "number of attracting fixed points of the length map"),
        Column("stable", "bool", "", "whether the fixed point attracts its neighbourhood"),
        Column("reached", "bool", "", "whether an input of the given variance ends there"),
        Column(
            "kind",
            "string",
            "",
            "interior, zero (a limit of vanishing variance) or continuum (of variances; of sigma_w after a norm)",
        ),
    ):
        known[column.name] = column
    return [known[name] for name in names]


SETTINGS = ("normalization", "norm_at", "noise_scale", "skip", "branch", "branch_matrices")
LAWS = ("law", "growth", "exponent_c", "exponent_grad", "rate")
NETWORK = ("activation", "noise_at", "sigma_w", "sigma_b", "sigma_noise", "input_variance")
SCALES = ("q_star", "c_star", "chi_1", "chi_q", "chi_c", "xi_q", "xi_c", "xi_grad", "phase")
SHOWN = ("sigma_w", "sigma_b", "q_star", "c_star", "chi_1", "chi_q", "xi_c", "xi_grad", "phase")


def _block(activation: Activation, sigma_w: Any, sigma_b: Any, network: Mapping[str, Any], found: Block) -> Block:
    """The columns that name the networks, and those found for them."""
    import numpy as np

    count = len(sigma_w)
    settings = _one(activation, network).settings(np.ones((1, 1), dtype=np.intp))
    names = ("activation", "noise_at", "sigma_noise", "input_variance", *(SETTINGS if "structure" in network else ()))
    constants: Block = {name: np.broadcast_to(settings[name][0], count) for name in names}
    given = {"sigma_w": np.broadcast_to(sigma_w, count), "sigma_b": np.broadcast_to(sigma_b, count)}
    return constants | given | found


def _one(activation: Activation, network: Mapping[str, Any]) -> Points:
    """The properties that all networks of the command share, as a point of sigma_w 1."""
    from mfmi.networks.points import Points

    alike = {name: network[name] for name in ("noise_at", "input_variance")}
    return with_structure(
        Points.of(activation.name, 1.0, **alike), network["sigma_noise"], network.get("structure", {})
    )


def _hidden(network: Mapping[str, Any]) -> Any:
    return network["sigma_noise"] if network["noise_at"] == "every" else 0.0


def _evaluate(activation: Activation, sigma_w: Any, sigma_b: Any, network: Mapping[str, Any]) -> Block:
    import numpy as np

    from mfmi.networks.ends import fixed_point

    w, b = np.broadcast_arrays(np.atleast_1d(sigma_w), np.atleast_1d(sigma_b))
    given = {"sigma_noise": _hidden(network), "input_variance": network["input_variance"]}
    with usage_errors(network.get("structure", {})):
        found = dict(fixed_point(activation, sigma_w=w, sigma_b=b, **given, **network.get("structure", {})))
    found.pop("residual", None)
    return _block(activation, w, b, network, found)


def _shown(network: Mapping[str, Any]) -> list[Column]:
    """Columns of points; other than plain networks have exponents, and one fixed point."""
    if "structure" not in network:
        return _columns(*NETWORK, *SCALES, "n_stable", "status", "message")
    return _columns(*NETWORK, *SETTINGS, *SCALES, *LAWS, "status", "message")


def _point(activation: Activation, sigma_w: float, sigma_b: float, network: Mapping[str, Any], sink: Sink) -> None:
    from mfmi.cli.phase_view import draw_point

    with showing("fixed point"):
        block = _evaluate(activation, sigma_w, sigma_b, network)
    columns = _shown(network)
    noise = noise_text(_one(activation, network))
    sink.write(block, columns, table=functools.partial(draw_point, activation, block, noise, network.get("structure")))


def _every_fixed_point(
    activation: Activation,
    sigma_w: tuple[float, ...],
    sigma_b: tuple[float, ...],
    network: Mapping[str, Any],
    sink: Sink,
) -> None:
    import numpy as np

    from mfmi.meanfield import fixed_points

    w, b = (axis.ravel() for axis in np.meshgrid(sigma_w, sigma_b, indexing="ij"))
    given = {"sigma_noise": _hidden(network), "input_variance": network["input_variance"]}
    with showing("fixed points"):
        found = dict(fixed_points(activation, sigma_w=w, sigma_b=b, **given))
    index = found.pop("index")
    columns = _columns(*NETWORK, *SCALES, "stable", "reached", "status", "message")
    shown = ("sigma_w", "sigma_b", "q_star", "chi_q", "stable", "reached", "chi_1", "c_star", "phase")
    sink.write(_block(activation, w[index], b[index], network, found), columns, shown=shown)
    _say_limits(found)


def _grid(
    activation: Activation,
    sigma_w: tuple[float, ...],
    sigma_b: tuple[float, ...],
    network: Mapping[str, Any],
    sink: Sink,
) -> None:
    import numpy as np

    columns = _shown(network)

    def blocks() -> Iterator[Block]:
        rows = max(1, BLOCK_POINTS // len(sigma_b))
        with showing("phases", len(sigma_w) * len(sigma_b), "points") as work:
            for start in range(0, len(sigma_w), rows):
                w, b = np.meshgrid(sigma_w[start : start + rows], sigma_b, indexing="ij")
                block = _evaluate(activation, w.ravel(), b.ravel(), network)
                work.advance(w.size)
                yield block

    if sink.format == "table" and min(len(sigma_w), len(sigma_b)) >= MAP_LEAST:
        from mfmi.cli.phase_view import draw_map

        table = functools.partial(draw_map, activation, list(blocks()), _hidden(network), network.get("structure"))
        sink.draw(table, _columns("sigma_w", "sigma_b", "phase"))
    else:
        sink.write(blocks(), columns, shown=SHOWN)
        if sink.format == "table":
            terminal().note(
                "chi_q: slope of the length map, above 1 q_star repels; xi_grad < 0: gradients grow with depth"
            )


def _curve(
    activation: Activation,
    sigma_w: tuple[float, ...] | None,
    sigma_b: tuple[float, ...] | None,
    network: Mapping[str, Any],
    sink: Sink,
) -> None:
    from mfmi.cli.phase_view import draw_curve
    from mfmi.meanfield import edge_of_chaos

    if sigma_w is not None and sigma_b is not None:
        raise click.UsageError("--curve goes by --sb or by --sw, not by both.")
    if not activation.differentiable:
        raise click.UsageError(f"{activation.name} has no derivative, and so no edge of chaos.")
    if sigma_w is None and sigma_b is None:
        sigma_b = Values(DEVIATION).convert(MAP_SIGMA_B, None, None)
    if "structure" in network:
        _normalised_curve(activation, sigma_b, network, sink)
        return
    with showing("edge of chaos"):
        edge = edge_of_chaos(
            activation, sigma_b, _hidden(network), sigma_w=sigma_w, input_variance=network["input_variance"]
        )
    block = _block(activation, edge.sigma_w, edge.sigma_b, network, dict(edge))
    columns = _columns(*NETWORK, "q_star", "chi_q", "stable", "reached", "kind", "status", "message")
    sink.write(block, columns, table=functools.partial(draw_curve, activation, block, by_weight=sigma_w is not None))
    _say_limits(dict(edge))


def _say_limits(found: Mapping[str, Any]) -> None:
    """Say up to which variance fixed points or an edge were looked for, where that is not everywhere."""
    messages = {str(text) for text in found["message"] if text}
    if messages:
        terminal().note(max(messages))


def _normalised_curve(
    activation: Activation, sigma_b: tuple[float, ...] | None, network: Mapping[str, Any], sink: Sink
) -> None:
    """The edge of chaos after a norm, where it has no other branches and no fixed point to look for."""
    import numpy as np

    from mfmi.cli.phase_view import draw_normalised_curve
    from mfmi.networks.ends import edge_of_normalised

    # Whether there is an edge comes first: where it is not known, --sb would not help.
    with usage_errors(network["structure"]):
        edge = edge_of_normalised(activation, np.array(sigma_b or (0.0,)), _hidden(network), network["structure"])
    if sigma_b is None:
        raise click.UsageError(
            "--curve of a normalised network goes by --sb: every sigma_w has its own sigma_b / sigma_w."
        )
    chosen = np.isfinite(edge)
    b = np.array(sigma_b)[chosen]
    every = edge[chosen] == 0.0
    kind = np.where(every, "continuum", "interior").astype(object)
    block = _block(activation, np.where(every, np.nan, edge[chosen]), b, network, {"kind": kind})
    sink.write(
        block, _columns(*NETWORK, *SETTINGS, "kind"), table=functools.partial(draw_normalised_curve, activation, block)
    )
