"""One library: its layers drawn and saved where it is installed, the files audited here, and what the audit names."""

from __future__ import annotations

import fnmatch
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mfmi
from mfmi.errors import MfmiError
from mfmi.initialisers import Initialiser, table
from studies.presets.makers.keep import MANIFEST

ROOT = Path(__file__).parents[2]
_ALIKE = "the same law and scale: "

# Library: the script that saves its layers, the name it is installed by, and what has to be installed with it.
_TORCH = ("torch==2.13.0",)
MAKERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "torch": ("torch_layers", "torch", ("safetensors", "numpy")),
    "torch_geometric": ("torch_layers", "torch_geometric", _TORCH),
    "stable_baselines3": ("torch_layers", "stable_baselines3", _TORCH),
    "torchrl": ("torch_layers", "torchrl", _TORCH),
    "siren_pytorch": ("torch_layers", "siren_pytorch", _TORCH),
    "x_transformers": ("torch_layers", "x_transformers", _TORCH),
    "mup": ("torch_layers", "mup", _TORCH),
    "unit_scaling": ("torch_layers", "unit_scaling", _TORCH),
    "torchani": ("torch_layers", "torchani", _TORCH),
    "nflows": ("torch_layers", "nflows", _TORCH),
    "pytorch_tabnet": ("torch_layers", "pytorch_tabnet", _TORCH),
    "deepxde": ("torch_layers", "deepxde", _TORCH),
    "transformers": ("torch_layers", "transformers", (*_TORCH, "safetensors")),
    "timm": ("torch_layers", "timm", (*_TORCH, "torchvision==0.28.0")),
    "torchvision": ("torch_layers", "torchvision", _TORCH),
    "vit_pytorch": ("torch_layers", "vit_pytorch", (*_TORCH, "torchvision==0.28.0")),
    "keras": ("keras_layers", "keras", (*_TORCH, "h5py")),
    "flax.linen": ("jax_layers", "flax", ("orbax-checkpoint==0.12.8",)),
    "flax.nnx": ("jax_layers", "flax", ("orbax-checkpoint==0.12.8",)),
    "haiku": ("jax_layers", "dm-haiku", ("orbax-checkpoint==0.12.8",)),
    "equinox": ("jax_layers", "equinox", ()),
    "jax": ("jax_layers", "jax", ()),
    "sklearn": ("array_layers", "scikit-learn", ()),
    "tinygrad": ("array_layers", "tinygrad", ("numpy",)),
    "mlx": ("array_layers", "mlx[cpu]", ()),
    "objax": ("array_layers", "objax", ()),
    "tf_keras": ("tensorflow_layers", "tf_keras", ("tensorflow-cpu==2.21.0",)),
    "paddle": ("paddle_layers", "paddlepaddle", ("safetensors",)),
}


class Round(NamedTuple):
    """A layer of a row, from its library into an audit.

    Attributes
    ----------
    name, version, saver : the row, the library's installed release, and what saved the file.
    tensor : its name in the audit; empty where there is none.
    named : "init" if the audit names the row there, "alike" if among those that draw alike, else "".
    ratio : sigma_w^2 over that of the row's formula; NaN for a row of other sizes, and without a value.
    said : what the audit, or the library, said otherwise.
    """

    name: str
    version: str
    saver: str
    tensor: str
    named: str
    ratio: float
    said: str


def requirements(library: str) -> list[str]:
    """Return what has to be installed for the newest measured release of a library."""
    rows = [row for row in table() if row.library == library and not row.since]
    _, distribution, more = MAKERS[library]
    return [f"{distribution}=={rows[0].version.split('+')[0]}", *more]


def made(library: str, python: str, folder: Path) -> Iterator[Mapping[str, Any]]:
    """Draw and save the layers of a library with an interpreter that has it; yield the list of what was saved."""
    script = MAKERS[library][0]
    command = [python, "-m", f"studies.presets.makers.{script}", str(folder), "--only", library]
    own = {"KERAS_BACKEND": "torch", "JAX_PLATFORMS": "cpu", "DDE_BACKEND": "pytorch"}
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **own}, stdout=sys.stderr, timeout=1800)
    for line in (folder / MANIFEST).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def judged(entry: Mapping[str, Any]) -> Iterator[Round]:
    """Audit what was saved of a row."""
    head = entry["name"], entry["version"], entry.get("saver", "")
    if "error" in entry:
        yield Round(*head, "", "", math.nan, entry["error"])
        return
    try:
        frame = mfmi.audit(entry["file"], layers=entry["tensors"])
    except MfmiError as error:
        yield Round(*head, "", "", math.nan, str(error))
        return
    for row in frame.to_dict("records"):
        if any(_is(row["name"], tensor) for tensor in entry["tensors"]):
            yield _round(head, {str(column): value for column, value in row.items()})


def _is(name: str, tensor: str) -> bool:
    return fnmatch.fnmatch(re.sub(r"\[\w+\]$", "", name), tensor)


def _round(head: tuple[str, str, str], row: Mapping[str, Any]) -> Round:
    name, version, _ = head
    kind, law, init, message = (
        row[key] if isinstance(row[key], str) else "" for key in ("kind", "law", "init", "message")
    )
    labels = {f"{name}@{version}"} if len([one for one in table() if one.name == name]) > 1 else {name}
    alike = message.partition(_ALIKE)[2].split("; ")[0].split(", ")
    named = "init" if init in labels else "alike" if labels & set(alike) else ""
    said = "" if named else "; ".join(filter(None, [kind, law, init, message]))
    return Round(*head, row["name"], named, _ratio(_row_of(name, version), row), said)


def _row_of(name: str, version: str) -> Initialiser:
    """Return the row of a name that is of a release: the newest that is not newer."""
    rows = [row for row in table() if row.name == name]
    same = [row for row in rows if row.version.split("+")[0] == version.split("+")[0]]
    older = [row for row in rows if row.since]
    return (same or older or rows)[0]


def _ratio(row: Initialiser, found: Mapping[str, Any]) -> float:
    """Return the measured sigma_w^2 over that of the table, where the layer has the sizes of the row."""
    sizes = row.sizes
    if row.role == "embedding":
        value, fan_in = row.variances({"inputs": 1.0, **sizes})[0], 1.0
    else:
        value = row.variances(sizes)[0]
        channels = 1.0 if row.is_depthwise else sizes["inputs"] / sizes.get("groups", 1.0)
        fan_in = channels * sizes.get("window", 1.0)
    return float(found["sigma_w"]) ** 2 / value if found["fan_in"] == fan_in and value > 0.0 else math.nan


def rounds(library: str, python: str, folder: Path) -> list[Round]:
    """Return every layer of a library's rows, from its saver into an audit."""
    return [one for entry in made(library, python, folder) for one in judged(entry)]


def summary(found: Sequence[Round]) -> str:
    """Return a line per layer and, at the end, of how many rows all layers are named."""
    lines = [
        f"{one.named or 'NOT NAMED':9} {one.name}@{one.version} ({one.saver}) {one.tensor}"
        + ("" if math.isnan(one.ratio) else f": sigma_w^2 {one.ratio:.4f} times the table's")
        + (f": {one.said}" if one.said else "")
        for one in found
    ]
    rows = dict.fromkeys(one.name for one in found)
    named = [name for name in rows if all(one.named for one in found if one.name == name)]
    return "\n".join([*lines, f"{len(named)} of {len(rows)} rows named"])
