"""Test of the assumption that neighbouring matrices are independent and invariant under rotations (theory 3.2).

Let `A = W W^T` be of one matrix and `B = W'^T W'` of the next, both on the n units between them, and tau the trace over
n. If the right singular vectors of W' are rotated uniformly against the left ones of W, whatever the singular values,
then `tau(A B) = tau(A) tau(B)` on average. The traceless parts of A and B lie in the space of traceless symmetric
matrices, on which the orthogonal group acts irreducibly and which has (n - 1)(n + 2) / 2 dimensions; by Schur's lemma

    Var tau(A B) / (tau(A) tau(B))^2 = 2 c_A^2 c_B^2 / ((n - 1)(n + 2)),   c_A^2 = tau(A^2) / tau(A)^2 - 1,

exactly. `tau(A B)` is the mean squared gain of the product `W' W`: the ratio is by how much both together raise the
variance of a signal, and of a gradient, more than independent rotations would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mfmi.arguments.arrays import FloatArray


@dataclass(frozen=True)
class Freeness:
    """Two neighbouring matrices beside independent rotations.

    Attributes
    ----------
    ratio : mean squared gain of both together, over the product of the two; 1 for independent rotations.
    error : standard deviation of the ratio for independent rotations of the same singular values, and rounding.
    """

    ratio: float
    error: float

    @property
    def z(self) -> float:
        """Distance from independent rotations in standard deviations."""
        return (self.ratio - 1.0) / self.error if self.error > 0.0 else 0.0


def freeness(first: FloatArray, second: FloatArray, rounding: float) -> Freeness | None:
    """Compare two neighbouring matrices with independent rotations.

    Parameters
    ----------
    first : shape (n, inputs).
    second : shape (outputs, n).
    rounding : relative rounding of an entry.

    Returns
    -------
    Freeness or None
        None where a matrix is 0, or the units between are fewer than 2.
    """
    n = first.shape[0]
    if n < 2:
        return None
    sizes = [float(np.abs(one).max(initial=0.0)) for one in (first, second)]
    if min(sizes) == 0.0:
        return None
    one, other = first / sizes[0], second / sizes[1]
    mean_a, mean_b = _square(one) / n, _square(other) / n
    spread = [max(_gram(part) / n / mean**2 - 1.0, 0.0) for part, mean in ((one, mean_a), (other.T, mean_b))]
    chance = math.sqrt(2.0 * spread[0] * spread[1] / ((n - 1.0) * (n + 2.0)))
    return Freeness(_square(other @ one) / n / (mean_a * mean_b), math.hypot(chance, rounding))


def _square(matrix: FloatArray) -> float:
    return float(np.sum(np.square(matrix), dtype=np.float64))


def _gram(matrix: FloatArray) -> float:
    """`tr (M M^T)^2`, by the smaller of the two products."""
    rows, columns = matrix.shape
    return _square(matrix @ matrix.T if rows <= columns else matrix.T @ matrix)
