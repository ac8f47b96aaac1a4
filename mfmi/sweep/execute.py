"""Evaluation of the chunks by this process, worker processes or a Dask cluster."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from mfmi.errors import ConfigError
from mfmi.processes.pool import run_processes
from mfmi.processes.threads import has_one_thread
from mfmi.sweep.chunks import Task
from mfmi.sweep.cluster import run_cluster
from mfmi.sweep.plan import Plan


def check_size(plan: Plan, jobs: int, max_points: int | None) -> None:
    """Refuse what should not be started.

    Raises
    ------
    ValueError
        `jobs` is less than 1.
    ConfigError
        The plan has more than `max_points` points.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    n_points = plan.n_grid if plan.n_points is None else plan.n_points
    if max_points is not None and n_points > max_points:
        raise ConfigError(f"the sweep has {n_points} points, more than --max-points {max_points}")


def results(
    task: Task, numbers: Iterable[int], count: int, jobs: int, scheduler: str | None, window: int | None = None
) -> Generator[tuple[int, bytes], None, None]:
    """Evaluate chunks, and yield number and result of each as it is finished.

    Parameters
    ----------
    task
        What to evaluate.
    numbers, count
        Numbers of the chunks, ascending, and how many there are.
    jobs
        Number of worker processes. A single chunk is evaluated here, if the arithmetic is that of a worker.
    scheduler
        Address of a Dask scheduler instead.
    window
        How far a chunk may be started ahead of the oldest unfinished one.
    """
    if scheduler is not None:
        yield from run_cluster(task, numbers, scheduler, window)
    elif count == 1 and has_one_thread():
        for number in numbers:
            yield number, task.run(task.piece(number))
    else:
        yield from run_processes(task, numbers, min(jobs, count), window)
