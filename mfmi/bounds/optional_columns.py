"""Optional columns after the contract's, computed on request.

Each is a function of the estimators' problem (`REGISTRY`), of the finished columns of the contract (`DERIVED`), or of
the points and a data set (`pairwise`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import get as get_activation
from mfmi.arguments.arrays import FloatArray
from mfmi.attainable import attained, initial_gain
from mfmi.attainable import efficiency as share_of
from mfmi.bounds.estimate import Estimate, closed
from mfmi.bounds.estimators import covariance_upper, fisher, gaussian_upper, layerwise, linear, replica
from mfmi.bounds.problem import Problem
from mfmi.datasets import InputPairs, pairwise_bounds
from mfmi.jacobian import jacobian_moments
from mfmi.names import OBSERVABLES, WEIGHTS
from mfmi.networks.model import DataSet, Model
from mfmi.networks.points import Points
from mfmi.networks.priors import GaussianPrior
from mfmi.networks.weights import Weights

Rows = Mapping[str, NDArray[Any]]


def mmse(problem: Problem) -> Estimate:
    """Minimum mean squared error of an input entry given the observed layer: `E_0` of theory (9).

    Between 0 and the input's variance, in units of a squared input entry. It belongs to the full potential, whose
    unknowns are the input and all hidden noise, for the observer knows neither. Rests on the replica formula, as the
    replica value does.
    """
    found = problem.posterior
    return found._replace(value=found.mmse)


def error_of(estimator: Callable[[Problem], Estimate]) -> Callable[[Problem], Estimate]:
    """Estimated numerical error of an estimator, nats per input dimension, by which a bound has been moved already.

    At the stationary point the error of every channel enters as it is: those of the tables of closed channels, between
    their sites and by their quadrature, of those of the exact channel, as their quadrature estimates them, and of an
    observed activation; then rounding, of both potentials where there is hidden noise, and what the search has left.
    It is 0 where a bound without tables is the better one. What the conjecture and finite widths make of the replica
    value is another matter.
    """

    def error(problem: Problem) -> Estimate:
        found = estimator(problem)
        return found._replace(value=found.error)

    return error


def jacobian_mean(problem: Problem) -> Estimate:
    """Mean of the squared singular values of the Jacobian, theory (21); NaN without a derivative."""
    return _jacobian_moment(problem, 0)


def jacobian_variance(problem: Problem) -> Estimate:
    """Variance of the squared singular values of the Jacobian, theory (21); NaN without a derivative."""
    return _jacobian_moment(problem, 1)


def _jacobian_moment(problem: Problem, which: int) -> Estimate:
    path = problem.path
    alpha = problem.model.ratios(path.s.shape[1])
    known = problem.weights if problem.weights in WEIGHTS else problem.layer_weights.eigenvalue_spread(alpha)
    moments = jacobian_moments(problem.propagation.phi, path, problem.layer_sigma_w2, known, alpha)
    value = problem.observed(moments[which])
    return closed(np.where(np.isfinite(value), value, np.nan))


def efficiency(rows: Rows, model: Model) -> FloatArray:
    """Return `mi_lower` over the capacity (22), at the largest gains that the same initialisation has.

    The largest squared singular value of a weight matrix and the steepest slope of the activation limit what any
    network of this architecture passes on. For white inputs and an observed layer that is the smallest the capacity is
    the ceiling (23) too, so that the value is a lower bound of the share that the initialisation makes use of, and at
    most 1.

    Parameters
    ----------
    rows
        Columns of the contract, of one shape, information in nats.
    model
        What the networks have in common.

    Returns
    -------
    ndarray
        Of that shape; NaN where there is no lower bound or the capacity is infinite or 0, for layers of different
        sigma_w, for inputs that are not Gaussian, of which neither (22) nor (23) speaks, and for correlated inputs of a
        convolution.
    """
    value = np.full(rows["mi_lower"].shape, np.nan)
    if not isinstance(model.prior, GaussianPrior) or model.scales is not None or model.mixes:
        return value
    spectrum = None if model.has_plain_input else model.prior.eigenvalues
    slopes = {name: float(get_activation(name).lipschitz) for name in dict.fromkeys(rows["activation"].flat)}
    steepest = np.vectorize(slopes.get, otypes=[np.float64])(rows["activation"])
    ratios = model.ratios(int(rows["depth"].max()))
    for label in dict.fromkeys(rows["weights"].flat):
        own = rows["weights"] == label
        most = attained(
            label if label in WEIGHTS else _largest_gains(model.weights_of(label), ratios),
            np.square(rows["sigma_w"][own]),
            steepest[own],
            np.square(rows["sigma_noise"][own]),
            rows["input_variance"][own],
            rows["depth"][own],
            spectrum,
            alpha=ratios,
        )
        value[own] = share_of(rows["mi_lower"][own], most)
    return value


def _largest_gains(weights: Weights, alpha: FloatArray) -> FloatArray:
    """Largest squared singular value of the weights of every layer where `sigma_w` is 1."""
    layers = ((weights.at(i + 1), ratio) for i, ratio in enumerate(alpha))
    return np.array([initial_gain(own, 1.0, a) if isinstance(own, str) else own.gain(a) for own, a in layers])


REGISTRY: dict[str, Callable[[Problem], Estimate]] = {
    "mmse": mmse,
    "mi_replica_error": error_of(replica),
    "mi_layerwise_error": error_of(layerwise),
    "mi_fisher_error": error_of(fisher),
    "mi_gaussian_upper_error": error_of(gaussian_upper),
    "mi_linear_error": error_of(linear),
    "mi_covariance_upper_error": error_of(covariance_upper),
    "jacobian_mean": jacobian_mean,
    "jacobian_variance": jacobian_variance,
}
DERIVED: dict[str, Callable[[Rows, Model], FloatArray]] = {"efficiency": efficiency}


def pairwise(
    points: Points, layers: NDArray[np.intp], data: DataSet, observe: str = OBSERVABLES[0]
) -> tuple[FloatArray, FloatArray]:
    """Return the pairwise bounds of a data set (theory (20)), in total nats, averaged over networks of its width.

    Parameters
    ----------
    points
        n points.
    layers
        Their observed layers, shape (n, D).
    data
        The inputs, and the width of all layers.
    observe
        As in `mfmi.networks.model.Model`. Of an activation that is not strictly monotone the lower bound is NaN, and
        the upper one that of its pre-activation, which carries more information.

    Returns
    -------
    lower, upper : ndarray
        Shape (n, D), between 0 and the logarithm of the number of inputs; NaN for noise in every layer, for which there
        are no such bounds, and for weights other than gaussian and orthogonal ones.
    """
    lower, upper = np.full((2, *layers.shape), np.nan)
    pairs = _pairs_of(data)
    for i in range(len(points)):
        if points.noise_at[i] != "output" or points.weights[i] not in WEIGHTS:
            continue
        depths, place = np.unique(layers[i], return_inverse=True)
        found = pairwise_bounds(
            get_activation(points.activation[i]),
            pairs,
            sigma_w2=float(points.sigma_w[i]) ** 2,
            sigma_b2=float(points.sigma_b[i]) ** 2,
            noise_variance=float(points.sigma_noise[i]) ** 2,
            width=data.width,
            depths=depths.tolist(),
            weights=points.weights[i],
            seed=data.seed,
        )
        upper[i] = found.upper[place]
        if observe == OBSERVABLES[0] or get_activation(points.activation[i]).strictly_monotone:
            lower[i] = found.lower[place]
    return lower, upper


@lru_cache(maxsize=2)
def _pairs_of(data: DataSet) -> InputPairs:
    """All networks of a process look at the same pairs."""
    return InputPairs(data.inputs)
