"""Trees of arrays as Flax saves them: msgpack, read by its own library without Flax or JAX."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._need import need
from mfmi.checkpoints._tensor import SIGNIFICANT, Checkpoint, Tensor, nothing, widened
from mfmi.errors import OutputError

# Codes of Flax's own types; arrays of more than a gigabyte are cut.
_ARRAY, _SCALAR = 1, 3
_CUT = "__msgpack_chunked_array__"


class _Array(NamedTuple):
    """An array of the file: shape, name of its type, and the bytes of its numbers in parts."""

    shape: tuple[int, ...]
    dtype: str
    parts: tuple[bytes, ...]


def read(path: str) -> Checkpoint:
    """Read a file of flax.serialization; its bytes are all in memory, its numbers are widened tensor by tensor."""
    msgpack = need("msgpack", path)
    try:
        with open(path, "rb") as file:
            tree = msgpack.unpackb(file.read(), ext_hook=functools.partial(_unpacked, msgpack), strict_map_key=False)
        arrays = list(_flat(tree, ""))
    except OSError:
        raise
    except Exception as error:  # damage shows as errors of msgpack, of numbers, and of the tree
        text = " ".join(str(error).split())[:160] or type(error).__name__
        raise OutputError(f"{path}: not a whole msgpack file of Flax: {text}") from error
    if not arrays:
        raise OutputError(f"{path}: msgpack without arrays of Flax")
    return Checkpoint(path, "msgpack", [_tensor(path, name, array) for name, array in arrays])


def _unpacked(msgpack: Any, code: int, data: bytes) -> Any:
    if code not in (_ARRAY, _SCALAR):
        return None
    shape, dtype, numbers = msgpack.unpackb(data)
    return _Array(tuple(int(size) for size in shape), str(dtype), (numbers,))


def _flat(tree: Any, prefix: str) -> Iterator[tuple[str, _Array]]:
    """Yield the arrays of a tree by the names of their branches."""
    if isinstance(tree, _Array):
        yield prefix or "array", tree
    elif isinstance(tree, Mapping):
        if _CUT in tree:
            shape = tuple(int(size) for size in _in_order(tree["shape"]))
            chunks = [chunk for chunk in _in_order(tree["chunks"]) if isinstance(chunk, _Array)]
            yield prefix, _Array(shape, chunks[0].dtype, tuple(part for chunk in chunks for part in chunk.parts))
            return
        for key, child in tree.items():
            yield from _flat(child, f"{prefix}/{key}" if prefix else str(key))
    elif isinstance(tree, list):
        for place, child in enumerate(tree):
            yield from _flat(child, f"{prefix}/{place}" if prefix else str(place))


def _in_order(numbered: Mapping[str, Any]) -> list[Any]:
    return [numbered[str(place)] for place in range(len(numbered))]


def _tensor(path: str, name: str, array: _Array) -> Tensor:
    if array.dtype in SIGNIFICANT or array.dtype.rstrip("0123456789") in ("int", "uint", "bool"):
        return Tensor(name, array.shape, array.dtype, functools.partial(_load, path, name, array))
    return Tensor(name, array.shape, array.dtype, nothing, skip=f"entries of type {array.dtype}")


def _load(path: str, name: str, array: _Array) -> FloatArray:
    known = getattr(np, array.dtype, None)
    kind = np.dtype(known if known is not None else getattr(need("ml_dtypes", path), array.dtype))
    first, *more = array.parts
    values = np.frombuffer(b"".join(array.parts) if more else first, kind)
    if values.size != math.prod(array.shape):
        raise OutputError(f"{path}: {name} has {values.size} entries, where its shape {array.shape} says otherwise")
    return widened(values.reshape(array.shape))
