"""Weights with a spectrum of one's own, and an ensemble per layer: exact laws, limits, theory (12), finite networks."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from exact_laws import marchenko_pastur
from replica_cases import CASES
from scipy.optimize import brentq

from mfmi.activations import get
from mfmi.bounds.evaluate import evaluate_points
from mfmi.bounds.problem import Problem, chain_of
from mfmi.bounds.propagation import Propagation
from mfmi.chain.search import solve
from mfmi.jacobian import jacobian_moments
from mfmi.meanfield import trajectory
from mfmi.names import ESTIMATORS
from mfmi.networks.model import Model, ratios_of
from mfmi.networks.points import Points
from mfmi.networks.spectrum import WeightSpectrum, reduced
from mfmi.networks.weights import Weights
from mfmi.simulate import NetworkLaw, average, measure_decoder, measure_information, over_networks, spectrum_matrix

WIDE = np.concatenate([np.zeros(300), np.exp(np.random.default_rng(0).normal(0.0, 3.0, 700))])
LOWER = ("linear", "entropy_power", "layerwise", "fisher")


def evaluate(weights, act="relu", depth=(1, 2, 3), alpha=(), estimators=ESTIMATORS, **point):
    model = Model(tuple(alpha), weights=() if isinstance(weights, str) else (weights,))
    label = weights if isinstance(weights, str) else weights.label
    points = Points.of(act, point.pop("sigma_w", 1.3), weights=[label], **point)
    optional = ["mmse", "jacobian_mean", "jacobian_variance", "efficiency"]
    found = evaluate_points(points, np.array(depth), estimators, "nats", optional, model)
    assert set(found["status"]) <= {"ok", "unbounded"}, found["message"]
    return found


def assert_same(found, expected, rtol, but=()):
    for name in expected:
        if expected[name].dtype == np.float64 and name not in but:
            np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=1e-12, err_msg=name)


def quarter_circle(count):
    """Quantiles of the squared singular values of a square gaussian matrix: 4 sin^2 of angles of a known law."""
    u = (np.arange(count) + 0.5) / count
    angle = 0.5 * np.pi * u
    for _ in range(60):
        step = (2.0 / np.pi) * (angle + np.sin(angle) * np.cos(angle)) - u
        angle = np.clip(angle - step / ((4.0 / np.pi) * np.cos(angle) ** 2), 0.0, 0.5 * np.pi)
    return 4.0 * np.sin(angle) ** 2


@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize("act", ["linear", "relu"])
@pytest.mark.parametrize("alpha", [(), (0.5, 1.5, 2.0)])
def test_one_singular_value_is_orthogonal(act, noise_at, alpha):
    """Also with the zeros that rows fewer than columns bring."""
    weights = Weights.from_layers(
        [Weights.from_spectrum([0.0, 3.0], "half")] + [Weights.from_spectrum([2.0], "one")] * 2
    )
    weights = weights if alpha else Weights.from_spectrum([2.0, 2.0], "one")
    found = evaluate(weights, act, alpha=alpha, noise_at=noise_at, sigma_b=0.3)
    expected = evaluate("orthogonal", act, alpha=alpha, noise_at=noise_at, sigma_b=0.3)
    # Maximum entropy leaves A V < 1 after a rotation, and is null there; a first rotation alone drops out.
    upper = ("mi_gaussian_upper", "mi_upper")
    # Of hidden noise the bound of rotations takes off what surely arrives; that of other weights counts it as signal.
    sharper = ("mi_covariance_upper",) if noise_at == "every" and not alpha else ()
    assert_same(found, expected, 1e-9, (*upper, *sharper))
    for name in (*upper, *sharper):
        assert np.all(found[name] >= expected[name] * (1.0 - 1e-9))


@pytest.mark.parametrize("act", ["linear", "relu"])
def test_singular_values_of_gaussian_matrices_are_gaussian(act):
    weights = Weights.from_spectrum(quarter_circle(200_000))
    for noise_at in ("output", "every"):
        names = [name for name in ESTIMATORS if name not in ("mean_field", "entropy_power")]
        found, expected = (
            evaluate(one, act, noise_at=noise_at, estimators=names, sigma_b=0.2) for one in (weights, "gaussian")
        )
        same = [f"mi_{name}" for name in names if name != "covariance_upper" or noise_at == "output"]
        assert np.all(found["mi_covariance_upper"] >= expected["mi_covariance_upper"] * (1.0 - 3e-8))
        for name in (*same, "mmse", "jacobian_mean", "jacobian_variance"):
            np.testing.assert_allclose(found[name], expected[name], rtol=3e-8, err_msg=name)


def test_one_layer_is_the_average_over_its_eigenvalues():
    found = evaluate(Weights.from_spectrum(WIDE), "tanh", [1], sigma_noise=0.1, input_variance=1.7)
    snr = 1.3**2 * 1.7 / 0.1**2
    relative = WIDE / WIDE.mean()
    for name in ("linear", "layerwise", "gaussian_upper", "replica", "fisher"):
        assert found[f"mi_{name}"][0] == pytest.approx(0.5 * np.mean(np.log1p(snr * relative)), rel=1e-12)
    assert found["mmse"][0] == pytest.approx(1.7 * np.mean(1.0 / (1.0 + snr * relative)), rel=1e-11)
    assert found["mi_entropy_power"][0] == pytest.approx(
        0.7 * 0.5 * np.log1p(snr * np.exp(np.mean(np.log(relative[relative > 0.0])))), rel=1e-12
    )
    # Like all directions alike, of as many as there are.
    assert found["mi_mean_field"][0] == pytest.approx(0.7 * 0.5 * np.log1p(snr / 0.7), rel=1e-12)


@pytest.mark.parametrize("noise_at", ["output", "every"])
def test_linear_networks_are_exact(noise_at):
    """The determinants of one large network: in total they fluctuate by less than a nat whatever the widths."""
    rng, widths = np.random.default_rng(3), (700, 900, 500, 800)
    spectra = [WeightSpectrum.from_eigenvalues(np.exp(rng.normal(0.0, 1.5, 700)), "a")]
    spectra.append(WeightSpectrum.from_eigenvalues(np.concatenate([np.zeros(450), rng.uniform(0.0, 1.0, 450)]), "b"))
    spectra.append(WeightSpectrum.from_eigenvalues([1.0, 1.0, 0.0, 4.0], "c"))
    found = evaluate(
        Weights(tuple(spectra)), "linear", alpha=ratios_of(widths), noise_at=noise_at, sigma_noise=0.2,
        estimators=["linear", "replica"],
    )  # fmt: skip
    signal, noise = np.eye(widths[0]), 0.0
    for layer, spectrum in enumerate(spectra):
        matrix = spectrum_matrix(spectrum, widths[layer + 1], widths[layer], 1.3, rng)
        signal, noise = matrix @ signal, matrix @ noise @ matrix.T if layer else np.zeros((widths[1], widths[1]))
        observed = noise + 0.04 * np.eye(widths[layer + 1])
        rate = 0.5 * (np.linalg.slogdet(observed + signal @ signal.T)[1] - np.linalg.slogdet(observed)[1]) / widths[0]
        for name in ("linear", "replica"):
            assert found[f"mi_{name}"][layer] == pytest.approx(rate, abs=2.0 / widths[0])
        noise = observed if noise_at == "every" else noise


def linear_problem(spectrum, alpha, noise):
    phi = get("linear")
    one = np.ones(1)
    path = trajectory(phi, one, 0.0 * one, 0.0 * one, one, one, 1)
    model = Model((alpha,), weights=(Weights((spectrum,)),))
    where = np.zeros(1, dtype=np.intp)
    return Problem(Propagation(phi, path, 0.0 * one), where, spectrum.name, one, noise * one, one, where + 1, model)


@pytest.mark.parametrize("alpha", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("noise", [1e-4, 0.1, 10.0])
def test_two_rotations_around_gains_are_theory_12(alpha, noise):
    """The unknowns between the rotations eliminated, the chain's equations and potential are those of theory (12)."""
    eigenvalues = np.exp(np.random.default_rng(1).normal(0.0, 1.0, 50)) * (np.arange(50) < 50 * min(1.0, alpha))
    problem = linear_problem(WeightSpectrum.from_eigenvalues(eigenvalues, "s"), alpha, noise)
    found = solve(chain_of(problem, problem.source(problem.input_variance), problem.linear()), unique=True)
    r, v = found.r[0, 0], found.v[0, 1]
    e, a = 1.0 / (1.0 + r), 1.0 / (noise + v)
    eigenvalues *= alpha / eigenvalues.mean()  # sigma_w^2 is 1
    theta, x = a * v, a * e
    flat = (1.0 - theta) * (1.0 - alpha * theta)
    assert np.mean(1.0 / (eigenvalues * x + flat)) == pytest.approx(1.0 / (1.0 - theta), rel=1e-8)
    assert r == pytest.approx(alpha * theta / e, rel=1e-8)
    f = 2 * alpha * theta + (alpha - 1) * np.log(1.0 - theta) + np.mean(np.log(eigenvalues * x + flat))
    value = 0.5 * np.log1p(r) + 0.5 * alpha * np.log1p(v / noise) - 0.5 * (r * e + alpha * a * v - f)
    assert found.value[0] == pytest.approx(value, rel=1e-9)
    assert found.value[0] == pytest.approx(0.5 * np.mean(np.log1p(eigenvalues / noise)), rel=1e-11)


