"""Capacity and ceiling (theory (22), (23)): by hand, against random networks, and at the edges of their arguments."""

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfmi.attainable import (
    Architecture,
    InputCovariance,
    attained,
    capacity,
    efficiency,
    initial_gain,
    log_total_gain,
    named_group,
)

# name, widths, gains, lip, noise variance, input eigenvalues, and C and C+ worked by hand.
BY_HAND = [
    ("one white layer", (3, 3), (4.0,), 1.0, 1.0, (2.0, 2.0, 2.0), 1.5 * log(9.0), 1.5 * log(9.0)),
    ("bottleneck", (4, 2, 4), (2.0, 3.0), 1.0, 2.0, (1.0,) * 4, log(4.0), 2.0 * log(2.5)),
    (
        "slopes count twice a layer",
        (2, 2, 2, 2),
        (1.0, 1.0, 1.0),
        0.5,
        1.0 / 16.0,
        (15.0, 3.0),
        0.5 * log(64.0),
        log(10.0),
    ),
    ("the widest directions pass", (3, 2), (1.0,), 7.0, 1.0, (3.0, 24.0, 8.0), 0.5 * log(25.0 * 9.0), log(17.0)),
    ("more outputs than inputs", (1, 5), (10.0,), 1.0, 2.0, (3.0,), 0.5 * log(16.0), 2.5 * log(4.0)),
    ("an input direction that is absent", (3, 3), (3.0,), 1.0, 1.0, (1.0, 1.0, 0.0), log(4.0), 1.5 * log(3.0)),
]


@pytest.mark.parametrize(
    ("widths", "gains", "lip", "noise", "spectrum", "c", "ceiling"),
    [case[1:] for case in BY_HAND],
    ids=[case[0] for case in BY_HAND],
)
def test_worked_by_hand(widths, gains, lip, noise, spectrum, c, ceiling):
    found = capacity(Architecture.from_widths(widths), gains, lip, noise, InputCovariance.from_spectrum(spectrum))
    assert found.attained == pytest.approx(c, rel=1e-13)
    assert found.ceiling == pytest.approx(ceiling, rel=1e-13)
    assert found.is_supremum


