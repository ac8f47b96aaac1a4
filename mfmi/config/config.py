"""Configs: text to a validated sweep, or everything that is wrong with it and where."""

import errno
import hashlib
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mfmi.columns import DATA_NAMES, OPTIONAL_NAMES
from mfmi.config.adaptive import Adaptive, read_adaptive, report_section
from mfmi.config.axes import Sweep, read_sweep
from mfmi.config.grid import Exclusion, Grid, SweepAxis
from mfmi.config.kinds import Entry, Record
from mfmi.config.located import LocatedConfigError, LocatedError, Position, Report, Source
from mfmi.config.network import read_model, report_depths
from mfmi.config.networks import PLAIN, Networks, read_networks, with_convolution
from mfmi.config.overrides import override
from mfmi.config.schema import CONFIG, VERSION, json_schema
from mfmi.config.values import Listed, Spaced
from mfmi.config.yaml import MAX_BYTES, ScalarNode, decode, read
from mfmi.errors import ConfigError, OutputError
from mfmi.names import DEPTH, ESTIMATORS, usual_estimators
from mfmi.networks.model import Model

__all__ = [
    "Config",
    "ConfigError",
    "Exclusion",
    "Grid",
    "Listed",
    "LocatedConfigError",
    "LocatedError",
    "Spaced",
    "SweepAxis",
    "json_schema",
    "load_config",
    "read_config",
]

# Longer ranges are compared by their ends instead of their values.
_WRITTEN_OUT = 1000


@dataclass(frozen=True)
class Config:
    """A sweep, valid as a whole.

    Attributes
    ----------
    version
        Version of the config's format.
    mode
        "product", "zip", "points" or "adaptive".
    grid
        The axes, in config order, then the constants that were not given, and what is excluded. It is the first grid of
        an adaptive sweep.
    adaptive
        How an adaptive sweep is refined; None for the others.
    model
        What all networks have in common.
    networks
        Which kinds of network there are.
    depths
        The depths of every point; empty where the depth is an axis of the grid.
    estimators
        Names, in the order of their columns.
    columns
        Names of the columns after the contract's, in their order.
    input_variance, input_correlation
        Variance of an input entry; correlation of the tracked pair of inputs.
    output_path
        Where the table goes, or None.
    output_unit
        "nats" or "bits".
    seed
        Seed of whatever is drawn at random.
    filename
        Where the text is from.
    text
        The text, followed by a comment line ``# --set KEY=VALUE`` for each override. It says all that went in.
    """

    version: int
    mode: str
    grid: Grid
    adaptive: Adaptive | None
    model: Model
    networks: Networks
    depths: tuple[int, ...]
    estimators: tuple[str, ...]
    columns: tuple[str, ...]
    input_variance: float
    input_correlation: float
    output_path: str | None
    output_unit: str
    seed: int
    filename: str
    text: str = field(repr=False)

    @property
    def axes(self) -> tuple[SweepAxis, ...]:
        """The axes of the grid."""
        return self.grid.axes

    @property
    def exclude(self) -> tuple[Exclusion, ...]:
        """Points excluded from the grid."""
        return self.grid.exclude

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of `text` in UTF-8: without overrides that of the file, as ``sha256sum`` prints it."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def canonical(self) -> dict[str, Any]:
        """Return what the config means, ready for JSON: equal for configs that give the same rows.

        Returns
        -------
        dict
            The path of each key and its value, defaults filled in, variances as standard deviations and short ranges as
            lists. Neither the output's path nor the spelling of the text shows in it.
        """
        return {
            "version": self.version,
            "sweep.mode": self.mode,
            "sweep.order": [axis.name for axis in self.axes if len(axis) > 1] if self.grid.product else [],
            **{f"sweep.{axis.name}": _written(axis) for axis in sorted(self.axes, key=lambda axis: axis.name)},
            **({"sweep.depth": list(self.depths)} if self.depths else {}),
            **({"sweep.adaptive": self.adaptive.described()} if self.adaptive else {}),
            "sweep.exclude": self._excluded(),
            "estimators": list(self.estimators),
            "columns": list(self.columns),
            **self.model.described(),
            "input.variance": self.input_variance,
            "input.correlation": self.input_correlation,
            "output.unit": self.output_unit,
            "seed": self.seed,
        }

    def _excluded(self) -> list[dict[str, list[Any]]]:
        axes = {axis.name: axis for axis in self.axes}
        entries = [
            {
                name: sorted(axes[name].at(np.array(where)).tolist(), key=_by_kind)
                for name, where in sorted(exclusion.matches)
            }
            for exclusion in self.exclude
        ]
        return sorted(entries, key=json.dumps)


def _by_kind(value: Any) -> tuple[bool, Any]:
    """Numbers before words."""
    return isinstance(value, str), value


