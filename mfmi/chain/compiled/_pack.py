"""Chains as flat arrays for the compiled search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.chain.compiled._channel import N_OUT, Layers
from mfmi.chain.compiled._compiler import compiled
from mfmi.chain.compiled._state import Found, Known, PackedPoints, Work
from mfmi.chain.ensembles import Ensemble, Gaussian, Mixed, Orthogonal
from mfmi.chain.equations import Rules
from mfmi.channels.closed.table import ChannelTable
from mfmi.channels.gains import Interleaved
from mfmi.channels.layers import Scaled, Surrogate, Tabulated
from mfmi.channels.observed.outputs import GaussianOutput, Output
from mfmi.channels.protocols import LayerChannel, Source
from mfmi.channels.sources import FirstLayer, GaussianInput

_NO_VALUES, _NO_LAYERS = np.empty(0), np.empty((0, 0))
_NO_NODES, _NO_PLACES = np.empty((0, 0, 0)), np.empty((0, 0), dtype=np.int64)
_NOTHING = Layers(
    False, _NO_VALUES, _NO_NODES, _NO_NODES, _NO_NODES, _NO_LAYERS, _NO_PLACES, _NO_PLACES, _NO_NODES, _NO_NODES,
    _NO_LAYERS, _NO_VALUES, _NO_VALUES, np.empty(0, dtype=np.float32), 1, 1, False, _NO_LAYERS, _NO_LAYERS,
    _NO_LAYERS, np.empty(0, dtype=np.int64), _NO_LAYERS, _NO_LAYERS,
)  # fmt: skip


class Packed:
    """n chains as the compiled search reads them.

    Parameters
    ----------
    code : the search, see `_descent.descend`.
    points : the chains.
    """

    def __init__(self, code: Callable[..., None], points: PackedPoints) -> None:
        self._code, self._points = code, points
        most = points.rotates.size
        self._work = Work(np.zeros((most + 1, N_OUT)), np.zeros((6, most)), *np.zeros((11, most)))

    def search(self, rules: Rules, known: Known) -> Found:
        """Search the minima of all chains from one start.

        Parameters
        ----------
        rules : where the search begins and how it ends.
        known : minima at which it ends as soon as it is on its way to one of them.
        """
        n, most = self._points.sigma_w2.shape
        value, error, mmse, residual, pivot, rest = np.empty((6, n))
        r, v = np.ones((2, n, most))
        found = Found(value, error, mmse, residual, pivot, rest, r, v, np.empty(n, dtype=np.int64))
        try:
            self._code(self._points, rules, known, self._work, found)
        except OSError:
            # It is compiled, and only could not be kept.
            self._code(self._points, rules, known, self._work, found)
        return found


def pack(
    source: Source, ensemble: Ensemble, layers: LayerChannel | None, output: Output, length: NDArray[np.intp]
) -> Packed | None:
    """Chains for the compiled search.

    Parameters
    ----------
    source, ensemble, layers, output, length : as in `chain.Chain`.

    Returns
    -------
    Packed or None
        None where numba is not installed, or where one of the parts is not of the kinds that the code knows.
    """
    code = compiled()
    if code is None or not isinstance(ensemble, Gaussian | Orthogonal | Mixed):
        return None
    if not isinstance(source, FirstLayer | GaussianInput) or not isinstance(output, GaussianOutput):
        return None
    first = _flat(source.layer) if isinstance(source, FirstLayer) else _NOTHING
    hidden = _flat(layers) if layers is not None else _NOTHING
    if first is None or hidden is None:
        return None
    n, most = len(length), len(ensemble.alpha)
    sigma_w2 = np.ascontiguousarray(np.broadcast_to(ensemble.sigma_w2, (n, most)))
    rotates = ensemble.rotates if isinstance(ensemble, Mixed) else np.full(most, isinstance(ensemble, Orthogonal))
    points = PackedPoints(
        np.ascontiguousarray(rotates),
        isinstance(source, FirstLayer),
        _own(source.variance),
        first,
        hidden,
        sigma_w2,
        _own(ensemble.alpha),
        _own(output.noise),
        np.ascontiguousarray(length, dtype=np.int64),
    )
    return Packed(code, points)


def _flat(channel: LayerChannel) -> Layers | None:
    """The arrays of a channel, or None where it is of another kind."""
    if isinstance(channel, Surrogate):
        return _NOTHING._replace(
            hidden_noise=_own(channel.hidden_noise[:, 0]),
            gain=_own(channel.gain),
            residual=_own(channel.residual),
            weight=_own(channel.weight),
            place=_each(channel.gain.shape[1]),
        )
    if isinstance(channel, Tabulated) and isinstance(channel.table, ChannelTable):
        total = _own(channel.total)
        known = channel.table.place(total)._asdict()
        return _NOTHING._replace(
            tabulated=True,
            hidden_noise=_own(channel.hidden_noise[:, 0]),
            total=total,
            place=_each(total.shape[1]),
            **known,
        )
    if isinstance(channel, Scaled):
        inner = _flat(channel.inner)
        own = _own(channel.factor), _own(channel.scale), _own(channel.noise)
        return None if inner is None else inner._replace(normed=True, factor=own[0], scale=own[1], noise=own[2])
    if isinstance(channel, Interleaved):
        return _flat_interleaved(channel)
    return None


def _flat_interleaved(channel: Interleaved) -> Layers | None:
    activations = _NOTHING if channel.linear.all() else _flat(channel.activations)
    if activations is None:
        return None
    gains_so_far = np.cumsum(channel.linear, dtype=np.int64)
    return activations._replace(
        place=np.where(channel.linear, -gains_so_far, _each(len(gains_so_far)) - gains_so_far),
        eigenvalue=_own(channel.gains.eigenvalue),
        share=_own(channel.gains.share),
    )


def _each(count: int) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64)


def _own(values: FloatArray) -> FloatArray:
    """Contiguous and writable, for each kind of array is one more compilation."""
    array = np.ascontiguousarray(values)
    return array if array.flags.writeable else array.copy()
