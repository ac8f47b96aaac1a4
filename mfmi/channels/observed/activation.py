"""The observed layer when its activation is observed: T = phi(z + eps), theory section 3, "Other ends of the chain".

Where phi is strictly monotone or flat on pieces with disjoint images, T determines z + eps on the former and only the
piece on the latter: closed forms and one integral over offsets per flat piece. Where phi folds once, T determines z +
eps up to the branch, and so it does of a wave such as sin (`observed.folded`). Any other activation is the limit of the
exact scalar channel at a precision so high that u itself is known as far as its slope is not as small as the inverse
root of that.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, ndtr

from mfmi.activations import Activation, Piece
from mfmi.arguments.arrays import FloatArray
from mfmi.channels.exact.table import ExactTable, exact_table
from mfmi.channels.observed.folded import confusion, confusion_of_wave, folds_once
from mfmi.quadrature.panels import REACH, normal_density, panel_nodes, partition, sum_by_row

ROOT_SHARE = 1e-10
"""V / q below which a step's information without noise is a root of V, to that accuracy."""
LEAST_SHARE = 1e-60
"""V / q below which its curvature grows no more."""
GRADING = np.array([0.0, 1.2, 2.4, 3.7, 5.2, 6.8, REACH])
ORDER = 10
SECOND_OPINION = 1.5
"""Factor on the number of nodes of a quadrature that judges another."""
CANCELLED = 3e-9
"""Error, in nats, allowed next to a turning point, where finding the other branch cancels."""
LIMIT_PRECISION = 1e13
"""Precision at which u counts as known; the confusion of branches near a turning point falls like its inverse root."""


class OutputChannel(NamedTuple):
    """J_out in nats, A = 2 dJ_out/dV, dA/dV and 1 - A V, arrays of one shape."""

    j: FloatArray
    a: FloatArray
    a_v: FloatArray
    rest: FloatArray


def observed_activation(
    phi: Activation, variance: ArrayLike, noise: ArrayLike, q: ArrayLike, refine: float = 1.0
) -> OutputChannel:
    """Information of T = phi(z + eps) about z, averaged over the known offset.

    Parameters
    ----------
    phi : Activation
        The activation.
    variance : array_like
        Remaining variance V of the pre-activation z ~ N(omega, V), 0 <= V <= q, omega ~ N(0, q - V).
    noise : array_like
        Variance sigma_o^2 > 0 of eps; 0 too where all pieces are flat, and J is the entropy of what is observed.
    q : array_like
        Whole variance of the pre-activation; broadcasts with the others.
    refine : float
        Factor on the numbers of nodes; another value than 1 gives a second opinion for an error estimate.

    Returns
    -------
    OutputChannel
        Arrays of the broadcast shape.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    whole = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (variance, noise, q)))
    for name, values, good in (
        ("variance", whole[0], (whole[0] >= 0.0) & (whole[0] <= whole[2] * (1.0 + 1e-9))),
        ("noise", whole[1], ((whole[1] > 0.0) | ((whole[1] == 0.0) & is_step(phi))) & np.isfinite(whole[1])),
        ("q", whole[2], (whole[2] >= 0.0) & np.isfinite(whole[2])),
    ):
        if not np.all(good):
            raise ValueError(f"{name} is out of range: {float(values[~good].flat[0])!r}")
    v, sigma2, total = (np.ravel(a) for a in whole)
    if is_step(phi):
        parts = _of_step(phi.pieces, v, sigma2, total, refine)
    elif phi.pieces and phi.images_disjoint:
        parts = _by_pieces(phi.pieces, v, sigma2, total, refine)
    elif folds_once(phi.pieces) or phi.wave_turning is not None:
        parts = _by_branches(phi, v, sigma2, total, refine)
    else:
        parts = _by_limit(exact_table(phi), v, sigma2, total)
    return OutputChannel(*(part.reshape(whole[0].shape) for part in parts))


def observation_error(phi: Activation, variance: FloatArray, noise: FloatArray, q: FloatArray) -> FloatArray:
    """Estimate the absolute error of `observed_activation`'s J in nats, from a second quadrature.

    Parameters
    ----------
    phi, variance, noise, q
        As there, arrays of shape (n,).

    Returns
    -------
    ndarray
        Of shape (n,).
    """
    if not tells_by_limit(phi):
        one, other = (observed_activation(phi, variance, noise, q, refine).j for refine in (1.0, SECOND_OPINION))
        inverted = phi.wave_turning is None and folds_once(phi.pieces) and not phi.images_disjoint
        return np.asarray(np.abs(one - other) + (CANCELLED if inverted else 0.0))
    table, r = exact_table(phi), np.full_like(variance, LIMIT_PRECISION)
    error = np.full_like(variance, 1.0 / np.sqrt(LIMIT_PRECISION))
    for seen in (variance + noise, noise):
        error += table.error(r, seen, q + noise) * table.evaluate(r, seen, q + noise).j
    return error


def tells_by_limit(phi: Activation) -> bool:
    """Whether the information is known only as a limit of the activation's exact scalar channel, from its table."""
    if phi.wave_turning is not None:
        return False
    return not (phi.pieces and (phi.images_disjoint or folds_once(phi.pieces)))


