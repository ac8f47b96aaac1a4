"""``python -m studies.streams FOLDER``: information over depth by branch scale, and by number format.

Two figures for docs/howto/skips_and_norms.md, of a pre-norm transformer MLP block and a ResNet-like MLP.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import mfmi
from mfmi.bounds.structured import BEYOND, IDLE
from mfmi.meanfield import NUMBER_FORMATS
from mfmi.names import BY_DEPTH
from mfmi.report.figures import DOTS_PER_INCH, METADATA, PAGE, styled

if TYPE_CHECKING:
    import pandas as pd

BLOCKS: Mapping[str, dict[str, Any]] = {
    "pre-norm MLP block (gelu)": {
        "activation": "gelu", "sigma_w": 1.0, "normalization": "layernorm", "branch_matrices": 2, "hidden_ratio": 4.0,
    },
    "ResNet-like MLP (relu, no norm)": {
        "activation": "relu", "sigma_w": 2.0**0.5, "branch_matrices": 2, "sigma_w_out": 1.0, "sigma_w_in": 1.0,
    },
}  # fmt: skip
BRANCHES: tuple[float | str, ...] = (0.1, 0.3, 1.0, BY_DEPTH)
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
DEEP = 50
SCALES = tuple(np.geomspace(0.03, 1.0, 16).tolist())
# Relative noise of the observed layer: a stream that grows gains nothing by its size.
NOISE = 0.1
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def over_depth(block: str, depths: Sequence[int] = DEPTHS) -> pd.DataFrame:
    """Rows of every branch scale at every depth; the column `label` names the branch."""
    branch = np.array(BRANCHES, dtype=object)
    rows = mfmi.evaluate(
        **BLOCKS[block], sigma_noise=NOISE, noise_scale="relative", skip=1.0, branch=branch, depth=list(depths),
        estimators=["linear", "covariance_upper"],
    )  # fmt: skip
    return rows.assign(label=np.repeat([str(one) for one in BRANCHES], len(depths)))


def over_precision(block: str, depth: int = DEEP, scales: Sequence[float] = SCALES) -> pd.DataFrame:
    """Rows of every number format and branch scale, the stream rounded in every layer.

    The column `doubted` says where the rows themselves doubt that rounding is noise: where a block adds less to the
    stream than its last bit, and beyond the range in which the format has one relative accuracy.
    """
    names = np.repeat(list(NUMBER_FORMATS), len(scales)).astype(object)
    rows = mfmi.evaluate(
        **BLOCKS[block], sigma_noise=names, noise_at="every", skip=1.0, branch=np.tile(scales, len(NUMBER_FORMATS)),
        depth=depth, estimators=["linear", "covariance_upper"],
    )  # fmt: skip
    return rows.assign(label=names, doubted=rows.message.str.contains(f"{IDLE}|{BEYOND}"))


def draw_branches(frames: Mapping[str, pd.DataFrame]) -> bytes:
    """Draw linearly readable information against depth, a panel for each block: PNG."""

    def panel(ax: Any, frame: pd.DataFrame) -> None:
        for color, (label, part) in zip(COLORS, frame.groupby("label", sort=False), strict=True):
            ax.plot(part.depth, part.mi_linear, color=color, marker=".", ms=3, label=f"branch {label}")
            ax.plot(part.depth, part.mi_upper, color=color, ls=":", lw=0.7)
        ax.set_xscale("log", base=2)
        ax.set_xlabel("depth (layers)")

    return _drawn(frames, panel, f"skip 1, relative noise {NOISE:g} at the output")


def draw_precision(frames: Mapping[str, pd.DataFrame]) -> bytes:
    """Draw linearly readable information against the branch scale, a line for each number format: PNG."""

    def panel(ax: Any, frame: pd.DataFrame) -> None:
        for color, (label, part) in zip(COLORS, frame.groupby("label", sort=False), strict=True):
            sure = ~part.doubted.to_numpy(bool)
            ax.plot(part.branch, part.mi_linear, color=color, ls="--", lw=0.7)
            ax.plot(part.branch[sure], part.mi_linear[sure], color=color, marker=".", ms=3, label=str(label))
        ax.set_xscale("log")
        ax.set_xlabel("factor of the branch (dimensionless)")

    depth = next(iter(frames.values())).depth.iloc[0]
    return _drawn(
        frames, panel, f"skip 1, depth {depth}, noise equivalent to the rounding of the stream in every layer"
    )


def _drawn(frames: Mapping[str, pd.DataFrame], panel: Any, title: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with styled():
        canvas = Figure(figsize=(PAGE, 2.9), layout="constrained")
        FigureCanvasAgg(canvas)
        axes = canvas.subplots(1, len(frames))
        for ax, (name, frame) in zip(axes, frames.items(), strict=True):
            panel(ax, frame)
            ax.set_title(name)
            ax.set_ylim(bottom=0.0)
            ax.grid(axis="y", lw=0.3, color="0.9")
            for side in ("top", "right"):
                ax.spines[side].set_visible(False)
        axes[0].set_ylabel("information (nats per input dimension)")
        canvas.suptitle(title, fontsize=7)
        canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png", dpi=DOTS_PER_INCH // 2, metadata=METADATA["png"])
    return buffer.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw both figures; the exit code is 0 when they are written."""
    parser = argparse.ArgumentParser(prog="python -m studies.streams", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the PNG files go")
    folder = parser.parse_args(arguments).folder
    (folder / "streams_branch.png").write_bytes(draw_branches({name: over_depth(name) for name in BLOCKS}))
    (folder / "streams_precision.png").write_bytes(draw_precision({name: over_precision(name) for name in BLOCKS}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
