"""Columns of networks with norms, skips or relative noise, which have maps and bounds of their own (theory (24)-(39)).

`covariance_upper` of plain networks with gaussian or orthogonal weights is sharper here than in `bounds.estimators`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mfmi.activations import get as get_activation
from mfmi.activations import unresolved
from mfmi.arguments.arrays import FloatArray
from mfmi.bounds import covariance, normed, stream_total
from mfmi.bounds.estimate import Estimate, closed
from mfmi.bounds.normed import NormedProblem
from mfmi.bounds.problem import Problem
from mfmi.bounds.readable import readable
from mfmi.bounds.stacks import Readable
from mfmi.bounds.view import OVERFLOW, TWO_MINIMA, UNBOUNDED, Entries, View
from mfmi.channels.observed.activation import is_step
from mfmi.jacobian import residual_moments
from mfmi.meanfield import Architecture, Stream, propagate, stream_ends, units
from mfmi.networks.convolution import Modes
from mfmi.networks.model import Model, reason_against
from mfmi.networks.points import Points
from mfmi.networks.scales import LayerScales
from mfmi.networks.structure import SITES, architecture, flat_range, last_bit, notes

Reasons = NDArray[np.object_]

# Sites times pairs of layers of one row: seconds of work, and a tenth of a gigabyte. Of convolutions at all
# frequencies, which are worked on one after the other.
_MOST_ELEMENTS, _MOST_AT_FREQUENCIES = 1 << 22, 1 << 24
COUPLED = "not known of a convolution of correlated inputs, whose channels couple all positions"
"""Why estimators that rest on the replica formula have no value."""
_OF_LAYERS = "known of networks without skips and with one matrix per layer"
_OF_DENSE = "not known of correlated positions with norms, skips or relative noise"
_TOO_DEEP = "linear: a residual stream this deep is out of reach"
_CRUDE = "covariance_upper: maximum entropy without the covariance between neurons, for a residual stream this deep"
_ENDS = ("q_star", "c_star", "chi_1", "xi_q", "xi_c", "phase")
EXPONENTS = ("growth", "exponent_c", "exponent_grad")
"""Columns of residual streams of skip 1, on request."""
IDLE = "a block adds less to the stream than the last bit of"
"""Begins the note on a row whose stream a number format does not change in every layer."""
BEYOND = "a signal's standard deviation leaves the range"
"""Begins the note on a row whose signals a number format rounds to another relative accuracy."""
_NO_FIXED_POINT = f"{', '.join(_ENDS)}: of networks whose layers are alike"


@dataclass(frozen=True)
class Structured:
    """n networks and what is known of them, layer `network.depth` observed.

    Attributes
    ----------
    network : the networks.
    weights : "gaussian" or "orthogonal".
    stream : their mean field, with the pairs of the modes.
    modes : frequencies of convolutions of correlated inputs; None of others.
    tables : whether exact channels are tabulated, see `Model`.
    """

    network: Architecture
    weights: str
    stream: Stream
    modes: Modes | None = None
    tables: bool = True

    @cached_property
    def out_of_reach(self) -> NDArray[np.bool_]:
        """Networks whose stream has more sites and pairs of layers than are worked on."""
        network, hidden = self.network, self.network.depth - 1
        if network.matrices == 2 or hidden < 1:
            return np.zeros(network.size, dtype=bool)
        pairs = np.where(network.without_offset, 1, SITES) * hidden**2
        large = pairs > _MOST_ELEMENTS
        if self.modes is not None:
            large |= pairs * len(self.modes.share) > _MOST_AT_FREQUENCIES
        return np.asarray((network.skip[:, :hidden] != 0.0).any(axis=1) & large)

    @cached_property
    def readable(self) -> Readable:
        """Linear information and `Phi_full`, NaN and not converged where out of reach."""
        near = np.flatnonzero(~self.out_of_reach)
        if len(near) == self.network.size:
            return readable(self.network, self.weights, self.stream, modes=self.modes)
        nothing = closed(np.full(self.network.size, np.nan))._replace(converged=np.zeros(self.network.size, dtype=bool))
        found = Readable(*(nothing._replace(**{n: a.copy() for n, a in nothing._asdict().items()}) for _ in range(2)))
        if len(near):
            part = readable(self.network.take(near), self.weights, self.stream.take(near), modes=self.modes)
            for whole, some in zip(found, part, strict=True):
                for array, values in zip(whole, some, strict=True):
                    array[near] = values
        return found

    @cached_property
    def normed(self) -> NormedProblem:
        """Networks without skips as the estimators of plain networks take them."""
        return NormedProblem.of(self.network, self.weights, self.stream, self.tables)

    @cached_property
    def replica(self) -> tuple[Estimate, Reasons]:
        """The replica value, and why there is none."""
        if self.modes is not None:
            nothing = np.full(self.network.size, np.nan)
            return closed(nothing), np.full(self.network.size, f"replica: {COUPLED}", dtype=object)
        full = self.readable.full
        most = covariance.covariance_upper(self.network, self.weights, self.stream, full).value
        ends = linear(self)[0].value, most
        return stream_total.replica(self.network, self.weights, self.stream, ends, self.tables)


def linear(problem: Structured) -> tuple[Estimate, Reasons]:
    """Linearly readable information, theory (36)-(37), less its error."""
    found = problem.readable.linear
    lower = found._replace(value=np.maximum(found.value - found.error, 0.0))
    return lower, np.where(problem.out_of_reach, _TOO_DEEP, "").astype(object)


def covariance_upper(problem: Structured) -> tuple[Estimate, Reasons]:
    """Bound by the observed covariance, theory (38)."""
    found = covariance.covariance_upper(problem.network, problem.weights, problem.stream, problem.readable.full)
    return found, np.where(problem.out_of_reach, _CRUDE, "").astype(object)


def mean_field(problem: Structured) -> tuple[Estimate, Reasons]:
    """The classic closed form, theory (17a)."""
    return normed.mean_field(problem.network, problem.stream), np.full(problem.network.size, "", dtype=object)


def entropy_power(problem: Structured) -> tuple[Estimate, Reasons]:
    """Bound by the entropy power inequality, theory (39), or why there is none."""
    spread = 0.0 if problem.modes is None else problem.modes.log_volume
    found, reason = covariance.entropy_power(problem.network, problem.weights, problem.stream, spread)
    return found, np.array([f"entropy_power: {one}" if one else "" for one in reason], dtype=object)


def replica(problem: Structured) -> tuple[Estimate, Reasons]:
    """The replica value of residual streams, or why there is none."""
    return problem.replica


def _error_of(bound: Callable[[Structured], tuple[Estimate, Reasons]]) -> Callable[..., tuple[Estimate, Reasons]]:
    def error(problem: Structured) -> tuple[Estimate, Reasons]:
        found, reason = bound(problem)
        return found._replace(value=found.error), reason

    return error


def _jacobian(name: str) -> Callable[[Structured], tuple[Estimate, Reasons]]:
    def moment(problem: Structured) -> tuple[Estimate, Reasons]:
        moments = residual_moments(problem.network, problem.weights, problem.stream)
        value = getattr(moments, name)[:, -1]
        return closed(np.where(np.isfinite(value), value, np.nan)), np.full(len(value), "", dtype=object)

    return moment


REGISTRY: dict[str, Callable[[Structured], tuple[Estimate, Reasons]]] = {
    "mi_mean_field": mean_field,
    "mi_linear": linear,
    "mi_entropy_power": entropy_power,
    "mi_covariance_upper": covariance_upper,
    "mi_replica": replica,
    "mi_replica_error": _error_of(replica),
    "mi_linear_error": _error_of(linear),
    "mi_covariance_upper_error": _error_of(covariance_upper),
    "jacobian_mean": _jacobian("mean"),
    "jacobian_variance": _jacobian("variance"),
}


def _of_layers(name: str, bound: Callable[[Problem], Estimate]) -> Callable[[Structured], tuple[Estimate, Reasons]]:
    def value(problem: Structured) -> tuple[Estimate, Reasons]:
        if is_step(problem.network.phi):
            reason = f"{name.removeprefix('mi_')}: not known of units of few values after norms or relative noise"
            nothing = closed(np.full(problem.network.size, np.nan))
            return nothing, np.full(problem.network.size, reason, dtype=object)
        found = bound(problem.normed)
        return found, np.full(problem.network.size, "", dtype=object)

    return value


LAYERS = REGISTRY | {name: _of_layers(name, bound) for name, bound in normed.REGISTRY.items()}
"""Columns of networks without skips and with one matrix per layer."""
PLAIN_TOO = ("mi_covariance_upper", "mi_covariance_upper_error")
"""Columns that come from here of plain networks as well, where `reason_against` has none."""


def evaluate_structured(
    points: Points,
    layers: NDArray[np.intp],
    asked: Sequence[str],
    out: View,
    model: Model,
    *,
    mean_field: bool = True,
) -> None:
    """Fill the columns of networks of one activation.

    Parameters
    ----------
    points : n networks.
    layers : their observed layers, shape (n, D).
    asked : names of columns.
    out : the columns at these points.
    model : what all networks have in common.
    mean_field : whether the columns of the mean field are filled, and what is not known said.
    """
    phi = get_activation(points.activation[0])
    for rows in _alike(points):
        against = reason_against(str(points.weights[rows[0]]), model)
        every = _every(layers[rows])
        part = out.take(rows)
        if against:
            names = ", ".join(name.removeprefix("mi_") for name in asked)
            part.note("ok", f"{names}: known for {against}", every)
            continue
        some = points[rows]
        columns = _columns(some, model)
        if mean_field:
            where_known = _OF_DENSE if model.mixes else _OF_LAYERS
            _note_all(some, part, [name for name in asked if name not in columns], where_known, every)
            _put_ends(some, layers[rows], model.scales, asked, part)
        modes = model.convolution.modes if model.convolution is not None and model.mixes else None
        for network, stream, where in _networks(some, layers[rows], model.scales, modes):
            if mean_field:
                _put_mean_field(network, stream, some.structured.number_format[0], part, where)
            problem = Structured(network, some.weights[0], stream, modes, model.tables is not False)
            known = np.asarray(np.isfinite(stream.path.q).all(axis=1))
            for name in asked:
                if name in columns:
                    _put(name, columns[name], problem, known, part, where)
            if mean_field:
                overflows = np.asarray(np.isinf(stream.path.q).any(axis=1))
                part.note("failed", OVERFLOW, _at(where, overflows))
                part.note("failed", unresolved(phi.name, phi.largest_variance), _at(where, ~known & ~overflows))


def _alike(points: Points) -> Iterator[NDArray[np.intp]]:
    """Positions of the points that one architecture and one ensemble describe."""
    own = points.structured
    for rows in own.groups():
        layers = (own.skip[rows] == 0.0) & (own.branch_matrices[rows] == 1)
        keys = [*zip(points.weights[rows], own.number_format[rows], layers.tolist(), strict=True)]
        for key in dict.fromkeys(keys):
            yield rows[[one == key for one in keys]]


def _columns(points: Points, model: Model) -> dict[str, Callable[[Structured], tuple[Estimate, Reasons]]]:
    """The columns of points of one of `_alike`."""
    own = points.structured
    streams = bool(own.skip[0] != 0.0 or own.branch_matrices[0] == 2)
    if model.mixes:
        return {name: bound for name, bound in REGISTRY.items() if bound is not mean_field}
    return REGISTRY if streams else LAYERS


def _every(layers: NDArray[np.intp]) -> Entries:
    row, column = np.indices(layers.shape).reshape(2, -1)
    return row, column


def _at(where: Entries, chosen: NDArray[np.bool_]) -> Entries:
    return where[0][chosen], where[1][chosen]


def _networks(
    points: Points, layers: NDArray[np.intp], scales: LayerScales | None, modes: Modes | None
) -> Iterator[tuple[Architecture, Stream, Entries]]:
    """The networks of each observed layer, and the entries that are theirs."""
    phi = get_activation(points.activation[0])
    by_depth = bool(points.structured.branch_by_depth[0])
    pairs = () if modes is None else modes.correlation
    if by_depth:
        for depth in np.unique(layers):
            rows, columns = np.nonzero(layers == depth)
            network = architecture(phi, points[rows], int(depth), scales)
            yield network, propagate(network, points.correlation[rows], pairs), (rows, columns)
        return
    whole = architecture(phi, points, int(layers.max()), scales)
    passed = propagate(whole, points.correlation, pairs)
    for depth in np.unique(layers):
        rows, columns = np.nonzero(layers == depth)
        yield whole.take(rows).cut(int(depth)), passed.take(rows).cut(int(depth)), (rows, columns)


def _note_all(points: Points, out: View, unknown: Sequence[str], where_known: str, every: Entries) -> None:
    """Say what has no value in these networks, and what of their settings counts for nothing."""
    missing = [name.removeprefix("mi_") for name in unknown if name not in EXPONENTS]
    if missing:
        out.note("ok", f"{', '.join(missing)}: {where_known}", every)
    texts = notes(points)[every[0]]
    for text in dict.fromkeys(texts):
        if text:
            out.note("ok", text, _at(every, texts == text))


def _put_ends(
    points: Points, layers: NDArray[np.intp], scales: LayerScales | None, asked: Sequence[str], out: View
) -> None:
    """Fixed points of many such layers, and powers of the depth."""
    every = _every(layers)
    if scales is not None:
        out.put("phase", None, every)
        out.note("ok", _NO_FIXED_POINT, every)
        return
    phi = get_activation(points.activation[0])
    if points.structured.branch_by_depth[0]:
        # With another branch every depth is a network of its own.
        groups = [(layers == depth, int(depth)) for depth in np.unique(layers)]
    else:
        groups = [(np.ones(layers.shape, dtype=bool), 1)]
    for chosen, depth in groups:
        rows = np.flatnonzero(chosen.any(axis=1))
        ends = stream_ends(architecture(phi, points[rows], depth))
        at = _at(every, chosen.ravel())
        own = np.searchsorted(rows, at[0])
        for name in (*_ENDS, *(name for name in EXPONENTS if name in asked)):
            out.put(name, ends[name][own], at)
        unbounded = (ends.status == "unbounded")[own]
        out.note("unbounded", UNBOUNDED, (at[0][unbounded], at[1][unbounded]))
        for status, text in dict.fromkeys(zip(ends.status, ends.message, strict=True)):
            if text:
                said = ((ends.status == status) & (ends.message == text))[own]
                out.note(status, text, (at[0][said], at[1][said]))


def _put_mean_field(
    network: Architecture, stream: Stream, number_format: str | None, out: View, where: Entries
) -> None:
    """Variance, correlation and slope at the observed layer, in units of what that layer really holds."""
    path = stream.path
    lifted = network.is_normalised and network.norm_at == "stream"
    unit = units(network, stream)
    q = path.q[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        c = 1.0 - path.gap[:, -1] / q
        chi = path.chi[:, -1] * (unit[:, -1] / stream.scale2[:, -1] if lifted else 1.0)
        deviation: FloatArray = np.sqrt(path.q / unit)
    out.put("q", np.where(np.isfinite(q), q / unit[:, -1], np.nan), where)
    out.put("c", np.where(q > 0.0, c, np.nan), where)
    out.put("chi", chi, where)
    if number_format is None:
        return
    hidden = (network.hidden_noise > 0.0).any(axis=1)
    least, largest = flat_range(number_format)
    beyond = (deviation < least) | (deviation > largest)
    outside = np.where(hidden, beyond.any(axis=1), beyond[:, -1])
    text = f"{BEYOND} {least:.3g} to {largest:.3g} in which rounding to {number_format} is relative noise of one size"
    out.note("ok", text, _at(where, outside))
    kept = np.square(network.skip[:, :-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        carried = stream.hidden_noise[:, :-1] if network.noise_in == "stream" else 0.0
        added = path.q[:, 1:] / (kept * path.q[:, :-1]) - 1.0 - carried / path.q[:, :-1]
    idle = hidden & ((kept > 0.0) & (added < last_bit(number_format) ** 2)).any(axis=1)
    text = (
        f"{IDLE} {number_format}: rounding leaves the stream alone there,"
        " and noise in every layer is far too pessimistic"
    )
    out.note("ok", text, _at(where, np.asarray(idle, dtype=bool)))


def _put(
    name: str,
    bound: Callable[[Structured], tuple[Estimate, Reasons]],
    problem: Structured,
    known: NDArray[np.bool_],
    out: View,
    where: Entries,
) -> None:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found, reason = bound(problem)
    out.put(name, np.where(known & found.converged, found.value, np.nan), where)
    if name in ("mi_replica", "mmse"):
        out.note_once("ok", TWO_MINIMA, _at(where, known & found.converged & found.coexisting))
    for text in dict.fromkeys(reason[known]):
        if text:
            out.note_once("ok", text, _at(where, known & (reason == text)))
    out.note_lost(name, known & ~found.converged & (reason == ""), found.residual, where)
