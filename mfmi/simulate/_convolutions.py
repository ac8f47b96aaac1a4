"""Finite random convolutions: the oracle for theory (40)-(41)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from mfmi.arguments.arrays import FloatArray
from mfmi.networks.convolution import Convolution
from mfmi.networks.weights import Weights
from mfmi.simulate._decoder import DecoderSample, wishart_log_det
from mfmi.simulate._network import NetworkLaw, Nonlinearity, blocks, draw_matrix, gaussian_matrix

if TYPE_CHECKING:
    from mfmi.simulate._convolution_streams import ConvolutionStreamLaw

ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class ConvolutionLaw:
    """The law of networks of circular convolutions, stride 1.

    Attributes
    ----------
    channels : the law of the network with its widths in channels.
    convolution : its positions, and how their inputs are correlated.
    kernel : taps of a gaussian kernel along each axis, at most as many as there are positions. Others have one: a
        matrix between channels, the same at all positions.
    """

    channels: NetworkLaw
    convolution: Convolution
    kernel: int = 3

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return self.channels.depth

    @property
    def activation(self) -> Nonlinearity:
        """The activation, as a network's law has it."""
        return self.channels.activation

    @property
    def sigma_w(self) -> float:
        """The standard deviation of the weights, times the root of the fan-in."""
        return self.channels.sigma_w

    @property
    def channel_widths(self) -> tuple[int, ...]:
        """Channels of the input, then of every layer."""
        return self.channels.widths

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers in the input and in every layer: channels times positions."""
        return tuple(self.convolution.count * width for width in self.channels.widths)

    def draw(self, rng: np.random.Generator) -> ConvolutionNetwork:
        """Draw kernels and biases of one network."""
        return ConvolutionNetwork(self, rng)


def kernel_waves(
    convolution: Convolution, kernel: int, rows: int, columns: int, sigma_w: float, rng: np.random.Generator
) -> Any:
    """Draw a gaussian kernel of so many taps along each axis; its matrix between channels at every frequency."""
    axes = convolution.positions
    taps = np.zeros((*axes, rows, columns))
    reach = [range(min(kernel, count)) for count in axes]
    many = np.sqrt(np.prod([len(one) for one in reach]))
    for place in product(*reach):
        taps[place] = gaussian_matrix(rows, columns, sigma_w / float(many), rng)
    return np.fft.fftn(taps, axes=tuple(range(len(axes)))).reshape(-1, rows, columns)


class ConvolutionNetwork:
    """One network of convolutions; its inputs and layers are rows of channels times positions, positions last."""

    law: ConvolutionLaw
    kernels: list[ComplexArray | FloatArray]
    biases: list[FloatArray]

    def __init__(self, law: ConvolutionLaw, rng: np.random.Generator) -> None:
        self.law, own = law, law.channels
        known = own.weights if isinstance(own.weights, Weights) else Weights((own.weights,))
        self.kernels = []
        for layer, (columns, rows) in enumerate(pairwise(own.widths), start=1):
            if known.at(layer) == "gaussian":
                self.kernels.append(kernel_waves(law.convolution, law.kernel, rows, columns, own.sigma_w, rng))
            else:
                matrix = draw_matrix(known.at(layer), rows, columns, own.sigma_w, rng)
                self.kernels.append(np.broadcast_to(matrix, (law.convolution.count, rows, columns)))
        self.biases = [own.sigma_b * rng.standard_normal(rows) for rows in own.widths[1:]]

    def _waves(self, values: FloatArray) -> ComplexArray:
        """Fourier transform over the positions, the last axes, as one."""
        axes = tuple(range(-len(self.law.convolution.positions), 0))
        found = np.fft.fftn(values, axes=axes)
        return np.asarray(found.reshape(*values.shape[: values.ndim - len(axes)], -1))

    def gaussian_inputs(self, samples: int, rng: np.random.Generator) -> FloatArray:
        """Draw inputs (samples, channels * positions), entries of variance q_x, correlated over the positions."""
        convolution, own = self.law.convolution, self.law.channels
        x = rng.standard_normal((samples, own.widths[0], *convolution.positions))
        root = np.sqrt(own.input_variance * convolution.eigenvalues)
        return self._places(self._waves(x) * root).reshape(samples, -1)

    def _places(self, waves: ComplexArray) -> FloatArray:
        positions = self.law.convolution.positions
        shaped = waves.reshape(*waves.shape[:-1], *positions)
        return np.asarray(np.fft.ifftn(shaped, axes=tuple(range(-len(positions), 0))).real)

    def propagate(self, x: FloatArray, rng: np.random.Generator) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield what `simulate.Network.propagate` does, in rows of channels times positions."""
        own, count = self.law.channels, self.law.convolution.count
        signal = x
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            shaped = signal.reshape(len(x), -1, *self.law.convolution.positions)
            waves = self._waves(shaped).transpose(2, 0, 1) @ kernel.swapaxes(1, 2)
            y = self._places(waves.transpose(1, 2, 0)).reshape(len(x), len(bias), count) + bias[:, None]
            y = y.reshape(len(x), -1)
            t = y + own.sigma_hidden * rng.standard_normal(y.shape) if own.sigma_hidden > 0 else y
            yield y, t
            signal = own.activation(t)

    def observe(self, y: FloatArray, t: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return T of the network cut at this layer."""
        own = self.law.channels
        return t if own.sigma_hidden > 0 else y + own.sigma_noise * rng.standard_normal(y.shape)

    def by_frequency(self, values: FloatArray) -> ComplexArray:
        """Rows of channels times positions as frequencies of channels, shape (F, samples, channels)."""
        waves = self._waves(values.reshape(len(values), -1, *self.law.convolution.positions))
        return np.asarray(waves.transpose(2, 0, 1) / np.sqrt(self.law.convolution.count))


def frequencies(positions: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.bool_], FloatArray]:
    """One of each pair of conjugate frequencies, whether it is its own, and the share of all that it stands for."""
    places = np.indices(positions).reshape(len(positions), -1)
    mirrored = np.ravel_multi_index([-one % count for one, count in zip(places, positions, strict=True)], positions)
    number = np.arange(places.shape[1])
    chosen = np.flatnonzero(number <= mirrored)
    alone = chosen == mirrored[chosen]
    return chosen, alone, np.where(alone, 1.0, 2.0) / len(number)


def measure_convolution_decoder(
    law: ConvolutionLaw | ConvolutionStreamLaw, seed: np.random.SeedSequence, *, samples: int | None = None
) -> DecoderSample:
    """Measure the best linear decoder's information in one network of convolutions, layer by layer.

    Inputs and layers are stationary over the positions, and their second moments block diagonal in frequency: each
    frequency has a decoder of its own.

    Parameters
    ----------
    law, seed, samples : as of `measure_decoder`, the number of units being that of channels.

    Returns
    -------
    DecoderSample
        Nats per input dimension.
    """
    widths = law.channel_widths
    largest = widths[0] + max(widths[1:])
    samples = 3 * largest + 12 if samples is None else samples
    if samples // 2 < largest + 2:
        raise ValueError(f"samples must be at least {2 * largest + 4} at these widths, got {samples!r}")
    weight_rng, input_rng = (np.random.default_rng(s) for s in seed.spawn(2))
    network = law.draw(weight_rng)
    moments = _Moments(law)
    estimates = []
    for part in (samples // 2, samples - samples // 2):
        for size in blocks(part, max(law.widths)):
            x = network.gaussian_inputs(size, input_rng)
            runs = network.propagate(x, input_rng)
            observed = (network.observe(y, t, input_rng) for y, t in runs)
            moments.add(network.by_frequency(x), map(network.by_frequency, observed))
        estimates.append(moments.information())
    return DecoderSample(estimates[1], estimates[1] - estimates[0])


class _Moments:
    """Second moments of the input and of every layer at every frequency.

    The mean over the inputs is 0 but at the frequency 0, and is taken off there.
    """

    def __init__(self, law: ConvolutionLaw | ConvolutionStreamLaw) -> None:
        self.chosen, self.alone, self.share = frequencies(law.convolution.positions)
        self.heard = law.convolution.eigenvalues[self.chosen] > 0.0
        sizes, count = law.channel_widths, len(self.chosen)
        self.count = 0
        self.means = [np.zeros((count, n), dtype=complex) for n in sizes]
        self.own = [np.zeros((count, n, n), dtype=complex) for n in sizes]
        self.cross = [np.zeros((count, n, sizes[0]), dtype=complex) for n in sizes[1:]]

    def add(self, x: ComplexArray, observed: Iterable[ComplexArray]) -> None:
        """Add a block: frequencies of the inputs, then of the layers, each of shape (P, samples, channels)."""
        x = x[self.chosen]
        self.count += x.shape[1]
        for layer, values in enumerate((x, *(one[self.chosen] for one in observed))):
            self.means[layer] += values.sum(axis=1)
            self.own[layer] += values.swapaxes(1, 2) @ values.conj()
            if layer:
                self.cross[layer - 1] += values.swapaxes(1, 2) @ x.conj()

    def information(self) -> FloatArray:
        """Return the corrected information of every layer, nats per input dimension."""
        inputs = self.own[0].shape[1]
        input_mean = self.means[0]
        spread = self.own[0] - _outer(input_mean, input_mean) / self.count
        rates = []
        for own, cross, mean in zip(self.own[1:], self.cross, self.means[1:], strict=True):
            total = own - _outer(mean, mean) / self.count
            both = cross - _outer(mean, input_mean) / self.count
            rate = np.zeros(len(self.chosen))
            for f in np.flatnonzero(self.heard):
                left = total[f] - both[f] @ np.linalg.solve(spread[f], both[f].conj().T)
                raw = float(np.linalg.slogdet(total[f])[1] - np.linalg.slogdet(left)[1])
                rate[f] = (raw - self._bias(len(left), inputs, bool(self.alone[f]))) / (2 * inputs)
            rates.append(float(rate @ self.share))
        return np.array(rates)

    def _bias(self, size: int, inputs: int, alone: bool) -> float:
        """Bias that sampling adds to the difference of the logarithms, of a real or of a complex frequency."""
        degrees = self.count - 1
        if alone:
            return wishart_log_det(size, degrees) - wishart_log_det(size, degrees - inputs)
        places = np.arange(size)
        return float(digamma(degrees - places).sum() - digamma(degrees - inputs - places).sum())


def _outer(one: ComplexArray, other: ComplexArray) -> ComplexArray:
    return one[:, :, None] * other.conj()[:, None, :]
