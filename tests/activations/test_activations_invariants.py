"""Laws that the moments of every activation obey, wherever they are asked for."""

import math

import numpy as np
import pytest
from activation_choice import chosen
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mfmi import activations
from mfmi.activations import Activation
from mfmi.quadrature import gaussian

NAMES = (*activations.names(), "leaky_relu(0.3)", "elu(alpha=0.5)")
CONTINUOUS = tuple(name for name in NAMES if activations.get(name).differentiable)
WITH_PARITY = tuple(name for name in NAMES if activations.get(name).odd or activations.get(name).even)
SCALE_FREE = ("relu", "leaky_relu", "leaky_relu(0.3)", "abs", "linear")

variances = st.floats(-6.0, 4.0).map(lambda exponent: 10.0**exponent)
common_variances = st.floats(-3.0, 2.0).map(lambda exponent: 10.0**exponent)
correlations = st.floats(-1.0, 1.0)
means = st.floats(-6.0, 6.0)


def few(examples):
    """Tables are built inside the first example, so that there is no deadline."""
    return settings(max_examples=examples, deadline=None, derandomize=True)


def every(names):
    return pytest.mark.parametrize("phi", chosen(names, activations.get))


@every(NAMES)
@few(15)
@given(s=variances)
def test_second_moment_slope_is_the_derivative(phi, s):
    power, slope = phi.second_moment(s), phi.second_moment_slope(s)
    # A stencil that follows V where it falls by powers of e, as in the tail of an activation that is flat around 0.
    h = 1e-3 / max(1.0, s * abs(slope) / power if power > 0.0 else 1.0)
    stencil = phi.second_moment(s * (1.0 + h * np.array([-2.0, -1.0, 1.0, 2.0])))
    derivative = (stencil[0] - 8.0 * stencil[1] + 8.0 * stencil[2] - stencil[3]) / (12.0 * h)
    assert s * slope == pytest.approx(derivative, rel=1e-8, abs=1e-9 * power)


@pytest.mark.thorough
@every(NAMES)
@few(15)
@given(s=variances, c=correlations)
def test_correlation_is_bounded_by_cauchy_and_schwarz(phi, s, c):
    power = phi.second_moment(s)
    assert abs(phi.correlation(s, c * s)) <= power * (1.0 + 1e-11)
    assert phi.correlation(s, s) == pytest.approx(power, rel=1e-10)


@pytest.mark.thorough
@every(NAMES)
@few(15)
@given(s=common_variances, c=correlations)
def test_correlation_and_decorrelation_add_up(phi, s, c):
    gap = s * (1.0 - c)
    total = phi.correlation(s, s - gap) + phi.decorrelation(s, gap)
    assert total == pytest.approx(phi.second_moment(s), rel=1e-10)


@pytest.mark.thorough
@every(NAMES)
@few(15)
@given(s=common_variances, c=st.tuples(correlations, correlations))
def test_correlation_grows_for_positive_covariance(phi, s, c):
    """K is a power series in c with coefficients >= 0: grows for c >= 0, for odd phi everywhere, and K(-c) <= K(c)."""
    low, high = sorted(c)
    slack = 1e-10 * phi.second_moment(s)
    if low >= 0.0 or phi.odd:
        assert phi.correlation(s, low * s) <= phi.correlation(s, high * s) + slack
    assert abs(phi.correlation(s, -abs(low) * s)) <= phi.correlation(s, abs(low) * s) + slack


@every(WITH_PARITY)
@few(15)
@given(s=common_variances, c=correlations)
def test_parity(phi, s, c):
    sign = -1.0 if phi.odd else 1.0
    mirror = sign * phi.correlation(s, -c * s)
    assert phi.correlation(s, c * s) == pytest.approx(mirror, rel=1e-10, abs=1e-12 * phi.second_moment(s))


@pytest.mark.parametrize("name", NAMES)
def test_an_activation_has_the_parity_it_says(name):
    u = np.linspace(0.1, 9.0, 50)
    phi = activations.get(name)
    right, left = phi(u), phi(-u)
    assert phi.odd == np.allclose(left, -right, rtol=1e-15, atol=0.0)
    assert phi.even == np.allclose(left, right, rtol=1e-15, atol=0.0)


