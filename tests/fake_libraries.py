"""Stand-ins for JAX and Keras where they are not installed: the few names that emitted code uses, over numpy.

They follow the documented signatures and laws of `jax.random`, `jax.nn.initializers`, `keras.initializers` and
`keras.layers.Dense`, so code that runs with them asks for nothing that the libraries do not offer.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


def _orthogonal(random: np.random.Generator, shape: tuple[int, ...], gain: float) -> Any:
    """Scaled matrix with orthonormal rows or columns, all axes but the last taken together."""
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    q, r = np.linalg.qr(random.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return gain * (q if rows >= columns else q.T).reshape(shape)


def jax() -> dict[str, ModuleType]:
    """Modules of JAX by name."""
    module, numpy = ModuleType("jax"), ModuleType("jax.numpy")
    numpy.float32 = np.float32  # type: ignore[attr-defined]

    def split(key: int, num: int = 2) -> list[int]:
        return [int(one) for one in np.random.default_rng(key).integers(2**62, size=num)]

    def normal(key: int, shape: tuple[int, ...] = (), dtype: Any = np.float32) -> Any:
        return np.random.default_rng(key).standard_normal(shape).astype(dtype)

    def orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = np.float32) -> Any:
        assert column_axis == -1
        return lambda key, shape, dtype=dtype: _orthogonal(np.random.default_rng(key), shape, scale).astype(dtype)

    module.numpy = numpy  # type: ignore[attr-defined]
    module.random = SimpleNamespace(PRNGKey=lambda seed: seed, split=split, normal=normal)  # type: ignore[attr-defined]
    initializers = SimpleNamespace(orthogonal=orthogonal)
    module.nn = SimpleNamespace(initializers=initializers)  # type: ignore[attr-defined]
    return {"jax": module, "jax.numpy": numpy}


class _Initializer:
    seed: int | None = None

    @property
    def random(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


class _RandomNormal(_Initializer):
    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return self.random.normal(self.mean, self.stddev, shape)


class _VarianceScaling(_Initializer):
    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        assert (mode, distribution) == ("fan_in", "untruncated_normal")
        self.scale, self.seed = scale, seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return self.random.normal(0.0, np.sqrt(self.scale / np.prod(shape[:-1])), shape)


class _Orthogonal(_Initializer):
    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = gain, seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return _orthogonal(self.random, shape, self.gain)


class _Dense:
    def __init__(
        self, units: int, activation: str | None = None, *, kernel_initializer: Any, bias_initializer: Any
    ) -> None:
        self.units, self.activation = units, activation
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer

    def build(self, input_shape: tuple[int | None, int]) -> None:
        self.kernel = self.kernel_initializer((input_shape[-1], self.units), dtype="float32")
        self.bias = self.bias_initializer((self.units,), dtype="float32")

    def get_weights(self) -> list[Any]:
        return [self.kernel, self.bias]


def keras() -> dict[str, ModuleType]:
    """Modules of Keras by name."""
    module = ModuleType("keras")
    module.initializers = SimpleNamespace(  # type: ignore[attr-defined]
        Initializer=_Initializer, RandomNormal=_RandomNormal, VarianceScaling=_VarianceScaling, Orthogonal=_Orthogonal
    )
    module.layers = SimpleNamespace(Dense=_Dense)  # type: ignore[attr-defined]
    return {"keras": module}
