"""Free multiplicative convolution: the spectrum of a product of independent random matrices (theory 5).

Of `J J^T` for `J = W^L D_{L-1} W^{L-1} ... D_1 W^1`, whose S-transform is the product of those of the factors. With
`M(z) = E[x / (z - x)]` and, for each diagonal factor, the point `w_l` where its own `E[d / (w_l - d)]` is M too,

    z = sigma_w^(2L) (1 + M)^(2 - L + gL) M^(L - 2) prod_l w_l,      g = 1 for gaussian weights, 0 for orthogonal.

Everything is real and simple for z < 0. From there each point is carried along an arc `|z| = x` in the upper half
plane to the positive axis, by Newton's method; nothing singular lies on the way. The unknowns are the logarithms of
`m / (1 - m)`, m = -M, and of `omega_l = -w_l`: they keep their relative accuracy at both ends of the spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.errors import NumericsError
from mfmi.jacobian._slope_law import NEAR, ROUGHLY_NEAR, SlopeLaw, log_lower

Complex = NDArray[np.complex128]

# Newton's method: steps at most, and the change of a logarithm at which it stops, at the end and before.
_STEPS = 12
_CONVERGED, _ON_THE_WAY = 1e-12, 1e-5
_RUNAWAY = 1e3

# Residual in a logarithm that is accepted where rounding keeps the steps from settling (at an edge of the spectrum).
_ACCEPTED, _ACCEPTED_ON_THE_WAY = 1e-9, 1e-6

# Arc from the negative to the positive axis.
_ARC = 16
_MOST_HALVINGS = 22

# How many of the last steps take the laws at full accuracy.
_FINE_STEPS = 2

# Angle in the complex plane below which a number counts as real.
_REAL = 1e-10

# Less than this is rounding.
_LEAST_ATOM = 1e-12

# Work arrays of this many elements.
_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Solution:
    """The equation's solution at points `z = x e^(i 0)`, or on the way there.

    Attributes
    ----------
    logit : `ln(m / (1 - m))`, shape (n,), complex.
    log_omega : shape (laws, n), complex.
    residual : largest violation of an equation between logarithms, shape (n,).
    """

    logit: Complex
    log_omega: Complex
    residual: FloatArray

    def take(self, points: NDArray[np.intp]) -> Solution:
        """Return the solution at some of the points."""
        return Solution(self.logit[points], self.log_omega[:, points], self.residual[points])

    def put(self, points: NDArray[np.intp], part: Solution) -> None:
        """Replace the solution at some of the points."""
        self.logit[points], self.log_omega[:, points], self.residual[points] = part.logit, part.log_omega, part.residual

    @property
    def log_density(self) -> FloatArray:
        """Density of ln x, `x rho(x) = Im m / pi`, shape (n,)."""
        return np.asarray(_logistic(self.logit).imag / np.pi)


@dataclass(frozen=True, eq=False)
class Product:
    """A product of L square weight matrices of one ensemble with diagonal matrices between them.

    Attributes
    ----------
    laws : the different laws of the squared diagonal entries.
    counts : how often each stands in the product; they add up to L - 1.
    is_gaussian : gaussian weights; else orthogonal ones.
    log_scale : `L ln sigma_w^2`.
    near : accuracy of the laws, as in `SlopeLaw.resolvent`.
    """

    laws: tuple[SlopeLaw, ...]
    counts: FloatArray
    is_gaussian: bool
    log_scale: float
    near: float = NEAR

    @property
    def n_layers(self) -> int:
        """L, the number of weight matrices."""
        return 1 + int(self.counts.sum())

    @property
    def zero_mass(self) -> float:
        """Mass of the atom at 0: that of the factor of least rank."""
        return max((law.zero_mass for law in self.laws), default=0.0)

    def solve(self, log_x: FloatArray) -> Solution:
        """Solve at `z = x + i0`.

        Parameters
        ----------
        log_x
            Logarithms of points on the positive axis, shape (n,).

        Raises
        ------
        NumericsError
            If a point is lost on the way.
        """
        size = max(1, _BLOCK // max(1, sum(law.nodes[0].size for law in self.laws)))
        parts = [self._carry(log_x[start : start + size]) for start in range(0, len(log_x), size)]
        return Solution(
            np.concatenate([part.logit for part in parts]),
            np.concatenate([part.log_omega for part in parts], axis=1),
            np.concatenate([part.residual for part in parts]),
        )

    @property
    def reaches_zero(self) -> bool:
        """Whether the continuous part comes arbitrarily close to 0 because that of a factor does."""
        return any(law.infimum == 0.0 for law in self.laws)

    def is_outside(self, solution: Solution) -> NDArray[np.bool_]:
        """Say which points lie outside the spectrum: all numbers are real, and each w_l in a gap of its law."""
        outside = self._all_real(solution)
        for law, log_omega in zip(self.laws, solution.log_omega, strict=True):
            outside &= ~law.covers(np.exp(log_omega.real))
        return np.asarray(outside)

    def _all_real(self, solution: Solution) -> NDArray[np.bool_]:
        angles = np.concatenate([solution.logit.imag[None], solution.log_omega.imag])
        return np.asarray(np.abs(angles - np.pi * np.round(angles / np.pi)).max(axis=0) < _REAL)

    def log_bounds(self, negligible: float) -> tuple[float, float]:
        """Return bounds on ln x between which all but a `negligible` mass of the continuous part lies.

        Above, by the norms of the factors. Below, by `mass((0, x]) <= 2 E[x / (x + lambda); lambda > 0]`, known on the
        negative axis; for orthogonal weights also by the quantiles of the factors (a change of low rank moves no more
        mass than its rank).
        """
        norms = [law.supremum for law in self.laws]
        weights = self.n_layers * np.log(4.0) if self.is_gaussian else 0.0
        highest = self.log_scale + weights + float(self.counts @ np.log(norms)) + 1.0
        log_m = np.log(1.0 - self.zero_mass) + np.log1p(-0.5 * negligible / (1.0 - self.zero_mass))
        log_omega = np.array([law.log_omega_at(np.array([log_m])) for law in self.laws], dtype=np.complex128)
        logit = np.array([log_m - np.log(-np.expm1(log_m))], dtype=np.complex128)
        lowest = float(self._log_z(logit, log_omega.reshape(len(self.laws), 1)).real[0])
        if not self.is_gaussian and self.zero_mass == 0.0:
            shares = negligible / max(1.0, float(self.counts.sum()))
            quantiles = np.log([law.quantile(shares) for law in self.laws])
            lowest = max(lowest, self.log_scale + float(self.counts @ quantiles) - 1.0)
        return lowest, highest

    def _carry(self, log_x: FloatArray) -> Solution:
        """Carry the solutions at -x along the arc, most of it with rough laws."""
        rough = replace(self, near=ROUGHLY_NEAR)
        current = rough._start(log_x)
        angles = np.linspace(0.0, np.pi, _ARC + 1)
        for number, (before, after) in enumerate(pairwise(angles), 1):
            factors = self if number >= _ARC - _FINE_STEPS else rough
            current = factors._advance(current, log_x, before, after, _MOST_HALVINGS)
        return current

    def _advance(self, start: Solution, log_x: FloatArray, before: float, after: float, halvings: int) -> Solution:
        """Move along a piece of the arc; where Newton's method loses a point, in two steps."""
        tolerance = _CONVERGED if after == np.pi else _ON_THE_WAY
        trial = self._newton(start, np.asarray(log_x - 1j * after, dtype=np.complex128), tolerance)
        lost = np.flatnonzero(~self._holds(trial, is_end=after == np.pi))
        if lost.size and not halvings:
            # Within this angle of an edge, where the solution branches, the point short of the axis stands for it.
            if after < np.pi:
                raise NumericsError("the spectrum's equation could not be followed to the real axis")
            trial.put(lost, start.take(lost))
        elif lost.size:
            middle = 0.5 * (before + after)
            half_way = self._advance(start.take(lost), log_x[lost], before, middle, halvings - 1)
            trial.put(lost, self._advance(half_way, log_x[lost], middle, after, halvings - 1))
        return trial

    def _holds(self, trial: Solution, *, is_end: bool) -> NDArray[np.bool_]:
        """Say where a step arrived, in the half planes where the solution lives."""
        slack = 1e-6 if is_end else 1e-12
        accepted = _ACCEPTED if is_end else _ACCEPTED_ON_THE_WAY
        with np.errstate(over="ignore", invalid="ignore"):
            m, angles = _logistic(trial.logit), trial.log_omega.imag
        holds = (trial.residual < accepted) & (m.imag > -slack * np.abs(m))
        holds &= ((angles < slack) & (angles > -np.pi - slack)).all(axis=0)
        return np.asarray(holds & self._falls(trial) if is_end else holds)

    def _falls(self, trial: Solution) -> NDArray[np.bool_]:
        """Say where a real solution is the true one: M falls with z > 0. Beyond an edge there is one where it rises."""
        is_real = self._all_real(trial)
        with np.errstate(all="ignore"):
            _, a = self._laws_at(trial.log_omega)
            slope = self._log_slope(_logistic(trial.logit), a).real
        side = np.where(trial.logit.imag > 0.5 * np.pi, 1.0, -1.0)
        return np.asarray(~is_real | (slope * side < 0.0))

    def _newton(self, start: Solution, log_zeta: Complex, tolerance: float = _CONVERGED) -> Solution:
        """Solve at `zeta = -z` from a nearby start; points that have settled drop out."""
        logit, log_omega = start.logit.copy(), start.log_omega.copy()
        counts = self.counts[:, None]
        active = np.arange(len(logit))
        with np.errstate(all="ignore"):  # a point that is lost shows in its residual
            for _ in range(_STEPS):
                x, y = logit[active], log_omega[:, active]
                m = _logistic(x)
                h, a = self._laws_at(y)
                mismatch = np.log(h / m)
                rest = log_zeta[active] - self._log_z(x, y)
                change = (rest + (counts * mismatch / a).sum(axis=0)) / self._log_slope(m, a)
                change_omega = ((1.0 - m) * change - mismatch) / a
                logit[active], log_omega[:, active] = x + change, y + change_omega
                largest = np.maximum(np.abs(change), np.abs(change_omega).max(axis=0, initial=0.0))
                active = active[(largest > tolerance) & (largest < _RUNAWAY)]
                if not active.size:
                    break
            return Solution(logit, log_omega, self._residual(logit, log_omega, log_zeta))

    def _residual(self, logit: Complex, log_omega: Complex, log_zeta: Complex) -> FloatArray:
        h, _ = self._laws_at(log_omega)
        mismatch = np.abs(np.log(h / _logistic(logit))).max(axis=0, initial=0.0)
        residual = np.maximum(np.abs(log_zeta - self._log_z(logit, log_omega)), mismatch)
        return np.where(np.isfinite(residual), residual, np.inf)

    def _log_z(self, logit: Complex, log_omega: Complex) -> Complex:
        """Return `ln(-z)` as the equation gives it."""
        n_w = self.n_layers
        log_m, log_rest = _log_upper(_logistic(logit)), log_lower(_logistic(-logit))
        power = 2 - n_w + (n_w if self.is_gaussian else 0)
        factors = (self.counts[:, None] * log_omega).sum(axis=0)
        return np.asarray(self.log_scale + power * log_rest + (n_w - 2) * log_m + factors)

    def _log_slope(self, m: Complex, a: Complex) -> Complex:
        n_w = self.n_layers
        power = 2 - n_w + (n_w if self.is_gaussian else 0)
        inverse = (self.counts[:, None] / a).sum(axis=0)
        return np.asarray((n_w - 2) * (1.0 - m) - power * m + (1.0 - m) * inverse)

    def _laws_at(self, log_omega: Complex) -> tuple[Complex, Complex]:
        """Return `h = E[d / (omega + d)]` of every law and `a = d ln h / d ln omega`, shape (laws, n)."""
        h, a = np.empty_like(log_omega), np.empty_like(log_omega)
        for k, law in enumerate(self.laws):
            h[k], a[k] = law.resolvent(log_omega[k], self.near)
        return h, a

    def _start(self, log_x: FloatArray) -> Solution:
        """Solve at z = -x, where everything is real: a table of x over m, then Newton's method."""
        log_m = np.log(1.0 - self.zero_mass) + np.concatenate(
            [np.linspace(-60.0, -1.0, 3000), -np.geomspace(0.99, 1e-15, 2000)]
        )
        rest = -np.expm1(log_m) if self.zero_mass == 0.0 else 1.0 - np.exp(log_m)
        logit = (log_m - np.log(rest)).astype(np.complex128)
        log_omega = np.array([law.log_omega_at(log_m) for law in self.laws], dtype=np.complex128)
        log_omega = log_omega.reshape(len(self.laws), len(log_m))
        table = self._log_z(logit, log_omega).real
        ascending = np.argsort(table)
        at = np.interp(log_x, table[ascending], np.arange(len(table))[ascending])
        index = np.arange(len(table))
        start = Solution(
            np.interp(at, index, logit.real).astype(np.complex128),
            np.array([np.interp(at, index, row.real) for row in log_omega], dtype=np.complex128).reshape(
                len(self.laws), len(log_x)
            ),
            np.zeros(len(log_x)),
        )
        return self._newton(start, np.asarray(log_x, dtype=np.complex128))


