"""Convolutions, theory (40)-(41): white inputs are the dense result, correlated ones go frequency by frequency."""

import numpy as np
import pytest

import mfmi
from mfmi.bounds import modes
from mfmi.channels.stream import sites
from mfmi.names import DEFAULT_ESTIMATORS, ESTIMATORS

# Theory section 15.7, inputs of correlation 0.6^|lag| over 8 positions: linear and Phi_full.
VALUES = {
    ("tanh", 2, "gaussian"): (0.4859, 0.8401),
    ("tanh", 2, "orthogonal"): (0.7509, 1.1820),
    ("tanh", 4, "gaussian"): (0.2308, 0.5548),
    ("tanh", 4, "orthogonal"): (0.4792, 0.9110),
    ("relu", 2, "gaussian"): (0.3534, 1.1412),
    ("relu", 2, "orthogonal"): (0.5138, 1.5128),
    ("relu", 4, "gaussian"): (0.1113, 0.8364),
    ("relu", 4, "orthogonal"): (0.1779, 1.1155),
}
SCALES = {"tanh": 1.5**0.5, "relu": 2**0.5}
NOISE = 0.05**0.5


def row(act, depth, sigma_w=1.4, *, columns=(), **given):
    found = mfmi.evaluate(act, sigma_w, depth=depth, columns=columns, **given)
    assert set(found["status"]) <= {"ok", "unbounded"}
    return found.iloc[-1]


@pytest.mark.parametrize(("act", "depth", "weights"), VALUES)
def test_values_of_the_theory(act, depth, weights):
    found = row(
        act,
        depth,
        SCALES[act],
        sigma_b=0.3,
        sigma_noise=NOISE,
        weights=weights,
        positions=8,
        input_correlation=0.6,
        estimators=["linear", "covariance_upper"],
    )
    np.testing.assert_allclose(
        found[["mi_linear", "mi_covariance_upper"]].to_list(), VALUES[act, depth, weights], atol=5.1e-5
    )


@pytest.mark.parametrize("given", [{"positions": 8}, {"positions": [4, 4]}, {"positions": 1, "input_correlation": 0.6}])
def test_white_inputs_are_the_dense_result(given):
    every = {"sigma_w": [1.0, 1.5], "sigma_b": 0.3, "depth": [1, 3], "estimators": ESTIMATORS[:-2]}
    dense, found = mfmi.evaluate("relu", **every), mfmi.evaluate("relu", **every, **given)
    numbers = dense.select_dtypes("number").columns
    np.testing.assert_allclose(found[numbers], dense[numbers], rtol=1e-9)
    assert list(found["message"]) == list(dense["message"])


@pytest.mark.parametrize(("noise_at", "weights"), [("output", "gaussian"), ("every", "orthogonal")])
def test_white_inputs_are_the_dense_result_where_frequencies_are_followed(monkeypatch, noise_at, weights):
    """The frequencies themselves, not the detour around them: as good as no correlation is as good as none."""
    given = {"noise_at": noise_at, "weights": weights, "sigma_b": 0.3, "estimators": ["linear", "mean_field"]}
    dense = row("tanh", 3, **given)
    found = row("tanh", 3, positions=8, input_correlation=1e-12, **given)
    np.testing.assert_allclose(found["mi_linear"], dense["mi_linear"], rtol=1e-9)
    np.testing.assert_allclose(found["mi_mean_field"], dense["mi_mean_field"], rtol=1e-9)


@pytest.mark.parametrize("noise_at", ["output", "every"])
def test_linear_networks_are_one_dense_network_at_each_frequency(noise_at):
    spectrum = np.fft.fft(0.7 ** np.minimum(np.arange(6), 6 - np.arange(6))).real
    given = {"noise_at": noise_at, "estimators": ["linear", "mean_field"]}
    found = row("linear", 3, positions=6, input_correlation=0.7, **given)
    dense = mfmi.evaluate("linear", 1.4, depth=3, input_variance=spectrum, **given)
    for name in ("mi_linear", "mi_mean_field"):
        np.testing.assert_allclose(found[name], dense[name].mean(), rtol=1e-9)


