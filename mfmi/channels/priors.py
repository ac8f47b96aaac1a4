"""Input channels: the information J_0(r) = I(x; sqrt(r) x + n) about one input entry, for the laws it may have.

Every law is kept at a scale of its own and stretched to the variance q_x that is asked for: J_0(r; q_x) depends on
r q_x only. See theory section 3, "Other ends of the chain".
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.panels import REACH, information_of_density, normal_density, panel_nodes, partition, sum_by_row

LAYER = np.array([0.0, 1.0, 2.0, 3.0, 4.2, 5.4, 6.8, REACH])
CROSSING = np.array([0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 32.0])
ORDER = 10
BLOCK = 4_000
LARGEST_CROSSING = 76.0
"""Distance of two atoms, in units of the noise, at which their confusion underflows."""


class InputChannel(NamedTuple):
    """J_0 in nats, E_0 = 2 dJ_0/dr and dE_0/dr, arrays of the shape of r."""

    j: FloatArray
    e: FloatArray
    e_r: FloatArray


class InputPrior(Protocol):
    """The law of the independent entries of the input."""

    @property
    def negentropy(self) -> float:
        """Entropy of a Gaussian of the same variance less h(x), nats per entry; NaN where the law has no density."""

    @property
    def entropy(self) -> float:
        """Entropy of an entry in nats where it has finitely many values, else inf."""

    def channel(self, r: ArrayLike, variance: ArrayLike = 1.0) -> InputChannel:
        """Evaluate J_0 and its derivatives at precisions r, for entries of the given variance."""


def _arguments(r: ArrayLike, variance: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Broadcast and check the arguments of an input channel."""
    precision, scale = np.broadcast_arrays(np.asarray(r, dtype=np.float64), np.asarray(variance, dtype=np.float64))
    for name, values, good in (("r", precision, precision >= 0.0), ("variance", scale, scale > 0.0)):
        good = good & np.isfinite(values)
        if not np.all(good):
            raise ValueError(f"{name} is out of range: {float(values[~good].flat[0])!r}")
    return precision, scale


@dataclass(frozen=True)
class GaussianPrior:
    """Gaussian entries whose covariance has the given eigenvalues, all equal by default.

    The weights are invariant under rotations, so that the eigenvectors do not matter.

    Parameters
    ----------
    eigenvalues : tuple of float
        Relative eigenvalues, >= 0 and not all 0; only their ratios matter, the mean is what `variance` says.
    """

    eigenvalues: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        values = np.asarray(self.eigenvalues, dtype=np.float64)
        if (
            values.ndim != 1
            or not values.size
            or not np.all(np.isfinite(values))
            or np.any(values < 0.0)
            or not np.any(values)
        ):
            raise ValueError(f"eigenvalues must be finite, >= 0 and not all 0, got {self.eigenvalues!r}")
        object.__setattr__(self, "eigenvalues", tuple(float(value) for value in values / np.mean(values)))

    @property
    def negentropy(self) -> float:
        """Return -E ln(mu)/2 of the relative eigenvalues; NaN where one is 0."""
        values = np.asarray(self.eigenvalues)
        return float("nan") if np.any(values == 0.0) else float(-0.5 * np.mean(np.log(values)))

    @property
    def entropy(self) -> float:
        """Infinite."""
        return float("inf")

    @property
    def is_white(self) -> bool:
        """Whether all eigenvalues are equal."""
        return min(self.eigenvalues) == max(self.eigenvalues)

    def channel(self, r: ArrayLike, variance: ArrayLike = 1.0) -> InputChannel:
        """Return J_0 = E ln(1 + r mu)/2 and its derivatives.

        Parameters
        ----------
        r : array_like
            Precisions >= 0.
        variance : array_like
            Mean eigenvalue, > 0; broadcasts with `r`.

        Returns
        -------
        InputChannel
            Arrays of the broadcast shape.

        Raises
        ------
        ValueError
            If an argument is out of range.
        """
        precision, scale = _arguments(r, variance)
        information, remaining, slope = (np.zeros(precision.shape) for _ in range(3))
        values, counts = np.unique(np.asarray(self.eigenvalues), return_counts=True)
        for eigenvalue, count in zip(values, counts, strict=True):
            share = count / len(self.eigenvalues)
            mu = scale * eigenvalue
            left = mu / (1.0 + precision * mu)
            information += 0.5 * share * np.log1p(precision * mu)
            remaining += share * left
            slope -= share * left * left
        return InputChannel(information, remaining, slope)


