"""The exact scalar channel as a table: one smooth interpolant of J per activation, built where it is needed.

J(r, tau; s) of theory (14) depends on three numbers and, for a homogeneous activation or a step, on two. ln J is kept
as tensor Chebyshev polynomials on fixed tiles of the coordinates

    ln r,    ln tau,    c = ln(2 s / tau - 1) >= 0,

in which it has no feature narrower than order one; E, A and their derivatives are those of the interpolant, so that a
chain finds the stationary point of a potential that exists, and neighbouring tiles agree on their common face. A tile
depends on the activation and on its place only: computed by quadrature when first asked for, kept in memory and in the
cache directory. For a step, whose J saturates, the tiles at r >= 1 hold what is left to learn instead.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mfmi.panels import REACH, FloatArray, IntArray, ScalarFunction, panel_nodes, partition
from mfmi.scalar_channel import (
    channel_at_offset,
    exact_channel,
    folded_density,
    folded_range,
    offset_features,
    offset_scale,
)
from mfmi.segment_channel import linear_segments
from mfmi.step_channel import scaled_equivocation, step_entropy
from mfmi.tile_cache import TileCache

ORDERS = (10, 10, 12)
WIDTHS = (float(np.log(4.0)), float(np.log(4.0)), 1.8)
NODES = 6
OFFSET_RATIO = 1.6
SMALLEST_SIGNAL = 1e-7
"""r tau below which J is proportional to r to the accuracy of the table."""
LARGEST_PRECISION = 1e15
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
LARGEST_RATIO = 1e14
"""Values of s / tau beyond which the table gives NaN."""


class TableValue(NamedTuple):
    """J in nats, e = 2 dJ/dr, a = 2 dJ/dtau, their derivatives e_r, e_v = a_r, a_v, and rest_r = 1 - r e."""

    j: FloatArray
    e: FloatArray
    a: FloatArray
    e_r: FloatArray
    e_v: FloatArray
    a_v: FloatArray
    rest_r: FloatArray


@dataclass(frozen=True)
class Tile:
    """Chebyshev coefficients of ln J on one tile.

    Parameters
    ----------
    coefficients : ndarray
        Of shape `ORDERS`, a single one along an axis that J ignores. On a saturating tile those of ln H + r/2, with H
        the equivocation.
    limit : ndarray or None
        On a saturating tile the coefficients over c of ln J at r = infinity.
    error : float
        Estimated relative error of J.
    """

    coefficients: FloatArray
    limit: FloatArray | None
    error: float


@lru_cache(maxsize=8)
def _lobatto(order: int) -> tuple[FloatArray, FloatArray]:
    """Chebyshev points with both ends, and the matrix from values there to coefficients."""
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


class ExactTable:
    """The exact channel of one activation by interpolation.

    Parameters
    ----------
    phi : ScalarFunction
        The activation.
    cache : TileCache, optional
        Where tiles are kept between processes; by default the user's cache directory.
    """

    def __init__(self, phi: ScalarFunction, cache: TileCache | None = None) -> None:
        self.phi = phi
        self.segments = linear_segments(phi, phi.kinks)
        self.degree = None if self.segments is None else self.segments.homogeneous_degree
        self.gain = self.segments.step_gain if self.segments is not None and self.degree == 0 else 1.0
        self.cache = TileCache.of_user(phi) if cache is None else cache
        self._tiles: dict[tuple[int, int, int], Tile] = {}

    def evaluate(self, r: ArrayLike, tau: ArrayLike, s: ArrayLike) -> TableValue:
        """J and its derivatives up to the second.

        Parameters
        ----------
        r : array_like
            Precision, r >= 0.
        tau, s : array_like
            Inner and whole variance, 0 < tau <= s; one shape with `r`.

        Returns
        -------
        TableValue
            Arrays of the broadcast shape; NaN outside the table's range.
        """
        shape, r, tau, s, usable = self._arguments(r, tau, s)
        out = np.full((7, len(r)), np.nan)
        place, local, chain = self._place(r[usable], tau[usable], s[usable])
        logs = np.empty((10, len(place)))
        for tile, rows in _groups(place):
            logs[:, rows] = _logarithms(self.tile(tile), local[rows], chain.precision[rows] * self.gain)
        out[:, usable] = _derivatives(logs, chain, r[usable], tau[usable])
        return TableValue(*(part.reshape(shape) for part in out))

    def error(self, r: ArrayLike, tau: ArrayLike, s: ArrayLike) -> FloatArray:
        """Estimate the relative error of J.

        Parameters
        ----------
        r, tau, s : array_like
            As for `evaluate`.

        Returns
        -------
        ndarray
            Of the broadcast shape, NaN outside the table's range.
        """
        shape, r, tau, s, usable = self._arguments(r, tau, s)
        out = np.full(len(r), np.nan)
        place = self._place(r[usable], tau[usable], s[usable])[0]
        found = np.empty(len(place))
        for tile, rows in _groups(place):
            found[rows] = self.tile(tile).error
        out[usable] = found
        return out.reshape(shape)

    def tile(self, place: tuple[int, int, int]) -> Tile:
        """Return the tile at a place, from memory, from the cache or by quadrature.

        Parameters
        ----------
        place : tuple of int
            Numbers of the tile along ln r, ln tau and c.

        Returns
        -------
        Tile
        """
        if place not in self._tiles:
            tile = self._load(place)
            if tile is None:
                tile = self._build(place)
                limit = np.empty(0) if tile.limit is None else tile.limit
                self.cache.store(place, np.concatenate([tile.coefficients.ravel(), limit, [tile.error]]))
            self._tiles[place] = tile
        return self._tiles[place]

    def _load(self, place: tuple[int, int, int]) -> Tile | None:
        shape = self._orders()
        size, tail = int(np.prod(shape)), ORDERS[2] if self._saturates(place) else 0
        stored = self.cache.load(place, size + tail + 1)
        if stored is None:
            return None
        return Tile(stored[:size].reshape(shape), stored[size:-1] if tail else None, float(stored[-1]))

    def _saturates(self, place: tuple[int, int, int]) -> bool:
        """Whether a tile holds a step's equivocation: at r >= 1, where the information nears its limit."""
        return self.degree == 0 and place[0] >= 0

    def _orders(self) -> tuple[int, int, int]:
        return ORDERS if self.degree is None else (ORDERS[0], 1, ORDERS[2])

    def _arguments(
        self, r: ArrayLike, tau: ArrayLike, s: ArrayLike
    ) -> tuple[tuple[int, ...], FloatArray, FloatArray, FloatArray, IntArray]:
        """Flat arrays of one shape, and the numbers of those elements that the table covers."""
        whole = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (r, tau, s)))
        flat = [np.ravel(a) for a in whole]
        with np.errstate(invalid="ignore", divide="ignore"):
            good = (flat[0] >= 0.0) & (flat[1] > 0.0) & np.isfinite(flat[2])
            good &= (flat[2] >= flat[1] * (1.0 - 1e-9)) & (flat[2] <= flat[1] * LARGEST_RATIO)
            good &= flat[0] <= LARGEST_PRECISION
        return whole[0].shape, flat[0], flat[1], flat[2], np.flatnonzero(good)

    def _place(self, r: FloatArray, tau: FloatArray, s: FloatArray) -> tuple[IntArray, FloatArray, "_Chain"]:
        """Tiles, places within them in [-1, 1] and what leads from the coordinates back to r and tau."""
        scale = np.full_like(tau, self.gain) if self.degree == 0 else tau
        smallest = SMALLEST_SIGNAL / scale
        log_r, log_tau = np.log(np.maximum(r, smallest)), np.log(tau)
        if self.degree is not None:
            log_r = log_r + np.log(scale)
            log_tau = np.zeros_like(log_tau)
        excess = 2.0 * np.maximum(s - tau, 0.0) / tau
        cells = np.stack([log_r / WIDTHS[0], log_tau / WIDTHS[1], np.log1p(excess) / WIDTHS[2]], axis=1)
        place = np.floor(cells).astype(np.int64)
        local = 2.0 * (cells - place) - 1.0
        if self.degree is not None:
            local[:, 1] = 0.0
        # at fixed s, dc / d ln tau = -(1 + e^-c)
        slope = -(1.0 + 1.0 / (1.0 + excess))
        return place, local, _Chain(self.degree, slope, slope / (1.0 + excess), np.maximum(r, smallest))

    def _build(self, place: tuple[int, int, int]) -> Tile:
        """Compute a tile by quadrature, and measure its error."""
        orders = self._orders()
        axes = []
        for number, width, order in zip(place, WIDTHS, orders, strict=True):
            axes.append(width * (number + 0.5 * (_lobatto(order)[0] + 1.0)) if order > 1 else np.zeros(1))
        tau, c = np.exp(axes[1]), axes[2]
        limit = None
        if self._saturates(place):
            values, known = self._equivocation(np.exp(axes[0]), c)
            limit = _coefficients(np.log(known), (orders[2],))
        else:
            values = self._information(np.exp(axes[0]) / self.gain, tau, c)
        coefficients = _coefficients(np.log(values), orders)
        tail = max(float(np.max(np.abs(np.take(coefficients, -1, axis)))) for axis in range(3) if orders[axis] > 1)
        rough = Tile(coefficients, limit, tail)
        return Tile(coefficients, limit, tail + self._miss(place, rough))

    def _offset_law(self, tau: FloatArray, c: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
        """Offsets that serve every c: their tau's number, nodes (m, nodes) and mass at every c, (m, nodes, c)."""
        sigma = np.sqrt(tau)
        deviation = sigma[:, None] * np.sqrt(0.5 * np.expm1(c))
        # the narrowest law of offsets, and the length on which the channel varies with them
        finest = np.minimum(deviation[:, 1 if c[0] == 0.0 else 0], offset_scale(self.phi, sigma, self.segments))
        low, reach = folded_range(self.phi, REACH * deviation[:, -1])
        steps = int(np.ceil(np.log(float(np.max(reach / finest))) / np.log(OFFSET_RATIO)))
        grading = OFFSET_RATIO ** np.arange(steps + 1)
        ladder = finest[:, None] * np.concatenate([-grading[::-1], [0.0], grading])
        cut = np.concatenate([ladder, offset_features(self.phi, sigma, reach, self.segments)], axis=1)
        owner = np.repeat(np.arange(len(tau)), cut.shape[1])
        row, lower, upper = partition(owner, cut.ravel(), low, reach, 0.5 * finest)
        omega, weights = panel_nodes(lower, upper, NODES)
        spread = deviation[row, None, :]
        narrow = spread == 0.0
        spread = np.where(narrow, 1.0, spread)
        mass = weights[:, :, None] * np.where(narrow, 0.0, folded_density(self.phi, omega[:, :, None], spread))
        # without a spread the offset is 0: a panel of its own
        still = np.where(deviation == 0.0, 1.0 / NODES, 0.0)
        return (
            np.concatenate([row, np.arange(len(tau))]),
            np.concatenate([omega, np.zeros((len(tau), NODES))]),
            np.concatenate([mass, np.repeat(still[:, None, :], NODES, axis=1)]),
        )

    def _information(self, r: FloatArray, tau: FloatArray, c: FloatArray) -> FloatArray:
        """J at every combination of r, tau and c, shape (r, tau, c)."""
        row, omega, mass = self._offset_law(tau, c)
        found = channel_at_offset(
            self.phi,
            np.repeat(r, len(row)),
            np.tile(tau[row], len(r)),
            np.tile(omega, (len(r), 1)),
            order=NODES,
            moments=False,
        ).j.reshape(len(r), len(row), NODES)
        parts = np.einsum("rqk,qkc->rqc", found, mass)
        return np.stack([np.sum(parts[:, row == number], axis=1) for number in range(len(tau))], axis=1)

    def _equivocation(self, r: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray]:
        """H exp(r/2) of a step at every r and c, shape (r, 1, c), and its entropy at every c."""
        _, omega, mass = self._offset_law(np.ones(1), c)
        x, mass = omega.ravel(), mass.reshape(-1, len(c))
        left = np.einsum("rm,mc->rc", scaled_equivocation(r[:, None], x)[0], mass)
        return left[:, None, :], np.einsum("m,mc->c", step_entropy(x), mass)

    def _miss(self, place: tuple[int, int, int], tile: Tile) -> float:
        """Largest relative difference from the quadrature of a higher order at places between the nodes."""
        local = np.array([[0.31, -0.62, 0.17], [-0.83, 0.77, -0.91], [0.91, 0.21, 0.83]])
        log_r, log_tau, c = (0.5 * (local + 1.0) + np.array(place)).T * np.array(WIDTHS)[:, None]
        if self.degree is not None:
            local[:, 1], log_tau = 0.0, np.zeros_like(log_r)
        tau = np.exp(log_tau)
        true = exact_channel(self.phi, np.exp(log_r) / self.gain, tau, 0.5 * tau * (1.0 + np.exp(c)), moments=False).j
        found = _logarithms(tile, local, np.exp(log_r))[0]
        return float(np.max(np.abs(np.expm1(found - np.log(true)))))


def _coefficients(values: FloatArray, orders: tuple[int, ...]) -> FloatArray:
    """Chebyshev coefficients from values at the tensor grid of Lobatto points."""
    for axis, order in enumerate(orders):
        moved = np.einsum("ij,j...->i...", _lobatto(order)[1], np.moveaxis(values, axis, 0))
        values = np.moveaxis(moved, 0, axis)
    return np.ascontiguousarray(values)


@dataclass(frozen=True)
class _Chain:
    """From derivatives in the table's coordinates to those in ln r and ln tau at fixed s."""

    degree: int | None
    slope: FloatArray
    bend: FloatArray
    precision: FloatArray


def _groups(place: IntArray) -> list[tuple[tuple[int, int, int], IntArray]]:
    """Tiles that are asked for, each with the rows that ask for it."""
    if not len(place):
        return []
    key = (place[:, 0] * 100_000 + place[:, 1]) * 1_000 + place[:, 2]
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=key[order[0]] - 1))
    parts = np.split(order, starts[1:])
    return [((int(p[0]), int(p[1]), int(p[2])), rows) for p, rows in ((place[rows[0]], rows) for rows in parts)]


