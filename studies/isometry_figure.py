"""``python -m studies.isometry_figure``: information against isometry, on the edge of chaos and off it.

Draws a sweep over sigma_w, sigma_b and both ensembles with the columns jacobian_mean and mi_replica, such as that of
`configs/isometry.yaml`.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfmi.jacobian import isometry_ceiling
from mfmi.report.figures import DOTS_PER_INCH, METADATA, PAGE, styled
from mfmi.report.summary import edge_sigma_w

if TYPE_CHECKING:
    import pandas as pd

COLORS = {"gaussian": "#D55E00", "orthogonal": "#0072B2"}
LINES = {
    "mi_replica": ("-", "replica value"),
    "mi_lower": ("--", "lower bound"),
    "mi_linear": (":", "linearly readable"),
}


def along_edge(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers on the edge of chaos, a row per sigma_b, between the sigma_w of the sweep by cubic splines."""
    import pandas as pd
    from scipy.interpolate import CubicSpline

    wanted = ["jacobian_mean", *LINES]
    rows = []
    for sigma_b, part in frame.groupby("sigma_b"):
        hidden = part.sigma_noise.iloc[0] if part.noise_at.iloc[0] == "every" else 0.0
        for edge in edge_sigma_w(str(part.activation.iloc[0]), sigma_b, hidden, part.input_variance.iloc[0])[0]:
            if part.sigma_w.min() <= edge <= part.sigma_w.max():
                values = CubicSpline(part.sigma_w, part[wanted])(edge)
                rows.append({"sigma_b": sigma_b, "sigma_w": edge, **dict(zip(wanted, values, strict=True))})
    return pd.DataFrame(rows)


def draw_isometry(frame: pd.DataFrame, sigma_b: float) -> bytes:
    """Draw a sweep of one activation, noise and depth: PNG.

    Parameters
    ----------
    frame
        The rows.
    sigma_b
        The one of the left panel.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    first = frame.iloc[0]
    with styled():
        canvas = Figure(figsize=(PAGE, 3.1), layout="constrained")
        FigureCanvasAgg(canvas)
        left, right = canvas.subplots(1, 2, sharey=True)
        _off_the_edge(left, frame[frame.sigma_b == sigma_b])
        _on_the_edge(right, frame)
        left.set_ylabel("information (nats per input dimension)")
        left.set_ylim(0.0, 1.08 * float(frame.mi_replica.max()))
        for ax in (left, right):
            ax.grid(axis="y", lw=0.3, color="0.9")
            for side in ("top", "right"):
                ax.spines[side].set_visible(False)
        canvas.suptitle(
            f"{first.activation}, depth {first.depth}, noise {first.sigma_noise:g} at the output", fontsize=7
        )
        canvas.legend(handles=_signs(), loc="outside lower center", ncols=4, frameon=False)
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png", dpi=DOTS_PER_INCH // 2, metadata=METADATA["png"])
    return buffer.getvalue()


def _off_the_edge(ax: Any, frame: pd.DataFrame) -> None:
    """Draw all sigma_w of one sigma_b against the mean of the Jacobian's spectrum."""
    ax.set_title(rf"off the edge of chaos, $\sigma_b$ {frame.sigma_b.iloc[0]:g}: all $\sigma_w$")
    for weights, part in frame.groupby("weights"):
        for name, (line, _) in LINES.items():
            ax.plot(part.jacobian_mean, part[name], line, color=COLORS[str(weights)])
    part = frame[frame.weights == "orthogonal"]
    ax.plot(
        part.jacobian_mean, isometry_ceiling(part.jacobian_mean, part.input_variance, part.sigma_noise**2), color="0.5"
    )
    ax.set_xscale("log")
    ax.axvline(1.0, color="0.8", lw=0.6)
    for found in along_edge(part).jacobian_mean:
        ax.axvline(found, color="0.4", ls=(0, (4, 2)), lw=0.8)
    ax.set_xlabel("mean squared singular value of the Jacobian (dimensionless)")


def _on_the_edge(ax: Any, frame: pd.DataFrame) -> None:
    """Draw the edge of chaos against sigma_b."""
    ax.set_title("along the edge of chaos")
    for weights, part in frame.groupby("weights"):
        edge = along_edge(part)
        for name, (line, _) in LINES.items():
            ax.plot(edge.sigma_b, edge[name], line, color=COLORS[str(weights)], marker=".", ms=3)
    ceiling = isometry_ceiling(edge.jacobian_mean, part.input_variance.iloc[0], part.sigma_noise.iloc[0] ** 2)
    ax.plot(edge.sigma_b, ceiling, color="0.5", marker=".", ms=3)
    ax.set_xlabel(r"standard deviation of the biases $\sigma_b$ (dimensionless)")


def _signs() -> list[Any]:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=color, label=f"{weights} weights") for weights, color in COLORS.items()]
    handles += [Line2D([], [], color="k", ls=line, label=words) for line, words in LINES.values()]
    handles.append(Line2D([], [], color="0.5", label="an isometry of the same mean"))
    handles.append(Line2D([], [], color="0.4", ls=(0, (4, 2)), lw=0.8, label="edge of chaos"))
    return handles


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw a sweep; the exit code is 0 when the figure is written."""
    import pandas as pd

    parser = argparse.ArgumentParser(prog="python -m studies.isometry_figure", description=__doc__)
    parser.add_argument("sweep", type=Path, help="Parquet file of the sweep")
    parser.add_argument("figure", type=Path, help="PNG file to write")
    parser.add_argument("--sigma-b", type=float, default=0.3, help="of the left panel")
    given = parser.parse_args(arguments)
    frame = pd.read_parquet(given.sweep)
    if given.sigma_b not in set(frame.sigma_b):
        parser.error(f"{given.sweep} has no sigma_b {given.sigma_b}")
    given.figure.write_bytes(draw_isometry(frame, given.sigma_b))
    return 0


if __name__ == "__main__":
    sys.exit(main())
