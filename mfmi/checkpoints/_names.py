"""The names that libraries give to tensors, and what they say about them."""

from __future__ import annotations

import re
from collections.abc import Iterable

FIXED = "a fixed transform"

# name pattern -> why such a tensor is not a layer
_ASIDE: tuple[tuple[str, str], ...] = (
    (
        r"(^|[./])(optim(izer)?s?(_states?|_weights|_state_dict)?|opt_state)([./]|$)|(^|[./_])exp_avg(_sq)?$"
        r"|momentum_buffer$|max_exp_avg_sq$",
        "state of an optimiser",
    ),
    (r"(^|[./])n_averaged$|num_batches_tracked$|(^|[./])(iterations?|step|global_step|learning_rate)$", "a counter"),
    (r"position_ids$|token_type_ids$|relative_position_index$", "indices"),
    (r"inv_freq$|rotary.*(cos|sin)|(cos|sin)_cached$", "a table of rotary positions"),
    (
        r"(forward|inverse)_basis(_buffer)?$|(^|[./_])(stft|istft|mel_?basis|mel_?fb|filter_?banks?|cqt)([./_]|$)|dft_matrix",
        FIXED,
    ),
    (r"running_(mean|var)$|moving_(mean|variance)$", "running statistics of a normalisation"),
    (r"(attn|attention|causal|tri).?(mask|bias)$|masked_bias$|\.attn\.bias$", "a mask"),
    (r"relative_(position|attention)_bias(_table)?|relative_attention_bias", "a table of relative positions"),
    (r"(pos_embed|position_?embed(ding)?s?|cls_token|class_embedding|mask_token|dist_token)$", "a learned constant"),
    (r"bilinear", "a bilinear form, which multiplies two signals"),
    (r"lora_([ABab]|down|up|embedding)|(^|[./])(hada|lokr)_", "a low-rank update of a weight: merge it first"),
    (r"weight_(u|v)$|_(u|v)$", "a vector of the power iteration of a spectral norm"),
)
_NORM = re.compile(r"(norm|(^|[./_])(ln|bn)_?[\da-z]?)([./_\d]|$)|(^|[./])(gamma|beta)$", re.IGNORECASE)
_EMBEDDING = re.compile(r"embe?d|(^|[./_])(emb|wte|wpe|lut)([./_]|$)|(^|[./])shared\.weight$", re.IGNORECASE)
_PACKED = re.compile(
    r"(in_proj_weight|in_proj\.weight|c_attn|(^|[./_])w?qkv(_proj)?|to_qkv|query_key_value)([./_]|$)", re.I
)
_GATED = re.compile(r"(gate_up_proj|gate_up|w12|gate_and_up)([./_]|$)", re.IGNORECASE)
_TRANSPOSED = re.compile(r"deconv|transpose|upconv|convt", re.IGNORECASE)
_EMA = re.compile(r"(^|[./])(ema(_model|_state_dict)?|model_ema|shadow|swa|averaged_model)([./]|$)")
_WRAPPERS = re.compile(
    r"^(?:(?:_orig_mod|module|model_state_dict|state_dict|state|net|model|params|model_weights)[./])+"
)
_GATES = {
    "recurrent_input": ("ii", "if", "ig", "io", "ir", "iz", "in"),
    "recurrent_state": ("hi", "hf", "hg", "ho", "hr", "hz", "hn"),
}
_BLOCKS = {"query": "query", "key": "key", "value": "value", "q": "query", "k": "key", "v": "value"}


def aside(name: str) -> str:
    """Return why a tensor of that name is no layer, or nothing."""
    return next((why for pattern, why in _ASIDE if re.search(pattern, name)), "")


def is_norm(name: str) -> bool:
    """Whether a vector of that name is the gain or shift of a normalisation."""
    return bool(_NORM.search(name))


def is_embedding(name: str, layer: str) -> bool:
    """Whether a matrix of that name is a table of vectors."""
    return layer == "embedding" or (bool(_EMBEDDING.search(name)) and not re.search(r"proj|unembed|dense", name))


def is_packed(name: str) -> bool:
    """Whether a matrix of that name holds query, key and value."""
    return bool(_PACKED.search(name))


def is_gated(name: str) -> bool:
    """Whether a matrix of that name holds the gate and the value of a gated layer."""
    return bool(_GATED.search(name))


def is_transposed(name: str, layer: str) -> bool:
    """Whether a convolution of that name is a transposed one."""
    return bool(_TRANSPOSED.search(layer or name))


def is_depthwise(name: str, layer: str) -> bool:
    """Whether a kernel of that name has a window of its own for each channel."""
    return "depthwise" in leaf(name) or any(part.startswith("depthwise") for part in (layer, *parents(name)[-1:]))