@every(CONTINUOUS)
@few(15)
@given(s=common_variances, c=st.floats(-0.99, 0.99))
def test_slope_correlation_is_the_derivative_of_the_correlation(phi, s, c):
    """Price's theorem."""
    h = 1e-3
    stencil = phi.correlation(s, s * (c + h * np.array([-2.0, -1.0, 1.0, 2.0])))
    derivative = (stencil[0] - 8.0 * stencil[1] + 8.0 * stencil[2] - stencil[3]) / (12.0 * h * s)
    exact = phi.slope_correlation(s, c * s)
    assert derivative == pytest.approx(exact, rel=1e-5, abs=1e-6 * phi.slope_moment(s))


@pytest.mark.thorough
@every(CONTINUOUS)
@few(10)
@given(s=variances, exponent=st.floats(-40.0, -9.0))
def test_decorrelation_is_linear_in_small_gaps(phi, s, exponent):
    gap = s * 10.0**exponent
    # Kinks add a term in the root of the gap, and saturation makes every length shorter by sqrt(s).
    slack = 10.0 * math.sqrt(10.0**exponent) * max(1.0, s)
    assert phi.decorrelation(s, gap) == pytest.approx(gap * phi.slope_moment(s), rel=1e-9 + slack)


@every(SCALE_FREE)
@few(15)
@given(s=variances, t=variances, c=correlations)
def test_scale_laws(phi, s, t, c):
    assert phi.homogeneous
    assert phi.second_moment(t * s) == pytest.approx(t * phi.second_moment(s), rel=1e-13)
    assert phi.correlation(t * s, t * c * s) == pytest.approx(
        t * phi.correlation(s, c * s), rel=1e-11, abs=1e-12 * t * s
    )
    assert phi.decorrelation(t * s, t * s * (1 - c)) == pytest.approx(t * phi.decorrelation(s, s * (1 - c)), rel=1e-11)
    assert phi.slope_moment(s) == phi.slope_moment(t)


@every(NAMES)
@few(10)
@given(a=common_variances, v=common_variances)
def test_total_variance(phi, a, v):
    """E of the conditional second moment over the neuron's offset is the second moment of the whole."""
    m, w = gaussian.offset_rule([a], np.sqrt([v]), phi.kinks, phi.pole, period=phi.period)
    given_m = phi.conditional(m, v)
    total = (w * (given_m.variance + given_m.mean**2)).sum()
    # What is 0 around 0 may see nothing but the tails, which a rule cuts off.
    assert total == pytest.approx(phi.second_moment(a + v), rel=1e-9, abs=1e-14 * (a + v))
    assert (w * given_m.mean**2).sum() == pytest.approx(
        phi.correlation(a + v, a), rel=1e-9, abs=1e-10 * total + 1e-14 * a
    )
    if phi.differentiable:
        assert (w * given_m.kappa**2).sum() == pytest.approx(phi.slope_correlation(a + v, a), rel=1e-8)


@every(NAMES)
@few(15)
@given(m=means, v=variances)
def test_conditional_moments_fit_together(phi, m, v):
    given_m = phi.conditional(m, v)
    mean, variance, kappa = given_m
    assert given_m.residual >= 0.0
    assert variance == pytest.approx(kappa**2 * v + given_m.residual, rel=1e-12)
    if math.isfinite(phi.lipschitz):
        assert abs(kappa) <= phi.lipschitz * (1.0 + 1e-12)
        assert variance <= phi.lipschitz**2 * v * (1.0 + 1e-12)
    if phi.odd or phi.even:
        mirror = phi.conditional(-m, v)
        sign = -1.0 if phi.odd else 1.0
        assert mirror.mean == pytest.approx(sign * mean, rel=1e-9, abs=1e-12)
        assert mirror.residual == pytest.approx(given_m.residual, rel=1e-6, abs=1e-12 * variance)


