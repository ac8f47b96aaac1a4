import tracemalloc
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from mfmi.simulate import (
    Average,
    NetworkLaw,
    average,
    fit_trend,
    gaussian_matrix,
    jackknife,
    measure_decoder,
    measure_information,
    measure_jacobian,
    measure_maps,
    network_seed,
    orthogonal_matrix,
    over_networks,
    relative_variance,
)
from mfmi.simulate._decoder import wishart_log_det


@dataclass(frozen=True)
class Linear:
    def __call__(self, u):
        return u

    def derivative(self, u):
        return np.ones_like(u)


@dataclass(frozen=True)
class Tanh:
    def __call__(self, u):
        return np.tanh(u)

    def derivative(self, u):
        return 1 - np.tanh(u) ** 2


@dataclass(frozen=True)
class Relu:
    def __call__(self, u):
        return np.maximum(u, 0)

    def derivative(self, u):
        return (u > 0).astype(float)


def off(measured: Average, exact) -> np.ndarray:
    """Deviation in standard errors."""
    return np.abs(measured.mean - exact) / measured.standard_error


def linear_information(law: NetworkLaw, seed: np.random.SeedSequence) -> float:
    """I(x; T^L | W) in nats per input dimension of the linear network that `seed` draws, from its covariances."""
    network = law.draw(np.random.default_rng(seed.spawn(2)[0]))
    signal = np.sqrt(law.input_variance) * np.eye(law.widths[0])
    noise = np.zeros((law.widths[1], law.widths[1]))
    for layer, weight in enumerate(network.weights):
        if layer:
            noise = weight @ (noise + law.sigma_hidden**2 * np.eye(len(noise))) @ weight.T
        signal = weight @ signal
    noise = noise + law.sigma_noise**2 * np.eye(len(noise))
    return (np.linalg.slogdet(noise + signal @ signal.T)[1] - np.linalg.slogdet(noise)[1]) / 2 / law.widths[0]


# The law of the network


@pytest.mark.parametrize(("rows", "columns"), [(7, 7), (9, 4), (4, 9), (1, 3)])
def test_orthogonal_matrices_have_equal_singular_values_of_the_right_size(rows, columns):
    weight = orthogonal_matrix(rows, columns, 1.3, np.random.default_rng(0))
    singular = np.linalg.svd(weight, compute_uv=False)
    np.testing.assert_allclose(singular, 1.3 * np.sqrt(max(1, rows / columns)), rtol=1e-13)
    assert weight.shape == (rows, columns)


@pytest.mark.parametrize("draw", [gaussian_matrix, orthogonal_matrix])
@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (5, 2), (2, 5)])
def test_entries_have_mean_zero_and_variance_sigma_w2_over_fan_in(draw, rows, columns):
    rng = np.random.default_rng(1)
    draws = np.array([draw(rows, columns, 1.5, rng) for _ in range(4000)])
    error = 1.5**2 / columns * np.sqrt(3 / 4000)
    np.testing.assert_allclose(np.mean(draws**2, axis=0), 1.5**2 / columns, atol=4 * error)
    np.testing.assert_allclose(np.mean(draws, axis=0), 0, atol=4 * 1.5 / np.sqrt(4000 * columns))


def test_orthogonal_matrices_are_haar():
    # The trace of a Haar matrix of O(3) has mean 0 and variance 1.
    rng = np.random.default_rng(2)
    traces = np.array([np.trace(orthogonal_matrix(3, 3, 1.0, rng)) for _ in range(8000)])
    assert abs(traces.mean()) < 4 / np.sqrt(8000)
    assert abs(traces.var() - 1) < 4 * np.std((traces - traces.mean()) ** 2) / np.sqrt(8000)


