"""The study of trainability: statistics, data, initial networks, and a page that says what its tables say."""

import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mfmi.cli.recommend_view import TRAINED
from studies.evidence import account, ranking, runs
from studies.evidence.chance import same_law
from studies.evidence.data import load, split
from studies.evidence.design import ACTIVATIONS, BIASES, DATA_SETS, GROUPS, WEIGHTS, Case, Design, work
from studies.evidence.findings import Compared, Ranked, compared, losses, ranked
from studies.evidence.oracle import best_places
from studies.evidence.predictors import PREDICTORS, predictions
from studies.evidence.recommended import RECOMMENDED
from studies.evidence.runs import Run
from studies.evidence.starts import Start, deviations, draws, grid, unit_of

DOCS = Path(__file__).parents[2] / "docs"
RANDOM = np.random.default_rng(1)
HERE = [name for name in ["torch"] if find_spec(name)]

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
    # One seed: nothing but points is drawn, as scipy's bootstrap of pairs does.
    x = RANDOM.standard_normal(30)
    loss = (-x + 0.7 * RANDOM.standard_normal(30))[:, None]
    found = ranking.rank(x, loss, ranking.Resample.of(30, 1, 2000))
    theirs = stats.bootstrap(
        (x, -loss[:, 0]),
        lambda a, b, axis: ranking.spearman(a, b),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)
    assert found.spearman == pytest.approx(stats.spearmanr(x, -loss[:, 0]).statistic)
    assert found.points == 30


def test_points_without_prediction_are_left_out() -> None:
    x, y = np.arange(8.0), np.arange(8.0)
    x[3] = np.nan
    y[3] = 100.0
    found = ranking.rank(x, -y[:, None], ranking.Resample.of(8, 1, 200))
    assert found == (7, 1.0, 1.0, 1.0)
    assert math.isnan(ranking.rank(np.full(8, np.nan), -y[:, None], ranking.Resample.of(8, 1, 9)).spearman)


def test_what_learnt_nothing_ties_with_guessing() -> None:
    assert ranking.learnt(np.array([0.5, 9.0, np.nan]), 2.0).tolist() == [0.5, 2.0, 2.0]


def test_draws_take_points_with_their_own_seeds() -> None:
    values = np.arange(12.0).reshape(4, 3)
    resample = ranking.Resample.of(4, 3, 50)
    drawn = resample.take(values)
    assert drawn.shape == (50, 4, 3)
    assert drawn[17, 2, 0] == values[resample.points[17, 2], resample.seeds[17, 2, 0]]


# ---- data and networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATA_SETS)
def test_data_are_scaled_as_the_theorys_inputs(name: str) -> None:
    data = load(name)
    assert np.mean(data.train_features.astype(np.float64) ** 2) == pytest.approx(1.0, rel=1e-5)
    assert np.abs(data.train_features.mean(axis=0)).max() < 1e-5
    assert len(data.test_labels) == pytest.approx(len(data.train_labels) / 3, rel=0.01)
    if data.regression:
        assert (data.classes, data.guess) == (1, pytest.approx(1.0, rel=1e-5))
        return
    assert set(data.test_labels) == set(range(data.classes))
    assert 0.0 < data.guess <= math.log(data.classes)


def test_the_test_examples_have_no_part_in_the_scale() -> None:
    features, labels = RANDOM.standard_normal((40, 3)), np.tile([0, 1], 20)
    one = split(features, labels)
    order = np.random.default_rng(0).permutation(40)
    features[order[::4]] *= 100.0
    other = split(features, labels)
    assert np.array_equal(one.train_features, other.train_features)
    assert not np.array_equal(one.test_features, other.test_features)


def test_learning_rates_are_chosen_on_examples_of_their_own() -> None:
    data = load("digits")
    fit, check = data.validation()
    assert len(fit.train_labels) + len(check.test_labels) == len(data.train_labels)
    rows = {row.tobytes() for row in fit.train_features}
    assert sum(row.tobytes() in rows for row in check.test_features) < 3  # the data themselves repeat few
    assert np.array_equal(fit.test_features, data.test_features)


