"""Averages over independent networks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.simulate._network import NetworkLaw, network_seed

Sample = TypeVar("Sample")


@dataclass(frozen=True)
class Average:
    """An average over independent networks.

    Parameters
    ----------
    mean : ndarray
        Whatever shape the measure has.
    standard_error : ndarray
        Of the mean, from the scatter between networks.
    networks : int
        How many; the standard error has one degree of freedom fewer.
    """

    mean: FloatArray
    standard_error: FloatArray
    networks: int


def average(samples: Iterable[FloatArray]) -> Average:
    """Average one value per network, shape (networks, ...), with the standard error of the mean."""
    values = np.array(list(samples), dtype=np.float64)
    if len(values) < 2:
        raise ValueError(f"networks must be at least 2 for a standard error, got {len(values)}")
    return Average(values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values)), len(values))


def jackknife(function: Callable[..., FloatArray], *samples: Iterable[FloatArray]) -> Average:
    """Average a smooth function of averages over networks.

    Leaving out each network in turn gives the standard error, and removes the bias of order 1 / networks that a
    function of an average has.

    Parameters
    ----------
    function : callable
        Of one array per sample, such as the ratio of two averages.
    *samples : iterable of ndarray
        Each with one value per network.

    Returns
    -------
    Average
        Of the pseudo-values.
    """
    stacks = [np.array(list(values), dtype=np.float64) for values in samples]
    count = len(stacks[0])
    whole = function(*(stack.mean(axis=0) for stack in stacks))
    without = (function(*((stack.sum(axis=0) - stack[k]) / (count - 1) for stack in stacks)) for k in range(count))
    return average(count * whole - (count - 1) * left for left in without)


def over_networks(
    measure: Callable[[NetworkLaw, np.random.SeedSequence], Sample], law: NetworkLaw, networks: int, seed: int
) -> list[Sample]:
    """Take one measure of each of several independent networks of one law, in this process."""
    return [measure(law, network_seed(seed, max(law.widths), k)) for k in range(networks)]
