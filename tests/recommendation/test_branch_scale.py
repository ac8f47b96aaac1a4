"""Recommendations for networks with norms and skips: branch scales, what is not searched, and their code."""

import ast
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import fake_libraries
import numpy as np
import pytest
from conftest import Outcome

import mfmi
from mfmi.activations import get
from mfmi.errors import ArgumentError
from mfmi.names import LIBRARIES
from mfmi.recommendation.branches import Branch, StreamRecommendation, recommend_branch
from mfmi.recommendation.code import code
from mfmi.recommendation.recommend import recommend
from mfmi.recommendation.results import NetworkFamily, Optimum, Recommendation
from mfmi.recommendation.search import optimum

CommandLine = Callable[..., Outcome]
BLOCK = {
    "normalization": "layernorm",
    "skip": 1.0,
    "branch_matrices": 2,
    "hidden_ratio": 4.0,
    "noise_scale": "relative",
}
RELATIVE = {"normalization": "layernorm", "noise_scale": "relative"}


@pytest.fixture(scope="module")
def block() -> StreamRecommendation:
    return recommend_branch(NetworkFamily(get("gelu"), 8, structure=BLOCK))


def readable(found: StreamRecommendation, branch: float, depth: int, **also: Any) -> float:
    given = {**found.network.structure, "branch": branch}
    rows = mfmi.evaluate(
        found.network.activation.name,
        found.sigma_w,
        found.sigma_b,
        found.network.sigma_noise,
        depth,
        estimators=["linear"],
        **given,
        **also,
    )
    return float(rows["mi_linear"][0])


def test_the_scale_is_the_largest_that_keeps_half(block: StreamRecommendation) -> None:
    best, first = block.best, readable(block, 1.0, 1)
    assert best.value == pytest.approx(readable(block, best.scale, 8), rel=1e-12)
    assert 0.5 <= best.kept < 0.502
    assert best.kept == pytest.approx(best.value / first, rel=1e-12)
    assert readable(block, 1.01 * best.scale, 8) < 0.5 * first
    assert block.limits == ()
    assert [one.name for one in block.others] == ["1/sqrt(depth)", "1", "1/depth"]
    assert block.others[0].value == pytest.approx(readable(block, 8**-0.5, 8), rel=1e-12)


def test_it_goes_with_the_root_of_the_depth() -> None:
    scales = [
        recommend_branch(NetworkFamily(get("gelu"), depth, structure=BLOCK)).best.scale * depth**0.5
        for depth in (16, 64)
    ]
    assert scales[0] == pytest.approx(scales[1], rel=0.04)


def test_a_branch_leaves_variance_1_as_it_is(block: StreamRecommendation) -> None:
    assert block.sigma_w == 1.0
    assert block.sigma_w_out == pytest.approx(float(get("gelu").second_moment(1.0)) ** -0.5)
    one = recommend_branch(NetworkFamily(get("relu"), 4, structure={"skip": 1.0}), 0.5)
    assert one.sigma_w**2 * 0.5 + 0.25 == pytest.approx(1.0)
    with pytest.raises(ArgumentError, match="sigma_b"):
        recommend_branch(NetworkFamily(get("relu"), 4, structure={"skip": 1.0}), 1.5)


def test_a_scale_that_is_given_is_judged() -> None:
    found = recommend_branch(NetworkFamily(get("relu"), 9, structure={"skip": 1.0, "branch": "1/sqrt(depth)"}))
    assert found.best.scale == pytest.approx(1 / 3)
    assert found.best.name == "given"
    assert found.best.value == found.others[0].value


def test_ends_of_the_search_are_said() -> None:
    """Absolute noise at the output is small beside a stream that grows: a linear one keeps more than it began with."""
    assert recommend_branch(NetworkFamily(get("linear"), 4, structure={"skip": 1.0})).limits == ("branch",)


