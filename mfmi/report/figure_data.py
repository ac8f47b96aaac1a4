"""Numbers of a figure, panel by panel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.evaluate import SEARCHED, has_missed
from mfmi.columns import COLUMNS, Column
from mfmi.meanfield import fixed_point
from mfmi.report.axes import FigureAxis
from mfmi.report.edge_lines import Polyline, edge_lines, edge_places, is_known
from mfmi.report.figure_choice import NUMBERS, WORDS, Choice, axis_of, fills, to_rank, with_rows_of
from mfmi.report.network_words import NETWORK, with_words
from mfmi.report.ranks import Ranks, rank, rank_rows
from mfmi.report.scattered import Scattered, even_axis, rastered

if TYPE_CHECKING:
    import pandas as pd

EDGE, REPELLING = "edge of chaos", "edge of chaos, repelling"
ARGMAX, RIDGE = "largest", "largest along x"


@dataclass(frozen=True)
class Heat:
    """A quantity over two axes.

    Attributes
    ----------
    words : what the panel stands for, by column.
    quantity : the column that is drawn.
    x, y : the axes.
    values : shape (len(y), len(x)), NaN where there is none.
    phases : the phase of each cell, "" where unknown.
    edges : the edge of chaos.
    best : place and value of the largest, or None.
    ridge : for each y the x of its largest value, NaN without one.
    points : the points between which the values are interpolated; None where there is one in every cell.
    """

    words: Mapping[str, str]
    quantity: str
    x: FigureAxis
    y: FigureAxis
    values: FloatArray
    phases: NDArray[np.object_]
    edges: tuple[Polyline, ...]
    best: tuple[float, float, float] | None
    ridge: FloatArray
    points: Scattered | None = None


@dataclass(frozen=True)
class Curve:
    """Quantities along one axis.

    Attributes
    ----------
    by : value of the column that distinguishes the curves of a panel; NaN for a single one.
    x : shape (n,), increasing.
    series : values by quantity, shape (n,), NaN where there is none.
    """

    by: float
    x: FloatArray
    series: Mapping[str, FloatArray]


@dataclass(frozen=True)
class Curves:
    """A panel of curves.

    Attributes
    ----------
    words : what the panel stands for, by column.
    x : the axis.
    curves : one per value of the column that distinguishes them.
    edges : positions of the edge of chaos on the axis, attracting ones.
    trainable : 6 xi_c where the axis is depth and there is one curve, else NaN.
    """

    words: Mapping[str, str]
    x: FigureAxis
    curves: tuple[Curve, ...]
    edges: FloatArray
    trainable: float


@dataclass(frozen=True)
class Figure:
    """A figure ready to be drawn.

    Attributes
    ----------
    choice : what it shows.
    panels : `Heat`, a row of panels after another with a panel per quantity, or `Curves`, or `Ranks`.
    context : the words and numbers that all panels have in common.
    units : unit by column.
    """

    choice: Choice
    panels: tuple[Heat, ...] | tuple[Curves, ...] | tuple[Ranks, ...]
    context: Mapping[str, Any]
    units: Mapping[str, str]


def build(rows: pd.DataFrame, choice: Choice, units: Mapping[str, str]) -> Figure:
    """Gather what a figure shows.

    Parameters
    ----------
    rows
        The table of results.
    choice
        Which figure.
    units
        Unit by column.
    """
    rows = without_missed(with_rows_of(choice, with_words(rows)), choice.quantities)
    varying = set(choice.panels[0])
    ranked = ("activation",) if choice.kind == "ranking" else ()
    context: dict[str, Any] = {name: str(rows[name].iloc[0]) for name in WORDS if name not in (*varying, *ranked)}
    context |= dict(choice.fixed)
    if choice.kind == "ranking":
        bounded = to_rank(rows)
        ranked_parts = [(panel, _of_panel(bounded, panel)) for panel in choice.panels]
        return Figure(choice, rank(ranked_parts, choice.quantities), context, units)
    parts = [(panel, _of_panel(rows, panel)) for panel in choice.panels]
    if choice.kind == "heat":
        heats = [_heat(part, panel, name, rows, choice, context) for name in choice.quantities for panel, part in parts]
        return Figure(choice, tuple(heats), context, units)
    return Figure(choice, tuple(_curves(part, panel, rows, choice, context) for panel, part in parts), context, units)


def without_missed(rows: pd.DataFrame, quantities: Sequence[str]) -> pd.DataFrame:
    """Leave out values whose search has missed a minimum: they are no values, and an optimum would be made of them."""
    searched = [name for name in SEARCHED if f"mi_{name}" in quantities]
    if not searched:
        return rows
    messages = rows["message"].fillna("").to_numpy(object)
    noted = np.flatnonzero(messages != "")
    kept = {}
    for name in searched:
        values = rows[f"mi_{name}"].to_numpy(np.float64, copy=True)
        values[noted[has_missed(name, messages[noted])]] = np.nan
        kept[f"mi_{name}"] = values
    return rows.assign(**kept)


def _of_panel(rows: pd.DataFrame, panel: Mapping[str, str]) -> pd.DataFrame:
    keep = np.ones(len(rows), dtype=bool)
    for name, word in panel.items():
        keep &= (rows[name] == word).to_numpy()
    return rows[keep]


def _network(words: Mapping[str, str], context: Mapping[str, Any]) -> dict[str, Any]:
    return {**context, **words}


def _heat(
    part: pd.DataFrame,
    words: Mapping[str, str],
    quantity: str,
    rows: pd.DataFrame,
    choice: Choice,
    context: Mapping[str, Any],
) -> Heat:
    assert choice.y is not None
    x, y = axis_of(choice, rows, choice.x), axis_of(choice, rows, choice.y)
    if not choice.refined.keys().isdisjoint((x.name, y.name)) and not fills(part, (x.name, y.name), _ends(x, y), 1.0):
        return _scattered(part, words, quantity, even_axis(x), even_axis(y), context)
    column = np.searchsorted(x.values, part[x.name].to_numpy(np.float64))
    row = np.searchsorted(y.values, part[y.name].to_numpy(np.float64))
    values = np.full((len(y), len(x)), np.nan)
    values[row, column] = part[quantity].to_numpy(np.float64)
    phases = np.full(values.shape, "", dtype=object)
    phases[row, column] = part["phase"].fillna("").astype(object).to_numpy()
    known = np.isfinite(values)
    ridge = np.full(len(y), np.nan)
    some = known.any(axis=1)
    filled = np.where(known, values, -np.inf)
    ridge[some] = x.values[np.argmax(filled[some], axis=1)]
    best = None
    if known.any():
        place = np.unravel_index(int(np.argmax(filled)), values.shape)
        best = (float(x.values[place[1]]), float(y.values[place[0]]), float(values[place]))
    edges = tuple(edge_lines(_network(words, context), x, y))
    return Heat(words, quantity, x, y, values, phases, edges, best, ridge)


def _ends(x: FigureAxis, y: FigureAxis) -> dict[str, FloatArray]:
    return {x.name: x.values, y.name: y.values}


def _scattered(
    part: pd.DataFrame,
    words: Mapping[str, str],
    quantity: str,
    x: FigureAxis,
    y: FigureAxis,
    context: Mapping[str, Any],
) -> Heat:
    """A panel of points that fill no grid."""
    points = Scattered(*(part[name].to_numpy(np.float64) for name in (x.name, y.name, quantity)))
    values, phases = rastered(points, part["phase"].fillna("").astype(object).to_numpy(), x, y)
    best = None
    if np.isfinite(points.values).any():
        at = int(np.nanargmax(np.where(np.isfinite(points.values), points.values, np.nan)))
        best = (float(points.x[at]), float(points.y[at]), float(points.values[at]))
    edges = tuple(edge_lines(_network(words, context), x, y))
    return Heat(words, quantity, x, y, values, phases, edges, best, np.full(len(y), np.nan), points)


def _curves(
    part: pd.DataFrame, words: Mapping[str, str], rows: pd.DataFrame, choice: Choice, context: Mapping[str, Any]
) -> Curves:
    x = axis_of(choice, rows, choice.x)
    keys = np.full(len(part), math.nan) if choice.by is None else part[choice.by].to_numpy(np.float64)
    curves = []
    for key in choice.by_values or (math.nan,):
        group = part if math.isnan(key) else part[keys == key]
        ordered = group.sort_values(x.name, kind="stable")
        series = {name: ordered[name].to_numpy(np.float64) for name in choice.quantities}
        curves.append(Curve(key, ordered[x.name].to_numpy(np.float64), series))
    network = _network(words, context)
    edges, trainable = np.empty(0), math.nan
    if choice.x in ("sigma_w", "sigma_b") and choice.by not in ("sigma_w", "sigma_b", "sigma_noise"):
        edges = edge_places(network, x)
    if choice.x == "depth" and choice.by is None and is_known(network):
        trainable = 6.0 * _xi_c(network)
    return Curves(words, x, tuple(curves), edges, trainable)


def _xi_c(network: Mapping[str, Any]) -> float:
    hidden = network["sigma_noise"] if network["noise_at"] == "every" else 0.0
    found = fixed_point(
        network["activation"],
        sigma_w=network["sigma_w"],
        sigma_b=network["sigma_b"],
        sigma_noise=hidden,
        input_variance=network["input_variance"],
    )
    return float(found.xi_c)


# ---- as a table ------------------------------------------------------------------------------------------------------

_SERIES = Column("series", "string", "", "what the row shows: a column of the results, or a mark of the figure")
_VALUE = Column("value", "float64", "", "its value; empty for marks that are places")
_NETWORK = Column(NETWORK, "string", "", "norms, relative noise and matrices of a branch; empty for plain networks")
_UNIT = Column("unit", "string", "", "unit of the value")


def to_block(figure: Figure) -> tuple[dict[str, NDArray[Any]], list[Column]]:
    """All that a figure shows as one long table: a row per value or mark, with the network it belongs to."""
    rows = [row for panel in figure.panels for row in _panel_rows(figure, panel)]
    known = {column.name: column for column in (*COLUMNS, _NETWORK)}
    columns = [_SERIES, *(known[name] for name in (*WORDS, *NUMBERS)), _VALUE, _UNIT]
    block: dict[str, NDArray[Any]] = {}
    for column in columns:
        text = column.dtype == "string"
        block[column.name] = np.array(
            [row.get(column.name, "" if text else math.nan) for row in rows], dtype=object if text else np.float64
        )
    # A mark has a place between the rows of the results, so that depth need not be whole here.
    columns = [Column(c.name, "float64", c.unit, c.description) if c.name == "depth" else c for c in columns]
    return block, columns


def _cells(panel: Heat) -> Iterator[tuple[float, float, float]]:
    """Places and values of the cells of a panel, or of the points that it is made of."""
    if panel.points is not None:
        yield from zip(panel.points.x, panel.points.y, panel.points.values, strict=True)
        return
    for (i, j), value in np.ndenumerate(panel.values):
        yield float(panel.x.values[j]), float(panel.y.values[i]), value


def _panel_rows(figure: Figure, panel: Heat | Curves | Ranks) -> Iterator[dict[str, Any]]:
    constant = _network(panel.words, figure.context)
    if isinstance(panel, Ranks):
        yield from rank_rows(panel, constant, figure.units)
        return
    if isinstance(panel, Heat):
        unit = figure.units.get(panel.quantity, "")
        x, y = panel.x.name, panel.y.name
        for across, up, value in _cells(panel):
            yield {**constant, x: across, y: up, "series": panel.quantity, "value": value, "unit": unit}
        for i, at in enumerate(panel.ridge):
            yield constant | {x: at, y: panel.y.values[i], "series": f"{panel.quantity}, {RIDGE}"}
        if panel.best is not None:
            mark = {"series": f"{panel.quantity}, {ARGMAX}", "value": panel.best[2], "unit": unit}
            yield {**constant, x: panel.best[0], y: panel.best[1], **mark}
        for line in panel.edges:
            for at, across in zip(line.x, line.y, strict=True):
                yield constant | {x: at, y: across, "series": EDGE if line.stable else REPELLING}
        return
    for curve in panel.curves:
        by = {} if figure.choice.by is None else {figure.choice.by: curve.by}
        for name, values in curve.series.items():
            for at, value in zip(curve.x, values, strict=True):
                shown = {"series": name, "value": value, "unit": figure.units.get(name, "")}
                yield {**constant, **by, panel.x.name: at, **shown}
    for at in panel.edges:
        yield constant | {panel.x.name: at, "series": EDGE}
    if math.isfinite(panel.trainable):
        yield constant | {panel.x.name: panel.trainable, "series": "6 xi_c"}
