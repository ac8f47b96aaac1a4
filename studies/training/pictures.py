"""The figures of docs/training.md, at a paper's width."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mfmi.report.figures import METADATA, PAGE, styled
from studies.training.design import ACTIVATIONS, GAINS, SMALL, WEIGHTS, Case
from studies.training.measures import Row
from studies.training.summaries import Summary, error, information, over_steps

Cases = Mapping[Case, Sequence[Row]]
# Okabe and Ito's colours.
OF_GAINS = dict(zip(GAINS, ("#56B4E9", "black", "#D55E00"), strict=True))
OF_WEIGHTS = {"usv": "#0072B2", "free": "#D55E00"}
SIGNS = {"linear": "o", "tanh": "s", "relu": "^"}
WORDS = {"usv": "fixed rotations", "free": "free weights"}
DOTS_PER_INCH = 110
_DEPTH = 4


def _canvas(rows: int, columns: int, height: float, **shared: Any) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(PAGE, height), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots(rows, columns, squeeze=False, **shared)
    for ax in axes.flat:
        ax.grid(axis="y", lw=0.3, color="0.9")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    return canvas, axes


def _png(canvas: Any) -> bytes:
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata=METADATA["png"])
    return buffer.getvalue()


def _steps(ax: Any) -> None:
    """A logarithmic axis of steps that has a place for the start."""
    ax.set_xscale("symlog", linthresh=1.0, linscale=0.4)
    ax.set_xticks([0, 1, 10, 100, 400], ["0", "1", "10", "100", "400"])
    ax.minorticks_off()


def _legend(canvas: Any, handles: Sequence[Any], label: str = "step of training") -> None:
    """The signs below the panels, under the label of the axis: as a title, for a label of its own would lie on them."""
    canvas.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, title=label, title_fontsize=7
    )


def draw_information(cases: Cases, _: Sequence[Summary]) -> bytes:
    """Information of the last layer over the steps, from every gain, measured and by the theory."""
    from matplotlib.lines import Line2D

    with styled():
        sets = sorted({case.data_set for case in cases if case.data_set != SMALL})
        canvas, axes = _canvas(len(sets) * len(WEIGHTS), len(ACTIVATIONS), 5.6, sharex=True)
        panels = [(data_set, weights) for data_set in sets for weights in WEIGHTS]
        for (data_set, weights), line in zip(panels, axes, strict=True):
            for activation, ax in zip(ACTIVATIONS, line, strict=True):
                for gain, color in OF_GAINS.items():
                    rows = cases.get(Case(data_set, activation, _DEPTH, weights, gain), ())
                    ax.plot(*over_steps(rows, _DEPTH, information), color=color, lw=1.2)
                    ax.plot(*over_steps(rows, _DEPTH, lambda row: row.linear), color=color, lw=0.9, ls=":")
                _steps(ax)
                ax.set_ylim(bottom=0.0)
                ax.set_title(f"{data_set}, {activation}, {WORDS[weights]}")
        canvas.supylabel("information of layer 4 (nats per input dimension)", fontsize=7)
        handles = [Line2D([], [], color=color, label=f"{gain:g} times the edge") for gain, color in OF_GAINS.items()]
        handles += [Line2D([], [], color="0.4", ls=ls, label=t) for ls, t in (("-", "measured"), (":", "theory"))]
        _legend(canvas, handles)
        return _png(canvas)


def draw_error(cases: Cases, _: Sequence[Summary]) -> bytes:
    """Error of the theory over the steps, the largest of the layers, and how tied neighbouring layers are."""
    from matplotlib.lines import Line2D

    with styled():
        canvas, axes = _canvas(2, len(ACTIVATIONS), 3.8, sharex=True, sharey="row")
        for case, rows in cases.items():
            if case.data_set == SMALL:
                continue
            place = ACTIVATIONS.index(case.activation)
            style = {"color": OF_WEIGHTS[case.weights], "lw": 0.8, "ls": "-" if case.data_set == "teacher" else "--"}
            inner = [row for row in rows if row.layer <= case.depth]
            for ax, measure in zip(axes[:, place], (error, _tied), strict=True):
                steps, values = _largest_over_layers(inner, measure)
                ax.plot(steps, values, **style)
        for ax, activation in zip(axes[0], ACTIVATIONS, strict=True):
            ax.set_title(activation)
        for ax in axes.flat:
            _steps(ax)
            ax.set_yscale("log")
        axes[0, 0].set_ylabel("error of linear (share)")
        axes[1, 0].set_ylabel("freeness less 1, without sign")
        handles = [Line2D([], [], color=color, label=WORDS[name]) for name, color in OF_WEIGHTS.items()]
        handles += [Line2D([], [], color="0.4", ls=ls, label=t) for ls, t in (("-", "teacher"), ("--", "digits"))]
        _legend(canvas, handles)
        return _png(canvas)


def _tied(row: Row) -> float:
    return abs(row.freeness - 1.0)


def _largest_over_layers(rows: Sequence[Row], measure: Callable[[Row], float]) -> tuple[list[int], list[float]]:
    found: dict[int, float] = {}
    for row in rows:
        value = measure(row)
        if not math.isnan(value):
            found[row.step] = max(found.get(row.step, 0.0), value)
    return list(found), list(found.values())


def draw_together(_: Cases, found: Sequence[Summary]) -> bytes:
    """Test accuracy against the change of information, a sign for each network."""
    from matplotlib.lines import Line2D

    with styled():
        sets = sorted({one.data_set for one in found if one.data_set != SMALL})
        canvas, axes = _canvas(1, len(sets), 2.7)
        for data_set, ax in zip(sets, axes[0], strict=True):
            for one in found:
                if one.data_set == data_set:
                    sign = {"marker": SIGNS[one.activation], "mec": OF_WEIGHTS[one.weights], "mfc": "none"}
                    ax.plot([one.end / one.start], [one.test_accuracy], ls="", ms=4 + one.depth / 2, **sign)
            ax.set_xscale("log")
            ax.axvline(1.0, color="0.6", lw=0.6)
            ax.set_title(data_set)
        axes[0, 0].set_ylabel("test accuracy (share)")
        handles = [Line2D([], [], ls="", marker=m, mec="0.3", mfc="none", label=n) for n, m in SIGNS.items()]
        handles += [Line2D([], [], color=color, label=WORDS[name]) for name, color in OF_WEIGHTS.items()]
        _legend(canvas, handles, "information of the last layer after training over that before")
        return _png(canvas)


def draw_small(cases: Cases, _: Sequence[Summary]) -> bytes:
    """Total information of small networks: bracket, pairwise bound, replica value."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    with styled():
        chosen = {case: rows for case, rows in cases.items() if case.is_small}
        canvas, axes = _canvas(1, max(len(chosen), 1), 2.4, sharex=True, sharey=True)
        for (case, rows), ax in zip(sorted(chosen.items()), axes[0], strict=False):
            for layer, color in zip(range(1, case.depth + 2), ("black", "#0072B2", "#D55E00"), strict=True):
                for steps, low, high in _band(rows, layer):
                    ax.fill_between(steps, low, high, color=color, alpha=0.35, lw=0)
                ax.plot(*over_steps(rows, layer, lambda row: row.replica), color=color, lw=0.9)
                ax.plot(*over_steps(rows, layer, lambda row: row.pairwise), color=color, lw=0.7, ls=":")
            _steps(ax)
            ax.set_ylim(bottom=0.0)
            ax.set_title(f"{case.activation}, {WORDS[case.weights]}")
        axes[0, 0].set_ylabel("total information\n(nats per input dimension)")
        handles: list[Any] = [
            Line2D([], [], color=c, label=t) for c, t in (("black", "layer 1"), ("#0072B2", "layer 2"))
        ]
        handles += [Line2D([], [], color="#D55E00", label="classes"), Patch(color="0.4", alpha=0.35, label="bracket")]
        handles += [
            Line2D([], [], color="0.4", ls=":", label="pairwise bound"),
            Line2D([], [], color="0.4", label="replica"),
        ]
        _legend(canvas, handles)
        return _png(canvas)


def _band(rows: Sequence[Row], layer: int) -> Iterator[tuple[Any, Any, Any]]:
    """The bracket over the steps, two standard errors wider on either side."""
    known = [row for row in rows if row.layer == layer and not math.isnan(row.lower)]
    if known:
        low, high = ([row.lower - 2.0 * row.error for row in known], [row.upper + 2.0 * row.error for row in known])
        yield np.array([row.step for row in known]), np.array(low), np.array(high)


FIGURES: dict[str, Callable[[Cases, Sequence[Summary]], bytes]] = {
    "information": draw_information,
    "error": draw_error,
    "together": draw_together,
    "small": draw_small,
}
