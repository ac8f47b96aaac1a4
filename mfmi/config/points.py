"""Points of a grid as the evaluator takes them."""

from typing import Any

import numpy as np

from mfmi.config.grid import Grid
from mfmi.config.schema import STRUCTURE_KINDS
from mfmi.config.values import Integers
from mfmi.initialisers import get as get_initialiser
from mfmi.networks.points import Points
from mfmi.networks.settings import Settings


def points_at(grid: Grid, index: Integers, input_variance: float, correlation: float) -> tuple[Points, Settings]:
    """Expand points of a grid.

    Parameters
    ----------
    grid
        The axes.
    index
        Numbers of n points in the whole grid.
    input_variance, correlation
        Of all points.

    Returns
    -------
    points : Points
        The points, in that order.
    settings : Settings
        What was said of their norms, skips and noise.
    """
    positions = grid.positions(index)
    columns: dict[str, Any] = {a.name: a.at(positions[a.name]) for a in grid.axes if a.name != "depth"}
    if "init" in columns:
        presets = {name: get_initialiser(name) for name in set(columns["init"].tolist())}
        columns["sigma_w"] = np.array([presets[name].sigma_w for name in columns["init"]])
        columns["sigma_b"] = np.array([presets[name].sigma_b for name in columns["init"]])
    given = {name: columns.pop(name) for name in STRUCTURE_KINDS if name in columns}
    settings, columns["sigma_noise"] = Settings.read(columns["sigma_noise"], given)
    structure = settings.structure(settings.broadcast | {name: columns[name] for name in ("sigma_w", "sigma_b")})
    alike = np.full(len(index), input_variance), np.full(len(index), correlation)
    points = Points(index=index, input_variance=alike[0], correlation=alike[1], structure=structure, **columns)
    return points, settings
