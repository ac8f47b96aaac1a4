"""Standard deviations of weights and biases that differ from layer to layer, as factors of a point's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mfmi.arguments.arrays import FloatArray


@dataclass(frozen=True)
class LayerScales:
    """Factors by which the standard deviations of every layer exceed those of the point.

    Attributes
    ----------
    sigma_w, sigma_b : of the matrix that leads to layer 1, 2, ..., of the input's first. With two matrices in a branch,
        of the first of them.
    sigma_w_out, sigma_b_out : of the second matrix of the branch that leads to layer 1, 2, ..., the first number
        unused; empty where branches have one matrix.
    """

    sigma_w: tuple[float, ...]
    sigma_b: tuple[float, ...]
    sigma_w_out: tuple[float, ...] = ()
    sigma_b_out: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        given = [one for one in (self.sigma_w, self.sigma_b, self.sigma_w_out, self.sigma_b_out) if one]
        if not self.sigma_w or len({len(one) for one in given}) != 1 or len(self.sigma_b) != len(self.sigma_w):
            raise ValueError("scales of layers must be as many of weights as of biases, and at least one")
        if any(not 0.0 <= factor < np.inf for one in given for factor in one):
            raise ValueError("scales of layers must be finite and at least 0")

    def variances(self, depth: int) -> tuple[FloatArray, FloatArray]:
        """Factors of `sigma_w^2` and `sigma_b^2` of layers 1 to `depth`, each of shape (depth,)."""
        return _squares(self.sigma_w, 0, depth), _squares(self.sigma_b, 0, depth)

    def blocks(self, depth: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Factors of the variances of the blocks after layers 1 to `depth`, each of shape (depth,).

        They are those of weights, biases, and of weights and biases of the second matrix. The block after the last
        layer is like the one before it.
        """
        own = self.sigma_w, self.sigma_b, self.sigma_w_out or self.sigma_w, self.sigma_b_out or self.sigma_b
        first, second, third, fourth = (_squares(one, 1, depth) for one in own)
        return first, second, third, fourth


def _squares(factors: tuple[float, ...], start: int, depth: int) -> FloatArray:
    """Squares of `factors` from one on, the last repeated."""
    places = np.minimum(np.arange(start, start + depth), len(factors) - 1)
    return np.square(np.array(factors, dtype=np.float64)[places])
