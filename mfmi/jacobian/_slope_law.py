"""The law of a squared slope phi'(sqrt(s) z)^2 under a Gaussian pre-activation, and its resolvent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.activations._uniform import FAR, wrapped
from mfmi.arguments.arrays import FloatArray
from mfmi.errors import NumericsError
from mfmi.quadrature.gaussian import legendre_rule
from mfmi.quadrature.panels import normal_density

Complex = NDArray[np.complex128]

# Standard deviations kept on either side; the mass beyond is 1e-19.
_TAIL = 9.0

# Gauss-Legendre nodes per cell.
_NODES = 8

# A cell over which the squared slope changes by more than this in its logarithm is halved, so often at most; where the
# slope is this small compared with the largest, a coarser cell will do.
_STEEP, _STEEP_IF_SMALL, _LOG_SMALL = 0.7, 1.5, -16.0
_MOST_HALVINGS = 12

# Half the length of a short interval over its middle, at least.
_LEAST_REACH = 1e-9

# Lengths of a short interval within which a pole feels that it is not two points: to 1e-10, and roughly.
NEAR, ROUGHLY_NEAR = 12.0, 3.0

# Points of the table of a law's resolvent on the positive axis.
_TABLE = 2000

# A slope smaller than this is a slope that has underflowed: not an atom at zero, and its square is a number.
_LEAST_VALUE = 1e-140

# Cells from here on are no narrower where the activation varies on a longer scale than the Gaussian.
_WIDEST_SCALE = 3.0

# Equal cells of a function that varies everywhere: of each so many that are asked for, one to a length of variation;
# so many times those that are asked for, because none are narrower around 0; at most so many.
_CELLS_PER_LENGTH, _EQUAL_CELLS, _MOST_CELLS = 16, 1.5, 20_000

# Slopes are followed this far to see whether they vanish; a square below this share of the largest has.
_FAR = 1e6
_VANISHING = 1e-9

# Beyond these bounds on the pre-activation an interval without kinks is not probed.
_REACH = 50.0


@dataclass(frozen=True, eq=False)
class SlopeLaw:
    """A law on [0, inf): atoms, and short intervals of linear density that stand for its continuous part.

    Each short interval has the ends, mass and mean of a cell of the true law, so that what is smooth on the scale of a
    cell is integrated to fourth order, and the resolvent is right up to the real axis.

    Attributes
    ----------
    low, high, masses : ends and masses of the short intervals, increasing in `low`.
    tilts : the density of an interval is proportional to `1 + tilt xi`, with xi from -1 to 1.
    atoms : the atoms as (value, mass), increasing.
    infimum, supremum : the least positive and the largest value over all pre-activations, likely or not.
    """

    low: FloatArray
    high: FloatArray
    masses: FloatArray
    tilts: FloatArray
    atoms: tuple[tuple[float, float], ...]
    infimum: float
    supremum: float

    @property
    def zero_mass(self) -> float:
        """Mass of the atom at 0."""
        return sum(mass for value, mass in self.atoms if value == 0.0)

    @property
    def is_discrete(self) -> bool:
        """Whether there are only atoms."""
        return self.masses.size == 0

    @property
    def is_constant(self) -> bool:
        """Whether there is nothing but one atom."""
        return self.is_discrete and len(self.atoms) == 1

    @cached_property
    def nodes(self) -> tuple[FloatArray, FloatArray]:
        """Positive values and their masses: the atoms, and two for each short interval, exact for cubics."""
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        (left, right), share = _two_points(self.tilts)
        atoms = np.array([atom for atom in self.atoms if atom[0] > 0.0]).reshape(-1, 2)
        values = np.concatenate([middle + half * left, middle + half * right, atoms[:, 0]])
        return values, np.concatenate([self.masses * share, self.masses * (1.0 - share), atoms[:, 1]])

    def moment(self, order: int) -> float:
        """Return `E d^order` for order 1 to 3."""
        values, masses = self.nodes
        return float(np.sum(masses * values**order))

    def density(self, d: FloatArray) -> FloatArray:
        """Return the density of the continuous part, shape (n,)."""
        half = 0.5 * (self.high - self.low)
        place = (d[:, None] - 0.5 * (self.low + self.high)) / half
        inside = np.abs(place) <= 1.0
        return np.asarray((inside * self.masses * (1.0 + self.tilts * place) / (2.0 * half)).sum(axis=1))

    def quantile(self, share: float) -> float:
        """Return a positive value that all but a `share` of the mass of the positive values exceed or equal."""
        values, masses = self.nodes
        order = np.argsort(values)
        index = int(np.searchsorted(np.cumsum(masses[order]), share))
        return float(values[order[min(index, len(order) - 1)]])

    @cached_property
    def clusters(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends of the connected pieces of the positive support, increasing.

        Short intervals that leave no more room between them than they are long stand for one piece.
        """
        positive = np.array([value for value, _ in self.atoms if value > 0.0])
        low, high = np.concatenate([self.low, positive]), np.concatenate([self.high, positive])
        order = np.argsort(low)
        low, reach = low[order], np.maximum.accumulate(high[order])
        length = (high - np.concatenate([self.low, positive]))[order]
        is_first = np.ones(len(low), dtype=bool)
        is_first[1:] = low[1:] - reach[:-1] > np.maximum(length[1:], length[:-1])
        ends = np.append(np.flatnonzero(is_first)[1:] - 1, len(low) - 1)
        return low[is_first], reach[ends]

    def gap_around(self, w: float) -> tuple[float, float]:
        """Return the ends of the gap between clusters in which w lies; 0 and inf if nothing is below or above."""
        low, high = self.clusters
        return float(high[high < w].max(initial=0.0)), float(low[low > w].min(initial=np.inf))

    def covers(self, w: FloatArray) -> NDArray[np.bool_]:
        """Say where w lies in a cluster."""
        low, high = self.clusters
        index = np.searchsorted(low, w, side="right") - 1
        return np.asarray((index >= 0) & (w <= high[np.maximum(index, 0)]))

    def resolvent(self, log_omega: Complex, near: float = NEAR) -> tuple[Complex, Complex]:
        """Return `h = E[d / (omega + d)]` and `d ln h / d ln omega`, elementwise.

        Parameters
        ----------
        log_omega
            ln omega with imaginary part in [-pi, 0], shape (n,).
        near
            How many lengths of a short interval away from it two points stand for it.
        """
        values, masses = self.nodes
        omega: Complex = np.exp(log_omega)
        # In real arithmetic, d / (omega + d) = a - i b: a third of the time.
        x, y = values + omega.real[:, None], omega.imag[:, None]
        share = values / (x * x + y * y)
        a, b = share * x, share * y
        h: Complex = a @ masses - 1j * (b @ masses)
        slope: Complex = (a * (a - 1.0) - b * b) @ masses - 1j * ((b * (2.0 * a - 1.0)) @ masses)
        if self.masses.size:
            self._correct(omega, near, h, slope)
        return h, slope / h

    def log_omega_at(self, log_m: FloatArray) -> FloatArray:
        """Return ln omega > -inf where `E[d / (omega + d)] = m`, by interpolation, shape of `log_m`."""
        log_omega, log_h = self._table
        return np.interp(log_m, log_h, log_omega)

    @cached_property
    def _table(self) -> tuple[FloatArray, FloatArray]:
        """Return ln omega, falling, and ln h."""
        log_values = np.log(self.nodes[0])
        log_omega = np.linspace(log_values.max() + 65.0, log_values.min() - 40.0, _TABLE)
        return log_omega, np.log(self.resolvent(log_omega.astype(np.complex128))[0].real)

    def _correct(self, omega: Complex, near: float, h: Complex, slope: Complex) -> None:
        """Replace two values by the whole interval where the pole at -omega is near it."""
        length = self.high - self.low
        offset = omega.real[:, None] + 0.5 * (self.low + self.high)
        point, cell = np.nonzero(offset * offset + (omega.imag**2)[:, None] < (near * length) ** 2)
        if not point.size:
            return
        w, mass, tilt = omega[point], self.masses[cell], self.tilts[cell]
        middle, half = 0.5 * (self.low + self.high)[cell], 0.5 * length[cell]
        q = (w + middle) / half
        logarithm = log_lower(w + self.high[cell]) - log_lower(w + self.low[cell])
        once = w / half * (0.5 * logarithm + tilt * (1.0 - 0.5 * q * logarithm))  # E[omega / (omega + d)]
        ends = (w / (w + self.low[cell])) * (w / (w + self.high[cell]))
        twice = ends * (1.0 - tilt * q) + 0.5 * tilt * (w / half) ** 2 * logarithm  # of its square
        whole, whole_slope = 1.0 - once, twice - once
        places, share = _two_points(tilt)
        for place, part in zip(places, (share, 1.0 - share), strict=True):
            ratio = (middle + half * place) / (w + middle + half * place)
            whole -= part * ratio
            whole_slope -= part * ratio * (ratio - 1.0)
        np.add.at(h, point, mass * whole)
        np.add.at(slope, point, mass * whole_slope)


