"""The matrices of a file that a signal goes through one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mfmi.checkpoints._judge import Judged
from mfmi.checkpoints._layers import Layer

_OF_A_CHAIN = ("dense", "convolution")
_ORDER = "name the layers of one network in order with --layers"


@dataclass(frozen=True)
class WeightChain:
    """Matrices in the order of the signal.

    Attributes
    ----------
    places : numbers of their rows, in order.
    reasons : why another row is none of them, by its number.
    """

    places: tuple[int, ...]
    reasons: Mapping[int, str]


def chain_of(rows: Sequence[Judged]) -> WeightChain:
    """Return the matrices that follow each other from the first dense or convolutional one on, in the rows' order.

    Embeddings are passed over: they are the input. The chain ends at the first matrix that does not read what the one
    before it gives, or after a tensor that may be a layer and cannot be used; a dense one may read all positions of a
    convolution's channels.
    """
    places: list[int] = []
    reasons: dict[int, str] = {}
    end = ""
    for place, one in enumerate(rows):
        if one.layer.unclear and places and not end:
            end = f"{one.layer.name} before it is skipped, and may be a layer"
        if one.layer.kind == "skipped":
            continue
        if one.layer.kind == "embedding":
            reasons[place] = "an embedding is the input of a network and no layer of it"
            continue
        end = end or _objection(one, rows[places[-1]] if places else None)
        if end:
            reasons[place] = end if end.startswith("no network columns") else f"no network columns: {end}; {_ORDER}"
            end = f"no network columns after {one.layer.name}" if not end.startswith("no network") else end
        else:
            places.append(place)
    return WeightChain(tuple(places), reasons)


def _objection(one: Judged, before: Judged | None) -> str:
    """Return why a matrix does not go on with a chain, or nothing."""
    layer = one.layer
    if one.failure or not one.is_finite:
        return "its numbers cannot be used"
    if layer.kind not in _OF_A_CHAIN or "g" in layer.axes or layer.groups > 1:
        what = layer.kind.replace("_", " ") if layer.kind not in _OF_A_CHAIN else "grouped or stacked matrix"
        return f"a {what} is no layer of a plain network"
    if before is None or reads(layer, before.layer):
        return ""
    return f"it reads {layer.inputs} inputs, where {before.layer.name} before it gives {before.layer.outputs}"


def reads(layer: Layer, before: Layer) -> bool:
    """Whether a layer can read what another gives."""
    if before.kind == "convolution" and layer.kind == "dense":
        return layer.inputs % before.outputs == 0
    return layer.inputs == before.outputs
