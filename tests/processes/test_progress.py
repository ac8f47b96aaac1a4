"""Long work says what it is and how far it is, wherever it is done, and costs nothing where nobody looks."""

import io
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Outcome
from waiting import printed_until

from mfmi.activations import get
from mfmi.activations._tables import ODD, PairTable
from mfmi.channels.closed.bounds import LinearLower
from mfmi.channels.closed.table import ChannelTable
from mfmi.channels.exact.table import ExactTable
from mfmi.channels.tile_cache import TileCache
from mfmi.checkpoints import audit_files
from mfmi.cli.progress import ProgressDisplay, showing
from mfmi.cli.terminal import Terminal
from mfmi.columns import COLUMNS
from mfmi.processes import pool, progress
from mfmi.processes.progress import Clock, Progress, Relay, Stage, running, stage, staged, text_of
from mfmi.processes.reporting import reporting
from mfmi.recommendation.results import NetworkFamily
from mfmi.recommendation.search import optimum
from mfmi.storage.parquet import read_batches, write_blocks


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[Stage]:
    """All stages that begin, in order."""
    found: list[Stage] = []

    class Noted(Stage):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            found.append(self)

    monkeypatch.setattr(progress, "Stage", Noted)
    return found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mfmi.cli.progress.PATIENCE", 0.02)
    monkeypatch.setattr("mfmi.cli.progress.LINE_EVERY", 0.02)


# ---- words -----------------------------------------------------------------------------------------------------------


def test_a_stage_says_its_share_and_the_time_that_is_left() -> None:
    began = time.monotonic() - 30.0
    assert Stage("theory").text == "theory"
    assert Stage("tabulate tanh", 4, "tiles", began=began).text == "tabulate tanh 0/4 tiles"
    assert Stage("tabulate tanh", 4, "tiles", 3, began).text == "tabulate tanh 3/4 tiles, 10 s left"
    assert Stage("search", 1.0, "", 0.25, began).text == "search 25%, 1 min 30 s left"


def test_of_work_within_work_the_outermost_and_the_innermost_are_shown() -> None:
    assert text_of(None, None) == "nothing is finished yet"
    with stage("rank", 3, "activations"), stage("search"), stage("tabulate gelu", 5, "tiles") as work:
        work.advance(2)
        assert re.fullmatch(r"rank 0/3 activations; tabulate gelu 2/5 tiles, 0.0 s left", text_of(None, None))
        now = Progress("evaluate", 1, 2, 10, 1.0)
        assert text_of(now, now).startswith("evaluate 1/2 chunks, 10 rows, 10 rows/s, 1.0 s left; tabulate gelu 2/5")
    assert running() == ()


def test_every_stage_of_reports_has_a_time_that_is_left() -> None:
    first, now = Progress("rank tanh", 1, 9, 0, 10.0), Progress("rank relu", 3, 9, 0, 16.0)
    assert first.kind == now.kind
    assert text_of(now, first) == "rank relu 3/9, 18 s left"
    assert text_of(first, first) == "rank tanh 1/9"
    assert "2/7 points, " in text_of(Progress("evaluate", 2, 7, 2, 1.0, "points"), Progress("evaluate", 1, 7, 1, 1.0))


def test_a_stage_ends_with_an_error() -> None:
    with pytest.raises(KeyError), stage("theory"):
        raise KeyError
    assert running() == ()
    assert list(staged("nothing", [], "parts")) == []
    assert [running()[0].text for _ in staged("read", [1], "parts")] == ["read"]
    assert [running()[0].done for _ in staged("read", [1, 2], "parts")] == [0, 1]


def test_less_than_before_is_not_believed() -> None:
    one = Stage("search", 1.0)
    one.reach(0.5)
    one.reach(0.25)
    assert one.done == 0.5


# ---- to whom -------------------------------------------------------------------------------------------------------


def test_a_function_is_told_what_goes_on_within_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mfmi.processes.reporting.PROGRESS_INTERVAL", 0.0)
    told: list[Progress] = []
    with reporting(told.append) as on_progress:
        clock = Clock(on_progress, 2)
        clock.tell("evaluate", 0)
        with stage("tabulate gelu", 4, "tiles") as work:
            work.advance()
        clock.finish(10, 2)
    assert [one.share for one in told] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert {one.stage for one in told} == {"evaluate"}
    assert "tabulate gelu 1/4 tiles, " in told[2].words
    assert all("tabulate" not in one.words for one in (told[0], told[-1]))


