"""The exact scalar channel as a table: one smooth interpolant of J per activation, built where it is needed.

J(r, tau; s) of theory (14) depends on three numbers and, for a homogeneous activation or a step, on two. ln J is kept
as tensor Chebyshev polynomials on fixed tiles of the coordinates

    ln r,    ln tau,    c = ln(1 + 8 (s / tau - 1)) >= 0,

in which it has no feature narrower than order one; E, A and their derivatives are those of the interpolant, so that a
chain finds the stationary point of a potential that exists, and neighbouring tiles agree on their common face. A tile
depends on the activation and on its place only: computed by quadrature when first asked for, kept in memory and in the
cache directory. For a step, whose J saturates, the tiles at r >= 1 hold what is left to learn instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.exact.tile_builder import TileBuilder
from mfmi.channels.exact.tiles import ORDERS, STRETCH, WIDTHS, ChannelTile, Place, logarithms
from mfmi.channels.protocols import TableValue
from mfmi.channels.tile_cache import PATIENCE, TileCache
from mfmi.processes.progress import staged
from mfmi.quadrature.panels import IntArray, ScalarFunction

SOURCES = (
    "activations",
    "arguments/arrays.py",
    "channels/exact/cells.py",
    "channels/exact/channel.py",
    "channels/exact/input_panels.py",
    "channels/exact/mixture_density.py",
    "channels/exact/piecewise_linear.py",
    "channels/exact/smooth.py",
    "channels/exact/step.py",
    "channels/exact/table.py",
    "channels/exact/tile_builder.py",
    "channels/exact/tiles.py",
    "channels/protocols.py",
    "channels/tile_cache.py",
    "quadrature/chebyshev.py",
    "quadrature/gaussian.py",
    "quadrature/normal.py",
    "quadrature/panels.py",
)
"""Modules that a tile's numbers follow from."""


SMALLEST_SIGNAL = 1e-7
"""r tau below which J is proportional to r to the accuracy of the table."""
LARGEST_PRECISION = 1e15
"""Value of r beyond which a step has reached its limit, and the table of any other activation gives NaN."""
LARGEST_RATIO = 1e14
"""Value of s / tau beyond which J is the power of tau that it is there."""
FAINT = 1e-6
"""Largest J in nats that is carried on like that; beyond, the power itself changes, and the table gives NaN."""
SMALLEST_SHARE = 1e-100
"""Value of tau / s below which nothing changes any more; its inverse square is still a number."""


