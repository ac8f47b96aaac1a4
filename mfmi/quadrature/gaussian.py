"""Quadrature for expectations over a Gaussian variable, with nodes chosen for scale, kinks and singularities.

The rules know nothing of activations: their arguments say where the integrand is not smooth and how fast it varies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import roots_legendre

from mfmi.arguments.arrays import FloatArray

Kinks = Sequence[float] | FloatArray

# Work arrays of this many elements stay in the second-level cache, where element-wise numpy is fastest.
_BLOCK_ELEMENTS = 1 << 15

# Beyond this ratio of singularity distance to standard deviation the map u = c sinh(t) is a straight line in effect.
_STRAIGHT = 8.0

# Two kinks closer than this fraction of their distance from the mean leave no panel between them.
_MERGED = 1e-13

# The periodic rule sees the density wrapped on one period; from this ratio of deviation to period on it needs no tails.
_WRAPPED = 0.25

# Functions of smoothed moments such as ln(1 + r kappa^2) have their structure some widths or pole distances away from
# the origin or the kink, and singularities nearer than the moments': lengths of the map and width of the strip.
_MAP_POLE, _MAP_WIDTH, _MAP_KINK_WIDTH = 2.0, 2.0, 1.4
_STRIP_POLE, _STRIP_WIDTH = 0.5, 0.35


def offset_rule(
    variance: ArrayLike,
    width: ArrayLike = 0.0,
    kinks: Kinks = (),
    pole: float = math.inf,
    *,
    tolerance: float = 1e-12,
    period: float = math.inf,
) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights for E f(X), X ~ N(0, variance), one rule per row.

    Parameters
    ----------
    variance : array_like, shape (n,)
        Variances of X, each >= 0; 0 gives the point mass at 0.
    width : array_like, shape (n,) or scalar
        Standard deviation of the noise that has smoothed f: a kink of the activation becomes a transition of this
        width, and everything else varies no faster than it. 0 leaves a true kink or jump.
    kinks : sequence of float, or ndarray of shape (n, K) sorted along its last axis
        Where the unsmoothed integrand is not analytic.
    pole : float
        Distance of its nearest complex singularity from the real axis elsewhere, or the length on which an entire
        integrand varies; inf if neither limits the step.
    tolerance : float
        Target for the relative error of smooth integrands of that description; sets the number of nodes.
    period : float
        Period of f if it has one; large variances then cost no more than small ones.

    Returns
    -------
    x, w : ndarray, shape (n, M)
        Nodes and weights, the weights of a row adding up to 1. M depends on the hardest row.
    """
    variance = np.atleast_1d(np.asarray(variance, dtype=np.float64))
    sigma = np.sqrt(variance)
    widths = np.broadcast_to(np.asarray(width, dtype=np.float64), sigma.shape)
    nodes = int(node_count(sigma, widths, kinks, pole, tolerance=tolerance, period=period).max(initial=8))
    return fixed_rule(sigma, widths, kinks, pole, nodes, tolerance=tolerance, period=period)


def node_count(
    sigma: FloatArray,
    width: FloatArray,
    kinks: Kinks,
    pole: float,
    *,
    tolerance: float = 1e-12,
    period: float = math.inf,
) -> NDArray[np.int64]:
    """Nodes per panel that each row of `offset_rule` needs, in steps of a quarter so that rows fall in few classes.

    Parameters
    ----------
    sigma, width : ndarray, shape (n,)
        Standard deviation of X and of the smoothing noise.
    kinks, pole, tolerance, period
        As in `offset_rule`.

    Returns
    -------
    ndarray of int64, shape (n,)
        Nodes per half-panel (kinks), per half-axis (no kinks) or per period.
    """
    digits = -math.log(tolerance)
    ratio = _scale_ratio(sigma, width, pole, len(kinks) > 0)
    if len(kinks):
        _, length = _panels(sigma, kinks, _tail(tolerance))
        growth = np.where(width > 0.0, 0.5, 0.36)
        needed = 4.0 + digits * (0.62 + growth * np.arcsinh(np.abs(length).max(axis=1) / ratio))
    else:
        needed = np.arcsinh(_tail(tolerance) / ratio) / _step(sigma, width, pole, ratio, digits)
    if math.isfinite(period):
        needed = np.where(sigma > _WRAPPED * period, 2.4 * digits, needed)
    return _round_up(needed)


