"""Weight ensembles as a config gives them: a word, a file with singular values, or one of these per layer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mfmi.config.kinds import Choice, Entry, Field, Record, Several, Text
from mfmi.config.located import Report
from mfmi.config.yaml import ListNode, MappingNode, Node, ScalarNode, child_path, describe
from mfmi.errors import OutputError
from mfmi.names import WEIGHTS
from mfmi.networks.spectrum import WeightSpectrum
from mfmi.networks.weights import Weights

_FILES: Mapping[str, Field] = {
    "spectrum": Field(Text(), "file with eigenvalues of W^T W, zeros included; only their ratios matter"),
    "matrix": Field(Text(), "file with a weight matrix, a row per unit, whose singular values count"),
}


@dataclass(frozen=True)
class LayerEnsemble:
    """Ensemble of the weights of one layer or of all: a word, ``{spectrum: FILE}`` or ``{matrix: FILE}``.

    Attributes
    ----------
    per_layer : whether ``{layers: [...]}`` with one of these for each layer will do too.
    """

    per_layer: bool = False

    def read(self, node: Node, path: str, report: Report) -> str | None:
        """Return the label, as `mfmi.networks.weights.Weights` has it; the files are read later, see `read_weights`."""
        if not isinstance(node, MappingNode):
            if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value not in WEIGHTS:
                return Choice(WEIGHTS).read(node, path, report)
            if isinstance(node, ScalarNode) and node.value in WEIGHTS:
                return str(node.value)
            message = f"expected {', '.join(WEIGHTS)} or a mapping with {' or '.join(self._record().fields)}"
            report.add(node.at, path, f"{message}, got {describe(node)}")
            return None
        before = len(report)
        entries = self._record().read(node, path, report) or {}
        if len(report) > before:
            return None
        if len(node.entries) != 1:
            report.add(node.at, path, f"needs exactly one of the keys {', '.join(self._record().fields)}")
            return None
        (key, entry), *_ = entries.items()
        if key == "layers":
            return ",".join(part.value for part in entry.value)
        return f"{key}({entry.value})"

    def _record(self) -> Record:
        layers = Field(Several(LayerEnsemble(), bare=False), "one for each layer; the last holds for all after it")
        return Record({**_FILES, **({"layers": layers} if self.per_layer else {})})

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {
            "anyOf": [
                Choice(WEIGHTS).json_schema(),
                self._record().json_schema() | {"minProperties": 1, "maxProperties": 1},
            ]
        }


def read_weights(sweep: Mapping[str, Entry], alpha: tuple[float, ...], report: Report) -> tuple[Weights, ...]:
    """Return the ensembles that a sweep section names besides the gaussian and the orthogonal one, files read.

    Parameters
    ----------
    sweep
        The entries of the section, each valid by itself.
    alpha
        Ratios of the layers; none for square ones.
    report
        Receives what is wrong with the files, or with matrices of another shape.
    """
    found: dict[str, Weights] = {}
    known: dict[str, WeightSpectrum | None] = {}
    for node, path in _named(sweep):
        parts = [_part(one, inner, known, report) for one, inner in _parts(node, path)]
        layers = tuple(part for part in parts if part is not None)
        if len(layers) < len(parts):
            continue
        weights = Weights(layers)
        if weights.label in found:
            continue
        try:
            weights.check(alpha)
        except ValueError as error:
            report.add(node.at, path, str(error))
            continue
        found[weights.label] = weights
    return tuple(found.values())


def _named(sweep: Mapping[str, Entry]) -> Iterator[tuple[MappingNode, str]]:
    """Values of the axis, and of the points, that are more than a word."""
    given = [(sweep["weights"].node, "sweep.weights")] if "weights" in sweep else []
    for i, point in enumerate(sweep["points"].value if "points" in sweep else ()):
        if "weights" in point.value:
            given.append((point.value["weights"].node, f"sweep.points[{i}].weights"))
    for node, path in given:
        values = node.get("values") if isinstance(node, MappingNode) else None
        if values is not None:
            node, path = values, child_path(path, "values")
        listed = node.items if isinstance(node, ListNode) else None
        several = [(node, path)] if listed is None else [(item, f"{path}[{i}]") for i, item in enumerate(listed)]
        yield from ((one, inner) for one, inner in several if isinstance(one, MappingNode))


def _parts(node: MappingNode, path: str) -> list[tuple[Node, str]]:
    layers = node.get("layers")
    if not isinstance(layers, ListNode):
        return [(node, path)]
    return [(item, f"{path}.layers[{i}]") for i, item in enumerate(layers.items)]


def _part(
    node: Node, path: str, known: dict[str, WeightSpectrum | None], report: Report
) -> str | WeightSpectrum | None:
    """The ensemble of one layer, or None with the reason in the report, once for each file."""
    if isinstance(node, ScalarNode):
        return str(node.value)
    assert isinstance(node, MappingNode)
    (key, file), *_ = node.entries
    assert isinstance(file, ScalarNode)
    name = str(file.value)
    label = f"{key.text}({name})"
    if label not in known:
        from mfmi.storage.arrays import read_ensemble  # loads what reads Parquet, which most configs do not need

        known[label] = None
        try:
            known[label] = read_ensemble(key.text, name)
        except (OutputError, ValueError) as error:
            report.add(file.at, child_path(path, key.text), str(error))
        except OSError as error:
            report.add(file.at, child_path(path, key.text), f"cannot read {name}: {error.strerror or error}")
    return known[label]
