"""Input channels: the information J_0(r) = I(x; sqrt(r) x + n) about one input entry, for the laws it may have.

Every law is kept at a scale of its own and stretched to the variance q_x that is asked for: J_0(r; q_x) depends on
r q_x only. See theory section 3, "Other ends of the chain".
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.networks.priors import GaussianPrior, InputPrior, MixturePrior
from mfmi.quadrature.panels import REACH, information_of_density, normal_density, panel_nodes, partition, sum_by_row

LAYER = np.array([0.0, 1.0, 2.0, 3.0, 4.2, 5.4, 6.8, REACH])
CROSSING = np.array([0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 32.0])
ORDER = 10
BLOCK = 4_000
LARGEST_CROSSING = 76.0
"""Distance of two atoms, in units of the noise, at which their confusion underflows."""


class InputChannel(NamedTuple):
    """J_0 in nats, E_0 = 2 dJ_0/dr and dE_0/dr, arrays of the shape of r."""

    j: FloatArray
    e: FloatArray
    e_r: FloatArray


def _arguments(r: ArrayLike, variance: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Broadcast and check the arguments of an input channel."""
    precision, scale = np.broadcast_arrays(np.asarray(r, dtype=np.float64), np.asarray(variance, dtype=np.float64))
    for name, values, good in (("r", precision, precision >= 0.0), ("variance", scale, scale > 0.0)):
        good = good & np.isfinite(values)
        if not np.all(good):
            raise ValueError(f"{name} is out of range: {float(values[~good].flat[0])!r}")
    return precision, scale


def negentropy(prior: InputPrior) -> float:
    """Entropy of a Gaussian of the same variance less h(x), nats per entry; NaN where the law has no density."""
    if isinstance(prior, GaussianPrior):
        values = np.asarray(prior.eigenvalues)
        return float("nan") if np.any(values == 0.0) else float(-0.5 * np.mean(np.log(values)))
    if 0.0 in prior.variances:
        return float("nan")
    # J_0(r) - ln(r)/2 - h(n) tends to h(x), with an error of the Fisher information over 2 r
    r = 1e10 / min(prior.variances)
    return float(0.5 * np.log1p(r) - input_channel(prior, r, 1.0).j)


def input_channel(prior: InputPrior, r: ArrayLike, variance: ArrayLike = 1.0) -> InputChannel:
    """Evaluate J_0 and its derivatives: in closed form for Gaussian entries, else by quadrature.

    Parameters
    ----------
    prior : GaussianPrior or MixturePrior
        Law of the entries.
    r : array_like
        Precisions >= 0.
    variance : array_like
        Variance of an entry, or mean eigenvalue, > 0; broadcasts with `r`.

    Returns
    -------
    InputChannel
        Arrays of the broadcast shape; of a mixture relatively accurate to 1e-10 (J and, where it is above 1e-12, E).

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    precision, scale = _arguments(r, variance)
    if isinstance(prior, GaussianPrior):
        return _of_gaussian(prior, precision, scale)
    return _of_mixture(prior, precision, scale)


def _of_gaussian(prior: GaussianPrior, precision: FloatArray, scale: FloatArray) -> InputChannel:
    """J_0 = E ln(1 + r mu)/2 and its derivatives."""
    information, remaining, slope = (np.zeros(precision.shape) for _ in range(3))
    values, counts = np.unique(np.asarray(prior.eigenvalues), return_counts=True)
    for eigenvalue, count in zip(values, counts, strict=True):
        share = count / len(prior.eigenvalues)
        mu = scale * eigenvalue
        left = mu / (1.0 + precision * mu)
        information += 0.5 * share * np.log1p(precision * mu)
        remaining += share * left
        slope -= share * left * left
    return InputChannel(information, remaining, slope)


def _of_mixture(prior: MixturePrior, precision: FloatArray, scale: FloatArray) -> InputChannel:
    stretch = scale / prior.variance
    own = np.ravel(precision * stretch)
    parts = [np.zeros(own.size) for _ in range(3)]
    some = np.flatnonzero(own > 0.0)
    for rows in np.array_split(some, max(1, len(some) // BLOCK)):
        if len(rows):
            for part, values in zip(parts, _quadrature(prior, own[rows]), strict=True):
                part[rows] = values
    parts[1][own == 0.0], parts[2][own == 0.0] = prior.variance, -(prior.variance**2)
    information, remaining, slope = (part.reshape(precision.shape) for part in parts)
    return InputChannel(information, remaining * stretch, slope * stretch * stretch)


def _quadrature(prior: MixturePrior, r: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """J_0, E_0 and dE_0/dr = -E Var(x|y)^2 at the mixture's own scale."""
    n, root = len(r), np.sqrt(r)
    weights, means, variances = (np.array(part) for part in (prior.weights, prior.means, prior.variances))
    centre, spread = root[:, None] * means, np.sqrt(1.0 + r[:, None] * variances)
    wide = np.sqrt(1.0 + r * prior.variance)
    middle = root * prior.mean
    edge = np.minimum(wide, 1.3)
    lower = np.minimum(np.min(centre - REACH * spread, axis=1), middle - REACH * edge)
    upper = np.maximum(np.max(centre + REACH * spread, axis=1), middle + REACH * edge)
    layer = np.concatenate([-LAYER[:0:-1], LAYER])
    cut, spacing = _crossings(prior, root)
    cut = np.concatenate([cut, (centre[:, :, None] + spread[:, :, None] * layer).reshape(n, -1)], axis=1)
    row, column = np.nonzero(np.isfinite(cut))
    row, low, high = partition(row, cut[row, column], lower, upper, spacing)
    y, step = panel_nodes(low, high, ORDER)
    standard = (y[:, :, None] - centre[row, None, :]) / spread[row, None, :]
    likely = weights * normal_density(standard) / spread[row, None, :]
    density = np.sum(likely, axis=2)
    post = likely / np.where(density > 0.0, density, 1.0)[:, :, None]
    guess = means + root[row, None, None] * variances * standard / spread[row, None, :]
    # a spread around the mean has no cancellation, and is exactly 0 for one atom
    gap = guess - np.sum(post * guess, axis=2, keepdims=True)
    variance = np.sum(post * (variances / (spread * spread)[row, None, :] + gap * gap), axis=2)
    information = information_of_density(density, y, step, row, r * prior.variance, middle)
    mass = step * density
    remaining = sum_by_row(row, np.sum(mass * variance, axis=1), n)
    return information, remaining, -sum_by_row(row, np.sum(mass * variance * variance, axis=1), n)


def _crossings(prior: MixturePrior, root: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Break points where the posterior passes from one component to the next, and each row's finest panel."""
    n = len(root)
    order = np.argsort(prior.means, kind="stable")
    spacing, cuts = np.full(n, 0.3), [np.empty((n, 0))]
    ladder = np.concatenate([-CROSSING[:0:-1], CROSSING])
    for i, j in itertools.pairwise(order):
        if prior.variances[i] > 0.0 or prior.variances[j] > 0.0:
            continue
        distance = root * (prior.means[j] - prior.means[i])
        sharp = (distance > 0.0) & (distance < LARGEST_CROSSING)
        step = np.where(sharp, 1.0 / np.where(sharp, distance, 1.0), np.nan)
        odds = np.log(prior.weights[i] / prior.weights[j])
        point = 0.5 * root * (prior.means[i] + prior.means[j]) + odds * step
        cuts.append(point[:, None] + step[:, None] * ladder)
        spacing = np.fmin(spacing, 0.5 * step)
    return np.concatenate(cuts, axis=1), spacing
