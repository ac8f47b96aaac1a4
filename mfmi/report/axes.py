"""Axes of figures: whether values are spaced evenly or by ratios, and where a picture of so many cells has them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.arguments.arrays import FloatArray

# From this ratio of the ends on, values whose ratios vary less than their steps lie on a logarithmic axis.
_WIDE = 4.0


@dataclass(frozen=True)
class FigureAxis:
    """The values along one side of a figure.

    Attributes
    ----------
    name : the column.
    values : distinct values, increasing, shape (n,).
    by_ratios : whether they are spaced by ratios; None where the values say it.
    """

    name: str
    values: FloatArray
    by_ratios: bool | None = None

    @classmethod
    def of(cls, name: str, values: ArrayLike, by_ratios: bool | None = None) -> FigureAxis:
        """The axis that holds the values given, in any order and with repetitions."""
        return cls(name, np.unique(np.asarray(values, dtype=np.float64)), by_ratios)

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def logarithmic(self) -> bool:
        """Whether the values are spaced by ratios rather than by steps."""
        if self.by_ratios is not None:
            return self.by_ratios
        if len(self.values) < 3 or self.values[0] <= 0.0 or self.values[-1] < _WIDE * self.values[0]:
            return False
        steps, ratios = np.diff(self.values), np.diff(np.log(self.values))
        return bool(ratios.max() / ratios.min() < steps.max() / steps.min())

    def scaled(self, x: ArrayLike) -> FloatArray:
        """Coordinates in which the axis is even."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(x) if self.logarithmic else x, dtype=np.float64)

    @cached_property
    def borders(self) -> FloatArray:
        """Ends of the cells around the values, shape (n + 1,), in the axis' own numbers."""
        at = self.scaled(self.values)
        if len(at) == 1:
            half = max(0.5 * abs(float(at[0])), 0.5)
            edges = np.array([at[0] - half, at[0] + half])
        else:
            middle = 0.5 * (at[1:] + at[:-1])
            edges = np.concatenate(([2.0 * at[0] - middle[0]], middle, [2.0 * at[-1] - middle[-1]]))
        return np.exp(edges) if self.logarithmic else edges

    def nearest(self, x: ArrayLike) -> NDArray[np.intp]:
        """Number of the value whose cell holds x."""
        inside = np.searchsorted(self.scaled(self.borders)[1:-1], self.scaled(x), side="right")
        return np.asarray(inside, dtype=np.intp)

    def cells(self, count: int) -> FloatArray:
        """Middles of `count` even cells between the borders."""
        low, high = self.scaled(self.borders[[0, -1]])
        at: FloatArray = low + (np.arange(count) + 0.5) * (high - low) / count
        return np.exp(at) if self.logarithmic else at

    def cell_of(self, x: ArrayLike, count: int) -> NDArray[np.intp]:
        """Index of the one of `count` equal cells that holds x; -1 outside and for NaN."""
        low, high = self.scaled(self.borders[[0, -1]])
        place = (self.scaled(x) - low) / (high - low) * count
        inside = (place >= 0.0) & (place <= count)
        cell: NDArray[np.intp] = np.minimum(np.where(inside, place, 0.0), count - 1).astype(np.intp)
        return np.where(inside, cell, -1)


def axis_ticks(axis: FigureAxis, most: int) -> FloatArray:
    """Ticks of a logarithmic axis or one of layers: values that read well, of layers only those there are."""
    if axis.name != "depth":
        return ticks(axis, most)
    return axis.values if len(axis) <= most else axis.values[:: -(-len(axis) // most)]


def ticks(axis: FigureAxis, most: int) -> FloatArray:
    """At most `most` values along an axis that read well: 1, 2 or 5 times a power of ten apart, or powers of ten."""
    low, high = axis.values[0], axis.values[-1]
    if len(axis) == 1 or most < 2:
        return axis.values[:1]
    if axis.logarithmic:
        return _decades(low, high, most)
    for step in _steps((high - low) / most):
        places = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1.0) * step + 0.0
        if len(places) <= most:
            return np.asarray(places) if len(places) > 1 else np.array([low, high])
    return np.array([low, high])


def _steps(least: float) -> list[float]:
    power = np.floor(np.log10(least))
    return [float(factor * 10.0 ** (power + decade)) for decade in (0, 1) for factor in (1.0, 2.0, 5.0)]


def _decades(low: float, high: float, most: int) -> FloatArray:
    for factors in ((1.0, 2.0, 5.0), (1.0,)):
        powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.floor(np.log10(high)) + 1.0)
        places: FloatArray = np.sort(np.outer(powers, factors).ravel())
        places = places[(places >= low * (1.0 - 1e-9)) & (places <= high * (1.0 + 1e-9))]
        if 2 <= len(places) <= most:
            return places
    return np.array([low, high])
