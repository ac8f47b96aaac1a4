"""Archives of numpy arrays: read without pickles, one array at a time."""

from __future__ import annotations

import functools
import zipfile
import zlib

import numpy as np
from numpy.lib import format as npy

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._tensor import Checkpoint, Tensor, nothing, widened
from mfmi.errors import OutputError

NARROW = "entries of a type that numpy's files do not name, such as bfloat16 or float8: save them as float32"


def read(path: str) -> Checkpoint:
    """Read the headers of a .npz file."""
    tensors: list[Tensor] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".npy"):
                    tensors.append(_entry(path, archive, entry))
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise OutputError(f"{path}: not a whole .npz file: {error}") from error
    if not tensors:
        raise OutputError(f"{path}: a zip archive without numpy arrays")
    return Checkpoint(path, "npz", tensors)


def _entry(path: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Tensor:
    with archive.open(entry) as member:
        try:
            shape, dtype = header_of(member)
        except ValueError as error:
            if "descr" not in str(error):
                raise
            return Tensor(entry.filename.removesuffix(".npy"), (), "unknown", nothing, skip=NARROW)
    return _tensor(path, entry, shape, dtype)


def header_of(member: object) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Read the header of an array that numpy saved, and stop where its numbers begin."""
    version = npy.read_magic(member)  # type: ignore[arg-type]
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = reader(member)  # type: ignore[arg-type]
    return shape, dtype


def _tensor(path: str, entry: zipfile.ZipInfo, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Tensor:
    name = entry.filename.removesuffix(".npy")
    if dtype.kind == "O":
        return Tensor(name, shape, "object", nothing, skip="pickled objects, which could run code and are not read")
    if dtype.kind not in "fiub":
        skip = NARROW if dtype.kind == "V" else f"entries of type {dtype}"
        return Tensor(name, shape, dtype.str, nothing, skip=skip)
    if int(np.prod(shape, dtype=object)) * dtype.itemsize > entry.file_size:
        raise OutputError(f"{path}: {name} has fewer entries than its header says")
    return Tensor(name, shape, dtype.name, functools.partial(_load, path, entry.filename))


def _load(path: str, member: str) -> FloatArray:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            return widened(npy.read_array(file, allow_pickle=False))
    except (zipfile.BadZipFile, ValueError, EOFError, zlib.error) as error:
        raise OutputError(f"{path}: {member} cannot be read: {error}") from error
