"""Weight matrices with any singular values, as linear layers between rotations (theory (12)).

A matrix `W = U D V^T` with Haar U and V is three layers: two orthogonal matrices, and between them units whose gains
are the singular values. Of these, `D` is a scalar channel without noise, and the rotations are an ensemble that a chain
knows: such a network is a longer chain of the same parts. Theory (12) is what is left when the two unknowns between the
rotations are eliminated, which has several roots where the spectrum is wide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.elementwise import gain_derivatives, gain_unit
from mfmi.channels.exact.table import ExactTable
from mfmi.channels.layers import Surrogate, Tabulated
from mfmi.channels.protocols import ClosedForm, Derivatives, LayerChannel, Rows

# Elements of a work array that fits the second-level cache with its companions.
_BLOCK = 1 << 15


@dataclass(frozen=True)
class Gains(ClosedForm):
    """Linear layers, each unit with the root of an eigenvalue for its gain: `J = E_lambda ln(1 + r lambda V) / 2`.

    Attributes
    ----------
    eigenvalue, share : the eigenvalues and how often each occurs, shape (K, M); shares add up to 1 in every layer.
    """

    eigenvalue: FloatArray
    share: FloatArray

    def derivatives(self, r: FloatArray, v: FloatArray) -> Derivatives:
        """See `LayerChannel.derivatives`."""
        out = np.empty((7, *r.shape))
        for rows in self._blocks(len(r)):
            precision, variance = r[rows, :, None], v[rows, :, None]
            gain, left = gain_unit(precision, variance, self.eigenvalue)
            e, a, e_r, a_v = gain_derivatives(r[rows], v[rows], self._mean(gain), self._mean(gain, gain))
            nothing = self._mean(left)
            out[:, rows] = e, a, e_r, self._mean(gain, left), a_v, nothing, nothing
        return Derivatives(*out)

    def information(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `LayerChannel.information`."""
        out = np.empty_like(r)
        for rows in self._blocks(len(r)):
            out[rows] = 0.5 * self._mean(np.log1p((r[rows] * v[rows])[:, :, None] * self.eigenvalue))
        return out

    def _mean(self, one: FloatArray, other: FloatArray | None = None) -> FloatArray:
        if other is None:
            return np.asarray(np.einsum("km,nkm->nk", self.share, one))
        return np.asarray(np.einsum("km,nkm,nkm->nk", self.share, one, other))

    def _blocks(self, size: int) -> Iterator[slice]:
        """Stretches of points whose work arrays stay in the cache."""
        step = max(1, _BLOCK // max(1, self.eigenvalue.size))
        return (slice(start, start + step) for start in range(0, size, step))


@dataclass(frozen=True)
class Interleaved:
    """Layers of activations with the gains of weight matrices between them.

    Attributes
    ----------
    activations : the channels of the activations, in their order.
    gains : those of the matrices, in theirs.
    linear : which of the K layers are of the second kind, shape (K,).
    """

    activations: LayerChannel
    gains: Gains
    linear: NDArray[np.bool_]

    @property
    def has_noise(self) -> NDArray[np.bool_]:
        """See `LayerChannel.has_noise`: gains bring none."""
        return self.activations.has_noise

    @property
    def is_linear(self) -> bool:
        """Whether all layers are linear."""
        return bool(self.linear.all()) or isinstance(self.activations, Surrogate)

    @property
    def is_bound(self) -> bool:
        """Whether the activations' channels are closed bounds in place of the exact ones."""
        return isinstance(self.activations, Tabulated) and not isinstance(self.activations.table, ExactTable)

    def derivatives(self, r: FloatArray, v: FloatArray) -> Derivatives:
        """See `LayerChannel.derivatives`."""
        out = np.empty((7, *r.shape))
        for chosen, channel in self._kinds():
            out[:, :, chosen] = channel.derivatives(r[:, chosen], v[:, chosen])
        return Derivatives(*out)

    def information(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `LayerChannel.information`."""
        out = np.empty_like(r)
        for chosen, channel in self._kinds():
            out[:, chosen] = channel.information(r[:, chosen], v[:, chosen])
        return out

    def error(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `LayerChannel.error`."""
        out = np.empty_like(r)
        for chosen, channel in self._kinds():
            out[:, chosen] = channel.error(r[:, chosen], v[:, chosen])
        return out

    def _kinds(self) -> Iterator[tuple[NDArray[np.bool_], LayerChannel | Gains]]:
        """The two kinds of layers, if there are any of it, and where they stand."""
        if not self.linear.all():
            yield ~self.linear, self.activations
        if self.linear.any():
            yield self.linear, self.gains

    def take(self, rows: Rows, layers: slice) -> Interleaved:
        """See `LayerChannel.take`."""
        start, stop, _ = layers.indices(len(self.linear))
        before, after = (int(np.count_nonzero(self.linear[:end])) for end in (start, max(start, stop)))
        own = slice(before, after)
        return Interleaved(
            self.activations.take(rows, slice(start - before, max(start, stop) - after)),
            Gains(self.gains.eigenvalue[own], self.gains.share[own]),
            self.linear[layers],
        )
