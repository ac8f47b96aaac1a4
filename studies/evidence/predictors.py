"""Predictions of the theory before training: the estimators, and the distance from the edge of chaos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.evaluate import evaluate_points
from mfmi.networks.points import Points
from studies.evidence.design import Design

ESTIMATES = ("mean_field", "linear", "layerwise", "replica")
# Nats below which a difference of potentials is nothing but rounding, whose order must not be ranked.
RESOLUTION = 1e-14
# Each is the larger the better a network should train; sigma_w itself is the control that knows nothing.
PREDICTORS = {
    "linear": "linearly readable information",
    "replica": "replica value of the total information",
    "layerwise": "lower bound of the total information",
    "mean_field": "classic mean field",
    "edge": "minus abs(chi_1 - 1)",
    "xi_c": "depth scale of correlations",
    "sigma_w": "sigma_w itself, a control",
}
COLUMNS = ("phase", "chi", "chi_1", "xi_c", *(f"mi_{name}" for name in ESTIMATES), "status")


def theory(activation: str, depths: Sequence[int], design: Design) -> dict[int, Mapping[str, NDArray[np.generic]]]:
    """Results of the program on the grid, by depth: the columns `COLUMNS` and sigma_w, each of shape (sigma_w,)."""
    points = Points.of(
        activation, design.sigma_w, sigma_b=design.sigma_b, sigma_noise=design.sigma_noise, noise_at="every"
    )
    found = evaluate_points(points, list(depths), ESTIMATES)
    return {depth: {name: found[name][found["depth"] == depth] for name in ("sigma_w", *COLUMNS)} for depth in depths}


def predictions(said: Mapping[str, NDArray[np.generic]]) -> dict[str, FloatArray]:
    """The predictors out of the columns of one depth, each of shape (sigma_w,), NaN where there is none.

    Where variances grow without bound there is no chi_1; the slope of the map at the observed layer stands for it.
    Information below `RESOLUTION` counts as none.
    """
    numbers = ("sigma_w", "chi", "chi_1", "xi_c", *(f"mi_{name}" for name in ESTIMATES))
    columns = {name: np.asarray(said[name], dtype=np.float64) for name in numbers}
    slope = np.where(np.isnan(columns["chi_1"]), columns["chi"], columns["chi_1"])
    return {
        **{name: np.where(columns[f"mi_{name}"] < RESOLUTION, 0.0, columns[f"mi_{name}"]) for name in ESTIMATES},
        "edge": -np.abs(slope - 1.0),
        "xi_c": columns["xi_c"],
        "sigma_w": columns["sigma_w"],
    }
