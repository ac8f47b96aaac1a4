"""Quadrature rules against closed expectations, over many scales."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf, log_ndtr, ndtr

from mfmi.quadrature import gaussian

VARIANCES = 10.0 ** np.arange(-12.0, 6.5, 0.5)

variances = st.floats(-12.0, 6.0).map(lambda exponent: 10.0**exponent)


def expect(f, variance, width=0.0, kinks=(), pole=math.inf, **options):
    x, w = gaussian.offset_rule(variance, width, kinks, pole, **options)
    return np.einsum("ij,ij->i", f(x), w)


def test_weights_add_up_and_variance_is_right_at_every_scale():
    for kinks in ((), (0.0,), (-1.0, 2.0)):
        x, w = gaussian.offset_rule(VARIANCES, 0.0, kinks, 1.0)
        assert x.shape == w.shape == (VARIANCES.size, x.shape[1])
        np.testing.assert_allclose(w.sum(axis=1), 1.0, rtol=1e-14)
        np.testing.assert_allclose((w * x**2).sum(axis=1), VARIANCES, rtol=1e-11)
        assert np.all(w >= 0.0)


def test_no_variance_is_a_point_mass_at_zero():
    for kinks in ((), (0.0,), (1.0,)):
        x, w = gaussian.offset_rule([0.0, 1.0], 0.0, kinks, 1.0)
        assert np.all(x[0] == 0.0)
        assert w[0].sum() == pytest.approx(1.0, rel=1e-14)


def test_an_entire_function_of_known_scale():
    exact = 2.0 / np.pi * np.arcsin(2.0 * VARIANCES / (1.0 + 2.0 * VARIANCES))
    np.testing.assert_allclose(expect(lambda x: erf(x) ** 2, VARIANCES, pole=1.0), exact, rtol=1e-11)


def test_kinks_cost_no_accuracy():
    np.testing.assert_allclose(
        expect(lambda x: np.maximum(x, 0.0), VARIANCES, kinks=(0.0,)), np.sqrt(VARIANCES / (2.0 * np.pi)), rtol=1e-12
    )
    t = 1.0 / np.sqrt(VARIANCES)
    exact = np.sqrt(VARIANCES) * np.exp(-0.5 * t * t) / np.sqrt(2.0 * np.pi) - ndtr(-t)
    found = expect(lambda x: np.maximum(x - 1.0, 0.0), VARIANCES, kinks=(1.0,))
    np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-14)


def test_jumps_cost_no_accuracy():
    found = expect(lambda x: (x > 0.5) * 1.0, VARIANCES, kinks=(0.5,))
    np.testing.assert_allclose(found, ndtr(-0.5 / np.sqrt(VARIANCES)), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("width", [1e-4, 0.1, 3.0])
def test_a_kink_smoothed_by_noise(width):
    """E Phi(m / w)^2 for m ~ N(0, a) is a bivariate normal probability, here through the arcsine law."""
    a = np.array([1e-6, 1e-3, 1.0, 30.0, 1e4])
    exact = 0.25 + np.arctan2(a, width * np.sqrt(2.0 * a + width**2)) / (2.0 * np.pi)
    for tolerance, accuracy in ((1e-12, 1e-11), (1e-8, 1e-8)):
        found = expect(lambda m: ndtr(m / width) ** 2, a, np.full(5, width), (0.0,), tolerance=tolerance)
        np.testing.assert_allclose(found, exact, rtol=accuracy)


def test_a_looser_tolerance_costs_fewer_nodes():
    tight, _ = gaussian.offset_rule([1.0], [0.5], (0.0,), tolerance=1e-12)
    loose, _ = gaussian.offset_rule([1.0], [0.5], (0.0,), tolerance=1e-6)
    assert loose.shape[1] < 0.8 * tight.shape[1]


def test_large_information_logarithms_converge_with_the_tolerance():
    """ln(1 + r Phi(m / w)^2) at r = 1e4 is the hardest integrand the bounds make."""

    def f(m):
        return np.log1p(1e4 * np.exp(2.0 * log_ndtr(m / 0.3)))

    a = np.array([0.01, 1.0, 50.0])
    fine = expect(f, a, np.full(3, 0.3), (0.0,), tolerance=1e-15)
    np.testing.assert_allclose(expect(f, a, np.full(3, 0.3), (0.0,), tolerance=1e-12), fine, rtol=1e-9)
    np.testing.assert_allclose(expect(f, a, np.full(3, 0.3), (0.0,), tolerance=1e-8), fine, rtol=1e-6)


def test_periodic_functions_at_any_variance():
    found = expect(lambda x: np.cos(x) ** 2, VARIANCES, pole=1.5, period=2.0 * np.pi)
    np.testing.assert_allclose(found, 0.5 * (1.0 + np.exp(-2.0 * VARIANCES)), rtol=1e-11)


def test_expectation_matches_the_rule_and_uses_half_of_it_for_even_functions():
    sigma = np.sqrt(VARIANCES)
    whole, half = (
        gaussian.expectation(
            lambda x, rows: np.stack([np.tanh(x) ** 2, x * x]), sigma, 0.0, (), 0.5 * np.pi, outputs=2, even=even
        )
        for even in (False, True)
    )
    np.testing.assert_allclose(half, whole, rtol=1e-13)
    np.testing.assert_allclose(half[1], VARIANCES, rtol=1e-12)


@given(variances, variances)
def test_a_row_does_not_depend_on_its_neighbours(first, second):
    def value(*rows):
        return gaussian.expectation(lambda x, _: np.tanh(x)[None] ** 2, np.sqrt(np.array(rows)), 0.0, (), 0.5 * np.pi)[
            0
        ]

    alone, together = value(first), value(second, first)
    assert alone[0] == together[1]


def test_legendre_rule_on_the_unit_interval():
    x, w = gaussian.legendre_rule(12)
    assert w.sum() == pytest.approx(1.0)
    assert (w * x**22).sum() == pytest.approx(1.0 / 23.0, rel=1e-13)
    assert not x.flags.writeable
