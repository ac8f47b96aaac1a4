"""The replica value of residual streams with one matrix per branch (theory section 3, with the chain's own filter).

Rests on the replica formula, as that of plain networks does. It is an average over sampled paths, with an error of its
own; of two minima of the potential the smaller counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.estimate import Estimate, closed
from mfmi.bounds.readable import stream_potential
from mfmi.channels.stream.total import TotalSites
from mfmi.meanfield import Architecture, Stream

Reasons = NDArray[np.object_]

# Paths, those of the search for another minimum, and the mismatch of a logarithm at which a search ends.
PATHS, _FEW, _TOLERANCE = 2048, 256, 1e-3
# Layers of streams that are looked at: a row of as many takes seconds.
MOST_LAYERS = 20
# Logarithm by which the other search begins with less left unknown, parts in which paths are compared, and by how much
# the scatter of these may be too little.
_KNOWN, _PARTS, _CAUTION = 6.0, 8, 1.5
# Errors by which two minima differ.
_DISTINCT = 5.0


def replica(
    network: Architecture, weights: str, stream: Stream, bounds: tuple[FloatArray, FloatArray]
) -> tuple[Estimate, Reasons]:
    """The replica value of n networks, in nats per input dimension.

    Parameters
    ----------
    network : n networks.
    weights : "gaussian" or "orthogonal".
    stream : their mean field.
    bounds : a lower and an upper bound on it, shape (n,), which hold its sampled value; of one layer they are it.

    Returns
    -------
    Estimate
        NaN where it is not known. The error counts the number of paths and the search.
    reason : ndarray of str, shape (n,)
        Why it is not known, or "".
    """
    found = closed(np.full(network.size, np.nan))._replace(converged=np.zeros(network.size, dtype=bool))
    reason = _reasons(network)
    low, high = (np.where(np.isfinite(end), end, other) for end, other in zip(bounds, (0.0, np.inf), strict=True))
    if network.depth == 1:
        return closed(bounds[1]), np.full(network.size, "", dtype=object)
    for row in np.flatnonzero(reason == ""):
        only = np.array([row])
        value, error, converged, two = _of_point(network.take(only), weights, stream.take(only))
        if not np.isfinite(value):
            reason[row] = "replica: the noise or a branch of this stream is too small for a grid"
            continue
        found.value[row] = min(max(value, low[row]), high[row])
        found.error[row], found.converged[row], found.coexisting[row] = error, converged, two
    return found, reason


def _reasons(network: Architecture) -> Reasons:
    reason = np.full(network.size, "", dtype=object)
    hidden = slice(0, network.depth - 1)
    noisy = (network.hidden_noise[:, hidden] > 0.0).any(axis=1)
    for wrong, text in (
        (noisy, "without hidden noise"),
        (np.full(network.size, network.depth > MOST_LAYERS), f"of up to {MOST_LAYERS} layers"),
        (np.full(network.size, not network.phi.differentiable), "of activations without jumps"),
        (np.full(network.size, network.is_centred), "without batchnorm"),
        (np.full(network.size, network.matrices == 2), "with one matrix per branch"),
        ((network.skip[:, hidden] == 0.0).any(axis=1), "with skips"),
    ):
        reason[wrong] = f"replica: known of plain networks, and of residual streams {text}"
    return reason


def _of_point(network: Architecture, weights: str, stream: Stream) -> tuple[float, float, bool, bool]:
    """Value, error, whether the search ended, and whether there are two minima."""
    potential, (log_v, log_r) = stream_potential(network, weights, stream, TotalSites(network.phi, stream, PATHS))
    few, _ = stream_potential(network, weights, stream, TotalSites(network.phi, stream, _FEW))
    best = potential.full(log_v, log_r, _TOLERANCE)
    value, error = float(best.value.mean()), _error(best.value[0])
    coarse = few.full(log_v, log_r, _TOLERANCE)
    other = few.full(log_v - _KNOWN, log_r + _KNOWN, _TOLERANCE)
    two = bool(other.converged[0]) and float(other.value.mean()) < float(coarse.value.mean()) - _DISTINCT * error
    converged = bool(best.converged[0])
    if two:
        best = potential.full(other.log_v, other.log_r, _TOLERANCE)
        value, error, converged = float(best.value.mean()), _error(best.value[0]), bool(best.converged[0])
    return value, error + float(best.error[0]), converged, two


def _error(values: NDArray[np.float64]) -> float:
    means = values.reshape(_PARTS, -1).mean(axis=1)
    return float(_CAUTION * means.std(ddof=1) / np.sqrt(_PARTS))
