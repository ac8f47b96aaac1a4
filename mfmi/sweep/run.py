"""Sweeps from plan to file: run, resume, shards."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mfmi.errors import OutputError, ResumeError
from mfmi.processes.progress import OnProgress
from mfmi.storage import parquet as store
from mfmi.storage.atomic import refuse_existing
from mfmi.sweep.adaptive import AdaptivePlan, AdaptiveTask, Rounds
from mfmi.sweep.chunks import Evaluate, Task, provenance_of
from mfmi.sweep.execute import check_size, results
from mfmi.sweep.merge import Publish, merge, tally_of
from mfmi.sweep.parts import Parts, Shard, chunk_numbers, folder_of, peek, record_of, require_same_origin
from mfmi.sweep.plan import Plan
from mfmi.sweep.progress import SweepClock, SweepResult


class SweepInterrupted(KeyboardInterrupt):
    """A sweep that a signal has stopped, with everything finished kept.

    Attributes
    ----------
    signum : the signal.
    parts : the folder of finished chunks.
    chunks_done, n_chunks : how far it came.
    unit : what these count in place of chunks.
    """

    def __init__(self, signum: int, parts: Path, chunks_done: int, n_chunks: int, unit: str = "chunks") -> None:
        super().__init__(signum)
        self.unit = unit
        self.signum = signum
        self.parts = parts
        self.chunks_done = chunks_done
        self.n_chunks = n_chunks


def run_sweep(
    plan: Plan,
    output: str | os.PathLike[str],
    *,
    jobs: int = 1,
    resume: bool = False,
    shard: Shard | None = None,
    scheduler: str | None = None,
    force: bool = False,
    max_points: int | None = None,
    on_progress: OnProgress | None = None,
    publish: Publish | None = None,
    evaluate: Evaluate | None = None,
) -> SweepResult:
    """Evaluate a plan into a file that appears whole or not at all.

    The bytes of the file depend on the plan and the versions of the packages alone. Finished chunks are kept in
    ``OUTPUT.parts`` until the file is there, whatever stops the run.

    Parameters
    ----------
    plan
        The plan.
    output
        The file, Parquet unless `publish` makes something else of the rows.
    jobs
        Number of worker processes.
    resume
        Go on with what an earlier run has left.
    shard
        (I, N), I from 1 to N: compute every N-th chunk only and leave the merge to `merge_parts`.
    scheduler
        Address of a running Dask scheduler, whose workers take the place of `jobs`.
    force
        Replace an existing file, and throw away what an earlier run has left.
    max_points
        Refuse a plan with more points.
    on_progress
        Called at most ten times a second.
    publish
        Writes blocks of rows with their provenance, atomically and replacing a file only if the third argument allows
        it, in place of the Parquet file at `output`.
    evaluate
        Stand-in for `mfmi.bounds.evaluate.evaluate_points`; a module-level function.

    Raises
    ------
    ConfigError
        More points than `max_points`.
    OutputError
        The file exists or cannot be written, another run is at work on it, a worker was lost twice on one chunk, or
        the scheduler cannot be reached. Finished chunks are kept.
    ResumeError
        What is there belongs to another config or other package versions.
    SweepInterrupted
        A signal came as KeyboardInterrupt. Finished chunks are kept.
    """
    _check_arguments(plan, jobs, resume, shard, force, max_points)
    if isinstance(plan, AdaptivePlan):
        clock = SweepClock(on_progress, plan.n_points, "points")
    else:
        clock = SweepClock(on_progress, len(chunk_numbers(plan.n_chunks, shard)))
    record = _record(plan, replaces=force)
    finished = _finished(output, record, resume, force)
    if finished is not None:
        clock.resumed = clock.n_chunks
        return clock.result(finished, complete=True, path=Path(output), notes=[])
    parts = Parts.create(folder_of(output), record, shard=shard, resume=resume, force=force)
    with contextlib.closing(parts), _resumable(parts, clock, shard is not None):
        if isinstance(plan, AdaptivePlan):
            return _refine(parts, plan, output, jobs, scheduler, clock, force, publish, evaluate)
        clock.resumed = clock.done = sum(number in parts for number in chunk_numbers(plan.n_chunks, shard))
        _fill(parts, Task(plan, evaluate), shard, jobs, scheduler, clock)
        if shard is not None:
            tally = tally_of(parts, chunk_numbers(plan.n_chunks, shard))
            return clock.result(tally, complete=False, path=parts.folder, notes=parts.notes)
        tally = merge([parts], output, bool(parts.record["replaces"]) or force, clock, publish)
        return clock.result(tally, complete=True, path=Path(output), notes=parts.notes)


def _check_arguments(
    plan: Plan, jobs: int, resume: bool, shard: Shard | None, force: bool, max_points: int | None
) -> None:
    check_size(plan, jobs, max_points)
    if shard is not None and isinstance(plan, AdaptivePlan):
        raise ValueError("an adaptive sweep has no shards: each round follows from all rows of the one before")
    if shard is not None and not 1 <= shard[0] <= shard[1]:
        raise ValueError(f"shard must be I/N with I from 1 to N, got {shard[0]}/{shard[1]}")
    if resume and force:
        raise ValueError("resume and force contradict each other")
    if shard is not None and force:
        raise ValueError("force would throw away what the other shards have done; remove the folder of parts yourself")


def _record(plan: Plan, replaces: bool) -> dict[str, Any]:
    # Of an adaptive sweep the number of chunks follows from its rows; there are no more than points.
    n_chunks = plan.n_points if isinstance(plan, AdaptivePlan) else plan.n_chunks
    return record_of(plan.config.canonical(), provenance_of(plan), n_chunks, plan.n_grid, replaces)


def _finished(
    output: str | os.PathLike[str], record: Mapping[str, Any], resume: bool, force: bool
) -> store.Tally | None:
    """Deal with an existing output: None if the sweep is to run, counts of its rows if it has run already."""
    path = Path(output)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OutputError(f"cannot write {path}: it is not a regular file; stream the rows with -o -")
    if not resume or not path.is_file():
        refuse_existing(output, force, "--force replaces it, --resume keeps it if it is this sweep's")
        return None
    folder = folder_of(output)
    unfinished = peek(folder)
    try:
        require_same_origin(store.read_provenance(output), record, os.fspath(output))
    except (OutputError, ResumeError):
        if unfinished is not None and unfinished["replaces"]:
            return None
        raise
    tally = store.Tally()
    for batch in store.read_batches(output, store.TALLIED):
        tally.add(batch)
    if unfinished is not None:  # the run before was stopped between its last two steps
        Parts.open(folder).remove()
    return tally


def _fill(parts: Parts, task: Task, shard: Shard | None, jobs: int, scheduler: str | None, clock: SweepClock) -> None:
    """Compute the chunks that are not there yet."""
    numbers = (number for number in chunk_numbers(parts.n_chunks, shard) if number not in parts)
    found = contextlib.closing(results(task, numbers, clock.n_chunks - clock.done, jobs, scheduler))
    with clock.begun("evaluate"), found as finished:
        for number, data in finished:
            parts.put(number, data)
            clock.finish(store.rows_of(data))


def _refine(
    parts: Parts,
    plan: AdaptivePlan,
    output: str | os.PathLike[str],
    jobs: int,
    scheduler: str | None,
    clock: SweepClock,
    force: bool,
    publish: Publish | None,
    evaluate: Evaluate | None,
) -> SweepResult:
    """Compute the rounds of an adaptive sweep, as far as they are not there yet, and merge their chunks."""

    def kept(number: int) -> bytes | None:
        data = parts.get(number) if number in parts else None
        if data is not None:
            clock.resumed += len(rounds.lot(number).places)
            clock.done += len(rounds.lot(number).places)
        return data

    rounds = Rounds(plan, kept)
    # The first round may be there whole, and so on: how many chunks are left is not known before.
    task = AdaptiveTask.of(rounds, evaluate)
    found = contextlib.closing(results(task, rounds, plan.n_points, jobs, scheduler))
    with clock.begun("evaluate"), found as finished:
        for number, data in finished:
            parts.put(number, data)
            clock.finish(store.rows_of(data), len(rounds.lot(number).places))
            rounds.tell(number, data)
    clock.n_chunks = clock.done
    tally = merge([parts], output, bool(parts.record["replaces"]) or force, clock, publish, rounds.n_chunks)
    return clock.result(tally, complete=True, path=Path(output), notes=[*parts.notes, rounds.note])


@contextlib.contextmanager
def _resumable(parts: Parts, clock: SweepClock, shared: bool) -> Iterator[None]:
    """Say on exit what is kept, and remove the folder if nothing is."""
    try:
        yield
    except KeyboardInterrupt as stop:
        signum = getattr(stop, "signum", signal.SIGINT)
        raise SweepInterrupted(signum, parts.folder, clock.done, clock.n_chunks, clock.unit) from stop
    except Exception as error:
        if not clock.done and not shared:
            parts.remove()
        if not clock.done or not isinstance(error, OutputError):
            raise
        kept = f"{clock.done} of {clock.n_chunks} {clock.unit} are kept, --resume goes on with them"
        raise OutputError(f"{error}; {kept}") from error
