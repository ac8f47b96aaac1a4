"""Pages in a real browser: nothing is fetched, nothing complained of, and the numbers are those of the table."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from page_rows import DEPTHS, SIGMA_W, write_audit, write_sweep

from mfmi.cli.main import main

pytestmark = pytest.mark.browser

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass
class Pages:
    """Files of rows, and the pages made of them by the program."""

    folder: Path
    rows: dict[str, pd.DataFrame] = field(default_factory=dict)

    def add(self, name: str, block: dict[str, Any]) -> None:
        self.rows[name] = pd.DataFrame(block)
        with pytest.raises(SystemExit) as left:
            main(["plot", str(self.folder / f"{name}.parquet"), "-o", str(self.folder / f"{name}.html")])
        assert not left.value.code


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    folder = tmp_path_factory.mktemp("pages")
    made = Pages(folder)
    made.add("sweep", write_sweep(folder / "sweep.parquet"))
    made.add("harm", write_sweep(folder / "harm.parquet", ("tanh", "<img src=x onerror=alert(3)>$$y$$")))
    made.add("audit", write_audit(folder / "audit.parquet", folder / "steps"))
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert program, f"no browser: install Debian's chromium, or name one in CHROMIUM; looked for {', '.join(NAMES)}"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, headless=True, args=list(FLAGS))
        yield started
        started.close()


class Open:
    """A page in a tab of its own, with all that it fetched, wrote to the console or asked."""

    def __init__(self, browser: Any, path: Path, scheme: str) -> None:
        # A context of its own has an empty profile.
        self.context = browser.new_context(viewport={"width": 1200, "height": 850}, color_scheme=scheme)
        self.tab = self.context.new_page()
        self.requests: list[str] = []
        self.troubles: list[str] = []
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.tab.on("dialog", lambda dialog: (self.troubles.append(dialog.message), dialog.dismiss()))
        self.tab.on("console", self._listen)
        self.url = path.as_uri()
        self.tab.goto(self.url)
        self.settle(0)

    def _listen(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(message.text)

    def drawn(self) -> int:
        return int(self.tab.locator("#plots").get_attribute("data-drawn") or 0)

    def settle(self, before: int) -> None:
        """Wait for another picture, and for the browser to have painted it."""
        self.tab.wait_for_selector("#trouble:not([hidden]), #plots[data-drawn]", state="attached", timeout=20_000)
        for _ in range(200):
            if self.drawn() > before or self.tab.locator("#trouble").is_visible():
                break
            self.tab.wait_for_timeout(25)
        assert not self.tab.locator("#trouble").is_visible(), self.tab.locator("#trouble").inner_text()
        assert self.drawn() > before
        self.tab.wait_for_timeout(150)

    def choose(self, menu: str, label: str) -> None:
        before = self.drawn()
        self.tab.get_by_label(menu, exact=True).select_option(label=label)
        self.settle(before)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def row(self) -> dict[str, str]:
        """What is shown of the row under the pointer or cursor, by column."""
        cells = self.tab.locator("#row tr").evaluate_all(
            "rows => rows.map(r => [r.dataset.column, r.cells[1].textContent])"
        )
        return dict(cells)

    def picture(self, where: str = "#plots") -> np.ndarray[Any, Any]:
        from PIL import Image

        shot = self.tab.locator(where).screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))

    def box(self) -> dict[str, float]:
        found: dict[str, float] | None = self.tab.locator("#plots").bounding_box()
        assert found is not None
        return found


@pytest.fixture
def show(browser: Any, pages: Pages) -> Iterator[Callable[..., Open]]:
    """Open a page; at the end nothing may have been fetched but the page, nor complained of."""
    opened: list[Open] = []

    def one(name: str, scheme: str = "light") -> Open:
        opened.append(Open(browser, pages.folder / f"{name}.html", scheme))
        return opened[-1]

    yield one
    for page in opened:
        page.context.close()
        assert page.troubles == []
        assert [url for url in page.requests if not url.startswith(("data:", "blob:"))] == [page.url]


def written(value: Any) -> str:
    """A number as a page writes it: five significant digits."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "null"
    if isinstance(value, str | int | np.integer):
        return str(value)
    if np.isinf(value):
        return "inf" if value > 0 else "-inf"
    return str(float(f"{value:.5g}"))


