"""Curves along one axis: the sandwich as a band, the replica value as a line, in colours for every colour vision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.report.axes import axis_ticks
from mfmi.report.figure_data import Curve, Curves, Figure
from mfmi.report.figure_words import SHORT_AXES, number, quantity_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOWER, UPPER, LINEAR, REPLICA, MEAN_FIELD = "mi_lower", "mi_upper", "mi_linear", "mi_replica", "mi_mean_field"

# Okabe and Ito's colours, and one style for each quantity so that nothing hangs on colour alone.
STYLES: dict[str, dict[str, Any]] = {
    LINEAR: {"color": "#0072B2", "ls": "-"},
    REPLICA: {"color": "black", "ls": "-"},
    MEAN_FIELD: {"color": "#E69F00", "ls": ":"},
    LOWER: {"color": "#009E73", "ls": "--", "lw": 0.8},
    UPPER: {"color": "#009E73", "ls": "-.", "lw": 0.8},
}
OTHERS = ("#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
BAND = "#009E73"
EDGE_COLOR = "0.35"

# A logarithmic scale for what decays by more than this, cut at this share of the largest value.
DECAY, FLOOR = 30.0, 1e-5


def draw_curves(ax: Axes, panel: Curves, figure: Figure) -> None:
    """Draw a panel."""
    several = len(panel.curves) > 1
    for rank, curve in enumerate(panel.curves):
        color = _color(rank, len(panel.curves)) if several else None
        _draw_band(ax, curve, color)
        for place, name in enumerate(figure.choice.quantities):
            if several and name in (LOWER, UPPER, MEAN_FIELD) and LINEAR in figure.choice.quantities:
                continue
            style = {**curve_style(name, place), **({"color": color} if color else {})}
            marker = "." if len(curve.x) <= 12 else ""
            ax.plot(curve.x, curve.series[name], marker=marker, ms=2.5, **style)
    for edge in panel.edges:
        ax.axvline(edge, color=EDGE_COLOR, ls=(0, (4, 2)), lw=0.8, zorder=1)
    if math.isfinite(panel.trainable) and panel.x.values[0] < panel.trainable < panel.x.values[-1]:
        ax.axvline(panel.trainable, color=EDGE_COLOR, ls=(0, (1, 1.5)), lw=0.9, zorder=1)
    _scale(ax, panel, figure)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(axis="y", lw=0.3, color="0.9")
    ax.set_axisbelow(True)


def _draw_band(ax: Axes, curve: Curve, color: Any) -> None:
    if LOWER in curve.series and UPPER in curve.series:
        low, high = curve.series[LOWER], curve.series[UPPER]
        ax.fill_between(curve.x, low, high, color=color or BAND, alpha=0.25, lw=0.4)


def curve_style(name: str, place: int) -> dict[str, Any]:
    """Colour and style of the line of a quantity, the one at that place of those that are drawn."""
    return STYLES.get(name, {"color": OTHERS[place % len(OTHERS)], "ls": "-"})


def _color(rank: int, count: int) -> Any:
    import matplotlib as mpl

    return mpl.colormaps["viridis"](0.88 * rank / (count - 1))


def _scale(ax: Axes, panel: Curves, figure: Figure) -> None:
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, MaxNLocator, NullLocator

    if panel.x.logarithmic:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_locator(FixedLocator(list(axis_ticks(panel.x, 7))))
    elif panel.x.name == "depth":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    names = figure.choice.quantities
    low, high = value_range(figure, names)
    if all(name.startswith("mi_") for name in names):
        if decays(figure, names):
            ax.set_yscale("log")
            ax.set_ylim(max(low, FLOOR * high) / 1.3, high * 1.5)
        else:
            ax.set_ylim(0.0, 1.06 * high)


def value_range(figure: Figure, quantities: Sequence[str]) -> tuple[float, float]:
    """Smallest positive and largest value of some quantities in all panels."""
    values = _values(figure, quantities)
    positive = values[values > 0.0]
    return (float(positive.min()), float(values.max())) if len(positive) else (0.1, 1.0)


def decays(figure: Figure, quantities: Sequence[str]) -> bool:
    """Whether information is lost over decades, so that a logarithmic scale shows it: along depth only."""
    low, high = value_range(figure, quantities)
    return figure.choice.x == "depth" and high > DECAY * low


def _values(figure: Figure, quantities: Sequence[str]) -> FloatArray:
    parts = [
        curve.series[name]
        for panel in figure.panels
        if isinstance(panel, Curves)
        for curve in panel.curves
        for name in quantities
    ]
    joined = np.concatenate(parts) if parts else np.empty(0)
    return np.asarray(joined[np.isfinite(joined)])


def legend_of_curves(panels: Sequence[Curves], figure: Figure) -> list[Any]:
    """Signs that occur in any of the panels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    several = any(len(panel.curves) > 1 for panel in panels)
    names = figure.choice.quantities
    for place, name in enumerate(names):
        if several and name in (LOWER, UPPER, MEAN_FIELD) and LINEAR in names:
            continue
        style = {**curve_style(name, place), **({"color": "black"} if several else {})}
        handles.append(Line2D([], [], label=quantity_name(name, short=True), **style))
    if several and LOWER in names and UPPER in names:
        handles.append(Patch(facecolor="0.5", alpha=0.3, label="lower to upper bound"))
    if several:
        longest = max(panels, key=lambda panel: len(panel.curves))
        symbol = "depth" if figure.choice.by == "depth" else SHORT_AXES[str(figure.choice.by)].split()[-1]
        for rank, curve in enumerate(longest.curves):
            color = _color(rank, len(longest.curves))
            handles.append(Line2D([], [], color=color, lw=2, label=f"{symbol} {number(curve.by)}"))
    if any(len(panel.edges) for panel in panels):
        handles.append(Line2D([], [], color=EDGE_COLOR, ls=(0, (4, 2)), lw=0.8, label="edge of chaos"))
    if any(panel.x.values[0] < panel.trainable < panel.x.values[-1] for panel in panels):
        handles.append(Line2D([], [], color=EDGE_COLOR, ls=(0, (1, 1.5)), lw=0.9, label=r"trainable depth $6\,\xi_c$"))
    return handles
