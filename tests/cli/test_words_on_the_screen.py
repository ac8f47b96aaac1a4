"""The words of a table about its columns on request, and the command that is suggested next."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from conftest import Outcome

from mfmi.cli.main import COMMANDS, cli
from mfmi.columns import BY_NAME, COLUMNS

CommandLine = Callable[..., Outcome]
BOUND = ("bound", "--act", "tanh", "--sw", "1.5", "--depth", "2", "--estimator", "linear")
SWEEP = "version: 1\nsweep: {activation: tanh, sigma_w: [1, 2], depth: [1, 2]}\nestimators: [linear]\n"


def explained(err: str) -> dict[str, str]:
    """The entries below "columns:", each a name and what is said of it on one line or more."""
    _, _, text = err.partition("columns:\n")
    entries: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if match := re.match(r"  (\S.*?)(?:  +|$)(.*)", line):
            name, entries[match[1]] = match[1], match[2]
        elif line.startswith("   "):
            entries[name] += f" {line.strip()}"
    return {name: text.strip() for name, text in entries.items()}


def of_commands() -> list[click.Command]:
    context = click.Context(cli)
    found = [cli.get_command(context, name) for name in COMMANDS]
    parts = [one.get_command(context, name) for one in found if isinstance(one, click.Group) for name in one.commands]
    return [one for one in (*found, *parts) if one is not None]


def test_every_command_that_has_a_format_explains_its_columns() -> None:
    with_table = [one for one in of_commands() if any("--format" in option.opts for option in one.params)]
    assert len(with_table) >= 11
    assert not [one.name for one in with_table if not any("--explain" in option.opts for option in one.params)]


@pytest.mark.parametrize("form", ["csv", "jsonl", "table"])
def test_explanations_leave_standard_output_as_it_is(form: str, command_line: CommandLine) -> None:
    plain = command_line(*BOUND, "--format", form)
    assert explained(plain.err) == {}
    done = command_line(*BOUND, "--format", form, "--explain")
    assert done.out == plain.out
    assert explained(done.err)


def test_every_column_of_the_rows_has_its_description_and_unit(command_line: CommandLine) -> None:
    done = command_line(*BOUND, "--format", "csv", "--explain")
    entries = explained(done.err)
    assert list(entries) == done.out.splitlines()[0].split(",") == [c.name for c in COLUMNS if c.name != "point"]
    for name, text in entries.items():
        unit = BY_NAME[name].unit
        assert text == BY_NAME[name].description + (f" [{unit}]" if unit not in ("", "1") else "")


def test_the_unit_is_that_of_the_numbers(command_line: CommandLine) -> None:
    done = command_line(*BOUND, "--unit", "bits", "--format", "csv", "--explain")
    assert explained(done.err)["mi_linear"].endswith("[bits per input dimension]")


def test_a_table_explains_the_columns_that_it_shows_under_their_headings(command_line: CommandLine) -> None:
    done = command_line(*BOUND, "--column", "mmse", "--format", "table", "--explain")
    entries = explained(done.err)
    assert list(entries) == [
        "layer (depth)",
        "q",
        "c",
        "chi",
        "mmse",
        "linear (mi_linear)",
        "lower (mi_lower)",
        "upper (mi_upper)",
    ]
    assert entries["layer (depth)"] == "the observed layer [layers]"


def test_a_plain_table_explains_what_fits(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = command_line("inits", "he", "--format", "table", "--explain")
    assert list(explained(done.err)) == done.out.splitlines()[0].split()


@pytest.fixture
def folder(tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    assert command_line("-q", "sweep", "sweep.yaml", "-o", "sweep.parquet", "--jobs", "1").code == 0
    rng = np.random.default_rng(0)
    np.savez("net.npz", **{f"{layer}.weight": rng.normal(size=(20, 20)) for layer in range(2)})
    return tmp_path


TABLES = [
    (["phase", "--act", "tanh", "--sw", "1.5"], "chi_1"),
    (["phase", "--act", "tanh", "--sw", "0.5:2:5", "--sb", "0:1:5"], "phase"),
    (["phase", "--act", "tanh", "--sb", "0,1", "--curve"], "q_star"),
    (["recommend", "--act", "relu", "--depth", "2", "--sb", "0"], "of best (of_best)"),
    (["isometry", "--act", "relu", "--sw", "1", "--depth", "2"], "mean (jacobian_mean)"),
    (["capacity", "--act", "relu", "--sw", "1", "--widths", "4,2"], "capacity"),
    (
        ["verify", "--act", "linear", "--sw", "1", "--depth", "1", "--width", "8", "--seeds", "2", "--jobs", "1"],
        "s.e. (standard_error)",
    ),
    (["audit", "net.npz"], "sigma_w"),
    (["show", "sweep.parquet"], "edge"),
    (["show", "sweep.parquet", "--rows"], "sigma_w"),
    (["config", "expand", "sweep.yaml"], "point"),
    (["sweep", "sweep.yaml", "-o", "again.parquet", "--jobs", "1"], "nats"),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("arguments", "column"), TABLES, ids=[" ".join(words[:2]) for words, _ in TABLES])
def test_every_table_says_what_its_columns_are(
    arguments: list[str], column: str, command_line: CommandLine, folder: Path
) -> None:
    shape = [] if arguments[0] == "sweep" else ["--format", "table"]
    entries = explained(command_line(*arguments, *shape, "--explain").err)
    assert entries[column]
    assert all(entries.values())


NEXT = [
    (BOUND, "recommend --act tanh --depth 2"),
    ((*BOUND, "--norm", "layernorm"), "verify --act tanh --sw 1.5 --depth 2 --estimator linear --norm layernorm"),
    ((*BOUND, "--widths", "4,3,2"), "capacity --act tanh --sw 1.5 --widths 4,3,2"),
    (("phase", "--act=tanh", "--sw", "1.5", "--format", "csv"), "bound --act=tanh --sw 1.5"),
    (("phase", "--act", "tanh", "--sw", "1,2", "--sb", "1"), "recommend --act tanh"),
    (("recommend", "--act", "relu", "--depth", "2", "--sb", "0"), "bound --sw 1.4142 --sb 0.0000 --act relu --depth 2"),
    (("recommend", "--act", "relu", "--depth", "2", "--sb", "0,0.1"), "recommend --act relu --depth 2"),
    (("isometry", "--act", "relu", "--sw", "1", "--depth", "2"), "bound --act relu --sw 1 --depth 2"),
    (("capacity", "--act", "relu", "--sw", "1", "--widths", "4,2"), "bound --act relu --sw 1 --widths 4,2"),
    (("audit", "net.npz"), "audit net.npz --act NAME"),
    (("audit", "net.npz", "-o", "net.parquet"), "plot net.parquet"),
    (("inits", "he"), "bound --act NAME --init he"),
    (("show", "sweep.parquet", "--where", "depth == 2"), "plot sweep.parquet --where 'depth == 2'"),
    (("plot", "sweep.parquet", "--terminal"), "plot sweep.parquet -o figure.pdf"),
    (("config", "init", "-o", "new.yaml"), "config check new.yaml"),
    (("config", "check", "sweep.yaml", "--set", "sweep.depth=3"), "sweep sweep.yaml --set sweep.depth=3"),
    (("sweep", "sweep.yaml", "-n"), "sweep sweep.yaml"),
]


@pytest.mark.parametrize(("arguments", "following"), NEXT, ids=[" ".join(words[:2]) for words, _ in NEXT])
def test_a_command_says_what_comes_next(
    arguments: tuple[str, ...], following: str, command_line: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    done = command_line(*arguments)
    assert done.code == 0
    # A bar that was drawn, where that took more than a second, is wiped before.
    last = click.unstyle(done.err).splitlines()[-1].removeprefix("next: mfmi ").partition("  # ")[0]
    assert last == following
    understood(shlex.split(last))


def understood(words: list[str]) -> None:
    """Let the command line be read as it would be."""
    command: click.Command = cli
    words = ["tanh" if word == "NAME" else word for word in words]
    with click.Context(cli) as context:
        while isinstance(command, click.Group):
            found = command.get_command(context, words.pop(0))
            assert found is not None
            command = found
        command.make_context("next", words, parent=context)


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_nothing_comes_next_in_a_pipe_or_when_quiet(
    quiet: tuple[str, ...], command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    if quiet:
        for stream in (sys.stdout, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    assert "next:" not in command_line(*quiet, *BOUND, "--format", "csv").err
