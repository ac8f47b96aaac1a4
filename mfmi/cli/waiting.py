"""A word before a wait that the program cannot divide into steps."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from mfmi.cli.terminal import terminal

if TYPE_CHECKING:
    from mfmi.activations import Activation


def announce_tables(phi: Activation, estimators: Collection[str]) -> None:
    """Say that the exact channel of an activation is going to be tabulated, where it has never been before."""
    from mfmi.tile_cache import TileCache

    # A linear network's channel is known in closed form.
    if "replica" not in estimators or phi.name == "linear":
        return
    folder = TileCache.of_user(phi).folder
    if folder is None or not folder.exists():
        terminal().note(f"replica tabulates the exact channel of {phi.name}; the first time that can take a minute")
