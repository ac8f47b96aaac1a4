"""Rows per second of a sweep, and a profile of the time.

Two sweeps: `spine`, 10,000 points of tanh at six depths with three estimators, and `grid`, tanh on 101 x 101 points
with both ensembles and both noise placements at six depths with four estimators (244,824 rows). Both run on a coarser
grid unless a case is named, and the time of the whole one is that of as many rows. Run it alone on the machine; on a
shared one the processor seconds are what can be compared.

    python tests/benchmarks/sweep_speed.py [--case spine|grid] [--shrink 4] [--jobs 2]
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import tempfile
from collections import Counter
from pathlib import Path

from mfmi.processes.pool import available_cpus
from mfmi.processes.threads import ONE_THREAD

os.environ.update(ONE_THREAD)  # before numpy is there, so that the profile is that of a worker

from mfmi.config.config import load_config
from mfmi.processes.machine_code import version
from mfmi.sweep.chunks import Task
from mfmi.sweep.plan import Plan
from mfmi.sweep.run import run_sweep

CASES = {
    "spine": """
version: 1
sweep:
  activation: tanh
  sigma_w: {{start: 0.5, stop: 3.0, num: {side}}}
  sigma_b: {{start: 0.0, stop: 1.0, num: {side}}}
  depth: [1, 2, 5, 10, 20, 50]
estimators: [linear, entropy_power, gaussian_upper]
""",
    "grid": """
version: 1
sweep:
  activation: tanh
  sigma_w: {{start: 0.5, stop: 3.0, num: {side}}}
  sigma_b: {{start: 0.0, stop: 1.0, num: {side}}}
  weights: [gaussian, orthogonal]
  noise_at: [output, every]
  depth: [1, 2, 5, 10, 20, 50]
estimators: [linear, entropy_power, layerwise, gaussian_upper]
""",
}
SIDES = {"spine": 100, "grid": 101}
SHOWN = 12


def plan_of(case: str, shrink: int) -> Plan:
    """Return the plan of a case, its grid `shrink` times coarser along both axes."""
    side = max(2, SIDES[case] // shrink)
    return Plan.from_config(load_config(CASES[case].format(side=side), f"{case}.yaml"))


def processor_seconds() -> float:
    """Seconds that this process and the workers of ended sweeps have computed for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def time_sweep(case: str, shrink: int, jobs: int) -> None:
    """Run a sweep and print its rate, and what the whole one takes at that rate."""
    before = processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        result = run_sweep(plan_of(case, shrink), Path(folder) / "out.parquet", jobs=jobs)
    used = processor_seconds() - before
    print(
        f"{case}: {result.rows:,} rows in {result.seconds:.1f} s, {result.rows_per_second:,.0f} rows/s, "
        f"{jobs} jobs, {result.rows / used:,.0f} rows per processor second, status {dict(result.statuses)}, "
        f"compiler {version() or 'none'}",
        flush=True,
    )
    if shrink > 1:
        whole = plan_of(case, 1).n_rows_bound
        seconds = result.seconds * whole / result.rows
        print(f"{case}: all {whole:,} rows at that rate: {seconds:.0f} s", flush=True)


def profile_chunk(case: str, shrink: int) -> None:
    """Evaluate a chunk from the middle of the plan here, twice, and print where the second time goes."""
    task = Task(plan_of(case, shrink))
    number = task.plan.n_chunks // 2
    task.run(number)
    profiler = cProfile.Profile()
    profiler.enable()
    task.run(number)
    profiler.disable()
    spent: Counter[str] = Counter()
    for (file, line, name), (_, _, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        spent[f"{Path(file).parent.name}/{Path(file).name}:{line} {name}" if line else name] += own
    total = sum(spent.values())
    print(f"{case}: own time in chunk {number} of {task.plan.n_chunks}, {total:.2f} s under the profiler")
    for name, seconds in spent.most_common(SHOWN):
        print(f"  {seconds / total:6.1%}  {name}")


def main() -> None:
    """Run the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--shrink", type=int, help="coarser grid along both axes: 4, or 1 for a case that is named")
    parser.add_argument("--jobs", type=int, default=available_cpus())
    options = parser.parse_args()
    shrink = options.shrink or (1 if options.case else 4)
    for case in options.case or CASES:
        time_sweep(case, shrink, options.jobs)
        profile_chunk(case, shrink)


if __name__ == "__main__":
    main()
