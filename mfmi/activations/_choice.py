"""Choice of the quadrature rule for a function, and of the variance up to which it holds, against reference moments."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from mfmi.activations import _probe, _quadrature, _uniform
from mfmi.activations._quadrature import Integrand
from mfmi.activations._resolution import Panels

# Lengths of variation that are tried: for rules graded towards 0 and the kinks, and for rules of equal steps.
_POLES = (2.0, 1.5, 1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.025, 0.01, 4e-3, 2e-3, 1e-3, 4e-4, 2e-4, 1e-4, 4e-5)
_UNIFORM_POLES = tuple(1.5**-i for i in range(22))
_SHORT = 0.3

# Variances at which rules are compared; a length is chosen on those up to the first, and means other than 0.
_CHOICE = 10.0
_CHECKED = np.array([1e-6, 1e-4, 0.01, 0.1, 0.3, 1.0, 3.0, _CHOICE, *np.logspace(1.5, 6.0, 10)])
_MEANS = (1.5, 6.0)
# Of waves: shares of the variance from which there is a closed form, and of the period.
_BEFORE_FAR, _PHASES = np.array([0.03, 0.1, 0.3, 0.6, 0.99]), np.array([0.17, -0.41])

# Agreement relative to the moment or to the second number; of large variances, relative to the moment.
_ACCURACY, _FLOOR = 1e-10, 1e-2
_LARGE, _LARGE_ACCURACY = 30.0, 1e-8

# Panels this narrow within reach of the probes show structure that a rule has to be graded towards.
_NARROW, _CENTRES = 0.1, 3


class Examined(Integrand, Protocol):
    """Attributes of the function that the choice reads and sets."""

    derivative_error: float
    jumps: tuple[float, ...]

    def _set(self, **properties: Any) -> None: ...


class Choice(NamedTuple):
    """A rule: kinks it is split at, its length of variation, and the largest variance at which it is right."""

    kinks: tuple[float, ...]
    pole: float
    uniform: bool
    largest_variance: float


def choose(phi: Examined, panels: Panels, far: float, given: float | None) -> Choice:
    """Find the rule that is right up to the largest variance, of those with the longest length.

    Parameters
    ----------
    phi : UserActivation
        The function; its kinks are those that it has.
    panels : Panels
        Panels that resolve it.
    far : float
        Variance from which its moments have a closed form; inf without one.
    given : float or None
        A length of variation that the user states, the only one to try.

    Returns
    -------
    Choice
        `largest_variance` is 0 where no rule is right at any variance, inf where one is right at all.
    """
    wanted = _Wanted(phi, panels, far)
    kinks = phi.kinks
    if given is not None:
        return _of_family(phi, wanted, kinks, (given,), False)
    if math.isfinite(far):
        # Below the closed form a rule may be right by its many nodes; what reads the length elsewhere has fewer.
        longest = 1.1 * math.sqrt(far) / (2.0 * math.pi * _uniform.FAR)
        return _of_family(phi, wanted, kinks, tuple(pole for pole in _UNIFORM_POLES if pole <= longest), True)
    best = _of_family(phi, wanted, kinks, _POLES, False)
    if math.isinf(best.largest_variance) and best.pole >= _SHORT:
        return best
    grid = np.linspace(-_probe.REACH, _probe.REACH, 6001)
    steepest = float(grid[np.argmax(np.abs(phi.derivative(grid)))])
    families = [
        (tuple(sorted({*kinks, steepest})), _POLES, False),
        (tuple(sorted({*kinks, *_centres(panels)})), _POLES, False),
        (kinks, _UNIFORM_POLES, True),
    ]
    for family in families:
        if family[0] == kinks and not family[2]:
            continue
        found = _of_family(phi, wanted, *family)
        if (found.largest_variance, found.pole) > (best.largest_variance, best.pole):
            best = found
        if math.isinf(best.largest_variance) and best.pole >= _SHORT:
            break
    return best


class _Wanted:
    """Reference moments, one row per variance: at every mean E phi, E phi^2 - (E phi)^2, E phi'; E phi^2, E phi'^2.

    NaN is what the panels do not reach; of large variances only those at mean 0 are wanted.
    """

    def __init__(self, phi: Examined, panels: Panels, far: float) -> None:
        self.variances = _CHECKED[far > _CHECKED]
        if math.isfinite(far):
            self.variances = np.unique(np.concatenate([self.variances, far * _BEFORE_FAR]))
        self.is_closed = math.isfinite(far)
        period = math.sqrt(far) / _uniform.FAR
        self.means = (0.0, *(_PHASES * period if self.is_closed else (*_MEANS, *_centres(panels))))
        self.moments = np.full((self.variances.size, 2 + 3 * len(self.means)), np.nan)
        self.slack = np.zeros_like(self.moments)
        for row, slack, variance in zip(self.moments, self.slack, self.variances.tolist(), strict=True):
            for i, m in enumerate(self.means[: None if variance <= _LARGE else 1]):
                rule = panels.rule(m, math.sqrt(variance))
                if rule is None:
                    continue
                x, w = rule
                value, slope = phi(x), phi.derivative(x)
                mean = float(w @ value)
                kappa = float(w @ ((value - mean) * (x - m))) / variance if phi.jumps else float(w @ slope)
                # A square that overflows is infinite, which no rule agrees with.
                with np.errstate(over="ignore"):
                    row[2 + 3 * i : 5 + 3 * i] = mean, w @ (value - mean) ** 2, kappa
                # A numerical slope is no smoother than its error, and kappa enters the variance as kappa^2 v.
                error = 8.0 * phi.derivative_error * (1.0 + float(w @ np.abs(slope)))
                slack[3 + 3 * i : 5 + 3 * i] = 2.0 * abs(kappa) * variance * error, error
                if i == 0:
                    with np.errstate(over="ignore"):
                        row[:2] = w @ value**2, w @ slope**2

    def reached(self, phi: Examined, limit: float) -> float:
        """Variance before the first up to a limit at which the rule that is set fails, inf without one."""
        variances = self.variances[self.variances <= limit]
        if not variances.size:
            return math.inf
        columns = [_quadrature.second_moment(phi, variances, 1.0), _quadrature.slope_moment(phi, variances, 1.0, 1.0)]
        small = int(np.count_nonzero(variances <= _LARGE))
        for i, m in enumerate(self.means):
            parts = np.full((3, variances.size), np.nan)
            few = slice(None if i == 0 else small)
            parts[:, few] = _quadrature.conditional(
                phi, np.full(variances[few].size, m), variances[few], 1.0, stein_split=bool(phi.jumps)
            )[:3]
            columns.extend(parts)
        found, wanted = np.stack(columns, axis=1), self.moments[: variances.size]
        accuracy = np.where(variances <= _LARGE, _ACCURACY, _LARGE_ACCURACY)[:, None]
        with np.errstate(invalid="ignore"):
            allowed = accuracy * np.maximum(np.abs(wanted), _FLOOR) + self.slack[: variances.size]
            good = np.abs(found - wanted) <= allowed
        # A tail at another mean may leave the stretch that is known before the one at 0 does.
        good[:, 5:] |= np.isnan(wanted[:, 5:])
        right = np.all(good, axis=1)
        if right.all():
            return math.inf
        first = int(np.argmin(right))
        return float(variances[first - 1]) if first else 0.0


def _of_family(
    phi: Examined, wanted: _Wanted, kinks: tuple[float, ...], poles: tuple[float, ...], uniform: bool
) -> Choice:
    best = Choice(kinks, poles[-1], uniform, 0.0)
    for pole in poles:
        phi._set(kinks=kinks, pole=pole, uniform=uniform)
        reached = wanted.reached(phi, _CHOICE)
        if math.isinf(reached):
            limit = _uniform.largest_variance(pole, bool(kinks)) if uniform and not wanted.is_closed else math.inf
            reached = min(wanted.reached(phi, limit), limit)
        if reached > best.largest_variance:
            best = Choice(kinks, pole, uniform, reached)
        elif best.largest_variance >= _CHOICE:
            break
        if math.isinf(reached):
            break
    return best


def _centres(panels: Panels) -> tuple[float, ...]:
    """Middles of the stretches with the narrowest panels, if they are few."""
    width = panels.upper - panels.lower
    narrow = np.flatnonzero((width < _NARROW) & (np.abs(panels.lower) < _probe.REACH))
    groups = [group for group in np.split(narrow, np.flatnonzero(np.diff(narrow) > 1) + 1) if group.size]
    if not 0 < len(groups) <= _CENTRES:
        return ()
    places = []
    for group in groups:
        narrowest = group[width[group] <= 1.01 * width[group].min()]
        places.append(0.5 * float(panels.lower[narrowest[0]] + panels.upper[narrowest[-1]]))
    return tuple(places)
