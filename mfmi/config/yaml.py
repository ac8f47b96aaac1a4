"""YAML 1.2 text to a tree that knows where every value stands.

PyYAML scans and parses; what a scalar means (the core schema of YAML 1.2, not 1.1: ``1e-3`` is a number and ``on`` a
word) and how the tree is built are decided here. Nothing is ever constructed from a tag, and the size of the tree is
limited with aliases written out, so a small text cannot stand for a large one.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from mfmi.config.located import Position, Report, Source
from mfmi.errors import shorten

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 20

Value = None | bool | int | float | str

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_NULL = re.compile(r"(?:~|null|Null|NULL)?\Z")
_TRUE = re.compile(r"(?:true|True|TRUE)\Z")
_FALSE = re.compile(r"(?:false|False|FALSE)\Z")
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_BASED = re.compile(r"0(?:o[0-7]{1,99}|x[0-9a-fA-F]{1,99})\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)\Z")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)\Z")


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value: `value` as YAML 1.2 reads it, `text` as written."""

    at: Position
    value: Value
    text: str
    size: int = 1
    height: int = 0


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list; `size` counts the values in it, `height` the levels below."""

    at: Position
    items: tuple["Node", ...]
    size: int
    height: int


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys and values in the order of the text, every key once."""

    at: Position
    entries: tuple[tuple[ScalarNode, "Node"], ...]
    size: int
    height: int

    def get(self, key: str) -> "Node | None":
        """Return the value of `key`, or None where it is missing."""
        return next((value for name, value in self.entries if name.text == key), None)


Node = ScalarNode | ListNode | MappingNode


def describe(node: Node) -> str:
    """Say what a node is: a value as written, or "a list"."""
    match node:
        case ListNode():
            return "a list"
        case MappingNode():
            return "a mapping"
        case ScalarNode(value=None):
            return "nothing"
        case ScalarNode(value=str()):
            return f"the text {shorten(node.text)}"
    return node.text if len(node.text) <= 40 else node.text[:39] + "…"


def resolve(text: str) -> Value:
    """Return the value of a plain scalar by the core schema of YAML 1.2."""
    if _NULL.match(text):
        return None
    if _TRUE.match(text) or _FALSE.match(text):
        return text[0] in "tT"
    if _INTEGER.match(text):
        # Past float's range the exact value no longer matters, and int() would refuse the longest.
        return int(text) if len(text) < 400 else float(text)
    if _BASED.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    if signed := _INFINITE.match(text):
        return float(signed[1] + "inf")
    return float("nan") if _NAN.match(text) else text


def decode(data: bytes, label: str) -> str:
    """Return the text of a config file: UTF-8, or UTF-16 and UTF-32 where a byte order mark says so.

    Raises
    ------
    LocatedConfigError
        More than `MAX_BYTES`, or bytes that are no text in that encoding.
    """
    report = Report()
    if len(data) > MAX_BYTES:
        report.add(Position(Source(label, ""), 1, 1), "", f"larger than {MAX_BYTES:,} bytes, so hardly a config")
        raise report.error()
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace")
        at = Source(label, before).position(len(before))
        report.add(at, "", f"not {encoding.upper()} text: byte 0x{data[error.start]:02x} at offset {error.start}")
    raise report.error()


# UTF-32's mark begins with UTF-16's, so it is looked for first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class _StopReading(Exception):
    """The text cannot be read further: where, under which key, and why."""


def read(source: Source, report: Report, path: str = "", offset: int = 0) -> Node | None:
    """Read the one document in `source`.

    Parameters
    ----------
    source
        The text.
    report
        Receives what is wrong.
    path
        The key under which the document stands, for messages.
    offset
        Where in the text the document begins.

    Returns
    -------
    Node or None
        None where the text is not YAML, or too large or too deep; the report then says why.
    """
    text = source.text[offset:]
    if len(text) > MAX_BYTES:
        report.add(Position(source, 1, 1), path, f"larger than {MAX_BYTES:,} bytes, so hardly a config")
        return None
    if bad := _FORBIDDEN.search(text):
        at = source.position(offset + bad.start())
        report.add(at, path, f"not valid YAML: character U+{ord(bad[0]):04X} may not stand in it")
        return None
    try:
        return _Composer(source, report, text, offset).document(path)
    except _StopReading as stop:
        report.add(*stop.args)
    except yaml.YAMLError as error:
        if earlier := _stop_before(error, source, text, path, offset):
            report.add(*earlier.args)
        else:
            _report_syntax(error, source, report, path, offset)
    return None


def _stop_before(error: yaml.YAMLError, source: Source, text: str, path: str, offset: int) -> _StopReading | None:
    """Return what stops the reading of `text` ahead of the place where the parser gave up, if anything does.

    A parser looks ahead: one with a limit of its own on open levels reaches it before it hands on the levels below.
    """
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return None
    try:
        _Composer(source, Report(), text[: mark.index], offset).document(path)
    except _StopReading as stop:
        return stop
    except yaml.YAMLError:
        pass
    return None


