"""Weights that a file holds in parts: weight norm, spectral norm, pruning, integers with a scale beside them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._flax import wrapped
from mfmi.checkpoints._tensor import Tensor

_PARAMETRIZED = "parametrizations."
PART = "part of"


@dataclass(frozen=True)
class _Parts:
    """A weight made of others: its name, the tensor that lends its shape, the others, and the way it is made."""

    name: str
    main: str
    others: tuple[str, ...]
    made: Callable[..., FloatArray]


def with_derived(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors with each weight that is held in parts as the network uses it, in the place of its main part.

    The parts themselves come back with a reason to skip them.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    replaced: dict[str, Tensor] = {}
    aside: dict[str, str] = {}
    for tensor in tensors:
        parts = _parts(tensor, by_name)
        if parts is None:
            continue
        main = by_name[parts.main]
        others = tuple(by_name[name] for name in parts.others)
        load = functools.partial(_made, parts.made, main, others)
        step = float("nan") if main.dtype.startswith(("int", "uint")) else main.step
        replaced[parts.main] = replace(main, name=parts.name, load=load, step=step)
        aside.update(dict.fromkeys(parts.others, f"{PART} {parts.name}"))
    for kernel, parts_of, made in wrapped(tensors):
        aside.update(dict.fromkeys((part.name for part in parts_of), f"{PART} {kernel.name}"))
        if made is None:
            aside[kernel.name] = "its norm has axes that the file does not tell"
        else:
            replaced[kernel.name] = replace(kernel, load=functools.partial(_made, made, kernel, parts_of))
    aside |= _undescribed(by_name, replaced) | _householder(by_name)
    found = [replaced.get(tensor.name, tensor) for tensor in tensors]
    return [replace(tensor, skip=aside[tensor.name]) if tensor.name in aside else tensor for tensor in found]


def _made(made: Callable[..., FloatArray], main: Tensor, others: Sequence[Tensor]) -> FloatArray:
    return made(main.load(), *(other.load() for other in others))


def _undescribed(by_name: Mapping[str, Tensor], replaced: Mapping[str, Tensor]) -> dict[str, str]:
    """Name the data of parametrisations of which the file holds no more: the map to the matrix is in the code."""
    why = "data of a parametrisation that the file does not describe, such as an orthogonal one, not the matrix in use"
    return {
        name: why for name in by_name if name.endswith(".original") and _PARAMETRIZED in name and name not in replaced
    }


def _householder(by_name: Mapping[str, Tensor]) -> dict[str, str]:
    """Name the data of orthogonal parametrisations, which are reflections and not the matrix."""
    found: dict[str, str] = {}
    for name in by_name:
        if name.endswith(".0.base") and _PARAMETRIZED in name:
            trunk = name.removesuffix(".0.base")
            why = "data of an orthogonal parametrisation (Householder reflections), not the matrix in use"
            found |= {name: why, f"{trunk}.original": why}
    return found


def _parts(tensor: Tensor, by_name: Mapping[str, Tensor]) -> _Parts | None:
    name = tensor.name
    if name.endswith(".original1") and f"{name[:-1]}0" in by_name and _PARAMETRIZED in name:
        return _Parts(_shown(name.removesuffix(".original1")), name, (f"{name[:-1]}0",), _weight_norm)
    if name.endswith(".original") and _PARAMETRIZED in name:
        trunk = name.removesuffix(".original")
        if f"{trunk}.0._u" in by_name and f"{trunk}.0._v" in by_name:
            return _Parts(_shown(trunk), name, (f"{trunk}.0._u", f"{trunk}.0._v"), _spectral_norm)
        return None
    if name.endswith("weight_v") and f"{name[:-1]}g" in by_name:
        return _Parts(name.removesuffix("_v"), name, (f"{name[:-1]}g",), _weight_norm)
    if name.endswith("weight_orig"):
        trunk = name.removesuffix("_orig")
        if f"{trunk}_mask" in by_name:
            return _Parts(trunk, name, (f"{trunk}_mask",), _pruned)
        if f"{trunk}_u" in by_name and f"{trunk}_v" in by_name:
            return _Parts(trunk, name, (f"{trunk}_u", f"{trunk}_v"), _spectral_norm)
        return None
    if tensor.dtype in ("int8", "float8_e4m3fn", "float8_e5m2") and len(tensor.shape) == 2 and not tensor.skip:
        return _scaled(tensor, by_name)
    return None


def _shown(name: str) -> str:
    return name.replace(_PARAMETRIZED, "")


def _scaled(tensor: Tensor, by_name: Mapping[str, Tensor]) -> _Parts | None:
    """Find the scale of an integer matrix where its name says how it is applied."""
    name = tensor.name
    if f"{name}_scale" in by_name and name.endswith("kernel"):  # Keras divides by it
        return _Parts(name, name, (f"{name}_scale",), _divided)
    if f"{name}_scale" in by_name:
        return _Parts(name, name, (f"{name}_scale",), _multiplied)
    trunk = name.removesuffix("weight")
    if f"{trunk}SCB" in by_name:  # bitsandbytes: the largest magnitude of each row is 127
        return _Parts(name, name, (f"{trunk}SCB",), _row_scaled)
    return None


def _weight_norm(v: FloatArray, g: FloatArray) -> FloatArray:
    # The norm is taken over the axes along which the gain is one number.
    axes = tuple(axis for axis in range(v.ndim) if g.ndim == v.ndim and g.shape[axis] == 1)
    norms = np.sqrt(np.sum(np.square(v, dtype=np.float64), axis=axes, keepdims=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled: FloatArray = (v * (g / norms)).astype(v.dtype)
    return scaled


def _spectral_norm(original: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray:
    # The module is a convolution, whose outputs are axis 0, or a transposed one, whose outputs are axis 1.
    matrix = original.reshape(original.shape[0], -1)
    if u.size != matrix.shape[0]:
        matrix = np.moveaxis(original, 1, 0).reshape(original.shape[1], -1)
    scaled: FloatArray = original / (u.ravel() @ matrix @ v.ravel())
    return scaled


def _pruned(original: FloatArray, mask: FloatArray) -> FloatArray:
    found: FloatArray = original * mask.astype(original.dtype)
    return found


def _aligned(values: FloatArray, scale: FloatArray) -> FloatArray:
    """Return the scale with its axis along that of its length: rows where both would fit."""
    if scale.ndim < 2 and scale.size > 1 and scale.size == values.shape[0] and scale.size != values.shape[-1]:
        return scale.reshape(-1, 1)
    return scale


def _divided(values: FloatArray, scale: FloatArray) -> FloatArray:
    return values / scale


def _multiplied(values: FloatArray, scale: FloatArray) -> FloatArray:
    found: FloatArray = values * _aligned(values, scale)
    return found


def _row_scaled(values: FloatArray, largest: FloatArray) -> FloatArray:
    found: FloatArray = values * (largest.reshape(-1, 1) / 127.0)
    return found
