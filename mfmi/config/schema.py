"""The keys of a config, what each may hold and what holds without it: the one table that validates and documents."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mfmi.arguments import ranges as limits
from mfmi.columns import OPTIONAL_NAMES
from mfmi.config.kinds import Choice, Constant, Field, Kind, Number, NumberOrWord, Record, Several, Text, Whole
from mfmi.config.located import Report
from mfmi.config.ranges import AxisKind, any_range, whole_range
from mfmi.config.weights import LayerEnsemble
from mfmi.config.yaml import Node, ScalarNode, describe
from mfmi.errors import likeliest
from mfmi.names import (
    BY_DEPTH,
    CORRELATION,
    DEFAULT_ESTIMATORS,
    DEPTH,
    ESTIMATORS,
    INPUT_VARIANCE,
    NOISE_PATHS,
    NOISE_PLACEMENTS,
    NOISE_SCALES,
    NORM_PLACES,
    NORMALIZATIONS,
    NUMBER_FORMATS,
    OBSERVABLES,
    PRIORS,
    SIGMA_B,
    SIGMA_NOISE,
    UNITS,
)

VERSION = 1
MODES = ("product", "zip", "points", "adaptive")
# What an adaptive sweep can be refined by: borders of the phase, or peaks of a column.
PHASE = "phase"
TARGETS = (PHASE, *(f"mi_{name}" for name in ESTIMATORS), "mi_lower", "mi_upper")

# A name, with plain numbers in brackets: nothing that an expression parser could trip over.
_NUMBER = r"\s*(?:[A-Za-z_]\w{0,40}\s*=\s*)?[-+]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][-+]?\d{1,4})?\s*"
_ACTIVATION = re.compile(rf"\s*[A-Za-z_]\w{{0,40}}\s*(?:\((?:{_NUMBER}(?:,{_NUMBER}){{0,9}})?\))?\s*\Z", re.ASCII)


@dataclass(frozen=True)
class ActivationName:
    """The name of an activation, with parameters if it has any."""

    def read(self, node: Node, path: str, report: Report) -> str | None:
        """Return the activation's canonical name.

        One's own activation, ``module:function``, is code. It runs when the command line names it; a file must not be
        able to make it run.
        """
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            report.add(node.at, path, f"expected the name of an activation, got {describe(node)}")
            return None
        if report.full:
            report.add(node.at, path, "not looked at")
            return None
        spec = node.value
        own = ":" in spec
        if own and not node.at.source.from_command_line:
            message = "a config runs no code of its own: name a module:function on the command line, by --set"
            report.add(node.at, path, f"{message} sweep.activation=...")
        elif not own and not _ACTIVATION.match(spec):
            report.add(node.at, path, f"expected a name such as tanh or leaky_relu(0.1), got {describe(node)}")
        else:
            return self._canonical(node, spec, path, report)
        return None

    def _canonical(self, node: ScalarNode, spec: str, path: str, report: Report) -> str | None:
        from mfmi.activations import get, names

        try:
            return get(spec).name
        except ValueError as error:
            message, hint = " ".join(str(error).split()), None
            if message.startswith("unknown activation"):
                hint = likeliest(spec.partition("(")[0].strip(), names())
                message = f"unknown activation {spec}" + ("" if hint else f"; known are {', '.join(names())}")
            report.add(node.at, path, message, hint)
            return None

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema; parameters in brackets are left to the program."""
        from mfmi.activations import names

        return {"type": "string", "examples": list(names())}


