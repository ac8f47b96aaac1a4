"""A summary drawn for people: the best points, the phases, the failures, on one screen."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mfmi.cli.numbers import number
from mfmi.cli.terminal import program
from mfmi.columns import BY_NAME, Column
from mfmi.errors import brief, shorten
from mfmi.names import PHASES, STATUSES

if TYPE_CHECKING:
    from rich.console import Console

    from mfmi.report.summary import Best, Line, Summary
    from mfmi.storage.parquet import Failure, Tally

SCREEN_LINES = 12
_CELLS = (("{unit}", 8), ("sigma_w", 8), ("sigma_b", 8), ("skip", 7), ("branch", 7), ("chi_1", 7), ("edge", 6))
# Words of plain networks, which go without saying.
_UNSAID = {"normalization": "none", "norm_at": None, "noise_scale": "absolute", "branch_matrices": 1}


def draw(console: Console, summary: Summary, unit: str, file: str, *, everything: bool = False) -> None:
    """Draw a summary.

    Parameters
    ----------
    console
        Where to.
    summary
        What to draw.
    unit
        "nats" or "bits".
    file
        The file it is about, for the command that shows more.
    everything
        All lines, and not only as many as fit a screen.
    """
    if not summary.tally.rows:
        say(console, "no rows")
        return
    lines = list(summary.lines) if everything else chosen(summary.lines, SCREEN_LINES)
    if lines:
        _draw_lines(console, summary, lines, unit)
    if len(lines) < len(summary.lines):
        left = len(summary.lines) - len(lines)
        say(console, f"{left} more lines: {program()} show {shlex.quote(file)} --all", "dim")
    ends = {name for line in lines for best in line.best.values() if best for name in best.at_ends}
    if ends:
        swept = " or ".join(name for name in ("sigma_w", "sigma_b") if name in ends)
        tell(console, f"* at an end of the {swept} that were swept: the maximum may lie beyond", "dim")
    if summary.best_depends_on_noise:
        low, high = summary.noise_levels
        tell(console, f"best over noise from {low:g} to {high:g}: --group-by ...,sigma_noise,depth parts them", "dim")
    if summary.left_out:
        tell(console, "unbounded networks are not among the best: --where 'phase == \"unbounded\"' ranks them", "dim")
    for name, reason in summary.unknown.items():
        tell(console, f"no edge of chaos is known of {shorten(name)}: {brief(reason)}", "dim")
    for text in counts(summary.tally):
        tell(console, text)
    for text in failures(summary.tally):
        tell(console, text, "red")


def columns_of(summary: Summary, unit: str) -> list[Column]:
    """Return what the columns of the table are, under the names that it gives them."""
    words = {
        unit: Column(unit, "float64", f"{unit} per input dimension", "largest information of the kind named above it"),
        "edge": Column(
            "edge", "float64", "1", "distance of that sigma_w from the nearest edge of chaos, relative to it"
        ),
    }
    names = [name.format(unit=unit) for name, _ in _CELLS if name not in ("skip", "branch") or name in summary.factors]
    there = [
        words.get(name) or replace(BY_NAME[name], description=f"{BY_NAME[name].description}, at that point")
        for name in names
    ]
    return [*(BY_NAME[name] for name in summary.by if name in BY_NAME and name not in names), *there]


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line as it is, however narrow the terminal."""
    console.print(text, style=style, soft_wrap=True)


def tell(console: Console, text: str, style: str = "") -> None:
    """Print a sentence; on a terminal, what is too long goes on below with a whole word."""
    lines = [text]
    if console.is_terminal:
        lines = textwrap.wrap(text, console.width, break_long_words=False, break_on_hyphens=False)
    for line in lines:
        say(console, line, style)


