"""The chain solver against laws that were worked out without it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from exact_laws import deep_linear, marchenko_pastur
from scipy.optimize import brentq

from mfmi.bounds.estimate import Estimate, largest
from mfmi.chain.ensembles import Gaussian, Orthogonal
from mfmi.chain.potential import Chain
from mfmi.chain.search import STARTS, _rules, _Search, solve, solve_rivals
from mfmi.channels.layers import Surrogate
from mfmi.channels.observed.outputs import GaussianOutput
from mfmi.channels.priors import input_channel
from mfmi.channels.sources import GaussianInput
from mfmi.networks.priors import spike_slab

ENSEMBLES = {"gaussian": Gaussian, "orthogonal": Orthogonal}

REPLICA = json.loads((Path(__file__).parents[1] / "data" / "replica.json").read_text())["cases"]
LINEAR = [
    case
    for case in REPLICA
    if case["prior"][0] == "Normal"
    and all(layer[0] == "Linear" for layer in case["layers"])
    and case["confidence"] == "exact"
    and case["prior"][1:] == [0.0, 1.0]
    and all(layer[1] == 0.0 for layer in case["layers"][:-1])
    and len({w[0] for w in case["weights"]}) == 1
    and len({w[2] for w in case["weights"]}) == 1
]


def linear_chain(ensemble, sigma_w2, noise, alpha, input_variance=1.0):
    """Linear layers without hidden noise, one point per entry of the broadcast arguments."""
    w2, o2, q_x = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, float)) for a in (sigma_w2, noise, input_variance)))
    n, hidden = len(w2), len(alpha) - 1
    ones = np.ones((n, hidden, 1))
    layers = Surrogate(ones, 0.0 * ones, ones, np.zeros((n, 1))) if hidden else None
    weights = ENSEMBLES[ensemble](w2[:, None], np.asarray(alpha, float))
    return Chain(GaussianInput(q_x), weights, layers, GaussianOutput(o2), np.full(n, len(alpha)))


@pytest.mark.parametrize("depth", [1, 2, 5, 10, 50])
def test_deep_linear_law(depth):
    noise = np.array([10.0, 0.1, 0.01, 1e-6])
    found = solve(linear_chain("gaussian", 1.3, noise, [1.0] * depth, 0.7), unique=True)
    expected = np.array([deep_linear(0.7 * 1.3**depth / o2, [1.0] * depth) for o2 in noise])
    assert found.converged.all()
    np.testing.assert_allclose(found.value, expected[:, 0], rtol=1e-11)
    np.testing.assert_allclose(found.mmse / 0.7, expected[:, 1], rtol=1e-9)


def test_marchenko_pastur():
    found = solve(linear_chain("gaussian", 1.0, 0.1, [1.0]), unique=True)
    assert found.value[0] == pytest.approx(0.94383, abs=5e-6)
    assert found.value[0] == pytest.approx(marchenko_pastur(10.0), rel=1e-12)


@pytest.mark.parametrize("alpha", [[2.0, 0.5], [0.5, 0.5], [2.0, 1.0, 0.5], [0.5, 4.0, 0.25], [3.0]])
def test_deep_linear_law_of_rectangular_layers(alpha):
    found = solve(linear_chain("gaussian", 0.8, 0.05, alpha), unique=True)
    # With variance sigma_w^2 / columns the law's signal gains a factor sigma_w^2 per layer.
    value, mmse = deep_linear(0.8 ** len(alpha) / 0.05, alpha)
    assert found.value[0] == pytest.approx(value, rel=1e-11)
    assert found.mmse[0] == pytest.approx(mmse, rel=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 5, 10, 50])
def test_orthogonal_linear_network_is_one_gaussian_channel(depth):
    noise = np.array([10.0, 0.1, 1e-6])
    found = solve(linear_chain("orthogonal", 1.3, noise, [1.0] * depth), unique=True)
    np.testing.assert_allclose(found.value, 0.5 * np.log1p(1.3**depth / noise), rtol=1e-12)


@pytest.mark.parametrize("case", LINEAR, ids=lambda case: case["id"])
def test_linear_reference_values(case):
    kind, scale = case["weights"][0][0], case["weights"][0][2]
    found = solve(linear_chain(kind, scale, case["layers"][-1][1], [w[1] for w in case["weights"]]), unique=True)
    assert found.value[0] == pytest.approx(case["exact_mi"], rel=1e-9)
    assert found.mmse[0] == pytest.approx(case["mmse"], rel=1e-6)


def test_the_reference_has_linear_cases_of_both_ensembles():
    assert {case["weights"][0][0] for case in LINEAR} == {"gaussian", "orthogonal"}
    assert len(LINEAR) >= 12


@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
def test_information_and_error_are_derivatives_of_each_other(ensemble):
    """The I-MMSE relation at the output: dI / d(1 / sigma_o^2) is half the remaining variance of the output signal."""
    rng = np.random.default_rng(3)
    gain, residual = rng.uniform(0.2, 1.0, (1, 3, 4)), rng.uniform(0.0, 0.3, (1, 3, 4))
    weight = np.full((1, 3, 4), 0.25)
    alpha = np.array([1.0, 0.8, 1.5, 0.7])

    def solved(precision):
        layers = Surrogate(gain, residual, weight, np.full((1, 1), 0.1))
        weights = ENSEMBLES[ensemble](np.full((1, 1), 1.4), alpha)
        output = GaussianOutput(np.array([1.0 / precision]))
        return solve(Chain(GaussianInput(np.ones(1)), weights, layers, output, np.array([4])), unique=True)

    step = 1e-4
    slope = (solved(20.0 + step).value - solved(20.0 - step).value)[0] / (2.0 * step)
    v = solved(20.0).v[0, -1]
    remaining = v / (1.0 + 20.0 * v)
    assert slope == pytest.approx(0.5 * np.prod(alpha) * remaining, rel=1e-7)


def test_no_signal_is_no_information():
    found = solve(linear_chain("gaussian", [0.0, 1.0], 0.1, [1.0, 1.0]), unique=True)
    assert found.value[0] == 0.0
    assert found.converged.all()


def test_an_overflowing_variance_is_said_and_not_guessed():
    found = solve(linear_chain("gaussian", [1e300, 1.0], 0.1, [1.0] * 3), unique=True)
    assert np.isnan(found.value[0])
    assert not found.converged[0]
    assert found.converged[1]


def test_a_point_does_not_depend_on_its_neighbours():
    noise = np.geomspace(1e-6, 10.0, 7)
    together = solve(linear_chain("gaussian", 1.2, noise, [1.0] * 4), unique=True).value
    alone = [solve(linear_chain("gaussian", 1.2, o2, [1.0] * 4), unique=True).value[0] for o2 in noise]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
def test_points_of_different_length_share_one_solution(ensemble):
    rng = np.random.default_rng(5)
    gain, residual = rng.uniform(0.2, 1.0, (1, 4, 3)), rng.uniform(0.0, 0.3, (1, 4, 3))
    weight = np.full((1, 4, 3), 1 / 3)

    def chain(lengths):
        n, most = len(lengths), max(lengths)
        parts = (np.repeat(a[:, : most - 1], n, axis=0) for a in (gain, residual, weight))
        layers = Surrogate(*parts, np.full((n, 1), 0.1)) if most > 1 else None
        weights = ENSEMBLES[ensemble](np.full((n, 1), 1.4), np.array([1.0, 0.8, 1.5, 0.7, 1.0])[:most])
        return Chain(GaussianInput(np.ones(n)), weights, layers, GaussianOutput(np.full(n, 0.05)), np.array(lengths))

    together = solve(chain([3, 1, 5, 2, 4]), unique=True)
    assert together.converged.all()
    for row, length in enumerate([3, 1, 5, 2, 4]):
        alone = solve(chain([length]), unique=True)
        assert together.value[row] == pytest.approx(alone.value[0], rel=1e-13)
        assert together.mmse[row] == pytest.approx(alone.mmse[0], rel=1e-10)


# Two minima: sparse inputs through one gaussian matrix of few rows


@dataclass(frozen=True)
class SparseInput:
    """A source whose entries are mostly 0: `J_0` has a step, and the potential two minima (compressed sensing)."""

    size: int

    def derivatives(self, r):
        found = input_channel(spike_slab(0.1), r, 1.0)
        return found.e, found.e_r, 1.0 - r * found.e

    def information(self, r):
        return input_channel(spike_slab(0.1), r, 1.0).j

    def error(self, r):
        return np.zeros_like(r)

    def take(self, rows):
        return SparseInput(len(np.arange(self.size)[rows]))


NOISE2 = 1e-4


def sparse_chain(alpha):
    weights = ENSEMBLES["gaussian"](np.ones((1, 1)), np.array([alpha]))
    return Chain(SparseInput(1), weights, None, GaussianOutput(np.array([NOISE2])), np.array([1]))


def precision(e, alpha):
    return alpha / (NOISE2 + e)


def potential(e, alpha):
    """Theory (8) for one matrix, V, A and r put in by hand: a function of the remaining variance E alone."""
    r = precision(e, alpha)
    information = input_channel(spike_slab(0.1), r, 1.0).j + 0.5 * alpha * np.log1p(e / NOISE2)
    return information - 0.5 * r * e


def stationary(low, high, alpha):
    """The remaining variance between two others at which the potential has no slope."""

    def mismatch(e):
        return np.log(float(input_channel(spike_slab(0.1), precision(e, alpha), 1.0).e) / e)

    return brentq(mismatch, low, high, xtol=1e-16, rtol=1e-14)


@pytest.mark.parametrize(("alpha", "smaller_is_first"), [(0.15, False), (0.17, False), (0.19, True)])
def test_of_two_minima_the_smaller_counts(alpha, smaller_is_first):
    minima = stationary(1e-6, 2e-3, alpha), stationary(0.25, 1.0, alpha)
    values = [float(potential(e, alpha)) for e in minima]
    assert (values[0] < values[1]) == smaller_is_first
    found = solve(sparse_chain(alpha))
    assert found.converged[0]
    assert found.coexisting[0]
    assert found.value[0] == pytest.approx(min(values), rel=1e-8)
    assert found.mmse[0] == pytest.approx(minima[np.argmin(values)], rel=1e-5)
    # One search finds one of them, and cannot know of the other.
    alone = solve(sparse_chain(alpha), unique=True)
    assert not alone.coexisting[0]
    assert min(abs(alone.value[0] - value) for value in values) < 1e-7


@pytest.mark.parametrize("starts", [(1.0, 1e-6, 1e-6), (1e-6, 1.0, 1.0), (1e-6, 1.0, 1e-6)])
def test_a_minimum_that_one_search_saw_is_not_forgotten(monkeypatch, starts):
    monkeypatch.setattr("mfmi.chain.search.STARTS", starts)
    for alpha in (0.15, 0.19):
        assert solve(sparse_chain(alpha)).coexisting[0]


@pytest.mark.parametrize("alpha", [0.15, 0.19])
def test_a_search_that_ends_on_a_maximum_has_not_found_a_minimum(alpha):
    top = stationary(2e-3, 0.25, alpha)
    assert potential(top, alpha) > max(potential(0.98 * top, alpha), potential(1.02 * top, alpha))
    found = _Search(sparse_chain(alpha)).descend(_rules(top))
    assert found.residual[0] < 1e-9
    assert not found.converged[0]


@pytest.mark.parametrize("chain", [sparse_chain(0.15), linear_chain("gaussian", 1.2, 0.01, [1.0, 0.5, 2.0])])
def test_a_search_that_is_broken_off_has_no_value(chain):
    search = _Search(chain)
    whole, short = search.descend(_rules(0.1)), search.descend(_rules(0.1, steps=2))
    assert whole.converged[0]
    assert not short.converged[0]
    assert np.isnan(short.value[0])


# Searches that end early


@pytest.mark.parametrize("alpha", [0.15, 0.17, 0.19])
def test_a_minimum_is_not_taken_for_another_one_that_is_known(alpha):
    search = _Search(sparse_chain(alpha))
    high, low = (search.descend(_rules(share)) for share in (1.0, 1e-6))
    again = search.descend(_rules(1e-6), [high])
    assert again.value[0] == low.value[0] != high.value[0]
    for known in ([high, low], [low, high]):
        np.testing.assert_array_equal(search.descend(_rules(1e-6), known).r, low.r)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_what_is_merely_nearby_is_not_where_a_search_ends(ensemble, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr("mfmi.chain.search.pack", lambda *_: None)
    search = _Search(linear_chain(ensemble, 1.2, 0.01, [1.0, 0.5, 2.0]))
    whole = search.descend(_rules(1.0))
    beside = whole._replace(value=np.ones(1), r=1.4 * whole.r, v=1.4 * whole.v)
    assert search.descend(_rules(1e-6), [beside]).value[0] == search.descend(_rules(1e-6)).value[0] > 1.0


def test_what_has_no_end_is_no_known_minimum():
    chain = linear_chain("gaussian", 1.2, 0.01, [1.0, 0.5, 2.0])
    search = _Search(chain)
    whole, short = search.descend(_rules(1.0)), search.descend(_rules(1.0, steps=2))
    near = short._replace(r=whole.r, v=whole.v)
    assert not near.converged[0]
    found = search.descend(_rules(1e-6), [near])
    assert found.converged[0]
    assert found.value[0] == pytest.approx(whole.value[0], rel=1e-11)


def test_of_rivals_the_largest_has_its_smallest_minimum():
    """Two points: either chain is the larger."""
    one = linear_chain("gaussian", [1.0, 1.4], 0.1, [1.0, 1.0])
    other = linear_chain("gaussian", [1.2, 1.1], 0.1, [1.0, 1.0])
    alone = [solve(one), solve(other)]
    found = solve_rivals([one, other])
    assert all(solution.converged.all() for solution in found)
    np.testing.assert_array_equal(np.max([s.value for s in found], axis=0), np.max([s.value for s in alone], axis=0))


def test_a_rival_that_did_not_end_leaves_open_which_is_the_largest():
    one = linear_chain("gaussian", [1.0, 1e200, 1e200], 0.1, [1.0, 1.0])
    other = linear_chain("gaussian", [1e200, 1.0, 1e200], 0.1, [1.0, 1.0])
    found = solve_rivals([one, other])
    np.testing.assert_array_equal([s.converged for s in found], [[1, 0, 0], [0, 1, 0]])
    best = largest(Estimate(s.value, s.residual, s.converged, s.mmse, s.coexisting, s.error) for s in found)
    assert not best.converged.any()
    np.testing.assert_array_equal(np.isfinite(best.value), [True, True, False])


def test_a_rival_that_did_not_end_but_cannot_be_the_largest_leaves_nothing_open(monkeypatch):
    """One of its minima lies below the other's smallest, and what else it may have is no larger."""
    low, high = (linear_chain("gaussian", weight, 0.1, [1.0, 1.0]) for weight in (1.0, 1.4))
    descend = _Search.descend

    def without_end(search, rules, known=()):
        found = descend(search, rules, known)
        if search._chain.ensemble.sigma_w2[0, 0] == lost[0] and rules.share == lost[1]:
            return found._replace(value=np.full(1, np.nan), converged=np.zeros(1, dtype=bool))
        return found

    monkeypatch.setattr(_Search, "descend", without_end)
    weights = low.ensemble.sigma_w2[0, 0], high.ensemble.sigma_w2[0, 0]
    assert len(STARTS) > 1
    for share in STARTS:
        lost = weights[0], share
        found = solve_rivals([low, high])
        assert all(solution.converged[0] for solution in found)
        assert found[0].value[0] < found[1].value[0]
        lost = weights[1], share
        found = solve_rivals([low, high])
        assert found[0].converged[0]
        assert not found[1].converged[0]


def test_a_rival_is_the_largest_by_its_smallest_minimum():
    """From the prior variances the first chain has a larger value than the second, and from small ones a smaller."""
    chain = sparse_chain(0.19)
    first, least = _Search(chain).descend(_rules(1.0)).value[0], solve(chain).value[0]
    value = 0.5 * (first + least)
    noise = brentq(lambda log: solve(linear_chain("gaussian", 1.0, np.exp(log), [1.0])).value[0] - value, -9.0, 9.0)
    rival = linear_chain("gaussian", 1.0, np.exp(noise), [1.0])
    value = solve(rival).value[0]
    assert 1.001 * least < value < 0.999 * first
    for chains in ([chain, rival], [rival, chain]):
        found = solve_rivals(chains)
        assert {one.value[0] for one in found if one.converged[0]} >= {value}
        assert max(one.value[0] for one in found if one.converged[0]) == value