def test_where_no_scale_keeps_the_share_the_most_is_the_answer() -> None:
    noisy = NetworkFamily(get("relu"), 30, "gaussian", "every", "float8_e5m2", structure={"skip": 1.0})
    found = recommend_branch(noisy, keep=0.9)
    assert found.limits == ("keep",)
    assert found.best.kept < 0.9
    assert found.best.kept >= max(one.kept for one in found.others)
    assert found.best.value == pytest.approx(readable(found, found.best.scale, 30, noise_at="every"), rel=1e-9)


def test_a_scale_is_looked_for_where_only_larger_ones_keep_the_share() -> None:
    """Noise that every layer adds to a stream of skip 1/2: with small branches the signal falls below it."""
    own = {"skip": 0.5, "noise_in": "stream"}
    fading = NetworkFamily(get("linear"), 6, "orthogonal", "every", 0.5, structure=own)
    found = recommend_branch(fading, keep=0.3)
    assert found.best.kept >= 0.3
    assert found.others[2].kept < 0.3


def test_what_is_not_known_has_no_scale() -> None:
    with pytest.raises(ValueError, match="linear has no value for relu with gaussian weights at any branch scale"):
        recommend_branch(NetworkFamily(get("relu"), 2000, structure={"skip": 1.0}), 0.1)


@pytest.mark.thorough
def test_what_a_norm_makes_of_no_effect_is_not_searched() -> None:
    both = recommend(NetworkFamily(get("gelu"), 4, structure={**RELATIVE, "normalization": "batchnorm"}))
    assert (both.best.sigma_w, both.best.sigma_b, both.best.plateau, both.best.limits) == (1.0, 0.0, None, ())
    ratio = recommend(NetworkFamily(get("hard_sigmoid"), 4, structure=RELATIVE)).best
    assert ratio.sigma_w == 1.0
    beside = mfmi.evaluate("hard_sigmoid", 1.0, np.linspace(0, 1, 21), depth=4, estimators=["linear"], **RELATIVE)
    assert ratio.value >= beside["mi_linear"].max() * (1 - 1e-9)
    free = recommend(NetworkFamily(get("relu"), 4, structure=RELATIVE), sigma_b=0.2).best
    assert free.sigma_w != 1.0
    assert free.sigma_b == 0.2


@pytest.mark.thorough
def test_every_estimator_is_searched_after_norms_without_skips() -> None:
    best = optimum(NetworkFamily(get("tanh"), 2, structure=RELATIVE), "replica", tolerance=0.01)
    beside = mfmi.evaluate("tanh", 1.0, np.linspace(0, 1, 11), depth=2, estimators=["replica", "linear"], **RELATIVE)
    assert best.value >= beside["mi_replica"].max() * (1 - 1e-6)
    assert best.value > beside["mi_linear"].max() + 0.01


@pytest.mark.parametrize("own", [{"branch_matrices": 2}, {"skip": 0.5}])
def test_other_estimators_are_refused(own: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"replica is searched in dense networks without .* --estimator replica tells"):
        recommend(NetworkFamily(get("tanh"), 3, structure=RELATIVE | own), "replica")


# ---- code ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_code_is_python_without_marks(block: StreamRecommendation, library: str) -> None:
    text = code(block, library)
    ast.parse(text)
    assert repr(block.best.scale) in text
    assert not re.search("@[A-Z]+@", text)
    assert "these numbers are for networks without" not in text


@pytest.mark.parametrize(
    ("norm_at", "line"),
    [
        ("output", "h = h + layernorm(phi(h)) @ weights + biases"),
        ("stream", "h = layernorm(h + phi(h) @ weights + biases)"),
    ],
)
def test_code_says_how_a_block_is_used(norm_at: str, line: str) -> None:
    own = {"normalization": "layernorm", "norm_at": norm_at, "skip": 1.0, "branch": 0.5}
    assert line in code(recommend_branch(NetworkFamily(get("gelu"), 3, structure=own)), "numpy")


