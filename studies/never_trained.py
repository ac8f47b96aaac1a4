"""``python -m studies.never_trained PAGE``: how often "never trained" is said of what was trained, and missed.

The thresholds of the finding were chosen on other files. Here every preset of `mfmi.initialisers` is drawn afresh in
several shapes, and small networks are trained for few and many steps at several learning rates; a checkpoint is judged
by what ``mfmi audit`` says of it. The page has the places of the two tables marked.
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints import audit_files
from mfmi.initialisers import Initialiser, table
from mfmi.simulate import orthogonal_matrix
from mfmi.storage.atomic import atomic_path
from studies.evidence.data import load

SHAPES = ((32, 40), (64, 64), (128, 128), (96, 512), (512, 384))
STEPS = (1, 3, 10, 30, 100, 300, 1000)
OPTIMISERS = {
    "SGD": (1e-4, 1e-3, 1e-2, 1e-1),
    "Adam": (1e-5, 1e-4, 1e-3, 1e-2),
}
STARTS = ("uniform", "normal", "truncated_normal", "orthogonal")
WIDTHS = (64, 192, 96, 10)
SEEDS = (2001,)
# Relative changes of a matrix, as the table has them.
_BINS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, math.inf)
_CUT = 2.0  # standard deviations at which libraries truncate


class Drawn(NamedTuple):
    """A fresh draw: its law, its number of entries, and whether the audit says that it was never trained."""

    law: str
    entries: int
    said: bool


class Trained(NamedTuple):
    """A matrix of a trained network: how it started, what moved it, how far, and what the audit says."""

    start: str
    optimiser: str
    rate: float
    step: int
    layer: int
    entries: int
    change: float
    said: bool


def drawn_matrix(law: str, std: float, shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """A matrix (outputs, inputs) of a library's law, in float32 as libraries keep it."""
    if law == "orthogonal":
        found = orthogonal_matrix(*shape, std * math.sqrt(shape[1]), rng)
    elif law == "uniform":
        found = rng.uniform(-1.0, 1.0, shape) * math.sqrt(3.0) * std
    elif law == "normal":
        found = rng.normal(0.0, std, shape)
    else:
        values = rng.normal(size=2 * math.prod(shape) + 1000)
        found = values[np.abs(values) < _CUT][: math.prod(shape)].reshape(shape)
        found = found * (std / 0.8796256610342398)
    return found.astype(np.float32)


def never_trained(tensors: Mapping[str, FloatArray]) -> set[str]:
    """Names of the matrices of which the audit says that they were never trained.

    A matrix that surely was trained is put beside them, without which the audit would say that nothing was.
    """
    rng = np.random.default_rng(0)
    beside = rng.normal(size=(64, 64)) + 3.0 * np.outer(rng.normal(size=64), rng.normal(size=64))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        np.savez(path, **{**tensors, "beside.weight": beside.astype(np.float32)})  # type: ignore[arg-type]
        found = audit_files([str(path)], axes="oi")
    return {name for one in found.findings if "never trained" in one.text for name in one.layers}


# ---- fresh draws -----------------------------------------------------------------------------------------------------


def draws(
    rows: Sequence[Initialiser], shapes: Sequence[tuple[int, int]] = SHAPES, seeds: Sequence[int] = SEEDS
) -> Iterator[Drawn]:
    """Draw presets in every shape and judge them, all of one seed and shape in one file."""
    known = [row for row in rows if row.law in STARTS and row.role == "weight"]
    for seed in seeds:
        for shape in shapes:
            tensors, laws = {}, {}
            for number, row in enumerate(known):
                sizes = {name: value for name, value in row.sizes.items() if math.isfinite(value)}
                variance, _ = row.variances({**sizes, "outputs": shape[0], "inputs": shape[1]})
                rng = np.random.default_rng((seed, *shape, number))
                tensors[f"{number}.weight"] = drawn_matrix(row.law, math.sqrt(variance / shape[1]), shape, rng)
                laws[f"{number}.weight"] = row.law
            said = never_trained(tensors)
            for name, law in laws.items():
                yield Drawn(law, math.prod(shape), name in said)


# ---- trained networks ------------------------------------------------------------------------------------------------


