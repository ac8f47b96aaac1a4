"""The table of recommended gains: what stands in the docs is what comes out."""

from pathlib import Path

import pytest

from mfmi.activations import get, names
from studies.gains import BEGIN, DEPTHS, END, HEAD, accuracy, gain, page, row

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "which_gain.md"


def test_every_activation_has_a_line() -> None:
    lines = PAGE.read_text().partition(BEGIN)[2].partition(END)[0].splitlines()
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == list(names())


def test_only_what_is_between_the_marks_is_written_anew() -> None:
    text = f"before\n{BEGIN}old\n{END}after\n"
    assert page(text, []) == f"before\n{BEGIN}\n{HEAD}\n{END}after\n"
    with pytest.raises(ValueError, match="the page lacks"):
        page("nothing", [])


def test_the_accuracies_are_those_of_the_raw_table() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    found = {line.split("`")[1]: [cell.strip() for cell in line.strip("|").split("|")][11:] for line in lines}
    wanted = {
        name: [accuracy(name, start, depth) for depth in DEPTHS for start in ("any", "he", "any, orthogonal")]
        for name in names()
    }
    assert found == wanted


def test_an_even_activation_has_no_gain() -> None:
    assert gain(get("cos"), 10, 0.0) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "relu", "gelu", "sign", "abs"])
def test_the_table_is_of_today(name: str) -> None:
    assert row(name) in PAGE.read_text()
