"""Findings about signal, gradient and information over the depth of a network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from mfmi.checkpoints._findings import BAD, NOTE, ODD, Finding, listed
from mfmi.checkpoints._judge import Judged
from mfmi.checkpoints._network import FileNetwork, Values

# Factors of a gradient's variance, or of a signal's, over the whole network that are unusual, and that stop training.
_UNUSUAL, _BROKEN = 1e3, 1e6
_ALIKE = 1e-4
# Shares of the readable information whose loss is unusual, and worth a word.
_LOST, _WORTH = 0.5, 0.01
# Standard deviations, and the effect on a variance, from which on two matrices are not independent.
_TIED, _TIED_BY = 6.0, 0.05
_OFF = 2.0


def findings_of_network(rows: Sequence[Judged], values: Values, network: FileNetwork) -> list[Finding]:
    """Return what is to be said about the network that the rows of one file are.

    Parameters
    ----------
    rows : what has been found of every matrix.
    values : the network columns.
    network : what the file does not say.
    """
    if not values.layers:
        why = next((cell["message"] for cell in values.cells.values()), "no network columns: no matrix to begin with")
        return [Finding(NOTE, 2.0, (), why)]
    names = [rows[place].layer.name for place in values.layers]
    cells = [values.cells[place] for place in values.layers]
    return [
        *_ended(rows, values),
        *_norms(rows, network),
        *_gradient(names, cells, network),
        *_signal(names, cells),
        *_alike(names, cells),
        *_information(names, cells, network),
        *_ties(rows, values),
        *_off(names, cells),
    ]


def _ended(rows: Sequence[Judged], values: Values) -> Iterator[Finding]:
    """Say where a chain ends that others could have followed."""
    ends = [place for place in values.cells if place not in values.layers and rows[place].layer.kind != "embedding"]
    ends = [place for place in ends if values.cells[place]["message"].startswith("no network columns")]
    if ends:
        yield Finding(
            NOTE, 2.0, (rows[ends[0]].layer.name,), f"{rows[ends[0]].layer.name}: {values.cells[ends[0]]['message']}"
        )


def _norms(rows: Sequence[Judged], network: FileNetwork) -> Iterator[Finding]:
    """Say that the file has norms where the network has none."""
    names = [one.layer.name for one in rows if one.layer.kind == "skipped" and "normalisation" in one.layer.message]
    if names and network.points.structured.normalization[0] == "none":
        text = (
            f"{listed(names)}: norms, which the network that was evaluated has not; the values of signal, gradient and "
            "information are those of a network without. Say --norm layernorm, rmsnorm or batchnorm"
        )
        yield Finding(ODD, 40.0, tuple(names), text)


def _gradient(names: Sequence[str], cells: Sequence[dict[str, Any]], network: FileNetwork) -> Iterator[Finding]:
    """Growth of small differences from the first layer to the last, which is that of the gradient's variance back."""
    slopes = [cell["chi"] for cell in cells[:-1]]
    if not slopes or not all(math.isfinite(slope) for slope in slopes):
        return
    if min(slopes) == 0.0:
        dead = names[slopes.index(0.0)]
        yield Finding(BAD, 60.0, (dead,), f"{dead}: no gradient passes it, for the next matrix or every slope is 0")
        return
    size = sum(math.log(slope) for slope in slopes)
    if abs(size) < math.log(_UNUSUAL):
        return
    grows = size > 0.0
    worst = (max if grows else min)(range(len(slopes)), key=slopes.__getitem__)
    share = math.exp(-size / (2.0 * len(slopes)))
    way = f"grow {_power(size)} times" if grows else f"shrink to {_power(size)} of their variance"
    phase = "chaotic" if grows else "ordered"
    advice = f"scale the {len(slopes)} matrices after the first by {share:.3g}, or draw them on the edge of chaos"
    edge = cells[-1].get("sigma_w_edge", math.nan)
    if math.isfinite(edge):
        advice += f": gain {edge:.3g} (torch.nn.init.xavier_normal_), scale {edge**2:.3g} (VarianceScaling, fan_in)"
    text = (
        f"gradients {way} from {names[-1]} back to {names[0]}, and so do small differences of inputs on their way up: "
        f"the network is {phase}, chi {math.exp(size / len(slopes)):.3g} a layer (geometric mean), most of all at "
        f"{names[worst]} ({slopes[worst]:.3g}). To keep them, {advice}"
    )
    if not network.is_plain:
        text = text.replace("the network is", "the stream is").replace(advice, "scale the branches down")
    yield Finding(BAD if abs(size) > math.log(_BROKEN) else ODD, abs(size) / 2.0, tuple(names), text)


