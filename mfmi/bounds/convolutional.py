"""Bounds on convolutions of correlated inputs: means over their frequencies (theory (41)).

Of uncorrelated inputs a convolution is as good as a dense network, and none of this is needed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mfmi.bounds import estimators
from mfmi.bounds.estimate import Estimate, closed, mean_of
from mfmi.bounds.noise import phi_known
from mfmi.bounds.problem import Channels, Problem, phi_full


def mean_field(problem: Problem) -> Estimate:
    """The classic mean-field value (theory (17a)) of every frequency: an approximation, as it is of dense networks."""
    return _mean(problem, estimators.mean_field(problem.by_mode))


def linear(problem: Problem) -> Estimate:
    """Linearly readable information (theory (41)), less the error of cut series: a theorem as in dense networks."""
    found = problem.once("linear", lambda: _mean(problem, _by_both(problem.by_mode, _readable)))
    return found._replace(value=np.maximum(found.value - found.error, 0.0))


def covariance_upper(problem: Problem) -> Estimate:
    """Upper bound by the entropy of a gaussian of the observed covariance of all positions (theory (38), (41)).

    Hidden noise counts as signal. More by the error of cut series.
    """
    full = _mean(problem, _by_both(problem.by_mode, _full))
    raised = np.where(full.converged, full.value + full.error, np.inf)
    crude = problem.maximum_entropy(problem.observed(problem.path.offset_gap))
    value = np.minimum(raised, crude)
    return closed(value)._replace(error=np.where(raised < crude, full.error, 0.0), converged=np.isfinite(value))


def _readable(modes: Problem, channels: Channels) -> Estimate:
    """Of frequencies that the input has."""
    return estimators.linear_by(modes, channels)


def _full(modes: Problem, channels: Channels) -> Estimate:
    return phi_full(modes, channels, unique=True)


def _silent(modes: Problem, channels: Channels, which: Callable[[Problem, Channels], Estimate]) -> Estimate:
    """Of frequencies that the input lacks: the observed layer shows what the layers add, and nothing of the input."""
    found = closed(np.zeros(len(modes.rows)))
    deep = np.flatnonzero((modes.depth > 1) & channels.hidden.has_noise)
    if which is _full and len(deep):
        part = phi_known(modes.take(deep), channels.take(deep), unique=True)
        for whole, some in zip(found, part, strict=True):
            whole[deep] = some
    return found


def _by_both(modes: Problem, which: Callable[[Problem, Channels], Estimate]) -> Estimate:
    """A potential of every frequency, its error counting what the orders beyond the series may change."""
    best = _of_all(modes, modes.linear(), which)
    blunt = modes.blunt()
    if blunt is None:
        return best
    other = _of_all(modes, blunt, which)
    both = best.converged & other.converged
    return best._replace(error=best.error + np.abs(other.value - best.value), converged=both)


def _of_all(modes: Problem, channels: Channels, which: Callable[[Problem, Channels], Estimate]) -> Estimate:
    found = closed(np.full(len(modes.rows), np.nan))
    heard = modes.input_variance > 0.0
    for rows, method in ((np.flatnonzero(heard), which), (np.flatnonzero(~heard), None)):
        if not len(rows):
            continue
        some = modes.take(rows), channels.take(rows)
        part = method(*some) if method is not None else _silent(*some, which)
        for whole, values in zip(found, part, strict=True):
            whole[rows] = values
    return found


def _mean(problem: Problem, found: Estimate) -> Estimate:
    """An estimate of the points from those of their frequencies."""
    assert problem.model.convolution is not None
    return mean_of(found, problem.model.convolution.modes.share)


def _error_of(bound: Callable[[Problem], Estimate]) -> Callable[[Problem], Estimate]:
    def error(problem: Problem) -> Estimate:
        found = bound(problem)
        return found._replace(value=found.error)

    return error


REGISTRY: dict[str, Callable[[Problem], Estimate]] = {
    "mi_mean_field": mean_field,
    "mi_linear": linear,
    "mi_entropy_power": estimators.entropy_power,
    "mi_covariance_upper": covariance_upper,
    "mi_linear_error": _error_of(linear),
    "mi_covariance_upper_error": _error_of(covariance_upper),
}
"""Columns of convolutions of correlated inputs; the Jacobian's are those of dense networks."""

KNOWN = tuple(name.removeprefix("mi_") for name in REGISTRY if not name.endswith("_error"))
"""Estimators of convolutions of correlated inputs."""
