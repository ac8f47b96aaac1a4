"""Networks with weights whose rotations stay fixed, or free ones; trained by Adam."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.simulate import gaussian_matrix
from studies.evidence.data import Split
from studies.training.design import Case, Design


@dataclass(frozen=True)
class Checkpoint:
    """A network at one step.

    Attributes
    ----------
    step : number of updates so far.
    state : weights (outputs, inputs) and biases by name, as a file of PyTorch has them.
    train_loss, test_loss : cross entropy in nats.
    train_accuracy, test_accuracy : share of right answers.
    """

    step: int
    state: dict[str, FloatArray]
    train_loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float


class Network:
    """A fully connected network; the last matrix reads the classes.

    Both kinds of weights start as the same independent Gaussian entries.

    Parameters
    ----------
    case, design
        What to draw.
    sizes
        Units from the input over the layers to the classes.
    """

    def __init__(self, case: Case, design: Design, sizes: list[int]) -> None:
        import torch

        phi = {"linear": lambda u: u, "tanh": torch.tanh, "relu": torch.relu}
        self.phi = phi[case.activation]
        self.factors: list[tuple[Any, ...]] = []
        self.biases: list[Any] = []
        entries, singular = [], []
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            rng = np.random.default_rng((layer, fan_in, fan_out))
            sigma_w = 1.0 if layer == len(sizes) - 2 else case.sigma_w
            matrix = gaussian_matrix(fan_out, fan_in, sigma_w, rng)
            bias = torch.zeros(fan_out, requires_grad=True)
            self.biases.append(bias)
            entries.append(bias)
            if case.weights == "free":
                weight = torch.tensor(matrix, dtype=torch.float32, requires_grad=True)
                self.factors.append((weight,))
                entries.append(weight)
            else:
                left, values, right = np.linalg.svd(matrix, full_matrices=False)
                s = torch.tensor(values, dtype=torch.float32, requires_grad=True)
                fixed = [torch.tensor(part, dtype=torch.float32) for part in (left, right)]
                self.factors.append((fixed[0], s, fixed[1]))
                singular.append(s)
        groups = [{"params": entries, "lr": design.rate}]
        groups += [{"params": singular, "lr": design.singular_rate}] if singular else []
        self.optimiser = torch.optim.Adam(groups)

    def weight(self, layer: int) -> Any:
        """The matrix of a layer from 0, shape (outputs, inputs)."""
        factors = self.factors[layer]
        return factors[0] if len(factors) == 1 else (factors[0] * factors[1]) @ factors[2]

    def logits(self, inputs: Any) -> Any:
        """Class scores, shape (inputs, classes)."""
        state = inputs
        for layer, bias in enumerate(self.biases):
            state = (self.phi(state) if layer else state) @ self.weight(layer).T + bias
        return state

    def state(self) -> dict[str, FloatArray]:
        """Weights and biases by name."""
        found: dict[str, FloatArray] = {}
        for layer, bias in enumerate(self.biases):
            found[f"{layer + 1}.weight"] = self.weight(layer).detach().numpy().copy()
            found[f"{layer + 1}.bias"] = bias.detach().numpy().copy()
        return found


def sizes_of(case: Case, design: Design, split: Split) -> list[int]:
    """Units of a case's network from the input over the layers to the classes."""
    return [split.inputs, *[design.units(case)] * case.depth, split.classes]


def train(case: Case, design: Design, split: Split) -> Iterator[Checkpoint]:
    """Train the network of a case and yield its checkpoints."""
    import torch

    network = Network(case, design, sizes_of(case, design, split))
    features, labels = torch.tensor(split.train_features), torch.tensor(split.train_labels)
    rows = _batches(len(labels), design)
    kept = set(design.kept)
    for step in range(design.steps + 1):
        if step in kept:
            yield _checkpoint(network, step, split)
        if step == design.steps:
            return
        chosen = torch.tensor(rows[step])
        loss = torch.nn.functional.cross_entropy(network.logits(features[chosen]), labels[chosen])
        network.optimiser.zero_grad()
        loss.backward()
        network.optimiser.step()


def _batches(size: int, design: Design) -> Any:
    """Rows of the training set for every step: shuffled anew whenever it is used up."""
    order = np.random.default_rng(1)
    needed = design.steps * design.batch
    drawn = np.concatenate([order.permutation(size) for _ in range(-(-needed // size))])
    return drawn[:needed].reshape(design.steps, design.batch)


def _checkpoint(network: Network, step: int, split: Split) -> Checkpoint:
    import torch

    found = []
    for features, labels in ((split.train_features, split.train_labels), (split.test_features, split.test_labels)):
        with torch.no_grad():
            scores = network.logits(torch.tensor(features)).double()
            wanted = torch.tensor(labels)
            loss = torch.nn.functional.cross_entropy(scores, wanted)
            found.append((float(loss), float((scores.argmax(dim=1) == wanted).double().mean())))
    (train_loss, train_right), (test_loss, test_right) = found
    return Checkpoint(step, network.state(), train_loss, test_loss, train_right, test_right)