def is_local(name: str, layer: str) -> bool:
    """Whether a kernel of that name is another matrix at each position."""
    return any(re.search(r"ConvLocal|locally_connected", part) for part in (layer, *parents(name)[-1:]))


def gate(name: str) -> str:
    """Return recurrent_input or recurrent_state of a matrix with the name of a gate of Flax's cells, else nothing."""
    module = "".join(re.split(r"[./]", name)[-2:-1])
    return next((kind for kind, gates in _GATES.items() if module in gates), "")


def ema_twin(name: str) -> str:
    """Return the name without the prefix of an averaged copy, wrappers stripped; nothing for other names."""
    return unwrapped(_EMA.sub(r"\1", name, count=1)) if _EMA.search(name) else ""


def unwrapped(name: str) -> str:
    """Return the name without the prefixes of wrappers such as module. and _orig_mod."""
    return _WRAPPERS.sub("", name).removesuffix(":0")


def leaf(name: str) -> str:
    """Return the last part of a name."""
    return re.split(r"[./]", name.removesuffix(":0"))[-1]


def parents(name: str) -> list[str]:
    """Return the parts of a name before the last, without numbers at their ends."""
    return [re.sub(r"_\d+$", "", part) for part in re.split(r"[./]", name.removesuffix(":0"))[:-1]]


def family(name: str) -> str:
    """Return what the layers of one kind have in common: the name of the module without its numbers."""
    return next((part for part in reversed(parents(name)) if not part.isdecimal()), "")


def convention(name: str) -> str:
    """Return the order of axes that the variable's own name stands for: "oi" (torch), "io" (Keras, JAX) or nothing."""
    last = leaf(name)
    if re.fullmatch(
        r"weight(_orig|_v)?|weight_[ih]h(_l\d+(_reverse)?)?|weight_hr_l\d+|([qkv]|in)_proj_weight|W[xh]", last
    ):
        return "oi"
    if re.fullmatch(r"((depthwise|pointwise|recurrent)_)?kernel|w|coefs_\d+|w_[ih]", last):
        return "io"
    return ""


def bias_names(name: str) -> list[str]:
    """Return the names that the biases of a weight could have."""
    suffix = ":0" if name.endswith(":0") else ""
    bare = name.removesuffix(":0")
    trunk, last = bare[: len(bare) - len(leaf(bare))], leaf(bare)
    if match := re.fullmatch(r"weight_[ih]h(_l\d+(?:_reverse)?)?", last):
        return [f"{trunk}bias_ih{match[1] or ''}", f"{trunk}bias_hh{match[1] or ''}"]
    if last.endswith("_proj_weight"):
        return [f"{trunk}in_proj_bias"]
    if last.endswith("kernel") or last == "Wx":  # the latter of MLX, which has Wh beside it
        return [f"{trunk}bias{suffix}"]
    if match := re.fullmatch(r"coefs_(\d+)", last):
        return [f"{trunk}intercepts_{match[1]}"]
    exchanged = (
        re.sub(r"^weight(_orig|_v)?$", "bias", last),
        re.sub(r"(^|_)w(_|\d*$)", r"\1b\2", last),
        re.sub(r"^W(\d*)$", r"b\1", last),
        re.sub(r"weights?", "bias", last),
        re.sub(r"weights?", "biases", last),
    )
    return [f"{trunk}{other}{suffix}" for other in dict.fromkeys(exchanged) if other != last]


def block(name: str) -> str:
    """Return query, key, value or attention_output where the name says that a matrix is one, else nothing."""
    words = [word.lstrip("_") for word in (*parents(name), leaf(name))]
    for word in reversed(words[-3:]):
        bare = re.sub(r"^(w|to|attn)_?|(_proj)?(_weight|_dense|_proj|_lin)?$", "", word)
        if word in ("w", "kernel", "weight", "bias"):
            continue
        if word == "linear" and "multi_head_attention" in words:  # Haiku
            return "attention_output"
        if bare in _BLOCKS:
            return _BLOCKS[bare]
        if word in ("attention_output", "attn_output", "output_dense", "out_proj", "o_proj", "to_out") or (
            word == "out" and any("attention" in parent.lower() or "attn" in parent for parent in words)
        ):
            return "attention_output"
    return ""


def depth_of(names: Iterable[str]) -> int:
    """Return the number of blocks of a network: the most different numbers at one place of its layers' names."""
    places: dict[str, set[str]] = {}
    for name in names:
        for match in re.finditer(r"(?<![\w])\d+(?=[./])", name):
            places.setdefault(name[: match.start()], set()).add(match.group())
    return max((len(numbers) for numbers in places.values()), default=0)