def relu_after(spectrum, w2, o2):
    """The replica value of two relu layers by theory (12) itself: its one root, by bisection within plain iteration."""
    from mfmi.channels.exact.channel import exact_channel

    relative = np.sort(spectrum.eigenvalues) * w2
    phi = get("relu")

    def forward(e, r):
        """V and A from E and r: theory (12) at alpha 1."""
        theta = r * e
        x = brentq(lambda x: np.mean((1 - theta) / (relative * x + (1 - theta) ** 2)) - 1.0, 1e-14, 1e14, rtol=1e-14)
        return theta * e / x, x / e

    def backward(a, v):
        """R and E from A and V."""
        theta = a * v
        x = brentq(lambda x: np.mean((1 - theta) / (relative * x + (1 - theta) ** 2)) - 1.0, 1e-14, 1e14, rtol=1e-14)
        return theta * a / x

    log_volume = functools.partial(lambda x, t: 2 * t + np.mean(np.log(relative * x + (1 - t) ** 2)))
    v_1, v_2 = w2, 0.5 * w2 * w2
    for _ in range(400):
        a_2 = 1.0 / (o2 + v_2)
        r_1 = backward(a_2, v_2)
        j, e_1, a_1 = (float(part[0]) for part in exact_channel(phi, [r_1], [v_1], [w2], order=5))
        r_0 = backward(a_1, v_1)
        e_0 = 1.0 / (1.0 + r_0)
        new_1, new_2 = forward(e_0, r_0)[0], forward(e_1, r_1)[0]
        moved = abs(np.log(new_1 / v_1)) + abs(np.log(new_2 / v_2))
        v_1, v_2 = np.sqrt(new_1 * v_1), np.sqrt(new_2 * v_2)
        if moved < 1e-7:
            break
    bracket = r_0 * e_0 + a_1 * v_1 - log_volume(a_1 * e_0, a_1 * v_1)
    bracket += r_1 * e_1 + a_2 * v_2 - log_volume(a_2 * e_1, a_2 * v_2)
    return 0.5 * np.log1p(r_0) + j + 0.5 * np.log1p(v_2 / o2) - 0.5 * bracket


