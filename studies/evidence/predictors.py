"""Predictions of the theory before training, over the grid of a case."""

from __future__ import annotations

import numpy as np

from mfmi.activations import get
from mfmi.arguments.arrays import FloatArray
from mfmi.recommendation.gradients import kept
from mfmi.recommendation.results import NetworkFamily
from studies.evidence.design import Case

# Each is the larger the better a network should train; sigma_w itself is the control that knows nothing.
PREDICTORS = {
    "kept": "linearly readable information, gradients kept",
    "linear": "linearly readable information",
    "relative": "the same with noise relative to the signal",
    "total": "total information, best lower bound",
    "gradient": "how little gradients change over the depth",
    "edge": "minus abs(ln chi_1)",
    "sigma_w": "sigma_w itself, a control",
}


def predictions(case: Case, sigma_w: FloatArray, sigma_b: FloatArray) -> dict[str, FloatArray]:
    """The predictors at some places of a plain case, each of shape (n,), NaN where there is none.

    Where variances grow without bound there is no chi_1; the places then tie below all others.
    """
    phi = get(case.activation)
    network = NetworkFamily(phi, case.depth, case.weights)
    told = network.table(("linear", "total"), sigma_w, sigma_b)
    relative = NetworkFamily(phi, case.depth, case.weights, structure={"noise_scale": "relative"})
    gradient = network.gradient(sigma_w, sigma_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = -np.abs(np.log(np.ravel(network.ends(sigma_w, sigma_b).chi_1)))
        change = -np.abs(np.log(gradient))
    return {
        "kept": told["linear"] * kept(gradient),
        "linear": told["linear"],
        "relative": relative.values("linear", sigma_w, sigma_b),
        "total": told["total"],
        "gradient": change,
        "edge": np.where(np.isnan(edge), -np.inf, edge),
        "sigma_w": np.asarray(sigma_w, dtype=np.float64),
    }
