"""Networks with norms and skips at every frequency of a convolution (theory (40)-(41)).

A skip and a norm over the channels act on every position alike, and so do batchnorm and its offsets: a convolution of
correlated inputs is one such network at every frequency, with the frequency's share of the input's variance and of what
the activation adds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mfmi.arguments.arrays import FloatArray
from mfmi.bounds.modes import mode_moments
from mfmi.bounds.offsets import linear_moments
from mfmi.channels.layers import Surrogate
from mfmi.meanfield import Architecture, Stream
from mfmi.networks.convolution import Modes


def at_frequencies(
    network: Architecture, stream: Stream, modes: Modes | None
) -> tuple[Architecture, Stream, NDArray[np.bool_]]:
    """The networks at each of F frequencies, a network's one after the other.

    Parameters
    ----------
    network, stream : n networks and their mean field.
    modes : the frequencies; None of dense networks, which stay as they are.

    Returns
    -------
    network, stream : of n F rows.
    silent : frequencies that the input lacks, shape (n F,). Their input variance stays, for a search has to have one.
    """
    if modes is None:
        return network, stream, np.zeros(network.size, dtype=bool)
    rows = np.repeat(np.arange(network.size), len(modes.share))
    power = np.tile(modes.eigenvalue, network.size)
    silent = power == 0.0
    many = network.take(rows)
    many = replace(many, input_variance=many.input_variance * np.where(silent, 1.0, power))
    return many, stream.take(rows), silent


def surrogates(network: Architecture, stream: Stream, modes: Modes | None) -> tuple[Surrogate, Surrogate | None]:
    """The linear networks with the same second moments, hidden layers with their noise among the residuals.

    Of convolutions, those of every frequency, and a second opinion where the series of their residuals is cut.
    """
    seen, inner = stream.seen[:, :-1], stream.seen_inner[:, :-1]
    blunt = None
    if modes is None:
        gain, residual, weight = linear_moments(network.phi, seen, inner)
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            rho = 1.0 - stream.seen_pairs[:, :-1] / inner[:, :, None]
        gain, residual, blunt, weight = mode_moments(network.phi, seen, inner, rho, modes)
    # With two matrices the norm is in front of the first.
    in_front = stream.scale2[:, :-1] if network.matrices == 1 else np.ones_like(seen)
    noise = stream.hidden_noise[:, :-1] if network.matrices == 1 else np.zeros_like(seen)
    out, in_front, noise = (_repeated(a, modes)[:, :, None] for a in (stream.gain2[:, :-1], in_front, noise))
    gain *= out / in_front
    none = np.zeros((len(gain), 1))

    def with_residual(values: FloatArray) -> Surrogate:
        values *= out
        if noise.any():
            values += gain * noise
        return Surrogate(gain, values, weight, none)

    return with_residual(residual), None if blunt is None else with_residual(blunt)


def _repeated(values: FloatArray, modes: Modes | None) -> FloatArray:
    return values if modes is None else np.repeat(values, len(modes.share), axis=0)
