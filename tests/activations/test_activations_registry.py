"""Names, parameters, aliases, properties and what is refused."""

import copy
import itertools
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from activation_choice import chosen

from mfmi import activations
from mfmi.activations import Piece

ALL = (*activations.names(), "leaky_relu(0.1)", "elu(alpha=0.5)")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("tanh", "tanh"),
        (" TanH ", "tanh"),
        ("swish", "silu"),
        ("identity", "linear"),
        ("hardtanh", "hard_tanh"),
        ("leaky_relu", "leaky_relu"),
        ("leaky_relu(0.01)", "leaky_relu"),
        ("leaky_relu(slope=0.1)", "leaky_relu(0.1)"),
        ("leaky_relu( 1e-1 )", "leaky_relu(0.1)"),
        ("elu(1.0)", "elu"),
        ("elu(0.5)", "elu(alpha=0.5)"),
        ("relu()", "relu"),
        ("gelu(approximate=tanh)", "gelu_tanh"),
        ("gelu(approximate='tanh')", "gelu_tanh"),
        ("gelu(True)", "gelu_tanh"),
        ("gelu(approximate=none)", "gelu"),
        ("GELU(approximate=False)", "gelu"),
        ("gelu_new", "gelu_tanh"),
        ("leaky_relu(negative_slope=0.2)", "leaky_relu(0.2)"),
        ("LeakyReLU(alpha=0.3)", "leaky_relu(0.3)"),
        ("prelu", "leaky_relu(0.25)"),
        ("celu", "elu"),
        ("celu(alpha=0.5)", "celu(alpha=0.5)"),
        ("softplus(beta=1)", "softplus"),
        ("softplus(beta=2)", "softplus(beta=2.0)"),
        ("hard_silu", "hard_swish"),
        ("hardswish", "hard_swish"),
        ("hardsigmoid", "hard_sigmoid"),
        ("hard_sigmoid(slope=0.2)", "hard_sigmoid(slope=0.2)"),
        ("log_sigmoid", "logsigmoid"),
        ("soft_sign", "softsign"),
        ("hardshrink(lambda=0.3)", "hardshrink(lambd=0.3)"),
        ("hard_shrink(threshold=0.5)", "hardshrink"),
        ("soft_shrink(lambd=1)", "softshrink(lambd=1.0)"),
        ("sin(30)", "sin(30.0)"),
        ("sine(w0=30)", "sin(30.0)"),
        ("snake(alpha=2)", "snake(a=2.0)"),
        ("gaussian(0.5)", "gaussian(a=0.5)"),
        ("relu2", "squared_relu"),
        ("star_relu(1, 0)", "star_relu(scale=1.0, bias=0.0)"),
    ],
)
def test_spellings_of_one_activation_are_equal(spec, name):
    phi = activations.get(spec)
    assert phi.name == name
    assert phi == activations.get(name)
    assert hash(phi) == hash(activations.get(name))
    assert activations.get(phi) is phi


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("tahn", ("'tahn'; did you mean tanh", "? Known: tanh, relu")),
        ("softpluss", ("did you mean softplus",)),
        ("swich", ("did you mean silu",)),
        ("qqq", ("unknown activation 'qqq'. Known: tanh, relu", "module:function")),
        ("leaky_relu(2)", ("slope", "(0, 1)", "2.0")),
        ("leaky_relu(nan)", ("must be numbers",)),
        ("elu(alpha=-1)", ("alpha", "> 0", "-1.0")),
        ("elu(beta=1)", ("takes alpha",)),
        ("elu(1, 2)", ("takes alpha",)),
        ("elu(1, alpha=2)", ("elu(1, alpha=2)", "takes alpha")),
        ("tanh(1)", ("takes no parameters",)),
        ("elu(x)", ("must be numbers", "(x)")),
        ("elu(__import__('os'))", ("must be numbers",)),
        ("elu(*[1])", ("must be numbers",)),
        ("elu(**{})", ("must be numbers",)),
        ("elu(True)", ("must be numbers",)),
        ("gelu(2)", ("approximate must be a word", "2.0")),
        ("gelu(approximate=maybe)", ("approximate must be none or tanh", "'maybe'")),
        ("leaky_relu(slope=0.1, negative_slope=0.2)", ("takes slope",)),
        ("hardshrink(lambda=-1)", ("lambd must be a finite number > 0", "-1.0")),
        ("softplus(beta=0)", ("beta must be a finite number > 0",)),
        ("star_relu(bias=1e999)", ("bias must be a finite number", "inf")),
        ("snake(1, 2)", ("takes a",)),
        ("", ("unknown activation ''",)),
    ],
)
def test_bad_names_and_parameters_are_named(spec, parts):
    with pytest.raises(ValueError, match=r"activation|must be") as caught:
        activations.get(spec)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("argument", ["(" * 30_000, "-" * 3000 + "1", "-" * 30_000 + "1", "9" * 3000, "1+" * 30_000])
