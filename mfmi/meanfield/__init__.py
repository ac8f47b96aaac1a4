"""Mean field: maps through the layers, fixed points and phases, and the edge of chaos (theory section 2)."""

from mfmi.meanfield._edge import EdgeCurve, EdgeOfChaos, edge_curve, edge_of_chaos
from mfmi.meanfield._fixed_points import FixedPoint, FixedPoints, fixed_point, fixed_points
from mfmi.meanfield._maps import Trajectory, trajectory

__all__ = [
    "EdgeCurve",
    "EdgeOfChaos",
    "FixedPoint",
    "FixedPoints",
    "Trajectory",
    "edge_curve",
    "edge_of_chaos",
    "fixed_point",
    "fixed_points",
    "trajectory",
]
