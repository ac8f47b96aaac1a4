"""The account of the study: raw and ranked tables as CSV, figures, and the tables of docs/evidence.md."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mfmi.storage.atomic import atomic_path
from studies.evidence.data import load
from studies.evidence.design import Case, Design
from studies.evidence.findings import ACCURACY, LOSS, RIVALS, Finding, Trained, findings, trained
from studies.evidence.predictors import COLUMNS, PREDICTORS, predictions, theory
from studies.evidence.runs import Run, write

RUNS, THEORY, RANKING = "evidence_runs.csv", "evidence_theory.csv", "evidence_ranking.csv"


def write_account(runs: Sequence[Run], design: Design, docs: Path) -> None:
    """Rank the runs and write everything that docs/evidence.md shows.

    Parameters
    ----------
    runs
        Trained networks of one case or more.
    design
        What they were trained by.
    docs
        Directory of the documentation: `evidence.md`, with the places of its tables marked, `data` and `figures`.
    """
    from studies.evidence.pictures import draw_ranking, draw_training

    of_case: dict[Case, list[Run]] = {}
    for run in runs:
        of_case.setdefault(run.case, []).append(run)
    depths = {name: sorted({case.depth for case in of_case if case.activation == name}) for _, name, _ in of_case}
    said = {name: theory(name, depths[name], design) for name in depths}
    splits = {name: load(name) for name in {case.data_set for case in of_case}}
    found: list[Finding] = []
    outcomes: dict[Case, Trained] = {}
    for case in sorted(of_case):
        split = splits[case.data_set]
        outcomes[case] = trained(of_case[case], split)
        found += findings(case, of_case[case], split, predictions(said[case.activation][case.depth]))
    for directory in ("data", "figures"):
        (docs / directory).mkdir(parents=True, exist_ok=True)
    write(docs / "data" / RUNS, runs)
    _write_rows(docs / "data" / THEORY, ("activation", "depth", "sigma_w", *COLUMNS), _theory_rows(said))
    _write_rows(docs / "data" / RANKING, Finding._fields, found)
    peaks = {case: {f.predictor: f.picked for f in found if Case(*f[:3]) == case} for case in outcomes}
    _write_bytes(docs / "figures" / "evidence_training.png", draw_training(outcomes, peaks))
    _write_bytes(docs / "figures" / "evidence_ranking.png", draw_ranking(found))
    page = docs / "evidence.md"
    with atomic_path(page, force=True) as draft:
        draft.write_text(fill(page.read_text(encoding="utf-8"), found), encoding="utf-8")


def _theory_rows(said: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> Iterable[Sequence[Any]]:
    for activation, by_depth in said.items():
        for depth, columns in by_depth.items():
            for row in range(len(columns["sigma_w"])):
                yield activation, depth, *(columns[name][row] for name in ("sigma_w", *COLUMNS))


def _write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with atomic_path(path, force=True) as draft, open(draft, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def _write_bytes(path: Path, content: bytes) -> None:
    with atomic_path(path, force=True) as draft:
        draft.write_bytes(content)


def read_ranking(path: Path) -> list[Finding]:
    """The ranked table that `write_account` wrote."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            Finding(
                row["data_set"],
                row["activation"],
                int(row["depth"]),
                row["quantity"],
                row["predictor"],
                int(row["points"]),
                *(float(row[name] or "nan") for name in Finding._fields[6:]),
            )
            for row in csv.DictReader(file)
        ]


# ---- the tables of the page ------------------------------------------------------------------------------------------


def fill(page: str, found: Sequence[Finding]) -> str:
    """The page with its marked places filled: what stands between `<!-- table NAME -->` and `<!-- end -->`."""
    tables = {
        "loss": lambda: correlations(found, LOSS),
        "accuracy": lambda: correlations(found, ACCURACY),
        "rivals": lambda: rivals(found),
        "picks": lambda: picks(found),
        "summary": lambda: summary(found),
    }
    return re.sub(
        r"(<!-- table (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{tables[match[2]]()}{match[3]}",
        page,
        flags=re.DOTALL,
    )


def correlations(found: Sequence[Finding], quantity: str) -> str:
    """A table a data set and activation: predictors down, depths across, correlation and interval."""
    parts = []
    chosen = [one for one in found if one.quantity == quantity]
    for data_set, activation in dict.fromkeys((one.data_set, one.activation) for one in chosen):
        here = {(f.predictor, f.depth): f for f in chosen if (f.data_set, f.activation) == (data_set, activation)}
        depths = sorted({depth for _, depth in here})
        header = [f"{data_set}, {activation}", *(f"depth {depth}" for depth in depths)]
        parts.append(_markdown(header, [[name, *(_text(here[name, d]) for d in depths)] for name in PREDICTORS]))
    return "\n".join(parts)


def rivals(found: Sequence[Finding]) -> str:
    """The correlation of the one rival less that of the other, by training loss."""
    name = " - ".join(RIVALS)
    chosen = [one for one in found if one.predictor == name and one.quantity == LOSS]
    depths = sorted({one.depth for one in chosen})
    lines = []
    for data_set, activation in dict.fromkeys((one.data_set, one.activation) for one in chosen):
        here = {one.depth: one for one in chosen if (one.data_set, one.activation) == (data_set, activation)}
        lines.append([f"{data_set}, {activation}", *(_text(here[depth]) if depth in here else "" for depth in depths)])
    return _markdown([name, *(f"depth {depth}" for depth in depths)], lines)


def picks(found: Sequence[Finding]) -> str:
    """Test accuracy at the sigma_w where a predictor is largest, beside the best of the grid."""
    chosen = [one for one in found if one.quantity == ACCURACY and one.predictor in PREDICTORS]
    lines = []
    for case in dict.fromkeys(Case(*one[:3]) for one in chosen):
        here = {one.predictor: one for one in chosen if Case(*one[:3]) == case}
        best = f"{100 * here['linear'].best:.1f}"
        named = (here[name] for name in PREDICTORS if name != "sigma_w")
        cells = (f"{100 * one.there:.1f} ({one.picked:.2f})" for one in named)
        lines.append([f"{case.data_set}, {case.activation}, {case.depth}", best, *cells])
    return _markdown(["case", "best", *(name for name in PREDICTORS if name != "sigma_w")], lines)


def summary(found: Sequence[Finding]) -> str:
    """Over all cases: the mean correlation, in how many the interval says yes or no, and the accuracy given away."""
    lines = []
    for name, meaning in PREDICTORS.items():
        cells = []
        for quantity in (LOSS, ACCURACY):
            chosen = [one for one in found if (one.predictor, one.quantity) == (name, quantity)]
            mean = np.nanmean([one.spearman for one in chosen])
            signs = f"{sum(one.low > 0 for one in chosen)} / {sum(one.high < 0 for one in chosen)}"
            cells += [f"{mean:.2f}", signs]
        lost = [one.best - one.there for one in found if (one.predictor, one.quantity) == (name, ACCURACY)]
        lines.append([f"`{name}`: {meaning}", *cells, f"{100 * np.mean(lost):.1f}", f"{100 * np.max(lost):.1f}"])
    header = ["predictor", "loss: mean", "for / against", "accuracy: mean", "for / against", "given away", "at most"]
    return _markdown(header, lines)


def _text(one: Finding) -> str:
    if math.isnan(one.spearman):
        return "none"
    ends = "" if math.isnan(one.low) else f" [{one.low:.2f}, {one.high:.2f}]"
    return f"{one.spearman:.2f}{ends}"


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] + ["---:"] * (len(header) - 1), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
