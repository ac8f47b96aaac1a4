"""Numbers of other programs, each to the accuracy that it states: channels, a perceptron with its transition, gains."""

import json
import math
from pathlib import Path

import pytest

from mfmi import activations
from mfmi.bounds.evaluate import evaluate_points
from mfmi.channels.exact.channel import exact_channel_with_error
from mfmi.networks.model import Model
from mfmi.networks.points import Points

OTHERS = json.loads((Path(__file__).parent / "data" / "other_programs.json").read_text())
NINE_DECIMALS, EIGHT_DECIMALS, SEVEN_DECIMALS = 0.5e-9, 0.5e-8, 0.5e-7
# Noise in front of a sign costs about its deviation, relatively: this is none to nine digits.
NO_NOISE = 1e-9


@pytest.mark.parametrize("entry", OTHERS["scalar_channels"], ids=lambda entry: entry["activation"])
def test_exact_channels(entry):
    phi = activations.get(entry["activation"])
    value, error = exact_channel_with_error(phi, entry["r"], entry["V"], entry["s"])
    for ours, unsure, theirs in zip(value, error, (entry["J"], entry["E"], entry["A"]), strict=True):
        assert unsure < 1e-12
        assert abs(ours - theirs) <= NINE_DECIMALS * (1.0 + 1e-6)


def perceptron(alpha):
    """Information and mean squared error of a two-valued input after signs of a gaussian matrix times it."""
    model = Model.with_input("rademacher", (alpha,))
    model = Model(model.alpha, prior=model.prior, prior_name=model.prior_name, observe="activation")
    points = Points.of("sign", 1.0, sigma_noise=NO_NOISE)
    found = evaluate_points(points, 1, ["replica"], optional=["mmse"], model=model)
    assert found["status"].tolist() == ["ok"]
    return found["mi_replica"].item(), found["mmse"].item()


@pytest.mark.parametrize("entry", OTHERS["perceptron"]["values"], ids=lambda entry: f"alpha {entry['alpha']:g}")
def test_the_noiseless_perceptron(entry):
    information, mmse = perceptron(entry["alpha"])
    assert abs(information - entry["information"]) <= EIGHT_DECIMALS
    assert abs(mmse - entry["mmse"]) <= EIGHT_DECIMALS


def test_the_noiseless_perceptron_knows_its_input_from_the_transition_on():
    transition = OTHERS["perceptron"]["transition"]
    below, mmse_below = perceptron(transition - 2.0 * SEVEN_DECIMALS)
    above, mmse_above = perceptron(transition + 2.0 * SEVEN_DECIMALS)
    assert mmse_below > 0.3
    assert below < math.log(2.0)
    assert mmse_above == pytest.approx(0.0, abs=1e-12)
    assert above == pytest.approx(math.log(2.0), rel=1e-12)


@pytest.mark.parametrize("entry", OTHERS["surrogate"]["values"], ids=lambda entry: f"layer {entry['layer']}")
def test_surrogate_gains(entry):
    phi, variance = activations.get("tanh"), entry["variance"]
    if entry["layer"] == 2:
        assert variance == pytest.approx(float(phi.second_moment(1.0)), rel=1e-12)
    found = phi.conditional(0.0, variance)
    assert float(found.kappa) == pytest.approx(entry["kappa"], abs=1e-12)
    assert float(found.residual) == pytest.approx(entry["sqrt_d"] ** 2, abs=1e-12)
