"""A tensor of a file, whose numbers are read when they are asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[Any]

# Significant bits of the numbers in a file, the hidden one included.
SIGNIFICANT = {
    "float64": 53,
    "float32": 24,
    "float16": 11,
    "bfloat16": 8,
    "float8_e4m3fn": 4,
    "float8_e4m3": 4,
    "float8_e4m3fnuz": 4,
    "float8_e5m2": 3,
    "float8_e5m2fnuz": 3,
}

# Distance of neighbours next to 0 in the narrow types.
SUBNORMAL = {
    "float16": 2.0**-24,
    "float8_e4m3fn": 2.0**-9,
    "float8_e4m3": 2.0**-9,
    "float8_e4m3fnuz": 2.0**-10,
    "float8_e5m2": 2.0**-16,
    "float8_e5m2fnuz": 2.0**-17,
}


@dataclass(frozen=True)
class Use:
    """The operation by which a graph multiplies a signal with a tensor, for formats that have a graph.

    Attributes
    ----------
    operation : dense, convolution, transposed_convolution, recurrent_input, recurrent_state or embedding.
    axes : of the tensor as it is read: "oi" or "io", window axes last; "doi" with directions first.
    groups : of a convolution.
    stride : product of the strides over the window's axes.
    bias : name of the tensor that is added.
    count : number of nodes that use the tensor.
    note : what the graph says about its scale.
    """

    operation: str
    axes: str
    groups: int = 1
    stride: int = 1
    bias: str | None = None
    count: int = 1
    note: str = ""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file.

    Attributes
    ----------
    name
        As the file has it; of a Keras file, the layer's name and the variable's.
    shape
        Its axes, in the order of the file.
    dtype
        Name of the type in which the numbers are stored.
    load
        Reads the numbers as a floating point array of that shape, widened to float32 or float64.
    layer
        Class of the layer in snake case where the file says it, such as "conv2d_transpose"; else empty.
    use
        How a graph uses it; None for formats without a graph.
    skip
        Why the numbers cannot be used; empty if they can.
    alias
        Name of the tensor whose storage this one shares; empty for the first of that name.
    step
        Distance of neighbouring values of a dequantised tensor, 0 for others.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], FloatArray]
    layer: str = ""
    use: Use | None = None
    skip: str = ""
    alias: str = ""
    step: float = 0.0

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def significant(self) -> int:
        """Significant bits of an entry."""
        return SIGNIFICANT.get(self.dtype, 53)


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of one file, in its order.

    Attributes
    ----------
    path : the file.
    format : safetensors, npz, torch, hdf5, keras, onnx, gguf, msgpack, orbax or equinox.
    tensors : in file order.
    notes : what the file says of itself beyond its tensors.
    """

    path: str
    format: str
    tensors: Sequence[Tensor]
    notes: Mapping[str, Any] = field(default_factory=dict)


def widened(values: FloatArray) -> FloatArray:
    """Return the numbers in a floating point type that numpy computes with."""
    if values.dtype == np.float64 or values.dtype.kind in "iu":
        return values.astype(np.float64, copy=False)
    return values.astype(np.float32, copy=False)


def nothing() -> FloatArray:
    """Stand for the numbers of a tensor that cannot be read; its `skip` says why, and nobody calls this."""
    raise AssertionError("the numbers of a skipped tensor were asked for")


def natural(text: str) -> list[Any]:
    """Return a key that sorts step2 before step10."""
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", text)]
