"""Singular values of a weight against those of a matrix of independent entries (Marchenko and Pastur 1967)."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

import numpy as np

from mfmi.arguments.arrays import FloatArray

# The largest eigenvalue fluctuates by this many times its scale above the edge once in about a million matrices
# (Tracy and Widom 1996; Johnstone 2001).
_BEYOND = 6.0
_SMALLEST = 8


@dataclass(frozen=True)
class SingularValues:
    """Singular values of a layer's matrices.

    Attributes
    ----------
    smallest, largest : over all matrices.
    outliers : number beyond the edge of the random bulk that is fitted to the median; -1 where the matrix is too small.
    stable_rank : sum of the squares over the largest square, of the first matrix.
    over_edge : the largest over the edge of the bulk; NaN where the matrix is too small.
    edge_excess : how far the largest square lies beyond the edge of the bulk, over the scale of its chance; negative
        within, NaN where the matrix is too small.
    tangle : how much more the rows have in common than independent entries would, in standard deviations; negative
        for rows that are more nearly orthogonal than that.
    bulk : edges of the singular values that independent entries would have, of the first matrix; NaN where too small.
    values : singular values of the first matrix, descending, in float64.
    rounding : relative rounding of the arithmetic that found them.
    """

    smallest: float
    largest: float
    outliers: int
    stable_rank: float
    over_edge: float
    edge_excess: float
    tangle: float
    bulk: tuple[float, float]
    values: FloatArray = field(compare=False, repr=False)
    rounding: float


def spectrum_of(matrices: FloatArray) -> SingularValues | None:
    """Return the singular values' summary, or None for matrices of a single row or column."""
    _, rows, columns = matrices.shape
    if min(rows, columns) < 2:
        return None
    smallest, largest, outliers, over, excess = math.inf, 0.0, 0, 0.0, -math.inf
    shared: FloatArray = np.zeros(2)
    kept = np.empty(0)
    for matrix in matrices:
        values = np.linalg.svd(matrix, compute_uv=False).astype(np.float64)
        kept = values if kept.size == 0 else kept
        smallest, largest = min(smallest, float(values[-1])), max(largest, float(values[0]))
        count, ratio, far = beyond(values, rows, columns)
        outliers, over, excess = outliers + count, max(over, ratio), max(excess, far)
        shared = shared + _in_common(matrix, values)
    first = np.linalg.norm(matrices[0].astype(np.float64)) ** 2
    rank = float(first / largest**2) if largest > 0.0 else math.nan
    is_small = min(rows, columns) < _SMALLEST
    rounding = float(np.finfo(matrices.dtype).eps)
    bulk = (math.nan, math.nan) if is_small else bulk_edges(kept, rows, columns)
    if is_small:
        outliers, over, excess = -1, math.nan, math.nan
    tangle = float(shared[0]) / math.sqrt(shared[1]) if shared[1] > 0.0 else 0.0
    return SingularValues(smallest, largest, outliers, rank, over, excess, tangle, bulk, kept, rounding)


def _in_common(matrix: FloatArray, values: FloatArray) -> FloatArray:
    """Return what the squared products of different rows exceed their expectation by, and the variance of that.

    The squares of the singular values' squares sum up to those of all products of rows. Of independent entries of mean
    0 the squared cosine of two rows of n entries has the mean 1 / n, whatever their lengths, and the variance
    2 (n - 1) / (n^2 (n + 2)) if they are Gaussian; the cosines of different pairs are independent.
    """
    narrow = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    n = narrow.shape[1]
    largest = float(values[0])
    if n < 2 or not largest > 0.0:
        return np.zeros(2)
    lengths = np.einsum("ij,ij->i", narrow, narrow, dtype=np.float64) / largest**2  # their squares
    squares, fourth = float(np.sum(lengths**2)), float(np.sum(lengths**4))
    excess = float(np.sum((values / largest) ** 4)) - squares - (float(lengths.sum()) ** 2 - squares) / n
    return np.array([excess, 4.0 * (squares**2 - fourth) * (n - 1.0) / (n**2 * (n + 2.0))])


def bulk_edges(values: FloatArray, rows: int, columns: int) -> tuple[float, float]:
    """Return the ends of the bulk of singular values that independent entries of this median would have."""
    narrow, wide = min(rows, columns), max(rows, columns)
    deviation = math.sqrt(_bulk_variance(values, narrow, wide))
    return deviation * (math.sqrt(wide) - math.sqrt(narrow)), deviation * (math.sqrt(wide) + math.sqrt(narrow))


def _bulk_variance(values: FloatArray, narrow: int, wide: int) -> float:
    """Variance of an entry of which the median singular value is that of the bulk."""
    return float(np.median(np.square(values))) / (wide * bulk_median(round(narrow / wide, 4)))


def beyond(values: FloatArray, rows: int, columns: int) -> tuple[int, float, float]:
    """Return how many singular values lie beyond the bulk, the largest over its edge, and by how many scales of chance.

    The last is of squares.
    """
    narrow, wide = min(rows, columns), max(rows, columns)
    median = float(np.median(np.square(values)))
    if median <= 0.0:  # more than half of the directions carry nothing: there is no bulk
        return int(np.count_nonzero(values > 0.0)), math.inf, math.inf
    variance = _bulk_variance(values, narrow, wide)
    edge = variance * (math.sqrt(narrow) + math.sqrt(wide)) ** 2
    scale = variance * (math.sqrt(narrow) + math.sqrt(wide)) * (narrow**-0.5 + wide**-0.5) ** (1.0 / 3.0)
    # The variance comes from a median, known to about one part in the number of values.
    start = edge * (1.0 + 2.0 / narrow)
    far = (float(values[0]) ** 2 - start) / scale
    return int(np.count_nonzero(np.square(values) > start + _BEYOND * scale)), float(values[0] / math.sqrt(edge)), far


@functools.lru_cache(maxsize=1024)
def bulk_median(ratio: float) -> float:
    """Return the median of the Marchenko-Pastur law of the given ratio of dimensions (at most 1) and variance 1."""
    root = math.sqrt(ratio)
    angle = np.linspace(0.0, math.pi, 4001)[1:-1]
    points = 1.0 + ratio - 2.0 * root * np.cos(angle)  # the ends of the law are at angles 0 and pi
    weight = np.square(np.sin(angle)) / points
    total = np.cumsum(weight)
    return float(np.interp(0.5 * total[-1], total, points))