def _report_syntax(error: yaml.YAMLError, source: Source, report: Report, path: str, offset: int) -> None:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        report.add(Position(source, 1, 1), path, f"not valid YAML: {' '.join(str(error).split())}")
        return
    began, context = getattr(error, "context_mark", None), getattr(error, "context", None)
    end = len(source.text.rstrip()) - offset
    if began is not None and began.index < end <= mark.index:
        mark = began  # what has no end is found where it begins, not at the end of the text
    at = source.position(offset + max(0, min(mark.index, end)))
    line = source.line(at.line)
    if "\t" in line[: at.column] and not line[: at.column].strip():
        report.add(at, path, "not valid YAML: a tab may not indent, use spaces")
        return
    problem = getattr(error, "problem", None) or "cannot be read"
    if context and began is not None and began.line != mark.line:
        problem += f" ({context} that begins on line {began.line + 1})"
    elif context:
        problem += f" ({context})"
    report.add(at, path, f"not valid YAML: {problem}")


def _position(source: Source, line: int, column: int, offset: int) -> Position:
    """Place a scanner's mark, from 0, in a document that begins at `offset` of the source's first line."""
    return Position(source, line + 1, column + 1 + (offset if line == 0 else 0))


class _Composer:
    """Builds the tree from the parser's events."""

    def __init__(self, source: Source, report: Report, text: str, offset: int) -> None:
        self._source, self._report, self._offset = source, report, offset
        self._loader = _LOADER(text)
        self._anchors: dict[str, Node | None] = {}
        self._nodes = 0

    def document(self, path: str) -> Node:
        self._next()
        if isinstance(self._loader.peek_event(), yaml.StreamEndEvent):
            return ScalarNode(Position(self._source, 1, 1 + self._offset), None, "")
        self._next()
        node = self._node(path, 0)
        self._next()
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            self._stop(after, path, "a second document begins here, a config is one")
        return node

    def _next(self) -> Any:
        return self._loader.get_event()

    def _at(self, event: Any) -> Position:
        mark = event.start_mark
        return _position(self._source, mark.line, mark.column, self._offset)

    def _stop(self, event: Any, path: str, message: str) -> NoReturn:
        raise _StopReading(self._at(event), path, message)

    def _node(self, path: str, depth: int) -> Node:
        event = self._next()
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._stop(event, path, f"more than {MAX_NODES:,} keys and values; a range {{start, stop, num}} is shorter")
        if depth > MAX_DEPTH:
            self._stop(event, "", f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path, depth)
        if event.tag is not None:
            self._report.add(self._at(event), path, f"the tag {shorten(event.tag)} means nothing in a config")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0]
            node = ScalarNode(self._at(event), resolve(event.value) if plain else event.value, event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._list(event, path, depth)
        else:
            node = self._mapping(event, path, depth)
        if node.size > MAX_NODES:
            self._stop(event, path, f"more than {MAX_NODES:,} values with its aliases written out")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, path: str, depth: int) -> Node:
        name = event.anchor
        if name not in self._anchors:
            self._stop(event, path, f"the alias *{name} has no anchor &{name} before it")
        node = self._anchors[name]
        if node is None:
            self._stop(event, path, f"the alias *{name} contains itself")
        if depth + node.height > MAX_DEPTH:
            self._stop(event, "", f"nested more than {MAX_DEPTH} levels deep")
        return node

    def _children(self, end: type[yaml.Event]) -> Iterator[None]:
        while not isinstance(self._loader.peek_event(), end):
            yield
        self._next()

    def _list(self, event: Any, path: str, depth: int) -> ListNode:
        items: list[Node] = []
        for _ in self._children(yaml.SequenceEndEvent):
            items.append(self._node(f"{path}[{len(items)}]", depth + 1))
        return ListNode(self._at(event), tuple(items), *extent(items))

    def _mapping(self, event: Any, path: str, depth: int) -> MappingNode:
        entries: dict[str, tuple[ScalarNode, Node]] = {}
        for _ in self._children(yaml.MappingEndEvent):
            key = self._node(path, depth + 1)
            inner = child_path(path, key.text) if isinstance(key, ScalarNode) else path
            value = self._node(inner, depth + 1)
            if not isinstance(key, ScalarNode):
                self._report.add(key.at, path, f"a key must be a word, got {describe(key)}")
            elif key.text in entries:
                first = entries[key.text][0].at.line
                self._report.add(key.at, inner, f"duplicate key, first given on line {first}")
            else:
                entries[key.text] = (key, value)
        values = [value for _, value in entries.values()]
        return MappingNode(self._at(event), tuple(entries.values()), *extent(values))


def child_path(path: str, key: str) -> str:
    """Return the path of `key` inside `path`, fit for a message."""
    name = key if len(key) <= 40 and key.isprintable() else shorten(key)
    return f"{path}.{name}" if path else name


def extent(nodes: list[Node]) -> tuple[int, int]:
    """Return size and height of a collection of `nodes`."""
    return 1 + sum(node.size for node in nodes), 1 + max((node.height for node in nodes), default=0)
