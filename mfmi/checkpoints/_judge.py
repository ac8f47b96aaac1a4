"""One layer judged: its scale, its law, its spectrum and the initialiser that fits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfmi.arguments.arrays import FloatArray
from mfmi.checkpoints._laws import Entries, Law, law_of
from mfmi.checkpoints._layers import Layer
from mfmi.checkpoints._match import Context, Match, bias_fits, match
from mfmi.checkpoints._spectrum import SingularValues, spectrum_of
from mfmi.errors import OutputError

_NOTHING = Entries(0, math.nan, math.nan, math.nan, math.nan, True)
_UNKNOWN = Law("other")
# What it takes to say that a matrix was never trained: entries with a library's edge and without, the smaller
# dimension, and the probability of the law.
_FEW, _MANY, _NARROW, _LIKELY = 1024, 8192, 16, 1e-3
# Standard errors within which rows and columns are alike then, and scales of its chance within which the largest
# singular value is: more than a true draw reaches once in some thousand, less than what refuses its law.
_ALIKE, _WITHIN = 4.5, 4.0
# Standard deviations of what rows have in common that no draw reaches.
_TANGLED = 7.0


@dataclass(frozen=True)
class Judged:
    """Findings about a layer.

    Attributes
    ----------
    layer : the layer.
    entries : moments of its entries.
    sigma_w : their standard deviation times the root of the fan-in.
    law : law of the entries; "trained" too where the spectrum has outliers.
    spectrum : of its matrices; None if it was not asked for, or makes no sense.
    match : the initialiser that fits or is expected.
    bias : its biases, None without.
    failure : why its numbers could not be read; empty if they could.
    """

    layer: Layer
    entries: Entries = _NOTHING
    sigma_w: float = math.nan
    law: Law = _UNKNOWN
    spectrum: SingularValues | None = None
    match: Match | None = None
    bias: FloatArray | None = None
    failure: str = ""

    @property
    def is_finite(self) -> bool:
        """Whether all entries and biases are numbers that can be worked with."""
        return self.entries.finite and self.has_finite_bias

    @property
    def has_finite_bias(self) -> bool:
        """Whether all biases are numbers that can be worked with, if there are any."""
        return self.bias is None or Entries.of(self.bias).finite

    @property
    def is_draw(self) -> bool:
        """Whether law, edge and, as far as it is known, spectrum are those of an untouched draw."""
        return self.law.is_draw

    @property
    def is_untouched(self) -> bool:
        """Whether it can be said that nothing has trained it.

        The edge of a library's uniform law is known to one part in the number of entries; any other law takes many
        entries and directions to be told from a trained matrix that looks like it.
        """
        if not self.is_draw or self.layer.kind == "embedding":
            return False
        if self._has_edge and self.entries.count >= _FEW:
            return True
        narrow = min(self.layer.fan_in, self.layer.outputs // self.layer.groups)
        return self.entries.count >= _MANY and narrow >= _NARROW and self.law.p > _LIKELY and self._is_even

    @property
    def _has_edge(self) -> bool:
        """Whether all entries lie within the edge of a library's uniform law, and reach it."""
        return self.match is not None and self.match.fits and self.law.name == "uniform"

    @property
    def unseen(self) -> float:
        """Change, as a share of the matrix's norm, below which training need not show; 0 where the least change would.

        A change of rank one moves a singular value out of the bulk from `count^(-1/4)` on (Benaych-Georges and
        Nadakuditi 2012); one of higher rank is harder to see, and shows in what rows have in common.
        """
        return 0.0 if self._has_edge or self.law.name == "orthogonal" else 2.0 * float(self.entries.count) ** -0.25

    @property
    def _is_even(self) -> bool:
        """Whether rows, columns and spectrum are as like a draw's as one can ask, and a cut is where libraries cut."""
        if self.law.name == "orthogonal":
            return True
        if self.law.name == "truncated_normal" and not self.law.is_usual_cut(self.entries.count):
            return False
        within = self.spectrum is None or (abs(self.spectrum.tangle) < _ALIKE and self.spectrum.edge_excess < _WITHIN)
        return self.law.unevenness < _ALIKE and within

    @property
    def sigma_b(self) -> float:
        """Root mean square of the biases, as one number of the network; NaN without, or where one is no number."""
        if self.bias is None or self.bias.size == 0 or not self.has_finite_bias:
            return math.nan
        return float(np.sqrt(np.mean(np.square(self.bias, dtype=np.float64))))

    @property
    def bias_is_draw(self) -> bool:
        """Whether the biases may still be a uniform draw: none beyond sqrt(3) times their root mean square, or so."""
        if self.bias is None or self.bias.size < 8:
            return False
        return float(np.abs(self.bias).max()) < math.sqrt(3.0) * self.sigma_b * (1.0 + 3.0 / math.sqrt(self.bias.size))


