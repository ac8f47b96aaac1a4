"""Fixed points, phases and depth scales: reference values, every fixed point, marginal and critical cases."""

import importlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from activation_choice import SLOW
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mfmi
from mfmi.activations import get, names
from mfmi.arguments.ranges import SMALLEST
from mfmi.meanfield import FixedPoint, edge_of_chaos, fixed_point, fixed_points, trajectory

DATA = Path(__file__).parents[1] / "data"
REFERENCE = json.loads((DATA / "gaussian_moments.json").read_text())["fixed_points"]
SMOOTH = [name for name in names() if name not in {"elu", "selu", "hard_tanh", *SLOW}]
ROOT_2 = math.sqrt(2.0)


def deviations(most: float) -> st.SearchStrategy[float]:
    """Standard deviations that are taken: 0, or large enough for their square to be a number."""
    return st.just(0.0) | st.floats(SMALLEST, most)


@pytest.mark.parametrize(
    "case", REFERENCE, ids=lambda case: f"{case['activation']}-{case['sigma_w2']}-{case['sigma_b2']}"
)
def test_reference_values(case: dict[str, str]) -> None:
    found = fixed_point(
        case["activation"], sigma_w=math.sqrt(float(case["sigma_w2"])), sigma_b=math.sqrt(float(case["sigma_b2"]))
    )
    for name, theirs in (("chi_q", "slope_q"), ("chi_c", "chi_c_star")):
        assert found[name] == pytest.approx(float(case[theirs]), rel=1e-11)
    for name in ("q_star", "c_star", "chi_1", "xi_q", "xi_c"):
        assert found[name] == pytest.approx(float(case[name]), rel=1e-10, abs=1e-13), name
    assert found.phase == case["phase"]
    assert found.n_stable == 1


# ---- the definitions -------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    activation=st.sampled_from(SMOOTH),
    w=st.one_of(deviations(2.5), st.sampled_from([1.0, ROOT_2, 2.0])),
    b=st.one_of(st.just(0.0), st.floats(1e-6, 1.5)),
    h=st.sampled_from([0.0, 1e-3, 0.5]),
    q_x=st.floats(1e-3, 10.0),
)
def test_a_fixed_point_is_one(activation: str, w: float, b: float, h: float, q_x: float) -> None:
    phi, found = get(activation), fixed_point(activation, sigma_w=w, sigma_b=b, sigma_noise=h, input_variance=q_x)
    assert found.phase in ("ordered", "critical", "chaotic", "unbounded")
    if found.phase == "unbounded":
        assert all(np.isnan(found[name]) for name in ("q_star", "c_star", "chi_1", "chi_q", "chi_c", "xi_q", "xi_c"))
        return
    s = found.q_star + h * h
    assert w * w * phi.second_moment(s) + b * b == pytest.approx(found.q_star, rel=1e-11, abs=1e-25)
    assert found.residual < 1e-11
    assert found.chi_q == pytest.approx(w * w * phi.second_moment_slope(s), rel=1e-11)
    if phi.differentiable and s > 0.0:
        assert found.chi_1 == pytest.approx(w * w * phi.slope_moment(s), rel=1e-11)
    assert abs(found.chi_q) <= 1.0 + 1e-9
    if found.q_star > 0.0:
        k = found.q_star * found.c_star
        assert w * w * phi.correlation(s, min(k, s)) + b * b == pytest.approx(k, rel=1e-9, abs=1e-9 * found.q_star)
        assert 0.0 <= found.c_star <= 1.0


@settings(max_examples=60, deadline=None)
@given(activation=st.sampled_from(SMOOTH), w=st.floats(0.1, 2.5), b=deviations(1.5), q_x=st.floats(1e-3, 10.0))
def test_depth_scales_are_those_of_the_slopes(activation: str, w: float, b: float, q_x: float) -> None:
    found = fixed_point(activation, sigma_w=w, sigma_b=b, sigma_noise=0.0, input_variance=q_x)
    assume(found.phase in ("ordered", "chaotic"))
    for scale, slope in (("xi_q", "chi_q"), ("xi_c", "chi_c"), ("xi_grad", "chi_1")):
        value, chi = found[scale], found[slope]
        if np.isnan(chi):
            assert np.isnan(value)
        elif chi == 0.0:
            assert value == 0.0
        elif abs(abs(chi) - 1.0) > 1e-9:
            assert math.exp(-1.0 / value) == pytest.approx(abs(chi), rel=1e-9)
    assert (found.phase == "chaotic") == (not found.chi_1 < 1.0)