def product(laws: Sequence[SlopeLaw], *, is_gaussian: bool, log_scale: float) -> Product:
    """Return the product with one diagonal factor a law; equal objects are counted, not repeated."""
    different: dict[int, SlopeLaw] = {id(law): law for law in laws}
    counts = [sum(1 for law in laws if id(law) == key) for key in different]
    return Product(tuple(different.values()), np.array(counts, dtype=np.float64), is_gaussian, log_scale)


def atoms_of_product(factors: Product) -> tuple[tuple[float, float], ...]:
    """Return the atoms of the spectrum as (value, mass), in increasing order (Belinschi 2003).

    For orthogonal weights atoms a, b of two factors make one at their product, of mass p_a + p_b - 1 where that is
    positive; Gaussian weights leave only the one at 0.
    """
    zero = factors.zero_mass
    found = [(0.0, zero)] if zero > 0.0 else []
    return tuple(sorted(found + [atom for atom in atom_products(factors, 0.0) if atom[1] > _LEAST_ATOM]))


def atom_products(factors: Product, least: float) -> list[tuple[float, float]]:
    """Return products of positive atoms, one a factor, with `sum p - (factors - 1)` if that is at least `least`.

    Where it is about 0 there is no atom but a peak of the density.
    """
    if factors.is_gaussian:
        return []
    products = [(float(np.exp(factors.log_scale)), 1.0)]
    for law, count in zip(factors.laws, factors.counts, strict=True):
        for _ in range(int(count)):
            products = [
                (value * atom, mass + share - 1.0)
                for value, mass in products
                for atom, share in law.atoms
                if atom > 0.0 and mass + share - 1.0 >= least
            ]
    return products


def _logistic(x: Complex) -> Complex:
    """Return `1 / (1 + e^-x)` without overflow."""
    is_right = x.real >= 0.0
    small = np.exp(np.where(is_right, -x, x))
    return np.asarray(np.where(is_right, 1.0, small) / (1.0 + small), dtype=np.complex128)


def _log_upper(x: Complex) -> Complex:
    """Return the logarithm with a cut along the negative imaginary axis: right in the closed upper half plane."""
    return np.asarray(np.log(-1j * x) + 0.5j * np.pi)
