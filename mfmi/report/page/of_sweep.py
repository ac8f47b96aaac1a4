"""The page of a sweep: its axes, the pictures that they make, and every column of every row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mfmi.bounds.evaluate import SEARCHED
from mfmi.columns import BY_NAME, Column, OptionalColumn
from mfmi.names import STATUS
from mfmi.report.axes import FigureAxis
from mfmi.report.curve_panels import DECAY, LINEAR, LOWER, MEAN_FIELD, REPLICA, UPPER, curve_style
from mfmi.report.curve_panels import FLOOR as CURVE_FLOOR
from mfmi.report.figure_choice import LONG, NUMBERS, SANDWICH, WORDS, Choice, axis_of, fills, representative
from mfmi.report.figure_data import without_missed
from mfmi.report.figure_words import SHORT_AXES, axis_label, context_phrases, phrase, plain, quantity_name
from mfmi.report.heat_panels import BEST_COLOR, FLOOR, RIDGE_COLOR, SKEW
from mfmi.report.network_words import NETWORK, with_words
from mfmi.report.page.edges import edges_of
from mfmi.report.page.packing import DIGITS, LEAST_EXPONENT, Packer, packed_column
from mfmi.report.page.parts import Page, number_axis, word_axis
from mfmi.report.rank_panels import WIDE as RANKS_WIDE
from mfmi.report.ranks import DEVIATIONS
from mfmi.report.scattered import even_axis

if TYPE_CHECKING:
    import pandas as pd

_AXIS_NAMES = {"activation": "activation", "weights": "weights", "noise_at": "noise", NETWORK: "norms and noise"}
_DASHES = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "dashdot"}
_RANK_MARKERS = {LINEAR: "circle", REPLICA: "square", LOWER: "triangle", UPPER: "inverted_triangle"}
# Cells along each axis of a picture of points that fill no grid.
_RASTER = 120
# Panels whose values span more than this have a logarithmic axis.
_WIDE = 1e3
# Ticks with names up to so many.
_NAMED_TICKS = 40

RULES: dict[str, Any] = {
    "skew": SKEW,
    "floor": FLOOR,
    "decay": DECAY,
    "curve_floor": CURVE_FLOOR,
    "wide": _WIDE,
    "ranks_wide": RANKS_WIDE,
    "named_ticks": _NAMED_TICKS,
    "best_colour": BEST_COLOR,
    "ridge_colour": RIDGE_COLOR,
}
"""How the scripts of a page choose scales and colours."""


def sweep_page(
    rows: pd.DataFrame,
    choice: Choice,
    columns: Sequence[Column],
    origin: Mapping[str, Any] | None,
    *,
    title: str,
    summary: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Page:
    """Gather the page of a sweep.

    Parameters
    ----------
    rows
        All columns of the rows that the page has room for.
    choice
        The picture with which it starts.
    columns
        What the columns are, in the order of the file.
    origin
        Provenance of the file.
    title
        Its name.
    summary, notes
        What else is said above the picture and below it.
    """
    raw = without_missed(rows, [f"mi_{name}" for name in SEARCHED if f"mi_{name}" in rows])
    worded = with_words(raw)
    varying = [name for name in (*WORDS, *NUMBERS) if worded[name].nunique() > 1 or name in _always(choice)]
    words = {name: list(dict.fromkeys(worded[name])) for name in varying if name in WORDS}
    order = _order(worded, varying, choice)
    raw, worded = raw.iloc[order], worded.iloc[order]
    packer = Packer()
    axes = [_axis(name, worded, words.get(name), choice, packer) for name in varying]
    described = [
        *(_described(column, raw, worded, varying, packer) for column in columns),
        _hidden("plain", _plain(worded).astype(float), packer),
    ]
    pictures = list(_pictures(worded, choice, varying))
    for picture in pictures:
        picture["edges"] = edges_of(worded, axes, picture)
    entries = list(_entries(raw, choice, columns))
    content = {
        "rows": len(raw),
        "codes": {"digits": DIGITS, "least_exponent": LEAST_EXPONENT},
        "arrays": packer.arrays,
        "axes": axes,
        "columns": described,
        "pictures": pictures,
        "entries": entries,
        "phase": "phase",
        "start": {"entry": _first(entries, choice), "column": _first_column(entries, choice), "by": choice.by},
        "rules": RULES,
    }
    context = {name: worded[name].iloc[0] for name in (*WORDS, *NUMBERS) if name not in varying}
    said = plain(", ".join(context_phrases(context)))
    doubled = int(worded.duplicated(varying).sum()) if varying else 0
    more = [f"Rows that lie where another does, of which the last is drawn: {doubled:,}."] if doubled else []
    return Page(
        title, (said, *summary) if said else tuple(summary), content, packer.text(), (*notes, *more), (), origin
    )


def _always(choice: Choice) -> tuple[str, ...]:
    """Axes that a page has even if they have a single value: what is ranked."""
    return (choice.x,) if choice.kind == "ranking" else ()


def _order(rows: pd.DataFrame, varying: Sequence[str], choice: Choice) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Rows in which neighbours are alike: those of a picture together, those of one point at several depths near."""
    last = [name for name in ("depth", "weights", choice.y, choice.x) if name in varying]
    names = [*(name for name in varying if name not in last), *last]
    keys = [np.unique(rows[name].to_numpy(), return_inverse=True)[1] for name in reversed(names)]
    return np.lexsort(keys) if keys else np.arange(len(rows))


