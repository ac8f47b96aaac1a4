"""An audit as a figure: a strip of layers with their scales, singular values and information, over steps if any."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.report.figures import COLUMN, DOTS_PER_INCH, METADATA, PAGE, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

NUMBERS = (
    *("sigma_w", "sigma_w_edge", "singular_min", "singular_max", "bulk_min", "bulk_max"),
    *("mi_linear", "mi_linear_measured", "mi_lower", "mi_upper"),
)
NEEDED = ("step", "layer", "name", "law", *NUMBERS)
_INFORMATION = ("mi_linear", "mi_linear_measured", "mi_lower", "mi_upper")
DRAWN = ("normal", "uniform", "truncated_normal", "orthogonal")
# Layers whose names fit below the strip of one column of a paper, and of both.
_FEW, MANY = 14, 40
_LETTERS = 28
# A logarithmic scale where the values span more than this.
WIDE = 20.0
_BULK, _EDGE = "0.85", "#D55E00"


@dataclass(frozen=True)
class Strip:
    """Numbers of an audit by step and layer.

    Attributes
    ----------
    steps : numbers of the steps, shape (S,).
    names : names of the layers, in the order of their first appearance, L of them.
    values : by column, shape (S, L), NaN where a step lacks the layer or the value.
    drawn : whether the entries of a layer follow a law that libraries draw from, shape (S, L).
    unit : of the information.
    """

    steps: FloatArray
    names: tuple[str, ...]
    values: dict[str, FloatArray]
    drawn: FloatArray
    unit: str

    @property
    def has_information(self) -> bool:
        """Whether the audit has evaluated a network."""
        return any(np.isfinite(self.values[name]).any() for name in _INFORMATION)

    @property
    def has_spectrum(self) -> bool:
        """Whether the audit has singular values."""
        return bool(np.isfinite(self.values["singular_max"]).any())


def strip_of(rows: pd.DataFrame, unit: str) -> Strip:
    """Arrange the rows of an audit.

    Parameters
    ----------
    rows : the columns `NEEDED`.
    unit : of the information.

    Raises
    ------
    ValueError
        No row is a layer.
    """
    layers = rows[rows["layer"].notna() & rows["sigma_w"].notna()]
    if layers.empty:
        raise ValueError("no row is a layer whose weights are known")
    names = tuple(dict.fromkeys(layers["name"]))
    steps = np.unique(layers["step"].to_numpy(dtype=np.int64))
    where = np.searchsorted(steps, layers["step"].to_numpy(dtype=np.int64)), [names.index(n) for n in layers["name"]]
    values = {}
    for name in NUMBERS:
        values[name] = np.full((len(steps), len(names)), np.nan)
        values[name][where] = layers[name].to_numpy(dtype=np.float64)
    drawn = np.zeros((len(steps), len(names)))
    drawn[where] = layers["law"].isin(DRAWN).to_numpy(dtype=np.float64)
    return Strip(steps, names, values, drawn, unit)


def draw(strip: Strip, image_format: str, width: float | None = None) -> bytes:
    """Draw a strip.

    Parameters
    ----------
    strip
        What to draw.
    image_format
        "png", "svg" or "pdf".
    width
        Inches; by default one column of a paper, or both for many layers.

    Returns
    -------
    bytes
        The file; the same for the same strip and version of matplotlib.
    """
    with styled():
        canvas = _canvas(strip, width or (COLUMN if len(strip.names) <= _FEW else PAGE))
        buffer = io.BytesIO()
        canvas.savefig(buffer, format=image_format, dpi=DOTS_PER_INCH, metadata=METADATA[image_format])
    return buffer.getvalue()


def _canvas(strip: Strip, width: float) -> Canvas:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels: list[Callable[[Axes, Strip], None]] = [_draw_scales]
    panels += [_draw_spectra] if strip.has_spectrum else []
    panels += [_draw_information] if strip.has_information else []
    canvas = Canvas(figsize=(width, 1.5 * len(panels) + 1.1))
    canvas.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.04))
    FigureCanvasAgg(canvas)
    axes = list(canvas.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0])
    for ax, panel in zip(axes, panels, strict=True):
        panel(ax, strip)
        handles, _ = ax.get_legend_handles_labels()
        if handles:
            place: Any = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.0}
            ax.legend(frameon=False, ncols=3, handlelength=1.6, columnspacing=1.2, **place)
    _label_layers(axes[-1], strip)
    if len(strip.steps) > 1:
        _color_bar(canvas, axes, strip)
    return canvas


def _label_layers(ax: Axes, strip: Strip) -> None:
    places = np.arange(len(strip.names))
    ax.set_xlim(-0.5, len(places) - 0.5)
    if len(places) > MANY:
        ax.set_xlabel("layer")
        return
    ax.set_xticks(places, [_short(name) for name in strip.names], rotation=90)
    ax.tick_params(axis="x", length=0)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS // 2]}...{name[-(_LETTERS // 2 - 3) :]}"


def _norm(strip: Strip) -> Any:
    from matplotlib.colors import Normalize

    return Normalize(float(strip.steps[0]), float(strip.steps[-1]))


def _colors(strip: Strip) -> list[Any]:
    """A colour for each step; black for a single one."""
    if len(strip.steps) == 1:
        return ["black"]
    from matplotlib import colormaps

    scale = _norm(strip)
    return [colormaps["viridis"](scale(float(step))) for step in strip.steps]


def _color_bar(canvas: Canvas, axes: Sequence[Axes], strip: Strip) -> None:
    from matplotlib.cm import ScalarMappable

    bar = canvas.colorbar(ScalarMappable(_norm(strip), "viridis"), ax=list(axes), pad=0.02, aspect=40)
    bar.set_label("step")
    bar.outline.set_linewidth(0.5)


def _draw_scales(ax: Axes, strip: Strip) -> None:
    """The standard deviations, hollow where training has touched them, against the edge of chaos."""
    places = np.arange(len(strip.names))
    sigma_w = _above_0(strip.values["sigma_w"])
    for color, values, drawn in zip(_colors(strip), sigma_w, strip.drawn, strict=True):
        ax.plot(places, values, color=color, lw=0.6, zorder=2)
        for own, face in ((drawn > 0.0, color), (drawn == 0.0, "white")):
            ax.plot(places[own], values[own], "o", ms=3, color=color, mfc=face, mew=0.7, zorder=3)
    edge = strip.values["sigma_w_edge"][-1]
    if np.isfinite(edge).any():
        ax.hlines(edge, places - 0.4, places + 0.4, color=_EDGE, lw=1.0, zorder=4, label="edge of chaos")
    ax.plot([], [], "o", ms=3, color="black", label="as drawn")
    ax.plot([], [], "o", ms=3, color="black", mfc="white", mew=0.7, label="trained")
    _scale(ax, sigma_w)
    ax.set_ylabel(r"$\sigma_w$")


def _draw_spectra(ax: Axes, strip: Strip) -> None:
    """Smallest and largest singular value against the bulk that independent entries would have."""
    places = np.arange(len(strip.names))
    low, high = strip.values["bulk_min"][-1], strip.values["bulk_max"][-1]
    known = np.isfinite(high) & np.isfinite(low)
    smallest, largest = (_above_0(strip.values[name]) for name in ("singular_min", "singular_max"))
    bottom = np.maximum(low[known], np.nanmin(np.where(smallest > 0.0, smallest, largest)) / 2.0)
    ax.bar(places[known], high[known] - bottom, 0.8, bottom, color=_BULK, zorder=1, label="random bulk")
    for color, least, most in zip(_colors(strip), smallest, largest, strict=True):
        ax.plot(places, most, "^", ms=3, color=color, zorder=3)
        ax.plot(places, least, "v", ms=3, color=color, zorder=3)
    ax.plot([], [], "^", ms=3, color="black", label="largest")
    ax.plot([], [], "v", ms=3, color="black", label="smallest")
    _scale(ax, largest)
    ax.set_ylabel("singular values")


def _draw_information(ax: Axes, strip: Strip) -> None:
    places = np.arange(len(strip.names))
    lower, upper = strip.values["mi_lower"][-1], strip.values["mi_upper"][-1]
    if np.isfinite(lower).any() and np.isfinite(upper).any():
        ax.fill_between(places, lower, upper, color=_BULK, lw=0.0, zorder=1, label="bounds on the total")
    colors = _colors(strip)
    for name, style, label in (("mi_linear", "-", "readable"), ("mi_linear_measured", ":", "measured")):
        for color, values in zip(colors, strip.values[name], strict=True):
            known = np.isfinite(values)
            ax.plot(places[known], values[known], style, marker="o", ms=2, lw=0.9, color=color, zorder=3)
        if np.isfinite(strip.values[name]).any():
            ax.plot([], [], style, marker="o", ms=2, lw=0.9, color="black", label=label)
    ax.set_ylim(bottom=0.0)
    ax.set_ylabel(f"information\n({strip.unit})")


def _scale(ax: Axes, values: FloatArray) -> None:
    """Take a logarithmic scale for values that span much, and none below 0 for others."""
    if np.nanmax(values) > WIDE * np.nanmin(values):
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0.0)


def _above_0(values: FloatArray) -> FloatArray:
    """Values that a logarithmic scale can show, NaN in place of the others."""
    return np.where(values > 0.0, values, np.nan)
