"""Linear bound, covariance bound and entropy power of networks with normalisation and skips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streams import REFERENCE, FiniteStream, architecture

import mfmi
from mfmi.activations import get
from mfmi.bounds.covariance import FOLDS, NOISY, NOT_MONOTONE, covariance_upper, entropy_power, piece_entropy
from mfmi.bounds.evaluate import evaluate_points
from mfmi.bounds.readable import _of_stream, readable
from mfmi.bounds.stacks import stacked
from mfmi.meanfield import Architecture, propagate
from mfmi.networks.points import Points
from mfmi.simulate import orthogonal_matrix

# What the sites of the reference values leave open, by table; 0 where there is one site or one offset.
SITE_NOISE = {"15.1": 2.5e-4, "15.2": 2e-4, "two matrices": 0.0, "15.3": 4e-4, "15.5": 1.2e-3, "15.6": 1e-4}


def has_sites(case: dict[str, Any]) -> bool:
    network = architecture(case)
    return network.matrices == 1 and not network.without_offset.all()


ONE_SITE = [case for case in REFERENCE["information"] if not has_sites(case)]
MANY_SITES = [case for case in REFERENCE["information"] if has_sites(case)]


def check(case: dict[str, Any], count: int) -> None:
    found = readable(architecture(case), case["weights"], count=count)
    for name in ("linear", "full"):
        if name not in case:
            continue
        estimate = getattr(found, name)
        assert estimate.converged.all()
        allowed = 5.1e-5 + SITE_NOISE[case["table"]] * has_sites(case) + 2.0 * estimate.error[0]
        assert estimate.value[0] == pytest.approx(case[name], abs=allowed), (case, name)


def test_values_of_one_site() -> None:
    assert len(ONE_SITE) > 50
    for case in ONE_SITE:
        check(case, 64)


def test_values_of_many_sites() -> None:
    shallow = [case for case in MANY_SITES if case["depth"] <= 4]
    assert len(shallow) > 40
    for case in shallow[::3]:
        check(case, 512)


@pytest.mark.slow
def test_values_of_many_sites_in_full() -> None:
    assert MANY_SITES
    for case in MANY_SITES:
        check(case, 4096)


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu", "sign", "linear"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("noise_at", ["output", "every"])
def test_without_skip_or_norm_it_is_the_plain_network(name: str, weights: str, noise_at: str) -> None:
    sigma_w2, sigma_b2, noise2 = np.array([0.3, 1.0, 1.8]), np.array([0.0, 0.2, 0.5]), 0.03
    points = Points.of(
        name,
        np.sqrt(sigma_w2),
        sigma_b=np.sqrt(sigma_b2),
        sigma_noise=noise2**0.5,
        noise_at=noise_at,
        weights=weights,
    )
    hidden = noise2 if noise_at == "every" else 0.0
    for depth in (1, 2, 7):
        plain = evaluate_points(points, np.full((3, 1), depth), ("linear", "entropy_power"))
        network = Architecture.of(
            get(name), depth, sigma_w2=sigma_w2, sigma_b2=sigma_b2, output_noise=noise2, hidden_noise=hidden
        )
        found = readable(network, weights)
        np.testing.assert_allclose(found.linear.value, plain["mi_linear"], rtol=1e-9, atol=1e-12)
        power, _ = entropy_power(network, weights, propagate(network))
        expected = np.asarray(plain["mi_entropy_power"], dtype=float)
        known = np.isfinite(expected)
        assert known.all() or not get(name).strictly_monotone
        np.testing.assert_allclose(power.value[known], expected[known], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("hidden", [0.0, 0.05])
def test_one_site_per_layer_is_the_chain(weights: str, hidden: float) -> None:
    network = Architecture.of(get("tanh"), 6, sigma_w2=[0.5, 1.5, 3.0], output_noise=0.02, hidden_noise=hidden)
    stream = propagate(network)
    chain, sites = stacked(network, weights, stream, 1, None), _of_stream(network, weights, stream, 1, None)
    np.testing.assert_allclose(sites.linear.value, chain.linear.value, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(sites.full.value, chain.full.value, rtol=1e-9, atol=1e-10)


def test_offsets_at_sites_are_offsets_in_an_integral() -> None:
    for name, settings in (("tanh", {}), ("gelu", {"norm": "layernorm", "norm_at": "output"})):
        network = Architecture.of(get(name), 4, sigma_w2=[1.5], sigma_b2=0.3, output_noise=0.05, **settings)
        stream = propagate(network)
        chain = stacked(network, "orthogonal", stream, 1, None)
        sites = _of_stream(network, "orthogonal", stream, 2048, None)
        assert len(sites) == len(chain) == 2
        for one, other in zip(sites, chain, strict=True):
            assert abs(one.value[0] - other.value[0]) <= 2.0 * one.error[0] < 3e-3


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_norms_that_are_one(weights: str) -> None:
    """BatchNorm is LayerNorm after relu without biases, and LayerNorm in front of an odd phi."""

    def value(name: str, skip: float, **settings: Any) -> float:
        network = Architecture.of(
            get(name), 5, sigma_w2=[1.7], output_noise=0.05, noise_scale="relative", skip=skip, **settings
        )
        return float(readable(network, weights).linear.value[0])

    batch = {"norm": "batchnorm"}
    assert value("relu", 0.0, **batch) == pytest.approx(
        value("relu", 0.0, norm="layernorm", norm_at="output"), rel=1e-9
    )
    for skip in (0.0, 1.0):
        assert value("tanh", skip, **batch) == pytest.approx(value("tanh", skip, norm="layernorm"), rel=1e-9)
        assert value("gelu", skip, norm="rmsnorm") == value("gelu", skip, norm="layernorm")


def test_relative_noise_leaves_no_scale_to_a_homogeneous_network() -> None:
    common = {"sigma_w2": [0.2, 2.0, 7.0], "hidden_noise": 0.02, "output_noise": 0.05, "noise_scale": "relative"}
    plain = readable(Architecture.of(get("relu"), 5, input_variance=[0.1, 1.0, 9.0], **common), "gaussian")
    normed = readable(Architecture.of(get("relu"), 5, norm="layernorm", **common), "gaussian")
    np.testing.assert_allclose(plain.linear.value, plain.linear.value[0], rtol=1e-9)
    np.testing.assert_allclose(plain.linear.value, normed.linear.value, rtol=1e-9)


def test_noise_in_front_of_batchnorm() -> None:
    """sigma_b drops out, sigma_w does not."""
    network = Architecture.of(
        get("tanh"), 3, sigma_w2=[1.0, 4.0, 4.0], sigma_b2=[0.0, 0.0, 2.0], hidden_noise=0.2, output_noise=0.2,
        norm="batchnorm",
    )  # fmt: skip
    found = readable(network, "gaussian").linear.value
    np.testing.assert_allclose(found, [0.1156, 0.2869, 0.2869], atol=5e-5)
    assert found[1] == pytest.approx(found[2], rel=1e-9)


def test_linear_rotations_with_skips_are_exact_matrices() -> None:
    """Products of sums of rotations, drawn: what is left is the fluctuation of finite matrices."""
    rng, n, sigma_w2, a, g, noise = np.random.default_rng(4), 150, 0.9, 0.7, 0.8, 0.1
    network = Architecture.of(get("linear"), 4, sigma_w2=[sigma_w2], output_noise=noise, skip=a, branch=g)

    def drawn() -> float:
        transfer = np.sqrt(sigma_w2) * orthogonal_matrix(n, n, 1.0, rng)
        for _ in range(3):
            transfer = a * transfer + g * np.sqrt(sigma_w2) * orthogonal_matrix(n, n, 1.0, rng) @ transfer
        return float(np.linalg.slogdet(np.eye(n) + transfer @ transfer.T / noise)[1] / (2 * n))

    exact = np.mean([drawn() for _ in range(8)])
    found = readable(network, "orthogonal").linear
    assert found.value[0] == pytest.approx(exact, abs=6e-3)
    two = Architecture.of(
        get("linear"), 4, sigma_w2=[1.0], out_sigma_w2=sigma_w2, input_sigma_w2=sigma_w2, output_noise=noise,
        skip=a, branch=g, matrices=2,
    )  # fmt: skip
    # A rotation of a rotation is one.
    assert readable(two, "orthogonal").linear.value[0] == pytest.approx(found.value[0], abs=1e-9)


@pytest.mark.parametrize("noise_in", ["branch", "stream"])
def test_a_linear_stream_with_noise_is_exact_matrices(noise_in: str) -> None:
    rng, n, sigma_w2, a, g, h, noise = np.random.default_rng(5), 150, 0.9, 1.1, 0.6, 0.2, 0.1
    network = Architecture.of(
        get("linear"), 3, sigma_w2=[sigma_w2], output_noise=noise, hidden_noise=h, skip=a, branch=g, noise_in=noise_in
    )

    def drawn() -> float:
        signal = np.sqrt(sigma_w2) * orthogonal_matrix(n, n, 1.0, rng)
        covariance, eye = np.zeros((n, n)), np.eye(n)
        for _ in range(2):
            branch = g * np.sqrt(sigma_w2) * orthogonal_matrix(n, n, 1.0, rng)
            through = a * eye + branch
            added = through if noise_in == "stream" else branch
            covariance = through @ covariance @ through.T + h * added @ added.T
            signal = through @ signal
        covariance += noise * eye
        total = np.linalg.slogdet(covariance + signal @ signal.T)[1]
        return float((total - np.linalg.slogdet(covariance)[1]) / (2 * n))

    exact = np.mean([drawn() for _ in range(8)])
    assert readable(network, "orthogonal").linear.value[0] == pytest.approx(exact, abs=6e-3)


def random_networks(seed: int, n: int, name: str, depth: int, **settings: Any) -> Architecture:
    """Networks all over the place, hidden noise up to ten times the signal among them."""
    rng = np.random.default_rng(seed)
    return Architecture.of(
        get(name),
        depth,
        sigma_w2=rng.uniform(0.2, 4.0, n),
        sigma_b2=rng.choice([0.0, 0.1, 1.0], n),
        output_noise=10.0 ** rng.uniform(-3.0, 1.0, n),
        hidden_noise=np.where(rng.random(n) < 0.4, 0.0, 10.0 ** rng.uniform(-3.0, 1.5, n)),
        skip=rng.choice([0.0, 0.5, 1.0, 1.2], n),
        branch=rng.choice([0.1, 0.5, 1.0], n),
        **settings,
    )


@pytest.mark.parametrize("name", ["tanh", "relu", "sin", "abs", "gelu", "linear"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_bounds_are_in_order(name: str, weights: str) -> None:
    for seed, settings in enumerate(
        ({}, {"norm": "layernorm"}, {"norm": "batchnorm", "noise_in": "stream"}, {"matrices": 2, "norm": "rmsnorm"})
    ):
        network = random_networks(seed, 12, name, 2 + 2 * seed, **settings)
        stream = propagate(network)
        found = readable(network, weights, stream)
        upper = covariance_upper(network, weights, stream, found.full)
        power, _ = entropy_power(network, weights, stream)
        assert found.linear.converged.all()
        assert np.all(found.linear.value <= upper.value + found.linear.error + 1e-9)
        applies = power.converged
        assert np.all(power.value[applies] <= upper.value[applies] + 1e-9)
        assert np.all(upper.value > 0.0)


def test_a_bracket_at_low_noise() -> None:
    """linear, (39) and (38) close in on the total."""
    for name, weights, branch, expected in (
        ("tanh", "gaussian", 0.35, (1.6419, 1.6765, 1.7936)),
        ("tanh", "orthogonal", 0.7, (1.6976, 2.1654, 2.1801)),
        ("relu", "gaussian", 0.35, (1.4904, 1.6765, 1.8257)),
        ("relu", "orthogonal", 0.7, (1.3082, 2.1654, 2.2047)),
    ):
        network = Architecture.of(get(name), 2, sigma_w2=[1.5], output_noise=0.02, skip=1.0, branch=branch)
        stream = propagate(network)
        found = readable(network, weights, stream, count=512)
        upper = covariance_upper(network, weights, stream, found.full)
        power, reason = entropy_power(network, weights, stream)
        assert reason[0] == ""
        values = [found.linear.value[0], power.value[0], upper.value[0] - upper.error[0]]
        np.testing.assert_allclose(values, expected, atol=1.5e-4 + found.full.error[0])


def test_upper_bounds_that_are_exact() -> None:
    """Two linear rotations with noise between them, and three: what the noise costs is known."""
    for depth in (2, 3):
        network = Architecture.of(get("linear"), depth, sigma_w2=[0.8], output_noise=0.1, hidden_noise=0.3)
        stream = propagate(network)
        found = readable(network, "orthogonal", stream)
        upper = covariance_upper(network, "orthogonal", stream, found.full)
        power, _ = entropy_power(network, "orthogonal", stream)
        assert upper.value[0] == pytest.approx(found.linear.value[0], rel=1e-9)
        assert power.value[0] == pytest.approx(found.linear.value[0], rel=1e-9)


def test_what_the_last_noise_costs_is_exact_for_gaussian_matrices() -> None:
    network = Architecture.of(get("linear"), 2, sigma_w2=[0.5, 2.0], output_noise=0.3, hidden_noise=0.3)
    stream = propagate(network)
    found = readable(network, "gaussian", stream)
    upper = covariance_upper(network, "gaussian", stream, found.full)
    np.testing.assert_allclose(upper.value, found.linear.value, rtol=1e-8)


@pytest.mark.parametrize(
    ("name", "weights", "depth", "sigma_w2", "sigma_b2", "noise", "replica"),
    [
        ("tanh", "gaussian", 2, 2.0, 0.05, 0.05, 0.7852),
        ("tanh", "orthogonal", 2, 2.0, 0.05, 0.05, 1.0882),
        ("tanh", "gaussian", 2, 6.0, 0.0, 1.0, 0.3407),
        ("tanh", "orthogonal", 4, 0.7, 0.0, 0.05, 0.2241),
        ("relu", "gaussian", 2, 0.7, 0.0, 0.05, 0.3798),
        ("relu", "orthogonal", 2, 2.0, 0.0, 1.0, 0.2289),
        ("relu", "orthogonal", 4, 2.0, 0.1, 10.0, 0.0065),
    ],
)
def test_noise_in_every_layer_leaves_the_bound_above_the_replica_value(
    name: str, weights: str, depth: int, sigma_w2: float, sigma_b2: float, noise: float, replica: float
) -> None:
    network = Architecture.of(
        get(name), depth, sigma_w2=[sigma_w2], sigma_b2=sigma_b2, output_noise=noise, hidden_noise=noise
    )
    stream = propagate(network)
    found = readable(network, weights, stream)
    upper = covariance_upper(network, weights, stream, found.full)
    assert replica < upper.value[0] < found.full.value[0]


def test_pieces_cost_their_entropy() -> None:
    """Without it sin, cos and abs under strong hidden noise fall below the truth."""
    for name, depth, noise, sigma_w2 in (("sin", 2, 10.0, 16.0), ("cos", 2, 10.0, 4.0), ("abs", 2, 3.0, 1.0)):
        network = Architecture.of(get(name), depth, sigma_w2=[sigma_w2], output_noise=noise, hidden_noise=noise)
        stream = propagate(network)
        found = readable(network, "orthogonal", stream)
        upper = covariance_upper(network, "orthogonal", stream, found.full)
        assert found.linear.value[0] <= upper.value[0] < found.full.value[0]


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["abs", "gelu", "sin", "cos"])
def test_the_entropy_of_pieces(name: str) -> None:
    phi, rng = get(name), np.random.default_rng(2)
    h = np.sqrt(1.3) * rng.standard_normal((20_000, 1))
    for noise in (0.05, 2.0):
        t = h + np.sqrt(noise) * rng.standard_normal((20_000, 400))
        if np.isfinite(phi.period):
            assert phi.wave_turning is not None
            piece = np.floor((t - phi.wave_turning) / (0.5 * phi.period)).astype(int)
        else:
            piece = np.searchsorted([part.lower for part in phi.pieces[1:]], t)
        measured = 0.0
        for label in range(piece.min(), piece.max() + 1):
            p = np.mean(piece == label, axis=1)
            measured += np.mean(np.where(p > 0.0, -p * np.log(np.maximum(p, 1e-300)), 0.0))
        found = piece_entropy(phi, np.array([1.3 + noise]), np.array([noise]))[0]
        # The entropy of 400 draws is low by about a count of pieces over 800.
        assert found == pytest.approx(measured, abs=0.006)
    few, many = piece_entropy(phi, np.array([1e4 + 1.0, 1e8]), np.array([1e4, 0.99e8]))
    assert few <= many + 1e-9 or phi.pieces


def test_entropy_power_says_why_not() -> None:
    for settings, expected in (
        ({"skip": 1.0, "branch": 2.0}, FOLDS),
        ({"skip": 1.0, "branch": 0.1, "hidden_noise": 0.1}, NOISY),
        ({"skip": 0.0}, NOT_MONOTONE),
    ):
        network = Architecture.of(get("relu"), 3, sigma_w2=[1.0], output_noise=0.1, **settings)
        power, reason = entropy_power(network, "gaussian", propagate(network))
        assert reason[0] == expected
        assert np.isnan(power.value[0])
        assert not power.converged[0]


def test_a_small_branch_loses_no_total_information() -> None:
    """(39) at a = 1 depends on neither depth nor phi."""
    values = []
    for name, depth in (("tanh", 8), ("relu", 8), ("tanh", 20)):
        network = Architecture.of(get(name), depth, sigma_w2=[1.5], output_noise=0.05, skip=1.0, branch=0.2)
        values.append(entropy_power(network, "gaussian", propagate(network))[0].value[0])
    np.testing.assert_allclose(values, 0.5 * np.log1p(1.5 / np.e / 0.05), rtol=1e-12)


def test_information_does_not_grow_with_depth_where_noise_is_in_the_stream() -> None:
    for name, weights in (("tanh", "gaussian"), ("relu", "orthogonal")):
        network = Architecture.of(
            get(name), 8, sigma_w2=[1.5], sigma_b2=0.1 if name == "tanh" else 0.0, output_noise=0.1, hidden_noise=0.1,
            skip=1.0, branch=0.5, noise_in="stream", norm="batchnorm",
        )  # fmt: skip
        values = [readable(network.cut(depth), weights).linear.value[0] for depth in range(1, 9)]
        assert np.all(np.diff(values) < 0.0)
    # In the branch alone the noise may be outgrown: no running minimum may be taken then.
    network = Architecture.of(
        get("linear"), 4, sigma_w2=[1.0], output_noise=0.1, hidden_noise=0.1, skip=1.5, branch=0.5
    )
    found = [readable(network.cut(depth), "orthogonal").linear.value[0] for depth in range(1, 5)]
    np.testing.assert_allclose(found, [1.199, 1.475, 1.674, 1.795], atol=6e-4)


def test_weak_signals_keep_their_digits() -> None:
    network = Architecture.of(
        get("tanh"), 6, sigma_w2=[1.5], sigma_b2=[0.1], output_noise=0.5, skip=0.5, branch=0.5, hidden_noise=0.3,
        input_variance=[1e-3], noise_scale="absolute", matrices=2,
    )  # fmt: skip
    strong = readable(network, "gaussian").linear
    weaker = Architecture.of(
        get("tanh"), 6, sigma_w2=[1.5], sigma_b2=[0.1], output_noise=0.5, skip=0.5, branch=0.5, hidden_noise=0.3,
        input_variance=[1e-12], matrices=2,
    )  # fmt: skip
    weak = readable(weaker, "gaussian").linear
    assert weak.value[0] == pytest.approx(1e-9 * strong.value[0], rel=5e-3)
    assert 0.0 < weak.error[0] < 1e-3 * weak.value[0]


def test_errors_of_sites_are_honest() -> None:
    network = random_networks(11, 10, "relu", 5)
    best = readable(network, "orthogonal", count=4096)
    assert len(best) == 2
    for count in (64, 512):
        found = readable(network, "orthogonal", count=count)
        for one, other in zip(found, best, strict=True):
            assert np.all(np.abs(one.value - other.value) <= 2.0 * (one.error + other.error) + 1e-9)
            assert np.all(one.error < 0.03)


def test_points_are_functions_of_themselves_alone() -> None:
    network = random_networks(12, 30, "tanh", 6, norm="layernorm")
    whole = readable(network, "gaussian").linear.value
    for row in (0, 7, 29):
        alone = readable(network.take(np.array([row])), "gaussian").linear.value[0]
        assert whole[row] == pytest.approx(alone, rel=1e-12)


def test_without_a_compiler_the_values_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [random_networks(13, 6, "gelu", 5, noise_in=noise_in) for noise_in in ("branch", "stream")]
    compiled = [readable(network, "orthogonal") for network in cases]
    monkeypatch.setenv("MFMI_COMPILE", "0")
    for network, before in zip(cases, compiled, strict=True):
        after = readable(network, "orthogonal")
        np.testing.assert_allclose(after.linear.value, before.linear.value, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(after.full.value, before.full.value, rtol=1e-9)


def test_a_network_that_overflows_or_dies_has_no_value() -> None:
    network = Architecture.of(get("relu"), 80, sigma_w2=[1e9, 1.0], output_noise=0.1, skip=1.0, branch=1.0)
    found = readable(network, "gaussian")
    assert np.isnan(found.linear.value[0])
    assert not found.linear.converged[0]
    assert found.linear.converged[1]
    dead = Architecture.of(get("tanh"), 3, sigma_w2=[1.0], output_noise=0.1, skip=0.0, branch=0.0, norm="layernorm")
    assert np.isnan(readable(dead, "gaussian").linear.value[0])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"norm": "layer"}, "norm must be one of"),
        ({"norm_at": "input"}, "norm_at must be one of"),
        ({"matrices": 3}, "matrices must be one of"),
        ({"sigma_b2": -0.1}, "sigma_b2 must be finite and not negative"),
        ({"skip": np.nan}, "skip must be finite"),
        ({"hidden_ratio": 0.0}, "hidden_ratio"),
        ({"norm": "batchnorm", "norm_at": "stream"}, "batchnorm of the stream"),
        ({"norm": "batchnorm", "norm_at": "output"}, "batchnorm after"),
        ({"norm": "layernorm", "norm_at": "stream", "hidden_noise": 0.1}, "set noise_in stream"),
        ({"branch": np.ones((1, 5))}, "one for every layer"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Architecture.of(get("tanh"), 3, **{"sigma_w2": 1.0} | settings)


def test_bad_arguments() -> None:
    network = Architecture.of(get("tanh"), 3, sigma_w2=1.0, output_noise=0.1)
    with pytest.raises(ValueError, match="gaussian or orthogonal"):
        readable(network, "sparse")
    with pytest.raises(ValueError, match="power of 2"):
        readable(network, "gaussian", count=100)


def test_one_sampled_network() -> None:
    network = Architecture.of(
        get("tanh"), 3, sigma_w2=[1.5], sigma_b2=0.09, output_noise=0.1, hidden_noise=0.05, skip=1.0, branch=0.7
    )
    finite = FiniteStream(network, "orthogonal", 80, seed=1)
    linear, full = finite.measured(40_000)
    found = readable(network, "orthogonal", count=512)
    assert linear == pytest.approx(found.linear.value[0], abs=0.01)
    assert full == pytest.approx(found.full.value[0], abs=0.01)


def test_a_sampled_network_is_its_surrogate() -> None:
    """The same matrices, offsets and variances: no scatter between networks is left."""
    settings = {"skip": 1.0, "branch": 0.5, "sigma_b2": 0.09, "input_sigma_b2": 0.0, "input_sigma_w2": 1.0}
    network = Architecture.of(get("tanh"), 4, sigma_w2=[1.5], output_noise=0.05, matrices=2, **settings)
    finite = FiniteStream(network, "gaussian", 60, seed=3)
    linear, full = finite.measured(60_000)
    expected = finite.surrogate()
    assert linear == pytest.approx(expected[0], abs=0.006)
    assert full == pytest.approx(expected[1], abs=0.006)
    assert readable(network, "gaussian").linear.value[0] == pytest.approx(expected[0], abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "out", "slope"), [("tanh", 1.5, 0.0), ("relu", 1.0, 0.8)])
def test_sampled_networks_are_their_surrogates_up_to_the_width(name: str, out: float, slope: float) -> None:
    """Theory 15.2: sampled less surrogate is about 0.8 / n for relu, and the samples' own 0.001."""
    settings = {"skip": 1.0, "branch": 0.5, "sigma_b2": 0.09, "input_sigma_b2": 0.0, "input_sigma_w2": 1.0}
    sigma_w2 = 1.5 if name == "tanh" else 2.0
    network = Architecture.of(
        get(name), 4, sigma_w2=[sigma_w2], out_sigma_w2=out, output_noise=0.05, matrices=2, **settings
    )
    for n, ratio in ((100, 400), (200, 200)):
        finite = FiniteStream(network, "gaussian", n, seed=n)
        linear, _ = finite.measured(n * ratio, block=n * 100)
        assert linear - finite.surrogate()[0] == pytest.approx(slope / n, abs=0.002)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_two_matrices_as_explicit_surrogates(name: str, weights: str) -> None:
    network = Architecture.of(
        get(name), 4, sigma_w2=[1.5], sigma_b2=0.1, output_noise=0.05, hidden_noise=0.02, matrices=2, hidden_ratio=2.0,
        out_sigma_w2=1.2, skip=0.9, branch=0.8, norm="layernorm",
    )  # fmt: skip
    drawn = np.array([FiniteStream(network, weights, 400, seed).surrogate() for seed in range(3)])
    found = readable(network, weights)
    scatter = 3.0 * drawn.std(axis=0, ddof=1).max() / np.sqrt(3.0)
    expected = [found.linear.value[0], found.full.value[0]]
    np.testing.assert_allclose(drawn.mean(axis=0), expected, atol=0.004 + scatter)


@pytest.mark.parametrize("name", ["relu", "hard_tanh", "softplus"])
def test_a_turn_between_the_sites_is_among_the_errors(name: str) -> None:
    """Weights small beside biases: few offsets are near a kink, and the parts of the sites agree all the same."""
    network = {"sigma_b": [0.3, 1.0], "sigma_noise": 0.1, "skip": 0.001, "branch": 1.0}
    found = mfmi.evaluate(
        name, [1e-3, 1e-2], depth=[2], estimators=["linear", "covariance_upper"], columns=["mi_linear_error"], **network
    )
    least = found.mi_linear - found.mi_linear_error
    assert np.all(least <= found.mi_covariance_upper * (1.0 + 1e-9))
    assert np.all(found.mi_linear_error <= 0.02 * found.mi_linear)
