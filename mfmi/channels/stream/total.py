"""The exact channel of a stream with one matrix per branch: a scalar Markov chain, and its filter on a grid.

What is known of a site moves its path by a known amount, and around that the path is a gaussian chain u^1..u^L of which
`sqrt(r_l) phi_l(m^l + u^l) + n` and the noisy last layer are observed. Given the observations its density is carried
forwards and backwards along depth on a grid that all paths share; over what is known, the chain and the noise the
results are averaged at Sobol points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.channels.stream.one_matrix import StreamMessages
from mfmi.channels.stream.sites import normal_points
from mfmi.meanfield import Stream

RowNumbers = NDArray[np.intp]

# Standard deviations of u that a grid reaches, its step over the width of the narrowest kernel or likelihood, and how
# many nodes it may have.
_REACH, _STEP, _MOST_NODES, _LEAST_NODES = 6.5, 0.7, 600, 33


@dataclass(frozen=True)
class TotalSites:
    """Paths of n streams without hidden noise, after which the last layer is observed.

    Attributes
    ----------
    phi : the activation.
    stream : the streams.
    paths : number of paths, a power of 2.
    """

    phi: Activation
    stream: Stream
    paths: int

    def messages(self, r: FloatArray, v: FloatArray, rows: RowNumbers) -> StreamMessages:
        """Derivatives at precisions `r_1..r_{L-1}` and variances `V_1..V_L` of the points `rows`.

        NaN where a grid would need more nodes than it may have.
        """
        depth = v.shape[1]
        e, rest_r = np.full((2, len(rows), depth - 1), np.nan)
        a, rest_v = np.full((2, len(rows), depth), np.nan)
        information = np.full((len(rows), self.paths), np.nan)
        for place, row in enumerate(rows):
            found = self._of_point(int(row), r[place], v[place])
            if found is not None:
                e[place], rest_r[place], a[place], rest_v[place], information[place] = found
        return StreamMessages(e, rest_r, a, rest_v, information)

    def tail_slope(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """No series is cut: 0, shape (n,)."""
        return np.zeros(len(r))

    def _of_point(
        self, row: int, r: FloatArray, v: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray] | None:
        depth = len(v)
        skip = self.stream.skip[row]
        branch2 = np.concatenate(([1.0], self.stream.branch[row, : depth - 1] ** 2))
        q, noise = self.stream.path.q[row], float(self.stream.output_noise[row, -1])
        added = branch2 * v
        step2 = np.concatenate((q[:1], q[1:] - skip[: depth - 1] ** 2 * q[:-1]))
        p = np.empty(depth)
        for layer in range(depth):
            p[layer] = added[layer] + (skip[layer - 1] ** 2 * p[layer - 1] if layer else 0.0)
        grids = self._grids(row, r, added, p)
        if grids is None:
            return None
        normal = normal_points(self.paths, 3 * depth)
        m, observed = self._paths(row, r, added, np.maximum(step2 - added, 0.0), noise, normal)
        log_p, mean, variance = self._smoothed(row, r, added, noise, m, observed, grids)
        exact = -0.5 * np.square(normal[:, 2 * depth :]).sum(axis=1)
        a, rest_v = np.empty((2, depth))
        for layer in range(depth):
            score = mean[layer] - (skip[layer - 1] * mean[layer - 1] if layer else 0.0)
            # E Var(z | y) / V by the law of total variance.
            share = np.mean(np.square(score)) / added[layer]
            a[layer] = branch2[layer] * share / added[layer]
            rest_v[layer] = max(1.0 - share, 1e-12)
        e = np.array([part.mean() for part in variance])
        rest_r = np.maximum(1.0 - r * e, 1e-12)
        return e, rest_r, a, rest_v, exact - log_p

    def _grids(self, row: int, r: FloatArray, added: FloatArray, p: FloatArray) -> list[FloatArray] | None:
        """Nodes of u at every layer but the last, fine enough for the kernels and likelihoods; None where too many."""
        slope = self.phi.lipschitz * np.sqrt(self.stream.gain2[row] / self.stream.scale2[row])
        grids = []
        for layer in range(len(added) - 1):
            likelihood = 1.0 / max(np.sqrt(r[layer]) * slope[layer], 1e-30)
            after = np.sqrt(added[layer + 1]) / max(abs(self.stream.skip[row, layer]), 1e-30)
            width = min(np.sqrt(added[layer]), likelihood, after if layer + 2 < len(added) else np.inf)
            reach = _REACH * np.sqrt(p[layer])
            steps = 2.0 * reach / (_STEP * width) if width > 0.0 else np.inf
            if not steps < _MOST_NODES:
                return None
            grids.append(np.linspace(-reach, reach, max(int(np.ceil(steps)) + 1, _LEAST_NODES)))
        return grids

    def _value(self, row: int, layer: int, h: FloatArray) -> FloatArray:
        scale, gain = np.sqrt(self.stream.scale2[row, layer]), np.sqrt(self.stream.gain2[row, layer])
        return np.asarray(gain * np.asarray(self.phi(h / scale)))

    def _paths(
        self, row: int, r: FloatArray, added: FloatArray, known: FloatArray, noise: float, normal: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Known parts of the paths, and observations, each of shape (L, paths)."""
        depth = len(added)
        m, u, observed = np.empty((3, depth, len(normal)))
        for layer in range(depth):
            kept = self.stream.skip[row, layer - 1] if layer else 0.0
            m[layer] = kept * (m[layer - 1] if layer else 0.0) + np.sqrt(known[layer]) * normal[:, layer]
            u[layer] = kept * (u[layer - 1] if layer else 0.0) + np.sqrt(added[layer]) * normal[:, depth + layer]
            n = normal[:, 2 * depth + layer]
            if layer < depth - 1:
                observed[layer] = np.sqrt(r[layer]) * self._value(row, layer, m[layer] + u[layer]) + n
            else:
                observed[layer] = m[layer] + u[layer] + np.sqrt(noise) * n
        return m, observed

    def _smoothed(
        self,
        row: int,
        r: FloatArray,
        added: FloatArray,
        noise: float,
        m: FloatArray,
        observed: FloatArray,
        grids: list[FloatArray],
    ) -> tuple[FloatArray, list[FloatArray], list[FloatArray]]:
        """Logarithm of the density of the observations, means of u and variances of phi given them, by path."""
        depth, paths = len(added), m.shape[1]
        skip = self.stream.skip[row]
        values = [self._value(row, layer, m[layer][:, None] + grid) for layer, grid in enumerate(grids)]
        likelihood = [
            np.exp(-0.5 * np.square(observed[layer][:, None] - np.sqrt(r[layer]) * values[layer]))
            for layer in range(depth - 1)
        ]
        forward = []
        log_p = np.zeros(paths)
        density = np.broadcast_to(_weights(grids[0], added[0]), (paths, len(grids[0]))).copy()
        kernels = [_kernel(grids[layer], grids[layer + 1], skip[layer], added[layer + 1]) for layer in range(depth - 2)]
        for layer in range(depth - 1):
            density = density * likelihood[layer]
            total = density.sum(axis=1)
            log_p += np.log(total)
            density /= total[:, None]
            forward.append(density)
            if layer < depth - 2:
                density = density @ kernels[layer]
        spread = added[-1] + noise
        away = observed[-1][:, None] - m[-1][:, None] - skip[depth - 2] * grids[-1]
        back = np.exp(-0.5 * np.square(away) / spread) * np.sqrt(noise / spread)
        last = (forward[-1] * back).sum(axis=1)
        log_p += np.log(last)
        mean: list[FloatArray] = [np.empty(0)] * depth
        variance: list[FloatArray] = [np.empty(0)] * (depth - 1)
        for layer in range(depth - 2, -1, -1):
            joint = forward[layer] * back
            joint /= joint.sum(axis=1, keepdims=True)
            mean[layer] = joint @ grids[layer]
            first = (joint * values[layer]).sum(axis=1)
            variance[layer] = (joint * np.square(values[layer] - first[:, None])).sum(axis=1)
            if layer:
                back = (back * likelihood[layer]) @ kernels[layer - 1].T
                back /= back.max(axis=1, keepdims=True)
        carried = skip[depth - 2] * mean[depth - 2]
        mean[-1] = carried + added[-1] / spread * (observed[-1] - m[-1] - carried)
        return log_p, mean, variance


def _weights(grid: FloatArray, variance: float) -> FloatArray:
    density = np.exp(-0.5 * np.square(grid) / variance)
    return np.asarray(density / density.sum())


def _kernel(before: FloatArray, after: FloatArray, skip: float, variance: float) -> FloatArray:
    """Probabilities of the nodes after those before."""
    density = np.exp(-0.5 * np.square(after - skip * before[:, None]) / variance)
    return np.asarray(density / np.maximum(density.sum(axis=1, keepdims=True), 1e-300))
