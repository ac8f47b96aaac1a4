"""Tiles of the exact channel's table by quadrature: one set of offsets serves every r, tau and s.

For given r and tau the channel at a known offset does not depend on s; only the law of the offset does. All r and tau
of a tile are taken at the same offsets, because they share most of their work there. Offsets are taken in shells, one
for every tile along c: a tile sums its own shell and those inside it. A shell, once computed, is kept for the tiles
further out. The result does not depend on which tile was asked for first.
"""

from typing import NamedTuple

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.exact.channel import (
    OFFSET_GRADING,
    channel_at_offset,
    exact_channel,
    folded_range,
    offset_features,
    offset_scale,
)
from mfmi.channels.exact.piecewise_linear import Segments, linear_segments
from mfmi.channels.exact.step import scaled_equivocation, step_entropy
from mfmi.channels.exact.tiles import ORDERS, PERIODIC_ORDER, STRETCH, WIDTHS, ChannelTile, Place, logarithms
from mfmi.quadrature.chebyshev import chebyshev_coefficients, lobatto
from mfmi.quadrature.normal import folded_density
from mfmi.quadrature.panels import REACH, ScalarFunction, panel_nodes, partition

NODES = 6
OFFSET_RATIO = 1.6
THINNING = 0.9
SHARED_GRADING = np.concatenate([OFFSET_GRADING, [17.0, 24.0]])
"""Reaches as far in the least inner standard deviation of a tile as `OFFSET_GRADING` in the largest."""
MARGIN = 3.0
"""Factor on the last coefficients and the misses at a few places: the largest error lies elsewhere."""
KEPT = 400
"""Shells kept in memory, some 100 kB each."""
CHECKS = np.array([[0.31, -0.62, 0.17], [-0.83, 0.77, -0.91], [0.91, 0.21, 0.83]])
"""Places in a tile at which it is compared with a finer quadrature."""


class Shell(NamedTuple):
    """Offsets of one shell, shared by all tau of a tile: nodes and weights, shape (m, nodes)."""

    omega: FloatArray
    weights: FloatArray


