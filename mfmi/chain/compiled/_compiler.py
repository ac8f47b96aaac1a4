"""The search as machine code."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from mfmi.chain import ensembles
from mfmi.chain.compiled import _channel, _descent
from mfmi.channels import elementwise
from mfmi.channels.closed import coordinates
from mfmi.processes.machine_code import machine_code, version

SOURCES: tuple[str, ...] = (
    "channels/closed/coordinates.py",
    "chain/ensembles.py",
    "channels/elementwise.py",
    "channels/layers.py",
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
    own = {module.__name__ for module in (_channel, _descent, coordinates, ensembles, elementwise)}
    used = {f: None for module in (_channel, _descent) for f in vars(module).values() if _is_code(f)}
    inner = [f for f in used if f.__module__ in own]
    return machine_code(_descent.descend, inner, SOURCES, free=_channel.SUMS, inline=_channel.INLINE)


def _is_code(value: object) -> bool:
    return callable(value) and not isinstance(value, type)
