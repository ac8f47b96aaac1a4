"""The scalar channel of a curved activation at a known offset: quadrature over x and y, theory (14).

p(y | omega) = E_g N(y; sqrt(r) phi(omega + sqrt(tau) g), 1). Panels in x follow phi's cells and the prior; where
sqrt(r) phi moves by many noise widths across a panel, every y integrates over its own window of it only, so that the
cost does not grow with r. Panels in y follow the images of the panels in x and the turning points.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.exact.cells import CELL_NODES, Cells, activation_cells
from mfmi.channels.exact.input_panels import FLATTEST, InputPanels, invert
from mfmi.channels.exact.mixture_density import LAW_NODES, PAIR_REACH, MixtureDensity, likelihood
from mfmi.quadrature.chebyshev import lobatto
from mfmi.quadrature.panels import (
    REACH,
    IntArray,
    ScalarFunction,
    information_of_density,
    panel_nodes,
    partition,
    ragged_range,
)

COARSE_TOLERANCE = 1e-9
FINE_TOLERANCE = 1e-13
FINE_PRECISION = 1e5
"""Precision r above which the image is so long that phi is resolved to `FINE_TOLERANCE`."""
SPACING = 0.9
LAYER_SPACING = 0.3
"""Noise widths up to which one layer of panels serves two features."""
GAUSSIAN_STEP = 1.5
"""Longest panel in x, in units of the prior's standard deviation."""
INSIDE = 1e-9
SIMPLE_EXTENT = 3.0
"""Noise widths across which a panel's image may stretch before it is cut."""
SPLIT_EXTENT = 48.0
"""Beyond this image length a panel is not cut once for all but for every y."""
WINDOW_CUTS = 7
MOST_BENDS = 12
GROUP = 50_000
"""Numbers handled at once: they fit into the cache of a processor."""

EDGE_LAYER = np.array([-REACH, -6.8, -5.2, -3.7, -2.4, -1.2, 0.0, 1.2, 2.4, 3.7, 5.2, 6.8, REACH])