def _axis(name: str, rows: pd.DataFrame, words: list[str] | None, choice: Choice, packer: Packer) -> dict[str, Any]:
    """An axis of the words, in their order, or of the numbers that occur."""
    if words is not None:
        labels = [phrase(name, word) for word in words]
        places = rows[name].map({word: place for place, word in enumerate(words)}).to_numpy()
        return word_axis(name, _AXIS_NAMES[name], words) | {"labels": labels, "places": packer.add(places), "start": 0}
    axis = axis_of(choice, rows, name)
    start = int(np.searchsorted(axis.values, representative(name, axis.values)))
    places = np.searchsorted(axis.values, rows[name].to_numpy(np.float64))
    return _numbers(axis) | {"places": packer.add(places), "start": start}


def _numbers(axis: FigureAxis) -> dict[str, Any]:
    return number_axis(axis, plain(axis_label(axis.name)), plain(SHORT_AXES[axis.name]))


def _described(
    column: Column, raw: pd.DataFrame, worded: pd.DataFrame, varying: Sequence[str], packer: Packer
) -> dict[str, Any]:
    """A column of the file, and where its values are."""
    name = column.name
    said = {"name": name, "unit": column.unit, "description": column.description, "basis": basis(name)}
    if name in varying and (raw[name] is worded[name] or raw[name].equals(worded[name])):
        return {**said, "kind": "axis", "axis": name}
    return {**said, **packed_column(packer, raw[name].to_numpy(), column.dtype, DIGITS)}


def _hidden(name: str, values: Any, packer: Packer) -> dict[str, Any]:
    return {"name": name, "hidden": True, **packed_column(packer, values, "int64", DIGITS)}


def basis(name: str) -> str:
    """The basis of a column: a theorem, a formula, an approximation."""
    column = BY_NAME.get(name)
    if isinstance(column, OptionalColumn):
        return column.status
    return STATUS.get(name.removeprefix("mi_"), "")


def _plain(rows: pd.DataFrame) -> Any:
    return ((rows[NETWORK] == "") & (rows["skip"] == 0.0) & (rows["branch"] == 1.0)).to_numpy()