def linear_information(weights, covariance, noise_variance):
    """Exact information through a linear network, total nats."""
    product = np.linalg.multi_dot([*weights[::-1], np.eye(weights[0].shape[1])]) if len(weights) > 1 else weights[0]
    output = np.eye(len(product)) + product @ covariance @ product.T / noise_variance
    return 0.5 * np.linalg.slogdet(output)[1]


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    log_noise=st.floats(-4.0, 2.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_linear_network_exceeds_the_capacity_and_isometry_reaches_it(widths, log_noise, seed):
    rng = np.random.default_rng(seed)
    gains = np.exp(rng.normal(size=len(widths) - 1))
    root = rng.normal(size=(widths[0], widths[0]))
    covariance, noise = root @ root.T, np.exp(log_noise)
    found = capacity(Architecture.from_widths(widths), gains, 1.0, noise, InputCovariance.from_matrix(covariance))
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    for _ in range(30):
        weights = [rng.normal(size=shape) for shape in shapes]
        limited = [w * sqrt(g) / np.linalg.norm(w, 2) for w, g in zip(weights, gains, strict=True)]
        assert linear_information(limited, covariance, noise) <= found.attained * (1.0 + 1e-12) + 1e-14
    _, vectors = np.linalg.eigh(covariance)
    best = [sqrt(g) * np.eye(*shape) for g, shape in zip(gains, shapes, strict=True)]
    best[0] = best[0] @ vectors[:, ::-1].T
    assert linear_information(best, covariance, noise) == pytest.approx(found.attained, rel=1e-10, abs=1e-14)
    assert found.ceiling >= found.attained * (1.0 - 1e-12)


def scalar_input_information(network, noise_variance, outputs):
    """Information of a standard normal number through a network with one or two noisy outputs, on grids, in nats."""
    x = np.linspace(-7.0, 7.0, 1401)
    p = np.exp(-(x**2) / 2.0)
    p /= p.sum()
    y = network(x[None, :])
    s = sqrt(noise_variance)
    axes = [np.linspace(row.min() - 8.0 * s, row.max() + 8.0 * s, 1 + int((np.ptp(row) / s + 16.0) * 5.0)) for row in y]
    bumps = [np.exp(-((a[:, None] - row) ** 2) / (2.0 * noise_variance)) for a, row in zip(axes, y, strict=True)]
    density = bumps[0] @ p if outputs == 1 else (bumps[0] * p) @ bumps[1].T
    density /= density.sum()
    cell = np.prod([a[1] - a[0] for a in axes])
    entropy = -np.sum(density * np.log(np.maximum(density, 1e-300) / cell))
    return entropy - outputs * 0.5 * log(2.0 * np.pi * np.e * noise_variance)


def test_the_grids_know_a_linear_channel():
    assert scalar_input_information(lambda x: 3.0 * x, 0.25, 1) == pytest.approx(0.5 * log(37.0), abs=1e-6)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("phi", [np.tanh, np.sin, lambda u: np.maximum(u, 0.0)], ids=["tanh", "sin", "relu"])
def test_no_network_exceeds_the_ceiling(phi, outputs):
    """Random biased networks of one input, at random noise; the nearest reach more than half of it."""
    rng = np.random.default_rng(7 + outputs)
    shares = []
    for _ in range(40):
        widths = [1, *rng.integers(1, 5, size=rng.integers(1, 3)), outputs]
        noise = np.exp(rng.uniform(-3.0, 2.0))
        gains = np.exp(rng.uniform(-3.0, 1.0, size=len(widths) - 1))
        weights = [rng.normal(size=shape) for shape in zip(widths[1:], widths[:-1], strict=True)]
        weights = [w * sqrt(g) / np.linalg.norm(w, 2) for w, g in zip(weights, gains, strict=True)]
        biases = [rng.normal(size=(w.shape[0], 1)) for w in weights]

        def network(x, weights=weights, biases=biases):
            y = weights[0] @ x + biases[0]
            for w, b in zip(weights[1:], biases[1:], strict=True):
                y = w @ phi(y) + b
            return y

        ceiling = capacity(Architecture.from_widths(widths), gains, 1.0, noise, InputCovariance.white(1)).ceiling
        information = scalar_input_information(network, noise, outputs)
        assert information <= ceiling + 1e-7
        shares.append(information / ceiling)
    assert max(shares) > 0.6


@pytest.mark.parametrize("phi", [np.tanh, np.sin])
def test_the_ceiling_is_reached_at_small_amplitude(phi):
    gains, noise = [1e-3, 2.0], 1e-4
    ceiling = capacity(Architecture.from_widths([1, 1, 1]), gains, 1.0, noise, InputCovariance.white(1)).ceiling
    information = scalar_input_information(lambda x: sqrt(2.0) * phi(sqrt(1e-3) * x), noise, 1)
    assert 0.995 * ceiling < information <= ceiling


def test_overflowing_gains_stay_numbers():
    deep = Architecture.from_widths([4] * 601)
    found = capacity(deep, np.full(600, 16.0), 1.0, 0.01, InputCovariance.white(4))
    assert found.log_gain == pytest.approx(600.0 * log(16.0))
    assert found.attained == pytest.approx(2.0 * (600.0 * log(16.0) + log(100.0)))


def test_infinite_slope_counts_from_the_second_layer():
    white = InputCovariance.white(2)
    assert np.isfinite(capacity(Architecture.from_widths([2, 2]), [1.0], np.inf, 1.0, white).attained)
    assert capacity(Architecture.from_widths([2, 2, 2]), [1.0, 1.0], np.inf, 1.0, white).attained == np.inf


def test_explain_names_the_bottleneck():
    found = capacity(Architecture.from_widths([8, 6, 3, 5]), [1.0, 2.0, 3.0], 1.0, 0.1, InputCovariance.white(8))
    assert found.bottleneck == 2
    assert [layer.rank for layer in found.layers] == [8, 6, 3, 5]
    assert found.layers[2].limit == pytest.approx(found.attained)
    assert [layer.limit for layer in found.layers] == pytest.approx([r * 0.5 * log(61.0) for r in (8, 6, 3, 5)])
    wide = capacity(Architecture.from_widths([2, 6, 3]), [1.0, 2.0], 1.0, 0.1, InputCovariance.white(2))
    assert wide.bottleneck == 0


@pytest.mark.parametrize(("rows", "columns"), [(200, 200), (240, 80), (80, 240)])
def test_initial_gains_are_those_of_large_matrices(rows, columns):
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(rows, columns)) * sqrt(1.7 / columns)
    assert np.linalg.norm(matrix, 2) ** 2 == pytest.approx(initial_gain("gaussian", 1.7, rows / columns), rel=0.1)
    frame = np.linalg.qr(rng.normal(size=(max(rows, columns),) * 2))[0][:rows, :columns]
    frame *= sqrt(1.7 / columns / np.mean(frame**2))
    assert np.linalg.norm(frame, 2) ** 2 == pytest.approx(initial_gain("orthogonal", 1.7, rows / columns), rel=0.01)