@pytest.mark.parametrize("orthogonal", [False, True])
def test_networks_start_with_the_variances_of_the_theory(orthogonal: bool) -> None:
    sizes = [40, 200, 200, 10]
    for layer, (weights, biases) in enumerate(draws(sizes, 3, orthogonal)):
        fan_in, fan_out = sizes[layer : layer + 2]
        assert (weights.shape, biases.shape) == ((fan_in, fan_out), (1, fan_out))
        assert np.mean(weights**2) * fan_in == pytest.approx(1.0, rel=5.0 * math.sqrt(2.0 / weights.size))
        if orthogonal:
            short = weights.T @ weights if fan_in >= fan_out else weights @ weights.T
            assert short == pytest.approx(np.eye(len(short)) * max(1.0, fan_out / fan_in), abs=1e-12)
    again, other = draws(sizes, 3, orthogonal), draws(sizes, 4, orthogonal)
    assert np.array_equal(again[1][0], draws(sizes, 3, orthogonal)[1][0])
    assert not np.array_equal(again[1][0], other[1][0])


def test_variances_travel_as_the_length_map_says() -> None:
    x = RANDOM.standard_normal((200, 200))
    pairs = draws([200, 200, 200, 2], 0, orthogonal=False)
    factors = deviations(Start("grid", 1.5, 0.3), 2)
    for (weights, biases), (w, b), q in zip(pairs[:2], factors, [2.34, None], strict=True):
        y = x @ weights * w + biases * b
        if q is None:
            z = np.random.default_rng(0).standard_normal(400_000)
            q = 1.5**2 * np.mean(np.tanh(math.sqrt(1.5**2 + 0.3**2) * z) ** 2) + 0.3**2
        assert np.mean(y**2) == pytest.approx(q, rel=0.06)
        x = np.tanh(y)


def test_the_grid_lies_around_the_edge_of_chaos() -> None:
    assert unit_of("relu") == pytest.approx(math.sqrt(2.0))
    assert unit_of("tanh") == pytest.approx(1.0, abs=1e-3)
    places = grid(Case("digits", "relu", 20))
    assert len({(one.sigma_w, one.sigma_b) for one in places}) == len(WEIGHTS) * len(BIASES)
    assert any(one.sigma_w == pytest.approx(math.sqrt(2.0)) and one.sigma_b == 0.0 for one in places)


@pytest.mark.slow
@pytest.mark.parametrize("here", HERE)
def test_networks_trained_side_by_side_are_those_trained_alone(here: str) -> None:
    from studies.evidence.training import train

    data = load("breast_cancer")
    starts = [Start("grid", 1.2, 0.1), Start("other", 0.9, 0.3)]
    for optimiser in ("sgd", "adam"):
        case = Case("breast_cancer", "tanh", 3, optimiser)
        rate = (0.02,)
        design = replace(Design(), steps=20, cuts=(), rates=(("sgd", rate), ("adam", rate)))
        together = train(data, case, starts, (0, 1), design)
        for i, start in enumerate(starts):
            for j, seed in enumerate((0, 1)):
                (alone,) = train(data, case, [start], (seed,), design)
                assert alone.test_loss[0] == pytest.approx(together[i].test_loss[j], rel=1e-3)
        assert min(one.train_loss.min() for one in together) < 0.6 * data.guess


