"""Length and correlation maps of networks with normalisation and skips, and their depth scales."""

from __future__ import annotations

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.meanfield import NUMBER_FORMATS, Architecture, PowerLaws, power_laws, propagate, trajectory


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu"])
def test_a_plain_network_is_the_plain_recursion(name: str) -> None:
    sigma_w2, sigma_b2, noise2 = np.array([0.5, 1.5, 3.0]), np.array([0.0, 0.1, 0.7]), np.array([0.0, 0.05, 0.0])
    network = Architecture.of(get(name), 12, sigma_w2=sigma_w2, sigma_b2=sigma_b2, hidden_noise=noise2)
    found = propagate(network, 0.3).path
    plain = trajectory(get(name), sigma_w2, sigma_b2, noise2, 1.0, 0.3, 12)
    for field in ("q", "s", "chi", "gap", "noise_gap", "offset_gap"):
        np.testing.assert_allclose(getattr(found, field), getattr(plain, field), rtol=1e-9, atol=1e-300)


def test_layernorm_before_phi() -> None:
    """Theory (24)-(25): one layer sets the variance, and the slope at it."""
    for share, expected in ((0.0, 1.178), (0.05, 1.130), (0.2, 1.011), (0.5, 0.843)):
        network = Architecture.of(
            get("tanh"), 6, sigma_w2=[0.3, 5.0], hidden_noise=share, norm="layernorm", noise_scale="relative"
        )
        stream = propagate(network)
        np.testing.assert_allclose(stream.seen, 1.0 + share, rtol=1e-12)
        chi = stream.path.chi[:, 1] * stream.path.q[:, 1] / stream.path.q[:, 2]
        np.testing.assert_allclose(chi, expected, atol=6e-4)


@pytest.mark.parametrize(
    ("name", "expected"), [("relu", 1.4669), ("tanh", 1.1778), ("gelu", 1.3188), ("silu", 1.2121), ("erf", 1.2257)]
)
def test_batchnorm_lets_gradients_grow(name: str, expected: float) -> None:
    """Theory (27): chi_1 = E phi'^2 / Var phi, whatever the weights and biases."""
    network = Architecture.of(get(name), 6, sigma_w2=[0.3, 4.0], sigma_b2=[0.0, 2.0], norm="batchnorm")
    path = propagate(network, 0.5).path
    chi = path.chi[:, 1:-1] * path.offset_gap[:, 1:-1] / path.offset_gap[:, 2:]
    np.testing.assert_allclose(chi, expected, atol=5e-5)
    correlation = 1.0 - path.gap / path.offset_gap
    np.testing.assert_allclose(correlation[0], correlation[1], rtol=1e-9)
    assert np.all(np.diff(correlation, axis=1) < 0.0)


def test_norms_after_phi_fix_the_variance() -> None:
    for norm in ("layernorm", "rmsnorm"):
        network = Architecture.of(get("gelu"), 5, sigma_w2=[1.7], sigma_b2=0.2, norm=norm, norm_at="output")
        np.testing.assert_allclose(propagate(network).path.q[0, 1:], 1.9, rtol=1e-12)


def test_the_slope_is_that_of_the_map() -> None:
    """Close to correlation 1 every gap grows by chi, without cancellation."""
    for settings in (
        {"norm": "layernorm", "skip": 1.0, "branch": 0.5},
        {"norm": "batchnorm", "skip": 0.9},
        {"norm": "rmsnorm", "norm_at": "output"},
        {"norm": "layernorm", "norm_at": "stream", "skip": 1.0},
        {"matrices": 2, "norm": "layernorm", "skip": 1.0, "out_sigma_w2": 0.7},
    ):
        network = Architecture.of(get("tanh"), 8, sigma_w2=[1.5], sigma_b2=0.1, **settings)
        path = propagate(network, 1.0 - 1e-13).path
        np.testing.assert_allclose(path.gap[0, 1:], path.gap[0, :-1] * path.chi[0, :-1], rtol=1e-6)


def test_post_norm_is_a_stream_without_norms() -> None:
    """H = lambda htilde of variance 1 obeys the recursion with its norms."""
    w2, b2, a, g = 1.5, 0.2, 0.8, 0.6
    network = Architecture.of(
        get("tanh"), 9, sigma_w2=[w2], sigma_b2=b2, skip=a, branch=g, norm="layernorm", norm_at="stream"
    )
    found = propagate(network, 0.4).path
    c = w2 * 0.4 / (w2 + b2) + b2 / (w2 + b2)
    phi = get("tanh")
    for layer in range(9):
        assert 1.0 - found.gap[0, layer] / found.q[0, layer] == pytest.approx(c, rel=1e-9)
        before = a**2 + g**2 * (w2 * float(phi.second_moment(1.0)) + b2)
        c = (a**2 * c + g**2 * (w2 * float(phi.correlation(1.0, c)) + b2)) / before