def _power(log: float) -> str:
    """A number of any size from its natural logarithm."""
    if abs(log) < 600.0:
        return f"{math.exp(log):.2g}"
    return f"1e{round(log / math.log(10.0)):+d}"


def _signal(names: Sequence[str], cells: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    lengths = [cell["q"] for cell in cells]
    for name, cell in zip(names, cells, strict=True):
        if not math.isfinite(cell["q"]):
            yield Finding(BAD, 80.0, (name,), f"{name}: {cell['message']}")
            return
    for name, before, length in zip(names[1:], lengths, lengths[1:], strict=False):
        if length == 0.0 < before:
            yield Finding(BAD, 70.0, (name,), f"{name}: the signal ends there, with variance 0")
            return
    if not lengths[0] > 0.0:
        return
    size = math.log(lengths[-1] / lengths[0])
    if abs(size) > math.log(_UNUSUAL):
        way = "grows" if size > 0.0 else "falls"
        text = (
            f"the signal's variance {way} from {lengths[0]:.3g} at {names[0]} to {lengths[-1]:.3g} at {names[-1]}; "
            "a normalisation, or weights on the edge, keep it"
        )
        yield Finding(BAD if abs(size) > math.log(_BROKEN) else ODD, abs(size), (names[0], names[-1]), text)


def _alike(names: Sequence[str], cells: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    for name, cell in zip(names, cells, strict=True):
        if cell["c"] > 1.0 - _ALIKE and cells[0]["c"] < 1.0 - _ALIKE:
            text = (
                f"{name}: two inputs of correlation {cells[0]['c']:.3g} at {names[0]} come out with {cell['c']:.6f}; "
                "layers from there on hardly tell them apart. Smaller biases, or larger weights, keep them apart"
            )
            yield Finding(ODD, 5.0, (name,), text)
            return


def _information(names: Sequence[str], cells: Sequence[dict[str, Any]], network: FileNetwork) -> Iterator[Finding]:
    values = [cell["mi_linear"] for cell in cells]
    if len(values) < 2 or not all(math.isfinite(value) for value in values) or not values[0] > 0.0:
        return
    losses = [before - after for before, after in itertools.pairwise(values)]
    worst = max(range(len(losses)), key=losses.__getitem__)
    text = (
        f"linearly readable information falls from {values[0]:.3g} {network.unit} per input dimension at {names[0]} to "
        f"{values[-1]:.3g} at {names[-1]}, most of all ({losses[worst]:.3g}) at {names[worst + 1]}"
    )
    if values[-1] > (1.0 - _WORTH) * values[0]:
        return
    is_odd = values[-1] < (1.0 - _LOST) * values[0]
    yield Finding(ODD if is_odd else NOTE, 1.0 - values[-1] / values[0], (names[worst + 1],), text)


def _ties(rows: Sequence[Judged], values: Values) -> Iterator[Finding]:
    tied = {place: tie for place, tie in values.ties.items() if abs(tie.z) > _TIED and abs(tie.ratio - 1.0) > _TIED_BY}
    if not tied:
        return
    places = sorted(tied, key=lambda place: -abs(math.log(max(tied[place].ratio, 1e-300))))
    names = [rows[place].layer.name for place in places]
    first = tied[places[0]]
    text = (
        f"{listed(names)}: tied to the matrix before: at {names[0]} a signal's variance, and a gradient's, passes both "
        f"{first.ratio:.3g} times as much as with independent rotations (1 +- {first.error:.2g}). The theory's values "
        "after it assume independence and are off by as much or more; --inputs FILE measures them"
    )
    yield Finding(ODD, abs(math.log(max(first.ratio, 1e-300))), tuple(names), text)


def _off(names: Sequence[str], cells: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    """Say where real inputs are far from the theory."""
    pairs = [(cell.get("q_measured", math.nan), cell["q"]) for cell in cells]
    for name, (measured, theory) in zip(names, pairs, strict=True):
        if measured > 0.0 < theory and abs(math.log(measured / theory)) > math.log(_OFF):
            text = (
                f"{name}: on the inputs the signal's variance is {measured:.3g}, where the theory of independent "
                f"rotations has {theory:.3g}; from there on trust the measured columns"
            )
            yield Finding(ODD, abs(math.log(measured / theory)), (name,), text)
            return