def fixed_rule(
    sigma: FloatArray,
    width: FloatArray,
    kinks: Kinks,
    pole: float,
    nodes: int,
    *,
    tolerance: float = 1e-12,
    period: float = math.inf,
    half: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Build the rule of `offset_rule` with a given number of nodes per panel.

    Parameters
    ----------
    sigma, width, kinks, pole, tolerance, period
        As in `node_count`.
    nodes : int
        Nodes per half-panel (kinks), per half-axis (no kinks) or per period.
    half : bool
        As in `blocked_rules`; kinks must then be symmetric about 0. Rules with a period stay whole.

    Returns
    -------
    x, w : ndarray, shape (n, M)
    """
    ratio = _scale_ratio(sigma, width, pole, len(kinks) > 0)
    if len(kinks):
        return _panel_rule(sigma, ratio, kinks, nodes, _tail(tolerance), half)
    x, w = _smooth_rule(sigma, ratio, nodes, _tail(tolerance), half and math.isinf(period))
    wrapped = sigma > _WRAPPED * period
    if wrapped.any():
        x, w = _pad(x, w, nodes), _pad(w, w, nodes)
        x[wrapped], w[wrapped] = _periodic_rule(sigma[wrapped], period, x.shape[1])
    return x, w


def expectation(
    integrand: Callable[[FloatArray, NDArray[np.int64]], FloatArray],
    sigma: FloatArray,
    width: FloatArray | float = 0.0,
    kinks: Kinks = (),
    pole: float = math.inf,
    *,
    tolerance: float = 1e-12,
    period: float = math.inf,
    outputs: int = 1,
    refine: float = 1.0,
    even: bool = False,
) -> FloatArray:
    """Expectations of several functions of X ~ N(0, sigma^2), row by row, in blocks that fit the cache.

    Each row's nodes depend on that row alone, so a value does not depend on what else is asked for.

    Parameters
    ----------
    integrand : callable
        ``integrand(x, rows)`` with x of shape (b, M) and the b row numbers; returns (outputs, b, M).
    sigma, width : ndarray, shape (n,)
        Standard deviation of X and of the smoothing noise.
    kinks, pole, tolerance, period
        As in `offset_rule`.
    outputs : int
        How many functions `integrand` returns.
    refine : float
        Multiplies the number of nodes; another value than 1 gives a second opinion for an error estimate.
    even : bool
        The integrand is an even function and the kinks are symmetric about 0, so that half of the nodes suffice.

    Returns
    -------
    ndarray, shape (outputs, n)
    """
    result = np.empty((outputs, sigma.size))
    rules = blocked_rules(sigma, width, kinks, pole, tolerance=tolerance, period=period, refine=refine, half=even)
    for rows, x, w in rules:
        result[:, rows] = np.einsum("kij,ij->ki", integrand(x, rows), w)
    return result


def blocked_rules(
    sigma: FloatArray,
    width: FloatArray | float,
    kinks: Kinks,
    pole: float,
    *,
    tolerance: float = 1e-12,
    period: float = math.inf,
    refine: float = 1.0,
    half: bool = False,
) -> Iterator[tuple[NDArray[np.int64], FloatArray, FloatArray]]:
    """Iterate over blocks of rows that share a number of nodes.

    Parameters
    ----------
    sigma, width, kinks, pole, tolerance, period, refine
        As in `expectation`.
    half : bool
        Leave out the left half of symmetric rules and double the right half: for even integrands.

    Yields
    ------
    rows : ndarray of int64, shape (b,)
        Row numbers.
    x, w : ndarray, shape (b, M)
        Their nodes and weights.
    """
    widths = np.broadcast_to(np.asarray(width, dtype=np.float64), sigma.shape)
    counts = node_count(sigma, widths, kinks, pole, tolerance=tolerance, period=period)
    panels = max(2, 2 * np.shape(kinks)[-1])
    for count, rows in blocks(counts, lambda count: count * panels):
        nodes = max(4, round(count * refine))
        places = kinks[rows] if isinstance(kinks, np.ndarray) else kinks
        yield (
            rows,
            *fixed_rule(sigma[rows], widths[rows], places, pole, nodes, tolerance=tolerance, period=period, half=half),
        )


def blocks(labels: NDArray[np.int64], elements: Callable[[int], int]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Group rows by label and cut the groups so that a block's work arrays fit the cache.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Rows with one label are treated alike.
    elements : callable
        Elements per row in the work arrays of a label.

    Yields
    ------
    label : int
        Label of the block.
    rows : ndarray of int64
        Its row numbers.
    """
    for label in np.unique(labels).tolist():
        members = np.flatnonzero(labels == label)
        size = max(1, _BLOCK_ELEMENTS // elements(label))
        for start in range(0, members.size, size):
            yield label, members[start : start + size]


@lru_cache(maxsize=64)
def legendre_rule(n: int) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre nodes and weights on [0, 1], read-only.

    Parameters
    ----------
    n : int
        Number of nodes.

    Returns
    -------
    x, w : ndarray, shape (n,)
    """
    x, w = roots_legendre(n)
    x, w = 0.5 * (x + 1.0), 0.5 * w
    x.flags.writeable = w.flags.writeable = False
    return x, w


def _tail(tolerance: float) -> float:
    """Standard deviations after which a Gaussian, times a few powers, is below the tolerance or 1e-11.

    A tail cut short is an error that no comparison of rules shows, so that a modest tolerance does not shorten it.
    """
    return math.sqrt(-2.0 * math.log(min(tolerance, 1e-11))) + 1.1


def _scale_ratio(sigma: FloatArray, width: FloatArray, pole: float, kinked: bool) -> FloatArray:
    """Length c of the map sinh(t), in standard deviations, at most `_STRAIGHT`."""
    smooth = np.hypot(_MAP_POLE * pole, _MAP_WIDTH * width)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(width > 0.0, _MAP_KINK_WIDTH * width if kinked else smooth, pole) / sigma
    return np.where(ratio < _STRAIGHT, ratio, _STRAIGHT)


def _step(sigma: FloatArray, width: FloatArray, pole: float, ratio: FloatArray, digits: float) -> FloatArray:
    """Step in t at which the trapezoidal rule after x = c sinh(t) converges to exp(-digits).

    Unsmoothed, the strip is pi/2 wide for the singularity at distance c and not quite pi/4 for the Gaussian factor once
    c is below sigma. Above, the Gaussian of width sigma / c in t asks for the step 2 pi / sqrt(2 digits) of its own.
    """
    unsmoothed = 0.7 * np.maximum(1.0, (1.0 + 0.3 * ratio) / 1.3)
    distance = np.hypot(_STRIP_POLE * pole, _STRIP_WIDTH * width)
    with np.errstate(divide="ignore", invalid="ignore"):
        smoothed = np.arcsin(np.minimum(distance / (ratio * sigma), 1.0))
    strip = np.where((width > 0.0) & (sigma > 0.0), smoothed, unsmoothed)
    bell = np.sqrt(2.0 / digits) * np.pi
    step: FloatArray = 1.0 / (digits / (2.0 * np.pi * strip) + ratio / bell)
    return step


def _round_up(needed: FloatArray) -> NDArray[np.int64]:
    """Round up to 8 times a power of 2^(1/4), so that rows fall in few classes."""
    classes = np.ceil(4.0 * np.log2(np.maximum(needed, 8.0) / 8.0) - 1e-9)
    return np.ceil(8.0 * 2.0 ** (classes / 4.0) - 1e-9).astype(np.int64)


def _smooth_rule(
    sigma: FloatArray, ratio: FloatArray, nodes: int, tail: float, half: bool
) -> tuple[FloatArray, FloatArray]:
    """Trapezoidal rule in t with x = sigma ratio sinh(t): dense where the integrand varies, wide in the tails."""
    step = np.arcsinh(tail / ratio) / nodes
    t = np.arange(0 if half else -nodes, nodes + 1) * step[:, None]
    z = ratio[:, None] * np.sinh(t)
    w = np.exp(-0.5 * z * z) * np.cosh(t)
    if half:
        w[:, 0] *= 0.5
    w /= w.sum(axis=1, keepdims=True)
    return sigma[:, None] * z, w


def _panels(sigma: FloatArray, kinks: Kinks, tail: float) -> tuple[FloatArray, FloatArray]:
    """Kinks and signed lengths of their half-panels in standard deviations, shape (n, 2 K), left ones first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.asarray(kinks, dtype=np.float64) / sigma[:, None]
    z = np.clip(np.where(np.isnan(z), 0.0, z), -tail, tail)
    middles = 0.5 * (z[:, 1:] + z[:, :-1])
    edge = np.full((sigma.size, 1), tail)
    starts = np.concatenate([z, z], axis=1)
    length = np.concatenate([-edge, middles, middles, edge], axis=1) - starts
    length[np.abs(length) < _MERGED * np.abs(starts)] = 0.0
    return starts, length


def _panel_rule(
    sigma: FloatArray, ratio: FloatArray, kinks: Kinks, nodes: int, tail: float, half: bool
) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre panels from each kink half way to the next, graded towards it by z = kink + ratio sinh(t)."""
    starts, length = _panels(sigma, kinks, tail)
    if half:
        # Of symmetric kinks those above the middle one have both panels on the right, the middle one has one of them.
        count = starts.shape[1] // 2
        right = np.concatenate([2 * np.arange(count) > count - 1, 2 * np.arange(count) >= count - 1])
        starts, length = starts[:, right], length[:, right]
    x, w = legendre_rule(nodes)
    reach = np.arcsinh(length / ratio[:, None])[:, :, None]
    t = reach * x
    nodes_z = starts[:, :, None] + ratio[:, None, None] * np.sinh(t)
    weights = np.exp(-0.5 * nodes_z**2) * np.cosh(t) * np.abs(reach) * w
    shape = sigma.size, starts.shape[1] * nodes
    flat_w = weights.reshape(shape)
    flat_w = flat_w / flat_w.sum(axis=1, keepdims=True)
    return sigma[:, None] * nodes_z.reshape(shape), flat_w


def _pad(array: FloatArray, like: FloatArray, nodes: int) -> FloatArray:
    """Widen to at least `nodes` columns by zeros (a node of weight zero at the origin is harmless)."""
    missing = nodes - like.shape[1]
    return array.copy() if missing <= 0 else np.pad(array, ((0, 0), (0, missing)))


def _periodic_rule(sigma: FloatArray, period: float, count: int) -> tuple[FloatArray, FloatArray]:
    """Equal steps over one period, with the wrapped density from its Fourier series (Poisson summation)."""
    phase = np.arange(count) / count - 0.5
    w = np.ones((sigma.size, count))
    for harmonic in range(1, 8):
        decay = np.exp(-0.5 * (2.0 * np.pi * harmonic * sigma / period) ** 2)
        w += 2.0 * decay[:, None] * np.cos(2.0 * np.pi * harmonic * phase)
    return np.broadcast_to(period * phase, w.shape), np.maximum(w, 0.0) / w.sum(axis=1, keepdims=True)
