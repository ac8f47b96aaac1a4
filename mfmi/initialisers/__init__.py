"""Initialisers of deep-learning libraries as measured: a table, and names for its rows.

A row is the law of one kind of layer in one release of one library: sigma_w^2 as the second moment of an entry times
the true fan-in, which is what mean-field theory (4) calls it, whatever fan the library itself counts.
"""

from mfmi.initialisers._arguments import CUT_DEVIATION, Argument, arguments
from mfmi.initialisers._names import Preset, get, libraries, names
from mfmi.initialisers._table import Initialiser, table

__all__ = [
    "CUT_DEVIATION",
    "Argument",
    "Initialiser",
    "Preset",
    "arguments",
    "get",
    "libraries",
    "names",
    "table",
]
