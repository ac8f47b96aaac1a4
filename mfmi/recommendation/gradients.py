"""Growth of gradients and of errors over the depth, and what it takes off a recommendation that is to keep gradients.

Information says what of the input arrives, not whether an error finds its way back. From the last layer to the first
the mean square of a gradient is multiplied by the product of the slopes `chi^l` (theory (5)); where that is far from 1,
no one learning rate fits both ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.meanfield import lengths

if TYPE_CHECKING:
    from mfmi.recommendation.results import NetworkFamily

# Factors whose places are looked at first; so many sigma_w are tried, and an interval of them halved so often.
_ROUND = np.array([0.8, 1.0])
_SCAN, _HALVINGS = 33, 12


def gradient_factor(
    phi: Activation,
    depth: int,
    sigma_w: FloatArray,
    sigma_b: FloatArray,
    hidden_noise: float,
    input_variance: float,
) -> FloatArray:
    """Factor by which the root mean square of a gradient changes from the last layer of plain networks to the first.

    Parameters
    ----------
    phi : the activation.
    depth : number of layers L.
    sigma_w, sigma_b : standard deviations, shape (n,).
    hidden_noise : standard deviation of the noise in the hidden layers.
    input_variance : variance of an input entry.

    Returns
    -------
    numpy.ndarray
        `sqrt(chi^1 ... chi^(L-1))`, shape (n,); 0 or inf where it leaves the numbers, NaN for an activation without
        derivative.
    """
    if not phi.differentiable:
        return np.full_like(sigma_w, np.nan)
    q, chi = lengths(phi, sigma_w**2, sigma_b**2, hidden_noise**2, input_variance, depth)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # Where variances have left the numbers slopes on the way there were far above 1: so have gradients.
        logs = np.where(np.isfinite(q), np.log(chi), np.inf)[:, : depth - 1]
        growth: FloatArray = np.exp(0.5 * logs.sum(axis=1))
        return growth


def kept(factor: FloatArray) -> FloatArray:
    """Share of a quantity that counts where gradients change by a factor: `1 / (1 + 1/2 log2(factor)^2)`.

    A factor of 2, either way, costs a third, one of 4 two thirds. Of a factor that is not known nothing
    is left: it must not pass for one of 1.
    """
    with np.errstate(divide="ignore"):
        return np.where(np.isnan(factor), 0.0, 1.0 / (1.0 + 0.5 * np.log2(factor) ** 2))


def places_that_keep(
    gradient: Callable[[FloatArray, FloatArray], FloatArray], within: tuple[float, float], biases: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Places where gradients change by one of the factors `_ROUND` for each of some biases, as sigma_w and sigma_b.

    Deep networks keep gradients along a narrow ridge, which the steps of a grid miss.
    """
    w, b = np.meshgrid(np.geomspace(*within, _SCAN), biases)
    with np.errstate(divide="ignore"):
        logs = np.log(gradient(w.ravel(), b.ravel())).reshape(w.shape)[None] - np.log(_ROUND)[:, None, None]
    factor, row, left = np.nonzero((logs[:, :, :-1] < 0.0) & (logs[:, :, 1:] >= 0.0))
    low, high, b_there = w[row, left], w[row, left + 1], b[row, left]
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * high)
        below = gradient(middle, b_there) < _ROUND[factor]
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low, b_there


def swing_of(network: NetworkFamily, sigma_w: float, sigma_b: float) -> float:
    """Largest growth of a small relative error of the first variance up to the observed layer; 1 with a norm."""
    if network.structure.get("normalization", "none") != "none":
        return 1.0
    phi, noise = network.activation, network.hidden_noise**2
    q, _ = lengths(phi, sigma_w**2, sigma_b**2, noise, network.input_variance, network.depth)
    s = q[0] + noise
    # Up to where the variance leaves the numbers.
    s = s[: int(np.argmin(np.append((s > 0.0) & np.isfinite(s), False)))]
    growth = np.cumprod(sigma_w**2 * np.asarray(phi.second_moment_slope(s[:-1])) * s[:-1] / s[1:])
    return float(np.abs(growth).max(initial=1.0))
