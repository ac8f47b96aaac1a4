"""Provenance in a file's metadata: config, versions, seed, units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from mfmi.columns import INFORMATION, OF_DATA, OPTIONAL
from mfmi.names import STATUS, __version__

SCHEMA_VERSION = 1


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
    further
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
        **({"functions": functions} if (functions := own_functions(config)) else {}),
        "columns": {column.name: column.status for column in (*OPTIONAL, *OF_DATA) if column.name in optional},
    }


def own_functions(config: Mapping[str, Any]) -> dict[str, str | None]:
    """Digests of the user's functions that a config names, None if the code of one does not determine its values."""
    from mfmi.activations import get

    names = (name for name in config.get("sweep.activation", ()) if ":" in name)
    return {name: getattr(get(name), "code_digest", None) for name in names}


def package_versions() -> dict[str, str]:
    """Versions of all packages whose arithmetic or encoding shows in a file's bytes."""
    from mfmi.chain.compiled import version as compiler_version

    found = {"mfmi": __version__} | {name: version(name) for name in ("numpy", "scipy", "pandas", "pyarrow")}
    compiler = compiler_version()
    return found | ({"numba": compiler} if compiler else {})


def information_unit(unit: str) -> str:
    """Name of the unit of the information columns, "nats per input dimension" or the same in bits."""
    return INFORMATION.replace("nats", unit, 1)
