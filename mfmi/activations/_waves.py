"""Functions that are a straight line plus a periodic part: found from values, and their moments at large variances.

Of phi(u) = a u + p(u), p of period P, under a Gaussian of standard deviation sigma the harmonic n of p has the mean
exp(-2 (pi n sigma / P)^2). From sigma = P / 4 on those beyond the seventh are below 1e-26, and the moments of phi are
sums over the others: with p_n and (p^2)_n the harmonics of p and its square, E p(m + sqrt(v) g), its slope kappa - a
and E p^2, of which the variance is kappa^2 v + E p^2 - (E p)^2 - (kappa - a)^2 v by Stein's lemma.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import _probe
from mfmi.activations._uniform import FAR, HARMONICS
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian

Function = Callable[[FloatArray], FloatArray]

# Periods looked for, and how exactly the function must repeat itself, of its largest value there.
_SHORTEST, _LONGEST, _STEP = 0.01, 12.0, 0.0025
_REPEATS = 1e-11
_CANDIDATES = 12
_DEEP, _NEAR = 0.15, 1e-5

# Kinks are found to this accuracy.
_SAME = 1e-7
_GOLDEN = 0.5 * (5.0**0.5 - 1.0)

_ORDER = 24
_HALVINGS = 40


ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Wave:
    """The two parts of a function.

    Attributes
    ----------
    period : float
        Period P of the periodic part.
    trend : float
        Slope a of the line.
    mean : float
        Mean of the periodic part over a period.
    values, squares : ndarray of complex, shape (HARMONICS + 1,)
        Fourier coefficients of the periodic part less its mean, and of the square of that.
    """

    period: float
    trend: float
    mean: float
    values: ComplexArray
    squares: ComplexArray

    def reduced(self, m: FloatArray) -> FloatArray:
        """The place within half a period of 0 at which the periodic part is the same."""
        place: FloatArray = m - self.period * np.round(m / self.period)
        return place

    def is_far(self, s: FloatArray) -> NDArray[np.bool_]:
        """Whether the harmonics tell all at a variance."""
        far: NDArray[np.bool_] = s >= (FAR * self.period) ** 2
        return far

    def joined(self, s: FloatArray, far: FloatArray, near: Function) -> FloatArray:
        """Values `far`, and those of a function of the variance where the harmonics do not tell all."""
        rows = ~self.is_far(s)
        if rows.any():
            far[rows] = near(s[rows])
        return far

    def smoothed(self, coefficients: ComplexArray, m: FloatArray, v: FloatArray, order: int = 0) -> FloatArray:
        """Mean of a periodic function over N(m, v), by its coefficients, or a derivative of that by m; shape (n,)."""
        rate = 2.0 * np.pi / self.period
        turn = np.exp(1j * rate * m)
        total = np.full(m.shape, coefficients[0].real if order == 0 else 0.0)
        power = np.ones_like(turn)
        for n in range(1, len(coefficients)):
            power = power * turn
            factor = coefficients[n] * (1j * n * rate) ** order
            total += 2.0 * np.exp(-0.5 * (n * rate) ** 2 * v) * (factor * power).real
        return total

    def conditional(self, m: FloatArray, v: FloatArray) -> FloatArray:
        """Mean, variance, kappa and residual of phi(m + sqrt(v) g) where the harmonics tell all, shape (4, n)."""
        place = self.reduced(m)
        value, slope = (self.smoothed(self.values, place, v, order) for order in (0, 1))
        residual = np.maximum(self.smoothed(self.squares, place, v) - value * value - slope * slope * v, 0.0)
        kappa = self.trend + slope
        return np.stack([self.trend * m + self.mean + value, kappa * kappa * v + residual, kappa, residual])

    def second_moment(self, s: FloatArray) -> FloatArray:
        """E phi^2 where the harmonics tell all."""
        zero = np.zeros_like(s)
        value, slope = (self.smoothed(self.values, zero, s, order) for order in (0, 1))
        square = self.smoothed(self.squares, zero, s)
        total: FloatArray = (
            self.trend**2 * s + self.mean**2 + square + 2.0 * (self.trend * s * slope + self.mean * value)
        )
        return total

    def second_moment_slope(self, s: FloatArray) -> FloatArray:
        """Its slope in s; that of a mean is half of its second derivative by the place."""
        zero = np.zeros_like(s)
        slope, second, third = (self.smoothed(self.values, zero, s, order) for order in (1, 2, 3))
        square = 0.5 * self.smoothed(self.squares, zero, s, 2)
        return np.asarray(self.trend**2 + square + self.trend * (2.0 * slope + s * third) + self.mean * second)


class Examined(Protocol):
    """Interface that `average` requires of a function."""

    kinks: tuple[float, ...]
    slope_zeros: tuple[float, ...]


def coefficients(f: Function, phi: Examined, period: float) -> ComplexArray:
    """Fourier coefficients of a periodic function of the slope of phi, perhaps with logarithms where that vanishes."""
    return _coefficients(f, phi.kinks, period, phi.slope_zeros)


def find(f: Function, kinks: tuple[float, ...], given: float) -> tuple[float, float] | None:
    """Period and trend of a function, None if it does not repeat itself within `_LONGEST`.

    Parameters
    ----------
    f : callable
        Vectorised function.
    kinks : tuple of float
        Its kinks; distances between them are tried as periods.
    given : float
        A period that the user states, or inf; tried first.

    Returns
    -------
    period, trend : float
    """
    places = np.random.default_rng(5).uniform(-15.0, 15.0, 64)
    middle = np.sort(np.asarray(kinks))[len(kinks) // 3 :]
    candidates = [given] if np.isfinite(given) else []
    candidates += [float(place - middle[0]) for place in middle[1 : 1 + _CANDIDATES]] if middle.size else []
    for period in candidates:
        for close in (period, _bottom(lambda at: _spread(f, places, at), period - _NEAR, period + _NEAR)):
            trend = _repeats(f, close)
            if trend is not None:
                return close, trend
    periods = np.arange(_SHORTEST, _LONGEST, _STEP)
    spread = _spread(f, places, periods)
    typical = float(np.median(spread))
    if typical <= 1e-6 * float(np.max(np.abs(f(places)))):
        return None
    inner = spread[1:-1]
    dips = 1 + np.flatnonzero((inner <= spread[:-2]) & (inner <= spread[2:]) & (inner < _DEEP * typical))
    for dip in dips[:_CANDIDATES]:
        period = _bottom(lambda at: _spread(f, places, at), float(periods[dip - 1]), float(periods[dip + 1]))
        trend = _repeats(f, period)
        if trend is not None:
            return period, trend
    return None


def wave(f: Function, cuts: tuple[float, ...], period: float, trend: float) -> Wave:
    """Measure the periodic part; `cuts` are its kinks and other places between which it is a polynomial."""
    mean = float(_coefficients(lambda u: f(u) - trend * u, cuts, period, ())[0].real)

    def centred(u: FloatArray) -> FloatArray:
        return f(u) - trend * u - mean

    values = _coefficients(centred, cuts, period, ())
    values[0] = 0.0
    return Wave(period, trend, mean, values, _coefficients(lambda u: centred(u) ** 2, cuts, period, ()))


def _coefficients(f: Function, cuts: tuple[float, ...], period: float, poles: tuple[float, ...]) -> ComplexArray:
    """Means over one period of f exp(-i n u), f smooth but for kinks at `cuts` and logarithms at `poles`."""
    singular = np.unique(np.round(_within(poles, period), 12))
    edges = np.unique(np.concatenate([np.linspace(-0.5, 0.5, 65) * period, _within(cuts, period), singular]))
    if singular.size:
        ladder = 0.25 * (period / 64.0) * 0.5 ** np.arange(_HALVINGS)
        sides = (singular[:, None] + np.concatenate([-ladder, ladder])).ravel()
        edges = np.unique(np.concatenate([edges, sides]))
        edges = edges[(edges >= -0.5 * period) & (edges <= 0.5 * period)]
    t, w = gaussian.legendre_rule(_ORDER)
    width = np.diff(edges)[:, None]
    x = (edges[:-1, None] + width * t).ravel()
    weights = (width * w).ravel() / period
    phase = np.exp(-2j * np.pi / period * np.arange(HARMONICS + 1)[:, None] * x)
    return np.asarray(phase @ (weights * f(x)), dtype=np.complex128)


def continued(kinks: tuple[float, ...], period: float, reach: float) -> tuple[float, ...]:
    """The kinks of the stretch within a period of 0, repeated over [-reach, reach]."""
    known = np.asarray(sorted(kinks, key=abs))
    phases = np.round(np.mod(known / period, 1.0), 8) % 1.0
    _, first = np.unique(phases, return_index=True)
    turns = np.arange(-np.ceil(reach / period) - 1.0, np.ceil(reach / period) + 2.0)
    places = np.sort((np.mod(known[first], period)[:, None] + period * turns).ravel())
    nearest = known[np.argmin(np.abs(known - places[:, None]), axis=1)]
    places = np.where(np.abs(nearest - places) < _SAME, nearest, places)
    return tuple(float(place) for place in places if abs(place) <= reach)


def _within(places: Iterable[float], period: float) -> FloatArray:
    array = np.asarray(list(places), dtype=np.float64)
    reduced: FloatArray = array - period * np.round(array / period)
    return reduced


def _spread(f: Function, places: FloatArray, periods: FloatArray) -> FloatArray:
    """Largest deviation of f(x + P) - f(x) from its mean."""
    step = f(places + periods[:, None]) - f(places)
    deviation: FloatArray = np.max(np.abs(step - step.mean(axis=1, keepdims=True)), axis=1)
    return deviation


def _bottom(spread: Callable[[FloatArray], FloatArray], lower: float, upper: float) -> float:
    """Minimise the spread, which is V-shaped around the period, by golden section."""
    for _ in range(80):
        first, second = upper - _GOLDEN * (upper - lower), lower + _GOLDEN * (upper - lower)
        left, right = spread(np.array([first, second]))
        lower, upper = (lower, second) if left <= right else (first, upper)
    return 0.5 * (lower + upper)


def _repeats(f: Function, period: float) -> float | None:
    """The trend, if f(x + n P) - f(x) = n P trend for some n and x, to rounding."""
    if not _SHORTEST <= period <= 2.0 * _LONGEST:
        return None
    x = np.random.default_rng(6).uniform(-_probe.REACH, _probe.REACH, 400)
    far = max(1.0, round(_probe.REACH / period))
    rise = float(np.median(f(x + far * period) - f(x))) / far
    scale = float(np.max(np.abs(f(x))))
    for n in (1.0, -1.0, 2.0, 5.0, far):
        if not np.all(np.abs(f(x + n * period) - f(x) - n * rise) <= _REPEATS * 10.0 * max(scale, abs(n * rise))):
            return None
    return rise / period if abs(rise) > _REPEATS * scale else 0.0