def _contract(coefficients: FloatArray, local: FloatArray) -> FloatArray:
    """Interpolant and its derivatives in the coordinates: value, a, b, c, aa, ab, ac, bb, bc, cc; shape (10, n)."""
    by_a, by_b, by_c = (_chebyshev(local[:, axis], order) for axis, order in enumerate(coefficients.shape))
    along_a = [np.einsum("na,abc->nbc", basis, coefficients) for basis in by_a]
    result = []
    for i, j, k in DERIVATIVES:
        scale = (2.0 / WIDTHS[0]) ** i * (2.0 / WIDTHS[1]) ** j * (2.0 / WIDTHS[2]) ** k
        along_b = np.einsum("nb,nbc->nc", by_b[j], along_a[i])
        result.append(scale * np.einsum("nc,nc->n", by_c[k], along_b))
    return np.stack(result)


def _logarithms(tile: Tile, local: FloatArray, r: FloatArray) -> FloatArray:
    """Ln J and its derivatives as `_contract` orders them; r is that of a step from -1 to 1."""
    logs = _contract(tile.coefficients, local)
    if tile.limit is None:
        return logs
    # J = J(infinity) - H with ln H = logs - r/2; a step knows no b
    # kept above underflow: a chain works with the logarithm of what is left
    left = np.exp(np.maximum(logs[0] - 0.5 * r, -650.0))
    a, c, aa, ac, cc = logs[1] - 0.5 * r, logs[3], logs[4] - 0.5 * r, logs[6], logs[9]
    limit = _contract(tile.limit[None, None, :], local)
    whole = np.exp(limit[0])
    j = whole - left
    j_a, j_c = -left * a / j, (whole * limit[3] - left * c) / j
    j_cc = (whole * (limit[9] + limit[3] ** 2) - left * (cc + c * c)) / j
    nothing = np.zeros_like(j)
    j_aa = -left * (aa + a * a) / j - j_a * j_a
    j_ac = -left * (ac + a * c) / j - j_a * j_c
    return np.stack([np.log(j), j_a, nothing, j_c, j_aa, nothing, j_ac, nothing, nothing, j_cc - j_c * j_c])


