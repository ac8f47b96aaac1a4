"""The exact channel of a stream with one matrix per branch: a scalar Markov chain, and its filter on lattices.

What is known of a site moves its path by a known amount, and around that the path is a gaussian chain of which
`sqrt(r_l) phi_l(m^l + u^l + eps^l) + n` and the noisy last layer are observed. Given the observations its density is
carried forwards and backwards along depth on lattices that all paths share; over what is known, the chain and the
noise the results are averaged at Sobol points. Noise in the stream is a part of the chain's own steps; noise in the
branch is averaged over on a lattice of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.channels.stream.lattice import MOST_NODES, REACH, RESOLVED, STEP, Kernel, Lattice, kernels, lattices
from mfmi.channels.stream.one_matrix import StreamMessages
from mfmi.channels.stream.sites import normal_points
from mfmi.meanfield import Stream

RowNumbers = NDArray[np.intp]

# Elements of a work array of paths and nodes.
_BLOCK = 1 << 18


@dataclass(frozen=True)
class TotalSites:
    """Paths of n streams, after which the last layer is observed.

    Attributes
    ----------
    phi : the activation.
    stream : the streams.
    noise_in : "branch" or "stream".
    centred : whether the norm takes the offsets away.
    paths : number of paths, a power of 2.
    """

    phi: Activation
    stream: Stream
    noise_in: str
    centred: bool
    paths: int

    def messages(self, r: FloatArray, v: FloatArray, rows: RowNumbers) -> StreamMessages:
        """Derivatives at precisions `r_1..r_{L-1}` and variances `V_1..V_L` of the points `rows`.

        NaN where a lattice would need more nodes than it may have.
        """
        depth = v.shape[1]
        e, rest_r = np.full((2, len(rows), depth - 1), np.nan)
        a, rest_v = np.full((2, len(rows), depth), np.nan)
        information = np.full((len(rows), self.paths), np.nan)
        for place, row in enumerate(rows):
            site = self._site(int(row), r[place], v[place])
            filtered = site.filter
            if filtered is not None:
                e[place], rest_r[place], a[place], rest_v[place], information[place] = _averages(site, filtered)
        return StreamMessages(e, rest_r, a, rest_v, information)

    def tail_slope(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """No series is cut: 0, shape (n,)."""
        return np.zeros(len(r))

    def _site(self, row: int, r: FloatArray, v: FloatArray) -> Site:
        depth = len(v)
        stream = self.stream
        level = stream.path.offset_gap[row] if self.centred else stream.path.q[row]
        hidden = stream.hidden_noise[row, : depth - 1]
        carries = self.noise_in == "stream"
        skip = stream.skip[row, : depth - 1]
        held = level[:-1] + (hidden if carries else 0.0)
        branch2 = np.concatenate(([1.0], stream.branch[row, : depth - 1] ** 2))
        added = branch2 * v
        step2 = np.concatenate((level[:1], level[1:] - skip**2 * held))
        return Site(
            self.phi,
            r,
            v,
            branch2,
            added,
            np.maximum(step2 - added, 0.0),
            skip,
            np.zeros(depth - 1) if carries else hidden,
            np.append(hidden if carries else np.zeros(depth - 1), 0.0),
            float(stream.output_noise[row, -1]),
            np.sqrt(stream.scale2[row, : depth - 1]),
            np.sqrt(stream.gain2[row, : depth - 1]),
            self.paths,
        )


@dataclass(frozen=True)
class Site:
    """One neuron and its copies in all L layers.

    Attributes
    ----------
    phi, r, v : the activation, `r_1..r_{L-1}` and `V_1..V_L`.
    branch2, added, known : `g_l^2`, and variances of what is unknown and known of the steps of the stream, shape (L,).
    skip : `a_1..a_{L-1}`.
    noise : hidden noise that the branch alone sees, shape (L - 1,).
    carried : hidden noise that the stream carries, shape (L,).
    observed : `sigma_o^2`.
    scale, gain : `D_l`, and what the output of phi is multiplied by, shape (L - 1,).
    paths : number of paths.
    """

    phi: Activation
    r: FloatArray
    v: FloatArray
    branch2: FloatArray
    added: FloatArray
    known: FloatArray
    skip: FloatArray
    noise: FloatArray
    carried: FloatArray
    observed: float
    scale: FloatArray
    gain: FloatArray
    paths: int

    @property
    def steps(self) -> FloatArray:
        """Variances of the steps of the chain: what is unknown, and the noise that is carried."""
        return self.added + self.carried

    def value(self, layer: int, h: FloatArray) -> FloatArray:
        """Output of the activation."""
        return np.asarray(self.gain[layer] * np.asarray(self.phi(h / self.scale[layer])))

    @cached_property
    def normal(self) -> FloatArray:
        """Normal variables of the known parts, the steps, the observations and the noise of the branches."""
        return normal_points(self.paths, (4 if self.noise.any() else 3) * len(self.v))

    def paths_and_observations(self) -> tuple[FloatArray, FloatArray]:
        """Known parts of the paths, and observations, each of shape (L, paths)."""
        depth, normal = len(self.v), self.normal
        m, u, seen = np.empty((3, depth, len(normal)))
        for layer in range(depth):
            kept = self.skip[layer - 1] if layer else 0.0
            m[layer] = kept * (m[layer - 1] if layer else 0.0) + np.sqrt(self.known[layer]) * normal[:, layer]
            u[layer] = kept * (u[layer - 1] if layer else 0.0) + np.sqrt(self.steps[layer]) * normal[:, depth + layer]
            n = normal[:, 2 * depth + layer]
            if layer < depth - 1:
                noise = np.sqrt(self.noise[layer]) * normal[:, 3 * depth + layer] if self.noise[layer] > 0.0 else 0.0
                seen[layer] = np.sqrt(self.r[layer]) * self.value(layer, m[layer] + u[layer] + noise) + n
            else:
                seen[layer] = m[layer] + u[layer] + np.sqrt(self.observed) * n
        return m, seen

    @cached_property
    def filter(self) -> Filter | None:
        """Lattices and kernels of the layers but the last; None where a lattice would have too many nodes."""
        steps = self.steps[:-1]
        most = self.r * np.square(self.phi.lipschitz * self.gain / self.scale)
        end = self.skip[-1] ** 2 / (self.added[-1] + self.observed)
        found = lattices(steps, self.skip[:-1], most / (1.0 + most * self.noise), end)
        if found is None:
            return None
        blurs: list[Kernel | None] = []
        readings: list[Lattice] = []
        total = 0.0
        for layer, lattice in enumerate(found):
            total = steps[layer] + (self.skip[layer - 1] ** 2 * total if layer else 0.0)
            reading = _reading(lattice, total, self.noise[layer], most[layer])
            if reading is None:
                return None
            readings.append(reading)
            blurs.append(kernels(lattice, reading, 1.0, self.noise[layer])[0] if self.noise[layer] > 0.0 else None)
        moves = [
            kernels(found[layer], found[layer + 1], self.skip[layer], steps[layer + 1])
            for layer in range(len(found) - 1)
        ]
        return Filter(found, readings, blurs, moves)


def _reading(lattice: Lattice, variance: float, noise: float, precision: float) -> Lattice | None:
    """Lattice of what phi sees, the stream's lattice where there is no noise in front of it."""
    if noise == 0.0:
        return lattice
    reach = REACH * np.sqrt(variance + noise)
    if lattice.side and np.sqrt(noise) < RESOLVED * lattice.step:
        step = lattice.step
    else:
        # Of noise that is no larger than what is observed resolves, the law itself has to be.
        step = STEP * np.sqrt(noise / (1.0 + precision * noise))
        step = min(step, 0.99 * np.sqrt(noise) / RESOLVED)
    side = reach / step
    return Lattice(float(step), int(np.ceil(side))) if 2.0 * side < MOST_NODES else None


