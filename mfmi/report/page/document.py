"""A page as one HTML file: text escaped, scripts inline and named by their hashes, nothing fetched."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from mfmi.report.page.parts import Page

LIBRARY = ("bokeh", "bokeh-api")
"""Parts of BokehJS that a page carries."""

SCRIPTS = (
    "unpack.js",
    "slices.js",
    "drawing.js",
    "curves.js",
    "ranking.js",
    "legend.js",
    "reading.js",
    "menus.js",
    *("controls.js", "start.js"),
)

_KEYS = (
    ("arrow keys", "move the cursor"),
    ("Home, End, Page Up, Page Down", "move it far"),
    ("M", "go to the largest value"),
    ("Escape", "take it away"),
)


def available() -> bool:
    """Whether Bokeh is installed."""
    return find_spec("bokeh") is not None


def compose(page: Page) -> bytes:
    """Return the page as a file.

    Parameters
    ----------
    page
        What it shows.

    Returns
    -------
    bytes
        HTML in UTF-8; the same for the same page and version of Bokeh. It needs no network: a policy in it forbids
        the browser to load anything, and to run other scripts than those whose hashes it names.
    """
    library, scripts = _library(), _scripts()
    sources = " ".join(_hash(text) for text in (library, scripts))
    policy = (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(page.title)} · mfmi</title>",
        f"<style>\n{_asset('page.css')}</style>",
        "</head>",
        "<body>",
        *_head(page),
        *_view(page),
        *_tail(page),
        f'<script type="application/json" id="content">{_json(page.content)}</script>',
        f'<script type="text/plain" id="packed">{page.packed}</script>',
        f"<script>{library}</script>",
        f"<script>{scripts}</script>",
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(parts).encode()


def _library() -> str:
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=list(LIBRARY), minified=True).js_raw)


def _scripts() -> str:
    content = 'const CONTENT = JSON.parse(document.getElementById("content").textContent);'
    return "\n".join(['"use strict";', "(() => {", content, *map(_asset, SCRIPTS), "})();\n"])


def _asset(name: str) -> str:
    return files("mfmi.report.page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: Any) -> str:
    """JSON that ends no script, whatever words are in it."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _head(page: Page) -> Iterable[str]:
    yield f"<header><h1>{escape(page.title)}</h1>"
    yield from (f"<p>{escape(line)}</p>" for line in page.summary)
    yield "</header>"
    if page.findings:
        yield from ("<section><h2>Findings, worst first</h2>", '<ul class="findings">')
        yield from (f"<li>{escape(text)}</li>" for text in page.findings)
        yield "</ul></section>"
    yield "<noscript><p>The picture needs JavaScript; the rest of this page does not.</p></noscript>"
    yield '<p id="trouble" role="alert" hidden></p>'


def _view(page: Page) -> Iterable[str]:
    keys = ", ".join(f"<kbd>{escape(key)}</kbd> {escape(does)}" for key, does in _KEYS)
    yield '<main><form id="choices" aria-label="What the picture shows"></form>'
    yield '<div id="view"><figure style="margin:0">'
    yield (
        '<div id="stage" tabindex="0" role="application" aria-roledescription="picture" '
        'aria-labelledby="caption" aria-describedby="keys">'
        '<div id="plots"></div><div id="paper"></div><div id="tip" hidden></div></div>'
    )
    yield '<figcaption><p id="caption"></p><ul id="legend" aria-label="Signs"></ul>'
    yield f'<p id="keys" class="dim keys">With the picture in focus: {keys}.</p></figcaption></figure>'
    yield '<section><h2>Row under the pointer or cursor</h2><table id="row"></table></section></div>'
    yield '<p id="aloud" class="aloud" role="status" aria-live="polite"></p></main>'


def _tail(page: Page) -> Iterable[str]:
    yield "<footer>"
    if page.notes:
        yield '<ul class="notes">'
        yield from (f"<li>{escape(note)}</li>" for note in page.notes)
        yield "</ul>"
    yield "<details><summary>Where the rows come from</summary>"
    if page.origin is None:
        yield "<p>The file does not say where it came from.</p>"
    else:
        yield from _origin(page.origin)
    yield "</details></footer>"


def _origin(origin: Mapping[str, Any]) -> Iterable[str]:
    """Provenance: pairs of words as a table, the config as it was written, whatever else as JSON."""
    config = origin.get("config")
    config = config if isinstance(config, Mapping) else {}
    rows = [(name, value) for name, value in origin.items() if name not in ("config", "audit")]
    audit = origin.get("audit")
    if isinstance(audit, Mapping):
        rows += [(name, value) for name, value in audit.items() if name != "findings"]
    if config.get("sha256"):
        rows.append(("config SHA-256", config["sha256"]))
    yield '<table class="rows">'
    yield from (f"<tr><th>{escape(str(name))}</th><td>{escape(_in_words(value))}</td></tr>" for name, value in rows)
    yield "</table>"
    if config.get("text"):
        yield f"<pre>{escape(str(config['text']))}</pre>"


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_words(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    return "none" if value is None else str(value)
