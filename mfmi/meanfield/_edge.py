"""The edge of chaos, every branch of it (theory (7))."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import elementwise

from mfmi.activations import Activation
from mfmi.activations import get as get_activation
from mfmi.arguments.arrays import FloatArray
from mfmi.arguments.checks import number
from mfmi.arguments.ranges import DEVIATION
from mfmi.errors import shown
from mfmi.meanfield._fixed_points import broadcast, fixed_point, slope_moment
from mfmi.meanfield._length_map import MAP_ROUNDING, length_map_grid
from mfmi.meanfield._table import PointTable, in_parts, joined
from mfmi.processes.progress import OnProgress
from mfmi.processes.reporting import reporting
from mfmi.quadrature.roots import brackets, solve

# Relative distance of sigma_w from a marginal one that rounding of its square explains.
_MARGINAL = 8.0 * np.finfo(np.float64).eps

# The slope of the length map up to which a point of the edge counts as attracting.
_ATTRACTING = 1.0 + 1e-9

# Relative distance within which the fixed point that a network reaches is the one on the edge; at chi_q near 1 it moves
# by far more than the rounding of sigma_w.
_SAME = 1e-5

# Variances between which the curve is followed.
_CURVE = (1e-8, 1e6)


@dataclass(frozen=True)
class EdgeOfChaos(PointTable):
    """Points of the edge of chaos, one entry per branch and argument, each field of shape (m,).

    An argument without an entry has no edge. One whose edge is not known at all variances has at least one entry: where
    nothing was found below, one without numbers and of the status "unconverged".

    Attributes
    ----------
    index : position of the argument (in the flattened broadcast arguments) that the entry answers.
    sigma_b, sigma_w : standard deviations of biases and weights on the edge.
    q_star : pre-activation variance there; NaN where a continuum of variances lies on the edge (relu).
    chi_q : slope of the length map there. Above 1 the fixed point repels and a real network ends elsewhere.
    stable : whether the fixed point attracts (`chi_q <= 1`).
    reached : whether an input of the given variance ends there; with several fixed points another may be in its way.
    kind : "interior", "zero" (limit of vanishing variance) or "continuum"; None where there is no number.
    status : "ok", or "unconverged" where there is no number.
    message : that further branches are not known, and why; empty where all are.
    """

    index: NDArray[np.int64]
    sigma_b: FloatArray
    sigma_w: FloatArray
    q_star: FloatArray
    chi_q: FloatArray
    stable: NDArray[np.bool_]
    reached: NDArray[np.bool_]
    kind: NDArray[np.object_]
    status: NDArray[np.object_]
    message: NDArray[np.object_]

    @property
    def found(self) -> EdgeOfChaos:
        """The points alone, without the entries that have no number."""
        known = self.status == "ok"
        return EdgeOfChaos(**{name: values[known] for name, values in self.items()})


@dataclass(frozen=True)
class _Points:
    """Points of the edge in the making: argument, variance that the activation sees, and kind."""

    index: NDArray[np.intp]
    s: FloatArray
    kind: NDArray[np.object_]


# What overflows is inf and reported as such.
@np.errstate(over="ignore", invalid="ignore")
def edge_of_chaos(
    activation: str | Activation | Callable[..., Any],
    sigma_b: ArrayLike | None = None,
    sigma_noise: ArrayLike = 0.0,
    *,
    sigma_w: ArrayLike | None = None,
    input_variance: ArrayLike = 1.0,
    progress: bool | OnProgress = False,
) -> EdgeOfChaos:
    """Every branch of the edge of chaos at given biases, or at given weights (theory (7)).

    Parameters
    ----------
    activation : name, vectorised function, or an `Activation`.
    sigma_b : standard deviation of the biases (default 0), shape (n,) or scalar.
    sigma_noise : standard deviation of the noise in the hidden layers; 0 for noise at the output only.
    sigma_w : standard deviation of the weights, instead of `sigma_b`.
    input_variance : variance of an input entry, which decides `reached`.
    progress : True to say on standard error how far it is, or a function that is called with a `mfmi.Progress`.

    Returns
    -------
    EdgeOfChaos
        Sorted by argument, then by `q_star`; empty where there is no edge. Where moments are not known at all
        variances every argument has an entry, and `message` says up to which one the edge was looked for.

    Raises
    ------
    ValueError
        For an argument out of range, an unknown activation, one without a derivative, or both standard deviations at
        once.

    Examples
    --------
    >>> import mfmi
    >>> edge = mfmi.edge_of_chaos("tanh", sigma_b=[0.0, 0.1])
    >>> edge.sigma_w.round(4).tolist()
    [1.0, 1.1934]
    >>> sorted(edge.to_frame().columns)
    ['chi_q', 'index', 'kind', 'message', 'q_star', 'reached', 'sigma_b', 'sigma_w', 'stable', 'status']
    """
    phi = get_activation(activation)
    if sigma_b is not None and sigma_w is not None:
        raise ValueError(f"sigma_w: {shown(sigma_w)} does not go with sigma_b; give sigma_b or sigma_w, not both")
    if not phi.differentiable:
        raise ValueError(f"activation {phi.name} has no derivative, so its chi_1 and edge of chaos do not exist")
    by_weight = sigma_w is not None
    name, given = ("sigma_w", sigma_w) if sigma_w is not None else ("sigma_b", 0.0 if sigma_b is None else sigma_b)
    named = {name: given, "sigma_noise": sigma_noise, "input_variance": input_variance}
    axis, noise, q_x = (array.ravel() for array in broadcast(**named))
    target, h2 = axis * axis, noise * noise
    of_edge = _homogeneous if phi.homogeneous else _branches
    with reporting(progress):
        parts = []
        for rows in in_parts("edge of chaos", len(target)):
            points = of_edge(phi, target[rows], h2[rows], by_weight)
            part = _table(phi, target[rows], h2[rows], q_x[rows], points, by_weight)
            part = _with_unknown(phi, axis[rows], part, by_weight)
            parts.append(part | {"index": part["index"] + rows.start})
    return EdgeOfChaos(**joined(parts))


@dataclass(frozen=True)
class EdgeCurve(PointTable):
    """The edge of chaos as one curve, each field of shape (m,); NaN between its pieces.

    Attributes
    ----------
    sigma_b, sigma_w, q_star, chi_q, stable : as in `EdgeOfChaos`, in order of growing `q_star`.
    """

    sigma_b: FloatArray
    sigma_w: FloatArray
    q_star: FloatArray
    chi_q: FloatArray
    stable: NDArray[np.bool_]


# What overflows is inf and reported as such.
@np.errstate(over="ignore", invalid="ignore")
def edge_curve(activation: str | Activation, sigma_noise: float = 0.0, points: int = 3000) -> EdgeCurve:
    """The whole edge of chaos, followed by its variance (theory (7)): no search, and no branch that could be missed.

    Parameters
    ----------
    activation : name, or an `Activation`.
    sigma_noise : standard deviation of the noise in the hidden layers; 0 for noise at the output only.
    points : number of variances.

    Returns
    -------
    EdgeCurve
        A single point where every variance lies on the same one (relu without noise); empty without an edge. It ends
        where moments are not known.

    Raises
    ------
    ValueError
        For an argument out of range, an unknown activation or one without a derivative.
    """
    phi = get_activation(activation)
    if not phi.differentiable:
        raise ValueError(f"activation {phi.name} has no derivative, so its chi_1 and edge of chaos do not exist")
    h2 = number("sigma_noise", sigma_noise, DEVIATION) ** 2
    if phi.homogeneous:
        edge = edge_of_chaos(phi, 0.0, sigma_noise)
        return EdgeCurve(edge.sigma_b, edge.sigma_w, edge.q_star, edge.chi_q, edge.stable)
    q = np.geomspace(_CURVE[0], _CURVE[1], points)
    s = q + h2
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        w2 = 1.0 / _gain(phi, s)
        b2 = q - w2 * np.asarray(phi.second_moment(s))
        # What is left of a difference of equal terms at small variances is rounding.
        b2[np.abs(b2) <= MAP_ROUNDING * s] = 0.0
        on_it = np.isfinite(w2) & (b2 >= 0.0)
        w, b = (np.where(on_it, np.sqrt(np.where(on_it, part, 0.0)), np.nan) for part in (w2, b2))
        chi_q = np.where(on_it, w2 * np.asarray(phi.second_moment_slope(s)), np.nan)
    return EdgeCurve(b, w, np.where(on_it, q, np.nan), chi_q, np.abs(chi_q) <= _ATTRACTING)


def _table(
    phi: Activation, target: FloatArray, h2: FloatArray, q_x: FloatArray, points: _Points, by_weight: bool
) -> dict[str, NDArray[Any]]:
    index, s, kind = points.index, points.s, points.kind
    gain = np.full_like(s, phi.slope_at_zero_squared) if phi.homogeneous else slope_moment(phi, s)
    w2 = target[index] if by_weight else 1.0 / gain
    # On the boundary lies any variance s of a continuum, of which 1 stands for all.
    boundary = kind != "interior"
    second, error = phi.with_error("second_moment", s)
    needed = np.where(boundary, 0.0, s - h2[index] - w2 * second)
    b2 = needed if by_weight else target[index]
    chi_q = w2 * np.where(boundary, gain, np.asarray(phi.second_moment_slope(s)))
    q_star = np.where(kind == "continuum", np.nan, s - h2[index])
    order = np.lexsort((q_star, index))
    keep = order[(b2 >= -(MAP_ROUNDING * s + w2 * error))[order]]
    w, b = np.sqrt(w2)[keep], np.sqrt(np.maximum(b2, 0.0))[keep]
    q_star, chi_q, kind, index = q_star[keep], chi_q[keep], kind[keep], index[keep]
    end = fixed_point(phi, sigma_w=w, sigma_b=b, sigma_noise=np.sqrt(h2[index]), input_variance=q_x[index])
    return {
        "index": index,
        "sigma_b": b,
        "sigma_w": w,
        "q_star": q_star,
        "chi_q": chi_q,
        "stable": np.abs(chi_q) <= _ATTRACTING,
        "reached": (kind == "continuum") | (np.abs(end.q_star - q_star) <= _SAME * q_star),
        "kind": kind,
    }


def _with_unknown(
    phi: Activation, axis: FloatArray, part: dict[str, NDArray[Any]], by_weight: bool
) -> dict[str, NDArray[Any]]:
    """Status and message of the points, and a row without numbers where none is known and not all was searched."""
    known = np.inf if phi.homogeneous else _edge_grid(phi).known_up_to
    silent = np.setdiff1d(np.arange(len(axis)) if np.isfinite(known) else (), part["index"]).astype(np.intp)
    blank: dict[str, Any] = {"index": silent, "sigma_w" if by_weight else "sigma_b": axis[silent]}
    empty = {"stable": False, "reached": False, "kind": None}
    count = len(part["index"]) + len(silent)
    order = np.argsort(np.append(part["index"], silent), kind="stable")
    table = {
        name: np.append(values, blank.get(name, np.full(len(silent), empty.get(name, np.nan), values.dtype)))[order]
        for name, values in part.items()
    }
    status, message = np.full((2, count), "", dtype=object)
    status[:] = np.where(order < len(part["index"]), "ok", "unconverged")
    if np.isfinite(known):
        limit = f" up to a variance of {known:.3g}, beyond which moments of {phi.name} are not known"
        message[:] = np.where(status == "ok", f"the list has branches{limit}", f"no edge of chaos{limit}")
    return table | {"status": status, "message": message}


def _homogeneous(phi: Activation, target: FloatArray, h2: FloatArray, by_weight: bool) -> _Points:
    """The edge of relu and its kin: one sigma_w without bias and noise, where every variance is a fixed point."""
    gain = phi.slope_at_zero_squared
    on_it = np.abs(target * gain - 1.0) <= _MARGINAL if by_weight else target == 0.0
    # A constant has no slope to make up for.
    index = np.flatnonzero(on_it & (h2 == 0.0) & (gain > 0.0))
    return _Points(index, np.ones(len(index)), np.full(len(index), "continuum", dtype=object))


@dataclass(frozen=True)
class _EdgeGrid:
    """`E phi'^2` and the biases `1 - V / (s E phi'^2)` of theory (7) on a grid, their turning points among the nodes.

    `gain_noise` and `bias_noise` are what they may be off by: their sign counts beyond that. Beyond the variance
    `known_up_to` moments have no value.
    """

    s: FloatArray
    gain: FloatArray
    gain_noise: FloatArray
    bias: FloatArray
    bias_noise: FloatArray
    known_up_to: float


@lru_cache(maxsize=64)
def _edge_grid(phi: Activation) -> _EdgeGrid:
    grid = length_map_grid(phi)
    usable = (np.minimum(grid.slope_moment, grid.second_moment) > 1e-200) & np.isfinite(grid.slope_moment)
    s = grid.s[usable]
    # With its extrema among the nodes a function is monotone between them, and no pair of roots is missed.
    turns = [_turning_points(lambda x: _gain(phi, x), s, 0.0), _turning_points(lambda x: _bias(phi, x), s, 1.0)]
    s = np.unique(np.concatenate((s, *turns)))
    (gain, gain_error), (second, error) = phi.with_error("slope_moment", s), phi.with_error("second_moment", s)
    share = second / (s * gain)
    lost = np.isnan(grid.slope_moment)
    known = float(grid.s[max(int(np.argmax(lost)) - 1, 0)]) if lost.any() else grid.known_up_to
    return _EdgeGrid(s, gain, gain_error, 1.0 - share, share * (gain_error / gain + error / second), known)


def _gain(phi: Activation, s: FloatArray) -> FloatArray:
    return np.asarray(phi.slope_moment(s))


def _bias(phi: Activation, s: FloatArray) -> FloatArray:
    """`sigma_b^2 / s` on the edge without noise."""
    return np.asarray(1.0 - np.asarray(phi.second_moment(s)) / (s * _gain(phi, s)))


def _turning_points(function: Callable[[FloatArray], FloatArray], s: FloatArray, subtracted: float) -> FloatArray:
    """Interior extrema of a function on a grid; `subtracted` is what its rounding is relative to besides itself."""
    values, log_s = function(s), np.log(s)
    low, middle, high = values[:-2], values[1:-1], values[2:]
    margin = MAP_ROUNDING * (np.abs(middle) + subtracted)
    found = []
    for sign in (1.0, -1.0):
        at = np.flatnonzero((sign * (low - middle) > margin) & (sign * (high - middle) > margin))
        if len(at):
            bracket = (log_s[at], log_s[at + 1], log_s[at + 2])
            result = elementwise.find_minimum(functools.partial(_scaled, function, sign), bracket)
            found.append(np.exp(result.x[np.isfinite(result.x)]))
    return np.concatenate(found) if found else np.empty(0)


def _scaled(function: Callable[[FloatArray], FloatArray], factor: float, log_s: FloatArray) -> FloatArray:
    return np.asarray(factor * function(np.exp(log_s)))


def _branches(phi: Activation, target: FloatArray, h2: FloatArray, by_weight: bool) -> _Points:
    """Argument number, s and kind of every point of the edge."""
    grid = _edge_grid(phi)
    if by_weight:
        values = target[:, None] * grid.gain - 1.0
        noise = target[:, None] * grid.gain_noise + MAP_ROUNDING
    else:
        values = grid.bias - (h2 + target)[:, None] / grid.s
        noise = grid.bias_noise + MAP_ROUNDING * (1.0 + (h2 + target)[:, None] / grid.s)
    values[np.abs(values) <= noise] = 0.0

    def mismatch(s: FloatArray, aim: FloatArray, noise: FloatArray) -> FloatArray:
        return aim * _gain(phi, s) - 1.0 if by_weight else _bias(phi, s) - (noise + aim) / s

    rows, lower, upper, _ = brackets(grid.s, values)
    s = solve(mismatch, lower, upper, target[rows], h2[rows])
    inside = s > h2[rows]
    rows, s = rows[inside], s[inside]
    zero = _at_zero(phi, target, h2, by_weight)
    kind = np.concatenate((np.full(len(rows), "interior", dtype=object), np.full(len(zero), "zero", dtype=object)))
    return _Points(np.concatenate((rows, zero)), np.concatenate((s, np.zeros(len(zero)))), kind)


def _at_zero(phi: Activation, target: FloatArray, h2: FloatArray, by_weight: bool) -> NDArray[np.intp]:
    """Arguments whose edge has the limit of vanishing variance as a point: no bias, no noise and phi(0) = 0."""
    slope = phi.slope_at_zero_squared
    if slope <= 0.0 or float(phi(0.0)) != 0.0:
        return np.empty(0, dtype=np.intp)
    on_it = np.abs(target * slope - 1.0) <= _MARGINAL if by_weight else target == 0.0
    return np.flatnonzero(on_it & (h2 == 0.0))
