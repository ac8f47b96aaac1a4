"""The audit: files in, a row per tensor and findings out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.checkpoints._axes import Axes
from mfmi.checkpoints._compare import beside, compared_columns, differences
from mfmi.checkpoints._files import read, steps
from mfmi.checkpoints._findings import LEVELS, Finding, findings_of, worst_first
from mfmi.checkpoints._judge import Judged, judge, words
from mfmi.checkpoints._layers import Layer, layers_of
from mfmi.checkpoints._match import Context
from mfmi.checkpoints._network import COLUMNS as OF_NETWORK
from mfmi.checkpoints._network import MEASURED, FileNetwork, Values, values_of
from mfmi.checkpoints._signal import findings_of_network
from mfmi.columns import Column
from mfmi.errors import OutputError, did_you_mean
from mfmi.processes.progress import stage, staged

Block = dict[str, NDArray[Any]]

COLUMNS: tuple[Column, ...] = (
    Column("file", "string", "", "the file"),
    Column("step", "int64", "1", "number of the training step, by the files' names or order"),
    Column("layer", "int32", "1", "number of the matrix in the files of the step, from 1; null for what is skipped"),
    Column("name", "string", "", "name of the tensor, with the block in brackets where it holds several"),
    Column("kind", "string", "", "what the matrix is, embedding, or skipped"),
    Column("shape", "string", "", "shape in the file, of the block"),
    Column("fan_in", "int64", "1", "terms that a unit sums"),
    Column("fan_out", "int64", "1", "units that an input enters"),
    Column("sigma_w", "float64", "1", "standard deviation of the entries, times sqrt(fan-in)"),
    Column("sigma_b", "float64", "1", "root mean square of the biases"),
    Column("mean", "float64", "1", "mean of the entries"),
    Column("law", "string", "", "normal, uniform, truncated_normal, orthogonal, trained or other"),
    Column("init", "string", "", "library initialiser that fits"),
    Column("singular_min", "float64", "1", "smallest singular value"),
    Column("singular_max", "float64", "1", "largest singular value"),
    Column("outliers", "int64", "1", "singular values beyond the random bulk"),
    Column(
        "bulk_min", "float64", "1", "smallest singular value that independent entries of the same median would have"
    ),
    Column("bulk_max", "float64", "1", "largest singular value that they would have"),
    *OF_NETWORK,
    Column("status", "string", "", "ok, unconverged, skipped or failed"),
    Column("message", "string", "", "how sure the law is, what was assumed, why it was skipped, why there is no value"),
)


@dataclass(frozen=True)
class Audit:
    """Result of an audit.

    Attributes
    ----------
    block : the rows as columns by name, null as NaN or None.
    columns : what the columns are.
    findings : worst first, of the last step.
    layers : number of matrices that were judged, and of tensors that were skipped.
    unread : matrices whose numbers could not be read, with the file and why.
    differences : where the last step differs from the file that it is compared with, worst first; empty without one.
    """

    block: Block
    columns: tuple[Column, ...]
    findings: tuple[Finding, ...]
    layers: tuple[int, int]
    unread: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether something is badly off, or could not be read."""
        failed = bool((self.block["status"] == "failed").any())
        return failed or any(finding.level == len(LEVELS) - 1 for finding in self.findings)


def audit_files(
    paths: Sequence[str],
    *,
    axes: Axes = None,
    heads: int | None = None,
    layers: Sequence[str] | None = None,
    quick: bool = False,
    compare: str | None = None,
    network: FileNetwork | None = None,
) -> Audit:
    """Audit checkpoints.

    Parameters
    ----------
    paths
        Files, and directories of them: steps of one training, in natural order.
    axes
        "oi" or "io" where neither names nor shapes tell the axes of a matrix.
    heads
        Heads of attention, for packed projections in which query, key and value of each head follow each other.
    layers
        Names of the tensors to look at, in that order; an asterisk stands for anything. All by default.
    quick
        Without singular values.
    compare
        Another file, whose layers of the same names stand beside, with the columns of the same network.
    network
        What the file does not say of its network, for the columns of the mean field and of information; None to leave
        them null.

    Raises
    ------
    OutputError
        A file that cannot be read, or holds no tensors; no layer of the names asked for; inputs that do not fit.
    """
    if not paths:
        raise OutputError("no checkpoint is named")
    rows: list[dict[str, Any]] = []
    last: list[Judged] = []
    values = Values({}, (), {})
    unread: list[str] = []
    found_steps = [(step, [path for _, path in files]) for step, files in groupby(steps(list(paths)), itemgetter(0))]
    for step, files in staged("audit", found_steps, "steps") if len(found_steps) > 1 else found_steps:
        where, last = _of_step(files, axes, heads, layers, quick)
        if network is not None:
            with stage("the network that they are"):
                values = values_of(last, network)
        rows += _rows(where, step, last, values)
        unread += _unread(where, last)
    columns = COLUMNS
    if network is not None and network.inputs is not None:
        columns = (*COLUMNS[:-2], *MEASURED, *COLUMNS[-2:])
    apart: list[str] = []
    if compare is not None:
        where, others = _of_step([compare], axes, heads, layers, quick)
        unread += _unread(where, others)
        try:
            theirs = values_of(others, network) if network is not None else Values({}, (), {})
        except OutputError as error:
            raise OutputError(f"{compare}: {error}") from error
        other = {row["name"]: row for row in _rows(where, 0, others, theirs)}
        rows = [beside(row, other, network, compare) for row in rows]
        apart = differences(rows[len(rows) - len(last) :], other, network, compare)
        columns = (*columns[:-2], *compared_columns(network), *columns[-2:])
    found = findings_of(last) + (findings_of_network(last, values, network) if network is not None else [])
    skipped = sum(row["status"] == "skipped" for row in rows)
    counts = len(rows) - skipped, skipped
    return Audit(_block(rows, columns), columns, tuple(worst_first(found)), counts, tuple(unread), tuple(apart))