@pytest.mark.thorough
@settings(max_examples=20, deadline=None)
@given(
    activation=st.sampled_from(["tanh", "erf", "relu", "gelu", "sin", "sigmoid", "cos"]),
    w=st.floats(0.1, 2.5),
    b=deviations(1.0),
    h=st.sampled_from([0.0, 0.3]),
    q_x=st.floats(0.1, 5.0),
)
def test_the_input_ends_there(activation: str, w: float, b: float, h: float, q_x: float) -> None:
    found = fixed_point(activation, sigma_w=w, sigma_b=b, sigma_noise=h, input_variance=q_x)
    path = trajectory(get(activation), w * w, b * b, h * h, q_x, 0.5, 200)
    if found.phase == "unbounded":
        assert path.q[0, -1] > path.q[0, -2] > path.q[0, -10]
        return
    # 0.85^200 is below the tolerance.
    assume(abs(found.chi_q) < 0.85)
    assert path.q[0, -1] == pytest.approx(found.q_star, rel=1e-10, abs=1e-12)
    assume(found.chi_c < 0.9 and found.q_star > 1e-6)
    # What 200 layers leave of the distance of the two correlations, at most 1, near the fixed point.
    left = found.chi_c**200
    assert 1.0 - path.gap[0, -1] / path.q[0, -1] == pytest.approx(found.c_star, rel=1e-8, abs=1e-10 + left)


# ---- several fixed points --------------------------------------------------------------------------------------------


def test_the_input_decides_between_two_stable_fixed_points() -> None:
    w, b = 1.4134453781512606, 0.33810395644809677
    every = fixed_points("gelu", sigma_w=w, sigma_b=b)
    assert every.stable.tolist() == [True, False, True]
    assert np.all(np.diff(every.q_star) > 0.0)
    low, middle, high = every.q_star
    for q_x, end in (
        (1e-3, low),
        (0.999 * (middle - b * b) / (w * w), low),
        (1.001 * (middle - b * b) / (w * w), high),
    ):
        found = fixed_point("gelu", sigma_w=w, sigma_b=b, sigma_noise=0.0, input_variance=q_x)
        assert found.q_star == pytest.approx(end, rel=1e-12)
        assert found.n_stable == 2
        reached = fixed_points("gelu", sigma_w=w, sigma_b=b, sigma_noise=0.0, input_variance=q_x)
        assert reached.q_star[reached.reached].tolist() == [pytest.approx(end, rel=1e-12)]


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_beyond_a_repelling_fixed_point_variances_grow(activation: str) -> None:
    w, b = 1.55, 0.05
    every = fixed_points(activation, sigma_w=w, sigma_b=b)
    assert every.stable.tolist() == [True, False]
    assert every.chi_q[1] > 1.0
    middle = (every.q_star[1] - b * b) / (w * w)
    assert fixed_point(
        activation, sigma_w=w, sigma_b=b, sigma_noise=0.0, input_variance=0.9 * middle
    ).q_star == pytest.approx(every.q_star[0], rel=1e-12)
    assert (
        fixed_point(activation, sigma_w=w, sigma_b=b, sigma_noise=0.0, input_variance=1.1 * middle).phase == "unbounded"
    )
    assert not fixed_points(
        activation, sigma_w=w, sigma_b=b, sigma_noise=0.0, input_variance=1.1 * middle
    ).reached.any()


