"""Final counts of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mfmi.processes.progress import Clock
from mfmi.storage.parquet import Failure, Tally


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
    unit : what is counted in place of chunks.
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
    unit: str = "chunks"

    @property
    def n_failed(self) -> int:
        """Number of rows that are failed or unconverged."""
        return self.statuses.get("failed", 0) + self.statuses.get("unconverged", 0)


@dataclass
class SweepClock(Clock):
    """A clock that knows at last what the run has done."""

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
            unit=self.unit,
        )
