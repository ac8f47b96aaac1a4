"""Numbers at and beyond their limits, at every door: one line that names the option and the limit, or an answer."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

import mfmi

CommandLine = Callable[..., Outcome]

VALUES = ("1e308", "1e200", "1e-200", "-1e-200", "-1", "nan", "inf", "-inf", "0", "1e999", "100000000", "9" * 5000)
BOUND = ("bound", "--act", "tanh", "--sw", "1", "--depth", "2", "--estimator", "linear", "--estimator", "entropy_power")
CAPACITY = ("capacity", "--act", "tanh", "--widths", "4,2")
VERIFY = ("verify", "--act", "tanh", "--sw", "1", "--depth", "1", "--width", "4", "--seeds", "2", "--jobs", "1")

# A command line that works, an option of it, and how a value of it is written.
OPTIONS: dict[str, tuple[tuple[str, ...], str, str]] = {
    **{f"bound {name}": (BOUND, name, "{}") for name in ("--sw", "--sb", "--sn", "--qx", "--c0", "--depth")},
    "bound --alpha": ((*BOUND, "--depth", "1"), "--alpha", "{}"),
    "bound --widths": ((*BOUND, "--depth", "1"), "--widths", "10,{}"),
    "bound --sparsity": ((*BOUND, "--prior", "spike_slab"), "--sparsity", "{}"),
    "bound --width": ((*BOUND, "--inputs", "inputs.csv"), "--width", "{}"),
    **{
        f"phase {name}": (("phase", "--act", "tanh", "--sw", "1"), name, "{}")
        for name in ("--sw", "--sb", "--sn", "--qx")
    },
    "phase list": (("phase", "--act", "tanh"), "--sw", "1,{}"),
    "phase range": (("phase", "--act", "tanh"), "--sb", "0:{}:3"),
    "phase --curve": (("phase", "--act", "tanh", "--curve"), "--sb", "{}"),
    **{
        f"isometry {name}": (("isometry", "--act", "tanh", "--sw", "1", "--depth", "1"), name, "{}")
        for name in ("--sw", "--sb", "--sn", "--qx", "--depth")
    },
    **{
        f"recommend {name}": (("recommend", "--act", "tanh"), name, "{}")
        for name in ("--sn", "--qx", "--depth", "--sb")
    },
    "capacity --sw": (CAPACITY, "--sw", "{}"),
    "capacity --gains": (CAPACITY, "--gains", "{}"),
    **{f"capacity {name}": ((*CAPACITY, "--sw", "1"), name, "{}") for name in ("--sn", "--qx")},
    "capacity --widths": (("capacity", "--act", "tanh", "--sw", "1"), "--widths", "{},2"),
    "capacity --spectrum": ((*CAPACITY, "--sw", "1"), "--spectrum", "1,1,1,{}"),
    "capacity --shape": (("capacity", "--act", "tanh", "--sw", "1", "--layer", "dense:2"), "--shape", "2x{}"),
    **{f"verify {name}": (VERIFY, name, "{}") for name in ("--sw", "--sb", "--sn", "--qx", "--c0", "--depth")},
    **{f"verify {name}": (VERIFY, name, "{}") for name in ("--width", "--seeds", "--samples")},
    "verify --widths": (VERIFY, "--widths", "4,{}"),
}
# What is taken of the values above; the rest is refused.
DEVIATION, POSITIVE = {"0", "100000000"}, {"100000000"}
TAKEN = {
    **dict.fromkeys(("--sw", "--sb", "list"), DEVIATION),
    **dict.fromkeys(("--sn", "--qx", "--alpha", "range"), POSITIVE),
    "--c0": {"0", "-1", "1e-200", "-1e-200"},
    "bound --widths": {"100000000"},
    "capacity --sw": {"100000000"},
    "--gains": {"1e200", "1e-200", "100000000"},
    "--spectrum": {"0", "100000000"},
    "--curve": DEVIATION,
}


def taken(name: str) -> set[str]:
    return TAKEN.get(name, TAKEN.get(name.split()[-1], set()))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("inputs.csv").write_text("1,2\n3,4\n")


def shown(text: str) -> str:
    return text if len(text) < 20 else "digits"


REFUSED = [
    pytest.param(base, option, form.format(value), id=f"{name} {shown(value)}")
    for name, (base, option, form) in OPTIONS.items()
    for value in VALUES
    if value not in taken(name)
]


@pytest.mark.parametrize(("base", "option", "text"), REFUSED)
def test_a_remote_number_is_refused_in_one_line(
    command_line: CommandLine, here: None, base: tuple[str, ...], option: str, text: str
) -> None:
    done = command_line(*base, option, text)
    assert done.code == 2, done.err
    assert done.out == ""
    usage, error = done.err.splitlines()
    assert usage.startswith("Usage: ")
    assert option in error
    assert len(error) < 400


ACCEPTED = [
    pytest.param(base, option, form.format(value), id=f"{name} {value}")
    for name, (base, option, form) in OPTIONS.items()
    for value in sorted(taken(name))
    if base[0] not in ("recommend", "verify")
]
# The ends of what is taken, and the remotest numbers together.
EXTREMES = ("1e-100", "1e100")
ACCEPTED += [
    pytest.param(base, option, form.format(value), id=f"{name} {value}")
    for name, (base, option, form) in OPTIONS.items()
    if option in ("--sw", "--sb", "--sn", "--qx", "--gains", "--spectrum")
    if base[0] not in ("recommend", "verify") and form != "0:{}:3"
    for value in EXTREMES
]


@pytest.mark.parametrize(("base", "option", "text"), ACCEPTED)
def test_whatever_is_taken_has_an_answer(
    command_line: CommandLine, here: None, base: tuple[str, ...], option: str, text: str
) -> None:
    done = command_line(*base, option, text)
    assert done.code == 0, done.err
    assert "Warning" not in done.err
    assert done.out or "--curve" in base  # there may be no edge


BEYOND = (1e308, 1e200, 1.001e100, 0.999e-100, 1e-200, -1e-200, -1.0, np.nan, np.inf, -np.inf)


@pytest.mark.parametrize("name", ["sigma_w", "sigma_b", "sigma_noise", "input_variance"])
@pytest.mark.parametrize("value", BEYOND)
def test_python_refuses_the_same_numbers(name: str, value: float) -> None:
    others = {} if name == "sigma_w" else {"sigma_w": 1.0}
    with pytest.raises(ValueError, match=f"^{name}: "):
        mfmi.evaluate("tanh", **others, **{name: value}, depth=2, estimators=["linear"])
    with pytest.raises(ValueError, match=f"^{name}: "):
        mfmi.fixed_point("tanh", **others, **{name: value})
    if name in ("sigma_b", "sigma_noise"):
        with pytest.raises(ValueError, match=f"^{name}: "):
            mfmi.edge_of_chaos("tanh", **{"sigma_b": 0.0} | {name: value})


@pytest.mark.parametrize("name", ["sigma_w", "sigma_b", "sigma_noise"])
@pytest.mark.parametrize("value", ["1e308", "1e200", "1.001e100", "0.999e-100", "1e-200", "-1.0", ".nan", ".inf"])
def test_a_sweep_refuses_the_same_numbers(command_line: CommandLine, here: None, name: str, value: str) -> None:
    axes = {"sigma_w": "1.0"} | {name: f"[1.0, {value}]"}
    text = "".join(f"  {axis}: {values}\n" for axis, values in axes.items())
    Path("sweep.yaml").write_text(f"version: 1\nsweep:\n  activation: tanh\n{text}")
    done = command_line("sweep", "sweep.yaml", "-n")
    assert done.code == 3, done.err
    assert re.match(rf"sweep.yaml:\d+:\d+: error: sweep.{name}", done.err)


# Zero where it is taken, and both ends of every range.
CORNERS = np.array(
    list(itertools.product((0.0, 1e-100, 1e100), (0.0, 1e-100, 1e100), (1e-100, 1e100), (1e-100, 1e100)))
)


@pytest.mark.thorough
@pytest.mark.parametrize("activation", ["tanh", "relu", "sin", "sign"])
@pytest.mark.parametrize("noise_at", ["output", "every"])
def test_every_corner_of_what_is_taken_has_rows(activation: str, noise_at: str) -> None:
    """Finite values or a reason, without a warning."""
    w, b, n, q = CORNERS.T
    settings = {"sigma_w": w, "sigma_b": b, "input_variance": q}
    for weights in ("gaussian", "orthogonal"):
        rows = mfmi.evaluate(
            activation,
            **settings,
            sigma_noise=n,
            depth=[1, 3],
            noise_at=noise_at,
            weights=weights,
            estimators=["linear", "entropy_power", "mean_field"],
        )
        assert len(rows) == 2 * len(CORNERS)
        told = rows.status.isin(["ok", "unbounded"]) & rows.mi_linear.notna() | rows.message.ne("")
        assert told.all(), rows[~told].to_string()
        assert rows.mi_linear.notna().sum() > len(CORNERS)
        for name in ("mi_linear", "mi_entropy_power", "mi_mean_field"):
            known = rows[name].dropna().to_numpy()
            assert np.all((known >= 0.0) & np.isfinite(known)), name
    found = mfmi.fixed_point(activation, **settings, sigma_noise=n if noise_at == "every" else 0.0)
    assert set(found.phase) <= {"ordered", "critical", "chaotic", "unbounded", ""}


def test_a_sweep_over_the_corners_is_what_python_says(command_line: CommandLine, here: None) -> None:
    Path("corners.yaml").write_text(
        "version: 1\nsweep:\n  activation: tanh\n  sigma_w: [0, 1e-100, 1e100]\n  sigma_b: [0, 1e-100, 1e100]\n"
        "  sigma_noise: [1e-100, 1e100]\n  depth: [1, 3]\nestimators: [linear]\n"
    )
    done = command_line("sweep", "corners.yaml", "-o", "corners.parquet", "--jobs", "1")
    assert done.code == 0, done.err
    assert "Warning" not in done.err
    rows = pd.read_parquet("corners.parquet")
    beside = mfmi.evaluate(
        "tanh", rows.sigma_w[::2], rows.sigma_b[::2], rows.sigma_noise[::2], [1, 3], estimators=["linear"]
    )
    assert len(rows) == 36
    np.testing.assert_array_equal(rows.mi_linear, beside.mi_linear)
    assert list(rows.status) == list(beside.status)
