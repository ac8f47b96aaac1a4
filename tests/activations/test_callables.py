"""Functions given themselves in place of a name."""

import math
import pickle

import numpy as np
import pytest

import mfmi

POINT = {"sigma_w": 1.5, "depth": 3, "estimators": ["linear", "gaussian_upper"]}


def test_a_ufunc_is_as_good_as_a_name():
    rows, wanted = mfmi.evaluate(np.tanh, **POINT), mfmi.evaluate("tanh", **POINT)
    assert rows.activation[0] == "numpy:tanh"
    numbers = wanted.select_dtypes("number").columns.intersection(["q", "c", "chi_1", "mi_linear", "mi_upper"])
    np.testing.assert_allclose(rows[numbers], wanted[numbers], rtol=1e-6)
    assert mfmi.activation("numpy:tanh") == mfmi.activation(np.tanh)
    assert mfmi.fixed_point(np.tanh, sigma_w=1.5).q_star == pytest.approx(
        mfmi.fixed_point("tanh", sigma_w=1.5).q_star, rel=1e-9
    )
    assert mfmi.edge_of_chaos(np.tanh, sigma_b=[0.1]).sigma_w == pytest.approx(
        mfmi.edge_of_chaos("tanh", sigma_b=[0.1]).sigma_w, rel=1e-7
    )


def test_lambdas_and_closures_are_told_apart():
    def scaled(factor):
        return lambda u: np.tanh(factor * u)

    once, twice, again = (mfmi.activation(scaled(factor)) for factor in (1.0, 2.0, 1.0))
    assert once.name != twice.name
    assert once == again
    for phi, factor in ((once, 1.0), (twice, 2.0)):
        assert phi(0.5) == np.tanh(factor * 0.5)
        assert mfmi.activation(phi.name)(0.5) == phi(0.5)
    rows = mfmi.evaluate([scaled(1.0), scaled(2.0)], sigma_w=1.5, depth=2, estimators=["linear"])
    assert rows.activation.tolist() == [once.name, twice.name]
    wanted = mfmi.evaluate("tanh", sigma_w=[1.5, 3.0], depth=1, estimators=["linear"])
    assert rows.q[0] == pytest.approx(2.25 * float(mfmi.activation("tanh").second_moment(2.25)), rel=1e-9)
    assert rows.q[1] == pytest.approx(2.25 * float(mfmi.activation("tanh").second_moment(9.0)), rel=1e-9)
    assert wanted.q.tolist() == [2.25, 9.0]


def test_what_only_this_process_knows_says_so():
    phi = mfmi.activation(lambda u: np.tanh(u) + 0.1 * u)
    with pytest.raises(ValueError, match=r"known to this process only.*module:function"):
        pickle.dumps(phi)


@pytest.mark.parametrize("function", [math.tanh, lambda u: 1.0 if u > 0 else 0.0])
def test_a_function_of_scalars_is_told_how(function):
    with pytest.raises(ValueError, match=r"is not vectorised.*numpy functions of arrays"):
        mfmi.evaluate(function, **POINT)


def test_what_is_no_activation_is_refused():
    with pytest.raises(ValueError, match="a name, a vectorised function or an activation"):
        mfmi.activation(3)
