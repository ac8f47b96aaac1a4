"""Recommendations of mfmi, as starts."""

from __future__ import annotations

import functools

from mfmi.activations import get
from mfmi.recommendation.results import NetworkFamily
from mfmi.recommendation.search import optimum
from studies.evidence.design import Case
from studies.evidence.starts import Start

# By name: the ensemble, and whether gradients are to be kept. All maximise the linearly readable information.
RECOMMENDED = {
    "any": ("gaussian", "any"),
    "kept": ("gaussian", "kept"),
    "any, orthogonal": ("orthogonal", "any"),
    "kept, orthogonal": ("orthogonal", "kept"),
}
_TOLERANCE = 1e-3


@functools.cache
def recommended(activation: str, depth: int) -> tuple[Start, ...]:
    """Recommendations for a plain network, which need neither data nor width."""
    found = []
    for name, (weights, gradients) in RECOMMENDED.items():
        network = NetworkFamily(get(activation), depth, weights)
        best = optimum(network, "linear", tolerance=_TOLERANCE, plateau=False, gradients=gradients)
        found.append(Start(name, best.sigma_w, best.sigma_b, weights))
    return tuple(found)


def starts(case: Case) -> list[Start]:
    """Recommendations for the networks of a case."""
    return list(recommended(case.activation, case.depth))
