"""Waves, and lines with waves on them: moments by their harmonics, pairs, offsets, and what they may cost."""

import time

import numpy as np
import pytest

import mfmi
from mfmi.meanfield import trajectory

MODULE = """
import numpy as np
def line(u): return 0.7 * u + np.sin(2 * u + 0.4)
def snake(u): return u + np.sin(u) ** 2
def fast(u): return np.sin(10 * u)
def faster(u): return np.sin(30 * u)
def sawtooth(u): return u - np.floor(u)
def two(u): return np.sin(u) + np.sin(np.sqrt(2) * u)
def bump(u): return np.sin(5 * u) + np.maximum(u, 0)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Put the functions into a module of the working directory, and return a loader."""
    name = f"waves_{abs(hash(tmp_path)) % 10**9}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return lambda function: mfmi.activation(f"{name}:{function}")


S, GAP = np.array([0.05, 0.4, 1.0, 2.5, 9.0, 400.0]), np.array([0.01, 0.39, 0.6, 1e-3, 3.0, 0.2])


def test_pair_moments_of_a_line_with_a_wave(mine):
    """Phi = a u + sin(r u + p): every moment is a characteristic function."""
    phi, a, r, p = mine("line"), 0.7, 2.0, 0.4
    k = S - GAP
    slope = r * np.cos(p) * np.exp(-0.5 * r * r * S)
    total, minus = np.exp(-r * r * (S + k)), np.exp(-r * r * GAP)
    correlation = a * a * k + 2.0 * a * k * slope + 0.5 * (minus - np.cos(2.0 * p) * total)
    slopes = a * a + 2.0 * a * slope + 0.5 * r * r * (minus + np.cos(2.0 * p) * total)
    np.testing.assert_allclose(phi.correlation(S, k), correlation, rtol=1e-9)
    np.testing.assert_allclose(phi.slope_correlation(S, k), slopes, rtol=1e-9)
    np.testing.assert_allclose(phi.slope_correlation(S, S), phi.slope_moment(S), rtol=1e-9)
    lost = (
        a * a * GAP
        + 2.0 * a * GAP * slope
        - 0.5 * (np.expm1(-r * r * GAP) + np.cos(2.0 * p) * (np.exp(-2.0 * r * r * S) - total))
    )
    np.testing.assert_allclose(phi.decorrelation(S, GAP), lost, rtol=1e-9)


