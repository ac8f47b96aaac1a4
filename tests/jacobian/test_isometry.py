"""Jacobian moments (theory (21)), distance from isometry and the weights nearest to it."""

from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mfmi
from mfmi.jacobian import distance_from_isometry, isometric_weights, jacobian_moments, jacobian_spectrum
from mfmi.meanfield import trajectory
from mfmi.simulate import NetworkLaw


def moments(name, sigma_w2, sigma_b2, sigma_h2, depth, weights, input_variance=1.0):
    phi = mfmi.activation(name)
    path = trajectory(phi, sigma_w2, sigma_b2, sigma_h2, input_variance, 0.5, depth)
    return jacobian_moments(phi, path, sigma_w2, weights)


def random_matrix(rng, n, sigma_w2, weights):
    matrix = rng.normal(size=(n, n))
    return matrix * sqrt(sigma_w2 / n) if weights == "gaussian" else np.linalg.qr(matrix)[0] * sqrt(sigma_w2)


def finite_jacobian(rng, phi, n, depth, sigma_w2, sigma_b2, sigma_h2, weights):
    """Draw a network and an input, and return the Jacobian of the last pre-activation."""
    matrix = random_matrix(rng, n, sigma_w2, weights)
    y, jacobian = matrix @ rng.normal(size=n) + rng.normal(size=n) * sqrt(sigma_b2), matrix
    for _ in range(depth - 1):
        t = y + rng.normal(size=n) * sqrt(sigma_h2)
        matrix = random_matrix(rng, n, sigma_w2, weights)
        jacobian = matrix @ (phi.derivative(t)[:, None] * jacobian)
        y = matrix @ phi(t) + rng.normal(size=n) * sqrt(sigma_b2)
    return jacobian


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(
    ("name", "sigma_b2", "sigma_h2"), [("tanh", 0.1, 0.0), ("relu", 0.0, 0.05), ("silu", 0.3, 0.2)]
)
def test_moments_are_those_of_finite_networks(name, sigma_b2, sigma_h2, weights):
    rng, phi = np.random.default_rng(3), mfmi.activation(name)
    mean, variance = moments(name, 1.7, sigma_b2, sigma_h2, 4, weights)
    first, second = [], []
    for _ in range(6):
        jacobian = finite_jacobian(rng, phi, 500, 4, 1.7, sigma_b2, sigma_h2, weights)
        gram = jacobian @ jacobian.T
        first.append(np.trace(gram) / 500)
        second.append(np.sum(gram**2) / 500)
    for values, expected in ((first, mean[0, 3]), (second, variance[0, 3] + mean[0, 3] ** 2)):
        scatter = np.std(values) / sqrt(5) + 0.01 * expected  # the second term for effects of order 1/n
        assert np.mean(values) == pytest.approx(expected, abs=3.0 * scatter)


def test_by_hand():
    """Rectified layers halve the mean and add 1 a layer to the relative variance; a Gaussian matrix adds 1 each."""
    mean, variance = moments("relu", [1.0, 1.6], 0.0, 0.0, 3, ["gaussian", "orthogonal"])
    assert mean == pytest.approx(np.array([[1.0, 0.5, 0.25], [1.6, 1.28, 1.024]]))
    assert variance / mean**2 == pytest.approx(np.array([[1.0, 3.0, 5.0], [0.0, 1.0, 2.0]]))


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_moments_of_layers_of_unequal_widths(weights):
    """Against finite networks that narrow, widen and narrow again; a wrong alpha is off by tens of percents."""
    widths, sigma_w2, sigma_b2 = (400, 200, 600, 300), 1.4, 0.2
    phi, rng = mfmi.activation("tanh"), np.random.default_rng(8)
    path = trajectory(phi, sigma_w2, sigma_b2, 0.0, 1.0, 0.5, 3)
    alpha = np.array(widths[1:]) / widths[:-1]
    mean, variance = jacobian_moments(phi, path, sigma_w2, weights, alpha)
    law = NetworkLaw(phi, widths, sqrt(sigma_w2), sqrt(sigma_b2), weights=weights)
    samples = []
    for _ in range(6):
        network = law.draw(rng)
        y, jacobian = rng.normal(size=widths[0]), np.eye(widths[0])
        moments = []
        for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            slope = phi.derivative(y)[:, None] if layer else 1.0
            y, jacobian = weight @ (phi(y) if layer else y) + bias, weight @ (slope * jacobian)
            gram = jacobian @ jacobian.T
            moments.append([np.trace(gram) / len(gram), np.sum(gram**2) / len(gram)])
        samples.append(moments)
    found, scatter = np.mean(samples, axis=0), np.std(samples, axis=0) / sqrt(5)
    expected = np.stack([mean[0], variance[0] + mean[0] ** 2], axis=1)
    assert (np.abs(found - expected) < 3.0 * (scatter + 0.01 * expected)).all()


def test_mean_is_a_product_of_slopes():
    phi = mfmi.activation("tanh")
    path = trajectory(phi, 1.5, 0.2, 0.1, 2.0, 0.5, 6)
    mean, _ = jacobian_moments(phi, path, 1.5, "gaussian")
    assert mean[0] == pytest.approx(1.5 * np.concatenate([[1.0], np.cumprod(path.chi[0, :5])]), rel=1e-13)


def test_no_derivative_no_moments():
    mean, variance = moments("sign", 1.0, 0.0, 0.0, 3, "gaussian")
    assert mean[0, 0] == 1.0
    assert variance[0, 0] == 1.0
    assert np.isnan(mean[0, 1:]).all()
    assert np.isnan(variance[0, 1:]).all()


