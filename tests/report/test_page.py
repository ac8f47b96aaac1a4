"""Pages as files: every number and word of the table is in them, no text of it is code, and the bytes are the same."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome
from hypothesis import given
from hypothesis import strategies as st
from page_rows import DEPTHS, HARM, SIGMA_B, SIGMA_W, sweep_block, write_audit, write_sweep

from mfmi.meanfield import edge_of_chaos
from mfmi.report.axes import FigureAxis
from mfmi.report.edge_lines import edge_lines, edge_places
from mfmi.report.figure_choice import Wishes, choose
from mfmi.report.network_words import with_words
from mfmi.report.page import sweep_page
from mfmi.report.page.edges import edges_of
from mfmi.report.page.packing import DIGITS, LEAST_EXPONENT, decimal_codes
from mfmi.report.page.thinning import thinned, thinned_audit
from mfmi.storage.parquet import columns_in

CommandLine = Callable[..., Outcome]
NETWORK = {"activation": "tanh", "noise_at": "every", "sigma_noise": 0.1, "skip": 0.0, "branch": 1.0, "network": ""}


class Elements(HTMLParser):
    """Elements of a page with their attributes and the text in them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.inside = []
        self.found.append((tag, dict(attributes), self.inside))

    def handle_endtag(self, tag: str) -> None:
        self.inside = []

    def handle_data(self, data: str) -> None:
        self.inside.append(data)

    def text(self, tag: str, **attributes: str) -> str:
        hits = [one for one in self.found if one[0] == tag and attributes.items() <= one[1].items()]
        assert len(hits) == 1
        return "".join(hits[0][2])