def test_noise_sits_where_it_was_placed():
    rng = np.random.default_rng(3)
    x = np.zeros((4000, 5))
    output = NetworkLaw(Linear(), (5, 5, 5), 1.0, 0.0, 0.3).draw(rng)
    for y, t in output.propagate(x, rng):
        assert t is y
        assert np.all(y == 0)
        np.testing.assert_allclose(output.observe(y, t, rng).std(), 0.3, rtol=0.03)
    every = NetworkLaw(Linear(), (5, 5, 5), 1.0, 0.0, 0.3, "every", "orthogonal").draw(rng)
    (first, noisy), (second, observed) = every.propagate(x, rng)
    assert np.all(first == 0)
    np.testing.assert_allclose(noisy.std(), 0.3, rtol=0.03)
    np.testing.assert_allclose(second, noisy @ every.weights[1].T, atol=1e-14)
    assert every.observe(second, observed, rng) is observed
    np.testing.assert_allclose((observed - second).std(), 0.3, rtol=0.03)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"widths": (4,)}, "widths"),
        ({"widths": (4, 0)}, "widths"),
        ({"sigma_w": -1.0}, "sigma_w"),
        ({"sigma_b": np.nan}, "sigma_b"),
        ({"sigma_noise": 0.0}, "sigma_noise"),
        ({"input_variance": np.inf}, "input_variance"),
        ({"noise_at": "input"}, "noise_at"),
        ({"weights": "sparse"}, "weights"),
    ],
)
def test_a_wrong_law_names_the_argument(change, name):
    with pytest.raises(ValueError, match=f"^{name} must"):
        replace(NetworkLaw(Linear(), (4, 4), 1.0), **change)


# Maps and Jacobian: exact laws of linear and relu networks at any width


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("noise_at", ["output", "every"])
def test_linear_maps_have_their_exact_expectations(weights, noise_at):
    law = NetworkLaw(Linear(), (24,) * 4, 1.2, 0.5, 0.4, noise_at, weights, 2.0)
    samples = over_networks(partial(measure_maps, pairs=64, correlation=0.3), law, 200, 5)
    hidden = 0.16 if noise_at == "every" else 0.0
    q, k = [1.44 * 2 + 0.25], [1.44 * 2 * 0.3 + 0.25]
    for _ in range(2):
        q.append(1.44 * (q[-1] + hidden) + 0.25)
        k.append(1.44 * k[-1] + 0.25)
    assert np.all(off(average(s.q for s in samples), q) < 4)
    # The covariance, not the ratio, has an exact expectation.
    assert np.all(off(average(s.c * s.q for s in samples), k) < 4)
    np.testing.assert_allclose([s.chi for s in samples], 1.44, rtol=1e-14)


def test_relu_slope_is_half_sigma_w2_at_any_width():
    law = NetworkLaw(Relu(), (6, 9, 5, 7), 1.5, 0.2, 0.3, "every")
    samples = over_networks(measure_maps, law, 300, 6)
    assert np.all(off(average(s.chi for s in samples), 1.5**2 / 2) < 4)


def test_slope_is_squared_before_it_is_averaged():
    law = NetworkLaw(Tanh(), (9, 9, 9), 1.5, 0.4)
    inputs = tuple(np.random.default_rng(0).standard_normal((2, 30, 9)))
    sample = measure_maps(law, network_seed(2, 9, 0), inputs=inputs)
    network = law.draw(np.random.default_rng(network_seed(2, 9, 0).spawn(2)[0]))
    first = np.concatenate(inputs) @ network.weights[0].T + network.biases[0]
    second = np.tanh(first) @ network.weights[1].T + network.biases[1]
    exact = [2.25 * np.mean(np.cosh(y) ** -4.0) for y in (first, second)]
    np.testing.assert_allclose(sample.chi, exact, rtol=1e-12)


