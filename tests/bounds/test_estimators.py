"""The named bounds: values worked out elsewhere, exact limits, order and invariances."""

import numpy as np
import pytest
from exact_laws import deep_linear

from mfmi.bounds.evaluate import evaluate_points
from mfmi.names import DEFAULT_ESTIMATORS
from mfmi.networks.points import Points

ASKED = ("layerwise", *DEFAULT_ESTIMATORS)

# theory section 8: activation, L, sigma_w2, sigma_b2, sigma_o2, sigma_h2, then gaussian and orthogonal.
LINEAR = [
    ("tanh", 2, 1.5, 0.0, 0.01, 0.0, 0.7604, 1.1169),
    ("tanh", 4, 2.0, 0.3, 0.01, 0.0, 0.2815, 0.5548),
    ("relu", 2, 2.0, 0.05, 0.05, 0.05, 0.4031, 0.5896),
    ("relu", 4, 1.5, 0.0, 0.01, 0.0, 0.1369, 0.2236),
]
# The same, then weights, linear, layerwise, gaussian_upper. With hidden noise layerwise and gaussian_upper were worked
# out by direct quadrature of theory (8) for two layers, apart from this program's tables and solver.
SANDWICH = [
    ("tanh", 2, 1.5, 0.0, 0.01, 0.0, "gaussian", 0.7604, 1.2356, 1.4465),
    ("tanh", 2, 1.5, 0.0, 0.01, 0.0, "orthogonal", 1.1169, None, None),
    ("tanh", 2, 2.0, 0.05, 0.05, 0.05, "gaussian", 0.5570, 0.62366, 0.85234),
    ("tanh", 2, 2.0, 0.05, 0.05, 0.05, "orthogonal", 0.8559, 0.73233, 1.32428),
    ("tanh", 3, 1.0, 0.0, 0.1, 0.0, "gaussian", 0.2936, 0.3452, 0.3769),
    ("tanh", 3, 1.0, 0.0, 0.1, 0.0, "orthogonal", 0.5049, 0.5113, 0.6066),
    ("relu", 2, 1.5, 0.0, 0.01, 0.0, "gaussian", 0.4583, 0.9305, 1.3951),
    ("relu", 2, 2.0, 0.3, 0.01, 0.0, "gaussian", 0.4996, 1.0896, 1.5794),
]


def evaluate(act, depth, w2, b2, o2, h2, weights="gaussian", estimators=ASKED, **more):
    points = Points.of(
        act,
        np.sqrt(w2),
        sigma_b=np.sqrt(b2),
        sigma_noise=np.sqrt(o2),
        weights=weights,
        noise_at="every" if h2 else "output",
        **more,
    )
    return evaluate_points(points, depth, estimators)


@pytest.mark.parametrize(("act", "depth", "w2", "b2", "o2", "h2", "gaussian", "orthogonal"), LINEAR)
def test_linear_values_of_the_theory(act, depth, w2, b2, o2, h2, gaussian, orthogonal):
    for weights, expected in (("gaussian", gaussian), ("orthogonal", orthogonal)):
        found = evaluate(act, depth, w2, b2, o2, h2, weights, ["linear"])["mi_linear"][0]
        assert found == pytest.approx(expected, abs=5.1e-5)


