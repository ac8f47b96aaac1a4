"""Fewer rows for a page: values left out of the longest axes, evenly, and said so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfmi.report.figure_choice import NUMBERS, Choice
from mfmi.report.network_words import with_words
from mfmi.report.page.parts import spread
from mfmi.report.ranks import DEVIATIONS

if TYPE_CHECKING:
    import pandas as pd

# Values that an axis keeps at least, where its values are places of a slider.
_FEWEST = 8


def thinned(rows: pd.DataFrame, choice: Choice, most: int) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Say which rows a page has room for.

    Values are left out of the axes that the first picture does not show, longest first, and only then of its own: a
    picture that is shown keeps all its cells as long as possible.

    Parameters
    ----------
    rows
        The columns of `mfmi.report.figure_choice.choose`.
    choice
        The first picture.
    most
        Number of rows that fit.

    Returns
    -------
    keep : ndarray of bool, shape (rows,)
    notes : tuple of str
        What was left out, and how to see it.

    Raises
    ------
    ValueError
        No choice of values leaves so few rows.
    """
    keep = np.ones(len(rows), dtype=bool)
    if len(rows) <= most:
        return keep, ()
    rows = with_words(rows)
    columns = {name: rows[name].to_numpy(np.float64) for name in NUMBERS}
    values = {name: np.unique(column) for name, column in columns.items()}
    kept = {name: np.arange(len(values[name])) for name in NUMBERS if len(values[name]) > 1}
    while (count := int(keep.sum())) > most:
        name = _next(kept, choice)
        if name is None:
            raise ValueError(f"there is no room for {count:,} rows on a page, with few values of every number")
        kept[name] = _fewer(kept[name], most / count, name in _own(choice))
        keep &= np.isin(columns[name], values[name][kept[name]])
    notes = [
        f"{len(places)} of the {len(values[name])} values of {name} are on this page, for it has no room for all "
        f"{len(rows):,} rows: --where picks others, as does a condition on another column."
        for name, places in kept.items()
        if len(places) < len(values[name])
    ]
    if any(len(kept[name]) < len(values[name]) for name in _own(choice) if name in kept):
        notes.append("The largest values that are marked are those of the rows on this page.")
    return keep, tuple(notes)


def thinned_audit(rows: pd.DataFrame, most: int) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Say which rows of an audit a page has room for: of fewer steps, and where two are too many, of fewer layers.

    Parameters
    ----------
    rows
        Rows with `step` and `name`.
    most
        Number of rows that fit, at least 1.

    Returns
    -------
    keep : ndarray of bool, shape (rows,)
    notes : tuple of str
        What was left out, and how to see it.
    """
    total = len(rows)
    keep = np.ones(total, dtype=bool)
    layers = rows["layer"].notna().to_numpy()  # of the rest the page says only why it is no layer
    notes: list[str] = []
    for column, word, fewest in (("step", "steps", 2), ("name", "layers", 1)):
        if (count := int((keep & layers).sum())) <= most:
            break
        known = rows.loc[layers, column].drop_duplicates().to_numpy()
        known = np.sort(known) if column == "step" else known
        kept = known[spread(len(known), max(min(fewest, len(known)), int(len(known) * most / count)))]
        if len(kept) < len(known):
            keep &= ~layers | rows[column].isin(kept).to_numpy()
            notes.append(
                f"{len(kept)} of the {len(known)} {word} are on this page, for it has no room for all {total:,} rows: "
                "--where picks others."
            )
    return keep, tuple(notes)


def _own(choice: Choice) -> tuple[str | None, ...]:
    """Axes of the first picture: of a ranking those over which the largest value is looked for."""
    return DEVIATIONS if choice.kind == "ranking" else (choice.x, choice.y)


def _next(kept: dict[str, NDArray[np.intp]], choice: Choice) -> str | None:
    """The axis of which values are left out next, None where all are short."""
    shown = [name for name in _own(choice) if name in kept]
    sliders = [name for name in kept if name not in shown and len(kept[name]) > _FEWEST]
    own = [name for name in shown if len(kept[name]) > 2]
    rest = [name for name in kept if name not in shown and len(kept[name]) > 2]
    for names in (sliders, own, rest):
        if names:
            return max(names, key=lambda name: len(kept[name]))
    return None


def _fewer(places: NDArray[np.intp], share: float, evenly: bool) -> NDArray[np.intp]:
    """Leave out values: of a slider as many as must be, of a picture's axis every second, so that cells stay even."""
    if evenly:
        return places[::2]
    return places[spread(len(places), max(_FEWEST if len(places) > _FEWEST else 2, int(len(places) * share)))]
