"""Activations that users bring, as plain functions, for tests of what the program finds out about them."""

from functools import lru_cache

import numpy as np

from mfmi.activations.user import UserActivation
from mfmi.arguments.arrays import FloatArray


def softsign(u: FloatArray) -> FloatArray:
    return u / (1.0 + np.abs(u))


def celu(u: FloatArray) -> FloatArray:
    return np.where(u > 0.0, u, np.expm1(np.minimum(u, 0.0)))


def mish(u: FloatArray) -> FloatArray:
    return u * np.tanh(np.logaddexp(0.0, u))


def hard_swish(u: FloatArray) -> FloatArray:
    return u * np.clip(u + 3.0, 0.0, 6.0) / 6.0


def relu6(u: FloatArray) -> FloatArray:
    return np.clip(u, 0.0, 6.0)


def squared_relu(u: FloatArray) -> FloatArray:
    return np.maximum(u, 0.0) ** 2


def tanhshrink(u: FloatArray) -> FloatArray:
    return u - np.tanh(u)


def cube(u: FloatArray) -> FloatArray:
    return u**3


def quick_gelu(u: FloatArray) -> FloatArray:
    return u * 0.5 * (1.0 + np.tanh(0.851 * u))


def absolute(u: FloatArray) -> FloatArray:
    return np.abs(u)


def wave(u: FloatArray) -> FloatArray:
    return np.cos(u)


def gaussian(u: FloatArray) -> FloatArray:
    return np.exp(-0.5 * u * u)


def snake(u: FloatArray) -> FloatArray:
    return u + np.sin(u) ** 2


def fast_sine(u: FloatArray) -> FloatArray:
    return np.sin(2.0 * u)


def softplus(u: FloatArray) -> FloatArray:
    return np.logaddexp(0.0, u)


FUNCTIONS = {
    function.__name__: function
    for function in (
        softsign,
        celu,
        mish,
        hard_swish,
        relu6,
        squared_relu,
        tanhshrink,
        cube,
        quick_gelu,
        absolute,
        wave,
        gaussian,
        snake,
        fast_sine,
        softplus,
    )
}


@lru_cache
def user(name: str) -> UserActivation:
    """Return the activation of a function above."""
    return UserActivation(f"user_functions:{name}", FUNCTIONS[name], None)
