"""Adaptive refinement: which points of a lattice to look at next, given what the ones before have shown.

`Refinement.ask` names points, `Refinement.tell` receives their values, and nothing here knows what the points stand for
or who computes them. What is asked for depends on the shape and on the values alone, so that a refinement can be
stopped, divided among workers and repeated without any effect on its points.

The boxes between the points of a first grid are cells. A round halves those that matter most along every axis, which
adds the points of the next finer lattice on them. Cells of different sizes meet, and a cell is judged by all the points
on its surface, those of smaller neighbours included.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mfmi.config.values import Integers

Floats = NDArray[np.float64]

# A round takes this share of the budget at least, so that its points occupy several workers.
_SHARE = 1 / 16
# Curvature may lift a cell above the largest value known by this share of the values' range, or it is rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Lattice:
    """Boxes that can be halved, several of the same shape.

    Attributes
    ----------
    cells : cells of the first grid along each axis.
    level : how often a cell may be halved. Coordinates count the steps of the finest lattice.
    panels : number of boxes; no cell has points of two.
    """

    cells: tuple[int, ...]
    level: int
    panels: int

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.cells)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Points of the finest lattice along each axis."""
        return tuple((number << self.level) + 1 for number in self.cells)

    @property
    def first_size(self) -> int:
        """Number of points of the first grids."""
        return self.panels * math.prod(number + 1 for number in self.cells)

    def keys(self, panels: Integers, places: Integers) -> Integers:
        """Number the points at `places`, shape (..., axes), of `panels`: a number a point, ascending by panel."""
        key = panels
        for axis, count in enumerate(self.counts):
            key = key * count + places[..., axis]
        return np.asarray(key, dtype=np.int64)

    def split_keys(self, keys: Integers) -> tuple[Integers, Integers]:
        """Undo `keys`."""
        places = []
        for count in reversed(self.counts):
            keys, place = np.divmod(keys, count)
            places.append(place)
        return keys, np.stack(places[::-1], axis=-1)


@dataclass(frozen=True)
class _Cells:
    """Cells, one a row: panel, number of halvings and the corner next to the origin."""

    panels: Integers
    levels: Integers
    corners: Integers

    def __len__(self) -> int:
        return len(self.panels)

    def __getitem__(self, rows: Integers | NDArray[np.bool_]) -> _Cells:
        return _Cells(self.panels[rows], self.levels[rows], self.corners[rows])

    @classmethod
    def joined(cls, parts: list[_Cells]) -> _Cells:
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("panels", "levels", "corners")))


