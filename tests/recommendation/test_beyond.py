"""Places beyond the limits of a search: an exact law, a climb, and what is said of them."""

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from conftest import Outcome

from mfmi.activations import get
from mfmi.recommendation.beyond import FARTHER, GROWN, look_beyond
from mfmi.recommendation.results import NetworkFamily
from mfmi.recommendation.search import BIASES_UP_TO, optimum, weight_range

CommandLine = Callable[..., Outcome]


def test_an_optimum_inside_has_nothing_beyond() -> None:
    network = NetworkFamily(get("tanh"), 5)
    best = optimum(network, "linear", 0.0, plateau=False)
    assert (best.limits, look_beyond(network, best, 0.0, "any")) == ((), ())


def test_one_layer_is_the_better_the_larger_its_weights() -> None:
    network = NetworkFamily(get("erf"), 1)
    best = optimum(network, "linear", 0.0, plateau=False)
    (found,) = look_beyond(network, best, 0.0, "any")
    assert (found.limits, found.sigma_b, found.rises) == (("sigma_w",), 0.0, True)
    assert found.sigma_w == pytest.approx(FARTHER * weight_range(get("erf"))[1], rel=0.01)
    # Of one gaussian matrix the information is that of its singular values, of Marchenko and Pastur's law.
    assert found.value == network.values("linear", found.sigma_w, 0.0)[0] > best.value
    assert found.growth == pytest.approx((found.sigma_w / best.sigma_w) ** 2)


def test_variances_of_a_linear_network_grow_by_a_power() -> None:
    network = NetworkFamily(get("linear"), 7)
    best = optimum(network, "linear", 0.0, plateau=False)
    (found,) = look_beyond(network, best, 0.0, "any")
    assert (best.sigma_w, found.limits) == (1.0, ("unbounded",))
    assert found.growth == pytest.approx(found.sigma_w**14, rel=1e-9)
    assert 0.5 * GROWN < found.growth <= GROWN
    assert found.value == network.values("linear", found.sigma_w, 0.0)[0] > best.value


def test_biases_beyond_the_search() -> None:
    network = NetworkFamily(get("relu"), 8)
    best = optimum(network, "linear", plateau=False)
    (found,) = look_beyond(network, best, None, "any")
    assert found.limits == best.limits == ("sigma_b",)
    assert BIASES_UP_TO < found.sigma_b <= FARTHER * BIASES_UP_TO
    w = np.linspace(1.2, 1.41, 40)
    assert found.value >= 0.999 * network.values("linear", w, found.sigma_b).max()
    assert found.value == network.values("linear", found.sigma_w, found.sigma_b)[0]
    assert found.rises


def test_what_is_beyond_is_said_and_a_row(command_line: CommandLine) -> None:
    network = ("recommend", "--act", "linear", "--depth", "4", "--sb", "0")
    rows = json.loads(command_line(*network, "--format", "json").out)
    best, beyond = (next(row for row in rows if row["role"] == role) for role in ("best", "beyond"))
    assert (best["sigma_w"], best["limits"], beyond["limits"]) == (1.0, "unbounded", "unbounded")
    assert beyond["of_best"] == pytest.approx(beyond["information"] / best["information"])
    assert beyond["gain"] == beyond["sigma_w"] > 1.0
    out = command_line(*network, "--format", "table").out
    assert f"beyond it, sigma_w {beyond['sigma_w']:.4g}, sigma_b 0: {beyond['information']:.4f} nats" in out
    assert "times as large beside the noise" in out
    assert max(map(len, out.splitlines())) <= 80


def test_an_activation_that_leaves_the_numbers_has_gradients_that_do() -> None:
    # Squares of squares: after ten layers there is no double left for the variance.
    gradient = NetworkFamily(get("squared_relu"), 20).gradient([0.3, math.sqrt(2.0), 5.0], 0.0)
    assert gradient[0] < 1e-6
    assert gradient[1:].tolist() == [math.inf, math.inf]
