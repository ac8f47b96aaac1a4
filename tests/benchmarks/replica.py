"""Cost of the replica value: a sweep of 1,000 networks, with tables to be built and with tables from the cache.

    python tests/benchmarks/replica.py [--activation relu --activation hard_tanh] [--depth 2] [--points 1000]

Each case starts with an empty cache directory of its own, so that the first column is what a new user waits for. A
single point takes the public replica code 1 to 6 seconds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

import numpy as np

from mfmi import activations
from mfmi.bounds.evaluate import evaluate_points
from mfmi.channels.exact.channel import exact_channel
from mfmi.channels.exact.table import ExactTable, exact_table, kept_tiles
from mfmi.channels.tile_cache import TileCache
from mfmi.networks.points import Points


def networks(name: str, count: int) -> Points:
    """Return a grid of networks over weights, biases and noise."""
    rng = np.random.default_rng(0)
    return Points.of(
        np.full(count, name, dtype=object),
        rng.uniform(0.7, 2.0 if name in ("relu", "gelu", "silu", "elu", "softplus") else 3.0, count),
        sigma_b=rng.uniform(0.0, 0.7, count),
        sigma_noise=10.0 ** rng.uniform(-1.5, 0.0, count),
    )


def sweep(points: Points, depth: int) -> tuple[float, int]:
    """Return the seconds that the replica value of all points takes, and how many came out."""
    start = time.perf_counter()
    found = evaluate_points(points, depth, ["replica"])
    return time.perf_counter() - start, int(np.sum(np.isfinite(found["mi_replica"][found["depth"] == depth])))


def channel_costs(name: str) -> str:
    """Return milliseconds per element by quadrature and, in bulk, by the table; and the largest relative difference."""
    phi, rng, count = activations.get(name), np.random.default_rng(1), 12
    s = rng.uniform(0.5, 2.0, count)
    r, tau = 10.0 ** rng.uniform(0.0, 2.0, count), s * rng.uniform(0.1, 1.0, count)
    start = time.perf_counter()
    true = exact_channel(phi, r, tau, s)
    direct = (time.perf_counter() - start) / count
    table = ExactTable(phi, TileCache(None))
    start = time.perf_counter()
    table.evaluate(r, tau, s)
    build = (time.perf_counter() - start) / len(table._tiles)
    many = [np.tile(a, 500) for a in (r, tau, s)]
    start = time.perf_counter()
    found = table.evaluate(*many).j
    bulk = (time.perf_counter() - start) / len(many[0])
    miss = np.max(np.abs(found[:count] / true.j - 1.0))
    return f"{1e3 * direct:8.2f} ms {1e6 * bulk:8.2f} us {build:8.2f} s {miss:10.1e}"


def main() -> None:
    """Print one line per activation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activation", action="append")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--points", type=int, default=1000)
    chosen = parser.parse_args()
    print(f"replica value of {chosen.points} networks of depth {chosen.depth}, milliseconds per point")
    print("activation    tables built     cached    tiles  values | quadrature       table  a tile   difference")
    for name in chosen.activation or ["relu", "hard_tanh"]:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MFMI_CACHE_DIR"] = folder
            exact_table.cache_clear()
            points = networks(name, chosen.points)
            fresh, _ = sweep(points, chosen.depth)
            tiles = len(list(kept_tiles(activations.get(name)).folder.glob("*.tile")))
            exact_table.cache_clear()
            cached, values = sweep(points, chosen.depth)
        each = 1e3 / chosen.points
        print(
            f"{name:12} {fresh * each:10.2f} {cached * each:12.2f} {tiles:8} {values:7} | {channel_costs(name)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
