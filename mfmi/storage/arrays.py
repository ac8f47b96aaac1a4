"""Real inputs from a file: a row per input, a column per entry."""

from __future__ import annotations

import csv
import os
import stat
import warnings
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from mfmi.errors import MfmiWarning, OutputError, shorten
from mfmi.networks.spectrum import WeightSpectrum
from mfmi.storage.parquet import read_numbers, read_text_numbers

# Characters of a text table's first line that are looked at, to tell names from numbers.
_LONGEST_LINE = 1 << 20

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

    Warns
    -----
    MfmiWarning
        The first line of a text table is taken for names.

    Raises
    ------
    OutputError
        The file cannot be read, or holds something else.
    """
    values = _table(path)
    if values.ndim < 2 or values.shape[0] < 2 or values.size == 0:
        raise OutputError(f"{path}: holds an array of shape {values.shape}, not two inputs or more, a row each")
    return values.reshape(len(values), -1)


def read_spectrum(path: str) -> NDArray[np.float64]:
    """Read eigenvalues of a covariance, or samples.

    Parameters
    ----------
    path
        A file as of `read_inputs`; a single row or column holds eigenvalues.

    Returns
    -------
    ndarray
        1-D: eigenvalues; 2-D: samples, a row each.

    Raises
    ------
    OutputError
        The file cannot be read, or holds something else.
    """
    values = _table(path)
    return values.ravel() if values.ndim == 1 or 1 in values.shape else values


def read_ensemble(kind: str, path: str) -> WeightSpectrum:
    """Read the singular values of weights.

    Parameters
    ----------
    kind
        "spectrum" for eigenvalues of `W^T W`, in a single row or column; "matrix" for a weight matrix, a row per unit.
    path
        A file as of `read_inputs`.

    Raises
    ------
    OutputError
        The file cannot be read, or holds something else.
    ValueError
        There are no weights with such singular values.
    """
    values = _table(path)
    if kind == "matrix":
        return WeightSpectrum.from_matrix(values, path)
    if values.ndim > 1 and 1 not in values.shape:
        shape = f"an array of shape {values.shape}"
        raise OutputError(f"{path}: holds {shape}, not a row or column of eigenvalues; a matrix of weights is a matrix")
    return WeightSpectrum.from_eigenvalues(values.ravel(), path)


def _read(path: str, suffix: str) -> NDArray[Any]:
    found: NDArray[Any]
    if suffix == ".npy":
        found = np.load(path, allow_pickle=False)
    elif suffix in (".parquet", ".pq"):
        found = read_numbers(path)
    else:
        return _read_text(path, "\t" if suffix == ".tsv" else ",")
    if found.dtype.kind not in "fiu":
        raise ValueError(f"it holds {found.dtype}, not real numbers")
    return found


def _read_text(path: str, separator: str) -> NDArray[np.float64]:
    """Read a text table, whose first line may hold names: it does if none of its cells is a number."""
    with _opened(path) as file:
        names = next(csv.reader([file.readline(_LONGEST_LINE)], delimiter=separator), [])
    has_names = any(map(str.strip, names)) and not any(map(is_number, names))
    if has_names:
        shown = shorten(", ".join(names))
        warnings.warn(f"{path}: line 1 has no number and is taken for names: {shown}", MfmiWarning, stacklevel=2)
    found = read_text_numbers(path, separator, has_names=has_names, skip_empty=False)
    if found is None:
        _refuse_cells(path, separator, has_names)
        # nothing but empty lines at the end
        found = read_text_numbers(path, separator, has_names=has_names, skip_empty=True)
    if found is None:
        raise ValueError("it has cells that are no numbers")
    return found


def _opened(path: str) -> TextIO:
    """A text file, without the byte order mark that some programs put first."""
    return open(path, encoding="utf-8-sig", newline="")


def _refuse_cells(path: str, separator: str, has_names: bool) -> None:
    """Raise for the first cell that is no number, and for the first row of another length than those above."""
    empty_line, width = 0, 0
    with _opened(path) as file:
        rows = csv.reader(file, delimiter=separator)
        if has_names:
            next(rows)
        for cells in rows:
            where = f"{path}: line {rows.line_num}"
            if not cells:
                empty_line = empty_line or rows.line_num
                continue
            if empty_line:
                raise OutputError(f"{path}: line {empty_line} is empty")
            for column, cell in enumerate(cells, 1):
                if not cell.strip():
                    raise OutputError(f"{where}, column {column} is empty: every cell must hold a number")
                if not is_number(cell):
                    raise OutputError(f"{where}, column {column} is no number: {shorten(cell)}")
            width = width or len(cells)
            if len(cells) != width:
                raise OutputError(f"{where} has {len(cells)} cells, the lines above have {width}")
    if not width:
        raise OutputError(f"{path}: holds no numbers")


def is_number(text: str) -> bool:
    """Say whether a text is a number alone."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _table(path: str) -> NDArray[np.float64]:
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{path}: inputs are read from {', '.join(SUFFIXES)}")
    # A pipe or a device may have no end.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OutputError(f"{path}: not a regular file")
    try:
        values = np.asarray(_read(path, suffix), dtype=np.float64)
    except MemoryError:
        raise OutputError(f"{path}: too large for the memory") from None
    except (ValueError, TypeError, EOFError, csv.Error) as error:
        raise OutputError(f"{path}: not a table of numbers: {' '.join(str(error).split())}") from error
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, *cell = (int(number) for number in bad[0])
        where = f"row {row + 1}" + f", column {np.ravel_multi_index(cell, values.shape[1:]) + 1}" * bool(cell)
        raise OutputError(f"{path}: {where} is {values[tuple(bad[0])]}")
    return values
