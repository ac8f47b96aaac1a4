"""Networks of which the activation of the last layer is observed: the reference, order, finite networks, how to ask."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome
from replica_cases import CASES, NAMES

import mfmi
from mfmi.activations import get
from mfmi.bounds.evaluate import evaluate_points
from mfmi.chain.ensembles import Gaussian
from mfmi.chain.potential import Chain
from mfmi.chain.search import solve
from mfmi.channels.exact.table import exact_table
from mfmi.channels.layers import Tabulated
from mfmi.channels.observed.outputs import ActivationOutput
from mfmi.channels.sources import GaussianInput
from mfmi.names import ESTIMATORS
from mfmi.networks.model import Model
from mfmi.networks.points import Points
from mfmi.simulate import gaussian_matrix, orthogonal_matrix

CommandLine = Callable[..., Outcome]
LOWER = ("linear", "layerwise", "fisher")


def is_observed_activation(case):
    kinds, _, scales = zip(*case["weights"], strict=True)
    prior = case["prior"]
    return (
        case["layers"][-1][0] != "Linear"
        and len({layer[0] for layer in case["layers"]}) == 1
        and len(set(kinds)) == len(set(scales)) == 1
        and (prior[0] == "Normal" or prior == ["Bimodal", 0.5] or prior[2:] == [0.0, 1.0])
    )


OBSERVED = [case for case in CASES if is_observed_activation(case)]


def evaluate(act, sigma_w=1.0, depth=1, observe="activation", model=None, estimators=ESTIMATORS, **rest):
    model = replace(model or Model(), observe=observe)
    found = evaluate_points(Points.of(act, sigma_w, **rest), depth, estimators, "nats", ["mmse"], model)
    assert set(found["status"]) <= {"ok", "unbounded"}, found["message"]
    return {name.removeprefix("mi_"): values for name, values in found.items()}


def test_the_reference_has_cases_of_every_kind():
    assert {case["layers"][-1][0] for case in OBSERVED} == {"ReLU", "HardTanh", "Probit"}
    assert {case["weights"][0][0] for case in OBSERVED} == {"gaussian", "orthogonal"}
    assert {case["prior"][0] for case in OBSERVED} == {"Normal", "Bimodal", "SpikeSlab"}
    assert {len(case["layers"]) for case in OBSERVED} == {1, 2}
    assert len(OBSERVED) >= 50


@pytest.mark.thorough
@pytest.mark.parametrize("case", OBSERVED, ids=lambda case: case["id"])
def test_reference_value(case):
    alpha = [weight[1] for weight in case["weights"]]
    kind, _, scale = case["weights"][0]
    share = case["prior"][1] if case["prior"][0] == "SpikeSlab" else None
    name = {"Normal": "gaussian", "Bimodal": "rademacher", "SpikeSlab": "spike_slab"}[case["prior"][0]]
    act, noise = NAMES[case["layers"][-1][0]], case["layers"][-1][1]
    found = evaluate(
        act,
        np.sqrt(scale),
        len(alpha),
        model=Model.with_input(name, alpha, share),
        sigma_noise=np.sqrt(noise),
        weights=kind,
        # The reference's slab has variance 1, so that an entry has the share of it.
        input_variance=share or 1.0,
        estimators=[*LOWER, "gaussian_upper", "replica"] if len(alpha) == 1 else ["replica"],
    )
    assert found["replica"] == pytest.approx(case["mi"], rel=1e-6)
    assert found["mmse"] == pytest.approx(case["mmse"], abs=1e-8)
    # Without a hidden layer there is nothing to bound but for a linear decoder.
    if len(alpha) == 1:
        for bound in ("layerwise", "fisher"):
            assert found[bound] == pytest.approx(found["replica"], rel=1e-9)
        assert found["gaussian_upper"] >= found["replica"] * (1.0 - 1e-9)
    if len(alpha) == 1 and name == "gaussian":
        assert 0.0 < found["linear"] < found["replica"]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["id"].startswith("d2-ReLU-HardTanh")], ids=lambda case: case["id"]
)
def test_reference_value_of_two_activations(case):
    total = np.array([[1.0]])
    hidden = Tabulated(exact_table(get("relu")), total, np.zeros((1, 1)))
    output = ActivationOutput(get("hard_tanh"), np.array([case["layers"][1][1]]), np.array([0.5]))
    chain = Chain(GaussianInput(np.ones(1)), Gaussian(np.ones((1, 2)), np.ones(2)), hidden, output, np.array([2]))
    found = solve(chain)
    assert found.converged
    assert found.value[0] == pytest.approx(case["mi"], rel=1e-6)
    assert found.mmse[0] == pytest.approx(case["mmse"], rel=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize(
    ("act", "estimators"),
    [("tanh", ["mean_field", "linear", "entropy_power"]), ("leaky_relu", ESTIMATORS), ("linear", ESTIMATORS)],
)
def test_a_strictly_monotone_activation_hides_nothing(act, estimators, noise_at):
    points = Points.of(act, 1.2, sigma_noise=[0.1, 0.5], sigma_b=0.3, noise_at=noise_at)
    found, seen = (
        evaluate_points(points, [1, 3], estimators, model=Model(observe=observe))
        for observe in ("activation", "pre-activation")
    )
    assert len(estimators) >= 3
    # The bound by the covariance is of pre-activations alone.
    for name in (name for name in estimators if name != "covariance_upper"):
        assert np.any(found[f"mi_{name}"] > 0.0)
        np.testing.assert_array_equal(found[f"mi_{name}"], seen[f"mi_{name}"])


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize(("act", "lower"), [("relu", LOWER), ("abs", ("linear", "fisher"))])
def test_order(act, lower, noise_at, weights):
    """An activation tells less than its pre-activation; with noise everywhere, more than the next pre-activation."""
    # Without an offset a linear decoder reads nothing of an even activation.
    settings = {"sigma_b": [0.1, 0.4], "sigma_noise": [0.2, 0.6], "noise_at": noise_at, "weights": weights}
    depth = np.arange(1, 4)
    found = evaluate(act, 1.3, depth, estimators=[*lower, "gaussian_upper", "replica"], **settings)
    value = found["replica"]
    for name in lower:
        assert np.all((found[name] >= 0.0) & (found[name] <= value * (1.0 + 1e-6))), name
    assert np.all(found["gaussian_upper"] >= value * (1.0 - 1e-6))
    seen = evaluate(act, 1.3, depth, "pre-activation", estimators=["linear", "replica", "gaussian_upper"], **settings)
    assert np.all(value < seen["replica"])
    assert np.all(found["linear"] < seen["linear"])
    assert np.all(found["gaussian_upper"] < seen["gaussian_upper"])
    assert np.all(found["mmse"] > seen["mmse"])
    if noise_at == "every":
        assert np.all(seen["replica"].reshape(2, 3)[:, 1:] < value.reshape(2, 3)[:, :-1])
        assert np.all(np.diff(value.reshape(2, 3), axis=1) < 0.0)


def measured_decoder(act, widths, sigma_w, sigma_b, sigma_noise, noise_at, weights, rng, samples=40_000):
    """Information of the best linear decoder of one network's last activation, nats per input dimension."""
    draw, phi = {"gaussian": gaussian_matrix, "orthogonal": orthogonal_matrix}[weights], get(act)
    x = rng.standard_normal((samples, widths[0]))
    t = x
    for layer, (columns, rows) in enumerate(pairwise(widths)):
        y = t @ draw(rows, columns, sigma_w, rng).T + sigma_b * rng.standard_normal(rows)
        if noise_at == "every" or layer == len(widths) - 2:
            y = y + sigma_noise * rng.standard_normal(y.shape)
        t = np.asarray(phi(y))
    whole = np.cov(np.hstack([x, t]).T)
    log_dets = [
        np.linalg.slogdet(part)[1] for part in (whole[: widths[0], : widths[0]], whole[widths[0] :, widths[0] :])
    ]
    # What sampling adds, as for gaussian samples: the product of the two widths over the samples.
    bias = widths[0] * widths[-1] / samples
    return 0.5 * (sum(log_dets) - np.linalg.slogdet(whole)[1] - bias) / widths[0]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("act", "widths", "noise_at", "weights"),
    [
        ("relu", (80, 80), "output", "gaussian"),
        ("relu", (100, 60, 80), "every", "orthogonal"),
        ("hard_tanh", (80, 80, 80), "output", "gaussian"),
        ("sign", (60, 120), "output", "orthogonal"),
        ("gelu", (80, 80), "output", "gaussian"),
    ],
)
def test_the_linear_decoder_of_finite_networks(act, widths, noise_at, weights):
    rng, model = np.random.default_rng(5), Model(tuple(b / a for a, b in pairwise(widths)))
    settings = {"sigma_b": 0.4, "sigma_noise": 0.3, "noise_at": noise_at, "weights": weights}
    expected = np.mean([measured_decoder(act, widths, 1.4, rng=rng, **settings) for _ in range(3)])
    points = Points.of(act, 1.4, **settings)
    found = evaluate_points(points, len(widths) - 1, ["linear"], model=replace(model, observe="activation"))
    assert found["mi_linear"][0] == pytest.approx(expected, rel=0.03)


