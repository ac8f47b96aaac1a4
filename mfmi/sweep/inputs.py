"""Real inputs from a file: a row per input, a column per entry."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.errors import OutputError
from mfmi.sweep.store import read_numbers, read_text_numbers
from mfmi.weights import Spectrum

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

    Raises
    ------
    OutputError
        The file cannot be read, or holds something else.
    """
    values = _table(path)
    if values.ndim < 2 or values.shape[0] < 2 or values.size == 0:
        raise OutputError(f"{path}: holds an array of shape {values.shape}, not two inputs or more, a row each")
    values = values.reshape(len(values), -1)
    if not np.isfinite(values).all():
        row, column = (int(index[0]) for index in np.nonzero(~np.isfinite(values)))
        raise OutputError(f"{path}: row {row + 1}, column {column + 1} is {values[row, column]}")
    return values


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


def read_ensemble(kind: str, path: str) -> Spectrum:
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
        return Spectrum.of_matrix(values, path)
    if values.ndim > 1 and 1 not in values.shape:
        shape = f"an array of shape {values.shape}"
        raise OutputError(f"{path}: holds {shape}, not a row or column of eigenvalues; a matrix of weights is a matrix")
    return Spectrum.of_eigenvalues(values.ravel(), path)


def _read(path: str, suffix: str) -> Any:
    if suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if suffix in (".parquet", ".pq"):
        return read_numbers(path)
    separator = "\t" if suffix == ".tsv" else ","
    with open(path, encoding="utf-8") as file:
        first = file.readline(_LONGEST_LINE).strip().split(separator)
    return read_text_numbers(path, separator, has_names=not all(map(is_number, first)))


def is_number(text: str) -> bool:
    """Say whether a text is a number alone."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _table(path: str) -> NDArray[np.float64]:
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{path}: inputs are read from {', '.join(SUFFIXES)}")
    # A pipe or a device may have no end.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OutputError(f"{path}: not a regular file")
    try:
        values = _read(path, suffix)
        if np.iscomplexobj(values):
            raise OutputError(f"{path}: holds complex numbers")
        return np.asarray(values, dtype=np.float64)
    except MemoryError:
        raise OutputError(f"{path}: too large for the memory") from None
    except (ValueError, TypeError, EOFError) as error:
        raise OutputError(f"{path}: not a table of numbers: {' '.join(str(error).split())}") from error