def _derivatives(logs: FloatArray, chain: _Chain, r: FloatArray, tau: FloatArray) -> FloatArray:
    """J and its derivatives in r and tau from those of ln J in the table's coordinates."""
    value, a, b, c, aa, ab, ac, bb, bc, cc = logs
    if chain.degree == 1:
        # ln r + ln tau is the only combination that enters
        b, ab, bb, bc = a, aa, aa, ac
    t = b + c * chain.slope
    at = ab + ac * chain.slope
    tt = bb + 2.0 * bc * chain.slope + cc * chain.slope**2 + c * chain.bend
    weak = r < chain.precision
    a, aa, at = np.where(weak, 1.0, a), np.where(weak, 0.0, aa), np.where(weak, 0.0, at)
    ratio = np.exp(value) / chain.precision
    j = ratio * r
    return np.stack(
        [
            j,
            2.0 * ratio * a,
            2.0 * j * t / tau,
            2.0 * ratio * (a * a - a + aa) / chain.precision,
            2.0 * ratio * (a * t + at) / tau,
            2.0 * j * (t * t - t + tt) / tau**2,
            1.0 - 2.0 * j * a,
        ]
    )


@lru_cache(maxsize=32)
def exact_table(phi: ScalarFunction) -> ExactTable:
    """Return the table of an activation, shared by everything in the process.

    Parameters
    ----------
    phi : ScalarFunction
        The activation; hashable.

    Returns
    -------
    ExactTable
    """
    return ExactTable(phi)
