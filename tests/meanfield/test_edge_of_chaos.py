"""The edge of chaos: reference points, every branch, repelling ones told, hidden noise, by biases and by weights."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mfmi
from mfmi.activations import get
from mfmi.meanfield import edge_curve, edge_of_chaos, fixed_point

DATA = Path(__file__).parents[1] / "data"
REFERENCE = json.loads((DATA / "gaussian_moments.json").read_text())["edge_of_chaos"]
OURS = {"hardtanh": "hard_tanh"}
# With biases, whatever they are: those whose edge has a point, and those that have none.
WITH_EDGE = ["tanh", "erf", "sigmoid", "gelu", "silu", "sin", "cos"]
WITHOUT_EDGE = ["relu", "leaky_relu", "abs", "linear", "softplus"]
ROOT_2 = math.sqrt(2.0)


@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: f"{case['activation']}-{case['sigma_b2']}")
def test_reference_points(case: dict[str, str]) -> None:
    activation, b = OURS.get(case["activation"], case["activation"]), math.sqrt(float(case["sigma_b2"]))
    edge = edge_of_chaos(activation, b)
    others = [c for c in REFERENCE if (c["activation"], c["sigma_b2"]) == (case["activation"], case["sigma_b2"])]
    assert len(edge.sigma_w) == len(others)
    nearest = int(np.argmin(np.abs(edge.sigma_w**2 - float(case["sigma_w2"]))))
    assert edge.sigma_w[nearest] ** 2 == pytest.approx(float(case["sigma_w2"]), rel=1e-11)
    assert edge.q_star[nearest] == pytest.approx(float(case["q_star"]), rel=1e-10, abs=1e-13)
    assert edge.chi_q[nearest] == pytest.approx(float(case["slope_q"]), rel=1e-10)
    assert edge.kind[nearest] == ("zero" if case["kind"] == "q*=0 limit" else "interior")
    if case["q_map_stable"] is not None:
        assert edge.stable[nearest] == case["q_map_stable"]


@settings(max_examples=60, deadline=None)
@given(activation=st.sampled_from(WITH_EDGE), b=st.floats(1e-3, 2.0), h=st.sampled_from([0.0, 0.01, 0.5]))
def test_chi_1_is_1_there(activation: str, b: float, h: float) -> None:
    phi, edge = get(activation), edge_of_chaos(activation, b, h)
    assert len(edge.sigma_w) >= 1
    for w, q, chi_q, stable, reached in zip(
        edge.sigma_w, edge.q_star, edge.chi_q, edge.stable, edge.reached, strict=True
    ):
        s = q + h * h
        assert w * w * phi.slope_moment(s) == pytest.approx(1.0, abs=1e-12)
        assert w * w * phi.second_moment(s) + b * b == pytest.approx(q, rel=1e-9)
        assert chi_q == pytest.approx(w * w * phi.second_moment_slope(s), rel=1e-9)
        assert stable == (abs(chi_q) <= 1.0 + 1e-9)
        found = fixed_point(activation, sigma_w=w, sigma_b=b, sigma_noise=h)
        if reached:
            assert found.chi_1 == pytest.approx(1.0, abs=1e-9)
        if not stable:
            assert not reached
            assert found.phase != "critical"


@pytest.mark.parametrize("activation", WITHOUT_EDGE)
@pytest.mark.parametrize("h", [0.0, 0.01, 0.5])
def test_with_biases_some_have_no_edge(activation: str, h: float) -> None:
    assert len(edge_of_chaos(activation, np.geomspace(1e-3, 2.0, 9), h).sigma_w) == 0


@settings(max_examples=40, deadline=None)
@given(activation=st.sampled_from(WITH_EDGE), b=st.floats(0.01, 2.0), h=st.sampled_from([0.0, 0.3]))
def test_by_weights_is_the_inverse(activation: str, b: float, h: float) -> None:
    edge = edge_of_chaos(activation, b, h)
    assert len(edge.sigma_w) >= 1
    for w, q in zip(edge.sigma_w, edge.q_star, strict=True):
        back = edge_of_chaos(activation, None, h, sigma_w=w)
        assert np.min(np.abs(back.sigma_b - b)) < 1e-7 * (1.0 + q)


def brute(activation: str, b: float, h: float) -> int:
    """Number of changes of sign of theory (7) on a very fine grid."""
    phi, s = get(activation), h * h + np.geomspace(1e-4, 1e4, 40_001)
    bias = s - h * h - phi.second_moment(s) / phi.slope_moment(s)
    return int(np.count_nonzero(np.diff(np.sign(bias - b * b))))


@pytest.mark.parametrize(
    "activation", ["tanh", "erf", "gelu", "silu", "sin", "softplus", "sigmoid", "cos", "hard_tanh"]
)
@pytest.mark.parametrize("h", [0.0, 0.2])
def test_no_branch_is_missed(activation: str, h: float) -> None:
    biases = np.array([0.02, 0.1, 0.3, 0.6, 1.0])
    edge = edge_of_chaos(activation, biases, h)
    assert np.bincount(edge.index, minlength=5).tolist() == [brute(activation, b, h) for b in biases]


def test_two_branches_about_to_merge_are_both_found() -> None:
    # By weights: the mean squared slope of gelu has a maximum, near which two variances share one sigma_w.
    phi, s = get("gelu"), np.geomspace(0.5, 50.0, 200_001)
    gain = phi.slope_moment(s)
    top = int(np.argmax(gain))
    assert 0 < top < len(s) - 1
    for below in (1e-4, 1e-7, 1e-10):
        edge = edge_of_chaos("gelu", sigma_w=math.sqrt((1.0 + below) / gain[top]))
        assert edge.q_star.tolist() == sorted(edge.q_star)
        assert len(edge.q_star) == 2
        assert edge.q_star[0] < s[top] < edge.q_star[1]
    assert len(edge_of_chaos("gelu", sigma_w=math.sqrt((1.0 - 1e-9) / gain[top])).q_star) == 0


@pytest.mark.parametrize("activation", ["tanh", "erf", "hard_tanh", "sin", "elu"])
def test_without_biases_there_is_one_point_where_variances_vanish(activation: str) -> None:
    edge = edge_of_chaos(activation)
    assert edge.kind.tolist() == ["zero"]
    assert edge.sigma_w[0] == pytest.approx(1.0 / math.sqrt(get(activation).slope_at_zero_squared), rel=1e-15)
    assert edge.reached.all()
    again = edge_of_chaos(activation, sigma_w=edge.sigma_w)
    assert again.sigma_b.tolist() == [0.0]


@pytest.mark.parametrize("b", [1e-2, 1e-3, 1e-4])
def test_it_comes_in_to_that_point(b: float) -> None:
    # For tanh sigma_b^2 grows as the third power of s, and sigma_w^2 as 1 + 2 s.
    edge = edge_of_chaos("tanh", b)
    assert len(edge.sigma_w) == 1
    assert edge.sigma_w[0] ** 2 == pytest.approx(1.0 + 2.0 * edge.q_star[0], rel=20.0 * edge.q_star[0] ** 2)


@pytest.mark.parametrize(("activation", "w"), [("relu", ROOT_2), ("linear", 1.0), ("abs", 1.0)])
def test_a_continuum_is_one_point(activation: str, w: float) -> None:
    edge = edge_of_chaos(activation, [0.0, 0.1])
    assert (edge.index.tolist(), edge.kind.tolist()) == ([0], ["continuum"])
    assert edge.sigma_w[0] == pytest.approx(w, rel=1e-15)
    assert np.isnan(edge.q_star[0])
    assert edge_of_chaos(activation, sigma_w=[0.5, w]).index.tolist() == [1]
    assert len(edge_of_chaos(activation, 0.0, 0.1).sigma_w) == 0


def test_hidden_noise_moves_it() -> None:
    quiet, noisy = edge_of_chaos("tanh", 0.3), edge_of_chaos("tanh", 0.3, [0.0, 0.2])
    assert noisy.sigma_w[0] == quiet.sigma_w[0]
    assert noisy.sigma_w[1] > quiet.sigma_w[0]


def test_repelling_points_are_told_and_not_reached() -> None:
    edge = edge_of_chaos("silu", [0.3, 1.0])
    assert edge.stable.tolist() == [False, True]
    assert edge.reached.tolist() == [False, True]
    assert edge.chi_q[0] > 1.0


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_a_marginal_point_may_never_be_reached(activation: str) -> None:
    # At sigma_w = 2 the second moment starts as s / 4, but bends upwards: every variance grows away from 0.
    edge = edge_of_chaos(activation)
    assert (edge.kind.tolist(), edge.q_star.tolist(), edge.chi_q.tolist()) == (["zero"], [0.0], [1.0])
    assert edge.reached.tolist() == [False]


def test_the_answer_is_a_table() -> None:
    edge = mfmi.edge_of_chaos("tanh", sigma_b=[0.0, 0.1], sigma_noise=0.0)
    assert edge.index.tolist() == [0, 1]
    assert {"sigma_b", "sigma_w", "q_star"} <= set(edge.keys())
    assert edge["sigma_w"] is edge.sigma_w
    assert edge.to_frame()["sigma_w"].tolist() == edge.sigma_w.tolist()
    pd.testing.assert_frame_equal(pd.DataFrame(edge), edge.to_frame())
    assert mfmi.edge_of_chaos("sin", sigma_w=0.5).to_frame().shape == (0, len(edge.keys()))


@pytest.mark.parametrize(
    ("activation", "arguments", "words"),
    [
        ("tanh", {"sigma_b": -0.1}, "sigma_b: -0.1 is less than 0"),
        ("tanh", {"sigma_w": math.nan}, "sigma_w: nan is not finite"),
        ("tanh", {"sigma_b": 0.1, "sigma_w": 1.0}, "sigma_b or sigma_w, not both"),
        ("tanh", {"sigma_b": 0.1, "sigma_noise": math.inf}, "sigma_noise: inf is not finite"),
        ("sign", {}, "sign has no derivative"),
    ],
)
def test_bad_arguments_are_named(activation: str, arguments: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        edge_of_chaos(activation, **arguments)


@pytest.mark.parametrize("activation", ["tanh", "silu", "gelu", "elu"])
@pytest.mark.parametrize("h", [0.0, 0.2])
def test_the_curve_passes_through_its_points(activation: str, h: float) -> None:
    curve, edge = edge_curve(activation, h), edge_of_chaos(activation, [0.3, 0.8], h)
    assert set(edge.index) == {0, 1}
    for w, b, q, stable in zip(edge.sigma_w, edge.sigma_b, edge.q_star, edge.stable, strict=True):
        near = int(np.nanargmin(np.abs(np.log(curve.q_star / q))))
        assert curve.sigma_w[near] == pytest.approx(w, rel=1e-2)
        assert curve.sigma_b[near] == pytest.approx(b, rel=1e-2, abs=1e-2)
        assert curve.stable[near] == stable


def test_the_curve_of_relu_is_a_point() -> None:
    assert edge_curve("relu").sigma_w.tolist() == [pytest.approx(ROOT_2)]
    assert len(edge_curve("relu", 0.1).sigma_w) == 0
    with pytest.raises(ValueError, match="sign has no derivative"):
        edge_curve("sign")
