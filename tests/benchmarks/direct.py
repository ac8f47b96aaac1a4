"""The replica value of few networks beside another checkout, both with compiled code at hand and without any tables.

    python tests/benchmarks/direct.py OTHER [--activation gelu ...] [--networks 100]

OTHER is the root of the other checkout. The first two columns are processor seconds of the whole command `mfmi bound
--act X --sw 1.5 --estimator replica --depth 10`; with `--networks` two more have those of each of so many random
networks of depth 8 in one process.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = ["gelu", "selu", "silu", "softplus", "sigmoid", "elu", "sin", "cos", "tanh", "erf"]

SWEEP = """
import mfmi, numpy as np
rng, n = np.random.default_rng(0), {count}
settings = dict(
    sigma_w=rng.uniform(0.7, 2.5, n), sigma_b=rng.uniform(0, 0.7, n), sigma_noise=10 ** rng.uniform(-1.5, 0, n),
    weights=[*rng.choice(["gaussian", "orthogonal"], n)], noise_at=[*rng.choice(["output", "every"], n)])
if n: mfmi.evaluate({name!r}, depth=[8], estimators=["replica"], **settings)
"""


def seconds(checkout: Path, cache: Path, *command: str) -> float:
    """Processor seconds of a command that runs the code of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "MFMI_CACHE_DIR": str(cache), "OPENBLAS_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, env=environment, cwd=checkout, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cold(checkout: Path, cache: Path, *command: str) -> float:
    """The same where nothing but compiled code is kept."""
    for folder in cache.iterdir():
        if not folder.name.startswith("compiled-"):
            shutil.rmtree(folder)
    return seconds(checkout, cache, *command)


def bound(name: str, depth: int = 10) -> tuple[str, ...]:
    """Arguments of Python for the command."""
    return "-m", "mfmi", "bound", "--act", name, "--sw", "1.5", "--estimator", "replica", "--depth", str(depth)


def main() -> None:
    """Print one line per activation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("--activation", action="append")
    parser.add_argument("--networks", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.other is None:
        parser.exit(message="nothing to compare with: give the root of another checkout\n")
    print("activation   other, s  here, s  ratio" + "   other, ms a network  here  ratio" * bool(chosen.networks))
    with tempfile.TemporaryDirectory() as folder:
        both = [(root, Path(folder) / str(i)) for i, root in enumerate((chosen.other.resolve(), ROOT))]
        for root, cache in both:
            for name in ("relu", "tanh"):
                seconds(
                    root,
                    cache,
                    "-m",
                    "mfmi",
                    "bound",
                    "--act",
                    name,
                    "--sw",
                    "1.5",
                    "--estimator",
                    "replica",
                    "--depth",
                    "2",
                )
        for name in chosen.activation or NAMES:
            other, here = (cold(root, cache, *bound(name)) for root, cache in both)
            line = f"{name:12} {other:8.2f} {here:8.2f} {other / here:6.1f}"
            if chosen.networks:
                empty = [cold(root, cache, "-c", SWEEP.format(name=name, count=0)) for root, cache in both]
                code = SWEEP.format(name=name, count=chosen.networks)
                whole = [cold(root, cache, "-c", code) for root, cache in both]
                other, here = (1e3 * (a - b) / chosen.networks for a, b in zip(whole, empty, strict=True))
                line += f"   {other:19.1f} {here:5.1f} {other / here:6.1f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
