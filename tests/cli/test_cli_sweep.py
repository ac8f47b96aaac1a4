"""``mfmi sweep``: rows to a file or a pipe, the summary, refusals, dry runs, and what an interruption leaves."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome
from waiting import printed_until, until

import mfmi
from mfmi.cli.progress import ProgressDisplay
from mfmi.cli.sweep import resume_command
from mfmi.cli.terminal import Terminal
from mfmi.columns import COLUMNS
from mfmi.processes.progress import Progress, duration

CommandLine = Callable[..., Outcome]

TINY = """\
version: 1
sweep:
  activation: [linear, tanh]
  sigma_w: [0.8, 1.0, 1.5]
  sigma_b: [0, 0.3]
  depth: [1, 3]
estimators: [linear, mean_field]
"""
POINTS = 12
ROWS = 24


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def test_a_file_of_rows_and_a_summary(command_line: CommandLine, config: Path, tmp_path: Path) -> None:
    done = command_line("sweep", config, "-o", "rows.parquet", "--jobs", "1")
    assert (done.code, done.err) == (0, "")
    frame = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(frame.columns) == [column.name for column in COLUMNS]
    assert len(frame) == ROWS
    assert re.match(r"12 points, 24 rows in .* \([0-9,]+ rows/s\), 1 job\n", done.out)
    assert "best mi_linear, linearly readable" in done.out
    assert "wrote rows.parquet" in done.out
    assert re.search(r"next: mfmi (plot|show) rows\.parquet\n$", done.out)
    assert not (tmp_path / "rows.parquet.parts").exists()


def test_the_rows_are_those_of_the_evaluator(command_line: CommandLine, config: Path, tmp_path: Path) -> None:
    command_line("sweep", config, "-o", "rows.parquet", "--jobs", "1")
    frame = pd.read_parquet(tmp_path / "rows.parquet")
    assert frame["point"].nunique() == POINTS
    for _, group in frame.groupby("point"):
        row = group.iloc[0]
        own = mfmi.evaluate(
            row["activation"], row["sigma_w"], row["sigma_b"], depth=[1, 3], estimators=["linear", "mean_field"]
        )
        np.testing.assert_allclose(group["mi_linear"], own["mi_linear"], rtol=1e-12)
        np.testing.assert_allclose(group["chi_1"], own["chi_1"], rtol=1e-12)


def test_without_a_file_the_rows_go_to_standard_output(command_line: CommandLine, config: Path) -> None:
    done = command_line("sweep", config, "--jobs", "1")
    assert done.code == 0
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["point"] for row in rows] == [point for point in range(12) for _ in range(2)]
    assert re.match(r"12 points, 24 rows in ", done.err)
    assert command_line("sweep", config, "-o", "-", "--jobs", "1", "-q").err == ""


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl"])
def test_other_formats_hold_the_same_rows(command_line: CommandLine, config: Path, tmp_path: Path, suffix: str) -> None:
    assert command_line("sweep", config, "-o", "rows.parquet", "--jobs", "1").code == 0
    done = command_line("sweep", config, "-o", f"rows.{suffix}", "--jobs", "1")
    assert done.code == 0, done.err
    assert "best mi_linear, linearly readable" in done.out
    text = (tmp_path / f"rows.{suffix}").read_text()
    if suffix in ("csv", "tsv"):
        frame = pd.read_csv(io.StringIO(text), sep="\t" if suffix == "tsv" else ",")
    else:
        frame = pd.read_json(io.StringIO(text), lines=suffix == "jsonl", precise_float=True)
    for name in ("mi_linear", "q", "sigma_w", "chi_1"):
        exact = pd.read_parquet(tmp_path / "rows.parquet")[name]
        np.testing.assert_allclose(frame[name].astype(float), exact, rtol=1e-15)


def test_the_same_bytes_for_any_number_of_jobs(command_line: CommandLine, config: Path, tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        assert command_line("sweep", config, "-o", f"{jobs}.parquet", "--jobs", jobs, "-q").code == 0
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_the_output_may_stand_in_the_config(command_line: CommandLine, config: Path, tmp_path: Path) -> None:
    config.write_text(TINY + "output: {path: named.parquet}\n")
    assert command_line("sweep", config, "--jobs", "1").code == 0
    assert (tmp_path / "named.parquet").exists()
    streamed = command_line("sweep", config, "--jobs", "1", "-o", "-")
    assert len(streamed.out.splitlines()) == ROWS


def test_overrides_and_standard_input(command_line: CommandLine, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TINY.encode())))
    done = command_line("sweep", "-", "--set", "sweep.depth=[2]", "--set", "sweep.activation=linear", "--jobs", "1")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert {(row["activation"], row["depth"]) for row in rows} == {("linear", 2)}


def test_a_dry_run_computes_nothing(command_line: CommandLine, config: Path, tmp_path: Path) -> None:
    done = command_line("sweep", config, "-n", "-o", "rows.parquet")
    assert done.code == 0
    assert done.out.startswith("12 points, 24 rows, 1 chunk\n")
    assert "  sigma_w: 0.8, 1, 1.5\n" in done.out
    assert "  depth: 1, 3\n" in done.out
    assert "  to: rows.parquet (parquet), " in done.out
    assert list(tmp_path.iterdir()) == [config]


def test_an_existing_file_is_refused_before_the_work(command_line: CommandLine, config: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_text("precious")
    for dry in ([], ["-n"]):
        done = command_line("sweep", config, "-o", "rows.parquet", *dry)
        assert done.code == 5
        assert "rows.parquet exists" in done.err
        assert "--force" in done.err
    assert "--resume" in command_line("sweep", config, "-o", "rows.parquet").err
    assert (tmp_path / "rows.parquet").read_text() == "precious"
    assert command_line("sweep", config, "-o", "rows.parquet", "--force", "--jobs", "1").code == 0


def test_config_errors_are_3_and_located(command_line: CommandLine, config: Path) -> None:
    config.write_text(TINY.replace("sigma_w:", "sigma_v:").replace("[1, 3]", "[0]"))
    done = command_line("sweep", config)
    assert done.code == 3
    assert done.out == ""
    assert re.search(r"tiny\.yaml:4:\d+: error: .*sigma_w", done.err)
    assert re.search(r"tiny\.yaml:6:\d+: error: ", done.err)


def test_an_unreadable_config_is_5(command_line: CommandLine, tmp_path: Path) -> None:
    done = command_line("sweep", tmp_path / "missing.yaml")
    assert done.code == 5
    assert len(done.err.splitlines()) == 1


def test_too_many_points_are_3(command_line: CommandLine, config: Path) -> None:
    done = command_line("sweep", config, "--max-points", "11")
    assert done.code == 3
    assert "--max-points 11" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--jobs", "0"], "'--jobs': 0 is less than 1"),
        (["--jobs", "many"], "'--jobs': 'many' is neither a whole number nor 'auto'"),
        (["--shard", "3/2", "-o", "x.parquet"], "'--shard': '3/2' is not I/N"),
        (["--shard", "one", "-o", "x.parquet"], "'--shard': 'one' is not I/N"),
        (["--resume"], "--resume needs an output file"),
        (["--shard", "1/2"], "--shard needs an output file"),
        (["--resume", "--force", "-o", "x.parquet"], "contradict"),
        (["--shard", "1/2", "--force", "-o", "x.parquet"], "contradict"),
        (["-o", "x.docx"], "does not say its format"),
    ],
)
def test_options_that_cannot_be(command_line: CommandLine, config: Path, arguments: list[str], words: str) -> None:
    done = command_line("sweep", config, *arguments)
    assert done.code == 2
    assert words in done.err


def test_strict_is_4_only_with_failures(
    command_line: CommandLine, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command_line("sweep", config, "-o", "good.parquet", "--strict", "--jobs", "1").code == 0
    import mfmi.bounds.evaluate

    real = mfmi.bounds.evaluate.evaluate_points

    def failing(points: object, depths: object, estimators: object, unit: str = "nats", *more: object) -> object:
        if (points.sigma_w == 1.5).any():  # type: ignore[attr-defined]
            raise ArithmeticError("no luck")
        return real(points, depths, estimators, unit, *more)  # type: ignore[arg-type]

    monkeypatch.setattr("mfmi.bounds.evaluate.evaluate_points", failing)
    for name in os.environ:
        if name.endswith("_NUM_THREADS"):
            monkeypatch.setenv(name, "1")
    done = command_line("sweep", config, "-o", "bad.parquet", "--strict", "--jobs", "1")
    assert done.code == 4
    assert (tmp_path / "bad.parquet").exists()
    assert "failed or unconverged: 8 rows" in done.err
    assert "ArithmeticError: no luck" in done.out
    lax = command_line("sweep", config, "-o", "lax.parquet", "--jobs", "1")
    assert lax.code == 0
    assert "no row has a result" not in lax.err
    lost = command_line("sweep", config, "-o", "lost.parquet", "--jobs", "1", "--set", "sweep.sigma_w=1.5")
    assert lost.code == 0
    assert re.search(
        r"error: no row has a result: all \d+ are failed or unconverged: ArithmeticError: no luck", lost.err
    )


def test_shards_say_what_to_do_next(command_line: CommandLine, config: Path, tmp_path: Path) -> None:
    done = command_line("sweep", config, "-o", "rows.parquet", "--shard", "1/2", "--jobs", "1")
    assert done.code == 0
    assert "when all shares are there: mfmi merge rows.parquet" in done.out
    assert not (tmp_path / "rows.parquet").exists()


BIG = """\
version: 1
sweep:
  activation: tanh
  sigma_w: {start: 0.5, stop: 3.0, num: 20000}
  sigma_b: {start: 0.0, stop: 1.0, num: 100}
  depth: 2
