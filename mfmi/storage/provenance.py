"""Provenance in a file's metadata: config, versions, seed, units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from mfmi.columns import INFORMATION, OF_DATA, OPTIONAL
from mfmi.names import STATUS, __version__
from mfmi.networks.model import Model
from mfmi.networks.points import Points

SCHEMA_VERSION = 1
PLAN = "_plan.json"
"""File of a folder of chunks that says where they come from; readers of Parquet folders pass over names with _."""


def provenance(
    config: Mapping[str, Any],
    text: str,
    sha256: str,
    estimators: Sequence[str],
    unit: str = "nats",
    optional: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what a file says about where it came from; the same for every run of one config.

    Parameters
    ----------
    config
        The config with all defaults filled in (`Config.canonical`).
    text, sha256
        The config as it was written, and its hash.
    estimators
        Names of the estimators asked for.
    unit
        "nats" or "bits".
    optional
        Names of the columns after the contract's.

    Returns
    -------
    dict
        Ready for JSON. Nothing in it depends on the time, the machine or the way the rows were computed.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "versions": package_versions(),
        "config": {"text": text, "sha256": sha256, "resolved": dict(config)},
        "seed": config.get("seed", 0),
        "units": {"information": information_unit(unit)},
        "estimators": {name: STATUS[name] for name in estimators},
        **_functions(config.get("sweep.activation", ())),
        "columns": {column.name: column.status for column in (*OPTIONAL, *OF_DATA) if column.name in optional},
    }


def provenance_of_command(
    command: str,
    activations: Iterable[str] = (),
    *,
    information: str = "",
    estimators: Iterable[str] = (),
    optional: Sequence[str] = (),
    **own: Any,
) -> dict[str, Any]:
    """Return what the rows of a command say about where they came from, in a file and in the attributes of a frame.

    Parameters
    ----------
    command
        Name of the command.
    activations
        Those in the rows.
    information
        Unit of the information in them, "" where there is none.
    estimators, optional
        Names of the estimators and of the optional columns asked for.
    **own
        What the command knows besides and the rows do not say, ready for JSON; None is left out.

    Returns
    -------
    dict
        Ready for JSON; the same for every run of one command.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "versions": package_versions(),
        "command": command,
        **{name: value for name, value in own.items() if value is not None},
        **({"units": {"information": information}} if information else {}),
        **({"estimators": {name: STATUS[name] for name in estimators if name in STATUS}} if estimators else {}),
        **_functions(activations),
        **(
            {"columns": {one.name: one.status for one in (*OPTIONAL, *OF_DATA) if one.name in optional}}
            if optional
            else {}
        ),
    }


def provenance_of_rows(
    command: str, points: Points, estimators: Sequence[str], unit: str, optional: Sequence[str], model: Model
) -> dict[str, Any]:
    """As `provenance_of_command`, of rows of `mfmi.columns.COLUMNS`: networks at some layers."""
    return provenance_of_command(
        command,
        points.activation.tolist(),
        information=information_unit(unit),
        estimators=estimators,
        optional=optional,
        network=model.described() or None,
    )


def _functions(activations: Iterable[str]) -> dict[str, Any]:
    functions = own_functions(activations)
    return {"functions": functions} if functions else {}


def own_functions(activations: Iterable[str]) -> dict[str, str | None]:
    """Digests of the user's functions among activations, None if the code of one does not determine its values."""
    from mfmi.activations import get

    names = dict.fromkeys(name for name in activations if ":" in name)
    return {name: getattr(get(name), "code_digest", None) for name in names}


def package_versions() -> dict[str, str]:
    """Versions of all packages whose arithmetic or encoding shows in a file's bytes."""
    from mfmi.processes.machine_code import version as compiler_version

    found = {"mfmi": __version__} | {name: version(name) for name in ("numpy", "scipy", "pandas", "pyarrow")}
    compiler = compiler_version()
    return found | ({"numba": compiler} if compiler else {})


def information_unit(unit: str) -> str:
    """Name of the unit of the information columns, "nats per input dimension" or the same in bits."""
    return INFORMATION.replace("nats", unit, 1)
