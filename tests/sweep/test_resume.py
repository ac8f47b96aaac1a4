"""Real sweeps stopped at random moments in every way, and finished afterwards: nothing lost, the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pyarrow.parquet as pq
import pytest
from fake_sweep import FakePlan, rows, seconds_until_dead, start

from mfmi.errors import OutputError, ResumeError
from mfmi.processes import progress as progress_module
from mfmi.processes.progress import Progress
from mfmi.storage.provenance import PLAN
from mfmi.sweep.parts import folder_of
from mfmi.sweep.run import SweepInterrupted, run_sweep

PLAN_SIZE = {"n_grid": 120}
FAST_SEEDS = range(3)
SLOW_SEEDS = range(3, 27)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def chunks_in(out: Path) -> list[Path]:
    return sorted(folder_of(out).glob("chunk-*.parquet"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the hash of an uninterrupted run."""
    path = tmp_path_factory.mktemp("expected") / "out.parquet"
    run_sweep(FakePlan(**PLAN_SIZE), path, evaluate=rows)
    return sha256(path)


def wait_for_chunks(out: Path, number: int) -> None:
    """Wait until a sweep is well on its way."""
    deadline = time.monotonic() + 60
    while len(chunks_in(out)) < number:
        assert time.monotonic() < deadline, "the sweep does not begin"
        time.sleep(0.01)


def check_nothing_half_written(out: Path) -> None:
    assert not out.exists()
    for path in chunks_in(out):
        assert pq.read_table(path).num_rows in (12, 15)


def wait_for_moment(out: Path, process: subprocess.Popen[str], dice: random.Random) -> None:
    """Wait for a random moment: soon after the start, or around the end of some chunk."""
    if dice.random() < 0.2:
        time.sleep(dice.uniform(0, 0.6))
        return
    target = dice.randint(min(len(chunks_in(out)), 23), 23)
    while len(chunks_in(out)) < target and process.poll() is None:
        time.sleep(0.002)
    time.sleep(dice.uniform(0, 0.08))


def stop_somehow(process: subprocess.Popen[str], dice: random.Random) -> None:
    """Kill a sweep in a random way, or one of its workers, which it survives."""
    workers = psutil.Process(process.pid).children()
    way = dice.choice(["SIGKILL", "SIGINT", "SIGTERM", "worker"])
    if way == "worker" and workers:
        dice.choice(workers).kill()
        assert process.wait(timeout=60) == 0
        return
    signum = signal.SIGKILL if way == "worker" else signal.Signals[way]
    process.send_signal(signum)
    assert process.wait(timeout=10) in (-signum, 0)  # 0: it was faster
    seconds_until_dead(workers)


def kill_at_random(out: Path, seed: int) -> None:
    """Run a sweep of 24 chunks, stop it up to three times, and finish it."""
    dice = random.Random(seed)
    for _ in range(dice.randint(1, 3)):
        with start(out, plan=PLAN_SIZE, jobs=2, evaluate="slow", resume=True) as process:
            wait_for_moment(out, process, dice)
            if process.poll() is None:
                stop_somehow(process, dice)
        if out.exists():
            return
        check_nothing_half_written(out)
    run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, resume=True)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", FAST_SEEDS)
def test_killed_at_random_moments(tmp_path: Path, expected: str, seed: int) -> None:
    kill_at_random(tmp_path / "out.parquet", seed)
    assert sha256(tmp_path / "out.parquet") == expected
    assert not folder_of(tmp_path / "out.parquet").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_killed_at_more_random_moments(tmp_path: Path, expected: str, seed: int) -> None:
    kill_at_random(tmp_path / "out.parquet", seed)
    assert sha256(tmp_path / "out.parquet") == expected
    assert os.listdir(tmp_path) == ["out.parquet"]


@pytest.mark.thorough
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_stops_workers_within_a_second_and_keeps_what_is_finished(
    tmp_path: Path, expected: str, signum: signal.Signals
) -> None:
    out = tmp_path / "out.parquet"
    process = start(out, plan=PLAN_SIZE, jobs=2, evaluate="stuck")
    wait_for_chunks(out, 2)
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    time.sleep(0.2)
    process.send_signal(signum)
    began = time.monotonic()
    assert process.wait(timeout=10) == -signum
    assert time.monotonic() - began + seconds_until_dead(workers) < 1
    printed, _ = process.communicate()
    assert printed == ("" if signum == signal.SIGKILL else "2/24\n")
    check_nothing_half_written(out)
    result = run_sweep(FakePlan(**PLAN_SIZE), out, jobs=2, evaluate=rows, resume=True)
    assert result.resumed_chunks == 2
    assert sha256(out) == expected


@pytest.mark.thorough
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_while_the_chunks_become_one_file(tmp_path: Path, expected: str, signum: signal.Signals) -> None:
    out = tmp_path / "out.parquet"
    with start(out, plan=PLAN_SIZE, evaluate="rows", slow_merge=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "merging\n"
        process.send_signal(signum)
        assert process.wait(timeout=10) == -signum
    check_nothing_half_written(out)
    assert len(chunks_in(out)) == 24
    assert run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, resume=True).resumed_chunks == 24
    assert sha256(out) == expected
    assert os.listdir(tmp_path) == ["out.parquet"]


@pytest.mark.thorough
def test_a_group_signal_as_from_a_terminal(tmp_path: Path) -> None:
    """Ctrl-C goes to the workers as well; none of them may answer with a traceback."""
    out = tmp_path / "out.parquet"
    process = start(out, plan=PLAN_SIZE, jobs=2, evaluate="stuck")
    wait_for_chunks(out, 2)
    time.sleep(0.2)
    for member in [*psutil.Process(process.pid).children(), psutil.Process(process.pid)]:
        member.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=10)
    assert (printed, errors, process.returncode) == ("2/24\n", "", -signal.SIGINT)


