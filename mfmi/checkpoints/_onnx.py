"""ONNX: weights as the graph uses them, wherever they are kept."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._need import need
from mfmi.checkpoints._tensor import Checkpoint, Tensor, Use, nothing, widened
from mfmi.errors import OutputError

# Operations that pass on their first input's numbers; the weight may lie several of them upstream.
_THROUGH = {"Identity", "Cast", "Transpose", "Unsqueeze", "Squeeze", "Reshape", "DequantizeLinear"}
_DEPTH = 50  # of nested graphs and of operations that hand on


def read(path: str) -> Checkpoint:
    """Read a model: initialisers, Constant nodes, sub-graphs and function bodies; external data stays where it is."""
    onnx = need("onnx", path)
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError:
        raise
    except Exception as error:  # protobuf's parser has an exception of its own for each implementation
        raise OutputError(f"{path}: not a whole ONNX file: {' '.join(str(error).split())[:160]}") from error
    if not model.graph.node and not model.graph.initializer:
        raise OutputError(f"{path}: not an ONNX model: it has neither nodes nor weights")
    reader = _Reader(path, onnx, {(f.domain, f.name): f for f in model.functions})
    reader.walk(model.graph, _Scope({}, {}), 0)
    return Checkpoint(path, "onnx", reader.tensors(), {"producer": model.producer_name, "folds": reader.folds})


@dataclass(frozen=True)
class _Scope:
    """Value of a name at a node: a constant, or the node that produces it."""

    constants: dict[str, Any]
    producers: dict[str, tuple[Any, _Scope]]

    def inner(self) -> _Scope:
        return _Scope(dict(self.constants), dict(self.producers))


@dataclass(frozen=True)
class _Source:
    """A constant tensor, and what the graph does to it before it multiplies."""

    key: str
    proto: Any
    steps: tuple[Callable[[FloatArray], FloatArray], ...] = ()
    scale_step: float = 0.0
    unreadable: str = ""


@dataclass
class _Reader:
    path: str
    onnx: Any
    functions: Mapping[tuple[str, str], Any]
    found: dict[str, tuple[_Source, Use]] = field(default_factory=dict)
    all: dict[str, Any] = field(default_factory=dict)
    normalised: bool = False
    biased: bool = False

    @property
    def folds(self) -> bool:
        """Whether a BatchNorm may have been folded into the convolutions: they have biases and there is none left."""
        return self.biased and not self.normalised

    def walk(self, graph: Any, scope: _Scope, depth: int) -> None:
        """Note the weights of a graph and of those within it."""
        if depth > _DEPTH:
            raise OutputError(f"{self.path}: its graphs are nested more than {_DEPTH} deep")
        scope = scope.inner()
        for proto in getattr(graph, "initializer", ()):
            scope.constants[proto.name] = self._kept(proto.name, proto)
        for node in graph.node:
            if node.op_type == "Constant":
                self._constant(node, scope)
            for output in node.output:
                scope.producers[output] = (node, scope)
        for node in graph.node:
            self._node(node, scope)
            for attribute in node.attribute:
                for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                    self.walk(inner, scope, depth + 1)
            body = self.functions.get((node.domain, node.op_type))
            if body is not None:
                self.walk(body, self._called(node, body, scope), depth + 1)

    def _called(self, node: Any, body: Any, scope: _Scope) -> _Scope:
        inner = _Scope({}, {})
        for formal, actual in zip(body.input, node.input, strict=False):
            if actual in scope.constants:
                inner.constants[formal] = scope.constants[actual]
            elif actual in scope.producers:
                inner.producers[formal] = scope.producers[actual]
        return inner

    def _kept(self, name: str, proto: Any) -> tuple[str, Any]:
        key, number = name, 2
        while key in self.all and self.all[key] is not proto:
            key, number = f"{name}#{number}", number + 1
        self.all[key] = proto
        return key, proto

    def _constant(self, node: Any, scope: _Scope) -> None:
        for attribute in node.attribute:
            if attribute.name == "value":
                scope.constants[node.output[0]] = self._kept(node.output[0], attribute.t)

    def _source(self, name: str, scope: _Scope, depth: int = 0) -> _Source | None:
        """Return the constant that a name stands for, or None where the numbers are a signal."""
        if name in scope.constants:
            key, proto = scope.constants[name]
            return _Source(key, proto)
        if name not in scope.producers or depth > _DEPTH:
            return None
        node, own = scope.producers[name]
        if node.op_type not in _THROUGH or not node.input:
            return None
        source = self._source(node.input[0], own, depth + 1)
        if source is None:
            return None
        return self._stepped(node, source, own)

    def _stepped(self, node: Any, source: _Source, scope: _Scope) -> _Source | None:
        attributes = self._attributes(node)
        others = [self._numbers(name, scope) for name in node.input[1:]]
        kind = node.op_type
        if kind in ("Identity", "Cast"):
            return source
        if kind == "DequantizeLinear":
            return self._dequantised(source, others, int(attributes.get("axis", 1)))
        if kind == "Transpose":
            step = functools.partial(np.transpose, axes=attributes.get("perm"))
        elif kind == "Reshape":
            if not others or others[0] is None:
                return None
            step = functools.partial(_reshaped, shape=tuple(int(extent) for extent in others[0]))
        else:
            axes = attributes.get("axes", others[0] if others else None)
            change = np.expand_dims if kind == "Unsqueeze" else np.squeeze
            step = functools.partial(change, axis=None if axes is None else tuple(int(axis) for axis in axes))
        return replace(source, steps=(*source.steps, step))

    def _dequantised(self, source: _Source, others: list[FloatArray | None], axis: int) -> _Source:
        if not others or others[0] is None:
            return replace(source, unreadable="quantised, with a scale that is not a constant")
        zero = others[1] if len(others) > 1 and others[1] is not None else np.zeros(())
        step = functools.partial(_scaled, scale=others[0], zero=zero, axis=axis)
        return replace(source, steps=(*source.steps, step), scale_step=float(np.max(np.abs(others[0]))))

    def _numbers(self, name: str, scope: _Scope) -> FloatArray | None:
        if not name:
            return None
        source = self._source(name, scope)
        return None if source is None or source.steps else self._load(source)

    def _attributes(self, node: Any) -> dict[str, Any]:
        return {attribute.name: self.onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}

    def _node(self, node: Any, scope: _Scope) -> None:
        kind = node.op_type
        self.normalised |= kind == "BatchNormalization"
        if kind in _QUANTISED:
            at, scale, zero = _QUANTISED[kind]
            source = self._source(node.input[at], scope) if len(node.input) > at else None
            if source is not None:
                others = [
                    self._numbers(node.input[i], scope) if 0 <= i < len(node.input) else None for i in (scale, zero)
                ]
                source = self._dequantised(source, others if scale >= 0 else [], 0)
                if scale < 0:
                    source = replace(source, unreadable="quantised; its scale is applied elsewhere in the graph")
                self._note(source, self._use(node, at))
            return
        for at, use in self._uses(node, scope):
            source = self._source(node.input[at], scope)
            if source is not None:
                self._note(source, use)

    def _uses(self, node: Any, scope: _Scope) -> Iterator[tuple[int, Use]]:
        kind, inputs = node.op_type, list(node.input)
        if kind in ("Conv", "ConvTranspose") and len(inputs) > 1:
            self.biased |= len(inputs) > 2 and kind == "Conv"
            yield 1, self._use(node, 1)
        elif kind == "Gemm":
            attributes = self._attributes(node)
            bias = inputs[2] if len(inputs) > 2 else None
            yield 1, Use("dense", "oi" if attributes.get("transB", 0) else "io", bias=self._key(bias, scope))
            if self._source(inputs[1], scope) is None:
                yield 0, Use("dense", "io" if attributes.get("transA", 0) else "oi")
        elif kind == "MatMul":
            yield 1, Use("dense", "io", bias=self._added(node, scope))
            if self._source(inputs[1], scope) is None:
                yield 0, Use("dense", "oi", bias=self._added(node, scope))
        elif kind in ("LSTM", "GRU", "RNN") and len(inputs) > 2:
            bias = inputs[3] if len(inputs) > 3 else None
            yield 1, Use("recurrent_input", "doi", bias=self._key(bias, scope))
            yield 2, Use("recurrent_state", "doi", bias=self._key(bias, scope))
        elif kind == "Gather" and self._attributes(node).get("axis", 0) == 0:
            yield 0, Use("embedding", "io")

    def _use(self, node: Any, at: int) -> Use:
        attributes = self._attributes(node)
        if "MatMul" in node.op_type:
            return Use("dense", "io")
        groups = int(attributes.get("group", 1))
        bias = node.input[2] if node.op_type in ("Conv", "ConvTranspose") and len(node.input) > 2 else None
        if node.op_type == "ConvTranspose":
            stride = math.prod(attributes.get("strides", [1]))
            return Use("transposed_convolution", "io", groups, stride, bias or None)
        return Use("convolution", "oi", groups, bias=bias or None)

    def _key(self, name: str | None, scope: _Scope) -> str | None:
        source = self._source(name, scope) if name else None
        return None if source is None else source.key

    def _added(self, node: Any, scope: _Scope) -> str | None:
        """Return the constant vector that the next node adds to a product."""
        for other, own in scope.producers.values():
            if other.op_type == "Add" and own is scope and node.output[0] in other.input:
                for name in other.input:
                    source = self._source(name, scope)
                    if source is not None and len(source.proto.dims) == 1:
                        return source.key
        return None

    def _note(self, source: _Source, use: Use) -> None:
        if use.operation == "embedding" and len(source.proto.dims) != 2:
            return
        known = self.found.get(source.key)
        if known is None:
            self.found[source.key] = (source, use)
        elif known[1].operation != "embedding" or use.operation == "embedding":
            self.found[source.key] = (known[0], replace(known[1], count=known[1].count + 1))
        else:  # an embedding that is also the last layer's matrix
            self.found[source.key] = (source, replace(use, count=known[1].count + 1))

    def tensors(self) -> list[Tensor]:
        """Return the weights in the order of the graph, then all other tensors."""
        tensors = [self._tensor(source, use) for source, use in self.found.values()]
        others = (self._tensor(_Source(key, proto), None) for key, proto in self.all.items() if key not in self.found)
        return [*tensors, *others]

    def _tensor(self, source: _Source, use: Use | None) -> Tensor:
        proto = source.proto
        dtype = str(self.onnx.TensorProto.DataType.Name(proto.data_type)).lower()
        name = {"float": "float32", "double": "float64", "float8e4m3fn": "float8_e4m3fn", "float8e5m2": "float8_e5m2"}
        shape = tuple(proto.dims)
        load: Callable[[], FloatArray] = functools.partial(self._load, source)
        skip = source.unreadable
        if proto.data_type in (8, 14, 15):  # text and complex numbers
            skip = f"entries of type {dtype}"
        elif source.steps and not skip:
            shape = np.shape(self._through(np.broadcast_to(np.zeros(()), shape), source))
        return Tensor(
            source.key,
            shape,
            name.get(dtype, dtype),
            load if not skip else nothing,
            use=use,
            skip=skip,
            step=source.scale_step,
        )

    def _through(self, values: FloatArray, source: _Source) -> FloatArray:
        for step in source.steps:
            values = step(values)
        return values

    def _load(self, source: _Source) -> FloatArray:
        try:
            values = self.onnx.numpy_helper.to_array(source.proto, str(Path(self.path).parent))
            return widened(self._through(np.asarray(values), source))
        except Exception as error:  # the library's checks of external data raise several kinds
            reason = " ".join(str(error).split())[:160]
            raise OutputError(f"{self.path}: {source.key} cannot be read: {reason}") from error


# operation -> place of the weight, of its scale and of its zero point among the inputs; -1: not an input
_QUANTISED = {
    "QLinearConv": (3, 4, 5),
    "QLinearMatMul": (3, 4, 5),
    "ConvInteger": (1, -1, -1),
    "MatMulInteger": (1, -1, -1),
}


def _reshaped(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    kept = tuple(values.shape[place] if extent == 0 else extent for place, extent in enumerate(shape))
    return values.reshape(kept)


def _scaled(values: FloatArray, scale: FloatArray, zero: FloatArray, axis: int) -> FloatArray:
    if scale.ndim == 1 and scale.size > 1:
        extents = [1] * values.ndim
        extents[axis] = scale.size
        scale, zero = scale.reshape(extents), zero.reshape(extents) if zero.size > 1 else zero
    return np.asarray(
        (values.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32), dtype=np.float64
    )
