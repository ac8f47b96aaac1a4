"""Measurements of a finite network and the theory values they correspond to; self-contained for a worker process."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.meanfield import Architecture
from mfmi.names import BY_DEPTH, DEFAULT_ESTIMATORS, LOWER_BOUNDS, UPPER_BOUNDS
from mfmi.networks.convolution import Convolution
from mfmi.networks.model import SQUARE, Model
from mfmi.networks.points import Points
from mfmi.networks.settings import with_settings
from mfmi.networks.structure import architecture
from mfmi.networks.weights import Weights
from mfmi.simulate import (
    Average,
    ConvolutionLaw,
    NetworkLaw,
    StreamLaw,
    average,
    jackknife,
    measure_convolution_decoder,
    measure_decoder,
    measure_information,
    measure_jacobian,
    measure_maps,
    measure_stream_jacobian,
    measure_stream_maps,
    network_seed,
    relative_variance,
)

BRACKET_WIDTH = 32
"""Largest width at which the true mutual information is bracketed too; nested Monte Carlo costs its cube."""
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
    sigma_noise: float | str = 0.1
    noise_at: Literal["output", "every"] = "output"
    weights: Literal["gaussian", "orthogonal"] | Weights = "gaussian"
    depth: int = 10
    input_variance: float = 1.0
    correlation: float = 0.5
    pairs: tuple[FloatArray, FloatArray] | None = None
    structure: Mapping[str, Any] = field(default_factory=dict)
    convolution: Convolution | None = None
    kernel: int = 3

    @cached_property
    def plain(self) -> bool:
        """Whether it is a stack of layers, without norms, skips or relative noise."""
        return bool(self.points().is_plain.all())

    def architecture(self) -> Architecture:
        """Return the network of the theory, all layers of it."""
        return architecture(self.activation, self.points(), self.depth)

    def stream_law(self, width: int) -> StreamLaw:
        """Return the law of this network with all layers of one width, of any but a plain one."""
        return StreamLaw(self.architecture(), self.label, width)

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

    def convolution_law(self, width: int) -> ConvolutionLaw:
        """Return the law of this network of convolutions, all layers of so many channels."""
        assert self.convolution is not None
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


@dataclass(frozen=True)
class Effort:
    """Extent of the measurements.

    Parameters
    ----------
    widths : tuple of int
        Units per layer, at least two different ones.
    networks : int
        Independent networks per width, at least 2.
    seed : int
        Seed of everything random.
    samples : int, optional
        Inputs per network for the linear decoder; default as in `mfmi.simulate.measure_decoder`.
    estimators : tuple of str
        Which information to compare: linear with the decoder's, and at widths up to `BRACKET_WIDTH` every bound and the
        replica value with a bracket on the true information of the last layer.
    """

    widths: tuple[int, ...] = (200, 400)
    networks: int = 16
    seed: int = 0
    samples: int | None = None
    estimators: tuple[str, ...] = DEFAULT_ESTIMATORS

    def measures(self, setting: Setting) -> tuple[str, ...]:
        """Return the names of the measurements to take: of real inputs the maps, the rest is about Gaussian ones."""
        if setting.pairs:
            return ("maps",)
        bracketed = {*LOWER_BOUNDS, *UPPER_BOUNDS, "replica"}.intersection(self.estimators)
        asked = {
            "maps": True,
            "jacobian": setting.convolution is None,
            "determinant": not setting.plain and "entropy_power" in self.estimators,
            "decoder": "linear" in self.estimators,
            "information": setting.plain
            and setting.convolution is None
            and bool(bracketed)
            and max(self.widths) <= BRACKET_WIDTH,
        }
        return tuple(name for name, wanted in asked.items() if wanted)


@dataclass(frozen=True)
class Comparison:
    """A value of the theory, what is measured for it, and how it should stand to that.

    Parameters
    ----------
    quantity : str
        Name of the value.
    measured : tuple of str
        Arrays that a measurement returns: one, or the mean and the second moment of which the relative variance is
        meant.
    relation : {"equal", "at most", "at least"}
        Of the theory's value to the measured one.
    scale : float
        Size of what the value is a difference of, where it can be 0.
    """

    quantity: str
    measured: tuple[str, ...]
    relation: Literal["equal", "at most", "at least"] = "equal"
    scale: float = 0.0

    def average(self, samples: Sequence[dict[str, FloatArray]]) -> Average:
        """Average over networks what is measured of each."""
        arrays = [[sample[name] for sample in samples] for name in self.measured]
        return average(arrays[0]) if len(arrays) == 1 else jackknife(relative_variance, *arrays)


def comparisons(measure: str, estimators: Iterable[str]) -> list[Comparison]:
    """Return the comparisons that a measurement serves.

    The information of a small network lies between a lower and an upper estimate: a lower bound of the theory must not
    exceed the upper one, an upper bound not fall below the lower one, and the replica value must do neither.
    """
    if measure == "maps":
        return [Comparison("q", ("q",)), Comparison("c", ("c",), scale=1.0), Comparison("chi", ("chi",))]
    if measure == "jacobian":
        return [
            Comparison("jacobian_mean", ("mean",)),
            Comparison("jacobian_relative_variance", ("mean", "second"), scale=1.0),
        ]
    if measure == "determinant":
        return [Comparison("mi_entropy_power", ("entropy_power",))]
    if measure == "decoder":
        return [Comparison("mi_linear", ("information",))]
    found = []
    for name in estimators:
        if name in LOWER_BOUNDS or name == "replica":
            found.append(Comparison(f"mi_{name}", ("upper",), "at most"))
        if name in UPPER_BOUNDS or name == "replica":
            found.append(Comparison(f"mi_{name}", ("lower",), "at least"))
    return found


def _take_maps(setting: Setting, width: int, seed: np.random.SeedSequence, _: Effort) -> dict[str, FloatArray]:
    if setting.convolution is not None:
        sample = measure_maps(setting.convolution_law(width), seed, correlation=setting.correlation)
    elif setting.plain:
        sample = measure_maps(setting.law(width), seed, correlation=setting.correlation, inputs=setting.pairs)
    else:
        sample = measure_stream_maps(setting.stream_law(width), seed, correlation=setting.correlation)
    return {"q": sample.q, "c": sample.c, "chi": sample.chi}


def _take_jacobian(setting: Setting, width: int, seed: np.random.SeedSequence, _: Effort) -> dict[str, FloatArray]:
    if setting.plain:
        sample = measure_jacobian(setting.law(width), seed)
    else:
        sample = measure_stream_jacobian(setting.stream_law(width), seed).sample
    return {"mean": sample.mean, "second": sample.second}


def _take_determinant(setting: Setting, width: int, seed: np.random.SeedSequence, _: Effort) -> dict[str, FloatArray]:
    """The entropy power of theory (39) as one network has it, by its own determinant: `ln |det J| / n`."""
    law = setting.stream_law(width)
    noise = np.square(law.draw(np.random.default_rng(seed)).observed)
    log_det = measure_stream_jacobian(law, seed).log_det
    return {"entropy_power": 0.5 * np.log1p(setting.input_variance * np.exp(2.0 * log_det) / noise)}


def _take_decoder(setting: Setting, width: int, seed: np.random.SeedSequence, effort: Effort) -> dict[str, FloatArray]:
    if setting.convolution is not None:
        law_of = setting.convolution_law(width)
        return {"information": measure_convolution_decoder(law_of, seed, samples=effort.samples).information}
    law = setting.law(width) if setting.plain else setting.stream_law(width)
    return {"information": measure_decoder(law, seed, samples=effort.samples).information}


def _take_information(setting: Setting, width: int, seed: np.random.SeedSequence, _: Effort) -> dict[str, FloatArray]:
    bracket = measure_information(setting.law(width), seed)
    above = np.full(setting.depth - 1, np.nan)
    found = {"lower": bracket.lower, "upper": bracket.upper, "own_share": bracket.own_share}
    return {name: np.append(above, value) for name, value in found.items()}


Take = Callable[[Setting, int, np.random.SeedSequence, Effort], dict[str, FloatArray]]
_TAKES: dict[str, Take] = {
    "maps": _take_maps,
    "jacobian": _take_jacobian,
    "decoder": _take_decoder,
    "information": _take_information,
    "determinant": _take_determinant,
}


@dataclass(frozen=True)
class Simulation:
    """Measurements to take, in the form that worker processes take them: by number.

    Parameters
    ----------
    setting, effort : Setting, Effort
        The network and how much to measure.
    entries : tuple of (str, int, int)
        Measure, width, and network of each.
    """

    setting: Setting
    effort: Effort
    entries: tuple[tuple[str, int, int], ...]

    def pickled(self) -> bytes:
        """Return the simulation for a worker."""
        return pickle.dumps(self, protocol=pickle.HIGHEST_PROTOCOL)

    def names(self, number: int) -> str:
        """Name a measurement, for a message."""
        measure, width, network = self.entries[number]
        return f"{measure} of network {network} at width {width}"

    def run(self, number: int) -> bytes:
        """Take measurement `number`; return its pickled arrays."""
        measure, width, network = self.entries[number]
        # Each measure has a branch of its own, so that it stays the same whichever others are taken.
        branches = network_seed(self.effort.seed, width, network).spawn(len(_TAKES))
        branch = branches[list(_TAKES).index(measure)]
        return pickle.dumps(_TAKES[measure](self.setting, width, branch, self.effort))
