"""Inputs other than independent gaussian entries: the reference, bounds, finite networks, and ways to ask for them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome
from replica_cases import CASES, NAMES

import mfmi
from mfmi.bounds.evaluate import evaluate_points
from mfmi.channels.priors import input_channel, negentropy
from mfmi.channels.sources import CorrelatedInput, PriorInput
from mfmi.names import ESTIMATORS, UPPER_BOUNDS
from mfmi.networks.model import Model, covariance_eigenvalues
from mfmi.networks.points import Points
from mfmi.networks.priors import MixturePrior, rademacher, spike_slab
from mfmi.simulate import gaussian_matrix, orthogonal_matrix

CommandLine = Callable[..., Outcome]
ACTIVATIONS = NAMES | {"Linear": "linear"}


def is_of_another_law(case):
    *hidden, (last, *_) = case["layers"]
    kinds, _, scales = zip(*case["weights"], strict=True)
    return (
        (case["prior"][0] == "Bimodal" or (case["prior"][0] == "SpikeSlab" and case["prior"][2:] == [0.0, 1.0]))
        and case["prior"] != ["Bimodal", 0.3]
        and last == "Linear"
        and all(layer[1] == 0.0 for layer in hidden)
        and len({layer[0] for layer in hidden}) <= 1
        and len(set(kinds)) == len(set(scales)) == 1
    )


REFERENCE = [case for case in CASES if is_of_another_law(case)]


def evaluate(
    act,
    model,
    depth=2,
    w2=1.44,
    o2=0.04,
    b2=0.01,
    q_x=1.0,
    weights="gaussian",
    noise_at="output",
    estimators=ESTIMATORS,
):
    points = Points.of(
        act,
        np.sqrt(w2),
        sigma_b=np.sqrt(b2),
        sigma_noise=np.sqrt(o2),
        weights=weights,
        noise_at=noise_at,
        input_variance=q_x,
    )
    optional = ["mmse", "efficiency"] if "replica" in estimators else ["efficiency"]
    found = evaluate_points(points, depth, estimators, "nats", optional, model)
    assert set(found["status"]) <= {"ok", "unbounded"}, found["message"]
    return {name.removeprefix("mi_"): values[0] for name, values in found.items()}


def test_the_reference_has_both_laws():
    assert {case["prior"][0] for case in REFERENCE} == {"Bimodal", "SpikeSlab"}
    assert len(REFERENCE) >= 11


@pytest.mark.thorough
@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: case["id"])
def test_reference_value(case):
    alpha = [weight[1] for weight in case["weights"]]
    kind, _, scale = case["weights"][0]
    share = case["prior"][1] if case["prior"][0] == "SpikeSlab" else None
    model = Model.with_input("rademacher" if share is None else "spike_slab", alpha, share)
    act, noise = ACTIVATIONS[case["layers"][0][0]], case["layers"][-1][1]
    # The reference's slab has variance 1, so that an entry has the share of it.
    found = evaluate(act, model, len(alpha), scale, noise, 0.0, share or 1.0, kind)
    assert found["replica"] == pytest.approx(case["mi"], rel=1e-6)
    assert found["mmse"] == pytest.approx(case["mmse"], abs=1e-6)
    for name in ("layerwise", "fisher"):
        assert found[name] <= found["replica"] * (1 + 1e-6)
    assert found["replica"] <= found["gaussian_upper"] * (1 + 1e-6)
    assert found["replica"] <= found["covariance_upper"] * (1 + 1e-6)
    assert np.isnan(found["linear"])
    assert np.isnan(found["entropy_power"])
    assert np.isnan(found["efficiency"])


@pytest.mark.thorough
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(
    ("act", "name", "share", "noise_at"),
    [
        ("tanh", "rademacher", None, "every"),
        ("relu", "rademacher", None, "output"),
        ("tanh", "spike_slab", 0.1, "output"),
    ],
)
def test_bounds_hold_the_exact_value(act, name, share, noise_at, weights):
    """With noise in every layer the entropy bounds the information about the input, not that about the noise too."""
    for o2 in (0.09, 1.0):
        found = evaluate(act, Model.with_input(name, (), share), o2=o2, weights=weights, noise_at=noise_at)
        assert 0.0 < max(found["layerwise"], found["fisher"]) <= found["replica"] * (1 + 1e-6)
        assert found["replica"] <= found["gaussian_upper"] * (1 + 1e-6)
        if name == "rademacher":
            assert found["gaussian_upper"] <= np.log(2.0)


def exact_of_two_values(n, matrix, o2, samples, rng):
    """I(x; Wx + eps) in nats per entry for x uniform on the corners of a cube, by its definition."""
    corners = 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) - 1.0
    means = corners @ matrix.T
    seen = means[rng.integers(2**n, size=samples)]
    noise = np.sqrt(o2) * rng.standard_normal(seen.shape)
    distance = ((seen[:, None, :] + noise[:, None, :] - means) ** 2).sum(axis=2)
    likely = -0.5 * distance / o2
    top = likely.max(axis=1)
    evidence = top + np.log(np.exp(likely - top[:, None]).mean(axis=1))
    return np.mean(-0.5 * (noise**2).sum(axis=1) / o2 - evidence) / n


@pytest.mark.thorough
def test_two_values_through_a_finite_layer():
    rng = np.random.default_rng(2)
    values = [exact_of_two_values(11, gaussian_matrix(11, 11, 1.0, rng), 0.5, 400, rng) for _ in range(30)]
    found = evaluate("linear", Model.with_input("rademacher"), 1, 1.0, 0.5, 0.0, estimators=["replica"])
    error = np.std(values) / np.sqrt(len(values))
    assert abs(found["replica"] - np.mean(values)) < 4 * error + 0.01
    assert error < 0.01


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("alpha", [(), (0.5, 1.5)])
def test_correlated_input_of_a_finite_linear_network(alpha, weights):
    draw = gaussian_matrix if weights == "gaussian" else orthogonal_matrix
    rng = np.random.default_rng(3)
    n = 240
    mu = rng.gamma(0.5, size=n)
    rows = np.cumprod([n, *(alpha or (1.0, 1.0))]).astype(int)
    values = []
    for _ in range(4):
        # A rotation of its own: one that is drawn with the first matrix would undo itself in an orthogonal one.
        signal = draw(rows[2], rows[1], 1.2, rng) @ draw(rows[1], n, 1.2, rng)
        signal = signal @ orthogonal_matrix(n, n, 1.0, rng) * np.sqrt(mu)
        values.append(0.5 * np.linalg.slogdet(np.eye(rows[2]) + signal @ signal.T / 0.04)[1] / n)
    found = evaluate("linear", Model.with_spectrum(mu, alpha), b2=0.0, q_x=mu.mean(), weights=weights)
    assert found["replica"] == pytest.approx(np.mean(values), rel=5e-3)
    assert found["linear"] == pytest.approx(found["replica"], rel=1e-9)
    assert 0.0 < found["entropy_power"] <= found["replica"]
    if weights == "orthogonal" and not alpha:
        assert found["efficiency"] == pytest.approx(1.0, rel=1e-9)
    else:  # random directions pass, not the strongest, or not with the largest gain
        assert 0.1 < found["efficiency"] < 0.95


@pytest.mark.parametrize(("act", "noise_at"), [("tanh", "every"), ("relu", "output")])
def test_correlated_input_of_equal_eigenvalues_is_plain(act, noise_at):
    """Two eigenvalues that are equal but for rounding go the general way."""
    for weights in ("gaussian", "orthogonal"):
        plain = evaluate(act, Model(), q_x=1.7, weights=weights, noise_at=noise_at)
        general = Model.with_spectrum(np.array([1.7, 1.7 * (1 + 1e-12)]))
        assert not general.has_plain_input
        found = evaluate(act, general, q_x=general.input_variance, weights=weights, noise_at=noise_at)
        for name in (*(name for name in ESTIMATORS if name not in UPPER_BOUNDS), "mmse"):
            assert found[name] == pytest.approx(plain[name], rel=1e-8, nan_ok=True), name
        if noise_at == "output":
            assert found["covariance_upper"] == pytest.approx(plain["covariance_upper"], rel=1e-8)
        # Of hidden noise less is taken off where the input is correlated.
        assert found["covariance_upper"] >= plain["covariance_upper"] * (1 - 1e-8)
        # Where the closed channel has no stationary point, there is still maximum entropy at the observed layer.
        assert plain["gaussian_upper"] * (1 - 1e-8) <= found["gaussian_upper"] <= plain["gaussian_upper"] * 1.01


def test_faint_signals_of_a_correlated_input():
    """A short integral replaces a difference of potentials that has lost its digits."""
    model = Model.with_spectrum(np.array([0.2, 1.0, 3.0]))
    for q_x in (1e-5, 1e-7):
        found = evaluate("tanh", model, 3, 1.0, 10.0, 0.0, q_x, estimators=["linear"])
        small = evaluate("tanh", model, 3, 1.0, 10.0, 0.0, 10 * q_x, estimators=["linear"])
        assert small["linear"] / found["linear"] == pytest.approx(10.0, rel=50.0 * q_x)


def test_the_negentropy_corrects_what_rests_on_the_entropy_of_the_input():
    """A mixture of two gaussian laws has a density, and less entropy than a gaussian variable of its variance."""
    prior = MixturePrior((0.5, 0.5), (-0.8, 0.8), (0.36, 0.36))
    model = Model(prior=prior, prior_name="mixture")
    for act, weights in (("linear", "gaussian"), ("tanh", "orthogonal")):
        found, plain = (evaluate(act, one, o2=1e-3, weights=weights) for one in (model, Model()))
        assert found["linear"] == pytest.approx(plain["linear"] - negentropy(prior), rel=1e-9)
        lost = plain["entropy_power"] - found["entropy_power"]
        assert 0.5 * negentropy(prior) < lost <= negentropy(prior) * (1 + 1e-9)
        assert max(found[name] for name in ("linear", "entropy_power", "layerwise", "fisher")) <= found["replica"] * (
            1 + 1e-9
        )
        assert found["replica"] <= plain["replica"]
        assert found["mean_field"] == plain["mean_field"]


def test_sources_are_derivatives_of_their_information():
    variance, r, h = np.array([1.3]), np.array([0.7]), 1e-4
    for source in (
        CorrelatedInput(variance, np.array([0.5, 1.5]), np.array([0.5, 0.5])),
        PriorInput(rademacher(), variance),
        PriorInput(spike_slab(0.2), variance),
    ):
        e, e_r, rest = source.derivatives(r)
        assert 2 * (source.information(r + h) - source.information(r - h)) / (2 * h) == pytest.approx(e, rel=1e-6)
        assert (source.derivatives(r + h)[0] - source.derivatives(r - h)[0]) / (2 * h) == pytest.approx(e_r, rel=1e-6)
        assert rest == pytest.approx(1.0 - r * e, rel=1e-12)


def minima_by_scan(alpha, o2):
    """Minima of the potential of one linear layer after two values, on a grid of E: nothing of the solver is in it."""
    e = np.geomspace(1e-18, 1.0, 4_001)
    prior = input_channel(rademacher(), alpha / (o2 + e))
    # At given E the precision follows; the potential falls with E where the input's error at that precision is larger.
    gap = prior.e - e
    value = prior.j + 0.5 * alpha * np.log1p(e / o2) - 0.5 * alpha * e / (o2 + e)
    minima = list(value[1:][(gap[:-1] > 0.0) & (gap[1:] <= 0.0)])
    return sorted(minima + ([float(input_channel(rademacher(), alpha / o2).j)] if gap[0] <= 0.0 else []))


@pytest.mark.thorough
@pytest.mark.parametrize(("alpha", "o2", "count"), [(0.3, 1e-2, 2), (0.35, 1e-2, 2), (0.4, 1e-3, 2), (0.9, 0.05, 1)])
def test_the_smaller_of_two_minima_counts_and_the_message_says_so(alpha, o2, count):
    expected = minima_by_scan(alpha, o2)
    points = Points.of("linear", 1.0, sigma_noise=np.sqrt(o2))
    found = evaluate_points(points, 1, ["replica"], "nats", ["mmse"], Model.with_input("rademacher", (alpha,)))
    assert len(expected) == count
    assert found["mi_replica"][0] == pytest.approx(expected[0], rel=1e-6)
    assert found["status"][0] == "ok"
    assert found["message"][0].count("two minima") == (count == 2)


def test_samples_are_their_covariance():
    rng = np.random.default_rng(1)
    samples = 3.0 + rng.normal(size=(40, 6)) * np.arange(1.0, 7.0)
    expected = np.linalg.eigvalsh(np.cov(samples.T, bias=True))
    np.testing.assert_allclose(np.sort(covariance_eigenvalues(samples)), expected, rtol=1e-10)
    few = covariance_eigenvalues(samples[:4])
    assert len(few) == 6
    assert np.count_nonzero(few) == 3


@pytest.fixture
def spectra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Samples and their eigenvalues in files."""
    monkeypatch.chdir(tmp_path)
    samples = np.random.default_rng(4).normal(size=(50, 8)) * np.geomspace(0.1, 3.0, 8)
    np.save("samples.npy", samples)
    np.save("mu.npy", covariance_eigenvalues(samples))
    np.savetxt("mu.csv", covariance_eigenvalues(samples), header="eigenvalue", comments="")
    pd.DataFrame(samples, columns=list("abcdefgh")).to_parquet("samples.parquet")
    return samples


