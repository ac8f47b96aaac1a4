"""Adaptive sweeps: the strategy apart, and the same bytes however it is run; what is drawn of points without a grid."""

import json
import pickle
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

from mfmi.columns import COLUMNS
from mfmi.config.config import Config, load_config
from mfmi.errors import OutputError, ResumeError
from mfmi.networks.points import Points
from mfmi.processes.progress import Progress
from mfmi.report.figure_choice import Wishes, choose
from mfmi.report.figure_data import Curves, Heat, build, to_block
from mfmi.report.scattered import refined_axes
from mfmi.storage.parquet import read_provenance
from mfmi.sweep import run, stream
from mfmi.sweep.adaptive import AdaptivePlan
from mfmi.sweep.chunks import Task
from mfmi.sweep.merge import merge_parts
from mfmi.sweep.plan import Plan
from mfmi.sweep.refinement import Lattice, Refinement
from mfmi.sweep.run import SweepInterrupted, run_sweep
from mfmi.sweep.stream import SweepStream

CommandLine = Callable[..., Outcome]

SWEEP = """\
version: 1
sweep:
  mode: adaptive
  activation: [tanh, erf]
  sigma_w: {start: 0.5, stop: 2.5, num: 5}
  sigma_b: {start: 0.1, stop: 1, num: 5, spacing: log}
  depth: [1, 3]
  adaptive: {points: 120, target: TARGET, tolerance: 0.02}
estimators: [linear]
"""


def config(target: str = "phase", *overrides: str) -> Config:
    return load_config(SWEEP.replace("TARGET", target), "some.yaml", overrides)


def rows(points: Points, depths: Any, estimators: Sequence[str], unit: str = "nats", *_: Any) -> dict[str, np.ndarray]:
    """Rows with a formula in place of the theory: chaotic beyond a line, and a peak that moves with the depth."""
    n, d = len(points), len(depths)
    block: dict[str, np.ndarray] = {}
    for column in COLUMNS:
        text = column.dtype == "string"
        block[column.name] = np.full(n * d, None if text else np.nan, dtype=object if text else float)
    settings = points.settings(np.broadcast_to(np.asarray(depths), (n, d)))
    block |= {name: values.ravel() for name, values in settings.items()}
    w, b = block["sigma_w"], block["sigma_b"]
    block["mi_linear"] = np.exp(-(((w - 1.1 - 0.1 * block["depth"]) / 0.3) ** 2) - (np.log(b / 0.3) / 0.5) ** 2)
    block["phase"] = np.where(w > 1.0 + 0.77 * b, "chaotic", "ordered").astype(object)
    block["status"] = np.full(n * d, "ok", dtype=object)
    return block


def driven(
    function: Callable[[np.ndarray], np.ndarray], lattice: Lattice, budget: int, *, categories: bool
) -> tuple[np.ndarray, np.ndarray, Refinement]:
    """Places in shares of the axes and values of all points that are asked for."""
    strategy = Refinement(lattice, budget, categories=categories)
    places, values = [], []
    while len(keys := strategy.ask()):
        places.append(lattice.split_keys(keys)[1] / (np.array(lattice.counts) - 1))
        values.append(function(places[-1]))
        strategy.tell(values[-1][:, np.newaxis])
    return np.concatenate(places), np.concatenate(values), strategy


# ---- the strategy ----------------------------------------------------------------------------------------------------


def test_a_step_is_bisected() -> None:
    at, found, strategy = driven(lambda x: (x[:, 0] > 0.1234) * 1.0, Lattice((8,), 7, 1), 100, categories=True)
    low, high = at[found == 0.0].max(), at[found == 1.0].min()
    assert low <= 0.1234 < high
    assert high - low == 2.0**-10
    assert len(at) == 9 + 7  # a point a halving
    assert strategy.is_resolved


