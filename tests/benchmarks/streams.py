"""Milliseconds per row of residual networks, and of all closed estimators of plain networks with norms and without.

    python tests/benchmarks/streams.py [--points 1000] [--depth 50]

Every case is a batch of points with as many weight variances, once to warm up and once timed; times are processor
seconds of this process, because the machine may be shared. A row is what `mfmi.evaluate` returns, with `mi_linear`:
mean field, fixed points, sites, `Phi_full` and `Phi_known` all count; beside it stands the bound alone. A normalised
plain network is to be no more than a tenth slower than the one without its norm in the same sweep.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable
from typing import Any

from mfmi.processes.threads import ONE_THREAD

os.environ.update(ONE_THREAD)  # before numpy is there

import numpy as np

import mfmi
from mfmi.activations import get
from mfmi.bounds.readable import readable
from mfmi.meanfield import Architecture
from mfmi.processes.machine_code import version

PRE = {"norm": "layernorm", "noise_scale": "relative"}
NORMS = ("layernorm", "rmsnorm", "batchnorm")
CASES: dict[str, tuple[float, str, str, dict[str, Any]]] = {
    "two matrices, tanh": (10.0, "tanh", "gaussian", {**PRE, "sigma_b2": 0.09, "matrices": 2}),
    "two matrices, relu, orthogonal": (10.0, "relu", "orthogonal", {**PRE, "sigma_b2": 0.09, "matrices": 2}),
    "one matrix, one site, tanh": (5.0, "tanh", "gaussian", PRE),
    "one matrix, one site, orthogonal": (5.0, "tanh", "orthogonal", {"norm": "none"}),
    "one matrix, 64 sites, tanh": (50.0, "tanh", "gaussian", {**PRE, "sigma_b2": 0.09}),
    "one matrix, 64 sites, relu": (50.0, "relu", "orthogonal", {**PRE, "sigma_b2": 0.09}),
}


def milliseconds(network: Callable[[int], Architecture], weights: str, points: int) -> tuple[float, float]:
    """Processor milliseconds per point when warm, and the share of points that converged."""
    readable(network(8), weights)
    batch = network(points)
    start = time.process_time()
    found = readable(batch, weights)
    spent = time.process_time() - start
    return 1e3 * spent / points, float(found.linear.converged.mean())


CLOSED = ("mean_field", "linear", "entropy_power", "layerwise", "fisher", "gaussian_upper", "covariance_upper")


def milliseconds_of_sweep(name: str, norm: str, noise_at: str, weights: str, points: int, depth: int) -> float:
    """Processor milliseconds per row of all closed estimators when warm: the least of three sweeps."""

    def sweep() -> float:
        sigma_w = np.sqrt(np.linspace(1.0, 2.0, points))
        start = time.process_time()
        mfmi.evaluate(
            name, sigma_w, 0.3, 0.2, depth, weights=weights, noise_at=noise_at, normalization=norm, estimators=CLOSED
        )
        return time.process_time() - start

    sweep()
    return 1e3 * min(sweep() for _ in range(3)) / points


def milliseconds_of_rows(name: str, weights: str, settings: dict[str, Any], points: int, depth: int) -> float:
    """Processor milliseconds per row when warm."""
    words = {"norm": "normalization", "matrices": "branch_matrices"}
    given = {words.get(key, key): value for key, value in settings.items() if key != "sigma_b2"}
    own: dict[str, Any] = {"sigma_b": settings.get("sigma_b2", 0.0) ** 0.5, "weights": weights, "estimators": "linear"}

    def rows(n: int) -> None:
        sigma_w = np.sqrt(np.linspace(1.0, 2.0, n))
        mfmi.evaluate(name, sigma_w, sigma_noise=0.2, depth=depth, skip=1.0, branch=depth**-0.5, **own, **given)

    rows(8)
    start = time.process_time()
    rows(points)
    return 1e3 * (time.process_time() - start) / points


def main() -> None:
    """Time all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--plain", action="store_true", help="plain networks alone")
    options = parser.parse_args()
    print(f"{options.points} points of depth {options.depth}, compiler {version() or 'none'}")

    def network(name: str, n: int, **settings: Any) -> Architecture:
        sigma_w2 = np.linspace(1.0, 2.0, n)
        return Architecture.of(get(name), options.depth, sigma_w2=sigma_w2, output_noise=0.05, **settings)

    branch = options.depth**-0.5
    for case, (target, name, weights, settings) in CASES.items() if not options.plain else ():
        points = options.points if "64" not in case else max(8, options.points // 10)
        spent, share = milliseconds(
            lambda n, name=name, settings=settings: network(name, n, skip=1.0, branch=branch, **settings),  # type: ignore[misc]
            weights,
            points,
        )
        row = milliseconds_of_rows(name, weights, settings, points, options.depth)
        print(f"  {case}: {row:.2f} ms a row (at most {target:g}), {spent:.2f} ms the bound, converged {share:.1%}")
    print("plain networks, all closed estimators: ms a row, and with a norm how many times as much")
    for depth in sorted({10, options.depth}):
        for case in itertools.product(("tanh", "relu"), ("output", "every"), ("gaussian", "orthogonal")):
            name, noise_at, weights = case
            plain, *others = (
                milliseconds_of_sweep(name, norm, noise_at, weights, options.points, depth) for norm in ("none", *NORMS)
            )
            ratios = ", ".join(f"{norm} {spent / plain:.2f}" for norm, spent in zip(NORMS, others, strict=True))
            print(f"  depth {depth}, {name}, {weights}, noise at {noise_at}: {plain:.3f} ms; {ratios}", flush=True)


if __name__ == "__main__":
    main()
