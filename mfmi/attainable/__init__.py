"""The most that an architecture can carry, whatever its weights (theory 6): dense, convolutional, with symmetries."""

from mfmi.attainable._architecture import Architecture, Convolution, Dense, Layer, initial_gain, layer_from_text
from mfmi.attainable._covariance import InputCovariance
from mfmi.attainable._limits import Capacity, LayerLimit, attained, capacity, efficiency, log_total_gain
from mfmi.attainable._question import architecture_of, covariance_of, gains_of, orbits_of
from mfmi.attainable._rows import block_of, columns_of, layer_block_of, scale_of
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
    "architecture_of",
    "attained",
    "block_of",
    "capacity",
    "columns_of",
    "covariance_of",
    "efficiency",
    "gains_of",
    "initial_gain",
    "layer_block_of",
    "layer_from_text",
    "log_total_gain",
    "named_group",
    "orbits",
    "orbits_of",
    "reynolds",
    "scale_of",
]
