"""The study of training: fixed rotations, values beside the audit, and a page that says what its tables say."""

import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfmi.activations import get as get_activation
from mfmi.simulate import NetworkLaw, bracket_information, measure_information, network_seed
from studies.training import account, measures
from studies.training.data import load, teacher
from studies.training.design import Case, Design, cases
from studies.training.measures import Row
from studies.training.summaries import error, summary_of

DOCS = Path(__file__).parents[2] / "docs"
LINEAR = Case("teacher", "linear", 4, "usv", 1.0)
SMALL = Case("small", "tanh", 2, "free", 1.0)
# Parametrised over the library: nothing to run without it.
TORCH = pytest.mark.parametrize("here", [name for name in ["torch"] if find_spec(name)])

# ---- design and data -------------------------------------------------------------------------------------------------


def test_every_network_is_trained_in_both_ways() -> None:
    found = list(cases())
    assert len(set(found)) == len(found)
    pairs = {(case.data_set, case.activation, case.depth, case.gain) for case in found}
    assert len(found) == 2 * len(pairs)
    assert {case.depth for case in found} == {2, 4, 6}
    assert {case.activation for case in found} == {"linear", "tanh", "relu"}


def test_checkpoints_are_thirty_from_the_start_to_the_end() -> None:
    kept = Design().kept
    assert (len(kept), kept[0], kept[1], kept[-1]) == (30, 0, 1, Design().steps)
    assert np.all(np.diff(kept) > 0)
    assert replace(Design(), steps=10).kept == tuple(range(11))


def test_the_teacher_gives_no_class_away() -> None:
    split = teacher(50, (2000, 500))
    shares = np.bincount(split.train_labels, minlength=4) / 2000
    assert shares.min() > 0.15
    assert np.array_equal(split.train_features, teacher(50, (2000, 500)).train_features)
    assert np.mean(split.train_features**2) == pytest.approx(1.0, abs=0.02)


# ---- values beside the audit -----------------------------------------------------------------------------------------


def test_a_given_network_is_bracketed_as_a_drawn_one() -> None:
    law = NetworkLaw(get_activation("tanh"), (4, 4, 4), 1.5, 0.3, 0.3)
    seed = network_seed(0, 4, 0)
    weights, rng = (np.random.default_rng(one) for one in network_seed(0, 4, 0).spawn(2))
    given = bracket_information(law.draw(weights), rng, outer=16, inner=32)
    assert given == measure_information(law, seed, outer=16, inner=32)


def test_brackets_hold_the_information_of_a_linear_network() -> None:
    design = replace(Design(), small_width=5)
    case = Case("small", "linear", 2, "free", 1.0)
    split = load(case, design)
    rng = np.random.default_rng(0)
    state = {f"{layer}.weight": rng.normal(size=(rows, 5)) / 2 for layer, rows in ((1, 5), (2, 5), (3, 4))}
    state |= {f"{layer}.bias": rng.normal(size=rows) for layer, rows in ((1, 5), (2, 5), (3, 4))}
    exact = measures.exact_information(case, design, split, state)
    network = measures.small_network(case, design, split, state)
    for layer in (1, 3):
        found = measures.brackets(measures.cut(network, layer), 64, 64)
        assert found["lower"] - 4 * found["error"] < exact[layer - 1] < found["upper"] + 4 * found["error"]
        assert found["pairwise"] < exact[layer - 1]
    lower, upper = measures.pairwise(measures.cut(network, 3), 500)
    assert 0.0 < lower < upper <= math.log(500) / 5


def test_exact_information_is_that_of_the_product() -> None:
    split = teacher(12, (300, 10))
    design = replace(Design(), width=12, examples=(300, 10))
    rng = np.random.default_rng(1)
    state = {f"{layer}.weight": rng.normal(size=(rows, 12)) / 3 for layer, rows in ((1, 12), (2, 12), (3, 4))}
    found = measures.exact_information(LINEAR._replace(depth=2), design, split, state)
    product = state["3.weight"] @ state["2.weight"] @ state["1.weight"]
    x = split.train_features - split.train_features.mean(axis=0)
    gains = np.linalg.svd(x @ product.T / math.sqrt(300), compute_uv=False) / design.sigma_noise
    assert found[2] == pytest.approx(0.5 * np.log1p(gains**2).sum() / 12, rel=1e-5)


