"""Plans: a config's grid as chunks of points, worked out only where they are asked for.

A plan holds axes, not points; the cost of anything it answers is that of the points in the answer. Its chunks follow
from the config alone, so that a sweep can be divided, interrupted and resumed without any effect on its result.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.config.config import Config
from mfmi.config.grid import SweepAxis
from mfmi.config.points import points_at
from mfmi.config.values import Integers, Listed
from mfmi.networks.model import Model
from mfmi.networks.points import Points


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
        if config.adaptive is not None:
            from mfmi.sweep.adaptive import AdaptivePlan  # which is a plan itself

            return AdaptivePlan(config)
        return cls(config)

    @property
    def n_grid(self) -> int:
        """Number of points of the grid, excluded ones included."""
        return self.config.grid.size

    @property
    def n_points_bound(self) -> int:
        """The most points there can be."""
        return self.n_grid if self.n_points is None else self.n_points

    @cached_property
    def n_points(self) -> int | None:
        """Number of points after exclusion, or None if it is too costly to count."""
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
        values = self._depth_axis.values
        assert isinstance(values, Listed)
        return tuple(np.unique(values.at(np.arange(len(values)))).tolist())

    @property
    def estimators(self) -> tuple[str, ...]:
        """Names of the estimators, in the order of their columns."""
        return self.config.estimators

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the columns after the contract's, in their order."""
        return self.config.columns

    @cached_property
    def model(self) -> Model:
        """Properties shared by all networks; the exact channel is tabulated or not for all of the grid alike."""
        layers = sum(self.config.depths) or max(self.depths)
        return self.config.model.for_layers(self.n_points_bound * layers)

    @property
    def unit(self) -> str:
        """Unit of the information, "nats" or "bits"."""
        return self.config.output_unit

    @cached_property
    def chunk_size(self) -> int:
        """Largest number of grid points in a chunk."""
        starts = self._starts
        return starts.step if isinstance(starts, range) else int(np.diff([*starts, self.n_grid]).max())

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return len(self._starts)

    def chunks(self) -> Iterator[Chunk]:
        """Iterate over the chunks, which together are the grid."""
        return map(self.chunk, range(self.n_chunks))

    @cached_property
    def _starts(self) -> Sequence[int]:
        """The first grid point of every chunk."""
        if self.config.depths:
            return range(0, self.n_grid, self._points_at_once(self.config.depths))
        every = self._depth_axis.at(self.config.grid.positions(np.arange(self.n_grid))["depth"]).tolist()
        most = {depth: self._points_at_once(depth) for depth in set(every)}
        starts, deepest = [0], every[0]
        for index, depth in enumerate(every):
            deepest = max(deepest, depth)
            if index - starts[-1] >= most[deepest]:
                starts.append(index)
                deepest = depth
        return starts

    def _points_at_once(self, depths: ArrayLike) -> int:
        return self.model.points_at_once(depths, sites=self.config.networks.sites)

    @property
    def _depth_axis(self) -> SweepAxis:
        """The axis of the depths, where every point has its own."""
        return next(axis for axis in self.config.axes if axis.name == "depth")

    def chunk(self, number: int) -> Chunk:
        """Return the chunk of that number; IndexError past the last."""
        i = range(self.n_chunks)[number]
        return Chunk(i, self._starts[i], self._starts[i + 1] if i + 1 < self.n_chunks else self.n_grid)

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
        return points_at(self.config.grid, index, self.config.input_variance, self.config.input_correlation)[0]

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
        return self._depth_axis.at(self.config.grid.positions(index)["depth"]).astype(np.int64)[:, np.newaxis]
