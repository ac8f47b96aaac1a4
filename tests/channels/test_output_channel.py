"""An observed activation: closed forms against the exact channel's limit, and their derivatives."""

import numpy as np
import pytest

from mfmi import activations
from mfmi.channels.exact.channel import exact_channel
from mfmi.channels.exact.table import ExactTable
from mfmi.channels.observed.activation import _by_limit, observation_error, observed_activation
from mfmi.channels.tile_cache import TileCache

V = np.array([0.3, 1e-3, 0.9, 1.0, 0.05, 1e-9])
NOISE = np.array([0.1, 0.01, 1e-4, 1.0, 1e-2, 1e-2])
Q = np.array([1.0, 0.7, 2.0, 1.0, 0.1, 1.0])


@pytest.mark.parametrize("name", ["tanh", "erf", "leaky_relu", "softplus", "elu", "linear"])
def test_a_monotone_activation_hides_nothing(name):
    found = observed_activation(activations.get(name), V, NOISE, Q)
    np.testing.assert_allclose(found.j, 0.5 * np.log1p(V / NOISE), rtol=1e-14)
    np.testing.assert_allclose(found.a, 1.0 / (V + NOISE), rtol=1e-14)
    np.testing.assert_allclose(found.a_v, -1.0 / (V + NOISE) ** 2, rtol=1e-14)
    np.testing.assert_allclose(found.rest, NOISE / (V + NOISE), rtol=1e-14)


@pytest.mark.parametrize(("name", "tolerance"), [("relu", 2e-5), ("hard_tanh", 2e-5), ("sign", 1e-9)])
def test_atoms_hide_what_the_exact_channel_says(name, tolerance):
    """I(z; T) = J(V + noise) - J(noise) of the scalar channel once u is known; atoms wash out like r^(-1/2)."""
    phi = activations.get(name)
    found = observed_activation(phi, V[:5], NOISE[:5], Q[:5])
    after, before = (exact_channel(phi, 1e12, t, (Q + NOISE)[:5]) for t in ((V + NOISE)[:5], NOISE[:5]))
    np.testing.assert_allclose(found.j, after.j - before.j, atol=tolerance, rtol=0.0)
    np.testing.assert_allclose(found.a, after.a, rtol=10 * tolerance)


@pytest.mark.parametrize("name", ["relu", "hard_tanh", "sign"])
def test_derivatives(name):
    phi, h = activations.get(name), 1e-5
    v, noise, q = (a[:3] for a in (V, NOISE, Q))
    found, up, down = (observed_activation(phi, v * f, noise, q) for f in (1.0, 1 + h, 1 - h))
    np.testing.assert_allclose((up.j - down.j) / (h * v), found.a, rtol=1e-8)
    np.testing.assert_allclose((up.a - down.a) / (2 * h * v), found.a_v, rtol=1e-8)
    np.testing.assert_allclose(found.rest, 1.0 - found.a * v, rtol=1e-9)


def test_less_is_seen_of_more_folded_activations():
    """I(z; T) falls from z + eps itself over the rectified to the sign, by data processing."""
    linear, relu, sign = (
        observed_activation(activations.get(name), V, NOISE, Q).j for name in ("linear", "relu", "sign")
    )
    hard = observed_activation(activations.get("hard_tanh"), V, NOISE, Q).j
    assert np.all((linear >= relu) & (relu >= sign) & (sign > 0.0))
    assert np.all((linear >= hard) & (hard >= sign))


def test_nothing_remains_of_nothing():
    found = observed_activation(activations.get("relu"), 0.0, 0.1, 0.5)
    assert found.j == pytest.approx(0.0, abs=1e-15)
    assert observed_activation(activations.get("relu"), 0.0, 0.1, 0.0).j == pytest.approx(0.0, abs=1e-15)


def equivocation(name, variance, total):
    """H(branch | T, offset) in plain sums over z + eps and its offset; the other branch by interpolation."""
    phi, turning = activations.get(name), activations.get(name).pieces[0].upper
    z = np.arange(-8.5, 8.5, 0.01)
    law = np.exp(-0.5 * z * z) * 0.01 / np.sqrt(2.0 * np.pi)
    m = np.sqrt(total - variance) * z[:, None]
    w = m + np.sqrt(variance) * z
    left, right = turning - np.geomspace(1e-9, 60.0, 400_001), turning + np.geomspace(1e-9, 60.0, 400_001)
    value = np.asarray(phi(w))
    other = np.where(w < turning, np.interp(value, phi(right), right), np.interp(value, phi(left), left, right=np.inf))
    exists = (w < turning) | (value < phi(left[-1]))
    other = np.where(exists, other, w + 1e3)
    slopes = np.log(np.abs(phi.derivative(w)) + 1e-300) - np.log(np.abs(phi.derivative(other)) + 1e-300)
    odds = ((other - m) ** 2 - (w - m) ** 2) / (2.0 * variance) - slopes
    return np.sum(law[:, None] * law * np.logaddexp(0.0, -odds))


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["abs", "gelu", "silu"])
def test_what_folds_tells_all_but_the_branch(name):
    """I(z; T) = ln(1 + V/noise)/2 less the information in the branch."""
    for v, noise, q in ((0.4, 0.1, 1.0), (0.3, 0.05, 2.0)):
        found = observed_activation(activations.get(name), v, noise, q)
        lost = equivocation(name, v + noise, q + noise) - equivocation(name, noise, q + noise)
        assert lost > 0.0
        assert found.j == pytest.approx(0.5 * np.log1p(v / noise) - lost, abs=1e-6)


