"""The exact scalar channel: exact laws, limits, an independent quadrature, and the closed bounds on either side."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_ndtr, ndtr

from mfmi import activations
from mfmi.channels.exact.channel import ChannelValue, channel_at_offset, exact_channel, exact_channel_with_error
from mfmi.quadrature.gaussian import offset_rule

CURVED = ("tanh", "erf", "sigmoid", "softplus", "elu", "gelu", "silu", "sin", "cos")
STRAIGHT = ("relu", "leaky_relu", "hard_tanh", "abs", "sign", "linear")

# r, tau, s: weak and strong signals, little and much known, small and large pre-activations
POINTS = np.array(
    [(0.3, 0.6, 1.0), (40.0, 0.02, 0.8), (2e3, 1.5, 2.0), (5.0, 30.0, 90.0), (1e-5, 0.4, 0.5), (3e6, 1e-4, 0.3)]
).T


def brute_force(phi, r, tau, s, steps=0.05, count=1201):
    """J by plain trapezoidal sums over omega, y and g: no panels, no closed forms, only for tame arguments."""
    z = np.arange(-8.0, 8.0 + steps, steps)
    law = np.exp(-0.5 * z * z) * steps / np.sqrt(2.0 * np.pi)
    total = 0.0
    for omega, share in zip(np.sqrt(s - tau) * z[::4], 4.0 * law[::4], strict=True):
        image = np.sqrt(r) * phi(omega + np.sqrt(tau) * z)
        y = np.linspace(image.min() - 8.0, image.max() + 8.0, count)
        density = np.exp(-0.5 * (y[:, None] - image) ** 2) @ law / np.sqrt(2.0 * np.pi)
        entropy = -np.sum(density * np.log(np.maximum(density, 1e-300))) * (y[1] - y[0])
        total += share * (entropy - 0.5 * np.log(2.0 * np.pi * np.e))
    return total


@pytest.mark.parametrize("name", ["tanh", "gelu", "softplus", "cos"])
@pytest.mark.parametrize(("r", "tau", "s"), [(3.0, 0.7, 1.2), (30.0, 0.3, 0.8)])
def test_it_is_the_plain_sum(name, r, tau, s):
    phi = activations.get(name)
    assert exact_channel(phi, r, tau, s).j == pytest.approx(brute_force(phi, r, tau, s), rel=2e-9)


@pytest.mark.thorough
@pytest.mark.parametrize("name", CURVED + STRAIGHT)
def test_remaining_variance_and_curvature_are_the_derivatives(name):
    """E = 2 dJ/dr and, with the law of the offset moving, A = 2 dJ/dtau: theory (9)."""
    phi, (r, tau, s), h = activations.get(name), POINTS if name in (*STRAIGHT, "tanh") else POINTS[:, :3], 1e-4
    value = exact_channel(phi, r, tau, s)
    in_r = exact_channel(phi, r * (1 + h), tau, s, moments=False).j - exact_channel(phi, r * (1 - h), tau, s).j
    in_tau = exact_channel(phi, r, tau * (1 + h), s, moments=False).j - exact_channel(phi, r, tau * (1 - h), s).j
    # at large r a step has nothing left to learn: E is far below the differences' rounding
    floor = 1e-10 * value.j / r
    assert np.all(np.abs(in_r / (r * h) - value.e) <= 1e-7 * value.e + floor)
    # an even function whose offset is all but known to be 0 has no curvature
    assert np.all(np.abs(in_tau / (tau * h) - value.a) <= 1e-6 * value.a + 1e-9 * value.j / tau)


def test_a_linear_channel_is_gaussian():
    r, tau, s = POINTS
    value = exact_channel(activations.get("linear"), r, tau, s)
    np.testing.assert_allclose(value.j, 0.5 * np.log1p(r * tau), rtol=1e-13)
    np.testing.assert_allclose(value.e, tau / (1.0 + r * tau), rtol=1e-13)
    np.testing.assert_allclose(value.a, r / (1.0 + r * tau), rtol=1e-13)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "abs"])
def test_a_homogeneous_activation_knows_no_scale(name):
    phi, (r, tau, s) = activations.get(name), POINTS
    np.testing.assert_allclose(exact_channel(phi, r, tau, s).j, exact_channel(phi, r * s, tau / s, 1.0).j, rtol=1e-11)


@pytest.mark.parametrize("name", CURVED + STRAIGHT)
def test_nothing_is_seen_at_precision_zero(name):
    phi = activations.get(name)
    value = exact_channel(phi, 0.0, [0.2, 0.9], 0.9)
    np.testing.assert_array_equal(value.j, 0.0)
    np.testing.assert_array_equal(value.a, 0.0)
    np.testing.assert_allclose(value.e, phi.decorrelation(0.9, [0.2, 0.9]), rtol=1e-9)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "erf", "softplus"])
def test_a_narrow_prior_sees_a_line(name):
    """J -> E ln(1 + r tau phi'^2) / 2 for tau -> 0 at fixed r tau."""
    phi, s, tau = activations.get(name), 1.3, 1e-10
    z = np.arange(-9.0, 9.0, 0.01)
    law = np.exp(-0.5 * z * z) * 0.01 / np.sqrt(2.0 * np.pi)
    for product in (1e-3, 1.0, 300.0):
        expected = 0.5 * np.sum(law * np.log1p(product * phi.derivative(np.sqrt(s) * z) ** 2))
        assert exact_channel(phi, product / tau, tau, s).j == pytest.approx(expected, rel=1e-7)


def test_a_step_ends_at_its_entropy():
    """An atom's information stays finite: J -> E_omega H(Phi(omega / sqrt(tau))) right from r = 100 on."""
    tau, s = 0.4, 1.1
    x = np.arange(-9.0, 9.0, 0.005) * np.sqrt((s - tau) / tau)
    law = np.exp(-0.5 * (x * np.sqrt(tau / (s - tau))) ** 2) * 0.005 / np.sqrt(2.0 * np.pi)
    entropy = np.sum(law * (-ndtr(x) * log_ndtr(x) - ndtr(-x) * log_ndtr(-x)))
    found = exact_channel(activations.get("sign"), [1e2, 1e6, 1e12], tau, s)
    np.testing.assert_allclose(found.j, entropy, rtol=1e-12)
    assert np.all(found.e < 1e-20)


def test_the_equivocation_of_a_step_meets_the_quadrature_over_y():
    """Two routes to one number: the sum over log odds (r >= 1) joins the sum over y (r < 1) without a step."""
    phi = activations.get("sign")
    below, above = (exact_channel(phi, r, 0.5, 1.0) for r in (1.0 - 1e-12, 1.0 + 1e-12))
    np.testing.assert_allclose(below, above, rtol=1e-10)


@pytest.mark.parametrize("name", ["relu", "hard_tanh"])
def test_what_is_not_flat_grows_with_the_logarithm(name):
    """The slope dJ / d ln r -> P(phi not flat) / 2, atoms keeping their finite share."""
    phi, tau, s = activations.get(name), 0.3, 0.8
    moving = 0.5 if name == "relu" else ndtr(1.0 / np.sqrt(s)) - ndtr(-1.0 / np.sqrt(s))
    r = np.array([1e11, 1e12])
    value = exact_channel(phi, r, tau, s)
    np.testing.assert_allclose(0.5 * r * value.e, 0.5 * moving, rtol=1e-3)
    assert value.j[1] - value.j[0] == pytest.approx(0.5 * moving * np.log(10.0), rel=1e-3)


def closed_bounds(phi, r, tau, s):
    """Theory (15), (16) and, where it applies, (17)."""
    omega, weight = (a[0] for a in offset_rule(np.array([s - tau]), np.sqrt([tau]), phi.kinks, min(phi.pole, 1.0)))
    moments = phi.conditional(omega, tau)
    upper = 0.5 * np.sum(weight * np.log1p(r * moments.variance))
    signal = moments.kappa**2 * tau
    lower = [0.5 * np.sum(weight * np.log1p(r * signal / (1.0 + r * moments.residual)))]
    if phi.pieces and phi.images_disjoint and any(piece.kind != "flat" for piece in phi.pieces):
        share, power = phi.entropy_powers(omega, tau)
        lower.append(0.5 * np.sum(weight[:, None] * share * np.log1p(r * power)))
    return upper, lower


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from([name for name in CURVED + STRAIGHT if name not in ("sin", "cos")]),
    st.floats(-3.0, 5.0),
    st.floats(-1.5, 1.0),
    st.floats(-3.0, 0.0),
)
def test_the_closed_bounds_lie_on_either_side(name, log_r, log_s, log_share):
    """(15) >= (14) >= (16), (17)."""
    phi, r, s = activations.get(name), 10.0**log_r, 10.0**log_s
    tau = s * 10.0**log_share
    found = exact_channel_with_error(phi, r, tau, s, order=6)
    upper, lower = closed_bounds(phi, r, tau, s)
    slack = float(found.error.j) + 1e-9 * float(found.value.j)
    assert upper >= float(found.value.j) - slack
    for bound in lower:
        assert bound <= float(found.value.j) + slack


