"""The figures of docs/evidence.md, at a paper's width."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mfmi.report.figure_words import axis_label
from mfmi.report.figures import METADATA, PAGE, styled
from studies.evidence.design import Case
from studies.evidence.findings import LOSS, Finding, Trained

# Okabe and Ito's colours, each with a sign of its own so that nothing hangs on colour alone.
SIGNS: dict[str, dict[str, Any]] = {
    "linear": {"color": "#0072B2", "marker": "o"},
    "replica": {"color": "black", "marker": "s"},
    "layerwise": {"color": "#009E73", "marker": "^"},
    "mean_field": {"color": "#E69F00", "marker": "v"},
    "edge": {"color": "#D55E00", "marker": "D"},
    "xi_c": {"color": "#CC79A7", "marker": "P"},
}
LABELS = {"linear": "linearly readable", "edge": r"$-|\chi_1-1|$", "xi_c": r"$\xi_c$", "mean_field": "mean field"}
DOTS_PER_INCH = 170


def _panels(cases: Sequence[tuple[str, str]], height: float) -> tuple[Any, dict[tuple[str, str], Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(PAGE, height * -(-len(cases) // 2) + 0.5), layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots(-(-len(cases) // 2), 2, sharex=True, sharey=True, squeeze=False)
    placed = dict(zip(cases, axes.flat, strict=False))
    for (data_set, activation), ax in placed.items():
        ax.set_title(f"{data_set.replace('_', ' ')}, {activation}")
        ax.grid(axis="y", lw=0.3, color="0.9")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    return canvas, placed


def _legend(canvas: Any, handles: Sequence[Any], label: str) -> None:
    """The signs below the panels, under the label of the axis: as a title, for a label of its own would lie on them."""
    canvas.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, title=label, title_fontsize=7
    )


def _png(canvas: Any) -> bytes:
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata=METADATA["png"])
    return buffer.getvalue()


def draw_training(outcomes: Mapping[Case, Trained], peaks: Mapping[Case, Mapping[str, float]]) -> bytes:
    """Test accuracy against sigma_w, a curve a depth, with the places where either information is largest."""
    import matplotlib as mpl
    from matplotlib.lines import Line2D

    with styled():
        groups = list(dict.fromkeys(case[:2] for case in outcomes))
        canvas, axes = _panels(groups, 2.0)
        depths = sorted({case.depth for case in outcomes})
        colors = {d: mpl.colormaps["viridis"](0.88 * i / max(len(depths) - 1, 1)) for i, d in enumerate(depths)}
        for case, outcome in outcomes.items():
            ax = axes[case[:2]]
            ax.plot(outcome.sigma_w, outcome.accuracy, ".-", ms=2.5, color=colors[case.depth])
            for name in ("linear", "replica"):
                at = peaks[case][name]
                height = outcome.accuracy[np.argmin(np.abs(outcome.sigma_w - at))]
                sign = {"marker": SIGNS[name]["marker"], "mfc": "none" if name == "replica" else colors[case.depth]}
                ax.plot([at], [height], ls="", ms=6, mec=colors[case.depth], mew=1.2, zorder=3, **sign)
        handles = [Line2D([], [], color=color, lw=2, label=f"depth {depth}") for depth, color in colors.items()]
        for name, words in (("linear", "largest linearly readable"), ("replica", "largest replica value")):
            face = "none" if name == "replica" else "0.4"
            sign = {"marker": SIGNS[name]["marker"], "mfc": face, "mec": "0.4"}
            handles.append(Line2D([], [], ls="", ms=6, mew=1.2, label=words, **sign))
        canvas.supylabel("test accuracy (share of right answers)", fontsize=7)
        _legend(canvas, handles, axis_label("sigma_w"))
        return _png(canvas)


def draw_ranking(found: Sequence[Finding]) -> bytes:
    """Rank correlation with the training loss, by depth, with bootstrap intervals."""
    with styled():
        chosen = [one for one in found if one.quantity == LOSS and one.predictor in SIGNS]
        groups = list(dict.fromkeys((one.data_set, one.activation) for one in chosen))
        canvas, axes = _panels(groups, 2.0)
        depths = sorted({one.depth for one in chosen})
        for place, (name, sign) in enumerate(SIGNS.items()):
            for group, ax in axes.items():
                here = [f for f in chosen if f.predictor == name and (f.data_set, f.activation) == group]
                x = np.array([depths.index(one.depth) for one in here]) + 0.12 * (place - 2.5)
                y, low, high = (np.array([one[k] for one in here]) for k in (6, 7, 8))
                ax.vlines(x, low, high, color=sign["color"], lw=0.8)
                label = LABELS.get(name, name) if group == groups[0] else "_"
                ax.plot(x, y, ls="", ms=3.5, label=label, **sign)
        for ax in axes.values():
            ax.axhline(0.0, color="0.5", lw=0.6)
            ax.set_xticks(range(len(depths)), [str(depth) for depth in depths])
            ax.set_ylim(-1.05, 1.05)
        canvas.supylabel("Spearman correlation with trainability (dimensionless)", fontsize=7)
        _legend(canvas, axes[groups[0]].get_legend_handles_labels()[0], axis_label("depth"))
        return _png(canvas)
