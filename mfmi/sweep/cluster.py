"""Chunks evaluated by the workers of a running Dask cluster; the results come back here to be written."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import pickle
import queue
import time
from collections.abc import Iterable, Iterator
from typing import Any

from mfmi.errors import MfmiError, OutputError, place_of
from mfmi.processes.agenda import Agenda
from mfmi.storage.provenance import package_versions
from mfmi.sweep.chunks import Task

CONNECT_SECONDS = 10
# Every worker thread has one chunk at work and one waiting, so that none idles while a result travels.
CHUNKS_PER_THREAD = 2
LEAST_IN_FLIGHT = 8
POLL_SECONDS = 0.2
COUNT_SECONDS = 5.0


def run_cluster(
    task: Task, numbers: Iterable[int], address: str, window: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """Evaluate chunks on a Dask cluster.

    A chunk whose worker is lost goes to another one, as often as the scheduler allows. Workers may come and go. They
    need this package in the same version, and one BLAS thread each, which Dask gives them by default.

    Parameters
    ----------
    task
        What to evaluate.
    numbers
        Numbers of the chunks, ascending; a few more than there are worker threads are on their way at a time.
    address
        Address of the scheduler, such as ``tcp://127.0.0.1:8786``.
    window
        How far a chunk may be started ahead of the oldest unfinished one; no limit by default.

    Yields
    ------
    tuple of int and bytes
        Number and result (`Task.run`) of each chunk, in the order in which they are finished.

    Raises
    ------
    OutputError
        Dask is not installed, the scheduler cannot be reached or goes away, or a chunk has lost too many workers.
    RuntimeError
        A worker met a bug.
    """
    with contextlib.closing(_Cluster(task, Agenda(numbers, window), address)) as cluster:
        yield from cluster.results()


@functools.lru_cache(maxsize=2)
def _task(pickled: bytes, versions: str) -> Task:
    here = json.dumps(package_versions())
    if here != versions:
        raise OutputError(f"a worker of the cluster has other package versions: {here} there, {versions} here")
    task = pickle.loads(pickled)
    assert isinstance(task, Task)
    return task


def evaluate_remotely(pickled: bytes, versions: str, piece: Any) -> bytes:
    """Evaluate a chunk in a Dask worker, if its packages are those of the one who asks."""
    return _task(pickled, versions).run(piece)


class _Cluster:
    def __init__(self, task: Task, agenda: Agenda, address: str) -> None:
        self._task = task
        self._shipped = (task.pickled(), json.dumps(package_versions()))
        self._agenda = agenda
        self._address = address
        self._client = _connect(address)
        # A key that another sweep has used would give its result.
        self._run = hashlib.sha256(self._shipped[0] + str(time.time_ns()).encode()).hexdigest()[:16]
        self._arrived: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._in_flight: dict[int, Any] = {}
        self._threads = 0
        self._counted = -COUNT_SECONDS

    def results(self) -> Iterator[tuple[int, bytes]]:
        while self._submit():
            try:
                number, future = self._arrived.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if self._client.status != "running":
                    raise OutputError(f"the scheduler at {self._address} has gone away") from None
                continue
            data = self._received(number, future)
            del self._in_flight[number]
            future.release()
            self._agenda.finish(number)
            self._submit()
            yield number, data

    def _submit(self) -> bool:
        """Send out as many chunks as the cluster can take; return whether there are any on their way."""
        while len(self._in_flight) < self._capacity():
            number = self._agenda.start()
            if number is None:
                break
            key = f"mfmi-{self._run}-{number}"
            future = self._client.submit(
                evaluate_remotely, *self._shipped, self._task.piece(number), key=key, pure=False
            )
            self._in_flight[number] = future
            future.add_done_callback(functools.partial(self._note, number))
        return bool(self._in_flight)

    def _note(self, number: int, future: Any) -> None:
        self._arrived.put((number, future))

    def _capacity(self) -> int:
        if time.monotonic() - self._counted > COUNT_SECONDS:
            self._threads = sum(self._client.nthreads().values())
            self._counted = time.monotonic()
        return max(LEAST_IN_FLIGHT, CHUNKS_PER_THREAD * self._threads)

    def _received(self, number: int, future: Any) -> bytes:
        from distributed.scheduler import KilledWorker

        try:
            data: bytes = future.result()
        except KilledWorker:
            where = f"{self._task.names(number)} (chunk {number})"
            raise OutputError(f"every worker that was given {where} was lost") from None
        except MfmiError:
            raise
        except Exception as error:
            if future.status == "error":
                place = place_of(error)
                raise RuntimeError(f"chunk {number}: {type(error).__name__}: {error} ({place})") from error
            raise OutputError(f"the scheduler at {self._address} has gone away") from error
        return data

    def close(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self._client.cancel(list(self._in_flight.values()), force=True)
        self._client.close(timeout=2)


def _connect(address: str) -> Any:
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise OutputError("a Dask scheduler needs the extra dask: pip install 'mfmi[dask]'") from error
    try:
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot reach the scheduler at {address}: {str(error).splitlines()[0]}") from error