def test_endless_parameters_are_refused_in_few_words(argument):
    with pytest.raises(ValueError, match="must be numbers") as caught:
        activations.get(f"leaky_relu({argument})")
    assert len(str(caught.value)) < 200


def test_what_is_not_a_name_is_refused():
    with pytest.raises(ValueError, match="got 3"):
        activations.get(3)


@pytest.mark.parametrize("name", ALL)
def test_activations_are_values(name):
    phi = activations.get(name)
    assert pickle.loads(pickle.dumps(phi)) == phi
    assert copy.deepcopy(phi) == phi
    assert phi != activations.get("tanh" if name == "relu" else "relu")
    assert phi.citation
    assert name in repr(phi)
    with pytest.raises(AttributeError, match="immutable"):
        phi.name = "other"


@pytest.mark.parametrize("name", ALL)
def test_properties_are_those_of_the_function(name):
    phi = activations.get(name)
    u = np.linspace(-20.003, 20.0, 40001)
    slope = phi.derivative(u)
    away = np.all([np.abs(u - kink) > 2e-3 for kink in phi.kinks], axis=0) if phi.kinks else np.ones(u.size, bool)
    h = 1e-4
    difference = (phi(u + h) - phi(u - h)) / (2.0 * h)
    np.testing.assert_allclose(slope[away], difference[away], atol=1e-6)
    if phi.differentiable:
        assert np.abs(slope).max() <= phi.lipschitz * (1.0 + 1e-9)
        assert np.abs(slope).max() >= min(phi.lipschitz, 30.0) * (1.0 - 1e-3)
        assert 0.5 * (phi.derivative(1e-9) ** 2 + phi.derivative(-1e-9) ** 2) == pytest.approx(
            phi.slope_at_zero_squared, abs=1e-8
        )
        np.testing.assert_allclose(np.exp(phi.log_abs_derivative(u)), np.abs(slope), rtol=1e-9, atol=1e-14)
    if phi.homogeneous:
        np.testing.assert_allclose(phi(3.0 * u), 3.0 * phi(u), rtol=1e-14)
    for zero in phi.slope_zeros:
        assert abs(phi.derivative(zero)) < 1e-15
    assert phi.strictly_monotone == (len(phi.pieces) == 1 and phi.pieces[0].kind != "flat")


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("sin", "cos")])
def test_pieces_are_monotone_and_cover_the_line(name):
    phi = activations.get(name)
    assert phi.pieces[0].lower == -math.inf
    assert phi.pieces[-1].upper == math.inf
    images = []
    for piece, following in zip(phi.pieces, (*phi.pieces[1:], None), strict=True):
        assert following is None or following.lower == piece.upper
        lower, upper = max(piece.lower, -5.0), min(piece.upper, 5.0)
        u = np.linspace(lower, max(upper, lower + 1.0), 501)[1:-1]
        steps = np.diff(phi(u))
        if piece.kind == "flat":
            assert np.all(steps == 0.0)
        else:
            assert np.all(steps * (1.0 if piece.kind == "increasing" else -1.0) > 0.0)
        images.append(sorted((float(phi(u[0])), float(phi(u[-1])))))
    images.sort()
    gaps = [later[0] - earlier[1] for earlier, later in itertools.pairwise(images)]
    assert phi.images_disjoint == all(gap > -0.05 for gap in gaps)


