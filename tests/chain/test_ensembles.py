"""Weight ensembles against the general law of a spectrum (theory (12)) and against finite matrices."""

import numpy as np
import pytest
from scipy.optimize import brentq

from mfmi.chain.ensembles import Gaussian, Orthogonal, ensemble_of

ENSEMBLES = {"gaussian": Gaussian, "orthogonal": Orthogonal}


def spectrum_maps(eigenvalues, alpha, e, r):
    """V from E and r by theory (12), for eigenvalues of W^T W with zeros included."""
    theta = r * e / alpha

    def mismatch(x):
        return np.mean(1.0 / (eigenvalues * x + (1 - theta) * (1 - alpha * theta))) - 1.0 / (1.0 - theta)

    x = brentq(mismatch, 1e-12, 1e6, xtol=1e-15, rtol=1e-14)
    return theta * e / x, x / e


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 2.0, 4.0])
def test_orthogonal_maps_solve_the_spectrum_equations(alpha):
    sigma_w2, e, r = 1.7, 0.6, 0.3
    columns = 400
    rows = round(alpha * columns)
    eigenvalues = np.where(np.arange(columns) < min(rows, columns), sigma_w2 * max(1.0, alpha), 0.0)
    v, a = spectrum_maps(eigenvalues, alpha, e, r)
    ensemble = Orthogonal(np.full((1, 1), sigma_w2), np.array([alpha]))
    one = np.ones((1, 1))
    assert np.exp(ensemble.variance(e * one, (1 - r * e) * one).log[0, 0]) == pytest.approx(v, rel=1e-10)
    assert np.exp(ensemble.precision(a * one, v * one, (1 - a * v) * one).log[0, 0]) == pytest.approx(r, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 2.0, 4.0])
def test_the_bracket_of_rotations_is_that_of_their_spectrum(alpha):
    sigma_w2, e, r = 1.7, 0.6, 0.3
    columns = 400
    eigenvalues = np.where(np.arange(columns) < min(alpha, 1.0) * columns, sigma_w2 * max(1.0, alpha), 0.0)
    v, a = spectrum_maps(eigenvalues, alpha, e, r)
    theta = a * v
    inside = np.mean(np.log(eigenvalues * a * e + (1 - theta) * (1 - alpha * theta)))
    f = 2 * alpha * theta + (alpha - 1) * np.log(1 - theta) + inside  # theory (12)
    ensemble, one = Orthogonal(np.full((1, 1), sigma_w2), np.array([alpha])), np.ones((1, 1))
    found = ensemble.bracket(r * one, e * one, a * one, v * one, (1 - a * v) * one)[0, 0]
    assert found == pytest.approx(r * e + alpha * a * v - f, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.25, 1.0, 4.0])
def test_the_stationary_bracket_is_off_by_squares(alpha):
    """At a solution it is the bracket; beside one its differential is `r dE + E dr + alpha (A dV + V dA) - dF`."""
    sigma_w2, e, r = 1.7, 0.6, 0.3
    eigenvalues = np.where(np.arange(400) < min(alpha, 1.0) * 400, sigma_w2 * max(1.0, alpha), 0.0)
    v, a = spectrum_maps(eigenvalues, alpha, e, r)
    ensemble, one = Orthogonal(np.full((1, 1), sigma_w2), np.array([alpha])), np.ones((1, 1))

    def bracket(r, e, a, v):
        return ensemble.stationary_bracket(r * one, e * one, a * one, v * one, (1 - a * v) * one)[0, 0]

    assert bracket(r, e, a, v) == pytest.approx(
        ensemble.bracket(r * one, e * one, a * one, v * one, (1 - a * v) * one)[0, 0], rel=1e-9
    )
    # dF = F' (A dE + E dA) with r = F' A and alpha V = F' E: nothing is left of dE and dA, and theta is stationary.
    for step in (1e-4, 1e-5):
        assert bracket(r, e * (1 + step), a, v) == pytest.approx(bracket(r, e, a, v), abs=30 * step**2)
        assert bracket(r, e, a * (1 + step), v) == pytest.approx(bracket(r, e, a, v), abs=30 * step**2)
        moved = bracket(r, e, a, v * (1 + step)) - bracket(r, e, a, v)
        assert moved == pytest.approx(alpha * a * v * step, abs=30 * step**2)


@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_derivatives_of_the_maps(ensemble, alpha):
    weights = ENSEMBLES[ensemble](np.full((1, 1), 1.3), np.array([alpha]))
    message, conjugate = np.array([[0.4]]), np.array([[0.8]])

    def forward(shift_e, shift_r):
        e, r = message * np.exp(shift_e), conjugate * np.exp(shift_r)
        return weights.variance(e, 1.0 - r * e)

    def backward(shift_a, shift_v):
        a, v = message * np.exp(shift_a), conjugate * np.exp(shift_v)
        return weights.precision(a, v, 1.0 - a * v)

    h = 1e-5
    for law in (forward, backward):
        here = law(0.0, 0.0)
        by_message = (law(h, 0.0).log - law(-h, 0.0).log) / (2 * h)
        by_conjugate = (law(0.0, h).log - law(0.0, -h).log) / (2 * h)
        np.testing.assert_allclose(here.by_message, by_message, rtol=1e-8)
        np.testing.assert_allclose(np.broadcast_to(here.by_conjugate, (1, 1)), by_conjugate, rtol=1e-8, atol=1e-10)


def test_a_bound_that_calls_for_no_precision_has_no_bracket():
    """A closed bound can fall with the variance; its minimum then lies where r = 0 and V is that of the prior."""
    ensemble, one = Orthogonal(np.full((1, 1), 1.7), np.array([1.0])), np.ones((1, 1))
    v, a = 1.7 * 0.6 * one, -0.2 * one
    assert np.exp(ensemble.precision(a, v, 1.0 - a * v).log[0, 0]) < 1e-29
    assert ensemble.bracket(0.0 * one, 0.6 * one, a, v, 1.0 - a * v)[0, 0] == 0.0


def test_each_layer_of_mixed_matrices_is_its_own_kind():
    w2, alpha, e = np.full((2, 1), 1.3), np.array([0.5, 2.0, 1.0]), np.array([[0.4, 0.3, 0.2], [0.1, 0.5, 0.6]])
    mixed = ensemble_of(w2, alpha, np.array([True, False, True]))
    kinds = Orthogonal(w2, alpha), Gaussian(w2, alpha), Orthogonal(w2, alpha)
    for i, kind in enumerate(kinds):
        for name, arguments in (("variance", (e, 1.0 - e)), ("precision", (e, e, 1.0 - e))):
            for found, expected in zip(getattr(mixed, name)(*arguments), getattr(kind, name)(*arguments), strict=True):
                np.testing.assert_array_equal(found[:, i], np.broadcast_to(expected, e.shape)[:, i])
        np.testing.assert_array_equal(mixed.bracket(*(e,) * 5)[:, i], kind.bracket(*(e,) * 5)[:, i])
        np.testing.assert_array_equal(mixed.log_volume()[:, i], kind.log_volume()[:, i])
        assert type(mixed.take(slice(None), slice(i, i + 1))) is type(kind)


def test_part_keeps_the_layers_apart():
    per_layer = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    part = Orthogonal(per_layer, np.array([1.0, 0.5, 2.0])).take(np.array([1]), slice(1, 3))
    np.testing.assert_array_equal(part.sigma_w2, [[5.0, 6.0]])
    np.testing.assert_array_equal(part.alpha, [0.5, 2.0])
