"""Files that appear whole or not at all."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from mfmi.errors import OutputError

_drafts: set[Path] = set()


def refuse_existing(path: str | os.PathLike[str], force: bool, ways: str = "--force replaces it") -> None:
    """Raise if a file is in the way, so that nobody computes for an hour only to be refused at the end.

    Parameters
    ----------
    path
        Where the output is to go. Devices and pipes are never in the way; a directory always is.
    force
        Whether an existing regular file may be replaced.
    ways
        How to get past it, for the message.

    Raises
    ------
    OutputError
        The path is a directory, or a file that may not be replaced, or cannot be looked at.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"cannot write {os.fspath(path)}: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise OutputError(f"cannot write {os.fspath(path)}: it is a directory")
    if stat.S_ISREG(mode) and not force:
        raise OutputError(f"{os.fspath(path)} exists: {ways}")


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], force: bool = False) -> Iterator[Path]:
    """Yield a new empty file beside `path` to be written, and move it there when the block ends well.

    The file is synced before it takes its name and removed when the block raises, so a reader sees the old file, the
    whole new one, or none. Links are followed. A device or pipe is yielded as it is.

    Parameters
    ----------
    path
        The final name.
    force
        Replace an existing file. Without it a file that turns up while the block runs is not overwritten either.

    Yields
    ------
    pathlib.Path
        The file to write: in the same directory, with the same suffix.

    Raises
    ------
    OutputError
        As `refuse_existing`, and for every `OSError` about a file that cannot be created, written or moved.
    """
    refuse_existing(path, force)
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target
        return
    draft = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        _drafts.add(draft)
        try:
            yield draft
            _sync(draft)
            _publish(draft, target, force)
        finally:
            draft.unlink(missing_ok=True)
            _drafts.discard(draft)
        _sync(target.parent)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from error


def discard_drafts() -> None:
    """Remove what is being written, for a program that ends without leaving its blocks."""
    for draft in tuple(_drafts):
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _publish(draft: Path, target: Path, force: bool) -> None:
    """Give the finished draft its name; a hard link, unlike a rename, fails where a file has turned up meanwhile."""
    if not force:
        try:
            os.link(draft, target)
        except FileExistsError as error:
            raise OutputError(f"{target} exists: it was made while this ran") from error
        except OSError:
            refuse_existing(target, force)  # no hard links on this file system
        else:
            return
    os.replace(draft, target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
