"""Columns behind the contract's, computed only where they are asked for: each a function of the estimators' problem."""

from __future__ import annotations

from collections.abc import Callable

from mfmi.estimators import Estimate, Problem


def mmse(problem: Problem) -> Estimate:
    """Minimum mean squared error of an input entry given the observed layer: `E_0` of theory (9).

    Between 0 and the input's variance, in units of a squared input entry. It belongs to the full potential, whose
    unknowns are the input and all hidden noise, for the observer knows neither. Rests on the replica formula, as the
    replica value does.
    """
    found = problem.posterior
    return found._replace(value=found.mmse)


REGISTRY: dict[str, Callable[[Problem], Estimate]] = {"mmse": mmse}
