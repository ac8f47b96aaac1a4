"""The scalar channel of a piecewise linear activation at a known offset, its output density in closed form.

For u = phi(omega + sqrt(tau) g) with phi linear between break points, p(y | omega) is a sum over segments of a Gaussian
times the posterior mass of the segment; a flat segment is an atom. Only the integral over y is left to quadrature,
theory (14).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.exact.step import scaled_equivocation, step_entropy
from mfmi.quadrature.panels import (
    REACH,
    IntArray,
    information_of_density,
    normal_density,
    panel_nodes,
    partition,
    sum_by_row,
)

KINK_GRADING = np.array([0.0, 1.0, 2.0, 3.2, 4.6, 6.4, REACH])
SPACING = 0.8
CROSSING_GRADING = np.array([-24.0, -16.0, -10.0, -7.0, -5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 7.0, 10.0, 16.0, 24.0])
GAUSSIAN_GRADING = np.array([0.0, 1.0, 2.0, 3.0, 4.2, 5.4, 6.8, REACH])


@dataclass(frozen=True)
class Segments:
    """A piecewise linear function: slope x + intercept on (lower, upper) of every segment.

    Parameters
    ----------
    lower, upper, slope, intercept : tuple of float
        One entry a segment, in ascending order; the first lower end is -inf, the last upper end inf.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    slope: tuple[float, ...]
    intercept: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.slope)

    @property
    def homogeneous_degree(self) -> int | None:
        """Degree k of phi(t x) = t^k phi(x), t > 0: 1 or, for a step, 0; None for any other function."""
        if any(cut != 0.0 for cut in self.lower[1:]):
            return None
        if not any(self.intercept):
            return 1
        return None if any(self.slope) else 0

    @property
    def step_gain(self) -> float:
        """Square of half the height of a step: its precision in units of that of a step from -1 to 1."""
        return (0.5 * (self.intercept[-1] - self.intercept[0])) ** 2


def linear_segments(phi: Callable[[FloatArray], FloatArray], kinks: tuple[float, ...]) -> Segments | None:
    """Recognise a piecewise linear function by its values.

    Parameters
    ----------
    phi : callable
        The activation, vectorised.
    kinks : tuple of float
        Its break points, in ascending order.

    Returns
    -------
    Segments or None
        None where phi is curved between some two break points.
    """
    ends = (-np.inf, *kinks, np.inf)
    slopes, intercepts = [], []
    for low, high in itertools.pairwise(ends):
        x = _probes(low, high)
        u = np.asarray(phi(x), dtype=np.float64)
        slope = (u[-1] - u[0]) / (x[-1] - x[0])
        intercept = u[0] - slope * x[0]
        size = float(np.max(np.abs(u)))
        if not np.all(np.abs(u - slope * x - intercept) <= 1e-13 * size):
            return None
        if abs(intercept) <= 1e-13 * size:
            intercept = 0.0
        slopes.append(float(slope))
        intercepts.append(float(intercept))
    return Segments(ends[:-1], ends[1:], tuple(slopes), tuple(intercepts))


def _probes(low: float, high: float) -> FloatArray:
    """Points inside (low, high) over many scales, unevenly placed."""
    if np.isfinite(low) and np.isfinite(high):
        return low + (high - low) * np.array([0.0113, 0.0871, 0.2391, 0.3717, 0.5153, 0.6547, 0.7919, 0.9337, 0.9871])
    away = np.array([0.0137, 0.0931, 0.2713, 0.8171, 1.6387, 2.7191, 4.1733, 9.371, 31.7])
    if np.isfinite(low):
        return low + away
    if np.isfinite(high):
        return (high - away)[::-1].copy()
    return np.concatenate([-away[::-1], away])


@dataclass(frozen=True)
class Truncated:
    """Mass, mean and variance of a normal law cut to an interval, all of its standardised variable."""

    mass: FloatArray
    mean: FloatArray
    variance: FloatArray


def truncated_normal(alpha: FloatArray, beta: FloatArray) -> Truncated:
    """Moments of a standard normal variable restricted to (alpha, beta).

    Parameters
    ----------
    alpha, beta : ndarray
        Ends of the interval, possibly infinite; broadcast together.

    Returns
    -------
    Truncated
        Mean and variance are 0 where the mass underflows: such a segment has no weight.
    """
    # the upper tail is mirrored to the lower one, where the cdf keeps its relative accuracy
    mirror = alpha > 0.0
    low, high = np.where(mirror, -beta, alpha), np.where(mirror, -alpha, beta)
    mass = ndtr(high) - ndtr(low)
    safe = np.where(mass > 0.0, mass, 1.0)
    density_low, density_high = normal_density(low), normal_density(high)
    edge = np.where(np.isfinite(low), low, 0.0) * density_low - np.where(np.isfinite(high), high, 0.0) * density_high
    mean = (density_low - density_high) / safe
    variance = np.clip(1.0 + edge / safe - mean * mean, 0.0, 1.0)
    some = mass > 0.0
    return Truncated(mass, np.where(some, np.where(mirror, -mean, mean), 0.0), np.where(some, variance, 0.0))


