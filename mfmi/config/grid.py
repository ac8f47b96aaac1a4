"""The grid of a sweep as arithmetic on indices: nothing here grows with the number of points."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.config.values import Integers, Listed, Value, Values

# Beyond this many distinct patterns of excluded values, or kinds of point, the points are bounded, not counted.
_MOST_PATTERNS = 100_000


@dataclass(frozen=True)
class SweepAxis:
    """One quantity of a sweep and the values it takes.

    Attributes
    ----------
    name
        The quantity: "activation", "sigma_w", "depth", ...
    values
        Its values as given.
    squared
        Whether they are variances of what `name` says, to be replaced by their roots.
    """

    name: str
    values: Values
    squared: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @property
    def given_as(self) -> str:
        """The key under which the config has it: "sigma_w2" for a squared "sigma_w"."""
        return self.name + "2" * self.squared

    def at(self, index: Integers) -> NDArray[Any]:
        """Return the values at `index`; standard deviations where variances were given."""
        values = self.values.at(index)
        return np.sqrt(values) if self.squared else values


@dataclass(frozen=True)
class Exclusion:
    """An entry of `exclude`: it takes out the points at which every axis it names has one of the values it names.

    Attributes
    ----------
    matches : pairs of an axis's name and the positions of the named values on that axis, ascending.
    """

    matches: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Grid:
    """Axes combined, or side by side, less what is excluded.

    Attributes
    ----------
    axes
        The axes; the first is the slowest. An axis with one value is a constant.
    product
        Whether all combinations are meant; otherwise the i-th point has the i-th value of every axis.
    exclude
        What is left out. Indices keep counting it.
    """

    axes: tuple[SweepAxis, ...]
    product: bool
    exclude: tuple[Exclusion, ...] = ()

    @cached_property
    def size(self) -> int:
        """Number of points before any is excluded."""
        lengths = [len(axis) for axis in self.axes]
        return math.prod(lengths) if self.product else max(lengths)

    @cached_property
    def _strides(self) -> tuple[int, ...]:
        inner = accumulate((len(axis) for axis in reversed(self.axes[1:])), lambda a, b: a * b, initial=1)
        return tuple(inner)[::-1]

    def positions(self, index: Integers) -> dict[str, Integers]:
        """Return where on each axis the points `index` stand."""
        if self.product:
            return {a.name: index // step % len(a) for a, step in zip(self.axes, self._strides, strict=True)}
        return {axis.name: index if len(axis) > 1 else np.zeros_like(index) for axis in self.axes}

    def numbers(self, positions: Mapping[str, Integers]) -> Integers:
        """Return the points that stand at such places on the axes of a product: the inverse of `positions`."""
        steps = zip(self.axes, self._strides, strict=True)
        return np.asarray(sum(step * positions[axis.name] for axis, step in steps), dtype=np.int64)

    def kept(self, start: int, stop: int) -> Integers:
        """Return the indices in [start, stop) of points that are not excluded, ascending."""
        return self._left(np.arange(max(0, start), min(stop, self.size), dtype=np.int64))

    def _left(self, index: Integers) -> Integers:
        """Those of the points that are not excluded."""
        if not self.exclude:
            return index
        positions = self.positions(index)
        out = np.zeros(len(index), dtype=bool)
        for exclusion in self.exclude:
            hit = ~out
            for name, values in exclusion.matches:
                hit &= np.isin(positions[name], np.array(values, dtype=np.int64))
            out |= hit
        return index[~out]

    def count(self) -> int | None:
        """Return how many points are left, or None where the exclusions overlap too intricately to count."""
        if not self.exclude:
            return self.size
        if not self.product:
            return self.size - len(self._excluded_rows())
        # patterns: number of combinations of the axes seen so far, by the set (as bits) of entries still matching
        everything = (1 << len(self.exclude)) - 1
        patterns = {everything: 1}
        for axis in self.axes:
            classes = self._classes(axis, everything)
            if len(patterns) * len(classes) > _MOST_PATTERNS:
                return None
            combined: dict[int, int] = {}
            for matching, number in patterns.items():
                for allowed, values in classes.items():
                    combined[matching & allowed] = combined.get(matching & allowed, 0) + number * values
            patterns = combined
        return patterns.get(0, 0)

    def representatives(self, alike: Mapping[str, Callable[[Value], Hashable]]) -> Integers | None:
        """Return a point of each kind that there is, or None where there are too many kinds.

        Parameters
        ----------
        alike
            By the name of an axis, a function that is equal for values of one kind; those of other axes are all alike.
            Of a range, whose values are too many to look at, 0 alone may be of a kind of its own.
        """
        if not self.product and self.size <= _MOST_PATTERNS:
            return self.kept(0, self.size)
        places = [self._kinds(axis, alike.get(axis.name)) for axis in self.axes]
        if not self.product:
            # A range that long beside others: what is alike follows from few of its places.
            return self._left(
                np.unique([at for place, axis in zip(places, self.axes, strict=True) if len(axis) > 1 for at in place])
            )
        if math.prod(map(len, places)) > _MOST_PATTERNS:
            return None
        index = np.zeros(1, dtype=np.int64)
        for place, step in zip(places, self._strides, strict=True):
            index = (index[:, None] + step * np.array(place, dtype=np.int64)).ravel()
        return np.sort(self._left(index))

    def _kinds(self, axis: SweepAxis, kind: Callable[[Value], Hashable] | None) -> list[int]:
        """Positions of values of an axis, one for each kind and set of exclusions that admit it."""
        bits: dict[int, int] = {}
        for bit, exclusion in enumerate(self.exclude):
            for name, values in exclusion.matches:
                for i in values if name == axis.name else ():
                    bits[i] = bits.get(i, 0) | 1 << bit
        if isinstance(axis.values, Listed):
            some: Iterable[int] = range(len(axis))
        else:
            special = {*bits, *axis.values.positions(0.0)}
            other = next((i for i in range(len(axis)) if i not in special), None)
            some = sorted(special if other is None else {*special, other})
        found: dict[Hashable, int] = {}
        for i in some:
            found.setdefault((kind and kind(axis.values[i]), bits.get(i, 0)), i)
        return list(found.values())

    def _excluded_rows(self) -> set[int] | range:
        """Return the excluded points of axes that run side by side."""
        constant = {axis.name for axis in self.axes if len(axis) == 1}
        rows: set[int] = set()
        for exclusion in self.exclude:
            varying = [set(values) for name, values in exclusion.matches if name not in constant]
            if not varying:
                return range(self.size)
            rows |= set.intersection(*varying)
        return rows

    def _classes(self, axis: SweepAxis, everything: int) -> dict[int, int]:
        """Return the number of the axis's values by the set of exclusions that admit them."""
        special: dict[int, int] = {}
        free = everything
        for bit, exclusion in enumerate(self.exclude):
            for name, values in exclusion.matches:
                if name == axis.name:
                    free &= ~(1 << bit)
                    for i in values:
                        special[i] = special.get(i, 0) | 1 << bit
        classes = {free: len(axis) - len(special)}
        for bits in special.values():
            classes[bits | free] = classes.get(bits | free, 0) + 1
        return {bits: number for bits, number in classes.items() if number}
