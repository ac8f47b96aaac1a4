"""The values of an axis: a list, or a range that is computed where it is asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Array = NDArray[Any]
Value = str | int | float | None
"""Of one point; None where a point does not have what others have."""


@dataclass(frozen=True)
class Listed:
    """Values that are written out.

    Attributes
    ----------
    values : words, integers, numbers, or a mixture of these.
    """

    values: tuple[Value, ...]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Value:
        return self.values[index]

    def __getstate__(self) -> dict[str, Any]:
        return {"values": self.values}

    @cached_property
    def _array(self) -> Array:
        kinds = set(map(type, self.values))
        kind: Any = kinds.pop() if kinds in ({int}, {float}) else object
        array = np.array(self.values, dtype=kind)
        array.setflags(write=False)
        return array

    @cached_property
    def _positions(self) -> dict[Value, list[int]]:
        positions: dict[Value, list[int]] = {}
        for i, value in enumerate(self.values):
            positions.setdefault(value, []).append(i)
        return positions

    def at(self, index: Integers) -> Array:
        """Return the values at `index`."""
        return self._array[index]

    def positions(self, value: Value) -> Sequence[int]:
        """Return where exactly `value` stands."""
        return self._positions.get(value, [])

    def nearest(self, value: float) -> float | None:
        """Return the number closest to `value`, None where there are only words."""
        numbers = np.array([one for one in self.values if isinstance(one, int | float)], dtype=np.float64)
        return float(numbers[np.argmin(np.abs(numbers - value))]) if len(numbers) else None


@dataclass(frozen=True)
class Spaced:
    """Numbers from `start` to `stop`, both included bit for bit, evenly spaced or evenly in their logarithm.

    The numbers are those of `numpy.linspace` and `numpy.geomspace`, without holding them: a range of 10^9 values costs
    nothing until some of them are asked for.

    Attributes
    ----------
    start, stop : the first and the last value, start < stop or num = 1.
    num : how many.
    logarithmic : the spacing; then start > 0.
    """

    start: float
    stop: float
    num: int
    logarithmic: bool = False

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> float:
        return float(self.at(np.array([range(self.num)[index]]))[0])

    def at(self, index: Integers) -> Array:
        """Return the values at `index`."""
        values = self._inner(np.asarray(index))
        values = np.where(index == self.num - 1, self.stop, values)
        return np.where(index == 0, self.start, values)

    def _inner(self, index: Integers) -> NDArray[np.float64]:
        if self.logarithmic:
            ends = np.log10(self.start), np.log10(self.stop)
            # Rounding in the logarithm may pass the ends, next to them.
            return np.clip(np.power(10.0, self._line(index, *ends)), self.start, self.stop)
        return np.clip(self._line(index, self.start, self.stop), self.start, self.stop)

    def _line(self, index: Integers, start: float, stop: float) -> NDArray[np.float64]:
        steps = max(1, self.num - 1)
        step = (stop - start) / steps
        # A step that underflows is divided after the product instead, as numpy.linspace does.
        offsets = index * step if step else index / steps * (stop - start)
        return np.asarray(offsets + start, dtype=np.float64)

    def positions(self, value: Value) -> Sequence[int]:
        """Return where exactly `value` stands."""
        if not isinstance(value, int | float):
            return []
        around = self._around(value)
        return [int(i) for i in around[self.at(around) == value]]

    def nearest(self, value: float) -> float:
        """Return the number closest to `value`."""
        values = self.at(self._around(value))
        return float(values[np.argmin(np.abs(values - value))])

    def _around(self, value: float) -> Integers:
        """Return the indices where a value close to `value` can stand."""
        value = min(max(value, self.start), self.stop)
        if self.num == 1:
            fraction = 0.0
        elif self.logarithmic:
            span = math.log(self.stop) - math.log(self.start)
            fraction = (math.log(value) - math.log(self.start)) / span if span else 0.0
        else:
            fraction = (value - self.start) / (self.stop - self.start)
        middle = round(fraction * (self.num - 1))
        return np.arange(max(0, middle - 2), min(self.num, middle + 3), dtype=np.int64)


Values = Listed | Spaced