@pytest.mark.parametrize("act", ["tanh", "relu"])
def test_equal_inputs_are_one_of_less_noise(act):
    """P copies of one input, each observed with noise of its own, are the input observed with the P-th part of it."""
    given = {"sigma_b": 0.2, "estimators": ["linear", "covariance_upper", "entropy_power"]}
    found = row(act, 3, positions=4, input_correlation=1.0, sigma_noise=0.4, **given)
    dense = row(act, 3, sigma_noise=0.2, **given)
    assert abs(4 * found["mi_linear"] - dense["mi_linear"]) < 1e-8
    assert abs(4 * found["mi_covariance_upper"] - dense["mi_covariance_upper"]) < 1e-8
    assert np.isnan(found["mi_entropy_power"])


def test_mean_field_is_linear_for_rotations_without_spread_of_the_gain():
    found = row(
        "tanh", 4, weights="orthogonal", positions=16, input_correlation=0.8, estimators=["linear", "mean_field"]
    )
    np.testing.assert_allclose(found["mi_mean_field"], found["mi_linear"], rtol=1e-7)


def test_an_axis_of_one_position_is_none():
    given = {"estimators": ["linear", "covariance_upper"], "input_correlation": 0.6}
    assert row("gelu", 3, positions=[1, 8], **given)["mi_linear"] == pytest.approx(
        row("gelu", 3, positions=8, **given)["mi_linear"], rel=1e-12
    )


def test_correlations_by_distance_are_those_of_a_power():
    given = {"estimators": ["linear"], "positions": 7}
    by_power = row("gelu", 3, input_correlation=0.5, **given)["mi_linear"]
    assert row("gelu", 3, input_correlation=[0.5, 0.25, 0.125], **given)["mi_linear"] == pytest.approx(
        by_power, rel=1e-12
    )


@pytest.mark.parametrize("act", ["relu", "hard_tanh", "sign"])
def test_errors_hold_where_the_series_is_cut(monkeypatch, act):
    """A shorter series says less and has an error that reaches to the longer one's value."""
    given = {
        "positions": 32,
        "input_correlation": 0.95,
        "columns": ["mi_linear_error", "mi_covariance_upper_error"],
        "estimators": ["linear", "covariance_upper"],
    }
    fine = row(act, 3, **given)
    monkeypatch.setattr(modes, "_MOST_ORDERS", 15)
    coarse = row(act, 3, **given)
    assert 0.0 < fine["mi_linear_error"] < coarse["mi_linear_error"] < 0.05
    assert coarse["mi_linear"] <= fine["mi_linear"] <= coarse["mi_linear"] + 2 * coarse["mi_linear_error"]
    assert fine["mi_covariance_upper"] <= coarse["mi_covariance_upper"]


def test_bounds_hold_together_and_a_correlated_input_loses_less_than_its_spectrum():
    rows = mfmi.evaluate("tanh", [0.8, 1.2, 2.0], 0.1, depth=[1, 4], positions=8, input_correlation=0.9)
    assert (rows["mi_lower"] <= rows["mi_upper"] + 1e-9).all()
    assert (rows["mi_entropy_power"] <= rows["mi_upper"] + 1e-9).all()
    spectrum = np.fft.fft(0.9 ** np.minimum(np.arange(8), 8 - np.arange(8))).real
    alone = [mfmi.evaluate("tanh", 1.2, 0.1, depth=4, input_variance=one)["mi_linear"][0] for one in spectrum]
    assert rows["mi_linear"][3] != pytest.approx(np.mean(alone), rel=0.01)


def test_what_has_no_value_says_so():
    found = row("tanh", 2, positions=4, input_correlation=0.5, estimators=ESTIMATORS, columns=["efficiency", "mmse"])
    assert found[["mi_layerwise", "mi_gaussian_upper", "mi_replica", "mi_fisher", "efficiency", "mmse"]].isna().all()
    assert "layerwise, fisher, gaussian_upper, replica, mmse: not known of a convolution" in found["message"]
    assert found["mi_linear"] > 0
    usual = mfmi.evaluate("tanh", 1.0, depth=2, positions=4, input_correlation=0.5)
    assert usual["message"][0] == ""
    assert usual["mi_covariance_upper"].notna().all()
    assert mfmi.evaluate("tanh", 1.0, depth=2, positions=4)[f"mi_{DEFAULT_ESTIMATORS[-1]}"].notna().all()


