"""Time and memory of the pairwise bounds of a large data set: python tests/benchmarks/pairwise.py [N]."""

import resource
import sys
import time

import numpy as np

import mfmi
from mfmi.datasets import pairwise_bounds


def peak_megabytes() -> float:
    """Most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    data = np.random.default_rng(0).normal(size=(count, 64))
    before, began = peak_megabytes(), time.process_time()
    bounds = pairwise_bounds(
        mfmi.activation("relu"), data, sigma_w2=1.5, sigma_b2=0.1, noise_variance=3.0, width=64, depths=[2]
    )
    seconds = time.process_time() - began
    print(f"{count} inputs: {seconds:.1f} processor seconds, {before:.0f} MB before, {peak_megabytes():.0f} MB at most")
    print(f"layer 2 holds between {bounds.lower[0]:.3f} and {bounds.upper[0]:.3f} of {np.log(count):.3f} nats")


if __name__ == "__main__":
    main()
