"""``mfmi plot``: the choice of a figure, the numbers behind it, the files, and the characters in a terminal."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Outcome

import mfmi
from mfmi.bounds.evaluate import evaluate_points
from mfmi.cli.plot import command
from mfmi.columns import COLUMNS
from mfmi.networks.points import Points
from mfmi.report.axes import FigureAxis, ticks
from mfmi.report.character_map import CharacterMap
from mfmi.report.figure_choice import Wishes, choose
from mfmi.report.figure_data import Curves, Heat, build, to_block
from mfmi.report.figures import draw
from mfmi.storage.frames import to_frame
from mfmi.storage.parquet import write_blocks
from mfmi.storage.provenance import provenance

CommandLine = Callable[..., Outcome]
UNITS = {column.name: column.unit for column in COLUMNS}
DEPTHS = [1, 2, 5, 10]


def sweep(depths: list[int] = DEPTHS, **axes: Any) -> dict[str, Any]:
    """Rows of a grid of networks, sigma_w slow."""
    names = list(axes)
    mesh = np.meshgrid(*(np.asarray(values, dtype=object) for values in axes.values()), indexing="ij")
    words = ("activation", "weights", "noise_at")
    flat = {name: list(one.ravel()) for name, one in zip(names, mesh, strict=True)}
    arrays = {name: values if name in words else np.array(values, float) for name, values in flat.items()}
    return evaluate_points(Points.of(**arrays), depths, ["linear", "entropy_power"])


@pytest.fixture(scope="module")
def grid() -> dict[str, Any]:
    """Two ensembles over sigma_w and sigma_b."""
    return sweep(
        activation=["erf"],
        sigma_w=np.linspace(0.6, 2.0, 15),
        sigma_b=[0.0, 0.1, 0.2, 0.3, 0.4, 0.5],
        weights=["gaussian", "orthogonal"],
        noise_at=["every"],
    )


@pytest.fixture(scope="module")
def file(grid: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plot") / "grid.parquet"
    with open(path, "wb") as target:
        write_blocks(target, [grid], COLUMNS, provenance({}, "", "", ["linear", "entropy_power"]))
    return path


# ---- the choice ------------------------------------------------------------------------------------------------------


def test_two_long_axes_make_a_heat_map(grid: dict[str, Any]) -> None:
    choice = choose(to_frame(grid), Wishes())
    assert (choice.kind, choice.x, choice.y) == ("heat", "sigma_w", "sigma_b")
    assert choice.fixed["depth"] == 10
    assert choice.panels == ({"weights": "gaussian"}, {"weights": "orthogonal"})
    assert choice.quantities == ("mi_linear",)
    assert any("depth is held at 10, one of 4 values" in note for note in choice.notes)


def test_one_panel_shows_linear_and_total_side_by_side() -> None:
    rows = to_frame(
        sweep(
            [2],
            activation=["erf"],
            sigma_w=np.linspace(0.6, 2.0, 5),
            sigma_b=np.linspace(0, 1, 4),
            sigma_noise=[0.01],
            weights=["orthogonal"],
        )
    )
    choice = choose(rows, Wishes())
    assert choice.quantities == ("mi_linear", "mi_lower")
    assert choice.columns == 2


def test_one_long_axis_makes_curves(grid: dict[str, Any]) -> None:
    rows = to_frame(grid)
    choice = choose(rows[(rows["sigma_b"] == 0.1) & (rows["depth"] <= 2)], Wishes())
    assert (choice.kind, choice.x, choice.y, choice.by) == ("curves", "sigma_w", None, "depth")
    choice = choose(rows[(rows["sigma_b"] == 0.1) & (rows["sigma_w"] < 0.85)], Wishes())
    assert (choice.kind, choice.x, choice.by) == ("curves", "depth", "sigma_w")


def test_points_that_fill_no_grid_make_curves() -> None:
    w = np.linspace(0.6, 2.0, 8)
    rows = to_frame(evaluate_points(Points.of("erf", w, sigma_b=0.1 * w), [3], ["linear"]))
    assert choose(rows, Wishes()).kind == "curves"


def test_wishes_come_first(grid: dict[str, Any]) -> None:
    rows = to_frame(grid)
    choice = choose(rows, Wishes(y="depth"))
    assert (choice.kind, choice.x, choice.y) == ("heat", "sigma_w", "depth")
    assert choice.fixed["sigma_b"] == 0.0
    choice = choose(rows, Wishes(kind="curves", by="sigma_b", quantities=("xi_c",)))
    assert (choice.kind, choice.x, choice.by, choice.quantities) == ("curves", "sigma_w", "sigma_b", ("xi_c",))
    assert choose(rows, Wishes(x="sigma_b", y="sigma_w")).x == "sigma_b"
    choice = choose(rows, Wishes(x="depth", by="sigma_w"))
    assert choice.kind == "curves"
    assert len(choice.by_values) == 6
    assert (choice.by_values[0], choice.by_values[-1]) == (0.6, 2.0)
    assert any("6 of 15 values of sigma_w" in note for note in choice.notes)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (Wishes(x="sigma_noise"), "only one value of sigma_noise"),
        (Wishes(x="sigma_w", y="sigma_w"), "must be different"),
        (Wishes(kind="curves", y="depth"), "curves have no --y"),
        (Wishes(kind="heat", by="depth"), "a heat map has no --by"),
    ],
)
def test_wishes_that_cannot_be(grid: dict[str, Any], wishes: Wishes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        choose(to_frame(grid), wishes)


def test_nothing_to_draw_is_told() -> None:
    rows = to_frame(evaluate_points(Points.of("erf", 1.0), [3], ["linear"]))
    with pytest.raises(ValueError, match="nothing varies"):
        choose(rows, Wishes())
    with pytest.raises(ValueError, match="no rows"):
        choose(rows[:0], Wishes())


def test_many_panels_are_cut_and_told() -> None:
    names = ["erf", "relu", "linear", "abs", "sin", "cos", "leaky_relu(0.1)", "leaky_relu(0.2)", "leaky_relu(0.3)"]
    rows = to_frame(sweep([2], activation=names, sigma_w=[0.5, 1.0, 1.5, 2.0], weights=["gaussian", "orthogonal"]))
    choice = choose(rows, Wishes())
    assert len(choice.panels) == 16
    assert any("the first 16 of 18 panels" in note for note in choice.notes)


# ---- the numbers -----------------------------------------------------------------------------------------------------


def test_a_heat_map_holds_the_rows(grid: dict[str, Any]) -> None:
    rows = to_frame(grid)
    figure = build(rows, choose(rows, Wishes()), UNITS)
    here = rows[(rows["weights"] == "orthogonal") & (rows["depth"] == 10)]
    panel = figure.panels[1]
    assert isinstance(panel, Heat)
    for row in here.itertuples():
        i, j = np.searchsorted(panel.y.values, row.sigma_b), np.searchsorted(panel.x.values, row.sigma_w)
        assert panel.values[i, j] == row.mi_linear
        assert panel.phases[i, j] == row.phase
    best = here.loc[here["mi_linear"].idxmax()]
    assert panel.best == (best["sigma_w"], best["sigma_b"], best["mi_linear"])
    for b, w in zip(panel.y.values, panel.ridge, strict=True):
        line = here[here["sigma_b"] == b]
        assert w == line.loc[line["mi_linear"].idxmax(), "sigma_w"]


def test_the_edge_in_a_heat_map_is_the_edge(grid: dict[str, Any]) -> None:
    rows = to_frame(grid)
    panel = build(rows, choose(rows, Wishes()), UNITS).panels[0]
    assert isinstance(panel, Heat)
    assert panel.edges
    for line in panel.edges:
        for w, b in list(zip(line.x, line.y, strict=True))[:: max(1, len(line.x) // 20)]:
            assert mfmi.fixed_point("erf", sigma_w=w, sigma_b=b, sigma_noise=0.1).chi_1 == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("x", "y"), [("sigma_w", "depth"), ("sigma_w", "sigma_noise"), ("depth", "sigma_w")])
def test_the_edge_along_other_axes(x: str, y: str) -> None:
    rows = to_frame(
        sweep(
            activation=["erf"], sigma_w=np.linspace(0.6, 2, 6), sigma_noise=np.geomspace(0.01, 1, 5), noise_at=["every"]
        )
    )
    panel = build(rows, choose(rows, Wishes(x=x, y=y)), UNITS).panels[0]
    assert isinstance(panel, Heat)
    assert panel.edges
    for line in panel.edges:
        w, other = (line.x, line.y) if x == "sigma_w" else (line.y, line.x)
        noise = other if "sigma_noise" in (x, y) else np.full(len(w), rows["sigma_noise"].min())
        assert mfmi.fixed_point("erf", sigma_w=w, sigma_b=0.0, sigma_noise=noise).chi_1 == pytest.approx(
            np.ones(len(w)), abs=1e-9
        )


def test_curves_hold_the_rows(grid: dict[str, Any]) -> None:
    rows = to_frame(grid)
    figure = build(rows, choose(rows, Wishes(kind="curves")), UNITS)
    panel = figure.panels[0]
    assert isinstance(panel, Curves)
    here = rows[(rows["weights"] == "gaussian") & (rows["sigma_b"] == 0.0)]
    assert [curve.by for curve in panel.curves] == DEPTHS
    for curve in panel.curves:
        line = here[here["depth"] == curve.by]
        assert curve.x.tolist() == line["sigma_w"].tolist()
        assert curve.series["mi_linear"].tolist() == line["mi_linear"].tolist()
    assert panel.edges.tolist() == mfmi.edge_of_chaos("erf", 0.0, 0.1).sigma_w.tolist()


def test_the_trainable_depth_stands_on_the_axis_of_depth() -> None:
    rows = to_frame(evaluate_points(Points.of("erf", 0.9, sigma_b=0.3), list(range(1, 30)), ["linear"]))
    panel = build(rows, choose(rows, Wishes()), UNITS).panels[0]
    assert isinstance(panel, Curves)
    assert panel.trainable == pytest.approx(6.0 * mfmi.fixed_point("erf", sigma_w=0.9, sigma_b=0.3).xi_c)


def test_everything_is_in_the_table(grid: dict[str, Any]) -> None:
    rows = to_frame(grid)
    figure = build(rows, choose(rows, Wishes()), UNITS)
    block, columns = to_block(figure)
    assert [column.name for column in columns] == list(block)
    table = pd.DataFrame(block)
    drawn = table[table["series"] == "mi_linear"]
    assert len(drawn) == 2 * 15 * 6
    assert drawn["value"].max() == rows[rows["depth"] == 10]["mi_linear"].max()
    assert set(drawn["unit"]) == {"nats per input dimension"}
    assert (table["series"] == "edge of chaos").sum() > 10
    assert (table["series"] == "mi_linear, largest").sum() == 2


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize(("image_format", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_same_bytes_every_time(grid: dict[str, Any], image_format: str, start: bytes) -> None:
    rows = to_frame(grid)
    figure = build(rows, choose(rows, Wishes()), UNITS)
    image = draw(figure, image_format)
    assert image.startswith(start)
    assert draw(figure, image_format) == image
    assert not re.search(rb"CreationDate|<dc:date>|20[23]\d-\d\d-\d\d", image)


def size(image: bytes) -> tuple[int, int]:
    return int.from_bytes(image[16:20]), int.from_bytes(image[20:24])


def test_a_figure_is_as_wide_as_a_column(grid: dict[str, Any]) -> None:
    rows = to_frame(grid)
    figure = build(rows, choose(rows, Wishes()), UNITS)
    assert size(draw(figure, "png"))[0] == 1020  # 3.4 inches at 300 dots
    assert size(draw(figure, "png", 7.0))[0] == 2100


def test_nothing_is_cut_off(grid: dict[str, Any]) -> None:
    from mfmi.report.figures import _canvas, styled

    rows = to_frame(grid)
    for wishes in (Wishes(), Wishes(kind="curves"), Wishes(y="depth")):
        with styled():
            canvas = _canvas(build(rows, choose(rows, wishes), UNITS), None)
            canvas.draw_without_rendering()
            box = canvas.get_tightbbox()
        width, height = canvas.get_size_inches()
        assert box.x0 >= -0.02
        assert box.y0 >= -0.02
        assert box.x1 <= width + 0.02
        assert box.y1 <= height + 0.02


def test_a_file_alone_makes_a_figure_beside_it(command_line: CommandLine, file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "rows.parquet"
    copy.write_bytes(file.read_bytes())
    done = command_line("plot", copy)
    assert done.code == 0, done.err
    assert done.out == f"wrote {tmp_path / 'rows.png'}\n"
    assert (tmp_path / "rows.png").read_bytes().startswith(b"\x89PNG")
    again = command_line("plot", copy)
    assert again.code == 5
    assert "--force" in again.err
    assert command_line("plot", copy, "--force").code == 0


def test_the_data_behind_a_figure(command_line: CommandLine, file: Path, tmp_path: Path) -> None:
    done = command_line("plot", file, "-o", tmp_path / "a.svg", "--data", tmp_path / "a.csv", "--where", "depth == 2")
    assert done.code == 0, done.err
    table = pd.read_csv(tmp_path / "a.csv")
    assert set(table["depth"].dropna()) == {2.0}
    assert "mi_linear" in set(table["series"])


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["-o", "a.gif"], "must end with one of .png, .svg, .pdf", 2),
        (["--quantity", "mi_linaer"], "Did you mean 'mi_linear'?", 2),
        (["--quantity", "activation"], "no column of numbers 'activation'", 2),
        (["--where", "depth = 2"], "--where", 2),
        (["--where", "depth == 99"], "no rows meet --where", 2),
        (["--terminal", "-o", "a.png"], "--terminal draws here", 2),
        (["--x", "sigma_noise"], "only one value of sigma_noise", 2),
        (["--x", "sigma_v"], "'sigma_v' is not one of", 2),
    ],
)
def test_mistakes_are_told(command_line: CommandLine, file: Path, arguments: list[str], words: str, code: int) -> None:
    done = command_line("plot", file, *arguments)
    assert done.code == code
    assert words in done.err


def test_files_that_are_no_sweep(command_line: CommandLine, tmp_path: Path) -> None:
    assert command_line("plot", tmp_path / "none.parquet").code == 5
    assert command_line("phase", "--act", "erf", "--sw", "1,2", "-o", tmp_path / "p.parquet").code == 0
    done = command_line("plot", tmp_path / "p.parquet")
    assert done.code == 5
    assert "it is no sweep, for it has no column 'weights'" in done.err


def test_without_matplotlib(
    command_line: CommandLine, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mfmi.report.figures.available", lambda: False)
    done = command_line("plot", file, "-o", tmp_path / "a.png")
    assert done.code == 2
    assert "pip install matplotlib" in done.err
    assert command_line("plot", file, "--terminal").code == 0


@pytest.mark.thorough
def test_a_terminal_needs_no_matplotlib(file: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from mfmi.cli.main import main\n"
        f"main(['plot', {str(file)!r}, '--terminal', '-q'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "edge of chaos" in done.stdout


# ---- characters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [[], ["--kind", "curves"], ["--y", "depth"], ["--x", "depth", "--by", "sigma_b"], ["--quantity", "xi_c"]],
)
def test_a_terminal_of_80_columns(
    command_line: CommandLine, file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = command_line("plot", file, "--terminal", *arguments)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert max(len(line) for line in lines if "│" in line) <= 80
    assert sum("│" in line for line in lines) >= 16
    assert "\x1b" not in done.out


@pytest.mark.thorough
def test_a_terminal_without_unicode(process: Callable[..., Any], file: Path) -> None:
    done = process("plot", file, "--terminal", "-q", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "?" not in done.stdout
    assert "@" in done.stdout


def test_the_largest_value_stands_where_it_is(command_line: CommandLine, file: Path) -> None:
    out = command_line("plot", file, "--terminal", "--where", 'weights == "gaussian" and depth == 10').out
    assert re.search(r"\* largest: [\d.e-]+ at sigma_w [\d.]+, sigma_b 0", out)
    assert out.count("*") >= 2


def test_a_character_map_puts_marks_in_their_cells() -> None:
    drawn = CharacterMap(FigureAxis.of("x", [0.0, 1.0, 2.0, 3.0]), FigureAxis.of("y", [0.0, 1.0]), 4, 2)
    drawn.fill(np.array([list("abcd"), list("efgh")]), np.full((2, 4), "", dtype=object))
    assert ["".join(row) for row in drawn.glyphs] == ["abcd", "efgh"]
    drawn.mark([3.0, 9.0, np.nan], [0.0, 0.0, 0.0], "X", "")
    assert ["".join(row) for row in drawn.glyphs] == ["abcX", "efgh"]


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        ([1, 2, 5, 10, 20], True),
        (np.geomspace(0.01, 1.0, 7), True),
        (np.linspace(0.5, 3.0, 11), False),
        ([0.0, 0.1, 1.0, 10.0], False),
        ([1.0, 2.0], False),
    ],
)
def test_axes_know_their_scale(values: Any, logarithmic: bool) -> None:
    axis = FigureAxis.of("x", values)
    assert axis.logarithmic == logarithmic
    assert axis.nearest(axis.values).tolist() == list(range(len(axis)))
    assert np.all(np.diff(axis.borders) > 0.0)
    places = ticks(axis, 6)
    assert 2 <= len(places) <= 6
    assert np.all((places >= axis.values[0] - 1e-12) & (places <= axis.values[-1] + 1e-12))


def test_the_examples_are_for_the_file_of_make_demo() -> None:
    assert command.examples
    assert [example for example in command.examples if "build/demo.parquet" not in example] == []


def test_the_help_names_every_option(command_line: CommandLine) -> None:
    out = command_line("plot", "--help").out
    for option in ("--terminal", "--kind", "--where", "--data", "--quantity", "--force"):
        assert option in out


# ---- activations ranked ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several() -> pd.DataFrame:
    """Three activations, two ensembles, two deviations each."""
    block = sweep(
        [3],
        activation=["relu", "erf", "sign"],
        sigma_w=[0.8, 1.1, 1.4],
        sigma_b=[0.0, 0.2],
        weights=["gaussian", "orthogonal"],
    )
    return pd.DataFrame(block)


def ranked(rows: pd.DataFrame, *quantities: str) -> Any:
    return build(rows, choose(rows, Wishes("ranking", quantities=quantities)), UNITS)


def test_each_activation_stands_at_its_best_deviations(several: pd.DataFrame) -> None:
    figure = ranked(several)
    assert [panel.words for panel in figure.panels] == [{"weights": "gaussian"}, {"weights": "orthogonal"}]
    assert "activation" not in figure.context
    assert figure.choice.fixed["depth"] == 3
    for panel in figure.panels:
        part = several[several.weights == panel.words["weights"]]
        for name, peak in zip(panel.activations, panel.peaks["mi_linear"], strict=True):
            best = part[part.activation == name].sort_values("mi_linear").iloc[-1]
            assert (peak.value, peak.sigma_w, peak.sigma_b) == (best.mi_linear, best.sigma_w, best.sigma_b)
    values = [peak.value for peak in figure.panels[0].peaks["mi_linear"]]
    assert values == sorted(values, reverse=True)
    # One order for all panels, that of the first.
    assert figure.panels[0].activations == figure.panels[1].activations


def test_an_activation_without_value_comes_last(several: pd.DataFrame) -> None:
    panel = ranked(several, "mi_entropy_power").panels[0]
    assert panel.activations[0] == "erf"
    assert panel.peaks["mi_entropy_power"][1:] == (None, None)


def test_a_value_whose_search_missed_a_minimum_is_no_peak(several: pd.DataFrame) -> None:
    rows = several.copy()
    rows["mi_layerwise"] = rows["mi_linear"]
    relu = rows[rows.activation == "relu"]
    wrong = relu.mi_layerwise.idxmax()
    text = "layerwise: the search missed a minimum, for it ended above gaussian_upper"
    rows.loc[wrong, ["mi_layerwise", "status", "message"]] = 9.0, "unconverged", text
    panel = ranked(rows, "mi_layerwise").panels[0]
    peak = panel.peaks["mi_layerwise"][panel.activations.index("relu")]
    rest = relu[(relu.weights == panel.words["weights"]) & (relu.index != wrong)]
    assert peak.value == rest.mi_layerwise.max() > 0.0


def test_a_ranking_as_a_file_in_characters_and_as_data(
    several: pd.DataFrame, tmp_path: Path, command_line: CommandLine
) -> None:
    figure = ranked(several)
    assert draw(figure, "png").startswith(b"\x89PNG")
    block, columns = to_block(figure)
    assert {column.name for column in columns} == set(block)
    shown = pd.DataFrame(block)
    best = shown[(shown.series == "mi_linear, largest") & (shown.weights == "orthogonal")]
    assert dict(zip(best.activation, best.value, strict=True)).keys() == {"relu", "erf", "sign"}
    path = tmp_path / "several.parquet"
    with open(path, "wb") as target:
        blocks = [{name: several[name].to_numpy() for name in several}]
        write_blocks(target, blocks, COLUMNS, provenance({}, "", "", ["linear", "entropy_power"]))
    done = command_line("plot", path, "--kind", "ranking", "--terminal")
    assert done.code == 0, done.err
    assert re.search(r"erf +0\.\d{3}.* 0  [█@]+", done.out)
    assert max(map(len, done.out.splitlines())) <= 80
    refused = command_line("plot", path, "--kind", "ranking", "--x", "sigma_w", "--terminal")
    assert refused.code == 2
    assert "a ranking has no --x" in refused.err


def test_depth_scales_are_coloured_by_ratios() -> None:
    values = np.array([[0.5, 1.0, 2.0], [3.0, 4.0, 9000.0]])
    x, y = FigureAxis.of("sigma_w", [1.0, 2.0, 3.0]), FigureAxis.of("sigma_b", [0.0, 1.0])
    panel = Heat({}, "xi_c", x, y, values, np.full(values.shape, ""), (), None, np.full(2, np.nan))
    from mfmi.report.heat_panels import color_scales

    scale = color_scales([panel])["xi_c"]
    assert scale.logarithmic
    assert (scale.low, scale.high, scale.cut) == (0.5, 9000.0, False)
    assert scale.share(np.array([0.5, 9000.0])) == pytest.approx([0.0, 1.0])


def test_the_sandwich_is_a_band_in_characters(tmp_path: Path, command_line: CommandLine) -> None:
    points = Points.of("erf", np.linspace(0.5, 3.0, 11))
    rows = evaluate_points(points, [3], ["linear", "layerwise", "gaussian_upper"])
    path = tmp_path / "band.parquet"
    with open(path, "wb") as target:
        write_blocks(target, [rows], COLUMNS, provenance({}, "", "", ["linear", "layerwise", "gaussian_upper"]))
    out = command_line("plot", path, "--terminal").out
    assert re.search("[░:] lower to upper bound", out)
    drawn = [line[8:] for line in out.splitlines() if "│" in line or "|" in line]
    # Wherever there is a band it lies above the lower bound and below the upper one.
    banded = 0
    for column in range(70):
        glyphs = "".join(line[column] if column < len(line) else " " for line in drawn).replace(" ", "")
        if "░" in glyphs and "=" in glyphs and "-" in glyphs:
            assert glyphs.index("=") < glyphs.index("░")
            assert glyphs.rindex("░") < glyphs.rindex("-")
            banded += 1
    assert banded > 10
    assert max(map(len, out.splitlines())) <= 80
