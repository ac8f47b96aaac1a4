"""Files of Equinox: the leaves of a module one after the other, as numpy saves arrays, without names.

A line of JSON may come first, as Equinox's documentation advises for hyperparameters. Its layers keep their outputs
before their inputs, and a bias after its weight; what a leaf is follows from that and from the shapes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._npz import NARROW, header_of
from mfmi.checkpoints._tensor import Checkpoint, Tensor, Use, nothing, widened
from mfmi.errors import OutputError

MAGIC = b"\x93NUMPY"
# Rows of a recurrent matrix over the width of its state.
_GATES = (3, 4)
_LONGEST_LINE = 1 << 20

Shape = tuple[int, ...]
_Leaf = tuple[int, Shape, "np.dtype[np.generic] | None"]


def read(path: str) -> Checkpoint:
    """Read the headers of the leaves; their numbers are read leaf by leaf."""
    try:
        with open(path, "rb") as file:
            if file.read(1) == b"{":
                file.readline(_LONGEST_LINE)
            else:
                file.seek(0)
            leaves = list(_leaves(file))
    except (ValueError, EOFError, OverflowError) as error:
        text = " ".join(str(error).split())[:160]
        raise OutputError(f"{path}: not a whole file of Equinox: {text}") from error
    if not leaves:
        raise OutputError(f"{path}: a file of Equinox without arrays")
    uses = _uses([shape for _, shape, _ in leaves])
    tensors = [_tensor(path, str(place), leaf, use) for place, (leaf, use) in enumerate(zip(leaves, uses, strict=True))]
    return Checkpoint(path, "equinox", tensors)


def _leaves(file: BinaryIO) -> Iterator[_Leaf]:
    """Yield where each array begins, its shape and type; None for a type that the file does not name."""
    size = os.fstat(file.fileno()).st_size
    while (begin := file.tell()) < size:
        shape, dtype = header_of(file)
        if dtype.kind == "O":
            raise ValueError(f"leaf at byte {begin} is a pickled object, which could run code and is not read")
        end = file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
        if end > size:
            raise ValueError(f"it ends within the leaf at byte {begin}")
        file.seek(end)
        yield begin, shape, dtype if dtype.kind in "fiub" else None


def _uses(shapes: Sequence[Shape]) -> Iterator[Use | None]:
    """Yield how each leaf multiplies a signal; None for those of one axis or none, and for biases of convolutions."""
    ahead = [*shapes, (), ()]
    biases: set[int] = set()
    for place, shape in enumerate(shapes):
        if len(shape) < 2 or place in biases:
            yield None
            continue
        after, later = ahead[place + 1], ahead[place + 2]
        if _is_state(shape, after) and later == shape[:1]:
            yield Use("recurrent_input", "oi", bias=str(place + 2))
        elif place and _is_state(shapes[place - 1], shape) and after == shape[:1]:
            yield Use("recurrent_state", "oi", bias=str(place + 1))
        else:
            bias = (shape[0], *[1] * (len(shape) - 2))
            has_bias = after == bias
            if has_bias:
                biases.add(place + 1)
            yield Use("dense" if len(shape) == 2 else "convolution", "oi", bias=str(place + 1) if has_bias else None)


def _is_state(inputs: Shape, state: Shape) -> bool:
    """Whether two leaves are the matrices of a recurrent cell, for its input and its state."""
    return len(inputs) == len(state) == 2 and inputs[0] == state[0] in [gates * state[1] for gates in _GATES]


def _tensor(path: str, name: str, leaf: _Leaf, use: Use | None) -> Tensor:
    begin, shape, dtype = leaf
    if dtype is None:
        return Tensor(name, shape, "unknown", nothing, skip=NARROW)
    return Tensor(name, shape, dtype.name, functools.partial(_load, path, name, begin), use=use)


def _load(path: str, name: str, begin: int) -> FloatArray:
    try:
        with open(path, "rb") as file:
            file.seek(begin)
            return widened(npy.read_array(file, allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise OutputError(f"{path}: leaf {name} cannot be read: {error}") from error
