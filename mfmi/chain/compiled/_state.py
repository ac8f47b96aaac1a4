"""What the compiled search reads and writes: chains, rules, known minima, work space and results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.chain.compiled._channel import Layers

Array = NDArray[np.float64]


class Points(NamedTuple):
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
    source: Array
    first: Layers
    layers: Layers
    sigma_w2: Array
    alpha: Array
    noise: Array
    length: NDArray[np.int64]


class Rules(NamedTuple):
    """When a descent steps and stops; the constants of `chain.search`."""

    share: float
    max_steps: int
    patience: int
    tolerance: float
    enough: float
    near: float
    close: float
    least_pivot: float
    largest_step: float
    limits: int
    passes: int
    least_variance: float
    faintest: float
    rounding: float
    near_known: float
    onto_known: float


class Known(NamedTuple):
    """Logarithms of r and V at k minima of every point, shape (k, n, L); NaN where there is none."""

    log_r: Array
    log_v: Array


class Work(NamedTuple):
    """Arrays for one point: messages (L + 1, 8), equations (6, L), three results of a map, and twelve of length L."""

    m: Array
    linear: Array
    map: Array
    r: Array
    v: Array
    log_r: Array
    log_v: Array
    slope: Array
    shift: Array
    pivot: Array
    new_r: Array
    new_v: Array
    step_r: Array
    step_v: Array


class Found(NamedTuple):
    """Results: value, its error, mmse, residual, least pivot and least `1 - A V`, shape (n,); r and v, shape (n, L).

    `known` is the number of the known minimum that a search was on its way to when it ended, or -1; there is no value
    then.
    """

    value: Array
    error: Array
    mmse: Array
    residual: Array
    pivot: Array
    rest: Array
    r: Array
    v: Array
    known: NDArray[np.int64]
