"""``mfmi.capacity``: the most that an architecture can carry, and which layer limits it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations import Activation
from mfmi.api.arguments import activation_of, scales_of, table_of
from mfmi.arguments.checks import flag, number, numbers, objects, whole_numbers, word
from mfmi.arguments.ranges import NUMBERS, WIDEST
from mfmi.attainable import (
    Architecture,
    Capacity,
    Convolution,
    Dense,
    InputCovariance,
    Layer,
    architecture_of,
    block_of,
    columns_of,
    covariance_of,
    gains_of,
    layer_block_of,
    layer_from_text,
    orbits_of,
)
from mfmi.attainable import capacity as find
from mfmi.errors import shown
from mfmi.names import INPUT_VARIANCE, SIGMA_NOISE, SYMMETRY_AT, UNITS, WEIGHTS
from mfmi.processes.progress import OnProgress, stage
from mfmi.processes.reporting import reporting
from mfmi.storage.frames import Answer
from mfmi.storage.provenance import provenance_of_command

if TYPE_CHECKING:
    import pandas as pd


def capacity_of(
    architecture: Architecture,
    activation: Activation,
    gains: ArrayLike,
    sigma_noise: float,
    covariance: InputCovariance,
    *,
    symmetry: str | Sequence[ArrayLike] | None = None,
    symmetry_at: str = SYMMETRY_AT[0],
    every_layer: bool = False,
    unit: str = "nats",
) -> Answer[Capacity]:
    """The one row of an architecture, or one for each of its layers.

    Raises
    ------
    ValueError
        A group that does not act on the input, or gains of another number of layers.
    """
    try:
        labels = orbits_of(architecture, symmetry)
        invariant = covariance if labels is None else covariance.projected(labels)
    except ValueError as error:
        raise ValueError(f"symmetry: {error}") from None
    whole = covariance if symmetry_at == "output" else invariant
    found = find(architecture, gains, activation.lipschitz, sigma_noise**2, invariant, ceiling_covariance=whole)
    block = layer_block_of(found, unit) if every_layer else block_of(found, unit)
    network = {"activation": activation.name, "sigma_noise": sigma_noise, "symmetry_at": symmetry_at}
    network |= {"gains": np.asarray(gains, dtype=np.float64).tolist(), "widths": _widths_of(architecture)}
    network |= {"symmetry": symmetry if isinstance(symmetry, str) or symmetry is None else len(symmetry)}
    about = provenance_of_command("capacity", [activation.name], information=unit, network=network)
    return Answer(block, columns_of(block, unit), about, found)


def _widths_of(architecture: Architecture) -> list[int]:
    return [architecture.n_0, *(stage.width for stage in architecture.stages)]


def capacity(
    activation: str | Activation | Callable[..., Any],
    *,
    sigma_w: float | None = None,
    init: str | None = None,
    sigma_noise: float = SIGMA_NOISE,
    weights: str = "gaussian",
    input_variance: float | None = None,
    widths: Iterable[int] | None = None,
    shape: Iterable[int] | None = None,
    layers: str | Iterable[str | Dense | Convolution] = (),
    gains: ArrayLike | None = None,
    inputs: ArrayLike | None = None,
    spectrum: ArrayLike | None = None,
    symmetry: str | Sequence[ArrayLike] | None = None,
    symmetry_at: str = SYMMETRY_AT[0],
    every_layer: bool = False,
    unit: str = "nats",
    progress: bool | OnProgress = False,
) -> pd.DataFrame:
    """Find the largest information that an architecture can carry, whatever its weights.

    The function of ``mfmi capacity``. The capacity is what linear networks within the limits attain, the ceiling what
    no network within them exceeds if the input is Gaussian, theory (22), (23). The limits are the largest singular
    value of each weight matrix and the steepest slope of the activation. Convolutions are periodic.

    Parameters
    ----------
    activation
        A name such as "tanh", a vectorised function, or an activation.
    sigma_w
        Standard deviation of the weights; the gains at initialisation are the limits.
    init
        Name of a library initialiser (see `mfmi.initialisers`), in place of `sigma_w`.
    sigma_noise
        Standard deviation of the noise; greater than 0.
    weights
        "gaussian" or "orthogonal", at initialisation.
    input_variance
        Variance of an input entry, by default 1.
    widths
        Units of a dense network, the input first.
    shape
        Shape of an image, channels first, or of a signal, in place of `widths`.
    layers
        Layers on an input of that shape: "dense:10", "conv:16:3x3:2" (channels, kernel, stride), or
        `mfmi.attainable.Dense` and `mfmi.attainable.Convolution`.
    gains
        Largest squared singular value of each weight matrix, or one for all, in place of `sigma_w`.
    inputs
        Real inputs, a row each, shape (N, n_0): their covariance is the input's.
    spectrum
        Eigenvalues of the covariance of the input, shape (n_0,).
    symmetry
        What the network ignores: "translations", "permutations", "reflections", or permutations that generate a group,
        each as a list of images or a matrix.
    symmetry_at
        "output" where the network as a whole ignores it, "first" where its first weight matrix does already.
    every_layer
        A row per layer: what each allows on its own.
    unit
        "nats" or "bits", in total.
    progress
        True to say on standard error how far it is, or a function that is called with a `mfmi.Progress`.

    Returns
    -------
    pandas.DataFrame
        One row: capacity, ceiling and the layer that limits most; or a row per layer. ``attrs["descriptions"]`` says
        what the columns are, ``attrs["mfmi"]`` where the rows came from.

    Raises
    ------
    ValueError
        An argument out of range, or arguments that do not fit together; the message names them.

    Examples
    --------
    >>> import mfmi
    >>> found = mfmi.capacity("tanh", sigma_w=1.5, widths=[784, 100, 200, 10])
    >>> print(found.capacity.round(3)[0], found.bottleneck[0])
    49.076 3
    >>> image = mfmi.capacity("relu", sigma_w=1.4, shape=(3, 32, 32), layers=["conv:16:3x3:2", "dense:10"])
    >>> int(image.inputs[0])
    3072
    """
    phi = activation_of(activation)
    noise = number("sigma_noise", sigma_noise, NUMBERS["sigma_noise"])
    kind = word("weights", weights, WEIGHTS)
    deviation = None
    if init is not None or sigma_w is not None:
        labels, w, _ = scales_of(sigma_w, None, init)
        if labels.ndim:
            raise ValueError(f"init: {shown(init)} is not a single name")
        deviation = number("sigma_w", w, NUMBERS["sigma_w"])
    table = None if inputs is None else table_of("inputs", inputs)
    values = None if spectrum is None else numbers("spectrum", spectrum, NUMBERS["eigenvalues"])
    variance = None if input_variance is None else number("input_variance", input_variance, NUMBERS["input_variance"])
    limits = None if gains is None else np.atleast_1d(numbers("gains", gains, NUMBERS["gains"])).ravel().tolist()
    architecture = architecture_of(_sizes("widths", widths), _sizes("shape", shape), _layers(layers))
    of_layers = gains_of(architecture, deviation, kind, limits)
    wanted: dict[str, Any] = {
        "symmetry": _symmetry(symmetry),
        "symmetry_at": word("symmetry_at", symmetry_at, SYMMETRY_AT),
        "every_layer": flag("every_layer", every_layer),
        "unit": word("unit", unit, UNITS),
    }
    with reporting(progress):
        with stage("covariance of the input"):
            covariance = covariance_of(architecture.n_0, variance, table, values, INPUT_VARIANCE)
        with stage("capacity"):
            return capacity_of(architecture, phi, of_layers, noise, covariance, **wanted).to_frame()


def _sizes(argument: str, given: object) -> list[int] | None:
    return None if given is None else [int(one) for one in whole_numbers(argument, given, WIDEST)]


def _layers(given: object) -> list[Layer]:
    found: list[Layer] = []
    for one in objects(given).ravel().tolist():
        if isinstance(one, Dense | Convolution):
            found.append(one)
        elif isinstance(one, str):
            try:
                found.append(layer_from_text(one))
            except ValueError as error:
                raise ValueError(f"layers: {error}") from None
        else:
            raise ValueError(f"layers: {shown(one)} is no layer; give a text such as 'dense:10' or 'conv:16:3x3:2'")
    return found


def _symmetry(given: object) -> Any:
    if given is None or isinstance(given, np.ndarray):
        return given if given is None or given.ndim > 1 else [given]
    array = objects(given)
    if array.ndim == 0:
        if not isinstance(array.item(), str):
            raise ValueError(f"symmetry: {shown(given)} is neither the name of a group nor a list of permutations")
        return array.item()
    return [array] if array.ndim == 1 and not isinstance(array[0], np.ndarray) else list(array)
