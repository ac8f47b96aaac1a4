"""Second moments of the input: white, a spectrum, or a full matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.arguments.checks import check_size
from mfmi.arguments.ranges import MOST_ENTRIES, NUMBERS
from mfmi.attainable._symmetry import Orbits, invariant_covariance, reynolds


@dataclass(frozen=True, eq=False)
class InputCovariance:
    """Covariance of the input.

    Build one with `white`, `from_spectrum`, `from_matrix` or `from_samples`.

    Attributes
    ----------
    eigenvalues : all n_0 of them, in decreasing order.
    matrix : the covariance itself, shape (n_0, n_0); None where only the spectrum is known, or white.
    is_white : all eigenvalues are equal.
    """

    eigenvalues: FloatArray
    matrix: FloatArray | None = None
    is_white: bool = False

    @property
    def n_0(self) -> int:
        """Number of input entries."""
        return len(self.eigenvalues)

    @classmethod
    def white(cls, n_0: int, variance: float = 1.0) -> InputCovariance:
        """Return uncorrelated entries of one variance."""
        if n_0 < 1:
            raise ValueError(f"n_0 must be at least 1, not {n_0}")
        check_size("variance", variance, NUMBERS["eigenvalues"])
        if n_0 > MOST_ENTRIES:
            raise ValueError(f"n_0 must be at most {MOST_ENTRIES:,}, not {n_0:,}")
        return cls(np.full(n_0, float(variance)), is_white=True)

    @classmethod
    def from_spectrum(cls, eigenvalues: ArrayLike) -> InputCovariance:
        """Return a covariance of which only the eigenvalues are known, shape (n_0,)."""
        spectrum = np.asarray(eigenvalues, dtype=np.float64)
        if spectrum.ndim != 1 or spectrum.size == 0:
            raise ValueError(f"eigenvalues must be a list of numbers, not an array of shape {spectrum.shape}")
        if not (np.isfinite(spectrum).all() and (spectrum >= 0.0).all()):
            raise ValueError("eigenvalues must be finite and not negative")
        ordered = np.sort(spectrum)[::-1]
        check_size("largest eigenvalue", float(ordered[0]), NUMBERS["eigenvalues"])
        return cls(ordered, is_white=bool(ordered[0] == ordered[-1]))

    @classmethod
    def from_matrix(cls, matrix: ArrayLike) -> InputCovariance:
        """Return a covariance given as a symmetric positive semidefinite matrix."""
        covariance = np.asarray(matrix, dtype=np.float64)
        if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1] or covariance.size == 0:
            raise ValueError(f"matrix must be square, not of shape {covariance.shape}")
        if not np.isfinite(covariance).all():
            raise ValueError("matrix must be finite")
        scale = float(np.abs(covariance).max())
        if np.abs(covariance - covariance.T).max() > 1e-10 * scale:
            raise ValueError("matrix must be symmetric")
        eigenvalues = np.linalg.eigvalsh(covariance)[::-1]
        if eigenvalues[-1] < -1e-10 * len(covariance) * scale:
            raise ValueError(f"matrix must be positive semidefinite; its least eigenvalue is {eigenvalues[-1]}")
        return cls(np.maximum(eigenvalues, 0.0), covariance)

    @classmethod
    def from_samples(cls, samples: ArrayLike) -> InputCovariance:
        """Return the covariance of the rows of `samples`, shape (N, n_0), each taken with probability 1/N."""
        data = np.asarray(samples, dtype=np.float64)
        if data.ndim != 2 or data.shape[0] < 2 or data.shape[1] < 1:
            raise ValueError(f"samples must have a row per input and at least two rows, not shape {data.shape}")
        if not np.isfinite(data).all():
            raise ValueError("samples must be finite")
        check_size("largest entry", float(np.abs(data).max()), NUMBERS["entries"])
        centred = data - data.mean(axis=0)
        return cls.from_matrix(centred.T @ centred / len(data))

    def projected(self, labels: Orbits) -> InputCovariance:
        """Return the covariance of the input averaged over the orbits of a group, still with n_0 eigenvalues.

        Raises
        ------
        ValueError
            If the group acts on another number of entries, or only a spectrum that is not white is known.
        """
        if len(labels) != self.n_0:
            raise ValueError(f"the group must act on the {self.n_0} input entries, not on {len(labels)}")
        count = int(labels.max()) + 1
        eigenvalues = np.zeros(self.n_0)
        if self.is_white and self.matrix is None:
            eigenvalues[:count] = self.eigenvalues[0]
            return InputCovariance(eigenvalues, reynolds(self.eigenvalues[0] * np.eye(self.n_0), labels))
        if self.matrix is None:
            raise ValueError("a symmetry group needs a white input, samples or a covariance matrix, not a spectrum")
        kept = np.linalg.eigvalsh(invariant_covariance(self.matrix, labels))[::-1]
        eigenvalues[:count] = np.maximum(kept, 0.0)
        return InputCovariance(eigenvalues, reynolds(self.matrix, labels))

    def per_frequency(self, channels: int, sizes: Sequence[int]) -> FloatArray:
        """Return the eigenvalues of the covariance between channels at each spatial frequency.

        Parameters
        ----------
        channels, sizes
            The input's shape; the entry (channel, position) has index ``channel * prod(sizes) + position``.

        Returns
        -------
        ndarray
            Shape (*sizes, channels), decreasing along the last axis. For a covariance that translations leave alone
            they are its eigenvalues; otherwise the blocks on the diagonal give them, and what different frequencies
            share is not counted.

        Raises
        ------
        ValueError
            If the shape does not have n_0 entries, or only a spectrum that is not white is known.
        """
        shape, positions = tuple(sizes), prod(sizes)
        if channels * positions != self.n_0:
            raise ValueError(
                f"an input of shape {(channels, *shape)} has {channels * positions} entries, not {self.n_0}"
            )
        if self.is_white and self.matrix is None:
            return np.full((*shape, channels), self.eigenvalues[0])
        if self.matrix is None:
            raise ValueError("a convolution needs a white input, samples or a covariance matrix, not a spectrum")
        axes = range(len(shape))
        outgoing = np.fft.fftn(self.matrix.reshape(channels, *shape, self.n_0), axes=[axis + 1 for axis in axes])
        incoming = np.fft.fftn(outgoing.reshape(self.n_0, channels, *shape).conj(), axes=[axis + 2 for axis in axes])
        both = incoming.conj().reshape(channels, positions, channels, positions)
        blocks = np.einsum("apbp->pab", both) / positions
        eigenvalues = np.linalg.eigvalsh(blocks)[:, ::-1]
        return np.maximum(eigenvalues, 0.0).reshape(*shape, channels)
