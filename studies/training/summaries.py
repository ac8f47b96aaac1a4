"""From the rows of a training to what became of its information, and how far the theory was off."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mfmi.arguments.arrays import FloatArray
from studies.training.design import Case
from studies.training.measures import Row

# Share of the information at the start from which on a change counts; the measured decoder is good to half of it.
CHANGE = 0.02


class Summary(NamedTuple):
    """A training in a few numbers; information in nats per input dimension, NaN where unknown.

    Attributes
    ----------
    data_set, activation, depth, weights, gain : the case.
    start, end : information of the last layer before the classes are read, before and after training: exact of linear
        networks, the middle of the bracket of small ones, else what the best linear decoder reads.
    lowest, lowest_step, highest, highest_step : its extremes, and when they are reached.
    replica_start, replica_end : the theory's value of the total information there.
    best_step : step of the smallest test loss.
    train_loss, test_loss, test_accuracy : after training.
    error_start, error_end, error_worst : relative error of the theory's value, the largest over the layers, at the
        start, at the end, at any step. It is that of `linear`; of small networks that of `replica` beyond the bracket.
    readout_worst : the same of the matrix that reads the classes.
    tied : the largest distance of the freeness of two layers from 1 after training.
    """

    data_set: str
    activation: str
    depth: int
    weights: str
    gain: float
    start: float
    end: float
    lowest: float
    lowest_step: int
    highest: float
    highest_step: int
    replica_start: float
    replica_end: float
    best_step: int
    train_loss: float
    test_loss: float
    test_accuracy: float
    error_start: float
    error_end: float
    error_worst: float
    readout_worst: float
    tied: float

    @property
    def case(self) -> Case:
        """The training."""
        return Case(*self[:5])

    @property
    def change(self) -> float:
        """Change of the information over the training, as a share of that at the start."""
        return self.end / self.start - 1.0

    @property
    def course(self) -> str:
        """Course of the information in a word."""
        fell, rose = self.start - self.lowest, self.highest - self.start
        least = CHANGE * self.start
        if max(fell, rose) <= least:
            return "stays"
        if self.end < self.start - least:
            return "rises, then falls" if rose > least else "falls"
        if self.end > self.start + least:
            return "falls, then rises" if fell > least else "rises"
        return "falls and recovers" if fell > rose else "rises and falls back"

    @property
    def gap(self) -> float:
        """Test loss less training loss after training."""
        return self.test_loss - self.train_loss


def information(row: Row) -> float:
    """The information of a layer by the best value that owes nothing to the theory."""
    if not math.isnan(row.exact):
        return row.exact
    return 0.5 * (row.lower + row.upper) if row.case.is_small else row.linear_measured


def error(row: Row) -> float:
    """Relative error of the theory's value of a layer, without sign; NaN where nothing stands beside it."""
    if not math.isnan(row.exact):
        return abs(row.linear / row.exact - 1.0)
    if row.case.is_small:
        beyond = max(row.lower - row.replica, row.replica - row.upper, 0.0)
        return beyond / information(row)
    return abs(row.linear / row.linear_measured - 1.0)


def summary_of(rows: Sequence[Row]) -> Summary:
    """Sum up the rows of one training."""
    case = rows[0].case
    last = [row for row in rows if row.layer == case.depth and not math.isnan(information(row))]
    values = np.array([information(row) for row in last])
    low, high = int(values.argmin()), int(values.argmax())
    layers = [row for row in rows if row.layer <= case.depth]
    first_step, last_step = last[0].step, last[-1].step
    best = min((row for row in rows if row.layer == 1), key=lambda row: row.test_loss)
    return Summary(
        *case,
        start=float(values[0]),
        end=float(values[-1]),
        lowest=float(values[low]),
        lowest_step=last[low].step,
        highest=float(values[high]),
        highest_step=last[high].step,
        replica_start=last[0].replica,
        replica_end=last[-1].replica,
        best_step=best.step,
        train_loss=last[-1].train_loss,
        test_loss=last[-1].test_loss,
        test_accuracy=last[-1].test_accuracy,
        error_start=_largest(error, (row for row in layers if row.step == first_step)),
        error_end=_largest(error, (row for row in layers if row.step == last_step)),
        error_worst=_largest(error, layers),
        readout_worst=_largest(error, (row for row in rows if row.layer > case.depth)),
        tied=_largest(lambda row: abs(row.freeness - 1.0), (row for row in layers if row.step == last_step)),
    )


def _largest(measure: Callable[[Row], float], rows: Iterable[Row]) -> float:
    found = np.array([measure(row) for row in rows])
    return float(np.nanmax(found)) if np.isfinite(found).any() else math.nan


def by_case(rows: Iterable[Row]) -> dict[Case, list[Row]]:
    """Rows by their training, in the order in which they come."""
    found: dict[Case, list[Row]] = {}
    for row in rows:
        found.setdefault(row.case, []).append(row)
    return found


def over_steps(rows: Sequence[Row], layer: int, measure: Callable[[Row], float]) -> tuple[FloatArray, FloatArray]:
    """Steps and values of one layer, without what is unknown."""
    found = [(row.step, measure(row)) for row in rows if row.layer == layer]
    table = np.array([pair for pair in found if not math.isnan(pair[1])], dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
