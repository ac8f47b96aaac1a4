"""Information lost by the output channel where an activation folds: values of z + eps that give the same T.

Where phi falls up to a turning point and rises from there on, or the other way round, T determines z + eps up to the
branch; of a wave up to one of infinitely many. So `I(z; T) = ln(1 + V / sigma_o^2) / 2 - B(V + sigma_o^2) +
B(sigma_o^2)` with the equivocation `B(t) = E H(branch | T, omega)`, `w ~ N(omega, t)`, `omega ~ N(0, s - t)`. By the
heat equation the curvature of an information is the mean square of the score of T in omega, whose variance within a
level of T follows from the branches.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mfmi.activations import Activation, Piece
from mfmi.arguments.arrays import FloatArray
from mfmi.quadrature.panels import ScalarFunction, normal_density

# Panels of a branch and Gauss nodes in each; they are graded towards the turning point, where the branches meet.
_PANELS, _NODES = 20, 8
# Distance of two branches, over the standard deviation, beyond which they are never confused, and reach of the offsets.
_APART, _REACH = 17.5, 9.0
# Spacing of offsets over their standard deviation: for sigmoids no steeper than that the trapezoidal rule is at
# rounding.
_SPACING = 0.125
# Spacing of a wave's offsets over the standard deviation within them.
_WAVE_SPACING = 0.2
# Elements of a work array.
_BLOCK = 1 << 20
_BISECTIONS = 60
_LARGEST_LOG = 600.0


class Confusion(NamedTuple):
    """Means over what is observed: entropy of the branch in nats, variance of z + eps given T and its square."""

    entropy: FloatArray
    variance: FloatArray
    square: FloatArray


def folds_once(pieces: tuple[Piece, ...]) -> bool:
    """Whether there are two strictly monotone pieces, of opposite direction."""
    return len(pieces) == 2 and {piece.kind for piece in pieces} == {"increasing", "decreasing"}


def confusion(phi: ScalarFunction, turning: float, t: FloatArray, s: FloatArray, refine: float = 1.0) -> Confusion:
    """Confusion of the two branches of an activation that folds once.

    Parameters
    ----------
    phi : ScalarFunction
        The activation, strictly monotone on both sides of `turning`.
    turning : float
        Where it turns.
    t, s : ndarray
        Variance of z + eps given omega and in all, 0 < t <= s, shape (n,).
    refine : float
        Factor on the numbers of nodes.

    Returns
    -------
    Confusion
        Arrays of shape (n,).
    """
    found = np.empty((3, len(t)))
    count = _PANELS * round(_NODES * refine)
    step = max(1, int(_BLOCK * _SPACING / (refine * count * 2.0 * _REACH)))
    for start in range(0, len(t), step):
        rows = slice(start, start + step)
        found[:, rows] = _confusion(phi, turning, t[rows], s[rows], refine)
    return Confusion(*found)


def _confusion(phi: ScalarFunction, turning: float, t: FloatArray, s: FloatArray, refine: float) -> FloatArray:
    x, weight = np.polynomial.legendre.leggauss(round(_NODES * refine))
    x = ((np.arange(_PANELS)[:, None] + 0.5 * (x + 1.0)) / _PANELS).ravel()
    weight = np.tile(0.5 * weight / _PANELS, _PANELS)
    side = _shorter_side(phi, turning)
    # The other branch lies further off than the turning point.
    longest = np.minimum(_APART * np.sqrt(t), _REACH * np.sqrt(s) + abs(turning))[:, None]
    one = turning + side * longest * x * x
    measure = longest * 2.0 * x * weight
    other, log_ratio = _other_branch(phi, turning, side, one)
    gap = other - one
    share = ((s - t) / s)[:, None, None]
    grid, law = _normal_grid(refine)
    t, s = t[:, None], s[:, None]
    total = np.zeros((3, *one.shape))
    for w, log_density, sign in ((one, 0.0, 1.0), (other, log_ratio, -1.0)):
        # Offsets that go with w are N(share w, share t); the log odds of the first branch are linear in them.
        mean = gap * (one + other - 2.0 * share[:, :, 0] * w) / (2.0 * t) - log_ratio
        odds = mean[:, :, None] - (gap / np.sqrt(t))[:, :, None] * np.sqrt(share) * grid
        spread = expit(odds) * expit(-odds)
        density = np.exp(log_density - 0.5 * w * w / s) / np.sqrt(2.0 * np.pi * s) * measure
        total[0] += density * (np.logaddexp(0.0, -sign * odds) @ law)
        total[1] += density * gap**2 * (spread @ law)
        total[2] += density * gap**4 * (spread**2 @ law)
    return np.asarray(total.sum(axis=2))


def _normal_grid(refine: float) -> tuple[FloatArray, FloatArray]:
    """Standard normal places and their weights."""
    grid = np.linspace(-_REACH, _REACH, 2 * round(_REACH / _SPACING * refine) + 1)
    return grid, np.asarray(normal_density(grid) * (grid[1] - grid[0]))


def confusion_of_wave(phi: Activation, t: FloatArray, s: FloatArray, refine: float = 1.0) -> Confusion:
    """Confusion of the branches of a wave: places at equal distance from a turning point, a period apart and mirrored.

    Parameters
    ----------
    phi : Activation
        The activation.
    t, s, refine
        As for `confusion`.

    Returns
    -------
    Confusion
        Arrays of shape (n,).
    """
    return Confusion(*np.array([_of_wave(phi, *pair, refine) for pair in zip(t, s, strict=True)]).reshape(-1, 3).T)


def _of_wave(phi: Activation, t: float, s: float, refine: float) -> FloatArray:
    """Entropy, variance and its square, averaged over one law of the offset.

    The slopes of all branches are equal, and so is their mass for an offset of that distance from a turning point.
    """
    offset, mass = _wave_offsets(phi, t, s, refine)
    grid, law = _normal_grid(refine)
    width = np.sqrt(t)
    turns = int(np.ceil(_APART * width / phi.period)) + 1
    total = np.zeros(3)
    step = max(1, _BLOCK // (len(grid) * (4 * turns + 2)))
    for start in range(0, len(offset), step):
        omega = offset[start : start + step, None]
        # Distances from the turning point; the mirror image of a place has its negative.
        w = omega + width * grid
        shifts = phi.period * np.arange(-turns, turns + 1)
        places = np.concatenate([side * w[:, :, None] + shifts for side in (1.0, -1.0)], axis=2)
        log_odds = -0.5 * np.square((places - omega[:, :, None]) / width)
        most = log_odds.max(axis=2, keepdims=True)
        share = np.exp(log_odds - most)
        whole = share.sum(axis=2, keepdims=True)
        share /= whole
        mean = (share * places).sum(axis=2, keepdims=True)
        variance = (share * np.square(places - mean)).sum(axis=2)
        entropy = (most + np.log(whole))[:, :, 0] + 0.5 * grid * grid
        parts = np.stack([entropy, variance, np.square(variance)])
        total += np.einsum("knm,m,n->k", parts, law, mass[start : start + step])
    return total


def _wave_offsets(phi: Activation, t: float, s: float, refine: float) -> tuple[FloatArray, FloatArray]:
    """Offsets, from a turning point, at which branches are confused at all, and their mass."""
    deviation, half = float(np.sqrt(max(s - t, 0.0))), 0.5 * phi.period
    turning = phi.wave_turning or 0.0
    if deviation == 0.0:
        return np.array([-turning]), np.ones(1)
    step = _WAVE_SPACING * float(np.sqrt(t)) / refine
    if deviation > half:
        # Equal steps over half a period: a mean over all of it is exact for smooth functions.
        count = int(np.ceil(half / step))
        offset = half / count * np.arange(count + 1)
        ends = np.where((offset == 0.0) | (np.arange(count + 1) == count), 0.5, 1.0)
        both = [_wrapped_density(side * offset + turning, deviation, phi.period) for side in (1.0, -1.0)]
        mass = ends * (both[0] + both[1]) * half / count
    else:
        step = min(step, 0.25 * deviation / refine)
        grid = step * np.arange(-np.ceil(_REACH * deviation / step), np.ceil(_REACH * deviation / step) + 1.0)
        offset, mass = grid - turning, normal_density(grid / deviation) / deviation * step
    distance = np.abs(offset - half * np.round(offset / half))
    near = distance < _APART * np.sqrt(t)
    return np.asarray(offset[near], dtype=np.float64), np.asarray(mass[near])


def _wrapped_density(x: NDArray[Any], deviation: float, period: float) -> FloatArray:
    """Density of a normal variable modulo a period."""
    turns = int(np.ceil(_REACH * deviation / period)) + 1
    return np.asarray(sum(normal_density((x + k * period) / deviation) for k in range(-turns, turns + 1)) / deviation)


def _shorter_side(phi: ScalarFunction, turning: float) -> float:
    """The side, -1 or 1, of the turning point whose values the other side takes too."""
    rise = [abs(float(phi(np.array(turning + side * 1e6))) - float(phi(np.array(turning)))) for side in (-1.0, 1.0)]
    return -1.0 if rise[0] <= rise[1] else 1.0


def _other_branch(phi: ScalarFunction, turning: float, side: float, one: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The points beyond the turning point where phi has the same value, and ln of |d other / d one|."""
    value, least = np.asarray(phi(one)), float(phi(np.array(turning)))
    near, far = np.zeros_like(one), np.abs(one - turning)
    level = np.abs(value - least)
    for _ in range(_BISECTIONS):
        short = np.abs(np.asarray(phi(turning - side * far)) - least) < level
        if not short.any():
            break
        far = np.where(short, 2.0 * far, far)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (near + far)
        short = np.abs(np.asarray(phi(turning - side * middle)) - least) < level
        near, far = np.where(short, middle, near), np.where(short, far, middle)
    other = turning - side * 0.5 * (near + far)
    with np.errstate(divide="ignore"):
        log_ratio = np.log(np.abs(phi.derivative(one))) - np.log(np.abs(phi.derivative(other)))
    # Far out the slope of a branch underflows, and its contribution is estimated from the rest.
    return other, np.clip(log_ratio, -_LARGEST_LOG, _LARGEST_LOG)
