"""Files of a training run in order of their steps, and the format of each, recognised by its first bytes."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mfmi.checkpoints import _equinox, _gguf, _hdf5, _msgpack, _npz, _onnx, _orbax, _safetensors, _torch
from mfmi.checkpoints._tensor import Checkpoint, Tensor, natural
from mfmi.errors import OutputError

SUFFIXES = (
    *(".safetensors", ".npz", ".pt", ".pth", ".ckpt", ".bin", ".h5", ".hdf5", ".keras", ".onnx"),
    *(".gguf", ".msgpack", ".eqx"),
)

_READERS: dict[str, Callable[[str], Checkpoint]] = {
    "safetensors": _safetensors.read,
    "npz": _npz.read,
    "torch": _torch.read,
    "hdf5": _hdf5.read,
    "keras": _hdf5.read_keras,
    "onnx": _onnx.read,
    "gguf": _gguf.read,
    "msgpack": _msgpack.read,
    "orbax": _orbax.read,
    "equinox": _equinox.read,
}
_EXPECTED = {
    ".safetensors": "safetensors",
    ".npz": "npz",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".keras": "keras",
    ".onnx": "onnx",
    ".gguf": "gguf",
    ".msgpack": "msgpack",
    ".eqx": "equinox",
}
# The library allows headers of this size; a longer one is another format or damage.
_LONGEST_HEADER = 100_000_000


def read(path: str) -> Checkpoint:
    """Read the names, shapes and types of a file; its numbers are read when a tensor is asked for them.

    Parameters
    ----------
    path
        A .safetensors, .npz, PyTorch, HDF5, .keras, .onnx, .gguf, .msgpack (Flax) or .eqx (Equinox) file, or a folder
        of orbax.

    Raises
    ------
    OutputError
        The file is missing, empty, damaged, of another format than its name says, or needs a library that is missing.
    """
    found = _READERS["orbax" if os.path.isdir(path) else format_of(path)](path)
    return replace(found, tensors=in_layer_order(found.tensors))


def in_layer_order(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors with numbers in their names in natural order where the file has sorted the names as text.

    Such a file has layer 10 before layer 2 and says nothing of the order of the network.
    """
    by_type: dict[str, list[str]] = {}
    for tensor in tensors:
        by_type.setdefault(tensor.dtype, []).append(tensor.name)
    if any(names != sorted(names) for names in by_type.values()):
        return list(tensors)
    return sorted(tensors, key=lambda tensor: natural(tensor.name))


def format_of(path: str) -> str:
    """Return the format of a file by its first bytes.

    Raises
    ------
    OutputError
        The file is empty, unknown, or another than its name says.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from error
    suffix = Path(path).suffix.lower()
    if size == 0:
        raise OutputError(f"{path}: the file is empty")
    found = _by_content(path, head, size) or ("onnx" if suffix == ".onnx" else None)
    expected = _EXPECTED.get(suffix)
    if found is None:
        known = ", ".join(SUFFIXES)
        what = f"damaged, or not the {expected} file that its name says" if expected else f"none of {known}"
        raise OutputError(f"{path}: {what}{_hint(head)}")
    if expected is not None and found != expected:
        raise OutputError(f"{path}: is a {found} file, not the {expected} file that its name says; rename it")
    return found


def _by_content(path: str, head: bytes, size: int) -> str | None:
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):  # the second is an archive without entries
        return _archive(path)
    # The length of a safetensors header may begin as a pickle does: its first bytes are low ones.
    is_length = head[2:8] == bytes(6) and head[8:9] == b"{"
    if not is_length and head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "torch"
    if head.startswith(b"GGUF"):
        return "gguf"
    if head.startswith(_equinox.MAGIC) and not path.lower().endswith(".npy"):
        return "equinox"
    if _is_map(head):
        return "msgpack"
    if head.startswith(b"{") and path.lower().endswith(".eqx"):
        return "equinox"
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{":
        if length > min(size - 8, _LONGEST_HEADER):
            raise OutputError(f"{path}: a safetensors header of {length} bytes, more than the file or the format holds")
        return "safetensors"
    # A protobuf message whose first field is the version of the format, then a text or the next number.
    return "onnx" if head[:1] == b"\x08" and len(head) > 2 and head[2:3] in (b"\x12", b":", b"B", b"\x1a") else None


def _is_map(head: bytes) -> bool:
    """Whether bytes begin a map of msgpack whose first key is a text."""
    skipped = {0xDE: 3, 0xDF: 5}.get(head[0], 1 if 0x81 <= head[0] <= 0x8F else 0)
    return bool(skipped) and len(head) > skipped and (0xA0 <= head[skipped] <= 0xBF or 0xD9 <= head[skipped] <= 0xDB)


def _archive(path: str) -> str | None:
    """Return the format of a zip archive, or None for others.

    Raises
    ------
    OutputError
        It is damaged, or has no entries.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise OutputError(f"{path}: a damaged zip archive: {error}") from error
    if not names:
        raise OutputError(f"{path}: the archive is empty: it holds no arrays")
    if _hdf5.WEIGHTS in names:
        return "keras"
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return "torch"
    return "npz" if any(name.endswith(".npy") for name in names) else None


def _hint(head: bytes) -> str:
    if head.startswith(b"version https://git-lfs"):
        return " (a pointer of Git LFS: fetch the file itself)"
    if head.lstrip().startswith((b"<", b"{")):
        return " (it holds text)"
    return ""


def steps(paths: list[str]) -> list[tuple[int, str]]:
    """Return files, and folders that are a checkpoint, with the number of their step: others opened, in natural order.

    The step is the last number in a file's name where these tell the files apart, else their place.

    Raises
    ------
    OutputError
        A directory without files of a known suffix and without checkpoints.
    """
    files: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            inside = [
                str(entry) for entry in Path(path).iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file()
            ]
            if not inside:
                folder = Path(path)
                inside = [path] if _orbax.is_checkpoint(folder) else [str(entry) for entry in _orbax.steps_in(folder)]
            if not inside:
                known = ", ".join(SUFFIXES)
                raise OutputError(f"{path}: no file in it ends with one of {known}, and no folder is of orbax")
            files += inside
        else:
            files.append(path)
    files = sorted(dict.fromkeys(files), key=natural)
    # Shards of one step differ in the number of the shard alone.
    stems = [re.sub(r"-\d+-of-\d+$", "", str(Path(file).with_suffix(""))) for file in files]
    order = list(dict.fromkeys(stems))
    numbers = [re.findall(r"\d+", Path(stem).name) for stem in order]
    last = [int(found[-1]) if found else -1 for found in numbers]
    told = len(order) > 1 and len(set(last)) == len(order) and last == sorted(last) and -1 < last[-1] < 2**62
    step = dict(zip(order, last if told and last[0] >= 0 else range(len(order)), strict=True))
    return [(step[stem], file) for stem, file in zip(stems, files, strict=True)]
