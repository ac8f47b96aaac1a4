"""Columns of numbers as few bytes: decimal digits as whole numbers, differences, compressed together."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.arguments.arrays import FloatArray

Codes = NDArray[np.int32]

DIGITS = 5
"""Significant digits that a page keeps of a number."""

# Decimal exponent of the smallest float64, about; a code counts from here.
LEAST_EXPONENT = -330
# Whole numbers beyond this are stored in two parts.
_WORD = 30

KNOWN, NULL, INFINITE, MINUS_INFINITE = range(4)


def decimal_codes(values: ArrayLike, digits: int = DIGITS) -> tuple[Codes, NDArray[np.uint8]]:
    """Return numbers of so many significant decimal digits as whole numbers, and what is no number.

    A code counts the decimals of that many digits between the smallest number and the value, so that it grows with the
    value, by equal steps within a decade.

    Parameters
    ----------
    values
        Numbers of any size, NaN where there is none.
    digits
        Significant digits.

    Returns
    -------
    codes : ndarray of int32
        0 for 0, negative for negative numbers; the code before, where there is no finite number.
    states : ndarray of uint8
        `KNOWN`, `NULL`, `INFINITE` or `MINUS_INFINITE`.
    """
    given = np.asarray(values, dtype=np.float64)
    states = np.where(np.isnan(given), NULL, np.where(given == np.inf, INFINITE, np.where(given == -np.inf, 3, KNOWN)))
    # A number that would be rounded up beyond the largest one stays below it.
    largest = float(f"1.{'7976931348623157'[: digits - 1]}e308")
    size = np.minimum(np.abs(np.where(states == KNOWN, given, 0.0)), largest)
    some = size > 0.0
    exponent = np.zeros(len(given), dtype=np.int64)
    exponent[some] = np.floor(np.log10(size[some])).astype(np.int64)
    mantissa = _scaled(size, digits - 1 - exponent)
    # The logarithm of a power of ten is rounded, and nines are rounded up.
    low, high = 10 ** (digits - 1), 10**digits
    for wrong, step in ((some & (mantissa >= high), 1), (some & (mantissa < low), -1)):
        exponent[wrong] += step
        mantissa[wrong] = np.maximum(_scaled(size[wrong], digits - 1 - exponent[wrong]), low)
    codes = (exponent - LEAST_EXPONENT) * (high - low) + mantissa - low + 1
    codes = np.where(some, np.sign(given, where=some, out=np.zeros(len(given))) * codes, 0).astype(np.int32)
    return _filled(codes, states == KNOWN), states.astype(np.uint8)


def _scaled(size: FloatArray, power: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return size times ten to a power, rounded; in two steps, for the power alone may be too large for a float."""
    half = power // 2
    return np.asarray(np.rint(size * 10.0**half * 10.0 ** (power - half)), dtype=np.int64)


def _filled(codes: Codes, known: NDArray[np.bool_]) -> Codes:
    """Repeat the known code before each gap."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(codes)), -1))
    return np.where(last >= 0, codes[np.maximum(last, 0)], 0).astype(np.int32)


class Packer:
    """Arrays of whole numbers, compressed together.

    Each is stored as its differences of the order that leaves least, as unsigned numbers (0, -1, 1, -2, ... as 0, 1, 2,
    3, ...), byte by byte: first the lowest bytes of all, then the next.
    """

    def __init__(self) -> None:
        self.arrays: list[dict[str, int]] = []
        self._parts: list[bytes] = []

    def add(self, values: ArrayLike) -> int:
        """Store whole numbers of 32 bits, shape (n,); returns the number of the array."""
        given = np.asarray(values).astype(np.int32)
        orders = [given]
        for _ in range(2):
            orders.append(np.diff(orders[-1], prepend=np.int32(0)))
        order, best = min(enumerate(map(_unsigned, orders)), key=lambda pair: _cost(pair[1]))
        planes = best.astype("<u4").view(np.uint8).reshape(-1, 4).T
        self.arrays.append({"count": len(given), "order": order})
        self._parts.append(planes.tobytes())
        return len(self.arrays) - 1

    def text(self) -> str:
        """All arrays, compressed (zlib), in base 64."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 9)).decode()


def _unsigned(values: Codes) -> NDArray[np.uint32]:
    return ((values.astype(np.int64) << 1) ^ (values.astype(np.int64) >> 63)).astype(np.uint32)


def _cost(values: NDArray[np.uint32]) -> float:
    """Bits that the numbers take, about."""
    return float(np.log2(1.0 + values).sum())


def packed_column(packer: Packer, values: Sequence[Any] | NDArray[Any], dtype: str, digits: int) -> dict[str, Any]:
    """Store a column, and describe how it is to be read.

    Parameters
    ----------
    packer
        Where it is stored.
    values
        Numbers, or texts; None or NaN where there is none.
    dtype
        As of `mfmi.columns.Column`.
    digits
        Significant digits of float64 numbers.

    Returns
    -------
    dict
        ``kind`` "constant" with its ``value``, "text" with ``words`` and ``codes``, "whole" with ``low`` and perhaps
        ``high``, or "number" with ``codes`` and perhaps ``states``. What is stored is given by number.
    """
    if dtype in ("string", "bool"):
        return _packed_text(packer, values)
    if dtype != "float64":
        return _packed_whole(packer, np.asarray(values, dtype=np.float64))
    numbers = np.asarray(values, dtype=np.float64)
    if np.isnan(numbers).all():
        return {"kind": "constant", "value": None}
    if np.isfinite(numbers[0]) and (numbers == numbers[0]).all():
        return {"kind": "constant", "value": float(numbers[0])}
    codes, states = decimal_codes(numbers, digits)
    found: dict[str, Any] = {"kind": "number", "codes": packer.add(codes)}
    return found | ({"states": packer.add(states)} if states.any() else {})


def _packed_text(packer: Packer, values: Sequence[Any] | NDArray[Any]) -> dict[str, Any]:
    places: dict[Any, int] = {}
    codes = np.array(
        [places.setdefault(None if one is None or one != one else str(one), len(places)) for one in values]
    )
    words = list(places)
    if len(words) == 1:
        return {"kind": "constant", "value": words[0]}
    return {"kind": "text", "words": words, "codes": packer.add(codes)}


def _packed_whole(packer: Packer, values: FloatArray) -> dict[str, Any]:
    known = np.isfinite(values)
    if not known.any():
        return {"kind": "constant", "value": None}
    if known.all() and (values == values[0]).all():
        return {"kind": "constant", "value": int(values[0])}
    whole = np.where(known, values, 0.0).astype(np.int64)
    high = whole >> _WORD
    low = _filled((whole - (high << _WORD)).astype(np.int32), known)
    found: dict[str, Any] = {"kind": "whole", "low": packer.add(low)}
    if high.any():
        found["high"] = packer.add(high)
    return found | ({} if known.all() else {"states": packer.add(~known)})
