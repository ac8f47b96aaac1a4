"""The scalar channel of a curved activation at a known offset: quadrature over x and y, theory (14).

p(y | omega) = E_g N(y; sqrt(r) phi(omega + sqrt(tau) g), 1). Panels in x follow phi's cells and the prior; where
sqrt(r) phi moves by many noise widths across a panel, every y integrates over its own window of it only, so that the
cost does not grow with r. Panels in y follow the images of the panels in x and the turning points.
"""

from dataclasses import dataclass

import numpy as np

from mfmi.activation_cells import CELL_NODES, activation_cells
from mfmi.panels import (
    REACH,
    SQRT_TWO_PI,
    FloatArray,
    IntArray,
    ScalarFunction,
    information_of_density,
    normal_density,
    panel_nodes,
    partition,
    ragged_range,
    sum_by_row,
)

COARSE_TOLERANCE = 1e-9
FINE_TOLERANCE = 1e-13
FINE_PRECISION = 1e5
"""Precision r above which the image is so long that phi is resolved to `FINE_TOLERANCE`."""
SPACING = 0.9
GAUSSIAN_STEP = 1.5
"""Longest panel in x, in units of the prior's deviation."""
INSIDE = 1e-9
SIMPLE_EXTENT = 3.0
"""Noise widths across which a panel's image may stretch before it is cut."""
SPLIT_EXTENT = 48.0
"""Beyond this image length a panel is not cut once for all but for every y."""
PAIR_REACH = 13.0
"""Noise widths between y and an image after which the pair is dropped; weak signals need the density's far tail."""
WINDOW_CUTS = 7
INVERSION_STEPS = 40
INVERSION_TOLERANCE = 0.01
FLATTEST = 1e-100
MOST_BENDS = 12

EDGE_LAYER = np.array([-REACH, -6.8, -5.2, -3.7, -2.4, -1.2, 0.0, 1.2, 2.4, 3.7, 5.2, 6.8, REACH])


@dataclass(frozen=True)
class InputPanels:
    """Panels in x, laid end to end: row, ends, and the image of the ends under sqrt(r) phi."""

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


