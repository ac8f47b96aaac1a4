"""Every command of the README and of docs/ runs, and prints what stands below it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from command_server import served
from documentation import (
    COLUMNS,
    DOCUMENTS,
    ROOT,
    RUN_ELSEWHERE,
    Session,
    Step,
    agrees,
    blocks,
    corrected,
    differences,
    shell_environment,
    steps,
)

from mfmi.cli.command import CONTEXT_SETTINGS
from mfmi.cli.main import cli
from mfmi.names import ESTIMATORS

TEXTS = {name: (ROOT / name).read_text() for name in DOCUMENTS}
STEPS = {name: steps(text) for name, text in TEXTS.items()}


def documents(*, slow: bool) -> list[str]:
    here = [name for name in DOCUMENTS if name not in RUN_ELSEWHERE]
    return [name for name in here if any(step.slow == slow for step in STEPS[name])]


def failure(name: str, found: list[object]) -> str:
    shown = "\n".join(f"{name}: {difference}" for difference in found)
    return f"{shown}\nif that is right: python tests/documentation.py {name}"


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """The program, imported once for all commands; the slow tests start a process for each."""
    with served(shell_environment()) as folder:
        yield folder


@pytest.mark.thorough
@pytest.mark.parametrize("name", documents(slow=False))
def test_what_a_document_shows_is_what_its_commands_print(name: str, tmp_path: Path, programs: Path) -> None:
    found = differences(ROOT / name, tmp_path, slow=False, programs=programs)
    assert not found, failure(name, [*found])


@pytest.mark.slow
@pytest.mark.parametrize("name", documents(slow=True))
def test_what_a_document_shows_of_long_commands_is_what_they_print(name: str, tmp_path: Path) -> None:
    found = differences(ROOT / name, tmp_path, slow=True)
    assert not found, failure(name, [*found])


@pytest.mark.parametrize(("name", "test"), RUN_ELSEWHERE.items())
def test_documents_that_are_run_elsewhere_are(name: str, test: str) -> None:
    assert any(step.kind == "script" for step in STEPS[name])
    assert Path(name).name in (ROOT / "tests" / test).read_text()


@pytest.mark.slow
def test_make_demo_does_what_the_documentation_shows(tmp_path: Path) -> None:
    """`make demo` for real, but for the installation: it finds one that is there."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "stamp-run").touch()
    programs = Path(sys.executable).parent
    command = ["make", "demo", f"VENV={tmp_path / 'venv'}", f"BIN={programs}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    (shown,) = (
        step.shown
        for step in STEPS["docs/howto/sweep.md"]
        if step.source.startswith("mfmi sweep configs/edge_of_chaos")
    )
    assert shown is not None
    # The summary names the program as it was called; the page calls it by its name alone.
    printed = done.stdout.replace(f"{programs}{os.sep}mfmi", "mfmi").splitlines()
    start = next(number for number, line in enumerate(printed) if "points," in line)
    assert agrees(shown, printed[start:]), done.stdout


# Links


