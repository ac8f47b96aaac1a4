"""Distance of a random network's input-output Jacobian from an isometry (theory (21)).

`J = W^L D_{L-1} W^{L-1} ... D_1 W^1` maps a change of the input to one of the observed pre-activation; D_l holds the
slopes of layer l. Dynamical isometry: all squared singular values are 1 (Pennington et al. 2017, Weng et al. 2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.arguments.ranges import LARGEST
from mfmi.errors import NumericsError
from mfmi.jacobian._slope_law import SlopeLaw, slope_law
from mfmi.jacobian._spectrum import JacobianSpectrum, spectrum
from mfmi.meanfield import Trajectory

# Cells into which each half of a layer's pre-activations is divided.
_CELLS = 160

# Layers whose variances agree to this share one law.
_SAME = 1e-9

# Standard deviations of weights among which isometric ones are sought, and bisections until they are found.
_LEAST_SIGMA, _LARGEST_SIGMA, _SCAN = 0.02, 50.0, 800
_BISECTIONS = 60

# A variance that grows beyond this has no fixed point; the slopes of such layers are those of the limit.
_LARGEST_VARIANCE = 1e100


# What overflows is inf and reported as such.
@np.errstate(over="ignore", invalid="ignore")
def jacobian_moments(
    phi: Activation, trajectory: Trajectory, sigma_w2: ArrayLike, weights: ArrayLike, alpha: ArrayLike = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance of the squared singular values of the Jacobian at every layer, theory (21).

    Parameters
    ----------
    phi
        Activation.
    trajectory
        Of n networks through `depth` layers; hidden noise counts through `s`.
    sigma_w2
        Weight variances times fan-in, of all layers in shape (n,) or of each in shape (n, depth).
    weights
        "gaussian" or "orthogonal", one word or shape (n,); or of rotation-invariant weights of another kind the
        relative variance of the eigenvalues of `W^T W`, zeros included, a number for every layer, shape (depth,).
    alpha
        `n_l / n_{l-1}` of every layer, broadcast to shape (depth,).

    Returns
    -------
    mean, variance : ndarray
        Of the n_l eigenvalues of `J J^T`, shape (n, depth). NaN for an activation without derivative and where a
        variance is not finite.

    Raises
    ------
    ValueError
        If a word in `weights` is neither.

    Notes
    -----
    With the relative second moment `R = E lambda^2 / (E lambda)^2`, a diagonal factor adds `mu_2 / mu_1^2 - 1` (free
    of what stands before it), and a matrix the relative variance of its `W^T W`, likewise; then the trace is one over
    `alpha` times as many dimensions, which makes `alpha R` of R. That is `alpha R + 1` if the matrix is gaussian and
    `alpha R + max(0, 1 - alpha)` if it is orthogonal: one of fewer rows than columns compresses, one of more adds
    zeros. For square layers that is theory (21).
    """
    n, depth = trajectory.s.shape
    ratios = np.broadcast_to(np.asarray(alpha, dtype=np.float64), (depth,))
    added = _added(weights, n, ratios)
    given = np.asarray(sigma_w2, dtype=np.float64)
    variance_w = np.broadcast_to(given if given.ndim == 2 else given.reshape(-1, 1), (n, depth))
    hidden = trajectory.s[:, : depth - 1]
    known = np.isfinite(hidden)
    first, second = np.full((2, *hidden.shape), np.nan)
    if phi.differentiable and known.any():
        first[known] = phi.slope_moment(hidden[known], 1)
        second[known] = phi.slope_moment(hidden[known], 2)
    with np.errstate(all="ignore"):  # overflow and 0/0 have their meaning: no finite value
        steps = np.concatenate([variance_w[:, :1], variance_w[:, 1:] * first], axis=1)
        mean = np.asarray(np.cumprod(steps, axis=1), dtype=np.float64)
        spread = np.concatenate([np.zeros((n, 1)), second / first**2 - 1.0], axis=1)
        relative = np.empty((n, depth))
        before: FloatArray = np.zeros(n)  # R - 1
        for layer, ratio in enumerate(ratios):
            before = ratio * (before + spread[:, layer]) + added[:, layer]
            relative[:, layer] = before
        variance = np.where(mean == 0.0, 0.0, relative * mean**2)
    return mean, variance


