"""The maps through the layers: reference kernels, recursions by hand, the three starts, the placements of the noise."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfmi.activations import get, names
from mfmi.meanfield import Trajectory, fixed_point, trajectory

DATA = Path(__file__).parents[1] / "data"
SAME = {"Relu": "relu", "LeakyRelu(0.1)": "leaky_relu(0.1)", "Abs": "abs", "Erf": "erf", "Gelu": "gelu", "Sin": "sin"}
SAME |= {"Cos": "cos", "Identity": "linear"}
CASES = [case for case in json.loads((DATA / "pair_kernels.json").read_text())["cases"] if case["activation"] in SAME]


def one(activation: str, w2: float, b2: float, h2: float, q_x: float, c_0: float, depth: int) -> Trajectory:
    path = trajectory(get(activation), w2, b2, h2, q_x, c_0, depth)
    return Trajectory(*(getattr(path, name)[0] for name in ("q", "s", "chi", "gap", "offset_gap", "noise_gap")))


def test_there_are_reference_kernels_of_every_kind() -> None:
    assert {case["activation"] for case in CASES} == set(SAME)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['activation']}-{case['W_std']}-{case['depth']}")
def test_reference_kernels(case: dict[str, Any]) -> None:
    w2, b2 = case["W_std"] ** 2, case["b_std"] ** 2
    path = one(SAME[case["activation"]], w2, b2, 0.0, case["q0_input"], case["c0_input"], case["depth"] + 1)
    q, k = (np.array([float(text) for text in case[name]]) for name in ("q1", "nngp"))
    assert path.q == pytest.approx(q, rel=1e-12)
    assert path.q - path.gap == pytest.approx(k, rel=1e-10, abs=1e-14)


def relu_by_hand(
    w2: float, b2: float, h2: float, q_x: float, c_0: float, depth: int
) -> tuple[list[float], list[float]]:
    """Cho & Saul's arc-cosine kernel in fifty digits: variances, and covariances of two inputs."""
    import mpmath

    with mpmath.workdps(50):
        w2, b2, h2 = (mpmath.mpf(x) for x in (w2, b2, h2))
        q, k = w2 * q_x + b2, w2 * q_x * mpmath.mpf(c_0) + b2
        qs, gaps = [float(q)], [float(q - k)]
        for _ in range(depth - 1):
            s = q + h2
            theta = mpmath.acos(k / s)
            k = w2 * s / (2 * mpmath.pi) * (mpmath.sin(theta) + (mpmath.pi - theta) * mpmath.cos(theta)) + b2
            q = w2 * s / 2 + b2
            qs.append(float(q))
            gaps.append(float(q - k))
        return qs, gaps


@pytest.mark.parametrize("c_0", [-1.0, -0.3, 0.0, 0.5, 1.0 - 1e-10])
@pytest.mark.parametrize("h2", [0.0, 0.04])
def test_relu_by_hand(c_0: float, h2: float) -> None:
    network = (1.6, 0.1, h2, 0.7, c_0, 25)
    q, gap = relu_by_hand(*network)
    path = one("relu", *network)
    assert path.q == pytest.approx(q, rel=1e-13)
    assert path.gap == pytest.approx(gap, rel=1e-7)
    assert path.chi == pytest.approx(np.full(25, 0.8))


def erf_by_hand(w2: float, b2: float, h2: float, q: float, k: float, depth: int) -> list[float]:
    """Williams' arcsine kernel: covariances of two runs with the first layer's variance q and covariance k."""
    found = [k]
    for _ in range(depth - 1):
        s = q + h2
        k = w2 * 2.0 / math.pi * math.asin(2.0 * k / (1.0 + 2.0 * s)) + b2
        q = w2 * 2.0 / math.pi * math.asin(2.0 * s / (1.0 + 2.0 * s)) + b2
        found.append(k)
    return found


