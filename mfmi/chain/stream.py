"""The stationary point of a stream's potential (theory (36)-(37)), solved in the logarithms for many points at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.chain.anderson import MOST_STEPS, Iterated, accelerate
from mfmi.chain.links import BranchEnds, Links, Matrices
from mfmi.channels.stream.one_matrix import StreamMessages

RowNumbers = NDArray[np.intp]

# Logarithms below this stand for nothing: a branch of gain 0, a precision that nothing asks for.
_NOTHING = -690.0
# Mismatch of a logarithm at which a search ends; the value is off by about its square.
TOLERANCE = 1e-6
# What multiplies the squares of the mismatches to bound the error of a value: up to 6 was seen at depth 20.
_CURVATURE = 30.0
# Share of the information that rounding makes of a potential.
_ROUNDING = 4e-13


class StreamChannel(Protocol):
    """The sites of n streams."""

    def messages(self, r: FloatArray, v: FloatArray, rows: RowNumbers) -> StreamMessages:
        """Derivatives at precisions `r_1..r_{L-1}` and variances `V_1..V_L` of the points `rows`."""
        ...

    def tail_slope(self, r: FloatArray, v: FloatArray) -> FloatArray:
        """See `OneMatrix.tail_slope`."""
        ...


class StreamPotential(NamedTuple):
    """A stationary point.

    Attributes
    ----------
    value : potential at every site in nats per input dimension, shape (n, S); only its mean over the sites means
        something.
    error : what the mismatch that is left, rounding and tables make of its mean, shape (n,).
    converged : shape (n,).
    residual : largest mismatch of a logarithm, shape (n,).
    log_v, log_r : the unknowns `V_1..V_L` and `r_0..r_{L-1}`; `V_1` and `r_0` are -inf where the input is known.
    mmse : `E_0`, shape (n,); NaN where the input is known.
    tail : see `OneMatrix.tail_slope`.
    """

    value: FloatArray
    error: FloatArray
    converged: NDArray[np.bool_]
    residual: FloatArray
    log_v: FloatArray
    log_r: FloatArray
    mmse: FloatArray
    tail: FloatArray


@dataclass(frozen=True)
class ResidualStream:
    """n streams between a gaussian input and their observed layer.

    Attributes
    ----------
    input_variance : `q_x`, shape (n,).
    first : the first matrix, an ensemble of one layer.
    channel : the stream's sites.
    links : the branches.
    most_steps : steps after which a search counts as lost.
    """

    input_variance: FloatArray
    first: Matrices
    channel: StreamChannel
    links: Links
    most_steps: int = MOST_STEPS

    def full(
        self, log_v: FloatArray, log_r: FloatArray, tolerance: float, input_variance: FloatArray | None = None
    ) -> StreamPotential:
        """`Phi_full` from a start; `input_variance` may be another than the networks' own."""
        variance = self.input_variance if input_variance is None else input_variance
        depth = log_v.shape[1]

        def step(x: FloatArray, rows: RowNumbers) -> FloatArray:
            v, r = np.exp(x[:, :depth]), np.exp(x[:, depth:])
            m = self.channel.messages(r[:, 1:], v, rows)
            rest = 1.0 / (1.0 + variance[rows] * r[:, 0])
            first = self.first.take(rows, slice(None))
            start = first.variance((variance[rows] * rest)[:, None], rest[:, None]).log
            back = first.precision(m.a[:, :1], v[:, :1], m.rest_v[:, :1]).log
            new_v, new_r = self._after(m, r[:, 1:], v, rows)
            return np.maximum(np.hstack((start, new_v, back, new_r)), _NOTHING)

        found = self._solved(step, np.hstack((log_v, log_r)), tolerance)
        log_v, log_r = found.x[:, :depth], found.x[:, depth:]
        v, r = np.exp(log_v), np.exp(log_r)
        rows = np.arange(len(v))
        m = self.channel.messages(r[:, 1:], v, rows)
        rest = 1.0 / (1.0 + variance * r[:, 0])
        mmse = variance * rest
        bracket = self.first.stationary_bracket(r[:, :1], mmse[:, None], m.a[:, :1], v[:, :1], m.rest_v[:, :1])[:, 0]
        source = -0.5 * np.log(rest) - 0.5 * bracket
        return self._potential(found, m, r, v, source, mmse)

    def known(
        self, log_v: FloatArray, log_r: FloatArray, tolerance: float, noisy: NDArray[np.bool_]
    ) -> StreamPotential:
        """`Phi_known` from a start, `V_1 = 0` and nothing in front of it, at the points where there is any noise."""
        count = log_v.shape[1] - 1
        nothing = np.zeros((len(log_v), 1))

        def step(x: FloatArray, rows: RowNumbers) -> FloatArray:
            v, r = np.hstack((nothing[rows], np.exp(x[:, :count]))), np.exp(x[:, count:])
            m = self.channel.messages(r, v, rows)
            return np.maximum(np.hstack(self._after(m, r, v, rows)), _NOTHING)

        chosen, x = np.flatnonzero(noisy), np.hstack((log_v[:, 1:], log_r[:, 1:]))
        found = Iterated(x, np.zeros_like(x), np.ones(len(x), dtype=bool), np.zeros(len(x), dtype=np.int64))
        if len(chosen):
            some = self._solved(lambda x, rows: step(x, chosen[rows]), x[chosen], tolerance)
            for whole, part in zip(found, some, strict=True):
                whole[chosen] = part
        v, r = np.exp(found.x[:, :count]), np.exp(found.x[:, count:])
        v, r = np.hstack((nothing, v)), np.hstack((nothing, r))
        m = self.channel.messages(r[:, 1:], v, np.arange(len(v)))
        return self._potential(found, m, r, v, np.zeros(len(v)), np.full(len(v), np.nan))

    def _after(
        self, m: StreamMessages, r: FloatArray, v: FloatArray, rows: RowNumbers
    ) -> tuple[FloatArray, FloatArray]:
        return self.links.update(BranchEnds(r, m.e, m.rest_r, m.a[:, 1:], v[:, 1:], m.rest_v[:, 1:]), rows)

    def _potential(
        self, found: Iterated, m: StreamMessages, r: FloatArray, v: FloatArray, source: FloatArray, mmse: FloatArray
    ) -> StreamPotential:
        information = m.information
        ends = BranchEnds(r[:, 1:], m.e, m.rest_r, m.a[:, 1:], v[:, 1:], m.rest_v[:, 1:])
        bracket = self.links.bracket(ends)
        units = float(self.first.alpha[0])
        value = source[:, None] + units * (information - 0.5 * bracket.sum(axis=1, keepdims=True))
        mismatch = np.abs(found.mismatch).max(axis=1)
        scale = np.abs(source) + units * (np.abs(information).mean(axis=1) + 0.5 * np.abs(bracket).sum(axis=1))
        error = _CURVATURE * np.square(found.mismatch).sum(axis=1) + _ROUNDING * scale
        error += units * self.links.error(ends)
        converged = found.converged & np.isfinite(value).all(axis=1)
        tail = units * self.channel.tail_slope(r[:, 1:], v)
        with np.errstate(divide="ignore"):
            log_v, log_r = np.log(v), np.log(r)
        return StreamPotential(value, error, converged, mismatch, log_v, log_r, mmse, tail)

    def _solved(
        self, step: Callable[[FloatArray, RowNumbers], FloatArray], start: FloatArray, tolerance: float
    ) -> Iterated:
        rows = np.arange(len(start))
        # Two plain steps, however long, bring the unknowns into their own orders of magnitude.
        for _ in range(2):
            start = step(start, rows)
        return accelerate(step, start, tolerance, self.most_steps)
