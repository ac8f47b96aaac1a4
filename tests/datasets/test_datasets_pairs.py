"""Gaussian pairs of unequal variances against closed forms and another quadrature; their limit in wide chains."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate

import mfmi
from mfmi.datasets import mean_field_distances, pair_covariance, pair_distance, pair_factors

CORRELATIONS = np.array([-1.0, -0.999, -0.6, 0.0, 1e-9, 0.3, 0.9, 1.0 - 1e-6, 1.0])
VARIANCES = [(1.0, 1.0), (0.3, 2.5), (25.0, 0.04), (1e-6, 1.0)]


def relu_covariance(s_i, s_j, c):
    """Arc-cosine kernel of order one (Cho & Saul 2009)."""
    angle = np.arccos(c)
    return np.sqrt(s_i * s_j) / (2.0 * np.pi) * (np.sin(angle) + (np.pi - angle) * c)


def erf_covariance(s_i, s_j, c):
    """Arcsine law (Williams 1997)."""
    return 2.0 / np.pi * np.arcsin(2.0 * c * np.sqrt(s_i * s_j / (1.0 + 2.0 * s_i) / (1.0 + 2.0 * s_j)))


CLOSED = {"relu": relu_covariance, "erf": erf_covariance, "linear": lambda s_i, s_j, c: c * np.sqrt(s_i * s_j)}


def fast(u):
    return np.sin(30.0 * u)


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize(("s_i", "s_j"), VARIANCES)
def test_closed_forms(name, s_i, s_j):
    phi, expected = mfmi.activation(name), CLOSED[name](s_i, s_j, CORRELATIONS)
    scale = np.sqrt(phi.second_moment(s_i) * phi.second_moment(s_j))
    found = pair_covariance(phi, s_i, s_j, CORRELATIONS * np.sqrt(s_i * s_j))
    assert np.abs(found - expected).max() < 1e-10 * scale


@pytest.mark.parametrize("name", ["tanh", "hard_tanh"])
@pytest.mark.parametrize(("s_i", "s_j", "c"), [(1.0, 4.0, 0.5), (0.5, 3.0, -0.8), (2.0, 2.0, 0.97)])
def test_another_quadrature(name, s_i, s_j, c):
    phi = mfmi.activation(name)
    rest = np.sqrt(1.0 - c * c)
    corners = [k / np.sqrt(s) for k in phi.kinks for s in (s_i, s_j)]

    def inner(x):
        breaks = sorted((k / np.sqrt(s_j) - c * x) / rest for k in phi.kinks)
        edges = np.clip([-9.0, *breaks, 9.0], -9.0, 9.0)
        parts = [
            integrate.quad(lambda y: np.exp(-y * y / 2.0) * phi(np.sqrt(s_j) * (c * x + rest * y)), a, b, epsabs=1e-13)[
                0
            ]
            for a, b in pairwise(edges)
            if b > a
        ]
        return float(phi(np.sqrt(s_i) * x)) * np.exp(-x * x / 2.0) * sum(parts) / (2.0 * np.pi)

    expected = integrate.quad(inner, -9.0, 9.0, points=corners or None, epsabs=1e-12, limit=200)[0]
    assert float(pair_covariance(phi, s_i, s_j, c * np.sqrt(s_i * s_j))) == pytest.approx(expected, abs=2e-10)


@pytest.mark.parametrize("name", ["relu", "tanh", "hard_tanh"])
def test_equal_variances_agree_with_the_activation(name):
    phi, gap = mfmi.activation(name), np.array([0.0, 1e-12, 1e-6, 0.1, 1.0, 2.0, 3.9])
    assert pair_distance(phi, 2.0, 2.0, 2.0 * gap) == pytest.approx(2.0 * phi.decorrelation(2.0, gap), rel=1e-7)


@pytest.mark.parametrize(
    ("s_i", "s_j", "k"),
    [(1.0, 1.0, 1.0 - 1e-4), (1.0, 1.0002, 1.0 - 1e-4), (9.0, 9.001, 8.999), (100.0, 100.0, 99.9999)],
)
def test_fast_waves_are_followed_far_from_zero(s_i, s_j, k):
    """Of sin(30 u): E sin sin is half of exp(-r^2 (s_i + s_j - 2 k) / 2) less the same with + 2 k."""
    rate2 = 900.0
    power = [-0.5 * np.expm1(-2.0 * rate2 * s) for s in (s_i, s_j)]
    minus, plus = (np.exp(-0.5 * rate2 * (s_i + s_j + sign * 2.0 * k)) for sign in (-1.0, 1.0))
    found = pair_distance(mfmi.activation(fast), s_i, s_j, s_i + s_j - 2.0 * k)
    assert found == pytest.approx(sum(power) - (minus - plus), rel=1e-10)


def test_distance_is_what_moments_make_of_it():
    phi, s_i, s_j, c = mfmi.activation("tanh"), 0.7, 2.0, np.array([-0.9, 0.2, 0.8])
    k = c * np.sqrt(s_i * s_j)
    expected = phi.second_moment(s_i) + phi.second_moment(s_j) - 2.0 * pair_covariance(phi, s_i, s_j, k)
    assert pair_distance(phi, s_i, s_j, s_i + s_j - 2.0 * k) == pytest.approx(expected, rel=1e-9)


def test_silent_input_is_a_constant():
    phi = mfmi.activation("tanh")
    assert float(pair_distance(phi, 0.0, 2.0, 2.0)) == pytest.approx(float(phi.second_moment(2.0)), rel=1e-11)
    assert float(pair_covariance(phi, 0.0, 0.0, 0.0)) == 0.0


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_wide_chains_have_the_mean_field_distances(name, weights):
    phi = mfmi.activation(name)
    pair = (np.array([1.0, 0.5]), np.array([1.0, 2.0]), np.array([0.1, 1.5]))
    variances = {"sigma_w2": 1.6, "sigma_b2": 0.2}
    found = pair_factors(phi, *pair, **variances, noise_variance=1e3, width=2000, depth=4, weights=weights, chains=40)
    expected = mean_field_distances(phi, *pair, **variances, depth=4)
    assert found.mean == pytest.approx(expected, rel=0.06)
    assert found.mean[:, 0] == pytest.approx(expected[:, 0], rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda phi: pair_covariance(phi, -1.0, 1.0, 0.0), "variances"),
        (lambda phi: pair_covariance(phi, 1.0, 1.0, 1.1), "covariance"),
        (lambda phi: pair_distance(phi, 1.0, 4.0, 0.5), "covariance"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(mfmi.activation("tanh"))
