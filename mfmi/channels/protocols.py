"""Interfaces of scalar channels: of a hidden layer, of the input, and of a table of channel values."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray


class TableValue(NamedTuple):
    """J in nats, e = 2 dJ/dr, a = 2 dJ/dtau, their derivatives e_r, e_v = a_r, a_v, and rest_r = 1 - r e."""

    j: FloatArray
    e: FloatArray
    a: FloatArray
    e_r: FloatArray
    e_v: FloatArray
    a_v: FloatArray
    rest_r: FloatArray


Rows = NDArray[np.intp] | slice


class Derivatives(NamedTuple):
    """First and second derivatives of a layer channel, each of shape (n, K).

    Attributes
    ----------
    e : `E = 2 dJ/dr`, remaining variance of the layer's output.
    a : `A = 2 dJ/dV`, curvature seen from the input.
    e_r, e_v, a_v : `dE/dr`, `dE/dV = dA/dr`, `dA/dV`.
    rest_r, rest_v : `1 - r E` and `1 - A V`, without cancellation.
    """

    e: FloatArray
    a: FloatArray
    e_r: FloatArray
    e_v: FloatArray
    a_v: FloatArray
    rest_r: FloatArray
    rest_v: FloatArray


class LayerChannel(Protocol):
    """The channels of K consecutive hidden layers of n networks."""

    @property
    def has_noise(self) -> NDArray[np.bool_]:
        """Whether a layer's output is uncertain when its input is known, shape (n,)."""
        ...

    def derivatives(self, r: FloatArray, v: FloatArray) -> Derivatives:
        """Derivatives at precisions `r` and variances `v`, both of shape (n, K)."""
        ...

    def information(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """`J(r, V)` in nats, shape (n, K)."""
        ...

    def error(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """Estimated error of `J(r, V)` in nats, shape (n, K): 0 in closed form, NaN where there is no estimate."""
        ...

    def take(self, rows: Rows, layers: slice) -> LayerChannel:
        """The channels of some of the points and layers."""
        ...


class ClosedForm:
    """A channel without an error beyond rounding."""

    def error(self, at: FloatArray, *_: FloatArray) -> FloatArray:
        """None, of the shape of the first argument."""
        return np.zeros_like(at)


class Source(Protocol):
    """Beginning of the chain: the channel from the input to its noisy observation."""

    def derivatives(self, r: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`E = 2 J_0'(r)`, `dE/dr` and `1 - r E`, each of shape (n,)."""
        ...

    def information(self, r: FloatArray) -> FloatArray:
        """`J_0(r)` in nats, shape (n,)."""
        ...

    def error(self, r: FloatArray) -> FloatArray:
        """Estimated error of `J_0(r)` in nats, shape (n,), beyond rounding."""
        ...

    def take(self, rows: Rows) -> Source:
        """The source of some of the points."""
        ...


class ChannelValues(Protocol):
    """A scalar channel over (r, tau, s), as `channels.closed.table` and `channels.exact.table` have it."""

    def evaluate(self, r: FloatArray, tau: FloatArray, s: FloatArray) -> TableValue:
        """`J` and its derivatives up to the second, arrays of one shape; NaN outside the table."""
        ...

    def error(self, r: FloatArray, tau: FloatArray, s: FloatArray) -> FloatArray:
        """Estimated error of `J`: in nats, of the exact channel's table relative; NaN outside the table."""
        ...
