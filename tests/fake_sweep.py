"""A plan and evaluators that are quick and can be told to misbehave, for tests of how sweeps are run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from mfmi.columns import COLUMNS
from mfmi.errors import OutputError
from mfmi.networks.model import SQUARE, Model
from mfmi.networks.points import Points
from mfmi.processes import progress
from mfmi.sweep.run import SweepInterrupted, run_sweep


@dataclass(frozen=True)
class FakeConfig:
    meaning: dict[str, Any]
    text: str = "version: 1\n"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def canonical(self) -> dict[str, Any]:
        return {"version": 1, "seed": 0, **self.meaning}


@dataclass(frozen=True)
class FakeChunk:
    number: int
    start: int
    stop: int


@dataclass(frozen=True)
class FakePlan:
    """`n_grid` points, sigma_w = 1 + index * `step`, `chunk_size` a chunk, every seventh one excluded."""

    n_grid: int = 60
    chunk_size: int = 5
    depths: tuple[int, ...] = (1, 2, 5)
    text: str = "version: 1\n"
    estimators: tuple[str, ...] = ("linear",)
    optional: tuple[str, ...] = ()
    model: Model = SQUARE
    unit: str = "nats"
    n_points: int | None = None
    step: float = 1e-3
    activation: str = "tanh"
    noise_at: str = "output"
    config: FakeConfig = field(init=False)

    def __post_init__(self) -> None:
        meaning = {"sweep.sigma_w": self.n_grid, "sweep.depth": list(self.depths)}
        object.__setattr__(self, "config", FakeConfig(meaning, self.text))

    @property
    def n_chunks(self) -> int:
        return -(-self.n_grid // self.chunk_size)

    def chunk(self, number: int) -> FakeChunk:
        start = number * self.chunk_size
        return FakeChunk(number, start, min(start + self.chunk_size, self.n_grid))

    def points(self, start: int, stop: int) -> Points:
        index = np.arange(start, stop)
        index = index[index % 7 != 6]
        points = Points.of([self.activation] * len(index), 1 + index * self.step, sigma_b=0.3, noise_at=self.noise_at)
        return Points(index, *(getattr(points, name) for name in list(points.__dataclass_fields__)[1:]))

    def depths_for(self, points: Points) -> np.ndarray:
        return np.array(self.depths)


class BrokenPlan(FakePlan):
    """A plan with a bug."""

    def points(self, start: int, stop: int) -> Points:
        raise KeyError(start)


def rows(points: Points, depths: Any, estimators: Sequence[str], unit: str = "nats", *_: Any) -> dict[str, np.ndarray]:
    """Rows with a formula in place of the theory; point 12 is unconverged."""
    n, d = len(points), len(depths)
    block: dict[str, np.ndarray] = {}
    for column in COLUMNS:
        text = column.dtype == "string"
        block[column.name] = np.full(n * d, None if text else np.nan, dtype=object if text else float)
    settings = points.settings(np.broadcast_to(np.asarray(depths), (n, d)))
    block |= {name: values.ravel() for name, values in settings.items()}
    block["mi_linear"] = np.sin(block["sigma_w"] * 1e3) / block["depth"]
    block["phase"] = np.where(block["point"] % 3 == 0, "ordered", "chaotic").astype(object)
    block["status"] = np.where(block["point"] == 12, "unconverged", "ok").astype(object)
    block["message"] = np.where(block["point"] == 12, "residual 1e-3", "").astype(object)
    return block


def slow(points: Points, depths: Any, estimators: Sequence[str], unit: str = "nats", *_: Any) -> dict[str, np.ndarray]:
    """As `rows`, taking a twentieth of a second."""
    time.sleep(0.05)
    return rows(points, depths, estimators, unit)


def stuck(points: Points, depths: Any, estimators: Sequence[str], unit: str = "nats", *_: Any) -> dict[str, np.ndarray]:
    """As `rows` for the first ten points, and then for ever."""
    while points.index[0] >= 10:
        time.sleep(0.01)
    return rows(points, depths, estimators, unit)


def picky(points: Points, depths: Any, estimators: Sequence[str], unit: str = "nats", *_: Any) -> dict[str, np.ndarray]:
    """As `rows`, but raises where there is a point 17 or 23."""
    for index in (17, 23):
        if index in points.index:
            raise ZeroDivisionError(f"point {index}\nis bad")
    return rows(points, depths, estimators, unit)


def buggy(points: Points, depths: Any, estimators: Sequence[str], unit: str = "nats", *_: Any) -> dict[str, np.ndarray]:
    """As `rows`, but with a mistake in the program where there is a point 17."""
    if 17 in points.index:
        return {"point": None + 1}  # type: ignore[operator]
    return rows(points, depths, estimators, unit)


def forgetful(
    points: Points, depths: Any, estimators: Sequence[str], unit: str = "nats", *_: Any
) -> dict[str, np.ndarray]:
    """As `rows`, but runs out of memory where there is a point 17."""
    if 17 in points.index:
        raise MemoryError
    return rows(points, depths, estimators, unit)


def dies_once(
    points: Points, depths: Any, estimators: Sequence[str], unit: str = "nats", *_: Any
) -> dict[str, np.ndarray]:
    """As `rows`, but the process is killed, as for lack of memory, when it first meets point 17."""
    mark = Path(os.environ["FAKE_SWEEP_MARK"])
    if 17 in points.index and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return rows(points, depths, estimators, unit)


def dies(points: Points, depths: Any, estimators: Sequence[str], unit: str = "nats", *_: Any) -> dict[str, np.ndarray]:
    """As `rows`, but the process is killed whenever it meets point 17."""
    if 17 in points.index:
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    return rows(points, depths, estimators, unit)


def seconds_until_dead(processes: list[psutil.Process]) -> float:
    """Wait for processes to end; a zombie that nobody has collected is dead."""
    began = time.monotonic()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() - began < 10, "workers outlive the sweep"
                time.sleep(0.01)
    return time.monotonic() - began


HERE = Path(__file__).parent


def start(output: Path, **settings: Any) -> subprocess.Popen[str]:
    """Start `main` in a process of its own, with the settings of `run_sweep` and those read below."""
    command = [sys.executable, "-c", "import fake_sweep; fake_sweep.main()", str(output), json.dumps(settings)]
    return subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def dawdle(now: progress.Progress) -> None:
    """Say when the merge has begun, and make it last."""
    if now.stage == "merge":
        if now.chunks_done == 1:
            print("merging", flush=True)
        time.sleep(0.05)


def megabytes(what: str) -> float:
    """Return a size of this process, `VmHWM` its peak; what `resource` says counts the program that started it too."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1e3


