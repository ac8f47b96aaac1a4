"""Arguments that several of the Python functions take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation, get
from mfmi.arguments.checks import number, numbers, objects, word, words
from mfmi.arguments.ranges import NUMBERS
from mfmi.errors import shown
from mfmi.initialisers import Preset
from mfmi.initialisers import get as get_initialiser
from mfmi.names import ESTIMATORS, NOISE_PLACEMENTS, SIGMA_B, STRUCTURE, WEIGHTS, usual_estimators
from mfmi.networks.model import Model
from mfmi.networks.points import Points
from mfmi.networks.settings import noise_of, with_settings
from mfmi.networks.weights import Weights


def activations_of(given: object) -> list[Activation]:
    """One or several activations by name, as functions or as themselves; a ValueError names what is none."""
    array = objects(given)
    if array.size == 0:
        raise ValueError("activation is empty")
    return [get(one) for one in array.ravel().tolist()]


def activation_of(given: object) -> Activation:
    """A single activation, as of `activations_of`."""
    if objects(given).ndim:
        raise ValueError(f"activation: {shown(given)} is not a single activation")
    return activations_of(given)[0]


def activation_names(given: object) -> NDArray[np.object_]:
    """Names of activations, of the shape of what is given."""
    array = objects(given)
    names = np.empty(array.size, dtype=object)
    names[:] = [get(one).name for one in array.ravel().tolist()]
    return names.reshape(array.shape)


def presets_of(argument: str, given: object) -> tuple[Preset, ...]:
    """Initialisers of libraries by name, one or several."""
    found = []
    for one in objects(given).ravel().tolist():
        if not isinstance(one, str):
            raise ValueError(f"{argument}: {shown(one)} is not a name of mfmi.initialisers")
        try:
            found.append(get_initialiser(one))
        except ValueError as error:
            raise ValueError(f"{argument}: {error}") from None
    return tuple(found)


def scales_of(sigma_w: Any, sigma_b: Any, init: object) -> tuple[NDArray[np.object_], Any, Any]:
    """Return the names of the initialisers, None where there are none, and the standard deviations."""
    if init is None:
        if sigma_w is None:
            raise ValueError("sigma_w: None is not a number; give sigma_w, or init in its place")
        return objects(None), sigma_w, SIGMA_B if sigma_b is None else sigma_b
    for argument, given in (("sigma_w", sigma_w), ("sigma_b", sigma_b)):
        if given is not None:
            raise ValueError(f"{argument}: {shown(given)} is not asked for; init gives the standard deviations")
    shape = objects(init).shape
    presets = presets_of("init", init)
    labels = np.array([one.label for one in presets], dtype=object).reshape(shape)
    w = np.array([one.sigma_w for one in presets]).reshape(shape)
    b = np.array([one.sigma_b for one in presets]).reshape(shape)
    return labels, w, b


def one_network(
    activation: object,
    sigma_w: object,
    sigma_b: object,
    init: object,
    sigma_noise: object,
    structure: Mapping[str, object],
    *,
    noise_at: object,
    weights: str,
    input_variance: object,
) -> Points:
    """The one network of functions that take no more; a ValueError names the argument that is none of one network."""
    labels, w, b = scales_of(sigma_w, sigma_b, init)
    if labels.ndim:
        raise ValueError(f"init: {shown(init)} is not a single name")
    points = Points.of(
        activation_of(activation).name,
        number("sigma_w", w, NUMBERS["sigma_w"]),
        sigma_b=number("sigma_b", b, NUMBERS["sigma_b"]),
        weights=[weights],
        noise_at=word("noise_at", noise_at, NOISE_PLACEMENTS),
        input_variance=number("input_variance", input_variance, NUMBERS["input_variance"]),
        init=labels.item(),
    )
    return with_settings(points, one_noise(sigma_noise), one_structure(structure))


def one_noise(sigma_noise: object) -> float | str:
    """A standard deviation or the name of a number format; a ValueError names what is neither, or several."""
    if objects(sigma_noise).ndim:
        raise ValueError(f"sigma_noise: {shown(sigma_noise)} is not a single number or number format")
    formats, deviation = noise_of(sigma_noise)
    return formats.item() or float(deviation)


def structure_of(arguments: Mapping[str, object]) -> dict[str, object]:
    """Norms and skips among the arguments of a function."""
    return {name: arguments[name] for name in STRUCTURE}


def one_structure(given: Mapping[str, object]) -> dict[str, object]:
    """Norms and skips of one network, those that were given; a ValueError names what are several."""
    for name, value in given.items():
        if objects(value).ndim:
            raise ValueError(f"{name}: {shown(value)} is not a single value")
    return {name: value for name, value in given.items() if value is not None}


def estimators_of(given: object, plain: bool, structured: bool, layers: int | None = None) -> tuple[str, ...]:
    """The estimators asked for in the order of their columns, by default the usual ones of such networks."""
    usual = usual_estimators(plain, structured, layers)
    named = set(words("estimators", usual if given is None else given, ESTIMATORS).flat)
    return tuple(name for name in ESTIMATORS if name in named)


def weights_of(given: object, model: Model) -> tuple[NDArray[np.object_], Model]:
    """Return the labels of ensembles, and the model that knows what they stand for."""
    array = objects(given)
    if array.size and all(isinstance(one, Real) for one in array.flat):
        own = numbers("weights", given, NUMBERS["entries"])
        try:
            array = objects(Weights.from_matrix(own) if own.ndim == 2 else Weights.from_spectrum(own))
        except ValueError as error:
            raise ValueError(f"weights: {error}") from None
    known: dict[str, Weights] = {}
    for one in array.flat:
        if isinstance(one, Weights):
            if known.setdefault(one.label, one) != one:
                raise ValueError(f"weights: two different ones have the name {one.label!r}")
        elif not isinstance(one, str) or one not in WEIGHTS:
            raise ValueError(f"weights: {shown(one)} is not one of {', '.join(WEIGHTS)}, nor mfmi.Weights")
    try:
        model = replace(model, weights=tuple(known.values()))
    except ValueError as error:
        raise ValueError(f"weights: {error}") from None
    labels = [one.label if isinstance(one, Weights) else one for one in array.flat]
    return np.array(labels, dtype=object).reshape(array.shape), model


def table_of(argument: str, given: object) -> NDArray[np.float64]:
    """Inputs, a row each, at least two."""
    table = numbers(argument, given, NUMBERS["entries"])
    if table.ndim != 2 or len(table) < 2 or table.shape[1] < 1:
        raise ValueError(f"{argument}: a finite table of at least two rows is needed, not of shape {table.shape}")
    return table
