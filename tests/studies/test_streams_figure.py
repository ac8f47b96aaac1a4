"""The figures of branch scales and number formats: the numbers behind them, and that they are drawn."""

from pathlib import Path

import numpy as np
import pytest

import mfmi
from mfmi.meanfield import NUMBER_FORMATS
from studies.streams import BLOCKS, BRANCHES, draw_branches, draw_precision, over_depth, over_precision

ROOT = Path(__file__).parents[2]
PRE_NORM, NO_NORM = BLOCKS


def test_branches_are_those_of_the_label() -> None:
    rows = over_depth(PRE_NORM, (2, 4))
    assert rows.label.tolist() == [str(one) for one in BRANCHES for _ in range(2)]
    assert rows.branch.tolist() == pytest.approx([0.1, 0.1, 0.3, 0.3, 1.0, 1.0, 2**-0.5, 0.5], rel=1e-12)
    (expected,) = mfmi.evaluate(
        "gelu", 1.0, 0.0, 0.1, 4, skip=1, branch=0.3, normalization="layernorm", branch_matrices=2, hidden_ratio=4,
        noise_scale="relative", estimators=["linear"],
    ).mi_linear  # fmt: skip
    assert rows.mi_linear[3] == pytest.approx(expected, rel=1e-12)


def test_what_the_page_says_of_depth_holds() -> None:
    for name, last in ((PRE_NORM, 0.93), (NO_NORM, 0.63)):
        rows = over_depth(name, (1, 32, 64)).set_index(["label", "depth"]).mi_linear
        assert rows["1/sqrt(depth)", 64] == pytest.approx(last, abs=0.005)
        # The loss of a branch that goes with the depth stays; that of any other grows.
        assert rows["1/sqrt(depth)", 32] - rows["1/sqrt(depth)", 64] < 0.015
        assert all(rows[branch, 32] - rows[branch, 64] > 0.01 for branch in ("0.1", "0.3", "1.0"))
        assert rows["1.0", 64] < 0.2


def test_what_is_no_prediction_is_marked() -> None:
    rows = over_precision(PRE_NORM, 4, (0.01, 0.3, 1.0))
    assert rows.label.tolist() == [name for name in NUMBER_FORMATS for _ in range(3)]
    doubted = rows.doubted.to_numpy().reshape(4, 3)
    assert not doubted[0].any()  # float16
    assert doubted[2].tolist() == [True, False, False]  # float8_e4m3fn
    information = rows.mi_linear.to_numpy().reshape(4, 3)
    assert (np.diff(information, axis=0) < 0.0).all()  # fewer bits, less information


@pytest.mark.thorough
def test_they_are_drawn_twice_the_same() -> None:
    branches = {name: over_depth(name, (1, 2)) for name in BLOCKS}
    precision = {name: over_precision(name, 2, (0.1, 1.0)) for name in BLOCKS}
    for draw, frames in ((draw_branches, branches), (draw_precision, precision)):
        image = draw(frames)
        assert image.startswith(b"\x89PNG")
        assert image == draw(frames)


def test_the_figures_are_those_of_the_make_target() -> None:
    assert "studies.streams docs/figures" in (ROOT / "Makefile").read_text()
    for name in ("streams_branch", "streams_precision"):
        assert (ROOT / "docs" / "figures" / f"{name}.png").stat().st_size < 150_000
