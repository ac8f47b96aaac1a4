"""The table of ``mfmi bound`` for people: the headline, a row and bars for each layer, and remarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mfmi.cli.model_options import convolution_text
from mfmi.cli.numbers import as_far_as, known, number
from mfmi.cli.structure_options import noise_text, structure_text
from mfmi.cli.terminal import can_show
from mfmi.columns import DATA_NAMES
from mfmi.names import (
    BY_DEPTH,
    LOWER_BOUNDS,
    OBSERVABLES,
    UPPER_BOUNDS,
)

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.text import Text

    from mfmi.activations import Activation
    from mfmi.networks.model import Model
    from mfmi.networks.points import Points
    from mfmi.networks.spectrum import WeightSpectrum

    Rows = Mapping[str, np.ndarray[Any, Any]]

IN_HEADLINE = (
    *("activation", "weights", "noise_at", "init", "sigma_w", "sigma_b", "sigma_noise"),
    *("normalization", "norm_at", "noise_scale", "skip", "branch", "branch_matrices"),
    *("q_star", "chi_1", "phase"),
)
IN_TABLE = ("depth", "q", "c", "chi", "mi_linear", "mi_replica", "mi_lower", "mi_upper", "status", "message")
BARS = "█▓▒"
BARS_ASCII = "#=-"
STYLES = ("blue", "cyan", "bright_black")
# The value itself, over the bars of its bounds.
VALUE, VALUE_ASCII, VALUE_STYLE = "┃", "|", "bold"
BAR_LEAST, _LINE = 8, 80
# Characters of the interval between the numbers and the bars, and how many more where the value stands in it.
INTERVAL, OF_VALUE = len("   0.000 ≤ I ≤ 0.000   "), len("0.000") - len("I")
MEAN_FIELD = {"q": 9, "c": 8, "chi": 8}


def draw(
    activation: Activation,
    points: Points,
    rows: Rows,
    model: Model,
    estimators: tuple[str, ...],
    optional: tuple[str, ...],
    unit: str,
    console: Console,
) -> None:
    """Draw the rows for people, 80 columns wide or as wide as the terminal."""
    unicode = can_show(console, f"·≤{BARS}{VALUE}")
    for line in _headline(activation, points, rows, model):
        console.print(line if unicode else line.replace("·", "-"), soft_wrap=True)
    console.print()
    beside = tuple(name for name in optional if name not in DATA_NAMES)
    asked = [*beside, *(f"mi_{name}" for name in ("linear",) if name in estimators)]
    remark = max((len(_remark(status)) for status in rows["status"]), default=0)
    interval = INTERVAL + (OF_VALUE if "replica" in estimators else 0)
    names = _fitting(asked, console.width - remark, interval)
    header = f"{'layer':>5}" + "".join(f"{name.removeprefix('mi_'):>{_width(name)}}" for name in names)
    titles = (f"information, {unit} per input dimension", f"information, {unit}", unit)
    title = next((title for title in titles if len(header) + 3 + len(title) <= console.width), unit)
    console.print(f"{header}   {title}", style="bold", soft_wrap=True)
    room = console.width - remark - len(header) - interval
    largest = _largest(rows)
    for i in range(len(rows["depth"])):
        drawn = _line(rows, i, names, interval > INTERVAL, unicode)
        drawn.append_text(_bar(rows, i, largest, room if room >= BAR_LEAST else 0, unicode))
        drawn.append(_remark(rows["status"][i]), style="red")
        drawn.rstrip()
        console.print(drawn, soft_wrap=True)
    missing = [name.removeprefix("mi_") for name in (*MEAN_FIELD, *asked) if name not in names]
    if room < BAR_LEAST:
        missing.append("bars")
    if missing:
        text = f"no room for {', '.join(missing)}: a wider terminal, or --format csv"
        console.print(text, style="dim", soft_wrap=True)
    for line in _of_data(rows, model, unit, unicode):
        console.print(line, soft_wrap=True)
    for line in _footer(rows, model, estimators, optional, unicode):
        console.print(line, style="dim", soft_wrap=True)


def _headline(activation: Activation, points: Points, rows: Rows, model: Model) -> list[str]:
    """Say which network this is, in which phase it lies and where the edge of chaos is."""
    from mfmi.report.summary import edge_sigma_w

    sigma_b, noise = float(rows["sigma_b"][0]), float(rows["sigma_noise"][0])
    noise_at = str(rows["noise_at"][0])
    where = "at the output" if noise_at == "output" else "in every layer"
    init = f"{rows['init'][0]} · " if rows["init"][0] else ""
    first = (
        f"{activation.name} · {init}sigma_w {rows['sigma_w'][0]:g} · sigma_b {sigma_b:g} · {noise_text(points)} {where}"
        f" · {rows['weights'][0]} weights"
    )
    own = points.structured
    branch = BY_DEPTH if own.branch_by_depth[0] else None
    row = {name: values[0] for name, values in rows.items()}
    first += structure_text(row, branch, float(own.hidden_ratio[0]))
    if rows["input_variance"][0] != 1:
        first += f" · input variance {rows['input_variance'][0]:g}"
    if model.convolution is not None:
        first += f" · {convolution_text(model.convolution)}"
    elif not model.has_plain_input:
        name = "correlated" if model.prior_name == "spectrum" else model.prior_name.replace("_", " and ")
        first += f" · {name} input"
    if model.observe != OBSERVABLES[0]:
        first += f" · {model.observe} observed"
    if model.alpha:
        first += f" · ratios of widths {', '.join(number(ratio) for ratio in model.alpha)}"
    if not points.is_plain.all():
        if own.branch_by_depth[0] or not rows["phase"][0]:
            return [first]
        slope = f": chi_1 {number(rows['chi_1'][0])}" if known(rows["chi_1"][0]) else ""
        return [first, f"{rows['phase'][0]}{slope}"]
    facts = [f"{name} {number(rows[column][0])}" for name, column in (("chi_1", "chi_1"), ("q*", "q_star"))]
    facts = [fact for fact, column in zip(facts, ("chi_1", "q_star"), strict=True) if known(rows[column][0])]
    phase = rows["phase"][0] or "phase unknown"
    none = "no finite q*" if rows["phase"][0] else "q* is not known"
    state = f"{phase}: {', '.join(facts) or none}"
    hidden = noise if noise_at == "every" else 0.0
    edges = edge_sigma_w(activation.name, sigma_b, hidden, float(rows["input_variance"][0]))[0]
    if edges:
        return [first, f"{state}; the edge of chaos is at sigma_w {' and '.join(f'{edge:.3f}' for edge in edges)}"]
    limit = as_far_as(activation.largest_variance)
    return [first, f"{state}; there is no edge of chaos that it could reach at this sigma_b{limit}"]


def _fitting(asked: list[str], width: int, interval: int) -> list[str]:
    """Return the columns that fit: the mean field gives way to the bars, the bars to what was asked for."""
    names = [*MEAN_FIELD, *asked]
    for places, beside in ((reversed(MEAN_FIELD), interval + BAR_LEAST), (reversed(asked), interval)):
        for name in places:
            if 5 + sum(map(_width, names)) + beside > width:
                names.remove(name)
    return names


def _line(rows: Rows, i: int, names: list[str], valued: bool, unicode: bool) -> Text:
    """The numbers of a row: those of its columns, then the value, if it is asked for, between its bounds."""
    from rich.text import Text

    cells = f"{rows['depth'][i]:>5}" + "".join(f"{number(rows[name][i]):>{_width(name)}}" for name in names)
    lower, upper = rows["mi_lower"][i], rows["mi_upper"][i]
    at_most = "≤" if unicode else "<"
    left = f"{number(lower):>7} {at_most}" if known(lower) else " " * 9
    right = f"{at_most} {number(upper):<7}" if known(upper) else " " * 9
    value = number(rows["mi_replica"][i]) if known(rows["mi_replica"][i]) else "I"
    middle = f"{value:^{1 + OF_VALUE}}" if valued else "I"
    return Text(f"{cells} {left} {middle} {right} " if known(lower) or known(upper) else f"{cells}   ")


def _bar(rows: Rows, i: int, largest: float, room: int, unicode: bool) -> Text:
    """Draw what is linearly readable, the bounds and the value of a row in so many characters."""
    from rich.text import Text

    def length(name: str) -> int:
        return round(rows[name][i] / largest * room) if known(rows[name][i]) and largest > 0 else 0

    bar, done = Text(), 0
    for name, mark, style in zip(
        ("mi_linear", "mi_lower", "mi_upper"), BARS if unicode else BARS_ASCII, STYLES, strict=True
    ):
        bar.append(mark * (length(name) - done), style=style)
        done = max(done, length(name))
    value = length("mi_replica")
    if 0 < value <= done:
        bar = bar[: value - 1].append(VALUE if unicode else VALUE_ASCII, style=VALUE_STYLE) + bar[value:]
    return bar


def _remark(status: str) -> str:
    return "" if status in ("ok", "unbounded") else f" {status}"


def _width(name: str) -> int:
    return MEAN_FIELD.get(name) or max(9, len(name.removeprefix("mi_")) + 2)


def _of_data(rows: Rows, model: Model, unit: str, unicode: bool) -> list[str]:
    """Print each layer's information about which input of the data set was given."""
    if not model.data:
        return []
    count, at_most = len(model.data.inputs), "≤" if unicode else "<"
    lines = ["", f"which of the {count} inputs it was, at width {model.data.width}, in {unit} altogether"]
    for layer, *ends in zip(rows["depth"], *(rows[name] for name in DATA_NAMES), strict=True):
        lower, upper = (number(end) if known(end) else "?" for end in ends)
        lines.append(f"{layer:>5}{lower:>9} {at_most} I {at_most} {upper}")
    return lines


