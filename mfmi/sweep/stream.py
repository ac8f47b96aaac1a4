"""The rows of a sweep in order, for a pipe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mfmi.processes.progress import OnProgress
from mfmi.storage import parquet as store
from mfmi.sweep.adaptive import AdaptivePlan, AdaptiveTask, Rounds
from mfmi.sweep.chunks import Evaluate, Task, provenance_of
from mfmi.sweep.execute import check_size, results
from mfmi.sweep.plan import Plan
from mfmi.sweep.progress import SweepClock, SweepResult


class SweepStream:
    """The rows of a plan in order, as they are finished; nothing touches the disk.

    Parameters
    ----------
    plan, jobs, scheduler, max_points, on_progress, evaluate
        As for `run_sweep`.

    Attributes
    ----------
    result : what was done, once the iteration has ended; None before.
    """

    about: dict[str, Any]

    def __init__(
        self,
        plan: Plan,
        *,
        jobs: int = 1,
        scheduler: str | None = None,
        max_points: int | None = None,
        on_progress: OnProgress | None = None,
        evaluate: Evaluate | None = None,
    ) -> None:
        check_size(plan, jobs, max_points)
        self.result: SweepResult | None = None
        self.about = provenance_of(plan)
        self._task = Task(plan, evaluate)
        self._jobs = jobs
        self._scheduler = scheduler
        self._on_progress = on_progress

    def __iter__(self) -> Iterator[store.Block]:
        """Evaluate the plan; yield a block of rows per chunk."""
        plan, task = self._task.plan, self._task
        rounds = Rounds(plan) if isinstance(plan, AdaptivePlan) else None
        if rounds is not None:
            task = AdaptiveTask.of(rounds, task.evaluate)
            clock = SweepClock(self._on_progress, rounds.plan.n_points, "points")
        else:
            clock = SweepClock(self._on_progress, plan.n_chunks)
        tally = store.Tally()
        held: dict[int, bytes] = {}
        following = 0
        window = 4 * self._jobs + 8
        numbers = range(clock.n_chunks) if rounds is None else rounds
        finished = results(task, numbers, clock.n_chunks, self._jobs, self._scheduler, window)
        with clock.begun("evaluate"), contextlib.closing(finished):
            for number, data in finished:
                clock.finish(store.rows_of(data), 1 if rounds is None else len(rounds.lot(number).places))
                if rounds is not None:
                    rounds.tell(number, data)
                held[number] = data
                while following in held:
                    table = store.decode(held.pop(following))
                    tally.add(table)
                    following += 1
                    yield store.to_block(table)
        notes = [] if rounds is None else [rounds.note]
        clock.n_chunks = clock.done
        self.result = clock.result(tally, complete=True, path=None, notes=notes)
