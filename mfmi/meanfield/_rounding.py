"""Rounding to a number format as relative noise (theory (29)): an approximation, the noise that it is equivalent to."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class NumberFormat:
    """A binary floating point format.

    Attributes
    ----------
    bits : significant bits, the hidden one included.
    least, largest : standard deviations of a signal between which the relative noise is that of the format; below, the
        subnormal numbers are coarser, above, values are clipped or lost.
    """

    bits: int
    least: float
    largest: float

    @property
    def share(self) -> float:
        """`eta^2`, the noise's share of the signal's variance: the mean of `step^2 / 12` over log-uniform significands.

        Rounding is a function of the signal, and this is the independent noise of the same variance. Where a block of a
        residual stream adds less than about `2^(1 - bits)` of the stream, rounding leaves the stream alone and such
        noise in every layer is far too pessimistic.
        """
        return 3.0 / (8.0 * math.log(2.0)) / 12.0 * 4.0 ** (1 - self.bits)


# Where the ends of the flat range lie was measured on gaussian signals.
NUMBER_FORMATS = {
    "float16": NumberFormat(11, 2.0**-11, 2.0**12),
    "bfloat16": NumberFormat(8, 0.0, math.inf),
    "float8_e4m3fn": NumberFormat(4, 2.0**-4, 2.0**6),
    "float8_e5m2": NumberFormat(3, 2.0**-12, 2.0**13),
}