def test_a_border_is_followed_as_a_curve_and_not_as_an_area() -> None:
    lattice = Lattice((8, 8), 5, 1)
    at, found, strategy = driven(lambda x: (np.hypot(*x.T) > 0.73) * 1.0, lattice, 10_000, categories=True)
    assert strategy.is_resolved
    # Every place of the quarter circle lies between neighbours of the finest lattice on both sides of it.
    angles = np.linspace(0.01, np.pi / 2 - 0.01, 50)
    circle = 0.73 * np.column_stack([np.cos(angles), np.sin(angles)])
    apart = [np.abs(at[found == side][:, None] - circle).max(axis=2).min(axis=0) for side in (0.0, 1.0)]
    assert np.max(apart) <= 2.0**-8
    assert len(at) < 257**2 / 20


def test_a_corner_of_another_category_at_a_smaller_neighbour_is_noticed() -> None:
    # A thin wedge enters the cell [1, 2] x [0, 1] between its corners, where only a finer neighbour sees it.
    def wedge(x: np.ndarray) -> np.ndarray:
        return (np.abs(x[:, 1] - 0.125) < 0.13 - 0.4 * x[:, 0]) * 1.0

    at, found, _ = driven(wedge, Lattice((4, 4), 5, 1), 5000, categories=True)
    tip = at[found == 1.0][:, 0].max()
    assert 0.3 < tip <= 0.325


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_a_peak_is_found_to_the_tolerance(dimension: int) -> None:
    middle = np.array([0.371, 0.613, 0.549])[:dimension]
    lattice = Lattice((6,) * dimension, 6, 1)
    at, found, _ = driven(lambda x: np.exp(-((x - middle) ** 2).sum(axis=1) / 0.02), lattice, 3000, categories=False)
    assert np.abs(at[np.argmax(found)] - middle).max() <= 1 / (6 * 2**6)
    assert len(at) < (6 * 2**6) ** dimension


def test_a_peak_at_the_end_of_a_region_without_values_is_found() -> None:
    def cut(x: np.ndarray) -> np.ndarray:
        return np.where(x[:, 0] < 0.4321, x[:, 0] ** 2, np.nan)

    _, found, _ = driven(cut, Lattice((8,), 9, 1), 60, categories=False)
    assert 0.4321 - np.nanmax(np.sqrt(found)) < 1 / (8 * 2**9)


def test_what_bends_is_resolved_after_the_peak() -> None:
    at, _, _ = driven(lambda x: np.tanh(40.0 * (x[:, 0] - 0.31)) + x[:, 0], Lattice((8,), 10, 1), 200, categories=False)
    bent, straight = (
        np.diff(np.sort(at[:, 0]))[near(np.sort(at[:, 0])[1:])]
        for near in (lambda x: np.abs(x - 0.31) < 0.05, lambda x: (x > 0.6) & (x < 0.8))
    )
    assert bent.max() < 0.1 * straight.min()


def test_panels_share_the_budget_and_nothing_else() -> None:
    lattice = Lattice((4, 4), 6, 3)
    strategy = Refinement(lattice, 300, categories=True)
    seen = []
    while len(keys := strategy.ask()):
        panels, places = lattice.split_keys(keys)
        share = places / (np.array(lattice.counts) - 1)
        seen.append(panels)
        strategy.tell(np.where(panels == 1, share[:, 0] > 0.37, panels)[:, np.newaxis].astype(float))
    counts = np.bincount(np.concatenate(seen), minlength=3)
    assert counts[[0, 2]].tolist() == [25, 25]  # without a border the first grid is all
    assert 200 < counts.sum() <= 300


def test_a_budget_that_ends_in_a_round_ends_all_over_the_border() -> None:
    at, _, strategy = driven(lambda x: (x[:, 0] > 0.51) * 1.0, Lattice((8, 8), 6, 1), 150, categories=True)
    assert not strategy.is_resolved
    last = at[-10:, 1]
    assert last.min() < 0.25
    assert last.max() > 0.75


