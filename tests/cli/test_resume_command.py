"""`mfmi sweep` itself stopped at random moments, resumed by the command that it prints, divided and merged."""

from __future__ import annotations

import hashlib
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from fake_sweep import seconds_until_dead

from mfmi.sweep.parts import folder_of

CONFIG = """
version: 1
sweep:
  activation: [relu, erf]
  sigma_w: {{start: 0.5, stop: 3.0, num: {points}}}
  sigma_b: [0, 0.1, 0.3, 1]
  depth: {depths}
estimators: [entropy_power]
"""
CHUNKS = 4
SMALL = CONFIG.format(points=8 * CHUNKS, depths=list(range(1, 65)))  # 64 points a chunk
SIGNALS = [signal.SIGKILL, signal.SIGINT, signal.SIGTERM]


def command(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mfmi", "sweep", "sweep.yaml", "-o", "out.parquet", "--jobs", "2", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("expected")
    (folder / "sweep.yaml").write_text(SMALL)
    finish(command(folder, "--jobs", "1"))
    return sha256(folder / "out.parquet")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stop(process: subprocess.Popen[str], dice: random.Random) -> str:
    """Stop a sweep by some signal, a Ctrl-C to the whole group; return what it says to that."""
    signum = dice.choice(SIGNALS)
    workers = psutil.Process(process.pid).children()
    if signum == signal.SIGINT:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)
    _, errors = process.communicate(timeout=10)
    assert process.returncode in (-signum, 0), errors  # 0: it was faster
    assert "Traceback" not in errors
    assert seconds_until_dead(workers) < 1
    return errors if signum != signal.SIGKILL else ""


def stop_again_and_again(folder: Path, dice: random.Random, stops: int) -> None:
    """Start a sweep, stop it after another chunk or so, go on by the command that it prints, and so on."""
    out = folder / "out.parquet"
    (folder / "sweep.yaml").write_text(SMALL)
    process = command(folder)
    for _ in range(stops):
        before = len(list(folder_of(out).glob("chunk-*")))
        while len(list(folder_of(out).glob("chunk-*"))) <= before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.3))
        said = stop(process, dice) if process.poll() is None else ""
        assert set(os.listdir(folder)) <= {"sweep.yaml", "out.parquet.parts", "out.parquet"}
        options = ["--resume"]
        if said and not out.exists():
            assert f"of {CHUNKS} chunks are kept in {folder_of(out)}" in said
            program, name, config, *options = shlex.split(said.splitlines()[-1])
            assert (program, name, config) == ("mfmi", "sweep", "sweep.yaml")
            assert "--resume" in options
        process.communicate()
        process = command(folder, *options)
    finish(process)
    assert sorted(os.listdir(folder)) == ["out.parquet", "sweep.yaml"]


@pytest.mark.thorough
def test_stopped_once(tmp_path: Path, expected: str) -> None:
    stop_again_and_again(tmp_path, random.Random(0), 1)
    assert sha256(tmp_path / "out.parquet") == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 8))
def test_stopped_three_times(tmp_path: Path, expected: str, seed: int) -> None:
    stop_again_and_again(tmp_path, random.Random(seed), 3)
    assert sha256(tmp_path / "out.parquet") == expected


@pytest.mark.thorough
def test_divided_and_merged(tmp_path: Path, expected: str) -> None:
    (tmp_path / "sweep.yaml").write_text(SMALL)
    finish(command(tmp_path, "--shard", "1/2"))
    merge = [sys.executable, "-m", "mfmi", "merge", "out.parquet"]
    early = subprocess.run(merge, cwd=tmp_path, capture_output=True, text=True)
    assert early.returncode == 5
    assert early.stderr.count("\n") == 1
    assert "shard 2/2" in early.stderr
    other = command(tmp_path, "--resume", "--set", "sweep.sigma_b=[0, 1]", "--set", "seed=7")
    _, errors = other.communicate()
    assert other.returncode == 6
    assert errors.count("\n") == 1
    assert "sweep.sigma_b" in errors
    assert "seed (0 there, 7 here)" in errors
    finish(command(tmp_path, "--shard", "2/2"))
    done = subprocess.run(merge, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "256 points" in done.stdout
    assert sha256(tmp_path / "out.parquet") == expected
