"""The lower bound by the Fisher information of the offset: below the exact channel, exact where it can be."""

import math

import numpy as np
import pytest

from mfmi import activations
from mfmi.bounds.evaluate import evaluate_points
from mfmi.channels.closed.bounds import EntropyPowerLower, FisherLower, GaussianUpper, LinearLower
from mfmi.channels.exact.channel import exact_channel
from mfmi.columns import COLUMNS
from mfmi.networks.points import Points

PRECISIONS = np.geomspace(1e-2, 1e7, 10)[None, :]


def at(channel, name, s, share, r=PRECISIONS):
    return channel.information(activations.get(name), r, np.array([s * share]), np.array([s]))[0]


@pytest.mark.thorough
@pytest.mark.parametrize("share", [0.03, 0.6, 1.0])
@pytest.mark.parametrize("name", ["tanh", "relu", "hard_tanh", "sign", "sin", "cos", "silu", "abs", "elu", "erf"])
def test_it_is_below_the_exact_channel_and_above_the_linear_one(name, share):
    s = 1.7
    bound = at(FisherLower(), name, s, share)
    r = PRECISIONS[0]
    exact = exact_channel(activations.get(name), r, np.full(r.shape, s * share), np.full(r.shape, s), moments=False).j
    assert np.all(bound <= exact * (1.0 + 1e-7))
    assert np.all(bound >= at(LinearLower(), name, s, share) * (1.0 - 1e-6))
    assert np.all(bound <= at(GaussianUpper(), name, s, share) * (1.0 + 1e-7))


@pytest.mark.parametrize("share", [1e-6, 0.4, 1.0])
def test_it_is_exact_for_a_linear_activation(share):
    expected = 0.5 * np.log1p(PRECISIONS[0] * 2.3 * share)
    np.testing.assert_allclose(at(FisherLower(), "linear", 2.3, share), expected, rtol=1e-8)


def test_it_is_nearly_exact_where_the_activation_is_nearly_linear():
    np.testing.assert_allclose(
        at(FisherLower(), "tanh", 1.0, 1e-4), at(EntropyPowerLower(), "tanh", 1.0, 1e-4), rtol=1e-4
    )


def test_at_high_precision_a_step_gives_its_entropy_away():
    # ln 2 of a coin whose side is seen: the bound's first step to it is the variance of the sign.
    s = 0.9
    assert at(FisherLower(), "sign", s, 1.0, np.array([[1e9]]))[0] == pytest.approx(math.log(2.0), rel=2e-5)


@pytest.mark.parametrize("name", ["tanh", "relu", "sin"])
def test_it_is_concave_and_rises_with_the_precision(name):
    r = np.linspace(0.1, 40.0, 60)
    j = at(FisherLower(), name, 1.3, 0.5, r[None, :])
    assert np.all(np.diff(j) > 0.0)
    assert np.all(np.diff(j, 2) < 1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "s", "share"), [("tanh", 0.8, 0.7), ("hard_tanh", 1.5, 0.3), ("cos", 6.0, 0.2)])
def test_it_is_the_integral_of_the_curvature(name, s, share):
    """Against midpoints in ln t and a fine uniform grid of offsets; blunt, but nothing in common with the channel."""
    phi, r = activations.get(name), np.array([0.3, 10.0, 300.0])
    ends = np.linspace(np.log(1e-8 * s), np.log(s * share), 1001)
    z = np.linspace(-8.0, 8.0, 4001)
    mass = np.exp(-0.5 * z * z) / np.exp(-0.5 * z * z).sum()
    total = np.zeros(3)
    for t in np.exp(0.5 * (ends[1:] + ends[:-1])):
        moments = phi.conditional(np.sqrt(s - t) * z, np.full(z.shape, t))
        speed = r[:, None] * moments.kappa**2 / (1.0 + r[:, None] * moments.variance)
        total += 0.5 * (ends[1] - ends[0]) * t * (speed @ mass)
    np.testing.assert_allclose(at(FisherLower(), name, s, share, r[None, :]), total, rtol=3e-5)


def test_values_do_not_depend_on_their_company():
    phi, r = activations.get("tanh"), np.array([[5.0, 80.0]])
    tau, s = np.array([0.02, 0.3, 1.1, 0.5]), np.array([1.1, 1.1, 1.1, 2.0])
    together = FisherLower().information(phi, np.repeat(r, 4, axis=0), tau, s)
    alone = [FisherLower().information(phi, r, tau[k : k + 1], s[k : k + 1])[0] for k in range(4)]
    np.testing.assert_allclose(together, alone, rtol=1e-8)


# The estimator


def test_variances_at_which_moments_have_no_value_have_none():
    # Precisions of a table are relative to a second moment, which a user's function has up to some variance.
    phi, channel = activations.get("tanh"), FisherLower()
    r = np.array([[1.0, 10.0], [np.nan, np.nan], [2.0, 20.0]])
    tau, s = np.array([0.5, 1.0, 0.5]), np.array([1.0, 2.0, 1.0])
    found = channel.information(phi, r, tau, s)
    assert np.isnan(found[1]).all()
    assert found[[0, 2]] == pytest.approx(channel.information(phi, r[[0, 2]], tau[[0, 2]], s[[0, 2]]), rel=1e-15)


def networks(name, **more):
    return Points.of(name, [1.1, 1.5, 1.9], sigma_b=[0.0, 0.3, 0.2], sigma_noise=[0.1, 0.3, 0.8], **more)


@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_it_lies_between_layerwise_and_the_replica_value(weights, noise_at):
    points = networks("relu", weights=weights, noise_at=noise_at)
    found = evaluate_points(points, [1, 2, 4, 9], ["layerwise", "replica", "fisher"])
    assert np.all(found["mi_layerwise"] <= found["mi_fisher"] * (1.0 + 1e-6))
    assert np.all(found["mi_fisher"] <= found["mi_replica"] * (1.0 + 1e-6))
    assert np.all(found["mi_lower"] == found["mi_fisher"])


def test_it_is_the_replica_value_of_a_linear_network():
    found = evaluate_points(networks("linear"), [1, 3], ["fisher", "replica"])
    np.testing.assert_allclose(found["mi_fisher"], found["mi_replica"], rtol=1e-7)


@pytest.mark.thorough
def test_it_exists_for_any_activation_and_is_tight_for_shallow_ones():
    found = evaluate_points(networks("sin"), [2], ["fisher", "replica"])
    ratio = found["mi_fisher"] / found["mi_replica"]
    assert np.all((ratio > 0.96) & (ratio <= 1.0 + 1e-6))


def test_its_column_is_there_where_it_is_asked_for():
    points = networks("relu")
    names = [column.name for column in COLUMNS]
    assert list(evaluate_points(points, [1], ["linear"])) == names
    assert list(evaluate_points(points, [1], ["linear", "fisher"], optional=["mmse"])) == [*names, "mmse"]


@pytest.mark.thorough
def test_a_search_that_goes_in_circles_begins_again_with_shorter_steps():
    """From small variances Newton's long steps did not end at three of these depths; what is carried falls."""
    network = {"sigma_b": 0.2246909153767681, "sigma_noise": 0.2849733389604419, "input_variance": 1.8283890179542812}
    points = Points.of("hard_tanh", 2.4757302046403247, weights="orthogonal", **network)
    found = evaluate_points(points, range(12, 20), ["fisher", "linear"])
    assert set(found["status"]) == {"ok"}
    assert np.all(np.diff(found["mi_fisher"]) < 0.0)
    assert np.all(found["mi_fisher"] > found["mi_linear"])