estimators: [mean_field]
"""


@pytest.mark.thorough
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path, signum: signal.Signals) -> None:
    (tmp_path / "big.yaml").write_text(BIG)
    command = [sys.executable, "-m", "mfmi", "sweep", "big.yaml", "-o", "big.parquet", "--jobs", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as running:
        parts = tmp_path / "big.parquet.parts"
        # The second file is there only after the first has been counted.
        until(lambda: len(list(parts.glob("chunk-*"))) >= 2)
        running.send_signal(signum)
        _, err = running.communicate(timeout=60)
    assert running.returncode == -signum
    assert "Traceback" not in err
    assert re.search(r"warning: interrupted: [1-9]\d* of \d+ chunks are kept in ", err)
    assert err.endswith("  mfmi sweep big.yaml -o big.parquet --jobs 1 --resume\n")
    assert list(parts.glob("chunk-*"))
    assert not (tmp_path / "big.parquet").exists()


def test_the_command_that_resumes() -> None:
    assert resume_command(("sweep", "a b.yaml", "-o", "x.parquet")) == "mfmi sweep 'a b.yaml' -o x.parquet --resume"
    assert resume_command(("sweep", "a.yaml", "--force")) == "mfmi sweep a.yaml --resume"
    assert resume_command(("sweep", "a.yaml", "--resume")) == "mfmi sweep a.yaml --resume"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mfmi.cli.progress.PATIENCE", 0.02)
    monkeypatch.setattr("mfmi.cli.progress.LINE_EVERY", 0.02)


def test_progress_is_plain_lines_off_a_terminal(hasty: None, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(Terminal()) as display:
        display(Progress("evaluate", 1, 10, 1000, 2.0))
        display(Progress("evaluate", 2, 10, 2000, 4.0))
        out, _ = printed_until(capsys, "mfmi: evaluate 2/10 chunks, 2,000 rows, 500 rows/s, 16 s left\n")
    assert out == ""


def test_measurements_are_no_chunks(hasty: None, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(Terminal()) as display:
        printed_until(capsys, "mfmi: nothing is finished yet\n")
        display(Progress("measure", 3, 8, 0, 1.0))
        out, _ = printed_until(capsys, "mfmi: measure 3/8\n")
    assert out == ""


def test_progress_is_silent_when_asked_or_quick(
    hasty: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ProgressDisplay(Terminal(quiet=True)) as display:
        display(Progress("evaluate", 1, 10, 1000, 2.0))
        time.sleep(0.1)
    monkeypatch.setattr("mfmi.cli.progress.PATIENCE", 1.0)
    with ProgressDisplay(Terminal()) as display:
        display(Progress("evaluate", 1, 10, 1000, 2.0))
    assert capsys.readouterr().err == ""


def test_progress_is_a_bar_on_a_terminal(hasty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with ProgressDisplay(Terminal()) as display:
        display(Progress("evaluate", 5, 10, 1000, 2.0))
        until(screen.getvalue)
    assert "evaluate 5/10 chunks" in screen.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (42.4, "42 s"), (95, "1 min 35 s"), (7300, "2 h 1 min")]
)
def test_time_spans(seconds: float, text: str) -> None:
    assert duration(seconds) == text
