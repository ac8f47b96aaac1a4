"""The compiled search against the search in numpy, and what becomes of its machine code."""

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mfmi.activations import get
from mfmi.bounds.evaluate import evaluate_points
from mfmi.chain import newton as chain_descent
from mfmi.chain import search as chain_search
from mfmi.chain.compiled import _channel, _compiler, _descent, _pack, compiled, pack
from mfmi.chain.ensembles import Gaussian, Mixed, Orthogonal
from mfmi.chain.potential import Chain
from mfmi.chain.search import STARTS, _rules, _Search, solve
from mfmi.channels.closed.bounds import EntropyPowerLower, FisherLower, GaussianUpper, LinearLower
from mfmi.channels.closed.table import table
from mfmi.channels.gains import Gains, Interleaved
from mfmi.channels.layers import Scaled, Surrogate, Tabulated
from mfmi.channels.observed.outputs import GaussianOutput
from mfmi.channels.sources import FirstLayer, GaussianInput
from mfmi.networks.points import Points
from mfmi.processes.machine_code import folder_of, version

ENSEMBLES = {
    "gaussian": Gaussian,
    "orthogonal": Orthogonal,
    "mixed": lambda sigma_w2, alpha: Mixed(sigma_w2, alpha, np.arange(len(alpha)) % 3 != 1),
}

LENGTHS = np.array([1, 2, 3, 5, 5, 5])
ALPHA = {"square": np.ones(5), "rectangular": np.array([1.0, 0.8, 1.5, 0.7, 1.0])}
CHANNELS = {"gaussian": GaussianUpper(), "linear": LinearLower(), "entropy_power": EntropyPowerLower()}


def chain_of(ensemble, shape, layers, from_layer):
    """Six points of up to five matrices; `layers` maps a count of layers to their channel."""
    n = len(LENGTHS)
    sigma_w2 = np.array([1.3, 0.8, 1.6, 0.6, 1.0, 2.2])[:, None]
    source = FirstLayer(layers(1), np.full(n, 0.4)) if from_layer else GaussianInput(np.full(n, 0.9))
    output = GaussianOutput(np.array([0.1, 0.05, 0.1, 0.3, 0.01, 0.1]))
    return Chain(source, ENSEMBLES[ensemble](sigma_w2, ALPHA[shape]), layers(4), output, LENGTHS)


def surrogate(count):
    rng = np.random.default_rng(count)
    shape = (len(LENGTHS), count, 3)
    noise = np.array([0.0, 0.1, 0.0, 0.1, 0.01, 0.0])[:, None]
    return Surrogate(rng.uniform(0.2, 1.0, shape), rng.uniform(0.0, 0.3, shape), np.full(shape, 1 / 3), noise)


def tabulated(name, channel):
    def layers(count):
        total = np.linspace(0.5, 3.0, len(LENGTHS))[:, None] * np.linspace(1.0, 0.9, count)
        return Tabulated(table(get(name), CHANNELS[channel]), total, np.array([0.0, 0.1, 0.0, 0.1, 0.01, 0.0])[:, None])

    return layers


def interleaved(layers):
    """Activations with singular values at every other place, from the first on."""

    def mixed(count):
        linear = np.arange(count) % 2 == 0
        gains = Gains(np.linspace(0.0, 2.0, 5 * count).reshape(count, 5)[linear], np.full((linear.sum(), 5), 0.2))
        return Interleaved(layers(max(1, np.count_nonzero(~linear))), gains, linear)

    return mixed


def normed(layers):
    """The channels of layers with norms and noise of their own, which see no more than they did."""

    def scaled(count):
        inner, (n, k) = layers(count), (len(LENGTHS), count)
        scale = np.linspace(1.0, 2.5, n)[:, None] * np.linspace(1.0, 1.2, k)
        noise = np.linspace(0.0, 0.1, n)[:, None] * np.linspace(1.0, 0.8, k)
        return Scaled(
            replace(inner, hidden_noise=np.zeros((n, 1))), np.linspace(0.6, 1.8, n * k).reshape(n, k), scale, noise
        )

    return scaled


