"""Recommendations and audits as a notebook shows them."""

import pickle
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mfmi
from mfmi.report.notebook import MOST_ROWS, audit_html

VOID = {"br", "hr"}


class Balanced(HTMLParser):
    """Tags that are open, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def shown(frame: pd.DataFrame) -> str:
    """The text of a well-formed page that brings no colour of a background and no script."""
    text = frame._repr_html_()  # type: ignore[operator]
    page = Balanced(text)
    assert page.open == []
    assert page.tags <= {"div", "p", "b", "ul", "li", "table", "tr", "th", "td", "details", "summary", "pre"}
    assert "background" not in text
    assert "color: black" not in text
    return " ".join(page.words)


@pytest.fixture(scope="module")
def recommendation() -> pd.DataFrame:
    return mfmi.recommend("erf", depth=3, sigma_b=0.0, emit="numpy")


def test_a_recommendation_shows_the_best_and_the_others(recommendation: pd.DataFrame) -> None:
    text = shown(recommendation)
    assert "Best by linear: erf, 3 layers, gaussian weights, noise 0.1 at the output" in text
    assert f"{recommendation.sigma_w[0]:.5g}" in text
    assert "torch.nn.Linear" in text
    assert "def initialise(" in text
    assert "nats per input dimension" in text
    assert recommendation._repr_html_() == mfmi.recommend("erf", depth=3, sigma_b=0.0, emit="numpy")._repr_html_()


def test_it_is_a_data_frame_and_what_is_made_of_it_a_plain_one(recommendation: pd.DataFrame) -> None:
    assert isinstance(recommendation, pd.DataFrame)
    for made in (recommendation.head(2), recommendation[["sigma_w"]], recommendation.copy(), recommendation.dropna()):
        assert type(made) is pd.DataFrame
        assert made.attrs == recommendation.attrs
    again = pickle.loads(pickle.dumps(recommendation))
    assert again.attrs == recommendation.attrs
    pd.testing.assert_frame_equal(again, recommendation)
    with pd.option_context("display.notebook_repr_html", False):
        assert recommendation._repr_html_() is None


def test_a_ranking_shows_each() -> None:
    text = shown(mfmi.recommend(["erf", np.abs], depth=2, sigma_b=0.0))
    assert "Best by linear" in text
    several = shown(mfmi.recommend("erf", depth=2, sigma_b=[0.0, 0.5]))
    assert several.count("erf") == 2
    assert "sigma_b" in several


def test_an_audit_shows_its_findings_and_escapes_names(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(0.0, 0.5, (64, 64))
    path = tmp_path / "a&b.npz"
    np.savez(path, **{"<script>alert(1)</script>.weight": weights, "1.weight": np.zeros((64, 64))})
    frame = mfmi.audit(path)
    text = shown(frame)
    assert "<script>" not in frame._repr_html_()  # type: ignore[operator]
    assert "<script>alert(1)</script>.weight" in text
    assert "a&b.npz" in text
    assert all(finding.partition(": ")[2] in text for finding in frame.attrs["findings"])


def test_rows_beyond_a_screen_are_counted() -> None:
    names = ("file", "step", "layer", "name", "kind", "shape", "sigma_w", "status")
    rows = MOST_ROWS + 5
    cells = ["a.npz", 0, 1, "w", "dense", "2x2", 1.0, "ok"]
    frame = pd.DataFrame({name: [cell] * rows for name, cell in zip(names, cells, strict=True)})
    text = audit_html(frame)
    assert "5 more rows" in text
    assert "nothing is off" in text
    assert text.count("<td") == MOST_ROWS * (len(names) - 1)