def test_without_reports_the_outermost_work_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Progress] = []
    with reporting(told.append), stage("audit", 3, "tensors") as work:
        work.advance(3)
    with reporting(told.append), stage("capacity"):
        pass
    with reporting(told.append), stage("search", 1.0) as work:
        work.reach(0.5)
    ends = [(one.stage, one.chunks_done, one.n_chunks, one.unit) for one in told]
    assert ends == [("audit", 3, 3, "tensors"), ("capacity", 1, 1, "stages"), ("search", 50, 100, "%")]


def test_what_other_threads_do_is_not_told() -> None:
    told: list[Progress] = []

    def other() -> None:
        with stage("another", 1, "parts") as work:
            work.advance()

    with reporting(told.append):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert told == []


def test_a_function_that_raises_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mfmi.processes.reporting.PROGRESS_INTERVAL", 0.0)

    def stop(progress: Progress) -> None:
        raise KeyError(progress.stage)

    with pytest.raises(KeyError, match="fixed points"), reporting(stop), stage("fixed points", 2, "points"):
        pytest.fail("the work goes on")
    assert running() == ()


def test_true_writes_what_is_done_meanwhile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mfmi.processes.reporting.LINE_EVERY", 0.01)
    with reporting(True), stage("tabulate gelu", 4, "tiles") as work:
        work.advance()
        until = time.monotonic() + 60.0
        written = ""
        while "tiles" not in written and time.monotonic() < until:
            written += capsys.readouterr().err
    assert "mfmi: tabulate gelu 1/4 tiles, " in written
    with reporting(True):
        pass
    with pytest.raises(ValueError, match="progress: 3 is neither True nor False"), reporting(3):  # type: ignore[arg-type]
        pass


def test_a_notebook_is_written_to_where_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setattr("mfmi.processes.reporting.PATIENCE", 1e-4)
    monkeypatch.setattr(sys, "stderr", out)

    def wait_for(text: str) -> None:
        until = time.monotonic() + 60.0
        while text not in out.getvalue() and time.monotonic() < until:
            time.sleep(1e-3)

    with reporting(True), stage("tabulate gelu"):
        wait_for("gelu")
        with stage("compile"):
            wait_for("compile")
            written = out.getvalue()
    # It may have written before the first stage began.
    lines = [line.strip() for line in written.split("\r") if line.strip() not in {"", "mfmi: nothing is finished yet"}]
    assert lines == ["mfmi: tabulate gelu", "mfmi: tabulate gelu; compile"]


# ---- who says it -----------------------------------------------------------------------------------------------------


def test_tables_count_their_tiles(announced: list[Stage]) -> None:
    phi = get("hard_tanh")
    PairTable(phi).evaluate(np.array([0.3, 3.0]), np.array([0.1, 0.2]), ODD)
    assert [(one.name, one.unit) for one in announced] == [("tabulate pairs of hard_tanh", "tiles")]
    assert announced[0].done == announced[0].total
    announced.clear()
    ExactTable(get("relu"), TileCache(None)).evaluate(1.0, [0.5, 0.5], [1.0, 40.0])
    assert [(one.name, one.done, one.total) for one in announced] == [("tabulate relu, 0 tiles so far", 2, 2)]