def _spectra(model: Model) -> dict[WeightSpectrum, None]:
    """The spectra among the weights, each once."""
    return dict.fromkeys(one for weights in model.weights for one in weights.layers if not isinstance(one, str))


def _own(spectrum: WeightSpectrum) -> str:
    """Say what is known of singular values besides their shape, which is all that counts.

    The eigenvalues that are 0 for want of rows say nothing of the matrix, and count for nothing here.
    """
    own = spectrum.eigenvalues
    if spectrum.shape is not None:
        own = own[-min(spectrum.shape) :]
    zeros = int((own == 0.0).sum())
    largest = f"the largest is {number(float(own[-1] / own.mean()))} times their mean"
    facts = f"{len(own)} eigenvalues{f', {zeros} of them 0' if zeros else ''}; {largest}"
    if spectrum.shape is None or spectrum.sigma_w is None:
        return facts
    rows, columns = spectrum.shape
    return f"{rows} x {columns}, sigma_w {number(spectrum.sigma_w)} of its own; {facts}"


def _footer(
    rows: Rows, model: Model, estimators: tuple[str, ...], optional: tuple[str, ...], unicode: bool
) -> list[str]:
    marks = BARS if unicode else BARS_ASCII
    legend = [f"{mark} {meaning}" for mark, meaning in zip(marks, ("linearly readable", "lower", "upper"), strict=True)]
    if "replica" in estimators:
        legend.append(f"{VALUE if unicode else VALUE_ASCII} value")
    lower = [name for name in LOWER_BOUNDS if name in estimators]
    upper = [name for name in UPPER_BOUNDS if name in estimators]
    sources = []
    if lower:
        sources.append(f"lower: {'the best of ' if len(lower) > 1 else ''}{', '.join(lower)}")
    if "replica" in estimators:
        sources.append("value: replica")
    if upper:
        sources.append(f"upper: {'the best of ' if len(upper) > 1 else ''}{', '.join(upper)}")
    more = len([name for name in rows if name not in IN_HEADLINE + IN_TABLE + optional])
    lines = ["  ".join([*legend, f" {more} more columns: --format csv"])]
    if len("   ".join(sources)) > _LINE and len(sources) > 1:
        lines += ["   ".join(sources[:-1]), sources[-1]]
    elif sources:
        lines.append("   ".join(sources))
    lines += [f"{one.name}: {_own(one)}" for one in _spectra(model)]
    messages = dict.fromkeys(part for text in rows["message"] if text for part in _parts(str(text), rows))
    return lines + [f"note: {message}" for message in messages]


def _parts(message: str, rows: Rows) -> list[str]:
    """The notes in a message; of plain networks, whose notes have semicolons of their own, all in one."""
    alike = {"normalization": "none", "noise_scale": "absolute", "skip": 0.0, "branch": 1.0, "branch_matrices": 1}
    return [message] if all(rows[name][0] == value for name, value in alike.items()) else message.split("; ")


def _largest(rows: Rows) -> float:
    import numpy as np

    values = np.concatenate([np.asarray(rows[name], float) for name in ("mi_linear", "mi_lower", "mi_upper")])
    values = values[np.isfinite(values)]
    return float(values.max()) if len(values) else 0.0