def test_two_fixed_points_about_to_merge_are_both_found() -> None:
    phi, w2 = get("gelu"), 2.25
    s = np.geomspace(0.05, 2.0, 200_001)
    needed = s - w2 * phi.second_moment(s)  # sigma_b^2 that makes s a fixed point
    fold = int(np.argmax(needed))
    for below in (1e-4, 1e-6, 1e-9):
        every = fixed_points("gelu", sigma_w=1.5, sigma_b=math.sqrt(needed[fold] - below))
        assert every.stable.tolist() == [True, False]
        assert every.q_star[0] < s[fold] < every.q_star[1]
        assert every.q_star[1] - every.q_star[0] < 10.0 * math.sqrt(below)
    assert len(fixed_points("gelu", sigma_w=1.5, sigma_b=math.sqrt(needed[fold] + 1e-9)).q_star) == 0


def test_zero_is_listed_where_it_is_one() -> None:
    chaotic = fixed_points("tanh", sigma_w=1.5)
    assert chaotic.q_star[0] == 0.0
    assert chaotic.stable.tolist() == [False, True]
    assert chaotic.reached.tolist() == [False, True]
    ordered = fixed_points("tanh", sigma_w=0.5)
    assert (ordered.q_star.tolist(), ordered.stable.tolist(), ordered.reached.tolist()) == ([0.0], [True], [True])
    assert fixed_points("tanh", sigma_w=1.5, sigma_b=0.1).q_star.min() > 0.0
    assert fixed_points("sigmoid", sigma_w=1.5).q_star.min() > 0.0
    assert fixed_points("relu", sigma_w=2.0).stable.tolist() == [False]


def test_fixed_points_of_several_networks() -> None:
    every = fixed_points("gelu", sigma_w=[1.4134453781512606, 0.5], sigma_b=[0.33810395644809677, 0.1])
    assert every.index.tolist() == [0, 0, 0, 1]
    assert set(every.to_frame()) >= {"q_star", "chi_q", "stable", "reached", "phase"}


@settings(max_examples=60, deadline=None)
@given(activation=st.sampled_from(SMOOTH), w=deviations(2.5), b=deviations(1.5), h=st.sampled_from([0.0, 0.5]))
def test_the_list_agrees_with_the_one_reached(activation: str, w: float, b: float, h: float) -> None:
    found, every = (
        fixed_point(activation, sigma_w=w, sigma_b=b, sigma_noise=h),
        fixed_points(activation, sigma_w=w, sigma_b=b, sigma_noise=h),
    )
    assert every.stable.sum() == found.n_stable
    assert every.reached.sum() == (found.phase != "unbounded")
    for name in ("q_star", "chi_1", "chi_q", "c_star", "phase"):
        for value in every[name][every.reached]:
            assert value == pytest.approx(found[name], nan_ok=True)


# ---- a length map that is not monotone -------------------------------------------------------------------------------


def test_a_falling_length_map_ends_where_it_crosses() -> None:
    found = fixed_point("cos", sigma_w=[0.5, 1.0, 3.0], sigma_b=0.1)
    s = np.full(3, 7.0)
    for _ in range(500):
        s = np.array([0.25, 1.0, 9.0]) * 0.5 * (1.0 + np.exp(-2.0 * s)) + 0.01
    assert found.q_star == pytest.approx(s, rel=1e-13)
    assert np.all(found.chi_q < 0.0)
    assert np.all(found.xi_q > 0.0)


BUMPS = """
import numpy as np


def bump(u):
    return 3.0 * np.exp(-4.0 * u * u)


def bump_and_slope(u):
    return 2.0 * np.exp(-40.0 * u * u) + 0.6 * u
"""