def test_theory_12_around_an_activation():
    spectrum = WeightSpectrum.from_eigenvalues([0.3, 0.8, 1.0, 1.9], "mild")
    found = evaluate(Weights((spectrum,)), depth=[2], sigma_w=1.0, sigma_noise=0.5, estimators=["replica"])
    assert found["mi_replica"][0] == pytest.approx(relu_after(spectrum, 1.0, 0.25), rel=1e-5)


@pytest.mark.parametrize("case", [case for case in CASES if "Linear-I" in case["id"]], ids=lambda case: case["id"])
def test_reference_of_one_ensemble_per_layer(case):
    weights = Weights.from_layers([kind for kind, _, _ in case["weights"]])
    noise = np.sqrt(case["layers"][-1][1])
    found = evaluate(weights, "linear", depth=[2], sigma_w=1.0, sigma_noise=noise, estimators=["linear", "replica"])
    assert found["mi_replica"][0] == pytest.approx(case["exact_mi"], rel=1e-9)
    assert found["mi_linear"][0] == pytest.approx(case["exact_mi"], rel=1e-9)


def test_the_last_ensemble_holds_for_all_that_follow():
    first = evaluate(Weights.from_layers(["gaussian", "orthogonal"]), "relu")
    again = evaluate(Weights.from_layers(["gaussian", "orthogonal", "orthogonal"]), "relu")
    assert_same(first, again, 0.0)
    assert first["mi_linear"][0] == pytest.approx(marchenko_pastur(1.3**2 / 0.01), rel=1e-9)
    between = [evaluate(name, "relu")["mi_replica"] for name in ("gaussian", "orthogonal")]
    assert np.all((first["mi_replica"][1:] > between[0][1:]) & (first["mi_replica"][1:] < between[1][1:]))


