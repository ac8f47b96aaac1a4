"""The recipes of docs/howto/cluster.md run as they are written, on a small config and with a stand-in for Slurm."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SBATCH = """#!/usr/bin/env python3
# Runs the script of a job here and now, once for each number of its array.
import os, re, subprocess, sys
script = sys.argv[-1]
text = open(script).read()
array = re.search(r"^#SBATCH --array=1-(\\d+)$", text, re.MULTILINE)
numbers = range(1, int(array[1]) + 1) if array else [None]
for number in numbers:
    extra = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": array[1]} if array else {}
    subprocess.run(["bash", script], env=os.environ | extra, check=True, stdout=sys.stderr)
print(1234)
"""


def recipe(title: str) -> list[str]:
    """Return the blocks of code under a heading."""
    text = (ROOT / "docs" / "howto" / "cluster.md").read_text()
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, title
    return re.findall(r"^```bash\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with a config that has several chunks, and stand-ins for Slurm's programs."""
    (tmp_path / "configs").mkdir()
    small = "version: 1\nsweep:\n  activation: tanh\n  sigma_w: {start: 0.5, stop: 2.5, num: 400}\n  depth: "
    depths = list(range(1, 65))
    (tmp_path / "configs" / "edge_of_chaos.yaml").write_text(f"{small}{depths}\nestimators: [entropy_power]\n")
    (tmp_path / "bin").mkdir()
    for name, script in (("sbatch", SBATCH), ("srun", '#!/bin/sh\nexec "$@"\n')):
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def run(script: str, place: Path) -> str:
    programs = f"{place / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-m", "-e", "-c", script],
        cwd=place,
        env=os.environ | {"PATH": programs},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_recipes_give_the_same_file(place: Path) -> None:
    plain, again = recipe("A workstation")
    run(plain, place)
    assert "7 of 7 chunks were there already" in run(again, place)

    sweep, merge, submit = recipe("A Slurm array")
    (place / "sweep.sbatch").write_text(sweep)
    (place / "merge.sbatch").write_text(merge)
    run(submit, place)

    assert shutil.which("dask", path=str(Path(sys.executable).parent))
    (cluster,) = recipe("A Dask cluster")
    run(cluster.replace("8786", "18786"), place)

    hashes = [hashlib.sha256((place / f"{name}.parquet").read_bytes()).hexdigest() for name in ("eoc", "array", "dask")]
    assert len(set(hashes)) == 1
    assert not list(place.glob("*.parts"))
