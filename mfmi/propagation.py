"""The mean field of networks as their chains need it: trajectories and what follows from them alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import Activation, Conditional
from mfmi.gaussian import even_rule
from mfmi.interfaces import Surrogate
from mfmi.meanfield import Trajectory

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Propagation:
    """Mean field of u networks through their layers, shared by all points that differ only in weights or output noise.

    Attributes
    ----------
    phi : the activation.
    path : mean-field trajectory, fields of shape (u, D).
    hidden_noise : `sigma_h^2`, shape (u,).
    """

    phi: Activation
    path: Trajectory
    hidden_noise: Array

    @cached_property
    def surrogate(self) -> Surrogate:
        """Linear network with the same second moments, layers 1 to D - 1 (theory (18))."""
        inner = (self.path.offset_gap + self.hidden_noise[:, None])[:, :-1]
        moments, weight = self.moments(self.path.s[:, :-1].ravel(), inner.ravel())
        shape = (*inner.shape, weight.shape[1])
        gain, residual = np.square(moments.kappa), moments.residual
        return Surrogate(
            gain.reshape(shape), residual.reshape(shape), weight.reshape(shape), self.hidden_noise[:, None]
        )

    @cached_property
    def log_slope(self) -> Array:
        """`E ln phi'^2` over the noisy pre-activations of layers 1 to D - 1 (theory (19)), shape (u, D - 1)."""
        s = self.path.s[:, :-1]
        # Of a variance that has overflowed any number will do, as in `moments`.
        return np.asarray(self.phi.log_slope(np.where(np.isfinite(s), s, 1.0)))

    def moments(self, total: Array, inner: Array) -> tuple[Conditional, Array]:
        """Moments of phi given a neuron's offset, and the offsets' weights, each of shape (k, M).

        Parameters
        ----------
        total, inner : variance of what the activation sees, and what of it varies around the offset, shape (k,).
        """
        # A variance that has overflowed has no moments; its rows are marked by their q and any number will do.
        finite = np.isfinite(inner) & np.isfinite(total)
        inner = np.where(finite, inner, 1.0)
        offset = np.where(finite, np.maximum(total - inner, 0.0), 1.0)
        m, weight = self.phi.offset_rule(offset, inner, tolerance=1e-10)
        if self.phi.odd or self.phi.even:
            m, weight = even_rule(m, weight)
        return self.phi.conditional(m, np.broadcast_to(inner[:, None], m.shape)), weight
