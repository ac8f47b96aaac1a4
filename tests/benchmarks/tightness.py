"""Tightness of the lower bounds: bound over replica value at random networks, and the cost of each.

    python tests/benchmarks/tightness.py [--activation tanh --activation relu] [--points 40]

Gaussian and orthogonal weights, noise at the output and in every layer, 2 to 20 layers; column `every` is the median of
those with noise in every layer. Tables of the exact channel that are not in the user's cache yet take their time once
(tanh: a minute); the cost is that of a second run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from mfmi import activations
from mfmi.bounds.evaluate import evaluate_points
from mfmi.names import LOWER_BOUNDS
from mfmi.networks.points import Points

ACTIVATIONS = ("tanh", "relu", "hard_tanh", "leaky_relu", "abs")
BOUNDS = (*LOWER_BOUNDS, "gaussian_upper")
DEPTHS = (2, 3, 5, 8, 12, 20)


def networks(name: str, count: int) -> Points:
    """Return random networks of one activation."""
    rng = np.random.default_rng(0)
    grows = bool(activations.get(name).second_moment(100.0) > 2.0)
    return Points.of(
        name,
        rng.uniform(0.7, 1.6 if grows else 3.0, count),
        sigma_b=rng.uniform(0.0, 0.7, count),
        sigma_noise=10.0 ** rng.uniform(-1.5, 0.0, count),
        weights=rng.choice(["gaussian", "orthogonal"], count).astype(object),
        noise_at=rng.choice(["output", "every"], count).astype(object),
    )


def main() -> None:
    """Print one line for each activation and bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activation", action="append", help="repeatable")
    parser.add_argument("--points", type=int, default=40)
    given = parser.parse_args()
    print(f"{'activation':<12}{'bound':<16}{'min':>8}{'median':>8}{'max':>8}{'every':>8}{'ms/point':>10}")
    for name in given.activation or ACTIVATIONS:
        points = networks(name, given.points)
        depths = np.random.default_rng(1).choice(DEPTHS, given.points)[:, None]
        found = {}
        for bound in (*BOUNDS, "replica"):
            evaluate_points(points, depths, [bound])
            start = time.process_time()
            value = evaluate_points(points, depths, [bound])[f"mi_{bound}"]
            found[bound] = value, 1e3 * (time.process_time() - start) / given.points
        exact, cost = found.pop("replica")
        # A difference of two potentials that is lost in their errors is nothing to compare with.
        error = evaluate_points(points, depths, [], "nats", ["mi_replica_error"])["mi_replica_error"]
        exact = np.where(exact > 10.0 * error, exact, np.nan)
        best = np.fmax.reduce([found[bound][0] for bound in LOWER_BOUNDS])
        found["best lower"] = best, sum(found[bound][1] for bound in LOWER_BOUNDS)
        every = points.noise_at == "every"
        for bound, (value, milliseconds) in found.items():
            if np.isfinite(value).any():
                ratio = value / exact
                low, middle, high = np.nanquantile(ratio, [0.0, 0.5, 1.0])
                noisy = np.nanmedian(ratio[every])
                print(f"{name:<12}{bound:<16}{low:8.3f}{middle:8.3f}{high:8.3g}{noisy:8.3f}{milliseconds:10.2f}")
        print(f"{name:<12}{'replica':<16}{1:8}{1:8}{1:8}{1:8}{cost:10.2f}")


if __name__ == "__main__":
    main()
