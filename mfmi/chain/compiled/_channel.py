"""A layer's channel at one precision and one variance: what `channels.layers` computes for arrays, for one number each.

Written for a compiler: scalars, loops and flat arrays. All formulas are those of `channels.closed.coordinates` and
`channels.elementwise`; only sums over nodes are written again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.closed.coordinates import Tile, clamped, error_cell, located, looked_up, missed, remaining
from mfmi.channels.elementwise import (
    carries_nothing,
    gain_derivatives,
    gain_unit,
    inside_norm,
    linear_derivatives,
    linear_power,
    linear_unit,
    outside_norm,
)

# Where each number stands in the array that a channel fills.
E, A, E_R, E_V, A_V, REST_R, REST_V, J, X, CELL = range(10)
N_OUT = 10


class Layers(NamedTuple):
    """Channels of K layers of n points, as flat as a compiler likes them.

    Attributes
    ----------
    tabulated : whether the channels are a table's; else a linear surrogate's.
    hidden_noise : `sigma_h^2`, shape (n,).
    gain, residual, weight : of the surrogate, shape (n, K, M); empty for a table.
    total : variances `s`, shape (n, K); empty for a surrogate, as all that follows.
    slot, column, at_s, frame, unit, ratios, log_powers, errors, columns, cells : as in `channels.closed.table.Place`.
    normed : whether the table's layers have norms and noise of their own, see `channels.layers.Scaled`.
    factor, scale, noise : as there, shape (n, K); empty without.
    place : of all layers, those of weights' singular values included: number among the channels above or, from -1
        downwards, among the singular values.
    eigenvalue, share : as in `channels.gains.Gains`.
    """

    tabulated: bool
    hidden_noise: FloatArray
    gain: FloatArray
    residual: FloatArray
    weight: FloatArray
    total: FloatArray
    slot: NDArray[np.int64]
    column: NDArray[np.int64]
    at_s: FloatArray
    frame: FloatArray
    unit: FloatArray
    ratios: FloatArray
    log_powers: FloatArray
    errors: NDArray[np.float32]
    columns: int
    cells: int
    normed: bool
    factor: FloatArray
    scale: FloatArray
    noise: FloatArray
    place: NDArray[np.int64]
    eigenvalue: FloatArray
    share: FloatArray


def evaluate_layer(layers: Layers, point: int, layer: int, r: float, v: float, out: FloatArray) -> None:
    """Fill `out` with `channels.protocols.Derivatives` and J, in the order of this module's constants."""
    place = layers.place[layer]
    if place < 0:
        _evaluate_gains(layers, -1 - place, r, v, out)
    elif layers.tabulated:
        _evaluate_table(layers, point, place, r, v, out)
    else:
        _evaluate_surrogate(layers, point, place, r, v, out)


def layer_information(layers: Layers, point: int, layer: int, r: float, v: float, found: FloatArray) -> float:
    """`J(r, V)`, of a table as `evaluate_layer` has found it; else apart from it, because logarithms are dear."""
    place = layers.place[layer]
    if place < 0:
        return _gains_information(layers, -1 - place, r, v)
    if layers.tabulated:
        information: float = found[J]
        return information
    return _surrogate_information(layers, point, place, r, v)


def layer_error(layers: Layers, layer: int, found: FloatArray) -> float:
    """Estimated error of J in nats at what `evaluate_layer` has found; closed forms have none."""
    if layers.place[layer] < 0 or not layers.tabulated:
        return 0.0
    error: float = missed(found[X], float(layers.errors[int(found[CELL])]))
    return error


def _evaluate_gains(layers: Layers, layer: int, r: float, v: float, out: FloatArray) -> None:
    """See `channels.gains.Gains`."""
    eigenvalues, shares = layers.eigenvalue[layer], layers.share[layer]
    mean = square = cross = rest = 0.0
    for node in range(eigenvalues.size):
        share = shares[node]
        gain, left = gain_unit(r, v, eigenvalues[node])
        mean += share * gain
        square += share * (gain * gain)
        cross += share * (gain * left)
        rest += share * left
    out[E], out[A], out[E_R], out[A_V] = gain_derivatives(r, v, mean, square)
    out[E_V] = cross
    out[REST_R] = out[REST_V] = rest
    out[J] = 0.0


