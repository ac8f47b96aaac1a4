"""Progress of work that takes longer than a second: counted, said in words, and shown without any library."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

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
    """

    stage: str
    chunks_done: int
    n_chunks: int
    rows: int
    seconds: float


OnProgress = Callable[[Progress], object]


@dataclass
class Clock:
    """Counts and reports progress, at most every `PROGRESS_INTERVAL`."""

    on_progress: OnProgress | None
    n_chunks: int
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

    def finish(self, rows: int) -> None:
        """Note a chunk that this run has computed."""
        self.done += 1
        self.rows += rows
        self.evaluated = self.seconds
        self.tell("evaluate", self.done)

    def tell(self, stage: str, done: int) -> None:
        """Report, unless that was done just now."""
        now = time.monotonic()
        if self.on_progress and (now - self._told >= PROGRESS_INTERVAL or done == self.n_chunks):
            self._told = now
            self.on_progress(Progress(stage, done, self.n_chunks, self.rows, self.seconds))


class ProgressLine:
    """Says on standard error what it is called with, once the work takes longer than a second; clears it at the end.

    On a terminal and in a notebook one line is written over; elsewhere there is a line every half minute.
    """

    def __init__(self) -> None:
        self._first: Progress | None = None
        self._began = self._said = time.monotonic()
        self._width = 0
        self._writes_over = sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)

    def __enter__(self) -> ProgressLine:
        """Begin to wait for the first second to pass."""
        return self

    def __call__(self, progress: Progress) -> None:
        """Say how far it is, if it is time to."""
        if self._first is None or progress.stage != self._first.stage:
            self._first = progress
        now = time.monotonic()
        every = PROGRESS_INTERVAL if self._writes_over else LINE_EVERY
        if sys.stderr is None or now - self._began < PATIENCE or now - self._said < every:
            return
        self._said = now
        text = f"mfmi: {text_of(progress, self._first)}"
        if self._writes_over:
            sys.stderr.write(f"\r{text:<{self._width}}")
            self._width = len(text)
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wipe the line."""
        if self._width and sys.stderr is not None:
            sys.stderr.write(f"\r{' ' * self._width}\r")
            sys.stderr.flush()


def text_of(now: Progress | None, first: Progress | None) -> str:
    """Return in words how far something is, `first` being the first report of its stage."""
    if now is None or first is None:
        return "nothing is finished yet"
    text = f"{now.stage} {now.chunks_done}/{now.n_chunks}{' chunks' if now.stage in ('evaluate', 'merge') else ''}"
    if now.stage == "evaluate" and now.seconds > 0:
        # The first report comes with the first chunk of this run; those before it were there already.
        mine = now.chunks_done - first.chunks_done + 1
        left = now.seconds / mine * (now.n_chunks - now.chunks_done)
        text += f", {now.rows:,} rows, {now.rows / now.seconds:,.0f} rows/s, {duration(left)} left"
    return text


def duration(seconds: float) -> str:
    """Return a time span as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
