"""Rows of networks with norms, skips and relative noise, by the one evaluator."""

import math
import re

import numpy as np
import pytest
from streams import FiniteStream

import mfmi
from mfmi.activations import get
from mfmi.bounds import covariance
from mfmi.bounds import structured as of_structure
from mfmi.bounds.normed import mean_field
from mfmi.bounds.readable import readable
from mfmi.meanfield import NUMBER_FORMATS, Architecture, propagate, stream_ends


def test_a_row_is_what_the_core_finds():
    row = mfmi.evaluate(
        "tanh",
        1.5,
        0.3,
        0.2,
        depth=4,
        skip=0.8,
        branch=0.7,
        normalization="layernorm",
        noise_at="every",
        sigma_w_in=1.1,
        columns=["mi_linear_error", "mi_covariance_upper_error", "jacobian_mean"],
    ).iloc[0]
    network = Architecture.of(
        get("tanh"),
        4,
        sigma_w2=2.25,
        sigma_b2=0.09,
        output_noise=0.04,
        hidden_noise=0.04,
        skip=0.8,
        branch=0.7,
        norm="layernorm",
        input_sigma_w2=1.21,
        input_sigma_b2=0.09,
    )
    stream = propagate(network, 0.5)
    found = readable(network, "gaussian", stream)
    upper = covariance.covariance_upper(network, "gaussian", stream, found.full)
    assert row.mi_linear == pytest.approx(found.linear.value[0] - found.linear.error[0], rel=1e-12)
    assert row.mi_linear_error == pytest.approx(found.linear.error[0], rel=1e-9)
    assert row.mi_linear_error > 0.0
    assert row.mi_covariance_upper == pytest.approx(upper.value[0], rel=1e-12)
    assert row.mi_lower == row.mi_linear
    assert row.mi_upper == row.mi_covariance_upper
    assert row.q == pytest.approx(stream.path.q[0, -1], rel=1e-14)
    assert row.c == pytest.approx(1.0 - stream.path.gap[0, -1] / stream.path.q[0, -1], rel=1e-14)
    assert (row.normalization, row.norm_at, row.noise_scale) == ("layernorm", "activation", "absolute")
    assert (row.skip, row.branch, row.branch_matrices) == (0.8, 0.7, 1)
    assert "entropy_power: " in row.message
    assert np.isnan(row.mi_entropy_power)
    assert row.status == "ok"
    end = stream_ends(network)
    assert (row.phase, row.q_star, row.chi_1, row.xi_c) == (end.phase[0], end.q_star[0], end.chi_1[0], end.xi_c[0])


def test_plain_words_change_nothing():
    plain = mfmi.evaluate(["tanh", "relu"], 1.3, 0.2, depth=[1, 3], noise_at="every")
    said = mfmi.evaluate(
        ["tanh", "relu"],
        1.3,
        0.2,
        depth=[1, 3],
        noise_at="every",
        normalization="none",
        skip=0,
        branch=1,
        branch_matrices=1,
        noise_scale="absolute",
        sigma_w_in=1.3,
    )
    assert plain.equals(said)
    assert set(plain.normalization) == {"none"}
    assert plain.norm_at.isna().all()
    assert plain.mi_upper.notna().all()


def test_absolute_noise_of_a_barely_scaled_branch_is_nearly_a_plain_network():
    plain, other = (
        mfmi.evaluate("tanh", 1.3, 0.2, depth=3, branch=g, estimators=["linear", "covariance_upper"]).iloc[0]
        for g in (1.0, 1.0 + 1e-9)
    )
    for name in ("q", "c", "chi", "mi_linear", "mi_covariance_upper"):
        assert other[name] == pytest.approx(plain[name], rel=1e-7)
    for name in ("q_star", "c_star", "chi_1", "xi_q", "xi_c"):
        assert other[name] == pytest.approx(plain[name], rel=1e-6)
    assert other.phase == plain.phase
    assert plain.message == ""


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_covariance_upper_of_plain_networks_is_above_the_value(weights):
    rows = mfmi.evaluate(
        ["tanh", "relu", "sin"], 1.4, 0.2, 0.3, [1, 2, 4], weights=weights, estimators=["replica", "covariance_upper"]
    )
    assert rows.mi_covariance_upper.notna().all()
    assert (rows.mi_covariance_upper >= rows.mi_replica * (1.0 - 1e-5)).all()


