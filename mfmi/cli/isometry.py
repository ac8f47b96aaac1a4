"""``mfmi isometry``: the singular values of a random network's Jacobian, layer by layer."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from mfmi.cli.command import command as make_command
from mfmi.cli.following import following
from mfmi.cli.isometry_view import draw_isometry, draw_structured
from mfmi.cli.model_options import convolution_options, say_idle
from mfmi.cli.options import network_option, network_options, scale_options
from mfmi.cli.progress import ProgressDisplay
from mfmi.cli.sink import Sink, output_options
from mfmi.cli.structure_options import noise_option, noise_text, structure_options, usage_errors, with_structure
from mfmi.cli.terminal import terminal

if TYPE_CHECKING:
    from mfmi.activations import Activation
    from mfmi.networks.convolution import Convolution

# The columns of the tables, each with its heading there.
HEADINGS = {
    **{"depth": "layer", "branch": "branch", "jacobian_mean": "mean", "jacobian_variance": "variance"},
    **{"isometry_distance": "distance", "spectrum_lower": "lower", "spectrum_upper": "upper", "zero_mass": "at 0"},
    "condition_number": "condition",
}


@make_command(
    name="isometry",
    examples=(
        "mfmi isometry --act tanh --sw 1.1 --depth 5",
        "mfmi isometry --act relu --sw 1.4142 --weights orthogonal --density --format csv",
        "mfmi isometry --act relu --sw 1.4142 --residual --branch 0.25 --depth 16",
    ),
)
@network_options("activation")
@scale_options
@noise_option
@network_option("noise_at", help="Noise of the hidden layers changes their slopes; noise at the output does not.")
@structure_options
@convolution_options
@network_options("weights", "depth", "input_variance")
@click.option("--every-layer", is_flag=True, help="The whole spectrum of every layer, not only of the last.")
@click.option("--density", is_flag=True, help="The spectral density, a row per node and atom.")
@output_options
def command(
    activation: Activation,
    sigma_w: float,
    sigma_b: float,
    init: str | None,
    sigma_noise: float | str,
    noise_at: str,
    structure: dict[str, Any],
    convolution: Convolution | None,
    weights: str,
    depth: int,
    input_variance: float,
    every_layer: bool,
    density: bool,
    sink: Sink,
) -> None:
    """Show how far a random network is from an isometry.

    The squared singular values of the Jacobian of each layer by the input: mean and variance, the whole spectrum with
    its edges and atoms, and the weights at which the mean is 1. At an isometry all are 1. Of networks with norms, skips
    or relative noise mean and variance are known.
    """
    say_idle(convolution, "the Jacobian's singular values")
    from mfmi.api.isometry import isometry_of
    from mfmi.networks.points import Points

    points = Points.of(
        activation.name, sigma_w, sigma_b=sigma_b, weights=weights, noise_at=noise_at, input_variance=input_variance
    )
    points = with_structure(points, sigma_noise, structure)
    with usage_errors(), ProgressDisplay(terminal()) as progress:
        answer = isometry_of(points, depth, every_layer=every_layer, density=density, on_progress=progress)
    found = answer.found
    if points.is_plain.all():
        table = functools.partial(draw_isometry, found.rows, found.spectra)
    else:
        table = functools.partial(draw_structured, found.rows, noise_text(points))
    sink.write(answer.block, answer.columns, table=table, headings=HEADINGS, about=answer.about)
    following("bound", same=True, remark="what each layer of it keeps of the input")
