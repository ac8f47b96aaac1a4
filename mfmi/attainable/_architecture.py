"""Layers by what a linear map through them can do: its rank, where it may come from, and the gains of its start.

A convolution with periodic boundary is block diagonal in frequency; a stride s lays s input frequencies on one output
frequency. So the directions of the input that can pass are chosen per frequency, layer by layer: fold, then keep the
`rank` largest. A dense layer chooses among all that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from mfmi.arguments.arrays import FloatArray
from mfmi.arguments.text import whole_numbers_of
from mfmi.names import LAYER_FORMS


@dataclass(frozen=True)
class Dense:
    """A fully connected layer of `width` units."""

    width: int


@dataclass(frozen=True)
class Convolution:
    """A convolution with periodic boundary, in one or two dimensions.

    Attributes
    ----------
    channels : output channels.
    kernel : taps along each axis.
    stride : step along each axis; it divides the number of positions.
    """

    channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]


Layer = Dense | Convolution


def layer_from_text(text: str) -> Layer:
    """Return the layer that a text such as "dense:10" or "conv:16:3x3:2" says.

    Raises
    ------
    ValueError
        It is no such text.
    """
    kind, *parts = text.lower().split(":")
    numbers = [whole_numbers_of(part, "x") for part in parts]
    if kind == "dense" and len(numbers) == 1 and len(numbers[0]) == 1:
        return Dense(numbers[0][0])
    if kind == "conv" and len(numbers) in (2, 3) and len(numbers[0]) == 1:
        kernel = numbers[1]
        stride = numbers[2] if len(numbers) == 3 else (1,)
        return Convolution(numbers[0][0], kernel, stride * len(kernel) if len(stride) == 1 else stride)
    raise ValueError(f"{text!r} is not {LAYER_FORMS}")


@dataclass(frozen=True)
class Stage:
    """A layer in its place.

    Attributes
    ----------
    layer : what it is.
    fan_in : channels that enter a convolution, units that enter a dense layer.
    sizes : positions along each axis at the output; () for a dense layer.
    rank : what its own shape allows as rank of the map at one frequency of the output (of the whole map for a dense
        layer).
    """

    layer: Layer
    fan_in: int
    sizes: tuple[int, ...]
    rank: int

    @property
    def width(self) -> int:
        """Number of output units."""
        return prod(self.sizes) * (self.layer.width if isinstance(self.layer, Dense) else self.layer.channels)

    @property
    def total_rank(self) -> int:
        """Largest rank of the whole map that the layer's own shape permits."""
        return prod(self.sizes) * self.rank

    def keep(self, spectra: FloatArray, binding: bool = True) -> FloatArray:
        """Return the eigenvalues that can pass, shape (*sizes, kept), from those that arrive, shape (*sizes_in, m).

        With `binding` false the strides fold the frequencies but nothing is dropped.
        """
        folded = spectra.reshape(-1) if isinstance(self.layer, Dense) else _folded(spectra, self.layer.stride)
        ordered = -np.sort(-folded, axis=-1)
        return ordered[..., : self.rank] if binding else ordered

    def initial_gain(self, weights: str, sigma_w2: float) -> float:
        """Return the largest squared singular value at initialisation in the limit of many units or channels.

        Gaussian entries have variance `sigma_w2` over the number of inputs of a unit; the orthogonal ensemble is the
        Haar one, in a convolution on a single tap.
        """
        if isinstance(self.layer, Dense):
            return float(initial_gain(weights, sigma_w2, self.layer.width / self.fan_in))
        if weights == "orthogonal":
            return float(initial_gain(weights, sigma_w2, self.layer.channels / self.fan_in))
        _check_weights(weights)
        taps = _taps_per_phase(self.layer)
        variances = sigma_w2 * taps[taps > 0] / (prod(self.layer.kernel) * self.fan_in)
        return _largest_eigenvalue(self.layer.channels, variances, self.fan_in)


@dataclass(frozen=True)
class Architecture:
    """An input and the layers after it, convolutions before dense layers.

    Attributes
    ----------
    channels, sizes : the input's shape; a plain vector has its length as channels and sizes ().
    stages : the layers in order, from 1 to L.
    """

    channels: int
    sizes: tuple[int, ...]
    stages: tuple[Stage, ...]

    @property
    def n_0(self) -> int:
        """Number of input entries."""
        return self.channels * prod(self.sizes)

    @property
    def is_convolutional(self) -> bool:
        """Whether there is a convolution."""
        return any(isinstance(stage.layer, Convolution) for stage in self.stages)

    @classmethod
    def from_widths(cls, widths: Sequence[int]) -> Architecture:
        """Return the network of widths n_0, n_1, ..., n_L."""
        if len(widths) < 2:
            raise ValueError(f"widths must name the input and at least one layer, not {tuple(widths)}")
        return cls.from_layers(widths[0], (), [Dense(width) for width in widths[1:]])

    @classmethod
    def from_layers(cls, channels: int, sizes: Sequence[int], layers: Sequence[Layer]) -> Architecture:
        """Return the network of these layers on an input of shape (channels, *sizes).

        Raises
        ------
        ValueError
            If a size is not positive, a stride does not divide the positions, a kernel is wider than the input, a
            convolution follows a dense layer, or there is no layer.
        """
        if not layers:
            raise ValueError("layers must hold at least one layer")
        if channels < 1 or any(size < 1 for size in sizes):
            raise ValueError(f"the input's shape must be positive, not {(channels, *sizes)}")
        stages: list[Stage] = []
        fan_in, positions, is_flat = channels, tuple(sizes), False
        for number, layer in enumerate(layers, 1):
            if isinstance(layer, Dense):
                stages.append(_dense_stage(layer, fan_in * prod(positions), number))
                fan_in, positions, is_flat = layer.width, (), True
            else:
                if is_flat:
                    raise ValueError(f"layer {number}: a convolution cannot follow a dense layer")
                stages.append(_convolution_stage(layer, fan_in, positions, number))
                fan_in, positions = layer.channels, stages[-1].sizes
        return cls(channels, tuple(sizes), tuple(stages))

    def initial_gains(self, weights: str, sigma_w2: float) -> FloatArray:
        """Return the gain of every layer at initialisation, shape (L,)."""
        return np.array([stage.initial_gain(weights, sigma_w2) for stage in self.stages])

    def keep(self, spectra: FloatArray, only: int | None = None) -> FloatArray:
        """Return the input eigenvalues that a linear network can pass, in decreasing order.

        Parameters
        ----------
        spectra
            Eigenvalues per frequency, shape (*sizes, channels).
        only
            If given, the number of the one layer that drops anything, from 1.
        """
        for number, stage in enumerate(self.stages, 1):
            spectra = stage.keep(spectra, binding=only is None or only == number)
        return -np.sort(-spectra.ravel())


