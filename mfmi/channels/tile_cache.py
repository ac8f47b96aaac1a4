"""Numbers that take seconds to compute, kept between processes in the user's cache directory.

The cache can only save time: a file that cannot be read, or that is not what was written, is computed again, and one
that cannot be written is not missed.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.processes.cache_folder import cache_directory, digest_of_sources, is_own, is_trusted, make_folder

_SEAL = hashlib.sha256().digest_size
_ABANDONED = 3600.0
"""Age in seconds at which a draft is one that a killed process has left."""
PATIENCE = 60.0
"""Seconds of waiting for another process to make a tile, which takes it a few: it may have been stopped."""
_LOOK = 0.02
"""Seconds after which a waiting process looks again."""


@dataclass(frozen=True)
class TileCache:
    """One directory of files, a file a tile.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    """

    folder: Path | None

    @classmethod
    def of_user(cls, identity: str | None, sources: tuple[str, ...]) -> "TileCache":
        """Return the cache of one table under the user's cache directory.

        Parameters
        ----------
        identity : str or None
            What the table is of; one without keeps nothing.
        sources : tuple of str
            Modules that its numbers follow from.

        Returns
        -------
        TileCache
            Of its own for every state of the code that makes tiles.
        """
        root, code = cache_directory(), _code(sources)
        if root is None or code is None or identity is None:
            return cls(None)
        folder = root / f"tiles-{code}" / hashlib.sha256(identity.encode()).hexdigest()[:24]
        return cls(folder if is_trusted(folder) else None)

    def load(self, place: tuple[int, ...], size: int) -> FloatArray | None:
        """Read a tile.

        Parameters
        ----------
        place : tuple of int
            Its name.
        size : int
            Number of values that it must have.

        Returns
        -------
        ndarray or None
            None where there is no such file, a damaged one, or one that others can write to.
        """
        if self.folder is None:
            return None
        try:
            # not blocked by a pipe that lies there instead
            with os.fdopen(os.open(self._path(place), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                content = file.read() if is_own(file.fileno()) else b""
        except OSError:
            return None
        body, seal = content[:-_SEAL], content[-_SEAL:]
        if len(body) != 8 * size or self._seal(place, body) != seal:
            return None
        return np.frombuffer(body, dtype="<f8").astype(np.float64)

    def load_or_make(
        self, place: tuple[int, ...], size: int, make: Callable[[tuple[int, ...]], FloatArray]
    ) -> FloatArray:
        """Read a tile, or have it made, which no other process does at the same time.

        Parameters
        ----------
        place, size
            As for `load`.
        make : callable
            Makes the tile at a place, and stores it if it shall be kept.
        """
        kept = self.load(place, size)
        if kept is None:
            with self.alone(place):
                # Another process may have made it in the meantime.
                kept = self.load(place, size)
                if kept is None:
                    kept = make(place)
        return kept

    def store(self, place: tuple[int, ...], values: FloatArray) -> None:
        """Write a tile, whole or not at all.

        Parameters
        ----------
        place : tuple of int
            Its name.
        values : ndarray
        """
        if self.folder is None:
            return
        body = np.ascontiguousarray(values, dtype="<f8").tobytes()
        with contextlib.suppress(OSError):
            make_folder(self.folder)
            self._remove_abandoned()
            draft = self.folder / f"{secrets.token_hex(8)}.part"
            # As the umask allows, but not for others to write: such a file is not read again.
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(body + self._seal(place, body))
                draft.replace(self._path(place))
            except BaseException:
                with contextlib.suppress(OSError):
                    draft.unlink()
                raise

    @contextlib.contextmanager
    def alone(self, place: tuple[int, ...], patience: float = PATIENCE) -> Iterator[bool]:
        """Keep other processes from making the same tile, as long as the context lasts.

        What holds a tile is a lock of the system's, which a process loses when it ends, however that may be.

        Parameters
        ----------
        place : tuple of int
            Name of the tile.
        patience : float
            Seconds to wait for another process that holds it.

        Yields
        ------
        bool
            Whether no other process holds it, as far as can be known: True where nothing is kept or nothing can be
            locked.
        """
        try:
            descriptor = self._locked(place, patience)
        except OSError:
            yield True
            return
        if descriptor is None:
            yield self.folder is None
            return
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):
                self._lock_path(place).unlink()
            os.close(descriptor)

    def _locked(self, place: tuple[int, ...], patience: float) -> int | None:
        """Descriptor of the locked file of a tile; None where another process keeps it, or nothing is kept."""
        if self.folder is None:
            return None
        make_folder(self.folder)
        path, until = self._lock_path(place), time.monotonic() + patience
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The holder before may have removed the file after it was opened here, and then it locks nothing.
                if _is_at(descriptor, path):
                    return descriptor
            except BlockingIOError:
                if time.monotonic() >= until:
                    os.close(descriptor)
                    return None
                time.sleep(_LOOK)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _lock_path(self, place: tuple[int, ...]) -> Path:
        return self._path(place).with_suffix(".lock")

    def _remove_abandoned(self) -> None:
        assert self.folder is not None
        for draft in self.folder.glob("*.part"):
            with contextlib.suppress(OSError):
                if time.time() - draft.stat().st_mtime > _ABANDONED:
                    draft.unlink()

    def _seal(self, place: tuple[int, ...], body: bytes) -> bytes:
        """Digest of a tile and of its name: a file that was moved is another tile."""
        path = self._path(place)
        return hashlib.sha256(f"{path.parent.name}/{path.name}\n".encode() + body).digest()

    def _path(self, place: tuple[int, ...]) -> Path:
        assert self.folder is not None
        return self.folder / ("_".join(str(number) for number in place) + ".tile")


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@lru_cache(maxsize=2)
def _code(sources: tuple[str, ...]) -> str | None:
    """Digest of the code that makes tiles; None where it cannot be read, and nothing is kept."""
    try:
        return digest_of_sources(sources, ("numpy", "scipy"))
    except OSError:
        return None
