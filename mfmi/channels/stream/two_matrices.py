"""The channel of a stream with two matrices per branch: a scalar Kalman filter along depth (theory (37))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.stream.one_matrix import StreamMessages
from mfmi.meanfield import Stream

RowNumbers = NDArray[np.intp]


@dataclass(frozen=True)
class TwoMatrices:
    """n streams that are read linearly by the first matrices of their branches.

    Attributes
    ----------
    skip2, branch2 : `a_l^2` and `g_l^2`, shape (n, L).
    scale2 : `D_l^2`, shape (n, L).
    hidden_noise : `sigma_h^2`, shape (n, L).
    noise : `sigma_o^2`, shape (n,).
    carries : whether the skip carries the hidden noise.
    """

    skip2: FloatArray
    branch2: FloatArray
    scale2: FloatArray
    hidden_noise: FloatArray
    noise: FloatArray
    carries: bool

    @classmethod
    def of(cls, stream: Stream, noise_in: str) -> TwoMatrices:
        """The channel of streams cut at their last layer."""
        return cls(
            stream.skip**2,
            stream.branch**2,
            stream.scale2,
            stream.hidden_noise,
            stream.output_noise[:, -1],
            noise_in == "stream",
        )

    def messages(self, r: FloatArray, v: FloatArray, rows: RowNumbers) -> StreamMessages:
        """Derivatives at precisions `r_1..r_{L-1}` and variances `V_1..V_L` of the points `rows`, for one site.

        This is the adjoint of the filter, put together from positive terms: `nu_l = 1 - lambda_l P_l`, with
        `lambda_l = 2 dJ/dP_l`, is carried backwards along with lambda, and what the later layers leave of the filtered
        variance follows from it.
        """
        p, s, kept = self._filter(r, v, rows)
        depth = v.shape[1]
        a2, g2, noise = self.skip2[rows], self.branch2[rows], self.hidden_noise[rows]
        e, rest_r = np.empty((2, len(v), depth - 1))
        a, rest_v = np.empty_like(v), np.empty_like(v)
        slope = 1.0 / (self.noise[rows] + p[:, -1])
        rest = self.noise[rows] * slope
        for layer in range(depth - 1, 0, -1):
            a[:, layer] = g2[:, layer - 1] * slope
            before, h, q = p[:, layer - 1], noise[:, layer - 1], kept[:, layer - 1]
            passed = slope * a2[:, layer - 1]
            rest_v[:, layer] = rest + passed * q
            left = rest + a[:, layer] * v[:, layer]
            precision = r[:, layer - 1] / self.scale2[rows, layer - 1]
            signal = precision * h
            if self.carries:
                share = np.divide(before, before + h, out=np.ones_like(h), where=before + h > 0.0)
                variance = q * left
                rest = (signal + (1.0 - share) + share * left) / s[:, layer - 1]
                slope = precision / s[:, layer - 1] + passed / s[:, layer - 1] ** 2
            else:
                variance = h / s[:, layer - 1] + before / s[:, layer - 1] * (signal + left) / (1.0 + signal)
                rest = (1.0 + signal) / s[:, layer - 1] * left
                slope = precision / s[:, layer - 1] + passed * ((1.0 + signal) / s[:, layer - 1]) ** 2
            e[:, layer - 1] = variance / self.scale2[rows, layer - 1]
            squared = q**2 if self.carries else (before / s[:, layer - 1]) ** 2
            rest_r[:, layer - 1] = 1.0 / s[:, layer - 1] + precision * (passed * squared)
        a[:, 0], rest_v[:, 0] = slope, rest
        return StreamMessages(e, rest_r, a, rest_v, 0.5 * np.log(s).sum(axis=1, keepdims=True))

    def tail_slope(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """No series is cut: 0, shape (n,)."""
        return np.zeros(len(r))

    def _filter(self, r: FloatArray, v: FloatArray, rows: RowNumbers) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Predicted variances `P_l`, ratios `S_l` and filtered variances that the skip passes on, shape (n, L)."""
        depth = v.shape[1]
        p, s, kept = (np.empty(v.shape) for _ in range(3))
        p[:, 0] = v[:, 0]
        for layer in range(depth - 1):
            precision, h = r[:, layer] / self.scale2[rows, layer], self.hidden_noise[rows, layer]
            s[:, layer] = 1.0 + precision * (p[:, layer] + h)
            read = p[:, layer] + h if self.carries else p[:, layer] * (1.0 + precision * h)
            kept[:, layer] = read / s[:, layer]
            p[:, layer + 1] = self.skip2[rows, layer] * kept[:, layer] + self.branch2[rows, layer] * v[:, layer + 1]
        s[:, -1] = 1.0 + p[:, -1] / self.noise[rows]
        return p, s, kept