def initial_gain(weights: str, sigma_w2: ArrayLike, alpha: ArrayLike) -> FloatArray:
    """Return the largest squared singular value of a weight matrix at initialisation (theory 6).

    Parameters
    ----------
    weights
        "gaussian": `sigma_w2 (1 + sqrt(alpha))^2`, the edge of its spectrum at large widths; "orthogonal":
        `sigma_w2 max(1, alpha)`, exactly.
    sigma_w2
        Weight variance times fan-in.
    alpha
        Rows over columns.

    Returns
    -------
    ndarray
        Broadcast shape of `sigma_w2` and `alpha`.
    """
    _check_weights(weights)
    variance, ratio = np.asarray(sigma_w2, dtype=np.float64), np.asarray(alpha, dtype=np.float64)
    return variance * ((1.0 + np.sqrt(ratio)) ** 2 if weights == "gaussian" else np.maximum(1.0, ratio))


def _check_weights(weights: str) -> None:
    if weights not in ("gaussian", "orthogonal"):
        raise ValueError(f"weights must be gaussian or orthogonal, not {weights!r}")


def _dense_stage(layer: Dense, fan_in: int, number: int) -> Stage:
    if layer.width < 1:
        raise ValueError(f"layer {number}: the width must be at least 1, not {layer.width}")
    return Stage(layer, fan_in, (), layer.width)


def _convolution_stage(layer: Convolution, fan_in: int, positions: tuple[int, ...], number: int) -> Stage:
    if not positions or len(layer.kernel) != len(positions) or len(layer.stride) != len(positions):
        raise ValueError(
            f"layer {number}: kernel {layer.kernel} and stride {layer.stride} must have the {len(positions)} axes "
            "of what enters"
        )
    if layer.channels < 1 or min(layer.kernel) < 1 or min(layer.stride) < 1:
        raise ValueError(f"layer {number}: channels, kernel and stride must be at least 1")
    if any(size % step for size, step in zip(positions, layer.stride, strict=True)):
        raise ValueError(f"layer {number}: the stride {layer.stride} must divide the positions {positions}")
    if any(taps > size for taps, size in zip(layer.kernel, positions, strict=True)):
        raise ValueError(f"layer {number}: the kernel {layer.kernel} is wider than the {positions} positions")
    sizes = tuple(size // step for size, step in zip(positions, layer.stride, strict=True))
    seen = prod(min(taps, step) for taps, step in zip(layer.kernel, layer.stride, strict=True))
    # A kernel shorter than its stride never sees the positions in between.
    rank = min(layer.channels, fan_in * seen) if seen < prod(layer.stride) else layer.channels
    return Stage(layer, fan_in, sizes, rank)


def _folded(spectra: FloatArray, stride: tuple[int, ...]) -> FloatArray:
    """Put the frequencies that a stride aliases side by side on the last axis."""
    for axis, step in enumerate(stride):
        size = spectra.shape[axis]
        split = spectra.reshape(*spectra.shape[:axis], step, size // step, *spectra.shape[axis + 1 :])
        aliases = np.moveaxis(split, axis, -2)
        spectra = aliases.reshape(*aliases.shape[:-2], -1)
    return spectra


def _taps_per_phase(layer: Convolution) -> FloatArray:
    """Return how many taps fall on each position modulo the stride, shape (prod(stride),)."""
    counts = np.ones(1)
    for taps, step in zip(layer.kernel, layer.stride, strict=True):
        phases = np.maximum(0, -(-(taps - np.arange(step)) // step))
        counts = np.multiply.outer(counts, phases.astype(np.float64)).ravel()
    return counts


def _largest_eigenvalue(rows: int, variances: FloatArray, repeats: int) -> float:
    """Return the upper edge of the spectrum of X X^T, the columns of X having `variances`, each `repeats` times.

    With the R-transform of the free sum of the columns, `z(G) = 1/G + sum_j t_j / (1 - rows t_j G)`, and the edge is
    where z is least (Marchenko & Pastur 1967).
    """
    scaled = rows * variances
    share = repeats / rows

    def slope(g: float) -> float:
        return float(share * np.sum((scaled / (1.0 - scaled * g)) ** 2) - 1.0 / g**2)

    top = 1.0 / float(scaled.max())
    # The column of largest variance alone, and all columns at the largest variance, bracket the stationary point.
    lower = top / (1.0 + sqrt(share * len(scaled)))
    upper = top / (1.0 + sqrt(share))
    g = lower if len(scaled) == 1 or slope(lower) >= 0.0 else brentq(slope, lower, upper, xtol=1e-15 * top, rtol=1e-14)
    return float(1.0 / g + share * np.sum(scaled / (1.0 - scaled * g)))
