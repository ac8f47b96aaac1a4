"""The rows that every command writes: points in, named columns out (the contract's table)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column of the result.

    Attributes
    ----------
    name : column name.
    dtype : "int64", "int32", "float64" or "string".
    unit : unit of the numbers, "1" for a pure number, "" for text.
    description : one line for the file's metadata and the documentation.
    """

    name: str
    dtype: str
    unit: str
    description: str


INFORMATION = "nats per input dimension"


def _information(name: str, description: str) -> Column:
    return Column(name, "float64", INFORMATION, description)


COLUMNS: tuple[Column, ...] = (
    Column("point", "int64", "1", "index of the grid point in config order"),
    Column("activation", "string", "", "activation function"),
    Column("weights", "string", "", "weight ensemble: gaussian, orthogonal, a spectrum, or one per layer"),
    Column("noise_at", "string", "", "where the noise enters: the output, or every layer"),
    Column("sigma_w", "float64", "1", "standard deviation of the weights, times sqrt(fan-in)"),
    Column("sigma_b", "float64", "1", "standard deviation of the biases"),
    Column("sigma_noise", "float64", "1", "standard deviation of the noise"),
    Column("input_variance", "float64", "1", "variance of an input entry"),
    Column("init", "string", "", "library initialiser that sigma_w and sigma_b come from"),
    Column("normalization", "string", "", "none, layernorm, rmsnorm or batchnorm"),
    Column("norm_at", "string", "", "where the norm is: before the activation, at its output, or in the stream"),
    Column("noise_scale", "string", "", "absolute, or relative: sigma_noise over the signal's standard deviation"),
    Column("skip", "float64", "1", "factor of the skip of a residual network; 0 without one"),
    Column("branch", "float64", "1", "factor of the branch beside the skip; 1 in a plain network"),
    Column("branch_matrices", "int32", "1", "weight matrices in a branch"),
    Column("depth", "int32", "layers", "the observed layer"),
    Column("q", "float64", "1", "pre-activation variance at that layer, without its noise"),
    Column("c", "float64", "1", "correlation of the tracked pair of inputs at that layer"),
    Column("chi", "float64", "1", "slope of the map at that layer, sigma_w^2 E phi'(sqrt(s) z)^2"),
    Column("q_star", "float64", "1", "fixed point of the length map that the input reaches"),
    Column("c_star", "float64", "1", "fixed point of the correlation map"),
    Column("chi_1", "float64", "1", "slope of the map at the fixed point; 1 at the edge of chaos"),
    Column("xi_q", "float64", "layers", "depth scale of the length map"),
    Column("xi_c", "float64", "layers", "depth scale of the correlation map"),
    Column("phase", "string", "", "ordered, critical, chaotic or unbounded"),
    _information("mi_mean_field", "classic mean-field value, an approximation and not a bound"),
    _information("mi_linear", "linearly readable information: lower bound by the best linear decoder"),
    _information("mi_entropy_power", "lower bound by the entropy power inequality"),
    _information("mi_layerwise", "lower bound by closed scalar channels in the replica formula"),
    _information("mi_fisher", "lower bound by the Fisher information of every offset in the replica formula"),
    _information("mi_gaussian_upper", "upper bound by maximum entropy in the replica formula"),
    _information("mi_covariance_upper", "upper bound by maximum entropy of the observed layer's covariance"),
    _information("mi_replica", "replica value"),
    _information("mi_lower", "largest of the lower bounds asked for"),
    _information("mi_upper", "smallest of the upper bounds asked for"),
    Column("status", "string", "", "ok, unbounded, unconverged or failed"),
    Column("message", "string", "", "why the status is not ok, and notes"),
)


@dataclass(frozen=True)
class OptionalColumn(Column):
    """A column that is present only on request, after those of the contract.

    Attributes
    ----------
    status : what the value rests on, as `mfmi.names.STATUS` says it of estimators.
    """

    status: str