def trainings(
    starts: Sequence[str] = STARTS,
    optimisers: Mapping[str, Sequence[float]] = OPTIMISERS,
    steps: Sequence[int] = STEPS,
    seeds: Sequence[int] = SEEDS,
) -> Iterator[Trained]:
    """Train networks on the digits and judge their matrices at several steps; every matrix has had a gradient."""
    for seed in seeds:
        for start in starts:
            for optimiser, rates in optimisers.items():
                for rate in rates:
                    yield from _training(start, optimiser, rate, steps, seed)


def _training(start: str, optimiser: str, rate: float, steps: Sequence[int], seed: int) -> Iterator[Trained]:
    import torch

    split = load("digits")
    features, labels = torch.tensor(split.train_features), torch.tensor(split.train_labels)
    rng = np.random.default_rng((seed, STARTS.index(start)))
    shapes = list(zip(WIDTHS[1:], WIDTHS[:-1], strict=True))
    first = [drawn_matrix(start, math.sqrt(1.0 / shape[1]), shape, rng) for shape in shapes]
    weights = [torch.tensor(matrix, requires_grad=True) for matrix in first]
    biases = [torch.zeros(shape[0], requires_grad=True) for shape in shapes]
    kind = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}[optimiser]
    own: dict[str, Any] = {"momentum": 0.9} if optimiser == "SGD" else {}
    moved = kind([*weights, *biases], lr=rate, **own)
    for step in range(1, max(steps) + 1):
        chosen = torch.tensor(rng.integers(0, len(labels), 64))
        state = features[chosen]
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            state = (torch.relu(state) if layer else state) @ weight.T + bias
        loss = torch.nn.functional.cross_entropy(state, labels[chosen])
        moved.zero_grad()
        loss.backward()
        moved.step()
        if step in steps:
            now = [weight.detach().numpy().copy() for weight in weights]
            said = never_trained({f"{layer}.weight": matrix for layer, matrix in enumerate(now)})
            for layer, (matrix, before) in enumerate(zip(now, first, strict=True)):
                change = float(np.linalg.norm(matrix - before) / np.linalg.norm(before))
                yield Trained(start, optimiser, rate, step, layer, matrix.size, change, f"{layer}.weight" in said)


# ---- tables ----------------------------------------------------------------------------------------------------------


def of_draws(found: Sequence[Drawn]) -> str:
    """Of how many fresh draws the finding is missing, by law and size."""
    sizes = sorted({one.entries for one in found})
    lines = []
    for law in STARTS:
        cells = []
        for entries in sizes:
            here = [one.said for one in found if (one.law, one.entries) == (law, entries)]
            cells.append(f"{here.count(False)} of {len(here)}")
        lines.append([law, *cells])
    return _markdown(["law", *(f"{entries} entries" for entries in sizes)], lines)


def of_trainings(found: Sequence[Trained]) -> str:
    """Of how many trained matrices the finding is made, by how far they moved and how they started."""
    lines = []
    for low, high in itertools.pairwise(_BINS):
        here = [one for one in found if low <= one.change < high]
        name = (
            f"less than {high:g}" if low == 0.0 else f"{low:g} or more" if math.isinf(high) else f"{low:g} to {high:g}"
        )
        cells = []
        for start in STARTS:
            said = [one.said for one in here if one.start == start]
            cells.append(f"{said.count(True)} of {len(said)}")
        lines.append([name, *cells])
    return _markdown(["relative change", *STARTS], lines)


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] + ["---:"] * (len(header) - 1), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def fill(page: str, tables: Mapping[str, str]) -> str:
    """The page with its marked places filled: what stands between `<!-- table NAME -->` and `<!-- end -->`."""
    return re.sub(
        r"(<!-- table (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{tables[match[2]]}{match[3]}",
        page,
        flags=re.DOTALL,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge draws and trained networks and fill the page; the exit code is 0 when it is written."""
    parser = argparse.ArgumentParser(prog="python -m studies.never_trained", description=__doc__)
    parser.add_argument("page", type=Path, help="the page whose tables are filled")
    page = parser.parse_args(arguments).page
    tables = {"draws": of_draws(list(draws(table()))), "trainings": of_trainings(list(trainings()))}
    text = fill(page.read_text(encoding="utf-8"), tables)
    with atomic_path(page, force=True) as draft:
        draft.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