@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize("act", ["relu", pytest.param("leaky_relu(0.1)", marks=pytest.mark.slow)])
def test_order_of_the_bounds(act, noise_at):
    """Many eigenvalues at and near 0, several alpha; orthogonal weights of the same mean eigenvalue keep more."""
    for alpha, spectrum in (((), WIDE), ((0.7, 1.5, 0.9), np.append(WIDE, np.zeros(100))), ((2.0, 0.9, 1.1), WIDE)):
        weights = Weights.from_spectrum(spectrum, "wide")
        for sigma_noise in (0.03, 0.5):
            point = {"noise_at": noise_at, "sigma_noise": sigma_noise, "sigma_b": 0.2, "input_variance": 1.5}
            found = evaluate(weights, act, alpha=alpha, **point)
            value = found["mi_replica"]
            for name in LOWER:
                assert np.all(np.isnan(found[f"mi_{name}"]) | (found[f"mi_{name}"] <= value * (1.0 + 1e-5) + 1e-8)), (
                    name
                )
            assert np.all(found["mi_gaussian_upper"] >= value * (1.0 - 1e-5))
            assert np.all((found["efficiency"] > 0.0) & (found["efficiency"] <= 1.0 + 1e-12))
            best = evaluate("orthogonal", act, alpha=alpha, **point)
            for name in ("mi_replica", "mi_linear"):
                assert np.all(best[name] >= found[name] * (1.0 - 1e-9))
            if noise_at == "every" and not alpha:
                assert np.all(np.diff(value) < 0.0)


@pytest.mark.thorough
def test_the_smallest_of_many_minima_is_found():
    """Closed lower bounds have several in deep chains at low noise; one that is missed can be above the upper bound."""
    eigenvalues = np.exp(np.random.default_rng(0).normal(0.0, 1.0, 784))
    names = ["layerwise", "fisher", "gaussian_upper"]
    point = {"sigma_w": 1.6, "sigma_b": [0.014, 0.229], "sigma_noise": [0.0134, 0.009]}
    found = evaluate(Weights.from_spectrum(eigenvalues), "tanh", [20, 100], (), names, **point)
    for name in names[:2]:
        assert np.all(found[f"mi_{name}"] <= found["mi_gaussian_upper"])


def test_points_do_not_change_each_other():
    weights = (Weights.from_spectrum(WIDE, "wide"), Weights.from_layers(["orthogonal", "gaussian"]))
    model = Model(weights=weights)
    labels = ["gaussian", weights[1].label, weights[0].label, weights[0].label]
    points = Points.of("relu", [1.0, 1.1, 1.2, 1.5], weights=labels, noise_at=["output", "every"] * 2)
    together = evaluate_points(points, [2, 5], ESTIMATORS, model=model)
    numbers = [name for name, values in together.items() if values.dtype == np.float64]
    assert {f"mi_{name}" for name in ESTIMATORS} < set(numbers)
    for i in range(len(points)):
        alone = evaluate_points(points[i : i + 1], [5, 2], ESTIMATORS, model=model)
        for name in numbers:
            own = together[name][2 * i : 2 * i + 2]
            np.testing.assert_allclose(own, alone[name][::-1], rtol=1e-12, err_msg=name)