def _unread(where: Sequence[str], judged: Sequence[Judged]) -> list[str]:
    """Return the matrices whose numbers could not be read, with their file and why."""
    failed = [(path, one) for path, one in zip(where, judged, strict=True) if one.failure]
    return [
        one.failure if one.failure.startswith(path) else f"{path}: {one.layer.name}: {one.failure}"
        for path, one in failed
    ]


def _of_step(
    paths: Sequence[str], axes: Axes, heads: int | None, wanted: Sequence[str] | None, quick: bool
) -> tuple[list[str], list[Judged]]:
    """Return the layers of one step, of several files where it is in shards, and the file of each."""
    found: list[tuple[str, Layer]] = []
    file_format = ""
    for path in paths:
        checkpoint = read(path)
        layers = layers_of(checkpoint, axes, heads)
        if not layers:
            raise OutputError(f"{path}: holds no tensors")
        found += [(path, layer) for layer in layers]
        file_format = file_format or checkpoint.format
    context = Context.of(file_format, [layer for _, layer in found])
    chosen = found if wanted is None else _chosen(", ".join(paths), found, wanted)
    judged: list[Judged] = []
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    with stage(f"audit {Path(paths[0]).name}{more}", len(chosen), "tensors") as work:
        for one in judge([layer for _, layer in chosen], context, quick):
            judged.append(one)
            work.advance()
    return [path for path, _ in chosen], judged


def _chosen(where: str, found: Sequence[tuple[str, Layer]], wanted: Sequence[str]) -> list[tuple[str, Layer]]:
    chosen: list[tuple[str, Layer]] = []
    for name in wanted:
        mine = [one for one in found if _is_named(one[1], name) and one not in chosen]
        if not mine:
            known = [layer.name for _, layer in found]
            hint = did_you_mean(name.strip("*."), known, 3) or f" The first are {', '.join(known[:3])}."
            raise OutputError(f"{where}: no tensor is named {name!r}.{hint}")
        chosen += mine
    return chosen


def _is_named(layer: Layer, name: str) -> bool:
    if "*" in name:
        return re.fullmatch(".*".join(map(re.escape, name.split("*"))), layer.name) is not None
    return name in (layer.name, layer.tensor.name)


def _rows(where: Sequence[str], step: int, judged: Sequence[Judged], values: Values) -> list[dict[str, Any]]:
    rows, number = [], 0
    for place, (path, one) in enumerate(zip(where, judged, strict=True)):
        layer = one.layer
        row: dict[str, Any] = {"file": path, "step": step, "name": layer.name, "kind": layer.kind}
        row["shape"] = "x".join(map(str, layer.tensor.shape if layer.kind == "skipped" else layer.shape))
        row["message"] = words(one)
        row["status"] = "skipped" if layer.kind == "skipped" else "failed" if one.failure else "ok"
        if layer.kind != "skipped":
            number += 1
            row |= {"layer": number, "fan_in": layer.fan_in, "fan_out": layer.fan_out}
        if row["status"] == "ok":
            row |= _numbers(one)
        rows.append(_with_network(row, values.cells.get(place, {})))
    return rows


def _with_network(row: dict[str, Any], cell: dict[str, Any]) -> dict[str, Any]:
    """Add network columns to a row; its own trouble outranks that of the network."""
    status = cell.get("status", "ok") if row["status"] == "ok" else row["status"]
    message = "; ".join(filter(None, [row["message"], cell.get("message")]))
    return {**row, **cell, "status": status, "message": message}


def _numbers(one: Judged) -> dict[str, Any]:
    fits = one.match is not None and one.match.fits and not one.layer.folded
    row: dict[str, Any] = {
        "sigma_w": one.sigma_w,
        "sigma_b": one.sigma_b,
        "mean": one.entries.mean,
        "law": one.law.name,
        "init": one.match.label if one.match is not None and fits else None,
    }
    if not one.is_finite:
        row["status"] = "failed"
    if one.spectrum is not None:
        row |= {"singular_min": one.spectrum.smallest, "singular_max": one.spectrum.largest}
        row |= {"bulk_min": one.spectrum.bulk[0], "bulk_max": one.spectrum.bulk[1]}
        row["outliers"] = None if one.spectrum.outliers < 0 else one.spectrum.outliers
    return row


def _block(rows: Sequence[dict[str, Any]], columns: Sequence[Column]) -> Block:
    block: Block = {}
    for column in columns:
        cells = [row.get(column.name) for row in rows]
        if column.dtype == "float64":
            block[column.name] = np.array([math.nan if cell is None else cell for cell in cells], dtype=np.float64)
        else:
            block[column.name] = np.array(cells, dtype=object)
    return block
