"""``python -m studies.adaptive FIGURE``: how many points an adaptive sweep needs for what a grid finds.

The edge of chaos: the phase at any place is that of the nearest computed point, as a heat map shows it, and the error
of the edge is the length along sigma_w on which it is wrong, averaged over sigma_b. The peak of the linearly readable
information: how far in sigma_w the best computed point is from the best there is. Prints what it draws.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mfmi.activations import get
from mfmi.arguments.arrays import FloatArray
from mfmi.config.config import load_config
from mfmi.meanfield import edge_of_chaos
from mfmi.recommendation.results import NetworkFamily
from mfmi.recommendation.search import optimum
from mfmi.report.figures import DOTS_PER_INCH, METADATA, PAGE, styled
from mfmi.storage.parquet import decode
from mfmi.sweep.adaptive import AdaptivePlan, AdaptiveTask, Rounds
from mfmi.sweep.chunks import Task
from mfmi.sweep.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

SIGMA_W, SIGMA_B = (0.5, 3.0), (0.0, 1.0)
GRIDS = (9, 17, 33, 65, 129)
BUDGETS = {"edge": (125, 250, 500, 1000, 2000), "peak": (100, 120, 140, 160, 200, 300)}
ACTIVATIONS = dict.fromkeys(("edge", "peak"), ("tanh", "hard_tanh"))
# Of the networks whose peak is sought; noise in every layer.
DEPTH, NOISE = 20, 0.1
# Places at which the edge is compared.
_ALONG, _ACROSS = 2000, 200

STYLES = {"tanh": "#0072B2", "hard_tanh": "#D55E00"}


def config_text(activation: str, number: int, what: str, budget: int | None = None) -> str:
    """Return the config of a grid of `number` by `number` points, refined to `budget` points if that is given."""
    target = "phase" if what == "edge" else "mi_linear"
    lines = [
        "version: 1",
        "sweep:",
        f"  mode: {'product' if budget is None else 'adaptive'}",
        f"  activation: {activation}",
        f"  sigma_w: {{start: {SIGMA_W[0]}, stop: {SIGMA_W[1]}, num: {number}}}",
        f"  sigma_b: {{start: {SIGMA_B[0]}, stop: {SIGMA_B[1]}, num: {number}}}",
        *([f"  depth: {DEPTH}", "  noise_at: every"] if what == "peak" else ["  depth: 1"]),
        *([] if budget is None else [f"  adaptive: {{points: {budget}, target: {target}}}"]),
        "estimators: [linear]",
    ]
    return "\n".join([*lines, ""])


def computed(text: str) -> pd.DataFrame:
    """Return the rows of a config, computed in this process."""
    import pyarrow as pa

    plan = Plan.from_config(load_config(text, "<study>"))
    frame: pd.DataFrame = pa.concat_tables([decode(data) for data in _chunks(plan)]).to_pandas()
    return frame


def _chunks(plan: Plan) -> Iterator[bytes]:
    if not isinstance(plan, AdaptivePlan):
        yield from (Task(plan).run(number) for number in range(plan.n_chunks))
        return
    rounds = Rounds(plan)
    task = AdaptiveTask.of(rounds, None)
    for number in rounds:
        data = task.run(task.piece(number))
        rounds.tell(number, data)
        yield data


def edge_error(frame: pd.DataFrame, edge: Callable[[FloatArray], FloatArray]) -> float:
    """Return the length along sigma_w on which the phase of the nearest point is wrong, averaged over sigma_b."""
    from scipy.spatial import KDTree

    across, along = ((np.arange(n) + 0.5) / n for n in (_ACROSS, _ALONG))
    places = [(frame[name] - low) / (high - low) for name, (low, high) in (("sigma_w", SIGMA_W), ("sigma_b", SIGMA_B))]
    tree = KDTree(np.column_stack(places))
    nearest = tree.query(np.stack(np.meshgrid(along, across), axis=-1))[1]
    chaotic = frame["phase"].to_numpy(object)[nearest] != "ordered"
    width = SIGMA_W[1] - SIGMA_W[0]
    truth = SIGMA_W[0] + along * width > edge(SIGMA_B[0] + across * (SIGMA_B[1] - SIGMA_B[0]))[:, np.newaxis]
    return float((chaotic != truth).mean() * width)


def measured(what: str, activation: str) -> dict[str, list[tuple[int, float]]]:
    """Return numbers of points and errors of grids and of adaptive sweeps."""
    error = _edge_measure(activation) if what == "edge" else _peak_measure(activation)
    texts = {"grid": [config_text(activation, number, what) for number in GRIDS]}
    texts["adaptive"] = [config_text(activation, GRIDS[0], what, budget) for budget in BUDGETS[what]]
    found: dict[str, list[tuple[int, float]]] = {}
    for kind, configs in texts.items():
        frames = [computed(text) for text in configs]
        found[kind] = [(len(frame), error(frame)) for frame in frames]
    return found


def _edge_measure(activation: str) -> Callable[[pd.DataFrame], float]:
    edge = edge_of_chaos(activation, np.linspace(*SIGMA_B, 401))
    at, sigma_w = edge.sigma_b[edge.stable], edge.sigma_w[edge.stable]
    return lambda frame: edge_error(frame, lambda sigma_b: np.interp(sigma_b, at, sigma_w))


def _peak_measure(activation: str) -> Callable[[pd.DataFrame], float]:
    network = NetworkFamily(get(activation), DEPTH, "gaussian", "every", NOISE, 1.0, "nats")
    best = optimum(network, "linear", tolerance=1e-6, plateau=False)

    def error(frame: pd.DataFrame) -> float:
        at = int(np.nanargmax(frame["mi_linear"].to_numpy()))
        return abs(float(frame["sigma_w"].to_numpy()[at]) - best.sigma_w)

    return error


def draw(results: dict[tuple[str, str], dict[str, list[tuple[int, float]]]]) -> bytes:
    """Draw the errors over the numbers of points: PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = {"edge": "edge of chaos", "peak": f"peak of mi_linear, {DEPTH} layers, noise {NOISE:g} in every layer"}
    with styled():
        canvas = Figure(figsize=(PAGE, 2.8), layout="constrained")
        FigureCanvasAgg(canvas)
        for ax, what in zip(canvas.subplots(1, 2), titles, strict=True):
            for activation in ACTIVATIONS[what]:
                for kind, line in (("grid", "o--"), ("adaptive", "s-")):
                    points, errors = zip(*results[what, activation][kind], strict=True)
                    color = STYLES[activation]
                    ax.loglog(points, errors, line, color=color, ms=3, label=f"{activation}, {kind}")
            ax.set_title(titles[what])
            ax.set_xlabel("computed points")
            ax.legend(frameon=False)
            ax.grid(lw=0.3, color="0.9")
            ax.set_ylabel(r"error in $\sigma_w$ (dimensionless)")
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png", dpi=DOTS_PER_INCH // 2, metadata=METADATA["png"])
    return buffer.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and draw; the exit code is 0 when the figure is written."""
    parser = argparse.ArgumentParser(prog="python -m studies.adaptive", description=__doc__)
    parser.add_argument("figure", type=Path, help="PNG file to write")
    given = parser.parse_args(arguments)
    results: dict[tuple[str, str], Any] = {}
    for what, names in ACTIVATIONS.items():
        for name in names:
            results[what, name] = measured(what, name)
            for kind, pairs in results[what, name].items():
                listed = ", ".join(f"{points:,}: {error:.5f}" for points, error in pairs)
                print(f"{what} {name} {kind}: {listed}", flush=True)
    given.figure.write_bytes(draw(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