def test_given_inputs_replace_the_gaussian_ones():
    law = NetworkLaw(Linear(), (3, 3), 1.5, 0.0, weights="orthogonal")
    first, second = np.array([[3.0, 0, 0]]), np.array([[0, 4.0, 0]])
    sample = measure_maps(law, network_seed(0, 3, 0), inputs=(first, second))
    np.testing.assert_allclose(sample.q, 2.25 * (9 + 16) / 2 / 3, rtol=1e-13)
    np.testing.assert_allclose(sample.c, 0, atol=1e-13)


def test_many_inputs_are_taken_in_blocks(monkeypatch):
    law = NetworkLaw(Tanh(), (6, 6, 6), 1.5)
    inputs = tuple(np.random.default_rng(0).standard_normal((2, 100, 6)))
    whole = measure_maps(law, network_seed(0, 6, 0), inputs=inputs)
    monkeypatch.setattr("mfmi.simulate._network.BLOCK_ELEMENTS", 12 * 7)
    pieces = measure_maps(law, network_seed(0, 6, 0), inputs=inputs)
    for name in ("q", "c", "chi"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-13)


def test_jacobian_of_linear_networks():
    orthogonal = measure_jacobian(NetworkLaw(Linear(), (20,) * 4, 1.3, weights="orthogonal"), network_seed(0, 20, 0))
    np.testing.assert_allclose(orthogonal.mean, 1.69 ** np.arange(1, 4), rtol=1e-13)
    np.testing.assert_allclose(relative_variance(orthogonal.mean, orthogonal.second), 0, atol=1e-13)
    law = NetworkLaw(Linear(), (10, 14, 8), 1.3)
    samples = [measure_jacobian(law, network_seed(1, 14, k)) for k in range(2000)]
    assert np.all(off(average(s.mean for s in samples), [1.69, 1.69**2]) < 4)
    # E tr (W W^T)^2 / n_1 = sigma_w^4 (1 + (n_1 + 1) / n_0) for Gaussian W.
    assert off(average(s.second for s in samples), 1.69**2 * (1 + 15 / 10))[0] < 4


def test_jacobian_is_the_derivative_of_the_network():
    # All singular values of one network's Jacobian against finite differences.
    law, seed = NetworkLaw(Tanh(), (5, 7, 4), 1.7, 0.3), network_seed(0, 7, 0)
    sample = measure_jacobian(law, seed, inputs=1)
    weight_rng, input_rng = (np.random.default_rng(s) for s in network_seed(0, 7, 0).spawn(2))
    network = law.draw(weight_rng)
    x = network.gaussian_inputs(1, input_rng)[0]
    step = 1e-6 * np.eye(5)
    (_, ahead), (_, behind) = (list(network.propagate(x + sign * step, input_rng))[1] for sign in (1, -1))
    squares = np.linalg.svd((ahead - behind).T / 2e-6, compute_uv=False) ** 2
    assert sample.mean[1] == pytest.approx(squares.sum() / 4, rel=1e-8)
    assert sample.second[1] == pytest.approx(np.sum(squares**2) / 4, rel=1e-7)


# The linear decoder


@pytest.mark.parametrize(("size", "degrees"), [(1, 3), (4, 6)])
def test_wishart_log_det_is_the_mean_of_sampled_ones(size, degrees):
    rng = np.random.default_rng(7)
    samples = rng.standard_normal((20000, degrees, size))
    log_dets = np.linalg.slogdet(np.swapaxes(samples, 1, 2) @ samples)[1]
    assert abs(log_dets.mean() - wishart_log_det(size, degrees)) < 4 * log_dets.std() / np.sqrt(20000)