def slope_law(phi: Activation, s: float, cells: int) -> SlopeLaw:
    """Return the law of `phi'(sqrt(s) z)^2`, z standard normal.

    Parameters
    ----------
    phi
        Activation with a derivative.
    s
        Variance of the pre-activation, >= 0 and finite.
    cells
        Cells into which each half of the line is divided to begin with.

    Returns
    -------
    SlopeLaw
        Intervals between kinks on which the slope is constant become atoms.

    Raises
    ------
    ValueError
        If phi has no derivative or s is out of range.
    """
    if not phi.differentiable:
        raise ValueError(f"phi must have a derivative, which {phi.name} has not")
    if not (np.isfinite(s) and s >= 0.0):
        raise ValueError(f"s must be a finite variance >= 0, not {s}")
    if s == 0.0:
        atoms = _still(phi)
        nothing = np.empty(0)
        values = [value for value, _ in atoms if value > 0.0]
        return SlopeLaw(nothing, nothing, nothing, nothing, atoms, min(values), max(values))
    deviation = float(np.sqrt(s))
    line = _line(phi, deviation, cells)
    grid, tail = line.grid, line.tail
    inner = [kink / deviation for kink in sorted(phi.kinks) if abs(kink / deviation) < tail]
    ends = [-tail, *inner, tail]
    if phi.odd or phi.even:  # the squared slope is even: half of the line will do
        ends = [0.0, *(end for end in ends if end > 0.0)]
    found: dict[float, float] = {}
    parts = [np.empty((4, 0))]
    for left, right in pairwise(ends):
        edges = np.concatenate([[left], grid[(grid > left) & (grid < right)], [right]])
        if _is_constant(phi, deviation * left, deviation * right):
            value = float(phi.derivative(0.5 * deviation * (left + right)) ** 2)
            found[value] = found.get(value, 0.0) + float(_cell_rule(edges, line.density)[1].sum())
        else:
            parts.append(_cells(phi, deviation, edges, line.density))
    table = np.concatenate(parts, axis=1)
    low, high, masses, tilts = table[:, np.argsort(table[0])]
    total = sum(found.values()) + float(masses.sum())
    shares = ((value, mass / total) for value, mass in sorted(found.items()))
    atoms = tuple((value, share) for value, share in shares if share > np.finfo(np.float64).eps)
    return SlopeLaw(low, high, masses / total, tilts, atoms, *_range(phi, atoms, is_discrete=not low.size))