@given(sigma_w2=st.floats(0.1, 4.0), sigma_b2=st.floats(0.0, 2.0))
@settings(max_examples=20, deadline=None)
def test_orthogonal_weights_are_nearer_to_isometry(sigma_w2, sigma_b2):
    mean, variance = moments("tanh", sigma_w2, sigma_b2, 0.0, 5, "gaussian")
    mean_orthogonal, variance_orthogonal = moments("tanh", sigma_w2, sigma_b2, 0.0, 5, "orthogonal")
    assert mean == pytest.approx(mean_orthogonal)
    distance = distance_from_isometry(mean, variance)
    assert (distance_from_isometry(mean_orthogonal, variance_orthogonal) < distance).all()


def test_distance():
    assert distance_from_isometry([1.0, 4.0], [0.0, 16.0]) == pytest.approx([0.0, 5.0])


@pytest.mark.parametrize("depth", [1, 3, 10])
def test_isometric_weights_in_closed_form(depth):
    """The linear network at 1; the rectified one where sigma_w^2 (sigma_w^2 / 2)^(L - 1) = 1."""
    for weights, extra in (("gaussian", depth), ("orthogonal", 0)):
        linear = isometric_weights(mfmi.activation("linear"), sigma_b2=0.3, depth=depth, weights=weights)
        assert linear.sigma_w == pytest.approx([1.0], abs=1e-12)
        assert linear.variance == pytest.approx([extra], abs=1e-10)
        relu = isometric_weights(mfmi.activation("relu"), sigma_b2=0.3, depth=depth, weights=weights)
        assert relu.sigma_w == pytest.approx([2.0 ** ((depth - 1) / (2 * depth))], rel=1e-12)
        assert relu.variance == pytest.approx([depth - 1 + extra], rel=1e-10)


@pytest.mark.parametrize("name", ["tanh", "silu", "sin"])
def test_isometric_weights_have_mean_one(name):
    found = isometric_weights(
        mfmi.activation(name), sigma_b2=0.2, sigma_h2=0.1, input_variance=2.0, depth=6, weights="gaussian"
    )
    assert found.sigma_w.size >= 1
    assert found.best in found.sigma_w
    for sigma_w, expected in zip(found.sigma_w, found.variance, strict=True):
        mean, variance = moments(name, sigma_w**2, 0.2, 0.1, 6, "gaussian", 2.0)
        assert mean[0, -1] == pytest.approx(1.0, rel=1e-9)
        assert variance[0, -1] == pytest.approx(expected, rel=1e-8)
        assert expected >= found.variance[found.sigma_w == found.best][0]


def test_a_step_is_never_isometric():
    found = isometric_weights(mfmi.activation("sign"), sigma_b2=0.0, depth=3, weights="orthogonal")
    assert found.sigma_w.size == 0
    assert np.isnan(found.best)


def test_fuss_catalan_moments():
    """The product of L square Gaussian matrices: binom((L + 1) k, k) / (L k + 1)."""
    phi = mfmi.activation("linear")
    for depth in (1, 2, 5):
        found = jacobian_spectrum(phi, [1.0] * (depth - 1), 1.0, "gaussian")
        exact = [comb((depth + 1) * k, k) / (depth * k + 1) for k in range(7)]
        assert [found.moment(k) for k in range(7)] == pytest.approx(exact, rel=1e-9)
        assert found.edges[0][0] == 0.0
        assert found.edges[0][1] == pytest.approx((depth + 1) ** (depth + 1) / depth**depth, rel=1e-9)
        assert found.condition_number == np.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda phi: jacobian_spectrum(phi, [1.0], 0.0, "gaussian"), "sigma_w2"),
        (lambda phi: jacobian_spectrum(phi, [1.0], 1.0, "uniform"), "weights"),
        (lambda phi: jacobian_spectrum(phi, [-1.0], 1.0, "gaussian"), "s must"),
        (lambda phi: jacobian_spectrum(mfmi.activation("sign"), [1.0], 1.0, "gaussian"), "derivative"),
        (lambda phi: jacobian_moments(phi, trajectory(phi, 1.0, 0.0, 0.0, 1.0, 0.0, 2), 1.0, "uniform"), "weights"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(mfmi.activation("tanh"))


def test_a_constant_lets_nothing_pass():
    rows = mfmi.isometry(np.ones_like, 1.2, 0.1, depth=3)
    assert rows.jacobian_mean.tolist() == [pytest.approx(1.44), 0.0, 0.0]
    assert (rows.zero_mass[2], rows.spectrum_upper[2], rows.condition_number[2]) == (1.0, 0.0, np.inf)
    assert (rows.status == "ok").all()


def test_rows_beyond_the_variances_of_a_function_say_so():
    # E exp'^2 = exp(2 s), known up to a variance of 1: layer 2 of these weights has it, layer 3 has not.
    rows = mfmi.isometry(np.exp, 0.9, 0.0, depth=3)
    assert rows.jacobian_mean[1] == pytest.approx(0.81**2 * np.exp(2.0 * 0.81), rel=1e-9)
    assert rows.status.tolist() == ["ok", "ok", "failed"]
    assert "cannot be resolved at variances above" in rows.message[2]
    # sigma_w^4 exp(2 sigma_w^2) = 1 has its root where sigma_w^2 exp(sigma_w^2) = 1.
    assert rows.isometric_sigma_w[1] ** 2 == pytest.approx(0.5671432904097838, rel=1e-9)