@pytest.mark.parametrize(
    "law",
    [
        NetworkLaw(Linear(), (6, 6), 1.2, 0.4, 0.3),
        NetworkLaw(Linear(), (6, 9, 4), 1.2, 0.4, 0.3, "every", "orthogonal", 2.0),
    ],
    ids=["square", "rectangular"],
)
def test_decoder_is_unbiased_on_linear_networks(law):
    # At 2 (n_0 + n_1) + 4 samples the uncorrected estimate would be hundreds of standard errors too high.
    differences, shifts = [], []
    for k in range(300):
        sample = measure_decoder(law, network_seed(0, 9, k), samples=2 * (6 + max(law.widths[1:])) + 4)
        differences.append(sample.information[-1] - linear_information(law, network_seed(0, 9, k)))
        shifts.append(sample.half_sample_shift[-1])
    for values in (differences, shifts):
        found = average(np.array(values))
        assert off(found, 0) < 4
        assert found.standard_error < 0.03


def test_decoder_finds_what_theory_section_8_says():
    # tanh, L = 2, sigma_w2 = 1.5, sigma_o2 = 0.01: 0.7604 gaussian, 1.1169 orthogonal.
    for weights, exact in (("gaussian", 0.7604), ("orthogonal", 1.1169)):
        averages = []
        for n in (40, 80):
            law = NetworkLaw(Tanh(), (n,) * 3, np.sqrt(1.5), weights=weights)
            samples = over_networks(measure_decoder, law, 24, 0)
            averages.append(average(s.information[-1] for s in samples))
        trend = fit_trend((40, 80), averages)
        assert abs(trend.z_score(exact)) < 3
        assert trend.standard_error < 0.01


def test_decoder_memory_does_not_grow_with_the_samples():
    law = NetworkLaw(Tanh(), (8, 8, 8), 1.5)
    tracemalloc.start()
    measure_decoder(law, network_seed(0, 8, 0), samples=500_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6  # the inputs alone would be 32 MB, every layer as much again


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="samples must be at least 36"):
        measure_decoder(NetworkLaw(Tanh(), (8, 8), 1.5), network_seed(0, 8, 0), samples=35)


# The bracket on the true information


@pytest.mark.thorough
@pytest.mark.parametrize(
    "law",
    [
        NetworkLaw(Linear(), (4, 4, 4), 1.2, 0.3, 0.1),
        NetworkLaw(Linear(), (4, 6, 3), 1.2, 0.3, 0.3, "every", "orthogonal", 2.0),
        NetworkLaw(Linear(), (3, 2, 4, 3), 1.2, 0.3, 0.3, "every"),
    ],
    ids=["output", "every", "deep"],
)
def test_bracket_holds_the_exact_information_of_linear_networks(law):
    for k in range(3):
        found = measure_information(law, network_seed(0, 4, k), outer=200, inner=300)
        exact = linear_information(law, network_seed(0, 4, k))
        assert found.lower - 4 * found.lower_error < exact < found.upper + 4 * found.upper_error
        assert abs(found.upper - found.lower) < 0.01
        assert not found.saturated


@pytest.mark.thorough
@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize("phi", [Tanh(), Relu()], ids=["tanh", "relu"])
def test_bracket_holds_the_exact_information_of_one_unit_a_layer(phi, noise_at):
    law = NetworkLaw(phi, (1, 1, 1), 3.0, 0.5, 0.2, noise_at, input_variance=1.5)
    # The first network that carries something: a relu unit may be dead.
    number, exact = next((k, i) for k in range(99) if (i := scalar_information(law, network_seed(3, 1, k))) > 0.3)
    found = measure_information(law, network_seed(3, 1, number), outer=2000, inner=100)
    assert found.lower - 4 * found.lower_error < exact < found.upper + 4 * found.upper_error
    assert abs(found.upper - found.lower) < 0.02
    assert found.upper_error < 0.03