def _pictures(rows: pd.DataFrame, choice: Choice, varying: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The chosen picture, then all heat maps of two axes, curves along each axis of numbers, activations ranked."""
    numbers = [name for name in NUMBERS if name in varying]
    values = {name: np.unique(rows[name].to_numpy(np.float64)) for name in numbers}
    long = [name for name in numbers if len(values[name]) >= LONG]
    pairs = [(x, y) for i, x in enumerate(long) for y in long[i + 1 :]]
    pairs = [pair for pair in pairs if set(pair) <= set(choice.refined) or fills(rows, pair, values)]
    first: tuple[str, str | None] = (choice.x, choice.y)
    pairs = [pair for pair in pairs if set(pair) != set(first)]
    shapes = [first, *pairs, *((name, None) for name in numbers if (name, None) != first)]
    if "activation" in varying and first != ("activation", None):
        shapes.append(("activation", None))
    picture: dict[str, Any]
    for x, y in shapes:
        if x == "activation":
            yield _ranking([name for name in DEVIATIONS if name in varying])
            continue
        label = f"curves along {x}" if y is None else f"heat map of {x} and {y}"
        picture = {"kind": "curves" if y is None else "heat", "x": x, "y": y, "label": label, "marked": x != "depth"}
        if y is not None and not {x, y}.isdisjoint(choice.refined) and not fills(rows, (x, y), values, 1.0):
            picture["raster"] = [_numbers(even_axis(axis_of(choice, rows, name), _RASTER)) for name in (x, y)]
        yield picture


def _ranking(over: Sequence[str]) -> dict[str, Any]:
    """Activations, each at those standard deviations at which a quantity is largest."""
    label = "activations ranked"
    return {"kind": "ranking", "x": "activation", "y": None, "over": list(over), "label": label, "marked": True}


def _entries(rows: pd.DataFrame, choice: Choice, columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    """Quantities to choose from: those of the picture together, then one by one."""
    units = {column.name: column.unit for column in columns}
    known = [
        column.name
        for column in columns
        if column.dtype == "float64" and column.name not in NUMBERS and rows[column.name].notna().any()
    ]
    together = choice.quantities if choice.kind == "curves" else tuple(name for name in SANDWICH if name in known)
    if len(together) > 1:
        information = all(name.startswith("mi_") for name in together)
        label = "information" if information else ", ".join(together)
        yield {"label": label, "column": None, "unit": units[together[0]] if information else "", "panels": [
            _panel(together, units)
        ]}  # fmt: skip
    first = [name for name in (*choice.quantities, *SANDWICH) if name in known]
    for name in dict.fromkeys((*first, *known)):
        unit = units[name] if units[name] != "1" else ""
        shared = {"label": quantity_name(name), "column": name, "unit": unit, "information": name.startswith("mi_")}
        beside = (LINEAR, REPLICA, LOWER, UPPER) if name in SANDWICH else ()
        together = tuple(dict.fromkeys((name, *(one for one in beside if one in known))))
        yield {**shared, "panels": [_panel((name,), units)], "ranking": _rank_panel(together, units)}


def _panel(names: Sequence[str], units: Mapping[str, str]) -> dict[str, Any]:
    """Curves of some quantities on one axis; the bounds as a band where both are among them."""
    information = all(name.startswith("mi_") for name in names)
    unit = units[names[0]] if units[names[0]] not in ("", "1") else "dimensionless"
    label = "information" if information and len(names) > 1 else quantity_name(names[0]) if len(names) == 1 else "value"
    band = {"low": LOWER, "high": UPPER, "label": "lower to upper bound", "colour": curve_style(LOWER, 0)["color"]}
    return {
        "axis": plain(f"{label} ({unit})"),
        "information": information,
        "series": [_series(name, place, names) for place, name in enumerate(names)],
        "areas": [{**band, "bars": False, "last": False}] if LOWER in names and UPPER in names else [],
    }


def _series(name: str, place: int, names: Sequence[str]) -> dict[str, Any]:
    style = curve_style(name, place)
    return {
        "column": name,
        "label": quantity_name(name, short=len(names) > 1),
        "colour": "ink" if style["color"] == "black" else style["color"],
        "dash": _DASHES[style["ls"]],
        "width": 2.0 * style.get("lw", 1.1),
        "marker": "circle",
        "size": 5,
        "last": False,
        "single": len(names) > 1 and LINEAR in names and name in (LOWER, UPPER, MEAN_FIELD),
        "marked": name in (LINEAR, REPLICA) or (name == LOWER and REPLICA not in names) or len(names) == 1,
    }


def _rank_panel(names: Sequence[str], units: Mapping[str, str]) -> dict[str, Any]:
    """Signs of an activation, that by which it is ranked first, and the bounds as a bar in place of their signs."""
    panel = _panel(names, units)
    signs = [one for one in panel["series"] if one["column"] not in (LOWER, UPPER) or one["column"] == names[0]]
    for sign in signs:
        sign |= {"label": quantity_name(sign["column"]), "marker": _RANK_MARKERS.get(sign["column"], "diamond")}
    unit = units[names[0]] if units[names[0]] not in ("", "1") else "dimensionless"
    return {**panel, "axis": plain(f"{quantity_name(names[0])} ({unit})"), "series": signs}


def _first(entries: Sequence[Mapping[str, Any]], choice: Choice) -> int:
    """Number of the entry with which the page starts."""
    if choice.kind == "curves" and len(choice.quantities) > 1:
        return 0
    return _first_column(entries, choice)


def _first_column(entries: Sequence[Mapping[str, Any]], choice: Choice) -> int:
    columns = [entry["column"] for entry in entries]
    wanted = [name for name in choice.quantities if name in columns]
    return columns.index(wanted[0]) if wanted else next(i for i, name in enumerate(columns) if name is not None)
