"""Finished chunks into the one file, whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mfmi.errors import OutputError
from mfmi.processes.progress import OnProgress
from mfmi.storage import parquet as store
from mfmi.storage.atomic import atomic_path, refuse_existing
from mfmi.sweep.parts import Parts, chunk_numbers, folder_of, require_same
from mfmi.sweep.progress import SweepClock, SweepResult

Publish = Callable[[Iterator[store.Block], Mapping[str, Any], bool], None]


def merge_parts(
    output: str | os.PathLike[str],
    folders: Sequence[str | os.PathLike[str]] = (),
    *,
    force: bool = False,
    on_progress: OnProgress | None = None,
    publish: Publish | None = None,
) -> SweepResult:
    """Make one file of the chunks that shards have finished, and remove their folders.

    Parameters
    ----------
    output
        The file.
    folders
        Folders of parts of one sweep; ``OUTPUT.parts`` by default.
    force, on_progress, publish
        As for `run_sweep`.

    Raises
    ------
    OutputError
        Chunks are missing (they are named, with their shards), a shard is still at work, the file exists, or something
        cannot be read or written.
    ResumeError
        The folders belong to different sweeps.
    """
    refuse_existing(output, force)
    with contextlib.ExitStack() as stack:
        found = [
            stack.enter_context(contextlib.closing(Parts.open(Path(folder))))
            for folder in folders or [folder_of(output)]
        ]
        for other in found[1:]:
            require_same(other.record, found[0].record, str(other.folder))
        if found[0].record["config"].get("sweep.mode") == "adaptive":
            message = "an adaptive sweep has no shares to be merged: mfmi sweep --resume goes on with it to its end"
            raise OutputError(f"cannot merge {found[0].folder}: {message}")
        _require_complete(found)
        clock = SweepClock(on_progress, found[0].n_chunks)
        clock.resumed = clock.done = clock.n_chunks
        tally = merge(found, output, force, clock, publish)
        notes = [note for parts in found for note in parts.notes]
        return clock.result(tally, complete=True, path=Path(output), notes=notes)


def merge(
    folders: Sequence[Parts],
    output: str | os.PathLike[str],
    force: bool,
    clock: SweepClock,
    publish: Publish | None,
    n_chunks: int | None = None,
) -> store.Tally:
    """Write all chunks in order, then remove the folders.

    Parameters
    ----------
    folders
        Open folders that hold all chunks between them.
    output, force, publish
        As for `run_sweep`.
    clock
        Where the progress goes.
    n_chunks
        How many chunks there are, if it is not what the folder says.

    Returns
    -------
    Tally
        Counts of the rows written.
    """
    tally = store.Tally()
    about = folders[0].record["provenance"]
    tables = _tables(folders, folders[0].n_chunks if n_chunks is None else n_chunks, clock, tally)
    if publish is not None:
        publish((store.to_block(table) for table in tables), about, force)
    else:
        _publish_parquet(tables, about, folders[0].draft(".parquet"), output, force)
    for parts in folders:
        parts.remove()
    return tally


def _tables(folders: Sequence[Parts], n_chunks: int, clock: SweepClock, tally: store.Tally) -> Iterator[store.Table]:
    for number in range(n_chunks):
        holder = next(parts for parts in folders if number in parts)
        table = store.decode(holder.get(number))
        tally.add(table)
        yield table
        clock.tell("merge", number + 1)


def _publish_parquet(
    tables: Iterator[store.Table], about: Mapping[str, Any], draft: Path, output: str | os.PathLike[str], force: bool
) -> None:
    """Write beside the chunks, so that a draft that a kill leaves goes with them, and move it into place."""
    try:
        store.write_tables(draft, tables, about)
        with atomic_path(output, force) as place:
            os.replace(draft, place)
    except OSError as error:
        raise OutputError(f"cannot write {os.fspath(output)}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def tally_of(parts: Parts, numbers: range) -> store.Tally:
    """Count the rows of some chunks of a folder."""
    tally = store.Tally()
    for number in numbers:
        tally.add(store.decode(parts.get(number)))
    return tally


def _require_complete(folders: Sequence[Parts]) -> None:
    n_chunks = folders[0].n_chunks
    missing = [number for number in range(n_chunks) if not any(number in parts for parts in folders)]
    if not missing:
        return
    shares = sorted({shard for parts in folders for shard in parts.shards()})
    incomplete = [
        f"{i}/{n}"
        for n in sorted({n for _, n in shares})
        for i in range(1, n + 1)
        if not set(chunk_numbers(n_chunks, (i, n))).isdisjoint(missing)
    ]
    what = f"{len(missing)} of {n_chunks} chunks are missing ({_some(missing)})"
    whose = f", those of shard {_some(incomplete)}" if incomplete else ""
    raise OutputError(f"cannot merge {folders[0].folder}: {what}{whose}")


def _some(things: Sequence[int | str], shown: int = 5) -> str:
    return ", ".join(map(str, things[:shown])) + (", ..." if len(things) > shown else "")
