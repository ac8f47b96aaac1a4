"""Kernels that Flax wraps in a norm, whose parts it saves under the wrapper's name.

Linen has `WeightNorm_0`, with the variable `Dense_0/kernel/scale`, beside the layer `Dense_0`; the statistics of
`SpectralNorm_0` are in another collection. The wrappers of nnx hold the layer as `layer_instance`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._tensor import Tensor

Made = Callable[..., FloatArray]

_EPSILON = 1e-12
_NNX = re.compile(r"(.*[./])?scales[./]\W*kernel\W*$")


def wrapped(tensors: Sequence[Tensor]) -> Iterator[tuple[Tensor, tuple[Tensor, ...], Made | None]]:
    """Yield (kernel, parts of its norm, how the kernel in use is made of them); None where the shapes do not tell."""
    by_parts = {tuple(_split(tensor.name)): tensor for tensor in tensors}
    for tensor in tensors:
        parts = _split(tensor.name)
        if parts[-2:] == ["kernel", "scale"]:
            kernel = _kernel(by_parts, parts)
            if kernel is not None:
                yield kernel, (tensor,), _weight_norm if tensor.shape == kernel.shape[-1:] else None
        elif parts[-2:] == ["kernel", "u"]:
            kernel = _kernel(by_parts, parts)
            sigma = by_parts.get((*parts[:-1], "sigma"))
            if kernel is not None:
                told = tensor.size == kernel.shape[-1] and len(kernel.shape) > 1
                yield kernel, (tensor, *((sigma,) if sigma else ())), _spectral_norm if told else None
        elif match := _NNX.fullmatch(tensor.name):
            kernel = by_parts.get((*_split(match[1] or ""), "layer_instance", "kernel"))
            if kernel is not None:
                yield kernel, (tensor,), _weight_norm if tensor.shape == kernel.shape[-1:] else None


def _split(name: str) -> list[str]:
    return [part for part in re.split(r"[./]", name) if part]


def _kernel(by_parts: dict[tuple[str, ...], Tensor], parts: Sequence[str]) -> Tensor | None:
    """Return the kernel that a wrapper's variable speaks of: its name without the wrapper's."""
    collection = ["params" if part == "batch_stats" else part for part in parts[:-1]]
    for place in range(len(collection) - 2, -1, -1):
        found = by_parts.get((*collection[:place], *collection[place + 1 :]))
        if found is not None:
            return found
    return None


def _weight_norm(kernel: FloatArray, scale: FloatArray) -> FloatArray:
    axes = tuple(range(kernel.ndim - 1))
    norms = np.sqrt(np.sum(np.square(kernel, dtype=np.float64), axis=axes) + _EPSILON)
    found: FloatArray = (kernel * (scale / norms)).astype(kernel.dtype)
    return found


def _spectral_norm(kernel: FloatArray, u: FloatArray, *_: FloatArray) -> FloatArray:
    """Divide by the largest singular value as one step of the power iteration from the saved vector finds it."""
    matrix = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    left = matrix @ u.ravel()
    left /= np.sqrt(left @ left + _EPSILON)
    right = left @ matrix
    sigma = float(right @ right / np.sqrt(right @ right + _EPSILON))
    found: FloatArray = (kernel / (sigma or 1.0)).astype(kernel.dtype)
    return found
