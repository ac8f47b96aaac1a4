"""Scalar channels of a layer: derivatives, tables against direct quadrature, and the order of the bounds."""

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.channels.closed.bounds import EntropyPowerLower, GaussianUpper, LinearLower
from mfmi.channels.closed.table import ChannelTable
from mfmi.channels.layers import Surrogate, Tabulated
from mfmi.channels.sources import FirstLayer, GaussianInput

LOWER = [LinearLower(), EntropyPowerLower()]
CHANNELS = [GaussianUpper(), *LOWER]
ACTIVATIONS = ["tanh", "relu", "hard_tanh", "erf", "leaky_relu(0.1)"]


@pytest.fixture(scope="module")
def tables():
    return {(name, c.name): ChannelTable(get(name), c) for name in ACTIVATIONS for c in CHANNELS}


def settings(n=60, seed=1):
    rng = np.random.default_rng(seed)
    s = 10 ** rng.uniform(0.0, 1.0, n)
    tau = s * rng.uniform(0.0, 1.0, n) ** 3
    return 10 ** rng.uniform(-3.0, 6.0, n) / tau, tau, s


def direct(name, channel, r, tau, s):
    return channel.information(get(name), r[:, None], tau, s)[:, 0]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("channel", CHANNELS, ids=lambda c: c.name)
def test_table_is_the_channel(tables, name, channel):
    r, tau, s = settings()
    found = tables[name, channel.name].evaluate(r, tau, s).j
    expected = direct(name, channel, r, tau, s)
    if (name, channel.name) == ("erf", "entropy_power"):
        # Its entropy power falls like exp(-4 s), beyond what a table of ratios follows; it is useless there.
        expected, found, r, tau, s = (a[s < 3.0] for a in (expected, found, r, tau, s))
    # Where entropy power gives next to nothing, what counts is the error beside what a gaussian would carry.
    error = np.abs(found - expected)
    assert np.median(error / expected) < 1e-6
    assert np.all(error < 1e-4 * expected + 1e-5 * direct(name, CHANNELS[0], r, tau, s))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("channel", CHANNELS, ids=lambda c: c.name)