# ---- training --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@TORCH
def test_fixed_rotations_stay_and_networks_learn(here: str) -> None:
    from studies.training.networks import train

    design = replace(Design(), other_width=30, steps=200, checkpoints=3, examples=(500, 100))
    for weights in ("usv", "free"):
        case = Case("teacher", "tanh", 2, weights, 1.0)
        first, *_, last = train(case, design, load(case, design))
        assert last.train_loss < 0.8 * first.train_loss
        for layer in (1, 2, 3):
            before, after = (point.state[f"{layer}.weight"].astype(np.float64) for point in (first, last))
            left, values, right = np.linalg.svd(before, full_matrices=False)
            inside = left.T @ after @ right.T
            off = np.abs(inside - np.diag(np.diag(inside))).max()
            assert bool(off < 1e-5) is (weights == "usv")
            assert np.abs(np.diag(inside) - values).max() > 0.05


@pytest.mark.slow
@TORCH
@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_linear_networks_with_fixed_rotations_agree_with_their_exact_information(here: str, gain: float) -> None:
    design = replace(Design(), width=400, steps=200, checkpoints=12, few=2)
    case = LINEAR._replace(gain=gain)
    rows = [row for row in measures.measure_case(case, design) if row.layer <= case.depth]
    assert len(rows) == 12 * case.depth
    assert rows[-1].train_loss < 0.9 * rows[0].train_loss
    assert max(error(row) for row in rows) < 0.01


# ---- the account -----------------------------------------------------------------------------------------------------


def made_up(case: Case, course: list[float]) -> list[Row]:
    """Rows of a network whose information goes that way, the theory a tenth above."""
    rows = []
    for step, value in enumerate(course):
        for layer in range(1, case.depth + 2):
            own = value if layer == case.depth else 1.0
            cells = dict.fromkeys(Row._fields[7:], math.nan)
            cells |= {"test_loss": abs(step - 1.0), "train_loss": 1.0 / (step + 1), "test_accuracy": 0.5}
            cells |= {"linear_measured": own, "linear": 1.1 * own, "freeness": 1.0 + 0.1 * step}
            rows.append(Row(*case, step, layer, *cells.values()))
    return rows


@pytest.mark.parametrize(
    ("course", "words"),
    [
        ([1.0, 1.01, 0.99], "stays"),
        ([1.0, 0.9, 0.8], "falls"),
        ([1.0, 1.2, 0.8], "rises, then falls"),
        ([1.0, 1.1, 1.3], "rises"),
        ([1.0, 0.9, 1.3], "falls, then rises"),
        ([1.0, 0.9, 1.0], "falls and recovers"),
    ],
)
def test_the_course_of_information_has_a_word(course: list[float], words: str) -> None:
    found = summary_of(made_up(Case("digits", "tanh", 2, "free", 1.0), course))
    assert found.course == words
    assert (found.start, found.end, found.best_step) == (1.0, course[-1], 1)
    assert found.error_worst == pytest.approx(0.1)
    assert found.tied == pytest.approx(0.2)


def test_rows_and_summaries_are_read_as_written(tmp_path: Path) -> None:
    rows = made_up(SMALL._replace(data_set="digits"), [1.0, 0.123456789])
    measures.write(tmp_path / "a.csv", rows)
    found = list(measures.read(tmp_path / "a.csv"))
    assert [row[:7] for row in found] == [row[:7] for row in rows]
    assert found[-2].linear == pytest.approx(rows[-2].linear, rel=1e-6)
    assert math.isnan(found[0].exact)
    account.write_summaries(tmp_path / "b.csv", [summary_of(rows)])
    (same,) = account.read_summaries(tmp_path / "b.csv")
    assert same.case == summary_of(rows).case
    assert same[4:] == pytest.approx(summary_of(rows)[4:], rel=1e-5, nan_ok=True)


@pytest.fixture(scope="module")
def published() -> list[Any]:
    return account.read_summaries(DOCS / "data" / account.SUMMARIES)


def test_the_page_says_what_its_tables_say(published: list[Any]) -> None:
    page = (DOCS / "training.md").read_text()
    assert account.fill(page, published) == page
    assert page.count("<!-- table") == 4
    assert [one.case for one in published] == list(cases())


def test_linear_networks_with_fixed_rotations_follow_the_theory(published: list[Any]) -> None:
    wide = [one for one in published if (one.data_set, one.activation, one.weights) == ("teacher", "linear", "usv")]
    assert len(wide) == 5
    assert max(one.error_worst for one in wide if one.gain >= 1.0) < 0.01
    assert max(one.error_worst for one in wide) < 0.02
