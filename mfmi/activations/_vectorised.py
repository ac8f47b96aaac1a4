"""Whether a user's function takes arrays, elementwise, and returns finite numbers of double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations._base import Activation
from mfmi.arguments.arrays import FloatArray

# The function must be finite here; beyond, an overflow makes the moments that reach it NaN.
RANGE = 100.0

# Seven digits leave two of a slope by differences, and quadrature never agrees with itself.
SINGLE = "has no more digits than float32: compute and return float64, as it is given"


def values(function: Callable[..., Any], u: ArrayLike) -> FloatArray:
    """Return a user's function at an array of any shape; it is given a flat copy, for it may overwrite its argument."""
    x = np.array(u, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.array(function(x.reshape(-1)), dtype=np.float64).reshape(x.shape)[()]


def check_vectorised(phi: Activation, function: Callable[..., Any], what: str) -> None:
    """Refuse a function that is not elementwise on arrays or not finite, and show the first such input."""
    grid = np.concatenate([[-RANGE, -1.0, -0.5, 0.0, 0.5, 1.0, RANGE], np.linspace(-20.0, 20.0, 1601)])
    label = f"activation {phi.name!r}:{what}"
    with np.errstate(all="ignore"):
        try:
            result = np.asarray(function(grid.copy()))
            alone = [np.asarray(function(grid[i : i + 1].copy())) for i in range(0, 1600, 53)]
        except Exception as problem:
            raise ValueError(
                f"{label} is not vectorised: for arrays of numbers from {grid[0]} on it raises "
                f"{type(problem).__name__}: {problem}; write it with numpy functions of arrays, or pass "
                "numpy.vectorize of it, which is slow"
            ) from problem
        if result.shape != grid.shape:
            raise ValueError(
                f"{label} returns the wrong shape: {result.shape} for an array of shape {grid.shape} from {grid[0]} on"
            )
        if result.dtype.kind not in "fiub":
            raise ValueError(f"{label} returns {result.dtype}, not real numbers, at u = {grid[0]}")
        if result.dtype.kind == "f" and result.dtype.itemsize < 8:
            raise ValueError(f"{label} {SINGLE}")
        bad = ~np.isfinite(result.astype(np.float64))
        if bad.any():
            raise ValueError(f"{label} returns {result[bad][0]} at u = {grid[bad][0]:.6g}")
    if any(one.size != 1 for one in alone):
        raise ValueError(f"{label} returns the wrong shape for an array of one number")
    alone_at = np.array([one.item() for one in alone])
    mixed = ~np.isclose(alone_at, result[:1600:53], rtol=1e-9, atol=1e-12)
    if mixed.any():
        at = int(np.flatnonzero(mixed)[0])
        raise ValueError(
            f"{label} is not elementwise: at u = {grid[53 * at]:.6g} it returns {float(alone_at[at]):.8g} alone and "
            f"{float(result[53 * at]):.8g} inside an array"
        )
