"""Finite random networks with norms, skips and relative noise: what is measured of plain ones, measured of these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.meanfield import Architecture, Stream, propagate, units
from mfmi.simulate._maps import JacobianSample, MapSample
from mfmi.simulate._network import blocks, draw_matrix

# Inputs from which batchnorm takes mean and variance of every neuron: a large batch, of weights that are known.
_BATCH = 4096


@dataclass(frozen=True)
class StreamLaw:
    """The law of random networks of theory (30), all layers of one width.

    Attributes
    ----------
    network : one network, its depth that of the last layer.
    weights : "gaussian" or "orthogonal".
    width : neurons of every layer.
    """

    network: Architecture
    weights: str
    width: int

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return self.network.depth

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of the input, then of every layer."""
        return (self.width,) * (self.depth + 1)

    def draw(self, rng: np.random.Generator) -> StreamNetwork:
        """Draw the weights and biases of one network."""
        return StreamNetwork(self, rng)


class Step(NamedTuple):
    """One layer of a network for some inputs.

    Attributes
    ----------
    held : what the layer holds, without noise, shape (samples, n).
    slopes : derivatives of what the next layer reads of it by what the activation sees, shape (samples, hidden).
    scale : what its norm divides by, of a shape that broadcasts to `held`.
    """

    held: FloatArray
    slopes: FloatArray
    scale: FloatArray


class Block(NamedTuple):
    """Matrices and biases of a block; `inner` is None where there is one matrix."""

    inner: FloatArray | None
    inner_bias: FloatArray
    outer: FloatArray
    bias: FloatArray


