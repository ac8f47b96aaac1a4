"""Sweeps on a real Dask cluster on the loopback: a scheduler and two worker processes, one of them killed."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_sweep import HERE, FakePlan, dies, picky, rows, slow

from mfmi.errors import OutputError
from mfmi.processes.progress import Progress
from mfmi.sweep import cluster
from mfmi.sweep.run import run_sweep
from mfmi.sweep.stream import SweepStream

ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(HERE),  # the evaluators stand there
    "DASK_DISTRIBUTED__ADMIN__LOG_FORMAT": "%(message)s",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
}


class Cluster:
    """A scheduler and workers without nannies, as processes of their own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.address = self._said(self.scheduler, r"Scheduler at:\s+(tcp://\S+)")
        self.workers: list[subprocess.Popen[str]] = []

    def add_worker(self) -> None:
        self.workers.append(
            self._start(
                "worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"
            )
        )

    def wait(self) -> None:
        for worker in self.workers:
            self._said(worker, r"(Registered to)")

    def _start(self, what: str, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", what, *options],
            cwd=self.folder,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        return process

    def _said(self, process: subprocess.Popen[str], pattern: str) -> str:
        assert process.stderr is not None
        heard = []
        for line in process.stderr:
            heard.append(line)
            found = re.search(pattern, line)
            if found:
                return found[1]
        raise AssertionError("".join(heard))


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        made = Cluster(folder, stack)
        made.add_worker()
        made.add_worker()
        made.wait()
        yield made


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "dask").mkdir()
    with running(tmp_path / "dask") as made:
        yield made


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Lost connections are what these tests are about."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("expected") / "out.parquet"
    run_sweep(FakePlan(n_grid=120), path, evaluate=rows)
    return sha256(path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.thorough
def test_a_worker_of_the_cluster_is_killed_in_the_middle(tmp_path: Path, two_workers: Cluster, expected: str) -> None:
    out = tmp_path / "out.parquet"
    killed = []

    def kill(progress: Progress) -> None:
        if progress.chunks_done >= 3 and not killed:
            two_workers.workers[0].kill()
            killed.append(progress.chunks_done)

    result = run_sweep(FakePlan(n_grid=120), out, scheduler=two_workers.address, evaluate=slow, on_progress=kill)
    assert 3 <= killed[0] < 24
    assert result.n_chunks == 24
    assert sha256(out) == expected
    assert two_workers.workers[1].poll() is None
    stream = SweepStream(FakePlan(n_grid=60), scheduler=two_workers.address, evaluate=picky)
    points = [int(point) for block in stream for point in block["point"]]
    assert points == sorted(points)
    assert stream.result is not None
    assert stream.result.statuses == {"ok": 147, "unconverged": 3, "failed": 6}


def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(OutputError, match=f"cannot reach the scheduler at {address}: .*") as caught:
            run_sweep(FakePlan(), tmp_path / "out.parquet", scheduler=address, evaluate=rows)
        assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(OutputError, match=r"pip install 'mfmi\[dask\]'"):
        run_sweep(FakePlan(), tmp_path / "out.parquet", scheduler="tcp://127.0.0.1:1", evaluate=rows)


@pytest.mark.slow
def test_points_that_kill_every_worker_are_named_and_the_rest_is_kept(
    tmp_path: Path, two_workers: Cluster, expected: str
) -> None:
    out = tmp_path / "out.parquet"
    for _ in range(2):
        two_workers.add_worker()
    with pytest.raises(OutputError, match=r"every worker that was given points 15 to 19 \(chunk 3\) was lost"):
        run_sweep(FakePlan(n_grid=120), out, scheduler=two_workers.address, evaluate=dies)
    assert not out.exists()
    run_sweep(FakePlan(n_grid=120), out, evaluate=rows, resume=True)
    assert sha256(out) == expected


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_the_scheduler_goes_away_and_the_sweep_is_finished_without_it(
    tmp_path: Path, two_workers: Cluster, expected: str, signum: signal.Signals
) -> None:
    out = tmp_path / "out.parquet"

    def kill(progress: Progress) -> None:
        if progress.chunks_done >= 3:
            two_workers.scheduler.send_signal(signum)

    with pytest.raises(OutputError, match=r"has gone away.*; \d+ of 24 chunks are kept, --resume"):
        run_sweep(FakePlan(n_grid=120), out, scheduler=two_workers.address, evaluate=slow, on_progress=kill)
    result = run_sweep(FakePlan(n_grid=120), out, evaluate=rows, resume=True)
    assert result.resumed_chunks >= 3
    assert sha256(out) == expected


@pytest.mark.slow
def test_all_workers_are_lost_and_a_new_one_joins(tmp_path: Path, two_workers: Cluster, expected: str) -> None:
    out = tmp_path / "out.parquet"
    seen: list[Any] = []

    def replace(progress: Progress) -> None:
        if progress.chunks_done >= 3 and not seen:
            seen.append(progress)
            for worker in two_workers.workers:
                worker.terminate()
            time.sleep(1)
            two_workers.add_worker()

    run_sweep(FakePlan(n_grid=120), out, scheduler=two_workers.address, evaluate=slow, on_progress=replace)
    assert sha256(out) == expected


@pytest.mark.slow
def test_an_interrupt_leaves_the_cluster_free(tmp_path: Path, two_workers: Cluster, expected: str) -> None:
    out = tmp_path / "out.parquet"

    def stop(progress: Progress) -> None:
        if progress.chunks_done >= 3:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(FakePlan(n_grid=6000), out, scheduler=two_workers.address, evaluate=slow, on_progress=stop)
    assert time.monotonic() - began < 10
    other = tmp_path / "other.parquet"
    run_sweep(FakePlan(n_grid=120), other, scheduler=two_workers.address, evaluate=slow)
    assert sha256(other) == expected
