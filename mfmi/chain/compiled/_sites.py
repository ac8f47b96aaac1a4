"""Machine code of the sums over sites, where numba is installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mfmi.channels.stream import site_code
from mfmi.channels.stream.site_code import SiteCode
from mfmi.processes.machine_code import machine_code, version

_SOURCES = ("channels/stream/site_code.py",)


def compiled_sites() -> SiteCode | None:
    """The sums of `site_code` as machine code, or None without numba."""
    return _compile_sites() if version() else None


@lru_cache(maxsize=1)
def _compile_sites() -> SiteCode:
    inner: list[Callable[..., Any]] = [site_code.fill, site_code.collect, site_code.subtract, site_code.nested]
    messages = machine_code(site_code.site_messages, inner, _SOURCES)
    return SiteCode(messages, machine_code(site_code.residual_covariances, [], _SOURCES))
