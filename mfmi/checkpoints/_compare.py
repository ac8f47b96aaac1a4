"""Two checkpoints side by side: columns of the other one, and their differences in words, worst first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mfmi.checkpoints._findings import listed
from mfmi.checkpoints._network import MEASURED, FileNetwork
from mfmi.columns import COLUMNS as COLUMNS_OF_NETWORKS
from mfmi.columns import Column
from mfmi.names import ESTIMATORS

Row = dict[str, Any]

_OF_WEIGHTS = (
    Column("sigma_w_other", "float64", "1", "sigma_w of the same layer in the other file"),
    Column("sigma_w_ratio", "float64", "1", "sigma_w over that of the other file"),
    Column("sigma_b_other", "float64", "1", "sigma_b of the same layer in the other file"),
    Column("law_other", "string", "", "law in the other file"),
    Column("init_other", "string", "", "library initialiser that fits the other file's"),
)
_OF_SIGNAL = ("q", "c", "chi")
# Bounds of which the best stand as mi_lower and mi_upper, and the approximation that is no bound.
_ENCLOSED = tuple(f"mi_{name}" for name in ESTIMATORS if name not in ("linear", "replica"))
_STATUS = Column("status_other", "string", "", "status of the same layer in the other file")
# Share of a value, of a correlation, or of a file's largest information, from which on a difference is worth a word.
_WORTH = 0.01


def compared_columns(network: FileNetwork | None) -> tuple[Column, ...]:
    """Return the columns of the other file.

    Parameters
    ----------
    network
        What the files do not say of their network: its columns stand beside too, the bounds that are asked for.
    """
    known = {column.name: column for column in (*COLUMNS_OF_NETWORKS, *MEASURED)}
    return (*_OF_WEIGHTS, *(_other(known[name]) for name in _of_network(network)), _STATUS)


def _of_network(network: FileNetwork | None) -> tuple[str, ...]:
    if network is None:
        return ()
    asked = tuple(f"mi_{name}" for name in network.estimators)
    measured = () if network.inputs is None else ("q_measured", "c_measured", "mi_linear_measured")
    return (*_OF_SIGNAL, *asked, "mi_lower", "mi_upper", *measured)


def _other(column: Column) -> Column:
    return replace(column, name=f"{column.name}_other", description=f"{column.description}, in the other file")


def beside(row: Row, others: Mapping[str, Row], network: FileNetwork | None, path: str) -> Row:
    """Return a row with the values of the layer of the same name in another file.

    Parameters
    ----------
    row : a row of the audit.
    others : rows of the other file, by name.
    network : as of `compared_columns`.
    path : the other file.
    """
    other = others.get(row["name"], {})
    own, theirs = row.get("sigma_w", math.nan), other.get("sigma_w", math.nan)
    found = {f"{name}_other": other.get(name) for name in ("law", "init", "status", *_of_network(network))}
    found["sigma_w_other"], found["sigma_b_other"] = theirs, other.get("sigma_b", math.nan)
    found["sigma_w_ratio"] = own / theirs if theirs > 0.0 else math.nan
    notes = [row["message"]]
    if not other:
        notes.append(f"{path} has nothing of this name")
    elif other["status"] not in ("ok", "skipped"):
        notes.append(f"{path}: {other['message']}")
    return {**row, **found, "message": "; ".join(filter(None, notes))}


@dataclass(frozen=True)
class _Pair:
    """A value of both files at one layer; `size` says how far they are apart, of values that are 1."""

    layer: str
    own: float
    other: float
    size: float


def differences(rows: Sequence[Row], others: Mapping[str, Row], network: FileNetwork | None, path: str) -> list[str]:
    """Say where two files differ most, one line for each quantity, worst first.

    Lengths, slopes and scales are compared with each other, correlations by their distance, information with the
    largest of its column.

    Parameters
    ----------
    rows : rows of one step, as of `beside`.
    others, network, path : as there.
    """
    of_layers = [row for row in rows if row.get("layer") is not None]
    found: list[tuple[float, str]] = []
    for name in ("sigma_w", "sigma_b", *(name for name in _of_network(network) if name not in _ENCLOSED)):
        pairs = list(_pairs(name, of_layers))
        far = [pair for pair in pairs if pair.size > _WORTH]
        if far:
            worst = max(far, key=lambda pair: pair.size)
            found.append((worst.size, _said(name, worst, len(far), len(pairs), network, path)))
    lines = [text for _, text in sorted(found, key=lambda one: -one[0])]
    lines += _laws(of_layers)
    lines += _alone(rows, others, path)
    return lines or [f"no difference of {100 * _WORTH:g} % or more in any layer"]


def _pairs(name: str, rows: Sequence[Row]) -> Iterator[_Pair]:
    values = [(row["name"], row.get(name), row.get(f"{name}_other")) for row in rows]
    known = [(layer, a, b) for layer, a, b in values if a is not None and b is not None and a == a and b == b]
    largest = max((max(abs(a), abs(b)) for _, a, b in known), default=0.0)
    for layer, a, b in known:
        scale = max(abs(a), abs(b))
        if name in ("c", "c_measured"):
            scale = 1.0
        elif name.startswith("mi_"):
            scale = largest
        same = a == b or scale == 0.0
        yield _Pair(layer, a, b, 0.0 if same else 1.0 if math.isinf(scale) else abs(a - b) / scale)


def _said(name: str, worst: _Pair, far: int, count: int, network: FileNetwork | None, path: str) -> str:
    unit = f" {network.unit} per input dimension" if network is not None and name.startswith("mi_") else ""
    text = f"{name}: {worst.own:.4g}{unit} at {worst.layer}, {worst.other:.4g} in {path}"
    is_ratio = name not in ("c", "c_measured") and worst.other != 0.0 and math.isfinite(worst.own / worst.other)
    text += f", {worst.own / worst.other:.3g} times" if is_ratio else f", a difference of {worst.own - worst.other:.3g}"
    return f"{text}; {100 * _WORTH:g} % or more apart in {far} of {count} layers"


def _laws(rows: Sequence[Row]) -> Iterator[str]:
    """Say which layers have another law, the pairs of laws in the order of the layers."""
    changed: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        own, other = row.get("law"), row.get("law_other")
        if own is not None and other is not None and own != other:
            changed.setdefault((own, other), []).append(row["name"])
    for (own, other), names in changed.items():
        yield f"law: {own} where the other file has {other}: {listed(names)}"


def _alone(rows: Sequence[Row], others: Mapping[str, Row], path: str) -> Iterator[str]:
    names = {row["name"] for row in rows}
    mine = [row["name"] for row in rows if row.get("layer") is not None and row["name"] not in others]
    theirs = [name for name, row in others.items() if row.get("layer") is not None and name not in names]
    if mine:
        yield f"not in {path}: {listed(mine)}"
    if theirs:
        yield f"only in {path}: {listed(theirs)}"
