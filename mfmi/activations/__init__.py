"""Activations and their Gaussian moments, one family a file."""

from mfmi.activations._arguments import unresolved
from mfmi.activations._base import Activation, Piece
from mfmi.activations._conditional import Conditional
from mfmi.activations._registry import get, names, of_file

__all__ = ["Activation", "Conditional", "Piece", "get", "names", "of_file", "unresolved"]