def assert_is_row(shown: dict[str, str], row: pd.Series[Any]) -> None:
    """All columns that a page shows are those of a row of the table."""
    assert set(shown) == set(row.index)
    for name, value in row.items():
        text = shown[str(name)]
        wanted = written(value)
        assert (written(float(text)) if isinstance(value, float) and text != "null" else text) == wanted, name


def row_of(rows: pd.DataFrame, shown: dict[str, str]) -> pd.Series[Any]:
    found = rows[(rows["point"] == int(shown["point"])) & (rows["depth"] == int(shown["depth"]))]
    assert len(found) == 1
    return found.iloc[0]


def test_the_pointer_shows_every_column_of_the_row_below_it(show: Callable[..., Open], pages: Pages) -> None:
    page = show("sweep")
    box = page.box()
    seen = []
    for share in (0.2, 0.4, 0.55, 0.7):
        page.tab.mouse.move(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
        page.tab.wait_for_timeout(60)
        shown = page.row()
        row = row_of(pages.rows["sweep"], shown)
        assert_is_row(shown, row)
        assert (row["activation"], row["weights"], row["depth"]) == ("erf", "gaussian", 20)
        tip = page.tab.locator("#tip").inner_text()
        assert f"mi_linear {shown['mi_linear']}" in tip
        seen.append(float(shown["sigma_w"]))
    assert seen == sorted(seen)
    assert len(set(seen)) == 4
    page.tab.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + box["height"] + 60)
    page.tab.wait_for_timeout(60)
    assert set(page.row().values()) == {""}


def test_the_best_row_is_marked_and_named(show: Callable[..., Open], pages: Pages) -> None:
    page = show("sweep")
    rows = pages.rows["sweep"].query("activation == 'erf' and weights == 'gaussian' and depth == 20")
    best = rows.loc[rows["mi_linear"].idxmax()]
    page.tab.locator("#stage").focus()
    page.press("m")
    assert_is_row(page.row(), best)
    assert f"mi_linear {page.row()['mi_linear']}" in page.tab.locator("#caption").inner_text()
    assert "largest" in page.tab.locator("#legend").inner_text()
    assert "edge of chaos" in page.tab.locator("#legend").inner_text()


def test_a_slider_and_a_menu_change_the_picture(show: Callable[..., Open], pages: Pages) -> None:
    page = show("sweep")
    before, caption = page.picture(), page.tab.locator("#caption").inner_text()
    drawn = page.drawn()
    page.tab.get_by_label("depth (layers)").focus()
    page.press("ArrowLeft")
    page.settle(drawn)
    assert page.tab.get_by_label("depth (layers)").get_attribute("aria-valuetext") == f"depth {DEPTHS[-2]}"
    assert page.tab.locator("#caption").inner_text() != caption
    assert (page.picture() != before).any(axis=2).mean() > 0.05
    page.choose("weights", "orthogonal weights")
    page.tab.locator("#stage").focus()
    page.press("m")
    rows = pages.rows["sweep"].query("activation == 'erf' and weights == 'orthogonal' and depth == 5")
    assert_is_row(page.row(), rows.loc[rows["mi_linear"].idxmax()])


def test_all_is_in_reach_of_the_keys(show: Callable[..., Open], pages: Pages) -> None:
    page = show("sweep")
    reached = []
    for _ in range(20):
        page.press("Tab")
        reached.append(page.tab.evaluate("document.activeElement.id || document.activeElement.tagName"))
    wanted = ["picture", "quantity", "scale", "activation", "weights", "depth"]
    assert [f"choose-{name}" for name in wanted] == [one for one in reached if one.startswith("choose-")][: len(wanted)]
    assert {"stage", "SUMMARY"} <= set(reached)
    page.tab.locator("#stage").focus()
    page.press("Home", "Home", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown")
    first = page.row()
    assert (float(first["sigma_w"]), float(first["sigma_b"])) == (SIGMA_W[0], 0.0)
    page.press("ArrowRight", "ArrowUp")
    shown = page.row()
    assert_is_row(shown, row_of(pages.rows["sweep"], shown))
    assert (float(shown["sigma_w"]), float(shown["sigma_b"])) == (float(written(SIGMA_W[1])), 0.1)
    spoken = page.tab.locator("#aloud").inner_text()
    assert f"sigma_w {shown['sigma_w']}" in spoken
    assert f"mi_linear {shown['mi_linear']}" in spoken
    page.press("Escape")
    assert set(page.row().values()) == {""}


def test_curves_have_the_band_and_the_replica_value(show: Callable[..., Open], pages: Pages) -> None:
    page = show("sweep")
    page.choose("picture", "curves along sigma_w")
    page.choose("quantity", "information")
    legend = page.tab.locator("#legend").inner_text()
    for sign in ("linearly readable", "replica value", "lower to upper bound", "edge of chaos", "largest"):
        assert sign in legend
    one = page.picture()
    page.choose("a curve for each", "depth")
    assert f"depth {DEPTHS[0]}" in page.tab.locator("#legend").inner_text()
    assert (page.picture().shape != one.shape) or (page.picture() != one).any()
    page.tab.locator("#stage").focus()
    page.press("Home", "Home", "ArrowRight")
    shown = page.row()
    assert_is_row(shown, row_of(pages.rows["sweep"], shown))
    box = page.box()
    page.tab.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.4 * box["height"])
    page.tab.wait_for_timeout(60)
    hovered = page.row()
    assert_is_row(hovered, row_of(pages.rows["sweep"], hovered))
    assert float(hovered["sigma_w"]) > float(shown["sigma_w"])


