"""Measurements of a training: the audit of its checkpoints, and values that owe nothing to the theory beside."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

import mfmi
from mfmi.activations import get as get_activation
from mfmi.arguments.arrays import FloatArray
from mfmi.simulate import Network, NetworkLaw, bracket_information
from mfmi.storage.atomic import atomic_path
from studies.evidence.data import Split
from studies.training.data import load
from studies.training.design import Case, Design
from studies.training.networks import Checkpoint, sizes_of, train

# Columns of the audit that are kept, by their names here.
_AUDITED = {
    "sigma_w": "sigma_w",
    "q": "q",
    "q_measured": "q_measured",
    "linear": "mi_linear",
    "linear_measured": "mi_linear_measured",
    "replica": "mi_replica",
    "freeness": "freeness",
    "freeness_error": "freeness_error",
    "freeness_measured": "freeness_measured",
}


class Row(NamedTuple):
    """A layer of a network at a step of its training; information in nats per input dimension, NaN where unknown.

    Attributes
    ----------
    data_set, activation, depth, weights, gain : the case.
    step : number of updates so far.
    layer : from 1; depth + 1 reads the classes.
    train_loss, test_loss, train_accuracy, test_accuracy : of the network.
    sigma_w, q, linear, replica, freeness, freeness_error : of the audit, by the theory.
    q_measured, linear_measured, freeness_measured : of the audit, on the training inputs.
    exact : information of a linear network, from its matrices and the covariance of the training inputs.
    lower, upper, error : bracket of a small network's total information by nested Monte Carlo, and the larger of its
        standard errors.
    pairwise : lower bound of a small network's total information from the distances of sampled outputs.
    """

    data_set: str
    activation: str
    depth: int
    weights: str
    gain: float
    step: int
    layer: int
    train_loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float
    sigma_w: float
    q: float
    q_measured: float
    linear: float
    linear_measured: float
    replica: float
    freeness: float
    freeness_error: float
    freeness_measured: float
    exact: float
    lower: float
    upper: float
    error: float
    pairwise: float

    @property
    def case(self) -> Case:
        """The training that it belongs to."""
        return Case(*self[:5])


_WHOLE = ("depth", "step", "layer")


def measure_case(case: Case, design: Design) -> list[Row]:
    """Train the network of a case and measure all its checkpoints."""
    split = load(case, design)
    points = list(train(case, design, split))
    few = set(np.linspace(0, len(points) - 1, design.few).round().astype(int).tolist())
    parts = [[point for number, point in enumerate(points) if (number in few) is wanted] for wanted in (False, True)]
    audited = audit_of(case, design, split, parts[0], ("linear",))
    audited |= audit_of(case, design, split, parts[1], ("linear", "replica"))
    rows = []
    for number, point in enumerate(points):
        network = small_network(case, design, split, point.state) if case.is_small and number in few else None
        exact = exact_information(case, design, split, point.state) if case.activation == "linear" else None
        for layer in range(1, case.depth + 2):
            found = dict.fromkeys(("exact", "lower", "upper", "error", "pairwise"), math.nan)
            found |= audited[point.step, layer]
            if exact is not None:
                found["exact"] = exact[layer - 1]
            if network is not None:
                found |= brackets(cut(network, layer))
            scores = (getattr(point, name) for name in Row._fields[7:11])
            measured = (found[name] for name in Row._fields[11:])
            rows.append(Row(*case, point.step, layer, *scores, *measured))
    return rows


def audit_of(
    case: Case, design: Design, split: Split, points: Sequence[Checkpoint], estimators: tuple[str, ...]
) -> dict[tuple[int, int], dict[str, float]]:
    """The audit of some checkpoints, written as files and read back, by step and layer.

    The inputs of a small network are those of the teacher's law, not its sample: the brackets are about them.
    """
    own: dict[str, Any] = {} if case.is_small else {"inputs": split.train_features}
    with tempfile.TemporaryDirectory() as folder:
        for point in points:
            np.savez(Path(folder) / f"step{point.step:06d}.npz", **point.state)  # type: ignore[arg-type]
        frame = mfmi.audit(
            folder,
            case.activation,
            layers=[f"{layer}.weight" for layer in range(1, case.depth + 2)],
            sigma_noise=design.noise(case),
            estimators=estimators,
            **own,
        )
    found = {}
    for row in frame.to_dict("records"):
        layer = int(str(row["name"]).partition(".")[0])
        cells = {name: row.get(column) for name, column in _AUDITED.items()}
        found[int(row["step"]), layer] = {k: math.nan if v is None else float(v) for k, v in cells.items()}
    return found


def exact_information(case: Case, design: Design, split: Split, state: dict[str, FloatArray]) -> list[float]:
    """Information of a linear network's layers about Gaussian inputs with the covariance of the training inputs.

    ``1/2 ln det(1 + W C W^T / sigma_o^2)`` with the product W of the matrices up to the layer; biases do not count.
    """
    covariance = np.eye(split.inputs)
    if not case.is_small:
        covariance = np.cov(split.train_features.astype(np.float64), rowvar=False, bias=True)
    product = np.eye(split.inputs)
    found = []
    for layer in range(1, case.depth + 2):
        product = state[f"{layer}.weight"].astype(np.float64) @ product
        signal = product @ covariance @ product.T / design.noise(case) ** 2
        found.append(float(0.5 * np.linalg.slogdet(np.eye(len(signal)) + signal)[1]) / split.inputs)
    return found


# ---- total information of small networks -----------------------------------------------------------------------------


def small_network(case: Case, design: Design, split: Split, state: dict[str, FloatArray]) -> Network:
    """A trained network as the simulations have it."""
    sizes = tuple(sizes_of(case, design, split))
    law = NetworkLaw(get_activation(case.activation), sizes, case.sigma_w, sigma_noise=design.noise(case))
    layers = range(1, case.depth + 2)
    weights = tuple(state[f"{layer}.weight"].astype(np.float64) for layer in layers)
    return Network(law, weights, tuple(state[f"{layer}.bias"].astype(np.float64) for layer in layers))


def cut(network: Network, layer: int) -> Network:
    """A network observed at one of its layers."""
    law = network.law
    shorter = NetworkLaw(law.activation, law.widths[: layer + 1], law.sigma_w, sigma_noise=law.sigma_noise)
    return Network(shorter, network.weights[:layer], network.biases[:layer])


def brackets(network: Network, outer: int = 256, inner: int = 512) -> dict[str, float]:
    """Bracket of a network's total information by nested Monte Carlo, and the pairwise lower bound."""
    found = bracket_information(network, np.random.default_rng(0), outer=outer, inner=inner)
    return {
        "lower": found.lower,
        "upper": found.upper,
        "error": max(found.lower_error, found.upper_error),
        "pairwise": pairwise(network)[0],
    }