class _Line(NamedTuple):
    """Stretch of the standard normal variable that is divided into cells.

    Attributes
    ----------
    grid : where cells end, from `-tail` to `tail`.
    tail : its end.
    density : density there, which need not be normalised.
    """

    grid: FloatArray
    tail: float
    density: Callable[[FloatArray], FloatArray]


def _line(phi: Activation, deviation: float, cells: int) -> _Line:
    """Cells over 9 standard deviations, graded to 0; equal where phi varies everywhere, and over a period of a wave.

    Raises
    ------
    NumericsError
        If equal cells would be too many.
    """
    period = phi.slope_period if math.isfinite(phi.slope_period) else phi.period
    if deviation >= FAR * period:
        tail = 0.5 * period / deviation
        return _Line(
            np.linspace(-tail, tail, 2 * cells + 1), tail, lambda z: wrapped(deviation * z, np.array(deviation), period)
        )
    scale = min(phi.pole / deviation, _WIDEST_SCALE)
    if phi.uniform or math.isfinite(period):
        count = math.ceil(_TAIL / scale) * cells // _CELLS_PER_LENGTH
        if count > _MOST_CELLS:
            raise NumericsError(
                f"the slopes of {phi.name} vary too fast at a variance of {deviation * deviation:.4g} for their law"
            )
        number = 2 * max(count, round(_EQUAL_CELLS * cells)) + 1
        return _Line(np.linspace(-_TAIL, _TAIL, number), _TAIL, normal_density)
    grid = scale * np.sinh(np.linspace(-1.0, 1.0, 2 * cells + 1) * np.arcsinh(_TAIL / scale))
    return _Line(grid, _TAIL, normal_density)


