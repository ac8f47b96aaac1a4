"""The section `adaptive` of a sweep: which axes are refined, how far, and where to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfmi.config.axes import MOST_POINTS, Sweep
from mfmi.config.grid import Grid, SweepAxis
from mfmi.config.kinds import Entry
from mfmi.config.located import Report
from mfmi.config.schema import ADAPTIVE, PHASE, SQUARES
from mfmi.config.values import Spaced
from mfmi.config.yaml import MappingNode
from mfmi.errors import likeliest
from mfmi.names import LOWER_BOUNDS, UPPER_BOUNDS

MOST_AXES, LEAST_VALUES = 3, 3


@dataclass(frozen=True)
class Adaptive:
    """Rules by which a sweep is refined.

    Attributes
    ----------
    points : most points, those of the first grid included.
    target : "phase", or the column whose peaks are sought.
    axes : names of the axes that are refined, in config order.
    tolerance : share of an axis below which its cells are not halved any more.
    level : how often a cell of the first grid may be halved.
    """

    points: int
    target: str
    axes: tuple[str, ...]
    tolerance: float
    level: int

    def described(self) -> dict[str, Any]:
        """Return what the section means, ready for JSON."""
        return {"points": self.points, "target": self.target, "axes": list(self.axes), "tolerance": self.tolerance}

    def fine(self, grid: Grid) -> Grid:
        """Return the grid on which all points lie: the first one with every cell halved `level` times."""
        axes = tuple(_halved(axis, self.level) if axis.name in self.axes else axis for axis in grid.axes)
        return Grid(axes, True, grid.exclude)


def _halved(axis: SweepAxis, level: int) -> SweepAxis:
    values = axis.values
    assert isinstance(values, Spaced)
    # Halving steps is exact in binary: the values of the first grid are on the finer one bit for bit.
    fine = Spaced(values.start, values.stop, ((values.num - 1) << level) + 1, values.logarithmic)
    return SweepAxis(axis.name, fine, axis.squared)


def read_adaptive(section: Entry, sweep: Sweep, estimators: Sequence[str], report: Report) -> Adaptive | None:
    """Read how a sweep is refined.

    Parameters
    ----------
    section
        The sweep section, its entries valid by themselves.
    sweep
        The first grid.
    estimators
        What is computed at each point.
    report
        Receives what is wrong.

    Returns
    -------
    Adaptive or None
        None where the mode is another, or something is wrong.
    """
    if sweep.mode != "adaptive" or "adaptive" not in section.value:
        return None
    before = len(report)
    whole: Entry = section.value["adaptive"]
    entries: Mapping[str, Entry] = whole.value
    axes = _axes(whole, section, sweep, report)
    target = entries["target"].value if "target" in entries else ADAPTIVE.fields["target"].default
    if "target" in entries:
        _report_target(entries["target"], estimators, report)
    _report_excluded(section, axes, report)
    tolerance = entries["tolerance"].value if "tolerance" in entries else ADAPTIVE.fields["tolerance"].default
    level = _level(axes, tolerance, whole, report) if axes else 0
    if "points" in entries:
        _report_budget(entries["points"], sweep, report)
    if len(report) > before or "points" not in entries:
        return None
    found = Adaptive(entries["points"].value, target, tuple(axis.name for axis in axes), tolerance, level)
    size = found.fine(sweep.grid).size
    if size > MOST_POINTS:
        place = entries.get("tolerance", whole)
        message = f"makes a lattice of {size:.3g} places, more than can be numbered"
        report.add(place.key, "sweep.adaptive.tolerance", message)
        return None
    return found


def _axes(whole: Entry, section: Entry, sweep: Sweep, report: Report) -> list[SweepAxis]:
    """The axes that are refined, in config order; those without a range are reported."""
    ranges = {axis.given_as: axis for axis in sweep.grid.axes if isinstance(axis.values, Spaced) and len(axis) > 1}
    entries: Mapping[str, Entry] = whole.value
    if "axes" not in entries:
        if not ranges:
            report.add(whole.key, "sweep.adaptive", "no axis has a range to refine: {start: ..., stop: ..., num: ...}")
        chosen = list(ranges.values())
    else:
        chosen = _named(entries["axes"].value, ranges, section, report)
    for axis in chosen:
        if len(axis) < LEAST_VALUES:
            message = f"a refined axis begins with num {LEAST_VALUES} at least, got {len(axis)}"
            report.add(section.value[axis.given_as].node.at, f"sweep.{axis.given_as}", message)
    if len(chosen) > MOST_AXES:
        place = entries.get("axes", whole)
        names = ", ".join(axis.given_as for axis in chosen)
        message = f"at most {MOST_AXES} axes are refined together, got {names}: name those that matter"
        report.add(place.key, "sweep.adaptive.axes", message)
    return [axis for axis in sweep.grid.axes if axis in chosen]


def _named(wanted: Sequence[Entry], ranges: Mapping[str, SweepAxis], section: Entry, report: Report) -> list[SweepAxis]:
    """The axes that are named; reports what is no range of the sweep, or named twice."""
    chosen: list[SweepAxis] = []
    forms = {**SQUARES, **{root: square for square, root in SQUARES.items()}}
    for i, entry in enumerate(wanted):
        name, path = entry.value, f"sweep.adaptive.axes[{i}]"
        if name in ranges:
            if ranges[name] in chosen:
                report.add(entry.node.at, path, f"{name} is named twice")
            else:
                chosen.append(ranges[name])
        elif forms.get(name) in section.value:
            report.add(entry.node.at, path, f"the sweep gives {forms[name]}, not {name}", forms[name])
        elif name == "depth":
            report.add(entry.node.at, path, "the depth is not refined: every point has all of the depths")
        elif name in section.value:
            message = f"{name} on line {section.value[name].key.line} is no range of numbers: {{start: ..., stop: ..., "
            report.add(entry.node.at, path, f"{message}num: ...}}")
        elif ranges:
            message = f"the sweep has no axis {name}; the ranges in it are {', '.join(ranges)}"
            report.add(entry.node.at, path, message, likeliest(name, ranges))
        else:
            report.add(entry.node.at, path, f"the sweep has no axis {name}, and no range of another")
    return chosen


def _report_target(target: Entry, estimators: Sequence[str], report: Report) -> None:
    """Report a column of which no value is computed."""
    if target.value == PHASE:
        return
    name = target.value.removeprefix("mi_")
    sources = {"lower": LOWER_BOUNDS, "upper": UPPER_BOUNDS}.get(name, (name,))
    if set(sources).isdisjoint(estimators):
        wanted = " or ".join(sources)
        message = f"{target.value} is not computed: add {wanted} to the estimators, which are {', '.join(estimators)}"
        report.add(target.node.at, "sweep.adaptive.target", message)


def _report_excluded(section: Entry, axes: Sequence[SweepAxis], report: Report) -> None:
    """Report exclusions of single values of an axis that is refined."""
    refined = {axis.given_as for axis in axes}
    for entry in section.value["exclude"].value if "exclude" in section.value else ():
        for key, wanted in entry.value.items():
            if key in refined:
                message = f"{key} is refined, so that single values of it cannot be left out; change its range instead"
                report.add(wanted.key, f"sweep.exclude.{key}", message)


def _level(axes: Sequence[SweepAxis], tolerance: float, whole: Entry, report: Report) -> int:
    """Number of halvings after which the cells are as small as the tolerance along every axis."""
    largest = max(1.0 / (len(axis) - 1) for axis in axes)
    level = math.ceil(math.log2(largest / tolerance) - 1e-9)
    if level < 1:
        place = whole.value.get("tolerance", whole)
        message = (
            f"{tolerance:g} is no less than the cells of the first grid, {largest:g} of an axis: nothing is refined"
        )
        report.add(place.node.at, "sweep.adaptive.tolerance", message)
    return max(level, 1)


def _report_budget(points: Entry, sweep: Sweep, report: Report) -> None:
    first = sweep.grid.count()
    if first is None:
        report.add(
            points.node.at, "sweep.adaptive.points", "the first grid is too intricate to be counted: exclude less"
        )
    elif points.value < first:
        message = f"{points.value:,} is less than the {first:,} points of the first grid: give more, or coarser ranges"
        report.add(points.node.at, "sweep.adaptive.points", message)


def report_section(section: Entry, mode: str, report: Report) -> None:
    """Report a section that is missing, or that the mode does not read."""
    node = section.node
    assert isinstance(node, MappingNode)
    at = {key.text: key.at for key, _ in node.entries}
    if mode == "adaptive" and "adaptive" not in at:
        message = "missing: mode adaptive needs to know how many points to spend, {points: N}"
        report.add(section.key, "sweep.adaptive", message)
    elif mode != "adaptive" and "adaptive" in at:
        report.add(at["adaptive"], "sweep.adaptive", f"mode {mode} does not read it", "mode: adaptive")
