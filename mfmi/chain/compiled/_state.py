"""Arrays that the compiled search reads and writes: chains, rules, known minima, work space and results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.chain.compiled._channel import Layers


class PackedPoints(NamedTuple):
    """n chains of at most L matrices.

    Attributes
    ----------
    rotates : which matrices are orthogonal, the others gaussian, shape (L,).
    from_layer : whether the source is a layer at a given variance; else a gaussian input.
    source : variance of the source, shape (n,).
    first : the source's channel, K = 1; empty for a gaussian input.
    layers : the hidden layers, K = L - 1.
    sigma_w2, alpha, noise, length : as in `ensembles` and `chain.Chain`, shapes (n, L), (L,), (n,), (n,).
    """

    rotates: NDArray[np.bool_]
    from_layer: bool
    source: FloatArray
    first: Layers
    layers: Layers
    sigma_w2: FloatArray
    alpha: FloatArray
    noise: FloatArray
    length: NDArray[np.int64]


class Known(NamedTuple):
    """Logarithms of r and V at k minima of every point, shape (k, n, L); NaN where there is none."""

    log_r: FloatArray
    log_v: FloatArray


class Work(NamedTuple):
    """Arrays for one point: messages (L + 1, 10), equations (6, L), and eleven of length L."""

    m: FloatArray
    linear: FloatArray
    r: FloatArray
    v: FloatArray
    log_r: FloatArray
    log_v: FloatArray
    slope: FloatArray
    shift: FloatArray
    pivot: FloatArray
    new_r: FloatArray
    new_v: FloatArray
    step_r: FloatArray
    step_v: FloatArray


class Found(NamedTuple):
    """Results: value, its error, mmse, residual, least pivot and least `1 - A V`, shape (n,); r and v, shape (n, L).

    `known` is the number of the known minimum that a search was on its way to when it ended, or -1; there is no value
    then.
    """

    value: FloatArray
    error: FloatArray
    mmse: FloatArray
    residual: FloatArray
    pivot: FloatArray
    rest: FloatArray
    r: FloatArray
    v: FloatArray
    known: NDArray[np.int64]