@pytest.mark.parametrize(("act", "depth", "w2", "b2", "o2", "h2", "weights", "linear", "layerwise", "upper"), SANDWICH)
def test_sandwich_of_the_theory(act, depth, w2, b2, o2, h2, weights, linear, layerwise, upper):
    found = evaluate(act, depth, w2, b2, o2, h2, weights)
    assert found["mi_linear"][0] == pytest.approx(linear, abs=5.1e-5)
    if layerwise is not None:
        assert found["mi_layerwise"][0] == pytest.approx(layerwise, abs=6e-5)
    if upper is not None:
        assert found["mi_gaussian_upper"][0] == pytest.approx(upper, abs=6e-5)
    assert found["status"][0] in ("ok", "unbounded")


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("depth", [1, 2, 5, 10])
def test_every_bound_is_exact_for_a_linear_network(depth, weights):
    found = evaluate("linear", depth, 1.2, 0.3, 0.05, 0.0, weights)
    snr = 1.2**depth / 0.05
    exact = deep_linear(snr, [1.0] * depth)[0] if weights == "gaussian" else 0.5 * np.log1p(snr)
    assert found["mi_linear"][0] == pytest.approx(exact, rel=1e-9)
    assert found["mi_layerwise"][0] == pytest.approx(exact, rel=1e-7)
    assert found["mi_gaussian_upper"][0] == pytest.approx(exact, rel=1e-7)
    assert found["mi_entropy_power"][0] <= exact * (1.0 + 1e-12)
    if weights == "orthogonal":
        assert found["mi_entropy_power"][0] == pytest.approx(exact, rel=1e-12)


def test_linear_network_with_noise_in_every_layer():
    """Two orthogonal layers and noise in both: one gaussian channel per direction, noise adding up."""
    found = evaluate("linear", [1, 2, 3], 1.5, 0.2, 0.1, 0.1, "orthogonal")
    signal = 1.5 ** np.arange(1, 4)
    noise = 0.1 * np.cumsum(1.5 ** np.arange(3))
    exact = 0.5 * np.log1p(signal / noise)
    for name in ("mean_field", "linear", "layerwise", "gaussian_upper", "entropy_power"):
        np.testing.assert_allclose(found[f"mi_{name}"], exact, rtol=1e-7, err_msg=name)


def test_mean_field_is_no_bound():
    """For gaussian weights it lies above the truth already at three layers, so it never enters mi_lower."""
    found = evaluate("tanh", 3, 1.0, 0.0, 0.1, 0.0, "gaussian")
    assert found["mi_mean_field"][0] == pytest.approx(0.505, abs=5e-4)
    assert found["mi_mean_field"][0] > found["mi_upper"][0]
    alone = evaluate("tanh", 3, 1.0, 0.0, 0.1, 0.0, "gaussian", ["mean_field"])
    assert np.isnan(alone["mi_lower"][0])
    assert np.isnan(alone["mi_upper"][0])


def test_mean_field_is_linear_for_orthogonal_weights_without_spread():
    found = evaluate("tanh", [1, 2, 5, 10], 1.3, 0.0, 0.01, 0.0, "orthogonal", ["mean_field", "linear"])
    np.testing.assert_allclose(found["mi_mean_field"], found["mi_linear"], rtol=1e-9)


def test_entropy_power_needs_a_strictly_monotone_activation():
    for act in ("relu", "hard_tanh"):
        found = evaluate(act, 3, 1.5, 0.1, 0.01, 0.0, estimators=["entropy_power"])
        assert np.isnan(found["mi_entropy_power"][0])
        assert found["status"][0] == "ok"
    assert evaluate("leaky_relu(0.5)", 2, 1.5, 0.1, 0.01, 0.0, "orthogonal")["mi_entropy_power"][0] > 0.0


GRID = [
    (act, w2, b2, o2, h2)
    for act in ("tanh", "relu", "erf")
    for w2, b2 in ((0.7, 0.0), (1.5, 0.0), (1.8, 0.3), (4.0, 0.1))
    for o2, h2 in ((0.01, 0.0), (0.1, 0.1))
]
# Its tables take half a minute.
GRID += [pytest.param("hard_tanh", *setting[1:], marks=pytest.mark.slow) for setting in GRID[:8]]


