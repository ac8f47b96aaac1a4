"""PyTorch's files, by torch itself and weights only, so that nothing in a file runs."""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._need import need
from mfmi.checkpoints._tensor import Checkpoint, Tensor, widened
from mfmi.errors import OutputError

# Before this release weights_only could be got round.
_SAFE = (2, 6)
# Seen in torch 2.13: torch.save takes casts of named_parameters() to float8, and torch.load has no way to fill them.
_GRADIENT = "float8 tensors that require a gradient, which torch cannot load: detach() them before they are saved"


def read(path: str) -> Checkpoint:
    """Read a file of torch.save; a zip archive is mapped, so that its numbers are read tensor by tensor."""
    torch = need("torch", path, extra=False)
    if tuple(int(number) for number in torch.__version__.split("+")[0].split(".")[:2]) < _SAFE:
        raise OutputError(
            f"{path}: torch {torch.__version__} is too old to read files safely: install torch 2.6 or newer"
        )
    with open(path, "rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip or None)
    except pickle.UnpicklingError as error:
        raise OutputError(f"{path}: {_refusal(str(error))}") from error
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise OutputError(f"{path}: a TorchScript archive, which holds code: save the state_dict alone") from error
        if "leaf Variable that requires grad" in str(error):
            raise OutputError(f"{path}: {_GRADIENT}") from error
        raise OutputError(f"{path}: not a whole PyTorch file: {_line(error)}") from error
    except Exception as error:  # torch raises what its parser meets: RuntimeError, EOFError, KeyError, ...
        raise OutputError(f"{path}: not a whole PyTorch file: {_line(error)}") from error
    seen: dict[tuple[int, int, tuple[int, ...], tuple[int, ...]], str] = {}
    tensors = [_tensor(name, value, seen) for name, value in _flat(content, "", torch)]
    return Checkpoint(path, "torch", tensors)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _refusal(message: str) -> str:
    text = " ".join(message.split())
    found = text.partition("Unsupported global: GLOBAL ")[2] or text.partition("unsupported GLOBAL ")[2]
    what = found.split(" ")[0] if found else ""
    if not what:
        return f"refused by torch's reader of weights: {text[-160:]}"
    return f"holds {what}, which could run code, and is refused: save the state_dict alone"


def _flat(value: Any, prefix: str, torch: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, torch.Tensor):
        yield prefix or "tensor", value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _flat(child, f"{prefix}.{key}" if prefix else str(key), torch)
    elif isinstance(value, list | tuple):
        for key, child in enumerate(value):
            yield from _flat(child, f"{prefix}.{key}" if prefix else str(key), torch)


def _tensor(name: str, value: Any, seen: dict[Any, str]) -> Tensor:
    shape = tuple(value.shape)
    dtype = str(value.dtype).removeprefix("torch.")
    load = functools.partial(_load, value)
    if value.is_quantized:
        return Tensor(name, shape, dtype, load, step=float(value.dequantize().abs().max()) / 127.0)
    if value.is_sparse or value.layout != value.new_empty(0).layout:
        return Tensor(name, shape, dtype, load, skip="a sparse tensor")
    if value.is_complex():
        return Tensor(name, shape, dtype, load, skip="complex entries")
    key = (value.untyped_storage().data_ptr(), value.storage_offset(), shape, tuple(value.stride()))
    alias = seen.setdefault(key, name) if value.numel() else name
    return Tensor(name, shape, dtype, load, alias="" if alias == name else alias)


def _load(value: Any) -> FloatArray:
    if value.is_quantized:
        value = value.dequantize()
    value = value.detach()
    wide = value.double() if value.dtype.itemsize > 4 or not value.is_floating_point() else value.float()
    found: FloatArray = widened(wide.numpy())
    return found
