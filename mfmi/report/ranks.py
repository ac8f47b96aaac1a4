"""Activations ranked by their information at the best standard deviations of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# What is chosen at its best for every activation.
DEVIATIONS = ("sigma_w", "sigma_b")


@dataclass(frozen=True)
class Peak:
    """The largest value of a quantity for an activation, and the standard deviations where it is reached."""

    value: float
    sigma_w: float
    sigma_b: float


@dataclass(frozen=True)
class Ranks:
    """Activations in a panel.

    Attributes
    ----------
    words : what the panel stands for, by column.
    activations : names, best first by the first quantity in the first panel.
    peaks : by quantity, one an activation; None where it has no value.
    """

    words: Mapping[str, str]
    activations: tuple[str, ...]
    peaks: Mapping[str, tuple[Peak | None, ...]]


def rank(parts: Sequence[tuple[Mapping[str, str], pd.DataFrame]], quantities: Sequence[str]) -> tuple[Ranks, ...]:
    """Rank the activations of every panel.

    Parameters
    ----------
    parts
        Words and rows of the panels.
    quantities
        Columns whose largest values are looked for; the first decides the order.
    """
    names = list(dict.fromkeys(name for _, part in parts for name in part["activation"]))
    found = []
    for words, part in parts:
        groups = {name: part[part["activation"] == name] for name in names}
        found.append((words, {q: {name: _peak(groups[name], q) for name in names} for q in quantities}))
    first = found[0][1][quantities[0]]
    names.sort(key=lambda name: -np.inf if (peak := first[name]) is None else -peak.value)
    missing = [name for name in names if first[name] is None]
    order = [name for name in names if name not in missing] + missing
    return tuple(
        Ranks(words, tuple(order), {q: tuple(peaks[q][name] for name in order) for q in quantities})
        for words, peaks in found
    )


def _peak(part: pd.DataFrame, quantity: str) -> Peak | None:
    values = part[quantity].to_numpy(np.float64)
    if not np.isfinite(values).any():
        return None
    at = int(np.argmax(np.where(np.isfinite(values), values, -np.inf)))
    w, b = (float(part[name].iloc[at]) for name in DEVIATIONS)
    return Peak(float(values[at]), w, b)


def rank_rows(panel: Ranks, constant: Mapping[str, Any], units: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The panel as rows of a long table."""
    for quantity, peaks in panel.peaks.items():
        for name, peak in zip(panel.activations, peaks, strict=True):
            if peak is not None:
                place = {"activation": name, "sigma_w": peak.sigma_w, "sigma_b": peak.sigma_b}
                yield {
                    **constant,
                    **place,
                    "series": f"{quantity}, largest",
                    "value": peak.value,
                    "unit": units.get(quantity, ""),
                }
