"""The length map, the correlation map, the slope, and the Jacobian of one network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.simulate._network import NetworkLaw, blocks

if TYPE_CHECKING:
    from mfmi.simulate._convolutions import ConvolutionLaw


@dataclass(frozen=True)
class MapSample:
    """Length map, correlation map, and slope of one network, each of shape (L,), layers 1..L, theory (3)-(5).

    Parameters
    ----------
    q : ndarray
        Mean square of the pre-activation without its own noise.
    c : ndarray
        Covariance of the two runs of a pair over q; NaN where q is 0.
    chi : ndarray
        sigma_w^2 mean phi'(T^l)^2.
    """

    q: FloatArray
    c: FloatArray
    chi: FloatArray


def measure_maps(
    law: NetworkLaw | ConvolutionLaw,
    seed: np.random.SeedSequence,
    *,
    pairs: int = 256,
    correlation: float = 0.5,
    inputs: tuple[FloatArray, FloatArray] | None = None,
) -> MapSample:
    """Measure q, c, and chi of one network, layer by layer.

    Parameters
    ----------
    law : NetworkLaw
        The network's law.
    seed : numpy.random.SeedSequence
        Its branch of the seed.
    pairs : int
        Number of Gaussian input pairs, each with its own noise in both runs.
    correlation : float
        c_0 in [-1, 1], the correlation of the two inputs of a pair.
    inputs : pair of ndarray (pairs, n_0), optional
        Real inputs, the first and the second of each pair, in place of the Gaussian ones.

    Returns
    -------
    MapSample
        Averages over units, pairs, and both members of a pair.
    """
    if not -1 <= correlation <= 1:
        raise ValueError(f"correlation must lie in [-1, 1], got {correlation!r}")
    weight_rng, input_rng = (np.random.default_rng(s) for s in seed.spawn(2))
    network = law.draw(weight_rng)
    total = len(inputs[0]) if inputs is not None else pairs
    square, product, slope = np.zeros((3, law.depth))
    start = 0
    for size in blocks(total, 2 * max(law.widths)):
        if inputs is not None:
            both = np.concatenate([side[start : start + size] for side in inputs])
        else:
            first, other = np.split(network.gaussian_inputs(2 * size, input_rng), 2)
            both = np.concatenate([first, correlation * first + np.sqrt(1 - correlation**2) * other])
        start += size
        for layer, (y, t) in enumerate(network.propagate(both, input_rng)):
            square[layer] += np.mean(y**2) * size
            product[layer] += np.mean(y[:size] * y[size:]) * size
            slope[layer] += np.mean(law.activation.derivative(t) ** 2) * size
    c = np.divide(product, square, out=np.full(law.depth, np.nan), where=square > 0)
    return MapSample(square / total, c, law.sigma_w**2 * slope / total)


@dataclass(frozen=True)
class JacobianSample:
    """Moments of the squared singular values of d y^l / d x in one network, each of shape (L,), theory (21).

    Parameters
    ----------
    mean, second : ndarray
        tr(J J^T) / n_l and tr((J J^T)^2) / n_l. In one network second / mean^2 cannot exceed n_l, so the variance of
        the spectrum is found from averages of both over networks, not as an average of ratios.
    """

    mean: FloatArray
    second: FloatArray


def relative_variance(mean: FloatArray, second: FloatArray) -> FloatArray:
    """Return second / mean^2 - 1, NaN where the mean is 0."""
    return np.asarray(np.divide(second, mean**2, out=np.full(np.shape(mean), np.nan), where=mean > 0) - 1)


def measure_jacobian(law: NetworkLaw, seed: np.random.SeedSequence, *, inputs: int = 4) -> JacobianSample:
    """Measure the moments of J J^T of one network, averaged over a few Gaussian inputs, layer by layer.

    Parameters
    ----------
    law : NetworkLaw
        The network's law.
    seed : numpy.random.SeedSequence
        Its branch of the seed.
    inputs : int
        Number of inputs, each with its own Jacobian and hidden noise.

    Returns
    -------
    JacobianSample
        With one value per layer.
    """
    weight_rng, input_rng = (np.random.default_rng(s) for s in seed.spawn(2))
    network = law.draw(weight_rng)
    mean, second = np.zeros((2, inputs, law.depth))
    slopes = [np.ones((inputs, law.widths[0]))]
    for _, t in network.propagate(network.gaussian_inputs(inputs, input_rng), input_rng):
        slopes.append(law.activation.derivative(t))
    for number in range(inputs):
        jacobian = np.eye(law.widths[0])
        for layer, weight in enumerate(network.weights):
            jacobian = (weight * slopes[layer][number]) @ jacobian if layer else weight
            rows, columns = jacobian.shape
            gram = jacobian @ jacobian.T if rows <= columns else jacobian.T @ jacobian
            mean[number, layer] = np.trace(gram) / rows
            second[number, layer] = np.sum(gram**2) / rows
    return JacobianSample(mean.mean(axis=0), second.mean(axis=0))