@dataclass(frozen=True)
class MixturePrior:
    """Entries from a finite mixture of Gaussians and atoms.

    Parameters
    ----------
    weights, means, variances : tuple of float
        One entry a component; weights sum to 1, a variance of 0 is an atom.
    """

    weights: tuple[float, ...]
    means: tuple[float, ...]
    variances: tuple[float, ...]

    def __post_init__(self) -> None:
        weights, variances = np.array(self.weights), np.array(self.variances)
        if not (len(self.weights) == len(self.means) == len(self.variances) > 0):
            raise ValueError(f"weights, means and variances must have one length, got {self!r}")
        if np.any(weights <= 0.0) or abs(float(np.sum(weights)) - 1.0) > 1e-12:
            raise ValueError(f"weights must be positive and sum to 1, got {self.weights!r}")
        if np.any(variances < 0.0) or self.variance <= 0.0:
            raise ValueError(f"variances must be >= 0 and the mixture's > 0, got {self.variances!r}")

    @property
    def mean(self) -> float:
        """E x at the mixture's own scale."""
        return float(np.dot(self.weights, self.means))

    @property
    def variance(self) -> float:
        """Var x at the mixture's own scale."""
        return float(np.dot(self.weights, np.square(self.means) + np.array(self.variances)) - self.mean**2)

    @property
    def negentropy(self) -> float:
        """Return NaN with an atom; else the excess of a Gaussian's entropy, from J_0 at high precision."""
        if 0.0 in self.variances:
            return float("nan")
        # J_0(r) - ln(r)/2 - h(n) tends to h(x), with an error of the Fisher information over 2 r
        r = 1e10 / min(self.variances)
        return float(0.5 * np.log1p(r) - self.channel(r, 1.0).j)

    @property
    def entropy(self) -> float:
        """Return -E ln(weight) of atoms; inf where some component is spread out."""
        return float("inf") if any(self.variances) else float(-np.dot(self.weights, np.log(self.weights)))

    def channel(self, r: ArrayLike, variance: ArrayLike = 1.0) -> InputChannel:
        """Return J_0 and its derivatives by quadrature.

        Parameters
        ----------
        r : array_like
            Precisions >= 0.
        variance : array_like
            Variance of an entry, > 0; broadcasts with `r`.

        Returns
        -------
        InputChannel
            Arrays of the broadcast shape, relatively accurate to 1e-10 (J and, where it is above 1e-12, E).

        Raises
        ------
        ValueError
            If an argument is out of range.
        """
        precision, scale = _arguments(r, variance)
        stretch = scale / self.variance
        own = np.ravel(precision * stretch)
        parts = [np.zeros(own.size) for _ in range(3)]
        some = np.flatnonzero(own > 0.0)
        for rows in np.array_split(some, max(1, len(some) // BLOCK)):
            if len(rows):
                for part, values in zip(parts, self._quadrature(own[rows]), strict=True):
                    part[rows] = values
        parts[1][own == 0.0], parts[2][own == 0.0] = self.variance, -(self.variance**2)
        information, remaining, slope = (part.reshape(precision.shape) for part in parts)
        return InputChannel(information, remaining * stretch, slope * stretch * stretch)

    def _quadrature(self, r: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """J_0, E_0 and dE_0/dr = -E Var(x|y)^2 at the mixture's own scale."""
        n, root = len(r), np.sqrt(r)
        weights, means, variances = (np.array(part) for part in (self.weights, self.means, self.variances))
        centre, spread = root[:, None] * means, np.sqrt(1.0 + r[:, None] * variances)
        wide = np.sqrt(1.0 + r * self.variance)
        middle = root * self.mean
        edge = np.minimum(wide, 1.3)
        lower = np.minimum(np.min(centre - REACH * spread, axis=1), middle - REACH * edge)
        upper = np.maximum(np.max(centre + REACH * spread, axis=1), middle + REACH * edge)
        layer = np.concatenate([-LAYER[:0:-1], LAYER])
        cut, spacing = self._crossings(root)
        cut = np.concatenate([cut, (centre[:, :, None] + spread[:, :, None] * layer).reshape(n, -1)], axis=1)
        row, column = np.nonzero(np.isfinite(cut))
        row, low, high = partition(row, cut[row, column], lower, upper, spacing)
        y, step = panel_nodes(low, high, ORDER)
        standard = (y[:, :, None] - centre[row, None, :]) / spread[row, None, :]
        likely = weights * normal_density(standard) / spread[row, None, :]
        density = np.sum(likely, axis=2)
        post = likely / np.where(density > 0.0, density, 1.0)[:, :, None]
        guess = means + root[row, None, None] * variances * standard / spread[row, None, :]
        # a spread around the mean has no cancellation, and is exactly 0 for one atom
        gap = guess - np.sum(post * guess, axis=2, keepdims=True)
        variance = np.sum(post * (variances / (spread * spread)[row, None, :] + gap * gap), axis=2)
        information = information_of_density(density, y, step, row, r * self.variance, middle)
        mass = step * density
        remaining = sum_by_row(row, np.sum(mass * variance, axis=1), n)
        return information, remaining, -sum_by_row(row, np.sum(mass * variance * variance, axis=1), n)

    def _crossings(self, root: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Break points where the posterior passes from one component to the next, and each row's finest panel."""
        n = len(root)
        order = np.argsort(self.means, kind="stable")
        spacing, cuts = np.full(n, 0.3), [np.empty((n, 0))]
        ladder = np.concatenate([-CROSSING[:0:-1], CROSSING])
        for i, j in itertools.pairwise(order):
            if self.variances[i] > 0.0 or self.variances[j] > 0.0:
                continue
            distance = root * (self.means[j] - self.means[i])
            sharp = (distance > 0.0) & (distance < LARGEST_CROSSING)
            step = np.where(sharp, 1.0 / np.where(sharp, distance, 1.0), np.nan)
            odds = np.log(self.weights[i] / self.weights[j])
            point = 0.5 * root * (self.means[i] + self.means[j]) + odds * step
            cuts.append(point[:, None] + step[:, None] * ladder)
            spacing = np.fmin(spacing, 0.5 * step)
        return np.concatenate(cuts, axis=1), spacing


def gaussian() -> GaussianPrior:
    """Return independent Gaussian entries of one variance.

    Returns
    -------
    GaussianPrior
    """
    return GaussianPrior()


def gaussian_spectrum(eigenvalues: Sequence[float] | FloatArray) -> GaussianPrior:
    """Return a Gaussian input with the given eigenvalues of its covariance, up to a common factor.

    Parameters
    ----------
    eigenvalues : sequence of float
        All >= 0, not all 0.

    Returns
    -------
    GaussianPrior

    Raises
    ------
    ValueError
        If the eigenvalues are not such.
    """
    return GaussianPrior(tuple(float(value) for value in eigenvalues))


def rademacher() -> MixturePrior:
    """Return entries that are +1 or -1, each with probability 1/2 (times the deviation asked for).

    Returns
    -------
    MixturePrior
    """
    return MixturePrior((0.5, 0.5), (-1.0, 1.0), (0.0, 0.0))


def spike_slab(sparsity: float) -> MixturePrior:
    """Return entries that are Gaussian with probability `sparsity` and 0 otherwise.

    Parameters
    ----------
    sparsity : float
        Share rho of the entries that are not 0, 0 < rho <= 1; at entry variance q_x the slab's is q_x / rho.

    Returns
    -------
    MixturePrior

    Raises
    ------
    ValueError
        If `sparsity` is out of range.
    """
    if not 0.0 < sparsity <= 1.0:
        raise ValueError(f"sparsity must lie in (0, 1], got {sparsity!r}")
    if sparsity == 1.0:
        return MixturePrior((1.0,), (0.0,), (1.0,))
    return MixturePrior((1.0 - sparsity, sparsity), (0.0, 0.0), (0.0, 1.0))