def test_mean_field_is_linear_for_one_rotation_and_an_odd_activation():
    """Without a spread of singular values and of gains, all directions are alike, as theory (17a) takes them to be."""
    for act in ("hard_tanh", "sign"):
        found = evaluate(act, 1.5, sigma_noise=0.3, weights="orthogonal", estimators=["linear", "mean_field"])
        assert found["mean_field"] == pytest.approx(found["linear"], rel=1e-9)


@pytest.mark.thorough
def test_the_pairwise_bounds_of_an_observed_activation():
    """The upper bound is that of the pre-activation, the lower one needs a strictly monotone activation."""
    inputs = np.random.default_rng(0).normal(size=(6, 8))
    data = {"inputs": inputs, "width": 8, "depth": [1, 2], "estimators": "linear", "observe": "activation"}
    found = mfmi.evaluate(["relu", "tanh"], 1.0, **data)
    seen = mfmi.evaluate(["relu", "tanh"], 1.0, **(data | {"observe": "pre-activation"}))
    np.testing.assert_array_equal(found["mi_pairwise_upper"], seen["mi_pairwise_upper"])
    assert found["mi_pairwise_lower"].isna().tolist() == [True, True, False, False]
    np.testing.assert_array_equal(found["mi_pairwise_lower"][2:], seen["mi_pairwise_lower"][2:])


