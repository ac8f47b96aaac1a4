"""Moments by quadrature, for activations or arguments without a closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import _uniform
from mfmi.activations._window import smooth_rules
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature import gaussian

RowArray = NDArray[np.int64]

# The finer rule that the ordinary one is compared with to estimate its error has this many times the nodes; the
# difference is doubled for the finer rule's own error.
SECOND_OPINION = 1.25
SAFETY = 2.0

# Relative accuracy asked of one-dimensional moments and of kinked conditional ones.
_ONE_DIMENSION = 1e-13
_CONDITIONAL = 1e-11

# Accuracy asked of the outer rule of pair moments, whose integrands are squares of smoothed moments and converge far
# better than the functions that the rules are made for: to 1e-13 or so.
_OUTER = 1e-10
_OUTER_KINKED = 1e-7

# Below this standard deviation phi - mean - kappa x is rounding noise, and the residual is taken from the slope's
# variance: E (phi' - kappa)^2 v is n times the residual of the Hermite order n, and there are the second and third.
_TINY_DEVIATION = 1e-4

# Kinks further away than this many standard deviations are out of reach of every rule.
_REACH = 8.6

# Grading towards a zero of the slope stops here: the integral of ln|x| over what is left is below rounding.
_SINGULAR = 1e-14
# Least standard deviation at which what stops there is 1e-8 of the whole.
_LEAST_AROUND_ZERO = 1e-6

# Nodes of a rule that differ by no more lie at the same place.
_SAME_PLACE = 1e-9

# V' = E[phi phi' u] / s is evaluated no closer to s = 0: where phi(0) is not 0 rounding grows as 1/sqrt(s).
SMALLEST_VARIANCE = 1e-200
_SMALLEST_VARIANCE_OFFSET = 1e-14


class Integrand(Protocol):
    """Interface that quadrature requires of an activation."""

    kinks: tuple[float, ...]
    pole: float
    period: float
    slope_period: float
    trend: float
    uniform: bool
    odd: bool
    even: bool
    slope_zeros: tuple[float, ...]

    def __call__(self, u: ArrayLike, /) -> FloatArray: ...
    def derivative(self, u: ArrayLike, /) -> FloatArray: ...
    def log_abs_derivative(self, u: ArrayLike, /) -> FloatArray: ...
    def conditional_values(self, u: FloatArray, /) -> tuple[FloatArray, FloatArray]: ...
    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0, /) -> FloatArray: ...


def second_moment(phi: Integrand, s: FloatArray, refine: float) -> FloatArray:
    """V(s) = E phi^2."""
    return one_dimension(phi, s, lambda x, rows: phi(x) ** 2, refine)


def second_moment_slope(phi: Integrand, s: FloatArray, refine: float) -> FloatArray:
    """V'(s) = E[phi phi' u] / s, which needs no second derivative.

    By Stein's lemma it is E[(phi - phi(0)) phi' u] / s + phi(0) E[(phi' - phi'(0)) u] / s: the part that cancels is
    left out.
    """
    offset = float(phi(0.0))
    slope = float(phi.derivative(0.0))
    at = np.maximum(s, SMALLEST_VARIANCE if offset == 0.0 else _SMALLEST_VARIANCE_OFFSET)

    def integrand(x: FloatArray, rows: RowArray) -> FloatArray:
        derivative = phi.derivative(x)
        return ((phi(x) - offset) * derivative + offset * (derivative - slope)) * (x / at[rows, None])

    return one_dimension(phi, at, integrand, refine)


def slope_moment(phi: Integrand, s: FloatArray, k: float, refine: float) -> FloatArray:
    """E |phi'|^(2k)."""
    if phi.slope_zeros and k != round(k):
        points = tuple(sorted({*phi.kinks, *phi.slope_zeros, 0.0}))
        powers: FloatArray = gaussian.expectation(
            lambda x, rows: _power(phi.derivative(x) ** 2, k)[None], np.sqrt(s), 0.0, points, _SINGULAR, refine=refine
        )[0]
        return powers
    return one_dimension(phi, s, lambda x, rows: _power(phi.derivative(x) ** 2, k), refine)


