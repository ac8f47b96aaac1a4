"""Adaptive sweeps: a `Refinement` says which points come next, the engine of all sweeps computes them chunk by chunk.

Chunks are numbered round after round, and so are points. A round opens when all rows of the one before are there, be it
from this run or from one that it goes on with: the finished chunks are all the state there is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfmi.config.points import points_at
from mfmi.config.schema import PHASE
from mfmi.config.values import Integers
from mfmi.names import PHASES
from mfmi.networks.points import Points
from mfmi.storage import parquet as store
from mfmi.sweep.chunks import Evaluate, Task
from mfmi.sweep.plan import Plan
from mfmi.sweep.refinement import Lattice, Refinement

if TYPE_CHECKING:
    from mfmi.config.adaptive import Adaptive
    from mfmi.config.grid import Grid

# A round is divided into so many chunks, for as many workers, but not into smaller ones: a chunk has costs of its own.
_CHUNKS, _LEAST_POINTS = 16, 16


@dataclass(frozen=True)
class Lot:
    """Points of a chunk.

    Attributes
    ----------
    first : number of the first of them.
    places : their numbers on the finest grid, ascending.
    """

    first: int
    places: Integers


@dataclass(frozen=True)
class AdaptivePlan(Plan):
    """The first grid of an adaptive sweep, and the lattice on which all its points lie."""

    @property
    def adaptive(self) -> Adaptive:
        """Rules by which it is refined."""
        found = self.config.adaptive
        assert found is not None
        return found

    @cached_property
    def n_points(self) -> int:
        """The most points there can be: the budget."""
        return self.adaptive.points

    @cached_property
    def fine(self) -> Grid:
        """The finest grid."""
        return self.adaptive.fine(self.config.grid)

    @cached_property
    def _refined(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.config.axes if axis.name in self.adaptive.axes)

    @cached_property
    def _panels(self) -> dict[str, Integers]:
        """Positions on the axes that are not refined, of every combination that is not excluded."""
        grid = self.config.grid
        at = grid.positions(grid.kept(0, grid.size))
        others = np.stack([at[axis.name] for axis in grid.axes if axis.name not in self._refined])
        found = np.unique(others, axis=1)
        names = [axis.name for axis in grid.axes if axis.name not in self._refined]
        return dict(zip(names, found, strict=True))

    @cached_property
    def lattice(self) -> Lattice:
        """The lattice: a panel for each combination of values that are not refined."""
        lengths = {axis.name: len(axis) for axis in self.config.axes}
        cells = tuple(lengths[name] - 1 for name in self._refined)
        return Lattice(cells, self.adaptive.level, len(next(iter(self._panels.values()))))

    def refinement(self) -> Refinement:
        """Return the strategy, before its first round."""
        return Refinement(self.lattice, self.adaptive.points, categories=self.adaptive.target == PHASE)

    def places(self, keys: Integers) -> Integers:
        """Return where points of the lattice stand on the finest grid."""
        panels, places = self.lattice.split_keys(keys)
        positions = {name: at[panels] for name, at in self._panels.items()}
        return self.fine.numbers(positions | {name: places[:, i] for i, name in enumerate(self._refined)})

    def points_of(self, lot: Lot) -> Points:
        """Expand the points of a chunk; their `index` is the number of each in the sweep."""
        points = points_at(self.fine, lot.places, self.config.input_variance, self.config.input_correlation)[0]
        return replace(points, index=lot.first + np.arange(len(lot.places), dtype=np.int64))

    def lots(self, first: int, index: Integers) -> list[Lot]:
        """Divide the points of a round, of which the first one has number `first`, into chunks."""
        most = self._points_at_once(self.config.depths)
        size = min(max(_LEAST_POINTS, -(-len(index) // _CHUNKS)), most)
        return [Lot(first + start, index[start : start + size]) for start in range(0, len(index), size)]

    def values(self, data: bytes) -> NDArray[np.float64]:
        """Return what the rows of a chunk say of its points: shape (points, quantities), NaN where nothing.

        The phase is a number of a category; a column has a quantity for each depth.
        """
        block = store.to_block(store.decode(data))
        n_depths = len(self.config.depths)
        if self.adaptive.target == PHASE:
            phases = block["phase"].reshape(-1, n_depths)[:, :1]
            numbers = {name: float(number) for number, name in enumerate(PHASES)}
            return np.array([[numbers.get(phase, np.nan) for phase in row] for row in phases])
        return np.asarray(_without_missed(self.adaptive.target, block).reshape(-1, n_depths))


def _without_missed(target: str, block: store.Block) -> NDArray[np.float64]:
    """Values of a column, NaN where the search for one has missed a minimum: a peak would be made of it."""
    from mfmi.bounds.evaluate import SEARCHED, has_missed

    values = np.array(block[target], dtype=np.float64)
    name = target.removeprefix("mi_")
    noted = np.flatnonzero([message is not None for message in block["message"]])
    if name in SEARCHED and len(noted):
        values[noted[has_missed(name, block["message"][noted])]] = np.nan
    return values


class Rounds:
    """The chunks of an adaptive sweep, opened round by round; iterates over the numbers of those to be computed.

    The iterator ends when nothing is left to be started until more rows are told, and goes on after that.

    Parameters
    ----------
    plan
        The plan.
    kept
        Returns the bytes of a chunk that is there already, None of the others.
    """

    plan: AdaptivePlan
    is_complete: bool

    def __init__(self, plan: AdaptivePlan, kept: Callable[[int], bytes | None] = lambda number: None) -> None:
        self.plan = plan
        self._kept = kept
        self._strategy = plan.refinement()
        self._lots: list[Lot] = []
        self._waiting: deque[int] = deque()
        self._values: dict[int, NDArray[np.float64]] = {}
        self._order: Integers = np.empty(0, dtype=np.int64)
        self.is_complete = False
        self._open()

    @property
    def n_chunks(self) -> int:
        """Number of chunks that are known of."""
        return len(self._lots)

    @property
    def n_points(self) -> int:
        """Number of their points."""
        return self._lots[-1].first + len(self._lots[-1].places)

    def lot(self, number: int) -> Lot:
        """Return the points of a chunk."""
        return self._lots[number]

    def __iter__(self) -> Rounds:
        return self

    def __next__(self) -> int:
        """Take the next chunk that is not there yet; those that are there are told on the way."""
        while self._waiting:
            number = self._waiting.popleft()
            data = self._kept(number)
            if data is None:
                return number
            self.tell(number, data)
        raise StopIteration

    def tell(self, number: int, data: bytes) -> None:
        """Receive a finished chunk; the last one of a round opens the next round."""
        self._values[number] = self.plan.values(data)
        if len(self._values) < len(self._round):
            return
        found = np.concatenate([self._values[number] for number in self._round])
        values = np.empty_like(found)
        values[self._order] = found
        self._strategy.tell(values)
        self._open()

    def _open(self) -> None:
        keys = self._strategy.ask()
        self.is_complete = not len(keys)
        if self.is_complete:
            return
        # In config order, as the points of a grid are; the strategy has an order of its own.
        index = self.plan.places(keys)
        self._order = np.argsort(index)
        start = len(self._lots)
        self._lots += self.plan.lots(self.n_points if self._lots else 0, index[self._order])
        self._round = range(start, len(self._lots))
        self._waiting.extend(self._round)
        self._values = {}

    @property
    def note(self) -> str:
        """Say how the refinement ended."""
        rounds, adaptive = self._strategy.rounds - 1, self.plan.adaptive
        if self._strategy.is_resolved:
            return f"refined in {rounds} rounds to the tolerance of {adaptive.tolerance:g} of each axis"
        return (
            f"refined in {rounds} rounds; more points would resolve more: sweep.adaptive.points is {adaptive.points:,}"
        )


@dataclass(frozen=True)
class AdaptiveTask(Task):
    """All that a worker must know to evaluate the chunks of an adaptive sweep, whose points it is told with each."""

    rounds: Rounds | None = None

    @classmethod
    def of(cls, rounds: Rounds, evaluate: Evaluate | None) -> AdaptiveTask:
        """Return the task of the process that holds the rounds."""
        return cls(rounds.plan, evaluate, rounds)

    def pickled(self) -> bytes:
        """Return the task for a worker, which has no rounds."""
        return Task.pickled(replace(self, rounds=None))

    def names(self, number: int) -> str:
        """Name the points of a chunk, for a message."""
        lot = self.piece(number)
        return f"points {lot.first} to {lot.first + len(lot.places) - 1}"

    def piece(self, number: int) -> Lot:
        """Return the points of a chunk."""
        assert self.rounds is not None
        return self.rounds.lot(number)

    def points(self, piece: Any) -> Points:
        """Expand the points of a chunk."""
        assert isinstance(self.plan, AdaptivePlan)
        return self.plan.points_of(piece)
