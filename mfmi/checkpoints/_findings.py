"""Findings in words: which layer is off which recipe, by what factor, what that does, and what to do."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mfmi.checkpoints._judge import Judged
from mfmi.checkpoints._match import bias_fits

BAD, ODD, NOTE = 2, 1, 0
LEVELS = ("note", "odd", "bad")
_FEWEST = 1024  # entries that tell a scale well enough to call it off
_NAMED = 4  # layers named in one finding


@dataclass(frozen=True)
class Finding:
    """Something that the reader of a checkpoint should know.

    Attributes
    ----------
    level : 2 where something is broken, 1 where it is unusual, 0 for a note.
    size : how far off, to sort findings of one level.
    layers : names of the layers concerned.
    text : what is wrong, by how much, what it does, what to do.
    """

    level: int
    size: float
    layers: tuple[str, ...]
    text: str


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order in which they are read."""
    return sorted(findings, key=lambda one: (-one.level, -one.size, one.layers))


def findings_of(judged: Sequence[Judged]) -> list[Finding]:
    """Return what is to be said about the matrices of one file, each by itself."""
    layers = [one for one in judged if one.layer.kind != "skipped" and not one.failure]
    return [
        *_broken(layers),
        *_misplaced(layers),
        *_factors(layers),
        *_cuts(layers),
        *_biases(layers),
        *_residual(layers),
        *_untrained(layers),
        *_skipped(judged),
    ]


def listed(names: Sequence[str]) -> str:
    """Return names with commas between them, the first few of many."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _of(level: int, size: float, layers: Sequence[Judged], text: str) -> Finding:
    names = tuple(one.layer.name for one in layers)
    return Finding(level, size, names, f"{listed(names)}: {text}")


def _broken(layers: Iterable[Judged]) -> Iterable[Finding]:
    infinite = [one for one in layers if not one.is_finite]
    if infinite:
        what = "entries" if any(not one.entries.finite for one in infinite) else "biases"
        yield _of(
            BAD, math.inf, infinite, f"{what} that are not finite; all later layers are lost. Take an earlier step"
        )
    zeros = [one for one in layers if one.entries.finite and one.entries.largest == 0.0]
    if zeros:
        yield _of(
            ODD,
            50.0,
            zeros,
            "all entries are 0: nothing passes, signal or gradient. As the last layer of a residual branch or of a "
            "head this may be meant; else it was never filled",
        )


def _misplaced(layers: Iterable[Judged]) -> Iterable[Finding]:
    for one in layers:
        if one.layer.misplaced:
            yield _of(
                BAD,
                100.0,
                [one],
                f"its axes {one.layer.tensor.shape} are the other way round than those of the layers beside it, by its "
                "bias. It was saved transposed: transpose it before it is loaded",
            )


def _factors(layers: Sequence[Judged]) -> Iterable[Finding]:
    """Find draws of a known law at a scale that is not the library's."""
    has_trained = any(one.law.name == "trained" for one in layers)
    groups: dict[tuple[str, float, str], list[Judged]] = defaultdict(list)
    for one in layers:
        match = one.match
        if match is None or match.fits or not one.is_draw or one.layer.folded or one.layer.kind == "embedding":
            continue
        if (
            one.entries.count < _FEWEST
            or not 0.0 < match.factor < math.inf
            or (one.law.name == "truncated_normal" and _is_cut(one))
        ):
            continue
        if has_trained and (not match.cause or match.row.library == "recipe" or not bias_fits(match, one.bias)):
            continue  # weight decay alone may have shrunk what no gradient has reached
        groups[(match.label, round(match.factor, 2), match.cause)].append(one)
    for (label, _, cause), group in groups.items():
        match = group[0].match
        assert match is not None
        size = abs(math.log(match.factor))
        effect = f"a signal's variance changes by {match.factor**2:.3g} against the recipe in each such layer"
        if len(group) > 1:
            effect += f", by {match.factor ** (2 * len(group)):.3g} over the {len(group)}"
        text = (
            f"sigma_w {group[0].sigma_w:.4g} is {match.factor:.4g} times that of {label} ({match.sigma_w:.4g}), "
            f"with its law ({group[0].law.name}); {effect}. "
        )
        if cause:
            text += f"That is what comes out if {cause}; count the {group[0].layer.fan_in} terms that a unit sums"
        else:
            text += "If another recipe is meant, compare with it; else draw again"
        is_sure = match.row.library != "recipe" and (bool(cause) or size > math.log(3.0))
        yield _of(BAD if is_sure else ODD, size, group, text)


def _is_cut(one: Judged) -> bool:
    return not one.law.is_usual_cut(one.entries.count)


