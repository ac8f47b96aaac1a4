"""Length and correlation maps through the layers (theory (3)-(4)).

A covariance `k` is never carried as such: close to `c = 1` it would lose everything that matters. What is carried is
the gap `q - k`, whose map `gap -> sigma_w^2 (V(s) - K(s, k))` an activation computes without cancellation
(`Activation.decorrelation`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray

# The largest gap there can be over V, with room for rounding.
_TWICE = 2.0 * (1.0 + 1e-9)
_FAINTEST = 1e-300


@dataclass(frozen=True)
class Trajectory:
    """Propagation of an input through a wide random network, layer by layer (theory (3)-(5)).

    Every field has shape (n, depth); column `l - 1` is layer `l`. Variances and gaps are those of the pre-activation
    `y^l`, before that layer's noise.

    Attributes
    ----------
    q : variance of `y^l`.
    s : variance `q + sigma_h^2` that the activation of layer `l` sees when the layer is hidden.
    chi : `sigma_w^2 E phi'(sqrt(s) z)^2`, slope of the map at the layer, sigma_w being that of the matrix after it (of
        the last layer's, its own); NaN for an activation without derivative.
    gap : `q - k` of the tracked pair of inputs.
    offset_gap : `q - a`: variance of `y^l` around the neuron's known offset (independent inputs, theory section 2).
    noise_gap : `q - rho`: variance that the noise has put into `y^l` (same input, independent noise).
    """

    q: FloatArray
    s: FloatArray
    chi: FloatArray
    gap: FloatArray
    offset_gap: FloatArray
    noise_gap: FloatArray

    def take(self, rows: NDArray[np.intp]) -> Trajectory:
        """The trajectories of the points `rows`, in that order."""
        return Trajectory(
            self.q[rows], self.s[rows], self.chi[rows], self.gap[rows], self.offset_gap[rows], self.noise_gap[rows]
        )

    def cut(self, depth: int) -> Trajectory:
        """The first `depth` layers."""
        parts = self.q, self.s, self.chi, self.gap, self.offset_gap, self.noise_gap
        return Trajectory(*(part[:, :depth] for part in parts))


def trajectory(
    phi: Activation,
    sigma_w2: ArrayLike,
    sigma_b2: ArrayLike,
    sigma_h2: ArrayLike,
    input_variance: ArrayLike,
    correlation: ArrayLike,
    depth: int,
) -> Trajectory:
    """Iterate the length and correlation maps through `depth` layers (theory (3)-(4)).

    Parameters
    ----------
    phi : the activation.
    sigma_w2, sigma_b2 : variances of weights and biases, of all layers in shape (n,) or of each in shape (n, depth).
    sigma_h2, input_variance, correlation : broadcast to shape (n,); variances of hidden noise and input entries, and
        the correlation of the tracked pair of inputs.
    depth : number of layers.

    Returns
    -------
    Trajectory
        Arrays of shape (n, depth). A variance that overflows is inf, and what follows from it NaN; so is a gap that an
        activation cannot resolve at a variance far beyond those it is made for.
    """
    (w2, b2), (h2, q_x, c_0) = _broadcast((sigma_w2, sigma_b2), (sigma_h2, input_variance, correlation), depth)
    n = len(h2)
    gaps = np.empty((3, n, depth))
    gaps[:, :, 0] = w2[:, 0] * q_x * np.stack([1.0 - c_0, np.ones(n), np.zeros(n)])
    noisy = bool(np.any(h2 > 0.0))
    starts = 3 if noisy else 2
    with np.errstate(over="ignore", invalid="ignore"):
        q, second, chi = _lengths(phi, w2, b2, h2, q_x)
        for layer in range(depth - 1):
            s = q[:, layer] + h2
            inner = np.minimum(gaps[:starts, :, layer] + h2, 2.0 * s)
            gaps[:starts, :, layer + 1] = resolved(phi, w2[:, layer + 1], s, inner, second[:, layer])
            gaps[starts:, :, layer + 1] = 0.0
    gaps[:, ~np.isfinite(q)] = np.nan
    return Trajectory(q, q + h2[:, None], chi, gaps[0], gaps[1], gaps[2])


def lengths(
    phi: Activation,
    sigma_w2: ArrayLike,
    sigma_b2: ArrayLike,
    sigma_h2: ArrayLike,
    input_variance: ArrayLike,
    depth: int,
) -> tuple[FloatArray, FloatArray]:
    """`q` and `chi` of `trajectory`, where correlations are of no interest: a third of its work."""
    (w2, b2), (h2, q_x) = _broadcast((sigma_w2, sigma_b2), (sigma_h2, input_variance), depth)
    with np.errstate(over="ignore", invalid="ignore"):
        q, _, chi = _lengths(phi, w2, b2, h2, q_x)
    return q, chi


def _broadcast(
    layered: tuple[ArrayLike, ...], shared: tuple[ArrayLike, ...], depth: int
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Numbers per layer in shape (n, depth), and numbers of all layers in shape (n,)."""
    every = [_by_layer(a) for a in layered]
    alike = [np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in shared]
    (n,) = np.broadcast_shapes(*(a.shape[:1] for a in (*every, *alike)))
    return [np.broadcast_to(a, (n, depth)) for a in every], [np.broadcast_to(a, n) for a in alike]


def _lengths(
    phi: Activation, w2: FloatArray, b2: FloatArray, h2: FloatArray, q_x: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The length map: `q`, `sigma_w^2 V(s)` that follows from it, and `chi`, each of shape (n, depth)."""
    depth = w2.shape[1]
    q, second, chi = np.empty((3, *w2.shape))
    q[:, 0] = w2[:, 0] * q_x + b2[:, 0]
    for layer in range(depth):
        s = q[:, layer] + h2
        after = w2[:, min(layer + 1, depth - 1)]
        chi[:, layer] = after * finite_moment(phi.slope_moment, s)
        if layer + 1 < depth:
            second[:, layer] = after * finite_moment(phi.second_moment, s)
            q[:, layer + 1] = second[:, layer] + b2[:, layer + 1]
    return q, second, chi


def pair_gaps(
    phi: Activation,
    path: Trajectory,
    sigma_w2: ArrayLike,
    sigma_h2: FloatArray,
    input_variance: FloatArray,
    correlations: FloatArray,
) -> FloatArray:
    """Gaps `q - k` of further pairs of inputs, each with noise of its own.

    Parameters
    ----------
    phi : the activation.
    path : trajectories of n networks.
    sigma_w2 : variances of weights, of all layers in shape (n,) or of each in shape (n, depth).
    sigma_h2, input_variance : shape (n,).
    correlations : of the pairs, shape (U,).

    Returns
    -------
    ndarray, shape (n, depth, U)
        NaN where a variance is not finite.
    """
    n, depth = path.q.shape
    w2 = np.broadcast_to(_by_layer(sigma_w2), (n, depth))
    gaps = np.empty((len(correlations), n, depth))
    gaps[:, :, 0] = w2[:, 0] * input_variance * (1.0 - correlations)[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        for layer in range(depth - 1):
            s, after = path.s[:, layer], w2[:, layer + 1]
            inner = np.minimum(gaps[:, :, layer] + sigma_h2, 2.0 * s)
            second = after * finite_moment(phi.second_moment, s)
            gaps[:, :, layer + 1] = resolved(phi, after, s, inner, second)
    gaps[:, ~np.isfinite(path.q)] = np.nan
    return np.moveaxis(gaps, 0, 2)


def _by_layer(value: ArrayLike) -> FloatArray:
    array = np.asarray(value, dtype=np.float64)
    return array if array.ndim == 2 else array.reshape(-1, 1)


def resolved(phi: Activation, w2: FloatArray, s: FloatArray, inner: FloatArray, second: FloatArray) -> FloatArray:
    """Map gaps to `w2 (V(s) - K(s, s - inner))`, NaN where a moment cannot resolve them.

    Parameters
    ----------
    phi : the activation.
    w2, s, second : weight variance, variance seen and `w2 V(s)`, shape (n,).
    inner : gaps seen, shape (starts, n).
    """
    # One call for all starts: a table look-up costs far less than three of a third the size.
    gap = w2 * finite_moment(phi.decorrelation, np.broadcast_to(s, inner.shape), inner)
    # Below 1e-308 numbers are steps, and a gap may be one too large.
    gap = np.where(second < _FAINTEST, np.minimum(gap, 2.0 * second), gap)
    # Beyond what a moment can resolve, at variances on their way to overflow, there is no value.
    return np.where((gap >= 0.0) & (gap <= _TWICE * second), gap, np.nan)


def finite_moment(moment: Callable[..., ArrayLike], s: FloatArray, *rest: FloatArray) -> FloatArray:
    """Apply a moment where its arguments are finite; an overflowed length map stays NaN instead of raising."""
    good = np.isfinite(np.sum((s, *rest), axis=0))
    if good.all():
        return np.asarray(moment(s, *rest))
    out = np.full(s.shape, np.nan)
    out[good] = moment(s[good], *(a[good] for a in rest))
    return out
