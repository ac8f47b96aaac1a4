"""The layers of a checkpoint: which tensors multiply a signal, along which axes, and with which biases."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints import _names
from mfmi.checkpoints._axes import Axes, Evidence, axes_of
from mfmi.checkpoints._derived import PART, with_derived
from mfmi.checkpoints._tensor import Checkpoint, Tensor

KINDS = (
    "dense",
    "convolution",
    "depthwise",
    "transposed_convolution",
    "recurrent_input",
    "recurrent_state",
    "query",
    "key",
    "value",
    "qkv",
    "attention_output",
    "gate",
    "up",
    "embedding",
    "skipped",
)
WITHOUT_SCALE = "entries without a scale in the file"


@dataclass(frozen=True)
class Layer:
    """A matrix that multiplies a signal, or a tensor that is told apart from those.

    Attributes
    ----------
    name : of the tensor, with the block in brackets where it is one of several.
    kind : one of `KINDS`.
    tensor : where its numbers are.
    axes : a letter per axis of the tensor: o output, i input, k window, g group (or direction, or layer of a stack).
    biases : the tensors that are added to what it sums.
    slot : number of this block and how many the output axis holds.
    heads : heads of attention whose blocks take turns along the output axis; 1 where each block is in one piece.
    stride : product of the strides of a transposed convolution, where the file says it.
    message : what else is to know; why it was skipped.
    misplaced : whether its axes are not those of the layers around it.
    folded : whether the scale may be that of a normalisation folded in.
    unclear : whether it may multiply a signal although it is skipped.
    """

    name: str
    kind: str
    tensor: Tensor
    axes: str = ""
    biases: tuple[Tensor, ...] = ()
    slot: tuple[int, int] = (0, 1)
    heads: int = 1
    stride: int = 1
    groups: int = 1
    message: str = ""
    misplaced: bool = False
    folded: bool = False
    unclear: bool = False

    def count_of(self, letter: str) -> int:
        """Product of the extents of the axes of a letter."""
        return math.prod(n for n, axis in zip(self.tensor.shape, self.axes, strict=True) if axis == letter)

    @property
    def window(self) -> int:
        """Entries of the kernel's window."""
        return self.count_of("k")

    @property
    def inputs(self) -> int:
        """Channels that the layer reads."""
        if self.kind == "depthwise":
            return self.count_of("g") * self.count_of("i") if "g" in self.axes else self.count_of("o")
        return self.count_of("i") * (1 if self.kind == "transposed_convolution" else self.groups)

    @property
    def outputs(self) -> int:
        """Channels that the layer writes."""
        if self.kind == "depthwise" and "g" in self.axes:
            return self.count_of("g") * self.count_of("o")
        return self.count_of("o") // self.slot[1] * (self.groups if self.kind == "transposed_convolution" else 1)

    @property
    def fan_in(self) -> int:
        """Number of terms that a unit sums."""
        if self.kind == "embedding":
            return 1
        if self.kind == "transposed_convolution":
            return max(self.count_of("i") * self.window // (self.groups * self.stride), 1)
        return self.count_of("i") * self.window

    @property
    def fan_out(self) -> int:
        """Number of units that an input enters."""
        if self.kind == "depthwise":
            return max(self.outputs * self.window // max(self.inputs, 1), 1)
        if self.kind == "transposed_convolution":
            return self.count_of("o") * self.window
        return self.outputs * self.window // self.groups

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the block, in the order of the file."""
        first = self.axes.find("o")
        return tuple(n // (self.slot[1] if at == first else 1) for at, n in enumerate(self.tensor.shape))

    def matrices(self, values: FloatArray) -> FloatArray:
        """Return the numbers of the tensor as matrices, shape (groups, outputs, fan-in)."""
        letters = "goik"
        order = sorted(range(len(self.axes)), key=lambda at: (letters.index(self.axes[at]), at))
        turned = np.transpose(values, order)
        extents = [self.count_of(letter) for letter in letters]
        matrix = turned.reshape(extents[0], extents[1], extents[2] * extents[3])
        if self.slot[1] > 1:
            turns = matrix.reshape(extents[0], self.heads, self.slot[1], -1, matrix.shape[2])
            matrix = turns[:, :, self.slot[0]].reshape(extents[0], -1, matrix.shape[2])
        if self.kind == "transposed_convolution" and self.groups > 1:
            return self._grouped_inputs(turned, extents)
        if self.groups > 1 and extents[0] == 1 and extents[1] % self.groups == 0:
            return matrix.reshape(self.groups, extents[1] // self.groups, -1)
        return matrix

    def by_input(self, values: FloatArray) -> FloatArray:
        """Return the numbers with a column for each channel that is read, shape (outputs * window, inputs)."""
        letters = "oki"
        order = sorted(range(len(self.axes)), key=lambda at: (letters.index(self.axes[at]), at))
        return np.transpose(values, order).reshape(-1, self.count_of("i"))

    def _grouped_inputs(self, turned: FloatArray, extents: Sequence[int]) -> FloatArray:
        """Return a grouped transposed convolution: its groups divide the axis of inputs."""
        outputs, inputs, window = extents[1], extents[2], extents[3]
        split = turned.reshape(outputs, self.groups, inputs // self.groups, window)
        return np.moveaxis(split, 1, 0).reshape(self.groups, outputs, -1)

    def bias(self, numbers: Mapping[str, FloatArray]) -> FloatArray | None:
        """Return the biases of this block, summed where there are two, from the numbers of the tensors `biases`."""
        total: FloatArray | None = None
        for tensor in self.biases:
            values = numbers[tensor.name].reshape(self.heads, self.slot[1], -1)
            mine = values[:, self.slot[0]].ravel()
            total = mine if total is None else total + mine
        return total


def layers_of(checkpoint: Checkpoint, axes: Axes = None, heads: int | None = None) -> list[Layer]:
    """Return a layer for each matrix and a skipped one for each other tensor, in file order.

    Parameters
    ----------
    checkpoint
        The tensors.
    axes
        "oi" (output, input) or "io" where neither names nor shapes tell; None to skip such tensors.
    heads
        Heads of attention where query, key and value of each head follow each other; None to leave such tensors whole.
    """
    tensors = with_derived(checkpoint.tensors)
    by_name = {tensor.name: tensor for tensor in tensors}
    plain = {_names.unwrapped(tensor.name) for tensor in tensors if not _names.ema_twin(tensor.name)}
    biases = {tensor.name: _biases(tensor, by_name) for tensor in tensors}
    evidence = Evidence.of(tensors, biases, axes)
    used: set[str] = set()
    found: list[Layer] = []
    for tensor in tensors:
        why = _aside(tensor, plain)
        if not why and checkpoint.format == "onnx" and tensor.use is None and not _names.convention(tensor.name):
            why = "the graph multiplies no signal with it"
        made = [_skipped(tensor, why)] if why else list(_layers(tensor, biases, evidence, heads))
        found += made
        used.update(bias.name for layer in made if layer.kind != "skipped" for bias in layer.biases)
    found = [layer for layer in found if not (layer.kind == "skipped" and layer.tensor.name in used)]
    if checkpoint.notes.get("folds"):
        found = [
            replace(layer, folded=bool(layer.biases) and layer.kind in ("convolution", "depthwise")) for layer in found
        ]
    return found


def _skipped(tensor: Tensor, why: str) -> Layer:
    """Return a tensor that is no layer; of one whose numbers cannot be used it is unclear what it does."""
    is_matrix = len(tensor.shape) > 1 and min(tensor.shape) > 1
    return Layer(
        tensor.name,
        "skipped",
        tensor,
        message=why,
        unclear=is_matrix and (why == tensor.skip or WITHOUT_SCALE in why) and not why.startswith(PART),
    )


def _aside(tensor: Tensor, plain: set[str]) -> str:
    """Return why a tensor is no layer, or nothing."""
    if tensor.alias:
        return f"shares the numbers of {tensor.alias}, where they are reported"
    if _names.ema_twin(tensor.name) in plain:
        return "an averaged copy of another tensor"
    bare = _names.unwrapped(tensor.name)
    why = _names.aside(tensor.name)
    if tensor.use is not None:  # the graph knows better than the name, but for what it was given
        why = why if why == _names.FIXED else ""
    if tensor.skip:
        return why or tensor.skip
    if why:
        return why
    if len(tensor.shape) < 2:
        if _names.is_norm(bare):
            return "gain or shift of a normalisation"
        return "a vector: a bias, gain or constant that no matrix of the file goes with"
    if re.fullmatch(r"bias|b|biases|intercepts_\d+|(in_proj_)?bias(_[ih]h)?(_l\d+(_reverse)?)?", _names.leaf(bare)):
        return "a bias that no matrix of the file goes with"
    if tensor.size == 0:
        return "it has no entries"
    if tensor.dtype.startswith(("int", "uint", "bool")) and tensor.step == 0.0:
        return f"{tensor.dtype} {WITHOUT_SCALE}: indices, or a quantised weight"
    return ""


def _biases(tensor: Tensor, by_name: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    if tensor.use is not None:
        added = by_name.get(tensor.use.bias or "")
        return () if added is None else (added,)
    if len(tensor.shape) < 2:
        return ()
    found = (by_name.get(name) for name in _names.bias_names(tensor.name))
    return tuple(bias for bias in found if bias is not None and not bias.skip and bias.name != tensor.name)


def _layers(
    tensor: Tensor, biases: Mapping[str, tuple[Tensor, ...]], evidence: Evidence, heads: int | None
) -> Iterator[Layer]:
    decided = axes_of(tensor, biases[tensor.name], evidence)
    if decided.why_not:
        yield Layer(tensor.name, "skipped", tensor, message=decided.why_not, unclear=True)
        return
    own = () if decided.kind == "embedding" else biases[tensor.name]
    groups, stride = (tensor.use.groups, tensor.use.stride) if tensor.use else (1, 1)
    layer = Layer(
        tensor.name,
        decided.kind,
        tensor,
        decided.axes,
        own,
        stride=stride,
        groups=groups,
        message="; ".join(decided.notes),
        misplaced=decided.misplaced,
    )
    if tensor.use is not None and tensor.use.count > 1:
        layer = replace(layer, message="; ".join(filter(None, [layer.message, f"used {tensor.use.count} times"])))
    if layer.kind != "dense":
        yield layer
        return
    inputs, outputs = layer.inputs, layer.outputs
    if _names.is_packed(tensor.name):
        by_head = "query_key_value" in tensor.name
        if outputs != 3 * inputs or (by_head and (heads is None or inputs % heads)):
            note = "query, key and value are packed in an order that the shape does not tell"
            note += f"; {heads} heads do not divide {inputs}" if heads else "; --heads N splits those of equal parts"
            yield replace(layer, kind="qkv", message="; ".join(filter(None, [layer.message, note])))
            return
        turns = heads if by_head and heads else 1
        for place, kind in enumerate(("query", "key", "value")):
            yield replace(layer, name=f"{tensor.name}[{kind}]", kind=kind, slot=(place, 3), heads=turns)
    elif _names.is_gated(tensor.name) and outputs % 2 == 0:
        for place, kind in enumerate(("gate", "up")):
            yield replace(layer, name=f"{tensor.name}[{kind}]", kind=kind, slot=(place, 2))
    else:
        kind = _names.block(tensor.name) or "dense"
        slots = {"query": 0, "key": 1, "value": 2}
        packed_bias = own and own[0].name.endswith("in_proj_bias")
        if packed_bias and kind in slots:
            yield replace(layer, kind=kind, biases=())
        else:
            yield replace(layer, kind=kind)
