"""The matrices of a chain, of the ensembles of a network's weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.gains import Gains
from mfmi.networks.spectrum import Law, WeightSpectrum
from mfmi.networks.weights import Weights


class Factors(NamedTuple):
    """The F matrices of a chain of D layers: one a layer, or two rotations around the singular values.

    Attributes
    ----------
    alpha : rows over columns, shape (F,).
    rotates : which are orthogonal, the others gaussian, shape (F,).
    scaled : which have the layer's `sigma_w^2`; the others have 1, shape (F,).
    last : number of the last one of every layer, shape (D,).
    gains : the singular values between rotations.
    rank : dimensions that a layer passes on, over the narrower of its two sides, shape (D,).
    log_volume : what the singular values add to the mean logarithm of a layer's squared ones above 0, shape (D,).
    """

    alpha: FloatArray
    rotates: NDArray[np.bool_]
    scaled: NDArray[np.bool_]
    last: NDArray[np.intp]
    gains: Gains
    rank: FloatArray
    log_volume: FloatArray

    @property
    def linear(self) -> NDArray[np.bool_]:
        """Mask of the layers between the matrices that are singular values, shape (F - 1,)."""
        return ~np.isin(np.arange(len(self.alpha) - 1), self.last)


def factors_of(weights: Weights, alpha: FloatArray) -> Factors:
    """The matrices of a chain whose layers have these ratios, shape (D,).

    Of a layer with more columns than rows the first rotation keeps as many dimensions as there are rows, of another
    the second one embeds them: so the singular values stand at the narrower side.
    """
    ratios, rotates, scaled, last = [], [], [], []
    laws: list[Law] = []
    rank, log_volume = np.ones(len(alpha)), np.zeros(len(alpha))
    for i, ratio in enumerate(alpha.tolist()):
        own = weights.at(i + 1)
        if isinstance(own, WeightSpectrum):
            law = own.law(ratio)
            laws.append(law)
            rank[i], log_volume[i] = law.rank, law.log_volume
            ratios += [min(1.0, ratio), max(1.0, ratio)]
            rotates += [True, True]
            scaled += [True, False]
        else:
            ratios.append(ratio)
            rotates.append(own == "orthogonal")
            scaled.append(True)
        last.append(len(ratios) - 1)
    return Factors(
        np.array(ratios), np.array(rotates), np.array(scaled), np.array(last), _gains(laws), rank, log_volume
    )


def _gains(laws: list[Law]) -> Gains:
    most = max((len(law.eigenvalue) for law in laws), default=0)
    eigenvalue, share = np.zeros((2, len(laws), most))
    for i, law in enumerate(laws):
        eigenvalue[i, : len(law.eigenvalue)], share[i, : len(law.share)] = law.eigenvalue, law.share
    return Gains(eigenvalue, share)
