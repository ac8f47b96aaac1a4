"""The measured table: a row per layer of a library as it really starts."""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from mfmi.initialisers._formula import evaluated, limit, variables

WIDTHS = ("inputs", "outputs")


@dataclass(frozen=True)
class Initialiser:
    """The law from which a library draws one kind of layer.

    Attributes
    ----------
    name
        Name that `mfmi.initialisers.get` and ``--init`` take.
    library, version
        Where it was measured; library "recipe" and no version for a rule of the literature.
    since
        First release with the same law as far as it has been measured; empty if only `version` was.
    role
        "weight", or "embedding": a table of vectors that multiplies no signal.
    layer
        The layer in words, with the arguments that matter.
    law
        Law of the entries: uniform, normal, truncated_normal (at two standard deviations), orthogonal, zeros or other.
    sigma_w2_formula
        Second moment of an entry times the true fan-in, as a formula of the sizes; for "embedding" without the fan-in.
    sigma_b2_formula
        Second moment of the bias; None for a layer without.
    fan
        The fan that the library counts, which need not be the true one.
    sizes
        Sizes of the layer that was measured. Groups of `inf` stand for a depthwise layer, with a group per input.
    measured
        The measured value of `sigma_w2_formula` at `sizes`; NaN for a recipe.
    entries
        Number of entries measured where there were fewer than 1e5, else 0.
    note
        What else is to know.
    """

    name: str
    library: str
    version: str
    since: str
    role: str
    layer: str
    law: str
    sigma_w2_formula: str
    sigma_b2_formula: str | None
    fan: str
    sizes: Mapping[str, float]
    measured: float
    entries: int
    note: str

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the sizes that the formulas depend on, in the order in which they are given."""
        found = variables(self.sigma_w2_formula) | variables(self.sigma_b2_formula or "0")
        if "fan_in" in found:
            found = (found - {"fan_in"}) | {"inputs"} | ({"window", "groups"} & set(self.sizes))
        if self.is_depthwise:
            found -= {"groups"}
        return tuple(name for name in ("inputs", "outputs", *sorted(found - set(WIDTHS))) if name in found)

    @property
    def is_depthwise(self) -> bool:
        """Whether each input has a group of its own."""
        return self.sizes.get("groups") == math.inf

    def variances(self, sizes: Mapping[str, float]) -> tuple[float, float | None]:
        """Return sigma_w^2 and sigma_b^2 (None without biases) of a layer.

        Parameters
        ----------
        sizes
            ``inputs`` and ``outputs`` (channels), and as the formulas need them ``window`` (entries of the kernel's
            window), ``groups``, ``heads``, ``head``, ``layers``, ``positions``, ``pieces``, ``classes``.

        Raises
        ------
        ValueError
            A size is missing.
        """
        known = dict(sizes)
        window = known.get("window", 1.0)
        if "inputs" in known:
            channels = 1.0 if self.is_depthwise else known["inputs"] / known.get("groups", 1.0)
            known.setdefault("fan_in", channels * window)
        bias = self.sigma_b2_formula
        return evaluated(self.sigma_w2_formula, known), None if bias is None else evaluated(bias, known)

    def limits(self) -> tuple[float, float | None]:
        """Return sigma_w^2 and sigma_b^2 in square layers of unlimited width; `inf` and 0 where they have no other.

        Sizes apart from the width (heads, the window) are those of the layer that was measured.
        """
        bias = self.sigma_b2_formula
        return limit(self.sigma_w2_formula, self.sizes), None if bias is None else limit(bias, self.sizes)


@functools.cache
def table() -> tuple[Initialiser, ...]:
    """Return every row, recipes first; of one library in the order of its layers."""
    text = resources.files("mfmi.initialisers").joinpath("table.csv").read_text(encoding="utf-8")
    return tuple(_row(row) for row in csv.DictReader(text.splitlines()))


def _row(row: Mapping[str, str]) -> Initialiser:
    sizes = dict(pair.split("=") for pair in row["sizes"].split())
    return Initialiser(
        name=row["name"],
        library=row["library"],
        version=row["version"],
        since=row["since"],
        role=row["role"],
        layer=row["layer"],
        law=row["law"],
        sigma_w2_formula=row["sigma_w2"],
        sigma_b2_formula=row["sigma_b2"] or None,
        fan=row["fan"],
        sizes={name: math.inf if value == "inputs" else float(value) for name, value in sizes.items()},
        measured=float(row["measured"] or "nan"),
        entries=int(row["entries"] or 0),
        note=row["note"],
    )
