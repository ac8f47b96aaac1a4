"""Metadata of a file of rows or of a folder of finished chunks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mfmi.columns import Column
from mfmi.errors import OutputError
from mfmi.storage.parquet import read_provenance
from mfmi.storage.provenance import PLAN


def read_columns(path: str | os.PathLike[str]) -> tuple[Column, ...]:
    """Return what the columns are.

    Raises
    ------
    OutputError
        The file cannot be read, or the folder holds no finished chunk.
    """
    place = Path(path)
    if place.is_dir():
        chunk = min(place.glob("chunk-*.parquet"), default=None)
        if chunk is None:
            raise OutputError(f"cannot read {place}: there is no finished chunk in it")
        place = chunk
    try:
        with open(place, "rb") as file:
            schema = pq.read_schema(file)
    except (OSError, pa.ArrowInvalid) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise OutputError(f"cannot read {place}: {reason}") from error
    return tuple(_column(part) for part in schema)


def _column(part: pa.Field) -> Column:
    metadata = {key.decode(): value.decode() for key, value in (part.metadata or {}).items()}
    dtype = "float64" if pa.types.is_floating(part.type) else str(part.type).removeprefix("large_")
    return Column(part.name, dtype, metadata.get("unit", ""), metadata.get("description", ""))


def read_origin(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the provenance of a finished file, or of the sweep whose chunks the folder holds.

    Raises
    ------
    OutputError
        It cannot be read, or was not written by this program.
    """
    place = Path(path)
    if not place.is_dir():
        return read_provenance(place)
    try:
        origin = json.loads((place / PLAN).read_bytes())["provenance"]
    except OSError as error:
        raise OutputError(f"cannot read {place / PLAN}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise OutputError(f"cannot read {place / PLAN}: it does not say which sweep it came from") from error
    assert isinstance(origin, dict)
    return origin
