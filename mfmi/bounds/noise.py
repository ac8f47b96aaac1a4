"""Information about the noise on the way, by which that about everything exceeds that about the input."""

from __future__ import annotations

import numpy as np

from mfmi.bounds.estimate import Estimate
from mfmi.bounds.problem import Channels, Problem, phi_after


def phi_known(problem: Problem, *rivals: Channels, unique: bool = False) -> Estimate:
    """`Phi_known`: information about the noise on the way, the input being given; all depths above 1.

    The largest by any of the channels, as in `phi_full`.
    """
    return phi_after(int(problem.factors.last[0]) + 1, problem, rivals, np.zeros(len(problem.rows)), unique)


def less_noise(problem: Problem, channels: Channels, full: Estimate, unique: bool = False) -> Estimate:
    """`Phi_full - Phi_known`: what the observed layer knows of everything, less what it knows of the noise."""
    noisy = np.flatnonzero(channels.hidden.has_noise & (problem.depth > 1))
    if not len(noisy):
        return full
    value, residual, converged = full.value.copy(), full.residual.copy(), full.converged.copy()
    noise = phi_known(problem.take(noisy), channels.take(noisy), unique=unique)
    value[noisy] = np.maximum(value[noisy] - noise.value, 0.0)
    residual[noisy] = np.maximum(residual[noisy], noise.residual)
    converged[noisy] &= noise.converged
    coexisting, error = full.coexisting.copy(), full.error.copy()
    coexisting[noisy] |= noise.coexisting
    error[noisy] += noise.error
    return full._replace(value=value, residual=residual, converged=converged, coexisting=coexisting, error=error)
