"""Choice of the figure for a table of results: axes, panels, and the values held fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mfmi.report.axes import FigureAxis
from mfmi.report.network_words import NETWORK, with_words
from mfmi.report.ranks import DEVIATIONS

if TYPE_CHECKING:
    import pandas as pd

WORDS = ("activation", "weights", "noise_at", NETWORK)
NUMBERS = ("sigma_w", "sigma_b", "depth", "skip", "branch", "sigma_noise", "input_variance")
KINDS = ("auto", "heat", "curves", "ranking")

LINEAR, TOTAL, REPLICA = "mi_linear", "mi_lower", "mi_replica"
SANDWICH = (LINEAR, TOTAL, "mi_upper", REPLICA, "mi_mean_field")

# From so many values on an axis makes a picture of its own; up to so many values make curves of several colours.
LONG = 4
MOST_CURVES = 6
MOST_PANELS = 16
# Share of the cells of a grid that must be filled for a heat map of it.
_FILLED = 0.5


@dataclass(frozen=True)
class Wishes:
    """Requested figure; None leaves a choice open.

    Attributes
    ----------
    kind : one of `KINDS`.
    x, y, by : columns for the axes of a heat map, the axis of curves, and their colours.
    quantities : columns to draw; empty for the default.
    """

    kind: str = "auto"
    x: str | None = None
    y: str | None = None
    by: str | None = None
    quantities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A figure before it is drawn.

    Attributes
    ----------
    kind : "heat", "curves" or "ranking".
    x, y : columns of the axes; y is None for curves, and x is what the axis of a ranking is called, "activation".
    by : column whose values are the colours of the curves, or None.
    by_values : those of its values that have a curve.
    quantities : columns that are drawn.
    fixed : value of every numeric column that does not appear.
    panels : one a panel, the words that it stands for, by column; only columns that vary.
    columns : number of panels in a row.
    notes : what was left out, and how to see it.
    refined : axes whose values are not even but refined where it matters, and whether by ratios.
    """

    kind: str
    x: str
    y: str | None
    by: str | None
    by_values: tuple[float, ...]
    quantities: tuple[str, ...]
    fixed: Mapping[str, Any]
    panels: tuple[Mapping[str, str], ...]
    columns: int
    notes: tuple[str, ...] = field(default=())
    refined: Mapping[str, bool] = field(default_factory=dict)


def choose(rows: pd.DataFrame, wishes: Wishes, refined: Mapping[str, bool] | None = None) -> Choice:
    """Choose a figure from what varies in the rows.

    Parameters
    ----------
    rows
        The columns of `mfmi.report.network_words`, the other `WORDS` and `NUMBERS`, and the quantities.
    wishes
        What was asked for.
    refined
        Axes of an adaptive sweep that it has refined, and whether by ratios.

    Returns
    -------
    Choice
        A heat map where two numeric columns have four values or more and fill a grid, or where two are refined; else
        curves against the longest.

    Raises
    ------
    ValueError
        There are no rows, or the wishes contradict each other or the rows.
    """
    if not len(rows):
        raise ValueError("there are no rows to draw")
    rows = with_words(rows)
    values = {name: np.unique(rows[name].to_numpy(np.float64)) for name in NUMBERS}
    _check(wishes, values)
    ranking = wishes.kind == "ranking"
    kind, x, y = ("ranking", "activation", None) if ranking else _axes(rows, wishes, values, refined or {})
    by = _by(wishes, values, x) if kind == "curves" else None
    shown = DEVIATIONS if ranking else (x, y, by)
    fixed = {name: representative(name, values[name]) for name in NUMBERS if name not in shown}
    notes = [
        f"{name} is held at {fixed[name]:g}, one of {len(values[name])} values: "
        f"--where '{name} == {values[name][-1 if fixed[name] != values[name][-1] else 0]:g}' draws another"
        for name in fixed
        if len(values[name]) > 1
    ]
    by_values = _spread(values[by]) if by is not None else ()
    if by is not None and len(by_values) < len(values[by]):
        notes.append(f"{len(by_values)} of {len(values[by])} values of {by} have a curve: --where picks others")
    if ranking and len(to_rank(rows)) < len(rows):
        notes.append("unbounded networks are not ranked: --where 'phase == \"unbounded\"' ranks them alone")
    panels, columns = _panels(rows, WORDS[1:] if ranking else WORDS)
    if len(panels) > MOST_PANELS:
        notes.append(f"the first {MOST_PANELS} of {len(panels)} panels are drawn: --where picks others")
        panels = panels[:MOST_PANELS]
    quantities = wishes.quantities or _quantities(rows, kind, len(panels))
    if kind == "heat" and len(panels) == 1:
        columns = len(quantities)
    return Choice(kind, x, y, by, by_values, quantities, fixed, panels, columns, tuple(notes), refined or {})


def _check(wishes: Wishes, values: Mapping[str, Any]) -> None:
    for option, name in (("x", wishes.x), ("y", wishes.y), ("by", wishes.by)):
        if name is not None and len(values[name]) < 2:
            raise ValueError(f"--{option} {name}: there is only one value of {name}")
    named = [name for name in (wishes.x, wishes.y, wishes.by) if name is not None]
    if len(set(named)) < len(named):
        raise ValueError("--x, --y and --by must be different columns")
    if wishes.y is not None and wishes.kind == "curves":
        raise ValueError("curves have no --y; --quantity says what runs upwards")
    if wishes.kind == "ranking" and named:
        raise ValueError("a ranking has no --x, --y or --by: every activation is shown at its best standard deviations")
    if wishes.by is not None and (wishes.kind == "heat" or wishes.y is not None):
        raise ValueError("a heat map has no --by")


