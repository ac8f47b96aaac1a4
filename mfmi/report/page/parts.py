"""The parts of a page, before it is a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mfmi.report.axes import FigureAxis, axis_ticks
from mfmi.report.figure_choice import MOST_CURVES

# Ticks along an axis of a page, at most.
_TICKS = 9


@dataclass(frozen=True)
class Page:
    """A page before it is a document.

    Attributes
    ----------
    title : name of the file, or another heading.
    summary : sentences about the rows, for the head of the page.
    content : what the scripts of the page read; numbers, texts, lists and mappings.
    packed : the columns, as of `Packer.text`.
    notes : what was left out or rounded, and how to see it.
    findings : of an audit, worst first.
    origin : provenance of the file, None where it has none.
    """

    title: str
    summary: tuple[str, ...]
    content: Mapping[str, Any]
    packed: str
    notes: tuple[str, ...]
    findings: tuple[str, ...] = field(default=())
    origin: Mapping[str, Any] | None = field(default=None)


def spread(count: int, most: int = MOST_CURVES) -> list[int]:
    """At most so many of the places 0 to count - 1, both ends among them."""
    return [int(place) for place in np.unique(np.linspace(0, count - 1, min(count, most)).round())]


def number_axis(axis: FigureAxis, label: str, short: str) -> dict[str, Any]:
    """An axis of numbers, as the scripts of the page read it."""
    at = axis_ticks(axis, _TICKS) if axis.logarithmic or axis.name in ("depth", "layer", "step") else None
    return {
        "name": axis.name,
        "label": label,
        "short": short,
        "values": axis.values.tolist(),
        "borders": axis.borders.tolist(),
        "logarithmic": axis.logarithmic,
        "ticks": None if at is None else at.tolist(),
        "spread": spread(len(axis)),
    }


def word_axis(name: str, label: str, words: Sequence[str]) -> dict[str, Any]:
    """An axis of words, each with a curve or a place in a menu."""
    return {"name": name, "label": label, "short": label, "words": list(words), "spread": spread(len(words))}