def _added(weights: ArrayLike, n: int, alpha: FloatArray) -> FloatArray:
    """Contribution of each matrix to `R - 1` after its change of dimensions, shape (n, depth)."""
    given = np.asarray(weights)
    if given.dtype.kind == "f":
        return np.broadcast_to(alpha * given + alpha - 1.0, (n, len(alpha)))
    words = np.broadcast_to(given.astype(object), (n,))
    is_gaussian = words == "gaussian"
    if not (is_gaussian | (words == "orthogonal")).all():
        raise ValueError(f"weights must be gaussian or orthogonal, not {weights!r}")
    return np.where(is_gaussian[:, None], alpha, np.maximum(0.0, alpha - 1.0))


def distance_from_isometry(mean: ArrayLike, variance: ArrayLike) -> FloatArray:
    """Return `sqrt(E (lambda - 1)^2)`: 0 for an isometry, elementwise."""
    offset = np.asarray(mean, dtype=np.float64) - 1.0
    return np.asarray(np.sqrt(offset**2 + np.asarray(variance, dtype=np.float64)))


def isometry_ceiling(mean: ArrayLike, input_variance: ArrayLike, noise_variance: ArrayLike) -> FloatArray:
    """Return what an isometry of a given mean squared singular value carries, elementwise, nats per input dimension.

    Parameters
    ----------
    mean
        `m_1`, mean squared singular value of the Jacobian, averaged over inputs.
    input_variance, noise_variance
        `q_x` and `sigma_o^2`.

    Returns
    -------
    ndarray
        `ln(1 + q_x m_1 / sigma_o^2) / 2`.

    Notes
    -----
    No square network of the same `m_1` carries more of a white Gaussian input. Poincare's inequality bounds the trace
    of the output's covariance by `q_x E tr(J J^T) = n q_x m_1`; at a given trace, entropy is largest if the output is
    Gaussian with all directions alike. Given the noise in hidden layers the same holds, and without knowing it there is
    no more to learn. Equality asks for a linear map with all singular values the same.
    """
    snr = np.asarray(input_variance, dtype=np.float64) * np.asarray(mean, dtype=np.float64) / np.asarray(noise_variance)
    return np.asarray(0.5 * np.log1p(snr), dtype=np.float64)


def jacobian_spectrum(
    phi: Activation, hidden_variances: Sequence[float], sigma_w2: float, weights: str
) -> JacobianSpectrum:
    """Return the whole spectrum of the squared singular values of the Jacobian.

    Parameters
    ----------
    phi
        Activation with a derivative.
    hidden_variances
        `s^l`, what the activation of each hidden layer sees, l = 1..L-1; none for one layer.
    sigma_w2
        Weight variance times fan-in, positive.
    weights
        "gaussian" or "orthogonal".

    Returns
    -------
    Spectrum
        Density, edges, atoms and an error estimate.

    Raises
    ------
    ValueError
        If an argument is out of range.
    NumericsError
        If the spectrum cannot be found.
    """
    if weights not in ("gaussian", "orthogonal"):
        raise ValueError(f"weights must be gaussian or orthogonal, not {weights!r}")
    if not (np.isfinite(sigma_w2) and sigma_w2 > 0.0):
        raise ValueError(f"sigma_w2 must be positive and finite, not {sigma_w2}")
    depth = len(hidden_variances) + 1
    slopes = phi.slope_moment(np.asarray(hidden_variances, dtype=np.float64), 1)
    squares = phi.slope_moment(np.asarray(hidden_variances, dtype=np.float64), 2)
    if not slopes.all():
        # A layer that is flat everywhere lets nothing pass.
        return JacobianSpectrum(np.empty(0), np.empty(0), np.empty(0), ((0.0, 1.0),), (), 0.0)
    laws = _laws(phi, hidden_variances)
    with np.errstate(divide="ignore"):
        log_mean = depth * math.log(sigma_w2) + float(np.sum(np.log(slopes)))
    if abs(log_mean) > math.log(LARGEST) and math.isfinite(log_mean):
        size = log_mean / math.log(10.0)
        raise NumericsError(f"the squared singular values are about 1e{size:.0f}, beyond what a spectrum is found for")
    mean = sigma_w2**depth * float(np.prod(slopes))
    relative = 1.0 + float(np.sum(squares / slopes**2 - 1.0)) + (depth if weights == "gaussian" else 0)
    return spectrum(
        laws,
        is_gaussian=weights == "gaussian",
        log_scale=depth * float(np.log(sigma_w2)),
        mean=mean,
        second_moment=relative * mean**2,
    )