def scalar_information(law: NetworkLaw, seed: np.random.SeedSequence) -> float:
    """h(T) - h(T | x) of a 1-1-1 network on a grid of x, the hidden noise, and T."""
    network = law.draw(np.random.default_rng(seed.spawn(2)[0]))
    (w1, w2), (b1, b2) = (np.ravel(pair) for pair in (network.weights, network.biases))
    z = np.linspace(-7, 7, 281)
    mass = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    noise, noise_mass = (law.sigma_hidden * z[::2], mass[::2] / mass[::2].sum()) if law.sigma_hidden else ([0.0], [1.0])
    y1 = w1 * np.sqrt(law.input_variance) * z + b1
    mean = w2 * law.activation(y1[:, None] + np.asarray(noise)) + b2
    t = np.linspace(mean.min() - 7 * law.sigma_noise, mean.max() + 7 * law.sigma_noise, 1500)
    given_x = np.zeros((len(z), len(t)))
    for column, weight in zip(mean.T, np.asarray(noise_mass), strict=True):
        given_x += weight * np.exp(-(((t - column[:, None]) / law.sigma_noise) ** 2) / 2)
    given_x /= np.sqrt(2 * np.pi) * law.sigma_noise
    entropies = [-np.sum(p * np.log(np.maximum(p, 1e-300)), axis=-1) * (t[1] - t[0]) for p in (mass @ given_x, given_x)]
    return float(entropies[0] - mass @ entropies[1])


def test_bracket_is_the_same_again_and_depends_on_the_seed():
    law = NetworkLaw(Tanh(), (3, 3, 3), 1.5, noise_at="every")
    first, again, other = (measure_information(law, network_seed(s, 3, 0), outer=32, inner=32) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_lower_estimate_stays_below_the_upper_one_and_more_samples_close_the_gap():
    law = NetworkLaw(Relu(), (6, 6, 6), 1.6, 0.1, 0.05)
    gaps = []
    for inner in (4, 64, 512):
        found = measure_information(law, network_seed(0, 6, 0), outer=200, inner=inner)
        gaps.append(found.upper - found.lower)
    assert gaps[0] > gaps[1] > gaps[2] > 0


def test_a_bracket_made_by_the_number_of_samples_says_so():
    law = NetworkLaw(Tanh(), (12,) * 4, 4.0, 0.1, 0.01)
    assert measure_information(law, network_seed(0, 12, 0), outer=32, inner=2).saturated


@pytest.mark.parametrize(("outer", "inner"), [(2, 10), (32, 0)])
def test_too_few_nested_samples_are_refused(outer, inner):
    with pytest.raises(ValueError, match="outer must be at least 16 and inner at least 1"):
        measure_information(NetworkLaw(Tanh(), (2, 2), 1.0), network_seed(0, 2, 0), outer=outer, inner=inner)


# Averages and the limit of infinite width


def test_average_is_the_mean_with_its_scatter():
    found = average(np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]]))
    np.testing.assert_allclose(found.mean, [3, 2])
    np.testing.assert_allclose(found.standard_error, [2 / np.sqrt(3), 0])
    with pytest.raises(ValueError, match="networks must be at least 2"):
        average(np.ones((1, 2)))


def test_jackknife_removes_the_bias_of_a_ratio_and_knows_its_error():
    rng = np.random.default_rng(12)
    exact = 2 / 3.0**2 - 1
    found = [
        jackknife(relative_variance, 3 + rng.standard_normal(8) / 4, 2 + rng.standard_normal(8) / 4)
        for _ in range(4000)
    ]
    assert off(average(one.mean for one in found), exact) < 4
    scatter = np.std([one.mean for one in found])
    assert np.sqrt(np.mean([one.standard_error**2 for one in found])) == pytest.approx(scatter, rel=0.1)
    assert np.isnan(relative_variance(np.array(0.0), np.array(0.0)))


def test_networks_do_not_depend_on_which_others_are_drawn():
    law = NetworkLaw(Tanh(), (4, 4), 1.5)
    many, few = over_networks(measure_maps, law, 5, 9), over_networks(measure_maps, law, 2, 9)
    for one, other in zip(few, many[:2], strict=True):
        np.testing.assert_array_equal(one.q, other.q)
    assert len({float(sample.q[0]) for sample in many}) == 5


