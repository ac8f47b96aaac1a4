"""The search for a chain's stationary point, compiled for one point at a time where numba is installed.

`chain.newton` has the same search for all points at once in numpy; `chain.search` takes this one where it can. Both
find the same values to rounding; the compiled one spares the arrays in between, which cost numpy ten times the
arithmetic.
"""

from mfmi.chain.compiled._compiler import compiled
from mfmi.chain.compiled._pack import Packed, pack
from mfmi.chain.compiled._sites import compiled_sites
from mfmi.chain.compiled._state import Found, Known

__all__ = ["Found", "Known", "Packed", "compiled", "compiled_sites", "pack"]
