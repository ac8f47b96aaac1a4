"""Chebyshev points and coefficients."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mfmi.arguments.arrays import FloatArray


@lru_cache(maxsize=8)
def lobatto(order: int) -> tuple[FloatArray, FloatArray]:
    """Chebyshev points with both ends, and the matrix from values there to coefficients.

    Parameters
    ----------
    order : int

    Returns
    -------
    tuple of ndarray
        Points in [-1, 1] in ascending order, shape (order,), and the matrix, shape (order, order).
    """
    if order == 1:
        return np.zeros(1), np.ones((1, 1))
    nodes = np.asarray(-np.cos(np.pi * np.arange(order) / (order - 1)), dtype=np.float64)
    matrix = np.linalg.inv(np.polynomial.chebyshev.chebvander(nodes, order - 1))
    return nodes, np.asarray(matrix, dtype=np.float64)


def _chebyshev(x: FloatArray, order: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Chebyshev polynomials, first and second derivatives at x, each of shape (n, order)."""
    t, d, dd = (np.zeros((len(x), order)) for _ in range(3))
    t[:, 0] = 1.0
    if order > 1:
        t[:, 1], d[:, 1] = x, 1.0
    for k in range(2, order):
        t[:, k] = 2.0 * x * t[:, k - 1] - t[:, k - 2]
        d[:, k] = 2.0 * t[:, k - 1] + 2.0 * x * d[:, k - 1] - d[:, k - 2]
        dd[:, k] = 4.0 * d[:, k - 1] + 2.0 * x * dd[:, k - 1] - dd[:, k - 2]
    return t, d, dd


def chebyshev_coefficients(values: FloatArray, orders: tuple[int, ...]) -> FloatArray:
    """Chebyshev coefficients from values at the tensor grid of Lobatto points.

    Parameters
    ----------
    values : ndarray, shape `orders`
    orders : tuple of int

    Returns
    -------
    ndarray
        The same shape.
    """
    for axis, order in enumerate(orders):
        moved = np.einsum("ij,j...->i...", lobatto(order)[1], np.moveaxis(values, axis, 0))
        values = np.moveaxis(moved, 0, axis)
    return np.ascontiguousarray(values)