def test_covariance_upper_says_where_it_is_not_known():
    rows = mfmi.evaluate("relu", 1.2, depth=2, observe="activation", estimators=["covariance_upper"])
    assert rows.mi_covariance_upper.isna().all()
    assert rows.message[0] == "covariance_upper: known for an observed pre-activation"


@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize(
    "others",
    [
        {"alpha": [0.5, 1.5, 2.0]},
        {"weights": mfmi.Weights.from_spectrum(np.geomspace(0.01, 10.0, 50), name="wide")},
        {"prior": "spike_slab", "sparsity": 0.3},
        {"prior": "rademacher"},
        {"input_spectrum": np.geomspace(0.1, 3.0, 40)},
    ],
)
def test_covariance_upper_of_other_weights_shapes_and_inputs(others, noise_at):
    names = ["linear", "replica", "covariance_upper"]
    rows = mfmi.evaluate(
        ["linear", "tanh", "relu"], 1.4, 0.2, 0.3, [1, 3], noise_at=noise_at, estimators=names,
        columns=["mi_covariance_upper_error", "mi_replica_error"], **others,
    )  # fmt: skip
    assert rows.mi_covariance_upper.notna().all()
    assert (rows.mi_covariance_upper >= rows.mi_replica - rows.mi_replica_error - 1e-9).all()
    assert (rows.mi_covariance_upper_error < 1e-10).all()
    if noise_at == "output" and "prior" not in others:
        # Of a gaussian input the covariance says all that a linear network does.
        exact = rows[rows.activation == "linear"]
        assert exact.mi_covariance_upper.to_numpy() == pytest.approx(exact.mi_linear.to_numpy(), rel=1e-9)


def test_ratios_of_one_are_square_layers():
    plain, shaped = (
        mfmi.evaluate("tanh", 1.4, 0.2, 0.3, 3, noise_at="every", estimators=["covariance_upper"], **shape)
        for shape in ({}, {"alpha": [1.0, 1.0, 1.0]})
    )
    assert shaped.mi_covariance_upper[0] == pytest.approx(plain.mi_covariance_upper[0], rel=1e-12)


def test_the_word_for_the_branch_is_the_depth_of_the_row():
    rows = mfmi.evaluate("tanh", 1.2, depth=[1, 4, 9], skip=1, branch="1/sqrt(depth)")
    assert rows.branch.tolist() == [1.0, 0.5, 1.0 / 3.0]
    alone = mfmi.evaluate("tanh", 1.2, depth=9, skip=1, branch=1.0 / 3.0)
    assert rows.mi_linear[2] == pytest.approx(alone.mi_linear[0], rel=1e-12)


def test_a_row_is_a_function_of_its_point_alone():
    several = mfmi.evaluate(
        "tanh",
        [1.2, 1.5],
        0.1,
        depth=[2, 5],
        skip=[1.0, 0.0],
        normalization=["none", "rmsnorm"],
        weights=["gaussian", "orthogonal"],
    )
    alone = mfmi.evaluate(
        "tanh", 1.5, 0.1, depth=5, skip=0.0, normalization="rmsnorm", weights="orthogonal", estimators=["linear"]
    )
    assert several.mi_linear[3] == alone.mi_linear[0]
    assert several.q[3] == alone.q[0]


def test_post_norm_reports_the_stream_that_is_there():
    row = mfmi.evaluate("relu", 1.5, 0.1, depth=5, skip=1, normalization="layernorm", norm_at="stream").iloc[0]
    assert row.q == pytest.approx(1.0 + 1.5**2 * 0.5 + 0.01, rel=1e-12)


