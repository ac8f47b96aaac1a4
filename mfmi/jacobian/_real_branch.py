"""Edges of the spectrum of a product: the real solution outside it, followed to where it ends (theory 5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from mfmi.errors import NumericsError
from mfmi.jacobian._free_product import Product, Solution
from mfmi.jacobian._slope_law import SlopeLaw

# Newton's method: steps at most, and the change of a logarithm at which it stops.
_STEPS = 12
_CONVERGED = 1e-12

# Steps in search of an edge, each 1.5 times the last, up to a barrier; relative distance kept from a law's support.
_MOST_EDGE_STEPS, _FIRST_EDGE_STEP, _AT_BARRIER = 90, 1e-9, 1e-10
_GAP_MARGIN = 1e-13
_BISECTIONS = 50

# Relative deviation at which a law still counts as reaching m at the end of a gap.
_REACHED = 1e-9

# Logarithms in which w is sought where its gap has no end.
_FAR = 300.0


class RealBranch:
    """The solution for real z > 0 outside the spectrum, where M and all w_l are real.

    Along it `M -> z` is explicit up to one monotone equation per law, and the spectrum ends where z stops moving.

    Parameters
    ----------
    factors
        The product.
    near
        A solution of one point outside the spectrum; it says in which gap of its law each w_l lies.
    """

    def __init__(self, factors: Product, near: Solution) -> None:
        self.factors = factors
        self.sign = 1.0 if np.round(near.logit.imag[0] / np.pi) % 2 == 0 else -1.0
        self.origin = float(near.logit.real[0])
        self.log_sizes = [float(log_omega.real) for log_omega in near.log_omega[:, 0]]
        self.brackets = [
            _bracket(law, complex(log_omega)) for law, log_omega in zip(factors.laws, near.log_omega[:, 0], strict=True)
        ]

    def at(self, place: float) -> tuple[float, float]:
        """Return ln z and its derivative at `|m / (1 - m)| = exp(place)`; NaN where a law does not reach that m."""
        odds = self.sign * np.exp(place)
        m = odds / (1.0 + odds)
        log_rest = -np.log1p(odds) if self.sign > 0.0 else -np.log(np.abs(np.expm1(place)))  # ln|1 - m|
        n_w = self.factors.n_layers
        power = 2 - n_w + (n_w if self.factors.is_gaussian else 0)
        log_z = self.factors.log_scale + power * log_rest + (n_w - 2) * (place + log_rest)
        slope = n_w - 2 - (n_w * m if self.factors.is_gaussian else 0.0)  # not from m and 1 - m, which may be huge
        for k, (law, count) in enumerate(zip(self.factors.laws, self.factors.counts, strict=True)):
            self.log_sizes[k], a = _real_inverse(law, m, self.brackets[k], self.log_sizes[k])
            log_z += count * self.log_sizes[k]
            slope += count * (1.0 - m) / a
        return float(log_z), float(slope)

    def edge(self, toward: float) -> float:
        """Return ln z where it stops moving, in the direction of larger z (`toward` > 0) or smaller."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._edge(toward)

    def _edge(self, toward: float) -> float:
        first = self.at(self.origin)[1]
        step = toward * np.sign(first) * _FIRST_EDGE_STEP * (1.0 + abs(self.origin))
        # M is infinite at odds -1: the spectrum ends there in an atom, or in a peak without a square root.
        barrier = self.origin * _AT_BARRIER if self.sign < 0.0 else np.inf
        inner, outer = self.origin, self.origin + step
        for _ in range(_MOST_EDGE_STEPS):
            if (outer - barrier) * (self.origin - barrier) < 0.0:
                outer = barrier
            if not self.at(outer)[1] * first > 0.0:  # it turned, or left the range of a law
                return self._last_before(inner, outer, first)
            if outer == barrier:
                return self.at(outer)[0]
            step *= 1.5
            inner, outer = outer, outer + step
            if abs(outer) > _FAR:
                break
        raise NumericsError("no edge of the spectrum found on the real axis")

    def _last_before(self, inner: float, outer: float, first: float) -> float:
        """Return ln z at the last place where its derivative has the sign of `first`, by bisection."""
        for _ in range(_BISECTIONS):
            middle = 0.5 * (inner + outer)
            if self.at(middle)[1] * first > 0.0:
                inner = middle
            else:
                outer = middle
        return self.at(inner)[0]


class _Bracket(NamedTuple):
    """Interval of a real w_l: the range of ln|w|, and the angle of omega = -w."""

    low: float
    high: float
    angle: float


def _bracket(law: SlopeLaw, log_omega: complex) -> _Bracket:
    """Return the gap of the law in which w lies; a law of smaller zero mass than another's may have it below 0."""
    if log_omega.imag > -0.5 * np.pi:
        return _Bracket(-_FAR, _FAR, 0.0)
    low, high = law.gap_around(float(np.exp(log_omega.real)))
    return _Bracket(
        float(np.log(low)) + _GAP_MARGIN if low > 0.0 else -_FAR,
        float(np.log(high)) - _GAP_MARGIN if np.isfinite(high) else _FAR,
        -np.pi,
    )


def _real_inverse(law: SlopeLaw, m: float, bracket: _Bracket, near: float) -> tuple[float, float]:
    """Return ln|w| with `E[d / (omega + d)] = m` and `d ln m / d ln omega` there, NaN if there is no such w.

    The expectation is monotone in a gap: Newton's method from nearby, bisection where that leaves the gap.
    """

    def at(log_size: float) -> tuple[float, float]:
        h, a = law.resolvent(np.array([log_size + 1j * bracket.angle]))
        return float(h[0].real) - m, float(a[0].real)

    place = near
    for _ in range(_STEPS):
        if not bracket.low <= place <= bracket.high:
            break
        excess, a = at(place)
        change = -excess / (a * (excess + m))
        # Next to the end of the gap steps are short however far m is.
        if abs(change) < _CONVERGED and abs(excess) < _REACHED * abs(m):
            return place, a
        place += change
    ends = [at(bracket.low)[0], at(bracket.high)[0]]
    if ends[0] * ends[1] < 0.0:
        place = float(brentq(lambda y: at(y)[0], bracket.low, bracket.high, xtol=1e-15, rtol=1e-14))
        return place, at(place)[1]
    place = bracket.low if abs(ends[0]) < abs(ends[1]) else bracket.high
    is_reached = min(map(abs, ends)) < _REACHED * abs(m)
    return place, at(place)[1] if is_reached else float("nan")
