"""The edge of chaos of every picture of a page, at all places of its sliders and menus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mfmi.report.axes import FigureAxis
from mfmi.report.edge_lines import Polyline, edge_along, edge_lines, has_edge, hidden_noise
from mfmi.report.network_words import NETWORK

if TYPE_CHECKING:
    import pandas as pd

_MOVING = ("sigma_w", "sigma_b")
# All that the edge depends on.
_KEYS = ("activation", "noise_at", NETWORK, "skip", "branch", "sigma_noise", *_MOVING)

# Points of a line across a picture.
_POINTS_ACROSS = 200

Network = dict[str, Any]


def edges_of(
    rows: pd.DataFrame, axes: Sequence[Mapping[str, Any]], picture: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The edge of chaos of a picture.

    Parameters
    ----------
    rows
        The columns of `mfmi.report.figure_choice.choose`, with words.
    axes
        Those that vary, in the form of `mfmi.report.page.parts`.
    picture
        Its ``x`` and ``y``.

    Returns
    -------
    dict or None
        ``by``: the axes on which it depends; ``of``: by their places, with commas between them, a number of ``lines``:
        lists of pieces with ``x``, ``y`` and ``stable``. None where no edge runs through the picture.
    """
    shown = [name for name in (picture["x"], picture["y"]) if name is not None]
    if not any(name in _MOVING for name in shown) or "skip" in shown or "branch" in shown:
        return None
    known = {axis["name"]: axis for axis in axes}
    by = [name for name in _KEYS if name in known and name not in shown]
    networks = _networks(rows, by, shown)
    frame = {name: FigureAxis.of(name, rows[name].to_numpy(np.float64)) for name in shown}
    lines: list[list[dict[str, Any]]] = []
    places: dict[str, int] = {}
    for key, pieces in zip(networks, _pieces(list(networks.values()), rows, shown), strict=True):
        if not pieces:
            continue
        found = [_sparse(one, [frame[name] for name in shown]) for one in pieces]
        if found not in lines:
            lines.append(found)
        places[",".join(str(_place(known[name], word)) for name, word in zip(by, key, strict=True))] = lines.index(
            found
        )
    return {"by": by, "of": places, "lines": lines} if lines else None


def _sparse(piece: Polyline, axes: Sequence[FigureAxis]) -> dict[str, Any]:
    """A piece with as many points as can be told apart in the picture, of which the last is one."""
    kept = np.arange(len(piece.x))
    if len(axes) == 2:
        steps = [
            np.diff(axis.scaled(values)) / np.ptp(axis.scaled(axis.borders))
            for axis, values in zip(axes, (piece.x, piece.y), strict=True)
        ]
        along = np.concatenate(([0.0], np.cumsum(np.hypot(*steps)))) * _POINTS_ACROSS
        kept = np.unique(np.append(np.unique(np.floor(along), return_index=True)[1], len(kept) - 1))
    x, y = ([float(f"{value:.6g}") for value in values[kept]] for values in (piece.x, piece.y))
    return {"x": x, "y": y, "stable": piece.stable}


def _place(axis: Mapping[str, Any], word: Any) -> int:
    return int((axis.get("words") or axis["values"]).index(word))


def _networks(rows: pd.DataFrame, by: Sequence[str], shown: Sequence[str]) -> dict[tuple[Any, ...], Network]:
    """The networks that have a line of their own, by their words and numbers."""
    names = [name for name in _KEYS if name not in shown]
    found = rows[names].drop_duplicates(list(by)) if by else rows[names].iloc[:1]
    networks = [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]
    return {tuple(network[name] for name in by): network for network in networks}


def _pieces(networks: Sequence[Network], rows: pd.DataFrame, shown: Sequence[str]) -> list[list[Polyline]]:
    """The pieces of the edge of each network."""
    axes = {name: FigureAxis.of(name, rows[name].to_numpy(np.float64)) for name in shown}
    moving = [name for name in shown if name in _MOVING]
    if len(moving) == 2 or "sigma_noise" in shown:
        return _bent(networks, axes[shown[0]], axes[shown[1]]) if len(shown) == 2 else [[] for _ in networks]
    return _straight(networks, axes, moving[0], shown)


def _bent(networks: Sequence[Network], x: FigureAxis, y: FigureAxis) -> list[list[Polyline]]:
    known: dict[tuple[Any, ...], list[Polyline]] = {}
    found: list[list[Polyline]] = []
    for network in networks:
        if not has_edge(network):
            found.append([])
            continue
        held = tuple(network[name] for name in _MOVING if name in network)
        key = (network["activation"], network["noise_at"], hidden_noise(network), *held)
        if key not in known:
            known[key] = list(edge_lines(network, x, y))
        found.append(known[key])
    return found


def _straight(
    networks: Sequence[Network], axes: Mapping[str, FigureAxis], moving: str, shown: Sequence[str]
) -> list[list[Polyline]]:
    """Lines across the whole picture, or places on the axis of curves: all networks of an activation at once."""
    held = "sigma_b" if moving == "sigma_w" else "sigma_w"
    found: list[list[Polyline]] = [[] for _ in networks]
    plain = [place for place, network in enumerate(networks) if has_edge(network)]
    frame = axes[moving].borders[[0, -1]]
    for activation in dict.fromkeys(networks[place]["activation"] for place in plain):
        mine = [place for place in plain if networks[place]["activation"] == activation]
        edge, at = edge_along(
            activation, moving, [networks[i][held] for i in mine], [hidden_noise(networks[i]) for i in mine]
        )
        inside = np.flatnonzero((at >= frame[0]) & (at <= frame[1]))
        for entry in inside:
            stable = bool(edge.stable[entry])
            line = _line(float(at[entry]), stable, axes, moving, shown)
            if line is not None:
                found[mine[int(edge.index[entry])]].append(line)
    return found


def _line(
    at: float, stable: bool, axes: Mapping[str, FigureAxis], moving: str, shown: Sequence[str]
) -> Polyline | None:
    """A line at a place of one axis along all of the other; of curves the place alone, where the edge attracts."""
    if len(shown) == 1:
        return Polyline(np.array([at]), np.array([0.0]), stable) if stable else None
    other = next(name for name in shown if name != moving)
    ends, places = axes[other].borders[[0, -1]], np.array([at, at])
    return Polyline(places, ends, stable) if shown[0] == moving else Polyline(ends, places, stable)