def pairwise(network: Network, samples: int = 2000) -> tuple[float, float]:
    """Pairwise bounds on the information about which of some sampled inputs was given, nats per input dimension.

    Kolchinsky and Tracey (2017), with the distances of the outputs themselves. A sample knows no more than the law that
    it is drawn from, so the lower one bounds the total information from below, up to the chance of the sample; neither
    exceeds ``ln samples / n_0``.
    """
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((samples, network.law.widths[0]))
    *_, (outputs, _) = network.propagate(inputs, rng)
    squares = cdist(outputs, outputs, "sqeuclidean") / network.law.sigma_noise**2
    lower, upper = (
        -float(np.mean(logsumexp(-squares / share, axis=1) - math.log(samples))) / inputs.shape[1]
        for share in (8.0, 2.0)
    )
    return lower, upper


# ---- the table of a case ---------------------------------------------------------------------------------------------


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV, seven digits of what was measured; what is unknown is an empty field."""
    with atomic_path(path, force=True) as draft, open(draft, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        for row in rows:
            writer.writerow([_cell(value) for value in row])


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.7g}"
    return value


def read(path: Path) -> Iterator[Row]:
    """Read the rows that `write` wrote."""
    with open(path, newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            cells: list[Any] = [line["data_set"], line["activation"]]
            for name in Row._fields[2:]:
                if name == "weights":
                    cells.append(line[name])
                else:
                    cells.append(int(line[name]) if name in _WHOLE else float(line[name] or "nan"))
            yield Row(*cells)