def judge(layers: Sequence[Layer], context: Context, quick: bool) -> Iterator[Judged]:
    """Judge layers one after the other; a tensor of several blocks is read once.

    Parameters
    ----------
    layers
        In file order.
    context
        What all layers of the file say about each, whichever are judged.
    quick
        Leave the singular values out.
    """
    held: tuple[str, FloatArray] | None = None
    for layer in layers:
        if layer.kind == "skipped":
            yield Judged(layer)
            continue
        try:
            if held is None or held[0] != layer.tensor.name:
                held = None  # the old one goes before the new one comes
                held = layer.tensor.name, layer.tensor.load()
            bias = layer.bias({one.name: one.load() for one in layer.biases}) if layer.biases else None
        except (OutputError, MemoryError) as error:
            yield Judged(layer, failure=str(error) or "too large for the memory")
            continue
        yield _judged(layer, layer.matrices(held[1]), bias, context, quick)


def _judged(layer: Layer, matrices: FloatArray, bias: FloatArray | None, context: Context, quick: bool) -> Judged:
    entries = Entries.of(matrices)
    sigma_w = entries.std * math.sqrt(layer.fan_in)
    if not entries.finite:
        return Judged(layer, entries, sigma_w, law_of(matrices, entries, layer.tensor), bias=bias)
    law = law_of(matrices, entries, layer.tensor)
    spectrum = None if quick or layer.kind in ("embedding", "depthwise") else spectrum_of(matrices)
    if law.is_draw and law.name != "orthogonal" and spectrum is not None:
        law = _with_spectrum(law, spectrum)
    found = match(layer, entries, law, sigma_w, bias, context)
    if layer.folded and found is not None and found.fits:  # nothing has been multiplied into an untouched draw
        layer = replace(layer, folded=False)
    return Judged(layer, entries, sigma_w, law, spectrum, found, bias)


def _with_spectrum(law: Law, spectrum: SingularValues) -> Law:
    """Return the law, or "trained" where the singular values are not those of independent entries."""
    note = ""
    if spectrum.outliers > 0:
        note = f"{spectrum.outliers} singular values lie beyond the random bulk"
    elif abs(spectrum.tangle) > _TANGLED:
        how = "more nearly orthogonal" if spectrum.tangle < 0.0 else "more alike"
        note = f"its rows are {how} than chance has it, by {abs(spectrum.tangle):.3g} standard deviations"
    return Law("trained", note=f"its entries look {law.name}, but {note}") if note else law


def words(one: Judged) -> str:
    """Return what a row's message says."""
    if one.layer.kind == "skipped":
        return one.layer.message
    if one.failure:
        return one.failure
    said = [one.layer.message, one.law.note, "" if one.has_finite_bias else "biases that are not finite"]
    if one.layer.folded:
        said.append("scale not attributable: a BatchNorm may be folded in, for the graph has none")
    elif one.match is not None and not one.match.fits:
        said.append(f"sigma_w is {one.match.factor:.4g} times that of {one.match.label}")
    elif one.match is not None and not bias_fits(one.match, one.bias):
        said.append(f"the biases are not those of {one.match.label}")
    if one.match is not None and one.match.alike and not one.layer.folded:
        said.append(f"the same law and scale: {', '.join(one.match.alike)}")
    if one.spectrum is not None and one.law.name == "trained":
        said.append(f"stable rank {one.spectrum.stable_rank:.3g}")
    return "; ".join(filter(None, said))