@dataclass(frozen=True)
class Prior:
    """Per row and segment (last axis): the law of u and the output's Gaussian pieces."""

    mass: FloatArray
    input_mean: FloatArray
    mean: FloatArray
    variance: FloatArray
    centre: FloatArray
    spread: FloatArray

    @property
    def total_mean(self) -> FloatArray:
        """E[u | omega], shape (n,)."""
        return np.asarray(np.sum(self.mass * self.mean, axis=1))

    @property
    def total_variance(self) -> FloatArray:
        """Var(u | omega), shape (n,)."""
        offset = self.mean - self.total_mean[:, None]
        return np.asarray(np.sum(self.mass * (self.variance + offset * offset), axis=1))


def segment_prior(segments: Segments, r: FloatArray, tau: FloatArray, omega: FloatArray) -> Prior:
    """Law of u on every segment before y is seen.

    Parameters
    ----------
    segments : Segments
    r, tau, omega : ndarray, shape (n,)
        Precision, inner variance, offset.

    Returns
    -------
    Prior
        Arrays of shape (n, number of segments).
    """
    slope, intercept = np.array(segments.slope), np.array(segments.intercept)
    sigma = np.sqrt(tau)[:, None]
    cut = truncated_normal(
        (np.array(segments.lower) - omega[:, None]) / sigma, (np.array(segments.upper) - omega[:, None]) / sigma
    )
    level = slope * omega[:, None] + intercept
    return Prior(
        cut.mass,
        cut.mean,
        level + slope * sigma * cut.mean,
        (slope * sigma) ** 2 * cut.variance,
        np.sqrt(r)[:, None] * level,
        np.sqrt(1.0 + r[:, None] * (slope * sigma) ** 2),
    )


