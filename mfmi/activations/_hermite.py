"""Hermite coefficients of phi(m + sqrt(v) g): how its values at correlated pre-activations are correlated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian

# Half width in standard deviations: a normalised Hermite polynomial of order 24 turns at 9.8.
_TAIL = 10.0
# Steps of the trapezoidal rule: for the polynomials and the bell, and as a share of pole / sqrt(v).
_STEP, _STEP_PER_POLE = 0.4, 0.2
# From so many equal steps on, nodes that are dense around the origin alone are fewer.
_MOST_EQUAL = 400
# Standard deviation in periods from which on a wave has no coefficients.
_PERIODS = 2.5
# Steps of t for those, u = pole sinh(t).
_GRADED_STEP = 0.06
_KINKED = 1e-11
_BLOCK_ELEMENTS = 1 << 15


class Smooth(Protocol):
    """An activation as the quadrature needs it."""

    kinks: tuple[float, ...]
    pole: float
    period: float

    def __call__(self, u: ArrayLike, /) -> FloatArray: ...
    def derivative(self, u: ArrayLike, /) -> FloatArray: ...


def coefficients(phi: Smooth, m: FloatArray, v: FloatArray, count: int, squared_slope: bool = False) -> FloatArray:
    """Coefficients `E f(m + sqrt(v) g) He_n(g) / sqrt(n!)` for n = 0..count - 1, by quadrature.

    Parameters
    ----------
    phi : Activation
        The activation.
    m, v : ndarray, shape (k,)
        Mean and variance.
    count : int
        Number of coefficients, at most 64.
    squared_slope : bool
        Of `f = phi'^2` instead of `f = phi`.

    Returns
    -------
    ndarray, shape (k, count)
    """
    result = np.empty((m.size, count))
    if math.isfinite(phi.period):
        # Over several periods nothing is left but the mean.
        v = np.minimum(v, (_PERIODS * phi.period) ** 2)
    for rows, z, w in _rules(phi, m, v):
        u = m[rows, None] + np.sqrt(v[rows, None]) * z
        values = np.square(phi.derivative(u)) if squared_slope else phi(u)
        if z.ndim == 1:
            result[rows] = values @ (polynomials(z, count) * w).T
            continue
        # What is constant is left out of the higher orders, which rounding would make of it.
        mean = np.einsum("ij,ij->i", values, w)
        weighted = (values - mean[:, None]) * w
        result[rows] = np.einsum("nij,ij->in", polynomials(z, count), weighted)
        result[rows, 0] = mean
    return result


def polynomials(z: FloatArray, count: int) -> FloatArray:
    """Normalised Hermite polynomials `He_n(z) / sqrt(n!)`, n = 0..count - 1, along a new first axis."""
    he = np.empty((count, *z.shape))
    he[0] = 1.0
    if count > 1:
        he[1] = z
    for n in range(1, count - 1):
        he[n + 1] = (z * he[n] - math.sqrt(n) * he[n - 1]) / math.sqrt(n + 1)
    return he


def _rules(phi: Smooth, m: FloatArray, v: FloatArray) -> Iterator[tuple[NDArray[np.int64], FloatArray, FloatArray]]:
    """Blocks of rows with their nodes in standard deviations and weights, shared by the block where z has one axis."""
    sigma = np.sqrt(v)
    if phi.kinks:
        places = (np.sort(np.asarray(phi.kinks)) - m[:, None])[:, :]
        for rows, x, w in gaussian.blocked_rules(sigma, 0.0, places, phi.pole, tolerance=_KINKED):
            scale = np.where(sigma[rows] > 0.0, sigma[rows], 1.0)
            yield rows, x / scale[:, None], w
        return
    with np.errstate(divide="ignore"):
        step = np.minimum(_STEP, _STEP_PER_POLE * phi.pole / sigma)
    labels = np.ceil(2.0 * np.log2(_STEP / step)).astype(np.int64)
    graded = (2.0 * _TAIL / step > _MOST_EQUAL) & math.isinf(phi.period)
    labels[graded] = -1
    for label, rows in gaussian.blocks(labels, lambda label: 64 << max(label // 2, 0)):
        yield (rows, *(_graded(m[rows], sigma[rows], phi.pole) if label < 0 else _equal(label)))


@lru_cache(maxsize=32)
def _equal(label: int) -> tuple[FloatArray, FloatArray]:
    count = math.ceil(_TAIL / _STEP * 2.0 ** (0.5 * label))
    z = np.linspace(-_TAIL, _TAIL, 2 * count + 1)
    w = np.exp(-0.5 * z * z)
    w /= w.sum()
    z.flags.writeable = w.flags.writeable = False
    return z, w


def _graded(m: FloatArray, sigma: FloatArray, pole: float) -> tuple[FloatArray, FloatArray]:
    low, high = np.arcsinh((m - _TAIL * sigma) / pole), np.arcsinh((m + _TAIL * sigma) / pole)
    nodes = math.ceil(float((high - low).max()) / _GRADED_STEP) + 1
    t = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, nodes)
    z = (pole * np.sinh(t) - m[:, None]) / sigma[:, None]
    w = np.exp(-0.5 * z * z) * np.cosh(t)
    return z, w / w.sum(axis=1, keepdims=True)
