"""Norms, skips and scales of noise of rows as words, for the panels and titles of figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mfmi.names import BY_DEPTH

if TYPE_CHECKING:
    import pandas as pd

NETWORK = "network"
COLUMNS = ("point", "normalization", "norm_at", "noise_scale", "branch_matrices", "skip", "branch", "depth")
"""Columns that the words are made of."""


def with_words(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the column `NETWORK`, "" for what plain networks say.

    A branch that is divided by the root of the depth is one axis value and not one for each depth: its factor.

    Parameters
    ----------
    rows
        The columns `COLUMNS` and any others; returned as they are if they have the words already.
    """
    if NETWORK in rows:
        return rows
    found = rows.copy()
    by_depth = _by_depth(rows)
    depth = rows["depth"].to_numpy(np.float64)
    branch = rows["branch"].to_numpy(np.float64)
    # The root and its product are rounded, and one value must not become several.
    found["branch"] = np.where(by_depth, np.round(branch * np.sqrt(depth), 12), branch)
    kinds = rows[["normalization", "norm_at", "noise_scale", "branch_matrices"]].astype(object)
    kinds = kinds.where(kinds.notna(), None)
    known: dict[tuple[Any, ...], str] = {}
    texts = np.empty(len(rows), dtype=object)
    for i, key in enumerate(zip(*(kinds[name] for name in kinds), by_depth, strict=True)):
        texts[i] = known.setdefault(key, _text(*key))
    found[NETWORK] = texts
    return found


def _by_depth(rows: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether the branch of a row's point goes with the root of the depth."""
    groups = rows.groupby("point", sort=False)["branch"]
    return np.asarray((groups.transform("min") < groups.transform("max")).to_numpy(bool))


def _text(norm: str, norm_at: str | None, noise_scale: str, matrices: int, by_depth: bool) -> str:
    parts = [] if norm == "none" else [f"{norm} at {norm_at}"]
    parts += ["relative noise"] if noise_scale == "relative" else []
    parts += ["2 matrices a branch"] if matrices == 2 else []
    parts += [f"branch {BY_DEPTH}"] if by_depth else []
    return ", ".join(parts)


def is_plain(network: Mapping[str, Any]) -> bool:
    """Whether words and numbers of a panel say a stack of layers; not where skip or branch are axes."""
    return (network.get(NETWORK, ""), network.get("skip"), network.get("branch")) == ("", 0.0, 1.0)
