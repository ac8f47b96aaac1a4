"""A user's own activation: what is found out about it, and what is refused in which words."""

import math
import pickle

import numpy as np
import pytest

from mfmi import activations

SOURCE = """
import numpy as np
from scipy.special import ndtr

def tanh(u): return np.tanh(u)
def listed(u): return [np.tanh(number) for number in u.tolist()]
def tanh_derivative(u): return 1.0 / np.cosh(np.clip(u, -300, 300)) ** 2
def plain_tanh(u): return np.tanh(u)
def relu(u): return np.maximum(u, 0)
def two_slopes(u): return np.where(u > 0, 1.5 * u, -0.5 * u)
def elu(u): return np.where(u > 0, u, np.expm1(np.minimum(u, 0)))
def hard_tanh(u): return np.clip(u, -1, 1)
def gelu(u): return u * ndtr(u)
def step(u): return np.where(u >= 0.25, 1.0, -1.0)
def step_and_slope(u): return np.sign(u) + u
def sign(u): return np.sign(u)
def threshold(u): return np.where(u > 0.25, 1.0, 0.0)
def lifted_tanh(u): return np.tanh(u) + np.where(u > 0, 0.3, 0)
def steep(u): return np.tanh(5 * u)
def shifted(u): return np.tanh(u - 3)
def hard_swish(u): return u * np.clip(u / 6 + 0.5, 0, 1)
def wave(u): return np.sin(u)
def fast(u): return np.sin(2 * u)
def faster(u): return np.sin(30 * u)
def snake(u): return u + np.sin(u) ** 2
def sawtooth(u): return u - np.floor(u)
def triangle(u): return np.abs((u / 2) % 2 - 1)
def spike(u): return np.tanh(u) + 50 * np.exp(-(((u - 0.50537) / 0.001) ** 2))
def chirp(u): return np.sin(u * u)
def broken(u): return np.abs(np.sin(30 * u))
def cube(u): return u ** 3
def given(u): return np.abs(u - 0.123456789)
given.kinks = [0.123456789]
given.pole = 1.0
def attribute(u): return 2 * np.tanh(u)
attribute.derivative = lambda u: 2 * tanh_derivative(u)

def scalar_only(u): return 1.0 if u > 0 else 0.0
def logarithm(u): return np.log(u)
def total(u): return np.sum(u)
def thin(u): return np.where((u > 1) & (u < 1.01), 1.0, 0.0)
def normalised(u): return u / np.max(np.abs(u))
def imaginary(u): return np.asarray(u) * 1j
def text(u): return "tanh"
def infinite(u): return np.where(u > 7, np.inf, u)
def wrong_slope(u): return np.tanh(u)
def wrong_slope_derivative(u): return 1 - np.tanh(u)
def nan_slope(u): return np.tanh(u)
def nan_slope_derivative(u): return np.where(u > 3, np.nan, 1 - np.tanh(u) ** 2)
def rough(u): return np.tanh(u) + 1e-3 * np.sin(3e5 * u)
def single(u): return np.tanh(u.astype(np.float32))
def single_within(u): return np.tanh(u.astype(np.float32)).astype(np.float64)
def single_slope(u): return np.tanh(u)
def single_slope_derivative(u): return 1 - np.tanh(u.astype(np.float32)) ** 2
def bad_kinks(u): return np.tanh(u)
bad_kinks.kinks = [float("nan")]
number = 3
def overwrites(u):
    np.tanh(u, out=u)
    return u
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Load an activation of a module in the working directory."""
    module = f"own_{abs(hash(tmp_path))}"
    (tmp_path / f"{module}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return lambda name: activations.get(f"{module}:{name}")


S = np.array([1e-6, 0.1, 1.0, 20.0])


@pytest.mark.parametrize("name", ["tanh", "relu", "elu", "hard_tanh", "gelu"])
def test_moments_agree_with_the_activation_of_the_package(mine, name):
    phi, known = mine(name), activations.get(name)
    for moment, arguments in (
        ("second_moment", (S,)),
        ("second_moment_slope", (S,)),
        ("slope_moment", (S,)),
        ("correlation", (S[:3], 0.5 * S[:3])),
        ("decorrelation", (S[:3], 1e-3 * S[:3])),
        ("decorrelation", (S[:3], 1.7 * S[:3])),
    ):
        value, error = phi.with_error(moment, *arguments)
        exact = getattr(known, moment)(*arguments)
        np.testing.assert_allclose(value, exact, rtol=1e-8, err_msg=moment)
        assert np.all(np.abs(value - exact) <= error + 1e-12 * np.abs(exact)), moment
    m, v = np.array([-2.0, 0.0, 0.9, 3.0]), np.array([1e-3, 0.5, 2.0, 10.0])
    found, exact = phi.conditional(m, v), known.conditional(m, v)
    for part in ("mean", "variance", "kappa", "residual"):
        np.testing.assert_allclose(getattr(found, part), getattr(exact, part), rtol=1e-8, atol=1e-11, err_msg=part)
    assert (phi.odd, phi.even, phi.homogeneous) == (known.odd, known.even, known.homogeneous)
    assert (phi.strictly_monotone, phi.images_disjoint) == (known.strictly_monotone, known.images_disjoint)
    assert [piece.kind for piece in phi.pieces] == [piece.kind for piece in known.pieces]
    assert phi.lipschitz == pytest.approx(known.lipschitz, rel=1e-4)
    assert phi.lipschitz >= known.lipschitz * (1.0 - 1e-6)
    assert phi.slope_at_zero_squared == pytest.approx(known.slope_at_zero_squared, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "kinks", "jumps"),
    [
        ("tanh", (), ()),
        ("relu", (0.0,), ()),
        ("elu", (0.0,), ()),
        ("hard_tanh", (-1.0, 1.0), ()),
        ("hard_swish", (-3.0, 3.0), ()),
        ("step", (0.25,), (0.25,)),
        ("step_and_slope", (0.0,), (0.0,)),
        ("steep", (), ()),
        ("wave", (), ()),
        ("given", (0.123456789,), ()),
    ],
)
def test_kinks_are_found(mine, name, kinks, jumps):
    phi = mine(name)
    assert phi.kinks == kinks
    assert phi.jumps == jumps
    assert phi.differentiable == (not jumps)


