"""An architecture, its input and its limits as they are given, checked against each other."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.arguments.ranges import MOST_ENTRIES
from mfmi.attainable._architecture import Architecture, Layer
from mfmi.attainable._covariance import InputCovariance
from mfmi.attainable._symmetry import NAMED_GROUPS, Orbits, named_group, orbits
from mfmi.errors import ArgumentError


def architecture_of(widths: Sequence[int] | None, shape: Sequence[int] | None, layers: Sequence[Layer]) -> Architecture:
    """Return the architecture of these widths, or of these layers on an input of a shape.

    Raises
    ------
    ValueError
        Both or neither are given, the layers do not fit, or the input is too large.
    """
    if (widths is None) == (shape is None) or (layers and shape is None):
        raise ValueError("a network is given by `widths`, or by `shape` and `layers`")
    given = ("widths", widths) if shape is None else ("shape", shape)
    if widths is not None:
        found = Architecture.from_widths(widths)
    else:
        assert shape is not None
        found = Architecture.from_layers(shape[0], shape[1:], layers)
    if found.n_0 > MOST_ENTRIES:
        raise ArgumentError(*given, f"has an input of more than {MOST_ENTRIES:,} entries, which is too large")
    return found


def covariance_of(
    n_0: int, input_variance: float | None, inputs: ArrayLike | None, spectrum: ArrayLike | None, otherwise: float
) -> InputCovariance:
    """Return the covariance of the input: that of samples, one of a spectrum, or a white one.

    Raises
    ------
    ValueError
        More than one of them is given, or it is no covariance.
    """
    if inputs is not None and spectrum is not None:
        raise ArgumentError("spectrum", None, "does not go with `inputs`: the input is given by one of them")
    if input_variance is not None and (inputs is not None or spectrum is not None):
        name = "inputs" if spectrum is None else "spectrum"
        raise ArgumentError("input_variance", input_variance, f"does not go with `{name}`, which has one of its own")
    if inputs is not None:
        return InputCovariance.from_samples(inputs)
    if spectrum is not None:
        return InputCovariance.from_spectrum(spectrum)
    return InputCovariance.white(n_0, otherwise if input_variance is None else input_variance)


def gains_of(
    architecture: Architecture, sigma_w: float | None, weights: str, gains: Sequence[float] | None
) -> FloatArray | Sequence[float]:
    """Return the largest squared singular value of each layer's weights, given or at initialisation.

    Raises
    ------
    ValueError
        Both or neither are given, or weights that are 0.
    """
    if (sigma_w is None) == (gains is None):
        raise ValueError("the weights are limited by `sigma_w`, `init` or `gains`; give one of them")
    if gains is not None:
        return [*gains] * len(architecture.stages) if len(gains) == 1 else gains
    assert sigma_w is not None
    if sigma_w == 0.0:
        raise ArgumentError("sigma_w", sigma_w, "is too small: weights of standard deviation 0 carry no information")
    return architecture.initial_gains(weights, sigma_w**2)


def orbits_of(architecture: Architecture, symmetry: str | Sequence[ArrayLike] | None) -> Orbits | None:
    """Return the orbits of a group on the input of an architecture, by its name or its generators; None without one.

    Raises
    ------
    ValueError
        No such name, or no permutations.
    """
    if symmetry is None:
        return None
    if not isinstance(symmetry, str):
        return orbits(symmetry)
    if symmetry not in NAMED_GROUPS:
        raise ValueError(f"{symmetry!r} is not one of {', '.join(NAMED_GROUPS)}, nor a list of permutations")
    sizes = architecture.sizes or (architecture.channels,)
    return named_group(symmetry, sizes, architecture.channels if architecture.sizes else 1)
