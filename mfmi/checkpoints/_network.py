"""Mean field and information of the network that the matrices of a file are, beside what real inputs measure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mfmi.activations import get as get_activation
from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.evaluate import evaluate_points
from mfmi.checkpoints._chain import chain_of
from mfmi.checkpoints._freeness import Freeness, freeness
from mfmi.checkpoints._judge import Judged
from mfmi.checkpoints._measured import measure
from mfmi.columns import COLUMNS as COLUMNS_OF_NETWORKS
from mfmi.columns import INFORMATION, Column
from mfmi.errors import OutputError
from mfmi.networks.model import Model
from mfmi.networks.points import Points
from mfmi.networks.scales import LayerScales
from mfmi.networks.spectrum import WeightSpectrum
from mfmi.networks.weights import Weights
from mfmi.processes.progress import stage

_INSTEAD = "information: with the singular values of random matrices of these scales, not with its own"
Cells = dict[int, dict[str, Any]]

_FREENESS = "mean squared gain of the matrix and the one before it, over that of independent rotations, where it is 1"
_KNOWN = {column.name: column for column in COLUMNS_OF_NETWORKS}
_INFORMATION = tuple(name for name in _KNOWN if name.startswith("mi_"))
COLUMNS: tuple[Column, ...] = (
    *(_KNOWN[name] for name in ("q", "c", "chi")),
    Column("phase", "string", "", "phase of a network all of whose layers are like this one"),
    Column("sigma_w_edge", "float64", "1", "sigma_w that keeps small differences, at the length that reaches it"),
    *(_KNOWN[name] for name in _INFORMATION),
    Column("freeness", "float64", "1", _FREENESS),
    Column("freeness_error", "float64", "1", "standard deviation of freeness for independent rotations"),
)
MEASURED: tuple[Column, ...] = (
    Column("q_measured", "float64", "1", "mean square of a pre-activation over the inputs"),
    Column("c_measured", "float64", "1", "mean correlation of two of the inputs there"),
    Column("mi_linear_measured", "float64", INFORMATION, "information that the best linear decoder reads there"),
    Column(
        "freeness_measured",
        "float64",
        "1",
        "mean square without the biases' share, over what a matrix independent of its inputs makes of them",
    ),
)


@dataclass(frozen=True)
class FileNetwork:
    """Settings of a network that its file does not say.

    Attributes
    ----------
    points : one point: activation, noise, input, norms and skips; its standard deviations do not count.
    estimators : names of the bounds.
    unit : "nats" or "bits".
    inputs : real inputs, a row each, or None.
    source : what the inputs are called in messages.
    """

    points: Points
    estimators: tuple[str, ...]
    unit: str = "nats"
    inputs: FloatArray | None = None
    source: str = "inputs"

    @property
    def is_plain(self) -> bool:
        """Whether it is a stack of layers, without norms, skips or relative noise."""
        return bool(self.points.is_plain[0])

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that it fills."""
        return COLUMNS if self.inputs is None else (*COLUMNS, *MEASURED)


@dataclass(frozen=True)
class Layered:
    """Layers of a network, each made of one matrix of the file or of two.

    Attributes
    ----------
    first : rows of the matrices that lead to each layer, None where the stream begins without one; with two matrices
        in a branch, of the first of them.
    second : rows of the second matrices, None in the first layer and without one.
    """

    first: tuple[int | None, ...]
    second: tuple[int | None, ...]

    @property
    def rows(self) -> tuple[int | None, ...]:
        """Row that shows each layer."""
        return tuple(a if b is None else b for a, b in zip(self.first, self.second, strict=True))


@dataclass(frozen=True)
class Values:
    """Network columns of the rows of one file.

    Attributes
    ----------
    cells : values and notes by row and column, for rows that have any.
    layers : rows of the layers in order.
    ties : neighbouring matrices beside independent rotations, by the row of the second.
    """

    cells: Cells
    layers: tuple[int, ...]
    ties: Mapping[int, Freeness]


def values_of(rows: Sequence[Judged], network: FileNetwork) -> Values:
    """Work out the network columns of the rows of one file.

    Raises
    ------
    OutputError
        The inputs do not fit the first matrix, or do not vary.
    """
    chain = chain_of(rows)
    cells: Cells = {place: {"message": text} for place, text in chain.reasons.items()}
    if not chain.places:
        return Values(cells, (), {})
    layered = _layered(chain.places, int(network.points.structured.branch_matrices[0]), rows, cells)
    if network.inputs is not None and network.inputs.shape[1] != rows[chain.places[0]].layer.inputs:
        first = rows[chain.places[0]].layer
        raise OutputError(
            f"{network.source}: {network.inputs.shape[1]} columns, where {first.name} reads {first.inputs} inputs"
        )
    _evaluate(rows, layered, network, cells)
    ties = dict(_ties(rows, layered, network))
    for place, tie in ties.items():
        cells[place] |= {"freeness": tie.ratio, "freeness_error": tie.error}
    if network.inputs is not None:
        _measure(rows, layered, network, cells)
    return Values(cells, tuple(place for place in layered.rows if place is not None), ties)


