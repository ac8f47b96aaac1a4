"""The package as others meet it: metadata, the public names, and the files a fresh clone needs."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mfmi

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_stands_in_one_place() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert importlib.metadata.version("mfmi") == mfmi.__version__


def test_dependencies_have_floors_and_no_caps() -> None:
    extras = PROJECT["optional-dependencies"]
    assert PROJECT["dependencies"]
    for requirement in [*PROJECT["dependencies"], *(one for extra in extras.values() for one in extra)]:
        needed, _, _ = requirement.partition(";")
        assert re.fullmatch(r"[A-Za-z0-9_-]+>=[0-9.]+", needed), requirement


def test_the_run_time_needs_nothing_else() -> None:
    names = {requirement.split(">=")[0] for requirement in PROJECT["dependencies"]}
    assert names == {"click", "numpy", "scipy", "pandas", "pyarrow", "rich", "PyYAML", "numba"}


@pytest.mark.thorough
def test_the_compiler_is_loaded_by_the_first_search_alone() -> None:
    code = "import sys, mfmi; mfmi.evaluate; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    for name in mfmi.__all__:
        assert getattr(mfmi, name) is not None
    assert set(dir(mfmi)) == set(mfmi.__all__)


def test_public_names_are_declared_and_found_alike() -> None:
    assert set(mfmi._HOMES) | {"__version__"} == set(mfmi.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        mfmi.evalute  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.thorough
def test_evaluate_stays_a_function_once_the_evaluator_is_loaded() -> None:
    code = "import mfmi, mfmi.bounds.evaluate, mfmi.api; assert callable(mfmi.evaluate); assert callable(mfmi.evaluate)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_program_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "mfmi", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"mfmi {mfmi.__version__}\n"


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "Makefile", ".ci/run", ".gitignore", "mfmi/py.typed"])
def test_a_clone_has(name: str) -> None:
    assert (ROOT / name).is_file()


def test_the_license_is_mit() -> None:
    assert PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n\nCopyright (c)")


TARGETS = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()  # type: ignore[index]


@pytest.mark.parametrize("target", TARGETS)
def test_make_installs_what_a_target_needs(target: str, tmp_path: Path) -> None:
    places = [f"VENV={tmp_path / 'newest'}", f"FLOORS={tmp_path / 'oldest'}", f"BROWSER={tmp_path / 'browser'}"]
    command = ["make", "-n", "--warn-undefined-variables", target, *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert target == "clean" or " install " in done.stdout.partition("touch ")[0]


def test_make_knows_its_targets() -> None:
    named = re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text() + (ROOT / "docs/testing.md").read_text())
    assert {"demo", "test", "test-floors", "test-slow", "mutants", "lint", "bench"} <= set(named)
    assert set(named) <= set(TARGETS)
