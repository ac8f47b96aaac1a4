"""Points excluded from a sweep: entries of `exclude` to positions on the axes."""

from collections.abc import Collection, Sequence

from mfmi.config.grid import Exclusion, SweepAxis
from mfmi.config.kinds import Entry
from mfmi.config.located import Report
from mfmi.config.schema import AXIS_KINDS, SQUARES
from mfmi.config.yaml import ListNode, MappingNode, describe
from mfmi.errors import likeliest

_MOST_ENTRIES = 200
_MOST_WORDS = 100


def read_exclusions(
    exclude: Entry, axes: Sequence[SweepAxis], keys: Collection[str], report: Report
) -> tuple[Exclusion, ...]:
    """Find the excluded values on the axes.

    Every name must be that of an axis, in the form in which the sweep gives it, and every value one that some point
    has: an entry that matches nothing, by a slip or by rounding, would be overlooked.

    Parameters
    ----------
    exclude
        The section, its entries valid by themselves.
    axes
        The axes that the sweep gives.
    keys
        The keys of the sweep section, to distinguish an invalid axis there from a missing one.
    report
        Receives what is wrong.
    """
    node, entries = exclude.node, exclude.value
    assert isinstance(node, ListNode)
    if len(node.items) > _MOST_ENTRIES:
        report.add(exclude.key, "sweep.exclude", f"more than {_MOST_ENTRIES:,} entries; mode points lists points")
        return ()
    by_key = {axis.given_as: axis for axis in axes}
    given = dict.fromkeys([*(key for key in keys if key in AXIS_KINDS), *by_key])
    numbers = {id(item): i for i, item in enumerate(node.items)}
    exclusions = []
    for entry in entries:
        path = f"sweep.exclude[{numbers[id(entry.node)]}]"
        if isinstance(entry.node, MappingNode) and not entry.node.entries:
            report.add(entry.node.at, path, "names no axis, so it would leave out every point")
        matches = []
        for key, wanted in entry.value.items():
            if key in by_key:
                matches.append((by_key[key].name, _positions(wanted, by_key[key], f"{path}.{key}", report)))
            elif key not in keys:
                _report_no_axis(key, wanted, f"{path}.{key}", given, report)
            elif key == "depth":
                report.add(wanted.key, f"{path}.depth", "not an axis here: every point has all of the depths")
        exclusions.append(Exclusion(tuple(matches)))
    return tuple(exclusions)


def _positions(wanted: Entry, axis: SweepAxis, path: str, report: Report) -> tuple[int, ...]:
    found: set[int] = set()
    for entry in wanted.value:
        positions = axis.values.positions(entry.value)
        found.update(positions)
        if positions:
            continue
        if isinstance(entry.value, str):
            words = [str(axis.values[i]) for i in range(min(len(axis), _MOST_WORDS))]
            hint = None if report.full else likeliest(entry.value, words)
        else:
            near = axis.values.nearest(entry.value)
            hint = repr(near) if near is not None and abs(near - entry.value) <= 1e-6 * abs(near) else None
        written = entry.value if isinstance(entry.node, MappingNode) else describe(entry.node)
        report.add(entry.node.at, path, f"no point has {axis.given_as} {written}", hint)
    return tuple(sorted(found))


def _report_no_axis(key: str, wanted: Entry, path: str, given: Collection[str], report: Report) -> None:
    forms = {**SQUARES, **{name: square for square, name in SQUARES.items()}}
    other = forms.get(key)
    if other in given:
        report.add(wanted.key, path, f"the sweep gives {other}, not {key}", other)
        return
    message = f"the sweep has no axis {key}; it has {', '.join(given)}"
    report.add(wanted.key, path, message, likeliest(key, given))
