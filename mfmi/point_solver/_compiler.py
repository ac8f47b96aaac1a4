"""Compiling with numba, where it is installed, and keeping the machine code in the user's cache directory."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version as version_of
from pathlib import Path
from types import ModuleType
from typing import Any

from mfmi import channel_coordinates, ensembles, interfaces
from mfmi.point_solver import _channel, _descent, _state
from mfmi.tile_cache import cache_directory

# Modules that the machine code follows from, with its constants; numba itself looks at the file of one function only.
_SOURCES: tuple[ModuleType, ...] = (_descent, _channel, _state, channel_coordinates, ensembles, interfaces)

SWITCH = "MFMI_COMPILE"
"""Environment variable that forgoes compiled code where it is 0, as if numba were not there."""


def version() -> str | None:
    """Version of numba if it is to be used, else None."""
    return None if os.environ.get(SWITCH) == "0" else _installed()


@lru_cache(maxsize=1)
def _installed() -> str | None:
    """Version of numba if it is there; the package's metadata take a millisecond to read."""
    return None if importlib.util.find_spec("numba") is None else version_of("numba")


def compiled() -> Callable[..., None] | None:
    """Return `descend` as machine code, or None without numba."""
    return _compile() if version() else None


@lru_cache(maxsize=1)
def _compile() -> Callable[..., None]:
    import numba
    from numba.extending import register_jitable

    # Without arrays of its own the code needs no counting of references, which would cost it most of its time.
    options: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
    inner: list[Callable[..., Any]] = [
        getattr(channel_coordinates, name) for name in ("scaled", "share_within", "terms", "missed")
    ]
    for module in (_channel, _descent):
        inner += [f for f in vars(module).values() if getattr(f, "__module__", "") == module.__name__ and _is_code(f)]
    for function in inner:
        if function is not _descent.descend:
            # The sums over nodes may go in any order, which lets them run side by side.
            free = {"fastmath": {"reassoc"}} if function in _channel.SUMS else {}
            register_jitable(**options | free, forceinline=function in _channel.INLINE)(function)
    folder = _folder()
    kept = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder or "")
    try:
        code: Callable[..., None] = numba.njit(cache=folder is not None, **options)(_descent.descend)
    finally:
        numba.config.CACHE_DIR = kept
    return code


def _is_code(value: object) -> bool:
    return callable(value) and not isinstance(value, type)


def _folder() -> Path | None:
    """Where this version of the machine code is kept, or None where nothing can be."""
    root = cache_directory()
    if root is None:
        return None
    digest = hashlib.sha256()
    for file in (__file__, *(module.__file__ for module in _SOURCES)):
        digest.update(Path(str(file)).read_bytes())
    folder = root / f"compiled-{digest.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None
