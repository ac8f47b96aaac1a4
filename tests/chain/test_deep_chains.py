"""Chains of hundreds of layers: signals that have all but died away, and minima that lie far from every start."""

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.bounds.evaluate import evaluate_points
from mfmi.bounds.problem import Problem, chain_of
from mfmi.bounds.propagation import Propagation
from mfmi.bounds.view import View
from mfmi.chain import newton as chain_descent
from mfmi.chain import search as chain_search
from mfmi.chain.ensembles import Orthogonal
from mfmi.chain.search import ENOUGH, LEAST_VARIANCE, solve
from mfmi.channels.closed.bounds import EntropyPowerLower, GaussianUpper, LinearLower
from mfmi.channels.closed.coordinates import S_LEAST
from mfmi.channels.closed.table import table
from mfmi.meanfield import trajectory
from mfmi.networks.points import Points

CHAINS = ("linear", "layerwise", "gaussian_upper")


def rows(points, depth):
    return evaluate_points(points, [depth], CHAINS)


def problem_of(sigma_w, sigma_b, weights, depth):
    phi, one = get("tanh"), np.ones(1)
    path = trajectory(phi, sigma_w**2 * one, sigma_b**2 * one, 0.0 * one, one, 0.5 * one, depth)
    propagation = Propagation(phi, path, np.zeros(1))
    return Problem(propagation, np.zeros(1, int), weights, sigma_w**2 * one, 0.01 * one, one, np.array([depth]))


@pytest.mark.parametrize("sigma_b", [0.0, 0.1])
@pytest.mark.parametrize("sigma_w", [0.5, 0.8])
def test_an_ordered_network_tells_next_to_nothing_and_how_much(sigma_w, sigma_b):
    """A faint signal sees slopes alone, whatever the matrices: theory (18) with the offset's mean slope is exact."""
    weights, depth = ["gaussian", "orthogonal"], 400
    points = Points.of(["tanh"] * 2, sigma_w, sigma_b=sigma_b, weights=weights)
    found = evaluate_points(points, [depth], CHAINS, "nats", ["mi_layerwise_error"])
    assert set(found["status"]) == {"ok"}
    exact = found["mi_linear"]
    assert np.all((exact > 1e-300) & (exact < 1e-40))
    np.testing.assert_allclose(exact[0], exact[1], rtol=1e-9)
    np.testing.assert_allclose(found["mi_layerwise"], exact, rtol=0.01)
    assert np.all(found["mi_layerwise"] + found["mi_layerwise_error"] >= exact * (1.0 - 1e-9))
    assert np.all(found["mi_gaussian_upper"] >= found["mi_layerwise"])


def test_the_faintest_signal_is_told_to_first_order():
    """Below `LEAST_VARIANCE` no search can go on, and the value is what the observed layer tells of its variance."""
    points = Points.of(["tanh"] * 3, [0.44, 0.405, 0.4])
    found = evaluate_points(points, [410], CHAINS)
    assert set(found["status"]) == {"ok"}
    assert 0.0 < found["q"][0] < LEAST_VARIANCE
    assert 0.0 < found["q"][1] < 1e-320
    assert found["q"][2] == 0.0
    np.testing.assert_allclose(found["mi_upper"], 50.0 * found["q"], rtol=1e-3, atol=1e-298)
    # The lower bounds have lost a percent in the first layers, where the signal is bent.
    for name in ("mi_linear", "mi_layerwise"):
        assert found[name][0] > 0.0
        assert np.all(found[name] <= found["mi_upper"])
        np.testing.assert_allclose(found[name], 50.0 * found["q"], rtol=0.02, atol=1e-298)


def test_a_signal_that_is_gone_is_none_at_any_depth():
    """Variances and the gaps between inputs sink through the last numbers there are, in steps of their own."""
    found = rows(Points.of(["tanh"] * 3, [0.4, 0.403, 0.407]), 450)
    assert set(found["status"]) == {"ok"}
    for name in ("q", "mi_linear", "mi_layerwise", "mi_gaussian_upper"):
        np.testing.assert_array_equal(found[name], 0.0)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_a_chaotic_network_of_a_thousand_layers_has_the_value_of_a_shallower_one(weights):
    """Beyond a few correlation lengths nothing changes; the search from small variances must come all the way."""
    values = []
    for depth in (250, 1000):
        problem = problem_of(2.0, 0.0, weights, depth)
        found = solve(chain_of(problem, problem.source(np.ones(1)), problem.tabulated(EntropyPowerLower())))
        assert found.converged.all()
        values.append(found.value[0])
    np.testing.assert_allclose(values[1], values[0], rtol=1e-6)