@pytest.mark.parametrize("name", ["tanh", "relu", "hard_tanh", "sign", "gelu"])
def test_information_grows_and_bends_as_it_must(name):
    """More precision and less knowledge beforehand mean more information; it is concave in r; E <= the prior's."""
    phi = activations.get(name)
    r = np.array([0.1, 1.0, 10.0, 100.0])
    value = exact_channel(phi, r[:, None], np.array([0.1, 0.4, 0.7, 1.0]), 1.0)
    assert np.all(np.diff(value.j, axis=0) > 0.0)
    assert np.all(np.diff(value.j, axis=1) > 0.0)
    assert np.all(np.diff(value.e, axis=0) < 0.0)
    assert np.all(value.e <= phi.decorrelation(1.0, np.array([0.1, 0.4, 0.7, 1.0])))
    assert np.all(2.0 * value.j <= np.log1p(r[:, None] * phi.decorrelation(1.0, np.array([0.1, 0.4, 0.7, 1.0]))))


@pytest.mark.parametrize(
    "name",
    [
        "tanh",
        "erf",
        *STRAIGHT,
        *(pytest.param(name, marks=pytest.mark.slow) for name in CURVED if name not in ("tanh", "erf")),
    ],
)
@pytest.mark.parametrize("tau", [1e-12, 1e-3, 1.0])
def test_the_two_rules_agree_over_the_whole_range(name, tau):
    r = np.array([1e-6, 1.0, 1e4, 1e12])
    found = exact_channel_with_error(activations.get(name), r, tau, max(tau, 0.7))
    # what lies below 1e-15 nats is rounding, and the estimate says so
    assert np.all(found.error.j <= 1e-8 * found.value.j + 1e-24)
    assert np.all(found.error.e <= 1e-6 * found.value.e)