def test_log_slope_with_and_without_a_derivative(mine):
    exact = activations.get("tanh").log_slope(S)
    np.testing.assert_allclose(mine("tanh").log_slope(S), exact, rtol=1e-10)
    # Differences cannot tell the slope deep in saturation from 0; the logarithm may then only be too small.
    found = mine("plain_tanh").log_slope(S)
    assert np.all(found <= exact + 1e-9)
    np.testing.assert_allclose(found[:3], exact[:3], rtol=1e-8)
    assert found[3] == -math.inf


def test_attributes_of_the_function_are_used(mine):
    phi = mine("attribute")
    assert phi.derivative_error == 0.0
    assert phi.second_moment(1.0) == pytest.approx(4.0 * activations.get("tanh").second_moment(1.0), rel=1e-12)
    assert mine("given").pole == 1.0


def test_a_shifted_function_is_resolved(mine):
    phi = mine("shifted")
    for variance in (1e-3, 1.0, 1e3, 1e5):
        value, error = phi.with_error("second_moment", variance)
        t = np.linspace(-10.0, 10.0, 2_000_001)
        w = np.exp(-0.5 * t * t)
        assert value == pytest.approx((w * np.tanh(math.sqrt(variance) * t - 3.0) ** 2).sum() / w.sum(), rel=1e-8)
        assert error < 1e-9


