"""``mfmi recommend``: the optimum is one, its plateau, the comparison, and code that runs as pasted."""

import ast
import importlib
import io
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import fake_libraries
import numpy as np
import pytest
from conftest import Outcome
from rich.console import Console

import mfmi
from mfmi import initialisers
from mfmi.activations import get
from mfmi.activations._affine import Affine
from mfmi.bounds import evaluate as evaluation
from mfmi.cli.recommend import command
from mfmi.cli.recommend_view import draw, draw_ranking
from mfmi.names import LIBRARIES
from mfmi.networks.model import Model
from mfmi.recommendation import code as initialisation
from mfmi.recommendation.recommend import BASELINES, recommend
from mfmi.recommendation.results import Beyond, NetworkFamily, Recommendation
from mfmi.recommendation.search import BIASES_UP_TO, PLATEAU, optimum

CommandLine = Callable[..., Outcome]
NETWORK = NetworkFamily(get("erf"), 5)


def information(network: NetworkFamily, quantity: str, sigma_w: Any, sigma_b: Any = 0.0) -> Any:
    rows = mfmi.evaluate(
        network.activation.name,
        sigma_w,
        sigma_b,
        network.sigma_noise,
        network.depth,
        weights=network.weights,
        noise_at=network.noise_at,
        input_variance=network.input_variance,
        estimators=["linear", "entropy_power", "layerwise"] if quantity == "total" else [quantity],
        unit=network.unit,
    )
    return rows["mi_lower" if quantity == "total" else f"mi_{quantity}"].to_numpy()


@pytest.fixture(scope="module")
def found() -> Recommendation:
    return recommend(NETWORK, sigma_b=0.0)


# ---- the search ------------------------------------------------------------------------------------------------------


def test_nothing_on_a_fine_grid_is_better(found: Recommendation) -> None:
    best = found.best
    values = information(NETWORK, "linear", np.linspace(0.5, 2.0, 301))
    assert best.value >= values.max()
    assert best.value == information(NETWORK, "linear", best.sigma_w)[0]
    assert best.sigma_w == pytest.approx(np.linspace(0.5, 2.0, 301)[np.argmax(values)], abs=0.006)
    assert best.limits == ()


@pytest.mark.parametrize(
    "network",
    [
        NetworkFamily(get("erf"), 8, noise_at="every", weights="orthogonal"),
        NetworkFamily(get("relu"), 4),
        NetworkFamily(get("gelu"), 3, sigma_noise=0.3),
    ],
    ids=lambda network: network.activation.name,
)
def test_nothing_around_in_both_deviations_is_better(network: NetworkFamily) -> None:
    best = optimum(network, "linear", plateau=False)
    w, b = np.meshgrid(best.sigma_w * np.linspace(0.8, 1.2, 21), np.linspace(0.0, BIASES_UP_TO, 11))
    end = mfmi.fixed_point(network.activation, sigma_w=w, sigma_b=b, sigma_noise=network.hidden_noise)
    bounded = end.phase != "unbounded"
    assert information(network, "linear", w[bounded], b[bounded]).max() <= best.value * (1.0 + 1e-6)
    assert 0.0 <= best.sigma_b <= BIASES_UP_TO


def test_the_plateau_ends_where_a_hundredth_is_lost(found: Recommendation) -> None:
    best = found.best
    assert best.plateau is not None
    low, high = best.plateau
    assert low < best.sigma_w < high
    least = (1.0 - PLATEAU) * best.value
    assert information(NETWORK, "linear", [low, high]) == pytest.approx([least, least], rel=2e-3)
    assert np.all(information(NETWORK, "linear", np.linspace(low, high, 11)) >= least)


def test_the_place_is_described(found: Recommendation) -> None:
    best = found.best
    there = mfmi.fixed_point("erf", sigma_w=best.sigma_w, sigma_b=best.sigma_b)
    assert (best.phase, best.chi_1, best.xi_c) == (there.phase, there.chi_1, there.xi_c)
    assert best.trainable_depth == 6.0 * there.xi_c
    assert best.edge == mfmi.edge_of_chaos("erf", 0.0).sigma_w[0]


