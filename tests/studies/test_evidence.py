"""The study of trainability: statistics, data, initial networks, and a page that says what its tables say."""

import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from studies.evidence import account, ranking, runs
from studies.evidence.data import load, split
from studies.evidence.design import ACTIVATIONS, DATA_SETS, DEPTHS, Case, Design, cases
from studies.evidence.findings import ACCURACY, LOSS, findings
from studies.evidence.predictors import PREDICTORS, predictions, theory
from studies.evidence.runs import Run
from studies.evidence.training import initial_parameters

DOCS = Path(__file__).parents[2] / "docs"
RANDOM = np.random.default_rng(1)

# ---- statistics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_is_scipys(ties: bool) -> None:
    x, y = RANDOM.standard_normal((2, 7, 15))
    if ties:
        x, y = np.round(x), np.round(2 * y)
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert ranking.spearman(x, y) == pytest.approx(expected, abs=1e-14)


def test_a_constant_has_no_rank_correlation() -> None:
    assert np.isnan(ranking.spearman(np.ones(5), np.arange(5.0)))


def test_the_interval_is_scipys() -> None:
    # One seed and one learning rate: nothing but points is drawn, as scipy's bootstrap of pairs does.
    x = RANDOM.standard_normal(30)
    loss = (-x + 0.7 * RANDOM.standard_normal(30))[:, None, None]
    resample = ranking.Resample.of(30, 1, 4000)
    guess = math.inf
    found = ranking.rank(x, ranking.scores(loss, guess), ranking.scores(resample.take(loss), guess), resample)
    theirs = stats.bootstrap(
        (x, -loss[:, 0, 0]),
        lambda a, b, axis: ranking.spearman(a, b),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)
    assert found.spearman == pytest.approx(stats.spearmanr(x, -loss[:, 0, 0]).statistic)
    assert found.points == 30


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    # Two normal variables of correlation 0.6 have the rank correlation 6/pi arcsin(0.3).
    truth = 6.0 / math.pi * math.asin(0.3)
    resample = ranking.Resample.of(40, 1, 400)
    held = 0
    for _ in range(200):
        x, noise = RANDOM.standard_normal((2, 40))
        loss = -(0.6 * x + 0.8 * noise)[:, None, None]
        ends = ranking.interval(ranking.drawn_correlations(x, ranking.scores(resample.take(loss), math.inf), resample))
        held += ends[0] <= truth <= ends[1]
    assert 0.88 <= held / 200 <= 0.99


def test_points_without_prediction_are_left_out() -> None:
    x, y = np.arange(8.0), np.arange(8.0)
    x[3] = np.nan
    y[3] = 100.0
    loss = -y[:, None, None]
    resample = ranking.Resample.of(8, 1, 200)
    found = ranking.rank(x, y, ranking.scores(resample.take(loss), math.inf), resample)
    assert found == (7, 1.0, 1.0, 1.0)
    assert math.isnan(ranking.rank(np.full(8, np.nan), y, y[resample.points], resample).spearman)


def test_what_learnt_nothing_ties_with_guessing() -> None:
    loss = np.array([[[0.5, 0.7], [0.1, np.nan]], [[9.0, 9.0], [np.nan, np.nan]]])
    assert ranking.scores(loss, 2.0) == pytest.approx([-0.6, -2.0])
    # The second rate is better in one seed and diverges in the other: the mean decides, and the first rate wins.
    accuracy = np.array([[[0.8, 0.9], [1.0, np.nan]], [[0.1, 0.3], [np.nan, np.nan]]])
    assert ranking.at_best_rate(accuracy, loss, 2.0, 0.1) == pytest.approx([0.85, 0.2])


def test_draws_take_points_with_their_own_seeds() -> None:
    values = np.arange(24.0).reshape(4, 2, 3)
    resample = ranking.Resample.of(4, 3, 50)
    drawn = resample.take(values)
    assert drawn.shape == (50, 4, 2, 3)
    replicate, point, rate, seed = 17, 2, 1, 0
    expected = values[resample.points[replicate, point], rate, resample.seeds[replicate, point, seed]]
    assert drawn[replicate, point, rate, seed] == expected