@pytest.mark.parametrize("name", ["abs", "gelu", "silu"])
def test_derivatives_of_what_folds(name):
    phi, h = activations.get(name), 1e-4
    found, up, down = (observed_activation(phi, V[:3] * f, NOISE[:3], Q[:3]) for f in (1.0, 1 + h, 1 - h))
    np.testing.assert_allclose((up.j - down.j) / (h * V[:3]), found.a, rtol=1e-5)
    np.testing.assert_allclose((up.a - down.a) / (2 * h * V[:3]), found.a_v, rtol=1e-6)
    np.testing.assert_allclose(found.rest, 1.0 - found.a * V[:3], rtol=1e-9)
    assert np.all((found.a > 0.0) & (found.a_v < 0.0))
    assert np.all(found.j < 0.5 * np.log1p(V[:3] / NOISE[:3]))


def test_far_out_on_a_fading_branch():
    found = observed_activation(activations.get("gelu"), [50.0, 1e3], [0.1, 0.1], [60.0, 2e3])
    assert np.all(np.isfinite(np.stack(found)))


def entropy_of_the_fold(turning, variance, total):
    """Mean entropy of the distance from the next turning point of a wave, in plain sums over it and the offset."""
    z = np.linspace(-8.5, 8.5, 341)
    law = np.exp(-0.5 * z * z) / np.exp(-0.5 * z * z).sum()
    x = (np.arange(2000) + 0.5) * np.pi / 2000
    density = np.zeros((len(z), len(x)))
    for side in (1.0, -1.0):
        for turn in range(-6, 7):
            gap = turning + side * x + 2.0 * np.pi * turn - np.sqrt(total - variance) * z[:, None]
            density += np.exp(-0.5 * gap * gap / variance) / np.sqrt(2.0 * np.pi * variance)
    return -np.sum(law[:, None] * density * np.log(np.maximum(density, 1e-300))) * np.pi / 2000


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "turning"), [("cos", 0.0), ("sin", 0.5 * np.pi)])
def test_a_wave_tells_the_distance_from_its_turning_point(name, turning):
    for v, noise, q in ((0.4, 0.1, 1.0), (1.5, 0.2, 3.0), (5.0, 0.5, 14.0), (1.0, 0.3, 1.0)):
        found = observed_activation(activations.get(name), v, noise, q)
        whole = [entropy_of_the_fold(turning, t, q + noise) for t in (v + noise, noise)]
        assert found.j == pytest.approx(whole[0] - whole[1], abs=2e-8)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["cos", "sin"])
def test_derivatives_of_a_wave(name):
    phi, h = activations.get(name), 1e-3
    v, noise, q = np.array([0.5, 0.1, 5.0, 1e-3]), np.array([0.1, 0.1, 0.1, 1e-5]), np.array([1.0, 1.0, 6.0, 1.0])
    found, up, down = (observed_activation(phi, v * f, noise, q) for f in (1.0, 1 + h, 1 - h))
    np.testing.assert_allclose((up.j - down.j) / (h * v), found.a, rtol=1e-5)
    np.testing.assert_allclose((up.a - down.a) / (2 * h * v), found.a_v, rtol=1e-4)
    np.testing.assert_allclose(found.rest, 1.0 - found.a * v, rtol=1e-9)
    assert np.all(observation_error(phi, v, noise, q) < 1e-9)


def test_the_error_of_an_observation_covers_a_finer_quadrature():
    for name in ("relu", "hard_tanh", "abs", "gelu", "cos"):
        phi = activations.get(name)
        v, noise, q = V[:3], NOISE[:3], Q[:3]
        finer = observed_activation(phi, v, noise, q, 1.25).j
        off = np.abs(observed_activation(phi, v, noise, q).j - finer)
        assert np.all(off <= observation_error(phi, v, noise, q) + 1e-11)


def test_a_folded_line_is_the_limit_of_the_exact_channel():
    v, noise, q = (np.array([x]) for x in (0.4, 0.1, 1.0))
    limit = _by_limit(ExactTable(activations.get("abs"), TileCache(None)), v, noise, q)
    found = observed_activation(activations.get("abs"), v, noise, q)
    assert found.j == pytest.approx(limit.j, abs=1e-7)
    assert found.a == pytest.approx(limit.a, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "name"), [((-0.1, 0.1, 1.0), "variance"), ((2.0, 0.1, 1.0), "variance"), ((0.5, 0.0, 1.0), "noise")]
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(ValueError, match=rf"^{name} is out of range"):
        observed_activation(activations.get("relu"), *arguments)
