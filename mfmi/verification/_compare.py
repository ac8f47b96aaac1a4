"""Run the measurements, extrapolate them to infinite width, and set them beside the theory."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.columns import Column
from mfmi.processes.pool import run_processes
from mfmi.processes.progress import OnProgress, Progress, stage
from mfmi.simulate import Average, fit_trend
from mfmi.verification._measures import Comparison, Effort, Simulation, comparisons
from mfmi.verification._setting import Setting
from mfmi.verification._theory import theory_values

LIMIT = 3.0
"""Standard errors from which a row disagrees."""
FRESH_FACTOR = 4

COLUMNS = (
    Column("quantity", "string", "", "what is compared"),
    Column("layer", "int32", "layers", "the layer it belongs to"),
    Column("width", "int64", "1", "units per layer of the measured networks; null: extrapolated to infinite width"),
    Column("networks", "int64", "1", "independent networks averaged in the measured value"),
    Column("relation", "string", "", "how the theory should stand to the measured value: equal, at most, at least"),
    Column("theory", "float64", "1", "value of the theory at infinite width; mi_: nats or bits per input dimension"),
    Column("measured", "float64", "1", "average over networks, or its extrapolation"),
    Column("standard_error", "float64", "1", "of the measured value, from the scatter between networks"),
    Column("slope", "float64", "1", "of the fitted law, value + slope / width; null at finite width"),
    Column("z", "float64", "1", "measured minus theory as a standard normal deviate; null at finite width"),
    Column("flag", "string", "", "disagrees, no theory, saturated, remeasured, or the widths that 1/n was fitted to"),
)


@dataclass(frozen=True)
class Row:
    """One line of the comparison; `COLUMNS` says what the fields are."""

    quantity: str
    layer: int
    width: int | None
    networks: int
    relation: str
    theory: float
    measured: float
    standard_error: float
    slope: float = np.nan
    z: float = np.nan
    flag: str = ""

    @property
    def disagrees(self) -> bool:
        """Whether theory and measurement contradict each other, or there is no value to compare."""
        return self.flag.startswith(("disagrees", "no theory"))

    def in_unit(self, unit: str) -> Row:
        """Return the row with its information, if it is one, in nats or bits per input dimension."""
        if unit == "nats" or not self.quantity.startswith("mi_"):
            return self
        values = {name: getattr(self, name) / np.log(2.0) for name in ("theory", "measured", "standard_error", "slope")}
        return replace(self, **values)

    def flagged(self, flag: str) -> Row:
        """Return the row with one more flag."""
        return replace(self, flag=f"{self.flag}; {flag}" if self.flag else flag)


Samples = dict[tuple[str, int], list[dict[str, FloatArray]]]
Key = tuple[str, Comparison, int]
Theory = dict[tuple[str, str], FloatArray]


def block_of(rows: Sequence[Row]) -> dict[str, np.ndarray[Any, Any]]:
    """Return rows as columns; a width of None is null."""
    kinds: dict[str, Any] = {"int32": np.int32, "float64": np.float64}
    return {
        column.name: np.array([getattr(row, column.name) for row in rows], dtype=kinds.get(column.dtype, object))
        for column in COLUMNS
    }


def verify(
    setting: Setting, effort: Effort, *, jobs: int | None = 1, on_progress: OnProgress | None = None
) -> tuple[Row, ...]:
    """Measure finite networks and compare them with the theory, layer by layer.

    Parameters
    ----------
    setting : Setting
        The network.
    effort : Effort
        Widths, networks per width, seed.
    jobs : int or None
        Worker processes; None for this process, of which rounding depends on the threads. Else the rows do not depend
        on it.
    on_progress : callable, optional
        Called with the number of finished measurements and of all, as chunks of a stage "measure".

    Returns
    -------
    tuple of Row
        Per quantity and layer one row per width and one of width None, extrapolated to infinite width; only that one
        has a z-score and can disagree. Quantities that do not exist (the slope of an activation with jumps, the
        correlation of runs without variance) have no rows.
    """
    with stage("theory"):
        theory = theory_values(setting, effort)
    measures = effort.measures(setting)
    samples = _simulate(setting, effort, measures, range(effort.networks), jobs, on_progress)
    rows = _compare(setting, effort, theory, samples)
    doubtful = [key for key, lines in rows.items() if lines[-1].flag.startswith("disagrees")]
    if doubtful:
        again = [name for name in measures if any(key[0] == name for key in doubtful)]
        fresh = range(effort.networks, (1 + FRESH_FACTOR) * effort.networks)
        fresh_rows = _compare(setting, effort, theory, _simulate(setting, effort, again, fresh, jobs, on_progress))
        rows |= {key: [line.flagged("remeasured") for line in fresh_rows[key]] for key in doubtful}
    return tuple(line for lines in rows.values() for line in lines)


def _simulate(
    setting: Setting,
    effort: Effort,
    measures: Sequence[str],
    networks: Sequence[int],
    jobs: int | None,
    on_progress: OnProgress | None,
) -> Samples:
    """Take every measure of every network; the lists are in network order."""
    # The long ones first, so that no worker ends alone.
    entries = [
        (measure, width, network)
        for width in sorted(effort.widths, reverse=True)
        for measure in reversed(measures)
        for network in networks
    ]
    simulation = Simulation(setting, effort, tuple(entries))
    results: list[dict[str, FloatArray]] = [{} for _ in entries]
    start = time.monotonic()
    numbers = range(len(entries))
    here = ((number, simulation.run(number)) for number in numbers)
    finished = here if jobs is None else run_processes(simulation, numbers, jobs)
    with stage("measure", len(entries)):
        for count, (number, data) in enumerate(finished, start=1):
            results[number] = pickle.loads(data)
            if on_progress is not None:
                on_progress(Progress("measure", count, len(entries), 0, time.monotonic() - start))
    samples: Samples = {}
    for (measure, width, _), result in zip(entries, results, strict=True):
        samples.setdefault((measure, width), []).append(result)
    return samples


def _compare(setting: Setting, effort: Effort, theory: Theory, samples: Samples) -> dict[Key, list[Row]]:
    """Return the rows of every comparison: one per width, then the extrapolated one."""
    rows: dict[Key, list[Row]] = {}
    measures = [name for name in effort.measures(setting) if any(name == measured for measured, _ in samples)]
    for measure in measures:
        for comparison in comparisons(measure, effort.estimators):
            averages = [comparison.average(samples[measure, width]) for width in effort.widths]
            expected = theory[measure, comparison.quantity]
            for index in _layers(measure, expected):
                at_layer = [Average(a.mean[index], a.standard_error[index], a.networks) for a in averages]
                lines = _lines(comparison, index + 1, float(expected[index]), effort.widths, at_layer)
                if measure == "information" and _is_saturated(samples, effort.widths):
                    lines[-1] = lines[-1].flagged("saturated")
                rows[measure, comparison, index] = lines
    return rows


def _layers(measure: str, expected: FloatArray) -> Sequence[int]:
    """Return the layers where the quantity exists; an information that the theory fails to give counts as one."""
    if measure == "information":
        return [len(expected) - 1]
    if measure == "decoder":
        return range(len(expected))
    return [int(index) for index in np.flatnonzero(~np.isnan(expected))]


def _is_saturated(samples: Samples, widths: Sequence[int]) -> bool:
    """Say whether at some width most brackets are as wide as the number of inner samples makes them."""
    shares = [np.median([sample["own_share"][-1] for sample in samples["information", width]]) for width in widths]
    return bool(max(shares) > 0.5)


def _lines(
    comparison: Comparison, layer: int, expected: float, widths: Sequence[int], averages: Sequence[Average]
) -> list[Row]:
    def row(width: int | None, networks: int, measured: float, error: float) -> Row:
        return Row(
            comparison.quantity, layer, width, networks, comparison.relation, expected, float(measured), float(error)
        )

    lines = [row(n, a.networks, float(a.mean), float(a.standard_error)) for n, a in zip(widths, averages, strict=True)]
    trend = fit_trend(widths, averages)
    networks = sum(a.networks for n, a in zip(widths, averages, strict=True) if n in trend.widths)
    z = trend.z_score(expected, comparison.scale)
    limit = replace(row(None, networks, trend.value, trend.standard_error), slope=trend.slope, z=z)
    verdict = _verdict(comparison.relation, expected, limit.z)
    limit = limit.flagged(verdict) if verdict else limit
    if len(trend.widths) < len(widths):
        limit = limit.flagged(f"widths {', '.join(map(str, trend.widths))}")
    return [*lines, limit]


def _verdict(relation: str, expected: float, z: float) -> str:
    if np.isnan(expected):
        return "no theory"
    too_low = z < -LIMIT and relation != "at least"
    too_high = z > LIMIT and relation != "at most"
    # A quantity that exists and cannot be measured is not confirmed.
    return "disagrees" if too_low or too_high or np.isnan(z) else ""