def links() -> list[tuple[str, str]]:
    """Every link within the project, by document."""
    found = [(name, link) for name, text in TEXTS.items() for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    return sorted({(name, link) for name, link in found if "://" not in link})


@pytest.mark.parametrize(("name", "link"), links())
def test_links_lead_somewhere(name: str, link: str) -> None:
    """Links and figures exist; so does the heading that a link names."""
    path, _, heading = link.partition("#")
    target = (ROOT / name).parent / path if path else ROOT / name
    assert target.is_file()
    titles = re.findall(r"^#+ (.*)$", target.read_text(), re.M) if heading else []
    assert not heading or heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_of_recipes_leads_to_each() -> None:
    recipes = {path.name for path in (ROOT / "docs" / "howto").glob("*.md")} - {"README.md"}
    assert len(recipes) >= 3
    assert recipes <= set(re.findall(r"\]\((\w+\.md)\)", TEXTS["docs/howto/README.md"]))
    assert "docs/howto/README.md" in TEXTS["README.md"]


def test_the_index_leads_to_every_document_and_the_readme_to_the_index() -> None:
    linked = set(re.findall(r"\]\(([\w/]+\.md)\)", TEXTS["docs/README.md"]))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= linked
    assert {f"howto/{path.name}" for path in (ROOT / "docs" / "howto").glob("*.md")} <= linked
    assert {"docs/README.md", "docs/tutorial.md", "docs/howto/README.md"} <= {
        link.partition("#")[0] for link in re.findall(r"\]\((docs/[^)]+)\)", TEXTS["README.md"])
    }


def test_the_readme_is_a_page_and_a_half() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 120


@pytest.mark.parametrize("name", ESTIMATORS)
def test_it_is_said_what_every_estimator_rests_on(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|.*\|.*\|$", TEXTS["docs/estimators.md"], re.M)


# Commands inside sentences


def spans(program: str) -> list[tuple[str, str]]:
    """Texts between backticks that begin with a program's name, by document."""
    found = {
        (name, " ".join(span.split()))
        for name, text in TEXTS.items()
        for span in re.findall(
            rf"(?<!`)`({program}\s[^`]+)`(?!`)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
        )
    }
    return sorted(found)


@pytest.mark.parametrize(("name", "span"), spans("mfmi"))
def test_a_command_in_a_sentence_exists_and_has_the_options_named(name: str, span: str) -> None:
    words = shlex.split(span)[1:]
    command: click.Command = cli
    with click.Context(cli, **CONTEXT_SETTINGS) as context:
        while words and isinstance(command, click.Group) and not words[0].startswith("-"):
            word = words.pop(0)
            found = command.get_command(context, word)
            if found is None and not word.isupper() and word not in ("...", "…"):
                pytest.fail(f"{name}: there is no {word!r} in {span!r}")
            command = found or command
        known = {option for parameter in command.get_params(context) for option in parameter.opts}
    options = {word.partition("=")[0] for word in words if re.match(r"-{1,2}[A-Za-z]", word)}
    assert options <= known, f"{name}: {span}"


@pytest.mark.parametrize(("name", "span"), spans("make"))
def test_a_target_in_a_sentence_exists(name: str, span: str) -> None:
    target = shlex.split(span)[1]
    assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.M), name


@pytest.mark.parametrize(("name", "span"), spans("pip"))
def test_extras_that_are_installed_in_a_sentence_exist(name: str, span: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"\[([^]]+)\]", span)
    assert set(named) <= set(extras), name
    assert re.fullmatch(r"pip install '?(\.|mfmi)(\[\w+\])?'?", span), name


# The rules


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("in 17 s (1,859 rows/s), 2 jobs", "in 1 min 4 s (99 rows/s), 16 jobs"),
        ("took 0.3 s", "took 312 ms"),
        ("wrote a.parquet (918 kB)", "wrote a.parquet (1.2 MB)"),
        ("mfmi 0.1.0", "mfmi 0.2.0rc1"),
        ("numpy    1.26.4", "numpy    2.0.10"),
        ("sha256 " + 32 * "1f", "sha256 " + 32 * "2e"),
        ('{"mi":0.025777767570342024}', '{"mi":0.025777767570342091}'),
        ("1.0e+00 0.12345678901234", "1.0e+00 0.12345678901299"),
        ("trailing", "trailing   "),
        ("a\n...\nd", "a\nb\nc\nd"),
        ("a\n...", "a"),
        ("...\nd", "b\n\nd"),
        ("a\n...\nc\n...\ne", "a\nc\nb\nc\nd\ne"),
        ("last line\n", "last line"),
    ],
)
def test_what_may_differ(shown: str, printed: str) -> None:
    assert agrees(shown.split("\n"), printed.split("\n"))


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("2.274", "2.275"),
        ("3,564 points in 17 s", "3,565 points in 17 s"),
        ("3 rows", "4 rows"),
        ("noise 0.1 seen", "noise 0.2 seen"),
        ("chi_1 1.139, q* 0.793", "chi_1 1.139,  q* 0.793"),
        ("17 s", "17 points"),
        ("0.025777767570342024", "0.025777768570342024"),
        ("0.123456789", "0.123456788"),
        ("1.5e-16", "2.5e-16"),
        ("20 units", "21 units"),
        ("[10] 2.0", "[11] 2.0"),
        ("a\nb", "a"),
        ("a", "a\nb"),
        ("a\n...\nd", "a\nb\nc"),
        ("a\n...\nc", "b\nc"),
        ("", "something"),
    ],
)
def test_what_may_not_differ(shown: str, printed: str) -> None:
    assert not agrees(shown.split("\n"), printed.split("\n"))


DOCUMENT = """# A document
```console
$ echo one; echo two >&2
one
two
$ printf 'a
b' |
    cat
a
b
```
```python
x = 2
print(x)
```

```
2
```
```console slow
$ cat > file <<'END'
$ not a command
END
$ cat file
$ not a command
```
"""


def test_a_document_is_taken_apart() -> None:
    assert steps(DOCUMENT.replace("$ not a command\n```", "not a command\n```")) == [
        Step(3, "shell", "echo one; echo two >&2", ("one", "two"), False, 3),
        Step(6, "shell", "printf 'a\nb' |\n    cat", ("a", "b"), False, 8),
        Step(12, "python", "x = 2\nprint(x)", ("2",), False, 17),
        Step(21, "shell", "cat > file <<'END'\n$ not a command\nEND", (), True, 23),
        Step(24, "shell", "cat file", ("not a command",), True, 24),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```\nx\n```\n", "line 1: neither a command nor what a Python block prints"),
        ("\n```console\nmfmi bound\n```\n", "line 2: neither a command"),
        ("```\n$ true\n", "line 1: the block does not end"),
        ("```rust\n```\n", "line 1: 'rust' is not"),
        ("```console later\n$ true\n```\n", "line 1: 'console later' is not"),
        ("```\n$ echo 'a\n```\n", "line 2: the command does not end"),
        ("```python\n1\n```\ntext\n```\n1\n```\n", "line 5: there is text between"),
    ],
)
def test_a_block_that_nothing_would_check_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        steps(text)


