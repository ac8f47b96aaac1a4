"""The filter of a stream's scalar chain against importance sampling from its prior, path by path."""

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.channels.stream import total
from mfmi.channels.stream.lattice import kernels, lattices
from mfmi.meanfield import Architecture, propagate

PARTICLES, PATHS = 200_000, 8
CASES = {
    "plain": ("tanh", 4, {}),
    "biases": ("relu", 4, {"sigma_b2": 0.3, "norm": "layernorm"}),
    "noise in the branch": ("tanh", 4, {"hidden_noise": 0.3}),
    "little noise in the branch": ("gelu", 3, {"hidden_noise": 1e-4}),
    "noise in the stream": ("sin", 4, {"hidden_noise": 0.3, "noise_in": "stream"}),
    "a small branch": ("tanh", 6, {"branch": 0.02, "skip": 0.8}),
    "batchnorm": ("relu", 3, {"norm": "batchnorm", "sigma_b2": 0.2, "hidden_noise": 0.1}),
    "ten layers": ("tanh", 10, {"branch": 0.3}),
    "little noise at the end": ("gelu", 2, {"branch": 0.1, "skip": 0.5, "output_noise": 3e-3}),
    "little noise at the end of a stream": (
        "tanh",
        3,
        {"hidden_noise": 0.01, "noise_in": "stream", "output_noise": 5e-3},
    ),
}


def sampled(site: total.Site, m: np.ndarray, seen: np.ndarray, seed: int) -> total.Smoothed:
    """Everything that the filter finds, from particles that follow the prior and are weighted by the observations."""
    rng = np.random.default_rng(seed)
    depth, paths = m.shape
    log_p, out = np.empty(paths), np.empty((4, depth, paths))
    for path in range(paths):
        log_weight, parts, values = np.zeros(PARTICLES), [], []
        x = np.zeros(PARTICLES)
        for layer in range(depth):
            z = np.sqrt(site.added[layer]) * rng.standard_normal(PARTICLES)
            carried = np.sqrt(site.carried[layer]) * rng.standard_normal(PARTICLES)
            x = (site.skip[layer - 1] * x if layer else 0.0) + z + carried
            parts.append(z)
            h = m[layer, path] + x
            if layer < depth - 1:
                value = site.value(layer, h + np.sqrt(site.noise[layer]) * rng.standard_normal(PARTICLES))
                values.append(value)
                log_weight -= 0.5 * np.square(seen[layer, path] - np.sqrt(site.r[layer]) * value)
            else:
                log_weight -= 0.5 * np.square(seen[layer, path] - h) / site.observed
        most = log_weight.max()
        weight = np.exp(log_weight - most)
        log_p[path] = most + np.log(weight.mean())
        weight /= weight.sum()
        for layer in range(depth):
            for place, samples in ((0, parts[layer]), (2, values[layer] if layer < depth - 1 else None)):
                if samples is not None:
                    mean = weight @ samples
                    out[place : place + 2, layer, path] = mean, weight @ np.square(samples - mean)
    return total.Smoothed(log_p, out[0], out[1], out[2, :-1], out[3, :-1])


def compare(name: str, depth: int, settings: dict, known: bool) -> None:
    network = Architecture.of(
        get(name), depth, **{"sigma_w2": [1.5], "output_noise": 0.3, "skip": 1.0, "branch": 0.8} | settings
    )
    stream = propagate(network)
    rng = np.random.default_rng(depth)
    sites = total.TotalSites(network.phi, stream, network.noise_in, network.is_centred, PATHS)
    q = stream.path.offset_gap[0]
    r = 10.0 ** rng.uniform(-1.0, 0.5, depth - 1)
    step = np.append(q[:1], np.maximum(q[1:] - stream.skip[0, :-1] ** 2 * q[:-1], 1e-3) / stream.branch[0, :-1] ** 2)
    v = step * rng.uniform(0.3, 0.9, depth)
    v[0] *= not known
    site = sites._site(0, r, v)
    assert site.filter is not None
    m, seen = site.paths_and_observations()
    found = total._smoothed(site, site.filter, m, seen)
    expected = sampled(site, m, seen, depth)
    np.testing.assert_allclose(found.log_p, expected.log_p, atol=0.05)
    for one, other, spread in (
        (found.mean, expected.mean, np.sqrt(site.added)[:, None]),
        (found.left, expected.left, site.added[:, None]),
        (found.output, expected.output, 1.0),
        (found.variance, expected.variance, 1.0),
    ):
        np.testing.assert_allclose(one / np.maximum(spread, 1e-12), other / np.maximum(spread, 1e-12), atol=0.05)


