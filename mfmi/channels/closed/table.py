"""Scalar channels as tables: what makes a chain as cheap for a nonlinear channel as for a closed form.

A channel at a layer depends on three numbers only, the precision r, the remaining variance tau = V + sigma_h^2 and the
total variance s = q + sigma_h^2 (theory (14)): one table per activation and channel serves every network. Stored is

    Q = J / (X / 2),    X = ln(1 + r D),    D(tau, s) = E_omega Var(u | omega),

which lies in (0, 1], is 1 at r = 0 and varies slowly, and the logarithm of (D / tau) / (D(s, s) / s). D(s, s) is the
activation's own: it is a power of s near 0, which no spline follows. J, its derivatives E and A and theirs are all
taken from the one interpolant, so the chain finds the stationary point of a potential that exists. At a stationary
point the error of the value is that of J to first order, whatever the error of the derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.channels.closed.coordinates import (
    S_LEAST,
    TAU_CELLS,
    X_CELLS,
    XI_MAX,
    Tile,
    error_cell,
    located,
    looked_up,
    missed,
    share_frame,
    tau_of_share,
)
from mfmi.channels.protocols import TableValue
from mfmi.channels.tile_cache import TileCache
from mfmi.processes.progress import staged
from mfmi.quadrature.splines import Four, SplineAxis, from_coarse_sites, largest_around, missed_between_sites

SOURCES = (
    "activations",
    "arguments/arrays.py",
    "channels/closed/bounds.py",
    "channels/closed/coordinates.py",
    "channels/closed/offsets.py",
    "channels/closed/table.py",
    "channels/protocols.py",
    "channels/tile_cache.py",
    "quadrature/gaussian.py",
    "quadrature/normal.py",
    "quadrature/panels.py",
    "quadrature/splines.py",
)
"""Modules that a tile's numbers follow from."""

# Every so many sites a finer rule is asked, of so many more nodes. What is found that way is a typical miss of a place,
# and the largest of 100 of them is about that times the margin.
_COARSE, _SECOND_OPINION, _MARGIN = 10, 1.5, 3.0
# Places within the first cell along X at which it is looked at as well.
_WITHIN_FIRST = np.array([0.05, 0.25, 0.75])
# Relative error of D and of moments.
_MOMENTS = 5e-10
# What stands for X = 0, where Q is a limit.
_SMALLEST_X = 1e-10
# Along s the coordinate is asinh(sqrt(s / 0.1)) in tiles of half a decade: below that variance an activation is its
# expansion at 0, and s matters only through r s and tau / s.
_S_CELLS, _TILE, _S_SCALE = 16, 1.2, 0.1


class Channel(Protocol):
    """A scalar channel to be tabulated; equal channels have equal hashes."""

    def __hash__(self) -> int:
        """Hash of the channel and its parameters."""
        ...

    @property
    def name(self) -> str:
        """Name of the channel."""
        ...

    def information(
        self, phi: Activation, r: FloatArray, tau: FloatArray, s: FloatArray, refine: float = 1.0
    ) -> FloatArray:
        """`J` in nats at precisions `r`, shape (n, R), and variances `tau`, `s`, shape (n,); returns shape (n, R).

        `refine` multiplies the numbers of nodes; another value than 1 gives a second opinion for an error estimate.
        """
        ...


_X_AXIS, _TAU_AXIS, _S_AXIS = SplineAxis(X_CELLS), SplineAxis(TAU_CELLS), SplineAxis(_S_CELLS)


class Place(NamedTuple):
    """Part of a table as the compiled solver reads it.

    Attributes
    ----------
    slot, column : tile of every s and cell within it, shape (n, K).
    at_s, frame, unit : as in `Tile`, shapes (n, K, 4), (n, K, 4) and (n, K).
    ratios, log_powers, errors : coefficients of all tiles, and the relative errors of Q in their cells.
    columns, cells : coefficients and cells along s in a tile.
    """

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


