"""Numbers that take seconds to compute, kept between processes in the user's cache directory.

`MFMI_CACHE_DIR` moves the directory, an empty value switches it off. The cache can only save time: a file that cannot
be read, or that is not what was written, is computed again, and one that cannot be written is not missed.
"""

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mfmi.panels import FloatArray, ScalarFunction

VERSION = "exact-6"
"""Changes with every change of the numbers: quadrature, tiles, coordinates."""

PROBES = np.concatenate([-np.geomspace(1e-3, 40.0, 41)[::-1], [0.0], np.geomspace(1e-3, 40.0, 41)])


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
    def of_user(cls, phi: ScalarFunction) -> "TileCache":
        """Return the cache of an activation under the user's cache directory.

        Parameters
        ----------
        phi : ScalarFunction
            Known by its values, so that a user's function that changes under its name is computed again.

        Returns
        -------
        TileCache
        """
        root = cache_directory()
        if root is None:
            return cls(None)
        digest = hashlib.sha256(phi.name.encode())
        digest.update(np.ascontiguousarray(phi(PROBES), dtype=np.float64).tobytes())
        digest.update(np.array(phi.kinks, dtype=np.float64).tobytes())
        return cls(root / VERSION / digest.hexdigest()[:24])

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
            None where there is no such file, or a damaged one.
        """
        if self.folder is None:
            return None
        try:
            content = self._path(place).read_bytes()
        except OSError:
            return None
        body, seal = content[:-32], content[-32:]
        if len(body) != 8 * size or hashlib.sha256(body).digest() != seal:
            return None
        return np.frombuffer(body, dtype="<f8").astype(np.float64)

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
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=self.folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(body + hashlib.sha256(body).digest())
                Path(draft).replace(self._path(place))
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(draft).unlink()
                raise

    def _path(self, place: tuple[int, ...]) -> Path:
        assert self.folder is not None
        return self.folder / ("_".join(str(number) for number in place) + ".tile")


def cache_directory() -> Path | None:
    """Return where tiles are kept, or None where nothing shall be kept.

    Returns
    -------
    Path or None
        `MFMI_CACHE_DIR` if that is set (None if it is empty), else `mfmi` under XDG_CACHE_HOME or ~/.cache.
    """
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