@pytest.mark.thorough
@pytest.mark.parametrize("case", CASES)
def test_the_filter_is_what_weighted_particles_find(case: str) -> None:
    compare(*CASES[case], known=False)
    if "hidden_noise" in CASES[case][2]:
        compare(*CASES[case], known=True)


def test_derivatives_of_the_information_are_its_messages() -> None:
    """By differences of the information of a linear chain, of which the average is known in closed form."""
    network = Architecture.of(
        get("linear"), 3, sigma_w2=[1.0], output_noise=0.3, skip=0.9, branch=0.7, hidden_noise=0.2
    )
    sites = total.TotalSites(network.phi, propagate(network), "branch", False, 512)
    r, v = np.array([[0.8, 2.0]]), np.array([[0.5, 0.7, 0.6]])
    found = sites.messages(r, v, np.array([0]))
    carried = np.array([[1.0, 0.0, 0.0], [0.9, 1.0, 0.0], [0.81, 0.9, 1.0]])
    branch2 = np.array([1.0, 0.49, 0.49])

    def information(r: np.ndarray, v: np.ndarray) -> float:
        covariance = carried @ np.diag(branch2 * v) @ carried.T + np.diag([0.2, 0.2, 0.0])
        return float(0.5 * np.linalg.slogdet(np.eye(3) + np.diag(np.append(r, 1.0 / 0.3)) @ covariance)[1])

    for place, messages in ((0, found.e[0]), (1, found.a[0])):
        for layer, message in enumerate(messages):
            ends = []
            for sign in (1.0, -1.0):
                at = [r[0].copy(), v[0].copy()]
                at[place][layer] += sign * 1e-5
                ends.append(information(*at))
            assert message == pytest.approx((ends[0] - ends[1]) / 1e-5, rel=0.03)
    assert found.information.mean() == pytest.approx(information(r[0], v[0]), abs=0.02)
    np.testing.assert_allclose(found.e * r + found.rest_r, 1.0, rtol=1e-12)
    np.testing.assert_allclose(found.a * v + found.rest_v, 1.0, rtol=1e-12)


@pytest.mark.parametrize("variance", [1e-12, 1e-3, 0.05, 1.0])
@pytest.mark.parametrize("skip", [1.0, 0.6, 1.3])
def test_kernels_carry_gaussian_densities_exactly(variance: float, skip: float) -> None:
    """A density of variance p becomes one of `a^2 p + variance`, however narrow the step; its moments with the step."""
    p = 0.7
    one, other = lattices(np.array([p, variance]), np.array([skip]), np.array([3.0, 0.0])) or ()
    density = np.exp(-0.5 * np.square(one.nodes) / p)
    density /= density.sum()
    moves = kernels(one, other, skip, variance)
    after = np.exp(-0.5 * np.square(other.nodes) / (skip**2 * p + variance))
    np.testing.assert_allclose(moves[0].forward(density[None])[0], after / after.sum(), atol=1e-7)
    # E[x' - a x | x'] = variance / (a^2 p + variance) x'
    first, second = (density @ kernel.backward(other.nodes[None] ** power)[0] for kernel, power in
                     ((moves[1], 1), (moves[2], 0)))  # fmt: skip
    assert first == pytest.approx(variance, rel=1e-5)
    assert second == pytest.approx(variance, rel=1e-5)


def test_lattices_that_are_out_of_reach_are_none() -> None:
    assert lattices(np.array([1.0, 1.0]), np.array([1.0]), np.array([1e8, 0.0])) is None
    assert lattices(np.array([0.0, 1.0]), np.array([1.0]), np.array([1.0, 0.0]))[0].side == 0
