"""The raw table: every network that was trained to the end, one row each."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mfmi.storage.atomic import atomic_path
from studies.evidence.data import load
from studies.evidence.design import Case, Design
from studies.evidence.recommended import starts as recommended
from studies.evidence.starts import Start, grid, recipes
from studies.evidence.training import train


class Run(NamedTuple):
    """One trained network; losses and accuracies NaN where training diverged, as in `Outcome`."""

    data_set: str
    activation: str
    depth: int
    optimiser: str
    network: str
    weights: str
    width: int
    start: str
    sigma_w: float
    sigma_b: float
    seed: int
    rate: float
    train_loss: float
    validation_loss: float
    test_loss: float
    test_accuracy: float

    @property
    def case(self) -> Case:
        """Networks that it is compared with."""
        return Case(*self[:7])


def starts_of(case: Case, group: str) -> list[Start]:
    """The starts of a group."""
    if group == "grid":
        return grid(case)
    if group == "recipes":
        return recipes(case, load(case.data_set).inputs)
    return recommended(case)


def train_group(case: Case, group: str, design: Design) -> list[Run]:
    """Train the networks of one group of starts of a case."""
    starts = starts_of(case, group)
    seeds = design.grid_seeds if group == "grid" else design.seeds
    return [
        Run(*case, one.start.name, one.start.sigma_w, one.start.sigma_b, seed, one.rate, *(float(part[j]) for part in
            (one.train_loss, one.validation_loss, one.test_loss, one.test_accuracy)))
        for one in train(load(case.data_set), case, starts, seeds, design)
        for j, seed in enumerate(seeds)
    ]  # fmt: skip


def write(path: Path, runs: Iterable[Run]) -> None:
    """Write runs as CSV, five digits of what was measured; what does not exist is an empty field."""
    with atomic_path(path, force=True) as draft, open(draft, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Run._fields)
        for run in runs:
            writer.writerow([*run[:8], *(_text(v, 8) for v in run[8:10]), run.seed, *(_text(v, 5) for v in run[11:])])


def _text(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def read(path: Path) -> list[Run]:
    """Read what `write` wrote."""
    with open(path, newline="", encoding="utf-8") as file:
        return [_run(row) for row in csv.DictReader(file)]


def _run(row: dict[str, str]) -> Run:
    whole = {"depth", "width", "seed"}
    numbers = Run._fields[8:10] + Run._fields[11:]
    typed: dict[str, Any] = {
        name: int(text) if name in whole else float(text or "nan") if name in numbers else text
        for name, text in row.items()
    }
    return Run(**typed)


def by_case(runs: Sequence[Run]) -> dict[Case, list[Run]]:
    """The runs of every case."""
    found: dict[Case, list[Run]] = {}
    for run in runs:
        found.setdefault(run.case, []).append(run)
    return found
