"""Design of the study: data sets, networks, initial gains, checkpoints, budget."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SMALL = "small"
DATA_SETS = ("teacher", "digits", SMALL)
ACTIVATIONS = ("linear", "tanh", "relu")
WEIGHTS = ("usv", "free")
DEPTHS = (2, 4, 6)
# At the edge of chaos of networks without biases, and half and twice as large, for one depth.
GAINS = (0.5, 1.0, 2.0)
_SCANNED = 4
EDGES = {"linear": 1.0, "tanh": 1.0, "relu": math.sqrt(2.0)}


class Case(NamedTuple):
    """One training.

    Attributes
    ----------
    data_set : "teacher", "digits", or "small", a teacher of few inputs for networks of few units.
    activation : of the hidden layers.
    depth : number of layers; a matrix that reads the classes comes on top.
    weights : "usv" for fixed rotations and learnt singular values, "free" for free weights.
    gain : sigma_w at the start over that of the edge of chaos.
    """

    data_set: str
    activation: str
    depth: int
    weights: str
    gain: float

    @property
    def name(self) -> str:
        """The case as a file name without suffix."""
        return f"{self.data_set}-{self.activation}-{self.depth}-{self.weights}-{self.gain:g}"

    @property
    def is_small(self) -> bool:
        """Whether the network is small enough to bracket its total information."""
        return self.data_set == SMALL

    @property
    def sigma_w(self) -> float:
        """Standard deviation of the initial weights, times the root of the fan-in."""
        return self.gain * EDGES[self.activation]


@dataclass(frozen=True)
class Design:
    """Sizes and budget of the study.

    Attributes
    ----------
    width, other_width, small_width : units of every layer of linear networks on the teacher's data, of the other wide
        networks, and of small ones. The teacher's data have as many inputs.
    examples : of the teacher's data, for training and for testing.
    sigma_noise, small_noise : standard deviation of the noise with which a layer is observed; training has none.
    rate, singular_rate : learning rates of Adam, of entries and of singular values, whose sizes differ by sqrt(width).
    batch, steps : of training.
    checkpoints : number of audited steps, the first before training.
    few : number of checkpoints at which the total information is computed, and bracketed in small networks.
    """

    width: int = 200
    other_width: int = 100
    small_width: int = 10
    examples: tuple[int, int] = (2000, 1000)
    sigma_noise: float = 0.1
    small_noise: float = 0.3
    rate: float = 1e-3
    singular_rate: float = 1e-2
    batch: int = 64
    steps: int = 400
    checkpoints: int = 30
    few: int = 5

    @property
    def kept(self) -> tuple[int, ...]:
        """Steps of the checkpoints, evenly spaced on a logarithmic scale as far as whole numbers go."""
        count = self.checkpoints - 1
        if self.steps <= count:
            return tuple(range(self.steps + 1))
        points, found = count, np.empty(0, dtype=np.intp)
        while len(found) < count:
            found = np.unique(np.rint(np.geomspace(1.0, self.steps, points)).astype(np.intp))
            points += 1
        return (0, 1, *found[len(found) - count + 1 :].tolist())

    def units(self, case: Case) -> int:
        """Units of the layers of a case."""
        if case.is_small:
            return self.small_width
        return self.width if (case.data_set, case.activation) == ("teacher", "linear") else self.other_width

    def noise(self, case: Case) -> float:
        """Noise with which the layers of a case are observed."""
        return self.small_noise if case.is_small else self.sigma_noise


def cases(
    data_sets: tuple[str, ...] = DATA_SETS,
    activations: tuple[str, ...] = ACTIVATIONS,
    depths: tuple[int, ...] = DEPTHS,
) -> Iterator[Case]:
    """The networks, those of one depth first, then small ones, then other depths.

    At one depth networks start from every gain, the linear ones on the teacher's data, which have an exact value, and
    the others on the digits; at other depths, and with the other activations, from the edge of chaos alone.
    """
    for depth in sorted(depths, key=lambda depth: (depth != _SCANNED, depth)):
        for data_set in data_sets:
            for activation in activations:
                if depth != _SCANNED and data_set != SMALL and not _from_all_gains(data_set, activation):
                    continue
                if data_set == SMALL and (activation == "linear" or depth != min(DEPTHS)):
                    continue
                gains = GAINS if depth == _SCANNED and _from_all_gains(data_set, activation) else (1.0,)
                for weights in WEIGHTS:
                    for gain in gains:
                        yield Case(data_set, activation, depth, weights, gain)


def _from_all_gains(data_set: str, activation: str) -> bool:
    return (data_set == "teacher") is (activation == "linear")
