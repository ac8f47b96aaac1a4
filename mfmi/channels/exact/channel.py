"""The exact scalar channel by deterministic quadrature, for every activation, theory (14).

    J(r, tau; s) = E_omega I(u; sqrt(r) u + n | omega),  u = phi(omega + sqrt(tau) g),  omega ~ N(0, s - tau).

It is concave in r; E = 2 dJ/dr is the remaining variance of u and A = 2 dJ/dtau (with s held, so that the law of omega
moves) the curvature that the channel returns. This is the reference: slow, with an error estimate, where
`mfmi.channels.exact.table` interpolates it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mfmi.arguments.arrays import FloatArray
from mfmi.channels.exact.cells import activation_cells
from mfmi.channels.exact.piecewise_linear import Segments, linear_segments, segment_channel
from mfmi.channels.exact.smooth import SmoothChannel
from mfmi.quadrature.normal import folded_density
from mfmi.quadrature.panels import REACH, ScalarFunction, panel_nodes, partition, sum_by_row

OFFSET_GRADING = np.array([0.0, 1.0, 2.0, 3.2, 4.6, 6.4, REACH, 12.0])
GAUSSIAN_GRADING = np.array([0.0, 1.2, 2.4, 3.7, 5.2, 6.8, REACH])
CELL_SPACING = 0.4
CELL_TOLERANCE = 1e-7
NO_PRECISION = 1e-24
CHANNEL_ROUNDING = 1e-13
SHARED_WIDTH = 16.0
"""Width of a panel of offsets, in sqrt(tau), up to which its offsets share their panels: the prior reaches over 17."""
BLOCK = 8_000
"""Combinations of precision, variance and offset handled at once: bounds the memory to some hundred megabytes."""
SEGMENT_BLOCK = 600
"""The same where phi is piecewise linear and nothing is shared: as many as the processor's cache holds."""


class ChannelValue(NamedTuple):
    """Information J in nats, remaining variance E = 2 dJ/dr and curvature A = 2 dJ/dtau, arrays of one shape."""

    j: FloatArray
    e: FloatArray
    a: FloatArray


class ChannelEstimate(NamedTuple):
    """A `ChannelValue` and the estimated absolute errors of its members."""

    value: ChannelValue
    error: ChannelValue


def offset_features(
    phi: ScalarFunction,
    width: FloatArray,
    reach: FloatArray,
    segments: Segments | None,
    grading: FloatArray = OFFSET_GRADING,
) -> FloatArray:
    """Offsets between which the channel is smooth, the features of phi being blurred by an inner noise.

    Parameters
    ----------
    phi : ScalarFunction
    width, reach : ndarray, shape (n,)
        Standard deviation of the inner noise, largest offset of interest.
    segments : Segments or None
        The segments of a piecewise linear phi.
    grading : ndarray, shape (k,), optional
        Distances from a feature to break points, from 0 upwards, in units of `width`.

    Returns
    -------
    ndarray, shape (n, m)
        Break points, in no order.
    """
    n = len(width)
    cuts = [np.empty((n, 0))]
    cuts += [kink + width[:, None] * _both_sides(grading) for kink in phi.kinks]
    if segments is None:
        extent = max(float(np.max(reach, initial=0.0)), 1.0)
        cells = activation_cells(phi, max(3, int(np.ceil(np.log2(extent)))), CELL_TOLERANCE)
        bins = np.floor(cells.edges / CELL_SPACING)
        coarse = cells.edges[np.flatnonzero(np.diff(bins, prepend=-np.inf))]
        cuts.append(np.broadcast_to(coarse, (n, len(coarse))))
        # ln(1 + r tau phi'^2) has a singularity as near to a turning point as the inner noise lets it come
        levels = max(1, int(np.ceil(np.log2(2.0 / float(np.min(width))))))
        dyadic = _both_sides(np.concatenate([grading, grading[-1] * 2.0 ** np.arange(1, levels)]))
        cuts += [point + width[:, None] * dyadic for point in cells.turning[np.abs(cells.turning) < extent]]
    return np.concatenate(cuts, axis=1)


def offset_scale(phi: ScalarFunction, width: FloatArray, segments: Segments | None) -> FloatArray:
    """Length on which the channel varies with the offset: the inner noise's, or phi's if that has no finer feature.

    Parameters
    ----------
    phi : ScalarFunction
    width : ndarray, shape (n,)
        Standard deviation of the inner noise.
    segments : Segments or None
        The segments of a piecewise linear phi.

    Returns
    -------
    ndarray, shape (n,)
    """
    if segments is not None or phi.kinks or len(activation_cells(phi, 3, CELL_TOLERANCE).turning):
        return width
    return np.maximum(width, CELL_SPACING)