def _written(axis: SweepAxis) -> Any:
    values = axis.values
    if isinstance(values, Listed) or values.num <= _WRITTEN_OUT:
        return axis.at(np.arange(len(axis))).tolist()
    spacing = "log" if values.logarithmic else "linear"
    return {axis.given_as: [values.start, values.stop, values.num, spacing]}


def read_config(filename: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Read a config from a file, or from standard input where the name is ``-``.

    Parameters
    ----------
    filename
        The file.
    overrides
        As of `load_config`.

    Raises
    ------
    OutputError
        The file cannot be read.
    LocatedConfigError
        The config cannot be run as it stands.
    """
    name = os.fspath(filename)
    try:
        if name == "-":
            if sys.stdin is None:
                raise OSError(errno.EBADF, "standard input is closed")
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(name, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OutputError(f"cannot read {name}: {reason}") from error
    label = "<stdin>" if name == "-" else name
    return load_config(decode(data, label), label, overrides)


def load_config(text: str, filename: str, overrides: Sequence[str] = ()) -> Config:
    """Validate a config.

    Parameters
    ----------
    text
        YAML 1.2.
    filename
        What stands before the line number in errors.
    overrides
        Each ``key=value`` as for ``--set``: the key with dots between its parts, the value in YAML.

    Raises
    ------
    LocatedConfigError
        Everything that is wrong with it, in ``errors``, sorted by line; errors of overrides come last.
    """
    report = Report()
    text = text.removeprefix("\ufeff")
    source = Source(filename, text)
    tree = read(source, report)
    if isinstance(tree, ScalarNode) and tree.value is None:
        report.add(Position(source, 1, 1), "", "the config is empty; mfmi config init writes one to start from")
        tree = None
    if tree is None:
        raise report.error()
    tree = override(tree, overrides, report)
    entries = CONFIG.read(tree, "", report, Position(source, 1, 1)) or {}
    model = read_model(entries, report)
    sweep = read_sweep(entries["sweep"], report, model.layers or DEPTH) if "sweep" in entries else None
    if "sweep" in entries:
        report_depths(entries["sweep"], model, report)
        if sweep is not None:
            report_section(entries["sweep"], sweep.mode, report)
    networks = PLAIN
    if sweep is not None and not len(report):
        networks = with_convolution(read_networks(sweep, entries["sweep"], model, report), model)
    usual = usual_estimators(networks.plain and not model.mixes, networks.structured or model.mixes)
    estimators = _names("estimators", entries, ESTIMATORS, usual, report)
    columns = _names("columns", entries, OPTIONAL_NAMES, (), report)
    adaptive = None if sweep is None else read_adaptive(entries["sweep"], sweep, estimators, report)
    if sweep is None or len(report):
        raise report.error()
    text = _with_overrides(text, overrides)
    return _config(entries, (sweep, adaptive), (model, networks), (estimators, columns), filename, text)


def _config(
    entries: Mapping[str, Entry],
    swept: tuple[Sweep, Adaptive | None],
    known: tuple[Model, Networks],
    wanted: tuple[tuple[str, ...], tuple[str, ...]],
    filename: str,
    text: str,
) -> Config:
    sweep, adaptive = swept
    model, networks = known

    def value(section: str, key: str) -> Any:
        wanted = CONFIG.fields[section].kind
        assert isinstance(wanted, Record)
        given = entries[section].value if section in entries else {}
        return given[key].value if key in given else wanted.fields[key].default

    return Config(
        version=VERSION,
        mode=sweep.mode,
        grid=sweep.grid,
        adaptive=adaptive,
        model=model,
        networks=networks,
        depths=sweep.depths,
        estimators=wanted[0],
        columns=wanted[1] + (DATA_NAMES if model.data else ()),
        input_variance=_first(
            model.data.variance if model.data else None, model.input_variance, value("input", "variance")
        ),
        input_correlation=value("input", "correlation"),
        output_path=value("output", "path"),
        output_unit=value("output", "unit"),
        seed=entries["seed"].value if "seed" in entries else CONFIG.fields["seed"].default,
        filename=filename,
        text=text,
    )


def _first(*values: float | None) -> float:
    """The first one that there is."""
    return next(value for value in values if value is not None)


def _names(
    key: str, entries: Mapping[str, Entry], known: tuple[str, ...], default: tuple[str, ...], report: Report
) -> tuple[str, ...]:
    """Put the names under `key` in the order of their columns."""
    if key not in entries:
        return default
    seen: set[str] = set()
    for item in entries[key].value:
        if item.value in seen:
            report.add(item.node.at, key, f"{item.value} is named twice")
        seen.add(item.value)
    return tuple(name for name in known if name in seen)


def _with_overrides(text: str, overrides: Sequence[str]) -> str:
    """Append the overrides as comments."""
    if not overrides:
        return text
    notes = [f"# {line}" for argument in overrides for line in f"--set {shlex.quote(argument)}".splitlines()]
    return "\n".join([text.removesuffix("\n"), *notes, ""])
