"""The references of columns and of configs: ``python -m mfmi.cli.reference columns``, or ``config``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mfmi.columns import COLUMNS, OF_DATA, OPTIONAL, Column, OptionalColumn
from mfmi.config.schema import CONFIG
from mfmi.names import STATUS

MOST_KEYS = 4
NOUNS = {"integer": "whole numbers", "number": "numbers", "object": "entries", "string": "names"}
HUGE = 1e12
COLUMNS_TEXT = """\
Made by `make docs` of the code that fills them. `--explain` says the same of the table at hand, of every command.

Information is in nats, or in bits with `--unit bits` or `output: {unit: bits}`. What does not exist or was not asked
for is null: null in JSON and Parquet, empty in CSV. JSON has no infinity: an infinite depth scale is the word
`"Infinity"`. Numbers are written exactly; only tables for people are rounded. Parquet has unit and description with
every column.
"""
CONFIG_TEXT = """\
Made by `make docs` of the table that checks a config. `mfmi config init` writes a config to start from,
`configs/reference.yaml` has every key explained in its place, `mfmi config check FILE` reports every mistake with line
and column, and `mfmi config schema` tells an editor the same. `--set KEY=VALUE` overrides a key, as
`--set sweep.depth='[1,2]'`.

The keys of `sweep` are axes but for `mode`, `points`, `adaptive` and `exclude`: a value, a list of values, or, of
numbers, a range such as `{start: 0.5, stop: 3, num: 101}`, both ends included, with `spacing: log` in equal ratios.
"""
ROWS_TEXT = """\
A row for each network and depth: `mfmi bound` (without `point`), `mfmi sweep`, `mfmi show --rows`, `mfmi.evaluate`.
"""


def columns_page() -> str:
    """Return the reference of all columns in Markdown."""
    return "\n".join(_columns_lines())


def config_page() -> str:
    """Return the reference of the keys of a config in Markdown."""
    return "\n".join(_config_lines())


# ---- columns ---------------------------------------------------------------------------------------------------------


def _columns_lines() -> Iterator[str]:
    yield "# Columns\n"
    yield COLUMNS_TEXT
    yield "## Rows of a network\n"
    yield ROWS_TEXT
    yield from _table(COLUMNS)
    yield "\nWhat the estimators rest on:\n"
    yield "| column | rests on |"
    yield "|---|---|"
    yield from (f"| `mi_{name}` | {status} |" for name, status in STATUS.items())
    yield "\n## On request\n"
    yield "`--column NAME`, `columns:` of a config, `mfmi.evaluate(columns=...)`; after those above.\n"
    yield from _table(OPTIONAL)
    yield "\nWith `--inputs FILE`, or `input: {dataset: FILE}`:\n"
    yield from _table(OF_DATA)
    for command, text, columns in _of_commands():
        yield f"\n## {command}\n"
        yield f"{text}\n"
        yield from _table(columns)
    yield ""


def _of_commands() -> Iterator[tuple[str, str, Iterable[Column]]]:
    """Title, text and columns of commands with a table of their own."""
    from mfmi.checkpoints import COLUMNS as OF_AUDIT
    from mfmi.recommendation.table import columns_of
    from mfmi.verification import COLUMNS as OF_VERIFY

    yield "mfmi audit", "A row for each tensor of a file.", OF_AUDIT
    yield (
        "mfmi recommend",
        "A row for the recommendation, and one for each initialisation beside it.",
        columns_of("nats"),
    )
    yield "mfmi verify", "A row for each quantity, layer and width.", OF_VERIFY


def _table(columns: Iterable[Column]) -> Iterator[str]:
    shown = list(columns)
    rests = any(isinstance(column, OptionalColumn) for column in shown)
    yield f"| column | type | unit | what it is |{' rests on |' if rests else ''}"
    yield f"|---|---|---|---|{'---|' if rests else ''}"
    for column in shown:
        cells = [f"`{column.name}`", column.dtype, "" if column.unit in ("", "1") else column.unit, column.description]
        cells += [column.status] if isinstance(column, OptionalColumn) else []
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


# ---- config ----------------------------------------------------------------------------------------------------------


def _config_lines() -> Iterator[str]:
    yield "# The keys of a config\n"
    yield CONFIG_TEXT
    schema = CONFIG.json_schema()
    sections = {name: part for name, part in schema["properties"].items() if part.get("type") == "object"}
    yield "## At the top\n"
    yield from _keys(
        {**schema, "properties": {name: part for name, part in schema["properties"].items() if name not in sections}}
    )
    for name, section in sections.items():
        yield f"\n## {name}\n"
        yield f"{_sentence(section['description'])}\n"
        yield from _keys(section)
    yield ""


def _keys(section: dict[str, Any]) -> Iterator[str]:
    yield "| key | takes | by default | what it is |"
    yield "|---|---|---|---|"
    for name, part in section["properties"].items():
        needed = name in section.get("required", ())
        default = "required" if needed else _default(part["default"]) if "default" in part else ""
        yield f"| `{name}` | {_takes(part)} | {default} | {part['description'].replace('|', '&#124;')} |"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _default(value: Any) -> str:
    return f"`[{', '.join(map(str, value))}]`" if isinstance(value, list) else f"`{value}`"


def _takes(schema: dict[str, Any]) -> str:
    """Say in words which values a schema takes; of an axis, which single value."""
    if "anyOf" in schema and "type" not in schema:
        forms = schema["anyOf"][:1] if _is_axis(schema) else schema["anyOf"]
        return " or ".join(dict.fromkeys(map(_takes, forms)))
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema["type"]
    if kind in ("number", "integer"):
        return ("a number" if kind == "number" else "a whole number") + _range(schema)
    if kind == "array":
        return f"a list of {NOUNS[schema['items']['type']]}" if "type" in schema["items"] else "a list"
    if kind == "object":
        names = list(schema["properties"])
        return f"`{{{', '.join(f'{name}: ...' for name in names)}}}`" if len(names) <= MOST_KEYS else "entries"
    return f"a name, such as `{schema['examples'][0]}`" if "examples" in schema else "a text"


def _is_axis(schema: dict[str, Any]) -> bool:
    return any(list(one.get("properties", ())) == ["values"] for one in schema["anyOf"])


def _range(schema: dict[str, Any]) -> str:
    """The bounds of a number; those that keep arithmetic within its range go without saying."""
    zero = any(one.get("const") == 0 for one in schema.get("anyOf", ()))
    least, most = schema.get("minimum"), schema.get("maximum", HUGE)
    low = ""
    if zero:
        low = ", at least 0"
    elif least is not None and abs(least) < HUGE:
        low = f", at least {_plain(least)}" if least == 0 or abs(least) >= 1.0 / HUGE else " above 0"
    return low + (f", at most {_plain(most)}" if most < HUGE else "")


def _plain(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