class ChannelTable:
    """One channel of one activation, by interpolation.

    Attributes
    ----------
    phi : the activation.
    channel : the channel that is tabulated.
    """

    phi: Activation
    channel: Channel

    def __init__(self, phi: Activation, channel: Channel) -> None:
        self.phi, self.channel = phi, channel
        # A homogeneous activation knows no scale, and its table has a single s.
        self._s_cells = 1 if phi.homogeneous else _S_CELLS
        self._columns = 1 if phi.homogeneous else _S_CELLS + 3
        self._identity = phi.identity
        whole = None if self._identity is None else f"{channel.name} of {self._identity}"
        self._cache = TileCache.of_user(whole, SOURCES)
        self._slots: dict[int, int] = {}
        self._ratios, self._log_powers = np.empty(0), np.empty(0)
        self._errors = np.empty(0, dtype=np.float32)

    def evaluate(self, r: FloatArray, tau: FloatArray, s: FloatArray) -> TableValue:
        """`J` and its derivatives at precisions `r`, remaining variances `tau` and total variances `s`, one shape.

        Parameters
        ----------
        r, tau, s : same shape; r >= 0, 0 < tau <= s.

        Returns
        -------
        TableValue
            Arrays of that shape, in nats and the inverse units of r and tau; NaN where an argument is out of range.
        """
        shape = r.shape
        r, tau, s = (np.ascontiguousarray(a, dtype=np.float64).ravel() for a in (r, np.minimum(tau, s), s))
        out = np.full((7, len(r)), np.nan)
        usable = np.flatnonzero(np.isfinite(r) & np.isfinite(s) & (tau > 0.0) & (s > 0.0))
        for rows in _blocks(usable):
            tile = self._tile(s[rows])
            own = r[rows], tau[rows], s[rows], tile, self._log_powers
            out[:, rows], _ = looked_up(*own, self._ratios, self._columns)
        return TableValue(*(part.reshape(shape) for part in out))

    def error(self, r: FloatArray, tau: FloatArray, s: FloatArray) -> FloatArray:
        """Estimate the absolute error of `J`, in nats; arguments as for `evaluate`.

        It is that of interpolation, estimated from the splines themselves, and of their quadrature, as a finer
        one finds it at some of the sites. Past the end of the table J goes on as ln r; a channel between none and that
        of a gaussian signal is not further off than half of that logarithm.

        Returns
        -------
        ndarray
            Of that shape; NaN where an argument is out of range.
        """
        shape = r.shape
        r, tau, s = (np.ascontiguousarray(a, dtype=np.float64).ravel() for a in (r, np.minimum(tau, s), s))
        out = np.full(len(r), np.nan)
        usable = np.flatnonzero(np.isfinite(r) & np.isfinite(s) & (tau > 0.0) & (s > 0.0))
        for rows in _blocks(usable):
            tile = self._tile(s[rows])
            _, _, (_, x), cell, _ = located(r[rows], tau[rows], s[rows], tile, self._log_powers, self._columns)
            missing = self._errors[error_cell(tile, cell, self._s_cells)]
            out[rows] = missed(x, np.asarray(missing, dtype=np.float64))
        return out.reshape(shape)

    def place(self, s: FloatArray) -> Place:
        """Coordinates in the table of channels with given total variances, shape (n, K), neither 0 nor infinite."""
        flat = s.ravel()
        tile = self._tile(np.where(np.isfinite(flat) & (flat > 0.0), flat, 1.0))
        return Place(
            tile.slot.astype(np.int64).reshape(s.shape),
            tile.column.astype(np.int64).reshape(s.shape),
            np.stack(tile.at_s, axis=-1).reshape(*s.shape, 4),
            np.stack(tile.frame, axis=-1).reshape(*s.shape, 4),
            tile.unit.reshape(s.shape),
            self._ratios,
            self._log_powers,
            self._errors,
            self._columns,
            self._s_cells,
        )

    def _tile(self, s: FloatArray) -> Tile:
        """Places of total variances in the table; tiles that are not there yet are added."""
        whole = np.ones_like(s) if self.phi.homogeneous else np.maximum(s, S_LEAST)
        slot, column, at_s = self._place(whole)
        return Tile(slot, column, at_s, np.broadcast_arrays(*share_frame(whole)), self._unit(s))

    def _unit(self, s: FloatArray) -> FloatArray:
        """D at tau = s, over s; 1 where the activation has no scale, and the table all of D."""
        if self.phi.homogeneous:
            return np.ones_like(s)
        different, which = np.unique(s, return_inverse=True)
        return np.asarray(self.phi.decorrelation(different, different) / different)[which.ravel()]

    def _place(self, s: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp], Four[FloatArray]]:
        """Slot of the tile, cell and weights of every s; a tile that is not there yet is added."""
        coordinate = np.zeros_like(s) if self.phi.homogeneous else _coordinate(s)
        number = np.floor(coordinate).astype(np.intp)
        present = np.unique(number)
        missing = [int(tile) for tile in present if int(tile) not in self._slots]
        for tile in staged(f"tabulate {self.channel.name} of {self.phi.name}", missing, "tiles"):
            self._add(tile)
        slots = np.array([self._slots[int(k)] for k in present])
        slot = slots[np.searchsorted(present, number)]
        if self.phi.homogeneous:
            zero = np.zeros_like(s)
            return slot, np.zeros_like(number), (np.ones_like(s), zero, zero, zero)
        column, weights = _S_AXIS.locate(coordinate - number)
        return slot, column, weights[0]

    def _add(self, number: int) -> None:
        """Append the coefficients of a tile, out of the cache where they are kept."""
        sizes = [(X_CELLS + 3) * (TAU_CELLS + 3) * self._columns, (TAU_CELLS + 3) * self._columns]
        # Errors in single precision take half a number each.
        size = sum(sizes) + X_CELLS * TAU_CELLS * self._s_cells // 2
        kept = self._cache.load_or_make((number,), size, self._made)
        ratio, log_power, errors = np.split(kept, np.cumsum(sizes))
        self._slots[number] = len(self._slots)
        self._ratios = np.concatenate((self._ratios, ratio))
        self._log_powers = np.concatenate((self._log_powers, log_power))
        self._errors = np.concatenate((self._errors, errors.view(np.float32)))

    def _made(self, place: tuple[int, ...]) -> FloatArray:
        """Make a tile, and keep it."""
        ratio, log_power, errors = self._tabulate(*place)
        tile = np.concatenate((ratio, log_power, errors.view(np.float64)))
        if self.phi.identity == self._identity:  # else a user's function has changed while it was looked at
            self._cache.store(place, tile)
        return tile

    def _tabulate(self, number: int) -> tuple[FloatArray, FloatArray, NDArray[np.float32]]:
        """Coefficients of Q and of ln(D / tau), less that at tau = s, for the s of a tile, and its cells' errors."""
        s_sites = np.array([1.0]) if self.phi.homogeneous else _variance_at(number + _S_AXIS.sites)
        share, s = np.meshgrid(_TAU_AXIS.sites, s_sites, indexing="ij")
        # At share 0 the limit is taken a little inside; the table is smooth there.
        tau = tau_of_share(np.maximum(share, 1e-6), s)
        power = np.asarray(self.phi.decorrelation(s.ravel(), tau.ravel())).reshape(s.shape)
        x = np.sinh(_X_AXIS.sites * XI_MAX)
        x[0] = _SMALLEST_X
        r = np.expm1(x) / power.ravel()[:, None]
        j = self.channel.information(self.phi, r, tau.ravel(), s.ravel())
        q = (2.0 * j / x).reshape(*s.shape, len(x))
        along_s = np.ones((1, 1)) if self.phi.homogeneous else _S_AXIS.coefficients
        ratio = np.einsum("ax,bt,cs,tsx->abc", _X_AXIS.coefficients, _TAU_AXIS.coefficients, along_s, q, optimize=True)
        shape = np.log(power / tau) - np.log(self._unit(s_sites))
        log_power = _TAU_AXIS.coefficients @ shape @ along_s.T
        rough = self._second_opinion(power[:, -1], tau[:, -1], s[:, -1], q[:, -1])
        of_share = missed_between_sites(log_power) + rough
        largest = largest_around(np.abs(ratio), [axis for axis in range(3) if ratio.shape[axis] > 1])
        errors = _MARGIN * (missed_between_sites(ratio) + largest * (of_share + _MOMENTS))
        return ratio.ravel(), log_power.ravel(), errors.ravel().astype(np.float32)

    def _second_opinion(self, power: FloatArray, tau: FloatArray, s: FloatArray, q: FloatArray) -> FloatArray:
        """Relative difference of Q from a finer quadrature, for all cells of a tile, shape (x, share, 1).

        It is asked at some sites of the tile's largest s, and within the first cell along X: where few offsets carry
        all of the variance, as after a step, Q falls faster there than a spline shows.

        Parameters
        ----------
        power, tau, s : D and the variances at the sites along the share, shape (share,).
        q : Q there, shape (share, x).
        """
        lines, rows = (np.append(np.arange(0, axis.cells, _COARSE), axis.cells + 2) for axis in (_X_AXIS, _TAU_AXIS))
        x = np.sinh(np.append(_X_AXIS.sites[lines], _WITHIN_FIRST / X_CELLS) * XI_MAX)
        x[0] = _SMALLEST_X
        weights = np.stack(_X_AXIS.locate(_WITHIN_FIRST / X_CELLS)[1][0])
        known = np.hstack((q[np.ix_(rows, lines)], q[rows] @ _X_AXIS.coefficients[:4].T @ weights))
        r = np.expm1(x) / power[rows, None]
        finer = 2.0 * self.channel.information(self.phi, r, tau[rows], s[rows], _SECOND_OPINION) / x
        miss = np.abs(finer - known) / np.where(known > 0.0, known, np.inf)
        cells = from_coarse_sites(miss[:, : len(lines)].T, [lines, rows], (X_CELLS, TAU_CELLS))
        first = from_coarse_sites(miss[:, len(lines) :].max(axis=1), [rows], (TAU_CELLS,))
        cells[0] = np.maximum(cells[0], first)
        return cells[:, :, None]


def _coordinate(s: FloatArray) -> FloatArray:
    """Coordinate of s: tiles are its unit intervals."""
    return np.asarray(np.arcsinh(np.sqrt(s / _S_SCALE)) / _TILE)


def _variance_at(coordinate: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(_S_SCALE * np.sinh(coordinate * _TILE) ** 2, S_LEAST))


def _blocks(rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Stretches short enough for the work arrays to stay in the cache."""
    return (rows[start : start + 4096] for start in range(0, len(rows), 4096))


@lru_cache(maxsize=32)
def table(phi: Activation, channel: Channel) -> ChannelTable:
    """The table of a channel, shared by everything in the process."""
    return ChannelTable(phi, channel)