def test_values_that_were_not_asked_for_are_refused() -> None:
    strategy = Refinement(Lattice((4,), 2, 1), 10, categories=True)
    with pytest.raises(RuntimeError, match="not asked for"):
        strategy.tell(np.zeros((5, 1)))
    strategy.ask()
    with pytest.raises(RuntimeError, match="not been told"):
        strategy.ask()
    with pytest.raises(ValueError, match="at least the 5 points"):
        Refinement(Lattice((4,), 2, 1), 4, categories=True)


# ---- how it is run ---------------------------------------------------------------------------------------------------


class Stop:
    """Interrupts a sweep as soon as it has so many points."""

    def __init__(self, points: int) -> None:
        self.points = points

    def __call__(self, progress: Progress) -> None:
        if progress.stage == "evaluate" and progress.chunks_done >= self.points:
            raise KeyboardInterrupt


def results_here(task: Task, numbers: Iterable[int], *_: Any) -> Iterator[tuple[int, bytes]]:
    """Evaluate chunks in this process, which is faster than to start another one."""
    for number in numbers:
        yield number, task.run(pickle.loads(pickle.dumps(task.piece(number))))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "results", results_here)
    monkeypatch.setattr(stream, "results", results_here)
    monkeypatch.setattr("mfmi.processes.progress.PROGRESS_INTERVAL", 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The file of each target, made in one go by one process."""
    found = {}
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(run, "results", results_here)
    for target in ("phase", "mi_linear"):
        out = tmp_path_factory.mktemp("whole") / "out.parquet"
        result = run_sweep(Plan.from_config(config(target)), out, evaluate=rows)
        assert "refined in" in result.notes[-1]
        found[target] = out.read_bytes()
    monkeypatch.undo()
    return found


@pytest.mark.usefixtures("here")
def test_the_first_points_are_those_of_the_grid(whole: dict[str, bytes], tmp_path: Path) -> None:
    out, grid = tmp_path / "a.parquet", tmp_path / "grid.parquet"
    out.write_bytes(whole["phase"])
    text = SWEEP.replace("mode: adaptive", "mode: product").replace(
        "  adaptive: {points: 120, target: TARGET, tolerance: 0.02}\n", ""
    )
    run_sweep(Plan.from_config(load_config(text, "grid.yaml")), grid, evaluate=rows)
    first = pd.read_parquet(grid)
    found = pd.read_parquet(out)
    pd.testing.assert_frame_equal(found.iloc[: len(first)].reset_index(drop=True), first, check_exact=True)
    assert found.point.tolist() == np.repeat(np.arange(len(found) // 2), 2).tolist()
    assert not found.duplicated(["activation", "sigma_w", "sigma_b", "depth"]).any()
    assert 200 < len(found) <= 240


@pytest.mark.thorough
def test_the_bytes_do_not_depend_on_the_jobs(whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    run_sweep(Plan.from_config(config("mi_linear")), out, jobs=2, evaluate=rows)
    assert out.read_bytes() == whole["mi_linear"]


@pytest.mark.thorough
def test_the_bytes_do_not_depend_on_the_scheduler(whole: dict[str, bytes], tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "out.parquet"
    # Any free port: without an address the server of the dashboard's port is shared by all tests that run.
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        run_sweep(Plan.from_config(config("mi_linear")), out, scheduler=cluster.scheduler_address, evaluate=rows)
    assert out.read_bytes() == whole["mi_linear"]


@pytest.mark.parametrize("target", ["phase", "mi_linear"])
@pytest.mark.usefixtures("here")
def test_the_bytes_do_not_depend_on_interruptions(whole: dict[str, bytes], tmp_path: Path, target: str) -> None:
    out, plan = tmp_path / "out.parquet", Plan.from_config(config(target))
    for stops, points in enumerate((1, 51, 80, 100)):
        with pytest.raises(SweepInterrupted) as stopped:
            run_sweep(plan, out, resume=stops > 0, evaluate=rows, on_progress=Stop(points))
        assert (stopped.value.unit, stopped.value.n_chunks) == ("points", 120)
        assert stopped.value.chunks_done >= points
    assert run_sweep(plan, out, resume=True, evaluate=rows).resumed_chunks >= 100
    assert out.read_bytes() == whole[target]
    assert not (tmp_path / "out.parquet.parts").exists()


@pytest.mark.usefixtures("here")
def test_a_chunk_that_is_lost_is_computed_again(whole: dict[str, bytes], tmp_path: Path) -> None:
    out, plan = tmp_path / "out.parquet", Plan.from_config(config())
    with pytest.raises(SweepInterrupted):
        run_sweep(plan, out, evaluate=rows, on_progress=Stop(80))
    chunks = sorted((tmp_path / "out.parquet.parts").glob("chunk-*"))
    chunks[1].unlink()
    chunks[2].write_bytes(b"damaged")
    run_sweep(plan, out, resume=True, evaluate=rows)
    assert out.read_bytes() == whole["phase"]


@pytest.mark.usefixtures("here")
def test_another_budget_is_another_sweep(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    run_sweep(Plan.from_config(config()), out, evaluate=rows)
    with pytest.raises(ResumeError, match=r"sweep\.adaptive\.points \(120 there, 200 here\)"):
        run_sweep(Plan.from_config(config("phase", "sweep.adaptive.points=200")), out, resume=True, evaluate=rows)


@pytest.mark.usefixtures("here")
def test_a_stream_has_the_same_rows(whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    out.write_bytes(whole["phase"])
    sweep = SweepStream(Plan.from_config(config()), evaluate=rows)
    found = np.concatenate([block["sigma_w"] for block in sweep])
    assert found.tolist() == pd.read_parquet(out).sigma_w.tolist()
    assert sweep.result is not None
    assert 100 < sweep.result.points <= 120


@pytest.mark.usefixtures("here")
def test_there_are_no_shards(tmp_path: Path) -> None:
    out, plan = tmp_path / "out.parquet", Plan.from_config(config())
    with pytest.raises(ValueError, match="no shards"):
        run_sweep(plan, out, shard=(1, 2), evaluate=rows)
    with pytest.raises(SweepInterrupted):
        run_sweep(plan, out, evaluate=rows, on_progress=Stop(1))
    with pytest.raises(OutputError, match="no shares to be merged: mfmi sweep --resume"):
        merge_parts(out)


@pytest.mark.usefixtures("here")
def test_what_is_excluded_has_no_points(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    plan = Plan.from_config(config("phase", "sweep.exclude=[{activation: erf}]"))
    assert isinstance(plan, AdaptivePlan)
    run_sweep(plan, out, evaluate=rows)
    found = pd.read_parquet(out)
    assert set(found.activation) == {"tanh"}
    assert 100 < found.point.nunique() <= 120


@pytest.mark.usefixtures("here")
def test_variances_are_refined_evenly(tmp_path: Path) -> None:
    text = SWEEP.replace("TARGET", "phase").replace(
        "sigma_w: {start: 0.5, stop: 2.5", "sigma_w2: {start: 0.25, stop: 6.25"
    )
    out = tmp_path / "out.parquet"
    run_sweep(Plan.from_config(load_config(text, "x")), out, evaluate=rows)
    steps = (pd.read_parquet(out).sigma_w.to_numpy() ** 2 - 0.25) / 6.0 * 4 * 2**4
    assert np.allclose(steps, np.round(steps), atol=1e-9)


# ---- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.yaml"
    text = SWEEP.replace("TARGET", "phase").replace("points: 120", "points: 60").replace("[tanh, erf]", "linear")
    path.write_text(text)
    return path


def test_it_says_what_it_would_do(command_line: CommandLine, file: Path) -> None:
    found = command_line("sweep", file, "--dry-run")
    assert found.out.startswith("at most 60 points, at most 120 rows, 25 points in the first grid\n")
    assert "adaptive: the borders of the phases over sigma_w, sigma_b, down to 0.02 of each axis" in found.out
    checked = command_line("config", "check", file)
    assert "at most 60 points; at most 120 rows; 25 points in the first grid" in checked.out
    expanded = command_line("config", "expand", file, "--format", "jsonl")
    assert len(expanded.out.splitlines()) == 50
    assert "25 points of the first grid; the others follow from what comes out" in expanded.err


def test_a_share_of_it_is_refused(command_line: CommandLine, file: Path) -> None:
    found = command_line("sweep", file, "-o", "rows.parquet", "--shard", "1/2")
    assert found.code == 2
    assert "--shard does not go with sweep.mode adaptive" in found.err
    assert "--jobs and --scheduler divide it" in found.err


def test_more_points_than_allowed_are_refused(command_line: CommandLine, file: Path) -> None:
    found = command_line("sweep", file, "--max-points", "59", "-o", "rows.parquet")
    assert (found.code, "60 points, more than --max-points 59" in found.err) == (3, True)


@pytest.mark.usefixtures("here")
def test_a_file_a_summary_a_figure(command_line: CommandLine, file: Path) -> None:
    done = command_line("sweep", file, "-o", "rows.parquet", "--jobs", "1")
    assert done.code == 0, done.err
    assert re.search(r"mfmi: refined in \d+ rounds", done.err)
    assert "wrote rows.parquet" in done.out
    shown = command_line("show", "rows.parquet", "--rows", "--format", "jsonl", "--top", "1")
    assert json.loads(shown.out)["activation"] == "linear"
    assert command_line("sweep", file, "-o", "rows.parquet", "--resume", "--jobs", "1").code == 0
    drawn = command_line("plot", "rows.parquet", "--terminal")
    assert drawn.code == 0
    assert "█" in drawn.out or "@" in drawn.out


# ---- figures ---------------------------------------------------------------------------------------------------------


def test_points_without_a_grid_are_drawn_between(whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    out.write_bytes(whole["mi_linear"])
    refined = refined_axes(read_provenance(out))
    assert refined == {"sigma_w": False, "sigma_b": True}
    frame = pd.read_parquet(out)
    choice = choose(frame, Wishes(quantities=("mi_linear",)), refined)
    assert (choice.kind, choice.x, choice.y) == ("heat", "sigma_w", "sigma_b")
    figure = build(frame, choice, {})
    for panel in figure.panels:
        assert isinstance(panel, Heat)
        x, y = np.meshgrid(panel.x.values, panel.y.values)
        truth = np.exp(-(((x - 1.4) / 0.3) ** 2) - (np.log(y / 0.3) / 0.5) ** 2)
        assert np.abs(panel.values - truth).mean() < 0.03
        wrong = panel.phases != np.where(x > 1.0 + 0.77 * y, "chaotic", "ordered")
        assert wrong.mean() < 0.08
        assert panel.best is not None
        assert panel.best[2] == frame[frame.depth == 3].mi_linear.max()
    block, _ = to_block(figure)
    values = block["value"][block["series"] == "mi_linear"]
    assert sorted(values) == sorted(frame[frame.depth == 3].mi_linear)  # what was computed, not what lies between


@pytest.mark.usefixtures("here")
def test_one_refined_axis_makes_curves(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    text = SWEEP.replace("TARGET", "mi_linear").replace(
        "sigma_b: {start: 0.1, stop: 1, num: 5, spacing: log}", "sigma_b: [0.1, 0.5]"
    )
    run_sweep(Plan.from_config(load_config(text, "x")), out, evaluate=rows)
    frame = pd.read_parquet(out)
    choice = choose(frame, Wishes(quantities=("mi_linear",)), refined_axes(read_provenance(out)))
    assert (choice.kind, choice.x, choice.by) == ("curves", "sigma_w", "depth")
    panel = build(frame, choice, {}).panels[0]
    assert isinstance(panel, Curves)
    assert not panel.x.logarithmic
    assert (np.diff(panel.curves[0].x) > 0).all()