@pytest.mark.parametrize("h2", [0.0, 0.25])
def test_the_three_starts(h2: float) -> None:
    w2, b2, q_x, c_0, depth = 1.9, 0.2, 1.3, -0.4, 12
    path = one("erf", w2, b2, h2, q_x, c_0, depth)
    q_1 = w2 * q_x + b2
    pair = erf_by_hand(w2, b2, h2, q_1, w2 * q_x * c_0 + b2, depth)
    independent = erf_by_hand(w2, b2, h2, q_1, b2, depth)
    same = erf_by_hand(w2, b2, h2, q_1, q_1, depth)
    assert path.q - path.gap == pytest.approx(pair, rel=1e-12, abs=1e-14)
    assert path.q - path.offset_gap == pytest.approx(independent, rel=1e-12, abs=1e-14)
    assert path.q - path.noise_gap == pytest.approx(same, rel=1e-12)
    assert path.s == pytest.approx(path.q + h2)


def test_without_hidden_noise_the_same_input_gives_the_same_signal() -> None:
    path = trajectory(get("tanh"), [1.5, 1.5], 0.1, [0.0, 0.01], 1.0, 0.5, 20)
    assert np.all(path.noise_gap[0] == 0.0)
    assert path.noise_gap[1, 0] == 0.0
    assert np.all(np.diff(path.noise_gap[1, :5]) > 0.0)


def test_a_point_does_not_depend_on_its_company() -> None:
    alone = trajectory(get("tanh"), 1.5, 0.1, 0.0, 1.0, 0.5, 20)
    beside = trajectory(get("tanh"), [1.5, 2.0], 0.1, [0.0, 0.3], 1.0, 0.5, 20)
    assert np.array_equal(alone.gap[0], beside.gap[0])
    assert np.array_equal(alone.chi[0], beside.chi[0])


def test_what_overflows_is_infinite_and_then_without_value() -> None:
    path = one("relu", 1e10, 0.0, 0.0, 1.0, 0.5, 60)
    end = int(np.argmax(~np.isfinite(path.q)))
    assert 0 < end < 59
    assert path.q[:end] == pytest.approx(1e10 * (0.5e10) ** np.arange(end), rel=1e-12)
    assert np.all(np.isnan(path.chi[end:]))
    assert np.all(np.isnan(path.q[end + 1 :]))
    assert np.all(np.isnan(path.gap[end:]))


def test_steps_have_no_slope() -> None:
    path = one("sign", 1.0, 0.1, 0.0, 1.0, 0.5, 5)
    assert np.all(np.isnan(path.chi))
    assert np.all(np.isfinite(path.gap))


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "sin", "cos", "sign"])
def test_deep_layers_come_to_the_fixed_point(activation: str) -> None:
    w2, b2, h2 = 0.9**2, 0.3**2, 0.2**2
    path = one(activation, w2, b2, h2, 1.0, -0.5, 400)
    end = fixed_point(activation, sigma_w=0.9, sigma_b=0.3, sigma_noise=0.2)
    assert path.q[-1] == pytest.approx(end.q_star, rel=1e-12)
    assert path.q[-1] - path.gap[-1] == pytest.approx(end.q_star * end.c_star, rel=1e-10)
    assert path.offset_gap[-1] == pytest.approx(path.gap[-1], rel=1e-10)
    assert path.noise_gap[-1] == pytest.approx(path.gap[-1], rel=1e-10)
    if activation != "sign":
        assert path.chi[-1] == pytest.approx(end.chi_1, rel=1e-12)


@pytest.mark.thorough
@settings(max_examples=60, deadline=None)
@given(
    activation=st.sampled_from([name for name in names() if name not in ("elu", "selu")]),
    w=st.floats(0.0, 2.5),
    b=st.floats(0.0, 1.5),
    h=st.sampled_from([0.0, 0.1, 1.0]),
    q_x=st.floats(1e-3, 10.0),
    c_0=st.floats(-1.0, 1.0),
)
def test_gaps_stay_in_order(activation: str, w: float, b: float, h: float, q_x: float, c_0: float) -> None:
    path = one(activation, w * w, b * b, h * h, q_x, c_0, 8)
    slack = 1e-10 * path.q
    for gap in (path.gap, path.offset_gap, path.noise_gap):
        assert np.all(gap >= 0.0)
        assert np.all(gap <= 2.0 * path.q + slack)
    assert np.all(path.offset_gap <= path.q + slack)
    assert np.all(path.noise_gap <= path.offset_gap + slack)
    ordered = path.gap <= path.offset_gap + slack if c_0 >= 0.0 else path.gap >= path.noise_gap - slack
    assert np.all(ordered)