def test_total_and_linear_peak_at_different_places(found: Recommendation) -> None:
    best, other = found.best, found.other
    assert (best.quantity, other.quantity) == ("linear", "total")
    assert other.sigma_w > 1.1 * best.sigma_w
    assert found.crossed["linear"] < best.value
    assert found.crossed["total"] < other.value
    assert recommend(NetworkFamily(get("erf"), 2), "total", 0.0).other.quantity == "linear"


@pytest.mark.parametrize(("depth", "ratio"), [(10, 0.894), (20, 0.949), (40, 0.992)])
def test_depth_draws_the_optimum_to_the_edge_of_chaos(depth: int, ratio: float) -> None:
    # The ratios of theory section 8, which come from a grid with steps of five percent.
    best = optimum(NetworkFamily(get("tanh"), depth, noise_at="every"), "linear", math.sqrt(0.3), plateau=False)
    quiet = mfmi.edge_of_chaos("tanh", math.sqrt(0.3), [0.0, 0.1]).sigma_w
    assert best.edge == quiet[1]
    assert min(abs(best.sigma_w / quiet - ratio)) < 0.025


def test_relu_is_recommended_what_he_recommends() -> None:
    best = optimum(NetworkFamily(get("relu"), 20), "linear", 0.0)
    assert best.sigma_w == pytest.approx(math.sqrt(2.0), rel=1e-12)
    assert best.phase == "critical"
    assert "unbounded" in best.limits
    assert best.trainable_depth == math.inf


def test_what_is_unbounded_is_never_recommended() -> None:
    best = optimum(NetworkFamily(get("relu"), 3), "linear", 0.5, plateau=False)
    assert mfmi.fixed_point("relu", sigma_w=best.sigma_w, sigma_b=0.5).phase != "unbounded"
    assert best.sigma_w < math.sqrt(2.0)


def test_a_value_that_missed_a_minimum_does_not_win(monkeypatch: pytest.MonkeyPatch) -> None:
    upper = evaluation.REGISTRY["mi_gaussian_upper"]

    def missed(problem: Any) -> Any:
        found = upper(problem)
        return found._replace(value=found.value * np.where(problem.sigma_w2 > 1.0, 1.1, 0.9))

    monkeypatch.setitem(evaluation.REGISTRY, "mi_replica", missed)
    network = NetworkFamily(get("relu"), 2)
    values = network.values("replica", [0.8, 1.2], [0.0, 0.0])
    assert np.isfinite(values[0])
    assert np.isnan(values[1])


def test_an_end_of_the_search_is_told() -> None:
    # One layer: nothing limits the signal, and it is all the better the larger.
    assert "sigma_w" in optimum(NetworkFamily(get("erf"), 1), "linear", 0.0).limits


def test_bits_are_nats_in_other_units() -> None:
    from dataclasses import replace

    nats, bits = (optimum(replace(NETWORK, unit=unit), "linear", 0.0, plateau=False) for unit in ("nats", "bits"))
    assert bits.value == pytest.approx(nats.value / math.log(2.0), rel=1e-12)
    assert bits.sigma_w == pytest.approx(nats.sigma_w, rel=1e-3)


def test_the_initialisations_of_others(found: Recommendation) -> None:
    assert tuple(one.name for one in found.baselines) == BASELINES
    for baseline in found.baselines:
        preset = initialisers.get(baseline.name)
        assert (baseline.sigma_w, baseline.sigma_b) == (preset.sigma_w, preset.sigma_b)
        assert (baseline.weights == "orthogonal") == (baseline.name == "orthogonal")
        if baseline.weights != NETWORK.weights:
            continue
        assert baseline.values["linear"] == information(NETWORK, "linear", baseline.sigma_w)[0]
        assert baseline.values["linear"] <= found.best.value