def test_every_way_to_ask(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = mfmi.evaluate("relu", 1.2, depth=2, observe="activation")
    plain = mfmi.evaluate("relu", 1.2, depth=2)
    assert expected["mi_lower"][0] < plain["mi_lower"][0]
    base = ("bound", "--act", "relu", "--sw", "1.2", "--depth", "2")
    rows = json.loads(command_line(*base, "--observe", "activation", "--format", "json").out)
    assert rows[1]["mi_lower"] == pytest.approx(expected["mi_lower"][0], rel=1e-12)
    assert "activation observed" in command_line(*base, "--observe", "activation", "--format", "table").out
    assert "observed" not in command_line(*base, "--format", "table").out
    text = "version: 1\nsweep: {activation: relu, sigma_w: 1.2, depth: 2}\nobserve: activation\n"
    Path("c.yaml").write_text(text)
    assert command_line("sweep", "c.yaml", "-o", "a.parquet", "--jobs", "1").code == 0
    frame = pd.read_parquet("a.parquet")
    assert frame.attrs["mfmi"]["config"]["resolved"]["observe"] == "activation"
    assert frame.mi_lower[0] == pytest.approx(expected["mi_lower"][0], rel=1e-12)
    Path("c.yaml").write_text(text.replace("observe: activation", "observe: pre-activation"))
    assert command_line("sweep", "c.yaml", "-o", "a.parquet", "--resume").code == 6


def test_what_is_not_observable_is_refused(command_line: CommandLine) -> None:
    done = command_line("bound", "--act", "relu", "--sw", "1", "--observe", "activations")
    assert done.code == 2
    assert "Did you mean 'activation'?" in " ".join(done.err.split())
    with pytest.raises(ValueError, match="observe: 'post' is not one of pre-activation, activation"):
        mfmi.evaluate("relu", 1.0, observe="post")
    with pytest.raises(ValueError, match="observe must be one of pre-activation, activation, not 'post'"):
        Model(observe="post")