@pytest.mark.thorough
@pytest.mark.parametrize("noise_at", ["output", "every"])
def test_best_linear_decoder_of_finite_networks(noise_at):
    weights = Weights.from_layers(
        [Weights.from_spectrum(np.exp(np.random.default_rng(2).normal(0, 1.5, 99)), "s"), "gaussian"]
    )
    law = NetworkLaw(get("relu"), (80, 120, 80), 1.2, 0.3, 0.4, noise_at, weights)
    found = evaluate(
        weights, "relu", [1, 2], ratios_of(law.widths), ["linear"], sigma_w=1.2, sigma_b=0.3, sigma_noise=0.4,
        noise_at=noise_at,
    )  # fmt: skip
    samples = over_networks(functools.partial(measure_decoder, samples=20_000), law, networks=8, seed=5)
    measured = average(sample.information for sample in samples)
    # The theory is that of wide layers: its error at this width is about one part in the width.
    allowed = 4.0 * measured.standard_error + 0.015 * found["mi_linear"]
    assert np.all(np.abs(measured.mean - found["mi_linear"]) < allowed)


@pytest.mark.slow
def test_replica_value_of_finite_networks():
    """Nested Monte Carlo of narrow networks, output noise: no closer than a few percent."""
    weights = Weights.from_spectrum([0.1, 0.4, 1.0, 3.0], "s")
    law = NetworkLaw(get("relu"), (8, 8, 8), 1.2, 0.3, 0.7, "output", weights)
    found = evaluate(weights, "relu", [2], (), ["replica"], sigma_w=1.2, sigma_b=0.3, sigma_noise=0.7)
    samples = over_networks(measure_information, law, networks=30, seed=5)
    middle, value = average(0.5 * (sample.lower + sample.upper) for sample in samples), found["mi_replica"][0]
    assert abs(middle.mean - value) < 3.0 * middle.standard_error + 0.02 * value


def test_jacobian_moments_of_finite_matrices():
    spectrum, widths = (
        WeightSpectrum.from_eigenvalues(np.exp(np.random.default_rng(4).normal(0, 1, 60)), "s"),
        (600, 900, 700),
    )
    weights, rng = Weights((spectrum, "gaussian")), np.random.default_rng(5)
    phi, one = get("relu"), np.ones(1)
    path = trajectory(phi, 1.44 * one, 0.0 * one, 0.0 * one, one, one, 2)
    alpha = np.array(ratios_of(widths))
    mean, variance = jacobian_moments(phi, path, 1.44, weights.eigenvalue_spread(alpha), alpha)
    matrices = [spectrum_matrix(spectrum, 900, 600, 1.2, rng), rng.standard_normal((700, 900)) * 1.2 / 30.0]
    jacobian = matrices[1] @ (matrices[0] * (rng.permutation(900) < 450)[:, None])
    for layer, one_layer in enumerate((matrices[0], jacobian)):
        squares = np.linalg.eigvalsh(one_layer @ one_layer.T)
        assert mean[0, layer] == pytest.approx(np.mean(squares), rel=0.02)
        assert variance[0, layer] == pytest.approx(np.var(squares), rel=0.05)


def test_singular_values_of_zero_leave_entropy_power_to_the_observed_layer():
    found = evaluate(Weights.from_spectrum([0.0, 1.0, 2.0], "s"), "tanh", estimators=["entropy_power"])
    assert np.isfinite(found["mi_entropy_power"][0])
    assert np.isnan(found["mi_entropy_power"][1:]).all()


