"""Columns that are being filled: values, statuses and messages at chosen rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.chain.search import ENOUGH

Entries = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and depths of entries of columns, as many of one as of the other."""

UNBOUNDED = "the length map has no finite fixed point; values at this depth are finite and hold"
TWO_MINIMA = "the replica potential has two minima, of which the smaller counts: a first-order transition lies near"
OVERFLOW = "the pre-activation variance overflows at this depth"


class View:
    """Some of the points' rows of the columns, to be written to at chosen entries."""

    def __init__(self, columns: dict[str, NDArray[Any]], rows: NDArray[np.intp]) -> None:
        self._columns, self._rows = columns, rows

    def take(self, rows: NDArray[np.intp]) -> View:
        """The view of some of these rows."""
        return View(self._columns, self._rows[rows])

    def put(self, name: str, values: Any, where: Entries) -> None:
        """Write `values` at (row, depth) entries `where` of this view."""
        self._columns[name][self._rows[where[0]], where[1]] = values

    def note_once(self, status: str, message: str, where: Entries) -> None:
        """Add a message at the entries that do not have it yet."""
        noted = self._columns["message"][self._rows[where[0]], where[1]]
        new = np.array([message not in text for text in noted], dtype=bool)
        self.note(status, message, (where[0][new], where[1][new]))

    def note_lost(self, name: str, lost: NDArray[np.bool_], residual: FloatArray, where: Entries) -> None:
        """Say of a column how its search ended at the entries `lost` of `where`, which have no value."""
        for entry in np.flatnonzero(lost):
            message = f"{name.removeprefix('mi_')}: {_failure_reason(float(residual[entry]))}"
            self.note("unconverged", message, (where[0][entry : entry + 1], where[1][entry : entry + 1]))

    def note(self, status: str, message: str, where: Entries) -> None:
        """Add a message at the entries, and raise their status to `status` if that is worse."""
        rank = ("ok", "unbounded", "unconverged", "failed").index
        for row, layer in zip(self._rows[where[0]], where[1], strict=True):
            noted = self._columns["message"][row, layer]
            self._columns["message"][row, layer] = f"{noted}; {message}" if noted else message
            self._columns["status"][row, layer] = max(self._columns["status"][row, layer], status, key=rank)


def _failure_reason(residual: float) -> str:
    """Say how a search ended that found no value."""
    if not np.isfinite(residual):
        return "the search left the range of numbers"
    return "no minimum where the potential is stationary" if residual <= ENOUGH else f"residual {residual:.1e}"
