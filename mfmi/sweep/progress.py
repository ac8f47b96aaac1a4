"""Progress and final counts of a sweep."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mfmi.storage.parquet import Failure, Tally

PROGRESS_INTERVAL = 0.1


@dataclass(frozen=True)
class Progress:
    """Progress of a sweep.

    Attributes
    ----------
    stage : "evaluate", or "merge" while the finished chunks become one file.
    chunks_done, n_chunks : chunks of this run, those of an earlier one included.
    rows : rows of the chunks that this run has finished.
    seconds : since the run began.
    """

    stage: str
    chunks_done: int
    n_chunks: int
    rows: int
    seconds: float


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class SweepResult:
    """Counts of a finished run.

    Attributes
    ----------
    rows, points : of the whole file; of the shard for a shard.
    seconds : wall time.
    rows_per_second : rows computed by this run over the time it took to compute them; NaN if it computed none.
    statuses, phases : rows by status, points by phase.
    failures : of the first three points with failed or unconverged rows, the first such row.
    n_chunks, resumed_chunks : all chunks, and those that an earlier run had finished.
    complete : whether the file is there; False for a shard.
    path : the file, or the folder of parts for a shard; None for a stream.
    notes : what the user should know.
    """

    rows: int
    points: int
    seconds: float
    rows_per_second: float
    statuses: Mapping[str, int]
    phases: Mapping[str, int]
    failures: Sequence[Failure]
    n_chunks: int
    resumed_chunks: int
    complete: bool
    path: Path | None
    notes: Sequence[str] = ()

    @property
    def n_failed(self) -> int:
        """Number of rows that are failed or unconverged."""
        return self.statuses.get("failed", 0) + self.statuses.get("unconverged", 0)


@dataclass
class Clock:
    """Counts and reports progress, at most every `PROGRESS_INTERVAL`."""

    on_progress: OnProgress | None
    n_chunks: int
    resumed: int = 0
    done: int = 0
    rows: int = 0
    began: float = field(default_factory=time.monotonic)
    evaluated: float = 0.0
    _told: float = 0.0

    @property
    def seconds(self) -> float:
        """Time since the run began."""
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Rows per second of computing; NaN before the first chunk."""
        return self.rows / self.evaluated if self.evaluated else float("nan")

    def finish(self, rows: int) -> None:
        """Note a chunk that this run has computed."""
        self.done += 1
        self.rows += rows
        self.evaluated = self.seconds
        self.tell("evaluate", self.done)

    def tell(self, stage: str, done: int) -> None:
        """Report, unless that was done just now."""
        now = time.monotonic()
        if self.on_progress and (now - self._told >= PROGRESS_INTERVAL or done == self.n_chunks):
            self._told = now
            self.on_progress(Progress(stage, done, self.n_chunks, self.rows, self.seconds))

    def result(self, tally: Tally, *, complete: bool, path: Path | None, notes: Sequence[str]) -> SweepResult:
        """Return what the run has done."""
        return SweepResult(
            rows=tally.rows,
            points=tally.points,
            seconds=self.seconds,
            rows_per_second=self.rate,
            statuses=dict(tally.statuses),
            phases=dict(tally.phases),
            failures=tuple(tally.failures),
            n_chunks=self.n_chunks,
            resumed_chunks=self.resumed,
            complete=complete,
            path=path,
            notes=tuple(notes),
        )
