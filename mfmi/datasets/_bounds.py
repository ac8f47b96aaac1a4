"""Pairwise bounds on a layer's information about which input of a finite data set was given (theory (20)).

The N inputs are equally likely, so the information is at most ln N. Kolchinsky & Tracey (2017) bound it by sums over
pairs: below by Bhattacharyya, above by Kullback-Leibler distances. Averages over networks move inside by Jensen's
inequality, in both bounds to the safe side. What a network of finite width makes of a pair depends on the two norms
and the angle alone, so it is sampled once on a grid of those (`pair_factors`) and looked up for every pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import make_interp_spline
from scipy.ndimage import map_coordinates

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.datasets._pair_chain import pair_factors

# Inputs per side of a block of pairs.
_SIDE = 512

# The grid: nodes per unit of ln(angle), nodes along the norms for norms from 0 on, and the least angle distinguished
# from 0.
_ANGLES_PER_UNIT = 3.0
_NORMS_PER_UNIT = 8.0
_FEWEST, _MOST_NORMS = 4, 9
_LEAST_ANGLE = 1e-7
_LEAST_RADIUS = 0.02

# Steps into which each cell of the grid is divided for the look-up.
_REFINED = 8

# A distance smaller than this is one that has underflowed, such as all after weights of standard deviation 0.
_TINY = float(np.finfo(np.float64).tiny)

# Pairs of the data that are sampled directly to measure the error of the look-up.
_PROBES = 24


@dataclass(frozen=True)
class PairwiseBounds:
    """Bounds on the information between the layer and the number of the input, averaged over networks.

    Attributes
    ----------
    lower, upper : shape (depths,), total nats, between 0 and ln N.
    n_inputs : N.
    interpolation_error : shape (depths,). Largest relative error found in the distances that were looked up; both
        bounds are on the safe side of it.
    """

    lower: FloatArray
    upper: FloatArray
    n_inputs: int
    interpolation_error: FloatArray


class InputPairs:
    """The inputs of a data set and what all networks ask of their pairs.

    Parameters
    ----------
    inputs : one input a row, shape (N, n_0), N >= 2.

    Attributes
    ----------
    data : the inputs.
    norms : `|x_i|^2 / n_0`, shape (N,).

    Raises
    ------
    ValueError
        If the inputs are no such table.
    """

    data: FloatArray

    def __init__(self, inputs: ArrayLike) -> None:
        self.data = np.asarray(inputs, dtype=np.float64)
        shape = self.data.shape
        if len(shape) != 2 or shape[0] < 2 or shape[1] < 1 or not np.isfinite(self.data).all():
            raise ValueError(f"inputs must be a finite table of at least two rows, not of shape {shape}")
        self.norms: FloatArray = np.mean(self.data**2, axis=1)

    @cached_property
    def geometry(self) -> _Geometry:
        """The ranges of norms and angles, after one pass over all pairs."""
        return _Geometry(self.data, self.norms)


def pairwise_bounds(
    phi: Activation,
    inputs: ArrayLike | InputPairs,
    *,
    sigma_w2: float,
    sigma_b2: float,
    noise_variance: float,
    width: int,
    depths: Sequence[int],
    weights: str = "gaussian",
    seed: int = 0,
) -> PairwiseBounds:
    """Return the pairwise bounds for a data set.

    Parameters
    ----------
    phi
        Activation.
    inputs
        One input a row, shape (N, n_0), N >= 2, or `InputPairs` of such, which spare all networks but the first a pass
        over the pairs. Memory beyond them does not grow with N^2.
    sigma_w2, sigma_b2, noise_variance
        Variances of weights (times fan-in), biases and the noise at the observed layer; hidden layers have none.
    width
        n, units in every layer.
    depths
        Observed layers, each at least 1.
    weights
        "gaussian" or "orthogonal".
    seed
        Of the sampled hidden layers.

    Returns
    -------
    PairwiseBounds
        A theorem at layer 1. Beyond it the averages over hidden layers are sampled and moved three standard errors to
        the safe side.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    pairs = inputs if isinstance(inputs, InputPairs) else InputPairs(inputs)
    data, norms = pairs.data, pairs.norms
    _check(sigma_w2, sigma_b2, noise_variance, width, depths)
    layers = np.asarray(depths, dtype=np.intp) - 1

    def sampler(norm_i: FloatArray, norm_j: FloatArray, distance: FloatArray) -> FloatArray:
        factors = pair_factors(
            phi,
            norm_i,
            norm_j,
            distance,
            sigma_w2=sigma_w2,
            sigma_b2=sigma_b2,
            noise_variance=noise_variance,
            width=width,
            depth=int(layers.max()) + 1,
            weights=weights,
            inputs=data.shape[1],
            seed=seed,
        )
        return np.stack([factors.annealed.T[layers], factors.mean.T[layers]])

    table = _PairTable(sampler, pairs.geometry)
    near, far = np.ones((2, len(layers), len(data)))  # an input's pair with itself counts 1
    for rows, columns, distance in _pairs(data, norms):
        annealed, mean = table.look_up(norms[rows, None], norms[columns], distance)
        for sums, kernel in (
            (near, np.exp(-0.5 * width * np.log1p(annealed / (4.0 * noise_variance)))),
            (far, np.exp(-width * mean / (2.0 * noise_variance))),
        ):
            if rows == columns:
                kernel[:, np.arange(distance.shape[0]), np.arange(distance.shape[0])] = 0.0
            else:
                sums[:, columns] += kernel.sum(axis=1)
            sums[:, rows] += kernel.sum(axis=2)
    lower, upper = (np.log(len(data)) - np.log(sums).mean(axis=1) for sums in (near, far))
    return PairwiseBounds(lower, upper, len(data), table.error.max(axis=0))


