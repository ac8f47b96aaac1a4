"""Laws of the input's entries: Gaussian with a covariance, or a mixture of Gaussians and atoms.

Every law is kept at a scale of its own and stretched to the variance q_x of the network's input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mfmi.arguments.arrays import FloatArray


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
    def entropy(self) -> float:
        """Infinite."""
        return float("inf")

    @property
    def is_white(self) -> bool:
        """Whether all eigenvalues are equal."""
        return min(self.eigenvalues) == max(self.eigenvalues)


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
    def entropy(self) -> float:
        """Return -E ln(weight) of atoms; inf where some component is spread out."""
        return float("inf") if any(self.variances) else float(-np.dot(self.weights, np.log(self.weights)))


InputPrior = GaussianPrior | MixturePrior


def gaussian() -> GaussianPrior:
    """Return independent Gaussian entries of one variance."""
    return GaussianPrior()


def gaussian_spectrum(eigenvalues: Sequence[float] | FloatArray) -> GaussianPrior:
    """Return a Gaussian input with the given eigenvalues of its covariance, up to a common factor.

    Parameters
    ----------
    eigenvalues : sequence of float
        All >= 0, not all 0.

    Raises
    ------
    ValueError
        If the eigenvalues are not such.
    """
    return GaussianPrior(tuple(float(value) for value in eigenvalues))


def rademacher() -> MixturePrior:
    """Return entries that are +1 or -1, each with probability 1/2 (times the requested standard deviation)."""
    return MixturePrior((0.5, 0.5), (-1.0, 1.0), (0.0, 0.0))


def spike_slab(sparsity: float) -> MixturePrior:
    """Return entries that are Gaussian with probability `sparsity` and 0 otherwise.

    Parameters
    ----------
    sparsity : float
        Share rho of the entries that are not 0, 0 < rho <= 1; at entry variance q_x the slab's is q_x / rho.

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
