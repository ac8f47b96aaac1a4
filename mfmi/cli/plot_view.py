"""Figures drawn in characters, for a terminal at the end of a slow line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mfmi.cli.numbers import number
from mfmi.cli.terminal import can_show
from mfmi.report.figure_data import Curves, Figure, Heat
from mfmi.report.ranks import Ranks

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.report.character_map import CharacterMap
    from mfmi.report.figure_data import Curve
    from mfmi.report.heat_panels import Scale

# From nothing to the largest value; distinguished by how much of the cell is covered, not by colour.
SHADES, SHADES_ASCII = " ·░▒▓█", " .:+%@"
EDGE = ("o", "bold magenta")
BEST = ("*", "bold yellow")
RIDGE = ("+", "bold cyan")
NO_VALUE = ("?", "dim")
UNBOUNDED = ("/", "unbounded")
BAND, BAND_ASCII = "░", ":"
MARKS = "lburm0123456789"
CURVE_MARKS = {"mi_linear": "l", "mi_lower": "-", "mi_upper": "=", "mi_replica": "r", "mi_mean_field": "m"}
HEIGHT, WIDTH, MARGIN = 16, 70, 8
EDGE_POINTS = 400


def draw_figure(figure: Figure, console: Console) -> None:
    """Draw all panels, one below the other."""
    from mfmi.report.figure_words import context_phrases, plain

    console.print(plain(", ".join(context_phrases(figure.context))), style="bold", soft_wrap=True)
    for panel in figure.panels:
        console.print()
        if isinstance(panel, Heat):
            _draw_heat(figure, panel, console)
        elif isinstance(panel, Ranks):
            _draw_ranks(figure, panel, console)
        else:
            _draw_curves(figure, panel, console)


def _unicode(console: Console) -> bool:
    from mfmi.report.character_map import FRAME

    return can_show(console, "".join((*FRAME, SHADES)))


def _draw_heat(figure: Figure, panel: Heat, console: Console) -> None:
    import numpy as np
    from rich.text import Text

    from mfmi.report.character_map import CharacterMap
    from mfmi.report.figure_words import quantity_label, words_title

    unicode = _unicode(console)
    shades = SHADES if unicode else SHADES_ASCII
    width = max(10, min(WIDTH, console.width - MARGIN - 1))
    drawn = CharacterMap(panel.x, panel.y, width, HEIGHT, unicode)
    known = np.isfinite(panel.values)
    colors = _scale(figure, panel)
    share = colors.share(np.where(known, panel.values, colors.low))
    level = np.minimum((share * len(shades)).astype(int), len(shades) - 1)
    unbounded = ~known & (panel.phases == "unbounded")
    glyphs = np.where(known, np.array(list(shades))[level], np.where(unbounded, UNBOUNDED[0], NO_VALUE[0]))
    drawn.fill(glyphs, np.where(known, "", NO_VALUE[1]).astype(object))
    drawn.mark(panel.ridge, panel.y.values, *RIDGE)
    mark, style = EDGE
    for line in panel.edges:
        if len(line.x) == 1:
            drawn.mark(line.x, line.y, mark, style)
            continue
        # As many points as it takes to leave no gap.
        steps = np.linspace(0.0, len(line.x) - 1.0, max(EDGE_POINTS, len(line.x)))
        points = np.arange(len(line.x))
        drawn.mark(np.interp(steps, points, line.x), np.interp(steps, points, line.y), mark, style)
    if panel.best is not None:
        drawn.mark([panel.best[0]], [panel.best[1]], *BEST)
    heading = words_title(panel.words)
    console.print(f"{heading}: " if heading else "", end="", soft_wrap=True)
    console.print(quantity_label(panel.quantity, figure.units).replace("\n", " "), soft_wrap=True)
    for line_of_text in drawn.lines():
        console.print(Text.assemble(*line_of_text), soft_wrap=True)
    legend = Text(f"{'up to ' if colors.cut else ''}{number(colors.low)} {shades} {number(colors.high)}   ")
    if any(len(line.x) for line in panel.edges):
        legend.append(mark, style=style)
        legend.append(" edge of chaos   ")
    if np.isfinite(panel.ridge).any():
        legend.append(RIDGE[0], style=RIDGE[1])
        legend.append(f" largest at each {panel.y.name}   ")
    console.print(legend, soft_wrap=True)
    legend = Text()
    if panel.best is not None:
        legend.append(BEST[0], style=BEST[1])
        x, y, value = panel.best
        legend.append(f" largest: {number(value)} at {panel.x.name} {x:.4g}, {panel.y.name} {y:.4g}")
    if unbounded.any():
        legend.append(f"   {UNBOUNDED[0]} {UNBOUNDED[1]}")
    if not (known | unbounded).all():
        legend.append(f"   {NO_VALUE[0]} no value")
    console.print(legend, soft_wrap=True)


def _draw_band(drawn: CharacterMap, curve: Curve, glyph: str) -> bool:
    """Fill what lies between the bounds of a curve; say whether it has both."""
    import numpy as np

    if not {"mi_lower", "mi_upper"} <= curve.series.keys():
        return False
    low, high = curve.series["mi_lower"], curve.series["mi_upper"]
    good = np.isfinite(low) & np.isfinite(high)
    if good.sum() < 2:
        return False
    x, y = np.meshgrid(drawn.x.cells(drawn.width), drawn.y.cells(drawn.height))
    at = drawn.x.scaled(curve.x[good])
    below, above = (np.interp(drawn.x.scaled(x), at, side[good], np.nan, np.nan) for side in (low, high))
    inside = (y >= below) & (y <= above)
    drawn.mark(x[inside], y[inside], glyph, "")
    return True


def wrapped_signs(signs: Sequence[str], width: int) -> str:
    """Put as many signs of a legend on a line as fit; none is broken."""
    lines = [""]
    for sign in signs:
        longer = f"{lines[-1]}   {sign}" if lines[-1] else sign
        if len(longer) > width and lines[-1]:
            lines.append(sign)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _scale(figure: Figure, panel: Heat) -> Scale:
    from mfmi.report.heat_panels import color_scales

    return color_scales([one for one in figure.panels if isinstance(one, Heat)])[panel.quantity]


def _draw_ranks(figure: Figure, panel: Ranks, console: Console) -> None:
    """A bar an activation for the first quantity, as long as its share of the largest, and numbers for all."""
    from rich.text import Text

    from mfmi.report.figure_words import quantity_name, words_title

    names = figure.choice.quantities
    unit = figure.units.get(names[0], "")
    heading = words_title(panel.words)
    console.print(f"{heading + ': ' if heading else ''}{quantity_name(names[0])} ({unit})", soft_wrap=True)
    block = SHADES[-1] if _unicode(console) else SHADES_ASCII[-1]
    widest = max(map(len, panel.activations))
    numbers = "".join(f"{quantity_name(name, short=True):>19.18}" for name in names)
    room = max(8, min(console.width, WIDTH + MARGIN) - widest - 19 * len(names) - 20)
    console.print(f"{'':<{widest}}{numbers}  {'sigma_w':>8}{'sigma_b':>8}", style="bold", soft_wrap=True)
    best = max((peak.value for peak in panel.peaks[names[0]] if peak is not None), default=0.0)
    for row, activation in enumerate(panel.activations):
        peaks = [panel.peaks[name][row] for name in names]
        line = Text(f"{activation:<{widest}}")
        line.append("".join(f"{number(None if peak is None else peak.value):>19}" for peak in peaks))
        first = peaks[0]
        if first is not None:
            length = round(room * first.value / best) if best > 0.0 else 0
            line.append(f"  {first.sigma_w:>8.4g}{first.sigma_b:>8.4g}  {block * length}")
        console.print(line, soft_wrap=True)


def _draw_curves(figure: Figure, panel: Curves, console: Console) -> None:
    import numpy as np
    from rich.text import Text

    from mfmi.report.axes import FigureAxis
    from mfmi.report.character_map import CharacterMap
    from mfmi.report.curve_panels import decays, value_range
    from mfmi.report.figure_words import quantity_name, words_title

    names = figure.choice.quantities
    several = len(panel.curves) > 1
    shown = names[:1] if several else names
    low, high = value_range(figure, shown)
    decades = np.geomspace(max(low, 1e-5 * high), high, 5) if decays(figure, shown) else np.linspace(0.0, high, 5)
    width = max(10, min(WIDTH, console.width - MARGIN - 1))
    drawn = CharacterMap(panel.x, FigureAxis("", decades), width, HEIGHT, _unicode(console))
    legend = []
    banded = not several and _draw_band(drawn, panel.curves[0], BAND if _unicode(console) else BAND_ASCII)
    if banded:
        legend.append(f"{BAND if _unicode(console) else BAND_ASCII} lower to upper bound")
    for rank, curve in enumerate(panel.curves):
        for place, name in enumerate(reversed(shown)):
            glyph = str(rank) if several else CURVE_MARKS.get(name, MARKS[place])
            values, x = curve.series[name], panel.x.cells(3 * width)
            good = np.isfinite(values)
            if good.sum() < 2:
                drawn.mark(curve.x[good], values[good], glyph, "")
                continue
            inside = x[(x >= curve.x[good][0]) & (x <= curve.x[good][-1])]
            at = np.interp(panel.x.scaled(inside), panel.x.scaled(curve.x[good]), values[good])
            drawn.mark(inside, at, glyph, "")
            legend.append(
                f"{glyph} {figure.choice.by} {curve.by:g}" if several else f"{glyph} {quantity_name(name, short=True)}"
            )
    for edge in panel.edges:
        drawn.mark(np.full(HEIGHT, edge), drawn.y.cells(HEIGHT), *EDGE)
    unit = figure.units.get(names[0], "")
    heading = words_title(panel.words)
    what = (
        quantity_name(names[0]) if several else "information" if names[0].startswith("mi_") else quantity_name(names[0])
    )
    console.print(f"{heading}: {what} ({unit})" if heading else f"{what} ({unit})", soft_wrap=True)
    for line in drawn.lines():
        console.print(Text.assemble(*line), soft_wrap=True)
    if len(panel.edges):
        legend.append(f"{EDGE[0]} edge of chaos")
    console.print(wrapped_signs(legend, console.width), soft_wrap=True)