@every(NAMES)
@few(10)
@given(m=means, v=st.floats(-4.0, 2.0).map(lambda exponent: 10.0**exponent))
def test_kappa_is_the_slope_of_the_conditional_mean(phi, m, v):
    h = 1e-3 * math.sqrt(v)
    assume(not phi.kinks or any(abs(m - kink) < 10.0 * math.sqrt(v) for kink in phi.kinks))
    stencil = phi.conditional(m + h * np.array([-2.0, -1.0, 1.0, 2.0]), v).mean
    derivative = (stencil[0] - 8.0 * stencil[1] + 8.0 * stencil[2] - stencil[3]) / (12.0 * h)
    noise = 1e-13 * max(1.0, abs(float(phi.conditional(m, v).mean))) / h
    assert phi.conditional(m, v).kappa == pytest.approx(derivative, rel=1e-8, abs=1e-9 + noise)


@every(NAMES)
@few(10)
@given(m=means, v=common_variances)
def test_entropy_powers_bound_the_conditional_variance(phi, m, v):
    """A piece's entropy power is at most its variance, so sum p N <= Var(phi) for pieces with disjoint images."""
    p, power = phi.entropy_powers(m, v)
    assert p.shape == power.shape
    if p.size:
        assert np.all((p >= 0.0) & (p <= 1.0 + 1e-12))
        assert p.sum() <= 1.0 + 1e-12
        assert np.all(power >= 0.0)
        assert (p * power).sum() <= phi.conditional(m, v).variance * (1.0 + 1e-9)
    if phi.strictly_monotone:
        assert power[0] == pytest.approx(v * math.exp(2.0 * phi.conditional_log_slope(m, v)), rel=1e-9)
        assert p[0] == pytest.approx(1.0, rel=1e-12)


@every(CONTINUOUS)
@few(10)
@given(s=common_variances)
def test_log_slope_obeys_jensen(phi, s):
    assert phi.log_slope(s) <= math.log(phi.slope_moment(s)) + 1e-11
    if phi.strictly_monotone:
        assert phi.log_slope(s) == pytest.approx(2.0 * phi.conditional_log_slope(0.0, s), rel=1e-9, abs=1e-12)


@every(("relu", "leaky_relu", "erf", "hard_tanh", "gelu", "abs", "elu", "selu"))
def test_closed_forms_agree_with_quadrature(phi):
    s = 10.0 ** np.arange(-12.0, 6.5, 1.5)
    for moment, arguments in (
        ("second_moment", ()),
        ("second_moment_slope", ()),
        ("slope_moment", (1.0,)),
        ("slope_moment", (2.0,)),
    ):
        by_quadrature = getattr(Activation, f"_{moment}")(phi, s, *arguments, refine=1.5)
        np.testing.assert_allclose(getattr(phi, moment)(s, *arguments), by_quadrature, rtol=1e-12, err_msg=moment)
    s = np.repeat([1e-3, 1.0, 40.0], 4)
    gap = s * np.tile([1e-6, 0.1, 0.8, 1.7], 3)
    m, v = np.repeat([-3.0, -0.2, 0.0, 1.1], 3), np.tile([1e-4, 0.6, 30.0], 4)
    for moment, arguments in (
        ("decorrelation", (s, gap)),
        ("slope_correlation_gap", (s, gap)),
        ("correlation", (s, s - gap)),
        *((("conditional_log_slope", (m, v)),) if phi.strictly_monotone else ()),
    ):
        by_quadrature = getattr(Activation, f"_{moment}")(phi, *arguments, refine=1.5)
        np.testing.assert_allclose(
            getattr(phi, moment)(*arguments), by_quadrature, rtol=1e-10, atol=1e-12, err_msg=moment
        )
    found, by_quadrature = phi.conditional(m, v), Activation._conditional(phi, m, v, 1.5)
    for part, other in zip((found.mean, found.variance, found.kappa, found.residual), by_quadrature, strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-9, atol=1e-12)


def test_sign_in_a_gaussian_average():
    """The step's moments from a rule that knows its jump."""
    phi = activations.get("sign")
    m, v = np.array([0.4, -1.0]), np.array([0.3, 2.0])
    x, w = gaussian.offset_rule(v, 0.0, phi.kinks - m[:, None])
    mean = (w * phi(m[:, None] + x)).sum(axis=1)
    found = phi.conditional(m, v)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-11)
    np.testing.assert_allclose(found.kappa, (w * phi(m[:, None] + x) * x).sum(axis=1) / v, rtol=1e-11)
    np.testing.assert_allclose(found.variance, 1.0 - mean**2, rtol=1e-11)