@pytest.mark.thorough
def test_numpy_looks_as_far_ahead(monkeypatch):
    """From small variances alone: more plain passes in a row than are taken singly."""
    problem = problem_of(2.0, 0.0, "gaussian", 40)
    chain = chain_of(problem, problem.source(np.ones(1)), problem.tabulated(EntropyPowerLower()))
    monkeypatch.setattr(chain_search, "STARTS", (1e-6,))
    one = solve(chain)
    monkeypatch.setattr(chain_search, "pack", lambda *_: None)
    counted = []
    plain = chain_descent._pass
    monkeypatch.setattr(
        chain_descent, "_pass", lambda *arguments: counted.append(arguments[-1].max()) or plain(*arguments)
    )
    other = solve(chain)
    assert max(counted) > chain_search.PASSES + 1
    assert one.converged.all()
    assert other.converged.all()
    np.testing.assert_allclose(one.value, other.value, rtol=1e-11)
    np.testing.assert_allclose(one.v, other.v, rtol=2e-10)


@pytest.mark.parametrize("channel", [GaussianUpper(), LinearLower(), EntropyPowerLower()], ids=lambda c: c.name)
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_a_table_knows_one_channel_for_all_small_signals(name, channel):
    """For small s or tiny tau, scaling both is equivalent to scaling r; squares of either may underflow."""
    found = table(get(name), channel)
    tau = np.array([S_LEAST, 0.1 * S_LEAST, 1e-20 * S_LEAST])
    r, s = 3.0 / tau, np.full(3, S_LEAST)
    here = found.evaluate(r, tau, s)
    factor = 1e-250
    with np.errstate(over="ignore"):  # dA/dV goes with the square of r
        there = found.evaluate(r / factor, tau * factor, s * factor)
    np.testing.assert_allclose(there.j, here.j, rtol=1e-10)
    np.testing.assert_allclose(there.e / factor, here.e, rtol=1e-8)
    np.testing.assert_allclose(there.a * factor, here.a, rtol=1e-8)

    tau = np.full(3, 1e-200)
    with np.errstate(over="ignore"):
        mean = found.evaluate(1e-3 / tau, tau, np.array([0.5, 1.0, 2.0]))
    beside = found.evaluate(np.full(3, 1e-3) / 1e-34, np.full(3, 1e-34), np.array([0.5, 1.0, 2.0]))
    np.testing.assert_allclose(mean.j, beside.j, rtol=1e-9)
    assert all(np.isfinite(part).all() for part in (mean.j, mean.e, mean.a, mean.e_r, mean.e_v))


def test_rotations_keep_a_faint_theta():
    """`-ln(1 - theta)` is theta where rounding makes the difference 1."""
    theta = np.array([[1e-200, 1e-20, 0.3, 0.7]])
    ensemble = Orthogonal(np.ones((1, 1)), np.ones(4))
    found = ensemble.bracket(np.ones((1, 4)), theta, theta, np.ones((1, 4)), 1.0 - theta)
    np.testing.assert_allclose(found, -np.log1p(-theta), rtol=1e-14)


@pytest.mark.parametrize(
    ("residual", "word"),
    [(0.0, "no minimum"), (0.5 * ENOUGH, "no minimum"), (2e-3, "residual 2.0e-03"), (np.inf, "range of numbers")],
)
def test_a_search_without_end_says_how_it_ended(residual, word):
    columns = {name: np.array([[value]], dtype=object) for name, value in (("status", "ok"), ("message", ""))}
    place = np.array([0])
    View(columns, place).note_lost("mi_layerwise", np.array([True]), np.array([residual]), (place, place))
    assert columns["status"][0, 0] == "unconverged"
    assert columns["message"][0, 0].startswith("layerwise: ")
    assert word in columns["message"][0, 0]
