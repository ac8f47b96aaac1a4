"""Length and correlation maps of networks with normalisation and skips (theory (24)-(31))."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.meanfield._architecture import Architecture
from mfmi.meanfield._maps import Trajectory, finite_moment, resolved

# Places of the three starts in arrays of gaps: the tracked pair, independent inputs, the same input with other noise.
PAIR, OFFSET, NOISE = range(3)


@dataclass(frozen=True)
class Stream:
    """Mean field of n networks with normalisation and skips, fields of shape (n, L).

    Attributes
    ----------
    path : variances and gaps of the stream `h^l`, before that layer's noise; `s` is with it, and `chi` the slope of the
        block after the layer, `a^2 + g^2 sigma_w^2 E phi_l'^2`.
    skip, branch : `a_l` and `g_l` as they enter (30); post-norm makes `g_l` depend on the layer.
    scale2 : `D_l^2`, by which the norm divides.
    gain2 : square of what the output of phi is multiplied by: 1, or what a norm after phi divides by.
    seen, seen_inner : variance of what phi sees, and what of it varies around a neuron's known offset. With two
        matrices in the branch that is the pre-activation between them.
    hidden_noise : `sigma_h^2` of the layer, in units of the stream.
    output_noise : `sigma_o^2` where the layer is observed, in units of the stream.
    pair_gaps : `q - k` of further pairs of inputs, each with noise of its own, shape (n, L, U).
    seen_pairs : what of the variance that phi sees is not common to such a pair, shape (n, L, U).
    """

    path: Trajectory
    skip: FloatArray
    branch: FloatArray
    scale2: FloatArray
    gain2: FloatArray
    seen: FloatArray
    seen_inner: FloatArray
    hidden_noise: FloatArray
    output_noise: FloatArray
    pair_gaps: FloatArray
    seen_pairs: FloatArray

    def take(self, rows: NDArray[np.intp] | slice) -> Stream:
        """The streams of some of the points."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        path = parts.pop("path").take(np.arange(len(self.seen))[rows])
        return Stream(path, **{name: a[rows] for name, a in parts.items()})

    def cut(self, depth: int) -> Stream:
        """The streams down to layer `depth`, which is observed; of the same networks."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        path = parts.pop("path").cut(depth)
        return Stream(path, **{name: a[:, :depth] for name, a in parts.items()})


def units(architecture: Architecture, stream: Stream) -> FloatArray:
    """Variance, shape (n, L), in which a stream is carried at each layer, over that of what the layer holds.

    A post-norm stream is carried without its norms, and is larger by all of them up to the layer.
    """
    found = np.ones_like(stream.path.q)
    if architecture.is_normalised and architecture.norm_at == "stream":
        found[:, 1:] = stream.scale2[:, :-1]
    return found


def block_sigma_w2(architecture: Architecture, stream: Stream, layers: int | slice) -> FloatArray:
    """`g_l^2 sigma_w^2`: variances of the matrices that feed the stream after some layers, with the branch's factor."""
    found: FloatArray = stream.branch[:, layers] ** 2 * architecture.outer[0][:, layers]
    return found


def layer_sigma_w2(architecture: Architecture, stream: Stream) -> FloatArray:
    """Variances of the matrices in front of layers 1 to L with the factors of their branches, shape (n, L)."""
    after = block_sigma_w2(architecture, stream, slice(0, architecture.depth - 1))
    return np.hstack((architecture.input_sigma_w2[:, None], after))


