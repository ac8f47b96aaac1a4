"""A pair of inputs through layers of finite width: its final distance, and how well it is distinguished under noise.

Theory (20) holds for given distances. Those of a network of width n scatter around the mean-field ones by parts of
order sqrt(depth / n), and exp(-n v / (8 sigma_o^2)) averages to far more than its value at the mean distance: with the
mean-field distances the lower bound ends above the truth from the second layer on. Given the layer before, though, the
pair of pre-activations of each neuron is Gaussian and independent, so that the law of the distance is a short Markov
chain in three numbers, which is sampled here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray

# Neurons drawn per layer and node by default: the number of chains is this over the width, within limits.
_NEURONS = 1 << 15
_FEWEST_CHAINS = 200

# Work arrays of this many elements stay in cache.
_BLOCK = 1 << 18

# Standard errors by which a sampled average is moved to the safe side.
_MARGIN = 3.0

# Expected number of hits that a sample does not miss: it misses all with probability exp(-20).
_SHOWING = 20.0


@dataclass(frozen=True)
class PairFactors:
    """Law of a pair of inputs after layers of finite width, per neuron of the observed layer.

    Attributes
    ----------
    annealed : shape (nodes, depth). The distance v at which `(1 + v / (4 sigma_o^2))^(-n/2)` is the average over
        networks of `exp(-|y_i - y_j|^2 / (8 sigma_o^2))`, on the safe (small) side.
    mean : shape (nodes, depth). The average of `|y_i - y_j|^2 / n`, on the safe (large) side.
    """

    annealed: FloatArray
    mean: FloatArray


def pair_factors(
    phi: Activation,
    norm_i: ArrayLike,
    norm_j: ArrayLike,
    distance: ArrayLike,
    *,
    sigma_w2: ArrayLike,
    sigma_b2: ArrayLike,
    noise_variance: ArrayLike,
    width: int,
    depth: int,
    weights: str = "gaussian",
    inputs: int | None = None,
    chains: int | None = None,
    seed: int = 0,
) -> PairFactors:
    """Sample pairs of inputs through the layers of random networks of finite width.

    Parameters
    ----------
    phi
        Activation.
    norm_i, norm_j, distance
        `|x_i|^2 / n_0`, `|x_j|^2 / n_0` and `|x_i - x_j|^2 / n_0`; they broadcast with the variances to (nodes,).
    sigma_w2, sigma_b2, noise_variance
        Variances of weights (times fan-in), biases and output noise.
    width
        n, units in every layer.
    depth
        Number of layers; each is treated as the observed one in turn.
    weights
        "gaussian" or "orthogonal".
    inputs
        n_0, which matters for orthogonal weights only; by default n.
    chains
        Independent networks per node, by default such that errors stay small at bounded cost. All nodes see the same
        random numbers, so that results vary smoothly from node to node.
    seed
        Of the random numbers.

    Returns
    -------
    PairFactors
        Exact for gaussian weights at layer 1. Beyond it averages are moved by three standard errors; and where the
        average is too small for the sample to show it, it is that of a gamma law with the sample's mean and variance,
        whose lower tail is heavier than that of a product of independent layers.
    """
    if width < 1 or depth < 1 or (inputs is not None and inputs < 1):
        raise ValueError(f"width, depth and inputs must be at least 1, not {width}, {depth} and {inputs}")
    if weights not in ("gaussian", "orthogonal"):
        raise ValueError(f"weights must be gaussian or orthogonal, not {weights!r}")
    values = (norm_i, norm_j, distance, sigma_w2, sigma_b2, noise_variance)
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in values))
    count = chains or max(_FEWEST_CHAINS, _NEURONS // width)
    nodes = columns[0].size
    annealed, mean = np.empty((2, nodes, depth))
    block = max(1, _BLOCK // (count * width))
    for start in range(0, nodes, block):
        rows = slice(start, start + block)
        part = [column[rows, None] for column in columns]
        chain = _FactorChain(phi, part, width, inputs or width, count, seed, is_orthogonal=weights == "orthogonal")
        for layer in range(depth):
            annealed[rows, layer], mean[rows, layer] = chain.observe()
            if layer + 1 < depth:
                chain.advance()
    return PairFactors(annealed, mean)


class _FactorChain:
    """Three numbers per node and network: the norms `p_i`, `p_j` and the distance `v` of `W x`, all per neuron."""

    def __init__(
        self,
        phi: Activation,
        columns: Sequence[FloatArray],
        width: int,
        inputs: int,
        count: int,
        seed: int,
        *,
        is_orthogonal: bool,
    ) -> None:
        norm_i, norm_j, distance, self.sigma_w2, self.sigma_b2, self.noise_variance = columns
        self.p_i, self.p_j, self.v = self.sigma_w2 * norm_i, self.sigma_w2 * norm_j, self.sigma_w2 * distance
        self.phi, self.width, self.fan_in, self.count = phi, width, inputs, count
        self.is_orthogonal = is_orthogonal
        self.generator, self.projections = np.random.default_rng(seed).spawn(2)

    def observe(self) -> tuple[FloatArray, FloatArray]:
        """Return the annealed and the mean distance if this layer is the observed one."""
        v = self.v
        if self.is_orthogonal and self.fan_in > self.width:
            v = v * self._projected_share()
        mean = v.mean(axis=1)
        scatter = np.divide(v.std(axis=1), mean, out=np.zeros_like(mean), where=mean > 0.0) ** 2
        mean_safe = mean * (1.0 + _MARGIN * np.sqrt(scatter / v.shape[1]))  # layer 1 has one exact value, no scatter
        noise = self.noise_variance[:, 0]
        n = self.width
        if self.is_orthogonal:
            exponent = n * v / (8.0 * self.noise_variance)
            total_scatter = scatter
        else:
            exponent = 0.5 * n * np.log1p(v / (4.0 * self.noise_variance))
            total_scatter = (1.0 + 2.0 / n) * (1.0 + scatter) - 1.0
        gamma = _log_gamma_average(n * mean / (8.0 * noise), total_scatter)
        # An average of numbers in [0, 1] above this would have shown in the sample.
        unseen = np.minimum(gamma, np.log(_SHOWING / v.shape[1])) if v.shape[1] > 1 else gamma
        log_factor = np.maximum(_log_average(exponent), unseen)
        return 4.0 * noise * np.expm1(-2.0 / n * log_factor), mean_safe

    def advance(self) -> None:
        """Go through the activation and the next weight matrix."""
        first, second = self._frame()
        biases = self.generator.standard_normal((self.count, self.width)) if self.is_orthogonal else None
        shared = 0.0 if self.is_orthogonal else self.sigma_b2
        r_i, r_j = np.sqrt(self.p_i + shared), np.sqrt(self.p_j + shared)
        product = r_i * r_j
        gap = np.divide(self.v - (r_i - r_j) ** 2, 2.0 * product, out=np.zeros_like(self.v), where=product > 0.0)
        gap = np.clip(gap, 0.0, 2.0)[..., None]  # 1 - cosine of the angle between the two
        sine = np.sqrt(gap * (2.0 - gap))
        u = r_i[..., None] * first
        w = r_j[..., None] * ((1.0 - gap) * first + sine * second)
        if biases is not None:
            offset = np.sqrt(self.sigma_b2)[..., None] * biases
            u, w = u + offset, w + offset
        out_i, out_j = self.phi(u), self.phi(w)
        self.p_i = self.sigma_w2 * np.mean(out_i**2, axis=-1)
        self.p_j = self.sigma_w2 * np.mean(out_j**2, axis=-1)
        self.v = self.sigma_w2 * np.mean((out_i - out_j) ** 2, axis=-1)
        self.fan_in = self.width

    def _frame(self) -> tuple[FloatArray, FloatArray]:
        """Draw the directions of the pair after a weight matrix, shape (networks, width) each."""
        size = max(self.width, self.fan_in) if self.is_orthogonal else self.width
        first, second = self.generator.standard_normal((2, self.count, size))
        if self.is_orthogonal:
            first *= np.sqrt(size) / np.linalg.norm(first, axis=1, keepdims=True)
            second -= np.mean(first * second, axis=1, keepdims=True) * first
            second *= np.sqrt(size) / np.maximum(np.linalg.norm(second, axis=1, keepdims=True), 1e-300)
        return first[:, : self.width], second[:, : self.width]

    def _projected_share(self) -> FloatArray:
        """Draw the share of a squared length that a matrix with fewer rows than columns keeps, times n_0 / n."""
        rest = self.fan_in - self.width
        kept = self.projections.beta(0.5 * self.width, 0.5 * rest, size=(1, self.count))
        return np.asarray(kept * (self.fan_in / self.width), dtype=np.float64)


def _log_average(exponent: FloatArray) -> FloatArray:
    """Return the logarithm of the average of `exp(-exponent)` over axis 1, plus standard errors, at most 0."""
    least = exponent.min(axis=1)
    shares = np.exp(least[:, None] - exponent)
    margin = _MARGIN * shares.std(axis=1) / np.sqrt(shares.shape[1])
    return np.asarray(np.minimum(np.log(shares.mean(axis=1) + margin) - least, 0.0))


def _log_gamma_average(mean: FloatArray, scatter: FloatArray) -> FloatArray:
    """Return the logarithm of `E exp(-X)` for a gamma variable of that mean and relative variance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_average = -np.log1p(mean * scatter) / scatter
    return np.where(mean * scatter > 1e-12, log_average, -mean)
