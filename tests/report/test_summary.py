"""Summaries of rows made by hand: the best points, their distance from the edge of chaos, counts, and the drawing."""

import io
import itertools
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from mfmi.cli.summary_view import SCREEN_LINES, _distance, chosen, draw, tell
from mfmi.columns import COLUMNS
from mfmi.meanfield import edge_of_chaos
from mfmi.report.summary import GROUP_LIMIT, Best, Gathering, Line, Summary, edge_sigma_w, summarise, to_block
from mfmi.storage.parquet import to_table

BY_NAME = {column.name: column for column in COLUMNS}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows with what they lack filled in, one point each."""
    usual = {
        "activation": "tanh", "weights": "gaussian", "noise_at": "output", "sigma_w": 1.0, "sigma_b": 0.0,
        "sigma_noise": 0.1, "input_variance": 1.0, "depth": 1, "chi_1": 1.0, "phase": "ordered", "mi_linear": math.nan,
        "mi_lower": math.nan, "status": "ok", "message": "", "normalization": "none", "norm_at": None,
        "noise_scale": "absolute", "skip": 0.0, "branch": 1.0, "branch_matrices": 1,
    }  # fmt: skip
    full = [{"point": i} | usual | row for i, row in enumerate(rows)]
    kinds = {"int64": np.int64, "int32": np.int32, "float64": np.float64, "string": object}
    block = {name: np.array([row[name] for row in full], dtype=kinds[BY_NAME[name].dtype]) for name in full[0]}
    return to_table(block)


def summary(
    rows: list[dict[str, Any]], by: tuple[str, ...] = ("activation", "weights", "noise_at", "depth")
) -> Summary:
    return summarise(table(rows).to_batches(), by)


def test_the_two_quantities_have_their_own_best() -> None:
    found = summary(
        [
            {"sigma_w": 1.0, "mi_linear": 0.5, "mi_lower": 0.6},
            {"sigma_w": 2.0, "mi_linear": 0.4, "mi_lower": 0.9, "sigma_b": 0.2, "chi_1": 1.4, "phase": "chaotic"},
        ]
    )
    (line,) = found.lines
    linear, total = line.best["mi_linear"], line.best["mi_lower"]
    assert linear is not None
    assert total is not None
    assert (linear.value, linear.sigma_w, linear.point) == (0.5, 1.0, 0)
    assert (total.value, total.sigma_w, total.sigma_b, total.chi_1, total.phase) == (0.9, 2.0, 0.2, 1.4, "chaotic")


def test_nulls_are_never_best() -> None:
    (line,) = summary([{"mi_linear": math.nan}, {"mi_linear": -1.0}, {"mi_linear": math.nan}]).lines
    assert line.best["mi_linear"] is not None
    assert line.best["mi_linear"].point == 1
    assert line.best["mi_lower"] is None


def test_ties_go_to_the_first() -> None:
    (line,) = summary([{"mi_linear": 0.5}, {"mi_linear": 0.5}]).lines
    assert line.best["mi_linear"] is not None
    assert line.best["mi_linear"].point == 0


def test_networks_without_bound_are_not_the_best_unless_asked_for() -> None:
    rows = [{"mi_linear": 0.5, "phase": "critical"}, {"mi_linear": 9.0, "phase": "unbounded", "sigma_w": 3.0}]
    found = summary(rows)
    assert found.lines[0].best["mi_linear"] is not None
    assert (found.lines[0].best["mi_linear"].value, found.left_out) == (0.5, 1)
    asked = summarise(table(rows).to_batches(), unbounded=True)
    assert asked.lines[0].best["mi_linear"] is not None
    assert (asked.lines[0].best["mi_linear"].value, asked.left_out) == (9.0, 0)
    only = summary(rows[1:])
    assert (only.lines[0].best["mi_linear"], only.left_out) == (None, 1)


def test_groups_come_in_order_of_appearance() -> None:
    rows = [{"activation": name, "depth": depth} for name in ("relu", "tanh") for depth in (5, 1)]
    assert [line.key for line in summary(rows).lines] == [
        ("relu", "gaussian", "output", 5),
        ("relu", "gaussian", "output", 1),
        ("tanh", "gaussian", "output", 5),
        ("tanh", "gaussian", "output", 1),
    ]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2]), st.one_of(st.just(math.nan), st.floats(-1, 1))), min_size=1, max_size=30
    ),
    st.integers(1, 7),
)
def test_batches_do_not_matter(rows: list[tuple[int, float]], size: int) -> None:
    whole = table([{"depth": depth, "mi_linear": value} for depth, value in rows])
    by = ("depth",)
    one, many = Gathering(by), Gathering(by)
    one.add(whole)
    for start in range(0, whole.num_rows, size):
        many.add(whole.slice(start, size))
    assert one.groups == many.groups
    for depth in {depth for depth, _ in rows}:
        values = [value for d, value in rows if d == depth and not math.isnan(value)]
        best = one.groups[(depth,)]["mi_linear"]
        assert (best.value if best else None) == (max(values) if values else None)


def test_the_distance_is_to_the_edge_at_that_bias_and_hidden_noise() -> None:
    rows = [
        {"sigma_w": 1.5, "sigma_b": 0.3, "sigma_noise": 0.1, "noise_at": place, "mi_linear": 1.0}
        for place in ("output", "every")
    ]
    lines = summary(rows).lines
    for line, hidden in zip(lines, (0.0, 0.1), strict=True):
        best = line.best["mi_linear"]
        assert best is not None
        edge = float(edge_of_chaos("tanh", sigma_b=0.3, sigma_noise=hidden).sigma_w[0])
        assert best.edge == pytest.approx(edge, rel=1e-12)
        assert best.distance == pytest.approx(1.5 / edge - 1.0, rel=1e-12)


def test_no_edge_is_said_and_not_made_up() -> None:
    (line,) = summary([{"activation": "relu", "sigma_b": 0.5, "mi_linear": 1.0}]).lines
    assert line.best["mi_linear"] is not None
    assert math.isnan(line.best["mi_linear"].edge)
    assert edge_sigma_w("relu", [0.0, 0.5], [0.0, 0.0]) == [[pytest.approx(math.sqrt(2.0))], []]


@pytest.mark.parametrize(
    ("sigma_w", "text"), [(1.02, "+2.0%"), (0.5, "-50%"), (90.0, "+8900%"), (1e80, "+1e+82%"), (math.nan, "none")]
)
def test_a_distance_fits_its_column(sigma_w: float, text: str) -> None:
    best = Best(1.0, 0, "relu", "output", sigma_w, 0.0, 0.0, 1.0, 0.1, 1.0, 1.0, "ordered", edge=1.0)
    assert _distance(best) == text


def test_a_best_point_at_an_end_of_the_range_is_marked() -> None:
    rows = [
        {"sigma_w": w, "depth": d, "mi_linear": v}
        for d, vs in ((1, (1, 2, 3)), (2, (1, 3, 2)))
        for w, v in enumerate(vs)
    ]
    best = [line.best["mi_linear"] for line in summary(rows).lines]
    assert [one.at_ends for one in best if one] == [("sigma_w",), ()]


def test_each_coordinate_is_marked_by_itself_and_nothing_lies_beyond_0() -> None:
    rows = [
        {"sigma_w": w, "sigma_b": b, "depth": d, "mi_linear": 1.0 if (w, b) == best else 0.5}
        for d, best in enumerate([(1.0, 0.5), (1.5, 2.0), (2.0, 2.0), (1.5, 1.0), (1.5, 0.0)], 1)
        for w in (1.0, 1.5, 2.0)
        for b in (0.0, 0.5, 1.0, 2.0)
    ]
    best = [line.best["mi_linear"] for line in summary(rows).lines]
    assert [one.at_ends for one in best if one] == [("sigma_w",), ("sigma_b",), ("sigma_w", "sigma_b"), (), ()]


def test_counts_and_failures() -> None:
    found = summary(
        [
            {"phase": "ordered"},
            {"phase": "chaotic", "status": "unconverged", "message": "the residual is 1e-3"},
            *({"phase": None, "status": "failed", "message": f"number {i}"} for i in range(4)),
        ]
    )
    assert found.tally.statuses == {"ok": 1, "unconverged": 1, "failed": 4}
    assert found.tally.phases == {"ordered": 1, "chaotic": 1}
    text = drawn(found)
    assert "ordered 1 (16.7 %), chaotic 1 (16.7 %)" in text
    assert "failed 4 (66.7 %)" in text
    assert "the residual is 1e-3" in text
    assert "number 1" in text
    assert "number 2" not in text
    assert "and 2 more" in text


def test_no_rows() -> None:
    found = summarise([])
    assert found.lines == ()
    block, columns = to_block(found, BY_NAME)
    assert all(len(values) == 0 for values in block.values())
    assert [column.name for column in columns] == list(block)
    assert drawn(found) == "no rows\n"


def test_the_number_of_groups_is_bounded() -> None:
    count = GROUP_LIMIT + 1
    rows = {name: values.take([0] * count) for name, values in zip(*_one_row(), strict=True)}
    rows["sigma_w"] = pa.array(np.arange(count, dtype=float))
    with pytest.raises(ValueError, match=f"more than {GROUP_LIMIT} groups"):
        Gathering(("sigma_w",)).add(pa.table(rows))


def _one_row() -> tuple[list[str], list[Any]]:
    row = table([{}])
    return row.column_names, row.columns


def test_lines_as_columns() -> None:
    found = summary([{"sigma_w": 1.2, "mi_linear": 0.5, "depth": 3}])
    block, columns = to_block(found, BY_NAME)
    described = {column.name: column for column in columns}
    assert block["depth"].tolist() == [3]
    assert block["mi_linear"].tolist() == [0.5]
    assert block["best_linear_sigma_w"].tolist() == [1.2]
    assert block["best_linear_distance"].tolist() == [pytest.approx(0.2)]
    assert np.isnan(block["mi_lower"]).all()
    assert np.isnan(block["best_lower_edge"]).all()
    assert described["mi_linear"].unit == "nats per input dimension"


def drawn(found: Summary, width: int = 80, **settings: Any) -> str:
    text = io.StringIO()
    draw(Console(file=text, width=width, color_system=None, markup=False), found, "nats", "eoc.parquet", **settings)
    return text.getvalue()


def grid(activations: int, depths: int) -> Summary:
    names = ("tanh", "relu", "erf", "linear", "hard_tanh", "leaky_relu")[:activations]
    places = itertools.product(names, ("gaussian", "orthogonal"), range(1, depths + 1), (0.5, 1.5))
    return summary(
        [
            {"activation": a, "weights": w, "depth": d, "sigma_w": s, "mi_linear": s / d, "mi_lower": 1.0}
            for a, w, d, s in places
        ]
    )


@pytest.mark.parametrize(("activations", "depths"), [(1, 1), (1, 50), (2, 3), (2, 50), (6, 10)])
def test_a_summary_fits_a_screen(activations: int, depths: int) -> None:
    lines = drawn(grid(activations, depths)).splitlines()
    assert len(lines) <= 2 + 2 * SCREEN_LINES + 4
    if activations <= 2:
        assert len(lines) <= 22
    table_lines = [line for line in lines if not line.startswith("*") and "more lines" not in line]
    assert max(map(len, table_lines)) <= 80


@pytest.mark.parametrize("width", [48, 60, 70, 79, 80, 100])
@pytest.mark.parametrize("by", [("depth",), ("weights", "activation"), ("depth", "sigma_noise")])
def test_rows_fit_the_terminal_and_what_has_no_room_is_named(width: int, by: tuple[str, ...]) -> None:
    rows = [
        {"activation": "leaky_relu(0.01)", "sigma_w": w, "sigma_b": 0.5, "mi_linear": w, "mi_lower": w} for w in (1, 2)
    ]
    text = drawn(summary(rows, by), width).splitlines()
    rows_of_it = [line for line in text if "2.000" in line]
    header = text[text.index(rows_of_it[0]) - (1 if len(by) == 1 else 2)]
    assert rows_of_it
    assert all(len(line) <= width for line in (*rows_of_it, *text[: text.index(header) + 1]))
    for name in ("sigma_b", "chi_1", "edge"):
        assert (name in header) != any(line.startswith("no room for") and name in line for line in text)


def test_marks_name_the_coordinates_they_stand_at() -> None:
    rows = [
        {"sigma_w": w, "sigma_b": b, "depth": d, "mi_linear": 1.0 if (w, b) == best else 0.5}
        for d, best in enumerate([(1.5, 0.25), (1.5, 1.0)], 1)
        for w in (1.0, 1.5, 2.0)
        for b in (0.25, 0.5, 1.0)
    ]
    text = drawn(summary(rows))
    assert " 0.25*" in text
    assert " 1*" in text
    assert "* at an end of the sigma_b that were swept: the maximum may lie beyond" in text
    assert text.count("may lie beyond") == 1


@pytest.mark.parametrize("is_terminal", [True, False])
def test_sentences_go_on_with_a_whole_word_on_a_terminal(is_terminal: bool) -> None:
    out = io.StringIO()
    text = "* at an end of the sigma_w or sigma_b that were swept: the maximum may lie beyond"
    tell(Console(file=out, force_terminal=is_terminal, color_system=None, width=80), text)
    assert out.getvalue() == (text.replace(" beyond", "\nbeyond") if is_terminal else text) + "\n"


def test_what_is_left_out_is_said() -> None:
    text = drawn(grid(2, 50))
    assert f"{200 - SCREEN_LINES} more lines: mfmi show eoc.parquet --all" in text
    assert "more lines" not in drawn(grid(2, 50), everything=True)


def test_both_quantities_are_named_and_apart() -> None:
    text = drawn(grid(1, 1))
    assert "best mi_linear, linearly readable" in text
    assert "best mi_lower, total (lower bound)" in text


@pytest.mark.parametrize("room", [1, 3, 12])
def test_a_choice_keeps_the_deepest(room: int) -> None:
    lines = [Line(("tanh", depth), {}) for depth in range(1, 51)]
    picked = [line.key[1] for line in chosen(lines, room)]
    assert len(picked) == room
    assert picked[-1] == 50
    assert picked == sorted(set(picked))
    if room > 1:
        assert picked[0] == 1


def test_noise_levels_are_not_mixed_silently() -> None:
    rows = [{"sigma_noise": noise, "mi_linear": 1.0} for noise in (0.1, 0.2)]
    assert "best over noise from 0.1 to 0.2" in drawn(summary(rows))
    assert "best over noise" not in drawn(summary(rows, ("sigma_noise", "depth")))
