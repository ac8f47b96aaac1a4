"""The folder OUT.parts: what a sweep has finished so far, safe against every way to be stopped."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mfmi.errors import OutputError, ResumeError
from mfmi.storage.atomic import atomic_path
from mfmi.storage.provenance import PLAN
from mfmi.sweep.chunks import digest

LAYOUT = 1
LOCK = ".lock"
SHARD_LOCK = ".shard-{}-of-{}.lock"

_CHUNK = re.compile(r"chunk-(\d{8,})-([0-9a-f]{16})\.parquet")
_SHARD = re.compile(r"\.shard-(\d+)-of-(\d+)\.lock")
_DRAFT = re.compile(r"\.(chunk-|_plan\.|merged\.).*")
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}

Shard = tuple[int, int]


def folder_of(output: str | os.PathLike[str]) -> Path:
    """Return the folder of parts of an output; on the same file system as the file that a link leads to."""
    return Path(os.path.realpath(output) + ".parts")


class Parts:
    """An open folder of finished chunks.

    Every file is written under another name, synced and renamed, so a name that stands for a chunk holds all of it.
    The name also carries a digest keyed with the plan: a file that a crash of the machine or a copy has damaged, or
    that belongs to another sweep, is found out and its chunk computed again.

    Attributes
    ----------
    folder : the path.
    record : what `_plan.json` says: config, provenance, number of chunks.
    notes : what the user should know, such as a file system without locks.
    """

    def __init__(self, folder: Path, record: Mapping[str, Any], held: contextlib.ExitStack, notes: list[str]) -> None:
        self.folder = folder
        self.record = record
        self.notes = notes
        self._held = held
        self._key = fingerprint(record)
        self._digests = array("Q", bytes(8 * record["n_chunks"]))

    @classmethod
    def create(
        cls, folder: Path, record: Mapping[str, Any], *, shard: Shard | None, resume: bool, force: bool
    ) -> Parts:
        """Open the folder for writing, with the plan in it and this process holding its lock.

        Parameters
        ----------
        folder
            The folder, made if it is not there.
        record
            What `_plan.json` is to say (`record_of`).
        shard
            (I, N) if this process does its share of the chunks, beside others; they keep what they find.
        resume
            Go on with what the folder holds.
        force
            Throw away what the folder holds.

        Raises
        ------
        OutputError
            The folder holds a sweep and neither `resume` nor `force` is given, or another process is at work on it, or
            it cannot be written.
        ResumeError
            The folder holds another sweep.
        """
        with _telling(folder), contextlib.ExitStack() as stack:
            notes = _lock(folder, shard, stack, make=True)
            if force and shard is None:
                _empty(folder)
            _adopt_plan(folder, record, keep=resume or shard is not None)
            parts = cls(folder, _read_plan(folder), stack.pop_all(), notes)
        with _telling(folder), contextlib.ExitStack() as stack:
            stack.callback(parts.close)
            parts._find(verify=True, shard=shard)
            stack.pop_all()
        return parts

    @classmethod
    def open(cls, folder: Path) -> Parts:
        """Open a folder that one or more processes have written, to merge it.

        Raises
        ------
        OutputError
            There is no such folder, or a process is still at work on it, or it cannot be read.
        """
        with _telling(folder, "read"), contextlib.ExitStack() as stack:
            notes = _lock(folder, None, stack, make=False)
            parts = cls(folder, _read_plan(folder), stack.pop_all(), notes)
            parts._find(verify=False)
        return parts

    @property
    def n_chunks(self) -> int:
        """Number of chunks of the whole sweep."""
        return len(self._digests)

    def __contains__(self, number: object) -> bool:
        """Say whether a chunk is finished."""
        return isinstance(number, int) and bool(self._digests[number])

    def shards(self) -> set[Shard]:
        """Return the shards (I, N) that have worked on the folder."""
        found = (_SHARD.fullmatch(name) for name in os.listdir(self.folder))
        return {(int(match[1]), int(match[2])) for match in found if match}

    def put(self, number: int, data: bytes) -> None:
        """Keep a finished chunk.

        Raises
        ------
        OutputError
            It cannot be written; nothing of it is left.
        """
        mark = digest(data, self._key)
        with atomic_path(self._path(number, mark), force=True) as draft:
            draft.write_bytes(data)
        self._digests[number] = mark

    def get(self, number: int) -> bytes:
        """Return a finished chunk.

        Raises
        ------
        OutputError
            The file is gone or damaged; a damaged one is removed.
        """
        path = self._path(number, self._digests[number])
        with _telling(path, "read"):
            data = path.read_bytes()
            if digest(data, self._key) == self._digests[number]:
                return data
            path.unlink()
            self._digests[number] = 0
        raise OutputError(f"{path} was damaged and has been removed: run the sweep again to compute chunk {number}")

    def draft(self, suffix: str) -> Path:
        """Return where to write the merged file before it takes its place; it goes with the folder."""
        return self.folder / f".merged.{os.getpid()}{suffix}"

    def remove(self) -> None:
        """Remove the folder and all that is this program's in it, the plan last."""
        with _telling(self.folder, "remove"):
            _empty(self.folder)
            for name in os.listdir(self.folder):
                if name == LOCK or _SHARD.fullmatch(name):
                    (self.folder / name).unlink()
            try:
                self.folder.rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                self.notes.append(f"{self.folder} was kept: it holds files that are not this program's")
        self.close()

    def close(self) -> None:
        """Let go of the lock."""
        self._held.close()

    def _path(self, number: int, mark: int) -> Path:
        return self.folder / f"chunk-{number:08d}-{mark:016x}.parquet"

    def _find(self, verify: bool, shard: Shard | None = None) -> None:
        """Look up what is finished; with `verify` read it all and remove what does not hold."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                match = _CHUNK.fullmatch(entry.name)
                number = int(match[1]) if match else -1
                if match is None or not 0 <= number < self.n_chunks or not _is_in(number, shard):
                    continue
                mark = int(match[2], 16)
                path = self.folder / entry.name
                if verify and digest(path.read_bytes(), self._key) != mark:
                    path.unlink()
                else:
                    self._digests[number] = mark


def _is_in(number: int, shard: Shard | None) -> bool:
    return shard is None or number % shard[1] == shard[0] - 1


def chunk_numbers(n_chunks: int, shard: Shard | None) -> range:
    """Return the numbers of the chunks that a shard (I, N), or the whole sweep, computes."""
    return range(n_chunks) if shard is None else range(shard[0] - 1, n_chunks, shard[1])


def record_of(
    config: Mapping[str, Any], provenance: Mapping[str, Any], n_chunks: int, n_grid: int, replaces: bool = False
) -> dict[str, Any]:
    """Return what `_plan.json` says: enough to resume, merge and refuse what does not belong.

    Parameters
    ----------
    config
        The canonical config without its output path.
    provenance
        The provenance of the final file.
    n_chunks, n_grid
        Numbers of chunks and of grid points.
    replaces
        Whether the sweep was allowed to replace an existing output.
    """
    return {
        "layout": LAYOUT,
        "config": dict(config),
        "n_chunks": n_chunks,
        "n_grid": n_grid,
        "provenance": dict(provenance),
        "replaces": replaces,
    }


def identity(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two sweeps must share to give the same bytes: all of it but comments and spelling of the config."""
    versions = record["provenance"]["versions"]
    functions = record["provenance"].get("functions")
    known = {key: record[key] for key in ("layout", "config", "n_chunks", "n_grid")} | {"versions": versions}
    return known | ({"functions": functions} if functions else {})