def test_a_row_is_a_function_of_its_point_alone():
    given = {"positions": 8, "input_correlation": 0.6, "sigma_b": 0.2}
    rows = mfmi.evaluate("relu", [1.0, 1.4], depth=[1, 2, 5], **given)
    alone = mfmi.evaluate("relu", 1.4, depth=5, **given)
    assert rows["mi_linear"].iloc[-1] == alone["mi_linear"][0]
    assert rows["mi_covariance_upper"].iloc[-1] == alone["mi_covariance_upper"][0]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"input_correlation": 0.5}, "input_correlation: 0.5 is that between positions"),
        ({"positions": 0}, "positions: 0"),
        ({"positions": [64, 65]}, "positions: 4160 of them are more than 4096"),
        ({"positions": 8, "input_correlation": 1.5}, "input_correlation: 1.5"),
        ({"positions": 8, "input_correlation": [0.9, 0.0]}, "input_correlation: inputs cannot be correlated like this"),
        ({"positions": [4, 4], "input_correlation": [0.5]}, "input_correlation: a list is that of positions along one"),
        ({"positions": 4, "input_correlation": [0.1] * 3}, "input_correlation: 3 distances are more than the 2"),
        ({"positions": 8, "input_correlation": 0.5, "prior": "rademacher"}, "input_correlation: correlated inputs are"),
        ({"positions": 8, "input_spectrum": [1.0, 2.0]}, "positions: the covariance of the input"),
        ({"positions": 8, "input_correlation": 0.5, "observe": "activation"}, "observe: 'activation' is not known"),
        ({"positions": 2, "inputs": np.eye(3), "width": 4}, "positions: a data set goes through dense networks"),
    ],
)
def test_contradictions_are_named(given, text):
    with pytest.raises(ValueError, match=text.replace("[", r"\[")):
        mfmi.evaluate("tanh", 1.0, **given)


STRUCTURES = {
    "layernorm": {"normalization": "layernorm"},
    "layernorm after phi": {"normalization": "layernorm", "norm_at": "output", "weights": "orthogonal"},
    "batchnorm": {"normalization": "batchnorm", "noise_at": "every"},
    "relative noise": {"sigma_noise": "bfloat16", "noise_at": "every"},
    "stream": {"skip": 1, "branch": 0.5},
    "stream noise": {"skip": 0.9, "noise_in": "stream", "noise_at": "every"},
    "two matrices": {"skip": 1, "normalization": "rmsnorm", "branch_matrices": 2, "hidden_ratio": 2},
    "post-norm": {"skip": 1, "normalization": "layernorm", "norm_at": "stream", "noise_scale": "relative"},
}
BOUNDS = ["linear", "covariance_upper", "entropy_power"]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", STRUCTURES)
def test_white_convolutions_with_norms_and_skips_are_dense(kind):
    """Also where the frequencies themselves are followed: as good as no correlation is as good as none."""
    given = {"sigma_b": 0.2, "depth": [1, 3], "estimators": BOUNDS} | STRUCTURES[kind]
    dense, found = mfmi.evaluate("relu", 1.4, **given), mfmi.evaluate("relu", 1.4, positions=8, **given)
    assert dense.equals(found)
    near = mfmi.evaluate("relu", 1.4, positions=8, input_correlation=1e-12, **given)
    np.testing.assert_allclose(near["mi_linear"], dense["mi_linear"], rtol=1e-9)
    np.testing.assert_allclose(near["mi_covariance_upper"], dense["mi_covariance_upper"], rtol=1e-9)
    np.testing.assert_allclose(near["mi_entropy_power"], dense["mi_entropy_power"], rtol=1e-9)


@pytest.mark.parametrize("kind", ["batchnorm", "stream", "two matrices"])
def test_equal_inputs_with_norms_and_skips_are_one_of_less_noise(kind):
    given = {"sigma_b": 0.2, "estimators": BOUNDS, "depth": 3} | STRUCTURES[kind] | {"noise_at": "output"}
    found = row("tanh", positions=4, input_correlation=1.0, sigma_noise=0.4, **given)
    dense = row("tanh", sigma_noise=0.2, **given)
    assert abs(4 * found["mi_linear"] - dense["mi_linear"]) < 1e-7
    assert abs(4 * found["mi_covariance_upper"] - dense["mi_covariance_upper"]) < 1e-7
    assert np.isnan(found["mi_entropy_power"])