def test_conditional_moments_of_a_line_with_a_wave(mine):
    phi, a, r, p = mine("line"), 0.7, 2.0, 0.4
    m, v = (part.ravel() for part in np.meshgrid([-40.0, -1.0, 0.0, 0.3, 7.0], [0.01, 0.61, 0.62, 2.0, 50.0]))
    damp = np.exp(-0.5 * r * r * v)
    kappa = a + r * damp * np.cos(r * m + p)
    mean, square = damp * np.sin(r * m + p), 0.5 * (1.0 - damp**4 * np.cos(2.0 * (r * m + p)))
    found = phi.conditional(m, v)
    np.testing.assert_allclose(found.mean, a * m + mean, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(found.kappa, kappa, rtol=1e-11, atol=1e-11)
    variance = a * a * v + 2.0 * a * v * (kappa - a) + square - mean**2
    np.testing.assert_allclose(found.variance, variance, rtol=1e-9)


def test_a_sawtooth_at_the_border_of_its_closed_form(mine):
    """Correlation at a large gap by its Fourier series, on both sides of a deviation of a quarter period."""
    phi, n = mine("sawtooth"), np.arange(1.0, 40.0)
    s = np.array([0.05, 0.0624, 0.0626, 0.3, 5.0])
    k = 0.6 * s
    w, c = 2.0 * np.pi * n, 0.5 / (np.pi * n)
    # E p(u) p(v) = sum over n, m of c_n c_m* exp(-(w_n^2 + w_m^2) s / 2) 2 sinh(w_n w_m k).
    both = 0.5 * (w[:, None] ** 2 + w**2)[..., None] * s
    cross = (w[:, None] * w)[..., None] * k
    series = np.einsum("n,m,nms->s", c, c, np.exp(cross - both) - np.exp(-cross - both))
    np.testing.assert_allclose(phi.correlation(s, k) - 0.25, 2.0 * series, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("name", "sigma_w"), [("fast", 3.0), ("faster", 1.0)])
def test_nothing_is_linearly_readable_after_a_fast_wave(mine, name, sigma_w):
    phi = mine(name)
    rows = mfmi.evaluate(phi, sigma_w=sigma_w, depth=2, estimators=["linear"])
    assert rows.status[0] == "ok"
    assert rows.mi_linear[0] == 0.0
    assert rows.q[0] == pytest.approx(0.5 * sigma_w**2, rel=1e-12)


def test_sums_of_two_rates_are_followed_to_large_variances(mine):
    phi = mine("two")
    s = np.array([0.1, 3.0, 10.0, 100.0, 5000.0])
    rates = np.array([1.0, 2.0**0.5])
    plus, minus = (np.exp(-0.5 * (rates[0] + sign * rates[1]) ** 2 * s) for sign in (1.0, -1.0))
    wanted = 0.5 * np.sum(-np.expm1(-2.0 * rates**2 * s[:, None]), axis=1) + minus - plus
    np.testing.assert_allclose(phi.second_moment(s), wanted, rtol=1e-8)


@pytest.mark.thorough
def test_bounds_after_a_line_with_a_wave(mine):
    """E sin^4 = 3/8 - exp(-2 s)/2 + exp(-8 s)/8; the whole row took minutes."""
    start = time.process_time()
    rows = mfmi.evaluate(mine("snake"), sigma_w=0.9, layers=3)
    assert time.process_time() - start < 60.0
    s = 0.81
    for q in rows.q[1:]:
        s = 0.81 * (s + 0.375 - 0.5 * np.exp(-2.0 * s) + 0.125 * np.exp(-8.0 * s))
        assert q == pytest.approx(s, rel=1e-11)
    assert (rows.status == "ok").all()
    assert (rows.mi_lower <= rows.mi_upper).all()
    assert rows.mi_layerwise[2] == pytest.approx(0.936624, rel=1e-4)
    assert rows.mi_lower[2] <= rows.mi_replica[2] <= rows.mi_upper[2]
    assert rows.mi_upper[2] == pytest.approx(1.227176, rel=1e-4)


def test_variances_after_a_line_with_a_wave(mine):
    """By adaptive quadrature; a network of width 4000 has 1.665, 1.992 and 2.353 at layers 3 to 5 of sigma_w 1."""
    sigma_w = np.array([0.9, 1.0, 1.2])
    found = trajectory(mine("snake"), sigma_w**2, 0.0, 0.0, 1.0, 0.5, 5).q
    wanted = [
        [0.81, 0.87986, 0.94682, 1.00977, 1.06794],
        [1.0, 1.30737, 1.64578, 2.00219, 2.36807],
        [1.44, 2.57318, 4.2412, 6.64717, 10.11193],
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_what_a_pair_would_cost_too_much_for_is_refused(mine):
    """Nodes of pairs are the square of those of one variable: beyond a limit it is said, not computed."""
    phi = mine("bump")
    assert 10.0 < phi.largest_variance < 1e3
    beyond = 1.01 * phi.largest_variance
    assert np.isnan(phi.second_moment(beyond))
    assert np.isnan(phi.decorrelation(beyond, 1.0))
    assert np.isfinite(phi.second_moment(0.99 * phi.largest_variance))


def test_what_is_refused_costs_nothing(mine):
    """Layers beyond the largest variance: neither the length map nor a table is worked out there."""
    phi = mine("bump")
    start = time.process_time()
    rows = mfmi.evaluate(phi, sigma_w=40.0, layers=3)
    assert time.process_time() - start < 15.0
    assert rows.mi_lower[0] == pytest.approx(rows.mi_upper[0], rel=1e-9)
    assert (rows.status[1:] == "failed").all()
    assert rows.message[2].startswith(f"the moments of {phi.name} cannot be resolved at variances above")


@pytest.mark.parametrize("name", ["line", "fast", "two"])
def test_loading_is_quick(mine, name):
    start = time.process_time()
    mine(name)
    assert time.process_time() - start < 5.0


@pytest.mark.parametrize("name", ["snake", "snake(3.0)"])
def test_offsets_of_a_snake_are_folded_on_a_period(name):
    """At a variance of 1e15, that of fifty layers, equal steps over all of them would be 2^25."""
    phi = mfmi.activation(name)
    variance, width = np.array([1e15, 40.0]), np.array([0.6, 0.6])
    means = np.empty(2)
    for rows, m, weight in phi.offset_rules(variance, width, tolerance=1e-10):
        assert m.shape[1] < 2000
        moments = phi.conditional(m, np.full_like(m, 0.36))
        means[rows] = np.sum(weight * np.square(moments.kappa), axis=1)
    # kappa is 1 + exp(-2 a^2 v) sin(2 a m), and sines of a far offset vanish in the mean.
    rate = 3.0 if "3" in name else 1.0
    np.testing.assert_allclose(means, 1.0 + 0.5 * np.exp(-4.0 * rate**2 * 0.36), rtol=1e-9)
