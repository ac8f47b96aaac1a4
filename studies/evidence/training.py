"""Many fully connected networks of one shape trained side by side, one batched product for a layer of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from studies.evidence.data import Split
from studies.evidence.design import Case, Design
from studies.evidence.starts import LSUV_ROUNDS, LSUV_TOLERANCE, Start, deviations, draws

# Networks that are trained at a time: more of them leave the caches.
TOGETHER = 240


@dataclass(frozen=True)
class Outcome:
    """Results of the networks of one start at its best learning rate, each array of shape (seeds,).

    Attributes
    ----------
    start : where they started from.
    rate : the learning rate that was chosen, by the mean loss on validation examples.
    train_loss, validation_loss, test_loss : cross entropy in nats, or mean squared error; NaN where training diverged.
    test_accuracy : share of right answers; NaN where training diverged, and of a regression.
    """

    start: Start
    rate: float
    train_loss: FloatArray
    validation_loss: FloatArray
    test_loss: FloatArray
    test_accuracy: FloatArray


def module(activation: str) -> Callable[[Any], Any]:
    """PyTorch's function of an activation."""
    import torch

    functional = torch.nn.functional
    known = {name: getattr(functional, name) for name in ("relu", "gelu", "selu", "leaky_relu", "silu", "elu", "mish")}
    found: Callable[[Any], Any] = {**known, "tanh": torch.tanh, "sin": torch.sin}[activation]
    return found