@pytest.mark.parametrize(("act", "w2", "b2", "o2", "h2"), GRID)
def test_order_of_the_bounds(act, w2, b2, o2, h2):
    found = {w: evaluate(act, [1, 2, 3, 6], w2, b2, o2, h2, w) for w in ("gaussian", "orthogonal")}
    for weights in found.values():
        assert set(weights["status"]) <= {"ok", "unbounded"}
        assert np.all(weights["mi_lower"] <= weights["mi_upper"] * (1.0 + 1e-6))
        assert np.all(weights["mi_lower"] >= 0.0)
        ceiling = 0.5 * np.log1p((weights["q"]) / o2)
        assert np.all(weights["mi_upper"] <= ceiling * (1.0 + 1e-9))
    # Isometry carries more (theory section 5): for the bound that is a theorem at every depth.
    assert np.all(found["orthogonal"]["mi_linear"] >= found["gaussian"]["mi_linear"] * (1.0 - 1e-9))


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_more_noise_is_less_information(weights):
    noise = np.geomspace(1e-3, 1.0, 9)
    for noise_at in ("output", "every"):
        points = Points.of("tanh", 1.4, sigma_b=0.2, sigma_noise=noise, weights=weights, noise_at=noise_at)
        found = evaluate_points(points, 4, ASKED)
        for name in ("linear", "gaussian_upper"):
            assert np.all(np.diff(found[f"mi_{name}"]) < 0.0)


def test_scale_law_of_relu():
    """Without bias relu carries a scale through: the input's variance is as good as less noise."""
    one = evaluate("relu", 5, 1.7, 0.0, 0.01, 0.0, input_variance=1.0)
    other = evaluate("relu", 5, 1.7, 0.0, 0.04, 0.0, input_variance=4.0)
    for name in ("mean_field", "linear", "layerwise", "gaussian_upper"):
        assert one[f"mi_{name}"][0] == pytest.approx(other[f"mi_{name}"][0], rel=1e-9)


def test_deep_ordered_network_keeps_relative_accuracy():
    """Deep in the ordered phase the information is tiny and linear in the remaining signal."""
    found = evaluate("tanh", [10, 20, 40], 0.25, 0.0, 0.01, 0.0, "orthogonal", ["linear", "mean_field"])
    np.testing.assert_allclose(found["mi_linear"], found["mi_mean_field"], rtol=1e-6)
    assert 0.0 < found["mi_linear"][2] < 1e-20


def test_a_lower_bound_searches_from_both_sides(monkeypatch):
    points = Points.of("sin", 2.02, sigma_b=3.0, sigma_noise=1e-3)
    found = evaluate_points(points, 6, ["layerwise"])
    assert found["status"][0] == "ok"
    # The search from the prior variances alone ends at a minimum of the potential that is far above the smaller one.
    monkeypatch.setattr("mfmi.chain.search.STARTS", (1.0,))
    alone = evaluate_points(points, 6, ["layerwise"])
    assert found["mi_layerwise"][0] < 0.1 * alone["mi_layerwise"][0]


@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize("sigma_w", [0.2, 0.5])
def test_informations_far_below_one_nat_keep_their_digits(noise_at, sigma_w):
    """Rotations between linear layers are a gaussian channel in closed form, down to 1e-300 nats."""
    depths, noise = np.array([1, 3, 8, 12, 25, 60, 120, 200, 210]), 0.1**2
    hidden = noise * (noise_at == "every")
    signal = sigma_w ** (2.0 * depths)
    passed_on = np.array([hidden * sum(sigma_w ** (2.0 * k) for k in range(1, depth)) for depth in depths])
    truth = 0.5 * np.log1p(signal / (noise + passed_on))
    assert truth[-1] < 1e-120
    points = Points.of("linear", sigma_w, sigma_noise=0.1, noise_at=noise_at, weights="orthogonal")
    found = evaluate_points(points, depths, ASKED)
    assert set(found["status"]) == {"ok"}
    for name in ("mi_linear", "mi_mean_field"):
        np.testing.assert_allclose(found[name], truth, rtol=2e-10)
    for name in ("mi_entropy_power", "mi_layerwise"):
        assert np.all(found[name] <= truth * (1.0 + 1e-15))
        np.testing.assert_allclose(found[name], truth, rtol=2e-10, atol=1e-12 if hidden else 1e-298)
    assert np.all(found["mi_gaussian_upper"] >= truth * (1.0 - 1e-15))
    assert np.all(found["mi_lower"] <= found["mi_upper"] * (1.0 + 2e-10))


