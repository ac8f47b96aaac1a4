"""Phases and edges that rounding, a numerical slope or a moment without a value must not decide."""

import math
from typing import Any

import numpy as np
import pytest
import user_functions
from numpy.typing import NDArray

import mfmi
from mfmi.activations import Activation, get
from mfmi.activations.tanh import Tanh
from mfmi.meanfield import edge_of_chaos, fixed_point, fixed_points

ROOT_2 = math.sqrt(2.0)
AROUND_ROOT_2 = [math.nextafter(ROOT_2, 0.0), ROOT_2, math.nextafter(ROOT_2, 2.0)]


class Forgetful(Tanh):
    """Hyperbolic tangent whose second moment is lost above some variance."""

    known = 0.5

    def __init__(self) -> None:
        Activation.__init__(self, "forgetful", odd=True, pole=0.5 * math.pi)

    def _second_moment(self, s: NDArray[np.float64], refine: float = 1.0) -> NDArray[np.float64]:
        return np.where(s <= self.known, super()._second_moment(s, refine), np.nan)


def activation(name: str) -> Any:
    return user_functions.user(name) if name in user_functions.FUNCTIONS else get(name)


# ---- a slope of 1 at infinity ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("w", AROUND_ROOT_2)
@pytest.mark.parametrize("source", ["the package's", "a user's"])
def test_softplus_is_unbounded_at_root_2(w: float, source: str) -> None:
    # 2 V - q -> 1.918 / sqrt(q) > 0: nothing stops a variance.
    found = fixed_point(get("softplus") if source == "the package's" else user_functions.user("softplus"), sigma_w=w)
    assert (found.phase, found.n_stable, found.status) == ("unbounded", 0, "unbounded")
    assert np.isnan(found.q_star)


@pytest.mark.parametrize("w", AROUND_ROOT_2)
@pytest.mark.parametrize(
    ("name", "chi_1"), [("gelu", 0.5), ("silu", 0.5), ("quick_gelu", 0.5), ("hard_swish", 0.5), ("mish", 0.72)]
)
def test_what_lies_below_its_asymptote_is_ordered_at_root_2(name: str, chi_1: float, w: float) -> None:
    found = fixed_point(activation(name), sigma_w=w)
    assert (found.q_star, found.phase, found.n_stable) == (0.0, "ordered", 1)
    assert found.chi_1 == pytest.approx(chi_1, rel=1e-13)


def test_far_below_the_rounding_it_is_decided_by_the_weights() -> None:
    below, above = fixed_point("softplus", sigma_w=[ROOT_2 * (1.0 - 1e-11), ROOT_2 * (1.0 + 1e-11)]).q_star
    # 1.918 / q^1.5 = 2e-11
    assert below == pytest.approx((1.918 / 2e-11) ** (2.0 / 3.0), rel=1e-2)
    assert np.isnan(above)


@pytest.mark.parametrize("w", AROUND_ROOT_2)
def test_what_looks_like_relu_from_near_is_critical(w: float) -> None:
    # relu6 falls below relu only beyond 6, and by nothing that a double resolves at small variances.
    found = fixed_point(user_functions.user("relu6"), sigma_w=w)
    assert (found.q_star, found.phase, found.n_stable) == (0.0, "critical", 1)


@pytest.mark.parametrize("name", ["tanh", "erf", "hard_tanh", "sin", "cos", "sigmoid", "sign"])
def test_a_saturated_activation_is_bounded_by_any_weights(name: str) -> None:
    w, phi = np.array([1e6, 1e7, 1e50]), get(name)
    found = fixed_point(name, sigma_w=w)
    assert found.phase.tolist() == ["chaotic"] * 3
    assert found.n_stable.tolist() == [1, 1, 1]
    assert found.q_star == pytest.approx(w * w * phi.second_moment(found.q_star), rel=1e-12)


def test_a_users_function_that_leaves_lengths_alone_does_so() -> None:
    found = fixed_point(user_functions.user("absolute"), sigma_w=1.0, input_variance=[0.3, 7.0])
    assert found.q_star.tolist() == [0.3, 7.0]
    assert found.phase.tolist() == ["critical", "critical"]


# ---- the edge of chaos -----------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["squared_relu", "tanhshrink", "cube"])
def test_without_a_slope_at_0_there_is_no_edge_without_biases(name: str) -> None:
    phi = user_functions.user(name)
    assert phi.slope_at_zero_squared == 0.0
    edge = edge_of_chaos(phi)
    assert len(edge.found.sigma_w) == 0
    # The moments of a cube are known up to a variance only: none was found, which is not that there is none.
    assert list(edge.status) == (["unconverged"] if name == "cube" else [])