def test_two_widths_extrapolate_a_line_exactly():
    averages = [Average(np.float64(2 + 3 / n), np.float64(e), 10) for n, e in ((50, 0.02), (100, 0.01))]
    trend = fit_trend((50, 100), averages)
    assert trend.value == pytest.approx(2, abs=1e-12)
    assert trend.slope == pytest.approx(3, abs=1e-9)
    assert trend.standard_error == pytest.approx(np.hypot(2 * 0.01, 0.02))
    assert trend.degrees == pytest.approx(18)  # both parts of the error are equal: 9 degrees each


@pytest.mark.thorough
@pytest.mark.parametrize("widths", [(200, 400), (100, 200, 400)])
def test_z_scores_of_few_networks_are_standard_normal(widths):
    rng = np.random.default_rng(11)
    scores = np.array(
        [
            fit_trend(widths, [average(1 + 3 / n + rng.standard_normal(5) / np.sqrt(n)) for n in widths]).z_score(1.0)
            for _ in range(3000)
        ]
    )
    # Without Student's law 2 % would lie beyond 3.
    assert np.mean(np.abs(scores) > 3) < 0.007
    assert 0.025 < np.mean(np.abs(scores) > 2) < 0.06
    assert abs(scores.mean()) < 0.08


def test_widths_that_are_too_small_for_the_trend_are_left_out():
    widths = (10, 100, 200, 400)
    averages = [Average(np.float64(1 + 2 / n + 300 / n**2), np.float64(0.01 / np.sqrt(n)), 20) for n in widths]
    trend = fit_trend(widths, averages)
    assert 10 not in trend.widths
    assert {200, 400} <= set(trend.widths)
    straight = [Average(np.float64(1 + 2 / n), np.float64(0.01 / np.sqrt(n)), 20) for n in widths]
    assert fit_trend(widths, straight).widths == widths


def test_without_scatter_rounding_is_no_disagreement():
    averages = [Average(np.float64(1.69 + 1e-15), np.float64(0), 4)] * 2
    trend = fit_trend((10, 20), averages)
    assert abs(trend.z_score(1.69)) < 1e-3
    assert trend.z_score(1.691) < -10
    nothing = fit_trend((10, 20), [Average(np.float64(-3e-16), np.float64(0), 4)] * 2)
    assert np.isinf(nothing.z_score(0.0))
    assert abs(nothing.z_score(0.0, scale=1.0)) < 1e-3


@pytest.mark.parametrize("widths", [(10,), (10, 10)])
def test_one_width_has_no_trend(widths):
    with pytest.raises(ValueError, match="widths must hold at least two"):
        fit_trend(widths, [Average(np.float64(1), np.float64(1), 2)] * len(widths))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(
    ("phi", "depth", "sigma_w2", "sigma_b2", "noise2", "noise_at", "exact"),
    [
        (Tanh(), 2, 1.5, 0.0, 0.01, "output", (0.7604, 1.1169)),
        (Tanh(), 4, 2.0, 0.3, 0.01, "output", (0.2815, 0.5548)),
        (Relu(), 2, 2.0, 0.05, 0.05, "every", (0.4031, 0.5896)),
        (Relu(), 4, 1.5, 0.0, 0.01, "output", (0.1369, 0.2236)),
    ],
)
def test_decoder_reaches_every_value_of_theory_section_8(
    phi, depth, sigma_w2, sigma_b2, noise2, noise_at, exact, weights
):
    widths, averages = (100, 200), []
    for n in widths:
        law = NetworkLaw(
            phi, (n,) * (depth + 1), np.sqrt(sigma_w2), np.sqrt(sigma_b2), np.sqrt(noise2), noise_at, weights
        )
        averages.append(average(s.information[-1] for s in over_networks(measure_decoder, law, 16, 0)))
    trend = fit_trend(widths, averages)
    assert abs(trend.z_score(exact[weights == "orthogonal"])) < 3
    assert trend.standard_error < 0.007