def is_step(phi: Activation) -> bool:
    """Whether an activation has finitely many values."""
    return bool(phi.pieces) and all(piece.kind == "flat" for piece in phi.pieces)


def _of_step(
    pieces: tuple[Piece, ...], v: FloatArray, noise: FloatArray, q: FloatArray, refine: float
) -> OutputChannel:
    """All pieces flat: without noise J is proportional to the root of a small V, the share of offsets near a step."""
    least = np.where(noise == 0.0, ROOT_SHARE * q, 0.0)
    found = _by_pieces(pieces, np.maximum(v, least), noise, q, refine)
    below = (v < least) & (q > 0.0)
    share = np.where(below, np.maximum(v, LEAST_SHARE * q) / np.where(below, least, 1.0), 1.0)
    a = found.a / np.sqrt(share)
    return OutputChannel(
        found.j * np.sqrt(share),
        a,
        np.where(below, -0.5 * a / (share * np.maximum(least, LEAST_SHARE)), found.a_v),
        np.where(below, 1.0 - a * v, found.rest),
    )


def _by_pieces(
    pieces: tuple[Piece, ...], v: FloatArray, noise: FloatArray, q: FloatArray, refine: float
) -> OutputChannel:
    """Sum over pieces: on a monotone one z + eps is known, of a flat one only that it holds z + eps."""
    s, seen = q + noise, v + noise
    root = np.sqrt(s)
    share, bulge = np.zeros_like(v), np.zeros_like(v)
    j, a, a_v = (np.zeros_like(v) for _ in range(3))
    for piece in pieces:
        if piece.kind == "flat":
            after = _atom(piece, seen, s, refine)
            j -= after[0]
            noisy = np.flatnonzero(noise > 0.0)
            j[noisy] += _atom(piece, noise[noisy], s[noisy], refine)[0]
            a += after[1]
            a_v -= after[2]
            continue
        low, high = piece.lower / root, piece.upper / root
        share += ndtr(high) - ndtr(low)
        bulge += _edge(low) - _edge(high)
    monotone = share > 0.0
    j[monotone] += 0.5 * share[monotone] * np.log1p(v[monotone] / noise[monotone])
    j += 0.5 * v * bulge / s
    # what a monotone piece leaves is noise / (V + noise); flat ones leave all but their own curvature
    rest = share * noise / seen + (1.0 - share) - v * (a + bulge / s)
    return OutputChannel(j, a + share / seen + bulge / s, a_v - share / seen**2, rest)


def _edge(x: FloatArray) -> FloatArray:
    """Boundary term x N(x) of the truncated second moment, 0 at infinity."""
    return np.asarray(np.where(np.isfinite(x), x, 0.0) * normal_density(x))


