"""A stand-in for JAX where it is not installed: the few names that emitted code uses, over numpy.

It follows the documented signatures and laws of `jax.random` and `jax.nn.initializers`, so code that runs with it asks
for nothing that the library does not offer. Code for other libraries is run with them, in the slow tests.
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