def test_an_edge_with_biases_of_a_function_without_a_slope_at_0() -> None:
    # V = 3 s^2 / 2 and E phi'^2 = 2 s: on the edge sigma_b^2 = s / 4 and sigma_w^2 = 1 / (2 s).
    edge = edge_of_chaos(user_functions.user("squared_relu"), 0.3)
    assert edge.q_star == pytest.approx([0.36], rel=1e-9)
    assert edge.sigma_w == pytest.approx([1.0 / math.sqrt(0.72)], rel=1e-9)
    assert edge.chi_q == pytest.approx([1.5], rel=1e-9)
    assert (edge.stable.tolist(), edge.reached.tolist()) == ([False], [False])


@pytest.mark.parametrize(
    ("name", "w", "reached"),
    [
        ("celu", 1.0, True),
        ("softsign", 1.0, True),
        ("relu6", ROOT_2, True),
        ("fast_sine", 0.5, True),
        ("mish", 5.0 / 3.0, False),
        ("quick_gelu", 2.0, False),
        ("hard_swish", 2.0, False),
        ("snake", 1.0, False),
    ],
)
def test_a_users_function_has_one_edge_without_biases(name: str, w: float, reached: bool) -> None:
    phi = user_functions.user(name)
    for edge in (edge_of_chaos(phi), edge_of_chaos(phi, sigma_w=1.0 / math.sqrt(phi.slope_at_zero_squared))):
        assert (edge.kind.tolist(), edge.q_star.tolist(), edge.sigma_b.tolist()) == (["zero"], [0.0], [0.0])
        assert edge.sigma_w == pytest.approx([w], rel=1e-14)
        assert edge.reached.tolist() == [reached]


@pytest.mark.parametrize(("name", "built_in"), [("celu", "elu"), ("wave", "cos"), ("softplus", "softplus")])
def test_a_function_has_the_edge_of_the_activation_that_it_is(name: str, built_in: str) -> None:
    biases = [0.0, 0.1, 0.5]
    one, other = edge_of_chaos(user_functions.user(name), biases), edge_of_chaos(built_in, biases)
    assert one.index.tolist() == other.index.tolist()
    assert one.sigma_w == pytest.approx(other.sigma_w, rel=1e-7)
    assert one.reached.tolist() == other.reached.tolist()


def test_no_finite_network_reaches_the_edge_of_silu_without_biases() -> None:
    # At sigma_w 2 the variance is 3.9, 7.2, 61, 2010, 2e6 in the layers 1, 2, 5, 10, 20 of a finite network.
    edge = edge_of_chaos("silu")
    assert (edge.sigma_w.tolist(), edge.stable.tolist(), edge.reached.tolist()) == ([2.0], [True], [False])
    assert fixed_point("silu", sigma_w=2.0).phase == "unbounded"


# ---- moments without a value -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("w", "b", "q_x"),
    [
        (1.6, 0.0, 1.0),  # the fixed point lies where V is lost, and so does the start
        (1.6, 0.0, 0.01),  # the way leads there
        (0.9, 0.0, 1.0),  # it would come down to 0
        (1e7, 0.0, 1.0),
    ],
)
def test_a_fixed_point_that_cannot_be_known_says_so(w: float, b: float, q_x: float) -> None:
    found = fixed_point(Forgetful(), sigma_w=w, sigma_b=b, input_variance=q_x)
    assert (found.phase, found.status) == (None, "unconverged")
    assert all(np.isnan(found[name]) for name in ("q_star", "c_star", "chi_1", "chi_q", "xi_c"))
    assert "no second moment that is known at variances above 0.4" in found.message
    assert not fixed_points(Forgetful(), sigma_w=w, sigma_b=b, input_variance=q_x).reached.any()


def test_what_lies_below_the_loss_is_known() -> None:
    found, whole = (fixed_point(phi, sigma_w=[0.6, 1.2], input_variance=0.1) for phi in (Forgetful(), get("tanh")))
    assert found.q_star == pytest.approx(whole.q_star, rel=1e-12)
    assert found.status.tolist() == ["ok", "ok"]
    assert all("n_stable counts fixed points up to a variance of 0.4" in message for message in found.message)


def test_no_fixed_point_is_told_from_none_that_could_be_looked_for() -> None:
    known = fixed_points("tanh", sigma_w=[0.6, 1.6])
    assert set(known.message) == {""}
    assert len(fixed_points("relu", sigma_w=2.0, sigma_b=0.1)) == 0
    # Between them the map of 1.6 with biases has no fixed point below the loss, nor has one without weights above it.
    found = fixed_points(Forgetful(), sigma_w=[0.6, 1.6, 0.0, 0.0], sigma_b=[0.0, 1.0, 0.5, 1.0])
    assert found.index.tolist() == [0, 1, 2, 3]
    assert found.q_star.tolist() == pytest.approx([0.0, np.nan, 0.25, np.nan], nan_ok=True)
    assert found.status.tolist() == ["ok", "unconverged", "ok", "unconverged"]
    starts = [message.partition(" up to a variance of 0.4")[0] for message in found.message]
    assert starts == ["the list has fixed points", "no fixed point", "", "no fixed point"]
    assert found.phase[1] is None


