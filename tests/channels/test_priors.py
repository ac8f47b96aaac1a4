"""Input channels: high-precision references, limits, derivatives, and the public replica values of one layer."""

import json
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfmi import activations
from mfmi.channels.observed.activation import observed_activation
from mfmi.channels.priors import input_channel, negentropy
from mfmi.networks.priors import GaussianPrior, MixturePrior, gaussian, gaussian_spectrum, rademacher, spike_slab

CASES = json.loads((Path(__file__).parents[1] / "data" / "replica.json").read_text())["cases"]
LAWS = {
    "gaussian": gaussian(),
    "spectrum": gaussian_spectrum([0.1, 1.0, 1.0, 5.0]),
    "rademacher": rademacher(),
    "spike_slab": spike_slab(0.2),
    "sparse": spike_slab(0.001),
    "lopsided": MixturePrior((0.3, 0.7), (-1.0, 1.0), (0.0, 0.0)),
    "shifted slab": MixturePrior((0.7, 0.3), (0.0, 1.0), (0.0, 0.5)),
}


def rademacher_by_mpmath(r):
    with mpmath.workdps(30):
        log_cosh = mpmath.quad(
            lambda z: mpmath.npdf(z) * mpmath.log(mpmath.cosh(r + mpmath.sqrt(r) * z)), mpmath.linspace(-13, 13, 53)
        )
        return r - log_cosh


def spike_slab_by_mpmath(sparsity, r):
    with mpmath.workdps(30):
        r = mpmath.mpf(r)
        wide = mpmath.sqrt(1 + r / mpmath.mpf(sparsity))

        def integrand(y):
            density = (1 - mpmath.mpf(sparsity)) * mpmath.npdf(y) + mpmath.mpf(sparsity) * mpmath.npdf(y, 0, wide)
            return -density * mpmath.log(density)

        cuts = sorted({*mpmath.linspace(0, 12, 25), *(wide * k / 2 for k in range(25))})
        return 2 * mpmath.quad(integrand, cuts) - mpmath.log(2 * mpmath.pi * mpmath.e) / 2


@pytest.mark.parametrize("r", [1e-6, 0.1, 1.0, 5.0, 30.0])
def test_rademacher(r):
    assert float(input_channel(rademacher(), r).j) == pytest.approx(
        float(rademacher_by_mpmath(mpmath.mpf(r))), rel=1e-12
    )


@pytest.mark.parametrize("r", [1e-3, 0.5, 20.0, 1e4])
def test_spike_slab(r):
    assert float(input_channel(spike_slab(0.2), r).j) == pytest.approx(float(spike_slab_by_mpmath("0.2", r)), rel=1e-11)


def test_gaussian():
    r, q = np.array([0.0, 1e-9, 2.0, 1e12]), 1.7
    found = input_channel(gaussian(), r, q)
    np.testing.assert_allclose(found.j, 0.5 * np.log1p(q * r), rtol=1e-14)
    np.testing.assert_allclose(found.e, q / (1.0 + q * r), rtol=1e-14)
    np.testing.assert_allclose(found.e_r, -((q / (1.0 + q * r)) ** 2), rtol=1e-14)


def test_a_spectrum_is_an_average_over_eigenvalues():
    mu, r = np.array([0.5, 2.0, 0.0, 3.0]), np.array([0.1, 1.0, 50.0])
    found = input_channel(gaussian_spectrum(mu), r, mu.mean())
    np.testing.assert_allclose(found.j, np.mean(0.5 * np.log1p(np.outer(r, mu)), axis=1), rtol=1e-13)
    np.testing.assert_allclose(found.e, np.mean(mu / (1.0 + np.outer(r, mu)), axis=1), rtol=1e-13)


def test_a_slab_without_spike_is_gaussian():
    r = np.geomspace(1e-10, 1e12, 23)
    full, none = input_channel(spike_slab(1.0), r), input_channel(gaussian(), r)
    assert len(full) == len(none) > 1
    for one, other in zip(full, none, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_derivatives(law):
    r, h = np.geomspace(1e-8, 1e12, 21), 1e-4
    found, up, down = (input_channel(law, r * f, 1.3) for f in (1.0, 1 + h, 1 - h))
    noise = 1e-11 * found.j / (h * r)
    assert np.all(np.abs((up.j - down.j) / (h * r) - found.e) <= 1e-7 * found.e + noise)
    # the information left by atoms falls like exp(-r/2), which a difference only follows while h r is small
    bend = np.minimum((h * r) ** 2, 1e-3)
    off = np.abs((up.e - down.e) / (2 * h * r) - found.e_r)
    assert np.all(off <= (1e-6 + bend) * np.abs(found.e_r) + 1e-11 * found.e / (h * r))


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_limits(law):
    found = input_channel(law, [0.0, 1e-10, 1e12], 0.7)
    assert found.j[0] == 0.0
    assert found.e[0] == pytest.approx(0.7, rel=1e-12)
    assert found.j[1] == pytest.approx(0.35e-10, rel=1e-8)
    assert np.all(np.isfinite(np.stack(found)))
    assert np.all(found.e >= 0.0)


def test_entropies_at_the_end():
    assert float(input_channel(rademacher(), 1e12).j) == pytest.approx(np.log(2.0), rel=1e-11)
    lopsided = -0.3 * np.log(0.3) - 0.7 * np.log(0.7)
    assert float(input_channel(LAWS["lopsided"], 1e12).j) == pytest.approx(lopsided, rel=1e-11)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(LAWS)), st.floats(-6.0, 8.0), st.floats(0.1, 5.0))
