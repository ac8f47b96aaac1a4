"""The initialiser of a library that a matrix was drawn with, and by what factor it misses the one expected."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._laws import Entries, Law, truncated_std
from mfmi.checkpoints._layers import Layer
from mfmi.checkpoints._names import depth_of
from mfmi.initialisers import Initialiser, table

# Libraries by the way their variables are named; the first are tried first.
_TORCH = (
    "torch",
    "transformers",
    "recipe",
    "timm",
    "torchvision",
    "torch_geometric",
    "x_transformers",
    "fairseq",
    "mup",
)
_FLAX = ("flax.linen", "flax.nnx", "jax", "recipe")
_KERAS = ("keras", "tf_keras", "tf_slim", "recipe")
_HAIKU = ("haiku", "sonnet", "jax", "recipe")
_ECOSYSTEMS = {
    "torch": _TORCH,
    "keras": _KERAS,
    "flax": (*_FLAX, "keras"),
    "haiku": _HAIKU,
    "sklearn": ("sklearn", "recipe"),
    "equinox": ("equinox", "recipe"),
    "any": ("recipe", *_TORCH[:2], *_KERAS[:1], *_FLAX[:2], *_HAIKU[:1], "equinox"),
}
_ATTENTION = ("query", "key", "value", "qkv")
# Words in a tensor's name that tell a model of transformers or timm.
_MODELS = (
    (r"(^|\.)h\.\d+\.", "GPT2"),
    (r"encoder\.layer\.\d+\.", "Bert"),
    (r"layers\.\d+\.(self_attn|mlp)\.", "Llama"),
    (r"blocks\.\d+\.(attn|mlp)\.", "VisionTransformer"),
    (r"(^|\.)layer\d\.\d+\.conv\d", "ResNet"),
    (r"block\.\d+\.layer\.\d+\.(SelfAttention|DenseReluDense)", "T5"),
)
# Layers of one name only, which say nothing about others of the same law.
_SPECIAL = {
    "torch.nn.Transformer": r"(^|\.)linear[12]\.",
    "torch.nn.TransformerEncoderLayer": r"(^|\.)linear[12]\.",
    "mup.MuReadout": r"readout",
    "torch.nn.Bilinear": r"bilinear",
}
# A scale that is known to no better than this, as of some hundred entries, names no initialiser.
_LOOSE = 0.1
_NARROW = 1e-3  # relative difference of two scales that is not worth a word


@dataclass(frozen=True)
class Match:
    """An initialiser beside a layer.

    Attributes
    ----------
    label : its name, with the version where releases differ.
    row : its row of the table.
    sigma_w, sigma_b : its values at the layer's sizes; sigma_b None for a layer without biases.
    factor : the layer's sigma_w over it.
    fits : whether law and scale are those of the initialiser.
    bias_factor : root mean square of the biases over sigma_b; NaN without biases, or where sigma_b is 0.
    cause : the mistake in counting that gives the factor, if there is one.
    alike : labels of the other initialisers of all libraries that fit, with their biases.
    """

    label: str
    row: Initialiser
    sigma_w: float
    sigma_b: float | None
    factor: float
    fits: bool
    bias_factor: float
    cause: str
    alike: tuple[str, ...] = ()


@functools.cache
def _table() -> tuple[tuple[Initialiser, frozenset[str]], ...]:
    return tuple((row, kinds_of(row)) for row in table())


@functools.cache
def _releases() -> Counter[str]:
    return Counter(row.name for row in table())


def _label(row: Initialiser) -> str:
    """Return the name, with the version where releases differ."""
    return f"{row.name}@{row.version}" if _releases()[row.name] > 1 else row.name


def kinds_of(row: Initialiser) -> frozenset[str]:
    """Return the kinds of layers that a row of the table is about."""
    name = row.name
    if row.role == "embedding":
        return frozenset({"embedding"})
    if row.library == "recipe":
        return frozenset({"dense", "convolution", "transposed_convolution", "depthwise", "recurrent_input"} | _BLOCKS)
    if re.search(r"Bilinear|BiDense", name):  # three axes, as a convolution has
        return frozenset({"convolution"})
    if re.search(r"Maxout|LoRA", name):
        return frozenset()
    if row.library in ("equinox", "mlx"):
        return _kinds_without_names(name)
    if re.search(r"ConvLocal|LocallyConnected", name):
        return frozenset({"convolution"})
    if row.is_depthwise:
        return frozenset({"depthwise"})
    if "ranspose" in name or "Deconv" in name:
        return frozenset({"transposed_convolution"})
    if name.endswith(".state"):
        return frozenset({"recurrent_state"})
    if re.search(r"LSTM|GRU|RNN", name):
        return frozenset({"recurrent_input"})
    if "squeeze" in name:  # a convolution without a window
        return frozenset({"dense", "convolution"})
    if re.search(r"ttention|qkv", name) and row.library != "pytorch_tabnet":
        if name.endswith(".output"):
            return frozenset({"attention_output"})
        has_other = any(other.name == f"{name}.output" for other in table())
        return frozenset({*_ATTENTION} if has_other else {*_ATTENTION, "attention_output"})
    if "window" in row.sizes:
        return frozenset({"convolution", "depthwise"})
    return frozenset({"dense"} | _BLOCKS)


def _kinds_without_names(name: str) -> frozenset[str]:
    """Return the kinds of a layer of Equinox or MLX, whose files tell transposed convolutions from no others."""
    if "LSTM" in name:
        return frozenset({"recurrent_state" if name.endswith(".state") else "recurrent_input"})
    if "Conv" in name:
        return frozenset({"convolution", "transposed_convolution"})
    return frozenset({"dense"} | _BLOCKS)


_BLOCKS = {*_ATTENTION, "attention_output", "gate", "up"}


def ecosystem(layer: Layer, file_format: str) -> str:
    """Return the family of libraries whose names a layer has."""
    if file_format == "equinox":
        return "equinox"
    last = re.split(r"[./]", layer.tensor.name)[-1]
    if file_format in ("keras", "hdf5"):
        return "keras"
    if file_format in ("torch", "onnx") or re.match(r"weight|.*_proj_weight", last):
        return "torch"
    if last.endswith("kernel") or "kernel" in last:
        return "flax"
    if last in ("w", "w_i", "w_h"):
        return "haiku"
    return "sklearn" if last.startswith("coefs_") else "any"


@dataclass(frozen=True)
class Context:
    """Evidence about a layer from the other layers of a file.

    Attributes
    ----------
    format : format of the file.
    depth : number of blocks of the network, for laws that are scaled by it; 0 without blocks.
    model : word in the names of the table's rows for this architecture, or None.
    heads : of attention, where a table of relative positions in the file tells; else 0.
    """

    format: str
    depth: int
    model: str | None
    heads: int = 0

    @classmethod
    def of(cls, file_format: str, layers: Sequence[Layer]) -> Context:
        """Collect it from the names of the layers, and from a table of relative positions, (distances, heads)."""
        names = [layer.name for layer in layers]
        tables = (layer.tensor.shape for layer in layers if "relative_attention_bias" in layer.name)
        heads = next((shape[1] for shape in tables if len(shape) == 2), 0)
        model = next((word for pattern, word in _MODELS if any(re.search(pattern, name) for name in names)), None)
        return cls(file_format, depth_of(names), model, heads)


def match(
    layer: Layer, entries: Entries, law: Law, sigma_w: float, bias: FloatArray | None, context: Context
) -> Match | None:
    """Return the initialiser that fits, or the one of the same law that is expected, with the factor between them.

    Parameters
    ----------
    layer, entries, law, sigma_w
        What has been found of the matrix.
    bias
        Its biases, or None.
    context
        What the other layers say.

    Returns
    -------
    Match or None
        None where no row of the table has that law for that kind of layer.
    """
    if not law.is_draw or sigma_w <= 0.0 or layer.kind == "skipped":
        return None
    libraries = _ECOSYSTEMS[ecosystem(layer, context.format)]
    compared = [_beside(row, layer, entries, law, sigma_w, bias, sizes) for row, sizes in _rows(layer, law, context)]
    found = [one for one in compared if _is_of(one.row, libraries, context.model)]
    if not found:
        return None
    best = min(found, key=lambda one: _rank(one, layer, context.model, bias, libraries))
    equals = [one.label for one in compared if one.fits and bias_fits(one, bias) and one.row is not best.row]
    return replace(best, alike=tuple(equals))


def _is_of(row: Initialiser, libraries: Sequence[str], model: str | None) -> bool:
    """Whether a row is of these libraries; one of a model, whether the file is of that model."""
    if row.library not in libraries:
        return False
    return row.library not in ("timm", "torchvision") or (model is not None and model in row.name)


def _rows(layer: Layer, law: Law, context: Context) -> Iterator[tuple[Initialiser, dict[str, float]]]:
    sizes = {
        "inputs": float(layer.inputs),
        "outputs": float(layer.outputs),
        "window": float(layer.window),
        "groups": float(layer.groups),
        "fan_in": float(layer.fan_in * layer.stride),
        "classes": float(layer.outputs),  # of a layer that reads them
    }
    if layer.axes.startswith("g") and layer.kind == "convolution":
        sizes["positions"] = float(layer.count_of("g"))
    if context.depth:
        sizes["layers"] = float(context.depth)
    if context.heads and layer.kind in _ATTENTION and layer.outputs % context.heads == 0:
        sizes |= {"heads": float(context.heads), "head": float(layer.outputs // context.heads)}
    if len(layer.axes) == 3 and layer.axes in ("ioo", "iio"):
        heads = layer.tensor.shape[1 if layer.axes == "ioo" else 0]
        sizes |= {"heads": float(heads), "head": float(layer.tensor.shape[2 if layer.axes == "ioo" else 1])}
    laws = {law.name, *law.rivals}
    for row, kinds in _table():
        if row.law not in laws or layer.kind not in kinds:
            continue
        if not set(row.needs) <= set(sizes):
            continue
        if layer.kind not in ("recurrent_input", "recurrent_state") or row.library == "recipe":
            yield row, sizes
            continue
        # What an initialiser calls the outputs of a recurrent layer is the width of its state.
        width, rest = divmod(layer.outputs, _gates(row))
        if rest == 0 and (layer.kind == "recurrent_input" or width == layer.inputs):
            yield row, {**sizes, "outputs": float(width)}


def _gates(row: Initialiser) -> int:
    """Return how many matrices of one gate each a recurrent layer of that name packs."""
    if row.library.startswith("flax"):
        return 1
    return next((gates for word, gates in (("LSTM", 4), ("GRU", 3)) if word in row.name), 1)


def _beside(
    row: Initialiser,
    layer: Layer,
    entries: Entries,
    law: Law,
    sigma_w: float,
    bias: FloatArray | None,
    sizes: dict[str, float],
) -> Match:
    w2, b2 = row.variances(sizes)
    own = math.sqrt(w2)
    factor = sigma_w / own if own > 0.0 else math.inf
    tolerance = max(5.0 * entries.relative_error, 2.0**-layer.tensor.significant, _NARROW)
    if law.name == "orthogonal":
        tolerance = max(2e-2, 4.0 * 2.0**-layer.tensor.significant)
    fits = abs(factor - 1.0) < tolerance and row.law in (law.name, *law.rivals)
    fits = fits and (tolerance < _LOOSE or law.name == "uniform")
    if law.name == "uniform" and row.law == "uniform" and own > 0.0:
        # The edge is known much better than the standard deviation.
        edge = entries.largest * math.sqrt(layer.fan_in / 3.0) / own
        fits = fits and 1.0 - 20.0 / entries.count - tolerance / 5.0 < edge < 1.0 + 2.0 ** -min(
            layer.tensor.significant, 20
        )
    if row.law == "truncated_normal" and math.isfinite(law.cut):
        fits = fits and abs(law.cut / 2.0 - 1.0) < max(0.05, 20.0 / math.sqrt(entries.count))
    sigma_b = None if b2 is None else math.sqrt(b2)
    cause = "" if fits else _cause(layer, factor, max(10.0 * entries.relative_error, 4e-3))
    return Match(_label(row), row, own, sigma_b, factor, fits, _bias_factor(bias, sigma_b), cause)


def _cause(layer: Layer, factor: float, tolerance: float) -> str:
    """Return the mistake in counting that would give this factor, if there is one."""
    inputs, outputs = layer.fan_in, layer.fan_out
    if tolerance > _LOOSE:
        return ""
    causes = {
        "the fan counted is the output's instead of the input's": inputs / max(outputs, 1),
        "the window of the kernel is not counted in the fan": float(layer.window),
        "query, key and value were counted as one output of three times the size": (inputs + outputs)
        / (inputs + 3 * outputs),
        "the groups are not divided out of the fan": 1.0 / layer.groups,
        "the fan is not under a root: divided by the fan-in itself": 1.0 / inputs,
        "the fan is missing": float(inputs),
        "the truncation at two standard deviations is not corrected": truncated_std(2.0) ** 2,
    }
    distances = {
        text: abs(math.log(factor**2 / ratio))
        for text, ratio in causes.items()
        if abs(ratio - 1.0) > 0.02 and 0.0 < factor < math.inf
    }
    nearest = min(distances, key=lambda text: distances[text], default="")
    return nearest if nearest and distances[nearest] < tolerance else ""


def _bias_factor(bias: FloatArray | None, sigma_b: float | None) -> float:
    if bias is None or not sigma_b or bias.size == 0:
        return math.nan
    return float(np.sqrt(np.mean(np.square(bias, dtype=np.float64)))) / sigma_b


def bias_fits(one: Match, bias: FloatArray | None) -> bool:
    """Whether the biases are those of the initialiser, as far as their number tells."""
    if bias is None or one.sigma_b is None:
        return True
    if one.sigma_b < 1e-5:
        return bool(np.abs(bias).max() <= 1e-4)
    return abs(one.bias_factor - 1.0) < max(5.0 * 0.45 / math.sqrt(bias.size), 0.01)


def _rank(
    one: Match, layer: Layer, model: str | None, bias: FloatArray | None, libraries: Sequence[str]
) -> tuple[float, ...]:
    """Put what fits first, then the likeliest library, its layer of this very kind, and the newest release."""
    row = one.row
    is_model = row.library in ("transformers", "timm", "torchvision")
    # A recipe of one model says nothing about others, but for the usual ones of that library.
    alien = is_model and (model is None or model not in row.name)
    gates = re.search(r"lstm|gru", f"{layer.name} {layer.tensor.layer}".lower())
    other_cell = gates is not None and gates.group() not in row.name.lower()
    return (
        not one.fits,
        alien or (row.name in _SPECIAL and not re.search(_SPECIAL[row.name], layer.name)),
        not one.fits and not one.cause,
        other_cell,
        not bias_fits(one, bias),
        libraries.index(row.library) - (2 if is_model and not alien else 0),
        "dense" in kinds_of(row) and layer.kind != "dense",
        bool(row.since),
        abs(math.log(one.factor)) if 0.0 < one.factor < math.inf else math.inf,
    )