def test_unknown_quantities_and_those_without_value() -> None:
    with pytest.raises(ValueError, match="quantity must be one of"):
        optimum(NETWORK, "entropy")
    with pytest.raises(ValueError, match="entropy_power has no value for relu"):
        optimum(NetworkFamily(get("relu"), 3), "entropy_power", 0.0)


# ---- code that runs as pasted ----------------------------------------------------------------------------------------


@pytest.fixture(params=[pytest.param(True, id="stand-in"), *([False] if find_spec("jax") else [])])
def libraries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX to be imported: a stand-in with its signatures always, the real one too where it is installed."""
    if request.param:
        for name, module in fake_libraries.jax().items():
            monkeypatch.setitem(sys.modules, name, module)


def run(found: Recommendation, library: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "pasted"}
    exec(compile(initialisation.code(found, library), f"<{library}>", "exec"), space)
    return space


def check(found: Recommendation, weights: Any, biases: Any) -> None:
    """Weights of shape (fan_in, fan_out) with the recommended law."""
    best = found.best
    fan_in, fan_out = weights.shape
    assert biases.shape == (fan_out,)
    # The draws have no seed: five standard errors of a variance.
    size = 5.0 * math.sqrt(2.0 / weights.size)
    assert np.mean(weights**2) * fan_in == pytest.approx(best.sigma_w**2, rel=size)
    assert np.std(biases) == pytest.approx(best.sigma_b, rel=6.0 / math.sqrt(2 * fan_out))
    assert abs(np.mean(weights)) < 6.0 * best.sigma_w / math.sqrt(fan_in * weights.size)
    if found.network.weights == "orthogonal":
        values = np.linalg.svd(weights, compute_uv=False)
        assert values == pytest.approx(np.full(len(values), best.sigma_w * max(1.0, fan_out / fan_in) ** 0.5), rel=1e-4)


@pytest.fixture(scope="module", params=["gaussian", "orthogonal"])
def pasted(request: pytest.FixtureRequest) -> Recommendation:
    return recommend(NetworkFamily(get("erf"), 3, weights=request.param), sigma_b=0.1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_code_is_python_that_says_what_it_is_for(pasted: Recommendation, library: str) -> None:
    text = initialisation.code(pasted, library)
    tree = ast.parse(text)
    assert "for erf, 3 layers" in (ast.get_docstring(tree) or "")
    assert any(isinstance(node, ast.FunctionDef) and node.name == "initialise" for node in tree.body)
    assert f"SIGMA_W = {pasted.best.sigma_w!r}\n" in text
    assert "SIGMA_B = 0.1\n" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("shape", [(160, 120), (120, 160)])
def test_numpy(pasted: Recommendation, shape: tuple[int, int]) -> None:
    initialise = run(pasted, "numpy")["initialise"]
    ((weights, biases),) = initialise(shape)
    assert weights.shape == shape
    check(pasted, weights, biases)
    assert np.array_equal(initialise(shape)[0][0], weights)
    assert len(initialise([5, 6, 7, 8])) == 3


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize("shape", [(160, 120), (120, 160)])
def test_jax(pasted: Recommendation, shape: tuple[int, int]) -> None:
    jax = importlib.import_module("jax")
    layers = run(pasted, "jax")["initialise"](jax.random.PRNGKey(0), [*shape, 20])
    check(pasted, *map(np.asarray, layers[0]))
    assert layers[1][0].shape == (shape[1], 20)


# ---- what a recommendation must not be -------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["abs", "cos"])
def test_nothing_is_linearly_readable_after_an_even_activation(name: str, command_line: CommandLine) -> None:
    with pytest.raises(ValueError, match="replica"):
        optimum(NetworkFamily(get(name), 2), "linear", 0.0)
    assert optimum(NetworkFamily(get(name), 2), "total", 0.0, plateau=False).value > 1.0
    done = command_line("recommend", "--act", name, "--depth", "2", "--sb", "0")
    assert done.code == 2
    assert "no linear decoder reads anything" in done.err
    assert optimum(NetworkFamily(get(name), 1), "linear", 0.0, plateau=False).value > 1.0


def test_a_point_that_repels_is_told() -> None:
    # The variance of the first layer lies by a fixed point that repels, where no finite width stays.
    best = optimum(NetworkFamily(get("gelu"), 30), "linear", 0.0, plateau=False)
    repelling = mfmi.meanfield.fixed_points("gelu", sigma_w=best.sigma_w)
    first = best.sigma_w**2
    assert min(abs(repelling.q_star[~repelling.stable] / first - 1.0)) < 0.25
    assert best.swing > 10.0
    assert not best.steady
    assert math.isnan(best.edge)
    assert optimum(NetworkFamily(get("tanh"), 30), "linear", 0.0, plateau=False).steady


@pytest.mark.thorough
def test_what_does_not_train_so_deep_is_not_praised(command_line: CommandLine) -> None:
    out = command_line("recommend", "--act", "gelu", "--depth", "30", "--sb", "0", "--format", "table").out
    assert "trains only to about 6 xi_c" in out
    assert "no sigma_w trains to any depth at this sigma_b" in out
    assert "networks of finite width leave" in out
    assert "2.000" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_tables_fit_80_columns(found: Recommendation) -> None:
    """Whatever the names and remarks; the indentation of what goes on below is kept."""
    limits, phase = ("sigma_w", "unbounded"), "unbounded"
    beyond = (Beyond(limits, 123.4567, 0.1234, 12.3456, True, 1e9),)
    best = replace(found.best, limits=limits, phase=phase, swing=1e9, beyond=beyond)
    name = "a_package.with_a.long_name:and_a_function_of_a_long_name"
    long = replace(NETWORK, activation=Affine(name, get("erf"), 2.0, 1.0, citation=""))
    orthogonal = replace(NETWORK, weights="orthogonal")
    for draw_it in (
        lambda console: draw_ranking([(NETWORK, best), (long, best)], console),
        lambda console: draw(replace(found, network=orthogonal, best=best), console),
    ):
        console = Console(file=io.StringIO(), width=80, color_system=None)
        draw_it(console)
        lines = console.file.getvalue().splitlines()
        assert len(lines) > 5
        assert max(map(len, lines)) <= 80
        assert any(phase in line for line in lines)
        assert any(line.startswith("  sigma_w is at the end of the search; just above") for line in lines)


# ---- the command line ------------------------------------------------------------------------------------------------


def test_rows(command_line: CommandLine, found: Recommendation) -> None:
    done = command_line("recommend", "--act", "erf", "--depth", "5", "--sb", "0", "--format", "json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    best, other, *others = rows
    assert (best["role"], best["sigma_w"], best["information"]) == ("best", found.best.sigma_w, found.best.value)
    assert (best["plateau_low"], best["plateau_high"]) == found.best.plateau
    assert (other["role"], other["quantity"]) == ("other", "total")
    assert {row["name"] for row in others} == set(BASELINES)
    for row in others:
        there = mfmi.fixed_point("erf", sigma_w=row["sigma_w"])
        assert (row["chi_1"], row["xi_c"], row["trainable_depth"]) == (there.chi_1, there.xi_c, 6.0 * there.xi_c)
        if row["quantity"] == "linear":
            assert row["of_best"] == row["information"] / best["information"]


def test_what_a_person_sees(command_line: CommandLine) -> None:
    out = command_line("recommend", "--act", "erf", "--depth", "3", "--sb", "0", "--format", "table").out
    for words in ("Best by linearly readable information", "best by total information", "6 xi_c", "within 1 %", "he "):
        assert words in out
    assert re.search(r"the edge of chaos at 0\.8862", out)
    assert re.search(r"torch\.nn\.Linear +0\.5774 .*%", out)
    assert "torch.nn.init.xavier_normal_, xavier_uniform_" in out
    assert max(map(len, out.splitlines())) <= 80


def test_several_biases_are_ranked(command_line: CommandLine) -> None:
    done = command_line("recommend", "--act", "erf", "--depth", "3", "--sb", "0,0.2,0.9", "--format", "json")
    rows = json.loads(done.out)
    assert sorted(row["sigma_b"] for row in rows) == [0.0, 0.2, 0.9]
    assert [row["information"] for row in rows] == sorted((row["information"] for row in rows), reverse=True)
    assert command_line("recommend", "--act", "erf", "--sb", "0,0.2", "--emit", "numpy").code == 2


def test_code_goes_to_standard_output_or_a_file(command_line: CommandLine, tmp_path: Any) -> None:
    arguments = ["recommend", "--act", "erf", "--depth", "2", "--sb", "0", "--emit", "numpy"]
    done = command_line(*arguments)
    assert done.code == 0
    ast.parse(done.out)
    assert command_line(*arguments, "-o", tmp_path / "init.py").code == 0
    assert (tmp_path / "init.py").read_text() == done.out
    assert command_line(*arguments, "-o", tmp_path / "init.py").code == 5


@pytest.mark.slow
def test_all_activations_are_ranked(command_line: CommandLine) -> None:
    done = command_line(
        "recommend", "--all-activations", "--depth", "4", "--sb", "0.1", "--format", "json", "--weights", "orthogonal"
    )
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    values = [row["information"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert {row["activation"] for row in rows} >= {"tanh", "relu", "gelu", "selu"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--act is missing: name one, or rank all of them with --all-activations"),
        (["--act", "erf", "--all-activations"], "--all-activations ranks all of them: it does not go with --act"),
        (["--act", "erf", "--sb", "0,1", "--init", "he"], "--init he stands beside one recommendation: name one --act"),
        (
            ["--all-activations", "--emit", "torch"],
            "--emit torch writes the code for one activation: name it",
        ),
        (["--act", "erf", "--by", "linaer"], "'linaer' is not one of"),
        (["--act", "erf", "--emit", "caffe"], "'caffe' is not one of"),
        (["--act", "erf", "--sb", "-1"], "-1 is less than 0"),
        (["--act", "relu", "--by", "entropy_power", "--depth", "2"], "entropy_power has no value for relu"),
    ],
)
def test_mistakes_are_told(command_line: CommandLine, arguments: list[str], words: str) -> None:
    done = command_line("recommend", *arguments)
    assert done.code == 2
    assert words in done.err


@pytest.mark.slow
@pytest.mark.parametrize("example", command.examples)
def test_the_examples_run(command_line: CommandLine, example: str) -> None:
    program, *arguments = example.split()
    assert program == "mfmi"
    assert command_line(*arguments).code == 0


def test_a_long_wait_is_announced_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from mfmi.channels.exact.table import kept_tiles
    from mfmi.cli.waiting import announce_tables

    monkeypatch.setenv("MFMI_CACHE_DIR", str(tmp_path))
    announce_tables(get("erf"), ("linear", "replica"), Model(tables=True))
    assert "tabulates the exact channel of erf" in capsys.readouterr().err
    announce_tables(get("erf"), ("linear",), Model(tables=True))
    announce_tables(get("gelu"), ("replica",))
    announce_tables(get("linear"), ("replica",))
    # Of an activation that folds once, or of a wave, what is observed needs no table.
    for name in ("gelu", "cos", "tanh"):
        announce_tables(get(name), ("linear",), Model(observe="activation"))
    kept_tiles(get("erf")).store((0,), np.zeros(3))
    announce_tables(get("erf"), ("replica",), Model(tables=True))
    assert capsys.readouterr().err == ""
    folded = get("numpy:sinc")
    announce_tables(folded, ("linear",))
    assert capsys.readouterr().err == ""
    announce_tables(folded, ("linear",), Model(observe="activation"))
    assert "observed activation tabulates the exact channel of numpy:sinc" in capsys.readouterr().err