def _cells(
    phi: Activation, deviation: float, edges: FloatArray, density: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Return low, high, mass and tilt of the intervals that stand for the cells, shape (4, cells).

    Cells over which the slope varies much, or up and down, are halved.
    """

    def squares(z: FloatArray) -> FloatArray:
        return np.maximum(phi.derivative(deviation * z) ** 2, _LEAST_VALUE)

    for _ in range(_MOST_HALVINGS):
        middles = 0.5 * (edges[:-1] + edges[1:])
        ends, inside = np.log(squares(edges)), np.log(squares(middles))
        first, second = inside - ends[:-1], ends[1:] - inside
        steep = np.where(inside > ends.max() + _LOG_SMALL, _STEEP, _STEEP_IF_SMALL)
        split = (np.abs(first) + np.abs(second) > steep) | (first * second < 0.0)
        if not split.any():
            break
        edges = np.sort(np.concatenate([edges, middles[split]]))
    z, weights = _cell_rule(edges, density)
    slopes, ends = squares(z), squares(edges)
    mass = weights.sum(axis=1)
    mean = (weights * slopes).sum(axis=1) / mass
    low = np.minimum(np.minimum(ends[:-1], ends[1:]), slopes.min(axis=1))
    high = np.maximum(np.maximum(ends[:-1], ends[1:]), slopes.max(axis=1))
    short = high - low < 2.0 * _LEAST_REACH * mean
    low, high = np.where(short, mean * (1.0 - _LEAST_REACH), low), np.where(short, mean * (1.0 + _LEAST_REACH), high)
    tilt = 3.0 * (2.0 * mean - low - high) / (high - low)
    # Too far from the middle for a linear density: the interval shrinks on one side.
    over = np.abs(tilt) > 1.0
    low, high = (
        np.where(over & (tilt > 0.0), high - 3.0 * (high - mean), low),
        np.where(over & (tilt < 0.0), low + 3.0 * (mean - low), high),
    )
    return np.stack([low, high, mass, np.clip(tilt, -1.0, 1.0)])


def _still(phi: Activation) -> tuple[tuple[float, float], ...]:
    """Return the atoms in the limit of small s: the two one-sided slopes at 0."""
    left, right = (float(phi.derivative(side * 1e-300) ** 2) for side in (-1.0, 1.0))
    return ((left, 1.0),) if left == right else tuple(sorted(((left, 0.5), (right, 0.5))))


def _range(phi: Activation, atoms: tuple[tuple[float, float], ...], *, is_discrete: bool) -> tuple[float, float]:
    """Return the least positive and the largest of the squared slopes anywhere."""
    values = [value for value, _ in atoms if value > 0.0]
    if is_discrete:
        return min(values), max(values)
    far = np.geomspace(1.0, _FAR, 400)
    slopes = phi.derivative(np.concatenate([-far, np.linspace(-_REACH, _REACH, 100001), far]))
    # Where a function overflows, far beyond every mass, it has no slope.
    with np.errstate(over="ignore"):
        squares = slopes**2
    slopes, squares = slopes[np.isfinite(squares)], squares[np.isfinite(squares)]
    largest = max(float(squares.max()), *values, 0.0)
    least = min(float(squares[squares > 0.0].min()), *values, np.inf)
    # A slope that changes sign passes 0, whether or not a probe hit it.
    vanishes = least < _VANISHING * largest or slopes.min() < 0.0 < slopes.max()
    return 0.0 if vanishes else least, largest


def _is_constant(phi: Activation, low: float, high: float) -> bool:
    """Say whether the slope is the same number all over an interval without kinks."""
    low, high = max(low, -_REACH), min(high, _REACH)
    if not low < high:
        return False
    inside = low + (high - low) * (np.arange(1, 64) / 64.0)
    slopes = phi.derivative(inside)
    return bool((slopes == slopes[0]).all())


def _cell_rule(edges: FloatArray, density: Callable[[FloatArray], FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return Gauss-Legendre nodes in every cell, shape (cells, nodes), and weights with the density."""
    x, w = legendre_rule(_NODES)
    length = np.diff(edges)[:, None]
    z = edges[:-1, None] + length * x
    return z, length * w * density(z)


def _two_points(tilt: FloatArray) -> tuple[tuple[FloatArray, FloatArray], FloatArray]:
    """Return Gauss's two places in [-1, 1] for the density `(1 + tilt xi) / 2`, and the share of the first."""
    slope = -4.0 * tilt / (5.0 * (3.0 - tilt**2))
    root = np.sqrt(0.25 * slope**2 + (1.0 + slope * tilt) / 3.0)
    left, right = -0.5 * slope - root, -0.5 * slope + root
    return (left, right), (right - tilt / 3.0) / (right - left)


def log_lower(x: Complex) -> Complex:
    """Return the logarithm with a cut along the positive imaginary axis: right in the closed lower half plane."""
    return np.asarray(np.log(1j * x) - 0.5j * np.pi)
