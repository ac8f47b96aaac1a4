"""The edge of chaos in the coordinates of a figure, as curves and as places along one axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import get, of_file
from mfmi.arguments.arrays import FloatArray
from mfmi.errors import MfmiError, brief, shorten
from mfmi.meanfield import EdgeOfChaos, edge_curve, edge_of_chaos
from mfmi.report.axes import FigureAxis
from mfmi.report.network_words import is_plain

# Positions along the other axis at which a straight or bent edge is looked for.
_EDGE_POINTS = 200
# A piece of the edge ends where its next point is further away than this share of the picture.
_GAP = 0.1
# Relative distance within which the edge at smaller biases continues the curve.
_JOINED = 0.05


@dataclass(frozen=True)
class Polyline:
    """A piece of the edge of chaos in the coordinates of a panel; `stable` where the fixed point on it attracts."""

    x: FloatArray
    y: FloatArray
    stable: bool


def is_known(network: Mapping[str, Any]) -> bool:
    """Whether the mean field of a network can be had: a plain one, whose activation can be evaluated here."""
    return is_plain(network) and not _trouble(network["activation"])


def has_edge(network: Mapping[str, Any]) -> bool:
    """Whether the edge of chaos of a network is known: that of an activation with a slope."""
    return is_known(network) and get(network["activation"]).differentiable


@lru_cache(maxsize=256)
def _trouble(activation: str) -> str:
    """Why an activation that a file names cannot be evaluated here; empty if it can."""
    try:
        of_file(activation)
    except (ValueError, MfmiError) as error:
        return " ".join(str(error).split())
    return ""


def unknown_activations(names: Iterable[str]) -> tuple[str, ...]:
    """Say of which activations of a file the edge of chaos is not drawn, for they are not known here, and why."""
    reasons = {name: _trouble(name) for name in dict.fromkeys(names)}
    return tuple(
        f"no edge of chaos is drawn for {shorten(name)}: {brief(reason)}" for name, reason in reasons.items() if reason
    )


def hidden_noise(network: Mapping[str, Any]) -> float:
    """Noise that enters the hidden layers, 0 where it is at the output alone or is an axis of the figure."""
    return float(network.get("sigma_noise", 0.0)) if network["noise_at"] == "every" else 0.0


def edge_lines(network: Mapping[str, Any], x: FigureAxis, y: FigureAxis) -> Iterator[Polyline]:
    """The edge of chaos in a picture over two axes.

    Parameters
    ----------
    network
        Words and numbers of the panel, but those of the axes.
    x, y
        The axes.

    Yields
    ------
    Polyline
        The pieces inside the picture; none where the edge is not known or does not lie along an axis.
    """
    if not has_edge(network):
        return
    names = {x.name, y.name}
    hidden = hidden_noise(network)
    if names == {"sigma_w", "sigma_b"}:
        weights, biases, stable = _curve(network["activation"], hidden, x if x.name == "sigma_b" else y)
        along, across = (weights, biases) if x.name == "sigma_w" else (biases, weights)
        yield from _pieces(along, across, stable, x, y)
        return
    moving = "sigma_w" if "sigma_w" in names else "sigma_b" if "sigma_b" in names else None
    if moving is None:
        return
    other = y if x.name == moving else x
    places = np.concatenate(([other.borders[0]], other.cells(_EDGE_POINTS), [other.borders[-1]]))
    noise = np.maximum(places, 0.0) if other.name == "sigma_noise" and network["noise_at"] == "every" else hidden
    noise = np.broadcast_to(noise, places.shape)
    for at, attracts in _branches(network, moving, noise):
        along, across = (at, places) if x.name == moving else (places, at)
        yield from _pieces(along, across, np.full(len(at), attracts), x, y)


def _curve(activation: str, hidden: float, biases: FigureAxis) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Standard deviations of weights and biases along the edge, down to the smallest biases of the picture.

    The points of the curve are spaced by their variance, and where hidden layers have noise the last one before the
    biases vanish lies far above 0.
    """
    curve = edge_curve(activation, hidden)
    known = np.flatnonzero(np.isfinite(curve.sigma_b))
    parts: list[list[NDArray[Any]]] = []
    for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        columns = [curve.sigma_w[run], curve.sigma_b[run], curve.stable[run]]
        head = _below(activation, hidden, biases, [column[:2] for column in columns])
        tail = _below(activation, hidden, biases, [column[:-3:-1] for column in columns])
        # The last point is among those that replace it.
        first, last = min(len(head[0]), 1), len(run) - min(len(tail[0]), 1)
        columns = [column[first:last] for column in columns]
        gap = (np.array([np.nan]), np.array([np.nan]), np.array([False]))
        parts.append([np.concatenate(one) for one in zip([x[::-1] for x in head], columns, tail, gap, strict=True)])
    weights, places, stable = (np.concatenate([part[i] for part in parts]) if parts else np.empty(0) for i in range(3))
    return weights, places, np.asarray(stable, dtype=bool)