LAYERS = {"surrogate": surrogate, "gains between surrogates": interleaved(surrogate)}
LAYERS |= {f"{name} {channel}": tabulated(name, channel) for name in ("tanh", "relu") for channel in CHANNELS}
LAYERS |= {f"normed {key}": normed(LAYERS[key]) for key in ("tanh gaussian", "relu linear", "tanh entropy_power")}
LAYERS["gains between tables"] = interleaved(tabulated("relu", "linear"))


def in_numpy(chain, unique, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(chain_search, "pack", lambda *_: None)
        return solve(chain, unique)


def assert_same(one, other):
    np.testing.assert_array_equal(one.converged, other.converged)
    np.testing.assert_array_equal(one.coexisting, other.coexisting)
    ok = one.converged
    assert ok.any()
    np.testing.assert_allclose(one.value[ok], other.value[ok], rtol=1e-11)
    np.testing.assert_allclose(one.error[ok], other.error[ok], rtol=1e-6)
    np.testing.assert_allclose(one.mmse[ok], other.mmse[ok], rtol=1e-8)
    np.testing.assert_allclose(one.r[ok], other.r[ok], rtol=2e-10)
    np.testing.assert_allclose(one.v[ok], other.v[ok], rtol=2e-10)


def test_the_tests_have_the_compiler():
    assert version() is not None
    assert compiled() is not None


@pytest.mark.thorough
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("shape", ALPHA)
@pytest.mark.parametrize("ensemble", ENSEMBLES)
@pytest.mark.parametrize("from_layer", [False, True], ids=["input", "layer"])
def test_both_searches_agree(layers, shape, ensemble, from_layer, monkeypatch):
    chain = chain_of(ensemble, shape, layers, from_layer)
    for unique in (True, False):
        assert_same(solve(chain, unique), in_numpy(chain, unique, monkeypatch))


@pytest.mark.parametrize(
    "layers", ["surrogate", "tanh linear", "normed relu linear", "relu gaussian", "gains between tables"]
)
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_the_code_says_the_same_uncompiled(layers, ensemble, monkeypatch):
    for from_layer in (False, True):
        chain = chain_of(ensemble, "rectangular", LAYERS[layers], from_layer)
        one = solve(chain)
        with monkeypatch.context() as context, np.errstate(all="ignore"):
            context.setattr(_pack, "compiled", lambda: _descent.descend)
            assert_same(one, solve(chain))


@pytest.mark.parametrize("ensemble", ENSEMBLES)
@pytest.mark.parametrize("in_code", [True, False])
def test_a_search_ends_on_its_way_to_a_known_minimum(ensemble, in_code, monkeypatch):
    steps, original = [0], chain_descent._linearise

    def counted(*arguments):
        steps[0] += 1
        return original(*arguments)

    monkeypatch.setattr(chain_descent, "_linearise", counted)
    if not in_code:
        monkeypatch.setattr(chain_search, "pack", lambda *_: None)
    descent = _Search(chain_of(ensemble, "square", LAYERS["tanh linear"], False))
    known, far = descent.descend(_rules(1.0)), descent.descend(_rules(1e-6))
    np.testing.assert_allclose(far.value, known.value, rtol=1e-10)
    whole, steps[0] = steps[0], 0
    again = descent.descend(_rules(1e-6), [known])
    # Short chains can do the rest of the way in one step.
    deep = LENGTHS > 2
    for one, other in zip(again.take(deep), known.take(deep), strict=True):
        np.testing.assert_array_equal(one, other)
    assert steps[0] <= whole - 2 * (not in_code)


def jump(u):
    """A step of a user's own."""
    return np.where(np.asarray(u) >= 0.0, 1.0, -0.5)


def bent(u):
    """A smooth function of a user's own."""
    return np.tanh(u) + 0.1 * np.asarray(u)


CHANNELS["fisher"] = FisherLower()
TABLES = tuple(itertools.product(("tanh", "relu", "sign"), ("gaussian", "linear", "entropy_power")))
# Their tables take seconds to make.
OTHER_TABLES = (("tanh", "fisher"), ("sign", "fisher"), (jump, "gaussian"), (jump, "linear"), (bent, "linear"))


def channels(tables):
    """The channels that can be packed, and whether singular values stand between them."""
    return st.tuples(st.sampled_from([None, *tables]), st.booleans())


def drawn_layers(which, rng, count, hidden):
    """Channels of some layers, a linear surrogate's where there is no table, at any variances of the pre-activations.

    Half of the residuals are 0, as in a linear layer.
    """
    table_of, between = which
    n = len(hidden)
    linear = np.arange(count) % 2 == 0 if between else np.zeros(count, dtype=bool)
    kept = max(1, np.count_nonzero(~linear))
    if table_of is None:
        shape = (n, kept, 5)
        residual = rng.uniform(0.0, 0.3, shape) * (rng.random(shape) < 0.5)
        own = Surrogate(rng.uniform(0.0, 1.0, shape), residual, np.full(shape, 0.2), hidden)
    else:
        total = rng.uniform(0.2, 3.0, (n, 1)) * np.ones(kept) + hidden
        own = Tabulated(table(get(table_of[0]), CHANNELS[table_of[1]]), total, hidden)
        if not between and rng.random() < 0.5:
            factor, scale = rng.uniform(0.5, 2.0, (2, n, kept))
            noise = np.minimum(hidden, 0.5 * total) * scale * rng.random((n, kept))
            own = Scaled(replace(own, hidden_noise=np.zeros((n, 1))), factor, scale, noise)
    if not between:
        return own
    eigenvalue = rng.lognormal(0.0, rng.uniform(0.0, 3.0), (np.count_nonzero(linear), 4))
    return Interleaved(own, Gains(eigenvalue, np.full(eigenvalue.shape, 0.25)), linear)


def drawn_chain(which, ensemble, seed):
    """Four chains of two to nine matrices of any shapes, at noise down to a standard deviation of 1e-4."""
    rng = np.random.default_rng(seed)
    n, depth = 4, int(rng.integers(2, 9))
    noise = 10.0 ** rng.uniform(-8.0, 0.0, n)
    hidden = np.where(rng.random(n) < 0.5, 0.0, noise)[:, None]
    layers = drawn_layers(which, rng, depth - 1, hidden)
    source = GaussianInput(np.ones(n))
    if rng.random() < 0.5:
        source = FirstLayer(drawn_layers((which[0], False), rng, 1, hidden), rng.uniform(0.0, 0.2, n))
    alpha = np.ones(depth) if rng.random() < 0.5 else rng.uniform(0.5, 2.0, depth)
    weights = ENSEMBLES[ensemble](rng.uniform(0.3, 6.0, (n, 1)), alpha)
    return Chain(source, weights, layers, GaussianOutput(noise), np.full(n, depth))


def assert_the_layer_is_the_same(which, log_r, share, noise, seed):
    rng = np.random.default_rng(seed)
    layers = drawn_layers(which, rng, 1, np.array([[noise]]))
    total = layers.total[0, 0] if isinstance(layers, Tabulated) else 1.0 + noise
    if isinstance(layers, Scaled):
        total, noise = layers.inner.total[0, 0] * layers.scale[0, 0], layers.noise[0, 0]
    r, v = 10.0 ** (log_r / 2.0), share * max(total - noise, 0.0)
    at = np.array([[r]]), np.array([[v]])
    with np.errstate(all="ignore"):
        expected, information, error = (told(*at) for told in (layers.derivatives, layers.information, layers.error))
        packed, out = _pack._flat(layers), np.zeros(_channel.N_OUT)
        _channel.evaluate_layer(packed, 0, 0, r, v, out)
        told = _channel.layer_information(packed, 0, 0, r, v, out)
        missed = _channel.layer_error(packed, 0, out)
    np.testing.assert_allclose(told, information[0, 0], rtol=1e-12)
    np.testing.assert_allclose(missed, error[0, 0], rtol=1e-6, atol=1e-300)
    # Second derivatives can be differences that leave nothing but rounding.
    e, a = abs(expected.e[0, 0]), abs(expected.a[0, 0])
    sizes = {"e": 0.0, "a": 0.0, "e_r": e / r, "e_v": 1.0, "a_v": a / max(v, 1e-100), "rest_r": 1e-5, "rest_v": 1e-5}
    for place, (name, size) in enumerate(sizes.items()):
        np.testing.assert_allclose(out[place], getattr(expected, name)[0, 0], rtol=1e-6, atol=1e-6 * size, err_msg=name)


PLACES = (
    st.floats(-4.0, 70.0),
    st.floats(0.01, 1.0) | st.floats(-280.0, 0.0).map(lambda log: 10.0**log),
    st.sampled_from([0.0, 0.0, 1e-8, 0.1]),
    st.integers(0, 2**32),
)


@given(channels(TABLES), *PLACES)
@settings(max_examples=100, deadline=None)
def test_a_layer_says_the_same_to_both_searches(which, log_r, share, noise, seed):
    """Down to variances of nothing, where rounding leaves no E and both must have the same in its place."""
    assert_the_layer_is_the_same(which, log_r, share, noise, seed)


def assert_the_searches_agree(which, ensemble, seed, share):
    """A search that does not converge, because of rounding, must say so; a different value is a fault."""
    chain = drawn_chain(which, ensemble, seed)
    assert pack(chain.source, chain.ensemble, chain.layers, chain.output, chain.length) is not None
    one = _Search(chain).descend(_rules(share, steps=40))
    with pytest.MonkeyPatch.context() as context:
        context.setattr(chain_search, "pack", lambda *_: None)
        other = _Search(chain).descend(_rules(share, steps=40))
    both = one.converged & other.converged
    assume(both.any())
    np.testing.assert_allclose(one.value[both], other.value[both], rtol=1e-8, atol=1e-300)


@given(channels(TABLES), st.sampled_from(list(ENSEMBLES)), st.integers(0, 2**32), st.sampled_from(STARTS))
@settings(max_examples=24, deadline=None)
def test_both_searches_agree_at_any_noise(which, ensemble, seed, share):
    assert_the_searches_agree(which, ensemble, seed, share)


@pytest.mark.thorough
@given(channels((*TABLES, *OTHER_TABLES)), *PLACES)
@settings(max_examples=200, deadline=None)
def test_a_layer_of_any_channel_says_the_same_to_both_searches(which, log_r, share, noise, seed):
    """Fisher's bound and users' activations, a step among them, besides all of above."""
    assert_the_layer_is_the_same(which, log_r, share, noise, seed)


@pytest.mark.thorough
@given(
    channels((*TABLES, *OTHER_TABLES)), st.sampled_from(list(ENSEMBLES)), st.integers(0, 2**32), st.sampled_from(STARTS)
)
@settings(max_examples=100, deadline=None)
def test_both_searches_agree_on_any_channel(which, ensemble, seed, share):
    assert_the_searches_agree(which, ensemble, seed, share)


@pytest.mark.thorough
@pytest.mark.parametrize("in_code", [True, False])
@pytest.mark.parametrize(("depth", "value"), [(8, 0.1471), (10, 0.1394650)])
def test_a_layer_that_is_as_good_as_known_does_not_end_the_search(depth, value, in_code, monkeypatch):
    """Of sign at noise 1e-3 the linear channel is the larger, and the other one tells nothing: 0 is no answer."""
    if not in_code:
        monkeypatch.setattr(chain_search, "pack", lambda *_: None)
    found = evaluate_points(Points.of("sign", 1.0, sigma_noise=1e-3), [depth], ["layerwise"])
    assert found["status"][0] == "ok"
    assert found["mi_layerwise"][0] == pytest.approx(value, abs=5e-5)


def test_one_layer_without_hidden_ones(monkeypatch):
    chain = Chain(
        GaussianInput(np.ones(2)),
        ENSEMBLES["gaussian"](np.array([[1.0], [2.0]]), np.ones(1)),
        None,
        GaussianOutput(np.array([0.1, 1e-6])),
        np.array([1, 1]),
    )
    assert_same(solve(chain), in_numpy(chain, False, monkeypatch))


def test_what_has_no_answer_has_none_in_both(monkeypatch):
    """No weights, weights that overflow, and a network whose variances are not known."""
    layers = surrogate(1).take(np.arange(3), slice(None))
    weights = ENSEMBLES["gaussian"](np.array([[0.0], [1e300], [1.0]]), np.ones(2))
    output = GaussianOutput(np.full(3, 0.1))
    chain = Chain(GaussianInput(np.array([1.0, 1e300, 1.0])), weights, layers, output, np.full(3, 2))
    one, other = solve(chain), in_numpy(chain, False, monkeypatch)
    np.testing.assert_array_equal(one.converged, [True, False, True])
    np.testing.assert_array_equal(one.converged, other.converged)
    assert one.value[0] == other.value[0] == 0.0
    assert one.mmse[0] == other.mmse[0] == 1.0
    assert np.isnan(one.value[1])

    unknown = Tabulated(table(get("tanh"), GaussianUpper()), np.array([[np.nan], [np.inf], [1.0]]), np.zeros((3, 1)))
    weights = ENSEMBLES["gaussian"](np.ones((3, 1)), np.ones(2))
    chain = Chain(GaussianInput(np.ones(3)), weights, unknown, output, np.full(3, 2))
    for found in (solve(chain), in_numpy(chain, False, monkeypatch)):
        np.testing.assert_array_equal(found.converged, [False, False, True])


def test_other_parts_are_left_to_numpy():
    class Other:
        variance = np.ones(6)

    chain = chain_of("gaussian", "square", surrogate, False)
    others = (chain.ensemble, chain.layers, chain.output, chain.length)
    assert pack(chain.source, *others) is not None
    assert pack(Other(), *others) is None


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


EVALUATE = (
    "import mfmi; print(mfmi.evaluate(activation='tanh', sigma_w=1.3, depth=3, estimators=['linear'])"
    ".mi_linear[0], 'numba' in __import__('sys').modules)"
)


@pytest.mark.thorough
def test_the_switch_forgoes_the_compiler():
    value, loaded = run(EVALUATE, MFMI_COMPILE="0").split()
    assert loaded == "False"
    again, loaded = run(EVALUATE).split()
    assert loaded == "True"
    assert float(value) == pytest.approx(float(again), rel=1e-12)


def test_machine_code_is_kept_for_one_state_of_all_its_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("MFMI_CACHE_DIR", str(tmp_path / "cache"))
    sources = {f"mfmi.{name.removesuffix('.py').replace('/', '.')}" for name in _compiler.SOURCES}
    for module in (_channel, _descent):
        homes = {getattr(value, "__module__", "") for value in vars(module).values()}
        assert {home for home in homes if home.startswith("mfmi.")} <= sources
    assert {function.__module__ for function in _compiler.called_by(_descent.descend)} <= sources
    before = folder_of(_compiler.SOURCES)
    assert folder_of((*_compiler.SOURCES[1:], "chain/potential.py")) != before


@pytest.mark.slow  # it compiles anew, and so does the next one
def test_machine_code_is_kept_in_the_cache_directory_alone(tmp_path):
    package = Path(chain_search.__file__).parent
    before = set(package.rglob("*.nb[ci]"))
    run(EVALUATE, MFMI_CACHE_DIR=str(tmp_path))
    (folder,) = tmp_path.glob("compiled-*")
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}
    assert times
    run(EVALUATE, MFMI_CACHE_DIR=str(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")} == times
    assert set(package.rglob("*.nb[ci]")) == before


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["shorter", "flipped"])
def test_damaged_machine_code_is_compiled_anew(tmp_path, suffix, damage):
    expected = run(EVALUATE, MFMI_CACHE_DIR=str(tmp_path))
    (folder,) = tmp_path.glob("compiled-*")
    file, *_ = folder.rglob(f"*.{suffix}")
    damaged = bytearray(file.read_bytes())
    if damage == "flipped":
        damaged[len(damaged) // 2] ^= 16
    else:
        del damaged[len(damaged) // 2 :]
    file.write_bytes(damaged)
    for _ in range(2):
        assert run(EVALUATE, MFMI_CACHE_DIR=str(tmp_path)) == expected
    assert file.read_bytes() != damaged


@pytest.mark.slow
def test_without_a_place_to_keep_it_the_code_is_compiled_all_the_same(tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    for nowhere in ("", str(blocked), "/proc"):
        assert run(EVALUATE, MFMI_CACHE_DIR=nowhere).split()[1] == "True"


def test_the_versions_name_the_compiler_where_it_is_used():
    code = "from mfmi.storage.provenance import package_versions; print(sorted(package_versions()))"
    assert "numba" in run(code)
    assert "numba" not in run(code, MFMI_COMPILE="0")
