"""Panels in x of a curved activation: stretches with the images of their ends, and the way back from an image."""

from dataclasses import dataclass

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.panels import IntArray, ScalarFunction

INVERSION_STEPS = 40
INVERSION_TOLERANCE = 0.01
FLATTEST = 1e-100
"""Slope below which phi counts as flat."""


@dataclass(frozen=True)
class InputPanels:
    """Panels in x, laid end to end: row, ends, and the image of the ends under phi times a root of the precision."""

    row: IntArray
    lower: FloatArray
    upper: FloatArray
    image_lower: FloatArray
    image_upper: FloatArray

    def take(self, which: IntArray) -> "InputPanels":
        """Return the panels of the given numbers."""
        return InputPanels(
            self.row[which], self.lower[which], self.upper[which], self.image_lower[which], self.image_upper[which]
        )

    @property
    def extent(self) -> FloatArray:
        """Length of the images."""
        return np.abs(self.image_upper - self.image_lower)


def invert(phi: ScalarFunction, root: FloatArray, panels: InputPanels, target: FloatArray) -> FloatArray:
    """Points of monotone panels with given images, by Newton kept in a bracket.

    They only cut panels: a hundredth of a noise width is more than enough.

    Parameters
    ----------
    phi : ScalarFunction
        The activation.
    root : ndarray, shape (m,)
        What images are multiples of phi by.
    panels : InputPanels
        The m panels.
    target : ndarray, shape (m, targets)
        Images within those of the panels.

    Returns
    -------
    ndarray
        Of the shape of `target`.
    """
    root = root[:, None]
    rising = (panels.image_upper >= panels.image_lower)[:, None]
    low = np.broadcast_to(panels.lower[:, None], target.shape)
    high = np.broadcast_to(panels.upper[:, None], target.shape)
    length = panels.image_upper - panels.image_lower
    share = (target - panels.image_lower[:, None]) / np.where(length == 0.0, 1.0, length)[:, None]
    x = low + np.clip(share, 0.0, 1.0) * (high - low)
    for _ in range(INVERSION_STEPS):
        miss = root * phi(x) - target
        # a point that is found stays: its bracket ends at it, and another step would leave by bisection
        off = np.abs(miss) >= INVERSION_TOLERANCE
        if not np.any(off):
            break
        above = (miss > 0.0) == rising
        low, high = np.where(above, low, x), np.where(above, x, high)
        slope = root * phi.derivative(x)
        step = x - miss / np.where(np.abs(slope) < FLATTEST, np.inf, slope)
        step = np.where((step > low) & (step < high), step, 0.5 * (low + high))
        x = np.where(off, step, x)
    return np.asarray(x)
