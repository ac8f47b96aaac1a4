"""One network and the inputs of a data set, all equally likely: the information of its layers, without Gaussian inputs.

The law of the inputs is known exactly, so that second moments over them are sums and not estimates, and the density of
the noisy layer is a mixture of as many Gaussians as there are inputs.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from mfmi.arguments.arrays import FloatArray
from mfmi.simulate._network import BLOCK_ELEMENTS, NetworkLaw

_RANK = 1e-10
"""Share of the largest singular value of the inputs below which a direction counts as absent."""


@dataclass(frozen=True)
class RealInputSample:
    """Information of every layer of one network about the inputs of a data set, each of shape (L,), total nats.

    Parameters
    ----------
    linear : ndarray
        What the best linear decoder would get out of the layer if inputs and layer were Gaussian with the second
        moments that they have.
    total : ndarray
        The information about which input it was, at most the logarithm of their number.
    total_error : ndarray
        Its standard error, from the noise drawn.
    """

    linear: FloatArray
    total: FloatArray
    total_error: FloatArray


def measure_real_inputs(
    law: NetworkLaw, inputs: FloatArray, seed: np.random.SeedSequence, *, with_total: bool = True
) -> RealInputSample:
    """Send every input through one network and measure the information of each of its layers.

    Parameters
    ----------
    law : NetworkLaw
        The network's law, with noise at the output.
    inputs : ndarray (N, n_0)
        One input a row.
    seed : numpy.random.SeedSequence
        Its branch of the seed.
    with_total : bool
        Whether to estimate the total information too, whose cost grows with the square of N; else it is NaN.

    Returns
    -------
    RealInputSample
        With one value per layer.

    Raises
    ------
    ValueError
        If hidden layers have noise, or the inputs do not fit the network.
    """
    if law.noise_at != "output":
        raise ValueError("noise_at must be 'output': what hidden noise does to a mixture has no closed form")
    if inputs.ndim != 2 or inputs.shape[1] != law.widths[0] or len(inputs) < 2:
        raise ValueError(f"inputs must be a table of {law.widths[0]} columns, not of shape {inputs.shape}")
    weight_rng, noise_rng = (np.random.default_rng(s) for s in seed.spawn(2))
    network, variance = law.draw(weight_rng), law.sigma_noise**2
    layers = [y for y, _ in network.propagate(inputs, noise_rng)]
    total, total_error = np.full((2, law.depth), np.nan)
    if with_total:
        total, total_error = np.array([_information_of_mixture(y, variance, noise_rng) for y in layers]).T
    return RealInputSample(_decoder_information(inputs, layers, variance), total, total_error)


def _decoder_information(inputs: FloatArray, layers: list[FloatArray], variance: float) -> FloatArray:
    """Return `(ln det Cov(T) - ln det Cov(T | best linear estimate)) / 2` of every layer, total nats."""
    directions, sizes, _ = np.linalg.svd(inputs - inputs.mean(axis=0), full_matrices=False)
    basis = directions[:, sizes > _RANK * sizes.max()]
    found = []
    for y in layers:
        centred = y - y.mean(axis=0)
        rest = centred - basis @ (basis.T @ centred)
        log_dets = [
            np.linalg.slogdet(np.eye(y.shape[1]) + part.T @ part / (len(y) * variance))[1] for part in (centred, rest)
        ]
        found.append(0.5 * (log_dets[0] - log_dets[1]))
    return np.array(found)


def _information_of_mixture(outputs: FloatArray, variance: float, rng: np.random.Generator) -> tuple[float, float]:
    """Estimate the information about which row of `outputs` it was from one noisy copy of each, with its error."""
    count = len(outputs)
    noise = np.sqrt(variance) * rng.standard_normal(outputs.shape)
    norms = np.sum(outputs**2, axis=1)
    own = np.sum(noise**2, axis=1)
    values = np.empty(count)
    block = max(1, BLOCK_ELEMENTS // count)
    for start in range(0, count, block):
        rows = slice(start, start + block)
        observed = outputs[rows] + noise[rows]
        distances = np.sum(observed**2, axis=1)[:, None] + norms - 2.0 * observed @ outputs.T
        log_density = logsumexp((own[rows, None] - distances) / (2.0 * variance), axis=1)
        values[rows] = np.log(count) - log_density
    return float(values.mean()), float(values.std() / np.sqrt(count))
