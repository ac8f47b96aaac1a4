"""Networks in which a layer, or the input, is as good as known: steps without noise on the way, two-valued inputs."""

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.bounds import problem
from mfmi.bounds.evaluate import evaluate_points
from mfmi.channels.exact.channel import exact_channel
from mfmi.channels.exact.table import LARGEST_RATIO, exact_table
from mfmi.channels.observed.activation import ROOT_SHARE, observed_activation
from mfmi.networks.model import Model
from mfmi.networks.points import Points

RADEMACHER = Model.with_input("rademacher")
SMALL_NOISE = 1e-7


def replica(act, sigma_w, depth, model=None, **settings):
    points = Points.of(act, sigma_w, **settings)
    found = evaluate_points(points, depth, ["replica", "layerwise"], "nats", ["mmse"], model or Model())
    return {name: found[name].reshape(len(points), -1) for name in ("mi_replica", "mi_layerwise", "mmse", "message")}


def entropies(act, sigma_w, depth, alpha=(), prior="gaussian", **settings):
    """Entropy of the units of a layer: what they tell, seen through next to no noise."""
    points = Points.of(act, sigma_w, sigma_noise=SMALL_NOISE, **settings)
    model = Model.with_input(prior, alpha)
    model = Model(model.alpha, prior=model.prior, prior_name=model.prior_name, observe="activation")
    return evaluate_points(points, depth, ["replica"], model=model)["mi_replica"].reshape(len(points), -1)


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(
    ("alpha", "prior"),
    [((), "gaussian"), ((0.6, 1.5, 0.6, 1.5), "rademacher"), ((0.3, 4.0, 0.3, 4.0), "rademacher")],
)
def test_nothing_is_told_that_a_layer_before_does_not_hold(alpha, prior, weights):
    """I(x; T^L) <= H(u_l) for every l < L, by data processing, and no more than the entropy of the input."""
    rng, depth, n = np.random.default_rng(3), np.arange(1, 5), 2
    sigma_w = rng.uniform(0.4, 3.0, n)
    settings = {"sigma_b": rng.uniform(0.0, 0.8, n), "weights": weights}
    sigma_noise = np.exp(rng.uniform(-6.0, 0.5, n))
    model = Model.with_input(prior, alpha)
    found = replica("sign", sigma_w, depth, model, sigma_noise=sigma_noise, **settings)
    assert np.all(np.isfinite(found["mi_replica"])), found["message"]
    held = entropies("sign", sigma_w, depth, alpha, prior, **settings)
    assert np.all(found["mi_replica"][:, 1:] <= np.minimum.accumulate(held, axis=1)[:, :-1] * (1.0 + 1e-6))
    assert np.all(held[:, 1:] <= held[:, :-1] * (1.0 + 1e-6))
    assert np.all(found["mi_replica"] <= model.prior.entropy * (1.0 + 1e-12))
    assert np.all((found["mmse"] >= 0.0) & (found["mmse"] <= 1.0))
    known = np.isfinite(found["mi_layerwise"])
    assert np.all(found["mi_layerwise"][known] <= found["mi_replica"][known] * (1.0 + 1e-6))


@pytest.mark.thorough
def test_without_noise_a_layer_of_steps_tells_what_the_one_before_it_holds():
    """A square matrix has an inverse: after vanishing noise T^L tells u_{L-1}."""
    depth = np.array([2, 3, 4])
    found = replica("sign", [0.8, 2.0], depth, sigma_b=0.3, sigma_noise=1e-3)["mi_replica"]
    np.testing.assert_allclose(found, entropies("sign", [0.8, 2.0], depth - 1, sigma_b=0.3), rtol=1e-6)


def exhaustive(n, layers, sigma_w, sigma_b, rng):
    """Entropies per dimension of the layers of one network of n units, over all corners of a cube."""
    units = 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) - 1.0
    found = []
    for _ in range(layers):
        matrix = sigma_w * rng.standard_normal((n, n)) / np.sqrt(n)
        units = np.where(units @ matrix.T + sigma_b * rng.standard_normal(n) > 0.0, 1.0, -1.0)
        counts = np.unique((units > 0.0) @ (1 << np.arange(n)), return_counts=True)[1]
        share = counts / len(units)
        found.append(-np.sum(share * np.log(share)) / n)
    return found