def test_a_step_has_moments_without_a_slope(mine):
    phi = mine("step_and_slope")
    c = 0.3
    root = math.sqrt(2.0 / math.pi)
    s = np.array([0.2, 1.0, 5.0])
    np.testing.assert_allclose(phi.second_moment(s), 1.0 + s + 2.0 * np.sqrt(s) * root, rtol=1e-11)
    np.testing.assert_allclose(phi.second_moment_slope(s), 1.0 + root / np.sqrt(s), rtol=1e-9)
    exact = 2.0 / math.pi * math.asin(c) + c * s + 2.0 * c * np.sqrt(s) * root
    np.testing.assert_allclose(phi.correlation(s, c * s), exact, rtol=1e-9)
    assert np.all(np.isnan(phi.slope_moment(s)))
    assert phi.conditional(0.0, 4.0).kappa == pytest.approx(1.0 + root / 2.0, rel=1e-10)


def test_the_slope_of_the_second_moment_of_what_jumps(mine):
    # V' is the mean of phi phi' u / s and the rise of phi^2 at the jump times its place and density over 2 s.
    s = np.array([1e-60, 1e-12, 1e-4, 0.04, 0.3, 2.0, 50.0])
    assert not mine("sign").second_moment_slope(np.append(0.0, s)).any()
    late = mine("threshold").second_moment_slope(s)
    with np.errstate(under="ignore"):
        exact = 0.25 * np.exp(-0.03125 / s) / np.sqrt(8 * np.pi * s) / s
    assert late == pytest.approx(exact, rel=1e-10, abs=1e-300)
    # (sign(u) + u)^2 is 1 + 2 |u| + u^2.
    both = mine("step_and_slope").second_moment_slope(s)
    assert both == pytest.approx(np.sqrt(2 / (np.pi * s)) + 1, rel=1e-9)


def test_entropy_powers_piece_by_piece(mine):
    m, v = np.array([0.3, -1.0, 2.0, -4.0]), np.array([1.0, 0.2, 4.0, 0.5])
    for name in ("relu", "hard_tanh"):
        own, known = mine(name), activations.get(name)
        for found, wanted in zip(own.entropy_powers(m, v), known.entropy_powers(m, v), strict=True):
            assert found == pytest.approx(wanted, rel=1e-9, abs=1e-300)
    # tanh(u) + 0.3 [u > 0], by 30 digits: both sides have their own mean of ln phi'.
    share, power = mine("lifted_tanh").entropy_powers(m[:2], v[:2])
    exact = [[0.382088577811047, 0.617911422188953], [0.987326340661266, 0.0126736593387341]]
    assert share == pytest.approx(np.array(exact), rel=1e-10)
    exact = [[0.0579992910250987, 0.0501673711595838], [0.0261263736295857, 0.0095197721296612]]
    assert power == pytest.approx(np.array(exact), rel=1e-8)


@pytest.mark.parametrize(("name", "rate"), [("wave", 1.0), ("fast", 2.0), ("faster", 30.0)])
def test_waves_are_followed_at_every_variance(mine, name, rate):
    phi, r = mine(name), rate
    s = np.array([1e-2, 0.3, 1.0, 4.5, 30.0, 1e5])
    double = np.exp(-2.0 * r * r * s)
    np.testing.assert_allclose(phi.second_moment(s), 0.5 * (1.0 - double), rtol=1e-10)
    np.testing.assert_allclose(phi.slope_moment(s), 0.5 * r * r * (1.0 + double), rtol=1e-10)
    np.testing.assert_allclose(phi.second_moment_slope(s), r * r * double, atol=1e-10 * r * r)
    assert phi.log_slope(30.0) == pytest.approx(2.0 * math.log(0.5 * r), rel=1e-9, abs=1e-9)
    k = 0.9 * s[1:4]
    value, error = phi.with_error("correlation", s[1:4], k)
    exact = 0.5 * (np.exp(-r * r * (s[1:4] - k)) - np.exp(-r * r * (s[1:4] + k)))
    np.testing.assert_allclose(value, exact, atol=1e-9)
    assert np.all(np.abs(value - exact) <= error + 1e-12)
    m, v = np.array([0.3, -20.0, 100.0, 2.0]), np.array([1e-3, 1e-6, 0.01, 50.0])
    found = phi.conditional(m, v)
    np.testing.assert_allclose(found.mean, np.sin(r * m) * np.exp(-0.5 * r * r * v), atol=1e-10)
    np.testing.assert_allclose(found.kappa, r * np.cos(r * m) * np.exp(-0.5 * r * r * v), atol=1e-9 * r)