def log_slope(phi: Integrand, s: FloatArray, refine: float) -> FloatArray:
    """E ln phi'^2, the integrand's logarithmic poles at zeros of the slope included."""
    if phi.slope_zeros:
        return 2.0 * conditional_log_slope(phi, np.zeros_like(s), s, refine)
    return one_dimension(phi, s, lambda x, rows: 2.0 * phi.log_abs_derivative(x), refine)


def conditional_log_slope(phi: Integrand, m: FloatArray, v: FloatArray, refine: float) -> FloatArray:
    """E ln|phi'(m + sqrt(v) g)|."""
    if phi.kinks or phi.slope_zeros:
        return piece_log_slope(phi, m, v, -math.inf, math.inf, refine)
    result = phi.log_abs_derivative(m)
    moving = np.flatnonzero(v > 0.0)
    centre, variance = m[moving], v[moving]
    for rows, x, w in _smooth_rules(phi, centre, variance, refine):
        result[moving[rows]] = _sum(phi.log_abs_derivative(centre[rows, None] + x), w)
    return result


def piece_log_slope(
    phi: Integrand, m: FloatArray, v: FloatArray, lower: float, upper: float, refine: float
) -> FloatArray:
    """E ln|phi'(u)| of u = m + sqrt(v) g given lower < u < upper, which are kinks, zeros of the slope or infinite.

    NaN where that has no probability that a rule could see.
    """
    inside = (m >= lower) & (m <= upper)
    result = np.where(inside, phi.log_abs_derivative(m), np.nan)
    moving = np.flatnonzero(v > 0.0)
    centre, variance = m[moving], v[moving]
    zeros = tuple(zero for zero in phi.slope_zeros if lower <= zero <= upper)
    points = {*(kink for kink in phi.kinks if lower <= kink <= upper), *zeros, *((0.0,) if zeros else ())}
    points |= {end for end in (lower, upper) if math.isfinite(end)}

    def integrand(x: FloatArray, rows: RowArray) -> FloatArray:
        u = centre[rows, None] + x
        for zero in zeros:
            # A node that rounds to the zero itself would be -inf, for all its weight is nothing.
            u = np.where(np.abs(u - zero) < _SINGULAR, zero + _SINGULAR, u)
        within = (u >= lower) & (u <= upper)
        return np.stack([np.where(within, phi.log_abs_derivative(u), 0.0), within])

    sigma, blind = np.sqrt(variance), np.zeros(moving.size, dtype=np.bool_)
    for zero in zeros:
        # Too narrow around a zero of the slope to be told from it; a bound may only be smaller for it.
        blind |= (sigma < _LEAST_AROUND_ZERO) & (np.abs(centre - zero) < _REACH * sigma)
    result[moving[blind]] = -np.inf
    moving, centre, variance = moving[~blind], centre[~blind], variance[~blind]
    total, share = gaussian.expectation(
        integrand,
        np.sqrt(variance),
        0.0,
        np.asarray(sorted(points)) - centre[:, None],
        _SINGULAR if zeros else phi.pole,
        tolerance=_CONDITIONAL,
        outputs=2,
        refine=refine,
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        result[moving] = total / share
    return result


def conditional(
    phi: Integrand,
    m: FloatArray,
    v: FloatArray,
    refine: float,
    *,
    stein_from: float = math.inf,
    stein_split: bool = False,
) -> FloatArray:
    """Mean, variance, kappa and residual of phi(m + sqrt(v) g), shape (4, n).

    kappa = E phi' and residual = E (phi - mean - kappa sqrt(v) g)^2 are sums without cancellation, and the variance is
    put together from them. By Stein's lemma kappa is also E[phi g] / sqrt(v), which needs no slope: that is taken from
    the variance `stein_from` on, and with `stein_split` wherever a kink is within reach (for phi that jumps).
    """
    result = np.empty((4, m.size))
    sigma = np.sqrt(v)
    kinks = np.asarray(_kinks_in_reach(phi)) - m[:, None]
    # Without noise there is nothing to split, and what jumps has the slope beside the jump.
    split = np.any(np.abs(kinks) <= _REACH * sigma[:, None], axis=1) & (v > 0.0)
    tiny = ~split & (sigma < _TINY_DEVIATION * min(phi.pole, 1.0))
    stein = np.where(split, stein_split | (v >= stein_from), v >= stein_from) & ~tiny
    for by_stein, is_tiny in ((False, False), (True, False), (False, True)):
        alike = (stein == by_stein) & (tiny == is_tiny)
        for rows, x, w in _conditional_rules(
            phi, m, v, kinks, np.flatnonzero(alike & ~split), np.flatnonzero(alike & split), refine
        ):
            result[:, rows] = _conditional_sums(phi, m[rows], v[rows], x, w, by_stein, is_tiny)
    return mirrored(phi, m, result)


def mirrored(phi: Integrand, m: FloatArray, moments: FloatArray) -> FloatArray:
    """Conditional moments, shape (4, n), with the zeros at m = 0 that symmetry makes and a sum misses by rounding."""
    if phi.odd or phi.even:
        moments[0 if phi.odd else 2, m == 0.0] = 0.0
    return moments


def _kinks_in_reach(phi: Integrand) -> tuple[float, ...]:
    """Kinks in ascending order; of a wave, whose means are reduced to a period, those that a rule can meet."""
    if not (phi.uniform and math.isfinite(phi.slope_period)):
        return tuple(sorted(phi.kinks))
    reach = (_uniform.FAR * _uniform.TAIL + 1.0) * phi.slope_period
    return tuple(sorted(kink for kink in phi.kinks if abs(kink) <= reach))


def _conditional_rules(
    phi: Integrand, m: FloatArray, v: FloatArray, kinks: FloatArray, smooth: RowArray, split: RowArray, refine: float
) -> Iterator[tuple[RowArray, FloatArray, FloatArray]]:
    """Blocks of rules for `conditional`, those of the rows `split` divided at the kinks."""
    if phi.uniform:
        both = np.concatenate([smooth, split])
        for rows, x, w in _uniform.rules(np.sqrt(v[both]), kinks[both], phi.pole, refine):
            yield both[rows], x, w
        return
    if smooth.size:
        for rows, x, w in _smooth_rules(phi, m[smooth], v[smooth], refine):
            yield smooth[rows], x, w
    if split.size:
        rules = gaussian.blocked_rules(
            np.sqrt(v[split]), 0.0, kinks[split], phi.pole, tolerance=_CONDITIONAL, refine=refine
        )
        for rows, x, w in rules:
            yield split[rows], x, w


def _smooth_rules(
    phi: Integrand, m: FloatArray, v: FloatArray, refine: float
) -> Iterator[tuple[RowArray, FloatArray, FloatArray]]:
    if phi.uniform:
        return _uniform.rules(np.sqrt(v), np.empty((m.size, 0)), phi.pole, refine)
    return smooth_rules(m, v, phi.pole, refine)


def _conditional_sums(
    phi: Integrand, m: FloatArray, v: FloatArray, x: FloatArray, w: FloatArray, by_stein: bool, is_tiny: bool
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Mean, variance, kappa and residual of one block; x are the nodes less m."""
    u = m[:, None] + x
    value, slope = (phi(u), u) if by_stein else phi.conditional_values(u)
    mean = _sum(value, w)
    value -= mean[:, None]
    kappa = _sum(value * x, w) / v if by_stein else _sum(slope, w)
    if is_tiny:
        slope -= kappa[:, None]
        bend = _sum(slope * x, w) / np.where(v > 0.0, v, 1.0)
        slope -= bend[:, None] * x
        residual = 0.5 * (bend * v) ** 2 + v * _sum(slope * slope, w) / 3.0
    else:
        value -= kappa[:, None] * x
        residual = _sum(value * value, w)
    return mean, kappa * kappa * v + residual, kappa, residual


def pair_moments(phi: Integrand, k: FloatArray, gap: FloatArray, refine: float) -> FloatArray:
    """Moments of a pair of variances k + gap and covariance k >= 0, from conditional moments given the shared part.

    Given the shared part m ~ N(0, k) the two are independent with variance `gap`, and flipping one of them gives the
    covariance -k. Every output is the mean of a square.

    Parameters
    ----------
    phi : Integrand
        The activation.
    k, gap : ndarray, shape (n,)
        Covariance and what is missing to the variance, both >= 0.
    refine : float
        Multiplies the number of nodes.

    Returns
    -------
    ndarray, shape (5, n)
        Decorrelation E Var(phi | m); even and odd part of the correlation, E phi(u) phi(v) = even + odd and
        E phi(u) phi(-v) = even - odd; likewise for E phi'(u) phi'(v) and E phi'(u) phi'(-v).
    """
    kinks = _kinks_in_reach(phi)
    kinks = tuple(sorted({*kinks, *(-kink for kink in kinks)}))
    # What is folded on one period has a period: the line is left out, and added in closed form.
    trend = np.where(phi.uniform & (np.sqrt(k) >= _uniform.FAR * phi.slope_period), phi.trend, 0.0)

    def integrand(x: FloatArray, rows: RowArray) -> FloatArray:
        m = x.ravel()
        v = np.repeat(gap[rows], x.shape[1])
        line = np.repeat(trend[rows], x.shape[1])
        mean, variance, kappa, _ = phi._conditional(m, v, refine)
        mean -= line * m
        slope = kappa - line
        if phi.odd or phi.even:
            zero = np.zeros_like(mean)
            even, odd = (zero, mean * mean) if phi.odd else (mean * mean, zero)
            slope_even, slope_odd = (kappa * kappa, zero) if phi.odd else (zero, kappa * kappa)
        else:
            mirror_mean, mirror_variance, mirror_kappa, _ = phi._conditional(-m, v, refine)
            mirror_mean += line * m
            slope = 0.5 * (kappa + mirror_kappa) - line
            variance = 0.5 * (variance + mirror_variance)
            even, odd = 0.25 * (mean + mirror_mean) ** 2, 0.25 * (mean - mirror_mean) ** 2
            slope_even, slope_odd = 0.25 * (kappa + mirror_kappa) ** 2, 0.25 * (kappa - mirror_kappa) ** 2
        return np.stack([variance, even, odd, slope_even, slope_odd, slope]).reshape(6, *x.shape)

    if phi.uniform:
        moments = np.empty((6, k.size))
        places = _uniform.transitions(kinks, np.sqrt(k), np.sqrt(gap), tails=False)
        for rows, x, w in _uniform.rules(np.sqrt(k), places, phi.pole, refine, phi.slope_period):
            x, w = _one_side(x, w)
            moments[:, rows] = np.einsum("kij,ij->ki", integrand(x, rows), w)
        moments[2] += trend * k * (trend + 2.0 * moments[5])
        return moments[:5]
    return gaussian.expectation(
        integrand,
        np.sqrt(k),
        np.sqrt(gap),
        kinks,
        phi.pole,
        tolerance=_OUTER_KINKED if kinks else _OUTER,
        period=phi.period,
        outputs=6,
        refine=refine,
        even=True,
    )[:5]


def _one_side(x: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A rule for even functions: the half at x > 0 of one with as many nodes on both sides, at the same places."""
    half = x.shape[1] // 2
    if 2 * half < x.shape[1] or np.any(np.abs(x + x[:, ::-1]) > _SAME_PLACE * np.abs(x)):
        return x, w
    return x[:, half:], w[:, :half][:, ::-1] + w[:, half:]


def _power(square: FloatArray, k: float) -> FloatArray:
    if k == 1.0:
        return square
    return square * square if k == 2.0 else square**k


def _sum(values: FloatArray, w: FloatArray) -> FloatArray:
    total: FloatArray = np.einsum("ij,j->i" if w.ndim == 1 else "ij,ij->i", values, w)
    return total


def one_dimension(
    phi: Integrand, s: FloatArray, f: Callable[[FloatArray, RowArray], FloatArray], refine: float
) -> FloatArray:
    """E f(u), u ~ N(0, s), for f as smooth as phi and even if phi is odd or even."""
    if phi.uniform:
        sums = np.empty_like(s)
        places = np.broadcast_to(np.sort(np.asarray(phi.kinks, dtype=np.float64)), (s.size, len(phi.kinks)))
        for rows, x, w in _uniform.rules(np.sqrt(s), places, phi.pole, refine):
            sums[rows] = _sum(f(x, rows), w)
        return sums
    symmetric = (phi.odd or phi.even) and {-kink for kink in phi.kinks} == set(phi.kinks)
    result: FloatArray = gaussian.expectation(
        lambda x, rows: f(x, rows)[None],
        np.sqrt(s),
        0.0,
        phi.kinks,
        phi.pole,
        tolerance=_ONE_DIMENSION,
        refine=refine,
        even=symmetric and math.isinf(phi.period),
    )[0]
    return result