# ---- data and networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATA_SETS)
def test_data_are_scaled_as_the_theorys_inputs(name: str) -> None:
    data = load(name)
    assert np.mean(data.train_features.astype(np.float64) ** 2) == pytest.approx(1.0, rel=1e-5)
    assert np.abs(data.train_features.mean(axis=0)).max() < 1e-5
    assert len(data.test_labels) == pytest.approx(len(data.train_labels) / 3, rel=0.01)
    assert set(data.test_labels) == set(range(data.classes))
    assert 0.0 < data.guess <= math.log(data.classes)
    assert 1.0 / data.classes <= data.guessed_right + 0.03


def test_the_test_examples_have_no_part_in_the_scale() -> None:
    features, labels = RANDOM.standard_normal((40, 3)), np.tile([0, 1], 20)
    one = split(features, labels)
    order = np.random.default_rng(0).permutation(40)
    features[order[::4]] *= 100.0
    other = split(features, labels)
    assert np.array_equal(one.train_features, other.train_features)
    assert not np.array_equal(one.test_features, other.test_features)


def test_networks_start_with_the_variances_of_the_theory() -> None:
    sizes = [40, 200, 200, 10]
    pairs = initial_parameters(sizes, 1.7, 0.3, [0, 1, 2])
    for layer, (weights, biases) in enumerate(pairs):
        fan_in, fan_out = sizes[layer : layer + 2]
        assert weights.shape == (3, fan_in, fan_out)
        assert biases.shape == (3, 1, fan_out)
        sigma_w, sigma_b = (1.0, 0.0) if layer == 2 else (1.7, 0.3)
        spread = 5.0 * math.sqrt(2.0 / weights.size)
        assert np.mean(weights**2) * fan_in == pytest.approx(sigma_w**2, rel=spread)
        assert np.mean(biases**2) == pytest.approx(sigma_b**2, rel=5.0 * math.sqrt(2.0 / biases.size))
    assert not np.array_equal(pairs[0][0][0], pairs[0][0][1])


def test_a_seed_is_the_same_draw_at_any_deviation() -> None:
    one, other = (initial_parameters([5, 6, 7, 2], sigma_w, 0.1, [4]) for sigma_w in (1.0, 2.0))
    assert one[1][0] * 2.0 == pytest.approx(other[1][0])
    assert np.array_equal(one[2][0], other[2][0])


def test_variances_travel_as_the_length_map_says() -> None:
    x = RANDOM.standard_normal((200, 200))
    for (weights, biases), q in zip(
        initial_parameters([200, 200, 200, 2], 1.5, 0.3, range(3))[:2], [2.34, None], strict=True
    ):
        y = x @ weights + biases
        if q is None:
            s = 1.5**2 + 0.3**2
            z = np.random.default_rng(0).standard_normal(400_000)
            q = 1.5**2 * np.mean(np.tanh(math.sqrt(s) * z) ** 2) + 0.3**2
        assert np.mean(y**2) == pytest.approx(q, rel=0.03)
        x = np.tanh(y)


@pytest.mark.slow
@pytest.mark.parametrize("here", [name for name in ["torch"] if find_spec(name)])
def test_networks_trained_side_by_side_are_those_trained_alone(here: str) -> None:
    from studies.evidence.training import train

    data = load("breast_cancer")
    design = replace(Design(), steps=20, width=16)
    together = train(data, "tanh", 3, 1.2, design)
    for i, rate in enumerate(design.learning_rates):
        for j, seed in enumerate(design.seeds):
            alone = train(data, "tanh", 3, 1.2, replace(design, learning_rates=(rate,), seeds=(seed,)))
            assert alone.train_loss[0, 0] == pytest.approx(together.train_loss[i, j], rel=1e-3)
    assert together.train_loss.min() < 0.5 * data.guess


# ---- runs, findings, page --------------------------------------------------------------------------------------------


def made_up(case: Case, design: Design) -> list[Run]:
    """Networks that train the better the nearer sigma_w is to sqrt(2)."""
    return [
        Run(*case, sigma_w, seed, rate, abs(sigma_w - math.sqrt(2.0)) + 0.1 * i + 1e-3 * seed, 0.5, 1.0 / sigma_w)
        for sigma_w in design.sigma_w
        for i, rate in enumerate(design.learning_rates)
        for seed in design.seeds
    ]