class TileBuilder:
    """Computes tiles of one activation.

    Parameters
    ----------
    phi : ScalarFunction
        The activation.

    Attributes
    ----------
    degree : int or None
        1 if J depends on r tau and s / tau only, 0 for a step (r and s / tau), None if on all three.
    gain : float
        Precision of a step in units of that of a step from -1 to 1; 1 for any other activation.
    """

    phi: ScalarFunction
    segments: Segments | None
    degree: int | None
    gain: float

    def __init__(self, phi: ScalarFunction) -> None:
        self.phi = phi
        self.segments = linear_segments(phi, phi.kinks)
        self.degree = None if self.segments is None else self.segments.homogeneous_degree
        self.gain = self.segments.step_gain if self.segments is not None and self.degree == 0 else 1.0
        self._known: dict[Place, tuple[Shell, FloatArray]] = {}

    @property
    def orders(self) -> tuple[int, int, int]:
        """Shape of a tile's coefficients."""
        if self.degree is not None:
            return ORDERS[0], 1, ORDERS[2]
        return ORDERS[0], PERIODIC_ORDER if np.isfinite(self.phi.period) else ORDERS[1], ORDERS[2]

    def saturates(self, place: Place) -> bool:
        """Whether a tile holds a step's equivocation: at r >= 1, where the information nears its limit.

        Parameters
        ----------
        place : tuple of int
        """
        return self.degree == 0 and place[0] >= 0

    def build(self, place: Place) -> ChannelTile:
        """Compute a tile by quadrature, and measure its error.

        Parameters
        ----------
        place : tuple of int
            Numbers of the tile along ln r, ln tau and c.
        """
        r, tau, c = self._axes(place)
        limit = None
        if self.saturates(place):
            values, known = self._equivocation(r, place[2], c)
            limit = chebyshev_coefficients(np.log(known), (ORDERS[2],))
        else:
            values = self._information(place, r / self.gain, tau, c)
        coefficients = chebyshev_coefficients(np.log(values), self.orders)
        last = [np.take(coefficients, -1, axis) for axis, order in enumerate(self.orders) if order > 1]
        tail = max(float(np.max(np.abs(part))) for part in last)
        miss = self._miss(place, ChannelTile(coefficients, limit, tail))
        return ChannelTile(coefficients, limit, MARGIN * (tail + miss))

    def _axes(self, place: Place) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Interpolation points r, tau and c of a tile."""
        a, b, c = (
            width * (number + 0.5 * (lobatto(order)[0] + 1.0)) if order > 1 else np.zeros(1)
            for number, width, order in zip(place, WIDTHS, self.orders, strict=True)
        )
        return np.exp(a), np.exp(b), c

    def _shell(self, tau: FloatArray, number: int) -> Shell:
        """Offsets that tile `number` along c needs beyond those of the tiles inside it."""
        narrow, wide = (np.array([bound(np.sqrt(tau))]) for bound in (np.min, np.max))
        # the narrowest law of offsets among the interpolation points, and the length on which the channel varies
        first = 0.5 * WIDTHS[2] * (lobatto(ORDERS[2])[0][1] + 1.0)
        finest = np.minimum(narrow * np.sqrt(np.expm1(first) / STRETCH), offset_scale(self.phi, narrow, self.segments))
        inner, outer = (REACH * wide * np.sqrt(np.expm1(WIDTHS[2] * k) / STRETCH) for k in (number, number + 1))
        low, high = folded_range(self.phi, outer)
        steps = int(np.ceil(np.log(float(outer[0] / finest[0])) / np.log(OFFSET_RATIO)))
        grading = OFFSET_RATIO ** np.arange(steps + 1)
        ladder = finest * np.concatenate([-grading[::-1], [0.0], grading])
        cut = np.concatenate([ladder, offset_features(self.phi, narrow, outer, self.segments, SHARED_GRADING)[0]])
        sides = [(np.minimum(inner, high), high)]
        if np.any(low < 0.0):
            sides.append((low, np.maximum(-inner, low)))
        parts = []
        for start, end in sides:
            _, lower, upper = partition(np.zeros(len(cut), dtype=np.int64), cut, start, end, THINNING * finest)
            parts.append(panel_nodes(lower, upper, NODES))
        return Shell(*(np.concatenate(together) for together in zip(*parts, strict=True)))

    def _mass(self, shell: Shell, tau: FloatArray, c: FloatArray) -> FloatArray:
        """Mass of a shell's nodes under the law of the offset at every tau and c, shape (tau, m, nodes, c)."""
        spread = (np.sqrt(tau)[:, None] * np.sqrt(np.expm1(c) / STRETCH))[:, None, None, :]
        some = spread > 0.0
        density = folded_density(self.phi, shell.omega[:, :, None], np.where(some, spread, 1.0))
        return np.asarray(shell.weights[:, :, None] * np.where(some, density, 0.0))

    def _information(self, place: Place, r: FloatArray, tau: FloatArray, c: FloatArray) -> FloatArray:
        """J at every combination of r, tau and c, shape (r, tau, c)."""
        result = np.zeros((len(r), len(tau), len(c)))
        for number in range(place[2] + 1):
            shell, found = self._channel((place[0], place[1], number), r, tau)
            result += np.einsum("rtqk,tqkc->rtc", found, self._mass(shell, tau, c), optimize=True)
        if c[0] == 0.0:
            # without a spread the offset is 0
            result[:, :, 0] = self._at_offsets(r, tau, np.zeros((1, 1)))[:, :, 0, 0]
        return result

    def _channel(self, place: Place, r: FloatArray, tau: FloatArray) -> tuple[Shell, FloatArray]:
        """One shell and the information at its offsets for every r and tau, shape (r, tau, m, nodes)."""
        if place not in self._known:
            shell = self._shell(tau, place[2])
            found = self._at_offsets(r, tau, shell.omega)
            while len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            self._known[place] = shell, found
        return self._known[place]

    def _at_offsets(self, r: FloatArray, tau: FloatArray, omega: FloatArray) -> FloatArray:
        """The information at offsets of shape (m, nodes) for every r and tau, shape (r, tau, m, nodes)."""
        precision, inner = (np.broadcast_to(a, (len(omega), len(a))) for a in (r, tau))
        found = channel_at_offset(self.phi, precision, inner, omega, NODES, moments=False).j
        return np.moveaxis(found, 0, 2)

    def _equivocation(self, r: FloatArray, number: int, c: FloatArray) -> tuple[FloatArray, FloatArray]:
        """H exp(r/2) of a step at every r and c, shape (r, 1, c), and its entropy at every c."""
        one = np.ones(1)
        left, known = np.zeros((len(r), len(c))), np.zeros(len(c))
        for inner in range(number + 1):
            shell = self._shell(one, inner)
            x, mass = shell.omega.ravel(), self._mass(shell, one, c).reshape(-1, len(c))
            left += np.einsum("rm,mc->rc", scaled_equivocation(r[:, None], x)[0], mass)
            known += np.einsum("m,mc->c", step_entropy(x), mass)
        if c[0] == 0.0:
            left[:, 0] = scaled_equivocation(r, np.zeros(1))[0]
            known[0] = np.log(2.0)
        return left[:, None, :], known

    def _miss(self, place: Place, tile: ChannelTile) -> float:
        """Largest relative difference from the quadrature of a higher order at places between the nodes."""
        local = CHECKS.copy()
        log_r, log_tau, c = (0.5 * (local + 1.0) + np.array(place)).T * np.array(WIDTHS)[:, None]
        if self.degree is not None:
            local[:, 1], log_tau = 0.0, np.zeros_like(log_r)
        tau = np.exp(log_tau)
        total = tau * (1.0 + np.expm1(c) / STRETCH)
        true = exact_channel(self.phi, np.exp(log_r) / self.gain, tau, total, moments=False).j
        found = logarithms(tile, local, np.exp(log_r))[0]
        return float(np.max(np.abs(np.expm1(found - np.log(true)))))
