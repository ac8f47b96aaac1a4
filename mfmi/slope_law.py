"""The law of a squared slope phi'(sqrt(s) z)^2 under a Gaussian pre-activation, and its resolvent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.gaussian import legendre_rule

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

# Standard deviations kept on either side; the mass beyond is 1e-19.
_TAIL = 9.0

# Gauss-Legendre nodes per cell.
_NODES = 8

# A cell over which the squared slope changes by more than this in its logarithm is halved, so often at most.
_STEEP = 0.7
_MOST_HALVINGS = 12

# Half the length of a short interval over its middle.
_LEAST_REACH, _LARGEST_REACH = 1e-9, 0.999

# Lengths of a short interval within which a pole feels that it is not two points: to 1e-10, and roughly.
NEAR, ROUGHLY_NEAR = 40.0, 3.0

# A slope smaller than this is a slope that has underflowed: not an atom at zero.
_LEAST_VALUE = 1e-290

# Cells from here on are no narrower where the activation varies on a longer scale than the Gaussian.
_WIDEST_SCALE = 3.0

# Slopes are followed this far to see whether they vanish; a square below this share of the largest has.
_FAR = 1e6
_VANISHING = 1e-9

# Beyond these bounds on the pre-activation an interval without kinks is not probed.
_REACH = 50.0


@dataclass(frozen=True, eq=False)
class SlopeLaw:
    """A law on [0, inf): atoms, and uniform laws on short intervals that stand for its continuous part.

    Each short interval has the mass, mean and variance of a cell of the true law, so that what is smooth on the scale
    of a cell is integrated to fourth order, and the resolvent is right up to the real axis.

    Attributes
    ----------
    low, high, masses : ends and masses of the short intervals, increasing in `low`.
    atoms : the atoms as (value, mass), increasing.
    infimum, supremum : the least positive and the largest value over all pre-activations, likely or not.
    """

    low: Array
    high: Array
    masses: Array
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
    def nodes(self) -> tuple[Array, Array]:
        """Positive values and their masses: the atoms, and two for each short interval, exact for cubics."""
        middle, reach = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low) / np.sqrt(3.0)
        atoms = np.array([atom for atom in self.atoms if atom[0] > 0.0]).reshape(-1, 2)
        values = np.concatenate([middle - reach, middle + reach, atoms[:, 0]])
        return values, np.concatenate([0.5 * self.masses, 0.5 * self.masses, atoms[:, 1]])

    def moment(self, order: int) -> float:
        """Return `E d^order` for order 1 to 3."""
        values, masses = self.nodes
        return float(np.sum(masses * values**order))

    def quantile(self, share: float) -> float:
        """Return a positive value that all but a `share` of the mass of the positive values exceed or equal."""
        values, masses = self.nodes
        order = np.argsort(values)
        index = int(np.searchsorted(np.cumsum(masses[order]), share))
        return float(values[order[min(index, len(order) - 1)]])

    @cached_property
    def clusters(self) -> tuple[Array, Array]:
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

    def covers(self, w: Array) -> NDArray[np.bool_]:
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
        ratio: Complex = 1.0 / (1.0 + omega[:, None] / values)
        h: Complex = ratio @ masses
        slope: Complex = (ratio * (ratio - 1.0)) @ masses
        if self.masses.size:
            self._correct(omega, near, h, slope)
        return h, slope / h

    def _correct(self, omega: Complex, near: float, h: Complex, slope: Complex) -> None:
        """Replace two values by the whole interval where the pole at -omega is near it."""
        length = self.high - self.low
        point, cell = np.nonzero(np.abs(omega[:, None] + 0.5 * (self.low + self.high)) < near * length)
        if not point.size:
            return
        w, a, b, mass = omega[point], self.low[cell], self.high[cell], self.masses[cell]
        logarithm = log_lower(w + b) - log_lower(w + a)
        whole = 1.0 - w / (b - a) * logarithm
        whole_slope = w * w / ((w + a) * (w + b)) - w / (b - a) * logarithm
        middle, reach = 0.5 * (a + b), 0.5 * (b - a) / np.sqrt(3.0)
        for value in (middle - reach, middle + reach):
            ratio = 1.0 / (1.0 + w / value)
            whole -= 0.5 * ratio
            whole_slope -= 0.5 * ratio * (ratio - 1.0)
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
        Cells into which the line is divided to begin with.

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
        return SlopeLaw(nothing, nothing, nothing, atoms, min(values), max(values))
    deviation = float(np.sqrt(s))
    scale = min(phi.pole / deviation, _WIDEST_SCALE)
    grid = scale * np.sinh(np.linspace(-1.0, 1.0, cells + 1) * np.arcsinh(_TAIL / scale))
    inner = [kink / deviation for kink in sorted(phi.kinks) if abs(kink / deviation) < _TAIL]
    ends = [-_TAIL, *inner, _TAIL]
    if phi.odd or phi.even:  # the squared slope is even: half of the line will do
        ends = [0.0, *(end for end in ends if end > 0.0)]
    found: dict[float, float] = {}
    parts = [np.empty((3, 0))]
    for left, right in pairwise(ends):
        edges = np.concatenate([[left], grid[(grid > left) & (grid < right)], [right]])
        if _is_constant(phi, deviation * left, deviation * right):
            value = float(phi.derivative(0.5 * deviation * (left + right)) ** 2)
            found[value] = found.get(value, 0.0) + float(_cell_rule(edges)[1].sum())
        else:
            parts.append(_cells(phi, deviation, edges))
    low, high, masses = np.concatenate(parts, axis=1)
    total = sum(found.values()) + float(masses.sum())
    atoms = tuple((value, mass / total) for value, mass in sorted(found.items()))
    order = np.argsort(low)
    return SlopeLaw(
        low[order], high[order], masses[order] / total, atoms, *_range(phi, atoms, is_discrete=not low.size)
    )


def _cells(phi: Activation, deviation: float, edges: Array) -> Array:
    """Return low, high and mass of the uniform laws that stand for the cells, halved where the slope varies much."""
    for _ in range(_MOST_HALVINGS):
        middles = 0.5 * (edges[:-1] + edges[1:])
        ends, inside = (np.log(np.maximum(phi.derivative(deviation * z) ** 2, _LEAST_VALUE)) for z in (edges, middles))
        steep = np.abs(inside - ends[:-1]) + np.abs(inside - ends[1:]) > _STEEP
        if not steep.any():
            break
        edges = np.sort(np.concatenate([edges, middles[steep]]))
    z, weights = _cell_rule(edges)
    slopes = np.maximum(phi.derivative(deviation * z) ** 2, _LEAST_VALUE)
    mass = weights.sum(axis=1)
    mean = (weights * slopes).sum(axis=1) / mass
    variance = (weights * (slopes - mean[:, None]) ** 2).sum(axis=1) / mass
    half = np.minimum(np.sqrt(3.0 * variance), mean * _LARGEST_REACH)
    half = np.maximum(half, mean * _LEAST_REACH)
    return np.stack([mean - half, mean + half, mass])


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
    squares = slopes**2
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


def _cell_rule(edges: Array) -> tuple[Array, Array]:
    """Return Gauss-Legendre nodes in every cell, shape (cells, nodes), and weights with the Gaussian density."""
    x, w = legendre_rule(_NODES)
    length = np.diff(edges)[:, None]
    z = edges[:-1, None] + length * x
    return z, length * w * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)


def log_lower(x: Complex) -> Complex:
    """Return the logarithm with a cut along the positive imaginary axis: right in the closed lower half plane."""
    return np.asarray(np.log(1j * x) - 0.5j * np.pi)
