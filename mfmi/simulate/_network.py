"""The random network of theory (1), at finite width."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.networks.spectrum import WeightSpectrum
from mfmi.networks.weights import Weights

BLOCK_ELEMENTS = 1 << 18
"""Samples times units in one block, 2 MB an array, so that many samples need no more memory than a few."""


class Nonlinearity(Protocol):
    """Interface of an activation in a finite network: phi and phi', elementwise."""

    def __call__(self, u: FloatArray, /) -> FloatArray:
        """Return phi(u)."""
        ...

    def derivative(self, u: FloatArray, /) -> FloatArray:
        """Return phi'(u)."""
        ...


@dataclass(frozen=True)
class NetworkLaw:
    """The law of the random network of theory (1).

    Parameters
    ----------
    activation : Nonlinearity
        phi with its derivative, elementwise on float64 arrays; picklable where several processes are used.
    widths : tuple of int
        n_0, n_1, ..., n_L: the input dimension, then one width per layer.
    sigma_w, sigma_b : float
        Standard deviations of sqrt(n_{l-1}) W_ij and of b_i.
    sigma_noise : float
        Standard deviation of the noise of the observed layer, sigma_o.
    noise_at : {"output", "every"}
        Whether the layers below the observed one carry no noise, or the same.
    weights : {"gaussian", "orthogonal"} or Weights
        Independent entries, or Haar, or an ensemble per layer; all with E[W_ij^2] = sigma_w^2 / n_{l-1}.
    input_variance : float
        q_x, the variance of the Gaussian input's entries.
    """

    activation: Nonlinearity
    widths: tuple[int, ...]
    sigma_w: float
    sigma_b: float = 0.0
    sigma_noise: float = 0.1
    noise_at: Literal["output", "every"] = "output"
    weights: Literal["gaussian", "orthogonal"] | Weights = "gaussian"
    input_variance: float = 1.0

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"widths must hold n_0 and at least one layer, all positive, got {self.widths!r}")
        if self.noise_at not in ("output", "every"):
            raise ValueError(f"noise_at must be 'output' or 'every', got {self.noise_at!r}")
        if not isinstance(self.weights, Weights) and self.weights not in ("gaussian", "orthogonal"):
            raise ValueError(f"weights must be 'gaussian' or 'orthogonal', got {self.weights!r}")
        for name in ("sigma_w", "sigma_b"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)!r}")
        for name in ("sigma_noise", "input_variance"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be finite and positive, got {getattr(self, name)!r}")

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return len(self.widths) - 1

    @property
    def sigma_hidden(self) -> float:
        """Standard deviation of the noise of a layer that is not observed, sigma_h."""
        return self.sigma_noise if self.noise_at == "every" else 0.0

    def draw(self, rng: np.random.Generator) -> "Network":
        """Draw the weights and biases of one network."""
        known = self.weights if isinstance(self.weights, Weights) else Weights((self.weights,))
        weights = tuple(
            draw_matrix(known.at(layer), rows, columns, self.sigma_w, rng)
            for layer, (columns, rows) in enumerate(pairwise(self.widths), start=1)
        )
        biases = tuple(self.sigma_b * rng.standard_normal(rows) for rows in self.widths[1:])
        return Network(self, weights, biases)


def gaussian_matrix(rows: int, columns: int, sigma_w: float, rng: np.random.Generator) -> FloatArray:
    """Draw independent Gaussian entries of variance sigma_w^2 / columns."""
    return np.asarray(rng.standard_normal((rows, columns)) * (sigma_w / np.sqrt(columns)))


def orthogonal_matrix(rows: int, columns: int, sigma_w: float, rng: np.random.Generator) -> FloatArray:
    """Draw a Haar matrix with E[W_ij^2] = sigma_w^2 / columns, all its nonzero singular values equal.

    The squared Frobenius norm is rows sigma_w^2, shared by min(rows, columns) equal squared singular values, each
    therefore sigma_w^2 max(1, rows / columns). The QR factor of a Gaussian matrix is Haar once R's diagonal is made
    positive.
    """
    frame, triangle = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    frame = frame * np.sign(np.diagonal(triangle))
    scale = sigma_w * np.sqrt(max(1.0, rows / columns))
    return np.asarray(scale * (frame if rows >= columns else frame.T))


def spectrum_matrix(
    spectrum: WeightSpectrum, rows: int, columns: int, sigma_w: float, rng: np.random.Generator
) -> FloatArray:
    """Draw a matrix of Haar singular vectors whose squared singular values are quantiles of a spectrum.

    Their mean over the narrower side is sigma_w^2 max(1, rows / columns), as `orthogonal_matrix` has them.
    """
    few = min(rows, columns)
    gains = np.sqrt(spectrum.quantiles(rows / columns, few))
    left = orthogonal_matrix(rows, few, 1.0, rng)
    return np.asarray((left * gains) @ orthogonal_matrix(few, columns, sigma_w, rng))


def draw_matrix(
    ensemble: str | WeightSpectrum, rows: int, columns: int, sigma_w: float, rng: np.random.Generator
) -> FloatArray:
    """Draw a weight matrix of the ensemble."""
    if isinstance(ensemble, WeightSpectrum):
        return spectrum_matrix(ensemble, rows, columns, sigma_w, rng)
    draw = gaussian_matrix if ensemble == "gaussian" else orthogonal_matrix
    return draw(rows, columns, sigma_w, rng)


@dataclass(frozen=True)
class Network:
    """One network: a law and what was drawn from it.

    Parameters
    ----------
    law : NetworkLaw
        What it was drawn from.
    weights : tuple of ndarray (n_l, n_{l-1})
        W^1, ..., W^L.
    biases : tuple of ndarray (n_l,)
        b^1, ..., b^L.
    """

    law: NetworkLaw
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]

    def propagate(self, x: FloatArray, rng: np.random.Generator) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield (y^l, T^l) of shape (samples, n_l) for l = 1..L, T^l with the noise of a hidden layer.

        With output noise T^l is y^l itself: a network cut at layer l adds its observation noise to what is yielded.
        """
        signal, law = x, self.law
        for weight, bias in zip(self.weights, self.biases, strict=True):
            y = signal @ weight.T + bias
            t = y + law.sigma_hidden * rng.standard_normal(y.shape) if law.sigma_hidden > 0 else y
            yield y, t
            signal = law.activation(t)

    def observe(self, y: FloatArray, t: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return T of the network cut at this layer: noise on y, which with noise in every layer is already in t."""
        return t if self.law.sigma_hidden > 0 else y + self.law.sigma_noise * rng.standard_normal(y.shape)

    def gaussian_inputs(self, samples: int, rng: np.random.Generator) -> FloatArray:
        """Draw inputs (samples, n_0) with independent entries of variance q_x."""
        return np.asarray(np.sqrt(self.law.input_variance) * rng.standard_normal((samples, self.law.widths[0])))


def blocks(samples: int, width: int) -> Iterable[int]:
    """Cut a number of samples into blocks of bounded memory; the cut depends on the width alone."""
    size = max(1, BLOCK_ELEMENTS // width)
    return (min(size, samples - start) for start in range(0, samples, size))


def network_seed(seed: int, width: int, network: int) -> np.random.SeedSequence:
    """Return the branch of the seed that belongs to one network; adding networks or widths changes no other branch."""
    return np.random.SeedSequence(seed, spawn_key=(width, network))