@pytest.mark.thorough
def test_tables_of_closed_bounds_count_their_tiles(announced: list[Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TileCache, "of_user", lambda *_: TileCache(None))
    table = ChannelTable(get("relu"), LinearLower())
    table.evaluate(np.ones(1), np.full(1, 0.5), np.ones(1))
    assert [(one.done, one.total) for one in announced if "of relu" in one.name] == [(1, None)]


def test_reading_counts_rows(announced: list[Stage], tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_blocks(path, [{"point": np.arange(5)}], COLUMNS[:1], None)
    assert sum(batch.num_rows for batch in read_batches(path, batch_rows=2)) == 5
    assert [(one.name, one.done, one.total, one.unit) for one in announced] == [(f"read {path}", 5, 5, "rows")]


def test_a_sweep_says_how_much_there_is_before_the_first_report() -> None:
    clock = Clock(None, 20, done=3)
    with clock.begun("evaluate"):
        assert text_of(None, None).startswith("evaluate 3/20 chunks")
        now = Progress("evaluate", 4, 20, 9, 1.0)
        assert text_of(now, now) == "evaluate 4/20 chunks, 9 rows, 9 rows/s, 16 s left"


def test_before_a_part_is_finished_no_pace_is_known() -> None:
    now = Progress("evaluate", 0, 2, 0, 3.0)
    assert text_of(now, now) == "evaluate 0/2 chunks"


def test_bounds_say_so_before_their_first_report(announced: list[Stage], command_line: Callable[..., Outcome]) -> None:
    assert command_line("bound", "--act", "linear", "--sw", "1", "--depth", "2", "--estimator", "linear").code == 0
    assert (announced[0].name, announced[0].total, announced[0].unit) == ("evaluate", 1, "chunks")


class Compilation:
    """Work of several pieces, within which a process of its own compiles."""

    def pickled(self) -> bytes:
        return pickle.dumps(self)

    def names(self, number: int) -> str:
        return str(number)

    def piece(self, number: int) -> int:
        return number

    def run(self, piece: int) -> bytes:
        pool._TELL_EVERY = 0.0
        with stage("compile", 3, "functions") as work:
            for _ in range(3):
                work.advance()
        return bytes([piece])


def test_what_worker_processes_do_is_told_here(announced: list[Stage]) -> None:
    seen: list[str] = []
    with stage("evaluate", 2, "chunks"), progress.watching(lambda over: seen.append(text_of(None, None))):
        found = [(number, data, running()) for number, data in pool.run_processes(Compilation(), range(2), 1)]
    assert [one[:2] for one in found] == [(0, b"\0"), (1, b"\1")]
    assert all([one.name for one in stages] == ["evaluate"] for *_, stages in found)
    assert {one.name for one in announced} == {"evaluate", "compile"}
    assert "evaluate 0/2 chunks; compile 0/3 functions" in seen
    assert any(text.startswith("evaluate 0/2 chunks; compile 3/3 functions, ") for text in seen)


def test_of_several_processes_one_is_told() -> None:
    relay, one, other = Relay(), object(), object()
    relay.tell(one, ("compile", 10.0, "functions", 4.0, 8.0))
    relay.tell(other, ("compile", 10.0, "functions", 2.0, 8.0))
    assert text_of(None, None) == "compile 4/10 functions, 12 s left"
    relay.tell(one, None)  # the other goes on
    assert [work.name for work in running()] == ["compile"]
    relay.tell(one, ("tabulate gelu", 3.0, "tiles", 1.0, 2.0))
    assert [work.name for work in running()] == ["tabulate gelu"]
    relay.tell(one, None)
    relay.tell(one, None)
    assert running() == ()


def test_a_search_comes_to_its_end(announced: list[Stage]) -> None:
    network = NetworkFamily(get("linear"), 2, "gaussian", "output", 0.1, 1.0, "nats")
    optimum(network, "linear", 0.0, tolerance=2e-2, plateau=False)
    (search,) = (one for one in announced if one.name == "search linear, linear")
    assert search.total == 1.0
    assert 0.4 < search.done <= 1.0


def test_an_audit_counts_its_tensors(announced: list[Stage], tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    np.savez(path, **{f"layer{i}.weight": np.ones((8, 8)) for i in range(3)})
    audit_files([str(path)])
    assert [(one.name, one.done, one.total, one.unit) for one in announced] == [("audit two.npz", 3, 3, "tensors")]


# ---- who shows it ----------------------------------------------------------------------------------------------------


def test_work_below_a_command_is_shown(hasty: None, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(Terminal()), stage("tabulate gelu", 4, "tiles") as work:
        work.advance()
        out, _ = printed_until(capsys, "mfmi: tabulate gelu 1/4 tiles, ")
    assert out == ""


def test_quick_work_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with showing("theory"):
        pass
    assert capsys.readouterr().err == ""


# A command, and a word of the stage that is to be stopped.
COMMANDS = {
    "compilation": ("bound --act tanh --sw 1.5", "compile"),
    "search": ("recommend --act tanh --by replica", "search"),
    "isometry": ("isometry --act tanh --sw 1.5 --depth 300 --every-layer", "spectra"),
}

HASTY = """
import sys
import mfmi.cli.progress
mfmi.cli.progress.PATIENCE = mfmi.cli.progress.LINE_EVERY = 0.1
from mfmi.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.thorough
@pytest.mark.parametrize(("command", "word"), COMMANDS.values(), ids=list(COMMANDS))
def test_a_request_to_stop_ends_it_without_a_word(command: str, word: str, tmp_path: Path) -> None:
    environment = os.environ | {"MFMI_CACHE_DIR": str(tmp_path / "cache")}
    arguments = [*command.split(), "-o", "rows.csv"]
    with subprocess.Popen(
        [sys.executable, "-c", HASTY, *arguments], stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as running:
        assert running.stderr is not None
        assert any(word in line for line in running.stderr)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == -signal.SIGINT
    assert "Traceback" not in err
    assert not (tmp_path / "rows.csv").exists()
    assert not list(tmp_path.rglob("*.part"))
