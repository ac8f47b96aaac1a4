"""Chunks evaluated by worker processes, each with one BLAS thread, that can be killed at any moment without loss."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from mfmi.errors import MfmiError, MfmiWarning, OutputError, place_of
from mfmi.processes.agenda import Agenda
from mfmi.processes.cache_folder import cache_directory
from mfmi.processes.progress import Relay, running, watching
from mfmi.processes.threads import ONE_THREAD

Result = tuple[int, bytes]

# Seconds that work within a piece takes before it is told of, and between two reports of it.
_TELL_EVERY = 0.5


class Work(Protocol):
    """Numbered pieces of work, such as the chunks of a `mfmi.sweep.chunks.Task`."""

    def pickled(self) -> bytes:
        """Return the work for a worker."""
        ...

    def names(self, number: int, /) -> str:
        """Name what piece `number` is about, for a message."""
        ...

    def piece(self, number: int, /) -> Any:
        """Return what a worker has to be told to do piece `number`, such as the number itself."""
        ...

    def run(self, piece: Any, /) -> bytes:
        """Do a piece."""
        ...


def available_cpus() -> int:
    """Return the number of processors that this process may use, which a cluster's scheduler may have cut down."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_processes(task: Work, numbers: Iterable[int], jobs: int, window: int | None = None) -> Iterator[Result]:
    """Evaluate chunks in worker processes.

    A chunk whose worker dies is tried once more in a fresh process. Closing the iterator, or an exception in it, kills
    the workers at once; they also end by themselves when this process dies.

    Parameters
    ----------
    task
        What to do; chunks stand for its pieces.
    numbers
        Numbers of the chunks, ascending; read as workers become free. After the last one it is asked again whenever a
        chunk is finished, and may go on.
    jobs
        Number of workers, each with one chunk at a time.
    window
        Chunks are only started while they are less than this ahead of the oldest unfinished one, so that a reader who
        wants them in order holds no more than `window`. No limit by default.

    Yields
    ------
    tuple of int and bytes
        Number and result (`Work.run`) of each chunk, in the order in which they are finished.

    Raises
    ------
    OutputError
        A chunk lost its worker twice, or exhausted the memory twice.
    RuntimeError
        The worker met a bug.
    """
    cache_directory()  # warns here, once, of what every worker would find
    pool = _Pool(task, Agenda(numbers, window), jobs)
    try:
        yield from pool.results()
    finally:
        pool.kill()


class _Worker:
    """A process that evaluates the chunks whose numbers it is sent."""

    def __init__(self, task: bytes) -> None:
        self.connection, theirs = Pipe(duplex=True)
        self.number: int | None = None
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from mfmi.processes.pool import serve; serve({theirs.fileno()})"
        )
        messages = subprocess.DEVNULL if sys.stderr is None else 2
        # Ctrl-C reaches the whole foreground group; blocked here and so inherited, it is this process that decides.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=messages,  # rows may be on their way to standard output
                stderr=messages,
                pass_fds=[theirs.fileno()],
                env=os.environ | ONE_THREAD,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
        self._send(task)

    def give(self, number: int, piece: Any) -> None:
        self.number = number
        self._send(pickle.dumps((number, piece)))

    def _send(self, message: bytes) -> None:
        try:
            self.connection.send_bytes(message)
        except OSError:
            return  # it is dead already, and receiving from it will say so

    def receive(self) -> tuple[str, Any]:
        try:
            outcome: tuple[str, Any] = pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            return "lost", self._cause_of_death()
        return outcome

    def _cause_of_death(self) -> str:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"left with exit code {code}"

    def kill(self) -> None:
        self.process.kill()
        self.connection.close()
        self.process.wait()


