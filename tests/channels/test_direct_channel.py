"""The exact channel without a table: against closed forms, the older quadrature and its own differences."""

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.channels.exact.channel import exact_channel
from mfmi.channels.exact.direct import FINE, ROUGH, SECOND, can_be_direct, direct_channel
from mfmi.channels.layers import Direct
from mfmi.processes.machine_code import version

pytestmark = pytest.mark.skipif(version() is None, reason="without numba there are tables alone")

# Precision times inner variance, its share of the whole, and the whole: broad and narrow offsets, weak and strong.
PLACES = np.array([(0.02, 0.9, 0.3), (3.0, 0.4, 1.5), (60.0, 0.15, 4.0), (8.0, 1e-3, 2.0), (500.0, 1.0, 1.0)])


def places() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    signal, share, s = PLACES.T
    return signal / (share * s), share * s, s


def test_linear_units_have_a_closed_form() -> None:
    r, tau, s = places()
    found = direct_channel(get("linear"), r, tau, s, FINE)
    rest = 1.0 / (1.0 + r * tau)
    expected = (0.5 * np.log1p(r * tau), tau * rest, r * rest, -((tau * rest) ** 2), rest**2, -((r * rest) ** 2))
    for part, true in zip(found, (*expected, rest, rest), strict=True):
        np.testing.assert_allclose(part, true, rtol=2e-9)


@pytest.mark.parametrize("name", ["tanh", "gelu", "hard_tanh", "cos"])
def test_the_older_quadrature_agrees(name: str) -> None:
    r, tau, s = places()
    second, found = (direct_channel(get(name), r, tau, s, rule) for rule in (SECOND, FINE))
    true = exact_channel(get(name), r, tau, s, order=10)
    assert np.all(np.abs(found.j - true.j) <= np.abs(found.j - second.j) + 1e-9 * true.j)
    assert np.all(np.abs(found.j - second.j) <= 1e-6 * true.j)
    np.testing.assert_allclose(found.e, true.e, rtol=1e-6)
    np.testing.assert_allclose(found.a, true.a, rtol=1e-5, atol=1e-20)
    np.testing.assert_allclose(found.rest_r, 1.0 - r * true.e, atol=1e-6)
    np.testing.assert_allclose(found.rest_tau, 1.0 - tau * true.a, atol=1e-6)


@pytest.mark.parametrize("name", ["tanh", "selu"])
def test_derivatives_are_those_of_j(name: str) -> None:
    r, tau, s = (part[:4] for part in places())
    step = 1e-3
    here = direct_channel(get(name), r, tau, s, FINE)
    above, below = (direct_channel(get(name), r * np.exp(d), tau, s, FINE) for d in (step, -step))
    np.testing.assert_allclose(here.e * r, (above.j - below.j) / step, rtol=2e-5)
    np.testing.assert_allclose(here.e_r * r, (above.e - below.e) / (2.0 * step), rtol=2e-5)
    above, below = (direct_channel(get(name), r, tau * np.exp(d), s, FINE) for d in (step, -step))
    np.testing.assert_allclose(here.a * tau, (above.j - below.j) / step, rtol=2e-5)
    np.testing.assert_allclose(here.e_v * tau, (above.e - below.e) / (2.0 * step), rtol=2e-5)
    np.testing.assert_allclose(here.a_v * tau, (above.a - below.a) / (2.0 * step), rtol=2e-4)


def test_without_an_observation_nothing_is_known() -> None:
    tau, s = np.array([0.3, 1e-6]), np.ones(2)
    blind, faint = (direct_channel(get("tanh"), np.full(2, r), tau, s, FINE) for r in (0.0, 1e-12))
    assert not blind.j.any()
    assert not blind.a.any()
    np.testing.assert_allclose(blind.e, faint.e, rtol=1e-9)
    np.testing.assert_allclose(faint.j, 0.5e-12 * faint.e, rtol=1e-9)
    np.testing.assert_allclose(blind.e_v, faint.a / 1e-12, rtol=1e-6)
    np.testing.assert_allclose(blind.rest_r, 1.0)


def test_a_value_does_not_depend_on_its_neighbours() -> None:
    r, tau, s = places()
    together = np.array(direct_channel(get("gelu"), r, tau, s, ROUGH))
    one_by_one = zip(r[:, None], tau[:, None], s[:, None], strict=True)
    alone = np.hstack([direct_channel(get("gelu"), *place, ROUGH) for place in one_by_one])
    np.testing.assert_array_equal(together, alone)


def test_what_is_no_number_has_no_value() -> None:
    bad = np.array([np.nan, 1.0, 1.0, 1e30])
    found = direct_channel(get("tanh"), bad, np.array([1.0, 0.0, 2.0, 1.0]), np.ones(4), ROUGH)
    assert all(np.isnan(part[:3]).all() for part in found[:6])
    assert np.isnan(found.j[3])


def test_steps_and_homogeneous_functions_have_small_tables() -> None:
    assert [can_be_direct(get(name)) for name in ("relu", "leaky_relu", "abs", "sign")] == [False] * 4
    assert all(can_be_direct(get(name)) for name in ("tanh", "hard_tanh", "selu", "hardshrink"))


def test_an_inner_variance_too_small_to_be_resolved_has_an_error() -> None:
    """The second rule tells J alone, except where its slopes carry it on to smaller variances."""
    total, wide, faint = np.full((1, 2), 1.5), np.array([[1e-2, 1e-12]]), np.array([[1e-25, 1e-40]])
    r = np.array([[3.0, 1e3]])
    channel = Direct(get("sigmoid"), total, np.zeros((1, 1)), np.ones((1, 2), dtype=bool), FINE)
    for v in (wide, faint):
        information, error = channel.information(r, v), channel.error(r, v)
        assert np.all(information > 0.0)
        assert np.all((error >= 0.0) & (error <= 1e-5 * information))
    # Of first order in the inner variance.
    np.testing.assert_allclose(information / faint, 0.5 * channel.derivatives(r, faint).a, rtol=1e-8)