def test_derivatives_are_those_of_the_same_interpolant(tables, name, channel):
    table = tables[name, channel.name]
    r, tau, s = settings(40, seed=2)
    # Away from the edges of a cell of the spline a central difference sees one polynomial.
    here = table.evaluate(r, tau, s)
    h = 1e-5
    by_r = [table.evaluate(r * (1 + k), tau, s) for k in (h, -h)]
    by_v = [table.evaluate(r, tau * (1 + k), s) for k in (h, -h)]
    slopes = {
        "e": (here.e, 2 * (by_r[0].j - by_r[1].j) / (2 * h * r)),
        "a": (here.a, 2 * (by_v[0].j - by_v[1].j) / (2 * h * tau)),
        "e_r": (here.e_r, (by_r[0].e - by_r[1].e) / (2 * h * r)),
        "e_v": (here.e_v, (by_v[0].e - by_v[1].e) / (2 * h * tau)),
        "a_v": (here.a_v, (by_v[0].a - by_v[1].a) / (2 * h * tau)),
    }
    inside = tau * (1 + h) < s
    for analytic, numeric in slopes.values():
        scale = np.abs(numeric) + 1e-3 * np.median(np.abs(numeric))
        assert np.quantile((np.abs(analytic - numeric) / scale)[inside], 0.9) < 1e-4
    np.testing.assert_allclose(here.rest_r, 1.0 - r * here.e, atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_lower_channels_stay_below_the_upper_one(name):
    r, tau, s = settings(80, seed=3)
    upper = direct(name, GaussianUpper(), r, tau, s)
    for channel in LOWER:
        lower = direct(name, channel, r, tau, s)
        assert np.all(lower >= 0.0)
        assert np.all(lower <= upper * (1.0 + 1e-9))


def test_channels_of_a_linear_layer_are_exact():
    r, tau, s = settings(20, seed=4)
    for channel in CHANNELS:
        np.testing.assert_allclose(direct("linear", channel, r, tau, s), 0.5 * np.log1p(r * tau), rtol=1e-10)


def test_curvature_of_the_gaussian_channel_is_a_total_derivative():
    """`A` moves the law of the offset too: without that part it would differ by more than its size."""
    table = ChannelTable(get("tanh"), GaussianUpper())
    tau, s, r = np.array([0.7]), np.array([2.0]), np.array([30.0])
    h = 1e-4
    plus, minus = (direct("tanh", GaussianUpper(), r, tau + k, s) for k in (h, -h))
    assert table.evaluate(r, tau, s).a[0] == pytest.approx((plus - minus)[0] / h, rel=1e-5)


def test_homogeneous_activation_has_no_scale():
    table = ChannelTable(get("relu"), LinearLower())
    r, tau, s = settings(30, seed=5)
    big = table.evaluate(r / 1e4, tau * 1e4, s * 1e4)
    small = table.evaluate(r, tau, s)
    np.testing.assert_allclose(big.j, small.j, rtol=1e-9)
    np.testing.assert_allclose(big.e, 1e4 * small.e, rtol=1e-9)
    np.testing.assert_allclose(big.a, 1e-4 * small.a, rtol=1e-8, atol=1e-14)


def surrogate(seed=0):
    rng = np.random.default_rng(seed)
    gain, residual = rng.uniform(0.1, 1.0, (2, 3, 5)), rng.uniform(0.0, 0.4, (2, 3, 5))
    return Surrogate(gain, residual, np.full((2, 3, 5), 0.2), np.array([[0.0], [0.3]]))


def test_surrogate_derivatives():
    layer, rng = surrogate(), np.random.default_rng(1)
    r, v = rng.uniform(0.1, 50.0, (2, 3)), rng.uniform(0.1, 2.0, (2, 3))
    here, h = layer.derivatives(r, v), 1e-6
    dj_r = (layer.information(r + h, v) - layer.information(r - h, v)) / (2 * h)
    dj_v = (layer.information(r, v + h) - layer.information(r, v - h)) / (2 * h)
    np.testing.assert_allclose(here.e, 2 * dj_r, rtol=1e-6)
    np.testing.assert_allclose(here.a, 2 * dj_v, rtol=1e-6)
    up, down = layer.derivatives(r + h, v), layer.derivatives(r - h, v)
    np.testing.assert_allclose(here.e_r, (up.e - down.e) / (2 * h), rtol=1e-5)
    np.testing.assert_allclose(here.e_v, (up.a - down.a) / (2 * h), rtol=1e-5)
    up, down = layer.derivatives(r, v + h), layer.derivatives(r, v - h)
    np.testing.assert_allclose(here.a_v, (up.a - down.a) / (2 * h), rtol=1e-5)
    np.testing.assert_allclose(here.rest_r, 1 - r * here.e, rtol=1e-10)
    np.testing.assert_allclose(here.rest_v, 1 - here.a * v, rtol=1e-10)


def test_parts_are_the_same_channels():
    layer = surrogate()
    r, v = np.full((2, 3), 4.0), np.full((2, 3), 0.5)
    part = layer.take(np.array([1]), slice(1, 3))
    np.testing.assert_array_equal(part.information(r[:1, :2], v[:1, :2]), layer.information(r, v)[1:, 1:])


def test_first_layer_at_prior_variance_is_the_layer():
    layer = surrogate().take(slice(None), slice(0, 1))
    first = FirstLayer(layer, np.array([0.8, 1.1]))
    r = np.array([2.0, 5.0])
    expected = layer.information(r[:, None], np.array([[0.8], [1.1]]))[:, 0]
    np.testing.assert_array_equal(first.information(r), expected)
    e, e_r, rest = first.derivatives(r)
    h = 1e-6
    np.testing.assert_allclose(e, (first.information(r + h) - first.information(r - h)) / h, rtol=1e-6)
    np.testing.assert_allclose(e_r, (first.derivatives(r + h)[0] - first.derivatives(r - h)[0]) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(rest, 1 - r * e, rtol=1e-10)


def test_gaussian_input_derivatives():
    source, r, h = GaussianInput(np.array([0.5, 2.0])), np.array([3.0, 0.2]), 1e-6
    e, e_r, rest = source.derivatives(r)
    np.testing.assert_allclose(e, (source.information(r + h) - source.information(r - h)) / h, rtol=1e-8)
    np.testing.assert_allclose(e_r, (source.derivatives(r + h)[0] - source.derivatives(r - h)[0]) / (2 * h), rtol=1e-8)
    np.testing.assert_allclose(rest, 1 - r * e, rtol=1e-14)


def test_a_tabulated_layer_adds_the_hidden_noise():
    table = ChannelTable(get("relu"), GaussianUpper())
    layer = Tabulated(table, np.array([[2.0]]), np.array([[0.3]]))
    r, v = np.array([[7.0]]), np.array([[0.5]])
    expected = table.evaluate(r, v + 0.3, np.array([[2.0]]))
    assert layer.information(r, v)[0, 0] == expected.j[0, 0]
    assert layer.derivatives(r, v).rest_v[0, 0] == pytest.approx(1.0 - expected.a[0, 0] * 0.5)
