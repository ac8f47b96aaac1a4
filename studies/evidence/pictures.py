"""The figure of docs/evidence.md, at a paper's width."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from mfmi.report.figures import METADATA, PAGE, styled
from studies.evidence.findings import Compared
from studies.evidence.recommended import RECOMMENDED
from studies.evidence.starts import RECIPES

# Okabe and Ito's colours, each with a sign of its own so that nothing hangs on colour alone.
SIGNS: dict[str, dict[str, Any]] = {
    "kept": {"color": "#0072B2", "marker": "o"},
    "any": {"color": "#D55E00", "marker": "s", "mfc": "none"},
    "kept, orthogonal": {"color": "#009E73", "marker": "D"},
    "he": {"color": "0.45", "marker": "x"},
    "lsuv": {"color": "0.2", "marker": "+"},
    "anyinit": {"color": "#CC79A7", "marker": "1"},
}
DOTS_PER_INCH = 150
_TICKS = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)


def draw(comparison: Sequence[Compared]) -> bytes:
    """Test loss over that of the best recipe, a line a case: recommendations, and recipes behind them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cases = list(dict.fromkeys(one.case for one in comparison if one.start in RECOMMENDED))
    cases.sort(key=lambda case: (case.optimiser, case.depth, case.data_set))
    with styled():
        canvas = Figure(figsize=(PAGE, 0.16 * len(cases) + 1.0), layout="constrained")
        FigureCanvasAgg(canvas)
        ax = canvas.subplots()
        for name, sign in SIGNS.items():
            here = {one.case: one for one in comparison if one.start == name}
            rows = [row for row, case in enumerate(cases) if case in here]
            best = [_best(comparison, cases[row]) for row in rows]
            shares = [here[cases[row]].loss / one for row, one in zip(rows, best, strict=True)]
            ax.plot(shares, rows, ls="", ms=4 if name in RECOMMENDED else 3.5, label=name, **sign)
        ax.axvline(1.0, color="0.5", lw=0.6)
        ax.set_xscale("log")
        ax.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
        ax.minorticks_off()
        words = [f"{c.data_set.replace('_', ' ')}, {c.activation}, {c.depth}, {c.optimiser}" for c in cases]
        ax.set_yticks(range(len(cases)), words)
        ax.invert_yaxis()
        ax.grid(axis="y", lw=0.3, color="0.9")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        ax.set_xlabel("test loss over that of the best recipe (dimensionless)")
        canvas.legend(loc="outside upper center", ncols=len(SIGNS), frameon=False)
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata=METADATA["png"])
        return buffer.getvalue()


def _best(comparison: Sequence[Compared], case: Any) -> float:
    return min(one.loss for one in comparison if one.case == case and one.start in RECIPES)
