"""Phases drawn for people: one point in words, a map in characters, the edge of chaos as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mfmi.cli.numbers import as_far_as, known, number
from mfmi.cli.terminal import can_show
from mfmi.names import PHASES

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from mfmi.activations import Activation

    Block = Mapping[str, np.ndarray[Any, Any]]

# Glyph, glyph in ASCII, style: distinguishable without colour, and by hue for every kind of colour vision.
PHASE_MARKS = {
    "ordered": ("·", ".", "blue"),
    "critical": ("=", "=", "bold"),
    "chaotic": ("▒", "%", "yellow"),
    "unbounded": ("×", "/", "magenta"),
    "unknown": ("?", "?", "red"),
}
EDGE_MARKS = ("█", "#", "bold")
REPELLING_MARKS = ("▓", "o", "bold")
MAP_HEIGHT = 21
MAP_WIDTH = 70
# Below this many layers a depth scale of zero is meant.
MARGIN = 8


def draw_point(
    activation: Activation, block: Block, noise: str, structure: Mapping[str, Any] | None, console: Console
) -> None:
    """Draw the fixed points, phase and depth scales of one network.

    Its noise is said by `noise`; `structure` is what a plain one has not.
    """
    row = {name: values[0] for name, values in block.items()}
    unicode = can_encode(console)
    plain = structure is None
    title = _title(activation, row, noise) + _settings(structure or {})
    for line in (title, _state(activation, row) if plain else _state_of_stream(row)):
        console.print(line if unicode else line.replace("·", "-"), soft_wrap=True)
    if known(row["q_star"]):
        console.print()
        row["6 xi_c"] = 6.0 * row["xi_c"]
        for name, meaning in _meanings(row).items():
            if known(row[name]):
                console.print(f"{name:<8}{_value(row[name]):>10}  {meaning}", soft_wrap=True)
    if not plain:
        _draw_laws(console, row)
        return
    roots = _fixed_points(activation, row)
    # One attracting point and zero, which repels, are what everyone expects.
    if sum(roots["stable"]) > 1 or any(roots["q_star"][~roots["stable"]] > 0.0):
        _draw_fixed_points(console, roots, row)
    if known(row["q_star"]) and row["message"]:
        console.print(row["message"], style="dim", soft_wrap=True)


def _title(activation: Activation, row: Mapping[str, Any], noise: str) -> str:
    where = f"{noise} in every layer" if row["noise_at"] == "every" else "no hidden noise"
    title = f"{activation.name} · sigma_w {row['sigma_w']:g} · sigma_b {row['sigma_b']:g} · {where}"
    return title if row["input_variance"] == 1 else f"{title} · input variance {row['input_variance']:g}"


def _state(activation: Activation, row: Mapping[str, Any]) -> str:
    from mfmi.meanfield import edge_of_chaos

    phase = row["phase"] or f"unknown ({row['message']})"
    if not activation.differentiable:
        return f"{phase}: a step has no finite slope, and no edge of chaos"
    hidden = float(row["sigma_noise"]) if row["noise_at"] == "every" else 0.0
    edge = edge_of_chaos(activation, float(row["sigma_b"]), hidden, input_variance=row["input_variance"]).found
    places = [
        f"{sigma_w:.4f}{'' if reached else ' (not reached)' if stable else ' (where it repels)'}"
        for sigma_w, stable, reached in zip(edge.sigma_w, edge.stable, edge.reached, strict=True)
    ]
    none = f"no edge of chaos at this sigma_b{as_far_as(activation.largest_variance)}"
    near = f"the edge of chaos is at sigma_w {' and '.join(places)}" if places else none
    slope = f"chi_1 {number(row['chi_1'])}; " if known(row["chi_1"]) else ""
    return f"{phase}: {slope}{near}"


def _settings(structure: Mapping[str, Any]) -> str:
    return "".join(
        f" · {name} {value if isinstance(value, str) else f'{value:g}'}" for name, value in structure.items()
    )


def _state_of_stream(row: Mapping[str, Any]) -> str:
    phase = row["phase"] or f"unknown ({row['message']})"
    if row["law"] == "none":
        slope = f"chi_1 {number(row['chi_1'])}" if known(row["chi_1"]) else row["message"] or "no finite fixed point"
        return f"{phase}: {slope}"
    goes = {"power": "goes by powers of the depth l", "stretched": "has gradients that grow as exp(rate sqrt(l))"}
    return f"{phase}: a stream of skip 1, which {goes.get(row['law'], 'grows exponentially with the depth l')}"


def _draw_laws(console: Console, row: Mapping[str, Any]) -> None:
    """Say how a stream of skip 1 goes with depth, where that is known."""
    laws = {
        "growth": "variance grows as l to this power" if row["law"] != "exponential" else "faster than any power",
        "c_star": "correlation that two inputs end with",
        "exponent_c": "correlations approach it as l to minus this power; 0 on the edge of chaos, where logarithms do",
        "exponent_grad": "squared gradients grow as l to this power, a normalised stream's variance as l",
        "rate": "ln of squared gradients per sqrt(l)" if row["law"] == "stretched" else "ln of the variance per layer",
    }
    if row["law"] == "none":
        return
    console.print()
    for name, meaning in laws.items():
        if known(row[name]):
            console.print(f"{name:<14}{_value(row[name]):>10}  {meaning}", soft_wrap=True)


def draw_normalised_curve(activation: Activation, block: Block, console: Console) -> None:
    """Draw the edge of chaos of normalised networks as a table."""
    if not len(block["sigma_b"]):
        console.print(f"{activation.name}: there is no edge of chaos at any of these sigma_b", soft_wrap=True)
        return
    console.print(f"Edge of chaos of {activation.name} after a norm: chi_1 = 1", soft_wrap=True)
    console.print(f"{'sigma_b':>12}{'sigma_w':>12}", style="bold")
    for b, w in zip(block["sigma_b"], block["sigma_w"], strict=True):
        place = f"{w:>12.6g}" if known(w) else f"{'any':>12}"
        console.print(f"{b:>12.6g}{place}", soft_wrap=True)
    console.print("more digits: --format csv", style="dim", soft_wrap=True)


def _meanings(row: Mapping[str, Any]) -> dict[str, str]:
    gradients, sign = ("gradients vanish", "") if row["xi_grad"] > 0 else ("gradients explode", ", hence the sign")
    return {
        "q_star": "variance of a pre-activation, without its noise",
        "c_star": "correlation that two inputs end with",
        "chi_1": "slope of the correlation map at 1; on the edge of chaos 1",
        "chi_q": "slope of the length map at q_star; above 1 it repels",
        "chi_c": "slope of the correlation map at c_star",
        "xi_q": "layers until a variance has come e times closer to q_star",
        "xi_c": "layers until a correlation has come e times closer to c_star",
        "6 xi_c": "layers that such a network trains to",
        "xi_grad": f"layers over which {gradients} by e{sign}",
    }


def _value(value: Any) -> str:
    if value in (float("inf"), float("-inf")):
        return "infinite"
    return number(value) if value >= 0 else f"-{number(-value)}"


def _fixed_points(activation: Activation, row: Mapping[str, Any]) -> Block:
    from mfmi.meanfield import fixed_points

    hidden = float(row["sigma_noise"]) if row["noise_at"] == "every" else 0.0
    return dict(
        fixed_points(
            activation,
            sigma_w=row["sigma_w"],
            sigma_b=row["sigma_b"],
            sigma_noise=hidden,
            input_variance=row["input_variance"],
        )
    )


def _draw_fixed_points(console: Console, roots: Block, row: Mapping[str, Any]) -> None:
    console.print()
    console.print("The variance has several fixed points; the input decides which one is reached:")
    console.print(f"{'q_star':>10}{'chi_q':>9}{'chi_1':>9}  phase", style="bold")
    for i in range(len(roots["q_star"])):
        cells = f"{number(roots['q_star'][i]):>10}{number(roots['chi_q'][i]):>9}{number(roots['chi_1'][i]):>9}"
        kind = "attracts" if roots["stable"][i] else "repels"
        here = f", reached from input variance {row['input_variance']:g}" if roots["reached"][i] else ""
        console.print(f"{cells}  {roots['phase'][i]}, {kind}{here}", soft_wrap=True)
    if row["phase"] == "unbounded":
        console.print(f"An input of variance {row['input_variance']:g} grows without bound.")
    elif not roots["stable"][-1] and not roots["message"][-1]:
        console.print("Above the last of them variances grow without bound.")


def draw_map(
    activation: Activation,
    blocks: Sequence[Block],
    hidden: float | str,
    structure: Mapping[str, Any] | None,
    console: Console,
) -> None:
    """Draw the phases over sigma_w and sigma_b, of plain networks with the edge of chaos."""
    import numpy as np
    from rich.text import Text

    from mfmi.report.axes import FigureAxis
    from mfmi.report.character_map import CharacterMap

    rows = {name: np.concatenate([block[name] for block in blocks]) for name in ("sigma_w", "sigma_b", "phase")}
    x, y = FigureAxis.of("sigma_w", rows["sigma_w"]), FigureAxis.of("sigma_b", rows["sigma_b"])
    unicode = can_encode(console)
    width = max(10, min(MAP_WIDTH, console.width - MARGIN - 1))
    height = min(MAP_HEIGHT, max(len(y), 2 * MAP_HEIGHT // 3))
    drawn = CharacterMap(x, y, width, height, unicode)
    phases = np.full((len(y), len(x)), "unknown", dtype=object)
    given = np.array([phase or "unknown" for phase in rows["phase"]], dtype=object)
    phases[y.nearest(rows["sigma_b"]), x.nearest(rows["sigma_w"])] = given
    glyphs, styles = np.empty(phases.shape, dtype="<U1"), np.empty(phases.shape, dtype=object)
    for name, (glyph, plain, style) in PHASE_MARKS.items():
        glyphs[phases == name], styles[phases == name] = glyph if unicode else plain, style
    drawn.fill(glyphs, styles)
    network = {"sigma_noise": hidden, "input_variance": float(blocks[0]["input_variance"][0])}
    edges = [] if structure is not None else _edges(activation, x.cells(4 * width), y.cells(4 * height), network)
    for w, b, (glyph, plain, style) in edges:
        drawn.mark(w, b, glyph if unicode else plain, style)

    noise = (
        f"noise {hidden if isinstance(hidden, str) else f'{hidden:g}'} in every layer" if hidden else "no hidden noise"
    )
    noise += _settings(structure or {})
    dot = "·" if unicode else "-"
    console.print(f"{activation.name} {dot} {noise} {dot} {len(x)} x {len(y)} points", soft_wrap=True)
    for line in drawn.lines():
        console.print(Text.assemble(*line), soft_wrap=True)
    legend = Text()
    for name in (*PHASES, "unknown"):
        share = float(np.mean(phases == name))
        if share:
            glyph, plain, style = PHASE_MARKS[name]
            legend.append((glyph if unicode else plain) * 2, style=style)
            legend.append(f" {name} {_percent(share)}   ")
    for (glyph, plain, style), what in (
        (EDGE_MARKS, "edge of chaos"),
        (REPELLING_MARKS, "edge that repels or is not reached"),
    ):
        if np.any(drawn.glyphs == (glyph if unicode else plain)):
            legend.append((glyph if unicode else plain) * 2, style=style)
            legend.append(f" {what}   ")
    legend.rstrip()
    console.print(legend, soft_wrap=True)
    console.print("the numbers: --format csv", style="dim", soft_wrap=True)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.005 else "< 1 %"


def _edges(
    activation: Activation, sigma_w: Any, sigma_b: Any, network: Mapping[str, Any]
) -> list[tuple[Any, Any, tuple[str, str, str]]]:
    """Points of the edge by both axes, so that it has no gaps where it runs along one; those not reached first."""
    import numpy as np

    from mfmi.meanfield import edge_of_chaos

    if not activation.differentiable:
        return []
    w, b = np.maximum(sigma_w, 0.0), np.maximum(sigma_b, 0.0)
    # Without biases lies the end of the edge, often the only point of it.
    edges = edge_of_chaos(activation, np.append(b, 0.0), **network), edge_of_chaos(activation, sigma_w=w, **network)
    found = [edge.found for edge in edges]
    return [
        (edge.sigma_w[edge.reached == reached], edge.sigma_b[edge.reached == reached], marks)
        for reached, marks in ((False, REPELLING_MARKS), (True, EDGE_MARKS))
        for edge in found
    ]


def draw_curve(activation: Activation, block: Block, console: Console, *, by_weight: bool) -> None:
    """Draw the edge of chaos as a table."""
    first, second = ("sigma_w", "sigma_b") if by_weight else ("sigma_b", "sigma_w")
    if not any(block["status"] == "ok"):
        limit = as_far_as(activation.largest_variance)
        console.print(f"{activation.name}: there is no edge of chaos at any of these {first}{limit}", soft_wrap=True)
        return
    hidden = f", noise {block['sigma_noise'][0]:g} in every layer" if block["noise_at"][0] == "every" else ""
    console.print(f"Edge of chaos of {activation.name}{hidden}: chi_1 = 1", soft_wrap=True)
    console.print(f"{first:>12}{second:>12}{'q_star':>10}{'chi_q':>9}", style="bold")
    for i in range(len(block[first])):
        if block["status"][i] != "ok":
            console.print(f"{block[first][i]:>12.6g}{'?':>12}  not known", soft_wrap=True)
            continue
        numbers = f"{block[first][i]:>12.6g}{block[second][i]:>12.6g}"
        numbers += f"{number(block['q_star'][i]):>10}{number(block['chi_q'][i]):>9}"
        console.print(
            f"{numbers}  {_remark(block, i)}".rstrip(), style="" if block["stable"][i] else "dim", soft_wrap=True
        )
    console.print("chi_q: slope of the length map; above 1 the point repels", style="dim", soft_wrap=True)
    console.print("more digits: --format csv", style="dim", soft_wrap=True)


def _remark(block: Block, i: int) -> str:
    if block["kind"][i] == "continuum":
        return "any variance stays as it is"
    if not block["stable"][i]:
        return "repels: no network ends there"
    if block["kind"][i] == "zero" and block["reached"][i]:
        return "variances vanish there"
    if not block["reached"][i]:
        return f"not reached from input variance {block['input_variance'][i]:g}"
    return ""


def can_encode(console: Console) -> bool:
    """Say whether the terminal shows more than ASCII."""
    from mfmi.report.character_map import FRAME

    marks = "".join(mark[0] for mark in (*PHASE_MARKS.values(), EDGE_MARKS, REPELLING_MARKS))
    return can_show(console, "".join((*FRAME, marks)))
