"""Arrays of points in, columns out: the one evaluator of `bound`, `sweep` and the Python interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmi.activations import Activation, unresolved
from mfmi.activations import get as get_activation
from mfmi.arguments.arrays import FloatArray
from mfmi.arguments.ranges import LAYERS_AT_ONCE, OFFSETS_AT_ONCE
from mfmi.bounds import convolutional
from mfmi.bounds.estimate import Estimate
from mfmi.bounds.estimators import REGISTRY
from mfmi.bounds.modes import ModePropagation
from mfmi.bounds.offsets import most_offsets
from mfmi.bounds.optional_columns import DERIVED, pairwise
from mfmi.bounds.optional_columns import REGISTRY as OPTIONAL_REGISTRY
from mfmi.bounds.problem import Problem
from mfmi.bounds.propagation import Propagation
from mfmi.bounds.structured import COUPLED, EXPONENTS, PLAIN_TOO, evaluate_structured
from mfmi.bounds.view import OVERFLOW, TWO_MINIMA, UNBOUNDED, View
from mfmi.columns import DATA_NAMES, INFORMATION, OPTIONAL_NAMES, TOTAL, columns_with
from mfmi.meanfield import FixedPoint, fixed_point, pair_gaps, trajectory
from mfmi.names import ESTIMATORS, LOWER_BOUNDS, NOISE_PLACEMENTS, OBSERVABLES, UNITS, UPPER_BOUNDS
from mfmi.networks.model import SQUARE, Model, reason_against
from mfmi.networks.points import Points
from mfmi.networks.structure import check as check_structure

# Functions of a problem by the column that they fill.
Quantities = Mapping[str, Callable[[Problem], Estimate]]

# Columns that speak of the exact potential; a bound's minima are its own affair.
_EXACT = ("mi_replica", "mmse")
# What takes the smallest of the minima that it finds, and what is never below the smallest of all: any of its minima.
SEARCHED, _ABOVE = ("layerwise", "fisher", "replica"), ("replica", *UPPER_BOUNDS)
# What the tables of the exact channel may lose, relative and in nats; the bounds have taken their own errors off.
_RELATIVE, _ABSOLUTE = 1e-5, 1e-8
# Columns of convolutions of correlated inputs that are those of dense networks, and why others are null.
_OF_POSITIONS = {name: OPTIONAL_REGISTRY[name] for name in ("jacobian_mean", "jacobian_variance")}
# Columns for which there is a linear network, with the gains at all offsets of all layers.
_OF_OFFSETS = {"mi_linear", "mi_covariance_upper", "mi_linear_error", "mi_covariance_upper_error"}
_MISSED = "{}: the search missed a minimum"


def evaluate_points(
    points: Points,
    depths: ArrayLike,
    estimators: Sequence[str],
    unit: str = "nats",
    optional: Sequence[str] = (),
    model: Model = SQUARE,
    fields: MeanFields | None = None,
) -> dict[str, NDArray[Any]]:
    """Mean field and information of n points at D depths.

    Parameters
    ----------
    points : the networks.
    depths : observed layers, shape (D,) for all points or (n, D), whole numbers from 1.
    estimators : names out of `mfmi.names.ESTIMATORS`.
    unit : "nats" or "bits" per input dimension, for the `mi_` columns.
    optional : names of columns after the contract's, out of `mfmi.columns.OPTIONAL`, and of `OF_DATA` where the model
        has a data set.
    model : what all networks have in common, square layers of any depth by default.
    fields : the mean field of the points' networks, where they are asked for again at other depths.

    Returns
    -------
    dict
        One array of length n * D per column of `columns_with(optional)`, in that order, points slow and
        depths fast. NaN in a float column means that there is no value. A point without a value says why in `status`
        and `message`. A row is a function of its point alone, whatever other points and depths are asked for, and of
        `model.tables`, which moves `mi_replica` within its error; other estimators change no more than what speaks of
        all of them: `mi_lower`, `mi_upper`, `status` and `message`.

    Raises
    ------
    ValueError
        For an unknown name, or a depth below 1 or beyond the model's layers.
    """
    table = np.atleast_1d(np.asarray(depths))
    if table.size == 0 or not np.issubdtype(table.dtype, np.integer) or table.min() < 1:
        raise ValueError(f"depth must be whole numbers from 1, not {depths!r}")
    _check_names(points, (estimators, optional), unit, model)
    model.ratios(int(table.max()))
    model = model.for_layers(int(table.sum()) * len(points) // len(table))
    layers = np.broadcast_to(table, (len(points), table.shape[-1])).astype(np.intp)
    shape = layers.shape
    columns: dict[str, NDArray[Any]] = {}
    wanted = columns_with(optional)
    for column in wanted:
        text = column.dtype == "string"
        columns[column.name] = np.full(shape, "" if text else np.nan, dtype=object if text else np.float64)
    columns |= points.settings(layers)
    if model.scales is not None:
        for name, factor in zip(("sigma_w", "sigma_b"), model.scales.variances(int(table.max())), strict=True):
            columns[name] *= np.sqrt(factor[layers - 1])
    columns["status"][:] = "ok"
    asked = (*(f"mi_{name}" for name in estimators), *(n for n in OPTIONAL_NAMES if n in optional and n not in DERIVED))
    _fill(points, layers, asked, columns, model, fields or MeanFields(int(table.max())))
    _bounds(columns, estimators, _missed(columns, estimators))
    for name in DERIVED.keys() & set(optional):
        columns[name] = np.where(points.is_plain[:, None], DERIVED[name](columns, model), np.nan)
    if model.data and set(DATA_NAMES) & set(optional):
        for name, values in zip(DATA_NAMES, pairwise(points, layers, model.data, model.observe), strict=True):
            columns[name] = values
    if unit == "bits":
        for column in wanted:
            if column.unit in (INFORMATION, TOTAL):
                columns[column.name] /= np.log(2.0)
    return {name: values.ravel() for name, values in columns.items()}


def _fill(
    points: Points,
    layers: NDArray[np.intp],
    asked: Sequence[str],
    columns: dict[str, NDArray[Any]],
    model: Model,
    fields: MeanFields,
) -> None:
    """Fill the columns `asked` and those of the mean field, each activation by itself and plain networks apart."""
    known = convolutional.REGISTRY | _OF_POSITIONS if model.mixes else REGISTRY | OPTIONAL_REGISTRY
    quantities = {name: known[name] for name in asked if name in known}
    both = [name for name in asked if name in PLAIN_TOO]
    others_of = {name: quantity for name, quantity in quantities.items() if name not in PLAIN_TOO}
    plain = points.is_plain
    for rows in _groups(points.activation):
        stacks, others = rows[plain[rows]], rows[~plain[rows]]
        # Of gaussian and orthogonal weights the bound by the covariance is sharper there.
        sharp = np.array([not _only_general(label, model) for label in points.weights[stacks]], dtype=bool)
        for some, wanted in ((stacks[sharp], others_of), (stacks[~sharp], quantities)):
            if len(some):
                out = View(columns, some)
                phi: Any = points.activation[some[0]]  # a name, or the activation itself
                for few in _together(get_activation(phi), len(some), int(layers[some].max())):
                    part = some[few]
                    _evaluate_activation(points[part], layers[part], wanted, out.take(few), model, fields)
                _note_unknown(asked, known, out, layers[some])
                if both and wanted is others_of:
                    evaluate_structured(points[some], layers[some], both, out, model, mean_field=False)
        if len(others):
            evaluate_structured(points[others], layers[others], asked, View(columns, others), model)


def _together(phi: Activation, count: int, deepest: int) -> Iterator[NDArray[np.intp]]:
    """Positions of points whose offsets in all layers fit the memory: near kinks deep networks have many of them."""
    size = max(1, OFFSETS_AT_ONCE // (deepest * most_offsets(phi, deepest))) if phi.kinks else count
    return (np.arange(start, min(start + size, count)) for start in range(0, count, size))


def _note_unknown(asked: Sequence[str], known: Quantities, out: View, layers: NDArray[np.intp]) -> None:
    """Say which columns of convolutions have no value."""
    unknown = [name.removeprefix("mi_") for name in asked if name not in known and name not in EXPONENTS]
    if unknown:
        row, column = np.indices(layers.shape).reshape(2, -1)
        out.note("ok", f"{', '.join(unknown)}: {COUPLED}", (row, column))


def _only_general(weights: str, model: Model) -> bool:
    """Whether bounds of plain networks exist that those of `evaluate_structured` do not know."""
    return model.observe == OBSERVABLES[0] and bool(reason_against(weights, model))


class MeanFields:
    """Mean field of networks down to a depth, worked out once for all that is asked of them.

    Parameters
    ----------
    deepest : the number of layers.
    """

    def __init__(self, deepest: int) -> None:
        self.deepest = deepest
        self._known: dict[tuple[str, bytes], tuple[Propagation, FixedPoint]] = {}

    def of(self, phi: Activation, settings: FloatArray, model: Model = SQUARE) -> tuple[Propagation, FixedPoint]:
        """Trajectories and fixed points, of rows of `sigma_w, sigma_b, sigma_h, input_variance, correlation`.

        With scales of the layers there are as many fixed points for each row as layers, one after the other: those of
        networks all of whose layers are like that one.
        """
        scales = model.scales
        key = phi.name, settings.tobytes()
        for other, (propagation, _) in self._known.items():
            if other != key:
                propagation.forget()
        if key not in self._known:
            w, b, h, q_x, c_0 = settings.T
            every: tuple[FloatArray, ...] = (w, b, h, q_x)
            layered = w * w, b * b
            if scales is not None:
                factors = scales.variances(self.deepest)
                layered = np.outer(w * w, factors[0]), np.outer(b * b, factors[1])
                every = *(np.sqrt(one).ravel() for one in layered), *(np.repeat(one, self.deepest) for one in (h, q_x))
            with np.errstate(over="ignore", invalid="ignore"):
                path = trajectory(phi, *layered, h * h, q_x, c_0, self.deepest)
            ends = fixed_point(phi, sigma_w=every[0], sigma_b=every[1], sigma_noise=every[2], input_variance=every[3])
            found = Propagation(phi, path, h * h)
            if model.convolution is not None and model.mixes:
                waves = model.convolution.modes
                gaps = pair_gaps(phi, path, layered[0], h * h, q_x, waves.correlation)
                found = replace(found, modes=ModePropagation.of(found, waves, gaps))
            self._known[key] = found, ends
        return self._known[key]


def _check_names(points: Points, wanted: tuple[Sequence[str], Sequence[str]], unit: str, model: Model) -> None:
    estimators, optional = wanted
    allowed = {"estimators": (set(estimators), ESTIMATORS), "unit": ({unit}, UNITS)}
    allowed["columns"] = (set(optional), OPTIONAL_NAMES + (DATA_NAMES if model.data else ()))
    allowed["weights"] = (set(points.weights), model.known_weights)
    allowed["noise_at"] = (set(points.noise_at), NOISE_PLACEMENTS)
    for name, (given, known) in allowed.items():
        for wrong in sorted(given - set(known)):
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {wrong!r}")
    if points.structure is not None:
        check_structure(points)
    others = ~points.is_plain
    if others.any():
        for label in dict.fromkeys(points.weights[others]):
            against = reason_against(label, model)
            if against:
                raise ValueError(f"networks with norms, skips or relative noise need {against}")


def _groups(labels: NDArray[Any]) -> Iterator[NDArray[np.intp]]:
    """Positions of each distinct label, in order of first appearance."""
    for label in dict.fromkeys(labels):
        yield np.flatnonzero(labels == label)


def _evaluate_activation(
    points: Points, layers: NDArray[np.intp], quantities: Quantities, out: View, model: Model, fields: MeanFields
) -> None:
    phi = get_activation(points.activation[0])
    hidden = np.where(points.noise_at == "every", points.sigma_noise, 0.0)
    settings = np.stack([points.sigma_w, points.sigma_b, hidden, points.input_variance, points.correlation], axis=1)
    distinct, which = np.unique(settings, axis=0, return_inverse=True)
    which = which.ravel()
    row, column = np.indices(layers.shape).reshape(2, -1)
    entries = (row, column)
    propagation, ends = fields.of(phi, distinct, model)
    path = propagation.path
    at = (which[row], layers.ravel() - 1)
    own = at[0] if model.scales is None else at[0] * fields.deepest + at[1]
    for name in ("q_star", "c_star", "chi_1", "xi_q", "xi_c", "phase"):
        out.put(name, getattr(ends, name)[own], entries)
    q = path.q[at]
    finite = np.isfinite(q)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Without variance there is no correlation, and c is null.
        c = 1.0 - path.gap[at] / q
    out.put("q", np.where(finite, q, np.nan), entries)
    out.put("c", np.where(q > 0.0, c, np.nan), entries)
    out.put("chi", path.chi[at], entries)
    # A layer of its own scales is not repeated without end.
    unbounded = (ends.phase[own] == "unbounded") & (model.scales is None)
    out.note("unbounded", UNBOUNDED, (row[unbounded & finite], column[unbounded & finite]))
    overflows = np.any(np.isinf(path.q[which[row]]), axis=1)
    out.note("failed", OVERFLOW, (row[~finite & overflows], column[~finite & overflows]))
    out.note(
        "failed", unresolved(phi.name, phi.largest_variance), (row[~finite & ~overflows], column[~finite & ~overflows])
    )
    messages = np.where(ends.status[own] == "unconverged", ends.message[own], "")
    for message in sorted(set(messages) - {""}):
        noted = finite & (messages == message)
        out.note("unconverged", message, (row[noted], column[noted]))
    for rows in _groups(points.weights):
        row, column = np.indices((len(rows), layers.shape[1])).reshape(2, -1)
        problem = Problem(
            propagation,
            which[rows[row]],
            str(points.weights[rows[0]]),
            points.sigma_w[rows[row]] ** 2,
            points.sigma_noise[rows[row]] ** 2,
            points.input_variance[rows[row]],
            layers[rows].ravel(),
            model,
        )
        quiet = problem.is_quiet
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            offsets = propagation.surrogate.weight.shape[-1] if _OF_OFFSETS & set(quantities) else 1
        for chosen in _similar(problem.depth, model.networks_a_point, offsets):
            for alike in (chosen[quiet[chosen]], chosen[~quiet[chosen]]):
                if len(alike):
                    _estimate(problem.take(alike), quantities, out, (rows[row[alike]], column[alike]))


def _similar(depths: NDArray[np.intp], networks: int, offsets: int) -> Iterator[NDArray[np.intp]]:
    """Positions of depths within a quarter of each other: solved together they waste little and save turns.

    As many as fit the memory, which holds every layer up to the deepest of each, of as many networks as a point is,
    and as many offsets of every layer.
    """
    most = min(LAYERS_AT_ONCE, OFFSETS_AT_ONCE // offsets)
    left = np.unique(depths)
    while len(left):
        together = left[left <= max(left[0], int(1.25 * left[0]))]
        positions = np.flatnonzero(np.isin(depths, together))
        size = max(1, most // (networks * int(together[-1])))
        yield from (positions[start : start + size] for start in range(0, len(positions), size))
        left = left[len(together) :]


def _estimate(
    problem: Problem,
    quantities: Quantities,
    out: View,
    where: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> None:
    usable = np.flatnonzero(np.isfinite(problem.observed(problem.path.q)))
    if not len(usable):
        return
    if len(usable) < len(problem.rows):
        problem, where = problem.take(usable), (where[0][usable], where[1][usable])
    for name, quantity in quantities.items():
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = quantity(problem)
        out.put(name, np.where(found.converged, found.value, np.nan), where)
        if name in _EXACT:
            two = np.flatnonzero(found.converged & found.coexisting)
            out.note_once("ok", TWO_MINIMA, (where[0][two], where[1][two]))
        out.note_lost(name, ~found.converged, found.residual, where)


def _missed(columns: dict[str, NDArray[Any]], estimators: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Points, by estimator, whose value exceeds an upper bound on it because the search missed a minimum.

    The row says so. The value stays, for a column must not depend on what else is asked for.
    """
    out = View(columns, np.arange(len(columns["status"])))
    missed: dict[str, NDArray[np.bool_]] = {}
    for name in SEARCHED:
        for above in _ABOVE:
            if name == above or not {name, above} <= set(estimators):
                continue
            value, most = columns[f"mi_{name}"], columns[f"mi_{above}"]
            too_large = value > most * (1.0 + _RELATIVE) + _ABSOLUTE
            rows, layers = np.nonzero(too_large)
            message = f"{_MISSED.format(name)}, for it ended above {above}"
            out.note("unconverged", message, (rows, layers))
            missed[name] = missed.get(name, np.zeros_like(too_large)) | too_large
    return missed


def has_missed(name: str, messages: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether rows say of an estimator that its value is not that of the smallest minimum; shape of `messages`."""
    return np.array([_MISSED.format(name) in text for text in messages.flat], dtype=bool).reshape(messages.shape)


def _bounds(
    columns: dict[str, NDArray[Any]], estimators: Sequence[str], missed: Mapping[str, NDArray[np.bool_]]
) -> None:
    """The best of the bounds asked for but those that have `missed` a minimum, NaN where none exists."""
    for column, names, best in (("mi_lower", LOWER_BOUNDS, np.fmax), ("mi_upper", UPPER_BOUNDS, np.fmin)):
        bounds = [
            np.where(missed.get(name, False), np.nan, columns[f"mi_{name}"]) for name in names if name in estimators
        ]
        if bounds:
            columns[column] = best.reduce(bounds)
