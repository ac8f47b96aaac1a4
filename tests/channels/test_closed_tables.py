"""Errors of the tables of closed channels, and bounds that stay on the safe side of them."""

import numpy as np
import pytest

from mfmi.activations import get
from mfmi.bounds.evaluate import evaluate_points
from mfmi.channels.closed.bounds import EntropyPowerLower, GaussianUpper, LinearLower
from mfmi.channels.closed.table import ChannelTable
from mfmi.networks.model import Model
from mfmi.networks.points import Points
from mfmi.quadrature.splines import SplineAxis, missed_between_sites

ERRORS = {name: f"mi_{name}_error" for name in ("layerwise", "fisher", "gaussian_upper")}


def true_information(phi, channel, r, tau, s):
    """Closed channel at one place, by many Gauss panels between all places where phi or its slope is not monotone."""
    deviation, width = np.sqrt(s - tau), np.sqrt(tau)
    reach = 9.3 * deviation
    places = [0.0, *phi.kinks, *phi.slope_zeros, *phi.curvature_zeros]
    if np.isfinite(phi.period):
        places = 0.25 * phi.period * np.arange(-40, 41)
    steps = np.append(0.0, np.cumsum(0.1 * min(width, 0.5) * 1.25 ** np.arange(60)))
    cuts = np.concatenate([[-reach, reach], *(np.concatenate((x - steps, x + steps)) for x in places)])
    cuts = np.unique(np.clip(np.append(cuts, np.arange(-reach, reach, 0.2)), -reach, reach))
    x, w = np.polynomial.legendre.leggauss(8)
    omega = (0.5 * (cuts[1:] + cuts[:-1])[:, None] + 0.5 * np.diff(cuts)[:, None] * x).ravel()
    weight = (np.diff(cuts)[:, None] * w).ravel() * np.exp(-0.5 * (omega / deviation) ** 2)
    inner = np.full_like(omega, tau)
    if isinstance(channel, EntropyPowerLower):
        share, power = phi.entropy_powers(omega, inner)
        log = np.sum(share * np.log1p(r * power), axis=-1)
    else:
        m = phi.conditional(omega, inner)
        upper = isinstance(channel, GaussianUpper)
        log = np.log1p(r * m.variance) if upper else np.log1p(r * m.kappa**2 * tau / (1.0 + r * m.residual))
    return 0.5 * np.sum(weight * log) / np.sum(weight)


@pytest.mark.parametrize("channel", [GaussianUpper(), LinearLower()], ids=lambda channel: channel.name)
@pytest.mark.parametrize("name", ["tanh", "relu", "hard_tanh", "gelu", "silu", "sin", "cos", "abs"])
def test_the_channel_is_resolved_where_a_moment_all_but_vanishes(name, channel):
    """At a turning point and low inner noise the variance is a narrow valley; cos was off by a tenth."""
    phi, s = get(name), 1.0
    for share in (0.9, 1e-2, 1e-4, 1e-6):
        tau = np.array([s * share])
        r = np.expm1([0.1, 1.0, 6.0, 10.0]) / float(phi.decorrelation(s, tau[0]))
        found = channel.information(phi, r[None], tau, np.array([s]))[0]
        true = [true_information(phi, channel, precision, tau[0], s) for precision in r]
        np.testing.assert_allclose(found, true, rtol=1e-6)