def _laws(phi: Activation, variances: Sequence[float]) -> list[SlopeLaw]:
    """Return the law of each layer; layers of one variance, and all of a homogeneous activation, share an object."""
    if phi.homogeneous:
        variances = [1.0 if s > 0.0 else s for s in variances]
    different: list[float] = []
    index = []
    for s in variances:
        same = [k for k, known in enumerate(different) if abs(s - known) <= _SAME * known]
        index.append(same[0] if same else len(different))
        if not same:
            different.append(s)
    laws = [slope_law(phi, s, _CELLS) for s in different]
    return [laws[k] for k in index]


@dataclass(frozen=True, eq=False)
class IsometricWeights:
    """Standard deviations of the weights at which the mean squared singular value is 1.

    Attributes
    ----------
    sigma_w : all that were found between 0.02 and 50, increasing; empty if there is none.
    variance : variance of the squared singular values at each.
    """

    sigma_w: FloatArray
    variance: FloatArray

    @property
    def best(self) -> float:
        """The one of least variance; NaN if there is none."""
        return float(self.sigma_w[self.variance.argmin()]) if self.sigma_w.size else float("nan")

    @property
    def best_variance(self) -> float:
        """The variance there."""
        return float(self.variance.min()) if self.sigma_w.size else float("nan")


# What overflows is inf and reported as such.
@np.errstate(over="ignore", invalid="ignore")
def isometric_weights(
    phi: Activation,
    *,
    sigma_b2: float,
    depth: int,
    weights: str,
    sigma_h2: float = 0.0,
    input_variance: float = 1.0,
) -> IsometricWeights:
    """Return the standard deviations of the weights at given biases where the mean of the Jacobian's spectrum is 1.

    Parameters
    ----------
    phi
        Activation.
    sigma_b2, sigma_h2, input_variance
        Variances of biases, hidden noise and input entries.
    depth
        Number of weight matrices.
    weights
        "gaussian" or "orthogonal".

    Returns
    -------
    IsometricWeights
        Empty for an activation without derivative.
    """
    if not phi.differentiable:
        return IsometricWeights(np.empty(0), np.empty(0))

    def log_mean(sigma_w: FloatArray) -> FloatArray:
        return _moments(phi, sigma_w, sigma_b2, sigma_h2, input_variance, depth)[0]

    sigmas = np.geomspace(_LEAST_SIGMA, _LARGEST_SIGMA, _SCAN)
    heights = log_mean(sigmas)
    crossed = np.flatnonzero((heights[:-1] * heights[1:] <= 0.0) & (heights[:-1] != 0.0))
    low, high, rises = sigmas[crossed], sigmas[crossed + 1], heights[crossed + 1] > heights[crossed]
    for _ in range(_BISECTIONS if crossed.size else 0):
        middle = np.sqrt(low * high)
        is_above = (log_mean(middle) > 0.0) == rises
        low, high = np.where(is_above, low, middle), np.where(is_above, middle, high)
    found = np.sqrt(low * high)
    log_height, spread = _moments(phi, found, sigma_b2, sigma_h2, input_variance, depth)
    relative = spread + (depth if weights == "gaussian" else 0)
    return IsometricWeights(found, relative * np.exp(2.0 * log_height))


def _moments(
    phi: Activation, sigma_w: FloatArray, sigma_b2: float, sigma_h2: float, input_variance: float, depth: int
) -> tuple[FloatArray, FloatArray]:
    """Return the logarithm of the mean and the activations' part of the relative variance at the last layer."""
    w2 = sigma_w**2
    log_mean, spread = np.log(w2), np.zeros(w2.shape)
    q = w2 * input_variance + sigma_b2
    for _ in range(depth - 1):
        s = np.minimum(q + sigma_h2, _LARGEST_VARIANCE)
        # After a layer whose moments are not known nothing is.
        lost = np.isnan(s)
        s = np.where(lost, 1.0, s)
        first = np.where(lost, np.nan, phi.slope_moment(s, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            log_mean = log_mean + np.log(w2 * first)
            spread = spread + phi.slope_moment(s, 2) / first**2 - 1.0
        q = np.where(lost, np.nan, w2 * phi.second_moment(s) + sigma_b2)
    return log_mean, spread
