"""One chunk of a sweep, evaluated: plan and number in, bytes of a small Parquet file out. What every worker does."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.columns import Column, columns_with
from mfmi.errors import NumericsError
from mfmi.networks.model import SQUARE, Model
from mfmi.networks.points import Points
from mfmi.storage import parquet as store
from mfmi.storage.provenance import provenance
from mfmi.sweep.plan import Plan

Block = dict[str, NDArray[Any]]
Depths = Sequence[int] | NDArray[np.int64]
Evaluate = Callable[[Points, Depths, Sequence[str], str, Sequence[str], Model], Block]
"""The evaluator, `mfmi.bounds.evaluate.evaluate_points` or a stand-in of the same signature."""

NUMERICAL = (NumericsError, ArithmeticError, np.linalg.LinAlgError)
"""Errors that a point can cause, recorded in its row; any other exception is a bug and propagates."""


def provenance_of(plan: Plan) -> dict[str, Any]:
    """Return the `provenance.provenance` of the rows of a plan."""
    config = plan.config
    return provenance(config.canonical(), config.text, config.sha256, plan.estimators, plan.unit, plan.optional)


@dataclass(frozen=True)
class Task:
    """All that a worker must know to evaluate any chunk of a sweep; picklable and small.

    Attributes
    ----------
    plan : the plan of the sweep.
    evaluate : the evaluator, a module-level function; None is `mfmi.bounds.evaluate.evaluate_points`.
    """

    plan: Plan
    evaluate: Evaluate | None = None

    def pickled(self) -> bytes:
        """Return the task for a worker."""
        return pickle.dumps(self, protocol=pickle.HIGHEST_PROTOCOL)

    def names(self, number: int) -> str:
        """Name the points of a chunk, for a message."""
        span = self.plan.chunk(number)
        return f"points {span.start} to {span.stop - 1}"

    def piece(self, number: int) -> Any:
        """Return what a worker has to be told of a chunk."""
        return number

    def points(self, piece: Any) -> Points:
        """Return the points of a chunk."""
        span = self.plan.chunk(piece)
        return self.plan.points(span.start, span.stop)

    def run(self, piece: Any) -> bytes:
        """Evaluate a chunk.

        Parameters
        ----------
        piece
            What `piece` says of it.

        Returns
        -------
        bytes
            A Parquet file with the chunk's rows, the same whoever computes it. A point at which the arithmetic fails
            (`NUMERICAL`) is a row per depth with status ``failed``.

        Raises
        ------
        MemoryError
            The memory is exhausted, which says nothing about the points.
        """
        evaluate = self.evaluate or _evaluator()
        points = self.points(piece)
        plan = self.plan
        block = evaluate_guarded(
            evaluate, points, plan.depths_for(points), plan.estimators, plan.unit, plan.optional, plan.model
        )
        columns = columns_with(plan.optional)
        return store.encode(store.to_table(block, store.columns_in(plan.unit, columns)))


def _evaluator() -> Evaluate:
    from mfmi.bounds.evaluate import evaluate_points

    return evaluate_points


def evaluate_guarded(
    evaluate: Evaluate,
    points: Points,
    depths: Depths,
    estimators: Sequence[str],
    unit: str,
    optional: Sequence[str] = (),
    model: Model = SQUARE,
) -> Block:
    """Evaluate points; if the arithmetic fails, one by one, so that only the culprits fail.

    Parameters
    ----------
    evaluate
        The evaluator.
    points
        The points, n of them.
    depths
        Depths of all points, or an (n, D) array.
    estimators, unit, further, model
        As for the evaluator.

    Returns
    -------
    dict
        The evaluator's columns; rows of a point that failed have status ``failed`` and what was raised as message.
    """
    if not len(points):
        return _rows(0, {}, columns_with(optional))
    try:
        return evaluate(points, depths, estimators, unit, optional, model)
    except NUMERICAL:  # one of the points; which one is found out below
        own = np.broadcast_to(np.atleast_1d(depths), (len(points), np.shape(depths)[-1]))
    blocks = [
        _evaluate_one(evaluate, points[i : i + 1], own[i], estimators, unit, optional, model)
        for i in range(len(points))
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _evaluate_one(
    evaluate: Evaluate,
    point: Points,
    depths: NDArray[np.int64],
    estimators: Sequence[str],
    unit: str,
    optional: Sequence[str],
    model: Model,
) -> Block:
    try:
        return evaluate(point, depths, estimators, unit, optional, model)
    except NUMERICAL as error:
        known = {name: values[0] for name, values in point.settings(depths[np.newaxis]).items()}
        message = " ".join(f"{type(error).__name__}: {error}".split())
        known |= {"status": "failed", "message": message}
        return _rows(len(depths), known, columns_with(optional))


_EMPTY: dict[str, tuple[type, Any]] = {
    "int64": (np.int64, 0),
    "int32": (np.int32, 0),
    "float64": (np.float64, np.nan),
    "string": (np.object_, None),
}


def _rows(n: int, known: Mapping[str, Any], columns: Sequence[Column]) -> Block:
    """Return n rows with all columns, null where nothing is known."""
    block: Block = {}
    for column in columns:
        dtype, empty = _EMPTY[column.dtype]
        block[column.name] = np.full(n, known.get(column.name, empty), dtype=dtype)
    return block


def digest(data: bytes, key: bytes) -> int:
    """Return a 64-bit digest, never 0, of a chunk's bytes, keyed with the fingerprint of its sweep."""
    return int.from_bytes(hashlib.blake2b(data, key=key, digest_size=8).digest(), "big") or 1
