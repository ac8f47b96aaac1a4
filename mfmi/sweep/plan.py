"""Plans: a config's grid as chunks of points, worked out only where they are asked for.

A plan holds axes, not points; the cost of anything it answers is that of the points in the answer. Its chunks follow
from the config alone, so that a sweep can be divided, interrupted and resumed without any effect on its result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from mfmi.columns import Points
from mfmi.model import Model
from mfmi.sweep._values import Integers, Listed
from mfmi.sweep.config import Config

# Large enough for vectorised arithmetic to pay, small enough for a chunk to be redone without regret.
_CHUNK_ROWS = 4096
# Layers times points of a chunk: what bounds its memory when a grid is deep.
_CHUNK_LAYERS = 30_000
# Pairs of inputs of a data set times points: some seconds.
_CHUNK_PAIRS = 20_000_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Grid points [start, stop), the unit of work.

    Attributes
    ----------
    number : which chunk of the plan it is, from 0.
    start, stop : the indices of its points in the whole grid; those excluded count.
    """

    number: int
    start: int
    stop: int


class Chunks(Sequence[Chunk]):
    """All chunks of a plan in order, each made when it is asked for."""

    def __init__(self, n_grid: int, size: int) -> None:
        self._n_grid, self._size = n_grid, size

    def __len__(self) -> int:
        """Return how many chunks there are."""
        return -(-self._n_grid // self._size)

    @overload
    def __getitem__(self, number: int) -> Chunk: ...
    @overload
    def __getitem__(self, number: slice) -> list[Chunk]: ...
    def __getitem__(self, number: int | slice) -> Chunk | list[Chunk]:
        """Return the chunk of that number, or those of a slice of numbers."""
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        i = range(len(self))[number]
        return Chunk(i, i * self._size, min((i + 1) * self._size, self._n_grid))


@dataclass(frozen=True)
class Plan:
    """The points of a sweep and how they are divided into chunks.

    Attributes
    ----------
    config : the sweep.
    """

    config: Config

    @classmethod
    def from_config(cls, config: Config) -> "Plan":
        """Plan the sweep of `config`; this expands nothing."""
        return cls(config)

    @property
    def n_grid(self) -> int:
        """How many points the grid has, the excluded ones included."""
        return self.config.grid.size

    @property
    def n_points_bound(self) -> int:
        """The most points there can be."""
        return self.n_grid if self.n_points is None else self.n_points

    @cached_property
    def n_points(self) -> int | None:
        """How many points are left after exclusion, or None where that is too intricate to count."""
        return self.config.grid.count()

    @property
    def n_rows_bound(self) -> int:
        """The most rows there can be: points times depths."""
        return self.n_points_bound * max(1, len(self.config.depths))

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """All depths that occur, in config order where every point has all of them, else ascending."""
        if self.config.depths:
            return self.config.depths
        values = next(axis.values for axis in self.config.axes if axis.name == "depth")
        assert isinstance(values, Listed)
        return tuple(sorted({int(depth) for depth in values.values}))

    @property
    def estimators(self) -> tuple[str, ...]:
        """Names of the estimators, in the order of their columns."""
        return self.config.estimators

    @property
    def further(self) -> tuple[str, ...]:
        """Names of the columns behind the contract's, in their order."""
        return self.config.columns

    @property
    def model(self) -> Model:
        """What all networks have in common."""
        return self.config.model

    @property
    def unit(self) -> str:
        """Unit of the information, "nats" or "bits"."""
        return self.config.output_unit

    @property
    def chunk_size(self) -> int:
        """How many grid points a chunk has."""
        depths = self.config.depths
        by_rows, by_layers = _CHUNK_ROWS // max(1, len(depths)), _CHUNK_LAYERS // max(1, *depths, 1)
        data = self.config.model.data
        by_pairs = _CHUNK_PAIRS // len(data.inputs) ** 2 if data else by_rows
        return max(1, min(by_rows, by_layers, by_pairs))

    @property
    def n_chunks(self) -> int:
        """How many chunks there are."""
        return len(self.chunks())

    def chunks(self) -> Chunks:
        """Return the chunks, which together are the grid."""
        return Chunks(self.n_grid, self.chunk_size)

    def chunk(self, number: int) -> Chunk:
        """Return the chunk of that number."""
        return self.chunks()[number]

    def points(self, start: int, stop: int) -> Points:
        """Expand part of the grid.

        Parameters
        ----------
        start, stop
            Indices in the whole grid; those past its end are ignored.

        Returns
        -------
        Points
            The points in [start, stop) that are not excluded, in order; their `index` is that in the whole grid.
        """
        index = self.config.grid.kept(start, stop)
        positions = self.config.grid.positions(index)
        columns = {axis.name: axis.at(positions[axis.name]) for axis in self.config.axes if axis.name != "depth"}
        return Points(
            index=index,
            input_variance=np.full(len(index), self.config.input_variance),
            correlation=np.full(len(index), self.config.input_correlation),
            **columns,
        )

    def depths_for(self, points: Points) -> NDArray[np.int64]:
        """Return the depths at which points of this plan are observed.

        Parameters
        ----------
        points
            n points, as `points` returns them or any of those.

        Returns
        -------
        numpy.ndarray
            Shape (D,), the depths that every point has; or (n, 1) where the depth is an axis.
        """
        if self.config.depths:
            return np.array(self.config.depths, dtype=np.int64)
        index: Integers = points.index
        axis = next(axis for axis in self.config.axes if axis.name == "depth")
        return axis.at(self.config.grid.positions(index)["depth"]).astype(np.int64)[:, np.newaxis]
