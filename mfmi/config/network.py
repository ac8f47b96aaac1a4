"""The sections of a config that hold for all its networks alike: to a model, and what it does not allow of the grid."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mfmi.config.kinds import Entry
from mfmi.config.located import Position, Report
from mfmi.config.schema import APART
from mfmi.config.weights import read_weights
from mfmi.config.yaml import ListNode, MappingNode
from mfmi.errors import OutputError
from mfmi.names import PRIORS
from mfmi.networks.convolution import Convolution
from mfmi.networks.model import DataSet, Model, ratios_of

_OF_CONVOLUTION = ("positions", "input_correlation")


def read_model(entries: Mapping[str, Entry], report: Report) -> Model:
    """Return the model that the entries of a config describe.

    Parameters
    ----------
    entries
        The sections of the config, each valid by itself.
    report
        Receives what is wrong with them together.
    """
    model = _read_model(entries, report)
    if "sweep" in entries:
        model = replace(model, weights=read_weights(entries["sweep"].value, model.alpha, report))
    model = _with_convolution(model, entries, report)
    if "observe" not in entries:
        return model
    try:
        return replace(model, observe=entries["observe"].value)
    except ValueError as error:
        report.add(entries["observe"].node.at, "observe", str(error).removeprefix("observe: "))
        return model


def _read_model(entries: Mapping[str, Entry], report: Report) -> Model:
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
    data = _read_data(entries, network, report)
    inputs: Mapping[str, Entry] = entries["input"].value if "input" in entries else {}
    for earlier, later in APART[1:]:
        if earlier in inputs and later in inputs:
            message = f"does not go with the {earlier} on line {inputs[earlier].key.line}"
            report.add(inputs[later].key, f"input.{later}", message)
            return Model(alpha, data)
    if data is not None:
        return Model(alpha, data)
    return _with_spectrum(alpha, inputs, report) if "spectrum" in inputs else _with_prior(alpha, inputs, report)


def _with_convolution(model: Model, entries: Mapping[str, Entry], report: Report) -> Model:
    """The model with the convolution that the entries describe, if they do."""
    network: Mapping[str, Entry] = entries["network"].value if "network" in entries else {}
    if "convolution" not in network or "positions" not in network["convolution"].value:
        return model
    section = network["convolution"]
    given: Mapping[str, Entry] = section.value
    positions, correlation = (_numbers(given[name]) if name in given else 0.0 for name in _OF_CONVOLUTION)
    try:
        return model.with_convolution(Convolution.of(positions, correlation))
    except ValueError as error:
        name, _, text = str(error).partition(": ")
        at = given[name].node.at if name in given else section.key
        report.add(at, f"network.convolution.{name}", text)
        return model


def _numbers(entry: Entry) -> Any:
    """A number, or the numbers of a list."""
    values = [one.value for one in entry.value]
    return values if isinstance(entry.node, ListNode) else values[0]


def _with_prior(alpha: tuple[float, ...], inputs: Mapping[str, Entry], report: Report) -> Model:
    """The model with the law of the input's entries that the entries name."""
    name = inputs["prior"].value if "prior" in inputs else PRIORS[0]
    sparsity = inputs["sparsity"].value if "sparsity" in inputs else None
    try:
        return Model.with_input(name, alpha, sparsity)
    except ValueError as error:
        at = inputs["sparsity"] if sparsity is not None else inputs["prior"]
        report.add(at.key, f"input.{'prior' if sparsity is None else 'sparsity'}", str(error))
        return Model(alpha)


def _with_spectrum(alpha: tuple[float, ...], inputs: Mapping[str, Entry], report: Report) -> Model:
    """The model with the covariance of the input that a file holds."""
    from mfmi.storage.arrays import read_spectrum  # loads what reads Parquet, which most configs do not need

    entry = inputs["spectrum"]
    if "sparsity" in inputs:
        report.add(inputs["sparsity"].key, "input.sparsity", "sparsity is that of spike_slab; this input is gaussian")
    variance = inputs["variance"].value if "variance" in inputs else None
    try:
        return Model.with_spectrum(read_spectrum(entry.value), alpha, variance)
    except (OutputError, ValueError) as error:
        report.add(entry.node.at, "input.spectrum", str(error))
    except OSError as error:
        report.add(entry.node.at, "input.spectrum", f"cannot read {entry.value}: {error.strerror or error}")
    return Model(alpha)


def _read_data(entries: Mapping[str, Entry], network: Mapping[str, Entry], report: Report) -> DataSet | None:
    """Return the data set that the entries name, which needs a width, and gives the inputs' variance itself."""
    inputs: Mapping[str, Entry] = entries["input"].value if "input" in entries else {}
    if "dataset" not in inputs:
        if "width" in network:
            message = "is the width of networks that a data set goes through; input.dataset names none"
            report.add(network["width"].key, "network.width", message)
        return None
    entry = inputs["dataset"]
    if "variance" in inputs:
        report.add(inputs["variance"].key, "input.variance", f"the data set on line {entry.key.line} gives it already")
    shape = next((name for name in ("widths", "alpha") if name in network), None)
    if "width" not in network:
        section = entries["network"].node if "network" in entries else None
        if not (isinstance(section, MappingNode) and section.get("width")):  # else that one was at fault
            report.add(entry.key, "input.dataset", "needs network.width, the units in every layer")
        return None
    if shape:
        message = f"the width on line {network['width'].key.line} is that of all layers already"
        report.add(network[shape].key, f"network.{shape}", message)
    from mfmi.storage.arrays import read_inputs  # loads what reads Parquet, which most configs do not need

    try:
        seed = entries["seed"].value if "seed" in entries else 0
        return DataSet.of(read_inputs(entry.value), network["width"].value, seed)
    except (OutputError, ValueError) as error:
        report.add(entry.node.at, "input.dataset", str(error))
    except OSError as error:
        report.add(entry.node.at, "input.dataset", f"cannot read {entry.value}: {error.strerror or error}")
    return None


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
