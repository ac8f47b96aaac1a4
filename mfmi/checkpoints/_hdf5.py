"""HDF5 as Keras writes it: .weights.h5, the older .h5, and the .keras archive around the former."""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._need import need
from mfmi.checkpoints._tensor import SIGNIFICANT, Checkpoint, Tensor, natural, nothing, widened
from mfmi.errors import OutputError

Opened = Callable[[], AbstractContextManager[Any]]

WEIGHTS = "model.weights.h5"

# Variables of a layer in the order in which Keras numbers them.
_VARIABLES = {
    "dense": ("kernel", "bias"),
    "einsum_dense": ("kernel", "bias"),
    "conv": ("kernel", "bias"),
    "depthwise_conv": ("depthwise_kernel", "bias"),
    "separable_conv": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "locally_connected": ("kernel", "bias"),
    "embedding": ("embeddings",),
    "cell": ("kernel", "recurrent_kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layer_normalization": ("gamma", "beta"),
    "group_normalization": ("gamma", "beta"),
    "rms_normalization": ("scale",),
}
# Layers within one of attention, which have no class in the file; of grouped attention after an underscore.
_ATTENTION = {"query_dense", "key_dense", "value_dense", "output_dense"}
# Storage this much smaller than the numbers is a file made to fill the memory.
_MOST_COMPRESSED = 2000


def read(path: str) -> Checkpoint:
    """Read the names and shapes of a HDF5 file."""
    return _read(path, "hdf5", lambda: open(path, "rb"))


def read_keras(path: str) -> Checkpoint:
    """Read the names and shapes of a .keras archive; its config is not run."""
    copy = _Copy(path)
    return _read(path, "keras", lambda: open(copy.path, "rb"))


class _Copy:
    """The weights within an archive as a file on disk, which goes when nobody holds this any more."""

    def __init__(self, archive: str) -> None:
        handle, self.path = tempfile.mkstemp(suffix=".h5", prefix="mfmi-")
        weakref.finalize(self, os.unlink, self.path)
        with os.fdopen(handle, "wb") as copy:
            _extract(archive, copy)


def _extract(path: str, copy: IO[bytes]) -> None:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(WEIGHTS) as member:
            entry = archive.getinfo(WEIGHTS)
            if entry.file_size > _MOST_COMPRESSED * max(entry.compress_size, 1):
                raise OutputError(f"{path}: its weights are compressed beyond belief")
            shutil.copyfileobj(member, copy, 1 << 20)
    except (zipfile.BadZipFile, KeyError, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise OutputError(f"{path}: not a whole .keras file: {error}") from error


def _read(path: str, name: str, opened: Opened) -> Checkpoint:
    library = need("h5py", path)
    tensors: list[Tensor] = []
    with _file(library, path, opened) as file:
        found: list[tuple[str, Any]] = []
        file.visititems(lambda key, item: found.append((key, item)))
        order = _order(file)
        found.sort(key=lambda pair: (_place(pair[0], order), natural(pair[0])))
        names = {key: str(item.attrs["name"]) for key, item in found if "name" in item.attrs}
        for key, item in found:
            if isinstance(item, library.Dataset):
                tensors.append(_tensor(path, opened, library, key, item, names))
    if not tensors:
        raise OutputError(f"{path}: a HDF5 file without arrays")
    tensors.sort(key=lambda tensor: tensor.name.startswith("optimizer"))
    return Checkpoint(path, name, tensors)


def _order(file: Any) -> dict[str, int]:
    """Return the place of each layer's group, as the older .h5 has it; empty for other files."""
    for group in (file, file.get("model_weights")):
        if group is not None and "layer_names" in group.attrs:
            names = (name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs["layer_names"])
            return {name: place for place, name in enumerate(names)}
    return {}


def _place(key: str, order: dict[str, int]) -> int:
    parts = key.removeprefix("model_weights/").split("/")
    return order.get(parts[0], len(order))


@contextmanager
def _file(library: Any, path: str, opened: Opened) -> Iterator[Any]:
    with opened() as raw:
        try:
            with library.File(raw, "r") as file:
                yield file
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            if isinstance(error, OSError) and error.filename:
                raise
            raise OutputError(f"{path}: not a whole HDF5 file: {' '.join(str(error).split())[:160]}") from error


def _tensor(path: str, opened: Opened, library: Any, key: str, item: Any, names: dict[str, str]) -> Tensor:
    name, layer = _named(key, names)
    shape = tuple(int(extent) for extent in item.shape or ())
    skip, dtype = "", str(item.attrs.get("dtype", ""))
    is_narrow = item.dtype.kind == "V" and SIGNIFICANT.get(dtype, 53) < 24  # bytes whose type Keras says beside them
    if item.shape is None or (not is_narrow and item.dtype.kind not in "fiub"):
        skip = f"entries of type {item.dtype}"
    elif item.is_virtual or item.external:
        skip = "its numbers are in another file, which is not opened"
    elif item.nbytes > _MOST_COMPRESSED * max(item.id.get_storage_size(), 1):
        skip = "its numbers are not in the file, or compressed beyond belief"
    if skip:
        return Tensor(name, shape, str(item.dtype), nothing, layer=layer, skip=skip)
    kind = dtype if is_narrow else item.dtype.name
    load = functools.partial(_load, path, opened, library, key, kind)
    return Tensor(name, shape, kind, load, layer=layer)


def _load(path: str, opened: Opened, library: Any, key: str, kind: str) -> FloatArray:
    with _file(library, path, opened) as file:
        values = file[key][()]
    if values.dtype.kind == "V":
        need("ml_dtypes", path)  # with it numpy knows the narrow types
        values = values.view(np.dtype(kind))
    return widened(values)


def _named(key: str, names: dict[str, str]) -> tuple[str, str]:
    """Return the name and the layer's class of an array: numbered variables get the names that Keras gives them."""
    match = re.fullmatch(r"(?:(.*)/)?vars/(\d+)", key)
    parts = key.split("/")
    if match is None:
        trunk = parts[:-1]
        return key, _class_of(trunk)
    trunk, number = (match[1] or "").split("/"), int(match[2])
    layer = _class_of(trunk)
    variables = next(
        (known for kind, known in _VARIABLES.items() if layer.startswith(kind)),
        _VARIABLES["dense"] if trunk[-1].removeprefix("_") in _ATTENTION else (),
    )
    given = names.get(f"{match[1]}/vars", "")
    if given and not _is_child(trunk):
        trunk = [*trunk[:-1], given]
    variable = variables[number] if number < len(variables) else f"vars/{number}"
    return "/".join([*trunk, variable]), layer


def _is_child(trunk: list[str]) -> bool:
    """Whether a group is a part of a layer that keeps its own name, such as the cell of an LSTM."""
    return trunk[-1] == "cell" or trunk[-1] in _ATTENTION or trunk[0] == "optimizer"


def _class_of(trunk: list[str]) -> str:
    """Return the class in snake case from the last group of a path."""
    return re.sub(r"_\d+$", "", trunk[-1]) if trunk else ""
