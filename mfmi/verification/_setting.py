"""The network that is verified: one for the theory and for the finite networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.errors import ArgumentError
from mfmi.meanfield import Architecture
from mfmi.names import (
    BY_DEPTH,
    CORRELATION,
    DEPTH,
    INPUT_VARIANCE,
    SIGMA_NOISE,
)
from mfmi.networks.convolution import Convolution
from mfmi.networks.model import SQUARE, Model, reason_against
from mfmi.networks.points import Points
from mfmi.networks.settings import with_settings
from mfmi.networks.structure import architecture
from mfmi.networks.weights import Weights
from mfmi.simulate import (
    ConvolutionLaw,
    ConvolutionStreamLaw,
    NetworkLaw,
    StreamLaw,
)

MOST_PAIRS = 256


@dataclass(frozen=True)
class Setting:
    """The network to verify; names and units as in `mfmi bound`.

    Parameters
    ----------
    pairs : pair of ndarray (pairs, n_0), optional
        Real inputs, two by two; without them the input is Gaussian, as wide as the layers, and input_variance and
        correlation say how its pairs are drawn.
    structure : mapping
        Norms, skips and the scale of the noise, by the keywords of `mfmi.evaluate`.
    convolution : Convolution, optional
        Positions that the layers are convolutions over; widths are those of channels then.
    kernel : int
        Taps of their gaussian kernels along each axis; others have one.
    """

    activation: Activation
    sigma_w: float
    sigma_b: float = 0.0
    sigma_noise: float | str = SIGMA_NOISE
    noise_at: Literal["output", "every"] = "output"
    weights: Literal["gaussian", "orthogonal"] | Weights = "gaussian"
    depth: int = DEPTH
    input_variance: float = INPUT_VARIANCE
    correlation: float = CORRELATION
    pairs: tuple[FloatArray, FloatArray] | None = None
    structure: Mapping[str, Any] = field(default_factory=dict)
    convolution: Convolution | None = None
    kernel: int = 3

    @cached_property
    def plain(self) -> bool:
        """Whether it is a stack of layers, without norms, skips or relative noise."""
        return bool(self.points().is_plain.all())

    def check(self) -> None:
        """Refuse what is not known of networks with norms, skips or relative noise, or of convolutions.

        Raises
        ------
        ValueError
            It says what they need; or the structure contradicts itself, or its setting a name.
        """
        if self.convolution is not None and self.pairs:
            raise ValueError("`inputs` and `positions`: convolutions are sampled of gaussian inputs")
        if self.plain:
            return
        against = "gaussian inputs, not `inputs`" if self.pairs else reason_against(self.label, self.model)
        if against:
            raise ValueError(f"networks with norms, skips or relative noise need {against}")

    def architecture(self) -> Architecture:
        """Return the network of the theory, all layers of it."""
        return architecture(self.activation, self.points(), self.depth)

    def stream_law(self, width: int) -> StreamLaw:
        """Return the law of this network with all layers of one width, of any but a plain one."""
        network = self.architecture()
        if self.convolution is not None:
            return ConvolutionStreamLaw(network, self.label, width, self.convolution, self.kernel)
        return StreamLaw(network, self.label, width)

    def law(self, width: int) -> NetworkLaw:
        """Return the law of this network with all layers of one width, of a plain one."""
        assert not isinstance(self.sigma_noise, str)
        return NetworkLaw(
            self.activation,
            (self.pairs[0].shape[1] if self.pairs else width, *(width,) * self.depth),
            self.sigma_w,
            self.sigma_b,
            self.sigma_noise,
            self.noise_at,
            self.weights,
            self.input_variance,
        )

    def convolution_law(self, width: int) -> ConvolutionLaw | ConvolutionStreamLaw:
        """Return the law of this network of convolutions, all layers of so many channels."""
        assert self.convolution is not None
        if not self.plain:
            found = self.stream_law(width)
            assert isinstance(found, ConvolutionStreamLaw)
            return found
        return ConvolutionLaw(self.law(width), self.convolution, self.kernel)

    @property
    def model(self) -> Model:
        """Arguments of the theory besides the grid point."""
        model = Model(weights=(self.weights,)) if isinstance(self.weights, Weights) else SQUARE
        return model if self.convolution is None else model.with_convolution(self.convolution)

    @property
    def label(self) -> str:
        """Name of the weights."""
        return self.weights.label if isinstance(self.weights, Weights) else self.weights

    def points(self) -> Points:
        """Return the same network as one grid point; a branch that depends on the depth is that of the last layer.

        Raises
        ------
        ValueError
            The structure contradicts itself, or its setting a name.
        """
        points = Points.of(
            [self.activation],  # type: ignore[list-item]
            self.sigma_w,
            sigma_b=self.sigma_b,
            weights=[self.label],
            noise_at=self.noise_at,
            input_variance=self.input_variance,
            correlation=self.correlation,
        )
        given = dict(self.structure)
        if given.get("branch") == BY_DEPTH:
            given["branch"] = self.depth**-0.5
        return with_settings(points, self.sigma_noise, given)


def chosen_pairs(inputs: FloatArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Pair inputs (N, n_0) at random, each at most once, `MOST_PAIRS` at most: the same for every network and width."""
    order = np.random.default_rng(seed).permutation(len(inputs))
    count = min(len(inputs) // 2, MOST_PAIRS)
    return inputs[order[:count]], inputs[order[count : 2 * count]]


def kernel_of(convolution: Convolution | None, kernel: int | None) -> int:
    """Return the taps of a kernel along each axis, by default 3 or all positions.

    Raises
    ------
    ArgumentError
        A kernel without a convolution, or wider than its positions.
    """
    if convolution is None:
        if kernel is not None:
            raise ArgumentError("kernel", kernel, "is that of a convolution: give `positions`")
        return 1
    most = min(convolution.positions)
    if kernel is not None and kernel > most:
        raise ArgumentError("kernel", kernel, f"is more than the {most} positions of an axis")
    return min(most, 3) if kernel is None else kernel
