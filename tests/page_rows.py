"""Tables for pages, made up by formulas: quick to make, with nulls, infinities and text that means harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mfmi.checkpoints import audit_files
from mfmi.columns import COLUMNS
from mfmi.storage.parquet import columns_in, write_blocks
from mfmi.storage.provenance import provenance

HARM = "</script><img src=x onerror=alert(1)><script>alert(2)</script>$$x$$"
SIGMA_W, SIGMA_B, DEPTHS = np.linspace(0.6, 2.0, 8), np.array([0.0, 0.1, 0.2, 0.3, 0.4]), np.array([1, 2, 5, 20])


def sweep_block(activations: tuple[str, ...] = ("erf", "tanh")) -> dict[str, Any]:
    """Rows of plain networks with noise in every layer, information largest near sigma_w 1.2."""
    words = np.array(activations, dtype=object)
    a, k, w, b, d = (
        axis.ravel() for axis in np.meshgrid(np.arange(len(words)), [0, 1], SIGMA_W, SIGMA_B, DEPTHS, indexing="ij")
    )
    count = len(a)
    linear = (1.0 + 0.1 * a + 0.3 * k) * np.exp(-((w - 1.2) ** 2) * np.sqrt(d) - b - 0.1 * d)
    upper = linear * (1.2 + 0.2 * w)
    nothing = np.full(count, np.nan)
    block: dict[str, Any] = {
        "point": np.arange(count) // len(DEPTHS),
        "activation": words[a],
        "weights": np.array(["gaussian", "orthogonal"], dtype=object)[k],
        "noise_at": np.full(count, "every", dtype=object),
        "sigma_w": w,
        "sigma_b": b,
        "sigma_noise": np.full(count, 0.1),
        "input_variance": np.ones(count),
        "init": np.full(count, None),
        "normalization": np.full(count, "none", dtype=object),
        "norm_at": np.full(count, None),
        "noise_scale": np.full(count, "absolute", dtype=object),
        "skip": np.zeros(count),
        "branch": np.ones(count),
        "branch_matrices": np.ones(count, dtype=np.int32),
        "depth": d,
        "q": w**2 * (1.0 - 0.3 / d),
        "c": -0.5 + w / 10.0,
        "chi": w**2 / 3.0,
        "q_star": w**2,
        "c_star": np.minimum(w / 2.0, 1.0),
        "chi_1": w**2 / 1.44,
        "xi_q": nothing,
        "xi_c": np.where(np.isclose(w, 1.2), np.inf, 1.0 / np.abs(w - 1.2 + 1e-12)),
        "phase": np.where(w < 1.2, "ordered", "chaotic").astype(object),
        **{column.name: nothing for column in COLUMNS if column.name.startswith("mi_")},
        "status": np.full(count, "ok", dtype=object),
        "message": np.full(count, None),
    }
    lower = np.where((w > 1.9) & (b > 0.35), np.nan, 1.05 * linear)
    block |= {"mi_linear": linear, "mi_entropy_power": lower, "mi_lower": lower, "mi_upper": upper}
    block["mi_replica"] = 0.5 * (lower + upper)
    block["message"][:3] = HARM
    return block


def write_sweep(path: Path, activations: tuple[str, ...] = ("erf", "tanh")) -> dict[str, Any]:
    """Write a sweep whose config and messages mean harm; returns its rows."""
    return write_rows(path, sweep_block(activations))


def write_rows(path: Path, block: dict[str, Any]) -> dict[str, Any]:
    """Write rows with such a config; returns them."""
    origin = provenance({"seed": 7}, f"version: 1  # {HARM}\n", "ab" * 32, ["linear", "entropy_power", "replica"])
    with open(path, "wb") as file:
        write_blocks(file, [block], columns_in("nats"), origin)
    return block


def write_audit(path: Path, folder: Path, steps: int = 5) -> dict[str, Any]:
    """Write an audit of small networks in training, with made-up values of the network; returns its rows."""
    rng = np.random.default_rng(3)
    folder.mkdir()
    for step in range(steps):
        state = {f"layers.{i}.weight": rng.normal(size=(40, 40)) * (0.1 + 0.02 * step) for i in range(6)}
        state["norm.scale"] = np.ones(4)
        np.savez(folder / f"step{10 * step}.npz", **state)
    found = audit_files([str(folder)])
    count = len(found.block["layer"])
    layer = np.array([np.nan if one is None else one for one in found.block["layer"]], dtype=float)
    block = dict(found.block)
    block["sigma_w_edge"] = 1.0 + 0.05 * layer
    block["mi_linear"] = 2.0 / layer
    block["mi_lower"], block["mi_upper"] = 2.1 / layer, 2.4 / layer
    block["message"] = np.array([HARM if at == 0 else one for at, one in enumerate(block["message"])], dtype=object)
    assert count == 7 * steps
    with open(path, "wb") as file:
        write_blocks(file, [block], found.columns, {"audit": {"findings": [HARM, "layers.0.weight: too small"]}})
    return block
