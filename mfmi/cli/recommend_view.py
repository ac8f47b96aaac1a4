"""Recommendations drawn for people."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mfmi.cli.model_options import convolution_text
from mfmi.cli.numbers import known, number
from mfmi.names import STATUS

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.recommendation.results import Beyond, NetworkFamily, Optimum, Recommendation

MEANINGS = {"linear": "linearly readable information", "total": "total information (best lower bound)"}


# Gradients that change by more than that over the depth are a warning.
UNEVEN = 4.0
# Of orthogonal weights beside gaussian ones; the tests of the study count again.
TRAINED = "less test loss in 16 of 17 cases of digits, 15 of 25 others (docs/evidence.md)"
# More information by that factor is worth a remark.
_WORTH = 1.05
# Beyond a limit: what is less than that share above the best is no more; a larger factor is no number; variances that
# are larger by that are the reason.
_MORE, _FACTOR, _LARGER = 1.001, 1e3, 2.0


def draw(found: Recommendation, console: Console) -> None:
    """Draw a recommendation: the optimum, the other one, and the initialisations of others."""
    network = found.network
    say(console, title_of(network))
    say(console, "")
    is_kept = found.gradients == "kept"
    _draw_optimum(console, network, found.best, "Best by", kept=is_kept, advise=not is_kept)
    _draw_arguments(console, found.best, network.weights)
    say(console, "")
    if found.other is not None:
        _draw_optimum(console, network, found.other, "For comparison, best by")
        say(console, "")
    _draw_comparison(console, found)
    say(console, f"in {network.unit} per input dimension; lead: of the recommendation over it", "dim")
    for text in remarks_of(network, found.best.sigma_w, found.best.sigma_b):
        say(console, text, "dim")
    if known(found.rotated) and found.rotated > _WORTH * found.best.value > 0.0:
        ratio = found.rotated / found.best.value
        say(
            console,
            f"orthogonal weights there: {_information(found.rotated)}, {ratio:.3g} times as much: --weights orthogonal",
            "yellow",
        )
        say(console, TRAINED, "yellow")
    if any(one.weights != network.weights for one in found.baselines):
        say(console, "orthogonal has orthogonal weights, the others independent ones: see --weights", "dim")
    if _only_linear(found) and not network.model.mixes:
        say(console, "no bound holds more than the linear one here: for the total, --by replica", "yellow")
    say(console, "code for it: add --emit torch, jax, linen, nnx, equinox, keras or numpy", "dim")


def draw_ranking(found: Sequence[tuple[NetworkFamily, Optimum]], console: Console) -> None:
    """Draw activations, best first."""
    if not found:
        say(console, "no activation has a value")
        return
    network, best = found[0]
    say(
        console,
        f"Best by {_meaning(best.quantity)}, {network.unit} per input dimension:",
    )
    say(console, f"{network.depth} layers, {network.weights} weights, {noise_of(network)}")
    unit = network.unit
    titles = f"{unit:>8}{'sigma_w':>9}{'sigma_b':>9}{'chi_1':>8}{'6 xi_c':>9}  phase"
    room = console.width - len(titles) - (len("unbounded") - len("phase"))
    width = max(len("activation"), *(n for one, _ in found if (n := len(one.activation.name)) <= room))
    say(console, f"{'activation':<{width}}{titles}", "bold")
    for one, optimum in found:
        cells = f"{_information(optimum.value):>8}{optimum.sigma_w:>9.4g}{optimum.sigma_b:>9.3g}"
        cells += f"{number(optimum.chi_1):>8}{_layers(optimum.trainable_depth):>9}"
        remarks = [_limit_words(optimum)] if optimum.limits else []
        remarks += [] if optimum.steady else ["held by a repelling variance"]
        name = one.activation.name
        if len(name) > width:
            say(console, name)
            name = ""
        say(console, f"{name:<{width}}{cells}  {optimum.phase}")
        if remarks:
            say(console, f"  {'; '.join(remarks)}", "yellow")
    say(console, "chi_1: slope of the correlation map, 1 on the edge of chaos", "dim")
    say(console, "6 xi_c: layers that such a network trains to", "dim")


def _only_linear(found: Recommendation) -> bool:
    """Whether the best lower bound at the total's optimum is but the linear one, which says little of the total."""
    return any(
        one is not None and one.quantity == "total" and found.crossed["linear"] >= (1.0 - 1e-6) * one.value
        for one in (found.best, found.other)
    )


