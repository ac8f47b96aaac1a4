"""``python -m studies.training``: train what is not trained yet, then draw and write the tables."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from studies.training.design import ACTIVATIONS, DATA_SETS, DEPTHS, Case, Design, cases


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; the exit code is 0 when all is written."""
    parser = argparse.ArgumentParser(prog="python -m studies.training", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/training"), help="finished cases, kept between runs")
    parser.add_argument("--docs", type=Path, help="where training.md, data/ and figures/ are; without it only training")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that train side by side")
    parser.add_argument("--data-set", nargs="+", choices=DATA_SETS, default=DATA_SETS)
    parser.add_argument("--act", nargs="+", choices=ACTIVATIONS, default=ACTIVATIONS)
    parser.add_argument("--depth", nargs="+", type=int, choices=DEPTHS, default=DEPTHS)
    given = parser.parse_args(arguments)
    wanted = list(cases(tuple(given.data_set), tuple(given.act), tuple(given.depth)))
    given.build.mkdir(parents=True, exist_ok=True)
    _train(wanted, given.build, given.jobs)
    if given.docs is not None:
        from studies.training.account import write_account
        from studies.training.measures import read

        write_account([row for case in wanted for row in read(_part(given.build, case))], given.docs)
    return 0


def _part(build: Path, case: Case) -> Path:
    return build / f"{case.name}.csv"


def _train(wanted: Sequence[Case], build: Path, jobs: int) -> None:
    missing = [case for case in wanted if not _part(build, case).exists()]
    began = time.monotonic()
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        waiting = {pool.submit(_trained, case, _part(build, case)): case for case in missing}
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            text = f"{done}/{len(missing)} {waiting[future].name}, {time.monotonic() - began:.0f} s"
            print(text, file=sys.stderr, flush=True)


def _trained(case: Case, part: Path) -> None:
    """Train and measure a case and keep what was found, which the next run does not repeat."""
    import torch

    from studies.training.measures import measure_case, write

    # The cases run side by side; threads within one would only wait for each other.
    torch.set_num_threads(1)
    write(part, measure_case(case, Design()))


if __name__ == "__main__":
    sys.exit(main())
