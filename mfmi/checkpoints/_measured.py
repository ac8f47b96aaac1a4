"""Real inputs sent through the real weights of a checkpoint, beside the theory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._layers import Layer
from mfmi.simulate import decoder_information


@dataclass(frozen=True)
class Measured:
    """Measured values of a layer.

    Attributes
    ----------
    q : mean square of a pre-activation, over inputs and units.
    c : correlation of two different inputs there, as the mean over all pairs.
    freeness : q less the biases' share, over what a matrix that is independent of its units' second moments makes of
        them; 1 where it is.
    linear : information that the best linear decoder reads, nats per input dimension; NaN where the inputs are too few.
    """

    q: float
    c: float
    freeness: float
    linear: float


def measure(
    layers: Sequence[Layer], phi: Activation, inputs: FloatArray, sigma_noise: float, in_every_layer: bool
) -> list[Measured]:
    """Send inputs through dense layers.

    Parameters
    ----------
    layers : the matrices in order, read one at a time.
    phi : the activation between them.
    inputs : a row each.
    sigma_noise : standard deviation of the noise with which a layer is observed.
    in_every_layer : whether the layers before it have that noise too.
    """
    pass_ = _Pass(phi, inputs, sigma_noise, in_every_layer)
    linear = decoder_information(inputs, pass_.observed(layers))
    return [Measured(*found, float(rate)) for found, rate in zip(pass_.moments, linear, strict=True)]


class _Pass:
    """One pass of the inputs, whose moments are kept layer by layer."""

    def __init__(self, phi: Activation, inputs: FloatArray, sigma_noise: float, in_every_layer: bool) -> None:
        self.phi, self.inputs, self.sigma_noise, self.hidden = phi, inputs, sigma_noise, in_every_layer
        self.moments: list[tuple[float, float, float]] = []

    def observed(self, layers: Sequence[Layer]) -> Iterator[FloatArray]:
        """Yield every layer with its noise, shape (N, n_l)."""
        rng = np.random.default_rng(0)
        units = np.asarray(self.inputs, dtype=np.float64)
        for layer in layers:
            weight = layer.matrices(layer.tensor.load())[0].astype(np.float64)
            bias = layer.bias({one.name: one.load() for one in layer.biases}) if layer.biases else None
            y = units @ weight.T
            own = float(np.mean(np.square(y)))
            free = float(np.mean(np.square(units))) * float(np.sum(np.square(weight))) / len(weight)
            if bias is not None:
                y += bias
            self.moments.append((*_moments(y), own / free if free > 0.0 else math.nan))
            noisy = y + self.sigma_noise * rng.standard_normal(y.shape)
            yield noisy
            units = self.phi(noisy if self.hidden else y)


def _moments(y: FloatArray) -> tuple[float, float]:
    """Mean square, and the mean over all pairs of different rows of their correlation."""
    count = len(y)
    square = float(np.mean(np.square(y)))
    # The square of the mean over all rows holds each row's product with itself as well.
    pairs = (count * float(np.mean(np.square(y.mean(axis=0)))) - square) / (count - 1.0)
    return square, pairs / square if square > 0.0 else math.nan