class StreamNetwork:
    """One network with norms, skips or relative noise."""

    law: StreamLaw
    hidden: FloatArray
    observed: FloatArray
    first: FloatArray
    first_bias: FloatArray
    blocks: list[Block]

    def __init__(self, law: StreamLaw, rng: np.random.Generator) -> None:
        self.law, net, n = law, law.network, law.width
        stream: Stream = propagate(net)
        unit = units(net, stream)[0]
        self.hidden = np.sqrt(stream.hidden_noise[0] / unit)
        self.observed = np.sqrt(stream.output_noise[0] / unit)
        wide = max(1, round(net.hidden_ratio * n)) if net.matrices == 2 else n
        self.first = self._matrix(n, n, net.input_sigma_w2[0], rng)
        self.first_bias = np.sqrt(net.input_sigma_b2[0]) * rng.standard_normal(n)
        self.blocks = []
        for layer in range(net.depth - 1):
            two, (outer_w2, outer_b2) = net.matrices == 2, net.outer
            inner = self._matrix(wide, n, net.sigma_w2[0, layer], rng) if two else None
            inner_bias = np.sqrt(net.sigma_b2[0, layer]) * rng.standard_normal(wide) if two else np.zeros(n)
            outer = self._matrix(n, wide, outer_w2[0, layer], rng)
            bias = np.sqrt(outer_b2[0, layer]) * rng.standard_normal(n)
            self.blocks.append(Block(inner, inner_bias, outer, bias))
        self.batch: list[tuple[FloatArray, FloatArray]] = []
        if net.is_centred:
            for step in self.steps(self.gaussian_inputs(self._batch_size(), rng), rng, learn=True):
                del step

    def _batch_size(self) -> int:
        """Inputs of the batch that batchnorm learns from."""
        return max(_BATCH, 4 * self.law.width)

    def _matrix(self, rows: int, columns: int, sigma_w2: float, rng: np.random.Generator) -> FloatArray:
        return draw_matrix(self.law.weights, rows, columns, float(np.sqrt(sigma_w2)), rng)

    def gaussian_inputs(self, samples: int, rng: np.random.Generator) -> FloatArray:
        """Draw inputs (samples, n) with independent entries of variance q_x."""
        q_x = self.law.network.input_variance[0]
        return np.asarray(np.sqrt(q_x) * rng.standard_normal((samples, self.law.width)))

    def steps(self, x: FloatArray, rng: np.random.Generator, *, learn: bool = False) -> Iterator[Step]:
        """Yield the layers for inputs of shape (samples, n); `learn` takes the statistics of batchnorm from them."""
        net = self.law.network
        h = self._through(self.first, x) + self.first_bias
        for layer, block in enumerate(self.blocks):
            seen, clean, noisy, scale = self._normed(h, layer, rng, learn)
            z = seen if block.inner is None else self._through(block.inner, seen) + block.inner_bias
            read, gain = self._after(np.asarray(net.phi(z)))
            yield Step(h, net.phi.derivative(z) * gain if net.phi.differentiable else np.full_like(z, np.nan), scale)
            carried = noisy if net.noise_in == "stream" else clean
            h = net.skip[0, layer] * carried + net.branch[0, layer] * (self._through(block.outer, read) + block.bias)
        yield Step(h, np.empty((len(h), 0)), np.ones((1, 1)))

    def _through(self, matrix: FloatArray, signal: FloatArray) -> FloatArray:
        """Signals after a matrix, of signals whose last axis is its input."""
        return np.asarray(signal @ matrix.T)

    def _normed(
        self, h: FloatArray, layer: int, rng: np.random.Generator, learn: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Input of the branch, the skip's without noise and with it, and the norm's divisor."""
        net = self.law.network
        noise = self.hidden[layer]
        error = noise * rng.standard_normal(h.shape) if noise > 0.0 else np.zeros((1, 1))
        noisy = h + error
        if not net.is_normalised or net.norm_at == "output":
            return noisy, h, noisy, np.ones((1, 1))
        relative = net.noise_scale == "relative"
        before = h if relative else noisy
        if learn:
            others = tuple(range(before.ndim - 1))
            self.batch.append((before.mean(axis=others), before.std(axis=others)))
        if net.is_centred:
            mean, scale = (part[None, :] for part in self.batch[layer])
        else:
            mean = before.mean(axis=-1, keepdims=True) if net.norm == "layernorm" else np.zeros((1, 1))
            scale = np.sqrt(np.mean(np.square(before - mean), axis=-1, keepdims=True))
        share = np.sqrt(net.hidden_noise[0, layer]) if relative else 0.0
        # Relative noise is a share of the signal itself, whose size the norm has made 1.
        after = share / noise * error if relative and noise > 0.0 else 0.0
        seen = (before - mean) / scale + after
        if net.norm_at == "stream":
            return seen, (h - mean) / scale, seen, scale
        return seen, h, noisy, scale

    def _after(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Output of the activation after its norm, and the norm's factor."""
        net = self.law.network
        if not net.is_normalised or net.norm_at != "output":
            return u, np.ones((1, 1))
        mean = u.mean(axis=-1, keepdims=True) if net.norm == "layernorm" else 0.0
        gain = 1.0 / np.sqrt(np.mean(np.square(u - mean), axis=-1, keepdims=True))
        return (u - mean) * gain, gain

    def propagate(self, x: FloatArray, rng: np.random.Generator) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield what the layers hold, without noise and as it is observed."""
        for noise, step in zip(self.observed, self.steps(x, rng), strict=True):
            yield step.held, step.held + noise * rng.standard_normal(step.held.shape)

    def observe(self, y: FloatArray, t: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return T of the network cut at this layer."""
        return t

    def slope(self, step: Step, layer: int) -> float:
        """Slope of the block after layer `layer`, from 1, averaged over neurons and inputs."""
        net, at = self.law.network, layer - 1
        inner = net.sigma_w2[0, at] if net.matrices == 2 else 1.0
        weight = net.branch[0, at] ** 2 * net.outer[0][0, at] * inner
        per_input = np.mean(step.slopes**2, axis=-1, keepdims=True)
        divided = np.mean(1.0 / step.scale**2, axis=-1, keepdims=True)
        if net.is_normalised and net.norm_at == "stream":
            return float(np.mean((net.skip[0, at] ** 2 + weight * per_input) * divided))
        return float(np.mean(net.skip[0, at] ** 2 + weight * per_input * divided))

    def jacobians(self, x: FloatArray, rng: np.random.Generator) -> Iterator[FloatArray]:
        """Yield d h^l / d x at one input of shape (1, n), the sizes that norms divide by held fixed."""
        net, post = self.law.network, self.law.network.norm_at == "stream" and self.law.network.is_normalised
        jacobian = self.first
        for layer, step in enumerate(self.steps(x, rng)):
            yield jacobian
            if layer == len(self.blocks):
                return
            block = self.blocks[layer]
            divided = jacobian / np.broadcast_to(step.scale, step.held.shape)[0][:, None]
            read = divided if block.inner is None else block.inner @ divided
            branch = block.outer @ (step.slopes[0][:, None] * read)
            jacobian = net.skip[0, layer] * (divided if post else jacobian) + net.branch[0, layer] * branch


def measure_stream_maps(
    law: StreamLaw, seed: np.random.SeedSequence, *, pairs: int = 256, correlation: float = 0.5
) -> MapSample:
    """Measure q, c and chi of one network, layer by layer, as `measure_maps` does of plain ones.

    The slope after the last layer does not exist, and is NaN.
    """
    weight_rng, input_rng = (np.random.default_rng(s) for s in seed.spawn(2))
    network = law.draw(weight_rng)
    square, product, slope = np.zeros((3, law.depth))
    slope[-1] = np.nan
    for size in blocks(pairs, 2 * law.width):
        first, other = np.split(network.gaussian_inputs(2 * size, input_rng), 2)
        both = np.concatenate([first, correlation * first + np.sqrt(1.0 - correlation**2) * other])
        for layer, step in enumerate(network.steps(both, input_rng)):
            square[layer] += np.mean(step.held**2) * size
            product[layer] += np.mean(step.held[:size] * step.held[size:]) * size
            if layer + 1 < law.depth:
                slope[layer] += network.slope(step, layer + 1) * size
    c = np.divide(product, square, out=np.full(law.depth, np.nan), where=square > 0)
    return MapSample(square / pairs, c, slope / pairs)


@dataclass(frozen=True)
class StreamJacobian:
    """Moments of the Jacobian of one network.

    Attributes
    ----------
    sample : as of plain networks.
    log_det : `ln |det J| / n` of every layer, averaged over inputs, shape (L,).
    """

    sample: JacobianSample
    log_det: FloatArray


def measure_stream_jacobian(law: StreamLaw, seed: np.random.SeedSequence, *, inputs: int = 4) -> StreamJacobian:
    """Measure moments and determinant of the Jacobian of one network, averaged over a few gaussian inputs."""
    weight_rng, input_rng = (np.random.default_rng(s) for s in seed.spawn(2))
    network = law.draw(weight_rng)
    mean, second, log_det = np.zeros((3, law.depth))
    for _ in range(inputs):
        x = network.gaussian_inputs(1, input_rng)
        for layer, jacobian in enumerate(network.jacobians(x, input_rng)):
            gram = jacobian @ jacobian.T
            mean[layer] += np.trace(gram) / law.width / inputs
            second[layer] += np.sum(gram**2) / law.width / inputs
            log_det[layer] += np.linalg.slogdet(jacobian)[1] / law.width / inputs
    return StreamJacobian(JacobianSample(mean, second), log_det)
