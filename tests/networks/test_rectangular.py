"""Layers of different widths: the reference, exact laws, finite networks, and every way to ask for them."""

import functools
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome
from exact_laws import deep_linear
from replica_cases import CASES, NAMES

import mfmi
from mfmi.activations import get
from mfmi.bounds.evaluate import evaluate_points
from mfmi.names import ESTIMATORS
from mfmi.networks.model import Model, ratios_of
from mfmi.networks.points import Points
from mfmi.simulate import NetworkLaw, gaussian_matrix, measure_decoder, orthogonal_matrix, over_networks

CommandLine = Callable[..., Outcome]
BELOW = ("linear", "entropy_power", "layerwise")


def is_rectangular_and_normal(case):
    *hidden, (last, *_) = case["layers"]
    kinds, alphas, scales = zip(*case["weights"], strict=True)
    return (
        case["prior"] == ["Normal", 0.0, 1.0]
        and last == "Linear"
        and len({layer[0] for layer in hidden}) <= 1
        and all(layer[1] == 0.0 for layer in hidden)
        and set(alphas) != {1.0}
        and len(set(kinds)) == len(set(scales)) == 1
    )


RECTANGULAR = [case for case in CASES if is_rectangular_and_normal(case)]


def evaluate(act, alpha, w2, o2, weights="gaussian", b2=0.0, noise_at="output", estimators=ESTIMATORS, depth=None):
    points = Points.of(
        act, np.sqrt(w2), sigma_b=np.sqrt(b2), sigma_noise=np.sqrt(o2), weights=weights, noise_at=noise_at
    )
    found = evaluate_points(points, depth or len(alpha), estimators, "nats", ["mmse"], Model(tuple(alpha)))
    assert set(found["status"]) <= {"ok", "unbounded"}, found["message"]
    return {name.removeprefix("mi_"): values[0] for name, values in found.items()}


def test_the_reference_has_cases_of_every_kind():
    assert len(RECTANGULAR) >= 16
    assert {case["layers"][0][0] for case in RECTANGULAR} >= {"Linear", "ReLU", "HardTanh", "Probit"}


@pytest.mark.thorough
@pytest.mark.parametrize("case", RECTANGULAR, ids=lambda case: case["id"])
def test_reference_value(case):
    kind, _, scale = case["weights"][0]
    act = (NAMES | {"Linear": "linear"})[case["layers"][0][0]]
    found = evaluate(act, [weight[1] for weight in case["weights"]], scale, case["layers"][-1][1], kind)
    assert found["replica"] == pytest.approx(case["mi"], rel=1e-9 if act == "linear" else 1e-6)
    assert found["mmse"] == pytest.approx(case["mmse"], abs=1e-9 if act == "linear" else 1e-6)
    below = [found[name] for name in BELOW if not np.isnan(found[name])]
    assert max(below) <= found["replica"] * (1 + 1e-9) <= found["gaussian_upper"] * (1 + 2e-9)


@pytest.mark.parametrize("alpha", [[0.5], [2.0], [2.0, 0.5], [0.3, 4.0, 0.25], [1.5, 1.5, 0.2, 3.0]])
@pytest.mark.parametrize("o2", [1e-4, 0.3])
def test_deep_linear_law(alpha, o2):
    found = evaluate("linear", alpha, 0.8, o2)
    value, mmse = deep_linear(0.8 ** len(alpha) / o2, alpha)
    for name in ("linear", "layerwise", "replica", "gaussian_upper"):
        assert found[name] == pytest.approx(value, rel=1e-9)
    assert found["mmse"] == pytest.approx(mmse, rel=1e-8)


def finite_linear_network(widths, w2, o2, weights, noise_at, rng):
    """Information per input dimension of one linear network with noise at the output or in every layer, exactly."""
    draw = gaussian_matrix if weights == "gaussian" else orthogonal_matrix
    signal, noise = np.eye(widths[0]), np.zeros((widths[0],) * 2)
    for columns, rows in pairwise(widths):
        matrix = draw(rows, columns, np.sqrt(w2), rng)
        signal = matrix @ signal
        noise = matrix @ noise @ matrix.T
        if noise_at == "every":
            noise += o2 * np.eye(rows)
    if noise_at == "output":
        noise = o2 * np.eye(widths[-1])
    _, whole = np.linalg.slogdet(noise + signal @ signal.T)
    return 0.5 * (whole - np.linalg.slogdet(noise)[1]) / widths[0]


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize("widths", [(400, 200, 300), (200, 400, 100), (200, 250, 300), (400, 300, 200)])
def test_finite_linear_networks(widths, noise_at, weights):
    w2, o2 = 1.3, 0.1
    rng = np.random.default_rng(1)
    expected = np.mean([finite_linear_network(widths, w2, o2, weights, noise_at, rng) for _ in range(4)])
    found = evaluate("linear", ratios_of(widths), w2, o2, weights, noise_at=noise_at)
    assert found["replica"] == pytest.approx(expected, rel=5e-3)
    assert found["linear"] == pytest.approx(expected, rel=5e-3)
    assert found["layerwise"] <= expected * 1.005
    assert found["gaussian_upper"] >= expected * 0.995
    if widths[1] > widths[0]:
        assert np.isnan(found["entropy_power"])
    else:
        assert 0.0 < found["entropy_power"] <= expected * 1.005


