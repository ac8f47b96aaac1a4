"""Files of numbers: what is data, what is a line of names, and what is refused with its place."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

from mfmi.errors import MfmiWarning, OutputError
from mfmi.storage.arrays import read_ensemble, read_inputs, read_spectrum

CommandLine = Callable[..., Outcome]
CAPACITY = ("capacity", "--act", "tanh", "--sw", "1.5", "--widths", "4,4", "--format", "json")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n\n", ""])
def test_a_byte_order_mark_is_no_part_of_the_first_number(mark: str, end: str) -> None:
    Path("values.csv").write_text(f"{mark}9\n1\n1\n1{end}", newline="")
    assert read_spectrum("values.csv").tolist() == [9.0, 1.0, 1.0, 1.0]
    np.testing.assert_array_equal(read_ensemble("spectrum", "values.csv").eigenvalues, [1 / 3, 1 / 3, 1 / 3, 3.0])


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("tsv", "\t")])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", ""])
def test_one_row_may_lack_its_end(suffix: str, separator: str, mark: str, end: str) -> None:
    Path(f"values.{suffix}").write_text(mark + separator.join(["9.0", "1.0", "2.0"]) + end, newline="")
    assert read_spectrum(f"values.{suffix}").tolist() == [9.0, 1.0, 2.0]


def test_eigenvalues_after_a_byte_order_mark_give_the_information_of_all_of_them(command_line: CommandLine) -> None:
    Path("marked.csv").write_text("\ufeff9\n1\n1\n1\n")
    Path("plain.csv").write_text("9\n1\n1\n1\n")
    options = (
        "bound",
        "--act",
        "linear",
        "--sw",
        "1",
        "--weights",
        "orthogonal",
        "--depth",
        "1",
        "--estimator",
        "linear",
    )
    outs = [
        command_line(*options, "--format", "json", "--input-spectrum", name) for name in ("marked.csv", "plain.csv")
    ]
    assert [done.err for done in outs] == ["", ""]
    assert outs[0].out == outs[1].out
    exact = 0.5 * np.mean(np.log1p(np.array([9.0, 1.0, 1.0, 1.0]) / 0.01))
    assert json.loads(outs[0].out)[0]["mi_linear"] == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("names", ["a,b", ",b", "x 1,# y", '"a, b",c', "1.O,2.O"])
def test_a_line_of_names_has_no_number_and_is_named(mark: str, names: str) -> None:
    Path("named.csv").write_text(f"{mark}{names}\n1,2\n3,4\n")
    with pytest.warns(MfmiWarning, match=r"named\.csv: line 1 has no number and is taken for names: '"):
        assert read_inputs("named.csv").tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_the_command_line_says_in_one_line_that_it_passes_over_names(command_line: CommandLine) -> None:
    Path("named.csv").write_text("value\n9\n1\n1\n1\n")
    done = command_line(*CAPACITY, "--spectrum", "named.csv")
    assert done.code == 0
    assert done.err == "mfmi: warning: named.csv: line 1 has no number and is taken for names: 'value'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.O,2,3\n1,2,3\n", r"line 1, column 1 is no number: '1\.O'"),
        ("1,,3\n1,2,3\n", "line 1, column 2 is empty"),
        ("a,b,1\n1,2,3\n", "line 1, column 1 is no number: 'a'"),
        ("1,2\n3,\n", "line 2, column 2 is empty"),
        ("1,2\n3,  \n", "line 2, column 2 is empty"),
        ("a,b\n1,2\n3,x\n", "line 3, column 2 is no number: 'x'"),
        ("1\n\n2\n", "line 2 is empty"),
        ("\n1\n2\n", "line 1 is empty"),
        ("1,2\n\n3,4\n", "line 2 is empty"),
        ("1,2\n3,4,5\n", "line 2 has 3 cells, the lines above have 2"),
        ("1,2\nNA,4\n", "line 2, column 1 is no number: 'NA'"),
        ("1,2\nnan,4\n", "row 2, column 1 is nan"),
        ("1,2\n3,-inf\n", "row 2, column 2 is -inf"),
        ("1,2\ntrue,4\n", "line 2, column 1 is no number: 'true'"),
        ("1,2\n1_0,4\n", "line 2, column 1 is no number: '1_0'"),
        ("2020-01-01\n2021-01-01\n2022-01-01\n", "line 2, column 1 is no number: '2021-01-01'"),
        ("true\nfalse\ntrue\n", "line 2, column 1 is no number: 'false'"),
        ("1;2\n3;4\n", "line 2, column 1 is no number: '3;4'"),
        ("a,b\n", "holds no numbers"),
        ("", "holds no numbers"),
        ("\n\n", "holds no numbers"),
    ],
)
@pytest.mark.parametrize("read", [read_inputs, read_spectrum, lambda path: read_ensemble("matrix", path)])
@pytest.mark.filterwarnings("ignore::mfmi.errors.MfmiWarning")
def test_what_is_no_number_is_refused_with_its_place(text: str, message: str, read: Callable[[str], object]) -> None:
    Path("wrong.csv").write_text(text)
    with pytest.raises(OutputError, match=rf"wrong\.csv: {message}"):
        read("wrong.csv")


def test_a_number_late_in_a_long_file_has_its_place() -> None:
    lines = ["1,2"] * 400_000
    lines[399_998] = "1,2.5"
    Path("long.csv").write_text("\n".join(lines))
    assert read_inputs("long.csv").sum() == pytest.approx(1_200_000.5)
    lines[399_998] = "1,2.S"
    Path("long.csv").write_text("\n".join(lines))
    with pytest.raises(OutputError, match=r"long\.csv: line 399999, column 2 is no number: '2\.S'"):
        read_inputs("long.csv")


@pytest.mark.parametrize("content", [b"\xff\xfe1\x00\n\x002\x00", b"1,2\n3,\xff\n"])
def test_bytes_that_are_no_text_are_refused(content: bytes) -> None:
    Path("bytes.csv").write_bytes(content)
    with pytest.raises(OutputError, match=r"bytes\.csv: not a table of numbers"):
        read_inputs("bytes.csv")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.Series([1.0, None, 3.0]), "column 'b' is null in row 2"),
        (pd.Series([True, False, True]), "column 'b' is of bool"),
        (pd.Series(["1", "2", "3"]), "column 'b' is of "),
        (pd.to_datetime(pd.Series(["2020", "2021", "2022"])), "column 'b' is of timestamp"),
    ],
)
def test_columns_of_parquet_that_hold_no_numbers(column: pd.Series, message: str) -> None:
    pd.DataFrame({"a": [1, 2, 3], "b": column}).to_parquet("table.parquet")
    with pytest.raises(OutputError, match=rf"table\.parquet: .*{message}"):
        read_inputs("table.parquet")


@pytest.mark.parametrize(
    "values",
    [
        np.array([[True, False], [False, True]]),
        np.array([["1", "2"], ["3", "4"]]),
        np.array([["2020-01-01"], ["2021-01-01"]], dtype="datetime64[D]"),
        np.array([[1j, 2.0], [3.0, 4.0]]),
    ],
)
def test_arrays_that_hold_no_numbers(values: np.ndarray) -> None:
    np.save("array.npy", values)
    with pytest.raises(OutputError, match=r"array\.npy: .*not real numbers"):
        read_inputs("array.npy")


def test_a_number_that_is_not_finite_is_refused_wherever_it_is_read() -> None:
    np.save("matrix.npy", np.array([[1.0, 2.0], [3.0, np.nan]]))
    for kind in ("matrix", "spectrum"):
        with pytest.raises(OutputError, match=r"matrix\.npy: row 2, column 2 is nan"):
            read_ensemble(kind, "matrix.npy")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.arange(12.0).reshape(3, 4), "3 x 4 numbers holds samples, not eigenvalues"),
        (np.array([1.0, 2.0, -0.5, 1.0]), "number 3 is -0.5, and eigenvalues of a covariance are not negative"),
    ],
)
def test_capacity_takes_no_samples_for_eigenvalues(values: np.ndarray, message: str, command_line: CommandLine) -> None:
    np.save("values.npy", values)
    done = command_line(*CAPACITY, "--spectrum", "values.npy")
    assert done.code == 2
    assert message in " ".join(done.err.split())


def test_generators_of_a_symmetry_are_refused_with_their_place(command_line: CommandLine) -> None:
    Path("group.txt").write_text("\ufeff1 2 3 0\n")
    assert command_line(*CAPACITY, "--symmetry", "group.txt").code == 0
    Path("group.txt").write_text("1 2 3 0\n1, 0, 2, x\n")
    done = command_line(*CAPACITY, "--symmetry", "group.txt")
    assert done.code == 2
    assert "group.txt: line 2, number 4 is no number: 'x'" in done.err
