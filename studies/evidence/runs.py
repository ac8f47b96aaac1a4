"""The raw table: every network that was trained, one row each."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.storage.atomic import atomic_path
from studies.evidence.data import load
from studies.evidence.design import Case, Design
from studies.evidence.training import train


class Run(NamedTuple):
    """One trained network; losses in nats, accuracies as shares, all NaN where training diverged."""

    data_set: str
    activation: str
    depth: int
    sigma_w: float
    seed: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    test_accuracy: float

    @property
    def case(self) -> Case:
        """Networks that it is ranked with."""
        return Case(self.data_set, self.activation, self.depth)


def train_case(case: Case, design: Design) -> list[Run]:
    """Train all networks of a case."""
    split = load(case.data_set)
    runs = []
    for sigma_w in design.sigma_w:
        found = train(split, case.activation, case.depth, sigma_w, design)
        for i, rate in enumerate(design.learning_rates):
            for j, seed in enumerate(design.seeds):
                measured = (found.train_loss[i, j], found.train_accuracy[i, j], found.test_accuracy[i, j])
                runs.append(Run(*case, sigma_w, seed, rate, *(float(value) for value in measured)))
    return runs


def write(path: Path, runs: Iterable[Run]) -> None:
    """Write the raw table as CSV, six digits of what was measured; what diverged is an empty field."""
    with atomic_path(path, force=True) as draft, open(draft, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Run._fields)
        for run in runs:
            measured = ["" if math.isnan(value) else f"{value:.6g}" for value in run[6:]]
            writer.writerow([*run[:3], repr(run.sigma_w), run.seed, f"{run.learning_rate:.6g}", *measured])


def read(path: Path) -> list[Run]:
    """The raw table that `write` wrote."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            Run(
                row["data_set"],
                row["activation"],
                int(row["depth"]),
                float(row["sigma_w"]),
                int(row["seed"]),
                float(row["learning_rate"]),
                *(float(row[name] or "nan") for name in Run._fields[6:]),
            )
            for row in csv.DictReader(file)
        ]


def array(runs: Sequence[Run], quantity: str) -> FloatArray:
    """One measured quantity of a case, shape (sigma_w, learning rates, seeds), each in ascending order."""
    axes = [sorted({getattr(run, name) for run in runs}) for name in ("sigma_w", "learning_rate", "seed")]
    values = np.full([len(axis) for axis in axes], np.nan)
    for run in runs:
        place = tuple(axis.index(at) for axis, at in zip(axes, (run.sigma_w, run.learning_rate, run.seed), strict=True))
        values[place] = getattr(run, quantity)
    return values