class _Pool:
    def __init__(self, task: Work, agenda: Agenda, jobs: int) -> None:
        self._task = task
        self._pickled = task.pickled()
        self._agenda = agenda
        self._jobs = jobs
        self._workers: list[_Worker] = []
        self._relay = Relay()

    def results(self) -> Iterator[Result]:
        while True:
            self._occupy()
            busy = {worker.connection: worker for worker in self._workers if worker.number is not None}
            if not busy:
                return
            for ready in wait(list(busy)):
                worker = busy[ready]  # type: ignore[index]
                number = worker.number
                assert number is not None
                kind, value = worker.receive()
                if kind == "doing":
                    self._relay.tell(worker, value)
                    continue
                self._relay.tell(worker, None)
                if kind == "done":
                    worker.number = None
                    self._agenda.finish(number)
                    self._occupy()
                    yield number, value
                else:
                    self._mend(worker, number, kind, value)

    def _occupy(self) -> None:
        """Give every idle worker a chunk, and start workers while there are chunks for them."""
        idle = [worker for worker in self._workers if worker.number is None]
        while idle or len(self._workers) < self._jobs:
            number = self._agenda.start()
            if number is None:
                return
            if not idle:
                self._workers.append(_Worker(self._pickled))
                idle.append(self._workers[-1])
            idle.pop().give(number, self._task.piece(number))

    def _mend(self, worker: _Worker, number: int, kind: str, value: Any) -> None:
        """Replace a worker that was lost with its chunk, or raise what it met."""
        if kind == "raised":
            raise value
        self._workers.remove(worker)
        worker.kill()
        if not self._agenda.lose(number):
            raise OutputError(f"the worker process {value} twice on {self._task.names(number)} (chunk {number})")

    def kill(self) -> None:
        self._relay.close()
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.kill()


def serve(descriptor: int) -> None:
    """Evaluate chunks for the process at the other end of a socket, until it goes away.

    Parameters
    ----------
    descriptor
        File descriptor of the socket; first the pickled task comes in, then a piece at a time.
    """
    warnings.simplefilter("ignore", MfmiWarning)
    connection = Connection(descriptor)
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # Reading apart from computing notices at once that nobody waits for the result any more.
    threading.Thread(target=_listen, args=(connection, messages), daemon=True).start()
    pickled = messages.get()
    task: Work | None = None
    while True:
        number, piece = pickle.loads(messages.get())
        try:
            work: Work = task or pickle.loads(pickled)
            task = work
            with watching(_Teller(connection).notice):
                outcome: tuple[str, Any] = ("done", work.run(piece))
        except MemoryError:
            outcome = ("lost", "ran out of memory")
        except Exception as error:
            outcome = ("raised", _portable(error, number))
        try:
            connection.send_bytes(pickle.dumps(outcome))
        except OSError:
            os._exit(0)  # nobody is there to receive it


class _Teller:
    """Tells the process at the other end of long work that goes on within a piece, such as a compilation."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._told = 0.0
        self._is_known = False

    def notice(self, over: bool) -> None:
        """Tell how far the innermost work is, not too often, and that it is over."""
        work, now = running()[-1], time.monotonic()
        if over:
            if self._is_known:
                self._send(None)
        elif now - max(self._told, work.began) >= _TELL_EVERY:
            self._told = now
            self._send((work.name, work.total, work.unit, work.done, now - work.began))

    def _send(self, work: tuple[Any, ...] | None) -> None:
        self._is_known = work is not None
        try:
            self._connection.send_bytes(pickle.dumps(("doing", work)))
        except OSError:
            os._exit(0)  # nobody is there to receive it


def _listen(connection: Connection, messages: queue.SimpleQueue[bytes]) -> None:
    while True:
        try:
            messages.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)


def _portable(error: Exception, number: int) -> Exception:
    """Return an exception that survives pickling and carries its origin."""
    if isinstance(error, MfmiError):
        return type(error)(str(error))
    trace = "".join(traceback.format_exception(error))
    bug = RuntimeError(f"chunk {number}: {type(error).__name__}: {error} ({place_of(error)})")
    bug.add_note(f"In the worker process:\n{trace}")
    return bug