def _gains_information(layers: Layers, layer: int, r: float, v: float) -> float:
    """`J(r, V)` of singular values."""
    eigenvalues, shares = layers.eigenvalue[layer], layers.share[layer]
    total = 0.0
    for node in range(eigenvalues.size):
        total += shares[node] * np.log1p(r * v * eigenvalues[node])
    return 0.5 * total


def _evaluate_surrogate(layers: Layers, point: int, layer: int, r: float, v: float, out: FloatArray) -> None:
    """See `channels.layers.Surrogate`."""
    noise = layers.hidden_noise[point]
    gains, residuals, weights = layers.gain[point, layer], layers.residual[point, layer], layers.weight[point, layer]
    e = a = e_r = e_v = a_v = rest_r = rest_v = 0.0
    for node in range(gains.size):
        weight, gain = weights[node], gains[node]
        power = linear_power(v, noise, gain, residuals[node])
        power_left, gain_left, left, rest = linear_unit(r, v, power, gain)
        e += weight * power_left
        a += weight * gain_left
        e_r += weight * (power_left * power_left)
        e_v += weight * (gain_left * left)
        a_v += weight * (gain_left * gain_left)
        rest_r += weight * left
        rest_v += weight * rest
    out[E], out[A], out[E_R], out[A_V] = linear_derivatives(r, e, a, e_r, a_v)
    out[E_V], out[REST_R], out[REST_V] = e_v, rest_r, rest_v
    out[J] = 0.0


def _surrogate_information(layers: Layers, point: int, layer: int, r: float, v: float) -> float:
    """`J(r, V)` of the surrogate."""
    noise = layers.hidden_noise[point]
    gains, residuals, weights = layers.gain[point, layer], layers.residual[point, layer], layers.weight[point, layer]
    total = 0.0
    for node in range(gains.size):
        total += weights[node] * np.log1p(r * linear_power(v, noise, gains[node], residuals[node]))
    return 0.5 * total


def _evaluate_table(layers: Layers, point: int, layer: int, r: float, v: float, out: FloatArray) -> None:
    """See `channels.layers.Tabulated` and `channels.layers.Scaled`."""
    tau, s = v + layers.hidden_noise[point], layers.total[point, layer]
    factor = scale = 1.0
    if layers.normed:
        factor, scale = layers.factor[point, layer], layers.scale[point, layer]
        r, tau = inside_norm(r, v, factor, scale, layers.noise[point, layer])
    if carries_nothing(tau, s):
        for i in range(N_OUT):
            out[i] = 0.0
        out[REST_R] = out[REST_V] = 1.0
        return
    if not (r < np.inf and tau > 0.0 and 0.0 < s < np.inf):
        for i in range(N_OUT):
            out[i] = np.nan
        return
    at, frame = layers.at_s[point, layer], layers.frame[point, layer]
    slot, column = layers.slot[point, layer], layers.column[point, layer]
    at_s, framed = (at[0], at[1], at[2], at[3]), (frame[0], frame[1], frame[2], frame[3])
    tile = Tile(slot, column, at_s, framed, layers.unit[point, layer])
    found, place = looked_up(r, clamped(tau, s), s, tile, layers.log_powers, layers.ratios, layers.columns)
    out[J], e, out[A], e_r, e_v, out[A_V], out[REST_R] = found
    out[E], out[E_R], out[E_V] = remaining(r, out[J], e, e_r, e_v)
    if layers.normed:
        out[E], out[A], out[E_R], out[E_V], out[A_V] = outside_norm(
            factor, scale, out[E], out[A], out[E_R], out[E_V], out[A_V]
        )
    out[REST_V] = 1.0 - out[A] * v
    out[X], out[CELL] = place[0], error_cell(tile, place[1], layers.cells)


# What may be summed in any order.
SUMS = (_evaluate_surrogate, _surrogate_information, _evaluate_gains, _gains_information)
# What is written into its callers: handing all the arrays of `Layers` down costs a fifth of a look-up.
INLINE = (evaluate_layer, _evaluate_table, looked_up, located)
