"""A layer's channel at one precision and one variance: what `interfaces` computes for arrays, for one number each.

Written for a compiler: scalars, loops and flat arrays. The elementwise formulas of a table are those of
`channels.closed.coordinates`; only look-up and sums are written again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.closed.coordinates import (
    S_LEAST,
    TAU_CELLS,
    X_CELLS,
    XI_MAX,
    missed,
    remaining,
    scaled,
    share_within,
    terms,
)
from mfmi.channels.elementwise import gain_derivatives, gain_unit, linear_power, linear_unit
from mfmi.channels.layers import FAINTEST

AtS = tuple[float, float, float, float]
# Of value, first and second derivative.
Weights = tuple[float, float, float, float, float, float, float, float, float, float, float, float]

_TINY = float(np.finfo(np.float64).tiny)

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
    place: NDArray[np.int64]
    eigenvalue: FloatArray
    share: FloatArray


def evaluate_layer(layers: Layers, point: int, layer: int, r: float, v: float, out: FloatArray) -> None:
    """Fill `out` with the derivatives of `interfaces.Derivatives` and J, in the order of this module's constants."""
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
    """See `interfaces.Surrogate`."""
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
    out[E], out[A], out[E_R], out[E_V], out[A_V] = e, r * a, -e_r, e_v, -(r * r) * a_v
    out[REST_R], out[REST_V] = rest_r, rest_v
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
    """See `interfaces.Tabulated`."""
    tau, s = v + layers.hidden_noise[point], layers.total[point, layer]
    if tau == 0.0 or s < FAINTEST:
        for i in range(N_OUT):
            out[i] = 0.0
        out[REST_R] = out[REST_V] = 1.0
        return
    if not (r < np.inf and tau > 0.0 and 0.0 < s < np.inf):
        for i in range(N_OUT):
            out[i] = np.nan
        return
    _look_up(layers, point, layer, r, min(max(tau, _TINY), s), s, out)
    out[E], out[E_R], out[E_V] = remaining(r, out[J], out[E], out[E_R], out[E_V])
    out[REST_V] = 1.0 - out[A] * v


def _look_up(layers: Layers, point: int, layer: int, r: float, tau: float, s: float, out: FloatArray) -> None:
    """See `channels.closed.table.ChannelTable.evaluate`."""
    width = layers.columns
    whole = 1.0 if width == 1 else max(s, S_LEAST)
    scale, tau = scaled(tau, s, whole)
    r, s = r * scale, whole
    slot, column = layers.slot[point, layer], layers.column[point, layer]
    frame = layers.frame
    share, share_1, share_2 = share_within(
        tau, s, frame[point, layer, 0], frame[point, layer, 1], frame[point, layer, 2], frame[point, layer, 3]
    )
    position = share * TAU_CELLS
    row = min(max(int(position), 0), TAU_CELLS - 1)
    by_share = _weights(position - row, TAU_CELLS)
    at = layers.at_s
    s_0 = at[point, layer, 0]
    s_1 = s_2 = s_3 = 0.0
    if width > 1:
        s_1, s_2, s_3 = at[point, layer, 1], at[point, layer, 2], at[point, layer, 3]
    at_s = (s_0, s_1, s_2, s_3)
    flat = layers.log_powers
    g_0, g_1, g_2 = _contract(flat, (slot * (TAU_CELLS + 3) + row) * width + column, width, by_share, at_s)
    power = tau * np.exp(g_0) * layers.unit[point, layer]
    x = np.log1p(r * power)
    position = min(np.log(x + np.sqrt(1.0 + x * x)) / XI_MAX, 1.0) * X_CELLS
    line = min(max(int(position), 0), X_CELLS - 1)
    b = _weights(position - line, X_CELLS)
    plane = (TAU_CELLS + 3) * width
    base = (slot * (X_CELLS + 3) + line) * plane + row * width + column
    flat = layers.ratios
    c_0, c_1, c_2 = _contract(flat, base, width, by_share, at_s)
    d_0, d_1, d_2 = _contract(flat, base + plane, width, by_share, at_s)
    e_0, e_1, e_2 = _contract(flat, base + 2 * plane, width, by_share, at_s)
    f_0, f_1, f_2 = _contract(flat, base + 3 * plane, width, by_share, at_s)
    q_00 = b[0] * c_0 + b[1] * d_0 + b[2] * e_0 + b[3] * f_0
    q_01 = b[0] * c_1 + b[1] * d_1 + b[2] * e_1 + b[3] * f_1
    q_02 = b[0] * c_2 + b[1] * d_2 + b[2] * e_2 + b[3] * f_2
    q_10 = b[4] * c_0 + b[5] * d_0 + b[6] * e_0 + b[7] * f_0
    q_11 = b[4] * c_1 + b[5] * d_1 + b[6] * e_1 + b[7] * f_1
    q_20 = b[8] * c_0 + b[9] * d_0 + b[10] * e_0 + b[11] * f_0
    found = terms(r, tau, power, x, (share_1, share_2), (g_1, g_2), (q_00, q_01, q_02, q_10, q_11, q_20))
    out[J], out[E], out[A], out[E_R] = found[0], found[1] * scale, found[2] / scale, found[3] * scale * scale
    out[E_V], out[A_V], out[REST_R] = found[4], found[5] / scale / scale, found[6]
    out[X], out[CELL] = x, ((slot * X_CELLS + line) * TAU_CELLS + row) * layers.cells + column


def _weights(t: float, cells: int) -> Weights:
    """See `splines.Axis.locate`."""
    o = 1.0 - t
    t_2, o_2 = t * t, o * o
    square = float(cells * cells)
    return (
        o_2 * o * (1.0 / 6.0),
        (4.0 - 6.0 * t_2 + 3.0 * t_2 * t) * (1.0 / 6.0),
        (4.0 - 6.0 * o_2 + 3.0 * o_2 * o) * (1.0 / 6.0),
        t_2 * t * (1.0 / 6.0),
        -0.5 * cells * o_2,
        cells * (1.5 * t_2 - 2.0 * t),
        cells * (2.0 * o - 1.5 * o_2),
        0.5 * cells * t_2,
        square * o,
        square * (3.0 * t - 2.0),
        square * (3.0 * o - 2.0),
        square * t,
    )


def _contract(flat: FloatArray, base: int, width: int, by_row: Weights, at_column: AtS) -> tuple[float, float, float]:
    """See `channels.closed.table._contract`."""
    a = _along(flat, base, width, at_column)
    b = _along(flat, base + width, width, at_column)
    c = _along(flat, base + 2 * width, width, at_column)
    d = _along(flat, base + 3 * width, width, at_column)
    w = by_row
    return (
        w[0] * a + w[1] * b + w[2] * c + w[3] * d,
        w[4] * a + w[5] * b + w[6] * c + w[7] * d,
        w[8] * a + w[9] * b + w[10] * c + w[11] * d,
    )


def _along(flat: FloatArray, start: int, width: int, at_column: AtS) -> float:
    """Spline along s."""
    along: float = flat[start] * at_column[0]
    if width > 1:
        along += flat[start + 1] * at_column[1]
        along += flat[start + 2] * at_column[2]
        along += flat[start + 3] * at_column[3]
    return along


# What may be summed in any order.
SUMS = (_evaluate_surrogate, _surrogate_information, _evaluate_gains, _gains_information)
# What is written into its callers: handing all the arrays of `Layers` down costs a fifth of a look-up.
INLINE = (evaluate_layer, _evaluate_table, _look_up)