def test_estimators_without_a_value_say_so():
    row = mfmi.evaluate(
        "relu", 1.4, depth=3, skip=1, estimators=list(mfmi.names.ESTIMATORS), columns=["mmse", "efficiency"]
    ).iloc[0]
    for name in ("layerwise", "gaussian_upper", "fisher"):
        assert np.isnan(row[f"mi_{name}"])
    said = "layerwise, fisher, gaussian_upper, mmse: known of networks without skips and with one matrix per layer"
    assert said in row.message
    assert row.mi_mean_field > row.mi_linear
    assert np.isnan(row.mmse)
    assert np.isnan(row.efficiency)
    assert row.mi_linear > 0.0


def test_what_noise_in_the_branch_alone_has_drowned_may_come_back():
    """No smallest value of the layers so far may be taken: x -> T^l -> T^(l+1) is no Markov chain (theory (38))."""
    rows = mfmi.evaluate(
        "linear", 1.0, depth=[1, 2, 3, 4], sigma_noise=0.1**0.5, noise_at="every", weights="orthogonal", skip=1.5,
        branch=0.5,
    )  # fmt: skip
    np.testing.assert_allclose(rows.mi_linear, [1.199, 1.475, 1.674, 1.795], atol=1e-3)
    assert (np.diff(rows.mi_lower) > 0.1).all()
    assert (np.diff(rows.mi_upper) > 0.1).all()
    assert (rows.mi_upper >= rows.mi_linear - 1e-9).all()


def test_number_formats_are_relative_noise_and_say_that_they_are_an_equivalent():
    rows = mfmi.evaluate("relu", 1.2, depth=10, sigma_noise=["bfloat16", 0.1], noise_at="every")
    assert rows.sigma_noise[0] == math.sqrt(NUMBER_FORMATS["bfloat16"].share)
    assert rows.noise_scale.tolist() == ["relative", "absolute"]
    assert "rounding to bfloat16 is equivalent to, an approximation" in rows.message[0]
    assert "sigma_w changes nothing" in rows.message[0]
    assert rows.message[1] == ""
    other = mfmi.evaluate("relu", 3.0, depth=10, sigma_noise="bfloat16", noise_at="every")
    assert other.mi_linear[0] == pytest.approx(rows.mi_linear[0], rel=1e-9)


def test_beyond_the_flat_range_of_a_format_a_message_says_so():
    quiet, loud = (
        mfmi.evaluate("relu", w, depth=5, sigma_noise="float8_e4m3fn", noise_at="every").message[0] for w in (1.4, 40.0)
    )
    assert "leaves the range" not in quiet
    assert "leaves the range 0.0625 to 64" in loud


def test_an_overflow_is_a_failed_row():
    rows = mfmi.evaluate("linear", 1e20, depth=[1, 20], skip=1.0)
    assert rows.status.tolist() == ["ok", "failed"]
    assert "overflows" in rows.message[1]
    assert np.isnan(rows.mi_upper[1])


