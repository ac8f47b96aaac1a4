"""Values of an axis as a config gives them: one, a list, or a range."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mfmi.config.kinds import Choice, Entry, Field, Kind, NumberOrWord, Record, Several, Whole
from mfmi.config.located import Position, Report
from mfmi.config.values import Listed, Spaced, Values
from mfmi.config.yaml import ListNode, MappingNode, Node, ScalarNode, child_path, describe

# Beyond 2^53 an index is no longer exact as a float64.
MOST_VALUES = 10**12


@dataclass(frozen=True)
class AxisValues:
    """The values of an axis as read.

    Attributes
    ----------
    values : the values.
    constant : whether a bare value was given.
    entries : the values of a list with their places.
    """

    values: Values
    constant: bool
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class AxisKind:
    """Values of a sweep axis: one, a list, ``{values: [...]}`` or, of numbers, ``{start, stop, num, spacing}``.

    Attributes
    ----------
    kind : what each value is.
    spread : turns a range into the values it stands for, or reports why it cannot; None for words.
    mappings : whether a value may be a mapping itself, of other keys than ``values``.
    """

    kind: Kind
    spread: Callable[[Spaced, Position, str, Report], Values | None] | None = None
    mappings: bool = False

    def read(self, node: Node, path: str, report: Report) -> AxisValues | None:
        """Return the values."""
        if not isinstance(node, MappingNode) or (self.mappings and node.get("values") is None):
            return self._listed(node, path, report)
        # Judged by its keys, so that errors speak of the form that was meant.
        if self.spread is not None and node.get("values") is None:
            return self._spaced(node, path, report)
        found = Record({"values": Field(Several(self.kind, bare=False), "the list of values", required=True)})
        entries = found.read(node, path, report)
        if not entries or len(node.entries) != 1:
            return None
        return _listed(entries["values"].value, node.get("values"))

    def _listed(self, node: Node, path: str, report: Report) -> AxisValues | None:
        if not isinstance(node, ListNode):
            if self.spread is not None and _is_short_form(node):
                forms = "a number, a list such as [1, 1.5] or a range such as {start: 0.5, stop: 3, num: 101}"
                report.add(node.at, path, f"expected {forms}, got {describe(node)}")
                return None
            value = self.kind.read(node, path, report)
            return None if value is None else AxisValues(Listed((value,)), constant=True)
        return _listed(Several(self.kind).read(node, path, report), node)

    def _spaced(self, node: MappingNode, path: str, report: Report) -> AxisValues | None:
        before = len(report)
        entries = self._range().read(node, path, report) or {}
        if len(report) > before or self.spread is None:
            return None
        start, stop, num = (entries[name].value for name in ("start", "stop", "num"))
        logarithmic = "spacing" in entries and entries["spacing"].value == "log"
        for name in ("start", "stop"):
            if logarithmic and entries[name].value <= 0:
                message = f"log spacing needs both ends above 0, got {describe(entries[name].node)}"
                report.add(entries[name].node.at, child_path(path, name), message)
        if start > stop:
            report.add(node.at, path, f"the range is empty: start {start:g} is above stop {stop:g}")
        elif start == stop and num > 1:
            report.add(node.at, path, f"start and stop are both {start:g}, so num must be 1")
        elif start < stop and num == 1:
            report.add(node.at, path, "num must be at least 2: both ends are values of the range")
        if len(report) > before:
            return None
        values = self.spread(Spaced(float(start), float(stop), num, logarithmic), node.at, path, report)
        return None if values is None else AxisValues(values, constant=False)

    def _range(self) -> Record:
        end = self.kind.number if isinstance(self.kind, NumberOrWord) else self.kind
        return Record(
            {
                "start": Field(end, "the first value", required=True),
                "stop": Field(end, "the last value", required=True),
                "num": Field(Whole(1, MOST_VALUES), "how many values, both ends included", required=True),
                "spacing": Field(Choice(("linear", "log")), "even steps, or even ratios", default="linear"),
            },
            elsewhere={"min": "start", "max": "stop", "end": "stop", "n": "num", "count": "num", "scale": "spacing"},
        )

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        one = self.kind.json_schema()
        many = {"type": "array", "items": one, "minItems": 1}
        values = Record({"values": Field(Several(self.kind, bare=False), "the list of values", required=True)})
        forms = [one, many, values.json_schema()]
        return {"anyOf": forms + ([self._range().json_schema()] if self.spread else [])}


def _is_short_form(node: Node) -> bool:
    """Say whether numbers are written as `mfmi phase` takes them: 0.5:3:101, or 1,1.5."""
    return isinstance(node, ScalarNode) and isinstance(node.value, str) and any(mark in node.value for mark in ":,")


def _listed(entries: list[Entry] | None, node: Node | None) -> AxisValues | None:
    """Return the values of a list, or None if any of them is wrong."""
    if not entries or not isinstance(node, ListNode) or len(entries) < len(node.items):
        return None
    return AxisValues(Listed(tuple(entry.value for entry in entries)), False, tuple(entries))


def any_range(values: Spaced, at: Position, path: str, report: Report) -> Values:
    """Accept every range."""
    return values


def whole_range(values: Spaced, at: Position, path: str, report: Report) -> Values | None:
    """Accept a range of whole numbers; a short one, since it is written out."""
    if values.num > values.stop:  # more values than whole numbers
        report.add(at, path, f"{values.num:,} values from {values.start:g} to {values.stop:g} are not whole numbers")
        return None
    numbers = values.at(np.arange(values.num, dtype=np.int64))
    whole = np.round(numbers)
    # Even ratios of whole numbers come out whole up to rounding only.
    wrong = np.flatnonzero(np.abs(numbers - whole) > 1e-9 * whole)
    if len(wrong):
        report.add(at, path, f"the range holds {numbers[wrong[0]]:g}, which is not a whole number")
        return None
    return Listed(tuple(int(number) for number in whole))
