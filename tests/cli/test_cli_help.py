"""Help, examples and completion of every command."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from checkpoint_files import normal, save, save_h5, save_onnx, uniform
from conftest import Outcome
from onnx import helper
from sklearn.datasets import load_digits

import mfmi
from mfmi.cli import reference
from mfmi.cli.command import Command, broken
from mfmi.cli.main import COMMANDS, cli
from mfmi.cli.reference_tables import columns_page, config_page
from mfmi.cli.terminal import program
from mfmi.columns import BY_NAME
from mfmi.config.schema import AXIS_KINDS, CONFIG

CommandLine = Callable[..., Outcome]
ROOT = Path(__file__).parents[2]


def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Command]]:
    assert isinstance(command, Command), f"{' '.join(path)} is not made with mfmi.cli.command"
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, (*path, name))


ALL = dict(walk(cli, ("mfmi",)))
EACH = pytest.mark.parametrize("path", list(ALL), ids=" ".join)
EXAMPLES = sorted({example for command in ALL.values() for example in command.examples})


@EACH
def test_help_opens_with_examples(command_line: CommandLine, path: tuple[str, ...]) -> None:
    done = command_line(*path[1:], "-h")
    assert done.code == 0
    assert done.err == ""
    assert done.out == command_line(*path[1:], "--help").out
    lines = done.out.splitlines()
    assert lines[0] == "Examples:"
    assert len(ALL[path].examples) >= 2
    shown = "\n".join(lines[1 : lines.index("")])
    # Lines end with a backslash where an example goes on, so that it can be pasted.
    assert re.sub(r" \\\n +", " ", shown).splitlines() == [f"  {example}" for example in ALL[path].examples]


@EACH
def test_everything_is_explained(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert command.help
    assert command.get_short_help_str()
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.opts}"


@EACH
def test_help_fits_80_columns(
    command_line: CommandLine, path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = command_line(*path[1:], "-h").out.splitlines()
    wide = [line for line in lines if len(line) > 80]
    assert not wide


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_help_is_not_something_else(name: str) -> None:
    _, short_help = COMMANDS[name]
    assert short_help[0].isupper()
    assert short_help.endswith(".")
    assert len(short_help) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert re.search(rf"\bmfmi {name}\b", (ROOT / "docs" / "commands.md").read_text())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_nearest_word(name: str, command_line: CommandLine) -> None:
    assert f"Did you mean {name!r}?" in command_line(name[:1] + name[2:]).err


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_understood(example: str) -> None:
    """The first command of each example parses; the slow suite runs them whole."""
    words = re.split(r"[|;&)>]", example.replace('eval "$(', "").strip())[0]
    program, *arguments = shlex.split(words.strip().removesuffix('"'))
    assert program == "mfmi"
    if arguments == ["--version"]:
        return
    command: click.Command = cli
    with click.Context(cli) as context:
        while isinstance(command, click.Group):
            name = arguments.pop(0)
            found = command.get_command(context, name)
            assert found is not None, name
            command = found
        command.make_context(name, arguments, parent=context)


def run_in_shell(script: str, folder: Path) -> None:
    programs = os.path.dirname(sys.executable)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
    command = ["bash", "-e", "-o", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def write_models(folder: Path) -> None:
    """The data and checkpoints that examples name: digits, a network of 64, 48 and 10 units, MLP blocks of GPT-2."""
    np.save(folder / "digits.npy", load_digits().data)
    inner, outer = uniform((48, 64), 64, 1.0), uniform((10, 48), 48, 1.0, seed=1)
    layers = {"0.weight": inner, "2.weight": outer}
    save(folder / "model.safetensors", layers)
    np.savez(folder / "mlp.npz", **layers)
    save_h5(folder / "model.h5", {"dense/dense/kernel:0": inner.T, "dense_1/dense_1/kernel:0": outer.T})
    nodes = [
        helper.make_node("Gemm", ["x", "0.weight"], ["h"], transB=1),
        helper.make_node("Tanh", ["h"], ["phi"]),
        helper.make_node("Gemm", ["phi", "2.weight"], ["y"], transB=1),
    ]
    save_onnx(folder / "model.onnx", nodes, layers)
    (folder / "checkpoints").mkdir()
    for step in (0, 100):
        save(folder / "checkpoints" / f"step-{step}.safetensors", layers)
    blocks = {f"h.{block}.mlp.c_fc.weight": normal((32, 128), 0.02, seed=block) for block in range(3)}
    blocks |= {f"h.{block}.mlp.c_proj.weight": normal((128, 32), 0.02, seed=9 + block) for block in range(3)}
    save(folder / "gpt2.safetensors", blocks)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the examples expect it, the demo's sweep replaced by a small one."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(folder / "configs" / "tiny.yaml", folder / "configs" / "edge_of_chaos.yaml")
    (folder / "build").mkdir()
    (folder / ".config" / "fish" / "completions").mkdir(parents=True)
    write_models(folder)
    run_in_shell("mfmi -q sweep configs/tiny.yaml -o build/demo.parquet", folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_run(example: str, demo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(demo, folder)
    run_in_shell(example, folder)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(command_line: CommandLine, shell: str) -> None:
    done = command_line("completion", shell)
    assert done.code == 0
    assert "_MFMI_COMPLETE" in done.out


def completed(line: str, monkeypatch: pytest.MonkeyPatch, command_line: CommandLine) -> list[str]:
    words = line.split(" ")
    monkeypatch.setenv("_MFMI_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    return [entry.partition(",")[2] for entry in command_line().out.splitlines()]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mfmi bo", ["bound"]),
        ("mfmi bound --noise", ["--noise-at", "--noise-scale", "--noise-in"]),
        ("mfmi bound --noise-at e", ["every"]),
        ("mfmi bound --act ta", ["tanh", "tanhshrink"]),
        ("mfmi bound --weights ", ["gaussian", "orthogonal", "spectrum:", "matrix:"]),
        ("mfmi bound --weights gaussian,o", ["gaussian,orthogonal"]),
        ("mfmi isometry --weights ", ["gaussian", "orthogonal"]),
        ("mfmi completion z", ["zsh"]),
    ],
)
def test_completion(monkeypatch: pytest.MonkeyPatch, command_line: CommandLine, line: str, words: list[str]) -> None:
    assert completed(line, monkeypatch, command_line) == words


def test_completion_knows_every_activation(monkeypatch: pytest.MonkeyPatch, command_line: CommandLine) -> None:
    assert completed("mfmi bound --act ", monkeypatch, command_line) == list(mfmi.activation_names())


def test_the_command_reference_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = reference.page()
    assert text == (ROOT / "docs" / "commands.md").read_text(), "make docs"
    assert {line for line in text.splitlines() if re.match(r"##+ mfmi", line)} == {
        f"{'##' if len(path) < 3 else '###'} {' '.join(path)}" for path in ALL
    }
    assert "\x1b" not in text


@pytest.mark.parametrize("name", ["columns", "config"])
def test_the_references_of_columns_and_configs_are_current(name: str) -> None:
    text = {"columns": columns_page, "config": config_page}[name]()
    assert text == (ROOT / "docs" / f"{name}.md").read_text(), "make docs"


def test_the_references_have_every_column_and_key() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", columns_page(), re.M)
    assert set(BY_NAME) <= set(rows)
    keys = re.findall(r"^\| `(\w+)` \|", config_page(), re.M)
    assert {*AXIS_KINDS, *CONFIG.fields} - {"sweep", "network", "input", "output"} <= set(keys)


def test_version(command_line: CommandLine) -> None:
    assert command_line("--version").out == f"mfmi {mfmi.__version__}\n"
    lines = command_line("version").out.splitlines()
    assert lines[0] == f"mfmi {mfmi.__version__}"
    assert any(line.startswith("numpy ") for line in lines)


def test_long_examples_are_broken_before_options_and_outside_of_quotes() -> None:
    example = (
        """mfmi show build/demo.parquet --where 'depth == 20 and --phase == "chaotic"' --rows --top 5 --sort -chi_1"""
    )
    lines = broken(example, 60)
    assert len(lines) == 3
    assert all(len(line) <= 80 for line in lines)
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert " ".join(line.removesuffix(" \\").strip() for line in lines) == example
    assert """'depth == 20 and --phase == "chaotic"'""" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("recommend", "--act", "tanh", "--by", "repplica"), "replica"),
        (("recommend", "--act", "tanh", "--emit", "touch"), "torch"),
        (("plot", "x.parquet", "--kind", "rankin"), "ranking"),
        (("plot", "x.parquet", "--x", "sigma_v"), "sigma_w"),
        (("show", "x.parquet", "--format", "parket"), "parquet"),
        (("completion", "bassh"), "bash"),
    ],
)
def test_the_nearest_word_is_suggested(command_line: CommandLine, arguments: tuple[str, ...], word: str) -> None:
    done = command_line(*arguments)
    assert done.code == 2
    assert f"Did you mean {word!r}?" in done.err


def test_what_to_type_next_is_called_as_this_program_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    beside = tmp_path / ".venv" / "bin" / "mfmi"
    beside.parent.mkdir(parents=True)
    beside.write_text("#!/bin/sh\n")
    beside.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(beside)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == str(beside)
    monkeypatch.setenv("PATH", str(beside.parent))
    assert program() == "mfmi"
    monkeypatch.setattr(sys, "argv", ["/usr/lib/python3/mfmi/__main__.py"])
    assert program() == "mfmi"