def test_periodic_activations_have_no_list_of_pieces():
    for name in ("sin", "cos"):
        phi = activations.get(name)
        assert phi.pieces == ()
        assert not phi.images_disjoint
        assert phi.entropy_powers([0.0, 1.0], 0.5)[0].shape == (2, 0)


def test_entropy_powers_of_relu_and_hard_tanh_are_theory_17():
    t = np.array([-30.0, -3.0, -0.2, 0.0, 1.0, 8.0])
    v = 0.7
    p, power = activations.get("relu").entropy_powers(t * math.sqrt(v), v)
    from scipy.special import erfc, erfcx, log_ndtr, ndtr

    assert p.shape == (6, 1)
    np.testing.assert_allclose(p[:, 0], ndtr(t), rtol=1e-12)
    mills = math.sqrt(0.5 * math.pi) * erfcx(-t / math.sqrt(2.0))
    np.testing.assert_allclose(power[:, 0], v * np.exp(2.0 * log_ndtr(t) - t / mills), rtol=1e-10)
    p, power = activations.get("hard_tanh").entropy_powers(0.0, 1e-4)
    assert p.shape == (1,)
    assert p[0] == pytest.approx(1.0)
    assert power[0] == pytest.approx(1e-4, rel=1e-12)
    # Under wide noise the piece is uniform on (-1, 1), of entropy ln 2.
    p, power = activations.get("hard_tanh").entropy_powers(0.0, 1e8)
    assert p[0] == pytest.approx(1.0 - erfc(1e-4 / math.sqrt(2.0)), rel=1e-6)
    assert power[0] == pytest.approx(4.0 / (2.0 * math.pi * math.e), rel=1e-6)
    assert activations.get("sign").entropy_powers(0.0, 1.0)[0].shape == (0,)
    assert activations.get("relu").pieces == (Piece(-math.inf, 0.0, "flat"), Piece(0.0, math.inf, "increasing"))


@pytest.mark.parametrize(
    ("moment", "arguments", "message"),
    [
        ("second_moment", (-1.0,), "s must be a finite variance >= 0, got -1.0"),
        ("second_moment", ([1.0, math.nan],), "s must be a finite variance >= 0, got nan"),
        ("log_slope", (math.inf,), "s must be a finite variance >= 0, got inf"),
        ("slope_moment", (1.0, -1), "k must be a finite number >= 0, got -1"),
        ("correlation", (1.0, 1.1), "k must satisfy |k| <= s = 1.0, got 1.1"),
        ("correlation", (1.0, math.nan), "k must be finite, got nan"),
        ("slope_correlation", (1.0, -2.0), "k must satisfy |k| <= s = 1.0, got -2.0"),
        ("decorrelation", (1.0, 2.1), "gap must be in [0, 2 s] with s = 1.0, got 2.1"),
        ("slope_correlation_gap", (1.0, -1e-9), "gap must be in [0, 2 s] with s = 1.0, got -1e-09"),
        ("conditional", (math.inf, 1.0), "m must be finite, got inf"),
        ("conditional", (0.0, -0.5), "v must be a finite variance >= 0, got -0.5"),
        ("conditional_log_slope", (0.0, -0.5), "v must be"),
        ("entropy_powers", (0.0, -0.5), "v must be"),
    ],
)
def test_bad_arguments_are_named_with_their_value(moment, arguments, message):
    with pytest.raises(ValueError, match="must") as caught:
        getattr(activations.get("tanh"), moment)(*arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["tanh", "relu", "elu", "sin", "sigmoid"])