@pytest.fixture
def bumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of activations whose length maps fall."""
    (tmp_path / "bumpy_activations.py").write_text(BUMPS)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return "bumpy_activations"


@pytest.mark.parametrize("function", ["bump", "bump_and_slope"])
def test_variances_that_swing_end_where_they_end(bumps: str, function: str) -> None:
    phi = get(f"{bumps}:{function}")
    w, q_x = np.meshgrid([1.5], [1e-3, 30.0])
    found = fixed_point(phi, sigma_w=w, sigma_b=0.05, sigma_noise=0.0, input_variance=q_x)
    s = w * w * q_x + 0.0025
    for _ in range(400):
        s = np.minimum(w * w * phi.second_moment(s) + 0.0025, 1e20)
    bounded = found.phase != "unbounded"
    assert found.q_star[bounded] == pytest.approx(s[bounded], rel=1e-9)
    assert np.all(s[~bounded] > 1e10)
    assert np.any(phi.second_moment_slope(np.geomspace(1e-3, 1.0, 50)) < 0.0)
    assert np.all(found.chi_q[bounded] > -0.5)


# ---- marginal and critical -------------------------------------------------------------------------------------------


def test_every_variance_is_a_fixed_point_of_relu_at_two() -> None:
    found = fixed_point("relu", sigma_w=ROOT_2, sigma_b=0.0, sigma_noise=0.0, input_variance=[0.3, 1.0, 40.0])
    assert found.q_star == pytest.approx([0.6, 2.0, 80.0], rel=1e-15)
    assert found.phase.tolist() == ["critical"] * 3
    assert np.all(found.c_star == 1.0)
    assert np.all(np.isinf(found.xi_q) & np.isinf(found.xi_c) & np.isinf(found.xi_grad))
    assert np.all(found.xi_q > 0.0)


@pytest.mark.parametrize(("b", "h"), [(0.1, 0.0), (0.0, 0.1)])
def test_what_is_added_to_it_grows_without_bound(b: float, h: float) -> None:
    assert fixed_point("relu", sigma_w=ROOT_2, sigma_b=b, sigma_noise=h).phase == "unbounded"
    assert len(fixed_points("relu", sigma_w=ROOT_2, sigma_b=b, sigma_noise=h).q_star) == 0


@pytest.mark.parametrize(
    ("activation", "w"),
    [("relu", 1.5), ("linear", 1.1), ("softplus", 1.5), ("gelu", 1.5), ("silu", 2.5), ("elu", 1.5), ("abs", 1.01)],
)
def test_unbounded(activation: str, w: float) -> None:
    found = fixed_point(activation, sigma_w=w, sigma_b=0.5)
    assert found.phase == "unbounded"
    assert np.isnan(found.q_star)
    assert np.isnan(found.residual)


@pytest.mark.parametrize(
    ("activation", "w"),
    [("tanh", 1.0), ("erf", math.sqrt(math.pi) / 2.0), ("hard_tanh", 1.0), ("sin", 1.0), ("elu", 1.0)],
)
def test_the_critical_point_without_biases(activation: str, w: float) -> None:
    found = fixed_point(activation, sigma_w=w)
    assert found.q_star == 0.0
    assert found.phase == "critical"
    assert found.chi_1 == pytest.approx(1.0, abs=1e-14)
    assert found.xi_c == math.inf


@pytest.mark.parametrize("delta", [1e-2, 1e-3, 1e-4, 1e-5])
def test_critical_slowing_down_costs_no_accuracy(delta: float) -> None:
    w2 = 1.0 + delta
    import mpmath

    with mpmath.workdps(30):

        def excess(s: Any) -> Any:
            density = mpmath.npdf
            second = mpmath.quad(lambda z: mpmath.tanh(mpmath.sqrt(s) * z) ** 2 * density(z), [-14, -5, 0, 5, 14])
            return mpmath.mpf(w2) * second / s - 1

        # E tanh^2 = s - 2 s^2 + ...
        start = mpmath.mpf(delta) / 2
        expected = float(mpmath.findroot(excess, (start, start * 1.001)))
    found = fixed_point("tanh", sigma_w=math.sqrt(w2))
    # sigma_w2 near 1 is known to rounding only, and s* hangs on its difference from 1.
    rounding = 4.0 * np.finfo(float).eps / delta
    assert found.q_star == pytest.approx(expected, rel=1e-10 + rounding, abs=1e-13)
    assert found.chi_q == pytest.approx(1.0 - delta, rel=10.0 * delta**2)
    assert found.phase == ("critical" if found.chi_1 - 1.0 <= 1e-10 else "chaotic")


@pytest.mark.parametrize("b", [1e-3, 0.1, 0.5])
def test_close_to_the_edge_of_chaos(b: float) -> None:
    edge = edge_of_chaos("tanh", b)
    for below in (1e-3, 1e-5, 1e-7):
        ordered = fixed_point("tanh", sigma_w=edge.sigma_w[0] * (1.0 - below), sigma_b=b)
        chaotic = fixed_point("tanh", sigma_w=edge.sigma_w[0] * (1.0 + below), sigma_b=b)
        assert (ordered.phase, chaotic.phase) == ("ordered", "chaotic")
        assert ordered.c_star == 1.0
        # The slope at the fixed point mirrors that at 1, as in every map that is quadratic near it.
        assert chaotic.chi_1 - 1.0 == pytest.approx(1.0 - chaotic.chi_c, rel=0.2)
        assert chaotic.xi_c == pytest.approx(ordered.xi_c, rel=0.2)
    on_it = fixed_point("tanh", sigma_w=edge.sigma_w[0], sigma_b=b)
    assert on_it.phase == "critical"
    assert on_it.xi_c == math.inf


# ---- small, large and empty ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("b", [1e-4, 1e-8, 1e-12])
def test_tiny_fixed_points_keep_their_digits(b: float) -> None:
    found = fixed_point("tanh", sigma_w=[0.5, 0.9], sigma_b=b)
    assert found.q_star == pytest.approx(b * b / (1.0 - np.array([0.25, 0.81])), rel=1e-6)
    assert found.c_star == pytest.approx([1.0, 1.0])


def test_no_weights() -> None:
    found = fixed_point("tanh", sigma_w=0.0, sigma_b=[0.0, 0.3, 0.3], sigma_noise=[0.0, 0.0, 0.2])
    assert found.q_star == pytest.approx([0.0, 0.09, 0.09])
    assert found.c_star.tolist() == [1.0, 1.0, 1.0]
    assert found.chi_1.tolist() == [0.0, 0.0, 0.0]
    assert found.xi_c.tolist() == [0.0, 0.0, 0.0]
    assert found.phase.tolist() == ["ordered"] * 3


def test_a_network_that_nothing_enters_stays_silent() -> None:
    assert fixed_point("tanh", sigma_w=1.5, sigma_b=0.0, sigma_noise=0.0, input_variance=0.0).q_star == 0.0
    assert fixed_point(
        "sigmoid", sigma_w=1.5, sigma_b=0.0, sigma_noise=0.0, input_variance=0.0
    ).q_star == pytest.approx(fixed_point("sigmoid", sigma_w=1.5).q_star)


def test_steps_are_chaotic_and_without_slopes() -> None:
    found = fixed_point("sign", sigma_w=[1.0, 1.0], sigma_b=[0.0, 0.5])
    assert found.q_star == pytest.approx([1.0, 1.25])
    assert found.c_star[0] == 0.0
    assert 0.0 < found.c_star[1] < 1.0
    assert np.all(np.isnan(found.chi_1) & np.isnan(found.chi_c) & np.isnan(found.xi_c))
    assert found.phase.tolist() == ["chaotic", "chaotic"]


def test_the_length_map_of_a_users_step_is_flat() -> None:
    sign = fixed_points(np.sign, sigma_w=1.3)
    assert sign.q_star.tolist() == pytest.approx([0.0, 1.69], rel=1e-14)
    # sign(0) is 0 and a network of zeros stays one; anything else leaves it at once.
    assert sign.chi_q.tolist() == [math.inf, 0.0]
    assert sign.xi_q.tolist() == [0.0, 0.0]
    assert sign.stable.tolist() == [False, True]
    ordered = fixed_points(lambda u: np.where(u > 0.5, 1.0, 0.0), sigma_w=1.3)
    assert ordered.stable.tolist() == [True, False, True]
    q = ordered.q_star[1:]
    exact = 1.69 * 0.5 * np.exp(-0.125 / q) / np.sqrt(8.0 * np.pi * q**3)
    assert ordered.chi_q.tolist() == pytest.approx([0.0, *exact], rel=1e-10)


def test_hidden_noise_keeps_runs_apart() -> None:
    quiet, noisy = (
        fixed_point("tanh", sigma_w=0.8, sigma_b=0.3),
        fixed_point("tanh", sigma_w=0.8, sigma_b=0.3, sigma_noise=0.2),
    )
    assert quiet.c_star == 1.0
    assert noisy.c_star < 1.0
    s = noisy.q_star + 0.04
    assert 0.64 * get("tanh").second_moment(s) + 0.09 == pytest.approx(noisy.q_star, rel=1e-13)
    assert noisy.chi_1 == pytest.approx(0.64 * get("tanh").slope_moment(s), rel=1e-13)


# ---- the interface ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("w", "b", "h"), [(1.2, 0.3, 0.5), (1.3, 0.0, 0.2), (0.6, 1.0, 1.0)])
def test_the_slope_of_the_correlation_map_counts_the_noise_of_both_runs(w: float, b: float, h: float) -> None:
    found = fixed_point("relu", sigma_w=w, sigma_b=b, sigma_noise=h)
    seen = found.q_star * found.c_star / (found.q_star + h * h)  # correlation of the noisy pre-activations
    assert found.chi_c == pytest.approx(w * w * (0.25 + math.asin(seen) / (2.0 * math.pi)), rel=1e-9)
    assert found.chi_c < found.chi_1 - 0.01


def test_shapes_follow_numpy() -> None:
    scalar = fixed_point("tanh", sigma_w=1.5)
    assert np.ndim(scalar.q_star) == 0
    assert scalar.phase == "chaotic"
    grid = mfmi.fixed_point("tanh", sigma_w=np.linspace(0.5, 2.0, 4)[:, None], sigma_b=[0.0, 0.1, 0.2])
    assert isinstance(grid, FixedPoint)
    assert all(np.shape(getattr(grid, name)) == (4, 3) for name in ("q_star", "c_star", "chi_1", "xi_c", "phase"))
    assert len(grid.to_frame()) == 12
    assert grid.q_star[2, 1] == fixed_point("tanh", sigma_w=1.5, sigma_b=0.1).q_star


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sigma_w": -1.0}, "sigma_w: -1.0 is less than 0"),
        ({"sigma_w": [1.0, math.nan]}, "sigma_w: nan is not finite"),
        ({"sigma_w": 1.0, "sigma_b": math.inf}, "sigma_b: inf is not finite"),
        ({"sigma_w": 1.0, "sigma_noise": -0.1}, "sigma_noise: -0.1 is less than 0"),
        ({"sigma_w": 1.0, "input_variance": -2.0}, "input_variance: -2.0 is less than 0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], words: str) -> None:
    for function in (fixed_point, fixed_points):
        with pytest.raises(ValueError, match=words):
            function("tanh", **arguments)


@pytest.mark.parametrize(("w", "rows"), [(1.5, 1), ([[0.5, 1.5, 3.0]], 3)])
def test_a_result_is_a_data_frame_on_request(w: Any, rows: int) -> None:
    found = mfmi.fixed_point("tanh", sigma_w=w)
    frame = found.to_frame()
    assert frame.shape == (rows, len(found.keys()))
    assert len(found) == rows
    assert [row["phase"] for row in found] == frame["phase"].tolist()
    pd.testing.assert_frame_equal(pd.DataFrame(found), frame, check_dtype=False)
    assert frame["q_star"].tolist() == np.ravel(found.q_star).tolist()
    assert frame["phase"].tolist() == np.ravel(found.phase).tolist()
    every = fixed_points("tanh", sigma_w=w).to_frame()
    assert every["q_star"].max() == frame["q_star"].max()


def test_deviations_are_given_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        mfmi.fixed_point("tanh", 1.5)  # type: ignore[misc]


def test_an_unknown_activation_is_named() -> None:
    with pytest.raises(ValueError, match="tahn"):
        fixed_point("tahn", sigma_w=1.0)


def test_hardly_any_weight_leaves_two_inputs_together() -> None:
    found = fixed_point("tanh", sigma_w=1e-15, sigma_b=1.0, sigma_noise=0.001)
    assert found.c_star == 1.0
    assert found.phase == "ordered"