def _below(
    activation: str, hidden: float, biases: FigureAxis, end: Sequence[NDArray[Any]]
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """The edge at smaller biases than those at the end of a curve, whose last two points are given, last first."""
    weights, places, stable = end
    low = max(float(biases.borders[0]), 0.0)
    if len(places) < 2 or not low < places[0] < places[1]:
        return np.empty(0), np.empty(0), np.empty(0, dtype=bool)
    spaced = np.geomspace if low > 0.0 else np.linspace
    held = spaced(places[1], low, _EDGE_POINTS)[1:]
    edge, at = edge_along(activation, "sigma_w", held, np.full(len(held), hidden))
    joins = np.flatnonzero((np.abs(at / weights[0] - 1.0) < _JOINED) & (edge.stable == stable[0]))
    index, first = np.unique(edge.index[joins], return_index=True)
    return at[joins[first]], held[index], np.full(len(index), stable[0])


def edge_places(network: Mapping[str, Any], x: FigureAxis) -> FloatArray:
    """Positions of the edge of chaos on an axis of sigma_w or sigma_b, attracting ones."""
    if not has_edge(network):
        return np.empty(0)
    held = network["sigma_b" if x.name == "sigma_w" else "sigma_w"]
    edge, at = edge_along(network["activation"], x.name, [held], [hidden_noise(network)])
    at = at[edge.stable]
    return np.asarray(at[(at >= x.borders[0]) & (at <= x.borders[-1])])


def edge_along(activation: str, moving: str, held: ArrayLike, hidden: ArrayLike) -> tuple[EdgeOfChaos, FloatArray]:
    """The edge of chaos along sigma_w or sigma_b, for several values of the other and of the hidden noise.

    Parameters
    ----------
    activation
        Name of the activation.
    moving
        "sigma_w" or "sigma_b".
    held, hidden
        The other standard deviation, and that of the noise in hidden layers, shape (n,).

    Returns
    -------
    EdgeOfChaos, ndarray of shape (m,)
        All branches, and their places along `moving`; NaN where there is none.
    """
    if moving == "sigma_w":
        edge = edge_of_chaos(activation, held, hidden).found
        return edge, edge.sigma_w
    edge = edge_of_chaos(activation, None, hidden, sigma_w=held).found
    return edge, edge.sigma_b


def _branches(network: Mapping[str, Any], moving: str, noise: FloatArray) -> Iterator[tuple[FloatArray, bool]]:
    """Positions of the edge along sigma_w or sigma_b, branch by branch, for every noise."""
    held = network["sigma_b" if moving == "sigma_w" else "sigma_w"]
    several, of_noise = np.unique(noise, return_inverse=True)
    edge, found = edge_along(network["activation"], moving, np.full(len(several), held), several)
    for stable in (True, False):
        index, values = edge.index[edge.stable == stable], found[edge.stable == stable]
        rank = np.arange(len(index)) - np.searchsorted(index, index)
        for branch in range(int(rank.max()) + 1 if len(rank) else 0):
            at = np.full(len(several), np.nan)
            at[index[rank == branch]] = values[rank == branch]
            yield at[of_noise], stable


def _pieces(
    along: FloatArray, across: FloatArray, stable: NDArray[np.bool_], x: FigureAxis, y: FigureAxis
) -> Iterator[Polyline]:
    """The parts of a curve inside the picture, split where it is interrupted or changes its stability."""
    frame = [axis.scaled(axis.borders[[0, -1]]) for axis in (x, y)]
    place = [
        (axis.scaled(np.where(part > 0.0, part, np.nan) if axis.logarithmic else part) - low) / (high - low)
        for axis, part, (low, high) in zip((x, y), (along, across), frame, strict=True)
    ]
    inside = np.isfinite(place[0]) & np.isfinite(place[1])
    inside &= (np.abs(place[0] - 0.5) <= 0.6) & (np.abs(place[1] - 0.5) <= 0.6)
    points = np.flatnonzero(inside)
    if not len(points):
        return
    step = np.maximum(np.abs(np.diff(place[0][points])), np.abs(np.diff(place[1][points])))
    breaks = (np.diff(points) > 1) | (step > _GAP) | (stable[points[1:]] != stable[points[:-1]])
    for piece in np.split(points, np.flatnonzero(breaks) + 1):
        yield Polyline(along[piece], across[piece], bool(stable[piece[0]]))