def test_a_stream_out_of_reach_has_the_cruder_bound(monkeypatch):
    monkeypatch.setattr(of_structure, "_MOST_ELEMENTS", 64 * 4**2)
    rows = mfmi.evaluate("tanh", 1.2, 0.3, depth=[5, 6], skip=1.0)
    assert rows.mi_linear.notna().tolist() == [True, False]
    assert rows.mi_upper.notna().all()
    assert "linear: a residual stream this deep is out of reach" in rows.message[1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"normalization": "batchnorm", "norm_at": "stream", "skip": 1}, "batchnorm of the stream"),
        ({"normalization": "layernorm", "norm_at": "stream"}, "norm_at: 'stream' is that of a residual network"),
        ({"norm_at": "output"}, "norm_at: 'output' is the place of a norm"),
        ({"hidden_ratio": 2.0, "skip": 1}, "hidden_ratio: 2.0 is that of two matrices"),
        ({"noise_in": "stream"}, "noise_in: 'stream' is that of a residual network"),
        ({"sigma_noise": "bfloat16", "noise_scale": "absolute"}, "noise_scale: 'absolute' contradicts"),
        ({"sigma_noise": "bfloat16", "noise_in": "branch", "skip": 1}, "noise_in: 'branch' contradicts"),
        ({"sigma_noise": "bfloat17"}, "sigma_noise: 'bfloat17' is neither a number nor one of float16"),
        ({"branch": "1/depth"}, "branch: '1/depth' is neither a number nor 1/sqrt(depth)"),
        ({"branch_matrices": 3}, "branch_matrices: 3 is not in 1..2"),
        ({"skip": -1.0}, "skip: -1.0 is less than 0"),
        ({"skip": 1.0, "alpha": [1.0, 0.5]}, "need layers of one width"),
        ({"skip": 1.0, "observe": "activation"}, "need an observed pre-activation"),
        ({"skip": 1.0, "prior": "rademacher"}, "need a gaussian input"),
    ],
)
def test_contradictions(wrong, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        mfmi.evaluate("tanh", 1.2, depth=2, **wrong)


def test_blocks_below_the_last_bit_are_named():
    """Theory section 10: rounding is idempotent, and no noise where a block adds less than the last bit."""
    said = "a block adds less to the stream than the last bit of float8_e4m3fn"
    for branch, noise_at, expected in ((0.03, "every", True), (0.5, "every", False), (0.03, "output", False)):
        row = mfmi.evaluate(
            "tanh", 1.2, sigma_noise="float8_e4m3fn", noise_at=noise_at, depth=4, skip=1, branch=branch,
            normalization="layernorm", estimators=["linear"],
        ).iloc[0]  # fmt: skip
        assert (said in row.message) == expected


@pytest.mark.parametrize("norm", ["layernorm", "batchnorm"])
@pytest.mark.parametrize("matrices", [1, 2])
@pytest.mark.parametrize(
    ("skip", "said", "q"), [(0.5, "decays to 0, which has no norm", 0.25 * 1.4**2), (1.0, "stays as it is", 1.4**2)]
)
def test_a_stream_without_branches_is_its_input(norm, matrices, skip, said, q):
    """The norm sees no variance in the end, which is no moment that is missing."""
    row = mfmi.evaluate(
        "relu", 1.4, depth=2, weights="orthogonal", skip=skip, branch=0.0, normalization=norm,
        branch_matrices=matrices, estimators=["linear"],
    ).iloc[0]  # fmt: skip
    assert row.status == "ok"
    assert f"without branches the stream {said}" in row.message
    assert row.q == pytest.approx(q)
    assert row.mi_linear == pytest.approx(0.5 * math.log1p(q / 0.01), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "weights", "settings"),
    [
        ("relu", "gaussian", {"skip": 0.9, "branch": 0.8, "hidden_noise": 0.05}),
        ("tanh", "orthogonal", {"skip": 1.0, "matrices": 2, "norm": "rmsnorm", "noise_in": "stream"}),
    ],
)
def test_the_mean_field_value_of_a_stream_has_the_signal_of_a_finite_one(name, weights, settings):
    network = Architecture.of(get(name), 4, sigma_w2=1.7, sigma_b2=0.09, output_noise=0.1, **settings)
    finite, n, samples = FiniteStream(network, weights, 120, 3), 120, 20_000
    x = finite.rng.standard_normal((samples, n))
    t = finite.observe(x)
    left = t - t.mean(axis=0)
    read = np.linalg.lstsq(x, left, rcond=None)[0]
    noise = np.mean((left - x @ read) ** 2)
    signal = np.sum(read**2) / n - noise * n / samples
    value = mean_field(network, finite.stream).value[0]
    assert -np.expm1(-2.0 * value) == pytest.approx(signal / (signal + noise), rel=0.02)


@pytest.mark.parametrize("name", ["relu", "sign", "linear"])
def test_without_skips_the_mean_field_value_is_that_of_plain_networks(name):
    given = {"depth": [1, 2, 5], "noise_at": "every", "estimators": ["mean_field"]}
    barely = mfmi.evaluate(name, 1.4, 0.3, 0.2, skip=1e-9, **given)
    plain = mfmi.evaluate(name, 1.4, 0.3, 0.2, **given)
    np.testing.assert_allclose(barely.mi_mean_field, plain.mi_mean_field, rtol=1e-9)
