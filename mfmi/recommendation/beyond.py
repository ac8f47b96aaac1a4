"""Beyond the limits that a search has ended at: looked at and said, never recommended."""

from __future__ import annotations

import math

import numpy as np

from mfmi.processes.progress import stage
from mfmi.recommendation.results import Beyond, NetworkFamily, Optimum
from mfmi.recommendation.search import BIASES_UP_TO, Search, climb, searched
from mfmi.recommendation.stencil import Stencil

# So many times farther out than the search.
FARTHER = 4.0
# Relative accuracy of the sigma_w there, which is said and not used.
_TOLERANCE = 1e-2
# First steps along ln(sigma_w) and sigma_b: the range is crossed in fewer steps than a climb has.
_STEPS = (0.1, 0.5)
# Where variances grow without bound, the place is looked at where that of the observed layer is so many times as large;
# distances from the limit, as shares of sigma_w, among which it is looked for.
GROWN = 10.0
_DISTANCES = np.geomspace(1e-4, 2.0, 60)


def look_beyond(network: NetworkFamily, best: Optimum, sigma_b: float | None, gradients: str) -> tuple[Beyond, ...]:
    """Look beyond each limit of a search: climb on from there, and into the phase of unbounded variances.

    Parameters
    ----------
    network, sigma_b, gradients
        As in `mfmi.recommendation.recommend.recommend`.
    best
        Where the search has ended.

    Returns
    -------
    tuple of Beyond
        First of the ends of the range, then of the phase "unbounded"; empty for an optimum inside.
    """
    ends = tuple(limit for limit in best.limits if limit != "unbounded")
    found = [_climbed_on(network, best, ends, sigma_b, gradients)] if ends else []
    if "unbounded" in best.limits:
        found += _unbounded(network, best)
    return tuple(found)


def _climbed_on(
    network: NetworkFamily, best: Optimum, ends: tuple[str, ...], sigma_b: float | None, gradients: str
) -> Beyond:
    """The maximum that is reached from the end of the search, with a range that is `FARTHER` times as wide."""
    (low, high), sigma_b = searched(network, sigma_b)
    if "sigma_w" in ends:
        low, high = low / FARTHER, high * FARTHER
    most = BIASES_UP_TO * (FARTHER if "sigma_b" in ends else 1.0)
    bounds = ((math.log(low), math.log(high)), (0.0, most) if sigma_b is None else (sigma_b, sigma_b))
    steps = tuple(step if left < right else 0.0 for step, (left, right) in zip(_STEPS, bounds, strict=True))
    search = Search(network, best.quantity, gradients)
    search(best.sigma_w, best.sigma_b)
    with stage(f"beyond the search, {network.activation.name}, {best.quantity}", 1.0) as work:
        start = Stencil((math.log(best.sigma_w), best.sigma_b), (steps[0], steps[1]), bounds)
        climb(search, [start], _TOLERANCE, work)
    w, b = search.best
    close = 1.0 + 3.0 * _TOLERANCE
    at_end = ("sigma_w" in ends and (w <= low * close or w >= high / close)) or (
        "sigma_b" in ends and b >= most - 20.0 * _TOLERANCE
    )
    before, after = network.variance([best.sigma_w, w], [best.sigma_b, b])
    return Beyond(ends, w, b, search.whole[w, b], at_end, float(after / before))


def _unbounded(network: NetworkFamily, best: Optimum) -> list[Beyond]:
    """The place where variances have grown by `GROWN`, as near as the distances come; none where all grow by more."""
    w = best.sigma_w * (1.0 + np.concatenate(([0.0], _DISTANCES)))
    with np.errstate(over="ignore", invalid="ignore"):
        growth = network.variance(w, best.sigma_b)
        growth = growth / growth[0]
    at = int(np.flatnonzero(growth <= GROWN)[-1])
    if at == 0:
        return []
    value = float(network.values(best.quantity, w[at], best.sigma_b)[0])
    return [Beyond(("unbounded",), float(w[at]), best.sigma_b, value, True, float(growth[at]))]
