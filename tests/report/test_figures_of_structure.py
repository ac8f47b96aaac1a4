"""Figures of networks with norms and skips: their panels, axes and words."""

import numpy as np
import pandas as pd
import pytest

import mfmi
from mfmi.columns import COLUMNS
from mfmi.report.figure_choice import Wishes, choose
from mfmi.report.figure_data import Curves, build, to_block
from mfmi.report.figure_words import context_phrases, words_title
from mfmi.report.network_words import NETWORK, with_words

UNITS = {column.name: column.unit for column in COLUMNS}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Streams with and without a norm, branches of one size and of one that goes with the depth."""
    branch = np.array([0.25, 1.0, "1/sqrt(depth)"], dtype=object)
    return mfmi.evaluate(
        "tanh", 1.3, depth=[1, 2, 4, 8], skip=1, branch=np.tile(branch, 2), estimators=["linear"],
        normalization=np.repeat(["none", "layernorm"], 3),
    )  # fmt: skip


def test_words_say_what_is_not_plain(rows: pd.DataFrame) -> None:
    found = with_words(rows)
    own = found[found["depth"] == 4]
    norm = "layernorm at activation"
    assert own[NETWORK].tolist() == [
        "", "", "branch 1/sqrt(depth)", norm, norm, f"{norm}, branch 1/sqrt(depth)"
    ]  # fmt: skip
    # A branch that goes with the depth is one value and not four.
    assert own["branch"].tolist() == [0.25, 1.0, 1.0] * 2
    assert rows[rows["depth"] == 4]["branch"].tolist() == [0.25, 1.0, 0.5] * 2
    assert with_words(found) is found


def test_every_kind_of_network_has_a_panel(rows: pd.DataFrame) -> None:
    choice = choose(rows, Wishes(x="depth"))
    assert (choice.kind, choice.by, choice.by_values) == ("curves", "branch", (0.25, 1.0))
    assert len(choice.panels) == 4
    figure = build(rows, choice, UNITS)
    titles = [words_title(panel.words) for panel in figure.panels]
    assert titles[0] == "no norm"
    assert "layernorm at activation" in titles
    panel = figure.panels[titles.index("layernorm at activation")]
    assert isinstance(panel, Curves)
    expected = rows[(rows["normalization"] == "layernorm") & (rows["branch"] == 0.25)]["mi_linear"].tolist()
    assert panel.curves[0].series["mi_linear"].tolist() == expected
    # Neither the edge of chaos nor the trainable depth of plain networks.
    assert all(len(panel.edges) == 0 and np.isnan(panel.trainable) for panel in figure.panels)
    assert "skip 1" in context_phrases(figure.context)
    block, columns = to_block(figure)
    assert NETWORK in block
    assert "branch" in {column.name for column in columns}
    assert len(block["value"]) == len(rows) * len(choice.quantities)


def test_skip_and_branch_are_axes() -> None:
    grid = np.meshgrid([0.0, 0.5, 1.0, 1.5], [0.25, 0.5, 0.75, 1.0], indexing="ij")
    rows = mfmi.evaluate("tanh", 1.3, depth=2, skip=grid[0].ravel(), branch=grid[1].ravel(), estimators=["linear"])
    choice = choose(rows, Wishes())
    assert (choice.kind, choice.x, choice.y) == ("heat", "skip", "branch")
    (panel,) = build(rows, choice, UNITS).panels
    assert panel.values.shape == (4, 4)
    assert panel.edges == ()