class SmoothChannel:
    """The channel of one activation at many (r, tau), each a row with k neighbouring offsets that share its panels.

    Parameters
    ----------
    phi : ScalarFunction
        The activation; hashable.
    r, tau : ndarray, shape (n,)
        Precision > 0 and inner variance > 0.
    omega : ndarray, shape (n, k)
        Offsets; those of a row within a few sqrt(tau) of each other, or the sharing gains nothing.
    order : int
        Gauss-Legendre nodes per panel.
    """

    def __init__(
        self,
        phi: ScalarFunction,
        r: FloatArray,
        tau: FloatArray,
        omega: FloatArray,
        order: int,
    ) -> None:
        self.phi, self.order = phi, order
        self.r, self.tau, self.omega = r, tau, omega
        self.root, self.sigma = np.sqrt(r), np.sqrt(tau)
        self.low = np.min(omega, axis=1) - REACH * self.sigma
        self.high = np.max(omega, axis=1) + REACH * self.sigma
        far = float(np.max(np.maximum(-self.low, self.high)))
        tolerance = FINE_TOLERANCE if np.max(r) > FINE_PRECISION else COARSE_TOLERANCE
        self.cells = activation_cells(phi, max(3, int(np.ceil(np.log2(far)))), tolerance)
        whole = self._input_panels()
        self.images = whole.row, whole.image_lower, whole.image_upper
        self.bends = self._bends(whole)
        self.panels = self._split(whole)
        self.mean, self.variance = self._prior_moments()

    def _image(self, row: IntArray, x: FloatArray) -> FloatArray:
        return np.asarray(self.root[row] * self.phi(x), dtype=np.float64)

    def _input_panels(self) -> InputPanels:
        """Cut the prior's reach at phi's cells and at multiples of its deviation."""
        n = len(self.r)
        first = np.searchsorted(self.cells.edges, self.low, side="right")
        last = np.searchsorted(self.cells.edges, self.high, side="left")
        owner, member = ragged_range(first, np.maximum(last - first, 0))
        span = self.high - self.low
        pieces = max(2, int(np.ceil(float(np.max(span / self.sigma)) / GAUSSIAN_STEP)))
        regular = self.low[:, None] + span[:, None] * np.linspace(0.0, 1.0, pieces + 1)
        row = np.concatenate([owner, np.repeat(np.arange(n), pieces + 1)])
        row, lower, upper = partition(
            row, np.concatenate([self.cells.edges[member], regular.ravel()]), self.low, self.high
        )
        # ends are approached from inside, so that a jump is seen from its own side
        inside = INSIDE * (upper - lower)
        return InputPanels(row, lower, upper, self._image(row, lower + inside), self._image(row, upper - inside))

    def _bends(self, panels: InputPanels) -> tuple[IntArray, FloatArray]:
        """Images inside panels across which the slope of phi changes much, and with it the density of y."""
        extent = np.abs(panels.image_upper - panels.image_lower)
        length = panels.upper - panels.lower
        inside = INSIDE * length
        slopes = [np.abs(self.phi.derivative(x)) for x in (panels.lower + inside, panels.upper - inside)]
        change = np.abs(np.diff(np.log(np.maximum(slopes, FLATTEST)), axis=0)[0])
        pieces = np.where(extent > SIMPLE_EXTENT, np.minimum(np.ceil(change), MOST_BENDS), 1.0).astype(np.int64)
        which, k = ragged_range(np.ones_like(pieces), np.maximum(pieces - 1, 0))
        row = panels.row[which]
        return row, self._image(row, panels.lower[which] + k / pieces[which] * length[which])

    def _split(self, panels: InputPanels) -> InputPanels:
        """Cut panels with an image of moderate length into pieces of at most `SIMPLE_EXTENT`."""
        extent = np.abs(panels.image_upper - panels.image_lower)
        pieces = np.where(extent <= SPLIT_EXTENT, np.ceil(extent / SIMPLE_EXTENT), 1.0)
        pieces = np.maximum(pieces, 1.0).astype(np.int64)
        which, k = ragged_range(np.zeros(len(pieces), dtype=np.int64), pieces + 1)
        share = k / pieces[which]
        inner = (k > 0) & (k < pieces[which])
        x = np.where(k == 0, panels.lower[which], panels.upper[which])
        image = np.where(k == 0, panels.image_lower[which], panels.image_upper[which])
        target = panels.image_lower[which] + share * (panels.image_upper - panels.image_lower)[which]
        x[inner] = self._invert(panels.take(which[inner]), target[inner][:, None])[:, 0]
        image[inner] = self._image(panels.row[which[inner]], x[inner])
        start = np.flatnonzero(k < pieces[which])
        return InputPanels(panels.row[which[start]], x[start], x[start + 1], image[start], image[start + 1])

    def _invert(self, panels: InputPanels, target: FloatArray) -> FloatArray:
        """Points of monotone panels with the given images, shape (panels, targets): Newton kept in a bracket.

        They only cut panels: a hundredth of a noise width is more than enough.
        """
        root = self.root[panels.row][:, None]
        rising = (panels.image_upper >= panels.image_lower)[:, None]
        low = np.broadcast_to(panels.lower[:, None], target.shape)
        high = np.broadcast_to(panels.upper[:, None], target.shape)
        length = panels.image_upper - panels.image_lower
        share = (target - panels.image_lower[:, None]) / np.where(length == 0.0, 1.0, length)[:, None]
        x = low + np.clip(share, 0.0, 1.0) * (high - low)
        for _ in range(INVERSION_STEPS):
            miss = root * self.phi(x) - target
            # a point that is found stays: its bracket ends at it, and another step would leave by bisection
            off = np.abs(miss) >= INVERSION_TOLERANCE
            if not np.any(off):
                break
            above = (miss > 0.0) == rising
            low, high = np.where(above, low, x), np.where(above, x, high)
            slope = root * self.phi.derivative(x)
            step = x - miss / np.where(np.abs(slope) < FLATTEST, np.inf, slope)
            step = np.where((step > low) & (step < high), step, 0.5 * (low + high))
            x = np.where(off, step, x)
        return np.asarray(x)

    def _prior_weights(self, row: IntArray, x: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Prior mass of nodes of shape (m, nodes) and the score of x at every offset, shape (m, nodes, k)."""
        sigma = self.sigma[row, None, None]
        g = (x[:, :, None] - self.omega[row, None, :]) / sigma
        return weights[:, :, None] * normal_density(g) / sigma, g / sigma

    def _prior_moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean of u and its variance, each of shape (n, k)."""
        row = self.panels.row
        x, weights = panel_nodes(self.panels.lower, self.panels.upper, max(self.order, CELL_NODES))
        mass = self._prior_weights(row, x, weights)[0]
        # measured from phi at the offsets' middle, so that a narrow prior does not lose its variance to rounding
        centre = np.asarray(self.phi(np.mean(self.omega, axis=1)), dtype=np.float64)[:, None]
        deviation = (self.phi(x) - centre[row])[:, :, None]
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        mean = np.add.reduceat(np.sum(mass * deviation, axis=1), starts, axis=0)
        second = np.add.reduceat(np.sum(mass * (deviation - mean[row, None, :]) ** 2, axis=1), starts, axis=0)
        return centre + mean, second

    def _output_panels(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """Panels in y: images of the panels in x, and layers of the noise's width around ends and turning points."""
        n = len(self.r)
        panel_row, first_image, last_image = self.images
        low_image, high_image = np.minimum(first_image, last_image), np.maximum(first_image, last_image)
        starts = np.flatnonzero(np.diff(panel_row, prepend=-1))
        lowest, highest = np.minimum.reduceat(low_image, starts), np.maximum.reduceat(high_image, starts)
        first = np.searchsorted(self.cells.special, self.low, side="right")
        last = np.searchsorted(self.cells.special, self.high, side="left")
        owner, member = ragged_range(first, np.maximum(last - first, 0))
        # where phi is nearly flat over a panel its mass piles up within the noise's width
        flat = np.flatnonzero(high_image - low_image < SIMPLE_EXTENT)
        every = np.arange(n)
        layer_row = np.concatenate([owner, every, every, panel_row[flat], panel_row[flat]])
        layer = np.concatenate(
            [self._image(owner, self.cells.special[member]), lowest, highest, low_image[flat], high_image[flat]]
        )
        row = [panel_row, panel_row, self.bends[0], np.repeat(layer_row, len(EDGE_LAYER))]
        cut = [first_image, last_image, self.bends[1], (layer[:, None] + EDGE_LAYER).ravel()]
        turn = np.isin(self.cells.special[member], self.cells.turning)
        if np.any(turn):
            # the density falls off from a turning point's image like an inverse square root, over all scales
            longest = float(np.max(highest - lowest))
            levels = int(np.ceil(np.log(max(longest / REACH, 1.0)) / np.log(1.7)))
            tail = REACH * 1.7 ** np.arange(1, 1 + levels)
            tail = np.concatenate([-tail, tail])
            row.append(np.repeat(owner[turn], len(tail)))
            cut.append((layer[: len(owner)][turn][:, None] + tail).ravel())
        mean = self.root[:, None] * self.mean
        margin = REACH + 0.5 * np.sqrt(1.0 + np.minimum(self.r[:, None] * self.variance, 1.0))
        lower = np.minimum(lowest - REACH, np.min(mean - margin, axis=1))
        upper = np.maximum(highest + REACH, np.max(mean + margin, axis=1))
        return partition(np.concatenate(row), np.concatenate(cut), lower, upper, np.full(n, SPACING))

    def evaluate(self, moments: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Information, remaining variance of u and curvature of every row and offset.

        Parameters
        ----------
        moments : bool
            Whether the last two are wanted; they are zero otherwise.

        Returns
        -------
        tuple of ndarray
            Each of shape (n, k).
        """
        n, k = self.omega.shape
        row, lower, upper = self._output_panels()
        y, weights = panel_nodes(lower, upper, self.order)
        sums = _Sums(y, self._linear_estimate(row, y), k, moments)
        extent = np.abs(self.panels.image_upper - self.panels.image_lower)
        steep = extent > SPLIT_EXTENT
        self._add_simple(sums, row, self.panels.take(np.flatnonzero(~steep)))
        self._add_steep(sums, row, self.panels.take(np.flatnonzero(steep)))
        # from here on every offset has a row of its own
        row = (row[:, None] * k + np.arange(k)).ravel()
        y, weights = np.repeat(y, k, axis=0), np.repeat(weights, k, axis=0)
        density, variance, score = sums.posterior()
        ratio = (self.r[:, None] * self.variance).ravel()
        information = information_of_density(density, y, weights, row, ratio, (self.root[:, None] * self.mean).ravel())
        mass = weights * density
        remaining = sum_by_row(row, np.sum(mass * variance, axis=1), n * k).reshape(n, k) / self.r[:, None]
        curvature = sum_by_row(row, np.sum(mass * score * score, axis=1), n * k).reshape(n, k)
        return information.reshape(n, k), remaining, curvature

    def _linear_estimate(self, row: IntArray, y: FloatArray) -> FloatArray:
        """Best linear estimate of sqrt(r) u from y, from which the input is measured.

        The posterior variance is then no difference of two large numbers.
        """
        ratio = self.r * np.mean(self.variance, axis=1)
        gain = (ratio / (1.0 + ratio))[row, None]
        mean = (self.root * np.mean(self.mean, axis=1))[row, None]
        return np.asarray(mean + gain * (y - mean))

    def _pairs(self, y_row: IntArray, y: FloatArray, panels: InputPanels) -> tuple[IntArray, IntArray]:
        """Pairs (panel in y, panel in x) of the same row closer than the reach of the noise, ordered by the former."""
        first = np.searchsorted(panels.row, y_row, side="left")
        last = np.searchsorted(panels.row, y_row, side="right")
        at_y, at_x = ragged_range(first, last - first)
        low_image = np.minimum(panels.image_lower, panels.image_upper)[at_x]
        high_image = np.maximum(panels.image_lower, panels.image_upper)[at_x]
        near = (y[at_y, 0] - high_image < PAIR_REACH) & (low_image - y[at_y, -1] < PAIR_REACH)
        return at_y[near], at_x[near]

    def _add_simple(self, sums: "_Sums", y_row: IntArray, panels: InputPanels) -> None:
        """Add panels with a short image: their nodes serve every y."""
        x, weights = panel_nodes(panels.lower, panels.upper, self.order + 2)
        mass, score = self._prior_weights(panels.row, x, weights)
        image = self._image(panels.row[:, None], x)
        at_y, at_x = self._pairs(y_row, sums.y, panels)
        for block in _blocks(len(at_y), self.order * x.shape[1]):
            i, j = at_y[block], at_x[block]
            sums.add_panels(i, image[j], mass[j], score[j])

    def _add_steep(self, sums: "_Sums", y_row: IntArray, panels: InputPanels) -> None:
        """Add panels with a long image: every y integrates over the part of the panel within its reach."""
        at_y, at_x = self._pairs(y_row, sums.y, panels)
        low_image = np.minimum(panels.image_lower, panels.image_upper)
        high_image = np.maximum(panels.image_lower, panels.image_upper)
        for block in _blocks(len(at_y), self.order * WINDOW_CUTS * self.order):
            i = np.repeat(at_y[block], self.order)
            j = np.repeat(at_x[block], self.order)
            column = np.tile(np.arange(self.order), len(at_y[block]))
            y = sums.y[i, column]
            low, high = np.maximum(low_image[j], y - REACH), np.minimum(high_image[j], y + REACH)
            some = high > low
            i, j, column, low, high = i[some], j[some], column[some], low[some], high[some]
            share = np.linspace(0.0, 1.0, WINDOW_CUTS)
            cut = self._invert(panels.take(j), low[:, None] + (high - low)[:, None] * share)
            at_end = (low == low_image[j]), (high == high_image[j])
            rising = panels.image_upper[j] >= panels.image_lower[j]
            cut[:, 0] = np.where(at_end[0], np.where(rising, panels.lower[j], panels.upper[j]), cut[:, 0])
            cut[:, -1] = np.where(at_end[1], np.where(rising, panels.upper[j], panels.lower[j]), cut[:, -1])
            x, weights = panel_nodes(cut[:, :-1].ravel(), cut[:, 1:].ravel(), self.order + 2)
            x, weights = x.reshape(len(i), -1), np.abs(weights).reshape(len(i), -1)
            mass, score = self._prior_weights(panels.row[j], x, weights)
            sums.add_points(i, column, self._image(panels.row[j][:, None], x), mass, score)


def _blocks(count: int, width: int) -> list[slice]:
    """Slices of at most about a million elements."""
    size = max(1, 1_000_000 // width)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


class _Sums:
    """Density of y and posterior moments, accumulated at nodes of shape (panels in y, order, offsets)."""

    def __init__(self, y: FloatArray, reference: FloatArray, offsets: int, moments: bool) -> None:
        self.y, self.reference, self.moments = y, reference, moments
        shape = (*y.shape, offsets)
        self.zeroth = np.zeros(shape)
        self.first, self.second, self.scored = (np.zeros(shape if moments else (0,)) for _ in range(3))

    def add_panels(self, panel: IntArray, image: FloatArray, mass: FloatArray, score: FloatArray) -> None:
        """Add panels in x of shape (pairs, nodes) to whole panels of y, which come in ascending order."""
        y = self.y[panel][:, :, None]
        likely = np.exp(-0.5 * (y - image[:, None, :]) ** 2) / SQRT_TWO_PI
        starts = np.flatnonzero(np.diff(panel, prepend=-1))
        where = panel[starts]
        self.zeroth[where] += np.add.reduceat(likely @ mass, starts, axis=0)
        if self.moments:
            deviation = image[:, None, :] - self.reference[panel][:, :, None]
            self.scored[where] += np.add.reduceat(likely @ (mass * score), starts, axis=0)
            likely *= deviation
            self.first[where] += np.add.reduceat(likely @ mass, starts, axis=0)
            likely *= deviation
            self.second[where] += np.add.reduceat(likely @ mass, starts, axis=0)

    def add_points(
        self, panel: IntArray, column: IntArray, image: FloatArray, mass: FloatArray, score: FloatArray
    ) -> None:
        """Add nodes in x of shape (pairs, nodes) to single values of y."""
        y = self.y[panel, column][:, None]
        likely = np.exp(-0.5 * (y - image) ** 2) / SQRT_TWO_PI
        at = (panel, column)
        np.add.at(self.zeroth, at, np.einsum("pn,pnk->pk", likely, mass))
        if self.moments:
            deviation = image - self.reference[panel, column][:, None]
            np.add.at(self.scored, at, np.einsum("pn,pnk->pk", likely, mass * score))
            likely *= deviation
            np.add.at(self.first, at, np.einsum("pn,pnk->pk", likely, mass))
            likely *= deviation
            np.add.at(self.second, at, np.einsum("pn,pnk->pk", likely, mass))

    def posterior(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Density, posterior variance of sqrt(r) u and score, each of shape (panels in y * offsets, order)."""
        density = self._rows(self.zeroth)
        if not self.moments:
            nothing = np.zeros_like(density)
            return density, nothing, nothing
        safe = np.where(density > 0.0, density, 1.0)
        mean = self._rows(self.first) / safe
        variance = np.maximum(self._rows(self.second) / safe - mean * mean, 0.0)
        return density, variance, self._rows(self.scored) / safe

    def _rows(self, values: FloatArray) -> FloatArray:
        return np.ascontiguousarray(np.swapaxes(values, 1, 2)).reshape(-1, self.y.shape[1])
