"""Memory of a sweep of two million rows: peak resident size of the program and of its workers.

    python tests/benchmarks/sweep_memory.py [--rows 2000000] [--jobs 2] [--estimators entropy_power]

The memory is that of a chunk whatever the estimators; a quick one is the default. Pages that processes share count in
each of them, so the sum is an upper limit.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

DEPTHS = list(range(1, 21))
CONFIG = """
version: 1
sweep:
  activation: tanh
  sigma_w: {{start: 0.5, stop: 3.0, num: {points}}}
  sigma_b: [0.0, 0.05, 0.1, 0.2, 0.3]
  weights: [gaussian, orthogonal]
  depth: {depths}
estimators: [{estimators}]
"""
MEGABYTE = 1e6


def peaks_of(command: list[str]) -> tuple[dict[str, float], float]:
    """Run a command; return the peak sizes of it and of its largest child, of all together, and the seconds it took."""
    peaks = {"program": 0.0, "worker": 0.0, "together": 0.0}
    began = time.monotonic()
    with subprocess.Popen(command) as process:
        program = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                own = program.memory_info().rss
                workers = [child.memory_info().rss for child in program.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for name, size in (("program", own), ("worker", max(workers, default=0)), ("together", own + sum(workers))):
                peaks[name] = max(peaks[name], size / MEGABYTE)
            time.sleep(0.02)
    if process.returncode:
        sys.exit(process.returncode)
    return peaks, time.monotonic() - began


def main() -> None:
    """Measure one sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--estimators", default="entropy_power")
    options = parser.parse_args()
    points = max(2, options.rows // (10 * len(DEPTHS)))
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "memory.yaml"
        config.write_text(CONFIG.format(points=points, depths=DEPTHS, estimators=options.estimators))
        command = [sys.executable, "-m", "mfmi", "-q", "sweep", str(config), "-o", f"{folder}/out.parquet"]
        peaks, seconds = peaks_of([*command, "--jobs", str(options.jobs)])
        size = (Path(folder) / "out.parquet").stat().st_size
    rows = points * 10 * len(DEPTHS)
    print(f"{rows:,} rows in {seconds:.0f} s, {size / MEGABYTE:.1f} MB; peak MB: ", end="")
    print(", ".join(f"{name} {peak:.0f}" for name, peak in peaks.items()))


if __name__ == "__main__":
    main()