@pytest.mark.slow
@pytest.mark.parametrize("here", HERE)
def test_training_is_pytorchs(here: str) -> None:
    """The fleet's own updates beside torch.optim on one network of torch.nn."""
    import torch

    from studies.evidence.training import _Fleet

    data = load("breast_cancer")
    for optimiser in ("sgd", "adam"):
        case = Case("breast_cancer", "tanh", 2, optimiser, width=64)
        design = replace(Design(), steps=12, cuts=(), rates=(("sgd", (0.01,)), ("adam", (0.005,))))
        fleet = _Fleet(data, case, [Start("grid", 1.3, 0.2)], (0,), design)
        layers: list[Any] = []
        for weights, biases in zip(fleet.parameters[::2], fleet.parameters[1::2], strict=True):
            layer = torch.nn.Linear(*weights.shape[1:])
            with torch.no_grad():
                layer.weight.copy_(weights[0].T)
                layer.bias.copy_(biases[0, 0])
            layers += [layer, torch.nn.Tanh()]
        model = torch.nn.Sequential(*layers[:-1])
        mine = model.parameters()
        by = torch.optim.SGD(mine, 0.01, momentum=0.9) if optimiser == "sgd" else torch.optim.Adam(mine, 0.005)
        for rows in fleet.batches[:, 0]:
            by.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(fleet.data[0][rows]), fleet.data[1][rows])
            loss.backward()
            by.step()
        (found,) = fleet.train()
        with torch.no_grad():
            theirs = torch.nn.functional.cross_entropy(model(fleet.tested[0]), fleet.tested[1])
        assert found.test_loss[0] == pytest.approx(float(theirs), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("here", HERE)
def test_lsuv_leaves_outputs_of_variance_1(here: str) -> None:
    from studies.evidence.training import _Fleet

    case = Case("digits", "gelu", 6)
    fleet = _Fleet(load("digits"), case, [Start("lsuv", math.nan, weights="orthogonal", fitted=True)], (0,), Design())
    state = fleet.data[0][: 4 * 32]
    for layer in range(6):
        out = state @ fleet.parameters[2 * layer][0]
        assert float(out.var()) == pytest.approx(1.0, abs=0.1)
        state = fleet.phi(out)


# ---- runs, findings, page --------------------------------------------------------------------------------------------


def made_up(case: Case) -> list[Run]:
    """Networks that train the better the nearer sigma_w is to sqrt(2)."""
    places = [("grid", one.sigma_w, one.sigma_b) for one in grid(case)] + [("he", 1.4142136, 0.0), ("kept", 1.5, 0.3)]
    return [
        Run(*case, *place, seed, 0.1, 0.5, 0.5, abs(place[1] - math.sqrt(2.0)) + 0.1 * place[2] + 1e-3 * seed, 0.9)
        for place in places
        for seed in (0, 1)
    ]


def test_the_raw_table_is_read_as_written(tmp_path: Path) -> None:
    wanted = made_up(Case("digits", "relu", 5))
    wanted[3] = wanted[3]._replace(test_loss=math.nan)
    runs.write(tmp_path / "runs.csv", wanted)
    found = runs.read(tmp_path / "runs.csv")
    assert [one[:8] for one in found] == [one[:8] for one in wanted]
    assert math.isnan(found[3].test_loss)
    assert found[7].test_loss == pytest.approx(wanted[7].test_loss, rel=1e-4, abs=1e-12)
    assert runs.by_case(found) == {Case("digits", "relu", 5): found}


def test_a_predictor_that_is_right_is_found_to_be() -> None:
    case = Case("digits", "relu", 5)
    ran = made_up(case)
    found = {one.predictor: one for one in ranked(case, ran, 10.0)}
    assert set(found) == set(PREDICTORS)
    assert found["gradient"].sigma_w == pytest.approx(math.sqrt(2.0), rel=1e-6)
    assert found["gradient"].spearman > 0.9 > found["sigma_w"].spearman
    assert found["sigma_w"].regret == pytest.approx(found["sigma_w"].sigma_w - math.sqrt(2.0), abs=1e-3)
    assert len(losses(ran, 10.0)) == 26
    kept, *_ = compared(case, ran, 10.0)
    assert (kept.start, kept.recipe, kept.verdict) == ("kept", "he", "far worse")


def test_the_best_place_of_a_grid_is_held_against_the_best_recipe() -> None:
    case, turned = Case("digits", "relu", 5), Case("digits", "relu", 5, weights="orthogonal")
    grids = [run for run in made_up(turned) if run.start == "grid"]
    cases = runs.by_case(made_up(case) + [run._replace(test_loss=run.test_loss + 0.01) for run in grids])
    first, second = best_places(cases)
    assert (first.weights, first.places, second.weights) == ("gaussian", len(grid(case)), "orthogonal")
    assert (first.sigma_w, first.sigma_b) == (pytest.approx(math.sqrt(2.0)), 0.0)
    # As the made-up recipe of He, which lies there too; the other grid is shifted by many of its small scatters.
    assert (first.found.recipe, first.found.verdict, second.found.verdict) == ("he", "within", "far worse")
    assert best_places(runs.by_case(grids)) == []


@pytest.mark.parametrize(
    ("loss", "verdict"),
    [(0.5, "better"), (0.9, "within"), (1.0, "within"), (1.1, "within"), (1.3, "worse"), (2.0, "far worse")],
)
def test_a_verdict_is_in_scatters_of_a_difference(loss: float, verdict: str) -> None:
    assert Compared(Case("digits", "relu", 5), "kept", loss, 0.16, "he", 1.0, 0.12).verdict == verdict


def test_chance_is_that_of_the_best_recipe_drawn_again() -> None:
    case, random = Case("digits", "relu", 5), np.random.default_rng(4)

    def ran(start: str, mean: float, scatter: float, seeds: int) -> list[Run]:
        values = mean + scatter * stats.zscore(random.standard_normal(seeds), ddof=1)
        return [Run(*case, start, 1.0, 0.0, j, 0.1, 0.5, 0.5, float(v), 0.9) for j, v in enumerate(values)]

    # One recipe: two means of n seeds, over the root of the sum of two variances, is t / sqrt(n).
    for seeds in (3, 8):
        expected = stats.t.sf(math.sqrt(seeds), 2 * (seeds - 1))
        better, _, worse, far = same_law(case, ran("he", 1.0, 0.1, seeds))
        assert (better, worse + far) == pytest.approx((expected, expected), abs=0.03)
    # Rivals that are as good are lucky at its cost, those far behind never are.
    alone, crowd = ran("he", 1.0, 0.1, 3), [run for k in ("glorot", "torch") for run in ran(k, 1.0, 0.1, 3)]
    behind = [run for k in ("lecun", "lsuv") for run in ran(k, 2.0, 0.1, 3)]
    assert same_law(case, alone + crowd)[0] < 0.6 * same_law(case, alone)[0]
    assert same_law(case, alone + behind) == pytest.approx(same_law(case, alone), abs=0.05)
    # All at the loss of guessing: nothing is better or worse.
    assert same_law(case, ran("he", 9.0, 0.1, 3)).tolist() == [0.0, 1.0, 0.0, 0.0]


def test_predictors_come_from_the_evaluator() -> None:
    w, b = np.array([1.0, math.sqrt(2.0), 2.0]), np.zeros(3)
    found = predictions(Case("digits", "relu", 4), w, b)
    assert found["gradient"] == pytest.approx(-np.abs(1.5 * np.log(w**2 / 2.0)), abs=1e-12)
    # Beyond sqrt(2) there is no fixed point.
    assert found["edge"] == pytest.approx([-math.log(2.0), 0.0, -np.inf], abs=1e-12)
    assert np.argmax(found["kept"]) == 1
    assert np.argmax(found["linear"]) == 2


def test_the_work_is_every_activation_on_every_data_set() -> None:
    listed = list(work())
    assert len(set(listed)) == len(listed)
    assert {group for _, group in listed} == set(GROUPS)
    plain = {case[:2] for case, group in listed if group == "recommended"}
    assert plain == {(data, act) for data in DATA_SETS for act in ACTIVATIONS}
    assert {case.network for case, _ in listed} == {"plain", "residual", "residual_by_depth"}


@pytest.fixture(scope="module")
def kept_runs() -> list[Run]:
    return runs.read(DOCS / "data" / account.RUNS)


def test_the_page_says_what_its_tables_say(kept_runs: list[Run]) -> None:
    page = (DOCS / "evidence.md").read_text()
    order = account.read_findings(DOCS / "data" / account.RANKING, Ranked)
    comparison = account.read_findings(DOCS / "data" / account.COMPARISON, Compared)
    assert account.fill(page, order, comparison, kept_runs) == page
    assert page.count("<!-- table") == 8


def below(comparison: list[Compared], held_out: bool, one: str, other: str) -> str:
    """In how many cases the test loss of a start is below that of another."""
    losses = {(found.case, found.start): found.loss for found in comparison if found.case.held_out == held_out}
    cases = {case for case, _ in losses}
    return f"{sum(losses[case, one] < losses[case, other] for case in cases)} of {len(cases)}"


def share(comparison: list[Compared], start: str, verdicts: set[str], held_out: bool | None = None) -> tuple[int, int]:
    found = [one for one in comparison if one.start == start and held_out in (None, one.case.held_out)]
    return sum(one.verdict in verdicts for one in found), len(found)


def test_the_sentences_say_what_the_tables_say(kept_runs: list[Run]) -> None:
    comparison = account.read_findings(DOCS / "data" / account.COMPARISON, Compared)
    order = account.read_findings(DOCS / "data" / account.RANKING, Ranked)
    said = {name: " ".join((DOCS / name).read_text().split()) for name in ("evidence.md", "howto/gain.md")}
    page = said["evidence.md"]
    well, far = {"better", "within"}, {"far worse"}

    def percent(start: str, verdicts: set[str], held_out: bool | None = None) -> str:
        count, total = share(comparison, start, verdicts, held_out)
        return f"{100 * count / total:.0f} %"

    both = below(comparison, False, "any, orthogonal", "any"), below(comparison, True, "any, orthogonal", "any")
    assert f"is below that of `any` in {both[0]} cases of the digits, but in {both[1]} held out" in page
    kept = below(comparison, False, "kept, orthogonal", "kept"), below(comparison, True, "kept, orthogonal", "kept")
    assert f"that of `kept, orthogonal` below that of `kept` in {kept[0]}, and in {kept[1]}" in page
    safe = [share(comparison, start, well, False) for start in ("kept, orthogonal", "any")]
    assert safe[0] == (17, 17)
    assert f"in all 17 cases of the digits, the default in {safe[1][0]}; held out" in page
    held = {share(comparison, start, well, True) for start in ("kept, orthogonal", "any")}
    assert [f"held out, both are in {count} of {total}" in page for count, total in held] == [True]
    assert f"is in {percent('any', well, True)} of them, and better in {percent('any', {'better'}, True)}" in page
    places = [one.found for one in best_places(runs.by_case(kept_runs)) if one.weights == "gaussian"]
    places = [one for one in places if one.case.data_set == "digits"]
    bad, good = (sum(one.verdict == verdict for one in places) for verdict in ("far worse", "better"))
    assert f"than the best recipe in {bad} of {len(places)} cases, and better in {good}." in page
    assert {one.recipe for one in places} <= {"orthogonal", "lsuv"}
    biases = {run.case: run.sigma_b for run in kept_runs if run.start == "any"}
    counts = {}
    for bare in (True, False):
        here = [one for one in comparison if one.start == "any" and (biases[one.case] < 0.01) == bare]
        counts[bare] = [
            (sum(one.verdict in far for one in some), len(some))
            for some in (here, [one for one in here if one.case.held_out])
        ]
    (bad, total), (bad_held, held_total) = counts[True]
    assert f"in {bad} of the {total} cases with `sigma_b` 0" in page
    assert f"held out in {bad_held} of {held_total}, and in {counts[False][0][0]} of the {counts[False][0][1]}" in page
    assert counts[False][1][0] == 0
    turned_bare = [one for one in comparison if one.start == "any, orthogonal" and biases[one.case] < 0.01]
    assert [one.verdict in far for one in turned_bare] == [False] * total
    held_out = [some for case, some in runs.by_case(kept_runs).items() if case.held_out]
    chance = 100.0 * np.mean([same_law(some[0].case, some) for some in held_out], axis=0)
    assert f"as good in {chance[:2].sum():.0f} % of the held-out cases, better in {chance[0]:.0f} %" in page
    assert f"and far worse in {chance[3]:.0f} %: the best of seven" in page
    assert share(comparison, "any", far, True) == (3, 25)
    assert share(comparison, "any, orthogonal", far, True) == (0, 25)
    assert share(comparison, "lsuv", well) == (28, 42)
    assert f"or better, in two thirds and far worse in {percent('lsuv', far)}" in page
    orthogonal = [percent(start, far) for start in ("any, orthogonal", "kept, orthogonal")]
    assert f"far worse in {orthogonal[0].split()[0]} to {orthogonal[1]}, the default in {percent('any', far)}" in page
    plain = below(comparison, False, "kept", "any"), below(comparison, True, "kept", "any")
    turned = [below(comparison, held_out, "kept, orthogonal", "any, orthogonal") for held_out in (False, True)]
    assert f"`kept` is below `any` in {plain[0]} cases of the digits and in {plain[1]} held out" in page
    assert f"of orthogonal weights in {turned[0]} and in {turned[1]}" in page
    lost = {name: [one.regret for one in order if one.predictor == name] for name in ("kept", "linear", "gradient")}
    mean, most = ({name: f"{way(regrets):.2f}" for name, regrets in lost.items()} for way in (np.mean, np.max))
    assert f"costs {mean['kept']} of test loss on average, at most {most['kept']}" in page
    assert f"by information alone {mean['linear']} and at most {most['linear']}" in page
    assert f"by the gradients alone {mean['gradient']} and at most {most['gradient']}" in page
    assert (
        f"test loss below in {plain[0]} cases of the digits and in {plain[1]} of two smaller data"
        in said["howto/gain.md"]
    )
    assert f"Orthogonal weights had it below in {both[0]} and in {both[1]}" in said["howto/gain.md"]
    assert f"in {both[0]} cases of digits, {both[1]} others" in TRAINED


def test_comparisons_follow_from_the_raw_table(kept_runs: list[Run]) -> None:
    theirs = account.read_findings(DOCS / "data" / account.COMPARISON, Compared)
    mine = [
        one for case, some in runs.by_case(kept_runs).items() for one in compared(case, some, load(case.data_set).guess)
    ]
    assert [one[:2] for one in mine] == [one[:2] for one in theirs]
    assert [(one.recipe, one.verdict) for one in mine] == [(one.recipe, one.verdict) for one in theirs]
    for name in ("loss", "scatter", "theirs", "their_scatter"):
        assert [getattr(one, name) for one in mine] == pytest.approx([getattr(one, name) for one in theirs], rel=1e-5)
    assert {one.start for one in mine} >= set(RECOMMENDED)


@pytest.mark.thorough
def test_rankings_follow_from_the_raw_table(kept_runs: list[Run]) -> None:
    case = Case("digits", "tanh", 20)
    theirs = [one for one in account.read_findings(DOCS / "data" / account.RANKING, Ranked) if one.case == case]
    mine = ranked(case, runs.by_case(kept_runs)[case], load("digits").guess)
    assert [one.predictor for one in mine] == list(PREDICTORS)
    for one, other in zip(mine, theirs, strict=True):
        assert one[1:3] == other[1:3]
        assert one[3:] == pytest.approx(other[3:], abs=2e-3, nan_ok=True)
