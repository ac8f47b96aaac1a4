"""The best linear decoder's information in one network, from sampled second moments."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import digamma

from mfmi.arguments.arrays import FloatArray
from mfmi.simulate._network import NetworkLaw, blocks
from mfmi.simulate._streams import StreamLaw

# Share of the largest singular value of the inputs below which a direction counts as absent.
_RANK = 1e-10


@dataclass(frozen=True)
class DecoderSample:
    """The best linear decoder's information in one network, each of shape (L,), nats per input dimension.

    Parameters
    ----------
    information : ndarray
        1/2 ln det Cov(T) - 1/2 ln det Cov(T | best linear estimate from x), free of the finite-sample bias of
        Gaussian samples.
    half_sample_shift : ndarray
        The same from all samples minus that from the first half of them. What bias the correction leaves is b /
        samples to leading order, so minus the mean of this estimates it.
    """

    information: FloatArray
    half_sample_shift: FloatArray


class _DecoderMoments:
    """Second moments of x and of every layer's T, block by block (Chan's update, which loses nothing to the means)."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        self.count = 0
        self.means = [np.zeros(n) for n in widths]
        self.own = [np.zeros((n, n)) for n in widths]
        self.cross = [np.zeros((n, widths[0])) for n in widths[1:]]

    def add(self, x: FloatArray, observed: Iterable[FloatArray]) -> None:
        """Add one block: x of shape (samples, n_0), then T^1, ..., T^L."""
        size = len(x)
        between = self.count * size / (self.count + size)
        x_mean = x.mean(axis=0)
        x_shift = x_mean - self.means[0]
        x_centred = x - x_mean
        for layer, t in enumerate(observed, start=1):
            t_mean = t.mean(axis=0)
            t_shift = t_mean - self.means[layer]
            t_centred = t - t_mean
            self.own[layer] += t_centred.T @ t_centred + between * np.outer(t_shift, t_shift)
            self.cross[layer - 1] += t_centred.T @ x_centred + between * np.outer(t_shift, x_shift)
            self.means[layer] += t_shift * size / (self.count + size)
        self.own[0] += x_centred.T @ x_centred + between * np.outer(x_shift, x_shift)
        self.means[0] += x_shift * size / (self.count + size)
        self.count += size

    def information(self) -> FloatArray:
        """Return the corrected information of every layer, nats per input dimension."""
        x_factor = cholesky(self.own[0], lower=True)
        inputs = len(x_factor)
        rates = []
        for own, cross in zip(self.own[1:], self.cross, strict=True):
            explained = solve_triangular(x_factor, cross.T, lower=True)
            residual = own - explained.T @ explained
            raw = _log_det(own) - _log_det(residual)
            bias = wishart_log_det(len(own), self.count - 1) - wishart_log_det(len(own), self.count - 1 - inputs)
            rates.append((raw - bias) / (2 * inputs))
        return np.array(rates)


def _log_det(matrix: FloatArray) -> float:
    return float(2 * np.log(np.diagonal(cholesky(matrix, lower=True))).sum())


def wishart_log_det(size: int, degrees: int) -> float:
    """Return E ln det S - ln det Sigma for S ~ Wishart(Sigma, degrees), Sigma of the given size.

    ln det S - ln det Sigma is a sum of ln chi^2 variables with degrees - i degrees of freedom, i = 0..size-1
    (Bartlett).
    """
    return float(digamma((degrees - np.arange(size)) / 2).sum() + size * np.log(2))


def decoder_information(inputs: FloatArray, observed: Iterable[FloatArray]) -> FloatArray:
    """Information that the best linear decoder reads from noisy layers about given inputs, corrected as above.

    Directions in which the inputs do not vary are left out. Inputs and layers count as Gaussian with the second moments
    that they have.

    Parameters
    ----------
    inputs : ndarray (N, n_0)
        One input a row.
    observed : iterable of ndarray (N, n_l)
        Layers with the noise with which they are observed, a row for each input.

    Returns
    -------
    ndarray, shape (L,)
        Nats per input dimension; NaN for a layer of so many units that N inputs do not tell.
    """
    directions, sizes, _ = np.linalg.svd(inputs - inputs.mean(axis=0), full_matrices=False)
    coordinates = directions[:, sizes > _RANK * sizes.max()] * np.sqrt(len(inputs))
    rates = []
    for t in observed:
        if len(inputs) - 1 - coordinates.shape[1] <= t.shape[1]:
            rates.append(np.nan)
            continue
        moments = _DecoderMoments((coordinates.shape[1], t.shape[1]))
        moments.add(coordinates, [t])
        rates.append(float(moments.information()[0]) * coordinates.shape[1] / inputs.shape[1])
    return np.array(rates)


def measure_decoder(
    law: NetworkLaw | StreamLaw, seed: np.random.SeedSequence, *, samples: int | None = None
) -> DecoderSample:
    """Measure the best linear decoder's information of one network cut at each of its layers, theory section 4.1.

    The scatter matrix of N samples of T and that of the residual of T's regression on x are Wishart with N - 1 and N
    - 1 - n_0 degrees of freedom when (x, T) is Gaussian, and then subtracting the two means of ln det S, exact at
    every N, leaves no bias. T is not Gaussian: the remaining bias is that of the fluctuation of T' Cov(T)^{-1} T
    beyond a Gaussian's, of order 1 / N nats per input dimension (the leading term, n / N, depends on the mean of that
    form alone, which is n whatever the law). Fixed weights and biases: the means of T, known to the observer, are
    subtracted.

    Parameters
    ----------
    law : NetworkLaw or StreamLaw
        The network's law.
    seed : numpy.random.SeedSequence
        Its branch of the seed.
    samples : int, optional
        Number of Gaussian inputs; default 3 times the sum of n_0 and the largest width, plus 12.

    Returns
    -------
    DecoderSample
        With one value per layer.
    """
    largest = law.widths[0] + max(law.widths[1:])
    if samples is None:
        samples = 3 * largest + 12
    if samples // 2 < largest + 2:
        raise ValueError(f"samples must be at least {2 * largest + 4} at these widths, got {samples!r}")
    weight_rng, input_rng = (np.random.default_rng(s) for s in seed.spawn(2))
    network = law.draw(weight_rng)
    moments = _DecoderMoments(law.widths)
    estimates = []
    for part in (samples // 2, samples - samples // 2):
        for size in blocks(part, max(law.widths)):
            x = network.gaussian_inputs(size, input_rng)
            runs = network.propagate(x, input_rng)
            moments.add(x, (network.observe(y, t, input_rng) for y, t in runs))
        estimates.append(moments.information())
    return DecoderSample(estimates[1], estimates[1] - estimates[0])
