"""The best points of a sweep, read in one pass and in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mfmi.activations import of_file
from mfmi.columns import INFORMATION, Column
from mfmi.errors import MfmiError
from mfmi.meanfield import edge_of_chaos
from mfmi.storage.parquet import Tally

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Total and linearly readable information peak at different places (theory section 8): two quantities, never one.
QUANTITIES = {"mi_linear": "linearly readable", "mi_lower": "total (lower bound)"}
_KINDS = ("normalization", "norm_at", "noise_scale", "branch_matrices")
GROUP_BY = ("activation", "weights", "noise_at", *_KINDS, "depth")
_SCALES, _FACTORS = ("sigma_w", "sigma_b"), ("skip", "branch")
_PLAIN = {"normalization": "none", "noise_scale": "absolute", "branch_matrices": 1, "skip": 0.0, "branch": 1.0}
GROUP_LIMIT = 100_000

_DETAILS = ("point", "activation", "noise_at", *_SCALES, *_FACTORS, "sigma_noise", "input_variance", "chi_1", "phase")
NEEDED = tuple(dict.fromkeys((*GROUP_BY, *_DETAILS, *QUANTITIES, "status", "message")))


@dataclass(frozen=True)
class Best:
    """The point at which a quantity is largest.

    Attributes
    ----------
    value : the quantity there, in the unit of the file.
    point : index of the point.
    activation, noise_at, sigma_w, sigma_b, skip, branch, sigma_noise, input_variance, chi_1, phase : as in its row;
        `chi_1` may be NaN, and `phase` missing.
    plain : whether it is a stack of layers, for which the edge of chaos is known.
    edge : the sigma_w of the nearest branch of the edge of chaos that a network reaches at that sigma_b, noise and
        input; NaN where there is none.
    at_ends : which of sigma_w and sigma_b are at an end of what was swept, so that the maximum may lie beyond; nothing
        lies beyond 0.
    """

    value: float
    point: int
    activation: str
    noise_at: str
    sigma_w: float
    sigma_b: float
    skip: float
    branch: float
    sigma_noise: float
    input_variance: float
    chi_1: float
    phase: str
    plain: bool = True
    edge: float = math.nan
    at_ends: tuple[str, ...] = ()

    @property
    def distance(self) -> float:
        """Distance in sigma_w from the edge of chaos, relative to the edge: 0.031 is 3.1 % above it."""
        return self.sigma_w / self.edge - 1.0


@dataclass(frozen=True)
class Line:
    """One group of rows.

    Attributes
    ----------
    key : the values of the columns that are grouped by, in their order.
    best : by quantity; None where no row of the group has a value.
    """

    key: tuple[Any, ...]
    best: Mapping[str, Best | None]


@dataclass(frozen=True)
class Summary:
    """Summary of a sweep.

    Attributes
    ----------
    by : the columns that are grouped by.
    lines : one a group, in order of first appearance.
    tally : counts by phase and status, and the first failures.
    noise_levels : smallest and largest sigma_noise.
    factors : those of `skip` and `branch` that vary.
    left_out : number of rows with a value that are not among the best, for their variance grows without bound.
    unknown : activations of which no edge of chaos is known here, each with the reason.
    """

    by: tuple[str, ...]
    lines: tuple[Line, ...]
    tally: Tally
    noise_levels: tuple[float, float]
    factors: tuple[str, ...] = ()
    left_out: int = 0
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def best_depends_on_noise(self) -> bool:
        """Say whether groups hold several noise levels, so that the best is a matter of the least noise too."""
        return "sigma_noise" not in self.by and self.noise_levels[0] < self.noise_levels[1]


def summarise(batches: Iterable[pa.RecordBatch], by: Sequence[str] = GROUP_BY, unbounded: bool = False) -> Summary:
    """Find the best points of each group of rows.

    Parameters
    ----------
    batches
        Rows in order, with the columns `NEEDED` and those of `by`; one batch at a time is held.
    by
        Columns to group by.
    unbounded
        Whether networks whose variance grows without bound may be the best, of which it says nothing: they are no
        networks to start from (`mfmi.recommend` leaves them out too).

    Returns
    -------
    Summary
        Ties go to the first row.

    Raises
    ------
    ValueError
        There are more than `GROUP_LIMIT` groups.
    """
    import pyarrow as pa

    gathering = Gathering(tuple(by), unbounded)
    for batch in batches:
        gathering.add(pa.Table.from_batches([batch]))
    return gathering.summary()


@dataclass
class Gathering:
    """A summary in the making, for rows that come by on their way elsewhere.

    Attributes
    ----------
    by : columns to group by.
    unbounded : whether networks whose variance grows without bound may be the best.
    left_out : rows with a value that were left out so far because they may not.
    groups : the best so far, by key and quantity.
    tally : the counts so far.
    noise : smallest and largest so far.
    swept : smallest and largest sigma_w, sigma_b, skip and branch so far.
    """

    by: tuple[str, ...] = GROUP_BY
    unbounded: bool = False
    left_out: int = 0
    groups: dict[tuple[Any, ...], dict[str, Best | None]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    noise: tuple[float, float] = (math.inf, -math.inf)
    swept: dict[str, tuple[float, float]] = field(
        default_factory=lambda: dict.fromkeys((*_SCALES, *_FACTORS), (math.inf, -math.inf))
    )

    def add(self, table: pa.Table) -> None:
        """Look at more rows, in order, with the columns `NEEDED` and those of `by`.

        Raises
        ------
        ValueError
            There are more than `GROUP_LIMIT` groups.
        """
        self.tally.add(table)
        frame: pd.DataFrame = table.to_pandas(use_threads=False)
        if not len(frame):
            return
        self.noise = _widened(self.noise, frame["sigma_noise"].to_numpy())
        self.swept = {name: _widened(ends, frame[name].to_numpy()) for name, ends in self.swept.items()}
        for name in self.by:
            # What a network does not have is None in every kind of table.
            if frame[name].isna().any():
                frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
        for key in frame[list(self.by)].drop_duplicates().itertuples(index=False, name=None):
            self.groups.setdefault(key, dict.fromkeys(QUANTITIES))
        if len(self.groups) > GROUP_LIMIT:
            raise ValueError(f"more than {GROUP_LIMIT} groups: group by fewer columns")
        if not self.unbounded:
            grows = (frame["phase"] == "unbounded").to_numpy()
            self.left_out += int((grows & frame[list(QUANTITIES)].notna().any(axis=1).to_numpy()).sum())
            frame = frame[~grows]
        for quantity in QUANTITIES:
            known = frame[frame[quantity].notna()]
            rows = known.loc[known.groupby(list(self.by), sort=False, dropna=False)[quantity].idxmax()]
            for row in rows.to_dict("records"):
                self._offer(quantity, row)

    def _offer(self, quantity: str, row: Mapping[Any, Any]) -> None:
        best = self.groups[tuple(row[name] for name in self.by)]
        so_far = best[quantity]
        if so_far is None or row[quantity] > so_far.value:
            plain = all(row[name] == value for name, value in _PLAIN.items())
            details = {name: row[name] for name in _DETAILS}
            best[quantity] = Best(value=float(row[quantity]), plain=plain, **details)

    def summary(self) -> Summary:
        """Return what has come out so far."""
        found = [best for group in self.groups.values() for best in group.values() if best is not None]
        nearest, unknown = _nearest_edges(found)
        edges = iter(nearest)
        lines = []
        for key, group in self.groups.items():
            placed = {name: best and self._placed(best, next(edges)) for name, best in group.items()}
            lines.append(Line(key, placed))
        factors = tuple(name for name in _FACTORS if self.swept[name][0] < self.swept[name][1])
        return Summary(self.by, tuple(lines), self.tally, self.noise, factors, self.left_out, unknown)

    def _placed(self, best: Best, edge: float) -> Best:
        from dataclasses import replace

        at_ends = tuple(
            name
            for name in _SCALES
            if self.swept[name][0] < self.swept[name][1] and 0.0 != getattr(best, name) in self.swept[name]
        )
        return replace(best, edge=edge, at_ends=at_ends)


def _widened(ends: tuple[float, float], values: np.ndarray[Any, Any]) -> tuple[float, float]:
    return min(ends[0], float(values.min())), max(ends[1], float(values.max()))


def edge_sigma_w(activation: str, sigma_b: Any, hidden_noise: Any, input_variance: Any = 1.0) -> list[list[float]]:
    """Return, for each sigma_b and hidden noise, the sigma_w of every edge of chaos that an input reaches.

    A branch on which the fixed point of the length map repels is left out: no network ends there (theory section 7).
    """
    count = np.broadcast(sigma_b, hidden_noise, input_variance).size
    branches: list[list[float]] = [[] for _ in range(count)]
    if of_file(activation).differentiable:
        edge = edge_of_chaos(activation, sigma_b=sigma_b, sigma_noise=hidden_noise, input_variance=input_variance)
        for index, sigma_w, reached in zip(edge.index, edge.sigma_w, edge.reached, strict=True):
            if reached:
                branches[index].append(float(sigma_w))
    return branches


def _nearest_edges(found: Sequence[Best]) -> tuple[list[float], dict[str, str]]:
    """Find for each point the sigma_w of the nearest edge of chaos, with one call for all points of an activation.

    Returns them, and the activations that have no moments here, with the reason.
    """
    nearest = [math.nan] * len(found)
    unknown: dict[str, str] = {}
    for activation in dict.fromkeys(best.activation for best in found):
        rows = [i for i, best in enumerate(found) if best.activation == activation and best.plain]
        hidden = [found[i].sigma_noise if found[i].noise_at == "every" else 0.0 for i in rows]
        biases, inputs = [found[i].sigma_b for i in rows], [found[i].input_variance for i in rows]
        try:
            branches = edge_sigma_w(activation, biases, hidden, inputs)
        except (ValueError, MfmiError) as error:
            unknown[activation] = " ".join(str(error).split())
            continue
        for i, edges in zip(rows, branches, strict=True):
            sigma_w = found[i].sigma_w
            nearest[i] = min(edges, key=lambda edge: abs(edge - sigma_w), default=math.nan)
    return nearest, unknown


def to_block(summary: Summary, columns: Mapping[str, Column]) -> tuple[dict[str, np.ndarray[Any, Any]], list[Column]]:
    """Return the lines of a summary as columns.

    Parameters
    ----------
    summary
        The summary.
    columns
        What the columns of the file are, by name.

    Returns
    -------
    block
        Arrays by name: the key, then per quantity its largest value under the quantity's own name, and under
        ``best_<quantity>_...`` the point where it is reached; NaN and None where there is none.
    columns
        What they are.
    """
    keys = zip(*(line.key for line in summary.lines), strict=True) if summary.lines else [()] * len(summary.by)
    block: dict[str, np.ndarray[Any, Any]] = {}
    about = []
    for name, values in zip(summary.by, keys, strict=True):
        about.append(columns[name])
        block[name] = np.array(values, dtype="object" if columns[name].dtype == "string" else columns[name].dtype)
    for quantity, meaning in QUANTITIES.items():
        best = [line.best[quantity] for line in summary.lines]
        about.append(Column(quantity, "float64", columns[quantity].unit, f"largest {meaning} information"))
        block[quantity] = np.array([math.nan if one is None else one.value for one in best])
        for detail, unit, what in (
            ("sigma_w", "1", "sigma_w there"),
            ("sigma_b", "1", "sigma_b there"),
            ("skip", "1", "skip there"),
            ("branch", "1", "branch there"),
            ("sigma_noise", "1", "sigma_noise there"),
            ("chi_1", "1", "chi_1 there"),
            ("edge", "1", "sigma_w of the nearest edge of chaos at that sigma_b, of plain networks"),
            ("distance", "1", "distance from that edge in sigma_w, relative to it"),
        ):
            name = f"best_{quantity.removeprefix('mi_')}_{detail}"
            about.append(Column(name, "float64", unit, f"{meaning}: {what}"))
            block[name] = np.array([math.nan if one is None else getattr(one, detail) for one in best], dtype=float)
    return block, about


def information_unit(columns: Iterable[Column]) -> str:
    """Return "nats" or "bits" from the unit of a file's information columns."""
    units = {column.unit for column in columns if column.name in QUANTITIES}
    return units.pop().split()[0] if units else INFORMATION.split()[0]
