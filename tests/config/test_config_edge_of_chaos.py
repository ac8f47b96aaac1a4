"""Claim of configs/edge_of_chaos.yaml: the linear bound is best near the edge of chaos (theory section 8)."""

from pathlib import Path

import numpy as np
import pytest

from mfmi.bounds.evaluate import evaluate_points
from mfmi.config.config import read_config
from mfmi.meanfield import edge_of_chaos
from mfmi.sweep.plan import Plan

CONFIG = Path(__file__).parents[2] / "configs" / "edge_of_chaos.yaml"
ALL = "[0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]"


@pytest.mark.parametrize(
    ("weights", "sigma_b2"),
    [
        ("gaussian", "[0.05, 0.3, 1.0]"),
        pytest.param("gaussian", ALL, marks=pytest.mark.slow),
        pytest.param("orthogonal", ALL, marks=pytest.mark.slow),
    ],
)
def test_linear_bound_peaks_near_the_edge(weights: str, sigma_b2: str) -> None:
    settings = {"activation": "tanh", "weights": weights, "sigma_b2": sigma_b2, "depth": "[20, 40]"}
    plan = Plan.from_config(read_config(CONFIG, [f"sweep.{key}={value}" for key, value in settings.items()]))
    points = plan.points(0, plan.n_grid)
    assert set(points.noise_at) == {"every"}
    assert set(points.sigma_noise) == {0.1}
    rows = evaluate_points(points, plan.depths_for(points), ["linear"])
    for sigma_b in np.unique(points.sigma_b):
        (edge,) = edge_of_chaos("tanh", sigma_b=sigma_b, sigma_noise=0.1).sigma_w
        for depth, share in ((20, 0.07), (40, 0.04)):
            here = (rows["depth"] == depth) & (rows["sigma_b"] == sigma_b)
            best = rows["sigma_w"][here][np.nanargmax(rows["mi_linear"][here])]
            assert abs(best / edge - 1.0) < share


def test_grid_is_the_one_promised() -> None:
    plan = Plan.from_config(read_config(CONFIG))
    points = plan.points(0, plan.n_grid)
    widths = np.unique(points.sigma_w)
    assert (widths[1:] / widths[:-1]).max() < 1.02
    assert {0.05, 0.3, 1.0} <= set(np.round(points.sigma_b**2, 12))
    assert set(points.activation) == {"tanh", "relu"}
    assert set(points.weights) == {"gaussian", "orthogonal"}
    assert (plan.depths[0], plan.depths[-1]) == (1, 50)
    assert plan.n_rows_bound < 60_000
