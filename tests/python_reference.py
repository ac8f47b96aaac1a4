"""The page docs/python.md, made of the docstrings of what is public.

Run as ``python tests/python_reference.py``, it prints the page.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import mfmi

HEAD = """# The Python face

Everything public, made of its docstrings (`make docs`). `help(mfmi.evaluate)` says the same. A task from start to end:
[use it from a notebook](howto/notebook.md).

`import mfmi` costs nothing: each name loads on first use. Functions that return a data frame say in `attrs["mfmi"]`
where its rows came from, as the Parquet file of the command does, and in `attrs["units"]` and `attrs["descriptions"]`
what the columns are. A wrong argument is a `ValueError` that names it and its value; a network without a finite answer
is a row whose `status` and `message` say why. Numbers may be Python's or numpy's, arrays of shape () included;
activations are names, vectorised functions, or what `mfmi.activation` returns.
"""
# In the order of a day's work; the rest of what is public is about errors.
FUNCTIONS = (
    *("evaluate", "recommend", "audit", "isometry", "capacity", "verify"),
    *("fixed_point", "fixed_points", "edge_of_chaos", "activation", "activation_names"),
)
# The methods of a class that build it or that a user calls.
CLASSES: dict[str, tuple[str, ...]] = {"Weights": ("from_spectrum", "from_matrix", "from_layers"), "Progress": ()}
METHODS = (
    *("derivative", "second_moment", "second_moment_slope", "slope_moment", "correlation"),
    *("slope_correlation", "conditional", "log_slope", "with_error"),
)
ERRORS = ("MfmiError", "ConfigError", "NumericsError", "OutputError", "ResumeError")


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_parts()]).rstrip() + "\n"


def _parts() -> Iterator[str]:
    for name in FUNCTIONS:
        yield from _entry(f"mfmi.{name}", getattr(mfmi, name), "##")
    activation = importlib.import_module("mfmi.activations").Activation
    yield "## Activations\n"
    yield (
        "What `mfmi.activation` returns; `phi(z)` is its value. All methods take arrays and broadcast. Moments of a\n"
        "function of one's own are NaN beyond the variance `phi.largest_variance`, up to which they can be resolved.\n"
    )
    for name in METHODS:
        yield from _entry(f"phi.{name}", getattr(activation, name), "###")
    for name, methods in CLASSES.items():
        yield from _entry(f"mfmi.{name}", getattr(mfmi, name), "##")
        for method in methods:
            yield from _entry(f"mfmi.{name}.{method}", getattr(getattr(mfmi, name), method), "###")
    yield "## Initialisers\n"
    yield f"`mfmi.initialisers`: {_first_paragraph(mfmi.initialisers)}\n"
    for name in ("names", "get", "arguments"):
        yield from _entry(f"mfmi.initialisers.{name}", getattr(mfmi.initialisers, name), "###")
    yield "## Errors\n"
    for name in ERRORS:
        one = getattr(mfmi, name)
        yield f"- `mfmi.{name}` ({one.__mro__[1].__name__}): {_first_paragraph(one)}"
    yield ""


def _entry(name: str, one: Any, level: str) -> Iterator[str]:
    """A heading, the signature, and the sections of the docstring."""
    yield f"{level} {name}\n"
    if not inspect.isclass(one):
        yield f"```text\n{_signature(name, one)}\n```\n"
    for title, lines in _sections(inspect.getdoc(one) or ""):
        if title == "Examples":
            yield "\n".join(["```text", *_trimmed(lines), "```", ""])
        elif title:
            yield f"**{title}**\n"
            yield "\n".join([*_items(lines), ""])
        else:
            yield "\n".join([*_trimmed(lines), ""])


def _signature(name: str, one: Any) -> str:
    """The call with its defaults, without types, an argument or more a line."""
    parameters = [p for p in inspect.signature(one).parameters.values() if p.name != "self"]
    words, star = [], False
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not star:
            words.append("*")
        star = star or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        prefix = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        words.append(f"{prefix}{p.name}" + ("" if p.default is p.empty else f"={p.default!r}"))
    indent = " " * (len(name) + 1)
    lines, line = [], f"{name}("
    for place, word in enumerate(words):
        piece = word + (", " if place < len(words) - 1 else ")")
        if len(line) + len(piece.rstrip()) > 118:
            lines.append(line.rstrip())
            line = indent
        line += piece
    return "\n".join([*lines, line if words else f"{name}()"])


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """The parts of a numpydoc text with their titles, "" for what comes first."""
    title, own = "", list[str]()
    lines = text.splitlines()
    for place, line in enumerate(lines):
        if place + 1 < len(lines) and re.fullmatch("-{3,}", lines[place + 1]):
            yield title, own
            title, own = line, []
        elif not re.fullmatch("-{3,}", line):
            own.append(line)
    yield title, own


def _items(lines: list[str]) -> Iterator[str]:
    """Entries of a section as a list: names, or a type, then what they are."""
    entry: list[str] = []
    for line in [*_trimmed(lines), "end"]:
        if line and not line.startswith(" ") and entry:
            yield _item(entry)
            entry = []
        if line.strip():
            entry.append(line)


def _item(entry: list[str]) -> str:
    head, *rest = entry
    name, colon, text = head.partition(" : ")
    words = " ".join(part.strip() for part in ([text] if colon else []) + rest)
    is_text = not colon and not rest
    return head if is_text else f"- `{name}`: {words}" if words else f"- `{name}`"


def _trimmed(lines: list[str]) -> list[str]:
    text = "\n".join(lines).strip("\n")
    return text.splitlines()


def _first_paragraph(one: Any) -> str:
    return " ".join((inspect.getdoc(one) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    print(page(), end="")