def test_rates_of_square_layers_are_the_capacity_per_input():
    widths = [5] * 5
    for weights, gain in (("gaussian", 4.0 * 1.3), ("orthogonal", 1.3)):
        whole = capacity(Architecture.from_widths(widths), [gain] * 4, 0.8, 0.2, InputCovariance.white(5, 2.0))
        rates = attained(weights, 1.3, 0.8, 0.2, 2.0, np.arange(1, 5))
        assert rates.shape == (4,)
        assert rates[-1] == pytest.approx(whole.attained / 5, rel=1e-13)
        assert rates[-1] == pytest.approx(whole.ceiling / 5, rel=1e-13)
        assert efficiency(0.3, rates)[-1] == pytest.approx(whole.efficiency(0.3), rel=1e-13)
    spectrum = np.array([3.0, 1.0, 0.0])
    rate = attained("orthogonal", [[1.3], [0.0]], 0.8, 0.2, 2.0, [1, 2], spectrum)
    whole = capacity(
        Architecture.from_widths([3] * 3), [1.3] * 2, 0.8, 0.2, InputCovariance.from_spectrum(2.0 * spectrum)
    )
    assert rate.shape == (2, 2)
    assert rate[0, 1] == pytest.approx(whole.attained / 3, rel=1e-13)
    assert (rate[1] == 0.0).all()
    assert np.isnan(efficiency([0.1, 0.1], [np.inf, 0.0])).all()


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("spectrum", [None, [5.0, 3.0, 2.0, 2.0, 0.0, 0.0]])
def test_rates_of_unequal_layers_are_the_capacity_per_input(weights, spectrum):
    widths = [6, 12, 3, 9]
    architecture = Architecture.from_widths(widths)
    covariance = InputCovariance.white(6, 2.0) if spectrum is None else InputCovariance.from_spectrum(spectrum)
    alpha = np.array(widths[1:]) / widths[:-1]
    relative = None if spectrum is None else np.array(spectrum) / 2.0
    rates = attained(weights, 1.3, 0.8, 0.2, 2.0, [1, 2, 3], relative, alpha)
    for depth, rate in enumerate(rates, 1):
        cut = Architecture.from_widths(widths[: depth + 1])
        whole = capacity(cut, architecture.initial_gains(weights, 1.3)[:depth], 0.8, 0.2, covariance)
        assert rate == pytest.approx(whole.attained / 6, rel=1e-13)
    half = attained(weights, 1.3, 0.8, 0.2, 2.0, 1, [2.0, 0.5], [0.75])  # the lesser half of the directions, by half
    first, second = attained(weights, 1.3, 0.8, 0.2, [2.0 * 2.0, 2.0 * 0.5], 1, None, [0.75]) / 0.75
    assert half == pytest.approx(0.5 * first + 0.25 * second, rel=1e-13)


