"""Cells of an activation: stretches on which it is analytic, monotone and resolved by a polynomial of low degree."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.panels import ScalarFunction

CELL_NODES = 12
MAX_LEVEL = 48
NUDGE = 1e-7
"""Step to either side of a cell's edge at which the sign of phi' is read."""


@dataclass(frozen=True)
class Cells:
    """Break points of an activation: between two neighbours it is analytic, monotone and resolved by a polynomial.

    Parameters
    ----------
    edges : ndarray, shape (m,)
        Break points in ascending order.
    special : ndarray, shape (k,)
        Those of them where phi turns or has a kink.
    turning : ndarray, shape (j,)
        Those of them where phi turns.
    """

    edges: FloatArray
    special: FloatArray
    turning: FloatArray


@lru_cache(maxsize=64)
def activation_cells(phi: ScalarFunction, level: int, tolerance: float) -> Cells:
    """Cut [-2^level, 2^level] into cells of an activation.

    Parameters
    ----------
    phi : ScalarFunction
        The activation.
    level : int
        Binary logarithm of the half width.
    tolerance : float
        Relative accuracy of the polynomials.
    """
    half = 2.0**level
    nodes = np.cos(np.pi * (np.arange(CELL_NODES) + 0.5) / CELL_NODES)
    transform = np.linalg.inv(np.polynomial.chebyshev.chebvander(nodes, CELL_NODES - 1))
    # twofold steps from every feature that is known: 12 samples of a wide cell would not see a narrow one
    steps = 2.0 ** np.arange(-2, level + 2)
    centres = np.array([0.0, *phi.kinks])
    ladder = (centres[:, None] + np.concatenate([-steps, [0.0], steps])).ravel()
    start = np.unique(np.concatenate([[-half, half], ladder[np.abs(ladder) < half]]))
    lower, upper = start[:-1], start[1:]
    edges = [start]
    turning = []
    # a tail that is tiny beside phi's bulk need not be resolved to its own scale
    floor = 0.01 * float(np.max(np.abs(phi(np.linspace(-1.0, 1.0, 64)))))
    for _ in range(MAX_LEVEL):
        if not len(lower):
            break
        x = 0.5 * (lower + upper)[:, None] + 0.5 * (upper - lower)[:, None] * nodes
        values = np.asarray(phi(x), dtype=np.float64)
        tail = np.max(np.abs(values @ transform.T)[:, -3:], axis=1)
        rough = tail > tolerance * np.maximum(np.max(np.abs(values), axis=1), floor)
        turning.append(_sign_changes(phi, lower[~rough], upper[~rough]))
        middle = 0.5 * (lower + upper)[rough]
        edges.append(middle)
        lower, upper = np.concatenate([lower[rough], middle]), np.concatenate([middle, upper[rough]])
    every = np.unique(np.concatenate(edges))
    before, after = np.sign(phi.derivative(every - NUDGE)), np.sign(phi.derivative(every + NUDGE))
    turns = np.unique(np.concatenate([*turning, every[(before * after < 0.0) & (np.abs(every) < half)]]))
    inner = np.array([k for k in phi.kinks if abs(k) < half])
    return Cells(np.unique(np.concatenate([every, turns])), np.unique(np.concatenate([inner, turns])), turns)


def _sign_changes(phi: ScalarFunction, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Zeros of phi' inside resolved cells, by bisection."""
    x = lower[:, None] + (upper - lower)[:, None] * np.linspace(1e-9, 1.0 - 1e-9, CELL_NODES + 1)
    slope = np.sign(phi.derivative(x))
    cell, column = np.nonzero(slope[:, 1:] * slope[:, :-1] < 0.0)
    low, high = x[cell, column], x[cell, column + 1]
    sign = slope[cell, column]
    for _ in range(60):
        middle = 0.5 * (low + high)
        before = np.sign(phi.derivative(middle)) == sign
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    return np.asarray(0.5 * (low + high))
