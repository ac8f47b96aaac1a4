"""Functions of the standard normal law that keep their relative accuracy in the tails."""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.panels import REACH, ScalarFunction, normal_density

_SQRT_HALF_PI = float(np.sqrt(0.5 * np.pi))

# From here down the continued fraction below, started from the fixed point of its last step, converges to rounding
# error within its depth.
_FRACTION_FROM = -2.5
_FRACTION_DEPTH = 50


def inverse_mills(t: FloatArray) -> FloatArray:
    """Ratio Phi(t) / density(t), finite for t -> -inf where it is about 1 / |t|; inf once the density underflows."""
    ratio: FloatArray = _SQRT_HALF_PI * erfcx(-t / np.sqrt(2.0))
    return ratio


def ramp_moments(t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Moments E (z + t)_+^n for n = 0, 1, 2, z standard normal, with relative accuracy for every t.

    For t < -2.5 they are repeated integrals of the error function, of which the closed forms are differences of large
    terms; their ratios are the tails of Laplace's continued fraction (Abramowitz & Stegun 7.2.5 and 26.2.14).

    Parameters
    ----------
    t : ndarray
        Offset in standard deviations.

    Returns
    -------
    tuple of three ndarrays, shape of t
    """
    zeroth = ndtr(t)
    peak = normal_density(t)
    first = t * zeroth + peak
    second = t * first + zeroth
    low = t < _FRACTION_FROM
    if low.any():
        x = -t[low]
        ratio = 2.0 / (x + np.sqrt(x * x + 4.0 * (_FRACTION_DEPTH + 1)))
        tail = []
        for n in range(_FRACTION_DEPTH, -1, -1):
            ratio = 1.0 / (x + (n + 1) * ratio)
            if n < 3:
                tail.append(ratio)
        r2, r1, r0 = tail
        zeroth[low] = peak[low] * r0
        first[low] = zeroth[low] * r1
        second[low] = 2.0 * first[low] * r2
    return zeroth, first, second


def ramp_mean(m: FloatArray, sigma: FloatArray) -> FloatArray:
    """Mean of (m + sigma z)_+, z standard normal, with relative accuracy also where nearly all of it is cut off.

    Parameters
    ----------
    m, sigma : ndarray, shape (n,)
        Mean and standard deviation >= 0 before the ramp.

    Returns
    -------
    ndarray, shape (n,)
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        t = np.clip(np.nan_to_num(np.abs(m) / sigma, nan=0.0), 0.0, 1e100)
    result: FloatArray = np.maximum(m, 0.0) + sigma * ramp_moments(-t)[1]
    return result


def ramp_residual(t: FloatArray) -> FloatArray:
    """Variance of (z + t)_+ that no linear function of z explains: Var (z + t)_+ - Phi(t)^2, an even function of t.

    It is even because (z + t)_+ and (-z - t)_+ differ by a linear function.

    Parameters
    ----------
    t : ndarray
        Offset in standard deviations.

    Returns
    -------
    ndarray, shape of t, in [0, 1/4 - 1/(2 pi)]
    """
    zeroth, first, second = ramp_moments(-np.abs(t))
    return second - first * first - zeroth * zeroth


def truncated_power(m: FloatArray, v: FloatArray, lower: float, upper: float) -> tuple[FloatArray, FloatArray]:
    """Probability of an interval under N(m, v), and the entropy power of the law cut to it.

    Parameters
    ----------
    m, v : ndarray, shape (n,)
        Mean and variance >= 0.
    lower, upper : float
        Ends of the interval, either may be infinite.

    Returns
    -------
    probability, log_power : ndarray, shape (n,)
        P(lower < x < upper) and 2 h(x | interval) - ln(2 pi e): the logarithm of the entropy power. A probability
        that underflows comes with the limit of the logarithm or, where that overflows, with -inf.
    """
    sigma = np.sqrt(v)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        a = np.nan_to_num((lower - m) / sigma, nan=0.0, posinf=np.inf, neginf=-np.inf)
        b = np.nan_to_num((upper - m) / sigma, nan=0.0, posinf=np.inf, neginf=-np.inf)
        flip = a > 0.0
        a, b = np.where(flip, -b, a), np.where(flip, -a, b)
        log_p, exponent = _truncated_terms(a, b)
        log_power = np.log(v) + 2.0 * log_p + exponent
    return np.exp(log_p), np.where(np.isnan(log_power), -np.inf, log_power)


def _truncated_terms(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ln(Phi(b) - Phi(a)) and (a density(a) - b density(b)) / (Phi(b) - Phi(a)) for a < b, a <= 0.

    With the upper end in the lower tail both are taken relative to the density there, which may underflow.
    """
    finite_a, finite_b = np.where(np.isfinite(a), a, 0.0), np.where(np.isfinite(b), b, 0.0)
    a_peak = np.where(np.isfinite(a), finite_a * normal_density(finite_a), 0.0)
    b_peak = np.where(np.isfinite(b), finite_b * normal_density(finite_b), 0.0)
    p = ndtr(b) - ndtr(a)
    log_p, exponent = np.log(p), (a_peak - b_peak) / p
    tail = b < 0.0
    if tail.any():
        x, y = b[tail], finite_a[tail]
        damp = np.where(np.isfinite(a[tail]), np.exp(0.5 * (x - y) * (x + y)), 0.0)
        scaled = inverse_mills(x) - damp * np.where(np.isfinite(a[tail]), inverse_mills(y), 0.0)
        half_open = ~np.isfinite(a[tail])
        log_p[tail] = np.where(half_open, log_ndtr(x), np.log(scaled) - 0.5 * x * x - 0.5 * np.log(2.0 * np.pi))
        exponent[tail] = (y * damp - x) / scaled
    return log_p, exponent


def folded_density(phi: ScalarFunction, omega: FloatArray, deviation: FloatArray) -> FloatArray:
    """Density of omega ~ N(0, deviation^2) summed over the offsets that are equivalent to omega, within `folded_range`.

    Parameters
    ----------
    phi : ScalarFunction
    omega, deviation : ndarray
        Offset and standard deviation > 0; they broadcast.

    Returns
    -------
    ndarray
        Of the broadcast shape.
    """
    sides = 2.0 if phi.odd or phi.even else 1.0
    if not np.isfinite(phi.period):
        return np.asarray(sides * normal_density(omega / deviation) / deviation)
    turns = int(np.ceil(REACH * float(np.max(deviation, initial=0.0)) / phi.period))
    total = np.zeros(np.broadcast_shapes(omega.shape, deviation.shape))
    for turn in range(-turns, turns + 1):
        total += normal_density((omega + turn * phi.period) / deviation)
    return np.asarray(sides * total / deviation)


def interval_probability(ends: FloatArray) -> FloatArray:
    """Probabilities of the intervals between ascending ends along the last axis, the open ones at both ends included.

    Relative accuracy in both tails: the larger end's tail is taken where both lie above 0.
    """
    shape = (*ends.shape[:-1], 1)
    edges = np.concatenate([np.full(shape, -np.inf), ends, np.full(shape, np.inf)], axis=-1)
    low, high = edges[..., :-1], edges[..., 1:]
    above = low > 0.0
    found: FloatArray = ndtr(np.where(above, -low, high)) - ndtr(np.where(above, -high, low))
    return found
