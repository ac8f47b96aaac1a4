"""The account of the study: the table of summaries as CSV, figures, and the tables of docs/training.md."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from mfmi.storage.atomic import atomic_path
from studies.training.design import ACTIVATIONS, SMALL, WEIGHTS
from studies.training.measures import Row
from studies.training.summaries import CHANGE, Summary, by_case, summary_of

SUMMARIES = "training.csv"
_WORDS = ("data_set", "activation", "weights")
_WHOLE = ("depth", "lowest_step", "highest_step", "best_step")


def write_account(rows: Sequence[Row], docs: Path) -> None:
    """Sum up the trainings and write everything that docs/training.md shows.

    Parameters
    ----------
    rows
        Of all trainings.
    docs
        Directory of the documentation: `training.md`, with the places of its tables marked, `data` and `figures`.
    """
    from studies.training.pictures import FIGURES

    cases = by_case(rows)
    found = [summary_of(part) for part in cases.values()]
    for directory in ("data", "figures"):
        (docs / directory).mkdir(parents=True, exist_ok=True)
    write_summaries(docs / "data" / SUMMARIES, found)
    for name, draw in FIGURES.items():
        with atomic_path(docs / "figures" / f"training_{name}.png", force=True) as draft:
            draft.write_bytes(draw(cases, found))
    page = docs / "training.md"
    with atomic_path(page, force=True) as draft:
        draft.write_text(fill(page.read_text(encoding="utf-8"), read_summaries(docs / "data" / SUMMARIES)), "utf-8")


def write_summaries(path: Path, found: Iterable[Summary]) -> None:
    """Write summaries as CSV, six digits of what was measured."""
    with atomic_path(path, force=True) as draft, open(draft, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Summary._fields)
        for one in found:
            cells = ["" if isinstance(v, float) and math.isnan(v) else v for v in one]
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in cells])


def read_summaries(path: Path) -> list[Summary]:
    """Read the summaries that `write_summaries` wrote."""
    with open(path, newline="", encoding="utf-8") as file:
        return [Summary(*(_cell(name, line[name]) for name in Summary._fields)) for line in csv.DictReader(file)]


def _cell(name: str, text: str) -> Any:
    return text if name in _WORDS else int(text) if name in _WHOLE else float(text or "nan")


# ---- the tables of the page ------------------------------------------------------------------------------------------


def fill(page: str, found: Sequence[Summary]) -> str:
    """The page with its marked places filled: what stands between `<!-- table NAME -->` and `<!-- end -->`."""
    tables: dict[str, Callable[[Sequence[Summary]], str]] = {
        "theory": theory,
        "course": course,
        "together": together,
        "small": small,
    }
    return re.sub(
        r"(<!-- table (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{tables[match[2]](found)}{match[3]}",
        page,
        flags=re.DOTALL,
    )


def theory(found: Sequence[Summary]) -> str:
    """Error of the theory's value over the layers, by data set, activation and weights: the range over the networks."""
    lines = []
    for data_set, activation, weights in _groups(found):
        here = [one for one in found if (one.data_set, one.activation, one.weights) == (data_set, activation, weights)]
        columns = ([getattr(one, name) for one in here] for name in ("error_start", "error_end", "error_worst"))
        cells = [_range([100.0 * value for value in column]) for column in columns]
        readout = _range([100.0 * one.readout_worst for one in here])
        lines.append([f"{data_set}, {activation}, {weights}", *cells, readout, _range([one.tied for one in here], 2)])
    header = ["networks", "start, %", "end, %", "worst, %", "classes, worst, %", "freeness - 1, end"]
    return _markdown(header, lines)


def course(found: Sequence[Summary]) -> str:
    """Course of the information of the last layer in each wide network."""
    lines = []
    for one in sorted(found, key=lambda s: (s.data_set, ACTIVATIONS.index(s.activation), s.depth, s.gain, s.weights)):
        if one.data_set == SMALL:
            continue
        name = f"{one.data_set}, {one.activation}, {one.depth}, gain {one.gain:g}, {one.weights}"
        numbers = f"{one.start:.3f} -> {one.end:.3f}"
        lines.append([name, numbers, one.course, _percent(one.change), f"{100 * one.test_accuracy:.1f}"])
    return _markdown(["network", "information", "course", "change", "test accuracy, %"], lines)


def together(found: Sequence[Summary]) -> str:
    """Rank correlation, over the wide networks of a data set, of the change of information with what was learnt."""
    lines = []
    wide = [one for one in found if one.data_set != SMALL]
    for data_set in dict.fromkeys(one.data_set for one in wide):
        for weights in WEIGHTS:
            here = [one for one in wide if (one.data_set, one.weights) == (data_set, weights)]
            if len(here) < 4:
                continue
            change = [one.change for one in here]
            cells = []
            for values in ([one.test_accuracy for one in here], [-one.gap for one in here]):
                test = stats.spearmanr(change, values)
                cells.append(f"{test.statistic:.2f} (p {test.pvalue:.2g})")
            fall = sum(one.change < -CHANGE for one in here)
            lines.append([f"{data_set}, {weights}", str(len(here)), str(fall), *cells])
    header = ["networks", "number", "end lower", "change and test accuracy", "change and small gap of losses"]
    return _markdown(header, lines)


def small(found: Sequence[Summary]) -> str:
    """Total information of the small networks by bracket and by the theory."""
    lines = []
    for one in sorted(found, key=lambda s: (ACTIVATIONS.index(s.activation), s.weights != "usv")):
        if one.data_set != SMALL or one.activation == "linear":
            continue
        numbers = [f"{one.start:.3f}", f"{one.replica_start:.3f}", f"{one.end:.3f}", f"{one.replica_end:.3f}"]
        lines.append([f"{one.activation}, {one.weights}", *numbers, one.course, f"{100 * one.error_worst:.1f}"])
    header = ["network", "start: bracket", "replica", "end: bracket", "replica", "course", "replica off by, worst, %"]
    return _markdown(header, lines)


def _groups(found: Sequence[Summary]) -> Iterable[tuple[str, str, str]]:
    names = dict.fromkeys((one.data_set, one.activation, one.weights) for one in found if one.data_set != SMALL)
    return sorted(names, key=lambda name: (name[0], ACTIVATIONS.index(name[1]), WEIGHTS.index(name[2])))


def _percent(share: float) -> str:
    return f"{100 * share:+.0f} %"


def _range(values: Sequence[float], digits: int = 1) -> str:
    known = np.array([value for value in values if not math.isnan(value)])
    if not known.size:
        return ""
    low, high = (f"{end:.{digits}f}" for end in (known.min(), known.max()))
    return low if low == high else f"{low} - {high}"


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] + ["---:"] * (len(header) - 1), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
