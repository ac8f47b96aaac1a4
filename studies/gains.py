"""The table of docs/howto/which_gain.md: recommended gains of every activation, beside He's initialisation.

    python -m studies.gains docs/howto/which_gain.md

puts today's numbers between the two marks of the page.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mfmi.activations import Activation, get, names
from mfmi.meanfield import edge_of_chaos, fixed_point
from mfmi.recommendation.results import NetworkFamily, NoOptimumError, Optimum
from mfmi.recommendation.search import optimum
from studies.evidence.design import Case
from studies.evidence.runs import read

DEPTHS = (10, 20, 50)
HE = math.sqrt(2.0)
BEGIN, END = "<!-- gains -->\n", "<!-- end of gains -->\n"
_WITH_BIASES = 20
_TOLERANCE = 1e-3
RUNS = Path(__file__).parents[1] / "docs" / "data" / "evidence_runs.csv"
# The starts whose accuracies stand in the table: the recommendation with biases, He's, that with orthogonal weights.
_TRAINED = ("any", "he", "any, orthogonal")
HEAD = (
    "| activation | edge | gain, 10 layers | 20 | 50 | over He, 10 | 20 | 50 "
    "| with biases, 20: sigma_w | sigma_b | over He "
    + "".join(f"| accuracy, {depth} | He's | orthogonal " for depth in DEPTHS)
    + "|\n"
    f"|---|{'---:|' * (10 + 3 * len(DEPTHS))}\n"
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
    cells += [accuracy(name, start, depth) for depth in DEPTHS for start in _TRAINED]
    return f"| {' | '.join(cells)} |\n"


@functools.cache
def _digits() -> dict[tuple[str, str, int], list[float]]:
    """Test accuracies of the networks of docs/evidence.md, by activation, start and depth."""
    found: dict[tuple[str, str, int], list[float]] = {}
    for run in read(RUNS):
        if run.case == Case("digits", run.activation, run.depth):
            # One that diverged answers at random.
            right = 0.1 if math.isnan(run.test_accuracy) else run.test_accuracy
            found.setdefault((run.activation, run.start, run.depth), []).append(right)
    return found


def accuracy(name: str, start: str, depth: int) -> str:
    """Return the mean test accuracy in percent, empty where none were trained."""
    values = _digits().get((name, start, depth))
    return "" if values is None else f"{100.0 * sum(values) / len(values):.0f}"


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
