"""Sweeps from plan to file: same bytes for any way of running, failing points, lost workers, refusals, full disks."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_sweep import BrokenPlan, FakePlan, buggy, dies, dies_once, forgetful, picky, rows, start, stuck

from mfmi.columns import COLUMNS
from mfmi.errors import ConfigError, NumericsError, OutputError, ResumeError
from mfmi.names import DEFAULT_ESTIMATORS, ESTIMATORS
from mfmi.processes.progress import Progress
from mfmi.processes.threads import THREAD_LIMITS
from mfmi.storage import parquet as store
from mfmi.sweep import parts as parts_module
from mfmi.sweep.chunks import Task, evaluate_guarded
from mfmi.sweep.merge import merge_parts
from mfmi.sweep.parts import folder_of
from mfmi.sweep.run import run_sweep
from mfmi.sweep.stream import SweepStream


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


ONE_CHUNK = FakePlan(chunk_size=60)  # the same rows and bytes without a worker


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_LIMITS:
        monkeypatch.setenv(name, "1")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of `FakePlan()` by `rows`, from one worker."""
    path = tmp_path_factory.mktemp("expected") / "out.parquet"
    run_sweep(FakePlan(), path, evaluate=rows)
    return path


@pytest.mark.thorough
def test_the_file_holds_the_rows_of_the_plan_in_order(expected: Path) -> None:
    plan = FakePlan()
    points = plan.points(0, plan.n_grid)
    whole = rows(points, plan.depths, plan.estimators)
    read = store.to_block(pq.read_table(expected))
    np.testing.assert_array_equal(read["point"], whole["point"])
    np.testing.assert_array_equal(read["depth"], whole["depth"])
    np.testing.assert_array_equal(read["mi_linear"], whole["mi_linear"])
    assert store.read_provenance(expected)["config"]["text"] == plan.text
    assert [path.name for path in expected.parent.iterdir()] == ["out.parquet"]


@pytest.mark.thorough
def test_jobs_do_not_change_the_bytes(tmp_path: Path, expected: Path) -> None:
    result = run_sweep(FakePlan(), tmp_path / "out.parquet", jobs=3, evaluate=rows)
    assert sha256(tmp_path / "out.parquet") == sha256(expected)
    assert (result.rows, result.points, result.n_chunks, result.resumed_chunks) == (156, 52, 12, 0)
    assert result.complete
    assert result.statuses == {"ok": 153, "unconverged": 3}
    assert result.n_failed == 3
    assert [failure.point for failure in result.failures] == [12]
    assert result.rows_per_second > 0
    assert os.listdir(tmp_path) == ["out.parquet"]


def test_one_chunk_is_evaluated_here_if_the_arithmetic_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = FakePlan(n_grid=30, chunk_size=100)
    for name in THREAD_LIMITS:
        monkeypatch.setenv(name, "2")
    run_sweep(plan, tmp_path / "worker.parquet", evaluate=rows)
    for name in THREAD_LIMITS:
        monkeypatch.setenv(name, "1")
    here = []

    def noted(*arguments: Any) -> Any:
        here.append(os.getpid())
        return rows(*arguments)

    run_sweep(plan, tmp_path / "here.parquet", evaluate=noted)  # it could not be pickled for a worker
    assert here == [os.getpid()]
    assert sha256(tmp_path / "worker.parquet") == sha256(tmp_path / "here.parquet")


@pytest.mark.thorough
def test_shards_and_merge_give_the_same_bytes(tmp_path: Path, expected: Path) -> None:
    out = tmp_path / "out.parquet"
    for share in (3, 1):
        result = run_sweep(FakePlan(), out, shard=(share, 3), evaluate=rows)
        assert not result.complete
        assert result.n_chunks == 4
        assert not out.exists()
    with pytest.raises(OutputError, match=r"4 of 12 chunks are missing \(1, 4, 7, 10\), those of shard 2/3"):
        merge_parts(out)
    run_sweep(FakePlan(), out, shard=(2, 3), evaluate=rows)
    result = merge_parts(out)
    assert sha256(out) == sha256(expected)
    assert (result.rows, result.points) == (156, 52)
    assert os.listdir(tmp_path) == ["out.parquet"]


