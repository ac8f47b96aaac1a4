"""Convolutions and symmetry groups: capacity against explicit matrices."""

from itertools import product
from math import log, prod

import numpy as np
import pytest
from scipy.sparse.linalg import svds

from mfmi.attainable import Architecture, Convolution, Dense, InputCovariance, capacity, named_group, orbits, reynolds


def convolution_matrix(kernel, sizes, stride):
    """Build the matrix of a periodic convolution, entry by entry, from a kernel of shape (out, in, *taps)."""
    channels_out, channels_in, *taps = kernel.shape
    out_sizes = [size // step for size, step in zip(sizes, stride, strict=True)]
    matrix = np.zeros((channels_out, *out_sizes, channels_in, *sizes))
    for o, i in product(range(channels_out), range(channels_in)):
        for place in product(*map(range, out_sizes)):
            for tap in product(*map(range, taps)):
                seen = tuple((p * s + t) % n for p, s, t, n in zip(place, stride, tap, sizes, strict=True))
                matrix[(o, *place, i, *seen)] += kernel[(o, i, *tap)]
    return matrix.reshape(channels_out * prod(out_sizes), channels_in * prod(sizes))


def information(matrix, covariance, noise_variance):
    return 0.5 * np.linalg.slogdet(np.eye(len(matrix)) + matrix @ covariance @ matrix.T / noise_variance)[1]


def stationary_covariance(rng, channels, sizes):
    """Draw a random covariance that periodic translations leave alone."""
    root = convolution_matrix(rng.normal(size=(channels, channels, *sizes)), sizes, [1] * len(sizes))
    return root @ root.T


CASES = [
    ("1-D, plain", 2, (6,), [Convolution(2, (3,), (1,))]),
    ("1-D, fewer channels", 3, (6,), [Convolution(1, (6,), (1,))]),
    ("1-D, stride", 2, (6,), [Convolution(3, (3,), (2,))]),
    ("1-D, two layers", 2, (12,), [Convolution(1, (5,), (1,)), Convolution(4, (4,), (3,))]),
    ("1-D, kernel under stride", 2, (8,), [Convolution(5, (2,), (4,))]),
    ("1-D, then dense", 2, (6,), [Convolution(3, (3,), (2,)), Dense(4)]),
    ("2-D, stride", 2, (4, 6), [Convolution(3, (3, 2), (2, 2))]),
    ("2-D, uneven stride and dense", 1, (4, 4), [Convolution(2, (2, 4), (1, 4)), Dense(7), Dense(9)]),
]


def random_network(rng, architecture):
    """Draw the matrices of a random network of this architecture, each of norm 1."""
    matrices, sizes, fan_in = [], architecture.sizes, architecture.channels
    for stage in architecture.stages:
        if isinstance(stage.layer, Dense):
            matrix = rng.normal(size=(stage.layer.width, fan_in * prod(sizes)))
            fan_in = stage.layer.width
        else:
            kernel = rng.normal(size=(stage.layer.channels, fan_in, *stage.layer.kernel))
            matrix = convolution_matrix(kernel, sizes, stage.layer.stride)
            fan_in = stage.layer.channels
        sizes = stage.sizes
        matrices.append(matrix / np.linalg.norm(matrix, 2))
    return matrices


@pytest.mark.parametrize("colour", ["white", "stationary", "any"])
@pytest.mark.parametrize(("channels", "sizes", "layers"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_no_convolutional_network_exceeds_the_capacity(channels, sizes, layers, colour):
    rng = np.random.default_rng(len(sizes) + channels)
    architecture = Architecture.from_layers(channels, sizes, layers)
    n_0 = architecture.n_0
    matrix = {
        "white": np.eye(n_0),
        "stationary": stationary_covariance(rng, channels, sizes),
        "any": np.cov(rng.normal(size=(n_0, 2 * n_0))),
    }[colour]
    covariance = InputCovariance.white(n_0) if colour == "white" else InputCovariance.from_matrix(matrix)
    found = capacity(architecture, np.ones(len(layers)), 1.0, 0.05, covariance)
    assert found.is_supremum == (colour == "white")
    assert found.ceiling >= found.attained * (1.0 - 1e-12)
    for _ in range(20):
        through = np.eye(n_0)
        for matrix_of_layer in random_network(rng, architecture):
            through = matrix_of_layer @ through
        assert information(through, matrix, 0.05) <= found.attained * (1.0 + 1e-12)


@pytest.mark.parametrize(
    ("channels", "sizes", "stride", "taps", "out"),
    [
        (2, (6,), (2,), (2,), 3),
        (2, (6,), (3,), (2,), 5),
        (2, (4, 6), (2, 3), (2, 3), 5),
        (1, (4, 4), (2, 2), (2, 2), 4),
    ],
)
def test_isometric_patches_reach_the_white_capacity(channels, sizes, stride, taps, out):
    """A kernel that is an isometry on each patch; where it is shorter than the stride it misses positions."""
    layer = Convolution(out, taps, stride)
    architecture = Architecture.from_layers(channels, sizes, [layer])
    kernel = np.eye(out, channels * prod(taps)).reshape(out, channels, *taps)
    matrix = convolution_matrix(kernel, sizes, stride)
    found = capacity(architecture, [1.0], 1.0, 0.3, InputCovariance.white(architecture.n_0, 2.0))
    assert information(matrix, 2.0 * np.eye(architecture.n_0), 0.3) == pytest.approx(found.attained, rel=1e-12)


def test_ideal_filters_reach_the_coloured_capacity():
    """At each frequency of the output the best of the directions that fold onto it, chosen by an explicit matrix."""
    rng = np.random.default_rng(5)
    covariance = stationary_covariance(rng, 2, (8,))
    found = capacity(
        Architecture.from_layers(2, (8,), [Convolution(1, (8,), (2,))]),
        [1.0],
        1.0,
        0.1,
        InputCovariance.from_matrix(covariance),
    )
    fourier = np.kron(np.eye(2), np.fft.fft(np.eye(8)) / np.sqrt(8.0))
    blocks = fourier @ covariance @ fourier.conj().T
    by_hand = 0.0
    for f in range(4):
        entries = [channel * 8 + alias for channel in range(2) for alias in (f, f + 4)]
        best = np.linalg.eigvalsh(blocks[np.ix_(entries, entries)])[-1]
        by_hand += 0.5 * log(1.0 + best / 0.1)
    assert found.attained == pytest.approx(by_hand, rel=1e-11)


def test_frequencies_hold_the_whole_spectrum_of_a_stationary_covariance():
    covariance = InputCovariance.from_matrix(stationary_covariance(np.random.default_rng(2), 2, (3, 4)))
    spectra = covariance.per_frequency(2, (3, 4))
    assert spectra.shape == (3, 4, 2)
    assert np.sort(spectra.ravel())[::-1] == pytest.approx(covariance.eigenvalues, rel=1e-10)


def test_an_early_bottleneck_counts_before_the_stride_folds():
    """One channel at each of 4 frequencies: the first layer keeps one direction at each, not the best two of a pair."""
    strong = stationary_covariance(np.random.default_rng(8), 2, (4,))
    covariance = InputCovariance.from_matrix(strong)
    layers = [Convolution(1, (4,), (1,)), Convolution(8, (4,), (2,))]
    found = capacity(Architecture.from_layers(2, (4,), layers), [1.0, 1.0], 1.0, 1.0, covariance)
    tops = covariance.per_frequency(2, (4,))[:, 0]
    assert found.attained == pytest.approx(0.5 * np.log1p(tops).sum(), rel=1e-12)
    assert found.bottleneck == 1


@pytest.mark.parametrize(("taps", "stride"), [((4,), (1,)), ((4,), (2,)), ((5,), (2,)), ((1,), (2,))])
def test_gains_of_large_gaussian_convolutions(taps, stride):
    rng = np.random.default_rng(1)
    channels_in, channels_out, sizes = 80, 120, (6,)
    stage = Architecture.from_layers(channels_in, sizes, [Convolution(channels_out, taps, stride)]).stages[0]
    kernel = rng.normal(size=(channels_out, channels_in, *taps)) * np.sqrt(1.3 / (channels_in * prod(taps)))
    norm = svds(convolution_matrix(kernel, sizes, stride), k=1, return_singular_vectors=False)[0] ** 2
    assert norm == pytest.approx(stage.initial_gain("gaussian", 1.3), rel=0.1)
    tap = np.zeros((channels_out, channels_in, *taps))
    tap[..., 0] = np.linalg.qr(rng.normal(size=(channels_out, channels_out)))[0][:, :channels_in]
    tap *= np.sqrt(1.3 * channels_out / channels_in)
    norm = svds(convolution_matrix(tap, sizes, stride), k=1, return_singular_vectors=False)[0] ** 2
    assert norm == pytest.approx(stage.initial_gain("orthogonal", 1.3), rel=1e-12)


def group_average(generators):
    """Average all elements of the group, found by multiplying until nothing new appears."""
    n = len(generators[0])
    elements, fresh = {tuple(range(n))}, [tuple(range(n))]
    while fresh:
        found = {tuple(g[i] for i in e) for e in fresh for g in generators} - elements
        elements |= found
        fresh = list(found)
    return np.mean([np.eye(n)[list(e)] for e in elements], axis=0)


@pytest.mark.parametrize(
    "generators",
    [[[1, 2, 3, 0]], [[1, 0, 2, 3], [1, 2, 3, 0]], [[3, 2, 1, 0]], [[1, 0, 2, 3, 4], [0, 1, 4, 3, 2]]],
)
def test_reynolds_operator_is_the_average_over_the_group(generators):
    rng = np.random.default_rng(4)
    covariance = np.cov(rng.normal(size=(len(generators[0]), 20)))
    average = group_average(generators)
    expected = average @ covariance @ average
    assert reynolds(covariance, orbits(generators)) == pytest.approx(expected, abs=1e-13)
    matrices = [np.eye(len(g))[:, g] for g in generators]
    assert reynolds(covariance, orbits(matrices)) == pytest.approx(expected, abs=1e-13)
    projected = InputCovariance.from_matrix(covariance).projected(orbits(generators))
    assert projected.eigenvalues == pytest.approx(np.linalg.eigvalsh(expected)[::-1], abs=1e-13)


def test_named_groups_are_what_their_generators_make():
    shift_rows = np.roll(np.arange(12).reshape(3, 4), 1, axis=0).ravel()
    shift_columns = np.roll(np.arange(12).reshape(3, 4), 1, axis=1).ravel()
    assert np.array_equal(named_group("translations", [3, 4]), orbits([shift_rows, shift_columns]))
    flip_rows = np.flip(np.arange(12).reshape(3, 4), 0).ravel()
    flip_columns = np.flip(np.arange(12).reshape(3, 4), 1).ravel()
    assert np.array_equal(named_group("reflections", [3, 4]), orbits([flip_rows, flip_columns]))
    assert named_group("permutations", [3], channels=2).tolist() == [0, 0, 0, 1, 1, 1]
    assert named_group("reflections", [3], channels=2).tolist() == [0, 1, 0, 2, 3, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: named_group("rotations", [3]), "group"),
        (lambda: named_group("reflections", []), "sizes"),
        (lambda: orbits([]), "generators"),
        (lambda: orbits([[0, 0, 1]]), "permutation"),
        (lambda: orbits([[1, 0], [0, 1, 2]]), "one length"),
        (lambda: orbits([[[0.5, 0.5], [0.5, 0.5]]]), "permutation matrices"),
        (lambda: InputCovariance.white(3).projected(orbits([[1, 0]])), "group"),
        (lambda: Architecture.from_layers(1, (5,), [Convolution(1, (3,), (2,))]), "stride"),
        (lambda: Architecture.from_layers(1, (4,), [Convolution(1, (5,), (1,))]), "kernel"),
        (lambda: Architecture.from_layers(1, (4,), [Convolution(1, (3, 3), (1, 1))]), "axes"),
        (lambda: Architecture.from_layers(1, (4,), [Dense(3), Convolution(1, (1,), (1,))]), "cannot follow"),
        (lambda: Architecture.from_layers(0, (4,), [Dense(3)]), "shape"),
        (lambda: Architecture.from_layers(1, (4,), []), "layers"),
        (lambda: InputCovariance.white(5).per_frequency(2, (3,)), "entries"),
        (lambda: InputCovariance.from_spectrum([2.0, 1.0]).per_frequency(1, (2,)), "spectrum"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