def equicorrelated_bounds(
    phi: Activation,
    n_inputs: int,
    *,
    input_variance: ArrayLike,
    correlation: ArrayLike,
    sigma_w2: ArrayLike,
    sigma_b2: ArrayLike,
    noise_variance: ArrayLike,
    width: int,
    depth: int,
    weights: str = "gaussian",
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Return lower and upper bound for N inputs of one norm, every pair at one correlation.

    Parameters
    ----------
    phi, width, weights, seed
        As in `pairwise_bounds`.
    n_inputs
        N >= 2.
    input_variance, correlation
        `|x_i|^2 / n_0` and `x_i x_j / |x_i|^2`; with the variances they broadcast to shape (n,).
    sigma_w2, sigma_b2, noise_variance
        Variances.
    depth
        Number of layers.

    Returns
    -------
    lower, upper : ndarray
        Total nats, shape (n, depth): `ln N - ln(1 + (N - 1) B)`.
    """
    if n_inputs < 2:
        raise ValueError(f"n_inputs must be at least 2, not {n_inputs}")
    variance, rho = np.asarray(input_variance, dtype=np.float64), np.asarray(correlation, dtype=np.float64)
    if not (np.abs(rho) <= 1.0).all():
        raise ValueError(f"correlation must be between -1 and 1, not {correlation!r}")
    factors = pair_factors(
        phi,
        variance,
        variance,
        2.0 * variance * (1.0 - rho),
        sigma_w2=sigma_w2,
        sigma_b2=sigma_b2,
        noise_variance=noise_variance,
        width=width,
        depth=depth,
        weights=weights,
        seed=seed,
    )
    noise = np.broadcast_to(np.asarray(noise_variance, dtype=np.float64).reshape(-1, 1), factors.mean.shape)
    exponents = 0.5 * width * np.log1p(factors.annealed / (4.0 * noise)), width * factors.mean / (2.0 * noise)
    lower, upper = (np.log(n_inputs) - np.log1p((n_inputs - 1) * np.exp(-exponent)) for exponent in exponents)
    return lower, upper


def _check(sigma_w2: float, sigma_b2: float, noise_variance: float, width: int, depths: Sequence[int]) -> None:
    for name, value, least in (("sigma_w2", sigma_w2, 0.0), ("sigma_b2", sigma_b2, 0.0), ("width", width, 1)):
        if not (np.isfinite(value) and value >= least):
            raise ValueError(f"{name} must be finite and at least {least}, not {value}")
    if not (np.isfinite(noise_variance) and noise_variance > 0.0):
        raise ValueError(f"noise_variance must be finite and positive, not {noise_variance}")
    if len(depths) == 0 or min(depths) < 1:
        raise ValueError(f"depths must be layers from 1 on, not {depths!r}")


def _pairs(data: FloatArray, norms: FloatArray) -> Iterator[tuple[slice, slice, FloatArray]]:
    """Yield blocks of pairs i <= j with `|x_i - x_j|^2 / n_0`, shape (rows, columns)."""
    n_0 = data.shape[1]
    blocks = [slice(start, min(start + _SIDE, len(data))) for start in range(0, len(data), _SIDE)]
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            distance = norms[rows, None] + norms[columns] - 2.0 / n_0 * (data[rows] @ data[columns].T)
            # The difference of large numbers says nothing about twins: those are compared entry by entry.
            close_i, close_j = np.nonzero(distance < 1e-6 * (norms[rows, None] + norms[columns]))
            for part in np.array_split(np.arange(len(close_i)), 1 + len(close_i) * n_0 // (1 << 22)):
                i, j = close_i[part], close_j[part]
                distance[i, j] = np.mean((data[rows][i] - data[columns][j]) ** 2, axis=1)
            yield rows, columns, distance


def _angle(norm_i: FloatArray, norm_j: FloatArray, distance: FloatArray) -> FloatArray:
    """Return the angle between two inputs, from their distance; pi/2 if one is silent, where it does not matter."""
    product = np.sqrt(norm_i) * np.sqrt(norm_j)
    part = distance - (np.sqrt(norm_i) - np.sqrt(norm_j)) ** 2
    sine2 = np.divide(part, 4.0 * product, out=np.full(distance.shape, 0.5), where=product > 0.0)
    return np.asarray(2.0 * np.arcsin(np.sqrt(np.clip(sine2, 0.0, 1.0))))


class _Geometry:
    """The ranges of norms and angles in the data, and some of its pairs.

    Attributes
    ----------
    radii, angles : smallest and largest `|x| / sqrt(n_0)`, and angle between two inputs.
    probes : norms and distances of a few pairs.
    """

    def __init__(self, data: FloatArray, norms: FloatArray) -> None:
        self.radii = float(np.sqrt(norms.min())), float(np.sqrt(norms.max()))
        least, most = np.pi, 0.0
        for rows, columns, distance in _pairs(data, norms):
            apart = _angle(norms[rows, None], norms[columns], distance)[distance > 0.0]
            least, most = min(least, apart.min(initial=np.pi)), max(most, apart.max(initial=0.0))
        most = max(float(most), 4.0 * _LEAST_ANGLE)
        self.angles = min(max(float(least), _LEAST_ANGLE), 0.5 * most), most
        i, j = np.random.default_rng(0).integers(0, len(data), size=(2, _PROBES))
        distance = np.mean((data[i] - data[j]) ** 2, axis=1)
        apart = distance > 0.0
        self.probes = norms[i][apart], norms[j][apart], distance[apart]


class _PairTable:
    """Logarithms of the annealed and the mean distance over the distance at the input, on a grid of norms and angle."""

    def __init__(
        self, sampler: Callable[[FloatArray, FloatArray, FloatArray], FloatArray], geometry: _Geometry
    ) -> None:
        low, high = geometry.radii
        low = max(low, _LEAST_RADIUS * high)
        spread = (high - low) / high if high > 0.0 else 0.0
        count = int(np.clip(np.ceil(_NORMS_PER_UNIT * spread), _FEWEST, _MOST_NORMS)) if spread > 1e-9 else 1
        least, most = geometry.angles
        steps = max(_FEWEST, 1 + int(np.ceil(_ANGLES_PER_UNIT * np.log(most / least))))
        self.axes = np.linspace(low, high, count), np.linspace(np.log(least), np.log(most), steps)
        self.values = self._refined(self._sampled(sampler))
        self.error = np.zeros(self.values.shape[:2])
        norm_i, norm_j, distance = geometry.probes
        found = np.stack(self.look_up(norm_i, norm_j, distance))
        exact = np.maximum(sampler(norm_i, norm_j, distance), _TINY)
        self.error = np.abs(np.log(exact / np.maximum(found, _TINY))).max(axis=2, initial=0.0)

    def look_up(self, norm_i: FloatArray, norm_j: FloatArray, distance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return annealed and mean distance, each of shape (layers, *distance.shape)."""
        log_angle = np.log(np.maximum(_angle(norm_i, norm_j, distance), np.exp(self.axes[1][0])))
        places = [_place(self.axes[0], np.sqrt(norm_i)), _place(self.axes[0], np.sqrt(norm_j))]
        where = np.stack(np.broadcast_arrays(*places, _place(self.axes[1], log_angle)))
        annealed, mean = (
            np.stack(
                [
                    distance * np.exp(map_coordinates(ratio, where, order=1, mode="nearest") + sign * error)
                    for ratio, error in zip(ratios, errors, strict=True)
                ]
            )
            for ratios, errors, sign in zip(self.values, self.error, (-1.0, 1.0), strict=True)
        )
        return annealed, mean

    def _sampled(self, sampler: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]) -> FloatArray:
        """Return the values on the grid, shape (2, layers, radii, radii, angles)."""
        radii, log_angles = self.axes
        first, second = np.triu_indices(len(radii))
        r_i, r_j = (np.repeat(radii[k], len(log_angles)) for k in (first, second))
        sine = np.sin(0.5 * np.tile(np.exp(log_angles), len(first)))
        distance = (r_i - r_j) ** 2 + 4.0 * r_i * r_j * sine**2
        found = sampler(r_i**2, r_j**2, distance)
        logs = np.log(np.maximum(found, _TINY) / distance)
        values = np.empty((*found.shape[:2], len(radii), len(radii), len(log_angles)))
        values[..., first, second, :] = logs.reshape(*found.shape[:2], len(first), -1)
        values[..., second, first, :] = values[..., first, second, :]
        return values

    def _refined(self, values: FloatArray) -> FloatArray:
        """Return the values on a finer grid, by cubic splines, so that the look-up can be linear."""
        for axis, nodes in ((2, self.axes[0]), (3, self.axes[0]), (4, self.axes[1])):
            if len(nodes) > 1:
                fine = np.linspace(nodes[0], nodes[-1], (len(nodes) - 1) * _REFINED + 1)
                values = make_interp_spline(nodes, values, axis=axis)(fine)
        return values


def _place(nodes: FloatArray, values: FloatArray) -> FloatArray:
    """Return where values lie on the refined grid, in its steps."""
    if len(nodes) == 1:
        return np.zeros_like(values)
    return np.asarray((values - nodes[0]) * (_REFINED / (nodes[1] - nodes[0])))
