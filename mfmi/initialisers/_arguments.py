"""A standard deviation as the number that a library's initialiser asks for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

# Standard deviation of a standard normal that is cut at two of them. VarianceScaling divides it out in every library,
# TruncatedNormal in none.
CUT_DEVIATION = math.sqrt(1.0 - 4.0 * math.exp(-2.0) / math.sqrt(2.0 * math.pi) / math.erf(math.sqrt(2.0)))


@dataclass(frozen=True)
class Argument:
    """One number that an initialiser takes.

    Attributes
    ----------
    initialiser : its name in the library.
    argument : name of the argument, and of others that have to be given.
    value : the number.
    condition : layers for which it is that number; empty for all.
    """

    initialiser: str
    argument: str
    value: float
    condition: str = ""


_SQUARE = "square layers; else times sqrt((in + out) / (2 in))"
_NARROW = "layers that do not widen; else times sqrt(out / in)"


def arguments(sigma_w: float, sigma_b: float = 0.0, weights: str = "gaussian") -> tuple[Argument, ...]:
    """Return what the initialisers of libraries have to be given.

    Parameters
    ----------
    sigma_w
        Standard deviation of the weights, times the root of the fan-in.
    sigma_b
        Standard deviation of the biases.
    weights
        "gaussian" for independent entries of any law, or "orthogonal".

    Returns
    -------
    tuple of Argument
        Weights first, then biases if there are any.
    """
    of_weights = _orthogonal(sigma_w) if weights == "orthogonal" else _independent(sigma_w)
    return (*of_weights, *(_biases(sigma_b) if sigma_b > 0.0 else ()))


def _independent(sigma_w: float) -> Iterator[Argument]:
    for law in ("normal", "uniform"):
        yield Argument(f"torch.nn.init.xavier_{law}_", "gain", sigma_w, _SQUARE)
    if 0.0 < sigma_w <= math.sqrt(2.0):
        for law in ("normal", "uniform"):  # the gain of a leaky relu of slope a is sqrt(2 / (1 + a^2))
            yield Argument(f"torch.nn.init.kaiming_{law}_", "a", math.sqrt(max(2.0 / sigma_w**2 - 1.0, 0.0)))
    yield Argument("keras.initializers.VarianceScaling", "mode='fan_in', scale", sigma_w**2)
    yield Argument("jax.nn.initializers.variance_scaling", "mode='fan_in', scale", sigma_w**2)
    yield Argument("haiku.initializers.VarianceScaling", "mode='fan_in', scale", sigma_w**2)
    for name in ("keras.initializers.TruncatedNormal", "haiku.initializers.TruncatedNormal"):
        yield Argument(name, "sqrt(fan_in) stddev", sigma_w / CUT_DEVIATION)


def _orthogonal(sigma_w: float) -> Iterator[Argument]:
    yield Argument("torch.nn.init.orthogonal_", "gain", sigma_w, _NARROW)
    yield Argument("keras.initializers.Orthogonal", "gain", sigma_w, _NARROW)
    yield Argument("jax.nn.initializers.orthogonal", "scale", sigma_w, _NARROW)
    yield Argument("haiku.initializers.Orthogonal", "scale", sigma_w, _NARROW)


def _biases(sigma_b: float) -> Iterator[Argument]:
    yield Argument("torch.nn.init.normal_", "std", sigma_b, "biases")
    yield Argument("keras.initializers.RandomNormal", "stddev", sigma_b, "biases")
    yield Argument("jax.nn.initializers.normal", "stddev", sigma_b, "biases")
    yield Argument("haiku.initializers.RandomNormal", "stddev", sigma_b, "biases")
