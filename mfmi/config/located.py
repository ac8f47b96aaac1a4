"""Errors that say where: file, line, column, the path of the key, the line itself and a caret."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from mfmi.errors import ConfigError

# The line breaks of YAML 1.1 scanners, so that line numbers agree with theirs.
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_WIDEST = 160
_MOST_ERRORS = 500


@dataclass(frozen=True)
class Source:
    """A text that errors can point into: the config file, or one ``--set`` argument.

    Attributes
    ----------
    label
        What stands before the line number in an error.
    text
        The text whole.
    from_command_line
        Whether the user typed it, rather than a file saying it.
    rank
        Where its errors stand among those of other sources.
    """

    label: str
    text: str
    from_command_line: bool = False
    rank: int = 0

    @cached_property
    def _lines(self) -> list[str]:
        return _BREAK.split(self.text)

    def line(self, number: int) -> str:
        """Return line `number`, counted from 1; empty past the end."""
        return self._lines[number - 1] if number <= len(self._lines) else ""

    def position(self, offset: int) -> "Position":
        """Return where the character at `offset` stands."""
        line, start = 1, 0
        for found in _BREAK.finditer(self.text, 0, offset):
            line, start = line + 1, found.end()
        return Position(self, line, offset - start + 1)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a source; line and column count from 1."""

    source: Source
    line: int
    column: int


@dataclass(frozen=True)
class LocatedError:
    """One thing wrong with a config.

    Attributes
    ----------
    file, line, column
        Where; line and column count from 1.
    path
        The key, such as ``sweep.sigma_w.start``; empty for an error of the whole text.
    message
        What is wrong.
    suggestion
        What was probably meant, or None.
    source_line
        The line it is in.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    suggestion: str | None
    source_line: str

    def __str__(self) -> str:
        """``file:line:col: error: path: message (did you mean ...?)``, then the line, if any, and a caret below it."""
        where = f"{self.file}:{self.line}:{self.column}: error: "
        path = f"{self.path}: " if self.path else ""
        hint = f" (did you mean {self.suggestion}?)" if self.suggestion else ""
        headline = f"{where}{path}{self.message}{hint}"
        if not self.source_line.strip():
            return headline
        return "\n".join([headline, *_excerpt(self.source_line, self.column - 1)])


class LocatedConfigError(ConfigError):
    """Everything wrong with a config, in the order of its lines.

    Attributes
    ----------
    errors : list of LocatedError
    """

    errors: list[LocatedError]

    def __init__(self, errors: Iterable[LocatedError]) -> None:
        self.errors = list(errors)
        super().__init__("\n".join(map(str, self.errors)))

    def __reduce__(self) -> tuple[type["LocatedConfigError"], tuple[list[LocatedError]]]:
        return type(self), (self.errors,)


@dataclass
class Report:
    """Collects errors, so that one pass reports all of them."""

    _found: list[tuple[tuple[int, int, int], LocatedError]] = field(default_factory=list)
    _unread: int = 0

    def add(self, at: Position, path: str, message: str, suggestion: str | None = None) -> None:
        """Note an error at `at`."""
        if len(self._found) >= _MOST_ERRORS:
            self._unread += 1
            return
        source = at.source
        error = LocatedError(source.label, at.line, at.column, path, message, suggestion, source.line(at.line))
        self._found.append(((source.rank, at.line, at.column), error))

    @property
    def full(self) -> bool:
        """Whether further errors are only counted, so that costly advice is not worth seeking."""
        return len(self._found) >= _MOST_ERRORS

    def __len__(self) -> int:
        return len(self._found) + self._unread

    def error(self) -> LocatedConfigError:
        """Return all that was noted, sorted by source, line and column, as one exception to raise."""
        errors = [error for _, error in sorted(self._found, key=lambda pair: pair[0])]
        if self._unread:
            last = errors[-1]
            errors[-1] = replace(last, message=f"{last.message}; {self._unread} more errors are not shown")
        return LocatedConfigError(errors)


def _excerpt(line: str, column: int) -> tuple[str, str]:
    """Return the line and a caret under its character `column`; of a long line the part around it."""
    if len(line) > _WIDEST:
        start = max(0, min(column - _WIDEST // 2, len(line) - _WIDEST))
        stop = start + _WIDEST
        head, tail = "…" if start else "", "…" if stop < len(line) else ""
        line, column = head + line[start:stop] + tail, column - start + len(head)
    # A tab or control character would move the caret or the terminal.
    line = "".join(" " if c == "\t" else c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line[:column])
    width -= sum(1 for c in line[:column] if unicodedata.combining(c))
    return line, " " * (width + max(0, column - len(line))) + "^"