def test_the_error_estimate_covers_the_error():
    phi = activations.get("hard_tanh")
    r, tau, s = POINTS
    best = exact_channel(phi, r, tau, s, order=24)
    rough = exact_channel_with_error(phi, r, tau, s, order=2)
    assert np.max(rough.error.j / best.j) > 1e-7
    assert np.all(np.abs(rough.value.j - best.j) <= rough.error.j)


def test_offsets_together_or_alone_give_the_same():
    phi = activations.get("tanh")
    omega = np.linspace(-0.4, 0.9, 5)
    together = channel_at_offset(phi, np.array([[20.0]]), np.array([[0.5]]), omega[None, :])
    alone = channel_at_offset(phi, np.full((5, 1), 20.0), np.full((5, 1), 0.5), omega[:, None])
    assert len(together) == len(alone) > 1
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one[0, 0, 0], other[:, 0, 0, 0], rtol=1e-10)


def test_shapes_broadcast():
    value = exact_channel(activations.get("relu"), np.ones((3, 1)), 0.5, np.array([1.0, 2.0]))
    assert isinstance(value, ChannelValue)
    assert {part.shape for part in value} == {(3, 2)}
    assert exact_channel(activations.get("relu"), np.ones(0), 0.5, 1.0).j.shape == (0,)


@pytest.mark.parametrize(
    ("r", "tau", "s", "name"),
    [
        (-1.0, 0.5, 1.0, "r"),
        (np.inf, 0.5, 1.0, "r"),
        (1.0, 0.0, 1.0, "tau"),
        (1.0, 0.5, 0.4, "s"),
        (1.0, 1.0, np.nan, "s"),
    ],
)
def test_bad_arguments_are_named(r, tau, s, name):
    with pytest.raises(ValueError, match=rf"^{name} is out of range"):
        exact_channel(activations.get("tanh"), r, tau, s)


@pytest.mark.parametrize("name", ["tanh", "gelu", "selu", "cos"])
@pytest.mark.parametrize("largest", [30.0, 1e5])
def test_precisions_and_variances_of_a_row_share_their_work_alone(name, largest):
    """Panels in x for the largest precision and the least variance serve the others: short images and long ones."""
    phi = activations.get(name)
    r, tau, omega = largest * np.array([[0.25, 0.4, 1.0]]), np.array([[0.1, 0.17, 0.4]]), np.array([[-0.3, 0.1, 6.0]])
    together = channel_at_offset(phi, r, tau, omega)
    every = (a.reshape(-1, 1) for a in np.broadcast_arrays(r.reshape(3, 1, 1), tau.reshape(3, 1), omega[0]))
    alone = channel_at_offset(phi, *every)
    for one, other, scale in zip(together, alone, (1.0, 1.0 / largest, largest), strict=True):
        assert one.shape == (1, 3, 3, 3)
        np.testing.assert_allclose(one.ravel(), other.ravel(), rtol=1e-9, atol=1e-12 * scale)


@pytest.mark.parametrize("precision", [3e2, 1e7])
def test_a_long_image_is_a_sum_over_the_posterior(precision):
    """J of an almost invertible channel from its density of y by plain sums over a fine grid of x."""
    phi, tau = activations.get("softplus"), 0.8
    x = 0.3 + np.sqrt(tau) * np.arange(-9.0, 9.0, 1e-5 if precision > 1e4 else 1e-3)
    law = np.exp(-0.5 * (x - 0.3) ** 2 / tau) * (x[1] - x[0]) / np.sqrt(2.0 * np.pi * tau)
    image = np.sqrt(precision) * phi(x)
    y = np.linspace(image[0] - 9.0, image[-1] + 9.0, 6001)
    density = np.zeros_like(y)
    for at, value in enumerate(y):
        start, end = np.searchsorted(image, [value - 9.0, value + 9.0])
        density[at] = np.sum(law[start:end] * np.exp(-0.5 * (value - image[start:end]) ** 2)) / np.sqrt(2.0 * np.pi)
    entropy = -np.sum(density * np.log(np.maximum(density, 1e-300))) * (y[1] - y[0])
    found = channel_at_offset(phi, np.array([[precision]]), np.array([[tau]]), np.array([[0.3]])).j
    assert float(found[0, 0, 0, 0]) == pytest.approx(entropy - 0.5 * np.log(2.0 * np.pi * np.e), rel=1e-8)
