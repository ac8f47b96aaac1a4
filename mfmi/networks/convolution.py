"""Circular convolutions: positions, how their inputs are correlated, and the frequencies that diagonalise both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.arguments.checks import numbers, whole_numbers
from mfmi.arguments.ranges import MOST_POSITIONS, NUMBERS
from mfmi.errors import shown

# Below this share of the largest an eigenvalue of the input's covariance is rounding.
_ROUNDING = 1e-12
_DIGITS = 9

ROUNDING = 4.0 * np.finfo(np.float64).eps
"""Rounding in a sum over positions, a position."""
IDLE = "changes nothing where the inputs of different positions are not correlated: as dense layers"
"""Said once of positions of uncorrelated inputs."""


@dataclass(frozen=True)
class Convolution:
    """Layers that are circular convolutions of stride 1 over a ring, or a torus, of positions (theory (40)-(41)).

    Widths are those of channels. Build one with `of`.

    Attributes
    ----------
    positions : number of positions along each axis.
    by_distance : correlations of inputs 0, 1, 2, ... steps apart; the first is 1.
    """

    positions: tuple[int, ...]
    by_distance: tuple[float, ...]

    @classmethod
    def of(cls, positions: ArrayLike, input_correlation: ArrayLike = 0.0) -> Convolution:
        """The convolution over so many positions.

        Parameters
        ----------
        positions : along a ring, or along each axis of a torus.
        input_correlation : r, for `r^distance` between the inputs of two positions, the distance being the number of
            steps between them; or, on a ring, the correlations at the distances 1, 2, ..., those left out being 0.

        Raises
        ------
        ValueError
            There are too many positions, or inputs cannot be correlated like that. It begins with the argument's name.
        """
        axes = tuple(int(one) for one in np.ravel(positions))
        if not axes or min(axes) < 1:
            raise ValueError(f"positions: {positions!r} are not whole numbers from 1")
        if math.prod(axes) > MOST_POSITIONS:
            raise ValueError(f"positions: {math.prod(axes)} of them are more than {MOST_POSITIONS}")
        distance = _distances(axes)
        given = np.atleast_1d(np.asarray(input_correlation, dtype=np.float64))
        wrong = given[~(np.abs(given) <= 1.0)]
        if given.ndim != 1 or len(wrong):
            shown = wrong[0].item() if len(wrong) else input_correlation
            raise ValueError(f"input_correlation: {shown!r} is not a number from -1 to 1, or a list of such")
        if np.ndim(input_correlation) == 0:
            table = given[0] ** np.arange(distance.max() + 1.0)
        elif len(axes) > 1:
            raise ValueError("input_correlation: a list is that of positions along one axis; give a number here")
        elif len(given) > distance.max():
            raise ValueError(f"input_correlation: {len(given)} distances are more than the {distance.max()} that occur")
        else:
            table = np.zeros(distance.max() + 1)
            table[0], table[1 : len(given) + 1] = 1.0, given
        found = cls(axes, tuple(table.tolist()))
        least = float(found._spectrum.min())
        if least < -_ROUNDING * found.count:
            text = f"inputs cannot be correlated like this: an eigenvalue of their covariance is {least:.3g}"
            raise ValueError(f"input_correlation: {text}")
        return found

    @property
    def count(self) -> int:
        """Number of positions."""
        return math.prod(self.positions)

    @cached_property
    def correlation(self) -> FloatArray:
        """Of the input at every position with that at the first, C order, shape (P,)."""
        return np.asarray(np.array(self.by_distance)[_distances(self.positions)].ravel())

    @property
    def is_white(self) -> bool:
        """Whether the inputs of different positions are uncorrelated: then everything is as in a dense network."""
        return not any(self.by_distance[1:])

    @cached_property
    def _spectrum(self) -> FloatArray:
        return np.asarray(np.fft.fftn(self.correlation.reshape(self.positions)).real)

    @property
    def eigenvalues(self) -> FloatArray:
        """Of the covariance of the inputs of all positions, one a frequency, over an entry's variance."""
        values = self._spectrum.ravel()
        return np.where(values > _ROUNDING * values.max(), values, 0.0)

    @cached_property
    def modes(self) -> Modes:
        """The frequencies that differ."""
        lag = self.correlation
        values = np.unique(lag[1:][lag[1:] != 0.0])
        waves = np.empty((self.count, len(values)))
        for number, value in enumerate(values):
            lags = np.where(lag == value, 1.0, 0.0)
            lags[0] = 0.0
            waves[:, number] = np.fft.fftn(lags.reshape(self.positions)).real.ravel()
        _, first, repeats = np.unique(np.round(waves, _DIGITS), axis=0, return_index=True, return_counts=True)
        return Modes(self.eigenvalues[first], repeats / self.count, values, waves[first])

    def described(self) -> dict[str, Any]:
        """Metadata for a file, ready for JSON."""
        return {"positions": list(self.positions), "input_correlation": list(self.by_distance[1:])}


def convolution_of(positions: object, input_correlation: object) -> Convolution | None:
    """The convolution that arguments of Python say, None where neither was given.

    Raises
    ------
    ValueError
        It names the argument and its value.
    """
    if positions is None:
        if input_correlation is not None:
            text = "is that between positions of a convolution; give positions"
            raise ValueError(f"input_correlation: {shown(input_correlation)} {text}")
        return None
    axes = whole_numbers("positions", positions, MOST_POSITIONS)
    correlation = numbers(
        "input_correlation", 0.0 if input_correlation is None else input_correlation, NUMBERS["correlation"]
    )
    return Convolution.of(axes, correlation)


@dataclass(frozen=True)
class Modes:
    """Frequencies of a convolution: F that differ, and U values of the correlation between two positions.

    Attributes
    ----------
    eigenvalue, share : of the input's covariance at a frequency, and how many frequencies are like it, shape (F,).
    correlation : the values but 0, shape (U,).
    wave : sums of `cos(f lag)` over the lags, but 0, of that correlation, shape (F, U).
    """

    eigenvalue: FloatArray
    share: FloatArray
    correlation: FloatArray
    wave: FloatArray

    def parts(self, count: int) -> Iterator[Modes]:
        """So many of the frequencies after the other, with their shares of all."""
        for start in range(0, len(self.share), count):
            some = slice(start, start + count)
            yield Modes(self.eigenvalue[some], self.share[some], self.correlation, self.wave[some])

    @property
    def log_volume(self) -> float:
        """Mean logarithm of the eigenvalues; -inf where one of them is 0."""
        with np.errstate(divide="ignore"):
            return float(self.share @ np.log(self.eigenvalue))


def _distances(positions: tuple[int, ...]) -> Any:
    """Steps from every position to the first, the shorter way round."""
    found = np.zeros(positions, dtype=np.intp)
    for axis, count in enumerate(positions):
        steps = np.arange(count)
        shape = [1] * len(positions)
        shape[axis] = count
        found = found + np.minimum(steps, count - steps).reshape(shape)
    return found