def test_samples_give_the_spectrum_of_their_covariance():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(50, 4)) * [1.0, 2.0, 3.0, 0.0]
    found = InputCovariance.from_samples(samples)
    assert found.eigenvalues == pytest.approx(np.linalg.eigvalsh(np.cov(samples.T, ddof=0))[::-1], abs=1e-12)
    assert not found.is_white


def test_projection_counts_only_what_an_invariant_network_can_read():
    """By hand: ten exchangeable entries of variance 1 and covariance 0.2 have one invariant, of variance 2.8."""
    matrix = 0.8 * np.eye(10) + 0.2
    full = InputCovariance.from_matrix(matrix)
    labels = named_group("permutations", [10])
    found = capacity(
        Architecture.from_widths([10, 4]), [5.0], 1.0, 1.0, full.projected(labels), ceiling_covariance=full
    )
    assert found.attained == pytest.approx(0.5 * log(15.0), rel=1e-12)
    assert found.ceiling == pytest.approx(2.0 * log(1.0 + 5.0 * (2.8 + 3 * 0.8) / 4.0), rel=1e-12)
    blind = capacity(Architecture.from_widths([10, 4]), [5.0], 1.0, 1.0, InputCovariance.white(10).projected(labels))
    assert blind.attained == pytest.approx(0.5 * log(6.0), rel=1e-12)
    assert blind.ceiling == pytest.approx(2.0 * log(1.0 + 5.0 / 4.0), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gains": [1.0]}, "gains"),
        ({"gains": [1.0, -1.0]}, "gains"),
        ({"noise_variance": 0.0}, "noise_variance"),
        ({"lipschitz": -1.0}, "lipschitz"),
        ({"covariance": InputCovariance.white(4)}, "covariance"),
    ],
)
def test_bad_arguments_are_named(change, message):
    good = {"gains": [1.0, 1.0], "lipschitz": 1.0, "noise_variance": 0.1, "covariance": InputCovariance.white(3)}
    with pytest.raises(ValueError, match=message):
        capacity(Architecture.from_widths([3, 3, 3]), **(good | change))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: log_total_gain(0.0, -1.0, 2), "lipschitz"),
        (lambda: log_total_gain(0.0, 1.0, 0), "depth"),
        (lambda: attained("gaussian", -1.0, 1.0, 1.0, 1.0, 1), "sigma_w2"),
        (lambda: initial_gain("uniform", 1.0, 1.0), "weights"),
        (lambda: InputCovariance.white(0), "n_0"),
        (lambda: InputCovariance.white(2, -1.0), "variance"),
        (lambda: InputCovariance.from_spectrum([[1.0]]), "eigenvalues"),
        (lambda: InputCovariance.from_spectrum([1.0, -1.0]), "eigenvalues"),
        (lambda: InputCovariance.from_matrix([[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
        (lambda: InputCovariance.from_matrix([[1.0, 2.0], [2.0, 1.0]]), "semidefinite"),
        (lambda: InputCovariance.from_samples([[1.0, np.nan], [0.0, 1.0]]), "samples"),
        (lambda: InputCovariance.from_spectrum([2.0, 1.0]).projected(np.array([0, 0])), "spectrum"),
        (lambda: Architecture.from_widths([3]), "widths"),
        (lambda: Architecture.from_widths([3, 0]), "layer 1"),
    ],
)
def test_bad_inputs_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_constant_carries_nothing():
    white = InputCovariance.white(3)
    found = capacity(Architecture.from_widths([3, 3, 3]), [1.0, 1.0], 0.0, 0.1, white)
    assert (found.attained, found.ceiling, found.log_gain) == (0.0, 0.0, -np.inf)
    # Without a hidden layer there is no activation.
    alone = capacity(Architecture.from_widths([3, 3]), [1.0], 0.0, 0.1, white)
    assert alone.attained == pytest.approx(1.5 * log(11.0), rel=1e-12)
    assert attained("gaussian", 1.0, 0.0, 0.1, 1.0, [1, 2]).tolist() == [pytest.approx(0.5 * log(41.0)), 0.0]
