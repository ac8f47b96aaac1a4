"""What all networks of a grid have in common besides their points: the shape of the layers, real inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DataSet:
    """Real inputs, each as likely as any other, and the networks of finite width that they go through.

    Equal where the inputs, the width and the seed are; build one with `of`.

    Attributes
    ----------
    inputs : a row each, shape (N, n_0).
    width : units in every layer.
    seed : of the sampled hidden layers.
    sha256 : hash of the inputs.
    """

    inputs: Array = field(compare=False, repr=False)
    width: int
    seed: int
    sha256: str

    @classmethod
    def of(cls, inputs: Any, width: int, seed: int = 0) -> DataSet:
        """Return the data set of a table with at least two finite rows; ValueError where it is none."""
        table = np.ascontiguousarray(inputs, dtype="<f8")
        if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 1 or not np.isfinite(table).all():
            raise ValueError(f"inputs must be a finite table of at least two rows, not of shape {table.shape}")
        if not np.any(table):
            raise ValueError("inputs must not all be 0")
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width!r}")
        return cls(table, width, seed, hashlib.sha256(repr(table.shape).encode() + table.tobytes()).hexdigest())

    @property
    def variance(self) -> float:
        """Mean square of an input entry, which stands for the variance of Gaussian inputs."""
        return float(np.mean(np.square(self.inputs)))

    def described(self) -> dict[str, Any]:
        """What there is to say of it in a file's metadata, ready for JSON."""
        rows, entries = self.inputs.shape
        about = {"sha256": self.sha256, "inputs": rows, "entries": entries, "seed": self.seed}
        return {"input.dataset": about, "network.width": self.width}


@dataclass(frozen=True)
class Model:
    """The law of the networks of a grid, as far as it is not an axis of it.

    Attributes
    ----------
    alpha : ratios `n_l / n_{l-1}` of the widths of the layers; empty for square layers at any depth.
    data : real inputs for the pairwise bounds; None where there are none.
    """

    alpha: tuple[float, ...] = ()
    data: DataSet | None = None

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
        found: dict[str, Any] = {"network.alpha": list(self.alpha)} if self.alpha else {}
        return found | (self.data.described() if self.data else {})


def ratios_of(widths: Sequence[int]) -> tuple[float, ...]:
    """Ratios `n_l / n_{l-1}` of widths `n_0, n_1, ..., n_L`."""
    return tuple(after / before for before, after in pairwise(widths))


SQUARE = Model()