@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_what_no_linear_decoder_reads_is_zero(weights, noise_at):
    """Behind an even function without biases, and where slopes underflow: not the floor of the search's logarithms."""
    for activation in ("abs", "gaussian", "sin(30.0)"):
        points = Points.of(activation, [1.0, 10.0], weights=weights, noise_at=noise_at)
        found = evaluate_points(points, [1, 2, 3], ["linear"])
        assert set(found["status"]) <= {"ok", "unbounded"}
        linear = found["mi_linear"].reshape(2, 3)
        assert np.all(linear[:, 0] > 1.0)
        assert np.all(linear[:, 1:] == 0.0)


@pytest.mark.parametrize("noise", [1e-6, 1e-9, 1e-30, 1e-100])
def test_mean_field_at_faint_noise_is_that_of_the_noise(noise):
    """If nothing is bent, all but the signal is the noise, however far below the signal's last digit it lies."""
    found = evaluate_points(Points.of("tanh", 1.5, sigma_noise=noise), [1], ["mean_field"])
    assert found["mi_mean_field"][0] == pytest.approx(0.5 * np.log1p(2.25 / noise**2), rel=1e-12)
    found = evaluate_points(Points.of("linear", 0.7, sigma_noise=noise), [6], ["mean_field"])
    assert found["mi_mean_field"][0] == pytest.approx(0.5 * np.log1p(0.7**12 / noise**2), rel=1e-12)


@pytest.mark.thorough
@pytest.mark.parametrize(("activation", "sigma_w"), [("tanhshrink", 0.3), ("squared_relu", 0.3), ("sign", 1e-3)])
def test_order_of_the_bounds_where_variances_fall_like_powers(activation, sigma_w):
    """Without a slope at 0 variances of a layer are powers of those before; a step has them constant."""
    points = Points.of(activation, sigma_w, sigma_noise=0.1 * sigma_w if activation == "sign" else 1.0)
    found = evaluate_points(points, [2, 3, 4, 5], ["linear", "entropy_power", "layerwise", "gaussian_upper"])
    assert set(found["status"]) == {"ok"}
    for name in ("linear", "layerwise", "entropy_power"):
        lower = np.nan_to_num(found[f"mi_{name}"])
        assert np.all(lower <= found["mi_gaussian_upper"] * (1.0 + 1e-9))
    most = 0.5 * np.log1p(found["q"] / points.sigma_noise[0] ** 2)
    assert np.all(found["mi_gaussian_upper"] <= most * (1.0 + 1e-9))
    if activation == "sign":
        # A step knows no scale: the same network of larger weights and noise.
        again = evaluate_points(Points.of("sign", 1.0, sigma_noise=0.1), [2, 3, 4, 5], ["layerwise", "gaussian_upper"])
        for name in ("mi_layerwise", "mi_gaussian_upper"):
            np.testing.assert_allclose(found[name], again[name], rtol=2e-3)


def test_ratios_too_large_for_a_number_have_logarithms():
    """A first layer of variance 1e300 above noise of variance 1e-200."""
    points = Points.of("tanh", 1e100, sigma_noise=1e-100, input_variance=1e100, weights="orthogonal")
    found = evaluate_points(points, [1], ASKED)
    values = np.array([found[f"mi_{name}"][0] for name in ASKED])
    np.testing.assert_allclose(values, 250.0 * np.log(10.0), rtol=1e-12)


