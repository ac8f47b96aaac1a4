"""Tables of pair moments: errors told and kept, the same numbers whatever was asked before."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from activation_choice import chosen
from scipy.special import ndtr

from mfmi import activations
from mfmi.activations import Activation
from mfmi.activations._arguments import MOMENTS
from mfmi.activations._pairs import _direct
from mfmi.activations._tables import DECORRELATION, PairTable

TABULATED = tuple(name for name in activations.names() if activations.get(name).tabulated)

PROGRAM = """
import numpy as np
from mfmi import activations
phi = activations.get("tanh")
if {first}:
    phi.decorrelation(np.array([5.0, 0.2, 40.0]), 0.1)
    phi.correlation(0.3, -0.1)
s = np.linspace(0.01, 3.0, 40)
print(phi.decorrelation(s, 0.3 * s).tobytes().hex(), phi.correlation(s, -0.9 * s).tobytes().hex())
"""


def points(count, seed):
    rng = np.random.default_rng(seed)
    s = 10.0 ** rng.uniform(-5.0, 2.0, count)
    return s, 2.0 * s * rng.uniform(0.0, 1.0, count) ** 3


def test_tables_serve_the_activations_without_closed_pair_moments():
    own = {"tanh", "hard_tanh", "softplus", "elu", "selu", "silu"}
    own |= {"mish", "gelu_tanh", "hard_swish", "relu6", "softsign", "tanhshrink"}
    shared = {"sigmoid", "quick_gelu", "hard_sigmoid", "logsigmoid", "softshrink"}
    assert set(TABULATED) == own | shared


@pytest.mark.thorough
@pytest.mark.parametrize("name", chosen(TABULATED))
def test_errors_told_bound_the_errors_made(name):
    phi = activations.get(name)
    s, gap = points(60, 1)
    power = phi.second_moment(s)
    for moment, x, size in (
        ("decorrelation", gap, 0.0),
        ("slope_correlation_gap", gap, phi.slope_moment(s)),
        ("correlation", s - gap, power),
    ):
        value, error = phi.with_error(moment, s, x)
        fine = _direct(phi, moment, s, x, 2.0)
        scale = np.maximum(np.abs(fine), size)
        assert np.all(np.abs(value - fine) <= error + 1e-14 * scale), moment
        assert np.all(np.abs(value - fine) <= 1e-10 * scale), moment
        assert np.all(error <= 1e-9 * scale), moment


@pytest.mark.parametrize("name", chosen(name for name in activations.names() if name != "linear"))
def test_errors_told_are_not_zero(name):
    phi = activations.get(name)
    for moment, arguments in (("second_moment", (2.0,)), ("correlation", (2.0, 1.0)), ("decorrelation", (2.0, 1.0))):
        assert phi.with_error(moment, *arguments)[1] > 0.0
    assert phi.with_error("conditional", 0.3, 0.5)[1].variance > 0.0


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_error_comes_with_the_value_of_the_method_of_that_name(moment):
    phi = activations.get("gelu")
    arguments = (1.3,) if moment in MOMENTS[:4] else (1.3, 0.7)
    value, error = phi.with_error(moment, *arguments)
    assert value == getattr(phi, moment)(*arguments)
    assert (error.variance if moment == "conditional" else error) > 0.0


def test_an_unknown_moment_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"moment must be one of second_moment, .*got 'third_moment'"):
        activations.get("tanh").with_error("third_moment", 1.0)


def test_coarse_rules_tell_larger_errors(monkeypatch):
    """The estimate follows the error: with a fifth of the nodes both grow, and the one stays above the other."""
    phi = activations.get("tanh")
    s = np.array([0.5, 3.0, 20.0])
    exact = phi.second_moment(s)
    ordinary = Activation._second_moment

    def coarse(self, s, refine=1.0):
        return ordinary(self, s, 0.2 * refine)

    monkeypatch.setattr(Activation, "_second_moment", coarse)
    value, error = phi.with_error("second_moment", s)
    assert np.all(np.abs(value - exact) > 1e-10 * exact)
    assert np.all(error >= np.abs(value - exact))


@pytest.mark.thorough
def test_values_do_not_depend_on_what_was_asked_before():
    outcomes = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM.format(first=first)],
            capture_output=True,
            text=True,
            check=True,
            env={"OPENBLAS_NUM_THREADS": threads, "PATH": ""},
        ).stdout
        for first, threads in ((True, "1"), (False, "2"))
    }
    assert len(outcomes) == 1


@pytest.mark.parametrize("name", chosen(activations.names()))
def test_values_do_not_depend_on_neighbours(name):
    """To the last bit: a row of `bound` is the row of a sweep."""
    phi = activations.get(name)
    s, gap = points(40, 2)
    for moment, arguments in (
        ("decorrelation", (s, gap)),
        ("correlation", (s, s - gap)),
        ("slope_correlation_gap", (s, gap)),
        ("second_moment", (s,)),
        ("slope_moment", (s,)),
        ("conditional_log_slope", (s - gap, gap)),
    ):
        together = getattr(phi, moment)(*arguments)
        alone = [getattr(phi, moment)(*row) for row in zip(*arguments, strict=True)]
        np.testing.assert_array_equal(alone, together, err_msg=moment)
    together = phi.conditional(s - gap, gap)
    alone = [phi.conditional(*row) for row in zip(s - gap, gap, strict=True)]
    for part in ("mean", "variance", "kappa", "residual"):
        np.testing.assert_array_equal([getattr(row, part) for row in alone], getattr(together, part), err_msg=part)


def test_an_inaccurate_tile_is_not_used(monkeypatch):
    phi = activations.get("tanh")
    monkeypatch.setattr("mfmi.activations._tables._WANTED", 1e-20)
    table = PairTable(phi)
    value, error = table.evaluate(np.array([1.0]), np.array([0.1]), DECORRELATION)
    assert np.isnan(value[0])
    assert np.isnan(error[0])
    monkeypatch.setattr("mfmi.activations._pairs.pair_table", lambda _: table)
    by_quadrature, told = phi.with_error("decorrelation", 1.0, 0.1)
    monkeypatch.undo()
    assert by_quadrature == pytest.approx(phi.decorrelation(1.0, 0.1), rel=1e-10)
    assert told > 0.0


def test_far_scales_are_left_to_quadrature():
    value, error = PairTable(activations.get("tanh")).evaluate(np.array([1e20]), np.array([1.0]), DECORRELATION)
    assert np.isnan(value[0])
    assert np.isnan(error[0])
    phi = activations.get("tanh")
    # Saturated: two inputs of correlation c differ in sign with probability arccos(c) / pi.
    assert phi.decorrelation(1e20, 1e20) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["softplus", "silu", "elu", "selu", "gelu"])
def test_at_immense_variances_they_are_relu(name):
    """Unbounded networks come this far; the values must stay right, and the error told must cover the replacement."""
    phi, relu = activations.get(name), activations.get("relu")
    s = 10.0 ** np.arange(10.0, 40.0, 4.0)[:, None]
    gap = s * np.array([1e-9, 1e-3, 0.4, 1.0, 1.6])
    slope = phi.slope_moment(1e60) / relu.slope_moment(1.0)
    value, error = phi.with_error("decorrelation", s, gap)
    np.testing.assert_allclose(value, slope * relu.decorrelation(s, gap), rtol=1e-3)
    np.testing.assert_allclose(value[4:], slope * relu.decorrelation(s, gap)[4:], rtol=1e-8)
    assert np.all(error < 1e-6 * value)
    edge = (1e8 * phi.pole) ** 2
    below, above = phi.decorrelation(np.array([[0.99], [1.01]]) * edge, np.array([0.1, 1.3]) * edge)
    np.testing.assert_allclose(above / 1.01, below / 0.99, rtol=3e-2)
    np.testing.assert_allclose(
        phi.slope_correlation_gap(1.01 * edge, 0.2 * edge),
        phi.slope_correlation_gap(0.99 * edge, 0.198 * edge),
        rtol=1e-2,
    )


def test_pairs_against_forty_digits():
    """Small gaps keep their relative accuracy, and the error told holds (values of data/make_decorrelations.py)."""
    rows = json.loads((Path(__file__).parents[1] / "data" / "decorrelations.json").read_text())["rows"]
    assert min(float(row["gap"]) / float(row["s"]) for row in rows) <= 1e-10
    for row in rows:
        phi, s, gap = activations.get(row["activation"]), float(row["s"]), float(row["gap"])
        for moment, key in (("decorrelation", "decorrelation"), ("slope_correlation_gap", "slope_correlation")):
            value, error = phi.with_error(moment, s, gap)
            exact = float(row[key])
            assert abs(value - exact) <= 1e-10 * abs(exact), (row, value)
            assert abs(value - exact) <= error, (row, error)


def test_slopes_of_a_pair_among_immense_biases():
    """Two inputs with unit noise of their own see the same inside with a probability that falls like 1 / sigma_b."""
    deviation = np.array([1e6, 1e10, 1e19, 1e25, 1e50])
    found = activations.get("hard_tanh").slope_correlation_gap(deviation**2, np.ones(5))
    inside = np.diff(ndtr(np.array([[-1.0], [1.0]]) - np.linspace(-12.0, 12.0, 2001)), axis=0)[0]
    law = np.sum(inside**2) * 0.012 / np.sqrt(2.0 * np.pi)
    np.testing.assert_allclose(found * deviation, law, rtol=1e-10)
