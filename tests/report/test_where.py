"""Conditions on rows: what they keep, what they refuse, and that nothing in them runs."""

import contextlib
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfmi.report.where import parse

KINDS = {"depth": "int32", "phase": "string", "chi_1": "float64", "sigma_b": "float64"}
ROWS: list[dict[str, Any]] = [
    {"depth": 1, "phase": "ordered", "chi_1": 0.5, "sigma_b": 0.0},
    {"depth": 20, "phase": "chaotic", "chi_1": 1.5, "sigma_b": 0.1},
    {"depth": 20, "phase": "critical", "chi_1": 1.0, "sigma_b": 0.2},
    {"depth": 50, "phase": "unbounded", "chi_1": None, "sigma_b": 0.3},
]
TABLE = pa.Table.from_pylist(
    ROWS,
    schema=pa.schema(
        [("depth", pa.int32()), ("phase", pa.string()), ("chi_1", pa.float64()), ("sigma_b", pa.float64())]
    ),
)


def kept(text: str) -> list[int]:
    table = TABLE.append_column("row", pa.array(range(len(ROWS))))
    found: list[int] = table.filter(parse(text, KINDS).expression).column("row").to_pylist()
    return found


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('depth == 20 and phase == "chaotic"', [1]),
        ("depth == 20 and phase == 'chaotic'", [1]),
        ("depth != 20", [0, 3]),
        ("depth < 20 or depth >= 50", [0, 3]),
        ("1 < depth <= 20", [1, 2]),
        ("not depth == 20", [0, 3]),
        ("not (depth == 20 or depth == 1)", [3]),
        ("depth in [1, 50]", [0, 3]),
        ("phase in ('ordered', 'critical')", [0, 2]),
        ("phase not in ['ordered', 'critical']", [1, 3]),
        ("chi_1 is null", [3]),
        ("chi_1 is not null", [0, 1, 2]),
        ("chi_1 == None", [3]),
        ("chi_1 > 0", [0, 1, 2]),
        ("not chi_1 > 0", []),
        ("abs(chi_1 - 1) < 0.1", [2]),
        ("sigma_b * 10 + 1 > 3", [3]),
        ("chi_1 / 2 == 0.75", [1]),
        ("-chi_1 < -1.2", [1]),
        ("sigma_b > 1e-3 and depth == 20.0", [1, 2]),
        ("chi_1 > sigma_b", [0, 1, 2]),
        ("  depth == 1\n", [0]),
    ],
)
def test_what_is_kept(text: str, rows: list[int]) -> None:
    assert kept(text) == rows


def test_the_columns_are_known() -> None:
    assert parse("chi_1 > 1 and not phase == 'x'", KINDS).columns == {"chi_1", "phase"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dept == 1", "no column 'dept' .did you mean 'depth'"),
        ("zzz == 1", "the columns are depth, phase"),
        ("depth = 1", "cannot read 'depth = 1' at character"),
        ("depth == ", "cannot read"),
        ("", "cannot read"),
        ("depth", "is a number, not a condition"),
        ("depth == 'x'", "cannot be compared"),
        ("phase > 1", "cannot be compared"),
        ("phase + 1 == 2", "'phase' is text where a number is needed"),
        ("depth and 1", "'depth' is a number where a condition is needed"),
        ("depth in 3", "is not a list of values"),
        ("depth in []", "is not a list of values"),
        ("depth is 3", "'is' is for null only"),
        ("chi_1 < null", "neither less nor greater"),
        ("null == null", "null is compared with null"),
        ("True", "not something that a condition can contain"),
        ("depth ** 2 == 4", "not something that a condition can contain"),
        ("depth.real == 4", "not something that a condition can contain"),
        ("__import__('os').system('true') == 0", "not something that a condition can contain"),
        ("open('x') == 0", "not something that a condition can contain"),
        ("[x for x in [1]] == 0", "not something that a condition can contain"),
        ("(lambda: 1) == 0", "not something that a condition can contain"),
        ("f'{depth}' == 'x'", "not something that a condition can contain"),
        ("(" * 500 + "depth == 1" + ")" * 500, "cannot read"),
        ("not " * 5000 + "depth == 1", "cannot read|nested too deeply"),
        ("depth == 1\0", "cannot read"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text, KINDS)


@given(st.text(max_size=40))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse(text, KINDS)


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
def test_comparisons_are_those_of_numbers(value: float, sign: str) -> None:
    expected = [i for i, row in enumerate(ROWS) if eval(f"row['sigma_b'] {sign} value", {"row": row, "value": value})]
    assert kept(f"sigma_b {sign} {value!r}") == expected


def test_division_by_zero_is_no_error() -> None:
    assert kept("1 / sigma_b > 4") == [0, 1, 2]


def test_words_are_told() -> None:
    condition = parse('phase == "chaotic" and "x" == phase and phase in ["y"] and depth == 1', KINDS)
    assert condition.words == (("phase", "chaotic"), ("phase", "x"), ("phase", "y"))


def test_long_conditions_are_not_repeated_whole() -> None:
    with pytest.raises(ValueError, match="cannot read") as caught:
        parse("(" * 4000 + "depth > 1", KINDS)
    assert len(str(caught.value)) < 200
