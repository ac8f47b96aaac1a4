"""Design of the experiment: data sets, activations, depths, standard deviations, learning rates, budget."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

DATA_SETS = ("digits", "breast_cancer")
ACTIVATIONS = ("tanh", "relu")
DEPTHS = (2, 5, 10, 20, 50)


class Case(NamedTuple):
    """One data set, activation and depth: what is trained together and ranked over sigma_w."""

    data_set: str
    activation: str
    depth: int

    @property
    def name(self) -> str:
        """The case as a file name without suffix."""
        return f"{self.data_set}-{self.activation}-{self.depth}"


@dataclass(frozen=True)
class Design:
    """Grid and budget of the study.

    Attributes
    ----------
    sigma_w : deviations of the weights, a quarter of an octave apart and closer around the edges of chaos; sqrt(2), the
        critical value of ReLU, is one of them.
    sigma_b : deviation of the biases.
    sigma_noise : deviation of the noise in every layer that the theory assumes; networks are trained without noise.
    width : units of every hidden layer.
    seeds : draws of the initial weights and of the order of the data.
    learning_rates : of which the best counts, chosen by the loss on the training set.
    momentum, batch, steps : of stochastic gradient descent; the budget is the same for all.
    """

    sigma_w: tuple[float, ...] = tuple(0.5 * 2.0 ** (k / 8) for k in (0, 2, 4, 6, 8, 10, 11, 12, 13, 14, 16, 18, 20))
    sigma_b: float = math.sqrt(0.05)
    sigma_noise: float = 0.1
    width: int = 64
    seeds: tuple[int, ...] = (0, 1, 2)
    learning_rates: tuple[float, ...] = tuple(10.0 ** (-4.0 + 0.75 * k) for k in range(5))
    momentum: float = 0.9
    batch: int = 64
    steps: int = 200


def cases(
    data_sets: tuple[str, ...] = DATA_SETS,
    activations: tuple[str, ...] = ACTIVATIONS,
    depths: tuple[int, ...] = DEPTHS,
) -> Iterator[Case]:
    """Every combination, the costly deep ones first."""
    for depth in sorted(depths, reverse=True):
        for data_set in data_sets:
            for activation in activations:
                yield Case(data_set, activation, depth)
