"""Columns behind the contract's, computed only where they are asked for.

Each is a function of the estimators' problem (`REGISTRY`) or of the finished columns of the contract (`DERIVED`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import get as get_activation
from mfmi.capacity import attained
from mfmi.capacity import efficiency as share_of
from mfmi.isometry import jacobian_moments
from mfmi.model import SQUARE, Model
from mfmi.names import WEIGHTS
from mfmi.problem import Estimate, Problem, closed

Array = NDArray[np.float64]
Rows = Mapping[str, NDArray[Any]]


def mmse(problem: Problem) -> Estimate:
    """Minimum mean squared error of an input entry given the observed layer: `E_0` of theory (9).

    Between 0 and the input's variance, in units of a squared input entry. It belongs to the full potential, whose
    unknowns are the input and all hidden noise, for the observer knows neither. Rests on the replica formula, as the
    replica value does.
    """
    found = problem.posterior
    return found._replace(value=found.mmse)


def jacobian_mean(problem: Problem) -> Estimate:
    """Mean of the squared singular values of the Jacobian, theory (21); NaN without a derivative."""
    return _jacobian_moment(problem, 0)


def jacobian_variance(problem: Problem) -> Estimate:
    """Variance of the squared singular values of the Jacobian, theory (21); NaN without a derivative."""
    return _jacobian_moment(problem, 1)


def _jacobian_moment(problem: Problem, which: int) -> Estimate:
    path = problem.path
    alpha = problem.model.ratios(path.s.shape[1])
    moments = jacobian_moments(problem.propagation.phi, path, problem.sigma_w2, problem.weights, alpha)
    value = problem.observed(moments[which])
    return closed(np.where(np.isfinite(value), value, np.nan))


def efficiency(rows: Rows, model: Model) -> Array:
    """Return `mi_lower` over the capacity (22), at the largest gains that the same initialisation has.

    The largest squared singular value of a weight matrix and the steepest slope of the activation limit what any
    network of this architecture passes on. For white inputs the capacity is the ceiling (23) too, so that the value is
    a lower bound of the share that the initialisation makes use of, and at most 1.

    Parameters
    ----------
    rows
        Columns of the contract, of one shape, information in nats.
    model
        What the networks have in common.

    Returns
    -------
    ndarray
        Of that shape; NaN where there is no lower bound or the capacity is infinite or 0, and for any model but square
        layers.
    """
    if model != SQUARE:
        return np.full(rows["mi_lower"].shape, np.nan)
    slopes = {name: float(get_activation(name).lipschitz) for name in dict.fromkeys(rows["activation"].flat)}
    steepest = np.vectorize(slopes.get, otypes=[np.float64])(rows["activation"])
    value = np.full(rows["mi_lower"].shape, np.nan)
    for weights in WEIGHTS:
        own = rows["weights"] == weights
        most = attained(
            weights,
            np.square(rows["sigma_w"][own]),
            steepest[own],
            np.square(rows["sigma_noise"][own]),
            rows["input_variance"][own],
            rows["depth"][own],
        )
        value[own] = share_of(rows["mi_lower"][own], most)
    return value


REGISTRY: dict[str, Callable[[Problem], Estimate]] = {
    "mmse": mmse,
    "jacobian_mean": jacobian_mean,
    "jacobian_variance": jacobian_variance,
}
DERIVED: dict[str, Callable[[Rows, Model], Array]] = {"efficiency": efficiency}
