"""The layered channel: its parts, what they say at given variances and precisions, and its potential (theory (8)-(9)).

The unknowns are the variances `V_1..V_L` and the precisions `r_0..r_{L-1}`; everything else follows from them.
`chain.search` finds where the potential is stationary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.chain.ensembles import Ensemble
from mfmi.chain.equations import with_rounding
from mfmi.channels.gains import Interleaved
from mfmi.channels.layers import Direct, Scaled
from mfmi.channels.observed.outputs import Output
from mfmi.channels.protocols import LayerChannel, Source
from mfmi.channels.sources import FirstLayer

# Share of the information in a potential that rounding may make of it: 2.7e-13 was seen, of 16 rotations with noise in
# every layer against their closed form.
POTENTIAL_ROUNDING = 4e-13


@dataclass(frozen=True)
class Chain:
    """Cut networks: source, weight matrices, hidden layers and observed layer, for n points of at most L matrices.

    Points of different length share the arrays: what lies after a point's observed layer is ignored.

    Attributes
    ----------
    source : what enters the first weight matrix.
    ensemble : the L weight matrices.
    layers : the L - 1 hidden layers, or None where L = 1.
    output : the observed layer.
    length : number of matrices of each point, from 1 to L, shape (n,).
    """

    source: Source
    ensemble: Ensemble
    layers: LayerChannel | None
    output: Output
    length: NDArray[np.intp]

    @property
    def depth(self) -> int:
        """Largest number of weight matrices L."""
        return len(self.ensemble.alpha)

    @property
    def last(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Row and column of every point's observed layer in an array of shape (n, L)."""
        return np.arange(self.size), self.length - 1

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Mask of the entries of an (n, L) array that belong to the points."""
        return np.arange(self.depth) < self.length[:, None]

    @property
    def size(self) -> int:
        """Number of points n."""
        return len(self.length)

    @property
    def refined(self) -> Chain | None:
        """The chain in which values are told, if it has channels with a quadrature of its own to search by."""
        source, layers = self.source, self.layers and refined(self.layers)
        if isinstance(source, FirstLayer):
            first = refined(source.layer)
            source = source if first is source.layer else replace(source, layer=first)
        same = source is self.source and layers is self.layers
        return None if same else replace(self, source=source, layers=layers)

    def take(self, rows: NDArray[np.intp]) -> Chain:
        """The chain of some of the points."""
        every = slice(None)
        layers = self.layers.take(rows, every) if self.layers is not None else None
        parts = self.source.take(rows), self.ensemble.take(rows, every), layers, self.output.take(rows)
        return Chain(*parts, self.length[rows])


def refined(channel: LayerChannel) -> LayerChannel:
    """A channel by its finer quadrature; itself where there are no two."""
    if isinstance(channel, Interleaved):
        activations = refined(channel.activations)
        return channel if activations is channel.activations else replace(channel, activations=activations)
    return channel.refined if isinstance(channel, Direct | Scaled) else channel


@dataclass(frozen=True)
class Messages:
    """Derivatives of all channels of a chain, arranged by weight matrix, each of shape (n, L).

    `e`, `e_r`, `e_v`, `rest_r` belong to the channel before the matrix, `a`, `a_v`, `a_r`, `rest_v` to that after it.
    """

    e: FloatArray
    e_r: FloatArray
    e_v: FloatArray
    rest_r: FloatArray
    a: FloatArray
    a_r: FloatArray
    a_v: FloatArray
    rest_v: FloatArray


def messages(chain: Chain, r: FloatArray, v: FloatArray) -> Messages:
    """Values of all channels of a chain at precisions `r_0..r_{L-1}` and variances `V_1..V_L`, both of shape (n, L)."""
    zero = np.zeros((len(r), 1))
    e, e_r, rest_r = (part[:, None] for part in chain.source.derivatives(r[:, 0]))
    e_v, a_r = zero, np.zeros_like(r)
    a, a_v, rest_v = (np.ones_like(r) for _ in range(3))
    if chain.layers is not None:
        d = chain.layers.derivatives(r[:, 1:], v[:, :-1])
        e, e_r, rest_r, e_v = (np.hstack(pair) for pair in ((e, d.e), (e_r, d.e_r), (rest_r, d.rest_r), (e_v, d.e_v)))
        a[:, :-1], a_v[:, :-1], rest_v[:, :-1], a_r[:, :-1] = d.a, d.a_v, d.rest_v, d.e_v
    a[chain.last], a_v[chain.last], rest_v[chain.last] = chain.output.derivatives(v[chain.last])
    a_r[chain.last] = 0.0
    return Messages(e, e_r, e_v, rest_r, a, a_r, a_v, rest_v)


def carries(chain: Chain, r: FloatArray, v: FloatArray) -> NDArray[np.bool_]:
    """Whether curvature comes back through every layer, shape (n,).

    Where a layer has none, or one that underflows, the precisions before it are the floor of a logarithm and no values:
    nothing of the source is read.
    """
    return np.asarray(((messages(chain, r, v).a > 0.0) | ~chain.inside).all(axis=1))


def information(chain: Chain, r: FloatArray, v: FloatArray) -> FloatArray:
    """Sum of the information of all channels, as it stands in the potential (8), shape (n,)."""
    layers = chain.layers.information if chain.layers is not None else None
    return _summed(chain, r, v, (chain.source.information, layers, chain.output.information))


def potential(chain: Chain, r: FloatArray, v: FloatArray, m: Messages, total: FloatArray) -> FloatArray:
    """The potential (8) in nats per unit of the source, shape (n,).

    Parameters
    ----------
    chain : the networks.
    r, v : precisions and variances, shape (n, L).
    m, total : what the channels say there, and the sum of their informations, see `information`.
    """
    bracket = np.where(chain.inside, chain.ensemble.bracket(r, m.e, m.a, v, m.rest_v), 0.0)
    return np.asarray(total - 0.5 * (bracket * _units(chain)[:-1]).sum(axis=1))


def potential_error(chain: Chain, r: FloatArray, v: FloatArray, total: FloatArray) -> FloatArray:
    """Error of the potential at its stationary point due to those of the channels, shape (n,); as `potential`.

    There the unknowns do not move it, and each channel's error enters as it is.
    """
    layers = chain.layers.error if chain.layers is not None else None
    error = _summed(chain, r, v, (chain.source.error, layers, chain.output.error))
    brackets = (chain.inside * _units(chain)[:-1]).sum(axis=1)
    return with_rounding(error, total, brackets, POTENTIAL_ROUNDING)


def _units(chain: Chain) -> FloatArray:
    """Units of every layer per unit of the source, shape (L + 1,)."""
    return np.concatenate(([1.0], np.cumprod(chain.ensemble.alpha)))


def _summed(
    chain: Chain,
    r: FloatArray,
    v: FloatArray,
    parts: tuple[
        Callable[[FloatArray], FloatArray],
        Callable[[FloatArray, FloatArray], FloatArray] | None,
        Callable[[FloatArray], FloatArray],
    ],
) -> FloatArray:
    """Sum of a quantity of the source, the hidden layers, if there are any, and the output over all of their units."""
    source, layers, output = parts
    ratio = _units(chain)
    total = source(r[:, 0]) + ratio[chain.length] * output(v[chain.last])
    if layers is not None:
        total = total + (np.where(chain.inside[:, 1:], layers(r[:, 1:], v[:, :-1]), 0.0) * ratio[1:-1]).sum(axis=1)
    return np.asarray(total)
