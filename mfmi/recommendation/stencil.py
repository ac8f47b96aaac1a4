"""A stencil that climbs to a maximum: a small grid, a quadratic through it, a smaller grid around its maximum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mfmi.arguments.arrays import FloatArray

Interval = tuple[float, float]

# How much smaller the next stencil is where a quadratic says where the maximum lies, and where only the values do.
_BY_MODEL, _BY_VALUES = 1.0 / 6.0, 1.0 / 3.0
# Cells of the grid on which the quadratic is maximised; a bounded grid needs no care for corners and saddles.
_CELLS = 60


@dataclass(frozen=True)
class Stencil:
    """Places around a middle in the plane of (ln sigma_w, sigma_b), three along each side, and five along a single one.

    Attributes
    ----------
    middle : the middle.
    steps : distance of neighbours along each axis; 0 for an axis along which nothing is searched.
    bounds : range of each axis; near an end the stencil is moved inwards rather than cut.
    """

    middle: tuple[float, float]
    steps: tuple[float, float]
    bounds: tuple[Interval, Interval]

    @property
    def size(self) -> float:
        """Step along ln sigma_w, or a tenth of that along sigma_b if it is larger: sigma_b matters less."""
        return max(self.steps[0], 0.1 * self.steps[1])

    @property
    def _axes(self) -> tuple[FloatArray, FloatArray]:
        # A single axis has room for more places.
        reach = 1 if all(self.steps) else 2
        sides = []
        for middle, step, (low, high) in zip(self.middle, self.steps, self.bounds, strict=True):
            count = reach if step else 0
            step = min(step, 0.5 * (high - low) / count) if count else 0.0
            middle = min(max(middle, low + count * step), high - count * step)
            # Rounding must not leave the range.
            sides.append(np.clip(middle + step * np.arange(-count, count + 1), low, high))
        return sides[0], sides[1]

    @property
    def places(self) -> tuple[FloatArray, FloatArray]:
        """The places as sigma_w and sigma_b, each of shape (n,)."""
        x, y = np.meshgrid(*self._axes, indexing="ij")
        return np.exp(x).ravel(), y.ravel()

    def next(self, values: FloatArray) -> Stencil:
        """The stencil that follows from the values at the places: moved if the best lies on its rim, else smaller."""
        x, y = self._axes
        table = values.reshape(len(x), len(y))
        if not np.isfinite(table).any():
            return Stencil(self.middle, (0.0, 0.0), self.bounds)
        row, column = np.unravel_index(int(np.argmax(table)), table.shape)
        place = (float(x[row]), float(y[column]))
        if self._on_open_rim(x, int(row), 0) or self._on_open_rim(y, int(column), 1):
            return Stencil(place, self.steps, self.bounds)
        modelled = _highest(x, y, table)
        factor = _BY_VALUES if modelled is None else _BY_MODEL
        return Stencil(modelled or place, (factor * self.steps[0], factor * self.steps[1]), self.bounds)

    def _on_open_rim(self, side: FloatArray, at: int, axis: int) -> bool:
        low, high = self.bounds[axis]
        return len(side) > 1 and ((at == 0 and side[0] > low) or (at == len(side) - 1 and side[-1] < high))


def _peak(x: FloatArray, f: FloatArray) -> float:
    """Maximiser of the quadratic through values along one side."""
    if len(x) == 1:
        return float(x[0])
    powers = np.polynomial.Polynomial.fit(x, f, 2)
    fine = np.linspace(x[0], x[-1], _CELLS + 1)
    return float(fine[np.argmax(powers(fine))])


def _highest(x: FloatArray, y: FloatArray, table: FloatArray) -> tuple[float, float] | None:
    """Maximiser, within the stencil, of the quadratic through the logarithms of the values; None without one."""
    if not np.all(np.isfinite(table) & (table > 0.0)):
        return None
    f = np.log(table)
    if len(y) == 1:
        return _peak(x, f[:, 0]), float(y[0])
    if len(x) == 1:
        return float(x[0]), _peak(y, f[0])
    u, v = ((side - side[0]) / (side[-1] - side[0]) for side in (x, y))

    def terms(p: FloatArray, q: FloatArray) -> FloatArray:
        return np.stack([np.ones_like(p), p, q, p * p, p * q, q * q], axis=-1)

    p, q = (part.ravel() for part in np.meshgrid(u, v, indexing="ij"))
    coefficients, *_ = np.linalg.lstsq(terms(p, q), f.ravel(), rcond=None)
    fine = np.linspace(0.0, 1.0, _CELLS + 1)
    model = terms(*np.meshgrid(fine, fine, indexing="ij")) @ coefficients
    row, column = np.unravel_index(int(np.argmax(model)), model.shape)
    return float(x[0] + fine[row] * (x[-1] - x[0])), float(y[0] + fine[column] * (y[-1] - y[0]))
