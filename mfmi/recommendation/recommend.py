"""The recommended initialisation beside the best by the other kind of information and those of others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.initialisers import Preset
from mfmi.initialisers import get as preset
from mfmi.names import TOTAL, usual_estimators
from mfmi.recommendation.beyond import look_beyond
from mfmi.recommendation.results import Baseline, NetworkFamily, NoOptimumError, Recommendation
from mfmi.recommendation.search import ROUGH, hides_sign, optimum

# What recipes and libraries start with, by the names of `mfmi.initialisers`. In square layers lecun, keras.layers.Dense
# and flax.linen.Dense are what glorot is.
BASELINES = ("he", "glorot", "orthogonal", "torch.nn.Linear", "haiku.Linear")


def recommend(
    network: NetworkFamily,
    by: str = "linear",
    sigma_b: float | None = None,
    presets: Sequence[Preset] = (),
    gradients: str = "any",
) -> Recommendation:
    """Find the initialisation that carries most information.

    Parameters
    ----------
    network
        What it is for.
    by
        What to maximise, of `mfmi.names.QUANTITIES`; the linearly readable information by default.
    sigma_b
        Standard deviation of the biases; searched for between 0 and `BIASES_UP_TO` where None.
    presets
        Initialisations to compare with, besides `BASELINES`.
    gradients
        "any": all of the information counts; "kept": as far as `mfmi.recommendation.gradients.kept` leaves it.

    Raises
    ------
    ValueError
        The quantity is unknown, or has no value anywhere for this network.
    """
    best = optimum(network, by, sigma_b, gradients=gradients)
    best = replace(best, beyond=look_beyond(network, best, sigma_b, gradients))
    counterpart = "linear" if by != "linear" else TOTAL
    try:
        other = optimum(network, counterpart, sigma_b, tolerance=ROUGH, plateau=False)
    except NoOptimumError:
        other = None
    there = [(one.sigma_w, one.sigma_b, network.weights) for one in (best, other or best)]
    others = {one.label: one for one in (*map(preset, BASELINES), *presets)}
    # The weights of the others have their own law, also beside an orthogonal ensemble.
    there += [(one.sigma_w, one.sigma_b, _ensemble(one)) for one in others.values()]
    there.append((best.sigma_w, best.sigma_b, "orthogonal"))
    w, b, weights = zip(*there, strict=True)
    values = network.table((by, counterpart), w, b, weights)
    if hides_sign(network):
        values["linear"] = np.zeros_like(values["linear"])
    whole = _replica(network, by, (w[:-1], b[:-1], weights[:-1]), values)
    crossed = {by: float(values[by][1]) if other else math.nan, counterpart: float(values[counterpart][0])}
    end, gradient = network.ends(w, b), network.gradient(w, b)
    baselines = tuple(
        Baseline(
            name,
            w[i],
            b[i],
            weights[i],
            end.phase[i] or "unknown",
            float(end.chi_1[i]),
            float(end.xi_c[i]),
            {q: float(v[i]) for q, v in values.items()},
            float(gradient[i]),
            float(whole[i]),
        )
        for i, name in enumerate(others, 2)
    )
    best = replace(best, replica=float(whole[0]))
    other = other and replace(other, replica=float(whole[1]))
    rotated = float(values[by][-1]) if network.weights == "gaussian" else math.nan
    return Recommendation(network, gradients, best, other, rotated, crossed, baselines)


def _replica(
    network: NetworkFamily,
    by: str,
    places: tuple[Sequence[float], Sequence[float], Sequence[str]],
    values: Mapping[str, FloatArray],
) -> FloatArray:
    """The replica value at some places, NaN of networks that are not plain or so deep that it takes long."""
    if by == "replica":
        return values[by]
    if "replica" not in usual_estimators(network.is_plain, not network.is_plain, len(places[0]) * network.depth):
        return np.full(len(places[0]), math.nan)
    return network.table(("replica",), *places)["replica"]


def _ensemble(one: Preset) -> str:
    return "orthogonal" if one.initialiser.law == "orthogonal" else "gaussian"
