"""A standard deviation as the number that the initialisers of libraries take."""

import math
from typing import Any

import numpy as np
import pytest

from mfmi.initialisers import arguments

SIZE = (700, 700)


def given(weights: str = "gaussian", sigma_w: float = 1.3) -> dict[str, float]:
    return {one.initialiser: one.value for one in arguments(sigma_w, 0.2, weights)}


def test_truncation_is_counted_in_where_the_library_does_not() -> None:
    found = given()
    assert {value for name, value in found.items() if "ariance" in name} == {1.3**2}
    # a standard normal cut at 2 has the standard deviation 0.87962566103423978 (scipy.stats.truncnorm(-2, 2).std())
    assert found["haiku.initializers.TruncatedNormal"] == pytest.approx(1.3 / 0.87962566103423978, rel=1e-12)


def test_kaiming_takes_the_slope_whose_gain_it_is() -> None:
    a = given()["torch.nn.init.kaiming_normal_"]
    assert math.sqrt(2.0 / (1.0 + a * a)) == pytest.approx(1.3, rel=1e-12)
    assert given(sigma_w=math.sqrt(2.0))["torch.nn.init.kaiming_uniform_"] == 0.0
    assert "torch.nn.init.kaiming_normal_" not in given(sigma_w=1.5)


def test_biases_are_named_where_there_are_any() -> None:
    assert all(one.condition != "biases" for one in arguments(1.3))
    assert given("orthogonal") == {
        "torch.nn.init.orthogonal_": 1.3,
        "keras.initializers.Orthogonal": 1.3,
        "jax.nn.initializers.orthogonal": 1.3,
        "haiku.initializers.Orthogonal": 1.3,
        "torch.nn.init.normal_": 0.2,
        "keras.initializers.RandomNormal": 0.2,
        "jax.nn.initializers.normal": 0.2,
        "haiku.initializers.RandomNormal": 0.2,
    }


def drawn(name: str, value: float) -> Any:
    """A matrix as the library draws it."""
    library, *_, function = name.split(".")
    module = pytest.importorskip(library)
    if library == "torch":
        init = getattr(module.nn.init, function)
        argument = {"kaiming": "a", "normal": "std"}.get(function.split("_")[0], "gain")
        return init(
            module.empty(SIZE), **{argument: value}, **({"nonlinearity": "leaky_relu"} if argument == "a" else {})
        )
    if library == "keras":
        fan_in = {"mode": "fan_in"} if function == "VarianceScaling" else {}
        argument = {"VarianceScaling": "scale", "Orthogonal": "gain"}.get(function, "stddev")
        return getattr(module.initializers, function)(**{argument: value}, **fan_in)(SIZE)
    jax = pytest.importorskip("jax")
    if library == "jax":
        fan_in = {"mode": "fan_in", "distribution": "truncated_normal"} if function == "variance_scaling" else {}
        return getattr(jax.nn.initializers, function)(value, **fan_in)(jax.random.key(0), SIZE)
    init = getattr(module.initializers, function)(value)
    return module.transform(lambda: module.get_parameter("w", SIZE, init=init)).init(jax.random.key(0))["~"]["w"]


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("library", ["torch", "keras", "jax", "haiku"])
def test_the_libraries_draw_what_was_asked_for(library: str, weights: str) -> None:
    pytest.importorskip(library)
    tried = 0
    for one in arguments(1.3, 0.2, weights):
        if one.initialiser.startswith(library):
            value = one.value / math.sqrt(SIZE[0]) if "sqrt" in one.argument else one.value
            values = np.asarray(drawn(one.initialiser, value), dtype=np.float64)
            wanted = 0.2 if one.condition == "biases" else 1.3 / math.sqrt(SIZE[0])
            assert values.std() == pytest.approx(wanted, rel=6e-3), one.initialiser
            tried += 1
    assert tried >= 2
