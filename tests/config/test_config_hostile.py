"""Texts that no one means well with: always one clear refusal, never another exception, never long."""

import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mfmi.config import yaml as _yaml
from mfmi.config.config import Config, LocatedConfigError, LocatedError, load_config, read_config
from mfmi.config.yaml import MAX_BYTES
from mfmi.sweep.plan import Plan

CONFIGS = {path.name: path.read_text() for path in (Path(__file__).parents[2] / "configs").glob("*.yaml")}
# What takes longer than reading takes is a flood; the longest here needs half of it on a slow machine.
SECONDS = 6.0

# Every section that a config can have, and files that it names.
CONFIGS["everything.yaml"] = """
version: 1
sweep:
  mode: product
  activation: [tanh, hard_tanh]
  sigma_w2: {start: 0.5, stop: 3.0, num: 5, spacing: linear}
  sigma_b: {values: [0, 0.1]}
  sigma_noise: 0.1
  noise_at: [output, every]
  weights: [gaussian, {spectrum: spectrum.csv}, {layers: [orthogonal, {matrix: matrix.csv}]}]
  depth: [1, 2, 3]
  exclude: [{activation: tanh, noise_at: every}, {weights: {spectrum: spectrum.csv}}]
estimators: [linear, entropy_power]
columns: [mmse, jacobian_mean]
network: {alpha: [1, 1, 1]}
observe: activation
input: {variance: 1.0, correlation: 0.5, spectrum: spectrum.csv}
output: {path: out.parquet, unit: bits}
seed: 3
"""


