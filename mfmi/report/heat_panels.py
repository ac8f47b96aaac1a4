"""Heat maps in colours for every kind of colour vision, with phases, the edge of chaos and the largest values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.report.axes import axis_ticks
from mfmi.report.figure_data import Heat
from mfmi.report.figure_words import SHORT_AXES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

COLORS = "cividis"
MISSING = "0.85"
EDGE_COLOR, BEST_COLOR, RIDGE_COLOR = "white", "#E69F00", "#D55E00"
POINT_COLOR = "white"

# A logarithmic scale where the median lies below the largest value by more than this; what it leaves out below.
SKEW, FLOOR = 8.0, 1e-2

# Inches that a letter takes.
_LETTER = 0.05


@dataclass(frozen=True)
class Scale:
    """Values at the ends of the colours.

    Attributes
    ----------
    low, high : the ends.
    logarithmic : whether colours stand for ratios.
    cut : whether values lie below the lower end.
    """

    low: float
    high: float
    logarithmic: bool = False
    cut: bool = False

    def share(self, values: FloatArray) -> FloatArray:
        """Place of values between the ends, from 0 to 1; NaN stays."""
        if self.logarithmic:
            place = np.log(np.maximum(values, self.low) / self.low) / np.log(self.high / self.low)
        else:
            place = (values - self.low) / (self.high - self.low if self.high > self.low else 1.0)
        return np.asarray(np.clip(place, 0.0, 1.0))


def color_scales(panels: Iterable[Heat]) -> dict[str, Scale]:
    """The colours of each quantity over all panels: from 0 for information, by ratios where most of it is small."""
    values: dict[str, list[FloatArray]] = {}
    for panel in panels:
        values.setdefault(panel.quantity, []).append(panel.values[np.isfinite(panel.values)])
    return {name: _scale(name, np.concatenate(parts)) for name, parts in values.items()}


def _scale(name: str, known: FloatArray) -> Scale:
    if not len(known):
        return Scale(0.0, 1.0)
    low, high = float(known.min()), float(known.max())
    if not name.startswith("mi_"):
        # Depth scales diverge at the edge of chaos: without ratios nothing but their largest value is seen.
        return Scale(low, high, logarithmic=bool(low > 0.0 and np.median(known) < high / SKEW))
    if high > 0.0 and np.median(known) < high / SKEW:
        floor = max(high * FLOOR, float(known[known > 0.0].min()))
        return Scale(floor, high, logarithmic=True, cut=low < floor)
    return Scale(0.0, high)


def draw_heat(ax: Axes, panel: Heat, scale: Scale, inches: float) -> QuadMesh:
    """Draw a panel that is about so many inches wide."""
    from matplotlib.colors import LogNorm, Normalize

    values = np.ma.masked_invalid(panel.values)
    norm = LogNorm(scale.low, scale.high, clip=True) if scale.logarithmic else Normalize(scale.low, scale.high)
    if scale.logarithmic:
        values = np.ma.maximum(values, scale.low)
    ax.set_facecolor(MISSING)
    image = ax.pcolormesh(panel.x.borders, panel.y.borders, values, cmap=COLORS, norm=norm, rasterized=True)
    for axis, set_scale, set_limits in (
        (panel.x, ax.set_xscale, ax.set_xlim),
        (panel.y, ax.set_yscale, ax.set_ylim),
    ):
        if axis.logarithmic:
            set_scale("log")
        set_limits(axis.borders[0], axis.borders[-1])
    _whole_numbers(ax, panel)
    _draw_phases(ax, panel, inches)
    _draw_edges(ax, panel)
    if panel.points is not None:
        ax.plot(panel.points.x, panel.points.y, ".", color=POINT_COLOR, ms=1.0, mew=0, alpha=0.6, zorder=2)
    _draw_best(ax, panel)
    return image


def _whole_numbers(ax: Axes, panel: Heat) -> None:
    """Numbers as they are, not as powers of ten; depths only where there are layers."""
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

    for axis, side in ((panel.x, ax.xaxis), (panel.y, ax.yaxis)):
        if axis.logarithmic or axis.name == "depth":
            side.set_major_formatter(FormatStrFormatter("%g"))
            side.set_minor_locator(NullLocator())
            side.set_major_locator(FixedLocator(list(axis_ticks(axis, 6))))


def _draw_phases(ax: Axes, panel: Heat, inches: float) -> None:
    """Hatch what is unbounded, and name the phases where there is most room."""
    from matplotlib.patheffects import withStroke
    from scipy.ndimage import distance_transform_edt

    unbounded = panel.phases == "unbounded"
    if unbounded.any():
        x, y = (np.concatenate((a.borders[:1], a.values, a.borders[-1:])) for a in (panel.x, panel.y))
        grid = np.pad(np.where(unbounded, 1.0, 0.0), 1, mode="edge")
        ax.contourf(x, y, grid, levels=[0.5, 1.5], colors="none", hatches=["////"], zorder=1.5)
    outline = [withStroke(linewidth=1.2, foreground="black")]
    for phase in ("ordered", "chaotic", "unbounded"):
        mask = panel.phases == phase
        # As far from other phases and from the frame as possible, in cells of the picture's own proportions.
        room = distance_transform_edt(np.pad(mask, 1), sampling=(1.0 / mask.shape[0], 1.0 / mask.shape[1]))
        row, column = map(int, np.unravel_index(int(np.argmax(room)), room.shape))
        if _run(mask, row - 1, column - 1) * inches < len(phase) * _LETTER:
            continue
        x, y = panel.x.values[column - 1], panel.y.values[row - 1]
        ax.text(x, y, phase, color="white", fontsize=6, ha="center", va="center", path_effects=outline, clip_on=True)


def _run(mask: NDArray[np.bool_], row: int, column: int) -> float:
    """Share of the width that lies within the mask on both sides of a cell alike."""
    if not mask[row, column]:
        return 0.0
    line = mask[row]
    left = column - np.flatnonzero(~line[:column])[-1] if not line[:column].all() else column + 1
    beyond = line[column + 1 :]
    right = int(np.argmin(beyond)) + 1 if not beyond.all() else len(line) - column
    return float((2 * min(left, right) - 1) / len(line))


def _draw_edges(ax: Axes, panel: Heat) -> None:
    from matplotlib.patheffects import Normal, withStroke

    for line in panel.edges:
        if len(line.x) == 1:
            ax.plot(line.x, line.y, "o", ms=3.5, mfc=EDGE_COLOR, mec="black", mew=0.6, clip_on=False, zorder=4)
            continue
        style = "-" if line.stable else ":"
        effects = [withStroke(linewidth=2.0, foreground="black"), Normal()] if line.stable else None
        ax.plot(line.x, line.y, style, color=EDGE_COLOR, lw=1.1, path_effects=effects, zorder=3)


def _draw_best(ax: Axes, panel: Heat) -> None:
    if np.isfinite(panel.ridge).sum() > 2:
        thin = max(1, len(panel.y) // 16)
        ax.plot(panel.ridge[::thin], panel.y.values[::thin], ".", color=RIDGE_COLOR, ms=2.6, mew=0, zorder=3.5)
    if panel.best is not None:
        x, y, _ = panel.best
        ax.plot([x], [y], "*", color=BEST_COLOR, ms=7, mec="black", mew=0.5, clip_on=False, zorder=5)


def legend_of_heat(panels: Sequence[Heat]) -> list[Any]:
    """Signs that occur in any of the panels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.patheffects import Normal, withStroke

    handles: list[Any] = []
    effects = [withStroke(linewidth=2.0, foreground="black"), Normal()]
    edges = [line for panel in panels for line in panel.edges]
    if any(line.stable and len(line.x) > 1 for line in edges):
        handles.append(Line2D([], [], color=EDGE_COLOR, lw=1.1, path_effects=effects, label="edge of chaos"))
    elif edges and any(len(line.x) == 1 for line in edges):
        handles.append(
            Line2D([], [], ls="", marker="o", ms=3.5, mfc=EDGE_COLOR, mec="black", mew=0.6, label="edge of chaos")
        )
    if any(not line.stable for line in edges):
        handles.append(
            Line2D([], [], color=EDGE_COLOR, ls=":", lw=1.1, path_effects=[withStroke(linewidth=1.8, foreground="0.4")])
        )
        handles[-1].set_label("edge, repelling")
    handles.append(Line2D([], [], ls="", marker="*", ms=7, mfc=BEST_COLOR, mec="black", mew=0.5, label="largest"))
    y = panels[0].y.name
    if any(np.isfinite(panel.ridge).sum() > 2 for panel in panels):
        label = f"largest at each {_symbol(y)}"
        handles.append(Line2D([], [], ls="", marker=".", ms=4, color=RIDGE_COLOR, mew=0, label=label))
    if any(panel.points is not None for panel in panels):
        handles.append(Line2D([], [], ls="", marker=".", ms=2.5, color="0.5", mew=0, label="computed"))
    if any((panel.phases == "unbounded").any() for panel in panels):
        handles.append(Patch(facecolor="none", hatch="////", edgecolor="black", lw=0.4, label="unbounded"))
    if any(not np.isfinite(panel.values).all() for panel in panels):
        handles.append(Patch(facecolor=MISSING, label="no value"))
    return handles


def _symbol(name: str) -> str:
    symbols: Mapping[str, str] = {"depth": "depth"}
    return symbols.get(name) or SHORT_AXES[name].split()[-1]
