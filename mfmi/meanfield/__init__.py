"""Mean field: maps through the layers, fixed points and phases, and the edge of chaos (theory section 2)."""

from mfmi.meanfield._architecture import Architecture
from mfmi.meanfield._edge import EdgeCurve, EdgeOfChaos, edge_curve, edge_of_chaos
from mfmi.meanfield._fixed_points import FixedPoint, FixedPoints, fixed_point, fixed_points, is_bounded
from mfmi.meanfield._maps import Trajectory, lengths, pair_gaps, trajectory
from mfmi.meanfield._power_laws import PowerLaws, power_laws
from mfmi.meanfield._rounding import NUMBER_FORMATS, NumberFormat
from mfmi.meanfield._stream import Stream, block_sigma_w2, layer_sigma_w2, propagate, units
from mfmi.meanfield._stream_ends import StreamEnds, edge_after_norm, stream_ends

__all__ = [
    "NUMBER_FORMATS",
    "Architecture",
    "EdgeCurve",
    "EdgeOfChaos",
    "FixedPoint",
    "FixedPoints",
    "NumberFormat",
    "PowerLaws",
    "Stream",
    "StreamEnds",
    "Trajectory",
    "block_sigma_w2",
    "edge_after_norm",
    "edge_curve",
    "edge_of_chaos",
    "fixed_point",
    "fixed_points",
    "is_bounded",
    "layer_sigma_w2",
    "lengths",
    "pair_gaps",
    "power_laws",
    "propagate",
    "stream_ends",
    "trajectory",
    "units",
]
