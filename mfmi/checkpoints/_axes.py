"""Assignment of a tensor's axes to input and output, from the graph, the names, the biases and the chain of shapes."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mfmi.checkpoints import _names
from mfmi.checkpoints._tensor import Tensor

Axes: TypeAlias = Literal["oi", "io"] | None

ASK = "its axes cannot be told from names, biases or neighbours: say --axes oi (output, input) or io"


@dataclass(frozen=True)
class Decided:
    """The axes of a tensor.

    Attributes
    ----------
    axes : a letter per axis (o, i, k, g).
    kind : kind of layer.
    notes : what the decision rests on where it is not the rule.
    misplaced : whether the layers around it have their axes the other way round.
    why_not : why there is no decision; the other attributes mean nothing then.
    """

    axes: str = ""
    kind: str = "dense"
    notes: tuple[str, ...] = ()
    misplaced: bool = False
    why_not: str = ""


@dataclass(frozen=True)
class Evidence:
    """Evidence about axes from the other tensors of a file.

    Attributes
    ----------
    told : order of the axes of those matrices that differ in their extents and have a bias.
    families : order of axes that all of these of one family have in common.
    chain : order of the axes of matrices without a telling name, where the extents of neighbours fit in one way only.
    asked : order of the axes where nothing tells.
    """

    told: Mapping[str, str]
    families: Mapping[str, str]
    chain: str
    asked: Axes

    @classmethod
    def of(cls, tensors: Sequence[Tensor], biases: Mapping[str, tuple[Tensor, ...]], asked: Axes) -> Evidence:
        """Collect what can be told."""
        told: dict[str, str] = {}
        votes: dict[str, set[str]] = defaultdict(set)
        unnamed: list[tuple[int, ...]] = []
        for tensor in tensors:
            if len(tensor.shape) != 2 or tensor.use is not None:
                continue
            order = _by_bias(tensor.shape, biases[tensor.name])
            if order:
                told[tensor.name] = order
                votes[_names.family(tensor.name)].add(order)
            if not _names.convention(tensor.name):
                unnamed.append(tensor.shape)
        families = {name: next(iter(orders)) for name, orders in votes.items() if len(orders) == 1 and name}
        return cls(told, families, _by_chain(unnamed), asked)


def _by_bias(shape: Sequence[int], biases: Sequence[Tensor]) -> str:
    if len(shape) != 2 or shape[0] == shape[1] or not biases or len(biases[0].shape) != 1:
        return ""
    return {shape[0]: "oi", shape[1]: "io"}.get(biases[0].size, "")


def _by_chain(shapes: Sequence[tuple[int, ...]]) -> str:
    """Return the order in which each matrix takes what the one before it gives, if there is but one."""
    pairs = list(itertools.pairwise(shapes))
    if not pairs or all(a[0] == a[1] for a in shapes):
        return ""
    forward = all(a[1] == b[0] for a, b in pairs)
    backward = all(a[0] == b[1] for a, b in pairs)
    return "" if forward == backward else "io" if forward else "oi"


def axes_of(tensor: Tensor, biases: Sequence[Tensor], evidence: Evidence) -> Decided:
    """Decide the axes and the kind of a tensor of two axes or more."""
    if tensor.use is not None:
        return _by_graph(tensor)
    if len(tensor.shape) == 2:
        return _matrix(tensor, biases, evidence)
    rule = _names.convention(tensor.name)
    if rule == "oi":
        return _torch_kernel(tensor, biases)
    if rule == "io" or tensor.layer:
        return _trailing_kernel(tensor, biases)
    if evidence.asked == "oi":
        return _torch_kernel(tensor, biases)
    if evidence.asked == "io":
        return _trailing_kernel(tensor, biases)
    return Decided(why_not=ASK)


def _by_graph(tensor: Tensor) -> Decided:
    use = tensor.use
    assert use is not None
    rank = len(tensor.shape)
    if use.operation == "dense" and rank > 2:
        lead = "g" * (rank - 2)
        return Decided(lead + use.axes, notes=("a stack of matrices",))
    axes = use.axes + "k" * (rank - len(use.axes))
    axes = axes.replace("d", "g")
    kind = use.operation
    if kind == "convolution" and use.groups > 1 and tensor.shape[1] == 1:
        kind = "depthwise"
    return Decided(axes, kind)


def _matrix(tensor: Tensor, biases: Sequence[Tensor], evidence: Evidence) -> Decided:
    name = tensor.name
    if _names.is_embedding(name, tensor.layer):
        return Decided("io", "embedding")
    kind = _recurrent(tensor)
    rule = _names.convention(name)
    told = evidence.told.get(name, "")
    shared = evidence.families.get(_names.family(name), "")
    if told:
        others = {order for other, order in evidence.told.items() if other != name}
        if not rule or told == rule:
            return Decided(told, kind)
        notes = (f"axes [{'in, out' if told == 'io' else 'out, in'}], told by the bias",)
        return Decided(told, kind, notes, misplaced=rule in others and shared != told)
    if shared and shared != rule and _only(evidence, name):
        return Decided(shared, kind, (f"axes as those of the other {_names.family(name)} layers",))
    if rule:
        return Decided(rule, kind)
    if evidence.chain:
        return Decided(evidence.chain, kind, ("axes told by the shapes of its neighbours",))
    if evidence.asked:
        return Decided(evidence.asked, kind)
    return Decided(why_not=ASK)


def _only(evidence: Evidence, name: str) -> bool:
    """Whether several layers of a family have told their axes, so that one misplaced layer does not move the others."""
    family = _names.family(name)
    tellers = [other for other in evidence.told if _names.family(other) == family]
    contrary = {evidence.told[other] for other in evidence.told} != {evidence.families[family]}
    return bool(tellers) and (len(tellers) > 1 or not contrary)


def _recurrent(tensor: Tensor) -> str:
    last = _names.leaf(tensor.name)
    if re.search(r"(^|_)w(eight)?_hh", last) or last in ("recurrent_kernel", "w_h", "Wh"):
        return "recurrent_state"
    parents = [part.lower() for part in _names.parents(tensor.name)]
    is_cell = tensor.layer == "cell" or any(re.search("lstm|gru|rnn", part) for part in parents)
    gate = _names.gate(tensor.name)  # Flax has a layer for each gate of a cell
    if gate and (is_cell or "cell" in parents):
        return gate
    if re.search(r"(^|_)w(eight)?_ih", last) or last in ("w_i", "Wx") or (is_cell and last in ("kernel", "w")):
        return "recurrent_input"
    return "dense"


def _torch_kernel(tensor: Tensor, biases: Sequence[Tensor]) -> Decided:
    """Decide on a tensor of the form [out, in/groups, window...], or [in, out/groups, window...] if transposed."""
    window = "k" * (len(tensor.shape) - 2)
    first, second = tensor.shape[:2]
    size = biases[0].size if biases else 0
    stride = ("its stride is not in the file: a stride s in each direction divides the fan-in by it",)
    if size and size != first and size % second == 0:
        return Decided("io" + window, "transposed_convolution", stride)
    if _names.is_transposed(tensor.name, tensor.layer) and (not size or size == second):
        return Decided("io" + window, "transposed_convolution", stride)
    if size and size != first:
        return Decided(why_not=f"its bias has {size} entries, which is none of its axes")
    is_depthwise = second == 1 and first > 1 and ("depthwise" in tensor.name or "dw" in tensor.name)
    return Decided("oi" + window, "depthwise" if is_depthwise else "convolution")


def _has_outputs_first(tensor: Tensor, bias: Sequence[int]) -> bool:
    """Whether a transposed convolution under a name of Haiku or Flax has its outputs before its inputs."""
    if not _names.is_transposed(tensor.name, tensor.layer):
        return False
    outputs, inputs = tensor.shape[-2:]
    return _names.leaf(tensor.name) == "w" if not bias or outputs == inputs else bias[-1] == outputs


def _trailing_kernel(tensor: Tensor, biases: Sequence[Tensor]) -> Decided:
    """Decide on a tensor of the form [window..., in, out], on attention's kernels, and on stacks of layers."""
    shape, rank = tensor.shape, len(tensor.shape)
    bias = biases[0].shape if biases else ()
    block = _names.block(tensor.name)
    if rank == 3 and block in ("query", "key", "value"):
        return Decided("ioo", block)
    if rank == 3 and block == "attention_output":
        return Decided("iio", block)
    if len(bias) == 2:
        if bias == (shape[0], shape[-1]) and bias != shape[1:]:
            return Decided("g" + "k" * (rank - 3) + "io", notes=(f"a stack of {shape[0]} layers",))
        if bias == shape[1:]:
            return Decided("i" + "o" * (rank - 1))
    if _names.is_local(tensor.name, tensor.layer):
        return Decided("g" * (rank - 2) + "io", "convolution", ("a matrix for each position of the output",))
    if rank > 2 and _names.family(tensor.name) == "Einsum" and bias == shape[-1:]:  # Flax: the axes that are not summed
        return Decided("i" * (rank - 1) + "o")
    window = "k" * (rank - 2)
    if _names.is_depthwise(tensor.name, tensor.layer):
        return Decided(window + ("io" if shape[-2] == 1 else "go"), "depthwise")
    if tensor.layer.endswith("transpose") or _has_outputs_first(tensor, bias):  # Keras, Haiku: [window..., out, in]
        return Decided(window + "oi", "transposed_convolution")
    text = tensor.layer or tensor.name
    if _names.is_transposed(tensor.name, tensor.layer):
        return Decided(window + "io", "transposed_convolution")
    if rank == 3 and not biases and "conv" not in text.lower():
        return Decided(why_not="a kernel of three axes: a convolution, a stack or heads; its name and bias do not tell")
    if bias and bias[-1] != shape[-1]:
        return Decided(why_not=f"its bias of shape {bias} fits none of its axes")
    return Decided(window + "io", "convolution")