def output_panels(
    segments: Segments, prior: Prior, r: FloatArray, tau: FloatArray, omega: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Panels in y that resolve every kink's image, every atom and every Gaussian piece of p(y | omega).

    Parameters
    ----------
    segments : Segments
    prior : Prior
    r, tau, omega : ndarray, shape (n,)

    Returns
    -------
    tuple of ndarray
        Row, lower and upper end of every panel.
    """
    n = len(r)
    root, sigma = np.sqrt(r), np.sqrt(tau)
    ends: list[FloatArray] = []
    cuts: list[FloatArray] = []
    kink_grading = np.concatenate([-KINK_GRADING[:0:-1], KINK_GRADING])
    gaussian_grading = np.concatenate([-GAUSSIAN_GRADING[:0:-1], GAUSSIAN_GRADING])
    for k in range(len(segments)):
        slope, intercept = segments.slope[k], segments.intercept[k]
        low = np.clip(omega - REACH * sigma, segments.lower[k], segments.upper[k])
        high = np.clip(omega + REACH * sigma, segments.lower[k], segments.upper[k])
        absent = high <= low
        images = root[:, None] * np.stack([slope * low + intercept, slope * high + intercept], axis=1)
        images = np.where(absent[:, None], np.nan, images)
        ends.append(images)
        # an end that is only the reach of the prior needs no grading, but costs little
        kinks = images if slope != 0.0 else images[:, :1]
        cuts.append((kinks[:, :, None] + kink_grading).reshape(n, -1))
        if slope != 0.0:
            centre = np.where(absent, np.nan, prior.centre[:, k])
            cuts.append(centre[:, None] + prior.spread[:, k, None] * gaussian_grading)
    image = np.concatenate(ends, axis=1)
    mean, deviation = root * prior.total_mean, np.sqrt(1.0 + np.minimum(r * prior.total_variance, 1.0))
    lower = np.minimum(np.nanmin(image, axis=1), mean - 0.5 * deviation) - REACH
    upper = np.maximum(np.nanmax(image, axis=1), mean + 0.5 * deviation) + REACH
    cut, spacing = _crossing_cuts(segments, prior, root)
    cut = np.concatenate([*cuts, cut], axis=1)
    row, column = np.nonzero(np.isfinite(cut))
    return partition(row, cut[row, column], lower, upper, spacing)


def _crossing_cuts(segments: Segments, prior: Prior, root: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Break points where the posterior switches from one atom to another, and the finest panel of each row."""
    n = len(root)
    atoms = [k for k in range(len(segments)) if segments.slope[k] == 0.0]
    spacing = np.full(n, SPACING)
    cuts = [np.empty((n, 0))]
    for i, j in itertools.pairwise(atoms):
        distance = root * abs(segments.intercept[j] - segments.intercept[i])
        # beyond this distance the density between the atoms is below 1e-11 of its peak; mass between them blurs it
        lonely = prior.mass[:, i] + prior.mass[:, j] > 0.7
        sharp = lonely & (distance < 14.0) & (distance > 0.0) & (prior.mass[:, i] > 0.0) & (prior.mass[:, j] > 0.0)
        step = np.where(sharp, 1.0 / np.where(sharp, distance, 1.0), np.nan)
        sign = 1.0 if segments.intercept[j] > segments.intercept[i] else -1.0
        odds = np.log(np.where(sharp, prior.mass[:, i], 1.0)) - np.log(np.where(sharp, prior.mass[:, j], 1.0))
        middle = 0.5 * root * (segments.intercept[i] + segments.intercept[j]) + sign * odds * step
        cuts.append(middle[:, None] + step[:, None] * CROSSING_GRADING)
        spacing = np.fmin(spacing, 0.7 * step)
    return np.concatenate(cuts, axis=1), spacing


def _pieces(
    segments: Segments,
    prior: Prior,
    r: FloatArray,
    tau: FloatArray,
    omega: FloatArray,
    y: FloatArray,
    row: IntArray,
    moments: bool,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Density, posterior variance of u and score at (m, order) values of y; the last two are zero without `moments`."""
    root, sigma = np.sqrt(r)[row, None], np.sqrt(tau)[row, None]
    offset = omega[row, None]
    density = np.zeros_like(y)
    mean, score, second = np.zeros_like(y), np.zeros_like(y), np.zeros_like(y)
    # u is measured from its linear estimate, so that its spread is not the difference of two large numbers
    gain = (r * prior.total_variance / (1.0 + r * prior.total_variance))[row, None]
    reference = prior.total_mean[row, None] * (1.0 - gain) + gain * y / np.where(root > 0.0, root, 1.0)
    for k in range(len(segments)):
        slope, intercept = segments.slope[k], segments.intercept[k]
        if slope == 0.0:
            weight = prior.mass[row, k, None] * normal_density(y - root * intercept)
            density += weight
            if moments:
                deviation = intercept - reference
                mean += weight * deviation
                second += weight * deviation * deviation
                score += weight * prior.input_mean[row, k, None] / sigma
            continue
        spread = prior.spread[row, k, None]
        standard = (y - prior.centre[row, k, None]) / spread
        width = sigma / spread
        shift = sigma * width * root * slope * standard
        low = (segments.lower[k] - offset - shift) / width
        high = (segments.upper[k] - offset - shift) / width
        weight = normal_density(standard) / spread
        if not moments:
            density += weight * _mass_between(low, high)
            continue
        cut = truncated_normal(low, high)
        weight = weight * cut.mass
        density += weight
        moved = shift + width * cut.mean
        deviation = slope * (offset + moved) + intercept - reference
        mean += weight * deviation
        second += weight * (deviation * deviation + (slope * width) ** 2 * cut.variance)
        score += weight * moved / (sigma * sigma)
    if moments:
        safe = np.where(density > 0.0, density, 1.0)
        mean, second, score = mean / safe, second / safe, score / safe
        second = np.maximum(second - mean * mean, 0.0)
    return density, second, score


def _mass_between(low: FloatArray, high: FloatArray) -> FloatArray:
    """Phi(high) - Phi(low) without cancellation in the upper tail."""
    if np.all(np.isneginf(low)):
        return np.asarray(ndtr(high))
    if np.all(np.isposinf(high)):
        return np.asarray(ndtr(-low))
    mirror = low > 0.0
    return np.asarray(ndtr(np.where(mirror, -low, high)) - ndtr(np.where(mirror, -high, low)))


def segment_channel(
    segments: Segments, r: FloatArray, tau: FloatArray, omega: FloatArray, order: int = 8, moments: bool = True
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Information, posterior variance and curvature of the channel at a known offset, theory (14).

    Parameters
    ----------
    segments : Segments
        The piecewise linear activation.
    r, tau, omega : ndarray, shape (n,)
        Precision of the observation (r > 0), inner variance (tau > 0), offset.
    order : int
        Gauss-Legendre nodes per panel of y.
    moments : bool
        Whether the second and third result are wanted.

    Returns
    -------
    tuple of ndarray
        I(u; y | omega) in nats, E[Var(u | omega, y)], E[(d_omega ln p)^2], each of shape (n,); zeros without `moments`.
    """
    prior = segment_prior(segments, r, tau, omega)
    row, lower, upper = output_panels(segments, prior, r, tau, omega)
    y, weights = panel_nodes(lower, upper, order)
    density, variance, score = _pieces(segments, prior, r, tau, omega, y, row, moments)
    information = information_of_density(
        density, y, weights, row, r * prior.total_variance, np.sqrt(r) * prior.total_mean
    )
    mass = weights * density
    n = len(r)
    remaining = sum_by_row(row, np.sum(mass * variance, axis=1), n)
    if segments.homogeneous_degree == 0:
        # two atoms far apart: what is left to learn is far below the rounding of the sums over y
        own = r * segments.step_gain
        far = np.flatnonzero(own >= 1.0)
        x = omega[far] / np.sqrt(tau[far])
        left, spread = scaled_equivocation(own[far], x)
        fall = np.exp(-0.5 * own[far])
        information[far] = step_entropy(x) - fall * left
        remaining[far] = segments.step_gain * fall * spread
    return information, remaining, sum_by_row(row, np.sum(mass * score * score, axis=1), n)