def test_the_code_of_numpy_is_the_network(block: StreamRecommendation) -> None:
    space: dict[str, Any] = {}
    exec(code(block, "numpy"), space)
    first, blocks = space["initialise"](30, 100)
    assert (len(first), len(blocks)) == (1, 7)
    (inner, _), (outer, _) = blocks[0]
    assert inner.shape == (100, 400)
    assert outer.shape == (400, 100)
    assert inner.std() * 10 == pytest.approx(block.sigma_w, rel=0.02)
    assert outer.std() * 20 == pytest.approx(block.sigma_w_out * block.best.scale, rel=0.02)
    assert "h = h + phi(layernorm(h) @ weights_1 + biases_1) @ weights_2 + biases_2" in code(block, "numpy")


def test_the_code_of_jax_is_the_network(block: StreamRecommendation, monkeypatch: pytest.MonkeyPatch) -> None:
    if "jax" not in sys.modules:
        for name, module in fake_libraries.jax().items():
            monkeypatch.setitem(sys.modules, name, module)
    space: dict[str, Any] = {}
    exec(code(block, "jax"), space)
    _, blocks = space["initialise"](sys.modules["jax"].random.PRNGKey(0), 30, 100)
    assert np.std(blocks[3][1][0]) * 20 == pytest.approx(block.sigma_w_out * block.best.scale, rel=0.02)


def test_code_of_normalised_networks_expects_norms() -> None:
    text = code(recommend(NetworkFamily(get("tanh"), 3, structure=RELATIVE), sigma_b=0.0), "torch")
    assert "if not norms:" in text
    assert "no norms: these numbers are for networks with layernorm" in text


PLACED = {"sigma_w_in": 0.7, "sigma_b_in": 0.3}


def placed() -> StreamRecommendation:
    """A stream whose first matrix, and whose last biases of a branch, have scales of their own."""
    best = Branch("recommended", 0.25, 1.0, 0.5, 1.0, 2.0, 1.5)
    own = {"skip": 1.0, "branch_matrices": 2, "hidden_ratio": 4.0, "sigma_w_out": 1.5, "sigma_b_out": 0.4, **PLACED}
    return StreamRecommendation(NetworkFamily(get("gelu"), 4, structure=own), 1.0, 0.0, 0.5, best, (best,), ())


def stacked() -> Recommendation:
    best = Optimum("linear", 1.4, 0.0, 1.0, None, "ordered", 0.9, 5.0, 1.0, (), 1.0, 0.8)
    return Recommendation(NetworkFamily(get("tanh"), 3, structure=PLACED), "any", best, None, math.nan, {}, ())


def deviation(values: Any) -> float:
    return float(np.std(np.asarray(values)))