def test_arrays_broadcast_and_scalars_stay_scalars(name):
    phi = activations.get(name)
    s, k = np.array([[0.5], [2.0]]), np.array([0.0, 0.2, -0.5])
    assert phi.correlation(s, k).shape == (2, 3)
    assert phi.correlation(2.0, 0.2) == phi.correlation(s, k)[1, 1]
    assert np.ndim(phi.second_moment(1.0)) == 0
    assert phi.second_moment([]).shape == (0,)
    assert phi.decorrelation(np.ones((0, 2)), 0.5).shape == (0, 2)
    both = phi.conditional(k, s)
    assert both.mean.shape == both.residual.shape == (2, 3)
    mean, variance, kappa = phi.conditional(0.2, 2.0)
    assert (mean, variance, kappa) == (both.mean[1, 1], both.variance[1, 1], both.kappa[1, 1])
    value, error = phi.with_error("correlation", s, k)
    assert value.shape == error.shape == (2, 3)
    assert phi.entropy_powers(k, s)[0].shape[:2] == (2, 3)
    whole = np.array([1, 2])
    np.testing.assert_array_equal(phi.second_moment(whole), phi.second_moment(whole.astype(float)))


@pytest.mark.thorough
@pytest.mark.parametrize("name", chosen(ALL))
def test_limits_are_finite(name):
    phi = activations.get(name)
    s = np.array([0.0, 1e-300, 1e-30, 1e-12, 1.0, 1e6, 1e12])[:, None]
    gap = np.minimum(s * np.array([0.0, 1e-40, 1e-16, 0.5, 1.0, 1.5, 2.0]), 2.0 * s)
    for moment, arguments in (
        ("second_moment", (s,)),
        ("second_moment_slope", (s,)),
        ("correlation", (s, s - gap)),
        ("decorrelation", (s, gap)),
    ):
        assert np.all(np.isfinite(getattr(phi, moment)(*arguments))), moment
    assert np.all(phi.decorrelation(s, gap) >= 0.0)
    assert np.all(phi.decorrelation(s[:, 0], 0.0) == 0.0)
    assert phi.second_moment(0.0) == pytest.approx(float(phi(0.0)) ** 2, rel=1e-14, abs=1e-30)
    if phi.differentiable:
        assert np.all(np.isfinite(phi.slope_correlation_gap(s, gap)))
        assert phi.slope_moment(0.0) == pytest.approx(phi.slope_at_zero_squared, rel=1e-12)
    m, v = np.array([-1e3, -1.0, 0.0, 0.5, 40.0]), np.array([0.0, 1e-300, 1e-20, 1.0, 1e6])[:, None]
    given_m = phi.conditional(m, v)
    for part in (given_m.mean, given_m.variance, given_m.residual):
        assert np.all(np.isfinite(part))
    np.testing.assert_array_equal(given_m.variance[0], 0.0 * m)
    assert not np.any(np.isnan(phi.conditional_log_slope(m, v)))


def test_step_has_no_derivative_moments():
    phi = activations.get("sign")
    assert np.isnan(phi.slope_moment(1.0))
    assert np.isnan(phi.slope_at_zero_squared)
    assert phi.log_slope(1.0) == -math.inf
    assert phi.slope_correlation(1.0, 1.0) == math.inf
    assert phi.slope_correlation(2.0, 1.0) == pytest.approx(2.0 / (math.pi * math.sqrt(3.0)))


def test_importing_activations_stays_light():
    heavy = "scipy.stats", "scipy.optimize", "scipy.interpolate", "pandas"
    code = f"import sys, mfmi.activations; print([m for m in {heavy} if m in sys.modules])"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]"


@pytest.mark.parametrize("formula", ["sin(5*x)", "sin(5*x)*exp(-x^2)", "sin(2*x)(3)", "relu(x)+cos(x)"])
def test_a_formula_is_refused_with_the_way_to_give_a_function(formula):
    with pytest.raises(ValueError, match="module:function"):
        activations.get(formula)
