"""Hermite coefficients of activations at an offset."""

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.activations._hermite import coefficients, polynomials
from mfmi.quadrature.normal import interval_probability

OFFSET, VARIANCE = (grid.ravel() for grid in np.meshgrid([-2.0, 0.0, 0.7, 5.0], [1e-4, 0.3, 1.0, 9.0, 400.0]))


@pytest.mark.parametrize(
    "name", ["tanh", "relu", "leaky_relu(0.1)", "gelu", "hard_tanh", "elu", "sin", "sign", "linear"]
)
def test_the_first_orders_and_the_power_of_the_others(name: str) -> None:
    phi = get(name)
    found, moments = phi.hermite(OFFSET, VARIANCE, 25), phi.conditional(OFFSET, VARIANCE)
    scale = 1e-9 * (1.0 + np.abs(moments.mean) + np.sqrt(VARIANCE))
    assert np.all(np.abs(found[:, 0] - moments.mean) < scale)
    assert np.all(np.abs(found[:, 1] - moments.kappa * np.sqrt(VARIANCE)) < scale)
    power = np.square(found[:, 2:]).sum(axis=1)
    assert np.all(power <= moments.residual + 10.0 * scale)
    if name in ("tanh", "gelu", "sin"):
        narrow = VARIANCE <= 1.0
        np.testing.assert_allclose(power[narrow], moments.residual[narrow], rtol=2e-3, atol=1e-14)


@pytest.mark.parametrize("name", ["relu", "abs", "leaky_relu(0.1)"])
def test_the_closed_form_of_two_slopes(name: str) -> None:
    phi = get(name)
    near = np.abs(OFFSET) < 4.0 * np.sqrt(VARIANCE)
    m, v = OFFSET[near], VARIANCE[near]
    error = np.abs(phi.hermite(m, v, 25) - coefficients(phi, m, v, 25)) / np.sqrt(v)[:, None]
    assert error.max() < 1e-6
    far = phi.hermite(np.array([-1e5, 1e5]), np.array([1.0, 1.0]), 8)
    assert not far[:, 2:].any()


def test_a_square_of_slopes_is_the_slope_moment() -> None:
    phi, v = get("tanh"), np.array([0.1, 1.0, 20.0])
    found = coefficients(phi, np.zeros(3), v, 64, squared_slope=True)
    np.testing.assert_allclose(found[:, 0], phi.slope_moment(v, 1), rtol=1e-9)
    power = np.square(found[:2]).sum(axis=1)
    np.testing.assert_allclose(power, phi.slope_moment(v[:2], 2), rtol=1e-5)


def test_polynomials_are_orthonormal() -> None:
    z = np.linspace(-12.0, 12.0, 4001)
    weight = np.exp(-0.5 * z * z)
    he = polynomials(z, 12)
    np.testing.assert_allclose((he * (weight / weight.sum())) @ he.T, np.eye(12), atol=1e-10)


def test_probabilities_of_intervals_keep_their_digits_in_both_tails() -> None:
    found = interval_probability(np.array([[-30.0, -29.0, 0.0, 29.0, 30.0]]))
    np.testing.assert_allclose(found, found[:, ::-1], rtol=1e-12)
    assert found[0, 0] > 0.0
    assert found.sum() == pytest.approx(1.0, rel=1e-15)