@pytest.mark.thorough
def test_shards_of_several_machines_are_merged_from_their_folders(tmp_path: Path, expected: Path) -> None:
    for share in (1, 2):
        (tmp_path / str(share)).mkdir()
        run_sweep(FakePlan(), tmp_path / str(share) / "out.parquet", shard=(share, 2), evaluate=rows)
    folders = [tmp_path / str(share) / "out.parquet.parts" for share in (1, 2)]
    with pytest.raises(OutputError, match=r"6 of 12 chunks are missing .* shard 2/2"):
        merge_parts(tmp_path / "out.parquet", folders[:1])
    merge_parts(tmp_path / "out.parquet", folders)
    assert sha256(tmp_path / "out.parquet") == sha256(expected)
    assert not any(folder.exists() for folder in folders)


@pytest.mark.thorough
def test_folders_of_different_sweeps_are_not_merged(tmp_path: Path) -> None:
    run_sweep(FakePlan(), tmp_path / "a", shard=(1, 2), evaluate=rows)
    run_sweep(FakePlan(depths=(1, 2)), tmp_path / "b", shard=(2, 2), evaluate=rows)
    with pytest.raises(ResumeError, match=r"what differs: sweep\.depth \(\[1, 2\] there, \[1, 2, 5\] here\)"):
        merge_parts(tmp_path / "out.parquet", [tmp_path / "a.parts", tmp_path / "b.parts"])


def test_a_shard_with_another_config_is_refused(tmp_path: Path) -> None:
    run_sweep(FakePlan(), tmp_path / "a", shard=(1, 2), evaluate=rows)
    with pytest.raises(ResumeError, match=r"sweep\.sigma_w \(60 there, 70 here\)"):
        run_sweep(FakePlan(n_grid=70), tmp_path / "a", shard=(2, 2), evaluate=rows)
    assert run_sweep(FakePlan(), tmp_path / "a", shard=(1, 2), evaluate=rows).resumed_chunks == 6


@pytest.mark.thorough
def test_the_stream_is_the_file(expected: Path) -> None:
    stream = SweepStream(FakePlan(), jobs=2, evaluate=rows)
    blocks = list(stream)
    read = store.to_block(pq.read_table(expected))
    for name in read:
        np.testing.assert_array_equal(np.concatenate([block[name] for block in blocks]), read[name])
    assert stream.about == store.read_provenance(expected)
    assert stream.result is not None
    assert (stream.result.rows, stream.result.statuses["unconverged"]) == (156, 3)


@pytest.mark.thorough
def test_a_stream_that_nobody_reads_further_holds_few_chunks() -> None:
    plan = FakePlan(n_grid=10_000)
    seen: list[Progress] = []
    stream = iter(SweepStream(plan, jobs=2, evaluate=rows, on_progress=seen.append))
    next(stream)
    time.sleep(0.5)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert 0 < max(progress.chunks_done for progress in seen) < 40


@pytest.mark.thorough
def test_what_raises_is_a_failed_row_and_nothing_else_changes(tmp_path: Path, expected: Path) -> None:
    result = run_sweep(FakePlan(), tmp_path / "out.parquet", jobs=2, evaluate=picky)
    assert result.statuses == {"ok": 147, "unconverged": 3, "failed": 6}
    assert [(failure.point, failure.status) for failure in result.failures] == [
        (12, "unconverged"),
        (17, "failed"),
        (23, "failed"),
    ]
    assert result.failures[1].message == "ZeroDivisionError: point 17 is bad"
    frame = pq.read_table(tmp_path / "out.parquet").to_pandas()
    failed = frame["point"].isin([17, 23])
    assert frame[failed]["mi_linear"].isna().all()
    assert frame[failed]["sigma_w"].unique().tolist() == [1.017, 1.023]
    assert frame[failed]["depth"].tolist() == [1, 2, 5, 1, 2, 5]
    good = pq.read_table(expected).to_pandas()
    assert frame[~failed].equals(good[~good["point"].isin([17, 23])])


def test_a_chunk_in_which_every_point_raises() -> None:
    block = store.to_block(store.decode(Task(FakePlan(chunk_size=1), picky).run(17)))
    assert list(block) == [column.name for column in COLUMNS]
    assert block["status"].tolist() == ["failed"] * 3


def test_a_chunk_without_points(tmp_path: Path) -> None:
    result = run_sweep(FakePlan(n_grid=14, chunk_size=1), tmp_path / "out.parquet", evaluate=rows)
    assert (result.points, result.n_chunks) == (12, 14)