def _axes(
    rows: pd.DataFrame, wishes: Wishes, values: Mapping[str, Any], refined: Mapping[str, bool]
) -> tuple[str, str, str | None]:
    """Kind, x and y."""
    free = [name for name in NUMBERS if len(values[name]) > 1 and name not in (wishes.x, wishes.y, wishes.by)]
    long = [name for name in free if len(values[name]) >= LONG]
    if refined:  # what was refined is to be seen
        long.sort(key=lambda name: name not in refined)
    wanted = [name for name in (wishes.x, wishes.y) if name is not None]
    candidates = (*wanted, *(long if wishes.kind == "auto" else free))
    pair = tuple(candidates[:2])
    heat = wishes.kind == "heat" or wishes.y is not None
    if wishes.kind == "auto" and wishes.by is None and not heat:
        heat = len(pair) == 2 and (set(pair) <= set(refined) or fills(rows, pair, values))
    if heat:
        if len(pair) < 2:
            raise ValueError("a heat map needs two columns with several values")
        x, y = (wishes.x or next(n for n in pair if n != wishes.y)), None
        y = wishes.y or next(name for name in pair if name != x)
        return "heat", x, y
    if wishes.x is not None:
        return "curves", wishes.x, None
    # The first of the longest; a file with one network at one depth has nothing to draw.
    longest = max(free, key=lambda name: len(values[name]), default=None)
    if longest is None:
        raise ValueError("nothing varies in these rows but words: there is no axis to draw along")
    return "curves", longest, None


def fills(rows: pd.DataFrame, pair: Sequence[str], values: Mapping[str, Any], share: float = _FILLED) -> bool:
    """Say whether rows fill such a share of the grid of the values of two columns."""
    cells = len(values[pair[0]]) * len(values[pair[1]])
    return len(rows[list(pair)].drop_duplicates()) >= share * cells


def _by(wishes: Wishes, values: Mapping[str, Any], x: str) -> str | None:
    if wishes.by is not None:
        return wishes.by
    for name in ("depth", "sigma_w", "sigma_b", "branch", "skip", "sigma_noise", "input_variance"):
        if name != x and 1 < len(values[name]) <= MOST_CURVES:
            return name
    return None


def _spread(values: Any) -> tuple[float, ...]:
    """At most `MOST_CURVES` of the values, spread over them with both ends."""
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_CURVES)).round().astype(int))
    return tuple(values[places].tolist())


def representative(name: str, values: Any) -> float:
    """The value at which a column that does not appear is held: the deepest layer, the smallest standard deviation."""
    return float(values[-1] if name == "depth" else values[0])


def _panels(rows: pd.DataFrame, words: Sequence[str]) -> tuple[tuple[Mapping[str, str], ...], int]:
    """Every combination of words that occurs, in order of appearance, and how many of them go side by side."""
    varying = [name for name in words if rows[name].nunique() > 1]
    if not varying:
        return ({},), 1
    found = rows[varying].drop_duplicates()
    panels = [{name: str(row[name]) for name in varying} for row in found.to_dict("records")]
    first = list(dict.fromkeys(panel[varying[0]] for panel in panels))
    panels.sort(key=lambda panel: first.index(panel[varying[0]]))
    side_by_side = len(panels) // len(first) if len(varying) > 1 else len(panels)
    if side_by_side > LONG or len(varying) == 1:
        side_by_side = min(side_by_side, 2 if side_by_side in (2, 4) else 3)
    return tuple(panels), side_by_side


def _quantities(rows: pd.DataFrame, kind: str, panels: int) -> tuple[str, ...]:
    known = [name for name in SANDWICH if name in rows and rows[name].notna().any()]
    if not known:
        raise ValueError("none of these rows has a value of information")
    if kind == "curves":
        return tuple(known)
    total = REPLICA if REPLICA in known else TOTAL
    both = [name for name in (LINEAR, total) if name in known]
    if kind == "ranking":
        same = len(both) == 2 and np.allclose(rows[both[0]], rows[both[1]], equal_nan=True)
        return tuple(both[:1] if same else both or known[:1])
    if panels == 1 and len(both) == 2 and not np.allclose(rows[both[0]], rows[both[1]], equal_nan=True):
        return tuple(both)
    return (both[0] if both else known[0],)


def to_rank(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows among which the best are looked for: those whose variance stays finite, if there are any."""
    stays = (rows["phase"] != "unbounded").to_numpy()
    return rows[stays] if stays.any() else rows


def axis_of(choice: Choice, rows: pd.DataFrame, name: str) -> FigureAxis:
    """The axis of a column, over all panels."""
    return FigureAxis.of(name, rows[name].to_numpy(np.float64), choice.refined.get(name))


def with_rows_of(choice: Choice, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that the figure shows: those at the fixed values."""
    keep = np.ones(len(rows), dtype=bool)
    for name, value in choice.fixed.items():
        keep &= rows[name].to_numpy(np.float64) == value
    return rows[keep]
