"""The mean field of networks as their chains need it: trajectories and what follows from them alone."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mfmi.activations import Activation
from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.estimate import Estimate
from mfmi.bounds.offsets import linear_moments
from mfmi.channels.layers import Surrogate
from mfmi.meanfield import Trajectory


@dataclass(frozen=True)
class Propagation:
    """Mean field of u networks through their layers, shared by all points that differ only in weights or output noise.

    Attributes
    ----------
    phi : the activation.
    path : mean-field trajectory, fields of shape (u, D).
    hidden_noise : `sigma_h^2`, shape (u,).
    modes : the same at every frequency of a convolution of correlated inputs, see `bounds.modes`; None of others.
    cuts : potentials of the networks cut at a layer of few values, see `Problem.decoded`, as they become known.
    """

    phi: Activation
    path: Trajectory
    hidden_noise: FloatArray
    modes: Propagation | None = None
    cuts: dict[tuple[Hashable, ...], Estimate] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def spread(self) -> FloatArray:
        """Variance of `y^l` around the neuron's known offset, shape (u, D)."""
        return self.path.offset_gap

    @cached_property
    def surrogate(self) -> Surrogate:
        """Linear network with the same second moments, layers 1 to D - 1 (theory (18))."""
        inner = (self.path.offset_gap + self.hidden_noise[:, None])[:, :-1]
        return Surrogate(*linear_moments(self.phi, self.path.s[:, :-1], inner), self.hidden_noise[:, None])

    @property
    def blunt(self) -> Surrogate | None:
        """A second opinion on `surrogate` where that is not exact."""
        return None

    def forget(self) -> None:
        """Let go of the moments at all offsets, which are large; they come back when they are asked for."""
        for name in ("surrogate", "_surrogates"):
            self.__dict__.pop(name, None)

    @cached_property
    def log_slope(self) -> FloatArray:
        """`E ln phi'^2` over the noisy pre-activations of layers 1 to D - 1 (theory (19)), shape (u, D - 1)."""
        s = self.path.s[:, :-1]
        # Of a variance that has overflowed any number will do, as in `moments`.
        return np.asarray(self.phi.log_slope(np.where(np.isfinite(s), s, 1.0)))
