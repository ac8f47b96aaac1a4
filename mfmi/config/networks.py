"""The points of a grid taken together: settings that contradict each other, and axes that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mfmi.config.axes import Sweep
from mfmi.config.grid import SweepAxis
from mfmi.config.kinds import Entry
from mfmi.config.located import Position, Report
from mfmi.config.points import points_at
from mfmi.config.schema import STRUCTURE_KINDS
from mfmi.config.values import Listed, Value
from mfmi.names import NUMBER_FORMATS
from mfmi.networks.convolution import IDLE
from mfmi.networks.model import Model, reason_against
from mfmi.networks.points import Points
from mfmi.networks.settings import OF_TWO
from mfmi.networks.structure import contradictions, ratio_alone, sites_of, unused

_WORDS = (
    "normalization",
    "norm_at",
    "noise_scale",
    "noise_in",
    "branch_matrices",
    "noise_at",
    "weights",
    "sigma_noise",
)
_TOO_MANY = "these axes and exclusions make more kinds of network than can be looked at; list the points: mode points"


@dataclass(frozen=True)
class Networks:
    """Kinds of networks among the points of a grid.

    Attributes
    ----------
    plain, structured : whether some are stacks of layers, and some have norms, skips or relative noise.
    sites : the most sites of any of them, as `networks.structure.sites_of` has them.
    notes : axes that change nothing for some of them.
    """

    plain: bool = True
    structured: bool = False
    sites: int = 0
    notes: tuple[str, ...] = ()


PLAIN = Networks()


def read_networks(sweep: Sweep, section: Entry, model: Model, report: Report) -> Networks:
    """Look at one point of each kind.

    Parameters
    ----------
    sweep
        The grid.
    section
        The sweep section, for the places of what is wrong.
    model
        What the networks have in common.
    report
        Receives settings that contradict each other.
    """
    axes = {axis.name: axis for axis in sweep.grid.axes}
    given = [name for name in STRUCTURE_KINDS if name in axes]
    if not given and not any(_is_format(value) for value in _listed(axes["sigma_noise"])):
        return PLAIN
    index = sweep.grid.representatives(_kinds(axes))
    if index is None:
        report.add(section.key, "sweep", _TOO_MANY)
        return PLAIN
    points, settings = points_at(sweep.grid, index, 1.0, 0.5)
    places = _Places(sweep, section, report)
    for rows, argument, text in contradictions(points):
        places.add(argument, int(index[rows[0]]), text)
    try:
        settings.check(points.structure)
    except ValueError as error:
        argument, _, text = str(error).partition(": ")
        places.add(argument, int(index[0]), text, "")
    plain = points.is_plain
    _report_unknown(points, model, (given or ["sigma_noise"])[0], places)
    return Networks(
        bool(plain.any()),
        bool((~plain).any()),
        sites_of(points),
        tuple(_notes(points, axes)),
    )


def with_convolution(networks: Networks, model: Model) -> Networks:
    """The kinds of networks with a note where their layers are convolutions to no effect."""
    if model.convolution is None or not model.convolution.is_white:
        return networks
    return replace(networks, notes=(*networks.notes, f"network.convolution {IDLE}"))


def _is_format(value: Value) -> bool:
    return value in NUMBER_FORMATS


def _listed(axis: SweepAxis) -> tuple[Value, ...]:
    return axis.values.values if isinstance(axis.values, Listed) else ()


def _kinds(axes: Mapping[str, SweepAxis]) -> dict[str, Callable[[Value], Hashable]]:
    """Functions by which points of different kinds differ, by axis."""
    from mfmi.activations import get

    kinds: dict[str, Callable[[Value], Hashable]] = {name: lambda value: value for name in _WORDS}
    kinds["sigma_noise"] = lambda value: value if _is_format(value) else None
    kinds["skip"] = lambda value: None if value is None else value == 0.0
    kinds["branch"] = lambda value: value if isinstance(value, str | None) else value == 1.0
    kinds["activation"] = lambda value: (get(str(value)).homogeneous, get(str(value)).odd)
    for name in ("sigma_w", "sigma_b"):
        # The first matrix is like the others only where both have one value.
        inside = axes.get(f"{name}_in")
        alike = _values(axes.get(name)) & _values(inside)
        kinds[name] = _kind_of_scale(axes.get(name), alike)
        kinds[f"{name}_in"] = _kind_of_scale(inside, alike)
    return kinds


def _values(axis: SweepAxis | None) -> set[float]:
    if axis is None or not isinstance(axis.values, Listed):
        return set()
    return {one for one in axis.at(np.arange(len(axis))).tolist() if one is not None}


def _kind_of_scale(axis: SweepAxis | None, alike: set[float]) -> Callable[[Value], Hashable]:
    squared = axis is not None and axis.squared

    def kind(value: Value) -> Hashable:
        if value is None:
            return None
        number = float(np.sqrt(float(value))) if squared else float(value)
        return number == 0.0, number if number in alike else -1.0

    return kind


@dataclass(frozen=True)
class _Places:
    """Places of settings of points.

    Attributes
    ----------
    sweep, section : the grid and its section.
    report : receives what is wrong there.
    said : what has been reported.
    """

    sweep: Sweep
    section: Entry
    report: Report
    said: set[tuple[str, str]] = field(default_factory=set)

    def add(self, argument: str, point: int, text: str, way_out: str = "; or leave such points out by exclude") -> None:
        """Report that a setting of a point is at fault."""
        grid = self.sweep.grid
        at, path = self._of(argument, point)
        if (path, text) not in self.said:
            self.said.add((path, text))
            self.report.add(at, path, text + (way_out if grid.product and grid.size > 1 else ""))

    def _of(self, argument: str, point: int) -> tuple[Position, str]:
        entries: Mapping[str, Entry] = self.section.value
        if self.sweep.mode == "points":
            own = entries["points"].value[point].value
            if argument in own:
                return own[argument].key, f"sweep.points[{point}].{argument}"
        if argument not in entries:
            return self.section.key, f"sweep.{argument}"
        entry = entries[argument]
        listed = entry.value.entries
        if not listed:
            return entry.key, f"sweep.{argument}"
        position = int(self.sweep.grid.positions(np.array([point]))[argument][0])
        return listed[position].key, f"sweep.{argument}[{position}]"


def _report_unknown(points: Points, model: Model, argument: str, places: _Places) -> None:
    """Report networks with norms and skips whose weights, input or shape their bounds do not know."""
    others = np.flatnonzero(~points.is_plain)
    if not len(others):
        return
    for label in dict.fromkeys(points.weights[others]):
        against = reason_against(label, model)
        if against:
            first = int(points.index[others[points.weights[others] == label][0]])
            places.add(argument, first, f"networks with norms, skips or relative noise need {against}")
            return


def _notes(points: Points, axes: Mapping[str, SweepAxis]) -> Iterator[str]:
    """Say of each axis of several values where it changes nothing."""
    own = points.structured
    idle: dict[str, list[tuple[NDArray[np.bool_], str]]] = {
        "norm_at": [(own.normalization == "none", "where normalization is none")],
        "noise_in": [
            (own.skip == 0.0, "where skip is 0"),
            ((own.skip != 0.0) & (points.noise_at == "output"), "where noise is at the output alone"),
        ],
        **{name: [(own.branch_matrices == 1, "where branch_matrices is 1")] for name in OF_TWO},
    }
    for names, rows, text in unused(points):
        for name in names:
            idle.setdefault(name, []).append((rows, text))
    for name, cases in idle.items():
        if name in axes and len(axes[name]) > 1:
            for rows, text in cases:
                if rows.any():
                    yield f"sweep.{axes[name].given_as} changes nothing {text}"
    scales = [axes[name].given_as for name in ("sigma_w", "sigma_b") if name in axes and len(axes[name]) > 1]
    if len(scales) == 2 and ratio_alone(points).any():
        yield f"sweep.{' and sweep.'.join(scales)}: only their ratio changes anything with a norm and relative noise"
    same = np.isin(own.norm_at, ("activation", "stream"))
    if {"layernorm", "rmsnorm"} <= set(own.normalization[same]):
        yield "sweep.normalization: layernorm and rmsnorm are the same before the activation and in the stream"
