"""The replica value against the public replica code's values and those of theory section 8."""

import json
from pathlib import Path

import numpy as np
import pytest

from mfmi.columns import Points
from mfmi.evaluation import evaluate_points

CASES = json.loads((Path(__file__).parent / "data" / "replica.json").read_text())["cases"]
NAMES = {"ReLU": "relu", "HardTanh": "hard_tanh", "LeakyReLU": "leaky_relu(0.1)", "Probit": "sign"}


def is_square_and_normal(case):
    *hidden, (last, *_) = case["layers"]
    kinds, alphas, scales = zip(*case["weights"], strict=True)
    return (
        case["prior"] == ["Normal", 0.0, 1.0]
        and last == "Linear"
        and len({layer[0] for layer in hidden}) == 1
        and hidden[0][0] in NAMES
        and all(layer[1] == 0.0 for layer in hidden)
        and set(alphas) == {1.0}
        and len(set(kinds)) == len(set(scales)) == 1
    )


SQUARE = [case for case in CASES if is_square_and_normal(case)]


def replica(act, depth, w2, o2, weights="gaussian", b2=0.0, noise_at="output"):
    points = Points.of(
        act, np.sqrt(w2), sigma_b=np.sqrt(b2), sigma_noise=np.sqrt(o2), weights=weights, noise_at=noise_at
    )
    found = evaluate_points(points, depth, ["replica"])
    assert set(found["status"]) <= {"ok", "unbounded"}
    return found["mi_replica"]


def test_the_reference_has_cases_of_every_kind():
    assert {case["layers"][0][0] for case in SQUARE} == set(NAMES)
    assert {case["weights"][0][0] for case in SQUARE} == {"gaussian", "orthogonal"}
    assert len(SQUARE) >= 15


@pytest.mark.parametrize("case", SQUARE, ids=lambda case: case["id"])
def test_reference_value(case):
    hidden, (_, noise) = case["layers"][0], case["layers"][-1][:2]
    kind, _, scale = case["weights"][0]
    found = replica(NAMES[hidden[0]], len(case["layers"]), scale, noise, kind)[0]
    assert found == pytest.approx(case["mi"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "depth", "w2", "b2", "o2", "noise_at", "weights", "expected"),
    [
        ("relu", 2, 2.0, 0.3, 0.01, "output", "gaussian", 1.4329),
        ("tanh", 2, 1.5, 0.0, 0.01, "output", "gaussian", 1.3805),
        ("tanh", 2, 1.5, 0.0, 0.01, "output", "orthogonal", 1.8581),
        ("tanh", 2, 2.0, 0.05, 0.05, "every", "gaussian", 0.7852),
        ("tanh", 2, 2.0, 0.05, 0.05, "every", "orthogonal", 1.0882),
        ("tanh", 3, 1.0, 0.0, 0.1, "output", "gaussian", 0.3731),
        ("tanh", 3, 1.0, 0.0, 0.1, "output", "orthogonal", 0.5794),
    ],
)
def test_values_of_the_theory(act, depth, w2, b2, o2, noise_at, weights, expected):
    """The theory's values are good to about 1e-4."""
    assert replica(act, depth, w2, o2, weights, b2, noise_at)[0] == pytest.approx(expected, abs=1.5e-4)


def test_linear_layers_are_exact():
    found = replica("linear", 4, 1.3, 0.1, "orthogonal")[0]
    assert found == pytest.approx(0.5 * np.log1p(1.3**4 / 0.1), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "depth", "sigma_w", "sigma_b", "sigma_noise", "noise_at"),
    [
        ("hard_tanh", 7, 1.8324, 0.5484, 0.2953, "output"),
        ("erf", 6, 2.0311, 0.7126, 0.6925, "output"),
        ("tanh", 8, 2.8089, 0.2388, 0.5871, "output"),
        ("tanh", 14, 2.3978, 0.2577, 0.3159, "every"),
    ],
)
def test_deep_rotations_are_found_from_every_start(act, depth, sigma_w, sigma_b, sigma_noise, noise_at):
    """From small variances the first steps lead out of the domain, and shorter ones do not."""
    points = Points.of(act, sigma_w, sigma_b=sigma_b, sigma_noise=sigma_noise, weights="orthogonal", noise_at=noise_at)
    found = evaluate_points(points, depth, ["linear", "fisher", "replica", "gaussian_upper"])
    assert found["status"][0] == "ok", found["message"]
    assert max(found["mi_linear"], found["mi_fisher"]) < found["mi_replica"] < found["mi_gaussian_upper"]
