"""``mfmi bound``: the information that each layer of one network keeps."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mfmi.cli.bound_view import MEAN_FIELD, draw
from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.model_options import model_options, say_white, with_weights
from mfmi.cli.options import network_option, network_options, scale_options
from mfmi.cli.progress import ProgressDisplay
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.structure_options import NOISE, structure_options, with_structure
from mfmi.cli.terminal import terminal
from mfmi.cli.waiting import announce_tables
from mfmi.columns import DATA_NAMES
from mfmi.names import (
    ALL_UP_TO,
    DEPTH,
    ESTIMATORS,
    NUMBER_FORMATS,
    usual_estimators,
)

if TYPE_CHECKING:
    import numpy as np

    from mfmi.activations import Activation
    from mfmi.networks.model import Model
    from mfmi.networks.points import Points
    from mfmi.networks.weights import Weights
    from mfmi.processes.progress import OnProgress

    Rows = Mapping[str, np.ndarray[Any, Any]]

_AHEAD = 4


@make_command(
    name="bound",
    examples=(
        "mfmi bound --act tanh --sw 1.5",
        "mfmi bound --act tanh --sw 1.5 --widths 784,512,10",
        "mfmi bound --act relu --sw 1.4 --weights orthogonal,gaussian",
        "mfmi bound --act relu --sw 1.4 --sn 1 --depth 4 --inputs digits.npy --width 128",
        "mfmi bound --act gelu --sw 1 --residual --norm layernorm --branch-matrices 2 --hidden-ratio 4 --depth 24",
        "mfmi bound --act relu --sw 1.4142 --noise-at every --depth 30 --format csv",
        "mfmi bound --act relu --sw 1.4142 --positions 32x32 --input-correlation 0.9",
        "mfmi bound --act tanh --sw 1.1 --depth 1000 --last-layer",
    ),
)
@network_options("activation")
@scale_options
@network_option(
    "sigma_noise",
    type=NOISE,
    help="Standard deviation of the noise, or a number format, whose rounding it stands for: "
    f"{', '.join(NUMBER_FORMATS)}.",
)
@network_options("noise_at", "ensembles")
@structure_options
@network_option("depth", default=None, show_default=f"{DEPTH}, or all layers")
@click.option("--last-layer", is_flag=True, help="Only the last layer, not all up to it.")
@model_options
@network_options("input_variance", "correlation")
@network_option(
    "estimators",
    help=f"Repeatable: {', '.join(ESTIMATORS)}.  [default: all up to {ALL_UP_TO} layers, each row counting those below "
    "it; of more all but layerwise, covariance_upper and replica; of networks with norms, skips, relative noise or "
    "correlated positions linear, entropy_power and covariance_upper]",
)
@network_options("optional", "unit")
@output_options
def command(
    activation: Activation,
    sigma_w: float,
    sigma_b: float,
    init: str | None,
    sigma_noise: float | str,
    noise_at: str,
    structure: dict[str, Any],
    ensembles: str | Weights,
    depth: int | None,
    last_layer: bool,
    model: Model,
    input_variance: float,
    correlation: float,
    estimators: tuple[str, ...],
    optional: tuple[str, ...],
    unit: str,
    sink: Sink,
) -> None:
    """Show the information that each layer of one network keeps about its input.

    A row per layer 1 to N, written as soon as it is known: the network cut there, with that layer observed. The lower
    and upper bounds hold the mutual information between them; the linearly readable part is what the best linear
    decoder gets.
    """
    import numpy as np

    from mfmi.columns import columns_with
    from mfmi.networks.model import reason_against
    from mfmi.networks.points import Points
    from mfmi.storage.parquet import columns_in
    from mfmi.storage.provenance import provenance_of_rows

    if depth is None:
        depth = model.layers or DEPTH
    elif model.layers is not None and depth > model.layers:
        raise click.UsageError(f"--depth {depth} is beyond the {model.layers} layers of the network.")
    source = click.get_current_context().get_parameter_source
    given = source("input_variance") is ParameterSource.COMMANDLINE
    if model.data:
        if given:
            raise click.UsageError("--qx does not go with --inputs, which have a variance of their own.")
        input_variance = model.data.variance
        optional += DATA_NAMES
    if model.input_variance is not None and not given:
        input_variance = model.input_variance
    model = with_weights(model, ensembles)
    points = Points.of(
        activation.name,
        sigma_w,
        sigma_b=sigma_b,
        weights=[model.weights[0].label] if model.weights else str(ensembles),
        noise_at=noise_at,
        input_variance=input_variance,
        correlation=correlation,
        init=init,
    )
    points = with_structure(points, sigma_noise, structure)
    if not points.is_plain.all():
        against = reason_against(points.weights[0], model)
        if against:
            raise click.UsageError(f"Networks with norms, skips or relative noise need {against}.")
    columns = [column for column in columns_in(unit, columns_with(optional)) if column.name != "point"]
    layers = np.arange(depth if last_layer else 1, depth + 1)
    say_white(model.convolution)
    if source("estimators") is not ParameterSource.COMMANDLINE:
        structured = model.mixes or not points.is_plain.all()
        estimators = usual_estimators(not structured, structured, int(layers.sum()))
    model = model.for_layers(int(layers.sum()))
    announce_tables(activation, estimators, model)
    with ProgressDisplay(terminal()) as progress:
        blocks = _blocks(points, layers, estimators, unit, optional, model, progress)
        if sink.format != "table":
            about = provenance_of_rows("bound", points, estimators, unit, optional, model)
            sink.write(blocks, columns, about=about)
            return
        parts = list(blocks)
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    table = functools.partial(draw, activation, points, rows, model, estimators, optional, unit)
    sink.write(rows, columns, table=table, headings=_headings(estimators, optional))
    _say_next(points, model)


def _headings(estimators: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, str]:
    """The columns of the table, each with its heading there."""
    asked = [*optional, *(f"mi_{name}" for name in ("linear", "replica") if name in estimators)]
    of_columns = {name: name.removeprefix("mi_") for name in (*MEAN_FIELD, *asked)}
    return {"depth": "layer", **of_columns, "mi_lower": "lower", "mi_upper": "upper"}


def _say_next(points: Points, model: Model) -> None:
    """Say what comes after the bounds of a network: a better one of its kind, or a measurement."""
    if model.data or not model.has_plain_input:
        following("config", "init", remark="a sweep to start from: input and dataset are keys of it")
    elif model.weights or not points.is_plain.all():
        following("verify", same=True, without=("--widths",), remark="finite networks of this kind, measured")
    elif model.alpha:
        following("capacity", same=True, remark="the most that such an architecture can carry")
    else:
        following("recommend", same=True, remark="the best weights for such a network")


def _blocks(
    points: Points,
    layers: np.ndarray[Any, Any],
    estimators: tuple[str, ...],
    unit: str,
    optional: tuple[str, ...],
    model: Model,
    on_progress: OnProgress,
) -> Iterator[Rows]:
    """The rows of the layers, block by block as they are known."""
    from mfmi.bounds.evaluate import MeanFields, evaluate_points
    from mfmi.processes.progress import Clock

    fields, blocks = MeanFields(0), list(model.depths_at_once(layers))
    clock = Clock(on_progress, len(blocks))
    for block in blocks:
        with clock.begun("evaluate"):
            if block[-1] > fields.deepest:
                # Further than needed, so as not to begin again at every block; not so far that the first rows wait.
                fields = MeanFields(min(_AHEAD * int(block[-1]), int(layers[-1])))
            rows = evaluate_points(points, block, estimators, unit, optional, model, fields)
        clock.finish(len(block))
        yield {name: values for name, values in rows.items() if name != "point"}
