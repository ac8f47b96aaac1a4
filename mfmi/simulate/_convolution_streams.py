"""Finite random convolutions with norms, skips and relative noise: theory (40)-(41) with (24)-(37)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.networks.convolution import Convolution
from mfmi.simulate._convolutions import kernel_waves
from mfmi.simulate._streams import StreamLaw, StreamNetwork

ComplexArray = NDArray[np.complex128]
# Inputs of a batch at least, however many positions each has.
_FEWEST = 64


@dataclass(frozen=True)
class ConvolutionStreamLaw(StreamLaw):
    """The law of such networks, `width` being that of channels.

    Norms are over the channels at every position; batchnorm takes mean and variance of every channel over inputs and
    positions.

    Attributes
    ----------
    convolution : its positions, and how their inputs are correlated.
    kernel : taps of gaussian kernels along each axis; orthogonal ones have one.
    """

    convolution: Convolution
    kernel: int = 3

    @property
    def channel_widths(self) -> tuple[int, ...]:
        """Channels of the input, then of every layer."""
        return (self.width,) * (self.depth + 1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers in the input and in every layer: channels times positions."""
        return tuple(self.convolution.count * width for width in self.channel_widths)

    def draw(self, rng: np.random.Generator) -> ConvolutionStreamNetwork:
        """Draw kernels and biases of one network."""
        return ConvolutionStreamNetwork(self, rng)


class ConvolutionStreamNetwork(StreamNetwork):
    """One such network; its inputs and layers have the shape (samples, positions, channels)."""

    law: ConvolutionStreamLaw  # pyright: ignore[reportIncompatibleVariableOverride]

    def _matrix(self, rows: int, columns: int, sigma_w2: float, rng: np.random.Generator) -> FloatArray:
        """A matrix between channels or, of gaussian weights, one of every frequency."""
        law = self.law
        if law.weights != "gaussian":
            return super()._matrix(rows, columns, sigma_w2, rng)
        # Complex, which the arrays of a dense network are not.
        waves: FloatArray = kernel_waves(law.convolution, law.kernel, rows, columns, float(np.sqrt(sigma_w2)), rng)
        return waves

    def _through(self, matrix: FloatArray, signal: FloatArray) -> FloatArray:
        """Signals after a kernel, by their frequencies."""
        if matrix.ndim == 2:
            return super()._through(matrix, signal)
        waves = self._waves(signal).swapaxes(0, 1) @ matrix.swapaxes(1, 2)
        return self._places(waves.swapaxes(0, 1))

    def _waves(self, values: FloatArray) -> ComplexArray:
        """Fourier transform over the positions, the second axis."""
        return np.asarray(np.fft.fftn(self._shaped(values), axes=self._axes).reshape(values.shape))

    def _places(self, waves: ComplexArray) -> FloatArray:
        return np.asarray(np.fft.ifftn(self._shaped(waves), axes=self._axes).real.reshape(waves.shape))

    def _shaped(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        return values.reshape(len(values), *self.law.convolution.positions, values.shape[-1])

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(1, len(self.law.convolution.positions) + 1))

    def _batch_size(self) -> int:
        # Every position is one more sample, though not an independent one.
        return max(super()._batch_size() // self.law.convolution.count, _FEWEST)

    def gaussian_inputs(self, samples: int, rng: np.random.Generator) -> FloatArray:
        """Draw inputs (samples, positions, channels), entries of variance q_x, correlated over the positions."""
        convolution = self.law.convolution
        x = rng.standard_normal((samples, convolution.count, self.law.width))
        root = np.sqrt(self.law.network.input_variance[0] * convolution.eigenvalues)
        return self._places(self._waves(x) * root[:, None])

    def by_frequency(self, values: FloatArray) -> ComplexArray:
        """Inputs or layers as frequencies of channels, shape (F, samples, channels)."""
        return np.asarray(self._waves(values).swapaxes(0, 1) / np.sqrt(self.law.convolution.count))
