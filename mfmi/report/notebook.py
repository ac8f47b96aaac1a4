"""Recommendations and audits as HTML for notebooks.

Everything is escaped, the same for the same rows, and takes its colours from the page: light or dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Rows of a table that are shown, before the others are only counted.
MOST_ROWS = 60

_BEST = (
    *("skip", "branch", "sigma_w_out", "kept"),
    *("sigma_w", "sigma_b", "information", "phase", "chi_1", "edge", "plateau_low", "plateau_high"),
    *("trainable_depth", "limits", "gain", "scale", "stddev_of_cut"),
)
_COMPARED = (
    *("role", "name", "weights", "branch", "sigma_w", "sigma_b", "quantity", "information", "of_best", "kept"),
    *("variance_ratio", "chi_1", "phase"),
)
_RANKED = ("activation", "information", "sigma_w", "sigma_b", "chi_1", "trainable_depth", "phase", "limits")
_AUDITED = (
    *("step", "layer", "name", "kind", "shape", "sigma_w", "sigma_b", "law", "init", "outliers"),
    *("sigma_w_edge", "q", "chi", "mi_linear", "mi_lower", "mi_upper", "status"),
)
_LINE = "border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent)"
_LEFT, _RIGHT = "text-align: left; padding: 2px 8px", "text-align: right; padding: 2px 8px"
# Of levels of findings; both stand out against white and against black.
_COLOURS = {"bad": "#d9534f", "odd": "#c98a1b"}


def recommendation_html(frame: pd.DataFrame) -> str:
    """Return a recommendation, or a ranking of several, as what `mfmi.recommend` returns."""
    if frame.empty:
        return _page("no activation has a value", [])
    best = frame.iloc[0]
    where = "in every layer" if best["noise_at"] == "every" else "at the output"
    title = f"{best['depth']} layers, {best['weights']} weights, noise {_number(best['sigma_noise'])} {where}"
    unit = frame.attrs.get("units", {}).get("information", "")
    if set(frame["role"]) == {"best"} and len(frame) > 1:
        missing = frame.attrs.get("missing") or []
        notes = [f"without {best['quantity']}: {', '.join(map(str, missing))}"] if missing else []
        return _page(f"Best by {best['quantity']}: {title}", [_table(frame, _RANKED), *_notes([unit, *notes])])
    facts = [(name, best[name]) for name in _BEST if name in best and _is_known(best[name])]
    parts = [_facts(facts, frame.attrs.get("descriptions", {})), _table(frame, _COMPARED), *_notes([unit])]
    code = frame.attrs.get("code")
    if code:
        parts.append(f"<details><summary>code</summary><pre>{html.escape(str(code))}</pre></details>")
    return _page(f"Best by {best['quantity']}: {best['activation']}, {title}", parts)


def audit_html(frame: pd.DataFrame) -> str:
    """Return an audit as what `mfmi.audit` returns: the findings, then the matrices."""
    findings = [str(finding) for finding in frame.attrs.get("findings", [])]
    judged = frame[frame["status"] != "skipped"]
    parts = [f"<ul>{''.join(map(_finding, findings))}</ul>"] if findings else _notes(["nothing is off"])
    parts.append(_table(judged, _AUDITED))
    skipped = len(frame) - len(judged)
    if skipped:
        parts += _notes([f"{skipped} {'tensor' if skipped == 1 else 'tensors'} skipped; the column message says why"])
    files = list(dict.fromkeys(map(str, frame["file"])))
    title = files[0] if len(files) == 1 else f"{len(files)} files"
    return _page(f"Audit of {title}", parts)


def _page(title: str, parts: Sequence[str]) -> str:
    return f'<div class="mfmi"><p><b>{html.escape(title)}</b></p>{"".join(parts)}</div>'


def _finding(text: str) -> str:
    level, colon, rest = text.partition(": ")
    if not colon:
        return f"<li>{html.escape(text)}</li>"
    style = f' style="color: {_COLOURS[level]}"' if level in _COLOURS else ""
    return f"<li><b{style}>{html.escape(level)}</b>: {html.escape(rest)}</li>"


def _notes(texts: Iterable[str]) -> list[str]:
    return [f'<p style="opacity: 0.7">{html.escape(text)}</p>' for text in texts if text]


def _facts(facts: Iterable[tuple[str, Any]], descriptions: Mapping[str, str]) -> str:
    rows = "".join(
        f'<tr><th style="{_LEFT}" title="{html.escape(descriptions.get(name, ""))}">{html.escape(name)}</th>'
        f'<td style="{_RIGHT}">{_cell(value)}</td></tr>'
        for name, value in facts
    )
    return f'<table style="border-collapse: collapse">{rows}</table>'


def _table(frame: pd.DataFrame, names: Iterable[str]) -> str:
    """Columns of a frame, those that have a value, with what they are as tooltips."""
    descriptions = frame.attrs.get("descriptions", {})
    shown = [name for name in names if name in frame and frame[name].notna().any()]
    heads = "".join(
        f'<th style="{_RIGHT}" title="{html.escape(str(descriptions.get(name, "")))}">{html.escape(name)}</th>'
        for name in shown
    )
    rows = "".join(
        f'<tr style="{_LINE}">'
        + "".join(f'<td style="{_LEFT if isinstance(cell, str) else _RIGHT}">{_cell(cell)}</td>' for cell in row)
        + "</tr>"
        for row in frame[shown].head(MOST_ROWS).itertuples(index=False)
    )
    left = len(frame) - MOST_ROWS
    more = _notes([f"{left} more rows"]) if left > 0 else []
    return f'<table style="border-collapse: collapse"><tr style="{_LINE}">{heads}</tr>{rows}</table>{"".join(more)}'


def _cell(value: Any) -> str:
    if not _is_known(value):
        return ""
    return html.escape(value) if isinstance(value, str) else html.escape(_number(value))


def _is_known(value: Any) -> bool:
    return value is not None and value == value


def _number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
