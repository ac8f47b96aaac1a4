"""The mean field of networks as their chains need it: trajectories and what follows from them alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation, Conditional
from mfmi.arguments.arrays import FloatArray
from mfmi.channels.layers import Surrogate
from mfmi.meanfield import Trajectory

# Relative error aimed at in a mean over offsets, and the narrowest transition, in standard deviations of the offset.
_TOLERANCE, _NARROWEST = 1e-10, 1e-11


# Offsets of a layer near a kink, at most: where the transition is wide, for every layer before it, and where it is as
# narrow as it gets.
_WIDE, _EACH, _GRADED = 100, 20, 730


def most_offsets(depth: int) -> int:
    """How many offsets a layer of an activation with kinks may have, about, in networks of that depth."""
    return min(_WIDE + _EACH * depth, _GRADED)


@dataclass(frozen=True)
class Propagation:
    """Mean field of u networks through their layers, shared by all points that differ only in weights or output noise.

    Attributes
    ----------
    phi : the activation.
    path : mean-field trajectory, fields of shape (u, D).
    hidden_noise : `sigma_h^2`, shape (u,).
    modes : the same at every frequency of a convolution of correlated inputs, see `bounds.modes`; None of others.
    """

    phi: Activation
    path: Trajectory
    hidden_noise: FloatArray
    modes: Propagation | None = None

    @cached_property
    def spread(self) -> FloatArray:
        """Variance of `y^l` around the neuron's known offset, shape (u, D)."""
        return self.path.offset_gap

    @cached_property
    def surrogate(self) -> Surrogate:
        """Linear network with the same second moments, layers 1 to D - 1 (theory (18))."""
        inner = (self.path.offset_gap + self.hidden_noise[:, None])[:, :-1]
        total, within = self.path.s[:, :-1].ravel(), inner.ravel()
        parts: list[list[FloatArray]] = [[], [], []]
        places = []
        for rows, m, weight in offset_rules(self.phi, total, within):
            moments = conditional(self.phi, within[rows], m)
            places.append(rows)
            for part, values in zip(parts, (np.square(moments.kappa), moments.residual, weight), strict=True):
                part.append(values)
        gain, residual, weights = (assembled(part, places, inner.shape) for part in parts)
        return Surrogate(gain, residual, weights, self.hidden_noise[:, None])

    @property
    def blunt(self) -> Surrogate | None:
        """A second opinion on `surrogate` where that is not exact."""
        return None

    @cached_property
    def log_slope(self) -> FloatArray:
        """`E ln phi'^2` over the noisy pre-activations of layers 1 to D - 1 (theory (19)), shape (u, D - 1)."""
        s = self.path.s[:, :-1]
        # Of a variance that has overflowed any number will do, as in `moments`.
        return np.asarray(self.phi.log_slope(np.where(np.isfinite(s), s, 1.0)))

    def moments(self, total: FloatArray, inner: FloatArray) -> tuple[Conditional, FloatArray]:
        """Moments of phi given a neuron's offset, see `offset_moments`."""
        return offset_moments(self.phi, total, inner)


def offset_moments(phi: Activation, total: FloatArray, inner: FloatArray) -> tuple[Conditional, FloatArray]:
    """Moments of phi given a neuron's offset, and the offsets' weights, each of shape (k, M).

    Parameters
    ----------
    phi : the activation.
    total, inner : variance of what the activation sees, and what of it varies around the offset, shape (k,).
    """
    places, found = [], []
    for rows, m, weight in offset_rules(phi, total, inner):
        moments = conditional(phi, inner[rows], m)
        places.append(rows)
        found.append((moments.mean, moments.variance, moments.kappa, moments.residual, weight))
    *parts, weights = (assembled(list(part), places, total.shape) for part in zip(*found, strict=True))
    return Conditional(*parts), weights


def offset_rules(
    phi: Activation, total: FloatArray, inner: FloatArray
) -> Iterator[tuple[NDArray[np.int64], FloatArray, FloatArray]]:
    """Offsets of neurons and their weights, block by block of rows that need equally many.

    Deep in the ordered phase the variance around an offset falls like a power of the depth, and with it the width of
    the transition at a kink; nodes graded towards it would grow in number without end. Below `_NARROWEST` of the
    offset's standard deviation, or of the stretch on which the activation does something if that is shorter, a
    transition is taken for as wide as that: it holds no more than that share of the offsets that count, and all moments
    are bounded there, so that no mean is off by more. A jump has moments that are not, and is followed to the end.
    """
    finite = np.isfinite(inner) & np.isfinite(total)
    variance = np.where(finite, np.maximum(total - inner, 0.0), 1.0)
    width = np.sqrt(np.where(finite, inner, 1.0))
    if phi.differentiable:
        lengths = [abs(place) for place in (*phi.kinks, phi.pole) if place != 0.0 and np.isfinite(place)]
        stretch = np.minimum(np.sqrt(variance), max(lengths, default=np.inf))
        width = np.where(width > 0.0, np.maximum(width, _NARROWEST * stretch), 0.0)
    return phi.offset_rules(variance, width, tolerance=_TOLERANCE)


def conditional(phi: Activation, inner: FloatArray, m: FloatArray) -> Conditional:
    """Moments of phi given offsets of shape (k, M), the variance around them being of shape (k,)."""
    # A variance that has overflowed has no moments; its rows are marked by their q and any number will do.
    within = np.where(np.isfinite(inner), inner, 1.0)
    return phi.conditional(m, np.broadcast_to(within[:, None], m.shape))


def assembled(parts: list[FloatArray], places: list[NDArray[np.int64]], shape: tuple[int, ...]) -> FloatArray:
    """Rows of different length as one array of shape (*shape, M), with zeros after the shorter; empties `parts`."""
    found = np.zeros((int(np.prod(shape)), max((part.shape[1] for part in parts), default=1)))
    for rows in places:
        part = parts.pop(0)
        found[rows, : part.shape[1]] = part
    return found.reshape(*shape, found.shape[1])
