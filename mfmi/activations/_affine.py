"""Activations that are another one, shifted and stretched: every moment follows from those of the other."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mfmi.activations._base import Activation, Piece
from mfmi.activations._pairs import PairMoment
from mfmi.arguments.arrays import FloatArray

_MIRRORED = {"increasing": "decreasing", "decreasing": "increasing", "flat": "flat"}


class Affine(Activation):
    """phi(u) = offset + scale inner(u / length).

    Parameters
    ----------
    name : str
        Canonical name of the result.
    inner : Activation
        The activation whose moments are used; odd unless `offset` is 0, so that no mixed term appears in V and K.
    scale, length : float
        Factors, not 0; a negative length mirrors the argument.
    offset : float
        Constant added.
    citation : str
        Where the activation comes from.
    """

    inner: Activation
    scale: float
    length: float
    offset: float

    def __init__(
        self, name: str, inner: Activation, scale: float, length: float, *, offset: float = 0.0, citation: str
    ) -> None:
        steepness = scale / length
        super().__init__(
            name,
            inner=inner,
            scale=scale,
            length=length,
            offset=offset,
            citation=f"{citation}; moments of {inner.name}: {inner.citation}",
            kinks=_places(inner.kinks, length),
            jumps=_places(inner.jumps, length),
            pole=abs(length) * inner.pole,
            period=abs(length) * inner.period,
            slope_period=abs(length) * inner.slope_period,
            trend=steepness * inner.trend,
            uniform=inner.uniform,
            pieces=_pieces(inner.pieces, length, steepness),
            images_disjoint=inner.images_disjoint,
            strictly_monotone=inner.strictly_monotone,
            odd=inner.odd and offset == 0.0,
            even=inner.even,
            differentiable=inner.differentiable,
            lipschitz=abs(steepness) * inner.lipschitz,
            slope_at_zero_squared=steepness**2 * inner.slope_at_zero_squared,
            slope_zeros=_places(inner.slope_zeros, length),
            closed=inner.closed,
            tabulated=inner.tabulated,
        )

    def __call__(self, u: ArrayLike) -> FloatArray:
        """Return offset + scale inner(u / length)."""
        return self.offset + self.scale * self.inner(self._within(u))

    def derivative(self, u: ArrayLike) -> FloatArray:
        """Return the inner slope times scale / length."""
        return self._steepness * self.inner.derivative(self._within(u))

    def log_abs_derivative(self, u: ArrayLike) -> FloatArray:
        """Return ln|phi'(u)|; -inf where phi is flat."""
        return self._log_steepness + self.inner.log_abs_derivative(self._within(u))

    def conditional_values(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return phi(u) and phi'(u) as the inner activation computes them together."""
        value, slope = self.inner.conditional_values(self._within(u))
        return self.offset + self.scale * value, self._steepness * slope

    @cached_property
    def curvature_zeros(self) -> tuple[float, ...]:
        """Places where phi' has an extremum and no kink, as far as those of the inner activation are known."""
        return _places(self.inner.curvature_zeros, self.length)

    @property
    def _steepness(self) -> float:
        return self.scale / self.length

    @property
    def _log_steepness(self) -> float:
        return math.log(abs(self._steepness))

    def _within(self, u: ArrayLike) -> FloatArray:
        return np.asarray(u, dtype=np.float64) / self.length

    def _variance(self, s: FloatArray) -> FloatArray:
        return s / self.length**2

    def _second_moment(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return self.offset**2 + self.scale**2 * self.inner._second_moment(self._variance(s), refine)

    def _second_moment_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return self._steepness**2 * self.inner._second_moment_slope(self._variance(s), refine)

    def _slope_moment(self, s: FloatArray, k: float, refine: float = 1.0) -> FloatArray:
        return float(abs(self._steepness) ** (2.0 * k)) * self.inner._slope_moment(self._variance(s), k, refine)

    def _log_slope(self, s: FloatArray, refine: float = 1.0) -> FloatArray:
        return 2.0 * self._log_steepness + self.inner._log_slope(self._variance(s), refine)

    def _correlation(self, s: FloatArray, k: FloatArray, refine: float = 1.0) -> FloatArray:
        inner = self.inner._correlation(self._variance(s), self._variance(k), refine)
        return self.offset**2 + self.scale**2 * inner

    def _decorrelation(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return self.scale**2 * self.inner._decorrelation(self._variance(s), self._variance(gap), refine)

    def _slope_correlation_gap(self, s: FloatArray, gap: FloatArray, refine: float = 1.0) -> FloatArray:
        return self._steepness**2 * self.inner._slope_correlation_gap(self._variance(s), self._variance(gap), refine)

    def _conditional(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        mean, variance, kappa, residual = self.inner._conditional(self._within(m), self._variance(v), refine)
        square = self.scale**2
        return np.stack(
            [self.offset + self.scale * mean, square * variance, self._steepness * kappa, square * residual]
        )

    def _conditional_log_slope(self, m: FloatArray, v: FloatArray, refine: float = 1.0) -> FloatArray:
        return self._log_steepness + self.inner._conditional_log_slope(self._within(m), self._variance(v), refine)

    def _piece_log_slope(self, m: FloatArray, v: FloatArray, piece: Piece) -> FloatArray:
        inside = _pieces((piece,), 1.0 / self.length, 1.0 / self._steepness)[0]
        # The ends of the inner piece themselves: dividing them by the length may miss them by a rounding.
        nearest = min(self.inner.pieces, key=lambda other: _distance(other, inside))
        return self._log_steepness + self.inner._piece_log_slope(self._within(m), self._variance(v), nearest)

    def _pair_error(self, moment: PairMoment, s: FloatArray, x: FloatArray, value: FloatArray) -> FloatArray:
        factor = self._steepness**2 if moment == "slope_correlation_gap" else self.scale**2
        offset = self.offset**2 if moment == "correlation" else 0.0
        return factor * self.inner._pair_error(moment, self._variance(s), self._variance(x), (value - offset) / factor)


def _places(places: tuple[float, ...], length: float) -> tuple[float, ...]:
    return tuple(sorted(length * place for place in places))


def _pieces(pieces: tuple[Piece, ...], length: float, steepness: float) -> tuple[Piece, ...]:
    """Pieces of the stretched function: the inner ones in units of the length, turned over where it falls instead."""
    mapped = []
    for piece in pieces:
        lower, upper = sorted((length * piece.lower, length * piece.upper))
        # A slope phi' = steepness inner' keeps its sign or changes it, whatever the sign of the length.
        kind: Any = piece.kind if steepness > 0.0 else _MIRRORED[piece.kind]
        mapped.append(Piece(lower, upper, kind))
    return tuple(mapped if length > 0.0 else reversed(mapped))


def _distance(one: Piece, other: Piece) -> float:
    """Sum of the distances of two pieces' ends, inf if only one of two ends is finite."""
    ends = ((one.lower, other.lower), (one.upper, other.upper))
    return sum(0.0 if a == b else abs(a - b) for a, b in ends)