def propagate(architecture: Architecture, correlation: ArrayLike = 0.0, pairs: ArrayLike = ()) -> Stream:
    """Iterate the maps (31) through all layers.

    Parameters
    ----------
    architecture : n networks of L layers.
    correlation : of the tracked pair of inputs, broadcast to shape (n,).
    pairs : correlations of further pairs, shape (U,): of the inputs at two positions of a convolution (theory (40)).

    Returns
    -------
    Stream
        A variance that overflows is inf, and what follows from it NaN.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        tracked, others = np.asarray(correlation, dtype=np.float64), np.asarray(pairs, dtype=np.float64)
        return _Walk(architecture, tracked, others).run()


class _Walk:
    """The recursion over the layers."""

    def __init__(self, architecture: Architecture, correlation: FloatArray, pairs: FloatArray) -> None:
        self.net = architecture
        n, depth = architecture.size, architecture.depth
        self.q, self.chi, self.seen, self.inner, self.noise, self.out_noise, self.branch = np.empty((7, n, depth))
        self.scale2, self.gain2 = np.ones((2, n, depth))
        self.gaps = np.empty((3 + len(pairs), n, depth))
        self.seen_pairs = np.empty((len(pairs), n, depth))
        first = architecture.input_sigma_w2 * architecture.input_variance
        self.q[:, 0] = first + architecture.input_sigma_b2
        apart = np.broadcast_arrays(1.0 - correlation, np.ones(n), np.zeros(n), *(1.0 - pairs))
        self.gaps[:, :, 0] = first * np.stack(apart)
        self.no_offset = architecture.without_offset & (not architecture.is_centred)

    def run(self) -> Stream:
        net = self.net
        for layer in range(net.depth):
            self._units(layer)
            second, gap = self._block(layer)
            if layer + 1 < net.depth:
                self._step(layer, second, gap)
        self.gaps[:, ~np.isfinite(self.q)] = np.nan
        path = Trajectory(self.q, self.q + self.noise, self.chi, *self.gaps[:3])
        return Stream(
            path,
            net.skip,
            self.branch,
            self.scale2,
            self.gain2,
            self.seen,
            self.inner,
            self.noise,
            self.out_noise,
            np.moveaxis(self.gaps[3:], 0, 2),
            np.moveaxis(self.seen_pairs, 0, 2),
        )

    def _units(self, layer: int) -> None:
        """Noise of the layer and what its norm divides by, in units of the stream."""
        net = self.net
        level = self.gaps[OFFSET, :, layer] if net.is_centred else self.q[:, layer]
        hidden, observed = net.hidden_noise[:, layer], net.output_noise
        if net.noise_scale == "relative":
            noise, out, before = hidden * level, observed * level, level
        else:
            # A post-norm stream is carried without its norms: the noise in front of one is larger by the last one.
            post = net.norm_at == "stream" and net.is_normalised and layer > 0
            unit = self.scale2[:, layer - 1] if post else 1.0
            noise, out = hidden * unit, observed * unit
            before = level + noise
        self.noise[:, layer], self.out_noise[:, layer] = noise, out
        if net.is_normalised and net.norm_at != "output":
            self.scale2[:, layer] = before
        lifted = net.is_normalised and net.norm_at == "stream"
        self.branch[:, layer] = net.branch[:, layer] * (np.sqrt(self.scale2[:, layer]) if lifted else 1.0)

    def _block(self, layer: int) -> tuple[FloatArray, FloatArray]:
        """Contribution of the branch to variance and gaps, before `g^2`."""
        net, scale2 = self.net, self.scale2[:, layer]
        inside = self.gaps[:, :, layer] + self.noise[:, layer]
        level = inside[OFFSET] if net.is_centred else self.q[:, layer] + self.noise[:, layer]
        s, inner = level / scale2, np.minimum(inside, 2.0 * level) / scale2
        weight, bias = net.outer[0][:, layer], net.outer[1][:, layer]
        slope = 1.0 / scale2
        if net.matrices == 2:
            first = net.sigma_w2[:, layer]
            s, inner, slope = first * s + net.sigma_b2[:, layer], first * inner, first * slope
        if net.norm_at == "output" and net.norm != "none":
            power = net.phi.decorrelation if net.norm == "layernorm" else lambda s, _: net.phi.second_moment(s)
            self.gain2[:, layer] = 1.0 / finite_moment(power, s, s)
        self.seen[:, layer], self.inner[:, layer] = s, inner[OFFSET]
        self.seen_pairs[:, :, layer] = inner[3:]
        gain2 = weight * self.gain2[:, layer]
        moment = finite_moment(net.phi.slope_moment, s) if net.phi.differentiable else np.full_like(s, np.nan)
        self.chi[:, layer] = net.skip[:, layer] ** 2 + self.branch[:, layer] ** 2 * gain2 * slope * moment
        second = gain2 * finite_moment(net.phi.second_moment, s)
        return second + bias, resolved(net.phi, gain2, s, inner, second)

    def _step(self, layer: int, second: FloatArray, gap: FloatArray) -> None:
        """The next layer's variance and gaps."""
        net, a2, g2 = self.net, self.net.skip[:, layer] ** 2, self.branch[:, layer] ** 2
        carried = self.noise[:, layer] if net.noise_in == "stream" else 0.0
        skips = a2 > 0.0
        if net.norm_at == "output" and net.norm == "layernorm":
            # Without its mean the output of phi has variance 1, and the covariance is less by as much.
            second = net.outer[0][:, layer] + net.outer[1][:, layer]
        self.q[:, layer + 1] = g2 * second + np.where(skips, a2 * (self.q[:, layer] + carried), 0.0)
        old = np.where(skips, a2 * (self.gaps[:, :, layer] + carried), 0.0)
        self.gaps[:, :, layer + 1] = g2 * gap + old
        everything = self.no_offset
        self.gaps[OFFSET, everything, layer + 1] = self.q[everything, layer + 1]