@dataclass(frozen=True)
class InitialiserName:
    """The name of a library's initialiser, with a version and sizes where they matter."""

    def read(self, node: Node, path: str, report: Report) -> str | None:
        """Return the name as `mfmi inits` writes it."""
        from mfmi.initialisers import get, names

        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            report.add(node.at, path, f"expected a name of mfmi inits, got {describe(node)}")
            return None
        try:
            return get(node.value).label
        except ValueError as error:
            message, hint = str(error).partition(" Did you mean")[0], None
            if "is not a name of" in message:
                hint = None if report.full else likeliest(node.value.partition("(")[0].partition("@")[0], names())
            report.add(node.at, path, message.rstrip("."), hint)
            return None

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema; version and sizes are left to the program."""
        from mfmi.initialisers import names

        return {"type": "string", "examples": names()}


_NEGATIVE = "a standard deviation cannot be negative"
_DEVIATION = Number(limits.DEVIATION, _NEGATIVE)
_VARIANCE = Number(limits.VARIANCE, "a variance cannot be negative")
_NOISE = Number(limits.NOISE, f"must be greater than 0, for {limits.NOISE.reason}")
_POSITIVE = "must be greater than 0"

# Norms, skips and the like, of which a point without one is a plain network.
STRUCTURE_KINDS: Mapping[str, Kind] = {
    "normalization": Choice(NORMALIZATIONS),
    "norm_at": Choice(NORM_PLACES),
    "skip": Number(limits.NUMBERS["skip"], "a skip cannot be negative"),
    "branch": NumberOrWord(Number(limits.NUMBERS["branch"]), (BY_DEPTH,)),
    "branch_matrices": Whole(1, 2),
    "hidden_ratio": Number(limits.NUMBERS["hidden_ratio"], _POSITIVE),
    "sigma_w_in": _DEVIATION,
    "sigma_b_in": _DEVIATION,
    "sigma_w_out": _DEVIATION,
    "sigma_b_out": _DEVIATION,
    "noise_scale": Choice(NOISE_SCALES),
    "noise_in": Choice(NOISE_PATHS),
}

# What a value of each axis is; the axes in the order in which constants are listed.
AXIS_KINDS: Mapping[str, Kind] = {
    "activation": ActivationName(),
    "sigma_w": _DEVIATION,
    "sigma_w2": _VARIANCE,
    "sigma_b": _DEVIATION,
    "sigma_b2": _VARIANCE,
    "init": InitialiserName(),
    "sigma_noise": NumberOrWord(_NOISE, NUMBER_FORMATS),
    "noise_at": Choice(NOISE_PLACEMENTS),
    "weights": LayerEnsemble(per_layer=True),
    **STRUCTURE_KINDS,
    "depth": Whole(1, limits.DEEPEST),
}
_ABOUT = {
    "activation": "activation function, such as tanh, relu or leaky_relu(0.1)",
    "sigma_w": "standard deviation of the weights, times the square root of the fan-in",
    "sigma_w2": "variance of the weights, times the fan-in; in place of sigma_w",
    "sigma_b": "standard deviation of the biases",
    "sigma_b2": "variance of the biases; in place of sigma_b",
    "init": "library initialiser, a name of mfmi inits, in place of sigma_w and sigma_b",
    "sigma_noise": f"standard deviation of the noise, or {', '.join(NUMBER_FORMATS)}: the rounding that it stands for",
    "noise_at": "where the noise enters: the output only, or every layer",
    "weights": "weight ensemble: gaussian, orthogonal, {spectrum: FILE}, {matrix: FILE}, or {layers: [...]} of these",
    "normalization": "norm of every layer",
    "norm_at": "place of the norm: before the activation, after it, or in a residual stream",
    "skip": "factor of the skip of a residual network, whose layers are h' = skip h + branch W phi(norm(h))",
    "branch": f"factor of the branch, or {BY_DEPTH}",
    "branch_matrices": "matrices of a branch; 2 for W_2 phi(W_1 norm(h))",
    "hidden_ratio": "width between two matrices over that of the stream",
    "sigma_w_in": "standard deviation of the first matrix, as sigma_w, which it is by default",
    "sigma_b_in": "standard deviation of the first biases; by default sigma_b",
    "sigma_w_out": "standard deviation of the second matrix of a branch; by default sigma_w",
    "sigma_b_out": "standard deviation of its biases; by default sigma_b",
    "noise_scale": "absolute noise, before a norm; or relative, a share of the signal's standard deviation after it",
    "noise_in": "whether the noise of a residual network is in the branch alone, or in its skip too",
    "depth": "observed layers",
}
AXIS_DEFAULTS: Mapping[str, str | float] = {
    "sigma_b": float(SIGMA_B),
    "sigma_noise": SIGMA_NOISE,
    "noise_at": "output",
    "weights": "gaussian",
}
# The two forms in which an axis may be given: as standard deviation and as variance.
SQUARES: Mapping[str, str] = {"sigma_w2": "sigma_w", "sigma_b2": "sigma_b"}
REQUIRED = ("activation", "sigma_w")
# What stands for several quantities at once.
INSTEAD: Mapping[str, tuple[str, ...]] = {"init": ("sigma_w", "sigma_b")}

_SHORT = {"act": "activation", "sw": "sigma_w", "sb": "sigma_b", "sn": "sigma_noise", "noise": "sigma_noise"}
_SHORT |= {"norm": "normalization", "residual": "skip"}
_IN_SWEEP = {name: f"sweep.{name}" for name in ("mode", "points", "adaptive", "exclude", *AXIS_KINDS)}
_AT_TOP = {
    "variance": "input.variance",
    "input_variance": "input.variance",
    "qx": "input.variance",
    "prior": "input.prior",
    "sparsity": "input.sparsity",
    "correlation": "input.correlation",
    "c0": "input.correlation",
    "widths": "network.widths",
    "alpha": "network.alpha",
    "width": "network.width",
    "convolution": "network.convolution",
    "positions": "network.convolution.positions",
    "input_correlation": "network.convolution.input_correlation",
    "dataset": "input.dataset",
    "path": "output.path",
    "unit": "output.unit",
}


def _axis(name: str) -> AxisKind:
    kind = AXIS_KINDS[name]
    spread = whole_range if isinstance(kind, Whole) else any_range if isinstance(kind, Number | NumberOrWord) else None
    return AxisKind(kind, spread, isinstance(kind, LayerEnsemble))


def _axis_fields() -> dict[str, Field]:
    defaults: dict[str, Any] = {**AXIS_DEFAULTS, "depth": DEPTH}
    return {name: Field(_axis(name), _ABOUT[name], default=defaults.get(name)) for name in AXIS_KINDS}


_ONE_FORM: dict[str, list[dict[str, Any]]] = {
    "allOf": [
        {"not": {"required": [square, name]}}
        for square, name in (*SQUARES.items(), *(("init", name) for name in ("sigma_w", "sigma_b", *SQUARES)))
    ]
}
_POINT = Record(
    {name: Field(kind, _ABOUT[name]) for name, kind in AXIS_KINDS.items()}, elsewhere=_SHORT, rules=_ONE_FORM
)
_EXCLUDED = Record(
    {
        name: Field(Several(kind, mappings=isinstance(kind, LayerEnsemble)), f"{_ABOUT[name]}: a value or several")
        for name, kind in AXIS_KINDS.items()
    },
    elsewhere=_SHORT,
)
ADAPTIVE = Record(
    {
        "points": Field(Whole(1, limits.MOST_ADAPTIVE), "most points, those of the first grid included", required=True),
        "target": Field(
            Choice(TARGETS), "what is resolved: the borders of the phases, or the peaks of a column", default=PHASE
        ),
        "axes": Field(Several(Choice(tuple(AXIS_KINDS))), "axes that are refined, of those with a range; default all"),
        "tolerance": Field(
            Number(limits.TOLERANCE), "share of an axis that is resolved: no step becomes smaller", default=1e-3
        ),
    },
    elsewhere={"budget": "points", "num": "points", "n": "points", "column": "target", "tol": "tolerance"},
)
_SWEEP = Record(
    {
        "mode": Field(
            Choice(MODES),
            "all combinations, values side by side, a list of points, or a grid refined where it matters",
            default="product",
        ),
        **_axis_fields(),
        "points": Field(Several(_POINT, bare=False), "mode points: the points, each with its own keys"),
        "adaptive": Field(ADAPTIVE, "mode adaptive: how the grid is refined"),
        "exclude": Field(Several(_EXCLUDED, bare=False, empty=True), "points that match an entry are left out"),
    },
    elsewhere=_SHORT
    | _AT_TOP
    | {name: name for name in ("version", "estimators", "columns", "network", "input", "observe", "output", "seed")},
    rules={
        "if": {"properties": {"mode": {"const": "points"}}, "required": ["mode"]},
        "then": {"required": ["points"]},
        "else": {
            "required": ["activation"],
            "anyOf": [{"required": ["sigma_w"]}, {"required": ["sigma_w2"]}, {"required": ["init"]}],
            "properties": {"points": False},
        },
        "allOf": [
            *_ONE_FORM["allOf"],
            {
                "if": {"properties": {"mode": {"const": "adaptive"}}, "required": ["mode"]},
                "then": {"required": ["adaptive"]},
                "else": {"properties": {"adaptive": False}},
            },
        ],
    },
)
_COVERED = "of convolutions that are circular, of stride 1 and without pooling; others are not covered"
_UNTIED = "the theory needs weights that are independent from layer to layer; weights tied over layers are not covered"
_KERNEL = "the size of the kernel changes nothing in wide layers"
_CONVOLUTION = Record(
    {
        "positions": Field(
            Several(Whole(1, limits.MOST_POSITIONS)), "positions on a ring, or along each axis", required=True
        ),
        "input_correlation": Field(
            Several(Number(limits.NUMBERS["correlation"])),
            "r, for inputs correlated by r^distance; on a ring also a list, at the distances 1, 2, ...",
            default=0.0,
        ),
    },
    elsewhere={"correlation": "input_correlation", "size": "positions", "length": "positions"},
    missing=dict.fromkeys(("stride", "strides", "padding", "dilation", "pooling", "groups"), _COVERED)
    | dict.fromkeys(("kernel", "kernel_size"), _KERNEL)
    | {"channels": "widths are those of channels: network.widths"},
)
_NETWORK = Record(
    {
        "widths": Field(
            Several(Whole(1, limits.WIDEST), bare=False), "widths n_0 of the input and n_1..n_L of the layers"
        ),
        "alpha": Field(
            Several(Number(limits.NUMBERS["alpha"]), bare=False),
            "ratios n_l / n_{l-1} of the layers, in place of the widths",
        ),
        "width": Field(
            Whole(1, limits.WIDEST_DRAWN),
            "units in every layer of the networks that the inputs of a data set go through",
        ),
        "convolution": Field(_CONVOLUTION, "layers that are circular convolutions; widths are those of channels"),
    },
    rules={
        "allOf": [
            {"not": {"required": pair}} for pair in (["widths", "alpha"], ["width", "widths"], ["width", "alpha"])
        ]
    },
    elsewhere={name: f"network.convolution.{name}" for name in ("positions", "input_correlation")},
    missing=dict.fromkeys(("tied", "tied_weights", "tie_weights", "shared", "shared_weights"), _UNTIED),
)
# Keys of the input that contradict each other.
APART = (("variance", "dataset"), ("dataset", "prior"), ("dataset", "spectrum"), ("prior", "spectrum"))
_INPUT = Record(
    {
        "variance": Field(Number(limits.INPUT_VARIANCE), "variance of an input entry", default=float(INPUT_VARIANCE)),
        "correlation": Field(
            Number(limits.NUMBERS["correlation"]), "correlation of the tracked pair of inputs", default=CORRELATION
        ),
        "prior": Field(Choice(PRIORS), "law of the independent entries of the input", default="gaussian"),
        "sparsity": Field(Number(limits.NUMBERS["sparsity"]), "prior spike_slab: share of the entries that are not 0"),
        "spectrum": Field(
            Text(), "file with eigenvalues of a gaussian input's covariance, or samples of it; gives the variance too"
        ),
        "dataset": Field(Text(), "file with real inputs, a row each (.npy, .csv, .tsv, .parquet), for pairwise bounds"),
    },
    rules={"allOf": [{"not": {"required": list(pair)}} for pair in APART]},
    elsewhere={"qx": "variance", "c0": "correlation"},
)
_OUTPUT = Record(
    {
        "path": Field(Text(), "where the table goes; its suffix decides the format"),
        "unit": Field(Choice(UNITS), "unit of the information", default="nats"),
    }
)
CONFIG = Record(
    {
        "version": Field(Constant(VERSION), f"version: {VERSION}", required=True),
        "sweep": Field(_SWEEP, "the grid of networks", required=True),
        "estimators": Field(
            Several(Choice(ESTIMATORS)), "what is computed at each point", default=list(DEFAULT_ESTIMATORS)
        ),
        "columns": Field(Several(Choice(OPTIONAL_NAMES), empty=True), "optional columns of the result", default=[]),
        "network": Field(_NETWORK, "the shape of the networks; square layers of any depth by default"),
        "input": Field(_INPUT, "the input of the networks"),
        "observe": Field(
            Choice(OBSERVABLES), "what is known of the observed layer, its noise included", default=OBSERVABLES[0]
        ),
        "output": Field(_OUTPUT, "the result"),
        "seed": Field(Whole(0, 2**63 - 1), "seed of whatever is drawn at random", default=0),
    },
    elsewhere=_SHORT | _AT_TOP | _IN_SWEEP | {name: f"sweep.{full}" for name, full in _SHORT.items()},
)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a config, for editors.

    It states the keys, types and bounds of the table above; what relates several values (equal lengths in mode zip,
    say) is checked when a config is read.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mfmi sweep config",
        **CONFIG.json_schema(),
    }