@pytest.mark.thorough
def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path, expected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SWEEP_MARK", str(tmp_path / "mark"))
    run_sweep(FakePlan(), tmp_path / "out.parquet", jobs=2, evaluate=dies_once)
    assert (tmp_path / "mark").exists()
    assert sha256(tmp_path / "out.parquet") == sha256(expected)


@pytest.mark.thorough
def test_points_that_kill_their_worker_twice_are_named_and_the_rest_is_kept(tmp_path: Path, expected: Path) -> None:
    out = tmp_path / "out.parquet"
    with pytest.raises(OutputError, match=r"killed by SIGKILL twice on points 15 to 19 \(chunk 3\); \d+ of 12 chunks"):
        run_sweep(FakePlan(), out, jobs=2, evaluate=dies)
    assert not out.exists()
    result = run_sweep(FakePlan(), out, jobs=2, evaluate=rows, resume=True)
    assert 3 <= result.resumed_chunks < 12
    assert sha256(out) == sha256(expected)


@pytest.mark.thorough
def test_exhausted_memory_is_not_a_property_of_a_point(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ran out of memory twice on points 15 to 19"):
        run_sweep(FakePlan(), tmp_path / "out.parquet", evaluate=forgetful)


def test_a_bug_in_a_worker_comes_with_its_trace(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="chunk 0: KeyError") as caught:
        run_sweep(BrokenPlan(), tmp_path / "out.parquet", evaluate=rows)
    assert "Traceback" in caught.value.__notes__[0]
    assert os.listdir(tmp_path) == []


@pytest.mark.thorough
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bug_in_the_evaluation_is_no_failed_row(tmp_path: Path, jobs: int) -> None:
    """It stops the sweep, says where it is, and what was finished is kept."""
    out = tmp_path / "out.parquet"
    with pytest.raises(RuntimeError, match=r"chunk 3: TypeError: .*NoneType.* \(mfmi/sweep/chunks\.py:\d+\)"):
        run_sweep(FakePlan(), out, jobs=jobs, evaluate=buggy)
    assert not out.exists()
    assert run_sweep(FakePlan(), out, jobs=jobs, evaluate=rows, resume=True).resumed_chunks >= (3 if jobs == 1 else 1)


@pytest.mark.parametrize("error", [TypeError, KeyError, ValueError, AttributeError, IndexError, AssertionError])
def test_what_is_no_arithmetic_is_raised(error: type[Exception]) -> None:
    def wrong(*_: object) -> dict[str, np.ndarray]:
        raise error("a mistake")

    with pytest.raises(error, match="a mistake"):
        evaluate_guarded(wrong, FakePlan().points(0, 3), [1], ["linear"], "nats")


@pytest.mark.parametrize("error", [FloatingPointError, OverflowError, NumericsError, np.linalg.LinAlgError])
def test_what_is_arithmetic_is_a_failed_row(error: type[Exception]) -> None:
    def wrong(*_: object) -> dict[str, np.ndarray]:
        raise error("no luck")

    block = evaluate_guarded(wrong, FakePlan().points(0, 3), [1], ["linear"], "nats")
    assert block["message"].tolist() == [f"{error.__name__}: no luck"] * 3


def test_an_existing_file_is_refused_and_the_ways_out_are_named(tmp_path: Path, expected: Path) -> None:
    out = tmp_path / "out.parquet"
    out.write_text("precious")
    with pytest.raises(OutputError, match=r"--force .*--resume"):
        run_sweep(ONE_CHUNK, out, evaluate=rows)
    assert out.read_text() == "precious"
    with pytest.raises(OutputError, match="cannot read"):
        run_sweep(ONE_CHUNK, out, evaluate=rows, resume=True)
    run_sweep(ONE_CHUNK, out, evaluate=rows, force=True)
    assert sha256(out) == sha256(expected)


def test_a_file_that_turns_up_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"

    def meddle(progress: Progress) -> None:
        out.write_text("precious")

    with pytest.raises(OutputError, match=r"12 of 12 chunks are kept, --resume"):
        run_sweep(FakePlan(), out, evaluate=rows, on_progress=meddle)
    assert out.read_text() == "precious"


@pytest.mark.parametrize("where", ["nowhere/out.parquet", "file/out.parquet"])
def test_a_folder_that_is_not_there(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*(No such file|Not a directory)"):
        run_sweep(ONE_CHUNK, tmp_path / where, evaluate=rows)


def test_a_device_is_not_a_place_for_parts() -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        run_sweep(ONE_CHUNK, "/dev/null", evaluate=rows, force=True)


@pytest.mark.thorough
def test_two_runs_at_once(tmp_path: Path, expected: Path) -> None:
    out = tmp_path / "out.parquet"
    seen = []

    def second(progress: Progress) -> None:
        if progress.stage == "evaluate" and not seen:
            for settings in ({"resume": True}, {"force": True}, {"shard": (1, 2)}):
                with pytest.raises(OutputError, match="another process is at work"):
                    run_sweep(FakePlan(), out, evaluate=rows, **settings)  # type: ignore[arg-type]
                seen.append(settings)
            with pytest.raises(OutputError, match="another process is at work"):
                merge_parts(out)

    run_sweep(FakePlan(), out, evaluate=rows, on_progress=second)
    assert len(seen) == 3
    assert sha256(out) == sha256(expected)


@pytest.mark.thorough
def test_shards_work_at_once_but_each_only_once(tmp_path: Path, expected: Path) -> None:
    out = tmp_path / "out.parquet"
    seen = []

    def other(progress: Progress) -> None:
        if not seen:
            seen.append(run_sweep(FakePlan(), out, shard=(2, 2), evaluate=rows))
            with pytest.raises(OutputError, match="another process is at work"):
                run_sweep(FakePlan(), out, shard=(1, 2), evaluate=rows)
            with pytest.raises(OutputError, match="another process is at work"):
                merge_parts(out)

    run_sweep(FakePlan(), out, shard=(1, 2), evaluate=rows, on_progress=other)
    merge_parts(out)
    assert sha256(out) == sha256(expected)


def test_a_file_system_without_locks_is_told(tmp_path: Path, expected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(descriptor: int, kind: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(parts_module.fcntl, "flock", none)
    result = run_sweep(ONE_CHUNK, tmp_path / "out.parquet", evaluate=rows)
    assert fcntl.flock is none
    assert "does not support locks" in result.notes[0]
    assert sha256(tmp_path / "out.parquet") == sha256(expected)


def test_strange_files_in_the_folder_of_parts_are_left_alone(tmp_path: Path, expected: Path) -> None:
    out = tmp_path / "out.parquet"
    folder_of(out).mkdir()
    (folder_of(out) / "notes.txt").write_text("mine")
    result = run_sweep(ONE_CHUNK, out, evaluate=rows)
    assert sha256(out) == sha256(expected)
    assert [path.name for path in folder_of(out).iterdir()] == ["notes.txt"]
    assert "was kept" in result.notes[0]


def test_a_link_leads_to_the_file(tmp_path: Path, expected: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "out.parquet").symlink_to(tmp_path / "far" / "real.parquet")
    run_sweep(ONE_CHUNK, tmp_path / "out.parquet", evaluate=rows)
    assert (tmp_path / "out.parquet").is_symlink()
    assert sha256(tmp_path / "far" / "real.parquet") == sha256(expected)
    assert os.listdir(tmp_path / "far") == ["real.parquet"]


def test_another_format_gets_the_same_rows(tmp_path: Path, expected: Path) -> None:
    got = []
    result = run_sweep(
        ONE_CHUNK, tmp_path / "out.csv", evaluate=rows, publish=lambda blocks, about, _: got.extend([*blocks, about])
    )
    assert got.pop() == store.read_provenance(expected)
    assert sum(len(block["point"]) for block in got) == result.rows == 156
    assert not folder_of(tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"jobs": 0}, "jobs must be at least 1, got 0"),
        ({"shard": (0, 2)}, "got 0/2"),
        ({"shard": (3, 2)}, "got 3/2"),
        ({"resume": True, "force": True}, "contradict"),
        ({"shard": (1, 2), "force": True}, "throw away"),
    ],
)
def test_bad_arguments(tmp_path: Path, settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        run_sweep(ONE_CHUNK, tmp_path / "out.parquet", evaluate=rows, **settings)


def test_too_many_points(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="60 points, more than --max-points 59"):
        run_sweep(FakePlan(), tmp_path / "out.parquet", evaluate=rows, max_points=59)
    with pytest.raises(ConfigError, match="52 points"):
        SweepStream(FakePlan(n_points=52), evaluate=rows, max_points=51)


@pytest.mark.thorough
def test_progress_is_told_in_order_and_not_too_often(tmp_path: Path) -> None:
    seen: list[Progress] = []
    run_sweep(FakePlan(n_grid=600), tmp_path / "out.parquet", jobs=2, evaluate=rows, on_progress=seen.append)
    for stage in ("evaluate", "merge"):
        done = [progress.chunks_done for progress in seen if progress.stage == stage]
        assert done == sorted(done)
        assert done[-1] == 120
    assert len(seen) <= 10 * seen[-1].seconds + 3
    assert seen[-1].rows == 514 * 3 + 3


def test_a_plan_of_a_hundred_million_points_costs_nothing_to_begin(tmp_path: Path) -> None:
    plan = FakePlan(n_grid=10**8, chunk_size=1000)
    began = time.monotonic()
    stream = iter(SweepStream(plan, jobs=1, evaluate=rows))
    assert len(next(stream)["point"]) == 858 * 3
    stream.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "noise_at", "estimators"), [("tanh", "output", ESTIMATORS), ("relu", "every", DEFAULT_ESTIMATORS)]
)
def test_the_evaluator_does_not_remember(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, activation: str, noise_at: str, estimators: tuple[str, ...]
) -> None:
    """One process for all chunks, one for each, tables kept on disk or not: the same bytes."""
    plan = FakePlan(4, 2, (2, 3), estimators=estimators, step=0.2, activation=activation, noise_at=noise_at)
    monkeypatch.setenv("MFMI_CACHE_DIR", "")
    result = run_sweep(plan, tmp_path / "one.parquet")
    assert not result.statuses.get("failed")
    for share in (2, 1):
        run_sweep(plan, tmp_path / "each.parquet", shard=(share, 2))
    merge_parts(tmp_path / "each.parquet")
    monkeypatch.setenv("MFMI_CACHE_DIR", str(tmp_path / "cache"))
    run_sweep(plan, tmp_path / "filling.parquet")
    run_sweep(plan, tmp_path / "filled.parquet", jobs=2)
    assert len({sha256(path) for path in tmp_path.glob("*.parquet")}) == 1