class SmoothChannel:
    """The channel of one activation, in rows: each has its precisions and its neighbouring laws of x, N(omega, tau).

    Panels in x serve all precisions and laws of a row, panels in y all its laws. Images are under the largest precision
    of the row until they meet a y.

    Parameters
    ----------
    phi : ScalarFunction
        The activation; hashable.
    r : ndarray, shape (n, p)
        Precisions > 0, those of a row within a factor of about ten.
    tau, omega : ndarray, shape (n, k)
        Inner variances > 0 and offsets; those of a row within a few sqrt(tau) of each other, or the sharing gains
        nothing.
    order : int
        Gauss-Legendre nodes per panel.
    """

    phi: ScalarFunction
    order: int
    r: FloatArray
    omega: FloatArray
    root: FloatArray
    sigma: FloatArray
    largest: FloatArray
    low: FloatArray
    high: FloatArray
    cells: Cells
    whole: InputPanels
    mean: FloatArray
    variance: FloatArray
    panels: InputPanels

    def __init__(
        self,
        phi: ScalarFunction,
        r: FloatArray,
        tau: FloatArray,
        omega: FloatArray,
        order: int,
    ) -> None:
        self.phi, self.order = phi, order
        self.r, self.omega = r, omega
        self.root, self.sigma = np.sqrt(r), np.sqrt(tau)
        self.largest = np.max(self.root, axis=1)
        self.low = np.min(omega - REACH * self.sigma, axis=1)
        self.high = np.max(omega + REACH * self.sigma, axis=1)
        far = float(np.max(np.maximum(-self.low, self.high)))
        tolerance = FINE_TOLERANCE if np.max(r) > FINE_PRECISION else COARSE_TOLERANCE
        self.cells = activation_cells(phi, max(3, int(np.ceil(np.log2(far)))), tolerance)
        self.whole = self._input_panels()
        self.mean, self.variance = self._prior_moments()
        self.panels = self._split(self.whole)

    def _image(self, row: IntArray, x: FloatArray) -> FloatArray:
        return np.asarray(self.largest[row] * self.phi(x), dtype=np.float64)

    def _every_precision(self, row: IntArray, *images: FloatArray) -> tuple[IntArray, tuple[FloatArray, ...]]:
        """Numbers of the (row, precision) that belong to rows, and the images under each."""
        number = row[:, None] * self.r.shape[1] + np.arange(self.r.shape[1])
        share = self.root[row] / self.largest[row, None]
        return number.ravel(), tuple((share * image[:, None]).ravel() for image in images)

    def _input_panels(self) -> InputPanels:
        """Cut the prior's reach at phi's cells and at multiples of its standard deviation."""
        first = np.searchsorted(self.cells.edges, self.low, side="right")
        last = np.searchsorted(self.cells.edges, self.high, side="left")
        owner, member = ragged_range(first, np.maximum(last - first, 0))
        row, lower, upper = partition(owner, self.cells.edges[member], self.low, self.high)
        longest = GAUSSIAN_STEP * np.min(self.sigma, axis=1)
        pieces = np.ceil((upper - lower) / longest[row]).astype(np.int64)
        which, k = ragged_range(np.zeros_like(pieces), pieces)
        # neighbours share their end to the last digit: then the rounding of a narrow prior's panels cancels
        length = ((upper - lower) / pieces)[which]
        row, start, end = row[which], lower[which], upper[which]
        lower, upper = start + k * length, np.where(k + 1 == pieces[which], end, start + (k + 1) * length)
        # ends are approached from inside, so that a jump is seen from its own side
        inside = INSIDE * (upper - lower)
        return InputPanels(row, lower, upper, self._image(row, lower + inside), self._image(row, upper - inside))

    def _prior_moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean of u and its variance, each of shape (n, k)."""
        row = self.whole.row
        x, weights = panel_nodes(self.whole.lower, self.whole.upper, max(self.order, CELL_NODES))
        mass = weights[:, :, None] * self.prior_density(row, x)[0]
        # measured from phi at the offsets' middle, so that a narrow prior does not lose its variance to rounding
        centre = np.asarray(self.phi(np.mean(self.omega, axis=1)), dtype=np.float64)[:, None]
        deviation = (self.phi(x) - centre[row])[:, :, None]
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        mean = np.add.reduceat(np.sum(mass * deviation, axis=1), starts, axis=0)
        second = np.add.reduceat(np.sum(mass * (deviation - mean[row, None, :]) ** 2, axis=1), starts, axis=0)
        return centre + mean, second

    def prior_density(self, row: IntArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Density of x under every law of its row, and the derivative of its logarithm in the law's mean.

        Parameters
        ----------
        row : ndarray of int, shape (m,)
        x : ndarray, shape (m, nodes)

        Returns
        -------
        tuple of ndarray
            Each of shape (m, nodes, k).
        """
        sigma = self.sigma[row, None, :]
        g = (x[:, :, None] - self.omega[row, None, :]) / sigma
        return likelihood(g.copy()) / sigma, g / sigma

    def _bends(self, panels: InputPanels) -> tuple[IntArray, FloatArray]:
        """Images inside panels across which the slope of phi changes much, and with it the density of y."""
        extent = panels.extent
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
        extent = panels.extent
        pieces = np.where(extent <= SPLIT_EXTENT, np.ceil(extent / SIMPLE_EXTENT), 1.0)
        pieces = np.maximum(pieces, 1.0).astype(np.int64)
        which, k = ragged_range(np.zeros(len(pieces), dtype=np.int64), pieces + 1)
        share = k / pieces[which]
        inner = (k > 0) & (k < pieces[which])
        x = np.where(k == 0, panels.lower[which], panels.upper[which])
        image = np.where(k == 0, panels.image_lower[which], panels.image_upper[which])
        target = panels.image_lower[which] + share * (panels.image_upper - panels.image_lower)[which]
        cut = panels.take(which[inner])
        x[inner] = invert(self.phi, self.largest[cut.row], cut, target[inner][:, None])[:, 0]
        image[inner] = self._image(panels.row[which[inner]], x[inner])
        start = np.flatnonzero(k < pieces[which])
        return InputPanels(panels.row[which[start]], x[start], x[start + 1], image[start], image[start + 1])

    def _output_panels(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """Panels in y: images of the panels in x, and layers of the noise's width around ends and turning points.

        Their row is the number of (row, precision).
        """
        n, whole = len(self.r), self.whole
        starts = np.flatnonzero(np.diff(whole.row, prepend=-1))
        lowest = np.minimum.reduceat(np.minimum(whole.image_lower, whole.image_upper), starts)
        highest = np.maximum.reduceat(np.maximum(whole.image_lower, whole.image_upper), starts)
        every, (lowest, highest) = self._every_precision(np.arange(n), lowest, highest)
        panel_row, ends = self._every_precision(whole.row, whole.image_lower, whole.image_upper)
        first = np.searchsorted(self.cells.special, self.low, side="right")
        last = np.searchsorted(self.cells.special, self.high, side="left")
        owner, member = ragged_range(first, np.maximum(last - first, 0))
        special_row, (special,) = self._every_precision(owner, self._image(owner, self.cells.special[member]))
        # where phi is nearly flat over a panel its mass piles up within the noise's width
        flat = np.flatnonzero(np.abs(ends[1] - ends[0]) < SIMPLE_EXTENT)
        layer_row, lower, upper = partition(
            np.concatenate([special_row, panel_row[flat], panel_row[flat]]),
            np.concatenate([special, ends[0][flat], ends[1][flat]]),
            lowest,
            highest,
            np.full(len(every), LAYER_SPACING),
        )
        layer_row, layer = np.concatenate([layer_row, every]), np.concatenate([lower, highest])
        bend_row, (bends,) = self._every_precision(*self._bends(whole))
        row = [panel_row, panel_row, bend_row, np.repeat(layer_row, len(EDGE_LAYER))]
        cut = [*ends, bends, (layer[:, None] + EDGE_LAYER).ravel()]
        turn = np.repeat(np.isin(self.cells.special[member], self.cells.turning), self.r.shape[1])
        if np.any(turn):
            # the density falls off from a turning point's image like an inverse square root, over all scales
            longest = float(np.max(highest - lowest))
            levels = int(np.ceil(np.log(max(longest / REACH, 1.0)) / np.log(1.7)))
            tail = REACH * 1.7 ** np.arange(1, 1 + levels)
            tail = np.concatenate([-tail, tail])
            row.append(np.repeat(special_row[turn], len(tail)))
            cut.append((special[turn][:, None] + tail).ravel())
        mean, ratio = self._received()
        margin = REACH + 0.5 * np.sqrt(1.0 + np.minimum(ratio, 1.0))
        lower = np.minimum(lowest - REACH, np.min(mean - margin, axis=1))
        upper = np.maximum(highest + REACH, np.max(mean + margin, axis=1))
        return partition(np.concatenate(row), np.concatenate(cut), lower, upper, np.full(len(every), SPACING))

    def _received(self) -> tuple[FloatArray, FloatArray]:
        """Mean of y and signal-to-noise ratio of every (row, precision) and law."""
        k = self.omega.shape[1]
        mean = self.root[:, :, None] * self.mean[:, None, :]
        return mean.reshape(-1, k), (self.r[:, :, None] * self.variance[:, None, :]).reshape(-1, k)

    def evaluate(self, moments: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Information, remaining variance of u and curvature of every row, precision and law.

        Parameters
        ----------
        moments : bool
            Whether the last two are wanted; they are zero otherwise.

        Returns
        -------
        tuple of ndarray
            Each of shape (n, p, k).
        """
        shape = (*self.r.shape, self.omega.shape[1])
        found = [np.zeros((self.r.size, shape[2])) for _ in range(3)]
        mean, ratio = self._received()
        row, lower, upper = self._output_panels()
        y, weights = panel_nodes(lower, upper, self.order)
        starts = np.searchsorted(row, np.arange(self.r.size + 1))
        sources = _Sources(self, moments)
        for begin, end in _groups(starts * self.order * shape[2]):
            part = slice(starts[begin], starts[end])
            here = row[part] - begin
            rows = slice(begin, end)
            sums = MixtureDensity(y[part], _linear_estimate(here, y[part], mean[rows], ratio[rows]), shape[2], moments)
            sources.add_simple(sums, begin, starts[begin : end + 1] - starts[begin])
            sources.add_steep(sums, begin, end, here)
            density, variance, score = sums.posterior()
            found[0][rows] = information_of_density(density, y[part], weights[part], here, ratio[rows], mean[rows])
            if moments:
                mass = weights[part][:, :, None] * density
                inner = starts[begin:end] - starts[begin]
                found[1][rows] = np.add.reduceat(np.sum(mass * variance, axis=1), inner, axis=0)
                found[2][rows] = np.add.reduceat(np.sum(mass * score * score, axis=1), inner, axis=0)
        information, remaining, curvature = (part.reshape(shape) for part in found)
        return information, remaining / self.r[:, :, None], curvature


class _Sources:
    """The panels in x as `MixtureDensity` takes them, with the law's values kept for all precisions of a row."""

    def __init__(self, channel: SmoothChannel, moments: bool) -> None:
        self.channel, self.moments = channel, moments
        steep = channel.panels.extent > SPLIT_EXTENT
        self.simple = channel.panels.take(np.flatnonzero(~steep))
        self.steep = channel.panels.take(np.flatnonzero(steep))
        self.x, self.weights = panel_nodes(self.simple.lower, self.simple.upper, channel.order + 2)
        self.value = channel.phi(self.x)
        rows = np.arange(len(channel.r) + 1)
        self.first_simple = np.searchsorted(self.simple.row, rows)
        self.first_steep = np.searchsorted(self.steep.row, rows)
        self._row, self._mass = -1, np.empty(0)
        self._score: FloatArray | None = None

    def add_simple(self, sums: MixtureDensity, begin: int, starts: IntArray) -> None:
        """Add panels with a short image: their nodes serve every y."""
        precisions = self.channel.r.shape[1]
        for number, (start, end) in enumerate(itertools.pairwise(starts), begin):
            row, column = divmod(number, precisions)
            which = slice(self.first_simple[row], self.first_simple[row + 1])
            if which.stop == which.start:
                continue
            if row != self._row:
                density, slope = self.channel.prior_density(self.simple.row[which], self.x[which])
                density *= self.weights[which][:, :, None]
                self._row, self._mass, self._score = row, density, density * slope if self.moments else None
            image = self.channel.root[row, column] * self.value[which]
            sums.add_nodes(slice(start, end), image, self._mass, self._score)

    def add_steep(self, sums: MixtureDensity, begin: int, end: int, here: IntArray) -> None:
        """Add panels with a long image: every y integrates over the part of the panel within its reach."""
        precisions, order = self.channel.r.shape[1], self.channel.order
        number = np.arange(begin, end)
        row = number // precisions
        count = self.first_steep[row + 1] - self.first_steep[row]
        if not np.any(count):
            return
        owner, source = ragged_range(self.first_steep[row], count)
        root = self.channel.root[row, number % precisions]
        panels = self.steep.take(source)
        share = root[owner] / self.channel.largest[panels.row]
        panels = InputPanels(owner, panels.lower, panels.upper, share * panels.image_lower, share * panels.image_upper)
        low_image = np.minimum(panels.image_lower, panels.image_upper)
        high_image = np.maximum(panels.image_lower, panels.image_upper)
        middle, half = 0.5 * (panels.lower + panels.upper), 0.5 * (panels.upper - panels.lower)
        law, score = self._laws(source, middle, half)
        at_y, at_x = _pairs(here, sums.y, owner, low_image, high_image)
        for block in _blocks(len(at_y), order * WINDOW_CUTS * order):
            i, j = np.repeat(at_y[block], order), np.repeat(at_x[block], order)
            column = np.tile(np.arange(order), len(at_y[block]))
            y = sums.y[i, column]
            low, high = np.maximum(low_image[j], y - REACH), np.minimum(high_image[j], y + REACH)
            some = high > low
            i, j, column, low, high = i[some], j[some], column[some], low[some], high[some]
            share = np.linspace(0.0, 1.0, WINDOW_CUTS)
            cut = invert(self.channel.phi, root[owner[j]], panels.take(j), low[:, None] + (high - low)[:, None] * share)
            at_end = (low == low_image[j]), (high == high_image[j])
            rising = panels.image_upper[j] >= panels.image_lower[j]
            cut[:, 0] = np.where(at_end[0], np.where(rising, panels.lower[j], panels.upper[j]), cut[:, 0])
            cut[:, -1] = np.where(at_end[1], np.where(rising, panels.upper[j], panels.lower[j]), cut[:, -1])
            x, weights = panel_nodes(cut[:, :-1].ravel(), cut[:, 1:].ravel(), order + 2)
            shape = (len(i), (WINDOW_CUTS - 1) * (order + 2))
            x, weights = x.reshape(shape), np.abs(weights).reshape(shape)
            place = (x - middle[j][:, None]) / half[j][:, None]
            image = root[owner[j]][:, None] * self.channel.phi(x)
            sums.add_windows((i, column), j, (place, weights, image), law, score)

    def _laws(self, source: IntArray, middle: FloatArray, half: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Chebyshev coefficients of the laws on panels, shape (panels, LAW_NODES, k)."""
        nodes, matrix = lobatto(LAW_NODES)
        density, slope = self.channel.prior_density(self.steep.row[source], middle[:, None] + half[:, None] * nodes)
        return matrix @ density, matrix @ (density * slope) if self.moments else None


def _linear_estimate(row: IntArray, y: FloatArray, mean: FloatArray, ratio: FloatArray) -> FloatArray:
    """Best linear estimate of sqrt(r) u from y, from which the input is measured.

    The posterior variance is then no difference of two large numbers.
    """
    snr, centre = np.mean(ratio, axis=1), np.mean(mean, axis=1)[row, None]
    gain = (snr / (1.0 + snr))[row, None]
    return np.asarray(centre + gain * (y - centre))


def _pairs(
    y_row: IntArray, y: FloatArray, x_row: IntArray, low_image: FloatArray, high_image: FloatArray
) -> tuple[IntArray, IntArray]:
    """Pairs (panel in y, panel in x) of the same row closer than the reach of the noise, ordered by the latter."""
    first, last = np.searchsorted(y_row, x_row, side="left"), np.searchsorted(y_row, x_row, side="right")
    at_x, at_y = ragged_range(first, last - first)
    near = (y[at_y, 0] - high_image[at_x] < PAIR_REACH) & (low_image[at_x] - y[at_y, -1] < PAIR_REACH)
    return at_y[near], at_x[near]


def _groups(position: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of rows, at least one each, of at most `GROUP` elements."""
    begin = 0
    while begin < len(position) - 1:
        end = max(begin + 1, int(np.searchsorted(position, position[begin] + GROUP, side="right")) - 1)
        yield begin, end
        begin = end


def _blocks(count: int, width: int) -> list[slice]:
    """Slices of at most `GROUP` elements."""
    size = max(1, GROUP // width)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
