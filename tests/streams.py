"""Residual and normalised networks as the tests ask for them, and finite ones beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mfmi.activations import get
from mfmi.meanfield import Architecture, propagate
from mfmi.simulate._decoder import wishart_log_det
from mfmi.simulate._network import draw_matrix

Array = np.ndarray
REFERENCE = json.loads((Path(__file__).parent / "data" / "streams.json").read_text())


def architecture(case: dict[str, Any]) -> Architecture:
    """The network of a reference case; hidden noise that is relative beside an output noise that is not is made so."""
    settings = dict(case["settings"])
    share = settings.pop("relative_hidden_noise", None)
    phi, depth = get(case["activation"]), case["depth"]
    if share is None:
        return Architecture.of(phi, depth, **settings)
    settings |= {"noise_scale": "relative", "hidden_noise": share}
    q = propagate(Architecture.of(phi, depth, **settings)).path.q[0, -1]
    return Architecture.of(phi, depth, **settings | {"output_noise": settings["output_noise"] / q})


@dataclass
class FiniteStream:
    """A sampled residual network of one kind: layers of `n` neurons, one or two matrices per branch.

    Of pre-norm networks the norm is `sqrt(q)` of the mean field or, with `exact_norm`, that of every input.
    """

    network: Architecture
    weights: str
    n: int
    seed: int

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        net = self.network
        self.stream = propagate(net)
        self.first = self._matrix(self.n, self.n, net.input_sigma_w2[0])
        self.first_bias = self._bias(self.n, net.input_sigma_b2[0])
        self.blocks = []
        for layer in range(net.depth - 1):
            wide = round(net.hidden_ratio * self.n) if net.matrices == 2 else self.n
            inner = self._matrix(wide, self.n, net.sigma_w2[0, layer]) if net.matrices == 2 else None
            outer_w, outer_b = net.outer
            outer = self._matrix(self.n, wide, outer_w[0, layer])
            inner_bias = self._bias(wide, net.sigma_b2[0, layer]) if net.matrices == 2 else None
            self.blocks.append((inner, inner_bias, outer, self._bias(self.n, outer_b[0, layer])))

    def _matrix(self, rows: int, columns: int, sigma_w2: float) -> Array:
        return draw_matrix(self.weights, rows, columns, float(np.sqrt(sigma_w2)), self.rng)

    def _bias(self, rows: int, sigma_b2: float) -> Array:
        return np.sqrt(sigma_b2) * self.rng.standard_normal(rows)

    def observe(self, x: Array) -> Array:
        """The noisy last layer for inputs of shape (samples, n)."""
        h = self.last_layer(x)
        return h + np.sqrt(self.stream.output_noise[0, -1]) * self.rng.standard_normal(h.shape)

    def last_layer(self, x: Array) -> Array:
        """The last layer with the noise of the layers before it."""
        net, noise = self.network, self.stream.hidden_noise[0]
        h = x @ self.first.T + self.first_bias
        for layer, (inner, inner_bias, outer, bias) in enumerate(self.blocks):
            t = h + np.sqrt(noise[layer]) * self.rng.standard_normal(h.shape)
            u = t / np.sqrt(self.stream.scale2[0, layer])
            if inner is not None:
                u = u @ inner.T + inner_bias
            carried = t if net.noise_in == "stream" else h
            h = net.skip[0, layer] * carried + net.branch[0, layer] * (net.phi(u) @ outer.T + bias)
        return h

    def measured(self, samples: int, block: int = 20_000) -> tuple[float, float]:
        """Linear information and half the logarithm of the covariance over the noise, per neuron, from samples."""
        n, moments = self.n, np.zeros((2 * self.n, 2 * self.n))
        mean = np.zeros(2 * n)
        for _ in range(samples // block):
            x = np.sqrt(self.network.input_variance[0]) * self.rng.standard_normal((block, n))
            both = np.hstack((x, self.observe(x)))
            moments += both.T @ both
            mean += both.sum(axis=0)
        count = samples // block * block
        moments -= np.outer(mean, mean) / count
        own, cross = moments[n:, n:], moments[n:, :n]
        rest = own - cross @ np.linalg.solve(moments[:n, :n], cross.T)
        total = np.linalg.slogdet(own)[1] - wishart_log_det(n, count - 1)
        left = np.linalg.slogdet(rest)[1] - wishart_log_det(n, count - 1 - n)
        noise = n * np.log(self.stream.output_noise[0, -1])
        return (total - left) / (2 * n), (total - noise) / (2 * n)

    def jacobian(self) -> tuple[float, float]:
        """Mean and relative variance of the squared singular values at one input of length `sqrt(n q_x)`."""
        net, n = self.network, self.n
        x = self.rng.standard_normal(n)
        h = self.first @ (x * np.sqrt(n * net.input_variance[0]) / np.linalg.norm(x)) + self.first_bias
        found = self.first.copy()
        for layer, (inner, inner_bias, outer, bias) in enumerate(self.blocks):
            assert inner is not None
            scale = np.sqrt(h @ h / n) if net.is_normalised else 1.0
            y = inner @ h / scale + inner_bias
            a, g = net.skip[0, layer], net.branch[0, layer]
            found = a * found + g * outer @ (net.phi.derivative(y)[:, None] * (inner @ found)) / scale
            h = a * h + g * (outer @ net.phi(y) + bias)
        squares = np.linalg.svd(found, compute_uv=False) ** 2
        return float(squares.mean()), float(squares.var() / squares.mean() ** 2)

    def surrogate(self) -> tuple[float, float]:
        """The same two numbers of the linear network with the same matrices, offsets and variances of every unit.

        For two matrices per branch or no offsets, where the residuals of different layers belong to different units.
        """
        net, n, stream = self.network, self.n, self.stream
        assert net.matrices == 2
        q_x = net.input_variance[0]
        mean, signal = self.first_bias.copy(), self.first.copy()
        total = q_x * signal @ signal.T
        for layer, (inner, inner_bias, outer, bias) in enumerate(self.blocks):
            assert inner is not None
            scale, noise = np.sqrt(stream.scale2[0, layer]), stream.hidden_noise[0, layer]
            read = inner / scale
            m = read @ mean + inner_bias
            noisy = total + noise * np.eye(n)
            v = np.einsum("ij,jk,ik->i", read, noisy, read)
            found = net.phi.conditional(m, v)
            a, g = net.skip[0, layer], net.branch[0, layer]
            branch = g * outer @ (found.kappa[:, None] * read)
            through = a * np.eye(n) + branch
            hidden = noise * branch @ branch.T + g**2 * (outer * found.residual) @ outer.T
            total = through @ total @ through.T + hidden
            signal = through @ signal
            mean = a * mean + g * (outer @ found.mean + bias)
        total = total + stream.output_noise[0, -1] * np.eye(n)
        whole = np.linalg.slogdet(total)[1]
        left = np.linalg.slogdet(total - q_x * signal @ signal.T)[1]
        return (whole - left) / (2 * n), (whole - n * np.log(stream.output_noise[0, -1])) / (2 * n)