@pytest.mark.parametrize("name", ["samples.npy", "mu.npy", "mu.csv", "samples.parquet"])
def test_spectra_from_files(name: str, command_line: CommandLine, spectra: np.ndarray) -> None:
    """The file says the variance too, unless the command line does."""
    base = ("bound", "--act", "tanh", "--sw", "1.2", "--depth", "2", "--estimator", "linear")
    rows = json.loads(command_line(*base, "--input-spectrum", name, "--format", "json").out)
    expected = mfmi.evaluate("tanh", 1.2, depth=[1, 2], estimators="linear", input_spectrum=spectra)
    assert rows[1]["input_variance"] == pytest.approx(np.var(spectra, axis=0).mean(), rel=1e-12)
    assert rows[1]["mi_linear"] == pytest.approx(expected["mi_linear"][1], rel=1e-9)
    scaled = json.loads(command_line(*base, "--input-spectrum", name, "--qx", "4", "--format", "json").out)
    assert scaled[1]["input_variance"] == 4.0
    assert scaled[0]["mi_linear"] > rows[0]["mi_linear"] > 0.0
    assert "correlated input" in command_line(*base, "--input-spectrum", name, "--format", "table").out


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{prior: rademacher}", {"input.prior": "rademacher"}),
        ("{prior: spike_slab, sparsity: 0.1, variance: 2}", {"input.prior": "spike_slab", "input.sparsity": 0.1}),
        ("{spectrum: mu.npy}", {"input.variance": True}),
    ],
)
def test_in_a_sweep(section: str, told: dict, command_line: CommandLine, spectra: np.ndarray) -> None:
    text = f"version: 1\nsweep: {{activation: tanh, sigma_w: 1.2, depth: 2}}\nestimators: layerwise\ninput: {section}\n"
    Path("c.yaml").write_text(text)
    assert command_line("sweep", "c.yaml", "-o", "a.parquet", "--jobs", "1").code == 0
    frame = pd.read_parquet("a.parquet")
    meaning = frame.attrs["mfmi"]["config"]["resolved"]
    if "spectrum" in section:
        assert meaning["input.spectrum"]["eigenvalues"] == 8
        assert frame.input_variance[0] == pytest.approx(np.var(spectra, axis=0).mean())
    else:
        assert {name: meaning[name] for name in told} == pytest.approx(told)
    assert frame.mi_layerwise[0] > 0.0
    Path("c.yaml").write_text(text.replace(section, "{}"))
    assert command_line("sweep", "c.yaml", "-o", "a.parquet", "--resume").code == 6


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--prior", "spike_slab"), 2, "sparsity is missing"),
        (("--prior", "rademacher", "--sparsity", "0.1"), 2, "rademacher has none"),
        (("--sparsity", "0.1"), 2, "gaussian has none"),
        (("--prior", "spike_slab", "--sparsity", "0"), 2, "0 is not greater than 0"),
        (("--prior", "rademacher", "--input-spectrum", "mu.npy"), 2, "--input-spectrum is that of a gaussian input"),
        (("--prior", "rademacher", "--inputs", "samples.npy", "--width", "9"), 2, "--inputs are what they are"),
        (("--input-spectrum", "bad.npy"), 2, "eigenvalues must be finite, >= 0"),
        (("--input-spectrum", "mu.txt"), 5, "inputs are read from .npy"),
        (("--input-spectrum", "none.npy"), 5, "none.npy"),
        (("--prior", "radamacher"), 2, "Did you mean 'rademacher'?"),
    ],
)
def test_what_does_not_fit_is_refused(
    options: tuple[str, ...], code: int, message: str, command_line: CommandLine, spectra: np.ndarray
) -> None:
    np.save("bad.npy", np.array([1.0, -1.0]))
    done = command_line("bound", "--act", "tanh", "--sw", "1.5", *options)
    assert done.code == code
    assert message in " ".join(done.err.split())


def test_in_python():
    found = mfmi.evaluate("tanh", 1.2, depth=1, prior="spike_slab", sparsity=0.1, estimators="layerwise")
    expected = evaluate_points(Points.of("tanh", 1.2), 1, ["layerwise"], model=Model.with_input("spike_slab", (), 0.1))
    assert found["mi_layerwise"][0] == expected["mi_layerwise"][0]
    for wrong, message in (
        ({"prior": "bimodal"}, "prior: 'bimodal' is not one of gaussian, rademacher, spike_slab"),
        ({"prior": "spike_slab"}, "sparsity is missing"),
        ({"prior": "spike_slab", "sparsity": 1.5}, "sparsity: 1.5 is greater than 1"),
        ({"prior": "rademacher", "input_spectrum": [1.0]}, "an input with a covariance is gaussian"),
        ({"input_spectrum": [1.0, -1.0]}, "input_spectrum: eigenvalues must be finite"),
        ({"prior": "rademacher", "inputs": np.eye(3), "width": 4}, "inputs are what they are"),
    ):
        with pytest.raises(ValueError, match=message):
            mfmi.evaluate("tanh", 1.2, **wrong)
