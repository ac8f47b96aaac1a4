"""Tiles of the exact channel's table: tensor Chebyshev polynomials for ln J in three coordinates.

The coordinates are a = ln r, b = ln tau and c = ln(1 + 8 (s / tau - 1)); tile (i, j, k) covers [i, i + 1] x [j, j + 1]
x [k, k + 1] in units of `WIDTHS`. Interpolation is at points that include the ends, so that neighbours agree on their
common face.
"""

from dataclasses import dataclass

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.chebyshev import _chebyshev

Place = tuple[int, int, int]
"""Numbers of a tile along a, b and c."""
ORDERS = (10, 10, 14)
PERIODIC_ORDER = 14
"""Order along b for a periodic phi, whose offset spreads over all of a period within one tile."""
WIDTHS = (float(np.log(4.0)), float(np.log(4.0)), 1.8)
STRETCH = 8.0
"""Refinement of c in tau near s, where an even phi changes most."""
DERIVATIVES = (
    (0, 0, 0),
    (1, 0, 0),
    (0, 1, 0),
    (0, 0, 1),
    (2, 0, 0),
    (1, 1, 0),
    (1, 0, 1),
    (0, 2, 0),
    (0, 1, 1),
    (0, 0, 2),
)


@dataclass(frozen=True)
class ChannelTile:
    """Chebyshev coefficients of ln J on one tile.

    Parameters
    ----------
    coefficients : ndarray
        Of shape `ORDERS`, but with `PERIODIC_ORDER` where phi is periodic and 1 along an axis that J ignores. On a
        saturating tile those of ln H + r/2, with H the equivocation.
    limit : ndarray or None
        On a saturating tile the coefficients over c of ln J at r = infinity.
    error : float
        Estimated relative error of J.
    """

    coefficients: FloatArray
    limit: FloatArray | None
    error: float


def contract(coefficients: FloatArray, local: FloatArray) -> FloatArray:
    """Interpolant and its derivatives in the coordinates a, b and c.

    Parameters
    ----------
    coefficients : ndarray
        Three axes.
    local : ndarray, shape (n, 3)
        Places within the tile, in [-1, 1].

    Returns
    -------
    ndarray, shape (10, n)
        In the order of `DERIVATIVES`: value, a, b, c, aa, ab, ac, bb, bc, cc.
    """
    by_a, by_b, by_c = (_chebyshev(local[:, axis], order) for axis, order in enumerate(coefficients.shape))
    along_a = [np.einsum("na,abc->nbc", basis, coefficients) for basis in by_a]
    result = []
    for i, j, k in DERIVATIVES:
        scale = (2.0 / WIDTHS[0]) ** i * (2.0 / WIDTHS[1]) ** j * (2.0 / WIDTHS[2]) ** k
        along_b = np.einsum("nb,nbc->nc", by_b[j], along_a[i])
        result.append(scale * np.einsum("nc,nc->n", by_c[k], along_b))
    return np.stack(result)


def logarithms(tile: ChannelTile, local: FloatArray, r: FloatArray) -> FloatArray:
    """Ln J and its derivatives, also on a saturating tile.

    Parameters
    ----------
    tile : Tile
    local : ndarray, shape (n, 3)
        Places within the tile, in [-1, 1].
    r : ndarray, shape (n,)
        Precision, in units of a step from -1 to 1.

    Returns
    -------
    ndarray, shape (10, n)
        As `contract` orders them.
    """
    logs = contract(tile.coefficients, local)
    if tile.limit is None:
        return logs
    # J = J(infinity) - H with ln H = logs - r/2; a step knows no b
    # kept above underflow: a chain works with the logarithm of what is left
    left = np.exp(np.maximum(logs[0] - 0.5 * r, -650.0))
    a, c, aa, ac, cc = logs[1] - 0.5 * r, logs[3], logs[4] - 0.5 * r, logs[6], logs[9]
    limit = contract(tile.limit[None, None, :], local)
    whole = np.exp(limit[0])
    j = whole - left
    j_a, j_c = -left * a / j, (whole * limit[3] - left * c) / j
    j_cc = (whole * (limit[9] + limit[3] ** 2) - left * (cc + c * c)) / j
    nothing = np.zeros_like(j)
    j_aa = -left * (aa + a * a) / j - j_a * j_a
    j_ac = -left * (ac + a * c) / j - j_a * j_c
    return np.stack([np.log(j), j_a, nothing, j_c, j_aa, nothing, j_ac, nothing, nothing, j_cc - j_c * j_c])
