"""Rows as pandas data frames, and answers that become files and frames alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from mfmi.columns import Column

if TYPE_CHECKING:
    import pandas as pd

Found = TypeVar("Found")
Frame = TypeVar("Frame", bound="pd.DataFrame")


@dataclass(frozen=True)
class Answer(Generic[Found]):
    """Answer of a command and of the function of its name.

    Attributes
    ----------
    block : the rows as arrays of one length by column, null as NaN or None.
    columns : what the columns are, in their order; those that the block lacks are left out.
    about : where the rows came from, ready for JSON (`mfmi.storage.provenance`).
    found : what they were made of, to draw.
    """

    block: Mapping[str, Any]
    columns: Sequence[Column]
    about: Mapping[str, Any]
    found: Found

    @overload
    def to_frame(self) -> pd.DataFrame: ...
    @overload
    def to_frame(self, kind: Callable[[pd.DataFrame], Frame]) -> Frame: ...
    def to_frame(self, kind: Callable[[pd.DataFrame], Frame] | None = None) -> Frame | pd.DataFrame:
        """Return the rows as pandas reads them from the command's Parquet file.

        Parameters
        ----------
        kind
            A subclass of the data frame to return.

        Returns
        -------
        pandas.DataFrame
            ``attrs["mfmi"]`` is what the file says under that key, ``attrs["units"]`` and ``attrs["descriptions"]``
            are what it says of its columns.
        """
        columns = [column for column in self.columns if column.name in self.block]
        rows = to_frame({column.name: _of_type(self.block[column.name], column) for column in columns})
        frame = rows if kind is None else kind(rows)
        frame.attrs["mfmi"] = dict(self.about)
        frame.attrs["units"] = {column.name: column.unit for column in columns}
        frame.attrs["descriptions"] = {column.name: column.description for column in columns}
        return frame


def to_frame(block: Mapping[str, Any]) -> pd.DataFrame:
    """Pandas frame of a block of rows: nulls of float columns as NaN, the contract's integer widths kept."""
    import pandas as pd

    # A column of text without any text would be of another type than the same column of a file.
    text = pd.Series(["text"]).dtype
    return pd.DataFrame({name: _series(np.asarray(values), text) for name, values in block.items()})


def _series(values: NDArray[Any], text: Any) -> Any:
    import pandas as pd

    is_empty = values.dtype == object and values.size > 0 and all(value is None for value in values)
    return pd.Series(values, dtype=text) if is_empty else values


def _of_type(values: Any, column: Column) -> NDArray[Any]:
    """Values as pandas reads a column of this type: whole numbers with nulls among them become floats."""
    array = np.asarray(values)
    if column.dtype == "string":
        return array.astype(object)
    if array.dtype != object:
        return array.astype(column.dtype)
    if any(value is None or value != value for value in array):
        return np.array([np.nan if value is None else value for value in array], dtype=np.float64)
    return array.astype(column.dtype)
