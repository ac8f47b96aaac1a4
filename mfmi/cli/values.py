"""A number, a list of numbers or a range of them as one option."""

from __future__ import annotations

from typing import Any

import click

from mfmi.arguments.ranges import Range
from mfmi.cli.generic import ParamType
from mfmi.cli.options import Real

MOST_VALUES = 100_000


class Values(ParamType[tuple[float, ...]]):
    """Numbers as 1.5, as 1,1.5,2 or as start:stop:num, a range that holds both ends.

    Parameters
    ----------
    within
        The numbers that are taken.
    """

    name = "values"

    def __init__(self, within: Range) -> None:
        self._number = Real(within)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return the numbers, or say what is wrong with them."""
        if isinstance(value, tuple):
            return value
        text = str(value)
        if ":" not in text:
            return tuple(self._number.convert(part, param, ctx) for part in text.split(","))
        parts = text.split(":")
        if len(parts) != 3:
            self.fail(f"{text!r} is not start:stop:num, such as 0.5:3:101.", param, ctx)
        start, stop = (self._number.convert(part, param, ctx) for part in parts[:2])
        try:
            count = int(parts[2])
        except ValueError:
            self.fail(f"{parts[2]!r}, the number of values of the range {text!r}, is not a whole number.", param, ctx)
        if not 2 <= count <= MOST_VALUES:
            self.fail(f"{count}, the number of values of the range {text!r}, is not in 2..{MOST_VALUES}.", param, ctx)
        if not stop > start:
            self.fail(f"the range {text!r} does not go up.", param, ctx)
        step = (stop - start) / (count - 1)
        self._number.convert(start + step, param, ctx)  # next to 0 it may be too small
        return (*(start + i * step for i in range(count - 1)), stop)
