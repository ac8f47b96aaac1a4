"""What all networks of a grid have in common besides their points: the shape of the layers (theory section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """The law of the networks of a grid, as far as it is not an axis of it.

    Attributes
    ----------
    alpha : ratios `n_l / n_{l-1}` of the widths of the layers; empty for square layers at any depth.
    """

    alpha: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for ratio in self.alpha:
            if not 0.0 < ratio < np.inf:
                raise ValueError(f"alpha must be finite and greater than 0, not {ratio!r}")

    @property
    def layers(self) -> int | None:
        """Number of layers that the shape has, or None where any depth will do."""
        return len(self.alpha) or None

    def ratios(self, depth: int) -> Array:
        """`alpha_l` of layers 1 to `depth`.

        Raises
        ------
        ValueError
            There are fewer layers.
        """
        if self.layers is None:
            return np.ones(depth)
        if depth > self.layers:
            raise ValueError(f"depth must be at most {self.layers}, the number of layers, not {depth}")
        return np.array(self.alpha[:depth])

    def described(self) -> dict[str, Any]:
        """What there is to say of the model in a file's metadata, ready for JSON; equal for equal models."""
        return {"network.alpha": list(self.alpha)} if self.alpha else {}


def ratios_of(widths: Sequence[int]) -> tuple[float, ...]:
    """Ratios `n_l / n_{l-1}` of widths `n_0, n_1, ..., n_L`."""
    return tuple(after / before for before, after in pairwise(widths))


SQUARE = Model()
