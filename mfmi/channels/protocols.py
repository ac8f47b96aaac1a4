"""Interfaces of scalar channels: of a hidden layer, of the input, and of a table of channel values."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.quadrature.panels import FloatArray


class TableValue(NamedTuple):
    """J in nats, e = 2 dJ/dr, a = 2 dJ/dtau, their derivatives e_r, e_v = a_r, a_v, and rest_r = 1 - r e."""

    j: FloatArray
    e: FloatArray
    a: FloatArray
    e_r: FloatArray
    e_v: FloatArray
    a_v: FloatArray
    rest_r: FloatArray


Array = NDArray[np.float64]


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

    e: Array
    a: Array
    e_r: Array
    e_v: Array
    a_v: Array
    rest_r: Array
    rest_v: Array


class LayerChannel(Protocol):
    """The channels of K consecutive hidden layers of n networks."""

    @property
    def has_noise(self) -> NDArray[np.bool_]:
        """Whether a layer's output is uncertain when its input is known, shape (n,)."""

    def derivatives(self, r: Array, v: Array) -> Derivatives:
        """Derivatives at precisions `r` and variances `v`, both of shape (n, K)."""

    def information(self, r: Array, v: Array) -> Array:
        """`J(r, V)` in nats, shape (n, K)."""

    def error(self, r: Array, v: Array) -> Array:
        """Estimated error of `J(r, V)` in nats, shape (n, K): 0 in closed form, NaN where there is no estimate."""

    def part(self, rows: Rows, layers: slice) -> LayerChannel:
        """The channels of some of the points and layers."""


class Source(Protocol):
    """Where the chain begins: the channel from the input to its noisy observation."""

    def derivatives(self, r: Array) -> tuple[Array, Array, Array]:
        """`E = 2 J_0'(r)`, `dE/dr` and `1 - r E`, each of shape (n,)."""

    def information(self, r: Array) -> Array:
        """`J_0(r)` in nats, shape (n,)."""

    def error(self, r: Array) -> Array:
        """Estimated error of `J_0(r)` in nats, shape (n,), beyond rounding."""

    def part(self, rows: Rows) -> Source:
        """The source of some of the points."""


class Table(Protocol):
    """A scalar channel over (r, tau, s), as `channels.closed.table` and `channels.exact.table` have it."""

    def evaluate(self, r: Array, tau: Array, s: Array) -> TableValue:
        """`J` and its derivatives up to the second, arrays of one shape; NaN outside the table."""

    def error(self, r: Array, tau: Array, s: Array) -> Array:
        """Estimated error of `J`: in nats, of the exact channel's table relative; NaN outside the table."""
