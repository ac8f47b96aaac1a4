"""The matrices of a stream's branches, between its precisions and its variances (theory (36)-(37))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.chain.ensembles import Gaussian, Orthogonal
from mfmi.channels.protocols import LayerChannel

RowNumbers = NDArray[np.intp]
Matrices = Gaussian | Orthogonal


class BranchEnds(NamedTuple):
    """Precisions r, remaining variances E and `1 - r E` before the branches, curvatures A, V and `1 - A V` after them.

    Each of shape (n, L - 1).
    """

    r: FloatArray
    e: FloatArray
    rest_r: FloatArray
    a: FloatArray
    v: FloatArray
    rest_v: FloatArray


class Links(Protocol):
    """The L - 1 branches of n streams."""

    def update(self, ends: BranchEnds, rows: RowNumbers) -> LogPair:
        """Logarithms of `V_{l+1}` and `r_l` that follow from what the stream says at both ends of the branches."""
        ...

    def bracket(self, ends: BranchEnds) -> FloatArray:
        """Twice what the branches take off the potential, shape (n, L - 1)."""
        ...

    def error(self, ends: BranchEnds) -> FloatArray:
        """Estimated error of the channels of hidden units, in nats per unit of the stream, shape (n,)."""
        ...


LogPair = tuple[FloatArray, FloatArray]
# Logarithm of a variance that stands for none.
_LEAST = -690.0


@dataclass(frozen=True)
class OneMatrixLinks:
    """Branches of one matrix: `V(E)` and `r(A)` of its ensemble."""

    ensemble: Matrices

    def update(self, ends: BranchEnds, rows: RowNumbers) -> LogPair:
        """See `Links.update`."""
        some = self.ensemble.take(rows, slice(None))
        return some.variance(ends.e, ends.rest_r).log, some.precision(ends.a, ends.v, ends.rest_v).log

    def bracket(self, ends: BranchEnds) -> FloatArray:
        """See `Links.bracket`: `r E + A V - F(A E)`."""
        return self.ensemble.stationary_bracket(ends.r, ends.e, ends.a, ends.v, ends.rest_v)

    def error(self, ends: BranchEnds) -> FloatArray:
        """See `Links.error`: there are none."""
        return np.zeros(len(ends.v))


@dataclass(frozen=True)
class TwoMatrixLinks:
    """Branches of two matrices with hidden units between them, `alpha` of them per unit of the stream."""

    first: Matrices
    second: Matrices
    units: LayerChannel

    def update(self, ends: BranchEnds, rows: RowNumbers) -> LogPair:
        """See `Links.update`: what the hidden units say follows from the stream, and is eliminated."""
        every = slice(None)
        some = TwoMatrixLinks(self.first.take(rows, every), self.second.take(rows, every), self.units.take(rows, every))
        precision, inner = some._hidden(ends)
        d = some.units.derivatives(precision, inner)
        return some.second.variance(d.e, d.rest_r).log, some.first.precision(d.a, inner, d.rest_v).log

    def bracket(self, ends: BranchEnds) -> FloatArray:
        """See `Links.bracket`: both matrices, less twice the information of the hidden units."""
        precision, inner = self._hidden(ends)
        d = self.units.derivatives(precision, inner)
        outer = self.second.stationary_bracket(precision, d.e, ends.a, ends.v, ends.rest_v)
        outer = outer - 2.0 * self.units.information(precision, inner)
        return self.first.stationary_bracket(ends.r, ends.e, d.a, inner, d.rest_v) + self.first.alpha * outer

    def error(self, ends: BranchEnds) -> FloatArray:
        """See `Links.error`."""
        return np.asarray((self.first.alpha * self.units.error(*self._hidden(ends))).sum(axis=1))

    def _hidden(self, ends: BranchEnds) -> tuple[FloatArray, FloatArray]:
        """Precisions on the hidden units' outputs and variances of their pre-activations."""
        inner = np.exp(np.maximum(self.first.variance(ends.e, ends.rest_r).log, _LEAST))
        return np.exp(self.second.precision(ends.a, ends.v, ends.rest_v).log), inner