def colours(picture: np.ndarray[Any, Any]) -> int:
    return len(np.unique(picture[::3, ::3].astype(int) @ [1 << 16, 1 << 8, 1]))


@pytest.mark.parametrize("name", ["sweep", "audit"])
def test_pictures_are_light_or_dark_as_the_reader_has_it_and_light_on_paper(
    show: Callable[..., Open], name: str
) -> None:
    page = show(name)
    light = page.picture()
    assert colours(light) > 30
    assert light[2, 2].min() > 240
    page.tab.emulate_media(color_scheme="dark")
    page.tab.wait_for_timeout(300)
    dark = page.picture()
    assert colours(dark) > 30
    assert dark[2, 2].max() < 60
    assert page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 28)"
    page.tab.emulate_media(media="print", color_scheme="dark")
    page.tab.wait_for_timeout(100)
    paper = page.picture("#paper")
    assert colours(paper) > 30
    assert paper[2, 2].min() > 240
    assert page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.tab.emulate_media(media="screen", color_scheme="light")
    page.tab.wait_for_timeout(300)
    assert (page.picture() != light).any(axis=2).mean() < 0.01


def test_text_of_a_file_stays_text(show: Callable[..., Open]) -> None:
    page = show("harm")
    page.choose("activation", "<img src=x onerror=alert(3)>$$y$$")
    page.tab.locator("#stage").focus()
    page.press("m")
    assert page.row()["activation"] == "<img src=x onerror=alert(3)>$$y$$"
    page.choose("picture", "curves along depth")
    page.choose("a curve for each", "activation")
    page.tab.locator("summary").click()
    assert "onerror=alert(1)" in page.tab.locator("footer pre").inner_text()
    assert "seed" in page.tab.locator("footer").inner_text()
    assert page.tab.locator("img").count() == 0


def test_an_audit_has_its_layers_steps_and_findings(show: Callable[..., Open], pages: Pages) -> None:
    page = show("audit")
    rows = pages.rows["audit"]
    assert "too small" in page.tab.locator(".findings").inner_text()
    assert "norm.scale" in page.tab.locator(".notes").inner_text()
    legend = page.tab.locator("#legend").inner_text()
    for sign in ("sigma_w", "edge of chaos", "random bulk", "linearly readable", "bounds on the total", "step 40"):
        assert sign in legend
    box = page.box()
    for share in (0.15, 0.5, 0.85):
        page.tab.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + share * box["height"] * 0.85)
        page.tab.wait_for_timeout(60)
        shown = page.row()
        found = rows[(rows["name"] == shown["name"]) & (rows["step"] == int(shown["step"]))]
        assert len(found) == 1
        assert shown["sigma_w"] == written(found["sigma_w"].iloc[0])
        assert shown["singular_max"] == written(found["singular_max"].iloc[0])
    page.choose("picture", "heat map of layers and steps")
    page.choose("quantity", "sigma_w: standard deviation of the entries, times sqrt(fan-in)")
    page.tab.locator("#stage").focus()
    page.press("m")
    assert page.row()["sigma_w"] == written(rows["sigma_w"].max())
    page.choose("picture", "curves along the steps")
