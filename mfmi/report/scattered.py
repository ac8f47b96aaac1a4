"""Heat maps of points that fill no grid, such as those of an adaptive sweep: straight lines between neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.report.axes import FigureAxis

# Cells of the picture along each axis.
_CELLS = 240


@dataclass(frozen=True)
class Scattered:
    """Values at places of their own.

    Attributes
    ----------
    x, y : the places, shape (n,).
    values : shape (n,), NaN where there is none.
    """

    x: FloatArray
    y: FloatArray
    values: FloatArray


def refined_axes(origin: Mapping[str, Any]) -> dict[str, bool]:
    """Return the axes that the adaptive sweep with that provenance has refined, and whether by ratios.

    Empty for sweeps of other modes.
    """
    config = origin.get("config", {}).get("resolved", {})
    names = config.get("sweep.adaptive", {}).get("axes", ())
    return {name: FigureAxis.of(name, config[f"sweep.{name}"]).logarithmic for name in names}


def even_axis(axis: FigureAxis, cells: int = _CELLS) -> FigureAxis:
    """Return the axis with as many even values as a picture has cells, both ends included."""
    low, high = axis.scaled(axis.values[[0, -1]])
    at = np.linspace(low, high, cells)
    values = np.exp(at) if axis.logarithmic else at
    values[[0, -1]] = axis.values[[0, -1]]
    return FigureAxis(axis.name, values, axis.logarithmic)


def rastered(points: Scattered, phases: NDArray[Any], x: FigureAxis, y: FigureAxis) -> tuple[FloatArray, NDArray[Any]]:
    """Return values and phases at every value of two axes.

    Values are interpolated linearly on the triangulation of the points that have one, and there are none where the
    nearest of all points has none. A phase is that of the nearest point.

    Returns
    -------
    values : ndarray, shape (len(y), len(x))
    phases : ndarray of the same shape
    """
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import KDTree

    places = np.column_stack([_share(x, points.x), _share(y, points.y)])
    mesh = np.stack(np.meshgrid(_share(x, x.values), _share(y, y.values)), axis=-1)
    nearest = KDTree(places).query(mesh)[1]
    known = np.isfinite(points.values)
    values = points.values[nearest]
    if _spans(places[known]):
        between = LinearNDInterpolator(places[known], points.values[known])(mesh)
        values = np.where(np.isfinite(between) & np.isfinite(values), between, values)
    return values, phases[nearest]


def _spans(places: FloatArray) -> bool:
    """Say whether there are triangles between points."""
    return len(places) > 2 and np.linalg.matrix_rank(places[1:] - places[0], tol=1e-9) == 2


def _share(axis: FigureAxis, values: FloatArray) -> FloatArray:
    """Places along the picture, from 0 to 1."""
    low, high = axis.scaled(axis.values[[0, -1]])
    return np.asarray((axis.scaled(values) - low) / (high - low))