_OF_TABLES = "estimate from the tables of the closed channels; not of the replica formula itself"
_OF_STREAMS = "mean field, deep in the network"
OPTIONAL: tuple[OptionalColumn, ...] = (
    OptionalColumn(
        "mmse",
        "float64",
        "squared input units",
        "minimum mean squared error of an input entry given the observed layer; input_variance where nothing is known",
        "rests on the replica formula",
    ),
    OptionalColumn(
        "mi_replica_error",
        "float64",
        INFORMATION,
        "estimated numerical error of the replica value",
        "estimate from a second quadrature of the scalar channels; not of the replica formula itself",
    ),
    OptionalColumn(
        "mi_layerwise_error",
        "float64",
        INFORMATION,
        "estimated numerical error of mi_layerwise, by which it has been lowered",
        _OF_TABLES,
    ),
    OptionalColumn(
        "mi_fisher_error",
        "float64",
        INFORMATION,
        "estimated numerical error of mi_fisher, by which it has been lowered",
        _OF_TABLES,
    ),
    OptionalColumn(
        "mi_gaussian_upper_error",
        "float64",
        INFORMATION,
        "estimated numerical error of mi_gaussian_upper, by which it has been raised",
        _OF_TABLES,
    ),
    OptionalColumn(
        "mi_linear_error",
        "float64",
        INFORMATION,
        "estimated numerical error of mi_linear, by which it has been lowered in networks with norms and skips, and in"
        " convolutions of correlated inputs",
        "estimate from the sites at which a residual stream is averaged, cut series and the search",
    ),
    OptionalColumn(
        "mi_covariance_upper_error",
        "float64",
        INFORMATION,
        "estimated numerical error of mi_covariance_upper, by which it has been raised",
        "estimate from the sites at which a residual stream is averaged, cut series and the search",
    ),
    OptionalColumn(
        "jacobian_mean",
        "float64",
        "1",
        "mean of the squared singular values of the Jacobian of the observed pre-activation by the input",
        "theorem in the limit of wide layers",
    ),
    OptionalColumn(
        "jacobian_variance",
        "float64",
        "1",
        "variance of the squared singular values of that Jacobian; 0 with mean 1 at an isometry",
        "theorem in the limit of wide layers",
    ),
    OptionalColumn(
        "growth",
        "float64",
        "1",
        "residual stream of skip 1: its variance grows as the depth to this power; inf where exponentially",
        _OF_STREAMS,
    ),
    OptionalColumn(
        "exponent_c",
        "float64",
        "1",
        "residual stream of skip 1: correlations approach c_star as the depth to minus this power",
        _OF_STREAMS,
    ),
    OptionalColumn(
        "exponent_grad",
        "float64",
        "1",
        "residual stream of skip 1: squared gradients grow as the depth to this power, the variance of a normalised one"
        " as the depth; 1 at the edge of chaos",
        _OF_STREAMS,
    ),
    OptionalColumn(
        "efficiency",
        "float64",
        "1",
        "mi_lower over the capacity, which linear networks attain within the gains of the same initialisation",
        "as the lower bounds asked for",
    ),
)
TOTAL = "nats"
OF_DATA: tuple[OptionalColumn, ...] = (
    OptionalColumn(
        "mi_pairwise_lower",
        "float64",
        TOTAL,
        "lower bound on the information about which of the inputs of the data set it was, at the finite width; total",
        "theorem at layer 1; beyond it up to the sampling of hidden layers, three standard errors to the safe side",
    ),
    OptionalColumn(
        "mi_pairwise_upper",
        "float64",
        TOTAL,
        "upper bound on it, total, at most the logarithm of the number of inputs",
        "theorem at layer 1; beyond it up to the sampling of hidden layers, three standard errors to the safe side",
    ),
)
"""Columns that are there where a data set is given, and only there; the last of all."""
BY_NAME: dict[str, Column] = {column.name: column for column in (*COLUMNS, *OPTIONAL, *OF_DATA)}
OPTIONAL_NAMES = tuple(column.name for column in OPTIONAL)
DATA_NAMES = tuple(column.name for column in OF_DATA)


def columns_with(optional: Sequence[str]) -> tuple[Column, ...]:
    """The contract's columns, then `optional` ones, a data set's last."""
    return (*COLUMNS, *(column for column in (*OPTIONAL, *OF_DATA) if column.name in optional))
