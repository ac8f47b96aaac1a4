"""Kinds of value in a config: each parses a node, reports what is wrong, and gives its JSON Schema."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mfmi.arguments.ranges import Range
from mfmi.config.located import Position, Report
from mfmi.config.yaml import ListNode, MappingNode, Node, ScalarNode, child_path, describe
from mfmi.errors import likeliest


class Kind(Protocol):
    """One place in a config."""

    def read(self, node: Node, path: str, report: Report) -> Any:
        """Return the value of `node`, or None with the reason in `report`."""
        ...

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what `read` accepts."""
        ...


def _number_in(node: Node) -> float | int | None:
    """Return the number that `node` holds, exact if it is whole, or None."""
    if not isinstance(node, ScalarNode) or isinstance(node.value, bool | str) or node.value is None:
        return None
    if isinstance(node.value, int):
        try:
            float(node.value)
        except OverflowError:
            return math.inf if node.value > 0 else -math.inf
    return node.value


@dataclass(frozen=True)
class Number:
    """A finite number.

    Attributes
    ----------
    within : the numbers that are taken.
    refusal : what to say of a number too low that is not positive, in place of the bound.
    """

    within: Range
    refusal: str = ""

    def read(self, node: Node, path: str, report: Report) -> float | None:
        """Return the number."""
        number = _number_in(node)
        if number is not None and self.within.objection(number) is None:
            return float(number) + 0.0  # no negative zero
        report.add(node.at, path, f"{self._demand(number)}, got {describe(node)}")
        return None

    def _demand(self, number: float | None) -> str:
        """Say what a number that is not taken should have been."""
        if number is None:
            return "expected a number"
        if not math.isfinite(number):
            return "must be finite"
        if number > self.within.most:
            return f"must be at most {self.within.most:g}"
        if number <= 0.0 and self.refusal:
            return self.refusal
        if number > 0.0 and self.within.zero:
            return f"must be 0 or at least {self.within.least:g}"
        return f"must be at least {self.within.lowest:g}"

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        bounds = {"maximum": self.within.most} | ({} if self.within.zero else {"minimum": self.within.least})
        schema: dict[str, Any] = {"type": "number"}
        schema |= {name: bound for name, bound in bounds.items() if math.isfinite(bound)}
        return schema | ({"anyOf": [{"const": 0}, {"minimum": self.within.least}]} if self.within.zero else {})


@dataclass(frozen=True)
class NumberOrWord:
    """A number, or one of a few words in its place.

    Attributes
    ----------
    number : the numbers that are taken.
    words : the words.
    """

    number: Number
    words: tuple[str, ...]

    def read(self, node: Node, path: str, report: Report) -> float | str | None:
        """Return the number or the word."""
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            return self.number.read(node, path, report)
        if node.value in self.words:
            return node.value
        hint = None if report.full else likeliest(node.value, self.words)
        report.add(node.at, path, f"expected a number or {' or '.join(self.words)}, got {describe(node)}", hint)
        return None

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"anyOf": [self.number.json_schema(), {"enum": list(self.words)}]}


@dataclass(frozen=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int
    most: int

    def read(self, node: Node, path: str, report: Report) -> int | None:
        """Return the number."""
        number = _number_in(node)
        if number is None or not math.isfinite(number) or number != int(number):
            report.add(node.at, path, f"expected a whole number, got {describe(node)}")
            return None
        if not self.least <= number <= self.most:
            bound = f"at least {self.least:,}" if number < self.least else f"at most {self.most:,}"
            report.add(node.at, path, f"must be {bound}, got {describe(node)}")
            return None
        return int(number)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Text:
    """A text that is not empty, such as a path."""

    def read(self, node: Node, path: str, report: Report) -> str | None:
        """Return the text."""
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value and node.value.isprintable():
            return node.value
        report.add(node.at, path, f"expected a text, got {describe(node)}")
        return None

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class Choice:
    """One of a few words.

    Attributes
    ----------
    options : the words.
    """

    options: tuple[str, ...]

    def read(self, node: Node, path: str, report: Report) -> str | None:
        """Return the word."""
        if isinstance(node, ScalarNode) and node.value in self.options:
            return str(node.value)
        word = node.text if isinstance(node, ScalarNode) else ""
        wanted = " or ".join(self.options) if len(self.options) < 3 else f"one of {', '.join(self.options)}"
        hint = None if report.full else likeliest(word, self.options)
        report.add(node.at, path, f"expected {wanted}, got {describe(node)}", hint)
        return None

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"enum": list(self.options)}


