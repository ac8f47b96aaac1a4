"""Measurements of a finite network and the theory values they correspond to; self-contained for a worker process."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.errors import ArgumentError
from mfmi.names import (
    DEFAULT_ESTIMATORS,
    LOWER_BOUNDS,
    UPPER_BOUNDS,
    VERIFIED_NETWORKS,
)
from mfmi.simulate import (
    Average,
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
from mfmi.verification._setting import Setting

BRACKET_WIDTH = 32
"""Largest width at which the true mutual information is bracketed too; nested Monte Carlo costs its cube."""


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
    networks: int = VERIFIED_NETWORKS
    seed: int = 0
    samples: int | None = None
    estimators: tuple[str, ...] = DEFAULT_ESTIMATORS

    @classmethod
    def at(
        cls,
        width: int,
        widths: Sequence[int] | None = None,
        networks: int = VERIFIED_NETWORKS,
        seed: int = 0,
        samples: int | None = None,
        estimators: tuple[str, ...] = DEFAULT_ESTIMATORS,
    ) -> Effort:
        """Return the effort at `widths`, in place of one width; of a single one its half is measured too.

        Raises
        ------
        ArgumentError
            Too few samples for the widest layer.
        """
        chosen = tuple(sorted(widths)) if widths else (width,)
        chosen = (chosen[0] // 2, chosen[0]) if len(chosen) == 1 else chosen
        least = 4 * chosen[-1] + 4
        if samples is not None and samples < least:
            raise ArgumentError("samples", samples, f"is less than {least}, four for every unit and four")
        return cls(chosen, networks, seed, samples, estimators)

    def measures(self, setting: Setting) -> tuple[str, ...]:
        """Return the names of the measurements to take: of real inputs the maps, the rest is about Gaussian ones."""
        if setting.pairs:
            return ("maps",)
        bracketed = {*LOWER_BOUNDS, *UPPER_BOUNDS, "replica"}.intersection(self.estimators)
        asked = {
            "maps": True,
            "jacobian": setting.convolution is None,
            "determinant": not setting.plain and setting.convolution is None and "entropy_power" in self.estimators,
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
    if not setting.plain:
        sample = measure_stream_maps(setting.stream_law(width), seed, correlation=setting.correlation)
    else:
        law = setting.law(width) if setting.convolution is None else setting.convolution_law(width)
        assert not isinstance(law, StreamLaw)
        sample = measure_maps(law, seed, correlation=setting.correlation, inputs=setting.pairs)
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

    def piece(self, number: int) -> int:
        """Return what a worker has to be told."""
        return number

    def run(self, number: int) -> bytes:
        """Take measurement `number`; return its pickled arrays."""
        measure, width, network = self.entries[number]
        # Each measure has a branch of its own, so that it stays the same whichever others are taken.
        branches = network_seed(self.effort.seed, width, network).spawn(len(_TAKES))
        branch = branches[list(_TAKES).index(measure)]
        return pickle.dumps(_TAKES[measure](self.setting, width, branch, self.effort))
