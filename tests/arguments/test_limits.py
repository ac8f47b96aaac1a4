"""Numbers at and beyond their limits, at every door: one line that names the option and the limit, or an answer."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

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
    if base[0] not in ("recommend", "verify")
    and form != "0:{}:3"
    and base[0] not in ("recommend", "verify")
    and form != "0:{}:3"
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
