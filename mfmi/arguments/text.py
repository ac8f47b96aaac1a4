"""Numbers written as text, the same by every door. Free of numpy."""

from __future__ import annotations

from mfmi.arguments.ranges import DEEPEST, WIDEST
from mfmi.errors import shown


def whole_numbers_of(text: str, separator: str) -> tuple[int, ...]:
    """Return sizes with a separator between them, such as 784,100,10.

    Raises
    ------
    ValueError
        It is something else, or out of range.
    """
    parts = [part.strip() for part in text.lower().split(separator)]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise ValueError(f"{shown(text)} is not made of whole numbers with {separator!r} between them")
    if not all(part.strip("0") for part in parts):
        raise ValueError(f"{shown(text)} holds a 0: numbers begin at 1")
    if any(len(part) > len(str(WIDEST)) or int(part) > WIDEST for part in parts):
        raise ValueError(f"{shown(text)} holds a number greater than {WIDEST:,}")
    if len(parts) - 1 > DEEPEST:
        raise ValueError(f"{len(parts)} numbers are more than {DEEPEST:,} layers")
    return tuple(map(int, parts))
