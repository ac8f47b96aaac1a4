"""Progress of work that takes longer than a second: counted, said in words, and shown without any library."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

PROGRESS_INTERVAL = 0.1
# Seconds before anything is said, and between lines where none can be written over.
PATIENCE = 1.0
LINE_EVERY = 30.0


@dataclass(frozen=True)
class Progress:
    """Progress of a long call.

    Attributes
    ----------
    stage : what is being done: "evaluate", "measure", or "merge" while the finished chunks become one file, and so on.
    chunks_done, n_chunks : parts that are finished, those of an earlier run of a sweep included, and all of them.
    rows : rows of the parts that this run has finished, where parts have rows.
    seconds : since the run began.
    unit : what the parts are.
    share : share of the stage that is done, from 0 to 1.
    words : all of it in words, with the time that is left and what goes on within the part under way; empty where
        nobody but a program is told.
    """

    stage: str
    chunks_done: int
    n_chunks: int
    rows: int
    seconds: float
    unit: str = "chunks"
    words: str = ""

    @property
    def share(self) -> float:
        """Share of the stage that is done, from 0 to 1."""
        return self.chunks_done / self.n_chunks if self.n_chunks else 0.0

    @property
    def kind(self) -> str:
        """The kind of work, whatever it is done with: the pace of "rank tanh" is that of "rank relu"."""
        return self.stage.partition(" ")[0]


OnProgress = Callable[[Progress], object]
Item = TypeVar("Item")


@dataclass(eq=False)
class Stage:
    """Long work under way, announced where it is done, however deep below a command.

    Attributes
    ----------
    name : what is done, such as "tabulate gelu".
    total : how much there is of it; None where that is not known.
    unit : what is counted, such as "tiles"; "" where only the share is of interest.
    done : how much is done.
    began : when it began, in seconds of `time.monotonic`.
    """

    name: str
    total: float | None = None
    unit: str = ""
    done: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def advance(self, count: float = 1.0) -> None:
        """Note that so much more is done."""
        self.done += count
        _notice()

    def reach(self, done: float) -> None:
        """Note how much is done in all; less than before is not believed."""
        self.done = max(self.done, done)
        _notice()

    @property
    def text(self) -> str:
        """The work, how far it is, and the time that the rest takes at this pace."""
        if not self.total:
            return self.name
        done = f"{self.done:,.0f}/{self.total:,.0f} {self.unit}" if self.unit else f"{self.done / self.total:.0%}"
        text = f"{self.name} {done}"
        if not self.done:
            return text
        left = (time.monotonic() - self.began) / self.done * max(self.total - self.done, 0.0)
        return f"{text}, {duration(left)} left"


_running: list[Stage] = []
_watches: list[Callable[[bool], None]] = []


@contextlib.contextmanager
def watching(notice: Callable[[bool], None]) -> Iterator[None]:
    """Call a function whenever the work under way changes, with whether the innermost of it is over."""
    _watches.append(notice)
    try:
        yield
    finally:
        _watches.remove(notice)


def _notice(over: bool = False) -> None:
    for watch in _watches:
        watch(over)


@contextlib.contextmanager
def stage(name: str, total: float | None = None, unit: str = "") -> Iterator[Stage]:
    """Announce long work for as long as the context lasts; it costs nothing where nobody looks.

    Parameters
    ----------
    name, total, unit
        As of `Stage`, which is given to be told how far it is.
    """
    one = Stage(name, total, unit)
    _running.append(one)
    try:
        _notice()
        yield one
        _notice(over=True)
    finally:
        _running.remove(one)


class Relay:
    """Announces here what other processes say that they are doing: of several the last that has spoken."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._work: Stage | None = None
        self._of: object = None

    def tell(self, who: object, work: tuple[str, float | None, str, float, float] | None) -> None:
        """Note the name, total, unit and state of somebody's work, and the seconds since it began; None: it is over."""
        if work is None:
            if who is self._of:
                self.close()
            return
        name, total, unit, done, seconds = work
        if self._work is None or (self._work.name, self._work.total) != (name, total):
            self.close()
            self._work = self._open.enter_context(stage(name, total, unit))
            self._work.began -= seconds
        self._of = who
        self._work.reach(done)

    def close(self) -> None:
        """Announce nothing any more."""
        self._open.close()
        self._work, self._of = None, None


def staged(name: str, items: Sequence[Item], unit: str) -> Iterator[Item]:
    """Iterate over the parts of long work, announced as a `stage` of that name; none is announced without parts."""
    if items:
        with stage(name, len(items), unit) if len(items) > 1 else stage(name) as work:  # of a single one no share
            for item in items:
                yield item
                work.advance()


def running() -> tuple[Stage, ...]:
    """Return the work under way in this process, what goes on within other work after it."""
    return tuple(_running)


@dataclass
class Clock:
    """Counts and reports progress, at most every `PROGRESS_INTERVAL`."""

    on_progress: OnProgress | None
    n_chunks: int
    unit: str = "chunks"
    resumed: int = 0
    done: int = 0
    rows: int = 0
    began: float = field(default_factory=time.monotonic)
    evaluated: float = 0.0
    _told: float = 0.0

    @property
    def seconds(self) -> float:
        """Time since the run began."""
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Rows per second of computing; NaN before the first chunk."""
        return self.rows / self.evaluated if self.evaluated else float("nan")

    @contextlib.contextmanager
    def begun(self, name: str) -> Iterator[None]:
        """Announce the work as a stage, which is what is known of it before the first report."""
        with stage(name, self.n_chunks, self.unit) as work:
            work.reach(self.done)
            yield

    def finish(self, rows: int, count: int = 1) -> None:
        """Note a chunk that this run has computed, or so many points where these are counted."""
        self.done += count
        self.rows += rows
        self.evaluated = self.seconds
        self.tell("evaluate", self.done)

    def tell(self, stage: str, done: int) -> None:
        """Report, unless that was done just now."""
        now = time.monotonic()
        if self.on_progress and (now - self._told >= PROGRESS_INTERVAL or done == self.n_chunks):
            self._told = now
            self.on_progress(Progress(stage, done, self.n_chunks, self.rows, self.seconds, self.unit))


def text_of(now: Progress | None, first: Progress | None) -> str:
    """Return in words how far something is, `first` being the first report of its stage, and what goes on within it."""
    parts = [] if now is None or first is None else [_reported(now, first)]
    stages = running()
    if now is not None:  # what reports says it itself
        stages = tuple(one for one in stages if one.name != now.kind)
    # Of work within work the outermost and the innermost say most.
    parts += [one.text for one in (stages[-1:] if parts else (*stages[:1], *stages[1:][-1:]))]
    return "; ".join(parts) or "nothing is finished yet"


def _reported(now: Progress, first: Progress) -> str:
    text = f"{now.stage} {now.chunks_done}/{now.n_chunks}{f' {now.unit}' if now.stage in ('evaluate', 'merge') else ''}"
    if now.stage == "evaluate" and now.rows and now.seconds > 0:
        text += f", {now.rows:,} rows, {now.rows / now.seconds:,.0f} rows/s"
    if now.chunks_done > first.chunks_done:  # the first report has what it took to begin in it, which is no pace
        pace = (now.seconds - first.seconds) / (now.chunks_done - first.chunks_done)
    elif now.stage == "evaluate" and now.unit == "chunks" and now.chunks_done and now.seconds > 0:
        pace = now.seconds  # of one chunk; those before it were there already
    else:
        return text
    return f"{text}, {duration(pace * (now.n_chunks - now.chunks_done))} left"


def duration(seconds: float) -> str:
    """Return a time span as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
