"""Moments against public tables of 25 digits."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from mfmi import activations

DATA = Path(__file__).parents[1] / "data"

# Names of the public tables that are spelt otherwise here.
SPELLING = {"leaky_relu_0.1": "leaky_relu(0.1)"}


def load(name):
    return json.loads((DATA / name).read_text())


PUBLIC = load("gaussian_moments.json")["references"]
OWN = load("activation_moments.json")["references"]
KERNELS = load("pair_kernels.json")["cases"]


def accuracy(phi, moment):
    return 1e-12 if moment in phi.closed else 1e-10


def public_value(phi, row):
    q = float(row["q"])
    quantity = row["quantity"]
    if quantity == "k1":
        value, error = phi.with_error("conditional", 0.0, q)
        return value.kappa, error.kappa, "conditional"
    moment, arguments = {
        "V": ("second_moment", (q,)),
        "D1": ("slope_moment", (q,)),
        "E_log_dphi2": ("log_slope", (q,)),
        "E_phi_phi": ("correlation", (q, q * float(row.get("c", 0.0)))),
        "E_dphi_dphi": ("slope_correlation", (q, q * float(row.get("c", 0.0)))),
    }[quantity]
    return *phi.with_error(moment, *arguments), moment


@pytest.mark.parametrize("name", sorted({row["activation"] for row in PUBLIC}))
def test_public_moments(name):
    phi = activations.get(SPELLING.get(name, name))
    rows = [row for row in PUBLIC if row["activation"] == name]
    assert len(rows) >= 10
    for row in rows:
        value, error, moment = public_value(phi, row)
        exact = float(row["value"])
        if math.isinf(exact):
            assert value == exact, row
        else:
            assert abs(value - exact) <= accuracy(phi, moment) * abs(exact), row
            assert abs(value - exact) <= error, (row, error)


@pytest.mark.parametrize("name", sorted({row["activation"] for row in OWN}))
def test_moments_of_the_definitions_of_libraries(name):
    """Values of data/make_activation_moments.py, at variances from 1e-4 to 1e4; pairs have 15 digits there."""
    phi = activations.get(name)
    rows = [row for row in OWN if row["activation"] == name]
    assert len(rows) >= 10
    for row in rows:
        value, error, moment = public_value(phi, row)
        exact = float(row["value"])
        if math.isinf(exact):
            assert value == exact, row
            continue
        size = max(abs(exact), 1e-3) if "c" in row else abs(exact)
        assert abs(value - exact) <= accuracy(phi, moment) * size, (row, value)
        assert abs(value - exact) <= error + 1e-14 * size * ("c" in row), (row, value, error)


def test_the_table_of_definitions_covers_what_came_later():
    covered = {row["activation"].partition("(")[0] for row in (*PUBLIC, *OWN)} | {"celu"}
    ours = {name.partition("(")[0] for name in activations.names()} - {"cos", "sign", "abs", "hard_tanh", "linear"}
    assert ours <= covered | {"leaky_relu"}
    assert len(OWN) > 300


def test_the_public_table_covers_every_moment():
    assert len(PUBLIC) > 500
    assert {row["quantity"] for row in PUBLIC} == {"V", "D1", "k1", "E_log_dphi2", "E_phi_phi", "E_dphi_dphi"}


# ---- kernels of whole networks ------------------------------------------------------------------------------------

ERF_SCALE = 0.5 * math.sqrt(math.pi)
SIGMOID_LIKE_SCALE = 1.0 / 2.4020563531719796


def scaled_erf(scale, factor, offset):
    phi = activations.get("erf")
    return lambda s, k: offset**2 + factor**2 * phi.correlation(scale**2 * s, scale**2 * k)


def shifted_sine(shift):
    sine, cosine = activations.get("sin"), activations.get("cos")
    return lambda s, k: math.cos(shift) ** 2 * sine.correlation(s, k) + math.sin(shift) ** 2 * cosine.correlation(s, k)


def two_slopes(left, right):
    """Slopes of any sign from relu: left u + (right - left) relu(u), through K of relu and of its mirror image."""
    relu = activations.get("relu")

    def kernel(s, k):
        mixed = k / 2.0 - relu.correlation(s, k)
        return (left**2 + right**2) * relu.correlation(s, k) + 2.0 * left * right * mixed

    return kernel


KERNEL_OF = {
    "Relu": activations.get("relu").correlation,
    "LeakyRelu(0.1)": activations.get("leaky_relu(0.1)").correlation,
    "ABRelu(-0.5,1.5)": two_slopes(-0.5, 1.5),
    "Abs": activations.get("abs").correlation,
    "Erf": activations.get("erf").correlation,
    "Erf(1,sqrt(pi)/2,0)": scaled_erf(ERF_SCALE, 1.0, 0.0),
    "Sigmoid_like": scaled_erf(SIGMOID_LIKE_SCALE, 0.5, 0.5),
    "Gelu": activations.get("gelu").correlation,
    "Sin": activations.get("sin").correlation,
    "Sin(1,1,0.3)": shifted_sine(0.3),
    "Cos": activations.get("cos").correlation,
    "Identity": activations.get("linear").correlation,
}


@pytest.mark.parametrize("case", KERNELS, ids=lambda case: f"{case['activation']}-{case['W_std']:.1f}")
def test_kernels_of_deep_networks(case):
    kernel = KERNEL_OF[case["activation"]]
    q, k = np.array(case["q1"], dtype=np.float64), np.array(case["nngp"], dtype=np.float64)
    w2, b2 = case["W_std"] ** 2, case["b_std"] ** 2
    np.testing.assert_allclose(w2 * kernel(q[:-1], q[:-1]) + b2, q[1:], rtol=1e-12)
    np.testing.assert_allclose(w2 * kernel(q[:-1], k[:-1]) + b2, k[1:], rtol=1e-11, atol=1e-15)
