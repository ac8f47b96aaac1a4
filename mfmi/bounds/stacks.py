"""Linearly readable information of stacks of layers with norms (theory (24)-(27)): chains of per-layer constants."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.estimate import FAINT, Estimate, closed, faint_information
from mfmi.bounds.frequencies import at_frequencies, surrogates
from mfmi.chain.ensembles import Gaussian, Orthogonal
from mfmi.chain.links import Matrices
from mfmi.chain.potential import Chain
from mfmi.chain.search import Solution, known_at_source, solve
from mfmi.channels.layers import Surrogate
from mfmi.channels.observed.outputs import GaussianOutput
from mfmi.channels.protocols import Source
from mfmi.channels.sources import FirstLayer, GaussianInput
from mfmi.meanfield import Architecture, Stream, layer_sigma_w2
from mfmi.networks.convolution import Modes


class Readable(NamedTuple):
    """Information at the observed layer of n networks.

    Attributes
    ----------
    linear : `Phi_full - Phi_known`, what a linear decoder finds of the input (theory (36)-(37)): a theorem given that
        the network's second moments are those of its linear surrogate.
    full : `Phi_full`, half the logarithm of the determinant of the observed covariance over the noise.
    """

    linear: Estimate
    full: Estimate


def ensemble_of_kind(weights: str, sigma_w2: FloatArray, alpha: float = 1.0) -> Matrices:
    """The "gaussian" or "orthogonal" matrices of some layers."""
    return (Orthogonal if weights == "orthogonal" else Gaussian)(sigma_w2, np.full(sigma_w2.shape[1], alpha))


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def stacked(network: Architecture, weights: str, stream: Stream, count: int, modes: Modes | None) -> Readable:
    """Networks without skips: one site per layer and neuron."""
    sharp, blunt = surrogates(network, stream, modes) if network.depth > 1 else (None, None)
    network, stream, silent = at_frequencies(network, stream, modes)
    best = _chained(network, weights, stream, sharp, silent)
    return best if blunt is None else doubted(best, _chained(network, weights, stream, blunt, silent))


def doubted(best: Readable, other: Readable) -> Readable:
    """Values with the difference to a second opinion among their errors."""
    return Readable(
        *(
            one._replace(
                error=one.error + np.abs(another.value - one.value), converged=one.converged & another.converged
            )
            for one, another in zip(best, other, strict=True)
        )
    )


def _chained(
    network: Architecture, weights: str, stream: Stream, layers: Surrogate | None, silent: NDArray[np.bool_]
) -> Readable:
    chains = _Chains(network, weights, stream, layers)
    variance = network.input_variance
    solution = chains.solve(chains.source(variance))
    if solution is None:
        first = variance * network.input_sigma_w2
        full = closed(GaussianOutput(stream.output_noise[:, -1]).information(first))
    else:
        full = _estimate(solution, solution.value)
    if network.depth == 1:
        full.value[silent] = 0.0
        return Readable(full, full)
    known = chains.solve(chains.known)
    assert known is not None
    full.value[silent] = known.value[silent]
    value = np.maximum(full.value - known.value, 0.0)
    linear = _estimate(known, value)._replace(
        converged=full.converged & known.converged,
        residual=np.maximum(full.residual, known.residual),
        error=full.error + known.error,
        mmse=full.mmse,
    )
    faint = linear.converged & (value < FAINT) & ~silent
    if faint.any():
        short = faint_information(lambda share: chains.precision(share * variance))
        faint &= ~np.isnan(short)
        linear.value[faint], linear.error[faint] = short[faint], 0.0
    return Readable(linear, full)


def _estimate(solution: Solution, value: FloatArray) -> Estimate:
    converged = solution.converged & np.isfinite(value)
    return Estimate(
        np.where(converged, value, np.nan),
        solution.residual,
        converged,
        np.full(len(value), np.nan),
        solution.coexisting,
        solution.error,
    )


class _Chains:
    """The chains that a plain network is, with and without its input."""

    def __init__(self, network: Architecture, weights: str, stream: Stream, layers: Surrogate | None) -> None:
        self.network, self.depth = network, network.depth
        self.rotates = weights == "orthogonal"
        scales = layer_sigma_w2(network, stream)
        self.after = ensemble_of_kind(weights, scales[:, 1:])
        self.all = ensemble_of_kind(weights, scales)
        self.output = GaussianOutput(stream.output_noise[:, -1])
        self.layers = layers

    @property
    def known(self) -> Source:
        """The source where the input is given."""
        return self._first(np.zeros(self.network.size))

    def source(self, variance: FloatArray) -> Source:
        """The source of inputs of a given variance: a rotation turns them into independent pre-activations."""
        if self.rotates and self.layers is not None:
            return self._first(variance * self.network.input_sigma_w2)
        return GaussianInput(variance)

    def _first(self, variance: FloatArray) -> Source:
        assert self.layers is not None
        return FirstLayer(self.layers.take(slice(None), slice(0, 1)), variance)

    def precision(self, variance: FloatArray) -> FloatArray:
        """`r_0 E_0`: how much of the input's variance is known, in units of what is left; NaN at first order."""
        chain = self._chain(self.source(variance))
        assert chain is not None
        found = solve(chain, unique=True)
        known = known_at_source(chain, found)
        if self.rotates:
            # The chain begins after the rotation, of which A V = r_0 E_0 is 1 less what is left of the variance.
            assert self.layers is not None
            first = (variance * self.network.input_sigma_w2)[:, None]
            after = self.layers.take(slice(None), slice(0, 1)).derivatives(found.r[:, :1], first)
            known = np.where(known > 0.0, first[:, 0] * after.a[:, 0], known)
        return known

    def solve(self, source: Source) -> Solution | None:
        """The potential from a source, or None for one rotation, which is known in closed form."""
        chain = self._chain(source)
        return None if chain is None else solve(chain, unique=True)

    def _chain(self, source: Source) -> Chain | None:
        if isinstance(source, GaussianInput):
            if self.rotates:
                return None
            ensemble, layers = self.all, self.layers
        else:
            assert self.layers is not None
            ensemble, layers = self.after, self.layers.take(slice(None), slice(1, None)) if self.depth > 2 else None
        length = np.full(self.network.size, len(ensemble.alpha), dtype=np.intp)
        return Chain(source, ensemble, layers, self.output, length)