def _layered(places: Sequence[int], matrices: int, rows: Sequence[Judged], cells: Cells) -> Layered:
    for place in places:
        cells[place] = {"message": ""}
    if matrices == 1:
        return Layered(tuple(places), (None,) * len(places))
    inputs: list[int | None] = [places[0] if len(places) % 2 else None]
    rest = places[len(places) % 2 :]
    for place, after in zip(rest[::2], rest[1::2], strict=True):
        cells[place]["message"] = f"the first matrix of a branch, whose values stand at {rows[after].layer.name}"
    return Layered((*inputs, *rest[::2]), (None, *rest[1::2]))


def scale(one: Judged) -> float:
    """Root mean square of a matrix's entries, times sqrt(fan-in), the scale of its singular values."""
    return math.sqrt(one.layer.fan_in * (one.entries.std**2 + one.entries.mean**2))


def _scales(rows: Sequence[Judged], layered: Layered, offset: float) -> LayerScales:
    """Scales of the layers; a mean of the inputs of that mean square is a bias after the first matrix."""

    def of(places: Sequence[int | None]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        weights = tuple(1.0 if place is None else scale(rows[place]) for place in places)
        biases = (0.0 if place is None else np.nan_to_num(rows[place].sigma_b) for place in places)
        return weights, tuple(float(bias) for bias in biases)

    weights, biases = of(layered.first)
    biases = (math.hypot(biases[0], weights[0] * math.sqrt(offset)), *biases[1:])
    if all(place is None for place in layered.second):
        return LayerScales(weights, biases)
    return LayerScales(weights, biases, *of(layered.second))


def _evaluate(rows: Sequence[Judged], layered: Layered, network: FileNetwork, cells: Cells) -> None:
    points, offset = network.points, 0.0
    note = ""
    if network.inputs is not None:
        mean = network.inputs.mean(axis=0)
        offset = float(np.mean(np.square(mean)))
        variance = float(np.mean(np.square(network.inputs - mean)))
        if variance == 0.0:
            raise OutputError(f"{network.source}: all inputs are the same, and there is nothing to know of them")
        points = replace(points, input_variance=np.array([variance]), correlation=np.zeros(1))
    scales = _scales(rows, layered, offset)
    model, note = _model(rows, layered, network)
    names = () if note else network.estimators
    label = model.weights[0].label if model.weights else _word(rows, layered)
    points = replace(
        points,
        sigma_w=np.ones(1),
        sigma_b=np.ones(1),
        weights=np.array([label], dtype=object),
        structure=None if network.is_plain else _structure(points, rows, layered),
    )
    model = replace(model, scales=scales)
    depths = np.arange(1, len(layered.rows) + 1)
    blocks = []
    with stage("information", len(depths), "layers") as work:
        for some in model.depths_at_once(depths):
            blocks.append(evaluate_points(points, depths[some - 1], names, network.unit, (), model))
            work.advance(len(some))
    found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    for layer, place in enumerate(layered.rows):
        if place is None:
            continue
        cell = cells[place]
        cell |= {name: found[name][layer] for name in ("q", "c", "chi", "phase", *_INFORMATION)}
        cell["status"] = str(found["status"][layer])
        notes = [cell["message"], str(found["message"][layer]), note or ("" if network.is_plain else _INSTEAD)]
        cell["message"] = "; ".join(filter(None, notes))
    if network.is_plain:
        _put_edges(layered, network, cells)


def _put_edges(layered: Layered, network: FileNetwork, cells: Cells) -> None:
    """The sigma_w that keeps small differences at each layer but the first, which no activation precedes."""
    phi = get_activation(network.points.activation[0])
    places = [place for place in layered.rows if place is not None]
    noise = network.points.sigma_noise[0] ** 2 if network.points.noise_at[0] == "every" else 0.0
    s = np.array([cells[place]["q"] for place in places[:-1]]) + noise
    known = np.isfinite(s)
    if not phi.differentiable or not known.any():
        return
    gain = np.full_like(s, np.nan)
    gain[known] = phi.slope_moment(s[known])
    with np.errstate(divide="ignore"):
        edges = np.where(gain > 0.0, 1.0 / np.sqrt(gain), np.nan)
    for place, edge in zip(places[1:], edges, strict=True):
        cells[place]["sigma_w_edge"] = float(edge)


def _word(rows: Sequence[Judged], layered: Layered) -> str:
    """The ensemble that stands for all matrices of a network with norms or skips."""
    own = [rows[place] for place in (*layered.first, *layered.second) if place is not None]
    return "orthogonal" if all(one.law.name == "orthogonal" for one in own) else "gaussian"


def _structure(points: Points, rows: Sequence[Judged], layered: Layered) -> Any:
    """The norms and skips of the point, with the width of the branches as the file has it."""
    second = next((place for place in layered.second if place is not None), None)
    structure = replace(points.structured, sigma_w_in=np.ones(1), sigma_b_in=np.ones(1))
    structure = replace(structure, sigma_w_out=np.ones(1), sigma_b_out=np.ones(1))
    if second is None:
        return structure
    layer = rows[second].layer
    return replace(structure, hidden_ratio=np.array([layer.inputs / layer.outputs]))


def _model(rows: Sequence[Judged], layered: Layered, network: FileNetwork) -> tuple[Model, str]:
    """Shape, input and singular values of a network, and why its information is not known; "" where it is."""
    matrices = [rows[place].layer for place in (*layered.first, *layered.second) if place is not None]
    if any(layer.kind != "dense" for layer in matrices):
        return Model(), "information: known of dense layers only"
    if not network.is_plain:
        shown = [rows[place].layer for place in layered.rows if place is not None]
        first = rows[layered.first[0]].layer.inputs if layered.first[0] is not None else shown[0].outputs
        ratios = {rows[place].layer.inputs / rows[place].layer.outputs for place in layered.second if place is not None}
        if {first, *(layer.outputs for layer in shown)} != {first} or len(ratios) > 1:
            return Model(), "information: of a network with norms or skips known for layers of one width"
        if network.inputs is not None:
            return Model(), "information: of a network with norms or skips known for independent inputs"
        return Model(), ""
    own = [rows[place] for place in layered.rows if place is not None]
    alpha = tuple(one.layer.outputs / one.layer.inputs for one in own)
    alpha = () if all(ratio == 1.0 for ratio in alpha) else alpha
    weights = (Weights(tuple(_ensemble(one) for one in own)),)
    if network.inputs is None:
        return Model(alpha, weights=weights), ""
    return replace(Model.with_spectrum(network.inputs, alpha), weights=weights), ""


def _ensemble(one: Judged) -> str | WeightSpectrum:
    """A layer's own singular values; where they are not known, or all 0, the ensemble of its law."""
    shape = (one.layer.outputs, one.layer.inputs)
    word = "orthogonal" if one.law.name == "orthogonal" else "gaussian"
    if one.entries.largest == 0.0:
        return word
    if min(shape) == 1:
        return WeightSpectrum.of_singular_values(np.ones(1), shape, one.layer.name)
    if one.spectrum is None:
        return word
    return WeightSpectrum.of_singular_values(
        one.spectrum.values / one.spectrum.largest, shape, one.layer.name, rounding=one.spectrum.rounding
    )


def _ties(rows: Sequence[Judged], layered: Layered, network: FileNetwork) -> Iterator[tuple[int, Freeness]]:
    """Yield neighbouring matrices of a signal beside independent rotations, by the row of the second."""
    if network.is_plain:
        places = [place for place in layered.rows if place is not None]
        pairs = list(itertools.pairwise(places))
    else:
        pairs = [(a, b) for a, b in zip(layered.first, layered.second, strict=True) if a is not None and b is not None]
    held: tuple[int, FloatArray] | None = None
    for before, place in pairs:
        one, other = rows[before], rows[place]
        if one.spectrum is None or other.spectrum is None or one.layer.outputs != other.layer.inputs:
            continue  # without singular values nothing slow is asked for; positions have an unknown order
        first = held[1] if held is not None and held[0] == before else one.layer.tensor.load()
        second = other.layer.tensor.load()
        held = place, second
        rounding = 2.0 ** -min(one.layer.tensor.significant, other.layer.tensor.significant)
        found = freeness(one.layer.matrices(first)[0], other.layer.by_input(second), rounding)
        if found is not None:
            yield place, found


def _measure(rows: Sequence[Judged], layered: Layered, network: FileNetwork, cells: Cells) -> None:
    places = [place for place in layered.rows if place is not None]
    layers = [rows[place].layer for place in places]
    if not network.is_plain or any(layer.kind != "dense" for layer in layers):
        for place in places:
            text = "measured: known of plain dense layers only"
            cells[place]["message"] = "; ".join(filter(None, [cells[place]["message"], text]))
        return
    points, inputs = network.points, network.inputs
    assert inputs is not None
    phi = get_activation(points.activation[0])
    found = measure(layers, phi, inputs, float(points.sigma_noise[0]), points.noise_at[0] == "every")
    for place, one in zip(places, found, strict=True):
        bits = math.log(2.0) if network.unit == "bits" else 1.0
        cells[place] |= {
            "q_measured": one.q,
            "c_measured": one.c,
            "mi_linear_measured": one.linear / bits,
            "freeness_measured": one.freeness,
        }
        if math.isnan(one.linear):
            text = f"mi_linear_measured: {len(inputs)} inputs are too few for a layer of {rows[place].layer.outputs}"
            cells[place]["message"] = "; ".join(filter(None, [cells[place]["message"], text]))
