"""The search as machine code."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any

from mfmi.chain.compiled import _channel, _descent
from mfmi.channels import elementwise
from mfmi.channels.closed import coordinates
from mfmi.processes.machine_code import machine_code, version

SOURCES: tuple[str, ...] = (
    "channels/closed/coordinates.py",
    "chain/ensembles.py",
    "chain/equations.py",
    "channels/elementwise.py",
    "quadrature/splines.py",
    "chain/compiled/_channel.py",
    "chain/compiled/_compiler.py",
    "chain/compiled/_descent.py",
    "chain/compiled/_state.py",
)
"""Modules that the machine code follows from, with its constants."""


def compiled() -> Callable[..., None] | None:
    """Return `descend` as machine code, or None without numba."""
    return _compile() if version() else None


@lru_cache(maxsize=1)
def _compile() -> Callable[..., None]:
    from numba.extending import overload

    overload(elementwise.chosen)(
        lambda condition, one, other: lambda condition, one, other: one if condition else other
    )
    overload(coordinates.cell_of)(lambda position, cells: lambda position, cells: min(max(int(position), 0), cells - 1))
    inner = [part for part in called_by(_descent.descend) if part not in (elementwise.chosen, coordinates.cell_of)]
    return machine_code(_descent.descend, inner, SOURCES, free=_channel.SUMS, inline=_channel.INLINE)


def called_by(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The functions of this package that a function calls, and those that these call."""
    found: list[Callable[..., Any]] = []
    left: list[Any] = [function]
    while left:
        code = left.pop()
        known = (code.__globals__.get(name) for name in code.__code__.co_names)
        ours = (one for one in known if isinstance(one, FunctionType) and one.__module__.startswith("mfmi."))
        new = [one for one in ours if one not in found]
        found += new
        left += new
    return found
