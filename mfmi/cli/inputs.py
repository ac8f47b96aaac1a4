"""Real inputs from a file: a row per input, a column per entry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfmi.errors import OutputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".npy", ".csv", ".tsv", ".parquet", ".pq")


def read_inputs(path: str) -> NDArray[np.float64]:
    """Read a table of numbers.

    Parameters
    ----------
    path
        An array saved by numpy (further axes are flattened), a text table with or without a line of names, or Parquet.

    Returns
    -------
    ndarray, shape (inputs, entries)
        At least two finite rows.

    Raises
    ------
    OutputError
        The file cannot be read, or holds something else.
    """
    import numpy as np

    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{path}: inputs are read from {', '.join(SUFFIXES)}")
    try:
        table = _read(path, suffix)
        values = np.asarray(table, dtype=np.float64)
    except (ValueError, TypeError, EOFError) as error:
        raise OutputError(f"{path}: not a table of numbers: {' '.join(str(error).split())}") from error
    if values.ndim < 2 or values.shape[0] < 2 or values.size == 0:
        raise OutputError(f"{path}: holds an array of shape {values.shape}, not two inputs or more, a row each")
    values = values.reshape(len(values), -1)
    if not np.isfinite(values).all():
        row, column = (int(index[0]) for index in np.nonzero(~np.isfinite(values)))
        raise OutputError(f"{path}: row {row + 1}, column {column + 1} is {values[row, column]}")
    return values


def _read(path: str, suffix: str) -> Any:
    if suffix == ".npy":
        import numpy as np

        return np.load(path, allow_pickle=False)
    import pandas as pd

    if suffix in (".parquet", ".pq"):
        return pd.read_parquet(path).to_numpy()
    separator = "\t" if suffix == ".tsv" else ","
    with open(path, encoding="utf-8") as file:
        first = file.readline().strip().split(separator)
    return pd.read_csv(path, sep=separator, header=None if all(map(_is_number, first)) else 0).to_numpy()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
