"""Initialisers by name: ``torch.nn.Linear``, ``keras.layers.MultiHeadAttention@3.14``, ``he``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from mfmi.errors import did_you_mean
from mfmi.initialisers._table import WIDTHS, Initialiser, table

_FORM = re.compile(r"\s*(?P<name>[A-Za-z_][\w.]*)\s*(?:@(?P<version>[\w.+]+))?\s*(?:\((?P<sizes>[^()]*)\))?\s*")


@dataclass(frozen=True)
class Preset:
    """An initialiser at given sizes, as a network starts with it.

    Attributes
    ----------
    label
        The name with its version and sizes, as it can be given again.
    sigma_w
        Standard deviation of the weights, times the root of the true fan-in.
    sigma_b
        Standard deviation of the biases; 0 without biases, or where it vanishes in wide layers.
    initialiser
        The row of the table.
    """

    label: str
    sigma_w: float
    sigma_b: float
    initialiser: Initialiser


def names() -> list[str]:
    """Return every name once, in the order of the table."""
    return list(dict.fromkeys(row.name for row in table()))


def libraries() -> list[str]:
    """Return the libraries of the table, in its order."""
    return list(dict.fromkeys(row.library for row in table()))


def get(specification: str) -> Preset:
    """Return the initialiser of a name, at given sizes or in the limit of square, wide layers.

    Parameters
    ----------
    specification
        ``NAME``, ``NAME@VERSION`` where releases differ, followed in brackets by the sizes where they matter: inputs,
        outputs (the same without), then others by name, such as ``timm.ConvNeXt.depthwise(96, window=49)``.

    Returns
    -------
    Preset
        Exact values of the library's law, not the measured ones.

    Raises
    ------
    ValueError
        An unknown name, version or size, or a law that needs sizes that are not given; the message says which.
    """
    match = _FORM.fullmatch(specification)
    if match is None:
        raise ValueError(f"{specification!r} is not NAME, NAME@VERSION or NAME(INPUTS, OUTPUTS, size=NUMBER)")
    row = _release(match["name"], match["version"])
    if row.role == "embedding":
        raise ValueError(f"{row.name} is a table of vectors that multiplies no signal; it has no sigma_w")
    if match["sizes"] is None:
        variances = row.limits()
        if variances[0] == math.inf or (variances[0] == 0.0 and row.law != "zeros"):
            raise ValueError(f"{row.name} depends on the width (sigma_w^2 = {row.sigma_w2_formula}): {_how(row)}")
    else:
        variances = row.variances(_sizes(row, match["sizes"]))
    label = "".join(specification.split()).replace(",", ", ")
    sigma_w2, sigma_b2 = variances
    return Preset(label, math.sqrt(sigma_w2), math.sqrt(sigma_b2 or 0.0), row)


def _how(row: Initialiser) -> str:
    example = ", ".join(
        f"{row.sizes[name]:g}" if name in WIDTHS else f"{name}={row.sizes[name]:g}" for name in row.needs
    )
    if row.needs[:1] != ("inputs",):
        example = f"{row.sizes['inputs']:g}, {example}"
    return f"give its sizes, such as '{row.name}({example})'"


def _release(name: str, version: str | None) -> Initialiser:
    rows = [row for row in table() if row.name == name]
    if not rows:
        raise ValueError(f"{name!r} is not a name of `mfmi inits`.{did_you_mean(name, names(), 3)}")
    rows.sort(key=lambda row: _number(row.version), reverse=True)
    if version is None:
        return rows[0]
    for row in rows:
        if _is_of(row, version):
            return row
    known = ", ".join(f"{row.since} to {row.version}" if row.since else row.version for row in rows) or "no release"
    raise ValueError(f"{name!r} has not been measured at {version}; it was at {known}")


def _number(version: str) -> tuple[int, ...]:
    """Return the digits of a version, without its local label."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version.split("+")[0]))


def _is_of(row: Initialiser, version: str) -> bool:
    """Whether a version, perhaps shortened, is the measured one or within the releases known to be alike."""
    asked, last = _number(version), _number(row.version)
    if last[: len(asked)] == asked:
        return bool(asked)
    return bool(row.since and asked) and _number(row.since)[: len(asked)] <= asked <= last[: len(asked)]


def _sizes(row: Initialiser, text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    for place, part in enumerate(parts):
        key, equals, value = (word.strip() for word in part.rpartition("="))
        if not equals:
            if place >= len(WIDTHS) or len(found) != place:
                raise ValueError(f"{row.name}: {part!r} needs a name, such as window={part}")
            key = WIDTHS[place]
        if key in found:
            raise ValueError(f"{row.name}: {key} is given twice")
        if key not in WIDTHS and key not in row.needs:
            known = ", ".join(dict.fromkeys((*WIDTHS, *row.needs)))
            raise ValueError(f"{row.name}: {key!r} is not one of its sizes: {known}")
        if not value.isdecimal() or int(value) < 1:
            raise ValueError(f"{row.name}: {key} {value!r} is not a whole number from 1")
        found[key] = float(value)
    if "inputs" in found:
        found.setdefault("outputs", found["inputs"])
    missing = [name for name in row.needs if name not in found]
    if missing:
        raise ValueError(f"{row.name}: {', '.join(missing)} is missing; {_how(row)}")
    return found
