"""Small checkpoints, written by the libraries of their formats."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import onnx
import safetensors.numpy
from onnx import TensorProto, helper, numpy_helper

FloatArray = np.ndarray[Any, Any]
NARROW = {"bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def uniform(shape: tuple[int, ...], fan_in: int, variance: float = 1 / 3, seed: int = 0) -> FloatArray:
    """A uniform draw of sigma_w^2 `variance`."""
    edge = math.sqrt(3.0 * variance / fan_in)
    return rng(seed).uniform(-edge, edge, shape).astype(np.float32)


def normal(shape: tuple[int, ...], std: float, seed: int = 0) -> FloatArray:
    return rng(seed).normal(0.0, std, shape).astype(np.float32)


def truncated(shape: tuple[int, ...], parent: float, cut: float = 2.0, seed: int = 0) -> FloatArray:
    values = rng(seed).normal(0.0, 1.0, 3 * math.prod(shape) + 100)
    return (parent * values[np.abs(values) < cut][: math.prod(shape)]).reshape(shape).astype(np.float32)


def trained(rows: int, columns: int, seed: int = 0) -> FloatArray:
    """A matrix with a few directions far beyond the random bulk."""
    draw = normal((rows, columns), 1.0 / math.sqrt(columns), seed)
    left, right = normal((rows, 3), 1.0, seed + 1), normal((3, columns), 1.0, seed + 2)
    return (draw + 3.0 * left @ right / math.sqrt(rows * columns)).astype(np.float32)


def save(path: Path, tensors: Mapping[str, FloatArray], metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file; narrow floats by hand, for the library's numpy side writes no float8."""
    if any(value.dtype.name in NARROW for value in tensors.values()):
        return raw_safetensors(path, {name: (NARROW.get(v.dtype.name, "F32"), v) for name, v in tensors.items()})
    contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    safetensors.numpy.save_file(contiguous, path, metadata)
    return path


def raw_safetensors(path: Path, tensors: Mapping[str, tuple[str, FloatArray]]) -> Path:
    header, body = {}, b""
    for name, (dtype, value) in tensors.items():
        data = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def save_h5(path: Path, arrays: Mapping[str, FloatArray], names: Mapping[str, str] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value
        for group, name in (names or {}).items():
            file[group].attrs["name"] = name
    return path


def save_onnx(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: Mapping[str, FloatArray],
    *,
    functions: list[onnx.FunctionProto] | None = None,
    external: bool = False,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, functions=functions or [], opset_imports=[helper.make_opsetid("", 17)])
    if external:
        onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)
    else:
        onnx.save(model, path)
    return path


def constant(name: str, value: FloatArray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))


def narrow(values: FloatArray, dtype: str) -> FloatArray:
    return values.astype(getattr(ml_dtypes, dtype))
