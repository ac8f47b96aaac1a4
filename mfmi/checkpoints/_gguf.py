"""GGUF: the library maps the file, and dequantises the blocks of the types whose arithmetic it has."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._need import need
from mfmi.checkpoints._tensor import Checkpoint, Tensor, nothing, widened
from mfmi.errors import OutputError

# Types that hold a number each, by the library's name.
_NUMBERS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
}


def read(path: str) -> Checkpoint:
    """Read the header of a GGUF file; its numbers are mapped, and dequantised tensor by tensor."""
    library = need("gguf", path)
    quants = need("gguf.quants", path)
    try:
        file = library.GGUFReader(path)
        tensors = [_tensor(path, one, quants) for one in file.tensors]
    except Exception as error:  # the parser raises what it meets: ValueError, KeyError, IndexError, OverflowError, ...
        raise OutputError(f"{path}: not a whole GGUF file: {' '.join(str(error).split())[:160]}") from error
    return Checkpoint(path, "gguf", tensors)


def _tensor(path: str, one: Any, quants: Any) -> Tensor:
    # The file has the axis that runs fastest first.
    shape = tuple(int(size) for size in reversed(one.shape))
    kind = str(one.tensor_type.name)
    dtype = _NUMBERS.get(kind, kind)
    if kind not in _NUMBERS and not _has_arithmetic(one.tensor_type, quants):
        return Tensor(one.name, shape, dtype, nothing, skip=f"{kind} blocks, which the gguf library cannot dequantise")
    step = 0.0 if kind in _NUMBERS else math.nan  # each block has a scale of its own
    return Tensor(one.name, shape, dtype, functools.partial(_load, path, one, shape, quants), step=step)


def _has_arithmetic(kind: Any, quants: Any) -> bool:
    _, size = quants.GGML_QUANT_SIZES[kind]
    try:
        quants.dequantize(np.zeros((1, size), dtype=np.uint8), kind)
    except NotImplementedError:
        return False
    return True


def _load(path: str, one: Any, shape: tuple[int, ...], quants: Any) -> FloatArray:
    kind = str(one.tensor_type.name)
    plain = kind in _NUMBERS and kind != "BF16"
    try:
        values = np.asarray(one.data) if plain else quants.dequantize(one.data, one.tensor_type)
        return widened(values.reshape(shape))
    except ValueError as error:
        raise OutputError(f"{path}: {one.name} cannot be dequantised: {error}") from error
