"""Density of y and posterior moments of a curved activation's channel: sums over panels in x, theory (14).

All laws of x that share a row's panels are columns of one matrix, so that a sum over x is a product of matrices. Where
the image of a panel is short its nodes serve every y. Where it is long, every y integrates the likelihood over its own
window of the panel, against the polynomials that interpolate the laws there.
"""

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.panels import SQRT_TWO_PI, IntArray

PAIR_REACH = 13.0
"""Noise widths between y and an image after which the pair is dropped; weak signals need the density's far tail."""
CHUNK = 24.0
"""Noise widths of y that meet the panels in x together."""
LAW_NODES = 16
"""Chebyshev points that follow the law of x over the longest panel."""
LEAST_EXPONENT = -300.0
"""Exponents are raised to this, so that no product underflows to numbers that are slow to compute with."""


class MixtureDensity:
    """Sums at nodes of y of shape (m, order), for k laws of x each.

    Parameters
    ----------
    y : ndarray, shape (m, order)
        Nodes, ascending within the panels of a row.
    reference : ndarray, shape (m, order)
        Where images are measured from, near their posterior mean.
    laws : int
        Number of laws.
    moments : bool
        Whether posterior moments are wanted.
    """

    y: FloatArray
    reference: FloatArray
    moments: bool
    zeroth: FloatArray
    first: FloatArray
    second: FloatArray
    scored: FloatArray

    def __init__(self, y: FloatArray, reference: FloatArray, laws: int, moments: bool) -> None:
        self.y, self.reference, self.moments = y, reference, moments
        shape = (*y.shape, laws)
        self.zeroth = np.zeros(shape)
        self.first, self.second, self.scored = (np.zeros(shape if moments else (0,)) for _ in range(3))

    def add_nodes(self, panels: slice, image: FloatArray, mass: FloatArray, score: FloatArray | None) -> None:
        """Add panels in x with a short image to consecutive panels in y.

        Parameters
        ----------
        panels : slice
            Panels in y.
        image : ndarray, shape (panels in x, nodes)
        mass : ndarray, shape (panels in x, nodes, k)
            Mass of the nodes under every law.
        score : ndarray or None
            Mass times the derivative of its logarithm in the law's mean, of the shape of `mass`; only for moments.
        """
        low, high = np.min(image, axis=1), np.max(image, axis=1)
        part = self.y[panels]
        bins = np.floor((part[:, 0] - part[0, 0]) / CHUNK)
        starts = np.flatnonzero(np.diff(bins, prepend=-1.0))
        ends = np.append(starts[1:], len(part))
        near = (low < part[ends - 1, -1, None] + PAIR_REACH) & (high > part[starts, 0, None] - PAIR_REACH)
        for start, end, which in zip(starts + panels.start, ends + panels.start, near, strict=True):
            if np.all(which):
                self._add_block(slice(start, end), image, mass, score)
            elif np.any(which):
                self._add_block(slice(start, end), image[which], mass[which], None if score is None else score[which])

    def _add_block(self, panels: slice, image: FloatArray, mass: FloatArray, score: FloatArray | None) -> None:
        """Every y with every node: a product of matrices."""
        image, mass = image.ravel(), mass.reshape(image.size, -1)
        likely = likelihood(self.y[panels].reshape(-1, 1) - image)
        shape = self.zeroth[panels].shape
        self.zeroth[panels] += (likely @ mass).reshape(shape)
        if score is not None:
            deviation = image - self.reference[panels].reshape(-1, 1)
            self.scored[panels] += (likely @ score.reshape(mass.shape)).reshape(shape)
            likely *= deviation
            self.first[panels] += (likely @ mass).reshape(shape)
            likely *= deviation
            self.second[panels] += (likely @ mass).reshape(shape)

    def add_windows(
        self,
        at: tuple[IntArray, IntArray],
        panel: IntArray,
        window: tuple[FloatArray, FloatArray, FloatArray],
        law: FloatArray,
        score: FloatArray | None,
    ) -> None:
        """Add to single values of y the windows of panels in x that they see.

        Parameters
        ----------
        at : tuple of ndarray of int, shape (pairs,)
            Panel and node of y.
        panel : ndarray of int, shape (pairs,)
            Panel in x, in ascending order: a number along the first axis of `law`.
        window : tuple of ndarray, shape (pairs, nodes)
            Places of the window's nodes in the panel, in [-1, 1], their weights and images.
        law, score : ndarray, shape (panels in x, LAW_NODES, k)
            Chebyshev coefficients of the density of x and of that times its score; the latter only for moments.
        """
        place, weights, image = window
        likely = weights * likelihood(self.y[at][:, None] - image)
        groups = np.split(np.arange(len(panel)), np.flatnonzero(np.diff(panel)) + 1)
        self._project(self.zeroth, at, groups, panel, place, likely, law)
        if score is not None:
            deviation = image - self.reference[at][:, None]
            self._project(self.scored, at, groups, panel, place, likely, score)
            likely *= deviation
            self._project(self.first, at, groups, panel, place, likely, law)
            likely *= deviation
            self._project(self.second, at, groups, panel, place, likely, law)

    @staticmethod
    def _project(
        total: FloatArray,
        at: tuple[IntArray, IntArray],
        groups: list[IntArray],
        panel: IntArray,
        place: FloatArray,
        likely: FloatArray,
        law: FloatArray,
    ) -> None:
        """Integrals of the likelihood against the polynomials, and of these with the coefficients."""
        projected = np.empty((len(panel), LAW_NODES))
        before, now = np.ones_like(place), place
        projected[:, 0] = np.sum(likely, axis=1)
        for degree in range(1, LAW_NODES):
            projected[:, degree] = np.einsum("pn,pn->p", likely, now)
            before, now = now, 2.0 * place * now - before
        for pairs in groups:
            if len(pairs):
                total[at[0][pairs], at[1][pairs]] += projected[pairs] @ law[panel[pairs[0]]]

    def posterior(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Density, posterior variance of sqrt(r) u and score, each of shape (m, order, k); the last two for moments."""
        density = self.zeroth
        if not self.moments:
            return density, np.zeros((0,)), np.zeros((0,))
        safe = np.where(density > 0.0, density, 1.0)
        mean = self.first / safe
        variance = np.maximum(self.second / safe - mean * mean, 0.0)
        return density, variance, self.scored / safe


def likelihood(deviation: FloatArray) -> FloatArray:
    """Density of the unit noise, in the place of its argument.

    Parameters
    ----------
    deviation : ndarray
        y minus image; overwritten.

    Returns
    -------
    ndarray
        The same array.
    """
    np.square(deviation, out=deviation)
    deviation *= -0.5
    np.maximum(deviation, LEAST_EXPONENT, out=deviation)
    np.exp(deviation, out=deviation)
    deviation *= 1.0 / SQRT_TWO_PI
    return deviation