def _cuts(layers: Sequence[Judged]) -> Iterable[Finding]:
    """Find normals that are cut elsewhere than where libraries cut."""
    from mfmi.checkpoints._laws import truncated_std

    cut = [one for one in layers if one.is_draw and one.law.name == "truncated_normal" and _is_cut(one)]
    if cut:
        first = cut[0].law.cut
        share = math.erfc(first / math.sqrt(2.0))
        yield _of(
            BAD,
            abs(math.log(truncated_std(first))),
            cut,
            f"a normal cut at {first:.3g} standard deviations, which takes {100 * share:.2g} % of it and leaves "
            f"{truncated_std(first):.3g} of its standard deviation; libraries cut at 2. If the scale is not corrected "
            "for it, each layer passes that much less",
        )


def _biases(layers: Sequence[Judged]) -> Iterable[Finding]:
    for one in layers:
        match = one.match
        if match is None or one.bias is None or not match.fits or math.isnan(match.bias_factor) or not match.sigma_b:
            continue
        tolerance = max(6.0 * 0.45 / math.sqrt(one.bias.size), 0.02)
        if match.sigma_b > 1e-5 and abs(match.bias_factor - 1.0) > tolerance and one.bias_is_draw:
            yield _of(
                BAD if match.bias_factor > 1.0 else ODD,
                abs(math.log(max(match.bias_factor, 1e-12))),
                [one],
                f"its biases are {match.bias_factor:.3g} times those of {match.label} (sigma_b {one.sigma_b:.4g} for "
                f"{match.sigma_b:.4g}) while its weights are untouched; inputs become more similar after this layer. "
                "Draw them again",
            )


def _residual(layers: Sequence[Judged]) -> Iterable[Finding]:
    """Find projections back to the stream of GPT-2 without the scale that its recipe gives them."""
    outs = [one for one in layers if re.search(r"(^|[./])c_proj\.", one.layer.tensor.name) and one.is_draw]
    ins = [one for one in layers if re.search(r"(^|[./])(c_attn|c_fc)\.", one.layer.tensor.name) and one.is_draw]
    depth = len({re.sub(r"\D*(\d+).*", r"\1", one.layer.name) for one in outs if re.search(r"\d", one.layer.name)})
    if not outs or not ins or depth < 2:
        return
    entry = float(np.median([one.entries.std for one in ins]))
    out = float(np.median([one.entries.std for one in outs]))
    wanted = 1.0 / math.sqrt(2.0 * depth)
    if abs(out / entry - 1.0) < 0.05 < abs(wanted - 1.0):
        yield _of(
            BAD,
            -math.log(wanted),
            outs,
            f"the residual scale 1/sqrt(2 layers) = {wanted:.3g} is missing: their entries have the standard deviation "
            f"of the other layers ({out:.4g}). The stream's variance grows {2 * depth:.3g} times as fast over the "
            f"{depth} blocks. Multiply them by {wanted:.3g}",
        )


def _untrained(layers: Sequence[Judged]) -> Iterable[Finding]:
    """Find draws that nothing has touched in a network whose other layers have been trained."""
    trained = [one for one in layers if one.law.name == "trained"]
    drawn = [one for one in layers if one.is_untouched or (one.is_draw and not trained)]
    drawn = [one for one in drawn if one.layer.kind != "embedding"]
    if not drawn:
        return
    entries = sum(one.entries.count for one in drawn)
    whole = sum(one.entries.count for one in layers)
    if not trained:
        names = tuple(one.layer.name for one in drawn)
        yield Finding(NOTE, 0.0, names, f"untouched: {len(drawn)} matrices are as drawn, and none has been trained")
        return
    surely = "law, edge and spectrum" if all(one.spectrum is not None for one in drawn) else "law and edge"
    unseen = max(one.unseen for one in drawn)
    limit = f" (a change of less than {100 * unseen:.2g} % of a matrix's norm would not show)" if unseen else ""
    yield _of(
        ODD,
        10.0,
        drawn,
        f"never trained, by {surely}{limit}: {_origins(drawn)}. {100 * entries / whole:.3g} % of the weights; no "
        f"gradient has reached them while {len(trained)} other matrices were trained. Check that their input is not "
        "always 0 and that they are not frozen",
    )


def _origins(drawn: Sequence[Judged]) -> str:
    words = dict.fromkeys(
        one.match.label if one.match is not None and one.match.fits else f"{one.law.name}, std {one.entries.std:.4g}"
        for one in drawn
    )
    return "; ".join(list(words)[:_NAMED])


def _skipped(judged: Sequence[Judged]) -> Iterable[Finding]:
    asked = [one for one in judged if one.layer.kind == "skipped" and "--axes" in one.layer.message]
    if asked:
        yield _of(NOTE, 1.0, asked, "skipped, for nothing tells their axes; say --axes oi (output, input) or --axes io")
    folded = [one for one in judged if one.layer.folded]
    if folded:
        text = "the scale is not attributable: a BatchNorm may be folded in. Audit the file from which it was exported"
        yield _of(NOTE, 1.0, folded, text)
