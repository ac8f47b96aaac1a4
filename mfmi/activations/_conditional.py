"""Moments of an activation given part of its pre-activation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mfmi.arguments.arrays import FloatArray


@dataclass(frozen=True)
class Conditional:
    """Moments of phi(m + sqrt(v) g), g standard normal, theory (16) and (18); unpacks as mean, variance, kappa.

    Attributes
    ----------
    mean, variance : ndarray
        Mean and variance over g.
    kappa : ndarray
        Gain E phi'(m + sqrt(v) g).
    residual : ndarray
        d = variance - kappa^2 v >= 0, what no linear function of g explains; computed without that difference.
    """

    mean: FloatArray
    variance: FloatArray
    kappa: FloatArray
    residual: FloatArray

    def __iter__(self) -> Iterator[FloatArray]:
        """Iterate over mean, variance, kappa."""
        return iter((self.mean, self.variance, self.kappa))
