"""Recommendations as rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mfmi.columns import COLUMNS, Column
from mfmi.initialisers import CUT_DEVIATION
from mfmi.recommendation.branches import StreamRecommendation
from mfmi.recommendation.results import Baseline, Beyond, NetworkFamily, Optimum, Recommendation

Block = dict[str, np.ndarray[Any, Any]]

# Columns of the rows of optima and baselines that are attributes of theirs by the same names.
_OF_BOTH = ("sigma_w", "sigma_b", "phase", "chi_1", "xi_c", "trainable_depth", "gradient", "replica")


def columns_of(unit: str) -> tuple[Column, ...]:
    """Columns of the rows, with the information in "nats" or "bits"."""
    known = {column.name: column for column in COLUMNS}
    information = f"{unit} per input dimension"
    return (
        Column(
            "role",
            "string",
            "",
            "best, beyond (a limit of the search), other (the optimum of the other kind of information) or baseline",
        ),
        Column("name", "string", "", "what was maximised, or whose initialisation it is"),
        *(known[name] for name in ("activation", "weights", "noise_at", "sigma_w", "sigma_b", "sigma_noise")),
        *(known[name] for name in ("input_variance", "depth")),
        Column("quantity", "string", "", "the kind of information in the column information"),
        Column("information", "float64", information, "information of that kind at the observed layer"),
        Column(
            "of_best", "float64", "1", "its share of the recommendation's; more than 1 where it keeps gradients less"
        ),
        Column("plateau_low", "float64", "1", "smallest sigma_w within 1 % of the best, by what was maximised"),
        Column("plateau_high", "float64", "1", "largest sigma_w within 1 % of the best, by what was maximised"),
        *(known[name] for name in ("phase", "chi_1", "xi_c")),
        Column("trainable_depth", "float64", "layers", "layers to which such networks train, 6 xi_c"),
        Column("edge", "float64", "1", "sigma_w of the nearest edge of chaos that is reached at that sigma_b"),
        Column("swing", "float64", "1", "growth of a relative error of the first variance; large where it repels"),
        Column("gradient", "float64", "1", "factor by which gradients change from the last layer to the first"),
        Column(
            "limits",
            "string",
            "",
            "what stopped the search: sigma_w, sigma_b or unbounded; empty inside; of beyond, what it is beyond",
        ),
        Column("gain", "float64", "1", "gain of torch.nn.init.xavier_normal_ or orthogonal_ in square layers: sigma_w"),
        Column("scale", "float64", "1", "scale of VarianceScaling by fan-in, of keras and jax: sigma_w^2"),
        Column("stddev_of_cut", "float64", "1", "stddev of TruncatedNormal, which is cut after, times sqrt(fan-in)"),
        Column("replica", "float64", information, "all information at the observed layer, by the replica value"),
    )


def _network_row(network: NetworkFamily, weights: str) -> dict[str, Any]:
    own = {name: getattr(network, name) for name in ("noise_at", "input_variance", "depth")}
    return own | {"activation": network.activation.name, "weights": weights, "sigma_noise": network.deviation}


def _optimum_row(network: NetworkFamily, best: Optimum, role: str) -> dict[str, Any]:
    low, high = best.plateau or (math.nan, math.nan)
    return {
        **_network_row(network, network.weights),
        **{name: getattr(best, name) for name in (*_OF_BOTH, "quantity", "edge", "swing")},
        "role": role,
        "name": best.quantity,
        "information": best.value,
        "of_best": 1.0 if role == "best" else math.nan,
        "plateau_low": low,
        "plateau_high": high,
        "limits": " ".join(best.limits),
        **_given(best.sigma_w, network.weights),
    }


def _beyond_row(network: NetworkFamily, best: Optimum, one: Beyond) -> dict[str, Any]:
    return {
        **_network_row(network, network.weights),
        "role": "beyond",
        "name": best.quantity,
        "sigma_w": one.sigma_w,
        "sigma_b": one.sigma_b,
        "quantity": best.quantity,
        "information": one.value,
        "of_best": one.value / best.value,
        "limits": " ".join(one.limits),
        **_given(one.sigma_w, network.weights),
    }


def _given(sigma_w: float, weights: str) -> dict[str, float]:
    """Return the numbers that the initialisers of libraries are given."""
    found = {"gain": sigma_w}
    return (
        found if weights == "orthogonal" else {**found, "scale": sigma_w**2, "stddev_of_cut": sigma_w / CUT_DEVIATION}
    )


def _baseline_rows(network: NetworkFamily, baseline: Baseline, best: Optimum) -> list[dict[str, Any]]:
    return [
        {
            **_network_row(network, baseline.weights),
            **_given(baseline.sigma_w, baseline.weights),
            **{name: getattr(baseline, name) for name in (*_OF_BOTH, "name")},
            "role": "baseline",
            "quantity": quantity,
            "information": value,
            "of_best": value / best.value if quantity == best.quantity else math.nan,
        }
        for quantity, value in baseline.values.items()
    ]


def rows_of(found: Recommendation) -> Block:
    """Rows of a recommendation: the best, the best by the other quantity, and the initialisations of others."""
    rows = [_optimum_row(found.network, found.best, "best")]
    rows += [_beyond_row(found.network, found.best, one) for one in found.best.beyond]
    if found.other is not None:
        rows.append(_optimum_row(found.network, found.other, "other"))
    for baseline in found.baselines:
        rows += _baseline_rows(found.network, baseline, found.best)
    return _block(rows, found.network.unit)


def rows_of_ranking(found: Sequence[tuple[NetworkFamily, Optimum]], unit: str) -> Block:
    """Rows of the best of each of several networks."""
    return _block([_optimum_row(network, best, "best") for network, best in found], unit)


def columns_of_stream(unit: str) -> tuple[Column, ...]:
    """Columns of the rows of a residual network, with the information in "nats" or "bits"."""
    known = {column.name: column for column in COLUMNS}
    information = f"{unit} per input dimension"
    return (
        Column("role", "string", "", "best (the recommendation, or the scale that was given) or other"),
        Column("name", "string", "", "where the branch scale is from"),
        *(known[name] for name in ("activation", "weights", "noise_at", "sigma_w", "sigma_b", "sigma_noise")),
        Column("sigma_w_out", "float64", "1", "of the matrix that a branch ends with, without the branch scale"),
        *(known[name] for name in ("input_variance", "normalization", "norm_at", "noise_scale", "skip", "branch")),
        *(known[name] for name in ("branch_matrices", "depth")),
        Column("quantity", "string", "", "the kind of information in the column information"),
        Column("information", "float64", information, "linearly readable information at the last layer"),
        Column("kept", "float64", "1", "its share of that at the first layer"),
        Column("mi_lower", "float64", information, "lower bound on the information at the last layer"),
        Column("mi_upper", "float64", information, "upper bound on it"),
        Column("variance_ratio", "float64", "1", "variance of the last layer over that of the first"),
        Column("limits", "string", "", "branch: the largest scale that is looked at; keep: no scale keeps the share"),
    )


def rows_of_stream(found: StreamRecommendation) -> Block:
    """Rows of a residual network: the recommended branch scale, then others."""
    network = found.network
    branches = (found.best, *found.others)
    points = network.points(np.full(len(branches), found.sigma_w), found.sigma_b, branch=[b.scale for b in branches])
    settings = points.settings(np.full((len(branches), 1), network.depth))
    rows = [
        {name: values[i, 0] for name, values in settings.items()}
        | {
            "role": "other" if i else "best",
            "name": branch.name,
            "sigma_w_out": found.sigma_w_out,
            "quantity": "linear",
            "information": branch.value,
            "kept": branch.kept,
            "mi_lower": branch.lower,
            "mi_upper": branch.upper,
            "variance_ratio": branch.growth,
            "limits": "" if i else " ".join(found.limits),
        }
        for i, branch in enumerate(branches)
    ]
    return _filled(rows, columns_of_stream(network.unit))


def _block(rows: list[dict[str, Any]], unit: str) -> Block:
    return _filled(rows, columns_of(unit))


def _filled(rows: Sequence[dict[str, Any]], columns: Sequence[Column]) -> Block:
    block: Block = {}
    for column in columns:
        if column.dtype == "string":
            block[column.name] = np.array([row.get(column.name) for row in rows], dtype=object)
        else:
            block[column.name] = np.array([row.get(column.name, math.nan) for row in rows], dtype=column.dtype)
    return block
