"""Safetensors: the library checks the file, and each tensor is then a view of it."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._need import need
from mfmi.checkpoints._tensor import Checkpoint, Tensor, nothing, widened
from mfmi.errors import OutputError

# The library's numpy side knows none of the narrow types, and bfloat16 only after somebody has imported ml_dtypes.
_NUMPY = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
_NARROW = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}


def read(path: str) -> Checkpoint:
    """Read the header of a safetensors file; its numbers are read tensor by tensor."""
    library = need("safetensors", path)
    try:
        with library.safe_open(path, framework="numpy") as file:
            notes = dict(file.metadata() or {})
    except (library.SafetensorError, OSError, ValueError) as error:
        raise OutputError(f"{path}: not a whole safetensors file: {error}") from error
    with open(path, "rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        header: dict[str, Any] = json.loads(raw.read(length))
    header.pop("__metadata__", None)
    order = sorted(header, key=lambda name: (header[name]["data_offsets"], name))
    tensors = [_tensor(path, name, header[name], 8 + length) for name in order]
    present = set(order)
    for name, twin in notes.items():  # save_model drops all but one of the names of a shared tensor
        if twin in present and name not in present and isinstance(twin, str):
            shape = tuple(header[twin]["shape"])
            tensors.append(Tensor(name, shape, str(header[twin]["dtype"]), nothing, alias=twin))
    return Checkpoint(path, "safetensors", tensors, notes)


def _tensor(path: str, name: str, entry: dict[str, Any], start: int) -> Tensor:
    shape = tuple(entry["shape"])
    kind = entry["dtype"]
    known = _NUMPY.get(kind) or _NARROW.get(kind)
    if known is None:
        return Tensor(name, shape, kind, nothing, skip=f"{kind} entries, whose scale is not in the tensor")
    begin = start + entry["data_offsets"][0]
    return Tensor(name, shape, known, functools.partial(_load, path, begin, shape, known))


def _load(path: str, begin: int, shape: tuple[int, ...], dtype: str) -> FloatArray:
    if dtype in _NARROW.values():
        need("ml_dtypes", path)
    kind = np.dtype(dtype)
    count = math.prod(shape)
    values = np.fromfile(
        path, kind.newbyteorder("<") if kind.itemsize > 1 and kind.kind != "V" else kind, count, "", begin
    )
    if values.size != count:
        raise OutputError(f"{path}: ends within a tensor")
    return widened(values.reshape(shape))
