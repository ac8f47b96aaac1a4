"""Each bound is as close to the best known value as when it was recorded, or closer."""

import json

import pytest
from problems import DATA, FAST, PROBLEMS, applies, estimate

from mfmi.names import LOWER_BOUNDS, UPPER_BOUNDS

RECORD = DATA / "problems" / "tightness.json"
RECORDED: dict[str, dict[str, float]] = json.loads(RECORD.read_text())
SLACK = 1e-4
"""Loss that is rounding and quadrature, not a looser bound."""


def tightness(problem: str, estimator: str) -> float:
    """The bound over the best known value, or the value over the upper bound: 1 where there is no gap."""
    best, value = PROBLEMS[problem], estimate(estimator, PROBLEMS[problem])
    return value / best.high if estimator in LOWER_BOUNDS else best.low / value


def pairs() -> list[tuple[str, str]]:
    return [
        (name, estimator)
        for name, problem in PROBLEMS.items()
        for estimator in (*LOWER_BOUNDS, *UPPER_BOUNDS)
        if applies(estimator, problem)
    ]


@pytest.mark.parametrize(
    ("problem", "estimator"),
    [
        pytest.param(name, estimator, marks=[] if PROBLEMS[name].activation in FAST else [pytest.mark.slow])
        for name, estimator in pairs()
    ],
)
def test_bound_is_tight(problem: str, estimator: str) -> None:
    assert tightness(problem, estimator) >= RECORDED[problem][estimator] - SLACK


# The record itself


def test_every_bound_of_every_problem_is_recorded() -> None:
    assert {(name, estimator) for name, row in RECORDED.items() for estimator in row} == set(pairs())


def test_recorded_ratios_are_ratios_of_bounds() -> None:
    for name, row in RECORDED.items():
        best = PROBLEMS[name]
        for estimator, ratio in row.items():
            assert 0 <= ratio <= 1 + 3 * best.error / best.low + 1e-5, (name, estimator)


def test_exact_problems_leave_no_gap() -> None:
    # A linear layer's channel is what both potentials bound it by.
    for name, row in RECORDED.items():
        if PROBLEMS[name].hard == "exact":
            for estimator in ("linear", "layerwise", "gaussian_upper"):
                assert row[estimator] == pytest.approx(1, abs=2e-6), (name, estimator)
