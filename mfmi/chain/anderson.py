"""Anderson acceleration of fixed points, for many points at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray

RowNumbers = NDArray[np.intp]

# Earlier steps that a new one is combined from, and the largest change of an unknown in one step.
MEMORY, LARGEST_STEP = 8, 1.5
MOST_STEPS = 400
"""Steps after which a search counts as lost."""
# Steps after which what is remembered is forgotten: far from the solution it leads in circles.
RENEWAL = 25
# Share of the diagonal that is added to the normal equations, which have half of the digits.
_REGULAR = 1e-13
# A mismatch so much larger than the smallest so far means that the memory misleads.
_WORSE = 3.0


class Iterated(NamedTuple):
    """The end of the iterations.

    Attributes
    ----------
    x : the unknowns, shape (n, d).
    mismatch : what one more plain step would change of every unknown, shape (n, d).
    converged : whether the largest mismatch is within the tolerance, shape (n,).
    steps : steps taken, shape (n,).
    """

    x: FloatArray
    mismatch: FloatArray
    converged: NDArray[np.bool_]
    steps: NDArray[np.int64]


def accelerate(
    step: Callable[[FloatArray, RowNumbers], FloatArray],
    start: FloatArray,
    tolerance: float,
    most_steps: int = MOST_STEPS,
) -> Iterated:
    """Solve `step(x) = x` for every row; a converged row drops out.

    Parameters
    ----------
    step : called with unknowns of shape (b, d) and the numbers of their b rows.
    start : shape (n, d).
    tolerance : largest mismatch of any unknown at which a row is done.
    most_steps : steps after which a search counts as lost.
    """
    n, size = start.shape
    x, steps = start.copy(), np.zeros(n, dtype=np.int64)
    mismatch, least = np.full((n, size), np.inf), np.full(n, np.inf)
    converged = np.zeros(n, dtype=bool)
    rows = np.arange(n)
    dx, df = np.zeros((2, n, MEMORY, size))
    for count in range(most_steps):
        f = step(x[rows], rows) - x[rows]
        largest = np.abs(f).max(axis=1, initial=0.0)
        alive = np.isfinite(largest)
        if count:
            df[rows, (count - 1) % MEMORY] = f - mismatch[rows]
        mismatch[rows], steps[rows] = f, count + 1
        converged[rows] = largest <= tolerance
        going = alive & ~converged[rows]
        stale = count % RENEWAL == RENEWAL - 1
        misled = rows[going & (stale | (largest > _WORSE * least[rows]))]
        # What follows is measured by where the memory was lost, else none could form again.
        dx[misled], df[misled], least[misled] = 0.0, 0.0, np.inf
        least[rows] = np.minimum(least[rows], largest)
        rows, f = rows[going], f[going]
        if not len(rows):
            break
        move = f - _correction(dx[rows], df[rows], f)
        move = np.where(np.isfinite(move).all(axis=1, keepdims=True), move, f)
        move = np.clip(move, -LARGEST_STEP, LARGEST_STEP)
        x[rows] += move
        dx[rows, count % MEMORY], df[rows, count % MEMORY] = move, 0.0
    return Iterated(x, mismatch, converged, steps)


def _correction(dx: FloatArray, df: FloatArray, f: FloatArray) -> FloatArray:
    """Correction of a step by least squares over the changes that are remembered."""
    normal = np.einsum("nid,njd->nij", df, df)
    scale = np.maximum(np.einsum("nii->ni", normal).max(axis=1), np.finfo(np.float64).tiny)
    normal /= scale[:, None, None]
    index = np.arange(normal.shape[1])
    # Where nothing is remembered the diagonal is 0, and so is the weight.
    normal[:, index, index] += np.where(normal[:, index, index] > 0.0, _REGULAR, 1.0)
    right = np.einsum("nid,nd->ni", df, f) / scale[:, None]
    weight = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
    return np.asarray(np.einsum("nid,ni->nd", dx + df, weight))