def test_wrong_output_is_found_and_can_be_put_right(tmp_path: Path) -> None:
    right = (
        "```console\n$ echo one\none\n$ true\n$ echo two >&2\ntwo\n```\n\n"
        "```python\nx = 3\nprint(x)\n```\n\n```\n3\n```\n```python\nprint(x + 1)\n```\n\n```\n4\n```\n"
    )
    wrong = right.replace("one\none", "one\n1").replace("\ntwo", "").replace("\n3\n", "\n2\n\n")
    wrong = wrong.replace("\n\n```\n4\n```", "")
    document = tmp_path / "document.md"
    document.write_text(wrong)
    found = differences(document, tmp_path / "first", slow=False)
    assert [difference.printed for difference in found] == [("one",), ("two",), ("3",), ("4",)]
    assert "shown:\n    1\n  printed:\n    one" in str(found[0])
    assert corrected(wrong, found) == right
    document.write_text(right)
    assert differences(document, tmp_path / "second", slow=False) == []


def test_slow_blocks_run_only_when_asked_for(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("```console slow\n$ echo one\n```\n")
    assert differences(document, tmp_path / "fast", slow=False) == []
    assert len(differences(document, tmp_path / "slow", slow=True)) == 1


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("script", "true\nfalse\ntrue"),
        ("script", "make no-such-target"),
        ("config", "sweep: {depht: 3}"),
        ("config", "version: 1\nsweep: {activation: tanh, sigma_w: 1, depth: 0}"),
    ],
)
def test_scripts_that_fail_and_configs_with_mistakes_are_errors(kind: str, source: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="line 7: exit code"):
        Session(tmp_path / "place").run(Step(7, kind, source, None, False, 8))


def test_progress_of_long_commands_is_not_part_of_what_they_print(tmp_path: Path) -> None:
    session = Session(tmp_path / "place")
    source = (
        "echo 'mfmi: evaluate 2/10 chunks, 16 s left'; echo 'mfmi: rank leaky_relu(0.1) 0/1; search, 40%';"
        " echo 'mfmi: nothing is finished yet'; echo 'mfmi: error: 2/3'"
    )
    assert session.run(Step(1, "shell", source, (), False, 1)) == ["mfmi: error: 2/3"]


PROBE = """import sys
print("a process of its own" if hasattr(sys.modules["__main__"], "__file__") else "served")
def phi(u):
    return u
"""


@pytest.mark.thorough
def test_commands_are_served_but_for_those_in_an_environment_of_their_own(tmp_path: Path, programs: Path) -> None:
    session = Session(tmp_path, programs)
    (tmp_path / "probe.py").write_text(PROBE)
    command = "mfmi phase --act probe:phi --sw 1 --format csv | head -n 1"
    assert session.run(Step(1, "shell", command, (), False, 1)) == ["served"]
    assert session.run(Step(1, "shell", f"MFMI_DEBUG=1 {command}", (), False, 1)) == ["a process of its own"]


def test_served_commands_end_as_those_of_a_process_do(tmp_path: Path, programs: Path) -> None:
    session = Session(tmp_path, programs)
    printed = session.run(
        Step(1, "shell", "cd build; mfmi config init | head -n 1; mfmi nothing; echo $?", (), False, 1)
    )
    assert printed[0].startswith("# A sweep")
    assert printed[1] == "2"
    assert printed[-1].startswith("mfmi: error: No such command 'nothing'.")
    table = session.run(Step(1, "shell", "mfmi capacity --act linear --sw 1 --widths 3,2", (), False, 1))
    assert table[0].startswith("capacity ")


def test_commands_see_a_terminal_without_colour(tmp_path: Path) -> None:
    session = Session(tmp_path / "place")
    source = "stty size < /dev/stdout; test -t 1 && echo $NO_COLOR; ls"
    assert session.run(Step(1, "shell", source, (), False, 1))[:2] == [f"40 {COLUMNS}", "1"]


def test_blocks_know_their_lines() -> None:
    assert [(block.line, block.language, block.words) for block in blocks(DOCUMENT)] == [
        (2, "console", ()),
        (12, "python", ()),
        (17, "", ()),
        (20, "console", ("slow",)),
    ]
