"""The sums over sites of `one_matrix` and `sites`, one site at a time, written to be compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray

RowNumbers = NDArray[np.intp]


class SiteCode(NamedTuple):
    """`site_messages` and `residual_covariances` as machine code."""

    messages: Callable[..., None]
    covariances: Callable[..., None]


def site_messages(
    skip: FloatArray,
    power: FloatArray,
    root: FloatArray,
    gain: FloatArray,
    residual: FloatArray,
    rows: RowNumbers,
    work: FloatArray,
    out: FloatArray,
    information: FloatArray,
) -> None:
    """Derivatives of `ln det M / 2`, summed over the sites of every point (theory (36)).

    Parameters
    ----------
    skip, power, root : `a_l`, `g_l^2 V_l` and the roots of `r_1..r_{L-1}, 1 / sigma_o^2`, shape (b, L).
    gain, residual : `kappa_l` and `C_0` of all points, shape (n, S, L) and (n, S, L, L).
    rows : which of them the b points are.
    work : space, shape (2, L, L).
    out : zeros that results are added to, shape (b, 3, L): `1 - [M^-1]_ll`, `[M^-1]_ll`, `A_l / g_l^2`.
    information : `ln det M / 2` of every site, shape (b, S); written.
    """
    count = gain.shape[1]
    for point in range(len(rows)):
        for site in range(count):
            own = gain[rows[point], site]
            fill(skip[point], power[point], root[point], own, residual[rows[point], site], work)
            information[point, site] = collect(skip[point], root[point], own, work, out[point])


def fill(
    skip: FloatArray, power: FloatArray, root: FloatArray, gain: FloatArray, residual: FloatArray, work: FloatArray
) -> None:
    """Cholesky's factor of `M`, upper triangle of `work[0]`; the diagonal holds what the squared pivots exceed 1 by."""
    factor, carried = work[0], work[1]
    depth = len(skip)
    for j in range(depth):
        before = skip[j - 1] * skip[j - 1] * carried[j - 1, j - 1] if j > 0 else 0.0
        carried[j, j] = before + power[j]
        for k in range(j + 1, depth):
            carried[j, k] = carried[j, k - 1] * skip[k - 1]
        for k in range(j, depth):
            factor[j, k] = root[k] * root[j] * (gain[k] * gain[j] * carried[j, k] + residual[j, k])
    for i in range(depth):
        scale = 1.0 / np.sqrt(1.0 + factor[i, i])
        for k in range(i + 1, depth):
            factor[i, k] *= scale
        for k in range(i + 1, depth):
            subtract(factor[k, k:], factor[i, k:], factor[i, k])


def collect(skip: FloatArray, root: FloatArray, gain: FloatArray, work: FloatArray, out: FloatArray) -> float:
    """Add the squared norms of the columns of `L^-1` and of `L^-1 D^{1/2} B`, row by row; returns `ln det M / 2`."""
    factor, inverse = work[0], work[1]
    depth = len(skip)
    total = 0.0
    for k in range(depth):
        excess = factor[k, k]
        scale = 1.0 / np.sqrt(1.0 + excess)
        row = inverse[k, : k + 1]
        for j in range(k):
            row[j] = 0.0
        for i in range(k):
            subtract(row[: i + 1], inverse[i, : i + 1], factor[i, k])
        for j in range(k):
            row[j] *= scale
            out[0, j] -= row[j] * row[j]
            out[1, j] += row[j] * row[j]
        row[k] = scale
        out[0, k] += excess / (1.0 + excess)
        out[1, k] += scale * scale
        total += 0.5 * np.log1p(excess)
        value = 0.0
        for j in range(k, -1, -1):
            value = row[j] * root[j] * gain[j] + (skip[j] * value if j < k else 0.0)
            out[2, j] += value * value
    return total


def subtract(row: FloatArray, other: FloatArray, factor: float) -> None:
    """Take a multiple of another row off a row."""
    for j in range(len(row)):
        row[j] -= factor * other[j]


def residual_covariances(
    series: FloatArray, own: FloatArray, rho: FloatArray, noise: FloatArray, tail: FloatArray, out: FloatArray
) -> None:
    """Covariances of what no linear function explains, with the hidden noise on the diagonal (theory (35)).

    Parameters
    ----------
    series : Hermite coefficients of orders 2, 3, ..., shape (n, S, N, L - 1).
    own, noise : variances, and hidden noise as the gains pass it on, shape (n, S, L - 1).
    rho : correlations of the layers, shape (n, L - 1, L - 1).
    tail : variance of the orders beyond, shape (n, S, L - 1); written.
    out : shape (n, S, L, L); what belongs to the layers 1 to L - 1 is written.
    """
    n, count, orders, depth = series.shape
    for point in range(n):
        for site in range(count):
            c, left, to = series[point, site], tail[point, site], out[point, site]
            for k in range(depth):
                total = own[point, site, k]
                for order in range(orders):
                    total -= c[order, k] * c[order, k]
                left[k] = max(total, 0.0)
            for k in range(depth):
                row, correlation = to[k, :depth], rho[point, k]
                for j in range(k + 1, depth):
                    row[j] = np.sqrt(left[k] * left[j]) * correlation[j]
                for order in range(orders - 1, -1, -1):
                    nested(row[k + 1 :], correlation[k + 1 :], c[order, k], c[order, k + 1 :])
                for j in range(k + 1, depth):
                    row[j] *= correlation[j] * correlation[j]
                    to[j, k] = row[j]
                row[k] = own[point, site, k] + noise[point, site, k]


def nested(row: FloatArray, correlation: FloatArray, factor: float, other: FloatArray) -> None:
    """One step of Horner's scheme along a row."""
    for j in range(len(row)):
        row[j] = correlation[j] * row[j] + factor * other[j]