def _atom(piece: Piece, v: FloatArray, s: FloatArray, refine: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """E of P ln P, P l'^2 and P l''^2 over m ~ N(0, s - v), with P(m) the mass of N(m, v) on the piece and l = ln P.

    By the heat equation the last two are -2 and 2 times the first and second derivative of the first in v.
    """
    n, order = len(v), round(ORDER * refine)
    sigma, deviation = np.sqrt(v), np.sqrt(np.maximum(s - v, 0.0))
    grading = np.concatenate([-GRADING[:0:-1], GRADING])
    ends = [end for end in (piece.lower, piece.upper) if np.isfinite(end)]
    cuts = [deviation[:, None] * grading] + [end + sigma[:, None] * grading for end in ends]
    cut = np.concatenate(cuts, axis=1)
    spacing = 0.3 * np.minimum(sigma, deviation)
    row, lower, upper = partition(
        np.repeat(np.arange(n), cut.shape[1]),
        cut.ravel(),
        -REACH * deviation,
        REACH * deviation,
        np.where(spacing > 0.0, spacing, 1.0),
    )
    m, weights = panel_nodes(lower, upper, order)
    width = deviation[row, None]
    weights = weights * normal_density(m / width) / width
    still = np.flatnonzero(deviation == 0.0)
    row = np.concatenate([row, still])
    m = np.concatenate([m, np.zeros((len(still), order))])
    weights = np.concatenate([weights, np.full((len(still), order), 1.0 / order)])
    scale = sigma[row, None]
    log_mass, first, second = _log_mass((piece.lower - m) / scale, (piece.upper - m) / scale)
    mass = weights * np.exp(log_mass)
    values = (np.where(mass > 0.0, log_mass, 0.0), (first / scale) ** 2, (second / scale**2) ** 2)
    found = [sum_by_row(row, np.sum(mass * value, axis=1), n) for value in values]
    return found[0], found[1], found[2]


def _log_mass(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """ln(Phi(high) - Phi(low)) and its first two derivatives under a common shift of -1 of both ends."""
    mirror = low > 0.0
    low, high = np.where(mirror, -high, low), np.where(mirror, -low, high)
    log_high, log_low = log_ndtr(high), log_ndtr(low)
    with np.errstate(invalid="ignore"):
        log_mass = log_high + np.log1p(-np.exp(np.minimum(log_low - log_high, -1e-300)))
    log_mass = np.where(np.isneginf(low), log_high, log_mass)
    densities = []
    for end in (low, high):
        real = np.isfinite(end) & np.isfinite(log_mass)
        x = np.where(real, end, 0.0)
        exponent = np.where(real, -0.5 * x * x - np.where(real, log_mass, 0.0), -np.inf)
        densities.append((np.exp(exponent) / np.sqrt(2.0 * np.pi), x))
    (at_low, x_low), (at_high, x_high) = densities
    first = at_low - at_high
    second = x_low * at_low - x_high * at_high - first * first
    return np.asarray(log_mass), np.asarray(np.where(mirror, -first, first)), np.asarray(second)


def _by_branches(phi: Activation, v: FloatArray, noise: FloatArray, q: FloatArray, refine: float) -> OutputChannel:
    """All of z + eps but which of the branches it lies on."""
    t, s = v + noise, q + noise
    if phi.wave_turning is not None:
        after, before = (confusion_of_wave(phi, variance, s, refine) for variance in (t, noise))
    else:
        after, before = (confusion(phi, phi.pieces[0].upper, variance, s, refine) for variance in (t, noise))
    return OutputChannel(
        0.5 * np.log1p(v / noise) - after.entropy + before.entropy,
        1.0 / t - after.variance / t**2,
        -1.0 / t**2 + 2.0 * after.variance / t**3 - after.square / t**4,
        noise / t + v * after.variance / t**2,
    )


def _by_limit(table: ExactTable, v: FloatArray, noise: FloatArray, q: FloatArray) -> OutputChannel:
    """Difference of the exact channel of z + eps and that of eps alone, once u is as good as known."""
    r = np.full_like(v, LIMIT_PRECISION)
    after = table.evaluate(r, v + noise, q + noise)
    before = table.evaluate(r, noise, q + noise)
    return OutputChannel(after.j - before.j, after.a, after.a_v, 1.0 - after.a * v)