def train(split: Split, case: Case, starts: Sequence[Start], seeds: Sequence[int], design: Design) -> list[Outcome]:
    """Train networks from every start, one for every learning rate and seed, with the budget of the design.

    A network whose scores leave the finite numbers has diverged; it cannot disturb the others, which share nothing with
    it but the batched product.
    """
    per_start = len(design.rates_of(case.optimiser)) * len(seeds) * (case.width // 64) ** 2
    size = max(1, TOGETHER // per_start)
    found = []
    for first in range(0, len(starts), size):
        found += _Fleet(split, case, starts[first : first + size], seeds, design).train()
    return found


class _Fleet:
    """Networks side by side: for every start that is left with a rate its seeds, along axis 0 of all tensors."""

    def __init__(self, split: Split, case: Case, starts: Sequence[Start], seeds: Sequence[int], design: Design) -> None:
        import torch

        torch.set_flush_denormal(True)
        self.case, self.starts, self.seeds, self.design = case, list(starts), list(seeds), design
        self.phi = module(case.activation)
        fit, check = split.validation()
        self.loss = _loss(split.regression)
        self.data = tuple(torch.tensor(part) for part in (fit.train_features, fit.train_labels))
        self.checked = tuple(torch.tensor(part) for part in (check.test_features, check.test_labels))
        self.tested = tuple(torch.tensor(part) for part in (split.test_features, split.test_labels))
        self.batches = np.stack([_batches(len(fit.train_labels), design, seed) for seed in seeds], axis=1)
        self.rates = design.rates_of(case.optimiser)
        sizes = [split.inputs, *[case.width] * case.depth, split.classes]
        drawn = {
            orthogonal: [draws(sizes, seed, orthogonal) for seed in seeds]
            for orthogonal in {start.weights == "orthogonal" for start in starts}
        }
        per_start = [self._initial(start, drawn[start.weights == "orthogonal"]) for start in starts]
        # A pair of start and rate after the other, of each its seeds.
        self.pairs = [(i, rate) for i in range(len(starts)) for rate in self.rates]
        self.parameters = [
            torch.cat([one[k] for one in per_start for _ in self.rates]) for k in range(len(per_start[0]))
        ]
        self.state = [[torch.zeros_like(part) for _ in self._moments] for part in self.parameters]

    @property
    def _moments(self) -> range:
        return range(2 if self.case.optimiser == "adam" else 1)

    def _initial(self, start: Start, drawn: list[list[tuple[FloatArray, FloatArray]]]) -> list[Any]:
        """Weights and biases of a start, layer by layer; the reading one has sigma_w = 1 and no bias, for all alike."""
        import torch

        factors = np.concatenate((deviations(start, self.case.depth), [[1.0, 0.0]]))
        stacked = [
            (np.stack([net[layer][0] for net in drawn]) * w, np.stack([net[layer][1] for net in drawn]) * b)
            for layer, (w, b) in enumerate(factors)
        ]
        flat = [torch.tensor(part, dtype=torch.float32) for pair in stacked for part in pair]
        return self._to_unit_variance(flat) if start.fitted else flat

    def _to_unit_variance(self, flat: list[Any]) -> list[Any]:
        """LSUV: rescale one layer after the other until its outputs on the first examples have variance 1."""
        state = self.data[0][: 4 * self.design.batch].expand(len(self.seeds), -1, -1)
        for layer in range(self.case.depth):
            for _ in range(LSUV_ROUNDS):
                out = state @ flat[2 * layer]
                variance = out.var(dim=(1, 2), keepdim=True)
                if bool(((variance - 1.0).abs() < LSUV_TOLERANCE).all()):
                    break
                flat[2 * layer] /= variance.sqrt()
            state = self.phi(out)
        return flat

    def scores(self, inputs: Any) -> Any:
        """Scores of all networks, shape (networks, inputs, classes); inputs of shape (networks or 1, inputs, n_0)."""
        import torch

        first, *hidden = zip(self.parameters[:-2:2], self.parameters[1:-2:2], strict=True)
        state = torch.baddbmm(first[1], inputs.expand(len(first[0]), -1, -1), first[0])
        residual = self.case.network != "plain"
        branch = float(self.case.depth) ** -0.5 if self.case.network == "residual_by_depth" else 1.0
        for weights, biases in hidden:
            if residual:
                normed = torch.nn.functional.layer_norm(state, state.shape[-1:])
                state = state + branch * torch.baddbmm(biases, self.phi(normed), weights)
            else:
                state = torch.baddbmm(biases, self.phi(state), weights)
        if residual:
            state = torch.nn.functional.layer_norm(state, state.shape[-1:])
        return torch.baddbmm(self.parameters[-1], self.phi(state), self.parameters[-2])

    def train(self) -> list[Outcome]:
        """Train, giving up rates on the way, and measure what is left of every start."""
        began = 0
        for step, left in (*self.design.cuts, (self.design.steps, 1)):
            self._steps(range(began, step))
            self._keep(left)
            began = step
        return self._outcomes()

    def _steps(self, steps: range) -> None:
        import torch

        rate = torch.tensor([rate for _, rate in self.pairs]).repeat_interleave(len(self.seeds))[:, None, None]
        leaves = [part.detach().requires_grad_() for part in self.parameters]
        step_now = [0]
        for leaf, state in zip(leaves, self.state, strict=True):
            # Within the backward pass, while a layer is still in the caches.
            leaf.register_post_accumulate_grad_hook(
                lambda part, state=state: self._update(part, state, rate, step_now[0])
            )
        self.parameters = leaves
        features, labels = self.data
        for step in steps:
            step_now[0] = step
            rows = torch.tensor(self.batches[step])
            count = len(self.pairs)
            scores = self.scores(features[rows].repeat(count, 1, 1))
            loss = self.loss(scores, labels[rows].repeat(count, 1))
            loss.mean(dim=1).sum().backward()
        self.parameters = [leaf.detach() for leaf in leaves]

    def _update(self, part: Any, state: list[Any], rate: Any, step: int) -> None:
        import torch

        slope, part.grad = part.grad, None
        with torch.no_grad():
            if self.case.optimiser == "sgd":
                state[0].mul_(self.design.momentum).add_(slope)
                part.sub_(rate * state[0])
                return
            first, second = self.design.betas
            state[0].lerp_(slope, 1.0 - first)
            state[1].mul_(second).addcmul_(slope, slope, value=1.0 - second)
            size = (state[1] / (1.0 - second ** (step + 1))).sqrt_().add_(1e-8)
            part.sub_(rate / (1.0 - first ** (step + 1)) * state[0] / size)

    def _keep(self, left: int) -> None:
        """Give up all rates of a start but the best few."""
        import torch

        loss = self._measured(*self.checked)[0].reshape(len(self.pairs), len(self.seeds))
        order = np.where(np.isnan(loss), np.inf, loss).mean(axis=1)
        chosen: list[int] = []
        for start in range(len(self.starts)):
            mine = [k for k, (i, _) in enumerate(self.pairs) if i == start]
            chosen += sorted(sorted(mine, key=lambda k: (order[k], -k))[:left])
        if len(chosen) == len(self.pairs):
            return
        rows = torch.tensor([k * len(self.seeds) + j for k in chosen for j in range(len(self.seeds))])
        self.pairs = [self.pairs[k] for k in chosen]
        self.parameters = [part[rows] for part in self.parameters]
        self.state = [[part[rows] for part in parts] for parts in self.state]

    def _outcomes(self) -> list[Outcome]:
        shape = len(self.starts), len(self.seeds)
        train, _ = self._measured(self.data[0][:512], self.data[1][:512])
        validation, _ = self._measured(*self.checked)
        test, right = self._measured(*self.tested)
        by_start = [part.reshape(shape) for part in (train, validation, test, right)]
        return [
            Outcome(start, rate, *(part[i] for part in by_start))
            for i, (start, (_, rate)) in enumerate(zip(self.starts, self.pairs, strict=True))
        ]

    def _measured(self, features: Any, labels: Any) -> tuple[FloatArray, FloatArray]:
        """Mean loss and share of right answers of every network, NaN for those that diverged."""
        import torch

        with torch.no_grad():
            scores = self.scores(features[None])
            wanted = labels.expand(len(scores), -1)
            loss = self.loss(scores, wanted).double().mean(dim=1).numpy()
            classes = not labels.is_floating_point()
            right = (scores.argmax(dim=2) == wanted).double().mean(dim=1).numpy() if classes else loss * np.nan
        diverged = ~np.isfinite(loss)
        return np.where(diverged, np.nan, loss), np.where(diverged, np.nan, right)


def _loss(regression: bool) -> Callable[[Any, Any], Any]:
    """Loss of every network and example, shape (networks, examples)."""
    import torch

    if regression:
        return lambda scores, wanted: (scores[..., 0] - wanted) ** 2
    return lambda scores, wanted: torch.nn.functional.cross_entropy(
        scores.flatten(0, 1), wanted.flatten(), reduction="none"
    ).view(wanted.shape)


def _batches(size: int, design: Design, seed: int) -> NDArray[np.intp]:
    """Rows of the training set for every step, shape (steps, batch): shuffled anew whenever it is used up."""
    order = np.random.default_rng((seed, 1_000_000))
    needed = design.steps * design.batch
    drawn = np.concatenate([order.permutation(size) for _ in range(-(-needed // size))])
    return drawn[:needed].reshape(design.steps, design.batch)
