"""A word before a wait that the program cannot divide into steps."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from mfmi.cli.terminal import terminal
from mfmi.names import OBSERVABLES
from mfmi.networks.model import SQUARE, Model

if TYPE_CHECKING:
    from mfmi.activations import Activation


def announce_tables(phi: Activation, estimators: Collection[str], model: Model = SQUARE) -> None:
    """Say that the exact channel of an activation is going to be tabulated, where it has never been before."""
    from mfmi.channels.exact.direct import can_be_direct, has_small_table
    from mfmi.channels.exact.table import kept_tiles
    from mfmi.channels.observed.activation import tells_by_limit

    # A linear network's channel is known in closed form.
    large = phi.name != "linear" and not has_small_table(phi)
    of_layers = "replica" in estimators and large and (bool(model.tables) or not can_be_direct(phi))
    of_output = model.observe != OBSERVABLES[0] and not phi.strictly_monotone and tells_by_limit(phi)
    if not of_layers and not of_output:
        return
    folder = kept_tiles(phi).folder
    if folder is None or not folder.exists():
        who = "replica" if of_layers else "the information of the observed activation"
        terminal().note(f"{who} tabulates the exact channel of {phi.name}; the first time that can take some minutes")
