"""Finite networks with norms, skips and relative noise beside the theory: every kind that it speaks of."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import Outcome

from mfmi.activations import get
from mfmi.simulate import StreamLaw
from mfmi.verification import Effort, Setting, verify

CommandLine = Callable[..., Outcome]
KINDS: dict[str, dict[str, Any]] = {
    "layernorm": {"normalization": "layernorm"},
    "rmsnorm after phi": {"normalization": "rmsnorm", "norm_at": "output"},
    "layernorm after phi": {"normalization": "layernorm", "norm_at": "output"},
    "batchnorm": {"normalization": "batchnorm", "noise_scale": "relative"},
    "stream": {"skip": 1.0, "branch": 0.3},
    "stream noise": {"skip": 0.9, "branch": 0.8, "noise_in": "stream"},
    "pre-norm": {"skip": 1.0, "normalization": "layernorm"},
    "post-norm": {"skip": 1.0, "normalization": "layernorm", "norm_at": "stream", "noise_scale": "relative"},
    "batchnorm stream": {"skip": 0.8, "normalization": "batchnorm"},
    "two matrices": {"skip": 1.0, "branch_matrices": 2, "hidden_ratio": 2.0, "normalization": "rmsnorm"},
    "relative noise": {"noise_scale": "relative"},
    "relative stream noise": {"skip": 0.9, "normalization": "rmsnorm", "noise_scale": "relative", "noise_in": "stream"},
}  # fmt: skip
QUICK = ("pre-norm", "relative noise")


def compared(kind: str, widths: tuple[int, ...], networks: int, depth: int, name: str, sigma_b: float) -> set[str]:
    """Quantities that were compared; all of them agree."""
    setting = Setting(get(name), 1.3, sigma_b, 0.25, "every", "gaussian", depth, structure=KINDS[kind])
    rows = verify(setting, Effort(widths, networks, 0, None, ("linear", "entropy_power")))
    assert [(row.quantity, row.layer, row.z) for row in rows if row.disagrees] == []
    return {row.quantity for row in rows if row.width is None and row.layer == depth - 1}


@pytest.mark.thorough
@pytest.mark.parametrize("kind", QUICK)
def test_a_few_kinds_agree(kind: str) -> None:
    found = compared(kind, (12, 24), 5, 3, "tanh", 0.0)
    assert {"q", "c", "chi", "jacobian_mean", "jacobian_relative_variance", "mi_linear"} <= found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "relu"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_agrees(kind: str, name: str) -> None:
    compared(kind, (60, 120), 12, 4, name, 0.2)


@pytest.mark.thorough
def test_the_entropy_power_is_that_of_each_determinant() -> None:
    """Theory (39): a finite network obeys it with its own determinant."""
    setting = Setting(get("tanh"), 1.2, 0.0, 0.2, "output", "orthogonal", 2, structure=KINDS["stream"])
    rows = verify(setting, Effort((12, 24), 8, 0, None, ("entropy_power",)))
    ends = [row for row in rows if row.quantity == "mi_entropy_power" and row.width is None]
    assert [row.layer for row in ends] == [1, 2]
    assert all(abs(row.z) < 3.0 for row in ends)
    assert ends[1].theory == pytest.approx(0.5 * np.log1p(1.44 / 0.04), rel=1e-12)


def test_a_network_has_the_norms_that_it_says() -> None:
    setting = Setting(get("relu"), 1.3, 0.5, 0.1, "output", "gaussian", 3, structure=KINDS["batchnorm"])
    law = StreamLaw(setting.architecture(), "gaussian", 30)
    network = law.draw(np.random.default_rng(1))
    for mean, scale in network.batch:
        assert mean.shape == scale.shape == (30,)
        assert mean.std() > 0.3  # the biases, which the norm takes off
    steps = list(network.steps(network.gaussian_inputs(2000, np.random.default_rng(2)), np.random.default_rng(3)))
    assert len(steps) == 3
    normed = (steps[1].held - network.batch[1][0]) / steps[1].scale
    np.testing.assert_allclose(normed.mean(axis=0), 0.0, atol=0.15)
    np.testing.assert_allclose(normed.std(axis=0), 1.0, atol=0.15)


@pytest.mark.thorough
def test_the_command_says_which_network(command_line: CommandLine) -> None:
    options = ("--act", "relu", "--sw", "1.4", "--depth", "2", "--widths", "8,16", "--seeds", "3", "--jobs", "1")
    own = ("--residual", "--branch", "1/sqrt(depth)", "--norm", "layernorm", "--sn", "bfloat16")
    done = command_line("verify", *options, *own, "--estimator", "linear", "--format", "table")
    assert done.code == 0, done.err
    title = done.out.splitlines()[0]
    assert "noise 0.00165883 equivalent to bfloat16 at the output" in title
    assert "layernorm at activation · skip 1.000, branch 0.707" in title


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--norm", "batchnorm", "--norm-at", "output"), "--norm-at: batchnorm after the activation is not covered"),
        (("--residual", "--weights", "orthogonal,gaussian"), "need gaussian or orthogonal weights"),
        (("--norm-at", "output"), "--norm-at: 'output' is the place of a norm"),
    ],
)
def test_what_is_not_known_is_a_usage_error(command_line: CommandLine, options: tuple[str, ...], said: str) -> None:
    done = command_line("verify", "--act", "tanh", "--sw", "1", *options)
    assert done.code == 2
    assert said in " ".join(done.err.split())