def counting_table(name, monkeypatch):
    """A table and the tiles that it has tabulated itself."""
    table, built = ChannelTable(get(name), LinearLower()), []
    tabulate = table._tabulate
    monkeypatch.setattr(table, "_tabulate", lambda number: built.append(number) or tabulate(number))
    return table, built


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_another_process_reads_what_one_has_tabulated(name, tmp_path, monkeypatch):
    """Values and errors, of a table with a scale and of one without, to the last bit; what is damaged is not read."""
    monkeypatch.setenv("MFMI_CACHE_DIR", str(tmp_path))
    arguments = np.array([0.5, 20.0]), np.array([0.4, 0.9]), np.ones(2)
    found = []
    for _ in range(2):
        table, built = counting_table(name, monkeypatch)
        found.append((np.stack(table.evaluate(*arguments)), table.error(*arguments), len(built)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert [number for *_, number in found] == [1, 0]
    [file] = tmp_path.rglob("*.tile")
    file.write_bytes(file.read_bytes()[:-1] + b"0")
    table, built = counting_table(name, monkeypatch)
    np.testing.assert_array_equal(np.stack(table.evaluate(*arguments)), found[0][0])
    assert len(built) == 1


def test_channels_of_one_activation_have_tiles_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("MFMI_CACHE_DIR", str(tmp_path))
    arguments = np.array([20.0]), np.array([0.4]), np.ones(1)
    lower, upper = (
        float(ChannelTable(get("hard_tanh"), channel).evaluate(*arguments).j[0])
        for channel in (LinearLower(), GaussianUpper())
    )
    assert lower < upper
    assert len(list(tmp_path.rglob("*.tile"))) == 2


def places(rng, phi, s, count):
    tau = np.where(
        rng.random(count) < 0.5, s * 10.0 ** (-6 * rng.random(count)), s * (1 - 10 ** (-4 * rng.random(count)))
    )
    x = np.sinh(rng.random((count, 8)) * np.arcsinh(12.0))
    r = np.expm1(x) / np.asarray(phi.decorrelation(np.full(count, s), tau))[:, None]
    return r, tau


@pytest.mark.thorough
@pytest.mark.parametrize("channel", [GaussianUpper(), LinearLower(), EntropyPowerLower()], ids=lambda c: c.name)
@pytest.mark.parametrize("name", ["tanh", "relu", "hard_tanh", "elu", "leaky_relu"])
def test_the_error_covers_what_the_table_misses(name, channel):
    phi, rng = get(name), np.random.default_rng(4)
    table, ratios = ChannelTable(phi, channel), []
    for s in (0.1, 1.7) if not phi.homogeneous else (1.0,):
        r, tau = places(rng, phi, s, 60)
        whole = np.full_like(r, s)
        found = table.evaluate(r, np.repeat(tau[:, None], 8, axis=1), whole).j
        error = table.error(r, np.repeat(tau[:, None], 8, axis=1), whole)
        true = channel.information(phi, r, tau, whole[:, 0], 2.0)
        ratios.append(np.abs(found - true) / error)
    ratio = np.concatenate([part.ravel() for part in ratios])
    assert ratio.max() <= 1.0
    # An estimate that is far too large is no estimate.
    assert np.median(ratio) > 0.02


def test_beyond_its_end_a_table_says_that_it_knows_less():
    table, one = ChannelTable(get("relu"), GaussianUpper()), np.ones((1, 2))
    r = np.array([[np.expm1(47.0), np.exp(60.0)]])
    found, error = table.evaluate(r, one, one).j, table.error(r, one, one)
    true = GaussianUpper().information(get("relu"), r, np.ones(1), np.ones(1))
    assert np.all(np.abs(found - true) <= error)
    assert error[0, 1] > 1.0 > 1e-3 > error[0, 0]


def test_splines_know_what_they_miss():
    """The fourth differences of the coefficients against the function between the sites, along two axes."""
    one, other = SplineAxis(40), SplineAxis(20)
    values = np.exp(2.0 * one.sites)[:, None] * np.cos(5.0 * other.sites)
    coefficients = one.coefficients @ values @ other.coefficients.T
    missed = missed_between_sites(coefficients)
    assert missed.shape == (40, 20)
    x, y = (np.arange(40) + 0.5) / 40, (np.arange(20) + 0.5) / 20
    (i, (by_x, *_)), (j, (by_y, *_)) = one.locate(x), other.locate(y)
    found = sum(by_x[a][:, None] * by_y[b] * coefficients[np.ix_(i + a, j + b)] for a in range(4) for b in range(4))
    off = np.abs(found - np.exp(2.0 * x)[:, None] * np.cos(5.0 * y))
    inside = (slice(2, -2), slice(2, -2))
    assert np.all(off[inside] <= 1.1 * missed[inside])
    assert np.median(missed[inside] / off[inside]) < 3.0


@pytest.mark.parametrize("noise_at", ["output", "every"])
def test_the_bounds_are_moved_by_the_errors_that_they_report(monkeypatch, noise_at):
    """Without errors in the tables the bounds lie where they have been moved from."""
    points = Points.of("relu", [0.9, 1.3], sigma_b=0.2, sigma_noise=0.2, noise_at=noise_at, weights="gaussian")
    found = evaluate_points(points, [2, 4], list(ERRORS), "nats", list(ERRORS.values()))
    place = ChannelTable.place
    monkeypatch.setattr(
        ChannelTable, "place", lambda self, s: (known := place(self, s))._replace(errors=0.0 * known.errors)
    )
    plain = evaluate_points(points, [2, 4], list(ERRORS))
    assert plain["mi_layerwise"].shape == (4,)
    for name, column in ERRORS.items():
        side = 1.0 if name == "gaussian_upper" else -1.0
        assert np.all((found[column] > 0.0) & (found[column] < 1e-5 * plain[f"mi_{name}"]))
        np.testing.assert_allclose(
            found[f"mi_{name}"], plain[f"mi_{name}"] + side * found[column], rtol=0.0, atol=2e-12
        )


def test_errors_follow_the_unit_and_need_no_estimator():
    points = Points.of("relu", 1.2, sigma_noise=0.3)
    nats, bits = (evaluate_points(points, [3], [], unit, list(ERRORS.values())) for unit in ("nats", "bits"))
    for column in ERRORS.values():
        np.testing.assert_allclose(bits[column], nats[column] / np.log(2.0), rtol=1e-14)
    seen = evaluate_points(points, [3], [], "nats", list(ERRORS.values()), Model(observe="activation"))
    assert all(np.isfinite(seen[column]).all() for column in ERRORS.values())