class ExactTable:
    """The exact channel of one activation by interpolation.

    Parameters
    ----------
    phi : ScalarFunction
        The activation.
    cache : TileCache, optional
        Where tiles are kept between processes; by default the user's cache directory.
    """

    phi: ScalarFunction
    identity: str | None
    cache: TileCache

    def __init__(self, phi: ScalarFunction, cache: TileCache | None = None) -> None:
        self.phi = phi
        self.identity = phi.identity
        self.cache = kept_tiles(phi) if cache is None else cache
        self._builder = TileBuilder(phi)
        self._tiles: dict[Place, ChannelTile] = {}

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
        given, tau = tau, np.maximum(tau, s / LARGEST_RATIO)
        out = np.full((7, len(r)), np.nan)
        place, local, chain = self._place(r[usable], tau[usable], s[usable])
        logs = np.empty((10, len(place)))
        groups = _groups(place)
        self._prepare([tile for tile, _ in groups])
        for tile, rows in groups:
            logs[:, rows] = logarithms(self.tile(tile), local[rows], chain.precision[rows] * self._builder.gain)
        out[:, usable] = _derivatives(logs, chain, r[usable], tau[usable])
        beyond = usable[given[usable] < tau[usable]]
        out[:, beyond] = carried_on(
            out[:, beyond], r[beyond], tau[beyond], np.maximum(given, SMALLEST_SHARE * s)[beyond]
        )
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
        tau = np.maximum(tau, s / LARGEST_RATIO)
        out = np.full(len(r), np.nan)
        place = self._place(r[usable], tau[usable], s[usable])[0]
        found = np.empty(len(place))
        groups = _groups(place)
        self._prepare([tile for tile, _ in groups])
        for tile, rows in groups:
            found[rows] = self.tile(tile).error
        out[usable] = found
        return out.reshape(shape)

    def _prepare(self, places: Sequence[Place]) -> None:
        """Make the tiles that are not in memory, and say how far that is; at last those that another process makes."""
        missing = [place for place in places if place not in self._tiles]
        waiting: list[Place] = []
        for place in staged(f"tabulate {self.phi.name}, {len(self._tiles)} tiles so far", missing, "tiles"):
            if not self._made(place, 0.0):
                waiting.append(place)
        for place in waiting:
            self.tile(place)

    def tile(self, place: Place) -> ChannelTile:
        """Return the tile at a place, from memory, from the cache or by quadrature.

        Parameters
        ----------
        place : tuple of int
            Numbers of the tile along ln r, ln tau and c.
        """
        if not self._made(place, PATIENCE):
            self._build(place)
        return self._tiles[place]

    def _made(self, place: Place, patience: float) -> bool:
        """Bring a tile into memory; False where another process is making it and has not ended after some seconds."""
        if place in self._tiles or self._load(place):
            return True
        with self.cache.alone(place, patience) as alone:
            # Another process may have made it in the meantime.
            if self._load(place):
                return True
            if alone:
                self._build(place)
        return alone

    def _build(self, place: Place) -> None:
        tile = self._tiles[place] = self._builder.build(place)
        limit = np.empty(0) if tile.limit is None else tile.limit
        if self.phi.identity == self.identity:  # else a user's function has changed while it was looked at
            self.cache.store(place, np.concatenate([tile.coefficients.ravel(), limit, [tile.error]]))

    def _load(self, place: Place) -> bool:
        """Bring a tile from the cache into memory, if it is there."""
        shape = self._builder.orders
        size, tail = int(np.prod(shape)), ORDERS[2] if self._builder.saturates(place) else 0
        stored = self.cache.load(place, size + tail + 1)
        if stored is not None:
            limit = stored[size:-1] if tail else None
            self._tiles[place] = ChannelTile(stored[:size].reshape(shape), limit, float(stored[-1]))
        return stored is not None

    def _arguments(
        self, r: ArrayLike, tau: ArrayLike, s: ArrayLike
    ) -> tuple[tuple[int, ...], FloatArray, FloatArray, FloatArray, IntArray]:
        """Flat arrays of one shape, and the numbers of those elements that the table covers."""
        whole = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (r, tau, s)))
        flat = [np.ravel(a) for a in whole]
        with np.errstate(invalid="ignore", divide="ignore"):
            good = (flat[0] >= 0.0) & (flat[1] > 0.0) & np.isfinite(flat[2])
            good &= flat[2] >= flat[1] * (1.0 - 1e-9)
            good &= (flat[0] <= LARGEST_PRECISION) | (self._builder.degree == 0)
        if self._builder.degree == 0:
            flat[0] = np.minimum(flat[0], LARGEST_PRECISION)
        return whole[0].shape, flat[0], flat[1], flat[2], np.flatnonzero(good)

    def _place(self, r: FloatArray, tau: FloatArray, s: FloatArray) -> tuple[IntArray, FloatArray, "_Chain"]:
        """Tiles, places within them in [-1, 1] and what leads from the coordinates back to r and tau."""
        degree = self._builder.degree
        scale = np.full_like(tau, self._builder.gain) if degree == 0 else tau
        smallest = SMALLEST_SIGNAL / scale
        log_r, log_tau = np.log(np.maximum(r, smallest)), np.log(tau)
        if degree is not None:
            log_r = log_r + np.log(scale)
            log_tau = np.zeros_like(log_tau)
        excess = STRETCH * np.maximum(s - tau, 0.0) / tau
        cells = np.stack([log_r / WIDTHS[0], log_tau / WIDTHS[1], np.log1p(excess) / WIDTHS[2]], axis=1)
        place = np.floor(cells).astype(np.int64)
        local = 2.0 * (cells - place) - 1.0
        if degree is not None:
            local[:, 1] = 0.0
        # at fixed s, dc / d ln tau = -1 - (STRETCH - 1) e^-c
        rest = (STRETCH - 1.0) / (1.0 + excess)
        slope = -1.0 - rest
        return place, local, _Chain(degree, slope, slope * rest, np.maximum(r, smallest))


def kept_tiles(phi: ScalarFunction) -> TileCache:
    """Tiles of an activation that the user's cache directory keeps."""
    return TileCache.of_user(phi.identity, SOURCES)


@dataclass(frozen=True)
class _Chain:
    """From derivatives in the table's coordinates to those in ln r and ln tau at fixed s."""

    degree: int | None
    slope: FloatArray
    bend: FloatArray
    precision: FloatArray


def _groups(place: IntArray) -> list[tuple[Place, IntArray]]:
    """Tiles that are asked for, each with the rows that ask for it."""
    if not len(place):
        return []
    key = (place[:, 0] * 100_000 + place[:, 1]) * 1_000 + place[:, 2]
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=key[order[0]] - 1))
    parts = np.split(order, starts[1:])
    return [((int(p[0]), int(p[1]), int(p[2])), rows) for p, rows in ((place[rows[0]], rows) for rows in parts)]


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


def carried_on(edge: FloatArray, r: FloatArray, tau: FloatArray, wanted: FloatArray) -> FloatArray:
    """The channel at variances `wanted` below the table's least ones `tau`, where it is a power of the variance.

    Where phi is smooth or kinked that power is 1 and J the Fisher information of the offset times half the variance;
    of a step it is 1/2, the share of neurons whose offset lies so near to it.
    """
    j, e, a = edge[:3]
    # Without an observation J and A vanish, and E has the same power.
    with np.errstate(invalid="ignore", divide="ignore"):
        power = np.where(j > 0.0, 0.5 * a * tau / j, edge[4] * tau / e)
    shrunk = np.exp(power * np.log(wanted / tau))
    j, e, e_r = j * shrunk, e * shrunk, edge[3] * shrunk
    slope = 2.0 * power / wanted
    found = np.stack([j, e, slope * j, e_r, slope * e / 2.0, slope * j * (power - 1.0) / wanted, 1.0 - r * e])
    return np.where(edge[0] <= FAINT, found, np.nan)


@lru_cache(maxsize=32)
def exact_table(phi: ScalarFunction) -> ExactTable:
    """Return the table of an activation, shared by everything in the process.

    Parameters
    ----------
    phi : ScalarFunction
        The activation; hashable.
    """
    return ExactTable(phi)
