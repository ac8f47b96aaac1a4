"""Lattices on which densities along a gaussian chain are carried, and the kernels between them.

The chain is `x_1 ~ N(0, k_1)`, `x_{l+1} = a_l x_l + N(0, k_{l+1})`. A lattice is as fine as the narrowest density that
observations of a given precision can leave. Where the step of the chain is wide enough for that, its law is taken at
the nodes; a narrower one is applied in Fourier space, between lattices of which one is a_l times the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mfmi.arguments.arrays import FloatArray

# Standard deviations that a lattice reaches, its step over that of the narrowest density, and a kernel's over a step.
REACH, STEP, RESOLVED = 6.5, 0.7, 1.0
# Nodes of a lattice: never fewer on either side of 0, and so many at most.
_LEAST_SIDE, MOST_NODES = 16, 3000
# What of a kernel counts for nothing, and columns that are taken together where most of it does.
_NOTHING, _COLUMNS = 1e-18, 64
_BAND = 0.5


@dataclass(frozen=True)
class Lattice:
    """Nodes `step * (-side..side)`; one node where nothing is uncertain."""

    step: float
    side: int

    @property
    def nodes(self) -> FloatArray:
        """The nodes, shape (N,)."""
        return np.asarray(self.step * np.arange(-self.side, self.side + 1), dtype=np.float64)


def lattices(added: FloatArray, skip: FloatArray, precision: FloatArray, end: float = 0.0) -> list[Lattice] | None:
    """Lattices of the K nodes of a chain; None where one would need too many nodes.

    Parameters
    ----------
    added : `k_1..k_K`.
    skip : `a_1..a_{K-1}`, not negative.
    precision : the most that is observed of each x, one over a variance, shape (K,).
    end : the precision with which what comes after the chain observes its last x.
    """
    variance, width = np.empty((2, len(added)))
    later = _later(added, skip, precision, end)
    left = 0.0
    for layer, new in enumerate(added):
        kept = skip[layer - 1] ** 2 if layer else 0.0
        variance[layer] = new + kept * (variance[layer - 1] if layer else 0.0)
        before = new + kept * left
        left = before / (1.0 + precision[layer] * before)
        width[layer] = np.sqrt(before / (1.0 + (precision[layer] + later[layer]) * before))
    steps = STEP * width
    first, factor = 0, 1.0
    for layer in range(1, len(added)):
        kept, kernel = skip[layer - 1], np.sqrt(added[layer])
        if variance[layer - 1] == 0.0 or kernel >= RESOLVED * max(kept * steps[layer - 1], steps[layer]):
            first, factor = layer, 1.0
            continue
        factor *= kept
        steps[layer] = kept * steps[layer - 1]
        ratio = STEP * width[layer] / steps[layer] if steps[layer] > 0.0 else 0.0
        if ratio < 1.0:
            # All lattices that are multiples of each other become finer together.
            steps[first : layer + 1] *= ratio
    found = []
    for step, total in zip(steps, variance, strict=True):
        if total == 0.0:
            found.append(Lattice(1.0, 0))
            continue
        side = REACH * np.sqrt(total) / step if step > 0.0 else np.inf
        if not 2.0 * side < MOST_NODES:
            return None
        found.append(Lattice(float(step), max(int(np.ceil(side)), _LEAST_SIDE)))
    return found


def _later(added: FloatArray, skip: FloatArray, precision: FloatArray, end: float) -> FloatArray:
    """The most that later observations tell of each x, one over a variance."""
    found = np.empty_like(added)
    found[-1] = end
    for layer in range(len(added) - 2, -1, -1):
        told = precision[layer + 1] + found[layer + 1]
        found[layer] = skip[layer] ** 2 * told / (1.0 + added[layer + 1] * told)
    return found


@dataclass(frozen=True)
class Kernel:
    """Probabilities of the nodes of one lattice after those of another, shape (N, N'), and moments of the step.

    Attributes
    ----------
    parts : columns with the rows that count for them, and the probabilities there, or their products with the step of
        the chain or its square.
    size : numbers of rows and columns.
    """

    parts: tuple[tuple[slice, slice, FloatArray], ...]
    size: tuple[int, int]

    def forward(self, before: FloatArray) -> FloatArray:
        """Densities after the step from those before it, shape (paths, N')."""
        found = np.empty((len(before), self.size[1]))
        for rows, columns, matrix in self.parts:
            np.matmul(before[:, rows], matrix, out=found[:, columns])
        return found

    def backward(self, after: FloatArray) -> FloatArray:
        """Averages over the step of a function of the node after it, shape (paths, N)."""
        found = np.zeros((len(after), self.size[0]))
        for rows, columns, matrix in self.parts:
            found[:, rows] += after[:, columns] @ matrix.T
        return found


def kernels(before: Lattice, after: Lattice, skip: float, variance: float) -> tuple[Kernel, Kernel, Kernel]:
    """Kernel of a step `x' = a x + N(0, variance)`, and its products with `x' - a x` and the square of that."""
    if before.side and np.sqrt(variance) < RESOLVED * max(skip * before.step, after.step):
        density, first, second = _in_fourier_space(before, after, variance)
    else:
        away = after.nodes - skip * before.nodes[:, None]
        density = np.exp(-0.5 * np.square(away) / variance)
        density /= np.maximum(density.sum(axis=1, keepdims=True), 1e-300)
        first = density * away
        second = first * away
    bands = _bands(density)
    one, two, three = (_banded(matrix, bands) for matrix in (density, first, second))
    return one, two, three


def _in_fourier_space(before: Lattice, after: Lattice, variance: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Kernels between lattices of which one is `a` times the other, on functions without higher frequencies."""
    length = 1 << int(2 * (before.side + after.side) + 1).bit_length()
    unit = after.step
    spread = variance / unit**2
    frequency = 2.0 * np.pi * np.fft.rfftfreq(length)
    law = np.exp(-0.5 * spread * np.square(frequency))
    odd = -1j * spread * frequency * law
    # What is neither a positive nor a negative frequency has no odd part.
    odd[-1] = 0.0
    curved = (spread - np.square(spread * frequency)) * law
    index = np.arange(-after.side, after.side + 1) - np.arange(-before.side, before.side + 1)[:, None]
    found = [np.fft.irfft(values, length)[index] for values in (law, odd, curved)]
    return found[0], unit * found[1], unit**2 * found[2]


def _bands(density: FloatArray) -> list[tuple[slice, slice]]:
    """Columns and the rows that count for them; all at once where most of the kernel does."""
    rows, columns = density.shape
    counts = np.abs(density) > _NOTHING
    if counts.mean() > _BAND:
        return [(slice(0, rows), slice(0, columns))]
    found = []
    for start in range(0, columns, _COLUMNS):
        part = slice(start, min(start + _COLUMNS, columns))
        some = np.flatnonzero(counts[:, part].any(axis=1))
        found.append((slice(int(some[0]), int(some[-1]) + 1) if len(some) else slice(0, 0), part))
    return found


def _banded(matrix: FloatArray, bands: list[tuple[slice, slice]]) -> Kernel:
    parts = tuple((rows, columns, np.ascontiguousarray(matrix[rows, columns])) for rows, columns in bands)
    return Kernel(parts, (matrix.shape[0], matrix.shape[1]))
