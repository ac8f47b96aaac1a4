"""The most that an architecture can carry, whatever its weights (theory 6): dense, convolutional, with symmetries."""

from mfmi.attainable._architecture import Architecture, Convolution, Dense, Layer, initial_gain
from mfmi.attainable._covariance import InputCovariance
from mfmi.attainable._limits import Capacity, LayerLimit, attained, capacity, efficiency, log_total_gain
from mfmi.attainable._symmetry import NAMED_GROUPS, named_group, orbits, reynolds

__all__ = [
    "NAMED_GROUPS",
    "Architecture",
    "Capacity",
    "Convolution",
    "Dense",
    "InputCovariance",
    "Layer",
    "LayerLimit",
    "attained",
    "capacity",
    "efficiency",
    "initial_gain",
    "log_total_gain",
    "named_group",
    "orbits",
    "reynolds",
]