@pytest.mark.parametrize("power", [0.5, 8.0])
def test_few_nodes_stand_for_many_eigenvalues(power):
    values = np.sort(np.random.default_rng(6).uniform(0.0, 1.0, 3000) ** power)
    values[:10] = 0.0
    nodes, weights = reduced(values, np.full(3000, 1 / 3000))
    assert len(nodes) <= min(600, 12 * (2 + np.log(values[-1] / values[10])))
    assert weights.sum() == pytest.approx(1.0, rel=1e-14)
    for t in 10.0 ** np.arange(-3, 16, 2):
        assert np.log1p(t * nodes) @ weights == pytest.approx(np.mean(np.log1p(t * values)), rel=1e-12)
        assert (1 / (1 + t * nodes)) @ weights == pytest.approx(np.mean(1 / (1 + t * values)), rel=1e-12)


def test_a_matrix_gives_its_shape_and_its_singular_values():
    rng = np.random.default_rng(7)
    matrix = rng.standard_normal((30, 20))
    found = WeightSpectrum.from_matrix(matrix, "w.npy")
    assert (found.name, found.shape) == ("matrix(w.npy)", (30, 20))
    squares = np.linalg.eigvalsh(matrix.T @ matrix)
    np.testing.assert_allclose(found.eigenvalues, squares / squares.mean(), rtol=1e-12)
    assert found.sigma_w == pytest.approx(np.sqrt(20 * np.mean(matrix**2)))
    # At its own deviation the mean eigenvalue is its own.
    assert found.law(1.5).largest * 1.5 * found.sigma_w**2 == pytest.approx(squares.max())
    narrow = WeightSpectrum.from_matrix(matrix.T, "w")
    assert np.count_nonzero(narrow.eigenvalues == 0.0) == 10
    np.testing.assert_allclose(narrow.quantiles(20 / 30, 20), found.quantiles(1.5, 20), rtol=1e-9)


def test_rounding_of_zero_is_zero():
    matrix = np.random.default_rng(8).standard_normal((10, 16))
    by_eigenvalues = WeightSpectrum.from_eigenvalues(np.linalg.eigvalsh(matrix.T @ matrix), "w")
    assert np.count_nonzero(by_eigenvalues.eigenvalues == 0.0) == 6
    np.testing.assert_allclose(by_eigenvalues.eigenvalues, WeightSpectrum.from_matrix(matrix).eigenvalues, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Weights.from_spectrum([]), "a list of numbers"),
        (lambda: Weights.from_spectrum([[1.0]]), r"a list of numbers, not of shape \(1, 1\)"),
        (lambda: Weights.from_spectrum([1.0, np.nan]), "must be finite, not nan"),
        (lambda: Weights.from_spectrum([1.0, -0.1]), "at least 0, not -0.1"),
        (lambda: Weights.from_spectrum([0.0, 0.0]), "must not all be 0"),
        (lambda: Weights.from_matrix(np.zeros((2, 3))), "must not all be 0"),
        (lambda: Weights.from_matrix([1.0]), "rows and columns"),
        (lambda: Weights.from_matrix([[np.inf]]), "must be finite"),
        (lambda: Weights.from_layers([]), "no layer is named"),
        (lambda: Weights.from_layers(["uniform"]), "gaussian, orthogonal, not 'uniform'"),
        (
            lambda: Model((0.5,), weights=(Weights.from_spectrum([0, 1, 1]),)),
            "0.3333 of the eigenvalues .* at least 0.5",
        ),
        (lambda: Model(weights=(Weights.from_matrix(np.eye(3)[:2]),)), "2 rows and 3 columns, a ratio of 0.6"),
        (lambda: Model((1.0,), weights=(Weights.from_layers(["gaussian"] * 2),)), "of 2 layers in a network of 1"),
    ],
)
def test_wrong_weights_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_equal_spectra_have_one_name_and_others_another():
    one, same, other = (Weights.from_spectrum(values) for values in ([1.0, 2.0], [2.0, 4.0], [1.0, 3.0]))
    assert one == same != other
    assert one.label == same.label != other.label
    assert replace(Model(), weights=(one,)).known_weights == ("gaussian", "orthogonal", one.label)