@dataclass(frozen=True)
class Constant:
    """The one value that is accepted, a whole number."""

    value: int

    def read(self, node: Node, path: str, report: Report) -> int | None:
        """Return the value."""
        if _number_in(node) == self.value:
            return self.value
        report.add(node.at, path, f"must be {self.value}, got {describe(node)}")
        return None

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"const": self.value}


@dataclass(frozen=True)
class Entry:
    """A value that was read, and where.

    Attributes
    ----------
    key : the key's place.
    node : the value as written.
    value : what it means.
    """

    key: Position
    node: Node
    value: Any


@dataclass(frozen=True)
class Field:
    """A key of a `Record`: what it holds, whether it must be there, one line about it, and what holds without it."""

    kind: Kind
    about: str
    required: bool = False
    default: Any = None


@dataclass(frozen=True)
class Record:
    """A mapping with known keys.

    Attributes
    ----------
    fields : what each key holds.
    elsewhere : full paths of keys that users look for here, by the word they write.
    rules : further demands, for the JSON Schema only.
    missing : why keys that users look for here do not exist, by the word they write.
    """

    fields: Mapping[str, Field]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def read(self, node: Node, path: str, report: Report, at: Position | None = None) -> dict[str, Entry] | None:
        """Return the valid entries in the order of the text; `at` is where a missing key is reported."""
        names = tuple(self.fields)
        if not isinstance(node, MappingNode):
            report.add(node.at, path, f"expected a mapping with the keys {', '.join(names)}, got {describe(node)}")
            return None
        entries: dict[str, Entry] = {}
        meant: set[str | None] = set()
        for key, child in node.entries:
            inner = child_path(path, key.text)
            found = self.fields.get(key.text)
            if found is None:
                meant.add(self._report_unknown(key, inner, report))
                continue
            kind = found.kind
            if isinstance(kind, Record):
                value: Any = kind.read(child, inner, report, key.at)
            else:
                value = kind.read(child, inner, report)
            if value is not None:
                entries[key.text] = Entry(key.at, child, value)
        for name, wanted in self.fields.items():
            # A misspelt key is reported as such, not as a missing one too.
            if wanted.required and node.get(name) is None and name not in meant:
                report.add(at or node.at, child_path(path, name), f"missing: {wanted.about}")
        return entries

    def _report_unknown(self, key: ScalarNode, path: str, report: Report) -> str | None:
        if report.full:
            report.add(key.at, path, "unknown key")
            return None
        if key.text in self.missing:
            report.add(key.at, path, f"unknown key: {self.missing[key.text]}")
            return None
        hint = self.elsewhere.get(key.text) or likeliest(key.text, self.fields)
        message = "unknown key" if hint else f"unknown key; the keys here are {', '.join(self.fields)}"
        report.add(key.at, path, message, hint)
        return hint

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        properties = {}
        for name, found in self.fields.items():
            default = {} if found.default is None else {"default": found.default}
            properties[name] = found.kind.json_schema() | {"description": found.about} | default
        required = [name for name, found in self.fields.items() if found.required]
        schema = {"type": "object", "properties": properties, "additionalProperties": False}
        return schema | ({"required": required} if required else {}) | dict(self.rules)


@dataclass(frozen=True)
class Several:
    """A list, of which a single value is the short form.

    Attributes
    ----------
    kind : what each entry is.
    bare : whether a single value may stand for the list of it.
    empty : whether the list may be empty.
    mappings : whether an entry may be a mapping, which then may stand for the list of it too.
    """

    kind: Kind
    bare: bool = True
    empty: bool = False
    mappings: bool = False

    def read(self, node: Node, path: str, report: Report) -> list[Entry] | None:
        """Return the valid entries, or None if there is no list."""
        if not isinstance(node, ListNode):
            none = isinstance(node, ScalarNode) and node.value is None
            if not self.bare or none or (isinstance(node, MappingNode) and not self.mappings):
                report.add(node.at, path, f"expected a list, got {describe(node)}")
                return None
            value = self.kind.read(node, path, report)
            return None if value is None else [Entry(node.at, node, value)]
        if not node.items and not self.empty:
            report.add(node.at, path, "the list is empty")
            return None
        values = [self.kind.read(item, f"{path}[{i}]", report) for i, item in enumerate(node.items)]
        pairs = zip(node.items, values, strict=True)
        return [Entry(item.at, item, value) for item, value in pairs if value is not None]

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        one = self.kind.json_schema()
        many = {"type": "array", "items": one} | ({} if self.empty else {"minItems": 1})
        return {"anyOf": [one, many]} if self.bare else many
