"""The sections of a config that hold for all its networks alike: to a model, and what it does not allow of the grid."""

from collections.abc import Iterator, Mapping

from mfmi.model import Model, ratios_of
from mfmi.sweep._kinds import Entry
from mfmi.sweep._located import Position, Report
from mfmi.sweep._yaml import ListNode


def read_model(entries: Mapping[str, Entry], report: Report) -> Model:
    """Return the model that the entries of a config describe.

    Parameters
    ----------
    entries
        The sections of the config, each valid by itself.
    report
        Receives what is wrong with them together.
    """
    network: Mapping[str, Entry] = entries["network"].value if "network" in entries else {}
    alpha: tuple[float, ...] = ()
    if "widths" in network:
        node = network["widths"].node
        assert isinstance(node, ListNode)
        if len(node.items) < 2:
            report.add(node.at, "network.widths", "needs two numbers at least: inputs, then layers")
        alpha = ratios_of([entry.value for entry in network["widths"].value])
        if "alpha" in network:
            message = f"the widths on line {network['widths'].key.line} give the ratios already"
            report.add(network["alpha"].key, "network.alpha", message)
    elif "alpha" in network:
        alpha = tuple(entry.value for entry in network["alpha"].value)
    return Model(alpha)


def report_depths(section: Entry, model: Model, report: Report) -> None:
    """Report depths beyond the layers that the model has."""
    for at, path, depth in _depths(section.value):
        if model.layers is not None and depth > model.layers:
            report.add(at, path, f"the network has {model.layers} layers, got {depth}")


def _depths(sweep: Mapping[str, Entry]) -> Iterator[tuple[Position, str, int]]:
    """The depths that a sweep section names, and where; of a range its end."""
    if "depth" in sweep:
        axis = sweep["depth"].value
        for i, entry in enumerate(axis.entries):
            yield entry.key, f"sweep.depth[{i}]", entry.value
        if not axis.entries:
            yield sweep["depth"].node.at, "sweep.depth", int(axis.values[len(axis.values) - 1])
    for i, point in enumerate(sweep["points"].value if "points" in sweep else ()):
        if "depth" in point.value:
            yield point.value["depth"].node.at, f"sweep.points[{i}].depth", point.value["depth"].value
