"""Numbers as people read them."""

from __future__ import annotations

from typing import Any


def known(value: Any) -> bool:
    """Say whether there is a value: neither None nor NaN."""
    return value is not None and value == value


def number(value: Any) -> str:
    """Return a number in at most seven characters; nothing for null."""
    if not known(value):
        return ""
    size = abs(value)
    if size == 0:
        return "0.000"
    if size < 0.9995e-3 or size >= 0.99995e4:
        return f"{value:.1e}"
    return f"{value:.3f}" if size < 9.9995 else f"{value:.2f}" if size < 99.995 else f"{value:.1f}"


def as_far_as(largest_variance: float) -> str:
    """Limit what is said of an activation to the variances at which its moments are known; nothing without a limit."""
    if largest_variance == float("inf"):
        return ""
    return f" up to a variance of {largest_variance:.4g}, beyond which the activation's moments are not known"


def counted(count: int, noun: str) -> str:
    """Return "1 row", "2 rows", "1,000 rows"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
