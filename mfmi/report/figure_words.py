"""Texts of figures: names of axes and quantities with their units, and the network of a figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mfmi.columns import BY_NAME
from mfmi.report.network_words import NETWORK

AXES = {
    "sigma_w": r"standard deviation of the weights $\sigma_w$",
    "sigma_b": r"standard deviation of the biases $\sigma_b$",
    "sigma_noise": r"standard deviation of the noise $\sigma$",
    "input_variance": r"variance of an input $q_x$",
    "skip": "factor of the skip $a$",
    "branch": "factor of the branch $g$",
    "depth": "depth (layers)",
}
SHORT_AXES = {
    "sigma_w": r"weights $\sigma_w$",
    "sigma_b": r"biases $\sigma_b$",
    "sigma_noise": r"noise $\sigma$",
    "input_variance": r"input $q_x$",
    "skip": "skip $a$",
    "branch": "branch $g$",
    "depth": "depth (layers)",
}
QUANTITIES = {
    "mi_linear": "linearly readable information",
    "mi_lower": "total information, lower bound",
    "mi_upper": "total information, upper bound",
    "mi_replica": "total information, replica value",
    "mi_mean_field": "mean field (approximation)",
    "mi_entropy_power": "entropy-power lower bound",
    "mi_layerwise": "layerwise lower bound",
    "mi_gaussian_upper": "maximum-entropy upper bound",
    "mi_covariance_upper": "upper bound by the covariance",
}
# In a legend under an axis that says "information".
SHORT_QUANTITIES = {
    "mi_linear": "linearly readable",
    "mi_lower": "lower bound",
    "mi_upper": "upper bound",
    "mi_replica": "replica value",
}

_NOISE = {"output": "output noise", "every": "noise everywhere"}


def axis_label(name: str, *, short: bool = False) -> str:
    """Label of an axis; pure numbers say so, for every axis has a unit."""
    if name == "depth":
        return AXES[name]
    return f"{SHORT_AXES[name] if short else AXES[name]} (dimensionless)"


def quantity_label(name: str, units: Mapping[str, str]) -> str:
    """Name of what is drawn, with its unit on a line of its own."""
    unit = units.get(name, "")
    return f"{quantity_name(name)}\n({unit if unit not in ('', '1') else 'dimensionless'})"


def quantity_name(name: str, *, short: bool = False) -> str:
    """Name of what is drawn."""
    if short and name in SHORT_QUANTITIES:
        return SHORT_QUANTITIES[name]
    if name in QUANTITIES or name not in BY_NAME:
        return QUANTITIES.get(name, name)
    return BY_NAME[name].description.split(";")[0]


def words_title(words: Mapping[str, str]) -> str:
    """Title of a panel; abbreviated if longer than one word, because two panels share a column."""
    if len(words) == 1:
        return "".join(phrase(name, word) for name, word in words.items())
    phrases = [_NOISE[word] if name == "noise_at" else phrase(name, word, short=True) for name, word in words.items()]
    return ", ".join(phrases)


def context_phrases(context: Mapping[str, Any]) -> list[str]:
    """The network that all panels have in common, and the numbers at which it is held."""
    parts = [phrase(name, context[name]) for name in ("activation", "weights") if name in context]
    parts += [context[NETWORK]] if context.get(NETWORK) else []
    skips = context.get("skip", 0.0) != 0.0 or context.get("branch", 1.0) != 1.0
    parts += [f"{name} {number(context[name])}" for name in ("skip", "branch") if name in context and skips]
    where = "in every layer" if context.get("noise_at") == "every" else "at the output"
    if "sigma_noise" in context:
        parts.append(f"noise {context['sigma_noise']:g}" + (f" {where}" if "noise_at" in context else ""))
    elif "noise_at" in context:
        parts.append(f"noise {where}")
    for name, text in (("sigma_w", r"$\sigma_w$"), ("sigma_b", r"$\sigma_b$"), ("depth", "depth")):
        if name in context:
            parts.append(f"{text} {number(context[name])}")
    if context.get("input_variance", 1.0) != 1.0:
        parts.append(f"input variance {context['input_variance']:g}")
    return parts


def plain(text: str) -> str:
    """Text without formulas, as a terminal shows it."""
    return text.replace("$", "").replace("\\", "")


def wrapped(phrases: Iterable[str], width: int) -> str:
    """Phrases with commas between them, in lines of at most so many letters that break between phrases only."""
    lines = [""]
    for phrase in phrases:
        longer = f"{lines[-1]}, {phrase}" if lines[-1] else phrase
        if lines[-1] and len(plain(longer).replace("sigma", "s")) > width:
            lines[-1] += ","
            lines.append(phrase)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def number(value: float) -> str:
    """Short text of a number in a title or legend."""
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def phrase(name: str, word: Any, *, short: bool = False) -> str:
    """Phrase for a word of a column about a network."""
    if name == NETWORK:
        return str(word) or "no norm"
    if name == "weights":
        return str(word) if short else f"{word} weights"
    if name == "noise_at":
        return "noise at the output" if word == "output" else "noise in every layer"
    return str(word)