def test_faint_slopes_are_not_taken_for_none():
    """Of rotations without biases linear is the mean-field value, an odd function's slopes having no spread."""
    points = Points.of("sin(30.0)", [0.2, 0.4, 0.8], weights="orthogonal")
    found = evaluate_points(points, [2], ["linear", "mean_field"])
    assert found["mi_linear"][-1] < 1e-240
    np.testing.assert_allclose(found["mi_linear"], found["mi_mean_field"], rtol=1e-9)


def test_a_bound_that_is_equal_to_another_does_not_exceed_it_by_rounding():
    found = evaluate_points(Points.of("tanh", 0.3, weights="orthogonal"), [8, 16, 100], ASKED)
    assert np.all(found["mi_entropy_power"] < found["mi_linear"])
    assert np.all(found["mi_linear"] < found["mi_gaussian_upper"])
    # A faint signal is hardly bent: entropy power loses what the variance of the first layers bends it by.
    np.testing.assert_allclose(found["mi_entropy_power"], found["mi_linear"], rtol=0.02)


def test_replica_values_below_their_cancellation_keep_their_digits():
    """Noise in every layer makes them a difference of potentials near one nat, of which nothing would be left."""
    depths, sigma_w, noise = np.array([3, 10, 20, 40]), 0.3, 0.3
    points = Points.of("linear", sigma_w, sigma_noise=noise, noise_at="every", weights="orthogonal")
    found = evaluate_points(points, depths, ["replica"], optional=["mi_replica_error"])
    signal = sigma_w ** (2.0 * depths)
    truth = 0.5 * np.log1p(signal * (1.0 - sigma_w**2) / (noise**2 * (1.0 - signal)))
    assert truth[-1] < 1e-40
    assert set(found["status"]) == {"ok"}
    np.testing.assert_allclose(found["mi_replica"][:2], truth[:2], atol=1e-12)
    np.testing.assert_allclose(found["mi_replica"][2:], truth[2:], rtol=1e-9)
    assert np.all(np.abs(found["mi_replica"] - truth) <= found["mi_replica_error"] + 1e-10 * truth)


@pytest.mark.thorough
def test_faint_replica_values_lie_between_the_bounds():
    points = Points.of("relu", 0.3, sigma_noise=0.3, noise_at="every")
    names = ["linear", "layerwise", "fisher", "replica", "gaussian_upper"]
    found = evaluate_points(points, [6, 10, 18, 30], names)
    assert set(found["status"]) == {"ok"}
    # The two potentials of these are near one nat: their difference is 0, which a lower bound may be.
    np.testing.assert_array_equal(found["mi_layerwise"], 0.0)
    np.testing.assert_array_equal(found["mi_fisher"], 0.0)
    share = found["mi_linear"] / found["mi_replica"]
    assert np.all((share > 0.5) & (share < 1.0))
    # Far down each layer takes the same share of both.
    np.testing.assert_allclose(share[2:], share[1], rtol=0.02)
    assert np.all(found["mi_replica"] < found["mi_gaussian_upper"])


@pytest.mark.parametrize("noise_at", ["output", "every"])
def test_the_error_of_linear_is_known_and_covers_rounding(noise_at):
    """Rotations and linear layers: the value is exact, at faint signals too."""
    points = Points.of("linear", [0.9, 1e-6], sigma_noise=0.3, noise_at=noise_at, weights="orthogonal")
    depths = np.array([1, 2, 5])
    found = evaluate_points(points, depths, ["linear"], optional=["mi_linear_error"])
    value, error = (found[name].reshape(2, 3) for name in ("mi_linear", "mi_linear_error"))
    gain = points.sigma_w[:, None] ** 2
    # A layer's noise reaches the last one through the rotations after it.
    passed = np.cumsum(gain ** np.arange(5), axis=1)[:, depths - 1] if noise_at == "every" else 1.0
    exact = 0.5 * np.log1p(gain**depths / (0.09 * passed))
    assert np.all(error > 0.0)
    assert np.all(error < 1e-11)
    assert np.all(np.abs(value - exact) <= error + 4e-16 * exact)
