"""The tables of docs/data and the marked places of docs/evidence.md."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from mfmi.storage.atomic import atomic_path
from studies.evidence.chance import same_law
from studies.evidence.data import load
from studies.evidence.design import ENSEMBLES, Case
from studies.evidence.findings import VERDICTS, Compared, Ranked, compared, ranked, verdicts
from studies.evidence.oracle import Place, best_places
from studies.evidence.predictors import PREDICTORS
from studies.evidence.recommended import RECOMMENDED
from studies.evidence.runs import Run, by_case, write
from studies.evidence.starts import RECIPES

RUNS, RANKING, COMPARISON = "evidence_runs.csv", "evidence_ranking.csv", "evidence_comparison.csv"
FIGURE = "evidence.png"


def write_account(runs: Sequence[Run], docs: Path) -> None:
    """Write the raw table, the findings, the figure and the tables of the page."""
    from studies.evidence.pictures import draw

    data = docs / "data"
    data.mkdir(parents=True, exist_ok=True)
    write(data / RUNS, runs)
    order, comparison = [], []
    for case, some in by_case(runs).items():
        guess = load(case.data_set).guess
        order += ranked(case, some, guess)
        comparison += compared(case, some, guess)
    _write(data / RANKING, Ranked, order)
    _write(data / COMPARISON, Compared, comparison)
    page = docs / "evidence.md"
    text = fill(page.read_text(encoding="utf-8"), order, comparison, runs)
    with atomic_path(page, force=True) as draft:
        draft.write_text(text, encoding="utf-8")
    (docs / "figures").mkdir(exist_ok=True)
    with atomic_path(docs / "figures" / FIGURE, force=True) as draft:
        draft.write_bytes(draw(comparison))


def _write(path: Path, kind: type[Any], found: Iterable[Any]) -> None:
    with atomic_path(path, force=True) as draft, open(draft, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Case._fields, *kind._fields[1:]])
        for one in found:
            cells = (f"{v:.6g}" if isinstance(v, float) else v for v in one[1:])
            writer.writerow([*one[0], *("" if cell == "nan" else cell for cell in cells)])


def read_findings(path: Path, kind: type[Any]) -> list[Any]:
    """Read the table of `Ranked` or `Compared` that `write_account` wrote."""
    types = get_type_hints(kind)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        parts: dict[str, Any] = {name: row[name] for name in Case._fields}
        case = Case(**parts | {name: int(row[name]) for name in ("depth", "width")})
        cells = [
            row[name] if types[name] is str else int(row[name]) if types[name] is int else float(row[name] or "nan")
            for name in kind._fields[1:]
        ]
        found.append(kind(case, *cells))
    return found


# ---- the tables of the page ------------------------------------------------------------------------------------------


def fill(page: str, order: Sequence[Ranked], comparison: Sequence[Compared], runs: Sequence[Run]) -> str:
    """The page with its marked places filled: what stands between `<!-- table NAME -->` and `<!-- end -->`."""
    tables = {
        "trained": lambda: trained(runs),
        "targets": lambda: targets(comparison, runs),
        "pairs": lambda: pairs(comparison),
        "oracle": lambda: oracle(runs),
        "cases": lambda: cases_table(comparison),
        "predictors": lambda: predictors(order),
        "ranking": lambda: ranking(order),
        "recipes": lambda: recipes(comparison),
    }
    return re.sub(
        r"(<!-- table (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{tables[match[2]]()}{match[3]}",
        page,
        flags=re.DOTALL,
    )


def trained(runs: Sequence[Run]) -> str:
    """The cases that the raw table holds: the activations of every kind of network, and those of them with a grid."""
    kinds: dict[tuple[Any, ...], list[str]] = {}
    grids: dict[tuple[Any, ...], list[str]] = {}
    for case, some in by_case(runs).items():
        kind = (case.depth, case.optimiser, case.data_set, case.network, case.weights, case.width)
        kinds.setdefault(kind, []).append(case.activation)
        if any(run.start == "grid" for run in some):
            grids.setdefault(kind, []).append(case.activation)
    lines = [
        [str(kind[0]), *(str(part) for part in kind[1:]), ", ".join(found), ", ".join(grids.get(kind, []))]
        for kind, found in sorted(kinds.items())
    ]
    return _markdown(["depth", "optimiser", "data", "network", "weights", "width", "activations", "with a grid"], lines)


def _share(found: Sequence[Compared], verdicts: Sequence[str]) -> str:
    count = sum(one.verdict in verdicts for one in found)
    return f"{count} of {len(found)} ({100 * count / len(found):.0f} %)" if found else ""


def targets(comparison: Sequence[Compared], runs: Sequence[Run]) -> str:
    """Of every recommendation, in how many cases it is as good as the best recipe, better, and far worse.

    Then the same of the best recipe itself, as chance has it.
    """
    lines = []
    cases = by_case(runs)
    for words, held in (("held out", True), ("all", None)):
        for name in RECOMMENDED:
            found = [one for one in comparison if one.start == name and (held is None or one.case.held_out)]
            if found:
                shares = (_share(found, VERDICTS[:2]), _share(found, VERDICTS[:1]), _share(found, VERDICTS[3:]))
                lines.append([f"`{name}`, {words}", *shares])
        there = dict.fromkeys(one.case for one in comparison if held is None or one.case.held_out)
        chance = np.array([same_law(case, cases[case]) for case in there])
        if len(chance):
            count = (chance[:, :2].sum(), chance[:, 0].sum(), chance[:, 3].sum())
            expected = (f"{one:.1f} of {len(chance)} ({100.0 * one / len(chance):.0f} %)" for one in count)
            lines.append([f"the best recipe's own law, {words}", *expected])
    header = ["start", "below the best recipe or within the scatter", "better", "far worse"]
    return _markdown(header, lines)


def pairs(comparison: Sequence[Compared]) -> str:
    """Recommendations of orthogonal weights beside those of gaussian ones: in how many cases they are better."""
    lines = []
    for name in ("any", "kept"):
        for words, held in (("held out", True), ("digits", False), ("all", None)):
            two = paired(comparison, name, held)
            if two:
                apart = [VERDICTS[int(verdicts(a.loss, a.scatter, b.loss, b.scatter))] for a, b in two]
                counts = (
                    sum(a.loss < b.loss for a, b in two),
                    apart.count("better"),
                    sum(one in VERDICTS[2:] for one in apart),
                )
                lines.append([f"`{name}`, {words}", *(f"{count} of {len(two)}" for count in counts)])
    header = ["recommendation", "lower test loss", "lower by more than the scatter", "higher by more than the scatter"]
    return _markdown(header, lines)


def paired(comparison: Sequence[Compared], name: str, held: bool | None = None) -> list[tuple[Compared, Compared]]:
    """A recommendation of orthogonal weights and the one of gaussian weights of the same case, of every case."""
    here = {(one.case, one.start): one for one in comparison if held in (None, one.case.held_out)}
    return [
        (one, here[case, name])
        for (case, start), one in here.items()
        if start == f"{name}, orthogonal" and (case, name) in here
    ]


def oracle(runs: Sequence[Run]) -> str:
    """Per grid the best place, chosen by its test losses, beside the best recipe; then how often it is what."""
    places = best_places(by_case(runs))
    lines = []
    for case in dict.fromkeys(one.found.case for one in places):
        here = {one.weights: one for one in places if one.found.case == case}
        first = next(iter(here.values())).found
        cells = [_place(here[weights]) if weights in here else "" for weights in ENSEMBLES]
        lines.append([_words(case), f"{first.recipe}: {first.theirs:.3f} ± {first.their_scatter:.3f}", *cells])
    for name, verdicts_of in (("better", VERDICTS[:1]), ("far worse", VERDICTS[3:])):
        found = [[one.found for one in places if one.weights == weights] for weights in ENSEMBLES]
        lines.append([name, "", *(_share(some, verdicts_of) for some in found)])
    return _markdown(["case", "best recipe", *(f"best place, {weights}" for weights in ENSEMBLES)], lines)


def _place(one: Place) -> str:
    found = one.found
    at = f"sigma_w {one.sigma_w:.2f}, sigma_b {one.sigma_b:g}"
    return f"{found.loss:.3f} ± {found.scatter:.3f}, {found.verdict}; {at}"


def _words(case: Case) -> str:
    return f"{case.data_set}, {case.activation}, {case.depth}, {case.optimiser}{' *' if case.held_out else ''}"


def cases_table(comparison: Sequence[Compared]) -> str:
    """Per case the test loss of the best recipe and of every recommendation."""
    lines = []
    for case in dict.fromkeys(one.case for one in comparison):
        here = {one.start: one for one in comparison if one.case == case}
        if not set(here) & set(RECOMMENDED):
            continue
        first = next(one for name, one in here.items() if name in RECOMMENDED)
        cells = [
            f"{here[name].loss:.3f} ± {here[name].scatter:.3f}, {here[name].verdict}" if name in here else ""
            for name in RECOMMENDED
        ]
        lines.append([_words(case), f"{first.recipe}: {first.theirs:.3f} ± {first.their_scatter:.3f}", *cells])
    return _markdown(["case", "best recipe", *(f"`{name}`" for name in RECOMMENDED)], lines)


def recipes(comparison: Sequence[Compared]) -> str:
    """Per recipe, in how many cases it is the best, and how it fares against the best of the others."""
    lines = []
    for name in (*RECOMMENDED, *RECIPES):
        found = [one for one in comparison if one.start == name]
        if found:
            over = float(np.median([one.loss / one.theirs for one in found]))
            lines.append([f"`{name}`", _share(found, VERDICTS[:2]), _share(found, VERDICTS[3:]), f"{over:.2f}"])
    return _markdown(["start", "within the scatter of the best recipe, or better", "far worse", "median ratio"], lines)


def predictors(order: Sequence[Ranked]) -> str:
    """Over all grids: mean correlation, intervals on either side of 0, mean and largest regret over the loss."""
    lines = []
    for name, meaning in PREDICTORS.items():
        found = [one for one in order if one.predictor == name]
        if not found:
            continue
        mean = np.nanmean([one.spearman for one in found])
        signs = f"{sum(one.low > 0 for one in found)} / {sum(one.high < 0 for one in found)}"
        regret = [one.regret for one in found]
        lines.append([f"`{name}`: {meaning}", f"{mean:.2f}", signs, f"{np.mean(regret):.2f}", f"{np.max(regret):.2f}"])
    return _markdown(["predictor", "mean", "for / against", "mean regret", "at most"], lines)


def ranking(order: Sequence[Ranked]) -> str:
    """Per grid and predictor: correlation with its interval, and regret."""
    lines = []
    for case in dict.fromkeys(one.case for one in order):
        here = {one.predictor: one for one in order if one.case == case}
        words = f"{case.data_set}, {case.activation}, {case.depth}, {case.optimiser}"
        words += "" if case.weights == "gaussian" else f", {case.weights}"
        lines.append([words, f"{here['kept'].best:.2f}", *(_text(here[name]) for name in PREDICTORS)])
    return _markdown(["case", "best", *PREDICTORS], lines)


def _text(one: Ranked) -> str:
    if math.isnan(one.spearman):
        return f"none; {one.regret:.2f}"
    ends = "" if math.isnan(one.low) else f" [{one.low:.2f}, {one.high:.2f}]"
    return f"{one.spearman:.2f}{ends}; {one.regret:.2f}"


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] + ["---:"] * (len(header) - 1), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
