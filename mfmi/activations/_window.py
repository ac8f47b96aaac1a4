"""Rules for E f(m + sqrt(v) g) where f is smooth and has its structure around 0 (tanh, softplus, gelu and the like)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import roots_hermitenorm

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian

# Largest sqrt(v) / pole at which a fixed rule reaches 1e-11 of sup |phi| and its number of nodes, measured for tanh
# with 0 <= m <= 6 (the other smooth activations of the package vary less on that scale). Gauss-Hermite wins at first,
# then equal steps.
_HERMITE = ((0.0064, 6), (0.019, 7), (0.038, 8), (0.064, 9), (0.095, 11), (0.127, 14), (0.16, 17), (0.19, 19))
_EQUAL = ((0.25, 27), (0.32, 31), (0.38, 35), (0.45, 39), (0.54, 45), (0.65, 52))
_FIXED = _HERMITE + _EQUAL

# Beyond the last of those, equal steps h in t, u = pole sinh(t), over the window. On lines Im t = y the Gaussian factor
# grows as exp(rho^2 sin(y)^2 / (2 cos(2 y))), rho = |m| / sqrt(v), which against exp(-2 pi y / h) asks for this 1 / h:
_INVERSE_STEP = 5.6
_INVERSE_STEP_PER_RHO = 1.25
_FEWEST, _PER_OCTAVE = 20.0, 4.0

# Half width of the window and of the equal-step rules in standard deviations.
_TAIL = 7.5


def smooth_rules(
    m: FloatArray, v: FloatArray, pole: float, refine: float
) -> Iterator[tuple[NDArray[np.int64], FloatArray, FloatArray]]:
    """Iterate over blocks of rows with nodes x - m and weights, chosen row by row for sqrt(v) / pole.

    Parameters
    ----------
    m, v : ndarray, shape (n,)
        Mean and variance.
    pole : float
        Distance of the integrand's nearest singularity from the real axis, all of them near Re u = 0.
    refine : float
        Multiplies the number of nodes.

    Yields
    ------
    rows : ndarray of int
        Row numbers of the block.
    x : ndarray, shape (b, M)
        Nodes minus m.
    w : ndarray, shape (M,) or (b, M)
        Weights.
    """
    sigma = np.sqrt(v)
    ratio = sigma / pole
    labels = np.searchsorted([limit for limit, _ in _FIXED], ratio)
    wide = labels == len(_FIXED)
    if wide.any():
        low, high = _window(m[wide], sigma[wide], pole)
        rho = np.abs(m[wide]) / sigma[wide]
        needed = (high - low) * (_INVERSE_STEP + _INVERSE_STEP_PER_RHO * rho)
        labels[wide] += np.ceil(_PER_OCTAVE * np.log2(np.maximum(needed / _FEWEST, 1.0))).astype(np.int64)
    for label, rows in gaussian.blocks(labels, _nodes):
        nodes = max(3, round(_nodes(label) * refine))
        if label < len(_FIXED):
            z, w = _fixed_rule(nodes, label < len(_HERMITE))
            yield rows, sigma[rows, None] * z, w
        else:
            yield rows, *_window_rule(m[rows], sigma[rows], pole, nodes)


def _nodes(label: int) -> int:
    """Nodes of a class of rows: one class per fixed rule, then a few per doubling."""
    if label < len(_FIXED):
        return _FIXED[label][1]
    return math.ceil(_FEWEST * math.exp2((label - len(_FIXED)) / _PER_OCTAVE))


@lru_cache(maxsize=64)
def _fixed_rule(nodes: int, hermite: bool) -> tuple[FloatArray, FloatArray]:
    if hermite:
        z, w = roots_hermitenorm(nodes)
    else:
        z = np.linspace(-_TAIL, _TAIL, nodes)
        w = np.exp(-0.5 * z * z)
    w = w / w.sum()
    z.flags.writeable = w.flags.writeable = False
    return z, w


def _window(m: FloatArray, sigma: FloatArray, pole: float) -> tuple[FloatArray, FloatArray]:
    return np.arcsinh((m - _TAIL * sigma) / pole), np.arcsinh((m + _TAIL * sigma) / pole)


def _window_rule(m: FloatArray, sigma: FloatArray, pole: float, nodes: int) -> tuple[FloatArray, FloatArray]:
    low, high = _window(m, sigma, pole)
    t = low[:, None] + (high - low)[:, None] * (np.arange(nodes) / (nodes - 1))
    x = pole * np.sinh(t) - m[:, None]
    z = x / sigma[:, None]
    w = np.exp(-0.5 * z * z) * np.cosh(t)
    w /= w.sum(axis=1, keepdims=True)
    return x, w
