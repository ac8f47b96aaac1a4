"""Four figures of speed and memory beside another checkout, in one run.

    python tests/benchmarks/targets.py OTHER [--activation gelu ...] [--networks 100] [--points 60]

OTHER is the root of the other checkout. Processor seconds of one process each, compiled code at hand:

1. the whole command `mfmi bound --act X --sw 1.5 --estimator replica --depth 10` without any tables;
2. milliseconds a network of a first sweep of random networks of depth 8 with `replica`, and of a second one, which
   finds the tables that the first has left;
3. rows per second of a part of the reference grid: tanh, weights and biases, both ensembles and noise placements, six
   depths, four bounds;
4. megabytes that deep requests of kinked activations take at most, beside those of a small one; inf where 8 GB are too
   few.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from direct import NAMES, ROOT, SWEEP, bound, cold, seconds

GRID = """
import mfmi, numpy as np
rng, n = np.random.default_rng(0), {points}
w, b = np.linspace(0.05, 4.0, 101)[rng.integers(0, 101, n)], np.linspace(0.0, 1.0, 101)[rng.integers(0, 101, n)]
settings = dict(sigma_w=np.repeat(w, 4), sigma_b=np.repeat(b, 4), weights=["gaussian", "orthogonal"] * 2 * n,
    noise_at=["output", "output", "every", "every"] * n)
bounds = ["linear", "entropy_power", "layerwise", "gaussian_upper"]
if n: assert len(mfmi.evaluate("tanh", depth=[1, 2, 5, 10, 20, 50], estimators=bounds, **settings)) == 24 * n
"""
DEEP = """
import mfmi
sigma_w = [1.0 + 0.05 * i for i in range({count})]
mfmi.evaluate({name!r}, sigma_w, 0.3, depth=[{depth}], estimators=["linear", "gaussian_upper"])
"""
DEEPEST = [("relu", 1, 2), ("relu", 8, 500), ("relu", 1, 10_000), ("elu", 1, 10_000)]
# Kilobytes of addresses.
LIMIT = 8_000_000


def megabytes(checkout: Path, cache: Path, code: str) -> float:
    """Largest resident memory of a process that runs the code of a checkout; inf where it has not enough."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "MFMI_CACHE_DIR": str(cache), "OPENBLAS_NUM_THREADS": "1"}
    limited = ["sh", "-c", f'ulimit -v {LIMIT}; exec "$@"', "sh", sys.executable, "-c", code]
    none = subprocess.DEVNULL
    with subprocess.Popen(limited, env=environment, cwd=checkout, stdout=none, stderr=none) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return math.inf if process.returncode else usage.ru_maxrss / 1024


def line(label: str, other: float, here: float) -> None:
    """Print the two figures and the other's over this one's."""
    print(f"{label:44} {other:9.2f} {here:9.2f} {other / here:7.2f}", flush=True)


def main() -> None:
    """Print a line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("--activation", action="append")
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--points", type=int, default=60)
    chosen = parser.parse_args()
    if chosen.other is None:
        parser.exit(message="nothing to compare with: give the root of another checkout\n")
    names = chosen.activation or NAMES
    print(f"{'':44} {'other':>9} {'here':>9} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        both = [(root, Path(folder) / str(i)) for i, root in enumerate((chosen.other.resolve(), ROOT))]
        for root, cache in both:
            for name in ("relu", "tanh"):  # the machine code of either way
                seconds(root, cache, *bound(name, 2))
            seconds(root, cache, "-c", GRID.format(points=1))
        for name in names:
            line(f"{name}: command, s", *(cold(root, cache, *bound(name)) for root, cache in both))
        for name in names if chosen.networks else ():
            empty = [seconds(root, cache, "-c", SWEEP.format(name=name, count=0)) for root, cache in both]
            code = SWEEP.format(name=name, count=chosen.networks)
            for label, run in (("first", cold), ("second", seconds)):
                whole = [run(root, cache, "-c", code) for root, cache in both]
                spent = [1e3 * (a - b) / chosen.networks for a, b in zip(whole, empty, strict=True)]
                line(f"{name}: {label} sweep, ms a network", *spent)
        empty = [seconds(root, cache, "-c", GRID.format(points=0)) for root, cache in both]
        grid = GRID.format(points=chosen.points)
        for root, cache in both:
            seconds(root, cache, "-c", grid)  # the tables
        whole = [seconds(root, cache, "-c", grid) for root, cache in both]
        line("grid, rows/s", *(24 * chosen.points / (a - b) for a, b in zip(whole, empty, strict=True)))
        for name, count, depth in DEEPEST:
            code = DEEP.format(name=name, count=count, depth=depth)
            label = f"{count} of {name}, {depth} layers: memory, MB"
            line(label, *(megabytes(root, cache, code) for root, cache in both))


if __name__ == "__main__":
    main()
