"""What the output channel loses where an activation folds: two values of z + eps that give the same T.

Where phi falls up to a turning point and rises from there on, or the other way round, T tells z + eps up to the branch.
So `I(z; T) = ln(1 + V / sigma_o^2) / 2 - B(V + sigma_o^2) + B(sigma_o^2)` with the equivocation
`B(t) = E H(branch | T, omega)`, `w ~ N(omega, t)`, `omega ~ N(0, s - t)`. By the heat equation the curvature of an
information is the mean square of the score of T in omega, whose variance within a level of T follows from the branches.
"""

from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import expit

from mfmi.panels import FloatArray, ScalarFunction, normal_density

# Panels of a branch and Gauss nodes in each; they are graded towards the turning point, where the branches meet.
_PANELS, _NODES = 20, 8
# Distance of two branches, over the deviation, beyond which they are never confused, and reach of the offsets.
_APART, _REACH = 17.5, 9.0
# Spacing of offsets over their deviation: for sigmoids no steeper than that the trapezoidal rule is at rounding.
_SPACING = 0.125
# Elements of a work array.
_BLOCK = 1 << 20
_BISECTIONS = 60
_LARGEST_LOG = 600.0


class MonotonePiece(Protocol):
    """A stretch of an activation."""

    @property
    def lower(self) -> float:
        """Where it begins."""

    @property
    def upper(self) -> float:
        """Where it ends."""

    @property
    def kind(self) -> str:
        """Whether it is increasing, decreasing or flat."""


class Confusion(NamedTuple):
    """Means over what is observed: entropy of the branch in nats, variance of z + eps given T and its square."""

    entropy: FloatArray
    variance: FloatArray
    square: FloatArray


def folds_once(pieces: tuple[MonotonePiece, ...]) -> bool:
    """Whether there are two strictly monotone pieces, of opposite direction."""
    return len(pieces) == 2 and {piece.kind for piece in pieces} == {"increasing", "decreasing"}


def confusion(phi: ScalarFunction, turning: float, t: FloatArray, s: FloatArray) -> Confusion:
    """Confusion of the two branches of an activation that folds once.

    Parameters
    ----------
    phi : ScalarFunction
        The activation, strictly monotone on both sides of `turning`.
    turning : float
        Where it turns.
    t, s : ndarray
        Variance of z + eps given omega and in all, 0 < t <= s, shape (n,).

    Returns
    -------
    Confusion
        Arrays of shape (n,).
    """
    found = np.empty((3, len(t)))
    count = _PANELS * _NODES
    step = max(1, _BLOCK // (count * int(2 * _REACH / _SPACING)))
    for start in range(0, len(t), step):
        rows = slice(start, start + step)
        found[:, rows] = _confusion(phi, turning, t[rows], s[rows])
    return Confusion(*found)


def _confusion(phi: ScalarFunction, turning: float, t: FloatArray, s: FloatArray) -> FloatArray:
    x, weight = np.polynomial.legendre.leggauss(_NODES)
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
    grid = np.arange(-_REACH, _REACH + 0.5 * _SPACING, _SPACING)
    law = normal_density(grid) * _SPACING
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
    # Far out the slope of a branch underflows, and what lies there is told from the rest.
    return other, np.clip(log_ratio, -_LARGEST_LOG, _LARGEST_LOG)
