"""Weight ensembles: how variance passes forward and precision backward through a weight matrix (theory (10)-(12)).

An ensemble is two scalar maps and one term of the potential. Both maps are given as logarithms with their partial
derivatives, because the solver works on logarithms: precisions span twenty orders of magnitude.

For the orthogonal ensemble the stationarity in theta of theory (12) can be solved by hand at any aspect ratio. With
mu = min(1, alpha), M = max(1, alpha):

    V = sigma_w^2 E / (1 - r E / M),    r = alpha sigma_w^2 A / (1 - mu A V),
    r E + alpha A V - F(A E) = -M ln(1 - mu A V)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlog1py

from mfmi.arguments.arrays import FloatArray, Number
from mfmi.channels.elementwise import chosen

# For a channel that exists, A V lies between 0 and 1, and both ends can come very close. A closed bound on a channel
# can leave that range: below 0 the minimum over the remaining variance lies where the precision vanishes, and the map
# stops at this multiple of 1 / V; beyond 1 there is no minimum, and the solver sees so in `1 - A V`.
VANISHING, EXHAUSTED = 1e-30, 1e-16


def gaussian_variance(sigma_w2: Number, e: Number) -> Number:
    """`ln V` of independent entries, `V = sigma_w^2 E`."""
    log: Any = np.log(sigma_w2 * e)
    found: Number = log
    return found


def gaussian_precision(scale: Number, a: Number, v: Number) -> tuple[Number, Number, Number]:
    """`ln r` of independent entries and its slopes as in `LogMap`, with `scale` `alpha sigma_w^2`."""
    inside = a > 0.0
    log = np.log(scale * chosen(inside, a, VANISHING / v))
    return log, chosen(inside, 1.0, 0.0), chosen(inside, 0.0, -1.0)


def gaussian_bracket(sigma_w2: Number, alpha: Number, r: Number, e: Number, a: Number, v: Number) -> Number:
    """`r E + alpha A V - F(A E)` of independent entries, `F(x) = alpha sigma_w^2 x`."""
    return r * e + alpha * a * (v - sigma_w2 * e)


def rotated_variance(sigma_w2: Number, alpha: Number, e: Number, rest: Number) -> tuple[Number, Number, Number]:
    """`ln V` of a rotation and its slopes as in `LogMap`, with `rest = 1 - r E`."""
    wide: Any = np.maximum(1.0, alpha)
    left = ((wide - 1.0) + rest) / wide
    log: Any = np.log(sigma_w2 * e) - np.log(left)
    return log, 1.0 / left, (1.0 - left) / left


def rotated_precision(
    scale: Number, alpha: Number, a: Number, v: Number, rest: Number
) -> tuple[Number, Number, Number]:
    """`ln r` of a rotation and its slopes as in `LogMap`, with `scale` `alpha sigma_w^2` and `rest = 1 - A V`."""
    narrow = np.minimum(1.0, alpha)
    left = (1.0 - narrow) + narrow * rest
    inside = (a > 0.0) & (left > 0.0)
    power = chosen(inside, a, chosen(a > 0.0, 1.0, VANISHING) / v)
    left = chosen(left > 0.0, np.minimum(left, 1.0), EXHAUSTED)
    log = np.log(scale * power) - np.log(left)
    return log, chosen(inside, 1.0 / left, 0.0), chosen(inside, (1.0 - left) / left, -1.0)


def rotated_bracket(alpha: Number, a: Number, v: Number, rest: Number) -> Number:
    """`r E + alpha A V - F(A E)` of a rotation at the stationary theta, with `rest = 1 - A V`."""
    narrow, theta = np.minimum(1.0, alpha), a * v
    # A theta that rounding takes from 1 - theta is all there is in a deep ordered network.
    faint = np.log1p(-narrow * np.minimum(np.maximum(theta, 0.0), 0.5))
    strong = np.log((1.0 - narrow) + narrow * np.minimum(rest, 1.0))
    found: Number = -np.maximum(1.0, alpha) * chosen(theta < 0.5, faint, strong)
    return found


class LogMap(NamedTuple):
    """A positive quantity as its logarithm, with partial derivatives in the logarithms of its two arguments.

    Attributes
    ----------
    log : the logarithm.
    by_message : derivative by the logarithm of the message that enters (E or A).
    by_conjugate : derivative by the logarithm of the other argument (r or V).
    """

    log: FloatArray
    by_message: FloatArray
    by_conjugate: FloatArray | float


class Ensemble(Protocol):
    """L weight matrices of n networks; arrays broadcast to shape (n, L), `alpha` has shape (L,)."""

    @property
    def alpha(self) -> FloatArray:
        """Rows over columns of each matrix."""
        ...

    def variance(self, e: FloatArray, rest: FloatArray) -> LogMap:
        """Remaining variance `V` of the outputs from that of the inputs `E`, with `rest = 1 - r E`."""
        ...

    def precision(self, a: FloatArray, v: FloatArray, rest: FloatArray) -> LogMap:
        """Precision `r` on the inputs from the curvature `A` at outputs of variance `V`, with `rest = 1 - A V`."""
        ...

    def bracket(self, r: FloatArray, e: FloatArray, a: FloatArray, v: FloatArray, rest: FloatArray) -> FloatArray:
        """`r E + alpha A V - F(A E)` of the potential (theory (8)), with `rest = 1 - A V`."""
        ...

    def log_volume(self) -> FloatArray:
        """Mean logarithm of the squared singular values of every matrix that its shape lets be above 0, like alpha."""
        ...

    def take(self, rows: NDArray[np.intp] | slice, layers: slice) -> Ensemble:
        """The ensemble of some of the points and layers."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Independent gaussian entries of variance `sigma_w2 / columns` (theory (10)).

    Attributes
    ----------
    sigma_w2 : shape (n, 1) or (n, L).
    alpha : shape (L,).
    """

    sigma_w2: FloatArray
    alpha: FloatArray

    def variance(self, e: FloatArray, rest: FloatArray) -> LogMap:
        """See `Ensemble.variance`: `V = sigma_w^2 E`."""
        return LogMap(gaussian_variance(self.sigma_w2, e), np.ones_like(e), 0.0)

    def precision(self, a: FloatArray, v: FloatArray, rest: FloatArray) -> LogMap:
        """See `Ensemble.precision`: `r = alpha sigma_w^2 A`."""
        return LogMap(*gaussian_precision(self.alpha * self.sigma_w2, a, v))

    def bracket(self, r: FloatArray, e: FloatArray, a: FloatArray, v: FloatArray, rest: FloatArray) -> FloatArray:
        """See `Ensemble.bracket`: `F(x) = alpha sigma_w^2 x`."""
        return gaussian_bracket(self.sigma_w2, self.alpha, r, e, a, v)

    def stationary_bracket(
        self, r: FloatArray, e: FloatArray, a: FloatArray, v: FloatArray, rest: FloatArray
    ) -> FloatArray:
        """The bracket close to a stationary point, off by the square of what the two maps are off by."""
        return self.bracket(r, e, a, v, rest)

    def log_volume(self) -> FloatArray:
        """See `Ensemble.log_volume`: the mean of the logarithm under the law of Marchenko and Pastur."""
        wide, narrow = np.maximum(1.0, self.alpha), np.minimum(self.alpha, 1.0 / self.alpha)
        return np.log(self.sigma_w2 * wide) - 1.0 - xlog1py((1.0 - narrow) / narrow, -narrow)

    def take(self, rows: NDArray[np.intp] | slice, layers: slice) -> Gaussian:
        """See `Ensemble.take`."""
        return Gaussian(_part(self.sigma_w2, rows, layers), self.alpha[layers])


@dataclass(frozen=True)
class Orthogonal:
    """Haar matrices, all nonzero singular values equal, entries of variance `sigma_w2 / columns` (theory (11)-(12)).

    Attributes
    ----------
    sigma_w2 : shape (n, 1) or (n, L).
    alpha : shape (L,).
    """

    sigma_w2: FloatArray
    alpha: FloatArray

    def variance(self, e: FloatArray, rest: FloatArray) -> LogMap:
        """See `Ensemble.variance`: `V = sigma_w^2 E / (1 - r E / max(1, alpha))`."""
        return LogMap(*rotated_variance(self.sigma_w2, self.alpha, e, rest))

    def precision(self, a: FloatArray, v: FloatArray, rest: FloatArray) -> LogMap:
        """See `Ensemble.precision`: `r = alpha sigma_w^2 A / (1 - min(1, alpha) A V)`."""
        return LogMap(*rotated_precision(self.alpha * self.sigma_w2, self.alpha, a, v, rest))

    def bracket(self, r: FloatArray, e: FloatArray, a: FloatArray, v: FloatArray, rest: FloatArray) -> FloatArray:
        """See `Ensemble.bracket`, at the stationary theta; 0 where the precision vanishes, for `A <= 0`."""
        return rotated_bracket(self.alpha, a, v, rest)

    def stationary_bracket(
        self, r: FloatArray, e: FloatArray, a: FloatArray, v: FloatArray, rest: FloatArray
    ) -> FloatArray:
        """The bracket close to a stationary point, off by the square of what the two maps are off by.

        Theory (12) at `theta = A V`, of which it is stationary; `bracket` has used both maps and is off by as much.
        """
        alpha, theta = self.alpha, a * v
        narrow, wide = np.minimum(1.0, alpha), np.maximum(1.0, alpha)
        left = (1.0 - alpha) + alpha * rest
        inside = self.sigma_w2 * wide * a * e + rest * left
        zeros = np.where(alpha > 1.0, (alpha - 1.0) * np.log(rest), (1.0 - narrow) * np.log(left))
        return np.asarray(r * e - alpha * theta - narrow * np.log(inside) - zeros)

    def log_volume(self) -> FloatArray:
        """See `Ensemble.log_volume`."""
        return np.log(self.sigma_w2 * np.maximum(1.0, self.alpha))

    def take(self, rows: NDArray[np.intp] | slice, layers: slice) -> Orthogonal:
        """See `Ensemble.take`."""
        return Orthogonal(_part(self.sigma_w2, rows, layers), self.alpha[layers])


@dataclass(frozen=True)
class Mixed:
    """Gaussian matrices in some layers and orthogonal ones in the others.

    Attributes
    ----------
    sigma_w2 : shape (n, 1) or (n, L).
    alpha : shape (L,).
    rotates : which matrices are orthogonal, shape (L,).
    """

    sigma_w2: FloatArray
    alpha: FloatArray
    rotates: NDArray[np.bool_]

    @property
    def _both(self) -> tuple[Orthogonal, Gaussian]:
        return Orthogonal(self.sigma_w2, self.alpha), Gaussian(self.sigma_w2, self.alpha)

    def variance(self, e: FloatArray, rest: FloatArray) -> LogMap:
        """See `Ensemble.variance`."""
        return self._chosen(*(one.variance(e, rest) for one in self._both))

    def precision(self, a: FloatArray, v: FloatArray, rest: FloatArray) -> LogMap:
        """See `Ensemble.precision`."""
        return self._chosen(*(one.precision(a, v, rest) for one in self._both))

    def _chosen(self, rotation: LogMap, other: LogMap) -> LogMap:
        return LogMap(*(np.where(self.rotates, *pair) for pair in zip(rotation, other, strict=True)))

    def bracket(self, r: FloatArray, e: FloatArray, a: FloatArray, v: FloatArray, rest: FloatArray) -> FloatArray:
        """See `Ensemble.bracket`."""
        rotation, other = (one.bracket(r, e, a, v, rest) for one in self._both)
        return np.where(self.rotates, rotation, other)

    def log_volume(self) -> FloatArray:
        """See `Ensemble.log_volume`."""
        rotation, other = (one.log_volume() for one in self._both)
        return np.asarray(np.where(self.rotates, rotation, other))

    def take(self, rows: NDArray[np.intp] | slice, layers: slice) -> Ensemble:
        """See `Ensemble.take`."""
        return ensemble_of(_part(self.sigma_w2, rows, layers), self.alpha[layers], self.rotates[layers])


def ensemble_of(sigma_w2: FloatArray, alpha: FloatArray, rotates: NDArray[np.bool_]) -> Ensemble:
    """The matrices of the given scales and shapes, orthogonal where they rotate and gaussian elsewhere; see `Mixed`."""
    if rotates.all():
        return Orthogonal(sigma_w2, alpha)
    return Mixed(sigma_w2, alpha, rotates) if rotates.any() else Gaussian(sigma_w2, alpha)


def _part(values: FloatArray, rows: NDArray[np.intp] | slice, layers: slice) -> FloatArray:
    return values[rows] if values.shape[1] == 1 else values[rows, layers]