@dataclass(frozen=True)
class Filter:
    """Lattices of the layers but the last, and kernels between them.

    Attributes
    ----------
    lattices : of the stream.
    readings : of what phi sees.
    blurs : kernels from the former to the latter, None where they are the same.
    moves : kernels from layer to layer, with first and second moments of the step.
    """

    lattices: list[Lattice]
    readings: list[Lattice]
    blurs: list[Kernel | None]
    moves: list[tuple[Kernel, Kernel, Kernel]]

    def blocks(self, paths: int) -> Iterator[slice]:
        """Stretches of paths whose work arrays are small."""
        most = max(2 * lattice.side + 1 for lattice in self.readings)
        step = max(1, _BLOCK // most)
        return (slice(start, start + step) for start in range(0, paths, step))


@dataclass(frozen=True)
class Smoothed:
    """Some paths given their observations.

    Attributes
    ----------
    log_p : logarithm of the density of the observations, shape (paths,).
    mean, left : mean and variance of the unknown part of every step, shape (L, paths).
    output, variance : mean and variance of phi in every layer but the last, shape (L - 1, paths).
    """

    log_p: FloatArray
    mean: FloatArray
    left: FloatArray
    output: FloatArray
    variance: FloatArray


def _averages(site: Site, filtered: Filter) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """`E`, `1 - r E`, `A`, `1 - A V` and the information of every path.

    By the law of total variance every pair adds up to 1 but for the sampling, and is made to: each is an average of
    what is positive, and none a difference.
    """
    m, seen = site.paths_and_observations()
    depth, paths = m.shape
    log_p = np.empty(paths)
    share, rest_v = np.zeros((2, depth))
    e, rest_r = np.zeros((2, depth - 1))
    for part in filtered.blocks(paths):
        found = _smoothed(site, filtered, m[:, part], seen[:, part])
        log_p[part] = found.log_p
        share += np.square(found.mean).sum(axis=1)
        rest_v += found.left.sum(axis=1)
        e += found.variance.sum(axis=1)
        noise = seen[:-1, part] - np.sqrt(site.r)[:, None] * found.output
        rest_r += np.square(noise).sum(axis=1)
    exact = -0.5 * np.square(site.normal[:, 2 * depth : 3 * depth]).sum(axis=1)
    variance = site.added * paths
    explained = np.divide(share, variance, out=np.zeros(depth), where=variance > 0.0)
    remains = np.divide(rest_v, variance, out=np.ones(depth), where=variance > 0.0)
    whole = explained + remains
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(site.v > 0.0, explained / (whole * site.v), 0.0)
    known, noise_left = site.r * e / paths, rest_r / paths
    both = known + noise_left
    return e / (paths * both), noise_left / both, a, remains / whole, exact - log_p


def _smoothed(site: Site, filtered: Filter, m: FloatArray, seen: FloatArray) -> Smoothed:
    """Forwards and backwards through the layers, for some paths."""
    depth, paths = m.shape
    skip, steps = site.skip, site.steps
    values = [site.value(layer, m[layer][:, None] + reading.nodes) for layer, reading in enumerate(filtered.readings)]
    read = [
        np.exp(-0.5 * np.square(seen[layer][:, None] - np.sqrt(site.r[layer]) * values[layer]))
        for layer in range(depth - 1)
    ]
    likelihood = [one if blur is None else blur.backward(one) for one, blur in zip(read, filtered.blurs, strict=True)]
    before, log_p = [], np.zeros(paths)
    density = np.broadcast_to(_weights(filtered.lattices[0], steps[0]), likelihood[0].shape)
    for layer in range(depth - 1):
        before.append(density)
        density = density * likelihood[layer]
        total = density.sum(axis=1)
        log_p += np.log(total)
        density /= total[:, None]
        if layer < depth - 2:
            density = filtered.moves[layer][0].forward(density)
    spread = steps[-1] + site.observed
    away = seen[-1][:, None] - m[-1][:, None] - skip[-1] * filtered.lattices[-1].nodes
    back = np.exp(-0.5 * np.square(away) / spread) * np.sqrt(site.observed / spread)
    log_p += np.log((density * back).sum(axis=1))
    mean, left = np.empty((2, depth, paths))
    output, variance = np.empty((2, depth - 1, paths))
    for layer in range(depth - 2, -1, -1):
        joint = before[layer] * likelihood[layer] * back
        total = joint.sum(axis=1)
        if layer == depth - 2:
            first, second = _moments(joint, filtered.lattices[layer].nodes, total)
            share = site.added[-1] / spread
            mean[-1] = share * (seen[-1] - m[-1] - skip[-1] * first)
            left[-1] = share * (site.observed + share * skip[-1] ** 2 * second)
        blur = filtered.blurs[layer]
        seen_by = joint if blur is None else blur.forward(before[layer] * back) * read[layer]
        output[layer], variance[layer] = _moments(seen_by, values[layer], total)
        if layer:
            after = likelihood[layer] * back
            previous = before[layer - 1] * likelihood[layer - 1]
            back, one, two = (kernel.backward(after) for kernel in filtered.moves[layer - 1])
            norm = (previous * back).sum(axis=1)
            step = (previous * one).sum(axis=1) / norm
            spread_of_step = (previous * two).sum(axis=1) / norm - np.square(step)
            back /= back.max(axis=1, keepdims=True)
        else:
            step, spread_of_step = _moments(joint, filtered.lattices[0].nodes, total)
        mean[layer], left[layer] = _unknown(site, layer, step, spread_of_step)
    return Smoothed(log_p, mean, left, output, variance)


def _unknown(site: Site, layer: int, step: FloatArray, spread: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of the unknown part of a step from those of the step, of which carried noise is the rest."""
    whole = site.added[layer] + site.carried[layer]
    share = site.added[layer] / whole if whole > 0.0 else 0.0
    return share * step, share**2 * np.maximum(spread, 0.0) + share * site.carried[layer]


def _moments(joint: FloatArray, values: FloatArray, total: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of values with weights that add up to `total`, by path."""
    values = np.broadcast_to(values, joint.shape)
    first = np.einsum("pn,pn->p", joint, values) / total
    away = values - first[:, None]
    return first, np.einsum("pn,pn,pn->p", joint, away, away) / total


def _weights(lattice: Lattice, variance: float) -> FloatArray:
    if not lattice.side:
        return np.ones(1)
    density = np.exp(-0.5 * np.square(lattice.nodes) / variance)
    return np.asarray(density / density.sum())
