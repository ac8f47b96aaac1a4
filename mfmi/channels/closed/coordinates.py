"""Coordinates of a closed channel's table, and its formulas, for arrays and, compiled, for numbers.

Stored is Q = J / (X / 2) over asinh(X), X = ln(1 + r D), a share of tau and a coordinate of s, and ln(D / tau) over the
last two; see `channels.closed.table`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mfmi.arguments.arrays import FloatArray, Number
from mfmi.quadrature.splines import Four, SplineWeights, weights_of

# End of the table along X, and its cells along asinh(X) and the share of tau.
X_MAX = 48.0
XI_MAX = float(np.arcsinh(X_MAX))
X_CELLS, TAU_CELLS = 160, 96
# A smaller s is as good as this one.
S_LEAST = 1e-12
# Below this share of s, tau matters only through r tau; squares and cubes of smaller ones would underflow.
_TAU_LEAST = 1e-30
# Share of the mean variance below which an E is noise.
ROUNDING = 1e-12
# What stands for the E of a layer that is as good as known: without hidden noise all layers after it are known too,
# and each would have the square of the one before.
FROZEN = 1e-60
_TINY = float(np.finfo(np.float64).tiny)


class Tile(NamedTuple):
    """Part of a table that total variances s lie in: of arrays of them or, compiled, of one.

    Attributes
    ----------
    slot, column : number of the tile, and cell along s in it.
    at_s : weights of the four splines along s; 1, 0, 0, 0 where the activation has no scale.
    frame : `share_frame` of s.
    unit : D at tau = s, over s.
    """

    slot: Any
    column: Any
    at_s: Any
    frame: Any
    unit: Any


def clamped(tau: Number, s: Number) -> Number:
    """Remaining variances within the table: a closed bound can ask for more than there is on its way to a solution."""
    least: Any = np.minimum(np.maximum(tau, _TINY), s)
    found: Number = least
    return found


def scaled(tau: Number, s: Number, whole: Number) -> tuple[Number, Number]:
    """Return a factor k and tau / k, so that the channel of (k r, tau / k, `whole`) is that of (r, tau, s).

    `whole` is s itself, or what stands for every s of a homogeneous activation or of one that is too small to matter.
    """
    inside: Any = np.maximum(tau * (whole / s), _TAU_LEAST * whole)
    return tau / inside, inside


def share_of(tau: FloatArray, s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Coordinate of tau in [0, 1], and its first and second derivative in tau; for arrays and, compiled, for numbers.

    Logarithmic in tau down to a millionth of s, because a kink of width sqrt(tau) and a residual of size tau^2 matter
    at precisions beyond 1 / tau; linear in s - tau near tau = s on the scale on which offsets begin to matter.
    """
    return share_within(tau, s, *share_frame(s))


