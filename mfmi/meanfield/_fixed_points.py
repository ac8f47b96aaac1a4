"""Fixed points of the length and correlation maps, phases and depth scales (theory (5)-(6))."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import Activation
from mfmi.activations import get as get_activation
from mfmi.arguments.arrays import FloatArray
from mfmi.arguments.checks import broadcast_arrays, numbers
from mfmi.arguments.ranges import DEVIATION, LARGEST, SMALLEST, Range
from mfmi.meanfield._correlation_map import CRITICAL, correlation_fixed_point
from mfmi.meanfield._length_map import S_MIN, length_map_grid, reached, roots, unsearched
from mfmi.meanfield._table import PointTable, in_parts, joined
from mfmi.processes.progress import OnProgress
from mfmi.processes.reporting import reporting


@dataclass(frozen=True)
class FixedPoint(PointTable):
    """Fixed points, phase and depth scales of a network, each field of the broadcast shape of the arguments.

    Attributes
    ----------
    q_star : pre-activation variance the input ends at, without the layer's noise; NaN in the unbounded phase.
    c_star : correlation two inputs end at; 1 in the ordered phase without hidden noise.
    chi_1 : slope of the correlation map at correlation 1 (theory (5)); the edge of chaos is 1.
    chi_q : slope of the length map at `q_star`.
    chi_c : slope of the correlation map at `c_star`.
    xi_q, xi_c, xi_grad : depth scales in layers (theory (6)); inf where the slope is 1, 0 where it is 0. `xi_grad` is
        negative in the chaotic phase: gradients then grow with depth, by e in so many layers.
    phase : "ordered", "critical", "chaotic" or "unbounded"; None where it is not known.
    n_stable : number of attracting fixed points of the length map; above 1, another input variance may end elsewhere.
    residual : relative mismatch of the length map at the fixed point.
    status : "ok", "unbounded" or, where something of the above is not known, "unconverged".
    message : what is not known and why, of an "ok" point whether `n_stable` may miss some; empty otherwise.
    """

    q_star: Any
    c_star: Any
    chi_1: Any
    chi_q: Any
    chi_c: Any
    xi_q: Any
    xi_c: Any
    xi_grad: Any
    phase: Any
    n_stable: Any
    residual: Any
    status: Any
    message: Any


@dataclass(frozen=True)
class FixedPoints(PointTable):
    """All fixed points of the length map, attracting or not, each field of shape (m,).

    A network without an entry has none. One whose map is not known at all variances has at least one entry: where
    nothing was found below, one without numbers and of the status "unconverged".

    Attributes
    ----------
    index : position of the network (in the flattened broadcast arguments) that the entry belongs to.
    q_star : pre-activation variance there, without the layer's noise.
    chi_q : slope of the length map there.
    stable : whether it attracts its neighbourhood.
    reached : whether the input ends there.
    c_star, chi_1, chi_c, xi_q, xi_c, xi_grad, phase : as in `FixedPoint`, of a network whose variance is `q_star`.
    status : "ok" or, where something of the above is not known, "unconverged".
    message : what is not known and why, further fixed points of the network included; empty otherwise.
    """

    index: NDArray[np.intp]
    q_star: FloatArray
    chi_q: FloatArray
    stable: NDArray[np.bool_]
    reached: NDArray[np.bool_]
    c_star: FloatArray
    chi_1: FloatArray
    chi_c: FloatArray
    xi_q: FloatArray
    xi_c: FloatArray
    xi_grad: FloatArray
    phase: NDArray[np.object_]
    status: NDArray[np.object_]
    message: NDArray[np.object_]


# What overflows is inf and reported as such.
@np.errstate(over="ignore", invalid="ignore")
def fixed_point(
    activation: str | Activation | Callable[..., Any],
    *,
    sigma_w: ArrayLike,
    sigma_b: ArrayLike = 0.0,
    sigma_noise: ArrayLike = 0.0,
    input_variance: ArrayLike = 1.0,
    progress: bool | OnProgress = False,
) -> FixedPoint:
    """Fixed points, phase and depth scales (theory (5)-(6)).

    Parameters
    ----------
    activation : name, vectorised function, or an `Activation`.
    sigma_w, sigma_b : standard deviations of weights and biases; broadcast against each other.
    sigma_noise : standard deviation of the noise in the hidden layers; 0 for noise at the output only.
    input_variance : variance of an input entry; decides which of several fixed points is reached.
    progress : True to say on standard error how far it is, or a function that is called with a `mfmi.Progress`.

    Returns
    -------
    FixedPoint
        Scalars where all arguments are scalars, else arrays of the broadcast shape.

    Raises
    ------
    ValueError
        For an argument out of range, or an unknown activation.
    """
    phi = get_activation(activation)
    shape, w2, b2, h2, s_1 = _variances(sigma_w, sigma_b, sigma_noise, input_variance)
    with reporting(progress):
        parts = [_of_part(phi, w2[rows], b2[rows], h2[rows], s_1[rows]) for rows in in_parts("fixed points", len(w2))]
    return FixedPoint(**{name: values.reshape(shape)[()] for name, values in joined(parts).items()})


@np.errstate(over="ignore", invalid="ignore")
def is_bounded(
    phi: Activation,
    sigma_w: ArrayLike,
    sigma_b: ArrayLike = 0.0,
    sigma_noise: ArrayLike = 0.0,
    input_variance: ArrayLike = 1.0,
) -> NDArray[np.bool_]:
    """Whether variances stay bounded over the depth: `fixed_point` has a finite `q_star`, at a part of its cost.

    Parameters
    ----------
    phi : the activation.
    sigma_w, sigma_b, sigma_noise, input_variance : as in `fixed_point`.

    Returns
    -------
    numpy.ndarray
        Of the broadcast shape.
    """
    shape, w2, b2, h2, s_1 = _variances(sigma_w, sigma_b, sigma_noise, input_variance)
    parts = [reached(phi, w2[rows], (b2 + h2)[rows], s_1[rows]).s for rows in in_parts("fixed points", len(w2))]
    return np.isfinite(np.concatenate(parts)).reshape(shape)


def _of_part(
    phi: Activation, w2: FloatArray, b2: FloatArray, h2: FloatArray, s_1: FloatArray
) -> dict[str, NDArray[Any]]:
    ends = reached(phi, w2, b2 + h2, s_1)
    found = _scales(phi, w2, b2, h2, ends.s)
    found |= {"n_stable": ends.n_stable, "residual": _residual(phi, w2, b2 + h2, ends.s)}
    certain = certainty(phi, ends.s, found)
    known = unsearched(phi, w2, b2 + h2)
    fewer = (certain["message"] == "") & np.isfinite(known)
    certain["message"][fewer] = [f"n_stable counts fixed points{_as_far(phi, limit)}" for limit in known[fewer]]
    return found | certain


# What overflows is inf and reported as such.
@np.errstate(over="ignore", invalid="ignore")
def fixed_points(
    activation: str | Activation | Callable[..., Any],
    *,
    sigma_w: ArrayLike,
    sigma_b: ArrayLike = 0.0,
    sigma_noise: ArrayLike = 0.0,
    input_variance: ArrayLike = 1.0,
    progress: bool | OnProgress = False,
) -> FixedPoints:
    """Every fixed point of the length map, which of them attract, and which one the input reaches.

    Parameters
    ----------
    activation, sigma_w, sigma_b, sigma_noise, input_variance, progress
        As in `fixed_point`.

    Returns
    -------
    FixedPoints
        Sorted by network, then by `q_star`; empty where there is none. Of a continuum (relu at `sigma_w^2 = 2`) the
        input's own. Where the second moment is not known at all variances every network has an entry, and `message`
        says up to which variance fixed points were looked for.

    Raises
    ------
    ValueError
        For an argument out of range, or an unknown activation.

    Examples
    --------
    >>> import mfmi
    >>> found = mfmi.fixed_points("tanh", sigma_w=1.5)
    >>> found.stable.tolist(), found.q_star.round(3).tolist()
    ([False, True], [0.0, 0.793])
    """
    phi = get_activation(activation)
    _, w2, b2, h2, s_1 = _variances(sigma_w, sigma_b, sigma_noise, input_variance)
    with reporting(progress):
        parts = []
        for rows in in_parts("fixed points", len(w2)):
            part = _all_of_part(phi, w2[rows], b2[rows], h2[rows], s_1[rows])
            parts.append(part | {"index": part["index"] + rows.start})
    return FixedPoints(**joined(parts))


def _all_of_part(
    phi: Activation, w2: FloatArray, b2: FloatArray, h2: FloatArray, s_1: FloatArray
) -> dict[str, NDArray[Any]]:
    found, known = roots(phi, w2, b2 + h2, s_1), unsearched(phi, w2, b2 + h2)
    # Where nothing was found and not everything was searched, a row says so.
    silent = np.setdiff1d(np.flatnonzero(np.isfinite(known)), found.row)
    row, s = np.append(found.row, silent), np.append(found.s, np.full(len(silent), np.nan))
    attracting = np.append(found.attracting, np.zeros(len(silent), dtype=np.bool_))
    order = np.argsort(row, kind="stable")
    row, s, attracting = row[order], s[order], attracting[order]
    end = reached(phi, w2, b2 + h2, s_1).s[row]
    scales = _scales(phi, w2[row], b2[row], h2[row], s)
    # Both come out of the same bracket, but for a continuum, which has one entry.
    at_end = np.isfinite(end) & (np.abs(s - end) <= CRITICAL * end)
    certain = certainty(phi, s, scales)
    fewer = np.isfinite(known[row]) & (np.isnan(s) | (certain["message"] == ""))
    words = np.where(np.isnan(s), "no fixed point", "the list has fixed points")
    certain["message"][fewer] = [
        f"{start}{_as_far(phi, limit)}" for start, limit in zip(words[fewer], known[row][fewer], strict=True)
    ]
    return {"index": row, "stable": attracting, "reached": at_end, **scales, **certain}


# Of the mean field any number may be 0, also the variance of the input.
_TAKEN = {
    "sigma_w": DEVIATION,
    "sigma_b": DEVIATION,
    "sigma_noise": DEVIATION,
    "input_variance": Range(SMALLEST, LARGEST, zero=True),
}


def broadcast(**given: ArrayLike) -> list[FloatArray]:
    """The named arguments as arrays of one shape; a ValueError names the one that is wrong."""
    arrays = {name: numbers(name, value, _TAKEN[name]) for name, value in given.items()}
    return broadcast_arrays(arrays)


def _variances(
    sigma_w: ArrayLike, sigma_b: ArrayLike, sigma_noise: ArrayLike, input_variance: ArrayLike
) -> tuple[tuple[int, ...], FloatArray, FloatArray, FloatArray, FloatArray]:
    """Broadcast shape, and flat: variances of weights, biases and noise, and the one that the first layer sees."""
    arrays = broadcast(sigma_w=sigma_w, sigma_b=sigma_b, sigma_noise=sigma_noise, input_variance=input_variance)
    w, b, h, q_x = (array.ravel() for array in arrays)
    return arrays[0].shape, w * w, b * b, h * h, w * w * q_x + b * b + h * h


def _scales(phi: Activation, w2: FloatArray, b2: FloatArray, h2: FloatArray, s: FloatArray) -> dict[str, NDArray[Any]]:
    """Slopes, depth scales and phase at a fixed point s; NaN where s is not finite."""
    bounded = np.isfinite(s)
    at = np.where(bounded, s, 1.0)
    # Not s - h2, which would lose what is small beside the noise.
    q_star = np.where(h2 > 0.0, w2 * np.asarray(phi.second_moment(at)) + b2, at)
    chi_1 = w2 * slope_moment(phi, at)
    chi_q = _length_slope(phi, w2, at)
    q_star, chi_1, chi_q = (np.where(bounded, value, np.nan) for value in (q_star, chi_1, chi_q))
    c_star, chi_c = correlation_fixed_point(phi, w2, b2, h2, at, q_star, chi_1)
    return scales_of(phi, s, (q_star, c_star), (chi_1, chi_q, chi_c))


def _length_slope(phi: Activation, w2: FloatArray, s: FloatArray) -> FloatArray:
    """`sigma_w^2 V'(s)`; infinite at s = 0 where V itself jumps: a step at 0 whose phi(0) lies between its sides."""
    slope = w2 * np.asarray(phi.second_moment_slope(s))
    if phi.jumps:
        rise = float(phi.second_moment(S_MIN)) - float(phi.second_moment(0.0))
        slope[(s == 0.0) & (w2 * abs(rise) > S_MIN)] = math.copysign(math.inf, rise)
    return slope


def scales_of(
    phi: Activation,
    s: FloatArray,
    ends: tuple[FloatArray, FloatArray],
    slopes: tuple[FloatArray, FloatArray, FloatArray],
) -> dict[str, NDArray[Any]]:
    """Depth scales and phase of the slopes at a fixed point.

    Parameters
    ----------
    phi : the activation.
    s : the variance that it sees there, shape (n,); inf in the unbounded phase, NaN where it is not known.
    ends : `q_star` and `c_star`.
    slopes : `chi_1`, `chi_q` and `chi_c`.
    """
    (q_star, c_star), (chi_1, chi_q, chi_c) = ends, slopes
    bounded = np.isfinite(s)
    phase = np.where(chi_1 < 1.0, "ordered", "chaotic").astype(object)
    phase[np.abs(chi_1 - 1.0) <= CRITICAL] = "critical"
    # Only a step has a slope that is none and yet chaotic, being infinite.
    phase[~bounded | (np.isnan(chi_1) & phi.differentiable)] = None
    phase[np.isposinf(s)] = "unbounded"
    scales = {f"xi_{name}": _depth_scale(slope) for name, slope in (("q", chi_q), ("c", chi_c), ("grad", chi_1))}
    return {
        "q_star": np.where(bounded, q_star, np.nan),
        "c_star": c_star,
        "chi_1": chi_1,
        "chi_q": chi_q,
        "chi_c": chi_c,
        **scales,
        "phase": phase,
    }


def _residual(phi: Activation, w2: FloatArray, shift: FloatArray, s: FloatArray) -> FloatArray:
    """Relative mismatch of the length map at s; NaN where s is not finite."""
    positive = np.isfinite(s) & (s > 0.0)
    at = np.where(positive, s, 1.0)
    mismatch = np.abs(w2 * np.asarray(phi.second_moment(at)) + shift - at) / at
    return np.where(positive, mismatch, np.where(np.isfinite(s), 0.0, np.nan))


def certainty(phi: Activation, s: FloatArray, found: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Status and message of fixed points s."""
    status, message = np.full((2, len(s)), "", dtype=object)
    status[:] = np.where(np.isposinf(s), "unbounded", "ok")
    for unknown, words in (
        (np.isnan(s), f"the fixed point is not known: {phi.name} has no second moment{_beyond(phi)}"),
        (np.isfinite(s) & (found["phase"] == None), "chi_1 is not known: the slope has no second moment there"),  # noqa: E711
        (np.isfinite(s) & np.isnan(found["c_star"]), "c_star is not known: the correlation map has no value there"),
    ):
        new = unknown & (status == "ok")
        status[new], message[new] = "unconverged", words
    return {"status": status, "message": message}


def _as_far(phi: Activation, known: float) -> str:
    return f" up to a variance of {known:.3g}, beyond which the second moment of {phi.name} is not known"


def _beyond(phi: Activation) -> str:
    known = np.inf if phi.homogeneous else length_map_grid(phi).known_up_to
    return f" that is known at variances above {known:.3g}" if np.isfinite(known) else ""


def _depth_scale(slope: FloatArray) -> FloatArray:
    """`-1 / ln |slope|`; inf at slope 1, where memory is not lost exponentially."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # Not -0 where the slope is infinite.
        scale = 0.0 - 1.0 / np.log(np.abs(slope))
    return np.where(np.abs(np.abs(slope) - 1.0) <= CRITICAL, np.inf, np.where(slope == 0.0, 0.0, scale))


def slope_moment(phi: Activation, s: FloatArray) -> FloatArray:
    """`E phi'^2`, with its limit at s = 0; NaN for an activation without derivative."""
    if not phi.differentiable:
        return np.full_like(s, np.nan)
    positive = s > 0.0
    moment = np.asarray(phi.slope_moment(np.where(positive, s, 1.0)))
    return np.where(positive, moment, phi.slope_at_zero_squared)
