"""Pages in a real browser: nothing is fetched, nothing complained of, and the numbers are those of the table."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from page_rows import DEPTHS, SIGMA_W, sweep_block, write_audit, write_rows, write_sweep

from mfmi.cli.main import main

pytestmark = pytest.mark.browser

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
# Seconds for what takes a fraction of one: the machine may be busy.
PATIENCE = 600.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass
class Pages:
    """Files of rows, and the pages made of them by the program."""

    folder: Path
    rows: dict[str, pd.DataFrame] = field(default_factory=dict)

    def add(self, name: str, block: dict[str, Any], *options: str) -> None:
        self.rows[name] = pd.DataFrame(block)
        with pytest.raises(SystemExit) as left:
            main(["plot", str(self.folder / f"{name}.parquet"), "-o", str(self.folder / f"{name}.html"), *options])
        assert not left.value.code


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    folder = tmp_path_factory.mktemp("pages")
    made = Pages(folder)
    made.add("sweep", write_sweep(folder / "sweep.parquet"))
    made.add("harm", write_sweep(folder / "harm.parquet", ("tanh", "<img src=x onerror=alert(3)>$$y$$")))
    made.add("ranking", write_ranking(folder / "ranking.parquet"), "--kind", "ranking")
    made.add("audit", write_audit(folder / "audit.parquet", folder / "steps"))
    return made


def write_ranking(path: Path) -> dict[str, Any]:
    """Rows of which activations come first that a table of theirs has last; one is best where nothing stays finite."""
    block = sweep_block(("erf", "<b>tanh</b>$$y$$", "relu", "sign"))
    names = block["activation"]
    block["mi_linear"] = np.where(names == "sign", np.nan, block["mi_linear"])
    block["phase"] = np.where((names == "relu") & (block["sigma_w"] > 1.1), "unbounded", block["phase"])
    return write_rows(path, block)


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
        self.context.set_default_timeout(1e3 * PATIENCE)
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
        """Wait for another picture."""
        trouble = self.tab.locator("#trouble")
        self.until(lambda: self.drawn() > before or trouble.is_visible())
        assert not trouble.is_visible(), trouble.inner_text()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            self.tab.wait_for_timeout(25)

    def point_at(self, across: float, up: float) -> dict[str, str]:
        """Move the pointer to a place of the pictures, in shares of their width and height; returns another row."""
        box, row = self.box(), self.tab.locator("#row")
        before = row.get_attribute("data-row")
        self.tab.mouse.move(box["x"] + across * box["width"], box["y"] + up * box["height"])
        self.until(lambda: row.get_attribute("data-row") != before)
        return self.row()

    def painted(self, wanted: Callable[[np.ndarray[Any, Any]], bool], where: str = "#plots") -> np.ndarray[Any, Any]:
        """Wait for the browser to have painted something, and return the picture."""
        found: list[np.ndarray[Any, Any]] = []

        def is_wanted() -> bool:
            found[:] = [self.picture(where)]
            return bool(wanted(found[0]))

        self.until(is_wanted)
        return found[0]

    def choose(self, menu: str, label: str) -> None:
        before = self.drawn()
        self.tab.get_by_label(menu, exact=True).select_option(label=label)
        self.settle(before)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def row(self) -> dict[str, str]:
        """The cells shown of the row under the pointer or cursor, by column."""
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


def is_coloured(picture: np.ndarray[Any, Any]) -> bool:
    """Whether more is painted than lines and letters."""
    return len(np.unique(picture[::3, ::3].astype(int) @ [1 << 16, 1 << 8, 1])) > 30


def test_the_pointer_shows_every_column_of_the_row_below_it(show: Callable[..., Open], pages: Pages) -> None:
    page = show("sweep")
    seen = []
    for share in (0.2, 0.4, 0.55, 0.7):
        shown = page.point_at(share, 0.5)
        row = row_of(pages.rows["sweep"], shown)
        assert_is_row(shown, row)
        assert (row["activation"], row["weights"], row["depth"]) == ("erf", "gaussian", 20)
        tip = page.tab.locator("#tip").inner_text()
        assert f"mi_linear {shown['mi_linear']}" in tip
        seen.append(float(shown["sigma_w"]))
    assert seen == sorted(seen)
    assert len(set(seen)) == 4
    assert set(page.point_at(0.4, 1.2).values()) == {""}


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
    before, caption = page.painted(is_coloured), page.tab.locator("#caption").inner_text()
    drawn = page.drawn()
    page.tab.get_by_label("depth (layers)").focus()
    page.press("ArrowLeft")
    page.settle(drawn)
    assert page.tab.get_by_label("depth (layers)").get_attribute("aria-valuetext") == f"depth {DEPTHS[-2]}"
    assert page.tab.locator("#caption").inner_text() != caption
    page.painted(lambda now: (now != before).any(axis=2).mean() > 0.05)
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
    one = page.painted(is_coloured)
    page.choose("a curve for each", "depth")
    assert f"depth {DEPTHS[0]}" in page.tab.locator("#legend").inner_text()
    page.painted(lambda now: now.shape != one.shape or bool((now != one).any()))
    page.tab.locator("#stage").focus()
    page.press("Home", "Home", "ArrowRight")
    shown = page.row()
    assert_is_row(shown, row_of(pages.rows["sweep"], shown))
    hovered = page.point_at(0.5, 0.4)
    assert_is_row(hovered, row_of(pages.rows["sweep"], hovered))
    assert float(hovered["sigma_w"]) > float(shown["sigma_w"])


def test_activations_are_ranked_at_the_best_deviations_of_each(show: Callable[..., Open], pages: Pages) -> None:
    page = show("ranking")
    rows = pages.rows["ranking"].query("weights == 'gaussian' and depth == 20 and phase != 'unbounded'")
    peaks = rows.loc[rows.dropna(subset="mi_linear").groupby("activation")["mi_linear"].idxmax()].sort_values(
        "mi_linear"
    )
    assert len(peaks) == 3
    page.tab.locator("#stage").focus()
    page.press("Home")
    for _, row in peaks[::-1].iterrows():
        assert_is_row(page.row(), row)
        page.press("ArrowDown")
    assert set(page.row().values()) == {""}  # sign has no value, and stands last
    page.press("End", "ArrowUp")
    assert page.row()["activation"] == peaks["activation"].iloc[0]
    caption = page.tab.locator("#caption").inner_text()
    assert f"mi_linear {written(peaks['mi_linear'].iloc[-1])}, activation {peaks['activation'].iloc[-1]}" in caption
    assert "Networks whose variance grows without bound are not ranked" in caption
    legend = page.tab.locator("#legend").inner_text()
    for sign in ("linearly readable information", "total information, replica value", "lower to upper bound"):
        assert sign in legend
    page.press("Escape")
    assert_is_row(page.point_at(0.4, 0.12), peaks.iloc[-1])
    tip = page.tab.locator("#tip").inner_text()
    for name in ("sigma_w", "mi_linear", "mi_replica", "mi_lower", "mi_upper"):
        assert f"{name} {page.row()[name]}" in tip


def test_the_order_of_a_ranking_goes_with_sliders_and_quantities(show: Callable[..., Open], pages: Pages) -> None:
    page = show("ranking")
    before = page.painted(is_coloured)
    page.tab.locator("#stage").focus()
    page.press("Home", "ArrowDown")
    held = page.row()["activation"]
    drawn = page.drawn()
    page.tab.get_by_label("depth (layers)").focus()
    page.press("Home")
    page.settle(drawn)
    assert (page.row()["activation"], page.row()["depth"]) == (held, str(DEPTHS[0]))
    page.painted(lambda now: bool((now != before).any()))
    page.choose("quantity", "total information, upper bound")
    assert page.row()["activation"] == held  # the cursor stays with it, wherever it ranks
    rows = pages.rows["ranking"].query(f"weights == 'gaussian' and depth == {DEPTHS[0]} and phase != 'unbounded'")
    assert_is_row(page.row(), rows.loc[rows[rows["activation"] == held]["mi_upper"].idxmax()])
    page.tab.locator("#stage").focus()
    page.press("m")
    assert_is_row(page.row(), rows.loc[rows["mi_upper"].idxmax()])
    page.choose("picture", "heat map of sigma_w and sigma_b")  # goes on at the row of the cursor
    page.tab.locator("#stage").focus()
    page.press("m")
    assert page.row()["activation"] == rows.loc[rows["mi_upper"].idxmax(), "activation"]


@pytest.mark.parametrize("name", ["sweep", "audit", "ranking"])
def test_pictures_are_light_or_dark_as_the_reader_has_it_and_light_on_paper(
    show: Callable[..., Open], name: str
) -> None:
    page = show(name)
    light = page.painted(lambda now: is_coloured(now) and now[2, 2].min() > 240)
    page.tab.emulate_media(color_scheme="dark")
    page.painted(lambda now: is_coloured(now) and now[2, 2].max() < 60)
    assert page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 28)"
    page.tab.emulate_media(media="print", color_scheme="dark")
    page.painted(lambda now: is_coloured(now) and now[2, 2].min() > 240, "#paper")
    assert page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.tab.emulate_media(media="screen", color_scheme="light")
    page.painted(lambda now: now.shape == light.shape and (now != light).any(axis=2).mean() < 0.01)


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
    for place, share in enumerate((0.15, 0.5, 0.85)):
        shown = page.point_at(0.4 + 0.1 * place, 0.85 * share)
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
