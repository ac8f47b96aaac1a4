"""Folders that orbax saves: its list of what is in them, and the arrays by tensorstore, without JAX."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._need import need
from mfmi.checkpoints._tensor import Checkpoint, Tensor, nothing, widened
from mfmi.errors import OutputError

LIST = "_METADATA"
# What else orbax writes into a folder; a step is one of the first, an item of it one of the second.
_MARKS = ("_CHECKPOINT_METADATA", LIST, "manifest.ocdbt")
# Entries of the list that hold no array.
_EMPTY = ("Dict", "List", "Tuple", "NamedTuple", "None", "string")
# Bytes of an array over those of the whole folder, from which on it is no compressed weight but a trap for the memory.
_MOST_COMPRESSED = 4096


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is a checkpoint of orbax, or a step of its manager."""
    return any((folder / mark).is_file() for mark in _MARKS) or bool(_items(folder))


def steps_in(folder: Path) -> list[Path]:
    """Return the checkpoints that the folder of a manager holds, by the numbers of their steps."""
    inside = [entry for entry in folder.iterdir() if entry.is_dir() and is_checkpoint(entry)]
    return [] if is_checkpoint(folder) else inside


def _items(folder: Path) -> list[Path]:
    """Return the folders inside that have a list of arrays: a manager saves items of a step side by side."""
    try:
        return sorted(entry for entry in folder.iterdir() if (entry / LIST).is_file())
    except OSError:
        return []


def read(path: str) -> Checkpoint:
    """Read the list of arrays in a folder; their numbers are read array by array."""
    folder = Path(path)
    items = [folder] if (folder / LIST).is_file() else _items(folder)
    if not items:
        raise OutputError(
            f"{path}: a checkpoint of orbax without a list of its arrays ({LIST}): damaged, or of an old form"
        )
    library = need("tensorstore", path)
    tensors: list[Tensor] = []
    for item in items:
        tensors += _item(path, library, item, f"{item.name}/" if len(items) > 1 else "")
    return Checkpoint(path, "orbax", tensors)


def _item(path: str, library: ModuleType, item: Path, prefix: str) -> Iterator[Tensor]:
    try:
        listed = json.loads((item / LIST).read_text(encoding="utf-8"))
        store = _Arrays(library, item, listed)
        found = [_tensor(path, store, entry, prefix) for entry in listed["tree_metadata"].values()]
    except OutputError:
        raise
    except Exception as error:  # damage shows as errors of JSON, of keys and types, and of tensorstore
        text = " ".join(str(error).split())[:160] or type(error).__name__
        if isinstance(error, KeyError):
            text = f"{LIST} has no {error}"
        raise OutputError(f"{path}: not a whole checkpoint of orbax: {text}") from error
    return iter(found)


class _Arrays:
    """The arrays of one folder, in one database or in folders of their own."""

    def __init__(self, library: ModuleType, folder: Path, listed: Mapping[str, Any]) -> None:
        in_database = bool(listed["use_ocdbt"])
        self.library, self.driver = library, "zarr3" if listed.get("use_zarr3") else "zarr"
        # Older releases leave parts out that are all zeros.
        self.is_whole = bool(listed.get("store_array_data_equal_to_fill_value"))
        base = {"driver": "file", "path": f"{folder.resolve()}{os.sep}"}
        self.base: dict[str, Any] = {"driver": "ocdbt", "base": base} if in_database else base
        self.in_database = in_database
        self.bytes = sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())

    def _under(self, name: str) -> dict[str, Any]:
        if self.in_database:
            return {**self.base, "path": f"{name}/"}
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise ValueError(f"{name!r} leads out of the folder")
        return {**self.base, "path": f"{self.base['path']}{name}/"}

    def open(self, name: str) -> Any:
        """Open an array, of which every part is there if all are kept: tensorstore reads a missing one as zeros."""
        under = self._under(name)
        array = self.library.open({"driver": self.driver, "kvstore": under}, open=True, read=True).result()
        if not self.is_whole:
            return array
        parts = [
            -(-size // part) for size, part in zip(array.shape, array.chunk_layout.write_chunk.shape or (), strict=True)
        ]
        kept = self.library.KvStore.open(under).result().list().result()
        held = sum(not key.endswith((b".zarray", b".zattrs", b"zarr.json")) for key in kept)
        if held != math.prod(parts):
            raise ValueError(f"{name} has {held} of {math.prod(parts)} parts")
        return array


def _tensor(path: str, store: _Arrays, entry: Mapping[str, Any], prefix: str) -> Tensor:
    keys = [str(key["key"]) for key in entry["key_metadata"]]
    kind = str(entry["value_metadata"]["value_type"])
    # A variable of nnx is a node with its value in it.
    name = prefix + "/".join(keys[:-1] if keys[-1] == "value" and len(keys) > 1 else keys)
    if kind in _EMPTY:
        return Tensor(name, (), kind, nothing, skip=f"no array ({kind})")
    array = store.open(".".join(keys))
    shape, dtype = tuple(int(size) for size in array.shape), str(array.dtype.name)
    size = math.prod(shape) * int(array.dtype.numpy_dtype.itemsize)
    if size > _MOST_COMPRESSED * store.bytes:
        raise OutputError(f"{path}: {name} would take {size:.3g} bytes of memory, more than the folder can hold")
    if dtype == "bool" or dtype.startswith(("float", "bfloat", "int", "uint")):
        return Tensor(name, shape, dtype, functools.partial(_load, path, name, array))
    return Tensor(name, shape, dtype, nothing, skip=f"entries of type {dtype}")


def _load(path: str, name: str, array: Any) -> FloatArray:
    try:
        values = np.asarray(array.read().result())
    except Exception as error:  # tensorstore's errors are ValueErrors and its own
        raise OutputError(f"{path}: {name} cannot be read: {' '.join(str(error).split())[:160]}") from error
    return widened(values)