class Unpacked:
    """The table in a page, read as its scripts read it, in other words."""

    def __init__(self, page: str) -> None:
        elements = Elements(page)
        self.content = json.loads(elements.text("script", id="content"))
        data = zlib.decompress(base64.b64decode(elements.text("script", id="packed")))
        self.arrays = []
        for one in self.content["arrays"]:
            size = 4 * one["count"]
            planes, data = np.frombuffer(data[:size], np.uint8).reshape(4, -1), data[size:]
            codes = planes.T.copy().view("<u4").ravel().astype(np.int64)
            values = np.where(codes % 2, -(codes + 1) // 2, codes // 2)
            for _ in range(one["order"]):
                values = np.cumsum(values)
            self.arrays.append((values + 2**31) % 2**32 - 2**31)
        assert data == b""

    def column(self, name: str) -> list[Any]:
        column = next(one for one in self.content["columns"] if one["name"] == name)
        kind = column["kind"]
        if kind == "constant":
            return [column["value"]] * self.content["rows"]
        if kind == "axis":
            axis = next(one for one in self.content["axes"] if one["name"] == column["axis"])
            return [(axis.get("words") or axis["values"])[place] for place in self.arrays[axis["places"]]]
        if kind == "text":
            return [column["words"][code] for code in self.arrays[column["codes"]]]
        states = self.arrays[column["states"]] if "states" in column else np.zeros(self.content["rows"], int)
        if kind == "whole":
            high = self.arrays[column["high"]] if "high" in column else np.zeros(self.content["rows"], int)
            known = (high.astype(np.int64) << 30) + self.arrays[column["low"]]
        else:
            known = np.array([decimal(int(code)) for code in self.arrays[column["codes"]]])
        return [(value, None, np.inf, -np.inf)[state] for value, state in zip(known, states, strict=True)]

    def frame(self, names: list[str]) -> pd.DataFrame:
        return pd.DataFrame({name: self.column(name) for name in names})


def decimal(code: int, digits: int = DIGITS) -> float:
    """The number that a code stands for, by the text of its decimals."""
    if code == 0:
        return 0.0
    step = 9 * 10 ** (digits - 1)
    power, mantissa = divmod(abs(code) - 1, step)
    size = float(f"{mantissa + 10 ** (digits - 1)}e{power + LEAST_EXPONENT - digits + 1}")
    return size if code > 0 else -size


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("page") / "sweep.parquet"
    return path, write_sweep(path)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("page")
    return folder / "audit.parquet", write_audit(folder / "audit.parquet", folder / "steps", 2)


# ---- numbers ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1.797e308, 1.797e308) | st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1))
def test_codes_are_numbers_of_so_many_digits(values: list[float]) -> None:
    codes, states = decimal_codes(values)
    kinds = [1 if np.isnan(value) else 2 if value == np.inf else 3 if value == -np.inf else 0 for value in values]
    assert states.tolist() == kinds
    decoded = [decimal(int(code)) for code, kind in zip(codes, kinds, strict=True) if kind == 0]
    finite = [value for value in values if np.isfinite(value)]
    # A decimal that lies in the middle of two may go to either.
    np.testing.assert_allclose(decoded, finite, rtol=0.5000001 * 10.0 ** (1 - DIGITS), atol=1e-320)


@pytest.mark.parametrize(
    "value", [1.0, 10.0, 1e-5, 9.99994, 9.99996, 0.1 + 0.2, 99999.0, 123456.0, 1e22, -3.25e-7, 2e300]
)
def test_codes_of_round_numbers_are_exact(value: float) -> None:
    assert decimal(int(decimal_codes([value])[0][0])) == rounded(value)


def test_codes_grow_with_the_numbers() -> None:
    values = np.sort(np.concatenate([-np.geomspace(1e-9, 1e9, 1000), [0.0], np.geomspace(1e-9, 1e9, 1000)]))
    assert (np.diff(decimal_codes(values)[0]) > 0).all()


# ---- the file --------------------------------------------------------------------------------------------------------


def test_a_page_holds_every_cell_of_the_table(
    command_line: CommandLine, sweep: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, block = sweep
    done = command_line("plot", path, "-o", tmp_path / "page.html", "--data", tmp_path / "data.csv")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "data.csv").read_text().startswith("series,")
    unpacked = Unpacked((tmp_path / "page.html").read_text())
    found = unpacked.frame(list(block)).sort_values(["point", "depth"], ignore_index=True)
    wanted = pd.DataFrame(block).sort_values(["point", "depth"], ignore_index=True)
    assert len(found) == len(wanted)
    for name in block:
        mine = [None if one is None or one != one else one for one in wanted[name]]
        if wanted[name].dtype == np.float64:
            mine = [one if one is None else rounded(one) for one in mine]
            assert [
                one if one is None or np.isinf(one) else rounded(one) for one in found[name].replace(np.nan, None)
            ] == mine
        else:
            assert [None if one != one else one for one in found[name]] == mine


def test_the_axes_and_pictures_are_those_of_the_figure(
    command_line: CommandLine, sweep: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    assert command_line("plot", sweep[0], "-o", tmp_path / "page.html", "--quantity", "q").code == 0
    content = Unpacked((tmp_path / "page.html").read_text()).content
    assert [axis["name"] for axis in content["axes"]] == ["activation", "weights", "sigma_w", "sigma_b", "depth"]
    start = {axis["name"]: (axis.get("words") or axis["values"])[axis["start"]] for axis in content["axes"]}
    assert (start["activation"], start["depth"]) == ("erf", 20)
    pictures = [(one["kind"], one["x"], one["y"]) for one in content["pictures"]]
    assert pictures[0] == ("heat", "sigma_w", "sigma_b")
    assert {("heat", "sigma_w", "depth"), ("curves", "depth", None), ("curves", "sigma_b", None)} <= set(pictures)
    assert content["entries"][content["start"]["entry"]]["column"] == "q"
    args = ("plot", sweep[0], "-o", tmp_path / "curves.html", "--x", "depth", "--by", "sigma_w")
    assert command_line(*args).code == 0
    content = Unpacked((tmp_path / "curves.html").read_text()).content
    assert content["pictures"][0]["label"] == "curves along depth"
    assert content["start"]["by"] == "sigma_w"
    panel = content["entries"][content["start"]["entry"]]["panels"][0]
    assert [one["column"] for one in panel["series"]] == ["mi_linear", "mi_lower", "mi_upper", "mi_replica"]
    assert [(one["low"], one["high"]) for one in panel["areas"]] == [("mi_lower", "mi_upper")]


def test_a_ranking_looks_for_the_largest_over_standard_deviations(
    command_line: CommandLine, sweep: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    args = ("plot", sweep[0], "-o", tmp_path / "page.html", "--kind", "ranking")
    assert command_line(*args, "--quantity", "mi_replica").code == 0
    content = Unpacked((tmp_path / "page.html").read_text()).content
    ranking, *others = content["pictures"]
    assert (ranking["label"], ranking["over"]) == ("activations ranked", ["sigma_w", "sigma_b"])
    assert "heat map of sigma_w and sigma_b" in [one["label"] for one in others]
    entry = content["entries"][content["start"]["entry"]]
    assert entry["column"] == "mi_replica"
    assert [one["column"] for one in entry["ranking"]["series"]] == ["mi_replica", "mi_linear"]
    assert [(one["low"], one["high"]) for one in entry["ranking"]["areas"]] == [("mi_lower", "mi_upper")]
    alone = next(one for one in content["entries"] if one["column"] == "chi_1")["ranking"]
    assert ([one["column"] for one in alone["series"]], alone["areas"]) == (["chi_1"], [])
    one = ("--where", "activation == 'tanh' and sigma_w == 0.6 and sigma_b == 0 and depth == 1")
    assert command_line(*args, "--force", *one).code == 0
    content = Unpacked((tmp_path / "page.html").read_text()).content
    assert [axis["name"] for axis in content["axes"]] == ["activation", "weights"]
    assert content["pictures"][0]["over"] == []
    refused = command_line(*args, "--force", "--x", "sigma_w")
    assert (refused.code, "a ranking has no --x" in refused.err) == (2, True)


def test_the_longest_reasons_end_with_a_whole_word(command_line: CommandLine, tmp_path: Path) -> None:
    write_sweep(tmp_path / "rows.parquet", ("nope",))
    done = command_line("plot", tmp_path / "rows.parquet", "-o", tmp_path / "page.html")
    note = " ".join(done.err.split())
    assert "no edge of chaos is drawn for 'nope': unknown activation 'nope'. Known: tanh, relu," in note
    assert re.search(r", \w+, \.\.\.$", note)


def test_a_condition_is_met_and_named(
    command_line: CommandLine, sweep: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    where = "depth < 20 and activation == 'tanh'"
    assert command_line("plot", sweep[0], "-o", tmp_path / "page.html", "--where", where).code == 0
    text = (tmp_path / "page.html").read_text()
    assert "where depth &lt; 20 and activation == &#x27;tanh&#x27;" in text
    found = Unpacked(text).frame(["activation", "depth"])
    assert set(found["activation"]) == {"tanh"}
    assert set(found["depth"]) == set(DEPTHS) - {20}


def test_the_same_file_gives_the_same_page(
    command_line: CommandLine, sweep: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    pages = [tmp_path / "one.html", tmp_path / "two.html"]
    assert [command_line("plot", sweep[0], "-o", page).code for page in pages] == [0, 0]
    assert pages[0].read_bytes() == pages[1].read_bytes()


@pytest.mark.parametrize("kind", ["sweep", "audit"])
def test_no_text_of_the_file_becomes_code(
    command_line: CommandLine, request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    path, _ = request.getfixturevalue(kind)
    assert command_line("plot", path, "-o", tmp_path / "page.html").code == 0
    text = (tmp_path / "page.html").read_text()
    assert HARM not in text
    assert "onerror=alert(1)" in text
    elements = Elements(text)
    assert not [tag for tag, _, _ in elements.found if tag == "img"]
    scripts = [("".join(inside), attributes) for tag, attributes, inside in elements.found if tag == "script"]
    run = [inside for inside, attributes in scripts if "type" not in attributes]
    assert len(run) == 2
    policy = next(one["content"] for tag, one, _ in elements.found if "http-equiv" in one) or ""
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in run]
    assert re.findall(r"'sha256-([^']+)'", policy) == digests
    assert policy.startswith("default-src 'none';")


def test_where_the_rows_come_from_is_said(
    command_line: CommandLine, sweep: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    assert command_line("plot", sweep[0], "-o", tmp_path / "page.html").code == 0
    text = (tmp_path / "page.html").read_text()
    for said in ("<th>seed</th><td>7</td>", "ab" * 32, "linear theorem given Gaussian equivalence", "<pre>version: 1"):
        assert said in text


def test_an_audit_is_a_page_of_its_layers(
    command_line: CommandLine, audit: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, block = audit
    done = command_line("plot", path, "-o", tmp_path / "page.html")
    assert (done.code, done.err) == (0, "")
    text = (tmp_path / "page.html").read_text()
    assert "<li>layers.0.weight: too small</li>" in text
    assert "Not among the layers: norm.scale:" in text
    unpacked = Unpacked(text)
    rows = pd.DataFrame(block)
    layers = rows[rows["status"] != "skipped"]
    found = unpacked.frame(["name", "step", "sigma_w", "singular_max", "fan_in", "drawn"])
    merged = found.merge(layers, on=["name", "step"], suffixes=("", "_file"))
    assert len(merged) == len(layers) == len(found)
    for name in ("sigma_w", "singular_max"):
        np.testing.assert_allclose(merged[name], merged[f"{name}_file"], rtol=10.0 ** (1 - DIGITS))
    assert (merged["fan_in"] == merged["fan_in_file"]).all()
    panels = unpacked.content["entries"][0]["panels"]
    assert [one["axis"].split("\n")[0] for one in panels] == ["sigma_w", "singular values", "information"]


def test_points_that_fill_no_grid_have_a_picture_of_even_cells() -> None:
    rows = pd.DataFrame(sweep_block(("tanh",)))
    rows = rows[(rows["sigma_w"] < 1.5) | (rows["sigma_b"] < 0.15)]
    columns = columns_in("nats")
    for refined, cells in (({}, None), ({"sigma_w": False, "sigma_b": False}, 120)):
        choice = choose(rows, Wishes(), refined)
        page = sweep_page(rows, choice, columns, None, title="")
        picture = page.content["pictures"][0]
        assert (picture["kind"], picture["x"], picture["y"]) == ("heat", "sigma_w", "sigma_b")
        raster = picture.get("raster")
        assert (None if raster is None else [len(axis["values"]) for axis in raster]) == (cells and [cells, cells])
        assert raster is None or [axis["name"] for axis in raster] == ["sigma_w", "sigma_b"]


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_an_existing_page_is_refused(
    command_line: CommandLine, sweep: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    done = command_line("plot", sweep[0], "-o", page)
    assert (done.code, page.read_text()) == (5, "mine")
    assert "--force replaces it" in done.err
    assert command_line("plot", sweep[0], "-o", page, "--force").code == 0
    assert page.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--width", "5"], "a page is as wide as its window: --width is for PNG, SVG and PDF."),
        (["--terminal"], "--terminal draws here; -o draws into a file."),
    ],
)
def test_options_that_mean_nothing_are_refused(
    command_line: CommandLine, sweep: tuple[Path, dict[str, Any]], tmp_path: Path, options: list[str], reason: str
) -> None:
    done = command_line("plot", sweep[0], "-o", tmp_path / "page.html", *options)
    assert done.code == 2
    assert reason in done.err
    assert list(tmp_path.iterdir()) == []


def test_without_bokeh_one_line_says_what_to_install(
    command_line: CommandLine, sweep: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfmi.report.page.document.find_spec", lambda name: None)
    done = command_line("plot", sweep[0], "-o", tmp_path / "page.html")
    assert done.code == 2
    assert "a page needs Bokeh: pip install 'mfmi[web]'." in done.err
    assert list(tmp_path.iterdir()) == []


# ---- fewer rows ------------------------------------------------------------------------------------------------------


def test_rows_are_left_out_of_sliders_before_the_picture() -> None:
    depths = np.arange(1, 41)
    grid = pd.DataFrame(sweep_block(("tanh",)))
    base = grid[(grid["depth"] == 1) & (grid["weights"] == "gaussian")]
    rows = pd.concat([base.assign(depth=depth) for depth in depths], ignore_index=True)
    choice = choose(rows, Wishes())
    keep, notes = thinned(rows, choice, len(base) * 10)
    assert len(base) * 8 <= keep.sum() <= len(base) * 10
    kept = rows[keep]
    assert {1, 40} <= set(kept["depth"])
    assert len(kept[["sigma_w", "sigma_b"]].drop_duplicates()) == len(SIGMA_W) * len(SIGMA_B)
    assert re.search(r"of the 40 values of depth are on this page.*--where picks others", notes[0])
    keep, notes = thinned(rows, choice, 100)
    assert keep.sum() <= 100
    assert "The largest values that are marked are those of the rows on this page." in notes
    keep, notes = thinned(rows, choice, len(rows))
    assert (keep.all(), notes) == (True, ())
    keep, notes = thinned(rows, choose(rows, Wishes("ranking")), len(base) * 10)
    assert len(rows[keep][["sigma_w", "sigma_b"]].drop_duplicates()) == len(SIGMA_W) * len(SIGMA_B)


def test_a_page_that_would_be_too_large_says_what_it_leaves_out(
    command_line: CommandLine, sweep: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command_line("plot", sweep[0], "-o", tmp_path / "whole.html").code == 0
    most = (tmp_path / "whole.html").stat().st_size - 2000
    monkeypatch.setattr("mfmi.cli.plot_page.MOST_BYTES", most)
    done = command_line("plot", sweep[0], "-o", tmp_path / "part.html")
    assert done.code == 0
    assert re.search(r"wrote .*part.html \(.* MB, \d+ of 640 rows\)", done.out)
    assert (tmp_path / "part.html").stat().st_size <= most
    assert "for it has no room for all 640 rows" in (tmp_path / "part.html").read_text()


def test_an_audit_that_would_be_too_large_says_what_it_leaves_out(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for step in range(5):
        weights = {f"layers.{i}.weight": rng.normal(size=(6, 6)) for i in range(3)}
        np.savez(tmp_path / f"step{step}.npz", **weights, **{"norm.scale": np.ones(6)})
    assert command_line("audit", *sorted(tmp_path.glob("*.npz")), "-o", tmp_path / "a.parquet").code == 0
    assert command_line("plot", tmp_path / "a.parquet", "-o", tmp_path / "whole.html").code == 0
    most = (tmp_path / "whole.html").stat().st_size - 300
    monkeypatch.setattr("mfmi.cli.plot_page.MOST_BYTES", most)
    done = command_line("plot", tmp_path / "a.parquet", "-o", tmp_path / "part.html")
    assert done.code == 0
    assert re.search(r"\d+ of 20 rows\)", done.out)
    assert (tmp_path / "part.html").stat().st_size <= most
    steps = next(one for one in Unpacked((tmp_path / "part.html").read_text()).content["axes"] if one["name"] == "step")
    assert steps["values"][0] == 0
    assert steps["values"][-1] == 4
    assert len(steps["values"]) < 5
    assert f"{len(steps['values'])} of the 5 steps are on this page" in (tmp_path / "part.html").read_text()


def test_layers_are_left_out_where_two_steps_are_too_many() -> None:
    rows = pd.DataFrame({"step": np.repeat([1, 2, 3], 10), "name": [f"l{i}" for i in range(10)] * 3, "layer": 1.0})
    rows.loc[rows.name == "l3", "layer"] = np.nan
    keep, notes = thinned_audit(rows, 6)
    kept = rows[keep & rows.layer.notna().to_numpy()]
    assert len(kept) <= 6
    assert set(kept.step) == {1, 3}
    assert {"l0", "l9"} <= set(kept.name)
    assert keep[rows.name == "l3"].all()
    assert [note[:13] for note in notes] == ["2 of the 3 st", "3 of the 9 la"]


def test_no_code_runs_because_a_file_names_it(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = tmp_path / "ran"
    text = f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n\n\ndef phi(u):\n    return 0.5 * u\n"
    Path("of_a_stranger.py").write_text(text)
    write_sweep(Path("own.parquet"), ("of_a_stranger:phi",))
    for arguments in (("plot", "own.parquet", "-o", "own.svg"), ("plot", "own.parquet", "-o", "own.html")):
        done = command_line(*arguments)
        assert done.code == 0
        assert "a file that names code does not run it: --act of_a_stranger:phi does" in done.err
    done = command_line("show", "own.parquet", "--format", "table")
    assert done.code == 0
    assert "--act of_a_stranger:phi does" in done.out
    assert not ran.exists()
    done = command_line("show", "own.parquet", "--format", "table", "--act", "of_a_stranger:phi")
    assert ran.exists()
    assert "does not run it" not in done.out


# ---- the edge of chaos -----------------------------------------------------------------------------------------------


def test_edges_are_those_of_the_figure_at_every_place() -> None:
    rows = with_words(pd.DataFrame(sweep_block(("tanh",))))
    axes = [{"name": "sigma_w", "values": SIGMA_W.tolist()}, {"name": "sigma_b", "values": SIGMA_B.tolist()}]
    x, y, depth = FigureAxis.of("sigma_w", SIGMA_W), FigureAxis.of("sigma_b", SIGMA_B), FigureAxis.of("depth", DEPTHS)
    whole = edges_of(rows, axes, {"x": "sigma_w", "y": "sigma_b"})
    assert whole is not None
    (line,) = edge_lines(NETWORK, x, y)
    assert (whole["by"], whole["of"]) == ([], {"": 0})
    np.testing.assert_allclose(
        np.interp(whole["lines"][0][0]["y"], line.y, line.x), whole["lines"][0][0]["x"], rtol=1e-4
    )
    assert whole["lines"][0][0]["y"][0] == pytest.approx(0.0, abs=1e-9)
    for picture in ({"x": "sigma_w", "y": None}, {"x": "sigma_w", "y": "depth"}):
        found = edges_of(rows, axes, picture)
        assert found is not None
        assert found["by"] == ["sigma_b"]
        for place, held in enumerate(SIGMA_B):
            at = edge_places({**NETWORK, "sigma_b": held}, x)
            assert [one["x"][0] for one in found["lines"][found["of"][str(place)]]] == pytest.approx(at, rel=1e-5)
    straight = found["lines"][0][0]
    assert straight["y"] == pytest.approx([depth.borders[0], depth.borders[-1]], rel=1e-5)
    assert edges_of(rows, axes, {"x": "depth", "y": None}) is None


def test_the_edge_reaches_the_smallest_biases_with_hidden_noise() -> None:
    biases = FigureAxis.of("sigma_b", np.geomspace(1e-3, 1.0, 13))
    (line,) = edge_lines(NETWORK, FigureAxis.of("sigma_w", SIGMA_W), biases)
    assert line.y.min() < 1e-3
    assert (np.diff(line.y) > 0).all()
    below = line.y < 5e-3
    wanted = edge_of_chaos("tanh", line.y[below], 0.1)
    np.testing.assert_allclose(line.x[below], wanted.sigma_w, rtol=1e-9)


def test_activations_that_are_not_known_here_have_no_edge_and_a_note(command_line: CommandLine, tmp_path: Path) -> None:
    write_sweep(tmp_path / "own.parquet", ("tanh", "nowhere:phi"))
    for name in ("page.html", "figure.svg"):
        done = command_line("plot", tmp_path / "own.parquet", "-o", tmp_path / name)
        assert done.code == 0
        assert "no edge of chaos is drawn for 'nowhere:phi': a file that names code does not run it" in done.err
    content = Unpacked((tmp_path / "page.html").read_text()).content
    assert content["pictures"][0]["edges"]["by"] == ["activation"]
    assert list(content["pictures"][0]["edges"]["of"]) == ["0"]
