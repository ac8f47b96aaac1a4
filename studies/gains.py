"""The table of docs/howto/which_gain.md: recommended gains of every activation, beside He's initialisation.

    python -m studies.gains docs/howto/which_gain.md

puts today's numbers between the two marks of the page.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mfmi.activations import Activation, get, names
from mfmi.meanfield import edge_of_chaos, fixed_point
from mfmi.recommendation.results import NetworkFamily, NoOptimumError, Optimum
from mfmi.recommendation.search import optimum

DEPTHS = (10, 20, 50)
HE = math.sqrt(2.0)
BEGIN, END = "<!-- gains -->\n", "<!-- end of gains -->\n"
_WITH_BIASES = 20
_TOLERANCE = 1e-3
HEAD = (
    "| activation | edge | gain, 10 layers | 20 | 50 | over He, 10 | 20 | 50 "
    "| with biases, 20: sigma_w | sigma_b | over He |\n"
    f"|---|{'---:|' * 10}\n"
)


@dataclass(frozen=True)
class Gain:
    """A recommendation for one activation and depth.

    Attributes
    ----------
    best : the optimum of linearly readable information.
    he : that information with He's initialisation; 0 where it is lost in rounding, NaN where its variances grow without
        bound, which compares nothing.
    """

    best: Optimum
    he: float

    @property
    def over_he(self) -> str:
        """Its information over that of He's initialisation."""
        if math.isnan(self.he):
            return "unbounded"
        if self.he == 0.0:
            return "all"
        ratio = self.best.value / self.he
        return f"{ratio:.2f}" if ratio < 99.5 else f"{ratio:.1e}"


def gain(phi: Activation, depth: int, sigma_b: float | None) -> Gain | None:
    """Return the recommendation, or None where no linear decoder reads anything.

    Parameters
    ----------
    phi : the activation.
    depth : number of layers.
    sigma_b : standard deviation of the biases; searched for where None.
    """
    network = NetworkFamily(phi, depth)
    try:
        best = optimum(network, "linear", sigma_b, tolerance=_TOLERANCE, plateau=False)
    except NoOptimumError:
        return None
    bounded = fixed_point(phi, sigma_w=HE).phase != "unbounded"
    return Gain(best, float(network.values("linear", [HE], [0.0])[0]) if bounded else math.nan)


def row(name: str) -> str:
    """Return the line of an activation."""
    phi = get(name)
    plain = [gain(phi, depth, 0.0) for depth in DEPTHS]
    biased = gain(phi, _WITH_BIASES, None)
    cells = [f"`{name}`", _edge(phi), *(_scale(one) for one in plain)]
    cells += ["" if one is None else one.over_he for one in plain]
    cells += ["", "", ""] if biased is None else [_scale(biased), f"{biased.best.sigma_b:.2f}", biased.over_he]
    return f"| {' | '.join(cells)} |\n"


def _edge(phi: Activation) -> str:
    if not phi.differentiable:
        return ""
    found = edge_of_chaos(phi, 0.0)
    reached = found.sigma_w[found.reached]
    return f"{reached[0]:.3f}" if len(reached) else ""


def _scale(one: Gain | None) -> str:
    """The standard deviation, with a star where the search has ended at a limit or rests on what repels."""
    if one is None:
        return ""
    return f"{one.best.sigma_w:.3f}{'' if not one.best.limits and one.best.steady else '*'}"


def page(text: str, activations: Iterable[str]) -> str:
    """Return a page with the table between its marks.

    Raises
    ------
    ValueError
        The page has no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN.strip()} or {END.strip()}")
    return f"{before}{BEGIN}\n{HEAD}{''.join(row(name) for name in activations)}\n{END}{after}"


def main(paths: list[str]) -> None:
    """Write the table into pages."""
    for path in paths:
        place = Path(path)
        place.write_text(page(place.read_text(), names()))


if __name__ == "__main__":
    main(sys.argv[1:])
