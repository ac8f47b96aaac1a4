"""Recommendations as rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mfmi.columns import COLUMNS, Column
from mfmi.initialisers import CUT_DEVIATION
from mfmi.recommendation.results import Baseline, NetworkFamily, Optimum, Recommendation

Block = dict[str, np.ndarray[Any, Any]]


def columns_of(unit: str) -> tuple[Column, ...]:
    """Columns of the rows, with the information in "nats" or "bits"."""
    known = {column.name: column for column in COLUMNS}
    information = f"{unit} per input dimension"
    return (
        Column("role", "string", "", "best, other (the optimum of the other kind of information) or baseline"),
        Column("name", "string", "", "what was maximised, or whose initialisation it is"),
        *(known[name] for name in ("activation", "weights", "noise_at", "sigma_w", "sigma_b", "sigma_noise")),
        *(known[name] for name in ("input_variance", "depth")),
        Column("quantity", "string", "", "the kind of information in the column information"),
        Column("information", "float64", information, "information of that kind at the observed layer"),
        Column("of_best", "float64", "1", "its share of the recommendation's"),
        Column("plateau_low", "float64", "1", "smallest sigma_w within 1 % of the best"),
        Column("plateau_high", "float64", "1", "largest sigma_w within 1 % of the best"),
        *(known[name] for name in ("phase", "chi_1", "xi_c")),
        Column("trainable_depth", "float64", "layers", "layers to which such networks train, 6 xi_c"),
        Column("edge", "float64", "1", "sigma_w of the nearest edge of chaos that is reached at that sigma_b"),
        Column("swing", "float64", "1", "growth of a relative error of the first variance; large where it repels"),
        Column("limits", "string", "", "what stopped the search: sigma_w, sigma_b or unbounded; empty inside"),
        Column("gain", "float64", "1", "gain of torch.nn.init.xavier_normal_ or orthogonal_ in square layers: sigma_w"),
        Column("scale", "float64", "1", "scale of VarianceScaling by fan-in, of keras and jax: sigma_w^2"),
        Column("stddev_of_cut", "float64", "1", "stddev of TruncatedNormal, which is cut after, times sqrt(fan-in)"),
    )


def _network_row(network: NetworkFamily, weights: str) -> dict[str, Any]:
    return {
        "activation": network.activation.name,
        "weights": weights,
        "noise_at": network.noise_at,
        "sigma_noise": network.sigma_noise,
        "input_variance": network.input_variance,
        "depth": network.depth,
    }


def _optimum_row(network: NetworkFamily, best: Optimum, role: str) -> dict[str, Any]:
    low, high = best.plateau or (math.nan, math.nan)
    return {
        **_network_row(network, network.weights),
        "role": role,
        "name": best.quantity,
        "sigma_w": best.sigma_w,
        "sigma_b": best.sigma_b,
        "quantity": best.quantity,
        "information": best.value,
        "of_best": 1.0 if role == "best" else math.nan,
        "plateau_low": low,
        "plateau_high": high,
        "phase": best.phase,
        "chi_1": best.chi_1,
        "xi_c": best.xi_c,
        "trainable_depth": best.trainable_depth,
        "edge": best.edge,
        "swing": best.swing,
        "limits": " ".join(best.limits),
        **_given(best.sigma_w, network.weights),
    }


def _given(sigma_w: float, weights: str) -> dict[str, float]:
    """Return the numbers that the initialisers of libraries are given."""
    found = {"gain": sigma_w}
    return (
        found if weights == "orthogonal" else {**found, "scale": sigma_w**2, "stddev_of_cut": sigma_w / CUT_DEVIATION}
    )


def _baseline_rows(network: NetworkFamily, baseline: Baseline, best: Optimum) -> list[dict[str, Any]]:
    place = {"role": "baseline", "name": baseline.name, "sigma_w": baseline.sigma_w, "sigma_b": baseline.sigma_b}
    return [
        {
            **_network_row(network, baseline.weights),
            **place,
            **_given(baseline.sigma_w, baseline.weights),
            "phase": baseline.phase,
            "chi_1": baseline.chi_1,
            "xi_c": baseline.xi_c,
            "trainable_depth": baseline.trainable_depth,
            "quantity": quantity,
            "information": value,
            "of_best": value / best.value if quantity == best.quantity else math.nan,
        }
        for quantity, value in baseline.values.items()
    ]


def rows_of(found: Recommendation) -> Block:
    """Rows of a recommendation: the best, the best by the other quantity, and the initialisations of others."""
    rows = [_optimum_row(found.network, found.best, "best")]
    if found.other is not None:
        rows.append(_optimum_row(found.network, found.other, "other"))
    for baseline in found.baselines:
        rows += _baseline_rows(found.network, baseline, found.best)
    return _block(rows, found.network.unit)


def rows_of_ranking(found: Sequence[tuple[NetworkFamily, Optimum]], unit: str) -> Block:
    """Rows of the best of each of several networks."""
    return _block([_optimum_row(network, best, "best") for network, best in found], unit)


def _block(rows: list[dict[str, Any]], unit: str) -> Block:
    block: Block = {}
    for column in columns_of(unit):
        if column.dtype == "string":
            block[column.name] = np.array([row.get(column.name) for row in rows], dtype=object)
        else:
            block[column.name] = np.array([row.get(column.name, math.nan) for row in rows], dtype=column.dtype)
    return block
