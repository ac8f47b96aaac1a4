"""The bounds on the problems of tests/problems.py: on the right side of the best known value, as close as recorded."""

import json
import runpy

import numpy as np
import pytest
from problems import (
    ALLOWANCE,
    DATA,
    MONTE_CARLO_TAGS,
    PROBLEMS,
    SOURCES,
    TAGS,
    Problem,
    applies,
    best_value,
    deep_linear,
    estimate,
    is_fast,
    pairs,
    tightness,
)

from mfmi.activations import get
from mfmi.names import LOWER_BOUNDS, UPPER_BOUNDS

# What the estimators may lose to their quadratures and tables, in nats.
NUMERICS = 1e-6

RECORDED: dict[str, dict[str, float]] = json.loads((DATA / "problems" / "tightness.json").read_text())
# Loss of a recorded ratio that is rounding and quadrature, not a looser bound.
SLACK = 1e-4


def cases(estimators: tuple[str, ...]) -> list:
    """Every pair of a problem and a bound that exists for it."""
    found = []
    for name, problem in PROBLEMS.items():
        for estimator in estimators:
            marks = [] if is_fast(problem, estimator) else [pytest.mark.slow]
            if applies(estimator, problem):
                found.append(pytest.param(problem, estimator, marks=marks, id=f"{name}-{estimator}"))
    return found


@pytest.mark.thorough
@pytest.mark.parametrize(("problem", "estimator"), cases(LOWER_BOUNDS))
def test_lower_bound_is_honest(problem: Problem, estimator: str) -> None:
    value = estimate(estimator, problem)
    assert 0 <= value <= best_value(problem).high + NUMERICS


@pytest.mark.parametrize(("problem", "estimator"), cases(UPPER_BOUNDS))
def test_upper_bound_is_honest(problem: Problem, estimator: str) -> None:
    value = estimate(estimator, problem)
    assert value >= best_value(problem).low - NUMERICS
    assert np.isfinite(value)


@pytest.mark.parametrize(("problem", "estimator"), cases(("replica",)))
def test_replica_value_is_the_best_known_one(problem: Problem, estimator: str) -> None:
    best = best_value(problem)
    assert best.low - NUMERICS <= estimate(estimator, problem) <= best.high + NUMERICS


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(problem, marks=[] if is_fast(problem, "entropy_power") else [pytest.mark.slow], id=name)
        for name, problem in PROBLEMS.items()
        if not applies("entropy_power", problem)
    ],
)
def test_bound_that_does_not_exist_has_no_value(problem: Problem) -> None:
    assert np.isnan(estimate("entropy_power", problem))


@pytest.mark.parametrize(
    ("problem", "estimator"),
    [
        pytest.param(name, estimator, marks=[] if is_fast(PROBLEMS[name], estimator) else [pytest.mark.slow])
        for name, estimator in pairs()
    ],
)
def test_bound_is_tight(problem: str, estimator: str) -> None:
    assert tightness(problem, estimator) >= RECORDED[problem][estimator] - SLACK


# The table itself


def test_every_problem_says_what_makes_it_hard_and_where_its_value_comes_from() -> None:
    assert len(PROBLEMS) >= 75
    assert {problem.hard for problem in PROBLEMS.values()} == set(TAGS)
    assert {problem.source for problem in PROBLEMS.values()} == set(SOURCES) == set(ALLOWANCE)
    assert sum(len(list(make())) for make in SOURCES.values()) == len(PROBLEMS), "two problems of one name"


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_values_of_the_table_are_possible(problem: Problem) -> None:
    assert get(problem.activation).name == problem.activation
    assert problem.noise_at in ("output", "every")
    assert problem.weights in ("gaussian", "orthogonal")
    assert problem.noise2 > 0
    assert problem.error > 0
    assert problem.low <= problem.high + 2 * problem.error
    # A first layer's information is what any deeper layer's cannot exceed with noise in every layer, and the linear
    # channel of the same power bounds that of a rotation.
    best = best_value(problem)
    snr = problem.input_variance * problem.sigma_w2 / problem.noise2
    first = 0.5 * np.log1p(snr) if problem.weights == "orthogonal" else deep_linear(1, snr)
    if problem.noise_at == "every" or problem.depth == 1:
        assert best.low <= first + 1e-9
    # Maximum entropy at the observed layer: y has at most its mean-field variance.
    assert best.low <= 0.5 * np.log1p(second_moment(problem) / problem.noise2) + 1e-9


def second_moment(problem: Problem) -> float:
    """Variance of a pre-activation at the last layer, theory (3)."""
    phi, hidden2 = get(problem.activation), problem.noise2 if problem.noise_at == "every" else 0.0
    q = problem.sigma_w2 * problem.input_variance + problem.sigma_b2
    for _ in range(problem.depth - 1):
        q = problem.sigma_w2 * float(phi.second_moment(q + hidden2)) + problem.sigma_b2
    return q


def test_exact_laws_agree_with_the_independent_program() -> None:
    # Two routes to the same numbers: the closed integral here, and the public replica code's table.
    table = [problem for problem in PROBLEMS.values() if problem.source == "replica reference"]
    plain = [problem for problem in table if (problem.activation, problem.weights) == ("linear", "gaussian")]
    assert len(plain) >= 10
    for problem in plain:
        exact = deep_linear(problem.depth, problem.sigma_w2**problem.depth / problem.noise2)
        assert problem.low == pytest.approx(exact, abs=1e-11)


def test_measured_problems_are_those_of_the_script_that_measured_them() -> None:
    place = DATA / "problems" / "monte_carlo.py"
    script = runpy.run_path(str(place))
    recorded = json.loads(place.with_suffix(".json").read_text())
    assert set(recorded) == set(script["CASES"]) == set(MONTE_CARLO_TAGS)
    for name, case in script["CASES"].items():
        assert vars(case).items() <= recorded[name].items()
        assert len(recorded[name]["low_by_width"]) == len(script["NETWORKS"])


def test_problems_span_the_interface() -> None:
    spans = {
        (problem.weights, problem.noise_at, problem.sigma_b2 > 0, problem.depth > 1) for problem in PROBLEMS.values()
    }
    for weights in ("gaussian", "orthogonal"):
        for noise_at in ("output", "every"):
            assert {(weights, noise_at, False, True), (weights, noise_at, True, True)} & spans
    assert len({problem.activation for problem in PROBLEMS.values()}) >= 10


# The record itself


def test_every_bound_of_every_problem_is_recorded() -> None:
    assert {(name, estimator) for name, row in RECORDED.items() for estimator in row} == set(pairs())


def test_recorded_ratios_are_ratios_of_bounds() -> None:
    assert len(RECORDED) == len(PROBLEMS)
    for name, row in RECORDED.items():
        best = PROBLEMS[name]
        for estimator, ratio in row.items():
            assert 0 <= ratio <= 1 + 3 * best.error / best.low + 1e-5, (name, estimator)


def test_exact_problems_leave_no_gap() -> None:
    # A linear layer's channel is what both potentials bound it by.
    exact = [name for name in RECORDED if PROBLEMS[name].hard == "exact"]
    assert len(exact) >= 20
    for name in exact:
        for estimator in ("linear", "layerwise", "gaussian_upper"):
            assert RECORDED[name][estimator] == pytest.approx(1, abs=2e-6), (name, estimator)