def test_no_law_of_its_variance_tells_more_than_a_gaussian(name, log_r, variance):
    r = 10.0**log_r
    found, most = input_channel(LAWS[name], r, variance), input_channel(gaussian(), r, variance)
    assert 0.0 < found.j <= most.j * (1.0 + 1e-12)
    assert 0.0 <= found.e <= most.e * (1.0 + 1e-12)


def test_only_the_product_of_precision_and_variance_enters():
    law, r, variance = spike_slab(0.3), np.array([[0.4], [7.0]]), np.array([0.5, 2.0, 9.0])
    found, unit = input_channel(law, r, variance), input_channel(law, r * variance)
    np.testing.assert_allclose(found.j, unit.j, rtol=1e-13)
    np.testing.assert_allclose(found.e, variance * unit.e, rtol=1e-13)
    np.testing.assert_allclose(found.e_r, variance**2 * unit.e_r, rtol=1e-13)
    assert found.j.shape == (2, 3)


def test_negentropy():
    assert negentropy(gaussian()) == 0.0
    assert negentropy(spike_slab(1.0)) == pytest.approx(0.0, abs=1e-9)
    assert negentropy(gaussian_spectrum([1.0, 4.0])) == pytest.approx(np.log(2.5) / 1.0 * 0.5 - 0.25 * np.log(4.0))
    assert np.isnan(negentropy(rademacher()))
    assert np.isnan(negentropy(spike_slab(0.5)))
    assert np.isnan(negentropy(gaussian_spectrum([0.0, 1.0])))
    mixture = MixturePrior((0.5, 0.5), (-3.0, 3.0), (0.1, 0.1))
    # two separate humps: entropy of a hump and of the choice
    expected = 0.5 * np.log(9.1 / 0.1) - np.log(2.0)
    assert negentropy(mixture) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: spike_slab(0.0),
        lambda: spike_slab(1.1),
        lambda: gaussian_spectrum([]),
        lambda: gaussian_spectrum([-1.0, 2.0]),
        lambda: gaussian_spectrum([0.0, 0.0]),
        lambda: GaussianPrior((np.nan,)),
        lambda: MixturePrior((0.5, 0.4), (0.0, 1.0), (0.0, 0.0)),
        lambda: MixturePrior((1.0,), (0.0,), (0.0,)),
        lambda: input_channel(gaussian(), -1.0),
        lambda: input_channel(rademacher(), 1.0, 0.0),
        lambda: input_channel(rademacher(), np.inf),
    ],
)
def test_bad_arguments(wrong):
    with pytest.raises(ValueError, match=r"must|out of range"):
        wrong()


def prior_of(case):
    kind, *parameters = case["prior"]
    if kind == "Normal":
        return gaussian()
    if kind == "Bimodal":
        return MixturePrior((1.0 - parameters[0], parameters[0]), (-1.0, 1.0), (0.0, 0.0))
    share, mean, variance = parameters
    return MixturePrior((1.0 - share, share), (0.0, mean), (0.0, variance))


ONE_LAYER = [case for case in CASES if len(case["layers"]) == 1 and case["weights"][0][0] == "gaussian"]
NAMES = {"Linear": "linear", "ReLU": "relu", "HardTanh": "hard_tanh", "Probit": "sign"}


def one_layer(case):
    """Theory (8)-(10) for L = 1 by plain iteration, from an ignorant start and from a knowing one: value and MMSE."""
    prior, phi = prior_of(case), activations.get(NAMES[case["layers"][0][0]])
    noise, (_, alpha, scale) = case["layers"][0][1], case["weights"][0]
    variance = getattr(prior, "variance", 1.0)
    q = scale * (variance + getattr(prior, "mean", 0.0) ** 2)
    results = []
    for e in (variance, 1e-6 * variance):
        for _ in range(4000):
            before = e
            output = observed_activation(phi, scale * e, noise, q)
            r = alpha * scale * output.a
            channel = input_channel(prior, r, variance)
            e = max(float(channel.e), 1e-300)
            if abs(e - before) <= 1e-14 * before:
                break
        v = scale * e
        output = observed_activation(phi, v, noise, q)
        r = alpha * scale * output.a
        value = input_channel(prior, r, variance).j + alpha * output.j - 0.5 * (r * e + alpha * output.a * v)
        results.append((float(value + 0.5 * alpha * scale * output.a * e), e))
    return min(results)


def test_the_reference_has_one_layer_cases_of_every_kind():
    assert {case["prior"][0] for case in ONE_LAYER} == {"Normal", "Bimodal", "SpikeSlab"}
    assert {case["layers"][0][0] for case in ONE_LAYER} == set(NAMES)
    assert len(ONE_LAYER) > 50


@pytest.mark.thorough
@pytest.mark.parametrize("case", ONE_LAYER, ids=lambda case: case["id"])
def test_one_layer_reference(case):
    value, mmse = one_layer(case)
    assert value == pytest.approx(case["mi"], rel=2e-7)
    assert mmse == pytest.approx(case["mmse"], abs=1e-8)