class Refinement:
    """The points of a lattice that matter, a round at a time.

    Parameters
    ----------
    lattice
        Where points can be.
    budget
        Most points, those of the first grids included.
    categories
        Whether values are the numbers of categories, whose borders are sought; else their peaks are, and then the rest
        as far as it bends.

    Attributes
    ----------
    rounds : how many have been asked for.
    """

    rounds: int

    def __init__(self, lattice: Lattice, budget: int, *, categories: bool) -> None:
        if budget < lattice.first_size:
            raise ValueError(f"budget must be at least the {lattice.first_size} points of the first grid, got {budget}")
        self.lattice = lattice
        self.rounds = 0
        self._budget = budget
        self._categories = categories
        self._cells = self._first_cells()
        self._keys: Integers = np.empty(0, dtype=np.int64)
        self._values: Floats = np.empty((0, 1))
        self._asked: Integers | None = None

    @property
    def n_known(self) -> int:
        """Number of points whose values are known."""
        return len(self._keys)

    @property
    def is_resolved(self) -> bool:
        """Whether no cell that is left could be halved to any use."""
        return not len(self._ranked()[0])

    def ask(self) -> Integers:
        """Name the points of the next round.

        Returns
        -------
        ndarray of int
            Their `Lattice.keys`, ascending; empty at the end, when the budget is used up or all is resolved.
        """
        if self._asked is not None:
            raise RuntimeError("the values of the last round have not been told")
        self.rounds += 1
        self._asked = self._split() if self.n_known else self._corner_keys(self._cells, (0, 1))
        return self._asked

    def tell(self, values: Floats) -> None:
        """Receive the values of the last round.

        Parameters
        ----------
        values : ndarray, shape (points, quantities)
            In the order of `ask`; NaN where there is none, which says nothing.
        """
        if self._asked is None or len(values) != len(self._asked):
            raise RuntimeError("values of points that were not asked for")
        keys = np.concatenate([self._keys, self._asked])
        order = np.argsort(keys, kind="stable")
        found = np.concatenate([self._values, values]) if self.n_known else values
        self._keys, self._values, self._asked = keys[order], found[order], None

    # ---- cells -------------------------------------------------------------------------------------------------------

    def _first_cells(self) -> _Cells:
        lattice = self.lattice
        places = np.indices(lattice.cells).reshape(lattice.dimension, -1).T << lattice.level
        panels = np.repeat(np.arange(lattice.panels, dtype=np.int64), len(places))
        corners = np.tile(places, (lattice.panels, 1)).astype(np.int64)
        return _Cells(panels, np.zeros(len(panels), dtype=np.int64), corners)

    def _sides(self, cells: _Cells) -> Integers:
        """Steps along a side of each cell."""
        return np.left_shift(1, self.lattice.level - cells.levels)

    def _corner_keys(self, cells: _Cells, offsets: tuple[int, ...], parts: int = 1) -> Integers:
        """Number, each once, the points at multiples `offsets` of a share 1 / `parts` of the sides."""
        return np.unique(self._lattice_keys(cells, offsets, parts))

    def _lattice_keys(self, cells: _Cells, offsets: tuple[int, ...], parts: int = 1) -> Integers:
        """Number the points at multiples `offsets` of a share of the sides, a row a cell."""
        steps = np.array(list(itertools.product(offsets, repeat=self.lattice.dimension)), dtype=np.int64)
        share = self._sides(cells) // parts
        places = cells.corners[:, np.newaxis, :] + share[:, np.newaxis, np.newaxis] * steps
        return self.lattice.keys(cells.panels[:, np.newaxis], places)

    def _split(self) -> Integers:
        """Halve the cells of the next round; number the points that this adds."""
        chosen, wanted = self._ranked()
        if not len(chosen):
            return np.empty(0, dtype=np.int64)
        keys = self._lattice_keys(self._cells[chosen], (0, 1, 2), 2)
        new = self._where(keys.ravel()) < 0
        # Of a point that several cells share, the first of them pays for it.
        _, first = np.unique(keys, return_index=True)
        paid = np.zeros(keys.size, dtype=bool)
        paid[first] = True
        costs = (new & paid).reshape(keys.shape).sum(axis=1)
        total = np.cumsum(costs)
        fits = int(np.searchsorted(total, self._budget - self.n_known, side="right"))
        enough = int(np.searchsorted(total, _SHARE * self._budget)) + 1
        count = min(fits, max(wanted, enough), len(chosen))
        halved = chosen[:count]
        self._replace(halved)
        found = np.unique(keys[:count])
        return found[self._where(found) < 0]

    def _replace(self, halved: Integers) -> None:
        """Put its parts in the place of each cell."""
        cells = self._cells[halved]
        steps = np.array(list(itertools.product((0, 1), repeat=self.lattice.dimension)), dtype=np.int64)
        half = self._sides(cells) // 2
        corners = cells.corners[:, np.newaxis, :] + half[:, np.newaxis, np.newaxis] * steps
        repeated = len(steps)
        parts = _Cells(
            np.repeat(cells.panels, repeated),
            np.repeat(cells.levels + 1, repeated),
            corners.reshape(-1, self.lattice.dimension),
        )
        kept = np.ones(len(self._cells), dtype=bool)
        kept[halved] = False
        self._cells = _Cells.joined([self._cells[kept], parts])

    def _where(self, keys: Integers) -> Integers:
        """Rows of points among those that are known; -1 where they are not."""
        if not self.n_known:
            return np.full(keys.shape, -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self._keys, keys), self.n_known - 1)
        return np.where(self._keys[place] == keys, place, -1)

    # ---- what matters ------------------------------------------------------------------------------------------------

    def _ranked(self) -> tuple[Integers, int]:
        """Cells worth halving, the most important first, and how many of them belong into one round.

        Ties go by place, spread over the cells so that a budget that ends among them ends everywhere alike.
        """
        within = np.flatnonzero(self._cells.levels < self.lattice.level)
        losses = self._border_losses() if self._categories else self._peak_losses()
        within = within[losses[within] > 0.0]
        cells, losses = self._cells[within], losses[within]
        place = np.argsort(self.lattice.keys(cells.panels, cells.corners), kind="stable")
        within, losses = within[place], losses[place]
        order = np.lexsort((_spread(len(within)), -losses))
        wanted = int((losses > 0.5 * losses.max()).sum()) if len(losses) else 0
        return within[order], wanted

    def _border_losses(self) -> Floats:
        """The size of each cell on whose surface categories differ, 0 for the others."""
        low = np.full(len(self._cells), np.inf)
        high = np.full(len(self._cells), -np.inf)
        for cell, point in self._touching():
            value = self._values[point, 0]
            known = np.isfinite(value)
            np.minimum.at(low, cell[known], value[known])
            np.maximum.at(high, cell[known], value[known])
        return np.where(low < high, np.exp2(-self._cells.levels.astype(np.float64)), 0.0)

    def _peak_losses(self) -> Floats:
        """Losses above 1, the larger the cell, where a peak may be; elsewhere the share of the range that is missed."""
        low, high = self._ends(np.fmin, np.inf), self._ends(np.fmax, -np.inf)
        largest, peaks = self._largest(high)
        spread = np.where(high > low, high - low, np.inf)[self._cells.panels]
        bends = self._bends() / spread[:, np.newaxis]
        missed = np.abs(bends).sum(axis=1)
        lifted = largest + spread * np.maximum(-bends, 0.0).sum(axis=1)
        top = high[self._cells.panels]
        with np.errstate(invalid="ignore"):  # where nothing is known
            peaks |= lifted > top + _ROUNDING * spread
        peaks &= np.isfinite(spread)
        size = np.exp2(-self._cells.levels.astype(np.float64))
        loss = np.where(peaks.any(axis=1), 1.0 + size, np.minimum(missed.max(axis=1), 1.0))
        return np.where(loss > _ROUNDING, loss, 0.0)

    def _ends(self, which: np.ufunc, nothing: float) -> Floats:
        """Smallest or largest value of each quantity in each panel."""
        ends = np.full((self.lattice.panels, self._values.shape[1]), nothing)
        which.at(
            ends, self.lattice.split_keys(self._keys)[0], np.where(np.isfinite(self._values), self._values, nothing)
        )
        return ends

    def _largest(self, high: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Largest value of each quantity on the surface of each cell, and whether that is the panel's largest there.

        Of several equal ones the first counts, or all of a plateau would be a peak.
        """
        largest = np.full((len(self._cells), self._values.shape[1]), -np.inf)
        peaks = np.zeros(largest.shape, dtype=bool)
        values = np.where(np.isfinite(self._values), self._values, -np.inf)
        panels = self.lattice.split_keys(self._keys)[0]
        first = np.full(high.shape, self.n_known)
        rows = np.arange(self.n_known)[:, np.newaxis]
        np.minimum.at(first, panels, np.where(values == high[panels], rows, self.n_known))
        for cell, point in self._touching():
            np.maximum.at(largest, cell, values[point])
            np.logical_or.at(peaks, cell, first[panels[point]] == point[:, np.newaxis])
        return largest, peaks

    def _bends(self) -> Floats:
        """Error of straight lines for each quantity in each cell, along each axis: an eighth of the second difference.

        Shape (cells, axes, quantities), of the lines through corners the one that bends most; 0 where nothing is known.
        """
        cells, lattice = self._cells, self.lattice
        found = np.zeros((len(cells), lattice.dimension, self._values.shape[1]))
        sides = self._sides(cells)
        for corner in itertools.product((0, 1), repeat=lattice.dimension):
            place = cells.corners + sides[:, np.newaxis] * np.array(corner)
            here = self._at(self._where(lattice.keys(cells.panels, place)))
            for axis in range(lattice.dimension):
                inward = np.zeros(lattice.dimension, dtype=np.int64)
                inward[axis] = 1 - 2 * corner[axis]
                inner = self._at(self._where(lattice.keys(cells.panels, place + sides[:, np.newaxis] * inward)))
                outer, ratio = self._beyond(place, -inward, axis)
                bend = 0.25 * ((inner - here) + (outer - here) / ratio[:, np.newaxis]) / (1.0 + ratio[:, np.newaxis])
                bend = np.where(np.isfinite(bend), bend, 0.0)
                most = np.abs(bend) > np.abs(found[:, axis])
                found[:, axis] = np.where(most, bend, found[:, axis])
        return found

    def _beyond(self, place: Integers, outward: Integers, axis: int) -> tuple[Floats, Floats]:
        """Values of the next known points across the faces of the cells, and their distances in sides."""
        cells, lattice = self._cells, self.lattice
        row = np.full(len(cells), -1, dtype=np.int64)
        ratio = np.ones(len(cells))
        for doubling in range(lattice.level + 1):
            step = self._sides(cells) << doubling
            at = place + step[:, np.newaxis] * outward
            open_ = (row < 0) & (at[:, axis] >= 0) & (at[:, axis] < lattice.counts[axis])
            if not open_.any():
                break
            rows = np.flatnonzero(open_)
            row[rows] = self._where(lattice.keys(cells.panels[rows], at[rows]))
            ratio[rows] = float(1 << doubling)
        return self._at(row), ratio

    def _at(self, rows: Integers) -> Floats:
        """Values at rows, NaN at -1."""
        return np.where(rows[:, np.newaxis] >= 0, self._values[rows], np.nan)

    def _touching(self) -> list[tuple[Integers, Integers]]:
        """Cells and known points on their surface: pairs of arrays, one for each side on which a cell can lie."""
        lattice = self.lattice
        panels, places = lattice.split_keys(self._keys)
        found = []
        for level in np.unique(self._cells.levels):
            rows = np.flatnonzero(self._cells.levels == level)
            codes = lattice.keys(self._cells.panels[rows], self._cells.corners[rows])
            order = np.argsort(codes)
            rows, codes = rows[order], codes[order]
            shift = lattice.level - int(level)
            for side in itertools.product((0, 1), repeat=lattice.dimension):
                corner = (places - np.array(side)) >> shift << shift
                inside = ((corner >= 0) & (corner < np.array(lattice.counts) - 1)).all(axis=1)
                point = np.flatnonzero(inside)
                code = lattice.keys(panels[point], corner[point])
                at = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
                hit = codes[at] == code
                found.append((rows[at[hit]], point[hit]))
        return found


def _spread(count: int) -> Integers:
    """Ranks of places in a row, such that the first of any number of them are spread over it: bits in reverse."""
    bits = max(1, (count - 1).bit_length())
    numbers = np.arange(count, dtype=np.int64)
    ranks = np.zeros(count, dtype=np.int64)
    for bit in range(bits):
        ranks |= ((numbers >> bit) & 1) << (bits - 1 - bit)
    return ranks