def interrupted(out: Path, **settings: Any) -> None:
    """Leave behind a sweep that was stopped with two chunks done."""

    def stop(progress: Progress) -> None:
        if progress.chunks_done == 2:
            raise KeyboardInterrupt

    with mock.patch.object(progress_module, "PROGRESS_INTERVAL", 0), pytest.raises(SweepInterrupted) as caught:
        run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, on_progress=stop, **settings)
    assert (caught.value.signum, caught.value.chunks_done, caught.value.n_chunks) == (signal.SIGINT, 2, 24)
    assert caught.value.parts == folder_of(out)


@pytest.mark.thorough
def test_what_an_unfinished_sweep_says_without_resume(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    interrupted(out)
    with pytest.raises(OutputError, match=r"unfinished sweep: --resume .*--force"):
        run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows)
    assert len(chunks_in(out)) == 2
    result = run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, force=True)
    assert result.resumed_chunks == 0


@pytest.mark.thorough
def test_another_config_is_refused_and_the_keys_are_named(tmp_path: Path, expected: str) -> None:
    out = tmp_path / "out.parquet"
    interrupted(out)
    other = FakePlan(n_grid=120, depths=(1, 2))
    for _ in range(2):
        with pytest.raises(ResumeError, match=r"what differs: sweep\.depth \(\[1, 2, 5\] there, \[1, 2\] here\)$"):
            run_sweep(other, out, evaluate=rows, resume=True)
        with pytest.raises(ResumeError, match=r"chunk"):
            run_sweep(FakePlan(n_grid=120, chunk_size=7), out, evaluate=rows, resume=True)
    respelt = FakePlan(**PLAN_SIZE, text="# the same\nversion: 1\n")
    assert run_sweep(respelt, out, evaluate=rows, resume=True).resumed_chunks == 2
    assert sha256(out) == expected
    with pytest.raises(ResumeError, match=r"sweep\.depth"):
        run_sweep(other, out, evaluate=rows, resume=True)


def test_other_package_versions_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    interrupted(out)
    plan = folder_of(out) / PLAN
    record = json.loads(plan.read_text())
    record["provenance"]["versions"]["numpy"] = "1.0"
    plan.write_text(json.dumps(record))
    with pytest.raises(ResumeError, match=r'versions\.numpy \("1\.0" there'):
        run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, resume=True)


@pytest.mark.thorough
@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_a_damaged_plan_is_named(tmp_path: Path, text: str) -> None:
    out = tmp_path / "out.parquet"
    interrupted(out)
    (folder_of(out) / PLAN).write_text(text)
    with pytest.raises(OutputError, match="is damaged"):
        run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, resume=True)


@pytest.mark.thorough
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "another sweep"])
def test_damaged_and_foreign_chunks_are_computed_again(tmp_path: Path, expected: str, damage: str) -> None:
    out = tmp_path / "out.parquet"
    interrupted(out)
    victim = chunks_in(out)[0]
    data = bytearray(victim.read_bytes())
    if damage == "another sweep":
        run_sweep(FakePlan(n_grid=120, depths=(1, 2)), tmp_path / "b", shard=(1, 24), evaluate=rows)
        foreign = chunks_in(tmp_path / "b")[0]
        victim.unlink()
        foreign.rename(folder_of(out) / foreign.name)
    elif damage == "flip":
        data[len(data) // 3] ^= 4
        victim.write_bytes(data)
    else:
        victim.write_bytes(data[: len(data) // 2 if damage == "cut" else 0])
    result = run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, resume=True)
    assert result.resumed_chunks == 1
    assert sha256(out) == expected


@pytest.mark.thorough
def test_resuming_what_never_began_and_what_is_finished(tmp_path: Path, expected: str) -> None:
    out = tmp_path / "out.parquet"
    first = run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, resume=True)
    again = run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, resume=True)
    assert (first.resumed_chunks, again.resumed_chunks) == (0, 24)
    for name in ("rows", "points", "statuses", "phases", "failures"):
        assert getattr(first, name) == getattr(again, name)
    assert sha256(out) == expected


@pytest.mark.thorough
def test_a_forced_sweep_keeps_its_leave_to_replace_when_it_is_resumed(tmp_path: Path, expected: str) -> None:
    out = tmp_path / "out.parquet"
    run_sweep(FakePlan(n_grid=10), out, evaluate=rows)
    old = sha256(out)
    interrupted(out, force=True)
    assert sha256(out) == old
    assert run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, resume=True).resumed_chunks == 2
    assert sha256(out) == expected


@pytest.mark.thorough
def test_stopped_between_the_last_two_steps(tmp_path: Path, expected: str) -> None:
    """The file stands and so does what is left of the folder of parts."""
    out = tmp_path / "out.parquet"
    interrupted(out)
    run_sweep(FakePlan(**PLAN_SIZE), tmp_path / "elsewhere", evaluate=rows)
    (tmp_path / "elsewhere").rename(out)
    assert run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows, resume=True).resumed_chunks == 24
    assert sha256(out) == expected
    assert os.listdir(tmp_path) == ["out.parquet"]


@pytest.mark.thorough
def test_a_sweep_that_was_killed_before_its_first_chunk_is_not_in_the_way(tmp_path: Path, expected: str) -> None:
    out = tmp_path / "out.parquet"
    folder_of(out).mkdir()
    (folder_of(out) / ".chunk-00000001-00.abcd.parquet").write_text("half")
    (folder_of(out) / PLAN).write_text("{}")
    run_sweep(FakePlan(**PLAN_SIZE), out, evaluate=rows)
    assert sha256(out) == expected
    assert os.listdir(tmp_path) == ["out.parquet"]
