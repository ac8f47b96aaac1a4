"""All estimators of plain networks with norms and relative noise."""

from __future__ import annotations

import numpy as np
import pytest

import mfmi
from mfmi.bounds import normed
from mfmi.bounds.evaluate import evaluate_points
from mfmi.bounds.normed import NormedProblem
from mfmi.meanfield import Architecture, propagate
from mfmi.networks.points import Points

BOUNDS = ["mean_field", "linear", "layerwise", "gaussian_upper", "covariance_upper", "replica"]
QUICK = ("mean_field", "layerwise", "gaussian_upper", "replica")


def rows(name, depth, **settings):
    given = {"sigma_noise": 0.2, "estimators": BOUNDS, "columns": ["mi_replica_error", "mmse"]} | settings
    return mfmi.evaluate(name, settings.pop("sigma_w", 1.3), depth=depth, **given)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_without_norms_they_are_those_of_plain_networks(weights):
    for noise_at in ("output", "every"):
        points = Points.of("tanh", [0.7, 1.6], sigma_b=0.3, sigma_noise=0.2, noise_at=noise_at, weights=weights)
        for depth in (1, 4):
            plain = evaluate_points(points, np.full((2, 1), depth), QUICK)
            network = Architecture.of(
                mfmi.activation("tanh"), depth, sigma_w2=[0.49, 2.56], sigma_b2=0.09, output_noise=0.04,
                hidden_noise=0.04 if noise_at == "every" else 0.0,
            )  # fmt: skip
            problem = NormedProblem.of(network, weights, propagate(network), tables=False)
            known = normed.REGISTRY | {"mi_mean_field": lambda one: normed.mean_field(one.network, one.stream)}
            for name in QUICK:
                found = known[f"mi_{name}"](problem)
                np.testing.assert_allclose(found.value, plain[f"mi_{name}"], rtol=1e-8, err_msg=name)


@pytest.mark.thorough
@pytest.mark.parametrize("noise_at", ["output", "every"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_norms_that_are_one(weights, noise_at):
    """BatchNorm is LayerNorm after relu without biases, and LayerNorm in front of an odd phi."""
    given = {"noise_scale": "relative", "noise_at": noise_at, "weights": weights}
    batch = rows("tanh", [2, 4], normalization="batchnorm", **given)
    layer = rows("tanh", [2, 4], normalization="layernorm", **given)
    assert (batch.status == "ok").all()
    for column in [*(f"mi_{name}" for name in BOUNDS), "mmse"]:
        np.testing.assert_allclose(batch[column], layer[column], rtol=1e-9, err_msg=column)
    if noise_at == "output":
        one = rows("relu", 3, normalization="batchnorm", **given).iloc[0]
        other = rows("relu", 3, normalization="layernorm", norm_at="output", **given).iloc[0]
        # After a norm of the outputs relu's channel is another one of the same family, of which the table is rounded.
        assert one.mi_replica == pytest.approx(other.mi_replica, rel=1e-6)
        assert one.mi_linear == pytest.approx(other.mi_linear, rel=1e-9)


@pytest.mark.parametrize("given", [{"normalization": "layernorm"}, {"normalization": "batchnorm", "noise_at": "every"},
                                   {"normalization": "rmsnorm", "norm_at": "output"}])  # fmt: skip
def test_they_are_in_order(given):
    found = rows("relu", [1, 2, 4], sigma_b=0.2, **given)
    assert (found.status == "ok").all()
    slack = found.mi_replica_error + 1e-6
    assert (found.mi_linear <= found.mi_replica + slack).all()
    assert (found.mi_layerwise <= found.mi_replica + slack).all()
    assert (found.mi_replica <= found.mi_gaussian_upper + slack).all()
    assert (found.mi_replica <= found.mi_covariance_upper + slack).all()
    assert found.mi_replica[2] > found.mi_linear[2] + 0.01
    assert ((found.mmse > 0.0) & (found.mmse < 1.0)).all()


def test_linear_layers_with_norms_are_exact():
    found = rows("linear", 4, normalization="layernorm", noise_at="every").iloc[0]
    for name in ("replica", "layerwise", "gaussian_upper"):
        assert found[f"mi_{name}"] == pytest.approx(found.mi_linear, rel=1e-9)


def test_streams_and_steps_say_why_not():
    found = rows("tanh", 3, normalization="layernorm", skip=[0, 1])
    assert np.isfinite(found.mi_layerwise[0])
    assert np.isnan(found.mi_layerwise[1])
    assert "layerwise, gaussian_upper, mmse: known of networks without skips" in found.message[1]
    assert found.mi_mean_field[1] > found.mi_linear[1]
    assert "known of" not in found.message[0]
    step = rows("sign", 3, normalization="layernorm").iloc[0]
    assert np.isnan(step.mi_replica)
    assert "replica: not known of units of few values" in step.message
