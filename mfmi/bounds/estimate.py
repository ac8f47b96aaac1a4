"""Result of an estimator: its values, their errors, and the uncertainty left about the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray

# Relative difference from which on two values are those of two minima.
_DISTINCT = 1e-7

FAINT = 1e-4
"""Below this the difference of two potentials has lost digits, and the signal is weak enough for a short integral."""
# Nodes of that integral on (0, 1).
_NODES = (0.5 - math.sqrt(1.0 / 12.0), 0.5 + math.sqrt(1.0 / 12.0))


class Estimate(NamedTuple):
    """A value per point, in nats per input dimension.

    Attributes
    ----------
    value : shape (n,); NaN where the estimator does not exist or did not converge.
    residual : mismatch of the stationarity conditions, shape (n,); 0 for closed forms.
    converged : shape (n,).
    mmse : mean squared error that is left of an input entry, shape (n,); NaN where the estimator has none.
    coexisting : whether the potential has two minima, the sign of a first-order transition nearby, shape (n,).
    error : estimated numerical error of the value, shape (n,); 0 in closed form, NaN where there is no estimate. A
        bound is to the safe side by as much.
    """

    value: FloatArray
    residual: FloatArray
    converged: NDArray[np.bool_]
    mmse: FloatArray
    coexisting: NDArray[np.bool_]
    error: FloatArray

    def take(self, chosen: NDArray[np.intp]) -> Estimate:
        """The estimates of some of the points."""
        return Estimate(
            self.value[chosen],
            self.residual[chosen],
            self.converged[chosen],
            self.mmse[chosen],
            self.coexisting[chosen],
            self.error[chosen],
        )


def closed(value: FloatArray) -> Estimate:
    """An estimate in closed form."""
    nowhere = np.zeros(len(value), dtype=bool)
    return Estimate(value, np.zeros_like(value), ~nowhere, np.full_like(value, np.nan), nowhere, np.zeros_like(value))


def faint_information(known: Callable[[float], FloatArray]) -> FloatArray:
    """`Phi_full - Phi_known` of faint signals without cancellation.

    The known potential is the full one at input variance 0, and by stationarity the potential changes with a factor t
    of the input variance only through `J_0(t r_0)`: the difference is the integral of `r_0 E_0 / (2 t)` over t up to 1.
    At weak signals that hardly depends on t, and two Gauss nodes are exact to the fifth order of the signal.

    Parameters
    ----------
    known : `r_0 E_0` of the points at t times their input variance, shape (n,).
    """
    first, second = (0.25 * known(node) / node for node in _NODES)
    return first + second


def smaller(one: Estimate, other: Estimate) -> Estimate:
    """The smaller of two potentials of the same points, where both are known."""
    better = other.value < one.value
    return Estimate(
        value=np.where(better, other.value, one.value),
        residual=np.maximum(one.residual, other.residual),
        converged=one.converged & other.converged,
        mmse=np.where(better, other.mmse, one.mmse),
        coexisting=one.coexisting | (better & (one.value > (1.0 + _DISTINCT) * other.value)),
        error=np.where(better, other.error, one.error),
    )


def largest(estimates: Iterable[Estimate]) -> Estimate:
    """The largest of several lower bounds on one quantity, each of them NaN where it did not converge.

    Each is a bound on its own, so the largest that is known is one. It is `converged` where all of them are: where one
    is not, it might have been larger.
    """
    best, *others = estimates
    for other in others:
        better = other.converged & ~(other.value <= best.value)
        chosen = (np.where(better, one, whole) for one, whole in zip(other, best, strict=True))
        residual, converged = np.maximum(best.residual, other.residual), best.converged & other.converged
        best = Estimate(*chosen)._replace(residual=residual, converged=converged)
    return best


def mean_of(found: Estimate, share: FloatArray) -> Estimate:
    """The mean of an estimate over the parts of a point, a point's one after the other, `share` of shape (F,).

    Of shares that do not sum to 1, what these parts add to a mean; see `together`.
    """
    shape = -1, len(share)
    value, residual, mmse, error = (
        part.reshape(shape) for part in (found.value, found.residual, found.mmse, found.error)
    )
    converged = np.asarray(found.converged.reshape(shape).all(axis=1))
    # Not a product of matrices, whose rounding depends on how many points there are.
    value, error, mmse = ((part * share).sum(axis=1) for part in (value, error, mmse))
    value, error = (np.where(converged, part, np.nan) for part in (value, error))
    coexisting = np.asarray(found.coexisting.reshape(shape).any(axis=1))
    return Estimate(value, residual.max(axis=1), converged, mmse, coexisting, error)


def together(parts: Sequence[Estimate]) -> Estimate:
    """A mean of the same points from what several of their parts add to it."""
    best, *others = parts
    for other in others:
        best = Estimate(
            best.value + other.value,
            np.maximum(best.residual, other.residual),
            best.converged & other.converged,
            best.mmse + other.mmse,
            best.coexisting | other.coexisting,
            best.error + other.error,
        )
    return best