def fingerprint(record: Mapping[str, Any]) -> bytes:
    """Return a hash of the `identity`."""
    return hashlib.sha256(json.dumps(identity(record), sort_keys=True).encode()).digest()


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name the keys in which two nested mappings differ, with both values."""
    found = []
    for key in sorted(theirs.keys() | ours.keys()):
        old, new = theirs.get(key), ours.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            there, here = _short(old), _short(new)
            found.append(f"{prefix}{key}" + (f" ({there} there, {here} here)" if there != here else ""))
    return found


def _short(value: Any, width: int = 40) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= width else text[: width - 3] + "..."


def require_same(theirs: Mapping[str, Any], ours: Mapping[str, Any], where: str) -> None:
    """Refuse to go on with another sweep's rows.

    Raises
    ------
    ResumeError
        The identities differ; the keys are named.
    """
    _refuse_differences(identity(theirs), identity(ours), where)


def _refuse_differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], where: str) -> None:
    keys = [name.removeprefix("config.") for name in differences(theirs, ours)]
    if keys:
        raise ResumeError(f"{where} holds another sweep; what differs: {', '.join(keys)}")


def peek(folder: Path) -> dict[str, Any] | None:
    """Return what the plan of a folder says, or None if there is no such folder or no plan in it.

    Raises
    ------
    OutputError
        The plan cannot be read.
    """
    with _telling(folder, "read"):
        return _read_plan(folder) if (folder / PLAN).exists() else None


def require_same_origin(about: Mapping[str, Any], record: Mapping[str, Any], where: str) -> None:
    """Refuse to take a finished file for the one that a sweep would make.

    Raises
    ------
    ResumeError
        The provenance names another config or other package versions; the keys are named.
    """
    there = {"config": about.get("config", {}).get("resolved", {}), "versions": about.get("versions", {})}
    there |= {"functions": about["functions"]} if "functions" in about else {}
    ours = {key: value for key, value in identity(record).items() if key in ("config", "versions", "functions")}
    _refuse_differences(there, ours, where)


def _adopt_plan(folder: Path, record: Mapping[str, Any], keep: bool) -> None:
    """Write the plan, or check that the one there is the same."""
    path = folder / PLAN
    if not keep:
        if any(_CHUNK.fullmatch(name) for name in os.listdir(folder)):
            raise OutputError(f"{folder} holds an unfinished sweep: --resume goes on with it, --force starts again")
        _empty(folder)  # what was stopped before its first chunk
    if not path.exists():
        try:
            with atomic_path(path) as draft:
                draft.write_text(json.dumps(record, indent=1))
        except OutputError:
            if not path.exists():  # else another shard was faster
                raise
    require_same(_read_plan(folder), record, str(folder))


def _read_plan(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / PLAN).read_bytes())
    except FileNotFoundError:
        raise OutputError(f"{folder} holds no sweep") from None
    except (ValueError, RecursionError) as error:
        raise OutputError(f"{folder / PLAN} is damaged: {error}") from error
    if not isinstance(record, dict) or record.get("layout") != LAYOUT:
        raise OutputError(f"{folder / PLAN} was written by another version of this program")
    return record


def _empty(folder: Path) -> None:
    """Remove chunks, drafts and, last, the plan."""
    for name in os.listdir(folder):
        if _CHUNK.fullmatch(name) or _DRAFT.fullmatch(name):
            (folder / name).unlink(missing_ok=True)
    (folder / PLAN).unlink(missing_ok=True)


def _lock(folder: Path, shard: Shard | None, stack: contextlib.ExitStack, *, make: bool) -> list[str]:
    """Hold the folder until `stack` closes: alone, or beside other shards but no second one of the same number."""
    if not make and not (folder / PLAN).exists():
        raise OutputError(f"{folder} holds no sweep")
    kind = fcntl.LOCK_EX if shard is None else fcntl.LOCK_SH
    while True:
        with contextlib.ExitStack() as attempt:
            if make:
                folder.mkdir(exist_ok=True)
            kept, supported = _flock(folder / LOCK, kind, attempt)
            if kept and shard is not None:
                kept, _ = _flock(folder / SHARD_LOCK.format(*shard), fcntl.LOCK_EX, attempt)
            if kept:
                stack.enter_context(attempt.pop_all())
                return [] if supported else [f"{folder.parent} does not support locks: see that no two runs share it"]


def _flock(path: Path, kind: int, stack: contextlib.ExitStack) -> tuple[bool, bool]:
    """Lock a file; return whether it has its name then, and whether the file system knows locks.

    A folder that another process finishes and removes meanwhile takes the name of its lock with it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:
        return False, True
    stack.callback(os.close, descriptor)
    supported = True
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"another process is at work on {path.parent}") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        supported = False
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path)), supported
    except FileNotFoundError:
        return False, supported


@contextlib.contextmanager
def _telling(path: Path, what: str = "write") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot {what} {error.filename or path}: {error.strerror or error}") from error
