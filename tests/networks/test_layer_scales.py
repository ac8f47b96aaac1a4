"""Networks whose layers differ in the standard deviations of weights and biases."""

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.bounds.evaluate import evaluate_points
from mfmi.jacobian import jacobian_moments
from mfmi.meanfield import trajectory
from mfmi.networks.model import Model
from mfmi.networks.points import Points
from mfmi.networks.scales import LayerScales
from mfmi.networks.weights import Weights


def test_layers_that_are_alike_are_those_of_the_point() -> None:
    names = ["mean_field", "linear", "entropy_power"]
    wanted = evaluate_points(Points.of("tanh", 1.4, sigma_b=0.2, noise_at="every"), [1, 2, 4], names)
    point = Points.of("tanh", 1.0, sigma_b=1.0, noise_at="every")
    found = evaluate_points(point, [1, 2, 4], names, model=Model(scales=LayerScales((1.4,) * 4, (0.2,) * 4)))
    numbers = [name for name, values in wanted.items() if values.dtype == np.float64]
    assert len(numbers) > 15
    for name in numbers:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-10, err_msg=name)
    for name in wanted.keys() - set(numbers):
        assert list(found[name]) == list(wanted[name]), name


def test_lengths_follow_the_map_with_the_scales_of_each_layer() -> None:
    phi = get("relu")
    path = trajectory(phi, [[2.0, 0.5, 3.0]], [[0.1, 0.0, 0.2]], 0.0, 1.5, 0.5, 3)
    # relu: V(q) = q / 2
    np.testing.assert_allclose(path.q[0], [3.1, 0.775, 0.775 * 1.5 + 0.2], rtol=1e-12)
    # the slope is that of the block after the layer, of the last its own
    np.testing.assert_allclose(path.chi[0], [0.25, 1.5, 1.5], rtol=1e-12)


def test_the_jacobian_multiplies_the_scales() -> None:
    phi = get("linear")
    w2 = np.array([[2.0, 0.5, 3.0]])
    mean, variance = jacobian_moments(phi, trajectory(phi, w2, 0.0, 0.0, 1.0, 0.0, 3), w2, "gaussian")
    np.testing.assert_allclose(mean[0], [2.0, 1.0, 3.0], rtol=1e-12)
    np.testing.assert_allclose(variance[0], [4.0, 2.0, 27.0], rtol=1e-12)


@pytest.mark.parametrize("estimator", ["linear", "layerwise", "gaussian_upper", "replica", "entropy_power"])
def test_rotations_carry_the_product_of_their_scales(estimator: str) -> None:
    points = Points.of("linear", 1.0, weights="orthogonal", sigma_noise=0.3)
    model = Model(scales=LayerScales((0.5, 2.0, 0.7), (0.0, 0.0, 0.0)))
    found = evaluate_points(points, [1, 2, 3], [estimator], model=model)[f"mi_{estimator}"]
    gains = np.cumprod(np.square([0.5, 2.0, 0.7]))
    np.testing.assert_allclose(found, 0.5 * np.log1p(gains / 0.09), rtol=1e-9)


def test_matrices_of_their_own_singular_values_and_scales() -> None:
    rng = np.random.default_rng(0)
    first, second = (
        rng.normal(size=(300, 200)) * 0.1,
        rng.normal(size=(100, 300)) * np.linspace(0.01, 0.2, 100)[:, None],
    )
    model = Model(
        alpha=(1.5, 1.0 / 3.0),
        weights=(Weights.from_layers([Weights.from_matrix(first), Weights.from_matrix(second)]),),
        scales=LayerScales(tuple(np.sqrt(np.mean(m**2) * m.shape[1]) for m in (first, second)), (0.0, 0.0)),
    )
    points = Points.of("linear", 1.0, weights=[model.weights[0].label], sigma_noise=0.2)
    found = evaluate_points(points, [1, 2], ["linear"], model=model)["mi_linear"]
    exact = []
    for product in (first, second @ first):
        exact.append(0.5 * np.linalg.slogdet(np.eye(len(product)) + product @ product.T / 0.04)[1] / 200)
    assert found[0] == pytest.approx(exact[0], rel=1e-9)
    assert found[1] == pytest.approx(exact[1], rel=5e-3)


def test_rows_have_the_scales_and_the_phase_of_their_layer() -> None:
    model = Model(scales=LayerScales((0.3, 1.0), (1.0, 2.0)))
    found = evaluate_points(Points.of("tanh", 2.0, sigma_b=0.1), [1, 2], [], model=model)
    np.testing.assert_allclose(found["sigma_w"], [0.6, 2.0])
    np.testing.assert_allclose(found["sigma_b"], [0.1, 0.2])
    assert list(found["phase"]) == ["ordered", "chaotic"]


@pytest.mark.parametrize(
    ("weights", "biases"), [((), ()), ((1.0,), (1.0, 1.0)), ((-1.0,), (0.0,)), ((np.inf,), (0.0,)), ((1.0,), (np.nan,))]
)
def test_scales_that_are_none(weights: tuple[float, ...], biases: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="scales of layers must be"):
        LayerScales(weights, biases)


def test_a_deeper_layer_than_there_are_scales_is_refused() -> None:
    with pytest.raises(ValueError, match="depth must be at most 2"):
        evaluate_points(Points.of(), [3], [], model=Model(scales=LayerScales((1.0, 1.0), (0.0, 0.0))))
