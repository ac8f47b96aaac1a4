"""The spectrum of `J J^T`, with its edges and atoms, as numbers one can integrate with (theory 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.jacobian._free_product import Product, Solution, atom_products, atoms_of_product, product
from mfmi.jacobian._real_branch import RealBranch
from mfmi.jacobian._slope_law import SlopeLaw

# Mass that may be left out at the lower end.
_NEGLIGIBLE = 1e-12

# Points that look for the intervals of the spectrum; nodes in each of them at first and at most; error to reach.
_SCAN = 320
_NODES, _MOST_NODES = 96, 1536
_TARGET = 3e-7

# Excess of the masses of atoms over 1 from which their product shows in the density, and its distance from an edge.
_PEAK = -0.3
_APART = 1e-9

# Excess that counts as just 1, and the mass that such a peak may hold.
_CRITICAL, _MOST_MISSING = 1e-9, 1e-4

# Logarithm of the least value that is distinguished from 0.
_LEAST_LOG = -690.0

# The variable of the half-infinite rule starts here: exp(v - exp(-v)) is then 1e-16.
_FIRST_STEP = -3.5


@dataclass(frozen=True, eq=False)
class JacobianSpectrum:
    """The spectrum of `J J^T` in the limit of wide layers.

    Attributes
    ----------
    x : nodes in the continuous part, increasing, shape (k,).
    density : density at the nodes, shape (k,).
    masses : quadrature weights: `masses @ f(x)` is the continuous part of E f; with the atoms they add up to 1.
    atoms : (value, mass), increasing.
    edges : the intervals (lower, upper) of the continuous part, increasing. Lower end 0 where it comes arbitrarily
        close to 0.
    error : largest deviation of total mass, mean and second moment from theory (21), relative to the exact ones.
    """

    x: FloatArray
    density: FloatArray
    masses: FloatArray
    atoms: tuple[tuple[float, float], ...]
    edges: tuple[tuple[float, float], ...]
    error: float

    def moment(self, order: int) -> float:
        """Return `E lambda^order` from density and atoms."""
        return float(self.masses @ self.x**order) + sum(mass * value**order for value, mass in self.atoms)

    def cumulative(self, x: ArrayLike) -> FloatArray:
        """Return the mass in [0, x], elementwise; linear in ln x between nodes."""
        at = np.asarray(x, dtype=np.float64)
        result = np.zeros(at.shape)
        if self.x.size:
            with np.errstate(divide="ignore"):
                middle = np.cumsum(self.masses) - 0.5 * self.masses
                logs = np.log(np.concatenate([[self.edges[0][0]], self.x, [self.edges[-1][1]]]))
                logs[0] = max(logs[0], logs[1] - 1.0)
                total = self.masses.sum()
                result = np.interp(np.log(at), logs, np.concatenate([[0.0], middle, [total]]))
        for value, mass in self.atoms:
            result = result + mass * (at >= value)
        return np.asarray(result)

    @property
    def condition_number(self) -> float:
        """Largest over smallest singular value of J; infinite if the spectrum reaches 0."""
        ends = [edge for interval in self.edges for edge in interval] + [value for value, _ in self.atoms]
        return float(np.sqrt(max(ends) / min(ends))) if min(ends) > 0.0 else float(np.inf)


def spectrum(
    laws: Sequence[SlopeLaw], *, is_gaussian: bool, log_scale: float, mean: float, second_moment: float
) -> JacobianSpectrum:
    """Return the spectrum of a product of square random matrices and diagonal ones.

    Parameters
    ----------
    laws
        Laws of the squared diagonal entries between the L weight matrices, L - 1 of them; equal layers are best given
        as one object.
    is_gaussian
        Gaussian weights; else orthogonal ones.
    log_scale
        `L ln sigma_w^2`.
    mean, second_moment
        The exact ones, theory (21), against which the result is held.

    Returns
    -------
    Spectrum
        With an error from its own moments.

    Raises
    ------
    NumericsError
        If the equation cannot be followed to the real axis.
    """
    factors = product(laws, is_gaussian=is_gaussian, log_scale=log_scale)
    atoms = atoms_of_product(factors)
    if not is_gaussian and all(law.is_constant for law in laws):
        return JacobianSpectrum(np.empty(0), np.empty(0), np.empty(0), atoms, (), 0.0)
    exact = np.array([1.0, mean, second_moment])
    if not is_gaussian and len(laws) == 1:
        if laws[0].is_discrete:
            return JacobianSpectrum(np.empty(0), np.empty(0), np.empty(0), atoms, (), 0.0)
        found = _single_law(laws[0], log_scale, atoms)
        return replace(found, error=_deviation(found, exact))
    intervals = _intervals(factors, float(np.log(mean)))
    if not intervals:  # all that is not in atoms is negligible
        found = JacobianSpectrum(np.empty(0), np.empty(0), np.empty(0), atoms, (), 0.0)
        return replace(found, error=_deviation(found, exact))
    edges = tuple((float(np.exp(interval.low)), float(np.exp(interval.high))) for interval in intervals)
    nodes = _NODES
    pieces = _split_at_peaks(factors, intervals)
    critical = [value for value, excess in atom_products(factors, -_CRITICAL) if excess < _CRITICAL]
    while True:
        parts = [_interval_rule(factors, piece, nodes) for piece in pieces]
        log_x, density, masses = (np.concatenate(part) for part in zip(*parts, strict=True))
        x = np.exp(np.maximum(log_x, _LEAST_LOG))
        found = _completed(JacobianSpectrum(x, density / x, masses, atoms, edges, 0.0), critical)
        error = _deviation(found, exact)
        if error < _TARGET or nodes >= _MOST_NODES:
            return replace(found, error=error)
        nodes *= 2


def _deviation(found: JacobianSpectrum, exact: FloatArray) -> float:
    return float(np.abs(np.array([found.moment(k) for k in range(3)]) / exact - 1.0).max())


@dataclass(frozen=True)
class _Interval:
    """A piece of the spectrum in ln x, from `low` to `high`; below `cut`, if `low` is -inf, nothing counts."""

    low: float
    high: float
    cut: float


def _intervals(factors: Product, center: float) -> list[_Interval]:
    """Find the intervals of the continuous part: a scan about a point, then the edges between inside and outside."""
    points = _scan_points(factors, center)
    solution = factors.solve(points)
    inside = ~factors.is_outside(solution)
    starts = np.flatnonzero(inside & ~np.concatenate([[False], inside[:-1]]))
    stops = np.flatnonzero(inside & ~np.concatenate([inside[1:], [False]]))
    found: list[_Interval] = []
    for start, stop in zip(starts, stops, strict=True):
        high = _edge(factors, solution, int(stop) + 1, toward=-1.0)
        is_open = start == 0 or (not found and factors.reaches_zero)
        low = -np.inf if is_open else _edge(factors, solution, int(start) - 1, toward=1.0)
        found.append(_Interval(low, high, float(points[max(int(start) - 1, 0)])))
    return found


def _scan_points(factors: Product, center: float) -> FloatArray:
    """Return points of ln x over all of the spectrum and on either side, dense around `center`."""
    lowest, highest = factors.log_bounds(_NEGLIGIBLE)
    offsets = np.geomspace(1e-7, 1.0, _SCAN // 4)
    around = [center + offsets * (highest - center), center - offsets * (center - lowest)]
    return np.unique(np.concatenate([np.linspace(lowest, highest, _SCAN), *around]))


def _edge(factors: Product, solution: Solution, outside: int, *, toward: float) -> float:
    """Return ln x at the edge next to a point outside the spectrum."""
    return RealBranch(factors, solution.take(np.array([outside]))).edge(toward)


def _split_at_peaks(factors: Product, intervals: Sequence[_Interval]) -> list[_Interval]:
    """Divide the intervals where products of atoms make, or nearly make, a singular point of the density."""
    peaks = np.log([value for value, _ in atom_products(factors, _PEAK)])
    pieces = []
    for interval in intervals:
        low = interval.low
        lowest = max(low, interval.cut) if np.isfinite(low) else interval.cut
        for peak in np.unique(peaks[(peaks > lowest + _APART) & (peaks < interval.high - _APART)]):
            pieces.append(_Interval(low, float(peak), interval.cut))
            low = float(peak)
        pieces.append(_Interval(low, interval.high, interval.cut))
    return pieces


def _completed(found: JacobianSpectrum, critical: Sequence[float]) -> JacobianSpectrum:
    """Put the mass that is missing where the density has a singularity too strong for any nodes.

    Where the masses of atoms add up to just 1 they leave a peak whose mass within a relative distance of 1e-16, the
    closest that a node can come, is not negligible.
    """
    missing = 1.0 - found.moment(0)
    if len(critical) != 1 or not 0.0 < missing < _MOST_MISSING:
        return found
    place = int(np.searchsorted(found.x, critical[0]))
    peak = found.density[max(place - 1, 0)]
    return replace(
        found,
        x=np.insert(found.x, place, critical[0]),
        density=np.insert(found.density, place, peak),
        masses=np.insert(found.masses, place, missing),
    )


def _interval_rule(factors: Product, interval: _Interval, nodes: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return ln x, density of ln x and masses for one interval, by the trapezoidal rule in a variable that suits it.

    Between two edges with square roots, ln x = centre - half cos(theta) makes the integrand periodic; where the
    spectrum reaches 0, ln x falls below its upper edge by exp(v - exp(-v)) (Takahasi & Mori 1974).
    """
    if np.isfinite(interval.low):
        theta = np.pi * (np.arange(nodes) + 0.5) / nodes
        half = 0.5 * (interval.high - interval.low)
        log_x = 0.5 * (interval.high + interval.low) - half * np.cos(theta)
        weights = half * np.sin(theta) * np.pi / nodes
    else:
        v = np.linspace(np.log(interval.high - interval.cut), _FIRST_STEP, nodes)
        below = np.exp(v - np.exp(-v))
        log_x = interval.high - below
        weights = below * (1.0 + np.exp(-v)) * (v[0] - v[1])
    density = np.maximum(factors.solve(log_x).log_density, 0.0)
    return log_x, density, weights * density


def _single_law(law: SlopeLaw, log_scale: float, atoms: tuple[tuple[float, float], ...]) -> JacobianSpectrum:
    """Return the spectrum of two orthogonal matrices around one diagonal one: its own law."""
    scale = float(np.exp(log_scale))
    values, masses = (part[: 2 * law.masses.size] for part in law.nodes)
    order = np.argsort(values)
    density = law.density(values[order]) / scale
    edges = ((scale * law.infimum, scale * law.supremum),)
    return JacobianSpectrum(scale * values[order], density, masses[order], atoms, edges, 0.0)