def test_no_edge_is_told_from_none_that_could_be_looked_for() -> None:
    assert len(edge_of_chaos("relu", 0.1)) == 0
    for name, values in (("sigma_b", [0.0, 1.0]), ("sigma_w", [1.0, 3.0])):
        edge, whole = (edge_of_chaos(phi, **{name: values}) for phi in (Forgetful(), "tanh"))
        assert edge.index.tolist() == [0, 1]
        assert edge[name].tolist() == values
        assert edge.status.tolist() == ["ok", "unconverged"]
        starts = [message.partition(" up to a variance of 0.4")[0] for message in edge.message]
        assert starts == ["the list has branches", "no edge of chaos"]
        assert np.isnan(edge.q_star[1])
        assert edge.kind[1] is None
        assert edge.found.sigma_w == pytest.approx(edge.sigma_w[:1])
        assert whole.status.tolist() == ["ok", "ok"]
        assert whole.message.tolist() == ["", ""]


def test_what_grows_faster_than_it_could_be_forgotten_is_unbounded() -> None:
    # sqrt(s) V(s) increases: from a map that is this far above the diagonal no variance up to 1e12 comes back to it.
    found = fixed_point(Forgetful(), sigma_w=[1e7, 1e10])
    assert found.phase.tolist() == [None, "unbounded"]
    assert fixed_points(Forgetful(), sigma_w=1e10).message.tolist() == [""]


def test_an_edge_that_may_not_be_reached_is_not() -> None:
    assert edge_of_chaos(Forgetful(), input_variance=1.0).reached.tolist() == [False]
    assert edge_of_chaos(Forgetful(), input_variance=0.1).reached.tolist() == [True]


@pytest.mark.parametrize("w", [1.42, 2.0, 3.0])
def test_a_fast_sine_ends_where_it_does_or_says_that_it_is_not_known(w: float) -> None:
    # V(s) = (1 - exp(-8 s)) / 2
    s = w * w
    for _ in range(200):
        s = 0.5 * w * w * -math.expm1(-8.0 * s)
    found = fixed_point(user_functions.user("fast_sine"), sigma_w=w)
    if found.status == "ok":
        assert found.q_star == pytest.approx(s, rel=1e-7)
        assert found.chi_1 == pytest.approx(2.0 * w * w * (1.0 + math.exp(-8.0 * s)), rel=1e-7)
    else:
        assert found.phase is None
        assert found.message != ""


def test_the_rows_of_such_a_network_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mfmi.bounds.evaluate.get_activation", lambda name: Forgetful())
    rows = mfmi.evaluate("tanh", sigma_w=[0.6, 0.9], depth=1, input_variance=0.7, estimators=["linear"])
    assert rows["status"].tolist() == ["ok", "unconverged"]
    assert rows["message"].str.contains("the fixed point is not known").tolist() == [False, True]
    assert rows["mi_linear"].notna().all()


# ---- against iteration -----------------------------------------------------------------------------------------------


def iterated(name: str, w: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variances after many layers, by a rule of its own: panels between powers of 2, split where the functions kink."""
    function = user_functions.FUNCTIONS[name]
    x, weight = np.polynomial.legendre.leggauss(20)
    powers = 2.0 ** np.arange(-12.0, 29.0)
    inner = np.arange(-40.0, 40.5, 0.5)
    ends = np.unique(np.concatenate((-powers, powers, inner)))
    half, middle = 0.5 * np.diff(ends), 0.5 * (ends[1:] + ends[:-1])
    u, du = (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * weight).ravel()
    square = function(u) ** 2
    s = w * w + b * b
    for _ in range(300):
        law = np.exp(-u * u / (2.0 * s[:, None])) / np.sqrt(2.0 * np.pi * s[:, None])
        s = np.minimum(w * w * ((law * square) @ du) + b * b, 1e12)
    return s


@pytest.mark.parametrize("name", ["softsign", "celu", "mish", "hard_swish", "quick_gelu", "gaussian", "softplus"])
def test_variances_end_where_iteration_leads(name: str) -> None:
    w, b = (part.ravel() for part in np.meshgrid([0.3, 0.9, 1.2, 1.7, 2.5], [0.1, 1.0]))
    found, end = fixed_point(user_functions.user(name), sigma_w=w, sigma_b=b), iterated(name, w, b)
    bounded = end < 1e6
    assert (found.phase != "unbounded").tolist() == bounded.tolist()
    assert found.q_star[bounded] == pytest.approx(end[bounded], rel=1e-6)
    assert set(found.status) <= {"ok", "unbounded"}
