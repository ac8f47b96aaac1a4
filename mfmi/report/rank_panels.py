"""Activations ranked, a line each: the best of every quantity, and the weights at which the first is reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mfmi.report.curve_panels import LOWER, OTHERS, REPLICA, STYLES
from mfmi.report.figure_data import Figure
from mfmi.report.figure_words import number, quantity_name
from mfmi.report.ranks import Ranks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Signs differ in shape as well as in colour.
_MARKERS = {LOWER: "^", REPLICA: "s"}
# A logarithmic scale where the values span more than this.
WIDE = 20.0


def _sign(name: str, place: int) -> dict[str, Any]:
    color = STYLES.get(name, {}).get("color", OTHERS[place % len(OTHERS)])
    return {"color": color, "marker": _MARKERS.get(name, "o"), "ms": 4 if place == 0 else 3.5, "ls": ""}


def draw_ranks(ax: Axes, panel: Ranks, figure: Figure) -> None:
    """Draw a panel, the best activation at the top."""
    rows = np.arange(len(panel.activations))
    for place, quantity in enumerate(figure.choice.quantities):
        peaks = panel.peaks[quantity]
        x = np.array([np.nan if peak is None else peak.value for peak in peaks])
        ax.plot(x, rows, zorder=3, **_sign(quantity, place))
        if place == 0:
            ax.hlines(rows, _low(figure), x, color="0.8", lw=0.8, zorder=1)
            for row, peak in enumerate(peaks):
                if peak is not None:
                    text = rf"$\sigma_w$ {number(peak.sigma_w)}, $\sigma_b$ {number(peak.sigma_b)}"
                    ax.annotate(text, (1.0, row), xycoords=("axes fraction", "data"), fontsize=5, va="center")
    if _wide(figure):
        ax.set_xscale("log")
    ax.set_xlim(left=_low(figure))
    ax.set_yticks(rows, panel.activations)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def _values(figure: Figure) -> Any:
    panels = [panel for panel in figure.panels if isinstance(panel, Ranks)]
    return np.array([p.value for panel in panels for peaks in panel.peaks.values() for p in peaks if p is not None])


def _wide(figure: Figure) -> bool:
    values = _values(figure)
    return bool(values.min() > 0.0 and values.max() > WIDE * values.min())


def _low(figure: Figure) -> float:
    return 0.7 * float(_values(figure).min()) if _wide(figure) else 0.0


def legend_of_ranks(figure: Figure) -> Sequence[Any]:
    """A sign a quantity."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], label=quantity_name(name, short=True), **_sign(name, place))
        for place, name in enumerate(figure.choice.quantities)
    ]