def test_linear_streams_are_one_dense_stream_at_each_frequency():
    spectrum = np.fft.fft(0.7 ** np.minimum(np.arange(6), 6 - np.arange(6))).real
    given = {"skip": 1, "branch": 0.3, "estimators": BOUNDS, "depth": 3}
    found = row("linear", positions=6, input_correlation=0.7, **given)
    dense = mfmi.evaluate("linear", 1.4, input_variance=spectrum, **given)
    for name in ("mi_linear", "mi_covariance_upper"):
        np.testing.assert_allclose(found[name], dense[name].mean(), rtol=1e-9)
    assert found["mi_entropy_power"] < found["mi_linear"]


def test_a_stream_of_almost_no_skip_is_a_stack_of_layers():
    """One site after the other with offsets at Sobol points, and layer by layer with a quadrature."""
    given = {"positions": 8, "input_correlation": 0.6, "sigma_b": 0.3, "estimators": ["linear"]}
    stack = row("tanh", 4, **given)["mi_linear"]
    found = row("tanh", 4, skip=1e-9, columns=["mi_linear_error"], **given)
    assert 0.0 < found["mi_linear_error"] < 1e-3
    assert found["mi_linear"] <= stack <= found["mi_linear"] + 2.0 * found["mi_linear_error"]


@pytest.mark.parametrize("act", ["relu", "hard_tanh"])
def test_errors_of_streams_hold_where_the_series_is_cut(monkeypatch, act):
    columns = ["mi_linear_error", "mi_covariance_upper_error"]
    given = {"positions": 32, "input_correlation": 0.97, "skip": 1, "columns": columns, "estimators": BOUNDS[:2]}
    fine = row(act, 3, **given)
    monkeypatch.setattr(sites, "ORDERS", 8)
    coarse = row(act, 3, **given)
    assert fine["mi_linear_error"] < coarse["mi_linear_error"] < 0.05
    assert coarse["mi_linear"] <= fine["mi_linear"] + fine["mi_linear_error"]
    assert fine["mi_linear"] <= coarse["mi_linear"] + 2 * coarse["mi_linear_error"]


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_hidden_noise_is_taken_off_the_covariance_bound_as_in_dense_networks(weights):
    """Of linear layers `linear` is the truth, and of one rotation after the noise the bound is equal to it."""
    given = {"noise_at": "every", "sigma_noise": 0.5, "weights": weights, "estimators": BOUNDS[:2]}
    for skip in (0, 0.5):
        found = row("linear", 2, positions=8, input_correlation=0.8, skip=skip, **given)
        assert found["mi_linear"] <= found["mi_covariance_upper"] + 1e-9
        if weights == "orthogonal" and not skip:
            assert found["mi_covariance_upper"] == pytest.approx(found["mi_linear"], abs=1e-9)
    found, plain = (row("tanh", 3, positions=8, **given, **own) for own in ({"input_correlation": 1e-9}, {}))
    assert found["mi_covariance_upper"] == pytest.approx(plain["mi_covariance_upper"], rel=1e-8)


def test_streams_of_convolutions_say_what_has_no_value():
    found = row("tanh", 2, positions=4, input_correlation=0.5, skip=1, estimators=["linear", "replica", "fisher"])
    assert found[["mi_replica", "mi_fisher"]].isna().all()
    assert "replica: not known of a convolution of correlated inputs" in found["message"]
    assert "fisher: not known of correlated positions with norms, skips or relative noise" in found["message"]


@pytest.mark.parametrize("sigma_b", [0.0, 0.2])
@pytest.mark.parametrize("correlation", [1.0, -1.0])
def test_positions_that_are_equal_or_opposite_are_the_limit_of_nearly_so(correlation, sigma_b):
    """Frequencies without anything from some layer on have the value 0, and no search that fails."""
    given = {"depth": 4, "sigma_b": sigma_b, "positions": 8, "estimators": ["linear", "covariance_upper"]}
    exact = row("tanh", input_correlation=correlation, **given)
    near = row("tanh", input_correlation=correlation * (1.0 - 1e-9), **given)
    for name in ("mi_linear", "mi_covariance_upper"):
        assert exact[name] == pytest.approx(near[name], rel=1e-4)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_one_layer_of_a_correlated_convolution_has_no_hidden_moments(weights: str) -> None:
    settings = {"positions": 8, "input_correlation": 0.6, "weights": weights, "layers": 1, "estimators": ["linear"]}
    plain = mfmi.evaluate("tanh", 1.0, **settings)
    normed = mfmi.evaluate("tanh", 1.0, normalization="layernorm", **settings)
    assert plain.status[0] == "ok"
    assert plain.mi_linear[0] == pytest.approx(normed.mi_linear[0], rel=1e-12)