@pytest.mark.parametrize("library", ["numpy", "jax"])
def test_layers_without_names_have_the_scales_of_their_places(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if library == "jax" and "jax" not in sys.modules:
        for name, module in fake_libraries.jax().items():
            monkeypatch.setitem(sys.modules, name, module)
    begin = () if library == "numpy" else (sys.modules["jax"].random.PRNGKey(0),)
    space: dict[str, Any] = {}
    exec(code(placed(), library), space)
    first, blocks = space["initialise"](*begin, 400, 300)
    assert len(blocks) == 3
    assert (deviation(first[0][0]) * 20, deviation(first[0][1])) == pytest.approx((0.7, 0.3), rel=0.15)
    (inner, shift), (outer, last) = blocks[1]
    assert (deviation(inner) * 300**0.5, deviation(shift)) == pytest.approx((1.0, 0.0), rel=0.02)
    assert deviation(outer) * 1200**0.5 == pytest.approx(1.5 * 0.25, rel=0.02)
    assert deviation(last) == pytest.approx(0.4 * 0.25, rel=0.15)
    space = {}
    exec(code(stacked(), library), space)
    (one, shift), (other, none) = space["initialise"](*begin, [400, 300, 200])
    found = deviation(one) * 20, deviation(shift), deviation(other) * 300**0.5, deviation(none)
    assert found == pytest.approx((0.7, 0.3, 1.4, 0.0), rel=0.15)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("network", [placed, stacked])
def test_code_with_places_is_python_without_marks(library: str, network: Callable[[], Any]) -> None:
    text = code(network(), library)
    ast.parse(text)
    assert not re.search("@[A-Z]+@", text)
    assert text.count("BIAS_IN") >= 2


def test_code_refuses_a_stack_of_double_layers() -> None:
    double = replace(stacked(), network=NetworkFamily(get("tanh"), 3, structure={"branch_matrices": 2}))
    with pytest.raises(ArgumentError, match="leave `branch_matrices` out"):
        code(double, "torch")


def check_places(first: Any, inner: Any, last: Any, transposed: bool = False) -> None:
    """Weights and biases of a first layer 400 -> 300, and of the two of a branch of width 1200."""
    assert (deviation(first[0]) * 20, deviation(first[1])) == pytest.approx((0.7, 0.3), rel=0.15)
    assert (deviation(inner[0]) * 300**0.5, deviation(inner[1])) == pytest.approx((1.0, 0.0), rel=0.02)
    assert (deviation(last[0]) * 1200**0.5, deviation(last[1])) == pytest.approx((0.375, 0.1), rel=0.15)


@pytest.mark.slow
def test_torch_and_equinox_have_the_scales_of_places(capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    model = nn.ModuleDict({"read": nn.Linear(400, 300), "fc1": nn.Linear(300, 1200), "fc2": nn.Linear(1200, 300)})
    space: dict[str, Any] = {"__name__": "pasted"}
    exec(code(placed(), "torch"), space)
    space["initialise"](model, ends=("fc2",), first=("stem",))
    assert capsys.readouterr().err.splitlines() == [
        "no layer is named stem",
        "no layer has the scale of the first: first names the layers that read the input",
    ]
    space["initialise"](model, ends=("fc2",), first=("read",))
    check_places(*([p.detach().numpy() for p in model[name].parameters()] for name in ("read", "fc1", "fc2")))
    jax, eqx = pytest.importorskip("jax"), pytest.importorskip("equinox")
    keys, sizes = jax.random.split(jax.random.key(0), 3), ((400, 300), (300, 1200), (1200, 300))
    tree = {
        name: eqx.nn.Linear(*size, key=key) for name, size, key in zip(("read", "fc1", "fc2"), sizes, keys, strict=True)
    }
    space = {"__name__": "pasted"}
    exec(code(placed(), "equinox"), space)
    new = space["initialise"](tree, jax.random.key(1), ends=("fc2",), first=("read",))
    check_places(*((new[name].weight, new[name].bias) for name in ("read", "fc1", "fc2")))


@pytest.mark.slow
def test_flax_and_keras_have_the_scales_of_places() -> None:
    jax, nn, nnx = (pytest.importorskip(name) for name in ("jax", "flax.linen", "flax.nnx"))

    class Linen(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        @nn.compact
        def __call__(self, x: Any) -> Any:
            h = nn.Dense(300, name="read")(x)
            return h + nn.Dense(300, name="fc2")(nn.Dense(1200, name="fc1")(h))

    params = Linen().init(jax.random.key(0), np.zeros((1, 400)))["params"]
    space: dict[str, Any] = {"__name__": "pasted"}
    exec(code(placed(), "linen"), space)
    new = space["initialise"](params, jax.random.key(1), ends=("fc2",), first=("read",))
    check_places(*((new[name]["kernel"], new[name]["bias"]) for name in ("read", "fc1", "fc2")))

    class Model(nnx.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, rngs: Any) -> None:
            self.read = nnx.Linear(400, 300, rngs=rngs)
            self.fc1 = nnx.Linear(300, 1200, rngs=rngs)
            self.fc2 = nnx.Linear(1200, 300, rngs=rngs)

    model = Model(nnx.Rngs(0))
    space = {"__name__": "pasted"}
    exec(code(placed(), "nnx"), space)
    space["initialise"](model, jax.random.key(1), ends=("fc2",), first=("read",))
    check_places(*((one.kernel[...], one.bias[...]) for one in (model.read, model.fc1, model.fc2)))
    keras = pytest.importorskip("keras")
    x = keras.Input((400,))
    h = keras.layers.Dense(300, name="read")(x)
    last = keras.layers.Dense(300, name="fc2")(keras.layers.Dense(1200, name="fc1")(h))
    net = keras.Model(x, keras.layers.Add()([h, last]))
    space = {"__name__": "pasted"}
    exec(code(placed(), "keras"), space)
    space["initialise"](net, ends=("fc2",), first=("read",))
    check_places(*(net.get_layer(name).get_weights() for name in ("read", "fc1", "fc2")))


@pytest.mark.slow
def test_torch_scales_what_ends_a_branch(block: StreamRecommendation, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    model = nn.ModuleDict({"fc1": nn.Linear(64, 256), "norm": nn.LayerNorm(64), "fc2": nn.Linear(256, 64)})
    space: dict[str, Any] = {"__name__": "pasted"}
    exec(code(block, "torch"), space)
    assert space["initialise"](model, ends=("fc2", "fc3")) is model
    assert capsys.readouterr().err.splitlines() == ["no layer is named fc3"]
    first, last = (model[name].weight.detach().numpy().std() for name in ("fc1", "fc2"))
    assert last * 16 == pytest.approx(block.sigma_w_out * block.best.scale, rel=0.03)
    assert first * 8 == pytest.approx(block.sigma_w, rel=0.03)


# ---- the doors -------------------------------------------------------------------------------------------------------


def test_the_command_is_the_function(command_line: CommandLine) -> None:
    options = "--residual --norm layernorm --branch-matrices 2 --hidden-ratio 4 --noise-scale relative --keep 0.4"
    done = command_line("recommend", "--act", "gelu", "--depth", "8", *options.split(), "--format", "json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    frame = mfmi.recommend("gelu", depth=8, keep=0.4, **BLOCK)
    assert [row["branch"] for row in rows] == frame["branch"].tolist()
    assert [row["kept"] for row in rows] == frame["kept"].tolist()
    assert 0.4 <= frame["kept"][0] < 0.402
    assert frame["role"].tolist() == ["best", "other", "other", "other"]
    assert "mi_linear" not in frame
    assert mfmi.recommend("gelu", depth=3, emit="numpy", **BLOCK).attrs["code"].count("BRANCH") > 2


def test_it_is_drawn_with_the_command_that_comes_next(command_line: CommandLine) -> None:
    done = command_line("recommend", "--act", "relu", "--depth", "4", "--residual", "--format", "table")
    assert "Largest branch scale that keeps 50 % of the first layer's" in done.out
    assert "1/sqrt(depth)" in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--residual", "--by", "replica"), "does not choose a branch scale"),
        (("--residual", "--init", "he"), "has no branch scale"),
        (("--residual", "--sb", "0,0.1"), "is that of one network"),
        (("--residual", "--branch", "0.5", "--keep", "0.3"), "does not go with --branch"),
        (("--keep", "0.3"), "is that of a residual network: give --skip"),
        (("--residual", "--keep", "1"), "greater than"),
        (("--branch-matrices", "2", "--by", "fisher"), "fisher is searched in dense networks without skips"),
        (("--norm-at", "output"), "the place of a norm"),
        (("--residual", "--sb", "2"), "is all that a branch of variance 1 may have"),
        (("--residual", "--branch-matrices", "2", "--sigma-b-out", "0", "--sb", "1.5"), "is all that a pre-activation"),
        (("--input-correlation", "0.5"), "--input-correlation is that between positions"),
        (
            ("--positions", "8", "--input-correlation", "0.5", "--by", "replica"),
            "replica is not known of a convolution",
        ),
    ],
)
def test_contradictions_are_usage_errors(command_line: CommandLine, options: tuple[str, ...], said: str) -> None:
    done = command_line("recommend", "--act", "tanh", "--depth", "3", *options)
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert done.out == ""


def test_arguments_of_the_function_are_checked() -> None:
    with pytest.raises(ValueError, match="keep"):
        mfmi.recommend("tanh", depth=3, keep=0.5)