@pytest.mark.slow
def test_memory_is_that_of_a_chunk(tmp_path: Path) -> None:
    """Ten times as many rows take no more; files of libraries, which two workers and the program share, count once."""
    needed = []
    for points, count in ((233_334, 200_001), (2_333_334, 2_000_001)):
        plan = {"n_grid": points, "chunk_size": 4096, "depths": [1]}
        with start(tmp_path / f"{points}.parquet", plan=plan, evaluate="rows", jobs=2) as process:
            printed, errors = process.communicate()
        assert process.returncode == 0, errors
        told = json.loads(printed)
        assert told["rows"] == count
        program, worker, libraries = told["megabytes"]
        needed.append(program + 2 * (worker - libraries))
    assert needed[1] < 1.1 * needed[0]
    assert needed[1] < 600


@pytest.mark.thorough
@pytest.mark.parametrize("share", [0.02, 0.4, 0.99], ids=["plan", "chunk", "merge"])
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, expected: Path, share: float) -> None:
    """A chunk is most of the whole file, of which much describes the columns."""
    out, limit = tmp_path / "out.parquet", int(share * expected.stat().st_size)
    process = start(out, evaluate="rows", jobs=2, file_size=limit)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 5, errors
    assert printed.count("\n") == 1
    assert "File too large" in printed
    assert ("12 of 12 chunks are kept, --resume" in printed) == (share > 0.9)
    assert not out.exists()
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".") and path.suffix == ".parquet"] == []
    result = run_sweep(FakePlan(), out, evaluate=rows, resume=True)
    assert result.resumed_chunks == (12 if share > 0.9 else 0)
    assert sha256(out) == sha256(expected)


@pytest.mark.thorough
def test_stuck_workers_die_with_an_error_elsewhere(tmp_path: Path) -> None:
    began = time.monotonic()

    def enough(progress: Progress) -> None:
        raise OutputError("enough")

    with pytest.raises(OutputError, match=r"enough; 1 of 12 chunks are kept"):
        run_sweep(FakePlan(), tmp_path / "out.parquet", jobs=2, evaluate=stuck, on_progress=enough)
    assert time.monotonic() - began < 10
