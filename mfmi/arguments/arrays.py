"""The types of arrays that functions take and return."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Number = TypeVar("Number", float, FloatArray)
"""Of formulas that are for arrays and, compiled, for numbers."""
