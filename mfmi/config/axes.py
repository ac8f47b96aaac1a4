"""The sweep section of a config to a grid: what relates several of its keys to each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mfmi.config.exclude import read_exclusions
from mfmi.config.grid import Exclusion, Grid, SweepAxis
from mfmi.config.kinds import Entry
from mfmi.config.located import Position, Report
from mfmi.config.ranges import AxisValues
from mfmi.config.schema import AXIS_DEFAULTS, AXIS_KINDS, INSTEAD, REQUIRED, SQUARES, STRUCTURE_KINDS
from mfmi.config.values import Listed, Value
from mfmi.config.yaml import ListNode, MappingNode, describe
from mfmi.errors import likeliest
from mfmi.names import DEPTH

# Rows at the greatest number of depths are still counted by 64 bits.
MOST_POINTS = 10**14

Axes = tuple[list[SweepAxis], tuple[int, ...]]


@dataclass(frozen=True)
class Sweep:
    """Parsed sweep section.

    Attributes
    ----------
    mode : "product", "zip", "points" or "adaptive".
    grid : the axes, the depth among them only where it varies with the point.
    depths : the depths of every point; empty where the depth is an axis.
    """

    mode: str
    grid: Grid
    depths: tuple[int, ...]


def read_sweep(section: Entry, report: Report, depth: int = DEPTH) -> Sweep | None:
    """Make a grid of the sweep section.

    Parameters
    ----------
    section
        The section, its entries valid by themselves.
    report
        Receives what is wrong with them together.
    depth
        The depth of networks for which none is given.

    Returns
    -------
    Sweep or None
        None where there is no telling what the axes are.
    """
    entries: Mapping[str, Entry] = section.value
    node = section.node
    assert isinstance(node, MappingNode)
    keys = {key.text: key.at for key, _ in node.entries}
    _report_both_forms(node, report)
    if "mode" in keys and "mode" not in entries:
        return None
    mode = entries["mode"].value if "mode" in entries else "product"
    if mode == "points" and "points" not in keys:
        report.add(section.key, "sweep.points", "missing: mode points reads the list of points")
    elif mode != "points" and "points" in keys:
        report.add(keys["points"], "sweep.points", f"mode {mode} does not read it", "mode: points")
    elif mode != "points":
        _report_missing(node, section.key, "sweep", (), report)
    given = {name: entry for name, entry in entries.items() if name in AXIS_KINDS}
    axes, depths = _READERS[mode](given, section, report, depth)
    exclude: tuple[Exclusion, ...] = ()
    if "exclude" in entries and (axes or mode != "points"):  # else what points have is not known
        exclude = read_exclusions(entries["exclude"], axes, keys, report)
    if not axes:
        return None
    names = {axis.name for axis in axes}
    names |= {part for whole, parts in INSTEAD.items() if whole in names for part in parts}
    axes += [SweepAxis(name, Listed((value,))) for name, value in AXIS_DEFAULTS.items() if name not in names]
    grid = Grid(tuple(axes), mode in ("product", "adaptive"), exclude)
    if grid.size > MOST_POINTS:
        report.add(section.key, "sweep", f"the grid has {grid.size:.3g} points, more than can be numbered")
    elif exclude and not len(report) and grid.count() == 0:
        report.add(keys["exclude"], "sweep.exclude", "leaves no point")
    return Sweep(mode, grid, depths)


def _report_both_forms(node: MappingNode, report: Report) -> None:
    """Report an axis given as standard deviation and as variance, in the section or in points."""
    mappings = [("sweep", node)]
    points = node.get("points")
    if isinstance(points, ListNode):
        inner = [(f"sweep.points[{i}]", point) for i, point in enumerate(points.items)]
        mappings += [(path, point) for path, point in inner if isinstance(point, MappingNode)]
    seen: dict[str, tuple[str, int]] = {}
    places: dict[str, tuple[Position, str]] = {}
    for path, mapping in mappings:
        for key, _ in mapping.entries:
            axis = SQUARES.get(key.text, key.text)
            form, line = seen.setdefault(axis, (key.text, key.at.line))
            places.setdefault(axis, (key.at, f"{path}.{key.text}"))
            if form != key.text:
                message = f"the same axis as {form} on line {line}; give one of the two forms"
                report.add(key.at, f"{path}.{key.text}", message)
    for whole, parts in INSTEAD.items():
        if whole in seen:
            for name in parts:
                if name in seen:
                    message = f"{whole} on line {seen[whole][1]} stands for it; give one of the two"
                    report.add(*places[name], message)


def _report_missing(node: MappingNode, at: Position, path: str, outside: Sequence[str], report: Report) -> None:
    """Report a quantity without a default that neither `node` nor the keys `outside` give."""
    keys = {key.text for key, _ in node.entries}
    for name in REQUIRED:
        forms = [name, *(square for square, root in SQUARES.items() if root == name)]
        forms += [whole for whole, parts in INSTEAD.items() if name in parts]
        if not (keys | set(outside)).isdisjoint(forms):
            continue
        # A misspelt key is reported as such, not as a missing one too.
        unknown = keys - set(AXIS_KINDS)
        if report.full or not any(likeliest(key, AXIS_KINDS) in forms for key in unknown):
            report.add(at, f"{path}.{name}", f"missing: give {' or '.join(forms)}")


def _axis(name: str, values: AxisValues) -> SweepAxis:
    return SweepAxis(SQUARES.get(name, name), values.values, name in SQUARES)


def _shared_depths(given: Mapping[str, Entry], default: int) -> tuple[int, ...]:
    if "depth" not in given:
        return (default,)
    values = given["depth"].value.values
    return tuple(int(depth) for depth in values.values)


def _product(given: Mapping[str, Entry], section: Entry, report: Report, depth: int) -> Axes:
    for name, entry in given.items():
        _report_repeated(name, entry.value, report)
    axes = [_axis(name, entry.value) for name, entry in given.items() if name != "depth"]
    return axes, _shared_depths(given, depth)


def _report_repeated(name: str, axis: AxisValues, report: Report) -> None:
    """Report values given twice, whose rows would only repeat each other."""
    seen: dict[Value, int] = {}
    for i, entry in enumerate(axis.entries):
        first = seen.setdefault(entry.value, i)
        if first != i:
            written = entry.value if isinstance(entry.node, MappingNode) else describe(entry.node)
            report.add(entry.key, f"sweep.{name}[{i}]", f"{written} stands at [{first}] already")


def _zip(given: Mapping[str, Entry], section: Entry, report: Report, depth: int) -> Axes:
    lists = {name: entry for name, entry in given.items() if not entry.value.constant}
    first = next(iter(lists), "")
    for name, entry in lists.items():
        number, wanted = len(entry.value.values), len(lists[first].value.values)
        if number != wanted:
            message = f"{number:,} values, but {first} on line {lists[first].key.line} has {wanted:,}"
            report.add(entry.node.at, f"sweep.{name}", f"{message}; mode zip takes them side by side")
    varying = "depth" in lists
    axes = [_axis(name, entry.value) for name, entry in given.items() if name != "depth" or varying]
    return axes, () if varying else _shared_depths(given, depth)


def _points(given: Mapping[str, Entry], section: Entry, report: Report, depth: int) -> Axes:
    """Collect the points into one axis a key, filled up with the constants."""
    node = section.node
    points = node.get("points") if isinstance(node, MappingNode) else None
    if not isinstance(points, ListNode) or "points" not in section.value:
        return [], ()
    before = len(report)
    entries: list[Entry] = section.value["points"].value
    own = [name for name in AXIS_KINDS if any(name in entry.value for entry in entries)]
    for name, entry in given.items():
        if name != "depth" and not entry.value.constant:
            message = f"beside the points stand constants only, got {describe(entry.node)}"
            report.add(entry.node.at, f"sweep.{name}", message)
        elif name in own and not entry.value.constant:
            report.add(entry.node.at, "sweep.depth", "a list for all points, but some point has a depth of its own")
    outside = [key.text for key, _ in node.entries] if isinstance(node, MappingNode) else []
    for i, point in enumerate(points.items):
        if isinstance(point, MappingNode):
            _report_missing(point, point.at, f"sweep.points[{i}]", outside, report)
    own_axes = [_own_axis(name, entries, given, depth) for name in own]
    if len(report) > before or len(entries) < len(points.items) or None in own_axes:
        return [], ()
    axes = [_axis(name, entry.value) for name, entry in given.items() if name != "depth" and name not in own]
    axes += [axis for axis in own_axes if axis is not None]
    return axes, () if "depth" in own else _shared_depths(given, depth)


def _own_axis(name: str, points: Sequence[Entry], given: Mapping[str, Entry], depth: int) -> SweepAxis | None:
    """Return the values of a key that points have of their own; None if some point ends without one."""
    root = SQUARES.get(name, name)
    default: Value | None = {**AXIS_DEFAULTS, "depth": depth}.get(root)
    if isinstance(default, float) and name in SQUARES:
        default **= 2
    if name in given:
        default = given[name].value.values.values[0]
    found = [point.value[name].value if name in point.value else default for point in points]
    if name not in STRUCTURE_KINDS and None in found:
        return None
    return SweepAxis(root, Listed(tuple(found)), name in SQUARES)


_READERS = {"product": _product, "zip": _zip, "points": _points, "adaptive": _product}