@pytest.mark.parametrize("noise_in", ["branch", "stream"])
@pytest.mark.parametrize("norm", ["none", "layernorm", "batchnorm"])
def test_a_sampled_network_follows(noise_in: str, norm: str) -> None:
    rng, n, inputs = np.random.default_rng(6), 1500, 64
    network = Architecture.of(
        get("relu"),
        4,
        sigma_w2=[1.8],
        sigma_b2=0.3,
        skip=0.9,
        branch=0.7,
        hidden_noise=0.2,
        noise_in=noise_in,
        norm=norm,
    )
    stream = propagate(network)
    h = rng.standard_normal((inputs, n)) @ rng.standard_normal((n, n)) * np.sqrt(1.8 / n)
    h += np.sqrt(0.3) * rng.standard_normal(n)
    for layer in range(3):
        q, offset_gap = np.mean(h**2), np.mean(h.var(axis=0, ddof=1))
        assert q == pytest.approx(stream.path.q[0, layer], rel=0.1)
        assert offset_gap == pytest.approx(stream.path.offset_gap[0, layer], rel=0.1)
        t = h + np.sqrt(0.2) * rng.standard_normal(h.shape)
        u = t
        if norm == "layernorm":
            u = (t - t.mean(axis=1, keepdims=True)) / t.std(axis=1, keepdims=True)
        elif norm == "batchnorm":
            u = (t - t.mean(axis=0)) / t.std(axis=0, ddof=1)
        weight = rng.standard_normal((n, n)) * np.sqrt(1.8 / n)
        branch = np.maximum(u, 0.0) @ weight + np.sqrt(0.3) * rng.standard_normal(n)
        h = 0.9 * (t if noise_in == "stream" else h) + 0.7 * branch


@pytest.mark.thorough
def test_powers_of_the_depth() -> None:
    """Theory (32)-(33) beside the recursion, between the middle and the end of it."""
    depth = 1500
    for name, sigma_w2, sigma_b2, norm, correlation in (
        ("tanh", 1.5, 0.0, "layernorm", 0.5),
        ("tanh", 1.0, 0.6, "layernorm", 0.5),
        ("relu", 2.0, 0.3, "batchnorm", 0.5),
        ("erf", 1.5, 0.3, "none", 0.9),
        ("tanh", 1.0, 0.5, "none", 0.9),
        ("gelu", 1.5, 0.3, "layernorm, two matrices", 0.5),
        ("relu", 1.2, 0.2, "batchnorm, two matrices", 0.5),
    ):
        norm, two, _ = norm.partition(", two matrices")
        network = Architecture.of(
            get(name), depth, sigma_w2=[sigma_w2], sigma_b2=sigma_b2, skip=1.0, norm=norm, matrices=2 if two else 1
        )
        laws, path = power_laws(network), propagate(network, correlation).path
        level = path.offset_gap[0] if norm == "batchnorm" else path.q[0]
        ends = np.array([depth // 2 - 1, depth - 1])
        decades = np.log(2.0)
        assert np.diff(np.log(level[ends]))[0] / decades == pytest.approx(laws.growth[0], abs=0.02)
        distance = np.abs(1.0 - path.gap[0] / level - laws.c_star[0])
        if norm != "none":
            assert -np.diff(np.log(distance[ends]))[0] / decades == pytest.approx(laws.exponent_c[0], abs=0.04)
        gradient = np.diff(np.cumsum(np.log(path.chi[0]))[ends])[0]
        if laws.law[0] == "power":
            assert gradient / decades == pytest.approx(laws.exponent_grad[0], abs=0.008)
        else:
            assert laws.law[0] == "stretched"
            assert gradient / np.diff(np.sqrt(ends + 1.0))[0] == pytest.approx(laws.rate[0], rel=0.01)


def test_constants_of_the_power_laws() -> None:
    def laws(name: str, sigma_w2: float, **settings: object) -> PowerLaws:
        return power_laws(Architecture.of(get(name), 2, sigma_w2=[sigma_w2], **{"skip": 1.0} | settings))

    # C_phi of tanh and erf.
    for name, constant in (("tanh", 0.53192), ("erf", 2.0 / np.pi)):
        assert laws(name, 1.0).rate[0] == pytest.approx(2.0 * constant, abs=2e-5)
        assert laws(name, 1.0).c_star[0] == 0.0
        assert laws(name, 1.0).exponent_c[0] == pytest.approx(1.0 - 2.0 / np.pi, rel=1e-9)
    growing = laws("relu", 1.0, branch=0.5)
    assert growing.law[0] == "exponential"
    assert growing.rate[0] == pytest.approx(np.log(1.125), rel=1e-12)
    assert growing.exponent_c[0] == 2.0
    both = laws("relu", 1.5, branch=0.5, matrices=2, out_sigma_w2=2.0)
    assert both.rate[0] == pytest.approx(np.log(1.0 + 0.25 * 1.5 * 2.0 / 2.0), rel=1e-12)
    edge = laws("relu", 2.0, norm="layernorm")
    assert edge.exponent_grad[0] == pytest.approx(1.0, rel=1e-12)
    assert edge.exponent_c[0] == pytest.approx(0.0, abs=1e-9)
    assert laws("tanh", 1.0, skip=0.5).law[0] == "none"


@pytest.mark.parametrize(
    ("name", "measured"),
    [("float16", 2.0733e-4), ("bfloat16", 1.6599e-3), ("float8_e4m3fn", 2.6496e-2), ("float8_e5m2", 5.2730e-2)],
)
def test_rounding_is_relative_noise(name: str, measured: float) -> None:
    """Theory (29) beside the mean error of rounded samples over an octave of scales."""
    assert NUMBER_FORMATS[name].share ** 0.5 == pytest.approx(measured, rel=7e-3)


def test_the_rounding_of_float16() -> None:
    rng, errors = np.random.default_rng(1), []
    for scale in 2.0 ** np.linspace(0.0, 1.0, 16, endpoint=False):
        x = scale * rng.standard_normal(100_000)
        errors.append(np.mean((x.astype(np.float16) - x) ** 2) / scale**2)
    assert NUMBER_FORMATS["float16"].share == pytest.approx(np.mean(errors), rel=0.01)