def test_a_line_with_a_wave_on_it(mine):
    phi = mine("snake")
    s = np.array([0.3, 1.0, 10.0, 1e5])
    # u + sin(u)^2 = u + 1/2 - cos(2 u) / 2
    exact = s + 0.25 - 0.5 * np.exp(-2.0 * s) + 0.125 * (1.0 + np.exp(-8.0 * s))
    np.testing.assert_allclose(phi.second_moment(s), exact, rtol=1e-10)
    np.testing.assert_allclose(phi.slope_moment(s), 1.0 + 0.5 * (1.0 - np.exp(-8.0 * s)), rtol=1e-10)
    found = phi.conditional(np.array([3.0, 3.0]), np.array([0.2, 500.0]))
    np.testing.assert_allclose(
        found.mean, 3.5 - 0.5 * math.cos(6.0) * np.exp(-2.0 * np.array([0.2, 500.0])), rtol=1e-10
    )


@pytest.mark.parametrize("name", ["sawtooth", "triangle"])
def test_waves_with_kinks(mine, name):
    phi = mine(name)
    for s in (0.04, 1.0):
        t = np.linspace(-9.0, 9.0, 4_000_001)
        w = np.exp(-0.5 * t * t)
        values = phi(math.sqrt(s) * t)
        assert phi.second_moment(s) == pytest.approx((w * values**2).sum() / w.sum(), rel=2e-5)
    assert phi.second_moment(1e6) == pytest.approx(1.0 / 3.0, rel=1e-12)


def test_a_spike_between_probes_is_resolved(mine):
    phi = mine("spike")
    t = np.linspace(0.46, 0.55, 2_000_001)
    rest, step = 0.0, t[1] - t[0]
    peak = 50.0 * np.exp(-(((t - 0.50537) / 0.001) ** 2))
    for s in (0.3, 1.44):
        density = np.exp(-0.5 * t * t / s) / math.sqrt(2.0 * math.pi * s)
        rest = float(activations.get("tanh").second_moment(s))
        exact = rest + float((density * (peak * peak + 2.0 * peak * np.tanh(t))).sum()) * step
        assert phi.second_moment(s) == pytest.approx(exact, rel=1e-8)
    assert phi.lipschitz == pytest.approx(50e3 * math.sqrt(2.0 / math.e), rel=1e-2)


@pytest.mark.thorough
def test_where_no_rule_is_right_the_answer_is_nan(mine):
    phi = mine("chirp")
    assert 1.0 <= phi.largest_variance < 1e3
    s = np.array([0.1, 1.0])
    # E sin(u^2)^2 = 1/2 - Re (1 - 4 i s)^(-1/2) / 2
    np.testing.assert_allclose(phi.second_moment(s), 0.5 - 0.5 * ((1.0 - 4j * s) ** -0.5).real, rtol=1e-9)
    assert np.isnan(phi.second_moment(1e4))
    assert np.all(np.isnan(phi.with_error("correlation", [1e5, 1e6], 0.0)))


def test_a_slope_that_vanishes_at_a_point(mine):
    phi = mine("cube")
    s = np.array([0.1, 2.0])
    np.testing.assert_allclose(phi.second_moment(s), 15.0 * s**3, rtol=1e-10)
    np.testing.assert_allclose(phi.slope_moment(s), 27.0 * s**2, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("scalar_only", ("is not vectorised", "from -100.0 on", "ValueError")),
        ("logarithm", ("returns nan at u = -100",)),
        ("total", ("wrong shape", "()")),
        ("normalised", ("is not elementwise", "at u =")),
        ("imaginary", ("complex128", "not real numbers", "u = -100")),
        ("text", ("wrong shape",)),
        ("infinite", ("returns inf at u = 100",)),
        ("wrong_slope", ("its derivative is wrong", "at u = -10", "it returns 2")),
        ("nan_slope", ("derivative returns nan at u = 100",)),
        ("single", ("single': has no more digits than float32", "return float64")),
        ("single_within", ("has no more digits than float32",)),
        ("single_slope", ("derivative has no more digits than float32",)),
        ("thin", ("its moments cannot be resolved", "kinks or jumps are everywhere")),
        ("rough", ("cannot be resolved", "noise in more than 256 places")),
        ("broken", ("cannot be resolved", "kinks, jumps or noise in more than 256 places")),
        ("bad_kinks", ("kinks must be finite",)),
        ("number", ("'number' of module", "is no function but int")),
        ("relo", ("has no function 'relo'", "did you mean relu")),
    ],
)
def test_what_is_wrong_is_said(mine, name, parts):
    with pytest.raises(ValueError, match=":") as caught:
        mine(name)
    for part in (name, *parts):
        assert part in str(caught.value)


