"""The numbers that are taken, the same by every door: command line, configs and Python. Free of numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

# Squares of numbers in this range, and products of two such squares, neither overflow nor vanish.
SMALLEST, LARGEST = 1e-100, 1e100
# Layers of a network; what a row costs grows with its depth.
DEEPEST = 10_000
# Units of a layer, and of a layer of a finite network that is drawn.
WIDEST, WIDEST_DRAWN = 10**9, 10**6
# Units of square layers that are drawn with all their weights; networks and inputs that are averaged over.
WIDEST_SQUARE, MOST_NETWORKS, MOST_SAMPLES = 20_000, 10**6, 10**7
# Positions of a convolution, whose frequencies are networks of their own.
MOST_POSITIONS = 4096
# Entries of an input whose covariance is looked at entry by entry.
MOST_ENTRIES = 10**7
MOST_SEED = 2**63 - 1
# Points of an adaptive sweep, all of which are looked at again in every round.
MOST_ADAPTIVE = 10**6
# Rows that are worked on at once, and layers times points, which bounds the memory of whatever is asked for; pairs of
# inputs of a data set, and of layers of the sites of residual streams, some seconds of work.
ROWS_AT_ONCE, LAYERS_AT_ONCE, PAIRS_AT_ONCE, SITE_PAIRS_AT_ONCE = 4096, 30_000, 20_000_000, 2_000_000
# Offsets of neurons in all layers together: an array of them is 8 MB, and there are a dozen.
OFFSETS_AT_ONCE = 1_000_000

_NARROWEST = 1e-9


@dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`, both included.

    Attributes
    ----------
    least, most : the bounds.
    zero : whether 0 is taken besides, where `least` is greater.
    reason : why a number too low and not positive makes no sense, in words that follow "and".
    """

    least: float = -math.inf
    most: float = math.inf
    zero: bool = False
    reason: str = ""

    @property
    def lowest(self) -> float:
        """The smallest number that is taken."""
        return 0.0 if self.zero else self.least

    def objection(self, number: float) -> str | None:
        """Say what is wrong with a number, in words that follow it; None where nothing is."""
        if not math.isfinite(number):
            return "is not finite"
        if number > self.most:
            return f"is greater than {self.most:g}"
        if number >= self.least or (self.zero and number == 0.0):
            return None
        because = f", and {self.reason}" if self.reason and number <= 0.0 else ""
        if self.zero:
            return f"is less than 0{because}" if number < 0.0 else f"is less than {self.least:g} and not 0"
        if number <= 0.0 < self.least:
            return f"is not greater than 0{because}"
        return f"is less than {self.least:g}"


DEVIATION = Range(SMALLEST, LARGEST, zero=True)
VARIANCE = Range(SMALLEST**2, LARGEST**2, zero=True)
NOISE = Range(SMALLEST, LARGEST, reason="without noise the information is infinite")
INPUT_VARIANCE = Range(SMALLEST, LARGEST)
# Share of an axis of an adaptive sweep below which nothing is resolved.
TOLERANCE = Range(1e-9, 0.5)

# By the name of the argument, the axis or the option.
NUMBERS: Mapping[str, Range] = {
    "sigma_w": DEVIATION,
    "sigma_w2": VARIANCE,
    "sigma_b": DEVIATION,
    "sigma_b2": VARIANCE,
    "sigma_noise": NOISE,
    "input_variance": INPUT_VARIANCE,
    "correlation": Range(-1.0, 1.0),
    "skip": DEVIATION,
    "branch": Range(-LARGEST, LARGEST),
    "hidden_ratio": Range(_NARROWEST, 1.0 / _NARROWEST),
    "sigma_w_in": DEVIATION,
    "sigma_b_in": DEVIATION,
    "sigma_w_out": DEVIATION,
    "sigma_b_out": DEVIATION,
    "alpha": Range(_NARROWEST, 1.0 / _NARROWEST),
    "keep": Range(_NARROWEST, 1.0 - _NARROWEST),
    "sparsity": Range(_NARROWEST, 1.0),
    # Largest squared singular value of a weight matrix.
    "gains": Range(SMALLEST**2, LARGEST**2),
    "eigenvalues": Range(SMALLEST, LARGEST, zero=True),
    "entries": Range(-LARGEST, LARGEST),
}