def chosen(lines: Sequence[Line], room: int) -> list[Line]:
    """Return the most informative lines: of each group by all keys but the last, a few spread over it and its last."""
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault(line.key[:-1], []).append(line)
    each = max(1, room // max(len(groups), 1))
    kept = [line for group in list(groups.values())[:room] for line in _spread(group, each)]
    return kept


def _spread(group: list[Line], count: int) -> list[Line]:
    """Return `count` lines at even distances, the first and the last among them; the last if it is only one."""
    if len(group) <= count:
        return group
    if count == 1:
        return group[-1:]
    return [group[round(i * (len(group) - 1) / (count - 1))] for i in range(count)]


def _draw_lines(console: Console, summary: Summary, lines: Sequence[Line], unit: str) -> None:
    from rich.text import Text

    from mfmi.report.summary import QUANTITIES

    label = summary.by[-1]
    first = max(5, len(label), *(len(_key_text(line.key[-1])) for line in lines))
    cells = [cell for cell in _CELLS if cell[0] not in ("skip", "branch") or cell[0] in summary.factors]
    sizes = _fitting(cells, (console.width - first) // len(QUANTITIES))
    width = sum(sizes)
    header = "".join(f"{name.format(unit=unit):>{size}}" for (name, _), size in zip(cells, sizes, strict=False))
    titles = [_title(name, meaning, width) for name, meaning in QUANTITIES.items()]
    say(console, " " * first + "".join(f"{title:>{width}}" for title in titles).rstrip(), "bold")
    say(console, f"{label:>{first}}" + header * len(QUANTITIES), "bold")
    heading: tuple[Any, ...] | None = None
    for line in lines:
        if line.key[:-1] != heading:
            heading = line.key[:-1]
            if heading:
                named = zip(summary.by, heading, strict=False)
                phrases = [_phrase(name, value) for name, value in named if value != _UNSAID.get(name, ...)]
                say(console, " · ".join(phrases), "cyan")
        text = Text(f"{_key_text(line.key[-1]):>{first}}")
        for best in line.best.values():
            text.append(_best_text(best, cells, sizes))
        text.rstrip()
        console.print(text, soft_wrap=True)
    missing = [name for name, _ in cells[len(sizes) :]]
    if missing:
        say(console, f"no room for {' and '.join(missing)}: a wider terminal, or --format csv", "dim")


def _fitting(cells: Sequence[tuple[str, int]], room: int) -> list[int]:
    """Return the widths of the first cells that fit `room`, at least the value's and its sigma_w's."""
    sizes = [size for _, size in cells]
    while len(sizes) > 2 and sum(sizes) > room:
        del sizes[-1]
    return sizes


def _title(quantity: str, meaning: str, width: int) -> str:
    titles = (f"best {quantity}, {meaning}", f"best {quantity}", quantity)
    return next((title for title in titles if len(title) < width), quantity)


def _best_text(best: Best | None, cells: Sequence[tuple[str, int]], sizes: Sequence[int]) -> str:
    if best is None:
        return f"{'none':>{sizes[0]}}{'':>{sum(sizes[1:])}}"
    marks = ["*" if name in best.at_ends else " " for name in ("sigma_w", "sigma_b")]
    texts = {
        "sigma_w": f"{best.sigma_w:.4g}{marks[0]}",
        "sigma_b": f"{best.sigma_b:.3g}{marks[1]}",
        "skip": f"{best.skip:.3g}",
        "branch": f"{best.branch:.3g}",
        "chi_1": number(best.chi_1),
        "edge": _distance(best),
    }
    found = [texts.get(name, number(best.value)) for name, _ in cells]
    return "".join(f"{text:>{size}}" for text, size in zip(found, sizes, strict=False))


def _distance(best: Best) -> str:
    if math.isnan(best.distance):
        return "none"
    percent = 100.0 * best.distance
    if percent >= 9999.5:
        return f"{percent:+.0e}%"
    return f"{percent:+.0f}%" if abs(percent) >= 9.95 else f"{percent:+.1f}%"


def _phrase(name: str, value: Any) -> str:
    if name == "activation":
        return str(value)
    if name == "weights":
        return f"{value} weights"
    if name == "noise_at":
        return "noise at the output" if value == "output" else "noise in every layer"
    if name == "norm_at":
        return f"norm at {value}"
    if name == "noise_scale":
        return f"{value} noise"
    if name == "branch_matrices":
        return f"{value} matrices a branch"
    return f"{_key_text(value)}" if name == "normalization" else f"{name} {_key_text(value)}"


def _key_text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def counts(tally: Tally) -> list[str]:
    """Return the shares of the phases among the points and of the statuses among the rows."""
    phases = [f"{name} {_share(tally.phases[name], tally.points)}" for name in PHASES if tally.phases[name]]
    statuses = [f"{name} {_share(tally.statuses[name], tally.rows)}" for name in STATUSES if tally.statuses[name]]
    return [f"points: {', '.join(phases) or 'none with a phase'}", f"rows: {', '.join(statuses)}"]


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.1f} %)" if part < whole else "all"


def failures(tally: Tally) -> list[str]:
    """Return a line for each of the first failures."""
    bad = tally.statuses["failed"] + tally.statuses["unconverged"]
    lines = [_failure(failure) for failure in tally.failures]
    if bad > len(lines):
        lines.append(f"and {bad - len(lines)} more")
    return lines


def _failure(failure: Failure) -> str:
    where = (
        f"{failure.status}: point {failure.point} ({failure.activation} {failure.weights} {failure.noise_at}"
        f" sigma_w {failure.sigma_w:g} sigma_b {failure.sigma_b:g}), depth {failure.depth}"
    )
    return f"{where}: {failure.message}" if failure.message else where