def share_frame(s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Arguments of `share_within` that depend on s: square of the small scale, large scale, begin and length."""
    bounded = s / (1.0 + s)
    small, large = 1e-3 * np.sqrt(bounded), 0.3 * bounded
    begin = np.arcsinh(s / large) + np.log(large / small)
    return small * small, large, begin, np.arcsinh(np.sqrt(s) / small) + np.arcsinh(s / large)


def share_within(
    tau: Number, s: Number, small_2: Number, large: Number, begin: Number, length: Number
) -> tuple[Number, Number, Number]:
    """`asinh(sqrt(tau) / small) - asinh((s - tau) / large)` from 0 to 1, in one logarithm, and its derivatives."""
    left, right, beyond = s - tau, np.sqrt(tau), np.sqrt(small_2 + tau)
    root: Any = right * beyond
    gap: Any = np.sqrt(large * large + left * left)
    value: Any = begin + np.log((right + beyond) / (left + gap))
    first = 0.5 / root + 1.0 / gap
    second = left / (gap * gap * gap) - 0.25 * (small_2 + 2.0 * tau) / (root * root * root)
    return value / length, first / length, second / length


def terms(
    r: Number,
    tau: Number,
    power: Number,
    x: Number,
    by_tau: tuple[Number, Number],
    by_share: tuple[Number, Number],
    ratio: tuple[Number, Number, Number, Number, Number, Number],
) -> tuple[Number, Number, Number, Number, Number, Number, Number]:
    """J, E, A, dE/dr, dE/dV, dA/dV and 1 - r E from the two splines; for arrays and, compiled, for numbers.

    Parameters
    ----------
    r, tau, power, x : precision, remaining variance, D and X.
    by_tau : first and second derivative of the share in tau.
    by_share : first and second derivative of ln(D / tau) in the share.
    ratio : Q and its derivatives by (asinh(X) / XI_MAX, share), orders 00, 01, 02, 10, 11, 20.
    """
    share_1, share_2 = by_tau
    q, q_t, q_tt, q_x, q_xt, q_xx = ratio
    # ln D = ln tau + g(share): first and second derivative of D in tau.
    d_1 = 1.0 / tau + by_share[0] * share_1
    d_2 = -1.0 / (tau * tau) + by_share[1] * (share_1 * share_1) + by_share[0] * share_2
    # From asinh(X) to X; past the end of the table Q stays what it is there.
    curve = 1.0 / (1.0 + x * x)
    slope: Any = (x <= X_MAX) * np.sqrt(curve) / XI_MAX
    q_xx = (q_xx * slope - q_x * x * curve) * slope
    q_x = q_x * slope
    q_xt = q_xt * slope
    signal = r * power
    fade = 1.0 / (1.0 + signal)
    grown = signal * fade
    x_r = power * fade
    x_t = grown * d_1
    x_rr = -x_r * x_r
    x_rt = x_r * d_1 * fade
    x_tt = grown * (d_2 + d_1 * d_1 * fade)
    g_x, g_xx = q + x * q_x, 2.0 * q_x + x * q_xx
    g_t, g_tt = x * q_t * share_1, x * (q_tt * (share_1 * share_1) + q_t * share_2)
    g_xt = (q_t + x * q_xt) * share_1
    e, a = g_x * x_r, g_x * x_t + g_t
    e_r = g_xx * x_r * x_r + g_x * x_rr
    e_v = g_xx * x_r * x_t + g_xt * x_r + g_x * x_rt
    a_v = g_xx * x_t * x_t + 2.0 * g_xt * x_t + g_x * x_tt + g_tt
    return 0.5 * x * q, e, a, e_r, e_v, a_v, fade + (1.0 - g_x) * grown


def cell_of(position: Any, cells: int) -> Any:
    """Number of the cell at a position; the compiler has that of a number in its place."""
    return np.clip(np.asarray(position).astype(np.intp), 0, cells - 1)


def located(
    r: Number, tau: Number, s: Number, tile: Tile, log_powers: FloatArray, width: int
) -> tuple[Any, Any, Any, Any, Any]:
    """Arguments in the table's terms; for arrays and, compiled, for numbers.

    Parameters
    ----------
    r, tau, s, tile : precision, remaining and total variance, and where in the table this is.
    log_powers, width : coefficients of ln(D / tau), and how many there are along s.

    Returns
    -------
    tuple
        Factor k with k r and tau / k, see `scaled`; derivatives of the share in tau and of ln(D / tau) in the share; D
        and X; cells along the share and X; weights of the splines in them.
    """
    whole: Any = 1.0 if width == 1 else np.maximum(s, S_LEAST)
    scale, tau = scaled(tau, s, whole)
    frame = tile.frame
    share, share_1, share_2 = share_within(tau, whole, frame[0], frame[1], frame[2], frame[3])
    position = share * TAU_CELLS
    row = cell_of(position, TAU_CELLS)
    by_share = weights_of(position - row, TAU_CELLS)
    base = (tile.slot * (TAU_CELLS + 3) + row) * width + tile.column
    g_0, g_1, g_2 = contracted(log_powers, base, width, by_share, tile.at_s)
    power = tau * np.exp(g_0) * tile.unit
    r = r * scale
    x = np.log1p(r * power)
    position = np.minimum(np.log(x + np.sqrt(1.0 + x * x)) / XI_MAX, 1.0) * X_CELLS
    line = cell_of(position, X_CELLS)
    by_x = weights_of(position - line, X_CELLS)
    return (scale, r, tau), ((share_1, share_2), (g_1, g_2)), (power, x), (row, line), (by_share, by_x)


def looked_up(
    r: Number, tau: Number, s: Number, tile: Tile, log_powers: FloatArray, ratios: FloatArray, width: int
) -> tuple[Any, Any]:
    """J, E, A, dE/dr, dE/dV, dA/dV and 1 - r E, and X and the cells.

    `ratios` are the coefficients of Q; the other arguments are those of `located`.
    """
    scaling, (by_tau, by_share), (power, x), cell, (at_share, b) = located(r, tau, s, tile, log_powers, width)
    scale, r, tau = scaling
    row, line = cell
    plane = (TAU_CELLS + 3) * width
    base = (tile.slot * (X_CELLS + 3) + line) * plane + row * width + tile.column
    c_0, c_1, c_2 = contracted(ratios, base, width, at_share, tile.at_s)
    d_0, d_1, d_2 = contracted(ratios, base + plane, width, at_share, tile.at_s)
    e_0, e_1, e_2 = contracted(ratios, base + 2 * plane, width, at_share, tile.at_s)
    f_0, f_1, f_2 = contracted(ratios, base + 3 * plane, width, at_share, tile.at_s)
    ratio = (
        b[0][0] * c_0 + b[0][1] * d_0 + b[0][2] * e_0 + b[0][3] * f_0,
        b[0][0] * c_1 + b[0][1] * d_1 + b[0][2] * e_1 + b[0][3] * f_1,
        b[0][0] * c_2 + b[0][1] * d_2 + b[0][2] * e_2 + b[0][3] * f_2,
        b[1][0] * c_0 + b[1][1] * d_0 + b[1][2] * e_0 + b[1][3] * f_0,
        b[1][0] * c_1 + b[1][1] * d_1 + b[1][2] * e_1 + b[1][3] * f_1,
        b[2][0] * c_0 + b[2][1] * d_0 + b[2][2] * e_0 + b[2][3] * f_0,
    )
    j, e, a, e_r, e_v, a_v, rest = terms(r, tau, power, x, by_tau, by_share, ratio)
    return (j, e * scale, a / scale, e_r * scale * scale, e_v, a_v / scale / scale, rest), (x, cell)


def error_cell(tile: Tile, cell: tuple[Any, Any], width: int) -> Any:
    """Number of a cell of the table, by those along the share and X, with `width` of them along s."""
    row, line = cell
    return ((tile.slot * X_CELLS + line) * TAU_CELLS + row) * width + tile.column


def contracted(
    flat: FloatArray, base: Any, width: int, by_row: SplineWeights[Number], at_column: Four[Number]
) -> tuple[Number, Number, Number]:
    """Spline over (row, column): value, first and second derivative along the rows; for arrays and numbers."""
    a = _along(flat, base, width, at_column)
    b = _along(flat, base + width, width, at_column)
    c = _along(flat, base + 2 * width, width, at_column)
    d = _along(flat, base + 3 * width, width, at_column)
    value, first, second = by_row
    return (
        value[0] * a + value[1] * b + value[2] * c + value[3] * d,
        first[0] * a + first[1] * b + first[2] * c + first[3] * d,
        second[0] * a + second[1] * b + second[2] * c + second[3] * d,
    )


def _along(flat: FloatArray, start: Any, width: int, at_column: Four[Number]) -> Number:
    """Spline along s."""
    along: Any = flat[start] * at_column[0]
    if width > 1:
        along += flat[start + 1] * at_column[1]
        along += flat[start + 2] * at_column[2]
        along += flat[start + 3] * at_column[3]
    found: Number = along
    return found


def remaining(r: Number, j: Number, e: Number, e_r: Number, e_v: Number) -> tuple[Number, Number, Number]:
    """E, dE/dr and dE/dV where rounding leaves something of E; for arrays and, compiled, for numbers.

    J is concave in r, so E lies below its mean 2 J / r from 0 to r. Far below, as after a step at high precision, it
    is the rounding of J and matters to nothing but the solver, which needs it positive.
    """
    precision: Any = np.maximum(r, _TINY)
    least = (r > 0.0) * (ROUNDING * 2.0 * j / precision)
    lost = e < least
    kept = 1.0 - lost
    left: Any = np.maximum(e, lost * np.maximum(least, FROZEN))
    return left, kept * e_r - lost * (least > FROZEN) * (least / precision), kept * e_v


def missed(x: Number, relative: Number) -> Number:
    """Error of J in nats, from the relative one of Q at X; past the end of the table half of what X goes on by."""
    beyond: Any = np.maximum(x - X_MAX, 0.0)
    found: Number = 0.5 * (x * relative + beyond)
    return found


def tau_of_share(share: FloatArray, s: FloatArray) -> FloatArray:
    """Invert `share_of` by bisection on ln tau; only the sites of a table come here."""
    low, high = np.log(s) - 60.0, np.log(s)
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = share_of(np.exp(middle), s)[0] > share
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    # Rounding takes the exponential of a logarithm beyond a large s.
    return np.where(share >= 1.0, s, np.minimum(np.exp(high), s))
