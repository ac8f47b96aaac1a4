"""Networks ranked by their best initialisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mfmi.recommendation.results import NetworkFamily, NoOptimumError, Optimum
from mfmi.recommendation.search import optimum

# Relative accuracy of the sigma_w of a ranking.
_TOLERANCE = 2e-3


@dataclass(frozen=True)
class Ranking:
    """Networks, best first.

    Attributes
    ----------
    by, unit : what was maximised, in "nats" or "bits" per input dimension.
    found : each network with its optimum.
    missing : activations of the networks for which the quantity has no value.
    """

    by: str
    unit: str
    found: tuple[tuple[NetworkFamily, Optimum], ...]
    missing: tuple[str, ...]


def rank(
    candidates: Sequence[tuple[NetworkFamily, float | None]],
    by: str,
    before_each: Callable[[int, NetworkFamily], None] | None = None,
    gradients: str = "any",
) -> Ranking:
    """Find the best initialisation of every network and sort them.

    Parameters
    ----------
    candidates
        Networks, at least one, each with a standard deviation of the biases, or None to search for it.
    by
        What to maximise, of `mfmi.names.QUANTITIES`.
    before_each
        Called with the place of a network and the network before it is looked at.
    gradients
        "any" or "kept", as of `mfmi.recommendation.recommend.recommend`.
    """
    found: list[tuple[NetworkFamily, Optimum]] = []
    missing: dict[str, None] = {}
    for place, (network, sigma_b) in enumerate(candidates):
        if before_each is not None:
            before_each(place, network)
        try:
            best = optimum(network, by, sigma_b, tolerance=_TOLERANCE, plateau=False, gradients=gradients)
            found.append((network, best))
        except NoOptimumError:
            missing[network.activation.name] = None
    found.sort(key=lambda pair: -pair[1].value)
    return Ranking(by, candidates[0][0].unit, tuple(found), tuple(missing))