def test_small_networks_whose_inputs_can_be_counted():
    """Entropies per unit grow with the width, towards the replica value, which a few units are far from."""
    rng, widths = np.random.default_rng(7), np.array([6, 8, 10, 12])
    mean = np.array([np.mean([exhaustive(n, 2, 1.5, 0.5, rng) for _ in range(60)], axis=0) for n in widths])
    expected = entropies("sign", 1.5, [1, 2], prior="rademacher", sigma_b=0.5)[0]
    assert np.all(np.diff(mean, axis=0) > 0.0)
    assert np.all(mean < expected)
    limit = np.polyfit(1.0 / widths, mean, 1)[1]
    np.testing.assert_allclose(limit, expected, rtol=0.04)


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_an_input_of_two_values_is_decoded(weights):
    settings = {"sigma_noise": [0.02, 0.05], "weights": weights, "sigma_b": 0.2}
    found = replica("relu", 1.4, [2, 4], RADEMACHER, **settings)
    np.testing.assert_allclose(found["mi_replica"], np.log(2.0), rtol=1e-9)
    assert np.all(found["mi_replica"] <= np.log(2.0) * (1.0 + 1e-15))
    assert np.all((found["mmse"] >= 0.0) & (found["mmse"] < 1e-9))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_an_input_of_two_values_is_decoded_through_tanh(weights):
    found = replica("tanh", 1.5, [2, 5], RADEMACHER, sigma_noise=0.05, weights=weights)
    np.testing.assert_allclose(found["mi_replica"], np.log(2.0), rtol=1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_signals_fade_through_a_hundred_layers(weights):
    """In the ordered phase each layer leaves the same share of what is left."""
    found = replica("relu", 0.7, [60, 80, 100], sigma_b=0.2, sigma_noise=0.1, weights=weights)["mi_replica"][0]
    assert np.all(found > 0.0)
    assert found[1] / found[0] == pytest.approx(found[2] / found[1], rel=1e-4)


@pytest.mark.parametrize(("act", "r"), [("sign", 3.0), ("sign", 1e3), ("relu", 3.0), ("hard_tanh", 100.0)])
def test_the_table_is_carried_on_below_its_least_variance(act, r):
    for tau in (0.9 / LARGEST_RATIO, 1e-16, 1e-18):
        found = exact_table(get(act)).evaluate(r, tau, 1.0)
        exact = exact_channel(get(act), r, np.array([tau]), np.array([1.0]))
        np.testing.assert_allclose([found.j, found.a], [exact.j[0], exact.a[0]], rtol=2e-6)
        if r < 1e3:  # beyond, what a step leaves is rounding
            assert found.e == pytest.approx(exact.e[0], rel=2e-6)
        h = 1e-4
        up, down = (exact_table(get(act)).evaluate(r, tau * (1.0 + k * h), 1.0) for k in (1, -1))
        assert (up.j - down.j) / (h * tau) == pytest.approx(found.a, rel=1e-6)
        assert (up.e - down.e) / (2.0 * h * tau) == pytest.approx(found.e_v, rel=1e-6)


def test_a_signal_too_strong_for_that_has_no_number():
    assert np.isnan(exact_table(get("relu")).evaluate(1e15, 1e-17, 1e-2).j)


def test_a_step_without_noise_tells_its_entropy():
    v = np.array([1.0, 0.3, 2.0 * ROOT_SHARE, 0.5 * ROOT_SHARE, 1e-20])
    found = observed_activation(get("sign"), v, 0.0, 1.0)
    little = observed_activation(get("sign"), v[:2], 1e-12, 1.0)
    assert found.j[0] == pytest.approx(np.log(2.0), rel=1e-12)
    np.testing.assert_allclose(found.j[:2], little.j, rtol=3e-6)
    h = 1e-5
    up, down = (observed_activation(get("sign"), v[1:] * (1.0 + k * h), 0.0, 1.0) for k in (1, -1))
    np.testing.assert_allclose((up.j - down.j) / (h * v[1:]), found.a[1:], rtol=1e-7)
    np.testing.assert_allclose((up.a - down.a) / (2.0 * h * v[1:]), found.a_v[1:], rtol=1e-7)
    np.testing.assert_allclose(found.rest, 1.0 - found.a * v, rtol=1e-9)
    with pytest.raises(ValueError, match="noise is out of range"):
        observed_activation(get("relu"), v, 0.0, 1.0)


def test_every_layer_is_cut_once_for_all_depths(monkeypatch):
    """Depths are solved in batches; what lies before all of them is the same."""
    solved, points = [], Points.of("sign", 1.3, sigma_b=0.2, sigma_noise=0.3)
    phi_full = problem.phi_full

    def counted(one, *rivals, **rules):
        solved.append((one.model.observe, int(one.deepest)))
        return phi_full(one, *rivals, **rules)

    monkeypatch.setattr(problem, "phi_full", counted)
    together = evaluate_points(points, [2, 3, 4], ["replica"])
    assert sorted(depth for observe, depth in solved if observe == "activation") == [1, 2, 3]
    alone = evaluate_points(points, [4], ["replica"])
    assert together["mi_replica"][-1] == alone["mi_replica"][0]
    noisy = Points.of("sign", 1.3, sigma_noise=0.3, noise_at="every")
    solved.clear()
    evaluate_points(noisy, [3], ["replica"])
    assert "activation" not in {observe for observe, _ in solved}
