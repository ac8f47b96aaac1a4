"""The Jacobian's singular values drawn for people: moments as a table, the spectrum as a sketch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mfmi.cli.numbers import known, number
from mfmi.names import BY_DEPTH

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from mfmi.jacobian import JacobianSpectrum

    Block = Mapping[str, np.ndarray[Any, Any]]

HEIGHTS, HEIGHTS_ASCII = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
SKETCH_LINES = 6
SKETCH_WIDTH = 64
# Share of the mass that the sketch may leave out at the lower end.
LEFT_OUT = 0.05
TICKS = 4


def draw_isometry(rows: Block, spectra: Mapping[int, JacobianSpectrum], console: Console) -> None:
    """Draw a line per layer, and the density of the last spectrum over ln x."""
    unicode = _can_encode(console.encoding)
    where = f"noise {rows['sigma_noise'][0]:g} in every layer" if rows["noise_at"][0] == "every" else "no hidden noise"
    title = (
        f"{rows['activation'][0]} · sigma_w {rows['sigma_w'][0]:g} · sigma_b {rows['sigma_b'][0]:g} · {where}"
        f" · {rows['weights'][0]} weights"
    )
    console.print(title if unicode else title.replace("·", "-"), soft_wrap=True)
    console.print("squared singular values of the Jacobian; an isometry has mean 1, variance 0", soft_wrap=True)
    console.print()
    head = (
        f"{'layer':>5}{'mean':>9}{'variance':>10}{'distance':>10}{'lower':>9}{'upper':>9}{'at 0':>8}{'condition':>11}"
    )
    console.print(head, style="bold", soft_wrap=True)
    for i in range(len(rows["depth"])):
        console.print(_line(rows, i).rstrip(), soft_wrap=True)
    for sentence in _nearest(rows):
        console.print(sentence, soft_wrap=True)
    if spectra:
        layer = max(spectra)
        _draw_density(layer, spectra[layer], unicode, console)
    for message in dict.fromkeys(str(message) for message in rows["message"] if message):
        console.print(f"note: {message}", style="dim", soft_wrap=True)
    console.print("the numbers: --format csv; the density: --density", style="dim", soft_wrap=True)


def draw_structured(rows: Block, noise: str, console: Console) -> None:
    """Draw a line per layer of a network with norms, skips or relative noise, whose size is said by `noise`."""
    from mfmi.cli.structure_options import structure_text

    unicode = _can_encode(console.encoding)
    where = f"{noise} in every layer" if rows["noise_at"][0] == "every" else "no hidden noise"
    title = (
        f"{rows['activation'][0]} · sigma_w {rows['sigma_w'][0]:g} · sigma_b {rows['sigma_b'][0]:g} · {where}"
        f" · {rows['weights'][0]} weights"
    )
    branch = BY_DEPTH if len(set(rows["branch"])) > 1 else None
    title += structure_text({name: values[-1] for name, values in rows.items()}, branch)
    console.print(title if unicode else title.replace("·", "-"), soft_wrap=True)
    console.print("squared singular values of the Jacobian; an isometry has mean 1, variance 0", soft_wrap=True)
    console.print()
    console.print(f"{'layer':>5}{'branch':>9}{'mean':>9}{'variance':>10}{'distance':>10}", style="bold", soft_wrap=True)
    for i in range(len(rows["depth"])):
        cells = f"{rows['depth'][i]:>5}{number(rows['branch'][i]):>9}{number(rows['jacobian_mean'][i]):>9}"
        cells += "".join(f"{number(rows[name][i]):>10}" for name in ("jacobian_variance", "isometry_distance"))
        console.print(cells, soft_wrap=True)
    for message in dict.fromkeys(str(message) for message in rows["message"] if message):
        console.print(f"note: {message}", style="dim", soft_wrap=True)
    console.print(
        "the spectrum is known of plain networks only; the numbers: --format csv", style="dim", soft_wrap=True
    )


def _line(rows: Block, i: int) -> str:
    condition = rows["condition_number"][i]
    cells = [f"{number(rows[name][i]):>9}" for name in ("jacobian_mean",)]
    cells += [f"{number(rows[name][i]):>10}" for name in ("jacobian_variance", "isometry_distance")]
    cells += [f"{number(rows[name][i]):>9}" for name in ("spectrum_lower", "spectrum_upper")]
    cells.append(f"{number(rows['zero_mass'][i]):>8}")
    cells.append(f"{'infinite' if condition == float('inf') else number(condition):>11}")
    return f"{rows['depth'][i]:>5}" + "".join(cells)


def _nearest(rows: Block) -> list[str]:
    best, variance = rows["isometric_sigma_w"][-1], rows["isometric_variance"][-1]
    if not known(best):
        return ["no weights make the mean 1 at the last layer"]
    return [f"at the last layer the mean is 1 at sigma_w {best:.4f}, with variance {number(variance)}"]


def _draw_density(layer: int, found: JacobianSpectrum, unicode: bool, console: Console) -> None:
    for value, mass in found.atoms:
        console.print(f"layer {layer}: share {mass:.4f} at {value:.4g}", soft_wrap=True)
    if not found.edges:
        return
    width = max(10, min(SKETCH_WIDTH, console.width - 4))
    heights, ends = density_profile(found, width)
    console.print()
    tail = f" ({100 * LEFT_OUT:g} % of it lies below)" if found.edges[0][0] < ends[0] else ""
    console.print(f"layer {layer}: density over ln x{tail}", style="bold", soft_wrap=True)
    for line in sketch(heights, SKETCH_LINES, HEIGHTS if unicode else HEIGHTS_ASCII):
        console.print(f"  {line}", style="cyan", soft_wrap=True)
    console.print(f"  {_axis(ends, width)}", soft_wrap=True)


def density_profile(found: JacobianSpectrum, width: int) -> tuple[list[float], tuple[float, float]]:
    """Return the density of ln x in `width` cells, and the ends of the axis in x."""
    import numpy as np

    shares = np.cumsum(found.masses)
    start = int(np.searchsorted(shares, LEFT_OUT * shares[-1]))
    low, high = max(float(found.x[start]), found.edges[0][0]), found.edges[-1][1]
    cells = np.linspace(np.log(low), np.log(high), 2 * width + 1)[1::2]
    heights = np.interp(cells, np.log(found.x), found.x * found.density)
    inside = np.zeros(width, dtype=bool)
    for lower, upper in found.edges:
        inside |= (np.exp(cells) >= lower) & (np.exp(cells) <= upper)
    return np.where(inside, heights, 0.0).tolist(), (low, high)


def sketch(heights: Sequence[float], lines: int, glyphs: str) -> list[str]:
    """Return columns of the given heights as lines of text, from top to bottom."""
    top = max(heights) or 1.0
    levels = [round(height / top * lines * (len(glyphs) - 1)) for height in heights]
    per_line = len(glyphs) - 1
    return [
        "".join(glyphs[min(per_line, max(0, level - row * per_line))] for level in levels).rstrip()
        for row in reversed(range(lines))
    ]


def _axis(ends: tuple[float, float], width: int) -> str:
    """Return the labels of the axis, spread evenly in ln x."""
    low, high = ends
    labels = [f"{low * (high / low) ** (k / (TICKS - 1)):.3g}" for k in range(TICKS)]
    text = labels[0]
    for k, label in enumerate(labels[1:], 1):
        place = round(k * (width - 1) / (TICKS - 1)) - (len(label) - 1 if k == TICKS - 1 else len(label) // 2)
        text = f"{text:<{place}}{label}" if place > len(text) else f"{text} {label}"
    return text


def _can_encode(encoding: str) -> bool:
    try:
        f"·{HEIGHTS}".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
