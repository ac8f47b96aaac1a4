"""``mfmi.isometry``: the singular values of a random network's Jacobian, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from mfmi.activations import Activation
from mfmi.api.arguments import one_network, structure_of
from mfmi.arguments.checks import flag, whole_number, word
from mfmi.arguments.ranges import DEEPEST
from mfmi.jacobian import COLUMNS, Isometry
from mfmi.jacobian import isometry as find
from mfmi.names import DEPTH, INPUT_VARIANCE, SIGMA_NOISE, WEIGHTS
from mfmi.networks.convolution import convolution_of
from mfmi.networks.points import Points
from mfmi.processes.progress import Clock, OnProgress
from mfmi.processes.reporting import reporting
from mfmi.storage.frames import Answer
from mfmi.storage.provenance import provenance_of_command

if TYPE_CHECKING:
    import pandas as pd


def isometry_of(
    points: Points,
    depth: int,
    *,
    every_layer: bool = False,
    density: bool = False,
    on_progress: OnProgress | None = None,
) -> Answer[Isometry]:
    """The rows of one network: moments of each layer, or the density of the spectra."""
    clock = Clock(on_progress, depth)
    found = find(
        points,
        depth,
        every_layer=every_layer,
        density=density,
        before_each=lambda layer: clock.tell("spectra of layers", layer - 1),
    )
    about = provenance_of_command("isometry", points.activation.tolist())
    return Answer(found.density if density else found.rows, COLUMNS, about, found)


def isometry(
    activation: str | Activation | Callable[..., Any],
    sigma_w: float | None = None,
    sigma_b: float | None = None,
    sigma_noise: float | str = SIGMA_NOISE,
    depth: int = DEPTH,
    *,
    weights: str = "gaussian",
    noise_at: str = "output",
    input_variance: float = INPUT_VARIANCE,
    init: str | None = None,
    every_layer: bool = False,
    density: bool = False,
    normalization: str | None = None,
    norm_at: str | None = None,
    skip: float | None = None,
    branch: float | str | None = None,
    branch_matrices: int | None = None,
    hidden_ratio: float | None = None,
    sigma_w_in: float | None = None,
    sigma_b_in: float | None = None,
    sigma_w_out: float | None = None,
    sigma_b_out: float | None = None,
    noise_scale: str | None = None,
    noise_in: str | None = None,
    positions: ArrayLike | None = None,
    input_correlation: ArrayLike | None = None,
    progress: bool | OnProgress = False,
) -> pd.DataFrame:
    """Find how far the layers of a random network are from an isometry.

    The function of ``mfmi isometry``. At an isometry all squared singular values of the Jacobian of a layer by the
    input are 1. Of networks with norms, skips or relative noise mean and variance are known.

    Parameters
    ----------
    activation, sigma_w, sigma_b, sigma_noise, init
        As of `mfmi.evaluate`, of a single network.
    depth
        Number of layers, from 1 to 10,000.
    weights
        "gaussian" or "orthogonal".
    noise_at
        "output", or "every": noise of the hidden layers changes their slopes, noise at the output does not.
    input_variance
        Variance of an input entry; greater than 0.
    every_layer
        Find the whole spectrum of every layer, not only of the last one.
    density
        Return the spectral density, a row per node and atom, in place of a row per layer.
    normalization, norm_at, skip, branch, branch_matrices, hidden_ratio
        As of `mfmi.evaluate`, of a single network.
    sigma_w_in, sigma_b_in, sigma_w_out, sigma_b_out, noise_scale, noise_in
        As of `mfmi.evaluate`, of a single network.
    positions, input_correlation
        Of layers that are circular convolutions, as of `mfmi.evaluate`. They change nothing: the singular values are
        those of dense layers.
    progress
        True to say on standard error how far it is, or a function that is called with a `mfmi.Progress`.

    Returns
    -------
    pandas.DataFrame
        A row per layer: mean, variance and distance from 1 of the squared singular values, ends and atoms of their
        spectrum, and the weights at which the mean is 1. ``attrs["descriptions"]`` says what the columns are,
        ``attrs["mfmi"]`` where the rows came from. A layer without a value says why in `status` and `message`.

    Raises
    ------
    ValueError
        An argument out of range; the message names it and its value.

    Examples
    --------
    >>> import mfmi
    >>> rows = mfmi.isometry("relu", 2**0.5, depth=3, weights="orthogonal")
    >>> rows.jacobian_mean.round(6).tolist()
    [2.0, 2.0, 2.0]
    >>> density = mfmi.isometry("hard_tanh", 1.1, depth=2, density=True)
    >>> print(density.mass.sum().round(6))
    1.0
    """
    structure = structure_of(locals())
    convolution_of(positions, input_correlation)
    points = one_network(
        activation,
        sigma_w,
        sigma_b,
        init,
        sigma_noise,
        structure,
        noise_at=noise_at,
        weights=word("weights", weights, WEIGHTS),
        input_variance=input_variance,
    )
    layers = whole_number("depth", depth, DEEPEST)
    wanted = {"every_layer": flag("every_layer", every_layer), "density": flag("density", density)}
    with reporting(progress) as on_progress:
        return isometry_of(points, layers, **wanted, on_progress=on_progress).to_frame()