def test_a_module_that_cannot_be_imported(tmp_path, monkeypatch):
    (tmp_path / "broken_module_of_mine.py").write_text("import no_such_package_anywhere\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="cannot import module 'broken_module_of_mine': ModuleNotFoundError"):
        activations.get("broken_module_of_mine:f")
    with pytest.raises(ValueError, match="cannot import module 'no_such_module_of_mine'"):
        activations.get("no_such_module_of_mine:f")


def test_pickled_by_name(mine):
    phi = mine("tanh")
    assert pickle.loads(pickle.dumps(phi)) == phi
    assert ":" in phi.name


def test_a_function_of_one_dimensional_arrays_is_enough(mine):
    """Scalars and arrays of any shape reach it as flat arrays."""
    phi = mine("listed")
    assert phi(0.5) == np.tanh(0.5)
    np.testing.assert_array_equal(phi(np.full((2, 3, 4), 0.25)), np.full((2, 3, 4), np.tanh(0.25)))
    np.testing.assert_allclose(phi.second_moment(1.5), activations.get("tanh").second_moment(1.5), rtol=1e-9)


def test_a_function_may_overwrite_its_argument(mine):
    """It works on a copy: values, moments and the caller's array are as if it did not."""
    phi, u = mine("overwrites"), np.linspace(-3.0, 3.0, 13)
    given = u.copy()
    np.testing.assert_array_equal(phi(u), np.tanh(given))
    np.testing.assert_array_equal(u, given)
    tanh = activations.get("tanh")
    np.testing.assert_allclose(phi.second_moment([0.1, 2.0]), tanh.second_moment([0.1, 2.0]), rtol=1e-9)
    np.testing.assert_allclose(phi.conditional(0.3, 0.5).kappa, tanh.conditional(0.3, 0.5).kappa, rtol=1e-7)


@pytest.mark.parametrize(
    ("function", "steepest"),
    [
        (lambda u: u**3, math.inf),
        (np.exp, math.inf),
        (lambda u: np.sin(u * u), math.inf),
        (lambda u: u * np.log1p(np.abs(u)), math.inf),
        (lambda u: np.sqrt(1.0 + u * u), 1.0),
        (lambda u: u * np.arctan(u), math.pi / 2.0),
        (lambda u: u / (1.0 + np.abs(u)), 1.0),
        (lambda u: 2.5 * u + 0.5 * np.sin(3.0 * u), 4.0),
        (np.ones_like, 0.0),
    ],
    ids=["cube", "exp", "chirp", "logarithmic", "hyperbola", "arctan", "softsign", "wave", "constant"],
)
def test_steepest_slope_anywhere(function, steepest):
    # A capacity is a supremum: a slope that is too small by as little as its value at the ends of the probes is wrong.
    found = activations.get(function).lipschitz
    assert steepest <= found * (1.0 + 1e-12)
    assert found == pytest.approx(steepest, rel=1e-5)


def test_overflow_far_out_is_no_warning():
    # pytest makes warnings errors: exp overflows where its moments are looked for.
    phi = activations.get(lambda u: 2.0 * np.sinh(u))
    assert phi.second_moment(1.0) == pytest.approx(2.0 * math.expm1(2.0), rel=1e-10)
