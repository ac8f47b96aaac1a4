"""The replica value with and without tables of the exact channel."""

import numpy as np
import pytest

from mfmi.activations import names
from mfmi.bounds.evaluate import evaluate_points
from mfmi.networks.model import MOST_LAYERS_WITHOUT_TABLES, Model
from mfmi.networks.points import Points

COLUMNS = ["mi_replica_error", "mmse"]


def networks(activation: str, count: int, seed: int) -> Points:
    rng = np.random.default_rng(seed)
    return Points.of(
        activation,
        rng.uniform(0.7, 2.5, count),
        sigma_b=rng.uniform(0.0, 0.7, count),
        sigma_noise=10.0 ** rng.uniform(-1.5, 0.0, count),
        weights=rng.choice(["gaussian", "orthogonal"], count),
        noise_at=rng.choice(["output", "every"], count),
    )


def both(points: Points, depths: list[int]) -> list[dict[str, np.ndarray]]:
    """Rows without and with tables."""
    return [
        evaluate_points(points, depths, ["replica"], "nats", COLUMNS, Model(tables=tables)) for tables in (False, True)
    ]


def agree(direct: dict[str, np.ndarray], tabulated: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(direct["status"], tabulated["status"])
    error = direct["mi_replica_error"] + tabulated["mi_replica_error"]
    assert np.all(np.abs(direct["mi_replica"] - tabulated["mi_replica"]) <= error + 1e-12)


@pytest.mark.thorough
def test_both_ways_agree() -> None:
    direct, tabulated = both(networks("hard_tanh", 1, 3), [2])
    agree(direct, tabulated)
    np.testing.assert_allclose(direct["mi_replica"], tabulated["mi_replica"], rtol=1e-6)
    np.testing.assert_allclose(direct["mmse"], tabulated["mmse"], rtol=1e-6)


@pytest.mark.slow  # some minutes an activation, for the tables
@pytest.mark.parametrize("activation", names())
def test_both_ways_agree_on_500_networks(activation: str) -> None:
    count = -(-500 // len(names()))
    agree(*both(networks(activation, count, 7), [2, 5]))


def test_the_size_of_a_request_decides() -> None:
    assert Model().for_layers(MOST_LAYERS_WITHOUT_TABLES).tables is False
    assert Model().for_layers(MOST_LAYERS_WITHOUT_TABLES + 1).tables is True
    assert Model(tables=True).for_layers(1).tables is True


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    points, model = networks("tanh", 3, 1), Model(tables=False)
    together = evaluate_points(points, [3, 5], ["replica"], "nats", COLUMNS, model)
    for i in range(3):
        alone = evaluate_points(points[i : i + 1], [5], ["replica"], "nats", COLUMNS, model)
        for name in ("mi_replica", *COLUMNS):
            assert together[name][2 * i + 1] == alone[name][0]


@pytest.mark.slow  # for the tables
def test_beside_very_little_noise_there_are_tables() -> None:
    """A signal of 10,000 noise widths asks for too many nodes."""
    found = evaluate_points(Points.of("erf", 2.0, sigma_noise=1e-4), [2], ["replica", "gaussian_upper", "linear"])
    assert found["status"][0] == "ok"
    assert found["mi_linear"][0] < found["mi_replica"][0] < found["mi_gaussian_upper"][0]