def _information(value: float) -> str:
    """Four decimals, for the recommendation differs from others in the third; small values in powers of ten."""
    if not known(value) or value == 0.0:
        return number(value)
    return f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.1e}"


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line; what is too long for the terminal goes on below, indented alike."""
    indent = " " * (len(text) - len(text.lstrip()))
    lines = textwrap.wrap(text, console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    for line in lines or [""]:
        console.print(line.rstrip(), style=style, soft_wrap=True)


def title_of(network: NetworkFamily) -> str:
    """Say which network it is."""
    parts = [network.activation.name, f"{network.depth} layers", f"{network.weights} weights", noise_of(network)]
    own = network.structure
    if own.get("normalization", "none") != "none":
        parts.append(f"{own['normalization']} at {own.get('norm_at', 'activation')}")
    if own.get("skip"):
        parts.append(f"skip {own['skip']:g}")
    if own.get("branch_matrices") == 2:
        parts.append(f"2 matrices of ratio {own.get('hidden_ratio', 1.0):g}")
    if network.convolution is not None:
        parts.append(convolution_text(network.convolution))
    if network.input_variance != 1.0:
        parts.append(f"input variance {network.input_variance:g}")
    return ", ".join(parts)


def remarks_of(network: NetworkFamily, sigma_w: float, sigma_b: float) -> list[str]:
    """Say what of the network's scales changes nothing, and is not searched, and what its noise stands for."""
    if network.is_plain:
        return []
    from mfmi.networks.structure import notes

    return [text for text in str(notes(network.points(sigma_w, sigma_b))[0]).split("; ") if text]


def noise_of(network: NetworkFamily) -> str:
    """Say how large the noise is, and where."""
    where = "in every layer" if network.noise_at == "every" else "at the output"
    size = network.sigma_noise if isinstance(network.sigma_noise, str) else f"{network.sigma_noise:g}"
    share = " of the signal" if network.structure.get("noise_scale") == "relative" else ""
    return f"noise {size}{share} {where}"


def _meaning(quantity: str) -> str:
    return MEANINGS.get(quantity, quantity)


def _even(gradient: float) -> bool:
    return 1.0 / UNEVEN <= gradient <= UNEVEN


def _draw_optimum(
    console: Console, network: NetworkFamily, best: Optimum, opening: str, *, kept: bool = False, advise: bool = False
) -> None:
    also = " with gradients kept" if kept and known(best.gradient) else ""
    say(console, f"{opening} {_meaning(best.quantity)}{also}:", "bold")
    say(console, f"  sigma_w {best.sigma_w:.4f}, sigma_b {best.sigma_b:.4f}: {_information(best.value)} {network.unit}")
    if known(best.replica) and best.quantity != "replica":
        say(console, f"  all information there: {_information(best.replica)} {network.unit}, the replica value")
    say(console, f"  {_phase(best)}")
    if math.isfinite(best.trainable_depth):
        layers = f"about 6 xi_c = {_layers(best.trainable_depth)} layers"
        if best.trainable_depth >= network.depth:
            say(console, f"  trains to {layers}, enough for {network.depth}")
        else:
            say(console, f"  carries most to layer {network.depth}, yet trains only to {layers}", "yellow")
            say(console, f"  {_deeper(best)}", "yellow")
    elif best.trainable_depth == math.inf:
        say(console, "  trains to any depth: xi_c is infinite")
    if best.plateau is not None:
        say(console, f"  within 1 % of it: sigma_w from {best.plateau[0]:.4g} to {best.plateau[1]:.4g}")
    if kept or (known(best.gradient) and not _even(best.gradient)):
        words = f"  gradients change by a factor of {best.gradient:.2g} down to the first layer"
        say(console, words, "" if _even(best.gradient) else "yellow")
    if advise and known(best.gradient) and not _even(best.gradient):
        say(console, "  no one learning rate fits both ends: --gradients kept weighs that in", "yellow")
    if best.quantity in STATUS:
        say(console, f"  what this rests on: {STATUS[best.quantity]}", "dim")
    if best.limits:
        say(console, f"  {_limit_words(best)}", "yellow")
    for one in best.beyond:
        for words in _beyond_words(network, best, one):
            say(console, f"    {words}", "yellow")
    if not best.steady:
        say(console, "  held by a variance that repels, which networks of finite width leave:", "yellow")
        say(console, f"  an error of it grows {best.swing:.3g}-fold up to layer {network.depth}", "yellow")


