"""Capacities as rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from mfmi.attainable._limits import Capacity
from mfmi.columns import Column

Block = dict[str, np.ndarray[Any, Any]]

LN2 = 0.6931471805599453


def scale_of(unit: str) -> float:
    """Nats in a unit of information."""
    return LN2 if unit == "bits" else 1.0


def block_of(found: Capacity, unit: str) -> Block:
    """The one row of an architecture."""
    scale = scale_of(unit)
    return {
        "inputs": np.array([found.n_0]),
        "log_gain": np.array([found.log_gain]),
        "capacity": np.array([found.attained / scale]),
        "ceiling": np.array([found.ceiling / scale]),
        "capacity_per_input": np.array([found.attained / scale / found.n_0]),
        "is_supremum": np.array([found.is_supremum]),
        "bottleneck": np.array([found.bottleneck], dtype=np.int32),
    }


def layer_block_of(found: Capacity, unit: str) -> Block:
    """A row for each layer."""
    return {
        "layer": np.array([layer.layer for layer in found.layers], dtype=np.int32),
        "kind": np.array([layer.kind for layer in found.layers], dtype=object),
        **{name: np.array([getattr(layer, name) for layer in found.layers]) for name in ("width", "rank", "gain")},
        "limit": np.array([layer.limit for layer in found.layers]) / scale_of(unit),
        "bottleneck": np.array([layer.layer == found.bottleneck for layer in found.layers]),
    }


def columns_of(block: Block, unit: str) -> tuple[Column, ...]:
    """Columns of a block, described."""
    known = [
        Column("layer", "int32", "1", "number of the layer; 0 is the input"),
        Column("kind", "string", "", "input, dense or convolution"),
        Column("width", "int64", "1", "units"),
        Column("rank", "int64", "1", "input directions that the layer lets through"),
        Column("gain", "float64", "1", "limit on the largest squared singular value of its weights"),
        Column("limit", "float64", unit, "capacity if no other layer dropped a direction"),
        Column("inputs", "int64", "1", "number of input entries"),
        Column("log_gain", "float64", "1", "logarithm of the largest squared singular value of the whole network"),
        Column("capacity", "float64", unit, "supremum over linear networks"),
        Column("ceiling", "float64", unit, "what no network exceeds if the input is Gaussian"),
        Column("capacity_per_input", "float64", f"{unit} per input dimension", "capacity over the number of inputs"),
        Column("is_supremum", "bool", "", "false where short kernels may not attain the capacity"),
    ]
    is_mark = "layer" in block
    known.append(
        Column("bottleneck", "bool", "", "whether this layer limits most")
        if is_mark
        else Column("bottleneck", "int32", "1", "number of the layer that limits most")
    )
    return tuple(column for column in known if column.name in block)
