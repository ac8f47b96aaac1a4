"""``python -m studies.evidence``: train what is not trained yet, then rank, draw and write the tables."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from studies.evidence.design import GROUPS, Case, Design, work
from studies.evidence.runs import read, train_group, write


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; the exit code is 0 when all is written."""
    parser = argparse.ArgumentParser(prog="python -m studies.evidence", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/evidence"), help="finished parts, kept between runs")
    parser.add_argument("--docs", type=Path, help="where evidence.md, data/ and figures/ are; without it only training")
    parser.add_argument("--jobs", type=int, default=2, help="threads that train side by side")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="time after which no part is begun")
    parser.add_argument("--group", nargs="+", choices=GROUPS, default=GROUPS)
    given = parser.parse_args(arguments)
    given.build.mkdir(parents=True, exist_ok=True)
    _train([part for part in work() if part[1] in given.group], given.build, given.jobs, given.minutes)
    if given.docs is not None:
        from studies.evidence.account import write_account

        parts = [_part(given.build, *part) for part in work()]
        write_account([run for part in parts if part.exists() for run in read(part)], given.docs)
    return 0


def _part(build: Path, case: Case, group: str) -> Path:
    return build / f"{case.name}-{group}.csv"


def _train(wanted: Sequence[tuple[Case, str]], build: Path, jobs: int, minutes: float) -> None:
    import torch

    # Parts are trained side by side; threads within one would only wait for each other.
    torch.set_num_threads(1)
    missing = [one for one in wanted if not _part(build, *one).exists()]
    began = time.monotonic()

    def do(case: Case, group: str) -> None:
        torch.set_num_threads(1)
        if time.monotonic() - began < 60.0 * minutes:
            write(_part(build, case, group), train_group(case, group, Design()))

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        waiting = {pool.submit(do, *one): one for one in missing}
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            case, group = waiting[future]
            print(
                f"{done}/{len(missing)} {case.name} {group}, {time.monotonic() - began:.0f} s",
                file=sys.stderr,
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
