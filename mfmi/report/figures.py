"""Figures drawn with matplotlib: heat maps and curves at a paper's column width, the same bytes every time."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mfmi.report.curve_panels import draw_curves, legend_of_curves
from mfmi.report.figure_data import Curves, Figure, Heat
from mfmi.report.figure_words import axis_label, context_phrases, plain, quantity_label, words_title, wrapped
from mfmi.report.heat_panels import color_scales, draw_heat, legend_of_heat
from mfmi.report.rank_panels import draw_ranks, legend_of_ranks
from mfmi.report.ranks import Ranks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

FORMATS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}

COLUMN, PAGE = 3.4, 7.0  # inches: one column of a paper, and both
DOTS_PER_INCH = 300
# Letters of the title font that fit an inch.
LETTERS_PER_INCH = 18.5
# Characters that a sign of the legend and the gap after it take.
_SIGN_LETTERS = 7
# Inches that a line of a ranking takes.
_LINE = 0.15

# Of type Any because matplotlib names its settings as literals that depend on its version.
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "hatch.linewidth": 0.4,
    "lines.linewidth": 1.1,
    "pdf.fonttype": 42,
    "svg.hashsalt": "mfmi",
    "savefig.facecolor": "white",
}
# No date in any of them, and no version of a program that need not be the reader's.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "mfmi"},
    "pdf": {"CreationDate": None, "Creator": "mfmi", "Producer": None},
}


def available() -> bool:
    """Whether matplotlib is installed."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def draw(figure: Figure, image_format: str, width: float | None = None) -> bytes:
    """Draw a figure.

    Parameters
    ----------
    figure
        What to draw.
    image_format
        "png", "svg" or "pdf".
    width
        Inches; by default one column of a paper, or both for more than two panels side by side.

    Returns
    -------
    bytes
        The file; the same for the same figure and version of matplotlib.
    """
    with styled():
        canvas = _canvas(figure, width)
        buffer = io.BytesIO()
        canvas.savefig(buffer, format=image_format, dpi=DOTS_PER_INCH, metadata=METADATA[image_format])
    return buffer.getvalue()


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Matplotlib with the settings of `STYLE` and none of the machine's or the user's."""
    import matplotlib as mpl

    # Whatever style the machine or its user prefers, the figure is the same.
    with mpl.rc_context():
        mpl.rcdefaults()
        with mpl.rc_context(STYLE):
            yield


def _canvas(figure: Figure, width: float | None) -> Canvas:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(figure.choice.columns, len(figure.panels))
    rows = -(-len(figure.panels) // columns)
    width = width or (COLUMN if columns <= 2 else PAGE)
    canvas = Canvas(figsize=(width, _height(figure, width, rows)))
    canvas.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02))
    FigureCanvasAgg(canvas)
    axes = canvas.subplots(rows, columns, sharex=True, sharey=_shares_y(figure), squeeze=False)
    flat = list(axes.flat)
    for empty in flat[len(figure.panels) :]:
        empty.remove()
    flat = flat[: len(figure.panels)]
    _title(canvas, figure, width)
    if figure.choice.kind == "heat":
        _heat_maps(canvas, figure, flat)
    elif figure.choice.kind == "ranking":
        _rank_panels(canvas, figure, flat)
    else:
        _curve_panels(canvas, figure, flat)
    _label_axes(canvas, figure, flat, columns)
    return canvas


def _height(figure: Figure, width: float, rows: int) -> float:
    """Panels a little wider than high, with room for what stands around them."""
    if isinstance(figure.panels[0], Ranks):
        return rows * (_LINE * len(figure.panels[0].activations) + 0.25) + 0.7
    panel = min(_panel_width(figure, width) * 0.82, 2.4)
    by_quantity = figure.choice.kind == "heat" and len(figure.choice.quantities) > 1
    return float(rows * (panel + (0.55 if by_quantity else 0.2)) + 0.85)


def _panel_width(figure: Figure, width: float) -> float:
    """Inches of a panel, about."""
    return (width - 0.9) / min(figure.choice.columns, len(figure.panels))


def _shares_y(figure: Figure) -> bool:
    return figure.choice.kind == "heat" or len(figure.panels) > 1


def _title(canvas: Canvas, figure: Figure, width: float) -> None:
    canvas.suptitle(wrapped(context_phrases(figure.context), round(width * LETTERS_PER_INCH)), fontsize=7)


def _heat_maps(canvas: Canvas, figure: Figure, axes: Sequence[Axes]) -> None:
    panels = [panel for panel in figure.panels if isinstance(panel, Heat)]
    scales = color_scales(panels)
    inches = _panel_width(figure, canvas.get_figwidth())
    images = [draw_heat(ax, panel, scales[panel.quantity], inches) for ax, panel in zip(axes, panels, strict=True)]
    quantities = figure.choice.quantities
    for ax, panel in zip(axes, panels, strict=True):
        ax.set_title(words_title(panel.words))
    if len(quantities) == 1:
        extend = "min" if scales[quantities[0]].cut else "neither"
        bar = canvas.colorbar(images[0], ax=list(axes), pad=0.02, aspect=30, extend=extend)
        bar.set_label(quantity_label(quantities[0], figure.units))
        bar.outline.set_linewidth(0.5)
    else:
        for quantity in quantities:
            mine = [i for i, panel in enumerate(panels) if panel.quantity == quantity]
            bar = canvas.colorbar(
                images[mine[0]],
                ax=[axes[i] for i in mine],
                location="top",
                pad=0.02,
                aspect=20,
                shrink=0.95,
                extend="min" if scales[quantity].cut else "neither",
            )
            bar.set_label(quantity_label(quantity, figure.units), labelpad=4, fontsize=6)
            bar.ax.tick_params(pad=1)
            bar.outline.set_linewidth(0.5)
    _legend(canvas, legend_of_heat(panels), figure)


def _curve_panels(canvas: Canvas, figure: Figure, axes: Sequence[Axes]) -> None:
    panels = [panel for panel in figure.panels if isinstance(panel, Curves)]
    for ax, panel in zip(axes, panels, strict=True):
        draw_curves(ax, panel, figure)
        ax.set_title(words_title(panel.words))
    _legend(canvas, legend_of_curves(panels, figure), figure)


def _rank_panels(canvas: Canvas, figure: Figure, axes: Sequence[Axes]) -> None:
    panels = [panel for panel in figure.panels if isinstance(panel, Ranks)]
    for ax, panel in zip(axes, panels, strict=True):
        draw_ranks(ax, panel, figure)
        ax.set_title(words_title(panel.words))
    _legend(canvas, legend_of_ranks(figure), figure)


def _legend(canvas: Canvas, handles: Sequence[Any], figure: Figure) -> None:
    """The signs below the panels, under the label of the axis: as a title, for a label of its own would lie on them."""
    canvas.legend(
        handles=handles,
        loc="outside lower center",
        ncols=_signs_in_a_row(handles, canvas),
        frameon=False,
        title=_x_label(figure),
        title_fontsize=7,
        borderpad=0,
        borderaxespad=0.2,
        handlelength=1.8,
        columnspacing=1.2,
    )


def _x_label(figure: Figure) -> str:
    if figure.choice.kind != "ranking":
        return axis_label(figure.choice.x)
    return f"information at the best standard deviations ({figure.units.get(figure.choice.quantities[0], '')})"


def _signs_in_a_row(handles: Sequence[Any], canvas: Canvas) -> int:
    """As many columns of the legend as fit the width."""
    room = canvas.get_figwidth() * LETTERS_PER_INCH * STYLE["font.size"] / STYLE["legend.fontsize"]
    letters = [len(plain(handle.get_label())) + _SIGN_LETTERS for handle in handles]
    for columns in range(min(len(letters), 4), 1, -1):
        rows = -(-len(letters) // columns)
        if sum(max(letters[start : start + rows]) for start in range(0, len(letters), rows)) <= room:
            return columns
    return 1


def _label_axes(canvas: Canvas, figure: Figure, axes: Sequence[Axes], columns: int) -> None:
    choice = figure.choice
    if choice.kind == "ranking":
        return
    if choice.y is not None:
        tall = len(axes) > columns
        canvas.supylabel(axis_label(choice.y, short=not tall and columns > 1), fontsize=7)
        return
    quantity = choice.quantities[0]
    unit = figure.units.get(quantity, "")
    information = all(name.startswith("mi_") for name in choice.quantities)
    label = f"information\n({unit})" if information else quantity_label(quantity, figure.units)
    if len(axes) > columns:
        canvas.supylabel(label, fontsize=7, multialignment="center")
    else:
        # Beside the panels themselves, for the middle of the figure is lower where a legend stands below them.
        axes[0].set_ylabel(label)
