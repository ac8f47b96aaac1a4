"""The user's cache directory: where it is, whether it can be trusted, and which code made what lies there.

`MFMI_CACHE_DIR` moves the directory, an empty value switches it off. Machine code is loaded and run from it, and
numbers read from it are believed, so nobody but the user may be able to write there.
"""

import contextlib
import hashlib
import os
import stat
import sys
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from mfmi.errors import MfmiWarning

_PACKAGE = Path(__file__).parents[1]
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def cache_directory() -> Path | None:
    """Return where tables and machine code are kept, or None where nothing shall be kept.

    Returns
    -------
    Path or None
        `MFMI_CACHE_DIR` if that is set (None if it is empty), else `mfmi` under XDG_CACHE_HOME or ~/.cache; links
        resolved. None too where another user could write to it.

    Warns
    -----
    MfmiWarning
        Another user could write to it.
    """
    root = _wanted_directory()
    if root is None:
        return None
    folder = Path(os.path.realpath(root))
    return folder if is_trusted(folder) else None


def _wanted_directory() -> Path | None:
    moved = os.environ.get("MFMI_CACHE_DIR")
    if moved is not None:
        return Path(moved) if moved else None
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "mfmi"
    try:
        return Path.home() / ".cache" / "mfmi"
    except RuntimeError:
        return None


def is_trusted(folder: Path) -> bool:
    """Say whether nobody but the user and root can change what lies in a folder, and warn where somebody can.

    Parameters
    ----------
    folder : Path
        Absolute, without links. What is not there yet is trusted as far as its parents are.

    Warns
    -----
    MfmiWarning
        Names the directory at fault and what to do.
    """
    for place in (folder, *folder.parents):
        reason = _distrust(place)
        if reason is not None:
            remedy = "or set MFMI_CACHE_DIR to a directory of your own"
            warnings.warn(f"the cache {folder} is not used: {place} {reason}, {remedy}", MfmiWarning, stacklevel=3)
            return False
    return True


def _distrust(place: Path) -> str | None:
    try:
        status = os.stat(place)
    except OSError:
        return None
    if status.st_uid not in (os.geteuid(), 0):
        return "belongs to another user: make it yours"
    # In a sticky directory, such as /tmp, others can only touch what is theirs.
    if status.st_mode & _OTHERS_WRITE and not status.st_mode & stat.S_ISVTX:
        return f"can be written by other users: chmod go-w {place}"
    return None


def is_own(descriptor: int) -> bool:
    """Say whether an open file is a regular one that nobody but the user and root can write to.

    Parameters
    ----------
    descriptor : int
    """
    status = os.fstat(descriptor)
    usual = stat.S_ISREG(status.st_mode) and not status.st_mode & _OTHERS_WRITE
    return usual and status.st_uid in (os.geteuid(), 0)


def make_folder(folder: Path, mode: int = 0o755) -> None:
    """Make a folder and its parents, as the umask allows, and none of them writable by others.

    Parameters
    ----------
    folder : Path
    mode : int
        Permissions of the folder itself, before the umask.

    Raises
    ------
    OSError
        It cannot be made.
    """
    missing = []
    place = folder
    while not place.exists():
        missing.append(place)
        place = place.parent
    for place in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(place, mode if place == folder else 0o755)
    if not folder.is_dir():
        raise NotADirectoryError(folder)


def digest_of_sources(modules: Iterable[str], packages: Iterable[str]) -> str:
    """Return a digest of the code that something follows from.

    Parameters
    ----------
    modules : iterable of str
        Files of this package, such as "panels.py"; of a folder, such as "activations", all its modules.
    packages : iterable of str
        Names of installed distributions, whose versions count, as that of Python does.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    OSError
        A source cannot be read.
    """
    digest = hashlib.sha256(sys.version.encode())
    for name in packages:
        digest.update(f"{name} {version(name)}\n".encode())
    for name in modules:
        place = _PACKAGE / name
        for file in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            source = file.read_bytes()
            digest.update(f"{file.relative_to(_PACKAGE).as_posix()} {len(source)}\n".encode() + source)
    return digest.hexdigest()[:16]
