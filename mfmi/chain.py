"""The layered channel: its parts, what they say at given variances and precisions, and its potential (theory (8)-(9)).

The unknowns are the variances `V_1..V_L` and the precisions `r_0..r_{L-1}`; everything else follows from them.
`chain_search` finds where the potential is stationary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfmi.ensembles import Ensemble
from mfmi.interfaces import LayerChannel, Source
from mfmi.observed_layer import Output

Array = NDArray[np.float64]

# Share of the informations in a potential that rounding may make of it: 2.7e-13 was seen, of 16 rotations with noise in
# every layer against their closed form.
ROUNDING = 4e-13


@dataclass(frozen=True)
class Chain:
    """Cut networks: source, weight matrices, hidden layers and observed layer, for n points of at most L matrices.

    Points of different length share the arrays: what lies behind a point's observed layer is passed over.

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
        """Which entries of an array of shape (n, L) belong to the points."""
        return np.arange(self.depth) < self.length[:, None]

    @property
    def size(self) -> int:
        """Number of points n."""
        return len(self.length)

    def part(self, rows: NDArray[np.intp]) -> Chain:
        """The chain of some of the points."""
        every = slice(None)
        layers = self.layers.part(rows, every) if self.layers is not None else None
        parts = self.source.part(rows), self.ensemble.part(rows, every), layers, self.output.part(rows)
        return Chain(*parts, self.length[rows])


@dataclass(frozen=True)
class Messages:
    """Derivatives of all channels of a chain, arranged by weight matrix, each of shape (n, L).

    `e`, `e_r`, `e_v`, `rest_r` belong to the channel before the matrix, `a`, `a_v`, `a_r`, `rest_v` to that behind it.
    """

    e: Array
    e_r: Array
    e_v: Array
    rest_r: Array
    a: Array
    a_r: Array
    a_v: Array
    rest_v: Array


def messages(chain: Chain, r: Array, v: Array) -> Messages:
    """What all channels of a chain say at precisions `r_0..r_{L-1}` and variances `V_1..V_L`, both of shape (n, L)."""
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


def potential_error(chain: Chain, r: Array, v: Array) -> Array:
    """What the errors of the channels make of the potential at its stationary point, shape (n,); as `potential`.

    There the unknowns do not move it, and each channel's error enters as it is. Rounding counts with `ROUNDING` of all
    that is summed up, and with that of a number near 1 for every matrix, whose bracket is the logarithm of one; that of
    a faint signal is no larger than A V, at most twice the information behind the matrix.
    """
    ratio = np.concatenate(([1.0], np.cumprod(chain.ensemble.alpha)))
    end = v[chain.last]
    error = chain.source.error(r[:, 0]) + ratio[chain.length] * chain.output.error(end)
    total = chain.source.information(r[:, 0]) + ratio[chain.length] * chain.output.information(end)
    if chain.layers is not None:
        arguments = r[:, 1:], v[:, :-1]
        for part, of_layers in ((error, chain.layers.error), (total, chain.layers.information)):
            part += (np.where(chain.inside[:, 1:], of_layers(*arguments), 0.0) * ratio[1:-1]).sum(axis=1)
    brackets = (chain.inside * ratio[:-1]).sum(axis=1)
    return np.asarray(error + ROUNDING * total + np.finfo(np.float64).eps * np.minimum(brackets, 2.0 * total))


def potential(chain: Chain, r: Array, v: Array, m: Messages) -> Array:
    """The potential (8) in nats per unit of the source, shape (n,), where the channels say `m`."""
    # Units of layer l per unit of the source.
    ratio = np.concatenate(([1.0], np.cumprod(chain.ensemble.alpha)))
    value = chain.source.information(r[:, 0]) + ratio[chain.length] * chain.output.information(v[chain.last])
    if chain.layers is not None:
        information = np.where(chain.inside[:, 1:], chain.layers.information(r[:, 1:], v[:, :-1]), 0.0)
        value = value + (information * ratio[1:-1]).sum(axis=1)
    bracket = np.where(chain.inside, chain.ensemble.bracket(r, m.e, m.a, v, m.rest_v), 0.0)
    return np.asarray(value - 0.5 * (bracket * ratio[:-1]).sum(axis=1))