@pytest.fixture(scope="module", autouse=True)
def files_that_configs_name(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to be in, with all the files and a pipe that nobody writes to."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("named")
    (folder / "spectrum.csv").write_text("0.5,1,1.5\n")
    (folder / "matrix.csv").write_text("1,2\n0.5,1\n")
    os.mkfifo(folder / "pipe.csv")
    os.chdir(folder)
    yield folder
    os.chdir(before)


@contextmanager
def in_time() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < SECONDS


def load(data: bytes, path: Path) -> Config:
    """Read the bytes as a file, which takes the way of the command line."""
    path.write_bytes(data)
    return read_config(path)


def refused(text: str, overrides: Sequence[str] = ()) -> list[LocatedError]:
    """Plan a config; return the errors if it is refused instead."""
    try:
        plan = Plan.from_config(load_config(text, "some.yaml", overrides))
    except LocatedConfigError as error:
        return error.errors
    assert len(plan.points(0, 10)) <= plan.n_points_bound
    plan.chunk(plan.n_chunks - 1)
    return []


def survives(text: str, overrides: Sequence[str] = ()) -> None:
    """Check that a text is either a config that can be planned or refused with located errors, in time."""
    with in_time():
        for error in refused(text, overrides):
            headline, *excerpt = str(error).split("\n")
            assert headline.startswith(f"{error.file}:{error.line}:{error.column}: error: ")
            assert max(map(len, [headline, *excerpt])) < 400
            if error.source_line.strip():
                line, caret = excerpt
                assert caret.lstrip(" ") == "^"
                assert line


def nines(letters: str) -> str:
    """The text known as the billion laughs."""
    first, *others = letters
    lines = [f"{first}: &{first} [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for before, letter in zip(letters, others, strict=False):
        lines.append(f"{letter}: &{letter} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join(lines)


VALID = "version: 1\nsweep: {activation: tanh, sigma_w: 1}\n"

# name: text, what the one error says
HOSTILE: dict[str, tuple[str, str]] = {
    "laughs": (nines("abcdefghi"), "more than 100,000 values with its aliases written out"),
    "many laughs": (nines("abcdefghijklmnopqrstuvwxyz"), "more than 100,000 values with its aliases written out"),
    "itself": ("version: &a [*a]", "the alias *a contains itself"),
    "itself as key": ("version: &a {*a : 1}", "the alias *a contains itself"),
    "no anchor": ("version: *a", "the alias *a has no anchor &a before it"),
    "deep lists": ("[" * 50_000, "nested more than 20 levels deep"),
    "deep mappings": ("{a: " * 50_000, "nested more than 20 levels deep"),
    "deep block": ("- " * 50_000, "nested more than 20 levels deep"),
    "deep keys": ("? " * 50_000, "nested more than 20 levels deep"),
    "deep lines": ("\n".join(" " * i + "a:" for i in range(500)), "nested more than 20 levels deep"),
    "deep aliases": (
        "\n".join([f"a{i}: &a{i} [{f'*a{i - 1}' if i else '1'}]" for i in range(30)]),
        "nested more than 20 levels deep",
    ),
    "many values": ("a: [" + "1," * 200_000 + "]", "more than 100,000 keys and values"),
    "many lines": ("- 1\n" * 200_000, "more than 100,000 keys and values"),
    "many anchors": ("".join(f"- &a{i} 1\n" for i in range(80_000)), "expected a mapping with the keys"),
    "NUL": (VALID + "seed: \x00", "character U+0000 may not stand in it"),
    "escape": (VALID + "seed: \x1b", "character U+001B may not stand in it"),
    "surrogate": (VALID + "seed: \ud800", "character U+D800 may not stand in it"),
    "tab": ("version: 1\nsweep:\n\tactivation: tanh", "a tab may not indent, use spaces"),
    "two documents": (VALID + "---\n" + VALID, "a second document begins here, a config is one"),
    "python object": (VALID + "seed: !!python/object/apply:os.getcwd []", "the tag 'tag:yaml.org,2002:python/object"),
    "python name": (VALID + "seed: !!python/name:os.getcwd", "the tag 'tag:yaml.org,2002:python/name"),
    "own tag": (VALID + "seed: !include /etc/passwd", "the tag '!include' means nothing in a config"),
    "string tag": (VALID + "seed: !!int '3'", "the tag 'tag:yaml.org,2002:int' means nothing in a config"),
    "other YAML": ("%YAML 3.0\n---\n" + VALID, "not valid YAML: "),
    "open quote": (VALID + "seed: 'x", "not valid YAML: "),
    "open list": (VALID + "estimators: [linear", "not valid YAML: "),
    "bad escape": (VALID + 'seed: "\\q"', "not valid YAML: "),
    "reserved": ("@version: 1", "not valid YAML: "),
    "merge key": (VALID + "<<: {seed: 1}", "<<: unknown key"),
    "long key": (VALID + "k" * 100_000 + ": 1", "not valid YAML: "),
    "longish key": (VALID + "k" * 1000 + ": 1", "unknown key"),
    "long word": (VALID + f"seed: {'w' * 100_000}", "expected a whole number, got the text 'www"),
    "long number": (VALID + f"seed: {'7' * 100_000}", "expected a whole number, got 777"),
    "long exponent": (VALID + f"seed: 1e{'9' * 1000}", "expected a whole number, got 1e999"),
    "long activation": (
        f"version: 1\nsweep: {{activation: 'f({'(' * 50_000}', sigma_w: 1}}",
        "expected a name such as",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_gets_one_clear_line(name: str) -> None:
    text, wanted = HOSTILE[name]
    with in_time(), pytest.raises(LocatedConfigError) as caught:
        load_config(text, "some.yaml")
    located = [error for error in caught.value.errors if wanted in error.message or wanted in str(error)]
    assert len(located) == 1
    assert all(len(line) < 400 for line in str(located[0]).splitlines())


@pytest.mark.parametrize("name", [name for name, (text, _) in HOSTILE.items() if len(text) < 2000])
def test_the_slower_parser_refuses_the_same_texts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_yaml, "_LOADER", yaml.BaseLoader)
    test_hostile_text_gets_one_clear_line(name)


def parser_of_levels(most: int) -> type[yaml.BaseLoader]:
    """A parser that gives up where more than `most` levels are open, as libyaml does at a thousand."""

    class Limited(yaml.BaseLoader):
        def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
            self.refuse(self.flow_level, "flow")
            super().fetch_flow_collection_start(token)

        def add_indent(self, column: int) -> bool:
            self.refuse(len(self.indents), "block")
            return super().add_indent(column)

        def refuse(self, levels: int, kind: str) -> None:
            if levels >= most:
                raise yaml.scanner.ScannerError(f"in a {kind}", self.get_mark(), "too deep for me", self.get_mark())

    return Limited


# name: text, where its level 21 begins
DEEP: dict[str, tuple[str, tuple[int, int]]] = {
    "lists": ("[" * 1500, (1, 22)),
    "mappings": ("{a: " * 1500, (1, 82)),
    "block": ("- " * 1500, (1, 43)),
    "keys": ("? " * 1500, (1, 43)),
    "flow keys": ("{? " * 1500, (1, 64)),
    "lists as keys": ("? [" + "[" * 1500, (1, 23)),
    "lines": ("\n".join(" " * i + "a:" for i in range(1200)), (21, 21)),
    "below others": ("version: 1\nsweep: " + "[" * 1500, (2, 28)),
    "spread": ("[\n" * 1500, (22, 1)),
}


@pytest.mark.parametrize("most", [None, 1000, 100, 25], ids=["fast", "1000", "100", "25"])
@pytest.mark.parametrize("name", DEEP)
def test_depth_is_refused_by_name_whatever_the_parsers_own_limit(
    name: str, most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if most is not None:
        monkeypatch.setattr(_yaml, "_LOADER", parser_of_levels(most))
    text, place = DEEP[name]
    with in_time():
        (error,) = refused(text)
    assert error.message == "nested more than 20 levels deep"
    assert (error.line, error.column) == place


def test_a_repeated_reading_reports_nothing_twice() -> None:
    errors = refused("a: !x 1\na: 2\nb: " + "[" * 1500)
    assert len(errors) == 3
    assert len({error.message for error in errors}) == 3


@pytest.mark.parametrize("name", CONFIGS)
def test_the_slower_parser_reads_the_same_configs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = load_config(CONFIGS[name], name)
    monkeypatch.setattr(_yaml, "_LOADER", yaml.BaseLoader)
    assert load_config(CONFIGS[name], name).canonical() == fast.canonical()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_texts_say_their_encoding(encoding: str, tmp_path: Path) -> None:
    config = load((VALID + "# ü\n").encode(encoding), tmp_path / "some.yaml")
    assert config.text == VALID + "# ü\n"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("seed: ü".encode("latin-1"), "some.yaml:1:7: error: not UTF-8 text: byte 0xfc at offset 6"),
        (VALID.encode() + b"# \xff", "some.yaml:3:3: error: not UTF-8 text: byte 0xff at offset 51"),
        (VALID.encode("utf-16")[:-1], "not UTF-16 text"),
        (VALID.encode("utf-16-le"), "character U+0000 may not stand in it"),
        (b"\x00" * 1000, "some.yaml:1:1: error: not valid YAML: character U+0000 may not stand in it"),
        (bytes(range(256)), "error: not UTF-8 text: byte 0x80 at offset 128"),
        (b"a" * 10_000_000, f"some.yaml:1:1: error: larger than {MAX_BYTES:,} bytes"),
        (b"- 1\n" * 2_500_000, f"some.yaml:1:1: error: larger than {MAX_BYTES:,} bytes"),
        (b"", "some.yaml:1:1: error: the config is empty"),
    ],
    ids=[
        "latin-1",
        "stray byte",
        "cut UTF-16",
        "UTF-16 without mark",
        "zeros",
        "bytes",
        "10 MB",
        "10 MB list",
        "empty",
    ],
)
def test_files_that_are_no_configs(data: bytes, wanted: str, tmp_path: Path) -> None:
    with in_time(), pytest.raises(LocatedConfigError) as caught:
        load(data, tmp_path / "some.yaml")
    (error,) = caught.value.errors
    assert wanted in str(error)
    assert len(str(error)) < 1000


def test_an_endless_file_is_refused() -> None:
    with in_time(), pytest.raises(LocatedConfigError, match="larger than"):
        read_config("/dev/zero")


FLOODS = {
    "points": "version: 1\nsweep:\n  mode: points\n  points:\n"
    + "".join(f"  - {{activation: tanh, sigma_w: {i}, depth: {i + 1}}}\n" for i in range(9000)),
    "wrong points": "version: 1\nsweep:\n  mode: points\n  points:\n"
    + "".join(f"  - {{activatio{i}: tanh, sigma_w: -{i}, sigma_w2: 1}}\n" for i in range(9000)),
    "wrong activations": "version: 1\nsweep: {sigma_w: 1, activation: ["
    + ", ".join(f"tanh{i}" for i in range(40_000))
    + "]}",
    "values": f"version: 1\nsweep: {{activation: tanh, sigma_w: [{', '.join(map(str, range(90_000)))}]}}",
    "same values": f"version: 1\nsweep: {{activation: tanh, sigma_w: [{'1, ' * 90_000}]}}",
    "exclusions": "version: 1\nsweep:\n  mode: zip\n"
    f"  activation: [{'tanh, ' * 30_000}]\n  sigma_w: [{', '.join(map(str, range(30_000)))}]\n  exclude:\n"
    + "".join(f"  - {{activation: tanh, sigma_w: {i}}}\n" for i in range(200)),
    "lists in exclusions": "version: 1\nsweep:\n  activation: tanh\n"
    + "".join(f"  {name}: {{start: 1, stop: 300, num: 300}}\n" for name in ("sigma_w", "sigma_b", "sigma_noise"))
    + f"  exclude:\n  - &a {{sigma_w: &w [{', '.join(map(str, range(1, 300)))}], sigma_b: *w, sigma_noise: *w}}\n"
    + "".join(f"  - {{sigma_w: *w, sigma_b: {i}, sigma_noise: {300 - i}}}\n" for i in range(1, 200)),
    "nulls": "\n".join(["~:"] * 40_000),
    "quotes": '"' * 900_000,
    "spaces": " " * 900_000 + "a: b",
    "lines": "\n" * 900_000 + "a: b",
    "comment": "#" * 900_000,
    "text": "seed: |\n" + "  text\n" * 100_000,
    "colons": ": " * 400_000,
    "commas": "a: [" + "," * 900_000,
    "stars": "*" * 900_000,
    "percent": "%" * 900_000,
    "dashes": "---\n" * 200_000,
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", FLOODS)
def test_floods_are_read_or_refused_in_time(name: str) -> None:
    assert len(FLOODS[name]) < MAX_BYTES
    survives(FLOODS[name])


PIECES = [
    *(
        "[",
        "]",
        "{",
        "}",
        ":",
        "-",
        ",",
        "?",
        "&a ",
        "*a",
        "!",
        "|",
        ">",
        "'",
        '"',
        "%",
        "@",
        "`",
        "#",
        "\t",
        "\n",
        " ",
    ),
    *("\x00", "\x85", "\u2028", "\ufeff", "é", "\U0001f600", "1e999", "-1", ".nan", "null", "true", "0x", "1_0"),
    *(
        "zip",
        "points",
        "[[",
        "exclude: [{}]",
        "depth: 1.5",
        "sigma_w2: 1",
        "<<: *a",
        "tanh(",
        "leaky_relu(1e9)",
        "os:f",
        "pipe.csv",
        "/dev/zero",
        "observe: x",
        "{layers: [{matrix: matrix.csv}]}",
        "spectrum: spectrum.csv",
        "columns: [",
    ),
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A shipped config with a few pieces cut, copied, swapped or slipped in."""
    text = CONFIGS[draw(st.sampled_from(sorted(CONFIGS)))]
    for _ in range(draw(st.integers(1, 4))):
        # Most changes where most of the meaning is: comments would swallow them.
        lines = [line for line in text.split("\n") if not line.lstrip().startswith("#")]
        text = "\n".join(lines)
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 12)))
        what = draw(st.sampled_from(["cut", "insert", "replace", "copy", "line"]))
        piece = draw(st.sampled_from(PIECES) | st.text(max_size=5))
        if what == "cut":
            text = text[:start] + text[stop:]
        elif what == "insert":
            text = text[:start] + piece + text[start:]
        elif what == "replace":
            text = text[:start] + piece + text[stop:]
        elif what == "copy":
            to = draw(st.integers(0, len(text)))
            text = text[:to] + text[start:stop] + text[to:]
        else:
            number = draw(st.integers(0, len(lines) - 1))
            lines[number : number + 1] = draw(st.sampled_from([[], [lines[number]] * 2, [lines[number].lstrip()]]))
            text = "\n".join(lines)
    return text


@pytest.mark.thorough
@given(mutated())
@settings(max_examples=300, deadline=None)
def test_mutated_configs(text: str) -> None:
    survives(text)


@pytest.mark.slow
@given(mutated())
@settings(max_examples=20_000, deadline=None)
def test_mutated_configs_at_length(text: str) -> None:
    survives(text)


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text(text: str) -> None:
    survives(text)


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_override(key: str, value: str) -> None:
    # A colon names a module of one's own, which the command line may do.
    key, value = key.replace(":", ";"), value.replace(":", ";")
    for argument in (f"{key}={value}", f"sweep.{key}={value}", f"sweep.depth={value}", f"sweep.activation={value}"):
        survives(VALID, [argument])


def scrambled(data: bytes, chance: random.Random) -> bytes:
    """Bytes with a few of them changed, dropped, doubled or moved."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(5):
            case 0:
                found[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del found[at : at + chance.randint(1, 40)]
            case 2:
                found[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
            case 3:
                source = chance.randrange(len(found) + 1)
                found[at:at] = found[source : source + chance.randint(1, 60)]
            case 4 if at < len(found):
                found[at] ^= 1 << chance.randrange(8)
    return bytes(found)


def bytes_survive(rounds: int, path: Path) -> None:
    chance = random.Random(20260)
    for _ in range(rounds):
        path.write_bytes(scrambled(CONFIGS[chance.choice(sorted(CONFIGS))].encode(), chance))
        with in_time(), suppress(LocatedConfigError):
            Plan.from_config(read_config(path)).points(0, 10)


def test_scrambled_bytes(tmp_path: Path) -> None:
    bytes_survive(300, tmp_path / "some.yaml")


@pytest.mark.slow
def test_scrambled_bytes_at_length(tmp_path: Path) -> None:
    bytes_survive(20_000, tmp_path / "some.yaml")


@pytest.mark.parametrize("path", ["pipe.csv", "/dev/zero.csv", "."])
def test_a_file_without_an_end_is_not_begun(path: str, files_that_configs_name: Path) -> None:
    link = files_that_configs_name / "zero.csv"
    if path.startswith("/dev"):
        link.symlink_to("/dev/zero")
        path = link.name
    with in_time():
        (error,) = refused(VALID + f"input: {{spectrum: {path}}}\n")
    assert f"cannot read {path}" in str(error) or f"{path}: " in str(error)


OPENED: list[tuple[str, str]] = []


def note_opened(event: str, arguments: tuple[object, ...]) -> None:
    """Note what is opened, run or changed while `OPENED` is watched."""
    if event in ("open", "os.system", "subprocess.Popen", "os.exec", "socket.connect", "os.remove", "os.rename"):
        OPENED.append((event, str(arguments[0])))


def test_a_config_reads_what_it_names_and_writes_and_runs_nothing(files_that_configs_name: Path) -> None:
    config = files_that_configs_name / "some.yaml"
    bytes_survive(20, config)  # so that what is imported late has been
    sys.addaudithook(note_opened)  # there is no way to take it off
    OPENED.clear()
    bytes_survive(200, config)
    seen = {(event, name) for event, name in OPENED if not name.endswith((".pyc", ".py", str(config)))}
    assert seen <= {("open", "spectrum.csv"), ("open", "matrix.csv")}
    assert ("open", str(config)) in OPENED