def test_the_raw_table_is_read_as_written(tmp_path: Path) -> None:
    wanted = made_up(Case("digits", "relu", 5), Design())
    wanted[3] = wanted[3]._replace(train_loss=math.nan)
    runs.write(tmp_path / "runs.csv", wanted)
    found = runs.read(tmp_path / "runs.csv")
    assert [one[:5] for one in found] == [one[:5] for one in wanted]
    assert math.isnan(found[3].train_loss)
    assert found[7].train_loss == pytest.approx(wanted[7].train_loss, rel=1e-5)
    array = runs.array(found, "train_loss")
    assert array.shape == (13, 5, 3)
    assert array[2, 1, 2] == pytest.approx(abs(Design().sigma_w[2] - math.sqrt(2.0)) + 0.102, rel=1e-5)


def test_a_predictor_that_is_right_is_found_to_be() -> None:
    case, design = Case("digits", "relu", 5), Design()
    data = load("digits")
    said = predictions(
        {
            "sigma_w": np.array(design.sigma_w),
            "chi": np.array(design.sigma_w) ** 2 / 2.0,
            **{name: np.full(13, np.nan) for name in ("chi_1", "xi_c")},
            **{f"mi_{name}": np.array(design.sigma_w) for name in ("mean_field", "linear", "layerwise")},
            "mi_replica": 4.0 - np.array(design.sigma_w),
        }
    )
    said["xi_c"] = -np.abs(np.array(design.sigma_w) - math.sqrt(2.0))
    found = {(one.quantity, one.predictor): one for one in findings(case, made_up(case, design), data, said)}
    assert found[LOSS, "xi_c"].spearman == 1.0
    assert found[LOSS, "xi_c"].low > 0.9
    assert found[LOSS, "xi_c"].picked == pytest.approx(math.sqrt(2.0))
    assert found[ACCURACY, "sigma_w"].spearman == pytest.approx(-1.0)
    assert found[ACCURACY, "linear - replica"].spearman == pytest.approx(-2.0)
    assert found[ACCURACY, "replica"].there == found[ACCURACY, "replica"].best == pytest.approx(2.0)


def test_predictors_come_from_the_evaluator() -> None:
    design = replace(Design(), sigma_w=(1.0, math.sqrt(2.0), 2.0))
    said = theory("relu", [2], design)[2]
    found = predictions(said)
    assert set(found) == set(PREDICTORS)
    # Beyond sqrt(2) there is no fixed point; the layer's slope sigma_w^2 / 2 stands for chi_1.
    assert found["edge"] == pytest.approx([-0.5, 0.0, -1.0], abs=1e-12)
    assert np.isnan(found["xi_c"][1:]).all()
    assert np.all(np.diff(found["linear"]) > 0.0)
    said = {**said, "mi_replica": np.array([2e-17, 1e-17, 0.5])}
    assert predictions(said)["replica"].tolist() == [0.0, 0.0, 0.5]


def test_the_design_is_the_whole_grid() -> None:
    assert len(set(cases())) == len(DATA_SETS) * len(ACTIVATIONS) * len(DEPTHS)
    assert Design().sigma_w[8 - 1] == pytest.approx(math.sqrt(2.0))
    assert min(DEPTHS) == 2
    assert max(DEPTHS) == 50
    assert len(Design().seeds) == 3


@pytest.fixture(scope="module")
def ranked() -> list[Any]:
    return account.read_ranking(DOCS / "data" / account.RANKING)


def test_the_page_says_what_its_tables_say(ranked: list[Any]) -> None:
    page = (DOCS / "evidence.md").read_text()
    assert account.fill(page, ranked) == page
    assert page.count("<!-- table") == 5


@pytest.mark.thorough
@pytest.mark.parametrize("case", [Case("digits", "tanh", 20), Case("breast_cancer", "relu", 50)], ids=str)
def test_the_rankings_follow_from_the_raw_tables(ranked: list[Any], case: Case) -> None:
    import pandas as pd

    ran = [run for run in runs.read(DOCS / "data" / account.RUNS) if run.case == case]
    assert len(ran) == 13 * 5 * 3
    table = pd.read_csv(DOCS / "data" / account.THEORY)
    said = table[(table.activation == case.activation) & (table.depth == case.depth)]
    mine = findings(case, ran, load(case.data_set), predictions({name: said[name].to_numpy() for name in said}))
    theirs = [one for one in ranked if Case(*one[:3]) == case]
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        assert one[:6] == other[:6]
        assert one[6:] == pytest.approx(other[6:], abs=2e-5, nan_ok=True)
