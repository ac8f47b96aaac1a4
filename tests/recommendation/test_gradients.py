"""Gradients over the depth: their growth, what it takes off information, and searches that weigh it in."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from conftest import Outcome

import mfmi
from mfmi.activations import get
from mfmi.recommendation.gradients import gradient_factor, kept, places_that_keep
from mfmi.recommendation.recommend import recommend
from mfmi.recommendation.results import NetworkFamily
from mfmi.recommendation.search import Search, optimum

CommandLine = Callable[..., Outcome]


def test_of_relu_it_is_a_power_of_the_gain() -> None:
    w = np.array([1.0, math.sqrt(2.0), 1.7])
    found = gradient_factor(get("relu"), 11, w, np.array([0.0, 0.4, 0.0]), 0.0, 1.0)
    assert found == pytest.approx((w / math.sqrt(2.0)) ** 10, rel=1e-12)
    assert gradient_factor(get("relu"), 1, w, 0.0 * w, 0.0, 1.0).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("noise_at", "noise"), [("output", 0.0), ("every", 0.1)])
def test_it_is_the_product_of_the_slopes(noise_at: str, noise: float) -> None:
    rows = mfmi.evaluate("tanh", 1.4, 0.2, 0.1, layers=9, noise_at=noise_at, estimators=["linear"])
    found = gradient_factor(get("tanh"), 9, np.array([1.4]), np.array([0.2]), noise, 1.0)
    assert found[0] ** 2 == pytest.approx(rows["chi"].to_numpy()[:-1].prod(), rel=1e-9)


def test_gradients_of_a_finite_network_change_by_it() -> None:
    random, n, depth, w, b = np.random.default_rng(0), 600, 8, 1.3, 0.2
    state, slopes, matrices = random.standard_normal(n), [], []
    for layer in range(depth):
        matrix = random.standard_normal((n, n)) * w / math.sqrt(n)
        y = matrix @ state + b * random.standard_normal(n)
        state = np.tanh(y)
        slopes.append(1.0 - state**2)
        matrices.append(matrix if layer else None)
    error = random.standard_normal(n)
    first = error
    for layer in range(depth - 1, 0, -1):
        first = slopes[layer - 1] * (matrices[layer].T @ first)
    found = gradient_factor(get("tanh"), depth, np.array([w]), np.array([b]), 0.0, 1.0)[0]
    assert np.linalg.norm(first) / np.linalg.norm(error) == pytest.approx(found, rel=0.1)


def test_an_activation_without_derivative_has_none() -> None:
    assert np.isnan(gradient_factor(get("sign"), 5, np.ones(2), np.zeros(2), 0.0, 1.0)).all()
    assert kept(np.array([np.nan])) == 0.0


def test_what_it_takes_off() -> None:
    assert kept(np.array([1.0, 2.0, 0.5, 4.0, 0.0, np.inf])) == pytest.approx([1.0, 2 / 3, 2 / 3, 1 / 3, 0.0, 0.0])


def test_places_that_keep_gradients_are_found() -> None:
    network = NetworkFamily(get("gelu"), 30)
    w, b = places_that_keep(network.gradient, (0.14, 7.0), np.array([0.3, 1.0]))
    assert set(b) == {0.3, 1.0}
    assert np.sort(network.gradient(w, b)) == pytest.approx([0.8, 0.8, 1.0, 1.0], rel=0.02)


@pytest.mark.parametrize("gradients", ["any", "kept"])
def test_the_ridge_of_deep_networks_is_not_missed(gradients: str) -> None:
    # Without biases there is a fourth of it: a grid of sigma_w alone steps over the ridge.
    network = NetworkFamily(get("relu"), 50)
    best = optimum(network, "linear", plateau=False, gradients=gradients)
    w, b = np.meshgrid(np.linspace(1.36, 1.413, 12), [0.0, 0.5, 1.0])
    counted = network.values("linear", w.ravel(), b.ravel())
    weight = kept(network.gradient([best.sigma_w], [best.sigma_b]))[0] if gradients == "kept" else 1.0
    if gradients == "kept":
        counted = counted * kept(network.gradient(w.ravel(), b.ravel()))
    assert best.value * weight >= counted.max()
    assert best.sigma_b > 0.9


@pytest.mark.thorough
def test_kept_gradients_cost_information() -> None:
    network = NetworkFamily(get("tanh"), 12)
    free, bound = (recommend(network, "linear", 0.0, gradients=how) for how in ("any", "kept"))
    assert bound.best.value < free.best.value
    assert abs(math.log(bound.best.gradient)) < 0.5 * abs(math.log(free.best.gradient))
    w = np.linspace(0.9, 1.6, 36)
    counted = network.values("linear", w, 0.0 * w) * kept(network.gradient(w, 0.0 * w))
    assert bound.best.sigma_w == pytest.approx(w[np.argmax(counted)], abs=0.02)
    assert (bound.gradients, free.gradients) == ("kept", "any")
    assert free.rotated == mfmi.evaluate("tanh", free.best.sigma_w, 0, 0.1, 12, weights="orthogonal").mi_linear[0]
    assert math.isnan(recommend(replace(network, weights="orthogonal"), "linear", 0.0).rotated)


@pytest.mark.thorough
def test_a_person_is_told(command_line: CommandLine) -> None:
    options = ("recommend", "--act", "gelu", "--depth", "20", "--sb", "1")
    free = command_line(*options, "--format", "table").out
    assert "gradients change by a factor of 0.2 down to the first layer" in free
    assert "--gradients kept weighs that in" in free
    assert "--weights orthogonal" in free
    bound = command_line(*options, "--gradients", "kept", "--format", "table").out
    assert "Best by linearly readable information with gradients kept" in bound
    assert "weighs that in" not in bound
    assert max(map(len, (free + bound).splitlines())) <= 80


def test_rows_have_the_factor(command_line: CommandLine) -> None:
    options = ("recommend", "--act", "relu", "--depth", "5", "--sb", "0.5", "--format", "json")
    rows = json.loads(command_line(*options, "--gradients", "kept").out)
    assert rows[0]["gradient"] == pytest.approx((rows[0]["sigma_w"] ** 2 / 2.0) ** 2.0, rel=1e-9)
    frame = mfmi.recommend("relu", depth=5, sigma_b=0.5, gradients="kept")
    assert frame.gradient[0] == rows[0]["gradient"]
    with pytest.raises(ValueError, match="gradients"):
        mfmi.recommend("relu", depth=5, gradients="all")
    assert command_line("recommend", "--act", "relu", "--gradients", "all").code == 2


def test_what_has_no_known_gradients_is_refused(command_line: CommandLine) -> None:
    options = ("recommend", "--act", "tanh", "--depth", "4", "--gradients", "kept")
    for more in (("--residual",), ("--norm", "layernorm"), ("--noise-scale", "relative")):
        done = command_line(*options, *more)
        assert (done.code, "is for plain networks" in done.err) == (2, True)
    done = command_line("recommend", "--act", "sign", "--depth", "4", "--gradients", "kept")
    assert (done.code, "differentiable" in done.err) == (2, True)
    with pytest.raises(ValueError, match="gradients"):
        mfmi.recommend("tanh", depth=4, gradients="kept", skip=1)


@pytest.mark.filterwarnings("error")
def test_what_is_unbounded_stays_the_worst() -> None:
    search = Search(NetworkFamily(get("relu"), 300), "linear", "kept")
    assert search([1.4, 3.0], [0.0, 0.0])[1] == -np.inf
    assert search.best == (1.4, 0.0)
