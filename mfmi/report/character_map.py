"""Maps made of characters: cells with a frame, ticks and labels, as lines of styled text that any terminal can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.report.axes import FigureAxis, ticks

# A line is a sequence of (text, style); styles are names such as "bold" that the caller's terminal knows.
Line = list[tuple[str, str]]

FRAME, FRAME_ASCII = ("│", "└", "─", "┬"), ("|", "+", "-", "+")
_LABEL = 7


@dataclass
class CharacterMap:
    """Cells over two axes, drawn from top to bottom.

    Attributes
    ----------
    x, y : what runs to the right and upwards.
    width, height : number of cells along each.
    unicode : whether the terminal shows more than ASCII.
    glyphs, styles : shape (height, width), row 0 at the bottom.
    """

    x: FigureAxis
    y: FigureAxis
    width: int
    height: int
    unicode: bool = True
    glyphs: NDArray[np.str_] = field(init=False)
    styles: NDArray[np.object_] = field(init=False)

    def __post_init__(self) -> None:
        self.glyphs = np.full((self.height, self.width), " ", dtype="<U1")
        self.styles = np.full((self.height, self.width), "", dtype=object)

    def fill(self, glyphs: NDArray[np.str_], styles: NDArray[np.object_]) -> None:
        """Draw values on the grid of the two axes, shape (len(y), len(x)), each over the cells nearest to it."""
        at = np.ix_(self.y.nearest(self.y.cells(self.height)), self.x.nearest(self.x.cells(self.width)))
        self.glyphs, self.styles = glyphs[at].astype("<U1"), styles[at]

    def mark(self, x: ArrayLike, y: ArrayLike, glyph: str, style: str) -> None:
        """Put a sign on points; those outside are left out."""
        column, row = self.x.cell_of(x, self.width), self.y.cell_of(y, self.height)
        inside = (column >= 0) & (row >= 0)
        self.glyphs[row[inside], column[inside]] = glyph
        self.styles[row[inside], column[inside]] = style

    def lines(self) -> list[Line]:
        """The map with its frame, ticks and labels, from top to bottom."""
        side, corner, along, tick = FRAME if self.unicode else FRAME_ASCII
        places = ticks(self.y, max(2, self.height // 4))
        labels = dict(zip(self.y.cell_of(places, self.height).tolist(), places, strict=True))
        drawn: list[Line] = [[(f"{self.y.name:>{_LABEL}}", "")]] if self.y.name else []
        for row in reversed(range(self.height)):
            label = f"{labels[row]:.3g}" if row in labels else ""
            drawn.append([(f"{label:>{_LABEL}}{side}", ""), *_runs(self.glyphs[row], self.styles[row])])
        return [*drawn, *self._foot(corner, along, tick)]

    def _foot(self, corner: str, along: str, tick: str) -> list[Line]:
        rule, numbers = [along] * self.width, [" "] * (self.width + _LABEL)
        places = ticks(self.x, max(2, self.width // 10))
        free = 0
        for column, place in zip(self.x.cell_of(places, self.width).tolist(), places, strict=True):
            text = f"{place:.3g}"
            start = max(0, column - len(text) // 2)
            if column < 0 or start < free or start + len(text) > self.width + _LABEL:
                continue
            rule[column] = tick
            numbers[start : start + len(text)] = text
            free = start + len(text) + 1
        margin = " " * (_LABEL + 1)
        below = f"{''.join(numbers).rstrip()}"
        name = f"{self.x.name:>{self.width}}"
        return [[(" " * _LABEL + corner + "".join(rule), "")], [(margin + below, "")], [(margin + name, "")]]


def _runs(glyphs: Sequence[str] | NDArray[np.str_], styles: Sequence[str] | NDArray[np.object_]) -> Line:
    """Neighbours of one style as one piece of text."""
    line: Line = []
    for glyph, style in zip(glyphs, styles, strict=True):
        if line and line[-1][1] == style:
            line[-1] = (line[-1][0] + str(glyph), style)
        else:
            line.append((str(glyph), str(style)))
    return line
