"""Many fully connected networks of one shape trained side by side, one batched product for a layer of all of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from studies.evidence.design import Design

if TYPE_CHECKING:
    from studies.evidence.data import Split
Pair = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class Outcome:
    """Training results of the networks of one sigma_w, each of shape (learning rates, seeds).

    Attributes
    ----------
    train_loss : cross entropy over the training set after the budget, in nats; NaN where training diverged.
    train_accuracy, test_accuracy : share of right answers; NaN where training diverged.
    """

    train_loss: FloatArray
    train_accuracy: FloatArray
    test_accuracy: FloatArray


def initial_parameters(sizes: Sequence[int], sigma_w: float, sigma_b: float, seeds: Sequence[int]) -> list[Pair]:
    """Weights and biases of networks of one shape, one network a seed.

    Parameters
    ----------
    sizes
        Units from the input over the layers to the classes; the last matrix only reads the classes.
    sigma_w, sigma_b
        Deviations; weights have the variance sigma_w^2 / fan-in (theory (1)). The reading matrix has sigma_w = 1 and no
        bias at the beginning: it stands outside the network of the theory.
    seeds
        A network each; the same seed gives the same standard normal numbers at any sigma_w.

    Returns
    -------
    list of (weights, biases)
        A pair a layer, of shapes (seeds, fan-in, fan-out) and (seeds, 1, fan-out).
    """
    pairs = []
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        reads = layer == len(sizes) - 2
        w, b = (1.0, 0.0) if reads else (sigma_w, sigma_b)
        draws = [np.random.default_rng((seed, layer)) for seed in seeds]
        weights = np.stack([draw.standard_normal((fan_in, fan_out)) for draw in draws]) * w / np.sqrt(fan_in)
        biases = np.stack([draw.standard_normal((1, fan_out)) for draw in draws]) * b
        pairs.append((weights, biases))
    return pairs


def logits(parameters: list[tuple[Any, Any]], inputs: Any, activation: str) -> Any:
    """Class scores of all networks, shape (networks, inputs, classes); inputs of shape (networks or 1, inputs, n_0)."""
    import torch

    phi = {"tanh": torch.tanh, "relu": torch.relu}[activation]
    networks = parameters[0][0].shape[0]
    state = inputs.expand(networks, -1, -1)
    for weights, biases in parameters[:-1]:
        state = phi(torch.baddbmm(biases, state, weights))
    return torch.baddbmm(parameters[-1][1], state, parameters[-1][0])


def train(split: Split, activation: str, depth: int, sigma_w: float, design: Design) -> Outcome:
    """Train the networks of one sigma_w, one for every learning rate and seed, with the budget of the design.

    A network whose scores leave the finite numbers has diverged; it cannot disturb the others, which share nothing with
    it but the batched product.
    """
    import torch

    rates, seeds = design.learning_rates, design.seeds
    sizes = [split.inputs, *[design.width] * depth, split.classes]
    drawn = initial_parameters(sizes, sigma_w, design.sigma_b, seeds)
    # One set of networks after the other, a set for every learning rate.
    flat = [
        torch.tensor(np.tile(part, (len(rates), 1, 1)), dtype=torch.float32).requires_grad_()
        for pair in drawn
        for part in pair
    ]
    parameters = list(zip(flat[::2], flat[1::2], strict=True))
    velocity = [torch.zeros_like(tensor) for tensor in flat]
    rate = torch.tensor(np.repeat(rates, len(seeds)), dtype=torch.float32)[:, None, None]
    features, labels = (torch.tensor(part) for part in (split.train_features, split.train_labels))
    batches = [_batches(len(labels), design, seed) for seed in seeds]
    for step in range(design.steps):
        rows = torch.tensor(np.tile(np.stack([each[step] for each in batches]), (len(rates), 1)))
        scores = logits(parameters, features[rows], activation)
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), labels[rows].flatten(), reduction="sum")
        slopes = torch.autograd.grad(loss / design.batch, flat)
        with torch.no_grad():
            for tensor, speed, slope in zip(flat, velocity, slopes, strict=True):
                speed.mul_(design.momentum).add_(slope)
                tensor.sub_(rate * speed)
    shape = (len(rates), len(seeds))
    with torch.no_grad():
        loss, train_right = _measured(parameters, split.train_features, split.train_labels, activation)
        _, test_right = _measured(parameters, split.test_features, split.test_labels, activation)
    return Outcome(loss.reshape(shape), train_right.reshape(shape), test_right.reshape(shape))


def _batches(size: int, design: Design, seed: int) -> NDArray[np.intp]:
    """Rows of the training set for every step, shape (steps, batch): shuffled anew whenever it is used up."""
    order = np.random.default_rng((seed, 1_000_000))
    needed = design.steps * design.batch
    drawn = np.concatenate([order.permutation(size) for _ in range(-(-needed // size))])
    return drawn[:needed].reshape(design.steps, design.batch)


def _measured(
    parameters: list[tuple[Any, Any]], features: Any, labels: Any, activation: str
) -> tuple[FloatArray, FloatArray]:
    """Mean cross entropy and share of right answers of every network, NaN for those that diverged."""
    import torch

    scores = logits(parameters, torch.tensor(features)[None], activation)
    networks, size, _ = scores.shape
    wanted = torch.tensor(labels).expand(networks, size)
    entropy = torch.nn.functional.cross_entropy(scores.flatten(0, 1), wanted.flatten(), reduction="none")
    loss = entropy.reshape(networks, size).double().mean(dim=1).numpy()
    right = (scores.argmax(dim=2) == wanted).double().mean(dim=1).numpy()
    diverged = ~np.isfinite(loss)
    return np.where(diverged, np.nan, loss), np.where(diverged, np.nan, right)
