"""Every root of functions of one positive variable, given their values on a grid that all of them share.

A fixed point or a point of the edge of chaos is a change of sign between neighbouring nodes of such a grid, solved for
in its bracket. Nothing is iterated, and critical slowing down costs neither accuracy nor time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise

from mfmi.arguments.arrays import FloatArray

_TOLERANCE = 1e-15


class Brackets(NamedTuple):
    """Places where the sign changes, sorted by row and then by s.

    Attributes
    ----------
    row : which function, shape (m,).
    lower, upper : ends of the interval in s, shape (m,).
    falling : whether the sign goes from plus to minus, shape (m,).
    """

    row: NDArray[np.intp]
    lower: FloatArray
    upper: FloatArray
    falling: NDArray[np.bool_]

    def take(self, chosen: NDArray[Any]) -> Brackets:
        """Some of the brackets, by a mask or by numbers."""
        return Brackets(self.row[chosen], self.lower[chosen], self.upper[chosen], self.falling[chosen])


def signs(values: FloatArray) -> NDArray[np.int8]:
    """Signs of values on a grid, those of zeros taken from the next node that has one, else from the last that has.

    Parameters
    ----------
    values : shape (n, m); what is rounding must be exactly 0.

    Returns
    -------
    ndarray, shape (n, m)
        0 only in a row of zeros.
    """
    sign = np.sign(values).astype(np.int8)
    if sign.all():
        return sign
    m = sign.shape[1]
    nodes = np.arange(m)
    after = np.minimum.accumulate(np.where(sign != 0, nodes, m)[:, ::-1], axis=1)[:, ::-1]
    before = np.maximum.accumulate(np.where(sign != 0, nodes, -1), axis=1)
    source = np.where(after < m, after, np.maximum(before, 0))
    return np.take_along_axis(sign, source, axis=1)


def brackets(s: FloatArray, values: FloatArray) -> Brackets:
    """Every change of sign along a grid.

    Parameters
    ----------
    s : nodes, increasing, shape (m,).
    values : functions at the nodes, shape (n, m); what is rounding must be exactly 0.
    """
    sign = signs(values)
    row, cell = np.nonzero(sign[:, :-1] * sign[:, 1:] < 0)
    upper = cell + 1
    # A zero took its sign from further up; there the bracket ends.
    while (still := values[row, upper] == 0.0).any():
        upper = upper + still
    return Brackets(row, s[cell], s[upper], sign[row, cell] > 0)


def merged(*several: Brackets) -> Brackets:
    """Brackets of several searches as one sorted list."""
    row, lower, upper, falling = (np.concatenate(parts) for parts in zip(*several, strict=True))
    order = np.lexsort((lower, row))
    return Brackets(row[order], lower[order], upper[order], falling[order])


def solve(
    mismatch: Callable[..., FloatArray], lower: FloatArray, upper: FloatArray, *arguments: FloatArray
) -> FloatArray:
    """Roots in brackets on the positive axis, in logarithms of s.

    Parameters
    ----------
    mismatch : vectorised function of `(s, *arguments)`; its sign counts, its scale does not.
    lower, upper : ends of the brackets, shape (m,).
    arguments : one value per bracket each, shape (m,).

    Returns
    -------
    ndarray, shape (m,)
        Relative accuracy near rounding; NaN where the ends have the same sign.
    """
    if not len(lower):
        return np.empty(0)
    found = elementwise.find_root(
        lambda log_s, *rest: mismatch(np.exp(log_s), *rest),
        (np.log(lower), np.log(upper)),
        args=arguments,
        tolerances={"xatol": _TOLERANCE, "xrtol": _TOLERANCE},
    )
    return np.where(found.success, np.exp(found.x), np.nan)


def blocks(n: int, width: int) -> Iterator[slice]:
    """Slices of n rows that keep a (rows, width) array near 16 MB."""
    size = max(1, 2_000_000 // width)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
