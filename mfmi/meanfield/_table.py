"""Base of the results of the mean field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfmi.processes.progress import stage

if TYPE_CHECKING:
    import pandas as pd

POINTS_OF_A_PART = 4096


class PointTable:
    """A result whose fields are arrays of one shape: attributes, a table of rows, and a data frame on request.

    As a table it has a row per entry in C order, one row of scalars: `len`, `pandas.DataFrame`, and iteration, which
    yields the rows as mappings. Its columns are the attributes: ``table["q_star"]`` is ``table.q_star``, and `keys`
    names them.
    """

    def to_frame(self) -> pd.DataFrame:
        """Return the fields as columns, a row per entry in C order; one row of scalars."""
        import pandas as pd

        return pd.DataFrame({name: np.ravel(np.asarray(value)) for name, value in self.items()})

    def keys(self) -> tuple[str, ...]:
        """Return the names of the fields."""
        return tuple(field.name for field in fields(self))  # type: ignore[arg-type]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield the fields with their names."""
        return ((name, getattr(self, name)) for name in self.keys())

    def __getitem__(self, name: str) -> Any:
        if name not in self.keys():
            raise KeyError(name)
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __len__(self) -> int:
        return max(np.size(value) for _, value in self.items())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        columns = {name: np.ravel(np.asarray(value)) for name, value in self.items()}
        return ({name: column[row] for name, column in columns.items()} for row in range(len(self)))


def in_parts(name: str, count: int) -> Iterator[slice]:
    """Slices of so many points, at least one; several are announced as a stage that counts points."""
    if count <= POINTS_OF_A_PART:
        yield slice(0, count)
        return
    with stage(name, count, "points") as work:
        for start in range(0, count, POINTS_OF_A_PART):
            yield slice(start, start + POINTS_OF_A_PART)
            work.advance(min(POINTS_OF_A_PART, count - start))


def joined(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The columns of several parts, one after another."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