def folded_range(phi: ScalarFunction, reach: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Offsets that have to be looked at: one side of an odd or even phi, one period of a periodic one.

    Parameters
    ----------
    phi : ScalarFunction
    reach : ndarray, shape (n,)
        Largest offset of interest.

    Returns
    -------
    tuple of ndarray
        Lower and upper end, each of shape (n,).
    """
    mirrored = phi.odd or phi.even
    if not np.isfinite(phi.period):
        return (np.zeros_like(reach) if mirrored else -reach), reach
    whole = 0.5 * phi.period
    upper = np.minimum(reach, whole)
    return (np.zeros_like(reach) if mirrored else -upper), upper


def _both_sides(grading: FloatArray) -> FloatArray:
    return np.concatenate([-grading[:0:-1], grading])


def channel_at_offset(
    phi: ScalarFunction, r: FloatArray, tau: FloatArray, omega: FloatArray, order: int = 8, moments: bool = True
) -> ChannelValue:
    """Return the channel of neurons whose offsets omega are known, before the average over offsets.

    Parameters
    ----------
    phi : ScalarFunction
        The activation.
    r : ndarray, shape (n, p)
        Precisions > 0, those of a row within a factor of about ten.
    tau : ndarray, shape (n, t)
        Inner variances > 0, those of a row within a factor of about ten.
    omega : ndarray, shape (n, k)
        Offsets; those of a row closer than a few sqrt(tau) share their work.
    order : int
        Gauss-Legendre nodes per panel; 6 gives 1e-9, 8 about 1e-11.
    moments : bool
        Whether E and A are wanted; they are zero otherwise.

    Returns
    -------
    ChannelValue
        I(u; y | omega), E[Var(u | omega, y)] and E[(d_omega ln p(y | omega))^2] of every precision, variance and offset
        of a row, each of shape (n, p, t, k).
    """
    segments = linear_segments(phi, phi.kinks)
    if segments is not None:
        return _segment_channel_at_offset(segments, r, tau, omega, order, moments)
    laws = tau.shape[1] * omega.shape[1]
    parts = [np.zeros((*r.shape, tau.shape[1], omega.shape[1])) for _ in range(3)]
    near = np.ptp(omega, axis=1) < SHARED_WIDTH * np.sqrt(np.min(tau, axis=1))
    for chosen, together in ((np.flatnonzero(near), omega.shape[1]), (np.flatnonzero(~near), 1)):
        for rows in np.array_split(chosen, max(1, len(chosen) * r.shape[1] * laws // BLOCK)):
            if len(rows) == 0:
                continue
            # offsets together in a row, or each in a row of its own
            offsets = omega[rows].reshape(-1, 1, together)
            repeats = omega.shape[1] // together
            law = np.broadcast_arrays(np.repeat(tau[rows], repeats, axis=0)[:, :, None], offsets)
            variance, mean = (a.reshape(len(a), -1) for a in law)
            found = SmoothChannel(phi, np.repeat(r[rows], repeats, axis=0), variance, mean, order).evaluate(moments)
            for part, values in zip(parts, found, strict=True):
                apart = values.reshape(len(rows), repeats, r.shape[1], tau.shape[1], together)
                part[rows] = np.moveaxis(apart, 1, 3).reshape(len(rows), *part.shape[1:])
    return ChannelValue(*parts)


def _segment_channel_at_offset(
    segments: Segments, r: FloatArray, tau: FloatArray, omega: FloatArray, order: int, moments: bool
) -> ChannelValue:
    """`channel_at_offset` of a piecewise linear phi, where nothing is shared."""
    every = np.broadcast_arrays(r[:, :, None, None], tau[:, None, :, None], omega[:, None, None, :])
    flat = np.stack([a.ravel() for a in every])
    blocks = np.array_split(flat, max(1, flat.shape[1] // SEGMENT_BLOCK), axis=1)
    found = [segment_channel(segments, block[0], block[1], block[2], order, moments) for block in blocks]
    return ChannelValue(*(np.concatenate(part).reshape(every[0].shape) for part in zip(*found, strict=True)))


def exact_channel(
    phi: ScalarFunction, r: ArrayLike, tau: ArrayLike, s: ArrayLike, order: int = 8, moments: bool = True
) -> ChannelValue:
    """Exact interface by quadrature, theory (14).

    Parameters
    ----------
    phi : ScalarFunction
        The activation.
    r : array_like
        Precision of the effective observation of u, r >= 0.
    tau : array_like
        Inner variance V + sigma_h^2, 0 < tau <= s.
    s : array_like
        Whole variance of the noisy pre-activation; broadcasts with `r` and `tau`.
    order : int
        Gauss-Legendre nodes per panel: 6 gives 1e-9 of J, 8 about 1e-11.
    moments : bool
        Whether E and A are wanted; they are zero otherwise.

    Returns
    -------
    ChannelValue
        J in nats, E = 2 dJ/dr, A = 2 dJ/dtau, each of the broadcast shape.

    Raises
    ------
    ValueError
        If an argument lies outside its range.
    """
    whole = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (r, tau, s)))
    _check_range(*whole)
    shape = whole[0].shape
    if not whole[0].size:
        return ChannelValue(*(np.zeros(shape) for _ in range(3)))
    precision, inner, total = (np.ravel(a) for a in whole)
    # at r = 0 nothing is seen, and E is the limit
    seen = np.maximum(precision, NO_PRECISION)
    value = _average_over_offsets(phi, seen, inner, total, order, moments)
    blind = precision == 0.0
    return ChannelValue(
        np.where(blind, 0.0, value.j).reshape(shape),
        value.e.reshape(shape),
        np.where(blind, 0.0, value.a).reshape(shape),
    )


def exact_channel_with_error(
    phi: ScalarFunction, r: ArrayLike, tau: ArrayLike, s: ArrayLike, order: int = 8
) -> ChannelEstimate:
    """Exact interface, theory (14), with an estimate of its error from a second rule.

    Parameters
    ----------
    phi, r, tau, s
        As for `exact_channel`.
    order : int
        Gauss-Legendre nodes per panel of the coarser rule; the value is the finer one's, with four more.

    Returns
    -------
    ChannelEstimate
        The value, and the absolute differences of the two rules plus an allowance for rounding.
    """
    rough = exact_channel(phi, r, tau, s, order)
    fine = exact_channel(phi, r, tau, s, order + 4)
    differences = (np.abs(b - a) + CHANNEL_ROUNDING * np.abs(b) for a, b in zip(rough, fine, strict=True))
    return ChannelEstimate(fine, ChannelValue(*differences))


def _check_range(r: FloatArray, tau: FloatArray, s: FloatArray) -> None:
    for name, values, good in (
        ("r", r, (r >= 0.0) & np.isfinite(r)),
        ("tau", tau, (tau > 0.0) & np.isfinite(tau)),
        ("s", s, (s >= tau * (1.0 - 1e-12)) & np.isfinite(s)),
    ):
        if not np.all(good):
            raise ValueError(f"{name} is out of range: {float(values[~good].flat[0])!r}")


def _average_over_offsets(
    phi: ScalarFunction, r: FloatArray, tau: FloatArray, s: FloatArray, order: int, moments: bool
) -> ChannelValue:
    """Average `channel_at_offset` over omega ~ N(0, s - tau)."""
    n = len(r)
    variance = np.maximum(s - tau, 0.0)
    width, deviation = np.sqrt(tau), np.sqrt(variance)
    segments = linear_segments(phi, phi.kinks)
    low, high = folded_range(phi, REACH * deviation)
    features = offset_features(phi, width, high, segments)
    cut = np.concatenate([deviation[:, None] * _both_sides(GAUSSIAN_GRADING), features], axis=1)
    spacing = np.minimum(0.5 * offset_scale(phi, width, segments), 0.3 * deviation)
    row, lower, upper = partition(
        np.repeat(np.arange(n), cut.shape[1]),
        cut.ravel(),
        low,
        high,
        np.where(spacing > 0.0, spacing, 1.0),
    )
    omega, weights = panel_nodes(lower, upper, order)
    weights = weights * folded_density(phi, omega, deviation[row, None])
    # a row without known offset is its own average
    still = np.flatnonzero(variance == 0.0)
    point = np.concatenate([row, still])
    omega = np.concatenate([omega, np.zeros((len(still), order))])
    weights = np.concatenate([weights, np.full((len(still), order), 1.0 / order)])
    value = channel_at_offset(phi, r[point, None], tau[point, None], omega, order, moments)
    return ChannelValue(*(sum_by_row(point, np.sum(weights * part[:, 0, 0], axis=1), n) for part in value))