def main() -> None:
    """Run a fake sweep as the command line would: death by the signal, one line and a code for an error."""

    def stop(signum: int, _: Any) -> None:
        error = KeyboardInterrupt()
        error.signum = signum  # type: ignore[attr-defined]
        raise error

    signal.signal(signal.SIGTERM, stop)
    output, settings = sys.argv[1], json.loads(sys.argv[2])
    if "file_size" in settings:
        limit = settings.pop("file_size")
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    plan = FakePlan(**settings.pop("plan", {}))
    evaluate = globals()[settings.pop("evaluate", "slow")]
    if settings.pop("slow_merge", False):
        progress.PROGRESS_INTERVAL = 0
        settings["on_progress"] = dawdle
    try:
        result = run_sweep(plan, output, evaluate=evaluate, **settings)
        workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        print(json.dumps({"rows": result.rows, "megabytes": [megabytes("VmHWM"), workers, megabytes("RssFile")]}))
    except KeyboardInterrupt as error:
        if isinstance(error, SweepInterrupted):  # else it had not begun, or was over
            print(f"{error.chunks_done}/{error.n_chunks}", flush=True)
        signum = getattr(error, "signum", signal.SIGINT)
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)
    except OutputError as error:
        print(error, flush=True)
        sys.exit(5)