def _draw_arguments(console: Console, best: Optimum, weights: str) -> None:
    """Say what the initialisers of libraries have to be given."""
    from mfmi.initialisers import Argument, arguments

    say(console, "  the numbers that initialisers take:")
    groups: dict[tuple[str, str], list[Argument]] = {}
    for one in arguments(best.sigma_w, best.sigma_b, weights):
        groups.setdefault((f"{one.argument}={one.value:.4f}", one.condition), []).append(one)
    for (given, condition), group in groups.items():
        names = [one.initialiser.split(".") for one in group]
        shared = names[0][:-1]
        if all(name[:-1] == shared for name in names):
            text = f"{'.'.join(names[0])}{''.join(f', {name[-1]}' for name in names[1:])}"
        else:
            text = ", ".join(".".join(name) for name in names)
        for line in textwrap.wrap(f"{given}: {text}", 72):
            say(console, f"    {line}", "dim")
        if condition:
            say(console, f"      of {condition}", "dim")


def _deeper(best: Optimum) -> str:
    """Say what would train deeper."""
    if known(best.edge):
        return f"the edge of chaos, at sigma_w {best.edge:.4f}, trains to any depth"
    return "no sigma_w trains to any depth at this sigma_b: try others, --sb 0:1:11"


def _limit_words(best: Optimum) -> str:
    words = {
        "sigma_w": "sigma_w is at the end of the search",
        "sigma_b": "sigma_b is at the end of the search",
        "unbounded": "just above, variances grow without bound",
    }
    return "; ".join(words[limit] for limit in best.limits)


def _beyond_words(network: NetworkFamily, best: Optimum, one: Beyond) -> list[str]:
    """Say what is to be had beyond a limit, and at what price."""
    if one.value <= _MORE * best.value:
        return ["beyond it there is no more"]
    ratio = one.value / best.value
    times = f"{ratio:.3g} times as much" if ratio < _FACTOR else "far more"
    still = ", rising" if one.rises else ""
    place = f"sigma_w {one.sigma_w:.4g}, sigma_b {one.sigma_b:.3g}"
    words = [f"beyond it, {place}: {_information(one.value)} {network.unit}, {times}{still}"]
    if one.growth >= _LARGER:
        words.append(f"where variances are {one.growth:.3g} times as large beside the noise")
    return words


def _phase(best: Optimum) -> str:
    slope = f"{best.phase}, chi_1 {number(best.chi_1)}" if known(best.chi_1) else best.phase
    if not known(best.edge):
        return f"{slope}; no edge of chaos that it could reach at this sigma_b"
    distance = 100.0 * (best.sigma_w / best.edge - 1.0)
    if abs(distance) < 0.05:
        return f"{slope}; on the edge of chaos"
    return f"{slope}; {abs(distance):.1f} % {'above' if distance > 0 else 'below'} the edge of chaos at {best.edge:.4f}"


def _layers(depth: float) -> str:
    if not known(depth):
        return ""
    return "infinite" if math.isinf(depth) else f"{depth:.3g}" if depth < 100.0 else f"{depth:.0f}"


def _draw_comparison(console: Console, found: Recommendation) -> None:
    best, other = found.best, found.other
    first = best.quantity
    second = next(quantity for quantity in found.crossed if quantity != first)
    width = max(len(name) for name in ("this recommendation", *(one.name for one in found.baselines)))
    header = f"{'':<{width}}{'sigma_w':>8}{'sigma_b':>8}{first:>9.9}{'lead':>8}{'of best':>8}{second:>9.9}  phase"
    say(console, header, "bold")
    lines = [
        ("this recommendation", best.sigma_w, best.sigma_b, best.value, found.crossed[second], best.phase),
    ]
    if other is not None:
        lines.append((f"best {second}", other.sigma_w, other.sigma_b, found.crossed[first], other.value, other.phase))
    lines += [
        (one.name, one.sigma_w, one.sigma_b, one.values[first], one.values[second], one.phase)
        for one in found.baselines
    ]
    for row, (name, sigma_w, sigma_b, value, counterpart, phase) in enumerate(lines):
        comparable = known(value) and best.value > 0.0
        share = f"{100.0 * value / best.value:.1f} %" if comparable else ""
        gain = _information(best.value - value) if comparable and row else ""
        cells = (
            f"{sigma_w:>8.4f}{sigma_b:>8.3f}{_information(value):>9}{gain:>8}{share:>8}{_information(counterpart):>9}"
        )
        say(console, f"{name:<{width}}{cells}  {phase}")
