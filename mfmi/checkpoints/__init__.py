"""Checkpoints: readers of weight files, the layers in them, and what their weights are.

A file is read by the library of its format, tensor by tensor; nothing in it is run.
"""

from mfmi.checkpoints._audit import COLUMNS, Audit, audit_files
from mfmi.checkpoints._axes import Axes
from mfmi.checkpoints._files import SUFFIXES, read, steps
from mfmi.checkpoints._findings import LEVELS, Finding
from mfmi.checkpoints._freeness import Freeness, freeness
from mfmi.checkpoints._layers import KINDS, Layer, layers_of
from mfmi.checkpoints._network import COLUMNS as NETWORK_COLUMNS
from mfmi.checkpoints._network import FileNetwork
from mfmi.checkpoints._tensor import Checkpoint, Tensor

__all__ = [
    "COLUMNS",
    "KINDS",
    "LEVELS",
    "NETWORK_COLUMNS",
    "SUFFIXES",
    "Audit",
    "Axes",
    "Checkpoint",
    "FileNetwork",
    "Finding",
    "Freeness",
    "Layer",
    "Tensor",
    "audit_files",
    "freeness",
    "layers_of",
    "read",
    "steps",
]
