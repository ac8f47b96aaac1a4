"""Functions as machine code, by numba where it is installed, kept in the user's cache directory."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import warnings
from collections.abc import Callable, Collection
from functools import lru_cache
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from mfmi.errors import MfmiWarning
from mfmi.processes.cache_folder import cache_directory, digest_of_sources, is_trusted, make_folder
from mfmi.processes.interruption import uninterruptible
from mfmi.processes.progress import stage

SWITCH = "MFMI_COMPILE"
"""Environment variable that forgoes compiled code where it is 0, as if numba were not there."""

_OWN = "processes/machine_code.py"
_SEAL = "seal.json"
_KEPT = (".nbi", ".nbc")


def version() -> str | None:
    """Version of numba if it is to be used, else None."""
    return None if os.environ.get(SWITCH) == "0" else _installed()


@lru_cache(maxsize=1)
def _installed() -> str | None:
    """Version of numba if it is there; the package's metadata take a millisecond to read."""
    return None if importlib.util.find_spec("numba") is None else version_of("numba")


def machine_code(
    function: Callable[..., None],
    inner: Collection[Callable[..., Any]],
    sources: tuple[str, ...],
    free: Collection[Callable[..., Any]] = (),
    inline: Collection[Callable[..., Any]] = (),
) -> Callable[..., None]:
    """Return a function as machine code, kept between runs.

    Parameters
    ----------
    function : what is compiled; it must make no arrays of its own.
    inner : the functions that it calls.
    sources : modules that the code follows from, with its constants; numba itself looks at the file of one function.
    free : functions whose sums may go in any order, which lets them run side by side.
    inline : functions that are put where they are called.
    """
    import numba
    from numba.extending import register_jitable

    # Without arrays of its own the code needs no counting of references, which would cost it most of its time.
    options: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
    for part in inner:
        if part is not function:
            loose = {"fastmath": {"reassoc"}} if part in free else {}
            register_jitable(**options | loose, forceinline=part in inline)(part)
    folder = folder_of(sources)
    config: Any = importlib.import_module("numba.core.config")
    kept = config.CACHE_DIR
    config.CACHE_DIR = str(folder or "")
    try:
        code = numba.njit(cache=folder is not None, **options)(function)
    finally:
        config.CACHE_DIR = kept
    return _MachineCode(code, {part.__name__ for part in (*inner, function)}, folder)


class _MachineCode:
    """Code that is compiled, or loaded, before its first call and says so.

    Parameters
    ----------
    code : numba's dispatcher.
    names : the functions that are compiled with it, for the progress.
    folder : where it is kept, if anywhere; what numba writes there is noted down as soon as it has.
    """

    def __init__(self, code: Any, names: Collection[str], folder: Path | None) -> None:
        self._code, self._names, self._folder, self._known = code, names, folder, 0

    def __call__(self, *arguments: Any) -> None:
        """Run the code."""
        if not self._known:
            self._prepare(arguments)
        self._code(*arguments)
        self._note_down()  # arguments of another kind

    def _prepare(self, arguments: tuple[Any, ...]) -> None:
        """Compile it; apart from its run, so that no more than that waits when somebody asks to stop."""
        from numba.core import event

        with uninterruptible(), event.install_listener("numba:compile", _listener(self._names)):
            self._code.compile(tuple(self._code.typeof_pyval(argument) for argument in arguments))
            self._note_down()

    def _note_down(self) -> None:
        if len(self._code.overloads) != self._known:
            self._known = len(self._code.overloads)
            if self._folder is not None and any(self._code.stats.cache_misses.values()):
                seal(self._folder)


def _listener(names: Collection[str]) -> Any:
    """A listener that announces a compilation from its start to its end, and counts the functions of such names."""
    from numba.core import event

    class Listener(event.Listener):  # type: ignore[misc]
        def __init__(self) -> None:
            self._within = 0
            self._open = contextlib.ExitStack()
            self._seen: set[str] = set()

        def on_start(self, event: Any) -> None:
            """Announce it, if it is not part of another; parts are compiled while the whole is."""
            if not self._within:
                self._work = self._open.enter_context(stage("compile, once for all runs", len(names), "functions"))
            self._within += 1

        def on_end(self, event: Any) -> None:
            """Count it; after the outermost it is over."""
            self._within -= 1
            self._seen.add(event.data["dispatcher"].py_func.__name__)
            self._work.reach(len(self._seen.intersection(names)))
            if not self._within:
                self._open.close()

    return Listener()


def seal(folder: Path) -> None:
    """Write down the digests of the files of machine code in a folder."""
    draft = folder / f"{secrets.token_hex(8)}.part"
    with contextlib.suppress(OSError):
        try:
            draft.write_text(json.dumps(_digests(folder)))
            draft.replace(folder / _SEAL)
        finally:
            draft.unlink(missing_ok=True)


def discard_damaged(folder: Path) -> None:
    """Remove machine code that is not what was sealed: what is loaded is run, whatever it is.

    Warns
    -----
    MfmiWarning
        A sealed file has changed. Code without a seal is that of a process that was stopped, or is at work.
    """
    try:
        sealed = json.loads((folder / _SEAL).read_text())
    except (OSError, ValueError):
        sealed = None
    found = _digests(folder)
    if found == sealed or not (found or sealed):
        return
    if sealed is not None or (folder / _SEAL).exists():
        message = f"{folder} is damaged: the machine code in it is discarded and compiled anew"
        warnings.warn(message, MfmiWarning, stacklevel=2)
    for place in folder.iterdir():
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in _KEPT:
            name = str(path.relative_to(folder))
            try:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            except FileNotFoundError:
                continue
            except OSError as error:
                found[name] = str(error)
    return found


def folder_of(sources: tuple[str, ...]) -> Path | None:
    """Return the cache folder of this version of the machine code; None if nothing can be cached."""
    root = cache_directory()
    if root is None:
        return None
    try:
        folder = root / f"compiled-{digest_of_sources((*sources, _OWN), ('numba', 'llvmlite', 'numpy'))}"
        # Closed to others altogether, for numba gives its files the permissions that the umask allows.
        make_folder(folder, 0o700)
        folder.chmod(0o700)
        if not is_trusted(folder) or not os.access(folder, os.W_OK | os.X_OK):
            return None
        discard_damaged(folder)
    except OSError:
        return None
    return folder