@pytest.mark.parametrize("alpha", [0.2, 0.7, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_entropy_power_of_one_layer_at_little_noise(alpha, weights):
    """Of a gaussian input through one layer it keeps all but a constant that the spread of singular values decides."""
    o2 = 1e-14
    found = evaluate("tanh", [alpha], 1.3, o2, weights)
    assert found["entropy_power"] == pytest.approx(found["linear"], abs=2e-6)
    assert found["entropy_power"] <= found["linear"] * (1 + 1e-12)


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_entropy_power_of_rotations_counts_the_noise_where_it_lies(alpha):
    # A widening rotation puts signal and hidden noise into the same n_1 of its n_2 dimensions, alpha times as strong.
    w2, o2 = 1.3, 0.2
    found = evaluate("linear", (1.0, alpha), w2, o2, "orthogonal", noise_at="every", estimators=("entropy_power",))
    exact = 0.5 * np.log1p(alpha * w2 * w2 / (alpha * w2 * o2 + o2))
    assert found["entropy_power"] == pytest.approx(exact, rel=1e-12)


@pytest.mark.thorough
def test_entropy_power_of_a_narrowing_network_is_below_the_exact_value():
    for act, weights, noise_at in (("tanh", "gaussian", "output"), ("erf", "orthogonal", "every")):
        found = evaluate(act, [0.8, 0.5, 2.0], 1.4, 0.01, weights, noise_at=noise_at)
        assert 0.0 < found["entropy_power"] < found["replica"]


@pytest.mark.thorough
@pytest.mark.parametrize("act", ["tanh", "relu"])
@pytest.mark.parametrize("noise_at", ["output", "every"])
def test_orthogonal_layers_meet_at_the_square(act, noise_at):
    """Up to square the first matrix drops out, beyond it is solved with the rest."""
    below, at, above = (
        evaluate(act, [alpha, 0.8], 1.5, 0.02, "orthogonal", 0.1, noise_at) for alpha in (1 - 1e-9, 1.0, 1 + 1e-9)
    )
    # Entropy powers need layers that do not widen.
    for name in (*(name for name in ESTIMATORS if name != "entropy_power"), "mmse"):
        assert below[name] == pytest.approx(at[name], rel=1e-7)
        assert above[name] == pytest.approx(at[name], rel=1e-7)


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(
    ("act", "alpha", "noise_at"),
    [
        ("tanh", (0.5, 1.5), "every"),
        ("tanh", (0.9, 0.2, 2.0, 2.0), "output"),
        ("hard_tanh", (3.0, 0.5, 0.4), "every"),
        ("relu", (2.0, 0.5), "output"),
        ("sign", (0.9, 0.2, 2.0), "every"),
    ],
)
def test_bounds_hold_the_exact_value(act, alpha, noise_at, weights):
    found = evaluate(act, alpha, 1.6, 0.05, weights, 0.1, noise_at)
    below = [found[name] for name in BELOW if not np.isnan(found[name])]
    assert 0.0 < max(below) <= found["replica"] * (1 + 1e-6)
    assert found["replica"] <= found["gaussian_upper"] * (1 + 1e-6)


@pytest.mark.thorough
def test_a_bottleneck_caps_what_comes_after_it():
    """The network cut at the narrow layer already has no more; a wide layer after it reads the same."""
    for name in ("linear", "replica"):
        values = [evaluate("tanh", [1.0, 0.1, 10.0], 1.5, 1e-4, depth=depth)[name] for depth in (1, 2, 3)]
        assert values[1] < 0.25 * values[0]
    huge = evaluate("linear", [0.05, 400.0], 1.0, 1e-2, "orthogonal")["replica"]
    assert huge == pytest.approx(0.05 * 0.5 * np.log1p(400.0 / 1e-2), rel=1e-9)


@pytest.mark.parametrize("alpha", [(0.5, 0.5), (2.0, 3.0), (1.0, 1.0), (0.5, 4.0)])
def test_mean_field_agrees_with_the_decoder_of_orthogonal_linear_networks(alpha):
    """All directions are equivalent, and all that the narrowest layer passes are used."""
    found = evaluate("linear", alpha, 1.2, 0.1, "orthogonal")
    assert found["mean_field"] == pytest.approx(found["linear"], rel=1e-9)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_jacobian_moments_of_finite_linear_networks(weights):
    rng = np.random.default_rng(2)
    draw = gaussian_matrix if weights == "gaussian" else orthogonal_matrix
    first, second = draw(400, 800, 1.2, rng), draw(600, 400, 1.2, rng)
    squares = np.linalg.eigvalsh((second @ first) @ (second @ first).T)
    points = Points.of("linear", 1.2, weights=weights)
    names = ["jacobian_mean", "jacobian_variance", "efficiency"]
    found = evaluate_points(points, [1, 2], ["linear"], "nats", names, Model((0.5, 1.5)))
    assert found["jacobian_mean"][1] == pytest.approx(squares.mean(), rel=0.01)
    assert found["jacobian_variance"][1] == pytest.approx(squares.var(), rel=0.03)
    efficiency = found["efficiency"]
    assert efficiency == pytest.approx(1.0, rel=1e-9) if weights == "orthogonal" else (efficiency < 0.95).all()


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_the_decoder_of_finite_networks(weights):
    law = NetworkLaw(get("tanh"), (120, 80, 160), 1.4, 0.3, 0.3, "output", weights)
    measured = over_networks(functools.partial(measure_decoder, samples=30_000), law, networks=3, seed=4)
    found = evaluate("tanh", ratios_of(law.widths), law.sigma_w**2, law.sigma_noise**2, weights, law.sigma_b**2)
    assert np.mean([one.information[-1] for one in measured]) == pytest.approx(found["linear"], rel=0.02)


SHAPED = """\
version: 1
sweep: {activation: linear, sigma_w: [1.0, 1.5]}
network: {widths: [40, 20, 10]}
estimators: [linear, gaussian_upper]
"""


def test_in_a_sweep(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows end at the last layer, where the depth is not given, and the file says which shape it was."""
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(SHAPED)
    assert command_line("sweep", "c.yaml", "-o", "a.parquet", "--jobs", "1").code == 0
    frame = pd.read_parquet("a.parquet")
    assert list(frame.depth) == [2, 2]
    assert frame.attrs["mfmi"]["config"]["resolved"]["network.alpha"] == [0.5, 0.5]
    for row in frame.itertuples():
        expected = deep_linear(row.sigma_w**4 / 0.01, [0.5, 0.5])[0]
        assert row.mi_linear == pytest.approx(expected, rel=1e-9)
    other = command_line("sweep", "c.yaml", "-o", "a.parquet", "--resume", "--set", "network.widths=[40,10,10]")
    assert other.code == 6
    assert "network.alpha" in other.err


@pytest.mark.thorough
def test_in_bound(command_line: CommandLine) -> None:
    base = ("bound", "--act", "tanh", "--sw", "1.5", "--estimator", "linear", "--format", "json")
    by_widths = json.loads(command_line(*base, "--widths", "40,20,10").out)
    assert [row["depth"] for row in by_widths] == [1, 2]
    assert json.loads(command_line(*base, "--alpha", "0.5,0.5").out) == by_widths
    assert len(json.loads(command_line(*base, "--alpha", "0.5,0.5", "--depth", "1").out)) == 1
    drawn = command_line("bound", "--act", "tanh", "--sw", "1.5", "--widths", "40,20,10", "--format", "table").out
    assert "ratios of widths 0.500, 0.500" in drawn


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--widths", "40,20", "--depth", "2"), "--depth 2 is beyond the 1 layers of the network"),
        (("--widths", "40"), "--widths needs two numbers at least"),
        (("--widths", "40,0"), "'40,0' holds a 0: numbers begin at 1"),
        (("--widths", "40,20", "--alpha", "2"), "--alpha and --widths contradict each other"),
        (("--alpha", "0.5,-1"), "-1 is not greater than 0"),
        (("--alpha", "0.5,x"), "'x' is not a number"),
    ],
)
def test_wrong_shapes_are_refused(options: tuple[str, ...], message: str, command_line: CommandLine) -> None:
    done = command_line("bound", "--act", "tanh", "--sw", "1.5", *options)
    assert done.code == 2
    assert message in " ".join(done.err.split())


def test_in_python():
    by_widths = mfmi.evaluate("tanh", 1.5, estimators="linear", widths=[40, 20, 10])
    assert list(by_widths.depth) == [2]
    pd.testing.assert_frame_equal(by_widths, mfmi.evaluate("tanh", 1.5, estimators="linear", alpha=[0.5, 0.5]))
    for wrong, message in (
        ({"widths": [40]}, "widths: .* is not a sequence of two integers"),
        ({"widths": [40.5, 20]}, "widths: .* is not an integer or a sequence of integers"),
        ({"alpha": [0.5, 0.0]}, "alpha: 0.0 is not greater than 0"),
        ({"alpha": []}, "alpha: .* is not a sequence of numbers"),
        ({"alpha": [0.5], "widths": [4, 2]}, "alpha: the widths give the ratios already"),
        ({"alpha": [0.5], "depth": [1, 2]}, "depth: 2 is beyond the 1 layers"),
    ):
        with pytest.raises(ValueError, match=message):
            mfmi.evaluate("tanh", 1.5, **wrong)
    with pytest.raises(ValueError, match="depth must be at most 1"):
        evaluate_points(Points.of("tanh", 1.0), 2, ["linear"], model=Model((0.5,)))
    with pytest.raises(ValueError, match="alpha must be finite"):
        Model((np.inf,))
