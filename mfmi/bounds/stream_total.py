"""The replica value of residual streams (theory section 3, its channels those of (36)-(37) without their surrogates).

Rests on the replica formula, as that of plain networks does; of two minima of the potential the smaller counts. With
one matrix per branch it is an average over sampled paths, with an error of its own; with two, the hidden units have the
scalar channels of plain networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.estimate import Estimate, closed
from mfmi.bounds.normed import exact_units
from mfmi.bounds.readable import stream_potential
from mfmi.chain.stream import TOLERANCE, ResidualStream, StreamPotential
from mfmi.channels.observed.activation import is_step
from mfmi.channels.stream.total import TotalSites
from mfmi.meanfield import Architecture, Stream

Reasons = NDArray[np.object_]
Start = tuple[FloatArray, FloatArray]

_DECODED = "replica: in streams, minima at which units of few values are known exactly are not searched"
# Paths, those of the search for another minimum, and the mismatch of a logarithm at which a search ends.
PATHS, _FEW, _TOLERANCE = 2048, 256, 1e-3
# Layers of streams that are looked at: a row of as many takes seconds.
MOST_LAYERS = 50
# Steps of a search by paths, of which few take more than ten.
_MOST_STEPS = 100
# Logarithm by which the other search begins with less left unknown, parts in which paths are compared, and by how much
# the scatter of these may be too little.
_KNOWN, _PARTS, _CAUTION = 6.0, 8, 1.5
# Relative difference from which on two values are those of two minima.
_APART = 1e-6
# Errors by which two minima differ, and by which a value misses its bounds; share of these that their own errors take.
_DISTINCT, _SLACK = 5.0, 0.01


def replica(
    network: Architecture, weights: str, stream: Stream, bounds: tuple[FloatArray, FloatArray], tables: bool = True
) -> tuple[Estimate, Reasons]:
    """The replica value of n networks, in nats per input dimension.

    Parameters
    ----------
    network : n networks.
    weights : "gaussian" or "orthogonal".
    stream : their mean field.
    bounds : a lower and an upper bound on it, shape (n,), which hold its value; of one layer they are it.
    tables : whether the channel of hidden units between two matrices is tabulated, which pays for many networks.

    Returns
    -------
    Estimate
        NaN where it is not known. The error counts the number of paths, tables and the search.
    reason : ndarray of str, shape (n,)
        Why it is not known, or "".
    """
    nothing = np.full(network.size, "", dtype=object)
    if network.depth == 1:
        return closed(bounds[1]), nothing
    low, high = (np.where(np.isfinite(end), end, other) for end, other in zip(bounds, (0.0, np.inf), strict=True))
    if network.matrices == 2 and is_step(network.phi):
        found = closed(np.full(network.size, np.nan))._replace(converged=np.zeros(network.size, dtype=bool))
        return found, np.full(network.size, _DECODED, dtype=object)
    if network.matrices == 2:
        found, reason = _of_hidden_units(network, weights, stream, tables), nothing
    else:
        found, reason = _of_paths(network, weights, stream)
    with np.errstate(invalid="ignore"):
        outside = np.maximum(low - found.value, found.value - high) > _DISTINCT * found.error + _SLACK * np.abs(high)
    # Both bounds hold: a value beyond them by more than its error is not that of the minimum.
    between = np.minimum(np.maximum(found.value, low), high)
    return found._replace(value=between, converged=found.converged & ~outside), reason


def _of_paths(network: Architecture, weights: str, stream: Stream) -> tuple[Estimate, Reasons]:
    """Streams of one matrix per branch, one by one."""
    found = closed(np.full(network.size, np.nan))._replace(converged=np.zeros(network.size, dtype=bool))
    reason = _reasons(network)
    for row in np.flatnonzero(reason == ""):
        only = np.array([row])
        one = _Point.of(network.take(only), weights, stream.take(only)).total()
        if not np.isfinite(one.value):
            reason[row] = "replica: the noise of this stream is too small for a grid"
            continue
        found.value[row], found.error[row] = one.value, one.error
        found.converged[row], found.coexisting[row], found.residual[row] = one.converged, one.coexisting, one.residual
    return found, reason


def _reasons(network: Architecture) -> Reasons:
    reason = np.full(network.size, "", dtype=object)
    hidden, one = slice(0, network.depth - 1), "of one matrix per branch"
    for wrong, text in (
        (np.full(network.size, network.depth > MOST_LAYERS), f"{one} and up to {MOST_LAYERS} layers"),
        (np.full(network.size, not network.phi.differentiable), f"{one} without jumps"),
        ((network.skip[:, hidden] == 0.0).any(axis=1), "with skips"),
    ):
        reason[wrong] = f"replica: known of plain networks, and of residual streams {text}"
    return reason


def _of_hidden_units(network: Architecture, weights: str, stream: Stream, tables: bool) -> Estimate:
    """Streams of two matrices per branch, which are read linearly: the exact channel is that of the hidden units."""
    search = _Units.of(network, weights, stream, tables)
    full, two = search.smallest(lambda which, start: which.full(*start, TOLERANCE), search.begin)
    value, error = full.value[:, 0].copy(), full.error.copy()
    converged, residual = full.converged.copy(), full.residual.copy()
    noisy = np.asarray((stream.hidden_noise[:, : network.depth - 1] > 0.0).any(axis=1))
    if noisy.any():
        known, again = search.smallest(
            lambda which, start: which.known(*start, TOLERANCE, noisy), (full.log_v, full.log_r)
        )
        value -= np.where(noisy, known.value[:, 0], 0.0)
        error += np.where(noisy, known.error, 0.0)
        converged &= known.converged | ~noisy
        residual, two = np.where(noisy, np.maximum(residual, known.residual), residual), two | (again & noisy)
    value = np.where(converged, np.maximum(value, 0.0), np.nan)
    return Estimate(value, residual, converged, np.full(len(value), np.nan), two, error)


@dataclass(frozen=True)
class _Units:
    """Potentials of streams of two matrices per branch, to search with and to tell, and where a search begins."""

    rough: ResidualStream
    fine: ResidualStream
    begin: Start

    @classmethod
    def of(cls, network: Architecture, weights: str, stream: Stream, tables: bool) -> _Units:
        units = exact_units(network, stream, tables)
        rough, begin = stream_potential(network, weights, stream, units=units)
        fine, _ = stream_potential(network, weights, stream, units=units.refined)
        return cls(rough, fine, begin)

    def smallest(
        self, search: Callable[[ResidualStream, Start], StreamPotential], begin: Start
    ) -> tuple[StreamPotential, NDArray[np.bool_]]:
        """The smaller of two minima of a potential, and where there are two."""
        one, other = search(self.rough, begin), search(self.rough, (begin[0] - _KNOWN, begin[1] + _KNOWN))
        better = other.converged & ~(one.converged & (one.value[:, 0] <= other.value[:, 0]))
        apart = np.abs(one.value[:, 0] - other.value[:, 0]) > _APART * np.abs(one.value[:, 0])
        two = one.converged & other.converged & apart
        best = tuple(np.where(better[:, None], theirs, own) for own, theirs in
                     ((one.log_v, other.log_v), (one.log_r, other.log_r)))  # fmt: skip
        return search(self.fine, (best[0], best[1])), two


@dataclass(frozen=True)
class _Total:
    value: float
    error: float
    converged: bool
    coexisting: bool
    residual: float


@dataclass(frozen=True)
class _Point:
    """One network, its potential by all paths and by few, and where a search begins."""

    potential: ResidualStream
    few: ResidualStream
    begin: Start
    noisy: bool

    @classmethod
    def of(cls, network: Architecture, weights: str, stream: Stream) -> _Point:
        def sites(paths: int) -> TotalSites:
            return TotalSites(network.phi, stream, network.noise_in, network.is_centred, paths)

        (potential, begin), (few, _) = (
            stream_potential(network, weights, stream, sites(paths)) for paths in (PATHS, _FEW)
        )
        potential, few = (replace(one, most_steps=_MOST_STEPS) for one in (potential, few))
        noisy = bool((stream.hidden_noise[:, : network.depth - 1] > 0.0).any())
        return cls(potential, few, begin, noisy)

    def total(self) -> _Total:
        """`Phi_full`, less `Phi_known` where there is hidden noise."""
        full, two = self._smallest(lambda which, start: which.full(*start, _TOLERANCE), self.begin)
        values, error = full.value[0], float(full.error[0])
        converged, residual = bool(full.converged[0]), float(full.residual[0])
        if self.noisy and converged:
            every = np.ones(1, dtype=bool)
            start = full.log_v, full.log_r
            known, again = self._smallest(lambda which, start: which.known(*start, _TOLERANCE, every), start)
            values, error = values - known.value[0], error + float(known.error[0])
            two, residual = two or again, max(residual, float(known.residual[0]))
            converged = bool(known.converged[0])
        return _Total(float(values.mean()), _error(values) + error, converged, two, residual)

    def _smallest(
        self, search: Callable[[ResidualStream, Start], StreamPotential], begin: Start
    ) -> tuple[StreamPotential, bool]:
        """The smaller of two minima of a potential, and whether there are two.

        Few paths tell whether a search that begins where more is known ends elsewhere, and bring the search by all of
        them close to its end.
        """
        coarse, other = search(self.few, begin), search(self.few, (begin[0] - _KNOWN, begin[1] + _KNOWN))
        less = coarse.value[0] - other.value[0]
        apart = _DISTINCT * (_error(less) + float(coarse.error[0] + other.error[0]))
        two = bool(coarse.converged[0] & other.converged[0]) and abs(float(less.mean())) > apart
        chosen = other if (two and less.mean() > 0.0) or not coarse.converged[0] else coarse
        return search(self.potential, _of(chosen, begin)), two


def _of(found: StreamPotential, otherwise: Start) -> Start:
    return (found.log_v, found.log_r) if found.converged[0] else otherwise


def _error(values: NDArray[np.float64]) -> float:
    means = values.reshape(_PARTS, -1).mean(axis=1)
    return float(_CAUTION * means.std(ddof=1) / np.sqrt(_PARTS))
